#include "klayers/layers/regularization.h"
#include "layers/layer.h"

static const kl_field activity_fields[] = {
    {"l1", KL_FIELD_FLOAT, offsetof(kl_activity_regularization_args, l1), "0",
     .doc = "factor of the sum of |x|", .min = 0, .max = 1e30},
    {"l2", KL_FIELD_FLOAT, offsetof(kl_activity_regularization_args, l2), "0",
     .doc = "factor of the sum of x^2", .min = 0, .max = 1e30},
    {0}};

static kl_status activity_init(void *self)
{
    kl_layer *layer = self;
    const kl_activity_regularization_args *args = kl_layer_state(layer);
    if (layer->activity_regularizer)
        return kl_error(KL_ERROR_INVALID,
                        "ActivityRegularization: activity_regularizer is made of l1 and l2");
    layer->activity_regularizer = kl_object_own(kl_l1l2(.l1 = args->l1, .l2 = args->l2));
    return layer->activity_regularizer ? KL_OK : kl_last_status();
}

static kl_status activity_get_config(const void *self, kl_config *config)
{
    kl_config_free(kl_config_detach(config, "activity_regularizer"));
    return KL_OK;
}

static kl_tensors activity_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(in.at[0]);
}

const kl_layer_vtable kl_activity_regularization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ActivityRegularization",
    .state_size = sizeof(kl_activity_regularization_args),
    .args_size = sizeof(kl_activity_regularization_args),
    .fields = activity_fields,
    .init = activity_init,
    .get_config = activity_get_config,
    .call = activity_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_activity_regularization)
