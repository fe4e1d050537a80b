/*
 * Tensors: strided buffers with views, reference counts, scopes and versions.
 *
 * Ownership. A function that makes a tensor hands out one reference. While a scope is open on the
 * thread the scope takes it; otherwise the caller has it and gives it back with kl_release().
 * References made by kl_retain() are counted apart; kl_release() without one leaves a tensor that
 * a scope holds alone, so the same code is right with and without a scope. Tensors held by a scope
 * stay on their thread. Getters lend.
 */
#ifndef KLAYERS_TENSOR_H
#define KLAYERS_TENSOR_H

#include "klayers/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every dtype with Keras's name and its bytes an element. */
#define KL_DTYPE_LIST(X)                                                                           \
    X(KL_FLOAT32, "float32", 4)                                                                    \
    X(KL_FLOAT64, "float64", 8)                                                                    \
    X(KL_FLOAT16, "float16", 2)                                                                    \
    X(KL_BFLOAT16, "bfloat16", 2)                                                                  \
    X(KL_INT32, "int32", 4)                                                                        \
    X(KL_INT64, "int64", 8)                                                                        \
    X(KL_UINT8, "uint8", 1)                                                                        \
    X(KL_BOOL, "bool", 1)                                                                          \
    X(KL_STRING, "string", 16)

typedef enum kl_dtype {
#define KL_DTYPE_ENUM_(id, name, bytes) id,
    KL_DTYPE_LIST(KL_DTYPE_ENUM_)
#undef KL_DTYPE_ENUM_
        KL_DTYPE_COUNT
} kl_dtype;

/* "float32"; and back: false for an unknown name. */
KL_API const char *kl_dtype_name(kl_dtype dtype);
KL_API bool kl_dtype_from_name(const char *name, kl_dtype *out);
KL_API size_t kl_dtype_size(kl_dtype dtype);
/* float16, bfloat16, float32, float64. */
KL_API bool kl_dtype_is_float(kl_dtype dtype);
KL_API bool kl_dtype_is_integer(kl_dtype dtype);

typedef struct kl_tensor kl_tensor;

/* An element of a string tensor: bytes (UTF-8), not NUL-terminated. */
typedef struct kl_string {
    const char *at;
    size_t length;
} kl_string;

/* rank, shape as two arguments: kl_zeros(KL_FLOAT32, KL_DIMS(2, 3)). KL_DIMS() isn't needed for
   scalars: kl_zeros(KL_FLOAT32, 0, NULL). */
#ifndef __cplusplus
#define KL_DIMS(...)                                                                               \
    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#endif

/*
 * Makers. `shape` has `rank` (0..KL_MAX_RANK) sizes of at least 0, copied; the product must fit.
 * New tensors are contiguous in C order. NULL on error.
 */
KL_API kl_tensor *kl_empty(kl_dtype dtype, int rank, const int64_t *shape);
KL_API kl_tensor *kl_zeros(kl_dtype dtype, int rank, const int64_t *shape);
KL_API kl_tensor *kl_ones(kl_dtype dtype, int rank, const int64_t *shape);
/* Every element set to `value`, converted to dtype (not for strings). */
KL_API kl_tensor *kl_full(kl_dtype dtype, int rank, const int64_t *shape, double value);
/* A copy of C-ordered elements; for KL_STRING `data` is an array of kl_string. */
KL_API kl_tensor *kl_from_data(kl_dtype dtype, int rank, const int64_t *shape, const void *data);
/* A string tensor from NUL-terminated texts. */
KL_API kl_tensor *kl_from_strings(int rank, const int64_t *shape, const char *const *texts);
KL_API kl_tensor *kl_scalar(kl_dtype dtype, double value);
/* 0, 1, ... count - 1. */
KL_API kl_tensor *kl_arange(kl_dtype dtype, double start, double stop, double step);

/*
 * A tensor over the caller's memory, without a copy. `strides` are in elements, NULL for C order.
 * The memory must outlive the tensor and all its views; `release`, which may be NULL, is called
 * with (data, user) when the last of them is gone, also when this call itself fails.
 */
KL_API kl_tensor *kl_wrap(kl_dtype dtype, int rank, const int64_t *shape, const int64_t *strides,
                          void *data, void (*release)(void *data, void *user), void *user);

/* One more reference; returns `tensor`. NULL is allowed in both. */
KL_API kl_tensor *kl_retain(const kl_tensor *tensor);
KL_API void kl_release(kl_tensor *tensor);

/*
 * A scope takes the tensors that are made on this thread until kl_scope_end, which frees all but
 * those to keep: kl_scope_end(scope, a, b) hands a and b to the scope around it, or to the caller.
 * Scopes nest and end in reverse order. kl_scope_begin gives NULL only when out of memory.
 */
typedef struct kl_scope kl_scope;
KL_API kl_scope *kl_scope_begin(void);
KL_API void kl_scope_end_keeping(kl_scope *scope, size_t count, kl_tensor *const *keep);
#ifndef __cplusplus
#define kl_scope_end(...)                                                                          \
    kl_scope_end_array_((void *const[]){__VA_ARGS__, NULL},                                        \
                        sizeof((void *const[]){__VA_ARGS__}) / sizeof(void *))
#endif
KL_API void kl_scope_end_array_(void *const *scope_and_keep, size_t count);

/* What a tensor is. A symbolic tensor has dimensions of -1 where they are unknown. */
KL_API kl_dtype kl_tensor_dtype(const kl_tensor *tensor);
KL_API int kl_tensor_rank(const kl_tensor *tensor);
/* Negative axes count from the end; an axis out of range gives -1 and sets the error. */
KL_API int64_t kl_tensor_dim(const kl_tensor *tensor, int axis);
KL_API const int64_t *kl_tensor_shape(const kl_tensor *tensor);
/* In elements. */
KL_API const int64_t *kl_tensor_strides(const kl_tensor *tensor);
/* The number of elements. */
KL_API int64_t kl_tensor_size(const kl_tensor *tensor);
KL_API bool kl_tensor_is_contiguous(const kl_tensor *tensor);
/* Whether the tensor stands for a value that isn't known yet (kl_input and what follows it). */
KL_API bool kl_tensor_is_symbolic(const kl_tensor *tensor);
/* The mask that came with a layer's output, lent; NULL without one. */
KL_API kl_tensor *kl_tensor_mask(const kl_tensor *tensor);
/* "(32, 10)" into out; the text is cut if it doesn't fit. Returns out. */
KL_API char *kl_shape_text(int rank, const int64_t *shape, char *out, size_t size);

/*
 * The elements, from the tensor's first on, spaced by its strides; NULL for a symbolic tensor.
 * The second raises the buffer's version: caches over it are renewed, and a tape refuses to go
 * back through a value that was saved before.
 */
KL_API const void *kl_tensor_data(const kl_tensor *tensor);
KL_API void *kl_tensor_mutable_data(kl_tensor *tensor);
/* The same, NULL with an error unless the tensor is contiguous float32. */
KL_API const float *kl_tensor_floats(const kl_tensor *tensor);
/* The buffer's version: how often it was opened for change. */
KL_API uint64_t kl_tensor_version(const kl_tensor *tensor);
/* Element `index` (C order) as a double; NaN with an error if out of range or a string. */
KL_API double kl_tensor_at(const kl_tensor *tensor, int64_t index);
/* Element `index` of a string tensor, lent. */
KL_API kl_string kl_tensor_string_at(const kl_tensor *tensor, int64_t index);
/* All elements in C order into `out` as `dtype` (not strings), count = kl_tensor_size. */
KL_API kl_status kl_tensor_copy_to(const kl_tensor *tensor, kl_dtype dtype, void *out,
                                   int64_t count);
/* Overwrites target's elements by value's, converting dtype; equal shapes. */
KL_API kl_status kl_tensor_assign(kl_tensor *target, const kl_tensor *value);

/*
 * Views share the buffer; nothing is copied. (The differentiable forms are kl_op_slice,
 * kl_op_transpose, kl_op_broadcast_to, kl_op_reshape.)
 */
/* Python's tensor[start:stop:step] along one axis: negative positions count from the end, KL_NONE
   is the open end, step is not 0. */
KL_API kl_tensor *kl_view_slice(const kl_tensor *tensor, int axis, int64_t start, int64_t stop,
                                int64_t step);
/* axes: a permutation of 0..rank-1, NULL reverses. */
KL_API kl_tensor *kl_view_transpose(const kl_tensor *tensor, const int *axes);
KL_API kl_tensor *kl_view_broadcast(const kl_tensor *tensor, int rank, const int64_t *shape);
/* One size may be -1. A view where the strides allow it, else a copy. */
KL_API kl_tensor *kl_view_reshape(const kl_tensor *tensor, int rank, const int64_t *shape);
/* The tensor itself in a new handle if contiguous, else a contiguous copy. */
KL_API kl_tensor *kl_contiguous(const kl_tensor *tensor);
/* A contiguous copy in `dtype`, always with a buffer of its own. */
KL_API kl_tensor *kl_copy(const kl_tensor *tensor, kl_dtype dtype);

/* Text like numpy's repr of the values, long axes shortened with "...". Freed with kl_free_text. */
KL_API char *kl_tensor_to_text(const kl_tensor *tensor);
KL_API kl_status kl_tensor_print(const kl_tensor *tensor, FILE *file);
KL_API void kl_free_text(char *text);

/*
 * NumPy's .npy files, format versions 1 to 3. Loads <f4 <f8 <f2 <i4 <i8 |u1 |b1 and big-endian or
 * Fortran-ordered forms of them (other integers are widened), |S and <U as strings. The header's
 * shape is checked against the file's size before anything is allocated. Saving writes beside the
 * target and renames. bfloat16 is saved as float32.
 */
KL_API kl_tensor *kl_npy_load(const char *path);
KL_API kl_status kl_npy_save(const char *path, const kl_tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
