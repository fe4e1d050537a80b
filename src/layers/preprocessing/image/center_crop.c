#include "layers/preprocessing/image/sizes.h"

static const kl_field fields[] = {
    SIZE_FIELDS(kl_center_crop_args), IMAGE_FIELDS(kl_center_crop_args), {0}};

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const kl_center_crop_args *a = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], a->data_format);
    if (!in.x)
        return kl_one(NULL);
    int64_t down = in.size.height - a->height, right = in.size.width - a->width;
    kl_tensor *y = down >= 0 && right >= 0
                       ? kl_image_window(&in, down / 2, right / 2, a->height, a->width)
                       : kl_image_smart_resize(&in, a->height, a->width);
    return kl_image_end(&in, y);
}

static kl_status output_shape(const kl_layer *self, const kl_shape *inputs, int count,
                              kl_shape *outputs, int *output_count)
{
    const kl_center_crop_args *a = kl_layer_state(self);
    *output_count = 1;
    outputs->dtype = kl_layer_compute_dtype(self);
    return kl_image_output_size(inputs, a->data_format, a->height, a->width, outputs);
}

const kl_layer_vtable kl_center_crop_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "CenterCrop",
    .state_size = sizeof(kl_center_crop_args),
    .args_size = sizeof(kl_center_crop_args),
    .fields = fields,
    .call = call,
    .output_shape = output_shape,
};

KL_DEFINE_LAYER(kl_center_crop)
