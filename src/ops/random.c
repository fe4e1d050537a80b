/* Draws, and dropout. */
#include "base/random.h"

#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "ops/common.h"

typedef enum distribution { UNIFORM, NORMAL, TRUNCATED } distribution;

static kl_tensor *draw(distribution kind, kl_dtype dtype, int rank, const int64_t *shape, double a,
                       double b)
{
    if (!kl_dtype_is_float(dtype)) {
        kl_error(KL_ERROR_DTYPE, "random numbers are floats, got %s", kl_dtype_name(dtype));
        return NULL;
    }
    kl_dtype drawn = dtype == KL_FLOAT64 ? KL_FLOAT64 : KL_FLOAT32;
    kl_tensor *out = kl_empty(drawn, rank, shape);
    if (!out || !out->buffer)
        return out;
    kl_random *r = kl_random_current();
    if (drawn == KL_FLOAT64) {
        double *at = (double *)(void *)out->data;
        if (kind == UNIFORM)
            kl_random_uniform_f64(r, at, out->size, a, b);
        else if (kind == NORMAL)
            kl_random_normal_f64(r, at, out->size, a, b);
        else
            kl_random_truncated_normal_f64(r, at, out->size, a, b);
    } else {
        float *at = (float *)(void *)out->data;
        if (kind == UNIFORM)
            kl_random_uniform_f32(r, at, out->size, (float)a, (float)b);
        else if (kind == NORMAL)
            kl_random_normal_f32(r, at, out->size, (float)a, (float)b);
        else
            kl_random_truncated_normal_f32(r, at, out->size, (float)a, (float)b);
    }
    if (drawn == dtype)
        return out;
    kl_tensor *half = kl_op_cast(out, dtype);
    kl_drop(out);
    return half;
}

kl_tensor *kl_op_random_uniform(kl_dtype dtype, int rank, const int64_t *shape, double low,
                                double high)
{
    return draw(UNIFORM, dtype, rank, shape, low, high);
}

kl_tensor *kl_op_random_normal(kl_dtype dtype, int rank, const int64_t *shape, double mean,
                               double stddev)
{
    return draw(NORMAL, dtype, rank, shape, mean, stddev);
}

kl_tensor *kl_op_random_truncated_normal(kl_dtype dtype, int rank, const int64_t *shape,
                                         double mean, double stddev)
{
    return draw(TRUNCATED, dtype, rank, shape, mean, stddev);
}

/* x * scale where kept, else 0; its gradient is the same of the gradient. */
typedef struct keep_attrs {
    double scale;
} keep_attrs;

typedef struct keep_job {
    kl_split split;
    const kl_tensor *x, *keep;
    kl_tensor *y;
    double scale;
} keep_job;

static void keep_chunk(void *arg, int64_t chunk)
{
    const keep_job *job = arg;
    int64_t from = kl_split_begin(job->split, chunk), to = kl_split_begin(job->split, chunk + 1);
    const uint8_t *keep = (const uint8_t *)job->keep->data;
    if (kl_is_wide(job->y)) {
        const double *x = (const double *)(const void *)job->x->data;
        double *y = (double *)(void *)job->y->data;
        for (int64_t i = from; i < to; i++)
            y[i] = keep[i] ? x[i] * job->scale : 0;
        return;
    }
    const float *x = (const float *)(const void *)job->x->data, scale = (float)job->scale;
    float *y = (float *)(void *)job->y->data;
    for (int64_t i = from; i < to; i++) {
        float v = x[i] * scale;
        y[i] = keep[i] ? v : 0;
    }
}

static kl_status keep_forward(kl_op_frame *f)
{
    kl_tensor *x = f->in[0];
    kl_tensor *y = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, x->shape);
    if (!y || !y->buffer)
        return y ? KL_OK : kl_last_status();
    kl_tensor *from = kl_dense_values(x);
    if (!from)
        return kl_last_status();
    keep_job job = {kl_split_make(x->size, 32768), from, f->in[1], y,
                    ((const keep_attrs *)f->attrs)->scale};
    kl_parallel_for(job.split.chunks, keep_chunk, &job);
    kl_drop_copy(from, x);
    return KL_OK;
}

static kl_status keep_backward(kl_op_frame *f)
{
    kl_tensor *in[2] = {f->dout[0], f->in[1]};
    f->din[0] = kl_run1(f->op, f->attrs, 2, in, 0);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op keep_op = {.size = sizeof(kl_op),
                              .name = "dropout",
                              .attrs_size = sizeof(keep_attrs),
                              .forward = keep_forward,
                              .backward = keep_backward,
                              .keeps_in = 2};

kl_tensor *kl_op_dropout(kl_tensor *a, double rate, const int64_t *noise_shape)
{
    if (!a) {
        kl_error_null("dropout", "tensor");
        return NULL;
    }
    if (!(rate >= 0 && rate <= 1)) {
        kl_error(KL_ERROR_RANGE, "dropout: rate must be from 0 to 1, got %g", rate);
        return NULL;
    }
    if (rate == 0)
        return kl_op_reshape(a, a->rank, a->shape);
    kl_scope *scope = kl_scope_begin();
    int64_t shape[KL_MAX_RANK];
    for (int i = 0; i < a->rank; i++) {
        shape[i] = noise_shape && noise_shape[i] ? noise_shape[i] : a->shape[i];
        if (a->buffer && shape[i] != 1 && shape[i] != a->shape[i]) {
            kl_scope_end_keeping(scope, 0, NULL);
            kl_error(KL_ERROR_SHAPE, "dropout: noise_shape has %lld at axis %d, expected 1 or %lld",
                     (long long)shape[i], i, (long long)a->shape[i]);
            return NULL;
        }
    }
    kl_tensor *keep = kl_empty(KL_BOOL, a->rank, shape);
    if (keep && keep->buffer)
        kl_random_bernoulli(kl_random_current(), (uint8_t *)keep->data, keep->size, 1 - rate);
    kl_tensor *y = NULL, *in[2] = {a, keep};
    if (keep && kl_shape_equal(keep, a) && keep->contiguous &&
        kl_dtype_is_float((kl_dtype)a->dtype)) {
        y = kl_run1(&keep_op, &(keep_attrs){rate < 1 ? 1 / (1 - rate) : 0}, 2, in, 0);
    } else if (keep) {
        kl_tensor *scale =
            kl_op_mul_scalar(kl_op_cast(keep, (kl_dtype)a->dtype), rate < 1 ? 1 / (1 - rate) : 0);
        y = kl_op_mul(a, scale);
    }
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}
