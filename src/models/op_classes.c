#include "models/op_classes.h"

#include <string.h>

static const char *const nn_classes[] = {
    "Relu",
    "Relu6",
    "Sigmoid",
    "SparseSigmoid",
    "Softplus",
    "Softsign",
    "SoftShrink",
    "SparsePlus",
    "Silu",
    "Squareplus",
    "LogSigmoid",
    "LeakyRelu",
    "HardSigmoid",
    "HardSilu",
    "Elu",
    "Selu",
    "Gelu",
    "Celu",
    "Glu",
    "TanhShrink",
    "HardTanh",
    "HardShrink",
    "Threshold",
    "Softmax",
    "LogSoftmax",
    "Sparsemax",
    "MaxPool",
    "AveragePool",
    "Conv",
    "DepthwiseConv",
    "ConvTranspose",
    "OneHot",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
};
static const char *const math_classes[] = {"Logsumexp", "TopK", "Rsqrt", "Erf", "InTopK"};
static const char *const core_classes[] = {"Cast", "StopGradient", "Slice", "Unstack", "Scatter"};

static bool is_in(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, list[i]))
            return true;
    return false;
}

const char *kl_op_module(const char *class_name)
{
    if (is_in(class_name, nn_classes, sizeof nn_classes / sizeof *nn_classes))
        return "nn";
    if (is_in(class_name, math_classes, sizeof math_classes / sizeof *math_classes))
        return "math";
    if (is_in(class_name, core_classes, sizeof core_classes / sizeof *core_classes))
        return "core";
    return "numpy";
}
