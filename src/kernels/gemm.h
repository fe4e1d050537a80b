/*
 * Matrix products on raw memory, the one building block of the dense, recurrent, attention and
 * convolution kernels. Every product is computed in an order that depends on its shape alone, so
 * results are the same bit for bit on any number of threads.
 */
#ifndef KL_KERNELS_GEMM_H
#define KL_KERNELS_GEMM_H

#include "klayers/base.h"

typedef enum kl_epilogue { KL_EPILOGUE_NONE, KL_EPILOGUE_RELU } kl_epilogue;

/*
 * C[m, n] = epilogue(A[m, k] * B[k, n] + bias[n] + C[m, n]), bias and the old C at option. Strides
 * are in elements and may be anything in A and B (a transposed matrix is one with its strides
 * swapped); rows of C lie `c_row` apart and have unit column stride. C overlaps none of the others.
 * With k of 0 the product is zero. A zero stride of A or B in the batch shares that matrix.
 */
typedef struct kl_gemm {
    int64_t m, n, k;
    const void *a;
    int64_t a_row, a_col;
    const void *b;
    int64_t b_row, b_col;
    void *c;
    int64_t c_row;
    const void *bias; /* [n], or NULL */
    bool accumulate;  /* add to what C holds */
    kl_epilogue epilogue;
    int64_t batch, a_batch, b_batch, c_batch; /* a batch of 0 counts as 1 */
} kl_gemm;

/* False with KL_ERROR_MEMORY if memory for scratch ran out; C is then undefined. */
bool kl_gemm_f32(const kl_gemm *g);
bool kl_gemm_f64(const kl_gemm *g);

/* B [k, n] rearranged once for many products with it, for kl_block_free(); NULL with
   KL_ERROR_MEMORY. */
float *kl_gemm_pack_f32(int64_t k, int64_t n, const float *b, int64_t b_row, int64_t b_col);
/* The product with a packed B in the place of g->b; no batch. */
void kl_gemm_packed_f32(const kl_gemm *g, float *packed);

#endif
