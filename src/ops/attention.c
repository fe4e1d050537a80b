/* Scaled dot-product attention. */
#include <string.h>

#include "ops/common.h"

/* [1, 1, T, S], true where causality and window allow. */
static kl_tensor *place_mask(int64_t rows, int64_t columns, const kl_attention_options *o)
{
    kl_tensor *mask = kl_empty(KL_BOOL, 4, (const int64_t[]){1, 1, rows, columns});
    if (!mask || !mask->buffer)
        return mask;
    bool *at = kl_tensor_mutable_data(mask);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            *at++ =
                (!o->causal || c <= r) && (!o->window || (c - r < o->window && r - c < o->window));
    return mask;
}

static kl_tensor *mask_scores(kl_tensor *scores, kl_tensor *mask, const kl_attention_options *o)
{
    if (o->empty == KL_EMPTY_ROW_UNMASKED)
        return kl_op_where(mask, scores, kl_op_add_scalar(scores, -1e9));
    return kl_op_where(mask, scores, kl_scalar(kl_tensor_dtype(scores), -2.37267e38));
}

/* Through scores in full, by primitive ops; on [batch, length, heads, size] tensors that agree. */
static kl_tensor *compose(kl_tensor *q, kl_tensor *k, kl_tensor *v, kl_tensor *mask,
                          const kl_attention_options *o)
{
    static const int heads_first[4] = {0, 2, 1, 3};
    int64_t groups = k->shape[2] ? q->shape[2] / k->shape[2] : 1;
    if (groups > 1) {
        k = kl_op_repeat(k, groups, 2);
        v = kl_op_repeat(v, groups, 2);
    }
    if (o->causal || o->window) {
        kl_tensor *places = place_mask(q->shape[1], k ? k->shape[1] : 0, o);
        mask = mask ? kl_op_logical_and(mask, places) : places;
        if (!mask)
            return NULL;
    }
    kl_tensor *scores = kl_op_matmul_t(kl_op_transpose(q, heads_first), false,
                                       kl_op_transpose(k, heads_first), true);
    if (scores && !kl_is_wide(scores))
        scores = kl_as_dtype(scores, KL_FLOAT32);
    scores = kl_op_mul_scalar(scores, o->scale);
    if (mask && scores)
        scores = mask_scores(scores, mask, o);
    kl_tensor *weights = kl_op_softmax(scores, -1);
    if (mask && weights && o->empty == KL_EMPTY_ROW_ZERO)
        weights = kl_op_where(mask, weights, kl_scalar(kl_tensor_dtype(weights), 0));
    weights = kl_as_dtype(weights, (kl_dtype)q->dtype);
    kl_tensor *out = kl_op_matmul(weights, kl_op_transpose(v, heads_first));
    return kl_op_transpose(out, heads_first);
}

static kl_status check_shapes(const kl_tensor *q, const kl_tensor *k, const kl_tensor *v,
                              const kl_tensor *mask)
{
    char a[160], b[160], c[160];
    int rank;
    int64_t shape[KL_MAX_RANK];
    bool good = q->rank == 4 && k->rank == 4 && v->rank == 4 && q->shape[0] == k->shape[0] &&
                q->shape[0] == v->shape[0] && k->shape[1] == v->shape[1] &&
                k->shape[2] == v->shape[2] && k->shape[2] > 0 && q->shape[2] % k->shape[2] == 0 &&
                q->shape[3] == k->shape[3];
    if (!good)
        return kl_error(KL_ERROR_SHAPE,
                        "attention: query %s, key %s and value %s don't fit together",
                        kl_shape_text(q->rank, q->shape, a, sizeof a),
                        kl_shape_text(k->rank, k->shape, b, sizeof b),
                        kl_shape_text(v->rank, v->shape, c, sizeof c));
    if (!mask)
        return KL_OK;
    const int64_t full[4] = {q->shape[0], q->shape[2], q->shape[1], k->shape[1]};
    if (!kl_broadcast_shapes(mask->rank, mask->shape, 4, full, &rank, shape) || rank != 4 ||
        memcmp(shape, full, sizeof full) != 0)
        return kl_error(KL_ERROR_SHAPE, "attention: mask %s doesn't broadcast to scores %s",
                        kl_shape_text(mask->rank, mask->shape, a, sizeof a),
                        kl_shape_text(4, full, b, sizeof b));
    return KL_OK;
}

kl_tensor *kl_op_attention(kl_tensor *query, kl_tensor *key, kl_tensor *value, kl_tensor *mask,
                           const kl_attention_options *options)
{
    if (!query || !key || !value || !options) {
        if (!options)
            kl_error_null("kl_op_attention", "options");
        return NULL;
    }
    if (check_shapes(query, key, value, mask))
        return NULL;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in[3] = {query, key, value};
    kl_tensor *out = NULL;
    if (mask && mask->dtype != KL_BOOL)
        mask = kl_op_cast(mask, KL_BOOL);
    if (scope && !kl_cast_to_one_float(3, in))
        out = compose(in[0], in[1], in[2], mask, options);
    kl_scope_end_keeping(scope, 1, &out);
    return out;
}
