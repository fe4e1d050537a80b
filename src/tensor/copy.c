#include <string.h>

#include "base/error.h"
#include "base/thread_pool.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

/* A copy of one shape in parallel chunks of inner runs. */
typedef struct copy_job {
    kl_iter it;
    kl_split split;
    kl_dtype to, from;
    char *out;
    const char *in;
} copy_job;

static void copy_chunk(void *arg, int64_t chunk)
{
    const copy_job *job = arg;
    kl_iter it = job->it;
    int64_t run = kl_split_begin(job->split, chunk), end = kl_split_begin(job->split, chunk + 1);
    int64_t to_size = (int64_t)kl_dtype_size(job->to),
            from_size = (int64_t)kl_dtype_size(job->from);
    kl_iter_seek(&it, run);
    for (; run < end; run++) {
        kl_convert_elements(job->to, job->out + it.offset[0] * to_size, it.inner_stride[0],
                            job->from, job->in + it.offset[1] * from_size, it.inner_stride[1],
                            it.inner);
        kl_iter_next(&it);
    }
}

/*
 * When the source's inner axis is strided and another of its axes is not, tiles of both axes keep
 * reads and writes within cache lines. Returns false where that doesn't apply.
 */
static bool copy_tiled(const copy_job *job)
{
    const kl_iter *it = &job->it;
    if (job->to != job->from || it->rank < 1 || it->inner_stride[0] != 1 ||
        it->inner_stride[1] == 1 || kl_dtype_size(job->to) != 4)
        return false;
    int axis = -1;
    for (int i = 0; i < it->rank; i++)
        if (it->strides[1][i] == 1)
            axis = i;
    if (axis < 0 || it->shape[axis] < 8 || it->inner < 8)
        return false;
    int64_t rows = it->shape[axis], cols = it->inner;
    int64_t row_out = it->strides[0][axis], col_in = it->inner_stride[1];
    kl_iter outer = *it;
    outer.rank = 0;
    outer.outer = 1;
    for (int i = 0; i < it->rank; i++) {
        if (i == axis)
            continue;
        outer.shape[outer.rank] = it->shape[i];
        outer.index[outer.rank] = 0;
        for (int k = 0; k < 2; k++)
            outer.strides[k][outer.rank] = it->strides[k][i];
        outer.outer *= it->shape[i];
        outer.rank++;
    }
    do {
        uint32_t *out = (uint32_t *)(void *)job->out + outer.offset[0];
        const uint32_t *in = (const uint32_t *)(const void *)job->in + outer.offset[1];
        for (int64_t r0 = 0; r0 < rows; r0 += 16)
            for (int64_t c0 = 0; c0 < cols; c0 += 16)
                for (int64_t r = r0; r < rows && r < r0 + 16; r++)
                    for (int64_t c = c0; c < cols && c < c0 + 16; c++)
                        out[r * row_out + c] = in[r + c * col_in];
    } while (kl_iter_next(&outer));
    return true;
}

kl_status kl_copy_elements(kl_tensor *target, const kl_tensor *source)
{
    if (!kl_shape_equal(target, source)) {
        char to[200], from[200];
        return kl_error(KL_ERROR_SHAPE, "expected shape %s, got %s",
                        kl_shape_text(target->rank, target->shape, to, sizeof to),
                        kl_shape_text(source->rank, source->shape, from, sizeof from));
    }
    if ((target->dtype == KL_STRING) != (source->dtype == KL_STRING))
        return kl_error(KL_ERROR_DTYPE, "strings and numbers don't convert: %s to %s",
                        kl_dtype_name((kl_dtype)source->dtype),
                        kl_dtype_name((kl_dtype)target->dtype));
    if (!target->buffer || !source->buffer || !target->size)
        return KL_OK;
    copy_job job = {.to = (kl_dtype)target->dtype,
                    .from = (kl_dtype)source->dtype,
                    .out = target->data,
                    .in = source->data};
    const int64_t *strides[] = {target->strides, source->strides};
    kl_iter_begin(&job.it, target->rank, target->shape, 2, strides);
    if (copy_tiled(&job))
        return KL_OK;
    if (job.it.outer == 1 && job.it.inner > 1 << 16) {
        /* One long run: cut it so that threads share it. */
        int64_t inner = job.it.inner, most = inner / 64;
        int64_t parts = 1;
        for (int64_t p = 2; p <= 64 && p <= most; p++)
            if (inner % p == 0)
                parts = p;
        job.it.rank = 1;
        job.it.shape[0] = job.it.outer = parts;
        job.it.index[0] = 0;
        job.it.inner = inner / parts;
        for (int k = 0; k < 2; k++)
            job.it.strides[k][0] = job.it.inner * job.it.inner_stride[k];
    }
    int64_t grain = job.it.inner ? 65536 / job.it.inner + 1 : 1;
    job.split = kl_split_make(job.it.outer, grain);
    if (job.split.chunks == 1)
        copy_chunk(&job, 0);
    else
        kl_parallel_for(job.split.chunks, copy_chunk, &job);
    return KL_OK;
}

kl_tensor *kl_copy(const kl_tensor *tensor, kl_dtype dtype)
{
    if (!tensor) {
        kl_error_null("kl_copy", "tensor");
        return NULL;
    }
    if (tensor->symbol) {
        kl_error(KL_ERROR_STATE, "kl_copy: the tensor is symbolic and has no values yet");
        return NULL;
    }
    if (!tensor->buffer)
        return kl_stand_in(dtype, tensor->rank, tensor->shape);
    if (tensor->dtype == KL_STRING && dtype == KL_STRING) {
        kl_string_builder builder = {0};
        for (int64_t i = 0; i < tensor->size; i++) {
            kl_string text = kl_tensor_string_at(tensor, i);
            kl_string_builder_add(&builder, text.at, text.length);
        }
        return kl_string_builder_finish(&builder, tensor->rank, tensor->shape);
    }
    bool shapes = kl_shape_mode(false);
    kl_tensor *copy = kl_empty(dtype, tensor->rank, tensor->shape);
    kl_shape_mode(shapes);
    if (copy && kl_copy_elements(copy, tensor)) {
        kl_release(kl_scope_detach(copy));
        return NULL;
    }
    return copy;
}

kl_status kl_tensor_copy_to(const kl_tensor *tensor, kl_dtype dtype, void *out, int64_t count)
{
    if (!tensor || (!out && count))
        return kl_error_null("kl_tensor_copy_to", tensor ? "out" : "tensor");
    if (!tensor->buffer)
        return kl_error(KL_ERROR_STATE, "kl_tensor_copy_to: the tensor has no values yet");
    if (dtype == KL_STRING || tensor->dtype == KL_STRING)
        return kl_error(KL_ERROR_DTYPE, "kl_tensor_copy_to: strings are read by "
                                        "kl_tensor_string_at");
    if (count != tensor->size)
        return kl_error(KL_ERROR_SHAPE, "kl_tensor_copy_to: the tensor has %lld elements, not %lld",
                        (long long)tensor->size, (long long)count);
    kl_tensor target = {.buffer = tensor->buffer,
                        .data = out,
                        .size = count,
                        .rank = tensor->rank,
                        .dtype = (uint8_t)dtype,
                        .contiguous = true};
    memcpy(target.shape, tensor->shape, sizeof target.shape);
    kl_c_strides(target.rank, target.shape, target.strides);
    return kl_copy_elements(&target, tensor);
}

kl_status kl_tensor_assign(kl_tensor *target, const kl_tensor *value)
{
    if (!target || !value)
        return kl_error_null("kl_tensor_assign", target ? "value" : "target");
    if (!target->buffer || !value->buffer)
        return kl_error(KL_ERROR_STATE, "kl_tensor_assign: a tensor has no values yet");
    if (target->dtype == KL_STRING)
        return kl_error(KL_ERROR_UNSUPPORTED, "kl_tensor_assign: string tensors don't change");
    if (target->buffer == value->buffer && target->data == value->data &&
        kl_shape_equal(target, value) && target->contiguous && value->contiguous)
        return KL_OK;
    kl_status status = kl_copy_elements(target, value);
    if (!status)
        kl_tensor_mutable_data(target);
    return status;
}
