#include "layers/preprocessing/encode.h"

#include <string.h>

#include "base/thread_pool.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

bool kl_encode_mode_from_name(const char *name, kl_encode_mode *out)
{
    static const struct {
        const char *name;
        kl_encode_mode mode;
    } modes[] = {{"int", KL_ENCODE_INT},
                 {"one_hot", KL_ENCODE_ONE_HOT},
                 {"multi_hot", KL_ENCODE_MULTI_HOT},
                 {"binary", KL_ENCODE_MULTI_HOT},
                 {"count", KL_ENCODE_COUNT},
                 {"tf_idf", KL_ENCODE_TF_IDF},
                 {"tf-idf", KL_ENCODE_TF_IDF}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (!strcmp(modes[i].name, name)) {
            *out = modes[i].mode;
            return true;
        }
    }
    return false;
}

kl_status kl_encode_check_sparse(kl_encode_mode mode, bool sparse)
{
    if (sparse && mode == KL_ENCODE_INT)
        return kl_error(KL_ERROR_INVALID, "sparse may only be true if output_mode is not 'int'");
    return KL_OK;
}

kl_status kl_encode_default_dtype(kl_layer *self, kl_encode_mode mode)
{
    if (self->policy_given || mode != KL_ENCODE_INT)
        return KL_OK;
    return kl_layer_set_policy(self, "int64");
}

kl_status kl_show_state(kl_layer *self, const char *name, const kl_tensor *value)
{
    while (self->weight_count)
        kl_weight_free(self->weights[--self->weight_count]);
    if (!value->size)
        return KL_OK;
    kl_weight_args args = kl_weight_defaults();
    args.layer = self;
    args.name = name;
    args.dtype = kl_dtype_name((kl_dtype)value->dtype);
    args.initializer = "zeros";
    args.trainable = false;
    args.role = KL_WEIGHT_STATE;
    memcpy(args.shape, value->shape, (size_t)value->rank * sizeof *args.shape);
    kl_weight *weight = kl_add_weight_with(&args);
    return weight ? kl_weight_assign(weight, value) : kl_last_status();
}

/* ---- Shapes --------------------------------------------------------------------------------- */

/* One hot: whether the last axis, of size 1, gives its place to the row. */
static bool replaces_last(const kl_encoding *e, int rank, const int64_t *shape)
{
    return rank && shape[rank - 1] == 1 && (e->legacy || rank > 1);
}

kl_status kl_encode_shape(const kl_encoding *e, int rank, const int64_t *shape, int *out_rank,
                          int64_t *out)
{
    int axes = rank;
    if (axes)
        memcpy(out, shape, (size_t)axes * sizeof *out);
    if (e->mode == KL_ENCODE_ONE_HOT) {
        if (!axes && !e->legacy)
            out[axes++] = 1;
        axes -= replaces_last(e, rank, shape);
    } else if (e->mode != KL_ENCODE_INT && axes) {
        int gathered = axes > 1;
        memmove(out + gathered, out + gathered + 1, (size_t)(axes - gathered - 1) * sizeof *out);
        axes--;
    }
    if (e->mode != KL_ENCODE_INT) {
        if (axes == KL_MAX_RANK)
            return kl_error(KL_ERROR_SHAPE, "the input has too many axes, %d", rank);
        out[axes++] = e->depth;
        if (e->legacy && axes > 2)
            return kl_error(KL_ERROR_SHAPE,
                            "if output_mode is not 'int', at most 2 axes come out, got an input "
                            "of %d axes",
                            rank);
    }
    *out_rank = axes;
    return KL_OK;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

typedef struct rows_job {
    const kl_encoding *e;
    const int64_t *ids;
    const char *weights;            /* of the output's dtype, or NULL */
    int64_t outer, gathered, inner; /* ids are [outer, gathered, inner] */
    kl_dtype dtype;
    char *out; /* [outer, inner, depth] */
    kl_split split;
} rows_job;

// clang-format off
#define FILL_ROWS(name, type)                                                                      \
    static void name(const rows_job *j, int64_t begin, int64_t end)                                \
    {                                                                                              \
        int64_t depth = j->e->depth, each = j->gathered * j->inner;                                \
        bool adds = j->e->mode == KL_ENCODE_COUNT || j->e->mode == KL_ENCODE_TF_IDF;               \
        const type *weights = (const type *)(const void *)j->weights;                              \
        type *out = (type *)(void *)j->out;                                                        \
        memset(out + begin * j->inner * depth, 0,                                                  \
               (size_t)((end - begin) * j->inner * depth) * sizeof *out);                          \
        for (int64_t o = begin; o < end; o++) {                                                    \
            for (int64_t k = 0; k < each; k++) {                                                   \
                int64_t id = j->ids[o * each + k];                                                 \
                if ((uint64_t)id >= (uint64_t)depth)                                               \
                    continue;                                                                      \
                type *at = out + (o * j->inner + (j->inner == 1 ? 0 : k % j->inner)) * depth + id; \
                type one = weights ? weights[o * each + k] : (type)1;                              \
                *at = adds ? (type)(*at + one) : (type)1;                                          \
            }                                                                                      \
        }                                                                                          \
    }
// clang-format on
FILL_ROWS(fill_f32, float)
FILL_ROWS(fill_f64, double)
FILL_ROWS(fill_i32, int32_t)
FILL_ROWS(fill_i64, int64_t)

static void weigh_rows(const rows_job *j, int64_t begin, int64_t end)
{
    int64_t depth = j->e->depth;
    float *out = (float *)(void *)j->out;
    for (int64_t r = begin * j->inner; r < end * j->inner; r++)
        for (int64_t d = 0; d < depth; d++)
            out[r * depth + d] *= j->e->idf[d];
}

static void fill_rows(void *arg, int64_t chunk)
{
    const rows_job *j = arg;
    int64_t begin = kl_split_begin(j->split, chunk), end = kl_split_begin(j->split, chunk + 1);
    if (j->dtype == KL_FLOAT32)
        fill_f32(j, begin, end);
    else if (j->dtype == KL_FLOAT64)
        fill_f64(j, begin, end);
    else if (j->dtype == KL_INT32)
        fill_i32(j, begin, end);
    else
        fill_i64(j, begin, end);
    if (j->e->mode == KL_ENCODE_TF_IDF)
        weigh_rows(j, begin, end);
}

static kl_status check_ids(const kl_encoding *e, const kl_tensor *ids)
{
    /* Keras counts up to two axes by another way, which refuses negative ids. */
    bool counts = e->legacy || (e->mode != KL_ENCODE_ONE_HOT && ids->rank <= 2);
    const int64_t *at = (const int64_t *)(const void *)ids->data;
    for (int64_t i = 0; counts && i < ids->size; i++)
        if (at[i] < 0)
            return kl_error(KL_ERROR_RANGE, "ids must not be negative, got %lld", (long long)at[i]);
    return KL_OK;
}

/* What rows are computed in. */
static kl_dtype work_dtype(const kl_encoding *e)
{
    if (e->mode == KL_ENCODE_TF_IDF || e->dtype == KL_FLOAT16 || e->dtype == KL_BFLOAT16)
        return KL_FLOAT32;
    return e->dtype == KL_FLOAT32 || e->dtype == KL_FLOAT64 || e->dtype == KL_INT32 ? e->dtype
                                                                                    : KL_INT64;
}

kl_tensor *kl_encode(const kl_encoding *e, kl_tensor *ids, kl_tensor *weights)
{
    int64_t shape[KL_MAX_RANK + 1];
    int rank;
    if (!ids || kl_encode_shape(e, ids->rank, ids->shape, &rank, shape))
        return NULL;
    if (!ids->buffer)
        return kl_stand_in(e->dtype, rank, shape);
    if (e->mode == KL_ENCODE_INT)
        return e->dtype == KL_INT64 ? ids : kl_op_cast(ids, e->dtype);
    kl_dtype work = work_dtype(e);
    if (weights && !(weights = kl_contiguous(kl_op_cast(weights, work))))
        return NULL;
    if (weights && !kl_shape_equal(weights, ids)) {
        kl_error(KL_ERROR_SHAPE, "count_weights must have the inputs' shape");
        return NULL;
    }
    kl_tensor *out = check_ids(e, ids) ? NULL : kl_empty(work, rank, shape);
    if (!out)
        return NULL;
    rows_job job = {.e = e,
                    .ids = (const int64_t *)(const void *)ids->data,
                    .dtype = work,
                    .weights = weights ? weights->data : NULL,
                    .out = out->data,
                    .outer = 1,
                    .gathered = 1,
                    .inner = 1};
    if (e->mode == KL_ENCODE_ONE_HOT) {
        job.outer = ids->size;
    } else {
        int axis = ids->rank > 1;
        job.outer = axis ? ids->shape[0] : 1;
        job.gathered = ids->rank ? ids->shape[axis] : 1;
        for (int i = axis + 1; i < ids->rank; i++)
            job.inner *= ids->shape[i];
    }
    int64_t row = job.gathered * job.inner + job.inner * e->depth;
    job.split = kl_split_make(job.outer, 32768 / (row + 1) + 1);
    if (out->size || job.outer)
        kl_parallel_for(job.split.chunks, fill_rows, &job);
    return work == e->dtype ? out : kl_op_cast(out, e->dtype);
}

/* ---- Numbers -------------------------------------------------------------------------------- */

static int64_t whole(double value)
{
    return value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MIN;
}

void kl_read_whole(const kl_tensor *x, int64_t begin, int64_t count, int64_t *out)
{
    kl_dtype dtype = (kl_dtype)x->dtype;
    const char *at = x->data + (size_t)begin * kl_dtype_size(dtype);
    if (dtype == KL_INT64) {
        memcpy(out, at, (size_t)count * sizeof *out);
    } else if (dtype == KL_INT32) {
        const int32_t *from = (const int32_t *)(const void *)at;
        for (int64_t i = 0; i < count; i++)
            out[i] = from[i];
    } else if (kl_dtype_is_float(dtype)) {
        for (int64_t i = 0; i < count; i++)
            out[i] = whole(kl_load_element(dtype, at + (size_t)i * kl_dtype_size(dtype)));
    } else {
        kl_convert_elements(KL_INT64, out, 1, dtype, at, 1, count);
    }
}
