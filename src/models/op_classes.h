/* Keras's classes of operations, for saved graphs. */
#ifndef KL_MODELS_OP_CLASSES_H
#define KL_MODELS_OP_CLASSES_H

#include "klayers/ops.h"

/* The module below keras.src.ops that a class is in: "numpy", "nn", "core", "math". */
const char *kl_op_module(const char *class_name);

#endif
