/* The inside of a layer and of its weights. */
#ifndef KL_LAYERS_LAYER_H
#define KL_LAYERS_LAYER_H

#include <pthread.h>
#include <stdatomic.h>
#include "klayers/layer.h"
#include "objects/object.h"
#include "base/random.h"
#include "layers/context.h"

struct kl_weight {
    kl_layer *owner;
    char *name, *path;
    kl_tensor *value; /* held; the handle stays the same for the weight's life */
    kl_tensor *cast;  /* held; the value in the compute dtype, made under `cast_version` */
    uint64_t cast_version;
    bool trainable;
    kl_weight_role role;
    kl_regularizer *regularizer;
    kl_constraint *constraint;
};

typedef struct kl_sublayer {
    char *attribute;
    kl_layer *layer; /* owned */
} kl_sublayer;

struct kl_layer {
    kl_object object;
    const kl_layer_vtable *vtable;
    char *name;
    bool named_by_user;
    char *policy;
    kl_dtype compute_dtype, variable_dtype;
    bool trainable;
    bool built, building;
    kl_weight **weights;
    int weight_count;
    kl_sublayer *sublayers;
    int sublayer_count;
    kl_input_spec specs[KL_MAX_LIST];
    kl_regularizer *activity_regularizer;
    kl_shape build_shapes[KL_MAX_LIST]; /* what it was built for */
    int build_count;
    kl_random *seed_generator; /* layers that draw */
    kl_tensor **losses;        /* held: what the last call outside a model added */
    int loss_count;
    kl_status failed; /* the first failure of kl_add, kl_compile, ... */
    char *failure;
    uint64_t structure; /* raised when weights or sublayers are added or trainable changes */
    pthread_rwlock_t lock;
    pthread_mutex_t contexts_lock;
    kl_context *contexts; /* free list */
    void *training;       /* what kl_compile left (src/training); freed by training_free */
    void (*training_free)(void *training);
};

/* Keeps the first failure of a chain; returns status. And the check at the start of later calls. */
kl_status kl_layer_fail(kl_layer *layer, kl_status status);
kl_status kl_layer_check(const kl_layer *layer);

/* The penalties of regularizers on trainable-or-not weights of the layer and all below, each a
   scalar in the open scope; `out` grows through *count. */
kl_status kl_layer_regularization(const kl_layer *layer, kl_context *ctx, kl_tensor ***out,
                                  int *count);
/* Walks the layer and all below in get_weights order: trainable first when `trainable_first`. */
typedef kl_status kl_weight_visitor(kl_weight *weight, void *user);
kl_status kl_layer_visit_weights(const kl_layer *layer, kl_weight_visitor *visit, void *user);
/* Whether the layer or one below is stateful at inference. */
bool kl_layer_is_stateful(const kl_layer *layer);

/* The built-in classes (src/layers/registry.c): the only table that refers to every layer. */
const kl_class *kl_builtin_layer(const char *class_name);

#endif
