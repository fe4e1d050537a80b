#include "base/hash.h"

#include <string.h>

/* Little-endian on every machine. */
static uint64_t fetch64(const char *p)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t value;
    memcpy(&value, p, sizeof value);
#else
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | (unsigned char)p[i];
#endif
    return value;
}

static uint64_t fetch32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint64_t)u[0] | (uint64_t)u[1] << 8 | (uint64_t)u[2] << 16 | (uint64_t)u[3] << 24;
}

/* ---- FarmHash, by G. Pike (https://github.com/google/farmhash), the "na" variant ------------- */

#define K0 UINT64_C(0xc3a5c85c97cb3127)
#define K1 UINT64_C(0xb492b66fbe98f273)
#define K2 UINT64_C(0x9ae16a3b2f90404f)

typedef struct hash_pair {
    uint64_t first, second;
} hash_pair;

static uint64_t rotate_right(uint64_t value, int by)
{
    return value >> by | value << (64 - by);
}

static uint64_t shift_mix(uint64_t value)
{
    return value ^ value >> 47;
}

static uint64_t mix(uint64_t u, uint64_t v, uint64_t mul)
{
    uint64_t a = shift_mix((u ^ v) * mul);
    return shift_mix((v ^ a) * mul) * mul;
}

static uint64_t hash_to_16(const char *s, size_t length)
{
    uint64_t mul = K2 + length * 2;
    if (length >= 8) {
        uint64_t a = fetch64(s) + K2, b = fetch64(s + length - 8);
        uint64_t c = rotate_right(b, 37) * mul + a, d = (rotate_right(a, 25) + b) * mul;
        return mix(c, d, mul);
    }
    if (length >= 4)
        return mix(length + (fetch32(s) << 3), fetch32(s + length - 4), mul);
    if (length > 0) {
        uint32_t a = (unsigned char)s[0], b = (unsigned char)s[length >> 1],
                 c = (unsigned char)s[length - 1];
        uint32_t y = a + (b << 8), z = (uint32_t)length + (c << 2);
        return shift_mix(y * K2 ^ z * K0) * K2;
    }
    return K2;
}

static uint64_t hash_to_32(const char *s, size_t length)
{
    uint64_t mul = K2 + length * 2;
    uint64_t a = fetch64(s) * K1, b = fetch64(s + 8);
    uint64_t c = fetch64(s + length - 8) * mul, d = fetch64(s + length - 16) * K2;
    return mix(rotate_right(a + b, 43) + rotate_right(c, 30) + d, a + rotate_right(b + K2, 18) + c,
               mul);
}

static uint64_t hash_to_64(const char *s, size_t length)
{
    uint64_t mul = K2 + length * 2;
    uint64_t a = fetch64(s) * K2, b = fetch64(s + 8);
    uint64_t c = fetch64(s + length - 8) * mul, d = fetch64(s + length - 16) * K2;
    uint64_t y = rotate_right(a + b, 43) + rotate_right(c, 30) + d;
    uint64_t z = mix(y, a + rotate_right(b + K2, 18) + c, mul);
    uint64_t e = fetch64(s + 16) * mul, f = fetch64(s + 24);
    uint64_t g = (y + fetch64(s + length - 32)) * mul, h = (z + fetch64(s + length - 24)) * mul;
    return mix(rotate_right(e + f, 43) + rotate_right(g, 30) + h, e + rotate_right(f + a, 18) + g,
               mul);
}

static hash_pair weak_hash(const char *s, uint64_t a, uint64_t b)
{
    uint64_t w = fetch64(s), x = fetch64(s + 8), y = fetch64(s + 16), z = fetch64(s + 24);
    a += w;
    b = rotate_right(b + a + z, 21);
    uint64_t c = a;
    a += x + y;
    b += rotate_right(a, 44);
    return (hash_pair){a + z, b + c};
}

uint64_t kl_fingerprint64(const char *text, size_t length)
{
    if (length <= 16)
        return hash_to_16(text, length);
    if (length <= 32)
        return hash_to_32(text, length);
    if (length <= 64)
        return hash_to_64(text, length);
    uint64_t x = 81, y = 81 * K1 + 113, z = shift_mix(y * K2 + 113) * K2, swap;
    hash_pair v = {0, 0}, w = {0, 0};
    x = x * K2 + fetch64(text);
    const char *s = text, *end = text + (length - 1) / 64 * 64;
    const char *last = end + ((length - 1) & 63) - 63;
    do {
        x = rotate_right(x + y + v.first + fetch64(s + 8), 37) * K1;
        y = rotate_right(y + v.second + fetch64(s + 48), 42) * K1;
        x ^= w.second;
        y += v.first + fetch64(s + 40);
        z = rotate_right(z + w.first, 33) * K1;
        v = weak_hash(s, v.second * K1, x + w.first);
        w = weak_hash(s + 32, z + w.second, y + fetch64(s + 16));
        swap = z, z = x, x = swap;
        s += 64;
    } while (s != end);
    uint64_t mul = K1 + ((z & 0xff) << 1);
    s = last;
    w.first += (length - 1) & 63;
    v.first += w.first;
    w.first += v.first;
    x = rotate_right(x + y + v.first + fetch64(s + 8), 37) * mul;
    y = rotate_right(y + v.second + fetch64(s + 48), 42) * mul;
    x ^= w.second * 9;
    y += v.first * 9 + fetch64(s + 40);
    z = rotate_right(z + w.first, 33) * mul;
    v = weak_hash(s, v.second * mul, x + w.first);
    w = weak_hash(s + 32, z + w.second, y + fetch64(s + 16));
    swap = z, z = x, x = swap;
    return mix(mix(v.first, w.first, mul) + shift_mix(y) * K0 + z, mix(v.second, w.second, mul) + x,
               mul);
}

/* ---- SipHash-2-4 (Aumasson and Bernstein, 2012) ---------------------------------------------- */

static uint64_t rotate_left(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

static void sip_rounds(uint64_t v[4], int count)
{
    while (count--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate_left(v[1], 13) ^ v[0];
        v[3] = rotate_left(v[3], 16) ^ v[2];
        v[0] = rotate_left(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate_left(v[1], 17) ^ v[2];
        v[3] = rotate_left(v[3], 21) ^ v[0];
        v[2] = rotate_left(v[2], 32);
    }
}

uint64_t kl_siphash(const uint64_t key[2], const char *text, size_t length)
{
    uint64_t v[4] = {UINT64_C(0x736f6d6570736575) ^ key[0], UINT64_C(0x646f72616e646f6d) ^ key[1],
                     UINT64_C(0x6c7967656e657261) ^ key[0], UINT64_C(0x7465646279746573) ^ key[1]};
    size_t whole = length / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = fetch64(text + i);
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)(length & 0xff) << 56;
    for (size_t i = whole; i < length; i++)
        last |= (uint64_t)(unsigned char)text[i] << 8 * (i - whole);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
