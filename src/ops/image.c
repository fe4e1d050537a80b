#include "ops/image.h"

#include <string.h>

#include "ops/common.h"

kl_images kl_images_of(const kl_tensor *images, bool channels_first)
{
    const int64_t *s = images->shape;
    if (channels_first)
        return (kl_images){s[0], s[2], s[3], s[1], true};
    return (kl_images){s[0], s[1], s[2], s[3], false};
}

static kl_pixels pixels_of(const kl_tensor *x, bool as_float)
{
    if (x->dtype == KL_UINT8)
        return as_float ? KL_PIXELS_BYTE_FLOAT : KL_PIXELS_BYTE;
    return kl_is_wide(x) ? KL_PIXELS_DOUBLE : KL_PIXELS_FLOAT;
}

/* A contiguous tensor's elements; NULL keeps NULL. */
static kl_tensor *packed(kl_tensor *x)
{
    return x && !x->contiguous ? kl_contiguous(x) : x;
}

static kl_warp warp_of(const kl_tensor *x, const kl_tensor *keep, const kl_warp_options *o)
{
    return (kl_warp){.images = kl_images_of(x, o->channels_first),
                     .pixels = pixels_of(x, o->as_float),
                     .nearest = o->nearest,
                     .fill = o->fill,
                     .fill_value = o->fill_value,
                     .keep = keep ? (const uint8_t *)keep->data : NULL};
}

/* An output of the images' size, and the images packed. */
static kl_tensor *start(kl_op_frame *f, bool as_float, kl_tensor **x)
{
    kl_tensor *in = f->in[0];
    kl_dtype dtype = in->dtype == KL_UINT8 && as_float ? KL_FLOAT32 : (kl_dtype)in->dtype;
    f->out[0] = kl_op_output(f, dtype, in->rank, in->shape);
    *x = f->out[0] && f->out[0]->buffer ? packed(in) : NULL;
    return f->out[0];
}

static kl_status warp_forward(kl_op_frame *f)
{
    const kl_warp_options *o = f->attrs;
    kl_tensor *x, *out = start(f, o->as_float, &x);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    kl_tensor *maps = packed(f->in[1]), *keep = packed(f->in[2]);
    if (!x || !maps || (f->in[2] && !keep))
        return kl_last_status();
    kl_warp warp = warp_of(x, keep, o);
    warp.maps = (const float *)(const void *)maps->data;
    kl_warp_images(&warp, x->data, out->data);
    kl_drop_copy(x, f->in[0]);
    return KL_OK;
}

static kl_status warp_backward(kl_op_frame *f)
{
    const kl_warp_options *o = f->attrs;
    kl_tensor *dy = kl_dense_values(f->dout[0]);
    f->din[0] = dy ? kl_zeros((kl_dtype)dy->dtype, dy->rank, dy->shape) : NULL;
    if (!f->din[0] || !f->din[0]->buffer)
        return f->din[0] ? KL_OK : kl_last_status();
    kl_warp warp = warp_of(dy, f->in[2], o);
    warp.maps = (const float *)(const void *)f->in[1]->data;
    kl_warp_images_grad(&warp, dy->data, f->din[0]->data);
    kl_drop_copy(dy, f->dout[0]);
    return KL_OK;
}

static const kl_op warp_op = {.size = sizeof(kl_op),
                              .name = "image_warp",
                              .attrs_size = sizeof(kl_warp_options),
                              .forward = warp_forward,
                              .backward = warp_backward,
                              .keeps_in = 6};

static kl_status displace_forward(kl_op_frame *f)
{
    const kl_warp_options *o = f->attrs;
    kl_tensor *x, *out = start(f, false, &x);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    kl_tensor *dx = packed(f->in[1]), *dy = packed(f->in[2]), *keep = packed(f->in[3]);
    if (!x || !dx || !dy || (f->in[3] && !keep))
        return kl_last_status();
    kl_warp warp = warp_of(x, keep, o);
    kl_displace_images(&warp, x->data, dx->data, dy->data, out->data);
    kl_drop_copy(x, f->in[0]);
    return KL_OK;
}

static const kl_op displace_op = {.size = sizeof(kl_op),
                                  .name = "image_displace",
                                  .attrs_size = sizeof(kl_warp_options),
                                  .forward = displace_forward};

typedef struct flip_attrs {
    bool channels_first;
} flip_attrs;

static kl_status flip_forward(kl_op_frame *f)
{
    const flip_attrs *a = f->attrs;
    kl_tensor *x, *out = start(f, false, &x);
    if (!out || !out->buffer)
        return out ? KL_OK : kl_last_status();
    if (!x)
        return kl_last_status();
    kl_images images = kl_images_of(x, a->channels_first);
    kl_flip_images(&images, kl_dtype_size((kl_dtype)x->dtype), (const uint8_t *)f->in[1]->data,
                   x->data, out->data);
    kl_drop_copy(x, f->in[0]);
    return KL_OK;
}

static kl_status flip_backward(kl_op_frame *f)
{
    const flip_attrs *a = f->attrs;
    f->din[0] = kl_op_image_flip(f->dout[0], f->in[1], a->channels_first);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op flip_op = {.size = sizeof(kl_op),
                              .name = "image_flip",
                              .attrs_size = sizeof(flip_attrs),
                              .forward = flip_forward,
                              .backward = flip_backward,
                              .keeps_in = 2,
                              .flags = KL_OP_ANY_DTYPE};

/* Positions in an image are 32-bit. */
static bool fits(const kl_tensor *images)
{
    const int64_t *s = images->shape;
    const int64_t most = INT64_C(1) << 29;
    if (s[1] <= most && s[2] <= most && s[3] <= most && s[1] * s[2] <= most && s[2] * s[3] <= most)
        return true;
    char text[160];
    kl_error(KL_ERROR_UNSUPPORTED, "images of shape %s are too large",
             kl_shape_text(images->rank, s, text, sizeof text));
    return false;
}

kl_tensor *kl_op_image_warp(kl_tensor *images, kl_tensor *maps, kl_tensor *keep,
                            const kl_warp_options *options)
{
    if (!images || !maps || !fits(images))
        return NULL;
    return kl_run1(&warp_op, options, 3, (kl_tensor *[]){images, maps, keep}, 4);
}

kl_tensor *kl_op_image_displace(kl_tensor *images, kl_tensor *dx, kl_tensor *dy, kl_tensor *keep,
                                const kl_warp_options *options)
{
    if (!images || !dx || !dy || !fits(images))
        return NULL;
    return kl_run1(&displace_op, options, 4, (kl_tensor *[]){images, dx, dy, keep}, 8);
}

kl_tensor *kl_op_image_flip(kl_tensor *images, kl_tensor *flips, bool channels_first)
{
    flip_attrs attrs = {channels_first};
    return kl_run1(&flip_op, &attrs, 2, (kl_tensor *[]){images, flips}, 0);
}
