/* A convolutional network on handwritten digits: trained on four fifths, tested on the rest. */
#include <klayers/klayers.h>
#include <stdio.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    return 1;
}

static kl_model *make_network(void)
{
    kl_model *model = kl_sequential(.name = "digits");
    kl_add(model, kl_input_layer(.shape = {8, 8, 1}));
    kl_add(model, kl_conv2d(.filters = 32, .kernel_size = {3, 3}, .padding = "same",
                            .activation = "relu"));
    kl_add(model, kl_batch_normalization());
    kl_add(model, kl_conv2d(.filters = 64, .kernel_size = {3, 3}, .padding = "same",
                            .activation = "relu"));
    kl_add(model, kl_max_pooling2d(.pool_size = {2, 2}));
    kl_add(model, kl_dropout(.rate = 0.25));
    kl_add(model, kl_flatten());
    kl_add(model, kl_dense(.units = 128, .activation = "relu"));
    kl_add(model, kl_dropout(.rate = 0.4));
    kl_add(model, kl_dense(.units = 10, .activation = "softmax"));
    return model;
}

/* Samples first to last of x, in an order drawn from the default generator. */
static kl_tensor *pick(kl_tensor *x, kl_tensor *order, int64_t first, int64_t last)
{
    kl_tensor *part = kl_view_slice(order, 0, first, last, 1);
    kl_tensor *result = kl_op_take(x, part, 0);
    kl_release(part);
    return result;
}

int main(void)
{
    kl_set_random_seed(7);
    kl_tensor *images = kl_npy_load(KL_EXAMPLE_DATA "/images.npy");
    kl_tensor *labels = kl_npy_load(KL_EXAMPLE_DATA "/labels.npy");
    if (!images || !labels)
        return fail("the data");

    /* The pixels run from 0 to 16. */
    kl_tensor *floats = kl_op_cast(images, KL_FLOAT32);
    kl_tensor *scaled = kl_op_mul_scalar(floats, 1.0 / 16);
    kl_tensor *draws = kl_op_random_uniform(KL_FLOAT32, 1, kl_tensor_shape(labels), 0, 1);
    kl_tensor *order = kl_op_argsort(draws, 0, false);
    int64_t count = kl_tensor_dim(images, 0), split = count * 4 / 5;
    kl_tensor *x_train = pick(scaled, order, 0, split), *y_train = pick(labels, order, 0, split);
    kl_tensor *x_test = pick(scaled, order, split, count);
    kl_tensor *y_test = pick(labels, order, split, count);

    kl_model *model = make_network();
    kl_summary(model, stdout);
    kl_compile(model, .optimizer = kl_adam(.learning_rate = 1e-3f),
               .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"});
    kl_history *history = kl_fit(model, x_train, y_train, .epochs = 20, .batch_size = 32);
    if (!history)
        return fail("training");
    kl_history *result = kl_evaluate(model, x_test, y_test);
    if (!result)
        return fail("evaluation");
    printf("test accuracy: %.4f\n", kl_history_last(result, "accuracy"));

    kl_history_free(history);
    kl_history_free(result);
    kl_layer_release(model);
    kl_tensor *all[] = {images, labels,  floats,  scaled, draws,
                        order,  x_train, y_train, x_test, y_test};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kl_release(all[i]);
    kl_shutdown();
    return 0;
}
