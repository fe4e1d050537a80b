/* Batches out of arrays or a generator. */
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "tensor/tensor.h"
#include "training/prefetch.h"

/* A list that a field `one` or a list of them gives, held and contiguous. */
static kl_status take_list(const char *function, const char *what, kl_tensor *one,
                           kl_tensor *const *list, int *count, kl_tensor **out)
{
    *count = 0;
    kl_tensor *const alone[2] = {one, NULL};
    if (one && list[0])
        return kl_error(KL_ERROR_INVALID, "%s: %s is given twice, alone and as a list", function,
                        what);
    for (kl_tensor *const *at = one ? alone : list; *count < (one ? 1 : KL_MAX_LIST) && at[*count];
         ++*count) {
        kl_tensor *tensor = at[*count];
        if (tensor->symbol)
            return kl_error(KL_ERROR_INVALID, "%s: %s is symbolic, it has no values", function,
                            what);
        if (!tensor->rank)
            return kl_error(KL_ERROR_SHAPE, "%s: %s needs an axis of samples, got shape ()",
                            function, what);
        if (!tensor->contiguous && tensor->dtype != KL_STRING) {
            kl_tensor *copy = kl_contiguous(tensor);
            out[*count] = kl_hold(copy);
            kl_release(copy);
        } else {
            out[*count] = kl_hold(tensor);
        }
        if (!out[*count])
            return kl_last_status();
    }
    return KL_OK;
}

static kl_status check_samples(const char *function, const kl_source *s)
{
    const kl_step_batch *a = &s->arrays;
    const struct {
        const char *name;
        int count;
        kl_tensor *const *at;
    } lists[] = {
        {"x", a->inputs, a->x}, {"y", a->targets, a->y}, {"sample_weight", a->weights, a->w}};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < lists[k].count; i++)
            if (lists[k].at[i]->shape[0] != s->samples)
                return kl_error(KL_ERROR_SHAPE,
                                "%s: all arrays must have the same number of samples, got %lld in "
                                "x and %lld in %s",
                                function, (long long)s->samples,
                                (long long)lists[k].at[i]->shape[0], lists[k].name);
    if (!s->samples)
        return kl_error(KL_ERROR_SHAPE, "%s: x has no samples", function);
    return KL_OK;
}

kl_status kl_source_open(kl_source *s, const char *function, kl_tensor *x, kl_tensor *y,
                         kl_tensor *w, kl_tensor *const *xs, kl_tensor *const *ys,
                         kl_tensor *const *ws, const kl_data *data, int64_t batch_size)
{
    *s = (kl_source){.batch_size = batch_size, .fresh = true};
    if (batch_size < 1)
        return kl_error(KL_ERROR_RANGE, "%s: batch_size must be at least 1, got %lld", function,
                        (long long)batch_size);
    if (data && data->next) {
        if (x || xs[0])
            return kl_error(KL_ERROR_INVALID, "%s: give x or data, not both", function);
        s->data = data;
        return KL_OK;
    }
    kl_status status = take_list(function, "x", x, xs, &s->arrays.inputs, s->arrays.x);
    if (!status)
        status = take_list(function, "y", y, ys, &s->arrays.targets, s->arrays.y);
    if (!status)
        status = take_list(function, "sample_weight", w, ws, &s->arrays.weights, s->arrays.w);
    if (!status && !s->arrays.inputs)
        status = kl_error_null(function, "x");
    if (!status && !s->arrays.targets)
        status = kl_error_null(function, "y");
    if (!status) {
        s->samples = s->arrays.x[0]->shape[0];
        status = check_samples(function, s);
    }
    if (status)
        kl_source_close(s);
    return status;
}

static void unhold_lists(kl_step_batch *a)
{
    for (int i = 0; i < KL_MAX_LIST; i++) {
        kl_unhold(a->x[i]);
        kl_unhold(a->y[i]);
        kl_unhold(a->w[i]);
    }
    *a = (kl_step_batch){0};
}

void kl_source_close(kl_source *s)
{
    unhold_lists(&s->arrays);
    kl_free(s->order);
    s->order = NULL;
}

static kl_status slice_list(kl_tensor **list, int64_t begin, int64_t end)
{
    for (int i = 0; i < KL_MAX_LIST && list[i]; i++) {
        kl_tensor *part = kl_view_slice(list[i], 0, begin, end, 1);
        if (!part)
            return kl_last_status();
        kl_unhold(list[i]);
        list[i] = kl_hold(part);
        kl_release(part);
    }
    return KL_OK;
}

kl_status kl_source_slice(kl_source *s, int64_t begin, int64_t end)
{
    kl_status status = slice_list(s->arrays.x, begin, end);
    if (!status)
        status = slice_list(s->arrays.y, begin, end);
    if (!status)
        status = slice_list(s->arrays.w, begin, end);
    s->samples = end - begin;
    return status;
}

kl_status kl_source_restart(kl_source *s)
{
    s->at = 0;
    s->fresh = true;
    if (s->data)
        return s->data->restart ? s->data->restart(s->data->user) : KL_OK;
    if (s->order) {
        kl_random stream = {kl_random_next_key(), 0};
        kl_random_permutation(&stream, s->order, s->samples);
    }
    return KL_OK;
}

int64_t kl_source_batches(const kl_source *s)
{
    return s->data ? -1 : (s->samples + s->batch_size - 1) / s->batch_size;
}

typedef struct gather_job {
    char *to;
    const char *from;
    const int64_t *rows;
    size_t bytes;
    kl_split split;
} gather_job;

static void gather_chunk(void *arg, int64_t chunk)
{
    const gather_job *job = arg;
    int64_t end = kl_split_begin(job->split, chunk + 1);
    for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++)
        memcpy(job->to + (size_t)i * job->bytes, job->from + (size_t)job->rows[i] * job->bytes,
               job->bytes);
}

static void release_source(void *data, void *user)
{
    kl_free(data);
    kl_unhold(user);
}

/* Strings stay where they are: the batch holds the array that they belong to. */
static kl_tensor *gather_strings(kl_tensor *array, const int64_t *rows, int rank,
                                 const int64_t *shape)
{
    int64_t width = array->shape[0] ? array->size / array->shape[0] : 0, size = width * shape[0];
    kl_string *items = kl_malloc_array((size_t)(size ? size : 1), sizeof *items);
    if (!items)
        return NULL;
    for (int64_t i = 0; i < size; i++)
        items[i] = kl_tensor_string_at(array, rows[i / width] * width + i % width);
    return kl_wrap(KL_STRING, rank, shape, NULL, items, release_source, kl_hold(array));
}

static kl_tensor *gather_rows(kl_tensor *array, const int64_t *rows, int64_t count)
{
    int64_t shape[KL_MAX_RANK];
    memcpy(shape, array->shape, sizeof shape);
    shape[0] = count;
    if (array->dtype == KL_STRING)
        return gather_strings(array, rows, array->rank, shape);
    kl_tensor *out = kl_empty((kl_dtype)array->dtype, array->rank, shape);
    if (!out || !out->size)
        return out;
    gather_job job = {kl_tensor_mutable_data(out),
                      array->data,
                      rows,
                      (size_t)(out->size / count) * kl_dtype_size((kl_dtype)array->dtype),
                      {0}};
    int64_t grain = (int64_t)(262144 / job.bytes);
    job.split = kl_split_make(count, grain ? grain : 1);
    kl_parallel_for(job.split.chunks, gather_chunk, &job);
    return out;
}

static kl_status batch_list(const kl_source *s, kl_tensor *const *list, int64_t count,
                            kl_tensor **out)
{
    for (int i = 0; i < KL_MAX_LIST; i++) {
        out[i] = NULL;
        if (!list[i])
            continue;
        if (s->order)
            out[i] = gather_rows(list[i], s->order + s->at, count);
        else if (count == s->samples)
            out[i] = list[i];
        else
            out[i] = kl_view_slice(list[i], 0, s->at, s->at + count, 1);
        if (!out[i])
            return kl_last_status();
    }
    return KL_OK;
}

static int count_list(kl_tensor *const *list)
{
    int count = 0;
    while (count < KL_MAX_LIST && list[count])
        count++;
    return count;
}

static kl_status copy_list(kl_tensor **list)
{
    for (int i = 0; i < KL_MAX_LIST && list[i]; i++) {
        kl_tensor *mask = list[i]->mask;
        list[i] = kl_copy(list[i], (kl_dtype)list[i]->dtype);
        if (!list[i])
            return kl_last_status();
        kl_tensor_set_mask(list[i], mask);
    }
    return KL_OK;
}

static kl_status from_generator(kl_source *s, kl_step_batch *batch, bool *end)
{
    kl_batch given = {0};
    kl_status status = s->data->next(s->data->user, &given, end);
    if (status || *end)
        return status;
    memcpy(batch->x, given.x, sizeof given.x);
    memcpy(batch->y, given.y, sizeof given.y);
    memcpy(batch->w, given.sample_weight, sizeof given.sample_weight);
    batch->inputs = count_list(given.x);
    batch->targets = count_list(given.y);
    batch->weights = count_list(given.sample_weight);
    if (!batch->inputs)
        return kl_error_null("data.next", "x");
    if (s->ahead && (copy_list(batch->x) || copy_list(batch->y) || copy_list(batch->w)))
        return kl_last_status();
    return KL_OK;
}

kl_status kl_source_next(kl_source *s, kl_step_batch *batch, bool *end)
{
    *end = false;
    *batch = (kl_step_batch){0};
    kl_status status;
    if (s->data) {
        status = from_generator(s, batch, end);
    } else if (s->at >= s->samples) {
        *end = true;
        return KL_OK;
    } else {
        int64_t count = s->samples - s->at < s->batch_size ? s->samples - s->at : s->batch_size;
        status = batch_list(s, s->arrays.x, count, batch->x);
        if (!status)
            status = batch_list(s, s->arrays.y, count, batch->y);
        if (!status)
            status = batch_list(s, s->arrays.w, count, batch->w);
        batch->inputs = s->arrays.inputs;
        batch->targets = s->arrays.targets;
        batch->weights = s->arrays.weights;
        s->at += count;
    }
    if (status || *end)
        return status;
    s->fresh = false;
    if (s->class_weight.at) {
        if (batch->targets != 1)
            return kl_error(KL_ERROR_INVALID,
                            "class_weight is only supported for models with a single output");
        batch->w[0] = kl_class_weights(s->class_weight, batch->y[0], batch->w[0]);
        batch->weights = 1;
        if (!batch->w[0])
            return kl_last_status();
    }
    return s->preprocessing ? kl_source_preprocess(s, batch) : KL_OK;
}

/* The class of sample i: its label, or the place of the largest element of its row. */
static int64_t class_of(const kl_tensor *y, int64_t i)
{
    int64_t width = y->shape[0] ? y->size / y->shape[0] : 1;
    if (width == 1)
        return (int64_t)(kl_tensor_at(y, i) + 0.5);
    int64_t best = 0;
    for (int64_t j = 1; j < width; j++)
        if (kl_tensor_at(y, i * width + j) > kl_tensor_at(y, i * width + best))
            best = j;
    return best;
}

kl_tensor *kl_class_weights(kl_floats weights, kl_tensor *y, kl_tensor *w)
{
    if (!y) {
        kl_error_null("class_weight", "y");
        return NULL;
    }
    if (!y->rank || y->rank > 2) {
        kl_error(KL_ERROR_SHAPE, "class_weight needs labels of rank 1 or 2, got rank %d", y->rank);
        return NULL;
    }
    kl_tensor *out = kl_empty(KL_FLOAT32, 1, y->shape);
    float *at = out ? kl_tensor_mutable_data(out) : NULL;
    for (int64_t i = 0; at && i < out->size; i++) {
        int64_t label = class_of(y, i);
        at[i] = label >= 0 && (size_t)label < weights.count ? weights.at[label] : 1;
    }
    if (!w || !out)
        return out;
    w = kl_op_cast(w, KL_FLOAT32);
    return kl_align_ranks(&w, &out, true) ? kl_op_mul(w, out) : NULL;
}
