/* Activations that products and convolutions apply in place. */
#ifndef KL_OPS_ACTIVATION_H
#define KL_OPS_ACTIVATION_H

#include "klayers/activations.h"

/* What kl_activation_vtable.fused holds; each can go back from its output alone. */
typedef enum kl_fused_activation {
    KL_FUSED_NONE,
    KL_FUSED_RELU,
    KL_FUSED_TANH,
    KL_FUSED_SIGMOID,
    KL_FUSED_SOFTMAX /* over the last axis */
} kl_fused_activation;

/* The fused form of an activation, or NONE; linear is NONE too. */
kl_fused_activation kl_fused_of(const kl_activation *activation);
/* In place on a contiguous tensor; `relu_done`: the kernel's epilogue did relu already. */
void kl_fused_apply(kl_fused_activation fused, kl_tensor *y, bool relu_done);
/* dy * f' from the output, through ops. */
kl_tensor *kl_fused_back(kl_fused_activation fused, kl_tensor *y, kl_tensor *dy);
/* The same activation as an op. */
kl_tensor *kl_fused_compose(kl_fused_activation fused, kl_tensor *z);

#endif
