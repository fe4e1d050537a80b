#include "klayers/layers/regularization.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

static const kl_field dropout_fields[] = {
    {"rate", KL_FIELD_FLOAT, offsetof(kl_dropout_args, rate),
     .doc = "fraction of the input to drop", .min = 0, .max = 1, .flags = KL_FIELD_REQUIRED},
    {"noise_shape", KL_FIELD_SHAPE, offsetof(kl_dropout_args, noise_shape),
     .doc = "sizes of the drawn mask: 1 where shared, None for the input's own",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_UNKNOWN_OK},
    {"seed", KL_FIELD_INT, offsetof(kl_dropout_args, seed), .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_tensors dropout_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_dropout_args *args = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    if (!kl_training(ctx) || args->rate == 0)
        return kl_one(x);
    int64_t noise[KL_MAX_RANK];
    int given = 0;
    while (given < KL_MAX_RANK && args->noise_shape[given])
        given++;
    if (given && given != x->rank) {
        kl_error(KL_ERROR_SHAPE, "noise_shape has %d dimensions, the input %d", given, x->rank);
        return kl_one(NULL);
    }
    for (int i = 0; i < given; i++)
        noise[i] = args->noise_shape[i] < 0 ? x->shape[i] : args->noise_shape[i];
    return kl_one(kl_op_dropout(x, args->rate, given ? noise : NULL));
}

const kl_layer_vtable kl_dropout_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Dropout",
    .state_size = sizeof(kl_dropout_args),
    .args_size = sizeof(kl_dropout_args),
    .fields = dropout_fields,
    .call = dropout_call,
    .compute_mask = kl_pass_mask,
    .flags = KL_LAYER_RANDOM,
};

KL_DEFINE_LAYER(kl_dropout)
