/* Cropping in one, two and three dimensions. */
#include "klayers/layers/reshaping.h"
#include "layers/layer.h"
#include "layers/reshaping/spatial.h"
#include "tensor/tensor.h"

#define CROPPING(rank, default)                                                                    \
    PAIRS_FIELD("cropping", kl_cropping_args, cropping, rank, default,                             \
                "places taken from both ends of each axis")

static const kl_field cropping1d_fields[] = {CROPPING(1, "1"), {0}};
static const kl_field cropping2d_fields[] = {
    CROPPING(2, "0"), DATA_FORMAT_FIELD(kl_cropping_args), {0}};
static const kl_field cropping3d_fields[] = {
    CROPPING(3, "1"), DATA_FORMAT_FIELD(kl_cropping_args), {0}};

static kl_status cropping1d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 3});
}

static kl_status cropping2d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 4});
}

static kl_status cropping3d_init(void *self)
{
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = 5});
}

static kl_tensors crop(const kl_cropping_args *args, bool channels_first, kl_tensor *x)
{
    int64_t pads[2 * KL_MAX_RANK];
    const int first = kl_spread_pairs(args->cropping, channels_first, pads);
    for (int i = first; i < first + x->rank - 2; i++)
        if (pads[2 * i] + pads[2 * i + 1] >= x->shape[i]) {
            kl_error(KL_ERROR_SHAPE,
                     "cropping must be less than the size of the axis: got %lld and %lld from axis "
                     "%d of size %lld",
                     (long long)pads[2 * i], (long long)pads[2 * i + 1], i, (long long)x->shape[i]);
            return kl_one(NULL);
        }
    return kl_one(kl_op_crop(x, pads));
}

static kl_tensors cropping_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_cropping_args *args = kl_layer_state(self);
    return crop(args, kl_is_channels_first(args->data_format), in.at[0]);
}

static kl_tensors cropping1d_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return crop(kl_layer_state(self), false, in.at[0]);
}

const kl_layer_vtable kl_cropping1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Cropping1D",
    .state_size = sizeof(kl_cropping_args),
    .args_size = sizeof(kl_cropping_args),
    .fields = cropping1d_fields,
    .init = cropping1d_init,
    .call = cropping1d_call,
};
KL_DEFINE_LAYER(kl_cropping1d)

const kl_layer_vtable kl_cropping2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Cropping2D",
    .state_size = sizeof(kl_cropping_args),
    .args_size = sizeof(kl_cropping_args),
    .fields = cropping2d_fields,
    .init = cropping2d_init,
    .call = cropping_call,
};
KL_DEFINE_LAYER(kl_cropping2d)

const kl_layer_vtable kl_cropping3d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Cropping3D",
    .state_size = sizeof(kl_cropping_args),
    .args_size = sizeof(kl_cropping_args),
    .fields = cropping3d_fields,
    .init = cropping3d_init,
    .call = cropping_call,
};
KL_DEFINE_LAYER(kl_cropping3d)
