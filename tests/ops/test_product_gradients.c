/* Derivatives of products, convolutions and pooling. */
#include "klayers/activations.h"
#include "ops/gradcheck.h"

static kl_tensor *dense(kl_tensor *const *x, const char *activation)
{
    kl_activation *f = activation ? kl_activation_get(activation) : NULL;
    kl_tensor *y = kl_op_dense(x[0], x[1], x[2], f);
    kl_object_release(f);
    return y;
}

static kl_tensor *conv(kl_tensor *const *x, kl_tensor *bias, const char *activation,
                       kl_conv_options options)
{
    kl_activation *f = activation ? kl_activation_get(activation) : NULL;
    options.activation = f;
    kl_tensor *y = kl_op_conv(x[0], x[1], bias, &options);
    kl_object_release(f);
    return y;
}

#define OPTIONS(...)                                                                               \
    &(const kl_conv_options)                                                                       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define LOCAL(...)                                                                                 \
    &(const kl_local_conv_options)                                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define POOL(...)                                                                                  \
    &(const kl_pool_options)                                                                       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define IMAGE                                                                                      \
    {                                                                                              \
        4, {2, 5, 4, 4}, -1, 1                                                                     \
    }
#define BIAS(n)                                                                                    \
    {                                                                                              \
        1, {n}, -1, 1                                                                              \
    }

// clang-format off
/* name, expression, flags, inputs */
#define CASES(X) \
    X(matmul, kl_op_matmul(x[0], x[1]), 0, {2, {3, 4}, -1, 1}, {2, {4, 2}, -1, 1}) \
    X(matmul_vectors, kl_op_matmul(x[0], x[1]), 0, {1, {4}, -1, 1}, {1, {4}, -1, 1}) \
    X(matmul_left_vector, kl_op_matmul(x[0], x[1]), 0, {1, {4}, -1, 1}, {2, {4, 3}, -1, 1}) \
    X(matmul_right_vector, kl_op_matmul(x[0], x[1]), 0, {3, {2, 3, 4}, -1, 1}, {1, {4}, -1, 1}) \
    X(matmul_batch, kl_op_matmul(x[0], x[1]), 0, {3, {2, 3, 4}, -1, 1}, {3, {2, 4, 2}, -1, 1}) \
    X(matmul_shared_right, kl_op_matmul(x[0], x[1]), 0, {3, {2, 3, 4}, -1, 1}, {2, {4, 2}, -1, 1}) \
    X(matmul_shared_left, kl_op_matmul(x[0], x[1]), 0, {2, {3, 4}, -1, 1}, {3, {2, 4, 2}, -1, 1}) \
    X(matmul_broadcast, kl_op_matmul(x[0], x[1]), 0, {4, {2, 1, 2, 3}, -1, 1}, {3, {2, 3, 2}, -1, 1}) \
    X(matmul_ta, kl_op_matmul_t(x[0], true, x[1], false), 0, {3, {2, 4, 3}, -1, 1}, {3, {2, 4, 2}, -1, 1}) \
    X(matmul_tb, kl_op_matmul_t(x[0], false, x[1], true), 0, {3, {2, 3, 4}, -1, 1}, {2, {2, 4}, -1, 1}) \
    X(matmul_tab, kl_op_matmul_t(x[0], true, x[1], true), 0, {2, {4, 3}, -1, 1}, {2, {2, 4}, -1, 1}) \
    X(matmul_ta_shared, kl_op_matmul_t(x[0], true, x[1], false), 0, {3, {2, 4, 3}, -1, 1}, {2, {4, 2}, -1, 1}) \
    X(tensordot, kl_op_tensordot(x[0], x[1], 2, (const int[]){0, 2}, (const int[]){1, 0}), 0, {3, {2, 3, 4}, -1, 1}, {3, {4, 2, 2}, -1, 1}) \
    X(outer, kl_op_tensordot(x[0], x[1], 0, NULL, NULL), 0, {1, {3}, -1, 1}, {1, {4}, -1, 1}) \
    X(einsum, kl_op_einsum("abc,cd->abd", x[0], x[1]), 0, {3, {2, 3, 4}, -1, 1}, {2, {4, 2}, -1, 1}) \
    X(einsum_heads, kl_op_einsum("BTNH,BSNH->BNTS", x[0], x[1]), 0, {4, {2, 2, 2, 3}, -1, 1}, {4, {2, 3, 2, 3}, -1, 1}) \
    X(einsum_ellipsis, kl_op_einsum("...ab,bc->...ac", x[0], x[1]), 0, {4, {2, 2, 2, 3}, -1, 1}, {2, {3, 2}, -1, 1}) \
    X(einsum_sums, kl_op_einsum("abx,cb->ca", x[0], x[1]), 0, {3, {2, 3, 2}, -1, 1}, {2, {2, 3}, -1, 1}) \
    X(einsum_transpose, kl_op_einsum("abc->cab", x[0], NULL), 0, {3, {2, 3, 2}, -1, 1}) \
    X(dense, dense(x, NULL), 0, {2, {3, 4}, -1, 1}, {2, {4, 2}, -1, 1}, BIAS(2)) \
    X(dense_deep, dense(x, NULL), 0, {3, {2, 3, 4}, -1, 1}, {2, {4, 2}, -1, 1}, BIAS(2)) \
    X(dense_bare, kl_op_dense(x[0], x[1], NULL, NULL), 0, {2, {3, 4}, -1, 1}, {2, {4, 2}, -1, 1}) \
    X(dense_relu, dense(x, "relu"), 0, {2, {3, 4}, -1, 1}, {2, {4, 5}, -1, 1}, BIAS(5)) \
    X(dense_tanh, dense(x, "tanh"), 0, {3, {2, 3, 4}, -1, 1}, {2, {4, 2}, -1, 1}, BIAS(2)) \
    X(dense_sigmoid, dense(x, "sigmoid"), 0, {2, {3, 4}, -1, 1}, {2, {4, 2}, -1, 1}, BIAS(2)) \
    X(dense_softmax, dense(x, "softmax"), 0, {2, {3, 4}, -1, 1}, {2, {4, 3}, -1, 1}, BIAS(3)) \
    X(dense_gelu, dense(x, "gelu"), 0, {2, {3, 4}, -1, 1}, {2, {4, 2}, -1, 1}, BIAS(2)) \
    X(conv1d, kl_op_conv(x[0], x[1], x[2], NULL), 0, {3, {2, 6, 3}, -1, 1}, {3, {3, 3, 2}, -1, 1}, BIAS(2)) \
    X(conv1d_causal, kl_op_conv(x[0], x[1], NULL, OPTIONS(.padding = "causal", .dilation = {2})), 0, {3, {2, 6, 3}, -1, 1}, {3, {3, 3, 2}, -1, 1}) \
    X(conv2d, kl_op_conv(x[0], x[1], x[2], NULL), 0, IMAGE, {4, {3, 2, 4, 3}, -1, 1}, BIAS(3)) \
    X(conv2d_same, kl_op_conv(x[0], x[1], x[2], OPTIONS(.padding = "same")), 0, IMAGE, {4, {3, 2, 4, 3}, -1, 1}, BIAS(3)) \
    X(conv2d_strides, kl_op_conv(x[0], x[1], x[2], OPTIONS(.padding = "same", .strides = {2, 3})), 0, IMAGE, {4, {3, 2, 4, 3}, -1, 1}, BIAS(3)) \
    X(conv2d_dilated, kl_op_conv(x[0], x[1], x[2], OPTIONS(.padding = "same", .dilation = {2, 1})), 0, IMAGE, {4, {3, 2, 4, 3}, -1, 1}, BIAS(3)) \
    X(conv2d_groups, kl_op_conv(x[0], x[1], x[2], OPTIONS(.groups = 2)), 0, IMAGE, {4, {2, 2, 2, 6}, -1, 1}, BIAS(6)) \
    X(conv2d_first, kl_op_conv(x[0], x[1], x[2], OPTIONS(.channels_first = true, .strides = {2, 1})), 0, {4, {2, 2, 5, 4}, -1, 1}, {4, {2, 2, 2, 3}, -1, 1}, BIAS(3)) \
    X(conv2d_relu, conv(x, x[2], "relu", (kl_conv_options){.padding = "same"}), 0, IMAGE, {4, {2, 2, 4, 3}, -1, 1}, BIAS(3)) \
    X(conv2d_tanh_bare, conv(x, NULL, "tanh", (kl_conv_options){.padding = "valid"}), 0, IMAGE, {4, {2, 2, 4, 3}, -1, 1}) \
    X(conv2d_softmax_first, conv(x, x[2], "softmax", (kl_conv_options){.channels_first = true}), 0, {4, {2, 2, 3, 4}, -1, 1}, {4, {2, 2, 2, 3}, -1, 1}, BIAS(3)) \
    X(conv3d, kl_op_conv(x[0], x[1], x[2], OPTIONS(.padding = "same", .strides = {1, 2, 1})), 0, {5, {1, 3, 3, 3, 2}, -1, 1}, {5, {2, 2, 2, 2, 2}, -1, 1}, BIAS(2)) \
    X(depthwise, kl_op_depthwise_conv(x[0], x[1], x[2], OPTIONS(.padding = "same")), 0, IMAGE, {4, {3, 2, 4, 2}, -1, 1}, BIAS(8)) \
    X(depthwise_strides, kl_op_depthwise_conv(x[0], x[1], x[2], OPTIONS(.strides = {2, 2})), 0, IMAGE, {4, {3, 2, 4, 1}, -1, 1}, BIAS(4)) \
    X(depthwise_first, kl_op_depthwise_conv(x[0], x[1], x[2], OPTIONS(.channels_first = true)), 0, {4, {2, 2, 5, 4}, -1, 1}, {4, {3, 2, 2, 2}, -1, 1}, BIAS(4)) \
    X(depthwise1d, kl_op_depthwise_conv(x[0], x[1], NULL, NULL), 0, {3, {2, 6, 3}, -1, 1}, {3, {3, 3, 2}, -1, 1}) \
    X(transpose2d, kl_op_conv_transpose(x[0], x[1], x[2], NULL), 0, {4, {2, 3, 2, 3}, -1, 1}, {4, {3, 2, 2, 3}, -1, 1}, BIAS(2)) \
    X(transpose2d_same, kl_op_conv_transpose(x[0], x[1], x[2], OPTIONS(.padding = "same", .strides = {2, 2})), 0, {4, {2, 3, 2, 3}, -1, 1}, {4, {3, 3, 2, 3}, -1, 1}, BIAS(2)) \
    X(transpose2d_output_padding, kl_op_conv_transpose(x[0], x[1], NULL, OPTIONS(.strides = {3, 2}, .output_padding = {2, 1}, .has_output_padding = true)), 0, {4, {1, 3, 2, 2}, -1, 1}, {4, {3, 3, 2, 2}, -1, 1}) \
    X(transpose1d_dilated, kl_op_conv_transpose(x[0], x[1], NULL, OPTIONS(.dilation = {2})), 0, {3, {2, 4, 3}, -1, 1}, {3, {3, 2, 3}, -1, 1}) \
    X(transpose_first, kl_op_conv_transpose(x[0], x[1], x[2], OPTIONS(.channels_first = true)), 0, {4, {2, 3, 3, 2}, -1, 1}, {4, {3, 2, 2, 3}, -1, 1}, BIAS(2)) \
    X(max_pool, kl_op_max_pool(x[0], POOL(.pool_size = {2, 2})), 0, IMAGE) \
    X(max_pool_same, kl_op_max_pool(x[0], POOL(.pool_size = {3, 2}, .strides = {2, 1}, .padding = "same")), 0, IMAGE) \
    X(max_pool_squared, kl_op_square(kl_op_max_pool(x[0], POOL(.pool_size = {3, 2}, .strides = {1, 1}))), 0, IMAGE) \
    X(max_pool_first, kl_op_max_pool(x[0], POOL(.pool_size = {2, 2}, .channels_first = true)), 0, {4, {2, 3, 4, 4}, -1, 1}) \
    X(max_pool1d, kl_op_max_pool(x[0], POOL(.pool_size = {3}, .strides = {2})), 0, {3, {2, 7, 3}, -1, 1}) \
    X(average_pool, kl_op_average_pool(x[0], POOL(.pool_size = {2, 2})), 0, IMAGE) \
    X(average_pool_same, kl_op_average_pool(x[0], POOL(.pool_size = {3, 2}, .strides = {2, 1}, .padding = "same")), 0, IMAGE) \
    X(average_pool_squared, kl_op_square(kl_op_average_pool(x[0], POOL(.pool_size = {3, 3}, .strides = {1, 2}, .padding = "same"))), 0, IMAGE) \
    X(adaptive_max_pool, kl_op_max_pool(x[0], POOL(.output_size = {3, 2})), 0, {4, {2, 5, 3, 3}, -1, 1}) \
    X(adaptive_average_pool, kl_op_average_pool(x[0], POOL(.output_size = {3, 4})), 0, {4, {2, 5, 3, 3}, -1, 1}) \
    X(local_conv1d, kl_op_local_conv(x[0], x[1], LOCAL(.kernel_size = {3}, .strides = {2})), 0, {3, {2, 7, 3}, -1, 1}, {3, {3, 9, 2}, -1, 1}) \
    X(local_conv2d, kl_op_local_conv(x[0], x[1], LOCAL(.kernel_size = {2, 2})), 0, {4, {2, 3, 3, 2}, -1, 1}, {3, {4, 8, 3}, -1, 1}) \
    X(local_conv2d_same, kl_op_local_conv(x[0], x[1], LOCAL(.kernel_size = {3, 2}, .strides = {2, 1}, .padding = "same")), 0, {4, {2, 3, 3, 2}, -1, 1}, {3, {6, 12, 2}, -1, 1}) \
    X(transpose2d_same_output_padding, kl_op_conv_transpose(x[0], x[1], NULL, OPTIONS(.padding = "same", .strides = {2, 3}, .output_padding = {1, 2}, .has_output_padding = true)), 0, {4, {1, 3, 2, 2}, -1, 1}, {4, {3, 3, 2, 2}, -1, 1}) \
    X(depthwise_strides_dilated, kl_op_depthwise_conv(x[0], x[1], NULL, OPTIONS(.strides = {2, 2}, .dilation = {2, 2}, .padding = "same")), 0, {4, {1, 6, 5, 3}, -1, 1}, {4, {3, 2, 3, 1}, -1, 1}) \
    X(average_pool3d, kl_op_average_pool(x[0], POOL(.pool_size = {2, 2, 2}, .padding = "same")), 0, {5, {1, 3, 3, 3, 2}, -1, 1})
// clang-format on

#define FUNCTION(name, expression, flags, ...)                                                     \
    static kl_tensor *e_##name(kl_tensor *const *x)                                                \
    {                                                                                              \
        return expression;                                                                         \
    }
CASES(FUNCTION)
#define ROW(name, expression, flags, ...) {#name, e_##name, flags, {__VA_ARGS__}},
static const gradcheck_case cases[] = {CASES(ROW)};

static void products(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        gradcheck_run(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
