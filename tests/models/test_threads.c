/* Models don't depend on threads: training and predictions are the same bit for bit on any number
   of them, and many threads may predict with one model at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "models/models.h"

/* The bits of everything that training for two epochs and predicting gives. */
typedef struct outcome {
    size_t size;
    char *bits;
} outcome;

static void append(outcome *o, const kl_tensor *value)
{
    kl_tensor *plain = kl_copy(value, kl_tensor_dtype(value));
    assert_non_null(plain);
    size_t more = (size_t)kl_tensor_size(plain) * kl_dtype_size(kl_tensor_dtype(plain));
    o->bits = realloc(o->bits, o->size + more + 1);
    assert_non_null(o->bits);
    memcpy(o->bits + o->size, kl_tensor_data(plain), more);
    o->size += more;
    kl_release(plain);
}

static outcome run(sample_model (*make)(int64_t), int threads)
{
    assert_int_equal(kl_set_num_threads(threads), KL_OK);
    kl_clear_session();
    sample_model s = make(40);
    outcome o = {0};
    assert_non_null(s.model);
    assert_int_equal(kl_compile(s.model, .optimizer = "adam",
                                .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}),
                     KL_OK);
    kl_history *history = kl_fit(s.model, s.x[0], s.y, .epochs = 2, .batch_size = 16, .verbose = 0);
    if (!history)
        fail_msg("%s", kl_last_error());
    double loss = kl_history_last(history, "loss");
    kl_tensor *value = kl_from_data(KL_FLOAT64, 0, NULL, &loss);
    append(&o, value);
    kl_release(value);
    for (int i = 0; i < kl_layer_weight_count(s.model); i++)
        append(&o, kl_weight_value(kl_layer_weight(s.model, i)));
    value = kl_predict(s.model, s.x[0], .batch_size = 16);
    assert_non_null(value);
    append(&o, value);
    kl_release(value);
    kl_history_free(history);
    sample_release(&s);
    return o;
}

static void check(sample_model (*make)(int64_t))
{
    outcome one = run(make, 1);
    for (int threads = 2; threads <= 8; threads *= 4) {
        outcome many = run(make, threads);
        assert_int_equal(many.size, one.size);
        assert_memory_equal(many.bits, one.bits, one.size);
        free(many.bits);
    }
    free(one.bits);
}

static void mlp_is_the_same(void **state)
{
    check(sample_mlp);
}

static void cnn_is_the_same(void **state)
{
    check(sample_cnn);
}

static void lstm_is_the_same(void **state)
{
    check(sample_lstm);
}

static void residual_is_the_same(void **state)
{
    check(sample_residual);
}

static void encoder_is_the_same(void **state)
{
    check(sample_encoder);
}

#define CALLERS 4

typedef struct caller {
    sample_model *sample;
    const kl_tensor *expected; /* or any finite values */
    const char *failed;
} caller;

static void *predict_often(void *arg)
{
    caller *c = arg;
    for (int i = 0; i < 12 && !c->failed; i++) {
        kl_tensor *got = kl_predict(c->sample->model, c->sample->x[0], .batch_size = 16);
        if (!got)
            c->failed = "prediction failed";
        for (int64_t k = 0; got && k < kl_tensor_size(got); k++) {
            double value = kl_tensor_at(got, k);
            if (c->expected ? value != kl_tensor_at(c->expected, k) : !(value - value == 0))
                c->failed = "a value differs";
        }
        kl_release(got);
    }
    return NULL;
}

static void call_together(sample_model *s, const kl_tensor *expected)
{
    pthread_t threads[CALLERS];
    caller callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){s, expected, NULL};
        assert_int_equal(pthread_create(&threads[i], NULL, predict_often, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CALLERS; i++)
        if (callers[i].failed)
            fail_msg("%s", callers[i].failed);
}

static void many_threads_predict(void **state)
{
    kl_set_num_threads(2);
    sample_model s = sample_cnn(40);
    kl_add(s.model, kl_dropout(.rate = 0.5));
    kl_tensor *expected = kl_predict(s.model, s.x[0], .batch_size = 16);
    assert_non_null(expected);
    call_together(&s, expected);
    kl_release(expected);
    sample_release(&s);
}

/* Calls of a stateful model exclude each other; which comes first is open. */
static void many_threads_predict_with_state(void **state)
{
    kl_set_random_seed(3);
    sample_model s = {kl_sequential(), {sample_noise(KL_DIMS(16, 5, 3))}, NULL, 1};
    kl_add(s.model, kl_input_layer(.shape = {5, 3}, .batch_size = 16));
    kl_add(s.model, kl_batch_normalization());
    kl_add(s.model, kl_lstm(.units = 4, .stateful = true, .return_sequences = true));
    kl_add(s.model, kl_dropout(.rate = 0.5));
    kl_add(s.model, kl_lstm(.units = 4, .stateful = true));
    kl_tensor *first = kl_predict(s.model, s.x[0], .batch_size = 16);
    assert_non_null(first);
    call_together(&s, NULL);
    /* After as many calls one by one the state is the same. */
    kl_tensor *after = kl_predict(s.model, s.x[0], .batch_size = 16);
    kl_layer_reset_state(s.model);
    for (int i = 0; i < 1 + 12 * CALLERS; i++)
        kl_release(kl_predict(s.model, s.x[0], .batch_size = 16));
    kl_tensor *serial = kl_predict(s.model, s.x[0], .batch_size = 16);
    for (int64_t k = 0; k < kl_tensor_size(serial); k++)
        assert_true(kl_tensor_at(serial, k) == kl_tensor_at(after, k));
    kl_release(first);
    kl_release(after);
    kl_release(serial);
    sample_release(&s);
}

static void *train_often(void *arg)
{
    caller *c = arg;
    for (int i = 0; i < 6 && !c->failed; i++)
        if (!(kl_train_on_batch(c->sample->model, c->sample->x[0], c->sample->y) > 0))
            c->failed = "training failed";
    return NULL;
}

/* A training step excludes predictions, and neither fails. */
static void training_excludes_predictions(void **state)
{
    sample_model s = sample_cnn(24);
    assert_int_equal(
        kl_compile(s.model, .optimizer = "sgd", .loss = "sparse_categorical_crossentropy"), KL_OK);
    kl_release(kl_predict(s.model, s.x[0]));
    pthread_t trainer, reader;
    caller train = {&s, NULL, NULL}, read = {&s, NULL, NULL};
    assert_int_equal(pthread_create(&trainer, NULL, train_often, &train), 0);
    assert_int_equal(pthread_create(&reader, NULL, predict_often, &read), 0);
    pthread_join(trainer, NULL);
    pthread_join(reader, NULL);
    assert_null(train.failed);
    assert_null(read.failed);
    sample_release(&s);
}

static void *make_and_register(void *arg)
{
    static const char *const names[] = {"Dense", "LSTM", "Conv2D", "Dropout", "TextVectorization"};
    static const char *const configs[] = {"{\"units\": 2}", "{\"units\": 2}",
                                          "{\"filters\": 2, \"kernel_size\": [1, 1]}",
                                          "{\"rate\": 0.1}", "{}"};
    caller *c = arg;
    for (int i = 0; i < 50 && !c->failed; i++) {
        kl_layer *layer = kl_layer_from_config(names[i % 5], configs[i % 5]);
        if (!layer)
            c->failed = "a layer was not made";
        kl_layer_release(layer);
        if (i % 10 == 0)
            kl_clear_session();
    }
    return NULL;
}

static void many_threads_make_layers(void **state)
{
    pthread_t threads[CALLERS];
    caller callers[CALLERS] = {{0}};
    kl_shutdown();
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_register, &callers[i]), 0);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_null(callers[i].failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlp_is_the_same),
        cmocka_unit_test(cnn_is_the_same),
        cmocka_unit_test(lstm_is_the_same),
        cmocka_unit_test(residual_is_the_same),
        cmocka_unit_test(encoder_is_the_same),
        cmocka_unit_test(many_threads_predict),
        cmocka_unit_test(many_threads_predict_with_state),
        cmocka_unit_test(training_excludes_predictions),
        cmocka_unit_test(many_threads_make_layers),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
