#include "base/test_support.h"
#include "base/alloc.h"

static void test_sizes(void **state)
{
    size_t size;
    int64_t value;
    assert_true(kl_size_mul(3, 4, &size));
    assert_int_equal(size, 12);
    assert_false(kl_size_mul(SIZE_MAX, 2, &size));
    assert_false(kl_size_add(SIZE_MAX, 1, &size));
    assert_false(kl_i64_mul(INT64_MAX, 2, &value));
    kl_clear_error();
    assert_null(kl_malloc_array(SIZE_MAX / 2, 3));
    assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
    assert_null(kl_calloc(SIZE_MAX / 2, 3));
    assert_null(kl_realloc_array(NULL, SIZE_MAX / 2, 3));
}

static void test_copies(void **state)
{
    size_t held = kl_alloc_outstanding();
    char *empty = kl_malloc(0);
    assert_non_null(empty);
    int *zeros = kl_calloc(100, sizeof *zeros);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    char *text = kl_strdup("dense"), *cut = kl_strndup("dense", 3), *all = kl_strndup("a", 99);
    assert_string_equal(text, "dense");
    assert_string_equal(cut, "den");
    assert_string_equal(all, "a");
    text = kl_realloc(text, 1000);
    assert_string_equal(text, "dense");
    assert_int_equal(kl_alloc_outstanding(), held + 5);
    kl_free(empty);
    kl_free(zeros);
    kl_free(text);
    kl_free(cut);
    kl_free(all);
    kl_free(NULL);
    assert_int_equal(kl_alloc_outstanding(), held);
}

static void test_replacing(void **state)
{
    failing_allocator f;
    failing_install(&f);
    char *text = kl_strdup("text");
    assert_int_equal(f.held, 1);
    kl_clear_error();
    assert_int_equal(kl_set_allocator(NULL), KL_ERROR_STATE);
    assert_non_null(strstr(kl_last_error(), "1 pieces"));
    f.until_failure = 0;
    assert_null(kl_malloc(1));
    assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
    assert_null(kl_realloc(text, 100));
    assert_string_equal(text, "text");
    kl_free(text);
    failing_remove(&f);
}

static void test_incomplete_allocator(void **state)
{
    kl_allocator allocator = {failing_allocate, NULL, failing_release, NULL};
    assert_int_equal(kl_set_allocator(&allocator), KL_ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_replacing),
        cmocka_unit_test(test_incomplete_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
