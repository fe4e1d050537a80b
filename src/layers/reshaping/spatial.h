/* What the layers that change spatial sizes share. */
#ifndef KL_LAYERS_RESHAPING_SPATIAL_H
#define KL_LAYERS_RESHAPING_SPATIAL_H

#include <string.h>

#include "klayers/layer.h"

#define PAIRS_FIELD(text, args, member, rank, default, about)                                      \
    {                                                                                              \
        text, KL_FIELD_PAIRS, offsetof(args, member), default, .doc = about, .min = 0,             \
                                                               .max = 2147483647, .count = rank    \
    }

#define DATA_FORMAT_FIELD(args)                                                                    \
    {                                                                                              \
        "data_format", KL_FIELD_STRING, offsetof(args, data_format), "channels_last",              \
            .doc = "where the channels stand", .choices = "channels_last|channels_first",          \
            .flags = KL_FIELD_OPTIONAL                                                             \
    }

/* Pairs of the spatial axes among zeros for all axes; returns the first spatial axis. */
static inline int kl_spread_pairs(kl_ints pairs, bool channels_first, int64_t *pads)
{
    const int first = channels_first ? 2 : 1;
    memset(pads, 0, 2 * KL_MAX_RANK * sizeof *pads);
    memcpy(pads + 2 * (ptrdiff_t)first, pairs.at, pairs.count * sizeof *pads);
    return first;
}

#endif
