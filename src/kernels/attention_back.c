/* Attention backward: each block of keys goes over the queries once; scores are made anew. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/attention_blocks.h"

/* Chunks that share a head's queries have gradients of queries of their own, joined at the end. */
enum { LEAST_CHUNKS = 8, MOST_GROUPS = 8 };

typedef struct backward_job {
    kl_attention_job base;
    const kl_attention_grad *grad;
    int64_t groups;                  /* of blocks of keys in a head */
    char *key_panels, *value_panels; /* by batch and head of keys: transposed */
    char *key_rows;                  /* by batch and head of keys */
    char *query_rows, *dy_rows;      /* by batch and head */
    char *delta;                     /* [batch, heads, rows] */
    char *dq;                        /* [groups, batch, rows, heads, size], or grad->dq */
    int64_t key_panels_size, value_panels_size, key_rows_size, query_size, dy_size, dq_size;
    char *scratch;  /* of a chunk: weights and the gradient of scores */
    kl_split split; /* of groups of keys */
} backward_job;

static const char *at(const void *x, int64_t elements, size_t element)
{
    return (const char *)x + elements * (int64_t)element;
}

static char *at_mutable(void *x, int64_t elements, size_t element)
{
    return (char *)x + elements * (int64_t)element;
}

static void pack_keys(void *arg, int64_t chunk)
{
    const backward_job *job = arg;
    const kl_attention_job *base = &job->base;
    const kl_attention *a = base->a;
    size_t e = base->element;
    int64_t batch = chunk / a->kv_heads, head = chunk % a->kv_heads;
    const char *k = at(a->k, batch * a->k_strides[0] + head * a->k_strides[2], e);
    const char *v = at(a->v, batch * a->v_strides[0] + head * a->v_strides[2], e);
    kl_attention_pack_panels(base, at_mutable(job->key_panels, chunk * job->key_panels_size, e), k,
                             a->k_strides[1], a->keys, a->size);
    kl_attention_pack_panels(base, at_mutable(job->value_panels, chunk * job->value_panels_size, e),
                             v, a->v_strides[1], a->keys, a->value_size);
    kl_attention_pack_rows(base, at_mutable(job->key_rows, chunk * job->key_rows_size, e), k,
                           a->k_strides[1], a->keys, a->size);
}

static void pack_queries(void *arg, int64_t chunk)
{
    const backward_job *job = arg;
    const kl_attention_job *base = &job->base;
    const kl_attention *a = base->a;
    size_t e = base->element;
    int64_t batch = chunk / a->heads, head = chunk % a->heads, row = a->heads * a->value_size;
    int64_t of_head = (batch * a->rows * a->heads + head) * a->value_size;
    const char *dy = at(job->grad->dy, of_head, e), *out = at(a->out, of_head, e);
    kl_attention_pack_rows(base, at_mutable(job->query_rows, chunk * job->query_size, e),
                           at(a->q, batch * a->q_strides[0] + head * a->q_strides[2], e),
                           a->q_strides[1], a->rows, a->size);
    kl_attention_pack_rows(base, at_mutable(job->dy_rows, chunk * job->dy_size, e), dy, row,
                           a->rows, a->value_size);
    for (int64_t r = 0; r < a->rows; r++) {
        double product = base->loops->dot(a->value_size, at(out, r * row, e), at(dy, r * row, e));
        if (a->wide)
            ((double *)job->delta)[chunk * a->rows + r] = product;
        else
            ((float *)job->delta)[chunk * a->rows + r] = (float)product;
    }
}

/* A block of scores: which head of which sample, and the corner. */
typedef struct place {
    int64_t batch, head, key_head, row, rows, key, cols;
} place;

/* What scales the gradient of scores; a single key's weight is 1 whatever its score. */
static double back_scale(const kl_attention *given, const kl_attention *a)
{
    if (a->keys == 1)
        return 0;
    return a->empty == KL_ATTENTION_ROUNDED ? given->scale : a->scale;
}

/* One block's share of all gradients; `a` may be less masked than the job's own, with `lse` to
   go with it. */
static void go_back(const backward_job *job, const kl_attention *a, const place *p, const void *lse,
                    char *dq, char *scratch)
{
    const kl_attention_job *base = &job->base;
    size_t e = base->element;
    char *weights = scratch;
    char *grad = at_mutable(scratch, (int64_t)KL_QUERY_BLOCK * KL_KEY_BLOCK, e);
    int64_t head = p->batch * a->heads + p->head, kv = p->batch * a->kv_heads + p->key_head;
    kl_packed q =
        kl_attention_rows_at(base, at(job->query_rows, head * job->query_size, e), p->row, a->size);
    kl_packed dy =
        kl_attention_rows_at(base, at(job->dy_rows, head * job->dy_size, e), p->row, a->value_size);
    kl_packed keys = kl_attention_panels_at(base, at(job->key_panels, kv * job->key_panels_size, e),
                                            p->key, a->size);
    kl_packed values = kl_attention_panels_at(
        base, at(job->value_panels, kv * job->value_panels_size, e), p->key, a->value_size);
    kl_block_product product = {.m = p->rows,
                                .n = p->cols,
                                .k = a->size,
                                .a = q.at,
                                .a_row = q.row,
                                .a_col = 1,
                                .b = keys,
                                .c = weights,
                                .c_row = KL_KEY_BLOCK};
    kl_attention_multiply(base, &product);
    product.k = a->value_size;
    product.a = dy.at;
    product.a_row = dy.row;
    product.b = values;
    product.c = grad;
    kl_attention_multiply(base, &product);

    kl_score_block block = {.rows = p->rows,
                            .cols = p->cols,
                            .ld = KL_KEY_BLOCK,
                            .scores = weights,
                            .scale = a->scale,
                            .grad = grad,
                            .grad_scale = back_scale(base->a, a),
                            .lse = lse,
                            .delta = at(job->delta, head * a->rows + p->row, e)};
    kl_attention_limits(a, p->batch, p->head, p->row, p->key, &block);
    base->loops->backward(&block);

    int64_t to = (p->batch * a->keys + p->key) * a->kv_heads + p->key_head;
    const kl_block_product of_values = {.m = p->cols,
                                        .n = a->value_size,
                                        .k = p->rows,
                                        .a = weights,
                                        .a_row = 1,
                                        .a_col = KL_KEY_BLOCK,
                                        .b = dy,
                                        .c = at_mutable(job->grad->dv, to * a->value_size, e),
                                        .c_row = a->kv_heads * a->value_size,
                                        .accumulate = true};
    kl_attention_multiply(base, &of_values);
    const kl_block_product of_keys = {.m = p->cols,
                                      .n = a->size,
                                      .k = p->rows,
                                      .a = grad,
                                      .a_row = 1,
                                      .a_col = KL_KEY_BLOCK,
                                      .b = q,
                                      .c = at_mutable(job->grad->dk, to * a->size, e),
                                      .c_row = a->kv_heads * a->size,
                                      .accumulate = true};
    kl_attention_multiply(base, &of_keys);
    const kl_block_product of_queries = {
        .m = p->rows,
        .n = a->size,
        .k = p->cols,
        .a = grad,
        .a_row = KL_KEY_BLOCK,
        .a_col = 1,
        .b = kl_attention_rows_at(base, at(job->key_rows, kv * job->key_rows_size, e), p->key,
                                  a->size),
        .c = at_mutable(dq, ((p->batch * a->rows + p->row) * a->heads + p->head) * a->size, e),
        .c_row = a->heads * a->size,
        .accumulate = true};
    kl_attention_multiply(base, &of_queries);
}

static double value_at(const kl_attention *a, const void *x, int64_t i)
{
    return a->wide ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

/* The logarithm of an unmasked row's sum of exponentials, in double over its scores. */
static double unmasked_lse(const backward_job *job, const kl_attention *a, const place *p)
{
    size_t e = job->base.element;
    const char *q = at(
        a->q, p->batch * a->q_strides[0] + p->row * a->q_strides[1] + p->head * a->q_strides[2], e);
    const char *k = at(a->k, p->batch * a->k_strides[0] + p->key_head * a->k_strides[2], e);
    double most = -INFINITY, total = 0;
    for (int64_t c = 0; c < a->keys; c++) {
        double s = a->scale * job->base.loops->dot(a->size, q, at(k, c * a->k_strides[1], e));
        if (s > most) {
            total = total * exp(most - s) + 1;
            most = s;
        } else {
            total += exp(s - most);
        }
    }
    return most + log(total);
}

/* The share of rows without any allowed key, which the block left out. */
static void go_back_empty_rows(const backward_job *job, const place *block, const void *lse,
                               char *dq, char *scratch)
{
    const kl_attention *a = job->base.a;
    kl_attention plain = *a;
    plain.mask = NULL;
    plain.causal = false;
    plain.window = 0;
    bool uniform = a->empty != KL_ATTENTION_UNMASKED;
    if (uniform)
        plain.scale = 0;
    for (int64_t r = 0; r < block->rows; r++) {
        if (value_at(a, lse, r) != INFINITY)
            continue;
        place one = *block;
        one.row += r;
        one.rows = 1;
        double sum = uniform ? log((double)a->keys) : unmasked_lse(job, &plain, &one);
        float narrow = (float)sum;
        go_back(job, &plain, &one, a->wide ? (const void *)&sum : &narrow, dq, scratch);
    }
}

/* All blocks of one group of a head's keys. */
static void back_group(const backward_job *job, int64_t kv, int64_t group, char *scratch)
{
    const kl_attention *a = job->base.a;
    size_t e = job->base.element;
    int64_t repeats = a->heads / a->kv_heads;
    const kl_split split = {(a->keys + KL_KEY_BLOCK - 1) / KL_KEY_BLOCK, job->groups};
    char *dq = at_mutable(job->dq, group * job->dq_size, e);
    bool may_be_empty = a->empty != KL_ATTENTION_ZERO && (a->mask || a->window);
    place p = {.batch = kv / a->kv_heads, .key_head = kv % a->kv_heads};
    for (int64_t b = kl_split_begin(split, group); b < kl_split_begin(split, group + 1); b++) {
        p.key = b * KL_KEY_BLOCK;
        p.cols = a->keys - p.key < KL_KEY_BLOCK ? a->keys - p.key : KL_KEY_BLOCK;
        for (int64_t i = 0; i < repeats; i++) {
            p.head = p.key_head * repeats + i;
            const char *lse = at(a->lse, (p.batch * a->heads + p.head) * a->rows, e);
            for (p.row = 0; p.row < a->rows; p.row += KL_QUERY_BLOCK) {
                int64_t first, end;
                p.rows = a->rows - p.row < KL_QUERY_BLOCK ? a->rows - p.row : KL_QUERY_BLOCK;
                kl_attention_keys(a, p.row, p.rows, &first, &end);
                if (p.key < end && p.key + p.cols > first)
                    go_back(job, a, &p, at(lse, p.row, e), dq, scratch);
                if (may_be_empty)
                    go_back_empty_rows(job, &p, at(lse, p.row, e), dq, scratch);
            }
        }
    }
}

static void backward_chunk(void *arg, int64_t chunk)
{
    const backward_job *job = arg;
    char *scratch =
        at_mutable(job->scratch, chunk * 2 * KL_QUERY_BLOCK * KL_KEY_BLOCK, job->base.element);
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++)
        back_group(job, i / job->groups, i % job->groups, scratch);
}

/* Adds the groups' gradients of queries, in order. */
static void join_queries(void *arg, int64_t chunk)
{
    const backward_job *job = arg;
    size_t e = job->base.element;
    const kl_split split = {job->dq_size, 64};
    int64_t from = kl_split_begin(split, chunk), n = kl_split_begin(split, chunk + 1) - from;
    char *to = at_mutable(job->grad->dq, from, e);
    memcpy(to, at(job->dq, from, e), (size_t)n * e);
    for (int64_t g = 1; g < job->groups; g++)
        job->base.loops->add(n, at(job->dq, g * job->dq_size + from, e), to);
}

/* One block of memory for all packed operands. */
static char *allocate(backward_job *job)
{
    const kl_attention_job *base = &job->base;
    const kl_attention *a = base->a;
    int64_t heads = a->batch * a->heads, kv = a->batch * a->kv_heads;
    job->key_panels_size = kl_attention_panels_size(base, a->keys, a->size);
    job->value_panels_size = kl_attention_panels_size(base, a->keys, a->value_size);
    job->key_rows_size = kl_attention_rows_size(base, a->keys, a->size);
    job->query_size = kl_attention_rows_size(base, a->rows, a->size);
    job->dy_size = kl_attention_rows_size(base, a->rows, a->value_size);
    job->dq_size = a->batch * a->rows * a->heads * a->size;
    struct {
        char **to;
        int64_t count;
    } parts[] = {{&job->key_panels, kv * job->key_panels_size},
                 {&job->value_panels, kv * job->value_panels_size},
                 {&job->key_rows, kv * job->key_rows_size},
                 {&job->query_rows, heads * job->query_size},
                 {&job->dy_rows, heads * job->dy_size},
                 {&job->delta, heads * a->rows},
                 {&job->scratch, job->split.chunks * 2 * KL_QUERY_BLOCK * KL_KEY_BLOCK},
                 {&job->dq, job->groups > 1 ? job->groups * job->dq_size : 0}};
    enum { PARTS = sizeof parts / sizeof *parts };
    size_t total = 0, offsets[PARTS];
    for (int i = 0; i < PARTS; i++) {
        offsets[i] = total;
        total += ((size_t)parts[i].count * base->element + 63) / 64 * 64;
    }
    char *memory = kl_block_alloc(total);
    for (int i = 0; memory && i < PARTS; i++)
        *parts[i].to = memory + offsets[i];
    return memory;
}

bool kl_attention_backward(const kl_attention *a, const kl_attention_grad *grad)
{
    backward_job job = {.grad = grad, .groups = 1};
    kl_attention_begin(&job.base, a);
    size_t e = job.base.element;
    int64_t kv = a->batch * a->kv_heads, blocks = (a->keys + KL_KEY_BLOCK - 1) / KL_KEY_BLOCK;
    while (kv * job.groups < LEAST_CHUNKS && 2 * job.groups <= blocks && job.groups < MOST_GROUPS)
        job.groups *= 2;
    job.split = kl_split_make(kv * job.groups, 1);
    char *memory = allocate(&job);
    if (!memory)
        return false;
    if (job.groups == 1)
        job.dq = grad->dq;
    memset(job.dq, 0, (size_t)(job.groups * job.dq_size) * e);
    memset(grad->dk, 0, (size_t)(kv * a->keys * a->size) * e);
    memset(grad->dv, 0, (size_t)(kv * a->keys * a->value_size) * e);
    kl_parallel_for(kv, pack_keys, &job);
    kl_parallel_for(a->batch * a->heads, pack_queries, &job);
    kl_parallel_for(job.split.chunks, backward_chunk, &job);
    if (job.groups > 1)
        kl_parallel_for(64, join_queries, &job);
    kl_block_free(memory);
    return true;
}
