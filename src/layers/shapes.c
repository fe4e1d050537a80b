/*
 * Output shapes by running `call` on stand-ins: twice, with two different sizes in the place of
 * unknown dimensions; output dimensions that differ are unknown.
 */
#include "layers/layer.h"

#include <string.h>

#include "base/error.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

/* Large enough for any window, and divisible by what layers divide by. */
static const int64_t probe_sizes[2] = {5040, 10080};

static kl_tensor *probe(const kl_shape *shape, int64_t size)
{
    int64_t dims[KL_MAX_RANK];
    for (int i = 0; i < shape->rank; i++)
        dims[i] = shape->at[i] < 0 ? size : shape->at[i];
    return kl_stand_in(shape->dtype, shape->rank, dims);
}

static kl_status run(kl_layer *layer, const kl_call_args *base, const kl_shape *inputs, int count,
                     int64_t size, kl_shape *outputs, int *output_count)
{
    kl_context *ctx = kl_context_begin(layer, KL_CONTEXT_SHAPES);
    if (!ctx)
        return kl_last_status();
    kl_scope *scope = kl_scope_begin();
    kl_status status = scope ? KL_OK : kl_last_status();
    kl_call_args args = {.size = sizeof args};
    if (base)
        args = *base;
    args.layer = layer;
    kl_tensor **at = status ? NULL : kl_scope_alloc((size_t)count * sizeof *at);
    if (!at)
        status = kl_last_status();
    for (int i = 0; at && !status && i < count; i++) {
        at[i] = probe(&inputs[i], size);
        if (!at[i])
            status = kl_last_status();
    }
    memset(args.inputs, 0, sizeof args.inputs);
    args.inputs_list = (kl_tensors){count, at};
    kl_tape_pause();
    if (!status) {
        kl_tensors out = kl_context_call(ctx, &args);
        if (!out.at) {
            status = kl_last_status();
        } else if (out.count > KL_MAX_LIST) {
            status = kl_error(KL_ERROR_UNSUPPORTED, "%s has more than %d outputs", layer->name,
                              KL_MAX_LIST);
        } else {
            *output_count = out.count;
            for (int i = 0; i < out.count; i++) {
                outputs[i].rank = out.at[i]->rank;
                outputs[i].dtype = out.at[i]->dtype;
                memcpy(outputs[i].at, out.at[i]->shape, sizeof outputs[i].at);
            }
        }
    }
    kl_tape_resume();
    kl_scope_end_keeping(scope, 0, NULL);
    kl_context_end(ctx);
    return status;
}

static kl_status infer(kl_layer *layer, const kl_call_args *base, const kl_shape *inputs, int count,
                       kl_shape *outputs, int *output_count)
{
    bool unknown = false;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < inputs[i].rank; k++)
            unknown = unknown || inputs[i].at[k] < 0;
    kl_status status = run(layer, base, inputs, count, probe_sizes[0], outputs, output_count);
    if (status || !unknown)
        return status;
    kl_shape second[KL_MAX_LIST];
    int second_count;
    status = run(layer, base, inputs, count, probe_sizes[1], second, &second_count);
    if (status)
        return status;
    for (int i = 0; i < *output_count; i++) {
        if (second_count != *output_count || second[i].rank != outputs[i].rank)
            return kl_error(KL_ERROR_SHAPE, "%s: the rank of its outputs depends on unknown sizes",
                            layer->name);
        for (int k = 0; k < outputs[i].rank; k++)
            if (outputs[i].at[k] != second[i].at[k])
                outputs[i].at[k] = -1;
    }
    return KL_OK;
}

kl_status kl_layer_infer_shapes(kl_layer *layer, const kl_call_args *base, const kl_shape *inputs,
                                int count, kl_shape *outputs, int *output_count)
{
    kl_status status = kl_layer_build(layer, inputs, count);
    if (status)
        return status;
    if (!layer->vtable->output_shape)
        return infer(layer, base, inputs, count, outputs, output_count);
    *output_count = 1;
    for (int i = 0; i < KL_MAX_LIST; i++)
        outputs[i].dtype = layer->compute_dtype;
    status = layer->vtable->output_shape(layer, inputs, count, outputs, output_count);
    if (status)
        kl_error_prefix(layer->name);
    return status;
}

kl_status kl_layer_graph_shapes(kl_layer *layer, const kl_call_args *base, const kl_shape *inputs,
                                int count, kl_shape *outputs, int *output_count)
{
    if (!(layer->vtable->flags & KL_LAYER_STATES_LESS))
        return kl_layer_infer_shapes(layer, base, inputs, count, outputs, output_count);
    kl_status status = kl_layer_build(layer, inputs, count);
    return status ? status : infer(layer, base, inputs, count, outputs, output_count);
}

kl_status kl_layer_output_shape(kl_layer *layer, const kl_shape *inputs, int count,
                                kl_shape *outputs, int *output_count)
{
    if (!layer || !inputs || count < 1 || !outputs || !output_count)
        return kl_error_null("kl_layer_output_shape", !layer    ? "layer"
                                                      : !inputs ? "inputs"
                                                                : "outputs");
    return kl_layer_infer_shapes(layer, NULL, inputs, count, outputs, output_count);
}
