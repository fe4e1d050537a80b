/* Losses, metrics, optimizers and schedules against what real Keras gives. */
#include "training/golden_lines.h"
#include "klayers/layers/core.h"
#include "tensor/tensor.h"
#include "training/losses.h"

static void judge_loss(const kl_config *c, int line)
{
    kl_loss *loss = object_of(KL_KIND_LOSS, c);
    kl_tensor *t = tensor_of(kl_config_get(c, "y_true")),
              *p = tensor_of(kl_config_get(c, "y_pred"));
    kl_tensor *w = tensor_of(kl_config_get(c, "sample_weight"));
    kl_tensor *mask = tensor_of(kl_config_get(c, "mask"));
    kl_tensor_set_mask(p, mask);
    kl_tape *tape = kl_tape_begin();
    kl_tape_watch(tape, p);
    kl_tensor *value = kl_loss_call(loss, t, p, w), *gradient = NULL;
    assert_tensor(kl_object_class_name(loss), line, value, kl_config_get(c, "loss"), 1e-5);
    assert_int_equal(kl_tape_gradient(tape, value, 1, &p, &gradient), KL_OK);
    assert_tensor("gradient", line, gradient, kl_config_get(c, "gradient"), 1e-5);
    kl_release(gradient);
    kl_release(value);
    kl_release(t);
    kl_release(p);
    kl_release(w);
    kl_release(mask);
    kl_object_release(loss);
}

static void losses_are_keras_s(void **state)
{
    assert_true(for_each_line("functions/losses.jsonl", judge_loss) > 60);
}

static void judge_metric(const kl_config *c, int line)
{
    kl_metric *metric = object_of(KL_KIND_METRIC, c);
    const kl_config *updates = kl_config_get(c, "updates");
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < kl_config_count(updates); i++) {
            const kl_config *u = kl_config_at(updates, i);
            kl_tensor *t = tensor_of(kl_config_get(u, "y_true"));
            kl_tensor *p = tensor_of(kl_config_get(u, "y_pred"));
            kl_tensor *w = tensor_of(kl_config_get(u, "sample_weight"));
            if (kl_metric_update_state(metric, t, p, w))
                fail_msg("line %d: %s", line, kl_last_error());
            kl_release(t);
            kl_release(p);
            kl_release(w);
        }
        kl_tensor *result = kl_metric_result(metric);
        assert_tensor(kl_object_class_name(metric), line, result, kl_config_get(c, "result"), 1e-5);
        kl_release(result);
        kl_metric_reset(metric);
    }
    kl_object_release(metric);
}

static void metrics_are_keras_s(void **state)
{
    assert_true(for_each_line("functions/metrics.jsonl", judge_metric) > 60);
    assert_true(for_each_line("functions/metrics_more.jsonl", judge_metric) > 30);
    assert_true(for_each_line("functions/metrics_correlation.jsonl", judge_metric) == 8);
}

static void judge_optimizer(const kl_config *c, int line)
{
    kl_optimizer *optimizer = object_of(KL_KIND_OPTIMIZER, c);
    kl_layer *layer = kl_dense(.units = 4);
    const kl_shape shape = {.rank = 2, .at = {-1, 3}};
    assert_int_equal(kl_layer_build(layer, &shape, 1), KL_OK);
    kl_weight *weights[2] = {kl_layer_weight(layer, 0), kl_layer_weight(layer, 1)};
    for (int i = 0; i < 2; i++) {
        kl_tensor *start = tensor_of(kl_config_at(kl_config_get(c, "weights"), (size_t)i));
        assert_int_equal(kl_weight_assign(weights[i], start), KL_OK);
        kl_release(start);
    }
    const kl_config *steps = kl_config_get(c, "gradients");
    for (size_t k = 0; k < kl_config_count(steps); k++) {
        kl_tensor *gradients[2];
        for (size_t i = 0; i < 2; i++)
            gradients[i] = tensor_of(kl_config_at(kl_config_at(steps, k), i));
        if (kl_optimizer_apply(optimizer, 2, weights, gradients))
            fail_msg("line %d: %s", line, kl_last_error());
        kl_release(gradients[0]);
        kl_release(gradients[1]);
    }
    for (int i = 0; i < 2; i++)
        assert_tensor(kl_object_class_name(optimizer), line, kl_weight_value(weights[i]),
                      kl_config_at(kl_config_get(c, "weights_after"), (size_t)i), 1e-5);
    const kl_config *variables = kl_config_get(c, "variables");
    if (variables)
        assert_int_equal(kl_optimizer_variable_count(optimizer), kl_config_count(variables));
    for (size_t i = 0; i < kl_config_count(variables); i++) {
        const kl_config *pair = kl_config_at(variables, i);
        const char *name = NULL;
        const kl_tensor *value = kl_optimizer_variable(optimizer, (int)i, &name);
        assert_tensor(name, line, value, kl_config_at(pair, 1), 1e-5);
        const char *expected = kl_config_as_string(kl_config_at(pair, 0));
        /* The layer's name comes first here; Keras leaves Nadam's product without a name. */
        size_t length = strlen(expected), mine = strlen(name);
        if (strncmp(expected, "variable", 8) != 0 &&
            (mine < length || strcmp(name + mine - length, expected) != 0))
            fail_msg("line %d: variable %zu is %s instead of %s", line, i, name, expected);
    }
    kl_object_release(optimizer);
    kl_layer_release(layer);
}

static void optimizers_are_keras_s(void **state)
{
    assert_true(for_each_line("functions/optimizers.jsonl", judge_optimizer) > 20);
    assert_true(for_each_line("functions/optimizers_more.jsonl", judge_optimizer) == 3);
}

static void judge_schedule(const kl_config *c, int line)
{
    kl_schedule *schedule = object_of(KL_KIND_SCHEDULE, c);
    const kl_config *rates = kl_config_get(c, "rates");
    for (size_t step = 0; step < kl_config_count(rates); step++) {
        double want = number(kl_config_at(rates, step));
        double got = kl_schedule_call(schedule, (int64_t)step);
        if (!(fabs(got - want) <= 1e-5 * fmax(1e-3, fabs(want))))
            fail_msg("line %d, step %zu: %g instead of %g", line, step, got, want);
    }
    kl_object_release(schedule);
}

static void schedules_are_keras_s(void **state)
{
    assert_true(for_each_line("functions/schedules.jsonl", judge_schedule) > 8);
}

static void configs_come_back(void **state)
{
    kl_optimizer *adam =
        kl_adam(.schedule = kl_cosine_decay(.initial_learning_rate = 0.5, .decay_steps = 10),
                .amsgrad = true, .clipnorm = 2);
    kl_config *config = kl_object_serialize(adam);
    kl_optimizer *again = kl_object_deserialize(KL_KIND_OPTIMIZER, config);
    assert_non_null(again);
    kl_config *second = kl_object_serialize(again);
    assert_true(kl_config_equal(config, second));
    assert_true(fabs(kl_optimizer_learning_rate(again) - 0.5) < 1e-6);
    assert_int_not_equal(kl_optimizer_set_learning_rate(again, 1), KL_OK);
    kl_config_free(config);
    kl_config_free(second);
    kl_object_release(adam);
    kl_object_release(again);
}

static kl_tensor *absolute(kl_tensor *t, kl_tensor *p, void *user)
{
    ++*(int *)user;
    return kl_op_abs(kl_op_sub(t, p));
}

static void functions_of_one_s_own(void **state)
{
    int calls = 0;
    kl_loss *loss = kl_loss_from("mine", absolute, &calls);
    kl_metric *metric = kl_metric_from("mine_too", absolute, &calls);
    kl_tensor *t = kl_full(KL_FLOAT32, KL_DIMS(3, 2), 1),
              *p = kl_full(KL_FLOAT32, KL_DIMS(3, 2), 3);
    kl_tensor *value = kl_loss_call(loss, t, p, NULL);
    assert_true(fabs(kl_tensor_at(value, 0) - 2) < 1e-6);
    assert_int_equal(kl_metric_update_state(metric, t, p, NULL), KL_OK);
    assert_true(fabs(kl_metric_value(metric) - 2) < 1e-6);
    assert_string_equal(kl_metric_name(metric), "mine_too");
    assert_int_equal(calls, 2);
    kl_release(value);
    kl_release(t);
    kl_release(p);
    kl_object_release(loss);
    kl_object_release(metric);
}

#define FAILS(call, text)                                                                          \
    do {                                                                                           \
        kl_clear_error();                                                                          \
        assert_true(call);                                                                         \
        if (!strstr(kl_last_error(), text))                                                        \
            fail_msg("expected '%s' in: %s", text, kl_last_error());                               \
    } while (0)

static void bad_arguments_are_told(void **state)
{
    FAILS(!kl_loss_get("no_loss"), "unknown loss: 'no_loss'");
    FAILS(!kl_metric_get("no_metric"), "unknown metric: 'no_metric'");
    FAILS(!kl_optimizer_get("no_optimizer"), "unknown optimizer");
    FAILS(!kl_loss_mean_squared_error(.reduction = "average"), "reduction must be one of");
    FAILS(!kl_loss_binary_crossentropy(.label_smoothing = 2), "label_smoothing");
    FAILS(!kl_adam(.beta_1 = 1.5), "beta_1 must be from 0 to 1, got 1.5");
    FAILS(!kl_sgd(.gradient_accumulation_steps = 1), "gradient_accumulation_steps");
    FAILS(!kl_exponential_decay(.initial_learning_rate = 1, .decay_steps = 0, .decay_rate = 1),
          "decay_steps");
    FAILS(!kl_metric_precision(.thresholds = KL_FLOATS(2)), "thresholds");
    FAILS(!kl_adam_new(&(kl_adam_args){.beta_1 = 0.5}), "");
    kl_loss *loss = kl_loss_categorical_crossentropy();
    kl_tensor *a = kl_zeros(KL_FLOAT32, KL_DIMS(2, 3)), *b = kl_zeros(KL_FLOAT32, KL_DIMS(2, 4));
    FAILS(!kl_loss_call(loss, a, b, NULL), "(2, 3)");
    FAILS(!kl_loss_call(loss, NULL, b, NULL), "y_true");
    FAILS(!kl_loss_call(NULL, a, b, NULL), "loss");
    kl_release(a);
    kl_release(b);
    kl_object_release(loss);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_keras_s),     cmocka_unit_test(metrics_are_keras_s),
        cmocka_unit_test(optimizers_are_keras_s), cmocka_unit_test(schedules_are_keras_s),
        cmocka_unit_test(configs_come_back),      cmocka_unit_test(functions_of_one_s_own),
        cmocka_unit_test(bad_arguments_are_told),
    };
    kl_training_use();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
