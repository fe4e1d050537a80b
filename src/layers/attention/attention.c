/* Attention and AdditiveAttention: scores of their own, the rest alike. */
#include "klayers/layers/attention.h"

#include <string.h>

#include "layers/attention/masks.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

typedef struct attention_state {
    kl_attention_args args;
    kl_weight *scale, *concat_weight;
} attention_state;

typedef struct additive_state {
    kl_additive_attention_args args;
    kl_weight *scale;
} additive_state;

static const kl_field attention_fields[] = {
    {"use_scale", KL_FIELD_BOOL, offsetof(kl_attention_args, use_scale), "false",
     .doc = "a trainable factor of the scores"},
    {"score_mode", KL_FIELD_STRING, offsetof(kl_attention_args, score_mode), "dot",
     .doc = "product of query and key, or the sum of tanh(query + key)", .choices = "dot|concat"},
    {"dropout", KL_FIELD_FLOAT, offsetof(kl_attention_args, dropout), "0",
     .doc = "fraction of the scores to drop", .min = 0, .max = 1},
    {"seed", KL_FIELD_INT, offsetof(kl_attention_args, seed), .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static const kl_field additive_fields[] = {
    {"use_scale", KL_FIELD_BOOL, offsetof(kl_additive_attention_args, use_scale), "true",
     .doc = "trainable factors [dim] of the terms"},
    {"dropout", KL_FIELD_FLOAT, offsetof(kl_additive_attention_args, dropout), "0",
     .doc = "fraction of the scores to drop", .min = 0, .max = 1},
    {"seed", KL_FIELD_INT, offsetof(kl_additive_attention_args, seed), .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status check_count(int count)
{
    if (count == 2 || count == 3)
        return KL_OK;
    return kl_error(KL_ERROR_SHAPE,
                    "expected a list of 2 or 3 inputs, namely [query, value] or "
                    "[query, value, key], got %d",
                    count);
}

/* Of {query, value} or {query, value, key}, the same length and width where they meet. */
static kl_status check_inputs(const kl_shape *in, int count)
{
    if (check_count(count))
        return kl_last_status();
    const kl_shape *value = &in[1], *key = &in[count - 1];
    if (in[0].rank < 2 || value->rank < 2 || key->rank < 2)
        return kl_error(KL_ERROR_SHAPE, "expected inputs of at least 2 axes");
    int64_t width = in[0].at[in[0].rank - 1], key_width = key->at[key->rank - 1];
    if (width >= 0 && key_width >= 0 && width != key_width)
        return kl_error(KL_ERROR_SHAPE, "query and key must have one last axis, got %lld and %lld",
                        (long long)width, (long long)key_width);
    int64_t length = value->at[value->rank - 2], key_length = key->at[key->rank - 2];
    if (length >= 0 && key_length >= 0 && length != key_length)
        return kl_error(KL_ERROR_SHAPE, "value and key must have one length, got %lld and %lld",
                        (long long)length, (long long)key_length);
    return KL_OK;
}

static kl_weight *add_scalar(kl_layer *self, const char *name)
{
    return kl_add_weight(.layer = self, .name = name, .shape = {KL_SCALAR}, .initializer = "ones");
}

static kl_status attention_build(kl_layer *self, const kl_shape *in, int count)
{
    attention_state *s = kl_layer_state(self);
    kl_status status = check_inputs(in, count);
    s->scale = s->concat_weight = NULL;
    if (!status && s->args.use_scale && !(s->scale = add_scalar(self, "scale")))
        status = kl_last_status();
    if (!status && !strcmp(s->args.score_mode, "concat") &&
        !(s->concat_weight = add_scalar(self, "concat_score_weight")))
        status = kl_last_status();
    return status;
}

static kl_status additive_build(kl_layer *self, const kl_shape *in, int count)
{
    additive_state *s = kl_layer_state(self);
    kl_status status = check_inputs(in, count);
    if (status || !s->args.use_scale)
        return status;
    int64_t width = in[0].at[in[0].rank - 1];
    if (width < 0)
        return kl_error(KL_ERROR_SHAPE, "the last axis of the query must be known, got None");
    s->scale = kl_add_weight(.layer = self, .name = "scale", .shape = {width},
                             .initializer = "glorot_uniform");
    return s->scale ? KL_OK : kl_last_status();
}

static kl_tensor *sum_of_pairs(kl_tensor *query, kl_tensor *key)
{
    return kl_op_add(kl_op_expand_dims(query, -2), kl_op_expand_dims(key, -3));
}

static kl_tensor *attention_scores(const kl_layer *self, kl_context *ctx, kl_tensor *query,
                                   kl_tensor *key)
{
    const attention_state *s = kl_layer_state(self);
    kl_tensor *scale = s->scale ? kl_read(ctx, s->scale) : NULL;
    if (s->scale && !scale)
        return NULL;
    if (!s->concat_weight) {
        kl_tensor *scores = kl_op_matmul_t(query, false, key, true);
        return scale ? kl_op_mul(scores, scale) : scores;
    }
    kl_tensor *sum = sum_of_pairs(query, key);
    if (scale)
        sum = kl_op_mul(scale, sum);
    return kl_op_mul(kl_read(ctx, s->concat_weight),
                     kl_op_sum(kl_op_tanh(sum), KL_AXES(-1), false));
}

static kl_tensor *additive_scores(const kl_layer *self, kl_context *ctx, kl_tensor *query,
                                  kl_tensor *key)
{
    const additive_state *s = kl_layer_state(self);
    kl_tensor *terms = kl_op_tanh(sum_of_pairs(query, key));
    if (s->scale)
        terms = kl_op_mul(kl_read(ctx, s->scale), terms);
    return kl_op_sum(terms, KL_AXES(-1), false);
}

typedef kl_tensor *scores_function(const kl_layer *self, kl_context *ctx, kl_tensor *query,
                                   kl_tensor *key);

/* Which scores count: those of unmasked values, and with a causal mask of none after the query's
   place. NULL in *out: all. */
static bool find_mask(kl_context *ctx, int64_t rows, int64_t columns, kl_tensor **out)
{
    kl_tensor *value_mask = kl_input_mask(ctx, 1);
    *out = NULL;
    if (kl_context_shapes_only(ctx))
        return true;
    if (value_mask && !kl_join_masks(out, kl_op_expand_dims(value_mask, -2)))
        return false;
    return !kl_call_flag(ctx, "use_causal_mask", false) ||
           kl_join_masks(out, kl_causal_mask(rows, columns));
}

/* Masked scores lose 1e9, as in Keras: a row without any other keeps their order. */
static kl_tensor *mask_scores(kl_tensor *scores, kl_tensor *mask)
{
    if (!mask || !scores)
        return scores;
    double most = kl_tensor_dtype(scores) == KL_FLOAT16 ? 65504 : 1e9;
    return kl_op_where(mask, scores, kl_op_add_scalar(scores, -most));
}

/* Where the query's mask is false the result is 0. */
static kl_tensor *mask_result(kl_context *ctx, kl_tensor *result)
{
    kl_tensor *query_mask = kl_input_mask(ctx, 0);
    if (!query_mask || !result)
        return result;
    return kl_op_where(kl_op_expand_dims(query_mask, -1), result,
                       kl_scalar(kl_tensor_dtype(result), 0));
}

static kl_tensors attend(const kl_layer *self, kl_context *ctx, kl_tensors in, double dropout,
                         scores_function *find_scores)
{
    kl_tensor *query = in.at[0], *value = in.at[1], *key = in.at[in.count - 1], *mask = NULL;
    kl_tensor *scores = find_scores(self, ctx, query, key);
    if (!scores ||
        !find_mask(ctx, scores->shape[scores->rank - 2], scores->shape[scores->rank - 1], &mask))
        return kl_one(NULL);
    kl_tensor *weights = kl_op_softmax(mask_scores(scores, mask), -1);
    if (kl_training(ctx) && dropout > 0)
        weights = kl_op_dropout(weights, dropout, NULL);
    kl_tensor *result = mask_result(ctx, kl_op_matmul(weights, value));
    if (!kl_call_flag(ctx, "return_attention_scores", false))
        return kl_one(result);
    return kl_many(2, (kl_tensor *const[]){result, weights});
}

/* Whether the attention op gives what the scores would, to the rounding: a float32 score that loses
   1e9 is lost in it, so that a row without any key is uniform, while a float64 one is not. */
static bool is_fused(const attention_state *s, kl_context *ctx, kl_tensors in)
{
    kl_dtype dtype = kl_tensor_dtype(in.at[0]);
    bool same = dtype == KL_FLOAT32 || dtype == KL_FLOAT64;
    for (int i = 0; i < in.count; i++)
        same = same && in.at[i]->rank == 3 && kl_tensor_dtype(in.at[i]) == dtype;
    return same && !s->concat_weight && !(kl_training(ctx) && s->args.dropout > 0) &&
           !kl_call_flag(ctx, "return_attention_scores", false);
}

static kl_tensor *attend_fused(const attention_state *s, kl_context *ctx, kl_tensors in)
{
    kl_tensor *query = in.at[0], *mask = kl_context_shapes_only(ctx) ? NULL : kl_input_mask(ctx, 1);
    const kl_attention_options options = {.scale = 1,
                                          .causal = kl_call_flag(ctx, "use_causal_mask", false),
                                          .empty = kl_tensor_dtype(query) == KL_FLOAT64
                                                       ? KL_EMPTY_ROW_UNMASKED
                                                       : KL_EMPTY_ROW_ROUNDED};
    if (s->scale)
        query = kl_op_mul(query, kl_read(ctx, s->scale));
    if (mask && !(mask = kl_op_reshape(mask, 4, (const int64_t[]){mask->shape[0], 1, 1, -1})))
        return NULL;
    kl_tensor *result =
        kl_op_attention(kl_op_expand_dims(query, 2), kl_op_expand_dims(in.at[in.count - 1], 2),
                        kl_op_expand_dims(in.at[1], 2), mask, &options);
    return result ? mask_result(ctx, kl_op_squeeze(result, 2)) : NULL;
}

static kl_tensors attention_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const attention_state *s = kl_layer_state(self);
    if (check_count(in.count))
        return kl_one(NULL);
    if (is_fused(s, ctx, in))
        return kl_one(attend_fused(s, ctx, in));
    return attend(self, ctx, in, s->args.dropout, attention_scores);
}

static kl_tensors additive_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const additive_state *s = kl_layer_state(self);
    if (check_count(in.count))
        return kl_one(NULL);
    return attend(self, ctx, in, s->args.dropout, additive_scores);
}

/* The query's mask goes with the result, none with the scores. */
static kl_tensor *query_mask(const kl_layer *self, kl_context *ctx, kl_tensors in, kl_tensors masks,
                             kl_tensors out, int index)
{
    return index ? NULL : masks.at[0];
}

const kl_layer_vtable kl_attention_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Attention",
    .state_size = sizeof(attention_state),
    .args_size = sizeof(kl_attention_args),
    .fields = attention_fields,
    .build = attention_build,
    .call = attention_call,
    .compute_mask = query_mask,
    .flags = KL_LAYER_MANY_INPUTS | KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_attention)

const kl_layer_vtable kl_additive_attention_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AdditiveAttention",
    .state_size = sizeof(additive_state),
    .args_size = sizeof(kl_additive_attention_args),
    .fields = additive_fields,
    .build = additive_build,
    .call = additive_call,
    .compute_mask = query_mask,
    .flags = KL_LAYER_MANY_INPUTS | KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_additive_attention)
