/* The inside of a layer and of its weights. */
#ifndef KL_LAYERS_LAYER_H
#define KL_LAYERS_LAYER_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/error.h"
#include "klayers/layer.h"
#include "objects/object.h"
#include "base/random.h"
#include "layers/context.h"

struct kl_weight {
    kl_layer *owner;
    char *name, *path;
    kl_tensor *value; /* held; the handle stays the same for the weight's life */
    bool trainable;
    bool parameter; /* made trainable: where it stands in get_weights doesn't change later */
    kl_weight_role role;
    kl_regularizer *regularizer;
    kl_constraint *constraint;
    /* A low-rank correction that files hold merged into this weight; both halves are the layer's
       own weights, marked `merged`. */
    struct kl_weight *low_a, *low_b;
    double low_factor;
    bool merged; /* not in files by itself */
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
    char *quantization; /* JSON of a config's quantization_config, kept for Keras; or NULL */
    kl_dtype compute_dtype, variable_dtype;
    bool policy_given; /* else it is the default */
    bool trainable_given;
    bool trainable;
    bool legacy;   /* from a config of 2.15 (its dtype is a plain string) */
    bool stateful; /* set by init where an argument decides; else the vtable's flag */
    bool has_input_shape;
    kl_shape input_shape; /* with the batch, from input_shape or batch_input_shape */
    int symbolic_calls;   /* in graphs that may not be joined yet */
    _Atomic bool built;
    bool building;
    kl_weight **weights;
    int weight_count;
    kl_sublayer *sublayers;
    int sublayer_count;
    kl_input_spec specs[KL_MAX_LIST];
    int spec_count;
    kl_regularizer *activity_regularizer;
    kl_shape build_shapes[KL_MAX_LIST]; /* what it was built for */
    int build_count;
    kl_random *seed_generator; /* layers that draw */
    kl_tensor **losses;        /* held: what the last call outside a model added */
    int loss_count;
    kl_status failed; /* the first failure of kl_add, kl_compile, ... */
    char *failure;
    pthread_rwlock_t lock; /* calls; see kl_context_begin */
    pthread_mutex_t guard; /* building, the free list, the seed generator */
    kl_context *contexts;  /* free list */
    void *training;        /* what kl_compile left (src/training); freed by training_free */
    void (*training_free)(void *training);
    /* How many elements and bytes a built optimizer's variables have. */
    void (*training_size)(const void *training, int64_t *count, double *bytes);
};

/* The same for a graph's node: as much as can be known. */
kl_status kl_layer_graph_shapes(kl_layer *layer, const kl_call_args *base, const kl_shape *inputs,
                                int count, kl_shape *outputs, int *output_count);

/* Another policy than the one given, for layers whose dtype has a default of its own. */
kl_status kl_layer_set_policy(kl_layer *layer, const char *name);

/* Keeps the first failure of a chain; returns status. And the check at the start of later calls. */
kl_status kl_layer_fail(kl_layer *layer, kl_status status);
kl_status kl_layer_check(const kl_layer *layer);

/* The penalties of the trainable weights' regularizers, below included: each a scalar handed out,
   at most `capacity` of them; *count is how many there are. */
kl_status kl_layer_regularization(const kl_layer *layer, kl_context *ctx, kl_tensor **out,
                                  int capacity, int *count);
/* kl_layer_output_shape for a call with further arguments; `base` may be NULL. */
kl_status kl_layer_infer_shapes(kl_layer *layer, const kl_call_args *base, const kl_shape *inputs,
                                int count, kl_shape *outputs, int *output_count);
/* Up to `capacity` weights of the layer and all below in get_weights order, each once; returns how
   many there are. */
int kl_layer_list_weights(const kl_layer *layer, bool trainable_only, kl_weight **out,
                          int capacity);
/* Whether the layer or one below is stateful at inference. */
bool kl_layer_is_stateful(const kl_layer *layer);

/* Forgets what kl_layer_update_state() took in since the last kl_layer_finalize_state(). */
kl_status kl_adapt_forget(kl_layer *layer);

/* Sets the value's `watched` from the weight's and its owner's trainable. */
void kl_weight_follow(kl_weight *weight);
/* Lists a sublayer's weight among the layer's own too, as Keras does where a wrapper keeps it in an
   attribute: files then hold it twice. */
kl_status kl_share_weight(kl_layer *self, kl_weight *weight);
void kl_weight_free(kl_weight *weight);
/* While a file is read: the bytes of weights that this thread may make from here on, which its
   config can't exceed; negative: any. */
void kl_weights_limit(int64_t bytes);
void kl_contexts_free(kl_layer *layer);
void kl_remove_last_sublayer(kl_layer *self);

/* Draws between the two come from the layer's seed generator, if it has one. */
typedef struct kl_layer_draws {
    kl_random stream, *outer;
    bool on;
} kl_layer_draws;
void kl_layer_draws_begin(const kl_layer *layer, const kl_context *ctx, kl_layer_draws *draws);
void kl_layer_draws_end(const kl_layer *layer, kl_layer_draws *draws);

/* data_format NULL is channels_last. */
bool kl_is_channels_first(const char *data_format);
/* The channels' axis of an input of this rank. */
int kl_channel_axis(const char *data_format, int rank);

/* Keras's defaults of a class into its argument struct (args_size bytes). */
void kl_layer_defaults(const kl_layer_vtable *vtable, void *args);

/* The two functions behind every layer's macro. */
#define KL_DEFINE_LAYER(name)                                                                      \
    kl_layer *name##_new(const name##_args *args)                                                  \
    {                                                                                              \
        if (!args) {                                                                               \
            kl_error_null(#name, "args");                                                          \
            return NULL;                                                                           \
        }                                                                                          \
        return kl_layer_new(&name##_class, args);                                                  \
    }                                                                                              \
    name##_args name##_defaults(void)                                                              \
    {                                                                                              \
        name##_args args;                                                                          \
        kl_layer_defaults(&name##_class, &args);                                                   \
        return args;                                                                               \
    }

/*
 * Readies the layer kind; with `find`, lets class names of configs be found in a table. Every
 * constructor calls it with NULL, so that only kl_layer_from_config and loading link every layer.
 */
void kl_layers_use(const kl_class *(*find)(const char *name));

#endif
