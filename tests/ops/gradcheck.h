/*
 * The checker behind the tests of differentiable ops. A case gives a function that builds an
 * expression from tensors, and the inputs' shapes and ranges; gradcheck_run() then holds it to:
 *   - gradients of sum(expression * weights) against central differences, in float64;
 *   - gradients of gradients against central differences of the gradients;
 *   - float32 values and gradients against the float64 ones;
 *   - the same on inputs that aren't contiguous;
 *   - a run on stand-ins that gives the same shape and dtype.
 */
#ifndef KL_TESTS_OPS_GRADCHECK_H
#define KL_TESTS_OPS_GRADCHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "klayers/ops.h"
#include "tensor/tensor.h"

#define GRADCHECK_INPUTS   5
#define GRADCHECK_ELEMENTS 512

typedef kl_tensor *gradcheck_expression(kl_tensor *const *x);

/* Inputs are drawn evenly from [low, high), apart from each other's values by chance alone: ranges
   keep away from where the function isn't smooth, or meet such places with probability 0. */
typedef struct gradcheck_input {
    int rank;
    int64_t shape[5];
    double low, high;
} gradcheck_input;

enum {
    GRADCHECK_FIRST_ORDER = 1, /* has no gradient of higher order */
    GRADCHECK_NO_FLOAT32 = 2,  /* float32 is too coarse for the comparison */
    GRADCHECK_READS_DATA = 4   /* the shape depends on values: no stand-ins */
};

typedef struct gradcheck_case {
    const char *name;
    gradcheck_expression *build;
    unsigned flags;
    gradcheck_input in[GRADCHECK_INPUTS]; /* up to the first with rank 0 and range 0 */
} gradcheck_case;

/* How one evaluation is set up: the dtype, and whether inputs are strided views. */
typedef struct gradcheck_mode {
    kl_dtype dtype;
    bool strided;
} gradcheck_mode;

typedef struct gradcheck_values {
    double at[GRADCHECK_INPUTS][GRADCHECK_ELEMENTS];
} gradcheck_values;

static inline double gradcheck_uniform(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return ldexp((double)(z >> 11), -53);
}

static inline int gradcheck_count(const gradcheck_case *c)
{
    int n = 0;
    while (n < GRADCHECK_INPUTS && (c->in[n].rank || c->in[n].low != 0 || c->in[n].high != 0))
        n++;
    return n;
}

static inline int64_t gradcheck_size(const gradcheck_input *in)
{
    int64_t size = 1;
    for (int i = 0; i < in->rank; i++)
        size *= in->shape[i];
    return size;
}

/* The tensor of an input's values; a strided one is a view on every second element, reversed. */
static inline kl_tensor *gradcheck_tensor(const gradcheck_input *in, const double *values,
                                          gradcheck_mode mode)
{
    kl_tensor *wide = kl_from_data(KL_FLOAT64, in->rank, in->shape, values);
    kl_tensor *plain = kl_copy(wide, mode.dtype);
    assert_non_null(plain);
    if (!mode.strided || !in->rank)
        return plain;
    int64_t shape[5];
    memcpy(shape, in->shape, sizeof shape);
    shape[in->rank - 1] *= 2;
    kl_tensor *room = kl_full(mode.dtype, in->rank, shape, 1e30);
    kl_tensor *view = kl_view_slice(room, -1, KL_NONE, KL_NONE, -2);
    assert_non_null(view);
    assert_int_equal(kl_tensor_assign(view, plain), KL_OK);
    return view;
}

/* The weights of the outputs in the sum that is gone back from. */
static inline kl_tensor *gradcheck_weights(const kl_tensor *like, uint64_t seed, kl_dtype dtype)
{
    double *values = malloc((size_t)(like->size + 1) * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < like->size; i++)
        values[i] = 2 * gradcheck_uniform(seed, (uint64_t)i) - 1;
    kl_tensor *wide = kl_from_data(KL_FLOAT64, like->rank, like->shape, values);
    free(values);
    return kl_copy(wide, dtype);
}

static inline void gradcheck_fail(const gradcheck_case *c, const char *what)
{
    fail_msg("%s: %s: %s", c->name, what, kl_last_error());
}

static inline void gradcheck_open(const gradcheck_case *c, const gradcheck_values *values,
                                  gradcheck_mode mode, kl_tape *tape, kl_tensor **x)
{
    int count = gradcheck_count(c);
    for (int i = 0; i < count; i++) {
        x[i] = gradcheck_tensor(&c->in[i], values->at[i], mode);
        if (tape)
            assert_int_equal(kl_tape_watch(tape, x[i]), KL_OK);
    }
}

/* sum(expression * weights) */
static inline double gradcheck_value(const gradcheck_case *c, const gradcheck_values *values)
{
    kl_tensor *x[GRADCHECK_INPUTS] = {NULL};
    kl_scope *scope = kl_scope_begin();
    gradcheck_open(c, values, (gradcheck_mode){KL_FLOAT64, false}, NULL, x);
    kl_tensor *y = c->build(x);
    if (!y)
        gradcheck_fail(c, "forward");
    kl_tensor *w = gradcheck_weights(y, 77, KL_FLOAT64);
    double total = 0;
    for (int64_t i = 0; i < y->size; i++)
        total += kl_tensor_at(y, i) * kl_tensor_at(w, i);
    kl_scope_end(scope);
    return total;
}

/* Gradients by the tape into grads; the outputs into y, if it isn't NULL. */
static inline int64_t gradcheck_gradients(const gradcheck_case *c, const gradcheck_values *values,
                                          gradcheck_mode mode, gradcheck_values *grads,
                                          double *y_out)
{
    int count = gradcheck_count(c);
    kl_tensor *x[GRADCHECK_INPUTS] = {NULL}, *g[GRADCHECK_INPUTS] = {NULL};
    kl_scope *scope = kl_scope_begin();
    kl_tape *tape = kl_tape_begin();
    gradcheck_open(c, values, mode, tape, x);
    kl_tensor *y = c->build(x);
    if (!y)
        gradcheck_fail(c, "forward");
    assert_int_equal(y->dtype, mode.dtype);
    int64_t size = y->size;
    assert_true(size <= GRADCHECK_ELEMENTS);
    for (int64_t i = 0; y_out && i < size; i++)
        y_out[i] = kl_tensor_at(y, i);
    kl_tensor *w = gradcheck_weights(y, 77, mode.dtype);
    if (kl_tape_gradient(tape, y, (size_t)count, x, g, .output_gradient = w))
        gradcheck_fail(c, "backward");
    memset(grads, 0, sizeof *grads);
    for (int i = 0; i < count; i++) {
        if (!g[i])
            continue;
        if (!kl_shape_equal(g[i], x[i]) || g[i]->dtype != x[i]->dtype)
            gradcheck_fail(c, "a gradient has another shape or dtype than its input");
        assert_int_equal(kl_tensor_copy_to(g[i], KL_FLOAT64, grads->at[i], g[i]->size), KL_OK);
    }
    kl_scope_end(scope);
    return size;
}

/* The gradients of sum_i sum(gradient_i * r_i), by a recorded backward. */
static inline void gradcheck_second(const gradcheck_case *c, const gradcheck_values *values,
                                    gradcheck_mode mode, gradcheck_values *grads)
{
    int count = gradcheck_count(c);
    kl_tensor *x[GRADCHECK_INPUTS] = {NULL}, *g[GRADCHECK_INPUTS] = {NULL}, *total = NULL;
    kl_tensor *h[GRADCHECK_INPUTS] = {NULL};
    kl_scope *scope = kl_scope_begin();
    kl_tape *outer = kl_tape_begin();
    gradcheck_open(c, values, mode, outer, x);
    kl_tape *inner = kl_tape_begin();
    kl_tensor *y = c->build(x);
    kl_tensor *w = gradcheck_weights(y, 77, mode.dtype);
    if (kl_tape_gradient(inner, y, (size_t)count, x, g, .output_gradient = w, .higher_order = true))
        gradcheck_fail(c, "recorded backward");
    memset(grads, 0, sizeof *grads);
    for (int i = 0; i < count; i++) {
        if (!g[i])
            continue;
        kl_tensor *r = gradcheck_weights(g[i], 99 + (uint64_t)i, mode.dtype);
        kl_tensor *part = kl_op_sum(kl_op_mul(g[i], r), KL_ALL_AXES, false);
        total = total ? kl_op_add(total, part) : part;
    }
    if (!total)
        gradcheck_fail(c, "no gradient at all");
    if (kl_tape_gradient(outer, total, (size_t)count, x, h))
        gradcheck_fail(c, "backward of the backward");
    for (int i = 0; i < count; i++)
        if (h[i])
            assert_int_equal(kl_tensor_copy_to(h[i], KL_FLOAT64, grads->at[i], h[i]->size), KL_OK);
    kl_scope_end(scope);
}

/* |got - expected| <= tolerance * max(1, largest expected). */
static inline void gradcheck_compare(const gradcheck_case *c, const char *what, int64_t size,
                                     const double *got, const double *expected, double tolerance)
{
    double most = 1;
    for (int64_t i = 0; i < size; i++)
        most = fmax(most, fabs(expected[i]));
    for (int64_t i = 0; i < size; i++)
        if (!(fabs(got[i] - expected[i]) <= tolerance * most))
            fail_msg("%s: %s: element %lld is %.12g, expected %.12g", c->name, what, (long long)i,
                     got[i], expected[i]);
}

static inline void gradcheck_compare_all(const gradcheck_case *c, const char *what,
                                         const gradcheck_values *got,
                                         const gradcheck_values *expected, double tolerance)
{
    for (int i = 0; i < gradcheck_count(c); i++) {
        char label[96];
        snprintf(label, sizeof label, "%s of input %d", what, i);
        gradcheck_compare(c, label, gradcheck_size(&c->in[i]), got->at[i], expected->at[i],
                          tolerance);
    }
}

static inline double gradcheck_dot_r(const gradcheck_case *c, const gradcheck_values *grads)
{
    double total = 0;
    for (int i = 0; i < gradcheck_count(c); i++)
        for (int64_t k = 0; k < gradcheck_size(&c->in[i]); k++)
            total += grads->at[i][k] * (2 * gradcheck_uniform(99 + (uint64_t)i, (uint64_t)k) - 1);
    return total;
}

static inline double gradcheck_function(const gradcheck_case *c, const gradcheck_values *values,
                                        int order)
{
    if (order == 1)
        return gradcheck_value(c, values);
    static gradcheck_values grads;
    gradcheck_gradients(c, values, (gradcheck_mode){KL_FLOAT64, false}, &grads, NULL);
    return gradcheck_dot_r(c, &grads);
}

/* Central differences of the sum (order 1) or of the weighted gradients (order 2). */
static inline void gradcheck_differences(const gradcheck_case *c, gradcheck_values *values,
                                         int order, gradcheck_values *out)
{
    const double h = 1e-5;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < gradcheck_count(c); i++)
        for (int64_t k = 0; k < gradcheck_size(&c->in[i]); k++) {
            double *at = &values->at[i][k], kept = *at;
            *at = kept + h;
            double above = gradcheck_function(c, values, order);
            *at = kept - h;
            double below = gradcheck_function(c, values, order);
            *at = kept;
            out->at[i][k] = (above - below) / (2 * h);
        }
}

static inline void gradcheck_stand_ins(const gradcheck_case *c, const gradcheck_values *values)
{
    kl_tensor *x[GRADCHECK_INPUTS] = {NULL}, *s[GRADCHECK_INPUTS] = {NULL};
    kl_scope *scope = kl_scope_begin();
    gradcheck_open(c, values, (gradcheck_mode){KL_FLOAT32, false}, NULL, x);
    for (int i = 0; i < gradcheck_count(c); i++)
        s[i] = kl_stand_in(KL_FLOAT32, c->in[i].rank, c->in[i].shape);
    kl_tensor *real = c->build(x);
    bool before = kl_shape_mode(true);
    kl_tensor *shape = c->build(s);
    kl_shape_mode(before);
    if (!shape)
        gradcheck_fail(c, "on stand-ins");
    if (shape->buffer || !kl_shape_equal(real, shape) || real->dtype != shape->dtype)
        fail_msg("%s: a run on stand-ins gives another shape or dtype", c->name);
    kl_scope_end(scope);
}

static inline void gradcheck_run(const gradcheck_case *c)
{
    static gradcheck_values values, exact, other, differences;
    static double y[GRADCHECK_ELEMENTS], z[GRADCHECK_ELEMENTS];
    const gradcheck_mode wide = {KL_FLOAT64, false}, strided = {KL_FLOAT64, true};
    for (int i = 0; i < gradcheck_count(c); i++) {
        const gradcheck_input *in = &c->in[i];
        assert_true(gradcheck_size(in) <= GRADCHECK_ELEMENTS);
        for (int64_t k = 0; k < gradcheck_size(in); k++)
            values.at[i][k] =
                in->low +
                (in->high - in->low) * gradcheck_uniform(1000 * (uint64_t)(i + 1), (uint64_t)k);
    }
    int64_t size = gradcheck_gradients(c, &values, wide, &exact, y);
    gradcheck_differences(c, &values, 1, &differences);
    gradcheck_compare_all(c, "gradient", &exact, &differences, 1e-6);
    gradcheck_gradients(c, &values, strided, &other, z);
    gradcheck_compare(c, "strided value", size, z, y, 1e-12);
    gradcheck_compare_all(c, "strided gradient", &other, &exact, 1e-10);
    if (!(c->flags & GRADCHECK_NO_FLOAT32)) {
        gradcheck_gradients(c, &values, (gradcheck_mode){KL_FLOAT32, false}, &other, z);
        gradcheck_compare(c, "float32 value", size, z, y, 2e-5);
        gradcheck_compare_all(c, "float32 gradient", &other, &exact, 1e-4);
        gradcheck_gradients(c, &values, (gradcheck_mode){KL_FLOAT32, true}, &other, z);
        gradcheck_compare(c, "strided float32 value", size, z, y, 2e-5);
        gradcheck_compare_all(c, "strided float32 gradient", &other, &exact, 1e-4);
    }
    if (!(c->flags & GRADCHECK_READS_DATA))
        gradcheck_stand_ins(c, &values);
    if (c->flags & GRADCHECK_FIRST_ORDER)
        return;
    gradcheck_second(c, &values, wide, &exact);
    gradcheck_differences(c, &values, 2, &differences);
    gradcheck_compare_all(c, "second gradient", &exact, &differences, 1e-6);
    if (c->flags & GRADCHECK_NO_FLOAT32)
        return;
    /* Ops that are fused in float32 alone take their composed form here. */
    gradcheck_second(c, &values, (gradcheck_mode){KL_FLOAT32, false}, &other);
    gradcheck_compare_all(c, "second float32 gradient", &other, &exact, 1e-3);
}

#endif
