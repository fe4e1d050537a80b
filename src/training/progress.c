/* Keras's progress bar on a terminal, its plain lines elsewhere; all to standard output. */
#include <math.h>
#include <time.h>
#include <unistd.h>
#include "training/training.h"

enum { BAR_WIDTH = 20 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void kl_progress_epoch(kl_progress *p, int verbose, int64_t epoch, int64_t epochs, int64_t steps)
{
    *p = (kl_progress){
        .verbose = verbose, .bar = verbose == 1 && isatty(STDOUT_FILENO), .steps = steps};
    if (!verbose)
        return;
    p->started = p->shown = now();
    if (epochs > 0)
        printf("Epoch %lld/%lld\n", (long long)epoch + 1, (long long)epochs);
}

static void print_logs(const kl_logs *logs)
{
    for (int i = 0; logs && i < logs->count; i++) {
        double value = logs->values[i];
        bool small = value != 0 && fabs(value) < 1e-3;
        printf(small ? " - %s: %.4e" : " - %s: %.4f", logs->names[i], value);
    }
}

/* "2s", "3ms", "14us" */
static void print_time(double seconds)
{
    if (seconds >= 1)
        printf("%.0fs", seconds);
    else if (seconds >= 1e-3)
        printf("%.0fms", seconds * 1e3);
    else
        printf("%.0fus", seconds * 1e6);
}

static void print_steps(const kl_progress *p, int64_t done)
{
    if (p->steps >= 0)
        printf("%lld/%lld", (long long)done, (long long)p->steps);
    else
        printf("%lld", (long long)done);
}

static void draw_bar(const kl_progress *p, int64_t done, const kl_logs *logs)
{
    double spent = now() - p->started;
    printf("\r\033[1m");
    print_steps(p, done);
    printf("\033[0m ");
    if (p->steps > 0) {
        int64_t full = done * BAR_WIDTH / p->steps;
        printf("\033[32m");
        for (int64_t i = 0; i < full; i++)
            printf("\xe2\x94\x81");
        printf("\033[0m\033[37m");
        for (int64_t i = full; i < BAR_WIDTH; i++)
            printf("\xe2\x94\x81");
        printf("\033[0m ");
    }
    printf("\033[1m%.0fs\033[0m ", spent);
    print_time(spent / (double)(done ? done : 1));
    printf("/step");
    print_logs(logs);
    printf("\033[K");
    fflush(stdout);
}

void kl_progress_batch(kl_progress *p, int64_t done, const kl_logs *logs)
{
    if (!p->bar)
        return;
    double time = now();
    if (time - p->shown < 0.05)
        return;
    p->shown = time;
    draw_bar(p, done, logs);
}

void kl_progress_end(kl_progress *p, int64_t done, const kl_logs *logs)
{
    if (!p->verbose)
        return;
    if (p->steps < 0)
        p->steps = done;
    if (p->bar) {
        draw_bar(p, done, logs);
    } else {
        double spent = now() - p->started;
        print_steps(p, done);
        printf(" - %.0fs - ", spent);
        print_time(spent / (double)(done ? done : 1));
        printf("/step");
        print_logs(logs);
    }
    printf("\n");
    fflush(stdout);
}
