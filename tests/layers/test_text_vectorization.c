/* TextVectorization: what real Keras 3 gives for the same texts, vocabularies, files, bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/config.h"
#include "klayers/layers/preprocessing.h"

static const char *const corpus[] = {"The cat sat, on THE mat.", "dog & cat!  run", "",
                                     "a\tb  c the"};

static kl_tensor *column(void)
{
    return kl_from_strings(KL_DIMS(4, 1), corpus);
}

static void check_adapted(kl_layer *layer)
{
    assert_non_null(layer);
    kl_tensor *x = column();
    assert_int_equal(kl_layer_adapt(layer, x), KL_OK);
    kl_release(x);
}

static void check_vocabulary(const kl_layer *layer, const char *expected)
{
    kl_tensor *words = kl_get_vocabulary(layer, true);
    assert_non_null(words);
    char text[2000] = "";
    for (int64_t i = 0; i < kl_tensor_size(words); i++) {
        kl_string word = kl_tensor_string_at(words, i);
        strncat(text, word.at, word.length);
        strcat(text, "|");
    }
    assert_string_equal(text, expected);
    assert_int_equal(kl_vocabulary_size(layer), kl_tensor_size(words));
    kl_release(words);
}

static void check_numbers(kl_layer *layer, kl_tensor *x, kl_dtype dtype, int rank,
                          const int64_t *shape, const double *expected)
{
    assert_non_null(x);
    kl_tensor *y = kl_call(layer, x);
    if (!y)
        print_error("%s\n", kl_last_error());
    assert_non_null(y);
    assert_int_equal(kl_tensor_dtype(y), dtype);
    assert_int_equal(kl_tensor_rank(y), rank);
    for (int i = 0; i < rank; i++)
        assert_int_equal(kl_tensor_shape(y)[i], shape[i]);
    for (int64_t i = 0; i < kl_tensor_size(y); i++)
        assert_float_equal(kl_tensor_at(y, i), expected[i], 1e-6);
    kl_release(y);
    kl_release(x);
}

static void test_int(void **state)
{
    kl_layer *layer = kl_text_vectorization();
    check_adapted(layer);
    check_vocabulary(layer, "|[UNK]|the|cat|sat|run|on|mat|dog|c|b|a|");
    const double expected[] = {2, 3, 4, 6, 2, 7, 8,  3,  5, 0, 0, 0,
                               0, 0, 0, 0, 0, 0, 11, 10, 9, 2, 0, 0};
    check_numbers(layer, column(), KL_INT64, KL_DIMS(4, 6), expected);
    check_numbers(layer, kl_from_strings(KL_DIMS(4), corpus), KL_INT64, KL_DIMS(4, 6), expected);
    const char *scalar = "the cat", *pair[] = {"the cat", "dog"};
    check_numbers(layer, kl_from_strings(0, NULL, &scalar), KL_INT64, KL_DIMS(2), (double[]){2, 3});
    check_numbers(layer, kl_from_strings(KL_DIMS(1, 2, 1), pair), KL_INT64, KL_DIMS(1, 2, 2),
                  (double[]){2, 3, 8, 0});
    kl_layer_release(layer);
    layer = kl_text_vectorization(.max_tokens = 6);
    check_adapted(layer);
    check_vocabulary(layer, "|[UNK]|the|cat|sat|run|");
    kl_layer_release(layer);
}

static void test_ngrams(void **state)
{
    kl_layer *layer = kl_text_vectorization(.ngrams = 2);
    check_adapted(layer);
    check_vocabulary(layer, "|[UNK]|the|cat|the mat|the cat|sat on|sat|run|on the|on|mat|dog cat|"
                            "dog|cat sat|cat run|c the|c|b c|b|a b|a|");
    const double expected[] = {2,  3, 7, 10, 2,  11, 5, 14, 6,  9,  4, 13, 3, 8, 12,
                               15, 0, 0, 0,  0,  0,  0, 0,  0,  0,  0, 0,  0, 0, 0,
                               0,  0, 0, 21, 19, 17, 2, 20, 18, 16, 0, 0,  0, 0};
    check_numbers(layer, column(), KL_INT64, KL_DIMS(4, 11), expected);
    kl_layer_release(layer);
    layer = kl_text_vectorization(.ngrams_list = KL_INTS(2, 3));
    check_adapted(layer);
    const double exact[] = {4, 12, 6, 8, 2, 3, 11, 5, 7, 10, 13, 9,  0,  0,  0, 0, 0, 0,
                            0, 0,  0, 0, 0, 0, 0,  0, 0, 18, 16, 14, 17, 15, 0, 0, 0, 0};
    check_numbers(layer, column(), KL_INT64, KL_DIMS(4, 9), exact);
    kl_layer_release(layer);
    /* Without splitting, a vector of texts is one sample and its n-grams join texts. */
    layer = kl_text_vectorization(.split = NULL, .ngrams = 2);
    check_adapted(layer);
    check_numbers(layer, kl_from_strings(KL_DIMS(4), corpus), KL_INT64, KL_DIMS(7),
                  (double[]){2, 3, 0, 4, 1, 1, 1});
    kl_layer_release(layer);
}

static void test_characters(void **state)
{
    kl_layer *layer = kl_text_vectorization(.split = "character");
    check_adapted(layer);
    check_vocabulary(layer, "|[UNK]| |t|a|h|e|c|o|n|u|s|r|m|g|d|b|\t|");
    kl_layer_release(layer);
    /* Broken UTF-8 counts as one replacement character. */
    layer = kl_text_vectorization(.split = "character",
                                  .vocabulary = KL_STRINGS("a", "\xEF\xBF\xBD", "\xC3\xA9"));
    const char *text[] = {"a\xC3\xA9\xFF"
                          "b",
                          "\xE4\xB8"
                          "a"};
    check_numbers(layer, kl_from_strings(KL_DIMS(2), text), KL_INT64, KL_DIMS(2, 4),
                  (double[]){2, 4, 3, 1, 3, 2, 0, 0});
    kl_layer_release(layer);
}

static void test_rows(void **state)
{
    kl_layer *layer = kl_text_vectorization(.output_mode = "multi_hot");
    check_adapted(layer);
    check_vocabulary(layer, "[UNK]|the|cat|sat|run|on|mat|dog|c|b|a|");
    const double hot[] = {0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0,
                          0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1};
    check_numbers(layer, column(), KL_INT64, KL_DIMS(4, 11), hot);
    kl_layer_release(layer);
    layer = kl_text_vectorization(.output_mode = "count", .vocabulary = KL_STRINGS("the", "a"));
    const double counts[] = {4, 2, 0, 3, 0, 0, 0, 0, 0, 2, 1, 1};
    check_numbers(layer, column(), KL_INT64, KL_DIMS(4, 3), counts);
    kl_layer_release(layer);
    layer = kl_text_vectorization(.output_mode = "multi_hot", .max_tokens = 5,
                                  .pad_to_max_tokens = true, .vocabulary = KL_STRINGS("the", "a"));
    const double padded[] = {1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0};
    check_numbers(layer, column(), KL_INT64, KL_DIMS(4, 5), padded);
    kl_layer_release(layer);
    layer = kl_text_vectorization(.output_mode = "one_hot", .split = NULL);
    check_adapted(layer);
    const double one[] = {0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    check_numbers(layer, column(), KL_INT64, KL_DIMS(4, 4), one);
    kl_layer_release(layer);
}

static void test_tf_idf(void **state)
{
    kl_layer *layer = kl_text_vectorization(.output_mode = "tf_idf", .split = NULL);
    check_adapted(layer);
    const double w = 1.0986123085021973;
    const double rows[] = {0, w, 0, 0, 0, 0, w, 0, 0, 0, 0, 0, 0, 0, 0, w};
    check_numbers(layer, column(), KL_FLOAT32, KL_DIMS(4, 4), rows);
    kl_layer_release(layer);
    layer = kl_text_vectorization(.output_mode = "tf_idf", .vocabulary = KL_STRINGS("a", "b"),
                                  .idf_weights = KL_FLOATS(.5f, .25f));
    const char *text[] = {"a b c"};
    check_numbers(layer, kl_from_strings(KL_DIMS(1, 1), text), KL_FLOAT32, KL_DIMS(1, 3),
                  (double[]){.375, .5, .25});
    kl_layer_release(layer);
}

/* Many texts of varied words; released by the caller. */
static kl_tensor *many_texts(int64_t count)
{
    char(*texts)[160] = malloc((size_t)count * sizeof *texts);
    const char **list = malloc((size_t)count * sizeof *list);
    assert_true(texts && list);
    for (int64_t i = 0; i < count; i++) {
        int used = 0;
        for (int64_t k = 0; k < i % 11; k++)
            used += snprintf(texts[i] + used, sizeof texts[i] - (size_t)used, "W%lld, ",
                             (long long)(i * 7919 % (k * k * 40 + 3)));
        texts[i][used] = '\0';
        list[i] = texts[i];
    }
    kl_tensor *x = kl_from_strings(1, &count, list);
    free(list);
    free(texts);
    return x;
}

static void check_same(kl_tensor *a, kl_tensor *b)
{
    assert_true(a && b && kl_tensor_size(a) == kl_tensor_size(b));
    if (kl_tensor_dtype(a) == KL_STRING) {
        for (int64_t i = 0; i < kl_tensor_size(a); i++) {
            kl_string x = kl_tensor_string_at(a, i), y = kl_tensor_string_at(b, i);
            assert_int_equal(x.length, y.length);
            assert_memory_equal(x.at, y.at, x.length);
        }
    } else {
        size_t bytes = (size_t)kl_tensor_size(a) * kl_dtype_size(kl_tensor_dtype(a));
        assert_memory_equal(kl_tensor_data(a), kl_tensor_data(b), bytes);
    }
    kl_release(a);
    kl_release(b);
}

static void test_threads(void **state)
{
    const struct {
        const char *mode;
        int64_t length, ngrams;
    } cases[] = {{"int", KL_NONE, KL_NONE},    {"int", 4, KL_NONE},    {"int", 0, 2},
                 {"multi_hot", KL_NONE, 2},    {"tf_idf", KL_NONE, 1}, {"count", KL_NONE, KL_NONE},
                 {"one_hot", KL_NONE, KL_NONE}};
    kl_tensor *x = many_texts(300);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kl_layer *layers[2];
        kl_tensor *outputs[2];
        for (int k = 0; k < 2; k++) {
            kl_set_num_threads(k ? 4 : 1);
            layers[k] = kl_text_vectorization(.output_mode = cases[i].mode,
                                              .output_sequence_length = cases[i].length,
                                              .ngrams = cases[i].ngrams);
            assert_int_equal(kl_layer_adapt(layers[k], x), KL_OK);
            outputs[k] = kl_call(layers[k], x);
        }
        check_same(kl_get_vocabulary(layers[0], true), kl_get_vocabulary(layers[1], true));
        check_same(outputs[0], outputs[1]);
        kl_layer_release(layers[0]);
        kl_layer_release(layers[1]);
    }
    kl_set_num_threads(0);
    kl_release(x);
}

static kl_tensor *reversed_words(kl_tensor *texts, void *user)
{
    ++*(int *)user;
    return kl_from_strings(KL_DIMS(1, 1), (const char *const[]){"z-y"});
}

static void split_by_dash(kl_string text, kl_token_sink *sink, void *tokens, void *user)
{
    for (size_t i = 0, first = 0; i <= text.length; i++) {
        if (i == text.length || text.at[i] == '-') {
            sink(tokens, (kl_string){text.at + first, i - first});
            first = i + 1;
        }
    }
}

static void test_own_functions(void **state)
{
    int calls = 0;
    kl_layer *layer =
        kl_text_vectorization(.standardize_function = reversed_words,
                              .split_function = split_by_dash, .user = &calls,
                              .vocabulary = KL_STRINGS("y", "z"), .output_sequence_length = 3);
    check_numbers(layer, kl_from_strings(KL_DIMS(1, 1), corpus), KL_INT64, KL_DIMS(1, 3),
                  (double[]){3, 2, 0});
    assert_int_equal(calls, 1);
    kl_layer_release(layer);
}

static void check_config(kl_layer *layer, const char *key, const char *expected)
{
    char *text = kl_layer_get_config(layer);
    assert_non_null(text);
    kl_config *config = kl_config_parse(text, strlen(text));
    char *value = kl_config_print(kl_config_get(config, key), false);
    assert_string_equal(value, expected);
    kl_config_free_text(value);
    kl_config_free(config);
    kl_free_text(text);
}

static void test_config(void **state)
{
    kl_layer *layer = kl_layer_from_config(
        "TextVectorization",
        "{\"max_tokens\": 9, \"standardize\": null, \"split\": \"character\", \"ngrams\": [1, 3],"
        " \"output_mode\": \"tf-idf\", \"vocabulary\": [\"a\", \"b\"], \"idf_weights\": [0.5, 0.1],"
        " \"encoding\": \"utf-8\", \"vocabulary_size\": 3, \"sparse\": false, \"ragged\": false,"
        " \"output_sequence_length\": null, \"pad_to_max_tokens\": false}");
    assert_non_null(layer);
    check_config(layer, "ngrams", "[1, 3]");
    check_config(layer, "standardize", "null");
    check_config(layer, "vocabulary", "[\"a\", \"b\"]");
    check_config(layer, "idf_weights", "[0.5, 0.1]");
    check_config(layer, "vocabulary_size", "3");
    kl_layer_release(layer);
    layer = kl_text_vectorization(.ngrams = 2);
    check_config(layer, "ngrams", "2");
    check_config(layer, "vocabulary", "null");
    kl_layer_release(layer);
}

/* Files in memory. */
typedef struct asset {
    char name[64];
    char data[400];
    size_t size;
} asset;
typedef struct assets {
    asset at[4];
    int count;
} assets;

static kl_status write_asset(void *user, const char *name, const void *data, size_t size)
{
    assets *all = user;
    asset *a = &all->at[all->count++];
    snprintf(a->name, sizeof a->name, "%s", name);
    memcpy(a->data, data, size);
    a->size = size;
    return KL_OK;
}

static kl_status read_asset(void *user, const char *name, const void **data, size_t *size)
{
    assets *all = user;
    for (int i = 0; i < all->count; i++) {
        if (!strcmp(all->at[i].name, name)) {
            *data = all->at[i].data;
            *size = all->at[i].size;
            return KL_OK;
        }
    }
    return kl_error(KL_ERROR_NOT_FOUND, "no asset %s", name);
}

/* The weights of tf_idf are among a file's weights. */
static kl_tensor *kept_value;

static kl_status write_value(void *user, const char *name, const kl_tensor *value)
{
    /* For the layer and for Keras's lookup inside it. */
    if (!kept_value) {
        assert_string_equal(name, "vars/idf_weights");
        kept_value = kl_copy(value, KL_FLOAT32);
        return kept_value ? KL_OK : kl_last_status();
    }
    assert_string_equal(name, "_lookup_layer/vars/idf_weights");
    return KL_OK;
}

static kl_status read_value(void *user, const char *name, kl_tensor **value)
{
    *value = kept_value;
    kept_value = NULL;
    return KL_OK;
}

extern const kl_layer_vtable kl_text_vectorization_class;

static void test_assets(void **state)
{
    const kl_layer_vtable *cls = &kl_text_vectorization_class;
    const char *modes[] = {"int", "tf_idf"};
    for (int i = 0; i < 2; i++) {
        assets files = {0};
        kl_layer *layer = kl_text_vectorization(.output_mode = modes[i]);
        check_adapted(layer);
        assert_int_equal(cls->save_assets(layer, write_asset, &files), KL_OK);
        if (i == 0) {
            const char *expected = "\n[UNK]\nthe\ncat\nsat\nrun\non\nmat\ndog\nc\nb\na";
            assert_int_equal(files.at[0].size, strlen(expected));
            assert_memory_equal(files.at[0].data, expected, strlen(expected));
        }
        kl_layer *again = kl_text_vectorization(.output_mode = modes[i]);
        assert_int_equal(cls->load_assets(again, read_asset, &files), KL_OK);
        assert_int_equal(cls->save_values(layer, write_value, NULL), KL_OK);
        assert_int_equal(!kept_value, i == 0);
        assert_int_equal(cls->load_values(again, read_value, NULL), KL_OK);
        kl_tensor *x = column(), *a = kl_call(layer, x), *b = kl_call(again, x);
        assert_true(a && b && kl_tensor_size(a) == kl_tensor_size(b));
        for (int64_t k = 0; k < kl_tensor_size(a); k++)
            assert_true(kl_tensor_at(a, k) == kl_tensor_at(b, k));
        kl_release(a);
        kl_release(b);
        kl_release(x);
        files.count = 0;
        assert_int_not_equal(cls->load_assets(again, read_asset, &files), KL_OK);
        kl_layer_release(again);
        kl_layer_release(layer);
    }
}

static void refuse(kl_layer *layer, const char *part)
{
    assert_null(layer);
    if (!strstr(kl_last_error(), part))
        print_error("%s\n", kl_last_error());
    assert_non_null(strstr(kl_last_error(), part));
    kl_clear_error();
}

static void test_bad_arguments(void **state)
{
    refuse(kl_text_vectorization(.max_tokens = 1), "max_tokens");
    refuse(kl_text_vectorization(.standardize = "upper"), "standardize");
    refuse(kl_text_vectorization(.split = "comma"), "split");
    refuse(kl_text_vectorization(.ngrams = 0), "ngrams");
    refuse(kl_text_vectorization(.ngrams_list = KL_INTS(2, 0)), "ngrams_list must be at least 1");
    refuse(kl_text_vectorization(.output_mode = "hot"), "output_mode");
    refuse(kl_text_vectorization(.ragged = true), "ragged");
    refuse(kl_text_vectorization(.sparse = true), "sparse");
    refuse(kl_text_vectorization(.pad_to_max_tokens = true), "max_tokens");
    refuse(kl_text_vectorization(.output_mode = "count", .output_sequence_length = 3),
           "output_sequence_length");
    refuse(kl_text_vectorization(.vocabulary = KL_STRINGS("a", "a")), "repeated term \"a\"");
    refuse(kl_text_vectorization(.vocabulary = KL_STRINGS("a", "")), "mask token");
    refuse(kl_text_vectorization(.vocabulary = KL_STRINGS("a", "b"), .max_tokens = 3),
           "max_tokens");
    refuse(kl_text_vectorization(.vocabulary_file = "/no/such/file"), "/no/such/file");
    refuse(kl_text_vectorization(.output_mode = "tf_idf", .vocabulary = KL_STRINGS("a")),
           "idf_weights");
    refuse(kl_layer_from_config("TextVectorization", "{\"vocabulary\": \"/etc/passwd\"}"),
           "must not name a file");
    refuse(kl_layer_from_config("TextVectorization", "{\"n_grams\": 2}"), "n_grams");
}

static void test_bad_calls(void **state)
{
    kl_layer *layer = kl_text_vectorization(.vocabulary = KL_STRINGS("a"));
    kl_tensor *numbers = kl_zeros(KL_FLOAT32, KL_DIMS(2, 1));
    kl_tensor *wide = kl_from_strings(KL_DIMS(2, 2), corpus), *good = column();
    assert_null(kl_call(layer, numbers));
    assert_non_null(strstr(kl_last_error(), "expected strings, got float32"));
    assert_null(kl_call(layer, wide));
    assert_non_null(strstr(kl_last_error(), "last dimension"));
    assert_int_not_equal(kl_layer_adapt(layer, numbers), KL_OK);
    kl_layer *plain = kl_text_vectorization();
    assert_null(kl_call(plain, good));
    assert_non_null(strstr(kl_last_error(), "vocabulary"));
    kl_layer_release(plain);
    kl_layer *rows = kl_text_vectorization(.output_mode = "count");
    assert_null(kl_call(rows, good));
    assert_non_null(strstr(kl_last_error(), "vocabulary"));
    assert_int_not_equal(kl_set_vocabulary(rows, (kl_strings){0}, (kl_floats){0}), KL_OK);
    assert_int_equal(kl_set_vocabulary(rows, KL_STRINGS("[UNK]", "q"), (kl_floats){0}), KL_OK);
    check_vocabulary(rows, "[UNK]|q|");
    kl_layer *given = kl_text_vectorization(.vocabulary = KL_STRINGS("a"));
    assert_int_not_equal(kl_layer_adapt(given, good), KL_OK);
    assert_null(kl_get_vocabulary(NULL, true));
    kl_layer_release(given);
    kl_layer_release(rows);
    kl_layer_release(layer);
    kl_release(numbers);
    kl_release(wide);
    kl_release(good);
}

static void check_shape(kl_layer *layer, int rank, int64_t last)
{
    kl_shape in = {.rank = 2, .at = {-1, 1}, .dtype = KL_STRING}, out[KL_MAX_LIST];
    int count;
    assert_int_equal(kl_layer_output_shape(layer, &in, 1, out, &count), KL_OK);
    assert_int_equal(out[0].rank, rank);
    assert_int_equal(out[0].at[0], -1);
    assert_int_equal(out[0].at[rank - 1], last);
    kl_layer_release(layer);
}

static void test_shapes(void **state)
{
    check_shape(kl_text_vectorization(), 2, -1);
    check_shape(kl_text_vectorization(.output_sequence_length = 7), 2, 7);
    check_shape(kl_text_vectorization(.output_mode = "count", .vocabulary = KL_STRINGS("a", "b")),
                3, 3);
}

static void test_defaults(void **state)
{
    const kl_text_vectorization_args a = kl_text_vectorization_defaults();
    kl_layer *x = kl_text_vectorization_new(&a), *y = kl_text_vectorization();
    kl_config *p = kl_object_get_config(x), *q = kl_object_get_config(y);
    kl_config_free(kl_config_detach(p, "name"));
    kl_config_free(kl_config_detach(q, "name"));
    assert_true(kl_config_equal(p, q));
    kl_config_free(p);
    kl_config_free(q);
    kl_layer_release(x);
    kl_layer_release(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int),           cmocka_unit_test(test_ngrams),
        cmocka_unit_test(test_characters),    cmocka_unit_test(test_rows),
        cmocka_unit_test(test_tf_idf),        cmocka_unit_test(test_own_functions),
        cmocka_unit_test(test_config),        cmocka_unit_test(test_assets),
        cmocka_unit_test(test_bad_arguments), cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_shapes),        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
