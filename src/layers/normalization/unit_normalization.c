#include "klayers/layers/normalization.h"
#include "layers/layer.h"
#include "layers/normalization/axes.h"
#include "tensor/tensor.h"

static const kl_field unit_norm_fields[] = {
    {"axis", KL_FIELD_INTS, offsetof(kl_unit_normalization_args, axis),
     .doc = "axis or axes; unset is the last", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status unit_norm_init(void *self)
{
    kl_unit_normalization_args *args = kl_layer_state(self);
    return kl_norm_axes_name_last(&args->axis);
}

static kl_status unit_norm_build(kl_layer *self, const kl_shape *in, int count)
{
    const kl_unit_normalization_args *args = kl_layer_state(self);
    kl_norm_axes axes;
    return kl_norm_axes_find(args->axis, in->rank, false, &axes);
}

static kl_tensors unit_norm_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_unit_normalization_args *args = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    kl_norm_axes axes;
    if (kl_norm_axes_find(args->axis, x->rank, false, &axes))
        return kl_one(NULL);
    kl_tensor *square = kl_op_sum(kl_op_square(x), axes.count, axes.at, true);
    /* 2.15 bounds the square of the norm, Keras 3 the norm's inverse. */
    kl_tensor *inverse = self->legacy ? kl_op_rsqrt(kl_op_maximum_scalar(square, 1e-12))
                                      : kl_op_minimum_scalar(kl_op_rsqrt(square), 1e12);
    return kl_one(kl_op_mul(x, inverse));
}

const kl_layer_vtable kl_unit_normalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "UnitNormalization",
    .state_size = sizeof(kl_unit_normalization_args),
    .args_size = sizeof(kl_unit_normalization_args),
    .fields = unit_norm_fields,
    .init = unit_norm_init,
    .build = unit_norm_build,
    .call = unit_norm_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_unit_normalization)
