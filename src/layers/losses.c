/* Penalties of weights and activity outside the fit loop. */
#include "layers/layer.h"

#include "base/alloc.h"
#include "base/error.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

kl_status kl_layer_regularization(const kl_layer *layer, kl_context *ctx, kl_tensor **out,
                                  int capacity, int *count)
{
    *count = 0;
    kl_weight *few[64], **weights = few;
    int total = kl_layer_list_weights(layer, true, few, 64);
    if (total > 64) {
        weights = kl_malloc_array((size_t)total, sizeof *weights);
        if (!weights)
            return KL_ERROR_MEMORY;
        kl_layer_list_weights(layer, true, weights, total);
    }
    kl_status status = KL_OK;
    for (int i = 0; !status && i < total; i++) {
        if (!weights[i]->regularizer)
            continue;
        kl_tensor *value = ctx ? kl_read_variable(ctx, weights[i]) : weights[i]->value;
        kl_tensor *penalty = kl_regularizer_call(weights[i]->regularizer, value);
        if (!penalty) {
            kl_error_prefix(weights[i]->path);
            status = kl_last_status();
        } else {
            if (*count < capacity)
                out[*count] = penalty;
            else
                kl_release(penalty);
            ++*count;
        }
    }
    if (weights != few)
        kl_free(weights);
    return status;
}

int kl_layer_losses_list(kl_layer *layer, kl_tensor **out, int capacity)
{
    if (!layer || (capacity && !out)) {
        kl_error_null("kl_layer_losses_list", layer ? "out" : "layer");
        return -1;
    }
    int count = 0;
    for (; count < layer->loss_count; count++)
        if (count < capacity)
            out[count] = kl_retain(layer->losses[count]);
    int written = count < capacity ? count : capacity, penalties;
    if (kl_layer_regularization(layer, NULL, out + written, capacity - written, &penalties)) {
        for (int i = 0; i < written; i++)
            kl_release(out[i]);
        return -1;
    }
    return count + penalties;
}

kl_tensor *kl_layer_losses(kl_layer *layer)
{
    if (!layer) {
        kl_error_null("kl_layer_losses", "layer");
        return NULL;
    }
    kl_tensor *few[64];
    int count = kl_layer_losses_list(layer, few, 64);
    if (count < 0)
        return NULL;
    if (count > 64) {
        kl_error(KL_ERROR_UNSUPPORTED, "%s has more than 64 losses: use kl_layer_losses_list",
                 layer->name);
        count = 64;
    }
    kl_tensor *total = kl_scalar(layer->variable_dtype, 0);
    for (int i = 0; i < count; i++) {
        kl_tensor *one = few[i]->rank ? kl_op_sum(few[i], KL_ALL_AXES, false) : kl_retain(few[i]);
        kl_tensor *next = total ? kl_op_add(total, one) : NULL;
        kl_release(total);
        kl_release(one);
        kl_release(few[i]);
        total = next;
    }
    return total;
}
