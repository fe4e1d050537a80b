/* How tensors get into the innermost open scope of their thread. */
#ifndef KL_TENSOR_SCOPE_H
#define KL_TENSOR_SCOPE_H

#include "tensor/tensor.h"

/* Gives the innermost scope the tensor (which then holds it); false if no scope is open, or with
   the error set when memory runs out. */
bool kl_scope_take(kl_tensor *tensor);
/* Frees what scopes keep for reuse on this thread, if none is open. */
void kl_scope_drop_cache(void);

#endif
