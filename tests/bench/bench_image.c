/* Layers on images and sound: milliseconds a call, the least of several. bench_image [THREADS] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "klayers/klayers.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void *counted(size_t size, void *user)
{
    ++*(long *)user;
    return malloc(size);
}

static void *counted_grown(void *memory, size_t size, void *user)
{
    ++*(long *)user;
    return realloc(memory, size);
}

static void give_back(void *memory, void *user)
{
    free(memory);
}

static long allocations;

static void measure(const char *name, kl_layer *layer, kl_tensor *x, int times)
{
    double least = 1e30;
    long before = 0;
    for (int i = 0; i < times + 2; i++) {
        double start = now();
        kl_tensors y = kl_call_with(layer, .inputs = {x}, .training = KL_TRUE);
        double took = now() - start;
        if (!y.at) {
            printf("%s: %s\n", name, kl_last_error());
            return;
        }
        kl_release(y.at[0]);
        if (i >= 2 && took < least)
            least = took;
        if (i == 1)
            before = allocations;
    }
    printf("%-28s %9.3f ms  %ld allocations\n", name, least, allocations - before);
    kl_layer_release(layer);
}

static kl_tensor *noise(kl_dtype dtype, int rank, const int64_t *shape)
{
    kl_tensor *x = kl_op_random_uniform(KL_FLOAT32, rank, shape, 0, 255);
    kl_tensor *y = kl_copy(x, dtype);
    kl_release(x);
    return y;
}

int main(int argc, char **argv)
{
    const kl_allocator counting = {counted, counted_grown, give_back, &allocations};
    kl_set_allocator(&counting);
    kl_set_num_threads(argc > 1 ? atoi(argv[1]) : 1);
    kl_tensor *hd = noise(KL_FLOAT32, KL_DIMS(1, 1080, 1920, 3));
    kl_tensor *hd_bytes = noise(KL_UINT8, KL_DIMS(1, 1080, 1920, 3));
    measure("resize_1080_224", kl_resizing(.height = 224, .width = 224), hd, 20);
    measure("resize_1080_224_uint8", kl_resizing(.height = 224, .width = 224), hd_bytes, 20);
    measure("resize_1080_224_antialias",
            kl_resizing(.height = 224, .width = 224, .antialias = true), hd, 10);
    kl_tensor *small = noise(KL_FLOAT32, KL_DIMS(128, 32, 32, 3));
    measure("resize_32_64", kl_resizing(.height = 64, .width = 64), small, 20);
    kl_tensor *x = noise(KL_FLOAT32, KL_DIMS(128, 224, 224, 3));
    measure("flip", kl_random_flip(), x, 6);
    measure("translation",
            kl_random_translation(.height_factor = KL_FLOATS(0.2), .width_factor = KL_FLOATS(0.2)),
            x, 6);
    measure("rotation", kl_random_rotation(.factor = KL_FLOATS(0.2)), x, 6);
    measure("zoom", kl_random_zoom(.height_factor = KL_FLOATS(0.2)), x, 6);
    measure("shear", kl_random_shear(.x_factor = KL_FLOATS(0.2), .y_factor = KL_FLOATS(0.2)), x, 6);
    measure("perspective", kl_random_perspective(.factor = KL_FLOATS(1, 1)), x, 6);
    measure("crop", kl_random_crop(.height = 200, .width = 200), x, 6);
    kl_tensor *hour = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(1, 57600000), -1, 1);
    measure("mel_hour", kl_mel_spectrogram(), hour, 2);
    return 0;
}
