#include "ops/activation.h"

#include "kernels/elementwise.h"
#include "objects/object.h"
#include "ops/common.h"

kl_fused_activation kl_fused_of(const kl_activation *activation)
{
    if (!activation)
        return KL_FUSED_NONE;
    const kl_object *object = (const kl_object *)activation;
    return (kl_fused_activation)((const kl_activation_vtable *)object->cls)->fused;
}

void kl_fused_apply(kl_fused_activation fused, kl_tensor *y, bool relu_done)
{
    static const kl_unary kernels[] = {[KL_FUSED_RELU] = KL_UNARY_RELU,
                                       [KL_FUSED_TANH] = KL_UNARY_TANH,
                                       [KL_FUSED_SIGMOID] = KL_UNARY_SIGMOID};
    float *f = (float *)(void *)y->data;
    double *d = (double *)(void *)y->data;
    if (fused == KL_FUSED_NONE || (fused == KL_FUSED_RELU && relu_done) || !y->size)
        return;
    if (fused == KL_FUSED_SOFTMAX) {
        int64_t n = y->shape[y->rank - 1];
        if (kl_is_wide(y))
            kl_softmax_rows_f64(y->size / n, n, d, d, false);
        else
            kl_softmax_rows_f32(y->size / n, n, f, f, false);
    } else if (kl_is_wide(y)) {
        kl_unary_f64(kernels[fused], NULL, y->size, d, d);
    } else {
        kl_unary_f32(kernels[fused], NULL, y->size, f, f);
    }
}

kl_tensor *kl_fused_back(kl_fused_activation fused, kl_tensor *y, kl_tensor *dy)
{
    static const kl_unary kernels[] = {[KL_FUSED_RELU] = KL_UNARY_RELU,
                                       [KL_FUSED_TANH] = KL_UNARY_TANH,
                                       [KL_FUSED_SIGMOID] = KL_UNARY_SIGMOID};
    if (fused == KL_FUSED_NONE)
        return dy;
    if (fused == KL_FUSED_SOFTMAX) {
        int last = -1;
        kl_tensor *total = kl_op_sum(kl_op_mul(dy, y), 1, &last, true);
        return kl_op_mul(y, kl_op_sub(dy, total));
    }
    kl_tensor *from = kl_dense_values(dy), *value = kl_dense_values(y);
    kl_tensor *dx = from && value ? kl_empty((kl_dtype)y->dtype, y->rank, y->shape) : NULL;
    if (!dx)
        return NULL;
    if (kl_is_wide(y)) {
        const double *v = (const double *)(const void *)value->data;
        kl_unary_grad_f64(kernels[fused], NULL, y->size, v, v,
                          (const double *)(const void *)from->data, (double *)(void *)dx->data);
    } else {
        const float *v = (const float *)(const void *)value->data;
        kl_unary_grad_f32(kernels[fused], NULL, y->size, v, v,
                          (const float *)(const void *)from->data, (float *)(void *)dx->data);
    }
    return dx;
}

kl_tensor *kl_fused_compose(kl_fused_activation fused, kl_tensor *z)
{
    switch (fused) {
    case KL_FUSED_RELU:
        return kl_op_relu(z);
    case KL_FUSED_TANH:
        return kl_op_tanh(z);
    case KL_FUSED_SIGMOID:
        return kl_op_sigmoid(z);
    case KL_FUSED_SOFTMAX:
        return kl_op_softmax(z, -1);
    default:
        return z;
    }
}
