/* Normalization layers: https://keras.io/api/layers/normalization_layers/ */
#ifndef KLAYERS_LAYERS_NORMALIZATION_H
#define KLAYERS_LAYERS_NORMALIZATION_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Batch normalization (Ioffe and Szegedy, https://arxiv.org/abs/1502.03167): by the batch's own
 * statistics while training, by moving averages otherwise, or while `trainable` is false. With
 * renorm, batch renormalization (Ioffe, https://arxiv.org/abs/1702.03275). synchronized is
 * accepted: there is one replica.
 */
typedef struct kl_batch_normalization_args {
    KL_LAYER_ARGS
    int64_t axis;
    double momentum, epsilon;
    bool center, scale;
    kl_named beta_initializer, gamma_initializer;
    kl_named moving_mean_initializer, moving_variance_initializer;
    kl_named beta_regularizer, gamma_regularizer;
    kl_named beta_constraint, gamma_constraint;
    bool synchronized;
    bool renorm;
    const char *renorm_clipping; /* JSON: {"rmin": , "rmax": , "dmax": } */
    double renorm_momentum;
    bool fused; /* 2.15: the numbers are the same */
} kl_batch_normalization_args;
KL_API kl_layer *kl_batch_normalization_new(const kl_batch_normalization_args *args);
KL_API kl_batch_normalization_args kl_batch_normalization_defaults(void);
#ifndef __cplusplus
#define kl_batch_normalization(...)                                                                \
    KL_CALL_(kl_batch_normalization_new, kl_batch_normalization_args,                              \
             (KL_LAYER_DEFAULTS, .axis = -1, .momentum = 0.99, .epsilon = 1e-3, .center = true,    \
              .scale = true, .beta_initializer = "zeros", .gamma_initializer = "ones",             \
              .moving_mean_initializer = "zeros", .moving_variance_initializer = "ones",           \
              .renorm_momentum = 0.99),                                                            \
             __VA_ARGS__)
#endif

/*
 * Layer normalization (Ba et al., https://arxiv.org/abs/1607.06450): each sample by its own mean
 * and variance over `axis`, which has one axis or several; unset is the last.
 */
typedef struct kl_layer_normalization_args {
    KL_LAYER_ARGS
    kl_ints axis;
    double epsilon;
    bool center, scale;
    bool rms_scaling; /* divides by the deviation without centering; no beta then */
    kl_named beta_initializer, gamma_initializer;
    kl_named beta_regularizer, gamma_regularizer;
    kl_named beta_constraint, gamma_constraint;
} kl_layer_normalization_args;
KL_API kl_layer *kl_layer_normalization_new(const kl_layer_normalization_args *args);
KL_API kl_layer_normalization_args kl_layer_normalization_defaults(void);
#ifndef __cplusplus
#define kl_layer_normalization(...)                                                                \
    KL_CALL_(kl_layer_normalization_new, kl_layer_normalization_args,                              \
             (KL_LAYER_DEFAULTS, .epsilon = 1e-3, .center = true, .scale = true,                   \
              .beta_initializer = "zeros", .gamma_initializer = "ones"),                           \
             __VA_ARGS__)
#endif

/* Division by the root of the mean square over the last axis, or the axes that `axis` names from
   the last on, times a trained scale (Zhang and Sennrich, https://arxiv.org/abs/1910.07467). */
typedef struct kl_rms_normalization_args {
    KL_LAYER_ARGS
    kl_ints axis;
    double epsilon;
} kl_rms_normalization_args;
KL_API kl_layer *kl_rms_normalization_new(const kl_rms_normalization_args *args);
KL_API kl_rms_normalization_args kl_rms_normalization_defaults(void);
#ifndef __cplusplus
#define kl_rms_normalization(...)                                                                  \
    KL_CALL_(kl_rms_normalization_new, kl_rms_normalization_args,                                  \
             (KL_LAYER_DEFAULTS, .epsilon = 1e-6), __VA_ARGS__)
#endif

/*
 * Group normalization (Wu and He, https://arxiv.org/abs/1803.08494): each sample by the mean and
 * variance of each group of its channels, over all places. groups = -1 makes every channel a group
 * of its own (instance normalization); axis = 1 is channels first.
 */
typedef struct kl_group_normalization_args {
    KL_LAYER_ARGS
    int64_t groups, axis;
    double epsilon;
    bool center, scale;
    kl_named beta_initializer, gamma_initializer;
    kl_named beta_regularizer, gamma_regularizer;
    kl_named beta_constraint, gamma_constraint;
} kl_group_normalization_args;
KL_API kl_layer *kl_group_normalization_new(const kl_group_normalization_args *args);
KL_API kl_group_normalization_args kl_group_normalization_defaults(void);
#ifndef __cplusplus
#define kl_group_normalization(...)                                                                \
    KL_CALL_(kl_group_normalization_new, kl_group_normalization_args,                              \
             (KL_LAYER_DEFAULTS, .groups = 32, .axis = -1, .epsilon = 1e-3, .center = true,        \
              .scale = true, .beta_initializer = "zeros", .gamma_initializer = "ones"),            \
             __VA_ARGS__)
#endif

/* Division by the Euclidean norm over `axis`, which has one axis or several; unset is the last. */
typedef struct kl_unit_normalization_args {
    KL_LAYER_ARGS
    kl_ints axis;
} kl_unit_normalization_args;
KL_API kl_layer *kl_unit_normalization_new(const kl_unit_normalization_args *args);
KL_API kl_unit_normalization_args kl_unit_normalization_defaults(void);
#ifndef __cplusplus
#define kl_unit_normalization(...)                                                                 \
    KL_CALL_(kl_unit_normalization_new, kl_unit_normalization_args, (KL_LAYER_DEFAULTS),           \
             __VA_ARGS__)
#endif

/*
 * A layer whose kernel or embeddings are divided by their largest singular value at every call in
 * training (Miyato et al., https://arxiv.org/abs/1802.05957):
 * kl_spectral_normalization(.layer = kl_dense(.units = 8)).
 */
typedef struct kl_spectral_normalization_args {
    KL_LAYER_ARGS
    kl_named layer;
    int64_t power_iterations;
} kl_spectral_normalization_args;
KL_API kl_layer *kl_spectral_normalization_new(const kl_spectral_normalization_args *args);
KL_API kl_spectral_normalization_args kl_spectral_normalization_defaults(void);
#ifndef __cplusplus
#define kl_spectral_normalization(...)                                                             \
    KL_CALL_(kl_spectral_normalization_new, kl_spectral_normalization_args,                        \
             (KL_LAYER_DEFAULTS, .power_iterations = 1), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
