/* The initializers: https://keras.io/api/layers/initializers/ */
#include "klayers/initializers.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "initializers/stft.h"
#include "objects/define.h"
#include "objects/functions.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

/* LAPACK's QR factorization: column major, 32-bit integers as Debian builds it. */
extern void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau,
                    double *work, const int *lwork, int *info);
extern void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda,
                    const double *tau, double *work, const int *lwork, int *info);

static kl_status fill_value(kl_tensor *out, double value)
{
    kl_fill_elements((kl_dtype)out->dtype, kl_tensor_mutable_data(out), out->size, value);
    return KL_OK;
}

typedef enum distribution { UNIFORM, NORMAL, TRUNCATED } distribution;

static kl_status draw(distribution kind, uint64_t seed, kl_tensor *out, double a, double b)
{
    kl_random r = {seed, 0};
    void *data = kl_tensor_mutable_data(out);
    if (out->dtype == KL_FLOAT64)
        (kind == UNIFORM  ? kl_random_uniform_f64
         : kind == NORMAL ? kl_random_normal_f64
                          : kl_random_truncated_normal_f64)(&r, data, out->size, a, b);
    else
        (kind == UNIFORM ? kl_random_uniform_f32
         : kind == NORMAL
             ? kl_random_normal_f32
             : kl_random_truncated_normal_f32)(&r, data, out->size, (float)a, (float)b);
    return KL_OK;
}

/* Product of the sizes of listed axes. */
static kl_status product_of(const kl_tensor *x, kl_ints axes, double *product)
{
    *product = 1;
    for (size_t i = 0; i < axes.count; i++) {
        int64_t axis = axes.at[i] < 0 ? axes.at[i] + x->rank : axes.at[i];
        if (axis < 0 || axis >= x->rank)
            return kl_error(KL_ERROR_SHAPE, "axis %lld is out of range for %d dimensions",
                            (long long)axes.at[i], x->rank);
        *product *= (double)x->shape[axis];
    }
    return KL_OK;
}

/* Keras's fans: a vector's are its size, a matrix's its sides, a kernel's [spatial..., in, out] its
   channels times the window; or what both lists of axes say. */
static kl_status fans(const kl_tensor *x, kl_ints in, kl_ints out, double *fan_in, double *fan_out)
{
    double window = 1;
    if (in.at && out.at) {
        kl_status status = product_of(x, in, fan_in);
        return status ? status : product_of(x, out, fan_out);
    }
    for (int i = 0; i < x->rank - 2; i++)
        window *= (double)x->shape[i];
    *fan_in = *fan_out = x->rank ? (double)x->shape[0] : 1;
    if (x->rank >= 2) {
        *fan_in = (double)x->shape[x->rank - 2] * window;
        *fan_out = (double)x->shape[x->rank - 1] * window;
    }
    return KL_OK;
}

static kl_status scale_variance(uint64_t seed, kl_tensor *out, double scale, const char *mode,
                                const char *kind, kl_ints in, kl_ints outputs)
{
    double fan_in, fan_out;
    kl_status status = fans(out, in, outputs, &fan_in, &fan_out);
    if (status)
        return status;
    double fan = !strcmp(mode, "fan_in")    ? fan_in
                 : !strcmp(mode, "fan_out") ? fan_out
                                            : (fan_in + fan_out) / 2;
    scale /= fan > 1 ? fan : 1;
    if (!strcmp(kind, "uniform"))
        return draw(UNIFORM, seed, out, -sqrt(3 * scale), sqrt(3 * scale));
    if (!strcmp(kind, "untruncated_normal"))
        return draw(NORMAL, seed, out, 0, sqrt(scale));
    /* 0.8796... is the standard deviation of a unit normal cut at two deviations. */
    return draw(TRUNCATED, seed, out, 0, sqrt(scale) / 0.87962566103423978);
}

/* Q of a random matrix's QR, its columns' signs fixed by R's diagonal so that Q is uniform. */
static kl_status fill_orthogonal(uint64_t seed, kl_tensor *out, double gain)
{
    if (out->rank < 2)
        return kl_error(KL_ERROR_SHAPE, "Orthogonal: expected at least 2 dimensions, got %d",
                        out->rank);
    if (!out->size)
        return KL_OK;
    int64_t cols = out->shape[out->rank - 1], rows = out->size / cols;
    int64_t tall = rows > cols ? rows : cols, narrow = rows > cols ? cols : rows;
    if (tall > INT32_MAX)
        return kl_error(KL_ERROR_SHAPE, "Orthogonal: the matrix is too large");
    int m = (int)tall, n = (int)narrow, info = 0, room = n * 64;
    double *a = kl_malloc_array((size_t)(tall * narrow), sizeof *a);
    double *tau = kl_malloc_array((size_t)narrow, 2 * sizeof *tau);
    double *work = kl_malloc_array((size_t)room, sizeof *work);
    kl_status status = a && tau && work ? KL_OK : KL_ERROR_MEMORY;
    if (!status) {
        kl_random r = {seed, 0};
        double *signs = tau + n;
        kl_random_normal_f64(&r, a, tall * narrow, 0, 1);
        dgeqrf_(&m, &n, a, &m, tau, work, &room, &info);
        for (int i = 0; i < n; i++)
            signs[i] = a[(int64_t)i * m + i] < 0 ? -gain : gain;
        dorgqr_(&m, &n, &n, a, &m, tau, work, &room, &info);
        void *data = kl_tensor_mutable_data(out);
        for (int64_t at = 0; at < out->size; at++) {
            int64_t row = at / cols, col = at - row * cols;
            int64_t i = rows >= cols ? row : col, k = rows >= cols ? col : row;
            double value = a[k * m + i] * signs[k];
            if (out->dtype == KL_FLOAT64)
                ((double *)data)[at] = value;
            else
                ((float *)data)[at] = (float)value;
        }
    }
    kl_free(a);
    kl_free(tau);
    kl_free(work);
    return status;
}

static kl_status fill_identity(kl_tensor *out, double gain)
{
    if (out->rank != 2)
        return kl_error(KL_ERROR_SHAPE, "Identity: expected 2 dimensions, got %d", out->rank);
    char *data = kl_tensor_mutable_data(out);
    size_t size = kl_dtype_size((kl_dtype)out->dtype);
    fill_value(out, 0);
    for (int64_t i = 0; i < out->shape[0] && i < out->shape[1]; i++)
        kl_fill_elements((kl_dtype)out->dtype, data + (size_t)(i * out->shape[1] + i) * size, 1,
                         gain);
    return KL_OK;
}

static const kl_field zeros_initializer_fields[] = {{0}};

static kl_status zeros_initializer_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    return fill_value(out, 0);
}

static const kl_initializer_vtable zeros_initializer_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "Zeros",
    .names = "zeros|zero",
    .state_size = sizeof(kl_zeros_initializer_args),
    .args_size = sizeof(kl_zeros_initializer_args),
    .fields = zeros_initializer_fields,
    .fill = zeros_initializer_fill};
KL_DEFINE_CLASS(kl_zeros_initializer, zeros_initializer_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field ones_initializer_fields[] = {{0}};

static kl_status ones_initializer_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    return fill_value(out, 1);
}

static const kl_initializer_vtable ones_initializer_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "Ones",
    .names = "ones|one",
    .state_size = sizeof(kl_ones_initializer_args),
    .args_size = sizeof(kl_ones_initializer_args),
    .fields = ones_initializer_fields,
    .fill = ones_initializer_fill};
KL_DEFINE_CLASS(kl_ones_initializer, ones_initializer_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field constant_fields[] = {
    {"value", KL_FIELD_FLOAT, offsetof(kl_constant_args, value), "0", .doc = "every element"}, {0}};

static kl_status constant_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_constant_args *a = kl_object_state(self);
    return fill_value(out, a->value);
}

static const kl_initializer_vtable constant_class = {.size = sizeof(kl_initializer_vtable),
                                                     .class_name = "Constant",
                                                     .names = "constant",
                                                     .state_size = sizeof(kl_constant_args),
                                                     .args_size = sizeof(kl_constant_args),
                                                     .fields = constant_fields,
                                                     .fill = constant_fill};
KL_DEFINE_CLASS(kl_constant, constant_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field random_normal_fields[] = {
    {"mean", KL_FIELD_FLOAT, offsetof(kl_random_normal_args, mean), "0",
     .doc = "of the distribution"},
    {"stddev", KL_FIELD_FLOAT, offsetof(kl_random_normal_args, stddev), "0.05",
     .doc = "of the distribution", .min = 0, .max = 1e30},
    {"seed", KL_FIELD_INT, offsetof(kl_random_normal_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status random_normal_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_random_normal_args *a = kl_object_state(self);
    return draw(NORMAL, seed, out, a->mean, a->stddev);
}

static const kl_initializer_vtable random_normal_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "RandomNormal",
    .names = "random_normal|normal",
    .state_size = sizeof(kl_random_normal_args),
    .args_size = sizeof(kl_random_normal_args),
    .fields = random_normal_fields,
    .fill = random_normal_fill};
KL_DEFINE_CLASS(kl_random_normal, random_normal_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field truncated_normal_fields[] = {
    {"mean", KL_FIELD_FLOAT, offsetof(kl_truncated_normal_args, mean), "0",
     .doc = "of the distribution"},
    {"stddev", KL_FIELD_FLOAT, offsetof(kl_truncated_normal_args, stddev), "0.05",
     .doc = "of the distribution", .min = 0, .max = 1e30},
    {"seed", KL_FIELD_INT, offsetof(kl_truncated_normal_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status truncated_normal_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_truncated_normal_args *a = kl_object_state(self);
    return draw(TRUNCATED, seed, out, a->mean, a->stddev);
}

static const kl_initializer_vtable truncated_normal_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "TruncatedNormal",
    .names = "truncated_normal",
    .state_size = sizeof(kl_truncated_normal_args),
    .args_size = sizeof(kl_truncated_normal_args),
    .fields = truncated_normal_fields,
    .fill = truncated_normal_fill};
KL_DEFINE_CLASS(kl_truncated_normal, truncated_normal_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field random_uniform_fields[] = {
    {"minval", KL_FIELD_FLOAT, offsetof(kl_random_uniform_args, minval), "-0.05",
     .doc = "of the distribution"},
    {"maxval", KL_FIELD_FLOAT, offsetof(kl_random_uniform_args, maxval), "0.05",
     .doc = "of the distribution"},
    {"seed", KL_FIELD_INT, offsetof(kl_random_uniform_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status random_uniform_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_random_uniform_args *a = kl_object_state(self);
    return draw(UNIFORM, seed, out, a->minval, a->maxval);
}

static const kl_initializer_vtable random_uniform_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "RandomUniform",
    .names = "random_uniform|uniform",
    .state_size = sizeof(kl_random_uniform_args),
    .args_size = sizeof(kl_random_uniform_args),
    .fields = random_uniform_fields,
    .fill = random_uniform_fill};
KL_DEFINE_CLASS(kl_random_uniform, random_uniform_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field variance_scaling_fields[] = {
    {"scale", KL_FIELD_FLOAT, offsetof(kl_variance_scaling_args, scale), "1",
     .doc = "of the distribution", .min = 1e-300, .max = 1e30},
    {"mode", KL_FIELD_STRING, offsetof(kl_variance_scaling_args, mode), "fan_in",
     .doc = "which fan", .choices = "fan_in|fan_out|fan_avg"},
    {"distribution", KL_FIELD_STRING, offsetof(kl_variance_scaling_args, distribution),
     "truncated_normal", .doc = "of the draws",
     .choices = "truncated_normal|untruncated_normal|uniform|normal"},
    {"seed", KL_FIELD_INT, offsetof(kl_variance_scaling_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {"input_axes", KL_FIELD_INTS, offsetof(kl_variance_scaling_args, input_axes), NULL,
     .doc = "axes that count as inputs; None: from the shape", .flags = KL_FIELD_OPTIONAL},
    {"output_axes", KL_FIELD_INTS, offsetof(kl_variance_scaling_args, output_axes), NULL,
     .doc = "axes that count as outputs", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status variance_scaling_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_variance_scaling_args *a = kl_object_state(self);
    return scale_variance(seed, out, a->scale, a->mode, a->distribution, a->input_axes,
                          a->output_axes);
}

static const kl_initializer_vtable variance_scaling_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "VarianceScaling",
    .names = "variance_scaling",
    .state_size = sizeof(kl_variance_scaling_args),
    .args_size = sizeof(kl_variance_scaling_args),
    .fields = variance_scaling_fields,
    .fill = variance_scaling_fill};
KL_DEFINE_CLASS(kl_variance_scaling, variance_scaling_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field glorot_uniform_fields[] = {
    {"seed", KL_FIELD_INT, offsetof(kl_glorot_uniform_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {"input_axes", KL_FIELD_INTS, offsetof(kl_glorot_uniform_args, input_axes), NULL,
     .doc = "axes that count as inputs; None: from the shape", .flags = KL_FIELD_OPTIONAL},
    {"output_axes", KL_FIELD_INTS, offsetof(kl_glorot_uniform_args, output_axes), NULL,
     .doc = "axes that count as outputs", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status glorot_uniform_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_glorot_uniform_args *a = kl_object_state(self);
    return scale_variance(seed, out, 1, "fan_avg", "uniform", a->input_axes, a->output_axes);
}

static const kl_initializer_vtable glorot_uniform_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "GlorotUniform",
    .names = "glorot_uniform|xavier_uniform",
    .state_size = sizeof(kl_glorot_uniform_args),
    .args_size = sizeof(kl_glorot_uniform_args),
    .fields = glorot_uniform_fields,
    .fill = glorot_uniform_fill};
KL_DEFINE_CLASS(kl_glorot_uniform, glorot_uniform_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field glorot_normal_fields[] = {
    {"seed", KL_FIELD_INT, offsetof(kl_glorot_normal_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {"input_axes", KL_FIELD_INTS, offsetof(kl_glorot_normal_args, input_axes), NULL,
     .doc = "axes that count as inputs; None: from the shape", .flags = KL_FIELD_OPTIONAL},
    {"output_axes", KL_FIELD_INTS, offsetof(kl_glorot_normal_args, output_axes), NULL,
     .doc = "axes that count as outputs", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status glorot_normal_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_glorot_normal_args *a = kl_object_state(self);
    return scale_variance(seed, out, 1, "fan_avg", "truncated_normal", a->input_axes,
                          a->output_axes);
}

static const kl_initializer_vtable glorot_normal_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "GlorotNormal",
    .names = "glorot_normal|xavier_normal",
    .state_size = sizeof(kl_glorot_normal_args),
    .args_size = sizeof(kl_glorot_normal_args),
    .fields = glorot_normal_fields,
    .fill = glorot_normal_fill};
KL_DEFINE_CLASS(kl_glorot_normal, glorot_normal_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field he_uniform_fields[] = {
    {"seed", KL_FIELD_INT, offsetof(kl_he_uniform_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {"input_axes", KL_FIELD_INTS, offsetof(kl_he_uniform_args, input_axes), NULL,
     .doc = "axes that count as inputs; None: from the shape", .flags = KL_FIELD_OPTIONAL},
    {"output_axes", KL_FIELD_INTS, offsetof(kl_he_uniform_args, output_axes), NULL,
     .doc = "axes that count as outputs", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status he_uniform_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_he_uniform_args *a = kl_object_state(self);
    return scale_variance(seed, out, 2, "fan_in", "uniform", a->input_axes, a->output_axes);
}

static const kl_initializer_vtable he_uniform_class = {.size = sizeof(kl_initializer_vtable),
                                                       .class_name = "HeUniform",
                                                       .names = "he_uniform",
                                                       .state_size = sizeof(kl_he_uniform_args),
                                                       .args_size = sizeof(kl_he_uniform_args),
                                                       .fields = he_uniform_fields,
                                                       .fill = he_uniform_fill};
KL_DEFINE_CLASS(kl_he_uniform, he_uniform_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field he_normal_fields[] = {
    {"seed", KL_FIELD_INT, offsetof(kl_he_normal_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {"input_axes", KL_FIELD_INTS, offsetof(kl_he_normal_args, input_axes), NULL,
     .doc = "axes that count as inputs; None: from the shape", .flags = KL_FIELD_OPTIONAL},
    {"output_axes", KL_FIELD_INTS, offsetof(kl_he_normal_args, output_axes), NULL,
     .doc = "axes that count as outputs", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status he_normal_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_he_normal_args *a = kl_object_state(self);
    return scale_variance(seed, out, 2, "fan_in", "truncated_normal", a->input_axes,
                          a->output_axes);
}

static const kl_initializer_vtable he_normal_class = {.size = sizeof(kl_initializer_vtable),
                                                      .class_name = "HeNormal",
                                                      .names = "he_normal",
                                                      .state_size = sizeof(kl_he_normal_args),
                                                      .args_size = sizeof(kl_he_normal_args),
                                                      .fields = he_normal_fields,
                                                      .fill = he_normal_fill};
KL_DEFINE_CLASS(kl_he_normal, he_normal_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field lecun_uniform_fields[] = {
    {"seed", KL_FIELD_INT, offsetof(kl_lecun_uniform_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {"input_axes", KL_FIELD_INTS, offsetof(kl_lecun_uniform_args, input_axes), NULL,
     .doc = "axes that count as inputs; None: from the shape", .flags = KL_FIELD_OPTIONAL},
    {"output_axes", KL_FIELD_INTS, offsetof(kl_lecun_uniform_args, output_axes), NULL,
     .doc = "axes that count as outputs", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status lecun_uniform_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_lecun_uniform_args *a = kl_object_state(self);
    return scale_variance(seed, out, 1, "fan_in", "uniform", a->input_axes, a->output_axes);
}

static const kl_initializer_vtable lecun_uniform_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "LecunUniform",
    .names = "lecun_uniform",
    .state_size = sizeof(kl_lecun_uniform_args),
    .args_size = sizeof(kl_lecun_uniform_args),
    .fields = lecun_uniform_fields,
    .fill = lecun_uniform_fill};
KL_DEFINE_CLASS(kl_lecun_uniform, lecun_uniform_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field lecun_normal_fields[] = {
    {"seed", KL_FIELD_INT, offsetof(kl_lecun_normal_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {"input_axes", KL_FIELD_INTS, offsetof(kl_lecun_normal_args, input_axes), NULL,
     .doc = "axes that count as inputs; None: from the shape", .flags = KL_FIELD_OPTIONAL},
    {"output_axes", KL_FIELD_INTS, offsetof(kl_lecun_normal_args, output_axes), NULL,
     .doc = "axes that count as outputs", .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status lecun_normal_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_lecun_normal_args *a = kl_object_state(self);
    return scale_variance(seed, out, 1, "fan_in", "truncated_normal", a->input_axes,
                          a->output_axes);
}

static const kl_initializer_vtable lecun_normal_class = {.size = sizeof(kl_initializer_vtable),
                                                         .class_name = "LecunNormal",
                                                         .names = "lecun_normal",
                                                         .state_size = sizeof(kl_lecun_normal_args),
                                                         .args_size = sizeof(kl_lecun_normal_args),
                                                         .fields = lecun_normal_fields,
                                                         .fill = lecun_normal_fill};
KL_DEFINE_CLASS(kl_lecun_normal, lecun_normal_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field orthogonal_fields[] = {
    {"gain", KL_FIELD_FLOAT, offsetof(kl_orthogonal_args, gain), "1", .doc = "factor"},
    {"seed", KL_FIELD_INT, offsetof(kl_orthogonal_args, seed), NULL, .doc = "of the draws",
     .flags = KL_FIELD_OPTIONAL},
    {0}};

static kl_status orthogonal_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_orthogonal_args *a = kl_object_state(self);
    return fill_orthogonal(seed, out, a->gain);
}

static const kl_initializer_vtable orthogonal_class = {.size = sizeof(kl_initializer_vtable),
                                                       .class_name = "Orthogonal",
                                                       .names = "orthogonal|OrthogonalInitializer",
                                                       .state_size = sizeof(kl_orthogonal_args),
                                                       .args_size = sizeof(kl_orthogonal_args),
                                                       .fields = orthogonal_fields,
                                                       .fill = orthogonal_fill};
KL_DEFINE_CLASS(kl_orthogonal, orthogonal_class, kl_initializer, KL_KIND_INITIALIZER)

static const kl_field identity_initializer_fields[] = {
    {"gain", KL_FIELD_FLOAT, offsetof(kl_identity_initializer_args, gain), "1", .doc = "factor"},
    {0}};

static kl_status identity_initializer_fill(const kl_initializer *self, uint64_t seed,
                                           kl_tensor *out)
{
    const kl_identity_initializer_args *a = kl_object_state(self);
    return fill_identity(out, a->gain);
}

static const kl_initializer_vtable identity_initializer_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "Identity",
    .names = "identity|IdentityInitializer",
    .state_size = sizeof(kl_identity_initializer_args),
    .args_size = sizeof(kl_identity_initializer_args),
    .fields = identity_initializer_fields,
    .fill = identity_initializer_fill};
KL_DEFINE_CLASS(kl_identity_initializer, identity_initializer_class, kl_initializer,
                KL_KIND_INITIALIZER)

/* One's own function. */
typedef kl_status fill_function(kl_tensor *out, void *user);

static kl_status own_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    const kl_own_function *s = kl_object_state(self);
    return ((fill_function *)s->function)(out, s->user);
}

static const kl_initializer_vtable own_class = {
    .size = sizeof(kl_initializer_vtable), KL_OWN_FUNCTION_CLASS, .fill = own_fill};

kl_initializer *kl_initializer_from(const char *name, kl_status (*fill)(kl_tensor *out, void *user),
                                    void *user)
{
    return kl_own_function_new("kl_initializer_from", KL_KIND_INITIALIZER,
                               (const kl_class *)&own_class, name, (kl_any_function *)fill, user);
}

kl_status kl_register_initializer(const char *name, kl_status (*fill)(kl_tensor *out, void *user),
                                  void *user)
{
    return kl_own_function_register("kl_register_initializer", KL_KIND_INITIALIZER,
                                    (const kl_class *)&own_class, name, (kl_any_function *)fill,
                                    user);
}

/* The key of a fill: the seed given, or a fresh one. */
static uint64_t seed_of(const kl_object *object)
{
    for (const kl_field *f = object->cls->fields; f && f->type != KL_FIELD_END; f++) {
        int64_t seed;
        if (strcmp(f->name, "seed") != 0)
            continue;
        memcpy(&seed, (const char *)object->state + f->offset, sizeof seed);
        if (seed != KL_NONE)
            return (uint64_t)seed;
    }
    return kl_random_next_key();
}

kl_tensor *kl_initializer_call(const kl_initializer *initializer, kl_dtype dtype, int rank,
                               const int64_t *shape)
{
    if (!initializer) {
        kl_error_null("kl_initializer_call", "initializer");
        return NULL;
    }
    if (dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "an initializer makes numbers, not strings");
        return NULL;
    }
    const kl_object *object = (const kl_object *)initializer;
    const kl_initializer_vtable *cls = (const kl_initializer_vtable *)object->cls;
    if (!cls->fill) {
        kl_error(KL_ERROR_INVALID, "%s: the class has no fill", cls->class_name);
        return NULL;
    }
    kl_dtype made = dtype == KL_FLOAT64 ? KL_FLOAT64 : KL_FLOAT32;
    kl_tensor *out = kl_empty(made, rank, shape);
    if (!out)
        return NULL;
    if (!out->buffer) { /* a run for shapes */
        kl_release(kl_scope_detach(out));
        return kl_stand_in(dtype, rank, shape);
    }
    if (cls->fill(initializer, seed_of(object), out)) {
        kl_release(kl_scope_detach(out));
        return NULL;
    }
    if (made == dtype)
        return out;
    kl_tensor *converted = kl_copy(out, dtype);
    kl_release(kl_scope_detach(out));
    return converted;
}

kl_initializer *kl_initializer_get(kl_named initializer)
{
    kl_object *object = NULL;
    if (kl_named_resolve(KL_KIND_INITIALIZER, initializer, &object) || !object)
        return NULL;
    kl_object_retain(object);
    kl_object_disown(object);
    return (kl_initializer *)object;
}

static const kl_initializer_vtable *const classes[] = {
    &zeros_initializer_class, &ones_initializer_class, &constant_class,
    &random_normal_class,     &truncated_normal_class, &random_uniform_class,
    &variance_scaling_class,  &glorot_uniform_class,   &glorot_normal_class,
    &he_uniform_class,        &he_normal_class,        &lecun_uniform_class,
    &lecun_normal_class,      &orthogonal_class,       &identity_initializer_class,
    &kl_stft_class,
};

const kl_class *kl_builtin_initializer(const char *name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (kl_class_is_named((const kl_class *)classes[i], name))
            return (const kl_class *)classes[i];
    return NULL;
}
