/*
 * What every random layer on images does, to look at: a contact sheet of photographs with a row for
 * each layer, written as a PNG file (build with libpng) or as NumPy's .npy.
 *
 *   image_augmentation [SHEET.png|SHEET.npy]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "klayers/klayers.h"

#ifdef KL_HAVE_PNG
#include <png.h>
#endif

enum { SIDE = 128, ACROSS = 9, GAP = 4 };

static kl_layer *layers[32];
static int layer_count;

static void show(kl_layer *layer)
{
    if (!layer) {
        fprintf(stderr, "%s\n", kl_last_error());
        exit(1);
    }
    layers[layer_count++] = layer;
}

static void make_layers(void)
{
    show(kl_random_flip(.seed = 1));
    show(kl_random_translation(.height_factor = KL_FLOATS(0.3), .width_factor = KL_FLOATS(0.3),
                               .fill_mode = "constant", .seed = 2));
    show(kl_random_rotation(.factor = KL_FLOATS(0.15), .fill_mode = "reflect", .seed = 3));
    show(kl_random_zoom(.height_factor = KL_FLOATS(-0.4, 0.6), .fill_mode = "wrap", .seed = 4));
    show(kl_random_shear(.x_factor = KL_FLOATS(0.4), .y_factor = KL_FLOATS(0.2),
                         .fill_mode = "nearest", .seed = 5));
    show(kl_random_perspective(.scale = 0.5, .factor = KL_FLOATS(1, 1), .seed = 6));
    show(kl_random_elastic_transform(.factor = KL_FLOATS(1, 1), .scale = KL_FLOATS(0.9, 1),
                                     .seed = 7));
    show(kl_pipeline(.layers = {
                         kl_random_crop(.height = 80, .width = 80, .seed = 8),
                         kl_resizing(.height = SIDE, .width = SIDE, .interpolation = "bicubic")}));
    show(kl_random_contrast(.factor = KL_FLOATS(0.8), .seed = 9));
    show(kl_random_brightness(.factor = KL_FLOATS(0.4), .seed = 10));
    show(kl_random_hue(.factor = KL_FLOATS(0.8), .seed = 11));
    show(kl_random_saturation(.factor = KL_FLOATS(0.1, 0.9), .seed = 12));
    show(kl_random_sharpness(.factor = KL_FLOATS(0, 1), .seed = 13));
    show(kl_random_gaussian_blur(.factor = KL_FLOATS(1, 1), .kernel_size = {9},
                                 .sigma = KL_FLOATS(0.5, 1), .seed = 14));
    show(kl_random_grayscale(.seed = 15));
    show(kl_random_color_degeneration(.factor = KL_FLOATS(0, 1), .seed = 16));
    show(kl_random_invert(.factor = KL_FLOATS(0.5, 0.5), .seed = 17));
    show(kl_random_posterization(.factor = KL_INTS(1, 6), .seed = 18));
    show(kl_solarization(.addition_factor = KL_FLOATS(0.3), .threshold_factor = KL_FLOATS(0.9),
                         .seed = 19));
    show(kl_auto_contrast());
    show(kl_equalization());
    show(kl_contrast_limited_adaptive_histogram_equalization());
    show(kl_random_erasing(.factor = KL_FLOATS(1, 1), .seed = 20));
    show(kl_cut_mix(.seed = 21));
    show(kl_mix_up(.alpha = 1, .seed = 22));
    show(kl_random_color_jitter(.brightness_factor = KL_FLOATS(0.3),
                                .contrast_factor = KL_FLOATS(0.5),
                                .saturation_factor = KL_FLOATS(0.3, 0.7),
                                .hue_factor = KL_FLOATS(0.2), .seed = 23));
    show(kl_rand_augment(.seed = 24));
    show(kl_aug_mix(.seed = 25));
}

/* Copies a batch into row `row` of the sheet. */
static void place(uint8_t *sheet, int64_t width, int row, kl_tensor *batch)
{
    for (int64_t i = 0; i < ACROSS; i++)
        for (int64_t y = 0; y < SIDE; y++)
            for (int64_t x = 0; x < SIDE * 3; x++) {
                double v = kl_tensor_at(batch, ((i * SIDE + y) * SIDE) * 3 + x);
                int64_t line = GAP + (int64_t)row * (SIDE + GAP) + y;
                int64_t column = (GAP + i * (SIDE + GAP)) * 3 + x;
                sheet[line * width * 3 + column] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
            }
}

static int write_sheet(const char *path, const uint8_t *sheet, int64_t width, int64_t height)
{
    size_t length = strlen(path);
    if (length > 4 && !strcmp(path + length - 4, ".npy")) {
        kl_tensor *t = kl_from_data(KL_UINT8, KL_DIMS(height, width, 3), sheet);
        kl_status status = t ? kl_npy_save(path, t) : kl_last_status();
        kl_release(t);
        return status ? fprintf(stderr, "%s\n", kl_last_error()), 1 : 0;
    }
#ifdef KL_HAVE_PNG
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB};
    if (png_image_write_to_file(&image, path, 0, sheet, 0, NULL))
        return 0;
    fprintf(stderr, "%s: %s\n", path, image.message);
#else
    fprintf(stderr, "%s: this build has no libpng (libpng-dev); give a name that ends in .npy\n",
            path);
#endif
    return 1;
}

int main(int argc, char **argv)
{
#ifdef KL_HAVE_PNG
    const char *path = argc > 1 ? argv[1] : "augmentation.png";
#else
    const char *path = argc > 1 ? argv[1] : "augmentation.npy";
#endif
    kl_tensor *photographs = kl_npy_load(KL_EXAMPLE_DATA "/photographs.npy");
    /* Three of each, in turn. */
    kl_tensor *batch = kl_op_tile(photographs, (const int64_t[]){ACROSS / 3, 1, 1, 1});
    kl_tensor *x = kl_op_cast(batch, KL_FLOAT32);
    if (!x) {
        fprintf(stderr, "%s\n", kl_last_error());
        return 1;
    }
    make_layers();
    const int64_t width = ACROSS * (SIDE + GAP) + GAP;
    const int64_t height = (layer_count + 1) * (int64_t)(SIDE + GAP) + GAP;
    uint8_t *sheet = malloc((size_t)(width * height * 3));
    if (!sheet)
        return 1;
    memset(sheet, 255, (size_t)(width * height * 3));
    place(sheet, width, 0, x);
    printf("row  0: the photographs\n");
    int failed = 0;
    for (int i = 0; i < layer_count; i++) {
        kl_tensors y = kl_call_with(layers[i], .inputs = {x}, .training = KL_TRUE);
        if (!y.at) {
            fprintf(stderr, "%s\n", kl_last_error());
            failed = 1;
            break;
        }
        place(sheet, width, i + 1, y.at[0]);
        printf("row %2d: %s\n", i + 1, kl_layer_class_name(layers[i]));
        kl_release(y.at[0]);
    }
    if (!failed)
        failed = write_sheet(path, sheet, width, height);
    if (!failed)
        printf("written to %s\n", path);
    free(sheet);
    for (int i = 0; i < layer_count; i++)
        kl_layer_release(layers[i]);
    kl_release(x);
    kl_release(batch);
    kl_release(photographs);
    kl_shutdown();
    return failed;
}
