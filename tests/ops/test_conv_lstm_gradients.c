/* ConvLSTM's derivatives: in float64 through its composed form, in float32 through the fused one.
 */
#include "ops/gradcheck.h"
#include "ops/conv_lstm.h"

static kl_tensor *run(kl_tensor *const *x, int part)
{
    kl_lstm_result r;
    if (kl_op_conv_lstm(x[0], x[1], x[2], x[3], &r))
        return NULL;
    kl_tensor *state = kl_op_mul(r.h, kl_op_exp(r.c));
    kl_tensor *whole = kl_op_add(r.sequence, kl_op_expand_dims(state, 1));
    return part == 0 ? r.sequence : part == 1 ? state : whole;
}

static kl_tensor *outputs(kl_tensor *const *x)
{
    return run(x, 0);
}

static kl_tensor *states(kl_tensor *const *x)
{
    return run(x, 1);
}

static kl_tensor *everything(kl_tensor *const *x)
{
    return run(x, 2);
}

#define SHAPES(t)                                                                                  \
    {                                                                                              \
        {5, {2, t, 3, 2, 8}, -1, 1}, {4, {3, 2, 2, 8}, -1, 1}, {4, {2, 3, 2, 2}, -1, 1},           \
        {                                                                                          \
            4, {2, 3, 2, 2}, -1, 1                                                                 \
        }                                                                                          \
    }
static const gradcheck_case cases[] = {{"outputs", outputs, 0, SHAPES(3)},
                                       {"states", states, 0, SHAPES(3)},
                                       {"outputs and states", everything, 0, SHAPES(3)},
                                       {"one step", everything, 0, SHAPES(1)}};

static void sequences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        gradcheck_run(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sequences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
