/*
 * LocallyConnected1D and LocallyConnected2D of Keras 2.15. Its three implementations hold their
 * kernels differently: 1 has [places, window, filters], 2 one weight for each pair of an input and
 * an output value, 3 a list of those pairs that are connected. They are computed as the first.
 */
#include <string.h>

#include "base/pool.h"
#include "klayers/layers/locally_connected.h"
#include "layers/convolution/fields.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

typedef struct local_state {
    kl_locally_connected_args args;
    kl_weight *kernel, *bias;
    kl_tensor *places; /* where implementation 1's kernel lies in another's, or NULL */
    bool holes;        /* some of it lies nowhere: one past the end */
    int rank;
    int64_t in[2], out[2], channels;
} local_state;

#define LOCAL_FIELDS(rank)                                                                         \
    {                                                                                              \
        KL_CONV_FIELDS_PLAIN(kl_locally_connected_args, rank, "valid|same"),                       \
            {"filters",                                                                            \
             KL_FIELD_INT,                                                                         \
             offsetof(kl_locally_connected_args, filters),                                         \
             .doc = "number of output channels",                                                   \
             .min = 1,                                                                             \
             .max = 2147483647,                                                                    \
             .flags = KL_FIELD_REQUIRED},                                                          \
            KL_KERNEL_FIELDS(kl_locally_connected_args, kernel),                                   \
            {"implementation",                                                                     \
             KL_FIELD_INT,                                                                         \
             offsetof(kl_locally_connected_args, implementation),                                  \
             "1",                                                                                  \
             .doc = "how the kernel is held: 1 by place, 2 dense, 3 sparse",                       \
             .min = 1,                                                                             \
             .max = 3},                                                                            \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

static const kl_field local1d_fields[] = LOCAL_FIELDS(1);
static const kl_field local2d_fields[] = LOCAL_FIELDS(2);

static kl_status local_init(void *self, int rank)
{
    local_state *s = kl_layer_state(self);
    s->rank = rank;
    if (s->args.implementation == 1 && s->args.padding && strcmp(s->args.padding, "valid") != 0)
        return kl_error(KL_ERROR_INVALID,
                        "only padding='valid' is supported if implementation is 1, got '%s'",
                        s->args.padding);
    return kl_set_input_spec(self, 0, (kl_input_spec){.ndim = rank + 2});
}

static bool is_same(const local_state *s)
{
    return s->args.padding && !strcmp(s->args.padding, "same");
}

/* Sizes of the spatial axes, missing ones as 1 before. */
static kl_status read_sizes(local_state *s, const kl_shape *in)
{
    const bool first = kl_is_channels_first(s->args.data_format);
    for (int i = 0; i < s->rank; i++) {
        const int64_t size = in->at[(first ? 2 : 1) + i];
        const int64_t kernel = s->args.kernel_size[i], stride = s->args.strides[i];
        if (size < 0)
            return kl_error(KL_ERROR_SHAPE,
                            "the spatial dimensions of the inputs must be fully defined");
        if (size < (is_same(s) ? 1 : kernel))
            return kl_error(KL_ERROR_SHAPE,
                            "the window of %lld does not fit the axis of %lld: the output would be "
                            "empty",
                            (long long)kernel, (long long)size);
        s->in[i] = size;
        s->out[i] = is_same(s) ? (size + stride - 1) / stride : (size - kernel) / stride + 1;
    }
    return KL_OK;
}

/* The kernel as a grid: up to two spatial axes, the leading one of size 1 if there is one alone. */
typedef struct grid {
    int64_t in[2], out[2], window[2], stride[2], pad[2], channels, filters, connected;
    bool first, dense;
} grid;

static grid grid_of(const local_state *s)
{
    grid g = {.channels = s->channels,
              .filters = s->args.filters,
              .first = kl_is_channels_first(s->args.data_format),
              .dense = s->args.implementation == 2};
    for (int d = 0; d < 2; d++) {
        const int k = d - (2 - s->rank);
        g.in[d] = k < 0 ? 1 : s->in[k];
        g.out[d] = k < 0 ? 1 : s->out[k];
        g.window[d] = k < 0 ? 1 : s->args.kernel_size[k];
        g.stride[d] = k < 0 ? 1 : s->args.strides[k];
        g.pad[d] = k >= 0 && is_same(s) ? g.window[d] / 2 : 0;
    }
    return g;
}

/* The part of the window that lies in the input. */
static int64_t clip(const grid *g, const int64_t *at, int64_t *begin, int64_t *size)
{
    for (int d = 0; d < 2; d++) {
        const int64_t start = at[d] * g->stride[d] - g->pad[d];
        const int64_t end = start + g->window[d] < g->in[d] ? start + g->window[d] : g->in[d];
        begin[d] = start > 0 ? start : 0;
        size[d] = end > begin[d] ? end - begin[d] : 0;
    }
    return size[0] * size[1] * g->channels;
}

/* How many inputs the first `count` places see in all. */
static int64_t seen(const grid *g, int64_t count)
{
    int64_t begin[2], size[2], sum = 0;
    for (int64_t p = 0; p < count; p++)
        sum += clip(g, (const int64_t[]){p / g->out[1], p % g->out[1]}, begin, size);
    return sum;
}

/* Writes the places of one window's weights: [tap, channel, filter]. */
static bool fill_window(const grid *g, int64_t place, int64_t before, int64_t total, int64_t none,
                        int64_t *to)
{
    const int64_t at[2] = {place / g->out[1], place % g->out[1]};
    int64_t begin[2], size[2], count = clip(g, at, begin, size);
    const int64_t inputs = g->in[0] * g->in[1], outputs = g->out[0] * g->out[1];
    bool holes = false;
    for (int64_t tap = 0; tap < g->window[0] * g->window[1]; tap++) {
        const int64_t h = at[0] * g->stride[0] - g->pad[0] + tap / g->window[1];
        const int64_t w = at[1] * g->stride[1] - g->pad[1] + tap % g->window[1];
        const bool inside = h >= 0 && h < g->in[0] && w >= 0 && w < g->in[1];
        const int64_t pixel = (h - begin[0]) * size[1] + w - begin[1];
        holes = holes || !inside;
        for (int64_t c = 0; c < g->channels; c++)
            for (int64_t f = 0; f < g->filters; f++) {
                const int64_t input =
                    g->first ? c * inputs + h * g->in[1] + w : (h * g->in[1] + w) * g->channels + c;
                const int64_t output = g->first ? f * outputs + place : place * g->filters + f;
                const int64_t within =
                    g->first ? c * size[0] * size[1] + pixel : pixel * g->channels + c;
                const int64_t listed = g->first ? f * total + before + within
                                                : before * g->filters + f * count + within;
                *to++ = !inside ? none : g->dense ? input * outputs * g->filters + output : listed;
            }
    }
    return holes;
}

/* Where the weights of [places, window, filters] lie in the kernel of `size` values. */
static kl_status make_places(local_state *s, const grid *g, int64_t size)
{
    const int64_t places = g->out[0] * g->out[1];
    const int64_t window = g->window[0] * g->window[1] * g->channels * g->filters;
    int64_t shape[1], before = 0;
    if (__builtin_mul_overflow(places, window, &shape[0]))
        return kl_error(KL_ERROR_SHAPE, "the kernel's size overflows");
    kl_pool *pool = kl_pool_enter(NULL); /* it outlives the call that builds the layer */
    kl_tensor *table = kl_empty(KL_INT64, 1, shape);
    s->places = kl_hold(table);
    kl_release(table);
    kl_pool_enter(pool);
    if (!table)
        return kl_last_status();
    int64_t *to = kl_tensor_mutable_data(table);
    const int64_t total = seen(g, places);
    for (int64_t p = 0; p < places; p++) {
        int64_t begin[2], extent[2];
        s->holes = fill_window(g, p, before, total, size, to + p * window) || s->holes;
        before += clip(g, (const int64_t[]){p / g->out[1], p % g->out[1]}, begin, extent);
    }
    return KL_OK;
}

static kl_status kernel_shape(const local_state *s, const grid *g, int64_t *shape)
{
    int n = 0;
    int64_t size = 1;
    if (s->args.implementation == 1) {
        shape[n++] = g->out[0] * g->out[1];
        shape[n++] = g->window[0] * g->window[1] * g->channels;
        shape[n++] = g->filters;
    } else if (s->args.implementation == 3) {
        if (__builtin_mul_overflow(seen(g, g->out[0] * g->out[1]), g->filters, &shape[n++]))
            return kl_error(KL_ERROR_SHAPE, "the kernel's size overflows");
    } else {
        for (int side = 0; side < 2; side++) {
            const int64_t *axes = side ? s->out : s->in, values = side ? g->filters : g->channels;
            if (g->first)
                shape[n++] = values;
            for (int i = 0; i < s->rank; i++)
                shape[n++] = axes[i];
            if (!g->first)
                shape[n++] = values;
        }
    }
    shape[n] = 0;
    for (int i = 0; i < n; i++)
        if (__builtin_mul_overflow(size, shape[i], &size) || size > INT64_MAX / 16)
            return kl_error(KL_ERROR_SHAPE, "the kernel's size overflows");
    return KL_OK;
}

static kl_status local_build(kl_layer *self, const kl_shape *in, int count)
{
    local_state *s = kl_layer_state(self);
    kl_status status = read_sizes(s, in);
    s->channels = status ? -1 : kl_conv_channels(self, in, s->args.data_format);
    if (s->channels < 0)
        return kl_last_status();
    const grid g = grid_of(s);
    kl_weight_args kernel = kl_weight_defaults();
    if ((status = kernel_shape(s, &g, kernel.shape)))
        return status;
    kernel.layer = self;
    kernel.name = "kernel";
    kernel.initializer = s->args.kernel_initializer;
    kernel.regularizer = s->args.kernel_regularizer;
    kernel.constraint = s->args.kernel_constraint;
    if (!(s->kernel = kl_add_weight_with(&kernel)))
        return kl_last_status();
    if (s->args.implementation != 1 &&
        (status = make_places(s, &g, kl_tensor_size(kl_weight_value(s->kernel)))))
        return status;
    if (s->args.use_bias) {
        kl_weight_args bias = kl_weight_defaults();
        bias.layer = self;
        bias.name = "bias";
        memcpy(bias.shape, s->out, (size_t)s->rank * sizeof *bias.shape);
        bias.shape[s->rank] = s->args.filters;
        bias.initializer = s->args.bias_initializer;
        bias.regularizer = s->args.bias_regularizer;
        bias.constraint = s->args.bias_constraint;
        if (!(s->bias = kl_add_weight_with(&bias)))
            return kl_last_status();
    }
    return KL_OK;
}

/* The kernel as [places, window * channels, filters]. */
static kl_tensor *kernel_by_place(const local_state *s, kl_tensor *kernel)
{
    const grid g = grid_of(s);
    const int64_t places = g.out[0] * g.out[1], taps = g.window[0] * g.window[1];
    const int64_t shape[3] = {places, taps * g.channels, g.filters};
    if (s->places) {
        kl_tensor *flat = kl_op_reshape(kernel, 1, (const int64_t[]){-1});
        if (s->holes)
            flat = kl_op_pad(flat, (const int64_t[]){0, 1}, "constant", 0);
        return kl_op_reshape(kl_op_take(flat, s->places, 0), 3, shape);
    }
    if (!g.first)
        return kernel;
    kernel = kl_op_reshape(kernel, 4, (const int64_t[]){places, g.channels, taps, g.filters});
    return kl_op_reshape(kl_op_transpose(kernel, (const int[]){0, 2, 1, 3}), 3, shape);
}

static kl_tensors local_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const local_state *s = kl_layer_state(self);
    const bool first = kl_is_channels_first(s->args.data_format);
    kl_local_conv_options options = {.padding = s->args.padding};
    memcpy(options.kernel_size, s->args.kernel_size, sizeof options.kernel_size);
    memcpy(options.strides, s->args.strides, sizeof options.strides);
    kl_tensor *x = first ? kl_op_move_axis(in.at[0], 1, -1) : in.at[0];
    kl_tensor *y = kl_op_local_conv(x, kernel_by_place(s, kl_read(ctx, s->kernel)), &options);
    if (first)
        y = kl_op_move_axis(y, -1, 1);
    if (s->bias) {
        /* With channels_first Keras reads the same values as [filters, places]. */
        int64_t shape[3] = {s->args.filters, s->out[0], s->out[1]};
        kl_tensor *bias = kl_read(ctx, s->bias);
        y = kl_op_add(y, first ? kl_op_reshape(bias, s->rank + 1, shape) : bias);
    }
    return kl_one(y && s->args.activation ? kl_activation_call(s->args.activation, y) : y);
}

static void local_destroy(void *self)
{
    const local_state *s = kl_layer_state(self);
    kl_unhold(s->places);
}

static kl_status local1d_init(void *self)
{
    return local_init(self, 1);
}

const kl_layer_vtable kl_locally_connected1d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "LocallyConnected1D",
    .state_size = sizeof(local_state),
    .args_size = sizeof(kl_locally_connected_args),
    .fields = local1d_fields,
    .init = local1d_init,
    .destroy = local_destroy,
    .build = local_build,
    .call = local_call,
};
KL_DEFINE_LAYER(kl_locally_connected1d)

static kl_status local2d_init(void *self)
{
    return local_init(self, 2);
}

const kl_layer_vtable kl_locally_connected2d_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "LocallyConnected2D",
    .state_size = sizeof(local_state),
    .args_size = sizeof(kl_locally_connected_args),
    .fields = local2d_fields,
    .init = local2d_init,
    .destroy = local_destroy,
    .build = local_build,
    .call = local_call,
};
KL_DEFINE_LAYER(kl_locally_connected2d)
