#include "models/fusion.h"

#include <math.h>
#include <pthread.h>

#include "base/alloc.h"
#include "layers/fusion.h"
#include "ops/fused_sum.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

#define PARTS 6

/* The linear layer's kernel and bias with the normalization in them, as of these versions. */
struct kl_fold {
    /* Lent by the graph. linear NULL: a sum, which needs none of the rest; affine NULL: none. */
    const kl_layer *linear, *affine;
    kl_object *relu;          /* owned; NULL: none */
    pthread_mutex_t guard;    /* of what follows */
    kl_tensor *kernel, *bias; /* held; NULL: not made, or not finite */
    const kl_buffer *buffers[PARTS];
    uint64_t versions[PARTS];
    bool known; /* buffers and versions are those that kernel and bias were made of */
};

static bool is_float32(const kl_weight *weight)
{
    return !weight || weight->value->dtype == KL_FLOAT32;
}

/* ---- Finding steps to join --------------------------------------------------------------------
 */

/* What the layer of a step that may be joined offers: so many float32 inputs, one output, no
   more. */
static const kl_layer_fusion *offer_of(const kl_step *step, int inputs)
{
    const kl_graph_node *node = step->node;
    const kl_layer *layer = node->layer;
    bool plain = layer && layer->built && layer->compute_dtype == KL_FLOAT32 &&
                 !layer->activity_regularizer && node->input_count == inputs &&
                 node->output_count == 1 && step->argument_count == inputs &&
                 node->call.training != KL_TRUE;
    for (int i = 0; plain && i < inputs; i++)
        plain = step->slots[i] >= 0;
    return plain ? kl_fusion_of(layer) : NULL;
}

/* Whether step number `at` + 1 reads the output of `at`, and nothing else does. */
static bool passes_on(const kl_executor *ex, int at)
{
    if (at + 1 >= ex->step_count)
        return false;
    int slot = ex->steps[at].first_out, readers = 0;
    for (int i = 0; i < ex->step_count; i++)
        for (int k = 0; k < ex->steps[i].argument_count; k++)
            readers += ex->steps[i].slots[k] == slot;
    for (int i = 0; i < ex->output_count; i++)
        readers += ex->output_slots[i] == slot;
    return readers == 1 && ex->steps[at + 1].argument_count == 1 &&
           ex->steps[at + 1].slots[0] == slot;
}

static bool is_linear(const kl_step *step)
{
    const kl_layer_fusion *offer = offer_of(step, 1);
    kl_linear_parts parts;
    return offer && offer->linear && offer->linear(step->node->layer, &parts) &&
           is_float32(parts.kernel) && is_float32(parts.bias);
}

/* Whether `step` scales the channels that `linear` gives. */
static bool is_affine_of(const kl_step *step, const kl_step *linear)
{
    const kl_layer_fusion *offer = offer_of(step, 1);
    kl_affine_parts parts;
    kl_linear_parts of;
    if (!offer || !offer->affine || !offer->affine(step->node->layer, &parts) ||
        !kl_fusion_of(linear->node->layer)->linear(linear->node->layer, &of))
        return false;
    int rank = linear->node->outputs[0]->rank;
    return is_float32(parts.gamma) && is_float32(parts.beta) && is_float32(parts.mean) &&
           is_float32(parts.variance) && parts.channel_axis == (of.channel_axis + rank) % rank;
}

static bool is_sum(const kl_step *step)
{
    const kl_layer_fusion *offer = offer_of(step, 2);
    return offer && offer->sum;
}

static bool is_relu(const kl_step *step)
{
    const kl_layer_fusion *offer = offer_of(step, 1);
    return offer && offer->relu && offer->relu(step->node->layer);
}

static kl_fold *new_fold(const kl_layer *linear, const kl_layer *affine, bool relu)
{
    kl_fold *fold = kl_calloc(1, sizeof *fold);
    if (!fold)
        return NULL;
    fold->linear = linear;
    fold->affine = affine;
    if ((relu && kl_named_resolve(KL_KIND_ACTIVATION, "relu", &fold->relu)) ||
        pthread_mutex_init(&fold->guard, NULL)) {
        kl_object_disown(fold->relu);
        kl_free(fold);
        return NULL;
    }
    return fold;
}

/* Joins what can be joined to step number `at`; returns how many steps that is. */
static int join(kl_executor *ex, int at)
{
    kl_step *step = &ex->steps[at];
    bool linear = is_linear(step);
    if (!linear && !is_sum(step))
        return 1;
    int last = at;
    const kl_layer *affine = NULL;
    if (linear && passes_on(ex, at) && is_affine_of(&step[1], step))
        affine = ex->steps[++last].node->layer;
    bool relu = passes_on(ex, last) && is_relu(&ex->steps[last + 1]);
    last += relu;
    if (last > at)
        step->fold = new_fold(linear ? step->node->layer : NULL, affine, linear && relu);
    step->fold_steps = last - at + 1;
    return step->fold_steps;
}

void kl_fusion_find(kl_executor *ex)
{
    for (int i = 0; i < ex->step_count;)
        i += join(ex, i);
}

void kl_fold_free(kl_fold *fold)
{
    if (!fold)
        return;
    kl_unhold(fold->kernel);
    kl_unhold(fold->bias);
    kl_object_disown(fold->relu);
    pthread_mutex_destroy(&fold->guard);
    kl_free(fold);
}

/* ---- Running them -----------------------------------------------------------------------------
 */

static bool is_finite(const kl_tensor *tensor)
{
    const float *values = kl_tensor_floats(tensor);
    int64_t bad = values ? 0 : 1;
    for (int64_t i = 0; values && i < tensor->size; i++)
        bad += !isfinite(values[i]);
    return !bad;
}

static kl_tensor *value_of(const kl_weight *weight)
{
    return weight ? weight->value : NULL;
}

/* kernel * scale and (bias - mean) * scale + beta; scale is gamma / sqrt(variance + epsilon). */
static void compute(kl_fold *fold, const kl_linear_parts *linear, const kl_affine_parts *affine)
{
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return;
    kl_tensor *kernel = linear->kernel->value, *mean = affine->mean->value;
    kl_tensor *scale = kl_op_rsqrt(kl_op_add_scalar(affine->variance->value, affine->epsilon));
    if (affine->gamma)
        scale = kl_op_mul(scale, affine->gamma->value);
    kl_tensor *bias = linear->bias ? kl_op_sub(linear->bias->value, mean) : kl_op_neg(mean);
    bias = kl_op_mul(bias, scale);
    if (affine->beta)
        bias = kl_op_add(bias, affine->beta->value);
    int64_t shape[KL_MAX_RANK];
    for (int i = 0; i < kernel->rank; i++) {
        int of_channels = i >= linear->kernel_axis && i < linear->kernel_axis + linear->kernel_axes;
        shape[i] = of_channels ? kernel->shape[i] : 1;
    }
    kernel = kl_op_mul(kernel, kl_op_reshape(scale, kernel->rank, shape));
    if (kernel && bias && is_finite(kernel) && is_finite(bias)) {
        fold->kernel = kl_hold(kernel);
        fold->bias = kl_hold(bias);
    }
    /* Without memory the next call tries again. */
    fold->known = kernel && bias;
    kl_scope_end(scope);
}

/* Makes kernel and bias anew if a weight has changed since. */
static void renew(kl_fold *fold, const kl_linear_parts *linear, const kl_affine_parts *affine)
{
    const kl_tensor *const parts[PARTS] = {value_of(linear->kernel), value_of(linear->bias),
                                           value_of(affine->gamma),  value_of(affine->beta),
                                           value_of(affine->mean),   value_of(affine->variance)};
    bool same = fold->known;
    for (int i = 0; i < PARTS; i++) {
        const kl_buffer *buffer = parts[i] ? parts[i]->buffer : NULL;
        uint64_t version = kl_tensor_version(parts[i]);
        same = same && fold->buffers[i] == buffer && fold->versions[i] == version;
        fold->buffers[i] = buffer;
        fold->versions[i] = version;
    }
    if (same)
        return;
    kl_unhold(fold->kernel);
    kl_unhold(fold->bias);
    fold->kernel = fold->bias = NULL;
    fold->known = false;
    compute(fold, linear, affine);
}

/* What the layer multiplies by and adds, held for this call; false: the steps run one by one. */
static bool hold_weights(kl_fold *fold, kl_tensor **kernel, kl_tensor **bias)
{
    kl_linear_parts linear;
    kl_affine_parts affine;
    if (!kl_fusion_of(fold->linear)->linear(fold->linear, &linear))
        return false;
    if (!fold->affine) {
        *kernel = kl_hold(linear.kernel->value);
        *bias = kl_hold(value_of(linear.bias));
        return true;
    }
    if (!kl_fusion_of(fold->affine)->affine(fold->affine, &affine))
        return false;
    pthread_mutex_lock(&fold->guard);
    renew(fold, &linear, &affine);
    *kernel = kl_hold(fold->kernel);
    *bias = kl_hold(fold->bias);
    pthread_mutex_unlock(&fold->guard);
    return *kernel != NULL;
}

/* At inference, and with an input that the layers were built for. */
static bool can_run(const kl_step *step, const kl_context *ctx)
{
    bool can = ctx->mode == KL_CONTEXT_INFERENCE && !ctx->training && !ctx->update_count &&
               !kl_tape_is_recording();
    for (int i = 0; can && i < step->fold_steps; i++)
        can = !step[i].node->layer->failed;
    return can;
}

static bool takes(const kl_step *step, int index, const kl_tensor *x)
{
    const kl_tensor *want = step->node->inputs[index];
    bool can = x->buffer && x->dtype == KL_FLOAT32 && !x->mask && x->rank == want->rank;
    for (int k = 1; can && k < want->rank; k++)
        can = want->shape[k] < 0 || want->shape[k] == x->shape[k];
    return can;
}

static kl_tensor *run_sum(const kl_step *step, kl_tensor *const *values)
{
    const kl_tensor *a = values[step->slots[0]], *b = values[step->slots[1]];
    bool can = takes(step, 0, a) && takes(step, 1, b) && kl_shape_equal(a, b) && a->rank &&
               a->contiguous && b->contiguous;
    return can ? kl_sum_relu(a, b) : NULL;
}

static kl_tensor *run_linear(const kl_step *step, kl_tensor *const *values)
{
    kl_fold *fold = step->fold;
    kl_tensor *x = values[step->slots[0]], *kernel, *bias;
    if (!takes(step, 0, x) || !hold_weights(fold, &kernel, &bias))
        return NULL;
    kl_tensor *y = kl_fusion_of(fold->linear)
                       ->apply(fold->linear, x, kernel, bias, (const kl_activation *)fold->relu);
    kl_unhold(kernel);
    kl_unhold(bias);
    return y;
}

bool kl_fold_run(const kl_step *step, const kl_context *ctx, kl_tensor **values)
{
    if (!can_run(step, ctx))
        return false;
    kl_tensor *y = step->fold->linear ? run_linear(step, values) : run_sum(step, values);
    values[step[step->fold_steps - 1].first_out] = y;
    return y != NULL;
}
