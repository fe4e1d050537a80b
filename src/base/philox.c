#include "base/philox.h"

#include "base/random.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0       0x9E3779B9u
#define WEYL_1       0xBB67AE85u

enum { ROUNDS = 10, LANES = 16, GROUP = 4 * LANES };

void kl_philox(uint64_t key, uint64_t draw, uint64_t block, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
    uint32_t c2 = (uint32_t)draw, c3 = (uint32_t)(draw >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0, p1 = (uint64_t)MULTIPLIER_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void piece_portable(uint64_t key, uint64_t draw, uint64_t piece, uint32_t *out)
{
    for (uint32_t b = 0; b < KL_PHILOX_PIECE / 4; b++) {
        uint32_t words[4];
        kl_philox(key, draw, piece * (KL_PHILOX_PIECE / 4) + b, words);
        for (uint32_t j = 0; j < 4; j++)
            out[b / LANES * GROUP + j * LANES + b % LANES] = words[j];
    }
}

#if defined(__x86_64__)
/* Four blocks in the low halves of 64-bit lanes; the high halves are of no account. */
typedef struct four_blocks {
    __m256i c0, c1, c2, c3;
} four_blocks;

__attribute__((target("avx2"))) static inline four_blocks start_avx2(uint64_t draw, uint64_t block)
{
    /* Every second block, so that two of these interleave into whole vectors. A piece begins at a
       multiple of 64: the additions never carry. */
    const __m256i first = _mm256_set1_epi64x((long long)block);
    const __m256i drawn = _mm256_set1_epi64x((long long)draw);
    return (four_blocks){_mm256_add_epi64(first, _mm256_setr_epi64x(0, 2, 4, 6)),
                         _mm256_srli_epi64(first, 32), drawn, _mm256_srli_epi64(drawn, 32)};
}

__attribute__((target("avx2"))) static inline four_blocks round_avx2(four_blocks c, __m256i k0,
                                                                     __m256i k1)
{
    const __m256i p0 = _mm256_mul_epu32(c.c0, _mm256_set1_epi64x(MULTIPLIER_0));
    const __m256i p1 = _mm256_mul_epu32(c.c2, _mm256_set1_epi64x(MULTIPLIER_1));
    return (four_blocks){
        _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c.c1), k0), p1,
        _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c.c3), k1), p0};
}

__attribute__((target("avx2"))) static inline void store_avx2(uint32_t *out, __m256i even,
                                                              __m256i odd)
{
    const __m256i both = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    _mm256_storeu_si256((__m256i *)(void *)out, both);
}

__attribute__((target("avx2"))) static void piece_avx2(uint64_t key, uint64_t draw, uint64_t piece,
                                                       uint32_t *out)
{
    for (uint32_t b = 0; b < KL_PHILOX_PIECE / 4; b += LANES) {
        uint64_t block = piece * (KL_PHILOX_PIECE / 4) + b;
        four_blocks even_low = start_avx2(draw, block), odd_low = start_avx2(draw, block + 1);
        four_blocks even_high = start_avx2(draw, block + 8), odd_high = start_avx2(draw, block + 9);
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int round = 0; round < ROUNDS; round++) {
            const __m256i v0 = _mm256_set1_epi64x(k0), v1 = _mm256_set1_epi64x(k1);
            even_low = round_avx2(even_low, v0, v1);
            odd_low = round_avx2(odd_low, v0, v1);
            even_high = round_avx2(even_high, v0, v1);
            odd_high = round_avx2(odd_high, v0, v1);
            k0 += WEYL_0;
            k1 += WEYL_1;
        }
        uint32_t *at = out + b / LANES * GROUP;
        store_avx2(at, even_low.c0, odd_low.c0);
        store_avx2(at + 8, even_high.c0, odd_high.c0);
        store_avx2(at + 16, even_low.c1, odd_low.c1);
        store_avx2(at + 24, even_high.c1, odd_high.c1);
        store_avx2(at + 32, even_low.c2, odd_low.c2);
        store_avx2(at + 40, even_high.c2, odd_high.c2);
        store_avx2(at + 48, even_low.c3, odd_low.c3);
        store_avx2(at + 56, even_high.c3, odd_high.c3);
    }
}
#endif

/* Whole numbers come out the same on every instruction set, so the widest may be taken. */
void kl_philox_piece(uint64_t key, uint64_t draw, uint64_t piece, uint32_t out[KL_PHILOX_PIECE])
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        piece_avx2(key, draw, piece, out);
        return;
    }
#endif
    piece_portable(key, draw, piece, out);
}
