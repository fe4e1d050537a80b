/* Hashes and ids of strings, against what TensorFlow's string ops give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/hash.h"
#include "base/string_table.h"
#include "klayers/ops.h"

static const int64_t bins = INT64_C(1) << 62;

static char *repeated(const char *piece, int times)
{
    char *text = calloc(1, strlen(piece) * (size_t)times + 1);
    for (int i = 0; i < times; i++)
        strcat(text, piece);
    return text;
}

static void test_hashes(void **state)
{
    static const struct {
        const char *piece;
        int times;
        int64_t fast, strong;
    } rows[] = {{"", 0, INT64_C(1936946117179621455), INT64_C(3627081988506686864)},
                {"a", 1, INT64_C(3694432073954588131), INT64_C(3731156112118173500)},
                {"abcd", 1, INT64_C(1897425971756105985), INT64_C(4604166643537030904)},
                {"abcdefghij", 1, INT64_C(737107554567436283), INT64_C(1872945233062812336)},
                {"x", 20, INT64_C(3621402210320469444), INT64_C(731251152750936450)},
                {"y", 33, INT64_C(3999049019338133246), INT64_C(4589354359538578603)},
                {"0123456789", 7, INT64_C(650192320029534232), INT64_C(4177255037234235202)},
                {"z", 200, INT64_C(4117204190001636188), INT64_C(294324843377589409)}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = repeated(rows[i].piece, rows[i].times);
        kl_tensor *x = kl_from_strings(KL_DIMS(1), (const char *const[]){text});
        kl_tensor *fast = kl_op_string_hash(x, bins, NULL);
        kl_tensor *strong = kl_op_string_hash(x, bins, (const uint64_t[]){17, 42});
        assert_true(*(const int64_t *)kl_tensor_data(fast) == rows[i].fast);
        assert_true(*(const int64_t *)kl_tensor_data(strong) == rows[i].strong);
        kl_release(fast);
        kl_release(strong);
        kl_release(x);
        free(text);
    }
}

static void test_lookup(void **state)
{
    kl_tensor *x = kl_from_strings(KL_DIMS(2, 2), (const char *const[]){"b", "q", "", "a"});
    kl_tensor *words = kl_from_strings(KL_DIMS(3), (const char *const[]){"a", "b", "c"});
    kl_tensor *ids = kl_op_string_lookup(x, words, 2, 1);
    const double expected[] = {3, 1, 1, 2};
    assert_int_equal(kl_tensor_dtype(ids), KL_INT64);
    for (int i = 0; i < 4; i++)
        assert_true(kl_tensor_at(ids, i) == expected[i]);
    kl_release(ids);
    kl_release(x);
    kl_release(words);
}

static void test_bad_input(void **state)
{
    kl_tensor *x = kl_from_strings(KL_DIMS(2), (const char *const[]){"b", "b"});
    kl_tensor *n = kl_zeros(KL_FLOAT32, KL_DIMS(2));
    assert_null(kl_op_string_hash(n, 3, NULL));
    assert_non_null(strstr(kl_last_error(), "expected strings, got float32"));
    assert_null(kl_op_string_hash(x, 0, NULL));
    assert_null(kl_op_string_hash(NULL, 3, NULL));
    assert_null(kl_op_string_lookup(x, x, 0, -1));
    assert_non_null(strstr(kl_last_error(), "\"b\" twice"));
    assert_null(kl_op_string_lookup(x, n, 0, -1));
    kl_release(x);
    kl_release(n);
}

static void test_table(void **state)
{
    kl_string_table table = {0};
    char text[32];
    assert_int_equal(kl_string_table_find(&table, "a", 1), -1);
    for (int i = 0; i < 20000; i++) {
        bool added;
        int length = snprintf(text, sizeof text, "word %d", i);
        assert_int_equal(kl_string_table_add(&table, text, (size_t)length, &added), i);
        assert_true(added);
    }
    for (int i = 0; i < 20000; i += 7) {
        bool added;
        int length = snprintf(text, sizeof text, "word %d", i);
        assert_int_equal(kl_string_table_find(&table, text, (size_t)length), i);
        assert_int_equal(kl_string_table_add(&table, text, (size_t)length, &added), i);
        assert_false(added);
    }
    assert_int_equal(kl_string_table_find(&table, "word 20000", 10), -1);
    kl_string_table_clear(&table);
    assert_int_equal(table.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
