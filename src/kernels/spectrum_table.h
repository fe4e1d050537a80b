/* What the parts of spectrum.c share with the loops of each instruction set. */
#ifndef KL_KERNELS_SPECTRUM_TABLE_H
#define KL_KERNELS_SPECTRUM_TABLE_H

#include "kernels/spectrum.h"

enum { KL_SPECTRUM_LANES = 16, KL_SPECTRUM_FACTORS = 40 };

/* Even lengths go through a complex transform of half the length. */
struct kl_spectrum {
    int64_t length, points, bins; /* points of the complex transform */
    bool wide, half;
    int factors[KL_SPECTRUM_FACTORS], factor_count;
    void *window;                /* [length] */
    void *cosines, *sines;       /* [points] of exp(-2 pi i k / points) */
    void *unpack_re, *unpack_im; /* [bins] of exp(-2 pi i k / length) */
};

typedef struct kl_spectrum_table {
    /* Frames `first` to first + KL_SPECTRUM_LANES - 1 of one signal, those beyond the last as the
       last; work has 4 * (points + 1) * lanes elements. out is a signal's [bands, frames]. */
    void (*bands_float)(const kl_band_job *job, const void *signal, int64_t first, void *work,
                        void *out);
    void (*bands_double)(const kl_band_job *job, const void *signal, int64_t first, void *work,
                         void *out);
} kl_spectrum_table;

extern const kl_spectrum_table kl_spectrum_portable, kl_spectrum_neon, kl_spectrum_avx2,
    kl_spectrum_avx512;

#endif
