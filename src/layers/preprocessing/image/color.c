#include "layers/preprocessing/image/color.h"

#include <math.h>

#include "kernels/image_color.h"
#include "ops/tape.h"

kl_tensor *kl_image_pack(kl_tensor *x)
{
    if (x && x->dtype != KL_FLOAT64 && x->dtype != KL_FLOAT32)
        x = kl_op_cast(x, KL_FLOAT32);
    return x && x->buffer && !x->contiguous ? kl_contiguous(x) : x;
}

kl_tensor *kl_image_gray(const kl_image_input *in)
{
    static const double parts[3] = {0.2989, 0.5870, 0.1140};
    int axis = in->size.channels_first ? 1 : 3;
    if (in->size.channels == 1)
        return in->x;
    if (in->size.channels != 3) {
        kl_error(KL_ERROR_SHAPE, "expected 3 channels (RGB) or 1 (grayscale), got %lld",
                 (long long)in->size.channels);
        return NULL;
    }
    kl_tensor *sum = NULL;
    for (int c = 0; c < 3; c++) {
        kl_tensor *part = kl_op_mul_scalar(kl_op_slice(in->x, axis, c, c + 1, 1), parts[c]);
        sum = sum ? kl_op_add(sum, part) : part;
    }
    return sum;
}

kl_tensor *kl_image_blend(kl_tensor *a, kl_tensor *b, kl_tensor *weight)
{
    return kl_op_add(a, kl_op_mul(weight, kl_op_sub(b, a)));
}

kl_tensor *kl_image_channel_mean(const kl_image_input *in)
{
    const int axes[2] = {in->size.channels_first ? 2 : 1, in->size.channels_first ? 3 : 2};
    return kl_op_mean(in->x, 2, axes, true);
}

kl_tensor *kl_image_adjust_colors(const kl_image_input *in, const double *hue,
                                  const double *saturation, const double range[2])
{
    if (in->size.channels != 3) {
        kl_error(KL_ERROR_SHAPE, "expected images of 3 channels (RGB), got %lld",
                 (long long)in->size.channels);
        return NULL;
    }
    kl_tensor *x = kl_image_pack(in->x);
    kl_tensor *out = x ? kl_empty((kl_dtype)x->dtype, 4, x->shape) : NULL;
    if (out && out->buffer && in->real)
        kl_adjust_colors(&in->size, x->dtype == KL_FLOAT64, hue, saturation, range, x->data,
                         out->data);
    return out && out->dtype != in->x->dtype ? kl_op_cast(out, (kl_dtype)in->x->dtype) : out;
}

kl_image_stream kl_image_stream_begin(const kl_image_input *in)
{
    kl_image_stream stream = {.used = 4};
    if (in->real) {
        kl_random *r = kl_random_current();
        stream.key = r->key;
        stream.draw = r->draw++;
    }
    return stream;
}

double kl_image_stream_uniform(kl_image_stream *s)
{
    if (s->used == 4) {
        kl_philox(s->key, s->draw, s->block++, s->words);
        s->used = 0;
    }
    return ((double)s->words[s->used++] + 0.5) / 4294967296.0;
}

static double stream_normal(kl_image_stream *s)
{
    double radius = sqrt(-2 * log(kl_image_stream_uniform(s)));
    return radius * cos(6.283185307179586 * kl_image_stream_uniform(s));
}

double kl_image_stream_log_gamma(kl_image_stream *s, double alpha)
{
    /* Below 1 through alpha + 1, in logarithms: small parameters would underflow. */
    double boost = 0;
    if (alpha < 1) {
        boost = log(kl_image_stream_uniform(s)) / alpha;
        alpha += 1;
    }
    double d = alpha - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = stream_normal(s), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(kl_image_stream_uniform(s)) < 0.5 * x * x + d - d * v + d * log(v))
            return boost + log(d * v);
    }
}

double kl_image_stream_beta(kl_image_stream *s, double alpha)
{
    double a = kl_image_stream_log_gamma(s, alpha), b = kl_image_stream_log_gamma(s, alpha);
    return 1 / (1 + exp(b - a));
}

kl_tensor *kl_image_shuffled(const kl_image_input *in)
{
    kl_tensor *order = kl_empty(KL_INT64, 1, &in->size.batch);
    if (!order || !order->buffer)
        return order;
    int64_t *at = (int64_t *)(void *)order->data;
    if (in->real)
        kl_random_permutation(kl_random_current(), at, in->size.batch);
    else
        for (int64_t i = 0; i < in->size.batch; i++)
            at[i] = i;
    return order;
}

/* exp(-(x / sigma)^2 / 2) around the middle, summing to 1. */
static void bell(int64_t size, double sigma, double *out)
{
    double sum = 0;
    for (int64_t i = 0; i < size; i++) {
        double x = ((double)i - (double)(size - 1) / 2) / sigma;
        out[i] = exp(-0.5 * x * x);
        sum += out[i];
    }
    for (int64_t i = 0; i < size; i++)
        out[i] /= sum;
}

kl_tensor *kl_image_gaussian_blur(kl_tensor *x, const int64_t size[2], const double sigma[2],
                                  bool channels_first)
{
    if (!x)
        return NULL;
    const int64_t channels = x->shape[channels_first ? 1 : 3];
    const int64_t shape[4] = {size[0], size[1], channels, 1};
    double *across = kl_scope_alloc((size_t)size[0] * sizeof *across);
    double *down = kl_scope_alloc((size_t)size[1] * sizeof *down);
    kl_tensor *kernel = kl_empty(KL_FLOAT64, 4, shape);
    if (!across || !down || !kernel)
        return NULL;
    bell(size[0], sigma[0], across);
    bell(size[1], sigma[1], down);
    /* Keras makes [size[1], size[0]] and reads it as [size[0], size[1]]. */
    for (int64_t i = 0; kernel->buffer && i < size[0] * size[1]; i++)
        for (int64_t c = 0; c < channels; c++)
            ((double *)(void *)kernel->data)[i * channels + c] =
                down[i / size[0]] * across[i % size[0]];
    const kl_conv_options options = {.padding = "same", .channels_first = channels_first};
    return kl_op_depthwise_conv(x, kl_op_cast(kernel, (kl_dtype)x->dtype), NULL, &options);
}

kl_tensor *kl_image_boxes(const kl_image_input *in, const double *wide, const double *tall,
                          double *outside)
{
    const kl_images *s = &in->size;
    const int64_t last[4] = {s->batch, s->height, s->width, 1};
    const int64_t first[4] = {s->batch, 1, s->height, s->width};
    const double *x = kl_image_draw(in, s->batch, 0, 1), *y = kl_image_draw(in, s->batch, 0, 1);
    kl_tensor *out = x && y ? kl_zeros(KL_BOOL, 4, s->channels_first ? first : last) : NULL;
    if (!out || !out->buffer || !in->real)
        return out;
    for (int64_t i = 0; i < s->batch; i++) {
        double width = wide[i] * (double)s->width, height = tall[i] * (double)s->height;
        double left = x[i] * ((double)s->width - width);
        double top = y[i] * ((double)s->height - height);
        if (outside)
            outside[i] = 1 - width * height / ((double)s->width * (double)s->height);
        for (int64_t row = (int64_t)ceil(top); row < s->height && (double)row < top + height; row++)
            for (int64_t col = (int64_t)ceil(left); col < s->width && (double)col < left + width;
                 col++)
                ((uint8_t *)out->data)[(i * s->height + row) * s->width + col] = 1;
    }
    return out;
}

kl_tensors kl_image_with_labels(const kl_image_input *in, kl_tensor *images,
                                const kl_tensors *inputs, const double *weights, kl_tensor *order)
{
    if (inputs->count == 1 || !images)
        return kl_image_end(in, images);
    kl_tensor *labels = inputs->at[1];
    if (inputs->count != 2 || labels->rank < 1 || labels->shape[0] != in->size.batch) {
        kl_error(KL_ERROR_SHAPE, "expected images and at most labels of the same batch");
        return kl_one(NULL);
    }
    if (order) {
        labels = kl_op_cast(labels, (kl_dtype)images->dtype);
        int64_t shape[KL_MAX_RANK] = {in->size.batch};
        for (int i = 1; i < inputs->at[1]->rank; i++)
            shape[i] = 1;
        kl_tensor *part = kl_op_reshape(kl_image_values(in, weights), inputs->at[1]->rank, shape);
        labels = kl_image_blend(kl_op_take(labels, order, 0), labels, part);
    }
    kl_tensors first = kl_image_end(in, images);
    return first.at ? kl_many(2, (kl_tensor *[]){first.at[0], labels}) : first;
}
