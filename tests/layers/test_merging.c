/* Merging layers: their function forms, and what they refuse. */
#include "base/test_support.h"
#include "klayers/klayers.h"
#include "layers/layer.h"

static kl_tensor *numbers(int rank, const int64_t *shape, float from)
{
    kl_tensor *x = kl_zeros(KL_FLOAT32, rank, shape);
    float *at = kl_tensor_mutable_data(x);
    for (int64_t i = 0; i < kl_tensor_size(x); i++)
        at[i] = from + (float)i;
    return x;
}

static void check_values(kl_tensor *got, int count, const double *expected)
{
    if (!got)
        print_error("%s\n", kl_last_error());
    assert_non_null(got);
    assert_int_equal(kl_tensor_size(got), count);
    for (int i = 0; i < count; i++)
        assert_true(fabs(kl_tensor_at(got, i) - expected[i]) < 1e-6);
    kl_release(got);
}

#define VALUES(...)                                                                                \
    (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)), (const double[])                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void test_functions(void **state)
{
    (void)state;
    kl_tensor *a = numbers(KL_DIMS(1, 3), 1), *b = numbers(KL_DIMS(1, 3), 3);
    check_values(kl_merge_add(.inputs = {a, b, b}), VALUES(7, 10, 13));
    check_values(kl_merge_subtract(.inputs = {a, b}), VALUES(-2, -2, -2));
    check_values(kl_merge_multiply(.inputs = {a, b}), VALUES(3, 8, 15));
    check_values(kl_merge_average(.inputs = {a, b}), VALUES(2, 3, 4));
    check_values(kl_merge_maximum(.inputs = {a, b}), VALUES(3, 4, 5));
    check_values(kl_merge_minimum(.inputs_list = {2, (kl_tensor *[]){a, b}}), VALUES(1, 2, 3));
    check_values(kl_merge_concatenate(.inputs = {a, b}), VALUES(1, 2, 3, 3, 4, 5));
    check_values(kl_merge_concatenate(.inputs = {a, b}, .axis = 0), VALUES(1, 2, 3, 3, 4, 5));
    check_values(kl_merge_dot(.inputs = {a, b}, .axes = {1}), VALUES(26));
    check_values(kl_merge_dot(.inputs = {a, a}, .axes = {-1}, .normalize = true), VALUES(1));
    kl_release(a);
    kl_release(b);
}

static void test_functions_in_graphs(void **state)
{
    (void)state;
    kl_tensor *a = kl_input(.shape = {3}), *b = kl_input(.shape = {3});
    kl_tensor *joined = kl_merge_concatenate(.inputs = {a, b}, .name = "both");
    kl_model *model =
        kl_functional(.inputs = {a, b}, .outputs = {kl_merge_add(.inputs = {joined, joined})});
    assert_non_null(model);
    assert_non_null(kl_model_get_layer(model, "both"));
    assert_string_equal(kl_layer_class_name(kl_model_get_layer(model, "both")), "Concatenate");
    kl_tensor *x[] = {numbers(KL_DIMS(1, 3), 1), numbers(KL_DIMS(1, 3), 3)}, *y = NULL;
    assert_int_equal(kl_predict_many(model, 2, x, 32, &y), KL_OK);
    check_values(y, VALUES(2, 4, 6, 6, 8, 10));
    kl_release(x[0]);
    kl_release(x[1]);
    kl_layer_release(model);
}

static void refused(const char *rule, const char *value)
{
    if (!strstr(kl_last_error(), rule) || !strstr(kl_last_error(), value))
        print_error("'%s' lacks '%s' or '%s'\n", kl_last_error(), rule, value);
    assert_non_null(strstr(kl_last_error(), rule));
    assert_non_null(strstr(kl_last_error(), value));
    kl_clear_error();
}

static void test_refused_functions(void **state)
{
    (void)state;
    kl_tensor *a = numbers(KL_DIMS(2, 3), 1);
    assert_null(kl_merge_add());
    refused("inputs must be given", "kl_merge_add");
    assert_null(kl_merge_add_with(NULL));
    refused("args", "kl_merge_add");
    assert_null(kl_merge_add_with(&(kl_merge_call_args){.inputs = {a, a}}));
    refused("size", "kl_merge_add");
    assert_null(kl_merge_add(.inputs = {a}));
    refused("list of inputs", "single");
    assert_null(kl_merge_dot(.inputs = {a, a}));
    refused("axes must be given", "Dot");
    kl_merge_call_args args = kl_merge_call_defaults();
    assert_int_equal(args.axis, -1);
    kl_release(a);
}

/* Two inputs that a layer refuses, given as values and as shapes. */
static void refuse(kl_layer *layer, kl_shape first, kl_shape second, const char *rule,
                   const char *value)
{
    const kl_shape in[2] = {first, second};
    kl_shape out[KL_MAX_LIST];
    int count;
    kl_tensor *x[2];
    assert_non_null(layer);
    for (int i = 0; i < 2; i++)
        x[i] = kl_zeros(KL_FLOAT32, in[i].rank, in[i].at);
    assert_null(kl_call_with(layer, .inputs = {x[0], x[1]}).at);
    assert_non_null(strstr(kl_last_error(), layer->name));
    refused(rule, value);
    assert_int_not_equal(kl_layer_output_shape(layer, in, 2, out, &count), KL_OK);
    assert_non_null(strstr(kl_last_error(), layer->name));
    refused(rule, value);
    kl_release(x[0]);
    kl_release(x[1]);
    kl_layer_release(layer);
}

#define SHAPE(count, ...) ((kl_shape){.rank = count, .at = {__VA_ARGS__}, .dtype = KL_FLOAT32})

static void test_refused_inputs(void **state)
{
    (void)state;
    kl_layer *elementwise[] = {kl_add_layer(), kl_subtract(), kl_multiply(),
                               kl_average(),   kl_maximum(),  kl_minimum()};
    for (size_t i = 0; i < sizeof elementwise / sizeof *elementwise; i++)
        refuse(kl_layer_retain(elementwise[i]), SHAPE(2, 2, 3), SHAPE(2, 2, 4), "broadcast", "4");
    for (size_t i = 0; i < sizeof elementwise / sizeof *elementwise; i++) {
        kl_object_release(elementwise[i]);
    }
    refuse(kl_add_layer(), SHAPE(2, 2, 3), SHAPE(2, 5, 3), "batch sizes", "2 and 5");
    refuse(kl_add_layer(), SHAPE(0, 1), SHAPE(2, 2, 3), "scalar", "merge");
    refuse(kl_concatenate(.axis = 1), SHAPE(3, 2, 3, 4), SHAPE(3, 2, 3, 5), "matching shapes",
           "(2, 3, 5)");
    refuse(kl_concatenate(), SHAPE(3, 2, 3, 4), SHAPE(2, 2, 3), "matching shapes", "(2, 3)");
    refuse(kl_concatenate(.axis = 3), SHAPE(2, 2, 3), SHAPE(2, 2, 3), "axis", "3");
    refuse(kl_concatenate(.axis = -4), SHAPE(2, 2, 3), SHAPE(2, 2, 3), "axis", "-4");
    refuse(kl_dot(.axes = {1}), SHAPE(2, 2, 3), SHAPE(2, 2, 4), "incompatible", "3");
    refuse(kl_dot(.axes = {2, 1}), SHAPE(2, 2, 3), SHAPE(2, 2, 3), "axis 2", "input 0");
    refuse(kl_dot(.axes = {1, 3}), SHAPE(2, 2, 3), SHAPE(3, 2, 3, 3), "axis 3", "input 1");
    refuse(kl_dot(.axes = {-2, 1}), SHAPE(2, 2, 3), SHAPE(2, 2, 3), "axis -2", "batch");
    refuse(kl_dot(.axes = {1}), SHAPE(2, 2, 3), SHAPE(2, 5, 3), "batch", "5");
    refuse(kl_dot(.axes = {1}), SHAPE(1, 3), SHAPE(2, 2, 3), "axis 1", "input 0");
    assert_null(kl_layer_from_config("Dot", "{\"axes\": [1, 2, 3]}"));
    refused("axes", "2 values");
    assert_null(kl_layer_from_config("Dot", "{\"axes\": 0}"));
    refused("axes", "0");
    assert_null(kl_layer_from_config("Dot", "{\"axes\": \"one\"}"));
    refused("axes", "whole numbers");
    assert_null(kl_dot(.axes = {9}));
    refused("axes", "9");
}

static void test_dot_config(void **state)
{
    (void)state;
    kl_layer *layers[] = {kl_dot(.axes = {2}), kl_dot(.axes = {2, 1}, .normalize = true)};
    const char *const parts[] = {"\"axes\": 2, \"normalize\": false",
                                 "\"axes\": [2, 1], \"normalize\": true"};
    for (int i = 0; i < 2; i++) {
        char *json = kl_layer_get_config(layers[i]);
        assert_non_null(strstr(json, parts[i]));
        kl_free_text(json);
        kl_layer_release(layers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions),         cmocka_unit_test(test_functions_in_graphs),
        cmocka_unit_test(test_refused_functions), cmocka_unit_test(test_refused_inputs),
        cmocka_unit_test(test_dot_config),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
