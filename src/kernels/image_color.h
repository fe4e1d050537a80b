/* Colours of images, pixel by pixel; float or double as `wide` says, in and out alike. */
#ifndef KL_KERNELS_IMAGE_COLOR_H
#define KL_KERNELS_IMAGE_COLOR_H

#include "kernels/image_warp.h"

/*
 * Through hue, saturation and value: with `hue`, pixels go from `range` to 0..1, hue[image] is
 * added to the hue (around the circle) and they come back; else the saturation is multiplied by
 * saturation[image] and clipped to `range`. Three channels.
 */
void kl_adjust_colors(const kl_images *images, bool wide, const double *hue,
                      const double *saturation, const double range[2], const void *in, void *out);

/* Clears the lowest shifts[image] bits of each value in 0..255 (truncated to a byte). */
void kl_posterize(const kl_images *images, bool wide, const uint8_t *shifts, const void *in,
                  void *out);

/* Spreads the histogram of each channel, over all images, evenly over 0..255; values are in
   0..255. `counts` and `table` have room for `bins` each, a channel. */
void kl_equalize(const kl_images *images, bool wide, int64_t bins, int64_t *counts, double *table,
                 const void *in, void *out);

/*
 * Contrast limited adaptive histogram equalization (Zuiderveld 1994) of each channel of each image
 * over grid[0] x grid[1] tiles, values in 0..255; channels last. tables: [batch, grid[0], grid[1],
 * channels, 256].
 */
void kl_clahe(const kl_images *images, const int64_t grid[2], float clip_limit, float *tables,
              const float *in, float *out);

#endif
