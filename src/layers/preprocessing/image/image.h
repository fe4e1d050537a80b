/* What the layers on images share. */
#ifndef KL_LAYERS_PREPROCESSING_IMAGE_H
#define KL_LAYERS_PREPROCESSING_IMAGE_H

#include "klayers/layers/image.h"
#include "layers/layer.h"
#include "ops/image.h"
#include "tensor/tensor.h"

/* Fields of every image layer; `type` is its argument struct. */
#define IMAGE_FIELDS(type)                                                                         \
    {"data_format",                                                                                \
     KL_FIELD_STRING,                                                                              \
     offsetof(type, data_format),                                                                  \
     "channels_last",                                                                              \
     .doc = "where the channels stand",                                                            \
     .choices = "channels_last|channels_first",                                                    \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
    {                                                                                              \
        "bounding_box_format", KL_FIELD_IGNORED, .doc = "of boxes, which aren't taken"             \
    }
#define SEED_FIELD(type)                                                                           \
    {                                                                                              \
        "seed", KL_FIELD_INT, offsetof(type, seed), .doc = "of the draws",                         \
                                                    .flags = KL_FIELD_OPTIONAL                     \
    }
#define FACTOR_FIELD(type, key)                                                                    \
    {                                                                                              \
#key, KL_FIELD_FLOATS, offsetof(type, key),                                                \
            .doc = "the largest draw, or lowest and highest",                                      \
            .flags = KL_FIELD_OPTIONAL | KL_FIELD_LONE                                             \
    }
#define VALUE_RANGE_FIELD(type)                                                                    \
    {                                                                                              \
        "value_range", KL_FIELD_FLOATS, offsetof(type, value_range),                               \
            .doc = "lowest and highest value of a pixel, 0 and 255", .flags = KL_FIELD_OPTIONAL    \
    }
#define INTERPOLATION_FIELD(type)                                                                  \
    {                                                                                              \
        "interpolation", KL_FIELD_STRING, offsetof(type, interpolation), "bilinear",               \
            .doc = "how pixels between pixels are made", .choices = "nearest|bilinear"             \
    }
#define FILL_VALUE_FIELD(type)                                                                     \
    {                                                                                              \
        "fill_value", KL_FIELD_FLOAT, offsetof(type, fill_value), "0",                             \
            .doc = "of fill_mode constant"                                                         \
    }
#define FILL_MODE_FIELD(type)                                                                      \
    {                                                                                              \
        "fill_mode", KL_FIELD_STRING, offsetof(type, fill_mode), "reflect",                        \
            .doc = "what lies outside the image", .choices = "reflect|wrap|constant|nearest"       \
    }

/* How one number given as a factor makes a range, and what two numbers must keep to. */
typedef enum kl_factor_rule {
    KL_FACTOR_BASE,      /* from -f, but not below `low`, to f; a pair must overlap the bounds */
    KL_FACTOR_SYMMETRIC, /* from -f to f; each within the bounds */
    KL_FACTOR_UP         /* from 0 to f; each within the bounds */
} kl_factor_rule;

/* Replaces a list that the state owns. */
kl_status kl_floats_set(kl_floats *given, size_t count, const double *values);
/* The range of a factor argument; None is 0. */
kl_status kl_factor_range(const char *name, kl_floats given, kl_factor_rule rule, double low,
                          double high, double range[2]);
/* The same, and the argument becomes the range (what get_config then gives). */
kl_status kl_factor_resolve(const char *name, kl_floats *given, kl_factor_rule rule, double low,
                            double high, double range[2]);
/* A range within 0 and 1; left out, 1 as one number. */
kl_status kl_probability(const char *name, kl_floats *given, double range[2]);
/* Replaces a list that the state owns by two values. */
kl_status kl_ints_set_pair(kl_ints *given, int64_t low, int64_t high);
/* Of "reflect", "wrap", "constant", "nearest". */
kl_fill_mode kl_fill_mode_of(const char *name);
/* Two numbers, 0 and 255 if none are given; sorted if asked for. */
kl_status kl_value_range(kl_floats *given, bool sort, double range[2]);

/* A layer's input as a batch of images in the compute dtype. */
typedef struct kl_image_input {
    kl_tensor *x;       /* four axes; NULL: failed */
    bool batched, real; /* with values */
    kl_images size;
} kl_image_input;
kl_image_input kl_image_begin(const kl_layer *self, kl_tensor *x, const char *data_format);
/* The same without a cast, for kernels that read uint8 as they are. */
kl_image_input kl_image_begin_raw(const kl_layer *self, kl_tensor *x, const char *data_format);
/* The output, without a batch if the input had none. */
kl_tensors kl_image_end(const kl_image_input *in, kl_tensor *y);
/* The answers at inference: the input in the compute dtype, or in its own; both check its rank. */
kl_tensors kl_image_identity(const kl_layer *self, kl_tensor *x);
kl_tensors kl_image_untouched(const kl_layer *self, kl_tensors inputs);

/* `count` numbers from low to high; equal ends give exactly that. Lent by the scope; NULL: failed.
   A stand-in's draws are low. */
double *kl_image_draw(const kl_image_input *in, int64_t count, double low, double high);
/* One number an image as a tensor [batch, 1, 1, 1] of the images' type. */
kl_tensor *kl_image_values(const kl_image_input *in, const double *values);
/* uint8 [batch]: where values[i] < limits[i], and where not. */
kl_tensor *kl_image_below(const kl_image_input *in, const double *values, const double *limits);
kl_tensor *kl_image_not_below(const kl_image_input *in, const double *values, const double *limits);
/* The same as bool [batch, 1, 1, 1]: images for which a draw from 0 to 1 is below a draw from
   factor[0] to factor[1]. */
kl_tensor *kl_image_chosen(const kl_image_input *in, const double factor[2]);

/* Linear from one range of values to another. */
kl_tensor *kl_image_rescale(kl_tensor *x, const double from[2], const double to[2]);

/* Output height and width of a layer that crops or resizes. */
kl_status kl_image_output_size(const kl_shape *input, const char *data_format, int64_t height,
                               int64_t width, kl_shape *output);

#endif
