/* What the process keeps between calls: automatic names, and what to free at shutdown. */
#ifndef KL_BASE_SESSION_H
#define KL_BASE_SESSION_H

#include "klayers/base.h"

/*
 * The next automatic name of a class as Keras gives it: "Dense" gives "dense", then "dense_1", and
 * so on until kl_clear_session(). Safe from several threads. KL_ERROR_RANGE if `out` is too small.
 */
kl_status kl_unique_name(const char *class_name, char *out, size_t size);

/*
 * Has kl_shutdown() call `clean`, which frees a cache of some part and must work any number of
 * times. To be called whenever the cache is filled; a function is kept once.
 */
void kl_at_shutdown(void (*clean)(void));

#endif
