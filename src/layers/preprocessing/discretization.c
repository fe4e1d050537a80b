#include <string.h>

#include "base/alloc.h"
#include "base/thread_pool.h"
#include "klayers/layers/preprocessing.h"
#include "layers/preprocessing/encode.h"
#include "layers/preprocessing/quantiles.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

typedef struct discretization_state {
    kl_discretization_args args; /* bin_boundaries are the ones that adapt found, too */
    kl_encode_mode mode;
    kl_sketch sketch; /* while adapting */
    bool fed;         /* with data, perhaps empty */
    bool from_config;
} discretization_state;

#define ARG(member) offsetof(kl_discretization_args, member)
static const kl_field discretization_fields[] = {
    {"bin_boundaries", KL_FIELD_FLOATS, ARG(bin_boundaries), .doc = "between bins, ascending",
     .flags = KL_FIELD_OPTIONAL},
    {"num_bins", KL_FIELD_INT, ARG(num_bins), .doc = "how many bins adapt makes", .min = 0,
     .max = 2147483647, .flags = KL_FIELD_OPTIONAL},
    {"epsilon", KL_FIELD_FLOAT, ARG(epsilon), "0.01", .doc = "how exact adapt is"},
    {"output_mode", KL_FIELD_STRING, ARG(output_mode), "int", .doc = "what comes out",
     .choices = "int|one_hot|multi_hot|count"},
    {"sparse", KL_FIELD_BOOL, ARG(sparse), "false", .doc = "kept; values are dense"},
    {0}};

/* What adapt found stands in a config beside num_bins. */
static kl_status discretization_from_config(void *self, kl_config *config)
{
    discretization_state *s = kl_layer_state(self);
    kl_layer *layer = self;
    s->from_config = true;
    /* Keras 3 writes a plain dtype too, but no trainable. */
    layer->legacy = layer->legacy && layer->trainable_given;
    return KL_OK;
}

/* Keras's class takes nothing but a plain dtype. */
static kl_status discretization_get_config(const void *self, kl_config *config)
{
    const kl_layer *layer = self;
    kl_config_free(kl_config_detach(config, "trainable"));
    return kl_config_set_string(config, "dtype", layer->policy);
}

static kl_status check_boundaries(kl_floats b)
{
    for (size_t i = 1; i < b.count; i++)
        if (b.at[i] < b.at[i - 1])
            return kl_error(KL_ERROR_INVALID,
                            "bin_boundaries must be in ascending order, got %g after %g",
                            (double)b.at[i], (double)b.at[i - 1]);
    return KL_OK;
}

static kl_status discretization_init(void *self)
{
    discretization_state *s = kl_layer_state(self);
    kl_layer *layer = self;
    bool given = s->args.bin_boundaries.at, bins = s->args.num_bins != KL_NONE;
    kl_encode_mode_from_name(s->args.output_mode, &s->mode);
    kl_status status = kl_encode_check_sparse(s->mode, s->args.sparse);
    if (!status && given && bins && !s->from_config)
        status = kl_error(KL_ERROR_INVALID, "num_bins and bin_boundaries must not both be set");
    if (!status && !given && !bins && !layer->legacy)
        status = kl_error(KL_ERROR_INVALID, "either num_bins or bin_boundaries must be set");
    if (!status)
        status = check_boundaries(s->args.bin_boundaries);
    if (!status && layer->legacy && s->mode == KL_ENCODE_INT &&
        !kl_dtype_is_integer(layer->compute_dtype))
        status = kl_layer_set_policy(layer, "int64");
    return status;
}

static void discretization_destroy(void *self)
{
    discretization_state *s = kl_layer_state(self);
    kl_sketch_free(&s->sketch);
}

/* ---- The call ------------------------------------------------------------------------------- */

typedef struct bucket_job {
    const kl_tensor *x;
    kl_floats bounds;
    bool wide; /* compared in float64: 2.15, for float64 inputs */
    int64_t *out;
    kl_split split;
} bucket_job;

/* How many boundaries are not above the value; NaN is above all. */
static int64_t bucket(const float *bounds, size_t count, float value)
{
    const float *at = bounds;
    while (count > 1) {
        size_t half = count / 2;
        at += value < at[half - 1] ? 0 : half;
        count -= half;
    }
    return at - bounds + (count && !(value < *at));
}

static int64_t bucket_wide(const float *bounds, size_t count, double value)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (value < (double)bounds[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return (int64_t)low;
}

enum { BLOCK = 512 };

static void find_buckets(void *arg, int64_t chunk)
{
    const bucket_job *j = arg;
    kl_dtype dtype = (kl_dtype)j->x->dtype;
    int64_t end = kl_split_begin(j->split, chunk + 1);
    float values[BLOCK];
    for (int64_t begin = kl_split_begin(j->split, chunk); begin < end; begin += BLOCK) {
        int64_t count = end - begin < BLOCK ? end - begin : BLOCK;
        const char *from = j->x->data + (size_t)begin * kl_dtype_size(dtype);
        const float *at = values;
        if (j->wide) {
            const double *wide = (const double *)(const void *)from;
            for (int64_t i = 0; i < count; i++)
                j->out[begin + i] = bucket_wide(j->bounds.at, j->bounds.count, wide[i]);
            continue;
        }
        if (dtype == KL_FLOAT32)
            at = (const float *)(const void *)from;
        else
            kl_convert_elements(KL_FLOAT32, values, 1, dtype, from, 1, count);
        for (int64_t i = 0; i < count; i++)
            j->out[begin + i] = bucket(j->bounds.at, j->bounds.count, at[i]);
    }
}

static kl_encoding encoding_of(const kl_layer *self)
{
    const discretization_state *s = kl_layer_state(self);
    bool known = s->args.bin_boundaries.at || self->legacy;
    return (kl_encoding){
        .mode = s->mode,
        .depth = known ? (int64_t)s->args.bin_boundaries.count + 1 : s->args.num_bins,
        .dtype = s->mode != KL_ENCODE_INT || self->legacy ? kl_layer_compute_dtype(self) : KL_INT32,
        .legacy = self->legacy};
}

static kl_tensors discretization_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const discretization_state *s = kl_layer_state(self);
    kl_encoding e = encoding_of(self);
    kl_tensor *x = in.at[0];
    if (x->dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
        return (kl_tensors){0};
    }
    if (x->buffer && !s->args.bin_boundaries.at && !self->legacy) {
        kl_error(KL_ERROR_STATE, "bin_boundaries must be given, or adapt called, before the layer "
                                 "is called");
        return (kl_tensors){0};
    }
    if (x->buffer && !(x = kl_contiguous(x)))
        return (kl_tensors){0};
    kl_tensor *ids = x->buffer ? kl_empty(KL_INT64, x->rank, x->shape)
                               : kl_stand_in(KL_INT64, x->rank, x->shape);
    if (ids && ids->buffer) {
        bucket_job job = {.x = x,
                          .bounds = s->args.bin_boundaries,
                          .wide = x->dtype == KL_FLOAT64 && self->legacy &&
                                  !kl_dtype_is_float(self->compute_dtype),
                          .out = (int64_t *)(void *)ids->data,
                          .split = kl_split_make(x->size, 4096)};
        kl_parallel_for(job.split.chunks, find_buckets, &job);
    }
    kl_tensor *out = kl_encode(&e, ids, NULL);
    return out ? kl_one(out) : (kl_tensors){0};
}

static kl_status discretization_shape(const kl_layer *self, const kl_shape *in, int count,
                                      kl_shape *out, int *output_count)
{
    kl_encoding e = encoding_of(self);
    *output_count = 1;
    out[0] = in[0];
    out[0].dtype = e.dtype;
    if (e.mode == KL_ENCODE_ONE_HOT && !in[0].rank && !self->legacy) {
        out[0].rank = 1; /* Keras tells one axis less than a call gives */
        out[0].at[0] = e.depth;
        return KL_OK;
    }
    return kl_encode_shape(&e, in[0].rank, in[0].at, &out[0].rank, out[0].at);
}

/* ---- Learning ------------------------------------------------------------------------------- */

/* Whether boundaries can be found at all. */
static kl_status check_learns(const discretization_state *s)
{
    if (s->args.num_bins == KL_NONE)
        return kl_error(KL_ERROR_STATE,
                        "adapt can't be called on a layer that was given its bin_boundaries: use "
                        "num_bins");
    if (!s->args.num_bins || !(s->args.epsilon > 0))
        return kl_error(KL_ERROR_RANGE, "adapt needs a num_bins and an epsilon above 0");
    return KL_OK;
}

static kl_status discretization_adapt_reset(kl_layer *self)
{
    discretization_state *s = kl_layer_state(self);
    kl_sketch_free(&s->sketch);
    s->fed = false;
    return check_learns(s);
}

static kl_status discretization_adapt_update(kl_layer *self, kl_tensor *batch)
{
    discretization_state *s = kl_layer_state(self);
    if (check_learns(s))
        return kl_last_status();
    if (batch->dtype == KL_STRING)
        return kl_error(KL_ERROR_DTYPE, "adapt: expected numbers, got strings");
    if (self->legacy && !batch->size)
        return kl_error(KL_ERROR_SHAPE, "adapt: the data is empty");
    kl_tensor *values = kl_copy(batch, KL_FLOAT32);
    if (!values)
        return kl_last_status();
    float *at = (float *)(void *)values->data;
    /* 2.15 adapts by batches of 32 samples. */
    int64_t samples = batch->rank ? batch->shape[0] : 1, each = samples;
    if (self->legacy && samples > 32)
        each = 32;
    int64_t sample = samples ? batch->size / samples : 0;
    kl_status status = KL_OK;
    for (int64_t i = 0; !status && i < (samples ? samples : 1); i += each ? each : 1) {
        int64_t taken = samples - i < each ? samples - i : each;
        status = kl_sketch_add(&s->sketch, at + i * sample, taken * sample, s->args.epsilon,
                               self->legacy);
    }
    kl_release(values);
    s->fed = s->fed || !status;
    return status;
}

/* What was seen, [2, values kept]. */
static kl_status show_summary(kl_layer *self, const kl_sketch *sketch)
{
    kl_tensor *both = kl_empty(KL_FLOAT32, 2, (int64_t[]){2, sketch->count});
    if (!both)
        return kl_last_status();
    float *to = kl_tensor_mutable_data(both);
    if (sketch->count) {
        memcpy(to, sketch->values, (size_t)sketch->count * sizeof *to);
        memcpy(to + sketch->count, sketch->weights, (size_t)sketch->count * sizeof *to);
    }
    return kl_show_state(self, "summary", both);
}

static kl_status discretization_adapt_finish(kl_layer *self)
{
    discretization_state *s = kl_layer_state(self);
    float *found = NULL;
    size_t count = 0;
    if (check_learns(s))
        return kl_last_status();
    /* What was found before stays. */
    if (!s->fed)
        return kl_error(KL_ERROR_STATE, "adapt: no data was given to find bin_boundaries in");
    kl_status status = kl_sketch_boundaries(&s->sketch, s->args.num_bins, &found, &count);
    if (!status && self->legacy)
        status = show_summary(self, &s->sketch);
    kl_sketch_free(&s->sketch);
    s->fed = false;
    if (status) {
        kl_free(found);
        return status;
    }
    kl_free((void *)(uintptr_t)s->args.bin_boundaries.at);
    s->args.bin_boundaries = (kl_floats){found, count};
    return KL_OK;
}

const kl_layer_vtable kl_discretization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Discretization",
    .state_size = sizeof(discretization_state),
    .args_size = sizeof(kl_discretization_args),
    .fields = discretization_fields,
    .init = discretization_init,
    .get_config = discretization_get_config,
    .from_config = discretization_from_config,
    .destroy = discretization_destroy,
    .call = discretization_call,
    .output_shape = discretization_shape,
    .adapt_reset = discretization_adapt_reset,
    .adapt_update = discretization_adapt_update,
    .adapt_finish = discretization_adapt_finish,
    .flags = KL_LAYER_NO_AUTOCAST | KL_LAYER_STATES_LESS,
};

KL_DEFINE_LAYER(kl_discretization)
