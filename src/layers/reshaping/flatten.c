#include "klayers/layers/reshaping.h"
#include "base/alloc.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

static const kl_field flatten_fields[] = {
    {"data_format", KL_FIELD_STRING, offsetof(kl_flatten_args, data_format), "channels_last",
     .doc = "channels_first moves the channels last before flattening",
     .choices = "channels_last|channels_first", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_tensors flatten_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_flatten_args *args = kl_layer_state(self);
    kl_tensor *x = in.at[0];
    if (kl_is_channels_first(args->data_format) && x->rank > 2)
        x = kl_op_move_axis(x, 1, -1);
    if (!x)
        return kl_one(NULL);
    int64_t width = 1;
    for (int i = 1; i < x->rank; i++)
        width *= x->shape[i];
    return kl_one(kl_op_reshape(x, KL_DIMS(x->rank ? x->shape[0] : 1, width)));
}

/* With an unknown dimension the product of the others doesn't tell the width. */
static kl_status flatten_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                               int *output_count)
{
    out[0] = (kl_shape){.rank = 2, .at = {in[0].rank ? in[0].at[0] : 1, 1}, .dtype = in[0].dtype};
    for (int i = 1; i < in[0].rank; i++) {
        if (in[0].at[i] < 0 || out[0].at[1] < 0)
            out[0].at[1] = -1;
        else if (!kl_i64_mul(out[0].at[1], in[0].at[i], &out[0].at[1]))
            return kl_error(KL_ERROR_SHAPE, "the number of elements overflows");
    }
    return KL_OK;
}

const kl_layer_vtable kl_flatten_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Flatten",
    .state_size = sizeof(kl_flatten_args),
    .args_size = sizeof(kl_flatten_args),
    .fields = flatten_fields,
    .call = flatten_call,
    .output_shape = flatten_shape,
};

KL_DEFINE_LAYER(kl_flatten)
