#include "layers/preprocessing/image/augment.h"

typedef struct rand_augment_state {
    kl_rand_augment_args args;
    double range[2];
} rand_augment_state;

#define ARGS kl_rand_augment_args
static const kl_field fields[] = {VALUE_RANGE_FIELD(ARGS),
                                  {"num_ops", KL_FIELD_INT, offsetof(ARGS, num_ops), "2",
                                   .doc = "layers a call", .min = 0, .max = 1 << 20},
                                  FACTOR_FIELD(ARGS, factor),
                                  INTERPOLATION_FIELD(ARGS),
                                  SEED_FIELD(ARGS),
                                  IMAGE_FIELDS(ARGS),
                                  {0}};
#undef ARGS

static kl_status init(void *self)
{
    rand_augment_state *s = kl_layer_state(self);
    kl_rand_augment_args *a = &s->args;
    kl_augment_options o = {.interpolation = a->interpolation,
                            .data_format = a->data_format,
                            .seed = a->seed,
                            .all = true};
    kl_status status = kl_value_range(&a->value_range, false, s->range);
    if (!status && !a->factor.count)
        status = kl_floats_set(&a->factor, 1, &(double){0.5});
    if (!status)
        status = kl_factor_resolve("factor", &a->factor, KL_FACTOR_BASE, 0, 1, o.factor);
    o.value_range = a->value_range;
    return status ? status : kl_augment_add_layers(self, &o);
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const rand_augment_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x || !in.real || !kl_training(ctx))
        return kl_image_end(&in, in.x);
    kl_tensor *x = in.x;
    kl_image_stream stream = kl_image_stream_begin(&in);
    for (int64_t i = 0; x && i < s->args.num_ops; i++) {
        int chosen = (int)(kl_image_stream_uniform(&stream) * self->sublayer_count);
        x = kl_call(self->sublayers[chosen].layer, x);
    }
    return kl_image_end(&in, x ? kl_op_cast(x, self->compute_dtype) : NULL);
}

const kl_layer_vtable kl_rand_augment_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RandAugment",
    .state_size = sizeof(rand_augment_state),
    .args_size = sizeof(kl_rand_augment_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_rand_augment)
