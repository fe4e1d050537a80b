/* The regularizers: https://keras.io/api/layers/regularizers/ */
#include "klayers/regularizers.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "objects/define.h"
#include "objects/functions.h"
#include "ops/common.h"
#include "tensor/convert.h"

/* Keras holds the factors as float32, also where the weights are float64. */
static kl_tensor *penalty(kl_tensor *x, double l1, double l2)
{
    l1 = (double)(float)l1;
    l2 = (double)(float)l2;
    kl_tensor *one = NULL, *two = NULL;
    if (l1 != 0 || l2 == 0)
        one = kl_op_mul_scalar(kl_op_sum(kl_op_abs(x), KL_ALL_AXES, false), l1);
    if (l2 != 0)
        two = kl_op_mul_scalar(kl_op_sum(kl_op_square(x), KL_ALL_AXES, false), l2);
    return one && two ? kl_op_add(one, two) : one ? one : two;
}

/* Ones with zeros on the diagonal, like a square matrix. */
static kl_tensor *off_diagonal(const kl_tensor *like)
{
    kl_tensor *off = kl_ones((kl_dtype)like->dtype, 2, like->shape);
    size_t size = kl_dtype_size((kl_dtype)like->dtype);
    for (int64_t i = 0; off && off->buffer && i < like->shape[0]; i++)
        kl_fill_elements((kl_dtype)off->dtype,
                         off->data + (size_t)(i * (like->shape[0] + 1)) * size, 1, 0);
    return off;
}

static const kl_field l1_fields[] = {{"l1", KL_FIELD_FLOAT, offsetof(kl_l1_args, l1), "0.01",
                                      .doc = "factor", .min = 0, .max = 1e30},
                                     {0}};

static kl_tensor *l1_call(const kl_regularizer *self, kl_tensor *x)
{
    const kl_l1_args *a = kl_object_state(self);
    return penalty(x, a->l1, 0);
}

static const kl_regularizer_vtable l1_class = {.size = sizeof(kl_regularizer_vtable),
                                               .class_name = "L1",
                                               .names = "l1",
                                               .state_size = sizeof(kl_l1_args),
                                               .args_size = sizeof(kl_l1_args),
                                               .fields = l1_fields,
                                               .call = l1_call};
KL_DEFINE_CLASS(kl_l1, l1_class, kl_regularizer, KL_KIND_REGULARIZER)

static const kl_field l2_fields[] = {{"l2", KL_FIELD_FLOAT, offsetof(kl_l2_args, l2), "0.01",
                                      .doc = "factor", .min = 0, .max = 1e30},
                                     {0}};

static kl_tensor *l2_call(const kl_regularizer *self, kl_tensor *x)
{
    const kl_l2_args *a = kl_object_state(self);
    return penalty(x, 0, a->l2);
}

static const kl_regularizer_vtable l2_class = {.size = sizeof(kl_regularizer_vtable),
                                               .class_name = "L2",
                                               .names = "l2",
                                               .state_size = sizeof(kl_l2_args),
                                               .args_size = sizeof(kl_l2_args),
                                               .fields = l2_fields,
                                               .call = l2_call};
KL_DEFINE_CLASS(kl_l2, l2_class, kl_regularizer, KL_KIND_REGULARIZER)

static const kl_field l1l2_fields[] = {{"l1", KL_FIELD_FLOAT, offsetof(kl_l1l2_args, l1), "0",
                                        .doc = "factor of |x|", .min = 0, .max = 1e30},
                                       {"l2", KL_FIELD_FLOAT, offsetof(kl_l1l2_args, l2), "0",
                                        .doc = "factor of x^2", .min = 0, .max = 1e30},
                                       {0}};

static kl_tensor *l1l2_call(const kl_regularizer *self, kl_tensor *x)
{
    const kl_l1l2_args *a = kl_object_state(self);
    if (a->l1 == 0 && a->l2 == 0)
        return kl_scalar((kl_dtype)x->dtype, 0);
    return penalty(x, a->l1, a->l2);
}

static const kl_regularizer_vtable l1l2_class = {.size = sizeof(kl_regularizer_vtable),
                                                 .class_name = "L1L2",
                                                 .names = "l1_l2|l1l2",
                                                 .state_size = sizeof(kl_l1l2_args),
                                                 .args_size = sizeof(kl_l1l2_args),
                                                 .fields = l1l2_fields,
                                                 .call = l1l2_call};
KL_DEFINE_CLASS(kl_l1l2, l1l2_class, kl_regularizer, KL_KIND_REGULARIZER)

static const kl_field orthogonal_regularizer_fields[] = {
    {"factor", KL_FIELD_FLOAT, offsetof(kl_orthogonal_regularizer_args, factor), "0.01",
     .doc = "factor", .min = 0, .max = 1e30},
    {"mode", KL_FIELD_STRING, offsetof(kl_orthogonal_regularizer_args, mode), "rows",
     .doc = "what shall be orthogonal", .choices = "rows|columns"},
    {0}};

static kl_tensor *orthogonal_regularizer_call(const kl_regularizer *self, kl_tensor *x)
{
    const kl_orthogonal_regularizer_args *a = kl_object_state(self);
    if (x->rank != 2) {
        kl_error(KL_ERROR_SHAPE, "OrthogonalRegularizer: expected rank 2, got %d", x->rank);
        return NULL;
    }
    bool rows = !strcmp(a->mode, "rows");
    int axis = rows ? 1 : 0;
    double size = (double)x->shape[rows ? 0 : 1];
    kl_tensor *n = kl_op_l2_normalize(x, 1, &axis, 1e-6);
    kl_tensor *product =
        rows ? kl_op_matmul_t(n, false, n, true) : kl_op_matmul_t(n, true, n, false);
    kl_tensor *off = product ? off_diagonal(product) : NULL;
    kl_tensor *sum = kl_op_sum(kl_op_abs(kl_op_mul(product, off)), KL_ALL_AXES, false);
    return kl_op_mul_scalar(sum, a->factor * 0.5 / (size * (size - 1) / 2));
}

static const kl_regularizer_vtable orthogonal_regularizer_class = {
    .size = sizeof(kl_regularizer_vtable),
    .class_name = "OrthogonalRegularizer",
    .names = "orthogonal_regularizer|orthogonal",
    .state_size = sizeof(kl_orthogonal_regularizer_args),
    .args_size = sizeof(kl_orthogonal_regularizer_args),
    .fields = orthogonal_regularizer_fields,
    .call = orthogonal_regularizer_call};
KL_DEFINE_CLASS(kl_orthogonal_regularizer, orthogonal_regularizer_class, kl_regularizer,
                KL_KIND_REGULARIZER)

/* One's own function. */
typedef kl_tensor *regularizer_function(kl_tensor *x, void *user);

static kl_tensor *own_call(const kl_regularizer *self, kl_tensor *x)
{
    const kl_own_function *s = kl_object_state(self);
    return ((regularizer_function *)s->function)(x, s->user);
}

static const kl_regularizer_vtable own_class = {
    .size = sizeof(kl_regularizer_vtable), KL_OWN_FUNCTION_CLASS, .call = own_call};

kl_regularizer *kl_regularizer_from(const char *name,
                                    kl_tensor *(*function)(kl_tensor *x, void *user), void *user)
{
    return kl_own_function_new("kl_regularizer_from", KL_KIND_REGULARIZER,
                               (const kl_class *)&own_class, name, (kl_any_function *)function,
                               user);
}

kl_status kl_register_regularizer(const char *name,
                                  kl_tensor *(*function)(kl_tensor *x, void *user), void *user)
{
    return kl_own_function_register("kl_register_regularizer", KL_KIND_REGULARIZER,
                                    (const kl_class *)&own_class, name, (kl_any_function *)function,
                                    user);
}

kl_tensor *kl_regularizer_call(const kl_regularizer *regularizer, kl_tensor *x)
{
    if (!regularizer || !x) {
        kl_error_null("kl_regularizer_call", regularizer ? "x" : "regularizer");
        return NULL;
    }
    const kl_object *object = (const kl_object *)regularizer;
    const kl_regularizer_vtable *cls = (const kl_regularizer_vtable *)object->cls;
    if (!cls->call) {
        kl_error(KL_ERROR_INVALID, "%s: the class has no call", cls->class_name);
        return NULL;
    }
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y = cls->call(regularizer, x);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

kl_regularizer *kl_regularizer_get(kl_named regularizer)
{
    kl_object *object = NULL;
    if (kl_named_resolve(KL_KIND_REGULARIZER, regularizer, &object) || !object)
        return NULL;
    kl_object_retain(object);
    kl_object_disown(object);
    return (kl_regularizer *)object;
}

static const kl_regularizer_vtable *const classes[] = {
    &l1_class,
    &l2_class,
    &l1l2_class,
    &orthogonal_regularizer_class,
};

const kl_class *kl_builtin_regularizer(const char *name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (kl_class_is_named((const kl_class *)classes[i], name))
            return (const kl_class *)classes[i];
    return NULL;
}
