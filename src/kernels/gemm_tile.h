/*
 * The microkernels under matrix products and convolutions, one set per instruction set and element
 * type. A tile is a few rows by a few vectors of C, held in registers while the sum runs.
 */
#ifndef KL_KERNELS_GEMM_TILE_H
#define KL_KERNELS_GEMM_TILE_H

#include "kernels/gemm.h"
#include "kernels/isa.h"

/* Unrolls the loop that follows, whose bounds are known once its function is inlined. */
#ifdef __clang__
#define KL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KL_UNROLL _Pragma("GCC unroll 32")
#endif

/* X(rows, vectors) for tiles of 1 to n rows. */
#define KL_TILE_ROWS_1(X, v) X(1, v)
#define KL_TILE_ROWS_2(X, v) KL_TILE_ROWS_1(X, v) X(2, v)
#define KL_TILE_ROWS_3(X, v) KL_TILE_ROWS_2(X, v) X(3, v)
#define KL_TILE_ROWS_4(X, v) KL_TILE_ROWS_3(X, v) X(4, v)
#define KL_TILE_ROWS_5(X, v) KL_TILE_ROWS_4(X, v) X(5, v)
#define KL_TILE_ROWS_6(X, v) KL_TILE_ROWS_5(X, v) X(6, v)
#define KL_TILE_ROWS_7(X, v) KL_TILE_ROWS_6(X, v) X(7, v)
#define KL_TILE_ROWS_8(X, v) KL_TILE_ROWS_7(X, v) X(8, v)

enum { KL_TILE_ROWS = 8, KL_TILE_VECTORS = 8 };

/*
 * C[r, 0:cols] = epilogue(sum over o < outer and j < k of A[a_rows[r] + a_outer[o] + j * a_col] *
 *                         B[b_outer[o] + j * b_row + 0:cols] + bias + C)
 * Rows of B are read in whole vectors: where `cols` ends inside of one, B must be padded. All
 * offsets are in elements.
 */
typedef struct kl_tile {
    const void *a;
    const int64_t *a_rows;
    int64_t a_col;
    const void *b;
    int64_t b_row;
    int64_t k;
    int64_t outer; /* with both outer arrays NULL, 1 */
    const int64_t *a_outer, *b_outer;
    void *c;
    const int64_t *c_rows;
    const void *bias; /* or NULL */
    int64_t cols;
    bool accumulate, relu;
} kl_tile;

typedef void kl_tile_fn(const kl_tile *t);

/*
 * C[i, j] = epilogue(dot(a + i * a_row, b + j * b_col) + bias[i, j] + C[i, j]) for i < m <= 4 and
 * j < n, over vectors of length k and unit stride.
 */
typedef struct kl_dots {
    int64_t m, n, k;
    const void *a;
    int64_t a_row;
    const void *b;
    int64_t b_col;
    void *c;
    int64_t c_row, c_col;
    const void *bias; /* or NULL */
    int64_t bias_row, bias_col;
    bool accumulate, relu;
} kl_dots;

typedef struct kl_tile_set {
    int size;    /* of an element, in bytes */
    int lanes;   /* elements of a vector */
    int vectors; /* the widest tile that keeps the arithmetic units busy, in vectors */
    /* The most rows of a tile of [v] vectors; 0 if there is none of that width. */
    int rows[KL_TILE_VECTORS + 1];
    kl_tile_fn *tile[KL_TILE_ROWS + 1][KL_TILE_VECTORS + 1]; /* [rows][vectors] */

    /* dst[k][width] = src[j * row + c * col] for c < cols, and zero from there to width. */
    void (*pack)(void *dst, int64_t width, const void *src, int64_t row, int64_t col, int64_t k,
                 int64_t cols);
    void (*dots)(const kl_dots *d);
    /* A tile of `pixels` rows and up to 4 columns with unit a_col, and with B transposed: column j
       of it is at b_outer[o] + j * b_row, with unit stride. */
    void (*narrow)(const kl_tile *t, int64_t pixels);
    /* Channel by channel, for p < pixels and c < cols:
       C[c_rows[p] + c] = epilogue(sum over o < outer of A[a_rows[p] + a_outer[o] + c] *
                                   B[b_outer[o] + c] + bias[c] + C[c_rows[p] + c])
       The taps are rows of k taps evenly apart each, or else k is 0. */
    void (*depthwise)(const kl_tile *t, int64_t pixels);
    /* C[c_rows[r] + c] (+)= sum over o < outer and j < k of A[a_rows[r] + a_outer[o] + j * a_col +
       c] * B[b_outer[o] + j * b_row + c] for r < taps and c < cols */
    void (*depthwise_grad)(const kl_tile *t, int64_t taps);
} kl_tile_set;

/* The set for the instruction set in use. */
const kl_tile_set *kl_tile_set_f32(void);
const kl_tile_set *kl_tile_set_f64(void);

extern const kl_tile_set kl_tiles_portable_f32, kl_tiles_portable_f64;
extern const kl_tile_set kl_tiles_neon_f32, kl_tiles_neon_f64;
extern const kl_tile_set kl_tiles_avx2_f32, kl_tiles_avx2_f64;
extern const kl_tile_set kl_tiles_avx512_f32; /* float64 takes the set of AVX2 */

#endif
