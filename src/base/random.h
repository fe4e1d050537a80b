/*
 * Philox4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", 2011): element i of a draw depends on the key, the draw's number and i alone, so a
 * tensor's numbers are the same on any number of threads.
 */
#ifndef KL_BASE_RANDOM_H
#define KL_BASE_RANDOM_H

#include "klayers/base.h"

/* A stream of draws: `draw` counts the tensors drawn so far. */
typedef struct kl_random {
    uint64_t key, draw;
} kl_random;

/* Four words for block `block` of draw `draw`. */
void kl_philox(uint64_t key, uint64_t draw, uint64_t block, uint32_t out[4]);

/*
 * Each of these is one draw: it fills count elements in parallel and advances the stream by one.
 * Uniform is in [low, high); truncated normal redraws beyond two standard deviations as
 * TensorFlow does.
 */
void kl_random_uniform_f32(kl_random *r, float *out, int64_t count, float low, float high);
void kl_random_uniform_f64(kl_random *r, double *out, int64_t count, double low, double high);
void kl_random_normal_f32(kl_random *r, float *out, int64_t count, float mean, float stddev);
void kl_random_normal_f64(kl_random *r, double *out, int64_t count, double mean, double stddev);
void kl_random_truncated_normal_f32(kl_random *r, float *out, int64_t count, float mean,
                                    float stddev);
void kl_random_truncated_normal_f64(kl_random *r, double *out, int64_t count, double mean,
                                    double stddev);
/* Integers in [low, high). */
void kl_random_int(kl_random *r, int64_t *out, int64_t count, int64_t low, int64_t high);
/* 1 byte an element: 1 with probability `keep`, else 0 (dropout's mask). */
void kl_random_bernoulli(kl_random *r, uint8_t *out, int64_t count, double keep);
/* A permutation of 0..count-1 (Fisher-Yates). */
void kl_random_permutation(kl_random *r, int64_t *out, int64_t count);

/* A fresh key from the default generator; safe from several threads. Repeats after
   kl_set_random_seed with the same seed. */
uint64_t kl_random_next_key(void);

#endif
