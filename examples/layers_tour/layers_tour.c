/* A walk through the layers API, one short section a step. */
#include <klayers/klayers.h>
#include <stdio.h>

static void heading(const char *text)
{
    printf("\n== %s\n", text);
}

static void print_shape(const char *what, const kl_tensor *tensor)
{
    char text[160];
    printf("%s: %s\n", what,
           kl_shape_text(kl_tensor_rank(tensor), kl_tensor_shape(tensor), text, sizeof text));
}

static void call_a_layer(void)
{
    heading("Call a layer and read its weights");
    kl_layer *layer = kl_dense(.units = 2, .activation = "relu");
    kl_tensor *x = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(3, 4), 0, 1);
    kl_tensor *y = kl_call(layer, x);
    kl_tensor_print(y, stdout);
    for (int i = 0; i < kl_layer_weight_count(layer); i++)
        print_shape(kl_weight_path(kl_layer_weight(layer, i)),
                    kl_weight_value(kl_layer_weight(layer, i)));
    kl_release(x);
    kl_release(y);
    kl_layer_release(layer);
}

static kl_tensor *square(kl_tensor *x, void *user)
{
    return kl_op_square(x);
}

static void activations(void)
{
    heading("Activations three ways: a name, an object, one's own function");
    kl_layer *layers[] = {
        kl_activation_layer(.activation = "relu"),
        kl_activation_layer(.activation = kl_activation_leaky_relu(.negative_slope = 0.1)),
        kl_activation_layer(.activation = kl_activation_from("square", square, NULL))};
    kl_tensor *x = kl_from_data(KL_FLOAT32, KL_DIMS(1, 3), (const float[]){-2, 0, 3});
    for (int i = 0; i < 3; i++) {
        kl_tensor *y = kl_call(layers[i], x);
        kl_tensor_print(y, stdout);
        kl_release(y);
        kl_layer_release(layers[i]);
    }
    kl_release(x);
}

static void initializers(void)
{
    heading("Initializers by object and by name");
    kl_layer *layers[] = {
        kl_dense(.units = 3, .kernel_initializer = kl_random_normal(.stddev = 0.01, .seed = 5)),
        kl_dense(.units = 3, .kernel_initializer = "random_normal")};
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(1, 2));
    for (int i = 0; i < 2; i++) {
        kl_release(kl_call(layers[i], x));
        kl_tensor_print(kl_weight_value(kl_layer_weight(layers[i], 0)), stdout);
        kl_layer_release(layers[i]);
    }
    kl_release(x);
}

static void regularizers(void)
{
    heading("Regularizers and the losses they add");
    kl_layer *layer = kl_dense(.units = 5, .kernel_initializer = "ones",
                               .kernel_regularizer = kl_l1l2(.l1 = 1e-5, .l2 = 1e-4),
                               .bias_regularizer = "l2", .activity_regularizer = kl_l2(.l2 = 1e-5));
    kl_tensor *x = kl_ones(KL_FLOAT32, KL_DIMS(2, 5)), *y = kl_call(layer, x), *losses[4];
    int count = kl_layer_losses_list(layer, losses, 4);
    for (int i = 0; i < count; i++) {
        printf("loss %d: %g\n", i, kl_tensor_at(losses[i], 0));
        kl_release(losses[i]);
    }
    kl_release(x);
    kl_release(y);
    kl_layer_release(layer);
}

static void constraints(void)
{
    heading("A constraint: max_norm");
    kl_constraint *constraint = kl_max_norm(.max_value = 2);
    kl_tensor *w = kl_full(KL_FLOAT32, KL_DIMS(4, 2), 3), *projected;
    projected = kl_constraint_call(constraint, w);
    kl_tensor_print(projected, stdout);
    kl_release(w);
    kl_release(projected);
    kl_object_release(constraint);
}

static void convolution(void)
{
    heading("Conv2D on images");
    kl_layer *layer = kl_conv2d(.filters = 2, .kernel_size = {3, 3}, .activation = "relu");
    kl_tensor *x = kl_op_random_normal(KL_FLOAT32, KL_DIMS(4, 28, 28, 3), 0, 1);
    kl_tensor *y = kl_call(layer, x);
    print_shape("input", x);
    print_shape("output", y);
    kl_release(x);
    kl_release(y);
    kl_layer_release(layer);
}

static void summary(void)
{
    heading("A model of Embedding, LSTM and Dense");
    kl_model *model = kl_sequential(.name = "text");
    kl_add(model, kl_input_layer(.shape = {80}, .dtype = "int32"));
    kl_add(model, kl_embedding(.input_dim = 1000, .output_dim = 64));
    kl_add(model, kl_lstm(.units = 128));
    kl_add(model, kl_dense(.units = 10));
    kl_summary(model, stdout);
    kl_layer_release(model);
}

static void sessions(void)
{
    heading("Automatic names, and clear_session");
    kl_clear_session();
    kl_layer *a = kl_dense(.units = 1), *b = kl_dense(.units = 1);
    printf("%s, %s", kl_layer_name(a), kl_layer_name(b));
    kl_clear_session();
    kl_layer *c = kl_dense(.units = 1);
    printf(", and after clear_session %s again\n", kl_layer_name(c));
    kl_layer_release(a);
    kl_layer_release(b);
    kl_layer_release(c);
}

int main(void)
{
    kl_set_random_seed(1);
    call_a_layer();
    activations();
    initializers();
    regularizers();
    constraints();
    convolution();
    summary();
    sessions();
    if (*kl_last_error())
        printf("\nerror: %s\n", kl_last_error());
    kl_shutdown();
    return 0;
}
