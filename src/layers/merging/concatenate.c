#include "klayers/layers/merging.h"
#include "layers/layer.h"
#include "layers/merging/merge.h"
#include "tensor/tensor.h"

static const kl_field concatenate_fields[] = {{"axis", KL_FIELD_INT,
                                               offsetof(kl_concatenate_args, axis), "-1",
                                               .doc = "along which the inputs are put side by side",
                                               .min = -KL_MAX_RANK, .max = KL_MAX_RANK - 1},
                                              {0}};

static kl_status concatenate_build(kl_layer *self, const kl_shape *in, int count)
{
    const kl_concatenate_args *args = kl_layer_state(self);
    int axis = kl_axis("axis", (int)args->axis, in[0].rank);
    if (axis < 0)
        return kl_last_status();
    if (count < 2)
        return kl_error(KL_ERROR_SHAPE, "a Concatenate layer should be called on a list of "
                                        "inputs, got a single one");
    for (int i = 1; i < count; i++) {
        bool fits = in[i].rank == in[0].rank;
        for (int k = 0; fits && k < in[0].rank; k++)
            fits = k == axis || in[i].at[k] == in[0].at[k] || in[i].at[k] < 0 || in[0].at[k] < 0;
        if (!fits) {
            char a[160], b[160];
            return kl_error(KL_ERROR_SHAPE,
                            "Concatenate requires inputs with matching shapes except for the "
                            "concatenation axis %lld, got %s and %s",
                            (long long)args->axis, kl_shape_text(in[0].rank, in[0].at, a, sizeof a),
                            kl_shape_text(in[i].rank, in[i].at, b, sizeof b));
        }
    }
    return KL_OK;
}

static kl_tensors concatenate_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_concatenate_args *args = kl_layer_state(self);
    return kl_one(kl_op_concatenate(in.count, in.at, (int)args->axis));
}

/* The inputs' masks broadcast with their inputs and joined as the inputs are; unmasked ones count
   as kept; a step is kept if any of its features is. */
static kl_tensor *concatenate_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                                   kl_tensors masks, kl_tensors out, int index)
{
    const kl_concatenate_args *args = kl_layer_state(self);
    bool any = false;
    for (int i = 0; i < masks.count; i++)
        any = any || masks.at[i];
    if (!any)
        return NULL;
    kl_tensor **full = kl_scope_alloc((size_t)in.count * sizeof *full);
    if (!full)
        return NULL;
    for (int i = 0; i < in.count; i++) {
        kl_tensor *x = in.at[i], *mask = masks.at[i];
        if (!mask) {
            full[i] = kl_ones(KL_BOOL, x->rank, x->shape);
        } else if (mask->rank < x->rank) {
            full[i] =
                kl_op_logical_or(kl_op_expand_dims(mask, -1), kl_zeros(KL_BOOL, x->rank, x->shape));
        } else {
            full[i] = mask;
        }
        if (!full[i])
            return NULL;
    }
    return kl_op_any(kl_op_concatenate(in.count, full, (int)args->axis), KL_AXES(-1), false);
}

const kl_layer_vtable kl_concatenate_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Concatenate",
    .state_size = sizeof(kl_concatenate_args),
    .args_size = sizeof(kl_concatenate_args),
    .fields = concatenate_fields,
    .build = concatenate_build,
    .call = concatenate_call,
    .compute_mask = concatenate_mask,
    .flags = KL_LAYER_MANY_INPUTS,
};

KL_DEFINE_LAYER(kl_concatenate)

kl_tensor *kl_merge_concatenate_with(const kl_merge_call_args *args)
{
    kl_concatenate_args of = kl_concatenate_defaults();
    if (args)
        of.axis = args->axis;
    return kl_merge_once("kl_merge_concatenate", args, &kl_concatenate_class, &of);
}
