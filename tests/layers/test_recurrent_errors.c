/* Bad input to recurrent layers: what is refused, in which words, with nothing leaked or lost. */
#include "base/test_support.h"
#include "klayers/klayers.h"
#include "layers/layer.h"

static kl_tensor *ones(int rank, const int64_t *shape)
{
    return kl_ones(KL_FLOAT32, rank, shape);
}
#define ONES(...)                                                                                  \
    ones((int)(sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__})

/* The layer's name, and what was wrong. */
static void refuses(const void *made, const char *name, const char *part)
{
    assert_null(made);
    if (!strstr(kl_last_error(), part) || !strstr(kl_last_error(), name))
        fail_msg("'%s' says nothing of '%s' of %s", kl_last_error(), part, name);
    kl_clear_error();
}

static kl_layer *stateful_layer(int which)
{
    switch (which) {
    case 0:
        return kl_lstm(.units = 3, .stateful = true, .name = "memory");
    case 1:
        return kl_gru(.units = 3, .stateful = true, .name = "memory");
    case 2:
        return kl_simple_rnn(.units = 3, .stateful = true, .name = "memory");
    default:
        return kl_rnn(.cell = kl_stacked_rnn_cells(.cells = {kl_gru_cell(.units = 2),
                                                             kl_lstm_cell(.units = 3)}),
                      .stateful = true, .name = "memory");
    }
}

/* Calls that are refused leave the states of the call before as they were. */
static void states_stay(void **state)
{
    for (int which = 0; which < 4; which++) {
        failing_allocator f;
        failing_install(&f);
        kl_scope *scope = kl_scope_begin();
        kl_layer *layer = stateful_layer(which), *twin = stateful_layer(which);
        kl_tensor *x = ONES(2, 4, 3), *state5 = ONES(2, 5), *values[16];
        kl_tensor *none = kl_zeros(KL_FLOAT32, 3, (const int64_t[]){2, 0, 3});
        kl_tensor *mask = kl_ones(KL_BOOL, 2, (const int64_t[]){2, 3});
        kl_tensor *deep = kl_ones(KL_BOOL, 3, (const int64_t[]){2, 4, 3});
        assert_non_null(kl_call(layer, x));
        assert_non_null(kl_call(twin, x));
        int count = kl_layer_weights(layer, values, 16);
        assert_int_equal(kl_layer_set_weights(twin, count, values), KL_OK);
        kl_layer_reset_state(layer);
        kl_layer_reset_state(twin);
        assert_non_null(kl_call(layer, x));
        assert_non_null(kl_call(twin, x));
        refuses(
            kl_call_with(layer, .inputs = {x}, .initial_state = {state5, state5, state5, state5})
                .at,
            "memory", "state");
        refuses(kl_call_with(layer, .inputs = {x}, .masks = {mask}).at, "memory", "(2, 3)");
        refuses(kl_call_with(layer, .inputs = {x}, .masks = {deep}).at, "memory", "(2, 4, 3)");
        refuses(kl_call_with(layer, .inputs = {x}, .constants = {state5}).at, "memory",
                "constants");
        refuses(kl_call(layer, none), "memory", "at least 1 step");
        refuses(kl_call(layer, ONES(5, 4, 3)), "memory", "2 samples, got 5");
        refuses(kl_call(layer, ONES(2, 4, 7)), "memory", "(2, 4, 7)");
        refuses(kl_call(layer, ONES(2, 4)), "memory", "ndim");
        kl_tensor *a = kl_call(layer, x), *b = kl_call(twin, x);
        assert_non_null(a);
        assert_non_null(b);
        for (int64_t i = 0; i < kl_tensor_size(a); i++)
            assert_true(kl_tensor_at(a, i) == kl_tensor_at(b, i));
        kl_layer_release(layer);
        kl_layer_release(twin);
        kl_scope_end(scope);
        failing_remove(&f);
    }
}

static void initial_states(void **state)
{
    failing_allocator f;
    failing_install(&f);
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = ONES(2, 4, 3), *s = ONES(2, 3), *wide = ONES(2, 4), *other = ONES(1, 3);
    kl_layer *lstm = kl_lstm(.units = 3, .name = "reader");
    refuses(kl_call_with(lstm, .inputs = {x}, .initial_state = {s}).at, "reader",
            "2 states, got 1");
    refuses(kl_call_with(lstm, .inputs = {x}, .initial_state = {s, wide}).at, "reader",
            "expected shape (2, 3), got (2, 4)");
    refuses(kl_call_with(lstm, .inputs = {x}, .initial_state = {other, s}).at, "reader", "(1, 3)");
    kl_layer *both = kl_bidirectional(.layer = kl_gru(.units = 3), .name = "both");
    refuses(kl_call_with(both, .inputs = {x}, .initial_state = {s}).at, "both", "got 1");
    refuses(kl_call_with(both, .inputs = {x}, .initial_state = {s, wide}).at, "both", "(2, 4)");
    refuses(kl_call_with(both, .inputs = {x}, .initial_state = {s, s, s, s}).at, "both",
            "1 state, got 2");
    kl_layer *cell = kl_lstm_cell(.units = 3, .name = "step");
    refuses(kl_call_with(cell, .inputs = {s}, .initial_state = {s}).at, "step", "2 states, got 1");
    refuses(kl_call_with(cell, .inputs = {s}).at, "step", "2 states, got 0");
    kl_layer *image = kl_conv_lstm2d(.filters = 2, .kernel_size = {2}, .name = "image");
    kl_tensor *frames = ONES(1, 2, 4, 4, 1);
    refuses(kl_call_with(image, .inputs = {frames}, .initial_state = {s, s}).at, "image",
            "(1, 3, 3, 2)");
    refuses(kl_call(image, kl_zeros(KL_FLOAT32, 5, (const int64_t[]){1, 0, 4, 4, 1})), "image",
            "at least 1 step");
    kl_layer *layers[] = {lstm, both, cell, image};
    for (int i = 0; i < 4; i++)
        kl_layer_release(layers[i]);
    kl_scope_end(scope);
    failing_remove(&f);
}

/* A cell whose state comes out larger than it went in. */
static kl_status growing_states(const kl_layer *self, const kl_shape *in, kl_shape *states,
                                int *count)
{
    *count = 1;
    states[0] = *in;
    return KL_OK;
}

static kl_tensors growing_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    kl_tensor *h = kl_initial_state(ctx).at[0];
    kl_tensor *out[2] = {in.at[0], kl_op_concatenate(2, (kl_tensor *[]){h, h}, -1)};
    return kl_many(2, out);
}

static kl_tensors silent_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    return kl_one(kl_op_neg(in.at[0]));
}

#define CELL(id, name, function)                                                                   \
    static const kl_layer_vtable id = {.size = sizeof(kl_layer_vtable),                            \
                                       .class_name = name,                                         \
                                       .state_size = sizeof(kl_layer_args),                        \
                                       .args_size = sizeof(kl_layer_args),                         \
                                       .call = function,                                           \
                                       .cell_states = growing_states}
CELL(growing, "Growing", growing_call);
CELL(silent, "Silent", silent_call);

static kl_layer *make(const kl_layer_vtable *vtable)
{
    kl_layer_args args = {.size = sizeof args, .mark = kl_error_count(), .trainable = true};
    return kl_layer_new(vtable, &args);
}

static void cells_that_disagree(void **state)
{
    failing_allocator f;
    failing_install(&f);
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = ONES(2, 4, 3);
    kl_layer *grows = kl_rnn(.cell = make(&growing), .name = "outer");
    refuses(kl_call(grows, x), "outer", "from (2, 3) to (2, 6)");
    kl_layer *one = kl_rnn(.cell = make(&silent), .name = "outer");
    refuses(kl_call(one, x), "outer", "its output and 1 state");
    kl_layer *sum = kl_bidirectional(.layer = kl_gru(.units = 3),
                                     .backward_layer = kl_gru(.units = 2, .go_backwards = true),
                                     .merge_mode = "sum", .name = "outer");
    refuses(kl_call(sum, x), "outer", "(2, 3) and (2, 2)");
    refuses(kl_stacked_rnn_cells(.cells = {kl_gru_cell(.units = 2), kl_dense(.units = 2)}), "dense",
            "state_size");
    kl_layer *layers[] = {grows, one, sum};
    for (int i = 0; i < 3; i++)
        kl_layer_release(layers[i]);
    kl_scope_end(scope);
    failing_remove(&f);
}

static void containers(void **state)
{
    failing_allocator f;
    failing_install(&f);
    kl_model *model = kl_sequential();
    kl_add(model, kl_input_layer(.shape = {4, 3}));
    assert_int_not_equal(kl_add(model, kl_lstm(.units = 2, .stateful = true, .name = "memory")),
                         KL_OK);
    refuses(NULL, "memory", "batch");
    kl_layer_release(model);
    model = kl_sequential();
    kl_add(model, kl_input_layer(.shape = {4, 3}));
    assert_int_not_equal(kl_add(model, kl_gru(.units = 2, .return_state = true, .name = "two")),
                         KL_OK);
    refuses(NULL, "two", "output");
    kl_layer_release(model);
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in = kl_input(.shape = {4, 3});
    refuses(kl_call(kl_lstm(.units = 2, .stateful = true, .name = "memory"), in), "memory",
            "batch");
    kl_release(in);
    kl_layer *each =
        kl_time_distributed(.layer = kl_gru(.units = 2, .return_state = true), .name = "each");
    refuses(kl_call(each, ONES(2, 3, 4, 5)), "each", "one output, got 2");
    kl_layer_release(each);
    kl_scope_end(scope);
    kl_clear_session();
    failing_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_stay), cmocka_unit_test(initial_states),
        cmocka_unit_test(cells_that_disagree), cmocka_unit_test(containers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
