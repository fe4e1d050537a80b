/* What layers that cut and resize share. */
#ifndef KL_LAYERS_PREPROCESSING_SIZES_H
#define KL_LAYERS_PREPROCESSING_SIZES_H

#include "layers/preprocessing/image/image.h"
#include "ops/resize.h"

/* The window of height x width from (top, left) on, as far as the images reach. */
kl_tensor *kl_image_window(const kl_image_input *in, int64_t top, int64_t left, int64_t height,
                           int64_t width);
/* The middle of the images, as large as the aspect ratio height : width lets it be. */
kl_tensor *kl_image_crop_to_ratio(const kl_image_input *in, int64_t height, int64_t width);
/* That, bilinearly resized to height x width (Keras's smart_resize): float64 images stay so, all
   others become float32. */
kl_tensor *kl_image_smart_resize(const kl_image_input *in, int64_t height, int64_t width);

#define SIZE_FIELDS(type)                                                                          \
    {"height", KL_FIELD_INT,   offsetof(type, height),    .doc = "of the output",                  \
     .min = 1, .max = 1 << 29, .flags = KL_FIELD_REQUIRED},                                        \
    {                                                                                              \
        "width", KL_FIELD_INT, offsetof(type, width), .doc = "of the output", .min = 1,            \
                                                      .max = 1 << 29, .flags = KL_FIELD_REQUIRED   \
    }

#endif
