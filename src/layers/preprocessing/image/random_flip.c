#include <string.h>

#include "layers/preprocessing/image/image.h"

static const kl_field random_flip_fields[] = {
    {"mode", KL_FIELD_STRING, offsetof(kl_random_flip_args, mode), "horizontal_and_vertical",
     .doc = "across which axes", .choices = "horizontal_and_vertical|horizontal|vertical"},
    SEED_FIELD(kl_random_flip_args),
    IMAGE_FIELDS(kl_random_flip_args),
    {0}};

static kl_tensors random_flip_call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const kl_random_flip_args *args = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], args->data_format);
    if (!in.x || !kl_training(ctx))
        return kl_image_end(&in, in.x);
    uint8_t axes = (uint8_t)((!strcmp(args->mode, "vertical") ? 0 : 1) |
                             (!strcmp(args->mode, "horizontal") ? 0 : 2));
    const double *draws = kl_image_draw(&in, in.size.batch, 0, 1);
    kl_tensor *flips = kl_empty(KL_UINT8, 1, &in.size.batch);
    if (!draws || !flips)
        return kl_one(NULL);
    /* Both axes flip together, as in Keras 3. */
    for (int64_t i = 0; flips->buffer && i < in.size.batch; i++)
        ((uint8_t *)flips->data)[i] = draws[i] <= 0.5 ? axes : 0;
    return kl_image_end(&in, kl_op_image_flip(in.x, flips, in.size.channels_first));
}

const kl_layer_vtable kl_random_flip_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandomFlip",
    .state_size = sizeof(kl_random_flip_args),
    .args_size = sizeof(kl_random_flip_args),
    .fields = random_flip_fields,
    .call = random_flip_call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_random_flip)
