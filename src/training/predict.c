/* Prediction: batches through the model, their outputs joined. */
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "layers/layer.h"
#include "models/model.h"
#include "tensor/tensor.h"

/* One call; out gets outputs that are the caller's. *count is how many. */
static kl_status predict_batch(kl_model *model, int inputs, kl_tensor *const *x, int *count,
                               kl_tensor **out, int capacity)
{
    kl_context *ctx = kl_context_begin(model, KL_CONTEXT_INFERENCE);
    if (!ctx)
        return kl_last_status();
    kl_call_args call = {.size = sizeof call, .mark = kl_error_count(), .layer = model};
    call.inputs_list = (kl_tensors){inputs, (kl_tensor **)(uintptr_t)x};
    call.training = KL_FALSE;
    kl_tensors result = kl_context_call(ctx, &call);
    kl_status status = result.at ? kl_context_commit(ctx) : kl_last_status();
    *count = result.count;
    for (int i = 0; result.at && i < result.count; i++) {
        if (!status && i < capacity)
            out[i] = result.at[i];
        else
            kl_release(result.at[i]);
    }
    kl_context_end(ctx);
    return status;
}

static kl_status check_inputs(const char *function, kl_model *model, int count, kl_tensor *const *x)
{
    if (!model)
        return kl_error_null(function, "model");
    kl_status status = kl_layer_check(model);
    if (status)
        return status;
    if (count < 1 || count > KL_MAX_LIST || !x)
        return kl_error(KL_ERROR_INVALID, "%s: expected 1 to %d inputs, got %d", function,
                        KL_MAX_LIST, count);
    for (int i = 0; i < count; i++) {
        if (!x[i])
            return kl_error_null(function, "x");
        if (x[i]->symbol)
            return kl_error(KL_ERROR_INVALID, "%s: x is symbolic, it has no values", function);
        if (!x[i]->rank || !x[i]->shape[0])
            return kl_error(KL_ERROR_SHAPE, "%s: x has no samples", function);
        if (x[i]->shape[0] != x[0]->shape[0])
            return kl_error(KL_ERROR_SHAPE,
                            "%s: all inputs must have the same number of samples, got %lld and "
                            "%lld",
                            function, (long long)x[0]->shape[0], (long long)x[i]->shape[0]);
    }
    return KL_OK;
}

/* Rows [at, at + rows of part) of a joined output; made at the first part. */
static kl_status put_part(kl_tensor **joined, const kl_tensor *part, int64_t samples, int64_t batch,
                          int64_t at)
{
    if (!part->rank || part->shape[0] != batch)
        return kl_error(KL_ERROR_SHAPE,
                        "kl_predict: an output has %lld rows for %lld samples: predict all of them "
                        "in one batch",
                        part->rank ? (long long)part->shape[0] : 0, (long long)batch);
    if (!*joined) {
        int64_t shape[KL_MAX_RANK];
        memcpy(shape, part->shape, sizeof shape);
        shape[0] = samples;
        *joined = kl_empty((kl_dtype)part->dtype, part->rank, shape);
        if (!*joined)
            return kl_last_status();
    }
    kl_tensor *rows = kl_view_slice(*joined, 0, at, at + batch, 1);
    kl_status status = rows ? kl_tensor_assign(rows, part) : kl_last_status();
    kl_release(rows);
    return status;
}

static kl_status predict_part(kl_model *model, int count, kl_tensor *const *x, int64_t at,
                              int64_t batch, int64_t samples, int *outputs, kl_tensor **joined)
{
    kl_tensor *parts[KL_MAX_LIST], *out[KL_MAX_LIST];
    kl_status status = KL_OK;
    int made = 0;
    for (; !status && made < count; made++)
        if (!(parts[made] = kl_view_slice(x[made], 0, at, at + batch, 1)))
            status = kl_last_status(), made--;
    if (!status)
        status = predict_batch(model, count, parts, outputs, out, KL_MAX_LIST);
    for (int i = 0; i < made; i++)
        kl_release(parts[i]);
    if (status)
        return status;
    for (int i = 0; i < *outputs && i < KL_MAX_LIST; i++) {
        if (!status)
            status = put_part(&joined[i], out[i], samples, batch, at);
        kl_release(out[i]);
    }
    return status;
}

/* Predicts samples [0, samples) in batches into joined[0..*outputs-1]. */
static kl_status predict(kl_model *model, int count, kl_tensor *const *x, int64_t batch_size,
                         int64_t samples, int *outputs, kl_tensor **joined)
{
    if (samples <= batch_size && samples == x[0]->shape[0])
        return predict_batch(model, count, x, outputs, joined, KL_MAX_LIST);
    memset(joined, 0, KL_MAX_LIST * sizeof *joined);
    kl_status status = KL_OK;
    for (int64_t at = 0; !status && at < samples; at += batch_size) {
        int64_t batch = samples - at < batch_size ? samples - at : batch_size;
        status = predict_part(model, count, x, at, batch, samples, outputs, joined);
    }
    if (!status)
        return KL_OK;
    for (int i = 0; i < KL_MAX_LIST; i++) {
        kl_release(joined[i]);
        joined[i] = NULL;
    }
    return status;
}

static kl_tensor *first_of(const char *function, kl_status status, int outputs, kl_tensor **joined)
{
    if (status)
        return NULL;
    if (outputs == 1)
        return joined[0];
    for (int i = 0; i < outputs && i < KL_MAX_LIST; i++)
        kl_release(joined[i]);
    kl_error(KL_ERROR_INVALID, "%s: the model has %d outputs, use kl_predict_many", function,
             outputs);
    return NULL;
}

kl_tensor *kl_predict_with(const kl_predict_args *args)
{
    if (!args || !kl_args_usable("kl_predict", args, args->size, sizeof *args, args->mark)) {
        if (!args)
            kl_error_null("kl_predict", "args");
        return NULL;
    }
    if (check_inputs("kl_predict", args->model, 1, &args->x))
        return NULL;
    if (args->batch_size < 1 || args->steps < 0) {
        kl_error(KL_ERROR_RANGE,
                 "kl_predict: batch_size must be at least 1 and steps at least 0, got %lld and "
                 "%lld",
                 (long long)args->batch_size, (long long)args->steps);
        return NULL;
    }
    int64_t samples = args->x->shape[0];
    if (args->steps && args->steps <= samples / args->batch_size)
        samples = args->steps * args->batch_size;
    kl_tensor *joined[KL_MAX_LIST] = {0};
    int outputs = 0;
    kl_status status =
        predict(args->model, 1, &args->x, args->batch_size, samples, &outputs, joined);
    return first_of("kl_predict", status, outputs, joined);
}

kl_status kl_predict_many(kl_model *model, int count, kl_tensor *const *x, int64_t batch_size,
                          kl_tensor **outputs)
{
    kl_status status = check_inputs("kl_predict_many", model, count, x);
    if (status)
        return status;
    if (!outputs)
        return kl_error_null("kl_predict_many", "outputs");
    if (batch_size < 1)
        return kl_error(KL_ERROR_RANGE, "kl_predict_many: batch_size must be at least 1, got %lld",
                        (long long)batch_size);
    kl_tensor *joined[KL_MAX_LIST] = {0};
    int made = 0;
    status = predict(model, count, x, batch_size, x[0]->shape[0], &made, joined);
    if (!status)
        memcpy(outputs, joined, (size_t)(made < KL_MAX_LIST ? made : KL_MAX_LIST) * sizeof *joined);
    return status;
}

kl_tensor *kl_predict_on_batch(kl_model *model, kl_tensor *x)
{
    if (check_inputs("kl_predict_on_batch", model, 1, &x))
        return NULL;
    kl_tensor *out[KL_MAX_LIST] = {0};
    int outputs = 0;
    kl_status status = predict_batch(model, 1, &x, &outputs, out, KL_MAX_LIST);
    return first_of("kl_predict_on_batch", status, outputs, out);
}
