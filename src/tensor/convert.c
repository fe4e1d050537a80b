#include "tensor/convert.h"

float kl_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31,
             mantissa = half & 1023, bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | mantissa << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    } else {
        float tiny = (float)mantissa * 0x1p-24f;
        memcpy(&bits, &tiny, sizeof bits);
        bits |= sign;
    }
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

uint16_t kl_half_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | ((magnitude >> 13) & 1023));
    if (magnitude >= 0x477ff000) /* rounds beyond 65504 */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { /* below 2^-14: a multiple of 2^-24 */
        float scaled;
        memcpy(&scaled, &magnitude, sizeof scaled);
        /* Adding 0.5 aligns the unit in the last place with 2^-24, so the sum rounds for us. */
        scaled += 0.5f;
        memcpy(&bits, &scaled, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    uint32_t rounded = magnitude - 0x38000000;
    rounded += 0xfff + ((rounded >> 13) & 1);
    return (uint16_t)(sign | rounded >> 13);
}

double kl_load_element(kl_dtype dtype, const void *at)
{
    switch (dtype) {
    case KL_FLOAT32:
        return *(const float *)at;
    case KL_FLOAT64:
        return *(const double *)at;
    case KL_FLOAT16:
        return kl_half_to_float(*(const uint16_t *)at);
    case KL_BFLOAT16:
        return kl_bfloat16_to_float(*(const uint16_t *)at);
    case KL_INT32:
        return *(const int32_t *)at;
    case KL_INT64:
        return (double)*(const int64_t *)at;
    default:
        return *(const uint8_t *)at;
    }
}

static int64_t whole(double value, int64_t low, int64_t high)
{
    if (!(value > (double)low))
        return value != value ? 0 : low;
    return value >= (double)high ? high : (int64_t)value;
}

static void store_element(kl_dtype dtype, void *at, double value)
{
    switch (dtype) {
    case KL_FLOAT32:
        *(float *)at = (float)value;
        break;
    case KL_FLOAT64:
        *(double *)at = value;
        break;
    case KL_FLOAT16:
        *(uint16_t *)at = kl_half_from_float((float)value);
        break;
    case KL_BFLOAT16:
        *(uint16_t *)at = kl_bfloat16_from_float((float)value);
        break;
    case KL_INT32:
        *(int32_t *)at = (int32_t)whole(value, INT32_MIN, INT32_MAX);
        break;
    case KL_INT64:
        *(int64_t *)at = whole(value, INT64_MIN, INT64_MAX);
        break;
    case KL_UINT8:
        *(uint8_t *)at = (uint8_t)whole(value, 0, 255);
        break;
    default:
        *(uint8_t *)at = value != 0;
    }
}

void kl_fill_elements(kl_dtype dtype, void *out, int64_t count, double value)
{
    size_t bytes = kl_dtype_size(dtype);
    unsigned char one[16] = {0};
    store_element(dtype, one, value);
    bool zero = true;
    for (size_t i = 0; i < bytes; i++)
        zero = zero && !one[i];
    if (zero) {
        memset(out, 0, (size_t)count * bytes);
    } else if (bytes == 4) {
        uint32_t word, *at = out;
        memcpy(&word, one, 4);
        for (int64_t i = 0; i < count; i++)
            at[i] = word;
    } else if (bytes == 1) {
        memset(out, one[0], (size_t)count);
    } else {
        for (int64_t i = 0; i < count; i++)
            memcpy((char *)out + (size_t)i * bytes, one, bytes);
    }
}

/* Strided copies of equal elements, by their size. */
#define COPY_AS(type)                                                                              \
    do {                                                                                           \
        const type *from_at = in;                                                                  \
        type *to_at = out;                                                                         \
        for (int64_t i = 0; i < count; i++)                                                        \
            to_at[i * out_stride] = from_at[i * in_stride];                                        \
    } while (0)

static void copy_same(size_t bytes, void *out, int64_t out_stride, const void *in,
                      int64_t in_stride, int64_t count)
{
    if (out_stride == 1 && in_stride == 1)
        memcpy(out, in, (size_t)count * bytes);
    else if (bytes == 4)
        COPY_AS(uint32_t);
    else if (bytes == 8)
        COPY_AS(uint64_t);
    else if (bytes == 2)
        COPY_AS(uint16_t);
    else if (bytes == 1)
        COPY_AS(uint8_t);
    else
        COPY_AS(kl_string);
}

/* The pairs that matter most in plain loops that the compiler turns into vectors. */
#define CONVERT_AS(from_type, to_type)                                                             \
    do {                                                                                           \
        const from_type *from_at = in;                                                             \
        to_type *to_at = out;                                                                      \
        for (int64_t i = 0; i < count; i++)                                                        \
            to_at[i * out_stride] = (to_type)from_at[i * in_stride];                               \
    } while (0)

static bool convert_common(kl_dtype to, void *out, int64_t out_stride, kl_dtype from,
                           const void *in, int64_t in_stride, int64_t count)
{
    if (from == KL_FLOAT32 && to == KL_FLOAT64)
        CONVERT_AS(float, double);
    else if (from == KL_FLOAT64 && to == KL_FLOAT32)
        CONVERT_AS(double, float);
    else if (from == KL_INT32 && to == KL_FLOAT32)
        CONVERT_AS(int32_t, float);
    else if (from == KL_INT64 && to == KL_FLOAT32)
        CONVERT_AS(int64_t, float);
    else if ((from == KL_UINT8 || from == KL_BOOL) && to == KL_FLOAT32)
        CONVERT_AS(uint8_t, float);
    else if (from == KL_INT32 && to == KL_INT64)
        CONVERT_AS(int32_t, int64_t);
    else if (from == KL_INT64 && to == KL_INT32)
        CONVERT_AS(int64_t, int32_t);
    else
        return false;
    return true;
}

void kl_convert_elements(kl_dtype to, void *out, int64_t out_stride, kl_dtype from, const void *in,
                         int64_t in_stride, int64_t count)
{
    size_t from_size = kl_dtype_size(from), to_size = kl_dtype_size(to);
    if (from == to || (from == KL_BOOL && to == KL_UINT8)) {
        copy_same(to_size, out, out_stride, in, in_stride, count);
        return;
    }
    if (convert_common(to, out, out_stride, from, in, in_stride, count))
        return;
    const char *source = in;
    char *target = out;
    if (from == KL_INT64 && to != KL_FLOAT64 && !kl_dtype_is_float(to)) {
        /* Not through a double, which can't hold every int64. */
        for (int64_t i = 0; i < count; i++) {
            int64_t value = *(const int64_t *)(const void *)(source + i * in_stride * 8);
            *(uint8_t *)(target + i * out_stride) = to == KL_BOOL
                                                        ? value != 0
                                                        : (uint8_t)(value < 0     ? 0
                                                                    : value > 255 ? 255
                                                                                  : value);
        }
        return;
    }
    for (int64_t i = 0; i < count; i++)
        store_element(to, target + i * out_stride * (int64_t)to_size,
                      kl_load_element(from, source + i * in_stride * (int64_t)from_size));
}
