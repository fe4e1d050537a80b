#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/layers/core.h"
#include "klayers/training.h"

/* y = 3 a - 2 b + 1 on a grid of 8 by 8. */
static void make_data(kl_tensor **x, kl_tensor **y)
{
    float xs[128], ys[64];
    for (int i = 0; i < 64; i++) {
        xs[2 * i] = (float)(i % 8) / 8;
        xs[2 * i + 1] = (float)(i * 5 % 64) / 64;
        ys[i] = 3 * xs[2 * i] - 2 * xs[2 * i + 1] + 1;
    }
    *x = kl_from_data(KL_FLOAT32, KL_DIMS(64, 2), xs);
    *y = kl_from_data(KL_FLOAT32, KL_DIMS(64, 1), ys);
}

static kl_model *make_model(void)
{
    kl_model *model = kl_sequential();
    kl_add(model, kl_dense(.units = 8, .activation = "relu"));
    kl_add(model, kl_dense(.units = 1));
    return model;
}

static void learns_a_line(void **state)
{
    kl_tensor *x, *y;
    make_data(&x, &y);
    kl_set_random_seed(7);
    kl_model *model = kl_sequential();
    kl_add(model, kl_dense(.units = 1));
    assert_int_equal(kl_compile(model, .optimizer = kl_sgd(.learning_rate = 0.1, .momentum = 0.9),
                                .loss = "mse", .metrics = {"mae"}),
                     KL_OK);
    kl_history *history = kl_fit(model, x, y, .epochs = 60, .batch_size = 10,
                                 .validation_data = {x, y}, .verbose = 0);
    assert_non_null(history);
    size_t count;
    assert_non_null(kl_history_get(history, "val_mae", &count));
    assert_int_equal(count, 60);
    assert_true(kl_history_last(history, "loss") < 1e-4);
    assert_string_equal(kl_history_name(history, 0), "loss");
    assert_string_equal(kl_history_name(history, 3), "val_mae");
    assert_null(kl_history_name(history, 4));
    assert_int_equal(kl_optimizer_iterations(kl_model_optimizer(model)), 60 * 7);
    kl_history *result = kl_evaluate(model, x, y, .batch_size = 7);
    assert_true(fabs(kl_history_last(result, "loss") - kl_history_last(history, "val_loss")) <
                1e-7);
    kl_tensor *all = kl_predict(model, x, .batch_size = 9), *once = kl_predict_on_batch(model, x);
    assert_int_equal(kl_tensor_size(all), 64);
    for (int i = 0; i < 64; i++) {
        assert_true(fabs(kl_tensor_at(all, i) - kl_tensor_at(y, i)) < 0.05);
        assert_true(fabs(kl_tensor_at(all, i) - kl_tensor_at(once, i)) < 1e-6);
    }
    kl_history_free(result);
    kl_history_free(history);
    kl_release(all);
    kl_release(once);
    kl_release(x);
    kl_release(y);
    kl_layer_release(model);
}

static void one_batch_at_a_time(void **state)
{
    kl_tensor *x, *y;
    make_data(&x, &y);
    kl_model *model = make_model();
    kl_compile(model, .optimizer = "sgd", .loss = "mse");
    double before = kl_test_on_batch(model, x, y), trained = kl_train_on_batch(model, x, y);
    assert_true(fabs(before - trained) < 1e-6 * before);
    assert_true(kl_test_on_batch(model, x, y) < before);
    assert_true(kl_model_metric(model, "loss") < before);
    kl_release(x);
    kl_release(y);
    kl_layer_release(model);
}

/* Every case must fail with this text in its message and leave the model usable. */
#define FAILS(call, text)                                                                          \
    do {                                                                                           \
        kl_clear_error();                                                                          \
        assert_true(call);                                                                         \
        if (!strstr(kl_last_error(), text))                                                        \
            fail_msg("expected '%s' in: %s", text, kl_last_error());                               \
    } while (0)

static void bad_arguments_are_told(void **state)
{
    kl_tensor *x, *y;
    make_data(&x, &y);
    kl_model *model = make_model();
    FAILS(!kl_fit(model, x, y), "must be compiled first");
    FAILS(kl_compile(NULL, .loss = "mse"), "model");
    kl_compile(model, .optimizer = "sgd", .loss = "mse");
    FAILS(!kl_fit(model, NULL, y), "x");
    FAILS(!kl_fit(model, x, NULL), "y");
    FAILS(!kl_fit(model, x, y, .epochs = 0), "epochs must be at least 1, got 0");
    FAILS(!kl_fit(model, x, y, .batch_size = 0), "batch_size must be at least 1, got 0");
    FAILS(!kl_fit(model, x, y, .validation_split = 1.5), "validation_split");
    FAILS(!kl_fit(model, x, y, .validation_split = 0.999), "not enough");
    kl_tensor *less = kl_zeros(KL_FLOAT32, KL_DIMS(63, 1));
    FAILS(!kl_fit(model, x, less), "64 in x and 63 in y");
    kl_tensor *none = kl_zeros(KL_FLOAT32, KL_DIMS(0, 2)),
              *no_y = kl_zeros(KL_FLOAT32, KL_DIMS(0, 1));
    FAILS(!kl_fit(model, none, no_y), "no samples");
    FAILS(!kl_predict(model, none), "no samples");
    FAILS(!kl_predict(model, NULL), "x");
    FAILS(!kl_predict(NULL, x), "model");
    kl_fit_args zero = {.model = model, .x = x, .y = y};
    FAILS(!kl_fit_with(&zero), "");
    kl_history *history = kl_fit(model, x, y, .verbose = 0);
    assert_non_null(history);
    kl_history_free(history);
    kl_release(less);
    kl_release(none);
    kl_release(no_y);
    kl_release(x);
    kl_release(y);
    kl_layer_release(model);
}

static void a_failed_compile_is_kept(void **state)
{
    kl_tensor *x, *y;
    make_data(&x, &y);
    kl_model *model = make_model();
    FAILS(kl_compile(model, .optimizer = "adamm", .loss = "mse"), "unknown optimizer: 'adamm'");
    FAILS(!kl_fit(model, x, y), "adamm");
    kl_layer_release(model);
    model = make_model();
    FAILS(kl_compile(model, .loss = "msee"), "unknown loss: 'msee'");
    kl_layer_release(model);
    model = make_model();
    FAILS(kl_compile(model, .loss = "mse", .metrics = {"accurate"}), "unknown metric: 'accurate'");
    kl_layer_release(model);
    model = make_model();
    FAILS(kl_compile(model, .loss = "mse", .optimizer = kl_sgd(.clipnorm = 1, .clipvalue = 1)),
          "only one of clipnorm");
    kl_layer_release(model);
    kl_release(x);
    kl_release(y);
}

static void labels_out_of_range_are_told(void **state)
{
    kl_tensor *x, *y;
    make_data(&x, &y);
    kl_release(y);
    y = kl_full(KL_INT64, KL_DIMS(64), 3);
    kl_model *model = kl_sequential();
    kl_add(model, kl_dense(.units = 3, .activation = "softmax"));
    kl_compile(model, .optimizer = kl_sgd(.learning_rate = 0.5),
               .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"});
    FAILS(!kl_fit(model, x, y, .verbose = 0), "3");
    kl_tensor *good = kl_full(KL_INT64, KL_DIMS(64), 2);
    kl_history *history = kl_fit(model, x, good, .verbose = 0, .epochs = 20);
    assert_non_null(history);
    assert_true(kl_history_last(history, "accuracy") > 0.9);
    kl_history_free(history);
    kl_release(x);
    kl_release(y);
    kl_release(good);
    kl_layer_release(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_a_line),
        cmocka_unit_test(one_batch_at_a_time),
        cmocka_unit_test(bad_arguments_are_told),
        cmocka_unit_test(a_failed_compile_is_kept),
        cmocka_unit_test(labels_out_of_range_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
