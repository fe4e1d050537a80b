/* Layers on sound: https://keras.io/api/layers/preprocessing_layers/audio_preprocessing/ */
#ifndef KLAYERS_LAYERS_AUDIO_H
#define KLAYERS_LAYERS_AUDIO_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sound [batch, samples] or [samples] to [batch, num_mel_bins, frames]: magnitudes of short-time
 * spectra, centred and mirrored at the ends, to the power mag_exp, summed over bands equally wide
 * on the mel scale, and with power_to_db in decibels, at most top_db below the loudest.
 */
typedef struct kl_mel_spectrogram_args {
    KL_LAYER_ARGS
    int64_t fft_length, sequence_stride;
    int64_t sequence_length; /* of the window; KL_NONE: fft_length */
    const char *window;      /* "hann", "hamming"; NULL: none */
    kl_floats window_values; /* in its place: sequence_length numbers */
    int64_t sampling_rate, num_mel_bins;
    double min_freq, max_freq; /* KL_NONEF: half the sampling rate */
    bool power_to_db;
    double top_db, mag_exp, min_power, ref_power;
} kl_mel_spectrogram_args;
KL_API kl_layer *kl_mel_spectrogram_new(const kl_mel_spectrogram_args *args);
KL_API kl_mel_spectrogram_args kl_mel_spectrogram_defaults(void);
#ifndef __cplusplus
#define kl_mel_spectrogram(...)                                                                    \
    KL_CALL_(kl_mel_spectrogram_new, kl_mel_spectrogram_args,                                      \
             (KL_LAYER_DEFAULTS, .fft_length = 2048, .sequence_stride = 512,                       \
              .sequence_length = KL_NONE, .window = "hann", .sampling_rate = 16000,                \
              .num_mel_bins = 128, .min_freq = 20, .max_freq = KL_NONEF, .power_to_db = true,      \
              .top_db = 80, .mag_exp = 2, .min_power = 1e-10, .ref_power = 1),                     \
             __VA_ARGS__)
#endif

/*
 * Sound [batch, samples, channels] to its short-time spectra, by convolution with kernels that may
 * be trained. mode: "log", "magnitude", "psd", "real", "imag", "angle", "stft" (real and imaginary
 * parts on end). Frames start every frame_step samples (KL_NONE: half a frame). expand_dims keeps
 * channels and frequencies as axes of their own. data_format: that of the output, "channels_last":
 * [batch, frames, frequencies]; "channels_first": input [batch, channels, samples] and output
 * [batch, frequencies, frames]. window: a name of SciPy's, or NULL, or window_values.
 */
typedef struct kl_stft_spectrogram_args {
    KL_LAYER_ARGS
    const char *mode;
    int64_t frame_length, frame_step, fft_length; /* KL_NONE: the next power of two */
    const char *window;
    kl_floats window_values; /* frame_length numbers */
    bool periodic;
    const char *scaling; /* "density", "spectrum"; NULL: none */
    const char *padding; /* "valid", "same" */
    bool expand_dims;
    const char *data_format;
} kl_stft_spectrogram_args;
KL_API kl_layer *kl_stft_spectrogram_new(const kl_stft_spectrogram_args *args);
KL_API kl_stft_spectrogram_args kl_stft_spectrogram_defaults(void);
#ifndef __cplusplus
#define kl_stft_spectrogram(...)                                                                   \
    KL_CALL_(kl_stft_spectrogram_new, kl_stft_spectrogram_args,                                    \
             (KL_LAYER_DEFAULTS, .mode = "log", .frame_length = 256, .frame_step = KL_NONE,        \
              .fft_length = KL_NONE, .window = "hann", .scaling = "density", .padding = "valid",   \
              .data_format = "channels_last"),                                                     \
             __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
