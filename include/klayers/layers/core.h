/* Core layers: https://keras.io/api/layers/core_layers/ */
#ifndef KLAYERS_LAYERS_CORE_H
#define KLAYERS_LAYERS_CORE_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* activation(x * kernel + bias) over the last axis: [..., in] -> [..., units]. */
typedef struct kl_dense_args {
    KL_LAYER_ARGS
    int64_t units;
    kl_named activation;
    bool use_bias;
    kl_named kernel_initializer, bias_initializer;
    kl_named kernel_regularizer, bias_regularizer;
    kl_named kernel_constraint, bias_constraint;
    int64_t lora_rank;
    int64_t lora_alpha;
} kl_dense_args;
KL_API kl_layer *kl_dense_new(const kl_dense_args *args);
KL_API kl_dense_args kl_dense_defaults(void);
#ifndef __cplusplus
#define kl_dense(...)                                                                              \
    KL_CALL_(kl_dense_new, kl_dense_args,                                                          \
             (KL_LAYER_DEFAULTS, .use_bias = true, .kernel_initializer = "glorot_uniform",         \
              .bias_initializer = "zeros", .lora_rank = KL_NONE, .lora_alpha = KL_NONE),           \
             __VA_ARGS__)
#endif

/*
 * Dense with a kernel of -1, 0 and 1, made from the trained one at every call; its gradient goes
 * past the rounding (BitNet b1.58: https://arxiv.org/abs/2402.17764).
 */
typedef struct kl_ternary_dense_args {
    KL_LAYER_ARGS
    int64_t units;
    double threshold; /* KL_NONEF: half of the kernel's mean size */
    kl_named activation;
    bool use_bias;
    kl_named kernel_initializer, bias_initializer;
    kl_named kernel_regularizer, bias_regularizer;
    kl_named kernel_constraint, bias_constraint;
} kl_ternary_dense_args;
KL_API kl_layer *kl_ternary_dense_new(const kl_ternary_dense_args *args);
KL_API kl_ternary_dense_args kl_ternary_dense_defaults(void);
#ifndef __cplusplus
#define kl_ternary_dense(...)                                                                      \
    KL_CALL_(kl_ternary_dense_new, kl_ternary_dense_args,                                          \
             (KL_LAYER_DEFAULTS, .threshold = KL_NONEF, .use_bias = true,                          \
              .kernel_initializer = "glorot_uniform", .bias_initializer = "zeros"),                \
             __VA_ARGS__)
#endif

/*
 * activation(einsum(equation, x, kernel) + bias). The equation names input, kernel and output:
 * "abc,cde->abde", or with "..." before or behind the input's and the output's letters. The
 * kernel's shape follows from the input's and from output_shape, which leaves out the batch and
 * what the ellipsis stands for; -1 there: the input's size. bias_axes: letters of the output, NULL:
 * no bias. https://keras.io/api/layers/core_layers/einsum_dense/
 */
typedef struct kl_einsum_dense_args {
    KL_LAYER_ARGS
    const char *equation;
    int64_t output_shape[KL_MAX_RANK + 1];
    kl_named activation;
    const char *bias_axes;
    kl_named kernel_initializer, bias_initializer;
    kl_named kernel_regularizer, bias_regularizer;
    kl_named kernel_constraint, bias_constraint;
    int64_t lora_rank;
    int64_t lora_alpha;
} kl_einsum_dense_args;
KL_API kl_layer *kl_einsum_dense_new(const kl_einsum_dense_args *args);
KL_API kl_einsum_dense_args kl_einsum_dense_defaults(void);
#ifndef __cplusplus
#define kl_einsum_dense(...)                                                                       \
    KL_CALL_(kl_einsum_dense_new, kl_einsum_dense_args,                                            \
             (KL_LAYER_DEFAULTS, .kernel_initializer = "glorot_uniform",                           \
              .bias_initializer = "zeros", .lora_rank = KL_NONE, .lora_alpha = KL_NONE),           \
             __VA_ARGS__)
#endif

/* An activation as a layer: kl_activation_layer(.activation = "relu"). */
typedef struct kl_activation_layer_args {
    KL_LAYER_ARGS
    kl_named activation;
} kl_activation_layer_args;
KL_API kl_layer *kl_activation_layer_new(const kl_activation_layer_args *args);
KL_API kl_activation_layer_args kl_activation_layer_defaults(void);
#ifndef __cplusplus
#define kl_activation_layer(...)                                                                   \
    KL_CALL_(kl_activation_layer_new, kl_activation_layer_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/*
 * A function of one's own as a layer. `function` works through ops; `user` is handed to it. A model
 * with a Lambda is saved under the function's name and loads where kl_register_lambda has made that
 * name known: a C function has no other form in a file.
 */
typedef kl_tensors kl_lambda_function(kl_tensors inputs, kl_context *ctx, void *user);
typedef struct kl_lambda_args {
    KL_LAYER_ARGS
    kl_lambda_function *function;
    void *user;
    const char *function_name;             /* for saving; NULL: can't be saved */
    int64_t output_shape[KL_MAX_RANK + 1]; /* without the batch; needed only if the function reads
                                              data */
    kl_tensor *(*mask)(kl_tensors inputs, kl_tensor *mask, void *user); /* NULL: the mask ends */
    const char *arguments; /* JSON kept in the config */
} kl_lambda_args;
KL_API kl_layer *kl_lambda_new(const kl_lambda_args *args);
KL_API kl_lambda_args kl_lambda_defaults(void);
#ifndef __cplusplus
#define kl_lambda(...) KL_CALL_(kl_lambda_new, kl_lambda_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif
KL_API kl_status kl_register_lambda(const char *name, kl_lambda_function *function, void *user);

/* Masks the steps of [batch, steps, features] whose features all equal mask_value, and zeroes
   them. */
typedef struct kl_masking_args {
    KL_LAYER_ARGS
    double mask_value;
} kl_masking_args;
KL_API kl_layer *kl_masking_new(const kl_masking_args *args);
KL_API kl_masking_args kl_masking_defaults(void);
#ifndef __cplusplus
#define kl_masking(...) KL_CALL_(kl_masking_new, kl_masking_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* Integers [...] to rows [..., output_dim] of a table [input_dim, output_dim]. */
typedef struct kl_embedding_args {
    KL_LAYER_ARGS
    int64_t input_dim, output_dim;
    kl_named embeddings_initializer, embeddings_regularizer, embeddings_constraint;
    bool mask_zero; /* id 0 is padding: a mask goes with the output */
    int64_t input_length;
    bool sparse;
    int64_t lora_rank;
    int64_t lora_alpha;
} kl_embedding_args;
KL_API kl_layer *kl_embedding_new(const kl_embedding_args *args);
KL_API kl_embedding_args kl_embedding_defaults(void);
#ifndef __cplusplus
#define kl_embedding(...)                                                                          \
    KL_CALL_(kl_embedding_new, kl_embedding_args,                                                  \
             (KL_LAYER_DEFAULTS, .embeddings_initializer = "uniform", .input_length = KL_NONE,     \
              .lora_rank = KL_NONE, .lora_alpha = KL_NONE),                                        \
             __VA_ARGS__)
#endif

/*
 * An Embedding that also projects back: called with the flag "reverse", vectors [..., output_dim]
 * give logits [..., input_dim], by the table's transpose unless tie_weights is false.
 * https://arxiv.org/abs/1608.05859
 */
typedef struct kl_reversible_embedding_args {
    KL_LAYER_ARGS
    int64_t input_dim, output_dim;
    bool tie_weights;
    kl_named embeddings_initializer, embeddings_regularizer, embeddings_constraint;
    bool mask_zero;
    const char *reverse_dtype;
    double logit_soft_cap; /* KL_NONEF: none */
    int64_t lora_rank;
    int64_t lora_alpha;
} kl_reversible_embedding_args;
KL_API kl_layer *kl_reversible_embedding_new(const kl_reversible_embedding_args *args);
KL_API kl_reversible_embedding_args kl_reversible_embedding_defaults(void);
#ifndef __cplusplus
#define kl_reversible_embedding(...)                                                               \
    KL_CALL_(kl_reversible_embedding_new, kl_reversible_embedding_args,                            \
             (KL_LAYER_DEFAULTS, .tie_weights = true, .embeddings_initializer = "uniform",         \
              .logit_soft_cap = KL_NONEF, .lora_rank = KL_NONE, .lora_alpha = KL_NONE),            \
             __VA_ARGS__)
#endif

/* What goes in comes out. */
typedef struct kl_identity_args {
    KL_LAYER_ARGS
} kl_identity_args;
KL_API kl_layer *kl_identity_new(const kl_identity_args *args);
KL_API kl_identity_args kl_identity_defaults(void);
#ifndef __cplusplus
#define kl_identity(...)                                                                           \
    KL_CALL_(kl_identity_new, kl_identity_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
