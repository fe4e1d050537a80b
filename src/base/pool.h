/*
 * Pools of memory blocks in size classes, cut from slabs: a small slab first, then 2 MiB-aligned
 * ones under MADV_HUGEPAGE (first-touch page faults cost more than the arithmetic does). Blocks
 * are 64-byte aligned. After the first batch of a shape nothing is allocated from the system.
 *
 * A pool is used by one thread at a time (the one that has it as its current pool), but a block
 * may be freed by any thread, also after its pool was closed: the pool's memory goes when the last
 * block has come back.
 */
#ifndef KL_BASE_POOL_H
#define KL_BASE_POOL_H

#include "klayers/base.h"

typedef struct kl_pool kl_pool;

kl_pool *kl_pool_new(void);
/* Gives up the pool; its memory goes when its last block is freed. NULL is allowed. */
void kl_pool_close(kl_pool *pool);

/*
 * A block of at least `size` bytes, 64-byte aligned, from this thread's current pool; NULL with
 * KL_ERROR_MEMORY. Contents are not set.
 */
void *kl_block_alloc(size_t size);
/* From any thread. NULL is allowed. */
void kl_block_free(void *block);

/*
 * Makes `pool` the current one of this thread and returns the one before. NULL is the thread's own
 * default pool, made at need and closed when the thread ends.
 */
kl_pool *kl_pool_enter(kl_pool *pool);

/* Frees cached memory of the thread's default pool (kl_shutdown). */
void kl_pool_drop_default(void);

/* Bytes that the pool holds from the allocator, and bytes in blocks now in use (NULL: the thread's
   default pool). Only for the thread that has the pool. */
typedef struct kl_pool_stats {
    size_t held, in_use;
} kl_pool_stats;
kl_pool_stats kl_pool_get_stats(kl_pool *pool);

#endif
