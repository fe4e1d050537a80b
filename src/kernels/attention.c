/* Attention forward: each block of queries goes over the keys once. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/attention_blocks.h"

typedef struct forward_job {
    kl_attention_job base;
    char *keys, *values;            /* packed, by batch and head */
    int64_t keys_size, values_size; /* elements of one head's */
    char *scratch;
    size_t scratch_size; /* bytes of one chunk's */
    int64_t blocks;      /* of queries in a head */
    bool few;            /* so few queries that packing the keys would cost more than it gives */
    bool values_in_place;
    kl_split split;
} forward_job;

/* A chunk's own memory: scores, results, maxima and sums. */
typedef struct scratch {
    char *scores, *out, *most, *total;
} scratch;

static const char *head_of(const void *x, const int64_t *strides, int64_t batch, int64_t place,
                           int64_t head, size_t element)
{
    return (const char *)x +
           (batch * strides[0] + place * strides[1] + head * strides[2]) * (int64_t)element;
}

static void pack_head(void *arg, int64_t chunk)
{
    const forward_job *job = arg;
    const kl_attention_job *base = &job->base;
    const kl_attention *a = base->a;
    int64_t batch = chunk / a->kv_heads, head = chunk % a->kv_heads;
    size_t element = base->element;
    if (!job->few)
        kl_attention_pack_panels(base, job->keys + (size_t)(chunk * job->keys_size) * element,
                                 head_of(a->k, a->k_strides, batch, 0, head, element),
                                 a->k_strides[1], a->keys, a->size);
    if (!job->values_in_place)
        kl_attention_pack_rows(base, job->values + (size_t)(chunk * job->values_size) * element,
                               head_of(a->v, a->v_strides, batch, 0, head, element),
                               a->v_strides[1], a->keys, a->value_size);
}

/* Where a block of queries stands, and the keys and values of its head. */
typedef struct query_block {
    int64_t batch, head, row, rows;
    const char *keys, *values;
} query_block;

static void set_values(bool wide, void *at, int64_t n, double value)
{
    for (int64_t i = 0; i < n; i++) {
        if (wide)
            ((double *)at)[i] = value;
        else
            ((float *)at)[i] = (float)value;
    }
}

static double value_at(bool wide, const void *at, int64_t i)
{
    return wide ? ((const double *)at)[i] : (double)((const float *)at)[i];
}

/* Scores of the block's queries with keys [key, key + cols). */
static void score(const forward_job *job, const query_block *q, int64_t key, int64_t cols,
                  void *scores)
{
    const kl_attention_job *base = &job->base;
    const kl_attention *a = base->a;
    const char *queries = head_of(a->q, a->q_strides, q->batch, q->row, q->head, base->element);
    if (job->few) {
        const kl_dots dots = {.m = q->rows,
                              .n = cols,
                              .k = a->size,
                              .a = queries,
                              .a_row = a->q_strides[1],
                              .b = q->keys + key * a->k_strides[1] * (int64_t)base->element,
                              .b_col = a->k_strides[1],
                              .c = scores,
                              .c_row = KL_KEY_BLOCK,
                              .c_col = 1};
        base->set->dots(&dots);
        return;
    }
    const kl_block_product product = {.m = q->rows,
                                      .n = cols,
                                      .k = a->size,
                                      .a = queries,
                                      .a_row = a->q_strides[1],
                                      .a_col = 1,
                                      .b = kl_attention_panels_at(base, q->keys, key, a->size),
                                      .c = scores,
                                      .c_row = KL_KEY_BLOCK};
    kl_attention_multiply(base, &product);
}

/* Adds the values at [key, key + cols), weighed by the block's exponentials. */
static void weigh(const forward_job *job, const query_block *q, int64_t key, int64_t cols,
                  const scratch *s)
{
    const kl_attention_job *base = &job->base;
    const kl_attention *a = base->a;
    kl_packed values = kl_attention_rows_at(base, q->values, key, a->value_size);
    if (job->values_in_place)
        values = (kl_packed){q->values + key * a->v_strides[1] * (int64_t)base->element,
                             a->v_strides[1], base->width};
    const kl_block_product product = {.m = q->rows,
                                      .n = a->value_size,
                                      .k = cols,
                                      .a = s->scores,
                                      .a_row = KL_KEY_BLOCK,
                                      .a_col = 1,
                                      .b = values,
                                      .c = s->out,
                                      .c_row = kl_attention_padded(base, a->value_size),
                                      .accumulate = true};
    kl_attention_multiply(base, &product);
}

/* Sums the block's exponentials and weighed values over all keys; `a` may be less masked than the
   job's own. */
static void attend(const forward_job *job, const kl_attention *a, const query_block *q,
                   const scratch *s)
{
    const kl_attention_job *base = &job->base;
    int64_t first, end, padded = kl_attention_padded(base, a->value_size);
    set_values(a->wide, s->most, q->rows, -INFINITY);
    set_values(a->wide, s->total, q->rows, 0);
    memset(s->out, 0, (size_t)(q->rows * padded) * base->element);
    kl_attention_keys(a, q->row, q->rows, &first, &end);
    for (int64_t key = first / base->width * base->width; key < end; key += KL_KEY_BLOCK) {
        int64_t cols = end - key < KL_KEY_BLOCK ? end - key : KL_KEY_BLOCK;
        score(job, q, key, cols, s->scores);
        kl_score_block block = {.rows = q->rows,
                                .cols = cols,
                                .ld = KL_KEY_BLOCK,
                                .scores = s->scores,
                                .scale = a->scale,
                                .most = s->most,
                                .total = s->total,
                                .out = s->out,
                                .out_ld = padded,
                                .out_cols = a->value_size};
        kl_attention_limits(a, q->batch, q->head, q->row, key, &block);
        base->loops->forward(&block);
        weigh(job, q, key, cols, s);
    }
}

static char *lse_at(const kl_attention *a, const query_block *q, int64_t row, size_t element)
{
    return (char *)a->lse +
           (size_t)((q->batch * a->heads + q->head) * a->rows + q->row + row) * element;
}

/* The block's rows to the result. */
static void finish_rows(const forward_job *job, const query_block *q, const scratch *s, void *lse)
{
    const kl_attention_job *base = &job->base;
    const kl_attention *a = base->a;
    int64_t padded = kl_attention_padded(base, a->value_size);
    for (int64_t r = 0; r < q->rows; r++) {
        int64_t at = ((q->batch * a->rows + q->row + r) * a->heads + q->head) * a->value_size;
        base->loops->finish(a->value_size, s->out + (size_t)(r * padded) * base->element,
                            value_at(a->wide, s->total, r), value_at(a->wide, s->most, r),
                            (char *)a->out + (size_t)at * base->element,
                            (char *)lse + (size_t)r * base->element);
    }
}

/* Rows without any allowed key are computed anew as their rule says; their mark in lse stays. */
static void fill_empty_rows(const forward_job *job, const query_block *q, const scratch *s)
{
    const kl_attention *a = job->base.a;
    double ignored;
    kl_attention plain = *a;
    if (a->empty == KL_ATTENTION_ZERO || (!a->mask && !a->window))
        return;
    plain.mask = NULL;
    plain.causal = false;
    plain.window = 0;
    if (a->empty != KL_ATTENTION_UNMASKED)
        plain.scale = 0;
    for (int64_t r = 0; r < q->rows; r++) {
        if (value_at(a->wide, lse_at(a, q, r, job->base.element), 0) != INFINITY)
            continue;
        query_block one = *q;
        one.row += r;
        one.rows = 1;
        attend(job, &plain, &one, s);
        finish_rows(job, &one, s, &ignored);
    }
}

static void forward_chunk(void *arg, int64_t chunk)
{
    const forward_job *job = arg;
    const kl_attention_job *base = &job->base;
    const kl_attention *a = base->a;
    int64_t padded = kl_attention_padded(base, a->value_size);
    scratch s = {.scores = job->scratch + (size_t)chunk * job->scratch_size};
    s.out = s.scores + (size_t)KL_QUERY_BLOCK * KL_KEY_BLOCK * base->element;
    s.most = s.out + (size_t)(KL_QUERY_BLOCK * padded) * base->element;
    s.total = s.most + KL_QUERY_BLOCK * base->element;
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++) {
        int64_t head = i / job->blocks, row = i % job->blocks * KL_QUERY_BLOCK;
        int64_t left = a->rows - row;
        query_block q = {.batch = head / a->heads,
                         .head = head % a->heads,
                         .row = row,
                         .rows = left < KL_QUERY_BLOCK ? left : KL_QUERY_BLOCK};
        int64_t from = q.batch * a->kv_heads + q.head / (a->heads / a->kv_heads);
        int64_t key_head = q.head / (a->heads / a->kv_heads);
        q.keys = job->few ? head_of(a->k, a->k_strides, q.batch, 0, key_head, base->element)
                          : job->keys + (size_t)(from * job->keys_size) * base->element;
        q.values = job->values_in_place
                       ? head_of(a->v, a->v_strides, q.batch, 0, key_head, base->element)
                       : job->values + (size_t)(from * job->values_size) * base->element;
        attend(job, a, &q, &s);
        finish_rows(job, &q, &s, lse_at(a, &q, 0, base->element));
        fill_empty_rows(job, &q, &s);
    }
}

bool kl_attention_forward(const kl_attention *a)
{
    forward_job job = {.blocks = (a->rows + KL_QUERY_BLOCK - 1) / KL_QUERY_BLOCK};
    kl_attention_begin(&job.base, a);
    size_t element = job.base.element;
    int64_t kv = a->batch * a->kv_heads, work = KL_QUERY_BLOCK * a->keys * (a->size + 1);
    /* A step of decoding, as a rule: more rows are faster over packed keys. */
    job.few = a->rows <= 2;
    job.values_in_place = job.few && a->value_size % job.base.set->lanes == 0;
    job.keys_size = job.few ? 1 : kl_attention_panels_size(&job.base, a->keys, a->size);
    job.values_size =
        job.values_in_place ? 1 : kl_attention_rows_size(&job.base, a->keys, a->value_size);
    job.split = kl_split_make(a->batch * a->heads * job.blocks, 1 + (1 << 18) / (work + 1));
    job.scratch_size =
        (KL_QUERY_BLOCK *
             (KL_KEY_BLOCK + 2 + (size_t)kl_attention_padded(&job.base, a->value_size)) * element +
         63) /
        64 * 64;
    job.keys = kl_block_alloc((size_t)(kv * job.keys_size) * element);
    job.values = kl_block_alloc((size_t)(kv * job.values_size) * element);
    job.scratch = kl_block_alloc((size_t)job.split.chunks * job.scratch_size);
    bool good = job.keys && job.values && job.scratch;
    if (good) {
        if (!job.values_in_place)
            kl_parallel_for(kv, pack_head, &job);
        kl_parallel_for(job.split.chunks, forward_chunk, &job);
    }
    kl_block_free(job.keys);
    kl_block_free(job.values);
    kl_block_free(job.scratch);
    return good;
}
