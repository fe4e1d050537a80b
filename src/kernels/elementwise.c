#include "kernels/elementwise.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/thread_pool.h"
#include "kernels/elementwise_table.h"
#include "kernels/isa.h"

const kl_elementwise_table *kl_elementwise_kernels(void)
{
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        return &kl_elementwise_avx512;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        return &kl_elementwise_avx2;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return &kl_elementwise_neon;
#endif
    default:
        return &kl_elementwise_portable;
    }
}

/* Elements a chunk has at the least. */
#define GRAIN 32768

typedef struct unary_job {
    kl_split split;
    const kl_unary_params *params;
    int op;
    bool wide, backward;
    const void *x, *y, *dy;
    void *out;
} unary_job;

static void wide_part(const unary_job *job, int64_t at, int64_t n)
{
    const double *x = (const double *)job->x + at;
    double *out = (double *)job->out + at;
    if (job->backward)
        kl_elementwise_portable.grad_f64[job->op](job->params, n, x, (const double *)job->y + at,
                                                  (const double *)job->dy + at, out);
    else
        kl_elementwise_portable.unary_f64[job->op](job->params, n, x, out);
}

static bool has_large_turns(int64_t n, const float *x)
{
    const float limit = KL_UNARY_MOST_TURN;
    uint32_t most = 0, bits, limit_bits;
    for (int64_t i = 0; i < n; i++) {
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    memcpy(&limit_bits, &limit, sizeof limit);
    return most > limit_bits;
}

/* Whether the vector form of x^y is right. */
static bool is_plain_power(float x, float y)
{
    return x > 0 && x <= FLT_MAX && fabsf(y) <= FLT_MAX;
}

static bool is_special(const unary_job *job, float x)
{
    return job->op == KL_UNARY_POW_SCALAR ? !is_plain_power(x, (float)job->params->p)
                                          : !(fabsf(x) <= KL_UNARY_MOST_TURN);
}

static bool has_special(const unary_job *job, int64_t n, const float *x)
{
    if (job->op == KL_UNARY_SIN || job->op == KL_UNARY_COS)
        return has_large_turns(n, x);
    bool special = false;
    for (int64_t i = 0; job->op == KL_UNARY_POW_SCALAR && i < n; i++)
        special |= is_special(job, x[i]);
    return special;
}

static float by_library(const unary_job *job, float x, float dy)
{
    const float p = (float)job->params->p;
    if (job->op == KL_UNARY_POW_SCALAR)
        return job->backward ? dy * (p * powf(x, p - 1)) : powf(x, p);
    if (job->op == KL_UNARY_SIN)
        return job->backward ? dy * cosf(x) : sinf(x);
    return job->backward ? dy * -sinf(x) : cosf(x);
}

/* Where some arguments are beyond what the vector form is right for: those by the C library, so
   that each value depends on its argument alone. */
static void special_part(const unary_job *job, int64_t n, const float *x, const float *dy,
                         float *out)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    for (int64_t at = 0; at < n; at += KL_UNARY_WHOLE) {
        float part[KL_UNARY_WHOLE], from[KL_UNARY_WHOLE] = {0};
        memcpy(part, x + at, sizeof part);
        if (job->backward)
            memcpy(from, dy + at, sizeof from);
        if (job->backward)
            k->grad_f32[job->op](job->params, KL_UNARY_WHOLE, part, part, from, out + at);
        else
            k->unary_f32[job->op](job->params, KL_UNARY_WHOLE, part, out + at);
        for (int i = 0; i < KL_UNARY_WHOLE; i++)
            if (is_special(job, part[i]))
                out[at + i] = by_library(job, part[i], from[i]);
    }
}

static void single_part(const unary_job *job, int64_t n, const float *x, const float *y,
                        const float *dy, float *out)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    if (has_special(job, n, x))
        special_part(job, n, x, dy, out);
    else if (job->backward)
        k->grad_f32[job->op](job->params, n, x, y, dy, out);
    else
        k->unary_f32[job->op](job->params, n, x, out);
}

/* Fewer elements than a whole vector. */
static void single_rest(const unary_job *job, int64_t at, int64_t n)
{
    float x[KL_UNARY_WHOLE] = {0}, y[KL_UNARY_WHOLE] = {0}, dy[KL_UNARY_WHOLE] = {0};
    const size_t bytes = (size_t)n * sizeof *x;
    memcpy(x, (const float *)job->x + at, bytes);
    if (job->backward) {
        memcpy(y, (const float *)job->y + at, bytes);
        memcpy(dy, (const float *)job->dy + at, bytes);
    }
    single_part(job, KL_UNARY_WHOLE, x, y, dy, x);
    memcpy((float *)job->out + at, x, bytes);
}

static void unary_chunk(void *arg, int64_t chunk)
{
    const unary_job *job = arg;
    int64_t at = kl_split_begin(job->split, chunk);
    int64_t n = kl_split_begin(job->split, chunk + 1) - at;
    if (job->wide) {
        wide_part(job, at, n);
        return;
    }
    int64_t rest = kl_unary_is_scalar((kl_unary)job->op) ? 0 : n % KL_UNARY_WHOLE;
    if (n > rest) {
        const int64_t back = job->backward ? at : 0;
        single_part(job, n - rest, (const float *)job->x + at, (const float *)job->y + back,
                    (const float *)job->dy + back, (float *)job->out + at);
    }
    if (rest)
        single_rest(job, at + n - rest, rest);
}

static void run_unary(unary_job *job, int64_t n)
{
    static const kl_unary_params none;
    if (!job->params)
        job->params = &none;
    job->split = kl_split_make(n, GRAIN);
    if (job->split.chunks == 1)
        unary_chunk(job, 0);
    else
        kl_parallel_for(job->split.chunks, unary_chunk, job);
}

void kl_unary_f32(kl_unary op, const kl_unary_params *params, int64_t n, const float *x, float *y)
{
    run_unary(&(unary_job){.params = params, .op = (int)op, .x = x, .out = y}, n);
}

void kl_unary_f64(kl_unary op, const kl_unary_params *params, int64_t n, const double *x, double *y)
{
    run_unary(&(unary_job){.params = params, .op = (int)op, .wide = true, .x = x, .out = y}, n);
}

void kl_unary_grad_f32(kl_unary op, const kl_unary_params *params, int64_t n, const float *x,
                       const float *y, const float *dy, float *dx)
{
    unary_job job = {
        .params = params, .op = (int)op, .backward = true, .x = x, .y = y, .dy = dy, .out = dx};
    run_unary(&job, n);
}

void kl_unary_grad_f64(kl_unary op, const kl_unary_params *params, int64_t n, const double *x,
                       const double *y, const double *dy, double *dx)
{
    unary_job job = {.params = params,
                     .op = (int)op,
                     .wide = true,
                     .backward = true,
                     .x = x,
                     .y = y,
                     .dy = dy,
                     .out = dx};
    run_unary(&job, n);
}

/* The same for powers of arrays. */
static void powers(int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, float *out)
{
    const kl_elementwise_table *k = kl_elementwise_kernels();
    bool special = false;
    for (int64_t i = 0; i < n; i++)
        special |= !is_plain_power(a[i * sa], b[i * sb]);
    if (!special) {
        k->binary_f32[KL_BINARY_POW](n, a, sa, b, sb, out);
        return;
    }
    for (int64_t at = 0; at < n; at += KL_UNARY_WHOLE) {
        float x[KL_UNARY_WHOLE], y[KL_UNARY_WHOLE];
        int64_t m = n - at < KL_UNARY_WHOLE ? n - at : KL_UNARY_WHOLE;
        for (int64_t i = 0; i < m; i++) {
            x[i] = a[(at + i) * sa];
            y[i] = b[(at + i) * sb];
        }
        k->binary_f32[KL_BINARY_POW](m, x, 1, y, 1, out + at);
        for (int64_t i = 0; i < m; i++)
            if (!is_plain_power(x[i], y[i]))
                out[at + i] = powf(x[i], y[i]);
    }
}

void kl_binary_f32(kl_binary op, int64_t n, const float *a, int64_t sa, const float *b, int64_t sb,
                   float *out)
{
    if (op == KL_BINARY_POW)
        powers(n, a, sa, b, sb, out);
    else
        kl_elementwise_kernels()->binary_f32[op](n, a, sa, b, sb, out);
}

void kl_binary_f64(kl_binary op, int64_t n, const double *a, int64_t sa, const double *b,
                   int64_t sb, double *out)
{
    kl_elementwise_portable.binary_f64[op](n, a, sa, b, sb, out);
}

static int64_t floor_div(int64_t x, int64_t y)
{
    if (y == 0)
        return 0;
    if (y == -1)
        return (int64_t)(0 - (uint64_t)x);
    int64_t q = x / y;
    return q * y != x && (x < 0) != (y < 0) ? q - 1 : q;
}

static int64_t int_pow(int64_t x, int64_t y)
{
    if (y < 0)
        return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
    uint64_t base = (uint64_t)x, result = 1;
    for (; y; y >>= 1) {
        if (y & 1)
            result *= base;
        base *= base;
    }
    return (int64_t)result;
}

static int64_t int_binary(kl_binary op, int64_t x, int64_t y)
{
    switch (op) {
    case KL_BINARY_ADD:
        return (int64_t)((uint64_t)x + (uint64_t)y);
    case KL_BINARY_SUB:
        return (int64_t)((uint64_t)x - (uint64_t)y);
    case KL_BINARY_MUL:
        return (int64_t)((uint64_t)x * (uint64_t)y);
    case KL_BINARY_DIV:
    case KL_BINARY_FLOOR_DIV:
        return floor_div(x, y);
    case KL_BINARY_MOD:
        return y ? (int64_t)((uint64_t)x - (uint64_t)floor_div(x, y) * (uint64_t)y) : 0;
    case KL_BINARY_POW:
        return int_pow(x, y);
    case KL_BINARY_MAX:
        return x > y ? x : y;
    case KL_BINARY_MIN:
        return x < y ? x : y;
    default: {
        uint64_t d = (uint64_t)x - (uint64_t)y;
        return (int64_t)(d * d);
    }
    }
}

void kl_binary_i64(kl_binary op, int64_t n, const int64_t *a, int64_t sa, const int64_t *b,
                   int64_t sb, int64_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = int_binary(op, a[i * sa], b[i * sb]);
}

void kl_binary_i32(kl_binary op, int64_t n, const int32_t *a, int64_t sa, const int32_t *b,
                   int64_t sb, int32_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (int32_t)(uint32_t)(uint64_t)int_binary(op, a[i * sa], b[i * sb]);
}

#define COMPARE_LOOP(relation)                                                                     \
    for (int64_t i = 0; i < n; i++)                                                                \
        out[i] = a[i * sa] relation b[i * sb];
#define DEFINE_COMPARE(T, S)                                                                       \
    void kl_compare_##S(kl_compare op, int64_t n, const T *a, int64_t sa, const T *b, int64_t sb,  \
                        uint8_t *out)                                                              \
    {                                                                                              \
        switch (op) {                                                                              \
        case KL_COMPARE_EQUAL:                                                                     \
            COMPARE_LOOP(==)                                                                       \
            break;                                                                                 \
        case KL_COMPARE_NOT_EQUAL:                                                                 \
            COMPARE_LOOP(!=)                                                                       \
            break;                                                                                 \
        case KL_COMPARE_LESS:                                                                      \
            COMPARE_LOOP(<)                                                                        \
            break;                                                                                 \
        case KL_COMPARE_LESS_EQUAL:                                                                \
            COMPARE_LOOP(<=)                                                                       \
            break;                                                                                 \
        case KL_COMPARE_GREATER:                                                                   \
            COMPARE_LOOP(>)                                                                        \
            break;                                                                                 \
        default:                                                                                   \
            COMPARE_LOOP(>=)                                                                       \
        }                                                                                          \
    }
DEFINE_COMPARE(float, f32)
DEFINE_COMPARE(double, f64)
DEFINE_COMPARE(int64_t, i64)

typedef struct softmax_job {
    kl_split split;
    int64_t n;
    const float *x;
    float *y;
    bool logarithm;
} softmax_job;

static void softmax_chunk(void *arg, int64_t chunk)
{
    const softmax_job *job = arg;
    const kl_elementwise_table *k = kl_elementwise_kernels();
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t row = kl_split_begin(job->split, chunk); row < end; row++)
        k->softmax_row_f32(job->n, job->x + row * job->n, job->y + row * job->n, job->logarithm);
}

void kl_softmax_rows_f32(int64_t rows, int64_t n, const float *x, float *y, bool logarithm)
{
    softmax_job job = {.split = kl_split_make(rows, GRAIN / 2 / (n + 1) + 1),
                       .n = n,
                       .x = x,
                       .y = y,
                       .logarithm = logarithm};
    if (n && rows)
        kl_parallel_for(job.split.chunks, softmax_chunk, &job);
}

void kl_softmax_rows_f64(int64_t rows, int64_t n, const double *x, double *y, bool logarithm)
{
    for (int64_t row = 0; row < rows; row++, x += n, y += n) {
        double most = -INFINITY, total = 0;
        for (int64_t i = 0; i < n; i++)
            most = x[i] > most ? x[i] : most;
        for (int64_t i = 0; i < n; i++)
            total += exp(x[i] - most);
        double rest = log(total);
        for (int64_t i = 0; i < n; i++)
            y[i] = logarithm ? (x[i] - most) - rest : exp(x[i] - most) / total;
    }
}
