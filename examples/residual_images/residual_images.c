/*
 * A residual network on handwritten digits: blocks of two convolutions around which the input goes
 * by, built as a graph, trained on four fifths, tested on the rest.
 */
#include <klayers/klayers.h>
#include <stdio.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    return 1;
}

static kl_tensor *convolve(kl_tensor *x, int64_t filters, int64_t size, int64_t strides)
{
    x = kl_call(kl_conv2d(.filters = filters, .kernel_size = {size}, .strides = {strides},
                          .padding = "same", .use_bias = false, .kernel_initializer = "he_normal",
                          .kernel_regularizer = kl_l2(.l2 = 1e-4)),
                x);
    return kl_call(kl_batch_normalization(.momentum = 0.9), x);
}

static kl_tensor *block(kl_tensor *x, int64_t filters, int64_t strides)
{
    kl_tensor *y =
        kl_call(kl_activation_layer(.activation = "relu"), convolve(x, filters, 3, strides));
    y = convolve(y, filters, 3, 1);
    /* Where the shape changes, what goes by is projected. */
    if (strides != 1)
        x = convolve(x, filters, 1, strides);
    kl_tensors sum = kl_call_with(kl_add_layer(), .inputs = {x, y});
    return sum.at ? kl_call(kl_activation_layer(.activation = "relu"), sum.at[0]) : NULL;
}

static kl_model *make_network(void)
{
    kl_tensor *image = kl_input(.shape = {8, 8, 1});
    kl_tensor *x = kl_call(kl_activation_layer(.activation = "relu"), convolve(image, 16, 3, 1));
    x = block(x, 16, 1);
    x = block(x, 32, 2);
    x = block(x, 32, 1);
    x = kl_call(kl_global_average_pooling2d(), x);
    x = kl_call(kl_dense(.units = 10, .activation = "softmax"), x);
    return kl_functional(.inputs = {image}, .outputs = {x}, .name = "residual_digits");
}

/* Samples first to last of x in the given order. */
static kl_tensor *pick(kl_tensor *x, kl_tensor *order, int64_t first, int64_t last)
{
    return kl_op_take(x, kl_view_slice(order, 0, first, last, 1), 0);
}

/* The fraction of test images whose class has the nearest mean image. */
static double nearest_mean(kl_tensor *x_train, kl_tensor *y_train, kl_tensor *x_test,
                           kl_tensor *y_test)
{
    kl_tensor *classes = kl_op_one_hot(y_train, 10, -1, KL_FLOAT32);
    kl_tensor *pixels = kl_op_reshape(x_train, 2, (const int64_t[]){-1, 64});
    kl_tensor *means = kl_op_div(kl_op_matmul_t(classes, true, pixels, false),
                                 kl_op_expand_dims(kl_op_sum(classes, KL_AXES(0), false), 1));
    kl_tensor *tests = kl_op_reshape(x_test, 3, (const int64_t[]){-1, 1, 64});
    kl_tensor *far = kl_op_sum(kl_op_squared_difference(tests, means), KL_AXES(-1), false);
    kl_tensor *guess = kl_op_cast(kl_op_argmin(far, -1), kl_tensor_dtype(y_test));
    kl_tensor *hits = kl_op_cast(kl_op_equal(guess, y_test), KL_FLOAT32);
    return kl_tensor_at(kl_op_mean(hits, KL_ALL_AXES, false), 0);
}

int main(void)
{
    kl_set_random_seed(7);
    /* What is made below belongs to the scope and goes with it. */
    kl_scope *scope = kl_scope_begin();
    kl_tensor *images = kl_npy_load(KL_EXAMPLE_DATA "/../digits/images.npy");
    kl_tensor *labels = kl_npy_load(KL_EXAMPLE_DATA "/../digits/labels.npy");
    if (!images || !labels)
        return fail("the data");
    kl_tensor *scaled = kl_op_mul_scalar(kl_op_cast(images, KL_FLOAT32), 1.0 / 16);
    kl_tensor *draws = kl_op_random_uniform(KL_FLOAT32, 1, kl_tensor_shape(labels), 0, 1);
    kl_tensor *order = kl_op_argsort(draws, 0, false);
    int64_t count = kl_tensor_dim(images, 0), split = count * 4 / 5;
    kl_tensor *x_train = pick(scaled, order, 0, split), *y_train = pick(labels, order, 0, split);
    kl_tensor *x_test = pick(scaled, order, split, count);
    kl_tensor *y_test = pick(labels, order, split, count);

    kl_model *model = make_network();
    kl_summary(model, stdout);
    kl_compile(model, .optimizer = kl_sgd(.learning_rate = 0.05, .momentum = 0.9, .nesterov = true),
               .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"});
    kl_history *history = kl_fit(model, x_train, y_train, .epochs = 15, .batch_size = 32);
    kl_history *result = history ? kl_evaluate(model, x_test, y_test) : NULL;
    if (!result)
        return fail("training");
    printf("test accuracy of the nearest mean image: %.4f\n",
           nearest_mean(x_train, y_train, x_test, y_test));
    printf("test accuracy: %.4f\n", kl_history_last(result, "accuracy"));

    kl_history_free(history);
    kl_history_free(result);
    kl_layer_release(model);
    kl_scope_end(scope);
    kl_shutdown();
    return 0;
}
