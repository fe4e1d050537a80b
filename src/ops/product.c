/* Products: matmul, the fused form of Dense, tensordot, einsum. */
#include <ctype.h>
#include <string.h>

#include "kernels/gemm.h"
#include "ops/activation.h"
#include "ops/common.h"

typedef struct matmul_attrs {
    bool ta, tb;
} matmul_attrs;

/* The last two axes as a product reads them. */
typedef struct matrix {
    int64_t rows, cols, row, col;
} matrix;

static matrix matrix_of(const kl_tensor *x, bool transposed)
{
    int r = x->rank - 2, c = x->rank - 1;
    matrix m = {x->shape[r], x->shape[c], x->strides[r], x->strides[c]};
    return transposed ? (matrix){m.cols, m.rows, m.col, m.row} : m;
}

static bool multiply(bool wide, const kl_gemm *g)
{
    return wide ? kl_gemm_f64(g) : kl_gemm_f32(g);
}

static kl_status matmul_forward(kl_op_frame *f)
{
    const matmul_attrs *attrs = f->attrs;
    kl_tensor *a = f->in[0], *b = f->in[1];
    matrix ma = matrix_of(a, attrs->ta), mb = matrix_of(b, attrs->tb);
    int batch_rank;
    int64_t shape[KL_MAX_RANK];
    if (ma.cols != mb.rows ||
        !kl_broadcast_shapes(a->rank - 2, a->shape, b->rank - 2, b->shape, &batch_rank, shape)) {
        char l[160], r[160];
        return kl_error(
            KL_ERROR_SHAPE, "shapes %s%s and %s%s don't multiply",
            kl_shape_text(a->rank, a->shape, l, sizeof l), attrs->ta ? " (transposed)" : "",
            kl_shape_text(b->rank, b->shape, r, sizeof r), attrs->tb ? " (transposed)" : "");
    }
    shape[batch_rank] = ma.rows;
    shape[batch_rank + 1] = mb.cols;
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)a->dtype, batch_rank + 2, shape);
    if (!out || !out->buffer || !out->size)
        return out ? KL_OK : kl_last_status();
    if (a->dtype != KL_FLOAT32 && a->dtype != KL_FLOAT64)
        return kl_error(KL_ERROR_DTYPE, "expected floats, got %s",
                        kl_dtype_name((kl_dtype)a->dtype));
    int64_t sa[KL_MAX_RANK], sb[KL_MAX_RANK];
    for (int i = 0; i < batch_rank; i++) {
        int ia = i - (batch_rank - (a->rank - 2)), ib = i - (batch_rank - (b->rank - 2));
        sa[i] = ia < 0 || a->shape[ia] == 1 ? 0 : a->strides[ia];
        sb[i] = ib < 0 || b->shape[ib] == 1 ? 0 : b->strides[ib];
    }
    const int64_t *strides[] = {out->strides, sa, sb};
    size_t size = kl_dtype_size((kl_dtype)a->dtype);
    kl_gemm g = {.m = ma.rows,
                 .n = mb.cols,
                 .k = ma.cols,
                 .a_row = ma.row,
                 .a_col = ma.col,
                 .b_row = mb.row,
                 .b_col = mb.col,
                 .c_row = mb.cols};
    kl_iter it;
    kl_iter_begin(&it, batch_rank, shape, 3, strides);
    /* Rows of a batch that only the left operand has are one tall product. */
    if (it.outer == 1 && it.inner > 1 && it.inner_stride[2] == 0 &&
        it.inner_stride[1] == ma.rows * ma.row) {
        g.m *= it.inner;
        it.inner = 1;
    }
    do {
        g.a = a->data + it.offset[1] * (int64_t)size;
        g.b = b->data + it.offset[2] * (int64_t)size;
        g.c = out->data + it.offset[0] * (int64_t)size;
        g.batch = it.inner;
        g.a_batch = it.inner_stride[1];
        g.b_batch = it.inner_stride[2];
        g.c_batch = it.inner_stride[0];
        if (!multiply(kl_is_wide(a), &g))
            return kl_last_status();
    } while (kl_iter_next(&it));
    return KL_OK;
}

/* dA = dY B^T and dB = A^T dY, with the transpositions that the operands had. */
static kl_status matmul_backward(kl_op_frame *f)
{
    const matmul_attrs *attrs = f->attrs;
    kl_tensor *a = f->in[0], *b = f->in[1], *dy = f->dout[0];
    if (f->needs[0]) {
        kl_tensor *da = attrs->ta ? kl_op_matmul_t(b, attrs->tb, dy, true)
                                  : kl_op_matmul_t(dy, false, b, !attrs->tb);
        if (!(f->din[0] = kl_unbroadcast(da, a)))
            return kl_last_status();
    }
    if (f->needs[1]) {
        /* A shared right operand sums over the batch: one product of tall matrices. */
        kl_tensor *left = a, *right = dy;
        if (b->rank == 2 && a->rank > 2 && !attrs->ta) {
            const int64_t rows = -1;
            left = kl_op_reshape(a, 2, (const int64_t[]){rows, a->shape[a->rank - 1]});
            right = kl_op_reshape(dy, 2, (const int64_t[]){rows, dy->shape[dy->rank - 1]});
        }
        kl_tensor *db = attrs->tb ? kl_op_matmul_t(right, true, left, attrs->ta)
                                  : kl_op_matmul_t(left, !attrs->ta, right, false);
        if (!(f->din[1] = kl_unbroadcast(db, b)))
            return kl_last_status();
    }
    return KL_OK;
}

static const kl_op matmul_op = {.size = sizeof(kl_op),
                                .name = "matmul",
                                .attrs_size = sizeof(matmul_attrs),
                                .forward = matmul_forward,
                                .backward = matmul_backward,
                                .keeps_in = 3};
static const kl_op plain_matmul_op = {.size = sizeof(kl_op),
                                      .name = "matmul",
                                      .class_name = "Matmul",
                                      .attrs_size = sizeof(matmul_attrs),
                                      .forward = matmul_forward,
                                      .backward = matmul_backward,
                                      .keeps_in = 3};

kl_tensor *kl_op_matmul_t(kl_tensor *a, bool ta, kl_tensor *b, bool tb)
{
    kl_tensor *in[2] = {a, b};
    if (a && b && (a->rank < 2 || b->rank < 2)) {
        kl_error(KL_ERROR_SHAPE, "matmul: expected at least 2 axes, got %d and %d", a->rank,
                 b->rank);
        return NULL;
    }
    if (a && b && !a->symbol && !b->symbol) {
        kl_dtype dtype = kl_promote((kl_dtype)a->dtype, (kl_dtype)b->dtype);
        if (!kl_dtype_is_float(dtype))
            dtype = KL_FLOAT32;
        in[0] = kl_as_dtype(a, dtype);
        in[1] = kl_as_dtype(b, dtype);
    }
    kl_tensor *y =
        kl_run1(ta || tb ? &matmul_op : &plain_matmul_op, &(matmul_attrs){ta, tb}, 2, in, 0);
    if (in[0] != a)
        kl_drop(in[0]);
    if (in[1] != b)
        kl_drop(in[1]);
    return y;
}

kl_tensor *kl_op_matmul(kl_tensor *a, kl_tensor *b)
{
    if (!a || !b || (a->rank >= 2 && b->rank >= 2))
        return kl_op_matmul_t(a, false, b, false);
    if (!a->rank || !b->rank) {
        kl_error(KL_ERROR_SHAPE, "matmul: a scalar has no product, use mul");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = a->rank == 1 ? kl_op_expand_dims(a, 0) : a;
    kl_tensor *w = b->rank == 1 ? kl_op_expand_dims(b, -1) : b;
    kl_tensor *y = kl_op_matmul_t(x, false, w, false);
    if (y && b->rank == 1)
        y = kl_op_squeeze(y, -1);
    if (y && a->rank == 1)
        y = kl_op_squeeze(y, b->rank == 1 ? -1 : -2);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

/* ---- Dense ------------------------------------------------------------------------------------
 */

typedef struct dense_attrs {
    kl_fused_activation fused;
} dense_attrs;

static kl_status dense_forward(kl_op_frame *f)
{
    const dense_attrs *attrs = f->attrs;
    kl_tensor *x = f->in[0], *w = f->in[1], *b = f->in[2];
    int64_t shape[KL_MAX_RANK], k = x->shape[x->rank - 1];
    if (w->rank != 2 || w->shape[0] != k || (b && (b->rank != 1 || b->shape[0] != w->shape[1]))) {
        char l[160], r[160];
        return kl_error(KL_ERROR_SHAPE, "input %s doesn't fit kernel %s",
                        kl_shape_text(x->rank, x->shape, l, sizeof l),
                        kl_shape_text(w->rank, w->shape, r, sizeof r));
    }
    memcpy(shape, x->shape, sizeof shape);
    shape[x->rank - 1] = w->shape[1];
    kl_tensor *y = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, shape);
    if (!y || !y->buffer || !y->size)
        return y ? KL_OK : kl_last_status();
    kl_tensor *cx = kl_dense_values(x);
    kl_tensor *cb = b ? kl_dense_values(b) : NULL;
    if (!cx || (b && !cb))
        return kl_last_status();
    kl_gemm g = {.m = y->size / w->shape[1],
                 .n = w->shape[1],
                 .k = k,
                 .a = cx->data,
                 .a_row = k,
                 .a_col = 1,
                 .b = w->data,
                 .b_row = w->strides[0],
                 .b_col = w->strides[1],
                 .c = y->data,
                 .c_row = w->shape[1],
                 .bias = cb ? cb->data : NULL,
                 .epilogue = attrs->fused == KL_FUSED_RELU ? KL_EPILOGUE_RELU : KL_EPILOGUE_NONE};
    if (!multiply(kl_is_wide(x), &g))
        return kl_last_status();
    kl_fused_apply(attrs->fused, y, true);
    kl_drop_copy(cx, x);
    kl_drop_copy(cb, b);
    return KL_OK;
}

static kl_status dense_backward(kl_op_frame *f)
{
    const dense_attrs *attrs = f->attrs;
    kl_tensor *x = f->in[0], *w = f->in[1],
              *dz = kl_fused_back(attrs->fused, f->out[0], f->dout[0]);
    if (!dz)
        return kl_last_status();
    if (f->needs[0] && !(f->din[0] = kl_op_matmul_t(dz, false, w, true)))
        return kl_last_status();
    int64_t n = w->shape[1], k = w->shape[0], m = dz->size / (n ? n : 1);
    kl_tensor *rows = kl_op_reshape(dz, 2, (const int64_t[]){m, n});
    if (f->needs[1]) {
        kl_tensor *flat = kl_op_reshape(x, 2, (const int64_t[]){m, k});
        if (!(f->din[1] = kl_op_matmul_t(flat, true, rows, false)))
            return kl_last_status();
    }
    if (f->in[2] && f->needs[2] && !(f->din[2] = kl_op_sum(rows, 1, (const int[]){0}, false)))
        return kl_last_status();
    return KL_OK;
}

/* backward reads out alone for the activation, and is written through ops except for it. */
static kl_status dense_compose(kl_op_frame *f)
{
    const dense_attrs *attrs = f->attrs;
    kl_tensor *z = kl_op_matmul_t(f->in[0], false, f->in[1], false);
    if (f->in[2])
        z = kl_op_add(z, f->in[2]);
    f->out[0] = kl_fused_compose(attrs->fused, z);
    return f->out[0] ? KL_OK : kl_last_status();
}

#define DENSE_OP(id, out_kept)                                                                     \
    static const kl_op id = {.size = sizeof(kl_op),                                                \
                             .name = "dense",                                                      \
                             .attrs_size = sizeof(dense_attrs),                                    \
                             .forward = dense_forward,                                             \
                             .backward = dense_backward,                                           \
                             .compose = dense_compose,                                             \
                             .keeps_in = 7,                                                        \
                             .keeps_out = out_kept};
DENSE_OP(dense_op, 1)
DENSE_OP(linear_dense_op, 0)

kl_tensor *kl_op_dense(kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                       const kl_activation *activation)
{
    kl_tensor *in[3] = {x, kernel, bias};
    if (x && x->rank < 1) {
        kl_error(KL_ERROR_SHAPE, "dense: expected at least 1 axis, got a scalar");
        return NULL;
    }
    if (!kl_agree_on_float(3, in)) {
        kl_scope *scope = kl_scope_begin();
        kl_tensor *cast = scope && !kl_cast_to_one_float(3, in)
                              ? kl_op_dense(in[0], in[1], in[2], activation)
                              : NULL;
        kl_scope_end_keeping(scope, 1, &cast);
        return cast;
    }
    dense_attrs attrs = {kl_fused_of(activation)};
    const kl_op *op = attrs.fused == KL_FUSED_NONE ? &linear_dense_op : &dense_op;
    kl_tensor *y = kl_run1(op, &attrs, 3, in, 4);
    if (!y || !activation || attrs.fused != KL_FUSED_NONE)
        return y;
    kl_tensor *z = y;
    y = kl_activation_call(activation, z);
    kl_drop(z);
    return y;
}

/* ---- Contractions -------------------------------------------------------------------------------
 */

kl_tensor *kl_op_tensordot(kl_tensor *a, kl_tensor *b, int count, const int *axes_a,
                           const int *axes_b)
{
    if (!a || !b || count < 0 || (count && (!axes_a || !axes_b))) {
        kl_error_null("tensordot", !a ? "a" : !b ? "b" : "axes");
        return NULL;
    }
    int order_a[KL_MAX_RANK], order_b[KL_MAX_RANK], na = 0, nb = 0, rank = 0;
    int64_t shape[2 * KL_MAX_RANK], rows = 1, cols = 1, inner = 1;
    unsigned used_a = 0, used_b = 0;
    for (int i = 0; i < count; i++) {
        int ia = kl_axis("tensordot: axis", axes_a[i], a->rank);
        int ib = ia < 0 ? -1 : kl_axis("tensordot: axis", axes_b[i], b->rank);
        if (ib < 0)
            return NULL;
        if (a->shape[ia] != b->shape[ib]) {
            kl_error(KL_ERROR_SHAPE, "tensordot: axes of sizes %lld and %lld don't match",
                     (long long)a->shape[ia], (long long)b->shape[ib]);
            return NULL;
        }
        used_a |= 1u << ia;
        used_b |= 1u << ib;
        inner *= a->shape[ia];
    }
    for (int i = 0; i < a->rank; i++)
        if (!(used_a >> i & 1)) {
            order_a[na++] = i;
            rows *= shape[rank++] = a->shape[i];
        }
    for (int i = 0; i < count; i++) {
        order_a[na++] = kl_axis("axis", axes_a[i], a->rank);
        order_b[nb++] = kl_axis("axis", axes_b[i], b->rank);
    }
    for (int i = 0; i < b->rank; i++)
        if (!(used_b >> i & 1)) {
            order_b[nb++] = i;
            cols *= shape[rank++] = b->shape[i];
        }
    if (na != a->rank || nb != b->rank || rank > KL_MAX_RANK) {
        kl_error(KL_ERROR_INVALID,
                 "tensordot: axes are given twice, or the result has more than "
                 "%d axes",
                 KL_MAX_RANK);
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = kl_op_reshape(kl_op_transpose(a, order_a), 2, (const int64_t[]){rows, inner});
    kl_tensor *w = kl_op_reshape(kl_op_transpose(b, order_b), 2, (const int64_t[]){inner, cols});
    kl_tensor *y = kl_op_reshape(kl_op_matmul(x, w), rank, shape);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

/* One operand's letters; axes of an ellipsis get letters of their own from 'A' + 26 on. */
typedef struct subscripts {
    int rank;
    unsigned char at[KL_MAX_RANK];
} subscripts;

#define ELLIPSIS_FIRST 200

static bool read_subscripts(const char **text, const char *end, int rank, int ellipsis,
                            subscripts *out)
{
    out->rank = 0;
    bool dots = false;
    int letters = 0;
    for (const char *c = *text; c < end; c++)
        letters += isalpha((unsigned char)*c) != 0;
    int extra = rank < 0 ? ellipsis : rank - letters;
    for (const char *c = *text; c < end; c++) {
        if (*c == ' ')
            continue;
        if (*c == '.') {
            if (dots || end - c < 3 || c[1] != '.' || c[2] != '.' || extra < 0)
                return false;
            dots = true;
            for (int i = 0; i < extra; i++) {
                if (out->rank == KL_MAX_RANK)
                    return false;
                out->at[out->rank++] = (unsigned char)(ELLIPSIS_FIRST + KL_MAX_RANK - extra + i);
            }
            c += 2;
            continue;
        }
        if (!isalpha((unsigned char)*c) || out->rank == KL_MAX_RANK)
            return false;
        out->at[out->rank++] = (unsigned char)*c;
    }
    return rank < 0 || out->rank == rank;
}

static int find_letter(const subscripts *s, unsigned char letter)
{
    for (int i = 0; i < s->rank; i++)
        if (s->at[i] == letter)
            return i;
    return -1;
}

/* Repeated letters within one operand take its diagonal; letters nobody else has are summed. */
static kl_tensor *tidy_operand(kl_tensor *x, subscripts *s, const subscripts *other,
                               const subscripts *result)
{
    for (int i = 0; i < s->rank; i++)
        for (int k = i + 1; k < s->rank; k++)
            if (s->at[i] == s->at[k]) {
                kl_error(KL_ERROR_UNSUPPORTED, "einsum: letter '%c' stands twice in one operand",
                         s->at[i]);
                return NULL;
            }
    for (int i = s->rank - 1; i >= 0; i--) {
        if (find_letter(result, s->at[i]) >= 0 || (other && find_letter(other, s->at[i]) >= 0))
            continue;
        x = kl_op_sum(x, 1, &i, false);
        memmove(s->at + i, s->at + i + 1, (size_t)(s->rank - i - 1));
        s->rank--;
    }
    return x;
}

/* Brings x to [batch..., first..., second...] and joins each group into one axis. */
static kl_tensor *group_axes(kl_tensor *x, const subscripts *s, const subscripts *batch,
                             const subscripts *first, const subscripts *second, int64_t *sizes)
{
    int order[KL_MAX_RANK], count = 0, rank = 0;
    int64_t shape[KL_MAX_RANK];
    for (int i = 0; i < batch->rank; i++) {
        order[count] = find_letter(s, batch->at[i]);
        shape[rank++] = sizes[batch->at[i]];
        count++;
    }
    const subscripts *groups[2] = {first, second};
    for (int g = 0; g < 2; g++) {
        int64_t size = 1;
        for (int i = 0; i < groups[g]->rank; i++) {
            order[count++] = find_letter(s, groups[g]->at[i]);
            size *= sizes[groups[g]->at[i]];
        }
        shape[rank++] = size;
    }
    return kl_op_reshape(kl_op_transpose(x, order), rank, shape);
}

static kl_tensor *permute_to(kl_tensor *y, const subscripts *have, const subscripts *want)
{
    int order[KL_MAX_RANK];
    for (int i = 0; i < want->rank; i++)
        order[i] = find_letter(have, want->at[i]);
    return kl_op_transpose(y, order);
}

static bool learn_sizes(const kl_tensor *x, const subscripts *s, int64_t *sizes)
{
    for (int i = 0; i < s->rank; i++) {
        int64_t *size = &sizes[s->at[i]];
        if (*size >= 0 && *size != x->shape[i]) {
            kl_error(KL_ERROR_SHAPE, "einsum: letter '%c' has sizes %lld and %lld", s->at[i],
                     (long long)*size, (long long)x->shape[i]);
            return false;
        }
        *size = x->shape[i];
    }
    return true;
}

static kl_tensor *contract(kl_tensor *a, subscripts *sa, kl_tensor *b, subscripts *sb,
                           const subscripts *result, int64_t *sizes)
{
    subscripts batch = {0}, inner = {0}, left = {0}, right = {0}, have = {0};
    a = tidy_operand(a, sa, sb, result);
    b = tidy_operand(b, sb, sa, result);
    if (!a || !b)
        return NULL;
    for (int i = 0; i < sa->rank; i++) {
        bool in_b = find_letter(sb, sa->at[i]) >= 0, kept = find_letter(result, sa->at[i]) >= 0;
        subscripts *to = in_b && kept ? &batch : in_b ? &inner : &left;
        to->at[to->rank++] = sa->at[i];
    }
    for (int i = 0; i < sb->rank; i++)
        if (find_letter(sa, sb->at[i]) < 0)
            right.at[right.rank++] = sb->at[i];
    kl_tensor *x = group_axes(a, sa, &batch, &left, &inner, sizes);
    kl_tensor *w = group_axes(b, sb, &batch, &inner, &right, sizes);
    kl_tensor *y = kl_op_matmul(x, w);
    int64_t shape[KL_MAX_RANK];
    const subscripts *groups[3] = {&batch, &left, &right};
    for (int g = 0; g < 3; g++)
        for (int i = 0; i < groups[g]->rank; i++) {
            if (have.rank == KL_MAX_RANK)
                return NULL;
            shape[have.rank] = sizes[groups[g]->at[i]];
            have.at[have.rank++] = groups[g]->at[i];
        }
    return permute_to(kl_op_reshape(y, have.rank, shape), &have, result);
}

/* Letters that stand once, in alphabetical order, after the ellipsis: NumPy's implicit result. */
static void implicit_result(const subscripts *sa, const subscripts *sb, subscripts *result)
{
    result->rank = 0;
    for (int letter = ELLIPSIS_FIRST; letter < 256; letter++)
        if (find_letter(sa, (unsigned char)letter) >= 0 ||
            (sb && find_letter(sb, (unsigned char)letter) >= 0))
            result->at[result->rank++] = (unsigned char)letter;
    for (int letter = 'A'; letter <= 'z' && result->rank < KL_MAX_RANK; letter++)
        if ((find_letter(sa, (unsigned char)letter) >= 0) !=
            (sb && find_letter(sb, (unsigned char)letter) >= 0))
            result->at[result->rank++] = (unsigned char)letter;
}

kl_tensor *kl_op_einsum(const char *equation, kl_tensor *a, kl_tensor *b)
{
    if (!equation || !a) {
        kl_error_null("einsum", equation ? "a" : "equation");
        return NULL;
    }
    const char *arrow = strstr(equation, "->"), *comma = strchr(equation, ',');
    const char *end = arrow ? arrow : equation + strlen(equation);
    subscripts sa, sb = {0}, result;
    bool two = comma && comma < end, good = two == (b != NULL);
    const char *at = equation, *second = two ? comma + 1 : NULL;
    good = good && read_subscripts(&at, two ? comma : end, a->rank, 0, &sa);
    good = good && (!two || read_subscripts(&second, end, b->rank, 0, &sb));
    if (good) {
        int ellipsis = 0;
        for (int i = 0; i < KL_MAX_RANK; i++)
            ellipsis += find_letter(&sa, (unsigned char)(ELLIPSIS_FIRST + i)) >= 0 ||
                        find_letter(&sb, (unsigned char)(ELLIPSIS_FIRST + i)) >= 0;
        const char *rest = arrow ? arrow + 2 : NULL;
        if (arrow)
            good = read_subscripts(&rest, rest + strlen(rest), -1, ellipsis, &result);
        else
            implicit_result(&sa, two ? &sb : NULL, &result);
    }
    for (int i = 0; good && i < result.rank; i++)
        good = find_letter(&sa, result.at[i]) >= 0 || find_letter(&sb, result.at[i]) >= 0;
    if (!good) {
        kl_error(KL_ERROR_INVALID, "einsum: equation '%s' doesn't fit %d operand%s", equation,
                 b ? 2 : 1, b ? "s" : "");
        return NULL;
    }
    int64_t sizes[256];
    for (int i = 0; i < 256; i++)
        sizes[i] = -1;
    if (!learn_sizes(a, &sa, sizes) || (b && !learn_sizes(b, &sb, sizes)))
        return NULL;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y;
    if (b) {
        y = contract(a, &sa, b, &sb, &result, sizes);
    } else {
        y = tidy_operand(a, &sa, NULL, &result);
        y = y ? permute_to(y, &sa, &result) : NULL;
    }
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

const kl_op *const kl_product_ops[] = {&plain_matmul_op, NULL};
