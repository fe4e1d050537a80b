/*
 * Objects with described arguments: what layers, initializers, regularizers, constraints,
 * activations, losses, metrics, optimizers, schedules and callbacks have in common.
 *
 * An object's arguments are described once, by a table of fields; defaults, validation,
 * get_config, from_config and documentation come from it.
 *
 * Ownership. A constructor gives the caller a floating reference: the first owner that the object
 * is handed to (an argument of another constructor, kl_add, a symbolic kl_call, kl_compile) takes
 * it over, also when that call fails; an object nobody took is freed with kl_object_release().
 * kl_object_retain() makes a reference of the caller's own, to be released apart. Releasing without
 * one leaves an owned object alone.
 */
#ifndef KLAYERS_OBJECT_H
#define KLAYERS_OBJECT_H

#include <math.h>
#include "klayers/base.h"
#include "klayers/config.h"
#include "klayers/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every kind of object with its name in messages and Keras's module for its classes. */
#define KL_KIND_LIST(X)                                                                            \
    X(KL_KIND_LAYER, "layer", "keras.layers")                                                      \
    X(KL_KIND_INITIALIZER, "initializer", "keras.initializers")                                    \
    X(KL_KIND_REGULARIZER, "regularizer", "keras.regularizers")                                    \
    X(KL_KIND_CONSTRAINT, "constraint", "keras.constraints")                                       \
    X(KL_KIND_ACTIVATION, "activation", "keras.activations")                                       \
    X(KL_KIND_LOSS, "loss", "keras.losses")                                                        \
    X(KL_KIND_METRIC, "metric", "keras.metrics")                                                   \
    X(KL_KIND_OPTIMIZER, "optimizer", "keras.optimizers")                                          \
    X(KL_KIND_SCHEDULE, "schedule", "keras.optimizers.schedules")                                  \
    X(KL_KIND_CALLBACK, "callback", "keras.callbacks")

typedef enum kl_kind {
#define KL_KIND_ENUM_(id, text, module) id,
    KL_KIND_LIST(KL_KIND_ENUM_)
#undef KL_KIND_ENUM_
        KL_KIND_COUNT
} kl_kind;

/* The C type that a field of each type describes, in the argument struct and in the state. */
typedef enum kl_field_type {
    KL_FIELD_END = 0,     /* closes the table */
    KL_FIELD_BOOL,        /* bool */
    KL_FIELD_INT,         /* int64_t; None is KL_NONE */
    KL_FIELD_FLOAT,       /* double; None is KL_NONEF */
    KL_FIELD_STRING,      /* const char *; `choices` lists what is allowed */
    KL_FIELD_DIMS,        /* int64_t[count], one value an axis; a lone first value means all axes;
                             a config has a number or a list */
    KL_FIELD_SHAPE,       /* int64_t[KL_MAX_RANK + 1], ended by 0; first value KL_SCALAR is () */
    KL_FIELD_INTS,        /* kl_ints; None is {NULL, 0}; a config may have one number */
    KL_FIELD_FLOATS,      /* kl_floats; likewise */
    KL_FIELD_STRINGS,     /* kl_strings; likewise */
    KL_FIELD_DTYPE,       /* const char *: "float32", "mixed_bfloat16", ...; a config may have a
                             DTypePolicy object */
    KL_FIELD_ACTIVATION,  /* kl_named in the argument struct; in the state an object, or NULL */
    KL_FIELD_INITIALIZER, /* likewise, and so the next three */
    KL_FIELD_REGULARIZER,
    KL_FIELD_CONSTRAINT,
    KL_FIELD_LAYER,
    KL_FIELD_TENSOR,  /* kl_tensor *: numbers, in a config nested lists; the state holds it */
    KL_FIELD_CONFIG,  /* const char *: any JSON text; the state owns a copy */
    KL_FIELD_POINTER, /* void *: a function or user data; never in a config */
    KL_FIELD_IGNORED, /* no storage: a key that configs may have and that changes nothing */
    KL_FIELD_PAIRS    /* kl_ints: before and after each of `count` axes. One value means all, one an
                         axis both sides; the state has two an axis. None is the default; a config
                         has a number, or a list of numbers or pairs */
} kl_field_type;

enum {
    KL_FIELD_REQUIRED = 1,   /* no default: a config without it is an error */
    KL_FIELD_OPTIONAL = 2,   /* may be None */
    KL_FIELD_HIDDEN = 4,     /* taken from a config, never written to one */
    KL_FIELD_UNKNOWN_OK = 8, /* SHAPE: -1 stands for an unknown dimension */
    KL_FIELD_LONE = 16,      /* INTS, FLOATS, DIMS: one value is written as a number, not a list */
    KL_FIELD_INFERRED = 32   /* SHAPE: an unknown dimension is written as -1, not None */
};

/* The shape () in a list of dimensions. */
#define KL_SCALAR (INT64_MIN + 1)

typedef struct kl_field {
    const char *name; /* Keras's */
    kl_field_type type;
    size_t offset;   /* offsetof(the argument struct, member) */
    const char *def; /* the default as text: "true", "0.99", "glorot_uniform", "2, 2"; NULL: None,
                        0, false, or all zeros */
    const char *doc;
    double min, max;     /* for numbers, checked if min < max; inclusive */
    const char *choices; /* for strings: "valid|same|causal" */
    const char *alias;   /* another key that configs may use for it; "a|b" for several */
    int count;           /* DIMS, PAIRS: how many axes */
    unsigned flags;
} kl_field;

/*
 * What every vtable begins with. `state` is the object's own memory, zeroed and then given its
 * arguments: it begins with the argument struct (`args_size` bytes), which itself begins with
 * `size_t size; unsigned mark;`.
 */
#define KL_CLASS_HEAD                                                                              \
    size_t size;            /* MUST: sizeof(the vtable struct) */                                  \
    const char *class_name; /* MUST: Keras's, or the user's own */                                 \
    const char *names;      /* MAY: strings that name it with default arguments, "a|b" */          \
    const char *package;    /* MAY: the package part of a registered name; NULL: built in, or */   \
                            /* "Custom" for registered classes */                                  \
    const char *module;     /* MAY: Keras's, where it isn't the kind's usual one */                \
    size_t state_size;      /* MUST: at least args_size */                                         \
    size_t args_size;       /* MAY: 0: the state is what `fields` describes, no argument head */   \
    const kl_field *fields; /* MAY: arguments; NULL: none */                                       \
    /* MAY: after the arguments are in place: checks them together, prepares the state. On an */   \
    /* error the object is destroyed (`destroy` is called on the zeroed or half-made state). */    \
    kl_status (*init)(void *self);                                                                 \
    /* MAY: adds what `fields` don't describe to the map of the config. */                         \
    kl_status (*get_config)(const void *self, kl_config *config);                                  \
    /* MAY: called on the new state before the fields are read; takes keys of its own out of the   \
     */                                                                                            \
    /* map (kl_config_detach), so that they aren't unknown. */                                     \
    kl_status (*from_config)(void *self, kl_config *config);                                       \
    /* MAY: frees what the state owns beyond its fields. Never fails. */                           \
    void (*destroy)(void *self);

typedef struct kl_class {
    KL_CLASS_HEAD
} kl_class;

typedef struct kl_object kl_object;
typedef struct kl_layer kl_layer;
typedef struct kl_initializer kl_initializer;
typedef struct kl_regularizer kl_regularizer;
typedef struct kl_constraint kl_constraint;
typedef struct kl_activation kl_activation;
typedef struct kl_loss kl_loss;
typedef struct kl_metric kl_metric;
typedef struct kl_optimizer kl_optimizer;
typedef struct kl_schedule kl_schedule;
typedef struct kl_callback kl_callback;

/* Any object of the library (not tensors). NULL is allowed; release takes any kind. */
KL_API void *kl_object_retain(const void *object);
KL_API void kl_object_release(const void *object);
/* The kind and class of an object; the class name of NULL is "None". */
KL_API kl_kind kl_object_kind(const void *object);
KL_API const char *kl_object_class_name(const void *object);
/* The state that the vtable's functions work on, lent. */
KL_API void *kl_object_state(const void *object);
/*
 * The config as Keras's serialize gives it: {"module", "class_name", "config",
 * "registered_name"}; the caller frees it. And back, for any registered class of that kind; a
 * plain string is taken as a name.
 */
KL_API kl_config *kl_object_serialize(const void *object);
KL_API void *kl_object_deserialize(kl_kind kind, const kl_config *config);
/* The object's own config map alone (get_config). */
KL_API kl_config *kl_object_get_config(const void *object);

/*
 * Makes an object of a class, with arguments (a struct of the class's, whose head is size and
 * mark) or, with NULL, its defaults. For constructors of custom classes.
 */
KL_API void *kl_object_new(kl_kind kind, const kl_class *cls, const void *args);

/* Makes a class known to deserialize by its class_name and `names`. KL_ERROR_STATE if the name is
   taken by another class; registering the same one twice is fine. */
KL_API kl_status kl_register_class(kl_kind kind, const kl_class *cls);

#ifdef __cplusplus
}
#endif
#endif
