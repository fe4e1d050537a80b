/* A layer of one's own by a vtable: called, trained, saved as a config and rebuilt. */
#include <klayers/klayers.h>
#include <stdio.h>

/* y = factor * x ^ power, the factor trainable, one a feature. */
typedef struct scale_state {
    double power; /* the argument, described by the table below */
    kl_weight *factor;
} scale_state;

static const kl_field scale_fields[] = {{"power", KL_FIELD_FLOAT, offsetof(scale_state, power), "1",
                                         .doc = "exponent", .min = 0, .max = 8},
                                        {0}};

static kl_status scale_build(kl_layer *self, const kl_shape *inputs, int count)
{
    scale_state *s = kl_layer_state(self);
    s->factor = kl_add_weight(.layer = self, .name = "factor",
                              .shape = {inputs[0].at[inputs[0].rank - 1]}, .initializer = "ones");
    return s->factor ? KL_OK : kl_last_status();
}

static kl_tensors scale_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const scale_state *s = kl_layer_state(self);
    kl_tensor *power = kl_op_pow_scalar(in.at[0], s->power);
    return kl_one(kl_op_mul(power, kl_read(ctx, s->factor)));
}

static const kl_layer_vtable scale_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Scale",
    .state_size = sizeof(scale_state),
    .fields = scale_fields,
    .build = scale_build,
    .call = scale_call,
};

int main(void)
{
    kl_set_random_seed(1);
    kl_register_layer(&scale_class);
    kl_layer *scale = kl_layer_from_config("Scale", "{\"power\": 2}");

    kl_model *model = kl_sequential(.name = "squares");
    kl_add(model, kl_input_layer(.shape = {3}));
    kl_add(model, scale);
    kl_compile(model, .optimizer = kl_sgd(.learning_rate = 0.5), .loss = "mse");

    /* Targets are 2, 3 and 4 times the squares. */
    kl_tensor *x = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(256, 3), -1, 1);
    kl_tensor *factors = kl_from_data(KL_FLOAT32, KL_DIMS(3), (const float[]){2, 3, 4});
    kl_tensor *squares = kl_op_square(x), *y = kl_op_mul(squares, factors);
    kl_history *history = kl_fit(model, x, y, .epochs = 60, .verbose = 0);
    if (!history) {
        fprintf(stderr, "%s\n", kl_last_error());
        return 1;
    }
    printf("loss: %.2g\n", kl_history_last(history, "loss"));
    printf("learned factors: ");
    kl_tensor_print(kl_weight_value(kl_layer_weight(scale, 0)), stdout);

    char *config = kl_layer_get_config(scale);
    printf("config: %s\n", config);
    kl_layer *again = kl_layer_from_config("Scale", config);
    kl_release(kl_call(again, x));
    kl_tensor *weight = kl_weight_value(kl_layer_weight(scale, 0));
    kl_layer_set_weights(again, 1, &weight);
    kl_tensor *a = kl_call(scale, x), *b = kl_call(again, x);
    printf("rebuilt: %s\n", kl_tensor_at(a, 5) == kl_tensor_at(b, 5) ? "same output" : "DIFFERS");

    kl_tensor *all[] = {x, factors, squares, y, a, b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kl_release(all[i]);
    kl_free_text(config);
    kl_history_free(history);
    kl_layer_release(again);
    kl_layer_release(model);
    kl_shutdown();
    return 0;
}
