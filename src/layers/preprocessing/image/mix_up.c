#include "layers/preprocessing/image/color.h"

#define ARGS kl_mix_up_args
static const kl_field fields[] = {
    {"alpha", KL_FIELD_FLOAT, offsetof(ARGS, alpha), "0.2", .doc = "of the beta distribution"},
    SEED_FIELD(ARGS),
    IMAGE_FIELDS(ARGS),
    {0}};
#undef ARGS

static kl_status init(void *self)
{
    const kl_mix_up_args *args = kl_layer_state(self);
    if (args->alpha > 0)
        return KL_OK;
    return kl_error(KL_ERROR_RANGE, "alpha must be above 0, got %g", args->alpha);
}

/* Each image, and its label, with another of the batch. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const kl_mix_up_args *args = kl_layer_state(self);
    if (!kl_training(ctx))
        return kl_image_untouched(self, inputs);
    kl_image_input in = kl_image_begin(self, inputs.at[0], args->data_format);
    double *weights = in.x ? kl_image_draw(&in, in.size.batch, 0, 0) : NULL;
    if (!weights)
        return kl_one(NULL);
    kl_tensor *order = kl_image_shuffled(&in);
    kl_image_stream stream = kl_image_stream_begin(&in);
    for (int64_t i = 0; in.real && i < in.size.batch; i++)
        weights[i] = kl_image_stream_beta(&stream, args->alpha);
    kl_tensor *other = kl_op_take(in.x, order, 0);
    kl_tensor *y = kl_image_blend(other, in.x, kl_image_values(&in, weights));
    return kl_image_with_labels(&in, y, &inputs, weights, order);
}

const kl_layer_vtable kl_mix_up_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "MixUp",
    .state_size = sizeof(kl_mix_up_args),
    .args_size = sizeof(kl_mix_up_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM | KL_LAYER_MANY_INPUTS,
};

KL_DEFINE_LAYER(kl_mix_up)
