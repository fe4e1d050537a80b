/* What the two halves of the field machinery share. */
#ifndef KL_OBJECTS_FIELDS_H
#define KL_OBJECTS_FIELDS_H

#include "objects/object.h"

/* Bytes of a field's value in a struct. */
size_t kl_field_size(const kl_field *field);
/* Whether the field holds an object, and of which kind. */
bool kl_field_kind(const kl_field *field, kl_kind *kind);
/* Range, choices, None; spreads a lone first dimension. */
kl_status kl_field_check(const char *what, const kl_field *field, void *slot);
/* The default, as an owned value in the state. */
kl_status kl_field_take_default(const char *what, const kl_field *field, void *state);

/* The double nearest to the shortest text that reads back as the same float, where the value came
   from a float: 0.1f is written 0.1. */
double kl_shortest_double(double value);

#endif
