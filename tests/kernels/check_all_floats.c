/*
 * Tries every float32 there is on the library's own polynomials and prints the largest error of
 * each beside the bound; a minute or so a function. Run by hand: check_all_floats [name]...
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/isa.h"
#include "unary_reference.h"

#define BLOCK 65536

static bool asked_for(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], name))
            return true;
    return argc == 1;
}

/* The largest error over all floats; *at is where. */
static double worst_error(const unary_reference *r, float *at)
{
    static float x[BLOCK], y[BLOCK];
    double worst = 0;
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += BLOCK) {
        for (uint32_t i = 0; i < BLOCK; i++)
            x[i] = float_of_bits((uint32_t)bits + i);
        kl_unary_f32(r->op, NULL, BLOCK, x, y);
        for (int i = 0; i < BLOCK; i++) {
            double error = unary_error(r, x[i], y[i]);
            if (error > worst) {
                worst = error;
                *at = x[i];
            }
        }
    }
    return worst;
}

int main(int argc, char **argv)
{
    int failed = 0;
    printf("instruction set: %s\n", kl_isa_name(kl_isa_get()));
    for (int i = 0; i < UNARY_REFERENCES; i++) {
        const unary_reference *r = &unary_references[i];
        float at = 0;
        if (!asked_for(r->name, argc, argv))
            continue;
        double worst = worst_error(r, &at);
        bool bad = worst > r->most_ulp;
        failed += bad;
        printf("%-9s %6.3f ulp at %-14.9g (bound %.2f)%s\n", r->name, worst, (double)at,
               r->most_ulp, bad ? " TOO LARGE" : "");
        fflush(stdout);
    }
    kl_shutdown();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
