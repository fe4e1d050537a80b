/*
 * Short-time Fourier transforms of real signals, several frames side by side in the lanes of
 * vectors. Any length: Stockham's algorithm over the factors of the length.
 */
#ifndef KL_KERNELS_SPECTRUM_H
#define KL_KERNELS_SPECTRUM_H

#include "klayers/base.h"

/* The window of a name, as SciPy's get_window makes it; false for an unknown name (no error set).
   periodic: for spectra; else symmetric. */
bool kl_window_values(const char *name, int64_t count, bool periodic, double *out);

typedef struct kl_spectrum kl_spectrum;

/* For frames of `length` samples, each times window[0..length-1]; wide: float64, else float32. NULL
   with an error if out of memory. */
kl_spectrum *kl_spectrum_new(int64_t length, const double *window, bool wide);
void kl_spectrum_free(kl_spectrum *spectrum);

/* Weighted sums of a spectrum: band b adds weights[first[b]..] over bins low[b] to high[b] - 1. */
typedef struct kl_bands {
    int64_t count;
    const int64_t *low, *high, *first;
    const double *weights;
} kl_bands;

typedef struct kl_band_job {
    const kl_spectrum *spectrum;
    const kl_bands *bands;
    double power; /* of the magnitude */
    int64_t signals, samples, frames, step;
    int64_t before; /* samples that a signal is extended by at both ends, mirrored */
} kl_band_job;
/* Each frame's magnitudes, raised to `power`, summed over bands: out [signals, bands, frames] in
   the spectrum's type. False: out of memory. */
bool kl_spectrum_bands(const kl_band_job *job, const void *signals, void *out);

#endif
