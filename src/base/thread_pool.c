#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include "base/error.h"
#include "base/pool.h"

enum { MAX_THREADS = 256, SPIN_MICROSECONDS = 150, PAUSES_A_LOOK_AT_THE_CLOCK = 32 };

/*
 * The gate of the one job slot: its number in the high half, whether workers may enter, and how
 * many are inside. The job's fields change only while it is closed and empty.
 */
#define GATE_OPEN   ((uint64_t)1 << 31)
#define GATE_INSIDE (GATE_OPEN - 1)
#define GATE_NUMBER ((uint64_t)1 << 32)

static struct {
    kl_chunk_fn *fn;
    void *arg;
    int64_t chunks;
    char apart[64];
    _Atomic int64_t next;
    char apart_too[64];
} job;

static _Atomic uint64_t gate;
static atomic_bool busy;          /* someone owns the job slot and the workers */
static atomic_int wanted;         /* threads asked for; 0: as many as processors */
static atomic_int processors;     /* 0: not yet counted */
static atomic_int sleepers;       /* workers that wait for `wake` */
static atomic_bool caller_sleeps; /* the job's caller waits for `done` */
static atomic_bool stopping;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;

/* Owned by whoever set `busy`. */
static pthread_t workers[MAX_THREADS - 1];
static int worker_count, worker_target;
static int64_t spin_nanoseconds;

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int count_processors(void)
{
    int count = atomic_load_explicit(&processors, memory_order_relaxed);
    if (count > 0)
        return count;
    cpu_set_t set;
    long found = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                             : sysconf(_SC_NPROCESSORS_ONLN);
    count = found < 1 ? 1 : found > MAX_THREADS ? MAX_THREADS : (int)found;
    atomic_store_explicit(&processors, count, memory_order_relaxed);
    return count;
}

int kl_num_threads(void)
{
    int count = atomic_load_explicit(&wanted, memory_order_relaxed);
    return count > 0 ? count : count_processors();
}

kl_status kl_set_num_threads(int count)
{
    if (count < 0 || count > MAX_THREADS)
        return kl_error(KL_ERROR_RANGE,
                        "kl_set_num_threads: expected 1 to %d threads, or 0 for one a processor, "
                        "got %d",
                        MAX_THREADS, count);
    atomic_store_explicit(&wanted, count, memory_order_relaxed);
    return KL_OK;
}

/* ---- Workers -------------------------------------------------------------------------------- */

static void work(void)
{
    int64_t chunks = job.chunks, chunk;
    while ((chunk = atomic_fetch_add_explicit(&job.next, 1, memory_order_relaxed)) < chunks)
        job.fn(job.arg, chunk);
}

static bool has_new_job(uint64_t seen, uint64_t last)
{
    return (seen & GATE_OPEN) && seen / GATE_NUMBER != last / GATE_NUMBER;
}

/* Waits until there is a job other than `last`; gives the gate as it was seen. */
static uint64_t wait_for_job(uint64_t last)
{
    uint64_t seen;
    int64_t until = spin_nanoseconds > 0 ? now() + spin_nanoseconds : 0;
    do {
        for (int i = 0; i < PAUSES_A_LOOK_AT_THE_CLOCK; i++) {
            seen = atomic_load_explicit(&gate, memory_order_acquire);
            if (has_new_job(seen, last) || atomic_load_explicit(&stopping, memory_order_relaxed))
                return seen;
            relax();
        }
    } while (until && now() < until);
    pthread_mutex_lock(&lock);
    /* The caller opens the gate and then looks for sleepers; here it is the other way round. */
    atomic_fetch_add(&sleepers, 1);
    while (!has_new_job(seen = atomic_load(&gate), last) && !atomic_load(&stopping))
        pthread_cond_wait(&wake, &lock);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&lock);
    return seen;
}

static void leave_job(void)
{
    uint64_t before = atomic_fetch_sub(&gate, 1);
    if ((before & GATE_INSIDE) == 1 && !(before & GATE_OPEN) && atomic_load(&caller_sleeps)) {
        pthread_mutex_lock(&lock);
        pthread_cond_signal(&done);
        pthread_mutex_unlock(&lock);
    }
}

static void *worker_main(void *unused)
{
    uint64_t last = 0;
    while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
        uint64_t seen = wait_for_job(last);
        while (has_new_job(seen, last)) {
            if (!atomic_compare_exchange_weak(&gate, &seen, seen + 1))
                continue;
            last = seen;
            work();
            leave_job();
        }
    }
    /* At exit the pool's own watch over ending threads may be gone already. */
    kl_pool_drop_default();
    return NULL;
}

/* Ends the workers; the caller owns the slot. */
static void join_workers(void)
{
    pthread_mutex_lock(&lock);
    atomic_store(&stopping, true);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    while (worker_count > 0)
        pthread_join(workers[--worker_count], NULL);
    atomic_store(&stopping, false);
    worker_target = 0;
}

/* The child has only the thread that forked; the pool is empty there. */
static void forget_workers(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&wake, NULL);
    pthread_cond_init(&done, NULL);
    worker_count = worker_target = 0;
    atomic_store(&gate, 0);
    atomic_store(&sleepers, 0);
    atomic_store(&caller_sleeps, false);
    atomic_store(&stopping, false);
    atomic_store(&busy, false);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_workers);
}

/* Brings the number of workers to `target`, or to what the system allows; the slot is owned. */
static void start_workers(int target)
{
    pthread_once(&fork_once, watch_forks);
    join_workers();
    worker_target = target;
    int available = count_processors();
    /* Where workers share processors, spinning takes time from those that work. */
    spin_nanoseconds = target + 1 > available ? 0 : SPIN_MICROSECONDS * (int64_t)1000;
    atomic_store(&gate, GATE_NUMBER);
    /* The host's signal handlers are to run on the host's threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (worker_count < target &&
           pthread_create(&workers[worker_count], NULL, worker_main, NULL) == 0)
        worker_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- Callers -------------------------------------------------------------------------------- */

static void wait_for_workers_inside(void)
{
    int64_t until = now() + SPIN_MICROSECONDS * (int64_t)1000;
    do {
        for (int i = 0; i < PAUSES_A_LOOK_AT_THE_CLOCK; i++) {
            if (!(atomic_load_explicit(&gate, memory_order_acquire) & GATE_INSIDE))
                return;
            relax();
        }
    } while (spin_nanoseconds > 0 && now() < until);
    pthread_mutex_lock(&lock);
    atomic_store(&caller_sleeps, true);
    while (atomic_load(&gate) & GATE_INSIDE)
        pthread_cond_wait(&done, &lock);
    atomic_store(&caller_sleeps, false);
    pthread_mutex_unlock(&lock);
}

static void run_job(int64_t chunks, kl_chunk_fn *fn, void *arg)
{
    job.fn = fn;
    job.arg = arg;
    job.chunks = chunks;
    atomic_store_explicit(&job.next, 0, memory_order_relaxed);
    uint64_t number = atomic_load_explicit(&gate, memory_order_relaxed) / GATE_NUMBER + 1;
    atomic_store(&gate, number * GATE_NUMBER | GATE_OPEN);
    if (atomic_load(&sleepers) > 0) {
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&wake);
        pthread_mutex_unlock(&lock);
    }
    work();
    if (atomic_fetch_and(&gate, ~GATE_OPEN) & GATE_INSIDE)
        wait_for_workers_inside();
}

static bool own_slot(void)
{
    return !atomic_load_explicit(&busy, memory_order_relaxed) &&
           !atomic_exchange_explicit(&busy, true, memory_order_acquire);
}

static void give_slot(void)
{
    atomic_store_explicit(&busy, false, memory_order_release);
}

void kl_parallel_for(int64_t chunks, kl_chunk_fn *fn, void *arg)
{
    int threads = chunks > 1 ? kl_num_threads() : 1;
    if (threads > 1 && own_slot()) {
        if (worker_target != threads - 1)
            start_workers(threads - 1);
        run_job(chunks, fn, arg);
        give_slot();
        return;
    }
    for (int64_t chunk = 0; chunk < chunks; chunk++)
        fn(arg, chunk);
}

void kl_thread_pool_stop(void)
{
    while (!own_slot())
        sched_yield();
    join_workers();
    give_slot();
}

/* Workers must be gone before the code they run is unloaded. */
__attribute__((destructor)) static void stop_at_exit(void)
{
    if (own_slot()) {
        join_workers();
        give_slot();
    }
}
