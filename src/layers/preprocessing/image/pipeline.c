#include "klayers/layers/image.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

#define SLOT(i)                                                                                    \
    {                                                                                              \
        "layer_" #i, KL_FIELD_LAYER, offsetof(kl_pipeline_args, layers[i]),                        \
            .doc = "one of them", .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN                     \
    }
static const kl_field fields[] = {SLOT(0),  SLOT(1),  SLOT(2),  SLOT(3),  SLOT(4),  SLOT(5),
                                  SLOT(6),  SLOT(7),  SLOT(8),  SLOT(9),  SLOT(10), SLOT(11),
                                  SLOT(12), SLOT(13), SLOT(14), SLOT(15), {0}};

/* Keras's attribute, under which files keep what the layers have. */
static const char attribute[] = "_pipeline_layers";

static kl_status init(void *self)
{
    const kl_pipeline_args *args = kl_layer_state(self);
    for (int i = 0; i < KL_MAX_LIST && args->layers[i]; i++)
        if (!kl_add_sublayer(self, attribute, args->layers[i]))
            return kl_last_status();
    return KL_OK;
}

static kl_status from_config(void *self, kl_config *config)
{
    kl_config *list = kl_config_detach(config, "layers");
    kl_status status = KL_OK;
    if (!list || kl_config_typeof(list) != KL_CONFIG_LIST)
        status = kl_error(KL_ERROR_FORMAT,
                          "a Pipeline's config must have a list of layers under the key layers");
    for (size_t i = 0; !status && i < kl_config_count(list); i++) {
        kl_layer *layer = kl_object_deserialize(KL_KIND_LAYER, kl_config_at(list, i));
        if (!layer || !kl_add_sublayer(self, attribute, layer))
            status = kl_last_status();
    }
    kl_config_free(list);
    return status;
}

/* Keras's Pipeline takes nothing but layers and a name. */
static kl_status get_config(const void *self, kl_config *config)
{
    const kl_layer *layer = self;
    kl_config *list = kl_config_new_list();
    kl_config_free(kl_config_detach(config, "trainable"));
    kl_config_free(kl_config_detach(config, "dtype"));
    for (int i = 0; list && i < layer->sublayer_count; i++) {
        kl_status status = kl_config_append(list, kl_object_serialize(layer->sublayers[i].layer));
        if (status) {
            kl_config_free(list);
            return status;
        }
    }
    return kl_config_set(config, "layers", list);
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    for (int i = 0; inputs.at && i < self->sublayer_count; i++)
        inputs = kl_call_with(self->sublayers[i].layer, .inputs_list = inputs);
    return inputs;
}

const kl_layer_vtable kl_pipeline_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Pipeline",
    .state_size = sizeof(kl_pipeline_args),
    .args_size = sizeof(kl_pipeline_args),
    .fields = fields,
    .init = init,
    .from_config = from_config,
    .get_config = get_config,
    .call = call,
    .flags = KL_LAYER_NO_AUTOCAST | KL_LAYER_MANY_INPUTS | KL_LAYER_KEEPS_MASKS,
};

KL_DEFINE_LAYER(kl_pipeline)
