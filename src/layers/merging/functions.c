/* What the function forms of the merging layers share. */
#include <string.h>

#include "base/error.h"
#include "layers/merging/merge.h"
#include "objects/object.h"

kl_merge_call_args kl_merge_call_defaults(void)
{
    return (kl_merge_call_args){
        .size = sizeof(kl_merge_call_args), .mark = kl_error_count(), .axis = -1};
}

kl_tensor *kl_merge_once(const char *function, const kl_merge_call_args *args,
                         const kl_layer_vtable *vtable, void *of)
{
    if (!args || !kl_args_usable(function, args, args->size, sizeof *args, args->mark)) {
        if (!args)
            kl_error_null(function, "args");
        return NULL;
    }
    if (!args->inputs[0] && !args->inputs_list.count) {
        kl_error(KL_ERROR_INVALID, "%s: inputs must be given", function);
        return NULL;
    }
    kl_layer_args *head = of;
    head->name = args->name;
    head->dtype = args->dtype;
    head->mark = kl_error_count();
    kl_layer *layer = kl_layer_new(vtable, of);
    if (!layer)
        return NULL;
    kl_call_args call = {.size = sizeof call,
                         .mark = kl_error_count(),
                         .layer = layer,
                         .inputs_list = args->inputs_list};
    memcpy(call.inputs, args->inputs, sizeof call.inputs);
    kl_tensors out = kl_call_with_args(&call);
    kl_layer_release(layer);
    return out.at ? out.at[0] : NULL;
}
