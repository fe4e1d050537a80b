#include "base/test_support.h"
#include "base/alloc.h"
#include "base/str.h"

static void test_append(void **state)
{
    kl_str s = {0};
    char *empty = kl_str_take(&s);
    assert_string_equal(empty, "");
    kl_free(empty);
    kl_str_append(&s, "abc");
    kl_str_append_n(&s, "defg", 2);
    kl_str_printf(&s, "%d-%s", 12, "x");
    for (int i = 0; i < 1000; i++)
        kl_str_printf(&s, "%04d", i);
    assert_int_equal(s.length, 5 + 4 + 4000);
    char *text = kl_str_take(&s);
    assert_memory_equal(text, "abcde12-x00000001", 17);
    assert_string_equal(text + 9 + 3996, "0999");
    kl_free(text);
    assert_null(s.at);
}

static void test_first_failure_sticks(void **state)
{
    failing_allocator f;
    failing_install(&f);
    for (int n = 0; n < 4; n++) {
        kl_str s = {0};
        f.until_failure = n;
        for (int i = 0; i < 100; i++)
            kl_str_printf(&s, "%d, ", i);
        bool failed = s.failed;
        char *text = kl_str_take(&s);
        assert_int_equal(failed, text == NULL);
        assert_int_equal(failed, n < 4 && text == NULL);
        kl_free(text);
        if (n == 0)
            assert_true(failed);
    }
    failing_remove(&f);
}

static void test_snake_case(void **state)
{
    static const char *const pairs[][2] = {
        {"Dense", "dense"},
        {"MaxPooling2D", "max_pooling2d"},
        {"Conv2DTranspose", "conv2d_transpose"},
        {"LSTM", "lstm"},
        {"GRUCell", "gru_cell"},
        {"PReLU", "p_re_lu"},
        {"ReLU", "re_lu"},
        {"ELU", "elu"},
        {"RNN", "rnn"},
        {"StackedRNNCells", "stacked_rnn_cells"},
        {"ConvLSTM2D", "conv_lstm2d"},
        {"ThresholdedReLU", "thresholded_re_lu"},
        {"TFSMLayer", "tfsm_layer"},
        {"STFTSpectrogram", "stft_spectrogram"},
        {"AbCd", "ab_cd"},
        {"ABcDeF", "a_bc_de_f"},
        {"aBc", "a_bc"},
        {"MyAb2Cd", "my_ab2_cd"},
        {"XAbCDe", "x_ab_c_de"},
        {"AAaAa", "a_aa_aa"},
        {"A_Bc", "a__bc"},
        {"My Layer-Two", "my_layer_two"},
        {"", ""},
    };
    char out[64];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_true(kl_to_snake_case(pairs[i][0], out, sizeof out));
        assert_string_equal(out, pairs[i][1]);
    }
    assert_true(kl_to_snake_case("PReLU", out, 8));
    assert_false(kl_to_snake_case("PReLU", out, 7));
    assert_false(kl_to_snake_case("", out, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_first_failure_sticks),
        cmocka_unit_test(test_snake_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
