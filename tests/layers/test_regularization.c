/* Layers that draw noise: its distribution and structure, the identity without it, seeds, threads,
   bad input. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/klayers.h"

enum { MANY = 1 << 20 };

static kl_tensor *train(kl_layer *layer, kl_tensor *x)
{
    kl_tensors out = kl_call_with(layer, .inputs = {x}, .training = KL_TRUE);
    if (!out.at)
        print_error("%s\n", kl_last_error());
    assert_non_null(out.at);
    return out.at[0];
}

typedef struct moments {
    double mean, variance, zeros;
} moments;

static moments measure(const kl_tensor *x)
{
    moments m = {0, 0, 0};
    int64_t n = kl_tensor_size(x);
    for (int64_t i = 0; i < n; i++) {
        double v = kl_tensor_at(x, i);
        m.mean += v / (double)n;
        m.zeros += v == 0 ? 1 / (double)n : 0;
    }
    for (int64_t i = 0; i < n; i++)
        m.variance += pow(kl_tensor_at(x, i) - m.mean, 2) / (double)n;
    return m;
}

/* Five deviations of the sample's mean, and of its variance for a normal one. */
static void check_moments(kl_layer *layer, kl_tensor *x, double mean, double variance)
{
    kl_tensor *y = train(layer, x);
    moments m = measure(y);
    assert_true(fabs(m.mean - mean) < 5 * sqrt(variance / MANY));
    assert_true(fabs(m.variance - variance) < 10 * variance / sqrt(MANY));
    kl_release(y);
    kl_layer_release(layer);
}

static void test_dropout_moments(void **state)
{
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(MANY / 64, 64));
    const double rates[] = {0.1, 0.5, 0.9};
    for (int i = 0; i < 3; i++) {
        double rate = rates[i];
        kl_layer *layer = kl_dropout(.rate = rate, .seed = 7 + i);
        kl_tensor *y = train(layer, x);
        moments m = measure(y);
        assert_true(fabs(m.zeros - rate) < 5 * sqrt(rate * (1 - rate) / MANY));
        for (int64_t k = 0; k < 1000; k++) {
            double v = kl_tensor_at(y, k);
            assert_true(v == 0 || fabs(v - 1 / (1 - rate)) < 1e-5);
        }
        kl_release(y);
        check_moments(layer, x, 1, rate / (1 - rate));
    }
    kl_release(x);
}

static void test_gaussian_moments(void **state)
{
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(MANY / 64, 64));
    check_moments(kl_gaussian_dropout(.rate = 0.25, .seed = 1), x, 1, 1. / 3);
    check_moments(kl_gaussian_dropout(.rate = 0.8, .seed = 2), x, 1, 4);
    check_moments(kl_gaussian_noise(.stddev = 0.3, .seed = 3), x, 1, 0.09);
    check_moments(kl_gaussian_noise(.stddev = 1, .seed = 4), x, 1, 1);
    kl_tensor *wide = kl_ones(KL_FLOAT64, KL_DIMS(MANY));
    check_moments(kl_gaussian_noise(.stddev = 0.3, .seed = 5, .dtype = "float64"), wide, 1, 0.09);
    kl_release(wide);
    kl_release(x);
}

/* The noise of one element doesn't tell its neighbour's. */
static void test_gaussian_draws_are_independent(void **state)
{
    kl_tensor *x = kl_zeros(KL_FLOAT32, KL_DIMS(MANY));
    kl_layer *layer = kl_gaussian_noise(.stddev = 1, .seed = 8);
    kl_tensor *y = train(layer, x), *z = train(layer, x);
    double neighbours = 0, calls = 0;
    for (int64_t i = 0; i + 1 < MANY; i++) {
        neighbours += kl_tensor_at(y, i) * kl_tensor_at(y, i + 1) / MANY;
        calls += kl_tensor_at(y, i) * kl_tensor_at(z, i) / MANY;
    }
    assert_true(fabs(neighbours) < 5 / sqrt(MANY) && fabs(calls) < 5 / sqrt(MANY));
    kl_release(y);
    kl_release(z);
    kl_release(x);
    kl_layer_release(layer);
}

/* Mean 0 and variance 1 stay; what is dropped has one value. */
static void test_alpha_dropout_moments(void **state)
{
    kl_layer *noise = kl_gaussian_noise(.stddev = 1, .seed = 5);
    kl_tensor *zeros = kl_zeros(KL_FLOAT32, KL_DIMS(MANY / 64, 64)), *x = train(noise, zeros);
    const double rates[] = {0.05, 0.3, 0.7}, low = -1.7580993408473766;
    for (int i = 0; i < 3; i++) {
        double rate = rates[i], scale = 1 / sqrt((1 - rate) * (1 + rate * low * low));
        kl_layer *layer = kl_alpha_dropout(.rate = rate, .seed = 9 + i);
        kl_tensor *y = train(layer, x);
        moments m = measure(y);
        assert_true(fabs(m.mean) < 0.01 && fabs(m.variance - 1) < 0.02);
        double dropped = scale * low * (1 - rate), count = 0;
        for (int64_t k = 0; k < MANY; k++)
            count += fabs(kl_tensor_at(y, k) - dropped) < 1e-6;
        assert_true(fabs(count / MANY - rate) < 5 * sqrt(rate * (1 - rate) / MANY) + 1e-5);
        kl_release(y);
        kl_layer_release(layer);
    }
    kl_release(x);
    kl_release(zeros);
    kl_layer_release(noise);
}

/* Whole maps are kept or dropped: one value for every place that `stride` and `count` walk. */
static double check_maps(kl_layer *layer, kl_tensor *x, int64_t maps, int64_t map_stride,
                         int64_t samples, int64_t places, int64_t place_stride)
{
    kl_tensor *y = train(layer, x);
    double dropped = 0, size = (double)(maps * samples);
    for (int64_t s = 0; s < samples; s++) {
        for (int64_t m = 0; m < maps; m++) {
            int64_t first = s * maps * places + m * map_stride;
            double v = kl_tensor_at(y, first);
            dropped += v == 0 ? 1 / size : 0;
            for (int64_t p = 1; p < places; p++)
                assert_true(kl_tensor_at(y, first + p * place_stride) == v);
        }
    }
    kl_release(y);
    kl_layer_release(layer);
    return dropped;
}

static void test_spatial_structure(void **state)
{
    const double rate = 0.3;
    double bound = 5 * sqrt(rate * (1 - rate) / (256 * 16));
    kl_tensor *line = kl_ones(KL_FLOAT32, KL_DIMS(256, 12, 16));
    kl_tensor *last = kl_ones(KL_FLOAT32, KL_DIMS(256, 3, 4, 16));
    kl_tensor *first = kl_ones(KL_FLOAT32, KL_DIMS(256, 16, 3, 4));
    kl_tensor *cube = kl_ones(KL_FLOAT32, KL_DIMS(256, 2, 3, 2, 16));
    kl_tensor *cube_first = kl_ones(KL_FLOAT32, KL_DIMS(256, 16, 2, 3, 2));
    struct {
        kl_layer *layer;
        kl_tensor *x;
        int64_t map_stride, place_stride;
    } rows[] = {
        {kl_spatial_dropout1d(.rate = rate, .seed = 1), line, 1, 16},
        {kl_spatial_dropout2d(.rate = rate, .seed = 2), last, 1, 16},
        {kl_spatial_dropout2d(.rate = rate, .data_format = "channels_first", .seed = 3), first, 12,
         1},
        {kl_spatial_dropout3d(.rate = rate, .seed = 4), cube, 1, 16},
        {kl_spatial_dropout3d(.rate = rate, .data_format = "channels_first", .seed = 5), cube_first,
         12, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double dropped = check_maps(rows[i].layer, rows[i].x, 16, rows[i].map_stride, 256, 12,
                                    rows[i].place_stride);
        assert_true(fabs(dropped - rate) < bound);
        kl_release(rows[i].x);
    }
}

static void test_noise_shape(void **state)
{
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(4, 5, 6));
    kl_layer *layers[] = {kl_dropout(.rate = 0.5, .noise_shape = {-1, 1, 6}, .seed = 1),
                          kl_alpha_dropout(.rate = 0.5, .noise_shape = {-1, 1, 6}, .seed = 1)};
    for (int l = 0; l < 2; l++) {
        kl_tensor *y = train(layers[l], x);
        for (int64_t i = 0; i < 120; i++)
            assert_true(kl_tensor_at(y, i) == kl_tensor_at(y, i / 30 * 30 + i % 6));
        kl_release(y);
        kl_layer_release(layers[l]);
    }
    /* A shorter one stands for the last axes; () is one draw for all. */
    kl_layer *last = kl_dropout(.rate = 0.5, .noise_shape = {6}, .seed = 2);
    kl_tensor *y = train(last, x);
    for (int64_t i = 0; i < 120; i++)
        assert_true(kl_tensor_at(y, i) == kl_tensor_at(y, i % 6));
    kl_release(y);
    kl_layer_release(last);
    kl_layer *one = kl_layer_from_config("Dropout", "{\"rate\": 0.5, \"noise_shape\": []}");
    y = train(one, x);
    for (int64_t i = 0; i < 120; i++)
        assert_true(kl_tensor_at(y, i) == kl_tensor_at(y, 0));
    kl_release(y);
    kl_layer_release(one);
    const char *const wrong[] = {"[4, 5]", "[1, 4, 5, 6]", "[4, 2, 6]", "[null, 6]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char json[100];
        snprintf(json, sizeof json, "{\"rate\": 0.5, \"noise_shape\": %s}", wrong[i]);
        kl_layer *layer = kl_layer_from_config("Dropout", json);
        assert_non_null(layer);
        assert_null(kl_call_with(layer, .inputs = {x}, .training = KL_TRUE).at);
        assert_non_null(strstr(kl_last_error(), "noise_shape"));
        kl_layer_release(layer);
    }
    kl_release(x);
}

/* Every class by its config, with a rate or deviation; the input that it takes. */
static const struct {
    const char *class_name, *key, *more;
    int rank;
} classes[] = {
    {"Dropout", "rate", "", 3},
    {"SpatialDropout1D", "rate", "", 3},
    {"SpatialDropout2D", "rate", "", 4},
    {"SpatialDropout2D", "rate", ", \"data_format\": \"channels_first\"", 4},
    {"SpatialDropout3D", "rate", "", 5},
    {"GaussianDropout", "rate", "", 3},
    {"GaussianNoise", "stddev", "", 3},
    {"AlphaDropout", "rate", "", 3},
};
enum { CLASSES = sizeof classes / sizeof *classes };

static kl_layer *make(int i, double value, int seed)
{
    char json[200];
    snprintf(json, sizeof json, "{\"%s\": %g, \"seed\": %d%s}", classes[i].key, value, seed,
             classes[i].more);
    kl_layer *layer = kl_layer_from_config(classes[i].class_name, json);
    if (!layer)
        print_error("%s\n", kl_last_error());
    assert_non_null(layer);
    return layer;
}

static kl_tensor *sample(int rank)
{
    const int64_t shape[] = {8, 16, 8, 8, 16};
    static float values[8 * 16 * 8 * 8 * 16];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        values[i] = (float)(i % 97) - 48.5f;
    return kl_from_data(KL_FLOAT32, rank, shape, values);
}

static bool equal(const kl_tensor *a, const kl_tensor *b)
{
    return !memcmp(kl_tensor_data(a), kl_tensor_data(b), (size_t)kl_tensor_size(a) * sizeof(float));
}

static void test_identity(void **state)
{
    for (int i = 0; i < CLASSES; i++) {
        kl_tensor *x = sample(classes[i].rank);
        kl_layer *quiet = make(i, 0, 1), *noisy = make(i, 0.5, 1);
        kl_tensor *zero_rate = train(quiet, x), *inference = kl_call(noisy, x);
        assert_true(equal(zero_rate, x) && equal(inference, x));
        kl_tensor *y = train(noisy, x);
        assert_false(equal(y, x));
        assert_int_equal(kl_layer_weight_count(noisy), 0);
        kl_release(zero_rate);
        kl_release(inference);
        kl_release(y);
        kl_release(x);
        kl_layer_release(quiet);
        kl_layer_release(noisy);
    }
}

static void test_seeds_and_threads(void **state)
{
    const int threads[] = {1, 2, 8};
    for (int i = 0; i < CLASSES; i++) {
        kl_tensor *x = sample(classes[i].rank), *first[2] = {NULL};
        for (int t = 0; t < 3; t++) {
            kl_set_num_threads(threads[t]);
            kl_layer *layer = make(i, 0.5, 11), *other = make(i, 0.5, 12);
            kl_tensor *a = train(layer, x), *b = train(layer, x), *c = train(other, x);
            assert_false(equal(a, b));
            assert_false(equal(a, c));
            if (t) {
                assert_true(equal(a, first[0]) && equal(b, first[1]));
                kl_release(a);
                kl_release(b);
            } else {
                first[0] = a;
                first[1] = b;
            }
            kl_release(c);
            kl_layer_release(layer);
            kl_layer_release(other);
        }
        kl_release(first[0]);
        kl_release(first[1]);
        kl_release(x);
    }
    kl_set_num_threads(0);
}

/* What is multiplied in the forward pass is multiplied in the backward pass. */
static void test_gradients(void **state)
{
    for (int i = 0; i < CLASSES; i++) {
        kl_tensor *x = sample(classes[i].rank), *ones = NULL, *dx = NULL;
        kl_layer *layer = make(i, 0.5, 3);
        ones = kl_ones(KL_FLOAT32, kl_tensor_rank(x), kl_tensor_shape(x));
        kl_scope *scope = kl_scope_begin();
        kl_tape *tape = kl_tape_begin();
        assert_int_equal(kl_tape_watch(tape, x), KL_OK);
        kl_tensor *y = train(layer, x);
        assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &dx), KL_OK);
        bool adds = !strcmp(classes[i].class_name, "GaussianNoise");
        bool alpha = !strcmp(classes[i].class_name, "AlphaDropout");
        for (int64_t k = 0; k < kl_tensor_size(x) && !alpha; k++) {
            double factor = adds ? 1 : kl_tensor_at(y, k) / kl_tensor_at(x, k);
            assert_true(fabs(kl_tensor_at(dx, k) - factor) < 1e-5 * fmax(1, fabs(factor)));
        }
        kl_scope_end(scope);
        kl_release(ones);
        kl_release(x);
        kl_layer_release(layer);
    }
}

static void test_halves(void **state)
{
    const char *const policies[] = {"mixed_float16", "bfloat16", "float64"};
    const kl_dtype dtypes[] = {KL_FLOAT16, KL_BFLOAT16, KL_FLOAT64};
    for (int p = 0; p < 3; p++) {
        kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(64, 8, 64));
        kl_layer *layers[] = {kl_dropout(.rate = 0.5, .seed = 1, .dtype = policies[p]),
                              kl_spatial_dropout1d(.rate = 0.5, .seed = 1, .dtype = policies[p]),
                              kl_gaussian_dropout(.rate = 0.5, .seed = 1, .dtype = policies[p]),
                              kl_gaussian_noise(.stddev = 0.5, .seed = 1, .dtype = policies[p])};
        for (int l = 0; l < 4; l++) {
            kl_tensor *y = train(layers[l], x);
            assert_int_equal(kl_tensor_dtype(y), dtypes[p]);
            assert_true(fabs(measure(y).mean - 1) < 0.1);
            kl_release(y);
            kl_layer_release(layers[l]);
        }
        kl_release(x);
    }
}

static void test_activity_regularization(void **state)
{
    kl_tensor *x = kl_from_data(KL_FLOAT32, KL_DIMS(2, 2), (float[]){1, -2, 3, 0});
    kl_layer *layer = kl_activity_regularization(.l1 = 0.5, .l2 = 0.25);
    kl_tensor *y = kl_call(layer, x), *loss = kl_layer_losses(layer);
    assert_true(equal(x, y));
    assert_true(fabs(kl_tensor_at(loss, 0) - (0.5 * 6 + 0.25 * 14) / 2) < 1e-6);
    kl_release(loss);
    kl_release(y);
    kl_release(x);
    kl_layer_release(layer);
    assert_null(kl_activity_regularization(.l1 = -1));
    assert_null(kl_activity_regularization(.l1 = 1, .activity_regularizer = "l2"));
    assert_non_null(strstr(kl_last_error(), "activity_regularizer"));
}

static void test_bad_input(void **state)
{
    assert_null(kl_dropout(.rate = 1.5));
    assert_non_null(strstr(kl_last_error(), "rate must be from 0 to 1, got 1.5"));
    assert_null(kl_spatial_dropout2d(.rate = -0.1));
    assert_null(kl_spatial_dropout3d(.rate = 0.1, .data_format = "channels_middle"));
    assert_null(kl_gaussian_dropout(.rate = 2));
    assert_null(kl_gaussian_noise(.stddev = 1.5));
    assert_null(kl_alpha_dropout(.rate = NAN));
    assert_null(kl_dropout_new(NULL));
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(2, 3)), *ids = kl_ones(KL_INT32, KL_DIMS(2, 3));
    kl_layer *layers[] = {kl_gaussian_dropout(.rate = 1), kl_alpha_dropout(.rate = 1)};
    for (int i = 0; i < 2; i++) {
        assert_null(kl_call_with(layers[i], .inputs = {x}, .training = KL_TRUE).at);
        assert_non_null(strstr(kl_last_error(), "below 1"));
        kl_layer_release(layers[i]);
    }
    kl_layer *noise = kl_gaussian_noise(.stddev = 0.5), *spatial = kl_spatial_dropout1d(.rate = .5);
    assert_null(kl_call_with(noise, .inputs = {ids}, .training = KL_TRUE).at);
    assert_non_null(strstr(kl_last_error(), "int32"));
    assert_null(kl_call(spatial, x));
    assert_non_null(strstr(kl_last_error(), "ndim=3"));
    kl_layer_release(noise);
    kl_layer_release(spatial);
    kl_release(x);
    kl_release(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout_moments),
        cmocka_unit_test(test_gaussian_moments),
        cmocka_unit_test(test_gaussian_draws_are_independent),
        cmocka_unit_test(test_alpha_dropout_moments),
        cmocka_unit_test(test_spatial_structure),
        cmocka_unit_test(test_noise_shape),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_seeds_and_threads),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_activity_regularization),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
