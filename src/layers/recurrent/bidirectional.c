/* Bidirectional. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "layers/recurrent/cell.h"
#include "layers/recurrent/rnn.h"
#include "tensor/tensor.h"

typedef struct bidirectional_state {
    kl_bidirectional_args args;
    kl_layer *forward, *backward;
} bidirectional_state;

static const kl_field bidirectional_fields[] = {
    {"layer", KL_FIELD_LAYER, offsetof(kl_bidirectional_args, layer),
     .doc = "the layer that goes forward", .flags = KL_FIELD_REQUIRED},
    {"backward_layer", KL_FIELD_LAYER, offsetof(kl_bidirectional_args, backward_layer),
     .doc = "the layer that goes the other way; None: a copy", .flags = KL_FIELD_OPTIONAL},
    {"merge_mode", KL_FIELD_STRING, offsetof(kl_bidirectional_args, merge_mode), "concat",
     .doc = "how the outputs are put together; None: both", .choices = "concat|sum|mul|ave",
     .flags = KL_FIELD_OPTIONAL},
    {"weights", KL_FIELD_IGNORED, .doc = "initial weights: kl_layer_set_weights() sets them"},
    {0}};

static kl_rnn_options *options_of(const kl_layer *layer)
{
    return ((kl_rnn_state *)kl_layer_state(layer))->options;
}

static kl_status check_recurrent(const char *which, const kl_layer *layer)
{
    if (layer && layer->vtable->call == kl_rnn_call)
        return KL_OK;
    return kl_error(KL_ERROR_INVALID, "%s must be a recurrent layer, got %s", which,
                    kl_layer_class_name(layer));
}

static kl_status prefix_name(kl_layer *layer, const char *prefix)
{
    size_t have = strlen(prefix);
    if (!strncmp(layer->name, prefix, have))
        return KL_OK;
    size_t size = have + strlen(layer->name) + 1;
    char *name = kl_malloc(size);
    if (!name)
        return KL_ERROR_MEMORY;
    snprintf(name, size, "%s%s", prefix, layer->name);
    kl_free(layer->name);
    layer->name = name;
    return KL_OK;
}

/* A copy that goes the other way, kept where the argument would be. */
static kl_status copy_backward(bidirectional_state *s, bool legacy)
{
    const kl_layer *forward = s->args.layer;
    kl_layer *copy = kl_layer_copy(forward);
    if (!copy)
        return kl_last_status();
    s->args.backward_layer = kl_object_own(copy);
    kl_free(copy->name);
    copy->name = kl_strdup(forward->name);
    copy->legacy = forward->legacy;
    /* Keras 3 refuses a forward layer that goes backwards here; 2.15 turns the copy round. */
    options_of(copy)->go_backwards = !legacy || !options_of(forward)->go_backwards;
    return copy->name ? KL_OK : KL_ERROR_MEMORY;
}

static kl_status check_pair(const kl_rnn_options *f, const kl_rnn_options *b)
{
    if (f->go_backwards == b->go_backwards)
        return kl_error(KL_ERROR_INVALID,
                        "Forward layer and backward layer should have different `go_backwards` "
                        "value, got %s for both",
                        f->go_backwards ? "true" : "false");
    const char *differs = f->stateful != b->stateful                   ? "stateful"
                          : f->return_sequences != b->return_sequences ? "return_sequences"
                          : f->return_state != b->return_state         ? "return_state"
                                                                       : NULL;
    if (differs)
        return kl_error(KL_ERROR_INVALID,
                        "Forward layer and backward layer are expected to have the same value for "
                        "attribute \"%s\"",
                        differs);
    return KL_OK;
}

static kl_status bidirectional_init(void *self)
{
    bidirectional_state *s = kl_layer_state(self);
    kl_layer *layer = self;
    kl_status status = check_recurrent("layer", s->args.layer);
    if (!status && !s->args.backward_layer)
        status = copy_backward(s, layer->legacy);
    if (!status)
        status = check_recurrent("backward_layer", s->args.backward_layer);
    if (status)
        return status;
    s->forward = (kl_layer *)(uintptr_t)s->args.layer;
    s->backward = (kl_layer *)(uintptr_t)s->args.backward_layer;
    kl_rnn_options *f = options_of(s->forward), *b = options_of(s->backward);
    status = check_pair(f, b);
    if (!status)
        status = prefix_name(s->forward, "forward_");
    if (!status)
        status = prefix_name(s->backward, "backward_");
    if (status)
        return status;
    if (!layer->legacy || f->return_sequences)
        f->zero_output_for_mask = b->zero_output_for_mask = f->return_sequences;
    if (!kl_add_sublayer(self, "forward_layer", s->forward) ||
        !kl_add_sublayer(self, "backward_layer", s->backward))
        return kl_last_status();
    return KL_OK;
}

static kl_status bidirectional_build(kl_layer *self, const kl_shape *in, int count)
{
    const bidirectional_state *s = kl_layer_state(self);
    kl_status status = kl_layer_build(s->forward, in, count);
    return status ? status : kl_layer_build(s->backward, in, count);
}

/* One of the two layers with its half of the initial states. */
static kl_tensors call_half(kl_layer *layer, kl_context *ctx, kl_tensor *x, int first, int count)
{
    kl_tensors given = kl_initial_state(ctx), constants = kl_constants(ctx);
    kl_call_args args = {.size = sizeof args,
                         .mark = kl_error_count(),
                         .inputs = {x},
                         .masks = {kl_input_mask(ctx, 0)},
                         .layer = layer};
    for (int i = 0; i < count; i++)
        args.initial_state[i] = given.at[first + i];
    for (int i = 0; i < constants.count; i++)
        args.constants[i] = constants.at[i];
    return kl_call_with_args(&args);
}

static kl_tensor *merge(const char *mode, kl_tensor *y, kl_tensor *back)
{
    if (!y || !back)
        return NULL;
    if (!strcmp(mode, "concat"))
        return kl_op_concatenate(2, (kl_tensor *[]){y, back}, -1);
    if (!kl_shape_equal(y, back)) {
        char a[160], b[160];
        kl_error(KL_ERROR_SHAPE, "merge_mode '%s' needs outputs of one shape, got %s and %s", mode,
                 kl_shape_text(y->rank, y->shape, a, sizeof a),
                 kl_shape_text(back->rank, back->shape, b, sizeof b));
        return NULL;
    }
    if (!strcmp(mode, "mul"))
        return kl_op_mul(y, back);
    kl_tensor *sum = kl_op_add(y, back);
    return !strcmp(mode, "ave") && sum ? kl_op_mul_scalar(sum, 0.5) : sum;
}

static kl_tensors bidirectional_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const bidirectional_state *s = kl_layer_state(self);
    const kl_rnn_options *o = options_of(s->forward);
    int given = kl_initial_state(ctx).count;
    if (given % 2) {
        kl_error(KL_ERROR_SHAPE,
                 "initial_state must have the forward layer's states, then as many of the backward "
                 "layer's, got %d",
                 given);
        return kl_one(NULL);
    }
    kl_tensors y = call_half(s->forward, ctx, in.at[0], 0, given / 2);
    kl_tensors back =
        y.at ? call_half(s->backward, ctx, in.at[0], given / 2, given / 2) : (kl_tensors){0};
    if (!back.at)
        return kl_one(NULL);
    kl_tensor *out[2 * KL_MAX_LIST + 2], *reversed = back.at[0];
    int count = 0;
    if (o->return_sequences)
        reversed = kl_op_flip(reversed, o->time_major ? 0 : 1);
    if (s->args.merge_mode) {
        out[count++] = merge(s->args.merge_mode, y.at[0], reversed);
    } else {
        out[count++] = y.at[0];
        out[count++] = reversed;
    }
    for (int i = 1; i < y.count; i++)
        out[count++] = y.at[i];
    for (int i = 1; i < back.count; i++)
        out[count++] = back.at[i];
    return kl_many(count, out);
}

static kl_tensor *bidirectional_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                                     kl_tensors masks, kl_tensors out, int index)
{
    const bidirectional_state *s = kl_layer_state(self);
    int sequences = s->args.merge_mode ? 1 : 2;
    return index < sequences && options_of(s->forward)->return_sequences ? masks.at[0] : NULL;
}

const kl_layer_vtable kl_bidirectional_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Bidirectional",
    .state_size = sizeof(bidirectional_state),
    .args_size = sizeof(kl_bidirectional_args),
    .fields = bidirectional_fields,
    .init = bidirectional_init,
    .build = bidirectional_build,
    .call = bidirectional_call,
    .compute_mask = bidirectional_mask,
};
KL_DEFINE_LAYER(kl_bidirectional)
