#include "klayers/layers/preprocessing.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

#define ARG(member) offsetof(kl_rescaling_args, member)
static const kl_field rescaling_fields[] = {
    {"scale", KL_FIELD_FLOAT, ARG(scale), .doc = "what the input is multiplied by",
     .flags = KL_FIELD_OPTIONAL},
    {"offset", KL_FIELD_FLOAT, ARG(offset), "0", .doc = "what is added then",
     .flags = KL_FIELD_OPTIONAL},
    {"scales", KL_FIELD_TENSOR, ARG(scales), .doc = "several scales",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"offsets", KL_FIELD_TENSOR, ARG(offsets), .doc = "several offsets",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {0}};

static kl_status move_list(kl_config *config, const char *from, const char *to)
{
    const kl_config *value = kl_config_get(config, from);
    double number;
    if (!value || kl_config_typeof(value) == KL_CONFIG_NULL || kl_config_as_float(value, &number))
        return KL_OK;
    return kl_config_set(config, to, kl_config_detach(config, from));
}

/* A config's scale and offset are numbers, nested lists or arrays. */
static kl_status rescaling_from_config(void *self, kl_config *config)
{
    kl_status status = move_list(config, "scale", "scales");
    return status ? status : move_list(config, "offset", "offsets");
}

static kl_config *nested_list(const kl_tensor *x, int axis, int64_t *at)
{
    if (axis == x->rank)
        return kl_config_new_float(kl_tensor_at(x, (*at)++));
    kl_config *list = kl_config_new_list();
    for (int64_t i = 0; list && i < x->shape[axis]; i++) {
        if (kl_config_append(list, nested_list(x, axis + 1, at))) {
            kl_config_free(list);
            return NULL;
        }
    }
    return list;
}

static kl_status rescaling_get_config(const void *self, kl_config *config)
{
    const kl_rescaling_args *a = kl_object_state(self);
    kl_status status = KL_OK;
    int64_t at = 0;
    if (a->scales)
        status = kl_config_set(config, "scale", nested_list(a->scales, 0, &at));
    at = 0;
    if (!status && a->offsets)
        status = kl_config_set(config, "offset", nested_list(a->offsets, 0, &at));
    return status;
}

static kl_status rescaling_init(void *self)
{
    const kl_rescaling_args *a = kl_layer_state(self);
    if (!a->scales && isnan(a->scale))
        return kl_error(KL_ERROR_INVALID, "scale must be given");
    if (!a->offsets && isnan(a->offset))
        return kl_error(KL_ERROR_INVALID, "offset must be a number");
    const kl_tensor *both[] = {a->scales, a->offsets};
    for (int i = 0; i < 2; i++)
        if (both[i] && (both[i]->dtype == KL_STRING || !both[i]->buffer))
            return kl_error(KL_ERROR_INVALID, "scale and offset must be numbers");
    return KL_OK;
}

/* Keras makes float32 of the numbers first, whatever the layer computes in. */
static double narrow(double value, bool whole)
{
    return whole ? trunc((double)(float)value) : (double)(float)value;
}

static kl_tensor *narrow_tensor(kl_tensor *value, kl_dtype dtype)
{
    return kl_op_cast(kl_op_cast(value, KL_FLOAT32), dtype);
}

static kl_tensors rescaling_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_rescaling_args *a = kl_layer_state(self);
    kl_dtype dtype = kl_layer_compute_dtype(self);
    kl_tensor *x = in.at[0];
    if (x->dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
        return (kl_tensors){0};
    }
    if (x->dtype != dtype)
        x = kl_op_cast(x, dtype);
    bool whole = !kl_dtype_is_float(dtype);
    if (a->scales)
        x = kl_op_mul(x, narrow_tensor(a->scales, dtype));
    else
        x = kl_op_mul_scalar(x, narrow(a->scale, whole));
    if (a->offsets)
        x = kl_op_add(x, narrow_tensor(a->offsets, dtype));
    else if (a->offset != 0)
        x = kl_op_add_scalar(x, narrow(a->offset, whole));
    return kl_one(x);
}

const kl_layer_vtable kl_rescaling_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Rescaling",
    .state_size = sizeof(kl_rescaling_args),
    .args_size = sizeof(kl_rescaling_args),
    .fields = rescaling_fields,
    .init = rescaling_init,
    .get_config = rescaling_get_config,
    .from_config = rescaling_from_config,
    .call = rescaling_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_rescaling)
