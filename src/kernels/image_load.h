/* Four neighbouring values as floats. */
#ifndef KL_KERNELS_IMAGE_LOAD_H
#define KL_KERNELS_IMAGE_LOAD_H

#include <stdint.h>
#include <string.h>

typedef float vec4 __attribute__((vector_size(16)));
typedef float vec4_at __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint8_t bytes4 __attribute__((vector_size(4)));
typedef int32_t ints4 __attribute__((vector_size(16)));

static inline vec4 load_floats(const float *at)
{
    return *(const vec4_at *)(const void *)at;
}

static inline vec4 load_bytes(const uint8_t *at)
{
    bytes4 v;
    memcpy(&v, at, sizeof v);
    /* By way of integers: compilers take bytes to floats one by one. */
    return __builtin_convertvector(__builtin_convertvector(v, ints4), vec4);
}

#endif
