/* Keys of GetItem in saved graphs: Keras holds them among a call's arguments. */
#ifndef KL_MODELS_GET_ITEM_H
#define KL_MODELS_GET_ITEM_H

#include "klayers/config.h"
#include "ops/get_item.h"

/* From the second argument of the call. */
kl_status kl_key_read(const kl_config *config, kl_key *key);
/* NULL without memory. */
kl_config *kl_key_write(const kl_key *key);

#endif
