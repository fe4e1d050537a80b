/* Hashes of bytes that are part of what Keras computes, the same on every machine. */
#ifndef KL_BASE_HASH_H
#define KL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FarmHash Fingerprint64: tf.strings.to_hash_bucket_fast before its modulo. */
uint64_t kl_fingerprint64(const char *text, size_t length);
/* SipHash-2-4: tf.strings.to_hash_bucket_strong before its modulo. */
uint64_t kl_siphash(const uint64_t key[2], const char *text, size_t length);

#endif
