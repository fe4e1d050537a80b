/* The tape: what is recorded, what is given back, what is refused, and what stays in memory. */
#include "ops/gradcheck.h"

#include <pthread.h>
#include "base/pool.h"
#include "base/test_support.h"
#include "klayers/activations.h"
#include "ops/common.h"
#include "ops/tape.h"

static kl_tensor *values(int64_t n, double first)
{
    return kl_arange(KL_FLOAT64, first, first + (double)n - 0.5, 1);
}

static void expect_all(const kl_tensor *t, const double *expected, double tolerance)
{
    assert_non_null(t);
    for (int64_t i = 0; i < t->size; i++)
        if (!(fabs(kl_tensor_at(t, i) - expected[i]) <= tolerance))
            fail_msg("element %lld is %.12g, expected %.12g", (long long)i, kl_tensor_at(t, i),
                     expected[i]);
}

static void refused(kl_status status, const char *part)
{
    assert_int_not_equal(status, KL_OK);
    if (!strstr(kl_last_error(), part))
        fail_msg("the error '%s' doesn't say '%s'", kl_last_error(), part);
    kl_clear_error();
}

static void a_gradient_ends_the_tape(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(3, 1), *g = NULL;
    assert_false(kl_tape_is_recording());
    kl_tape *tape = kl_tape_begin();
    assert_true(kl_tape_is_recording());
    assert_int_equal(kl_tape_watch(tape, x), KL_OK);
    kl_tensor *y = kl_op_square(x);
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
    assert_false(kl_tape_is_recording());
    expect_all(g, (const double[]){2, 4, 6}, 0);
    kl_scope_end(scope);
}

static void a_persistent_tape_gives_more(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(3, 1), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_op_square(x), *z = kl_op_mul(y, x);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kl_tape_gradient(tape, z, 1, &x, &g, .persistent = true), KL_OK);
        expect_all(g, (const double[]){3, 12, 27}, 1e-12);
        assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g, .persistent = true), KL_OK);
        expect_all(g, (const double[]){2, 4, 6}, 1e-12);
    }
    kl_tape_end(tape);
    assert_false(kl_tape_is_recording());
    kl_scope_end(scope);
}

static void sources_may_be_results(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(3, 1);
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_op_square(x), *z = kl_op_mul(y, kl_op_mul_scalar(y, 5));
    kl_tensor *sources[] = {y, x, z}, *g[3];
    assert_int_equal(kl_tape_gradient(tape, z, 3, sources, g), KL_OK);
    expect_all(g[0], (const double[]){10, 40, 90}, 1e-12);
    expect_all(g[1], (const double[]){20, 160, 540}, 1e-9);
    expect_all(g[2], (const double[]){1, 1, 1}, 0);
    kl_scope_end(scope);
}

static void unrelated_sources_have_none(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(3, 1), *w = values(3, 5), *never = values(3, 9);
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tape_watch(tape, w);
    kl_tensor *y = kl_op_mul(x, kl_op_stop_gradient(kl_op_exp(w)));
    kl_tensor *sources[] = {w, never, x}, *g[3];
    assert_int_equal(kl_tape_gradient(tape, y, 3, sources, g), KL_OK);
    assert_null(g[0]);
    assert_null(g[1]);
    expect_all(g[2], (const double[]){exp(5), exp(6), exp(7)}, 1e-9);
    /* A target that nothing was recorded for. */
    tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    assert_int_equal(kl_tape_gradient(tape, w, 1, &x, g), KL_OK);
    assert_null(g[0]);
    kl_scope_end(scope);
}

/* The value comes from one tensor, the gradient goes to the other. */
static void an_assigned_variable_has_the_gradient(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(3, 1), *w = values(3, 5);
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tape_watch(tape, w);
    kl_tensor *y = kl_op_square(kl_assigned(x, w));
    expect_all(y, (const double[]){25, 36, 49}, 1e-9);
    kl_tensor *sources[] = {x, w}, *g[2];
    assert_int_equal(kl_tape_gradient(tape, y, 2, sources, g), KL_OK);
    expect_all(g[0], (const double[]){10, 12, 14}, 1e-9);
    assert_null(g[1]);
    kl_scope_end(scope);
}

static void a_source_may_be_the_target(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(2, 1), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    assert_int_equal(kl_tape_gradient(tape, x, 1, &x, &g), KL_OK);
    expect_all(g, (const double[]){1, 1}, 0);
    kl_scope_end(scope);
}

static void nothing_is_recorded_while_paused(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(2, 1), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tape_pause();
    kl_tape_pause();
    kl_tensor *constant = kl_op_square(x);
    kl_tape_resume();
    assert_false(kl_tape_is_recording());
    kl_tape_resume();
    kl_tensor *y = kl_op_mul(x, constant);
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
    expect_all(g, (const double[]){1, 4}, 0);
    kl_scope_end(scope);
}

static void tapes_nest(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(2, 1), *g = NULL, *h = NULL, *third = NULL;
    kl_tape *a = kl_tape_begin(), *b = kl_tape_begin();
    kl_tape_watch(a, x);
    kl_tape *c = kl_tape_begin();
    kl_tensor *y = kl_op_pow_scalar(x, 4);
    assert_int_equal(kl_tape_gradient(c, y, 1, &x, &g, .higher_order = true), KL_OK);
    expect_all(g, (const double[]){4, 32}, 1e-9);
    assert_int_equal(kl_tape_gradient(b, g, 1, &x, &h, .higher_order = true), KL_OK);
    expect_all(h, (const double[]){12, 48}, 1e-9);
    assert_int_equal(kl_tape_gradient(a, h, 1, &x, &third), KL_OK);
    expect_all(third, (const double[]){24, 48}, 1e-9);
    assert_false(kl_tape_is_recording());
    kl_scope_end(scope);
}

static void an_output_gradient_weighs(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(3, 1), *w = values(3, 10), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_op_square(x);
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g, .output_gradient = w), KL_OK);
    expect_all(g, (const double[]){20, 44, 72}, 1e-12);
    kl_scope_end(scope);
}

static void gradients_have_their_source_s_dtype(void **state)
{
    (void)state;
    static const kl_dtype dtypes[] = {KL_FLOAT16, KL_BFLOAT16, KL_FLOAT32, KL_FLOAT64};
    for (int i = 0; i < 4; i++) {
        kl_scope *scope = kl_scope_begin();
        kl_tensor *x = kl_op_cast(values(3, 1), dtypes[i]), *g = NULL;
        kl_tensor *w = kl_ones(KL_FLOAT32, KL_DIMS(3));
        kl_tape *tape = kl_tape_begin();
        kl_tape_watch(tape, x);
        kl_tensor *y = kl_op_mul(kl_op_square(x), w);
        assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
        assert_int_equal(g->dtype, dtypes[i]);
        expect_all(g, (const double[]){2, 4, 6}, 0);
        kl_scope_end(scope);
    }
}

static void changed_values_are_noticed(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(3, 1), *w = values(3, 4), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_op_mul(x, w);
    ((double *)kl_tensor_mutable_data(w))[0] = 9;
    refused(kl_tape_gradient(tape, y, 1, &x, &g), "changed in place");
    assert_null(g);
    /* A value that backward doesn't read may change. */
    tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    y = kl_op_add(x, w);
    ((double *)kl_tensor_mutable_data(w))[0] = 10;
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
    expect_all(g, (const double[]){1, 1, 1}, 0);
    /* A kept output, too. */
    tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    y = kl_op_exp(x);
    ((double *)kl_tensor_mutable_data(y))[0] = 0;
    refused(kl_tape_gradient(tape, y, 1, &x, &g), "changed in place");
    kl_scope_end(scope);
}

static void frames_must_be_given(void **state)
{
    (void)state;
    const kl_op_frame empty = {.inputs = 0};
    kl_clear_error();
    assert_null(kl_op_output(NULL, KL_FLOAT32, KL_DIMS(2)));
    assert_non_null(strstr(kl_last_error(), "kl_op_output: `frame`"));
    kl_clear_error();
    assert_null(kl_op_output(&empty, KL_FLOAT32, 1, NULL));
    assert_non_null(strstr(kl_last_error(), "kl_op_output: `shape`"));
    kl_clear_error();
    assert_false(kl_op_shape_only(NULL));
    assert_non_null(strstr(kl_last_error(), "kl_op_shape_only: `frame`"));
    kl_clear_error();
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(3, 1), *whole = kl_ones(KL_INT32, KL_DIMS(3)), *g = NULL, *none = NULL;
    refused(kl_tape_watch(NULL, x), "tape");
    kl_tape *tape = kl_tape_begin();
    refused(kl_tape_watch(tape, NULL), "tensor");
    refused(kl_tape_watch(tape, whole), "int32");
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_op_exp(x);
    refused(kl_tape_gradient(NULL, y, 1, &x, &g), "tape");
    refused(kl_tape_gradient(tape, NULL, 1, &x, &g, .persistent = true), "target");
    refused(kl_tape_gradient(tape, y, 1, NULL, &g, .persistent = true), "sources");
    refused(kl_tape_gradient(tape, y, 1, &none, &g, .persistent = true), "sources");
    refused(kl_tape_gradient(tape, whole, 1, &x, &g, .persistent = true), "int32");
    refused(
        kl_tape_gradient(tape, y, 1, &x, &g, .persistent = true, .output_gradient = values(4, 1)),
        "shape");
    refused(kl_tape_gradient_with(&(kl_gradient_args){.tape = tape}), "");
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
    expect_all(g, (const double[]){exp(1), exp(2), exp(3)}, 1e-12);
    kl_tape_end(NULL);
    kl_scope_end(scope);
}

static void tensors_of_an_ended_tape_are_constants(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = values(2, 1), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_op_square(x);
    kl_tape_end(tape);
    tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *z = kl_op_mul(x, y);
    assert_int_equal(kl_tape_gradient(tape, z, 1, &x, &g), KL_OK);
    expect_all(g, (const double[]){1, 4}, 0);
    kl_scope_end(scope);
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static kl_tensor *rows_used(void)
{
    const int32_t at[] = {3, 1, 3};
    return kl_from_data(KL_INT32, KL_DIMS(3), at);
}

static void gradients_may_come_as_rows(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *table = kl_zeros(KL_FLOAT32, KL_DIMS(1000, 2)), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, table);
    kl_tensor *y = kl_op_take(table, rows_used(), 0);
    kl_tensor *weights = kl_op_reshape(kl_arange(KL_FLOAT32, 0, 6, 1), KL_DIMS(3, 2));
    assert_int_equal(kl_tape_gradient(tape, y, 1, &table, &g, .keep_rows = true,
                                      .output_gradient = weights, .persistent = true),
                     KL_OK);
    assert_non_null(g->rows);
    assert_int_equal(g->shape[0], 1000);
    assert_int_equal(g->rows->size, 3);
    const double at[] = {3, 1, 3};
    expect_all(g->rows, at, 0);
    for (int i = 0; i < 6; i++)
        assert_true(((const float *)(const void *)g->data)[i] == (float)i);
    /* Without keep_rows the same is dense, and repeated rows are added. */
    assert_int_equal(kl_tape_gradient(tape, y, 1, &table, &g, .output_gradient = weights), KL_OK);
    assert_null(g->rows);
    assert_true(kl_tensor_at(g, 6) == 4 && kl_tensor_at(g, 7) == 6);
    assert_true(kl_tensor_at(g, 2) == 2 && kl_tensor_at(g, 3) == 3 && kl_tensor_at(g, 0) == 0);
    kl_scope_end(scope);
}

static void rows_join_dense_gradients(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        kl_scope *scope = kl_scope_begin();
        kl_tensor *table = kl_ones(KL_FLOAT32, KL_DIMS(4, 1)), *g = NULL;
        kl_tape *tape = kl_tape_begin();
        kl_tape_watch(tape, table);
        kl_tensor *dense = NULL, *rows = NULL;
        if (order)
            dense = kl_op_sum(kl_op_square(table), KL_ALL_AXES, false);
        rows = kl_op_sum(kl_op_take(table, rows_used(), 0), KL_ALL_AXES, false);
        if (!order)
            dense = kl_op_sum(kl_op_square(table), KL_ALL_AXES, false);
        kl_tensor *y = kl_op_add(rows, dense);
        assert_int_equal(kl_tape_gradient(tape, y, 1, &table, &g, .keep_rows = true), KL_OK);
        assert_null(g->rows);
        expect_all(g, (const double[]){2, 3, 2, 4}, 0);
        kl_scope_end(scope);
    }
}

/* ---- Gradients of gradients ----------------------------------------------------------------- */

/* A gradient penalty, (|d score / d x| - 1)^2 by weights, through Conv2D and Dense with fused
   activations, against central differences in the weights. */
static double penalty(kl_tensor *const *w, kl_tensor **grads)
{
    kl_activation *tanh_ = kl_activation_get("tanh"), *sigmoid = kl_activation_get("sigmoid");
    const int64_t image[] = {2, 4, 4, 2};
    kl_tensor *x = kl_op_sin(kl_op_reshape(kl_arange(KL_FLOAT64, 0, 64, 1), 4, image));
    kl_tensor *g = NULL;
    kl_tape *outer = kl_tape_begin();
    for (int i = 0; i < 4; i++)
        assert_int_equal(kl_tape_watch(outer, w[i]), KL_OK);
    kl_tape *inner = kl_tape_begin();
    kl_tape_watch(inner, x);
    kl_tensor *h = kl_op_conv(x, w[0], w[1], &(kl_conv_options){.activation = tanh_});
    h = kl_op_reshape(h, KL_DIMS(2, -1));
    kl_tensor *score = kl_op_dense(h, w[2], w[3], sigmoid);
    assert_int_equal(kl_tape_gradient(inner, score, 1, &x, &g, .higher_order = true), KL_OK);
    kl_tensor *norm = kl_op_norm(g, KL_AXES(1, 2, 3), false);
    kl_tensor *loss = kl_op_mean(kl_op_square(kl_op_add_scalar(norm, -1)), KL_ALL_AXES, false);
    assert_non_null(loss);
    if (grads)
        assert_int_equal(kl_tape_gradient(outer, loss, 4, w, grads), KL_OK);
    else
        kl_tape_end(outer);
    kl_object_release(tanh_);
    kl_object_release(sigmoid);
    return kl_tensor_at(loss, 0);
}

static void gradient_penalties_work(void **state)
{
    (void)state;
    const int64_t shapes[4][4] = {{3, 3, 2, 3}, {3}, {12, 1}, {1}};
    const int ranks[4] = {4, 1, 2, 1};
    kl_scope *scope = kl_scope_begin();
    kl_tensor *w[4], *g[4];
    for (int i = 0; i < 4; i++) {
        w[i] = kl_empty(KL_FLOAT64, ranks[i], shapes[i]);
        double *at = kl_tensor_mutable_data(w[i]);
        for (int64_t k = 0; k < w[i]->size; k++)
            at[k] = gradcheck_uniform(5 + (uint64_t)i, (uint64_t)k) - 0.5;
    }
    penalty(w, g);
    for (int i = 0; i < 4; i++) {
        /* The last bias moves only the sigmoid's slope, which is a gradient too. */
        assert_non_null(g[i]);
        for (int64_t k = 0; k < w[i]->size; k++) {
            const double step = 1e-5;
            double *at = kl_tensor_mutable_data(w[i]), kept = at[k];
            kl_scope *inside = kl_scope_begin();
            at[k] = kept + step;
            double above = penalty(w, NULL);
            at[k] = kept - step;
            double below = penalty(w, NULL);
            at[k] = kept;
            kl_scope_end(inside);
            double expected = (above - below) / (2 * step);
            if (!(fabs(kl_tensor_at(g[i], k) - expected) <= 1e-7))
                fail_msg("weight %d[%lld]: %.12g, expected %.12g", i, (long long)k,
                         kl_tensor_at(g[i], k), expected);
        }
    }
    kl_scope_end(scope);
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* A small network's gradients; false with the error set if anything failed on the way. */
static bool train_once(double *checksum)
{
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return false;
    kl_tensor *x = kl_full(KL_FLOAT32, KL_DIMS(8, 16), 0.5),
              *w = kl_full(KL_FLOAT32, KL_DIMS(16, 4), 0.1);
    kl_tensor *b = kl_full(KL_FLOAT32, KL_DIMS(4), 0.2), *g[2] = {NULL};
    kl_tape *tape = x && w && b ? kl_tape_begin() : NULL;
    bool good = tape && !kl_tape_watch(tape, w) && !kl_tape_watch(tape, b);
    kl_tensor *y = NULL;
    if (good) {
        y = kl_op_dense(x, w, b, NULL);
        y = kl_op_mean(kl_op_square(kl_op_tanh(kl_op_softmax(y, -1))), KL_ALL_AXES, false);
        kl_tensor *sources[] = {w, b};
        good = y && !kl_tape_gradient(tape, y, 2, sources, g, .persistent = true) && g[0] && g[1];
    }
    if (good && checksum) {
        *checksum = kl_tensor_at(y, 0);
        for (int i = 0; i < 2; i++)
            for (int64_t k = 0; k < g[i]->size; k++)
                *checksum += (double)(k + 1) * kl_tensor_at(g[i], k);
    }
    kl_tape_end(tape);
    kl_scope_end(scope);
    return good;
}

static void steps_allocate_nothing_new(void **state)
{
    (void)state;
    failing_allocator f;
    failing_install(&f);
    for (int i = 0; i < 3; i++)
        assert_true(train_once(NULL));
    size_t in_use = kl_pool_get_stats(NULL).in_use;
    long before = f.allocations;
    for (int i = 0; i < 5; i++)
        assert_true(train_once(NULL));
    assert_int_equal(f.allocations, before);
    assert_int_equal(kl_pool_get_stats(NULL).in_use, in_use);
    failing_remove(&f);
}

static void every_failed_allocation_is_an_error(void **state)
{
    (void)state;
    failing_allocator f;
    failing_install(&f);
    double right = 0, got;
    assert_true(train_once(&right));
    for (long n = 0; n < 400; n++) {
        kl_shutdown();
        kl_clear_error();
        f.until_failure = n;
        bool good = train_once(&got);
        bool failed = f.until_failure == 0;
        f.until_failure = -1;
        if (good)
            assert_true(got == right);
        else
            assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
        assert_true(train_once(&got));
        assert_true(got == right);
        if (!failed)
            break;
    }
    failing_remove(&f);
}

/* Twenty steps from x, each value given up once the next is there. */
static kl_tensor *chain(kl_tensor *x, kl_tensor *(*step)(kl_tensor *x))
{
    kl_tensor *y = x;
    for (int i = 0; i < 20; i++) {
        kl_tensor *next = step(y);
        if (y != x)
            kl_release(kl_scope_detach(y));
        y = next;
    }
    return y;
}

static void only_what_backward_reads_is_kept(void **state)
{
    (void)state;
    const int64_t n = 1 << 16;
    const size_t size = (size_t)n * sizeof(float);
    kl_tensor *(*const steps[])(kl_tensor *) = {kl_op_neg, kl_op_sin};
    for (int i = 0; i < 2; i++) {
        kl_scope *scope = kl_scope_begin();
        kl_tensor *x = kl_ones(KL_FLOAT32, 1, &n), *g = NULL;
        kl_tape *tape = kl_tape_begin();
        kl_tape_watch(tape, x);
        size_t before = kl_pool_get_stats(NULL).in_use;
        kl_tensor *y = chain(x, steps[i]);
        size_t kept = kl_pool_get_stats(NULL).in_use - before;
        /* neg reads nothing again, sin its argument. */
        assert_true(i ? kept >= 20 * size : kept < 2 * size);
        assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
        assert_true(kl_pool_get_stats(NULL).in_use - before < 3 * size);
        kl_scope_end(scope);
    }
}

/* A custom op that looks at the memory in use when its backward runs. */
static size_t seen;

static kl_status probe_forward(kl_op_frame *f)
{
    f->out[0] = kl_op_mul_scalar(f->in[0], 1);
    return f->out[0] ? KL_OK : kl_last_status();
}

static kl_status probe_backward(kl_op_frame *f)
{
    seen = kl_pool_get_stats(NULL).in_use;
    f->din[0] = kl_op_mul_scalar(f->dout[0], 1);
    return f->din[0] ? KL_OK : kl_last_status();
}

static void going_back_frees_what_it_passed(void **state)
{
    (void)state;
    static const kl_op probe = {.size = sizeof(kl_op),
                                .name = "probe",
                                .forward = probe_forward,
                                .backward = probe_backward};
    const int64_t n = 1 << 16;
    const size_t size = (size_t)n * sizeof(float);
    /* sin keeps its input, tanh its output. */
    kl_tensor *(*const steps[])(kl_tensor *) = {kl_op_sin, kl_op_tanh};
    for (int i = 0; i < 2; i++) {
        kl_scope *scope = kl_scope_begin();
        kl_tensor *x = kl_ones(KL_FLOAT32, 1, &n), *g = NULL;
        kl_tape *tape = kl_tape_begin();
        kl_tape_watch(tape, x);
        size_t before = kl_pool_get_stats(NULL).in_use;
        kl_tensor *first = kl_custom_op(&probe, NULL, 1, &x);
        kl_tensor *y = chain(first, steps[i]);
        assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
        assert_true(seen - before < 6 * size);
        kl_scope_end(scope);
    }
}

/* ---- Threads -------------------------------------------------------------------------------- */

static void *train_on_thread(void *result)
{
    for (int i = 0; i < 50; i++)
        if (!train_once(result))
            return NULL;
    return result;
}

static void threads_have_tapes_of_their_own(void **state)
{
    (void)state;
    double expected, got[4];
    assert_true(train_once(&expected));
    kl_tape *mine = kl_tape_begin();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, train_on_thread, &got[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, &got[i]);
        assert_true(got[i] == expected);
    }
    assert_true(kl_tape_is_recording());
    kl_tape_end(mine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gradient_ends_the_tape),
        cmocka_unit_test(a_persistent_tape_gives_more),
        cmocka_unit_test(sources_may_be_results),
        cmocka_unit_test(unrelated_sources_have_none),
        cmocka_unit_test(an_assigned_variable_has_the_gradient),
        cmocka_unit_test(a_source_may_be_the_target),
        cmocka_unit_test(nothing_is_recorded_while_paused),
        cmocka_unit_test(tapes_nest),
        cmocka_unit_test(an_output_gradient_weighs),
        cmocka_unit_test(gradients_have_their_source_s_dtype),
        cmocka_unit_test(changed_values_are_noticed),
        cmocka_unit_test(frames_must_be_given),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(tensors_of_an_ended_tape_are_constants),
        cmocka_unit_test(gradients_may_come_as_rows),
        cmocka_unit_test(rows_join_dense_gradients),
        cmocka_unit_test(gradient_penalties_work),
        cmocka_unit_test(steps_allocate_nothing_new),
        cmocka_unit_test(every_failed_allocation_is_an_error),
        cmocka_unit_test(only_what_backward_reads_is_kept),
        cmocka_unit_test(going_back_frees_what_it_passed),
        cmocka_unit_test(threads_have_tapes_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
