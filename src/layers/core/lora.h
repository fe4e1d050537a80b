/*
 * Low-rank adaptation (Hu et al., https://arxiv.org/abs/2106.09685): a frozen weight's trainable
 * correction a * b * alpha / rank, shared by Dense, EinsumDense and Embedding.
 */
#ifndef KL_LAYERS_CORE_LORA_H
#define KL_LAYERS_CORE_LORA_H

#include "layers/layer.h"

/* rank and alpha of an argument struct; hidden, as Keras writes them only where they are set. */
#define KL_LORA_FIELDS(type)                                                                       \
    {"lora_rank",                                                                                  \
     KL_FIELD_INT,                                                                                 \
     offsetof(type, lora_rank),                                                                    \
     .doc = "rank of the trainable correction of the then frozen weight",                          \
     .min = 1,                                                                                     \
     .max = 2147483647,                                                                            \
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},                                                \
    {                                                                                              \
        "lora_alpha", KL_FIELD_INT, offsetof(type, lora_alpha),                                    \
            .doc = "with lora_rank", .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN                  \
    }

typedef struct kl_lora {
    int64_t rank, alpha; /* alpha KL_NONE: the rank */
    kl_named regularizer;
} kl_lora;

/* Adds lora_<name>_a [weight's axes but the last, rank] and lora_<name>_b [rank, last axis], and
   freezes the weight. A weight with a constraint is refused, as in Keras. */
kl_status kl_lora_build(kl_layer *self, const char *name, kl_weight *weight, const kl_lora *lora,
                        kl_weight **a, kl_weight **b);
/* alpha / rank. */
double kl_lora_factor(int64_t rank, int64_t alpha);
/* Either half as a call multiplies it: Keras casts it to the halves of mixed policies, but keeps
   its float32 in float64 layers. */
kl_tensor *kl_lora_read(const kl_layer *self, kl_context *ctx, const kl_weight *half);
/* weight + a * b * alpha / rank. */
kl_tensor *kl_lora_apply(kl_tensor *weight, kl_tensor *a, kl_tensor *b, int64_t rank,
                         int64_t alpha);
kl_status kl_lora_get_config(int64_t rank, int64_t alpha, kl_config *config);

#endif
