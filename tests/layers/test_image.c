/* Layers on images: draws, threads, seeds, gradients, labels, bad input. Pixels are judged by the
   golden cases. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/klayers.h"

#define BATCH 512

static kl_layer *made(int which)
{
    switch (which) {
    case 0:
        return kl_random_flip(.seed = 1);
    case 1:
        return kl_random_translation(.height_factor = KL_FLOATS(0.3),
                                     .width_factor = KL_FLOATS(0.2), .seed = 1);
    case 2:
        return kl_random_rotation(.factor = KL_FLOATS(0.2), .fill_mode = "wrap", .seed = 1);
    case 3:
        return kl_random_zoom(.height_factor = KL_FLOATS(0.4), .fill_mode = "constant", .seed = 1);
    case 4:
        return kl_random_shear(.x_factor = KL_FLOATS(0.3), .y_factor = KL_FLOATS(0.1, 0.2),
                               .seed = 1);
    case 5:
        return kl_random_perspective(.scale = 0.5, .seed = 1);
    case 6:
        return kl_random_elastic_transform(.seed = 1);
    case 7:
        return kl_random_contrast(.factor = KL_FLOATS(0.5), .seed = 1);
    case 8:
        return kl_random_brightness(.factor = KL_FLOATS(0.5), .seed = 1);
    case 9:
        return kl_random_erasing(.seed = 1);
    case 10:
        return kl_random_hue(.factor = KL_FLOATS(0.5), .seed = 1);
    case 11:
        return kl_random_saturation(.factor = KL_FLOATS(0.2, 0.8), .seed = 1);
    case 12:
        return kl_random_sharpness(.factor = KL_FLOATS(1), .seed = 1);
    case 13:
        return kl_random_grayscale(.seed = 1);
    case 14:
        return kl_random_invert(.factor = KL_FLOATS(0.5), .seed = 1);
    case 15:
        return kl_random_posterization(.factor = KL_INTS(1, 8), .seed = 1);
    case 16:
        return kl_random_color_degeneration(.factor = KL_FLOATS(0.5), .seed = 1);
    case 17:
        return kl_random_gaussian_blur(.kernel_size = {5}, .seed = 1);
    case 18:
        return kl_solarization(.addition_factor = KL_FLOATS(0.3),
                               .threshold_factor = KL_FLOATS(0.5), .seed = 1);
    case 19:
        return kl_cut_mix(.seed = 1);
    case 20:
        return kl_mix_up(.seed = 1);
    case 21:
        return kl_random_color_jitter(.brightness_factor = KL_FLOATS(0.2),
                                      .contrast_factor = KL_FLOATS(0.5),
                                      .saturation_factor = KL_FLOATS(0.2, 0.7),
                                      .hue_factor = KL_FLOATS(0.3), .seed = 1);
    case 22:
        return kl_rand_augment(.num_ops = 4, .seed = 1);
    case 23:
        return kl_aug_mix(.seed = 1);
    case 24:
        return kl_random_crop(.height = 7, .width = 9, .seed = 1);
    case 25:
        return kl_pipeline(.layers = {kl_random_flip(.seed = 2),
                                      kl_random_rotation(.factor = KL_FLOATS(0.1), .seed = 3)});
    default:
        return NULL;
    }
}

static kl_tensor *images(int64_t batch, int64_t height, int64_t width)
{
    kl_tensor *x = kl_empty(KL_FLOAT32, KL_DIMS(batch, height, width, 3));
    float *at = kl_tensor_mutable_data(x);
    for (int64_t i = 0; i < kl_tensor_size(x); i++)
        at[i] = (float)((i * 2654435761U) % 256);
    return x;
}

static kl_tensor *train(kl_layer *layer, kl_tensor *x)
{
    kl_tensors y = kl_call_with(layer, .inputs = {x}, .training = KL_TRUE);
    if (!y.at)
        print_error("%s: %s\n", layer ? kl_layer_class_name(layer) : "none", kl_last_error());
    assert_non_null(y.at);
    return y.at[0];
}

static bool equal(const kl_tensor *a, const kl_tensor *b)
{
    return kl_tensor_size(a) == kl_tensor_size(b) &&
           !memcmp(kl_tensor_data(a), kl_tensor_data(b), (size_t)kl_tensor_size(a) * sizeof(float));
}

/* The same seed gives the same images on any number of threads, a second call others, and
   inference changes nothing. */
static void test_seeds_and_threads(void **state)
{
    kl_tensor *x = images(9, 23, 31);
    for (int i = 0;; i++) {
        kl_set_num_threads(1);
        kl_layer *layer = made(i);
        if (!layer)
            break;
        kl_tensor *one = train(layer, x), *next = train(layer, x);
        kl_tensor *same = kl_call(layer, x);
        bool moved = !equal(one, next);
        if (!moved)
            print_error("%s drew the same twice\n", kl_layer_class_name(layer));
        assert_true(moved);
        assert_true(equal(same, x));
        kl_release(same);
        kl_layer_release(layer);
        for (int threads = 2; threads <= 8; threads *= 4) {
            kl_set_num_threads(threads);
            layer = made(i);
            kl_tensor *many = train(layer, x);
            assert_true(equal(one, many));
            kl_release(many);
            kl_layer_release(layer);
        }
        kl_release(one);
        kl_release(next);
    }
    kl_set_num_threads(2);
    kl_release(x);
}

/* Every layer again from its own config, with the same name. */
static void test_configs(void **state)
{
    for (int i = 0;; i++) {
        kl_layer *layer = made(i);
        if (!layer)
            break;
        char *config = kl_layer_get_config(layer);
        kl_layer *again = kl_layer_from_config(kl_layer_class_name(layer), config);
        if (!again)
            print_error("%s\n", kl_last_error());
        assert_non_null(again);
        char *twice = kl_layer_get_config(again);
        assert_string_equal(config, twice);
        kl_free_text(config);
        kl_free_text(twice);
        kl_layer_release(layer);
        kl_layer_release(again);
    }
}

/* Draws spread evenly from low to high: none outside, the mean and a fourth in each quarter. */
static void check_uniform(const double *draws, int count, double low, double high)
{
    int quarters[4] = {0};
    double sum = 0;
    for (int i = 0; i < count; i++) {
        assert_true(draws[i] >= low - 1e-4 && draws[i] <= high + 1e-4);
        int q = (int)(4 * (draws[i] - low) / (high - low));
        quarters[q < 0 ? 0 : q > 3 ? 3 : q]++;
        sum += draws[i];
    }
    assert_true(fabs(sum / count - (low + high) / 2) < 0.06 * (high - low));
    for (int q = 0; q < 4; q++)
        assert_true(quarters[q] > count / 4 - count / 10 && quarters[q] < count / 4 + count / 10);
}

/* Of pixel values that are their own positions, what a layer makes tells its draw. */
static kl_tensor *ramp(int64_t size)
{
    kl_tensor *x = kl_empty(KL_FLOAT32, KL_DIMS(BATCH, size, size, 2));
    float *at = kl_tensor_mutable_data(x);
    for (int64_t i = 0; i < BATCH * size * size; i++) {
        at[2 * i] = (float)(i % size);
        at[2 * i + 1] = (float)(i / size % size);
    }
    return x;
}

static void test_drawn_geometry(void **state)
{
    const int size = 41, middle = 20;
    static double a[BATCH], b[BATCH];
    kl_tensor *x = ramp(size);
    kl_layer *layer = kl_random_translation(.height_factor = KL_FLOATS(-0.1, 0.2),
                                            .width_factor = KL_FLOATS(0.25), .seed = 7);
    kl_tensor *y = train(layer, x);
    for (int i = 0; i < BATCH; i++) {
        int64_t at = ((i * size + middle) * size + middle) * 2;
        a[i] = (middle - kl_tensor_at(y, at)) / size;
        b[i] = (middle - kl_tensor_at(y, at + 1)) / size;
    }
    check_uniform(a, BATCH, -0.25, 0.25);
    check_uniform(b, BATCH, -0.1, 0.2);
    kl_release(y);
    kl_layer_release(layer);

    layer = kl_random_rotation(.factor = KL_FLOATS(-0.1, 0.05), .seed = 8);
    y = train(layer, x);
    for (int i = 0; i < BATCH; i++) {
        int64_t at = ((i * size + middle) * size + middle + 10) * 2;
        a[i] = atan2(kl_tensor_at(y, at + 1) - middle, kl_tensor_at(y, at) - middle) /
               (2 * acos(-1.0));
    }
    check_uniform(a, BATCH, -0.1, 0.05);
    kl_release(y);
    kl_layer_release(layer);

    layer = kl_random_zoom(.height_factor = KL_FLOATS(-0.4, 0.1), .width_factor = KL_FLOATS(0.3),
                           .seed = 9);
    y = train(layer, x);
    for (int i = 0; i < BATCH; i++) {
        int64_t at = ((i * size + middle + 10) * size + middle + 10) * 2;
        a[i] = (kl_tensor_at(y, at) - middle) / 10 - 1;
        b[i] = (kl_tensor_at(y, at + 1) - middle) / 10 - 1;
    }
    check_uniform(a, BATCH, -0.3, 0.3);
    check_uniform(b, BATCH, -0.4, 0.1);
    kl_release(y);
    kl_layer_release(layer);

    layer = kl_random_flip(.mode = "horizontal", .seed = 10);
    y = train(layer, x);
    int flipped = 0;
    for (int i = 0; i < BATCH; i++)
        flipped += kl_tensor_at(y, (int64_t)i * size * size * 2) != 0;
    assert_true(flipped > BATCH / 2 - 60 && flipped < BATCH / 2 + 60);
    kl_release(y);
    kl_layer_release(layer);
    kl_release(x);
}

static void test_drawn_colors(void **state)
{
    static double draws[BATCH];
    kl_tensor *x = kl_full(KL_FLOAT32, KL_DIMS(BATCH, 2, 2, 3), 100);
    kl_layer *layer = kl_random_brightness(.factor = KL_FLOATS(-0.2, 0.4), .seed = 3);
    kl_tensor *y = train(layer, x);
    for (int i = 0; i < BATCH; i++)
        draws[i] = (kl_tensor_at(y, 12 * i) - 100) / 255;
    check_uniform(draws, BATCH, -0.2, 0.4);
    kl_release(y);
    kl_layer_release(layer);

    layer = kl_random_invert(.factor = KL_FLOATS(0.3, 0.3), .seed = 4);
    y = train(layer, x);
    int inverted = 0;
    for (int i = 0; i < BATCH; i++)
        inverted += kl_tensor_at(y, 12 * i) != 100;
    assert_true(inverted > 100 && inverted < 210);
    kl_release(y);
    kl_layer_release(layer);

    /* A box of 0.25 of each side's length squared in both, anywhere. */
    kl_tensor *large = kl_full(KL_FLOAT32, KL_DIMS(BATCH, 16, 16, 1), 1);
    layer = kl_random_erasing(.factor = KL_FLOATS(1, 1), .scale = KL_FLOATS(0.25, 0.25),
                              .fill_value = KL_FLOATS(0), .seed = 5);
    y = train(layer, large);
    for (int i = 0; i < BATCH; i++) {
        int erased = 0;
        for (int k = 0; k < 256; k++)
            erased += kl_tensor_at(y, 256 * i + k) == 0;
        assert_true(erased == 64);
    }
    kl_release(y);
    kl_layer_release(layer);
    kl_release(large);
    kl_release(x);
}

/* Labels go with their images. */
static void test_labels(void **state)
{
    const int64_t count = 64;
    for (int cut = 0; cut < 2; cut++) {
        kl_tensor *x = kl_empty(KL_FLOAT32, KL_DIMS(count, 16, 16, 1));
        kl_tensor *labels = kl_empty(KL_FLOAT32, KL_DIMS(count, 1));
        float *at = kl_tensor_mutable_data(x), *label = kl_tensor_mutable_data(labels);
        for (int64_t i = 0; i < count * 256; i++)
            at[i] = label[i / 256] = (float)(i / 256);
        kl_layer *layer = cut ? kl_cut_mix(.seed = 1) : kl_mix_up(.alpha = 0.4, .seed = 1);
        kl_tensors y = kl_call_with(layer, .inputs = {x, labels}, .training = KL_TRUE);
        assert_int_equal(y.count, 2);
        int mixed = 0;
        for (int64_t i = 0; i < count; i++) {
            double mean = 0, got = kl_tensor_at(y.at[1], i);
            for (int64_t k = 0; k < 256; k++)
                mean += kl_tensor_at(y.at[0], 256 * i + k) / 256;
            /* A cut's area is counted in whole pixels, its weight is not. */
            assert_true(fabs(mean - got) <= (cut ? 12 : 1e-3));
            mixed += fabs(got - (double)i) > 1e-3;
        }
        assert_true(mixed > 20);
        kl_release(y.at[0]);
        kl_release(y.at[1]);
        kl_layer_release(layer);
        kl_release(x);
        kl_release(labels);
    }
}

/* The gradient is the adjoint: <f(x), y> = <x, f'(y)>, as these layers are linear. */
static void check_adjoint(kl_layer *layer, int64_t height, int64_t width)
{
    kl_tensor *x = images(2, height, width), *gradient = NULL;
    kl_tape *tape = kl_tape_begin();
    assert_int_equal(kl_tape_watch(tape, x), KL_OK);
    kl_tensor *y = train(layer, x), *cotangent = kl_copy(y, KL_FLOAT32);
    float *at = kl_tensor_mutable_data(cotangent);
    for (int64_t i = 0; i < kl_tensor_size(y); i++)
        at[i] = (float)((i * 40503U) % 17) - 8;
    assert_int_equal(kl_tape_gradient(tape, y, 1, &x, &gradient, .output_gradient = cotangent),
                     KL_OK);
    assert_non_null(gradient);
    double out = 0, in = 0;
    for (int64_t i = 0; i < kl_tensor_size(y); i++)
        out += kl_tensor_at(y, i) * (double)at[i];
    for (int64_t i = 0; i < kl_tensor_size(x); i++)
        in += kl_tensor_at(x, i) * kl_tensor_at(gradient, i);
    assert_true(fabs(out - in) <= 1e-3 * fmax(1, fabs(out)));
    kl_release(gradient);
    kl_release(cotangent);
    kl_release(y);
    kl_release(x);
    kl_layer_release(layer);
}

static void test_gradients(void **state)
{
    check_adjoint(kl_random_rotation(.factor = KL_FLOATS(0.3), .seed = 1), 13, 17);
    check_adjoint(
        kl_random_zoom(.height_factor = KL_FLOATS(0.5), .fill_mode = "constant", .seed = 1), 9, 8);
    check_adjoint(
        kl_random_shear(.x_factor = KL_FLOATS(0.3), .interpolation = "nearest", .seed = 1), 9, 8);
    check_adjoint(kl_random_perspective(.scale = 0.4, .factor = KL_FLOATS(1, 1), .seed = 1), 9, 8);
    check_adjoint(kl_random_flip(.seed = 1), 9, 8);
    static const char *const methods[] = {"bilinear", "nearest",  "bicubic",
                                          "area",     "lanczos3", "lanczos5"};
    for (int i = 0; i < 6; i++) {
        check_adjoint(kl_resizing(.height = 5, .width = 20, .interpolation = methods[i]), 11, 9);
        check_adjoint(
            kl_resizing(.height = 5, .width = 4, .interpolation = methods[i], .antialias = true),
            11, 9);
    }
}

/* Views that aren't contiguous give what their copies give. */
static void test_views(void **state)
{
    kl_tensor *x = images(3, 20, 18), *part = kl_view_slice(x, 2, 3, 14, 2);
    kl_tensor *copy = kl_copy(part, KL_FLOAT32);
    for (int i = 0;; i++) {
        kl_layer *layer = made(i), *other = layer ? made(i) : NULL;
        if (!layer)
            break;
        kl_tensor *a = train(layer, part), *b = train(other, copy);
        assert_true(equal(a, b));
        kl_release(a);
        kl_release(b);
        kl_layer_release(layer);
        kl_layer_release(other);
    }
    kl_layer *resize = kl_resizing(.height = 7, .width = 5);
    kl_tensor *a = kl_call(resize, part), *b = kl_call(resize, copy);
    assert_true(equal(a, b));
    kl_release(a);
    kl_release(b);
    kl_layer_release(resize);
    kl_release(copy);
    kl_release(part);
    kl_release(x);
}

static void refuse(kl_layer *layer, const char *word)
{
    assert_null(layer);
    if (!strstr(kl_last_error(), word))
        print_error("no %s in: %s\n", word, kl_last_error());
    assert_non_null(strstr(kl_last_error(), word));
    kl_clear_error();
}

static void test_bad_input(void **state)
{
    refuse(kl_random_rotation(.factor = KL_FLOATS(1.5)), "factor");
    refuse(kl_random_rotation(.factor = KL_FLOATS(0.1, 0.2, 0.3)), "factor");
    refuse(kl_random_zoom(.height_factor = KL_FLOATS(-1)), "height_factor");
    refuse(kl_random_translation(.height_factor = KL_FLOATS(0.1), .width_factor = KL_FLOATS(2)),
           "width_factor");
    refuse(kl_random_flip(.mode = "diagonal"), "mode");
    refuse(kl_random_zoom(.height_factor = KL_FLOATS(0.1), .fill_mode = "mirror"), "fill_mode");
    refuse(kl_random_shear(.x_factor = KL_FLOATS(-0.1)), "x_factor");
    refuse(kl_random_perspective(.scale = 2), "scale");
    refuse(kl_random_crop(.height = -3, .width = 4), "height");
    refuse(kl_resizing(.height = 3, .width = 0), "width");
    refuse(kl_resizing(.height = 3, .width = 4, .interpolation = "cubic"), "interpolation");
    refuse(kl_resizing(.height = 3, .width = 4, .crop_to_aspect_ratio = true,
                       .pad_to_aspect_ratio = true),
           "only one");
    refuse(kl_random_gaussian_blur(.kernel_size = {4}), "kernel_size");
    refuse(kl_random_posterization(.factor = KL_INTS(9)), "factor");
    refuse(kl_random_brightness(.factor = KL_FLOATS(0.1), .value_range = KL_FLOATS(1)),
           "value_range");
    refuse(kl_mix_up(.alpha = 0), "alpha");
    refuse(kl_random_erasing(.fill_value = KL_FLOATS(1, 2)), "fill_value");
    refuse(kl_random_height(.factor = KL_FLOATS(0.3, 0.1)), "factor");

    kl_tensor *gray = kl_zeros(KL_FLOAT32, KL_DIMS(1, 4, 4, 2));
    kl_layer *hue = kl_random_hue(.factor = KL_FLOATS(0.1));
    assert_null(kl_call_with(hue, .inputs = {gray}, .training = KL_TRUE).at);
    assert_non_null(strstr(kl_last_error(), "3 channels"));
    kl_layer_release(hue);
    kl_release(gray);
    kl_tensor *words = kl_from_strings(KL_DIMS(1, 1, 1), (const char *const[]){"a"});
    kl_layer *crop = kl_center_crop(.height = 1, .width = 1);
    assert_null(kl_call(crop, words));
    kl_layer_release(crop);
    kl_release(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds_and_threads),
        cmocka_unit_test(test_configs),
        cmocka_unit_test(test_drawn_geometry),
        cmocka_unit_test(test_drawn_colors),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
