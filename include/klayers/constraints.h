/* Constraints: https://keras.io/api/layers/constraints/, applied to a weight after each update. */
#ifndef KLAYERS_CONSTRAINTS_H
#define KLAYERS_CONSTRAINTS_H

#include "klayers/object.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_constraint_vtable {
    KL_CLASS_HEAD
    /* MUST: through ops, the projected weight, of w's shape. */
    kl_tensor *(*call)(const kl_constraint *self, kl_tensor *w);
} kl_constraint_vtable;

KL_API kl_tensor *kl_constraint_call(const kl_constraint *constraint, kl_tensor *w);
KL_API kl_constraint *kl_constraint_get(kl_named constraint);
/* One's own function; the name is what get_config gives (register it with
   kl_register_constraint to load it again). */
KL_API kl_constraint *kl_constraint_from(const char *name,
                                         kl_tensor *(*function)(kl_tensor *w, void *user),
                                         void *user);
KL_API kl_status kl_register_constraint(const char *name,
                                        kl_tensor *(*function)(kl_tensor *w, void *user),
                                        void *user);

/* Norms along axis at most max_value. */
typedef struct kl_max_norm_args {
    size_t size;
    unsigned mark;
    double max_value;
    kl_ints axis;
} kl_max_norm_args;
KL_API kl_constraint *kl_max_norm_new(const kl_max_norm_args *args);
KL_API kl_max_norm_args kl_max_norm_defaults(void);
#ifndef __cplusplus
#define kl_max_norm(...) KL_CALL_(kl_max_norm_new, kl_max_norm_args, (.max_value = 2), __VA_ARGS__)
#endif

/* Norms along axis between two values, approached at a rate. */
typedef struct kl_min_max_norm_args {
    size_t size;
    unsigned mark;
    double min_value;
    double max_value;
    double rate;
    kl_ints axis;
} kl_min_max_norm_args;
KL_API kl_constraint *kl_min_max_norm_new(const kl_min_max_norm_args *args);
KL_API kl_min_max_norm_args kl_min_max_norm_defaults(void);
#ifndef __cplusplus
#define kl_min_max_norm(...)                                                                       \
    KL_CALL_(kl_min_max_norm_new, kl_min_max_norm_args, (.max_value = 1, .rate = 1), __VA_ARGS__)
#endif

/* Nothing below 0. */
typedef struct kl_non_neg_args {
    size_t size;
    unsigned mark;
    bool unused_; /* no arguments */
} kl_non_neg_args;
KL_API kl_constraint *kl_non_neg_new(const kl_non_neg_args *args);
KL_API kl_non_neg_args kl_non_neg_defaults(void);
#ifndef __cplusplus
#define kl_non_neg(...) KL_CALL_(kl_non_neg_new, kl_non_neg_args, (.unused_ = false), __VA_ARGS__)
#endif

/* Norms along axis are 1. */
typedef struct kl_unit_norm_args {
    size_t size;
    unsigned mark;
    kl_ints axis;
} kl_unit_norm_args;
KL_API kl_constraint *kl_unit_norm_new(const kl_unit_norm_args *args);
KL_API kl_unit_norm_args kl_unit_norm_defaults(void);
#ifndef __cplusplus
#define kl_unit_norm(...)                                                                          \
    KL_CALL_(kl_unit_norm_new, kl_unit_norm_args, (.axis = {NULL, 0}), __VA_ARGS__)
#endif

/* Kernels [side, side, in, out] that depend on the ring around the middle alone (2.15). */
typedef struct kl_radial_constraint_args {
    size_t size;
    unsigned mark;
    bool unused_; /* no arguments */
} kl_radial_constraint_args;
KL_API kl_constraint *kl_radial_constraint_new(const kl_radial_constraint_args *args);
KL_API kl_radial_constraint_args kl_radial_constraint_defaults(void);
#ifndef __cplusplus
#define kl_radial_constraint(...)                                                                  \
    KL_CALL_(kl_radial_constraint_new, kl_radial_constraint_args, (.unused_ = false), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
