#include "layers/core/lora.h"

#include <stdio.h>

#include "tensor/tensor.h"

double kl_lora_factor(int64_t rank, int64_t alpha)
{
    return (double)(alpha == KL_NONE ? rank : alpha) / (double)rank;
}

kl_status kl_lora_build(kl_layer *self, const char *name, kl_weight *weight, const kl_lora *lora,
                        kl_weight **a, kl_weight **b)
{
    if (weight->constraint)
        return kl_error(KL_ERROR_INVALID,
                        "Lora is incompatible with %s constraints. In order to enable lora on this "
                        "layer, remove the `%s_constraint` argument.",
                        name, name);
    char text[64];
    kl_weight_args args = kl_weight_defaults();
    int last = weight->value->rank - 1;
    for (int i = 0; i < last; i++)
        args.shape[i] = weight->value->shape[i];
    args.shape[last] = lora->rank;
    args.layer = self;
    args.name = text;
    args.dtype = "float32"; /* under any policy, as a half's range is too narrow to train it */
    args.initializer = "he_uniform";
    args.regularizer = lora->regularizer;
    snprintf(text, sizeof text, "lora_%s_a", name);
    *a = kl_add_weight_with(&args);
    if (!*a)
        return kl_last_status();
    snprintf(text, sizeof text, "lora_%s_b", name);
    *b = kl_add_weight(.layer = self, .name = text, .dtype = "float32",
                       .shape = {lora->rank, weight->value->shape[last]}, .initializer = "zeros",
                       .regularizer = lora->regularizer);
    if (!*b)
        return kl_last_status();
    weight->low_a = *a;
    weight->low_b = *b;
    weight->low_factor = kl_lora_factor(lora->rank, lora->alpha);
    (*a)->merged = (*b)->merged = true;
    return kl_weight_set_trainable(weight, false);
}

kl_tensor *kl_lora_read(const kl_layer *self, kl_context *ctx, const kl_weight *half)
{
    return self->compute_dtype == KL_FLOAT64 ? kl_read_variable(ctx, half) : kl_read(ctx, half);
}

kl_tensor *kl_lora_apply(kl_tensor *weight, kl_tensor *a, kl_tensor *b, int64_t rank, int64_t alpha)
{
    return kl_op_add(weight, kl_op_mul_scalar(kl_op_matmul(a, b), kl_lora_factor(rank, alpha)));
}

kl_status kl_lora_get_config(int64_t rank, int64_t alpha, kl_config *config)
{
    if (rank == KL_NONE)
        return KL_OK;
    kl_status status = kl_config_set_int(config, "lora_rank", rank);
    if (!status && alpha != KL_NONE)
        status = kl_config_set_int(config, "lora_alpha", alpha);
    return status;
}
