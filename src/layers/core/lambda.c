#include <string.h>

#include <pthread.h>

#include "base/alloc.h"
#include "base/session.h"
#include "klayers/layers/core.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

/* Functions by name, so that a saved model finds them again. */
typedef struct named_function {
    struct named_function *next;
    kl_lambda_function *function;
    void *user;
    char name[];
} named_function;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static named_function *functions;

static void forget_functions(void)
{
    pthread_mutex_lock(&guard);
    for (named_function *entry = functions, *next; entry; entry = next) {
        next = entry->next;
        kl_free(entry);
    }
    functions = NULL;
    pthread_mutex_unlock(&guard);
}

kl_status kl_register_lambda(const char *name, kl_lambda_function *function, void *user)
{
    if (!name || !function)
        return kl_error_null("kl_register_lambda", name ? "function" : "name");
    named_function *entry = kl_malloc(sizeof *entry + strlen(name) + 1);
    if (!entry)
        return KL_ERROR_MEMORY;
    memcpy(entry->name, name, strlen(name) + 1);
    entry->function = function;
    entry->user = user;
    pthread_mutex_lock(&guard);
    entry->next = functions;
    functions = entry;
    pthread_mutex_unlock(&guard);
    kl_at_shutdown(forget_functions);
    return KL_OK;
}

static const kl_field lambda_fields[] = {
    {"function_pointer", KL_FIELD_POINTER, offsetof(kl_lambda_args, function),
     .doc = "the function"},
    {"user", KL_FIELD_POINTER, offsetof(kl_lambda_args, user), .doc = "handed to the function"},
    {"mask_pointer", KL_FIELD_POINTER, offsetof(kl_lambda_args, mask),
     .doc = "makes the output's mask"},
    {"function", KL_FIELD_STRING, offsetof(kl_lambda_args, function_name), .doc = "name for saving",
     .flags = KL_FIELD_OPTIONAL},
    {"output_shape", KL_FIELD_SHAPE, offsetof(kl_lambda_args, output_shape),
     .doc = "without the batch, where the function reads data",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_UNKNOWN_OK},
    {"arguments", KL_FIELD_CONFIG, offsetof(kl_lambda_args, arguments), .doc = "kept in the config",
     .flags = KL_FIELD_OPTIONAL},
    {"mask", KL_FIELD_IGNORED, .doc = "Python code, not run"},
    {"module", KL_FIELD_IGNORED, .doc = "2.15: where the Python function is"},
    {"function_type", KL_FIELD_IGNORED, .doc = "2.15: kind of the Python function"},
    {"output_shape_type", KL_FIELD_IGNORED, .doc = "2.15"},
    {"output_shape_module", KL_FIELD_IGNORED, .doc = "2.15"},
    {0}};

static kl_status find_function(kl_lambda_args *args)
{
    kl_status status = KL_OK;
    pthread_mutex_lock(&guard);
    const named_function *entry = functions;
    while (entry && strcmp(entry->name, args->function_name) != 0)
        entry = entry->next;
    if (entry) {
        args->function = entry->function;
        args->user = entry->user;
    }
    pthread_mutex_unlock(&guard);
    if (!entry)
        status = kl_error(KL_ERROR_NOT_FOUND,
                          "Lambda: function '%s' is not known, register it by kl_register_lambda",
                          args->function_name);
    return status;
}

static kl_status lambda_init(void *self)
{
    kl_lambda_args *args = kl_layer_state(self);
    if (args->function)
        return KL_OK;
    if (!args->function_name)
        return kl_error(KL_ERROR_INVALID, "Lambda: function must be given");
    return find_function(args);
}

static kl_tensors lambda_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_lambda_args *args = kl_layer_state(self);
    if (kl_context_shapes_only(ctx) && args->output_shape[0]) {
        int64_t shape[KL_MAX_RANK] = {in.at[0]->rank ? in.at[0]->shape[0] : 1};
        int rank = 1;
        if (args->output_shape[0] != KL_SCALAR)
            for (; rank < KL_MAX_RANK && args->output_shape[rank - 1]; rank++)
                shape[rank] = args->output_shape[rank - 1] < 0 ? in.at[0]->shape[0]
                                                               : args->output_shape[rank - 1];
        return kl_one(kl_stand_in(kl_layer_compute_dtype(self), rank, shape));
    }
    return args->function(in, ctx, args->user);
}

static kl_tensor *lambda_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                              kl_tensors masks, kl_tensors out, int index)
{
    const kl_lambda_args *args = kl_layer_state(self);
    return args->mask ? args->mask(in, masks.at[0], args->user) : NULL;
}

const kl_layer_vtable kl_lambda_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Lambda",
    .state_size = sizeof(kl_lambda_args),
    .args_size = sizeof(kl_lambda_args),
    .fields = lambda_fields,
    .init = lambda_init,
    .call = lambda_call,
    .compute_mask = lambda_mask,
    .flags = KL_LAYER_MANY_INPUTS,
};

KL_DEFINE_LAYER(kl_lambda)
