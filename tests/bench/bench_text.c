/*
 * TextVectorization over a file of texts, one a line: megabytes a second.
 *   bench_text FILE [THREADS]
 *   bench_text memory FILE [MEGABYTES]   adapt's peak memory over the file repeated with variation
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "klayers/klayers.h"

enum { BATCH = 1024 };

static long allocations;

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

typedef struct times {
    double wall, cpu;
} times;

static double read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static times now(void)
{
    return (times){read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_PROCESS_CPUTIME_ID)};
}

static times since(times start)
{
    times end = now();
    return (times){end.wall - start.wall, end.cpu - start.cpu};
}

typedef struct corpus {
    char *text;
    size_t size;
    kl_string *lines;
    int64_t count;
    kl_tensor **batches;
    int64_t batch_count;
} corpus;

static void give_up(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    exit(1);
}

static corpus read_corpus(const char *path)
{
    corpus c = {0};
    FILE *file = fopen(path, "rb");
    if (!file)
        give_up(path);
    fseek(file, 0, SEEK_END);
    c.size = (size_t)ftell(file);
    rewind(file);
    c.text = malloc(c.size + 1);
    if (!c.text || fread(c.text, 1, c.size, file) != c.size)
        give_up(path);
    fclose(file);
    for (size_t i = 0; i < c.size; i++)
        c.count += c.text[i] == '\n';
    c.lines = malloc((size_t)c.count * sizeof *c.lines);
    const char *at = c.text;
    for (int64_t i = 0; c.lines && i < c.count; i++) {
        const char *end = memchr(at, '\n', c.size - (size_t)(at - c.text));
        c.lines[i] = (kl_string){at, (size_t)(end - at)};
        at = end + 1;
    }
    return c;
}

static void make_batches(corpus *c)
{
    c->batch_count = (c->count + BATCH - 1) / BATCH;
    c->batches = malloc((size_t)c->batch_count * sizeof *c->batches);
    for (int64_t i = 0; c->batches && i < c->batch_count; i++) {
        int64_t count = c->count - i * BATCH < BATCH ? c->count - i * BATCH : BATCH;
        c->batches[i] = kl_wrap(KL_STRING, KL_DIMS(count), NULL, c->lines + i * BATCH, NULL, NULL);
        if (!c->batches[i])
            give_up("kl_wrap");
    }
}

static void report(const char *name, const corpus *c, times took, long count)
{
    double size = (double)c->size / 1e6;
    printf("%-20s %9.1f MB/s %9.1f MB a second of processor time  %ld allocations\n", name,
           size / took.wall, size / took.cpu, count);
    fflush(stdout);
}

static void time_calls(const char *name, kl_layer *layer, const corpus *c)
{
    times least = {1e30, 1e30};
    long before = 0;
    for (int turn = 0; turn < 2; turn++) {
        times start = now();
        before = allocations;
        for (int64_t i = 0; i < c->batch_count; i++) {
            kl_tensor *y = kl_call(layer, c->batches[i]);
            if (!y)
                give_up(name);
            kl_release(y);
        }
        times took = since(start);
        least.wall = took.wall < least.wall ? took.wall : least.wall;
        least.cpu = took.cpu < least.cpu ? took.cpu : least.cpu;
    }
    report(name, c, least, allocations - before);
}

static void time_adapt(const char *name, kl_layer *layer, const corpus *c)
{
    kl_tensor *all = kl_wrap(KL_STRING, KL_DIMS(c->count), NULL, c->lines, NULL, NULL);
    times start = now();
    long before = allocations;
    if (kl_layer_adapt(layer, all))
        give_up(name);
    report(name, c, since(start), allocations - before);
    kl_release(all);
}

static kl_strings list_words(const kl_layer *layer, size_t most)
{
    kl_tensor *words = kl_get_vocabulary(layer, false);
    kl_strings list = {.count = (size_t)kl_tensor_size(words)};
    if (list.count > most)
        list.count = most;
    const char **at = malloc(list.count * sizeof *at);
    for (size_t i = 0; at && i < list.count; i++) {
        kl_string word = kl_tensor_string_at(words, (int64_t)i);
        at[i] = strndup(word.at, word.length);
    }
    list.at = at;
    kl_release(words);
    return list;
}

static void run_speed(corpus *c)
{
    make_batches(c);
    kl_layer *layer = kl_text_vectorization(.max_tokens = 20000);
    time_adapt("adapt", layer, c);
    time_calls("int", layer, c);
    time_calls("int_128",
               kl_text_vectorization(.max_tokens = 20000, .output_sequence_length = 128,
                                     .vocabulary = list_words(layer, 20000)),
               c);
    time_calls("multi_hot_1000",
               kl_text_vectorization(.max_tokens = 1000, .output_mode = "multi_hot",
                                     .vocabulary = list_words(layer, 999)),
               c);
    kl_layer *pairs = kl_text_vectorization(.max_tokens = 20000, .ngrams = 2);
    time_adapt("adapt_bigrams", pairs, c);
    time_calls("int_bigrams", pairs, c);
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* The lines again and again, each time begun at another word, in other case and with a number. */
typedef struct endless {
    const corpus *c;
    size_t limit, given;
    int64_t at;
    unsigned turn;
    char *text;
    kl_string lines[BATCH];
    kl_tensor *batch;
} endless;

static kl_string vary(const endless *e, kl_string line, char *to)
{
    size_t cut = line.length ? (size_t)e->turn * 37 % line.length : 0, used = 0;
    while (cut < line.length && line.at[cut] != ' ')
        cut++;
    memcpy(to, line.at + cut, line.length - cut);
    used += line.length - cut;
    to[used++] = ' ';
    memcpy(to + used, line.at, cut);
    used += cut;
    if (used && e->turn % 2 && to[0] >= 'a' && to[0] <= 'z')
        to[0] = (char)(to[0] - 32);
    return (kl_string){to, used + (size_t)sprintf(to + used, " %u", e->turn * 17 % 1000)};
}

static kl_status next_lines(void *user, kl_tensor **batch)
{
    endless *e = user;
    kl_release(e->batch);
    e->batch = NULL;
    if (e->given >= e->limit)
        return KL_OK;
    char *to = e->text;
    for (int i = 0; i < BATCH; i++) {
        e->lines[i] = vary(e, e->c->lines[e->at], to);
        to += e->lines[i].length;
        e->given += e->lines[i].length;
        if (++e->at == e->c->count) {
            e->at = 0;
            e->turn++;
        }
    }
    *batch = e->batch = kl_wrap(KL_STRING, KL_DIMS(BATCH), NULL, e->lines, NULL, NULL);
    return *batch ? KL_OK : kl_last_status();
}

static double peak_megabytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static void run_memory(const corpus *c, size_t megabytes)
{
    static endless e;
    size_t longest = 0;
    for (int64_t i = 0; i < c->count; i++)
        longest = c->lines[i].length > longest ? c->lines[i].length : longest;
    e = (endless){.c = c, .text = malloc((longest + 32) * BATCH)};
    const size_t limits[] = {c->size, megabytes * 1000000};
    printf("%.0f MB before\n", peak_megabytes());
    for (int i = 0; e.text && i < 2; i++) {
        kl_layer *layer = kl_text_vectorization();
        e.limit = limits[i];
        e.given = e.turn = 0;
        e.at = 0;
        if (kl_layer_adapt_source(layer, next_lines, &e))
            give_up("adapt");
        printf("adapt to %.0f MB: %lld words, %.0f MB at most\n", (double)e.given / 1e6,
               (long long)kl_vocabulary_size(layer), peak_megabytes());
        kl_layer_release(layer);
    }
}

int main(int argc, char **argv)
{
    const kl_allocator counting = {counted, counted_grown, give_back, &allocations};
    bool memory = argc > 2 && !strcmp(argv[1], "memory");
    if (argc < 2) {
        fprintf(stderr, "usage: bench_text FILE [THREADS] | bench_text memory FILE [MEGABYTES]\n");
        return 2;
    }
    kl_set_allocator(&counting);
    corpus c = read_corpus(argv[memory ? 2 : 1]);
    if (memory) {
        run_memory(&c, argc > 3 ? (size_t)atoi(argv[3]) : 1000);
        return 0;
    }
    kl_set_num_threads(argc > 2 ? atoi(argv[2]) : 1);
    run_speed(&c);
    return 0;
}
