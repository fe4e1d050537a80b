/*
 * Gradient of a convolution by its kernel: a product of the kernel's window over the image,
 * transposed, with the gradient of the output, summed over all pixels. Window elements are the rows
 * of the register tiles and read the image in place, or a copy with its padding written out.
 */
#include <stddef.h>
#include <string.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/conv_internal.h"

enum {
    STRETCH = 128,           /* most pixels of an output row taken as one */
    PIXELS = 128,            /* of one pass: their window and gradient stay in the caches */
    PANEL_BYTES = 32 << 10,  /* PIXELS rows of the widest panel */
    LINES = 32,              /* most stretches of one pass */
    ROWS = 512,              /* most of a chunk: they stay in the second cache */
    BLOCK_BYTES = 256 << 10, /* of the gradient, added to again and again */
    CHUNKS = 16, /* wanted; for them the pixels fall into parts, each with a sum of its own */
    PART_WORK = 1 << 21,
    PART_BYTES = 16 << 20, /* most memory for the parts' sums */
};

typedef struct job {
    const kl_tile_set *set;
    const kl_conv_shape *s;
    const char *x, *dy;
    char *padded;
    int64_t pixel;     /* from a pixel to the next at x */
    int64_t size[3];   /* of the image at x */
    int64_t origin[3]; /* its position that output 0 reads at tap 0 */
    bool depthwise;
    int64_t rows, columns; /* of one group's gradient */
    int64_t stretches;     /* of an output row */
    int64_t lines;         /* all stretches */
    int64_t panels, row_parts, panel_parts, slices, parts;
    char *dw, *sums;  /* sums: of each part, or NULL with one part */
    int64_t elements; /* of dw */
} job;

static int64_t pixel_of_line(const job *j, int64_t line, int64_t *from, int64_t *to)
{
    const kl_conv_shape *s = j->s;
    int64_t width = s->out[2], stretch = line % j->stretches, row = line / j->stretches;
    int64_t begin = kl_part_begin(width, j->stretches, stretch);
    int64_t o1 = row % s->out[1], o0 = row / s->out[1] % s->out[0], n = row / s->out[1] / s->out[0];
    int64_t at = n * j->size[0] + j->origin[0] + o0 * s->stride[0];
    at = at * j->size[1] + j->origin[1] + o1 * s->stride[1];
    at = at * j->size[2] + j->origin[2] + begin * s->stride[2];
    *from = at * j->pixel;
    *to = (row * width + begin) * s->out_channels;
    return kl_part_begin(width, j->stretches, stretch + 1) - begin;
}

/* Where the rows of the gradient from `row` on, of the group, read x at the first pixel. */
static void row_offsets(const job *j, int64_t group, int64_t row, int64_t rows, int64_t *a_rows,
                        int64_t *c_rows)
{
    const kl_conv_shape *s = j->s;
    int64_t inputs = s->in_channels / s->groups, channel = row % inputs, tap = row / inputs;
    int64_t k[3] = {tap / s->kernel[2] / s->kernel[1], tap / s->kernel[2] % s->kernel[1],
                    tap % s->kernel[2]};
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = k[0] * s->dilation[0] * j->size[1] + k[1] * s->dilation[1];
        at = at * j->size[2] + k[2] * s->dilation[2];
        a_rows[r] = at * j->pixel + group * inputs + channel;
        c_rows[r] = (row + r) * s->out_channels;
        if (++channel == inputs) {
            channel = 0;
            for (int d = 2; d >= 0 && ++k[d] == s->kernel[d]; d--)
                k[d] = 0;
        }
    }
}

/* The part of a pass that falls to one chunk: some rows and one panel of columns. */
typedef struct slice {
    int64_t group, row, rows, column, vectors, columns;
} slice;

/* Adds the pass's pixels to the slice; `packed` has room for its panel of dy. Meanwhile a part of
   what the next pass reads, `ahead`, is brought near. */
static void run_pass(const job *j, kl_tile t, const slice *part, char *packed, const char *ahead,
                     int64_t ahead_bytes)
{
    const kl_tile_set *set = j->set;
    int64_t width = part->vectors * set->lanes, packed_lines[LINES];
    int64_t tiles = kl_ceil_div(part->rows, set->rows[part->vectors]);
    int64_t each = part->rows / tiles, longer = part->rows % tiles;
    /* Read in place, vectors of the last pixel could end past its channels, and pixels a power of
       two apart share few sets of the cache. */
    if (part->columns < width || t.b_row > width) {
        for (int64_t o = 0; o < t.outer; o++) {
            packed_lines[o] = o * t.k * width;
            set->pack(packed + packed_lines[o] * set->size, width,
                      (const char *)t.b + t.b_outer[o] * set->size, t.b_row, 1, t.k, part->columns);
        }
        t.b = packed;
        t.b_row = width;
        t.b_outer = packed_lines;
    }
    t.cols = part->columns;
    for (int64_t i = 0; i < tiles; i++) {
        int64_t rows = each + (i < longer);
        set->tile[rows][part->vectors](&t);
        t.a_rows += rows;
        t.c_rows += rows;
        const char *end = ahead + ahead_bytes / tiles;
        for (; ahead < end; ahead += 64)
            __builtin_prefetch(ahead, 0, 2);
    }
}

/* The slice of panel `panel` and part `rows` of the rows, without its offsets. */
static slice slice_of(const job *j, int64_t group, int64_t rows, int64_t panel)
{
    slice part = {.group = group};
    int64_t vectors = kl_ceil_div(j->columns, j->set->lanes);
    int64_t from = kl_part_begin(vectors, j->panels, panel);
    part.row = kl_part_begin(j->rows, j->row_parts, rows);
    part.rows = kl_part_begin(j->rows, j->row_parts, rows + 1) - part.row;
    part.vectors = kl_part_begin(vectors, j->panels, panel + 1) - from;
    part.columns = kl_min64(part.vectors * j->set->lanes, j->columns - from * j->set->lanes);
    part.column = part.group * j->columns + from * j->set->lanes;
    return part;
}

static void run_chunk(void *arg, int64_t chunk)
{
    const job *j = arg;
    const kl_conv_shape *s = j->s;
    int64_t size = j->set->size, part = chunk % j->parts, panels = chunk / j->parts;
    int64_t rows = panels / j->panel_parts % j->row_parts;
    int64_t group = panels / j->panel_parts / j->row_parts;
    int64_t panel = kl_part_begin(j->panels, j->panel_parts, panels % j->panel_parts);
    int64_t last_panel = kl_part_begin(j->panels, j->panel_parts, panels % j->panel_parts + 1);
    int64_t line = kl_part_begin(j->lines, j->parts, part);
    int64_t end = kl_part_begin(j->lines, j->parts, part + 1);
    int64_t most = j->stretches > 1 ? 1 : kl_max64(1, kl_min64(LINES, PIXELS / s->out[2]));
    int64_t a_outer[LINES], b_outer[LINES], a_rows[ROWS], c_rows[ROWS];
    char packed[PANEL_BYTES] __attribute__((aligned(64)));
    char *dw = j->sums ? j->sums + part * j->elements * size : j->dw;
    slice own = slice_of(j, group, rows, panel);
    row_offsets(j, group, own.row, own.rows, a_rows, c_rows);
    kl_tile t = {
        .a = j->x,
        .a_rows = a_rows,
        .a_col = s->stride[2] * j->pixel,
        .b_row = s->out_channels,
        .a_outer = a_outer,
        .b_outer = b_outer,
        .c_rows = c_rows,
        .cols = s->out_channels,
    };
    while (line < end) {
        for (t.outer = 0; t.outer < most && line < end; t.outer++, line++)
            t.k = pixel_of_line(j, line, &a_outer[t.outer], &b_outer[t.outer]);
        const char *next = j->dy + (b_outer[t.outer - 1] + t.k * s->out_channels) * size;
        int64_t bytes = t.outer * t.k * s->out_channels * size / j->panels;
        if (line == end || j->panel_parts > 1)
            bytes = 0;
        for (int64_t p = panel; p < last_panel; p++) {
            own = slice_of(j, group, rows, p);
            t.b = j->dy + own.column * size;
            t.c = dw + own.column * size;
            if (j->depthwise)
                j->set->depthwise_grad(&t, own.rows);
            else
                run_pass(j, t, &own, packed, next + bytes * (p - panel), bytes);
        }
        t.accumulate = true;
    }
}

/* Adds up the parts' sums in order; chunk i is its part of the elements. */
static void add_sums(void *arg, int64_t chunk)
{
    const job *j = arg;
    kl_split split = kl_split_make(j->elements, 4096);
    int64_t from = kl_split_begin(split, chunk), to = kl_split_begin(split, chunk + 1);
    for (int64_t part = 0; part < j->parts; part++) {
        if (j->set->size == sizeof(float)) {
            const float *sum = (const float *)j->sums + part * j->elements;
            float *dw = (float *)j->dw;
            for (int64_t i = from; i < to; i++)
                dw[i] = part ? dw[i] + sum[i] : sum[i];
        } else {
            const double *sum = (const double *)j->sums + part * j->elements;
            double *dw = (double *)j->dw;
            for (int64_t i = from; i < to; i++)
                dw[i] = part ? dw[i] + sum[i] : sum[i];
        }
    }
}

/* Writes row `row` of the padded image (over the batch and the leading two axes). */
static void pad_row(void *arg, int64_t row)
{
    const job *j = arg;
    const kl_conv_shape *s = j->s;
    int64_t pixel = j->pixel * j->set->size, used = s->in_channels * j->set->size;
    int64_t i1 = row % j->size[1] - s->pad[1], i0 = row / j->size[1] % j->size[0] - s->pad[0];
    int64_t n = row / j->size[1] / j->size[0];
    char *to = j->padded + row * j->size[2] * pixel;
    int64_t before = kl_min64(kl_max64(s->pad[2], 0), j->size[2]);
    int64_t end = kl_max64(before, kl_min64(s->in[2] + s->pad[2], j->size[2]));
    if (i0 < 0 || i0 >= s->in[0] || i1 < 0 || i1 >= s->in[1])
        before = end = j->size[2];
    memset(to, 0, (size_t)(before * pixel));
    const char *x = j->x + (((n * s->in[0] + i0) * s->in[1] + i1) * s->in[2] - s->pad[2]) * used;
    if (pixel == used && end > before)
        memcpy(to + before * pixel, x + before * pixel, (size_t)((end - before) * pixel));
    else
        for (int64_t i = before; i < end; i++)
            memcpy(to + i * pixel, x + i * used, (size_t)used);
    memset(to + end * pixel, 0, (size_t)((j->size[2] - end) * pixel));
}

static bool too_large(void)
{
    kl_error(KL_ERROR_MEMORY, "the padded image is too large for memory");
    return false;
}

/* Makes x readable at every tap: in place, or as a copy with the padding. */
static bool reach_padding(job *j)
{
    const kl_conv_shape *s = j->s;
    bool inside = true;
    int64_t rows = s->batch, span[3];
    j->pixel = s->in_channels;
    for (int d = 0; d < 3; d++) {
        span[d] = (s->out[d] - 1) * s->stride[d] + (s->kernel[d] - 1) * s->dilation[d] + 1;
        inside = inside && s->pad[d] <= 0 && span[d] - s->pad[d] <= s->in[d];
        j->size[d] = s->in[d];
        j->origin[d] = -s->pad[d];
    }
    if (inside)
        return true;
    for (int d = 0; d < 3; d++) {
        j->size[d] = span[d];
        j->origin[d] = 0;
        if (d < 2 && __builtin_mul_overflow(rows, span[d], &rows))
            return too_large();
    }
    /* Pixels a power of two apart would share few sets of the cache. */
    if (s->in_channels * j->set->size % 512 == 0)
        j->pixel += 64 / j->set->size;
    int64_t elements;
    if (__builtin_mul_overflow(rows, span[2], &elements) ||
        __builtin_mul_overflow(elements, j->pixel * j->set->size, &elements))
        return too_large();
    j->padded = kl_block_alloc((size_t)elements);
    if (!j->padded)
        return false;
    kl_parallel_for(rows, pad_row, j);
    j->x = j->padded;
    return true;
}

static bool make_parts(job *j)
{
    const kl_conv_shape *s = j->s;
    int64_t work = j->lines * s->out[2] / j->stretches * j->elements;
    int64_t want = kl_min64(kl_min64(CHUNKS, work / PART_WORK) / j->slices, j->lines);
    j->parts = kl_max64(1, kl_min64(want, PART_BYTES / (j->elements * j->set->size)));
    if (j->parts == 1)
        return true;
    j->sums = kl_block_alloc((size_t)(j->parts * j->elements) * (size_t)j->set->size);
    return j->sums != NULL;
}

bool kl_conv_kernel_tiles(const kl_tile_set *set, const kl_conv_shape *s, const void *x,
                          const void *dy, void *dw)
{
    job j = {.set = set, .s = s, .x = x, .dy = dy, .dw = dw};
    j.rows = s->kernel[0] * s->kernel[1] * s->kernel[2] * (s->in_channels / s->groups);
    j.columns = s->out_channels / s->groups;
    j.depthwise = s->groups > 1 && s->in_channels == s->groups && s->out_channels == s->groups;
    j.elements = j.rows * s->out_channels;
    j.stretches = kl_max64(1, kl_ceil_div(s->out[2], STRETCH));
    j.lines = s->batch * s->out[0] * s->out[1] * j.stretches;
    j.panels = kl_ceil_div(kl_ceil_div(j.columns, set->lanes), set->vectors);
    if (!j.elements)
        return true;
    j.row_parts = kl_ceil_div(j.rows, ROWS);
    if (j.depthwise)
        j.columns = s->out_channels, j.panels = 1;
    /* All columns together if they stay in the second cache. */
    int64_t block = j.rows / j.row_parts * j.columns * set->size;
    j.panel_parts = block > BLOCK_BYTES ? j.panels : 1;
    j.slices = (j.depthwise ? 1 : s->groups) * j.panel_parts * j.row_parts;
    if (!j.lines || !s->out[2]) {
        memset(dw, 0, (size_t)(j.elements * set->size));
        return true;
    }
    bool done = reach_padding(&j) && make_parts(&j);
    if (done) {
        kl_parallel_for(j.slices * j.parts, run_chunk, &j);
        if (j.sums)
            kl_parallel_for(kl_split_make(j.elements, 4096).chunks, add_sums, &j);
    }
    kl_block_free(j.padded);
    kl_block_free(j.sums);
    return done;
}
