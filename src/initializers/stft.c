#include "initializers/stft.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/spectrum.h"
#include "objects/define.h"
#include "objects/fields.h"
#include "tensor/tensor.h"

kl_status kl_window_from_config(kl_config *config)
{
    const kl_config *window = kl_config_get(config, "window");
    if (!window || kl_config_typeof(window) != KL_CONFIG_LIST)
        return KL_OK;
    kl_status status = kl_config_set(config, "window_values", kl_config_detach(config, "window"));
    return status ? status : kl_config_set(config, "window", kl_config_new_null());
}

kl_status kl_window_to_config(kl_floats values, kl_config *config)
{
    if (!values.count)
        return KL_OK;
    kl_config *list = kl_config_new_list();
    for (size_t i = 0; list && i < values.count; i++) {
        kl_status status =
            kl_config_append(list, kl_config_new_float(kl_shortest_double(values.at[i])));
        if (status) {
            kl_config_free(list);
            return status;
        }
    }
    return kl_config_set(config, "window", list);
}

kl_status kl_window_fill(const char *name, kl_floats values, bool periodic, int64_t count,
                         double *out)
{
    if (values.count && values.count != (size_t)count)
        return kl_error(KL_ERROR_SHAPE, "the window must have %lld values, got %zu",
                        (long long)count, values.count);
    for (int64_t i = 0; i < count; i++)
        out[i] = values.count ? kl_shortest_double(values.at[i]) : 1;
    if (values.count || !name || kl_window_values(name, count, periodic, out))
        return KL_OK;
    return kl_error(KL_ERROR_INVALID, "unknown window '%s'", name);
}

#define ARGS kl_stft_args
static const kl_field stft_fields[] = {
    {"side", KL_FIELD_STRING, offsetof(ARGS, side), "real", .doc = "which part of the transform",
     .choices = "real|imag"},
    KL_WINDOW_FIELDS(ARGS),
    {"scaling", KL_FIELD_STRING, offsetof(ARGS, scaling), "density", .doc = "what divides it",
     .choices = "density|spectrum", .flags = KL_FIELD_OPTIONAL},
    {"periodic", KL_FIELD_BOOL, offsetof(ARGS, periodic), "false",
     .doc = "whether the window is periodic"},
    {0}};
#undef ARGS

static kl_status stft_init(void *self)
{
    const kl_stft_args *a = kl_object_state(self);
    double one;
    kl_floats none = {0};
    return kl_window_fill(a->window, none, false, 1, &one);
}

static kl_status stft_from_config(void *self, kl_config *config)
{
    return kl_window_from_config(config);
}

static kl_status stft_get_config(const void *self, kl_config *config)
{
    const kl_stft_args *a = kl_object_state(self);
    return kl_window_to_config(a->window_values, config);
}

static void put_value(kl_tensor *out, int64_t i, double value)
{
    if (out->dtype == KL_FLOAT64)
        ((double *)(void *)out->data)[i] = value;
    else
        ((float *)(void *)out->data)[i] = (float)value;
}

/* exp(-2 pi i t f / fft_length) times the window over its scale. */
static kl_status stft_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_stft_args *a = kl_object_state(self);
    if (out->rank != 3 || out->shape[1] != 1)
        return kl_error(KL_ERROR_SHAPE,
                        "STFT: expected a kernel [frame_length, 1, fft_length / 2 + 1]");
    const int64_t length = out->shape[0], bins = out->shape[2];
    double *window = kl_malloc_array((size_t)length + 1, sizeof *window), sum = 0, scale = 1;
    if (!window)
        return KL_ERROR_MEMORY;
    kl_status status = kl_window_fill(a->window, a->window_values, a->periodic, length, window);
    bool windowed = a->window || a->window_values.count;
    if (windowed && a->scaling && !status) {
        bool density = !strcmp(a->scaling, "density");
        for (int64_t i = 0; i < length; i++)
            sum += density ? window[i] * window[i] : fabs(window[i]);
        scale = density ? sqrt(sum) : sum;
    }
    const bool imaginary = !strcmp(a->side, "imag");
    const double turn = -2 * acos(-1.0);
    for (int64_t t = 0; !status && t < length; t++)
        for (int64_t f = 0; f < bins; f++) {
            double part = bins > 1 ? (double)f / (double)(2 * (bins - 1)) : 0;
            double angle = turn * fmod((double)t * part, 1);
            put_value(out, t * bins + f, (imaginary ? sin(angle) : cos(angle)) * window[t] / scale);
        }
    kl_free(window);
    return status;
}

const kl_initializer_vtable kl_stft_class = {.size = sizeof(kl_initializer_vtable),
                                             .class_name = "STFT",
                                             .names = "stft|STFTInitializer",
                                             .state_size = sizeof(kl_stft_args),
                                             .args_size = sizeof(kl_stft_args),
                                             .fields = stft_fields,
                                             .init = stft_init,
                                             .from_config = stft_from_config,
                                             .get_config = stft_get_config,
                                             .fill = stft_fill};
KL_DEFINE_CLASS(kl_stft, kl_stft_class, kl_initializer, KL_KIND_INITIALIZER)
