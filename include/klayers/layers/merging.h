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

/*
 * Dot: the products of two inputs summed over an axis of each, sample by sample. axes counts with
 * the batch, negative ones from the end; one value is for both. normalize: the cosine.
 */
typedef struct kl_dot_args {
    KL_LAYER_ARGS
    int64_t axes[2];
    bool normalize;
} kl_dot_args;
KL_API kl_layer *kl_dot_new(const kl_dot_args *args);
KL_API kl_dot_args kl_dot_defaults(void);
#ifndef __cplusplus
#define kl_dot(...) KL_CALL_(kl_dot_new, kl_dot_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/*
 * The function forms (keras.layers.add([a, b]), ...): a layer made and called at once, on tensors
 * or on symbolic ones: kl_merge_add(.inputs = {a, b}), kl_merge_concatenate(.inputs = {a, b},
 * .axis = 1), kl_merge_dot(.inputs = {a, b}, .axes = {1}).
 */
typedef struct kl_merge_call_args {
    size_t size;
    unsigned mark;
    const char *name, *dtype;       /* of the layer */
    kl_tensor *inputs[KL_MAX_LIST]; /* ended by NULL */
    kl_tensors inputs_list;         /* or this */
    int64_t axis;                   /* kl_merge_concatenate */
    int64_t axes[2];                /* kl_merge_dot, and normalize */
    bool normalize;
} kl_merge_call_args;
KL_API kl_merge_call_args kl_merge_call_defaults(void);
KL_API kl_tensor *kl_merge_add_with(const kl_merge_call_args *args);
KL_API kl_tensor *kl_merge_subtract_with(const kl_merge_call_args *args);
KL_API kl_tensor *kl_merge_multiply_with(const kl_merge_call_args *args);
KL_API kl_tensor *kl_merge_average_with(const kl_merge_call_args *args);
KL_API kl_tensor *kl_merge_maximum_with(const kl_merge_call_args *args);
KL_API kl_tensor *kl_merge_minimum_with(const kl_merge_call_args *args);
KL_API kl_tensor *kl_merge_concatenate_with(const kl_merge_call_args *args);
KL_API kl_tensor *kl_merge_dot_with(const kl_merge_call_args *args);
#ifndef __cplusplus
#define KL_MERGE_CALL_(fn, ...)   KL_CALL_(fn, kl_merge_call_args, (.axis = -1), __VA_ARGS__)
#define kl_merge_add(...)         KL_MERGE_CALL_(kl_merge_add_with, __VA_ARGS__)
#define kl_merge_subtract(...)    KL_MERGE_CALL_(kl_merge_subtract_with, __VA_ARGS__)
#define kl_merge_multiply(...)    KL_MERGE_CALL_(kl_merge_multiply_with, __VA_ARGS__)
#define kl_merge_average(...)     KL_MERGE_CALL_(kl_merge_average_with, __VA_ARGS__)
#define kl_merge_maximum(...)     KL_MERGE_CALL_(kl_merge_maximum_with, __VA_ARGS__)
#define kl_merge_minimum(...)     KL_MERGE_CALL_(kl_merge_minimum_with, __VA_ARGS__)
#define kl_merge_concatenate(...) KL_MERGE_CALL_(kl_merge_concatenate_with, __VA_ARGS__)
#define kl_merge_dot(...)         KL_MERGE_CALL_(kl_merge_dot_with, __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
