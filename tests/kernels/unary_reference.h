/*
 * The functions that have polynomials of the library's own in float32, each with libm's in double
 * and the error allowed in units in the last place; shared by the sampled test and by the program
 * that tries every float.
 */
#ifndef KL_TESTS_UNARY_REFERENCE_H
#define KL_TESTS_UNARY_REFERENCE_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/elementwise.h"

typedef struct unary_reference {
    kl_unary op;
    const char *name;
    double (*function)(double);
    double most_ulp;
    double always_allowed; /* a difference so small is no error */
} unary_reference;

static double sigmoid_reference(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static double softplus_reference(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

static double silu_reference(double x)
{
    return x == -INFINITY ? NAN : x * sigmoid_reference(x);
}

static const unary_reference unary_references[] = {
    {KL_UNARY_EXP, "exp", exp, 1.6, 0},
    {KL_UNARY_EXPM1, "expm1", expm1, 2.6, 0},
    {KL_UNARY_LOG, "log", log, 1.6, 0},
    {KL_UNARY_LOG1P, "log1p", log1p, 2.6, 0},
    {KL_UNARY_SIN, "sin", sin, 1.1, 0},
    {KL_UNARY_COS, "cos", cos, 1.1, 0},
    {KL_UNARY_TANH, "tanh", tanh, 2.1, 0},
    {KL_UNARY_SIGMOID, "sigmoid", sigmoid_reference, 2.6, 0},
    {KL_UNARY_ERF, "erf", erf, 2.1, 0},
    {KL_UNARY_SOFTPLUS, "softplus", softplus_reference, 3.1, 0},
    /* A factor x of a denormal sigmoid multiplies its rounding error. */
    {KL_UNARY_SILU, "silu", silu_reference, 3.6, 1e-42},
};
#define UNARY_REFERENCES ((int)(sizeof unary_references / sizeof *unary_references))

static float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* How far `got` is from `want` in units of float32's last place there; an infinity counts as the
   number after the largest. */
static double ulp_error(float got, double want)
{
    const double past = ldexp(1, 128);
    double g = isinf(got) ? copysign(past, got) : got;
    double w = fabs(want) > past ? copysign(past, want) : want;
    int exponent = 0;
    if (isnan(g) || isnan(w))
        return isnan(g) && isnan(w) ? 0 : INFINITY;
    frexp(w, &exponent);
    if (exponent > 128)
        exponent = 128;
    return fabs(g - w) / ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
}

static double unary_error(const unary_reference *r, float x, float got)
{
    double want = r->function(x);
    return fabs(got - want) < r->always_allowed ? 0 : ulp_error(got, want);
}

#endif
