/* Ops by the class name that saved graphs hold. */
#ifndef KL_OPS_REGISTRY_H
#define KL_OPS_REGISTRY_H

#include "klayers/ops.h"

/* A registered or built-in op; NULL if unknown. Who calls this links every op. */
const kl_op *kl_op_find(const char *class_name);

#endif
