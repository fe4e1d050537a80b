/* The C API of StringLookup and IntegerLookup: vocabularies set and read, bad input. */
#include "base/test_support.h"
#include "klayers/klayers.h"

static void check_refused(kl_status status, const char *part)
{
    assert_int_not_equal(status, KL_OK);
    if (!strstr(kl_last_error(), part))
        print_error("'%s' lacks '%s'\n", kl_last_error(), part);
    assert_non_null(strstr(kl_last_error(), part));
    kl_clear_error();
}

/* A constructor or call that must fail. */
static void check_null(const void *object, const char *part)
{
    assert_null(object);
    check_refused(kl_last_status(), part);
}

static void check_numbers(kl_tensor *got, int count, const int64_t *expected)
{
    if (!got)
        print_error("%s\n", kl_last_error());
    assert_non_null(got);
    assert_int_equal(kl_tensor_size(got), count);
    for (int i = 0; i < count; i++)
        assert_int_equal((int64_t)kl_tensor_at(got, i), expected[i]);
    kl_release(got);
}

#define NUMBERS(...)                                                                               \
    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const kl_floats no_idf;

static void test_numbers(void **state)
{
    kl_layer *layer = kl_integer_lookup(.mask_token = 0);
    kl_tensor *x = kl_from_data(KL_INT64, KL_DIMS(4), (const int64_t[]){7, 12, 0, 5});
    assert_int_equal(kl_set_vocabulary_numbers(layer, KL_INTS(12, 7), no_idf), KL_OK);
    check_numbers(kl_get_vocabulary(layer, true), NUMBERS(0, -1, 12, 7));
    check_numbers(kl_get_vocabulary(layer, false), NUMBERS(12, 7));
    assert_int_equal(kl_vocabulary_size(layer), 4);
    check_numbers(kl_call(layer, x), NUMBERS(3, 2, 0, 1));
    /* With the special tokens in front, and in the place of the first. */
    assert_int_equal(kl_set_vocabulary_numbers(layer, KL_INTS(0, -1, 5), no_idf), KL_OK);
    check_numbers(kl_call(layer, x), NUMBERS(1, 1, 0, 2));
    /* What is refused changes nothing. */
    check_refused(kl_set_vocabulary_numbers(layer, KL_INTS(3, 4, 3), no_idf),
                  "repeated term \"3\" at 2");
    check_refused(kl_set_vocabulary_numbers(layer, KL_INTS(3, 0), no_idf), "mask token");
    check_refused(kl_set_vocabulary_numbers(layer, KL_INTS(0, -1), no_idf), "special tokens");
    check_refused(kl_set_vocabulary_numbers(layer, (kl_ints){0}, no_idf), "empty");
    check_refused(kl_set_vocabulary_numbers(layer, (kl_ints){NULL, 2}, no_idf), "vocabulary");
    check_refused(kl_set_vocabulary_numbers(layer, KL_INTS(3), KL_FLOATS(1)), "tf_idf");
    check_refused(kl_set_vocabulary(layer, KL_STRINGS("3"), no_idf), "numbers");
    check_refused(kl_set_vocabulary_numbers(NULL, KL_INTS(3), no_idf), "layer");
    check_numbers(kl_get_vocabulary(layer, false), NUMBERS(5));
    kl_layer_release(layer);
    kl_layer *inverse = kl_integer_lookup(.invert = true);
    check_refused(kl_set_vocabulary_numbers(inverse, KL_INTS(3, -1), no_idf), "unknown ids");
    kl_layer_release(inverse);
    kl_layer *small = kl_integer_lookup(.max_tokens = 3);
    check_refused(kl_set_vocabulary_numbers(small, KL_INTS(1, 2, 3), no_idf), "max_tokens is 3");
    kl_layer_release(small);
    kl_release(x);
}

static void test_strings(void **state)
{
    kl_layer *layer = kl_string_lookup(.mask_token = "");
    assert_int_equal(kl_set_vocabulary(layer, KL_STRINGS("a", "b"), no_idf), KL_OK);
    const char *missing[] = {"a", NULL};
    check_refused(kl_set_vocabulary(layer, KL_STRINGS("a", "b", "a"), no_idf),
                  "repeated term \"a\" at 2");
    check_refused(kl_set_vocabulary(layer, KL_STRINGS("c", ""), no_idf), "mask token");
    check_refused(kl_set_vocabulary(layer, KL_STRINGS("", "[UNK]"), no_idf), "special tokens");
    check_refused(kl_set_vocabulary(layer, (kl_strings){0}, no_idf), "empty");
    check_refused(kl_set_vocabulary(layer, (kl_strings){NULL, 2}, no_idf), "vocabulary");
    check_refused(kl_set_vocabulary(layer, (kl_strings){missing, 2}, no_idf), "NULL");
    check_refused(kl_set_vocabulary(layer, KL_STRINGS("a"), KL_FLOATS(1)), "tf_idf");
    check_refused(kl_set_vocabulary_numbers(layer, KL_INTS(1), no_idf), "strings");
    check_refused(kl_set_vocabulary(NULL, KL_STRINGS("a"), no_idf), "layer");
    assert_int_equal(kl_vocabulary_size(layer), 4);
    kl_layer_release(layer);
    kl_layer *weighs = kl_string_lookup(.output_mode = "tf_idf");
    check_refused(kl_set_vocabulary(weighs, KL_STRINGS("a", "b"), KL_FLOATS(1)), "as many");
    assert_int_equal(kl_set_vocabulary(weighs, KL_STRINGS("a", "b"), KL_FLOATS(1, 2)), KL_OK);
    kl_layer_release(weighs);
}

/* Layers without a vocabulary, of the wrong class or not there. */
static void test_others(void **state)
{
    kl_layer *dense = kl_dense(.units = 1);
    check_refused(kl_set_vocabulary(dense, KL_STRINGS("a"), no_idf), "vocabulary");
    check_refused(kl_set_vocabulary_numbers(dense, KL_INTS(1), no_idf), "vocabulary");
    check_null(kl_get_vocabulary(dense, true), "vocabulary");
    check_null(kl_get_vocabulary(NULL, true), "layer");
    assert_int_equal(kl_vocabulary_size(dense), -1);
    check_refused(kl_last_status(), "vocabulary");
    assert_int_equal(kl_vocabulary_size(NULL), -1);
    check_refused(kl_last_status(), "layer");
    kl_layer_release(dense);
    check_null(kl_string_lookup(.max_tokens = 1), "max_tokens must be at least 2, got 1");
    check_null(kl_string_lookup(.num_oov_indices = -1), "num_oov_indices");
    check_null(kl_string_lookup(.output_mode = "hot"), "output_mode");
    check_null(kl_string_lookup(.pad_to_max_tokens = true), "max_tokens");
    check_null(kl_string_lookup(.invert = true, .output_mode = "count"), "invert");
    check_null(kl_string_lookup(.vocabulary = KL_STRINGS("a", "a")), "repeated term");
    check_null(kl_string_lookup(.salt = KL_INTS(1, 2, 3)), "salt");
    check_null(kl_integer_lookup(.salt = KL_INTS(1)), "farmhash");
    check_null(kl_integer_lookup(.vocabulary = KL_INTS(4, 4)), "repeated term");
    check_null(kl_integer_lookup(.oov_method = "best"), "oov_method");
    check_null(kl_integer_lookup(.vocabulary_file = "/no/such/file"), "/no/such/file");
}

static void test_calls(void **state)
{
    kl_tensor *words = kl_from_strings(KL_DIMS(2), ((const char *[]){"a", "b"}));
    kl_tensor *numbers = kl_from_data(KL_INT64, KL_DIMS(2), (const int64_t[]){1, 9});
    kl_tensor *no_words = kl_from_strings(KL_DIMS(0), ((const char *[]){NULL}));
    kl_tensor *no_numbers = kl_zeros(KL_INT64, KL_DIMS(0));
    kl_layer *texts = kl_string_lookup(), *ints = kl_integer_lookup();
    check_null(kl_call(texts, words), "vocabulary must be set");
    check_null(kl_call(ints, numbers), "vocabulary must be set");
    check_null(kl_call(texts, numbers), "expected strings, got int64");
    check_null(kl_call(ints, words), "expected numbers, got string");
    check_refused(kl_layer_adapt(texts, numbers), "expected strings, got int64");
    check_refused(kl_layer_adapt(ints, words), "expected numbers, got string");
    /* Nothing to learn from: no vocabulary. */
    kl_layer_adapt(texts, no_words);
    kl_layer_adapt(ints, no_numbers);
    kl_clear_error();
    check_null(kl_call(texts, words), "vocabulary must be set");
    check_null(kl_call(ints, numbers), "vocabulary must be set");
    assert_int_equal(kl_layer_adapt(texts, words), KL_OK);
    assert_int_equal(kl_layer_adapt(ints, numbers), KL_OK);
    check_null(kl_call(texts, numbers), "expected strings, got int64");
    check_null(kl_call(ints, words), "expected numbers, got string");
    kl_layer_release(ints);
    kl_layer_release(texts);
    kl_layer *given = kl_integer_lookup(.vocabulary = KL_INTS(1, 2));
    check_refused(kl_layer_adapt(given, numbers), "given its vocabulary");
    kl_layer_release(given);
    kl_layer *strict = kl_integer_lookup(.vocabulary = KL_INTS(1, 2), .num_oov_indices = 0);
    check_null(kl_call(strict, numbers), "must be in the vocabulary, got \"9\"");
    kl_layer_release(strict);
    kl_layer *inverse = kl_string_lookup(.vocabulary = KL_STRINGS("a"), .invert = true);
    check_null(kl_call(inverse, words), "expected numbers, got string");
    kl_layer_release(inverse);
    kl_release(words);
    kl_release(numbers);
    kl_release(no_words);
    kl_release(no_numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
