/* What attention's forward and backward share: packed operands and products of blocks. */
#ifndef KL_KERNELS_ATTENTION_BLOCKS_H
#define KL_KERNELS_ATTENTION_BLOCKS_H

#include "kernels/attention.h"
#include "kernels/attention_table.h"
#include "kernels/gemm_tile.h"

/* Queries and keys of a block. */
enum { KL_QUERY_BLOCK = KL_SCORE_ROWS, KL_KEY_BLOCK = 128 };

/* How products read a packed matrix: panels of `width` columns, `panel` elements apart. */
typedef struct kl_packed {
    const char *at;
    int64_t row, panel;
} kl_packed;

typedef struct kl_attention_job {
    const kl_attention *a;
    const kl_tile_set *set;
    const kl_attention_loops *loops;
    int64_t width; /* columns of a panel */
    size_t element;
} kl_attention_job;

void kl_attention_begin(kl_attention_job *job, const kl_attention *a);
/* x rounded up to whole vectors. */
int64_t kl_attention_padded(const kl_attention_job *job, int64_t x);
/* Elements of a matrix [rows, cols] packed as rows, or transposed, in panels. */
int64_t kl_attention_rows_size(const kl_attention_job *job, int64_t rows, int64_t cols);
int64_t kl_attention_panels_size(const kl_attention_job *job, int64_t rows, int64_t cols);
/* [rows, cols], rows `stride` apart, to [rows, padded cols], and to panels of the transposed. */
void kl_attention_pack_rows(const kl_attention_job *job, void *to, const void *from, int64_t stride,
                            int64_t rows, int64_t cols);
void kl_attention_pack_panels(const kl_attention_job *job, void *to, const void *from,
                              int64_t stride, int64_t rows, int64_t cols);
/* The transposed matrix's columns from `first` on; `first` begins a panel. */
kl_packed kl_attention_panels_at(const kl_attention_job *job, const void *panels, int64_t first,
                                 int64_t cols);
/* Rows from `first` on. */
kl_packed kl_attention_rows_at(const kl_attention_job *job, const void *rows, int64_t first,
                               int64_t cols);

/* C [m, n] = A [m, k] B [k, n], or added to it. A's element (i, j) is at a + i row + j col. */
typedef struct kl_block_product {
    int64_t m, n, k;
    const void *a;
    int64_t a_row, a_col;
    kl_packed b;
    void *c;
    int64_t c_row;
    bool accumulate;
} kl_block_product;
void kl_attention_multiply(const kl_attention_job *job, const kl_block_product *p);

/* The keys that rows [row, row + rows) may attend to by causality and window. */
void kl_attention_keys(const kl_attention *a, int64_t row, int64_t rows, int64_t *first,
                       int64_t *end);
/* Limits and mask of the block of scores at (row, key) into b. */
void kl_attention_limits(const kl_attention *a, int64_t batch, int64_t head, int64_t row,
                         int64_t key, kl_score_block *b);

#endif
