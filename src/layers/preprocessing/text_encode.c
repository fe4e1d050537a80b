#include "layers/preprocessing/text_encode.h"

#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "tensor/tensor.h"

enum { ROWS_A_CHUNK = 16, MOST_CHUNKS = 64 };

bool kl_text_splits(const kl_text_options *options)
{
    return options->split != KL_SPLIT_NONE || options->split_function;
}

kl_status kl_text_group(const kl_text_options *options, int rank, const int64_t *shape,
                        kl_text_samples *out)
{
    *out = (kl_text_samples){.count = 1, .texts = 1};
    if (kl_text_splits(options)) {
        if (rank > 1 && shape[rank - 1] != 1)
            return kl_error(KL_ERROR_SHAPE,
                            "when splitting texts, the input's rank must be 1 or its last "
                            "dimension 1, got rank %d with last dimension %lld",
                            rank, (long long)shape[rank - 1]);
        out->rank = rank > 1 ? rank - 1 : rank;
    } else if (rank > 0) {
        out->rank = rank - 1;
        out->texts = shape[rank - 1];
    }
    for (int i = 0; i < out->rank; i++) {
        out->shape[i] = shape[i];
        out->count *= shape[i];
    }
    return KL_OK;
}

/* The elements side by side. */
static const kl_string *items_of(kl_tensor **x)
{
    if (!(*x)->contiguous)
        *x = kl_contiguous(*x);
    return *x ? (const kl_string *)(const void *)(*x)->data : NULL;
}

/* A user's function isn't called from several threads at once. */
static void run_chunks(const kl_text_options *options, int64_t chunks, kl_chunk_fn *fn, void *job)
{
    if (!options->split_function) {
        kl_parallel_for(chunks, fn, job);
        return;
    }
    for (int64_t i = 0; i < chunks; i++)
        fn(job, i);
}

/* ---- Ids ------------------------------------------------------------------------------------ */

/* The ids of a chunk's samples, one after another. */
typedef struct chunk_ids {
    int64_t *at, count, capacity;
    int64_t longest;
    bool failed;
} chunk_ids;

typedef struct encode_job {
    const kl_text_options *options;
    const kl_lookup *lookup;
    const kl_string *items;
    const kl_text_samples *group;
    kl_split split;
    chunk_ids chunks[MOST_CHUNKS];
    int64_t *ends; /* of the samples' ids in their chunk; NULL: rows are written at once */
    int64_t width, depth;
    void *out;
} encode_job;

typedef struct reader {
    const kl_lookup *lookup;
    chunk_ids *ids;
    int64_t enough; /* ids of the chunk, with which the sample has all it needs */
} reader;

static bool take_ids(void *user, const kl_string *tokens, size_t count)
{
    const reader *r = user;
    chunk_ids *ids = r->ids;
    if (ids->capacity - ids->count < (int64_t)count) {
        int64_t capacity = ids->capacity ? 2 * ids->capacity : 4 * KL_TOKENS_AT_ONCE;
        int64_t *grown = kl_block_alloc((size_t)capacity * sizeof *grown);
        if (!grown) {
            ids->failed = true;
            return false;
        }
        if (ids->count)
            memcpy(grown, ids->at, (size_t)ids->count * sizeof *grown);
        kl_block_free(ids->at);
        ids->at = grown;
        ids->capacity = capacity;
    }
    kl_lookup_ids(r->lookup, tokens, count, ids->at + ids->count);
    ids->count += (int64_t)count;
    return ids->count < r->enough;
}

static void put_ids(int64_t *to, int64_t width, const int64_t *ids, int64_t count)
{
    int64_t used = count < width ? count : width;
    if (used)
        memcpy(to, ids, (size_t)used * sizeof *to);
    if (width > used)
        memset(to + used, 0, (size_t)(width - used) * sizeof *to);
}

static void put_one_hot(const encode_job *job, int64_t *to, const int64_t *ids, int64_t count)
{
    memset(to, 0, (size_t)(job->width * job->depth) * sizeof *to);
    for (int64_t k = 0; k < count; k++)
        if (ids[k] >= 0 && ids[k] < job->depth)
            to[k * job->depth + ids[k]] = 1;
}

static void put_counts(const encode_job *job, int64_t *to, const int64_t *ids, int64_t count)
{
    bool counts = job->lookup->mode == KL_ENCODE_COUNT;
    memset(to, 0, (size_t)job->depth * sizeof *to);
    for (int64_t k = 0; k < count; k++)
        if (ids[k] >= 0 && ids[k] < job->depth)
            to[ids[k]] = counts ? to[ids[k]] + 1 : 1;
}

static void put_weighted(const encode_job *job, float *to, const int64_t *ids, int64_t count)
{
    memset(to, 0, (size_t)job->depth * sizeof *to);
    for (int64_t k = 0; k < count; k++)
        if (ids[k] >= 0 && ids[k] < job->depth)
            to[ids[k]] += 1;
    for (int64_t d = 0; d < job->depth; d++)
        to[d] *= job->lookup->idf[d];
}

static void put_row(const encode_job *job, int64_t row, const int64_t *ids, int64_t count)
{
    int64_t *whole = job->out;
    switch (job->lookup->mode) {
    case KL_ENCODE_INT:
        put_ids(whole + row * job->width, job->width, ids, count);
        break;
    case KL_ENCODE_ONE_HOT:
        put_one_hot(job, whole + row * job->width * job->depth, ids, count);
        break;
    case KL_ENCODE_TF_IDF:
        put_weighted(job, (float *)job->out + row * job->depth, ids, count);
        break;
    case KL_ENCODE_MULTI_HOT:
    case KL_ENCODE_COUNT:
        put_counts(job, whole + row * job->depth, ids, count);
        break;
    }
}

static void read_chunk(void *arg, int64_t chunk)
{
    encode_job *job = arg;
    chunk_ids *ids = &job->chunks[chunk];
    kl_token_row row = {0};
    int64_t texts = job->group->texts, end = kl_split_begin(job->split, chunk + 1);
    bool limited = !job->ends && job->lookup->mode == KL_ENCODE_INT;
    for (int64_t i = kl_split_begin(job->split, chunk); i < end && !ids->failed; i++) {
        int64_t before = ids->count;
        reader r = {job->lookup, ids, limited ? job->width : INT64_MAX};
        if (!kl_text_read(&row, job->options, job->items + i * texts, (size_t)texts, take_ids, &r))
            ids->failed = true;
        if (ids->failed)
            break;
        if (ids->count - before > ids->longest)
            ids->longest = ids->count - before;
        if (job->ends) {
            job->ends[i] = ids->count;
        } else {
            put_row(job, i, ids->at, ids->count);
            ids->count = 0;
        }
    }
    kl_token_row_free(&row);
}

static void put_chunk(void *arg, int64_t chunk)
{
    const encode_job *job = arg;
    /* A chunk of texts without tokens has no ids. */
    const int64_t none = 0, *ids = job->chunks[chunk].at ? job->chunks[chunk].at : &none;
    int64_t from = 0, end = kl_split_begin(job->split, chunk + 1);
    for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++) {
        put_row(job, i, ids + from, job->ends[i] - from);
        from = job->ends[i];
    }
}

static bool read_all(encode_job *job)
{
    bool good = true;
    run_chunks(job->options, job->split.chunks, read_chunk, job);
    for (int64_t i = 0; i < job->split.chunks; i++) {
        good = good && !job->chunks[i].failed;
        if (job->ends && job->chunks[i].longest > job->width)
            job->width = job->chunks[i].longest;
    }
    if (!good)
        kl_error_memory();
    return good;
}

static kl_tensor *make_output(encode_job *job, const kl_tensor *x, bool fixed)
{
    int64_t shape[KL_MAX_RANK + 2];
    int rank = job->group->rank;
    kl_encode_mode mode = job->lookup->mode;
    bool splits = kl_text_splits(job->options);
    memcpy(shape, job->group->shape, sizeof job->group->shape);
    if (mode == KL_ENCODE_INT) {
        if (splits || x->rank > 0 || fixed)
            shape[rank++] = job->width;
    } else {
        bool single = !splits && ((x->rank > 1 && job->width == 1) || !x->rank);
        if (mode == KL_ENCODE_ONE_HOT && !single)
            shape[rank++] = job->width;
        shape[rank++] = job->depth;
    }
    kl_tensor *out = kl_empty(mode == KL_ENCODE_TF_IDF ? KL_FLOAT32 : KL_INT64, rank, shape);
    job->out = out ? out->data : NULL;
    return out;
}

kl_tensor *kl_text_encode(const kl_text_options *options, const kl_lookup *lookup, kl_tensor *x,
                          const kl_text_samples *group, int64_t length)
{
    bool fixed = lookup->mode == KL_ENCODE_INT && length != KL_NONE;
    bool at_once = fixed || (lookup->mode != KL_ENCODE_INT && lookup->mode != KL_ENCODE_ONE_HOT);
    encode_job job = {.options = options,
                      .lookup = lookup,
                      .items = items_of(&x),
                      .group = group,
                      .split = kl_split_make(group->count, ROWS_A_CHUNK),
                      .width = fixed ? length : 0,
                      .depth = kl_lookup_depth(lookup)};
    kl_tensor *out = NULL;
    if (!x)
        return NULL;
    if (at_once) {
        out = make_output(&job, x, fixed);
        if (out && !read_all(&job)) {
            kl_release(out);
            out = NULL;
        }
    } else {
        job.ends = kl_block_alloc((size_t)(group->count + 1) * sizeof *job.ends);
        if (job.ends && read_all(&job))
            out = make_output(&job, x, fixed);
        if (out)
            run_chunks(options, job.split.chunks, put_chunk, &job);
    }
    for (int64_t i = 0; i < job.split.chunks; i++)
        kl_block_free(job.chunks[i].at);
    kl_block_free(job.ends);
    return out;
}

/* ---- Counts --------------------------------------------------------------------------------- */

typedef struct count_job {
    const kl_text_options *options;
    const kl_string *items;
    const kl_text_samples *group;
    kl_split split;
    kl_token_counts *const *lanes;
    int64_t first_document;
    bool failed[MOST_CHUNKS];
} count_job;

typedef struct counter {
    kl_token_counts *counts;
    int64_t document;
    bool failed;
} counter;

static bool take_counts(void *user, const kl_string *tokens, size_t count)
{
    counter *c = user;
    c->failed = !kl_token_counts_add(c->counts, tokens, count, c->document);
    return !c->failed;
}

static void count_chunk(void *arg, int64_t chunk)
{
    count_job *job = arg;
    kl_token_row row = {0};
    int64_t texts = job->group->texts, begin = kl_split_begin(job->split, chunk);
    int64_t end = kl_split_begin(job->split, chunk + 1);
    counter c = {.counts = job->lanes[chunk]};
    for (int64_t i = begin; i < end && !c.failed; i++) {
        c.document = job->first_document + i;
        if (!kl_text_read(&row, job->options, job->items + i * texts, (size_t)texts, take_counts,
                          &c))
            c.failed = true;
    }
    job->failed[chunk] = c.failed;
    kl_token_row_free(&row);
}

kl_status kl_text_count(const kl_text_options *options, kl_tensor *x, const kl_text_samples *group,
                        kl_token_counts *const *lanes, int lane_count)
{
    int64_t chunks = group->count / ROWS_A_CHUNK + 1, most = kl_num_threads();
    most = most < lane_count ? most : lane_count;
    count_job job = {.options = options,
                     .items = items_of(&x),
                     .group = group,
                     .split = {group->count, chunks < most ? chunks : most},
                     .lanes = lanes,
                     .first_document = lanes[0]->documents};
    if (!x)
        return kl_last_status();
    run_chunks(options, job.split.chunks, count_chunk, &job);
    lanes[0]->documents += group->count;
    for (int64_t i = 0; i < job.split.chunks; i++)
        if (job.failed[i])
            return kl_error_memory();
    return KL_OK;
}
