#include <string.h>

#include "base/hash_bins.h"
#include "base/thread_pool.h"
#include "klayers/layers/preprocessing.h"
#include "layers/preprocessing/encode.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

typedef struct hashing_state {
    kl_hashing_args args;
    kl_encode_mode mode;
    kl_hash_bins bins; /* but for the mask's */
    bool masks;
} hashing_state;

#define ARG(member) offsetof(kl_hashing_args, member)
static const kl_field hashing_fields[] = {
    {"num_bins", KL_FIELD_INT, ARG(num_bins), .doc = "how many bins", .min = 1,
     .max = 9223372036854774784.0, .flags = KL_FIELD_REQUIRED},
    {"mask_value", KL_FIELD_INT, ARG(mask_value), .doc = "the number that has bin 0",
     .flags = KL_FIELD_OPTIONAL},
    {"mask_text", KL_FIELD_STRING, ARG(mask_text), .doc = "the string that has bin 0",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"mask_float", KL_FIELD_FLOAT, ARG(mask_float), .doc = "a number that isn't whole",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"salt", KL_FIELD_INTS, ARG(salt), .doc = "the key of another hash",
     .flags = KL_FIELD_OPTIONAL},
    {"output_mode", KL_FIELD_STRING, ARG(output_mode), "int", .doc = "what comes out",
     .choices = "int|one_hot|multi_hot|count"},
    {"sparse", KL_FIELD_BOOL, ARG(sparse), "false", .doc = "kept; values are dense"},
    {0}};

/* A config's mask is a number or a string. */
static kl_status hashing_from_config(void *self, kl_config *config)
{
    const kl_config *mask = kl_config_get(config, "mask_value");
    int64_t whole;
    double number;
    if (!mask || kl_config_as_int(mask, &whole))
        return KL_OK;
    if (kl_config_as_string(mask))
        return kl_config_set(config, "mask_text", kl_config_detach(config, "mask_value"));
    if (kl_config_as_float(mask, &number))
        return kl_config_set(config, "mask_float", kl_config_detach(config, "mask_value"));
    return KL_OK;
}

static kl_status hashing_get_config(const void *self, kl_config *config)
{
    const hashing_state *s = kl_object_state(self);
    kl_status status = KL_OK;
    if (s->args.mask_text)
        status = kl_config_set_string(config, "mask_value", s->args.mask_text);
    else if (!isnan(s->args.mask_float))
        status = kl_config_set(config, "mask_value", kl_config_new_float(s->args.mask_float));
    if (status || s->args.salt.count != 1)
        return status;
    kl_config *pair = kl_config_new_list();
    for (int i = 0; pair && i < 2; i++) {
        if (kl_config_append(pair, kl_config_new_int(s->args.salt.at[0]))) {
            kl_config_free(pair);
            return kl_last_status();
        }
    }
    return pair ? kl_config_set(config, "salt", pair) : kl_last_status();
}

static kl_status hashing_init(void *self)
{
    hashing_state *s = kl_layer_state(self);
    kl_layer *layer = self;
    kl_encode_mode_from_name(s->args.output_mode, &s->mode);
    kl_status status = kl_encode_check_sparse(s->mode, s->args.sparse);
    if (!status && s->args.num_bins == KL_NONE)
        status = kl_error(KL_ERROR_INVALID, "num_bins must be given");
    if (!status)
        status = kl_encode_default_dtype(layer, s->mode);
    if (!status && s->mode == KL_ENCODE_INT && !kl_dtype_is_integer(layer->compute_dtype))
        status = layer->legacy ? kl_layer_set_policy(layer, "int64")
                               : kl_error(KL_ERROR_INVALID,
                                          "with output_mode 'int' the dtype must be int32 or "
                                          "int64, got %s",
                                          layer->policy);
    if (status)
        return status;
    bool masks = s->args.mask_value != KL_NONE || s->args.mask_text || !isnan(s->args.mask_float);
    s->masks = masks && s->args.num_bins > 1;
    return kl_hash_bins_set(&s->bins, s->args.num_bins - s->masks, s->args.salt);
}

typedef struct hash_job {
    const hashing_state *s;
    const kl_tensor *x;
    int64_t *out;
    kl_split split;
} hash_job;

static bool is_masked(const hashing_state *s, const kl_tensor *x, int64_t i)
{
    if (x->dtype == KL_STRING) {
        kl_string text = ((const kl_string *)(const void *)x->data)[i];
        return strlen(s->args.mask_text) == text.length &&
               !memcmp(s->args.mask_text, text.at, text.length);
    }
    kl_dtype dtype = (kl_dtype)x->dtype;
    const char *at = x->data + (size_t)i * kl_dtype_size(dtype);
    if (!kl_dtype_is_float(dtype)) {
        int64_t value;
        kl_read_whole(x, i, 1, &value);
        return value == s->args.mask_value;
    }
    double mask = isnan(s->args.mask_float) ? (double)s->args.mask_value : s->args.mask_float;
    return kl_load_element(dtype, at) == (dtype == KL_FLOAT64 ? mask : (double)(float)mask);
}

static void hash_strings(const hash_job *j, int64_t begin, int64_t end)
{
    kl_hash_bins_of_texts(&j->s->bins, (const kl_string *)(const void *)j->x->data + begin,
                          end - begin, j->out + begin);
}

static void hash_numbers(const hash_job *j, int64_t begin, int64_t end)
{
    enum { BLOCK = 256 };
    int64_t values[BLOCK];
    for (; begin < end; begin += BLOCK) {
        int64_t count = end - begin < BLOCK ? end - begin : BLOCK;
        kl_read_whole(j->x, begin, count, values);
        if (j->x->dtype == KL_BOOL) {
            for (int64_t i = 0; i < count; i++) {
                kl_string text = values[i] ? (kl_string){"true", 4} : (kl_string){"false", 5};
                kl_hash_bins_of_texts(&j->s->bins, &text, 1, j->out + begin + i);
            }
        } else {
            kl_hash_bins_of_ints(&j->s->bins, values, count, j->out + begin);
        }
    }
}

static void hash_chunk(void *arg, int64_t chunk)
{
    const hash_job *j = arg;
    int64_t begin = kl_split_begin(j->split, chunk), end = kl_split_begin(j->split, chunk + 1);
    if (j->x->dtype == KL_STRING)
        hash_strings(j, begin, end);
    else
        hash_numbers(j, begin, end);
    if (j->s->masks)
        for (int64_t i = begin; i < end; i++)
            j->out[i] = is_masked(j->s, j->x, i) ? 0 : j->out[i] + 1;
}

static kl_status check_input(const kl_layer *self, const kl_tensor *x)
{
    const hashing_state *s = kl_layer_state(self);
    kl_dtype dtype = (kl_dtype)x->dtype;
    if (self->legacy && (kl_dtype_is_float(dtype) || dtype == KL_BOOL))
        return kl_error(KL_ERROR_DTYPE, "expected integers or strings, got %s",
                        kl_dtype_name(dtype));
    if (s->masks && (dtype == KL_STRING) != (s->args.mask_text != NULL))
        return kl_error(KL_ERROR_DTYPE, "mask_value is %s, but the input is %s",
                        s->args.mask_text ? "a string" : "a number", kl_dtype_name(dtype));
    if (s->masks && !isnan(s->args.mask_float) && !kl_dtype_is_float(dtype))
        return kl_error(KL_ERROR_DTYPE, "mask_value is %g, but the input is %s", s->args.mask_float,
                        kl_dtype_name(dtype));
    if (s->mode == KL_ENCODE_ONE_HOT && !x->rank && !self->legacy)
        return kl_error(KL_ERROR_SHAPE, "output_mode 'one_hot' needs an input with an axis");
    return KL_OK;
}

static kl_tensors hashing_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const hashing_state *s = kl_layer_state(self);
    kl_encoding e = {.mode = s->mode,
                     .depth = s->args.num_bins,
                     .dtype = kl_layer_compute_dtype(self),
                     .legacy = self->legacy};
    kl_tensor *x = in.at[0];
    if (check_input(self, x) || (x->buffer && !(x = kl_contiguous(x))))
        return (kl_tensors){0};
    int rank = x->rank;
    if (s->mode == KL_ENCODE_ONE_HOT && rank && x->shape[rank - 1] == 1 && !self->legacy)
        rank--;
    kl_tensor *ids =
        x->buffer ? kl_empty(KL_INT64, rank, x->shape) : kl_stand_in(KL_INT64, rank, x->shape);
    if (ids && ids->buffer) {
        hash_job job = {s, x, (int64_t *)(void *)ids->data, kl_split_make(x->size, 2048)};
        kl_parallel_for(job.split.chunks, hash_chunk, &job);
    }
    kl_tensor *out = kl_encode(&e, ids, NULL);
    return out ? kl_one(out) : (kl_tensors){0};
}

/* Keras says that the last axis gives way to the bins, also for one_hot. */
static kl_status hashing_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                               int *output_count)
{
    const hashing_state *s = kl_layer_state(self);
    *output_count = 1;
    out[0] = in[0];
    out[0].dtype = kl_layer_compute_dtype(self);
    if (self->legacy) {
        kl_encoding e = {.mode = s->mode, .depth = s->args.num_bins, .legacy = true};
        return kl_encode_shape(&e, in[0].rank, in[0].at, &out[0].rank, out[0].at);
    }
    if (s->mode == KL_ENCODE_INT)
        return KL_OK;
    if (!out[0].rank)
        out[0].rank = 1;
    out[0].at[out[0].rank - 1] = s->args.num_bins;
    return KL_OK;
}

const kl_layer_vtable kl_hashing_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Hashing",
    .state_size = sizeof(hashing_state),
    .args_size = sizeof(kl_hashing_args),
    .fields = hashing_fields,
    .init = hashing_init,
    .get_config = hashing_get_config,
    .from_config = hashing_from_config,
    .call = hashing_call,
    .output_shape = hashing_shape,
    .flags = KL_LAYER_NO_AUTOCAST | KL_LAYER_STATES_LESS,
};

KL_DEFINE_LAYER(kl_hashing)
