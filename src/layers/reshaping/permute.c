#include "klayers/layers/reshaping.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

static const kl_field permute_fields[] = {
    {"dims", KL_FIELD_SHAPE, offsetof(kl_permute_args, dims),
     .doc = "where each axis comes from, counted from 1; the batch stays",
     .flags = KL_FIELD_REQUIRED},
    {0}};

static int axes_of(const kl_permute_args *args)
{
    int count = 0;
    if (args->dims[0] != KL_SCALAR)
        while (count < KL_MAX_RANK && args->dims[count])
            count++;
    return count;
}

static kl_status permute_init(void *self)
{
    const kl_permute_args *args = kl_layer_state(self);
    int count = axes_of(args);
    unsigned seen = 0;
    if (count >= KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "dims has more than %d axes", KL_MAX_RANK - 1);
    for (int i = 0; i < count; i++)
        seen |= args->dims[i] <= count ? 1U << (args->dims[i] - 1) : 0;
    if (seen != (1U << count) - 1) {
        char dims[160];
        return kl_error(KL_ERROR_INVALID,
                        "dims must be a permutation of the numbers 1 to %d, got %s", count,
                        kl_shape_text(count, args->dims, dims, sizeof dims));
    }
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = count + 1});
}

static kl_tensors permute_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_permute_args *args = kl_layer_state(self);
    int axes[KL_MAX_RANK] = {0};
    for (int i = 1; i < in.at[0]->rank; i++)
        axes[i] = (int)args->dims[i - 1];
    return kl_one(kl_op_transpose(in.at[0], axes));
}

const kl_layer_vtable kl_permute_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Permute",
    .state_size = sizeof(kl_permute_args),
    .args_size = sizeof(kl_permute_args),
    .fields = permute_fields,
    .init = permute_init,
    .call = permute_call,
};

KL_DEFINE_LAYER(kl_permute)
