/* The attention op: derivatives, values and gradients across blocks against plain ones, every
   instruction set, any number of threads, and bad input. */
#include "kernels/isa.h"
#include "ops/gradcheck.h"

#define OPTIONS(...) (&(const kl_attention_options){.scale = 0.6, __VA_ARGS__})

/* Allowed by a pattern; `empty`: nothing for the second query of the first sample. */
static kl_tensor *pattern(int64_t batch, int64_t heads, int64_t rows, int64_t keys, bool empty)
{
    kl_tensor *mask = kl_empty(KL_BOOL, 4, (const int64_t[]){batch, heads, rows, keys});
    bool *at = mask && mask->buffer ? kl_tensor_mutable_data(mask) : NULL;
    for (int64_t i = 0; at && i < mask->size; i++) {
        int64_t key = i % keys, row = i / keys % rows, sample = i / (keys * rows * heads);
        at[i] = (key * 7 + row * 3 + sample) % 5 != 0 || key == row % keys;
        if (empty && !sample && row == (rows > 1))
            at[i] = false;
    }
    return mask;
}

static kl_tensor *allowed(bool empty, kl_tensor *const *x)
{
    return pattern(x[0]->shape[0], 1, x[0]->shape[1], x[1]->shape[1], empty);
}

#define QUERY                                                                                      \
    {                                                                                              \
        4, {2, 3, 2, 3}, -1, 1                                                                     \
    }
#define KEY                                                                                        \
    {                                                                                              \
        4, {2, 4, 2, 3}, -1, 1                                                                     \
    }
#define VALUE                                                                                      \
    {                                                                                              \
        4, {2, 4, 2, 5}, -1, 1                                                                     \
    }
#define SHARED(n)                                                                                  \
    {                                                                                              \
        4, {2, 4, 1, n}, -1, 1                                                                     \
    }
// clang-format off
#define CASES(X) \
    X(plain, kl_op_attention(x[0], x[1], x[2], NULL, OPTIONS()), QUERY, KEY, VALUE) \
    X(causal, kl_op_attention(x[0], x[1], x[2], NULL, OPTIONS(.causal = true)), QUERY, KEY, VALUE) \
    X(window, kl_op_attention(x[0], x[1], x[2], NULL, OPTIONS(.window = 2)), QUERY, KEY, VALUE) \
    X(causal_window, kl_op_attention(x[0], x[1], x[2], NULL, OPTIONS(.window = 2, .causal = true)), QUERY, KEY, VALUE) \
    X(masked, kl_op_attention(x[0], x[1], x[2], allowed(false, x), OPTIONS()), QUERY, KEY, VALUE) \
    X(uniform, kl_op_attention(x[0], x[1], x[2], allowed(true, x), OPTIONS()), QUERY, KEY, VALUE) \
    X(zero, kl_op_attention(x[0], x[1], x[2], allowed(true, x), OPTIONS(.empty = KL_EMPTY_ROW_ZERO)), QUERY, KEY, VALUE) \
    X(unmasked, kl_op_attention(x[0], x[1], x[2], allowed(true, x), OPTIONS(.empty = KL_EMPTY_ROW_UNMASKED)), QUERY, KEY, VALUE) \
    X(shared, kl_op_attention(x[0], x[1], x[2], NULL, OPTIONS(.causal = true)), QUERY, SHARED(3), SHARED(5)) \
    X(shared_masked, kl_op_attention(x[0], x[1], x[2], allowed(true, x), OPTIONS()), QUERY, SHARED(3), SHARED(2)) \
    X(no_scale, kl_op_attention(x[0], x[1], x[2], NULL, &(const kl_attention_options){.scale = 0}), QUERY, KEY, VALUE) \
    X(negative_scale, kl_op_attention(x[0], x[1], x[2], allowed(false, x), &(const kl_attention_options){.scale = -1}), QUERY, KEY, VALUE) \
    X(one_tensor, kl_op_attention(x[0], x[0], x[0], NULL, OPTIONS(.causal = true)), QUERY)
// clang-format on

#define FUNCTION(name, expression, ...)                                                            \
    static kl_tensor *e_##name(kl_tensor *const *x)                                                \
    {                                                                                              \
        return expression;                                                                         \
    }
CASES(FUNCTION)
#define ROW(name, expression, ...) {#name, e_##name, 0, {__VA_ARGS__}},
static const gradcheck_case cases[] = {CASES(ROW)};

static void derivatives(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        gradcheck_run(&cases[i]);
}

/* A problem of real size, and which of the mask's axes are broadcast. */
typedef struct problem {
    int64_t batch, rows, keys, heads, key_heads, size, value_size;
    kl_attention_options options;
    bool masked, empty;
    unsigned broadcast;
} problem;

static const problem problems[] = {
    {1, 1, 1, 1, 1, 1, 1, {.scale = 1}, false, false, 0},
    {2, 97, 129, 2, 2, 16, 16, {.scale = 0.25}, false, false, 0},
    {1, 300, 300, 2, 2, 64, 64, {.scale = 0.125, .causal = true}, false, false, 0},
    {1, 260, 70, 4, 2, 20, 33, {.scale = 0.3, .causal = true}, false, false, 0},
    {1, 70, 260, 3, 1, 7, 5, {.scale = 0.3, .causal = true}, false, false, 0},
    {2, 200, 200, 1, 1, 8, 8, {.scale = 0.3, .window = 10}, false, false, 0},
    {1, 400, 150, 1, 1, 8, 8, {.scale = 0.3, .window = 20}, false, false, 0},
    {1, 300, 300, 2, 1, 8, 8, {.scale = 0.3, .window = 150, .causal = true}, false, false, 0},
    {2, 100, 140, 2, 2, 12, 12, {.scale = 0.3}, true, true, 2},
    {2, 100, 140, 2, 2, 12, 12, {.scale = 0.3, .causal = true}, true, false, 1 | 2},
    {2, 100, 140, 2, 2, 12, 12, {.scale = 0.3}, true, false, 2 | 4},
    {2, 100, 140, 2, 2, 12, 12, {.scale = 0.3, .empty = KL_EMPTY_ROW_ZERO}, true, true, 8},
    {2, 100, 140, 2, 2, 12, 12, {.scale = 0.3, .empty = KL_EMPTY_ROW_UNMASKED}, true, true, 0},
    {1, 5, 1000, 1, 1, 64, 64, {.scale = 2}, false, false, 0},
    {2, 1, 300, 4, 2, 64, 64, {.scale = 0.2}, false, false, 0},
    {2, 2, 200, 4, 2, 10, 7, {.scale = 0.2}, true, true, 2},
    {1, 2, 90, 2, 2, 9, 32, {.scale = 0.2, .window = 40}, false, false, 0},
    {2, 100, 140, 2, 2, 12, 12, {.scale = 0.3, .empty = KL_EMPTY_ROW_ROUNDED}, true, true, 2},
    {2, 2, 3, 3, 3, 1, 1, {.scale = 1, .causal = true}, true, true, 2},
    {2, 100, 140, 2, 2, 12, 12, {.scale = 0.3, .causal = true}, true, true, 2},
    {1, 9, 200, 2, 1, 8, 8, {.scale = 0.3, .causal = true, .window = 3}, true, true, 2},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static kl_tensor *mask_of(const problem *p)
{
    if (!p->masked)
        return NULL;
    return pattern(p->broadcast & 1 ? 1 : p->batch, p->broadcast & 2 ? 1 : p->heads,
                   p->broadcast & 4 ? 1 : p->rows, p->broadcast & 8 ? 1 : p->keys, p->empty);
}

static void draw(const problem *p, kl_dtype dtype, kl_tensor **x, kl_tensor **dy)
{
    kl_set_random_seed(7);
    const int64_t q[4] = {p->batch, p->rows, p->heads, p->size};
    const int64_t k[4] = {p->batch, p->keys, p->key_heads, p->size};
    const int64_t v[4] = {p->batch, p->keys, p->key_heads, p->value_size};
    const int64_t y[4] = {p->batch, p->rows, p->heads, p->value_size};
    x[0] = kl_op_cast(kl_op_random_normal(KL_FLOAT32, 4, q, 0, 1), dtype);
    x[1] = kl_op_cast(kl_op_random_normal(KL_FLOAT32, 4, k, 0, 1), dtype);
    x[2] = kl_op_cast(kl_op_random_normal(KL_FLOAT32, 4, v, 0, 1), dtype);
    *dy = kl_op_cast(kl_op_random_normal(KL_FLOAT32, 4, y, 0, 1), dtype);
}

/* Whether query r of (batch, head) may attend to key c. */
static bool may(const problem *p, const kl_tensor *mask, int64_t b, int64_t h, int64_t r, int64_t c)
{
    const kl_attention_options *o = &p->options;
    if ((o->causal && c > r) || (o->window && (c - r >= o->window || r - c >= o->window)))
        return false;
    if (!mask)
        return true;
    const int64_t *s = mask->shape;
    int64_t i = ((s[0] == 1 ? 0 : b) * s[1] + (s[1] == 1 ? 0 : h)) * s[2] + (s[2] == 1 ? 0 : r);
    return ((const bool *)kl_tensor_data(mask))[i * s[3] + (s[3] == 1 ? 0 : c)];
}

/* One query's weights, by the definition. */
static void weigh(const problem *p, const kl_tensor *mask, const double *q, const double *k,
                  int64_t b, int64_t h, int64_t r, double *w)
{
    double most = -INFINITY, total = 0;
    int64_t group = h / (p->heads / p->key_heads), count = 0;
    for (int64_t c = 0; c < p->keys; c++)
        count += may(p, mask, b, h, r, c);
    for (int64_t c = 0; c < p->keys; c++) {
        double s = 0;
        for (int64_t i = 0; i < p->size; i++)
            s += q[((b * p->rows + r) * p->heads + h) * p->size + i] *
                 k[((b * p->keys + c) * p->key_heads + group) * p->size + i];
        w[c] = p->options.scale * s;
        if (!count &&
            (p->options.empty == KL_EMPTY_ROW_UNIFORM || p->options.empty == KL_EMPTY_ROW_ROUNDED))
            w[c] = 0;
        if (count && !may(p, mask, b, h, r, c))
            w[c] = -INFINITY;
        most = w[c] > most ? w[c] : most;
    }
    for (int64_t c = 0; c < p->keys; c++)
        total += w[c] = exp(w[c] - most);
    for (int64_t c = 0; c < p->keys; c++)
        w[c] = !count && p->options.empty == KL_EMPTY_ROW_ZERO ? 0 : w[c] / total;
}

/* Result and gradients in double by the definition, into y and g[3], zero before. */
static void define(const problem *p, const kl_tensor *mask, kl_tensor *const *x,
                   const kl_tensor *dy, double *y, double *const *g)
{
    const double *q = kl_tensor_data(x[0]), *k = kl_tensor_data(x[1]), *v = kl_tensor_data(x[2]);
    const double *d = kl_tensor_data(dy);
    double *w = calloc((size_t)p->keys, sizeof *w), *dw = calloc((size_t)p->keys, sizeof *dw);
    int64_t n = p->value_size;
    for (int64_t b = 0; b < p->batch; b++)
        for (int64_t h = 0; h < p->heads; h++)
            for (int64_t r = 0; r < p->rows; r++) {
                int64_t group = h / (p->heads / p->key_heads);
                int64_t at = (b * p->rows + r) * p->heads + h;
                double mean = 0;
                bool scored = false;
                weigh(p, mask, q, k, b, h, r, w);
                for (int64_t c = 0; c < p->keys; c++) {
                    int64_t to = (b * p->keys + c) * p->key_heads + group;
                    scored = scored || may(p, mask, b, h, r, c);
                    dw[c] = 0;
                    for (int64_t i = 0; i < n; i++) {
                        y[at * n + i] += w[c] * v[to * n + i];
                        g[2][to * n + i] += w[c] * d[at * n + i];
                        dw[c] += d[at * n + i] * v[to * n + i];
                    }
                    mean += w[c] * dw[c];
                }
                if (!scored && p->options.empty != KL_EMPTY_ROW_UNMASKED &&
                    p->options.empty != KL_EMPTY_ROW_ROUNDED)
                    continue;
                for (int64_t c = 0; c < p->keys; c++) {
                    int64_t to = (b * p->keys + c) * p->key_heads + group;
                    double ds = w[c] * (dw[c] - mean) * p->options.scale;
                    for (int64_t i = 0; i < p->size; i++) {
                        g[0][at * p->size + i] += ds * k[to * p->size + i];
                        g[1][to * p->size + i] += ds * q[at * p->size + i];
                    }
                }
            }
    free(w);
    free(dw);
}

static void run(const problem *p, kl_tensor *const *x, kl_tensor *dy, kl_tensor *mask,
                kl_tensor **out)
{
    kl_tape *tape = kl_tape_begin();
    for (int i = 0; i < 3; i++)
        assert_int_equal(kl_tape_watch(tape, x[i]), KL_OK);
    out[0] = kl_op_attention(x[0], x[1], x[2], mask, &p->options);
    assert_non_null(out[0]);
    assert_int_equal(kl_tape_gradient(tape, out[0], 3, x, out + 1, .output_gradient = dy), KL_OK);
}

static void near(int which, int part, const kl_tensor *got, const double *want, double tolerance)
{
    double most = 1e-3;
    for (int64_t i = 0; i < got->size; i++)
        most = fabs(want[i]) > most ? fabs(want[i]) : most;
    for (int64_t i = 0; i < got->size; i++)
        if (!(fabs(kl_tensor_at(got, i) - want[i]) <= tolerance * most))
            fail_msg("problem %d, part %d: element %lld is %.9g, expected %.9g", which, part,
                     (long long)i, kl_tensor_at(got, i), want[i]);
}

static void values_are_the_definition(void **state)
{
    (void)state;
    kl_isa before = kl_isa_get();
    for (int which = 0; which < PROBLEMS; which++) {
        const problem *p = &problems[which];
        kl_scope *scope = kl_scope_begin();
        kl_tensor *x[3], *dy, *wide[4], *mask = mask_of(p);
        draw(p, KL_FLOAT64, x, &dy);
        run(p, x, dy, mask, wide);
        double *want[4];
        for (int i = 0; i < 4; i++)
            want[i] = calloc((size_t)wide[i]->size, sizeof **want);
        define(p, mask, x, dy, want[0], want + 1);
        for (int i = 0; i < 4; i++)
            near(which, i, wide[i], want[i], 1e-12);
        for (int isa = KL_ISA_PORTABLE; isa <= KL_ISA_AVX512; isa++) {
            kl_tensor *narrow[3], *narrow_dy, *got[4];
            if (!kl_isa_set((kl_isa)isa))
                continue;
            draw(p, KL_FLOAT32, narrow, &narrow_dy);
            run(p, narrow, narrow_dy, mask, got);
            for (int i = 0; i < 4; i++)
                near(which, i, got[i], want[i], 5e-6);
        }
        kl_isa_set(before);
        for (int i = 0; i < 4; i++)
            free(want[i]);
        kl_scope_end(scope);
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    for (int which = 1; which < PROBLEMS; which++) {
        const problem *p = &problems[which];
        kl_scope *scope = kl_scope_begin();
        kl_tensor *x[3], *dy, *mask = mask_of(p), *first[4], *other[4];
        draw(p, KL_FLOAT32, x, &dy);
        kl_set_num_threads(1);
        run(p, x, dy, mask, first);
        for (int threads = 2; threads <= 8; threads *= 4) {
            kl_set_num_threads(threads);
            run(p, x, dy, mask, other);
            for (int i = 0; i < 4; i++)
                assert_memory_equal(kl_tensor_data(first[i]), kl_tensor_data(other[i]),
                                    (size_t)first[i]->size * sizeof(float));
        }
        kl_set_num_threads(0);
        kl_scope_end(scope);
    }
}

/* Scores of any size; NaN stays NaN, in its own row alone. */
static void extremes(void **state)
{
    (void)state;
    const kl_attention_options options = {.scale = 1};
    kl_scope *scope = kl_scope_begin();
    kl_tensor *q = kl_full(KL_FLOAT32, 4, (const int64_t[]){1, 3, 1, 1}, 1e18);
    kl_tensor *k = kl_full(KL_FLOAT32, 4, (const int64_t[]){1, 200, 1, 1}, 1e18);
    kl_tensor *v = kl_ones(KL_FLOAT32, 4, (const int64_t[]){1, 200, 1, 2});
    ((float *)kl_tensor_mutable_data(q))[1] = NAN;
    ((float *)kl_tensor_mutable_data(q))[2] = -1e18f;
    kl_tensor *y = kl_op_attention(q, k, v, NULL, &options);
    assert_non_null(y);
    assert_true(fabs(kl_tensor_at(y, 0) - 1) < 1e-6 && fabs(kl_tensor_at(y, 4) - 1) < 1e-6);
    assert_true(isnan(kl_tensor_at(y, 2)) && isnan(kl_tensor_at(y, 3)));
    kl_scope_end(scope);
}

static void half_precision(void **state)
{
    (void)state;
    const kl_attention_options options = {.scale = 0.5, .causal = true};
    const int64_t shape[4] = {1, 40, 2, 8};
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = kl_op_random_normal(KL_FLOAT32, 4, shape, 0, 1);
    kl_tensor *half = kl_op_cast(x, KL_BFLOAT16);
    kl_tensor *y = kl_op_attention(half, half, half, NULL, &options);
    assert_int_equal(kl_tensor_dtype(y), KL_BFLOAT16);
    kl_tensor *same = kl_op_cast(half, KL_FLOAT32);
    kl_tensor *z = kl_op_attention(same, same, same, NULL, &options);
    for (int64_t i = 0; i < y->size; i++)
        assert_true(fabs(kl_tensor_at(y, i) - kl_tensor_at(z, i)) < 0.02);
    kl_scope_end(scope);
}

/* Steps of no tensor at all, and of no key. */
static void nothing(void **state)
{
    (void)state;
    const kl_attention_options options = {.scale = 1};
    kl_scope *scope = kl_scope_begin();
    kl_tensor *q = kl_zeros(KL_FLOAT32, 4, (const int64_t[]){0, 3, 1, 2});
    kl_tensor *y = kl_op_attention(q, q, q, NULL, &options);
    assert_non_null(y);
    assert_int_equal(kl_tensor_size(y), 0);
    kl_scope_end(scope);
}

static void bad_input_is_told(void **state)
{
    (void)state;
    const kl_attention_options good = {.scale = 1};
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = kl_ones(KL_FLOAT32, 4, (const int64_t[]){2, 3, 4, 5});
    kl_tensor *three = kl_ones(KL_FLOAT32, 3, (const int64_t[]){2, 3, 4});
    kl_tensor *wide = kl_ones(KL_FLOAT32, 4, (const int64_t[]){2, 3, 4, 6});
    kl_tensor *heads = kl_ones(KL_FLOAT32, 4, (const int64_t[]){2, 3, 3, 5});
    kl_tensor *longer = kl_ones(KL_FLOAT32, 4, (const int64_t[]){2, 4, 4, 5});
    kl_tensor *mask = kl_ones(KL_BOOL, 4, (const int64_t[]){2, 1, 3, 2});
    kl_tensor *names = kl_from_strings(1, (const int64_t[]){1}, (const char *const[]){"a"});
    struct {
        kl_tensor *q, *k, *v, *mask;
        const kl_attention_options *options;
        const char *part;
    } bad[] = {
        {three, x, x, NULL, &good, "fit together"},
        {x, wide, x, NULL, &good, "(2, 3, 4, 6)"},
        {x, heads, heads, NULL, &good, "fit together"},
        {x, x, longer, NULL, &good, "(2, 4, 4, 5)"},
        {x, x, x, mask, &good, "mask (2, 1, 3, 2)"},
        {x, x, x, names, &good, ""},
        {x, x, x, NULL, &(const kl_attention_options){.scale = 1, .window = -2}, "window"},
        {x, x, x, NULL, NULL, "options"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kl_clear_error();
        assert_null(kl_op_attention(bad[i].q, bad[i].k, bad[i].v, bad[i].mask, bad[i].options));
        assert_true(*kl_last_error());
        assert_non_null(strstr(kl_last_error(), bad[i].part));
    }
    kl_clear_error();
    assert_null(kl_op_attention(NULL, x, x, NULL, &good));
    kl_scope_end(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(derivatives),
                                       cmocka_unit_test(values_are_the_definition),
                                       cmocka_unit_test(threads_change_nothing),
                                       cmocka_unit_test(extremes),
                                       cmocka_unit_test(half_precision),
                                       cmocka_unit_test(nothing),
                                       cmocka_unit_test(bad_input_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
