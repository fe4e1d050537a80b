/* Callbacks, generators, several inputs and outputs, and the other arguments of fit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "klayers/klayers.h"

typedef struct line_data {
    kl_tensor *x, *y;
    kl_model *model;
} line_data;

/* y = 2 x - 1 for 40 points, and a model of one weight and bias. */
static line_data line(const char *optimizer)
{
    float xs[40], ys[40];
    for (int i = 0; i < 40; i++) {
        xs[i] = (float)(i * 7 % 40) / 20 - 1;
        ys[i] = 2 * xs[i] - 1;
    }
    line_data d = {kl_from_data(KL_FLOAT32, KL_DIMS(40, 1), xs),
                   kl_from_data(KL_FLOAT32, KL_DIMS(40, 1), ys), kl_sequential()};
    kl_add(d.model, kl_dense(.units = 1, .kernel_initializer = "zeros"));
    assert_int_equal(kl_compile(d.model, .optimizer = optimizer, .loss = "mse"), KL_OK);
    return d;
}

static void drop(line_data *d)
{
    kl_release(d->x);
    kl_release(d->y);
    kl_layer_release(d->model);
}

typedef struct counts {
    int train_begin, train_end, epoch_begin, epoch_end, batch_begin, batch_end;
    int64_t stop_at;
} counts;

#define COUNT(slot, field)                                                                         \
    static kl_status slot(void *user, kl_callback_event *event)                                    \
    {                                                                                              \
        counts *c = user;                                                                          \
        c->field++;                                                                                \
        assert_non_null(event->model);                                                             \
        if (c->field && strcmp(#field, "epoch_end") == 0 && event->epoch == c->stop_at)            \
            event->stop = true;                                                                    \
        return KL_OK;                                                                              \
    }
COUNT(on_train_begin, train_begin)
COUNT(on_train_end, train_end)
COUNT(on_epoch_begin, epoch_begin)
COUNT(on_epoch_end, epoch_end)
COUNT(on_batch_begin, batch_begin)
COUNT(on_batch_end, batch_end)

static void callbacks_are_called(void **state)
{
    line_data d = line("sgd");
    counts c = {.stop_at = 4};
    kl_history *history = kl_fit(
        d.model, d.x, d.y, .epochs = 10, .initial_epoch = 2, .batch_size = 16, .verbose = 0,
        .callbacks = {
            kl_callback_lambda(.on_train_begin = on_train_begin, .on_train_end = on_train_end,
                               .on_epoch_begin = on_epoch_begin, .on_epoch_end = on_epoch_end,
                               .on_batch_begin = on_batch_begin, .on_batch_end = on_batch_end,
                               .user = &c)});
    size_t epochs;
    assert_non_null(kl_history_get(history, "loss", &epochs));
    assert_int_equal(epochs, 3);
    assert_int_equal(c.train_begin, 1);
    assert_int_equal(c.train_end, 1);
    assert_int_equal(c.epoch_begin, 3);
    assert_int_equal(c.epoch_end, 3);
    assert_int_equal(c.batch_begin, 9);
    assert_int_equal(c.batch_end, 9);
    kl_history_free(history);
    drop(&d);
}

static kl_status refuse(void *user, kl_callback_event *event)
{
    return kl_error(KL_ERROR_STOPPED, "enough after batch %lld", (long long)event->batch);
}

static void a_callback_may_end_fit(void **state)
{
    line_data d = line("sgd");
    assert_null(kl_fit(d.model, d.x, d.y, .verbose = 0,
                       .callbacks = {kl_callback_lambda(.on_batch_end = refuse)}));
    assert_int_equal(kl_last_status(), KL_ERROR_STOPPED);
    assert_string_equal(kl_last_error(), "enough after batch 0");
    kl_history *history = kl_fit(d.model, d.x, d.y, .verbose = 0);
    assert_non_null(history);
    kl_history_free(history);
    drop(&d);
}

/* A rate of 1.2 makes this model's loss grow after a while: the best epoch must come back. */
static void early_stopping_restores_the_best(void **state)
{
    line_data d = line("sgd");
    kl_optimizer_set_learning_rate(kl_model_optimizer(d.model), 1.2);
    kl_history *history = kl_fit(
        d.model, d.x, d.y, .epochs = 30, .batch_size = 40, .shuffle = false, .verbose = 0,
        .validation_data = {d.x, d.y},
        .callbacks = {kl_callback_early_stopping(.patience = 2, .restore_best_weights = true)});
    size_t epochs;
    const double *losses = kl_history_get(history, "val_loss", &epochs);
    double best = losses[0];
    for (size_t i = 1; i < epochs; i++)
        best = fmin(best, losses[i]);
    assert_true(epochs < 30);
    assert_true(fabs(kl_test_on_batch(d.model, d.x, d.y) - best) <= 1e-5 * best);
    kl_history_free(history);
    drop(&d);
}

static double halve(int64_t epoch, double rate, void *user)
{
    return epoch ? rate / 2 : 0.4;
}

static void rates_follow_callbacks(void **state)
{
    line_data d = line("sgd");
    kl_history *history =
        kl_fit(d.model, d.x, d.y, .epochs = 3, .verbose = 0,
               .callbacks = {kl_callback_learning_rate_scheduler(.schedule = halve)});
    assert_true(fabs(kl_optimizer_learning_rate(kl_model_optimizer(d.model)) - 0.1) < 1e-6);
    kl_history_free(history);
    history =
        kl_fit(d.model, d.x, d.y, .epochs = 3, .verbose = 0,
               .callbacks = {kl_callback_reduce_lr_on_plateau(.monitor = "loss", .patience = 1,
                                                              .min_delta = 1e9, .factor = 0.5)});
    assert_true(kl_optimizer_learning_rate(kl_model_optimizer(d.model)) < 0.06);
    kl_history_free(history);
    drop(&d);
}

static void csv_lines_are_written(void **state)
{
    char path[] = P_tmpdir "/klayers_csv_XXXXXX", text[400] = "";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    line_data d = line("sgd");
    kl_history *history = kl_fit(d.model, d.x, d.y, .epochs = 2, .verbose = 0,
                                 .callbacks = {kl_callback_csv_logger(.filename = path)});
    assert_non_null(history);
    FILE *in = fopen(path, "r");
    size_t read = fread(text, 1, sizeof text - 1, in);
    text[read] = 0;
    fclose(in);
    assert_memory_equal(text, "epoch,loss\n0,", 13);
    assert_non_null(strstr(text, "\n1,"));
    kl_history_free(history);
    assert_null(kl_fit(d.model, d.x, d.y, .verbose = 0,
                       .callbacks = {kl_callback_csv_logger(.filename = "/no/such/folder/a.csv")}));
    assert_int_equal(kl_last_status(), KL_ERROR_IO);
    unlink(path);
    drop(&d);
}

static void nan_ends_training(void **state)
{
    line_data d = line("sgd");
    kl_optimizer_set_learning_rate(kl_model_optimizer(d.model), 1e30);
    kl_history *history = kl_fit(d.model, d.x, d.y, .epochs = 50, .verbose = 0,
                                 .callbacks = {kl_callback_terminate_on_nan()});
    size_t epochs;
    assert_non_null(kl_history_get(history, "loss", &epochs));
    assert_true(epochs < 50);
    kl_history_free(history);
    drop(&d);
}

typedef struct generator {
    line_data *data;
    kl_tensor *x, *y;
    int at, restarts;
} generator;

static kl_status next_batch(void *user, kl_batch *batch, bool *end)
{
    generator *g = user;
    kl_release(g->x);
    kl_release(g->y);
    g->x = g->y = NULL;
    if (g->at == 4) {
        *end = true;
        return KL_OK;
    }
    g->x = kl_retain(kl_view_slice(g->data->x, 0, 10 * g->at, 10 * g->at + 10, 1));
    g->y = kl_retain(kl_view_slice(g->data->y, 0, 10 * g->at, 10 * g->at + 10, 1));
    g->at++;
    batch->x[0] = g->x;
    batch->y[0] = g->y;
    return KL_OK;
}

static kl_status restart(void *user)
{
    generator *g = user;
    g->at = 0;
    g->restarts++;
    return KL_OK;
}

static void a_generator_gives_what_arrays_give(void **state)
{
    line_data d = line("sgd"), e = line("sgd");
    generator g = {.data = &d};
    kl_history *a =
        kl_fit(d.model, NULL, NULL, .epochs = 3, .verbose = 0, .data = {next_batch, restart, &g});
    kl_history *b =
        kl_fit(e.model, e.x, e.y, .epochs = 3, .verbose = 0, .batch_size = 10, .shuffle = false);
    assert_non_null(a);
    assert_non_null(b);
    assert_true(kl_history_last(a, "loss") == kl_history_last(b, "loss"));
    kl_history *c = kl_evaluate(d.model, NULL, NULL, .data = {next_batch, restart, &g});
    assert_non_null(c);
    assert_true(g.restarts >= 4);
    kl_release(g.x);
    kl_release(g.y);
    kl_history_free(a);
    kl_history_free(b);
    kl_history_free(c);
    drop(&d);
    drop(&e);
}

static void steps_and_frequencies_count(void **state)
{
    line_data d = line("sgd");
    kl_history *history =
        kl_fit(d.model, d.x, d.y, .epochs = 4, .verbose = 0, .batch_size = 10, .steps_per_epoch = 2,
               .validation_split = 0.25, .validation_freq = 2, .validation_steps = 1,
               .validation_batch_size = 5);
    size_t count;
    assert_non_null(kl_history_get(history, "val_loss", &count));
    assert_int_equal(count, 2);
    assert_true(kl_optimizer_iterations(kl_model_optimizer(d.model)) >= 6);
    kl_history_free(history);
    drop(&d);
}

/* Weights of 2 and 0 for halves of the batch: the loss is that of one half. */
static void sample_weights_count(void **state)
{
    line_data d = line("sgd");
    float weights[40];
    for (int i = 0; i < 40; i++)
        weights[i] = i < 20 ? 2 : 0;
    kl_tensor *w = kl_from_data(KL_FLOAT32, KL_DIMS(40), weights);
    double weighted = kl_test_on_batch(d.model, d.x, d.y, .sample_weight = w);
    kl_tensor *x = kl_view_slice(d.x, 0, 0, 20, 1), *y = kl_view_slice(d.y, 0, 0, 20, 1);
    assert_true(fabs(weighted - kl_test_on_batch(d.model, x, y)) < 1e-5);
    kl_tensor *wrong = kl_zeros(KL_FLOAT32, KL_DIMS(39));
    assert_true(isnan(kl_test_on_batch(d.model, d.x, d.y, .sample_weight = wrong)));
    assert_non_null(strstr(kl_last_error(), "39 in sample_weight"));
    kl_release(x);
    kl_release(y);
    kl_release(w);
    kl_release(wrong);
    drop(&d);
}

static void train(int threads, float *out)
{
    kl_set_num_threads(threads);
    kl_set_random_seed(11);
    kl_tensor *x = kl_op_random_normal(KL_FLOAT32, KL_DIMS(200, 300), 0, 1);
    kl_tensor *y = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(200, 1), 0, 1);
    kl_model *model = kl_sequential();
    kl_add(model, kl_dense(.units = 256, .activation = "relu"));
    kl_add(model, kl_dropout(.rate = 0.3));
    kl_add(model, kl_dense(.units = 1, .activation = "sigmoid"));
    kl_compile(model, .optimizer = kl_adam(.global_clipnorm = 0.1), .loss = "bce");
    kl_history *history = kl_fit(model, x, y, .epochs = 2, .batch_size = 64, .verbose = 0);
    assert_non_null(history);
    kl_tensor_copy_to(kl_weight_value(kl_layer_weight(model, 0)), KL_FLOAT32, out, 300 * 256);
    kl_history_free(history);
    kl_release(x);
    kl_release(y);
    kl_layer_release(model);
}

static void threads_change_nothing(void **state)
{
    static float one[300 * 256], other[300 * 256];
    train(1, one);
    train(2, other);
    assert_memory_equal(one, other, sizeof one);
    train(8, other);
    assert_memory_equal(one, other, sizeof one);
    kl_set_num_threads(0);
    kl_shutdown(); /* joins the workers, whose pools would look like leaks */
}

/* Every policy learns the line; the weights keep their own dtype. */
static void policies_train(void **state)
{
    static const char *const policies[] = {"float64", "mixed_bfloat16", "mixed_float16", "float16"};
    for (int k = 0; k < 4; k++) {
        line_data d = line("sgd");
        kl_model *model = kl_sequential();
        kl_add(model, kl_dense(.units = 1, .kernel_initializer = "zeros", .dtype = policies[k]));
        kl_compile(model, .optimizer = kl_sgd(.learning_rate = 0.1), .loss = "mse",
                   .metrics = {"mae"});
        kl_history *history = kl_fit(model, d.x, d.y, .epochs = 40, .batch_size = 8, .verbose = 0);
        assert_non_null(history);
        assert_true(kl_history_last(history, "loss") < 1e-3);
        assert_int_equal(kl_tensor_dtype(kl_weight_value(kl_layer_weight(model, 0))),
                         k == 0   ? KL_FLOAT64
                         : k == 3 ? KL_FLOAT16
                                  : KL_FLOAT32);
        kl_history_free(history);
        kl_layer_release(model);
        drop(&d);
    }
}

static void bad_options_are_told(void **state)
{
    line_data d = line("sgd");
    assert_null(kl_fit(d.model, d.x, d.y, .validation_freq = 0));
    assert_null(kl_fit(d.model, d.x, d.y, .steps_per_epoch = 0));
    assert_null(kl_fit(d.model, d.x, d.y, .initial_epoch = -1));
    assert_null(kl_fit(d.model, d.x, d.y, .data = {next_batch, NULL, NULL}));
    assert_non_null(strstr(kl_last_error(), "x or data"));
    assert_null(kl_fit(d.model, d.x, d.y, .inputs = {d.x}));
    assert_non_null(strstr(kl_last_error(), "given twice"));
    assert_null(kl_fit(d.model, NULL, NULL, .inputs = {d.x}, .targets = {d.y, d.y}, .verbose = 0));
    assert_non_null(strstr(kl_last_error(), "targets"));
    assert_null(kl_callback_csv_logger());
    assert_true(isnan(kl_model_metric(d.model, "accuracy")));
    assert_true(isnan(kl_train_on_batch(NULL, d.x, d.y)));
    assert_null(kl_evaluate(d.model, d.x, NULL));
    assert_int_not_equal(kl_optimizer_set_learning_rate(kl_model_optimizer(d.model), NAN), KL_OK);
    assert_int_not_equal(kl_optimizer_apply(NULL, 0, NULL, NULL), KL_OK);
    assert_null(kl_history_get(NULL, "loss", NULL));
    drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callbacks_are_called),
        cmocka_unit_test(a_callback_may_end_fit),
        cmocka_unit_test(early_stopping_restores_the_best),
        cmocka_unit_test(rates_follow_callbacks),
        cmocka_unit_test(csv_lines_are_written),
        cmocka_unit_test(nan_ends_training),
        cmocka_unit_test(a_generator_gives_what_arrays_give),
        cmocka_unit_test(steps_and_frequencies_count),
        cmocka_unit_test(sample_weights_count),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(policies_train),
        cmocka_unit_test(bad_options_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
