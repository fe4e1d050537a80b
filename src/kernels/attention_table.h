/* The loops over blocks of scores that each instruction set has a version of. */
#ifndef KL_KERNELS_ATTENTION_TABLE_H
#define KL_KERNELS_ATTENTION_TABLE_H

#include "klayers/base.h"

/*
 * A block of scores: `rows` queries by `cols` keys, rows `ld` elements apart. Key c of row r counts
 * if low + r <= c < high + r, and the mask allows it.
 */
enum { KL_SCORE_ROWS = 96 }; /* the most of a block */
typedef struct kl_score_block {
    int64_t rows, cols, ld;
    void *scores;
    const uint8_t *mask; /* or NULL */
    int64_t mask_row, mask_col;
    int64_t low, high;
    double scale;
    /* Forward: each row's maximum and sum of exponentials so far, and its result so far. */
    void *most, *total, *out;
    int64_t out_ld, out_cols;
    /* Backward: the gradient of the weights, the scale that it goes back by, each row's logarithm
       of the sum, and the product of result and its gradient. */
    void *grad;
    double grad_scale;
    const void *lse, *delta;
} kl_score_block;

typedef struct kl_attention_loops {
    /* Scores become exponentials over the new maximum; total and out are scaled to it. */
    void (*forward)(const kl_score_block *b);
    /* Scores become weights, and grad the gradient of the scores. */
    void (*backward)(const kl_score_block *b);
    /* y = x / total, and lse = most + log(total); an infinity where nothing was allowed. */
    void (*finish)(int64_t n, const void *x, double total, double most, void *y, void *lse);
    /* The sum of x y. */
    double (*dot)(int64_t n, const void *x, const void *y);
    void (*add)(int64_t n, const void *x, void *y); /* y += x */
} kl_attention_loops;

typedef struct kl_attention_table {
    kl_attention_loops single, wide;
} kl_attention_table;

extern const kl_attention_table kl_attention_portable, kl_attention_neon, kl_attention_avx2,
    kl_attention_avx512;

#endif
