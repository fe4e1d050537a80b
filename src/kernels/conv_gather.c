/*
 * Convolution forward and its gradient by the input. Both gather: an element of the result is a sum
 * over taps of products of source pixels with the tap's matrix. Along an axis the result falls into
 * runs of evenly spaced positions under the same taps: those inside, those at each edge that reach
 * into the padding and, for the gradient of a strided convolution, one set of runs for each
 * remainder of the position by the stride. The pixels of a combination of runs share one list of
 * taps, so any of them can stand together in a register tile, and the image is read in place.
 */
#include <stddef.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/conv_internal.h"

enum {
    ITEM_PIXELS = 96, /* whole tiles of 6 and of 8 rows */
    CHUNKS = 24,      /* wanted at the least */
    TAPS = 64,        /* most outer steps of a tile */
    DEPTH = 640,      /* most of the sum in one pass, if a tap is not longer */
    NARROW = 4,       /* most channels to be summed along the source's channels */
    PACK_PIXELS = 64, /* with fewer pixels packing the weights costs more than it gains */
};

typedef struct run {
    int64_t to, to_step, count; /* positions of the result */
    int64_t from, from_step;    /* source position of the first tap for the first of them */
    int64_t taps, from_tap;     /* and how the source position moves with the tap */
    int64_t tap, tap_step;      /* the taps' places in the kernel */
} run;

typedef struct axis {
    run *runs;
    int64_t count;
} axis;

typedef struct item {
    int64_t run[3], from, to; /* pixels of the combination, over the batch too */
} item;

typedef struct gather {
    const kl_tile_set *set;
    axis axes[3];
    int64_t batch, to_size[3], from_size[3], kernel[3];
    int64_t groups, to_channels, from_channels; /* channels of one group */
    const char *from, *w, *bias;
    char *to;
    bool relu;
    bool joined; /* the taps of the last axis lie together in source and weights */
    /* Weights: element (tap, i, j) of group g is w[g * w_group + tap * w_tap + i * w_row + j *
       w_col]; `flip` numbers the taps from the last. */
    int64_t w_group, w_tap, w_row, w_col;
    bool flip;
    bool depthwise;              /* w is [tap][channel], and channels stay apart */
    bool narrow;                 /* few channels: packed is [group][channel][tap][from channel] */
    char *packed;                /* [group][panel][tap][from channel][panel width], or NULL */
    int64_t panels, panel_parts; /* parts: so many chunks share an item's panels */
    item *items;
    int64_t item_count;
} gather;

/* Adds a run of one position or extends the last one by it. */
static void add_position(axis *x, run r)
{
    run *last = x->count ? &x->runs[x->count - 1] : NULL;
    bool same = last && last->taps == r.taps && last->to + last->count * last->to_step == r.to &&
                last->to_step == r.to_step;
    if (same && r.taps)
        same = last->tap == r.tap && last->from + last->count * last->from_step == r.from;
    if (same)
        last->count++;
    else
        x->runs[x->count++] = r;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static void forward_axis(axis *x, const kl_conv_shape *s, int d)
{
    for (int64_t o = 0; o < s->out[d]; o++) {
        int64_t start = o * s->stride[d] - s->pad[d], dilation = s->dilation[d];
        int64_t first = kl_max64(0, -floor_div(start, dilation));
        int64_t end = kl_min64(s->kernel[d], floor_div(s->in[d] - 1 - start, dilation) + 1);
        run r = {.to = o, .to_step = 1, .count = 1, .from_step = s->stride[d], .tap_step = 1};
        r.taps = kl_max64(0, end - first);
        r.from = r.taps ? start + first * dilation : 0;
        r.from_tap = dilation;
        r.tap = first;
        add_position(x, r);
    }
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

/* Taps are numbered from the last, so that source positions rise with them. */
static void input_axis(axis *x, const kl_conv_shape *s, int d)
{
    int64_t stride = s->stride[d], dilation = s->dilation[d], kernel = s->kernel[d];
    int64_t divisor = common_divisor(stride, dilation), step = stride / divisor;
    for (int64_t phase = 0; phase < kl_min64(stride, s->in[d]); phase++) {
        int64_t tap = 0;
        while (tap < step && (phase + s->pad[d] - tap * dilation) % stride)
            tap++;
        int64_t taps = tap < step && tap < kernel ? (kernel - 1 - tap) / step + 1 : 0;
        for (int64_t i = phase; i < s->in[d]; i += stride) {
            run r = {.to = i, .to_step = stride, .count = 1, .from_step = 1, .tap_step = step};
            r.from_tap = kl_max64(1, dilation / divisor);
            int64_t o = floor_div(i + s->pad[d] - tap * dilation, stride);
            /* Tap t of them reads position o - t * from_tap. */
            int64_t end = kl_min64(taps, floor_div(o, r.from_tap) + 1);
            int64_t first = kl_max64(0, -floor_div(s->out[d] - 1 - o, r.from_tap));
            if (taps && end > first) {
                r.taps = end - first;
                r.from = o - (end - 1) * r.from_tap;
                r.tap = kernel - 1 - (tap + (end - 1) * step);
            }
            add_position(x, r);
        }
    }
}

static int64_t run_pixels(const gather *x, const int64_t index[3])
{
    int64_t count = x->batch;
    for (int d = 0; d < 3; d++)
        count *= x->axes[d].runs[index[d]].count;
    return count;
}

/* Counts the items, and writes them where there is room. */
static int64_t make_items(const gather *x, item *items)
{
    int64_t count = 0, i[3];
    for (i[0] = 0; i[0] < x->axes[0].count; i[0]++)
        for (i[1] = 0; i[1] < x->axes[1].count; i[1]++)
            for (i[2] = 0; i[2] < x->axes[2].count; i[2]++) {
                int64_t pixels = run_pixels(x, i);
                for (int64_t from = 0; from < pixels; from += ITEM_PIXELS, count++)
                    if (items)
                        items[count] =
                            (item){{i[0], i[1], i[2]}, from, kl_min64(from + ITEM_PIXELS, pixels)};
            }
    return count;
}

static int64_t taps_of(const gather *x)
{
    return x->kernel[0] * x->kernel[1] * x->kernel[2];
}

static int64_t vectors_of(const gather *x)
{
    return kl_ceil_div(x->to_channels, x->set->lanes);
}

static int64_t panel_begin(const gather *x, int64_t panel)
{
    return kl_part_begin(vectors_of(x), x->panels, panel) * x->set->lanes;
}

static int64_t group_elements(const gather *x)
{
    return vectors_of(x) * x->set->lanes * taps_of(x) * x->from_channels;
}

static char *packed_panel(const gather *x, int64_t group, int64_t panel)
{
    int64_t offset =
        group * group_elements(x) + panel_begin(x, panel) * taps_of(x) * x->from_channels;
    return x->packed + offset * x->set->size;
}

static void pack_chunk(void *arg, int64_t chunk)
{
    const gather *x = arg;
    int64_t group = chunk / x->panels, panel = chunk % x->panels, taps = taps_of(x);
    int64_t column = panel_begin(x, panel), width = panel_begin(x, panel + 1) - column;
    int64_t columns = kl_min64(width, x->to_channels - column);
    char *to = packed_panel(x, group, panel);
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t source = x->flip ? taps - 1 - tap : tap;
        source = group * x->w_group + source * x->w_tap + column * x->w_col;
        x->set->pack(to + tap * x->from_channels * width * x->set->size, width,
                     x->w + source * x->set->size, x->w_row, x->w_col, x->from_channels, columns);
    }
}

/* Offsets of the item's pixels in source (at the first tap) and result. */
static void pixel_offsets(const gather *x, const item *it, int64_t *from, int64_t *to)
{
    const run *r[3];
    int64_t from_channels = x->groups * x->from_channels, to_channels = x->groups * x->to_channels;
    int64_t at[3], left = it->from;
    for (int d = 2; d >= 0; d--) {
        r[d] = &x->axes[d].runs[it->run[d]];
        at[d] = left % r[d]->count;
        left /= r[d]->count;
    }
    int64_t from_step = r[2]->from_step * from_channels, to_step = r[2]->to_step * to_channels;
    int64_t i = 0, pixels = it->to - it->from;
    while (i < pixels) {
        int64_t f = left, t = left;
        for (int d = 0; d < 3; d++) {
            f = f * x->from_size[d] + r[d]->from + at[d] * r[d]->from_step;
            t = t * x->to_size[d] + r[d]->to + at[d] * r[d]->to_step;
        }
        f *= from_channels;
        t *= to_channels;
        int64_t end = kl_min64(pixels, i + r[2]->count - at[2]);
        for (; i < end; i++, f += from_step, t += to_step) {
            from[i] = f;
            to[i] = t;
        }
        at[2] = 0;
        if (++at[1] == r[1]->count) {
            at[1] = 0;
            if (++at[0] == r[0]->count) {
                at[0] = 0;
                left++;
            }
        }
    }
}

/* Offsets of taps [first, first + count) of the item in source and weights (in units of one tap's
   rows of weights). */
static void tap_offsets(const gather *x, const item *it, int64_t first, int64_t count,
                        int64_t *from, int64_t *tap)
{
    const run *r[3];
    for (int d = 0; d < 3; d++)
        r[d] = &x->axes[d].runs[it->run[d]];
    int64_t last = x->joined ? 1 : r[2]->taps;
    if (!count)
        return;
    int64_t t[3] = {first / last / r[1]->taps, first / last % r[1]->taps, first % last};
    for (int64_t i = 0; i < count; i++) {
        int64_t f = 0, k = 0;
        for (int d = 0; d < 3; d++) {
            f = f * x->from_size[d] + t[d] * r[d]->from_tap;
            k = k * x->kernel[d] + r[d]->tap + t[d] * r[d]->tap_step;
        }
        from[i] = f * x->groups * x->from_channels;
        tap[i] = k;
        if (++t[2] == last) {
            t[2] = 0;
            if (++t[1] == r[1]->taps) {
                t[1] = 0;
                t[0]++;
            }
        }
    }
}

static void run_panel(const gather *x, kl_tile *t, int64_t pixels, int64_t vectors,
                      const int64_t *from, const int64_t *to)
{
    int64_t tiles = kl_ceil_div(pixels, x->set->rows[vectors]);
    int64_t each = pixels / tiles, longer = pixels % tiles;
    t->a_rows = from;
    t->c_rows = to;
    for (int64_t i = 0; i < tiles; i++) {
        int64_t rows = each + (i < longer);
        x->set->tile[rows][vectors](t);
        t->a_rows += rows;
        t->c_rows += rows;
    }
}

/* One pass over some taps of an item of few channels. */
static void run_narrow(const gather *x, kl_tile *t, int64_t group, int64_t pixels,
                       const int64_t *taps_at, int64_t *b_outer)
{
    int64_t column = taps_of(x) * x->from_channels, size = x->set->size;
    for (int64_t i = 0; i < t->outer; i++)
        b_outer[i] = taps_at[i] * x->from_channels;
    t->a = (const char *)t->a + group * x->from_channels * size;
    t->b = x->packed + group * x->to_channels * column * size;
    t->b_row = column;
    t->c = x->to + group * x->to_channels * size;
    if (t->bias)
        t->bias = (const char *)t->bias + group * x->to_channels * size;
    t->cols = x->to_channels;
    x->set->narrow(t, pixels);
}

static void pack_narrow(const gather *x)
{
    int64_t taps = taps_of(x), size = x->set->size;
    char *to = x->packed;
    for (int64_t group = 0; group < x->groups; group++)
        for (int64_t channel = 0; channel < x->to_channels; channel++)
            for (int64_t tap = 0; tap < taps; tap++, to += x->from_channels * size) {
                int64_t from = group * x->w_group + channel * x->w_col;
                from += (x->flip ? taps - 1 - tap : tap) * x->w_tap;
                x->set->pack(to, 1, x->w + from * size, x->w_row, 0, x->from_channels, 1);
            }
}

/* One pass over some taps of a depthwise item. */
static void run_depthwise(const gather *x, kl_tile *t, int64_t pixels, const int64_t *taps_at,
                          int64_t *b_outer)
{
    int64_t last = taps_of(x) - 1;
    for (int64_t i = 0; i < t->outer; i++)
        b_outer[i] = (x->flip ? last - taps_at[i] : taps_at[i]) * x->to_channels;
    t->b = x->w;
    t->c = x->to;
    t->cols = x->to_channels;
    x->set->depthwise(t, pixels);
}

static void run_item(void *arg, int64_t chunk)
{
    const gather *x = arg;
    const item *it = &x->items[chunk % x->item_count];
    int64_t part = chunk / x->item_count % x->panel_parts;
    int64_t group = chunk / x->item_count / x->panel_parts, size = x->set->size,
            lanes = x->set->lanes;
    int64_t from[ITEM_PIXELS], to[ITEM_PIXELS], a_outer[TAPS], taps_at[TAPS], b_outer[TAPS];
    pixel_offsets(x, it, from, to);
    int64_t taps = 1, pixels = it->to - it->from;
    for (int d = 0; d < 3; d++)
        if (d < 2 || !x->joined)
            taps *= x->axes[d].runs[it->run[d]].taps;
    int64_t last = x->axes[2].runs[it->run[2]].taps;
    int64_t depth = (x->joined ? last : 1) * x->from_channels;
    if (!depth)
        taps = 0;
    int64_t most =
        x->depthwise || x->narrow ? TAPS : kl_max64(1, kl_min64(TAPS, DEPTH / kl_max64(depth, 1)));
    int64_t passes = kl_max64(1, kl_ceil_div(taps, most));
    for (int64_t pass = 0; pass < passes; pass++) {
        int64_t first = kl_part_begin(taps, passes, pass);
        int64_t count = kl_part_begin(taps, passes, pass + 1) - first;
        tap_offsets(x, it, first, count, a_outer, taps_at);
        if (x->depthwise || x->narrow) {
            kl_tile t = {
                .a = x->from,
                .a_rows = from,
                .k = depth,
                .outer = count,
                .a_outer = a_outer,
                .b_outer = b_outer,
                .c_rows = to,
                .bias = pass ? NULL : x->bias,
                .accumulate = pass > 0,
                .relu = x->relu && pass == passes - 1,
            };
            if (x->depthwise)
                t.k = passes == 1 ? last : 0;
            if (x->narrow)
                run_narrow(x, &t, group, pixels, taps_at, b_outer);
            else
                run_depthwise(x, &t, pixels, taps_at, b_outer);
            continue;
        }
        int64_t end = kl_part_begin(x->panels, x->panel_parts, part + 1);
        for (int64_t panel = kl_part_begin(x->panels, x->panel_parts, part); panel < end; panel++) {
            int64_t column = panel_begin(x, panel), width = panel_begin(x, panel + 1) - column;
            kl_tile t = {
                .a = x->from + group * x->from_channels * size,
                .a_col = 1,
                .k = depth,
                .outer = count,
                .a_outer = a_outer,
                .b_outer = b_outer,
                .c = x->to + (group * x->to_channels + column) * size,
                .cols = kl_min64(width, x->to_channels - column),
                .accumulate = pass > 0,
                .relu = x->relu && pass == passes - 1,
            };
            if (x->bias && pass == 0)
                t.bias = x->bias + (group * x->to_channels + column) * size;
            t.b = x->packed ? packed_panel(x, group, panel)
                            : x->w + (group * x->w_group + column) * size;
            t.b_row = x->packed ? width : x->w_row;
            int64_t tap_step = x->packed ? x->from_channels * width : x->w_tap;
            for (int64_t i = 0; i < count; i++)
                b_outer[i] = taps_at[i] * tap_step;
            run_panel(x, &t, pixels, width / lanes, from, to);
        }
    }
}

/* With the axes' runs made: packs the weights and computes. */
static bool run_gather(gather *x)
{
    int64_t size = x->set->size, pixels = x->batch;
    for (int d = 0; d < 3; d++)
        pixels *= x->to_size[d];
    if (!pixels || !x->to_channels)
        return true;
    x->panels = kl_ceil_div(vectors_of(x), x->set->vectors);
    int64_t depth = x->from_channels * (x->joined ? x->kernel[2] : 1);
    x->narrow = !x->depthwise && x->to_channels <= NARROW && 2 * depth >= x->set->lanes;
    bool pack = x->narrow || x->w_col != 1 || x->flip || x->to_channels % x->set->lanes ||
                pixels >= PACK_PIXELS;
    if (x->depthwise)
        pack = false;
    x->item_count = make_items(x, NULL);
    x->items = kl_block_alloc((size_t)x->item_count * sizeof *x->items);
    if (!x->items)
        return false;
    if (pack && group_elements(x) > 0) {
        x->packed = kl_block_alloc((size_t)(x->groups * group_elements(x)) * (size_t)size);
        if (!x->packed)
            return kl_block_free(x->items), false;
        if (x->narrow)
            pack_narrow(x);
        else
            kl_parallel_for(x->groups * x->panels, pack_chunk, x);
    }
    make_items(x, x->items);
    x->panel_parts = 1;
    if (!x->narrow && !x->depthwise)
        x->panel_parts =
            kl_max64(1, kl_min64(x->panels, CHUNKS / kl_max64(1, x->groups * x->item_count)));
    kl_parallel_for(x->groups * x->panel_parts * x->item_count, run_item, x);
    kl_block_free(x->packed);
    kl_block_free(x->items);
    return true;
}

static bool alloc_runs(gather *x)
{
    int64_t total = 0;
    for (int d = 0; d < 3; d++)
        total += x->to_size[d];
    run *runs = kl_block_alloc((size_t)(total + 1) * sizeof *runs);
    if (!runs)
        return false;
    for (int d = 0; d < 3; d++) {
        x->axes[d] = (axis){runs, 0};
        runs += x->to_size[d];
    }
    return true;
}

bool kl_conv_forward_tiles(const kl_tile_set *set, const kl_conv_shape *s, const void *x,
                           const void *w, const void *bias, kl_epilogue epilogue, void *y)
{
    int64_t inputs = s->in_channels / s->groups, outputs = s->out_channels / s->groups;
    gather g = {
        .set = set,
        .batch = s->batch,
        .groups = s->groups,
        .to_channels = outputs,
        .from_channels = inputs,
        .from = x,
        .w = w,
        .bias = bias,
        .to = y,
        .relu = epilogue == KL_EPILOGUE_RELU,
        .joined =
            s->dilation[2] == 1 && s->groups == 1 && inputs > 1 && s->kernel[2] * inputs <= DEPTH,
        .w_group = outputs,
        .w_tap = inputs * s->out_channels,
        .w_row = s->out_channels,
        .w_col = 1,
    };
    if (s->groups > 1 && inputs == 1 && outputs == 1) {
        g.depthwise = true;
        g.groups = 1;
        g.to_channels = g.from_channels = s->groups;
    }
    for (int d = 0; d < 3; d++) {
        g.to_size[d] = s->out[d];
        g.from_size[d] = s->in[d];
        g.kernel[d] = s->kernel[d];
    }
    if (!alloc_runs(&g))
        return false;
    run *runs = g.axes[0].runs;
    for (int d = 0; d < 3; d++)
        forward_axis(&g.axes[d], s, d);
    bool done = run_gather(&g);
    kl_block_free(runs);
    return done;
}

bool kl_conv_input_tiles(const kl_tile_set *set, const kl_conv_shape *s, const void *dy,
                         const void *w, void *dx)
{
    int64_t inputs = s->in_channels / s->groups, outputs = s->out_channels / s->groups;
    gather g = {
        .set = set,
        .batch = s->batch,
        .groups = s->groups,
        .to_channels = inputs,
        .from_channels = outputs,
        .from = dy,
        .w = w,
        .to = dx,
        .joined = s->stride[2] == 1 && s->dilation[2] == 1 && s->groups == 1 && outputs > 1 &&
                  s->kernel[2] * outputs <= DEPTH,
        .w_group = outputs,
        .w_tap = inputs * s->out_channels,
        .w_row = 1,
        .w_col = s->out_channels,
        .flip = true,
    };
    if (s->groups > 1 && inputs == 1 && outputs == 1) {
        g.depthwise = true;
        g.groups = 1;
        g.to_channels = g.from_channels = s->groups;
    }
    for (int d = 0; d < 3; d++) {
        g.to_size[d] = s->in[d];
        g.from_size[d] = s->out[d];
        g.kernel[d] = s->kernel[d];
    }
    if (!alloc_runs(&g))
        return false;
    run *runs = g.axes[0].runs;
    for (int d = 0; d < 3; d++)
        input_axis(&g.axes[d], s, d);
    bool done = run_gather(&g);
    kl_block_free(runs);
    return done;
}
