/* Regularizers: https://keras.io/api/layers/regularizers/ */
#ifndef KLAYERS_REGULARIZERS_H
#define KLAYERS_REGULARIZERS_H

#include "klayers/object.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_regularizer_vtable {
    KL_CLASS_HEAD
    /* MUST: through ops, a scalar: the penalty of x. */
    kl_tensor *(*call)(const kl_regularizer *self, kl_tensor *x);
} kl_regularizer_vtable;

KL_API kl_tensor *kl_regularizer_call(const kl_regularizer *regularizer, kl_tensor *x);
KL_API kl_regularizer *kl_regularizer_get(kl_named regularizer);
/* One's own function; the name is what get_config gives (register it with
   kl_register_regularizer to load it again). */
KL_API kl_regularizer *kl_regularizer_from(const char *name,
                                           kl_tensor *(*function)(kl_tensor *x, void *user),
                                           void *user);
KL_API kl_status kl_register_regularizer(const char *name,
                                         kl_tensor *(*function)(kl_tensor *x, void *user),
                                         void *user);

/* l1 * sum |x|. */
typedef struct kl_l1_args {
    size_t size;
    unsigned mark;
    double l1;
} kl_l1_args;
KL_API kl_regularizer *kl_l1_new(const kl_l1_args *args);
KL_API kl_l1_args kl_l1_defaults(void);
#ifndef __cplusplus
#define kl_l1(...) KL_CALL_(kl_l1_new, kl_l1_args, (.l1 = 0.01), __VA_ARGS__)
#endif

/* l2 * sum x^2. */
typedef struct kl_l2_args {
    size_t size;
    unsigned mark;
    double l2;
} kl_l2_args;
KL_API kl_regularizer *kl_l2_new(const kl_l2_args *args);
KL_API kl_l2_args kl_l2_defaults(void);
#ifndef __cplusplus
#define kl_l2(...) KL_CALL_(kl_l2_new, kl_l2_args, (.l2 = 0.01), __VA_ARGS__)
#endif

/* Both. */
typedef struct kl_l1l2_args {
    size_t size;
    unsigned mark;
    double l1;
    double l2;
} kl_l1l2_args;
KL_API kl_regularizer *kl_l1l2_new(const kl_l1l2_args *args);
KL_API kl_l1l2_args kl_l1l2_defaults(void);
#ifndef __cplusplus
#define kl_l1l2(...) KL_CALL_(kl_l1l2_new, kl_l1l2_args, (.l1 = 0), __VA_ARGS__)
#endif

/* Pushes the rows (or columns) of a matrix towards orthogonality. */
typedef struct kl_orthogonal_regularizer_args {
    size_t size;
    unsigned mark;
    double factor;
    const char *mode;
} kl_orthogonal_regularizer_args;
KL_API kl_regularizer *kl_orthogonal_regularizer_new(const kl_orthogonal_regularizer_args *args);
KL_API kl_orthogonal_regularizer_args kl_orthogonal_regularizer_defaults(void);
#ifndef __cplusplus
#define kl_orthogonal_regularizer(...)                                                             \
    KL_CALL_(kl_orthogonal_regularizer_new, kl_orthogonal_regularizer_args,                        \
             (.factor = 0.01, .mode = "rows"), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
