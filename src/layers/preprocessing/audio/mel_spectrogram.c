#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "initializers/stft.h"
#include "kernels/spectrum.h"
#include "klayers/layers/audio.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

typedef struct mel_state {
    kl_mel_spectrogram_args args;
    kl_spectrum *spectrum;
    kl_bands bands;
    int64_t *places; /* low, high and first of each band */
    double *weights;
} mel_state;

#define ARGS kl_mel_spectrogram_args
static const kl_field fields[] = {
    {"fft_length", KL_FIELD_INT, offsetof(ARGS, fft_length), "2048", .doc = "of a spectrum",
     .min = 1, .max = 1 << 24},
    {"sequence_stride", KL_FIELD_INT, offsetof(ARGS, sequence_stride), "512",
     .doc = "samples from frame to frame", .min = 1, .max = 1 << 30},
    {"sequence_length", KL_FIELD_INT, offsetof(ARGS, sequence_length), .doc = "of the window",
     .min = 1, .max = 1 << 24, .flags = KL_FIELD_OPTIONAL},
    KL_WINDOW_FIELDS(ARGS),
    {"sampling_rate", KL_FIELD_INT, offsetof(ARGS, sampling_rate), "16000",
     .doc = "samples a second", .min = 1, .max = 1 << 30},
    {"num_mel_bins", KL_FIELD_INT, offsetof(ARGS, num_mel_bins), "128", .doc = "bands", .min = 1,
     .max = 1 << 20},
    {"min_freq", KL_FIELD_FLOAT, offsetof(ARGS, min_freq), "20", .doc = "where bands begin, Hz"},
    {"max_freq", KL_FIELD_FLOAT, offsetof(ARGS, max_freq), .doc = "where bands end, Hz",
     .flags = KL_FIELD_OPTIONAL},
    {"power_to_db", KL_FIELD_BOOL, offsetof(ARGS, power_to_db), "true", .doc = "in decibels"},
    {"top_db", KL_FIELD_FLOAT, offsetof(ARGS, top_db), "80",
     .doc = "how far below the loudest values may be"},
    {"mag_exp", KL_FIELD_FLOAT, offsetof(ARGS, mag_exp), "2", .doc = "the magnitudes' power"},
    {"min_power", KL_FIELD_FLOAT, offsetof(ARGS, min_power), "1e-10", .doc = "the least value"},
    {"ref_power", KL_FIELD_FLOAT, offsetof(ARGS, ref_power), "1", .doc = "0 decibels"},
    {0}};
#undef ARGS

static float mel(float hertz)
{
    return 1127.F * logf(1.F + hertz / 700.F);
}

/* The weight of a bin in a band: a triangle from one edge over the middle to the other; in float,
   as Keras computes the matrix. */
static float weight_at(const mel_state *s, int64_t bin, int64_t band)
{
    const kl_mel_spectrogram_args *a = &s->args;
    const int64_t bins = a->fft_length / 2 + 1;
    if (!bin || bins < 2)
        return 0;
    float low = mel((float)a->min_freq), high = mel((float)a->max_freq);
    float step = (high - low) / (float)(a->num_mel_bins + 1);
    float left = low + step * (float)band, middle = low + step * (float)(band + 1);
    float right = low + step * (float)(band + 2);
    float at = mel((float)a->sampling_rate / 2.F / (float)(bins - 1) * (float)bin);
    float up = (at - left) / (middle - left), down = (right - at) / (right - middle);
    float least = up < down ? up : down;
    return least > 0 ? least : 0;
}

/* Only what isn't zero of the matrix; its bins lie together. */
static kl_status make_bands(mel_state *s)
{
    const int64_t bins = s->args.fft_length / 2 + 1, count = s->args.num_mel_bins;
    int64_t total = 0;
    int64_t *places = s->places = kl_malloc_array((size_t)count, 3 * sizeof *places);
    if (!places)
        return KL_ERROR_MEMORY;
    for (int64_t b = 0; b < count; b++) {
        int64_t low = bins, high = 0;
        for (int64_t k = 0; k < bins; k++) {
            if (weight_at(s, k, b) > 0) {
                low = k < low ? k : low;
                high = k + 1;
            }
        }
        places[b] = high ? low : 0;
        places[count + b] = high;
        places[2 * count + b] = total;
        total += high ? high - low : 0;
    }
    s->weights = kl_malloc_array((size_t)total + 1, sizeof *s->weights);
    if (!s->weights)
        return KL_ERROR_MEMORY;
    for (int64_t b = 0; b < count; b++)
        for (int64_t k = places[b]; k < places[count + b]; k++)
            s->weights[places[2 * count + b] + k - places[b]] = (double)weight_at(s, k, b);
    s->bands = (kl_bands){count, places, places + count, places + 2 * count, s->weights};
    return KL_OK;
}

/* The window in the middle of a frame. TensorFlow makes periodic ones of even lengths alone. */
static kl_status make_spectrum(mel_state *s, bool wide)
{
    const kl_mel_spectrogram_args *a = &s->args;
    const bool even = a->sequence_length % 2 == 0;
    double *window = kl_calloc((size_t)a->fft_length, sizeof *window);
    if (!window)
        return KL_ERROR_MEMORY;
    kl_status status = kl_window_fill(a->window, a->window_values, even, a->sequence_length,
                                      window + (a->fft_length - a->sequence_length) / 2);
    if (!status && !(s->spectrum = kl_spectrum_new(a->fft_length, window, wide)))
        status = KL_ERROR_MEMORY;
    kl_free(window);
    return status;
}

static kl_status init(void *self)
{
    mel_state *s = kl_layer_state(self);
    kl_mel_spectrogram_args *a = &s->args;
    if (a->sequence_length == KL_NONE)
        a->sequence_length = a->fft_length;
    const int64_t nyquist = a->sampling_rate / 2;
    if (isnan(a->max_freq) || a->max_freq == 0)
        a->max_freq = (double)nyquist;
    if (a->fft_length < a->sequence_length)
        return kl_error(KL_ERROR_INVALID,
                        "fft_length must be greater than or equal to sequence_length, got "
                        "sequence_length=%lld, fft_length=%lld",
                        (long long)a->sequence_length, (long long)a->fft_length);
    if (a->window && strcmp(a->window, "hann") != 0 && strcmp(a->window, "hamming") != 0)
        return kl_error(KL_ERROR_INVALID, "window must be one of hann, hamming, got %s", a->window);
    kl_status status = make_spectrum(s, kl_layer_compute_dtype(self) == KL_FLOAT64);
    return status ? status : make_bands(s);
}

static void destroy(void *self)
{
    mel_state *s = kl_object_state(self);
    kl_spectrum_free(s->spectrum);
    kl_free(s->places);
    kl_free(s->weights);
}

static kl_status from_config(void *self, kl_config *config)
{
    return kl_window_from_config(config);
}

static kl_status get_config(const void *self, kl_config *config)
{
    const mel_state *s = kl_object_state(self);
    return kl_window_to_config(s->args.window_values, config);
}

static int64_t frames_of(const kl_mel_spectrogram_args *a, int64_t samples)
{
    int64_t room = samples + 2 * (a->fft_length / 2) - a->fft_length;
    return room < 0 ? 0 : 1 + room / a->sequence_stride;
}

static kl_status output_shape(const kl_layer *self, const kl_shape *inputs, int count,
                              kl_shape *outputs, int *output_count)
{
    const kl_mel_spectrogram_args *a = kl_layer_state(self);
    if (inputs->rank < 1 || inputs->rank >= KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "expected sound of 1 to %d axes, got %d", KL_MAX_RANK - 1,
                        inputs->rank);
    int64_t samples = inputs->at[inputs->rank - 1];
    *outputs = *inputs;
    outputs->dtype = kl_layer_compute_dtype(self);
    outputs->at[inputs->rank - 1] = a->num_mel_bins;
    outputs->at[inputs->rank] = samples < 0 ? -1 : frames_of(a, samples);
    outputs->rank = inputs->rank + 1;
    *output_count = 1;
    return KL_OK;
}

static kl_tensor *decibels(const kl_mel_spectrogram_args *a, kl_tensor *x)
{
    double reference = fabs(a->ref_power);
    reference = reference > a->min_power ? reference : a->min_power;
    kl_tensor *log = kl_op_mul_scalar(kl_op_log10(kl_op_maximum_scalar(x, a->min_power)), 10);
    log = kl_op_add_scalar(log, -10 * log10(reference));
    kl_tensor *top = kl_op_max(log, 0, NULL, false);
    return kl_op_maximum(log, kl_op_add_scalar(top, -a->top_db));
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const mel_state *s = kl_layer_state(self);
    kl_tensor *x = inputs.at[0];
    kl_dtype dtype = self->compute_dtype == KL_FLOAT64 ? KL_FLOAT64 : KL_FLOAT32;
    kl_shape shape = {.rank = x->rank}, out_shape;
    int outputs;
    memcpy(shape.at, x->shape, sizeof shape.at);
    if (x->dtype == KL_STRING || output_shape(self, &shape, 1, &out_shape, &outputs)) {
        if (x->dtype == KL_STRING)
            kl_error(KL_ERROR_DTYPE, "expected numbers, got string");
        return kl_one(NULL);
    }
    const int64_t samples = x->shape[x->rank - 1], before = s->args.fft_length / 2;
    if (before >= samples) {
        kl_error(KL_ERROR_SHAPE, "sound of %lld samples is too short for an fft_length of %lld",
                 (long long)samples, (long long)s->args.fft_length);
        return kl_one(NULL);
    }
    bool real = x->buffer;
    x = kl_op_cast(x, dtype);
    x = x && real && !x->contiguous ? kl_contiguous(x) : x;
    kl_tensor *y = x ? kl_empty(dtype, out_shape.rank, out_shape.at) : NULL;
    if (y && y->buffer && y->size && real) {
        kl_band_job job = {.spectrum = s->spectrum,
                           .bands = &s->bands,
                           .power = s->args.mag_exp,
                           .signals = x->size / samples,
                           .samples = samples,
                           .frames = out_shape.at[out_shape.rank - 1],
                           .step = s->args.sequence_stride,
                           .before = before};
        if (!kl_spectrum_bands(&job, x->data, y->data))
            return kl_one(NULL);
    }
    y = y && s->args.power_to_db ? decibels(&s->args, y) : y;
    return kl_one(y ? kl_op_cast(y, self->compute_dtype) : NULL);
}

const kl_layer_vtable kl_mel_spectrogram_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "MelSpectrogram",
    .state_size = sizeof(mel_state),
    .args_size = sizeof(kl_mel_spectrogram_args),
    .fields = fields,
    .init = init,
    .from_config = from_config,
    .get_config = get_config,
    .destroy = destroy,
    .call = call,
    .output_shape = output_shape,
};

KL_DEFINE_LAYER(kl_mel_spectrogram)
