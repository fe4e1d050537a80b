/* Derivatives of reductions, cumulative ops, norms and normalizations, losses. */
#include "ops/gradcheck.h"
#include "ops/norm.h"

static kl_tensor *labels(void)
{
    const int32_t values[] = {2, 0, 4};
    return kl_from_data(KL_INT32, KL_DIMS(3), values);
}

static kl_tensor *truth(void)
{
    const bool values[] = {true, true, false, true, false, true};
    return kl_from_data(KL_BOOL, KL_DIMS(2, 3), values);
}

/* Statistics and values weighed together, so that gradients through both are checked. */
static kl_tensor *batch_norm(kl_tensor *const *x, int axis, kl_tensor *mask)
{
    kl_tensor *mean, *variance;
    kl_tensor *y = kl_op_batch_norm(x[0], x[1], x[2], axis, 1e-3, mask, &mean, &variance);
    return kl_op_add(
        y, kl_op_mul(kl_op_sum(mean, KL_ALL_AXES, false), kl_op_sum(variance, KL_ALL_AXES, false)));
}

// clang-format off
#define REDUCTIONS(X) X(sum, 0) X(mean, 0) X(prod, 0) X(max, 0) X(min, 0) X(var, 0) X(std, 0) X(logsumexp, 0) X(norm, 0)

#define CASES(X) \
    X(l2_normalize, kl_op_l2_normalize(x[0], KL_AXES(-1), 1e-6), 0, {2, {3, 4}, -1, 1}) \
    X(l2_normalize_two, kl_op_l2_normalize(x[0], KL_AXES(0, 2), 1e-6), 0, {3, {3, 2, 2}, -1, 1}) \
    X(cumsum, kl_op_cumsum(x[0], 1), 0, {3, {2, 4, 2}, -1, 1}) \
    X(cumsum_last, kl_op_cumsum(x[0], -1), 0, {2, {2, 4}, -1, 1}) \
    X(cumprod, kl_op_cumprod(x[0], 1), 0, {3, {2, 4, 2}, 0.4, 2}) \
    X(sparse_logits, kl_op_sparse_categorical_crossentropy(labels(), x[0], true), 0, {2, {3, 5}, -2, 2}) \
    X(sparse_probabilities, kl_op_sparse_categorical_crossentropy(labels(), x[0], false), 0, {2, {3, 5}, 0.1, 0.9}) \
    X(categorical_logits, kl_op_categorical_crossentropy(x[1], x[0], true), 0, {2, {3, 5}, -2, 2}, {2, {3, 5}, 0, 1}) \
    X(categorical_probabilities, kl_op_categorical_crossentropy(x[1], x[0], false), 0, {2, {3, 5}, 0.1, 0.9}, {2, {3, 5}, 0, 1}) \
    X(binary_logits, kl_op_binary_crossentropy(x[1], x[0], true), 0, {2, {3, 5}, -2, 2}, {2, {3, 5}, 0, 1}) \
    X(binary_probabilities, kl_op_binary_crossentropy(x[1], x[0], false), 0, {2, {3, 5}, 0.1, 0.9}, {2, {3, 5}, 0, 1}) \
    X(layer_norm, kl_op_layer_norm(x[0], x[1], x[2], 1, 1e-3), 0, {3, {2, 3, 4}, -1, 1}, {1, {4}, 0.5, 2}, {1, {4}, -1, 1}) \
    X(layer_norm_two, kl_op_layer_norm(x[0], NULL, x[1], 2, 1e-3), 0, {3, {2, 3, 4}, -1, 1}, {2, {3, 4}, 0.5, 2}) \
    X(layer_norm_bare, kl_op_layer_norm(x[0], NULL, NULL, 1, 1e-3), 0, {2, {3, 5}, -1, 1}) \
    X(rms_norm, kl_op_rms_norm(x[0], x[1], 1, 1e-3), 0, {3, {2, 3, 19}, -1, 1}, {1, {19}, 0.5, 2}) \
    X(rms_norm_two, kl_op_rms_norm(x[0], NULL, 2, 1e-3), 0, {3, {2, 3, 4}, -1, 1}) \
    X(group_norm, kl_op_group_norm(x[0], x[1], x[2], 2, -1, 1e-3, NULL), 0, {4, {2, 2, 3, 6}, -1, 1}, {1, {6}, 0.5, 2}, {1, {6}, -1, 1}) \
    X(group_norm_first, kl_op_group_norm(x[0], x[1], x[2], 2, 1, 1e-3, NULL), 0, {4, {3, 4, 2, 3}, -1, 1}, {1, {4}, 0.5, 2}, {1, {4}, -1, 1}) \
    X(group_norm_middle, kl_op_group_norm(x[0], x[1], NULL, 3, 2, 1e-3, NULL), 0, {4, {2, 2, 3, 4}, -1, 1}, {1, {3}, 0.5, 2}) \
    X(group_norm_many, kl_op_group_norm(x[0], x[1], x[2], 2, -1, 1e-3, NULL), 0, {3, {18, 3, 4}, -1, 1}, {1, {4}, 0.5, 2}, {1, {4}, -1, 1}) \
    X(group_norm_bare, kl_op_group_norm(x[0], NULL, NULL, 1, -1, 1e-3, NULL), 0, {2, {3, 5}, -1, 1}) \
    X(group_norm_masked, kl_op_group_norm(x[0], x[1], x[2], 2, -1, 1e-3, kl_op_expand_dims(truth(), -1)), 0, {3, {2, 3, 4}, -1, 1}, {1, {4}, 0.5, 2}, {1, {4}, -1, 1}) \
    X(normalize_with, kl_op_normalize_with(x[0], x[1], x[2], x[3], x[4], -1, 1e-3), 0, {2, {5, 3}, -1, 1}, {1, {3}, -1, 1}, {1, {3}, 0.2, 2}, {1, {3}, 0.5, 2}, {1, {3}, -1, 1}) \
    X(normalize_with_middle, kl_op_normalize_with(x[0], x[1], x[2], NULL, NULL, 1, 1e-3), 0, {3, {2, 3, 2}, -1, 1}, {1, {3}, -1, 1}, {1, {3}, 0.2, 2}) \
    X(batch_norm_last, batch_norm(x, -1, NULL), 0, {3, {2, 3, 4}, -1, 1}, {1, {4}, 0.5, 2}, {1, {4}, -1, 1}) \
    X(batch_norm_first, batch_norm(x, 1, NULL), 0, {4, {2, 3, 2, 2}, -1, 1}, {1, {3}, 0.5, 2}, {1, {3}, -1, 1}) \
    X(batch_norm_masked, batch_norm(x, -1, truth()), 0, {3, {2, 3, 4}, -1, 1}, {1, {4}, 0.5, 2}, {1, {4}, -1, 1}) \
    X(batch_norm_bare, kl_op_batch_norm(x[0], NULL, NULL, -1, 1e-3, NULL, NULL, NULL), 0, {2, {6, 3}, -1, 1})
// clang-format on

#define FUNCTION(name, expression, flags, ...)                                                     \
    static kl_tensor *e_##name(kl_tensor *const *x)                                                \
    {                                                                                              \
        return expression;                                                                         \
    }
CASES(FUNCTION)
#define ROW(name, expression, flags, ...) {#name, e_##name, flags, {__VA_ARGS__}},
static const gradcheck_case cases[] = {CASES(ROW)};

/* Over all axes, leading, middle, last, and a pair that doesn't lie together. */
#define OVER(name, flags)                                                                          \
    static kl_tensor *name##_all(kl_tensor *const *x)                                              \
    {                                                                                              \
        return kl_op_##name(x[0], KL_ALL_AXES, false);                                             \
    }                                                                                              \
    static kl_tensor *name##_first(kl_tensor *const *x)                                            \
    {                                                                                              \
        return kl_op_##name(x[0], KL_AXES(0), false);                                              \
    }                                                                                              \
    static kl_tensor *name##_middle(kl_tensor *const *x)                                           \
    {                                                                                              \
        return kl_op_##name(x[0], KL_AXES(1), true);                                               \
    }                                                                                              \
    static kl_tensor *name##_last(kl_tensor *const *x)                                             \
    {                                                                                              \
        return kl_op_##name(x[0], KL_AXES(-1), false);                                             \
    }                                                                                              \
    static kl_tensor *name##_apart(kl_tensor *const *x)                                            \
    {                                                                                              \
        return kl_op_##name(x[0], KL_AXES(2, 0), false);                                           \
    }
REDUCTIONS(OVER)
#define SHAPE                                                                                      \
    {                                                                                              \
        {                                                                                          \
            3, {3, 2, 4}, 0.4, 1.6                                                                 \
        }                                                                                          \
    }
#define OVER_ROWS(name, flags)                                                                     \
    {#name " over all axes", name##_all, flags, SHAPE},                                            \
        {#name " over the first axis", name##_first, flags, SHAPE},                                \
        {#name " over the middle axis", name##_middle, flags, SHAPE},                              \
        {#name " over the last axis", name##_last, flags, SHAPE},                                  \
        {#name " over axes apart", name##_apart, flags, SHAPE},
static const gradcheck_case reductions[] = {REDUCTIONS(OVER_ROWS)};

/* Zeros in a product, one and two in a row. */
static kl_tensor *prod_with_zeros(kl_tensor *const *x)
{
    const double factors[] = {1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1};
    kl_tensor *zeros = kl_from_data(KL_FLOAT64, KL_DIMS(3, 4), factors);
    zeros = kl_op_cast(zeros, (kl_dtype)x[0]->dtype);
    /* The zeros must have gradients of their own: they are added to, not multiplied. */
    kl_tensor *shifted =
        kl_op_sub(x[0], kl_op_mul(kl_op_stop_gradient(x[0]), kl_op_rsub_scalar(zeros, 1)));
    return kl_op_prod(shifted, KL_AXES(1), false);
}

static void products_of_zeros(void **state)
{
    (void)state;
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = kl_op_reshape(kl_arange(KL_FLOAT64, 1, 13, 1), KL_DIMS(3, 4)), *g = NULL;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *y = prod_with_zeros(&x);
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &g), KL_OK);
    /* rows 1 0 3 4, 0 6 0 8, 9 10 11 12 */
    const double expected[] = {0, 12, 0, 0, 0, 0, 0, 0, 1320, 1188, 1080, 990};
    for (int i = 0; i < 12; i++)
        assert_true(fabs(kl_tensor_at(g, i) - expected[i]) < 1e-9);
    kl_scope_end(scope);
}

static void over_axes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++)
        gradcheck_run(&reductions[i]);
}

static void others(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        gradcheck_run(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(over_axes), cmocka_unit_test(others),
                                       cmocka_unit_test(products_of_zeros)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
