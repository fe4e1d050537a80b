/* Batches of a source, made ahead on a worker thread. */
#ifndef KL_TRAINING_PREFETCH_H
#define KL_TRAINING_PREFETCH_H

#include "training/training.h"

/* The most batches that are made ahead. */
enum { KL_MOST_PREFETCH = 1024 };

/* The batch's inputs (and targets) through the source's preprocessing, within the open scope. */
kl_status kl_source_preprocess(kl_source *s, kl_step_batch *batch);

/*
 * While it lives, only its thread calls kl_source_next; it makes no more batches than allowed, and
 * at most `depth` that nobody has taken. Batches and their order are those of the source alone.
 */
typedef struct kl_prefetch kl_prefetch;
kl_prefetch *kl_prefetch_new(kl_source *source, int64_t depth);
/* How many batches may be made from now on. */
void kl_prefetch_allow(kl_prefetch *p, int64_t batches);
/* As kl_source_next; the batch is lent until the next call. Errors come with their message. */
kl_status kl_prefetch_next(kl_prefetch *p, kl_step_batch *batch, bool *end);
/* As kl_source_restart, after the end was taken; nothing is made until more is allowed. */
kl_status kl_prefetch_restart(kl_prefetch *p);
/* Ends the thread. The preprocessing's random generators then stand behind the last batch taken. */
void kl_prefetch_free(kl_prefetch *p);

#endif
