/* Activations: values of real Keras, the three ways, configs, bad input. */
#include <math.h>
#include "base/test_support.h"
#include "klayers/klayers.h"

static kl_tensor *input(void)
{
    return kl_from_data(KL_FLOAT32, KL_DIMS(1, 8), (float[]){-3, -1, -.4f, 0, .3f, .5f, 1, 4});
}

static void check(kl_activation *activation, const double *expected)
{
    if (!activation)
        print_error("%s\n", kl_last_error());
    assert_non_null(activation);
    kl_tensor *x = input(), *y = kl_activation_call(activation, x);
    assert_non_null(y);
    for (int64_t i = 0; i < kl_tensor_size(y); i++) {
        double got = kl_tensor_at(y, i);
        if (fabs(got - expected[i]) > 2e-6 * fmax(1, fabs(expected[i])))
            print_error("%s at %d: %g, expected %g\n", kl_object_class_name(activation), (int)i,
                        got, expected[i]);
        assert_true(fabs(got - expected[i]) <= 2e-6 * fmax(1, fabs(expected[i])));
    }
    kl_release(y);
    kl_release(x);
    kl_object_release(activation);
}

static const struct {
    const char *name;
    double values[8];
} by_name[] = {
    {"linear", {-3, -1, -0.400000006, 0, 0.300000012, 0.5, 1, 4}},
    {"relu", {0, 0, 0, 0, 0.300000012, 0.5, 1, 4}},
    {"tanh",
     {-0.995054722, -0.761594176, -0.379948974, 0, 0.291312635, 0.462117136, 0.761594176,
      0.999329269}},
    {"sigmoid",
     {0.0474258661, 0.268941402, 0.401312292, 0.5, 0.574442446, 0.622459352, 0.731058538,
      0.982013762}},
    {"softmax",
     {0.000797831337, 0.00589522021, 0.0107417908, 0.0160248689, 0.0216313116, 0.0264205448,
      0.0435601138, 0.874928296}},
    {"selu",
     {-1.6705687, -1.11133075, -0.579610109, 0, 0.315210313, 0.525350511, 1.05070102, 4.20280409}},
    {"softplus",
     {0.0485873558, 0.313261688, 0.51301527, 0.693147182, 0.854355216, 0.974076927, 1.31326163,
      4.01814985}},
    {"softsign", {-0.75, -0.5, -0.285714298, 0, 0.230769247, 0.333333343, 0.5, 0.800000012}},
    {"silu",
     {-0.142277598, -0.268941402, -0.16052492, 0, 0.172332734, 0.311229676, 0.731058538,
      3.92805505}},
    {"swish",
     {-0.142277598, -0.268941402, -0.16052492, 0, 0.172332734, 0.311229676, 0.731058538,
      3.92805505}},
    {"relu6", {0, 0, 0, 0, 0.300000012, 0.5, 1, 4}},
    {"mish",
     {-0.145647481, -0.3034015, -0.188916489, 0, 0.20800139, 0.375245184, 0.865098417, 3.99741244}},
    {"hard_sigmoid", {0, 0.333333343, 0.433333308, 0.5, 0.550000012, 0.583333313, 0.666666687, 1}},
    {"hard_silu", {-0, -0.333333343, -0.173333332, 0, 0.165000007, 0.291666657, 0.666666687, 4}},
    {"hard_swish", {-0, -0.333333343, -0.173333332, 0, 0.165000007, 0.291666657, 0.666666687, 4}},
    {"hard_tanh", {-1, -1, -0.400000006, 0, 0.300000012, 0.5, 1, 1}},
    {"tanh_shrink",
     {-2.00494528, -0.238405824, -0.0200510323, 0, 0.00868737698, 0.0378828645, 0.238405824,
      3.00067067}},
    {"sparse_plus", {0, 0, 0.090000011, 0.25, 0.422499985, 0.5625, 1, 4}},
    {"sparse_sigmoid", {0, 0, 0.300000012, 0.5, 0.649999976, 0.75, 1, 1}},
    {"log_sigmoid",
     {-3.04858708, -1.31326163, -0.913015246, -0.693147182, -0.554355204, -0.474076986,
      -0.313261688, -0.0181499291}},
    {"exponential",
     {0.0497870706, 0.36787945, 0.670320034, 1, 1.34985876, 1.64872122, 2.71828175, 54.5981483}},
    {"log_softmax",
     {-7.13361311, -5.13361311, -4.5336132, -4.13361311, -3.8336134, -3.63361335, -3.13361335,
      -0.133613318}},
    {"sparsemax", {0, 0, 0, 0, 0, 0, 0, 1}},
    {"glu", {-1.72332764, -0.622459352, -0.292423457, 0}},
    {"gelu",
     {-0.00404969649, -0.158655256, -0.137831315, 0, 0.185373425, 0.345731229, 0.841344714,
      3.9998734}},
    {"elu", {-0.950212955, -0.63212055, -0.329679966, 0, 0.300000012, 0.5, 1, 4}},
    {"celu", {-0.950212955, -0.63212055, -0.329679966, 0, 0.300000012, 0.5, 1, 4}},
    {"leaky_relu", {-0.600000024, -0.200000003, -0.0800000057, 0, 0.300000012, 0.5, 1, 4}},
    {"hard_shrink", {-3, -1, 0, 0, 0, 0, 1, 4}},
    {"soft_shrink", {-2.5, -0.5, 0, 0, 0, 0, 0.5, 3.5}},
    {"squareplus",
     {0.302775621, 0.618034005, 0.819803894, 1, 1.16118741, 1.28077638, 1.61803401, 4.23606777}},
};

static void test_names(void **state)
{
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++)
        check(kl_activation_get(by_name[i].name), by_name[i].values);
    assert_null(kl_activation_get("rleu"));
    assert_non_null(strstr(kl_last_error(), "rleu"));
    assert_null(kl_activation_get(NULL));
}

static const double *value_of(const char *name)
{
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++)
        if (!strcmp(by_name[i].name, name))
            return by_name[i].values;
    return NULL;
}

static void test_objects(void **state)
{
    check(kl_activation_relu(.negative_slope = 0.1, .max_value = 2, .threshold = 0.4),
          (const double[]){-0.340000004, -0.140000001, -0.0800000057, -0.0400000028, -0.00999999978,
                           0.5, 1, 2});
    check(kl_activation_leaky_relu(.negative_slope = 0.3),
          (const double[]){-0.900000036, -0.300000012, -0.120000005, 0, 0.300000012, 0.5, 1, 4});
    check(kl_activation_elu(.alpha = 0.5),
          (const double[]){-0.475106478, -0.316060275, -0.164839983, 0, 0.300000012, 0.5, 1, 4});
    check(kl_activation_celu(.alpha = 0.5),
          (const double[]){-0.498760611, -0.432332367, -0.275335521, 0, 0.300000012, 0.5, 1, 4});
    check(kl_activation_hard_shrink(.threshold = 0.7), (const double[]){-3, -1, 0, 0, 0, 0, 1, 4});
    check(kl_activation_soft_shrink(.threshold = 0.2),
          (const double[]){-2.79999995, -0.800000012, -0.200000003, 0, 0.100000009, 0.300000012,
                           0.800000012, 3.79999995});
    check(kl_activation_squareplus(.b = 2),
          (const double[]){0.15831244, 0.366025388, 0.534846961, 0.707106769, 0.872841597, 1,
                           1.36602545, 4.12132025});
    check(kl_activation_threshold(.threshold = 0.4, .default_value = -7),
          (const double[]){-7, -7, -7, -7, -7, 0.5, 1, 4});
    check(kl_activation_gelu(.approximate = true),
          (const double[]){-0.00363743305, -0.158807993, -0.137838826, 0, 0.185370937, 0.345714003,
                           0.841192007, 3.9999299});
}

/* With Keras's defaults an object is what its name is. */
static void test_defaults(void **state)
{
    check(kl_activation_relu(), value_of("relu"));
    check(kl_activation_leaky_relu(), value_of("leaky_relu"));
    check(kl_activation_elu(), value_of("elu"));
    check(kl_activation_celu(), value_of("celu"));
    check(kl_activation_hard_shrink(), value_of("hard_shrink"));
    check(kl_activation_soft_shrink(), value_of("soft_shrink"));
    check(kl_activation_squareplus(), value_of("squareplus"));
    check(kl_activation_softmax(), value_of("softmax"));
    check(kl_activation_log_softmax(), value_of("log_softmax"));
    check(kl_activation_sparsemax(), value_of("sparsemax"));
    check(kl_activation_glu(), value_of("glu"));
    check(kl_activation_gelu(), value_of("gelu"));
    const kl_activation_relu_args relu = kl_activation_relu_defaults();
    check(kl_activation_relu_new(&relu), value_of("relu"));
    const kl_activation_leaky_relu_args leaky = kl_activation_leaky_relu_defaults();
    check(kl_activation_leaky_relu_new(&leaky), value_of("leaky_relu"));
    const kl_activation_squareplus_args square = kl_activation_squareplus_defaults();
    check(kl_activation_squareplus_new(&square), value_of("squareplus"));
    const kl_activation_softmax_args softmax = kl_activation_softmax_defaults();
    check(kl_activation_softmax_new(&softmax), value_of("softmax"));
}

static kl_tensor *twice(kl_tensor *x, void *user)
{
    ++*(int *)user;
    return kl_op_mul_scalar(x, 2);
}

static double call_dense(kl_layer *dense)
{
    if (!dense)
        print_error("%s\n", kl_last_error());
    assert_non_null(dense);
    kl_tensor *x = input(), *y = kl_call(dense, x);
    assert_non_null(y);
    double value = kl_tensor_at(y, 0);
    kl_release(y);
    kl_release(x);
    return value;
}

static kl_layer *read_dense(const char *activation)
{
    char json[400];
    snprintf(json, sizeof json,
             "{\"units\": 1, \"kernel_initializer\": \"ones\", \"activation\": %s}", activation);
    return kl_layer_from_config("Dense", json);
}

static void test_own_function(void **state)
{
    int calls = 0;
    kl_layer *dense = kl_dense(.units = 1, .kernel_initializer = "ones",
                               .activation = kl_activation_from("twice", twice, &calls));
    assert_true(fabs(call_dense(dense) - 2.8) < 1e-5);
    assert_int_equal(calls, 1);
    kl_layer_release(dense);
    assert_null(kl_activation_from(NULL, twice, &calls));
    assert_null(read_dense("\"twice\""));
    /* Registered, it is known by its name, in the forms that Keras writes. */
    assert_int_equal(kl_register_activation("twice", twice, &calls), KL_OK);
    const char *forms[] = {"\"twice\"",
                           ("{\"module\": \"builtins\", \"class_name\": \"function\", \"config\": "
                            "\"Custom>twice\", \"registered_name\": \"function\"}"),
                           "{\"class_name\": \"function\", \"config\": \"twice\"}"};
    for (int i = 0; i < 3; i++) {
        dense = read_dense(forms[i]);
        assert_true(fabs(call_dense(dense) - 2.8) < 1e-5);
        char *config = kl_layer_get_config(dense);
        kl_layer *again = kl_layer_from_config("Dense", config);
        assert_true(fabs(call_dense(again) - 2.8) < 1e-5);
        assert_non_null(
            strstr(config, "\"class_name\": \"function\", \"config\": \"Custom>twice\""));
        kl_free_text(config);
        kl_layer_release(again);
        kl_layer_release(dense);
    }
    dense = kl_dense(.units = 1, .kernel_initializer = "ones", .activation = "twice");
    assert_true(fabs(call_dense(dense) - 2.8) < 1e-5);
    kl_layer_release(dense);
    kl_shutdown();
}

static void check_config(kl_layer *dense, const char *part)
{
    char *config = kl_layer_get_config(dense);
    kl_layer *again = kl_layer_from_config("Dense", config);
    char *second = again ? kl_layer_get_config(again) : NULL;
    if (!second)
        print_error("%s\n", kl_last_error());
    assert_non_null(second);
    assert_string_equal(config, second);
    if (!strstr(config, part))
        print_error("%s\n", config);
    assert_non_null(strstr(config, part));
    kl_free_text(config);
    kl_free_text(second);
    kl_layer_release(again);
    kl_layer_release(dense);
}

static void test_configs(void **state)
{
    check_config(kl_dense(.units = 1, .activation = "relu"), "\"activation\": \"relu\"");
    check_config(kl_dense(.units = 1), "\"activation\": \"linear\"");
    /* Keras has layers for some activations with arguments. */
    check_config(kl_dense(.units = 1, .activation = kl_activation_leaky_relu(.negative_slope = 1)),
                 "\"module\": \"keras.layers\", \"class_name\": \"LeakyReLU\"");
    check_config(kl_dense(.units = 1, .activation = kl_activation_celu(.alpha = 0.5)),
                 "\"alpha\": 0.5");
    kl_layer *dense = read_dense("{\"module\": \"keras.layers\", \"class_name\": \"LeakyReLU\", "
                                 "\"config\": {\"name\": \"leaky_re_lu\", \"trainable\": true, "
                                 "\"dtype\": {\"module\": \"keras\", \"class_name\": "
                                 "\"DTypePolicy\", \"config\": {\"name\": \"float32\"}, "
                                 "\"registered_name\": null}, \"negative_slope\": 0.5}}");
    assert_true(fabs(call_dense(dense) - 1.4) < 1e-5);
    kl_layer_release(dense);
}

static void test_bad_input(void **state)
{
    kl_activation *far = kl_activation_softmax(.axis = 5);
    kl_tensor *x = input();
    assert_non_null(far);
    assert_null(kl_activation_call(far, x));
    assert_null(kl_activation_call(far, NULL));
    kl_tensor *y = kl_activation_call(NULL, x); /* None is linear */
    assert_true(y && y != x && kl_tensor_at(y, 0) == -3);
    kl_release(y);
    kl_release(x);
    kl_object_release(far);
    assert_null(kl_activation_get(kl_zeros_initializer()));
    assert_null(kl_activation_relu(.negative_slope = NAN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_objects),
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_own_function),
        cmocka_unit_test(test_configs),  cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
