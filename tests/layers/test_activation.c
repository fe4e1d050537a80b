/* Activation layers from C: their defaults, axes, masks given to the call, bad input. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/klayers.h"

static kl_tensor *sample(void)
{
    return kl_from_data(KL_FLOAT32, KL_DIMS(2, 4), (float[]){-2, -0.5f, 0, 1, 7, 0.25f, -1, 3});
}

static void check(kl_layer *layer, const double *expected)
{
    kl_tensor *x = sample(), *y = kl_call(layer, x);
    if (!y)
        print_error("%s\n", kl_last_error());
    assert_non_null(y);
    for (int64_t i = 0; i < 8; i++)
        assert_true(fabs(kl_tensor_at(y, i) - expected[i]) < 1e-6);
    kl_release(x);
    kl_release(y);
    kl_layer_release(layer);
}

static void test_formulas(void **state)
{
    check(kl_relu(), (double[]){0, 0, 0, 1, 7, 0.25, 0, 3});
    check(kl_relu(.max_value = 6), (double[]){0, 0, 0, 1, 6, 0.25, 0, 3});
    check(kl_relu(.max_value = 2, .negative_slope = 0.5, .threshold = 0.5),
          (double[]){-1.25, -0.5, -0.25, 1, 2, -0.125, -0.75, 2});
    /* What is above the threshold is above max_value too. */
    check(kl_relu(.max_value = 1, .threshold = 2), (double[]){0, 0, 0, 0, 1, 0, 0, 1});
    check(kl_leaky_relu(), (double[]){-0.6, -0.15, 0, 1, 7, 0.25, -0.3, 3});
    check(kl_elu(.alpha = 2),
          (double[]){2 * expm1(-2), 2 * expm1(-0.5), 0, 1, 7, 0.25, 2 * expm1(-1), 3});
    check(kl_thresholded_relu(), (double[]){0, 0, 0, 0, 7, 0, 0, 3});
    check(kl_prelu(), (double[]){0, 0, 0, 1, 7, 0.25, 0, 3});
    kl_layer *slopes =
        kl_prelu(.alpha_initializer = kl_constant(.value = 0.5), .shared_axes = KL_INTS(1));
    check(slopes, (double[]){-1, -0.25, 0, 1, 7, 0.25, -0.5, 3});
}

static double sum_of(const kl_tensor *x, int64_t from, int64_t count, int64_t step)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += kl_tensor_at(x, from + i * step);
    return sum;
}

static void test_softmax_axes(void **state)
{
    kl_tensor *x = sample();
    kl_layer *last = kl_softmax(), *first = kl_softmax(.axis = KL_INTS(0)),
             *both = kl_softmax(.axis = KL_INTS(0, 1)), *all = kl_softmax(.axis = KL_INTS(KL_NONE));
    kl_tensor *y = kl_call(last, x);
    assert_true(fabs(sum_of(y, 0, 4, 1) - 1) < 1e-6 && fabs(sum_of(y, 4, 4, 1) - 1) < 1e-6);
    kl_release(y);
    y = kl_call(first, x);
    assert_true(fabs(sum_of(y, 0, 2, 4) - 1) < 1e-6 && fabs(sum_of(y, 3, 2, 4) - 1) < 1e-6);
    kl_release(y);
    y = kl_call(both, x);
    kl_tensor *z = kl_call(all, x);
    assert_true(fabs(sum_of(y, 0, 8, 1) - 1) < 1e-6);
    for (int64_t i = 0; i < 8; i++)
        assert_true(kl_tensor_at(y, i) == kl_tensor_at(z, i));
    char *config = kl_layer_get_config(all);
    assert_non_null(strstr(config, "\"axis\": null"));
    kl_free_text(config);
    config = kl_layer_get_config(last);
    assert_non_null(strstr(config, "\"axis\": -1"));
    kl_free_text(config);
    kl_release(y);
    kl_release(z);
    kl_release(x);
    kl_layer_release(last);
    kl_layer_release(first);
    kl_layer_release(both);
    kl_layer_release(all);
}

/* By the mask list or as an argument by name. */
static void test_softmax_mask(void **state)
{
    kl_tensor *x = sample();
    kl_tensor *mask = kl_from_data(KL_BOOL, KL_DIMS(2, 4), (uint8_t[]){1, 0, 1, 1, 0, 0, 0, 0});
    kl_layer *layer = kl_softmax();
    kl_tensor *a = kl_call_with(layer, .inputs = {x}, .masks = {mask}).at[0];
    kl_tensor *b = kl_call_with(layer, .inputs = {x}, .arguments = {{"mask", mask, false}}).at[0];
    assert_true(kl_tensor_at(a, 1) == 0 && fabs(sum_of(a, 0, 4, 1) - 1) < 1e-6);
    assert_true(sum_of(a, 4, 4, 1) == 0);
    for (int64_t i = 0; i < 8; i++)
        assert_true(kl_tensor_at(a, i) == kl_tensor_at(b, i));
    kl_tensor *wrong = kl_ones(KL_BOOL, KL_DIMS(2, 3));
    assert_null(kl_call_with(layer, .inputs = {x}, .masks = {wrong}).at);
    assert_non_null(strstr(kl_last_error(), "(2, 3)"));
    kl_release(wrong);
    kl_release(a);
    kl_release(b);
    kl_release(mask);
    kl_release(x);
    kl_layer_release(layer);
}

static void refuse(kl_layer *layer, kl_tensor *x, const char *text)
{
    assert_non_null(layer);
    assert_null(kl_call(layer, x));
    assert_non_null(strstr(kl_last_error(), text));
    kl_layer_release(layer);
}

static void test_bad_input(void **state)
{
    assert_null(kl_relu(.max_value = -1));
    assert_non_null(strstr(kl_last_error(), "max_value must be at least 0, got -1"));
    assert_null(kl_relu(.negative_slope = NAN));
    assert_null(kl_relu(.threshold = -0.5));
    assert_null(kl_leaky_relu(.negative_slope = -0.1));
    assert_null(kl_elu(.alpha = NAN));
    assert_null(kl_thresholded_relu(.theta = -1));
    assert_null(kl_prelu(.alpha_initializer = "no_such"));
    assert_null(kl_relu_new(NULL));
    kl_tensor *x = sample();
    refuse(kl_prelu(.shared_axes = KL_INTS(2)), x, "axis 2 is out of bounds");
    refuse(kl_softmax(.axis = KL_INTS(2)), x, "axis 2 is out of bounds");
    refuse(kl_softmax(.axis = KL_INTS(-3, 0)), x, "axis -3 is out of bounds");
    kl_layer *slopes = kl_prelu();
    const kl_shape open = {.rank = 3, .at = {-1, -1, 4}};
    assert_int_not_equal(kl_layer_build(slopes, &open, 1), KL_OK);
    assert_non_null(strstr(kl_last_error(), "must be known or shared"));
    kl_layer_release(slopes);
    kl_release(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_softmax_axes),
        cmocka_unit_test(test_softmax_mask),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
