/* A table of real measurements: normalized by what it holds, then fitted. */
#include <klayers/klayers.h>
#include <math.h>
#include <stdio.h>

int main(void)
{
    kl_set_random_seed(3);
    kl_tensor *features = kl_npy_load(KL_EXAMPLE_DATA "/features.npy");
    kl_tensor *target = kl_npy_load(KL_EXAMPLE_DATA "/target.npy");
    if (!features || !target) {
        fprintf(stderr, "%s\n", kl_last_error());
        return 1;
    }
    int64_t count = kl_tensor_dim(features, 0), split = count * 4 / 5;
    kl_tensor *x_train = kl_view_slice(features, 0, 0, split, 1);
    kl_tensor *y_train = kl_view_slice(target, 0, 0, split, 1);
    kl_tensor *x_test = kl_view_slice(features, 0, split, KL_NONE, 1);
    kl_tensor *y_test = kl_view_slice(target, 0, split, KL_NONE, 1);

    kl_layer *normalization = kl_normalization();
    kl_layer_adapt(normalization, x_train);
    kl_model *model = kl_sequential(.name = "progression");
    kl_add(model, kl_input_layer(.shape = {10}));
    kl_add(model, normalization);
    kl_add(model,
           kl_dense(.units = 16, .activation = "relu", .kernel_regularizer = kl_l2(.l2 = 1)));
    kl_add(model, kl_dense(.units = 1));
    kl_compile(model, .optimizer = kl_adam(.learning_rate = 0.02), .loss = "mse",
               .metrics = {"mae"});
    kl_history *history = kl_fit(model, x_train, y_train, .epochs = 150, .verbose = 0);
    kl_history *result = history ? kl_evaluate(model, x_test, y_test) : NULL;
    if (!result) {
        fprintf(stderr, "%s\n", kl_last_error());
        return 1;
    }

    /* Against always answering the mean of the training part. */
    kl_tensor *mean = kl_op_mean(y_train, KL_ALL_AXES, false);
    kl_tensor *off = kl_op_sub(y_test, mean), *distance = kl_op_abs(off);
    kl_tensor *baseline = kl_op_mean(distance, KL_ALL_AXES, false);
    printf("mean absolute error of always the mean: %.1f\n", kl_tensor_at(baseline, 0));
    printf("mean absolute error on the test part:   %.1f\n", kl_history_last(result, "mae"));

    kl_tensor *first = kl_view_slice(x_test, 0, 0, 5, 1), *p = kl_predict(model, first);
    for (int i = 0; i < 5; i++)
        printf("patient %d: predicted %5.1f, measured %5.1f\n", i, kl_tensor_at(p, i),
               kl_tensor_at(y_test, i));

    kl_tensor *all[] = {features, target, x_train,  y_train,  x_test, y_test,
                        mean,     off,    distance, baseline, first,  p};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kl_release(all[i]);
    kl_history_free(history);
    kl_history_free(result);
    kl_layer_release(model);
    kl_shutdown();
    return 0;
}
