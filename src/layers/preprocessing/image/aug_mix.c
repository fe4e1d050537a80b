#include <math.h>

#include "layers/preprocessing/image/augment.h"

typedef struct aug_mix_state {
    kl_aug_mix_args args;
    double range[2];
} aug_mix_state;

#define ARGS kl_aug_mix_args
static const kl_field fields[] = {
    VALUE_RANGE_FIELD(ARGS),
    {"num_chains", KL_FIELD_INT, offsetof(ARGS, num_chains), "3", .doc = "chains of layers",
     .min = 0, .max = 1 << 20},
    {"chain_depth", KL_FIELD_INT, offsetof(ARGS, chain_depth), "3", .doc = "layers a chain",
     .min = 0, .max = 1 << 20},
    FACTOR_FIELD(ARGS, factor),
    {"alpha", KL_FIELD_FLOAT, offsetof(ARGS, alpha), "1", .doc = "of the weights' distributions"},
    {"all_ops", KL_FIELD_BOOL, offsetof(ARGS, all_ops), "true", .doc = "layers of colours too"},
    INTERPOLATION_FIELD(ARGS),
    SEED_FIELD(ARGS),
    IMAGE_FIELDS(ARGS),
    {0}};
#undef ARGS

static kl_status init(void *self)
{
    aug_mix_state *s = kl_layer_state(self);
    kl_aug_mix_args *a = &s->args;
    kl_augment_options o = {.interpolation = a->interpolation,
                            .data_format = a->data_format,
                            .seed = a->seed,
                            .all = a->all_ops};
    if (!(a->alpha > 0))
        return kl_error(KL_ERROR_RANGE, "alpha must be above 0, got %g", a->alpha);
    kl_status status = kl_value_range(&a->value_range, false, s->range);
    if (!status && !a->factor.count)
        status = kl_floats_set(&a->factor, 1, &(double){0.3});
    if (!status)
        status = kl_factor_resolve("factor", &a->factor, KL_FACTOR_BASE, 0, 1, o.factor);
    o.value_range = a->value_range;
    return status ? status : kl_augment_add_layers(self, &o);
}

/* Dirichlet weights of the chains. */
static double *chain_weights(const kl_image_input *in, kl_image_stream *stream, int64_t chains,
                             double alpha)
{
    double *weights = kl_image_draw(in, chains, 0, 0), largest = -INFINITY, sum = 0;
    for (int64_t i = 0; weights && i < chains; i++) {
        weights[i] = kl_image_stream_log_gamma(stream, alpha);
        largest = weights[i] > largest ? weights[i] : largest;
    }
    for (int64_t i = 0; weights && i < chains; i++)
        sum += weights[i] = exp(weights[i] - largest);
    for (int64_t i = 0; weights && i < chains; i++)
        weights[i] /= sum;
    return weights;
}

static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const aug_mix_state *s = kl_layer_state(self);
    const kl_aug_mix_args *a = &s->args;
    kl_image_input in = kl_image_begin(self, inputs.at[0], a->data_format);
    if (!in.x || !in.real || !kl_training(ctx))
        return kl_image_end(&in, in.x);
    kl_image_stream stream = kl_image_stream_begin(&in);
    const double *weights = chain_weights(&in, &stream, a->num_chains, a->alpha);
    if (!weights)
        return kl_one(NULL);
    const double original = kl_image_stream_beta(&stream, a->alpha);
    kl_tensor *sum = kl_op_mul_scalar(in.x, original);
    for (int64_t i = 0; sum && i < a->num_chains; i++) {
        kl_tensor *x = in.x;
        for (int64_t k = 0; x && k < a->chain_depth; k++) {
            /* One choice more than there are layers: none. */
            int chosen = (int)(kl_image_stream_uniform(&stream) * (self->sublayer_count + 1));
            if (chosen < self->sublayer_count)
                x = kl_call(self->sublayers[chosen].layer, x);
        }
        sum = kl_op_add(sum, kl_op_mul_scalar(x, (1 - original) * weights[i]));
    }
    return kl_image_end(&in, kl_op_clip(sum, s->range[0], s->range[1]));
}

const kl_layer_vtable kl_aug_mix_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AugMix",
    .state_size = sizeof(aug_mix_state),
    .args_size = sizeof(kl_aug_mix_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_aug_mix)
