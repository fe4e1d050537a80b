#include "klayers/layers/core.h"
#include "layers/layer.h"

static const kl_field masking_fields[] = {
    {"mask_value", KL_FIELD_FLOAT, offsetof(kl_masking_args, mask_value), "0",
     .doc = "a step whose features all have this value is masked"},
    {0}};

static kl_tensor *steps_to_keep(const kl_layer *self, kl_tensor *x, bool keepdims)
{
    const kl_masking_args *args = kl_layer_state(self);
    kl_tensor *value = kl_scalar(kl_tensor_dtype(x), args->mask_value);
    return kl_op_any(kl_op_not_equal(x, value), KL_AXES(-1), keepdims);
}

static kl_tensors masking_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *keep = steps_to_keep(self, in.at[0], true);
    return kl_one(kl_op_where(keep, in.at[0], kl_scalar(kl_tensor_dtype(in.at[0]), 0)));
}

static kl_tensor *masking_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                               kl_tensors masks, kl_tensors out, int index)
{
    return steps_to_keep(self, in.at[0], false);
}

const kl_layer_vtable kl_masking_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Masking",
    .state_size = sizeof(kl_masking_args),
    .args_size = sizeof(kl_masking_args),
    .fields = masking_fields,
    .call = masking_call,
    .compute_mask = masking_mask,
};

KL_DEFINE_LAYER(kl_masking)
