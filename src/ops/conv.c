/* Convolutions: NHWC kernels; channels_first goes through transposes. */
#include <string.h>

#include "kernels/conv.h"
#include "ops/activation.h"
#include "ops/common.h"
#include "ops/conv_linear.h"

typedef struct conv_attrs {
    int64_t strides[3], dilation[3], output_padding[3];
    int64_t groups;
    int padding; /* 0 valid, 1 same, 2 causal */
    bool has_output_padding;
    kl_fused_activation fused;
} conv_attrs;

/* Sizes of one axis: what comes out, and what is padded before. */
static kl_status window(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int padding,
                        int64_t *out, int64_t *before)
{
    int64_t span;
    if (__builtin_mul_overflow(kernel - 1, dilation, &span) || span > INT64_MAX / 4)
        return kl_error(KL_ERROR_SHAPE, "kernel and dilation overflow");
    span++;
    *before = 0;
    if (padding == 1) {
        *out = (in + stride - 1) / stride;
        int64_t total = (*out - 1) * stride + span - in;
        *before = total > 0 ? total / 2 : 0;
        return KL_OK;
    }
    if (padding == 2)
        *before = span - 1;
    int64_t have = in + *before;
    if (have < span)
        return kl_error(KL_ERROR_SHAPE,
                        "the window of %lld does not fit the axis of %lld: the output would be "
                        "empty",
                        (long long)span, (long long)in);
    *out = (have - span) / stride + 1;
    return KL_OK;
}

/* Spatial axes are put behind leading ones of size 1. */
static kl_status fill_shape(const kl_tensor *x, const kl_tensor *w, const conv_attrs *a,
                            kl_conv_shape *s)
{
    int rank = x->rank - 2, lead = 3 - rank;
    if (rank < 1 || rank > 3 || w->rank != x->rank)
        return kl_error(KL_ERROR_SHAPE,
                        "expected 3 to 5 axes and a kernel of as many, got %d and "
                        "%d",
                        x->rank, w->rank);
    *s = (kl_conv_shape){.batch = x->shape[0],
                         .in_channels = x->shape[x->rank - 1],
                         .out_channels = w->shape[w->rank - 1],
                         .groups = a->groups};
    if (a->groups < 1 || w->shape[rank] * a->groups != s->in_channels ||
        s->out_channels % a->groups)
        return kl_error(KL_ERROR_SHAPE,
                        "%lld input channels in %lld groups don't fit a kernel of %lld to %lld",
                        (long long)s->in_channels, (long long)a->groups, (long long)w->shape[rank],
                        (long long)s->out_channels);
    for (int i = 0; i < 3; i++) {
        int k = i - lead;
        s->in[i] = k < 0 ? 1 : x->shape[k + 1];
        s->kernel[i] = k < 0 ? 1 : w->shape[k];
        s->stride[i] = k < 0 ? 1 : a->strides[k];
        s->dilation[i] = k < 0 ? 1 : a->dilation[k];
        s->out[i] = 1;
        kl_status status = k < 0 ? KL_OK
                                 : window(s->in[i], s->kernel[i], s->stride[i], s->dilation[i],
                                          a->padding, &s->out[i], &s->pad[i]);
        if (status)
            return status;
    }
    return KL_OK;
}

/* One value a channel of y. */
static bool bias_fits(const kl_tensor *bias, const kl_tensor *y)
{
    if (bias->symbol || (bias->rank == 1 && bias->shape[0] == y->shape[y->rank - 1]))
        return true;
    char text[160];
    kl_error(KL_ERROR_SHAPE, "a bias of shape %s doesn't fit %lld filters",
             kl_shape_text(bias->rank, bias->shape, text, sizeof text),
             (long long)y->shape[y->rank - 1]);
    return false;
}

static void spatial_shape(const kl_tensor *x, int64_t batch, const int64_t *spatial,
                          int64_t channels, int64_t *shape)
{
    int rank = x->rank - 2;
    shape[0] = batch;
    for (int k = 0; k < rank; k++)
        shape[k + 1] = spatial[3 - rank + k];
    shape[rank + 1] = channels;
}

static kl_status conv_forward(kl_op_frame *f)
{
    const conv_attrs *a = f->attrs;
    kl_tensor *x = f->in[0], *w = f->in[1], *b = f->in[2];
    kl_conv_shape s;
    kl_status status = fill_shape(x, w, a, &s);
    if (status)
        return status;
    int64_t shape[KL_MAX_RANK];
    spatial_shape(x, s.batch, s.out, s.out_channels, shape);
    kl_tensor *y = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, shape);
    if (!y || (b && !bias_fits(b, y)))
        return kl_last_status();
    if (!y->buffer || !y->size)
        return KL_OK;
    kl_tensor *cx = kl_dense_values(x), *cw = kl_dense_values(w),
              *cb = b ? kl_dense_values(b) : NULL;
    kl_epilogue e = a->fused == KL_FUSED_RELU ? KL_EPILOGUE_RELU : KL_EPILOGUE_NONE;
    bool good = cx && cw && (!b || cb);
    if (good && kl_is_wide(x))
        good = kl_conv_f64(
            &s, (const double *)(const void *)cx->data, (const double *)(const void *)cw->data,
            cb ? (const double *)(const void *)cb->data : NULL, e, (double *)(void *)y->data);
    else if (good)
        good = kl_conv_f32(
            &s, (const float *)(const void *)cx->data, (const float *)(const void *)cw->data,
            cb ? (const float *)(const void *)cb->data : NULL, e, (float *)(void *)y->data);
    if (good)
        kl_fused_apply(a->fused, y, true);
    kl_drop_copy(cx, x);
    kl_drop_copy(cw, w);
    kl_drop_copy(cb, b);
    return good ? KL_OK : kl_last_status();
}

static bool put(kl_op_frame *f, int index, kl_tensor *grad)
{
    f->din[index] = grad;
    return grad != NULL;
}

static kl_status conv_backward(kl_op_frame *f)
{
    const conv_attrs *a = f->attrs;
    kl_conv_shape s;
    kl_status status = fill_shape(f->in[0], f->in[1], a, &s);
    kl_tensor *dz = status ? NULL : kl_fused_back(a->fused, f->out[0], f->dout[0]);
    dz = kl_op_pack(dz);
    if (!dz)
        return status ? status : kl_last_status();
    int spatial = dz->rank - 2;
    if (f->needs[0] && !put(f, 0, kl_conv_apply(KL_CONV_IMAGE, &s, spatial, dz, f->in[1])))
        return kl_last_status();
    if (f->needs[1] && !put(f, 1, kl_conv_apply(KL_CONV_KERNEL, &s, spatial, f->in[0], dz)))
        return kl_last_status();
    if (f->in[2] && f->needs[2]) {
        int64_t n = dz->shape[dz->rank - 1];
        kl_tensor *rows = kl_op_reshape(dz, 2, (const int64_t[]){dz->size / (n ? n : 1), n});
        if (!put(f, 2, kl_op_sum(rows, 1, (const int[]){0}, false)))
            return kl_last_status();
    }
    return KL_OK;
}

static kl_status conv_compose(kl_op_frame *f)
{
    const conv_attrs *a = f->attrs;
    kl_conv_shape s;
    kl_status status = fill_shape(f->in[0], f->in[1], a, &s);
    if (status)
        return status;
    kl_tensor *z = kl_conv_apply(KL_CONV_OUTPUT, &s, f->in[0]->rank - 2, f->in[0], f->in[1]);
    if (f->in[2])
        z = kl_op_add(z, f->in[2]);
    f->out[0] = kl_fused_compose(a->fused, z);
    return f->out[0] ? KL_OK : kl_last_status();
}

static const kl_op conv_op = {.size = sizeof(kl_op),
                              .name = "conv",
                              .attrs_size = sizeof(conv_attrs),
                              .forward = conv_forward,
                              .backward = conv_backward,
                              .compose = conv_compose,
                              .keeps_in = 7,
                              .keeps_out = 1};
/* Without bias and activation its backward is written through ops already. */
static const kl_op linear_conv_op = {.size = sizeof(kl_op),
                                     .name = "conv",
                                     .attrs_size = sizeof(conv_attrs),
                                     .forward = conv_forward,
                                     .backward = conv_backward,
                                     .keeps_in = 3};
static const kl_op biased_conv_op = {.size = sizeof(kl_op),
                                     .name = "conv",
                                     .attrs_size = sizeof(conv_attrs),
                                     .forward = conv_forward,
                                     .backward = conv_backward,
                                     .compose = conv_compose,
                                     .keeps_in = 7};
static kl_status read_options(const kl_conv_options *options, conv_attrs *a)
{
    static const kl_conv_options plain;
    const kl_conv_options *o = options ? options : &plain;
    memset(a, 0, sizeof *a);
    for (int i = 0; i < 3; i++) {
        a->strides[i] = o->strides[i] ? o->strides[i] : 1;
        a->dilation[i] = o->dilation[i] ? o->dilation[i] : 1;
        a->output_padding[i] = o->output_padding[i];
        if (a->strides[i] < 1 || a->dilation[i] < 1)
            return kl_error(KL_ERROR_RANGE, "conv: strides and dilation must be at least 1");
    }
    a->has_output_padding = o->has_output_padding;
    a->groups = o->groups ? o->groups : 1;
    const char *padding = o->padding ? o->padding : "valid";
    a->padding = !strcmp(padding, "valid")    ? 0
                 : !strcmp(padding, "same")   ? 1
                 : !strcmp(padding, "causal") ? 2
                                              : -1;
    if (a->padding < 0)
        return kl_error(KL_ERROR_INVALID, "conv: padding must be valid, same or causal, got '%s'",
                        padding);
    return KL_OK;
}

/* Channels to the last axis, and back. */
static kl_tensor *channels_last(kl_tensor *x)
{
    return kl_op_pack(kl_op_move_axis(x, 1, -1));
}

/* An activation that looks along an axis sees the layout that the caller sees. */
static kl_tensor *activate_outside(kl_tensor *y, bool first, const kl_activation *activation)
{
    if (y && first)
        y = kl_op_move_axis(y, -1, 1);
    return y && activation ? kl_activation_call(activation, y) : y;
}

kl_tensor *kl_op_conv(kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                      const kl_conv_options *options)
{
    conv_attrs a;
    if (!x || !kernel) {
        kl_error_null("conv", x ? "kernel" : "x");
        return NULL;
    }
    if (read_options(options, &a))
        return NULL;
    if (x->rank < 3 || x->rank > 5) {
        kl_error(KL_ERROR_SHAPE, "conv: expected 3 to 5 axes, got %d", x->rank);
        return NULL;
    }
    bool first = options && options->channels_first;
    const kl_activation *activation = options ? options->activation : NULL;
    a.fused = kl_fused_of(activation);
    if (first && a.fused == KL_FUSED_SOFTMAX)
        a.fused = KL_FUSED_NONE;
    const kl_op *op = a.fused ? &conv_op : bias ? &biased_conv_op : &linear_conv_op;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in[3] = {x, kernel, bias}, *y = NULL;
    if (kl_agree_on_float(3, in) || !kl_cast_to_one_float(3, in)) {
        in[0] = first ? channels_last(in[0]) : in[0];
        y = kl_run1(op, &a, 3, in, 4);
    }
    y = activate_outside(y, first, a.fused ? NULL : activation);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

/* ---- Transposed: the gradient of the input of a convolution that would give x ------------------
 */

static kl_status transposed_size(int64_t in, int64_t kernel, int64_t stride, int64_t dilation,
                                 int padding, bool has_extra, int64_t extra, int64_t *out,
                                 int64_t *before)
{
    int64_t span = (kernel - 1) * dilation + 1;
    if (!has_extra) {
        *out = padding == 1 ? in * stride : in * stride + (span > stride ? span - stride : 0);
        int64_t total = padding == 1 && span > stride ? span - stride : 0;
        *before = total / 2;
        return KL_OK;
    }
    if (extra < 0 || extra >= stride)
        return kl_error(KL_ERROR_RANGE, "output_padding must be below the stride of %lld, got %lld",
                        (long long)stride, (long long)extra);
    *out = (in - 1) * stride + (padding == 1 ? span % 2 : span) + extra;
    if (padding == 1 && *out <= (in - 1) * stride)
        return kl_error(
            KL_ERROR_SHAPE,
            "an even window of %lld with 'same' padding needs an output_padding above 0",
            (long long)span);
    int64_t total = (in - 1) * stride + span - *out;
    *before = total > 0 ? total / 2 : 0;
    return KL_OK;
}

static kl_status fill_transposed(const kl_tensor *x, const kl_tensor *w, const conv_attrs *a,
                                 kl_conv_shape *s)
{
    int rank = x->rank - 2, lead = 3 - rank;
    if (w->rank != x->rank || w->shape[rank + 1] != x->shape[rank + 1])
        return kl_error(KL_ERROR_SHAPE, "the input's channels don't fit the kernel's");
    *s = (kl_conv_shape){.batch = x->shape[0],
                         .in_channels = w->shape[rank],
                         .out_channels = x->shape[rank + 1],
                         .groups = 1};
    for (int i = 0; i < 3; i++) {
        int k = i - lead;
        s->out[i] = k < 0 ? 1 : x->shape[k + 1];
        s->kernel[i] = k < 0 ? 1 : w->shape[k];
        s->stride[i] = k < 0 ? 1 : a->strides[k];
        s->dilation[i] = k < 0 ? 1 : a->dilation[k];
        s->in[i] = 1;
        kl_status status = k < 0
                               ? KL_OK
                               : transposed_size(s->out[i], s->kernel[i], s->stride[i],
                                                 s->dilation[i], a->padding, a->has_output_padding,
                                                 a->output_padding[k], &s->in[i], &s->pad[i]);
        if (status)
            return status;
    }
    return KL_OK;
}

static kl_status transposed_forward(kl_op_frame *f)
{
    kl_tensor *x = f->in[0], *w = f->in[1];
    kl_conv_shape s;
    int64_t shape[KL_MAX_RANK];
    kl_status status = fill_transposed(x, w, f->attrs, &s);
    if (status)
        return status;
    spatial_shape(x, s.batch, s.in, s.in_channels, shape);
    kl_tensor *y = f->out[0] = kl_op_output(f, (kl_dtype)x->dtype, x->rank, shape);
    if (!y || !y->buffer || !y->size)
        return y ? KL_OK : kl_last_status();
    kl_tensor *cx = kl_dense_values(x), *cw = kl_dense_values(w);
    bool good = cx && cw;
    if (good && kl_is_wide(x))
        good = kl_conv_input_grad_f64(&s, (const double *)(const void *)cx->data,
                                      (const double *)(const void *)cw->data,
                                      (double *)(void *)y->data);
    else if (good)
        good =
            kl_conv_input_grad_f32(&s, (const float *)(const void *)cx->data,
                                   (const float *)(const void *)cw->data, (float *)(void *)y->data);
    kl_drop_copy(cx, x);
    kl_drop_copy(cw, w);
    return good ? KL_OK : kl_last_status();
}

/* Back through it: a convolution of dy, and the kernel gradient with dy as the image. */
static kl_status transposed_backward(kl_op_frame *f)
{
    kl_tensor *x = f->in[0], *w = f->in[1], *dy = kl_op_pack(f->dout[0]);
    kl_conv_shape s;
    kl_status status = dy ? fill_transposed(x, w, f->attrs, &s) : kl_last_status();
    if (status)
        return status;
    if (f->needs[0] && !put(f, 0, kl_conv_apply(KL_CONV_OUTPUT, &s, dy->rank - 2, dy, w)))
        return kl_last_status();
    if (f->needs[1] && !put(f, 1, kl_conv_apply(KL_CONV_KERNEL, &s, dy->rank - 2, dy, x)))
        return kl_last_status();
    return KL_OK;
}

static const kl_op transposed_op = {.size = sizeof(kl_op),
                                    .name = "conv_transpose",
                                    .attrs_size = sizeof(conv_attrs),
                                    .forward = transposed_forward,
                                    .backward = transposed_backward,
                                    .keeps_in = 3};

kl_tensor *kl_op_conv_transpose(kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                                const kl_conv_options *options)
{
    conv_attrs a;
    if (!x || !kernel) {
        kl_error_null("conv_transpose", x ? "kernel" : "x");
        return NULL;
    }
    if (read_options(options, &a))
        return NULL;
    if (x->rank < 3 || x->rank > 5) {
        kl_error(KL_ERROR_SHAPE, "conv_transpose: expected 3 to 5 axes, got %d", x->rank);
        return NULL;
    }
    bool first = options && options->channels_first;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in[3] = {x, kernel, bias}, *y = NULL;
    if (kl_agree_on_float(3, in) || !kl_cast_to_one_float(3, in)) {
        in[0] = first ? channels_last(in[0]) : in[0];
        y = kl_run1(&transposed_op, &a, 2, in, 0);
    }
    if (y && bias)
        y = bias_fits(in[2], y) ? kl_op_add(y, in[2]) : NULL;
    y = activate_outside(y, first, options ? options->activation : NULL);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}

/* A convolution in as many groups as channels; the kernel's last two axes lie the same way. */
kl_tensor *kl_op_depthwise_conv(kl_tensor *x, kl_tensor *kernel, kl_tensor *bias,
                                const kl_conv_options *options)
{
    if (!x || !kernel) {
        kl_error_null("depthwise_conv", x ? "kernel" : "x");
        return NULL;
    }
    if (kernel->rank != x->rank || x->rank < 3) {
        kl_error(KL_ERROR_SHAPE, "depthwise_conv: expected a kernel of as many axes as the input");
        return NULL;
    }
    static const kl_conv_options plain;
    kl_conv_options grouped = options ? *options : plain;
    int rank = x->rank - 2;
    int64_t channels = kernel->shape[rank], shape[KL_MAX_RANK];
    grouped.groups = channels;
    memcpy(shape, kernel->shape, sizeof shape);
    shape[rank] = 1;
    shape[rank + 1] = channels * kernel->shape[rank + 1];
    kl_scope *scope = kl_scope_begin();
    kl_tensor *y = kl_op_conv(x, kl_op_reshape(kernel, kernel->rank, shape), bias, &grouped);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}
