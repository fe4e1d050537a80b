/* Small models of every family, with data for them, for tests of what holds for all. */
#ifndef KL_TESTS_MODELS_MODELS_H
#define KL_TESTS_MODELS_MODELS_H

#include "klayers/klayers.h"

#define MODEL_MOST 4

typedef struct sample_model {
    kl_model *model;
    kl_tensor *x[MODEL_MOST], *y;
    int inputs;
} sample_model;

static inline void sample_release(sample_model *s)
{
    kl_layer_release(s->model);
    for (int i = 0; i < s->inputs; i++)
        kl_release(s->x[i]);
    kl_release(s->y);
    *s = (sample_model){0};
}

static inline kl_tensor *sample_noise(int rank, const int64_t *shape)
{
    return kl_op_random_uniform(KL_FLOAT32, rank, shape, -1, 1);
}

/* Whole numbers below `count`. */
static inline kl_tensor *sample_ids(int64_t count, int rank, const int64_t *shape)
{
    kl_tensor *drawn = kl_op_random_uniform(KL_FLOAT32, rank, shape, 0, (double)count);
    kl_tensor *ids = drawn ? kl_copy(drawn, KL_INT32) : NULL;
    kl_release(drawn);
    return ids;
}

static inline sample_model sample_mlp(int64_t rows)
{
    kl_set_random_seed(5);
    sample_model s = {kl_sequential(), {sample_noise(KL_DIMS(rows, 100))}, NULL, 1};
    s.y = sample_ids(10, KL_DIMS(rows));
    kl_add(s.model, kl_dense(.units = 256, .activation = "relu", .kernel_regularizer = "l2"));
    kl_add(s.model, kl_dropout(.rate = 0.2));
    kl_add(s.model, kl_dense(.units = 64, .activation = "tanh"));
    kl_add(s.model, kl_dense(.units = 10, .activation = "softmax"));
    return s;
}

static inline sample_model sample_cnn(int64_t rows)
{
    kl_set_random_seed(6);
    sample_model s = {kl_sequential(), {sample_noise(KL_DIMS(rows, 20, 20, 3))}, NULL, 1};
    s.y = sample_ids(10, KL_DIMS(rows));
    kl_add(s.model, kl_conv2d(.filters = 16, .kernel_size = {3}, .activation = "relu"));
    kl_add(s.model, kl_batch_normalization());
    kl_add(s.model, kl_conv2d(.filters = 32, .kernel_size = {3}, .padding = "same", .strides = {2},
                              .activation = "relu"));
    kl_add(s.model, kl_max_pooling2d(.pool_size = {2}));
    kl_add(s.model, kl_flatten());
    kl_add(s.model, kl_dense(.units = 10, .activation = "softmax"));
    return s;
}

static inline sample_model sample_lstm(int64_t rows)
{
    kl_set_random_seed(7);
    sample_model s = {kl_sequential(), {sample_ids(50, KL_DIMS(rows, 12))}, NULL, 1};
    s.y = sample_ids(10, KL_DIMS(rows));
    kl_add(s.model, kl_embedding(.input_dim = 50, .output_dim = 32, .mask_zero = true));
    kl_add(s.model, kl_lstm(.units = 48, .return_sequences = true, .recurrent_dropout = 0.1));
    kl_add(s.model, kl_lstm(.units = 32));
    kl_add(s.model, kl_dense(.units = 10, .activation = "softmax"));
    return s;
}

/* A layer in a chain: without an input nobody takes the layer over. */
static inline kl_tensor *sample_call(kl_layer *layer, kl_tensor *x)
{
    if (!x)
        kl_layer_release(layer);
    return x ? kl_call(layer, x) : NULL;
}

/* The one output of a layer with two inputs. */
static inline kl_tensor *sample_merge(kl_layer *layer, kl_tensor *a, kl_tensor *b)
{
    if (!a || !b) {
        kl_layer_release(layer);
        return NULL;
    }
    kl_tensors out = kl_call_with(layer, .inputs = {a, b});
    return out.at ? out.at[0] : NULL;
}

static inline kl_tensor *sample_residual_block(kl_tensor *x, int64_t filters)
{
    kl_tensor *h =
        sample_call(kl_conv2d(.filters = filters, .kernel_size = {3}, .padding = "same"), x);
    h = sample_call(kl_batch_normalization(), h);
    h = sample_call(kl_activation_layer(.activation = "relu"), h);
    h = sample_call(kl_conv2d(.filters = filters, .kernel_size = {3}, .padding = "same"), h);
    h = sample_merge(kl_add_layer(), x, h);
    return sample_call(kl_activation_layer(.activation = "relu"), h);
}

static inline sample_model sample_residual(int64_t rows)
{
    kl_set_random_seed(8);
    sample_model s = {NULL, {sample_noise(KL_DIMS(rows, 12, 12, 3))}, NULL, 1};
    s.y = sample_ids(10, KL_DIMS(rows));
    kl_tensor *in = kl_input(.shape = {12, 12, 3});
    kl_tensor *h = sample_call(kl_conv2d(.filters = 16, .kernel_size = {3}, .padding = "same"), in);
    h = sample_residual_block(h, 16);
    h = sample_residual_block(h, 16);
    h = sample_call(kl_global_average_pooling2d(), h);
    h = sample_call(kl_dense(.units = 10, .activation = "softmax"), h);
    s.model = kl_functional(.inputs = {in}, .outputs = {h});
    return s;
}

static inline sample_model sample_encoder(int64_t rows)
{
    kl_set_random_seed(9);
    sample_model s = {NULL, {sample_ids(50, KL_DIMS(rows, 16))}, NULL, 1};
    s.y = sample_ids(10, KL_DIMS(rows));
    kl_tensor *in = kl_input(.shape = {16}, .dtype = "int32");
    kl_tensor *h = sample_call(kl_embedding(.input_dim = 50, .output_dim = 32), in);
    kl_layer *attention = kl_multi_head_attention(.num_heads = 4, .key_dim = 8, .dropout = 0.1);
    kl_tensor *a = sample_merge(attention, h, h);
    h = sample_merge(kl_add_layer(), h, a);
    h = sample_call(kl_layer_normalization(), h);
    kl_tensor *f = sample_call(kl_dense(.units = 64, .activation = "gelu"), h);
    f = sample_call(kl_dense(.units = 32), f);
    h = sample_merge(kl_add_layer(), h, f);
    h = sample_call(kl_layer_normalization(), h);
    h = sample_call(kl_global_average_pooling1d(), h);
    h = sample_call(kl_dense(.units = 10, .activation = "softmax"), h);
    s.model = kl_functional(.inputs = {in}, .outputs = {h});
    return s;
}

static const char *const sample_texts[6] = {"a small text", "another text", "a text",
                                            "small words",  "words",        "another small one"};

/*
 * One model of all that layers do: images, ids with masks, texts; random, stateful and attending
 * ones. Any step may fail, and what is NULL then passes on.
 */
static inline sample_model sample_everything(void)
{
    kl_set_random_seed(10);
    sample_model s = {NULL,
                      {sample_noise(KL_DIMS(6, 6, 6, 1)), sample_ids(20, KL_DIMS(6, 5)),
                       kl_from_strings(KL_DIMS(6, 1), sample_texts)},
                      sample_ids(3, KL_DIMS(6)),
                      3};
    kl_tensor *image = kl_input(.shape = {6, 6, 1}, .name = "image");
    kl_tensor *ids = kl_input(.shape = {5}, .dtype = "int32", .name = "ids");
    kl_tensor *texts = kl_input(.shape = {1}, .dtype = "string", .name = "texts");

    kl_tensor *a = sample_call(kl_conv2d(.filters = 2, .kernel_size = {3}, .activation = "relu",
                                         .kernel_regularizer = kl_l2(.l2 = 1e-3)),
                               image);
    a = sample_call(kl_batch_normalization(), a);
    a = sample_call(kl_max_pooling2d(.pool_size = {2}), a);
    a = sample_call(kl_flatten(), a);
    a = sample_call(kl_dropout(.rate = 0.25), a);

    kl_tensor *b =
        sample_call(kl_embedding(.input_dim = 20, .output_dim = 4, .mask_zero = true), ids);
    b = sample_merge(kl_multi_head_attention(.num_heads = 2, .key_dim = 2), b, b);
    b = sample_call(kl_lstm(.units = 3), b);

    kl_layer *vectorize = kl_text_vectorization(.output_sequence_length = 3, .max_tokens = 12);
    bool adapted = s.x[2] && !kl_layer_adapt(vectorize, s.x[2]);
    kl_tensor *c = sample_call(vectorize, adapted ? texts : NULL);
    c = sample_call(kl_embedding(.input_dim = 12, .output_dim = 3), c);
    c = sample_call(kl_global_average_pooling1d(), c);

    kl_tensor *all = sample_merge(kl_concatenate(), sample_merge(kl_concatenate(), a, b), c);
    all = sample_call(kl_dense(.units = 3, .activation = "softmax",
                               .kernel_constraint = kl_max_norm(.max_value = 2)),
                      all);
    s.model = kl_functional(.inputs = {image, ids, texts}, .outputs = {all});
    if (!s.model) {
        kl_release(image);
        kl_release(ids);
        kl_release(texts);
    }
    return s;
}

#endif
