/* The checker itself: a right derivative passes (in the other tests), a wrong one is seen. */
#include "ops/gradcheck.h"

static double wrong_factor;

static kl_status tripled_forward(kl_op_frame *f)
{
    f->out[0] = kl_op_mul_scalar(f->in[0], 3);
    return f->out[0] ? KL_OK : kl_last_status();
}

static kl_status tripled_backward(kl_op_frame *f)
{
    f->din[0] = kl_op_mul_scalar(f->dout[0], 3 * wrong_factor);
    return f->din[0] ? KL_OK : kl_last_status();
}

static const kl_op tripled_op = {.size = sizeof(kl_op),
                                 .name = "tripled",
                                 .forward = tripled_forward,
                                 .backward = tripled_backward};

static kl_tensor *tripled(kl_tensor *const *x)
{
    return kl_op_square(kl_custom_op(&tripled_op, NULL, 1, x));
}

static const gradcheck_case tripled_case = {"tripled", tripled, 0, {{2, {2, 3}, -1, 1}}};

static double error_of(double factor, int order)
{
    static gradcheck_values values, got, expected;
    wrong_factor = factor;
    for (int k = 0; k < 6; k++)
        values.at[0][k] = 0.3 * k - 0.7;
    if (order == 1)
        gradcheck_gradients(&tripled_case, &values, (gradcheck_mode){KL_FLOAT64, false}, &got,
                            NULL);
    else
        gradcheck_second(&tripled_case, &values, (gradcheck_mode){KL_FLOAT64, false}, &got);
    wrong_factor = 1;
    gradcheck_differences(&tripled_case, &values, order, &expected);
    double most = 0;
    for (int k = 0; k < 6; k++)
        most = fmax(most, fabs(got.at[0][k] - expected.at[0][k]));
    return most;
}

static void sees_wrong_derivatives(void **state)
{
    (void)state;
    for (int order = 1; order <= 2; order++) {
        assert_true(error_of(1, order) < 1e-6);
        assert_true(error_of(1.001, order) > 1e-4);
    }
}

static void passes_right_derivatives(void **state)
{
    (void)state;
    wrong_factor = 1;
    gradcheck_run(&tripled_case);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sees_wrong_derivatives),
                                       cmocka_unit_test(passes_right_derivatives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
