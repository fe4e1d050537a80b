#include "kernels/recurrence.h"

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/gemm.h"

enum {
    ROWS = 16,      /* samples of a chunk: enough for the product's tiles, few for the threads */
    MORE_ROWS = 32, /* where this still leaves chunks for the threads */
    MANY = 64,
    FEW_ROWS = 4, /* with fewer the weights are read but once a step: packing gains nothing */
    FEW_STEPS = 3,
};

bool kl_recurrence_begin(kl_recurrence *r, int64_t steps, bool back)
{
    r->rows = r->batch > MANY ? MORE_ROWS : ROWS;
    r->back = back;
    r->packed = NULL;
    if (r->batch <= FEW_ROWS || steps < FEW_STEPS || r->units < 4)
        return true;
    r->packed = back ? kl_gemm_pack_f32(r->width, r->units, r->recurrent, 1, r->width)
                     : kl_gemm_pack_f32(r->units, r->width, r->recurrent, r->width, 1);
    return r->packed;
}

void kl_recurrence_end(kl_recurrence *r)
{
    kl_block_free(r->packed);
}

void kl_recurrence_run(const kl_recurrence *r, void (*fn)(void *arg, int64_t chunk), void *arg)
{
    kl_parallel_for((r->batch + r->rows - 1) / r->rows, fn, arg);
}

int64_t kl_recurrence_chunk(const kl_recurrence *r, int64_t chunk, int64_t *rows)
{
    int64_t first = chunk * r->rows;
    *rows = r->batch - first < r->rows ? r->batch - first : r->rows;
    return first;
}

bool kl_recur(const kl_recurrence *r, int64_t rows, const float *in, int64_t in_row, float *out,
              int64_t out_row)
{
    kl_gemm g = {.m = rows,
                 .n = r->back ? r->units : r->width,
                 .k = r->back ? r->width : r->units,
                 .a = in,
                 .a_row = in_row,
                 .a_col = 1,
                 .b = r->recurrent,
                 .b_row = r->back ? 1 : r->width,
                 .b_col = r->back ? r->width : 1,
                 .c = out,
                 .c_row = out_row,
                 .accumulate = r->back};
    if (!r->packed)
        return kl_gemm_f32(&g);
    kl_gemm_packed_f32(&g, r->packed);
    return true;
}
