/* Regularizers: values of real Keras, gradients, the three ways, configs, bad input. */
#include <math.h>
#include "base/test_support.h"
#include "klayers/klayers.h"

/* A weight [4, 3] of both signs. */
static const float w[] = {-1.25f, 0,     1.25f,  0.5f,  -1,     0.25f,
                          -0.5f,  0.75f, -0.75f, 1.25f, -0.25f, 1};

static kl_tensor *weight(void)
{
    return kl_from_data(KL_FLOAT32, KL_DIMS(4, 3), w);
}

static void check(kl_regularizer *regularizer, double expected)
{
    if (!regularizer)
        print_error("%s\n", kl_last_error());
    assert_non_null(regularizer);
    kl_tensor *x = weight(), *y = kl_regularizer_call(regularizer, x);
    assert_non_null(y);
    assert_int_equal(kl_tensor_rank(y), 0);
    assert_true(fabs(kl_tensor_at(y, 0) - expected) <= 1e-6 * fmax(1, fabs(expected)));
    kl_release(y);
    kl_release(x);
    kl_object_release(regularizer);
}

static void test_values(void **state)
{
    check(kl_l1(), 0.0874999985);
    check(kl_l2(), 0.0843750015);
    check(kl_l1l2(), 0);
    check(kl_l1l2(.l1 = 0.02, .l2 = 0.03), 0.428124964);
    check(kl_orthogonal_regularizer(), 0.00454443181);
    check(kl_orthogonal_regularizer(.factor = 0.5, .mode = "columns"), 0.168547392);
    check(kl_regularizer_get("l1"), 0.0874999985);
    check(kl_regularizer_get("L2"), 0.0843750015);
    check(kl_regularizer_get("l1_l2"), 0);
    check(kl_regularizer_get("orthogonal_regularizer"), 0.00454443181);
}

/* d (l1 |x| + l2 x^2) = l1 sign(x) + 2 l2 x. */
static void test_gradient(void **state)
{
    kl_regularizer *regularizer = kl_l1l2(.l1 = 0.02, .l2 = 0.03);
    kl_scope *scope = kl_scope_begin();
    kl_tape *tape = kl_tape_begin();
    kl_tensor *x = weight(), *gradient = NULL;
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_regularizer_call(regularizer, x);
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &gradient), KL_OK);
    for (int i = 0; i < 12; i++) {
        double sign = w[i] > 0 ? 1 : w[i] < 0 ? -1 : 0;
        double expected = 0.02 * sign + 0.06 * (double)w[i];
        assert_true(fabs(kl_tensor_at(gradient, i) - expected) < 1e-6);
    }
    kl_scope_end(scope);
    kl_object_release(regularizer);
}

static kl_tensor *largest(kl_tensor *x, void *user)
{
    return user ? kl_op_max(x, KL_ALL_AXES, false) : NULL;
}

static void check_loss(kl_layer *dense, double expected)
{
    assert_non_null(dense);
    kl_tensor *x = weight(), *y = kl_call(dense, x), *loss = kl_layer_losses(dense);
    assert_true(fabs(kl_tensor_at(loss, 0) - expected) < 1e-6);
    kl_release(loss);
    kl_release(y);
    kl_release(x);
    kl_layer_release(dense);
}

static void test_three_ways(void **state)
{
    int some = 0;
    check(kl_regularizer_from("largest", largest, &some), 1.25);
    assert_null(kl_regularizer_from("none", NULL, NULL));
    check_loss(kl_dense(.units = 3, .kernel_initializer = "ones",
                        .kernel_regularizer = kl_regularizer_from("largest", largest, &some)),
               1);
    check_loss(kl_dense(.units = 3, .kernel_initializer = "ones", .kernel_regularizer = "l2"),
               0.09);
    check_loss(
        kl_dense(.units = 3, .kernel_initializer = "ones", .kernel_regularizer = kl_l1(.l1 = 0.5)),
        4.5);
    kl_regularizer *failing = kl_regularizer_from("largest", largest, NULL);
    kl_tensor *x = weight();
    assert_null(kl_regularizer_call(failing, x));
    kl_release(x);
    kl_object_release(failing);
}

static void check_config(kl_regularizer *regularizer, const char *expected)
{
    assert_non_null(regularizer);
    kl_config *config = kl_object_serialize(regularizer);
    kl_regularizer *again = kl_object_deserialize(KL_KIND_REGULARIZER, config);
    kl_config *second = kl_object_serialize(again);
    char *text = kl_config_print(kl_config_get(config, "config"), false);
    assert_string_equal(text, expected);
    assert_true(kl_config_equal(config, second));
    kl_config_free_text(text);
    kl_config_free(config);
    kl_config_free(second);
    kl_object_release(again);
    kl_object_release(regularizer);
}

static void test_configs(void **state)
{
    check_config(kl_l1(), "{\"l1\": 0.01}");
    check_config(kl_l2(.l2 = 1e-4f), "{\"l2\": 0.0001}");
    check_config(kl_l1l2(.l1 = 1e-5f, .l2 = 1e-4f), "{\"l1\": 1e-05, \"l2\": 0.0001}");
    check_config(kl_orthogonal_regularizer(), "{\"factor\": 0.01, \"mode\": \"rows\"}");
}

static void test_bad_input(void **state)
{
    assert_null(kl_l1(.l1 = -1));
    assert_null(kl_l2(.l2 = NAN));
    assert_null(kl_l1l2(.l2 = INFINITY));
    assert_null(kl_orthogonal_regularizer(.mode = "diagonal"));
    assert_null(kl_regularizer_get("l3"));
    assert_null(kl_regularizer_get(kl_zeros_initializer()));
    kl_regularizer *rows = kl_orthogonal_regularizer();
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(3));
    assert_null(kl_regularizer_call(rows, x));
    assert_null(kl_regularizer_call(rows, NULL));
    assert_null(kl_regularizer_call(NULL, x));
    kl_release(x);
    kl_object_release(rows);
}

#define CHECK_DEFAULTS(name)                                                                       \
    do {                                                                                           \
        const name##_args args = name##_defaults();                                                \
        kl_regularizer *x = name##_new(&args), *y = name();                                        \
        kl_config *p = kl_object_serialize(x), *q = kl_object_serialize(y);                        \
        assert_true(kl_config_equal(p, q));                                                        \
        kl_config_free(p);                                                                         \
        kl_config_free(q);                                                                         \
        kl_object_release(x);                                                                      \
        kl_object_release(y);                                                                      \
    } while (0)

static void test_defaults(void **state)
{
    CHECK_DEFAULTS(kl_l1);
    CHECK_DEFAULTS(kl_l2);
    CHECK_DEFAULTS(kl_l1l2);
    CHECK_DEFAULTS(kl_orthogonal_regularizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),     cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_three_ways), cmocka_unit_test(test_configs),
        cmocka_unit_test(test_bad_input),  cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
