#include "base/test_support.h"
#include "base/error.h"

#include <pthread.h>

static void test_status_texts(void **state)
{
    assert_string_equal(kl_status_name(KL_OK), "ok");
    assert_string_equal(kl_status_name(KL_ERROR_SHAPE), "shape mismatch");
    assert_string_equal(kl_status_name(KL_ERROR_STOPPED), "stopped by a callback");
    assert_string_equal(kl_status_name((kl_status)99), "unknown status");
    assert_string_equal(kl_status_name((kl_status)-1), "unknown status");
}

static void test_last_error(void **state)
{
    kl_clear_error();
    unsigned count = kl_error_count();
    assert_string_equal(kl_last_error(), "");
    assert_int_equal(kl_error(KL_ERROR_SHAPE, "rank %d", 3), KL_ERROR_SHAPE);
    assert_string_equal(kl_last_error(), "rank 3");
    assert_int_equal(kl_last_status(), KL_ERROR_SHAPE);
    assert_int_equal(kl_error_count(), count + 1);
    kl_error(KL_ERROR_SHAPE, "outer: %s", kl_last_error());
    assert_string_equal(kl_last_error(), "outer: rank 3");
    kl_clear_error();
    assert_string_equal(kl_last_error(), "");
    assert_int_equal(kl_last_status(), KL_OK);
    assert_int_equal(kl_error_count(), count + 2);
    assert_int_equal(kl_error(KL_OK, "nothing"), KL_OK);
    assert_string_equal(kl_last_error(), "");
}

static void test_null_keeps_the_first(void **state)
{
    kl_clear_error();
    assert_int_equal(kl_error_null("kl_add", "layer"), KL_ERROR_INVALID);
    assert_non_null(strstr(kl_last_error(), "kl_add"));
    assert_non_null(strstr(kl_last_error(), "layer"));
    kl_clear_error();
    kl_error(KL_ERROR_RANGE, "units must be positive, got -1");
    unsigned count = kl_error_count();
    kl_error_null("kl_add", "layer");
    assert_string_equal(kl_last_error(), "units must be positive, got -1");
    assert_int_equal(kl_last_status(), KL_ERROR_RANGE);
    assert_int_equal(kl_error_count(), count + 1);
}

static void test_prefix(void **state)
{
    kl_clear_error();
    kl_error_prefix("dense_2");
    assert_string_equal(kl_last_error(), "");
    kl_error(KL_ERROR_SHAPE, "expected rank 2");
    kl_error_prefix("dense_2");
    assert_string_equal(kl_last_error(), "dense_2: expected rank 2");
    kl_error_prefix("dense_2");
    assert_string_equal(kl_last_error(), "dense_2: expected rank 2");
    kl_error_prefix("dense");
    assert_string_equal(kl_last_error(), "dense: dense_2: expected rank 2");
}

static void test_long_messages_are_cut(void **state)
{
    char text[4096];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    kl_error(KL_ERROR_INVALID, "%s", text);
    assert_in_range(strlen(kl_last_error()), 500, 1023);
    kl_error_prefix(text);
    assert_in_range(strlen(kl_last_error()), 500, 1023);
    /* A cut never leaves half a character behind. */
    for (int shift = 0; shift < 4; shift++) {
        char utf8[2048] = "aaaa";
        size_t at = (size_t)shift;
        while (at + 5 < sizeof utf8) {
            memcpy(utf8 + at, "\xF0\x9F\x98\x80", 4);
            at += 4;
        }
        utf8[at] = '\0';
        kl_error(KL_ERROR_INVALID, "%s", utf8);
        assert_int_equal((strlen(kl_last_error()) - (size_t)shift) % 4, 0);
    }
}

static void test_args_usable(void **state)
{
    int args = 0;
    kl_clear_error();
    assert_true(kl_args_usable("kl_dense", &args, 16, 24, kl_error_count()));
    assert_true(kl_args_usable("kl_dense", &args, 24, 24, kl_error_count()));
    assert_string_equal(kl_last_error(), "");
    assert_false(kl_args_usable("kl_dense", NULL, 24, 24, kl_error_count()));
    kl_clear_error();
    assert_false(kl_args_usable("kl_dense", &args, 0, 24, kl_error_count()));
    assert_non_null(strstr(kl_last_error(), "kl_dense"));
    assert_false(kl_args_usable("kl_dense", &args, 25, 24, kl_error_count()));
    assert_non_null(strstr(kl_last_error(), "25"));
    unsigned mark = kl_error_count();
    kl_error(KL_ERROR_INVALID, "the argument's own message");
    assert_false(kl_args_usable("kl_dense", &args, 24, 24, mark));
    assert_string_equal(kl_last_error(), "the argument's own message");
}

static void test_save_and_restore(void **state)
{
    kl_error(KL_ERROR_IO, "first");
    kl_saved_error saved;
    kl_error_save(&saved);
    kl_error(KL_ERROR_MEMORY, "second");
    kl_error_restore(&saved);
    assert_string_equal(kl_last_error(), "first");
    assert_int_equal(kl_last_status(), KL_ERROR_IO);
}

static void *other_thread(void *seen)
{
    *(bool *)seen = kl_last_error()[0] == '\0' && kl_error_count() == 0;
    kl_error(KL_ERROR_IO, "from the other thread");
    return NULL;
}

static void test_threads_have_their_own(void **state)
{
    bool clean = false;
    pthread_t thread;
    kl_error(KL_ERROR_SHAPE, "mine");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &clean), 0);
    pthread_join(thread, NULL);
    assert_true(clean);
    assert_string_equal(kl_last_error(), "mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_texts),          cmocka_unit_test(test_last_error),
        cmocka_unit_test(test_null_keeps_the_first),  cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_long_messages_are_cut), cmocka_unit_test(test_args_usable),
        cmocka_unit_test(test_save_and_restore),      cmocka_unit_test(test_threads_have_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
