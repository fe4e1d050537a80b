#include <immintrin.h>

#include "kernels/gemm_tile.h"

#include <stddef.h>

/* The most rows of a tile of one, two, ... vectors. */
#define ROWS 0, 6, 6, 1, 1, 1, 1, 1, 1
// clang-format off
#define SHAPES(X)                                                                                  \
    KL_TILE_ROWS_6(X, 1)                                                                           \
    KL_TILE_ROWS_6(X, 2)                                                                           \
    KL_TILE_ROWS_1(X, 3) KL_TILE_ROWS_1(X, 4)                                                      \
    KL_TILE_ROWS_1(X, 5) KL_TILE_ROWS_1(X, 6) KL_TILE_ROWS_1(X, 7) KL_TILE_ROWS_1(X, 8)
// clang-format on
#define VECTORS 2

#define T       float
#define LANES   8
#define NAME(x) x##_avx2_f32
#define FIRST(n)                                                                                   \
    _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define LOAD_PART(p, n)     _mm256_maskload_ps(p, FIRST(n))
#define STORE_PART(p, v, n) _mm256_maskstore_ps(p, FIRST(n), v)
#include "kernels/gemm_impl.h"
#undef T
#undef LANES
#undef NAME
#undef FIRST
#undef LOAD_PART
#undef STORE_PART

/* float64 has no need for more shapes than keep the arithmetic units busy. */
#undef ROWS
#undef SHAPES
#undef VECTORS
#define ROWS      0, 4, 6
#define SHAPES(X) KL_TILE_ROWS_4(X, 1) KL_TILE_ROWS_6(X, 2)
#define VECTORS   2
#define LEAN

#define T                   double
#define LANES               4
#define NAME(x)             x##_avx2_f64
#define FIRST(n)            _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3))
#define LOAD_PART(p, n)     _mm256_maskload_pd(p, FIRST(n))
#define STORE_PART(p, v, n) _mm256_maskstore_pd(p, FIRST(n), v)
#include "kernels/gemm_impl.h"
#undef T
#undef LANES
#undef NAME
#undef FIRST
#undef LOAD_PART
#undef STORE_PART
