/*
 * Initializers: https://keras.io/api/layers/initializers/. Random ones draw from a seed (KL_NONE:
 * from the default generator) by Philox: the distributions are Keras's, the numbers are not.
 */
#ifndef KLAYERS_INITIALIZERS_H
#define KLAYERS_INITIALIZERS_H

#include "klayers/object.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_initializer_vtable {
    KL_CLASS_HEAD
    /* MUST: sets every element of `out`, which is contiguous and float32 or float64 (other dtypes
       are converted by the caller). `seed` is the stream's key, fixed for the call. */
    kl_status (*fill)(const kl_initializer *self, uint64_t seed, kl_tensor *out);
} kl_initializer_vtable;

/* A new tensor by an initializer. */
KL_API kl_tensor *kl_initializer_call(const kl_initializer *initializer, kl_dtype dtype, int rank,
                                      const int64_t *shape);
KL_API kl_initializer *kl_initializer_get(kl_named initializer);
/* One's own function, which sets every element; the name is what get_config gives (register it with
   kl_register_initializer to load it again). */
KL_API kl_initializer *kl_initializer_from(const char *name,
                                           kl_status (*fill)(kl_tensor *out, void *user),
                                           void *user);
KL_API kl_status kl_register_initializer(const char *name,
                                         kl_status (*fill)(kl_tensor *out, void *user), void *user);

/* All 0. */
typedef struct kl_zeros_initializer_args {
    size_t size;
    unsigned mark;
    bool unused_; /* no arguments */
} kl_zeros_initializer_args;
KL_API kl_initializer *kl_zeros_initializer_new(const kl_zeros_initializer_args *args);
KL_API kl_zeros_initializer_args kl_zeros_initializer_defaults(void);
#ifndef __cplusplus
#define kl_zeros_initializer(...)                                                                  \
    KL_CALL_(kl_zeros_initializer_new, kl_zeros_initializer_args, (.unused_ = false), __VA_ARGS__)
#endif

/* All 1. */
typedef struct kl_ones_initializer_args {
    size_t size;
    unsigned mark;
    bool unused_; /* no arguments */
} kl_ones_initializer_args;
KL_API kl_initializer *kl_ones_initializer_new(const kl_ones_initializer_args *args);
KL_API kl_ones_initializer_args kl_ones_initializer_defaults(void);
#ifndef __cplusplus
#define kl_ones_initializer(...)                                                                   \
    KL_CALL_(kl_ones_initializer_new, kl_ones_initializer_args, (.unused_ = false), __VA_ARGS__)
#endif

/* All `value`. */
typedef struct kl_constant_args {
    size_t size;
    unsigned mark;
    double value;
} kl_constant_args;
KL_API kl_initializer *kl_constant_new(const kl_constant_args *args);
KL_API kl_constant_args kl_constant_defaults(void);
#ifndef __cplusplus
#define kl_constant(...) KL_CALL_(kl_constant_new, kl_constant_args, (.value = 0), __VA_ARGS__)
#endif

/* Normal distribution. */
typedef struct kl_random_normal_args {
    size_t size;
    unsigned mark;
    double mean;
    double stddev;
    int64_t seed;
} kl_random_normal_args;
KL_API kl_initializer *kl_random_normal_new(const kl_random_normal_args *args);
KL_API kl_random_normal_args kl_random_normal_defaults(void);
#ifndef __cplusplus
#define kl_random_normal(...)                                                                      \
    KL_CALL_(kl_random_normal_new, kl_random_normal_args, (.stddev = 0.05, .seed = KL_NONE),       \
             __VA_ARGS__)
#endif

/* Normal distribution, redrawn beyond two standard deviations. */
typedef struct kl_truncated_normal_args {
    size_t size;
    unsigned mark;
    double mean;
    double stddev;
    int64_t seed;
} kl_truncated_normal_args;
KL_API kl_initializer *kl_truncated_normal_new(const kl_truncated_normal_args *args);
KL_API kl_truncated_normal_args kl_truncated_normal_defaults(void);
#ifndef __cplusplus
#define kl_truncated_normal(...)                                                                   \
    KL_CALL_(kl_truncated_normal_new, kl_truncated_normal_args, (.stddev = 0.05, .seed = KL_NONE), \
             __VA_ARGS__)
#endif

/* Uniform in [minval, maxval). */
typedef struct kl_random_uniform_args {
    size_t size;
    unsigned mark;
    double minval;
    double maxval;
    int64_t seed;
} kl_random_uniform_args;
KL_API kl_initializer *kl_random_uniform_new(const kl_random_uniform_args *args);
KL_API kl_random_uniform_args kl_random_uniform_defaults(void);
#ifndef __cplusplus
#define kl_random_uniform(...)                                                                     \
    KL_CALL_(kl_random_uniform_new, kl_random_uniform_args,                                        \
             (.minval = -0.05, .maxval = 0.05, .seed = KL_NONE), __VA_ARGS__)
#endif

/* Variance scale / fan. */
typedef struct kl_variance_scaling_args {
    size_t size;
    unsigned mark;
    double scale;
    const char *mode;
    const char *distribution;
    int64_t seed;
    kl_ints input_axes;
    kl_ints output_axes;
} kl_variance_scaling_args;
KL_API kl_initializer *kl_variance_scaling_new(const kl_variance_scaling_args *args);
KL_API kl_variance_scaling_args kl_variance_scaling_defaults(void);
#ifndef __cplusplus
#define kl_variance_scaling(...)                                                                   \
    KL_CALL_(kl_variance_scaling_new, kl_variance_scaling_args,                                    \
             (.scale = 1, .mode = "fan_in", .distribution = "truncated_normal", .seed = KL_NONE),  \
             __VA_ARGS__)
#endif

/* VarianceScaling with scale 1, fan_avg, uniform. */
typedef struct kl_glorot_uniform_args {
    size_t size;
    unsigned mark;
    int64_t seed;
    kl_ints input_axes;
    kl_ints output_axes;
} kl_glorot_uniform_args;
KL_API kl_initializer *kl_glorot_uniform_new(const kl_glorot_uniform_args *args);
KL_API kl_glorot_uniform_args kl_glorot_uniform_defaults(void);
#ifndef __cplusplus
#define kl_glorot_uniform(...)                                                                     \
    KL_CALL_(kl_glorot_uniform_new, kl_glorot_uniform_args, (.seed = KL_NONE), __VA_ARGS__)
#endif

/* VarianceScaling with scale 1, fan_avg, truncated_normal. */
typedef struct kl_glorot_normal_args {
    size_t size;
    unsigned mark;
    int64_t seed;
    kl_ints input_axes;
    kl_ints output_axes;
} kl_glorot_normal_args;
KL_API kl_initializer *kl_glorot_normal_new(const kl_glorot_normal_args *args);
KL_API kl_glorot_normal_args kl_glorot_normal_defaults(void);
#ifndef __cplusplus
#define kl_glorot_normal(...)                                                                      \
    KL_CALL_(kl_glorot_normal_new, kl_glorot_normal_args, (.seed = KL_NONE), __VA_ARGS__)
#endif

/* VarianceScaling with scale 2, fan_in, uniform. */
typedef struct kl_he_uniform_args {
    size_t size;
    unsigned mark;
    int64_t seed;
    kl_ints input_axes;
    kl_ints output_axes;
} kl_he_uniform_args;
KL_API kl_initializer *kl_he_uniform_new(const kl_he_uniform_args *args);
KL_API kl_he_uniform_args kl_he_uniform_defaults(void);
#ifndef __cplusplus
#define kl_he_uniform(...)                                                                         \
    KL_CALL_(kl_he_uniform_new, kl_he_uniform_args, (.seed = KL_NONE), __VA_ARGS__)
#endif

/* VarianceScaling with scale 2, fan_in, truncated_normal. */
typedef struct kl_he_normal_args {
    size_t size;
    unsigned mark;
    int64_t seed;
    kl_ints input_axes;
    kl_ints output_axes;
} kl_he_normal_args;
KL_API kl_initializer *kl_he_normal_new(const kl_he_normal_args *args);
KL_API kl_he_normal_args kl_he_normal_defaults(void);
#ifndef __cplusplus
#define kl_he_normal(...)                                                                          \
    KL_CALL_(kl_he_normal_new, kl_he_normal_args, (.seed = KL_NONE), __VA_ARGS__)
#endif

/* VarianceScaling with scale 1, fan_in, uniform. */
typedef struct kl_lecun_uniform_args {
    size_t size;
    unsigned mark;
    int64_t seed;
    kl_ints input_axes;
    kl_ints output_axes;
} kl_lecun_uniform_args;
KL_API kl_initializer *kl_lecun_uniform_new(const kl_lecun_uniform_args *args);
KL_API kl_lecun_uniform_args kl_lecun_uniform_defaults(void);
#ifndef __cplusplus
#define kl_lecun_uniform(...)                                                                      \
    KL_CALL_(kl_lecun_uniform_new, kl_lecun_uniform_args, (.seed = KL_NONE), __VA_ARGS__)
#endif

/* VarianceScaling with scale 1, fan_in, truncated_normal. */
typedef struct kl_lecun_normal_args {
    size_t size;
    unsigned mark;
    int64_t seed;
    kl_ints input_axes;
    kl_ints output_axes;
} kl_lecun_normal_args;
KL_API kl_initializer *kl_lecun_normal_new(const kl_lecun_normal_args *args);
KL_API kl_lecun_normal_args kl_lecun_normal_defaults(void);
#ifndef __cplusplus
#define kl_lecun_normal(...)                                                                       \
    KL_CALL_(kl_lecun_normal_new, kl_lecun_normal_args, (.seed = KL_NONE), __VA_ARGS__)
#endif

/* An orthogonal matrix (Saxe et al., https://arxiv.org/abs/1312.6120), times gain. */
typedef struct kl_orthogonal_args {
    size_t size;
    unsigned mark;
    double gain;
    int64_t seed;
} kl_orthogonal_args;
KL_API kl_initializer *kl_orthogonal_new(const kl_orthogonal_args *args);
KL_API kl_orthogonal_args kl_orthogonal_defaults(void);
#ifndef __cplusplus
#define kl_orthogonal(...)                                                                         \
    KL_CALL_(kl_orthogonal_new, kl_orthogonal_args, (.gain = 1, .seed = KL_NONE), __VA_ARGS__)
#endif

/* The identity matrix times gain. */
typedef struct kl_identity_initializer_args {
    size_t size;
    unsigned mark;
    double gain;
} kl_identity_initializer_args;
KL_API kl_initializer *kl_identity_initializer_new(const kl_identity_initializer_args *args);
KL_API kl_identity_initializer_args kl_identity_initializer_defaults(void);
#ifndef __cplusplus
#define kl_identity_initializer(...)                                                               \
    KL_CALL_(kl_identity_initializer_new, kl_identity_initializer_args, (.gain = 1), __VA_ARGS__)
#endif

/*
 * The kernel [frame_length, 1, fft_length / 2 + 1] of a short-time Fourier transform by convolution
 * (Keras's STFT): side "real" or "imag"; window a name of SciPy's, NULL for none, or window_values;
 * scaling "density" (by the window's length), "spectrum" (by its sum) or NULL; periodic windows are
 * those for spectra.
 */
typedef struct kl_stft_args {
    size_t size;
    unsigned mark;
    const char *side, *window;
    kl_floats window_values;
    const char *scaling;
    bool periodic;
} kl_stft_args;
KL_API kl_initializer *kl_stft_new(const kl_stft_args *args);
KL_API kl_stft_args kl_stft_defaults(void);
#ifndef __cplusplus
#define kl_stft(...)                                                                               \
    KL_CALL_(kl_stft_new, kl_stft_args, (.side = "real", .window = "hann", .scaling = "density"),  \
             __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
