/* The activations: each a function through ops; those with arguments have objects of their own. */
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/session.h"
#include "klayers/activations.h"
#include "objects/define.h"
#include "objects/functions.h"
#include "ops/activation.h"

static kl_tensor *same(const kl_activation *self, kl_tensor *x)
{
    return x ? kl_op_reshape(x, kl_tensor_rank(x), kl_tensor_shape(x)) : NULL;
}

static const kl_activation_vtable linear_class = {
    .size = sizeof(kl_activation_vtable), .class_name = "linear", .call = same};

/* Keras 2.15's hard sigmoid; Keras 3 has another under the same name. */
static kl_tensor *hard_sigmoid_2_15(kl_tensor *x)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y = kl_op_clip(kl_op_add_scalar(kl_op_mul_scalar(x, 0.2), 0.5), 0, 1);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

#define PLAIN(id, text, more, code, expression)                                                    \
    static kl_tensor *call_##id(const kl_activation *self, kl_tensor *x)                           \
    {                                                                                              \
        return expression;                                                                         \
    }                                                                                              \
    static const kl_activation_vtable id##_class = {.size = sizeof(kl_activation_vtable),          \
                                                    .class_name = text,                            \
                                                    .names = more,                                 \
                                                    .call = call_##id,                             \
                                                    .fused = code};
PLAIN(relu, "relu", NULL, KL_FUSED_RELU, kl_op_relu(x))
PLAIN(tanh, "tanh", NULL, KL_FUSED_TANH, kl_op_tanh(x))
PLAIN(sigmoid, "sigmoid", NULL, KL_FUSED_SIGMOID, kl_op_sigmoid(x))
PLAIN(softmax, "softmax", NULL, KL_FUSED_SOFTMAX, kl_op_softmax(x, -1))
PLAIN(selu, "selu", NULL, 0, kl_op_selu(x))
PLAIN(softplus, "softplus", NULL, 0, kl_op_softplus(x))
PLAIN(softsign, "softsign", NULL, 0, kl_op_softsign(x))
PLAIN(silu, "silu", "swish", 0, kl_op_silu(x))
PLAIN(relu6, "relu6", NULL, 0, kl_op_relu6(x))
PLAIN(mish, "mish", NULL, 0, kl_op_mish(x))
PLAIN(hard_sigmoid, "hard_sigmoid", NULL, 0, kl_op_hard_sigmoid(x))
PLAIN(hard_sigmoid_2_15, "hard_sigmoid_2_15", NULL, 0, hard_sigmoid_2_15(x))
PLAIN(hard_silu, "hard_silu", "hard_swish", 0, kl_op_hard_silu(x))
PLAIN(hard_tanh, "hard_tanh", NULL, 0, kl_op_hard_tanh(x))
PLAIN(tanh_shrink, "tanh_shrink", NULL, 0, kl_op_tanh_shrink(x))
PLAIN(sparse_plus, "sparse_plus", NULL, 0, kl_op_sparse_plus(x))
PLAIN(sparse_sigmoid, "sparse_sigmoid", NULL, 0, kl_op_sparse_sigmoid(x))
PLAIN(log_sigmoid, "log_sigmoid", NULL, 0, kl_op_log_sigmoid(x))
PLAIN(exponential, "exponential", NULL, 0, kl_op_exp(x))
PLAIN(log_softmax, "log_softmax", NULL, 0, kl_op_log_softmax(x, -1))
PLAIN(sparsemax, "sparsemax", NULL, 0, kl_op_sparsemax(x, -1))
PLAIN(glu, "glu", NULL, 0, kl_op_glu(x, -1))
PLAIN(gelu, "gelu", NULL, 0, kl_op_gelu(x, false))
PLAIN(elu, "elu", NULL, 0, kl_op_elu(x, 1))
PLAIN(celu, "celu", NULL, 0, kl_op_celu(x, 1))
PLAIN(leaky_relu, "leaky_relu", NULL, 0, kl_op_leaky_relu(x, 0.2))
PLAIN(hard_shrink, "hard_shrink", NULL, 0, kl_op_hard_shrink(x, 0.5))
PLAIN(soft_shrink, "soft_shrink", NULL, 0, kl_op_soft_shrink(x, 0.5))
PLAIN(squareplus, "squareplus", NULL, 0, kl_op_squareplus(x, 4))

/* Objects with arguments go by the names of Keras's layers of the same function, and their configs
   may have what every layer's has. */
#define LAYER_KEYS                                                                                 \
    {"name", KL_FIELD_IGNORED, .doc = "of a layer"},                                               \
        {"trainable", KL_FIELD_IGNORED, .doc = "of a layer"},                                      \
    {                                                                                              \
        "dtype", KL_FIELD_IGNORED, .doc = "of a layer"                                             \
    }
static const kl_field relu_fields[] = {
    {"negative_slope", KL_FIELD_FLOAT, offsetof(kl_activation_relu_args, negative_slope), "0",
     .doc = "of the formula", .min = 0, .max = INFINITY, .alias = "alpha"},
    {"max_value", KL_FIELD_FLOAT, offsetof(kl_activation_relu_args, max_value), NULL,
     .doc = "of the formula", .min = 0, .max = INFINITY, .flags = KL_FIELD_OPTIONAL},
    {"threshold", KL_FIELD_FLOAT, offsetof(kl_activation_relu_args, threshold), "0",
     .doc = "of the formula", .min = 0, .max = INFINITY},
    LAYER_KEYS,
    {0}};
static kl_tensor *relu_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_relu_args *a = kl_object_state(self);
    return kl_op_relu_general(x, a->negative_slope, a->max_value, a->threshold);
}
static const kl_activation_vtable relu_object_class = {.size = sizeof(kl_activation_vtable),
                                                       .class_name = "ReLU",
                                                       .state_size =
                                                           sizeof(kl_activation_relu_args),
                                                       .args_size = sizeof(kl_activation_relu_args),
                                                       .fields = relu_fields,
                                                       .call = relu_object_call};
KL_DEFINE_CLASS(kl_activation_relu, relu_object_class, kl_activation, KL_KIND_ACTIVATION)

static const kl_field leaky_relu_fields[] = {
    {"negative_slope", KL_FIELD_FLOAT, offsetof(kl_activation_leaky_relu_args, negative_slope),
     "0.2", .doc = "of the formula", .alias = "alpha"},
    LAYER_KEYS,
    {0}};
static kl_tensor *leaky_relu_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_leaky_relu_args *a = kl_object_state(self);
    return kl_op_leaky_relu(x, a->negative_slope);
}
static const kl_activation_vtable leaky_relu_object_class = {
    .size = sizeof(kl_activation_vtable),
    .class_name = "LeakyReLU",
    .state_size = sizeof(kl_activation_leaky_relu_args),
    .args_size = sizeof(kl_activation_leaky_relu_args),
    .fields = leaky_relu_fields,
    .call = leaky_relu_object_call};
KL_DEFINE_CLASS(kl_activation_leaky_relu, leaky_relu_object_class, kl_activation,
                KL_KIND_ACTIVATION)

static const kl_field elu_fields[] = {{"alpha", KL_FIELD_FLOAT,
                                       offsetof(kl_activation_elu_args, alpha), "1",
                                       .doc = "of the formula"},
                                      LAYER_KEYS,
                                      {0}};
static kl_tensor *elu_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_elu_args *a = kl_object_state(self);
    return kl_op_elu(x, a->alpha);
}
static const kl_activation_vtable elu_object_class = {.size = sizeof(kl_activation_vtable),
                                                      .class_name = "ELU",
                                                      .state_size = sizeof(kl_activation_elu_args),
                                                      .args_size = sizeof(kl_activation_elu_args),
                                                      .fields = elu_fields,
                                                      .call = elu_object_call};
KL_DEFINE_CLASS(kl_activation_elu, elu_object_class, kl_activation, KL_KIND_ACTIVATION)

static const kl_field celu_fields[] = {{"alpha", KL_FIELD_FLOAT,
                                        offsetof(kl_activation_celu_args, alpha), "1",
                                        .doc = "of the formula"},
                                       {0}};
static kl_tensor *celu_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_celu_args *a = kl_object_state(self);
    return kl_op_celu(x, a->alpha);
}
static const kl_activation_vtable celu_object_class = {.size = sizeof(kl_activation_vtable),
                                                       .class_name = "CELU",
                                                       .state_size =
                                                           sizeof(kl_activation_celu_args),
                                                       .args_size = sizeof(kl_activation_celu_args),
                                                       .fields = celu_fields,
                                                       .call = celu_object_call};
KL_DEFINE_CLASS(kl_activation_celu, celu_object_class, kl_activation, KL_KIND_ACTIVATION)

static const kl_field hard_shrink_fields[] = {{"threshold", KL_FIELD_FLOAT,
                                               offsetof(kl_activation_hard_shrink_args, threshold),
                                               "0.5", .doc = "of the formula"},
                                              {0}};
static kl_tensor *hard_shrink_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_hard_shrink_args *a = kl_object_state(self);
    return kl_op_hard_shrink(x, a->threshold);
}
static const kl_activation_vtable hard_shrink_object_class = {
    .size = sizeof(kl_activation_vtable),
    .class_name = "HardShrink",
    .state_size = sizeof(kl_activation_hard_shrink_args),
    .args_size = sizeof(kl_activation_hard_shrink_args),
    .fields = hard_shrink_fields,
    .call = hard_shrink_object_call};
KL_DEFINE_CLASS(kl_activation_hard_shrink, hard_shrink_object_class, kl_activation,
                KL_KIND_ACTIVATION)

static const kl_field soft_shrink_fields[] = {{"threshold", KL_FIELD_FLOAT,
                                               offsetof(kl_activation_soft_shrink_args, threshold),
                                               "0.5", .doc = "of the formula"},
                                              {0}};
static kl_tensor *soft_shrink_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_soft_shrink_args *a = kl_object_state(self);
    return kl_op_soft_shrink(x, a->threshold);
}
static const kl_activation_vtable soft_shrink_object_class = {
    .size = sizeof(kl_activation_vtable),
    .class_name = "SoftShrink",
    .state_size = sizeof(kl_activation_soft_shrink_args),
    .args_size = sizeof(kl_activation_soft_shrink_args),
    .fields = soft_shrink_fields,
    .call = soft_shrink_object_call};
KL_DEFINE_CLASS(kl_activation_soft_shrink, soft_shrink_object_class, kl_activation,
                KL_KIND_ACTIVATION)

static const kl_field squareplus_fields[] = {
    {"b", KL_FIELD_FLOAT, offsetof(kl_activation_squareplus_args, b), "4", .doc = "of the formula"},
    {0}};
static kl_tensor *squareplus_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_squareplus_args *a = kl_object_state(self);
    return kl_op_squareplus(x, a->b);
}
static const kl_activation_vtable squareplus_object_class = {
    .size = sizeof(kl_activation_vtable),
    .class_name = "Squareplus",
    .state_size = sizeof(kl_activation_squareplus_args),
    .args_size = sizeof(kl_activation_squareplus_args),
    .fields = squareplus_fields,
    .call = squareplus_object_call};
KL_DEFINE_CLASS(kl_activation_squareplus, squareplus_object_class, kl_activation,
                KL_KIND_ACTIVATION)

static const kl_field threshold_fields[] = {
    {"threshold", KL_FIELD_FLOAT, offsetof(kl_activation_threshold_args, threshold), "0",
     .doc = "of the formula"},
    {"default_value", KL_FIELD_FLOAT, offsetof(kl_activation_threshold_args, default_value), "0",
     .doc = "of the formula", .alias = "value"},
    {0}};
static kl_tensor *threshold_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_threshold_args *a = kl_object_state(self);
    return kl_op_threshold(x, a->threshold, a->default_value);
}
static const kl_activation_vtable threshold_object_class = {
    .size = sizeof(kl_activation_vtable),
    .class_name = "Threshold",
    .state_size = sizeof(kl_activation_threshold_args),
    .args_size = sizeof(kl_activation_threshold_args),
    .fields = threshold_fields,
    .call = threshold_object_call};
KL_DEFINE_CLASS(kl_activation_threshold, threshold_object_class, kl_activation, KL_KIND_ACTIVATION)

static const kl_field softmax_fields[] = {
    {"axis", KL_FIELD_INT, offsetof(kl_activation_softmax_args, axis), "-1", .doc = "along which"},
    LAYER_KEYS,
    {0}};
static kl_tensor *softmax_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_softmax_args *a = kl_object_state(self);
    return kl_op_softmax(x, (int)a->axis);
}
static const kl_activation_vtable softmax_object_class = {
    .size = sizeof(kl_activation_vtable),
    .class_name = "Softmax",
    .state_size = sizeof(kl_activation_softmax_args),
    .args_size = sizeof(kl_activation_softmax_args),
    .fields = softmax_fields,
    .call = softmax_object_call};
KL_DEFINE_CLASS(kl_activation_softmax, softmax_object_class, kl_activation, KL_KIND_ACTIVATION)

static const kl_field log_softmax_fields[] = {{"axis", KL_FIELD_INT,
                                               offsetof(kl_activation_log_softmax_args, axis), "-1",
                                               .doc = "along which"},
                                              {0}};
static kl_tensor *log_softmax_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_log_softmax_args *a = kl_object_state(self);
    return kl_op_log_softmax(x, (int)a->axis);
}
static const kl_activation_vtable log_softmax_object_class = {
    .size = sizeof(kl_activation_vtable),
    .class_name = "LogSoftmax",
    .state_size = sizeof(kl_activation_log_softmax_args),
    .args_size = sizeof(kl_activation_log_softmax_args),
    .fields = log_softmax_fields,
    .call = log_softmax_object_call};
KL_DEFINE_CLASS(kl_activation_log_softmax, log_softmax_object_class, kl_activation,
                KL_KIND_ACTIVATION)

static const kl_field sparsemax_fields[] = {{"axis", KL_FIELD_INT,
                                             offsetof(kl_activation_sparsemax_args, axis), "-1",
                                             .doc = "along which"},
                                            {0}};
static kl_tensor *sparsemax_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_sparsemax_args *a = kl_object_state(self);
    return kl_op_sparsemax(x, (int)a->axis);
}
static const kl_activation_vtable sparsemax_object_class = {
    .size = sizeof(kl_activation_vtable),
    .class_name = "Sparsemax",
    .state_size = sizeof(kl_activation_sparsemax_args),
    .args_size = sizeof(kl_activation_sparsemax_args),
    .fields = sparsemax_fields,
    .call = sparsemax_object_call};
KL_DEFINE_CLASS(kl_activation_sparsemax, sparsemax_object_class, kl_activation, KL_KIND_ACTIVATION)

static const kl_field glu_fields[] = {
    {"axis", KL_FIELD_INT, offsetof(kl_activation_glu_args, axis), "-1", .doc = "along which"},
    {0}};
static kl_tensor *glu_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_glu_args *a = kl_object_state(self);
    return kl_op_glu(x, (int)a->axis);
}
static const kl_activation_vtable glu_object_class = {.size = sizeof(kl_activation_vtable),
                                                      .class_name = "GLU",
                                                      .state_size = sizeof(kl_activation_glu_args),
                                                      .args_size = sizeof(kl_activation_glu_args),
                                                      .fields = glu_fields,
                                                      .call = glu_object_call};
KL_DEFINE_CLASS(kl_activation_glu, glu_object_class, kl_activation, KL_KIND_ACTIVATION)

static const kl_field gelu_fields[] = {{"approximate", KL_FIELD_BOOL,
                                        offsetof(kl_activation_gelu_args, approximate), "false",
                                        .doc = "by tanh instead of erf"},
                                       {0}};
static kl_tensor *gelu_object_call(const kl_activation *self, kl_tensor *x)
{
    const kl_activation_gelu_args *a = kl_object_state(self);
    return kl_op_gelu(x, a->approximate);
}
static const kl_activation_vtable gelu_object_class = {.size = sizeof(kl_activation_vtable),
                                                       .class_name = "GELU",
                                                       .state_size =
                                                           sizeof(kl_activation_gelu_args),
                                                       .args_size = sizeof(kl_activation_gelu_args),
                                                       .fields = gelu_fields,
                                                       .call = gelu_object_call};
KL_DEFINE_CLASS(kl_activation_gelu, gelu_object_class, kl_activation, KL_KIND_ACTIVATION)

/* One's own function. */
typedef kl_tensor *activation_function(kl_tensor *x, void *user);

static kl_tensor *own_call(const kl_activation *self, kl_tensor *x)
{
    const kl_own_function *s = kl_object_state(self);
    return ((activation_function *)s->function)(x, s->user);
}

static const kl_activation_vtable own_class = {
    .size = sizeof(kl_activation_vtable), KL_OWN_FUNCTION_CLASS, .call = own_call};

kl_activation *kl_activation_from(const char *name,
                                  kl_tensor *(*function)(kl_tensor *x, void *user), void *user)
{
    return kl_own_function_new("kl_activation_from", KL_KIND_ACTIVATION,
                               (const kl_class *)&own_class, name, (kl_any_function *)function,
                               user);
}

kl_status kl_register_activation(const char *name, kl_tensor *(*function)(kl_tensor *x, void *user),
                                 void *user)
{
    return kl_own_function_register("kl_register_activation", KL_KIND_ACTIVATION,
                                    (const kl_class *)&own_class, name, (kl_any_function *)function,
                                    user);
}

kl_tensor *kl_activation_call(const kl_activation *activation, kl_tensor *x)
{
    if (!x) {
        kl_error_null("kl_activation_call", "x");
        return NULL;
    }
    if (!activation)
        return same(NULL, x);
    const kl_object *object = (const kl_object *)activation;
    const kl_activation_vtable *cls = (const kl_activation_vtable *)object->cls;
    if (!cls->call) {
        kl_error(KL_ERROR_INVALID, "%s: the class has no call", cls->class_name);
        return NULL;
    }
    return cls->call(activation, x);
}

kl_activation *kl_activation_get(kl_named activation)
{
    kl_object *object = NULL;
    if (kl_named_resolve(KL_KIND_ACTIVATION, activation, &object) || !object)
        return NULL;
    kl_object_retain(object);
    kl_object_disown(object);
    return (kl_activation *)object;
}

static const kl_activation_vtable *const classes[] = {
    &linear_class,
    &relu_class,
    &tanh_class,
    &sigmoid_class,
    &softmax_class,
    &selu_class,
    &softplus_class,
    &softsign_class,
    &silu_class,
    &relu6_class,
    &mish_class,
    &hard_sigmoid_class,
    &hard_sigmoid_2_15_class,
    &hard_silu_class,
    &hard_tanh_class,
    &tanh_shrink_class,
    &sparse_plus_class,
    &sparse_sigmoid_class,
    &log_sigmoid_class,
    &exponential_class,
    &log_softmax_class,
    &sparsemax_class,
    &glu_class,
    &gelu_class,
    &elu_class,
    &celu_class,
    &leaky_relu_class,
    &hard_shrink_class,
    &soft_shrink_class,
    &squareplus_class,
    &relu_object_class,
    &leaky_relu_object_class,
    &elu_object_class,
    &celu_object_class,
    &hard_shrink_object_class,
    &soft_shrink_object_class,
    &squareplus_object_class,
    &threshold_object_class,
    &softmax_object_class,
    &log_softmax_object_class,
    &sparsemax_object_class,
    &glu_object_class,
    &gelu_object_class,
    &own_class,
};

const kl_class *kl_builtin_activation(const char *name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (kl_class_is_named((const kl_class *)classes[i], name))
            return (const kl_class *)classes[i];
    return NULL;
}
