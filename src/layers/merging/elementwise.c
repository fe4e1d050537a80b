/* The element-wise merging layers: what differs is the function that joins two of them. */
#include "klayers/layers/merging.h"
#include "layers/fusion.h"
#include "layers/merging/merge.h"
#include "tensor/tensor.h"

static const kl_field no_fields[] = {{0}};

typedef kl_tensor *join_function(kl_tensor *a, kl_tensor *b);

/* The most axes that an input has; 0 with an error if their batches differ. */
static int common_rank(kl_tensors in)
{
    int rank = 0;
    for (int i = 0; i < in.count; i++) {
        rank = in.at[i]->rank > rank ? in.at[i]->rank : rank;
        if (in.at[i]->rank && in.at[0]->rank && in.at[i]->shape[0] != in.at[0]->shape[0]) {
            kl_error(KL_ERROR_SHAPE,
                     "cannot merge tensors with different batch sizes, %lld and %lld",
                     (long long)in.at[0]->shape[0], (long long)in.at[i]->shape[0]);
            return 0;
        }
    }
    return rank;
}

/* Inputs of lower rank get axes after the batch. */
static kl_tensor *raise_rank(kl_tensor *x, int rank)
{
    while (x && x->rank < rank)
        x = kl_op_expand_dims(x, 1);
    return x;
}

static kl_tensor *join(kl_tensors in, join_function *function)
{
    int rank = common_rank(in);
    kl_tensor *result = rank ? raise_rank(in.at[0], rank) : NULL;
    for (int i = 1; i < in.count && result; i++)
        result = function(result, raise_rank(in.at[i], rank));
    return result;
}

kl_status kl_merge_build(kl_layer *self, const kl_shape *in, int count)
{
    int64_t batch = -1;
    if (count < 2)
        return kl_error(KL_ERROR_SHAPE, "a merge layer should be called on a list of inputs, got "
                                        "a single one");
    for (int i = 0; i < count; i++) {
        if (in[i].rank < 1)
            return kl_error(KL_ERROR_SHAPE, "cannot merge a scalar");
        if (in[i].at[0] < 0)
            continue;
        if (batch >= 0 && batch != in[i].at[0])
            return kl_error(KL_ERROR_SHAPE,
                            "cannot merge tensors with different batch sizes, %lld and %lld",
                            (long long)batch, (long long)in[i].at[0]);
        batch = in[i].at[0];
    }
    return KL_OK;
}

static kl_tensor *merge_mask(const kl_layer *self, kl_context *ctx, kl_tensors in, kl_tensors masks,
                             kl_tensors out, int index)
{
    for (int i = 0; i < masks.count; i++)
        if (!masks.at[i])
            return NULL;
    kl_tensor *mask = masks.at[0];
    for (int i = 1; i < masks.count; i++)
        mask = kl_op_logical_or(mask, masks.at[i]);
    return mask;
}

static kl_tensors average_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *sum = join(in, kl_op_add);
    if (!sum)
        return kl_one(NULL);
    /* The mean of integers is float64, as NumPy has it. */
    if (!kl_dtype_is_float(kl_tensor_dtype(sum)))
        sum = kl_op_cast(sum, KL_FLOAT64);
    return kl_one(kl_op_mul_scalar(sum, 1.0 / in.count));
}

/* A mask [batch, steps] over x's shape. */
static kl_tensor *spread_mask(kl_tensor *mask, const kl_tensor *x)
{
    return kl_op_broadcast_to(kl_op_expand_dims(mask, -1), x->rank, x->shape);
}

/* The larger or smaller of what isn't masked: a masked input takes the other's value. */
static kl_tensor *join_extremes(kl_context *ctx, kl_tensors in, join_function *function)
{
    kl_tensor *out = NULL, *kept = NULL;
    bool all = true;
    int rank = common_rank(in);
    for (int i = 0; i < in.count && rank; i++) {
        kl_tensor *x = raise_rank(in.at[i], rank), *mask = kl_input_mask(ctx, i);
        if (mask && x && mask->rank < x->rank)
            mask = spread_mask(mask, x);
        if (!i) {
            out = x;
            kept = mask;
            continue;
        }
        if (mask)
            x = kl_op_where(mask, x, out);
        if (kept)
            out = kl_op_where(kept, out, x);
        all = all && mask && kept;
        kept = all ? kl_op_logical_or(kept, mask) : NULL;
        out = function(out, x);
    }
    return out;
}

/* Masked values count as 1; where every input is masked the product is 0. */
static kl_tensors multiply_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *out = NULL, *kept = NULL;
    bool all = true;
    int rank = common_rank(in);
    for (int i = 0; i < in.count; i++)
        all = all && kl_input_mask(ctx, i);
    for (int i = 0; i < in.count && rank; i++) {
        kl_tensor *x = raise_rank(in.at[i], rank), *mask = kl_input_mask(ctx, i);
        if (mask && x) {
            if (mask->rank < x->rank)
                mask = spread_mask(mask, x);
            x = kl_op_where(mask, x, kl_scalar((kl_dtype)x->dtype, 1));
            kept = !all ? NULL : kept ? kl_op_logical_or(kept, mask) : mask;
        }
        out = out ? kl_op_mul(out, x) : x;
    }
    if (kept && out)
        out = kl_op_where(kept, out, kl_scalar((kl_dtype)out->dtype, 0));
    return kl_one(out);
}

static kl_status subtract_build(kl_layer *self, const kl_shape *in, int count)
{
    if (count != 2)
        return kl_error(KL_ERROR_SHAPE, "Subtract takes exactly 2 inputs, got %d", count);
    return kl_merge_build(self, in, count);
}

static kl_tensors add_layer_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(join(in, kl_op_add));
}

static kl_tensors subtract_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(join(in, kl_op_sub));
}

static kl_tensors maximum_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(join_extremes(ctx, in, kl_op_maximum));
}

static kl_tensors minimum_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(join_extremes(ctx, in, kl_op_minimum));
}

static const kl_layer_fusion add_fusion = {.sum = true};

const kl_layer_vtable kl_add_layer_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Add",
    .state_size = sizeof(kl_merge_args),
    .args_size = sizeof(kl_merge_args),
    .fields = no_fields,
    .build = kl_merge_build,
    .call = add_layer_call,
    .compute_mask = merge_mask,
    .flags = KL_LAYER_MANY_INPUTS,
    .fusion = &add_fusion,
};
KL_DEFINE_LAYER(kl_add_layer)

const kl_layer_vtable kl_subtract_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Subtract",
    .state_size = sizeof(kl_merge_args),
    .args_size = sizeof(kl_merge_args),
    .fields = no_fields,
    .build = subtract_build,
    .call = subtract_call,
    .compute_mask = merge_mask,
    .flags = KL_LAYER_MANY_INPUTS,
};
KL_DEFINE_LAYER(kl_subtract)

const kl_layer_vtable kl_multiply_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Multiply",
    .state_size = sizeof(kl_merge_args),
    .args_size = sizeof(kl_merge_args),
    .fields = no_fields,
    .build = kl_merge_build,
    .call = multiply_call,
    .compute_mask = merge_mask,
    .flags = KL_LAYER_MANY_INPUTS,
};
KL_DEFINE_LAYER(kl_multiply)

const kl_layer_vtable kl_average_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Average",
    .state_size = sizeof(kl_merge_args),
    .args_size = sizeof(kl_merge_args),
    .fields = no_fields,
    .build = kl_merge_build,
    .call = average_call,
    .compute_mask = merge_mask,
    .flags = KL_LAYER_MANY_INPUTS,
};
KL_DEFINE_LAYER(kl_average)

const kl_layer_vtable kl_maximum_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Maximum",
    .state_size = sizeof(kl_merge_args),
    .args_size = sizeof(kl_merge_args),
    .fields = no_fields,
    .build = kl_merge_build,
    .call = maximum_call,
    .compute_mask = merge_mask,
    .flags = KL_LAYER_MANY_INPUTS,
};
KL_DEFINE_LAYER(kl_maximum)

const kl_layer_vtable kl_minimum_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Minimum",
    .state_size = sizeof(kl_merge_args),
    .args_size = sizeof(kl_merge_args),
    .fields = no_fields,
    .build = kl_merge_build,
    .call = minimum_call,
    .compute_mask = merge_mask,
    .flags = KL_LAYER_MANY_INPUTS,
};
KL_DEFINE_LAYER(kl_minimum)

#define FUNCTION(name, class)                                                                      \
    kl_tensor *kl_merge_##name##_with(const kl_merge_call_args *args)                              \
    {                                                                                              \
        kl_merge_args of = class##_defaults();                                                     \
        return kl_merge_once("kl_merge_" #name, args, &class##_class, &of);                        \
    }
FUNCTION(add, kl_add_layer)
FUNCTION(subtract, kl_subtract)
FUNCTION(multiply, kl_multiply)
FUNCTION(average, kl_average)
FUNCTION(maximum, kl_maximum)
FUNCTION(minimum, kl_minimum)
