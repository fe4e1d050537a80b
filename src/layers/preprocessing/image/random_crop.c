#include "layers/preprocessing/image/sizes.h"

static const kl_field fields[] = {SIZE_FIELDS(kl_random_crop_args),
                                  SEED_FIELD(kl_random_crop_args),
                                  IMAGE_FIELDS(kl_random_crop_args),
                                  {0}};

/* Where the window begins: drawn, or where the middle of the output's ratio begins if the images
   are not larger both ways. */
static bool place(const kl_image_input *in, const kl_random_crop_args *a, int64_t *top,
                  int64_t *left)
{
    const int64_t tall = in->size.height, wide = in->size.width;
    if (tall > a->height && wide > a->width) {
        const double *down = kl_image_draw(in, 1, 0, (double)(tall - a->height + 1));
        const double *right = kl_image_draw(in, 1, 0, (double)(wide - a->width + 1));
        if (!down || !right)
            return false;
        *top = (int64_t)*down;
        *left = (int64_t)*right;
        return true;
    }
    double rows = (double)(wide * a->height) / (double)a->width;
    double columns = (double)(tall * a->width) / (double)a->height;
    int64_t height = rows < (double)tall ? (int64_t)rows : tall;
    int64_t width = columns < (double)wide ? (int64_t)columns : wide;
    *top = (tall - (height > 1 ? height : 1)) / 2;
    *left = (wide - (width > 1 ? width : 1)) / 2;
    return true;
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const kl_random_crop_args *a = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], a->data_format);
    int64_t top, left;
    if (!in.x || !place(&in, a, &top, &left))
        return kl_one(NULL);
    const kl_resize_options options = {.height = a->height,
                                       .width = a->width,
                                       .method = KL_RESIZE_BILINEAR,
                                       .channels_first = in.size.channels_first};
    kl_tensor *y = kl_op_resize(kl_image_window(&in, top, left, a->height, a->width), &options);
    return kl_image_end(&in, y ? kl_op_cast(y, self->compute_dtype) : NULL);
}

/* Keras's: that of training, though inference leaves images as they are. */
static kl_status output_shape(const kl_layer *self, const kl_shape *inputs, int count,
                              kl_shape *outputs, int *output_count)
{
    const kl_random_crop_args *a = kl_layer_state(self);
    *output_count = 1;
    outputs->dtype = kl_layer_compute_dtype(self);
    return kl_image_output_size(inputs, a->data_format, a->height, a->width, outputs);
}

const kl_layer_vtable kl_random_crop_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomCrop",
    .state_size = sizeof(kl_random_crop_args),
    .args_size = sizeof(kl_random_crop_args),
    .fields = fields,
    .call = call,
    .output_shape = output_shape,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_crop)
