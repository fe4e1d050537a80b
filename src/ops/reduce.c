/* Reductions over axes, and what is composed of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread_pool.h"
#include "kernels/elementwise.h"
#include "kernels/elementwise_table.h"
#include "ops/common.h"
#include "tensor/convert.h"

typedef struct reduce_attrs {
    unsigned mask;
    bool keepdims;
} reduce_attrs;

typedef enum reduction { SUM, MEAN, PROD, MAX, MIN, ANY, ALL } reduction;

typedef struct reduce_op {
    kl_op op;
    reduction kind;
} reduce_op;

static void reduced_shape(const kl_tensor *x, unsigned mask, bool keepdims, int *rank,
                          int64_t *shape)
{
    *rank = 0;
    for (int i = 0; i < x->rank; i++) {
        if (!(mask >> i & 1))
            shape[(*rank)++] = x->shape[i];
        else if (keepdims)
            shape[(*rank)++] = 1;
    }
}

/* x with the axes that stay first and the reduced ones last, then two axes [keep, n]; or, where the
   reduced axes come first, [n, keep] as they lie in memory. */
typedef struct layout {
    kl_tensor *x; /* contiguous: the given one or a copy */
    int64_t outer, n, inner;
} layout;

static bool arrange(kl_tensor *x, unsigned mask, layout *out)
{
    int first = -1, last = -1;
    bool block = true;
    for (int i = 0; i < x->rank; i++) {
        if (!(mask >> i & 1))
            continue;
        if (first < 0)
            first = i;
        else if (last != i - 1)
            block = false;
        last = i;
    }
    *out = (layout){.outer = 1, .n = 1, .inner = 1};
    if (first < 0 || block) {
        for (int i = 0; i < x->rank; i++) {
            if (first < 0 || i < first)
                out->outer *= x->shape[i];
            else if (i <= last)
                out->n *= x->shape[i];
            else
                out->inner *= x->shape[i];
        }
        out->x = x->contiguous ? x : kl_contiguous(x);
        return out->x != NULL;
    }
    int axes[KL_MAX_RANK], count = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < x->rank; i++)
            if ((int)(mask >> i & 1) == pass) {
                axes[count++] = i;
                *(pass ? &out->n : &out->outer) *= x->shape[i];
            }
    kl_tensor *moved = kl_view_transpose(x, axes);
    out->x = moved ? kl_copy(moved, (kl_dtype)x->dtype) : NULL;
    kl_drop(moved);
    return out->x != NULL;
}

static double start_of(reduction kind)
{
    return kind == PROD || kind == ALL ? 1 : kind == MAX ? -INFINITY : kind == MIN ? INFINITY : 0;
}

static double join(reduction kind, double a, double b)
{
    switch (kind) {
    case PROD:
        return a * b;
    case MAX:
        return b > a || b != b ? b : a;
    case MIN:
        return b < a || b != b ? b : a;
    case ANY:
        return a != 0 || b != 0;
    case ALL:
        return a != 0 && b != 0;
    default:
        return a + b;
    }
}

typedef struct reduce_job {
    layout l;
    reduction kind;
    kl_split split;
    kl_dtype dtype;
    void *out;
} reduce_job;

/* Narrow rows are summed side by side first, as many as fill a strip of the kernel. */
static void sum_columns_f32(const float *x, int64_t n, int64_t inner, float *out)
{
    enum { STRIP = 64 };
    const kl_elementwise_table *k = kl_elementwise_kernels();
    const int64_t beside = STRIP / inner;
    if (beside < 2 || n < 4 * beside) {
        k->column_sums_f32(n, inner, inner, x, out);
        return;
    }
    float wide[STRIP], rest[STRIP];
    const int64_t width = beside * inner, rows = n / beside;
    k->column_sums_f32(rows, width, width, x, wide);
    k->column_sums_f32(beside, inner, inner, wide, out);
    k->column_sums_f32(n - rows * beside, inner, inner, x + rows * width, rest);
    for (int64_t i = 0; i < inner; i++)
        out[i] += rest[i];
}

/* Columns: n rows of `inner` are folded into one. */
static void fold_columns_f32(reduction kind, const float *x, int64_t n, int64_t inner, float *out)
{
    if (kind == SUM || kind == MEAN) {
        sum_columns_f32(x, n, inner, out);
        return;
    }
    const kl_elementwise_table *k = kl_elementwise_kernels();
    int op = kind == PROD ? KL_BINARY_MUL : kind == MAX ? KL_BINARY_MAX : KL_BINARY_MIN;
    for (int64_t i = 0; i < inner; i++)
        out[i] = (float)start_of(kind);
    for (int64_t r = 0; r < n; r++)
        k->binary_f32[op](inner, out, 1, x + r * inner, 1, out);
}

static float fold_row_f32(reduction kind, const float *x, int64_t n)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    if (kind == SUM || kind == MEAN) {
        /* Long sums in blocks, and the blocks in double. */
        double total = 0;
        for (int64_t at = 0; at < n; at += 4096)
            total += (double)k->sum_f32(n - at < 4096 ? n - at : 4096, x + at);
        return (float)total;
    }
    float value = (float)start_of(kind);
    enum { STRIP = 64 };
    if ((kind == MAX || kind == MIN) && n >= 4 * STRIP) {
        /* The row as rows of its own, folded side by side. */
        float strip[STRIP];
        fold_columns_f32(kind, x, n / STRIP, STRIP, strip);
        for (int64_t i = 0; i < STRIP; i++)
            value = (float)join(kind, value, strip[i]);
        x += n / STRIP * STRIP;
        n %= STRIP;
    }
    for (int64_t i = 0; i < n; i++)
        value = (float)join(kind, value, x[i]);
    return value;
}

static void reduce_chunk(void *arg, int64_t chunk)
{
    const reduce_job *job = arg;
    int64_t at = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    int64_t n = job->l.n, inner = job->l.inner;
    const char *data = job->l.x->data;
    if (job->dtype == KL_FLOAT32) {
        const float *x = (const float *)(const void *)data;
        float *out = job->out;
        for (; at < end; at++) {
            if (inner == 1) {
                out[at] = fold_row_f32(job->kind, x + at * n, n);
            } else {
                fold_columns_f32(job->kind, x + at * n * inner, n, inner, out + at * inner);
            }
            for (int64_t i = 0; job->kind == MEAN && i < inner; i++)
                out[at * inner + i] /= (float)n;
        }
        return;
    }
    size_t size = kl_dtype_size(job->dtype);
    for (; at < end; at++) {
        for (int64_t i = 0; i < inner; i++) {
            char *to = (char *)job->out + (size_t)(at * inner + i) * size;
            const char *from = data + (size_t)(at * n * inner + i) * size;
            if (job->dtype == KL_INT64 && job->kind <= MEAN) {
                int64_t total = 0;
                for (int64_t r = 0; r < n; r++)
                    total += *(const int64_t *)(const void *)(from + (size_t)(r * inner) * size);
                *(int64_t *)(void *)to = total;
                continue;
            }
            double value = start_of(job->kind);
            for (int64_t r = 0; r < n; r++)
                value = join(job->kind, value,
                             kl_load_element(job->dtype, from + (size_t)(r * inner) * size));
            if (job->kind == MEAN)
                value /= (double)n;
            kl_fill_elements(job->dtype, to, 1, value);
        }
    }
}

/* A part of the rows of one long reduction into a row of `out`. */
static void partial_chunk(void *arg, int64_t chunk)
{
    const reduce_job *job = arg;
    int64_t at = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    int64_t inner = job->l.inner;
    const float *x = (const float *)(const void *)job->l.x->data + at * inner;
    float *out = (float *)job->out + chunk * inner;
    if (inner == 1)
        out[0] = fold_row_f32(job->kind, x, end - at);
    else
        fold_columns_f32(job->kind, x, end - at, inner, out);
}

/* One long column or row is split over threads: the parts' results are folded in their order. */
static kl_status reduce_long(reduce_job *job)
{
    int64_t inner = job->l.inner;
    reduce_job parts = *job;
    parts.split = kl_split_make(job->l.n, 1 + 65536 / inner);
    parts.kind = job->kind == MEAN ? SUM : job->kind;
    if (job->dtype != KL_FLOAT32 || parts.split.chunks < 2) {
        job->split = kl_split_make(1, 1);
        reduce_chunk(job, 0);
        return KL_OK;
    }
    kl_tensor *partial = kl_empty(KL_FLOAT32, 2, (const int64_t[]){parts.split.chunks, inner});
    if (!partial)
        return kl_last_status();
    parts.out = partial->data;
    kl_parallel_for(parts.split.chunks, partial_chunk, &parts);
    float *out = job->out;
    fold_columns_f32(parts.kind, (const float *)(const void *)partial->data, parts.split.chunks,
                     inner, out);
    for (int64_t i = 0; job->kind == MEAN && i < inner; i++)
        out[i] /= (float)job->l.n;
    kl_drop(partial);
    return KL_OK;
}

static kl_status reduce_forward(kl_op_frame *f)
{
    const reduce_attrs *attrs = f->attrs;
    const reduce_op *row = (const reduce_op *)f->op;
    kl_tensor *x = f->in[0];
    int rank;
    int64_t shape[KL_MAX_RANK];
    reduced_shape(x, attrs->mask, attrs->keepdims, &rank, shape);
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, rank, shape);
    if (!out || !out->buffer || !out->size)
        return out ? KL_OK : kl_last_status();
    reduce_job job = {.kind = row->kind, .dtype = (kl_dtype)x->dtype, .out = out->data};
    if (!arrange(x, attrs->mask, &job.l))
        return kl_last_status();
    if (!job.l.n && (row->kind == MAX || row->kind == MIN) && out->size) {
        kl_drop_copy(job.l.x, x);
        return kl_error(KL_ERROR_SHAPE, "nothing to reduce: an axis has size 0");
    }
    kl_status status = KL_OK;
    if (job.l.outer == 1 && job.l.n * job.l.inner > 131072) {
        status = reduce_long(&job);
    } else {
        job.split = kl_split_make(job.l.outer, 1 + 32768 / (job.l.n * job.l.inner + 1));
        if (job.split.chunks == 1)
            reduce_chunk(&job, 0);
        else
            kl_parallel_for(job.split.chunks, reduce_chunk, &job);
    }
    kl_drop_copy(job.l.x, x);
    return status;
}

/* The reduced tensor with its axes of size 1 back, broadcastable against x. */
static kl_tensor *with_axes(kl_tensor *y, const kl_tensor *x, const reduce_attrs *attrs)
{
    int64_t shape[KL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        shape[i] = attrs->mask >> i & 1 ? 1 : x->shape[i];
    return kl_op_reshape(y, x->rank, shape);
}

static kl_status sum_backward(kl_op_frame *f)
{
    const reduce_attrs *attrs = f->attrs;
    const reduce_op *row = (const reduce_op *)f->op;
    kl_tensor *x = f->in[0], *dy = with_axes(f->dout[0], x, attrs);
    int64_t n = 1;
    for (int i = 0; i < x->rank; i++)
        n *= attrs->mask >> i & 1 ? x->shape[i] : 1;
    if (row->kind == MEAN)
        dy = kl_op_mul_scalar(dy, n ? 1.0 / (double)n : 0);
    f->din[0] = kl_op_broadcast_to(dy, x->rank, x->shape);
    return f->din[0] ? KL_OK : kl_last_status();
}

static bool has_zero(kl_tensor *x)
{
    kl_tensor *from = kl_dense_values(x);
    bool found = false;
    for (int64_t i = 0; from && i < x->size && !found; i++)
        found = kl_is_wide(x) ? ((const double *)(const void *)from->data)[i] == 0
                              : ((const float *)(const void *)from->data)[i] == 0;
    return found;
}

/* Products of the elements before each along the last axis, or after each. */
static kl_tensor *products_beside(kl_tensor *x, bool after)
{
    int64_t shape[2] = {x->shape[0], 1};
    kl_tensor *in_order = after ? kl_op_flip(x, 1) : x;
    kl_tensor *parts[2] = {kl_ones((kl_dtype)x->dtype, 2, shape),
                           kl_op_cumprod(kl_op_slice(in_order, 1, 0, -1, 1), 1)};
    kl_tensor *products = kl_op_concatenate(2, parts, 1);
    return after ? kl_op_flip(products, 1) : products;
}

/* The product of all others, without a division: for tensors with zeros. */
static kl_tensor *product_of_others(kl_tensor *x, unsigned mask)
{
    int order[KL_MAX_RANK], back[KL_MAX_RANK], count = 0;
    int64_t shape[KL_MAX_RANK], n = 1;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < x->rank; i++)
            if ((int)(mask >> i & 1) == pass) {
                back[i] = count;
                shape[count] = x->shape[i];
                order[count++] = i;
                n *= pass ? x->shape[i] : 1;
            }
    const int64_t rows[2] = {x->size / n, n};
    kl_tensor *flat = kl_op_reshape(kl_op_transpose(x, order), 2, rows);
    if (!flat)
        return NULL;
    kl_tensor *others = kl_op_mul(products_beside(flat, false), products_beside(flat, true));
    return kl_op_transpose(kl_op_reshape(others, x->rank, shape), back);
}

static kl_status prod_backward(kl_op_frame *f)
{
    const reduce_attrs *attrs = f->attrs;
    kl_tensor *x = f->in[0], *dy = with_axes(f->dout[0], x, attrs);
    if (x->size && has_zero(x)) {
        f->din[0] = kl_op_mul(dy, product_of_others(x, attrs->mask));
    } else {
        kl_tensor *y = with_axes(f->out[0], x, attrs);
        f->din[0] = kl_op_div(kl_op_mul(dy, y), x);
    }
    return f->din[0] ? KL_OK : kl_last_status();
}

/* The gradient is shared evenly among equal extremes, as TensorFlow does. */
static kl_status extreme_backward(kl_op_frame *f)
{
    const reduce_attrs *attrs = f->attrs;
    kl_tensor *x = f->in[0], *dy = with_axes(f->dout[0], x, attrs);
    kl_tensor *hit = kl_op_cast(kl_op_equal(x, with_axes(f->out[0], x, attrs)), (kl_dtype)x->dtype);
    int axes[KL_MAX_RANK], count = 0;
    for (int i = 0; i < x->rank; i++)
        if (attrs->mask >> i & 1)
            axes[count++] = i;
    kl_tensor *share = count ? kl_op_sum(hit, count, axes, true) : hit;
    f->din[0] = kl_op_mul(hit, kl_op_div(dy, share));
    return f->din[0] ? KL_OK : kl_last_status();
}

#define REDUCTION(id, cls, kind, grad, kin, kout)                                                  \
    static const reduce_op id##_op = {{.size = sizeof(kl_op),                                      \
                                       .name = #id,                                                \
                                       .class_name = cls,                                          \
                                       .attrs_size = sizeof(reduce_attrs),                         \
                                       .forward = reduce_forward,                                  \
                                       .backward = grad,                                           \
                                       .keeps_in = kin,                                            \
                                       .keeps_out = kout},                                         \
                                      kind};
REDUCTION(sum, NULL, SUM, sum_backward, 0, 0)
REDUCTION(mean, NULL, MEAN, sum_backward, 0, 0)
REDUCTION(prod, NULL, PROD, prod_backward, 1, 1)
REDUCTION(max, NULL, MAX, extreme_backward, 1, 1)
REDUCTION(min, NULL, MIN, extreme_backward, 1, 1)
REDUCTION(any, NULL, ANY, NULL, 0, 0)
REDUCTION(all, NULL, ALL, NULL, 0, 0)

static kl_tensor *run(const reduce_op *row, kl_tensor *a, int count, const int *axes, bool keepdims,
                      int as)
{
    reduce_attrs attrs = {.keepdims = keepdims};
    if (a && !kl_axes_mask(a->rank, count, axes, &attrs.mask)) {
        kl_error_prefix(row->op.name);
        return NULL;
    }
    kl_tensor *x = a;
    if (a && a->dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "%s: expected numbers, got strings", row->op.name);
        return NULL;
    }
    if (a && !a->symbol && as >= 0)
        x = kl_as_dtype(a, (kl_dtype)as);
    kl_tensor *y = kl_run1(&row->op, &attrs, 1, &x, 0);
    if (x != a)
        kl_drop(x);
    return y;
}

/* What a dtype is summed in. */
static int sum_dtype(const kl_tensor *a)
{
    return a && (a->dtype == KL_BOOL || a->dtype == KL_UINT8) ? KL_INT32 : -1;
}

kl_tensor *kl_op_sum(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    return run(&sum_op, a, count, axes, keepdims, sum_dtype(a));
}

kl_tensor *kl_op_mean(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    bool whole = a && !kl_dtype_is_float((kl_dtype)a->dtype);
    return run(&mean_op, a, count, axes, keepdims, whole ? KL_FLOAT32 : -1);
}

kl_tensor *kl_op_prod(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    return run(&prod_op, a, count, axes, keepdims, sum_dtype(a));
}

kl_tensor *kl_op_max(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    return run(&max_op, a, count, axes, keepdims, -1);
}

kl_tensor *kl_op_min(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    return run(&min_op, a, count, axes, keepdims, -1);
}

kl_tensor *kl_op_any(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    return run(&any_op, a, count, axes, keepdims, KL_BOOL);
}

kl_tensor *kl_op_all(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    return run(&all_op, a, count, axes, keepdims, KL_BOOL);
}

/* Frees all that was made since the scope began but the result. */
static kl_tensor *finish(kl_scope *scope, kl_tensor *result)
{
    kl_scope_end_keeping(scope, 1, &result);
    return result;
}

kl_tensor *kl_op_var(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = a && a->symbol ? a : kl_as_float(a);
    kl_tensor *centered = kl_op_sub(x, kl_op_mean(x, count, axes, true));
    return finish(scope, kl_op_mean(kl_op_square(centered), count, axes, keepdims));
}

kl_tensor *kl_op_std(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    kl_scope *scope = kl_scope_begin();
    return finish(scope, kl_op_sqrt(kl_op_var(a, count, axes, keepdims)));
}

kl_tensor *kl_op_logsumexp(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *top = kl_op_stop_gradient(kl_op_max(a, count, axes, true));
    if (top && !top->symbol)
        top = kl_op_where(kl_op_is_finite(top), top, kl_scalar((kl_dtype)top->dtype, 0));
    kl_tensor *sum = kl_op_sum(kl_op_exp(kl_op_sub(a, top)), count, axes, true);
    kl_tensor *y = kl_op_add(kl_op_log(sum), top);
    if (y && !keepdims) {
        unsigned mask;
        int64_t shape[KL_MAX_RANK];
        int rank = 0;
        if (!kl_axes_mask(y->rank, count, axes, &mask))
            return finish(scope, NULL);
        for (int i = 0; i < y->rank; i++)
            if (!(mask >> i & 1))
                shape[rank++] = y->shape[i];
        y = kl_op_reshape(y, rank, shape);
    }
    return finish(scope, y);
}

kl_tensor *kl_op_norm(kl_tensor *a, int count, const int *axes, bool keepdims)
{
    kl_scope *scope = kl_scope_begin();
    return finish(scope, kl_op_sqrt(kl_op_sum(kl_op_square(a), count, axes, keepdims)));
}

kl_tensor *kl_op_l2_normalize(kl_tensor *a, int count, const int *axes, double epsilon)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *squares = kl_op_sum(kl_op_square(a), count, axes, true);
    kl_tensor *scale = kl_op_rsqrt(kl_op_maximum_scalar(squares, epsilon * epsilon));
    return finish(scope, kl_op_mul(a, scale));
}
