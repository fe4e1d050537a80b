#include <string.h>

#include "initializers/stft.h"
#include "klayers/layers/audio.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

typedef struct stft_state {
    kl_stft_spectrogram_args args;
    int64_t step, bins;
    kl_weight *real, *imaginary; /* NULL where the mode has no use for it */
} stft_state;

static const double epsilon = 1e-7; /* keras.config.epsilon() */

#define ARGS kl_stft_spectrogram_args
static const kl_field fields[] = {
    {"mode", KL_FIELD_STRING, offsetof(ARGS, mode), "log", .doc = "what of the spectrum",
     .choices = "log|magnitude|psd|real|imag|angle|stft"},
    {"frame_length", KL_FIELD_INT, offsetof(ARGS, frame_length), "256", .doc = "samples a frame",
     .min = 1, .max = 1 << 24},
    {"frame_step", KL_FIELD_INT, offsetof(ARGS, frame_step), .doc = "samples from frame to frame",
     .flags = KL_FIELD_OPTIONAL},
    {"fft_length", KL_FIELD_INT, offsetof(ARGS, fft_length), .doc = "of a spectrum",
     .flags = KL_FIELD_OPTIONAL},
    KL_WINDOW_FIELDS(ARGS),
    {"periodic", KL_FIELD_BOOL, offsetof(ARGS, periodic), "false",
     .doc = "whether the window is periodic"},
    {"scaling", KL_FIELD_STRING, offsetof(ARGS, scaling), "density", .doc = "what divides it",
     .choices = "density|spectrum", .flags = KL_FIELD_OPTIONAL},
    {"padding", KL_FIELD_STRING, offsetof(ARGS, padding), "valid", .doc = "at the ends",
     .choices = "valid|same"},
    {"expand_dims", KL_FIELD_BOOL, offsetof(ARGS, expand_dims), "false",
     .doc = "channels keep an axis"},
    {"data_format", KL_FIELD_STRING, offsetof(ARGS, data_format), "channels_last",
     .doc = "where the channels stand", .choices = "channels_last|channels_first",
     .flags = KL_FIELD_OPTIONAL},
    {0}};
#undef ARGS

static kl_status init(void *self)
{
    stft_state *s = kl_layer_state(self);
    const kl_stft_spectrogram_args *a = &s->args;
    double one;
    kl_floats none = {0};
    if (a->frame_step != KL_NONE && (a->frame_step > a->frame_length || a->frame_step < 1))
        return kl_error(KL_ERROR_RANGE,
                        "frame_step should be a positive integer not greater than frame_length, "
                        "got frame_step=%lld, frame_length=%lld",
                        (long long)a->frame_step, (long long)a->frame_length);
    if (a->fft_length != KL_NONE && a->fft_length < a->frame_length)
        return kl_error(KL_ERROR_RANGE,
                        "fft_length should be not less than frame_length, got fft_length=%lld, "
                        "frame_length=%lld",
                        (long long)a->fft_length, (long long)a->frame_length);
    s->step = a->frame_step == KL_NONE ? a->frame_length / 2 : a->frame_step;
    int64_t length = 1;
    while (length < a->frame_length)
        length *= 2;
    s->bins = (a->fft_length == KL_NONE ? length : a->fft_length) / 2 + 1;
    kl_status status = kl_window_fill(a->window, none, false, 1, &one);
    return status ? status : kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

static kl_status from_config(void *self, kl_config *config)
{
    return kl_window_from_config(config);
}

static kl_status get_config(const void *self, kl_config *config)
{
    const stft_state *s = kl_object_state(self);
    return kl_window_to_config(s->args.window_values, config);
}

static kl_weight *add_kernel(kl_layer *self, const char *name, const char *side)
{
    const stft_state *s = kl_layer_state(self);
    const kl_stft_spectrogram_args *a = &s->args;
    return kl_add_weight(self, .name = name, .shape = {a->frame_length, 1, s->bins},
                         .initializer = kl_stft(.side = side, .window = a->window,
                                                .window_values = a->window_values,
                                                .scaling = a->scaling, .periodic = a->periodic));
}

static kl_status build(kl_layer *self, const kl_shape *inputs, int count)
{
    stft_state *s = kl_layer_state(self);
    if (strcmp(s->args.mode, "imag") != 0 && !(s->real = add_kernel(self, "real_kernel", "real")))
        return kl_last_status();
    if (strcmp(s->args.mode, "real") != 0 &&
        !(s->imaginary = add_kernel(self, "imag_kernel", "imag")))
        return kl_last_status();
    return KL_OK;
}

/* [batch, channels, samples] with a kernel to [batch, channels, frequencies, frames]. */
static kl_tensor *transform(const stft_state *s, kl_context *ctx, kl_tensor *x, kl_weight *kernel)
{
    const int64_t batch = x->shape[0], channels = x->shape[1];
    const int64_t each[3] = {batch * channels, x->shape[2], 1};
    const kl_conv_options options = {.strides = {s->step}, .padding = s->args.padding};
    kl_tensor *y = kl_op_conv(kl_op_reshape(x, 3, each), kl_read(ctx, kernel), NULL, &options);
    if (!y)
        return NULL;
    y = kl_op_move_axis(y, 1, 2);
    const int64_t apart[4] = {batch, channels, y->shape[1], y->shape[2]};
    return kl_op_reshape(y, 4, apart);
}

static kl_tensor *arrange(const stft_state *s, kl_tensor *y)
{
    static const int last[4] = {0, 3, 2, 1}, first[4] = {0, 1, 3, 2};
    if (!y)
        return NULL;
    const bool channels_first = kl_is_channels_first(s->args.data_format);
    if (s->args.expand_dims)
        return kl_op_transpose(y, channels_first ? first : last);
    const int64_t together[3] = {y->shape[0], y->shape[1] * y->shape[2], y->shape[3]};
    y = kl_op_reshape(y, 3, together);
    return channels_first ? y : kl_op_move_axis(y, 1, 2);
}

/* The power of all frequencies but the first and last counts twice: those above stand for them. */
static kl_tensor *density(kl_tensor *power)
{
    static const int64_t pads[8] = {0, 0, 0, 0, 1, 1, 0, 0};
    kl_tensor *inner = kl_op_slice(power, 2, 1, -1, 1);
    return kl_op_add(power, kl_op_pad(inner, pads, "constant", 0));
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const stft_state *s = kl_layer_state(self);
    const char *mode = s->args.mode;
    kl_tensor *x = inputs.at[0];
    if (!kl_dtype_is_float((kl_dtype)x->dtype)) {
        kl_error(KL_ERROR_DTYPE, "invalid input type: expected float16, float32 or float64, got %s",
                 kl_dtype_name((kl_dtype)x->dtype));
        return kl_one(NULL);
    }
    if (!kl_is_channels_first(s->args.data_format))
        x = kl_op_move_axis(x, 2, 1);
    kl_tensor *re = x && s->real ? transform(s, ctx, x, s->real) : NULL;
    kl_tensor *im = x && s->imaginary ? transform(s, ctx, x, s->imaginary) : NULL;
    if (!strcmp(mode, "real"))
        return kl_one(arrange(s, re));
    if (!strcmp(mode, "imag"))
        return kl_one(arrange(s, im));
    if (!strcmp(mode, "angle"))
        return kl_one(arrange(s, kl_op_atan2(im, re)));
    if (!strcmp(mode, "stft"))
        return kl_one(arrange(s, kl_op_concatenate(2, (kl_tensor *[]){re, im}, 2)));
    kl_tensor *power = kl_op_add(kl_op_square(re), kl_op_square(im));
    if (!strcmp(mode, "psd"))
        return kl_one(arrange(s, power ? density(power) : NULL));
    kl_tensor *magnitude = arrange(s, kl_op_sqrt(kl_op_maximum_scalar(power, epsilon)));
    if (!strcmp(mode, "magnitude"))
        return kl_one(magnitude);
    return kl_one(kl_op_log(kl_op_maximum_scalar(magnitude, epsilon)));
}

const kl_layer_vtable kl_stft_spectrogram_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "STFTSpectrogram",
    .state_size = sizeof(stft_state),
    .args_size = sizeof(kl_stft_spectrogram_args),
    .fields = fields,
    .init = init,
    .from_config = from_config,
    .get_config = get_config,
    .build = build,
    .call = call,
};

KL_DEFINE_LAYER(kl_stft_spectrogram)
