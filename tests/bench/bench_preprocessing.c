/*
 * Layers on categories and numbers over ten million values: nanoseconds a value, of the clock and
 * of all processors together. bench_preprocessing [THREADS [MILLIONS]] The same values in
 * preprocessing.py, which times TensorFlow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "klayers/klayers.h"

enum { SHORT_VOCABULARY = 10000, LONG_VOCABULARY = 1000000, TURNS = 3 };

static int64_t count = 10000000;

typedef struct times {
    double wall, cpu;
} times;

static double read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static times since(times start)
{
    return (times){read_clock(CLOCK_MONOTONIC) - start.wall,
                   read_clock(CLOCK_PROCESS_CPUTIME_ID) - start.cpu};
}

static void give_up(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    exit(1);
}

/* The i-th value of a sequence without order: below `most`, small ones more often. */
static int64_t draw(int64_t i, int64_t most)
{
    uint64_t z = (uint64_t)(i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z ^= z >> 31;
    double u = (double)(z >> 11) * 0x1p-53;
    return (int64_t)(u * u * (double)most);
}

static kl_tensor *make_numbers(int64_t most)
{
    int64_t shape[] = {count, 1};
    kl_tensor *x = kl_empty(KL_INT64, 2, shape);
    int64_t *to = x ? kl_tensor_mutable_data(x) : NULL;
    for (int64_t i = 0; to && i < count; i++)
        to[i] = draw(i, most);
    return to ? x : NULL;
}

static kl_tensor *make_words(int64_t most)
{
    int64_t shape[] = {count, 1};
    kl_string *list = malloc((size_t)count * sizeof *list);
    char *bytes = malloc((size_t)count * 16);
    for (int64_t i = 0; list && bytes && i < count; i++) {
        int n = snprintf(bytes + i * 16, 16, "word_%lld", (long long)draw(i, most));
        list[i] = (kl_string){bytes + i * 16, (size_t)n};
    }
    kl_tensor *x = list && bytes ? kl_from_data(KL_STRING, 2, shape, list) : NULL;
    free(list);
    free(bytes);
    return x;
}

static kl_tensor *make_floats(void)
{
    int64_t shape[] = {count, 1};
    kl_tensor *x = kl_empty(KL_FLOAT32, 2, shape);
    float *to = x ? kl_tensor_mutable_data(x) : NULL;
    for (int64_t i = 0; to && i < count; i++)
        to[i] = (float)draw(i, 1000000) * 1e-6f;
    return to ? x : NULL;
}

static void report(const char *name, times taken)
{
    printf("%-32s %8.2f %8.2f\n", name, taken.wall * 1e9 / (double)count,
           taken.cpu * 1e9 / (double)count);
    fflush(stdout);
}

/* The best of a few turns, after adapt if the layer learns. */
static void time_layer(const char *name, kl_layer *layer, bool learns, int inputs, kl_tensor **x)
{
    char label[80];
    times best = {1e9, 1e9};
    if (!layer)
        give_up(name);
    if (learns) {
        times start = since((times){0, 0});
        if (kl_layer_adapt(layer, x[0]))
            give_up(name);
        snprintf(label, sizeof label, "%s adapt", name);
        report(label, since(start));
    }
    for (int i = 0; i < TURNS; i++) {
        kl_scope *scope = kl_scope_begin();
        times start = since((times){0, 0});
        kl_tensors y = kl_call_with(layer, .inputs_list = {inputs, x});
        times taken = since(start);
        if (!y.at)
            give_up(name);
        best.wall = taken.wall < best.wall ? taken.wall : best.wall;
        best.cpu = taken.cpu < best.cpu ? taken.cpu : best.cpu;
        kl_scope_end(scope);
    }
    report(name, best);
    kl_layer_release(layer);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        kl_set_num_threads(atoi(argv[1]));
    if (argc > 2)
        count = atoll(argv[2]) * 1000000;
    kl_tensor *words = make_words(SHORT_VOCABULARY), *many = make_words(LONG_VOCABULARY);
    kl_tensor *numbers = make_numbers(SHORT_VOCABULARY), *wide = make_numbers(LONG_VOCABULARY);
    kl_tensor *floats = make_floats(), *both[] = {words, numbers};
    if (!words || !many || !numbers || !wide || !floats)
        give_up("data");
    time_layer("StringLookup 10k", kl_string_lookup(), true, 1, &words);
    time_layer("StringLookup 1M", kl_string_lookup(), true, 1, &many);
    time_layer("IntegerLookup 10k", kl_integer_lookup(), true, 1, &numbers);
    time_layer("IntegerLookup 1M", kl_integer_lookup(), true, 1, &wide);
    time_layer("Hashing strings", kl_hashing(.num_bins = 1000), false, 1, &words);
    time_layer("Hashing strings salted", kl_hashing(.num_bins = 1000, .salt = KL_INTS(1, 2)), false,
               1, &words);
    time_layer("Hashing ints", kl_hashing(.num_bins = 1000), false, 1, &wide);
    time_layer("HashedCrossing", kl_hashed_crossing(.num_bins = 1000), false, 2, both);
    time_layer("Discretization 100 bins", kl_discretization(.num_bins = 100), true, 1, &floats);
    time_layer("Rescaling", kl_rescaling(.scale = 1 / 255.0, .offset = -1), false, 1, &floats);
    int64_t rows[] = {count / 100, 100};
    kl_tensor *table = kl_view_reshape(numbers, 2, rows);
    kl_tensor *ids = kl_op_mod(table, kl_scalar(KL_INT64, 100));
    time_layer("CategoryEncoding count",
               kl_category_encoding(.num_tokens = 100, .output_mode = "count"), false, 1, &ids);
    kl_shutdown();
    return 0;
}
