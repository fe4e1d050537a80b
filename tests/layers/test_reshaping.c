/* Reshaping layers: the forms of their arguments, and what they refuse. */
#include "base/test_support.h"
#include "klayers/klayers.h"
#include "layers/layer.h"

static void check_config(kl_layer *layer, const char *part)
{
    char *json = layer ? kl_layer_get_config(layer) : NULL;
    if (!json || !strstr(json, part))
        print_error("'%s' lacks '%s' %s\n", json ? json : "", part, kl_last_error());
    assert_true(json && strstr(json, part));
    kl_free_text(json);
    kl_layer_release(layer);
}

static kl_layer *from(const char *class_name, const char *json)
{
    return kl_layer_from_config(class_name, json);
}

static void test_pairs(void **state)
{
    (void)state;
    check_config(kl_cropping1d(), "\"cropping\": [1, 1]");
    check_config(kl_cropping1d(.cropping = KL_INTS(0, 3)), "\"cropping\": [0, 3]");
    check_config(kl_cropping2d(), "\"cropping\": [[0, 0], [0, 0]]");
    check_config(kl_cropping2d(.cropping = KL_INTS(2)), "\"cropping\": [[2, 2], [2, 2]]");
    check_config(kl_cropping2d(.cropping = KL_INTS(2, 0)), "\"cropping\": [[2, 2], [0, 0]]");
    check_config(kl_cropping3d(), "\"cropping\": [[1, 1], [1, 1], [1, 1]]");
    check_config(kl_zero_padding1d(), "\"padding\": [1, 1]");
    check_config(kl_zero_padding2d(.padding = KL_INTS(1, 2, 3, 0)),
                 "\"padding\": [[1, 2], [3, 0]]");
    check_config(kl_zero_padding3d(.padding = KL_INTS(0, 1, 2)),
                 "\"padding\": [[0, 0], [1, 1], [2, 2]]");
    check_config(from("ZeroPadding1D", "{\"padding\": 3}"), "\"padding\": [3, 3]");
    check_config(from("ZeroPadding2D", "{\"padding\": 3}"), "\"padding\": [[3, 3], [3, 3]]");
    check_config(from("ZeroPadding2D", "{\"padding\": [3, 4]}"), "\"padding\": [[3, 3], [4, 4]]");
    check_config(from("ZeroPadding2D", "{\"padding\": [3, [4, 0]]}"),
                 "\"padding\": [[3, 3], [4, 0]]");
    check_config(from("Cropping3D", "{\"cropping\": [[1, 0], [0, 2], [3, 3]]}"),
                 "\"cropping\": [[1, 0], [0, 2], [3, 3]]");
    check_config(from("Cropping1D", "{}"), "\"cropping\": [1, 1]");
}

static void test_sizes(void **state)
{
    (void)state;
    check_config(kl_up_sampling1d(), "\"size\": 2");
    check_config(kl_up_sampling2d(), "\"size\": [2, 2]");
    check_config(kl_up_sampling2d(.factor = {3}), "\"size\": [3, 3]");
    check_config(kl_up_sampling2d(.factor = {3, 1}), "\"size\": [3, 1]");
    check_config(kl_up_sampling3d(.factor = {1, 2, 3}), "\"size\": [1, 2, 3]");
    check_config(from("UpSampling2D", "{\"size\": 4}"), "\"size\": [4, 4]");
    check_config(from("Permute", "{\"dims\": [2, 1]}"), "\"dims\": [2, 1]");
    check_config(kl_reshape(.target_shape = {-1, 6}), "\"target_shape\": [-1, 6]");
    check_config(from("RepeatVector", "{\"n\": 5}"), "\"n\": 5");
}

/* A layer that is refused when it is made: what the message must name. */
static void refuse(kl_layer *layer, const char *what, const char *value)
{
    assert_null(layer);
    if (!strstr(kl_last_error(), what) || !strstr(kl_last_error(), value))
        print_error("'%s' lacks '%s' or '%s'\n", kl_last_error(), what, value);
    assert_non_null(strstr(kl_last_error(), what));
    assert_non_null(strstr(kl_last_error(), value));
    kl_clear_error();
}

static void test_refused_arguments(void **state)
{
    (void)state;
    refuse(kl_repeat_vector(), "n must be at least 1", "0");
    refuse(kl_repeat_vector(.n = -2), "n must be at least 1", "-2");
    refuse(from("RepeatVector", "{}"), "n must be given", "RepeatVector");
    refuse(from("RepeatVector", "{\"n\": \"3\"}"), "whole number", "n");
    refuse(kl_permute(.dims = {1, 1}), "permutation of the numbers 1 to 2", "(1, 1)");
    refuse(kl_permute(.dims = {3, 1}), "permutation", "(3, 1)");
    refuse(kl_permute(.dims = {-1, 1}), "dims", "-1");
    refuse(kl_permute(), "dims must be given", "Permute");
    refuse(from("Permute", "{\"dims\": [0, 1]}"), "dims", "0");
    refuse(kl_cropping1d(.cropping = KL_INTS(1, 2, 3)), "cropping must have 1, 1 or 2 values", "3");
    refuse(kl_cropping2d(.cropping = KL_INTS(1, -2)), "cropping must be at least 0", "-2");
    refuse(kl_cropping3d(.cropping = KL_INTS(1, 2)), "cropping must have 1, 3 or 6 values", "2");
    refuse(kl_zero_padding2d(.padding = KL_INTS(-1)), "padding must be at least 0", "-1");
    refuse(kl_zero_padding2d(.data_format = "channels"), "channels_last|channels_first",
           "'channels'");
    refuse(from("ZeroPadding2D", "{\"padding\": [1, 2, 3]}"), "expected 2 values", "3");
    refuse(from("ZeroPadding2D", "{\"padding\": [[1, 2, 3], 1]}"), "whole numbers or pairs",
           "padding");
    refuse(from("ZeroPadding1D", "{\"padding\": [[1, 2], 1]}"), "whole numbers", "padding");
    refuse(from("ZeroPadding1D", "{\"padding\": 1.5}"), "whole numbers", "padding");
    refuse(from("Cropping2D", "{\"cropping\": \"a\"}"), "whole numbers", "cropping");
    refuse(from("Cropping2D", "{\"cropping\": null}"), "cropping", "None");
    refuse(kl_up_sampling1d(.factor = 0), "size", "0");
    refuse(kl_up_sampling2d(.factor = {2, -1}), "size", "-1");
    refuse(from("UpSampling3D", "{\"size\": [2, 2]}"), "expected 3 values", "2");
    refuse(from("UpSampling1D", "{\"size\": [2]}"), "whole number", "size");
    refuse(kl_up_sampling2d(.interpolation = "cubicle"), "interpolation must be one of",
           "'cubicle'");
}

/* A call that is refused, on values and on shapes alike. */
static void refuse_call(kl_layer *layer, int rank, const int64_t *shape, const char *rule,
                        const char *value)
{
    kl_tensor *x = kl_zeros(KL_FLOAT32, rank, shape);
    kl_shape in = {.rank = rank, .dtype = KL_FLOAT32}, out[KL_MAX_LIST];
    int count;
    memcpy(in.at, shape, (size_t)rank * sizeof *shape);
    for (int symbolic = 0; symbolic < 2; symbolic++) {
        kl_clear_error();
        if (symbolic)
            assert_int_not_equal(kl_layer_output_shape(layer, &in, 1, out, &count), KL_OK);
        else
            assert_null(kl_call(layer, x));
        const char *message = kl_last_error(), *const parts[] = {layer->name, rule, value};
        for (int i = 0; i < 3; i++) {
            if (!strstr(message, parts[i]))
                print_error("'%s' lacks '%s'\n", message, parts[i]);
            assert_non_null(strstr(message, parts[i]));
        }
    }
    kl_clear_error();
    kl_release(x);
    kl_layer_release(layer);
}

static void test_refused_inputs(void **state)
{
    (void)state;
    refuse_call(kl_cropping1d(.cropping = KL_INTS(2)), KL_DIMS(2, 4, 3), "less than the size",
                "axis 1 of size 4");
    refuse_call(kl_cropping1d(.cropping = KL_INTS(9, 0)), KL_DIMS(2, 4, 3), "cropping", "9 and 0");
    refuse_call(kl_cropping2d(.cropping = KL_INTS(0, 0, 3, 2)), KL_DIMS(2, 4, 5, 3),
                "less than the size", "axis 2 of size 5");
    refuse_call(kl_cropping2d(.cropping = KL_INTS(1, 1), .data_format = "channels_first"),
                KL_DIMS(2, 4, 5, 2), "less than the size", "axis 3 of size 2");
    refuse_call(kl_cropping3d(), KL_DIMS(2, 4, 2, 5, 3), "less than the size", "axis 2 of size 2");
    refuse_call(kl_cropping2d(), KL_DIMS(4, 5, 3), "expected ndim=4", "(4, 5, 3)");
    refuse_call(kl_zero_padding1d(), KL_DIMS(4, 5), "expected ndim=3", "(4, 5)");
    refuse_call(kl_zero_padding3d(), KL_DIMS(4, 5), "expected ndim=5", "(4, 5)");
    refuse_call(kl_up_sampling1d(), KL_DIMS(4, 5), "expected ndim=3", "(4, 5)");
    refuse_call(kl_up_sampling2d(), KL_DIMS(4, 5), "expected ndim=4", "(4, 5)");
    refuse_call(kl_up_sampling3d(), KL_DIMS(4, 5), "expected ndim=5", "(4, 5)");
    refuse_call(kl_repeat_vector(.n = 2), KL_DIMS(4, 5, 6), "expected ndim=2", "(4, 5, 6)");
    refuse_call(kl_permute(.dims = {2, 1}), KL_DIMS(4, 5), "expected ndim=3", "(4, 5)");
    refuse_call(kl_reshape(.target_shape = {5, -1}), KL_DIMS(2, 12), "shape", "12");
}

/* Data that don't lie in C order come out the same. */
static void test_strided_inputs(void **state)
{
    (void)state;
    kl_layer *layers[] = {kl_up_sampling2d(), kl_up_sampling2d(.interpolation = "bilinear"),
                          kl_zero_padding2d(), kl_cropping2d(.cropping = KL_INTS(1, 0, 0, 1)),
                          kl_permute(.dims = {3, 1, 2})};
    kl_tensor *x = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(2, 3, 5, 4), -1, 1);
    kl_tensor *strided = kl_op_transpose(x, (const int[]){0, 2, 3, 1});
    kl_tensor *dense = kl_copy(strided, KL_FLOAT32);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        kl_tensor *a = kl_call(layers[i], strided), *b = kl_call(layers[i], dense);
        assert_non_null(a);
        assert_non_null(b);
        assert_int_equal(kl_tensor_size(a), kl_tensor_size(b));
        for (int64_t k = 0; k < kl_tensor_size(a); k++)
            assert_true(kl_tensor_at(a, k) == kl_tensor_at(b, k));
        kl_release(a);
        kl_release(b);
        kl_layer_release(layers[i]);
    }
    kl_release(dense);
    kl_release(strided);
    kl_release(x);
}

/* Large enough to be shared by threads, which must not show. */
static void test_threads(void **state)
{
    (void)state;
    kl_layer *layers[] = {kl_up_sampling2d(), kl_up_sampling2d(.data_format = "channels_first"),
                          kl_up_sampling2d(.interpolation = "bilinear"), kl_zero_padding2d(),
                          kl_cropping2d(.cropping = KL_INTS(1, 0, 0, 1))};
    kl_tensor *x = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(3, 41, 43, 17), -1, 1);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        kl_tensor *out[2], *gradient[2];
        for (int k = 0; k < 2; k++) {
            kl_set_num_threads(k ? 2 : 1);
            kl_tape *tape = kl_tape_begin();
            kl_tape_watch(tape, x);
            out[k] = kl_call(layers[i], x);
            kl_tensor *target = kl_op_square(out[k]);
            assert_int_equal(kl_tape_gradient(tape, target, 1, &x, &gradient[k]), KL_OK);
            kl_release(target);
        }
        for (int64_t e = 0; e < kl_tensor_size(out[0]); e++)
            assert_true(kl_tensor_at(out[0], e) == kl_tensor_at(out[1], e));
        for (int64_t e = 0; e < kl_tensor_size(x); e++)
            assert_true(kl_tensor_at(gradient[0], e) == kl_tensor_at(gradient[1], e));
        for (int k = 0; k < 2; k++) {
            kl_release(out[k]);
            kl_release(gradient[k]);
        }
        kl_layer_release(layers[i]);
    }
    kl_release(x);
    kl_set_num_threads(0);
}

/* The gradient of the gradient: interpolation is linear, its square's second derivative is not 0.
 */
static void test_second_order(void **state)
{
    (void)state;
    kl_layer *layer = kl_up_sampling2d(.interpolation = "bilinear");
    kl_tensor *x = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(1, 2, 3, 1), -1, 1);
    kl_tensor *first = NULL, *second = NULL;
    kl_scope *scope = kl_scope_begin();
    kl_tape *outer = kl_tape_begin();
    kl_tape_watch(outer, x);
    kl_tape *inner = kl_tape_begin();
    kl_tape_watch(inner, x);
    kl_tensor *y = kl_op_square(kl_call(layer, x));
    assert_int_equal(kl_tape_gradient(inner, y, 1, &x, &first, .higher_order = true), KL_OK);
    assert_int_equal(kl_tape_gradient(outer, first, 1, &x, &second), KL_OK);
    assert_non_null(second);
    /* The sum of all second derivatives is twice that of the squared column sums: 2 * 24 pixels. */
    double sum = 0;
    for (int64_t i = 0; i < kl_tensor_size(second); i++)
        sum += kl_tensor_at(second, i);
    assert_true(fabs(sum - 48) < 1e-4);
    kl_scope_end(scope);
    kl_release(x);
    kl_layer_release(layer);
}

static double product(const kl_tensor *a, const kl_tensor *b)
{
    double sum = 0;
    for (int64_t i = 0; i < kl_tensor_size(a); i++)
        sum += kl_tensor_at(a, i) * kl_tensor_at(b, i);
    return sum;
}

/* Every interpolation is linear: what it does and what its gradient does are each other's adjoint,
   and both data formats give the same. */
static void check_interpolation(const char *interpolation, int64_t rows, int64_t columns)
{
    const int64_t sizes[] = {2, rows, columns, 3};
    const int to_first[] = {0, 3, 1, 2};
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = kl_op_random_uniform(KL_FLOAT32, 4, sizes, -1, 1), *dx[2], *y[2];
    kl_tensor *in[2] = {x, kl_copy(kl_op_transpose(x, to_first), KL_FLOAT32)}, *weights = NULL;
    for (int first = 0; first < 2; first++) {
        kl_layer *layer =
            kl_up_sampling2d(.factor = {2, 2}, .interpolation = interpolation,
                             .data_format = first ? "channels_first" : "channels_last");
        kl_tape *tape = kl_tape_begin();
        kl_tape_watch(tape, in[first]);
        y[first] = kl_call(layer, in[first]);
        assert_non_null(y[first]);
        if (!first)
            weights = kl_op_random_uniform(KL_FLOAT32, 4, kl_tensor_shape(y[0]), -1, 1);
        kl_tensor *by = first ? kl_op_transpose(weights, to_first) : weights;
        assert_int_equal(
            kl_tape_gradient(tape, y[first], 1, &in[first], &dx[first], .output_gradient = by),
            KL_OK);
        assert_true(fabs(product(y[first], by) - product(in[first], dx[first])) < 1e-3);
        kl_layer_release(layer);
    }
    for (int i = 0; i < 2; i++) {
        const kl_tensor *first = i ? dx[1] : y[1];
        const kl_tensor *last = kl_op_transpose(i ? dx[0] : y[0], to_first);
        for (int64_t k = 0; k < kl_tensor_size(first); k++)
            assert_true(fabs(kl_tensor_at(first, k) - kl_tensor_at(last, k)) < 1e-5);
    }
    kl_scope_end(scope);
}

static void test_interpolations(void **state)
{
    (void)state;
    static const char *const names[] = {"nearest",  "bilinear", "bicubic",      "lanczos3",
                                        "lanczos5", "gaussian", "mitchellcubic"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        check_interpolation(names[i], 5, 41);
        check_interpolation(names[i], 1, 3);
        check_interpolation(names[i], 24, 8);
    }
}

/* The ops behind the layers refuse what makes no sense. */
static void test_ops(void **state)
{
    (void)state;
    const int64_t far[] = {0, 0, 2, 3}, minus[] = {0, -1, 0, 0}, none[] = {1, 0};
    kl_tensor *x = kl_zeros(KL_FLOAT32, KL_DIMS(2, 4));
    assert_null(kl_op_crop(x, far));
    assert_non_null(strstr(kl_last_error(), "axis 1 of size 4"));
    kl_clear_error();
    assert_null(kl_op_crop(x, minus));
    assert_non_null(strstr(kl_last_error(), "-1"));
    kl_clear_error();
    assert_null(kl_op_crop(x, NULL));
    kl_clear_error();
    assert_null(kl_op_repeat_each(x, none));
    assert_non_null(strstr(kl_last_error(), "at least 1"));
    kl_clear_error();
    assert_null(kl_op_repeat_each(NULL, none));
    kl_clear_error();
    kl_release(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_refused_arguments),
        cmocka_unit_test(test_refused_inputs),
        cmocka_unit_test(test_strided_inputs),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_second_order),
        cmocka_unit_test(test_interpolations),
        cmocka_unit_test(test_ops),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
