#include "layers/preprocessing/image/image.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "objects/fields.h"
#include "ops/tape.h"

static kl_status bad_factor(const char *name, kl_floats given, double low, double high)
{
    return kl_error(KL_ERROR_RANGE,
                    "the %s argument should be a number (or a list of two numbers) in the range "
                    "[%g, %g], got %zu values, %g first",
                    name, low, high, given.count, given.count ? (double)given.at[0] : 0.0);
}

kl_status kl_factor_range(const char *name, kl_floats given, kl_factor_rule rule, double low,
                          double high, double range[2])
{
    range[0] = range[1] = 0;
    if (!given.count)
        return KL_OK;
    double a = kl_shortest_double(given.at[0]);
    double b = given.count > 1 ? kl_shortest_double(given.at[1]) : a;
    bool pair = given.count == 2;
    bool within = pair && rule == KL_FACTOR_BASE ? a <= high && b >= low
                                                 : a >= low && a <= high && b >= low && b <= high;
    if (given.count > 2 || !within)
        return bad_factor(name, given, low, high);
    if (pair) {
        range[0] = b < a ? b : a;
        range[1] = b < a ? a : b;
        return KL_OK;
    }
    range[1] = rule == KL_FACTOR_UP ? a : fabs(a);
    if (rule != KL_FACTOR_UP)
        range[0] = -range[1];
    if (rule == KL_FACTOR_BASE && range[0] < low)
        range[0] = low;
    return KL_OK;
}

kl_status kl_floats_set(kl_floats *given, size_t count, const double *values)
{
    float *at = kl_malloc_array(count, sizeof *at);
    if (!at)
        return KL_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        at[i] = (float)values[i];
    kl_free((void *)(uintptr_t)given->at);
    *given = (kl_floats){at, count};
    return KL_OK;
}

kl_status kl_factor_resolve(const char *name, kl_floats *given, kl_factor_rule rule, double low,
                            double high, double range[2])
{
    kl_status status = kl_factor_range(name, *given, rule, low, high, range);
    return status ? status : kl_floats_set(given, 2, range);
}

kl_status kl_probability(const char *name, kl_floats *given, double range[2])
{
    if (!given->count && kl_floats_set(given, 1, &(double){1}))
        return KL_ERROR_MEMORY;
    return kl_factor_resolve(name, given, KL_FACTOR_BASE, 0, 1, range);
}

kl_status kl_ints_set_pair(kl_ints *given, int64_t low, int64_t high)
{
    int64_t *at = kl_malloc_array(2, sizeof *at);
    if (!at)
        return KL_ERROR_MEMORY;
    at[0] = low;
    at[1] = high;
    kl_free((void *)(uintptr_t)given->at);
    *given = (kl_ints){at, 2};
    return KL_OK;
}

kl_fill_mode kl_fill_mode_of(const char *name)
{
    return !strcmp(name, "constant")  ? KL_FILL_CONSTANT
           : !strcmp(name, "nearest") ? KL_FILL_NEAREST
           : !strcmp(name, "wrap")    ? KL_FILL_WRAP
                                      : KL_FILL_REFLECT;
}

kl_status kl_value_range(kl_floats *given, bool sort, double range[2])
{
    range[0] = 0;
    range[1] = 255;
    if (given->count && given->count != 2)
        return kl_error(KL_ERROR_INVALID,
                        "the value_range argument should be a list of two numbers, got %zu",
                        given->count);
    if (given->count) {
        double a = kl_shortest_double(given->at[0]), b = kl_shortest_double(given->at[1]);
        range[0] = sort && b < a ? b : a;
        range[1] = sort && b < a ? a : b;
    }
    return kl_floats_set(given, 2, range);
}

kl_image_input kl_image_begin_raw(const kl_layer *self, kl_tensor *x, const char *data_format)
{
    kl_image_input in = {.batched = x->rank == 4, .real = x->buffer};
    if (x->rank != 3 && x->rank != 4) {
        char text[160];
        kl_error(KL_ERROR_SHAPE,
                 "expected image tensor to have rank 3 (single image) or 4 (batch of images), got "
                 "shape %s",
                 kl_shape_text(x->rank, x->shape, text, sizeof text));
        return in;
    }
    if (x->dtype == KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "expected numbers, got string");
        return in;
    }
    in.x = in.batched ? x : kl_op_expand_dims(x, 0);
    if (in.x)
        in.size = kl_images_of(in.x, kl_is_channels_first(data_format));
    return in;
}

kl_image_input kl_image_begin(const kl_layer *self, kl_tensor *x, const char *data_format)
{
    kl_image_input in = kl_image_begin_raw(self, x, data_format);
    if (in.x && (kl_dtype)in.x->dtype != self->compute_dtype)
        in.x = kl_op_cast(in.x, self->compute_dtype);
    return in;
}

kl_tensors kl_image_end(const kl_image_input *in, kl_tensor *y)
{
    return kl_one(y && !in->batched ? kl_op_squeeze(y, 0) : y);
}

kl_tensors kl_image_identity(const kl_layer *self, kl_tensor *x)
{
    kl_image_input in = kl_image_begin(self, x, NULL);
    return kl_image_end(&in, in.x);
}

kl_tensors kl_image_untouched(const kl_layer *self, kl_tensors inputs)
{
    kl_image_input in = kl_image_begin_raw(self, inputs.at[0], NULL);
    return in.x ? inputs : kl_one(NULL);
}

double *kl_image_draw(const kl_image_input *in, int64_t count, double low, double high)
{
    double *out = kl_scope_alloc(((size_t)count + 1) * sizeof *out);
    if (!out)
        return NULL;
    if (in->real && low != high)
        kl_random_uniform_f64(kl_random_current(), out, count, low, high);
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = low;
    return out;
}

kl_tensor *kl_image_values(const kl_image_input *in, const double *values)
{
    kl_dtype dtype = (kl_dtype)in->x->dtype;
    const int64_t shape[4] = {in->size.batch, 1, 1, 1};
    kl_tensor *out = kl_empty(dtype == KL_FLOAT64 ? KL_FLOAT64 : KL_FLOAT32, 4, shape);
    if (!out || !values || !out->buffer)
        return values ? out : NULL;
    for (int64_t i = 0; i < in->size.batch; i++) {
        if (dtype == KL_FLOAT64)
            ((double *)(void *)out->data)[i] = values[i];
        else
            ((float *)(void *)out->data)[i] = (float)values[i];
    }
    return kl_dtype_is_float(dtype) ? kl_op_cast(out, dtype) : out;
}

static kl_tensor *compare(const kl_image_input *in, const double *values, const double *limits,
                          bool below)
{
    kl_tensor *out = kl_empty(KL_UINT8, 1, &in->size.batch);
    if (!out || !values || !limits || !out->buffer)
        return values && limits ? out : NULL;
    for (int64_t i = 0; i < in->size.batch; i++)
        ((uint8_t *)out->data)[i] = (values[i] < limits[i]) == below;
    return out;
}

kl_tensor *kl_image_below(const kl_image_input *in, const double *values, const double *limits)
{
    return compare(in, values, limits, true);
}

kl_tensor *kl_image_not_below(const kl_image_input *in, const double *values, const double *limits)
{
    return compare(in, values, limits, false);
}

kl_tensor *kl_image_chosen(const kl_image_input *in, const double factor[2])
{
    double *limits = kl_image_draw(in, in->size.batch, factor[0], factor[1]);
    double *values = kl_image_draw(in, in->size.batch, 0, 1);
    kl_tensor *flags = kl_image_below(in, values, limits);
    const int64_t shape[4] = {in->size.batch, 1, 1, 1};
    return kl_op_cast(kl_op_reshape(flags, 4, shape), KL_BOOL);
}

kl_tensor *kl_image_rescale(kl_tensor *x, const double from[2], const double to[2])
{
    if (!x || (from[0] == to[0] && from[1] == to[1]))
        return x;
    kl_tensor *unit = kl_op_add_scalar(x, -from[0]);
    unit = kl_op_div(
        unit, kl_scalar(kl_dtype_is_float((kl_dtype)x->dtype) ? (kl_dtype)x->dtype : KL_FLOAT32,
                        from[1] - from[0]));
    return kl_op_add_scalar(kl_op_mul_scalar(unit, to[1] - to[0]), to[0]);
}

kl_status kl_image_output_size(const kl_shape *input, const char *data_format, int64_t height,
                               int64_t width, kl_shape *output)
{
    if (input->rank != 3 && input->rank != 4) {
        char text[160];
        return kl_error(KL_ERROR_SHAPE, "expected images of rank 3 or 4, got shape %s",
                        kl_shape_text(input->rank, input->at, text, sizeof text));
    }
    int axis = input->rank - (kl_is_channels_first(data_format) ? 2 : 3);
    output->rank = input->rank;
    memcpy(output->at, input->at, sizeof output->at);
    output->at[axis] = height;
    output->at[axis + 1] = width;
    return KL_OK;
}
