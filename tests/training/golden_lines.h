/* Reading of the golden files of losses, metrics, optimizers and training runs. */
#ifndef KL_TESTS_TRAINING_GOLDEN_LINES_H
#define KL_TESTS_TRAINING_GOLDEN_LINES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/klayers.h"

static inline char *read_whole(const char *name, size_t *length)
{
    char path[512];
    snprintf(path, sizeof path, "%s/golden/%s", KL_TEST_DIR, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s can't be opened", path);
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*length + 1);
    assert_int_equal(fread(text, 1, *length, file), *length);
    text[*length] = 0;
    fclose(file);
    return text;
}

/* Calls `judge` with every line's case; returns how many there were. */
static inline int for_each_line(const char *name, void (*judge)(const kl_config *c, int line))
{
    size_t length;
    char *text = read_whole(name, &length);
    int count = 0;
    for (char *at = text; *at;) {
        char *end = strchr(at, '\n');
        size_t size = end ? (size_t)(end - at) : strlen(at);
        kl_config *c = kl_config_parse(at, size);
        if (!c)
            fail_msg("%s:%d: %s", name, count + 1, kl_last_error());
        judge(c, ++count);
        kl_config_free(c);
        at += size + (end != NULL);
    }
    free(text);
    return count;
}

static inline double number(const kl_config *c)
{
    double value;
    const char *text = kl_config_as_string(c);
    if (text)
        return !strcmp(text, "NaN") ? (double)NAN : text[0] == '-' ? -INFINITY : INFINITY;
    bool truth;
    if (kl_config_as_bool(c, &truth))
        return truth;
    assert_true(kl_config_as_float(c, &value));
    return value;
}

static inline double uniform_at(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (double)(z >> 40) * 0x1p-24;
}

static inline void base64_into(const char *text, unsigned char *out, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int have = 0;
    for (size_t done = 0; *text && *text != '=' && done < size; text++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, *text) - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[done++] = (unsigned char)(bits >> have);
        }
    }
}

/* A tensor of the golden form; the caller's. NULL for null. */
static inline kl_tensor *tensor_of(const kl_config *c)
{
    if (!c || kl_config_typeof(c) == KL_CONFIG_NULL)
        return NULL;
    kl_dtype dtype;
    assert_true(kl_dtype_from_name(kl_config_as_string(kl_config_get(c, "dtype")), &dtype));
    const kl_config *dims = kl_config_get(c, "shape");
    int64_t shape[KL_MAX_RANK];
    int rank = (int)kl_config_count(dims);
    for (int i = 0; i < rank; i++)
        kl_config_as_int(kl_config_at(dims, (size_t)i), &shape[i]);
    kl_tensor *wide = kl_empty(KL_FLOAT64, rank, shape);
    double *at = kl_tensor_mutable_data(wide);
    const kl_config *fill = kl_config_get(c, "fill"), *list = kl_config_get(c, "values");
    const kl_config *raw = kl_config_get(c, "base64");
    if (raw) {
        kl_tensor *out = kl_empty(dtype, rank, shape);
        base64_into(kl_config_as_string(raw), kl_tensor_mutable_data(out),
                    (size_t)kl_tensor_size(out) * kl_dtype_size(dtype));
        kl_release(wide);
        return out;
    }
    for (int64_t i = 0; i < kl_tensor_size(wide); i++) {
        if (list) {
            at[i] = number(kl_config_at(list, (size_t)i));
            continue;
        }
        double low = number(kl_config_at(fill, 1)), high = number(kl_config_at(fill, 2));
        at[i] =
            low + (high - low) * uniform_at((uint64_t)number(kl_config_at(fill, 0)), (uint64_t)i);
        if (!kl_dtype_is_float(dtype))
            at[i] = floor(at[i]);
    }
    kl_tensor *out = kl_copy(wide, dtype);
    kl_release(wide);
    return out;
}

/* |got - expected| <= rtol * max(1e-3, max |expected|) */
static inline void assert_tensor(const char *what, int line, const kl_tensor *got,
                                 const kl_config *expected, double rtol)
{
    kl_tensor *want = tensor_of(expected);
    if (!got)
        fail_msg("line %d, %s: %s", line, what, kl_last_error());
    if (kl_tensor_size(got) != kl_tensor_size(want))
        fail_msg("line %d, %s: %lld elements instead of %lld", line, what,
                 (long long)kl_tensor_size(got), (long long)kl_tensor_size(want));
    double most = 1e-3;
    for (int64_t i = 0; i < kl_tensor_size(want); i++)
        most = fmax(most, fabs(kl_tensor_at(want, i)));
    for (int64_t i = 0; i < kl_tensor_size(want); i++) {
        double a = kl_tensor_at(got, i), b = kl_tensor_at(want, i);
        if (!(fabs(a - b) <= rtol * most) && !(isnan(a) && isnan(b)))
            fail_msg("line %d, %s[%lld]: %.9g instead of %.9g", line, what, (long long)i, a, b);
    }
    kl_release(want);
}

static inline void *object_of(kl_kind kind, const kl_config *c)
{
    kl_config *form = kl_config_new_map();
    kl_config_set(form, "class_name", kl_config_copy(kl_config_get(c, "class_name")));
    kl_config_set(form, "config", kl_config_copy(kl_config_get(c, "config")));
    void *object = kl_object_deserialize(kind, form);
    kl_config_free(form);
    if (!object)
        fail_msg("%s: %s", kl_config_as_string(kl_config_get(c, "class_name")), kl_last_error());
    return object;
}

#endif
