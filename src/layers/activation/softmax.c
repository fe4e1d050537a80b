#include "klayers/layers/activation.h"
#include "layers/layer.h"
#include "layers/normalization/axes.h"
#include "tensor/tensor.h"

typedef struct softmax_state {
    kl_softmax_args args;
    bool every_axis; /* Keras's axis=None */
} softmax_state;

static const kl_field softmax_fields[] = {
    {"axis", KL_FIELD_INTS, offsetof(kl_softmax_args, axis),
     .doc = "axis, or axes taken together; unset is the last, None all of them",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_LONE},
    {0}};

static kl_status softmax_from_config(void *self, kl_config *config)
{
    softmax_state *s = kl_layer_state(self);
    const kl_config *axis = kl_config_get(config, "axis");
    s->every_axis = axis && kl_config_typeof(axis) == KL_CONFIG_NULL;
    return KL_OK;
}

static kl_status softmax_get_config(const void *self, kl_config *config)
{
    const softmax_state *s = kl_layer_state(self);
    return s->every_axis ? kl_config_set(config, "axis", kl_config_new_null()) : KL_OK;
}

static kl_status softmax_init(void *self)
{
    softmax_state *s = kl_layer_state(self);
    kl_ints *axis = &s->args.axis;
    s->every_axis = s->every_axis || (axis->count == 1 && axis->at[0] == KL_NONE);
    kl_status status = kl_norm_axes_name_last(axis);
    if (!status && (!axis->count || axis->count > KL_MAX_RANK))
        status = kl_error(KL_ERROR_INVALID, "Softmax: axis must name 1 to %d axes, got %zu",
                          KL_MAX_RANK, axis->count);
    return status;
}

/* Broadcasts, and has no axis more than x. */
static kl_status check_mask(const kl_tensor *x, const kl_tensor *mask)
{
    char have[160], got[160];
    bool fits = mask->rank <= x->rank;
    for (int i = 1; fits && i <= mask->rank; i++) {
        int64_t size = mask->shape[mask->rank - i];
        fits = size == 1 || size == x->shape[x->rank - i];
    }
    if (fits)
        return KL_OK;
    return kl_error(KL_ERROR_SHAPE, "a mask of shape %s doesn't broadcast to the input's %s",
                    kl_shape_text(mask->rank, mask->shape, got, sizeof got),
                    kl_shape_text(x->rank, x->shape, have, sizeof have));
}

static double large_negative(const kl_layer *self, kl_dtype dtype)
{
    if (dtype != KL_FLOAT16)
        return -1e9;
    return self->legacy ? -32752 : -3e4;
}

/* Scores that the mask leaves out are as good as minus infinity; 2.15 adds to them. */
static kl_tensor *mask_scores(const kl_layer *self, kl_tensor *x, kl_tensor *mask)
{
    kl_dtype dtype = kl_tensor_dtype(x);
    double low = large_negative(self, dtype);
    if (!self->legacy)
        return kl_op_where(mask, x, kl_scalar(dtype, low));
    kl_tensor *out = kl_op_rsub_scalar(kl_op_cast(mask, dtype), 1);
    return kl_op_add(x, kl_op_mul_scalar(out, low));
}

static kl_tensor *over_axes(const softmax_state *s, kl_tensor *x)
{
    int axes[KL_MAX_RANK], count = s->every_axis ? 0 : (int)s->args.axis.count;
    if (!x)
        return NULL;
    for (int i = 0; i < count; i++) {
        int64_t axis = s->args.axis.at[i];
        if (axis < -x->rank || axis >= x->rank) {
            kl_error(KL_ERROR_RANGE, "axis %lld is out of bounds for an input of %d axes",
                     (long long)axis, x->rank);
            return NULL;
        }
        axes[i] = (int)axis;
    }
    if (count == 1)
        return kl_op_softmax(x, axes[0]);
    return kl_op_exp(kl_op_sub(x, kl_op_logsumexp(x, count, count ? axes : NULL, true)));
}

static kl_tensors softmax_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const softmax_state *s = kl_layer_state(self);
    kl_tensor *x = in.at[0], *mask = kl_call_argument(ctx, "mask");
    if (!mask)
        mask = kl_input_mask(ctx, 0);
    if (mask && !self->legacy && check_mask(x, mask))
        return kl_one(NULL);
    if (mask && !self->legacy && mask->dtype != KL_BOOL)
        mask = kl_op_greater(mask, kl_scalar(KL_FLOAT64, 0.5));
    kl_tensor *y = over_axes(s, mask ? mask_scores(self, x, mask) : x);
    if (y && mask && !self->legacy)
        y = kl_op_where(mask, y, kl_scalar(kl_tensor_dtype(y), 0));
    return kl_one(y);
}

const kl_layer_vtable kl_softmax_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Softmax",
    .state_size = sizeof(softmax_state),
    .args_size = sizeof(kl_softmax_args),
    .fields = softmax_fields,
    .init = softmax_init,
    .get_config = softmax_get_config,
    .from_config = softmax_from_config,
    .call = softmax_call,
    .compute_mask = kl_pass_mask,
};

KL_DEFINE_LAYER(kl_softmax)
