#include <math.h>
#include <string.h>

#include "klayers/layers/normalization.h"
#include "layers/fusion.h"
#include "layers/normalization/batch_normalization.h"
#include "ops/tape.h"
#include "tensor/tensor.h"

#define ARG(member) offsetof(kl_batch_normalization_args, member)
static const kl_field batch_norm_fields[] = {
    {"axis", KL_FIELD_INT, ARG(axis), "-1", .doc = "the features' axis", .min = -KL_MAX_RANK,
     .max = KL_MAX_RANK - 1},
    {"momentum", KL_FIELD_FLOAT, ARG(momentum), "0.99", .doc = "of the moving averages", .min = 0,
     .max = 1},
    {"epsilon", KL_FIELD_FLOAT, ARG(epsilon), "0.001", .doc = "added to the variance", .min = 0,
     .max = 1e30},
    {"center", KL_FIELD_BOOL, ARG(center), "true", .doc = "whether beta is added"},
    {"scale", KL_FIELD_BOOL, ARG(scale), "true", .doc = "whether gamma multiplies"},
    {"beta_initializer", KL_FIELD_INITIALIZER, ARG(beta_initializer), "zeros", .doc = "of beta"},
    {"gamma_initializer", KL_FIELD_INITIALIZER, ARG(gamma_initializer), "ones", .doc = "of gamma"},
    {"moving_mean_initializer", KL_FIELD_INITIALIZER, ARG(moving_mean_initializer), "zeros",
     .doc = "of the moving mean"},
    {"moving_variance_initializer", KL_FIELD_INITIALIZER, ARG(moving_variance_initializer), "ones",
     .doc = "of the moving variance"},
    {"beta_regularizer", KL_FIELD_REGULARIZER, ARG(beta_regularizer), .doc = "penalty on beta",
     .flags = KL_FIELD_OPTIONAL},
    {"gamma_regularizer", KL_FIELD_REGULARIZER, ARG(gamma_regularizer), .doc = "penalty on gamma",
     .flags = KL_FIELD_OPTIONAL},
    {"beta_constraint", KL_FIELD_CONSTRAINT, ARG(beta_constraint), .doc = "projection of beta",
     .flags = KL_FIELD_OPTIONAL},
    {"gamma_constraint", KL_FIELD_CONSTRAINT, ARG(gamma_constraint), .doc = "projection of gamma",
     .flags = KL_FIELD_OPTIONAL},
    {"synchronized", KL_FIELD_BOOL, ARG(synchronized), "false",
     .doc = "over replicas; there is one"},
    {"renorm", KL_FIELD_BOOL, ARG(renorm), "false", .doc = "batch renormalization"},
    {"renorm_clipping", KL_FIELD_CONFIG, ARG(renorm_clipping), .doc = "rmin, rmax, dmax",
     .flags = KL_FIELD_OPTIONAL},
    {"renorm_momentum", KL_FIELD_FLOAT, ARG(renorm_momentum), "0.99",
     .doc = "of the renorm statistics", .min = 0, .max = 1},
    {"fused", KL_FIELD_BOOL, ARG(fused), .doc = "2.15: the numbers are the same",
     .flags = KL_FIELD_HIDDEN | KL_FIELD_OPTIONAL},
    {"adjustment", KL_FIELD_IGNORED, .doc = "2.15: None alone"},
    {0}};

static kl_status read_clip(const kl_config *map, const char *key, double *out)
{
    const kl_config *value = kl_config_get(map, key);
    *out = NAN;
    if (value && kl_config_typeof(value) != KL_CONFIG_NULL && !kl_config_as_float(value, out))
        return kl_error(KL_ERROR_INVALID, "renorm_clipping: %s must be a number", key);
    return KL_OK;
}

static kl_status batch_norm_init(void *self)
{
    kl_batch_norm_state *s = kl_layer_state(self);
    s->rmin = s->rmax = s->dmax = NAN;
    if (!s->args.renorm_clipping)
        return KL_OK;
    kl_config *map = kl_config_parse(s->args.renorm_clipping, strlen(s->args.renorm_clipping));
    if (!map)
        return kl_last_status();
    kl_status status = KL_OK;
    for (size_t i = 0; !status && i < kl_config_count(map); i++) {
        const char *key = kl_config_key(map, i);
        bool known = key && (!strcmp(key, "rmin") || !strcmp(key, "rmax") || !strcmp(key, "dmax"));
        if (!known)
            status = kl_error(KL_ERROR_INVALID,
                              "renorm_clipping has keys rmin, rmax and dmax alone, got '%s'",
                              key ? key : "a list");
    }
    if (!status)
        status = read_clip(map, "rmin", &s->rmin);
    if (!status)
        status = read_clip(map, "rmax", &s->rmax);
    if (!status)
        status = read_clip(map, "dmax", &s->dmax);
    kl_config_free(map);
    return status;
}

/* 2.15 keeps no weight in half precision. */
static const char *weight_dtype(const kl_layer *self)
{
    kl_dtype dtype = kl_layer_variable_dtype(self);
    bool half = dtype == KL_FLOAT16 || dtype == KL_BFLOAT16;
    return kl_dtype_name(self->legacy && half ? KL_FLOAT32 : dtype);
}

static kl_weight *add_parameter(kl_layer *self, const char *name, kl_weight_args weight)
{
    const kl_batch_norm_state *s = kl_layer_state(self);
    memcpy(weight.shape, s->shape, sizeof s->shape);
    weight.layer = self;
    weight.name = name;
    weight.dtype = weight_dtype(self);
    return kl_add_weight_with(&weight);
}

static kl_weight *add_statistic(kl_layer *self, const char *name, kl_named initializer)
{
    kl_weight_args weight = kl_weight_defaults();
    weight.trainable = false;
    weight.role = KL_WEIGHT_STATE;
    weight.initializer = initializer;
    return add_parameter(self, name, weight);
}

/* The renorm deviations start at the square root of the variance's initial value. */
static kl_status take_root(kl_weight *stddev)
{
    kl_tensor *root = kl_op_sqrt(stddev->value);
    kl_status status = root ? kl_weight_assign(stddev, root) : kl_last_status();
    kl_release(root);
    return status;
}

static kl_status build_renorm(kl_layer *self)
{
    kl_batch_norm_state *s = kl_layer_state(self);
    kl_named variance = s->args.moving_variance_initializer;
    s->moving_stddev = add_statistic(self, "moving_stddev", variance);
    s->renorm_mean = add_statistic(self, "renorm_mean", s->args.moving_mean_initializer);
    s->renorm_stddev = add_statistic(self, "renorm_stddev", variance);
    if (!s->moving_stddev || !s->renorm_mean || !s->renorm_stddev)
        return kl_last_status();
    kl_status status = take_root(s->moving_stddev);
    return status ? status : take_root(s->renorm_stddev);
}

/* The axes, and the shape of the weights. */
static kl_status find_shape(kl_batch_norm_state *s, const kl_shape *in)
{
    int extra = s->virtual_batch_size > 0;
    s->wide = extra || s->axis_count > 1;
    if (s->axis_count <= 1)
        s->axes[0] = (int)s->args.axis;
    s->axis_count = s->axis_count > 1 ? s->axis_count : 1;
    if (in->rank + extra > KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "the input has more than %d axes", KL_MAX_RANK - extra);
    for (int i = 0; i < in->rank + extra; i++)
        s->shape[i] = 1;
    s->shape[s->wide ? in->rank + extra : 1] = 0;
    for (int i = 0; i < s->axis_count; i++) {
        int axis = s->axes[i] = kl_axis("axis", s->axes[i], in->rank);
        if (axis < 0)
            return kl_last_status();
        if (in->at[axis] < 0)
            return kl_error(KL_ERROR_SHAPE, "axis %d of the input must be known", axis);
        if (extra && !axis)
            return kl_error(KL_ERROR_INVALID,
                            "axis must not be the batch's where virtual_batch_size is given");
        s->shape[s->wide ? axis + extra : 0] = in->at[axis];
    }
    if (s->wide && (s->args.renorm || s->args.fused))
        return kl_error(KL_ERROR_UNSUPPORTED,
                        "virtual_batch_size and several axes go without renorm and fused");
    return KL_OK;
}

static kl_status batch_norm_build(kl_layer *self, const kl_shape *in, int count)
{
    kl_batch_norm_state *s = kl_layer_state(self);
    kl_weight_args weight = kl_weight_defaults();
    kl_status status = find_shape(s, in);
    if (status)
        return status;
    if (s->args.scale) {
        weight.initializer = s->args.gamma_initializer;
        weight.regularizer = s->args.gamma_regularizer;
        weight.constraint = s->args.gamma_constraint;
        if (!(s->gamma = add_parameter(self, "gamma", weight)))
            return kl_last_status();
    }
    if (s->args.center) {
        weight.initializer = s->args.beta_initializer;
        weight.regularizer = s->args.beta_regularizer;
        weight.constraint = s->args.beta_constraint;
        if (!(s->beta = add_parameter(self, "beta", weight)))
            return kl_last_status();
    }
    s->moving_mean = add_statistic(self, "moving_mean", s->args.moving_mean_initializer);
    s->moving_variance =
        add_statistic(self, "moving_variance", s->args.moving_variance_initializer);
    if (!s->moving_mean || !s->moving_variance)
        return kl_last_status();
    status = s->args.renorm ? build_renorm(self) : KL_OK;
    if (status)
        return status;
    return kl_set_input_spec(
        self, 0,
        (kl_input_spec){.ndim = in[0].rank, .axis = s->axes[0], .dim = in[0].at[s->axes[0]]});
}

kl_status kl_move_average(kl_context *ctx, const kl_weight *weight, kl_tensor *value,
                          double momentum)
{
    /* 2.15 rounds the latter factor to float32. */
    if (weight->owner->legacy)
        momentum = 1 - (double)(float)(1 - momentum);
    kl_tensor *kept = kl_op_mul_scalar(kl_read_variable(ctx, weight), momentum);
    kl_tensor *next = kl_op_add(kept, kl_op_mul_scalar(value, 1 - momentum));
    return next ? kl_update(ctx, weight, next) : kl_last_status();
}

static kl_tensors finish(const kl_layer *self, kl_tensor *y)
{
    kl_dtype dtype = kl_layer_compute_dtype(self);
    if (y && kl_tensor_dtype(y) != dtype)
        y = kl_op_cast(y, dtype);
    return kl_one(y);
}

typedef struct renorm_factors {
    kl_tensor *r, *d;
} renorm_factors;

static kl_tensor *clip_side(kl_tensor *x, double low, double high)
{
    if (!isnan(low))
        x = kl_op_maximum_scalar(x, low);
    return isnan(high) ? x : kl_op_minimum_scalar(x, high);
}

static renorm_factors correct(const kl_batch_norm_state *s, kl_context *ctx, kl_tensor *mean,
                              kl_tensor *stddev)
{
    kl_tensor *old =
        kl_op_maximum_scalar(kl_read_variable(ctx, s->renorm_stddev), sqrt(s->args.epsilon));
    kl_tensor *r = kl_op_div(stddev, old);
    kl_tensor *d = kl_op_div(kl_op_sub(mean, kl_read_variable(ctx, s->renorm_mean)), old);
    return (renorm_factors){clip_side(r, s->rmin, s->rmax), clip_side(d, -s->dmax, s->dmax)};
}

static kl_status update_renorm(const kl_batch_norm_state *s, kl_context *ctx, kl_tensor *mean,
                               kl_tensor *stddev)
{
    kl_status status = kl_move_average(ctx, s->renorm_mean, mean, s->args.renorm_momentum);
    if (!status)
        status = kl_move_average(ctx, s->renorm_stddev, stddev, s->args.renorm_momentum);
    if (!status)
        status = kl_move_average(ctx, s->moving_mean, mean, s->args.momentum);
    if (!status)
        status = kl_move_average(ctx, s->moving_stddev, stddev, s->args.momentum);
    if (status)
        return status;
    kl_tensor *next = kl_op_relu(
        kl_op_add_scalar(kl_op_square(kl_read_variable(ctx, s->moving_stddev)), -s->args.epsilon));
    return next ? kl_update(ctx, s->moving_variance, next) : kl_last_status();
}

/* (x * r + d) * gamma + beta with the batch's statistics; r and d are constants to the gradient. */
static kl_tensor *renormalize(const kl_batch_norm_state *s, kl_context *ctx, kl_tensor *x,
                              kl_tensor *gamma, kl_tensor *beta, int axis)
{
    kl_tensor *mean = NULL, *variance = NULL;
    kl_tensor *normal = kl_op_batch_norm(x, NULL, NULL, axis, s->args.epsilon,
                                         kl_input_mask(ctx, 0), &mean, &variance);
    if (!normal)
        return NULL;
    kl_tape_pause();
    kl_tensor *stddev = kl_op_sqrt(kl_op_add_scalar(variance, s->args.epsilon));
    renorm_factors f = correct(s, ctx, mean, stddev);
    kl_status status = f.r && f.d ? update_renorm(s, ctx, mean, stddev) : kl_last_status();
    kl_tape_resume();
    if (status)
        return NULL;
    kl_tensor *scale = gamma ? kl_op_mul(f.r, gamma) : f.r;
    kl_tensor *shift = gamma ? kl_op_mul(f.d, gamma) : f.d;
    if (beta)
        shift = kl_op_add(shift, beta);
    if (!scale || !shift)
        return NULL;
    int64_t shape[KL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        shape[i] = i == axis ? x->shape[i] : 1;
    scale = kl_op_reshape(scale, x->rank, shape);
    shift = kl_op_reshape(shift, x->rank, shape);
    return kl_op_add(kl_op_mul(normal, scale), shift);
}

/* fused: the moving variance takes the unbiased estimate, as 2.15's fused kernel does. */
static kl_tensor *normalize_batch(const kl_batch_norm_state *s, kl_context *ctx, kl_tensor *x,
                                  kl_tensor *gamma, kl_tensor *beta, int axis, bool fused)
{
    kl_tensor *mean = NULL, *variance = NULL;
    kl_tensor *y = kl_op_batch_norm(x, gamma, beta, axis, s->args.epsilon,
                                    fused ? NULL : kl_input_mask(ctx, 0), &mean, &variance);
    if (!y)
        return NULL;
    kl_tape_pause();
    kl_status status = kl_move_average(ctx, s->moving_mean, mean, s->args.momentum);
    int64_t n = x->shape[axis] ? x->size / x->shape[axis] : 0;
    if (fused && n > 1)
        variance = kl_op_mul_scalar(variance, (double)n / (double)(n - 1));
    if (!status)
        status = kl_move_average(ctx, s->moving_variance, variance, s->args.momentum);
    kl_tape_resume();
    return status ? NULL : y;
}

/* 2.15 fuses images and videos with channels at either end, unless told not to. */
static bool is_fused(const kl_layer *self, const kl_tensor *x, int axis)
{
    const kl_batch_norm_state *s = kl_layer_state(self);
    bool can = (x->rank == 4 || x->rank == 5) && (axis == 1 || axis == x->rank - 1) &&
               !s->args.renorm && !s->args.synchronized &&
               kl_layer_compute_dtype(self) != KL_FLOAT64;
    return s->args.fused || (self->legacy && !s->unfused && can);
}

static kl_tensors batch_norm_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_batch_norm_state *s = kl_layer_state(self);
    kl_tensor *x = in.at[0], *mask = kl_input_mask(ctx, 0);
    int axis = s->axes[0];
    if (mask && s->wide) {
        kl_error(KL_ERROR_UNSUPPORTED, "virtual_batch_size and several axes take no mask");
        return kl_one(NULL);
    }
    if (mask && mask->rank != x->rank - 1) {
        kl_error(KL_ERROR_SHAPE,
                 "the mask should have one dimension less than the input: mask %d, input %d",
                 mask->rank, x->rank);
        return kl_one(NULL);
    }
    if (x->dtype == KL_FLOAT16 || x->dtype == KL_BFLOAT16)
        x = kl_op_cast(x, KL_FLOAT32);
    kl_tensor *gamma = s->gamma ? kl_read_variable(ctx, s->gamma) : NULL;
    kl_tensor *beta = s->beta ? kl_read_variable(ctx, s->beta) : NULL;
    if (!x)
        return kl_one(NULL);
    bool training = kl_training(ctx) && self->trainable;
    if (s->wide)
        return finish(self, kl_batch_norm_wide(s, ctx, x, gamma, beta,
                                               training && !kl_context_shapes_only(ctx)));
    if (training)
        return finish(self, s->args.renorm ? renormalize(s, ctx, x, gamma, beta, axis)
                                           : normalize_batch(s, ctx, x, gamma, beta, axis,
                                                             is_fused(self, x, axis)));
    return finish(self, kl_op_normalize_with(x, kl_read_variable(ctx, s->moving_mean),
                                             kl_read_variable(ctx, s->moving_variance), gamma, beta,
                                             axis, s->args.epsilon));
}

static bool batch_norm_affine(const kl_layer *self, kl_affine_parts *parts)
{
    const kl_batch_norm_state *s = kl_layer_state(self);
    if (s->wide || !s->moving_variance)
        return false;
    *parts = (kl_affine_parts){.gamma = s->gamma,
                               .beta = s->beta,
                               .mean = s->moving_mean,
                               .variance = s->moving_variance,
                               .epsilon = s->args.epsilon,
                               .channel_axis = s->axes[0]};
    return true;
}

static const kl_layer_fusion batch_norm_fusion = {.affine = batch_norm_affine};

/* One axis in a list is as good as one alone; several are kept. */
static kl_status take_axes(kl_batch_norm_state *s, kl_config *config)
{
    const kl_config *axis = kl_config_get(config, "axis");
    if (!axis || kl_config_typeof(axis) != KL_CONFIG_LIST)
        return KL_OK;
    size_t count = kl_config_count(axis);
    if (!count || count > KL_MAX_RANK)
        return kl_error(KL_ERROR_INVALID, "axis must name 1 to %d axes, got %zu", KL_MAX_RANK,
                        count);
    for (size_t i = 0; i < count; i++) {
        int64_t value;
        if (!kl_config_as_int(kl_config_at(axis, i), &value) || value < -KL_MAX_RANK ||
            value >= KL_MAX_RANK)
            return kl_error(KL_ERROR_INVALID, "axis must be a list of axes");
        s->axes[i] = (int)value;
    }
    s->axis_count = (int)count;
    return kl_config_set_int(config, "axis", s->axes[0]);
}

static kl_status batch_norm_from_config(void *self, kl_config *config)
{
    kl_batch_norm_state *s = kl_layer_state(self);
    const kl_config *fused = kl_config_get(config, "fused");
    bool flag = true;
    s->unfused = fused && kl_config_as_bool(fused, &flag) && !flag;
    kl_config *size = kl_config_detach(config, "virtual_batch_size");
    bool good = !size || kl_config_typeof(size) == KL_CONFIG_NULL ||
                (kl_config_as_int(size, &s->virtual_batch_size) && s->virtual_batch_size > 0);
    kl_config_free(size);
    if (!good)
        return kl_error(KL_ERROR_INVALID,
                        "virtual_batch_size must be a positive number that divides the batch");
    return take_axes(s, config);
}

static kl_status batch_norm_get_config(const void *self, kl_config *config)
{
    const kl_batch_norm_state *s = kl_layer_state(self);
    kl_status status = KL_OK;
    if (s->virtual_batch_size)
        status = kl_config_set_int(config, "virtual_batch_size", s->virtual_batch_size);
    if (status || s->axis_count <= 1)
        return status;
    kl_config *axes = kl_config_new_list();
    for (int i = 0; axes && i < s->axis_count; i++)
        if (kl_config_append(axes, kl_config_new_int(s->axes[i]))) {
            kl_config_free(axes);
            return KL_ERROR_MEMORY;
        }
    return axes ? kl_config_set(config, "axis", axes) : KL_ERROR_MEMORY;
}

const kl_layer_vtable kl_batch_normalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "BatchNormalization",
    .names = "BatchNormalizationV2|SyncBatchNormalization",
    .state_size = sizeof(kl_batch_norm_state),
    .args_size = sizeof(kl_batch_normalization_args),
    .fields = batch_norm_fields,
    .init = batch_norm_init,
    .from_config = batch_norm_from_config,
    .get_config = batch_norm_get_config,
    .build = batch_norm_build,
    .call = batch_norm_call,
    .compute_mask = kl_pass_mask,
    .fusion = &batch_norm_fusion,
};

KL_DEFINE_LAYER(kl_batch_normalization)
