/*
 * The rows for one type of pixels: included by image_warp_impl.h with IN, OUT, MATH (what sums are
 * of), TYPED (names) and, for pixels that are loaded and stored as vectors, LOAD4 and
 * HAVE_VEC4_STORE.
 */

/* One element where any of the four may be outside. */
static inline OUT TYPED(careful)(const kl_warp *w, const IN *in, int64_t left, int64_t top,
                                 MATH right, MATH below, int64_t dx, int64_t dy)
{
    int64_t width = w->images.width, height = w->images.height;
    bool x0 = left >= 0 && left < width, x1 = left >= -1 && left + 1 < width;
    bool y0 = top >= 0 && top < height, y1 = top >= -1 && top + 1 < height;
    MATH k = (MATH)w->fill_value;
    MATH a = x0 && y0 ? (MATH)in[top * dy + left * dx] : k;
    MATH b = x1 && y0 ? (MATH)in[top * dy + (left + 1) * dx] : k;
    MATH c = x0 && y1 ? (MATH)in[(top + 1) * dy + left * dx] : k;
    MATH d = x1 && y1 ? (MATH)in[(top + 1) * dy + (left + 1) * dx] : k;
    MATH above = (1 - right) * a + right * b, under = (1 - right) * c + right * d;
    return (OUT)((1 - below) * above + below * under);
}

static void TYPED(careful_pixel)(const kl_warp *w, const block *b, int i, const IN *in, OUT *out)
{
    int64_t channels = w->images.channels, width = w->images.width;
    if (b->any_lost && b->lost[i]) {
        for (int64_t c = 0; c < channels; c++)
            out[c] = (OUT)w->fill_value;
        return;
    }
    for (int64_t c = 0; c < channels; c++)
        out[c] = TYPED(careful)(w, in + c, b->left[i], b->top[i], (MATH)b->right[i],
                                (MATH)b->below[i], channels, width * channels);
}

/* Pixels whose channels lie together. */
static void TYPED(pixels)(const kl_warp *w, const block *b, int count, const IN *in,
                          int64_t readable, OUT *out)
{
    const int64_t channels = w->images.channels, width = w->images.width;
    const int64_t height = w->images.height;
    const int64_t dx = width > 1 ? channels : 0, dy = height > 1 ? width * channels : 0;
    const int32_t last_left = width > 1 ? (int32_t)width - 2 : 0;
    const int32_t last_top = height > 1 ? (int32_t)height - 2 : 0;
    const bool check = b->any_outside || b->any_lost;
    for (int i = 0; i < count; i++, out += channels) {
        int32_t left = b->left[i], top = b->top[i];
        if (check && (left < 0 || left > last_left || top < 0 || top > last_top ||
                      (b->any_lost && b->lost[i]))) {
            TYPED(careful_pixel)(w, b, i, in, out);
            continue;
        }
        int64_t at = (top * width + left) * channels;
        const IN *p = in + at;
        float right = b->right[i], below = b->below[i];
        float keep_x = 1.F - right, keep_y = 1.F - below;
        int64_t c = 0;
#ifdef HAVE_VEC4_STORE
        /* Three channels are stored as four; the next pixel covers the fourth. */
        if (at + dx + dy + 4 <= readable)
            for (; c + 4 <= channels || (channels == 3 && c == 0 && i + 1 < count); c += 4) {
                vec4 above = keep_x * LOAD4(p + c) + right * LOAD4(p + dx + c);
                vec4 under = keep_x * LOAD4(p + dy + c) + right * LOAD4(p + dy + dx + c);
                *(vec4_at *)(void *)(out + c) = keep_y * above + below * under;
            }
#endif
        for (; c < channels; c++) {
            MATH above = (MATH)keep_x * (MATH)p[c] + (MATH)right * (MATH)p[dx + c];
            MATH under = (MATH)keep_x * (MATH)p[dy + c] + (MATH)right * (MATH)p[dy + dx + c];
            out[c] = (OUT)((MATH)keep_y * above + (MATH)below * under);
        }
    }
}

/* One channel that lies by itself. */
static void TYPED(plane)(const kl_warp *w, const block *b, int count, const IN *restrict in,
                         OUT *restrict out)
{
    const int64_t width = w->images.width, height = w->images.height;
    if (b->any_outside || b->any_lost) {
        for (int i = 0; i < count; i++)
            out[i] = b->any_lost && b->lost[i]
                         ? (OUT)w->fill_value
                         : TYPED(careful)(w, in, b->left[i], b->top[i], (MATH)b->right[i],
                                          (MATH)b->below[i], 1, width);
        return;
    }
    const int32_t dx = width > 1 ? 1 : 0, dy = height > 1 ? (int32_t)width : 0;
    const int32_t stride = (int32_t)width;
    for (int i = 0; i < count; i++) {
        int32_t at = b->top[i] * stride + b->left[i];
        MATH right = (MATH)b->right[i], below = (MATH)b->below[i];
        MATH above = (1 - right) * (MATH)in[at] + right * (MATH)in[at + dx];
        MATH under = (1 - right) * (MATH)in[at + dy] + right * (MATH)in[at + dy + dx];
        out[i] = (OUT)((1 - below) * above + below * under);
    }
}

static void TYPED(nearest)(const kl_warp *w, const block *b, int count, const IN *in,
                           int64_t channel_step, int64_t pixel_step, OUT *out, int64_t out_step)
{
    const int64_t width = w->images.width, height = w->images.height;
    const int64_t channels = w->images.channels;
    for (int i = 0; i < count; i++) {
        int32_t left = b->left[i], top = b->top[i];
        bool inside =
            left >= 0 && left < width && top >= 0 && top < height && !(b->any_lost && b->lost[i]);
        const IN *p = in + (top * width + left) * pixel_step;
        OUT *to = out + i * pixel_step;
        if (inside && channel_step == 1 && channels == 3) {
            to[0] = (OUT)p[0];
            to[1] = (OUT)p[1];
            to[2] = (OUT)p[2];
            continue;
        }
        for (int64_t c = 0; c < channels; c++)
            to[c * out_step] = inside ? (OUT)p[c * channel_step] : (OUT)w->fill_value;
    }
}

static void TYPED(row)(const kl_warp *w, const float *map, int64_t row, const void *image,
                       int64_t readable, void *result)
{
    const kl_images *s = &w->images;
    const bool apart = s->channels_first || s->channels == 1;
    const int64_t plane_size = s->height * s->width;
    const IN *in = image;
    OUT *out = (OUT *)result + row * s->width * (apart ? 1 : s->channels);
    block b;
    for (int64_t from = 0; from < s->width; from += BLOCK) {
        int count = s->width - from < BLOCK ? (int)(s->width - from) : BLOCK;
        place_block(w, map, row, from, count, &b);
        OUT *to = out + from * (apart ? 1 : s->channels);
        if (w->nearest)
            TYPED(nearest)
        (w, &b, count, in, apart ? plane_size : 1, apart ? 1 : s->channels, to,
         apart ? plane_size : 1);
        else if (apart) for (int64_t c = 0; c < s->channels; c++)
            TYPED(plane)(w, &b, count, in + c * plane_size, to + c * plane_size);
        else TYPED(pixels)(w, &b, count, in, readable, to);
    }
}

#ifdef HAVE_GRAD
/* One tap: nothing flows to what lies outside. */
static inline void TYPED(give)(const kl_images *s, OUT *dx, int64_t x, int64_t y, OUT weight,
                               const OUT *dy, int64_t pixel_step, int64_t channel_step)
{
    if (x < 0 || x >= s->width || y < 0 || y >= s->height || weight == 0)
        return;
    OUT *to = dx + (y * s->width + x) * pixel_step;
    for (int64_t c = 0; c < s->channels; c++)
        to[c * channel_step] += weight * dy[c * channel_step];
}

static void TYPED(row_grad)(const kl_warp *w, const float *map, int64_t row, const void *dys,
                            void *dxs)
{
    const kl_images *s = &w->images;
    const int64_t pixel = s->channels_first ? 1 : s->channels;
    const int64_t channel = s->channels_first ? s->height * s->width : 1;
    OUT *dx = dxs;
    block b;
    for (int64_t from = 0; from < s->width; from += BLOCK) {
        int count = s->width - from < BLOCK ? (int)(s->width - from) : BLOCK;
        place_block(w, map, row, from, count, &b);
        const OUT *dy = (const OUT *)dys + (row * s->width + from) * pixel;
        for (int i = 0; i < count; i++, dy += pixel) {
            if (b.any_lost && b.lost[i])
                continue;
            int64_t x = b.left[i], y = b.top[i];
            OUT right = w->nearest ? 0 : (OUT)b.right[i], below = w->nearest ? 0 : (OUT)b.below[i];
            TYPED(give)(s, dx, x, y, (1 - right) * (1 - below), dy, pixel, channel);
            TYPED(give)(s, dx, x + 1, y, right * (1 - below), dy, pixel, channel);
            TYPED(give)(s, dx, x, y + 1, (1 - right) * below, dy, pixel, channel);
            TYPED(give)(s, dx, x + 1, y + 1, right * below, dy, pixel, channel);
        }
    }
}
#endif

#undef HAVE_GRAD
#undef IN
#undef OUT
#undef MATH
#undef TYPED
#undef LOAD4
#undef HAVE_VEC4_STORE
