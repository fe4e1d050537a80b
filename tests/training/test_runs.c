/* Whole training runs against what real Keras gives. */
#include "training/golden_lines.h"
#include "training/losses.h"

static kl_layer *layer_of(const kl_config *form)
{
    char *json = kl_config_print(kl_config_get(form, "config"), false);
    const char *name = kl_config_as_string(kl_config_get(form, "class_name"));
    kl_layer *layer = kl_layer_from_config(name, json);
    if (!layer)
        fail_msg("%s: %s", name, kl_last_error());
    kl_config_free_text(json);
    return layer;
}

static kl_model *sequential_of(const kl_config *layers, const kl_config *x)
{
    kl_model *model = kl_sequential();
    kl_input_layer_args input = kl_input_layer_defaults();
    const kl_config *dims = kl_config_get(x, "shape");
    for (size_t i = 1; i < kl_config_count(dims); i++)
        kl_config_as_int(kl_config_at(dims, i), &input.shape[i - 1]);
    kl_add(model, kl_input_layer_new(&input));
    for (size_t i = 0; i < kl_config_count(layers); i++)
        assert_int_equal(kl_add(model, layer_of(kl_config_at(layers, i))), KL_OK);
    return model;
}

static kl_model *model_of(const kl_config *c)
{
    const kl_config *form = kl_config_get(c, "model");
    kl_model *model =
        form ? layer_of(form)
             : sequential_of(kl_config_get(c, "layers"), kl_config_at(kl_config_get(c, "x"), 0));
    const kl_config *weights = kl_config_get(c, "weights");
    kl_tensor *values[64];
    assert_true(kl_config_count(weights) <= 64);
    int count = (int)kl_config_count(weights);
    for (int i = 0; i < count; i++)
        values[i] = tensor_of(kl_config_at(weights, (size_t)i));
    assert_int_equal(kl_layer_set_weights(model, count, values), KL_OK);
    for (int i = 0; i < count; i++)
        kl_release(values[i]);
    return model;
}

static void judge_history(const kl_history *history, const kl_config *expected)
{
    for (size_t i = 0; i < kl_config_count(expected); i++) {
        const char *name = kl_config_key(expected, i);
        const kl_config *values = kl_config_at(expected, i);
        size_t count;
        const double *got = kl_history_get(history, name, &count);
        if (!got)
            fail_msg("%s", kl_last_error());
        assert_int_equal(count, kl_config_count(values));
        for (size_t k = 0; k < count; k++) {
            double want = number(kl_config_at(values, k));
            if (!(fabs(got[k] - want) <= 1e-5 * fmax(1e-1, fabs(want))))
                fail_msg("%s[%zu]: %.8g instead of %.8g", name, k, got[k], want);
        }
    }
    assert_null(kl_history_name(history, kl_config_count(expected)));
}

static int tensors_of(const kl_config *list, kl_tensor **out)
{
    int count = (int)kl_config_count(list);
    for (int i = 0; i < count; i++)
        out[i] = tensor_of(kl_config_at(list, (size_t)i));
    return count;
}

static void judge_run(const kl_config *c, int line)
{
    kl_model *model = model_of(c);
    if (kl_model_compile_from_config(model, kl_config_get(c, "compile_config")))
        fail_msg("compile: %s", kl_last_error());
    const kl_config *fit = kl_config_get(c, "fit"), *value;
    kl_fit_args args = kl_fit_defaults();
    float weights[16];
    args.model = model;
    int inputs = tensors_of(kl_config_get(c, "x"), args.inputs);
    int targets = tensors_of(kl_config_get(c, "y"), args.targets);
    args.sample_weight = tensor_of(kl_config_get(c, "sample_weight"));
    args.shuffle = false;
    args.verbose = 0;
    args.epochs = (int64_t)number(kl_config_get(fit, "epochs"));
    args.batch_size = (int64_t)number(kl_config_get(fit, "batch_size"));
    if ((value = kl_config_get(fit, "validation_split")))
        args.validation_split = number(value);
    if ((value = kl_config_get(fit, "class_weight"))) {
        for (size_t i = 0; i < kl_config_count(value); i++)
            weights[i] = (float)number(kl_config_at(value, i));
        args.class_weight = (kl_floats){weights, kl_config_count(value)};
    }
    kl_history *history = kl_fit_with(&args);
    if (!history)
        fail_msg("fit: %s", kl_last_error());
    judge_history(history, kl_config_get(c, "history"));
    const kl_config *after = kl_config_get(c, "weights_after");
    for (size_t i = 0; i < kl_config_count(after); i++)
        assert_tensor(kl_weight_path(kl_layer_weight(model, (int)i)), line,
                      kl_weight_value(kl_layer_weight(model, (int)i)), kl_config_at(after, i),
                      2e-5);
    kl_tensor *predicted[4];
    assert_int_equal(kl_predict_many(model, inputs, args.inputs, 7, predicted), KL_OK);
    for (int i = 0; i < targets; i++) {
        assert_tensor("predictions", line, predicted[i],
                      kl_config_at(kl_config_get(c, "predictions"), (size_t)i), 2e-5);
        kl_release(predicted[i]);
    }
    /* What the model was compiled with comes back from its own config. */
    kl_config *config = kl_model_compile_config(model);
    assert_int_equal(kl_model_compile_from_config(model, config), KL_OK);
    kl_config *again = kl_model_compile_config(model);
    assert_true(kl_config_equal(config, again));
    kl_config_free(config);
    kl_config_free(again);
    for (int i = 0; i < inputs; i++)
        kl_release(args.inputs[i]);
    for (int i = 0; i < targets; i++)
        kl_release(args.targets[i]);
    kl_release(args.sample_weight);
    kl_history_free(history);
    kl_layer_release(model);
}

#define RUN(name)                                                                                  \
    static void name(void **state)                                                                 \
    {                                                                                              \
        assert_int_equal(for_each_line("training/" #name ".json", judge_run), 1);                  \
    }
RUN(sgd_momentum)
RUN(rmsprop_constraint)
RUN(adam_clipped)
RUN(class_weight_schedule)
RUN(embedding_sgd)
RUN(embedding_momentum)
RUN(embedding_adagrad)
RUN(embedding_adam)
RUN(embedding_rmsprop)
RUN(convolution)
RUN(averaged)
RUN(two_outputs)
RUN(residual_network)
RUN(encoder)
RUN(decoder)
RUN(lstm)
RUN(gru)
RUN(simple_rnn)
RUN(bidirectional)
RUN(bidirectional_gru)
RUN(conv_lstm)
RUN(encoder_layer_norm)
RUN(spectral)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_momentum),
        cmocka_unit_test(rmsprop_constraint),
        cmocka_unit_test(adam_clipped),
        cmocka_unit_test(class_weight_schedule),
        cmocka_unit_test(embedding_sgd),
        cmocka_unit_test(embedding_momentum),
        cmocka_unit_test(embedding_adagrad),
        cmocka_unit_test(embedding_adam),
        cmocka_unit_test(embedding_rmsprop),
        cmocka_unit_test(convolution),
        cmocka_unit_test(averaged),
        cmocka_unit_test(two_outputs),
        cmocka_unit_test(residual_network),
        cmocka_unit_test(encoder),
        cmocka_unit_test(decoder),
        cmocka_unit_test(lstm),
        cmocka_unit_test(gru),
        cmocka_unit_test(simple_rnn),
        cmocka_unit_test(bidirectional),
        cmocka_unit_test(bidirectional_gru),
        cmocka_unit_test(conv_lstm),
        cmocka_unit_test(encoder_layer_norm),
        cmocka_unit_test(spectral),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
