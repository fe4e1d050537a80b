#include "layers/preprocessing/image/sizes.h"

kl_tensor *kl_image_window(const kl_image_input *in, int64_t top, int64_t left, int64_t height,
                           int64_t width)
{
    int axis = in->size.channels_first ? 2 : 1;
    kl_tensor *rows = kl_op_slice(in->x, axis, top, top + height, 1);
    return kl_op_slice(rows, axis + 1, left, left + width, 1);
}

static int64_t at_most(int64_t value, int64_t limit)
{
    value = value < limit ? value : limit;
    return value > 1 ? value : 1;
}

kl_tensor *kl_image_crop_to_ratio(const kl_image_input *in, int64_t height, int64_t width)
{
    const int64_t tall = in->size.height, wide = in->size.width;
    /* In float, as Keras computes it. */
    int64_t rows = at_most((int64_t)((float)(wide * height) / (float)width), tall);
    int64_t columns = at_most((int64_t)((float)(tall * width) / (float)height), wide);
    return kl_image_window(in, (tall - rows) / 2, (wide - columns) / 2, rows, columns);
}

kl_tensor *kl_image_smart_resize(const kl_image_input *in, int64_t height, int64_t width)
{
    const kl_resize_options options = {.height = height,
                                       .width = width,
                                       .method = KL_RESIZE_BILINEAR,
                                       .channels_first = in->size.channels_first};
    kl_tensor *y = kl_op_resize(kl_image_crop_to_ratio(in, height, width), &options);
    return y && in->x->dtype == KL_FLOAT64 ? kl_op_cast(y, KL_FLOAT64) : y;
}
