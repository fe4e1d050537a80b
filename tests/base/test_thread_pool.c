#include "base/test_support.h"
#include "base/thread_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct tally {
    atomic_int runs[1000];
    int64_t plain[1000];
} tally;

static void count_chunk(void *arg, int64_t chunk)
{
    tally *t = arg;
    atomic_fetch_add(&t->runs[chunk], 1);
    t->plain[chunk] = chunk * chunk;
}

static void check_all_once(int64_t chunks)
{
    static tally t;
    memset(&t, 0, sizeof t);
    kl_parallel_for(chunks, count_chunk, &t);
    for (int64_t i = 0; i < 1000; i++) {
        assert_int_equal(atomic_load(&t.runs[i]), i < chunks);
        assert_int_equal(t.plain[i], i < chunks ? i * i : 0);
    }
}

static void test_every_chunk_once(void **state)
{
    for (int threads = 1; threads <= 9; threads += 2) {
        assert_int_equal(kl_set_num_threads(threads), KL_OK);
        assert_int_equal(kl_num_threads(), threads);
        for (int64_t chunks = -1; chunks < 20; chunks++)
            check_all_once(chunks);
        for (int i = 0; i < 200; i++)
            check_all_once(2 + i % 60);
        check_all_once(1000);
    }
    kl_set_num_threads(0);
}

static void test_count_is_checked(void **state)
{
    kl_set_num_threads(3);
    assert_int_equal(kl_set_num_threads(-1), KL_ERROR_RANGE);
    assert_int_equal(kl_set_num_threads(257), KL_ERROR_RANGE);
    assert_int_equal(kl_num_threads(), 3);
    assert_int_equal(kl_set_num_threads(0), KL_OK);
    assert_in_range(kl_num_threads(), 1, 256);
}

static void nest(void *arg, int64_t chunk)
{
    static _Thread_local int depth;
    if (++depth < 3)
        kl_parallel_for(4, nest, arg);
    else
        atomic_fetch_add((atomic_int *)arg, 1);
    depth--;
}

static void test_nested_calls(void **state)
{
    atomic_int leaves = 0;
    kl_set_num_threads(4);
    kl_parallel_for(4, nest, &leaves);
    assert_int_equal(atomic_load(&leaves), 64);
}

static void *call_often(void *unused)
{
    static _Thread_local tally t;
    for (int i = 0; i < 500; i++) {
        memset(&t, 0, sizeof t);
        kl_parallel_for(17, count_chunk, &t);
        for (int c = 0; c < 17; c++)
            if (atomic_load(&t.runs[c]) != 1)
                return &t;
    }
    return NULL;
}

static void test_many_callers(void **state)
{
    kl_set_num_threads(4);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, NULL), 0);
    /* The number of threads may change while they run. */
    for (int i = 0; i < 20; i++) {
        kl_set_num_threads(2 + i % 3);
        check_all_once(5);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

static void test_workers_wake_up(void **state)
{
    kl_set_num_threads(3);
    for (int i = 0; i < 5; i++) {
        check_all_once(100);
        usleep(2000); /* long enough for them to fall asleep */
    }
    kl_thread_pool_stop();
    kl_thread_pool_stop();
    check_all_once(100);
}

/* Each of the two chunks waits for the other: only two threads can do it. */
static void meet(void *arg, int64_t chunk)
{
    atomic_int *arrived = arg;
    atomic_fetch_add(arrived, 1);
    for (int i = 0; i < 5000 && atomic_load(arrived) < 2; i++)
        usleep(1000);
}

static void test_workers_do_work(void **state)
{
    kl_set_num_threads(2);
    atomic_int arrived = 0;
    kl_parallel_for(2, meet, &arrived);
    assert_int_equal(atomic_load(&arrived), 2);
}

static int run_child(void)
{
    static tally t;
    memset(&t, 0, sizeof t);
    kl_parallel_for(64, count_chunk, &t);
    for (int c = 0; c < 64; c++)
        if (atomic_load(&t.runs[c]) != 1)
            return 1;
    atomic_int arrived = 0;
    kl_parallel_for(2, meet, &arrived);
    return atomic_load(&arrived) == 2 ? 0 : 2;
}

static void test_fork(void **state)
{
#if defined(__SANITIZE_THREAD__)
    skip(); /* ThreadSanitizer lets no forked child start threads */
#endif
    kl_set_num_threads(2);
    for (int i = 0; i < 5; i++) {
        check_all_once(50);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(run_child());
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        check_all_once(50);
    }
}

static void signal_mask_chunk(void *arg, int64_t chunk)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (!pthread_equal(pthread_self(), *(pthread_t *)arg) && !sigismember(&mask, SIGINT))
        abort();
}

static void test_workers_take_no_signals(void **state)
{
    kl_set_num_threads(3);
    pthread_t self = pthread_self();
    for (int i = 0; i < 100; i++)
        kl_parallel_for(8, signal_mask_chunk, &self);
}

static void test_split(void **state)
{
    for (int64_t count = 0; count < 300; count += 7) {
        for (int64_t grain = 0; grain < 40; grain += 3) {
            kl_split split = kl_split_make(count, grain);
            assert_in_range(split.chunks, 1, 64);
            assert_int_equal(kl_split_begin(split, 0), 0);
            assert_int_equal(kl_split_begin(split, split.chunks), count);
            for (int64_t c = 0; c < split.chunks; c++) {
                int64_t size = kl_split_begin(split, c + 1) - kl_split_begin(split, c);
                assert_true(split.chunks == 1 || size >= (grain > 0 ? grain : 1));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_chunk_once),
        cmocka_unit_test(test_count_is_checked),
        cmocka_unit_test(test_nested_calls),
        cmocka_unit_test(test_many_callers),
        cmocka_unit_test(test_workers_wake_up),
        cmocka_unit_test(test_workers_do_work),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_workers_take_no_signals),
        cmocka_unit_test(test_split),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
