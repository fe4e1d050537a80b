/* Elements of any dtype: one at a time, and runs of them from one dtype to another. */
#ifndef KL_TENSOR_CONVERT_H
#define KL_TENSOR_CONVERT_H

#include <string.h>
#include "klayers/tensor.h"

/* IEEE half precision and bfloat16, rounded to nearest even. */
uint16_t kl_half_from_float(float value);
float kl_half_to_float(uint16_t half);
static inline uint16_t kl_bfloat16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)((bits >> 16) | 0x40);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
static inline float kl_bfloat16_to_float(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* One element as a double (not strings). */
double kl_load_element(kl_dtype dtype, const void *at);
/* Sets `count` contiguous elements. */
void kl_fill_elements(kl_dtype dtype, void *out, int64_t count, double value);
/*
 * `count` elements with strides (in elements) from one dtype to another; floats to integers are
 * cut towards zero and kept in range, anything to bool is "is not 0". Not for strings, except from
 * strings to strings, where the texts are lent.
 */
void kl_convert_elements(kl_dtype to, void *out, int64_t out_stride, kl_dtype from, const void *in,
                         int64_t in_stride, int64_t count);

#endif
