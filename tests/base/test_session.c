#include "base/test_support.h"
#include "base/session.h"

#include <pthread.h>

static const char *unique(const char *class_name)
{
    static char name[64];
    assert_int_equal(kl_unique_name(class_name, name, sizeof name), KL_OK);
    return name;
}

static void test_names(void **state)
{
    kl_clear_session();
    assert_string_equal(unique("Dense"), "dense");
    assert_string_equal(unique("Dense"), "dense_1");
    assert_string_equal(unique("MaxPooling2D"), "max_pooling2d");
    assert_string_equal(unique("Dense"), "dense_2");
    kl_clear_session();
    assert_string_equal(unique("Dense"), "dense");
}

static void test_bad_names(void **state)
{
    char small[6], name[300], class_name[600];
    kl_clear_session();
    assert_int_equal(kl_unique_name(NULL, name, sizeof name), KL_ERROR_INVALID);
    assert_int_equal(kl_unique_name("Dense", small, sizeof small), KL_OK);
    assert_int_equal(kl_unique_name("Dense", small, sizeof small), KL_ERROR_RANGE);
    /* A name that did not fit is not used up. */
    assert_string_equal(unique("Dense"), "dense_1");
    assert_int_equal(kl_unique_name("Dense", small, 0), KL_ERROR_RANGE);
    memset(class_name, 'a', sizeof class_name - 1);
    class_name[sizeof class_name - 1] = '\0';
    assert_int_equal(kl_unique_name(class_name, name, sizeof name), KL_ERROR_RANGE);
}

static void test_no_memory(void **state)
{
    failing_allocator f;
    failing_install(&f);
    char name[64];
    for (int n = 0; n < 2; n++) {
        f.until_failure = n;
        assert_int_equal(kl_unique_name("Dense", name, sizeof name), KL_ERROR_MEMORY);
    }
    f.until_failure = -1;
    assert_string_equal(unique("Dense"), "dense");
    failing_remove(&f);
}

static void *draw_names(void *arg)
{
    char name[64];
    for (int i = 0; i < 1000; i++)
        if (kl_unique_name("Dense", name, sizeof name) != KL_OK)
            return arg;
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    kl_clear_session();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw_names, threads), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_string_equal(unique("Dense"), "dense_4000");
}

static int cleaned;
static void clean(void)
{
    cleaned++;
}

static void test_shutdown_cleans(void **state)
{
    kl_at_shutdown(clean);
    kl_at_shutdown(clean);
    kl_shutdown();
    assert_int_equal(cleaned, 1);
    kl_shutdown();
    assert_int_equal(cleaned, 1);
}

static void test_version(void **state)
{
    assert_string_equal(kl_version(), KL_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),           cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_no_memory),       cmocka_unit_test(test_threads),
        cmocka_unit_test(test_shutdown_cleans), cmocka_unit_test(test_version),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
