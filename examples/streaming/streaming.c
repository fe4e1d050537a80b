/* A stateful model fed a step at a time equals the whole sequence at once. */
#include <klayers/klayers.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    return 1;
}

static double seconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static kl_model *make_model(bool stateful, int64_t steps)
{
    kl_model *model = kl_sequential(.name = stateful ? "stream" : "whole");
    kl_add(model, kl_input_layer(.batch_shape = {1, steps, 1}));
    kl_add(model, kl_gru(.units = 32, .return_sequences = true, .stateful = stateful));
    kl_add(model, kl_dense(.units = 1));
    return model;
}

int main(void)
{
    kl_set_random_seed(1);
    kl_tensor *series = kl_npy_load(KL_EXAMPLE_DATA "/../time_series/co2.npy");
    if (!series)
        return fail("the data");
    int64_t steps = kl_tensor_size(series);
    kl_tensor *mean = kl_op_mean(series, KL_ALL_AXES, false);
    kl_tensor *centred = kl_op_sub(series, mean), *scaled = kl_op_mul_scalar(centred, 0.05);
    kl_tensor *x = kl_op_reshape(scaled, 3, (const int64_t[]){1, steps, 1});

    kl_model *whole = make_model(false, steps), *stream = make_model(true, 1);
    kl_tensor *weights[16];
    int count = kl_layer_weights(whole, weights, 16);
    if (count > 16 || kl_layer_set_weights(stream, count, weights))
        return fail("the model");
    kl_tensor *expected = kl_predict(whole, x);
    if (!expected)
        return fail("the whole sequence");

    kl_tensor *step = kl_zeros(KL_FLOAT32, 3, (const int64_t[]){1, 1, 1});
    double worst = 0, spent = 0;
    for (int64_t t = 0; t < steps; t++) {
        *(float *)kl_tensor_mutable_data(step) = (float)kl_tensor_at(x, t);
        double start = seconds();
        kl_tensor *y = kl_predict(stream, step);
        spent += seconds() - start;
        if (!y)
            return fail("a step");
        worst = fmax(worst, fabs(kl_tensor_at(y, 0) - kl_tensor_at(expected, t)));
        kl_release(y);
    }
    printf("%lld steps, %.1f us each\n", (long long)steps, 1e6 * spent / (double)steps);
    printf("largest difference from the whole sequence: %.2g\n", worst);

    kl_layer_release(whole);
    kl_layer_release(stream);
    kl_tensor *all[] = {series, mean, centred, scaled, x, expected, step};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kl_release(all[i]);
    kl_shutdown();
    return worst < 1e-5 ? 0 : 1;
}
