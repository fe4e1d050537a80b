/* Steps and predictions allocate nothing once they run; a failing allocator is an error. */
#include "base/test_support.h"
#include "klayers/klayers.h"

typedef struct setup {
    kl_tensor *x, *y;
    kl_model *model;
} setup;

static setup make(int64_t rows)
{
    setup s = {.x = kl_full(KL_FLOAT32, KL_DIMS(rows, 12), 0.5),
               .y = kl_full(KL_INT64, KL_DIMS(rows), 1)};
    s.model = kl_sequential();
    kl_add(s.model, kl_dense(.units = 16, .activation = "relu",
                             .kernel_regularizer = kl_l1l2(.l1 = 1e-4, .l2 = 1e-4),
                             .kernel_constraint = kl_max_norm(.max_value = 2)));
    kl_add(s.model, kl_dropout(.rate = 0.2));
    kl_add(s.model, kl_dense(.units = 4, .activation = "softmax"));
    return s;
}

static void drop(setup *s)
{
    kl_release(s->x);
    kl_release(s->y);
    kl_layer_release(s->model);
}

static void steps_allocate_nothing(void **state)
{
    static const char *const optimizers[] = {"sgd", "rmsprop", "adam", "adamw"};
    for (int k = 0; k < 4; k++) {
        failing_allocator f;
        failing_install(&f);
        setup s = make(32);
        kl_compile(s.model, .optimizer = optimizers[k], .loss = "sparse_categorical_crossentropy",
                   .metrics = {"accuracy"});
        for (int i = 0; i < 5; i++)
            assert_true(kl_train_on_batch(s.model, s.x, s.y) > 0);
        long before = f.allocations;
        for (int i = 0; i < 10; i++)
            assert_true(kl_train_on_batch(s.model, s.x, s.y) > 0);
        assert_int_equal(f.allocations, before);
        for (int i = 0; i < 3; i++)
            assert_true(kl_test_on_batch(s.model, s.x, s.y) > 0);
        before = f.allocations;
        for (int i = 0; i < 10; i++)
            assert_true(kl_test_on_batch(s.model, s.x, s.y) > 0);
        assert_int_equal(f.allocations, before);
        drop(&s);
        failing_remove(&f);
    }
}

static void predictions_allocate_nothing(void **state)
{
    failing_allocator f;
    failing_install(&f);
    setup s = make(50);
    for (int i = 0; i < 5; i++)
        kl_release(kl_predict(s.model, s.x, .batch_size = 16));
    long before = f.allocations;
    for (int i = 0; i < 10; i++)
        kl_release(kl_predict(s.model, s.x, .batch_size = 16));
    assert_int_equal(f.allocations, before);
    drop(&s);
    failing_remove(&f);
}

static long epoch_allocations;
static failing_allocator *counted;

static kl_status count_batch(void *user, kl_callback_event *event)
{
    long now = counted->allocations;
    if (event->epoch == 2 && event->batch == 0)
        epoch_allocations = now;
    if (event->epoch == 2 && event->batch == 4)
        epoch_allocations = now - epoch_allocations;
    return KL_OK;
}

static void epochs_allocate_nothing(void **state)
{
    failing_allocator f;
    failing_install(&f);
    counted = &f;
    epoch_allocations = -1;
    setup s = make(50);
    kl_compile(s.model, .optimizer = "adam", .loss = "sparse_categorical_crossentropy",
               .metrics = {"accuracy"});
    kl_history *history = kl_fit(s.model, s.x, s.y, .epochs = 3, .batch_size = 10, .verbose = 0,
                                 .callbacks = {kl_callback_lambda(.on_batch_end = count_batch)});
    assert_non_null(history);
    assert_int_equal(epoch_allocations, 0);
    kl_history_free(history);
    drop(&s);
    failing_remove(&f);
}

/* Everything from the model to the prediction with the n-th allocation failing. */
static bool whole_life(void)
{
    setup s = make(8);
    bool good = !kl_compile(s.model, .optimizer = kl_adam(.learning_rate = 0.01),
                            .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"});
    kl_history *history = good ? kl_fit(s.model, s.x, s.y, .epochs = 2, .batch_size = 4,
                                        .verbose = 0, .validation_split = 0.5)
                               : NULL;
    kl_tensor *p = history ? kl_predict(s.model, s.x, .batch_size = 3) : NULL;
    good = p != NULL;
    kl_release(p);
    kl_history_free(history);
    drop(&s);
    return good;
}

static void failing_allocations_are_errors(void **state)
{
    failing_allocator f;
    failing_install(&f);
    assert_true(whole_life());
    kl_shutdown();
    long held = f.held;
    bool good = false;
    long n = 0;
    for (; !good && n < 5000; n++) {
        kl_clear_error();
        f.until_failure = n;
        good = whole_life();
        bool failed = f.until_failure == 0;
        f.until_failure = -1;
        if (!good)
            assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
        else
            good = !failed;
        kl_shutdown();
        if (f.held != held)
            fail_msg("%ld pieces leaked when allocation %ld failed", f.held - held, n);
    }
    assert_true(good);
    assert_true(n > 50);
    failing_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(predictions_allocate_nothing),
        cmocka_unit_test(epochs_allocate_nothing),
        cmocka_unit_test(failing_allocations_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
