/* The constraints: https://keras.io/api/layers/constraints/ */
#include "klayers/constraints.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "objects/define.h"
#include "objects/functions.h"
#include "ops/common.h"
#include "tensor/convert.h"

static kl_tensor *norms_along(kl_tensor *w, kl_ints axes)
{
    int list[KL_MAX_RANK], count = 0;
    for (size_t i = 0; i < axes.count && count < KL_MAX_RANK; i++)
        list[count++] = (int)axes.at[i];
    if (!axes.at)
        list[count++] = 0;
    return kl_op_sqrt(kl_op_sum(kl_op_square(w), count, list, true));
}

/* Keras writes one axis as a number; the default is 0. */
static kl_status write_axis(kl_ints axis, kl_config *config)
{
    if (axis.at && axis.count != 1)
        return KL_OK;
    return kl_config_set_int(config, "axis", axis.at ? axis.at[0] : 0);
}

static const kl_field max_norm_fields[] = {
    {"max_value", KL_FIELD_FLOAT, offsetof(kl_max_norm_args, max_value), "2", .doc = "largest norm",
     .min = 0, .max = 1e30},
    {"axis", KL_FIELD_INTS, offsetof(kl_max_norm_args, axis), "0",
     .doc = "axes that a norm is taken over; None: 0", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status max_norm_get_config(const void *self, kl_config *config)
{
    return write_axis(((const kl_max_norm_args *)kl_object_state(self))->axis, config);
}

static kl_tensor *max_norm_call(const kl_constraint *self, kl_tensor *w)
{
    const kl_max_norm_args *a = kl_object_state(self);
    kl_tensor *norms = norms_along(w, a->axis);
    kl_tensor *desired = kl_op_clip(norms, 0, a->max_value);
    return kl_op_mul(w, kl_op_div(desired, kl_op_add_scalar(norms, 1e-7)));
}

static const kl_constraint_vtable max_norm_class = {.size = sizeof(kl_constraint_vtable),
                                                    .class_name = "MaxNorm",
                                                    .names = "max_norm|maxnorm",
                                                    .state_size = sizeof(kl_max_norm_args),
                                                    .args_size = sizeof(kl_max_norm_args),
                                                    .fields = max_norm_fields,
                                                    .get_config = max_norm_get_config,
                                                    .call = max_norm_call};
KL_DEFINE_CLASS(kl_max_norm, max_norm_class, kl_constraint, KL_KIND_CONSTRAINT)

static const kl_field min_max_norm_fields[] = {
    {"min_value", KL_FIELD_FLOAT, offsetof(kl_min_max_norm_args, min_value), "0",
     .doc = "smallest norm", .min = 0, .max = 1e30},
    {"max_value", KL_FIELD_FLOAT, offsetof(kl_min_max_norm_args, max_value), "1",
     .doc = "largest norm", .min = 0, .max = 1e30},
    {"rate", KL_FIELD_FLOAT, offsetof(kl_min_max_norm_args, rate), "1",
     .doc = "how much of the way to go", .min = 0, .max = 1},
    {"axis", KL_FIELD_INTS, offsetof(kl_min_max_norm_args, axis), "0",
     .doc = "axes that a norm is taken over; None: 0", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status min_max_norm_get_config(const void *self, kl_config *config)
{
    return write_axis(((const kl_min_max_norm_args *)kl_object_state(self))->axis, config);
}

static kl_tensor *min_max_norm_call(const kl_constraint *self, kl_tensor *w)
{
    const kl_min_max_norm_args *a = kl_object_state(self);
    kl_tensor *norms = norms_along(w, a->axis);
    kl_tensor *goal = kl_op_mul_scalar(kl_op_clip(norms, a->min_value, a->max_value), a->rate);
    kl_tensor *desired = kl_op_add(goal, kl_op_mul_scalar(norms, 1 - a->rate));
    return kl_op_mul(w, kl_op_div(desired, kl_op_add_scalar(norms, 1e-7)));
}

static const kl_constraint_vtable min_max_norm_class = {.size = sizeof(kl_constraint_vtable),
                                                        .class_name = "MinMaxNorm",
                                                        .names = "min_max_norm|minmaxnorm",
                                                        .state_size = sizeof(kl_min_max_norm_args),
                                                        .args_size = sizeof(kl_min_max_norm_args),
                                                        .fields = min_max_norm_fields,
                                                        .get_config = min_max_norm_get_config,
                                                        .call = min_max_norm_call};
KL_DEFINE_CLASS(kl_min_max_norm, min_max_norm_class, kl_constraint, KL_KIND_CONSTRAINT)

static const kl_field non_neg_fields[] = {{0}};

static kl_tensor *non_neg_call(const kl_constraint *self, kl_tensor *w)
{
    kl_tensor *keep = kl_op_greater_equal(w, kl_scalar((kl_dtype)w->dtype, 0));
    return kl_op_mul(w, kl_op_cast(keep, (kl_dtype)w->dtype));
}

static const kl_constraint_vtable non_neg_class = {.size = sizeof(kl_constraint_vtable),
                                                   .class_name = "NonNeg",
                                                   .names = "non_neg|nonneg",
                                                   .state_size = sizeof(kl_non_neg_args),
                                                   .args_size = sizeof(kl_non_neg_args),
                                                   .fields = non_neg_fields,
                                                   .call = non_neg_call};
KL_DEFINE_CLASS(kl_non_neg, non_neg_class, kl_constraint, KL_KIND_CONSTRAINT)

static const kl_field unit_norm_fields[] = {
    {"axis", KL_FIELD_INTS, offsetof(kl_unit_norm_args, axis), "0",
     .doc = "axes that a norm is taken over; None: 0", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status unit_norm_get_config(const void *self, kl_config *config)
{
    return write_axis(((const kl_unit_norm_args *)kl_object_state(self))->axis, config);
}

static kl_tensor *unit_norm_call(const kl_constraint *self, kl_tensor *w)
{
    const kl_unit_norm_args *a = kl_object_state(self);
    return kl_op_div(w, kl_op_add_scalar(norms_along(w, a->axis), 1e-7));
}

static const kl_constraint_vtable unit_norm_class = {.size = sizeof(kl_constraint_vtable),
                                                     .class_name = "UnitNorm",
                                                     .names = "unit_norm|unitnorm",
                                                     .state_size = sizeof(kl_unit_norm_args),
                                                     .args_size = sizeof(kl_unit_norm_args),
                                                     .fields = unit_norm_fields,
                                                     .get_config = unit_norm_get_config,
                                                     .call = unit_norm_call};
KL_DEFINE_CLASS(kl_unit_norm, unit_norm_class, kl_constraint, KL_KIND_CONSTRAINT)

static const kl_field radial_constraint_fields[] = {{0}};

static kl_tensor *radial_constraint_call(const kl_constraint *self, kl_tensor *w)
{
    if (w->rank != 4 || w->shape[0] != w->shape[1]) {
        char text[160];
        kl_error(KL_ERROR_SHAPE,
                 "RadialConstraint: expected a kernel [side, side, in, out], got %s",
                 kl_shape_text(w->rank, w->shape, text, sizeof text));
        return NULL;
    }
    int64_t side = w->shape[0], half = side / 2, even = side % 2 == 0;
    size_t bytes = (size_t)(w->shape[2] * w->shape[3]) * kl_dtype_size((kl_dtype)w->dtype);
    kl_tensor *from = kl_contiguous(w), *out = from ? kl_copy(w, (kl_dtype)w->dtype) : NULL;
    for (int64_t at = 0; out && from->buffer && at < side * side; at++) {
        int64_t r = at / side, c = at % side;
        int64_t dr = r < half ? half - even - r : r - half;
        int64_t dc = c < half ? half - even - c : c - half;
        /* Keras takes the middle from [half - 1, half - 1] and ring i from the diagonal beyond. */
        int64_t ring = dr > dc ? dr : dc;
        int64_t place = ring == 0 ? (half ? half - 1 : 0) : half + ring - (even ? 0 : 1);
        memcpy(out->data + (size_t)at * bytes, from->data + (size_t)(place * side + place) * bytes,
               bytes);
    }
    return out;
}

static const kl_constraint_vtable radial_constraint_class = {
    .size = sizeof(kl_constraint_vtable),
    .class_name = "RadialConstraint",
    .names = "radial_constraint|radialconstraint",
    .state_size = sizeof(kl_radial_constraint_args),
    .args_size = sizeof(kl_radial_constraint_args),
    .fields = radial_constraint_fields,
    .call = radial_constraint_call};
KL_DEFINE_CLASS(kl_radial_constraint, radial_constraint_class, kl_constraint, KL_KIND_CONSTRAINT)

/* One's own function. */
typedef kl_tensor *constraint_function(kl_tensor *w, void *user);

static kl_tensor *own_call(const kl_constraint *self, kl_tensor *w)
{
    const kl_own_function *s = kl_object_state(self);
    return ((constraint_function *)s->function)(w, s->user);
}

static const kl_constraint_vtable own_class = {
    .size = sizeof(kl_constraint_vtable), KL_OWN_FUNCTION_CLASS, .call = own_call};

kl_constraint *kl_constraint_from(const char *name,
                                  kl_tensor *(*function)(kl_tensor *w, void *user), void *user)
{
    return kl_own_function_new("kl_constraint_from", KL_KIND_CONSTRAINT,
                               (const kl_class *)&own_class, name, (kl_any_function *)function,
                               user);
}

kl_status kl_register_constraint(const char *name, kl_tensor *(*function)(kl_tensor *w, void *user),
                                 void *user)
{
    return kl_own_function_register("kl_register_constraint", KL_KIND_CONSTRAINT,
                                    (const kl_class *)&own_class, name, (kl_any_function *)function,
                                    user);
}

kl_tensor *kl_constraint_call(const kl_constraint *constraint, kl_tensor *w)
{
    if (!constraint || !w) {
        kl_error_null("kl_constraint_call", constraint ? "w" : "constraint");
        return NULL;
    }
    const kl_object *object = (const kl_object *)constraint;
    const kl_constraint_vtable *cls = (const kl_constraint_vtable *)object->cls;
    if (!cls->call) {
        kl_error(KL_ERROR_INVALID, "%s: the class has no call", cls->class_name);
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y = cls->call(constraint, w);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

kl_constraint *kl_constraint_get(kl_named constraint)
{
    kl_object *object = NULL;
    if (kl_named_resolve(KL_KIND_CONSTRAINT, constraint, &object) || !object)
        return NULL;
    kl_object_retain(object);
    kl_object_disown(object);
    return (kl_constraint *)object;
}

static const kl_constraint_vtable *const classes[] = {
    &max_norm_class,  &min_max_norm_class,      &non_neg_class,
    &unit_norm_class, &radial_constraint_class,
};

const kl_class *kl_builtin_constraint(const char *name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (kl_class_is_named((const kl_class *)classes[i], name))
            return (const kl_class *)classes[i];
    return NULL;
}
