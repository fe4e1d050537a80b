#include "klayers/layers/preprocessing.h"
#include "layers/preprocessing/encode.h"
#include "tensor/tensor.h"

typedef struct category_state {
    kl_category_encoding_args args;
    kl_encode_mode mode;
} category_state;

#define ARG(member) offsetof(kl_category_encoding_args, member)
static const kl_field category_fields[] = {
    {"num_tokens", KL_FIELD_INT, ARG(num_tokens), .doc = "how many ids there are", .min = 1,
     .max = 2147483647, .alias = "max_tokens", .flags = KL_FIELD_REQUIRED},
    {"output_mode", KL_FIELD_STRING, ARG(output_mode), "multi_hot", .doc = "what comes out",
     .choices = "multi_hot|one_hot|count|binary"},
    {"sparse", KL_FIELD_BOOL, ARG(sparse), "false", .doc = "kept; values are dense"},
    {0}};

static kl_status category_init(void *self)
{
    category_state *s = kl_layer_state(self);
    kl_encode_mode_from_name(s->args.output_mode, &s->mode);
    if (s->args.num_tokens == KL_NONE)
        return kl_error(KL_ERROR_INVALID, "num_tokens must be set; if the number of tokens isn't "
                                          "known, use IntegerLookup");
    return KL_OK;
}

static kl_encoding encoding_of(const kl_layer *self)
{
    const category_state *s = kl_layer_state(self);
    return (kl_encoding){.mode = s->mode,
                         .depth = s->args.num_tokens,
                         .dtype = kl_layer_compute_dtype(self),
                         .legacy = self->legacy};
}

/* 2.15 takes no other ids. */
static kl_status check_range(const kl_tensor *ids, int64_t count)
{
    const int64_t *at = (const int64_t *)(const void *)ids->data;
    for (int64_t i = 0; i < ids->size; i++)
        if (at[i] < 0 || at[i] >= count)
            return kl_error(KL_ERROR_RANGE, "ids must be in 0..%lld, got %lld",
                            (long long)count - 1, (long long)at[i]);
    return KL_OK;
}

static kl_tensor *read_ids(const kl_tensor *x)
{
    kl_tensor *ids = kl_empty(KL_INT64, x->rank, x->shape);
    if (ids && ids->buffer)
        kl_read_whole(x, 0, x->size, (int64_t *)(void *)ids->data);
    return ids;
}

static kl_tensors category_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_encoding e = encoding_of(self);
    kl_tensor *x = in.at[0], *weights = kl_call_argument(ctx, "count_weights"), *ids;
    if (x->dtype == KL_STRING || (weights && weights->dtype == KL_STRING)) {
        kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
        return (kl_tensors){0};
    }
    if (weights && e.mode != KL_ENCODE_COUNT) {
        kl_error(KL_ERROR_INVALID, "count_weights is not used unless output_mode is 'count'");
        return (kl_tensors){0};
    }
    if (!x->buffer) {
        ids = kl_stand_in(KL_INT64, x->rank, x->shape);
    } else {
        x = x->dtype == KL_INT64 ? x : kl_contiguous(x);
        ids = !x ? NULL : x->dtype == KL_INT64 ? kl_contiguous(x) : read_ids(x);
        if (ids && self->legacy && check_range(ids, e.depth))
            return (kl_tensors){0};
    }
    kl_tensor *out = kl_encode(&e, ids, weights);
    return out ? kl_one(out) : (kl_tensors){0};
}

/* Keras says that the last axis is gathered, where a call gathers the second. */
static kl_status category_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                                int *output_count)
{
    kl_encoding e = encoding_of(self);
    kl_shape shape = in[0];
    bool adds = e.mode == KL_ENCODE_ONE_HOT && shape.rank &&
                (shape.at[shape.rank - 1] != 1 || shape.rank == 1);
    *output_count = 1;
    if (self->legacy)
        adds = adds && shape.at[shape.rank - 1] != 1;
    if (adds && self->legacy && shape.rank > 1)
        return kl_error(KL_ERROR_SHAPE, "if output_mode is not 'int', at most 2 axes come out");
    if (shape.rank + adds > KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "the input has too many axes, %d", shape.rank);
    if (!shape.rank || adds)
        shape.rank++;
    shape.at[shape.rank - 1] = e.depth;
    shape.dtype = e.dtype;
    out[0] = shape;
    return KL_OK;
}

const kl_layer_vtable kl_category_encoding_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "CategoryEncoding",
    .state_size = sizeof(category_state),
    .args_size = sizeof(kl_category_encoding_args),
    .fields = category_fields,
    .init = category_init,
    .call = category_call,
    .output_shape = category_shape,
    .flags = KL_LAYER_NO_AUTOCAST | KL_LAYER_STATES_LESS,
};

KL_DEFINE_LAYER(kl_category_encoding)
