/*
 * Streaming: a stateful layer fed a step a call at batch 1, in microseconds of thread time a step,
 * the least of several rounds, by kl_call on the layer and by kl_predict on a model of it and a
 * Dense layer; and how often the library allocated meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "klayers/klayers.h"

#define ROUNDS 20
#define STEPS  500

static long allocations;

static void *count_alloc(size_t size, void *user)
{
    allocations++;
    return malloc(size);
}

static void *count_realloc(void *block, size_t size, void *user)
{
    allocations++;
    return realloc(block, size);
}

static void count_free(void *block, void *user)
{
    free(block);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static void call(kl_layer *layer, kl_tensor *x)
{
    kl_scope *scope = kl_scope_begin();
    kl_call(layer, x);
    kl_scope_end(scope);
}

static void predict(kl_layer *model, kl_tensor *x)
{
    kl_release(kl_predict(model, x));
}

static double cost(kl_layer *layer, void (*step)(kl_layer *, kl_tensor *), int64_t width,
                   long *count)
{
    kl_tensor *x = kl_full(KL_FLOAT32, KL_DIMS(1, 1, width), 0.5);
    double best = 1e30;
    for (int r = 0; r < ROUNDS; r++) {
        long before = allocations;
        double start = now();
        for (int i = 0; i < STEPS; i++)
            step(layer, x);
        double each = (now() - start) / STEPS;
        best = each < best ? each : best;
        *count = allocations - before;
    }
    kl_release(x);
    return best;
}

static kl_layer *layer_of(int kind, int64_t units)
{
    return kind == 0   ? kl_lstm(.units = units, .stateful = true)
           : kind == 1 ? kl_gru(.units = units, .stateful = true)
                       : kl_simple_rnn(.units = units, .stateful = true);
}

int main(void)
{
    static const char *const names[] = {"LSTM", "GRU", "SimpleRNN"};
    static const int64_t units[] = {8, 32, 128, 512};
    const kl_allocator counting = {
        .allocate = count_alloc, .reallocate = count_realloc, .release = count_free};
    kl_set_allocator(&counting);
    kl_set_num_threads(1);
    printf("us a step\n%-16s %9s %6s %9s %6s\n", "", "call", "allocs", "predict", "allocs");
    for (int kind = 0; kind < 3; kind++)
        for (int i = 0; i < 4; i++) {
            long of_call, of_predict;
            kl_layer *layer = layer_of(kind, units[i]);
            double each = cost(layer, call, units[i], &of_call);
            kl_model *model = kl_sequential();
            kl_add(model, kl_input_layer(.batch_shape = {1, 1, units[i]}));
            kl_add(model, layer_of(kind, units[i]));
            kl_add(model, kl_dense(.units = 4));
            double whole = cost(model, predict, units[i], &of_predict);
            printf("%-10s %5lld %9.2f %6ld %9.2f %6ld\n", names[kind], (long long)units[i], each,
                   of_call, whole, of_predict);
            kl_layer_release(layer);
            kl_layer_release(model);
        }
    kl_shutdown();
    return 0;
}
