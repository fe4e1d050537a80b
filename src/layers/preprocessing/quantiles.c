#include "layers/preprocessing/quantiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

void kl_sketch_free(kl_sketch *sketch)
{
    kl_free(sketch->values);
    *sketch = (kl_sketch){0};
}

static kl_status make(kl_sketch *sketch, int64_t count)
{
    *sketch = (kl_sketch){.values = kl_malloc_array((size_t)count + 1, 2 * sizeof(float)),
                          .count = count};
    sketch->weights = sketch->values ? sketch->values + count : NULL;
    return sketch->values ? KL_OK : KL_ERROR_MEMORY;
}

/* ---- Sorting -------------------------------------------------------------------------------- */

/* Bits whose order as unsigned numbers is the floats' order; every NaN comes last. */
static uint32_t ordered_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return UINT32_MAX;
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float from_ordered(uint32_t bits)
{
    float value;
    if (bits == UINT32_MAX)
        return NAN;
    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = ordered_bits(*(const float *)a), y = ordered_bits(*(const float *)b);
    return x < y ? -1 : x > y;
}

enum { DIGIT = 11, DIGITS = 1 << DIGIT };

/* By three digits of eleven bits, the counts of all taken at once. */
static kl_status sort_floats(float *at, int64_t count)
{
    if (count < 4 * DIGITS) {
        qsort(at, (size_t)count, sizeof *at, by_value);
        return KL_OK;
    }
    uint32_t *keys = kl_malloc_array((size_t)count, 2 * sizeof *keys);
    size_t(*starts)[DIGITS] = kl_calloc(3, sizeof *starts);
    kl_status status = keys && starts ? KL_OK : KL_ERROR_MEMORY;
    if (!status) {
        uint32_t *from = keys, *to = keys + count;
        for (int64_t i = 0; i < count; i++) {
            from[i] = ordered_bits(at[i]);
            for (int d = 0; d < 3; d++)
                starts[d][from[i] >> d * DIGIT & (DIGITS - 1)]++;
        }
        for (int d = 0; d < 3; d++) {
            size_t sum = 0;
            for (int k = 0; k < DIGITS; k++) {
                size_t here = starts[d][k];
                starts[d][k] = sum;
                sum += here;
            }
            for (int64_t i = 0; i < count; i++)
                to[starts[d][from[i] >> d * DIGIT & (DIGITS - 1)]++] = from[i];
            uint32_t *swap = from;
            from = to;
            to = swap;
        }
        for (int64_t i = 0; i < count; i++)
            at[i] = from_ordered(from[i]);
    }
    kl_free(keys);
    kl_free(starts);
    return status;
}

/* ---- Summaries ------------------------------------------------------------------------------ */

/* Every step-th value of a sorted batch, of the step's weight. */
static kl_status summarize(const float *batch, int64_t count, double epsilon, bool legacy,
                           kl_sketch *out)
{
    double increment = (double)count / (1 / epsilon);
    if (legacy)
        increment = floor((double)((float)count / (float)(1 / epsilon)));
    double step = increment > 1 ? increment : 1;
    int64_t start = (int64_t)(legacy ? increment : step - 1), stride = (int64_t)step;
    int64_t kept = start < count ? (count - start + stride - 1) / stride : 0;
    kl_status status = make(out, kept);
    for (int64_t i = 0; !status && i < kept; i++) {
        out->values[i] = batch[start + i * stride];
        out->weights[i] = (float)step;
    }
    return status;
}

/* Both in order; equal values of the first come first. */
static kl_status merge(const kl_sketch *a, const kl_sketch *b, kl_sketch *out)
{
    kl_status status = make(out, a->count + b->count);
    for (int64_t i = 0, j = 0, k = 0; !status && k < out->count; k++) {
        bool first = j == b->count ||
                     (i < a->count && ordered_bits(a->values[i]) <= ordered_bits(b->values[j]));
        out->values[k] = first ? a->values[i] : b->values[j];
        out->weights[k] = first ? a->weights[i] : b->weights[j];
        i += first;
        j += !first;
    }
    return status;
}

/* NumPy's interp over ascending xs, walking on from *j. */
static double interpolate(double x, const float *xs, const float *ys, int64_t count, int64_t *j)
{
    if (isnan(x))
        return x;
    while (*j < count && (double)xs[*j] <= x)
        ++*j;
    if (!*j)
        return (double)ys[0];
    int64_t k = *j - 1;
    if (k == count - 1 || (double)xs[k] == x)
        return (double)ys[k];
    double slope = ((double)ys[k + 1] - (double)ys[k]) / ((double)xs[k + 1] - (double)xs[k]);
    double y = slope * (x - (double)xs[k]) + (double)ys[k];
    if (isnan(y)) {
        y = slope * (x - (double)xs[k + 1]) + (double)ys[k + 1];
        if (isnan(y) && ys[k] == ys[k + 1])
            y = (double)ys[k];
    }
    return y;
}

/* Values at equal parts of the weight; a sketch of too few values stays as it is. */
static kl_status compress(kl_sketch *sketch, double epsilon)
{
    if ((double)sketch->count * epsilon < 1)
        return KL_OK;
    int64_t parts = (int64_t)ceil(1 / epsilon), at_value = 0, at_weight = 0;
    float *cumulated = kl_malloc_array((size_t)sketch->count, 2 * sizeof *cumulated);
    kl_sketch out = {0};
    kl_status status = cumulated ? make(&out, parts) : KL_ERROR_MEMORY;
    if (!status) {
        float *percents = cumulated + sketch->count, sum = 0;
        for (int64_t i = 0; i < sketch->count; i++)
            cumulated[i] = sum += sketch->weights[i];
        for (int64_t i = 0; i < sketch->count; i++)
            percents[i] = cumulated[i] / sum;
        double before = 0;
        for (int64_t i = 0; i < parts; i++) {
            double percent = epsilon + (double)i * epsilon;
            double weight = interpolate(percent, percents, cumulated, sketch->count, &at_weight);
            out.values[i] =
                (float)interpolate(percent, percents, sketch->values, sketch->count, &at_value);
            out.weights[i] = (float)(weight - before);
            before = weight;
        }
        kl_sketch_free(sketch);
        *sketch = out;
    }
    kl_free(cumulated);
    return status;
}

kl_status kl_sketch_add(kl_sketch *sketch, float *batch, int64_t count, double epsilon, bool legacy)
{
    kl_sketch summary = {0}, merged = {0};
    kl_status status = sort_floats(batch, count);
    if (!status)
        status = summarize(batch, count, epsilon, legacy, &summary);
    if (!status)
        status = merge(&summary, sketch, &merged);
    if (!status)
        status = compress(&merged, epsilon);
    kl_sketch_free(&summary);
    if (status) {
        kl_sketch_free(&merged);
        return status;
    }
    kl_sketch_free(sketch);
    *sketch = merged;
    return KL_OK;
}

kl_status kl_sketch_boundaries(const kl_sketch *sketch, int64_t bins, float **out, size_t *count)
{
    kl_sketch copy;
    kl_status status = make(&copy, sketch->count);
    if (status)
        return status;
    if (sketch->count) {
        memcpy(copy.values, sketch->values, (size_t)sketch->count * sizeof *copy.values);
        memcpy(copy.weights, sketch->weights, (size_t)sketch->count * sizeof *copy.weights);
    }
    status = compress(&copy, 1.0 / (double)bins);
    if (status) {
        kl_sketch_free(&copy);
        return status;
    }
    *out = copy.values;
    *count = copy.count ? (size_t)copy.count - 1 : 0;
    return KL_OK;
}
