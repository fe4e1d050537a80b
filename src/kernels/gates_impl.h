/*
 * The gates of recurrent cells, once for every instruction set: included by a source that defines
 * KL_TABLE, the name of its table, and is compiled with that set's flags.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/each_impl.h"
#include "kernels/gates_table.h"
#include "kernels/vmath_impl.h"

/* Rests below a whole vector go through a buffer, so that they cost a vector and not so many times
   a number: the cells of small models are all rest. */
#define REST KL_UNARY_WHOLE

static void take_rest(int64_t from, int64_t u, int arrays, const float *x, float *rest)
{
    memset(rest, 0, (size_t)(arrays * REST) * sizeof *rest);
    for (int i = 0; i < arrays; i++)
        memcpy(rest + i * REST, x + i * u + from, (size_t)(u - from) * sizeof *rest);
}

static void give_rest(int64_t from, int64_t u, int arrays, const float *rest, float *x)
{
    for (int i = 0; i < arrays; i++)
        memcpy(x + i * u + from, rest + i * REST, (size_t)(u - from) * sizeof *rest);
}

/* n elements of arrays of u, a whole number of vectors. */
static void lstm_gates_of(int64_t n, int64_t u, const float *z, float *p, const float *c,
                          float *c_out, float *h, float *tc)
{
    EACH_WHOLE_float(j, n, {
        float i = v_sigmoid(z[j] + p[j]), f = v_sigmoid(z[u + j] + p[u + j]);
        float g = v_tanh(z[2 * u + j] + p[2 * u + j]);
        p[j] = i;
        p[u + j] = f;
        p[2 * u + j] = g;
        c_out[j] = f * c[j] + i * g;
    });
    EACH_WHOLE_float(j, n, {
        float o = v_sigmoid(z[3 * u + j] + p[3 * u + j]), t = v_tanh(c_out[j]);
        p[3 * u + j] = o;
        tc[j] = t;
        h[j] = o * t;
    });
}

static void lstm_gates(int64_t u, const float *z, float *p, const float *c, float *c_out, float *h,
                       float *tc)
{
    const int64_t whole = u & ~(int64_t)(REST - 1);
    lstm_gates_of(whole, u, z, p, c, c_out, h, tc);
    if (whole == u)
        return;
    float z_rest[4 * REST], p_rest[4 * REST], c_rest[REST], h_rest[REST], tc_rest[REST];
    take_rest(whole, u, 4, z, z_rest);
    take_rest(whole, u, 4, p, p_rest);
    take_rest(whole, u, 1, c, c_rest);
    lstm_gates_of(REST, REST, z_rest, p_rest, c_rest, c_rest, h_rest, tc_rest);
    give_rest(whole, u, 4, p_rest, p);
    give_rest(whole, u, 1, c_rest, c_out);
    give_rest(whole, u, 1, h_rest, h);
    give_rest(whole, u, 1, tc_rest, tc);
}

static void lstm_gates_grad(int64_t u, const float *z, const float *c, const float *tc,
                            const float *dh, float *dc, float *dz)
{
    EACH(j, u, {
        float i = z[j], f = z[u + j], g = z[2 * u + j], o = z[3 * u + j], t = tc[j];
        float d = dc[j] + dh[j] * o * (1 - t * t);
        dz[j] = d * g * i * (1 - i);
        dz[u + j] = d * c[j] * f * (1 - f);
        dz[2 * u + j] = d * i * (1 - g * g);
        dz[3 * u + j] = dh[j] * t * o * (1 - o);
        dc[j] = d * f;
    });
}

static void gru_gates_of(int64_t n, int64_t u, const float *x, float *p, const float *b,
                         const float *h, float *inner, float *h_out)
{
    EACH_WHOLE_float(j, n, {
        float z = v_sigmoid(x[j] + (p[j] + b[j]));
        float r = v_sigmoid(x[u + j] + (p[u + j] + b[u + j]));
        float m = p[2 * u + j] + b[2 * u + j], g = v_tanh(x[2 * u + j] + r * m);
        p[j] = z;
        p[u + j] = r;
        p[2 * u + j] = g;
        inner[j] = m;
        h_out[j] = g + z * (h[j] - g);
    });
}

static void gru_gates(int64_t u, const float *x, float *p, const float *b, const float *h,
                      float *inner, float *h_out)
{
    const int64_t whole = u & ~(int64_t)(REST - 1);
    gru_gates_of(whole, u, x, p, b, h, inner, h_out);
    if (whole == u)
        return;
    float x_rest[3 * REST], p_rest[3 * REST], b_rest[3 * REST], h_rest[REST], inner_rest[REST];
    take_rest(whole, u, 3, x, x_rest);
    take_rest(whole, u, 3, p, p_rest);
    take_rest(whole, u, 3, b, b_rest);
    take_rest(whole, u, 1, h, h_rest);
    gru_gates_of(REST, REST, x_rest, p_rest, b_rest, h_rest, inner_rest, h_rest);
    give_rest(whole, u, 3, p_rest, p);
    give_rest(whole, u, 1, inner_rest, inner);
    give_rest(whole, u, 1, h_rest, h_out);
}

static void gru_gates_grad(int64_t u, const float *x, const float *inner, const float *h, float *dh,
                           float *dx, float *dp)
{
    EACH(j, u, {
        float z = x[j], r = x[u + j], g = x[2 * u + j], d = dh[j];
        float dg = d * (1 - z) * (1 - g * g), dz = d * (h[j] - g) * z * (1 - z);
        float dr = dg * inner[j] * r * (1 - r);
        dx[j] = dp[j] = dz;
        dx[u + j] = dp[u + j] = dr;
        dx[2 * u + j] = dg;
        dp[2 * u + j] = dg * r;
        dh[j] = d * z;
    });
}

const kl_gates_table KL_TABLE = {
    .gru_gates_f32 = gru_gates,
    .gru_gates_grad_f32 = gru_gates_grad,
    .lstm_gates_f32 = lstm_gates,
    .lstm_gates_grad_f32 = lstm_gates_grad,
};
