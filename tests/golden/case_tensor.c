#include "golden/case_tensor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const kl_config *map, const char *key)
{
    const kl_config *value = kl_config_get(map, key);
    return value ? kl_config_as_string(value) : NULL;
}

typedef struct form {
    kl_dtype dtype;
    int rank;
    int64_t shape[KL_MAX_RANK];
    int64_t size;
} form;

static bool read_form(const kl_config *config, form *f)
{
    const char *dtype = text_of(config, "dtype");
    const kl_config *shape = kl_config_get(config, "shape");
    *f = (form){.size = 1};
    if (!dtype || !kl_dtype_from_name(dtype, &f->dtype) || !shape ||
        kl_config_count(shape) > KL_MAX_RANK) {
        kl_error(KL_ERROR_FORMAT, "a tensor of the case has no known dtype '%s' or no shape",
                 dtype ? dtype : "");
        return false;
    }
    f->rank = (int)kl_config_count(shape);
    for (int i = 0; i < f->rank; i++) {
        if (!kl_config_as_int(kl_config_at(shape, (size_t)i), &f->shape[i]) || f->shape[i] < 0 ||
            __builtin_mul_overflow(f->size, f->shape[i], &f->size)) {
            kl_error(KL_ERROR_FORMAT, "a tensor of the case has an ill-formed shape");
            return false;
        }
    }
    return true;
}

static double unit(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 40) * 0x1p-24;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Decoded bytes, to be freed; *size is how many. */
static unsigned char *base64_decode(const char *text, size_t *size)
{
    size_t length = strlen(text);
    unsigned char *out = malloc(length / 4 * 3 + 4);
    unsigned bits = 0, have = 0;
    *size = 0;
    for (size_t i = 0; out && i < length && text[i] != '='; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) {
            free(out);
            return NULL;
        }
        bits = bits << 6 | (unsigned)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*size)++] = (unsigned char)(bits >> have);
        }
    }
    return out;
}

static bool value_of(const kl_config *item, double *out)
{
    bool flag;
    const char *text = kl_config_as_string(item);
    if (kl_config_as_bool(item, &flag)) {
        *out = flag;
        return true;
    }
    if (text) {
        *out = !strcmp(text, "NaN") ? NAN : !strcmp(text, "-Infinity") ? -INFINITY : INFINITY;
        return true;
    }
    return kl_config_as_float(item, out);
}

static kl_tensor *from_doubles(const form *f, const double *values)
{
    kl_tensor *wide = kl_from_data(KL_FLOAT64, f->rank, f->shape, values);
    kl_tensor *made = wide ? kl_copy(wide, f->dtype) : NULL;
    kl_release(wide);
    return made;
}

static kl_tensor *read_strings(const form *f, const kl_config *values)
{
    const char **texts = calloc((size_t)f->size + 1, sizeof *texts);
    for (int64_t i = 0; texts && i < f->size; i++)
        texts[i] = kl_config_as_string(kl_config_at(values, (size_t)i));
    kl_tensor *made = kl_from_strings(f->rank, f->shape, texts);
    free(texts);
    return made;
}

/* Doubles don't hold every one of them. */
static kl_tensor *read_int64(const form *f, const kl_config *values)
{
    int64_t *numbers = malloc(((size_t)f->size + 1) * sizeof *numbers);
    bool good = numbers != NULL;
    for (int64_t i = 0; good && i < f->size; i++) {
        const kl_config *item = kl_config_at(values, (size_t)i);
        double other = 0;
        good = kl_config_as_int(item, &numbers[i]) || value_of(item, &other);
        if (good && other != 0)
            numbers[i] = (int64_t)other;
    }
    kl_tensor *made = good ? kl_from_data(KL_INT64, f->rank, f->shape, numbers) : NULL;
    if (!good)
        kl_error(KL_ERROR_FORMAT, "a tensor of the case has values that are no numbers");
    free(numbers);
    return made;
}

kl_tensor *case_tensor_read(const kl_config *config)
{
    form f;
    if (!config || !read_form(config, &f))
        return NULL;
    const kl_config *fill = kl_config_get(config, "fill");
    const kl_config *values = kl_config_get(config, "values");
    const char *encoded = text_of(config, "base64");
    if (f.dtype == KL_STRING)
        return values ? read_strings(&f, values) : NULL;
    if (f.dtype == KL_INT64 && values)
        return read_int64(&f, values);
    if (encoded) {
        size_t bytes;
        unsigned char *raw = base64_decode(encoded, &bytes);
        kl_tensor *made = NULL;
        if (raw && bytes == (size_t)f.size * kl_dtype_size(f.dtype))
            made = kl_from_data(f.dtype, f.rank, f.shape, raw);
        else
            kl_error(KL_ERROR_FORMAT, "base64 of %zu bytes for %lld elements", bytes,
                     (long long)f.size);
        free(raw);
        return made;
    }
    double *numbers = malloc(((size_t)f.size + 1) * sizeof *numbers);
    bool good = numbers && (fill || values);
    int64_t seed = 0;
    double low = 0, high = 1;
    if (good && fill)
        good = kl_config_as_int(kl_config_at(fill, 0), &seed) &&
               kl_config_as_float(kl_config_at(fill, 1), &low) &&
               kl_config_as_float(kl_config_at(fill, 2), &high);
    bool whole = !kl_dtype_is_float(f.dtype);
    for (int64_t i = 0; good && i < f.size; i++) {
        if (fill) {
            double v = low + (high - low) * unit((uint64_t)seed, (uint64_t)i);
            numbers[i] = whole ? floor(v) : v;
        } else {
            good = value_of(kl_config_at(values, (size_t)i), &numbers[i]);
        }
    }
    kl_tensor *made = good ? from_doubles(&f, numbers) : NULL;
    if (!good)
        kl_error(KL_ERROR_FORMAT, "a tensor of the case has neither fill, values nor base64");
    free(numbers);
    return made;
}

static bool close_enough(double want, double got, double tolerance)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got))
        return want == got;
    return fabs(want - got) <= tolerance;
}

static bool sample_matches(const kl_config *sample, const form *f, const kl_tensor *got,
                           double rtol, char *out, size_t size)
{
    form few = {f->dtype, 1, {64}, 64};
    size_t bytes;
    unsigned char *raw =
        base64_decode(text_of(sample, "base64") ? text_of(sample, "base64") : "", &bytes);
    kl_tensor *want = raw && bytes == 64 * kl_dtype_size(f->dtype)
                          ? kl_from_data(few.dtype, 1, few.shape, raw)
                          : NULL;
    free(raw);
    double sum = 0, abs_sum = 0, got_sum = 0, got_abs = 0, top = 1e-3;
    bool good = want && kl_config_as_float(kl_config_get(sample, "sum"), &sum) &&
                kl_config_as_float(kl_config_get(sample, "abs_sum"), &abs_sum);
    if (!good)
        snprintf(out, size, "the sample can't be read");
    for (int k = 0; good && k < 64; k++)
        top = fmax(top, fabs(kl_tensor_at(want, k)));
    for (int k = 0; good && k < 64; k++) {
        int64_t at = (int64_t)floor(unit(1, (uint64_t)k) * (double)f->size);
        double w = kl_tensor_at(want, k), g = kl_tensor_at(got, at);
        good = close_enough(w, g, rtol * top);
        if (!good)
            snprintf(out, size, "element %lld: expected %.9g, got %.9g, %.3g times the tolerance",
                     (long long)at, w, g, fabs(w - g) / (rtol * top));
    }
    for (int64_t i = 0; good && i < f->size; i++) {
        double g = kl_tensor_at(got, i);
        got_sum += g;
        got_abs += fabs(g);
    }
    if (good && (!close_enough(sum, got_sum, rtol * abs_sum) ||
                 !close_enough(abs_sum, got_abs, rtol * abs_sum))) {
        snprintf(out, size, "sums: expected %.9g and %.9g, got %.9g and %.9g", sum, abs_sum,
                 got_sum, got_abs);
        good = false;
    }
    kl_release(want);
    return good;
}

static bool strings_match(const kl_tensor *want, const kl_tensor *got, char *out, size_t size)
{
    for (int64_t i = 0; i < kl_tensor_size(want); i++) {
        kl_string w = kl_tensor_string_at(want, i), g = kl_tensor_string_at(got, i);
        if (w.length != g.length || memcmp(w.at, g.at, w.length) != 0) {
            snprintf(out, size, "element %lld: expected '%.*s', got '%.*s'", (long long)i,
                     (int)w.length, w.at, (int)g.length, g.at);
            return false;
        }
    }
    return true;
}

static bool int64s_match(const kl_tensor *want, const kl_tensor *got, char *out, size_t size)
{
    kl_tensor *plain = kl_contiguous(got);
    const int64_t *w = kl_tensor_data(want), *g = plain ? kl_tensor_data(plain) : NULL;
    bool good = g != NULL;
    for (int64_t i = 0; good && i < kl_tensor_size(want); i++) {
        good = w[i] == g[i];
        if (!good)
            snprintf(out, size, "element %lld: expected %lld, got %lld", (long long)i,
                     (long long)w[i], (long long)g[i]);
    }
    kl_release(plain);
    return good;
}

static bool numbers_match(const kl_tensor *want, const kl_tensor *got, double rtol, char *out,
                          size_t size)
{
    double top = 1e-3, worst = 0;
    bool exact = !kl_dtype_is_float(kl_tensor_dtype(want));
    int64_t n = kl_tensor_size(want), worst_at = -1;
    for (int64_t i = 0; i < n; i++) {
        double w = fabs(kl_tensor_at(want, i));
        if (isfinite(w) && w > top)
            top = w;
    }
    double tolerance = exact ? 0 : rtol * top;
    for (int64_t i = 0; i < n; i++) {
        double w = kl_tensor_at(want, i), g = kl_tensor_at(got, i);
        if (close_enough(w, g, tolerance))
            continue;
        double off = isfinite(w) && isfinite(g) ? fabs(w - g) : INFINITY;
        if (off > worst) {
            worst = off;
            worst_at = i;
        }
    }
    if (worst_at < 0)
        return true;
    snprintf(out, size, "element %lld: expected %.9g, got %.9g, %.3g times the tolerance",
             (long long)worst_at, kl_tensor_at(want, worst_at), kl_tensor_at(got, worst_at),
             tolerance > 0 ? worst / tolerance : INFINITY);
    return false;
}

bool case_tensor_matches(const kl_config *expected, const kl_tensor *got, double rtol, char *out,
                         size_t size)
{
    if (!expected || kl_config_typeof(expected) == KL_CONFIG_NULL) {
        if (got)
            snprintf(out, size, "expected none, got a tensor");
        return !got;
    }
    form f;
    if (!read_form(expected, &f) || !got) {
        snprintf(out, size, "%s", got ? kl_last_error() : "expected a tensor, got none");
        return false;
    }
    bool same = f.rank == kl_tensor_rank(got);
    for (int i = 0; same && i < f.rank; i++)
        same = f.shape[i] == kl_tensor_dim(got, i);
    if (!same || f.dtype != kl_tensor_dtype(got)) {
        char want[160], have[160];
        snprintf(out, size, "expected %s %s, got %s %s", kl_dtype_name(f.dtype),
                 kl_shape_text(f.rank, f.shape, want, sizeof want),
                 kl_dtype_name(kl_tensor_dtype(got)),
                 kl_shape_text(kl_tensor_rank(got), kl_tensor_shape(got), have, sizeof have));
        return false;
    }
    const kl_config *sample = kl_config_get(expected, "sample");
    if (sample)
        return sample_matches(sample, &f, got, rtol, out, size);
    kl_tensor *want = case_tensor_read(expected);
    if (!want) {
        snprintf(out, size, "%s", kl_last_error());
        return false;
    }
    bool good = f.dtype == KL_STRING  ? strings_match(want, got, out, size)
                : f.dtype == KL_INT64 ? int64s_match(want, got, out, size)
                                      : numbers_match(want, got, rtol, out, size);
    kl_release(want);
    return good;
}
