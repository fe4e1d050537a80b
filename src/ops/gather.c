/* Rows by index, and back; one-hot, sorting, triangles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread_pool.h"
#include "kernels/elementwise_table.h"
#include "ops/common.h"
#include "tensor/convert.h"

typedef struct gather_attrs {
    int axis;
    int64_t count; /* rows of a scatter, classes of a one-hot, k of a top-k */
    int64_t k;
    kl_dtype dtype;
    bool flag;
} gather_attrs;

/* The indices as contiguous int64 in 0..n-1, negative ones counted from the end. NULL with the
   error set. */
static kl_tensor *index_list(kl_tensor *indices, int64_t n, const char *what)
{
    if (!kl_dtype_is_integer((kl_dtype)indices->dtype)) {
        kl_error(KL_ERROR_DTYPE, "%s must be integers, got %s", what,
                 kl_dtype_name((kl_dtype)indices->dtype));
        return NULL;
    }
    kl_tensor *list = kl_copy(indices, KL_INT64);
    int64_t *at = list ? (int64_t *)(void *)list->data : NULL;
    for (int64_t i = 0; at && i < list->size; i++) {
        if (at[i] < 0 && at[i] >= -n)
            at[i] += n;
        if (at[i] < 0 || at[i] >= n) {
            kl_error(KL_ERROR_RANGE, "%s: index %lld is out of range, expected 0 to %lld", what,
                     (long long)at[i], (long long)n - 1);
            kl_drop(list);
            return NULL;
        }
    }
    return list;
}

static kl_status take_forward(kl_op_frame *f)
{
    const gather_attrs *a = f->attrs;
    kl_tensor *x = f->in[0], *indices = f->in[1];
    int axis = kl_axis("axis", a->axis, x->rank), rank = 0;
    int64_t shape[2 * KL_MAX_RANK], outer = 1, inner = 1;
    if (axis < 0)
        return kl_last_status();
    for (int i = 0; i < x->rank; i++) {
        if (i == axis)
            for (int k = 0; k < indices->rank; k++)
                shape[rank++] = indices->shape[k];
        else
            shape[rank++] = x->shape[i];
        *(i < axis ? &outer : &inner) *= i == axis ? 1 : x->shape[i];
    }
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, rank, shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    kl_tensor *list = index_list(indices, x->shape[axis], "indices");
    kl_tensor *from = list ? kl_contiguous(x) : NULL;
    if (!from) {
        kl_drop(list);
        return kl_last_status();
    }
    const int64_t *at = (const int64_t *)(const void *)list->data;
    size_t bytes = (size_t)inner * kl_dtype_size((kl_dtype)x->dtype);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < list->size; i++)
            memcpy(out->data + (size_t)(o * list->size + i) * bytes,
                   from->data + (size_t)(o * x->shape[axis] + at[i]) * bytes, bytes);
    kl_drop(list);
    kl_drop(from);
    if (out->dtype == KL_STRING) {
        f->out[0] = kl_copy(out, KL_STRING);
        kl_drop(out);
    }
    return f->out[0] ? KL_OK : kl_last_status();
}

/* Along axis 0 the gradient has only the rows used; densified where it must be. */
static kl_status take_backward(kl_op_frame *f)
{
    const gather_attrs *a = f->attrs;
    kl_tensor *x = f->in[0], *dy = f->dout[0], *indices = f->in[1];
    int axis = kl_axis("axis", a->axis, x->rank);
    int64_t shape[KL_MAX_RANK];
    kl_tensor *rows = dy;
    if (axis) {
        int order[2 * KL_MAX_RANK], count = 0;
        for (int k = 0; k < indices->rank; k++)
            order[count++] = axis + k;
        for (int k = 0; k < dy->rank; k++)
            if (k < axis || k >= axis + indices->rank)
                order[count++] = k;
        rows = kl_op_transpose(dy, order);
    }
    shape[0] = indices->size;
    int rank = 1;
    for (int i = 0; i < x->rank; i++)
        if (i != axis)
            shape[rank++] = x->shape[i];
    rows = kl_op_reshape(rows, rank, shape);
    kl_tensor *list = indices->buffer ? index_list(indices, x->shape[axis], "indices") : indices;
    kl_tensor *flat = list ? kl_op_reshape(list, 1, &indices->size) : NULL;
    if (!rows || !flat)
        return kl_last_status();
    if (!axis && !f->recording) {
        int64_t strides[KL_MAX_RANK];
        kl_tensor *values = kl_contiguous(rows);
        if (!values)
            return kl_last_status();
        kl_c_strides(x->rank, x->shape, strides);
        kl_tensor *sparse = kl_alias_as(values, x->rank, x->shape, strides, 0);
        if (!sparse)
            return kl_last_status();
        sparse->rows = kl_hold(flat);
        f->din[0] = sparse;
        return KL_OK;
    }
    f->din[0] = kl_op_scatter_add(flat, rows, x->shape[axis]);
    if (axis && f->din[0])
        f->din[0] = kl_op_move_axis(f->din[0], 0, axis);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op take_op = {.size = sizeof(kl_op),
                              .name = "take",
                              .attrs_size = sizeof(gather_attrs),
                              .forward = take_forward,
                              .backward = take_backward,
                              .keeps_in = 2,
                              .flags = KL_OP_ANY_DTYPE};

kl_tensor *kl_op_take(kl_tensor *a, kl_tensor *indices, int axis)
{
    kl_tensor *in[2] = {a, indices};
    if (a && indices && a->rank - 1 + indices->rank > KL_MAX_RANK) {
        kl_error(KL_ERROR_SHAPE, "take: the result would have more than %d axes", KL_MAX_RANK);
        return NULL;
    }
    return kl_run1(&take_op, &(gather_attrs){.axis = axis}, 2, in, 0);
}

static kl_status scatter_forward(kl_op_frame *f)
{
    const gather_attrs *a = f->attrs;
    kl_tensor *indices = f->in[0], *updates = f->in[1];
    int64_t shape[KL_MAX_RANK], width = 1;
    if (indices->rank != 1 || updates->rank < 1 || updates->shape[0] != indices->size)
        return kl_error(KL_ERROR_SHAPE, "expected one index a row of updates");
    memcpy(shape, updates->shape, sizeof shape);
    shape[0] = a->count;
    for (int i = 1; i < updates->rank; i++)
        width *= shape[i];
    if (kl_op_shape_only(f))
        f->out[0] = kl_stand_in((kl_dtype)updates->dtype, updates->rank, shape);
    else
        f->out[0] = kl_zeros((kl_dtype)updates->dtype, updates->rank, shape);
    kl_tensor *out = f->out[0];
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    kl_tensor *list = index_list(indices, a->count, "indices");
    kl_tensor *from = list ? kl_contiguous(updates) : NULL;
    if (!from) {
        kl_drop(list);
        return kl_last_status();
    }
    const int64_t *at = (const int64_t *)(const void *)list->data;
    const kl_elementwise_table *k = kl_elementwise_kernels();
    for (int64_t i = 0; i < list->size; i++) {
        if (out->dtype == KL_FLOAT32) {
            k->accumulate_f32(width, (const float *)(const void *)from->data + i * width,
                              (float *)(void *)out->data + at[i] * width);
            continue;
        }
        size_t size = kl_dtype_size((kl_dtype)out->dtype);
        for (int64_t j = 0; j < width; j++) {
            char *to = out->data + (size_t)(at[i] * width + j) * size;
            double sum =
                kl_load_element((kl_dtype)out->dtype, to) +
                kl_load_element((kl_dtype)out->dtype, from->data + (size_t)(i * width + j) * size);
            kl_fill_elements((kl_dtype)out->dtype, to, 1, sum);
        }
    }
    kl_drop(list);
    kl_drop(from);
    return KL_OK;
}

static kl_status scatter_backward(kl_op_frame *f)
{
    f->din[1] = kl_op_take(f->dout[0], f->in[0], 0);
    return f->din[1] ? KL_OK : kl_last_status();
}

static const kl_op scatter_op = {.size = sizeof(kl_op),
                                 .name = "scatter_add",
                                 .attrs_size = sizeof(gather_attrs),
                                 .forward = scatter_forward,
                                 .backward = scatter_backward,
                                 .keeps_in = 1};

kl_tensor *kl_op_scatter_add(kl_tensor *indices, kl_tensor *updates, int64_t rows)
{
    kl_tensor *in[2] = {indices, updates};
    if (rows < 0) {
        kl_error(KL_ERROR_RANGE, "scatter_add: rows must not be negative, got %lld",
                 (long long)rows);
        return NULL;
    }
    return kl_run1(&scatter_op, &(gather_attrs){.count = rows}, 2, in, 0);
}

/* take_along_axis as a take from the flattened tensor at flat positions. */
kl_tensor *kl_op_take_along_axis(kl_tensor *a, kl_tensor *indices, int axis)
{
    if (!a || !indices) {
        kl_error_null("take_along_axis", a ? "indices" : "tensor");
        return NULL;
    }
    int at = kl_axis("take_along_axis: axis", axis, a->rank);
    bool fits = at >= 0 && a->rank == indices->rank;
    for (int i = 0; fits && i < a->rank; i++)
        fits = i == at || a->shape[i] == indices->shape[i];
    if (!fits) {
        if (at >= 0)
            kl_error(KL_ERROR_SHAPE, "take_along_axis: the shapes differ off the axis");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y = NULL;
    if (!a->buffer || !indices->buffer) {
        y = kl_stand_in((kl_dtype)a->dtype, indices->rank, indices->shape);
    } else {
        kl_tensor *list = index_list(indices, a->shape[at], "indices");
        kl_tensor *flat = list ? kl_copy(list, KL_INT64) : NULL;
        int64_t inner = 1, n = a->shape[at], m = indices->shape[at];
        for (int i = at + 1; i < a->rank; i++)
            inner *= a->shape[i];
        int64_t *to = flat ? (int64_t *)(void *)flat->data : NULL;
        for (int64_t i = 0; to && i < flat->size; i++) {
            int64_t outer = i / (m * inner), in = i % inner;
            to[i] = (outer * n + to[i]) * inner + in;
        }
        kl_tensor *values = flat ? kl_op_reshape(a, 1, &a->size) : NULL;
        y = values ? kl_op_take(values, flat, 0) : NULL;
    }
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

static kl_status one_hot_forward(kl_op_frame *f)
{
    const gather_attrs *a = f->attrs;
    kl_tensor *indices = f->in[0];
    int64_t shape[KL_MAX_RANK + 1];
    memcpy(shape, indices->shape, sizeof indices->shape);
    shape[indices->rank] = a->count;
    if (kl_op_shape_only(f))
        f->out[0] = kl_stand_in(a->dtype, indices->rank + 1, shape);
    else
        f->out[0] = kl_zeros(a->dtype, indices->rank + 1, shape);
    kl_tensor *out = f->out[0];
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    kl_tensor *list = kl_copy(indices, KL_INT64);
    if (!list)
        return kl_last_status();
    const int64_t *at = (const int64_t *)(const void *)list->data;
    size_t size = kl_dtype_size(a->dtype);
    for (int64_t i = 0; i < list->size; i++)
        if (at[i] >= 0 && at[i] < a->count)
            kl_fill_elements(a->dtype, out->data + (size_t)(i * a->count + at[i]) * size, 1, 1);
    kl_drop(list);
    return KL_OK;
}

static const kl_op one_hot_op = {.size = sizeof(kl_op),
                                 .name = "one_hot",
                                 .attrs_size = sizeof(gather_attrs),
                                 .forward = one_hot_forward};

kl_tensor *kl_op_one_hot(kl_tensor *indices, int64_t classes, int axis, kl_dtype dtype)
{
    if (!indices || classes < 0 || indices->rank == KL_MAX_RANK || dtype == KL_STRING) {
        if (indices)
            kl_error(KL_ERROR_INVALID,
                     "one_hot: needs classes of at least 0, a rank below %d and "
                     "a numeric dtype",
                     KL_MAX_RANK);
        else
            kl_error_null("one_hot", "indices");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y =
        kl_run1(&one_hot_op, &(gather_attrs){.count = classes, .dtype = dtype}, 1, &indices, 0);
    if (axis != -1 && y)
        y = kl_op_move_axis(y, -1, axis);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

/* ---- Sorting ------------------------------------------------------------------------------------
 */

typedef struct keyed {
    double key;
    int64_t index;
} keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    /* NaN sorts last, as in NumPy. */
    bool nx = x->key != x->key, ny = y->key != y->key;
    if (nx != ny)
        return nx ? 1 : -1;
    if (x->key != y->key && !nx)
        return x->key < y->key ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int by_key_down(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : x->key < y->key ? 1 : by_key(a, b);
    return x->index < y->index ? -1 : 1;
}

static kl_status argsort_forward(kl_op_frame *f)
{
    const gather_attrs *a = f->attrs;
    kl_tensor *x = f->in[0];
    int64_t shape[KL_MAX_RANK], n = x->rank ? x->shape[x->rank - 1] : 1;
    int64_t kept = a->k > 0 ? a->k : n;
    memcpy(shape, x->shape, sizeof shape);
    if (x->rank)
        shape[x->rank - 1] = kept;
    kl_tensor *out = f->out[0] = kl_op_output(f, KL_INT64, x->rank, shape);
    if (!out || !out->buffer || !x->size)
        return out ? KL_OK : kl_last_status();
    kl_tensor *from = kl_contiguous(x);
    keyed *row = from ? kl_malloc_array((size_t)n, sizeof *row) : NULL;
    if (!row) {
        kl_drop(from);
        return kl_last_status();
    }
    size_t size = kl_dtype_size((kl_dtype)x->dtype);
    int64_t *to = (int64_t *)(void *)out->data;
    for (int64_t r = 0; r < x->size / n; r++) {
        for (int64_t i = 0; i < n; i++)
            row[i] = (keyed){
                kl_load_element((kl_dtype)x->dtype, from->data + (size_t)(r * n + i) * size), i};
        qsort(row, (size_t)n, sizeof *row, a->flag ? by_key_down : by_key);
        for (int64_t i = 0; i < kept; i++)
            to[r * kept + i] = row[i].index;
    }
    kl_free(row);
    kl_drop(from);
    return KL_OK;
}

static const kl_op argsort_op = {.size = sizeof(kl_op),
                                 .name = "argsort",
                                 .attrs_size = sizeof(gather_attrs),
                                 .forward = argsort_forward};

kl_tensor *kl_op_argsort(kl_tensor *a, int axis, bool descending)
{
    if (!a || a->dtype == KL_STRING) {
        if (a)
            kl_error(KL_ERROR_DTYPE, "argsort: expected numbers, got strings");
        else
            kl_error_null("argsort", "tensor");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = kl_op_move_axis(a, axis, -1);
    kl_tensor *y = kl_run1(&argsort_op, &(gather_attrs){.flag = descending}, 1, &x, 0);
    y = y ? kl_op_move_axis(y, -1, axis) : NULL;
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

kl_tensor *kl_op_sort(kl_tensor *a, int axis, bool descending)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *order = kl_op_argsort(a, axis, descending);
    kl_tensor *y = order ? kl_op_take_along_axis(a, order, axis) : NULL;
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

kl_tensor *kl_op_top_k(kl_tensor *a, int64_t k, kl_tensor **indices)
{
    if (indices)
        *indices = NULL;
    if (!a || a->rank < 1 || a->dtype == KL_STRING || k < 1 || k > a->shape[a->rank - 1]) {
        if (a)
            kl_error(KL_ERROR_RANGE, "top_k: k must be from 1 to the last axis's size, got %lld",
                     (long long)k);
        else
            kl_error_null("top_k", "tensor");
        return NULL;
    }
    kl_tensor *keep[2] = {NULL, NULL};
    kl_scope *scope = kl_scope_begin();
    keep[1] = kl_run1(&argsort_op, &(gather_attrs){.flag = true, .k = k}, 1, &a, 0);
    keep[0] = keep[1] ? kl_op_take_along_axis(a, keep[1], -1) : NULL;
    kl_scope_end_keeping(scope, indices && keep[0] ? 2 : 1, keep);
    if (indices && keep[0])
        *indices = keep[1];
    return keep[0];
}

/* Ones where column - row <= k (lower) or >= k (upper). */
static kl_tensor *triangle(kl_tensor *a, int64_t k, bool upper)
{
    if (!a || a->rank < 2) {
        if (a)
            kl_error(KL_ERROR_SHAPE, "a triangle needs at least 2 axes, got %d", a->rank);
        else
            kl_error_null("triangle", "tensor");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    int64_t rows = a->shape[a->rank - 2], cols = a->shape[a->rank - 1];
    kl_tensor *keep = kl_zeros(KL_BOOL, 2, (const int64_t[]){rows, cols});
    for (int64_t r = 0; keep && keep->buffer && r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            keep->data[r * cols + c] = upper ? c - r >= k : c - r <= k;
    kl_tensor *y = keep ? kl_op_where(keep, a, kl_scalar((kl_dtype)a->dtype, 0)) : NULL;
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

kl_tensor *kl_op_tril(kl_tensor *a, int64_t k)
{
    return triangle(a, k, false);
}

kl_tensor *kl_op_triu(kl_tensor *a, int64_t k)
{
    return triangle(a, k, true);
}

kl_tensor *kl_op_bincount(kl_tensor *a, kl_tensor *weights, int64_t length)
{
    if (!a || length < 0 || (weights && !kl_shape_equal(a, weights))) {
        if (a)
            kl_error(KL_ERROR_INVALID, "bincount: needs a length and one weight an element");
        else
            kl_error_null("bincount", "tensor");
        return NULL;
    }
    kl_tensor *out = kl_zeros(weights ? KL_FLOAT32 : KL_INT64, 1, &length);
    kl_tensor *list = out && a->buffer ? kl_copy(a, KL_INT64) : NULL;
    if (!list)
        return out && !a->buffer ? out : NULL;
    const int64_t *at = (const int64_t *)(const void *)list->data;
    for (int64_t i = 0; i < list->size && out->buffer; i++) {
        if (at[i] < 0 || at[i] >= length)
            continue;
        if (weights)
            ((float *)(void *)out->data)[at[i]] += (float)kl_tensor_at(weights, i);
        else
            ((int64_t *)(void *)out->data)[at[i]]++;
    }
    kl_drop(list);
    return out;
}
