/* SimpleRNN's derivatives, for each activation that is fused: in float64 through its composed form,
 * in float32 through the fused one. */
#include "ops/gradcheck.h"
#include "ops/simple_rnn.h"

static kl_fused_activation activation;

static kl_tensor *run(kl_tensor *const *x, kl_tensor *mask, int part)
{
    kl_tensor *sequence, *h;
    if (kl_op_simple_rnn(x[0], x[1], x[2], mask, activation, &sequence, &h))
        return NULL;
    kl_tensor *state = kl_op_exp(h);
    kl_tensor *whole = kl_op_add(sequence, kl_op_expand_dims(state, 1));
    return part == 0 ? sequence : part == 1 ? state : whole;
}

static kl_tensor *mask_of(void)
{
    /* Gaps at the end, in the middle and at the start. */
    const bool values[] = {true, true, true,  false, true, false,
                           true, true, false, false, true, true};
    return kl_from_data(KL_BOOL, KL_DIMS(3, 4), values);
}

static kl_tensor *outputs(kl_tensor *const *x)
{
    return run(x, NULL, 0);
}

static kl_tensor *states(kl_tensor *const *x)
{
    return run(x, NULL, 1);
}

static kl_tensor *everything(kl_tensor *const *x)
{
    return run(x, NULL, 2);
}

static kl_tensor *masked_outputs(kl_tensor *const *x)
{
    return run(x, mask_of(), 0);
}

static kl_tensor *masked_everything(kl_tensor *const *x)
{
    return run(x, mask_of(), 2);
}

#define SHAPES(t)                                                                                  \
    {                                                                                              \
        {3, {3, t, 3}, -1, 1}, {2, {3, 3}, -1, 1},                                                 \
        {                                                                                          \
            2, {3, 3}, -1, 1                                                                       \
        }                                                                                          \
    }
static const gradcheck_case cases[] = {{"simple rnn outputs", outputs, 0, SHAPES(4)},
                                       {"simple rnn states", states, 0, SHAPES(4)},
                                       {"simple rnn outputs and states", everything, 0, SHAPES(4)},
                                       {"simple rnn of one step", everything, 0, SHAPES(1)},
                                       {"masked simple rnn outputs", masked_outputs, 0, SHAPES(4)},
                                       {"masked simple rnn", masked_everything, 0, SHAPES(4)}};

static void sequences(void **state)
{
    (void)state;
    const kl_fused_activation all[] = {KL_FUSED_TANH, KL_FUSED_SIGMOID, KL_FUSED_NONE};
    for (size_t a = 0; a < sizeof all / sizeof *all; a++) {
        activation = all[a];
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            gradcheck_run(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sequences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
