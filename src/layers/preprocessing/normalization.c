#include <string.h>

#include "base/alloc.h"
#include "klayers/layers/preprocessing.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

typedef struct normalization_state {
    kl_normalization_args args;
    int axes[KL_MAX_RANK], axis_count; /* kept, ascending */
    int reduced[KL_MAX_RANK], reduced_count;
    int rank;
    int64_t broadcast[KL_MAX_RANK]; /* the kept sizes in their places, 1 elsewhere */
    int64_t given[KL_MAX_RANK];     /* where the axes of a mean that was given go */
    kl_weight *mean, *variance, *count;
    kl_tensor *seen_mean, *seen_variance; /* held, float64, while adapting */
    double seen;
    bool from_config;
} normalization_state;

static const double normalization_epsilon = 1e-7; /* keras.config.epsilon() */

#define ARG(member) offsetof(kl_normalization_args, member)
static const kl_field normalization_fields[] = {
    {"axis", KL_FIELD_INT, ARG(axis), "-1", .doc = "the kept axis, or None", .min = -KL_MAX_RANK,
     .max = KL_MAX_RANK - 1, .flags = KL_FIELD_OPTIONAL},
    {"axes", KL_FIELD_INTS, ARG(axes), .doc = "several kept axes",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"mean", KL_FIELD_TENSOR, ARG(mean), .doc = "given in the place of adapt",
     .flags = KL_FIELD_OPTIONAL},
    {"variance", KL_FIELD_TENSOR, ARG(variance), .doc = "with mean", .flags = KL_FIELD_OPTIONAL},
    {"invert", KL_FIELD_BOOL, ARG(invert), "false", .doc = "from normalized values back"},
    {0}};

/* A config's axis is a number, None, or a list of any length. */
static kl_status normalization_from_config(void *self, kl_config *config)
{
    ((normalization_state *)kl_object_state(self))->from_config = true;
    kl_config *axis = kl_config_detach(config, "axis");
    if (!axis)
        return KL_OK;
    size_t count = kl_config_count(axis);
    kl_status status;
    if (kl_config_typeof(axis) != KL_CONFIG_LIST)
        return kl_config_set(config, "axis", axis);
    if (count == 0)
        status = kl_config_set(config, "axis", kl_config_new_null());
    else if (count == 1)
        status = kl_config_set(config, "axis", kl_config_copy(kl_config_at(axis, 0)));
    else
        return kl_config_set(config, "axes", axis);
    kl_config_free(axis);
    return status;
}

/* The axes as they were given. */
static kl_ints given_axes(const kl_normalization_args *args)
{
    if (args->axes.count)
        return args->axes;
    return (kl_ints){&args->axis, args->axis == KL_NONE ? 0 : 1};
}

static kl_status normalization_get_config(const void *self, kl_config *config)
{
    const normalization_state *s = kl_object_state(self);
    kl_ints axes = given_axes(&s->args);
    kl_config *list = kl_config_new_list();
    if (!list)
        return kl_last_status();
    for (size_t i = 0; i < axes.count; i++) {
        kl_status status = kl_config_append(list, kl_config_new_int(axes.at[i]));
        if (status) {
            kl_config_free(list);
            return status;
        }
    }
    return kl_config_set(config, "axis", list);
}

/* Keras reads the numbers of a config as float32, whatever the layer computes in. */
static kl_status narrow(kl_tensor **tensor)
{
    if (!*tensor || (*tensor)->dtype == KL_FLOAT32)
        return KL_OK;
    kl_tensor *copy = kl_copy(*tensor, KL_FLOAT32);
    if (!copy)
        return kl_last_status();
    kl_unhold(*tensor);
    *tensor = kl_hold(copy);
    kl_release(copy);
    return KL_OK;
}

static kl_status normalization_init(void *self)
{
    normalization_state *s = kl_layer_state(self);
    if (s->from_config && (narrow(&s->args.mean) || narrow(&s->args.variance)))
        return kl_last_status();
    const kl_tensor *mean = s->args.mean, *variance = s->args.variance;
    if (s->args.axes.count > KL_MAX_RANK)
        return kl_error(KL_ERROR_INVALID, "more than %d axes are given", KL_MAX_RANK);
    if (!mean != !variance)
        return kl_error(KL_ERROR_INVALID,
                        "when setting values directly, both mean and variance must be set");
    if (!mean)
        return KL_OK;
    if (mean->dtype == KL_STRING || variance->dtype == KL_STRING || !mean->buffer ||
        !variance->buffer)
        return kl_error(KL_ERROR_INVALID, "mean and variance must be numbers");
    char have[160], got[160];
    if (!kl_shape_equal(mean, variance))
        return kl_error(KL_ERROR_SHAPE, "mean and variance must have the same shape, got %s and %s",
                        kl_shape_text(mean->rank, mean->shape, have, sizeof have),
                        kl_shape_text(variance->rank, variance->shape, got, sizeof got));
    if (mean->rank > (int)given_axes(&s->args).count)
        return kl_error(KL_ERROR_SHAPE,
                        "the rank of mean must be at most the number of axes, %zu, "
                        "got shape %s",
                        given_axes(&s->args).count,
                        kl_shape_text(mean->rank, mean->shape, have, sizeof have));
    return KL_OK;
}

static kl_status find_axes(normalization_state *s, const kl_shape *in)
{
    kl_ints axes = given_axes(&s->args);
    unsigned kept = 0;
    for (size_t i = 0; i < axes.count; i++) {
        int64_t axis = axes.at[i] < 0 ? axes.at[i] + in->rank : axes.at[i];
        char text[160];
        if (axis < 0 || axis >= in->rank)
            return kl_error(KL_ERROR_SHAPE,
                            "all axis values must be in the range [-%d, %d), got "
                            "%lld",
                            in->rank, in->rank, (long long)axes.at[i]);
        if (in->at[axis] < 0)
            return kl_error(KL_ERROR_SHAPE,
                            "all axis values to be kept must have a known size, got axis %lld of "
                            "shape %s",
                            (long long)axes.at[i],
                            kl_shape_text(in->rank, in->at, text, sizeof text));
        kept |= 1u << axis;
    }
    s->rank = in->rank;
    s->axis_count = s->reduced_count = 0;
    for (int i = 0; i < in->rank; i++) {
        bool keep = kept >> i & 1;
        s->broadcast[i] = keep ? in->at[i] : 1;
        if (keep)
            s->axes[s->axis_count++] = i;
        else
            s->reduced[s->reduced_count++] = i;
    }
    return KL_OK;
}

/* A given mean's axes are the last of the kept ones. */
static kl_status place_given(normalization_state *s)
{
    const kl_tensor *mean = s->args.mean;
    for (int i = 0; i < s->rank; i++)
        s->given[i] = 1;
    for (int i = 1; i <= mean->rank && i <= s->axis_count; i++) {
        int axis = s->axes[s->axis_count - i];
        int64_t size = mean->shape[mean->rank - i];
        if (size != 1 && size != s->broadcast[axis]) {
            char text[160];
            return kl_error(KL_ERROR_SHAPE, "mean of shape %s does not fit axis %d of size %lld",
                            kl_shape_text(mean->rank, mean->shape, text, sizeof text), axis,
                            (long long)s->broadcast[axis]);
        }
        s->given[axis] = size;
    }
    if (mean->rank > s->axis_count)
        return kl_error(KL_ERROR_SHAPE, "mean has %d axes, but %d are kept", mean->rank,
                        s->axis_count);
    return KL_OK;
}

static kl_weight *add_statistic(kl_layer *self, const char *name, const char *initializer)
{
    const normalization_state *s = kl_layer_state(self);
    kl_weight_args args = kl_weight_defaults();
    args.layer = self;
    args.name = name;
    args.initializer = initializer;
    args.trainable = false;
    args.role = KL_WEIGHT_STATE;
    args.shape[0] = KL_SCALAR;
    for (int i = 0; i < s->axis_count; i++)
        args.shape[i] = s->broadcast[s->axes[i]];
    return kl_add_weight_with(&args);
}

static kl_status normalization_build(kl_layer *self, const kl_shape *in, int count)
{
    normalization_state *s = kl_layer_state(self);
    kl_status status = find_axes(s, &in[0]);
    if (status)
        return status;
    if (s->args.mean)
        return place_given(s);
    s->mean = add_statistic(self, "mean", "zeros");
    s->variance = s->mean ? add_statistic(self, "variance", "ones") : NULL;
    s->count = s->variance ? kl_add_weight(.layer = self, .name = "count", .shape = {KL_SCALAR},
                                           .dtype = "int64", .initializer = "zeros",
                                           .trainable = false, .role = KL_WEIGHT_STATE)
                           : NULL;
    return s->count ? KL_OK : kl_last_status();
}

static kl_tensors normalization_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const normalization_state *s = kl_layer_state(self);
    kl_dtype dtype = kl_layer_compute_dtype(self);
    kl_tensor *x = in.at[0];
    if (x->dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "expected numbers, got strings");
        return (kl_tensors){0};
    }
    if (x->rank != s->rank) {
        kl_error(KL_ERROR_SHAPE, "expected ndim=%d, found ndim=%d", s->rank, x->rank);
        return (kl_tensors){0};
    }
    if (x->dtype != dtype)
        x = kl_op_cast(x, dtype);
    bool given = s->args.mean;
    const int64_t *shape = given ? s->given : s->broadcast;
    kl_tensor *mean = given ? s->args.mean : kl_read(ctx, s->mean);
    kl_tensor *variance = given ? s->args.variance : kl_read(ctx, s->variance);
    mean = kl_op_reshape(kl_op_cast(mean, dtype), s->rank, shape);
    variance = kl_op_reshape(kl_op_cast(variance, dtype), s->rank, shape);
    kl_tensor *scale = kl_op_maximum_scalar(kl_op_sqrt(variance), normalization_epsilon);
    if (s->args.invert)
        return kl_one(kl_op_add(mean, kl_op_mul(x, scale)));
    return kl_one(kl_op_div(kl_op_sub(x, mean), scale));
}

/* ---- Learning ------------------------------------------------------------------------------- */

static void forget(normalization_state *s)
{
    kl_unhold(s->seen_mean);
    kl_unhold(s->seen_variance);
    s->seen_mean = s->seen_variance = NULL;
    s->seen = 0;
}

static kl_status normalization_adapt_reset(kl_layer *self)
{
    normalization_state *s = kl_layer_state(self);
    if (s->args.mean)
        return kl_error(KL_ERROR_STATE,
                        "adapt can't be called on a layer that was given its mean and variance");
    forget(s);
    return KL_OK;
}

static kl_status check_batch(const normalization_state *s, const kl_tensor *batch)
{
    bool fits = batch->rank == s->rank;
    for (int i = 0; fits && i < s->axis_count; i++)
        fits = batch->shape[s->axes[i]] == s->broadcast[s->axes[i]];
    char text[160];
    if (!fits)
        return kl_error(KL_ERROR_SHAPE,
                        "the layer was built for another shape than that of the "
                        "data, %s",
                        kl_shape_text(batch->rank, batch->shape, text, sizeof text));
    if (batch->dtype == KL_STRING)
        return kl_error(KL_ERROR_DTYPE, "adapt: expected numbers, got strings");
    if (!batch->size)
        return kl_error(KL_ERROR_SHAPE, "adapt: the data is empty, of shape %s",
                        kl_shape_text(batch->rank, batch->shape, text, sizeof text));
    return KL_OK;
}

/* One batch's statistics joined to those of the batches before, by their shares. */
static kl_status normalization_adapt_update(kl_layer *self, kl_tensor *batch)
{
    normalization_state *s = kl_layer_state(self);
    kl_status status = check_batch(s, batch);
    if (status)
        return status;
    kl_tensor *x = kl_op_cast(batch, KL_FLOAT64), *mean = x, *variance = kl_op_mul_scalar(x, 0);
    if (s->reduced_count) {
        mean = kl_op_mean(x, s->reduced_count, s->reduced, false);
        variance = kl_op_var(x, s->reduced_count, s->reduced, false);
    }
    double count = 1;
    for (int i = 0; i < s->reduced_count; i++)
        count *= (double)batch->shape[s->reduced[i]];
    if (s->seen > 0) {
        double share = count / (s->seen + count), rest = 1 - share;
        kl_tensor *joint =
            kl_op_add(kl_op_mul_scalar(s->seen_mean, rest), kl_op_mul_scalar(mean, share));
        kl_tensor *before =
            kl_op_add(s->seen_variance, kl_op_squared_difference(s->seen_mean, joint));
        kl_tensor *now = kl_op_add(variance, kl_op_squared_difference(mean, joint));
        variance = kl_op_add(kl_op_mul_scalar(before, rest), kl_op_mul_scalar(now, share));
        mean = joint;
    }
    if (!mean || !variance)
        return kl_last_status();
    kl_hold(mean);
    kl_hold(variance);
    double seen = s->seen + count;
    forget(s);
    s->seen_mean = mean;
    s->seen_variance = variance;
    s->seen = seen;
    return KL_OK;
}

static kl_status normalization_adapt_finish(kl_layer *self)
{
    normalization_state *s = kl_layer_state(self);
    kl_status status = s->seen_mean ? kl_weight_assign(s->mean, s->seen_mean) : KL_OK;
    if (!status && s->seen_variance)
        status = kl_weight_assign(s->variance, s->seen_variance);
    forget(s);
    return status;
}

static void normalization_destroy(void *self)
{
    forget(kl_layer_state(self));
}

const kl_layer_vtable kl_normalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Normalization",
    .state_size = sizeof(normalization_state),
    .args_size = sizeof(kl_normalization_args),
    .fields = normalization_fields,
    .init = normalization_init,
    .get_config = normalization_get_config,
    .from_config = normalization_from_config,
    .destroy = normalization_destroy,
    .build = normalization_build,
    .call = normalization_call,
    .compute_mask = kl_pass_mask,
    .adapt_reset = normalization_adapt_reset,
    .adapt_update = normalization_adapt_update,
    .adapt_finish = normalization_adapt_finish,
};

KL_DEFINE_LAYER(kl_normalization)
