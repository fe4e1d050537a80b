#include "base/hash_bins.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"

kl_status kl_hash_bins_set(kl_hash_bins *bins, int64_t count, kl_ints salt)
{
    if (count < 1)
        return kl_error(KL_ERROR_RANGE, "the number of bins must be at least 1, got %lld",
                        (long long)count);
    if (salt.count > 2 || !salt.at != !salt.count)
        return kl_error(KL_ERROR_INVALID, "salt must be one number or two, got %zu", salt.count);
    *bins = (kl_hash_bins){.count = (uint64_t)count,
                           .inverse = UINT64_MAX / (uint64_t)count,
                           .salted = salt.count > 0};
    if (salt.count) {
        bins->salt[0] = (uint64_t)salt.at[0];
        bins->salt[1] = (uint64_t)salt.at[salt.count - 1];
    }
    return KL_OK;
}

static uint64_t high_product(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)a * b >> 64);
#else
    uint64_t a0 = a & UINT32_MAX, a1 = a >> 32, b0 = b & UINT32_MAX, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & UINT32_MAX);
    return a1 * b1 + (middle >> 32) + (other >> 32);
#endif
}

/* hash % count: the quotient from the inverse is at most one too small. */
static int64_t bin_of(const kl_hash_bins *bins, uint64_t hash)
{
    uint64_t rest = hash - high_product(hash, bins->inverse) * bins->count;
    return (int64_t)(rest >= bins->count ? rest - bins->count : rest);
}

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "6869707172737475767778798081828384858687888990919293949596979899";

kl_string kl_decimal(int64_t value, char *out)
{
    char *end = out + 24, *at = end;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    while (rest >= 100) {
        at -= 2;
        memcpy(at, pairs + 2 * (rest % 100), 2);
        rest /= 100;
    }
    if (rest >= 10) {
        at -= 2;
        memcpy(at, pairs + 2 * rest, 2);
    } else {
        *--at = (char)('0' + rest);
    }
    if (value < 0)
        *--at = '-';
    return (kl_string){at, (size_t)(end - at)};
}

void kl_hash_bins_of_texts(const kl_hash_bins *bins, const kl_string *texts, int64_t count,
                           int64_t *out)
{
    if (bins->salted)
        for (int64_t i = 0; i < count; i++)
            out[i] = bin_of(bins, kl_siphash(bins->salt, texts[i].at, texts[i].length));
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = bin_of(bins, kl_fingerprint64(texts[i].at, texts[i].length));
}

void kl_hash_bins_of_ints(const kl_hash_bins *bins, const int64_t *values, int64_t count,
                          int64_t *out)
{
    char room[24];
    for (int64_t i = 0; i < count; i++) {
        kl_string text = kl_decimal(values[i], room);
        kl_hash_bins_of_texts(bins, &text, 1, out + i);
    }
}
