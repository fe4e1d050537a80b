/*
 * Forms without branches of exp, log, tanh, sigmoid, erf, sin, cos and pow for float32: in a loop
 * the compiler turns them into vectors, and a loop's tail uses the same formula. The polynomials
 * are minimax fits by iteratively reweighted least squares.
 */
#ifndef KL_KERNELS_VMATH_IMPL_H
#define KL_KERNELS_VMATH_IMPL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Loops over a function that isn't inlined don't become vectors. */
#define V_INLINE __attribute__((always_inline)) static inline

V_INLINE float v_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

V_INLINE uint32_t v_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/*
 * a * b + c, fused where the instruction set has it. Sources that include this are compiled with
 * -ffp-contract=off: left to the compiler, a loop's body and its tail may be fused differently.
 */
V_INLINE float v_fma(float a, float b, float c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

V_INLINE float v_abs(float x)
{
    return v_from_bits(v_bits(x) & 0x7fffffff);
}

V_INLINE float v_copysign(float magnitude, float sign)
{
    return v_from_bits((v_bits(magnitude) & 0x7fffffff) | (v_bits(sign) & 0x80000000));
}

/*
 * e^x = 2^n e^r with |r| <= ln 2 / 2. Gives e^r; the sum with shift = 1.5 * 2^23 + bias rounds to n
 * and leaves n + bias in the low bits of *bits. NaN passes through.
 */
V_INLINE float v_exp_reduced(float x, float shift, uint32_t *bits)
{
    float t = v_fma(x, 1.44269504f, shift);
    float n = t - shift;
    float r = v_fma(n, -6.93145752e-1f, x);
    r = v_fma(n, -1.42860677e-6f, r);
    float p = 1.381444608e-03f;
    p = v_fma(p, r, 8.368782569e-03f);
    p = v_fma(p, r, 4.166839466e-02f);
    p = v_fma(p, r, 1.666652008e-01f);
    p = v_fma(p, r, 4.999999341e-01f);
    p = v_fma(p, r * r, r);
    *bits = v_bits(t);
    return p + 1.f;
}

/* e^x for x in [-104, 89]: 2^n in two factors, so that results in the denormal range are right;
   their biased exponents together are n + 254. */
V_INLINE float v_exp_clamped(float x)
{
    uint32_t bits;
    float p = v_exp_reduced(x, 12582912.f + 254.f, &bits);
    uint32_t first = (bits << 22) & 0x7f800000u, second = (bits << 23) - first;
    return p * v_from_bits(first) * v_from_bits(second);
}

/* e^x where the result is neither denormal nor near overflow. */
V_INLINE float v_exp_normal(float x)
{
    uint32_t bits;
    float p = v_exp_reduced(x, 12582912.f + 127.f, &bits);
    return p * v_from_bits(bits << 23);
}

V_INLINE float v_exp(float x)
{
    float c = x < -104.f ? -104.f : x;
    return v_exp_clamped(c > 89.f ? 89.f : c);
}

/* e^x - 1 without loss near 0. */
V_INLINE float v_expm1(float x)
{
    float p = 1.998848172e-04f;
    p = v_fma(p, x, 1.399762863e-03f);
    p = v_fma(p, x, 8.333089631e-03f);
    p = v_fma(p, x, 4.166530932e-02f);
    p = v_fma(p, x, 1.666666787e-01f);
    p = v_fma(p, x, 5.000000422e-01f);
    float small = v_fma(p, x * x, x);
    float large = v_exp(x) - 1.f;
    return v_abs(x) < 0.5f ? small : large;
}

/* log x: x = 2^n m with m in [sqrt(1/2), sqrt(2)). */
V_INLINE float v_log(float x)
{
    float tiny = x < 1.17549435e-38f ? 1.f : 0.f;
    float scaled = tiny != 0.f ? x * 8388608.f : x;
    uint32_t shifted = v_bits(scaled) - 0x3f3504f3u;
    int32_t e = (int32_t)shifted >> 23;
    float m = v_from_bits((shifted & 0x007fffffu) + 0x3f3504f3u);
    float n = (float)e - tiny * 23.f;
    float f = m - 1.f, f2 = f * f;
    float p = 6.914779023e-02f;
    p = v_fma(p, f, -1.178949703e-01f);
    p = v_fma(p, f, 1.187307607e-01f);
    p = v_fma(p, f, -1.238440842e-01f);
    p = v_fma(p, f, 1.421865228e-01f);
    p = v_fma(p, f, -1.666924714e-01f);
    p = v_fma(p, f, 2.000222678e-01f);
    p = v_fma(p, f, -2.499998667e-01f);
    p = v_fma(p, f, 3.333331044e-01f);
    float y = p * (f2 * f);
    y = v_fma(n, 1.42860677e-6f, y);
    y = v_fma(f2, -0.5f, y);
    y = f + y;
    y = v_fma(n, 6.93145752e-1f, y);
    y = x == INFINITY ? x : y;
    y = x == 0.f ? -INFINITY : y;
    return x < 0.f || x != x ? NAN : y;
}

/* log(1 + x): log(u) with the rounding error of u = 1 + x put back. */
V_INLINE float v_log1p(float x)
{
    float u = 1.f + x, d = u - 1.f, y = v_log(u);
    float fixed = y * (x / d);
    float r = d == 0.f ? x : fixed;
    return u == INFINITY || u <= 0.f ? y : r;
}

V_INLINE float v_tanh(float x)
{
    float a = v_abs(x), s = x * x;
    float p = -5.716959983e-03f;
    p = v_fma(p, s, 2.065050419e-02f);
    p = v_fma(p, s, -5.374346980e-02f);
    p = v_fma(p, s, 1.333149090e-01f);
    p = v_fma(p, s, -3.333328391e-01f);
    float small = v_fma(x * s, p, x);
    float c = a > 10.f ? 10.f : a;
    float large = v_copysign(1.f - 2.f / (v_exp_normal(2.f * c) + 1.f), x);
    return a < 0.625f ? small : large;
}

V_INLINE float v_sigmoid(float x)
{
    float a = v_abs(x), t = v_exp_clamped(a > 104.f ? -104.f : -a);
    return (x < 0.f ? t : 1.f) / (1.f + t);
}

V_INLINE float v_erf(float x)
{
    float t = v_abs(x), s = x * x;
    float p = -5.943117268e-04f;
    p = v_fma(p, s, 4.984373262e-03f);
    p = v_fma(p, s, -2.676110268e-02f);
    p = v_fma(p, s, 1.128168170e-01f);
    p = v_fma(p, s, -3.761248308e-01f);
    p = v_fma(p, s, 1.283791484e-01f);
    float small = v_fma(x, p, x);
    float c = t > 4.f ? 4.f : t;
    float q = -2.116273624e-05f;
    q = v_fma(q, c, 4.352279874e-04f);
    q = v_fma(q, c, -4.174684827e-03f);
    q = v_fma(q, c, 2.512872891e-02f);
    q = v_fma(q, c, -1.082940995e-01f);
    q = v_fma(q, c, -6.333345214e-01f);
    q = v_fma(q, c, -1.129520885e+00f);
    q = v_fma(q, c, 1.758867344e-04f);
    float large = v_copysign(1.f - v_exp_normal(q), x);
    return t < 0.93f ? small : large;
}

V_INLINE double v_fma_wide(double a, double b, double c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

/*
 * sin(x + quarters * pi / 2) for |x| up to 2^20: in double, whose products with the first part of
 * pi / 2 are exact; larger ones are the caller's. t holds the number of quarter turns in its low
 * bits, whose last two say which of sine and cosine and with which sign.
 */
V_INLINE float v_sin_turned(float x, uint64_t quarters)
{
    const double shift = 6755399441055744.0;
    double d = (double)x, t = v_fma_wide(d, 0.63661977236758134, shift), n = t - shift;
    uint64_t turn, bits;
    memcpy(&turn, &t, sizeof turn);
    turn += quarters;
    double r = v_fma_wide(n, -1.57079632673412561, d);
    r = v_fma_wide(n, -6.07710050650619225e-11, r);
    double s = r * r;
    double p = -1.9515295891e-4;
    p = v_fma_wide(p, s, 8.3321608736e-3);
    p = v_fma_wide(p, s, -1.6666654611e-1);
    double sine = v_fma_wide(p * s, r, r);
    double q = 2.443315711809948e-5;
    q = v_fma_wide(q, s, -1.388731625493765e-3);
    q = v_fma_wide(q, s, 4.166664568298827e-2);
    double cosine = v_fma_wide(q, s * s, v_fma_wide(-0.5, s, 1.0));
    double y = turn & 1 ? cosine : sine;
    memcpy(&bits, &y, sizeof bits);
    bits ^= (turn & 2) << 62;
    memcpy(&y, &bits, sizeof y);
    return (float)y;
}

V_INLINE float v_sin(float x)
{
    return v_sin_turned(x, 0);
}

V_INLINE float v_cos(float x)
{
    return v_sin_turned(x, 1);
}

/*
 * x^y for finite x above 0 and finite y, in double: 2^(y log2 x), where the logarithm of the
 * mantissa is a series in (m - 1) / (m + 1). What is left of the error is far below float32's.
 */
V_INLINE float v_pow(float x, float y)
{
    double d = (double)x;
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    /* m in [sqrt(1/2), sqrt(2)); the exponent by way of 1.5 * 2^52. */
    uint64_t shifted = bits - UINT64_C(0x3fe6a09e667f3bcd) + UINT64_C(0x4000000000000000);
    uint64_t exponent = (shifted >> 52) | UINT64_C(0x4338000000000000);
    uint64_t mantissa = (shifted & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd);
    double e, m;
    memcpy(&e, &exponent, sizeof e);
    memcpy(&m, &mantissa, sizeof m);
    e -= 6755399441055744.0 + 1024.0;
    double f = (m - 1) / (m + 1), s = f * f;
    double p = 1.0 / 17;
    p = v_fma_wide(p, s, 1.0 / 15);
    p = v_fma_wide(p, s, 1.0 / 13);
    p = v_fma_wide(p, s, 1.0 / 11);
    p = v_fma_wide(p, s, 1.0 / 9);
    p = v_fma_wide(p, s, 1.0 / 7);
    p = v_fma_wide(p, s, 1.0 / 5);
    p = v_fma_wide(p, s, 1.0 / 3);
    double log2_m = 2.885390081777926815 * v_fma_wide(p * s, f, f);
    double z = (double)y * (e + log2_m);
    z = z < -400 ? -400 : z;
    z = z > 400 ? 400 : z;
    double t = z + 6755399441055744.0, r = (z - (t - 6755399441055744.0)) * 0.69314718055994530942;
    double q = 1.0 / 3628800;
    q = v_fma_wide(q, r, 1.0 / 362880);
    q = v_fma_wide(q, r, 1.0 / 40320);
    q = v_fma_wide(q, r, 1.0 / 5040);
    q = v_fma_wide(q, r, 1.0 / 720);
    q = v_fma_wide(q, r, 1.0 / 120);
    q = v_fma_wide(q, r, 1.0 / 24);
    q = v_fma_wide(q, r, 1.0 / 6);
    q = v_fma_wide(q, r, 0.5);
    q = v_fma_wide(q, r, 1.0);
    q = v_fma_wide(q, r, 1.0);
    uint64_t power;
    memcpy(&power, &t, sizeof power);
    power = (power << 52) + UINT64_C(0x3ff0000000000000);
    double scale;
    memcpy(&scale, &power, sizeof scale);
    return (float)(q * scale);
}

/* log(1 + e^x) without overflow. */
V_INLINE float v_softplus(float x)
{
    float m = x > 0.f ? x : x != x ? x : 0.f;
    return m + v_log1p(v_exp(-v_abs(x)));
}

#endif
