#include <math.h>

#include "layers/preprocessing/image/color.h"

typedef struct cut_mix_state {
    kl_cut_mix_args args;
    double factor[2];
} cut_mix_state;

#define ARGS kl_cut_mix_args
static const kl_field fields[] = {
    FACTOR_FIELD(ARGS, factor), SEED_FIELD(ARGS), IMAGE_FIELDS(ARGS), {0}};
#undef ARGS

static kl_status init(void *self)
{
    cut_mix_state *s = kl_layer_state(self);
    return kl_probability("factor", &s->args.factor, s->factor);
}

/* A box of each image from another of the batch; labels mix by the box's area. */
static kl_tensors call(const kl_layer *self, kl_context *ctx, kl_tensors inputs)
{
    const cut_mix_state *s = kl_layer_state(self);
    kl_image_input in = kl_image_begin(self, inputs.at[0], s->args.data_format);
    if (!in.x || !kl_training(ctx) || !in.batched)
        return kl_image_with_labels(&in, in.x, &inputs, NULL, NULL);
    int64_t batch = in.size.batch;
    const double *alpha = kl_image_draw(&in, 1, s->factor[0], s->factor[1]);
    double *side = kl_image_draw(&in, batch, 0, 0);
    double *weights = kl_image_draw(&in, batch, 0, 0);
    if (!alpha || !side || !weights)
        return kl_one(NULL);
    kl_image_stream stream = kl_image_stream_begin(&in);
    for (int64_t i = 0; in.real && i < batch; i++)
        side[i] = sqrt(1 - kl_image_stream_beta(&stream, *alpha + 1e-6));
    kl_tensor *boxes = kl_image_boxes(&in, side, side, weights);
    kl_tensor *order = kl_image_shuffled(&in);
    kl_tensor *y = kl_op_where(boxes, kl_op_take(in.x, order, 0), in.x);
    return kl_image_with_labels(&in, y, &inputs, weights, order);
}

const kl_layer_vtable kl_cut_mix_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "CutMix",
    .state_size = sizeof(cut_mix_state),
    .args_size = sizeof(kl_cut_mix_args),
    .fields = fields,
    .init = init,
    .call = call,
    .flags = KL_LAYER_RANDOM | KL_LAYER_MANY_INPUTS,
};

KL_DEFINE_LAYER(kl_cut_mix)
