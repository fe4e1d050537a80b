/* Python's x[...] with a key of whole numbers, slices, an ellipsis and new axes. */
#ifndef KL_OPS_GET_ITEM_H
#define KL_OPS_GET_ITEM_H

#include "klayers/ops.h"

typedef enum kl_key_kind {
    KL_KEY_AT,    /* one index: the axis goes */
    KL_KEY_SLICE, /* start:stop:step; KL_NONE is an open end */
    KL_KEY_REST,  /* ... */
    KL_KEY_NEW    /* None: an axis of size 1 */
} kl_key_kind;

typedef struct kl_key_part {
    kl_key_kind kind;
    int64_t start, stop, step; /* KL_KEY_AT: start */
} kl_key_part;

enum { KL_KEY_MOST = 2 * KL_MAX_RANK + 1 };

/* The op's attributes. */
typedef struct kl_key {
    int count;
    kl_key_part parts[KL_KEY_MOST];
} kl_key;

extern const kl_op kl_get_item_op;

#endif
