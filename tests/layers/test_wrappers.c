/* Wrappers over layers and models, TernaryDense by its definition, and classes of Python alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>

#include "klayers/klayers.h"

static kl_tensor *draw(int rank, const int64_t *shape)
{
    kl_set_random_seed(3);
    return kl_op_random_normal(KL_FLOAT32, rank, shape, 0, 1);
}

static void assert_near(const kl_tensor *a, const kl_tensor *b)
{
    assert_int_equal(kl_tensor_size(a), kl_tensor_size(b));
    for (int64_t i = 0; i < kl_tensor_size(a); i++)
        assert_true(fabs(kl_tensor_at(a, i) - kl_tensor_at(b, i)) < 1e-5);
}

/* What the wrapper gives for a step is what the layer gives for it. */
static void check_steps(kl_layer *layer, int rank, const int64_t *shape)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = draw(rank, shape);
    kl_layer *wrapper = kl_time_distributed(.layer = kl_object_retain(layer));
    assert_non_null(wrapper);
    kl_tensor *y = kl_call(wrapper, x);
    assert_non_null(y);
    for (int64_t i = 0; i < shape[1]; i++) {
        kl_tensor *step = kl_op_squeeze(kl_op_slice(x, 1, i, i + 1, 1), 1);
        kl_tensor *of_step = kl_op_squeeze(kl_op_slice(y, 1, i, i + 1, 1), 1);
        assert_near(of_step, kl_call(layer, step));
    }
    kl_layer_release(wrapper);
    kl_layer_release(layer);
    kl_scope_end(scope);
}

static kl_model *small_model(void)
{
    kl_model *model = kl_sequential(.name = "small");
    kl_add(model, kl_dense(.units = 4, .activation = "tanh"));
    kl_add(model, kl_batch_normalization());
    kl_add(model, kl_dense(.units = 2));
    return model;
}

/* Reads the whole batch: steps must not stand in for samples. */
static kl_tensors minus_mean(kl_tensors in, kl_context *ctx, void *user)
{
    return kl_one(kl_op_sub(in.at[0], kl_op_mean(in.at[0], KL_AXES(0), true)));
}

static void every_step_by_itself(void **state)
{
    check_steps(kl_dense(.units = 3), 3, (const int64_t[]){2, 5, 4});
    check_steps(kl_conv2d(.filters = 2, .kernel_size = {2}), 5, (const int64_t[]){2, 3, 4, 4, 1});
    check_steps(small_model(), 3, (const int64_t[]){3, 4, 5});
    check_steps(kl_lambda(.function = minus_mean), 3, (const int64_t[]){3, 4, 5});
    check_steps(kl_lstm(.units = 3), 4, (const int64_t[]){2, 3, 4, 2});
}

static void in_models(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in = kl_input(.shape = {-1, 6});
    kl_tensor *out = kl_call(kl_time_distributed(.layer = small_model()), in);
    kl_model *model = kl_functional(.inputs = {in}, .outputs = {out});
    assert_non_null(model);
    assert_int_equal(kl_compile(model, .optimizer = "adam", .loss = "mse"), KL_OK);
    kl_tensor *x = draw(3, (const int64_t[]){8, 3, 6});
    kl_tensor *y = kl_zeros(KL_FLOAT32, 3, (const int64_t[]){8, 3, 2});
    kl_history *history = kl_fit(model, x, y, .epochs = 2, .verbose = 0);
    assert_non_null(history);
    kl_history_free(history);
    kl_layer_release(model);
    kl_scope_end(scope);
}

static void ternary_weights(void **state)
{
    const float kernel[6] = {0.9f, -0.8f, 0.1f, -0.05f, 0.5f, -0.3f};
    kl_scope *scope = kl_scope_begin();
    kl_layer *layer = kl_ternary_dense(.units = 2);
    kl_tensor *x = kl_from_data(KL_FLOAT32, 2, (const int64_t[]){1, 3}, (const float[]){1, 2, 3});
    assert_non_null(kl_call(layer, x));
    kl_tensor *weights[2] = {
        kl_from_data(KL_FLOAT32, 2, (const int64_t[]){3, 2}, kernel),
        kl_from_data(KL_FLOAT32, 1, (const int64_t[]){2}, (const float[]){0.5f, -0.5f})};
    assert_int_equal(kl_layer_set_weights(layer, 2, weights), KL_OK);
    /* The mean size is 2.65 / 6, half of it 0.2208: rounded to {1, -1}, {0, 0}, {1, -1}. */
    const double beta = 2.65 / 6;
    kl_tensor *kernel_value = kl_weight_value(kl_layer_weight(layer, 0));
    kl_tape *tape = kl_tape_begin();
    kl_tensor *y = kl_call(layer, x), *gradient = NULL;
    assert_true(fabs(kl_tensor_at(y, 0) - (beta * 4 + 0.5)) < 1e-6);
    assert_true(fabs(kl_tensor_at(y, 1) - (beta * -4 - 0.5)) < 1e-6);
    assert_int_equal(kl_tape_gradient(tape, y, 1, &kernel_value, &gradient), KL_OK);
    /* Past the rounding: beta x, and through beta the sign over the count times the products. */
    for (int i = 0; i < 6; i++) {
        double sign = kernel[i] < 0 ? -1 : 1;
        assert_true(fabs(kl_tensor_at(gradient, i) - (beta * (i / 2 + 1) + sign * (4 - 4) / 6)) <
                    1e-5);
    }
    kl_layer_release(layer);
    layer = kl_ternary_dense(.units = 2, .threshold = 0, .use_bias = false);
    assert_non_null(kl_call(layer, x));
    assert_int_equal(kl_layer_set_weights(layer, 1, weights), KL_OK);
    y = kl_call(layer, x);
    assert_true(fabs(kl_tensor_at(y, 0) - 6) < 1e-6 && fabs(kl_tensor_at(y, 1) + 6) < 1e-6);
    kl_layer_release(layer);
    assert_null(kl_ternary_dense(.units = 2, .threshold = -1));
    assert_non_null(strstr(kl_last_error(), "threshold"));
    kl_scope_end(scope);
}

static void bad_input_is_told(void **state)
{
    kl_scope *scope = kl_scope_begin();
    assert_null(kl_time_distributed());
    assert_non_null(strstr(kl_last_error(), "layer"));
    kl_clear_error();
    assert_null(kl_time_distributed(.layer = "dense"));
    assert_true(*kl_last_error());
    kl_clear_error();
    kl_layer *layer = kl_time_distributed(.layer = kl_dense(.units = 2));
    assert_null(kl_call(layer, draw(2, (const int64_t[]){2, 3})));
    assert_non_null(strstr(kl_last_error(), "min_ndim=3"));
    kl_clear_error();
    kl_tensor *mask = kl_ones(KL_BOOL, 2, (const int64_t[]){2, 4});
    kl_tensor *x = draw(3, (const int64_t[]){2, 3, 4});
    assert_null(kl_call_with(layer, .inputs = {x}, .masks = {mask}).at);
    assert_non_null(strstr(kl_last_error(), "(2, 4)"));
    kl_clear_error();
    kl_layer *wrapper = kl_wrapper(.layer = kl_dense(.units = 2));
    assert_null(kl_call(wrapper, x));
    assert_non_null(strstr(kl_last_error(), "base class"));
    kl_clear_error();
    assert_null(kl_layer_from_config("TorchModuleWrapper", "{}"));
    assert_non_null(strstr(kl_last_error(), "Python"));
    kl_clear_error();
    kl_layer_release(wrapper);
    kl_layer_release(layer);
    kl_scope_end(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_by_itself), cmocka_unit_test(in_models),
        cmocka_unit_test(ternary_weights), cmocka_unit_test(bad_input_is_told)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
