/* Preprocessing within fit: the same bits however many batches are made ahead; errors; its end. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include "base/test_support.h"
#include "klayers/klayers.h"

enum { IMAGES = 75, SIDE = 9 };

/* Adds noise drawn without a generator of the layer's own. */
static kl_tensors noise_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *x = in.at[0];
    if (!kl_training(ctx))
        return kl_one(x);
    return kl_one(kl_op_add(
        x, kl_op_random_normal(KL_FLOAT32, kl_tensor_rank(x), kl_tensor_shape(x), 0, .1f)));
}

static const kl_layer_vtable noise_class = {
    .size = sizeof(kl_layer_vtable), .class_name = "Noise", .call = noise_call};

static kl_model *augmentation(void)
{
    kl_model *model = kl_sequential();
    kl_add(model, kl_random_flip());
    kl_add(model, kl_random_rotation(.factor = KL_FLOATS(0.1)));
    kl_add(model, kl_layer_new(&noise_class, NULL));
    return model;
}

static kl_model *classifier(void)
{
    kl_model *model = kl_sequential();
    kl_add(model, kl_flatten());
    kl_add(model, kl_dropout(.rate = 0.25));
    kl_add(model, kl_dense(.units = 3, .activation = "softmax"));
    kl_compile(model, .optimizer = "adam", .loss = "sparse_categorical_crossentropy");
    return model;
}

static kl_tensor *images(void)
{
    return kl_op_random_uniform(KL_FLOAT32, KL_DIMS(IMAGES, SIDE, SIDE, 1), 0, 1);
}

static kl_tensor *labels(void)
{
    int32_t at[IMAGES];
    for (int i = 0; i < IMAGES; i++)
        at[i] = i * 7 % 3;
    return kl_from_data(KL_INT32, KL_DIMS(IMAGES), at);
}

/* What a run leaves: weights, losses and the next augmented image, as bytes. */
typedef struct trace {
    char bytes[16384];
    size_t size;
} trace;

static void note(trace *t, const void *data, size_t size)
{
    assert_true(t->size + size <= sizeof t->bytes);
    memcpy(t->bytes + t->size, data, size);
    t->size += size;
}

static void note_tensor(trace *t, const kl_tensor *x)
{
    note(t, kl_tensor_data(x), (size_t)kl_tensor_size(x) * kl_dtype_size(kl_tensor_dtype(x)));
}

static void note_run(trace *t, kl_model *model, kl_model *before, kl_tensor *x, kl_history *history)
{
    kl_tensor *weights[8];
    int count = kl_layer_weights(model, weights, 8);
    assert_non_null(history);
    for (int i = 0; i < count; i++)
        note_tensor(t, weights[i]);
    const char *name;
    for (size_t i = 0; (name = kl_history_name(history, i)); i++) {
        size_t epochs;
        const double *values = kl_history_get(history, name, &epochs);
        note(t, values, epochs * sizeof *values);
    }
    if (before) {
        kl_tensor *one = kl_view_slice(x, 0, 0, 1, 1);
        kl_set_random_seed(11);
        kl_tensors next = kl_call_with(before, .inputs = {one}, .training = KL_TRUE);
        assert_non_null(next.at);
        note_tensor(t, next.at[0]);
        kl_release(next.at[0]);
        kl_release(one);
    }
    kl_history_free(history);
}

/* Stops in the middle of an epoch. */
static kl_status stop_early(void *user, kl_callback_event *event)
{
    event->stop = event->epoch == 1 && event->batch == 2;
    return KL_OK;
}

static void run_images(trace *t, int64_t depth, bool stops)
{
    kl_clear_session();
    kl_set_random_seed(5);
    kl_tensor *x = images(), *y = labels();
    kl_model *before = augmentation(), *model = classifier();
    kl_callback *callback = stops ? kl_callback_lambda(.on_batch_end = stop_early) : NULL;
    kl_history *history =
        kl_fit(model, x, y, .epochs = 3, .batch_size = 8, .validation_split = 0.2, .verbose = 0,
               .steps_per_epoch = stops ? 5 : KL_NONE, .preprocessing = before, .prefetch = depth,
               .callbacks = {callback});
    if (!history)
        print_error("%s\n", kl_last_error());
    note_run(t, model, before, x, history);
    kl_layer_release(model);
    kl_layer_release(before);
    kl_release(x);
    kl_release(y);
}

static void test_same_bits(void **state)
{
    const int64_t depths[] = {0, 1, 4, KL_NONE};
    for (int stops = 0; stops < 2; stops++) {
        trace first = {.size = 0};
        for (int threads = 1; threads <= 4; threads += 3) {
            kl_set_num_threads(threads);
            for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
                trace now = {.size = 0};
                run_images(i || threads > 1 ? &now : &first, depths[i], stops);
                if (!i && threads == 1)
                    continue;
                assert_int_equal(now.size, first.size);
                assert_memory_equal(now.bytes, first.bytes, now.size);
            }
        }
    }
    kl_set_num_threads(0);
}

/* A generator that overwrites what it gave before, and fails before batch `fails`. */
typedef struct generator {
    kl_tensor *x, *y;
    int at, count, fails;
} generator;

static kl_status next_batch(void *user, kl_batch *batch, bool *end)
{
    generator *g = user;
    if (g->fails && g->at == g->fails)
        return kl_error(KL_ERROR_IO, "shelf %d is empty", g->at);
    *end = g->at == g->count;
    if (*end)
        return KL_OK;
    float *x = kl_tensor_mutable_data(g->x), *y = kl_tensor_mutable_data(g->y);
    for (int i = 0; i < 4; i++) {
        x[i] = (float)((g->at * 4 + i) % 9) - 4;
        y[i] = 2 * x[i] - 1;
    }
    g->at++;
    batch->x[0] = g->x;
    batch->y[0] = g->y;
    return KL_OK;
}

static kl_status restart(void *user)
{
    ((generator *)user)->at = 0;
    return KL_OK;
}

static kl_model *line(void)
{
    kl_model *model = kl_sequential();
    kl_add(model, kl_dense(.units = 1));
    kl_compile(model, .optimizer = "sgd", .loss = "mse");
    return model;
}

static void test_generator(void **state)
{
    trace traces[3] = {{.size = 0}};
    for (int i = 0; i < 3; i++) {
        generator g = {kl_zeros(KL_FLOAT32, KL_DIMS(4, 1)), kl_zeros(KL_FLOAT32, KL_DIMS(4, 1)),
                       .count = 6};
        kl_set_random_seed(2);
        kl_model *model = line();
        kl_history *history = kl_fit(model, NULL, NULL, .data = {next_batch, restart, &g},
                                     .epochs = 3, .verbose = 0, .prefetch = 2 * i);
        note_run(&traces[i], model, NULL, NULL, history);
        assert_memory_equal(traces[i].bytes, traces[0].bytes, traces[0].size);
        kl_layer_release(model);
        kl_release(g.x);
        kl_release(g.y);
    }
}

static void test_texts(void **state)
{
    const char *texts[] = {"good day", "bad day", "good", "bad bad", "so good", "so bad"};
    const float classes[] = {1, 0, 1, 0, 1, 0};
    kl_tensor *x = kl_from_strings(KL_DIMS(6), texts);
    kl_tensor *y = kl_from_data(KL_FLOAT32, KL_DIMS(6, 1), classes);
    kl_layer *words = kl_text_vectorization(.output_mode = "multi_hot");
    kl_model *model = kl_sequential();
    kl_add(model, kl_dense(.units = 1, .activation = "sigmoid"));
    kl_compile(model, .optimizer = "adam", .loss = "binary_crossentropy", .metrics = {"accuracy"});
    assert_int_equal(kl_layer_adapt_texts(words, texts, 6), KL_OK);
    kl_history *history = kl_fit(model, x, y, .epochs = 300, .batch_size = 2, .verbose = 0,
                                 .preprocessing = words, .prefetch = 3);
    assert_non_null(history);
    kl_history *result = kl_evaluate(model, x, y, .preprocessing = words);
    assert_non_null(result);
    assert_float_equal(kl_history_last(result, "accuracy"), 1, 0);
    kl_history_free(result);
    kl_history_free(history);
    kl_layer_release(model);
    kl_layer_release(words);
    kl_release(x);
    kl_release(y);
}

static void test_targets(void **state)
{
    kl_tensor *x = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(10, 4, 4, 1), 0, 1);
    kl_tensor *y = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(10, 3), 0, 1);
    kl_model *model = kl_sequential();
    kl_add(model, kl_flatten());
    kl_add(model, kl_dense(.units = 3));
    kl_compile(model, .optimizer = "sgd", .loss = "mse");
    kl_layer *mix = kl_mix_up();
    kl_history *history = kl_fit(model, x, y, .batch_size = 5, .verbose = 0, .preprocessing = mix,
                                 .preprocess_targets = true);
    if (!history)
        print_error("%s\n", kl_last_error());
    assert_non_null(history);
    kl_history_free(history);
    kl_layer_release(mix);
    kl_layer_release(model);
    kl_release(x);
    kl_release(y);
}

static void refuse(kl_history *history, const char *part)
{
    assert_null(history);
    if (!strstr(kl_last_error(), part))
        print_error("%s\n", kl_last_error());
    assert_non_null(strstr(kl_last_error(), part));
    kl_clear_error();
}

static int count_threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return count;
}

static kl_status fail_batch(void *user, kl_callback_event *event)
{
    return event->batch == 3 ? kl_error(KL_ERROR_STATE, "enough of this") : KL_OK;
}

static void test_failures(void **state)
{
    kl_set_num_threads(1);
    int threads = count_threads();
    for (int64_t depth = 0; depth < 3; depth++) {
        generator g = {kl_zeros(KL_FLOAT32, KL_DIMS(4, 1)), kl_zeros(KL_FLOAT32, KL_DIMS(4, 1)),
                       .count = 9, .fails = 5};
        const kl_data data = {next_batch, restart, &g};
        kl_model *model = line();
        refuse(kl_fit(model, NULL, NULL, .data = data, .verbose = 0, .prefetch = depth),
               "shelf 5 is empty");
        assert_int_equal(g.at, 5);
        g.fails = g.at = 0;
        refuse(kl_fit(model, NULL, NULL, .data = data, .verbose = 0, .prefetch = depth,
                      .callbacks = {kl_callback_lambda(.on_batch_end = fail_batch)}),
               "enough of this");
        g.at = 0;
        kl_layer *words = kl_text_vectorization();
        refuse(kl_fit(model, NULL, NULL, .data = data, .verbose = 0, .prefetch = depth,
                      .preprocessing = words),
               "text_vectorization");
        kl_layer_release(words);
        kl_layer *mix = kl_mix_up();
        refuse(kl_fit(model, g.x, g.y, .verbose = 0, .prefetch = depth, .preprocessing = mix),
               "mix_up");
        kl_layer_release(mix);
        /* The model is as good as before. */
        g.at = 0;
        kl_history *history =
            kl_fit(model, NULL, NULL, .data = data, .verbose = 0, .prefetch = depth);
        assert_non_null(history);
        kl_history_free(history);
        kl_layer_release(model);
        kl_release(g.x);
        kl_release(g.y);
        assert_int_equal(count_threads(), threads);
    }
    kl_set_num_threads(0);
}

static void test_bad_arguments(void **state)
{
    kl_tensor *x = kl_zeros(KL_FLOAT32, KL_DIMS(4, 1));
    kl_model *model = line();
    refuse(kl_fit(model, x, x, .prefetch = -1), "prefetch must be from 0 to 1024, got -1");
    refuse(kl_fit(model, x, x, .prefetch = 2000), "prefetch must be from 0 to 1024, got 2000");
    refuse(kl_fit(model, x, x, .preprocess_targets = true), "needs preprocessing");
    refuse(kl_fit(model, x, x, .preprocessing = kl_random_flip(.mode = "sideways")), "sideways");
    kl_layer_release(model);
    kl_release(x);
}

/* The failing allocator for two threads. */
static pthread_mutex_t allocating = PTHREAD_MUTEX_INITIALIZER;

static void *locked_allocate(size_t size, void *user)
{
    pthread_mutex_lock(&allocating);
    void *memory = failing_allocate(size, user);
    pthread_mutex_unlock(&allocating);
    return memory;
}

static void *locked_reallocate(void *memory, size_t size, void *user)
{
    pthread_mutex_lock(&allocating);
    void *grown = failing_reallocate(memory, size, user);
    pthread_mutex_unlock(&allocating);
    return grown;
}

static void locked_release(void *memory, void *user)
{
    pthread_mutex_lock(&allocating);
    failing_release(memory, user);
    pthread_mutex_unlock(&allocating);
}

static bool short_life(void)
{
    kl_tensor *x = kl_full(KL_FLOAT32, KL_DIMS(6, 4, 4, 1), 0.5);
    kl_tensor *y = kl_full(KL_INT32, KL_DIMS(6), 1);
    kl_model *before = augmentation(), *model = classifier();
    kl_history *history =
        kl_fit(model, x, y, .batch_size = 2, .verbose = 0, .preprocessing = before, .prefetch = 2);
    bool good = history != NULL;
    kl_history_free(history);
    kl_layer_release(model);
    kl_layer_release(before);
    kl_release(x);
    kl_release(y);
    return good;
}

static void test_memory_runs_out(void **state)
{
    failing_allocator f = {.until_failure = -1};
    const kl_allocator locked = {locked_allocate, locked_reallocate, locked_release, &f};
    kl_set_num_threads(1);
    kl_shutdown();
    assert_int_equal(kl_set_allocator(&locked), KL_OK);
    assert_true(short_life());
    kl_shutdown();
    long held = f.held, n = 0;
    for (bool good = false; !good; n++) {
        kl_clear_error();
        f.until_failure = n;
        good = short_life();
        bool failed = f.until_failure == 0;
        f.until_failure = -1;
        assert_true(good || kl_last_error()[0]);
        good = good && !failed;
        kl_shutdown();
        assert_int_equal(f.held, held);
        assert_true(n < 5000);
    }
    assert_true(n > 50);
    kl_shutdown();
    assert_int_equal(kl_set_allocator(NULL), KL_OK);
    kl_set_num_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_runs_out), cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_generator),       cmocka_unit_test(test_texts),
        cmocka_unit_test(test_targets),         cmocka_unit_test(test_failures),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
