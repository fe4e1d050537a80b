#include "layers/preprocessing/image/image.h"

#define ARGS kl_max_num_bounding_boxes_args
static const kl_field fields[] = {{"max_number", KL_FIELD_INT, offsetof(ARGS, max_number),
                                   .doc = "of boxes an image", .flags = KL_FIELD_REQUIRED},
                                  {"fill_value", KL_FIELD_INT, offsetof(ARGS, fill_value), "-1",
                                   .doc = "of missing boxes", .flags = KL_FIELD_HIDDEN},
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

/* Images pass as they are. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    kl_image_input in = kl_image_begin_raw(self, inputs.at[0], NULL);
    return kl_image_end(&in, in.x);
}

const kl_layer_vtable kl_max_num_bounding_boxes_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "MaxNumBoundingBoxes",
    .state_size = sizeof(kl_max_num_bounding_boxes_args),
    .args_size = sizeof(kl_max_num_bounding_boxes_args),
    .fields = fields,
    .call = call,

};

KL_DEFINE_LAYER(kl_max_num_bounding_boxes)
