/* GaussianDropout, GaussianNoise and AlphaDropout: noise while training, the identity otherwise. */
#include "layers/regularization/noise.h"

#include "base/random.h"
#include "klayers/layers/regularization.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

static const kl_field gaussian_dropout_fields[] = {
    {"rate", KL_FIELD_FLOAT, offsetof(kl_gaussian_dropout_args, rate),
     .doc = "as dropout's: the noise's variance is rate / (1 - rate)", .min = 0, .max = 1,
     .flags = KL_FIELD_REQUIRED},
    {"seed", KL_FIELD_INT, offsetof(kl_gaussian_dropout_args, seed), .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_tensors gaussian_dropout_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_gaussian_dropout_args *args = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    if (!kl_training(ctx) || args->rate == 0 || (args->rate == 1 && self->legacy))
        return kl_one(x);
    if (kl_noise_float(x))
        return kl_one(NULL);
    if (args->rate == 1) {
        kl_error(KL_ERROR_RANGE, "rate must be below 1 in training: the noise's variance is "
                                 "rate / (1 - rate)");
        return kl_one(NULL);
    }
    double stddev = sqrt(args->rate / (1 - args->rate));
    return kl_one(kl_op_mul(x, kl_op_random_normal(x->dtype, x->rank, x->shape, 1, stddev)));
}

const kl_layer_vtable kl_gaussian_dropout_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GaussianDropout",
    .state_size = sizeof(kl_gaussian_dropout_args),
    .args_size = sizeof(kl_gaussian_dropout_args),
    .fields = gaussian_dropout_fields,
    .call = gaussian_dropout_call,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_gaussian_dropout)

static const kl_field gaussian_noise_fields[] = {
    {"stddev", KL_FIELD_FLOAT, offsetof(kl_gaussian_noise_args, stddev),
     .doc = "standard deviation of the noise, from 0 to 1", .flags = KL_FIELD_REQUIRED},
    {"seed", KL_FIELD_INT, offsetof(kl_gaussian_noise_args, seed), .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

/* 2.15 takes any deviation. */
static kl_status gaussian_noise_init(void *self)
{
    const kl_gaussian_noise_args *args = kl_layer_state(self);
    if ((args->stddev >= 0 && args->stddev <= 1) || ((const kl_layer *)self)->legacy)
        return KL_OK;
    return kl_error(KL_ERROR_RANGE, "GaussianNoise: stddev must be from 0 to 1, got %g",
                    args->stddev);
}

static kl_tensors gaussian_noise_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_gaussian_noise_args *args = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    if (!kl_training(ctx) || args->stddev == 0)
        return kl_one(x);
    if (kl_noise_float(x))
        return kl_one(NULL);
    return kl_one(kl_op_add(x, kl_op_random_normal(x->dtype, x->rank, x->shape, 0, args->stddev)));
}

const kl_layer_vtable kl_gaussian_noise_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GaussianNoise",
    .state_size = sizeof(kl_gaussian_noise_args),
    .args_size = sizeof(kl_gaussian_noise_args),
    .fields = gaussian_noise_fields,
    .init = gaussian_noise_init,
    .call = gaussian_noise_call,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_gaussian_noise)

static const kl_field alpha_dropout_fields[] = {
    {"rate", KL_FIELD_FLOAT, offsetof(kl_alpha_dropout_args, rate),
     .doc = "fraction of the input to drop", .min = 0, .max = 1, .flags = KL_FIELD_REQUIRED},
    {"noise_shape", KL_FIELD_SHAPE, offsetof(kl_alpha_dropout_args, noise_shape),
     .doc = "sizes of the drawn mask: 1 where shared, None for the input's own",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_UNKNOWN_OK},
    {"seed", KL_FIELD_INT, offsetof(kl_alpha_dropout_args, seed), .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_tensors alpha_dropout_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_alpha_dropout_args *args = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    int64_t sizes[KL_MAX_RANK];
    double rate = args->rate;
    if (!kl_training(ctx) || rate == 0 || (rate == 1 && self->legacy))
        return kl_one(x);
    if (kl_noise_float(x) || kl_noise_sizes(args->noise_shape, x, sizes))
        return kl_one(NULL);
    if (rate == 1) {
        kl_error(KL_ERROR_RANGE, "rate must be below 1 in training: nothing would be kept");
        return kl_one(NULL);
    }
    kl_tensor *keep = kl_empty(KL_BOOL, x->rank, sizes);
    if (!keep)
        return kl_one(NULL);
    if (keep->buffer)
        kl_random_bernoulli(kl_random_current(), (uint8_t *)keep->data, keep->size, 1 - rate);
    /* The least value of selu, and what keeps mean 0 and variance 1. */
    const double low = -1.7580993408473766;
    double scale = 1 / sqrt((1 - rate) * (1 + rate * low * low)), shift = -scale * low * rate;
    kl_tensor *kept = kl_op_add_scalar(kl_op_mul_scalar(x, scale), shift);
    return kl_one(kl_op_where(keep, kept, kl_scalar(x->dtype, scale * low + shift)));
}

const kl_layer_vtable kl_alpha_dropout_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "AlphaDropout",
    .state_size = sizeof(kl_alpha_dropout_args),
    .args_size = sizeof(kl_alpha_dropout_args),
    .fields = alpha_dropout_fields,
    .call = alpha_dropout_call,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_alpha_dropout)
