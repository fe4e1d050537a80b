/*
 * Attention layers: https://keras.io/api/layers/attention_layers/
 *
 * Call arguments besides the inputs, by name in kl_call_with: "attention_mask" (a tensor;
 * multi-head layers), and the flags "return_attention_scores" and "use_causal_mask". Masks that the
 * inputs carry count too. Scores that are not asked for are never stored in full.
 */
#ifndef KLAYERS_LAYERS_ATTENTION_H
#define KLAYERS_LAYERS_ATTENTION_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Dot-product attention (Luong et al., https://arxiv.org/abs/1508.04025) of inputs {query, value}
 * or {query, value, key}: query [batch, Tq, dim], value [batch, Tv, dim_v], key [batch, Tv, dim] to
 * [batch, Tq, dim_v], and the scores [batch, Tq, Tv] if they are asked for. score_mode "concat" is
 * sum(tanh(query + key)) with a weight of its own.
 */
typedef struct kl_attention_args {
    KL_LAYER_ARGS
    bool use_scale; /* a trainable factor of the scores */
    const char *score_mode;
    double dropout;
    int64_t seed;
} kl_attention_args;
KL_API kl_layer *kl_attention_new(const kl_attention_args *args);
KL_API kl_attention_args kl_attention_defaults(void);
#ifndef __cplusplus
#define kl_attention(...)                                                                          \
    KL_CALL_(kl_attention_new, kl_attention_args,                                                  \
             (KL_LAYER_DEFAULTS, .score_mode = "dot", .seed = KL_NONE), __VA_ARGS__)
#endif

/* Additive attention (Bahdanau et al., https://arxiv.org/abs/1409.0473): scores are
   sum(scale * tanh(query + key)). Inputs as of kl_attention. */
typedef struct kl_additive_attention_args {
    KL_LAYER_ARGS
    bool use_scale;
    double dropout;
    int64_t seed;
} kl_additive_attention_args;
KL_API kl_layer *kl_additive_attention_new(const kl_additive_attention_args *args);
KL_API kl_additive_attention_args kl_additive_attention_defaults(void);
#ifndef __cplusplus
#define kl_additive_attention(...)                                                                 \
    KL_CALL_(kl_additive_attention_new, kl_additive_attention_args,                                \
             (KL_LAYER_DEFAULTS, .use_scale = true, .seed = KL_NONE), __VA_ARGS__)
#endif

/*
 * Multi-head attention (Vaswani et al., https://arxiv.org/abs/1706.03762) of inputs {query, value}
 * or {query, value, key}: [batch, T..., dim] and [batch, S..., dim_v] to [batch, T..., output_shape
 * or dim]. attention_mask is [batch, T..., S...], with or without a heads' axis after the batch;
 * what is true may be attended to. With scores: also [batch, heads, T..., S...].
 */
typedef struct kl_multi_head_attention_args {
    KL_LAYER_ARGS
    int64_t num_heads, key_dim;
    int64_t value_dim; /* KL_NONE: key_dim */
    double dropout;    /* of the scores, while training */
    bool use_bias;
    int64_t output_shape[KL_MAX_RANK + 1]; /* unset: the query's last axis */
    kl_ints attention_axes;                /* unset: all but the batch and the last */
    int64_t sliding_window; /* KL_NONE, or only keys nearer than this are attended to */
    bool flash_attention;   /* refuses what would store the scores in full */
    kl_named kernel_initializer, bias_initializer;
    kl_named kernel_regularizer, bias_regularizer;
    kl_named kernel_constraint, bias_constraint;
    bool use_gate; /* the result times a sigmoid of the query: https://arxiv.org/abs/2505.06708 */
    int64_t seed;
} kl_multi_head_attention_args;
KL_API kl_layer *kl_multi_head_attention_new(const kl_multi_head_attention_args *args);
KL_API kl_multi_head_attention_args kl_multi_head_attention_defaults(void);
#ifndef __cplusplus
#define kl_multi_head_attention(...)                                                               \
    KL_CALL_(kl_multi_head_attention_new, kl_multi_head_attention_args,                            \
             (KL_LAYER_DEFAULTS, .value_dim = KL_NONE, .use_bias = true,                           \
              .sliding_window = KL_NONE, .kernel_initializer = "glorot_uniform",                   \
              .bias_initializer = "zeros", .seed = KL_NONE),                                       \
             __VA_ARGS__)
#endif

/*
 * Grouped-query attention (Ainslie et al., https://arxiv.org/abs/2305.13245): several query heads
 * share each head of keys and values. Inputs as of kl_multi_head_attention, of 3 axes.
 */
typedef struct kl_group_query_attention_args {
    KL_LAYER_ARGS
    int64_t head_dim, num_query_heads, num_key_value_heads;
    double dropout;
    bool use_bias;
    int64_t sliding_window;
    bool flash_attention;
    kl_named kernel_initializer, bias_initializer;
    kl_named kernel_regularizer, bias_regularizer;
    kl_named kernel_constraint, bias_constraint;
    bool use_gate;
    int64_t seed;
} kl_group_query_attention_args;
KL_API kl_layer *kl_group_query_attention_new(const kl_group_query_attention_args *args);
KL_API kl_group_query_attention_args kl_group_query_attention_defaults(void);
#ifndef __cplusplus
#define kl_group_query_attention(...)                                                              \
    KL_CALL_(kl_group_query_attention_new, kl_group_query_attention_args,                          \
             (KL_LAYER_DEFAULTS, .use_bias = true, .sliding_window = KL_NONE,                      \
              .kernel_initializer = "glorot_uniform", .bias_initializer = "zeros",                 \
              .seed = KL_NONE),                                                                    \
             __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
