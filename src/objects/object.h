/* The inside of objects with described arguments. */
#ifndef KL_OBJECTS_OBJECT_H
#define KL_OBJECTS_OBJECT_H

#include <stdatomic.h>
#include "klayers/object.h"

/*
 * The head of every object; kinds with more of their own (layers) begin with it. `refs` packs the
 * user's references (low 32 bits) and those of owners (high 32 bits); see kl_object_release.
 */
struct kl_object {
    uint8_t magic; /* 0xFF: no UTF-8 text begins so */
    uint8_t kind;
    _Atomic uint8_t floating; /* the user's first reference waits for an owner */
    _Atomic uint64_t refs;
    const kl_class *cls;
    void *state;
};

/* Takes an owner's reference, the floating one if it is still there; and gives it back. */
void *kl_object_own(const void *object);
void kl_object_disown(const void *object);

/* Takes over an object that a failed call was given, which frees it if nobody else has it. Names
   and NULL are allowed; the error stays. */
void kl_named_drop(kl_named value);

/*
 * A named argument as an owned object: a name with default arguments, or an object of `kind`
 * (taken over). *out is NULL for None. An unknown name or a wrong kind is an error naming both.
 */
kl_status kl_named_resolve(kl_kind kind, kl_named value, kl_object **out);

/* How a kind makes its objects: layers allocate a larger head. Default: kl_object plus state. */
typedef struct kl_kind_hooks {
    kl_object *(*allocate)(const kl_class *cls); /* zeroed head and state */
    /* Takes the keys that every object of the kind has (a layer's name, trainable, dtype) out of a
       config, and adds them to one. */
    kl_status (*from_config)(kl_object *object, kl_config *config);
    kl_status (*get_config)(const kl_object *object, kl_config *config);
    /* After the fields, before the class's init. `args`: the argument struct or NULL. */
    kl_status (*start)(kl_object *object, const void *args);
    void (*destroy)(kl_object *object); /* after the class's destroy and the fields */
    /* The built-in class of a name, or NULL. */
    const kl_class *(*find)(const char *name);
} kl_kind_hooks;
/* Hooks are set by the kind's first constructor; setting the same again is fine. */
void kl_kind_set_hooks(kl_kind kind, const kl_kind_hooks *hooks);

/* Field tables at work. `state` is where the offsets point. */
kl_status kl_fields_defaults(const kl_field *fields, void *state);
/* Deep copy from an argument struct; objects are taken over. `args_size` bytes are the caller's,
   what lies beyond takes defaults. */
kl_status kl_fields_copy(const char *what, const kl_field *fields, void *state, const void *args,
                         size_t args_size);
/* Takes known keys out of `config`; keys left over are an error unless `lenient`. */
kl_status kl_fields_read(const char *what, const kl_field *fields, void *state, kl_config *config);
kl_status kl_fields_write(const kl_field *fields, const void *state, kl_config *config);
void kl_fields_free(const kl_field *fields, void *state);

/* Class by name among registered and built-in ones of a kind; NULL if unknown (no error set). */
const kl_class *kl_class_find(kl_kind kind, const char *name);
/* Reports a class that kl_class_find didn't find: with the reason where one is known. */
void kl_error_unknown_class(kl_kind kind, const char *name);
void kl_registry_clear(void);
/* Whether a class goes by this name or has it among its `names`. */
bool kl_class_is_named(const kl_class *cls, const char *name);
/*
 * The built-in classes that arguments may name, of the kinds below layers; each kind's table is in
 * its folder. NULL if unknown.
 */
const kl_class *kl_builtin_class(kl_kind kind, const char *name);
const kl_class *kl_builtin_activation(const char *name);
const kl_class *kl_builtin_initializer(const char *name);
const kl_class *kl_builtin_regularizer(const char *name);
const kl_class *kl_builtin_constraint(const char *name);
/* An object of a function that was registered under the name; NULL without an error if none was. */
kl_object *kl_registered_function(kl_kind kind, const char *name);
/* Keras's module where it isn't the kind's: activations with arguments are layers. NULL: the
   kind's. */
const char *kl_builtin_module(kl_kind kind, const char *class_name);
/* The class name of objects made of one function; their config holds its name. */
#define KL_FUNCTION_CLASS "CustomFunction"

/* From a config: {"class_name", "config"} object or a bare class name and its config map. */
void *kl_object_from_config(kl_kind kind, const kl_class *cls, const kl_config *config);

#endif
