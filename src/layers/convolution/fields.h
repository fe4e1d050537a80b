/* Fields that the convolution layers share, and checks of them. */
#ifndef KL_LAYERS_CONVOLUTION_FIELDS_H
#define KL_LAYERS_CONVOLUTION_FIELDS_H

#include "klayers/layer.h"

#define KL_CONV_FIELDS_PLAIN(T, rank, paddings)                                                    \
    {"kernel_size",                                                                                \
     KL_FIELD_DIMS,                                                                                \
     offsetof(T, kernel_size),                                                                     \
     .doc = "size of the window",                                                                  \
     .min = 1,                                                                                     \
     .max = 2147483647,                                                                            \
     .count = rank,                                                                                \
     .flags = KL_FIELD_REQUIRED},                                                                  \
        {"strides", KL_FIELD_DIMS,     offsetof(T, strides), "1", .doc = "step of the window",     \
         .min = 1,  .max = 2147483647, .count = rank},                                             \
        {"padding",                                                                                \
         KL_FIELD_STRING,                                                                          \
         offsetof(T, padding),                                                                     \
         "valid",                                                                                  \
         .doc = "valid: none; same: zeros around; causal: zeros before",                           \
         .choices = paddings},                                                                     \
    {                                                                                              \
        "data_format", KL_FIELD_STRING, offsetof(T, data_format), "channels_last",                 \
            .doc = "where the channels stand", .choices = "channels_last|channels_first",          \
            .flags = KL_FIELD_OPTIONAL                                                             \
    }

#define KL_CONV_FIELDS(T, rank, paddings)                                                          \
    KL_CONV_FIELDS_PLAIN(T, rank, paddings),                                                       \
    {                                                                                              \
        "dilation_rate", KL_FIELD_DIMS, offsetof(T, dilation_rate), "1",                           \
            .doc = "spacing of the window's points", .min = 1, .max = 2147483647, .count = rank    \
    }

/* Activation, bias and the initializer, regularizer and constraint of a kernel of this name. */
#define KL_KERNEL_FIELDS(T, kernel)                                                                \
    {"activation", KL_FIELD_ACTIVATION, offsetof(T, activation),                                   \
     .doc = "applied to the result; None is linear", .flags = KL_FIELD_OPTIONAL},                  \
        {"use_bias", KL_FIELD_BOOL, offsetof(T, use_bias), "true",                                 \
         .doc = "whether a bias is added"},                                                        \
        {#kernel "_initializer", KL_FIELD_INITIALIZER, offsetof(T, kernel##_initializer),          \
         "glorot_uniform", .doc = "of the " #kernel},                                              \
        {"bias_initializer", KL_FIELD_INITIALIZER, offsetof(T, bias_initializer), "zeros",         \
         .doc = "of the bias"},                                                                    \
        {#kernel "_regularizer", KL_FIELD_REGULARIZER, offsetof(T, kernel##_regularizer),          \
         .doc = "penalty on the " #kernel, .flags = KL_FIELD_OPTIONAL},                            \
        {"bias_regularizer", KL_FIELD_REGULARIZER, offsetof(T, bias_regularizer),                  \
         .doc = "penalty on the bias", .flags = KL_FIELD_OPTIONAL},                                \
        {"activity_regularizer", KL_FIELD_REGULARIZER, offsetof(T, activity_regularizer),          \
         .doc = "penalty on the output", .flags = KL_FIELD_OPTIONAL},                              \
        {#kernel "_constraint", KL_FIELD_CONSTRAINT, offsetof(T, kernel##_constraint),             \
         .doc = "projection of the " #kernel, .flags = KL_FIELD_OPTIONAL},                         \
    {                                                                                              \
        "bias_constraint", KL_FIELD_CONSTRAINT, offsetof(T, bias_constraint),                      \
            .doc = "projection of the bias", .flags = KL_FIELD_OPTIONAL                            \
    }

/* Configs of Keras 2.15 have what its base class has, though these layers don't use it. */
#define KL_LEGACY_FIELD(key)                                                                       \
    {                                                                                              \
        .name = key, .type = KL_FIELD_IGNORED, .doc = "Keras 2.15 writes it without a use"         \
    }

#define KL_DEPTH_FIELD(T)                                                                          \
    {                                                                                              \
        "depth_multiplier", KL_FIELD_INT, offsetof(T, depth_multiplier), "1",                      \
            .doc = "outputs of each input channel", .min = 1, .max = 2147483647                    \
    }

/* The part of a kernel beside depthwise and bias in separable convolutions. */
#define KL_POINTWISE_FIELDS(T)                                                                     \
    {"pointwise_initializer", KL_FIELD_INITIALIZER, offsetof(T, pointwise_initializer),            \
     "glorot_uniform", .doc = "of the pointwise kernel"},                                          \
        {"pointwise_regularizer", KL_FIELD_REGULARIZER, offsetof(T, pointwise_regularizer),        \
         .doc = "penalty on the pointwise kernel", .flags = KL_FIELD_OPTIONAL},                    \
    {                                                                                              \
        "pointwise_constraint", KL_FIELD_CONSTRAINT, offsetof(T, pointwise_constraint),            \
            .doc = "projection of the pointwise kernel", .flags = KL_FIELD_OPTIONAL                \
    }

/* What a weight is made with. */
typedef struct kl_weight_plan {
    kl_named initializer, regularizer, constraint;
} kl_weight_plan;

/* A kernel [kernel_size..., from, to]; NULL on error. */
kl_weight *kl_conv_add_kernel(kl_layer *self, const char *name, int rank,
                              const int64_t *kernel_size, int64_t from, int64_t to,
                              kl_weight_plan plan);
/* The size of the channel axis, which from now on every input must have; -1 on error. */
int64_t kl_conv_channels(kl_layer *self, const kl_shape *in, const char *data_format);

/* Keras refuses strides and dilation both above 1. */
kl_status kl_conv_check_strides(int rank, const int64_t *strides, const int64_t *dilation);

#endif
