#include "ops/fused_sum.h"

#include "base/thread_pool.h"
#include "kernels/elementwise.h"
#include "tensor/tensor.h"

#define GRAIN 32768
/* What is added stays in the first cache until it is clipped. */
#define PIECE 2048

typedef struct sum_job {
    const float *a, *b;
    float *out;
    kl_split split;
} sum_job;

static void sum_chunk(void *arg, int64_t chunk)
{
    const sum_job *job = arg;
    int64_t at = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    for (int64_t n; at < end; at += n) {
        n = end - at < PIECE ? end - at : PIECE;
        kl_binary_f32(KL_BINARY_ADD, n, job->a + at, 1, job->b + at, 1, job->out + at);
        kl_unary_f32(KL_UNARY_RELU, NULL, n, job->out + at, job->out + at);
    }
}

kl_tensor *kl_sum_relu(const kl_tensor *a, const kl_tensor *b)
{
    kl_tensor *y = kl_empty(KL_FLOAT32, a->rank, a->shape);
    if (!y || !y->size)
        return y;
    sum_job job = {(const float *)(const void *)a->data, (const float *)(const void *)b->data,
                   (float *)(void *)y->data, kl_split_make(y->size, GRAIN)};
    if (job.split.chunks == 1)
        sum_chunk(&job, 0);
    else
        kl_parallel_for(job.split.chunks, sum_chunk, &job);
    return y;
}
