/*
 * The library's one thread pool. Workers spin for a bounded time after a job and then sleep;
 * chunks are claimed from a counter and the caller works too, waiting for no worker that has not
 * started. A call that finds the pool busy (another thread's job, or from inside a job) runs
 * serially. The pool is remade after fork.
 */
#ifndef KL_BASE_THREAD_POOL_H
#define KL_BASE_THREAD_POOL_H

#include "klayers/base.h"

/*
 * Runs fn(arg, chunk) for every chunk in 0..chunks-1, in any order and on any thread. What a chunk
 * covers must depend on the problem's shape alone, never on the number of threads, so that results
 * are the same bit for bit; sums split over chunks are added by the caller in chunk order.
 * fn can't fail and must not set errors.
 */
typedef void kl_chunk_fn(void *arg, int64_t chunk);
void kl_parallel_for(int64_t chunks, kl_chunk_fn *fn, void *arg);

/*
 * The usual split of `count` items into chunks of at least `grain` items, at most 64 of them;
 * depends on count and grain alone. Chunk i covers [kl_split_begin(i), kl_split_begin(i + 1)).
 */
typedef struct kl_split {
    int64_t count, chunks;
} kl_split;
static inline kl_split kl_split_make(int64_t count, int64_t grain)
{
    int64_t chunks = count / (grain > 0 ? grain : 1);
    if (chunks > 64)
        chunks = 64;
    if (chunks < 1)
        chunks = 1;
    return (kl_split){count, chunks};
}
static inline int64_t kl_split_begin(kl_split split, int64_t chunk)
{
    int64_t each = split.count / split.chunks, rest = split.count % split.chunks;
    return chunk * each + (chunk < rest ? chunk : rest);
}

/* Joins the workers (kl_shutdown); the next kl_parallel_for starts them anew. */
void kl_thread_pool_stop(void);

#endif
