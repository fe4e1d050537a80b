#include "ops/resize.h"

#include <string.h>

#include "ops/common.h"
#include "ops/image.h"

bool kl_resize_method_of(const char *name, kl_resize_method *method)
{
    static const char *const names[] = {"bilinear", "nearest",  "bicubic",  "area",
                                        "lanczos3", "lanczos5", "gaussian", "mitchellcubic"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) {
            *method = (kl_resize_method)i;
            return true;
        }
    return false;
}

static void output_shape(const kl_tensor *x, const kl_resize_options *o, int64_t *shape)
{
    memcpy(shape, x->shape, 4 * sizeof *shape);
    shape[o->channels_first ? 2 : 1] = o->height;
    shape[o->channels_first ? 3 : 2] = o->width;
}

static bool make_axes(const kl_resize_options *o, kl_resize *r)
{
    if (!kl_resize_axis_make(&r->rows, o->method, o->antialias, r->images.height, o->height))
        return false;
    if (kl_resize_axis_make(&r->columns, o->method, o->antialias, r->images.width, o->width))
        return true;
    kl_resize_axis_free(&r->rows);
    return false;
}

static kl_status resize_forward(kl_op_frame *f)
{
    const kl_resize_options *o = f->attrs;
    kl_tensor *x = f->in[0];
    const bool nearest = o->method == KL_RESIZE_NEAREST;
    int64_t shape[4];
    output_shape(x, o, shape);
    kl_tensor *out = f->out[0] =
        kl_op_output(f, nearest ? (kl_dtype)x->dtype : KL_FLOAT32, 4, shape);
    if (!out || !out->buffer || !out->size)
        return out ? KL_OK : kl_last_status();
    kl_tensor *packed = x->contiguous ? x : kl_contiguous(x);
    kl_resize r = {.images = kl_images_of(x, o->channels_first), .bytes = x->dtype == KL_UINT8};
    if (!packed || !make_axes(o, &r))
        return kl_last_status();
    bool good = true;
    if (nearest)
        kl_resize_nearest(&r, kl_dtype_size((kl_dtype)x->dtype), packed->data, out->data);
    else
        good = kl_resize_images(&r, packed->data, (float *)(void *)out->data);
    kl_resize_axis_free(&r.rows);
    kl_resize_axis_free(&r.columns);
    kl_drop_copy(packed, x);
    return good ? KL_OK : kl_last_status();
}

/* The adjoint is a resize, too: an op of its own, whose gradient is the resize itself. */
typedef struct back_attrs {
    kl_resize_options options;
    int64_t shape[4];
} back_attrs;

static bool transpose_axes(kl_resize *r)
{
    kl_resize back = *r;
    bool good = kl_resize_axis_transpose(&r->rows, &back.rows);
    if (good && !kl_resize_axis_transpose(&r->columns, &back.columns)) {
        kl_resize_axis_free(&back.rows);
        good = false;
    }
    kl_resize_axis_free(&r->rows);
    kl_resize_axis_free(&r->columns);
    *r = back;
    return good;
}

static kl_status back_forward(kl_op_frame *f)
{
    const back_attrs *a = f->attrs;
    kl_tensor *dy = f->in[0];
    kl_tensor *dx = f->out[0] = kl_op_output(f, KL_FLOAT32, 4, a->shape);
    if (!dx || !dx->buffer || !dx->size)
        return dx ? KL_OK : kl_last_status();
    kl_tensor *dense = kl_dense_values(dy);
    kl_resize r = {.images = kl_images_of(dx, a->options.channels_first)};
    if (!dense || !make_axes(&a->options, &r))
        return kl_last_status();
    bool good = transpose_axes(&r);
    if (good) {
        good = kl_resize_images(&r, dense->data, (float *)(void *)dx->data);
        kl_resize_axis_free(&r.rows);
        kl_resize_axis_free(&r.columns);
    }
    kl_drop_copy(dense, dy);
    return good ? KL_OK : kl_last_status();
}

static kl_status back_backward(kl_op_frame *f)
{
    const back_attrs *a = f->attrs;
    f->din[0] = kl_op_resize(f->dout[0], &a->options);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op back_op = {.size = sizeof(kl_op),
                              .name = "resize_gradient",
                              .attrs_size = sizeof(back_attrs),
                              .forward = back_forward,
                              .backward = back_backward};

static kl_status resize_backward(kl_op_frame *f)
{
    back_attrs attrs = {.options = *(const kl_resize_options *)f->attrs};
    memcpy(attrs.shape, f->in[0]->shape, sizeof attrs.shape);
    kl_tensor *dy = kl_as_dtype(f->dout[0], KL_FLOAT32);
    f->din[0] = kl_as_dtype(kl_run1(&back_op, &attrs, 1, &dy, 0), (kl_dtype)f->in[0]->dtype);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op resize_op = {.size = sizeof(kl_op),
                                .name = "resize",
                                .attrs_size = sizeof(kl_resize_options),
                                .forward = resize_forward,
                                .backward = resize_backward,
                                .flags = KL_OP_ANY_DTYPE};

kl_tensor *kl_op_resize(kl_tensor *images, const kl_resize_options *options)
{
    kl_tensor *x = images;
    const kl_resize_options *o = options;
    const int64_t most = INT64_C(1) << 29;
    if (!x)
        return NULL;
    kl_images s = kl_images_of(x, o->channels_first);
    if (x->rank != 4 || x->dtype == KL_STRING) {
        kl_error(KL_ERROR_SHAPE, "resize: expected images of four axes");
        return NULL;
    }
    if (o->height < 1 || o->width < 1 || o->height > most || o->width > most) {
        kl_error(KL_ERROR_RANGE, "resize: height and width must be at least 1, got %lld x %lld",
                 (long long)o->height, (long long)o->width);
        return NULL;
    }
    if (s.height == o->height && s.width == o->width)
        return x;
    if (!x->symbol && (s.height < 1 || s.width < 1 || s.height > most || s.width > most)) {
        kl_error(KL_ERROR_SHAPE,
                 "resize: images must have 1 to 2^29 rows and columns, got %lld x "
                 "%lld",
                 (long long)s.height, (long long)s.width);
        return NULL;
    }
    bool direct = o->method == KL_RESIZE_NEAREST || x->dtype == KL_FLOAT32 || x->dtype == KL_UINT8;
    kl_tensor *in = direct ? x : kl_op_cast(x, KL_FLOAT32);
    kl_tensor *y = kl_run1(&resize_op, o, 1, &in, 0);
    if (in != x)
        kl_drop(in);
    return y;
}
