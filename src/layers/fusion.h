/*
 * How an executor joins a layer with its neighbours at inference. What a layer offers here is the
 * slot `fusion` of its vtable; the joining itself is in src/models/fusion.c.
 */
#ifndef KL_LAYERS_FUSION_H
#define KL_LAYERS_FUSION_H

#include "layers/layer.h"

/* The weights of a layer that is linear in its kernel. */
typedef struct kl_linear_parts {
    const kl_weight *kernel, *bias; /* bias NULL: none */
    /* The kernel's axes that, in C order, are the output's channels; and the output's axis. */
    int kernel_axis, kernel_axes, channel_axis;
} kl_linear_parts;

/* x * gamma / sqrt(variance + epsilon) + ..., channel by channel. */
typedef struct kl_affine_parts {
    const kl_weight *gamma, *beta; /* NULL: none */
    const kl_weight *mean, *variance;
    double epsilon;
    int channel_axis;
} kl_affine_parts;

typedef struct kl_layer_fusion {
    /* False if the layer does more now than multiply and add (an activation, LoRA). */
    bool (*linear)(const kl_layer *self, kl_linear_parts *parts);
    /* With `linear`: the layer's output with another kernel, bias and activation. */
    kl_tensor *(*apply)(const kl_layer *self, kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                        const kl_activation *activation);
    /* Layers that scale and shift at inference; false if not of one axis. */
    bool (*affine)(const kl_layer *self, kl_affine_parts *parts);
    /* The layer adds its inputs. */
    bool sum;
    /* Whether the layer is max(x, 0). */
    bool (*relu)(const kl_layer *self);
} kl_layer_fusion;

/* What the layer offers, or NULL. */
const kl_layer_fusion *kl_fusion_of(const kl_layer *layer);
/* Whether an activation does nothing. */
bool kl_activation_is_linear(const kl_activation *activation);

#endif
