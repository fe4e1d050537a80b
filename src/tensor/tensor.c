#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/pool.h"
#include "ops/tape.h"
#include "tensor/convert.h"
#include "tensor/scope.h"

#define ONE_HELD    (UINT64_C(1) << 32)
#define USERS(refs) ((uint32_t)(refs))

static _Thread_local bool shapes_only;

bool kl_shape_mode(bool on)
{
    bool before = shapes_only;
    shapes_only = on;
    return before;
}

static void buffer_unref(kl_buffer *buffer)
{
    if (atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (buffer->release)
        buffer->release(buffer->data, buffer->user);
    kl_block_free(buffer);
}

static void destroy(kl_tensor *tensor)
{
    if (tensor->buffer)
        buffer_unref(tensor->buffer);
    kl_unhold(tensor->mask);
    kl_unhold(tensor->rows);
    kl_block_free(tensor);
}

kl_tensor *kl_hold(const kl_tensor *tensor)
{
    kl_tensor *t = (kl_tensor *)(uintptr_t)tensor;
    if (t)
        atomic_fetch_add_explicit(&t->refs, ONE_HELD, memory_order_relaxed);
    return t;
}

void kl_unhold(kl_tensor *tensor)
{
    if (tensor &&
        atomic_fetch_sub_explicit(&tensor->refs, ONE_HELD, memory_order_acq_rel) == ONE_HELD)
        destroy(tensor);
}

kl_tensor *kl_retain(const kl_tensor *tensor)
{
    kl_tensor *t = (kl_tensor *)(uintptr_t)tensor;
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void kl_release(kl_tensor *tensor)
{
    if (!tensor)
        return;
    uint64_t refs = atomic_load_explicit(&tensor->refs, memory_order_relaxed);
    do {
        if (!USERS(refs))
            return;
    } while (!atomic_compare_exchange_weak_explicit(&tensor->refs, &refs, refs - 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
    if (refs == 1)
        destroy(tensor);
    else if (USERS(refs) == 1 && tensor->symbol && tensor->symbol->released)
        tensor->symbol->released(tensor);
}

/* A handle with one reference: the open scope's, or the caller's. */
static kl_tensor *new_handle(void)
{
    kl_tensor *tensor = kl_block_alloc(sizeof *tensor);
    if (!tensor)
        return NULL;
    memset(tensor, 0, sizeof *tensor);
    if (kl_scope_take(tensor)) {
        atomic_init(&tensor->refs, ONE_HELD);
    } else if (kl_scope_is_open()) {
        kl_block_free(tensor);
        return NULL;
    } else {
        atomic_init(&tensor->refs, 1);
    }
    return tensor;
}

static void drop_handle(kl_tensor *tensor)
{
    kl_release(kl_scope_detach(tensor));
}

static bool is_c_order(const kl_tensor *t)
{
    int64_t step = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->strides[i] != step)
            return t->size == 0;
        step *= t->shape[i];
    }
    return true;
}

static kl_tensor *handle_for(kl_dtype dtype, int rank, const int64_t *shape)
{
    int64_t size;
    if ((unsigned)dtype >= KL_DTYPE_COUNT) {
        kl_error(KL_ERROR_DTYPE, "unknown dtype %d", (int)dtype);
        return NULL;
    }
    if (!kl_shape_size(rank, shape, &size))
        return NULL;
    kl_tensor *tensor = new_handle();
    if (!tensor)
        return NULL;
    tensor->dtype = (uint8_t)dtype;
    tensor->rank = rank;
    tensor->size = size;
    tensor->contiguous = true;
    for (int i = 0; i < rank; i++)
        tensor->shape[i] = shape[i];
    kl_c_strides(rank, tensor->shape, tensor->strides);
    return tensor;
}

kl_tensor *kl_stand_in(kl_dtype dtype, int rank, const int64_t *shape)
{
    return handle_for(dtype, rank, shape);
}

kl_tensor *kl_symbolic_tensor(kl_dtype dtype, int rank, const int64_t *shape)
{
    if (rank < 0 || rank > KL_MAX_RANK) {
        kl_error(KL_ERROR_SHAPE, "a tensor has 0 to %d axes, got %d", KL_MAX_RANK, rank);
        return NULL;
    }
    kl_tensor *tensor = kl_block_alloc(sizeof *tensor);
    if (!tensor)
        return NULL;
    memset(tensor, 0, sizeof *tensor);
    atomic_init(&tensor->refs, ONE_HELD);
    tensor->dtype = (uint8_t)dtype;
    tensor->rank = rank;
    tensor->size = 1;
    for (int i = 0; i < rank; i++) {
        tensor->shape[i] = shape[i];
        if (shape[i] < 0 || tensor->size < 0)
            tensor->size = -1;
        else
            tensor->size *= shape[i];
    }
    return tensor;
}

static kl_buffer *pooled_buffer(size_t bytes)
{
    size_t head = (sizeof(kl_buffer) + 63) / 64 * 64, total;
    if (!kl_size_add(head, bytes, &total)) {
        kl_error_memory();
        return NULL;
    }
    kl_buffer *buffer = kl_block_alloc(total);
    if (!buffer)
        return NULL;
    atomic_init(&buffer->refs, 1);
    atomic_init(&buffer->version, 0);
    buffer->bytes = bytes;
    buffer->data = (char *)buffer + head;
    buffer->release = NULL;
    buffer->user = NULL;
    return buffer;
}

kl_tensor *kl_empty(kl_dtype dtype, int rank, const int64_t *shape)
{
    kl_tensor *tensor = handle_for(dtype, rank, shape);
    if (!tensor || shapes_only)
        return tensor;
    kl_buffer *buffer = pooled_buffer((size_t)tensor->size * kl_dtype_size(dtype));
    if (!buffer) {
        drop_handle(tensor);
        return NULL;
    }
    if (dtype == KL_STRING)
        memset(buffer->data, 0, buffer->bytes);
    tensor->buffer = buffer;
    tensor->data = buffer->data;
    return tensor;
}

kl_tensor *kl_zeros(kl_dtype dtype, int rank, const int64_t *shape)
{
    kl_tensor *tensor = kl_empty(dtype, rank, shape);
    if (tensor && tensor->buffer)
        memset(tensor->data, 0, tensor->buffer->bytes);
    return tensor;
}

kl_tensor *kl_full(kl_dtype dtype, int rank, const int64_t *shape, double value)
{
    if (dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "a string tensor can't be filled with a number");
        return NULL;
    }
    kl_tensor *tensor = kl_empty(dtype, rank, shape);
    if (tensor && tensor->buffer)
        kl_fill_elements(dtype, tensor->data, tensor->size, value);
    return tensor;
}

kl_tensor *kl_ones(kl_dtype dtype, int rank, const int64_t *shape)
{
    return kl_full(dtype, rank, shape, 1);
}

kl_tensor *kl_scalar(kl_dtype dtype, double value)
{
    return kl_full(dtype, 0, NULL, value);
}

kl_tensor *kl_arange(kl_dtype dtype, double start, double stop, double step)
{
    double span = step ? ceil((stop - start) / step) : -1;
    if (!(step != 0) || !isfinite(span) || span > 9e15) {
        kl_error(KL_ERROR_RANGE, "kl_arange: no range from %g to %g by %g", start, stop, step);
        return NULL;
    }
    int64_t count = span > 0 ? (int64_t)span : 0;
    kl_tensor *wide = kl_empty(KL_FLOAT64, 1, &count);
    if (!wide)
        return NULL;
    double *at = (double *)wide->data;
    for (int64_t i = 0; at && i < count; i++)
        at[i] = start + (double)i * step;
    if (dtype == KL_FLOAT64)
        return wide;
    kl_tensor *result = wide->buffer ? kl_copy(wide, dtype) : kl_stand_in(dtype, 1, &count);
    drop_handle(wide);
    return result;
}

kl_tensor *kl_from_data(kl_dtype dtype, int rank, const int64_t *shape, const void *data)
{
    int64_t size;
    if (!kl_shape_size(rank, shape, &size))
        return NULL;
    if (!data && size) {
        kl_error_null("kl_from_data", "data");
        return NULL;
    }
    if (dtype == KL_STRING) {
        kl_string_builder builder = {0};
        const kl_string *texts = data;
        for (int64_t i = 0; i < size; i++)
            kl_string_builder_add(&builder, texts[i].at, texts[i].length);
        return kl_string_builder_finish(&builder, rank, shape);
    }
    bool shapes = kl_shape_mode(false);
    kl_tensor *tensor = kl_empty(dtype, rank, shape);
    kl_shape_mode(shapes);
    if (tensor && size)
        memcpy(tensor->data, data, (size_t)size * kl_dtype_size(dtype));
    return tensor;
}

kl_tensor *kl_from_strings(int rank, const int64_t *shape, const char *const *texts)
{
    int64_t size;
    if (!kl_shape_size(rank, shape, &size))
        return NULL;
    kl_string_builder builder = {0};
    for (int64_t i = 0; i < size; i++) {
        if (!texts || !texts[i]) {
            kl_string_builder_free(&builder);
            kl_error_null("kl_from_strings", "texts");
            return NULL;
        }
        kl_string_builder_add(&builder, texts[i], strlen(texts[i]));
    }
    return kl_string_builder_finish(&builder, rank, shape);
}

kl_tensor *kl_wrap(kl_dtype dtype, int rank, const int64_t *shape, const int64_t *strides,
                   void *data, void (*release)(void *data, void *user), void *user)
{
    kl_tensor *tensor = NULL;
    kl_buffer *buffer = NULL;
    if (!data)
        kl_error_null("kl_wrap", "data");
    else
        tensor = handle_for(dtype, rank, shape);
    if (tensor)
        buffer = kl_block_alloc(sizeof *buffer);
    if (!buffer) {
        if (tensor)
            drop_handle(tensor);
        if (release)
            release(data, user);
        return NULL;
    }
    *buffer = (kl_buffer){.refs = 1,
                          .data = data,
                          .release = release,
                          .user = user,
                          .bytes = (size_t)tensor->size * kl_dtype_size(dtype)};
    tensor->buffer = buffer;
    tensor->data = data;
    for (int i = 0; strides && i < rank; i++)
        tensor->strides[i] = strides[i];
    tensor->contiguous = is_c_order(tensor);
    return tensor;
}

kl_tensor *kl_alias_as(const kl_tensor *source, int rank, const int64_t *shape,
                       const int64_t *strides, int64_t offset)
{
    kl_tensor *tensor = new_handle();
    if (!tensor)
        return NULL;
    tensor->dtype = source->dtype;
    tensor->rank = rank;
    tensor->size = 1;
    for (int i = 0; i < rank; i++) {
        tensor->shape[i] = shape[i];
        tensor->strides[i] = strides[i];
        tensor->size *= shape[i];
    }
    tensor->contiguous = is_c_order(tensor);
    tensor->buffer = source->buffer;
    if (source->buffer) {
        atomic_fetch_add_explicit(&source->buffer->refs, 1, memory_order_relaxed);
        tensor->data = source->data + offset * (int64_t)kl_dtype_size((kl_dtype)source->dtype);
    }
    return tensor;
}

kl_tensor *kl_alias(const kl_tensor *tensor)
{
    return kl_alias_as(tensor, tensor->rank, tensor->shape, tensor->strides, 0);
}

void kl_tensor_set_mask(kl_tensor *tensor, kl_tensor *mask)
{
    kl_hold(mask);
    kl_unhold(tensor->mask);
    tensor->mask = mask;
}

bool kl_tensor_is_sole(const kl_tensor *tensor)
{
    return tensor->buffer && atomic_load(&tensor->buffer->refs) == 1;
}

kl_dtype kl_tensor_dtype(const kl_tensor *tensor)
{
    return tensor ? (kl_dtype)tensor->dtype : KL_FLOAT32;
}

int kl_tensor_rank(const kl_tensor *tensor)
{
    return tensor ? tensor->rank : 0;
}

int64_t kl_tensor_dim(const kl_tensor *tensor, int axis)
{
    if (!tensor) {
        kl_error_null("kl_tensor_dim", "tensor");
        return -1;
    }
    int at = kl_axis("axis", axis, tensor->rank);
    return at < 0 ? -1 : tensor->shape[at];
}

const int64_t *kl_tensor_shape(const kl_tensor *tensor)
{
    return tensor ? tensor->shape : NULL;
}

const int64_t *kl_tensor_strides(const kl_tensor *tensor)
{
    return tensor ? tensor->strides : NULL;
}

int64_t kl_tensor_size(const kl_tensor *tensor)
{
    return tensor ? tensor->size : 0;
}

bool kl_tensor_is_contiguous(const kl_tensor *tensor)
{
    return tensor && tensor->contiguous;
}

bool kl_tensor_is_symbolic(const kl_tensor *tensor)
{
    return tensor && tensor->symbol;
}

kl_tensor *kl_tensor_mask(const kl_tensor *tensor)
{
    return tensor ? tensor->mask : NULL;
}

const void *kl_tensor_data(const kl_tensor *tensor)
{
    return tensor ? tensor->data : NULL;
}

void *kl_tensor_mutable_data(kl_tensor *tensor)
{
    if (!tensor || !tensor->buffer)
        return NULL;
    atomic_fetch_add_explicit(&tensor->buffer->version, 1, memory_order_relaxed);
    return tensor->data;
}

const float *kl_tensor_floats(const kl_tensor *tensor)
{
    if (!tensor) {
        kl_error_null("kl_tensor_floats", "tensor");
        return NULL;
    }
    if (tensor->dtype != KL_FLOAT32 || !tensor->contiguous || !tensor->buffer) {
        kl_error(KL_ERROR_DTYPE, "expected a contiguous float32 tensor, got %s%s",
                 tensor->contiguous ? "" : "a strided view of ",
                 tensor->buffer ? kl_dtype_name((kl_dtype)tensor->dtype) : "one without values");
        return NULL;
    }
    return (const float *)tensor->data;
}

uint64_t kl_tensor_version(const kl_tensor *tensor)
{
    return tensor && tensor->buffer ? atomic_load(&tensor->buffer->version) : 0;
}

/* Address of the element at a C-order index. */
static const char *element(const kl_tensor *tensor, int64_t index)
{
    int64_t offset = 0;
    if (tensor->contiguous) {
        offset = index;
    } else {
        for (int i = tensor->rank - 1; i >= 0; i--) {
            offset += index % tensor->shape[i] * tensor->strides[i];
            index /= tensor->shape[i];
        }
    }
    return tensor->data + offset * (int64_t)kl_dtype_size((kl_dtype)tensor->dtype);
}

static bool check_index(const char *function, const kl_tensor *tensor, int64_t index)
{
    if (!tensor) {
        kl_error_null(function, "tensor");
        return false;
    }
    if (!tensor->buffer) {
        kl_error(KL_ERROR_STATE, "%s: the tensor has no values yet", function);
        return false;
    }
    if (index < 0 || index >= tensor->size) {
        kl_error(KL_ERROR_RANGE, "%s: index %lld is out of range for %lld elements", function,
                 (long long)index, (long long)tensor->size);
        return false;
    }
    return true;
}

double kl_tensor_at(const kl_tensor *tensor, int64_t index)
{
    if (!check_index("kl_tensor_at", tensor, index))
        return NAN;
    if (tensor->dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "kl_tensor_at: the tensor holds strings");
        return NAN;
    }
    return kl_load_element((kl_dtype)tensor->dtype, element(tensor, index));
}

kl_string kl_tensor_string_at(const kl_tensor *tensor, int64_t index)
{
    kl_string none = {"", 0};
    if (!check_index("kl_tensor_string_at", tensor, index))
        return none;
    if (tensor->dtype != KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "kl_tensor_string_at: the tensor holds %s",
                 kl_dtype_name((kl_dtype)tensor->dtype));
        return none;
    }
    return *(const kl_string *)(const void *)element(tensor, index);
}
