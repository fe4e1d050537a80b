#include "base/hash.h"
#include "base/thread_pool.h"
#include "klayers/layers/preprocessing.h"
#include "layers/preprocessing/encode.h"
#include "tensor/tensor.h"

typedef struct crossing_state {
    kl_hashed_crossing_args args;
    kl_encode_mode mode;
} crossing_state;

#define ARG(member) offsetof(kl_hashed_crossing_args, member)
static const kl_field crossing_fields[] = {
    {"num_bins", KL_FIELD_INT, ARG(num_bins), .doc = "how many bins", .min = 0,
     .max = 9223372036854774784.0, .flags = KL_FIELD_REQUIRED},
    {"output_mode", KL_FIELD_STRING, ARG(output_mode), "int", .doc = "what comes out",
     .choices = "int|one_hot"},
    {"sparse", KL_FIELD_BOOL, ARG(sparse), "false", .doc = "kept; values are dense"},
    {0}};

static kl_status crossing_init(void *self)
{
    crossing_state *s = kl_layer_state(self);
    kl_layer *layer = self;
    kl_encode_mode_from_name(s->args.output_mode, &s->mode);
    if (s->args.num_bins == KL_NONE)
        return kl_error(KL_ERROR_INVALID, "num_bins must be given");
    kl_status status = kl_encode_default_dtype(layer, s->mode);
    if (!status && layer->legacy && s->mode == KL_ENCODE_INT &&
        !kl_dtype_is_integer(layer->compute_dtype))
        status = kl_error(KL_ERROR_INVALID,
                          "with output_mode 'int' the dtype must be an integer type, got %s",
                          layer->policy);
    return status;
}

/* Keras 3 writes a plain dtype too, but no trainable. */
static kl_status crossing_from_config(void *self, kl_config *config)
{
    kl_layer *layer = self;
    layer->legacy = layer->legacy && layer->trainable_given;
    return KL_OK;
}

/* Keras's class takes nothing but a plain dtype. */
static kl_status crossing_get_config(const void *self, kl_config *config)
{
    const kl_layer *layer = self;
    kl_config_free(kl_config_detach(config, "trainable"));
    return kl_config_set_string(config, "dtype", kl_dtype_name(layer->compute_dtype));
}

static kl_status check_features(kl_tensors in)
{
    const kl_tensor *first = in.at[0];
    char text[160];
    if (in.count < 2)
        return kl_error(KL_ERROR_SHAPE, "expected at least two inputs, got %d", in.count);
    if (first->rank > 2 || (first->rank == 2 && first->shape[1] != 1))
        return kl_error(KL_ERROR_SHAPE, "inputs must have shape (), (batch) or (batch, 1), got %s",
                        kl_shape_text(first->rank, first->shape, text, sizeof text));
    for (int i = 0; i < in.count; i++) {
        kl_dtype dtype = (kl_dtype)in.at[i]->dtype;
        if (!kl_shape_equal(in.at[i], first))
            return kl_error(KL_ERROR_SHAPE, "inputs must have equal shapes, got %s as input %d",
                            kl_shape_text(in.at[i]->rank, in.at[i]->shape, text, sizeof text), i);
        if (dtype != KL_STRING && !kl_dtype_is_integer(dtype))
            return kl_error(KL_ERROR_DTYPE, "inputs must be integers or strings, got %s",
                            kl_dtype_name(dtype));
    }
    return KL_OK;
}

/* Farm's way to join two fingerprints, as TensorFlow has it. */
static uint64_t join(uint64_t a, uint64_t b)
{
    const uint64_t factor = UINT64_C(0xc6a4a7935bd1e995);
    uint64_t mixed = b * factor;
    uint64_t result = a ^ factor ^ (mixed ^ mixed >> 47) * factor;
    result *= factor;
    result = (result ^ result >> 47) * factor;
    return result ^ result >> 47;
}

typedef struct cross_job {
    kl_tensors features;
    uint64_t bins;
    uint64_t *out;
    kl_split split;
} cross_job;

static void cross(void *arg, int64_t chunk)
{
    const cross_job *j = arg;
    int64_t begin = kl_split_begin(j->split, chunk), end = kl_split_begin(j->split, chunk + 1);
    for (int64_t i = begin; i < end; i++)
        j->out[i] = UINT64_C(0xDECAFCAFFE);
    for (int f = 0; f < j->features.count; f++) {
        const kl_tensor *x = j->features.at[f];
        const kl_string *texts = (const kl_string *)(const void *)x->data;
        for (int64_t block = begin; block < end; block += 256) {
            int64_t count = end - block < 256 ? end - block : 256, values[256];
            if (x->dtype != KL_STRING)
                kl_read_whole(x, block, count, values);
            for (int64_t i = 0; i < count; i++) {
                uint64_t value = x->dtype != KL_STRING ? (uint64_t)values[i]
                                                       : kl_fingerprint64(texts[block + i].at,
                                                                          texts[block + i].length);
                j->out[block + i] = join(j->out[block + i], value);
            }
        }
    }
    for (int64_t i = begin; i < end; i++)
        j->out[i] %= j->bins;
}

static kl_tensors crossing_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const crossing_state *s = kl_layer_state(self);
    kl_encoding e = {.mode = s->mode,
                     .depth = s->args.num_bins,
                     .dtype = kl_layer_compute_dtype(self),
                     .legacy = self->legacy};
    if (check_features(in))
        return (kl_tensors){0};
    kl_tensor *features[KL_MAX_LIST];
    if (in.count > KL_MAX_LIST) {
        kl_error(KL_ERROR_SHAPE, "more than %d inputs, %d", KL_MAX_LIST, in.count);
        return (kl_tensors){0};
    }
    bool known = true;
    for (int i = 0; i < in.count; i++) {
        known = known && in.at[i]->buffer;
        features[i] = in.at[i]->buffer ? kl_contiguous(in.at[i]) : in.at[i];
        if (!features[i])
            return (kl_tensors){0};
    }
    const kl_tensor *first = in.at[0];
    kl_tensor *ids = known ? kl_empty(KL_INT64, first->rank, first->shape)
                           : kl_stand_in(KL_INT64, first->rank, first->shape);
    if (ids && ids->buffer) {
        cross_job job = {.features = {in.count, features},
                         .bins = s->args.num_bins ? (uint64_t)s->args.num_bins : INT64_MAX,
                         .out = (uint64_t *)(void *)ids->data,
                         .split = kl_split_make(ids->size, 4096)};
        kl_parallel_for(job.split.chunks, cross, &job);
    }
    kl_tensor *out = kl_encode(&e, ids, NULL);
    return out ? kl_one(out) : (kl_tensors){0};
}

static kl_status crossing_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                                int *output_count)
{
    const crossing_state *s = kl_layer_state(self);
    kl_shape shape = in[0];
    char text[160];
    *output_count = 1;
    if (shape.rank > 2 || (shape.rank == 2 && shape.at[1] != 1 && shape.at[1] != -1))
        return kl_error(KL_ERROR_SHAPE, "inputs must have shape (), (batch) or (batch, 1), got %s",
                        kl_shape_text(shape.rank, shape.at, text, sizeof text));
    if (s->mode == KL_ENCODE_ONE_HOT) {
        bool adds = !shape.rank || shape.at[shape.rank - 1] != 1;
        shape.rank += adds;
        shape.at[shape.rank - 1] = s->args.num_bins;
    }
    shape.dtype = kl_layer_compute_dtype(self);
    out[0] = shape;
    return KL_OK;
}

const kl_layer_vtable kl_hashed_crossing_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "HashedCrossing",
    .state_size = sizeof(crossing_state),
    .args_size = sizeof(kl_hashed_crossing_args),
    .fields = crossing_fields,
    .init = crossing_init,
    .get_config = crossing_get_config,
    .from_config = crossing_from_config,
    .call = crossing_call,
    .output_shape = crossing_shape,
    .flags = KL_LAYER_NO_AUTOCAST | KL_LAYER_MANY_INPUTS | KL_LAYER_STATES_LESS,
};

KL_DEFINE_LAYER(kl_hashed_crossing)
