#include "klayers/layers/reshaping.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

static const kl_field reshape_fields[] = {
    {"target_shape", KL_FIELD_SHAPE, offsetof(kl_reshape_args, target_shape),
     .doc = "sizes without the batch; one may be -1",
     .flags = KL_FIELD_REQUIRED | KL_FIELD_UNKNOWN_OK | KL_FIELD_INFERRED},
    {0}};

static int target_rank(const kl_reshape_args *args)
{
    int rank = 0;
    if (args->target_shape[0] != KL_SCALAR)
        while (rank < KL_MAX_RANK && args->target_shape[rank])
            rank++;
    return rank;
}

static kl_status reshape_init(void *self)
{
    const kl_reshape_args *args = kl_layer_state(self);
    int rank = target_rank(args), unknown = 0;
    if (rank >= KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "target_shape has more than %d dimensions",
                        KL_MAX_RANK - 1);
    for (int i = 0; i < rank; i++)
        unknown += args->target_shape[i] < 0;
    if (unknown > 1)
        return kl_error(KL_ERROR_SHAPE, "target_shape may have one -1, got %d", unknown);
    return KL_OK;
}

static kl_tensors reshape_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_reshape_args *args = kl_layer_state(self);
    int rank = target_rank(args);
    int64_t shape[KL_MAX_RANK] = {in.at[0]->rank ? in.at[0]->shape[0] : 1};
    for (int i = 0; i < rank; i++)
        shape[i + 1] = args->target_shape[i];
    return kl_one(kl_op_reshape(in.at[0], rank + 1, shape));
}

/* An unknown entry is known where all of the input's dimensions are. */
static kl_status reshape_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                               int *output_count)
{
    const kl_reshape_args *args = kl_layer_state(self);
    int rank = target_rank(args), open = 0;
    int64_t have = 1, want = 1;
    for (int i = 1; i < in[0].rank && have >= 0; i++)
        have = in[0].at[i] < 0 ? -1 : have * in[0].at[i];
    out[0] =
        (kl_shape){.rank = rank + 1, .at = {in[0].rank ? in[0].at[0] : 1}, .dtype = in[0].dtype};
    for (int i = 0; i < rank; i++) {
        out[0].at[i + 1] = args->target_shape[i];
        if (args->target_shape[i] < 0)
            open = i + 1;
        else
            want *= args->target_shape[i];
    }
    if (have < 0)
        return KL_OK;
    if (open ? (want == 0 || have % want) : have != want) {
        char from[160], to[160];
        return kl_error(KL_ERROR_SHAPE,
                        "the total size of the tensor must be unchanged: input shape %s, "
                        "target_shape %s",
                        kl_shape_text(in[0].rank - 1, in[0].at + 1, from, sizeof from),
                        kl_shape_text(rank, args->target_shape, to, sizeof to));
    }
    if (open)
        out[0].at[open] = have / want;
    return KL_OK;
}

const kl_layer_vtable kl_reshape_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Reshape",
    .state_size = sizeof(kl_reshape_args),
    .args_size = sizeof(kl_reshape_args),
    .fields = reshape_fields,
    .init = reshape_init,
    .call = reshape_call,
    .output_shape = reshape_shape,
};

KL_DEFINE_LAYER(kl_reshape)
