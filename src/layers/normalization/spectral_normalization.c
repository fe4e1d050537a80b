#include <string.h>

#include "klayers/layers/normalization.h"
#include "layers/layer.h"
#include "ops/common.h"

typedef struct spectral_norm_state {
    kl_spectral_normalization_args args;
    kl_weight *kernel; /* the wrapped layer's */
    kl_weight *vector_u;
} spectral_norm_state;

static const kl_field spectral_norm_fields[] = {
    {"layer", KL_FIELD_LAYER, offsetof(kl_spectral_normalization_args, layer),
     .doc = "a layer with a kernel or embeddings", .flags = KL_FIELD_REQUIRED},
    {"power_iterations", KL_FIELD_INT, offsetof(kl_spectral_normalization_args, power_iterations),
     "1", .doc = "steps towards the largest singular value, a training call", .min = 1,
     .max = 2147483647},
    {0}};

static kl_layer *wrapped(const kl_layer *self)
{
    const spectral_norm_state *s = kl_layer_state(self);
    return (kl_layer *)(uintptr_t)s->args.layer;
}

static kl_status spectral_norm_init(void *self)
{
    kl_layer *layer = wrapped(self);
    if (!layer)
        return kl_error(KL_ERROR_INVALID, "layer must be given");
    return kl_add_sublayer(self, "layer", layer) ? KL_OK : kl_last_status();
}

static kl_weight *find_kernel(const kl_layer *layer)
{
    static const char *const names[] = {"kernel", "embeddings"};
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < layer->weight_count; i++)
            if (!strcmp(layer->weights[i]->name, names[n]) && layer->weights[i]->value->rank)
                return layer->weights[i];
    kl_error(KL_ERROR_INVALID, "%s has no kernel and no embeddings to normalize", layer->name);
    return NULL;
}

static kl_status spectral_norm_build(kl_layer *self, const kl_shape *in, int count)
{
    spectral_norm_state *s = kl_layer_state(self);
    kl_status status = kl_layer_build(wrapped(self), in, count);
    if (status)
        return status;
    s->kernel = find_kernel(wrapped(self));
    if (!s->kernel || kl_share_weight(self, s->kernel))
        return kl_last_status();
    const kl_tensor *kernel = s->kernel->value;
    s->vector_u =
        kl_add_weight(.layer = self, .name = "vector_u",
                      .shape = {1, kernel->shape[kernel->rank - 1]},
                      .dtype = kl_dtype_name((kl_dtype)kernel->dtype), .trainable = false,
                      .role = KL_WEIGHT_STATE, .initializer = kl_truncated_normal(.stddev = 0.02));
    if (!s->vector_u)
        return kl_last_status();
    return kl_set_input_spec(
        self, 0,
        (kl_input_spec){.min_ndim = 1, .axis = -1, .dim = in->rank ? in->at[in->rank - 1] : 0});
}

/* The wrapped layer's weights but the kernel, those of one kind. */
static size_t list_below(const kl_layer *self, bool trainable, kl_weight **out, size_t capacity,
                         size_t count)
{
    const spectral_norm_state *s = kl_layer_state(self);
    const kl_layer *layer = wrapped(self);
    int below = kl_layer_weight_count(layer);
    for (int i = 0; i < below; i++) {
        kl_weight *weight = kl_layer_weight(layer, i);
        if (weight == s->kernel || weight->parameter != trainable)
            continue;
        if (count < capacity)
            out[count] = weight;
        count++;
    }
    return count;
}

/* Keras 3 lists the kernel, though it is the wrapped layer's, and the vector first; 2.15 the vector
   after all that is trained. */
static size_t spectral_norm_weights(const kl_layer *self, kl_weight **out, size_t capacity)
{
    const spectral_norm_state *s = kl_layer_state(self);
    kl_weight *first[] = {s->kernel, s->vector_u};
    size_t count = 0, early = self->legacy ? 1 : 2;
    if (!s->vector_u)
        return (size_t)kl_layer_list_weights(wrapped(self), false, out, (int)capacity);
    for (size_t i = 0; i < 2; i++) {
        if (i == early)
            count = list_below(self, true, out, capacity, count);
        if (count < capacity)
            out[count] = first[i];
        count++;
    }
    if (!self->legacy)
        count = list_below(self, true, out, capacity, count);
    return list_below(self, false, out, capacity, count);
}

static kl_tensor *unit(kl_tensor *v)
{
    kl_tensor *inverse = kl_op_rsqrt(kl_op_sum(kl_op_square(v), KL_ALL_AXES, true));
    return kl_op_mul(v, kl_op_minimum_scalar(inverse, 1e7));
}

static kl_status update(kl_context *ctx, const kl_weight *weight, kl_tensor *value)
{
    value = kl_as_dtype(value, (kl_dtype)weight->value->dtype);
    return value ? kl_update(ctx, weight, value) : kl_last_status();
}

/* The kernel over its largest singular value, as power iterations find it; a kernel of zeros
   stays. */
static kl_tensor *normalized(const kl_layer *self, kl_context *ctx)
{
    const spectral_norm_state *s = kl_layer_state(self);
    kl_dtype dtype = kl_layer_compute_dtype(self);
    kl_tensor *kernel = kl_as_dtype(kl_read_variable(ctx, s->kernel), dtype);
    kl_tensor *u = kl_as_dtype(kl_read_variable(ctx, s->vector_u), dtype), *v = NULL;
    kl_tensor *any = kernel ? kl_op_any(kl_op_cast(kernel, KL_BOOL), KL_ALL_AXES, false) : NULL;
    if (!any || kl_tensor_at(any, 0) == 0)
        return any ? kernel : NULL;
    int64_t shape[2] = {-1, kernel->shape[kernel->rank - 1]};
    kl_tensor *matrix = kl_op_reshape(kernel, 2, shape);
    for (int64_t i = 0; i < s->args.power_iterations; i++) {
        v = unit(kl_op_matmul_t(u, false, matrix, true));
        u = unit(kl_op_matmul(v, matrix));
    }
    kl_tensor *sigma = kl_op_matmul_t(kl_op_matmul(v, matrix), false, u, true);
    if (!sigma || update(ctx, s->vector_u, u))
        return NULL;
    return kl_op_div(kernel, kl_op_reshape(sigma, 0, NULL));
}

/* In Keras the kernel is assigned, so gradients are those of the kernel after it. */
static kl_status normalize_kernel(const kl_layer *self, kl_context *ctx)
{
    const spectral_norm_state *s = kl_layer_state(self);
    kl_tape_pause();
    kl_tensor *value = kl_as_dtype(normalized(self, ctx), (kl_dtype)s->kernel->value->dtype);
    kl_tape_resume();
    value = value ? kl_assigned(s->kernel->value, value) : NULL;
    return value ? kl_update(ctx, s->kernel, value) : kl_last_status();
}

static kl_tensors spectral_norm_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *x = in.at[0];
    if (kl_training(ctx) && !kl_context_shapes_only(ctx) && normalize_kernel(self, ctx))
        return kl_one(NULL);
    kl_call_args args = {.size = sizeof args,
                         .mark = kl_error_count(),
                         .inputs = {x},
                         .masks = {kl_input_mask(ctx, 0)},
                         .layer = wrapped(self)};
    kl_tensors out = kl_call_with_args(&args);
    if (!out.at || self->legacy)
        return out;
    return kl_one(kl_as_dtype(out.at[0], kl_tensor_dtype(x)));
}

static kl_status spectral_norm_shape(const kl_layer *self, const kl_shape *in, int count,
                                     kl_shape *out, int *output_count)
{
    kl_status status = kl_layer_output_shape(wrapped(self), in, count, out, output_count);
    if (!status && !self->legacy)
        out[0].dtype = in[0].dtype;
    return status;
}

const kl_layer_vtable kl_spectral_normalization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "SpectralNormalization",
    .state_size = sizeof(spectral_norm_state),
    .args_size = sizeof(kl_spectral_normalization_args),
    .fields = spectral_norm_fields,
    .init = spectral_norm_init,
    .build = spectral_norm_build,
    .call = spectral_norm_call,
    .weights = spectral_norm_weights,
    .output_shape = spectral_norm_shape,
    .flags = KL_LAYER_KEEPS_MASKS,
};

KL_DEFINE_LAYER(kl_spectral_normalization)
