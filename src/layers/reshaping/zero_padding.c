/* ZeroPadding in one, two and three dimensions. */
#include "klayers/layers/reshaping.h"
#include "layers/layer.h"
#include "layers/reshaping/spatial.h"
#include "tensor/tensor.h"

#define FIELDS(rank)                                                                               \
    {                                                                                              \
        PAIRS_FIELD("padding", kl_zero_padding_args, padding, rank, "1",                           \
                    "zeros put at both ends of each axis"),                                        \
            DATA_FORMAT_FIELD(kl_zero_padding_args),                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
static const kl_field zero_padding1d_fields[] = FIELDS(1);
static const kl_field zero_padding2d_fields[] = FIELDS(2);
static const kl_field zero_padding3d_fields[] = FIELDS(3);

static kl_status zero_padding1d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

static kl_status zero_padding2d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 4});
}

static kl_status zero_padding3d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 5});
}

static kl_tensors zero_padding_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_zero_padding_args *args = kl_layer_state(self);
    int64_t pads[2 * KL_MAX_RANK];
    kl_spread_pairs(args->padding, kl_is_channels_first(args->data_format), pads);
    return kl_one(kl_op_pad(in.at[0], pads, "constant", 0));
}

const kl_layer_vtable kl_zero_padding1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ZeroPadding1D",
    .state_size = sizeof(kl_zero_padding_args),
    .args_size = sizeof(kl_zero_padding_args),
    .fields = zero_padding1d_fields,
    .init = zero_padding1d_init,
    .call = zero_padding_call,
};
KL_DEFINE_LAYER(kl_zero_padding1d)

const kl_layer_vtable kl_zero_padding2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ZeroPadding2D",
    .state_size = sizeof(kl_zero_padding_args),
    .args_size = sizeof(kl_zero_padding_args),
    .fields = zero_padding2d_fields,
    .init = zero_padding2d_init,
    .call = zero_padding_call,
};
KL_DEFINE_LAYER(kl_zero_padding2d)

const kl_layer_vtable kl_zero_padding3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ZeroPadding3D",
    .state_size = sizeof(kl_zero_padding_args),
    .args_size = sizeof(kl_zero_padding_args),
    .fields = zero_padding3d_fields,
    .init = zero_padding3d_init,
    .call = zero_padding_call,
};
KL_DEFINE_LAYER(kl_zero_padding3d)
