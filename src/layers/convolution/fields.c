#include "layers/convolution/fields.h"

#include <string.h>

#include "layers/layer.h"

kl_weight *kl_conv_add_kernel(kl_layer *self, const char *name, int rank,
                              const int64_t *kernel_size, int64_t from, int64_t to,
                              kl_weight_plan plan)
{
    kl_weight_args args = kl_weight_defaults();
    args.layer = self;
    args.name = name;
    args.initializer = plan.initializer;
    args.regularizer = plan.regularizer;
    args.constraint = plan.constraint;
    memcpy(args.shape, kernel_size, (size_t)rank * sizeof *args.shape);
    args.shape[rank] = from;
    args.shape[rank + 1] = to;
    return kl_add_weight_with(&args);
}

int64_t kl_conv_channels(kl_layer *self, const kl_shape *in, const char *data_format)
{
    int axis = kl_channel_axis(data_format, in->rank);
    int64_t channels = in->at[axis];
    if (channels < 1) {
        if (channels < 0)
            kl_error(KL_ERROR_SHAPE, "the channel dimension of the input must be known, got None");
        else
            kl_error(KL_ERROR_SHAPE, "the input has no channels");
        return -1;
    }
    kl_input_spec spec = {.ndim = in->rank, .axis = axis, .dim = channels};
    return kl_set_input_spec(self, 0, spec) ? -1 : channels;
}

kl_status kl_conv_check_strides(int rank, const int64_t *strides, const int64_t *dilation)
{
    bool strided = false, dilated = false;
    for (int i = 0; i < rank; i++) {
        strided = strided || strides[i] > 1;
        dilated = dilated || dilation[i] > 1;
    }
    if (strided && dilated)
        return kl_error(KL_ERROR_INVALID,
                        "strides > 1 are not supported together with dilation_rate > 1");
    return KL_OK;
}
