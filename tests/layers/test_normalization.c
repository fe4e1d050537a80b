/* Normalization: learned and given statistics, axes, the inverse, configs, bad input. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/layers/preprocessing.h"

static kl_tensor *data(void)
{
    const float x[] = {1, 10, 2, 20, 3, 60, 6, 70};
    return kl_from_data(KL_FLOAT32, KL_DIMS(4, 2), x);
}

static void check_output(kl_layer *layer, kl_tensor *x, const double *mean, const double *variance,
                         bool invert)
{
    kl_tensor *y = kl_call(layer, x);
    if (!y)
        print_error("%s\n", kl_last_error());
    assert_non_null(y);
    for (int64_t i = 0; i < kl_tensor_size(x); i++) {
        double scale = fmax(sqrt(variance[i % 2]), 1e-7), v = kl_tensor_at(x, i);
        double expected = invert ? mean[i % 2] + v * scale : (v - mean[i % 2]) / scale;
        assert_true(fabs(kl_tensor_at(y, i) - expected) <= 1e-5 * fmax(1, fabs(expected)));
    }
    kl_release(y);
}

static void test_adapt(void **state)
{
    kl_layer *layer = kl_normalization();
    kl_tensor *x = data();
    assert_int_equal(kl_layer_adapt(layer, x), KL_OK);
    check_output(layer, x, (double[]){3, 40}, (double[]){3.5, 650}, false);
    assert_int_equal(kl_layer_weight_count(layer), 3);
    assert_int_equal(kl_layer_trainable_weight_count(layer), 0);
    assert_string_equal(kl_weight_name(kl_layer_weight(layer, 0)), "mean");
    assert_string_equal(kl_weight_name(kl_layer_weight(layer, 2)), "count");
    /* A second adapt starts anew. */
    kl_tensor *other = kl_ones(KL_FLOAT32, KL_DIMS(3, 2));
    assert_int_equal(kl_layer_adapt(layer, other), KL_OK);
    check_output(layer, x, (double[]){1, 1}, (double[]){0, 0}, false);
    kl_release(other);
    kl_release(x);
    kl_layer_release(layer);
}

extern const kl_layer_vtable kl_normalization_class;

static void test_adapt_in_batches(void **state)
{
    kl_layer *layer = kl_normalization();
    kl_tensor *x = data();
    kl_shape shape = {.rank = 2, .at = {-1, 2}};
    assert_int_equal(kl_layer_build(layer, &shape, 1), KL_OK);
    kl_scope *scope = kl_scope_begin();
    assert_int_equal(kl_normalization_class.adapt_reset(layer), KL_OK);
    kl_tensor *first = kl_view_slice(x, 0, 0, 3, 1), *rest = kl_view_slice(x, 0, 3, 4, 1);
    assert_int_equal(kl_normalization_class.adapt_update(layer, first), KL_OK);
    assert_int_equal(kl_normalization_class.adapt_update(layer, rest), KL_OK);
    assert_int_equal(kl_normalization_class.adapt_finish(layer), KL_OK);
    kl_scope_end(scope);
    check_output(layer, x, (double[]){3, 40}, (double[]){3.5, 650}, false);
    kl_release(x);
    kl_layer_release(layer);
}

static void test_axis_none(void **state)
{
    kl_layer *layer = kl_normalization(.axis = KL_NONE);
    kl_tensor *x = data();
    assert_int_equal(kl_layer_adapt(layer, x), KL_OK);
    double mean = 172. / 8, square = (1 + 100 + 4 + 400 + 9 + 3600 + 36 + 4900) / 8.;
    double variance = square - mean * mean;
    check_output(layer, x, (double[]){mean, mean}, (double[]){variance, variance}, false);
    assert_int_equal(kl_tensor_rank(kl_weight_value(kl_layer_weight(layer, 0))), 0);
    kl_release(x);
    kl_layer_release(layer);
}

static void test_given(void **state)
{
    kl_tensor *x = data(), *mean = kl_from_data(KL_FLOAT32, KL_DIMS(2), (float[]){1, 2});
    kl_tensor *variance = kl_from_data(KL_FLOAT32, KL_DIMS(2), (float[]){4, 9});
    kl_tensor *three = kl_scalar(KL_FLOAT32, 3);
    kl_layer *layer = kl_normalization(.mean = mean, .variance = variance);
    check_output(layer, x, (double[]){1, 2}, (double[]){4, 9}, false);
    assert_int_equal(kl_layer_weight_count(layer), 0);
    assert_int_not_equal(kl_layer_adapt(layer, x), KL_OK);
    kl_layer_release(layer);
    layer = kl_normalization(.mean = mean, .variance = variance, .invert = true);
    check_output(layer, x, (double[]){1, 2}, (double[]){4, 9}, true);
    kl_layer_release(layer);
    layer = kl_normalization(.mean = three, .variance = three);
    check_output(layer, x, (double[]){3, 3}, (double[]){3, 3}, false);
    kl_layer_release(layer);
    assert_null(kl_normalization(.mean = mean));
    assert_non_null(strstr(kl_last_error(), "both mean and variance"));
    assert_null(kl_normalization(.mean = mean, .variance = three));
    assert_null(kl_normalization(.mean = mean, .variance = variance, .axis = KL_NONE));
    kl_release(x);
    kl_release(mean);
    kl_release(variance);
    kl_release(three);
}

static void test_several_axes(void **state)
{
    float values[24];
    for (int i = 0; i < 24; i++)
        values[i] = (float)(i * i % 17);
    kl_tensor *x = kl_from_data(KL_FLOAT32, KL_DIMS(4, 3, 2), values);
    kl_layer *layer = kl_normalization(.axes = KL_INTS(-1, 1));
    assert_int_equal(kl_layer_adapt(layer, x), KL_OK);
    kl_tensor *mean = kl_weight_value(kl_layer_weight(layer, 0)), *y = kl_call(layer, x);
    assert_int_equal(kl_tensor_rank(mean), 2);
    assert_int_equal(kl_tensor_dim(mean, 0), 3);
    for (int i = 0; i < 6; i++) {
        double sum = 0, square = 0;
        for (int b = 0; b < 4; b++) {
            double v = kl_tensor_at(y, b * 6 + i);
            sum += v;
            square += v * v;
        }
        assert_true(fabs(sum) < 1e-5 && fabs(square / 4 - 1) < 1e-5);
    }
    char *config = kl_layer_get_config(layer);
    assert_non_null(strstr(config, "\"axis\": [-1, 1]"));
    kl_free_text(config);
    kl_release(y);
    kl_release(x);
    kl_layer_release(layer);
}

static void check_axis(const char *json, const char *expected)
{
    kl_layer *layer = kl_layer_from_config("Normalization", json);
    assert_non_null(layer);
    char *config = kl_layer_get_config(layer);
    assert_non_null(strstr(config, expected));
    kl_free_text(config);
    kl_layer_release(layer);
}

static void test_config(void **state)
{
    check_axis("{}", "\"axis\": [-1]");
    check_axis("{\"axis\": null}", "\"axis\": []");
    check_axis("{\"axis\": []}", "\"axis\": []");
    check_axis("{\"axis\": 2}", "\"axis\": [2]");
    check_axis("{\"axis\": [1, 2]}", "\"axis\": [1, 2]");
    check_axis("{\"mean\": [1.5, 2.0], \"variance\": [3.0, 0.1]}", "\"variance\": [3.0, 0.1]");
    check_axis("{\"mean\": 1, \"variance\": 2.0}", "\"variance\": 2.0");
    assert_null(kl_layer_from_config("Normalization", "{\"axis\": \"last\"}"));
    assert_null(kl_layer_from_config("Normalization", "{\"mean\": [[1], 2], \"variance\": 1}"));
}

static void test_bad_input(void **state)
{
    kl_layer *layer = kl_normalization(.axis = 3);
    kl_tensor *x = data(), *text = kl_from_strings(KL_DIMS(1, 2), (const char *[]){"a", "b"});
    kl_tensor *wide = kl_zeros(KL_FLOAT32, KL_DIMS(2, 5)),
              *none = kl_zeros(KL_FLOAT32, KL_DIMS(0, 2));
    assert_null(kl_call(layer, x));
    assert_non_null(strstr(kl_last_error(), "axis"));
    kl_layer_release(layer);
    layer = kl_normalization();
    assert_null(kl_call(layer, text));
    assert_int_equal(kl_layer_adapt(layer, x), KL_OK);
    assert_int_not_equal(kl_layer_adapt(layer, wide), KL_OK);
    assert_int_not_equal(kl_layer_adapt(layer, none), KL_OK);
    assert_int_not_equal(kl_layer_adapt(layer, text), KL_OK);
    assert_null(kl_call(layer, wide));
    kl_layer_release(layer);
    kl_release(x);
    kl_release(text);
    kl_release(wide);
    kl_release(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adapt),        cmocka_unit_test(test_adapt_in_batches),
        cmocka_unit_test(test_axis_none),    cmocka_unit_test(test_given),
        cmocka_unit_test(test_several_axes), cmocka_unit_test(test_config),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
