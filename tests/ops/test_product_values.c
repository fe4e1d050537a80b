/* Values of products, convolutions and pooling against plain loops with TensorFlow's padding. */
#include "klayers/activations.h"
#include "ops/gradcheck.h"

static kl_tensor *draw(uint64_t seed, int rank, const int64_t *shape)
{
    kl_tensor *t = kl_empty(KL_FLOAT64, rank, shape);
    double *at = kl_tensor_mutable_data(t);
    for (int64_t i = 0; i < t->size; i++)
        at[i] = 2 * gradcheck_uniform(seed, (uint64_t)i) - 1;
    return t;
}

static const double *values(const kl_tensor *t)
{
    return kl_tensor_data(t);
}

static void expect(const char *what, const kl_tensor *y, int rank, const int64_t *shape,
                   const double *expected)
{
    if (!y)
        fail_msg("%s: %s", what, kl_last_error());
    assert_int_equal(y->rank, rank);
    int64_t size = 1;
    for (int i = 0; i < rank; i++) {
        assert_int_equal(y->shape[i], shape[i]);
        size *= shape[i];
    }
    for (int64_t i = 0; i < size; i++)
        if (!(fabs(kl_tensor_at(y, i) - expected[i]) < 1e-12))
            fail_msg("%s: element %lld is %.15g, expected %.15g", what, (long long)i,
                     kl_tensor_at(y, i), expected[i]);
}

static void refused(const kl_tensor *y, const char *part)
{
    assert_null(y);
    if (!strstr(kl_last_error(), part))
        fail_msg("the error '%s' doesn't say '%s'", kl_last_error(), part);
    kl_clear_error();
}

/* ---- Convolution ---------------------------------------------------------------------------- */

typedef struct window_case {
    const char *name, *padding;
    int64_t in[2], window[2], stride[2], dilation[2], groups;
} window_case;

static const window_case windows[] = {
    {"valid", "valid", {6, 5}, {3, 2}, {1, 1}, {1, 1}, 1},
    {"same", "same", {6, 5}, {3, 2}, {1, 1}, {1, 1}, 1},
    {"same, even window", "same", {5, 5}, {4, 2}, {1, 1}, {1, 1}, 1},
    {"same, strides", "same", {7, 6}, {3, 3}, {2, 3}, {1, 1}, 1},
    {"same, stride beyond the window", "same", {7, 6}, {1, 2}, {3, 4}, {1, 1}, 1},
    {"valid, strides that leave a rest", "valid", {8, 7}, {3, 2}, {2, 3}, {1, 1}, 1},
    {"dilation", "same", {7, 6}, {3, 2}, {1, 1}, {2, 3}, 1},
    {"groups", "same", {4, 4}, {2, 3}, {1, 1}, {1, 1}, 2},
};

static void sizes(const window_case *c, int64_t *out, int64_t *before)
{
    for (int k = 0; k < 2; k++) {
        int64_t span = (c->window[k] - 1) * c->dilation[k] + 1;
        bool same = !strcmp(c->padding, "same");
        out[k] = same ? (c->in[k] + c->stride[k] - 1) / c->stride[k]
                      : (c->in[k] - span) / c->stride[k] + 1;
        int64_t total = (out[k] - 1) * c->stride[k] + span - c->in[k];
        before[k] = same && total > 0 ? total / 2 : 0;
    }
}

enum { BATCH = 2, CHANNELS = 4, FILTERS = 6 };

/* Where tap (i, j) of output (r, s) lies in the image, or false. */
static bool tap(const window_case *c, const int64_t *before, int64_t r, int64_t s, int64_t i,
                int64_t j, int64_t *row, int64_t *column)
{
    *row = r * c->stride[0] + i * c->dilation[0] - before[0];
    *column = s * c->stride[1] + j * c->dilation[1] - before[1];
    return *row >= 0 && *row < c->in[0] && *column >= 0 && *column < c->in[1];
}

static void convolve(const window_case *c, const double *x, const double *w, const double *b,
                     double *y)
{
    int64_t out[2], before[2], row, column, inner = CHANNELS / c->groups;
    sizes(c, out, before);
    for (int64_t n = 0; n < BATCH; n++)
        for (int64_t r = 0; r < out[0]; r++)
            for (int64_t s = 0; s < out[1]; s++)
                for (int64_t f = 0; f < FILTERS; f++) {
                    double sum = b[f];
                    int64_t first = f / (FILTERS / c->groups) * inner;
                    for (int64_t i = 0; i < c->window[0]; i++)
                        for (int64_t j = 0; j < c->window[1]; j++)
                            for (int64_t k = 0; k < inner; k++)
                                if (tap(c, before, r, s, i, j, &row, &column))
                                    sum += x[((n * c->in[0] + row) * c->in[1] + column) * CHANNELS +
                                             first + k] *
                                           w[((i * c->window[1] + j) * inner + k) * FILTERS + f];
                    y[((n * out[0] + r) * out[1] + s) * FILTERS + f] = sum;
                }
}

static kl_conv_options conv_options(const window_case *c)
{
    return (kl_conv_options){.strides = {c->stride[0], c->stride[1]},
                             .dilation = {c->dilation[0], c->dilation[1]},
                             .padding = c->padding,
                             .groups = c->groups};
}

static void convolutions(void **state)
{
    (void)state;
    static double y[4096];
    kl_activation *relu = kl_activation_get("relu");
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        const window_case *c = &windows[i];
        kl_scope *scope = kl_scope_begin();
        int64_t out[2], before[2];
        sizes(c, out, before);
        kl_tensor *x = draw(1, KL_DIMS(BATCH, c->in[0], c->in[1], CHANNELS));
        kl_tensor *w = draw(2, KL_DIMS(c->window[0], c->window[1], CHANNELS / c->groups, FILTERS));
        kl_tensor *b = draw(3, KL_DIMS(FILTERS));
        kl_conv_options o = conv_options(c);
        const int64_t shape[] = {BATCH, out[0], out[1], FILTERS};
        convolve(c, values(x), values(w), values(b), y);
        expect(c->name, kl_op_conv(x, w, b, &o), 4, shape, y);
        /* channels_first is the same with the axes moved. */
        o.channels_first = true;
        kl_tensor *first = kl_op_conv(kl_op_move_axis(x, -1, 1), w, b, &o);
        expect(c->name, kl_op_move_axis(first, 1, -1), 4, shape, y);
        o.channels_first = false;
        o.activation = relu;
        for (int64_t k = 0; k < shape[0] * shape[1] * shape[2] * shape[3]; k++)
            y[k] = fmax(y[k], 0);
        expect(c->name, kl_op_conv(x, w, b, &o), 4, shape, y);
        kl_scope_end(scope);
    }
    kl_object_release(relu);
}

static void a_causal_convolution_looks_back(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const double x[] = {1, 2, 3, 4, 5}, w[] = {10, 1};
    const double y[] = {1, 2, 13, 24, 35};
    kl_tensor *in = kl_from_data(KL_FLOAT64, KL_DIMS(1, 5, 1), x);
    kl_tensor *kernel = kl_from_data(KL_FLOAT64, KL_DIMS(2, 1, 1), w);
    kl_conv_options o = {.padding = "causal", .dilation = {2}};
    expect("causal", kl_op_conv(in, kernel, NULL, &o), 3, (const int64_t[]){1, 5, 1}, y);
    kl_scope_end(scope);
}

/* Every input spreads the kernel over its window. */
static void transposed_convolutions(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const double x[] = {1, 2, 3}, w[] = {1, 10, 100};
    const double valid[] = {1, 10, 102, 20, 203, 30, 300}, same[] = {1, 10, 102, 20, 203, 30};
    const double padded[] = {1, 10, 102, 20, 203, 30, 300, 0};
    kl_tensor *in = kl_from_data(KL_FLOAT64, KL_DIMS(1, 3, 1), x);
    kl_tensor *kernel = kl_from_data(KL_FLOAT64, KL_DIMS(3, 1, 1), w);
    kl_conv_options o = {.strides = {2}};
    expect("valid", kl_op_conv_transpose(in, kernel, NULL, &o), 3, (const int64_t[]){1, 7, 1},
           valid);
    o.has_output_padding = true;
    o.output_padding[0] = 1;
    expect("output_padding", kl_op_conv_transpose(in, kernel, NULL, &o), 3,
           (const int64_t[]){1, 8, 1}, padded);
    o.output_padding[0] = 2;
    refused(kl_op_conv_transpose(in, kernel, NULL, &o), "output_padding");
    o = (kl_conv_options){.strides = {2}, .padding = "same"};
    expect("same", kl_op_conv_transpose(in, kernel, NULL, &o), 3, (const int64_t[]){1, 6, 1}, same);
    kl_scope_end(scope);
}

static void bad_convolutions_are_refused(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = draw(1, KL_DIMS(2, 5, 5, 4)), *w = draw(2, KL_DIMS(3, 3, 4, 6));
    refused(kl_op_conv(NULL, w, NULL, NULL), "conv");
    refused(kl_op_conv(x, NULL, NULL, NULL), "kernel");
    refused(kl_op_conv(draw(1, KL_DIMS(5, 4)), w, NULL, NULL), "axes");
    refused(kl_op_conv(x, draw(2, KL_DIMS(3, 3, 5, 6)), NULL, NULL), "channels");
    refused(kl_op_conv(x, draw(2, KL_DIMS(6, 3, 4, 6)), NULL, NULL), "window of 6");
    refused(kl_op_conv(x, draw(2, KL_DIMS(3, 4, 6)), NULL, NULL), "axes");
    refused(kl_op_conv(x, w, draw(3, KL_DIMS(5)), NULL), "bias");
    refused(kl_op_conv(x, w, NULL, &(kl_conv_options){.padding = "full"}), "full");
    refused(kl_op_conv(x, w, NULL, &(kl_conv_options){.strides = {-1, 1}}), "strides");
    refused(kl_op_conv(x, w, NULL, &(kl_conv_options){.groups = 3}), "groups");
    refused(kl_op_conv_transpose(x, w, NULL, NULL), "channels");
    refused(kl_op_conv_transpose(x, draw(2, KL_DIMS(3, 3, 6, 4)), draw(3, KL_DIMS(1)), NULL),
            "bias");
    refused(kl_op_depthwise_conv(x, draw(2, KL_DIMS(3, 3, 5, 1)), NULL, NULL), "channels");
    refused(kl_op_depthwise_conv(x, draw(2, KL_DIMS(3, 3)), NULL, NULL), "kernel");
    kl_conv_options even = {
        .strides = {2, 2}, .padding = "same", .output_padding = {0, 1}, .has_output_padding = true};
    refused(kl_op_conv_transpose(x, draw(2, KL_DIMS(2, 2, 3, 4)), NULL, &even), "output_padding");
    kl_tensor *local = draw(2, KL_DIMS(9, 12, 2));
    refused(kl_op_local_conv(NULL, local, &(kl_local_conv_options){.kernel_size = {1, 1}}), "x");
    refused(kl_op_local_conv(x, NULL, &(kl_local_conv_options){.kernel_size = {1, 1}}), "kernel");
    refused(kl_op_local_conv(x, local, NULL), "options");
    refused(kl_op_local_conv(x, w, &(kl_local_conv_options){.kernel_size = {1, 1}}), "axes");
    refused(kl_op_local_conv(x, local, &(kl_local_conv_options){.kernel_size = {0, 1}}),
            "kernel_size");
    refused(kl_op_local_conv(x, local, &(kl_local_conv_options){.kernel_size = {9, 1}}), "fit");
    refused(kl_op_local_conv(x, local, &(kl_local_conv_options){.kernel_size = {1, 1}}), "shape");
    refused(kl_op_local_conv(x, local,
                             &(kl_local_conv_options){.kernel_size = {1, 1}, .padding = "causal"}),
            "causal");
    kl_scope_end(scope);
}

/* Operands of different dtypes meet in the wider one. */
static void dtypes_are_promoted(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(1, 4, 4, 2)),
              *rows = kl_ones(KL_INT32, KL_DIMS(3, 2));
    kl_tensor *w = kl_ones(KL_FLOAT64, KL_DIMS(2, 2, 2, 2)), *b = kl_ones(KL_FLOAT16, KL_DIMS(2));
    kl_tensor *kernel = kl_ones(KL_FLOAT64, KL_DIMS(2, 2));
    kl_tensor *results[] = {kl_op_conv(x, w, b, NULL), kl_op_conv_transpose(x, w, b, NULL),
                            kl_op_depthwise_conv(x, w, NULL, NULL),
                            kl_op_dense(rows, kernel, b, NULL), kl_op_matmul(rows, kernel)};
    const double first[] = {9, 3, 4, 3, 2};
    for (int i = 0; i < 5; i++) {
        assert_non_null(results[i]);
        assert_int_equal(results[i]->dtype, KL_FLOAT64);
        assert_true(kl_tensor_at(results[i], 0) == first[i]);
    }
    assert_int_equal(kl_op_dense(rows, rows, NULL, NULL) == NULL, 1);
    kl_clear_error();
    kl_tensor *whole = kl_op_dense(rows, kl_ones(KL_INT32, KL_DIMS(2, 2)), NULL, NULL);
    assert_int_equal(whole->dtype, KL_FLOAT32);
    const char *texts[] = {"a", "b"};
    refused(kl_op_dense(kl_from_strings(KL_DIMS(1, 2), texts), kernel, NULL, NULL), "strings");
    kl_scope_end(scope);
}

/* ---- Pooling -------------------------------------------------------------------------------- */

static void pools(void **state)
{
    (void)state;
    static double most[2048], mean[2048];
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        const window_case *c = &windows[i];
        if (c->dilation[0] > 1 || c->groups > 1)
            continue;
        kl_scope *scope = kl_scope_begin();
        int64_t out[2], before[2], row, column, at = 0;
        sizes(c, out, before);
        kl_tensor *x = draw(4, KL_DIMS(BATCH, c->in[0], c->in[1], CHANNELS));
        for (int64_t n = 0; n < BATCH; n++)
            for (int64_t r = 0; r < out[0]; r++)
                for (int64_t s = 0; s < out[1]; s++)
                    for (int64_t k = 0; k < CHANNELS; k++, at++) {
                        double sum = 0, top = -INFINITY;
                        int count = 0;
                        for (int64_t p = 0; p < c->window[0]; p++)
                            for (int64_t q = 0; q < c->window[1]; q++)
                                if (tap(c, before, r, s, p, q, &row, &column)) {
                                    double v = values(
                                        x)[((n * c->in[0] + row) * c->in[1] + column) * CHANNELS +
                                           k];
                                    sum += v;
                                    top = fmax(top, v);
                                    count++;
                                }
                        most[at] = top;
                        mean[at] = sum / count;
                    }
        const kl_pool_options o = {.pool_size = {c->window[0], c->window[1]},
                                   .strides = {c->stride[0], c->stride[1]},
                                   .padding = c->padding};
        const int64_t shape[] = {BATCH, out[0], out[1], CHANNELS};
        expect(c->name, kl_op_max_pool(x, &o), 4, shape, most);
        expect(c->name, kl_op_average_pool(x, &o), 4, shape, mean);
        kl_scope_end(scope);
    }
}

static void bad_pools_are_refused(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = draw(1, KL_DIMS(2, 5, 5, 4));
    refused(kl_op_max_pool(NULL, &(kl_pool_options){.pool_size = {2, 2}}), "max_pool");
    refused(kl_op_max_pool(x, NULL), "options");
    refused(kl_op_max_pool(x, &(kl_pool_options){.pool_size = {2}}), "pool_size");
    refused(kl_op_average_pool(x, &(kl_pool_options){.pool_size = {6, 2}}), "window of 6");
    refused(kl_op_average_pool(x, &(kl_pool_options){.pool_size = {2, 2}, .padding = "causal"}),
            "causal");
    refused(kl_op_average_pool(draw(1, KL_DIMS(2, 5)), &(kl_pool_options){.pool_size = {2}}),
            "axes");
    kl_scope_end(scope);
}

/* ---- Products ------------------------------------------------------------------------------- */

static void einsum_sums_products(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const double a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, -1, 2, 0, 3, 1};
    kl_tensor *x = kl_from_data(KL_FLOAT64, KL_DIMS(2, 3), a);
    kl_tensor *w = kl_from_data(KL_FLOAT64, KL_DIMS(3, 2), b);
    const int64_t two[] = {2, 2}, six[] = {3, 2};
    const double product[] = {14, 2, 32, 2}, transposed[] = {1, 4, 2, 5, 3, 6};
    const double sums[] = {6, 15}, hadamard[] = {1, -4, 4, 0, 9, 6};
    expect("ij,jk", kl_op_einsum("ij,jk->ik", x, w), 2, two, product);
    expect("implicit", kl_op_einsum("ij,jk", x, w), 2, two, product);
    expect("matmul", kl_op_matmul(x, w), 2, two, product);
    expect("tensordot", kl_op_tensordot(x, w, 1, (const int[]){1}, (const int[]){0}), 2, two,
           product);
    expect("transposition", kl_op_einsum("ij->ji", x, NULL), 2, six, transposed);
    expect("a sum", kl_op_einsum("ij->i", x, NULL), 1, two, sums);
    expect("element by element", kl_op_einsum("ij,ji->ji", x, w), 2, six, hadamard);
    expect("spaces", kl_op_einsum(" i j , j k -> i k ", x, w), 2, two, product);
    refused(kl_op_einsum("ij,jk->il", x, w), "einsum");
    refused(kl_op_einsum("ij,jk->ik", x, NULL), "einsum");
    refused(kl_op_einsum("ij->ij", x, w), "einsum");
    refused(kl_op_einsum("ijk,jk->ik", x, w), "einsum");
    refused(kl_op_einsum("ij,ik->jk", x, w), "sizes");
    refused(kl_op_einsum("i.j,jk->ik", x, w), "einsum");
    refused(kl_op_einsum("", x, w), "einsum");
    refused(kl_op_einsum(NULL, x, w), "equation");
    refused(kl_op_einsum("ij,jk->ikikikikikik", x, w), "einsum");
    kl_scope_end(scope);
}

static void bad_products_are_refused(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = draw(1, KL_DIMS(2, 3)), *w = draw(2, KL_DIMS(4, 2)), *b = draw(3, KL_DIMS(5));
    refused(kl_op_matmul(x, w), "(2, 3)");
    refused(kl_op_matmul(x, NULL), "matmul");
    refused(kl_op_matmul(x, kl_ones(KL_FLOAT64, 0, NULL)), "scalar");
    refused(kl_op_matmul(draw(1, KL_DIMS(3, 2, 3)), draw(1, KL_DIMS(2, 3, 2))), "multiply");
    refused(kl_op_dense(x, w, NULL, NULL), "(4, 2)");
    refused(kl_op_dense(x, draw(2, KL_DIMS(3, 2)), b, NULL), "kernel");
    refused(kl_op_dense(NULL, w, NULL, NULL), "dense");
    refused(kl_op_tensordot(x, w, 1, (const int[]){1}, (const int[]){0}), "sizes 3 and 4");
    refused(kl_op_tensordot(x, w, 1, (const int[]){2}, (const int[]){0}), "axis");
    refused(kl_op_tensordot(x, x, 2, (const int[]){1, 1}, (const int[]){1, 1}), "twice");
    kl_scope_end(scope);
}

static void products_over_nothing_are_zero(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    const double zeros[6] = {0}, bias[] = {3, 4, 3, 4};
    kl_tensor *x = kl_zeros(KL_FLOAT64, KL_DIMS(2, 0)), *w = kl_zeros(KL_FLOAT64, KL_DIMS(0, 2));
    kl_tensor *b = kl_from_data(KL_FLOAT64, KL_DIMS(2), bias);
    const int64_t two[] = {2, 2};
    expect("matmul", kl_op_matmul(x, w), 2, two, zeros);
    expect("dense", kl_op_dense(x, w, b, NULL), 2, two, bias);
    assert_int_equal(kl_op_matmul(w, x)->size, 0);
    kl_tensor *none = kl_zeros(KL_FLOAT64, KL_DIMS(0, 5, 5, 4));
    assert_int_equal(kl_op_conv(none, draw(1, KL_DIMS(3, 3, 4, 6)), NULL, NULL)->size, 0);
    assert_int_equal(kl_op_max_pool(none, &(kl_pool_options){.pool_size = {2, 2}})->size, 0);
    kl_scope_end(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions),
                                       cmocka_unit_test(a_causal_convolution_looks_back),
                                       cmocka_unit_test(transposed_convolutions),
                                       cmocka_unit_test(bad_convolutions_are_refused),
                                       cmocka_unit_test(dtypes_are_promoted),
                                       cmocka_unit_test(pools),
                                       cmocka_unit_test(bad_pools_are_refused),
                                       cmocka_unit_test(einsum_sums_products),
                                       cmocka_unit_test(bad_products_are_refused),
                                       cmocka_unit_test(products_over_nothing_are_zero)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
