/* adapt: tensors, C strings and sources learn the same; steps one by one; bad input. */
#include <stdio.h>
#include "base/test_support.h"
#include "klayers/klayers.h"

static const char *const corpus[] = {"the cat sat", "the dog", "", "a cat ran", "the end", "dog"};
enum { TEXTS = 6 };

static void check_error(kl_status status, const char *part)
{
    assert_int_not_equal(status, KL_OK);
    if (!strstr(kl_last_error(), part))
        print_error("%s\n", kl_last_error());
    assert_non_null(strstr(kl_last_error(), part));
    kl_clear_error();
}

static void check_words(const kl_layer *layer, const char *expected)
{
    char text[400] = "";
    kl_tensor *words = kl_get_vocabulary(layer, false);
    assert_non_null(words);
    for (int64_t i = 0; i < kl_tensor_size(words); i++) {
        kl_string word = kl_tensor_string_at(words, i);
        strncat(text, word.at, word.length);
        strcat(text, " ");
    }
    assert_string_equal(text, expected);
    kl_release(words);
}

#define LEARNED "the dog cat sat ran end a "

/* Batches of two texts, and a failure before batch `fails` if that isn't 0. */
typedef struct text_source {
    int at, fails;
    kl_tensor *batch;
} text_source;

static kl_status next_texts(void *user, kl_tensor **batch)
{
    text_source *s = user;
    kl_release(s->batch);
    s->batch = NULL;
    if (s->fails && s->at == s->fails)
        return kl_error(KL_ERROR_IO, "the disk is on fire");
    if (s->at == TEXTS / 2)
        return KL_OK;
    *batch = s->batch = kl_from_strings(KL_DIMS(2), corpus + 2 * s->at++);
    return *batch ? KL_OK : kl_last_status();
}

static void test_texts(void **state)
{
    kl_layer *layer = kl_text_vectorization();
    kl_tensor *x = kl_from_strings(KL_DIMS(TEXTS), corpus);
    assert_int_equal(kl_layer_adapt(layer, x), KL_OK);
    check_words(layer, LEARNED);
    assert_int_equal(kl_layer_adapt_texts(layer, corpus, 2), KL_OK);
    check_words(layer, "the sat dog cat ");
    assert_int_equal(kl_layer_adapt_texts(layer, corpus, TEXTS), KL_OK);
    check_words(layer, LEARNED);
    assert_int_equal(kl_layer_adapt_texts(layer, corpus, 1), KL_OK);
    text_source source = {0};
    assert_int_equal(kl_layer_adapt_source(layer, next_texts, &source), KL_OK);
    check_words(layer, LEARNED);
    kl_release(x);
    kl_layer_release(layer);
}

static void test_steps(void **state)
{
    kl_layer *layer = kl_text_vectorization();
    kl_tensor *first = kl_from_strings(KL_DIMS(3), corpus);
    kl_tensor *second = kl_from_strings(KL_DIMS(3), corpus + 3);
    assert_int_equal(kl_layer_update_state(layer, first), KL_OK);
    assert_int_equal(kl_layer_reset_state(layer), KL_OK);
    assert_int_equal(kl_layer_update_state(layer, first), KL_OK);
    check_words(layer, "");
    assert_int_equal(kl_layer_update_state(layer, second), KL_OK);
    assert_int_equal(kl_layer_finalize_state(layer), KL_OK);
    check_words(layer, LEARNED);
    /* As in Keras, what was learned stays, and without new data finalize changes nothing. */
    assert_int_equal(kl_layer_reset_state(layer), KL_OK);
    assert_int_equal(kl_layer_finalize_state(layer), KL_OK);
    check_words(layer, LEARNED);
    kl_layer *given = kl_text_vectorization(.vocabulary = KL_STRINGS("a", "b"));
    kl_clear_error();
    assert_int_equal(kl_layer_reset_state(given), KL_OK);
    assert_string_equal(kl_last_error(), "");
    check_words(given, "a b ");
    kl_layer_release(given);
    kl_release(first);
    kl_release(second);
    kl_layer_release(layer);
}

typedef struct number_source {
    kl_tensor *all, *batch;
    int64_t at;
} number_source;

static kl_status next_numbers(void *user, kl_tensor **batch)
{
    number_source *s = user;
    kl_release(s->batch);
    s->batch = NULL;
    int64_t rows = kl_tensor_dim(s->all, 0), end = s->at + 7 < rows ? s->at + 7 : rows;
    if (s->at == rows)
        return KL_OK;
    *batch = s->batch = kl_view_slice(s->all, 0, s->at, end, 1);
    s->at = end;
    return *batch ? KL_OK : kl_last_status();
}

static void test_numbers(void **state)
{
    kl_tensor *x = kl_op_random_normal(KL_FLOAT32, KL_DIMS(50, 3), 4, 2);
    kl_layer *whole = kl_normalization(), *parts = kl_normalization();
    number_source source = {.all = x};
    assert_int_equal(kl_layer_adapt(whole, x), KL_OK);
    assert_int_equal(kl_layer_adapt_source(parts, next_numbers, &source), KL_OK);
    kl_tensor *a = kl_call(whole, x), *b = kl_call(parts, x);
    for (int64_t i = 0; i < kl_tensor_size(a); i++)
        assert_float_equal(kl_tensor_at(a, i), kl_tensor_at(b, i), 1e-5);
    kl_release(a);
    kl_release(b);
    kl_release(x);
    kl_layer_release(whole);
    kl_layer_release(parts);
}

/* Layers on categories learn from the same sources. */
static void test_categories(void **state)
{
    const char *colours[] = {"red", "green", "red", "blue", "green", "red"};
    kl_layer *whole = kl_string_lookup(), *texts = kl_string_lookup();
    kl_tensor *x = kl_from_strings(KL_DIMS(6), colours);
    assert_int_equal(kl_layer_adapt(whole, x), KL_OK);
    check_words(whole, "red green blue ");
    assert_int_equal(kl_layer_adapt_texts(texts, colours, 6), KL_OK);
    check_words(texts, "red green blue ");
    kl_layer_release(whole);
    kl_layer_release(texts);
    kl_release(x);
    kl_tensor *values = kl_op_random_normal(KL_FLOAT32, KL_DIMS(50, 1), 4, 2);
    number_source source = {.all = values};
    kl_layer *bins = kl_discretization(.num_bins = 4);
    assert_int_equal(kl_layer_adapt_source(bins, next_numbers, &source), KL_OK);
    kl_tensor *y = kl_call(bins, values);
    assert_non_null(y);
    assert_int_equal(kl_layer_update_state(bins, values), KL_OK);
    assert_int_equal(kl_layer_reset_state(bins), KL_OK);
    kl_tensor *again = kl_call(bins, values);
    for (int64_t i = 0; i < kl_tensor_size(y); i++)
        assert_true(kl_tensor_at(y, i) == kl_tensor_at(again, i) && kl_tensor_at(y, i) < 4);
    kl_release(again);
    kl_release(y);
    kl_release(values);
    kl_layer_release(bins);
    kl_layer *given = kl_discretization(.bin_boundaries = KL_FLOATS(0, 1));
    kl_clear_error();
    assert_int_equal(kl_layer_reset_state(given), KL_OK);
    assert_string_equal(kl_last_error(), "");
    kl_layer_release(given);
}

/* Ends without data are errors that leave the boundaries as they were. */
static void test_bins_without_data(void **state)
{
    kl_tensor *values = kl_op_random_normal(KL_FLOAT32, KL_DIMS(50, 1), 4, 2);
    kl_tensor *none = kl_zeros(KL_FLOAT32, KL_DIMS(0, 1));
    kl_tensor *words = kl_from_strings(KL_DIMS(1), ((const char *[]){"a"}));
    kl_layer *bins = kl_discretization(.num_bins = 4);
    check_error(kl_layer_finalize_state(bins), "no data");
    /* Empty data is data to Keras: one bin. */
    assert_int_equal(kl_layer_adapt(bins, none), KL_OK);
    check_error(kl_layer_finalize_state(bins), "no data");
    check_error(kl_layer_adapt(bins, words), "expected numbers");
    assert_int_equal(kl_layer_adapt(bins, values), KL_OK);
    char *before = kl_layer_get_config(bins);
    assert_non_null(strstr(before, "bin_boundaries"));
    check_error(kl_layer_finalize_state(bins), "no data");
    char *after = kl_layer_get_config(bins);
    assert_string_equal(before, after);
    kl_free_text(before);
    kl_free_text(after);
    kl_layer_release(bins);
    kl_layer *given = kl_discretization(.bin_boundaries = KL_FLOATS(0, 1));
    check_error(kl_layer_update_state(given, values), "given its bin_boundaries");
    check_error(kl_layer_finalize_state(given), "given its bin_boundaries");
    kl_tensor *y = kl_call(given, values);
    assert_non_null(y);
    kl_release(y);
    kl_layer_release(given);
    kl_release(words);
    kl_release(none);
    kl_release(values);
}

static kl_status next_none(void *user, kl_tensor **batch)
{
    return KL_OK;
}

static void test_bad_input(void **state)
{
    kl_layer *layer = kl_text_vectorization(), *dense = kl_dense(.units = 1);
    const char *hole[] = {"a", NULL};
    kl_tensor *x = kl_from_strings(KL_DIMS(TEXTS), corpus);
    kl_tensor *numbers = kl_zeros(KL_FLOAT32, KL_DIMS(2, 1));
    kl_tensor *symbol = kl_input(.shape = {1}, .dtype = "string");
    assert_int_equal(kl_layer_adapt(layer, x), KL_OK);
    check_error(kl_layer_adapt(NULL, x), "layer");
    check_error(kl_layer_adapt(layer, NULL), "data");
    check_error(kl_layer_adapt(dense, x), "nothing to adapt");
    check_error(kl_layer_adapt(layer, numbers), "expected strings, got float32");
    check_error(kl_layer_adapt(layer, symbol), "symbolic");
    check_error(kl_layer_adapt_texts(NULL, corpus, 1), "layer");
    check_error(kl_layer_adapt_texts(layer, NULL, 1), "texts");
    check_error(kl_layer_adapt_texts(layer, corpus, 0), "at least 1 text, got 0");
    check_error(kl_layer_adapt_texts(layer, hole, 2), "text 1 is NULL");
    check_error(kl_layer_adapt_source(layer, NULL, NULL), "next");
    check_error(kl_layer_adapt_source(layer, next_none, NULL), "the source has no data");
    text_source source = {.fails = 2};
    check_error(kl_layer_adapt_source(layer, next_texts, &source), "the disk is on fire");
    check_error(kl_layer_update_state(layer, NULL), "batch");
    check_error(kl_layer_update_state(dense, x), "nothing to adapt");
    check_error(kl_layer_finalize_state(NULL), "layer");
    check_error(kl_layer_finalize_state(dense), "nothing to adapt");
    /* Nothing of a failed attempt is left. */
    assert_int_equal(kl_layer_finalize_state(layer), KL_OK);
    check_words(layer, LEARNED);
    kl_release(symbol);
    kl_release(numbers);
    kl_release(x);
    kl_layer_release(layer);
    kl_layer_release(dense);
}

/* An allocator that counts what is held, and the most. */
typedef struct tally {
    long now, most;
} tally;

static void count_bytes(tally *h, long change)
{
    h->now += change;
    if (h->now > h->most)
        h->most = h->now;
}

static void *allocate(size_t size, void *user)
{
    size_t *memory = malloc(size + 64);
    if (!memory)
        return NULL;
    *memory = size;
    count_bytes(user, (long)size);
    return (char *)memory + 64;
}

static void release(void *memory, void *user)
{
    if (!memory)
        return;
    size_t *start = (size_t *)(void *)((char *)memory - 64);
    count_bytes(user, -(long)*start);
    free(start);
}

static void *reallocate(void *memory, size_t size, void *user)
{
    void *grown = allocate(size, user);
    if (memory && grown) {
        size_t before = *(size_t *)(void *)((char *)memory - 64);
        memcpy(grown, memory, before < size ? before : size);
        release(memory, user);
    }
    return grown;
}

/* The same few hundred words again and again. */
typedef struct endless {
    kl_tensor *batch;
    int64_t left;
} endless;

static kl_status next_endless(void *user, kl_tensor **batch)
{
    endless *s = user;
    if (s->left-- > 0)
        *batch = s->batch;
    return KL_OK;
}

static void test_memory(void **state)
{
    kl_shutdown();
    tally bytes = {0};
    const kl_allocator counting = {allocate, reallocate, release, &bytes};
    assert_int_equal(kl_set_allocator(&counting), KL_OK);
    kl_set_num_threads(1);
    char words[400 * 8];
    int used = 0;
    for (int i = 0; i < 400; i++)
        used += snprintf(words + used, sizeof words - (size_t)used, "word%d ", i % 200);
    const char *text = words;
    /* The first round fills caches. */
    long most[3];
    for (int i = 0; i < 3; i++) {
        endless source = {kl_from_strings(KL_DIMS(1), &text), i == 2 ? 2000 : 20};
        kl_layer *layer = kl_text_vectorization();
        bytes.most = 0;
        assert_int_equal(kl_layer_adapt_source(layer, next_endless, &source), KL_OK);
        most[i] = bytes.most;
        assert_int_equal(kl_vocabulary_size(layer), 202);
        kl_layer_release(layer);
        kl_release(source.batch);
    }
    assert_int_equal(most[1], most[2]);
    kl_set_num_threads(0);
    kl_shutdown();
    assert_int_equal(bytes.now, 0);
    assert_int_equal(kl_set_allocator(NULL), KL_OK);
}

static bool short_life(void)
{
    kl_layer *layer = kl_text_vectorization(.output_mode = "tf_idf", .ngrams = 2);
    text_source source = {0};
    bool good = !kl_layer_adapt_texts(layer, corpus, TEXTS) &&
                !kl_layer_adapt_source(layer, next_texts, &source);
    kl_tensor *x = kl_from_strings(KL_DIMS(TEXTS), corpus), *y = kl_call(layer, x);
    good = good && y;
    kl_release(source.batch);
    kl_release(x);
    kl_release(y);
    kl_layer_release(layer);
    return good;
}

static void test_memory_runs_out(void **state)
{
    failing_allocator f;
    kl_set_num_threads(1);
    failing_install(&f);
    assert_true(short_life());
    kl_shutdown();
    long held = f.held, n = 0;
    for (bool good = false; !good; n++) {
        kl_clear_error();
        f.until_failure = n;
        good = short_life();
        bool failed = f.until_failure == 0;
        f.until_failure = -1;
        if (!good)
            assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
        good = good && !failed;
        kl_shutdown();
        assert_int_equal(f.held, held);
        assert_true(n < 2000);
    }
    assert_true(n > 20);
    failing_remove(&f);
    kl_set_num_threads(0);
}

static void test_no_allocations(void **state)
{
    failing_allocator f;
    kl_set_num_threads(1);
    failing_install(&f);
    kl_layer *layers[] = {kl_text_vectorization(), kl_text_vectorization(.output_mode = "count"),
                          kl_text_vectorization(.ngrams = 3, .output_sequence_length = 4)};
    kl_tensor *x = kl_from_strings(KL_DIMS(TEXTS), corpus);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kl_layer_adapt(layers[i], x), KL_OK);
        for (int k = 0; k < 3; k++)
            kl_release(kl_call(layers[i], x));
        long before = f.allocations;
        for (int k = 0; k < 5; k++)
            kl_release(kl_call(layers[i], x));
        assert_int_equal(f.allocations, before);
        kl_layer_release(layers[i]);
    }
    kl_release(x);
    failing_remove(&f);
    kl_set_num_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_no_allocations),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_categories),
        cmocka_unit_test(test_bins_without_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
