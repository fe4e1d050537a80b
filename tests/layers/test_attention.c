/* Attention layers beyond the golden cases: dropout, masks, sharing, models, threads, errors. */
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

static double largest_difference(const kl_tensor *a, const kl_tensor *b)
{
    double most = 0;
    assert_int_equal(kl_tensor_size(a), kl_tensor_size(b));
    for (int64_t i = 0; i < kl_tensor_size(a); i++)
        most = fmax(most, fabs(kl_tensor_at(a, i) - kl_tensor_at(b, i)));
    return most;
}

/* With values of one and no output projection in the way, a result is the sum of kept weights. */
static void dropout_keeps_the_expectation(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_layer *layers[2] = {kl_attention(.dropout = 0.3, .seed = 11),
                           kl_additive_attention(.dropout = 0.3, .seed = 11)};
    kl_tensor *q = draw(3, (const int64_t[]){4, 200, 8});
    kl_tensor *v = kl_ones(KL_FLOAT32, 3, (const int64_t[]){4, 200, 8});
    for (int i = 0; i < 2; i++) {
        kl_tensors plain = kl_call_with(layers[i], .inputs = {q, v, q});
        assert_true(largest_difference(plain.at[0], v) < 1e-5);
        kl_tensors dropped = kl_call_with(layers[i], .inputs = {q, v, q}, .training = KL_TRUE);
        double mean = kl_tensor_at(kl_op_mean(dropped.at[0], KL_ALL_AXES, false), 0);
        double spread = kl_tensor_at(kl_op_std(dropped.at[0], KL_ALL_AXES, false), 0);
        assert_true(fabs(mean - 1) < 0.02 && spread > 0.02);
        kl_layer_release(layers[i]);
    }
    kl_scope_end(scope);
}

static kl_tensor *train_once(int threads)
{
    kl_set_num_threads(threads);
    kl_set_random_seed(5);
    kl_layer *layer =
        kl_multi_head_attention(.num_heads = 2, .key_dim = 4, .dropout = 0.5, .seed = 9);
    kl_tensor *x = draw(3, (const int64_t[]){3, 40, 6});
    kl_tensor *y = kl_call_with(layer, .inputs = {x, x}, .training = KL_TRUE).at[0];
    kl_layer_release(layer);
    kl_set_num_threads(0);
    return y;
}

static void a_seed_decides_the_draws(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *one = train_once(1), *two = train_once(2), *eight = train_once(8);
    assert_true(largest_difference(one, two) == 0 && largest_difference(one, eight) == 0);
    kl_scope_end(scope);
}

/* Scores asked for change the way, not the result. */
static void scores_change_nothing(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *x = draw(3, (const int64_t[]){2, 130, 12}),
              *y = draw(3, (const int64_t[]){2, 110, 12});
    kl_layer *layers[4] = {
        kl_attention(.use_scale = true), kl_additive_attention(),
        kl_multi_head_attention(.num_heads = 3, .key_dim = 5, .sliding_window = 30),
        kl_group_query_attention(.head_dim = 6, .num_query_heads = 4, .num_key_value_heads = 2)};
    for (int i = 0; i < 4; i++)
        for (int causal = 0; causal < 2; causal++) {
            kl_tensors plain = kl_call_with(layers[i], .inputs = {x, y},
                                            .arguments = {{"use_causal_mask", .flag = causal}});
            kl_tensors both =
                kl_call_with(layers[i], .inputs = {x, y},
                             .arguments = {{"use_causal_mask", .flag = causal},
                                           {"return_attention_scores", .flag = true}});
            assert_int_equal(plain.count, 1);
            assert_int_equal(both.count, 2);
            assert_true(largest_difference(plain.at[0], both.at[0]) < 2e-5);
            kl_tensor *sums = kl_op_sum(both.at[1], KL_AXES(-1), false);
            kl_tensor *ones = kl_ones(KL_FLOAT32, kl_tensor_rank(sums), kl_tensor_shape(sums));
            if (i < 2 || !causal)
                assert_true(i == 2 || largest_difference(sums, ones) < 1e-5);
        }
    for (int i = 0; i < 4; i++)
        kl_layer_release(layers[i]);
    kl_scope_end(scope);
}

/* A query's result does not depend on keys that it must not see. */
static void hidden_keys_do_not_matter(void **state)
{
    kl_scope *scope = kl_scope_begin();
    const int64_t shape[3] = {1, 150, 8};
    kl_layer *layer = kl_multi_head_attention(.num_heads = 2, .key_dim = 4);
    kl_tensor *x = draw(3, shape), *other = kl_copy(x, KL_FLOAT32);
    float *at = kl_tensor_mutable_data(other);
    for (int i = 100 * 8; i < 150 * 8; i++)
        at[i] += 3;
    kl_tensors a =
        kl_call_with(layer, .inputs = {x, x}, .arguments = {{"use_causal_mask", .flag = true}});
    kl_tensors b = kl_call_with(layer, .inputs = {other, other},
                                .arguments = {{"use_causal_mask", .flag = true}});
    assert_true(largest_difference(kl_op_slice(a.at[0], 1, 0, 100, 1),
                                   kl_op_slice(b.at[0], 1, 0, 100, 1)) == 0);
    assert_true(largest_difference(a.at[0], b.at[0]) > 0.1);
    kl_layer_release(layer);
    kl_scope_end(scope);
}

/* As in Keras 3 the result carries the query's mask, and the inputs none any more. */
static void masks_move_on(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_layer *embedding = kl_embedding(.input_dim = 5, .output_dim = 4, .mask_zero = true);
    kl_tensor *ids = kl_from_data(KL_INT32, 2, (const int64_t[]){1, 3}, (const int32_t[]){1, 2, 0});
    kl_tensor *x = kl_call(embedding, ids);
    assert_non_null(kl_tensor_mask(x));
    kl_layer *layer = kl_multi_head_attention(.num_heads = 2, .key_dim = 3);
    kl_tensors y = kl_call_with(layer, .inputs = {x, x});
    assert_non_null(kl_tensor_mask(y.at[0]));
    assert_false(kl_tensor_at(kl_tensor_mask(y.at[0]), 2));
    assert_null(kl_tensor_mask(x));
    kl_layer_release(layer);
    kl_layer_release(embedding);
    kl_scope_end(scope);
}

static void in_a_model(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_tensor *in = kl_input(.shape = {-1, 6});
    kl_tensors attended =
        kl_call_with(kl_group_query_attention(.head_dim = 4, .num_query_heads = 4,
                                              .num_key_value_heads = 2, .use_gate = true),
                     .inputs = {in, in}, .arguments = {{"use_causal_mask", .flag = true}});
    assert_non_null(attended.at);
    kl_tensor *out = kl_call(kl_dense(.units = 1), attended.at[0]);
    kl_model *model = kl_functional(.inputs = {in}, .outputs = {out});
    assert_int_equal(kl_compile(model, .optimizer = kl_adam(.learning_rate = 0.02), .loss = "mse"),
                     KL_OK);
    kl_tensor *x = draw(3, (const int64_t[]){16, 9, 6});
    kl_tensor *y = kl_op_cumsum(kl_op_sum(x, KL_AXES(-1), true), 1);
    kl_history *history = kl_fit(model, x, y, .epochs = 12, .verbose = 0);
    assert_non_null(history);
    size_t count;
    const double *losses = kl_history_get(history, "loss", &count);
    assert_true(losses[count - 1] < 0.9 * losses[0]);
    kl_history_free(history);
    kl_layer_release(model);
    kl_scope_end(scope);
}

static void refuse(kl_layer *layer, const char *part)
{
    assert_null(layer);
    if (!strstr(kl_last_error(), part))
        fail_msg("'%s' has no '%s'", kl_last_error(), part);
    kl_clear_error();
}

static void refuse_call(kl_layer *layer, kl_tensor *a, kl_tensor *b, kl_tensor *c, const char *part)
{
    assert_null(kl_call_with(layer, .inputs = {a, b, c}).at);
    if (!strstr(kl_last_error(), part))
        fail_msg("'%s' has no '%s'", kl_last_error(), part);
    kl_clear_error();
}

static void bad_input_is_told(void **state)
{
    kl_scope *scope = kl_scope_begin();
    refuse(kl_attention(.score_mode = "product"), "dot|concat");
    refuse(kl_attention(.dropout = 1.5), "dropout");
    refuse(kl_multi_head_attention(.key_dim = 3), "num_heads");
    refuse(kl_multi_head_attention(.num_heads = 2), "key_dim");
    refuse(kl_multi_head_attention(.num_heads = 2, .key_dim = 3, .value_dim = 0), "value_dim");
    refuse(kl_multi_head_attention(.num_heads = 2, .key_dim = 3, .sliding_window = 0), "window");
    refuse(kl_multi_head_attention(.num_heads = 2, .key_dim = 3, .dropout = 0.1,
                                   .flash_attention = true),
           "flash");
    refuse(kl_group_query_attention(.head_dim = 2, .num_query_heads = 4, .num_key_value_heads = 3),
           "divisible");
    kl_tensor *x = draw(3, (const int64_t[]){2, 3, 4}), *y = draw(3, (const int64_t[]){2, 5, 4});
    kl_tensor *flat = draw(2, (const int64_t[]){3, 4});
    kl_layer *layer =
        kl_multi_head_attention(.num_heads = 2, .key_dim = 3, .flash_attention = true);
    refuse_call(layer, x, NULL, NULL, "2 or 3 inputs");
    refuse_call(layer, x, y, x, "axis 1");
    refuse_call(layer, flat, y, NULL, "3 axes");
    assert_non_null(kl_call_with(layer, .inputs = {x, y}).at);
    /* Built: the same checks still hold, and what follows from the weights' shapes. */
    refuse_call(layer, x, NULL, NULL, "2 or 3 inputs");
    refuse_call(layer, draw(3, (const int64_t[]){2, 3, 5}), y, NULL, "size");
    refuse_call(layer, flat, y, NULL, "ndim");
    assert_null(kl_call_with(layer, .inputs = {x, y},
                             .arguments = {{"return_attention_scores", .flag = true}})
                    .at);
    assert_non_null(strstr(kl_last_error(), "flash"));
    kl_clear_error();
    kl_tensor *mask = kl_ones(KL_BOOL, 3, (const int64_t[]){2, 3, 4});
    assert_null(kl_call_with(layer, .inputs = {x, y},
                             .arguments = {{.name = "attention_mask", .value = mask}})
                    .at);
    assert_non_null(strstr(kl_last_error(), "mask"));
    kl_clear_error();
    kl_layer_release(layer);
    layer = kl_multi_head_attention(.num_heads = 2, .key_dim = 3,
                                    .attention_axes = {(const int64_t[]){2}, 1});
    refuse_call(layer, x, y, NULL, "attention_axes");
    kl_layer_release(layer);
    layer = kl_attention();
    refuse_call(layer, x, NULL, NULL, "2 or 3 inputs");
    refuse_call(layer, x, draw(3, (const int64_t[]){2, 5, 3}), NULL, "last axis");
    kl_layer_release(layer);
    kl_scope_end(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dropout_keeps_the_expectation),
                                       cmocka_unit_test(a_seed_decides_the_draws),
                                       cmocka_unit_test(scores_change_nothing),
                                       cmocka_unit_test(hidden_keys_do_not_matter),
                                       cmocka_unit_test(masks_move_on),
                                       cmocka_unit_test(in_a_model),
                                       cmocka_unit_test(bad_input_is_told)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
