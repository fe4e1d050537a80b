#include "klayers/layers/reshaping.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

static const kl_field repeat_vector_fields[] = {
    {"n", KL_FIELD_INT, offsetof(kl_repeat_vector_args, n), .doc = "how many times", .min = 1,
     .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {0}};

static kl_status repeat_vector_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 2});
}

static kl_tensors repeat_vector_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_repeat_vector_args *args = kl_layer_state(self);
    kl_tensor *x = kl_op_expand_dims(in.at[0], 1);
    return kl_one(x ? kl_op_repeat_each(x, (const int64_t[]){1, args->n, 1}) : NULL);
}

const kl_layer_vtable kl_repeat_vector_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "RepeatVector",
    .state_size = sizeof(kl_repeat_vector_args),
    .args_size = sizeof(kl_repeat_vector_args),
    .fields = repeat_vector_fields,
    .init = repeat_vector_init,
    .call = repeat_vector_call,
};

KL_DEFINE_LAYER(kl_repeat_vector)
