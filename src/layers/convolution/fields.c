#include "layers/convolution/fields.h"

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
