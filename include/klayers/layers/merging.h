/* Merging layers: https://keras.io/api/layers/merging_layers/ They take a list of tensors. */
#ifndef KLAYERS_LAYERS_MERGING_H
#define KLAYERS_LAYERS_MERGING_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The element-wise merging layers have no arguments of their own. Inputs broadcast; one of lower
 * rank gets axes of size 1 after the batch.
 */
typedef struct kl_merge_args {
    KL_LAYER_ARGS
} kl_merge_args;

/* Add: the sum of the inputs. (kl_add adds a layer to a Sequential model.) */
typedef kl_merge_args kl_add_layer_args;
KL_API kl_layer *kl_add_layer_new(const kl_add_layer_args *args);
KL_API kl_add_layer_args kl_add_layer_defaults(void);
#ifndef __cplusplus
#define kl_add_layer(...)                                                                          \
    KL_CALL_(kl_add_layer_new, kl_merge_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* Subtract: the first of two inputs minus the second */
typedef kl_merge_args kl_subtract_args;
KL_API kl_layer *kl_subtract_new(const kl_subtract_args *args);
KL_API kl_subtract_args kl_subtract_defaults(void);
#ifndef __cplusplus
#define kl_subtract(...) KL_CALL_(kl_subtract_new, kl_merge_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* Multiply: the product of the inputs */
typedef kl_merge_args kl_multiply_args;
KL_API kl_layer *kl_multiply_new(const kl_multiply_args *args);
KL_API kl_multiply_args kl_multiply_defaults(void);
#ifndef __cplusplus
#define kl_multiply(...) KL_CALL_(kl_multiply_new, kl_merge_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* Average: the mean of the inputs */
typedef kl_merge_args kl_average_args;
KL_API kl_layer *kl_average_new(const kl_average_args *args);
KL_API kl_average_args kl_average_defaults(void);
#ifndef __cplusplus
#define kl_average(...) KL_CALL_(kl_average_new, kl_merge_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* Maximum: the largest input, element by element */
typedef kl_merge_args kl_maximum_args;
KL_API kl_layer *kl_maximum_new(const kl_maximum_args *args);
KL_API kl_maximum_args kl_maximum_defaults(void);
#ifndef __cplusplus
#define kl_maximum(...) KL_CALL_(kl_maximum_new, kl_merge_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* Minimum: the smallest input, element by element */
typedef kl_merge_args kl_minimum_args;
KL_API kl_layer *kl_minimum_new(const kl_minimum_args *args);
KL_API kl_minimum_args kl_minimum_defaults(void);
#ifndef __cplusplus
#define kl_minimum(...) KL_CALL_(kl_minimum_new, kl_merge_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* Concatenate: the inputs side by side along an axis. */
typedef struct kl_concatenate_args {
    KL_LAYER_ARGS
    int64_t axis;
} kl_concatenate_args;
KL_API kl_layer *kl_concatenate_new(const kl_concatenate_args *args);
KL_API kl_concatenate_args kl_concatenate_defaults(void);
#ifndef __cplusplus
#define kl_concatenate(...)                                                                        \
    KL_CALL_(kl_concatenate_new, kl_concatenate_args, (KL_LAYER_DEFAULTS, .axis = -1), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
