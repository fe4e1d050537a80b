/* Casts, choice between tensors, tests of single values. */
#include <math.h>
#include <string.h>

#include "base/thread_pool.h"
#include "ops/common.h"
#include "tensor/convert.h"

typedef struct cast_attrs {
    kl_dtype dtype;
} cast_attrs;

static kl_status cast_forward(kl_op_frame *f)
{
    const cast_attrs *attrs = f->attrs;
    const kl_tensor *x = f->in[0];
    if ((x->dtype == KL_STRING) != (attrs->dtype == KL_STRING))
        return kl_error(KL_ERROR_DTYPE, "%s doesn't convert to %s",
                        kl_dtype_name((kl_dtype)x->dtype), kl_dtype_name(attrs->dtype));
    f->out[0] = kl_copy(x, attrs->dtype);
    return f->out[0] ? KL_OK : kl_last_status();
}

static kl_status cast_backward(kl_op_frame *f)
{
    f->din[0] = kl_op_cast(f->dout[0], (kl_dtype)f->in[0]->dtype);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op cast_op = {.size = sizeof(kl_op),
                              .name = "cast",
                              .attrs_size = sizeof(cast_attrs),
                              .forward = cast_forward,
                              .backward = cast_backward,
                              .flags = KL_OP_ANY_DTYPE};

kl_tensor *kl_op_cast(kl_tensor *a, kl_dtype dtype)
{
    if ((unsigned)dtype >= KL_DTYPE_COUNT) {
        kl_error(KL_ERROR_DTYPE, "cast: unknown dtype %d", (int)dtype);
        return NULL;
    }
    return kl_run1(&cast_op, &(cast_attrs){dtype}, 1, &a, 0);
}

static kl_status identity_forward(kl_op_frame *f)
{
    f->out[0] = kl_alias(f->in[0]);
    return f->out[0] ? KL_OK : kl_last_status();
}

static const kl_op stop_gradient_op = {.size = sizeof(kl_op),
                                       .name = "stop_gradient",
                                       .class_name = "StopGradient",
                                       .forward = identity_forward,
                                       .flags = KL_OP_ANY_DTYPE};

kl_tensor *kl_op_stop_gradient(kl_tensor *a)
{
    return kl_run1(&stop_gradient_op, NULL, 1, &a, 0);
}

static kl_status assigned_forward(kl_op_frame *f)
{
    f->out[0] = kl_alias(f->in[1]);
    return f->out[0] ? KL_OK : kl_last_status();
}

static kl_status assigned_backward(kl_op_frame *f)
{
    if (f->needs[0])
        f->din[0] = f->dout[0];
    return KL_OK;
}

static const kl_op assigned_op = {.size = sizeof(kl_op),
                                  .name = "assigned",
                                  .forward = assigned_forward,
                                  .backward = assigned_backward,
                                  .flags = KL_OP_ANY_DTYPE};

kl_tensor *kl_assigned(kl_tensor *variable, kl_tensor *value)
{
    kl_tensor *in[2] = {variable, value};
    return kl_run1(&assigned_op, NULL, 2, in, 0);
}

/* y[i] = c[i] ? a[i * sa] : b[i * sb]; strides are 0 or 1, and each case is a loop of its own,
   which compilers vectorize. */
static void choose_words(int64_t n, const uint8_t *c, const uint32_t *a, int64_t sa,
                         const uint32_t *b, int64_t sb, uint32_t *y)
{
    const uint32_t one = n ? *a : 0, other = n ? *b : 0;
    if (sa && sb)
        for (int64_t i = 0; i < n; i++) {
            uint32_t mask = 0u - (c[i] != 0), u = a[i], v = b[i];
            y[i] = (u & mask) | (v & ~mask);
        }
    else if (sa)
        for (int64_t i = 0; i < n; i++) {
            uint32_t mask = 0u - (c[i] != 0), u = a[i];
            y[i] = (u & mask) | (other & ~mask);
        }
    else
        for (int64_t i = 0; i < n; i++) {
            uint32_t mask = 0u - (c[i] != 0), v = sb ? b[i] : other;
            y[i] = (one & mask) | (v & ~mask);
        }
}

static kl_status where_forward(kl_op_frame *f)
{
    const kl_tensor *in[3] = {f->in[0], f->in[1], f->in[2]};
    int rank = 0;
    int64_t shape[KL_MAX_RANK];
    for (int i = 0; i < 3; i++) {
        int64_t joint[KL_MAX_RANK];
        if (!kl_broadcast_shapes(rank, shape, in[i]->rank, in[i]->shape, &rank, joint)) {
            char text[160];
            return kl_error(KL_ERROR_SHAPE,
                            "operand %d of shape %s doesn't broadcast with the "
                            "others",
                            i, kl_shape_text(in[i]->rank, in[i]->shape, text, sizeof text));
        }
        memcpy(shape, joint, sizeof shape);
    }
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)in[1]->dtype, rank, shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    int64_t strides[3][KL_MAX_RANK];
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < rank; i++) {
            int from = i - (rank - in[k]->rank);
            strides[k][i] =
                from < 0 || (in[k]->shape[from] == 1 && shape[i] != 1) ? 0 : in[k]->strides[from];
        }
    const int64_t *all[] = {out->strides, strides[0], strides[1], strides[2]};
    size_t size = kl_dtype_size((kl_dtype)out->dtype);
    kl_iter it;
    kl_iter_begin(&it, rank, shape, 4, all);
    do {
        const uint8_t *c = (const uint8_t *)in[0]->data + it.offset[1];
        const char *a = in[1]->data + it.offset[2] * (int64_t)size;
        const char *b = in[2]->data + it.offset[3] * (int64_t)size;
        char *y = out->data + it.offset[0] * (int64_t)size;
        if (size == 4 && it.inner_stride[0] == 1 && it.inner_stride[1] == 1 &&
            it.inner_stride[2] <= 1 && it.inner_stride[3] <= 1 && it.inner_stride[2] >= 0 &&
            it.inner_stride[3] >= 0) {
            choose_words(it.inner, c, (const uint32_t *)(const void *)a, it.inner_stride[2],
                         (const uint32_t *)(const void *)b, it.inner_stride[3],
                         (uint32_t *)(void *)y);
            continue;
        }
        if (size == 4 && it.inner_stride[0] == 1) {
            for (int64_t i = 0; i < it.inner; i++)
                ((uint32_t *)(void *)y)[i] =
                    c[i * it.inner_stride[1]]
                        ? ((const uint32_t *)(const void *)a)[i * it.inner_stride[2]]
                        : ((const uint32_t *)(const void *)b)[i * it.inner_stride[3]];
            continue;
        }
        for (int64_t i = 0; i < it.inner; i++)
            memcpy(y + i * it.inner_stride[0] * (int64_t)size,
                   c[i * it.inner_stride[1]] ? a + i * it.inner_stride[2] * (int64_t)size
                                             : b + i * it.inner_stride[3] * (int64_t)size,
                   size);
    } while (kl_iter_next(&it));
    return KL_OK;
}

static kl_status where_backward(kl_op_frame *f)
{
    kl_tensor *zero = kl_scalar((kl_dtype)f->dout[0]->dtype, 0);
    if (f->needs[1])
        f->din[1] = kl_unbroadcast(kl_op_where(f->in[0], f->dout[0], zero), f->in[1]);
    if (f->needs[2])
        f->din[2] = kl_unbroadcast(kl_op_where(f->in[0], zero, f->dout[0]), f->in[2]);
    return (f->needs[1] && !f->din[1]) || (f->needs[2] && !f->din[2]) ? kl_last_status() : KL_OK;
}

static const kl_op where_op = {.size = sizeof(kl_op),
                               .name = "where",
                               .class_name = "Where",
                               .forward = where_forward,
                               .backward = where_backward,
                               .keeps_in = 1,
                               .flags = KL_OP_ANY_DTYPE};

kl_tensor *kl_op_where(kl_tensor *condition, kl_tensor *a, kl_tensor *b)
{
    kl_tensor *in[3] = {condition, a, b};
    if (condition && a && b && !condition->symbol && !a->symbol && !b->symbol) {
        kl_dtype dtype = kl_promote((kl_dtype)a->dtype, (kl_dtype)b->dtype);
        if ((a->dtype == KL_STRING) != (b->dtype == KL_STRING) || condition->dtype == KL_STRING) {
            kl_error(KL_ERROR_DTYPE, "where: strings and numbers don't mix");
            return NULL;
        }
        in[0] = kl_as_dtype(condition, KL_BOOL);
        in[1] = kl_as_dtype(a, dtype);
        in[2] = kl_as_dtype(b, dtype);
    }
    kl_tensor *out = kl_run1(&where_op, NULL, 3, in, 0);
    kl_tensor *given[3] = {condition, a, b};
    for (int i = 0; i < 3; i++)
        if (in[i] != given[i])
            kl_drop(in[i]);
    return out;
}

/* Tests of one value: 0 not, 1 NaN, 2 infinite, 3 finite. */
typedef struct test_op {
    kl_op op;
    int test;
} test_op;

static kl_status test_forward(kl_op_frame *f)
{
    int test = ((const test_op *)f->op)->test;
    kl_tensor *x = f->in[0], *out = f->out[0] = kl_op_output(f, KL_BOOL, x->rank, x->shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    if (x->dtype == KL_STRING)
        return kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
    kl_tensor *from = kl_contiguous(x);
    if (!from)
        return kl_last_status();
    size_t size = kl_dtype_size((kl_dtype)x->dtype);
    for (int64_t i = 0; i < x->size; i++) {
        double v = kl_load_element((kl_dtype)x->dtype, from->data + (size_t)i * size);
        out->data[i] = test == 0 ? v == 0 : test == 1 ? v != v : test == 2 ? isinf(v) : isfinite(v);
    }
    kl_drop(from);
    return KL_OK;
}

#define TEST(id, cls, number)                                                                      \
    static const test_op id##_op = {                                                               \
        {.size = sizeof(kl_op), .name = #id, .class_name = cls, .forward = test_forward}, number}; \
    kl_tensor *kl_op_##id(kl_tensor *a)                                                            \
    {                                                                                              \
        return kl_run1(&id##_op.op, NULL, 1, &a, 0);                                               \
    }
TEST(logical_not, "LogicalNot", 0)
TEST(is_nan, "Isnan", 1)
TEST(is_inf, "Isinf", 2)
TEST(is_finite, "Isfinite", 3)

const kl_op *const kl_select_ops[] = {&where_op,     &stop_gradient_op, &logical_not_op.op,
                                      &is_nan_op.op, &is_inf_op.op,     &is_finite_op.op,
                                      NULL};
