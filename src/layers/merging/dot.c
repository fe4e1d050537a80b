#include <string.h>

#include "klayers/layers/merging.h"
#include "layers/layer.h"
#include "layers/merging/merge.h"
#include "tensor/tensor.h"

static const kl_field dot_fields[] = {
    {"axes", KL_FIELD_DIMS, offsetof(kl_dot_args, axes),
     .doc = "summed over, in one input and the other, the batch counted as axis 0",
     .min = -KL_MAX_RANK, .max = KL_MAX_RANK - 1, .count = 2,
     .flags = KL_FIELD_REQUIRED | KL_FIELD_LONE},
    {"normalize", KL_FIELD_BOOL, offsetof(kl_dot_args, normalize), "false",
     .doc = "whether the inputs get length 1 along their axes first"},
    {0}};

/* The axes counted from the front; false with an error. */
static bool resolve(const kl_dot_args *args, const int *ranks, int *axes)
{
    for (int i = 0; i < 2; i++) {
        int64_t axis = args->axes[i];
        axes[i] = (int)(axis < 0 ? axis + ranks[i] : axis);
        if (axes[i] >= 1 && axes[i] < ranks[i])
            continue;
        kl_error(KL_ERROR_RANGE,
                 "axes: axis %lld is not one of input %d with %d axes, of which the first is the "
                 "batch",
                 (long long)axis, i, ranks[i]);
        return false;
    }
    return true;
}

static bool differ(int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && a != b;
}

static kl_status dot_build(kl_layer *self, const kl_shape *in, int count)
{
    int axes[2];
    if (count != 2)
        return kl_error(KL_ERROR_SHAPE,
                        "a Dot layer should be called on a list of 2 inputs, got "
                        "%d",
                        count);
    if (!resolve(kl_layer_state(self), (const int[]){in[0].rank, in[1].rank}, axes))
        return kl_last_status();
    if (differ(in[0].at[axes[0]], in[1].at[axes[1]])) {
        char a[160], b[160];
        return kl_error(KL_ERROR_SHAPE,
                        "incompatible input shapes: axis values %lld (at axis %d) != %lld (at axis "
                        "%d) of %s and %s",
                        (long long)in[0].at[axes[0]], axes[0], (long long)in[1].at[axes[1]],
                        axes[1], kl_shape_text(in[0].rank, in[0].at, a, sizeof a),
                        kl_shape_text(in[1].rank, in[1].at, b, sizeof b));
    }
    if (in[0].rank + in[1].rank - 3 > KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "the product would have %d axes, more than %d",
                        in[0].rank + in[1].rank - 3, KL_MAX_RANK);
    return KL_OK;
}

/* [batch, rest, summed], or [batch, summed, rest] with *first set; the rest's sizes join shape. */
static kl_tensor *as_matrix(kl_tensor *x, int axis, bool *first, int64_t *shape, int *rank)
{
    int64_t rest = 1;
    for (int i = 1; i < x->rank; i++)
        if (i != axis) {
            shape[(*rank)++] = x->shape[i];
            rest *= x->shape[i];
        }
    *first = axis == 1;
    if (!*first && axis != x->rank - 1)
        x = kl_op_move_axis(x, axis, -1);
    if (!x)
        return NULL;
    int64_t summed = x->shape[*first ? 1 : x->rank - 1];
    return kl_op_reshape(x, KL_DIMS(x->shape[0], *first ? summed : rest, *first ? rest : summed));
}

static kl_tensors dot_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_dot_args *args = kl_layer_state(self);
    kl_tensor *a = in.at[0], *b = in.at[1];
    int axes[2], rank = 1;
    if (!resolve(args, (const int[]){a->rank, b->rank}, axes))
        return kl_one(NULL);
    if (a->shape[0] != b->shape[0] || a->shape[axes[0]] != b->shape[axes[1]]) {
        kl_error(KL_ERROR_SHAPE,
                 "incompatible inputs: batches of %lld and %lld, axes of %lld and %lld",
                 (long long)a->shape[0], (long long)b->shape[0], (long long)a->shape[axes[0]],
                 (long long)b->shape[axes[1]]);
        return kl_one(NULL);
    }
    if (args->normalize) {
        a = kl_op_l2_normalize(a, 1, &axes[0], 1e-12);
        b = kl_op_l2_normalize(b, 1, &axes[1], 1e-12);
    }
    if (!a || !b)
        return kl_one(NULL);
    if (a->rank == 2 && b->rank == 2)
        return kl_one(kl_op_sum(kl_op_mul(a, b), 1, (const int[]){1}, true));
    bool a_first, b_first;
    int64_t shape[2 * KL_MAX_RANK] = {a->shape[0]};
    a = as_matrix(a, axes[0], &a_first, shape, &rank);
    b = as_matrix(b, axes[1], &b_first, shape, &rank);
    return kl_one(kl_op_reshape(kl_op_matmul_t(a, a_first, b, !b_first), rank, shape));
}

const kl_layer_vtable kl_dot_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Dot",
    .state_size = sizeof(kl_dot_args),
    .args_size = sizeof(kl_dot_args),
    .fields = dot_fields,
    .build = dot_build,
    .call = dot_call,
    .flags = KL_LAYER_MANY_INPUTS,
};

KL_DEFINE_LAYER(kl_dot)

kl_tensor *kl_merge_dot_with(const kl_merge_call_args *args)
{
    kl_dot_args of = kl_dot_defaults();
    if (args) {
        memcpy(of.axes, args->axes, sizeof of.axes);
        of.normalize = args->normalize;
    }
    return kl_merge_once("kl_merge_dot", args, &kl_dot_class, &of);
}
