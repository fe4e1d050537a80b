/* Scaled dot-product attention: fused, with the composed form for the rest. */
#include <string.h>

#include "kernels/attention.h"
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
    kl_tensor *some = kl_op_any(mask, 1, (const int[]){-1}, true);
    kl_tensor *least = kl_scalar(kl_tensor_dtype(scores), -2.37267e38);
    if (o->empty == KL_EMPTY_ROW_UNMASKED)
        mask = kl_op_logical_or(mask, kl_op_logical_not(some));
    kl_tensor *masked = kl_op_where(mask, scores, least);
    if (o->empty != KL_EMPTY_ROW_ROUNDED)
        return masked;
    return kl_op_where(some, masked, kl_op_sub(scores, kl_op_stop_gradient(scores)));
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

/* Float values whose last axis is dense: x itself or a copy, to be given to kl_drop_copy. */
static kl_tensor *rows_of(kl_tensor *x)
{
    bool dense = x->strides[3] == 1 || x->shape[3] == 1;
    for (int i = 0; i < 3; i++)
        dense = dense && x->strides[i] >= 0;
    return dense ? x : kl_dense_values(x);
}

static void set_strides(const kl_tensor *x, int64_t *strides)
{
    for (int i = 0; i < 3; i++)
        strides[i] = x->strides[i];
}

/* The kernel's arguments from a frame's; arrays are query, key, value and mask. */
static kl_status fill(const kl_op_frame *f, kl_tensor **arrays, kl_attention *out)
{
    const kl_attention_options *o = f->attrs;
    static const kl_attention_empty empty[] = {[KL_EMPTY_ROW_UNIFORM] = KL_ATTENTION_UNIFORM,
                                               [KL_EMPTY_ROW_ZERO] = KL_ATTENTION_ZERO,
                                               [KL_EMPTY_ROW_UNMASKED] = KL_ATTENTION_UNMASKED,
                                               [KL_EMPTY_ROW_ROUNDED] = KL_ATTENTION_ROUNDED};
    for (int i = 0; i < 3; i++)
        if (!(arrays[i] = rows_of(f->in[i])))
            return kl_last_status();
    const kl_tensor *q = arrays[0], *k = arrays[1], *v = arrays[2], *mask = f->in[3];
    *out = (kl_attention){.wide = kl_is_wide(q),
                          .batch = q->shape[0],
                          .heads = q->shape[2],
                          .kv_heads = k->shape[2],
                          .rows = q->shape[1],
                          .keys = k->shape[1],
                          .size = q->shape[3],
                          .value_size = v->shape[3],
                          .q = q->data,
                          .k = k->data,
                          .v = v->data,
                          .scale = o->scale,
                          .causal = o->causal,
                          .window = o->window,
                          .empty = empty[o->empty],
                          .out = f->out[0]->data,
                          .lse = f->out[1]->data};
    set_strides(q, out->q_strides);
    set_strides(k, out->k_strides);
    set_strides(v, out->v_strides);
    if (mask) {
        out->mask = (const uint8_t *)mask->data;
        for (int i = 0; i < mask->rank; i++)
            out->mask_strides[4 - mask->rank + i] = mask->shape[i] == 1 ? 0 : mask->strides[i];
    }
    return KL_OK;
}

static void drop_arrays(const kl_op_frame *f, kl_tensor *const *arrays)
{
    for (int i = 0; i < 3; i++)
        kl_drop_copy(arrays[i], f->in[i]);
}

static kl_status attention_forward(kl_op_frame *f)
{
    const kl_tensor *q = f->in[0], *v = f->in[2];
    const int64_t shape[4] = {q->shape[0], q->shape[1], q->shape[2], v->shape[3]};
    const int64_t sums[3] = {q->shape[0], q->shape[2], q->shape[1]};
    kl_tensor *arrays[3];
    kl_attention a;
    f->out[0] = kl_op_output(f, (kl_dtype)q->dtype, 4, shape);
    f->out[1] = kl_op_output(f, (kl_dtype)q->dtype, 3, sums);
    if (!f->out[0] || !f->out[1])
        return kl_last_status();
    if (!f->out[0]->buffer)
        return KL_OK;
    if (fill(f, arrays, &a) || !kl_attention_forward(&a))
        return kl_last_status();
    drop_arrays(f, arrays);
    return KL_OK;
}

static kl_status attention_backward(kl_op_frame *f)
{
    kl_tensor *arrays[3], *to[3];
    kl_attention a;
    if (!f->dout[0])
        return KL_OK;
    kl_tensor *dy = kl_dense_values(f->dout[0]);
    if (!dy)
        return kl_last_status();
    for (int i = 0; i < 3; i++)
        if (!(to[i] = kl_empty((kl_dtype)f->in[i]->dtype, 4, f->in[i]->shape)))
            return kl_last_status();
    if (fill(f, arrays, &a))
        return kl_last_status();
    const kl_attention_grad grad = {
        .dy = dy->data, .dq = to[0]->data, .dk = to[1]->data, .dv = to[2]->data};
    if (!kl_attention_backward(&a, &grad))
        return kl_last_status();
    drop_arrays(f, arrays);
    for (int i = 0; i < 3; i++)
        if (f->needs[i])
            f->din[i] = to[i];
    return KL_OK;
}

static kl_status attention_compose(kl_op_frame *f)
{
    f->out[0] = compose(f->in[0], f->in[1], f->in[2], f->in[3], f->attrs);
    return f->out[0] ? KL_OK : kl_last_status();
}

static const kl_op attention_op = {.size = sizeof(kl_op),
                                   .name = "attention",
                                   .attrs_size = sizeof(kl_attention_options),
                                   .forward = attention_forward,
                                   .backward = attention_backward,
                                   .compose = attention_compose,
                                   .keeps_in = 15,
                                   .keeps_out = 3};

/* Whether the fused form serves: what it leaves to the composed one is rare. */
static bool is_fused(kl_tensor *const *in, const kl_attention_options *o)
{
    if (in[0]->symbol || in[1]->symbol || in[2]->symbol)
        return true;
    return in[0]->size > 0 && in[1]->size > 0 && in[2]->size > 0 && o->scale > 0;
}

kl_tensor *kl_op_attention(kl_tensor *query, kl_tensor *key, kl_tensor *value, kl_tensor *mask,
                           const kl_attention_options *options)
{
    if (!query || !key || !value || !options) {
        if (!options)
            kl_error_null("kl_op_attention", "options");
        return NULL;
    }
    if (options->window < 0 || options->empty > KL_EMPTY_ROW_ROUNDED) {
        kl_error(KL_ERROR_RANGE, "attention: window must be at least 0, got %lld",
                 (long long)options->window);
        return NULL;
    }
    if (check_shapes(query, key, value, mask))
        return NULL;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in[4] = {query, key, value, mask};
    kl_tensor *out[2] = {NULL, NULL};
    if (mask && mask->dtype != KL_BOOL)
        in[3] = kl_op_cast(mask, KL_BOOL);
    if (scope && (!mask || in[3]) && !kl_cast_to_one_float(3, in)) {
        if (is_fused(in, options))
            kl_op_run(&attention_op, options, 4, in, 8, 2, out);
        else
            out[0] = compose(in[0], in[1], in[2], in[3], options);
    }
    kl_scope_end_keeping(scope, 1, out);
    return out[0];
}
