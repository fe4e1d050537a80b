/* Recurrent layers beyond the golden cases: cells of one's own, states, threads, bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>

#include "klayers/klayers.h"

static kl_tensor *draw(int rank, const int64_t *shape)
{
    kl_set_random_seed(3);
    return kl_op_random_normal(KL_FLOAT32, rank, shape, 0, 1);
}

static void assert_near(const kl_tensor *a, const kl_tensor *b, double most)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(kl_tensor_size(a), kl_tensor_size(b));
    for (int64_t i = 0; i < kl_tensor_size(a); i++)
        assert_true(fabs(kl_tensor_at(a, i) - kl_tensor_at(b, i)) <= most);
}

/* ---- A cell of one's own: a leaky sum of its input, its state and a constant ---------------- */

static kl_status leaky_states(const kl_layer *self, const kl_shape *in, kl_shape *states,
                              int *count)
{
    *count = 1;
    states[0] = *in;
    return KL_OK;
}

static kl_tensors leaky_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *next = kl_op_add(in.at[0], kl_op_mul_scalar(kl_initial_state(ctx).at[0], 0.5));
    kl_tensors constants = kl_constants(ctx);
    if (constants.count)
        next = kl_op_add(next, constants.at[0]);
    kl_tensor *out[2] = {kl_op_mul_scalar(next, 2), next};
    return kl_many(2, out);
}

static const kl_layer_vtable leaky = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "LeakySum",
    .state_size = sizeof(kl_layer_args),
    .args_size = sizeof(kl_layer_args),
    .call = leaky_call,
    .cell_states = leaky_states,
};

static kl_layer *leaky_cell(void)
{
    kl_layer_args args = {.size = sizeof args, .mark = kl_error_count(), .trainable = true};
    return kl_layer_new(&leaky, &args);
}

static void own_cell(void **state)
{
    kl_scope *scope = kl_scope_begin();
    const float values[] = {1, 2, 3};
    const bool gap[] = {true, false, true};
    kl_tensor *x = kl_from_data(KL_FLOAT32, KL_DIMS(1, 3, 1), values);
    kl_tensor *mask = kl_from_data(KL_BOOL, KL_DIMS(1, 3), gap);
    kl_tensor *ten = kl_full(KL_FLOAT32, KL_DIMS(1, 1), 10);
    kl_layer *rnn = kl_rnn(.cell = leaky_cell(), .return_sequences = true, .return_state = true);
    kl_tensors y = kl_call_with(rnn, .inputs = {x});
    assert_int_equal(y.count, 2);
    const double plain[] = {2, 5, 8.5}, masked[] = {2, 2, 7}, lifted[] = {22, 35, 43.5};
    for (int i = 0; i < 3; i++)
        assert_true(kl_tensor_at(y.at[0], i) == plain[i]);
    y = kl_call_with(rnn, .inputs = {x}, .masks = {mask});
    for (int i = 0; i < 3; i++)
        assert_true(kl_tensor_at(y.at[0], i) == masked[i]);
    assert_true(kl_tensor_at(y.at[1], 0) == 3.5);
    y = kl_call_with(rnn, .inputs = {x}, .constants = {ten});
    for (int i = 0; i < 3; i++)
        assert_true(kl_tensor_at(y.at[0], i) == lifted[i]);
    /* Over a built-in cell, and both ways. */
    kl_layer *both =
        kl_bidirectional(.layer =
                             kl_rnn(.cell =
                                        kl_stacked_rnn_cells(.cells = {leaky_cell(),
                                                                       kl_gru_cell(.units = 2)})));
    kl_tensor *ends = kl_call(both, x);
    assert_non_null(ends);
    assert_int_equal(kl_tensor_size(ends), 4);
    kl_layer_release(both);
    kl_layer_release(rnn);
    kl_scope_end(scope);
}

/* A step a call with kept states is the whole sequence at once; a reset starts anew. */
static void streaming(void **state)
{
    kl_layer *layers[] = {
        kl_lstm(.units = 5, .stateful = true, .return_sequences = true),
        kl_gru(.units = 5, .stateful = true, .return_sequences = true),
        kl_gru(.units = 5, .stateful = true, .return_sequences = true, .reset_after = false),
        kl_simple_rnn(.units = 5, .stateful = true, .return_sequences = true),
        kl_rnn(.cell = kl_stacked_rnn_cells(.cells = {kl_lstm_cell(.units = 4),
                                                      kl_gru_cell(.units = 5)}),
               .stateful = true, .return_sequences = true),
    };
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
        kl_scope *scope = kl_scope_begin();
        kl_tensor *x = draw(3, (const int64_t[]){1, 7, 3});
        for (int round = 0; round < 2; round++) {
            kl_tensor *whole = kl_call(layers[l], x);
            assert_non_null(whole);
            assert_int_equal(kl_layer_reset_state(layers[l]), KL_OK);
            for (int64_t t = 0; t < 7; t++)
                assert_near(kl_call(layers[l], kl_op_slice(x, 1, t, t + 1, 1)),
                            kl_op_slice(whole, 1, t, t + 1, 1), 1e-6);
            assert_int_equal(kl_layer_reset_state(layers[l]), KL_OK);
        }
        kl_layer_release(layers[l]);
        kl_scope_end(scope);
    }
}

/* Every bit is the same on any number of threads, forward and back. */
static void threads(void **state)
{
    kl_layer *layers[] = {kl_lstm(.units = 19), kl_gru(.units = 19), kl_simple_rnn(.units = 19),
                          kl_bidirectional(.layer = kl_gru(.units = 7))};
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = draw(3, (const int64_t[]){67, 9, 11});
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
        kl_tensor *first[2] = {NULL, NULL};
        const int counts[] = {1, 2, 8};
        for (int c = 0; c < 3; c++) {
            kl_set_num_threads(counts[c]);
            kl_tape *tape = kl_tape_begin();
            kl_tape_watch(tape, x);
            kl_tensor *y = kl_call(layers[l], x), *dx = NULL;
            kl_tensor *loss = kl_op_sum(kl_op_square(y), KL_ALL_AXES, false);
            assert_int_equal(kl_tape_gradient(tape, loss, 1, &x, &dx), KL_OK);
            kl_tensor *now[2] = {y, dx};
            for (int i = 0; i < 2; i++) {
                if (c)
                    assert_near(now[i], first[i], 0);
                else
                    first[i] = now[i];
            }
        }
        kl_layer_release(layers[l]);
    }
    kl_set_num_threads(0);
    kl_scope_end(scope);
}

/* What is dropped is dropped in all steps: with an input of ones, a linear cell that keeps nothing
   and a kernel of ones, outputs of all steps are the same, and have the share that is kept. */
static void dropout(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_layer *rnn = kl_simple_rnn(.units = 1, .activation = NULL, .use_bias = false,
                                  .kernel_initializer = "ones", .recurrent_initializer = "zeros",
                                  .dropout = 0.25, .return_sequences = true, .seed = 5);
    kl_tensor *x = kl_ones(KL_FLOAT32, 3, (const int64_t[]){8, 4, 1000});
    kl_tensors y = kl_call_with(rnn, .inputs = {x}, .training = KL_TRUE);
    assert_non_null(y.at);
    double sum = 0;
    for (int64_t i = 0; i < 8; i++) {
        for (int64_t t = 1; t < 4; t++)
            assert_true(fabs(kl_tensor_at(y.at[0], i * 4 + t) - kl_tensor_at(y.at[0], i * 4)) <
                        1e-3);
        sum += kl_tensor_at(y.at[0], i * 4) / 8;
    }
    assert_true(fabs(sum - 1000) < 40);
    kl_tensors z = kl_call_with(rnn, .inputs = {x}, .training = KL_TRUE);
    assert_true(kl_tensor_at(z.at[0], 0) != kl_tensor_at(y.at[0], 0));
    kl_layer_release(rnn);
    kl_scope_end(scope);
}

static void assert_says(const void *made, const char *part)
{
    assert_null(made);
    if (!strstr(kl_last_error(), part))
        fail_msg("'%s' says nothing of '%s'", kl_last_error(), part);
}

static void bad_input(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = draw(3, (const int64_t[]){2, 4, 3}), *s = draw(2, (const int64_t[]){2, 5});
    kl_tensor *mask = kl_ones(KL_BOOL, 2, (const int64_t[]){2, 3});
    kl_tensor *none = kl_zeros(KL_FLOAT32, 3, (const int64_t[]){2, 0, 3});
    kl_layer *lstm = kl_lstm(.units = 3, .stateful = true, .name = "memory");
    assert_non_null(kl_call(lstm, x));
    assert_says(kl_call_with(lstm, .inputs = {x}, .initial_state = {s}).at, "2 states, got 1");
    assert_says(kl_call_with(lstm, .inputs = {x}, .initial_state = {s, s}).at, "(2, 5)");
    assert_says(kl_call_with(lstm, .inputs = {x}, .masks = {mask}).at, "mask");
    assert_says(kl_call_with(lstm, .inputs = {x}, .constants = {s}).at, "constants");
    assert_says(kl_call(lstm, none), "at least 1 step");
    assert_says(kl_call(lstm, draw(3, (const int64_t[]){5, 4, 3})), "2 samples, got 5");
    assert_true(strstr(kl_last_error(), "memory") != NULL);
    /* The states of the one good call are still there. */
    kl_layer *fresh = kl_lstm(.units = 3, .stateful = true);
    assert_non_null(kl_call(fresh, x));
    kl_tensor *values[3];
    assert_int_equal(kl_layer_weights(lstm, values, 3), 3);
    assert_int_equal(kl_layer_set_weights(fresh, 3, values), KL_OK);
    assert_int_equal(kl_layer_reset_state(fresh), KL_OK);
    assert_non_null(kl_call(fresh, x));
    assert_near(kl_call(lstm, x), kl_call(fresh, x), 1e-6);
    kl_layer_release(lstm);
    kl_layer_release(fresh);
    assert_says(kl_rnn(.cell = kl_dense(.units = 2)), "Dense");
    assert_says(kl_rnn(.return_state = true), "cell");
    assert_says(kl_bidirectional(.layer = kl_dense(.units = 2)), "recurrent");
    assert_says(kl_bidirectional(.layer = kl_gru(.units = 2), .backward_layer = kl_gru(.units = 2)),
                "go_backwards");
    assert_says(kl_bidirectional(.layer = kl_gru(.units = 2),
                                 .backward_layer = kl_gru(.units = 2, .go_backwards = true,
                                                          .return_state = true)),
                "return_state");
    assert_says(kl_stacked_rnn_cells(.name = "none"), "cells");
    assert_says(kl_gru(.units = 2, .dropout = 2), "dropout");
    kl_layer *wide = kl_conv_lstm1d(.filters = 2, .kernel_size = {5});
    assert_says(kl_call(wide, draw(4, (const int64_t[]){1, 2, 3, 1})), "window");
    kl_layer_release(wide);
    kl_model *model = kl_sequential();
    kl_add(model, kl_input_layer(.shape = {4, 3}));
    assert_int_not_equal(kl_add(model, kl_gru(.units = 2, .return_state = true)), KL_OK);
    kl_layer_release(model);
    kl_scope_end(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(own_cell), cmocka_unit_test(streaming),
                                       cmocka_unit_test(threads), cmocka_unit_test(dropout),
                                       cmocka_unit_test(bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
