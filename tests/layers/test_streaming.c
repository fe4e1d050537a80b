/* A step a call with the state kept: after the first calls nothing is allocated. */
#include "base/test_support.h"
#include "klayers/klayers.h"

/* A step in, the output of the step out. */
static kl_layer *stateful(int which)
{
    switch (which) {
    case 0:
        return kl_lstm(.units = 24, .stateful = true);
    case 1:
        return kl_gru(.units = 24, .stateful = true);
    case 2:
        return kl_gru(.units = 24, .stateful = true, .reset_after = false, .activation = "relu");
    case 3:
        return kl_simple_rnn(.units = 24, .stateful = true);
    case 4:
        return kl_lstm(.units = 24, .stateful = true, .return_sequences = true,
                       .return_state = true);
    default:
        return kl_rnn(.cell = kl_stacked_rnn_cells(.cells = {kl_lstm_cell(.units = 9),
                                                             kl_gru_cell(.units = 7)}),
                      .stateful = true);
    }
}

static kl_model *model_of(int which)
{
    kl_model *model = kl_sequential();
    kl_add(model, kl_input_layer(.batch_shape = {1, 1, 12}));
    if (which == 4)
        kl_add(model, kl_lstm(.units = 16, .stateful = true, .return_sequences = true));
    kl_add(model, stateful(which == 4 ? 0 : which));
    kl_add(model, kl_dense(.units = 3, .activation = "softmax"));
    return model;
}

static void one_step(kl_layer *layer, kl_tensor *x)
{
    kl_scope *scope = kl_scope_begin();
    assert_non_null(kl_call(layer, x));
    kl_scope_end(scope);
}

static void calls_allocate_nothing(void **state)
{
    for (int which = 0; which < 6; which++) {
        failing_allocator f;
        failing_install(&f);
        kl_layer *layer = stateful(which);
        kl_tensor *x = kl_full(KL_FLOAT32, KL_DIMS(1, 1, 12), 0.5);
        for (int i = 0; i < 5; i++)
            one_step(layer, x);
        long before = f.allocations;
        for (int i = 0; i < 50; i++)
            one_step(layer, x);
        if (f.allocations != before)
            fail_msg("layer %d: %ld allocations in 50 steps", which, f.allocations - before);
        assert_int_equal(kl_layer_reset_state(layer), KL_OK);
        assert_int_equal(f.allocations, before);
        kl_layer_release(layer);
        kl_release(x);
        failing_remove(&f);
    }
}

static void predictions_allocate_nothing(void **state)
{
    for (int which = 0; which < 6; which++) {
        failing_allocator f;
        failing_install(&f);
        kl_model *model = model_of(which);
        kl_tensor *x = kl_full(KL_FLOAT32, KL_DIMS(1, 1, 12), 0.5);
        for (int i = 0; i < 5; i++) {
            kl_tensor *y = kl_predict(model, x);
            assert_non_null(y);
            kl_release(y);
        }
        long before = f.allocations;
        for (int i = 0; i < 50; i++)
            kl_release(kl_predict(model, x));
        if (f.allocations != before)
            fail_msg("model %d: %ld allocations in 50 steps", which, f.allocations - before);
        kl_layer_release(model);
        kl_release(x);
        failing_remove(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(calls_allocate_nothing),
                                       cmocka_unit_test(predictions_allocate_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
