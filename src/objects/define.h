/* The two functions behind the macro of every class with arguments. */
#ifndef KL_OBJECTS_DEFINE_H
#define KL_OBJECTS_DEFINE_H

#include "base/error.h"
#include "objects/object.h"

#define KL_DEFINE_CLASS(name, cls, type, kind)                                                     \
    type *name##_new(const name##_args *args)                                                      \
    {                                                                                              \
        if (!args) {                                                                               \
            kl_error_null(#name, "args");                                                          \
            return NULL;                                                                           \
        }                                                                                          \
        return kl_object_new(kind, (const kl_class *)&cls, args);                                  \
    }                                                                                              \
    name##_args name##_defaults(void)                                                              \
    {                                                                                              \
        name##_args args = {.size = sizeof args, .mark = kl_error_count()};                        \
        kl_fields_defaults((cls).fields, &args);                                                   \
        return args;                                                                               \
    }

#endif
