/* Recurrent layers beyond the golden cases: cells of one's own, states, threads, bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
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

/* Inputs, states and weights to go back to. */
static void take_gradients(kl_layer *layer, kl_tensor *x, int most, kl_tensor **found)
{
    kl_tensor *sources[16] = {x};
    int count = 1;
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, x);
    kl_tensor *y = kl_call_with(layer, .inputs = {x}, .training = KL_TRUE).at[0];
    for (int i = 0; i < kl_layer_trainable_weight_count(layer) && count < most - 1; i++)
        sources[count++] = kl_weight_value(kl_layer_trainable_weight(layer, i));
    kl_tensor *loss = kl_op_sum(kl_op_square(y), KL_ALL_AXES, false);
    assert_int_equal(kl_tape_gradient(tape, loss, (size_t)count, sources, found), KL_OK);
    found[count] = y;
}

/* Every bit is the same on any number of threads, forward and back. */
static void check_threads(kl_layer *layer, kl_tensor *x)
{
    enum { MOST = 16 };
    kl_tensor *first[MOST + 1] = {NULL};
    const int counts[] = {1, 2, 8};
    for (int c = 0; c < 3; c++) {
        kl_tensor *now[MOST + 1] = {NULL};
        kl_set_num_threads(counts[c]);
        take_gradients(layer, x, MOST, now);
        now[MOST] = kl_call(layer, x);
        for (int i = 0; i <= MOST; i++) {
            if (!c)
                first[i] = now[i];
            else if (first[i])
                assert_near(now[i], first[i], 0);
        }
    }
    kl_set_num_threads(0);
}

static void threads(void **state)
{
    kl_layer *layers[] = {kl_lstm(.units = 19),
                          kl_gru(.units = 19),
                          kl_gru(.units = 19, .reset_after = false),
                          kl_simple_rnn(.units = 19),
                          kl_lstm(.units = 130, .return_sequences = true),
                          kl_bidirectional(.layer = kl_gru(.units = 7)),
                          kl_bidirectional(.layer = kl_lstm(.units = 16, .return_sequences = true)),
                          kl_rnn(.cell = kl_stacked_rnn_cells(.cells = {kl_lstm_cell(.units = 8),
                                                                        kl_gru_cell(.units = 5)}))};
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
        const int64_t batches[] = {1, 5, 67, 150};
        for (int b = 0; b < 4; b++) {
            kl_scope *scope = kl_scope_begin();
            check_threads(layers[l], draw(3, (const int64_t[]){batches[b], 9, 11}));
            kl_scope_end(scope);
        }
        kl_layer_release(layers[l]);
    }
    kl_scope *scope = kl_scope_begin();
    kl_layer *image = kl_conv_lstm2d(.filters = 5, .kernel_size = {3, 2}, .return_sequences = true);
    check_threads(image, draw(5, (const int64_t[]){3, 4, 13, 11, 2}));
    kl_layer_release(image);
    kl_scope_end(scope);
}

/* Channels before the places is the same with the axes moved. */
static void channels_first(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = draw(5, (const int64_t[]){2, 3, 7, 6, 2});
    kl_tensor *moved = kl_op_move_axis(x, -1, 2), *values[3];
    const char *activations[] = {"tanh", "relu"};
    for (int a = 0; a < 2; a++) {
        kl_layer *last = kl_conv_lstm2d(.filters = 3, .kernel_size = {3, 2}, .strides = {2, 1},
                                        .padding = "same", .return_sequences = true,
                                        .return_state = true, .activation = activations[a]);
        kl_layer *first =
            kl_conv_lstm2d(.filters = 3, .kernel_size = {3, 2}, .strides = {2, 1},
                           .padding = "same", .return_sequences = true, .return_state = true,
                           .activation = activations[a], .data_format = "channels_first");
        kl_tensors y = kl_call_with(last, .inputs = {x});
        assert_non_null(kl_call(first, moved));
        int count = kl_layer_weights(last, values, 3);
        assert_int_equal(kl_layer_set_weights(first, count, values), KL_OK);
        kl_tensors z = kl_call_with(first, .inputs = {moved});
        assert_int_equal(z.count, 3);
        assert_near(kl_op_move_axis(z.at[0], 2, -1), y.at[0], 1e-6);
        for (int i = 1; i < 3; i++)
            assert_near(kl_op_move_axis(z.at[i], 1, -1), y.at[i], 1e-6);
        kl_layer_release(last);
        kl_layer_release(first);
    }
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

/* The states that are fed back are dropped alike in all steps: a linear cell that only passes its
   state on, scaled up by what is kept, gives zeros in the same places from the first step on. The
   share of zeros is the rate, and inference drops nothing. */
static void recurrent_dropout(void **state)
{
    enum { UNITS = 400, STEPS = 4, BATCH = 6 };
    kl_scope *scope = kl_scope_begin();
    kl_layer *rnn = kl_simple_rnn(.units = UNITS, .activation = NULL, .use_bias = false,
                                  .kernel_initializer = "zeros",
                                  .recurrent_initializer = kl_identity_initializer(),
                                  .recurrent_dropout = 0.25, .return_sequences = true);
    kl_tensor *x = kl_zeros(KL_FLOAT32, 3, (const int64_t[]){BATCH, STEPS, 2});
    kl_tensor *h = kl_ones(KL_FLOAT32, 2, (const int64_t[]){BATCH, UNITS});
    kl_tensor *y =
        kl_call_with(rnn, .inputs = {x}, .initial_state = {h}, .training = KL_TRUE).at[0];
    assert_non_null(y);
    int dropped = 0;
    for (int64_t b = 0; b < BATCH; b++)
        for (int64_t u = 0; u < UNITS; u++) {
            double kept = 1;
            dropped += kl_tensor_at(y, b * STEPS * UNITS + u) == 0;
            for (int64_t t = 0; t < STEPS; t++) {
                double value = kl_tensor_at(y, (b * STEPS + t) * UNITS + u);
                kept /= 0.75;
                assert_true(value == 0 || fabs(value - kept) < 1e-5 * kept);
                assert_true((value == 0) == (kl_tensor_at(y, b * STEPS * UNITS + u) == 0));
            }
        }
    /* Five standard deviations. */
    assert_true(abs(dropped - UNITS * BATCH / 4) < 5 * sqrt(UNITS * BATCH * 0.25 * 0.75));
    y = kl_call_with(rnn, .inputs = {x}, .initial_state = {h}).at[0];
    for (int64_t i = 0; i < kl_tensor_size(y); i++)
        assert_true(kl_tensor_at(y, i) == 1);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_cell), cmocka_unit_test(streaming),
        cmocka_unit_test(threads),  cmocka_unit_test(channels_first),
        cmocka_unit_test(dropout),  cmocka_unit_test(recurrent_dropout),
        cmocka_unit_test(bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
