/* What the kernels of whole recurrent sequences share: how samples are split, and products of the
   states with weights that are packed once a sequence. */
#ifndef KL_KERNELS_RECURRENCE_H
#define KL_KERNELS_RECURRENCE_H

#include "klayers/base.h"

typedef struct kl_recurrence {
    int64_t batch, units, width;
    const float *recurrent; /* [units, width] */
    float *packed;          /* recurrent, or its transpose for the way back; NULL: in place */
    bool back;
    int64_t rows; /* samples of a chunk, which no other chunk waits for */
} kl_recurrence;

/* The four before `packed` are set by the caller. False with KL_ERROR_MEMORY. */
bool kl_recurrence_begin(kl_recurrence *r, int64_t steps, bool back);
void kl_recurrence_end(kl_recurrence *r);
/* Calls fn(arg, chunk) for all chunks on all threads. */
void kl_recurrence_run(const kl_recurrence *r, void (*fn)(void *arg, int64_t chunk), void *arg);
/* The chunk's first sample; how many it has goes to *rows. */
int64_t kl_recurrence_chunk(const kl_recurrence *r, int64_t chunk, int64_t *rows);
/* out [rows, width] = states [rows, units] * recurrent; on the way back
   out [rows, units] += products' gradients [rows, width] * recurrent^T. */
bool kl_recur(const kl_recurrence *r, int64_t rows, const float *in, int64_t in_row, float *out,
              int64_t out_row);

#endif
