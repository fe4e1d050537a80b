/* Constraints: values of real Keras, the three ways, configs, bad input. */
#include <math.h>
#include "base/test_support.h"
#include "klayers/klayers.h"

/* A weight [4, 3] of both signs. */
static const float w[] = {-1.25f, 0,     1.25f,  0.5f,  -1,     0.25f,
                          -0.5f,  0.75f, -0.75f, 1.25f, -0.25f, 1};

static kl_tensor *weight(void)
{
    return kl_from_data(KL_FLOAT32, KL_DIMS(4, 3), w);
}

static void check(kl_constraint *constraint, kl_tensor *x, const double *expected)
{
    if (!constraint)
        print_error("%s\n", kl_last_error());
    assert_non_null(constraint);
    kl_tensor *y = kl_constraint_call(constraint, x);
    assert_non_null(y);
    assert_int_equal(kl_tensor_size(y), kl_tensor_size(x));
    for (int64_t i = 0; i < kl_tensor_size(y); i++)
        assert_true(fabs(kl_tensor_at(y, i) - expected[i]) <= 2e-6);
    kl_release(y);
    kl_release(x);
    kl_object_release(constraint);
}

static const double max_norm[] = {-1.24999988,  0,           1.24999988,  0.49999997,
                                  -0.999999881, 0.249999985, -0.49999997, 0.749999881,
                                  -0.74999994,  1.24999988,  -0.24999997, 0.99999994};
static const double max_norm_axis_1[] = {-0.707106709, 0,           0.707106709,  0.436435729,
                                         -0.872871459, 0.218217865, -0.426401377, 0.639602065,
                                         -0.639602065, 0.771516681, -0.154303342, 0.617213368};
static const double max_norm_axes[] = {-0.645497203, 0,           0.645497203,  0.258198887,
                                       -0.516397774, 0.129099444, -0.258198887, 0.387298346,
                                       -0.387298346, 0.645497203, -0.129099444, 0.516397774};
static const double min_max_norm[] = {-0.656532109, 0,           0.700139999,  0.262612849,
                                      -0.784464478, 0.140028,    -0.262612849, 0.588348389,
                                      -0.420084,    0.656532109, -0.19611612,  0.560112};
static const double min_max_norm_half[] = {-1.11997473,  0,           1.11997473,   0.511861444,
                                           -1.02372289,  0.255930722, -0.505840778, 0.758761168,
                                           -0.758761168, 1.16506159,  -0.233012319, 0.932049274};
static const double non_neg[] = {0, 0, 1.25, 0.5, 0, 0.25, 0, 0.75, 0, 1.25, 0, 1};
static const double unit_norm[] = {-0.656532109, 0,           0.700139999,  0.262612849,
                                   -0.784464478, 0.140028,    -0.262612849, 0.588348329,
                                   -0.420084,    0.656532109, -0.19611612,  0.560112};
static const double unit_norm_axis_1[] = {-0.707106709, 0,           0.707106709,  0.436435729,
                                          -0.872871459, 0.218217865, -0.426401377, 0.639602065,
                                          -0.639602065, 0.77151674,  -0.154303342, 0.617213368};

static void test_values(void **state)
{
    check(kl_max_norm(), weight(), max_norm);
    check(kl_max_norm(.max_value = 1, .axis = KL_INTS(1)), weight(), max_norm_axis_1);
    check(kl_max_norm(.max_value = 1.5, .axis = KL_INTS(0, 1)), weight(), max_norm_axes);
    check(kl_min_max_norm(), weight(), min_max_norm);
    check(kl_min_max_norm(.min_value = 1.2, .max_value = 1.4, .rate = 0.5, .axis = KL_INTS(1)),
          weight(), min_max_norm_half);
    check(kl_non_neg(), weight(), non_neg);
    check(kl_unit_norm(), weight(), unit_norm);
    check(kl_unit_norm(.axis = KL_INTS(1)), weight(), unit_norm_axis_1);
    check(kl_constraint_get("max_norm"), weight(), max_norm);
    check(kl_constraint_get("NonNeg"), weight(), non_neg);
    /* A weight that is too short is left as it is. */
    check(kl_max_norm(.max_value = 100), weight(),
          (const double[]){-1.25, 0, 1.25, 0.5, -1, 0.25, -0.5, 0.75, -0.75, 1.25, -0.25, 1});
}

static kl_tensor *counting_up(int64_t side, int64_t channels)
{
    kl_tensor *flat = kl_arange(KL_FLOAT32, 0, (double)(side * side * channels), 1);
    kl_tensor *kernel = kl_view_reshape(flat, KL_DIMS(side, side, channels, 1));
    kl_release(flat);
    return kernel;
}

static const double radial_3[] = {4, 4, 4, 4, 0, 4, 4, 4, 4};
static const double radial_4[] = {15, 15, 15, 15, 15, 5, 5, 15, 15, 5, 5, 15, 15, 15, 15, 15};
static const double radial_5[] = {36, 37, 36, 37, 36, 37, 36, 37, 36, 37, 36, 37, 24,
                                  25, 24, 25, 24, 25, 36, 37, 36, 37, 24, 25, 12, 13,
                                  24, 25, 36, 37, 36, 37, 24, 25, 24, 25, 24, 25, 36,
                                  37, 36, 37, 36, 37, 36, 37, 36, 37, 36, 37};

static void test_radial(void **state)
{
    check(kl_radial_constraint(), counting_up(3, 1), radial_3);
    check(kl_radial_constraint(), counting_up(4, 1), radial_4);
    check(kl_constraint_get("radial_constraint"), counting_up(5, 2), radial_5);
    kl_constraint *radial = kl_radial_constraint();
    kl_tensor *flat = weight();
    assert_null(kl_constraint_call(radial, flat));
    assert_non_null(strstr(kl_last_error(), "(4, 3)"));
    kl_release(flat);
    kl_object_release(radial);
}

static kl_tensor *negative(kl_tensor *x, void *user)
{
    return user ? kl_op_neg(x) : NULL;
}

static void test_own_function(void **state)
{
    double minus[12];
    for (int i = 0; i < 12; i++)
        minus[i] = -(double)w[i];
    check(kl_constraint_from("negative", negative, minus), weight(), minus);
    assert_null(kl_constraint_from("none", NULL, NULL));
    kl_constraint *failing = kl_constraint_from("negative", negative, NULL);
    kl_tensor *x = weight();
    assert_null(kl_constraint_call(failing, x));
    assert_null(kl_constraint_call(failing, NULL));
    assert_null(kl_constraint_call(NULL, x));
    kl_release(x);
    kl_object_release(failing);
}

static void check_config(kl_constraint *constraint, const char *expected)
{
    assert_non_null(constraint);
    kl_config *config = kl_object_serialize(constraint);
    kl_constraint *again = kl_object_deserialize(KL_KIND_CONSTRAINT, config);
    kl_config *second = kl_object_serialize(again);
    char *text = kl_config_print(config, false);
    assert_string_equal(text, expected);
    assert_true(kl_config_equal(config, second));
    kl_config_free_text(text);
    kl_config_free(config);
    kl_config_free(second);
    kl_object_release(again);
    kl_object_release(constraint);
}

static void test_configs(void **state)
{
    check_config(kl_max_norm(), "{\"module\": \"keras.constraints\", \"class_name\": \"MaxNorm\", "
                                "\"config\": {\"max_value\": 2.0, \"axis\": 0}, "
                                "\"registered_name\": null}");
    check_config(kl_unit_norm(.axis = KL_INTS(0, 1)),
                 "{\"module\": \"keras.constraints\", \"class_name\": \"UnitNorm\", \"config\": "
                 "{\"axis\": [0, 1]}, \"registered_name\": null}");
    check_config(kl_non_neg(), "{\"module\": \"keras.constraints\", \"class_name\": \"NonNeg\", "
                               "\"config\": {}, \"registered_name\": null}");
}

static void test_bad_input(void **state)
{
    assert_null(kl_max_norm(.max_value = -1));
    assert_null(kl_min_max_norm(.rate = 2));
    assert_null(kl_constraint_get("norm"));
    assert_null(kl_constraint_get(kl_zeros_initializer()));
    kl_constraint *far = kl_unit_norm(.axis = KL_INTS(2));
    kl_tensor *x = weight();
    assert_null(kl_constraint_call(far, x));
    kl_release(x);
    kl_object_release(far);
}

#define CHECK_DEFAULTS(name)                                                                       \
    do {                                                                                           \
        const name##_args args = name##_defaults();                                                \
        kl_constraint *x = name##_new(&args), *y = name();                                         \
        kl_config *p = kl_object_serialize(x), *q = kl_object_serialize(y);                        \
        assert_true(kl_config_equal(p, q));                                                        \
        kl_config_free(p);                                                                         \
        kl_config_free(q);                                                                         \
        kl_object_release(x);                                                                      \
        kl_object_release(y);                                                                      \
    } while (0)

static void test_defaults(void **state)
{
    CHECK_DEFAULTS(kl_max_norm);
    CHECK_DEFAULTS(kl_min_max_norm);
    CHECK_DEFAULTS(kl_non_neg);
    CHECK_DEFAULTS(kl_unit_norm);
    CHECK_DEFAULTS(kl_radial_constraint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_radial),
        cmocka_unit_test(test_own_function), cmocka_unit_test(test_configs),
        cmocka_unit_test(test_bad_input),    cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
