/* The tensor's inside: what ops, layers and graph share. */
#ifndef KL_TENSOR_TENSOR_H
#define KL_TENSOR_TENSOR_H

#include <stdatomic.h>
#include "klayers/tensor.h"

typedef struct kl_buffer kl_buffer;
struct kl_node;
struct kl_symbol;

/* Shared memory under one or more tensors. Pooled memory follows its header in one block. */
struct kl_buffer {
    atomic_uint refs;
    atomic_ulong version;
    size_t bytes;
    void *data;
    void (*release)(void *data, void *user); /* wrapped memory and strings; else NULL */
    void *user;
};

/*
 * `refs` packs two counts in one atomic: the user's references (low 32 bits) and those held by
 * scopes, tapes, layers and graphs (high 32 bits). The handle goes when both are zero.
 */
struct kl_tensor {
    _Atomic uint64_t refs;
    kl_buffer *buffer; /* NULL: no value (symbolic, or the stand-in of a shape run) */
    char *data;        /* first element */
    int64_t size;      /* number of elements; -1 if a dimension is unknown */
    int64_t shape[KL_MAX_RANK];
    int64_t strides[KL_MAX_RANK]; /* in elements */
    int rank;
    uint8_t dtype;
    bool contiguous;
    bool watched;             /* a trainable weight's value: every tape follows it */
    uint32_t output;          /* which output of `node` this is */
    uint64_t tape;            /* serial of the recording that `node` is in; 0: none */
    struct kl_node *node;     /* what made it, valid while that recording lives */
    struct kl_symbol *symbol; /* symbolic tensors only */
    kl_tensor *mask;          /* held */
    kl_tensor *rows;          /* held; a gradient whose buffer has only these rows of axis 0 */
};

/* Held references, for scopes, tapes, layers, graphs; any thread. NULL is allowed. */
kl_tensor *kl_hold(const kl_tensor *tensor);
void kl_unhold(kl_tensor *tensor);

/*
 * A stand-in with shape and dtype but no buffer, as a shape run passes through ops. Every op that
 * has one among its inputs gives stand-ins.
 */
kl_tensor *kl_stand_in(kl_dtype dtype, int rank, const int64_t *shape);
static inline bool kl_is_stand_in(const kl_tensor *t)
{
    return !t->buffer && !t->symbol;
}

/*
 * A handle of a value that isn't known yet; dimensions may be -1. It comes held once (for its
 * graph), without a user's reference; the graph sets `symbol`.
 */
kl_tensor *kl_symbolic_tensor(kl_dtype dtype, int rank, const int64_t *shape);

/*
 * While shape mode is on, the makers (kl_empty, kl_zeros, kl_full, ...) give stand-ins on this
 * thread: a shape run allocates no tensors. Returns what it was.
 */
bool kl_shape_mode(bool on);

/* A fresh handle on the same buffer, shape and strides; no mask, no node. */
kl_tensor *kl_alias(const kl_tensor *tensor);
/* A handle on tensor's buffer with other geometry; `offset` in elements from its first. */
kl_tensor *kl_alias_as(const kl_tensor *source, int rank, const int64_t *shape,
                       const int64_t *strides, int64_t offset);

/* Attaches a mask (held); NULL takes it away. The layer base alone does this. */
void kl_tensor_set_mask(kl_tensor *tensor, kl_tensor *mask);

/* Whether no other handle shares the buffer (in-place reuse is safe if the handle is dying). */
bool kl_tensor_is_sole(const kl_tensor *tensor);

/* The number of elements with overflow and sign check; false sets KL_ERROR_SHAPE. */
bool kl_shape_size(int rank, const int64_t *shape, int64_t *out);
void kl_c_strides(int rank, const int64_t *shape, int64_t *strides);
bool kl_shape_equal(const kl_tensor *a, const kl_tensor *b);
/* NumPy's broadcast of two shapes; false if they don't fit (no error set). */
bool kl_broadcast_shapes(int rank_a, const int64_t *a, int rank_b, const int64_t *b, int *rank,
                         int64_t *out);
/* An axis in -rank..rank-1 to 0..rank-1; -1 with an error naming `what` otherwise. */
int kl_axis(const char *what, int axis, int rank);

/*
 * Walks up to four operands over one shape with neighbouring axes merged: the inner axis is what
 * kernels work on. Operands broadcast by stride 0. Use:
 *   kl_iter it; kl_iter_begin(&it, rank, shape, n, strides);
 *   do { work on it.offset[k] (elements), it.inner, it.inner_stride[k] } while (kl_iter_next(&it));
 */
#define KL_ITER_OPERANDS 5
typedef struct kl_iter {
    int rank, operands;
    int64_t shape[KL_MAX_RANK], index[KL_MAX_RANK];
    int64_t strides[KL_ITER_OPERANDS][KL_MAX_RANK];
    int64_t offset[KL_ITER_OPERANDS];
    int64_t inner, inner_stride[KL_ITER_OPERANDS];
    int64_t outer; /* number of inner runs in all */
} kl_iter;
/* strides[k] has `rank` entries. A shape with a zero gives inner = 0 and one empty run. */
void kl_iter_begin(kl_iter *it, int rank, const int64_t *shape, int operands,
                   const int64_t *const *strides);
bool kl_iter_next(kl_iter *it);
/* Moves to inner run number `run` (0..outer-1), for splitting among threads. */
void kl_iter_seek(kl_iter *it, int64_t run);

/* Copies elements between equal shapes with any strides and dtypes (strings to strings). */
kl_status kl_copy_elements(kl_tensor *target, const kl_tensor *source);

/*
 * Building string tensors: the buffer owns one arena of bytes. Append in C order, then finish.
 */
typedef struct kl_string_builder {
    kl_string *items;
    int64_t count, capacity;
    struct kl_arena_chunk *arena;
    bool failed;
} kl_string_builder;
void kl_string_builder_add(kl_string_builder *b, const char *text, size_t length);
/* Frees the builder in any case; NULL if an add failed or the count isn't the shape's. */
kl_tensor *kl_string_builder_finish(kl_string_builder *b, int rank, const int64_t *shape);
void kl_string_builder_free(kl_string_builder *b);

/*
 * Memory that lives until the innermost open scope ends (arrays of handles in a layer's call).
 * NULL with an error without a scope or memory.
 */
void *kl_scope_alloc(size_t size);
bool kl_scope_is_open(void);
/* Hands an existing tensor out as a maker does: to the open scope, else with a reference of the
   caller's. */
kl_tensor *kl_scope_share(kl_tensor *tensor);
/* Takes the tensor from its scope: the caller now has the reference (and must release it). */
kl_tensor *kl_scope_detach(kl_tensor *tensor);

#endif
