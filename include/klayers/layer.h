/*
 * The base Layer: the vtable that every layer fills, built-in or custom, its weights, and calls.
 *
 * A layer is an object (object.h) and is released by kl_object_release() or kl_layer_release().
 */
#ifndef KLAYERS_LAYER_H
#define KLAYERS_LAYER_H

#include "klayers/activations.h"
#include "klayers/constraints.h"
#include "klayers/initializers.h"
#include "klayers/object.h"
#include "klayers/ops.h"
#include "klayers/regularizers.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_context kl_context;
typedef struct kl_weight kl_weight;

/* The most inputs or outputs that fit an argument list; `inputs_list` takes any number. */
#define KL_MAX_LIST 16

/* Several tensors, lent; `at` lives as long as the innermost scope. at == NULL: failed. */
typedef struct kl_tensors {
    int count;
    kl_tensor **at;
} kl_tensors;

/* Lists for a layer's call to return; NULL among them is a failure. */
KL_API kl_tensors kl_one(kl_tensor *tensor);
KL_API kl_tensors kl_many(int count, kl_tensor *const *tensors);

/* A shape whose unknown dimensions are -1, and the dtype that goes with it. */
typedef struct kl_shape {
    int rank;
    int64_t at[KL_MAX_RANK];
    kl_dtype dtype;
} kl_shape;

/*
 * The head of every layer's argument struct. input_shape (without the batch) makes a first layer
 * of a Sequential model bring its own input, as in Keras.
 */
#define KL_LAYER_ARGS                                                                              \
    size_t size;                                                                                   \
    unsigned mark;                                                                                 \
    bool trainable;                                                                                \
    const char *name;                                                                              \
    const char *dtype; /* a dtype or a policy: "mixed_float16" */                                  \
    int64_t input_shape[KL_MAX_RANK + 1];                                                          \
    kl_named activity_regularizer;
#define KL_LAYER_DEFAULTS .trainable = true

typedef struct kl_layer_args {
    KL_LAYER_ARGS
} kl_layer_args;

/*
 * The vtable. Functions of the head (init, get_config, from_config, destroy) get the kl_layer as
 * `self`. A layer is const during `call`: state goes through the context.
 */
typedef struct kl_layer_vtable {
    KL_CLASS_HEAD
    /* MAY: kl_add_weight(...) and kl_set_input_spec(...) for these input shapes; called once,
       before the first call, unless the layer was built before. */
    kl_status (*build)(kl_layer *self, const kl_shape *inputs, int count);
    /* MUST: the layer's computation through ops. Called with real tensors, while a tape records or
       not, and with stand-ins to find shapes. */
    kl_tensors (*call)(const kl_layer *self, kl_context *ctx, kl_tensors inputs);
    /* MAY: the weights in get_weights order, at most `capacity` written, the number of all
       returned; NULL: trainable then non-trainable ones of the layer and its sublayers. */
    size_t (*weights)(const kl_layer *self, kl_weight **out, size_t capacity);
    /* MAY: the mask of output `index`, or NULL for none; masks.at[i] is NULL where an input has
       none. Slot NULL: the mask ends here. kl_pass_mask: the first input's passes. */
    kl_tensor *(*compute_mask)(const kl_layer *self, kl_context *ctx, kl_tensors inputs,
                               kl_tensors masks, kl_tensors outputs, int index);
    /* MAY: output shapes from input shapes that may have unknown dimensions, for layers that a run
       with stand-ins can't tell (they read data, or need divisibility). *count is set. */
    kl_status (*output_shape)(const kl_layer *self, const kl_shape *inputs, int count,
                              kl_shape *outputs, int *output_count);
    /* MAY: stateful layers: back to the initial state. */
    kl_status (*reset_state)(kl_layer *self);
    /* MAY: layers that learn from data before training: forget, take a batch, finish. */
    kl_status (*adapt_reset)(kl_layer *self);
    kl_status (*adapt_update)(kl_layer *self, kl_tensor *batch);
    kl_status (*adapt_finish)(kl_layer *self);
    /* MAY: files of a layer's own in a saved model (vocabularies): named pieces of bytes. */
    kl_status (*save_assets)(const kl_layer *self,
                             kl_status (*write)(void *user, const char *name, const void *data,
                                                size_t size),
                             void *user);
    kl_status (*load_assets)(kl_layer *self,
                             kl_status (*read)(void *user, const char *name, const void **data,
                                               size_t *size),
                             void *user);
    unsigned flags;
    /* MAY: Keras's name in files and of nameless layers, where that isn't the class name in snake
       case: "grouped_query_attention". */
    const char *snake_name;
    /* MAY: with KL_LAYER_SEPARATE_INPUTS, the inputs' names in Keras's call: "query|value|key". */
    const char *input_names;
    /* MAY: makes the layer a cell for RNN and StackedRNNCells: the shapes of its states for one
       step's input, at most KL_MAX_LIST. The call of a cell gets the step's input, its states by
       kl_initial_state() and returns the output and then the new states. */
    kl_status (*cell_states)(const kl_layer *self, const kl_shape *input, kl_shape *states,
                             int *count);
    /* MAY: cells that can run all steps of x [batch, steps, ...] at once: *sequence gets every
       step's output, states[] the last states in the place of the first ones. mask is bool
       [batch, steps] or NULL; a masked step keeps the states and repeats the output before it,
       zeros at first. */
    kl_status (*cell_sequence)(const kl_layer *self, kl_context *ctx, kl_tensor *x, kl_tensor *mask,
                               kl_tensor **states, kl_tensor **sequence);
    /* MAY: values of a layer's own among the weights of a saved model, by their path below the
       layer's ("vars/idf_weights"); *value is the reader's, NULL if the file has none. */
    kl_status (*save_values)(const kl_layer *self,
                             kl_status (*write)(void *user, const char *name,
                                                const kl_tensor *value),
                             void *user);
    kl_status (*load_values)(kl_layer *self,
                             kl_status (*read)(void *user, const char *name, kl_tensor **value),
                             void *user);
    /* NULL; the library's own layers say here how they join with others at inference. */
    const struct kl_layer_fusion *fusion;
} kl_layer_vtable;

enum {
    KL_LAYER_NO_AUTOCAST = 1, /* inputs come as they are, not cast to the compute dtype */
    KL_LAYER_STATEFUL = 2,    /* calls change state even at inference: they exclude each other */
    KL_LAYER_RANDOM = 4,      /* draws numbers: gets a seed generator; field "seed" seeds it */
    KL_LAYER_SEPARATE_INPUTS =
        32,                     /* several inputs are arguments of their own in Keras, not a list */
    KL_LAYER_STATES_LESS = 64,  /* output_shape states what Keras does, a run would tell more:
                                   graphs go by the run */
    KL_LAYER_GIVES_STATE = 128, /* a cell whose output is its first state */
    KL_LAYER_KEEPS_MASKS = 16,  /* outputs carry the masks that they come with (models) */
    KL_LAYER_MANY_INPUTS = 8 /* takes any number of inputs (merging, models); else one, or as many
                                as kl_set_input_spec was told of */
};

KL_API kl_tensor *kl_pass_mask(const kl_layer *self, kl_context *ctx, kl_tensors inputs,
                               kl_tensors masks, kl_tensors outputs, int index);

/* ---- Making layers ------------------------------------------------------------------------- */

/* A layer of a class with arguments: a struct that begins with KL_LAYER_ARGS, or NULL. */
KL_API kl_layer *kl_layer_new(const kl_layer_vtable *vtable, const void *args);
/* From a class name and the JSON of its config ("{}" or NULL: defaults). */
KL_API kl_layer *kl_layer_from_config(const char *class_name, const char *config_json);
/* The config as JSON; freed with kl_free_text(). */
KL_API char *kl_layer_get_config(const kl_layer *layer);
/* Makes a class known to kl_layer_from_config and kl_load_model. */
KL_API kl_status kl_register_layer(const kl_layer_vtable *vtable);
KL_API kl_layer *kl_layer_retain(const kl_layer *layer);
KL_API void kl_layer_release(kl_layer *layer);
/* The state that the vtable describes, lent; it begins with the argument struct. */
KL_API void *kl_layer_state(const kl_layer *layer);

/* ---- What a layer is ----------------------------------------------------------------------- */

KL_API const char *kl_layer_name(const kl_layer *layer);
KL_API const char *kl_layer_class_name(const kl_layer *layer);
/* The policy's name, the dtype computed in, and that of the weights. */
KL_API const char *kl_layer_dtype_policy(const kl_layer *layer);
KL_API kl_dtype kl_layer_compute_dtype(const kl_layer *layer);
KL_API kl_dtype kl_layer_variable_dtype(const kl_layer *layer);
KL_API bool kl_layer_is_built(const kl_layer *layer);
/* Keras's `dynamic`: always false, every layer runs eagerly. */
KL_API bool kl_layer_dynamic(const kl_layer *layer);
KL_API bool kl_layer_trainable(const kl_layer *layer);
/* Recursive: sublayers too. May be set at any time, also after compile. */
KL_API kl_status kl_layer_set_trainable(kl_layer *layer, bool trainable);
/* Sublayers in the order they were added, lent; `attribute` may be NULL. NULL beyond the end. */
KL_API int kl_layer_sublayer_count(const kl_layer *layer);
KL_API kl_layer *kl_layer_sublayer(const kl_layer *layer, int index, const char **attribute);

/* ---- Weights ------------------------------------------------------------------------------- */

/* What a weight is for; optimizers exclude none by it, it names things in summaries. */
typedef enum kl_weight_role { KL_WEIGHT_PARAMETER, KL_WEIGHT_STATE, KL_WEIGHT_SEED } kl_weight_role;

typedef struct kl_weight_args {
    size_t size;
    unsigned mark;
    bool trainable;
    const char *name;               /* "kernel" */
    int64_t shape[KL_MAX_RANK + 1]; /* ended by 0; KL_SCALAR for () */
    const char *dtype;              /* NULL: the layer's variable dtype */
    kl_named initializer;           /* NULL: glorot_uniform for floats, zeros otherwise */
    kl_named regularizer, constraint;
    kl_weight_role role;
    char pos_;
    kl_layer *layer;
} kl_weight_args;
/* kl_add_weight(self, .name = "kernel", .shape = {n, units}, .initializer = "zeros"). The layer
   owns the weight. */
KL_API kl_weight *kl_add_weight_with(const kl_weight_args *args);
KL_API kl_weight_args kl_weight_defaults(void);
#ifndef __cplusplus
#define kl_add_weight(...)                                                                         \
    KL_CALL_(kl_add_weight_with, kl_weight_args, (.trainable = true, .pos_ = 0), __VA_ARGS__)
#endif

/* Weights of the layer and its sublayers: how many, and the i-th (get_weights order), lent. */
KL_API int kl_layer_weight_count(const kl_layer *layer);
KL_API kl_weight *kl_layer_weight(const kl_layer *layer, int index);
KL_API int kl_layer_trainable_weight_count(const kl_layer *layer);
KL_API kl_weight *kl_layer_trainable_weight(const kl_layer *layer, int index);
KL_API int kl_layer_non_trainable_weight_count(const kl_layer *layer);
KL_API kl_weight *kl_layer_non_trainable_weight(const kl_layer *layer, int index);
/* Up to `capacity` weights' values into out, lent; returns how many there are. */
KL_API int kl_layer_weights(const kl_layer *layer, kl_tensor **out, int capacity);
/* Sets all weights, shapes checked before any changes. */
KL_API kl_status kl_layer_set_weights(kl_layer *layer, int count, kl_tensor *const *values);
/* Number of elements in all weights (count_params). */
KL_API int64_t kl_layer_count_params(const kl_layer *layer);

KL_API const char *kl_weight_name(const kl_weight *weight);
/* "dense_1/kernel" */
KL_API const char *kl_weight_path(const kl_weight *weight);
KL_API kl_tensor *kl_weight_value(const kl_weight *weight);
KL_API bool kl_weight_trainable(const kl_weight *weight);
KL_API kl_status kl_weight_set_trainable(kl_weight *weight, bool trainable);
/* Overwrites the value; equal shape, dtype converted. */
KL_API kl_status kl_weight_assign(kl_weight *weight, const kl_tensor *value);
KL_API const kl_regularizer *kl_weight_regularizer(const kl_weight *weight);
KL_API const kl_constraint *kl_weight_constraint(const kl_weight *weight);

/* ---- For a layer's own functions ----------------------------------------------------------- */

/* Adds a sublayer under an attribute name (what its weights' path in a file is called); the
   reference is taken over. Several under one name make a list. Returns it, NULL on error. */
KL_API kl_layer *kl_add_sublayer(kl_layer *self, const char *attribute, kl_layer *sublayer);

/* What inputs must be like; checked before each call with Keras's messages. 0: not checked. */
typedef struct kl_input_spec {
    int ndim, min_ndim, max_ndim;
    int axis; /* with dim: the size that this axis must have */
    int64_t dim;
} kl_input_spec;
/* For input `index`; replaces what was there. */
KL_API kl_status kl_set_input_spec(kl_layer *self, int index, kl_input_spec spec);

/* Inside call: */
KL_API bool kl_training(const kl_context *ctx);
/* The weight's value in this call (a pending update if there is one), in the compute dtype. */
KL_API kl_tensor *kl_read(kl_context *ctx, const kl_weight *weight);
/* The same in the weight's own dtype. */
KL_API kl_tensor *kl_read_variable(kl_context *ctx, const kl_weight *weight);
/* The weight's new value, committed when the outermost call or the training step succeeds. */
KL_API kl_status kl_update(kl_context *ctx, const kl_weight *weight, kl_tensor *value);
/* A scalar (others are summed) added to the model's loss. */
KL_API kl_status kl_add_loss(kl_context *ctx, kl_tensor *loss);
/* A value averaged over batches and reported under the name. */
KL_API kl_status kl_add_metric(kl_context *ctx, const char *name, kl_tensor *value);
/* What kl_call_with was given; NULL or empty without. */
KL_API kl_tensor *kl_input_mask(const kl_context *ctx, int index);
KL_API kl_tensors kl_initial_state(const kl_context *ctx);
KL_API kl_tensors kl_constants(const kl_context *ctx);
/* A further tensor argument by Keras's name ("attention_mask"), or NULL; and a flag. */
KL_API kl_tensor *kl_call_argument(const kl_context *ctx, const char *name);
KL_API bool kl_call_flag(const kl_context *ctx, const char *name, bool otherwise);

/* ---- Calling ------------------------------------------------------------------------------- */

/*
 * One tensor to one (a list's first). Builds the layer at the first call. On a symbolic tensor it
 * records the layer in the graph and returns a symbolic tensor; the graph then owns the layer. With
 * NULL for the input the layer stays the caller's.
 */
KL_API kl_tensor *kl_call(kl_layer *layer, kl_tensor *input);

typedef enum kl_flag { KL_UNSET = 0, KL_FALSE = 1, KL_TRUE = 2 } kl_flag;

typedef struct kl_call_args {
    size_t size;
    unsigned mark;
    kl_tensor *inputs[KL_MAX_LIST]; /* ended by NULL */
    kl_tensors inputs_list;         /* or this */
    kl_flag training;               /* unset: that of the call around, else inference */
    kl_tensor *masks[KL_MAX_LIST];  /* by input; beats the mask an input carries */
    kl_tensor *initial_state[KL_MAX_LIST];
    kl_tensor *constants[KL_MAX_LIST];
    struct {
        const char *name;
        kl_tensor *value; /* or NULL and the flag */
        bool flag;
    } arguments[8]; /* further arguments by Keras's names */
    char pos_;
    kl_layer *layer;
} kl_call_args;
/*
 * kl_call_with(layer, .inputs = {a, b}, .training = KL_TRUE): many to many. Outputs are handed out
 * like those of an op, one reference each; the list itself is valid until this thread's next
 * kl_call_with outside a scope, or within one until it ends. at == NULL on error.
 */
KL_API kl_tensors kl_call_with_args(const kl_call_args *args);
#ifndef __cplusplus
#define kl_call_with(...) KL_CALL_(kl_call_with_args, kl_call_args, (.pos_ = 0), __VA_ARGS__)
#endif

/* Builds for input shapes (-1: unknown), without a call. */
KL_API kl_status kl_layer_build(kl_layer *layer, const kl_shape *inputs, int count);
/* The output shapes for input shapes; `outputs` has room for KL_MAX_LIST. */
KL_API kl_status kl_layer_output_shape(kl_layer *layer, const kl_shape *inputs, int count,
                                       kl_shape *outputs, int *output_count);
/* The penalties of the weights' regularizers and what the last call outside a model added, summed;
   a scalar of the caller's. */
KL_API kl_tensor *kl_layer_losses(kl_layer *layer);
/* The losses one by one: up to capacity into out (each the caller's); returns how many, -1 on
   error. */
KL_API int kl_layer_losses_list(kl_layer *layer, kl_tensor **out, int capacity);
/* Stateful layers and all below: back to the initial state. Preprocessing layers forget what they
   took in since they last learned. */
KL_API kl_status kl_layer_reset_state(kl_layer *layer);

/*
 * Preprocessing layers learn from data [samples, ...]: from a tensor, from NUL-terminated texts, or
 * from a source that is asked for batch after batch, so that no more than one need be in memory.
 * `next` sets *batch to a tensor that lives until it is asked again, or leaves it NULL at the end;
 * its failure ends adapt with the same error. What was learned before is forgotten at success, and
 * stays after a failure.
 */
KL_API kl_status kl_layer_adapt(kl_layer *layer, kl_tensor *data);
KL_API kl_status kl_layer_adapt_texts(kl_layer *layer, const char *const *texts, int64_t count);
KL_API kl_status kl_layer_adapt_source(kl_layer *layer,
                                       kl_status (*next)(void *user, kl_tensor **batch),
                                       void *user);
/* The steps of adapt one by one, from kl_layer_reset_state() on: a batch, and the end. */
KL_API kl_status kl_layer_update_state(kl_layer *layer, kl_tensor *batch);
KL_API kl_status kl_layer_finalize_state(kl_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
