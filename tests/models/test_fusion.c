/* At inference a model runs a linear layer, its BatchNormalization and its ReLU as one: what comes
   out is what the layers give one by one, whatever happens to their weights. */
#include <math.h>
#include <pthread.h>

#include "base/test_support.h"
#include "layers/layer.h"
#include "models/model.h"
#include "models/models.h"

/* One layer after the other, outside the model: nothing is joined there. */
static kl_tensor *one_by_one(const kl_model *model, kl_tensor *x)
{
    kl_tensor *y = kl_retain(x);
    for (int i = 0; i < model->sublayer_count; i++) {
        kl_tensor *next = kl_call(model->sublayers[i].layer, y);
        kl_release(y);
        if (!next)
            fail_msg("%s", kl_last_error());
        y = next;
    }
    return y;
}

static void assert_close(kl_tensor *got, kl_tensor *want)
{
    assert_non_null(got);
    assert_int_equal(kl_tensor_size(got), kl_tensor_size(want));
    /* Of channels_first they may be views. */
    got = kl_copy(got, KL_FLOAT32);
    want = kl_copy(want, KL_FLOAT32);
    const float *g = kl_tensor_floats(got), *w = kl_tensor_floats(want);
    double most = 0;
    for (int64_t i = 0; i < kl_tensor_size(want); i++)
        most = fmax(most, fabs((double)w[i]));
    for (int64_t i = 0; i < kl_tensor_size(want); i++)
        if (!(fabs((double)g[i] - (double)w[i]) <= 1e-5 * (fabs((double)w[i]) + 0.1 * most)))
            fail_msg("%lld: %.9g, one by one %.9g", (long long)i, (double)g[i], (double)w[i]);
    kl_release(got);
    kl_release(want);
}

static kl_tensor *predict(kl_model *model, kl_tensor *x)
{
    kl_tensor *y = kl_predict(model, x, .batch_size = 64);
    if (!y)
        fail_msg("%s", kl_last_error());
    return y;
}

static void check_model(kl_model *model, kl_tensor *x)
{
    kl_tensor *got = predict(model, x), *want = one_by_one(model, x);
    assert_close(got, want);
    kl_release(got);
    kl_release(want);
}

/* Random numbers in every weight, variances above 0. */
static void fill_weights(kl_model *model)
{
    for (int i = 0; i < kl_layer_weight_count(model); i++) {
        kl_weight *weight = kl_layer_weight(model, i);
        kl_tensor *value = kl_weight_value(weight);
        int64_t shape[KL_MAX_RANK];
        for (int k = 0; k < kl_tensor_rank(value); k++)
            shape[k] = kl_tensor_shape(value)[k];
        bool variance = strstr(kl_weight_name(weight), "variance");
        kl_tensor *noise = kl_op_random_uniform(KL_FLOAT32, kl_tensor_rank(value), shape,
                                                variance ? 0.3 : -1, variance ? 2 : 1);
        assert_int_equal(kl_weight_assign(weight, noise), KL_OK);
        kl_release(noise);
    }
}

static int joined(const kl_model *model)
{
    const kl_executor *ex = kl_model_executor(model);
    int count = 0;
    for (int i = 0; i < ex->step_count; i++)
        count += ex->steps[i].fold ? ex->steps[i].fold_steps : 0;
    return count;
}

/* The layer, its normalization and, if not NULL, an activation; the steps joined are counted. */
static void check_chain(kl_tensor *x, kl_layer *first, kl_layer *norm, kl_layer *relu, int steps)
{
    kl_model *model = kl_sequential();
    int64_t shape[KL_MAX_RANK] = {0};
    for (int i = 1; i < kl_tensor_rank(x); i++)
        shape[i - 1] = kl_tensor_shape(x)[i];
    kl_input_layer_args args = kl_input_layer_defaults();
    memcpy(args.shape, shape, sizeof shape);
    assert_int_equal(kl_add(model, kl_input_layer_new(&args)), KL_OK);
    assert_int_equal(kl_add(model, first), KL_OK);
    assert_int_equal(kl_add(model, norm), KL_OK);
    if (relu)
        assert_int_equal(kl_add(model, relu), KL_OK);
    check_model(model, x);
    assert_int_equal(joined(model), steps);
    for (int i = 0; i < 2; i++) {
        fill_weights(model);
        check_model(model, x);
    }
    kl_layer_release(model);
    kl_release(x);
}

static kl_tensor *noise(int rank, const int64_t *shape)
{
    return sample_noise(rank, shape);
}

static kl_layer *relu(void)
{
    return kl_activation_layer(.activation = "relu");
}

static void convolutions_are_joined(void **state)
{
    check_chain(
        noise(KL_DIMS(3, 11, 5)),
        kl_conv1d(.filters = 7, .kernel_size = {3}, .padding = "causal", .dilation_rate = {2}),
        kl_batch_normalization(), relu(), 3);
    check_chain(noise(KL_DIMS(2, 9, 10, 6)),
                kl_conv2d(.filters = 8, .kernel_size = {3}, .groups = 2, .strides = {2},
                          .padding = "same", .use_bias = false),
                kl_batch_normalization(.epsilon = 0.1), kl_relu(), 3);
    check_chain(noise(KL_DIMS(1, 3, 8, 7)),
                kl_conv2d(.filters = 5, .kernel_size = {2, 3}, .data_format = "channels_first"),
                kl_batch_normalization(.axis = 1, .scale = false), relu(), 3);
    check_chain(noise(KL_DIMS(2, 5, 6, 7, 3)), kl_conv3d(.filters = 4, .kernel_size = {2}),
                kl_batch_normalization(.center = false), NULL, 2);
    check_chain(noise(KL_DIMS(2, 9, 3)), kl_conv1d(.filters = 4, .kernel_size = {1}),
                kl_batch_normalization(), kl_relu(.max_value = 1), 2);
}

static void depthwise_ones_are_joined(void **state)
{
    check_chain(noise(KL_DIMS(2, 9, 8, 3)),
                kl_depthwise_conv2d(.kernel_size = {3}, .depth_multiplier = 2),
                kl_batch_normalization(), relu(), 3);
    check_chain(noise(KL_DIMS(2, 3, 9, 8)),
                kl_depthwise_conv2d(.kernel_size = {3}, .depth_multiplier = 3, .use_bias = false,
                                    .data_format = "channels_first"),
                kl_batch_normalization(.axis = 1), NULL, 2);
    check_chain(noise(KL_DIMS(2, 9, 16)), kl_depthwise_conv1d(.kernel_size = {3}),
                kl_batch_normalization(), relu(), 3);
}

static void transposed_ones_are_joined(void **state)
{
    check_chain(noise(KL_DIMS(2, 7, 5)),
                kl_conv1d_transpose(.filters = 4, .kernel_size = {3}, .strides = {2}),
                kl_batch_normalization(), relu(), 3);
    check_chain(noise(KL_DIMS(2, 4, 5, 3)),
                kl_conv2d_transpose(.filters = 6, .kernel_size = {3}, .padding = "same",
                                    .strides = {2}, .use_bias = false),
                kl_batch_normalization(), relu(), 3);
    check_chain(noise(KL_DIMS(1, 3, 4, 5, 2)),
                kl_conv3d_transpose(.filters = 3, .kernel_size = {2}), kl_batch_normalization(),
                NULL, 2);
}

static void dense_ones_are_joined(void **state)
{
    check_chain(noise(KL_DIMS(9, 13)), kl_dense(.units = 17), kl_batch_normalization(), relu(), 3);
    check_chain(noise(KL_DIMS(2, 5, 6)), kl_dense(.units = 4, .use_bias = false),
                kl_batch_normalization(), kl_relu(), 3);
}

static void others_are_left_alone(void **state)
{
    check_chain(noise(KL_DIMS(2, 6, 5)), kl_dense(.units = 4), kl_batch_normalization(.axis = 1),
                relu(), 0);
    check_chain(noise(KL_DIMS(9, 5)), kl_dense(.units = 4, .activation = "tanh"),
                kl_batch_normalization(), relu(), 0);
    check_chain(noise(KL_DIMS(9, 5)), kl_dense(.units = 4, .activity_regularizer = "l2"),
                kl_batch_normalization(), relu(), 0);
    check_chain(noise(KL_DIMS(9, 5)), kl_dense(.units = 4, .dtype = "mixed_float16"),
                kl_batch_normalization(.dtype = "float32"), relu(), 0);
    check_chain(noise(KL_DIMS(9, 5)), kl_dense(.units = 4, .lora_rank = 2),
                kl_batch_normalization(), relu(), 0);
    check_chain(noise(KL_DIMS(9, 5)), kl_dropout(.rate = 0.5), kl_batch_normalization(), relu(), 0);
}

/* Without a normalization nothing is folded: the bits stay. */
static void a_relu_alone_keeps_the_bits(void **state)
{
    kl_tensor *x = noise(KL_DIMS(5, 8, 8, 3));
    kl_model *model = kl_sequential();
    kl_add(model, kl_conv2d(.filters = 6, .kernel_size = {3}, .input_shape = {8, 8, 3}));
    assert_int_equal(kl_add(model, relu()), KL_OK);
    kl_tensor *got = predict(model, x), *want = one_by_one(model, x);
    assert_int_equal(joined(model), 2);
    assert_memory_equal(kl_tensor_floats(got), kl_tensor_floats(want),
                        (size_t)kl_tensor_size(want) * sizeof(float));
    kl_release(got);
    kl_release(want);
    kl_layer_release(model);
    kl_release(x);
}

/* The bits of a sum's ReLU stay too. */
static void sums_are_joined(void **state)
{
    kl_tensor *x[] = {noise(KL_DIMS(6, 90, 80)), noise(KL_DIMS(6, 90, 80))};
    kl_tensor *in[] = {kl_input(.shape = {90, 80}), kl_input(.shape = {90, 80})};
    kl_tensor *sum = sample_merge(kl_add_layer(), in[0], in[1]);
    kl_model *model = kl_functional(.inputs = {in[0], in[1]}, .outputs = {kl_call(relu(), sum)});
    assert_int_equal(joined(model), 2);
    kl_tensor *got = NULL, *plain = kl_op_add(x[0], x[1]), *want = kl_op_relu(plain);
    for (int threads = 1; threads <= 2; threads++) {
        kl_set_num_threads(threads);
        assert_int_equal(kl_predict_many(model, 2, x, 6, &got), KL_OK);
        assert_memory_equal(kl_tensor_floats(got), kl_tensor_floats(want),
                            (size_t)kl_tensor_size(want) * sizeof(float));
        kl_release(got);
    }
    kl_layer_release(model);
    kl_tensor *all[] = {plain, want, x[0], x[1]};
    for (int i = 0; i < 4; i++)
        kl_release(all[i]);
}

static void sums_that_spread_are_not(void **state)
{
    kl_tensor *x[] = {noise(KL_DIMS(6, 9, 8)), noise(KL_DIMS(6, 1, 8))};
    kl_tensor *in[] = {kl_input(.shape = {9, 8}), kl_input(.shape = {1, 8})};
    kl_tensor *sum = sample_merge(kl_add_layer(), in[0], in[1]);
    kl_model *model = kl_functional(.inputs = {in[0], in[1]}, .outputs = {kl_call(relu(), sum)});
    kl_tensor *got = NULL, *plain = kl_op_add(x[0], x[1]), *want = kl_op_relu(plain);
    assert_int_equal(kl_predict_many(model, 2, x, 6, &got), KL_OK);
    assert_close(got, want);
    kl_layer_release(model);
    kl_tensor *all[] = {plain, want, x[0], x[1], got};
    for (int i = 0; i < 5; i++)
        kl_release(all[i]);
}

static void outputs_in_between_stay(void **state)
{
    kl_tensor *x = noise(KL_DIMS(4, 6, 6, 2)), *out[2];
    for (int which = 0; which < 2; which++) {
        kl_tensor *in = kl_input(.shape = {6, 6, 2});
        kl_tensor *a = kl_call(kl_conv2d(.filters = 3, .kernel_size = {3}), in);
        kl_tensor *b = kl_call(kl_batch_normalization(), a), *c = kl_call(relu(), b);
        kl_model *model = kl_functional(.inputs = {in}, .outputs = {c, which ? b : a});
        assert_non_null(model);
        fill_weights(model);
        assert_int_equal(joined(model), which ? 2 : 0);
        assert_int_equal(kl_predict_many(model, 1, &x, 4, out), KL_OK);
        kl_tensor *want = kl_retain(x);
        for (int i = 0; i < model->sublayer_count; i++) {
            kl_tensor *next = kl_call(model->sublayers[i].layer, want);
            kl_release(want);
            want = next;
            if (i == model->sublayer_count - 3 + which)
                assert_close(out[1], want);
        }
        assert_close(out[0], want);
        kl_release(want);
        kl_release(out[0]);
        kl_release(out[1]);
        kl_layer_release(model);
    }
    kl_release(x);
}

/* A convolution that two read, one of them a normalization. */
static void other_readers_get_theirs(void **state)
{
    kl_tensor *x = noise(KL_DIMS(4, 6, 6, 3));
    kl_tensor *in = kl_input(.shape = {6, 6, 3});
    kl_tensor *a = kl_call(kl_conv2d(.filters = 3, .kernel_size = {3}, .padding = "same"), in);
    kl_tensor *b = kl_call(kl_batch_normalization(), a);
    kl_model *model = kl_functional(.inputs = {in}, .outputs = {sample_merge(kl_subtract(), a, b)});
    fill_weights(model);
    assert_int_equal(joined(model), 0);
    kl_tensor *got = predict(model, x);
    kl_tensor *p = NULL, *q = NULL;
    for (int i = 0; i < model->sublayer_count; i++)
        if (!strcmp(kl_object_class_name(model->sublayers[i].layer), "Conv2D"))
            p = kl_call(model->sublayers[i].layer, x);
    for (int i = 0; i < model->sublayer_count; i++)
        if (!strcmp(kl_object_class_name(model->sublayers[i].layer), "BatchNormalization"))
            q = kl_call(model->sublayers[i].layer, p);
    kl_tensor *want = kl_op_sub(p, q);
    assert_close(got, want);
    kl_tensor *all[] = {x, got, p, q, want};
    for (int i = 0; i < 5; i++)
        kl_release(all[i]);
    kl_layer_release(model);
}

static kl_model *small_net(void)
{
    kl_set_random_seed(3);
    kl_model *model = kl_sequential();
    kl_add(model, kl_conv2d(.filters = 9, .kernel_size = {3}, .input_shape = {10, 10, 3}));
    kl_add(model, kl_batch_normalization());
    kl_add(model, relu());
    kl_add(model, kl_depthwise_conv2d(.kernel_size = {3}, .strides = {2}));
    kl_add(model, kl_batch_normalization());
    kl_add(model, kl_flatten());
    kl_add(model, kl_dense(.units = 6));
    kl_add(model, kl_batch_normalization());
    assert_int_equal(kl_add(model, kl_relu()), KL_OK);
    assert_int_equal(kl_compile(model, .optimizer = "adam", .loss = "mse"), KL_OK);
    return model;
}

/* Training, numbers written through a weight's own tensor, set_weights. */
static void weights_are_followed(void **state)
{
    kl_model *model = small_net();
    kl_tensor *x = noise(KL_DIMS(12, 10, 10, 3)), *y = noise(KL_DIMS(12, 6));
    check_model(model, x);
    for (int i = 0; i < 3; i++) {
        assert_true(kl_train_on_batch(model, x, y) >= 0);
        check_model(model, x);
    }
    int count = kl_layer_weight_count(model);
    for (int i = 0; i < count; i++) {
        float *values = kl_tensor_mutable_data(kl_weight_value(kl_layer_weight(model, i)));
        values[0] += 0.5F;
        check_model(model, x);
    }
    kl_tensor *values[64];
    assert_true(count <= 64);
    for (int i = 0; i < count; i++)
        values[i] = kl_op_mul_scalar(kl_weight_value(kl_layer_weight(model, i)), 0.75);
    assert_int_equal(kl_layer_set_weights(model, count, values), KL_OK);
    check_model(model, x);
    for (int i = 0; i < count; i++)
        kl_release(values[i]);
    kl_layer_release(model);
    kl_release(x);
    kl_release(y);
}

/* What doesn't stay finite when folded is run one by one. */
static void infinite_factors_are_not_folded(void **state)
{
    kl_model *model = small_net();
    kl_tensor *x = noise(KL_DIMS(2, 10, 10, 3));
    for (int i = 0; i < kl_layer_weight_count(model); i++)
        if (strstr(kl_weight_name(kl_layer_weight(model, i)), "gamma"))
            *(float *)kl_tensor_mutable_data(kl_weight_value(kl_layer_weight(model, i))) = INFINITY;
    kl_tensor *got = predict(model, x), *want = one_by_one(model, x);
    for (int64_t i = 0; i < kl_tensor_size(want); i++) {
        float g = kl_tensor_floats(got)[i], w = kl_tensor_floats(want)[i];
        assert_true(g == w || (isnan(g) && isnan(w)));
    }
    kl_release(got);
    kl_release(want);
    kl_layer_release(model);
    kl_release(x);
}

typedef struct reader {
    pthread_t thread;
    kl_model *model;
    kl_tensor *x, *want;
    bool good;
} reader;

static void *read_often(void *user)
{
    reader *r = user;
    r->good = true;
    for (int i = 0; i < 10 && r->good; i++) {
        kl_tensor *y = kl_predict(r->model, r->x, .batch_size = 8);
        r->good = y && !memcmp(kl_tensor_floats(y), kl_tensor_floats(r->want),
                               (size_t)kl_tensor_size(y) * sizeof(float));
        kl_release(y);
    }
    return NULL;
}

/* The bits don't depend on threads, of the library or of the caller, who all fold at once. */
static void threads_see_the_same(void **state)
{
    kl_model *model = small_net();
    kl_tensor *x = noise(KL_DIMS(24, 10, 10, 3));
    assert_int_equal(kl_set_num_threads(1), KL_OK);
    kl_tensor *want = kl_predict(model, x, .batch_size = 8);
    for (int threads = 2; threads <= 8; threads *= 4) {
        assert_int_equal(kl_set_num_threads(threads), KL_OK);
        kl_model *same = small_net();
        reader readers[4];
        for (int i = 0; i < 4; i++) {
            readers[i] = (reader){.model = same, .x = x, .want = want};
            assert_int_equal(pthread_create(&readers[i].thread, NULL, read_often, &readers[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(readers[i].thread, NULL);
            assert_true(readers[i].good);
        }
        kl_layer_release(same);
    }
    kl_release(want);
    kl_layer_release(model);
    kl_release(x);
}

/* Masks end at a convolution and pass a Dense: either way the numbers are the same. */
static void masks_pass(void **state)
{
    kl_tensor *x = noise(KL_DIMS(4, 6, 3));
    kl_model *model = kl_sequential();
    kl_add(model, kl_masking(.mask_value = 0, .input_shape = {6, 3}));
    kl_add(model, kl_dense(.units = 4));
    kl_add(model, kl_batch_normalization());
    assert_int_equal(kl_add(model, relu()), KL_OK);
    fill_weights(model);
    check_model(model, x);
    kl_layer_release(model);
    kl_release(x);
}

static void without_memory_too(void **state)
{
    failing_allocator f;
    failing_install(&f);
    kl_model *model = small_net();
    kl_tensor *x = noise(KL_DIMS(8, 10, 10, 3)), *want = one_by_one(model, x);
    for (int n = 0; n < 40; n++) {
        f.until_failure = n;
        kl_tensor *y = kl_predict(model, x, .batch_size = 8);
        if (!y)
            assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
        f.until_failure = -1;
        if (y)
            assert_close(y, want);
        kl_release(y);
    }
    kl_release(want);
    kl_release(x);
    kl_layer_release(model);
    failing_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions_are_joined),
                                       cmocka_unit_test(depthwise_ones_are_joined),
                                       cmocka_unit_test(transposed_ones_are_joined),
                                       cmocka_unit_test(dense_ones_are_joined),
                                       cmocka_unit_test(others_are_left_alone),
                                       cmocka_unit_test(a_relu_alone_keeps_the_bits),
                                       cmocka_unit_test(sums_are_joined),
                                       cmocka_unit_test(sums_that_spread_are_not),
                                       cmocka_unit_test(outputs_in_between_stay),
                                       cmocka_unit_test(other_readers_get_theirs),
                                       cmocka_unit_test(weights_are_followed),
                                       cmocka_unit_test(infinite_factors_are_not_folded),
                                       cmocka_unit_test(threads_see_the_same),
                                       cmocka_unit_test(masks_pass),
                                       cmocka_unit_test(without_memory_too)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
