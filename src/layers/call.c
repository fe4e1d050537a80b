#include "layers/layer.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

kl_tensors kl_many(int count, kl_tensor *const *tensors)
{
    if (count < 1 || !tensors) {
        kl_error_null("kl_many", "tensors");
        return (kl_tensors){0};
    }
    for (int i = 0; i < count; i++) {
        if (!tensors[i]) {
            kl_error_null("a layer's call", "output");
            return (kl_tensors){0};
        }
    }
    kl_tensor **at = kl_scope_alloc((size_t)count * sizeof *at);
    if (!at)
        return (kl_tensors){0};
    memcpy(at, tensors, (size_t)count * sizeof *at);
    return (kl_tensors){count, at};
}

kl_tensors kl_one(kl_tensor *tensor)
{
    return kl_many(1, &tensor);
}

kl_tensor *kl_pass_mask(const kl_layer *self, kl_context *ctx, kl_tensors inputs, kl_tensors masks,
                        kl_tensors outputs, int index)
{
    return masks.count ? masks.at[0] : NULL;
}

kl_status kl_set_input_spec(kl_layer *self, int index, kl_input_spec spec)
{
    if (!self)
        return kl_error_null("kl_set_input_spec", "self");
    if (index < 0 || index >= KL_MAX_LIST)
        return kl_error(KL_ERROR_RANGE, "kl_set_input_spec: index %d is not in 0..%d", index,
                        KL_MAX_LIST - 1);
    self->specs[index] = spec;
    if (index >= self->spec_count)
        self->spec_count = index + 1;
    return KL_OK;
}

static kl_status check_spec(const kl_input_spec *spec, int rank, const int64_t *shape)
{
    char text[160];
    if (spec->ndim && rank != spec->ndim)
        return kl_error(KL_ERROR_SHAPE, "expected ndim=%d, found ndim=%d, got shape %s", spec->ndim,
                        rank, kl_shape_text(rank, shape, text, sizeof text));
    if (spec->min_ndim && rank < spec->min_ndim)
        return kl_error(KL_ERROR_SHAPE, "expected min_ndim=%d, found ndim=%d, got shape %s",
                        spec->min_ndim, rank, kl_shape_text(rank, shape, text, sizeof text));
    if (spec->max_ndim && rank > spec->max_ndim)
        return kl_error(KL_ERROR_SHAPE, "expected max_ndim=%d, found ndim=%d, got shape %s",
                        spec->max_ndim, rank, kl_shape_text(rank, shape, text, sizeof text));
    if (spec->dim) {
        int axis = spec->axis < 0 ? spec->axis + rank : spec->axis;
        if (axis < 0 || axis >= rank)
            return kl_error(KL_ERROR_SHAPE, "expected an axis %d, got shape %s", spec->axis,
                            kl_shape_text(rank, shape, text, sizeof text));
        if (shape[axis] != spec->dim && shape[axis] != -1) {
            char which[32] = "last axis";
            if (axis != rank - 1)
                snprintf(which, sizeof which, "axis %d", spec->axis);
            return kl_error(KL_ERROR_SHAPE, "expected %s of size %lld, got shape %s", which,
                            (long long)spec->dim, kl_shape_text(rank, shape, text, sizeof text));
        }
    }
    return KL_OK;
}

static kl_status check_inputs(const kl_layer *layer, int count, const kl_shape *shapes)
{
    if (count != 1 && !(layer->vtable->flags & KL_LAYER_MANY_INPUTS) && layer->spec_count < count)
        return kl_error(KL_ERROR_SHAPE, "expected 1 input, got %d", count);
    for (int i = 0; i < layer->spec_count; i++) {
        if (i >= count)
            return kl_error(KL_ERROR_SHAPE, "expected %d inputs, got %d", layer->spec_count, count);
        kl_status status = check_spec(&layer->specs[i], shapes[i].rank, shapes[i].at);
        if (status)
            return status;
    }
    return KL_OK;
}

static kl_shape shape_of(const kl_tensor *tensor)
{
    kl_shape shape = {.rank = tensor->rank, .dtype = tensor->dtype};
    memcpy(shape.at, tensor->shape, sizeof shape.at);
    return shape;
}

/* Builds under the layer's guard; weights are real tensors also in the midst of a shape run. */
static kl_status build_once(kl_layer *layer, const kl_shape *inputs, int count)
{
    pthread_mutex_lock(&layer->guard);
    kl_status status = KL_OK;
    if (!layer->built) {
        int kept = count < KL_MAX_LIST ? count : KL_MAX_LIST;
        memcpy(layer->build_shapes, inputs, (size_t)kept * sizeof *inputs);
        layer->build_count = kept;
        int before = layer->weight_count, below = layer->sublayer_count;
        bool shapes = kl_shape_mode(false);
        kl_tape_pause();
        if (layer->vtable->build)
            status = layer->vtable->build(layer, inputs, count);
        kl_tape_resume();
        kl_shape_mode(shapes);
        if (!status) {
            layer->built = true;
        } else {
            /* A failed build leaves the layer as it was, so that it may be built anew. */
            while (layer->weight_count > before)
                kl_weight_free(layer->weights[--layer->weight_count]);
            while (layer->sublayer_count > below)
                kl_remove_last_sublayer(layer);
        }
    }
    pthread_mutex_unlock(&layer->guard);
    return status;
}

kl_status kl_layer_build(kl_layer *layer, const kl_shape *inputs, int count)
{
    if (!layer || !inputs || count < 1)
        return kl_error_null("kl_layer_build", layer ? "inputs" : "layer");
    if (layer->built)
        return KL_OK;
    kl_status status = kl_layer_check(layer);
    if (!status)
        status = check_inputs(layer, count, inputs);
    if (!status)
        status = build_once(layer, inputs, count);
    if (status)
        kl_error_prefix(layer->name);
    return status;
}

/* The inputs in the layer's compute dtype, with the masks that go with them. */
typedef struct call_inputs {
    kl_tensors tensors, masks;
} call_inputs;

static kl_status prepare_inputs(const kl_call_args *args, int count, kl_tensor *const *given,
                                call_inputs *out)
{
    const kl_layer *layer = args->layer;
    kl_tensor **at = kl_scope_alloc(2 * (size_t)count * sizeof *at);
    if (!at)
        return kl_last_status();
    kl_tensor **masks = at + count;
    bool cast = !(layer->vtable->flags & KL_LAYER_NO_AUTOCAST);
    for (int i = 0; i < count; i++) {
        masks[i] = given[i]->mask;
        if (i < KL_MAX_LIST && args->masks[i])
            masks[i] = args->masks[i];
        at[i] = given[i];
        if (cast && given[i]->dtype != layer->compute_dtype && kl_dtype_is_float(given[i]->dtype) &&
            kl_dtype_is_float(layer->compute_dtype))
            at[i] = kl_op_cast(given[i], layer->compute_dtype);
        if (!at[i])
            return kl_last_status();
    }
    out->tensors = (kl_tensors){count, at};
    out->masks = (kl_tensors){count, masks};
    return KL_OK;
}

/* Every output a handle of its own, so that masks can be set on it. */
static kl_status freshen_outputs(const kl_layer *layer, kl_tensors inputs, kl_tensors outputs)
{
    bool keeps = layer->vtable->flags & KL_LAYER_KEEPS_MASKS;
    for (int i = 0; i < outputs.count; i++) {
        kl_tensor *out = outputs.at[i];
        bool shared = out->watched || (out->mask && !keeps);
        for (int j = 0; j < inputs.count && !shared; j++)
            shared = inputs.at[j] == out;
        for (int j = 0; j < i && !shared; j++)
            shared = outputs.at[j] == out;
        if (!shared)
            continue;
        outputs.at[i] = kl_op_reshape(out, out->rank, out->shape);
        if (!outputs.at[i])
            return kl_last_status();
        if (keeps)
            kl_tensor_set_mask(outputs.at[i], out->mask);
    }
    return KL_OK;
}

static kl_status add_activity_losses(kl_context *ctx, const kl_layer *layer, kl_tensors outputs)
{
    for (int i = 0; i < outputs.count; i++) {
        kl_tensor *out = outputs.at[i];
        kl_tensor *loss = kl_regularizer_call(layer->activity_regularizer, out);
        /* By sample, so that the penalty's strength doesn't depend on the batch's size. */
        if (loss && out->rank)
            loss = kl_op_mul_scalar(loss, out->shape[0] ? 1.0 / (double)out->shape[0] : 0);
        kl_status status = loss ? kl_add_loss(ctx, loss) : kl_last_status();
        if (status)
            return status;
    }
    return KL_OK;
}

void kl_layer_draws_begin(const kl_layer *layer, const kl_context *ctx, kl_layer_draws *draws)
{
    draws->on = layer->seed_generator && ctx->mode != KL_CONTEXT_SHAPES;
    if (!draws->on)
        return;
    kl_layer *owner = (kl_layer *)(uintptr_t)layer;
    pthread_mutex_lock(&owner->guard);
    draws->stream = *layer->seed_generator;
    pthread_mutex_unlock(&owner->guard);
    draws->outer = kl_random_enter(&draws->stream);
}

void kl_layer_draws_end(const kl_layer *layer, kl_layer_draws *draws)
{
    if (!draws->on)
        return;
    kl_random_enter(draws->outer);
    kl_layer *owner = (kl_layer *)(uintptr_t)layer;
    pthread_mutex_lock(&owner->guard);
    if (draws->stream.draw > owner->seed_generator->draw)
        owner->seed_generator->draw = draws->stream.draw;
    pthread_mutex_unlock(&owner->guard);
}

static kl_tensors run_call(kl_context *ctx, const kl_layer *layer, call_inputs in)
{
    kl_layer_draws draws;
    kl_layer_draws_begin(layer, ctx, &draws);
    kl_tensors out = layer->vtable->call(layer, ctx, in.tensors);
    kl_layer_draws_end(layer, &draws);
    if (!out.at)
        return (kl_tensors){0};
    if (freshen_outputs(layer, in.tensors, out))
        return (kl_tensors){0};
    if (layer->vtable->compute_mask) {
        for (int i = 0; i < out.count; i++) {
            unsigned errors = kl_error_count();
            kl_tensor *mask = layer->vtable->compute_mask(layer, ctx, in.tensors, in.masks, out, i);
            if (!mask && kl_error_count() != errors)
                return (kl_tensors){0};
            kl_tensor_set_mask(out.at[i], mask);
        }
    }
    if (layer->activity_regularizer && ctx->mode != KL_CONTEXT_SHAPES &&
        add_activity_losses(ctx, layer, out))
        return (kl_tensors){0};
    return out;
}

/* Checks, builds and calls inside an open scope. */
static kl_tensors call_in_scope(kl_context *ctx, const kl_call_args *args, int count,
                                kl_tensor *const *given)
{
    kl_layer *layer = args->layer;
    if (!layer->built || layer->spec_count || count != 1) {
        kl_shape few[4];
        kl_shape *shapes = count <= 4 ? few : kl_scope_alloc((size_t)count * sizeof *shapes);
        if (!shapes)
            return (kl_tensors){0};
        for (int i = 0; i < count; i++)
            shapes[i] = shape_of(given[i]);
        if (check_inputs(layer, count, shapes) ||
            (!layer->built && build_once(layer, shapes, count)))
            return (kl_tensors){0};
    }
    call_inputs in = {{0}, {0}};
    if (prepare_inputs(args, count, given, &in))
        return (kl_tensors){0};
    ctx->masks = in.masks.at;
    ctx->input_count = count;
    return run_call(ctx, layer, in);
}

/* The caller's list: args->inputs up to NULL, or args->inputs_list. */
static kl_status list_inputs(const kl_call_args *args, int *count, kl_tensor *const **given)
{
    *given = args->inputs;
    *count = 0;
    if (args->inputs_list.at) {
        *given = args->inputs_list.at;
        *count = args->inputs_list.count;
    } else {
        while (*count < KL_MAX_LIST && args->inputs[*count])
            ++*count;
    }
    if (!*count)
        return kl_error_null(args->layer->name, "inputs");
    for (int i = 0; i < *count; i++)
        if (!(*given)[i])
            return kl_error_null(args->layer->name, "inputs");
    return KL_OK;
}

/* Room for the list of outputs that outlives the call. */
static kl_tensor **result_list(int count)
{
    static _Thread_local kl_tensor *kept[64];
    if (kl_scope_is_open())
        return kl_scope_alloc((size_t)count * sizeof(kl_tensor *));
    if (count <= (int)(sizeof kept / sizeof *kept))
        return kept;
    kl_error(KL_ERROR_UNSUPPORTED, "more than 64 outputs need an open scope");
    return NULL;
}

kl_tensors kl_context_call(kl_context *ctx, const kl_call_args *args)
{
    kl_layer *layer = args->layer;
    int count;
    kl_tensor *const *given;
    if (kl_layer_check(layer) || list_inputs(args, &count, &given))
        return (kl_tensors){0};
    const kl_call_args *outer_call = ctx->call;
    kl_tensor **outer_masks = ctx->masks;
    int outer_count = ctx->input_count;
    bool outer_training = ctx->training;
    ctx->call = args;
    if (args->training != KL_UNSET)
        ctx->training = args->training == KL_TRUE;

    kl_scope *scope = kl_scope_begin();
    kl_tensors result = {0};
    if (scope) {
        kl_tensors out = call_in_scope(ctx, args, count, given);
        if (!out.at)
            kl_error_prefix(layer->name);
        kl_tensor *few[16], **keep = few;
        if (out.count > 16 && !(keep = kl_malloc((size_t)out.count * sizeof *keep)))
            out = (kl_tensors){0};
        if (out.at)
            memcpy(keep, out.at, (size_t)out.count * sizeof *keep);
        kl_scope_end_keeping(scope, (size_t)out.count, keep);
        if (out.count && (result.at = result_list(out.count))) {
            memcpy(result.at, keep, (size_t)out.count * sizeof *keep);
            result.count = out.count;
        } else {
            for (int i = 0; i < out.count; i++)
                kl_release(keep[i]);
        }
        if (keep != few)
            kl_free(keep);
    }
    ctx->call = outer_call;
    ctx->masks = outer_masks;
    ctx->input_count = outer_count;
    ctx->training = outer_training;
    return result;
}

/* Where a layer stands among `root` and all below it, each before its sublayers; *at counts. */
static bool find_place(const kl_layer *root, const kl_layer *layer, int *at)
{
    if (root == layer)
        return true;
    ++*at;
    for (int i = 0; i < root->sublayer_count; i++)
        if (find_place(root->sublayers[i].layer, layer, at))
            return true;
    return false;
}

/* Losses in the order of the layers that added them, as Keras lists them. */
static void sort_losses(const kl_layer *root, kl_context *ctx)
{
    for (int i = 1; root->sublayer_count && i < ctx->loss_count; i++) {
        kl_tensor *loss = ctx->losses[i];
        const kl_layer *owner = ctx->loss_owners[i];
        int place = 0, to = i;
        find_place(root, owner, &place);
        for (; to > 0; to--) {
            int before = 0;
            find_place(root, ctx->loss_owners[to - 1], &before);
            if (before <= place)
                break;
            ctx->losses[to] = ctx->losses[to - 1];
            ctx->loss_owners[to] = ctx->loss_owners[to - 1];
        }
        ctx->losses[to] = loss;
        ctx->loss_owners[to] = owner;
    }
}

/* Keeps what a call outside a model added, for kl_layer_losses. */
static kl_status keep_losses(kl_layer *layer, kl_context *ctx)
{
    if (!ctx->loss_count && !layer->loss_count)
        return KL_OK;
    sort_losses(layer, ctx);
    kl_tensor **kept = NULL;
    if (ctx->loss_count && !(kept = kl_malloc_array((size_t)ctx->loss_count, sizeof *kept)))
        return KL_ERROR_MEMORY;
    for (int i = 0; i < ctx->loss_count; i++)
        kept[i] = kl_hold(ctx->losses[i]);
    pthread_mutex_lock(&layer->guard);
    kl_tensor **old = layer->losses;
    int count = layer->loss_count;
    layer->losses = kept;
    layer->loss_count = ctx->loss_count;
    pthread_mutex_unlock(&layer->guard);
    for (int i = 0; i < count; i++)
        kl_unhold(old[i]);
    kl_free(old);
    return KL_OK;
}

static kl_tensors call_outermost(const kl_call_args *args)
{
    kl_layer *layer = args->layer;
    kl_context *ctx = kl_context_begin(layer, args->training == KL_TRUE ? KL_CONTEXT_TRAINING
                                                                        : KL_CONTEXT_INFERENCE);
    if (!ctx)
        return (kl_tensors){0};
    kl_tensors out = kl_context_call(ctx, args);
    if (out.at && (kl_context_commit(ctx) || keep_losses(layer, ctx))) {
        for (int i = 0; i < out.count; i++)
            kl_release(out.at[i]);
        out = (kl_tensors){0};
    }
    kl_context_end(ctx);
    return out;
}

static kl_tensors dispatch_call(const kl_call_args *args)
{
    int count;
    kl_tensor *const *given;
    if (list_inputs(args, &count, &given))
        return (kl_tensors){0};
    for (int i = 0; i < count; i++) {
        if (given[i]->symbol) {
            kl_tensors out = {0};
            return given[i]->symbol->call(args, &out) ? (kl_tensors){0} : out;
        }
    }
    kl_context *ctx = kl_context_current();
    return ctx ? kl_context_call(ctx, args) : call_outermost(args);
}

kl_tensors kl_call_with_args(const kl_call_args *args)
{
    if (!args || !kl_args_usable("kl_call_with", args, args->size, sizeof *args, args->mark)) {
        if (!args)
            kl_error_null("kl_call_with", "args");
        return (kl_tensors){0};
    }
    if (!args->layer) {
        kl_error_null("kl_call_with", "layer");
        return (kl_tensors){0};
    }
    return dispatch_call(args);
}

kl_tensor *kl_call(kl_layer *layer, kl_tensor *input)
{
    if (!layer || !input) {
        kl_error_null("kl_call", layer ? "input" : "layer");
        return NULL;
    }
    kl_call_args args = {.size = sizeof args, .inputs = {input}, .layer = layer};
    kl_tensors out = dispatch_call(&args);
    for (int i = 1; i < out.count; i++)
        kl_release(out.at[i]);
    return out.at ? out.at[0] : NULL;
}
