#include "klayers/layers/core.h"
#include "layers/fusion.h"
#include "ops/activation.h"

static const kl_field activation_fields[] = {
    {"activation", KL_FIELD_ACTIVATION, offsetof(kl_activation_layer_args, activation),
     .doc = "a name, an activation object, or one's own function",
     .flags = KL_FIELD_REQUIRED | KL_FIELD_OPTIONAL},
    {0}};

static kl_tensors activation_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_activation_layer_args *args = kl_layer_state(self);
    return kl_one(kl_activation_call(args->activation, in.at[0]));
}

static bool activation_is_relu(const kl_layer *self)
{
    const kl_activation_layer_args *args = kl_layer_state(self);
    return kl_fused_of(args->activation) == KL_FUSED_RELU;
}

static const kl_layer_fusion activation_fusion = {.relu = activation_is_relu};

/* As Keras states it: also of an activation such as glu, which halves an axis. */
static kl_status same_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                            int *output_count)
{
    out[0] = in[0];
    return KL_OK;
}

const kl_layer_vtable kl_activation_layer_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Activation",
    .state_size = sizeof(kl_activation_layer_args),
    .args_size = sizeof(kl_activation_layer_args),
    .fields = activation_fields,
    .call = activation_call,
    .output_shape = same_shape,
    .compute_mask = kl_pass_mask,
    .fusion = &activation_fusion,
};

KL_DEFINE_LAYER(kl_activation_layer)

static const kl_field identity_fields[] = {{0}};

static kl_tensors identity_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_many(in.count, in.at);
}

static kl_tensor *identity_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                                kl_tensors masks, kl_tensors out, int index)
{
    return masks.at[index];
}

const kl_layer_vtable kl_identity_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Identity",
    .state_size = sizeof(kl_identity_args),
    .args_size = sizeof(kl_identity_args),
    .fields = identity_fields,
    .call = identity_call,
    .compute_mask = identity_mask,
    .flags = KL_LAYER_MANY_INPUTS,
};

KL_DEFINE_LAYER(kl_identity)
