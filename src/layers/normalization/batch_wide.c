/* BatchNormalization over several axes, and by virtual batches within a batch, as 2.15 has them. */
#include "layers/layer.h"
#include "layers/normalization/batch_normalization.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

/* x with an axis for the virtual batches after the first; at inference there is one sample in each.
 */
static kl_tensor *part_batches(const kl_batch_norm_state *s, kl_tensor *x, bool training)
{
    int64_t shape[KL_MAX_RANK];
    if (!s->virtual_batch_size)
        return x;
    if (training && x->shape[0] % s->virtual_batch_size) {
        kl_error(KL_ERROR_SHAPE, "a batch of %lld can't be divided into virtual batches of %lld",
                 (long long)x->shape[0], (long long)s->virtual_batch_size);
        return NULL;
    }
    shape[0] = training ? s->virtual_batch_size : x->shape[0];
    shape[1] = training ? x->shape[0] / s->virtual_batch_size : 1;
    for (int i = 1; i < x->rank; i++)
        shape[i + 1] = x->shape[i];
    return kl_op_reshape(x, x->rank + 1, shape);
}

static kl_status update_wide(const kl_batch_norm_state *s, kl_context *ctx, kl_tensor *mean,
                             kl_tensor *variance)
{
    static const int batches = 1;
    kl_tape_pause();
    if (s->virtual_batch_size) {
        mean = kl_op_mean(mean, 1, &batches, true);
        variance = kl_op_mean(variance, 1, &batches, true);
    }
    kl_status status = mean && variance ? KL_OK : kl_last_status();
    if (!status)
        status = kl_move_average(ctx, s->moving_mean, mean, s->args.momentum);
    if (!status)
        status = kl_move_average(ctx, s->moving_variance, variance, s->args.momentum);
    kl_tape_resume();
    return status;
}

kl_tensor *kl_batch_norm_wide(const kl_batch_norm_state *s, kl_context *ctx, kl_tensor *x,
                              kl_tensor *gamma, kl_tensor *beta, bool training)
{
    int axes[KL_MAX_RANK], count = 0, extra = s->virtual_batch_size > 0;
    kl_tensor *parts = part_batches(s, x, training);
    kl_tensor *mean = kl_read_variable(ctx, s->moving_mean);
    kl_tensor *variance = kl_read_variable(ctx, s->moving_variance);
    if (!parts)
        return NULL;
    for (int i = 0; i < parts->rank; i++)
        if (s->shape[i] == 1 && !(extra && i == 1)) {
            bool listed = false;
            for (int k = 0; k < s->axis_count; k++)
                listed = listed || s->axes[k] + extra == i;
            if (!listed)
                axes[count++] = i;
        }
    if (training) {
        mean = kl_op_mean(parts, count, axes, true);
        variance = kl_op_mean(kl_op_square(kl_op_sub(parts, mean)), count, axes, true);
        if (!variance || update_wide(s, ctx, mean, variance))
            return NULL;
    }
    kl_tensor *scale = kl_op_rsqrt(kl_op_add_scalar(variance, s->args.epsilon));
    if (gamma)
        scale = kl_op_mul(scale, gamma);
    kl_tensor *y = kl_op_mul(kl_op_sub(parts, mean), scale);
    if (beta)
        y = kl_op_add(y, beta);
    return y ? kl_op_reshape(y, x->rank, x->shape) : NULL;
}
