/* Objects made of one function of the user's, and the functions that configs may name. */
#ifndef KL_OBJECTS_FUNCTIONS_H
#define KL_OBJECTS_FUNCTIONS_H

#include "objects/object.h"

/* Any function; cast back to its own type where it is called. */
typedef void kl_any_function(void);

/* The state of such an object. */
typedef struct kl_own_function {
    kl_any_function *function;
    void *user;
    char *name;
} kl_own_function;

/* What the vtables of their classes have in common. */
#define KL_OWN_FUNCTION_CLASS                                                                      \
    .class_name = KL_FUNCTION_CLASS, .package = "Custom", .state_size = sizeof(kl_own_function),   \
    .fields = kl_own_function_fields, .get_config = kl_own_function_get_config,                    \
    .destroy = kl_own_function_destroy
extern const kl_field kl_own_function_fields[];
kl_status kl_own_function_get_config(const void *self, kl_config *config);
void kl_own_function_destroy(void *self);

/* `maker`: the public function, in messages. */
void *kl_own_function_new(const char *maker, kl_kind kind, const kl_class *cls, const char *name,
                          kl_any_function *function, void *user);
/* Makes the function known by name, its package perhaps in front; the latest of a name counts. */
kl_status kl_own_function_register(const char *maker, kl_kind kind, const kl_class *cls,
                                   const char *name, kl_any_function *function, void *user);

#endif
