/* Windows as arguments: a name, or a list of values. */
#ifndef KL_INITIALIZERS_STFT_H
#define KL_INITIALIZERS_STFT_H

#include "klayers/initializers.h"

extern const kl_initializer_vtable kl_stft_class;

/* A config's "window" that is a list becomes "window_values", and back. */
kl_status kl_window_from_config(kl_config *config);
kl_status kl_window_to_config(kl_floats values, kl_config *config);
/* `count` values; ones without a name. `values`, if there are any, come first and must be as many.
 */
kl_status kl_window_fill(const char *name, kl_floats values, bool periodic, int64_t count,
                         double *out);

#define KL_WINDOW_FIELDS(type)                                                                     \
    {"window",                                                                                     \
     KL_FIELD_STRING,                                                                              \
     offsetof(type, window),                                                                       \
     "hann",                                                                                       \
     .doc = "a window of SciPy's",                                                                 \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
    {                                                                                              \
        "window_values", KL_FIELD_FLOATS, offsetof(type, window_values),                           \
            .doc = "in its place", .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN                    \
    }

#endif
