/*
 * The side of klayers in a comparison: reads a case a line as JSON from standard input and measures
 * it on demand (compare.py). "case {...}" answers "ready" or "skip REASON", "run SECONDS" answers
 * the least and the median time of a call in microseconds and the number of calls.
 * Usage: bench_cases THREADS wall|cpu
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/gemm.h"
#include "klayers/klayers.h"

enum { MAX_TIMES = 1 << 16, MAX_WEIGHTS = 256 };

typedef struct bench_case {
    kl_layer *layer;
    kl_tensor *x, *y, *output_gradient;
    int arguments; /* of the layer: attention takes its input twice */
    bool (*run)(struct bench_case *c);
    kl_gemm gemm;
    float *memory;
} bench_case;

static clockid_t clock_used = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(clock_used, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static bool predict(bench_case *c)
{
    kl_tensor *y = kl_predict_on_batch(c->layer, c->x);
    kl_release(y);
    return y;
}

static bool train(bench_case *c)
{
    double loss = kl_train_on_batch(c->layer, c->x, c->y);
    return loss == loss;
}

static kl_tensor *call(bench_case *c, bool training)
{
    kl_call_args args = {.size = sizeof args, .mark = kl_error_count(), .layer = c->layer};
    for (int i = 0; i < c->arguments; i++)
        args.inputs[i] = c->x;
    args.training = training ? KL_TRUE : KL_FALSE;
    kl_tensors out = kl_call_with_args(&args);
    return out.at ? out.at[0] : NULL;
}

static bool forward(bench_case *c)
{
    kl_scope *scope = kl_scope_begin();
    bool done = call(c, false);
    kl_scope_end(scope);
    return done;
}

static bool gradient(bench_case *c)
{
    kl_scope *scope = kl_scope_begin();
    kl_tape *tape = kl_tape_begin();
    kl_tensor *sources[MAX_WEIGHTS], *gradients[MAX_WEIGHTS];
    size_t count = 0;
    if (kl_tensor_dtype(c->x) == KL_FLOAT32) {
        kl_tape_watch(tape, c->x);
        sources[count++] = c->x;
    }
    kl_tensor *y = call(c, true);
    if (y && !c->output_gradient)
        c->output_gradient = kl_retain(kl_ones(KL_FLOAT32, kl_tensor_rank(y), kl_tensor_shape(y)));
    for (int i = 0; i < kl_layer_trainable_weight_count(c->layer) && count < MAX_WEIGHTS; i++)
        sources[count++] = kl_weight_value(kl_layer_trainable_weight(c->layer, i));
    bool done = y && !kl_tape_gradient(tape, y, count, sources, gradients,
                                       .output_gradient = c->output_gradient);
    if (!y)
        kl_tape_end(tape);
    kl_scope_end(scope);
    return done;
}

static bool multiply(bench_case *c)
{
    return kl_gemm_f32(&c->gemm);
}

static void clear(bench_case *c)
{
    kl_layer_release(c->layer);
    kl_release(c->x);
    kl_release(c->y);
    kl_release(c->output_gradient);
    free(c->memory);
    *c = (bench_case){0};
}

static int64_t integer(const kl_config *config, const char *key, int64_t otherwise)
{
    kl_config *value = kl_config_get(config, key);
    if (value)
        kl_config_as_int(value, &otherwise);
    return otherwise;
}

static kl_tensor *numbers(const kl_config *config, int64_t batch)
{
    int64_t shape[KL_MAX_RANK] = {batch}, top = integer(config, "integers", 0);
    const kl_config *sizes = kl_config_get(config, "input");
    int rank = 1;
    for (size_t i = 0; i < kl_config_count(sizes) && rank < KL_MAX_RANK; i++)
        kl_config_as_int(kl_config_at(sizes, i), &shape[rank++]);
    kl_tensor *x = kl_empty(top ? KL_INT32 : KL_FLOAT32, rank, shape);
    if (!x)
        return NULL;
    int64_t size = kl_tensor_size(x);
    for (int64_t i = 0; i < size; i++) {
        int64_t value = i * 7919 % 100003;
        if (top)
            ((int32_t *)kl_tensor_mutable_data(x))[i] = (int32_t)(value % top);
        else
            ((float *)kl_tensor_mutable_data(x))[i] = (float)value / 50000 - 1;
    }
    return x;
}

static bool prepare_gemm(bench_case *c, const kl_config *config, const kl_config *sizes)
{
    int64_t m = 0, k = 0, n = 0;
    bool ta = kl_config_get(config, "transpose_a"), tb = kl_config_get(config, "transpose_b");
    kl_config_as_int(kl_config_at(sizes, 0), &m);
    kl_config_as_int(kl_config_at(sizes, 1), &k);
    kl_config_as_int(kl_config_at(sizes, 2), &n);
    size_t count = (size_t)(m * k + k * n + m * n + 48);
    c->memory = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    if (!c->memory)
        return false;
    for (size_t i = 0; i < count; i++)
        c->memory[i] = (float)(i * 7919 % 1000) / 500 - 1;
    float *a = c->memory, *b = a + (m * k + 15) / 16 * 16, *y = b + (k * n + 15) / 16 * 16;
    c->gemm = (kl_gemm){.m = m, .n = n, .k = k, .a = a, .b = b, .c = y, .c_row = n};
    c->gemm.a_row = ta ? 1 : k, c->gemm.a_col = ta ? m : 1;
    c->gemm.b_row = tb ? 1 : n, c->gemm.b_col = tb ? k : 1;
    c->run = multiply;
    return true;
}

static kl_layer *make_layer(const kl_config *config)
{
    kl_config *inner = kl_config_get(config, "config");
    char *text = kl_config_print(inner, false);
    kl_layer *layer =
        kl_layer_from_config(kl_config_as_string(kl_config_get(config, "class_name")), text);
    kl_config_free_text(text);
    return layer;
}

static bool prepare(bench_case *c, const kl_config *config)
{
    const kl_config *gemm = kl_config_get(config, "gemm");
    if (gemm)
        return prepare_gemm(c, config, gemm);
    int64_t batch = integer(config, "batch", 1);
    c->arguments = (int)integer(config, "arguments", 1);
    c->layer = make_layer(config);
    c->x = c->layer ? numbers(config, batch) : NULL;
    if (!c->x)
        return false;
    const char *pass = kl_config_as_string(kl_config_get(config, "pass"));
    if (!strcmp(pass, "forward") || !strcmp(pass, "gradient"))
        c->run = !strcmp(pass, "forward") ? forward : gradient;
    else if (!strcmp(pass, "predict"))
        c->run = predict;
    else {
        int32_t *labels = malloc((size_t)batch * sizeof *labels);
        for (int64_t i = 0; labels && i < batch; i++)
            labels[i] = (int32_t)(i % 10);
        c->y = labels ? kl_from_data(KL_INT32, KL_DIMS(batch), labels) : NULL;
        free(labels);
        c->run = train;
        if (!c->y ||
            kl_compile(c->layer, .optimizer = kl_adam(), .loss = "sparse_categorical_crossentropy"))
            return false;
    }
    return c->run(c) && c->run(c);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(bench_case *c, double seconds)
{
    static double times[MAX_TIMES];
    int count = 0;
    if (!c->run || !c->run(c)) {
        printf("error %s\n", kl_last_error());
        return;
    }
    for (double start = now(), at = start, end; count < MAX_TIMES; at = end) {
        c->run(c);
        end = now();
        times[count++] = end - at;
        if (end - start > seconds * 1e6 && count > 2)
            break;
    }
    qsort(times, (size_t)count, sizeof *times, by_size);
    printf("%.3f %.3f %d\n", times[0], times[count / 2], count);
}

int main(int argc, char **argv)
{
    bench_case c = {0};
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    kl_set_num_threads(argc > 1 ? atoi(argv[1]) : 1);
    if (argc > 2 && !strcmp(argv[2], "cpu"))
        clock_used = CLOCK_PROCESS_CPUTIME_ID;
    while ((length = getline(&line, &capacity, stdin)) > 5) {
        if (!strncmp(line, "run ", 4)) {
            measure(&c, strtod(line + 4, NULL));
        } else {
            clear(&c);
            kl_clear_session();
            kl_config *config = kl_config_parse(line + 5, (size_t)length - 5);
            bool ready = config && prepare(&c, config);
            printf(ready ? "ready\n" : "skip %s\n", kl_last_error());
            kl_config_free(config);
        }
        fflush(stdout);
    }
    clear(&c);
    free(line);
    kl_shutdown();
    return 0;
}
