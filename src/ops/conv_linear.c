#include "ops/conv_linear.h"

#include <string.h>

#include "kernels/local_conv.h"

typedef struct conv_map_attrs {
    kl_conv_shape shape;
    int spatial;
    bool local; /* a kernel for each place */
} conv_map_attrs;

typedef struct conv_map_op {
    kl_op op;
    kl_conv_map map;
} conv_map_op;

/* Returns the rank. */
static int result_shape(const conv_map_attrs *a, kl_conv_map map, int64_t *shape)
{
    const kl_conv_shape *s = &a->shape;
    int n = a->spatial, lead = 3 - n;
    if (map == KL_CONV_KERNEL && a->local) {
        shape[0] = s->out[0] * s->out[1] * s->out[2];
        shape[1] = s->kernel[0] * s->kernel[1] * s->kernel[2] * s->in_channels;
        shape[2] = s->out_channels;
        return 3;
    }
    if (map == KL_CONV_KERNEL) {
        memcpy(shape, s->kernel + lead, (size_t)n * sizeof *shape);
        shape[n] = s->in_channels / s->groups;
        shape[n + 1] = s->out_channels;
        return n + 2;
    }
    bool image = map == KL_CONV_IMAGE;
    shape[0] = s->batch;
    memcpy(shape + 1, (image ? s->in : s->out) + lead, (size_t)n * sizeof *shape);
    shape[n + 1] = image ? s->in_channels : s->out_channels;
    return n + 2;
}

static bool compute_f32(kl_conv_map map, const conv_map_attrs *attrs, const float *a,
                        const float *b, float *out)
{
    const kl_conv_shape *s = &attrs->shape;
    switch (map) {
    case KL_CONV_OUTPUT:
        return attrs->local ? kl_local_conv_f32(s, a, b, out)
                            : kl_conv_f32(s, a, b, NULL, KL_EPILOGUE_NONE, out);
    case KL_CONV_IMAGE:
        return attrs->local ? kl_local_conv_input_grad_f32(s, a, b, out)
                            : kl_conv_input_grad_f32(s, a, b, out);
    default:
        return attrs->local ? kl_local_conv_kernel_grad_f32(s, a, b, out)
                            : kl_conv_kernel_grad_f32(s, a, b, out);
    }
}

static bool compute_f64(kl_conv_map map, const conv_map_attrs *attrs, const double *a,
                        const double *b, double *out)
{
    const kl_conv_shape *s = &attrs->shape;
    switch (map) {
    case KL_CONV_OUTPUT:
        return attrs->local ? kl_local_conv_f64(s, a, b, out)
                            : kl_conv_f64(s, a, b, NULL, KL_EPILOGUE_NONE, out);
    case KL_CONV_IMAGE:
        return attrs->local ? kl_local_conv_input_grad_f64(s, a, b, out)
                            : kl_conv_input_grad_f64(s, a, b, out);
    default:
        return attrs->local ? kl_local_conv_kernel_grad_f64(s, a, b, out)
                            : kl_conv_kernel_grad_f64(s, a, b, out);
    }
}

static kl_status conv_map_forward(kl_op_frame *f)
{
    const conv_map_attrs *attrs = f->attrs;
    kl_conv_map map = ((const conv_map_op *)f->op)->map;
    int64_t shape[KL_MAX_RANK];
    int rank = result_shape(attrs, map, shape);
    kl_tensor *out = f->out[0] = kl_op_output(f, (kl_dtype)f->in[0]->dtype, rank, shape);
    if (!out || !out->buffer || !out->size)
        return out ? KL_OK : kl_last_status();
    kl_tensor *a = kl_dense_values(f->in[0]), *b = a ? kl_dense_values(f->in[1]) : NULL;
    bool good = b != NULL;
    if (good && kl_is_wide(out))
        good = compute_f64(map, attrs, (const double *)(const void *)a->data,
                           (const double *)(const void *)b->data, (double *)(void *)out->data);
    else if (good)
        good = compute_f32(map, attrs, (const float *)(const void *)a->data,
                           (const float *)(const void *)b->data, (float *)(void *)out->data);
    kl_drop_copy(a, f->in[0]);
    kl_drop_copy(b, f->in[1]);
    return good ? KL_OK : kl_last_status();
}

static kl_tensor *apply(kl_conv_map map, const conv_map_attrs *attrs, kl_tensor *a, kl_tensor *b);

/* With the result's gradient in the result's place, each operand is the third map's result. */
static kl_status conv_map_backward(kl_op_frame *f)
{
    const conv_map_attrs *attrs = f->attrs;
    kl_conv_map map = ((const conv_map_op *)f->op)->map;
    kl_tensor *part[3]; /* by what they are: output, image, kernel */
    part[map] = f->dout[0];
    const kl_conv_map first = map == KL_CONV_IMAGE ? KL_CONV_OUTPUT : KL_CONV_IMAGE;
    const kl_conv_map second = map == KL_CONV_KERNEL ? KL_CONV_OUTPUT : KL_CONV_KERNEL;
    const kl_conv_map operands[2] = {first, second};
    part[first] = f->in[0];
    part[second] = f->in[1];
    for (int i = 0; i < 2; i++) {
        kl_conv_map wanted = operands[i];
        if (!f->needs[i])
            continue;
        kl_tensor *a = part[wanted == KL_CONV_IMAGE ? KL_CONV_OUTPUT : KL_CONV_IMAGE];
        kl_tensor *b = part[wanted == KL_CONV_KERNEL ? KL_CONV_OUTPUT : KL_CONV_KERNEL];
        f->din[i] = apply(wanted, attrs, a, b);
        if (!f->din[i])
            return kl_last_status();
    }
    return KL_OK;
}

#define CONV_MAP(id, text, which)                                                                  \
    static const conv_map_op id = {{.size = sizeof(kl_op),                                         \
                                    .name = text,                                                  \
                                    .attrs_size = sizeof(conv_map_attrs),                          \
                                    .forward = conv_map_forward,                                   \
                                    .backward = conv_map_backward,                                 \
                                    .keeps_in = 3},                                                \
                                   which};
CONV_MAP(output_op, "conv", KL_CONV_OUTPUT)
CONV_MAP(image_op, "conv_input_grad", KL_CONV_IMAGE)
CONV_MAP(kernel_op, "conv_kernel_grad", KL_CONV_KERNEL)

static kl_tensor *apply(kl_conv_map map, const conv_map_attrs *attrs, kl_tensor *a, kl_tensor *b)
{
    static const conv_map_op *const ops[] = {
        [KL_CONV_OUTPUT] = &output_op, [KL_CONV_IMAGE] = &image_op, [KL_CONV_KERNEL] = &kernel_op};
    kl_tensor *in[2] = {a, b};
    return kl_run1(&ops[map]->op, attrs, 2, in, 0);
}

kl_tensor *kl_conv_apply(kl_conv_map map, const kl_conv_shape *shape, int spatial, kl_tensor *a,
                         kl_tensor *b)
{
    return apply(map, &(conv_map_attrs){*shape, spatial, false}, a, b);
}

kl_tensor *kl_local_conv_apply(kl_conv_map map, const kl_conv_shape *shape, int spatial,
                               kl_tensor *a, kl_tensor *b)
{
    return apply(map, &(conv_map_attrs){*shape, spatial, true}, a, b);
}
