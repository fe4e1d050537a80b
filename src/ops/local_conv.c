/* Convolution with a kernel for each place. */
#include <string.h>

#include "ops/common.h"
#include "ops/conv_linear.h"

static kl_status fill_shape(const kl_tensor *x, const kl_tensor *w, const kl_local_conv_options *o,
                            bool same, kl_conv_shape *s)
{
    const int rank = x->rank - 2, lead = 3 - rank;
    *s = (kl_conv_shape){.batch = x->shape[0],
                         .in_channels = x->shape[x->rank - 1],
                         .out_channels = w->shape[2],
                         .groups = 1};
    int64_t places = 1, taps = s->in_channels;
    for (int i = 0; i < 3; i++) {
        const int k = i - lead;
        s->in[i] = s->out[i] = s->kernel[i] = s->stride[i] = s->dilation[i] = 1;
        if (k < 0)
            continue;
        s->in[i] = x->shape[k + 1];
        s->kernel[i] = o->kernel_size[k];
        s->stride[i] = o->strides[k] ? o->strides[k] : 1;
        if (s->kernel[i] < 1 || s->stride[i] < 1)
            return kl_error(KL_ERROR_RANGE,
                            "local_conv: kernel_size and strides must be at least 1");
        if (!same && s->in[i] < s->kernel[i])
            return kl_error(KL_ERROR_SHAPE,
                            "local_conv: the window of %lld does not fit the axis of %lld: the "
                            "output would be empty",
                            (long long)s->kernel[i], (long long)s->in[i]);
        s->pad[i] = same ? s->kernel[i] / 2 : 0;
        s->out[i] = same ? (s->in[i] + s->stride[i] - 1) / s->stride[i]
                         : (s->in[i] - s->kernel[i]) / s->stride[i] + 1;
        if (__builtin_mul_overflow(places, s->out[i], &places) ||
            __builtin_mul_overflow(taps, s->kernel[i], &taps))
            return kl_error(KL_ERROR_SHAPE, "local_conv: the kernel's size overflows");
    }
    if (!w->symbol && (w->shape[0] != places || w->shape[1] != taps)) {
        char text[160];
        return kl_error(KL_ERROR_SHAPE,
                        "local_conv: expected a kernel of shape (%lld, %lld, filters) for this "
                        "input, got %s",
                        (long long)places, (long long)taps,
                        kl_shape_text(w->rank, w->shape, text, sizeof text));
    }
    return KL_OK;
}

kl_tensor *kl_op_local_conv(kl_tensor *x, kl_tensor *kernel, const kl_local_conv_options *options)
{
    if (!x || !kernel || !options) {
        kl_error_null("local_conv", !x ? "x" : !kernel ? "kernel" : "options");
        return NULL;
    }
    if (x->rank < 3 || x->rank > 4 || kernel->rank != 3) {
        kl_error(KL_ERROR_SHAPE,
                 "local_conv: expected 3 or 4 axes and a kernel of 3, got %d and %d", x->rank,
                 kernel->rank);
        return NULL;
    }
    const char *padding = options->padding ? options->padding : "valid";
    const bool same = !strcmp(padding, "same");
    if (!same && strcmp(padding, "valid") != 0) {
        kl_error(KL_ERROR_INVALID, "local_conv: padding must be valid or same, got '%s'", padding);
        return NULL;
    }
    kl_conv_shape s;
    if (fill_shape(x, kernel, options, same, &s))
        return NULL;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in[2] = {x, kernel}, *y = NULL;
    if (kl_agree_on_float(2, in) || !kl_cast_to_one_float(2, in))
        y = kl_local_conv_apply(KL_CONV_OUTPUT, &s, x->rank - 2, in[0], in[1]);
    kl_scope_end_keeping(scope, 1, &y);
    return y;
}
