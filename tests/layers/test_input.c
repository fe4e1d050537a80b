/* Inputs by each way that Keras has, and Identity over several. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "klayers/klayers.h"

static void assert_shape(kl_tensor *x, int rank, const int64_t *shape)
{
    assert_non_null(x);
    assert_int_equal(kl_tensor_rank(x), rank);
    for (int i = 0; i < rank; i++)
        assert_int_equal(kl_tensor_dim(x, i), shape[i]);
    kl_release(x);
}

static void shapes_are_taken(void **state)
{
    assert_shape(kl_input(.shape = {3, 4}), 3, (const int64_t[]){-1, 3, 4});
    assert_shape(kl_input(.shape = {-1, 4}, .batch_size = 5), 3, (const int64_t[]){5, -1, 4});
    assert_shape(kl_input(.shape = {KL_SCALAR}), 1, (const int64_t[]){-1});
    assert_shape(kl_input(.batch_shape = {2, -1, 7}), 3, (const int64_t[]){2, -1, 7});
    assert_shape(kl_input(.batch_shape = {-1}), 1, (const int64_t[]){-1});
}

static void configs_are_keras_own(void **state)
{
    kl_layer *layer = kl_input_layer(.batch_shape = {2, -1, 7}, .dtype = "int32", .name = "ids");
    char *text = kl_layer_get_config(layer);
    assert_non_null(strstr(text, "[2, null, 7]"));
    assert_non_null(strstr(text, "\"int32\""));
    kl_layer *again = kl_layer_from_config("InputLayer", text);
    assert_non_null(again);
    char *second = kl_layer_get_config(again);
    assert_string_equal(text, second);
    kl_free_text(text);
    kl_free_text(second);
    kl_layer_release(again);
    kl_layer_release(layer);
}

static void refuse(kl_tensor *x, const char *part)
{
    assert_null(x);
    if (!strstr(kl_last_error(), part))
        fail_msg("'%s' has no '%s'", kl_last_error(), part);
    kl_clear_error();
}

static void bad_input_is_told(void **state)
{
    refuse(kl_input(.name = "x"), "shape");
    refuse(kl_input(.shape = {3, -2}), "-2");
    refuse(kl_input(.shape = {3}, .batch_shape = {2, 3}), "shape");
    refuse(kl_input(.batch_size = 4, .batch_shape = {2, 3}), "batch_size");
    refuse(kl_input(.batch_shape = {KL_SCALAR}), "batch");
    refuse(kl_input(.batch_shape = {-3, 2}), "-3");
    refuse(kl_input(.shape = {3}, .ragged = true), "ragged");
    refuse(kl_input(.shape = {3}, .dtype = "float31"), "float31");
}

static void identity_of_several(void **state)
{
    kl_scope *scope = kl_scope_begin();
    kl_layer *layer = kl_identity();
    kl_tensor *a = kl_ones(KL_FLOAT32, 1, (const int64_t[]){2});
    kl_tensor *b = kl_zeros(KL_FLOAT32, 1, (const int64_t[]){3});
    kl_tensor *mask = kl_ones(KL_BOOL, 1, (const int64_t[]){3});
    kl_tensors out = kl_call_with(layer, .inputs = {a, b}, .masks = {NULL, mask});
    assert_int_equal(out.count, 2);
    assert_int_equal(kl_tensor_dim(out.at[1], 0), 3);
    assert_null(kl_tensor_mask(out.at[0]));
    assert_non_null(kl_tensor_mask(out.at[1]));
    kl_layer_release(layer);
    kl_scope_end(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_taken), cmocka_unit_test(configs_are_keras_own),
        cmocka_unit_test(bad_input_is_told), cmocka_unit_test(identity_of_several)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
