/* Values of reductions, positions and indices, losses, draws; their dtypes and bad input. */
#include "ops/gradcheck.h"

static kl_tensor *numbers(kl_dtype dtype)
{
    const double values[] = {3, -1, 4, 1, -5, 9, 2, 6, -5, 3, 5, 8};
    return kl_op_cast(kl_from_data(KL_FLOAT64, KL_DIMS(3, 4), values), dtype);
}

static void expect(const kl_tensor *y, kl_dtype dtype, int64_t size, const double *expected,
                   double tolerance)
{
    if (!y)
        fail_msg("%s", kl_last_error());
    assert_string_equal(kl_dtype_name((kl_dtype)y->dtype), kl_dtype_name(dtype));
    assert_int_equal(y->size, size);
    for (int64_t i = 0; i < size; i++) {
        double got = kl_tensor_at(y, i);
        if (!(fabs(got - expected[i]) <= tolerance) &&
            !(got != got && expected[i] != expected[i]) && got != expected[i])
            fail_msg("element %lld is %.12g, expected %.12g", (long long)i, got, expected[i]);
    }
}
#define EXPECT(y, dtype, ...)                                                                      \
    expect(y, dtype, sizeof((const double[]){__VA_ARGS__}) / sizeof(double),                       \
           (const double[]){__VA_ARGS__}, 1e-6)

static void refused(const kl_tensor *y, const char *part)
{
    assert_null(y);
    if (!strstr(kl_last_error(), part))
        fail_msg("the error '%s' doesn't say '%s'", kl_last_error(), part);
    kl_clear_error();
}

static void reductions_in_every_dtype(void **state)
{
    (void)state;
    static const kl_dtype dtypes[] = {KL_INT32, KL_INT64, KL_FLOAT16, KL_FLOAT32, KL_FLOAT64};
    for (int d = 0; d < 5; d++) {
        kl_scope *scope = kl_scope_begin();
        kl_dtype dtype = dtypes[d], mean = kl_dtype_is_float(dtype) ? dtype : KL_FLOAT32;
        kl_tensor *x = numbers(dtype);
        EXPECT(kl_op_sum(x, KL_ALL_AXES, false), dtype, 30);
        EXPECT(kl_op_sum(x, KL_AXES(0), false), dtype, -7, 11, 11, 15);
        EXPECT(kl_op_sum(x, KL_AXES(-1), true), dtype, 7, 12, 11);
        EXPECT(kl_op_mean(x, KL_AXES(1), false), mean, 1.75, 3, 2.75);
        EXPECT(kl_op_max(x, KL_AXES(1), false), dtype, 4, 9, 8);
        EXPECT(kl_op_min(x, KL_AXES(0), false), dtype, -5, -1, 2, 1);
        EXPECT(kl_op_prod(x, KL_AXES(1), false), dtype, -12, -540, -600);
        EXPECT(kl_op_argmax(x, 1), KL_INT64, 2, 1, 3);
        EXPECT(kl_op_argmin(x, 0), KL_INT64, 1, 0, 1, 0);
        EXPECT(kl_op_cumsum(x, 1), dtype, 3, 2, 6, 7, -5, 4, 6, 12, -5, -2, 3, 11);
        kl_scope_end(scope);
    }
}

static void reductions_of_truth_and_nothing(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const bool values[] = {true, false, true, true};
    kl_tensor *truth = kl_from_data(KL_BOOL, KL_DIMS(2, 2), values);
    EXPECT(kl_op_sum(truth, KL_ALL_AXES, false), KL_INT32, 3);
    EXPECT(kl_op_mean(truth, KL_ALL_AXES, false), KL_FLOAT32, 0.75);
    EXPECT(kl_op_any(truth, KL_AXES(0), false), KL_BOOL, 1, 1);
    EXPECT(kl_op_all(truth, KL_AXES(1), false), KL_BOOL, 0, 1);
    kl_tensor *empty = kl_zeros(KL_FLOAT32, KL_DIMS(2, 0));
    EXPECT(kl_op_sum(empty, KL_AXES(1), false), KL_FLOAT32, 0, 0);
    EXPECT(kl_op_prod(empty, KL_AXES(1), false), KL_FLOAT32, 1, 1);
    EXPECT(kl_op_any(empty, KL_AXES(1), false), KL_BOOL, 0, 0);
    EXPECT(kl_op_mean(empty, KL_AXES(1), false), KL_FLOAT32, NAN, NAN);
    assert_int_equal(kl_op_sum(empty, KL_AXES(0), false)->size, 0);
    refused(kl_op_max(empty, KL_AXES(1), false), "size 0");
    EXPECT(kl_op_sum(kl_scalar(KL_FLOAT32, 5), KL_ALL_AXES, false), KL_FLOAT32, 5);
    const float special[] = {NAN, 1, -INFINITY, 2, INFINITY, 3};
    kl_tensor *odd = kl_from_data(KL_FLOAT32, KL_DIMS(3, 2), special);
    EXPECT(kl_op_max(odd, KL_AXES(1), false), KL_FLOAT32, NAN, 2, INFINITY);
    EXPECT(kl_op_min(odd, KL_AXES(1), false), KL_FLOAT32, NAN, -INFINITY, 3);
    EXPECT(kl_op_logsumexp(kl_op_slice(odd, 0, 1, KL_NONE, 1), KL_AXES(1), false), KL_FLOAT32, 2,
           INFINITY);
    kl_scope_end(scope);
}

static void long_sums_stay_accurate(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const int64_t shapes[][2] = {{1, 1 << 20}, {1 << 20, 1}, {1024, 1024}, {3, 349525},
                                 {99991, 10},  {17, 65},     {300, 100}};
    for (int i = 0; i < 7; i++) {
        kl_tensor *x = kl_full(KL_FLOAT32, 2, shapes[i], 0.1);
        double n = (double)x->size, sum = n * (double)0.1f;
        kl_tensor *y = kl_op_sum(x, KL_ALL_AXES, false);
        assert_true(fabs(kl_tensor_at(y, 0) - sum) < 4e-6 * sum);
        for (int axis = 0; axis < 2; axis++) {
            kl_tensor *part = kl_op_mean(x, KL_AXES(axis), false);
            assert_true(fabs(kl_tensor_at(part, part->size - 1) - (double)0.1f) < 4e-7);
        }
    }
    kl_scope_end(scope);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const int64_t shape[] = {700, 611};
    kl_tensor *x = kl_op_sin(kl_op_reshape(kl_arange(KL_FLOAT32, 0, 700 * 611, 1), 2, shape));
    uint64_t sums[3] = {0};
    for (int t = 0; t < 3; t++) {
        kl_set_num_threads(1 + 3 * t);
        kl_tensor *results[] = {
            kl_op_sum(x, KL_ALL_AXES, false), kl_op_sum(x, KL_AXES(0), false),
            kl_op_mean(x, KL_AXES(1), false), kl_op_softmax(x, -1),
            kl_op_tanh(kl_op_mul(x, x)),      kl_op_matmul_t(x, true, x, false)};
        for (int r = 0; r < 6; r++) {
            const uint32_t *bits = kl_tensor_data(results[r]);
            for (int64_t i = 0; i < results[r]->size; i++)
                sums[t] = sums[t] * 31 + bits[i];
        }
    }
    kl_set_num_threads(0);
    assert_true(sums[0] == sums[1] && sums[1] == sums[2]);
    kl_scope_end(scope);
}

static kl_tensor *ids(int rank, const int64_t *shape, const int64_t *values)
{
    return kl_from_data(KL_INT64, rank, shape, values);
}
#define VALUES(...)                                                                                \
    (const int64_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void order_and_indices(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = numbers(KL_FLOAT32), *where = NULL;
    EXPECT(kl_op_sort(x, 1, false), KL_FLOAT32, -1, 1, 3, 4, -5, 2, 6, 9, -5, 3, 5, 8);
    EXPECT(kl_op_argsort(x, 1, true), KL_INT64, 2, 0, 3, 1, 1, 3, 2, 0, 3, 2, 1, 0);
    /* Equal elements keep their order both ways. */
    kl_tensor *equal = kl_from_data(KL_INT64, KL_DIMS(4), VALUES(7, 7, 1, 7));
    EXPECT(kl_op_argsort(equal, 0, false), KL_INT64, 2, 0, 1, 3);
    EXPECT(kl_op_argsort(equal, 0, true), KL_INT64, 0, 1, 3, 2);
    EXPECT(kl_op_top_k(x, 2, &where), KL_FLOAT32, 4, 3, 9, 6, 8, 5);
    EXPECT(where, KL_INT64, 2, 0, 1, 3, 3, 2);
    EXPECT(kl_op_take(x, ids(KL_DIMS(2), VALUES(2, 0)), 0), KL_FLOAT32, -5, 3, 5, 8, 3, -1, 4, 1);
    EXPECT(kl_op_take(x, ids(0, NULL, VALUES(1)), 1), KL_FLOAT32, -1, 9, 3);
    EXPECT(kl_op_one_hot(ids(KL_DIMS(3), VALUES(1, -1, 2)), 3, -1, KL_FLOAT32), KL_FLOAT32, 0, 1, 0,
           0, 0, 0, 0, 0, 1);
    EXPECT(kl_op_one_hot(ids(KL_DIMS(2), VALUES(1, 0)), 3, 0, KL_INT32), KL_INT32, 0, 1, 1, 0, 0,
           0);
    EXPECT(kl_op_bincount(ids(KL_DIMS(5), VALUES(1, 3, 1, 9, -2)), NULL, 4), KL_INT64, 0, 2, 0, 1);
    EXPECT(
        kl_op_scatter_add(ids(KL_DIMS(3), VALUES(1, 0, 1)), kl_ones(KL_FLOAT32, KL_DIMS(3, 1)), 3),
        KL_FLOAT32, 1, 2, 0);
    EXPECT(kl_op_tril(kl_ones(KL_FLOAT32, KL_DIMS(2, 3)), 0), KL_FLOAT32, 1, 0, 0, 1, 1, 0);
    EXPECT(kl_op_triu(kl_ones(KL_FLOAT32, KL_DIMS(2, 3)), 1), KL_FLOAT32, 0, 1, 1, 0, 0, 1);
    refused(kl_op_take(x, ids(KL_DIMS(1), VALUES(3)), 0), "out of range");
    refused(kl_op_take(x, ids(KL_DIMS(1), VALUES(-4)), 0), "out of range");
    refused(kl_op_take(x, x, 0), "integers");
    refused(kl_op_take(x, ids(KL_DIMS(1), VALUES(0)), 2), "axis");
    refused(kl_op_take_along_axis(x, ids(KL_DIMS(2, 1), VALUES(0, 1)), 1), "shapes");
    refused(kl_op_scatter_add(ids(KL_DIMS(1), VALUES(5)), kl_ones(KL_FLOAT32, KL_DIMS(1, 1)), 3),
            "out of range");
    refused(kl_op_scatter_add(ids(KL_DIMS(1), VALUES(5)), kl_ones(KL_FLOAT32, KL_DIMS(1, 1)), -1),
            "negative");
    refused(kl_op_top_k(x, 5, NULL), "top_k");
    refused(kl_op_one_hot(ids(KL_DIMS(1), VALUES(5)), -1, -1, KL_FLOAT32), "one_hot");
    refused(kl_op_sort(NULL, 0, false), "NULL");
    kl_scope_end(scope);
}

static void bad_axes_are_refused(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = numbers(KL_FLOAT32);
    const char *texts[] = {"a"};
    refused(kl_op_sum(x, KL_AXES(2), false), "axis");
    refused(kl_op_sum(x, KL_AXES(0, -2), false), "twice");
    refused(kl_op_var(x, KL_AXES(5), false), "axis");
    refused(kl_op_logsumexp(x, KL_AXES(-3), false), "axis");
    refused(kl_op_sum(kl_from_strings(KL_DIMS(1), texts), KL_ALL_AXES, false), "strings");
    refused(kl_op_sum(NULL, KL_ALL_AXES, false), "sum");
    refused(kl_op_argmax(x, 4), "axis");
    refused(kl_op_cumsum(x, -3), "axis");
    refused(kl_op_layer_norm(x, NULL, NULL, 3, 1e-3), "layer_norm");
    refused(kl_op_batch_norm(x, NULL, NULL, 2, 1e-3, NULL, NULL, NULL), "axis");
    refused(kl_op_group_norm(x, NULL, NULL, 1, 0, 1e-3, NULL), "samples");
    refused(kl_op_group_norm(x, NULL, NULL, 0, 1, 1e-3, NULL), "groups");
    refused(kl_op_group_norm(x, NULL, NULL, 1, 2, 1e-3, NULL), "axis");
    refused(kl_op_group_norm(NULL, NULL, NULL, 1, 1, 1e-3, NULL), "NULL");
    refused(kl_op_norm(NULL, KL_ALL_AXES, false), "NULL");
    kl_scope_end(scope);
}

/* Keras 3's values. */
static void losses_are_keras_s(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const double p[] = {0.1, 0.7, 0.2, 0, 0.3, 0.7}, logits[] = {1, -2, 0.5, 3, 0, -1};
    kl_tensor *probability = kl_from_data(KL_FLOAT64, KL_DIMS(2, 3), p);
    kl_tensor *x = kl_from_data(KL_FLOAT64, KL_DIMS(2, 3), logits);
    kl_tensor *labels = ids(KL_DIMS(2), VALUES(1, 0));
    kl_tensor *hot = kl_op_one_hot(labels, 3, -1, KL_FLOAT64);
    double first = log(exp(1) + exp(-2) + exp(0.5)) + 2, second = log(exp(3) + 1 + exp(-1)) - 3;
    EXPECT(kl_op_sparse_categorical_crossentropy(labels, x, true), KL_FLOAT64, first, second);
    EXPECT(kl_op_categorical_crossentropy(hot, x, true), KL_FLOAT64, first, second);
    EXPECT(kl_op_categorical_crossentropy(hot, probability, false), KL_FLOAT64, -log(0.7),
           -log(1e-7));
    double clipped = 1e-7 + 0.3 + 0.7;
    EXPECT(kl_op_sparse_categorical_crossentropy(labels, probability, false), KL_FLOAT64, -log(0.7),
           -log(1e-7 / clipped));
    EXPECT(kl_op_binary_crossentropy(hot, probability, false), KL_FLOAT64, -log(0.9), -log(0.7),
           -log(0.8), -log(1e-7), -log(0.7), -log(0.3));
    EXPECT(kl_op_binary_crossentropy(hot, x, true), KL_FLOAT64, log1p(exp(1)), log1p(exp(2)),
           log1p(exp(0.5)), log1p(exp(-3)), log1p(1), log1p(exp(-1)));
    /* Logits beyond float32's exponent stay finite. */
    const float far[] = {200, -200, 0, -1000, 0, 1000};
    kl_tensor *extreme = kl_from_data(KL_FLOAT32, KL_DIMS(2, 3), far);
    EXPECT(kl_op_sparse_categorical_crossentropy(labels, extreme, true), KL_FLOAT32, 400, 2000);
    refused(kl_op_sparse_categorical_crossentropy(ids(KL_DIMS(2), VALUES(1, 3)), x, true),
            "label 3 is out of range");
    refused(kl_op_sparse_categorical_crossentropy(ids(KL_DIMS(2), VALUES(-1, 2)), x, true),
            "label -1 is out of range");
    refused(kl_op_sparse_categorical_crossentropy(ids(KL_DIMS(3), VALUES(0, 1, 2)), x, true),
            "(3,)");
    refused(kl_op_categorical_crossentropy(labels, x, true), "same shape");
    refused(kl_op_binary_crossentropy(NULL, x, true), "target");
    kl_scope_end(scope);
}

static void draws_have_their_distribution(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const int64_t n = 200000;
    kl_set_random_seed(11);
    kl_tensor *drawn[3] = {kl_op_random_uniform(KL_FLOAT32, 1, &n, -1, 3),
                           kl_op_random_normal(KL_FLOAT32, 1, &n, 1, 2),
                           kl_op_random_truncated_normal(KL_FLOAT64, 1, &n, 1, 2)};
    /* The normal cut at two deviations has variance 0.774 of its own. */
    const double deviation[] = {4 / sqrt(12), 2, 2 * sqrt(0.7737)};
    for (int i = 0; i < 3; i++) {
        double mean = kl_tensor_at(kl_op_mean(drawn[i], KL_ALL_AXES, false), 0);
        double spread = kl_tensor_at(kl_op_std(drawn[i], KL_ALL_AXES, false), 0);
        assert_true(fabs(mean - 1) < 0.03);
        assert_true(fabs(spread - deviation[i]) < 0.03);
    }
    assert_true(kl_tensor_at(kl_op_min(drawn[0], KL_ALL_AXES, false), 0) >= -1);
    assert_true(kl_tensor_at(kl_op_max(drawn[0], KL_ALL_AXES, false), 0) < 3);
    assert_true(kl_tensor_at(kl_op_max(drawn[2], KL_ALL_AXES, false), 0) <= 5);
    kl_set_random_seed(11);
    kl_tensor *again = kl_op_random_uniform(KL_FLOAT32, 1, &n, -1, 3);
    kl_tensor *next = kl_op_random_uniform(KL_FLOAT32, 1, &n, -1, 3);
    assert_true(kl_tensor_at(kl_op_all(kl_op_equal(again, drawn[0]), KL_ALL_AXES, false), 0) == 1);
    assert_true(kl_tensor_at(kl_op_all(kl_op_equal(next, drawn[0]), KL_ALL_AXES, false), 0) == 0);
    refused(kl_op_random_normal(KL_INT32, 1, &n, 0, 1), "int32");
    kl_scope_end(scope);
}

static void dropout_scales_what_it_keeps(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_set_random_seed(5);
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(500, 40)), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_op_dropout(x, 0.25, NULL);
    int64_t kept = 0;
    for (int64_t i = 0; i < y->size; i++) {
        double v = kl_tensor_at(y, i);
        assert_true(v == 0 || fabs(v - 4.0 / 3) < 1e-6);
        kept += v != 0;
    }
    assert_true(fabs((double)kept / 20000 - 0.75) < 0.02);
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
    for (int64_t i = 0; i < y->size; i++)
        assert_true(kl_tensor_at(g, i) == kl_tensor_at(y, i));
    /* One draw for each row. */
    y = kl_op_dropout(x, 0.5, VALUES(0, 1));
    for (int64_t r = 0; r < 500; r++)
        for (int64_t c = 1; c < 40; c++)
            assert_true(kl_tensor_at(y, 40 * r + c) == kl_tensor_at(y, 40 * r));
    EXPECT(kl_op_dropout(kl_ones(KL_FLOAT32, KL_DIMS(2)), 1, NULL), KL_FLOAT32, 0, 0);
    EXPECT(kl_op_dropout(kl_ones(KL_FLOAT32, KL_DIMS(2)), 0, NULL), KL_FLOAT32, 1, 1);
    refused(kl_op_dropout(x, 1.5, NULL), "1.5");
    refused(kl_op_dropout(x, 0.5, VALUES(0, 7)), "noise_shape has 7");
    refused(kl_op_dropout(x, NAN, NULL), "rate");
    refused(kl_op_dropout(NULL, 0.5, NULL), "dropout");
    kl_scope_end(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reductions_in_every_dtype),
                                       cmocka_unit_test(reductions_of_truth_and_nothing),
                                       cmocka_unit_test(long_sums_stay_accurate),
                                       cmocka_unit_test(threads_change_no_bit),
                                       cmocka_unit_test(order_and_indices),
                                       cmocka_unit_test(bad_axes_are_refused),
                                       cmocka_unit_test(losses_are_keras_s),
                                       cmocka_unit_test(draws_have_their_distribution),
                                       cmocka_unit_test(dropout_scales_what_it_keeps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
