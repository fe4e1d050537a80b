/* Functions of two tensors with broadcasting: arithmetic, comparison, logic. */
#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/elementwise.h"
#include "ops/common.h"
#include "tensor/convert.h"

/* Elements that are worth a chunk of their own. */
#define GRAIN 32768

typedef struct binary_op {
    kl_op op;
    int kernel; /* kl_binary or kl_compare */
} binary_op;

/* What both operands are broadcast to; false with the error set. */
static bool joint_shape(const kl_tensor *a, const kl_tensor *b, int *rank, int64_t *shape)
{
    if (kl_broadcast_shapes(a->rank, a->shape, b->rank, b->shape, rank, shape))
        return true;
    char left[160], right[160];
    kl_error(KL_ERROR_SHAPE, "shapes %s and %s don't broadcast",
             kl_shape_text(a->rank, a->shape, left, sizeof left),
             kl_shape_text(b->rank, b->shape, right, sizeof right));
    return false;
}

static void joint_strides(const kl_tensor *x, int rank, const int64_t *shape, int64_t *strides)
{
    for (int i = 0; i < rank; i++) {
        int from = i - (rank - x->rank);
        strides[i] = from < 0 || (x->shape[from] == 1 && shape[i] != 1) ? 0 : x->strides[from];
    }
}

typedef void loop_function(int kernel, kl_dtype dtype, int64_t n, const char *a, int64_t sa,
                           const char *b, int64_t sb, char *out);

typedef struct binary_job {
    kl_iter it;
    kl_split split;
    int kernel;
    kl_dtype dtype;
    loop_function *loop;
    const char *a, *b;
    char *out;
    int64_t in_size, out_size;
    char *repeated; /* a short row of b, so often in turn that many rows of a go as one; or NULL */
    int64_t repeats;
} binary_job;

enum { REPEATED = 4096 }; /* elements */

/* Rows [row, end) of a with the repeated row of b. */
static void repeated_rows(const binary_job *job, int64_t row, int64_t end)
{
    int64_t inner = job->it.inner, at = row * inner, last = end * inner;
    for (int64_t step = inner * job->repeats; at < last; at += step)
        job->loop(job->kernel, job->dtype, step < last - at ? step : last - at,
                  job->a + at * job->in_size, 1, job->repeated, 1, job->out + at * job->out_size);
}

/* Whether each row of a contiguous a meets the same short row of b. */
static bool meets_one_row(const kl_iter *it)
{
    if (it->rank != 1 || it->inner < 2 || it->inner > REPEATED / 8 || it->outer < 8)
        return false;
    for (int k = 0; k < 3; k++)
        if (it->inner_stride[k] != 1 || it->strides[k][0] != (k == 2 ? 0 : it->inner))
            return false;
    return true;
}

/* Without memory for it rows go one by one. */
static void repeat_row(binary_job *job)
{
    if (!meets_one_row(&job->it))
        return;
    size_t bytes = (size_t)(job->it.inner * job->in_size);
    job->repeats = REPEATED / job->it.inner;
    if (job->repeats > job->it.outer)
        job->repeats = job->it.outer;
    job->repeated = kl_block_alloc(bytes * (size_t)job->repeats);
    for (int64_t i = 0; job->repeated && i < job->repeats; i++)
        memcpy(job->repeated + (size_t)i * bytes, job->b, bytes);
}

static void binary_chunk(void *arg, int64_t chunk)
{
    const binary_job *job = arg;
    kl_iter it = job->it;
    int64_t run = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    if (it.outer == 1) {
        /* One run: chunks are pieces of it. */
        job->loop(job->kernel, job->dtype, end - run,
                  job->a + run * it.inner_stride[1] * job->in_size, it.inner_stride[1],
                  job->b + run * it.inner_stride[2] * job->in_size, it.inner_stride[2],
                  job->out + run * job->out_size);
        return;
    }
    if (job->repeated) {
        repeated_rows(job, run, end);
        return;
    }
    kl_iter_seek(&it, run);
    for (; run < end; run++) {
        job->loop(job->kernel, job->dtype, it.inner, job->a + it.offset[1] * job->in_size,
                  it.inner_stride[1], job->b + it.offset[2] * job->in_size, it.inner_stride[2],
                  job->out + it.offset[0] * job->out_size);
        kl_iter_next(&it);
    }
}

static void run_binary(binary_job *job, const kl_tensor *a, const kl_tensor *b, kl_tensor *out)
{
    int64_t sa[KL_MAX_RANK], sb[KL_MAX_RANK];
    joint_strides(a, out->rank, out->shape, sa);
    joint_strides(b, out->rank, out->shape, sb);
    const int64_t *strides[] = {out->strides, sa, sb};
    kl_iter_begin(&job->it, out->rank, out->shape, 3, strides);
    job->a = a->data;
    job->b = b->data;
    job->out = out->data;
    job->in_size = (int64_t)kl_dtype_size(job->dtype);
    job->out_size = (int64_t)kl_dtype_size((kl_dtype)out->dtype);
    if (!out->size)
        return;
    repeat_row(job);
    job->split = job->it.outer == 1 ? kl_split_make(job->it.inner, GRAIN)
                                    : kl_split_make(job->it.outer, GRAIN / (job->it.inner + 1) + 1);
    if (job->split.chunks == 1)
        binary_chunk(job, 0);
    else
        kl_parallel_for(job->split.chunks, binary_chunk, job);
    kl_block_free(job->repeated);
}

static void arithmetic_loop(int kernel, kl_dtype dtype, int64_t n, const char *a, int64_t sa,
                            const char *b, int64_t sb, char *out)
{
    const void *x = a, *y = b;
    void *z = out;
    switch (dtype) {
    case KL_FLOAT32:
        kl_binary_f32((kl_binary)kernel, n, x, sa, y, sb, z);
        break;
    case KL_FLOAT64:
        kl_binary_f64((kl_binary)kernel, n, x, sa, y, sb, z);
        break;
    case KL_INT32:
        kl_binary_i32((kl_binary)kernel, n, x, sa, y, sb, z);
        break;
    case KL_INT64:
        kl_binary_i64((kl_binary)kernel, n, x, sa, y, sb, z);
        break;
    default:
        for (int64_t i = 0; i < n; i++) {
            int64_t left = (uint8_t)a[i * sa], right = (uint8_t)b[i * sb], result;
            kl_binary_i64((kl_binary)kernel, 1, &left, 1, &right, 1, &result);
            out[i] = (char)(uint8_t)result;
        }
    }
}

static void compare_loop(int kernel, kl_dtype dtype, int64_t n, const char *a, int64_t sa,
                         const char *b, int64_t sb, char *out)
{
    const void *x = a, *y = b;
    uint8_t *z = (uint8_t *)out;
    if (dtype == KL_FLOAT32) {
        kl_compare_f32((kl_compare)kernel, n, x, sa, y, sb, z);
    } else if (dtype == KL_FLOAT64) {
        kl_compare_f64((kl_compare)kernel, n, x, sa, y, sb, z);
    } else if (dtype == KL_INT64) {
        kl_compare_i64((kl_compare)kernel, n, x, sa, y, sb, z);
    } else if (dtype == KL_STRING) {
        const kl_string *s = x, *t = y;
        for (int64_t i = 0; i < n; i++) {
            kl_string l = s[i * sa], r = t[i * sb];
            bool same = l.length == r.length && !memcmp(l.at, r.at, l.length);
            z[i] = same == (kernel == KL_COMPARE_EQUAL);
        }
    } else {
        size_t size = kl_dtype_size(dtype);
        for (int64_t i = 0; i < n; i++) {
            double l = kl_load_element(dtype, a + i * sa * (int64_t)size);
            double r = kl_load_element(dtype, b + i * sb * (int64_t)size);
            kl_compare_f64((kl_compare)kernel, 1, &l, 1, &r, 1, z + i);
        }
    }
}

static void logic_loop(int kernel, kl_dtype dtype, int64_t n, const char *a, int64_t sa,
                       const char *b, int64_t sb, char *out)
{
    for (int64_t i = 0; i < n; i++) {
        bool l = a[i * sa] != 0, r = b[i * sb] != 0;
        out[i] = kernel == 0 ? (l && r) : kernel == 1 ? (l || r) : l != r;
    }
}

/* Whether x is read in out's order without a walk over axes: element by element, or one alone. */
static bool lies_as(const kl_tensor *x, const kl_tensor *out)
{
    return x->contiguous && (x->size == out->size || x->size == 1);
}

static kl_status forward_with(kl_op_frame *f, loop_function *loop, bool to_bool)
{
    const binary_op *row = (const binary_op *)f->op;
    const kl_tensor *a = f->in[0], *b = f->in[1];
    int rank;
    int64_t shape[KL_MAX_RANK];
    if (!joint_shape(a, b, &rank, shape))
        return kl_last_status();
    kl_tensor *out = f->out[0] =
        kl_op_output(f, to_bool ? KL_BOOL : (kl_dtype)a->dtype, rank, shape);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    if (out->size <= GRAIN && lies_as(a, out) && lies_as(b, out)) {
        loop(row->kernel, (kl_dtype)a->dtype, out->size, a->data, a->size == out->size, b->data,
             b->size == out->size, out->data);
        return KL_OK;
    }
    binary_job job = {.repeated = NULL};
    job.kernel = row->kernel;
    job.dtype = (kl_dtype)a->dtype;
    job.loop = loop;
    run_binary(&job, a, b, out);
    return KL_OK;
}

static kl_status arithmetic_forward(kl_op_frame *f)
{
    return forward_with(f, arithmetic_loop, false);
}

static kl_status compare_forward(kl_op_frame *f)
{
    return forward_with(f, compare_loop, true);
}

static kl_status logic_forward(kl_op_frame *f)
{
    return forward_with(f, logic_loop, true);
}

/* Puts an operand's gradient, summed to its shape. */
static kl_status give(kl_op_frame *f, int index, kl_tensor *grad)
{
    if (!f->needs[index])
        return KL_OK;
    f->din[index] = kl_unbroadcast(grad, f->in[index]);
    return f->din[index] ? KL_OK : kl_last_status();
}

#define GIVE(index, grad)                                                                          \
    do {                                                                                           \
        if (f->needs[index]) {                                                                     \
            kl_status status = give(f, index, grad);                                               \
            if (status)                                                                            \
                return status;                                                                     \
        }                                                                                          \
    } while (0)
#define BACKWARD(name, grad_a, grad_b)                                                             \
    static kl_status name##_backward(kl_op_frame *f)                                               \
    {                                                                                              \
        kl_tensor *a = f->in[0], *b = f->in[1], *y = f->out[0], *dy = f->dout[0];                  \
        (void)a, (void)b, (void)y;                                                                 \
        GIVE(0, grad_a);                                                                           \
        GIVE(1, grad_b);                                                                           \
        return KL_OK;                                                                              \
    }

static kl_tensor *where_true(kl_tensor *condition, kl_tensor *dy)
{
    return kl_op_mul(dy, kl_op_cast(condition, (kl_dtype)dy->dtype));
}

/* d a^b / db = a^b log a, and 0 where a is 0. */
static kl_tensor *pow_exponent_grad(kl_tensor *a, kl_tensor *y, kl_tensor *dy)
{
    kl_tensor *zero = kl_scalar((kl_dtype)a->dtype, 0), *one = kl_scalar((kl_dtype)a->dtype, 1);
    kl_tensor *positive = kl_op_greater(a, zero);
    kl_tensor *logarithm = kl_op_log(kl_op_where(positive, a, one));
    return kl_op_mul(dy, kl_op_mul(y, kl_op_where(positive, logarithm, zero)));
}

BACKWARD(add, dy, dy)
BACKWARD(sub, dy, kl_op_neg(dy))
BACKWARD(mul, kl_op_mul(dy, b), kl_op_mul(dy, a))
BACKWARD(div, kl_op_div(dy, b), kl_op_neg(kl_op_div(kl_op_mul(dy, a), kl_op_square(b))))
BACKWARD(mod, dy, kl_op_neg(kl_op_mul(dy, kl_op_floor(kl_op_div(a, b)))))
BACKWARD(pow, kl_op_mul(dy, kl_op_mul(b, kl_op_pow(a, kl_op_add_scalar(b, -1)))),
         pow_exponent_grad(a, y, dy))
BACKWARD(maximum, where_true(kl_op_greater_equal(a, b), dy), where_true(kl_op_less(a, b), dy))
BACKWARD(minimum, where_true(kl_op_less_equal(a, b), dy), where_true(kl_op_greater(a, b), dy))
BACKWARD(squared_difference, kl_op_mul(dy, kl_op_mul_scalar(kl_op_sub(a, b), 2)),
         kl_op_mul(dy, kl_op_mul_scalar(kl_op_sub(b, a), 2)))
BACKWARD(atan2, kl_op_mul(dy, kl_op_div(b, kl_op_add(kl_op_square(a), kl_op_square(b)))),
         kl_op_neg(kl_op_mul(dy, kl_op_div(a, kl_op_add(kl_op_square(a), kl_op_square(b))))))

static kl_tensor *run(const binary_op *row, kl_tensor *a, kl_tensor *b, bool floats)
{
    kl_tensor *in[2] = {a, b};
    if (a && b) {
        kl_dtype dtype = kl_promote((kl_dtype)a->dtype, (kl_dtype)b->dtype);
        if ((a->dtype == KL_STRING) != (b->dtype == KL_STRING)) {
            kl_error(KL_ERROR_DTYPE, "%s: strings and numbers don't mix", row->op.name);
            return NULL;
        }
        if (floats && !kl_dtype_is_float(dtype) && dtype != KL_STRING)
            dtype = KL_FLOAT32;
        in[0] = kl_as_dtype(a, dtype);
        in[1] = kl_as_dtype(b, dtype);
    }
    kl_tensor *out = kl_run1(&row->op, NULL, 2, in, 0);
    if (in[0] && in[0] != a && !in[0]->symbol)
        kl_drop(in[0]);
    if (in[1] && in[1] != b && !in[1]->symbol)
        kl_drop(in[1]);
    return out;
}

#define NUMBERS_ONLY(row)                                                                          \
    if ((a && a->dtype == KL_STRING) || (b && b->dtype == KL_STRING)) {                            \
        kl_error(KL_ERROR_DTYPE, "%s: expected numbers, got strings", row.op.name);                \
        return NULL;                                                                               \
    }
#define ARITHMETIC(id, cls, kern, grad, kin, kout, floats)                                         \
    static const binary_op id##_op = {{.size = sizeof(kl_op),                                      \
                                       .name = #id,                                                \
                                       .class_name = cls,                                          \
                                       .forward = arithmetic_forward,                              \
                                       .backward = grad,                                           \
                                       .keeps_in = kin,                                            \
                                       .keeps_out = kout},                                         \
                                      KL_BINARY_##kern};                                           \
    kl_tensor *kl_op_##id(kl_tensor *a, kl_tensor *b)                                              \
    {                                                                                              \
        NUMBERS_ONLY(id##_op)                                                                      \
        return run(&id##_op, a, b, floats);                                                        \
    }
ARITHMETIC(add, "Add", ADD, add_backward, 0, 0, false)
ARITHMETIC(sub, "Subtract", SUB, sub_backward, 0, 0, false)
ARITHMETIC(mul, "Multiply", MUL, mul_backward, 3, 0, false)
ARITHMETIC(div, "Divide", DIV, div_backward, 3, 0, true)
ARITHMETIC(floor_div, "FloorDivide", FLOOR_DIV, NULL, 0, 0, false)
ARITHMETIC(mod, "Mod", MOD, mod_backward, 3, 0, false)
ARITHMETIC(pow, "Power", POW, pow_backward, 3, 1, false)
ARITHMETIC(maximum, "Maximum", MAX, maximum_backward, 3, 0, false)
ARITHMETIC(minimum, "Minimum", MIN, minimum_backward, 3, 0, false)
ARITHMETIC(squared_difference, NULL, SQUARED_DIFFERENCE, squared_difference_backward, 3, 0, false)
ARITHMETIC(atan2, "Arctan2", ATAN2, atan2_backward, 3, 0, true)

#define COMPARISON(id, cls, kern)                                                                  \
    static const binary_op id##_op = {                                                             \
        {.size = sizeof(kl_op), .name = #id, .class_name = cls, .forward = compare_forward},       \
        KL_COMPARE_##kern};                                                                        \
    kl_tensor *kl_op_##id(kl_tensor *a, kl_tensor *b)                                              \
    {                                                                                              \
        if (KL_COMPARE_##kern > KL_COMPARE_NOT_EQUAL)                                              \
            NUMBERS_ONLY(id##_op)                                                                  \
        return run(&id##_op, a, b, false);                                                         \
    }
COMPARISON(equal, "Equal", EQUAL)
COMPARISON(not_equal, "NotEqual", NOT_EQUAL)
COMPARISON(less, "Less", LESS)
COMPARISON(less_equal, "LessEqual", LESS_EQUAL)
COMPARISON(greater, "Greater", GREATER)
COMPARISON(greater_equal, "GreaterEqual", GREATER_EQUAL)

#define LOGIC(id, cls, kern)                                                                       \
    static const binary_op id##_op = {                                                             \
        {.size = sizeof(kl_op), .name = #id, .class_name = cls, .forward = logic_forward}, kern};  \
    kl_tensor *kl_op_##id(kl_tensor *a, kl_tensor *b)                                              \
    {                                                                                              \
        NUMBERS_ONLY(id##_op)                                                                      \
        if ((a && a->symbol) || (b && b->symbol) || !a || !b)                                      \
            return run(&id##_op, a, b, false);                                                     \
        kl_tensor *x = kl_as_dtype(a, KL_BOOL), *y = kl_as_dtype(b, KL_BOOL);                      \
        kl_tensor *out = run(&id##_op, x, y, false);                                               \
        if (x != a)                                                                                \
            kl_drop(x);                                                                            \
        if (y != b)                                                                                \
            kl_drop(y);                                                                            \
        return out;                                                                                \
    }
LOGIC(logical_and, "LogicalAnd", 0)
LOGIC(logical_or, "LogicalOr", 1)
LOGIC(logical_xor, "LogicalXor", 2)

const kl_op *const kl_binary_ops[] = {
    &add_op.op,         &sub_op.op,        &mul_op.op,         &div_op.op,
    &floor_div_op.op,   &mod_op.op,        &pow_op.op,         &maximum_op.op,
    &minimum_op.op,     &atan2_op.op,      &equal_op.op,       &not_equal_op.op,
    &less_op.op,        &less_equal_op.op, &greater_op.op,     &greater_equal_op.op,
    &logical_and_op.op, &logical_or_op.op, &logical_xor_op.op, NULL};
