/* What the sources of the convolutions share. Element types are told by the kl_tile_set. */
#ifndef KL_KERNELS_CONV_INTERNAL_H
#define KL_KERNELS_CONV_INTERNAL_H

#include "kernels/conv.h"
#include "kernels/gemm_tile.h"

/* By register tiles, any groups. */
bool kl_conv_forward_tiles(const kl_tile_set *set, const kl_conv_shape *s, const void *x,
                           const void *w, const void *bias, kl_epilogue epilogue, void *y);
bool kl_conv_input_tiles(const kl_tile_set *set, const kl_conv_shape *s, const void *dy,
                         const void *w, void *dx);
bool kl_conv_kernel_tiles(const kl_tile_set *set, const kl_conv_shape *s, const void *x,
                          const void *dy, void *dw);

static inline int64_t kl_min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t kl_max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t kl_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Where part i of `parts` parts of `count` things begins, the parts differing by one at most. */
static inline int64_t kl_part_begin(int64_t count, int64_t parts, int64_t i)
{
    return count / parts * i + kl_min64(count % parts, i);
}

#endif
