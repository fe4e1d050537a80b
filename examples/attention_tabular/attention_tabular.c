/*
 * Attention on a table: every measurement of a patient becomes a vector, the vectors attend to each
 * other, and their mean gives the disease's progression. Prints what the measurements attend to.
 */
#include <klayers/klayers.h>
#include <stdio.h>

enum { COLUMNS = 10, WIDTH = 16 };

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    return 1;
}

static kl_model *make_network(kl_layer *normalization, kl_layer *attention, kl_layer *embedding)
{
    kl_tensor *row = kl_input(.shape = {COLUMNS});
    kl_tensor *x = kl_call(normalization, row);
    x = kl_call(kl_reshape(.target_shape = {COLUMNS, 1}), x);
    /* A vector a column: its value times the column's own direction, plus the column's bias. */
    x = kl_call(embedding, x);
    kl_tensors attended = kl_call_with(attention, .inputs = {x, x});
    kl_tensors sum = {0};
    if (attended.at)
        sum = kl_call_with(kl_add_layer(), .inputs = {x, attended.at[0]});
    if (!sum.at)
        return NULL;
    x = kl_call(kl_dropout(.rate = 0.1), sum.at[0]);
    x = kl_call(kl_dense(.units = WIDTH, .activation = "gelu"), x);
    x = kl_call(kl_global_average_pooling1d(), x);
    x = kl_call(kl_dense(.units = 1), x);
    return kl_functional(.inputs = {row}, .outputs = {x}, .name = "progression");
}

/* How much each column is attended to, over patients, heads and attending columns. */
static void print_attention(kl_layer *normalization, kl_layer *embedding, kl_layer *attention,
                            kl_tensor *x)
{
    static const char *const names[COLUMNS] = {
        "age", "sex", "body mass", "blood pressure", "total cholesterol", "LDL",
        "HDL", "TCH", "LTG",       "glucose"};
    const int64_t shape[3] = {kl_tensor_dim(x, 0), COLUMNS, 1};
    kl_tensor *columns = kl_call(embedding, kl_op_reshape(kl_call(normalization, x), 3, shape));
    kl_tensors both = kl_call_with(attention, .inputs = {columns, columns},
                                   .arguments = {{"return_attention_scores", .flag = true}});
    if (both.count < 2)
        return;
    kl_tensor *mean = kl_op_mean(both.at[1], KL_AXES(0, 1, 2), false);
    for (int i = 0; i < COLUMNS; i++)
        printf("  %-18s %4.1f %%\n", names[i], 100 * kl_tensor_at(mean, i));
}

int main(void)
{
    kl_set_random_seed(5);
    kl_scope *scope = kl_scope_begin();
    kl_tensor *features = kl_npy_load(KL_EXAMPLE_DATA "/../regression/features.npy");
    kl_tensor *target = kl_npy_load(KL_EXAMPLE_DATA "/../regression/target.npy");
    if (!features || !target)
        return fail("the data");
    int64_t count = kl_tensor_dim(features, 0), split = count * 4 / 5;
    kl_tensor *x_train = kl_view_slice(features, 0, 0, split, 1);
    kl_tensor *x_test = kl_view_slice(features, 0, split, KL_NONE, 1);
    /* In hundreds, so that the first steps are of the right size. */
    kl_tensor *hundreds = kl_op_mul_scalar(target, 0.01);
    kl_tensor *y_train = kl_view_slice(hundreds, 0, 0, split, 1);
    kl_tensor *y_test = kl_view_slice(hundreds, 0, split, KL_NONE, 1);

    kl_layer *normalization = kl_normalization(), *embedding, *attention;
    kl_layer_adapt(normalization, x_train);
    embedding = kl_einsum_dense(.equation = "abc,bcd->abd", .output_shape = {COLUMNS, WIDTH},
                                .bias_axes = "bd");
    attention = kl_multi_head_attention(.num_heads = 4, .key_dim = 8);
    kl_model *model = make_network(normalization, attention, embedding);
    kl_summary(model, stdout);
    kl_compile(model, .optimizer = kl_adam(.learning_rate = 2e-3), .loss = "mse",
               .metrics = {"mae"});
    kl_history *history = kl_fit(model, x_train, y_train, .epochs = 60, .verbose = 0);
    kl_history *result = history ? kl_evaluate(model, x_test, y_test, .verbose = 0) : NULL;
    if (!result)
        return fail("training");

    kl_tensor *mean = kl_op_mean(y_train, KL_ALL_AXES, false);
    kl_tensor *off = kl_op_mean(kl_op_abs(kl_op_sub(y_test, mean)), KL_ALL_AXES, false);
    printf("a measurement is attended to by all:\n");
    print_attention(normalization, embedding, attention, x_test);
    printf("mean absolute error of always the mean: %.1f\n", 100 * kl_tensor_at(off, 0));
    printf("mean absolute error on the test part:   %.1f\n", 100 * kl_history_last(result, "mae"));

    kl_history_free(history);
    kl_history_free(result);
    kl_layer_release(model);
    kl_scope_end(scope);
    kl_shutdown();
    return 0;
}
