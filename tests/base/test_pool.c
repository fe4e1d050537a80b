#include "base/test_support.h"
#include "base/pool.h"
#include "base/alloc.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_sizes_and_alignment(void **state)
{
    kl_pool *pool = kl_pool_new();
    kl_pool *before = kl_pool_enter(pool);
    static void *blocks[400];
    static size_t sizes[400];
    int count = 0;
    for (size_t size = 1; size < (size_t)9 << 20; size += size / 8 + 1) {
        unsigned char *block = kl_block_alloc(size);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        memset(block, count, size);
        sizes[count] = size;
        blocks[count++] = block;
    }
    /* Nobody's bytes lie in another's block. */
    for (int i = 0; i < count; i++) {
        const unsigned char *block = blocks[i];
        for (size_t at = 0; at < sizes[i]; at++)
            if (block[at] != (unsigned char)i)
                fail_msg("block %d of %zu bytes was overwritten at %zu", i, sizes[i], at);
    }
    assert_true(kl_pool_get_stats(pool).in_use >= sizes[count - 1]);
    for (int i = 0; i < count; i++)
        kl_block_free(blocks[i]);
    assert_int_equal(kl_pool_get_stats(pool).in_use, 0);
    kl_block_free(NULL);
    assert_non_null(blocks[0] = kl_block_alloc(0));
    kl_block_free(blocks[0]);
    assert_ptr_equal(kl_pool_enter(before), pool);
    kl_pool_close(pool);
    kl_pool_close(NULL);
}

/* The blocks of a step: allocated and freed in an order that mixes sizes. */
static void one_step(void)
{
    void *held[64] = {NULL};
    for (unsigned i = 0; i < 2000; i++) {
        unsigned slot = i * 2654435761u >> 26;
        kl_block_free(held[slot]);
        size_t size = (size_t)64 << (i % 13);
        if (i % 50 == 0)
            size = ((size_t)1 << 20) + i * 2000;
        held[slot] = kl_block_alloc(size);
        assert_non_null(held[slot]);
    }
    for (unsigned i = 0; i < 64; i++)
        kl_block_free(held[i]);
}

static void test_steady_state_allocates_nothing(void **state)
{
    failing_allocator f;
    failing_install(&f);
    kl_pool *pool = kl_pool_new();
    kl_pool *before = kl_pool_enter(pool);
    one_step();
    one_step();
    size_t held = kl_pool_get_stats(pool).held;
    long allocations = f.allocations;
    for (int i = 0; i < 20; i++)
        one_step();
    assert_int_equal(f.allocations, allocations);
    assert_int_equal(kl_pool_get_stats(pool).held, held);
    kl_pool_enter(before);
    kl_pool_close(pool);
    failing_remove(&f);
}

static void test_no_memory(void **state)
{
    failing_allocator f;
    failing_install(&f);
    f.until_failure = 0;
    kl_clear_error();
    assert_null(kl_pool_new());
    assert_null(kl_block_alloc(8));
    assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
    f.until_failure = 1;
    assert_null(kl_block_alloc(8));
    f.until_failure = 1;
    void *small = kl_block_alloc(8);
    assert_non_null(small);
    assert_null(kl_block_alloc((size_t)100 << 10));
    assert_null(kl_block_alloc((size_t)5 << 20));
    assert_null(kl_block_alloc(SIZE_MAX));
    assert_null(kl_block_alloc(SIZE_MAX / 2));
    f.until_failure = -1;
    assert_null(kl_block_alloc(SIZE_MAX));
    assert_null(kl_block_alloc(SIZE_MAX - 40));
    kl_block_free(small);
    failing_remove(&f);
}

static void test_pool_outlives_its_close(void **state)
{
    failing_allocator f;
    failing_install(&f);
    kl_pool *pool = kl_pool_new();
    kl_pool *before = kl_pool_enter(pool);
    char *small = kl_block_alloc(100), *large = kl_block_alloc((size_t)3 << 20);
    char *cached = kl_block_alloc((size_t)4 << 20);
    kl_block_free(cached);
    /* Closing the current pool leaves the thread with its default one. */
    kl_pool_close(pool);
    memset(small, 1, 100);
    memset(large, 1, (size_t)3 << 20);
    assert_int_equal(f.held, 3);
    kl_block_free(large);
    assert_int_equal(f.held, 2);
    kl_block_free(small);
    assert_int_equal(f.held, 0);
    kl_pool_enter(before);
    failing_remove(&f);
}

static void test_hoard_is_bounded(void **state)
{
    kl_shutdown();
    void *blocks[40];
    for (int i = 0; i < 40; i++)
        assert_non_null(blocks[i] = kl_block_alloc((size_t)16 << 20));
    for (int i = 0; i < 40; i++)
        kl_block_free(blocks[i]);
    assert_in_range(kl_pool_get_stats(NULL).held, 1, (size_t)300 << 20);
    enum { MANY = 2000 };
    static void *many[MANY];
    for (int i = 0; i < MANY; i++)
        assert_non_null(many[i] = kl_block_alloc((size_t)100 << 10));
    for (int i = 0; i < MANY; i++)
        kl_block_free(many[i]);
    assert_in_range(kl_pool_get_stats(NULL).held, 1, (size_t)300 << 20);
    kl_shutdown();
    assert_int_equal(kl_pool_get_stats(NULL).held, 0);
}

enum { EXCHANGED = 20000 };
static void *_Atomic mailbox[64];

static void *free_what_comes(void *unused)
{
    for (int seen = 0; seen < EXCHANGED;) {
        for (int i = 0; i < 64; i++) {
            void *block = atomic_exchange(&mailbox[i], NULL);
            if (block) {
                kl_block_free(block);
                seen++;
            }
        }
        sched_yield();
    }
    return NULL;
}

static void test_frees_from_another_thread(void **state)
{
    failing_allocator f;
    failing_install(&f);
    for (int closing = 0; closing < 2; closing++) {
        kl_pool *pool = kl_pool_new();
        kl_pool *before = kl_pool_enter(pool);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, free_what_comes, NULL), 0);
        for (int sent = 0; sent < EXCHANGED;) {
            char *block =
                kl_block_alloc(sent % 512 == 0 ? (size_t)2 << 20 : 40 + (size_t)sent % 1000);
            assert_non_null(block);
            memset(block, sent, 40);
            int slot = sent % 64;
            void *empty = NULL;
            if (atomic_compare_exchange_strong(&mailbox[slot], &empty, (void *)block))
                sent++;
            else
                kl_block_free(block);
        }
        kl_pool_enter(before);
        if (closing)
            kl_pool_close(pool); /* while the other thread still frees */
        pthread_join(thread, NULL);
        if (!closing) {
            assert_int_equal(kl_pool_get_stats(pool).in_use, 0);
            kl_pool_close(pool);
        }
        assert_int_equal(f.held, 0);
    }
    failing_remove(&f);
}

static void *leave_a_block(void *out)
{
    *(void **)out = kl_block_alloc(1000);
    return NULL;
}

static void test_block_outlives_its_thread(void **state)
{
    failing_allocator f;
    failing_install(&f);
    pthread_t thread;
    void *block;
    assert_int_equal(pthread_create(&thread, NULL, leave_a_block, &block), 0);
    pthread_join(thread, NULL);
    assert_non_null(block);
    memset(block, 1, 1000);
    assert_true(f.held > 0);
    kl_block_free(block);
    assert_int_equal(f.held, 0);
    failing_remove(&f);
}

static void test_enter_nests(void **state)
{
    kl_pool *a = kl_pool_new(), *b = kl_pool_new();
    assert_null(kl_pool_enter(a));
    assert_ptr_equal(kl_pool_enter(b), a);
    assert_ptr_equal(kl_pool_enter(NULL), b);
    void *block = kl_block_alloc(10);
    assert_int_equal(kl_pool_get_stats(b).in_use, 0);
    assert_null(kl_pool_enter(a));
    kl_block_free(block);
    assert_ptr_equal(kl_pool_enter(NULL), a);
    assert_int_equal(kl_pool_get_stats(NULL).in_use, 0);
    kl_pool_close(a);
    kl_pool_close(b);
}

/* Shown only where AddressSanitizer can see it: a child reads a freed block and must die of it. */
static void test_use_after_free_is_found(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
    for (int kind = 0; kind < 3; kind++) {
        size_t size = kind == 1 ? (size_t)3 << 20 : 100;
        volatile char *block = kl_block_alloc(size);
        assert_non_null(block);
        if (kind != 2)
            kl_block_free((void *)(uintptr_t)block);
        pid_t child = fork();
        if (child == 0) {
            close(STDERR_FILENO);
            (void)block[kind == 2 ? size : 0];
            _exit(0); /* reached only if nobody noticed */
        }
        int status;
        waitpid(child, &status, 0);
        assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (kind == 2)
            kl_block_free((void *)(uintptr_t)block);
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_and_alignment),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_pool_outlives_its_close),
        cmocka_unit_test(test_hoard_is_bounded),
        cmocka_unit_test(test_frees_from_another_thread),
        cmocka_unit_test(test_block_outlives_its_thread),
        cmocka_unit_test(test_enter_nests),
        cmocka_unit_test(test_use_after_free_is_found),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
