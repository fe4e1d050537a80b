/* Layers on sound: threads, long spectra against their definition, bad input. Values are judged by
   the golden cases. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/klayers.h"

static kl_tensor *sound(int64_t count)
{
    kl_tensor *x = kl_empty(KL_FLOAT32, KL_DIMS(1, count));
    float *at = kl_tensor_mutable_data(x);
    for (int64_t i = 0; i < count; i++)
        at[i] = (float)sin(0.05 * (double)i) + 0.3F * (float)((i * 2654435761U) % 97) / 97;
    return x;
}

static void test_threads(void **state)
{
    kl_tensor *x = sound(50000), *first = NULL;
    for (int threads = 1; threads <= 8; threads *= 2) {
        kl_set_num_threads(threads);
        kl_layer *layer = kl_mel_spectrogram(.fft_length = 512, .sequence_stride = 100);
        kl_tensor *y = kl_call(layer, x);
        assert_non_null(y);
        if (first)
            assert_memory_equal(kl_tensor_data(first), kl_tensor_data(y),
                                (size_t)kl_tensor_size(y) * sizeof(float));
        if (first)
            kl_release(y);
        else
            first = y;
        kl_layer_release(layer);
    }
    kl_set_num_threads(2);
    kl_release(first);
    kl_release(x);
}

/* The power of one band that holds everything, against the sum over the definition's. */
static void check_length(int64_t length)
{
    const double turn = 2 * acos(-1.0) / (double)length;
    kl_tensor *x = sound(3 * length);
    kl_layer *layer = kl_mel_spectrogram(.fft_length = length, .sequence_stride = length,
                                         .window = NULL, .num_mel_bins = 3, .min_freq = 0,
                                         .power_to_db = false, .sampling_rate = 8000);
    kl_tensor *y = kl_call(layer, x);
    assert_non_null(y);
    /* Frame 1 begins at length - length / 2. */
    double bands[3] = {0};
    for (int64_t k = 1; k <= length / 2; k++) {
        double re = 0, im = 0;
        for (int64_t i = 0; i < length; i++) {
            double v = kl_tensor_at(x, length - length / 2 + i);
            double angle = turn * (double)(k * i % length);
            re += v * cos(angle);
            im -= v * sin(angle);
        }
        double top = 1127 * log(1 + 4000.0 / 700);
        double at = 1127 * log(1 + 4000.0 / (double)(length / 2) * (double)k / 700);
        for (int b = 0; b < 3; b++) {
            double up = at / (top / 4) - b, down = b + 2 - at / (top / 4);
            double weight = up < down ? up : down;
            bands[b] += weight > 0 ? weight * (re * re + im * im) : 0;
        }
    }
    double most = fmax(bands[0], fmax(bands[1], bands[2]));
    for (int b = 0; b < 3; b++)
        assert_true(fabs(kl_tensor_at(y, b * kl_tensor_dim(y, 2) + 1) - bands[b]) <= 1e-4 * most);
    kl_release(y);
    kl_layer_release(layer);
    kl_release(x);
}

static void test_lengths(void **state)
{
    const int64_t lengths[] = {8, 10, 16, 30, 32, 64, 94, 100, 128, 256, 1000, 1024};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_length(lengths[i]);
}

/* Scaled by the window's length, the kernels' real parts at frequency 0 are the window. */
static void test_initializer(void **state)
{
    kl_initializer *initializer = kl_stft(.window = "hamming", .scaling = "spectrum");
    kl_tensor *kernel = kl_initializer_call(initializer, KL_FLOAT64, KL_DIMS(8, 1, 5));
    assert_non_null(kernel);
    double sum = 0;
    for (int i = 0; i < 8; i++)
        sum += kl_tensor_at(kernel, 5 * i);
    assert_true(fabs(sum - 1) < 1e-12);
    kl_release(kernel);
    assert_null(kl_initializer_call(initializer, KL_FLOAT32, KL_DIMS(8, 5)));
    kl_object_release(initializer);
    initializer = kl_stft(.window_values = KL_FLOATS(1, 2, 3));
    assert_null(kl_initializer_call(initializer, KL_FLOAT32, KL_DIMS(8, 1, 5)));
    assert_non_null(strstr(kl_last_error(), "8 values"));
    kl_object_release(initializer);
    assert_null(kl_stft(.window = "none such"));
    assert_null(kl_stft(.side = "both"));
}

static void test_bad_input(void **state)
{
    assert_null(kl_mel_spectrogram(.fft_length = 64, .sequence_length = 65));
    assert_null(kl_mel_spectrogram(.window = "blackman"));
    assert_null(kl_stft_spectrogram(.mode = "phase"));
    assert_null(kl_stft_spectrogram(.frame_length = 16, .frame_step = 17));
    assert_null(kl_stft_spectrogram(.frame_length = 16, .fft_length = 8));
    kl_layer *layer = kl_mel_spectrogram();
    kl_tensor *x = sound(1024);
    assert_null(kl_call(layer, x));
    assert_non_null(strstr(kl_last_error(), "too short"));
    kl_release(x);
    kl_layer_release(layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_initializer),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
