/* Transposed copies of matrices, as between channels last and channels first. */
#ifndef KL_KERNELS_TRANSPOSE_H
#define KL_KERNELS_TRANSPOSE_H

#include "klayers/base.h"

/*
 * out[b][r][c] = in[b * in_batch + r + c * in_col] for b < batch, r < rows and c < cols; out is
 * contiguous, and all counts are in elements.
 */
typedef struct kl_transposition {
    int64_t batch, rows, cols;
    int64_t in_batch, in_col;
    const void *in;
    void *out;
} kl_transposition;

void kl_transpose_32(const kl_transposition *t); /* elements of 4 bytes */
void kl_transpose_64(const kl_transposition *t);

#endif
