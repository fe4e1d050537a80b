/* Strings and whole numbers to bins, as TensorFlow's to_hash_bucket operations do it. */
#ifndef KL_BASE_HASH_BINS_H
#define KL_BASE_HASH_BINS_H

#include "klayers/tensor.h"

typedef struct kl_hash_bins {
    uint64_t count, inverse; /* of the bins; 2^64 / count */
    uint64_t salt[2];
    bool salted;
} kl_hash_bins;

/* With a salt of no, one or two numbers. */
kl_status kl_hash_bins_set(kl_hash_bins *bins, int64_t count, kl_ints salt);
void kl_hash_bins_of_texts(const kl_hash_bins *bins, const kl_string *texts, int64_t count,
                           int64_t *out);
/* Hashed as their decimal digits. */
void kl_hash_bins_of_ints(const kl_hash_bins *bins, const int64_t *values, int64_t count,
                          int64_t *out);

/* The decimal digits of a number into out[24], not terminated; returns where they begin. */
kl_string kl_decimal(int64_t value, char *out);

#endif
