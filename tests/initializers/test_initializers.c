/* Initializers: distributions by statistics, fans, Orthogonal's product, seeds, the three ways. */
#include <math.h>
#include "base/test_support.h"
#include "klayers/klayers.h"

typedef struct moments {
    double mean, deviation, low, high;
} moments;

static moments measure(kl_initializer *initializer, kl_dtype dtype, int rank, const int64_t *shape)
{
    if (!initializer)
        print_error("%s\n", kl_last_error());
    assert_non_null(initializer);
    kl_tensor *x = kl_initializer_call(initializer, dtype, rank, shape);
    assert_non_null(x);
    assert_int_equal(kl_tensor_dtype(x), dtype);
    int64_t n = kl_tensor_size(x);
    moments m = {0, 0, INFINITY, -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        double v = kl_tensor_at(x, i);
        m.mean += v / (double)n;
        m.low = fmin(m.low, v);
        m.high = fmax(m.high, v);
    }
    for (int64_t i = 0; i < n; i++)
        m.deviation += pow(kl_tensor_at(x, i) - m.mean, 2) / (double)n;
    m.deviation = sqrt(m.deviation);
    kl_release(x);
    kl_object_release(initializer);
    return m;
}

/* The standard error of 240000 draws is deviation / 490; five of them. */
static void check_moments(kl_initializer *initializer, double mean, double deviation, double low,
                          double high)
{
    moments m = measure(initializer, KL_FLOAT32, KL_DIMS(400, 600));
    assert_true(fabs(m.mean - mean) < 0.0102 * deviation);
    assert_true(fabs(m.deviation / deviation - 1) < 0.0102);
    double slack = isfinite(low) ? 1e-5 * (high - low) : 0;
    assert_true(m.low >= low - slack && m.high <= high + slack);
    /* The ends are reached nearly, where there are ends. */
    if (isfinite(low))
        assert_true(m.low < low + 0.02 * (high - low) && m.high > high - 0.02 * (high - low));
}

static void test_distributions(void **state)
{
    const double inf = INFINITY, cut = 0.87962566103423978;
    check_moments(kl_random_normal(.seed = 3), 0, 0.05, -inf, inf);
    check_moments(kl_random_normal(.mean = 2, .stddev = 0.5, .seed = 3), 2, 0.5, -inf, inf);
    check_moments(kl_truncated_normal(.stddev = 2, .seed = 4), 0, 2 * cut, -4, 4);
    check_moments(kl_random_uniform(.seed = 5), 0, 0.1 / sqrt(12), -0.05, 0.05);
    check_moments(kl_random_uniform(.minval = 1, .maxval = 3, .seed = 5), 2, 2 / sqrt(12), 1, 3);
    double glorot = sqrt(6. / 1000), lecun = sqrt(3. / 400), he = sqrt(6. / 400);
    check_moments(kl_glorot_uniform(.seed = 6), 0, glorot / sqrt(3), -glorot, glorot);
    check_moments(kl_lecun_uniform(.seed = 6), 0, lecun / sqrt(3), -lecun, lecun);
    check_moments(kl_he_uniform(.seed = 6), 0, he / sqrt(3), -he, he);
    double gn = sqrt(1. / 500), ln = sqrt(1. / 400), hn = sqrt(2. / 400);
    check_moments(kl_glorot_normal(.seed = 7), 0, gn, -2 * gn / cut, 2 * gn / cut);
    check_moments(kl_lecun_normal(.seed = 7), 0, ln, -2 * ln / cut, 2 * ln / cut);
    check_moments(kl_he_normal(.seed = 7), 0, hn, -2 * hn / cut, 2 * hn / cut);
    check_moments(kl_variance_scaling(.scale = 3, .mode = "fan_out", .seed = 1,
                                      .distribution = "untruncated_normal"),
                  0, sqrt(3. / 600), -inf, inf);
    check_moments(kl_variance_scaling(.mode = "fan_avg", .distribution = "uniform", .seed = 1), 0,
                  sqrt(1. / 500), -sqrt(3. / 500), sqrt(3. / 500));
    check_moments(kl_variance_scaling(.distribution = "normal", .seed = 1), 0, ln, -2 * ln / cut,
                  2 * ln / cut);
}

/* The largest value of a uniform draw tells the fan. */
static void check_fan(kl_initializer *initializer, double fan, int rank, const int64_t *shape)
{
    double limit = sqrt(3 / fan);
    moments m = measure(initializer, KL_FLOAT32, rank, shape);
    assert_true(m.high <= limit * 1.00001 && m.high > 0.95 * limit);
}

static void test_fans(void **state)
{
    check_fan(kl_lecun_uniform(.seed = 1), 900, KL_DIMS(900));
    check_fan(kl_lecun_uniform(.seed = 1), 30, KL_DIMS(30, 40));
    check_fan(kl_lecun_uniform(.seed = 1), 3 * 30, KL_DIMS(3, 30, 40));
    check_fan(kl_lecun_uniform(.seed = 1), 3 * 4 * 30, KL_DIMS(3, 4, 30, 40));
    check_fan(kl_glorot_uniform(.seed = 1), 3 * 4 * 35, KL_DIMS(3, 4, 30, 40));
    check_fan(kl_variance_scaling(.mode = "fan_out", .distribution = "uniform", .seed = 1), 12 * 40,
              KL_DIMS(3, 4, 30, 40));
    /* Listed axes are all that counts, and only if both lists are given. */
    check_fan(kl_lecun_uniform(.input_axes = KL_INTS(0), .output_axes = KL_INTS(-1), .seed = 1), 3,
              KL_DIMS(3, 4, 30, 40));
    check_fan(kl_lecun_uniform(.input_axes = KL_INTS(0), .seed = 1), 360, KL_DIMS(3, 4, 30, 40));
    kl_initializer *bad =
        kl_lecun_uniform(.input_axes = KL_INTS(4), .output_axes = KL_INTS(0), .seed = 1);
    assert_null(kl_initializer_call(bad, KL_FLOAT32, KL_DIMS(3, 4)));
    kl_object_release(bad);
}

/* Q's rows or columns, whichever are fewer, are orthogonal with length gain. */
static void check_orthogonal(double gain, kl_dtype dtype, int rank, const int64_t *shape)
{
    kl_initializer *initializer = kl_orthogonal(.gain = gain, .seed = 9);
    kl_tensor *x = kl_initializer_call(initializer, dtype, rank, shape);
    assert_non_null(x);
    int64_t cols = shape[rank - 1], rows = kl_tensor_size(x) / cols;
    int64_t count = rows < cols ? rows : cols, length = rows < cols ? cols : rows;
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double dot = i == j ? -gain * gain : 0;
            for (int64_t k = 0; k < length; k++)
                dot += rows < cols ? kl_tensor_at(x, i * cols + k) * kl_tensor_at(x, j * cols + k)
                                   : kl_tensor_at(x, k * cols + i) * kl_tensor_at(x, k * cols + j);
            worst = fmax(worst, fabs(dot));
        }
    }
    assert_true(worst < (dtype == KL_FLOAT64 ? 1e-12 : 1e-5));
    kl_release(x);
    kl_object_release(initializer);
}

static void test_orthogonal(void **state)
{
    check_orthogonal(1, KL_FLOAT32, KL_DIMS(64, 64));
    check_orthogonal(1, KL_FLOAT32, KL_DIMS(70, 33));
    check_orthogonal(2, KL_FLOAT32, KL_DIMS(17, 60));
    check_orthogonal(1, KL_FLOAT64, KL_DIMS(3, 3, 8, 20));
    check_orthogonal(1, KL_FLOAT32, KL_DIMS(1, 1));
    /* Signs are fixed by R, so Q's first entry falls on either side over seeds. */
    int negative = 0;
    for (int seed = 0; seed < 40; seed++) {
        kl_initializer *initializer = kl_orthogonal(.seed = seed);
        kl_tensor *x = kl_initializer_call(initializer, KL_FLOAT32, KL_DIMS(5, 5));
        negative += kl_tensor_at(x, 0) < 0;
        kl_release(x);
        kl_object_release(initializer);
    }
    assert_in_range(negative, 8, 32);
}

static void check_values(kl_initializer *initializer, kl_dtype dtype, int rank,
                         const int64_t *shape, const double *expected)
{
    kl_tensor *x = kl_initializer_call(initializer, dtype, rank, shape);
    assert_non_null(x);
    assert_int_equal(kl_tensor_dtype(x), dtype);
    for (int64_t i = 0; i < kl_tensor_size(x); i++)
        assert_true(kl_tensor_at(x, i) == expected[i]);
    kl_release(x);
    kl_object_release(initializer);
}

static void test_constants(void **state)
{
    const double zeros[4] = {0}, ones[] = {1, 1, 1, 1}, half[] = {.5, .5, .5, .5};
    const double identity[] = {3, 0, 0, 0, 3, 0};
    check_values(kl_zeros_initializer(), KL_FLOAT32, KL_DIMS(2, 2), zeros);
    check_values(kl_ones_initializer(), KL_INT64, KL_DIMS(4), ones);
    check_values(kl_ones_initializer(), KL_BOOL, KL_DIMS(4), ones);
    check_values(kl_constant(.value = .5), KL_FLOAT64, KL_DIMS(4), half);
    check_values(kl_constant(.value = .5), KL_BFLOAT16, KL_DIMS(4), half);
    check_values(kl_constant(.value = .5), KL_FLOAT16, 0, NULL, half);
    check_values(kl_identity_initializer(.gain = 3), KL_FLOAT32, KL_DIMS(2, 3), identity);
}

static kl_tensor *draw(kl_initializer *initializer)
{
    kl_tensor *x = kl_initializer_call(initializer, KL_FLOAT32, KL_DIMS(300, 500));
    assert_non_null(x);
    return x;
}

static bool equal(const kl_tensor *a, const kl_tensor *b)
{
    return !memcmp(kl_tensor_data(a), kl_tensor_data(b), (size_t)kl_tensor_size(a) * sizeof(float));
}

static void test_seeds(void **state)
{
    kl_initializer *seeded = kl_he_normal(.seed = 11), *other = kl_he_normal(.seed = 12);
    kl_initializer *free_running = kl_he_normal();
    kl_set_num_threads(1);
    kl_tensor *a = draw(seeded), *c = draw(other);
    kl_set_num_threads(4);
    kl_tensor *b = draw(seeded); /* a seed gives the same each time, on any number of threads */
    assert_true(equal(a, b));
    assert_false(equal(a, c));
    kl_set_random_seed(5);
    kl_tensor *d = draw(free_running), *e = draw(free_running);
    kl_set_random_seed(5);
    kl_tensor *f = draw(free_running);
    assert_false(equal(d, e));
    assert_true(equal(d, f));
    kl_tensor *all[] = {a, b, c, d, e, f};
    for (int i = 0; i < 6; i++)
        kl_release(all[i]);
    kl_object_release(seeded);
    kl_object_release(other);
    kl_object_release(free_running);
    kl_set_num_threads(0);
}

static void check_name(const char *name, const char *class_name)
{
    kl_initializer *initializer = kl_initializer_get(name);
    if (!initializer)
        print_error("%s: %s\n", name, kl_last_error());
    assert_non_null(initializer);
    assert_string_equal(kl_object_class_name(initializer), class_name);
    kl_object_release(initializer);
}

static void test_names(void **state)
{
    static const char *const rows[][3] = {
        {"Zeros", "zeros", "zero"},
        {"Ones", "ones", "one"},
        {"Constant", "constant", "constant"},
        {"Identity", "identity", "IdentityInitializer"},
        {"Orthogonal", "orthogonal", "OrthogonalInitializer"},
        {"RandomNormal", "random_normal", "normal"},
        {"RandomUniform", "random_uniform", "uniform"},
        {"TruncatedNormal", "truncated_normal", "TruncatedNormal"},
        {"VarianceScaling", "variance_scaling", "VarianceScaling"},
        {"GlorotNormal", "glorot_normal", "GlorotNormal"},
        {"GlorotUniform", "glorot_uniform", "GlorotUniform"},
        {"HeNormal", "he_normal", "HeNormal"},
        {"HeUniform", "he_uniform", "HeUniform"},
        {"LecunNormal", "lecun_normal", "LecunNormal"},
        {"LecunUniform", "lecun_uniform", "LecunUniform"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int k = 0; k < 3; k++)
            check_name(rows[i][k], rows[i][0]);
    assert_null(kl_initializer_get("glorot"));
    assert_non_null(strstr(kl_last_error(), "glorot"));
    assert_null(kl_initializer_get(NULL));
}

static kl_status fill_sevens(kl_tensor *out, void *user)
{
    ++*(int *)user;
    float *at = kl_tensor_mutable_data(out);
    for (int64_t i = 0; i < kl_tensor_size(out); i++)
        at[i] = 7;
    return KL_OK;
}

static kl_status refuse(kl_tensor *out, void *user)
{
    return kl_error(KL_ERROR_INVALID, "told to fail");
}

static void test_own_function(void **state)
{
    int calls = 0;
    kl_layer *dense = kl_dense(.units = 2, .kernel_initializer =
                                               kl_initializer_from("sevens", fill_sevens, &calls));
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(1, 3)), *y = kl_call(dense, x);
    assert_true(kl_tensor_at(y, 1) == 21);
    assert_int_equal(calls, 1);
    kl_release(y);
    kl_layer_release(dense);
    dense = kl_dense(.units = 2, .kernel_initializer = kl_initializer_from("bad", refuse, NULL));
    assert_null(kl_call(dense, x));
    assert_non_null(strstr(kl_last_error(), "told to fail"));
    kl_layer_release(dense);
    dense = kl_dense(.units = 2, .kernel_initializer = kl_constant(.value = 2));
    y = kl_call(dense, x);
    assert_true(kl_tensor_at(y, 0) == 6);
    kl_release(y);
    kl_layer_release(dense);
    dense = kl_dense(.units = 2, .kernel_initializer = "ones");
    y = kl_call(dense, x);
    assert_true(kl_tensor_at(y, 0) == 3);
    kl_release(y);
    kl_release(x);
    kl_layer_release(dense);
    assert_null(kl_initializer_from(NULL, fill_sevens, NULL));
}

static void check_config(kl_initializer *initializer, const char *expected)
{
    assert_non_null(initializer);
    kl_config *config = kl_object_serialize(initializer);
    kl_initializer *again = kl_object_deserialize(KL_KIND_INITIALIZER, config);
    kl_config *second = kl_object_serialize(again);
    assert_true(kl_config_equal(config, second));
    char *text = kl_config_print(kl_config_get(config, "config"), false);
    assert_string_equal(text, expected);
    kl_config_free_text(text);
    kl_config_free(config);
    kl_config_free(second);
    kl_object_release(again);
    kl_object_release(initializer);
}

static void test_configs(void **state)
{
    check_config(kl_zeros_initializer(), "{}");
    check_config(kl_constant(.value = 0.1f), "{\"value\": 0.1}");
    check_config(kl_random_normal(), "{\"mean\": 0.0, \"stddev\": 0.05, \"seed\": null}");
    check_config(kl_random_uniform(.seed = 3),
                 "{\"minval\": -0.05, \"maxval\": 0.05, \"seed\": 3}");
    check_config(kl_orthogonal(), "{\"gain\": 1.0, \"seed\": null}");
    check_config(kl_glorot_uniform(.input_axes = KL_INTS(0, 1), .output_axes = KL_INTS(2)),
                 "{\"seed\": null, \"input_axes\": [0, 1], \"output_axes\": [2]}");
    check_config(kl_variance_scaling(),
                 "{\"scale\": 1.0, \"mode\": \"fan_in\", \"distribution\": \"truncated_normal\", "
                 "\"seed\": null, \"input_axes\": null, \"output_axes\": null}");
}

/* What the macro puts in front are the defaults of the function. */
#define CHECK_DEFAULTS(name)                                                                       \
    do {                                                                                           \
        const name##_args args = name##_defaults();                                                \
        kl_initializer *x = name##_new(&args), *y = name();                                        \
        kl_config *p = kl_object_serialize(x), *q = kl_object_serialize(y);                        \
        assert_true(kl_config_equal(p, q));                                                        \
        kl_config_free(p);                                                                         \
        kl_config_free(q);                                                                         \
        kl_object_release(x);                                                                      \
        kl_object_release(y);                                                                      \
    } while (0)

static void test_defaults(void **state)
{
    CHECK_DEFAULTS(kl_zeros_initializer);
    CHECK_DEFAULTS(kl_ones_initializer);
    CHECK_DEFAULTS(kl_constant);
    CHECK_DEFAULTS(kl_random_normal);
    CHECK_DEFAULTS(kl_truncated_normal);
    CHECK_DEFAULTS(kl_random_uniform);
    CHECK_DEFAULTS(kl_variance_scaling);
    CHECK_DEFAULTS(kl_glorot_uniform);
    CHECK_DEFAULTS(kl_glorot_normal);
    CHECK_DEFAULTS(kl_he_uniform);
    CHECK_DEFAULTS(kl_he_normal);
    CHECK_DEFAULTS(kl_lecun_uniform);
    CHECK_DEFAULTS(kl_lecun_normal);
    CHECK_DEFAULTS(kl_orthogonal);
    CHECK_DEFAULTS(kl_identity_initializer);
}

static void test_bad_input(void **state)
{
    assert_null(kl_variance_scaling(.scale = 0));
    assert_null(kl_variance_scaling(.mode = "fan"));
    assert_null(kl_variance_scaling(.distribution = "cauchy"));
    assert_null(kl_random_normal(.stddev = -1));
    assert_null(kl_random_normal_new(NULL));
    kl_initializer *orthogonal = kl_orthogonal(), *identity = kl_identity_initializer();
    assert_null(kl_initializer_call(orthogonal, KL_FLOAT32, KL_DIMS(4)));
    assert_null(kl_initializer_call(identity, KL_FLOAT32, KL_DIMS(4, 2, 2)));
    assert_null(kl_initializer_call(identity, KL_STRING, KL_DIMS(4, 2)));
    assert_null(kl_initializer_call(identity, KL_FLOAT32, KL_DIMS(-4, 2)));
    assert_null(kl_initializer_call(identity, KL_FLOAT32, KL_DIMS(INT64_MAX, 2)));
    assert_null(kl_initializer_call(NULL, KL_FLOAT32, KL_DIMS(4, 2)));
    kl_tensor *empty = kl_initializer_call(orthogonal, KL_FLOAT32, KL_DIMS(0, 2));
    assert_non_null(empty);
    kl_release(empty);
    kl_object_release(orthogonal);
    kl_object_release(identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions), cmocka_unit_test(test_fans),
        cmocka_unit_test(test_orthogonal),    cmocka_unit_test(test_constants),
        cmocka_unit_test(test_seeds),         cmocka_unit_test(test_names),
        cmocka_unit_test(test_own_function),  cmocka_unit_test(test_configs),
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
