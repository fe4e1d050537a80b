/*
 * Scaled dot-product attention, forward and back, by blocks of scores that are made anew when they
 * are needed: the full matrix is never stored (FlashAttention: Dao et al. 2022,
 * https://arxiv.org/abs/2205.14135). Results are the same on any number of threads.
 */
#ifndef KL_KERNELS_ATTENTION_H
#define KL_KERNELS_ATTENTION_H

#include "klayers/base.h"

/* What a row without any allowed key gives. */
typedef enum kl_attention_empty {
    KL_ATTENTION_UNIFORM, /* the mean of all values */
    KL_ATTENTION_ZERO,
    KL_ATTENTION_UNMASKED, /* as if every key were allowed */
    KL_ATTENTION_ROUNDED   /* the mean of all values, with gradients as of unmasked scores */
} kl_attention_empty;

/* Strides are in elements: of batch, place and head; sizes within a head are side by side. */
typedef struct kl_attention {
    bool wide; /* double, otherwise float */
    int64_t batch, heads, kv_heads, rows, keys, size, value_size;
    const void *q, *k, *v;
    int64_t q_strides[3], k_strides[3], v_strides[3];
    const uint8_t *mask;     /* or NULL; nonzero is allowed */
    int64_t mask_strides[4]; /* of batch, head, row, key; 0 where it is broadcast */
    double scale;            /* more than 0 */
    bool causal;
    int64_t window; /* 0, or only keys nearer than this */
    kl_attention_empty empty;
    void *out; /* [batch, rows, heads, value_size] */
    void *lse; /* [batch, heads, rows]: the logarithm of each row's sum of exponentials; an infinity
                  marks empty rows */
} kl_attention;

/* Sets out and lse. False with KL_ERROR_MEMORY. */
bool kl_attention_forward(const kl_attention *a);

typedef struct kl_attention_grad {
    const void *dy; /* [batch, rows, heads, value_size] */
    void *dq;       /* [batch, rows, heads, size] */
    void *dk, *dv;  /* [batch, keys, kv_heads, size or value_size] */
} kl_attention_grad;
/* All gradients; out and lse are those of kl_attention_forward. */
bool kl_attention_backward(const kl_attention *a, const kl_attention_grad *grad);

#endif
