/* Crossentropies: fused where logits or probabilities are rows of the last axis. */
#include <math.h>
#include <string.h>

#include "kernels/elementwise.h"
#include "ops/common.h"

/* Keras's epsilon: probabilities are clipped to [1e-7, 1 - 1e-7]. */
#define EPSILON 1e-7

kl_tensor *kl_op_categorical_crossentropy(kl_tensor *target, kl_tensor *prediction,
                                          bool from_logits)
{
    if (!target || !prediction) {
        kl_error_null("categorical_crossentropy", target ? "prediction" : "target");
        return NULL;
    }
    if (!kl_shape_equal(target, prediction) || prediction->rank < 1) {
        char l[160], r[160];
        kl_error(KL_ERROR_SHAPE,
                 "categorical_crossentropy: target and prediction must have the same shape, got "
                 "%s and %s",
                 kl_shape_text(target->rank, target->shape, l, sizeof l),
                 kl_shape_text(prediction->rank, prediction->shape, r, sizeof r));
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    int last = -1;
    target = kl_as_dtype(target, (kl_dtype)prediction->dtype);
    kl_tensor *logs;
    if (from_logits) {
        logs = kl_op_log_softmax(prediction, -1);
    } else {
        kl_tensor *sums = kl_op_sum(prediction, 1, &last, true);
        logs = kl_op_log(kl_op_clip(kl_op_div(prediction, sums), EPSILON, 1 - EPSILON));
    }
    kl_tensor *y = kl_op_neg(kl_op_sum(kl_op_mul(target, logs), 1, &last, false));
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

/* -log softmax at the label, its gradient softmax - one hot. Keras's sparse loss on probabilities
   is the same on their clipped logarithms. */
static kl_status sparse_forward(kl_op_frame *f)
{
    kl_tensor *labels = f->in[0], *logits = f->in[1];
    int64_t n = logits->shape[logits->rank - 1];
    kl_tensor *loss = f->out[0] =
        kl_op_output(f, (kl_dtype)logits->dtype, logits->rank - 1, logits->shape);
    kl_tensor *log_p = f->out[1] =
        kl_op_output(f, (kl_dtype)logits->dtype, logits->rank, logits->shape);
    if (!loss || !log_p || !loss->buffer || !log_p->size)
        return loss && log_p ? KL_OK : kl_last_status();
    kl_tensor *from = kl_dense_values(logits), *ids = kl_copy(labels, KL_INT64);
    if (!from || !ids)
        return kl_last_status();
    int64_t rows = logits->size / n;
    bool wide = kl_is_wide(logits);
    if (wide)
        kl_softmax_rows_f64(rows, n, (const double *)(const void *)from->data,
                            (double *)(void *)log_p->data, true);
    else
        kl_softmax_rows_f32(rows, n, (const float *)(const void *)from->data,
                            (float *)(void *)log_p->data, true);
    const int64_t *at = (const int64_t *)(const void *)ids->data;
    kl_status status = KL_OK;
    for (int64_t r = 0; r < rows && !status; r++) {
        if (at[r] < 0 || at[r] >= n)
            status = kl_error(KL_ERROR_RANGE, "label %lld is out of range, expected 0 to %lld",
                              (long long)at[r], (long long)n - 1);
        else if (wide)
            ((double *)(void *)loss->data)[r] =
                -((const double *)(const void *)log_p->data)[r * n + at[r]];
        else
            ((float *)(void *)loss->data)[r] =
                -((const float *)(const void *)log_p->data)[r * n + at[r]];
    }
    kl_drop_copy(from, logits);
    kl_drop(ids);
    return status;
}

static kl_status sparse_backward(kl_op_frame *f)
{
    kl_tensor *labels = f->in[0], *log_p = f->out[1], *dy = f->dout[0];
    int64_t n = log_p->shape[log_p->rank - 1];
    if (!dy)
        return KL_OK;
    kl_tensor *hot = kl_op_one_hot(labels, n, -1, (kl_dtype)log_p->dtype);
    kl_tensor *p = kl_op_exp(log_p);
    f->din[1] = kl_op_mul(kl_op_sub(p, hot), kl_op_expand_dims(dy, -1));
    return f->din[1] ? KL_OK : kl_last_status();
}

static kl_status sparse_compose(kl_op_frame *f)
{
    kl_tensor *logits = f->in[1];
    int last = -1;
    int64_t n = logits->shape[logits->rank - 1];
    f->out[1] = kl_op_log_softmax(logits, -1);
    kl_tensor *hot = kl_op_one_hot(f->in[0], n, -1, (kl_dtype)logits->dtype);
    f->out[0] = kl_op_neg(kl_op_sum(kl_op_mul(f->out[1], hot), 1, &last, false));
    return f->out[0] ? KL_OK : kl_last_status();
}

static const kl_op sparse_op = {.size = sizeof(kl_op),
                                .name = "sparse_categorical_crossentropy",
                                .forward = sparse_forward,
                                .backward = sparse_backward,
                                .compose = sparse_compose,
                                .keeps_in = 3,
                                .keeps_out = 2};

kl_tensor *kl_op_sparse_categorical_crossentropy(kl_tensor *labels, kl_tensor *prediction,
                                                 bool from_logits)
{
    if (!labels || !prediction) {
        kl_error_null("sparse_categorical_crossentropy", labels ? "prediction" : "labels");
        return NULL;
    }
    int rank = prediction->rank;
    bool fits = rank >= 1 && (labels->rank == rank - 1 ||
                              (labels->rank == rank && labels->shape[rank - 1] == 1));
    for (int i = 0; fits && i < rank - 1; i++)
        fits = labels->shape[i] == prediction->shape[i];
    if (!fits) {
        char l[160], r[160];
        kl_error(KL_ERROR_SHAPE,
                 "sparse_categorical_crossentropy: labels of shape %s don't fit predictions of "
                 "shape %s",
                 kl_shape_text(labels->rank, labels->shape, l, sizeof l),
                 kl_shape_text(rank, prediction->shape, r, sizeof r));
        return NULL;
    }
    kl_tensor *keep[2] = {NULL, NULL};
    kl_scope *scope = kl_scope_begin();
    if (labels->rank == rank)
        labels = kl_op_squeeze(labels, -1);
    kl_tensor *logits = prediction;
    if (!from_logits)
        logits = kl_op_log(kl_op_clip(prediction, EPSILON, 1 - EPSILON));
    kl_tensor *in[2] = {labels, logits};
    kl_op_run(&sparse_op, NULL, 2, in, 0, 2, keep);
    kl_scope_end_keeping(scope, 1, keep);
    return keep[0];
}

kl_tensor *kl_op_binary_crossentropy(kl_tensor *target, kl_tensor *prediction, bool from_logits)
{
    if (!target || !prediction) {
        kl_error_null("binary_crossentropy", target ? "prediction" : "target");
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y;
    target = kl_as_dtype(target, (kl_dtype)prediction->dtype);
    if (from_logits) {
        /* max(x, 0) - x z + log(1 + exp(-|x|)) */
        kl_tensor *x = prediction;
        kl_tensor *rest = kl_op_log1p(kl_op_exp(kl_op_neg(kl_op_abs(x))));
        y = kl_op_add(kl_op_sub(kl_op_relu(x), kl_op_mul(x, target)), rest);
    } else {
        kl_tensor *p = kl_op_clip(prediction, EPSILON, 1 - EPSILON);
        kl_tensor *hit = kl_op_mul(target, kl_op_log(p));
        kl_tensor *miss =
            kl_op_mul(kl_op_rsub_scalar(target, 1), kl_op_log(kl_op_rsub_scalar(p, 1)));
        y = kl_op_neg(kl_op_add(hit, miss));
    }
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}
