#include "kernels/gemm_tile.h"

#include <stddef.h>

/* The most rows of a tile of one, two, ... vectors. */
#define ROWS 0, 8, 8, 8, 6, 4, 3, 3, 3
// clang-format off
#define SHAPES(X)                                                                                  \
    KL_TILE_ROWS_8(X, 1)                                                                           \
    KL_TILE_ROWS_8(X, 2)                                                                           \
    KL_TILE_ROWS_8(X, 3)                                                                           \
    KL_TILE_ROWS_6(X, 4) KL_TILE_ROWS_4(X, 5) KL_TILE_ROWS_3(X, 6) KL_TILE_ROWS_3(X, 7)            \
        KL_TILE_ROWS_3(X, 8)
// clang-format on
#define VECTORS 3

#define T       float
#define LANES   4
#define NAME(x) x##_neon_f32
#include "kernels/gemm_impl.h"
#undef T
#undef LANES
#undef NAME

#define T       double
#define LANES   2
#define NAME(x) x##_neon_f64
#include "kernels/gemm_impl.h"
#undef T
#undef LANES
#undef NAME
