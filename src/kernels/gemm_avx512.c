#include <immintrin.h>

#include "kernels/gemm_tile.h"

#include <stddef.h>

/* The most rows of a tile of one, two, ... vectors. */
#define ROWS 0, 8, 8, 6, 6, 1, 1, 1, 1
// clang-format off
#define SHAPES(X)                                                                                  \
    KL_TILE_ROWS_8(X, 1)                                                                           \
    KL_TILE_ROWS_8(X, 2)                                                                           \
    KL_TILE_ROWS_6(X, 3)                                                                           \
    KL_TILE_ROWS_6(X, 4)                                                                           \
    KL_TILE_ROWS_1(X, 5) KL_TILE_ROWS_1(X, 6) KL_TILE_ROWS_1(X, 7) KL_TILE_ROWS_1(X, 8)
// clang-format on
#define VECTORS 4

#define T                   float
#define LANES               16
#define NAME(x)             x##_avx512_f32
#define FIRST(n)            (__mmask16)((1u << (n)) - 1)
#define LOAD_PART(p, n)     _mm512_maskz_loadu_ps(FIRST(n), p)
#define STORE_PART(p, v, n) _mm512_mask_storeu_ps(p, FIRST(n), v)
#include "kernels/gemm_impl.h"
