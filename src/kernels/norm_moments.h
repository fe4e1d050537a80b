/* Means and sums of squares around them, of parts of an array, joined (Chan et al. 1983). */
#ifndef KL_KERNELS_NORM_MOMENTS_H
#define KL_KERNELS_NORM_MOMENTS_H

#include "klayers/base.h"

/* Joins to (count, mean, squares) the same of more elements, of which there is at least one. */
static inline void kl_join_moments(double *count, double *mean, double *squares, double more,
                                   double more_mean, double more_squares)
{
    double total = *count + more, delta = more_mean - *mean;
    *squares += more_squares + delta * delta * (*count * more / total);
    *mean += delta * (more / total);
    *count = total;
}

/* The same for n columns that all have `count` elements so far and get `more`. */
static inline void kl_join_columns(bool wide, int64_t n, double count, double more,
                                   const void *more_mean, const void *more_squares, double *mean,
                                   double *squares)
{
    const double ratio = more / (count + more), weight = count * ratio;
#define KL_JOIN(T)                                                                                 \
    for (int64_t j = 0; j < n; j++) {                                                              \
        double delta = (double)((const T *)more_mean)[j] - mean[j];                                \
        squares[j] += (double)((const T *)more_squares)[j] + delta * delta * weight;               \
        mean[j] += delta * ratio;                                                                  \
    }
    if (wide)
        KL_JOIN(double)
    else
        KL_JOIN(float)
#undef KL_JOIN
}

static inline double kl_norm_value(const void *array, bool wide, int64_t i)
{
    return wide ? ((const double *)array)[i] : (double)((const float *)array)[i];
}

static inline void kl_norm_set(void *array, bool wide, int64_t i, double v)
{
    if (wide)
        ((double *)array)[i] = v;
    else
        ((float *)array)[i] = (float)v;
}

/* Rows summed in the type itself; such strips are joined in double. */
enum { KL_NORM_STRIP = 64 };
/* Rows narrower than the first are taken side by side, as many as the second, to fill vectors. */
enum { KL_NORM_NARROW = 64, KL_NORM_REPEAT = 16 };

#endif
