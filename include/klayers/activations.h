/*
 * Activations: https://keras.io/api/layers/activations/. Wherever an activation is an argument it
 * may be a name ("relu"), an object made here, or a function of one's own wrapped by
 * kl_activation_from().
 */
#ifndef KLAYERS_ACTIVATIONS_H
#define KLAYERS_ACTIVATIONS_H

#include "klayers/object.h"
#include "klayers/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_activation_vtable {
    KL_CLASS_HEAD
    /* MUST: through ops, a tensor of x's shape. */
    kl_tensor *(*call)(const kl_activation *self, kl_tensor *x);
    /* MAY: which fused form (enum kl_fused_activation of src/kernels) computes the same; 0: none.
     */
    int fused;
} kl_activation_vtable;

/* Applies an activation; NULL is linear and gives a new handle on x. */
KL_API kl_tensor *kl_activation_call(const kl_activation *activation, kl_tensor *x);
/* By Keras name, or an object as it is (one reference is taken over); NULL for None. */
KL_API kl_activation *kl_activation_get(kl_named activation);
/* One's own function; the name is what get_config gives (register it with
   kl_register_activation to load it again). */
KL_API kl_activation *kl_activation_from(const char *name,
                                         kl_tensor *(*function)(kl_tensor *x, void *user),
                                         void *user);
KL_API kl_status kl_register_activation(const char *name,
                                        kl_tensor *(*function)(kl_tensor *x, void *user),
                                        void *user);

/*
 * Activations with arguments, as objects: kl_activation_leaky_relu(.negative_slope = 0.1). With
 * Keras's defaults a name does the same: "leaky_relu".
 */
/* Keras's general relu. */
typedef struct kl_activation_relu_args {
    size_t size;
    unsigned mark;
    double negative_slope;
    double max_value;
    double threshold;
} kl_activation_relu_args;
KL_API kl_activation *kl_activation_relu_new(const kl_activation_relu_args *args);
KL_API kl_activation_relu_args kl_activation_relu_defaults(void);
#ifndef __cplusplus
#define kl_activation_relu(...)                                                                    \
    KL_CALL_(kl_activation_relu_new, kl_activation_relu_args, (.max_value = KL_NONEF), __VA_ARGS__)
#endif

/* negative_slope * x below 0. */
typedef struct kl_activation_leaky_relu_args {
    size_t size;
    unsigned mark;
    double negative_slope;
} kl_activation_leaky_relu_args;
KL_API kl_activation *kl_activation_leaky_relu_new(const kl_activation_leaky_relu_args *args);
KL_API kl_activation_leaky_relu_args kl_activation_leaky_relu_defaults(void);
#ifndef __cplusplus
#define kl_activation_leaky_relu(...)                                                              \
    KL_CALL_(kl_activation_leaky_relu_new, kl_activation_leaky_relu_args, (.negative_slope = 0.2), \
             __VA_ARGS__)
#endif

/* ELU with its alpha. */
typedef struct kl_activation_elu_args {
    size_t size;
    unsigned mark;
    double alpha;
} kl_activation_elu_args;
KL_API kl_activation *kl_activation_elu_new(const kl_activation_elu_args *args);
KL_API kl_activation_elu_args kl_activation_elu_defaults(void);
#ifndef __cplusplus
#define kl_activation_elu(...)                                                                     \
    KL_CALL_(kl_activation_elu_new, kl_activation_elu_args, (.alpha = 1), __VA_ARGS__)
#endif

/* CELU with its alpha. */
typedef struct kl_activation_celu_args {
    size_t size;
    unsigned mark;
    double alpha;
} kl_activation_celu_args;
KL_API kl_activation *kl_activation_celu_new(const kl_activation_celu_args *args);
KL_API kl_activation_celu_args kl_activation_celu_defaults(void);
#ifndef __cplusplus
#define kl_activation_celu(...)                                                                    \
    KL_CALL_(kl_activation_celu_new, kl_activation_celu_args, (.alpha = 1), __VA_ARGS__)
#endif

/* HardShrink with its threshold. */
typedef struct kl_activation_hard_shrink_args {
    size_t size;
    unsigned mark;
    double threshold;
} kl_activation_hard_shrink_args;
KL_API kl_activation *kl_activation_hard_shrink_new(const kl_activation_hard_shrink_args *args);
KL_API kl_activation_hard_shrink_args kl_activation_hard_shrink_defaults(void);
#ifndef __cplusplus
#define kl_activation_hard_shrink(...)                                                             \
    KL_CALL_(kl_activation_hard_shrink_new, kl_activation_hard_shrink_args, (.threshold = 0.5),    \
             __VA_ARGS__)
#endif

/* SoftShrink with its threshold. */
typedef struct kl_activation_soft_shrink_args {
    size_t size;
    unsigned mark;
    double threshold;
} kl_activation_soft_shrink_args;
KL_API kl_activation *kl_activation_soft_shrink_new(const kl_activation_soft_shrink_args *args);
KL_API kl_activation_soft_shrink_args kl_activation_soft_shrink_defaults(void);
#ifndef __cplusplus
#define kl_activation_soft_shrink(...)                                                             \
    KL_CALL_(kl_activation_soft_shrink_new, kl_activation_soft_shrink_args, (.threshold = 0.5),    \
             __VA_ARGS__)
#endif

/* Squareplus with its b. */
typedef struct kl_activation_squareplus_args {
    size_t size;
    unsigned mark;
    double b;
} kl_activation_squareplus_args;
KL_API kl_activation *kl_activation_squareplus_new(const kl_activation_squareplus_args *args);
KL_API kl_activation_squareplus_args kl_activation_squareplus_defaults(void);
#ifndef __cplusplus
#define kl_activation_squareplus(...)                                                              \
    KL_CALL_(kl_activation_squareplus_new, kl_activation_squareplus_args, (.b = 4), __VA_ARGS__)
#endif

/* default_value at and below the threshold. */
typedef struct kl_activation_threshold_args {
    size_t size;
    unsigned mark;
    double threshold;
    double default_value;
} kl_activation_threshold_args;
KL_API kl_activation *kl_activation_threshold_new(const kl_activation_threshold_args *args);
KL_API kl_activation_threshold_args kl_activation_threshold_defaults(void);
#ifndef __cplusplus
#define kl_activation_threshold(...)                                                               \
    KL_CALL_(kl_activation_threshold_new, kl_activation_threshold_args, (.threshold = 0),          \
             __VA_ARGS__)
#endif

/* Softmax along an axis. */
typedef struct kl_activation_softmax_args {
    size_t size;
    unsigned mark;
    int64_t axis;
} kl_activation_softmax_args;
KL_API kl_activation *kl_activation_softmax_new(const kl_activation_softmax_args *args);
KL_API kl_activation_softmax_args kl_activation_softmax_defaults(void);
#ifndef __cplusplus
#define kl_activation_softmax(...)                                                                 \
    KL_CALL_(kl_activation_softmax_new, kl_activation_softmax_args, (.axis = -1), __VA_ARGS__)
#endif

/* LogSoftmax along an axis. */
typedef struct kl_activation_log_softmax_args {
    size_t size;
    unsigned mark;
    int64_t axis;
} kl_activation_log_softmax_args;
KL_API kl_activation *kl_activation_log_softmax_new(const kl_activation_log_softmax_args *args);
KL_API kl_activation_log_softmax_args kl_activation_log_softmax_defaults(void);
#ifndef __cplusplus
#define kl_activation_log_softmax(...)                                                             \
    KL_CALL_(kl_activation_log_softmax_new, kl_activation_log_softmax_args, (.axis = -1),          \
             __VA_ARGS__)
#endif

/* Sparsemax along an axis. */
typedef struct kl_activation_sparsemax_args {
    size_t size;
    unsigned mark;
    int64_t axis;
} kl_activation_sparsemax_args;
KL_API kl_activation *kl_activation_sparsemax_new(const kl_activation_sparsemax_args *args);
KL_API kl_activation_sparsemax_args kl_activation_sparsemax_defaults(void);
#ifndef __cplusplus
#define kl_activation_sparsemax(...)                                                               \
    KL_CALL_(kl_activation_sparsemax_new, kl_activation_sparsemax_args, (.axis = -1), __VA_ARGS__)
#endif

/* GLU along an axis. */
typedef struct kl_activation_glu_args {
    size_t size;
    unsigned mark;
    int64_t axis;
} kl_activation_glu_args;
KL_API kl_activation *kl_activation_glu_new(const kl_activation_glu_args *args);
KL_API kl_activation_glu_args kl_activation_glu_defaults(void);
#ifndef __cplusplus
#define kl_activation_glu(...)                                                                     \
    KL_CALL_(kl_activation_glu_new, kl_activation_glu_args, (.axis = -1), __VA_ARGS__)
#endif

/* By erf, or by tanh where approximate. */
typedef struct kl_activation_gelu_args {
    size_t size;
    unsigned mark;
    bool approximate;
} kl_activation_gelu_args;
KL_API kl_activation *kl_activation_gelu_new(const kl_activation_gelu_args *args);
KL_API kl_activation_gelu_args kl_activation_gelu_defaults(void);
#ifndef __cplusplus
#define kl_activation_gelu(...)                                                                    \
    KL_CALL_(kl_activation_gelu_new, kl_activation_gelu_args, (.approximate = false), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
