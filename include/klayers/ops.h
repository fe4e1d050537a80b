/*
 * Differentiable operations on tensors, the tape that records them, and custom operations.
 *
 * Every op returns a new tensor, or NULL with the error set; given NULL it returns NULL and keeps
 * the first error, so expressions chain. Inputs are lent. Binary ops broadcast as NumPy does and
 * promote dtypes (bool < uint8 < int32 < int64 < float16, bfloat16 < float32 < float64). float16
 * and bfloat16 are computed in float32. On a symbolic tensor an op records itself in the graph.
 */
#ifndef KLAYERS_OPS_H
#define KLAYERS_OPS_H

#include "klayers/base.h"
#include "klayers/object.h"
#include "klayers/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Element by element -------------------------------------------------------------------- */

KL_API kl_tensor *kl_op_add(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_sub(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_mul(kl_tensor *a, kl_tensor *b);
/* True division: integers give float32. */
KL_API kl_tensor *kl_op_div(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_floor_div(kl_tensor *a, kl_tensor *b);
/* The remainder has the divisor's sign, as in Python. */
KL_API kl_tensor *kl_op_mod(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_pow(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_maximum(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_minimum(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_squared_difference(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_atan2(kl_tensor *a, kl_tensor *b);

/* The same with a number, in a's dtype (a float dtype where the result isn't whole). */
KL_API kl_tensor *kl_op_add_scalar(kl_tensor *a, double b);
KL_API kl_tensor *kl_op_mul_scalar(kl_tensor *a, double b);
KL_API kl_tensor *kl_op_pow_scalar(kl_tensor *a, double b);
/* b - a and b / a. */
KL_API kl_tensor *kl_op_rsub_scalar(kl_tensor *a, double b);
KL_API kl_tensor *kl_op_rdiv_scalar(kl_tensor *a, double b);
KL_API kl_tensor *kl_op_maximum_scalar(kl_tensor *a, double b);
KL_API kl_tensor *kl_op_minimum_scalar(kl_tensor *a, double b);

/* Comparisons and logic give bool. */
KL_API kl_tensor *kl_op_equal(kl_tensor *a, kl_tensor *b); /* strings too */
KL_API kl_tensor *kl_op_not_equal(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_less(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_less_equal(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_greater(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_greater_equal(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_logical_and(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_logical_or(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_logical_xor(kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_logical_not(kl_tensor *a);
KL_API kl_tensor *kl_op_is_nan(kl_tensor *a);
KL_API kl_tensor *kl_op_is_inf(kl_tensor *a);
KL_API kl_tensor *kl_op_is_finite(kl_tensor *a);

KL_API kl_tensor *kl_op_neg(kl_tensor *a);
KL_API kl_tensor *kl_op_abs(kl_tensor *a);
KL_API kl_tensor *kl_op_sign(kl_tensor *a);
KL_API kl_tensor *kl_op_square(kl_tensor *a);
KL_API kl_tensor *kl_op_sqrt(kl_tensor *a);
KL_API kl_tensor *kl_op_rsqrt(kl_tensor *a);
KL_API kl_tensor *kl_op_reciprocal(kl_tensor *a);
KL_API kl_tensor *kl_op_exp(kl_tensor *a);
KL_API kl_tensor *kl_op_expm1(kl_tensor *a);
KL_API kl_tensor *kl_op_log(kl_tensor *a);
KL_API kl_tensor *kl_op_log1p(kl_tensor *a);
KL_API kl_tensor *kl_op_log2(kl_tensor *a);
KL_API kl_tensor *kl_op_log10(kl_tensor *a);
KL_API kl_tensor *kl_op_sin(kl_tensor *a);
KL_API kl_tensor *kl_op_cos(kl_tensor *a);
KL_API kl_tensor *kl_op_tan(kl_tensor *a);
KL_API kl_tensor *kl_op_asin(kl_tensor *a);
KL_API kl_tensor *kl_op_acos(kl_tensor *a);
KL_API kl_tensor *kl_op_atan(kl_tensor *a);
KL_API kl_tensor *kl_op_sinh(kl_tensor *a);
KL_API kl_tensor *kl_op_cosh(kl_tensor *a);
KL_API kl_tensor *kl_op_tanh(kl_tensor *a);
KL_API kl_tensor *kl_op_asinh(kl_tensor *a);
KL_API kl_tensor *kl_op_acosh(kl_tensor *a);
KL_API kl_tensor *kl_op_atanh(kl_tensor *a);
KL_API kl_tensor *kl_op_erf(kl_tensor *a);
KL_API kl_tensor *kl_op_floor(kl_tensor *a);
KL_API kl_tensor *kl_op_ceil(kl_tensor *a);
KL_API kl_tensor *kl_op_round(kl_tensor *a); /* half to even */
KL_API kl_tensor *kl_op_clip(kl_tensor *a, double low, double high);

/* Activation functions; formulas as on https://keras.io/api/layers/activations/ */
KL_API kl_tensor *kl_op_sigmoid(kl_tensor *a);
KL_API kl_tensor *kl_op_relu(kl_tensor *a);
/* Keras's general relu; max_value may be KL_NONEF. */
KL_API kl_tensor *kl_op_relu_general(kl_tensor *a, double negative_slope, double max_value,
                                     double threshold);
KL_API kl_tensor *kl_op_relu6(kl_tensor *a);
KL_API kl_tensor *kl_op_leaky_relu(kl_tensor *a, double negative_slope);
KL_API kl_tensor *kl_op_elu(kl_tensor *a, double alpha);
KL_API kl_tensor *kl_op_selu(kl_tensor *a);
KL_API kl_tensor *kl_op_celu(kl_tensor *a, double alpha);
KL_API kl_tensor *kl_op_gelu(kl_tensor *a, bool approximate);
KL_API kl_tensor *kl_op_softplus(kl_tensor *a);
KL_API kl_tensor *kl_op_softsign(kl_tensor *a);
KL_API kl_tensor *kl_op_silu(kl_tensor *a);
KL_API kl_tensor *kl_op_mish(kl_tensor *a);
KL_API kl_tensor *kl_op_hard_sigmoid(kl_tensor *a); /* Keras 3: relu6(x + 3) / 6 */
KL_API kl_tensor *kl_op_hard_silu(kl_tensor *a);
KL_API kl_tensor *kl_op_hard_tanh(kl_tensor *a);
KL_API kl_tensor *kl_op_hard_shrink(kl_tensor *a, double threshold);
KL_API kl_tensor *kl_op_soft_shrink(kl_tensor *a, double threshold);
KL_API kl_tensor *kl_op_tanh_shrink(kl_tensor *a);
KL_API kl_tensor *kl_op_threshold(kl_tensor *a, double threshold, double default_value);
KL_API kl_tensor *kl_op_squareplus(kl_tensor *a, double b);
KL_API kl_tensor *kl_op_sparse_plus(kl_tensor *a);
KL_API kl_tensor *kl_op_sparse_sigmoid(kl_tensor *a);
KL_API kl_tensor *kl_op_log_sigmoid(kl_tensor *a);
KL_API kl_tensor *kl_op_glu(kl_tensor *a, int axis);
KL_API kl_tensor *kl_op_softmax(kl_tensor *a, int axis);
KL_API kl_tensor *kl_op_log_softmax(kl_tensor *a, int axis);
KL_API kl_tensor *kl_op_sparsemax(kl_tensor *a, int axis);

/* where(condition, a, b), broadcasting all three. */
KL_API kl_tensor *kl_op_where(kl_tensor *condition, kl_tensor *a, kl_tensor *b);
KL_API kl_tensor *kl_op_cast(kl_tensor *a, kl_dtype dtype);
/* The value, cut off from the gradient. */
KL_API kl_tensor *kl_op_stop_gradient(kl_tensor *a);

/* ---- Reductions ---------------------------------------------------------------------------- */

/* Over `count` axes (negative ones count from the end); count 0 with NULL means all axes. */
KL_API kl_tensor *kl_op_sum(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_mean(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_prod(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_max(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_min(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_var(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_std(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_any(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_all(kl_tensor *a, int count, const int *axes, bool keepdims);
KL_API kl_tensor *kl_op_logsumexp(kl_tensor *a, int count, const int *axes, bool keepdims);
/* Euclidean norm over the axes. */
KL_API kl_tensor *kl_op_norm(kl_tensor *a, int count, const int *axes, bool keepdims);
/* a / max(norm, epsilon) along axes: keras.utils.normalize for order 2. */
KL_API kl_tensor *kl_op_l2_normalize(kl_tensor *a, int count, const int *axes, double epsilon);
KL_API kl_tensor *kl_op_argmax(kl_tensor *a, int axis); /* int64 */
KL_API kl_tensor *kl_op_argmin(kl_tensor *a, int axis);
KL_API kl_tensor *kl_op_cumsum(kl_tensor *a, int axis);
KL_API kl_tensor *kl_op_cumprod(kl_tensor *a, int axis);
#ifndef __cplusplus
/* Axes as two arguments: kl_op_sum(x, KL_AXES(0, 1), false); all of them: KL_ALL_AXES. */
#define KL_AXES(...)                                                                               \
    (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)), (const int[])                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#endif
#define KL_ALL_AXES 0, NULL

/* ---- Products ------------------------------------------------------------------------------ */

/* NumPy's matmul: batch axes broadcast; vectors are promoted. */
KL_API kl_tensor *kl_op_matmul(kl_tensor *a, kl_tensor *b);
/* The same with either operand's last two axes swapped. */
KL_API kl_tensor *kl_op_matmul_t(kl_tensor *a, bool transpose_a, kl_tensor *b, bool transpose_b);
KL_API kl_tensor *kl_op_tensordot(kl_tensor *a, kl_tensor *b, int count, const int *axes_a,
                                  const int *axes_b);
/* NumPy's einsum with one or two operands, ellipsis included: "abc,cd->abd". b may be NULL. */
KL_API kl_tensor *kl_op_einsum(const char *equation, kl_tensor *a, kl_tensor *b);
/*
 * activation(x * kernel + bias) over x's last axis: the fused form of Dense. kernel [in, out],
 * bias [out] or NULL, activation an object or NULL.
 */
KL_API kl_tensor *kl_op_dense(kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                              const kl_activation *activation);

/* ---- Attention ----------------------------------------------------------------------------- */

/* What a query gets for which no key is allowed. */
typedef enum kl_empty_row {
    KL_EMPTY_ROW_UNIFORM, /* the mean of all values */
    KL_EMPTY_ROW_ZERO,
    KL_EMPTY_ROW_UNMASKED, /* as if every key were allowed */
    /* The mean of all values, but gradients as of unmasked scores: what Keras gives where masked
       float32 scores lose 1e9, and their order in the rounding. */
    KL_EMPTY_ROW_ROUNDED
} kl_empty_row;

typedef struct kl_attention_options {
    double scale;   /* of the scores: 1 / sqrt(size) as a rule */
    bool causal;    /* no key after the query's place */
    int64_t window; /* 0, or only keys nearer than this */
    kl_empty_row empty;
} kl_attention_options;
/*
 * softmax(scale * query key^T, masked) value: query [batch, T, heads, size], key [batch, S,
 * kv_heads, size], value [batch, S, kv_heads, value_size] to [batch, T, heads, value_size].
 * kv_heads divides heads; neighbouring heads share one. mask, which may be NULL, is bool and
 * broadcasts to [batch, heads, T, S]; true is allowed.
 */
KL_API kl_tensor *kl_op_attention(kl_tensor *query, kl_tensor *key, kl_tensor *value,
                                  kl_tensor *mask, const kl_attention_options *options);

/* ---- Convolution and pooling --------------------------------------------------------------- */

/*
 * Per-axis arguments have one entry a spatial axis (1 to 3 of them, from the rank of x). padding
 * is "valid", "same" or "causal" (one axis). channels_first: x is [batch, channels, ...].
 * kernel [spatial..., in / groups, out]; bias [out] or NULL; activation may be NULL.
 */
typedef struct kl_conv_options {
    int64_t strides[3], dilation[3]; /* 0 counts as 1 */
    const char *padding;             /* NULL: "valid" */
    int64_t groups;                  /* 0 counts as 1 */
    bool channels_first;
    const kl_activation *activation;
    int64_t output_padding[3]; /* transposed only; used if has_output_padding */
    bool has_output_padding;
} kl_conv_options;
KL_API kl_tensor *kl_op_conv(kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                             const kl_conv_options *options);
/* kernel [spatial..., out, in], as Keras's Conv*DTranspose has it. */
KL_API kl_tensor *kl_op_conv_transpose(kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                                       const kl_conv_options *options);
/* kernel [spatial..., in, multiplier]; groups is not used. */
KL_API kl_tensor *kl_op_depthwise_conv(kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                                       const kl_conv_options *options);

/*
 * A convolution with a kernel of its own at every place, channels last: kernel [places of the
 * output, window * in, out], x with 3 or 4 axes. padding "same" puts half of the window, rounded
 * down, before each axis.
 */
typedef struct kl_local_conv_options {
    int64_t kernel_size[2], strides[2]; /* strides 0 counts as 1 */
    const char *padding;                /* NULL: "valid"; or "same" */
} kl_local_conv_options;
KL_API kl_tensor *kl_op_local_conv(kl_tensor *x, kl_tensor *kernel,
                                   const kl_local_conv_options *options);

typedef struct kl_pool_options {
    int64_t pool_size[3], strides[3]; /* strides 0: pool_size */
    const char *padding;              /* "valid" or "same" */
    bool channels_first;
    /* Not 0: adaptive. Window i of n covers the places from floor(i * in / n) up to
       ceil((i + 1) * in / n); the sizes above are not used. */
    int64_t output_size[3];
} kl_pool_options;
KL_API kl_tensor *kl_op_max_pool(kl_tensor *x, const kl_pool_options *options);
/* Padded places don't count. */
KL_API kl_tensor *kl_op_average_pool(kl_tensor *x, const kl_pool_options *options);

/* ---- Normalization ------------------------------------------------------------------------- */

/*
 * (x - mean) * rsqrt(variance + epsilon) * gamma + beta along `axis`, with statistics given [n];
 * gamma and beta may be NULL.
 */
KL_API kl_tensor *kl_op_normalize_with(kl_tensor *x, kl_tensor *mean, kl_tensor *variance,
                                       kl_tensor *gamma, kl_tensor *beta, int axis, double epsilon);
/*
 * Batch normalization by the batch's own statistics over all axes but `axis`; *mean and *variance
 * (either pointer may be NULL) get the statistics. mask, which may be NULL, has x's leading axes:
 * only its true places count.
 */
KL_API kl_tensor *kl_op_batch_norm(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int axis,
                                   double epsilon, kl_tensor *mask, kl_tensor **mean,
                                   kl_tensor **variance);
/* Layer normalization over the last `axes` axes; gamma and beta have those axes' shape or NULL. */
KL_API kl_tensor *kl_op_layer_norm(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int axes,
                                   double epsilon);

/*
 * Group normalization: each sample by the mean and variance of each of `groups` equal groups of the
 * channels that `axis` holds (not the first axis), over all places; gamma and beta [channels] may
 * be NULL. mask, which may be NULL, broadcasts to x: only its true places count.
 */
KL_API kl_tensor *kl_op_group_norm(kl_tensor *x, kl_tensor *gamma, kl_tensor *beta, int groups,
                                   int axis, double epsilon, kl_tensor *mask);

/* ---- Shape and data movement --------------------------------------------------------------- */

/* One size may be -1. */
KL_API kl_tensor *kl_op_reshape(kl_tensor *a, int rank, const int64_t *shape);
/* NULL reverses the axes. */
KL_API kl_tensor *kl_op_transpose(kl_tensor *a, const int *axes);
KL_API kl_tensor *kl_op_move_axis(kl_tensor *a, int from, int to);
KL_API kl_tensor *kl_op_broadcast_to(kl_tensor *a, int rank, const int64_t *shape);
KL_API kl_tensor *kl_op_expand_dims(kl_tensor *a, int axis);
/* axis must have size 1. */
KL_API kl_tensor *kl_op_squeeze(kl_tensor *a, int axis);
/* Python's slice along one axis; KL_NONE is the open end. */
KL_API kl_tensor *kl_op_slice(kl_tensor *a, int axis, int64_t start, int64_t stop, int64_t step);
KL_API kl_tensor *kl_op_flip(kl_tensor *a, int axis);
KL_API kl_tensor *kl_op_concatenate(int count, kl_tensor *const *tensors, int axis);
/* Along a new axis. */
KL_API kl_tensor *kl_op_stack(int count, kl_tensor *const *tensors, int axis);
/* `count` equal parts into out[0..count-1]. */
KL_API kl_status kl_op_split(kl_tensor *a, int count, int axis, kl_tensor **out);
KL_API kl_tensor *kl_op_tile(kl_tensor *a, const int64_t *repeats); /* one entry an axis */
KL_API kl_tensor *kl_op_repeat(kl_tensor *a, int64_t repeats, int axis);
/* pads[2 * axis] before and pads[2 * axis + 1] after; mode "constant", "reflect", "symmetric". */
KL_API kl_tensor *kl_op_pad(kl_tensor *a, const int64_t *pads, const char *mode, double value);
/* The same sizes taken away: pad's inverse. */
KL_API kl_tensor *kl_op_crop(kl_tensor *a, const int64_t *pads);
/* Every element factors[axis] times in its place along each axis. */
KL_API kl_tensor *kl_op_repeat_each(kl_tensor *a, const int64_t *factors);
/* Circular shift. */
KL_API kl_tensor *kl_op_roll(kl_tensor *a, int64_t shift, int axis);
/* Rows of `a` along `axis` at integer indices; the result has indices' axes in axis's place.
   Out-of-range indices are errors. The gradient touches only the rows used. */
KL_API kl_tensor *kl_op_take(kl_tensor *a, kl_tensor *indices, int axis);
/* out[i..., j] = a[i..., indices[i..., j]] along axis (take_along_axis). */
KL_API kl_tensor *kl_op_take_along_axis(kl_tensor *a, kl_tensor *indices, int axis);
/* Zeros [rows, ...] to which updates[i] is added at row indices[i]. */
KL_API kl_tensor *kl_op_scatter_add(kl_tensor *indices, kl_tensor *updates, int64_t rows);
/* Float 1 at the index along a new last axis; indices out of 0..classes-1 give zeros. */
KL_API kl_tensor *kl_op_one_hot(kl_tensor *indices, int64_t classes, int axis, kl_dtype dtype);
/* Sorted along axis, stable; argsort gives int64. */
KL_API kl_tensor *kl_op_sort(kl_tensor *a, int axis, bool descending);
KL_API kl_tensor *kl_op_argsort(kl_tensor *a, int axis, bool descending);
/* The k largest of the last axis in descending order; *indices (int64) may be NULL. */
KL_API kl_tensor *kl_op_top_k(kl_tensor *a, int64_t k, kl_tensor **indices);
/* Ones at and below (above) diagonal k of the last two axes, elsewhere zero. */
KL_API kl_tensor *kl_op_tril(kl_tensor *a, int64_t k);
KL_API kl_tensor *kl_op_triu(kl_tensor *a, int64_t k);
/* Number of elements equal to each of 0..length-1, weighted if weights isn't NULL. */
KL_API kl_tensor *kl_op_bincount(kl_tensor *a, kl_tensor *weights, int64_t length);

/* ---- Losses -------------------------------------------------------------------------------- */

/* Fused softmax crossentropy over the last axis: one value a row. from_logits false takes
   probabilities, clipped to [1e-7, 1 - 1e-7] as Keras does. Labels are integers [...], checked to
   be in range. */
KL_API kl_tensor *kl_op_sparse_categorical_crossentropy(kl_tensor *labels, kl_tensor *prediction,
                                                        bool from_logits);
KL_API kl_tensor *kl_op_categorical_crossentropy(kl_tensor *target, kl_tensor *prediction,
                                                 bool from_logits);
/* Element by element. */
KL_API kl_tensor *kl_op_binary_crossentropy(kl_tensor *target, kl_tensor *prediction,
                                            bool from_logits);

/* ---- Random -------------------------------------------------------------------------------- */

/* Draws from the current call's random stream (inside a layer), else from the default one. */
KL_API kl_tensor *kl_op_random_uniform(kl_dtype dtype, int rank, const int64_t *shape, double low,
                                       double high);
KL_API kl_tensor *kl_op_random_normal(kl_dtype dtype, int rank, const int64_t *shape, double mean,
                                      double stddev);
KL_API kl_tensor *kl_op_random_truncated_normal(kl_dtype dtype, int rank, const int64_t *shape,
                                                double mean, double stddev);
/* Zero with probability rate, else divided by 1 - rate; noise_shape (rank of a, 0 entries: a's
   size) may be NULL. */
KL_API kl_tensor *kl_op_dropout(kl_tensor *a, double rate, const int64_t *noise_shape);

/* ---- Strings ------------------------------------------------------------------------------- */

/* The 64-bit hash of each string by FarmHash Fingerprint64 or SipHash (two keys), modulo bins. */
KL_API kl_tensor *kl_op_string_hash(kl_tensor *a, int64_t bins, const uint64_t *salt);
/* int64 ids: position of each string in `vocabulary` (1-D strings) plus offset; missing ones give
   `missing`. */
KL_API kl_tensor *kl_op_string_lookup(kl_tensor *a, kl_tensor *vocabulary, int64_t offset,
                                      int64_t missing);

/* ---- Gradients ----------------------------------------------------------------------------- */

/*
 * A tape records the ops of this thread from kl_tape_begin on, as far as they depend on trainable
 * weights or on watched tensors. Tapes nest. Gradients are with respect to float tensors.
 */
typedef struct kl_tape kl_tape;
KL_API kl_tape *kl_tape_begin(void);
/* Follows `tensor`, which isn't a weight, from here on. */
KL_API kl_status kl_tape_watch(kl_tape *tape, kl_tensor *tensor);
/* Suspends recording on this thread and resumes it; calls nest. */
KL_API void kl_tape_pause(void);
KL_API void kl_tape_resume(void);

typedef struct kl_gradient_args {
    size_t size;
    unsigned mark;
    bool persistent;   /* the tape stays usable; else this call ends it */
    bool higher_order; /* the backward is recorded too, so that gradients of gradients work */
    bool keep_rows;    /* gradients of kl_op_take may come as rows only (used by optimizers) */
    kl_tensor *output_gradient; /* weighs target's elements; NULL: ones */
    char pos_;
    kl_tape *tape;
    kl_tensor *target;
    size_t count;
    kl_tensor *const *sources;
    kl_tensor **gradients;
} kl_gradient_args;
/*
 * gradients[i] becomes d sum(target * output_gradient) / d sources[i], NULL where target doesn't
 * depend on it. kl_tape_gradient(tape, target, count, sources, gradients, .persistent = true)
 */
KL_API kl_status kl_tape_gradient_with(const kl_gradient_args *args);
#ifndef __cplusplus
#define kl_tape_gradient(...)                                                                      \
    KL_CALL_(kl_tape_gradient_with, kl_gradient_args, (.pos_ = 0), __VA_ARGS__)
#endif
/* Ends a tape that gave no gradient, or a persistent one. NULL is allowed. */
KL_API void kl_tape_end(kl_tape *tape);

/* ---- Operations of one's own --------------------------------------------------------------- */

typedef struct kl_op_frame kl_op_frame;

/*
 * What an op is. Built-in ops are made the same way. All functions must be pure in their inputs.
 */
typedef struct kl_op {
    size_t size;      /* MUST: sizeof(kl_op) */
    const char *name; /* MUST: "squared_difference", in messages */
    const char
        *class_name;   /* MAY: Keras's operation class, for saved graphs; NULL: can't be saved */
    size_t attrs_size; /* bytes of attributes, copied by the tape; no pointers to short-lived
                          memory inside */
    const kl_field *fields; /* MAY: describes attrs for saved graphs */
    /* MUST: sets frame->out from frame->in. If an input is a stand-in (kl_tensor_data NULL) it
       makes the outputs by kl_op_output() and returns before computing. */
    kl_status (*forward)(kl_op_frame *frame);
    /* MAY: sets frame->din[i] for every i with frame->needs[i] from in, out, dout; NULL: no
       gradient. Written through ops unless `compose` is given. */
    kl_status (*backward)(kl_op_frame *frame);
    /* MAY: the same outputs through primitive ops; used for gradients of higher order when backward
       is not written through ops. */
    kl_status (*compose)(kl_op_frame *frame);
    uint64_t keeps_in;  /* bit i: backward reads in[i]'s value (bit 63: all from 63 on) */
    uint64_t keeps_out; /* bit i: backward reads out[i]'s value */
    unsigned flags;
} kl_op;

enum {
    KL_OP_ANY_DTYPE = 1,  /* forward handles float16 and bfloat16 itself (data movement) */
    KL_OP_LIST_INPUTS = 2 /* Keras's operation takes its inputs as one list (Concatenate) */
};

/* An input whose value isn't kept is a stand-in during backward: its shape and dtype can be read.
 */
struct kl_op_frame {
    const kl_op *op;
    const void *attrs;
    int inputs, outputs;
    kl_tensor **in; /* entries may be NULL where the op has optional inputs */
    kl_tensor **out;
    kl_tensor **dout;    /* backward: NULL where no gradient came */
    kl_tensor **din;     /* backward: to be set */
    const bool *needs;   /* backward: whose gradient is wanted */
    bool recording;      /* forward: backward may follow, so save for it */
    kl_tensor *saved[4]; /* forward may leave tensors here; backward finds them */
};

/* A new tensor for an output; a stand-in if any input of the frame is one. */
KL_API kl_tensor *kl_op_output(const kl_op_frame *frame, kl_dtype dtype, int rank,
                               const int64_t *shape);
/* Whether any input is a stand-in. */
KL_API bool kl_op_shape_only(const kl_op_frame *frame);

/*
 * Runs an op: checks for NULL (unless `optional` has bit i), records symbolic nodes, computes,
 * records on the tape. out[0..outputs-1] are set, to NULL on error.
 */
KL_API kl_status kl_op_run(const kl_op *op, const void *attrs, int inputs, kl_tensor *const *in,
                           uint64_t optional, int outputs, kl_tensor **out);
/* The usual case of one output. */
KL_API kl_tensor *kl_custom_op(const kl_op *op, const void *attrs, int inputs,
                               kl_tensor *const *in);
/* Lets saved graphs with this op be loaded again. */
KL_API kl_status kl_register_op(const kl_op *op);

#ifdef __cplusplus
}
#endif
#endif
