/* What differs between the kinds of objects. */
#ifndef KL_OBJECTS_KINDS_H
#define KL_OBJECTS_KINDS_H

#include "objects/object.h"

const char *kl_kind_text(kl_kind kind);
const char *kl_kind_module(kl_kind kind);
/* NULL if the kind has none. */
const kl_kind_hooks *kl_kind_get_hooks(kl_kind kind);
/* Whether kl_register_class made the class known. */
bool kl_class_is_registered(kl_kind kind, const kl_class *cls);

/* Defaults into a state, as owned copies and objects. */
kl_status kl_fields_start(const char *what, const kl_field *fields, void *state);
/* Gives back the floating objects among arguments that can't be used. */
void kl_fields_release_args(const kl_field *fields, const void *args, size_t size);

#endif
