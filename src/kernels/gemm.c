#include "kernels/gemm.h"

#include <stddef.h>

#include "base/pool.h"
#include "base/thread_pool.h"
#include "kernels/gemm_tile.h"

enum {
    DEPTH = 512, /* most of k in one block: a packed panel of B stays in the L2 cache */
    BLOCK_ELEMENTS = 1 << 19,   /* most elements of B packed at a time */
    ROWS_BYTES = 96 << 10,      /* of A that a chunk of work goes through again for every panel */
    ALL_ROWS_BYTES = 256 << 10, /* at most, where this saves writing all of B */
    FEW_PANELS = 8,             /* too few to share the work by panels alone */
    PACK_ROWS = 96,             /* with fewer rows packing B costs more than it gains */
    CROWDED = 8192,             /* but not where its rows, so many bytes apart, share cache sets */
    CROWDED_ROWS = 16,
    LINE_BYTES = 64, /* nor where a panel's rows are one line each, */
    DISTANT = 2048,  /* so far apart that they crowd in few sets of the second cache, */
    DISTANT_ROWS = 16,
    PAGES = 3584, /* and many of them pages apart, where none is fetched ahead */
    PAGES_DEPTH = 256,
    PAGES_ROWS = 8,
    FAR_BYTES = 1024, /* from an element of a row of A to the next, to be worth a copy */
    COPY_PANELS = 4,  /* with as many panels to read it */
    COPY_DEPTH = 32,
    FEW_ROWS = 4,
    GRAIN = 1 << 17, /* multiplications that are worth another thread */
    CHUNKS = 32,
};

const kl_tile_set *kl_tile_set_f32(void)
{
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        return &kl_tiles_avx512_f32;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        return &kl_tiles_avx2_f32;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return &kl_tiles_neon_f32;
#endif
    default:
        return &kl_tiles_portable_f32;
    }
}

const kl_tile_set *kl_tile_set_f64(void)
{
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX512:
    case KL_ISA_AVX2:
        return &kl_tiles_avx2_f64;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return &kl_tiles_neon_f64;
#endif
    default:
        return &kl_tiles_portable_f64;
    }
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Where part i of `parts` parts of `count` things begins, the parts differing by one at most. */
static int64_t part_begin(int64_t count, int64_t parts, int64_t i)
{
    return count / parts * i + min(count % parts, i);
}

/* One block of a product: all rows, some columns (given in vectors), some of k. */
typedef struct block {
    const kl_tile_set *set;
    const kl_gemm *g;
    const char *a, *b; /* at the block's first k */
    char *c;
    int64_t k;
    bool accumulate, bias, relu;
    char *packed;      /* panels of B, or NULL: B is read in place */
    bool unpacked;     /* each chunk packs its panels, one at a time where its first one goes */
    char *packed_last; /* the last panel where B is read in place but ends inside of a vector */
    int64_t first, vectors; /* the block's columns, in vectors */
    int64_t panels;
    int64_t row_tiles, row_parts, panel_parts;
} block;

static const char *at(const block *x, const char *p, int64_t elements)
{
    return p + elements * x->set->size;
}

/* First vector, counted from the block's first, of panel i. */
static int64_t panel_begin(const block *x, int64_t i)
{
    return part_begin(x->vectors, x->panels, i);
}

static int64_t panel_columns(const block *x, int64_t i)
{
    int64_t lanes = x->set->lanes, from = (x->first + panel_begin(x, i)) * lanes;
    return min((panel_begin(x, i + 1) - panel_begin(x, i)) * lanes, x->g->n - from);
}

static void pack_panel(const block *x, int64_t i, char *to)
{
    int64_t lanes = x->set->lanes, from = (x->first + panel_begin(x, i)) * lanes;
    int64_t width = (panel_begin(x, i + 1) - panel_begin(x, i)) * lanes;
    x->set->pack(to, width, at(x, x->b, from * x->g->b_col), x->g->b_row, x->g->b_col, x->k,
                 panel_columns(x, i));
}

static char *packed_panel(const block *x, int64_t i)
{
    return x->packed + panel_begin(x, i) * x->set->lanes * x->k * x->set->size;
}

static void pack_chunk(void *arg, int64_t i)
{
    const block *x = arg;
    pack_panel(x, i, packed_panel(x, i));
}

/*
 * The rows [begin, end) of A of one chunk. Read in place, or where rows lie closer than the
 * elements of a row, whose cache lines would crowd in few sets of the cache, from a copy: groups of
 * a vector's rows, [group][k][lanes].
 */
typedef struct row_range {
    int64_t begin, end;
    char *packed;
} row_range;

static row_range take_rows(const block *x, int64_t begin, int64_t end, int64_t panels)
{
    const kl_gemm *g = x->g;
    row_range r = {begin, end, NULL};
    int64_t lanes = x->set->lanes, size = x->set->size, groups = ceil_div(end - begin, lanes);
    if (g->a_row != 1 || g->a_col * size < FAR_BYTES || panels < COPY_PANELS || x->k < COPY_DEPTH)
        return r;
    /* Without memory for the copy the rows are read in place. */
    r.packed = kl_block_alloc((size_t)(groups * lanes * x->k * size));
    for (int64_t i = 0; r.packed && i < groups; i++)
        x->set->pack(r.packed + i * lanes * x->k * size, lanes, at(x, x->a, begin + i * lanes),
                     g->a_col, 1, x->k, min(lanes, end - begin - i * lanes));
    return r;
}

/* The columns of panel i in some rows. */
static void run_panel(const block *x, int64_t i, const row_range *r, const char *packed)
{
    const kl_tile_set *set = x->set;
    const kl_gemm *g = x->g;
    int64_t vectors = panel_begin(x, i + 1) - panel_begin(x, i);
    int64_t column = (x->first + panel_begin(x, i)) * set->lanes;
    int64_t a_rows[KL_TILE_ROWS], c_rows[KL_TILE_ROWS];
    for (int j = 0; j < KL_TILE_ROWS; j++) {
        a_rows[j] = j * g->a_row;
        c_rows[j] = j * g->c_row;
    }
    kl_tile t = {
        .a = r->packed ? r->packed : at(x, x->a, r->begin * g->a_row),
        .a_rows = a_rows,
        .a_col = r->packed ? set->lanes : g->a_col,
        .b = at(x, x->b, column),
        .b_row = g->b_row,
        .k = x->k,
        .c = x->c + (r->begin * g->c_row + column) * set->size,
        .c_rows = c_rows,
        .bias = x->bias ? at(x, g->bias, column) : NULL,
        .cols = panel_columns(x, i),
        .accumulate = x->accumulate,
        .relu = x->relu,
    };
    if (packed) {
        t.b = packed;
        t.b_row = vectors * set->lanes;
    }
    /* Rows are spread evenly over as few tiles as hold them. */
    int64_t tiles = ceil_div(r->end - r->begin, set->rows[vectors]);
    int64_t each = (r->end - r->begin) / tiles, longer = (r->end - r->begin) % tiles;
    int64_t group = 0, row = 0; /* of the copy, and its row */
    for (int64_t p = 0; p < tiles; p++) {
        int64_t count = each + (p < longer);
        for (int64_t j = 0; r->packed && j < count; j++) {
            a_rows[j] = group * x->k + row;
            if (++row == set->lanes) {
                row = 0;
                group += set->lanes;
            }
        }
        set->tile[count][vectors](&t);
        if (!r->packed)
            t.a = at(x, t.a, count * g->a_row);
        t.c = (char *)t.c + count * g->c_row * set->size;
    }
}

static void run_chunk(void *arg, int64_t chunk)
{
    const block *x = arg;
    int64_t row_part = chunk / x->panel_parts, panels = chunk % x->panel_parts;
    int64_t from = part_begin(x->row_tiles, x->row_parts, row_part);
    int64_t to = part_begin(x->row_tiles, x->row_parts, row_part + 1);
    int64_t first = part_begin(x->panels, x->panel_parts, panels);
    int64_t end = part_begin(x->panels, x->panel_parts, panels + 1);
    row_range r = take_rows(x, part_begin(x->g->m, x->row_tiles, from),
                            part_begin(x->g->m, x->row_tiles, to), end - first);
    for (int64_t i = first; i < end; i++) {
        char *packed = x->packed ? packed_panel(x, x->unpacked ? first : i) : NULL;
        if (x->unpacked)
            pack_panel(x, i, packed);
        run_panel(x, i, &r, packed || i < x->panels - 1 ? packed : x->packed_last);
    }
    kl_block_free(r.packed);
}

/*
 * Splits the block among chunks by rows and panels; by panels alone where they are to be packed
 * and all rows stay in the cache: then a panel is packed right before its only use.
 */
static void split_block(block *x)
{
    const kl_gemm *g = x->g;
    int64_t most = ceil_div(x->vectors, x->panels);
    x->row_tiles = ceil_div(g->m, x->set->rows[most]);
    int64_t rows = ROWS_BYTES / (x->k * x->set->size + 1) + 1;
    x->row_parts = min(ceil_div(g->m, rows), x->row_tiles);
    x->panel_parts = 1;
    int64_t work = g->m * x->vectors * x->set->lanes * (x->k + 1);
    int64_t want = min(work / GRAIN, CHUNKS);
    if (x->unpacked && g->m * x->k * x->set->size <= ALL_ROWS_BYTES &&
        (x->panels >= FEW_PANELS || want <= x->panels)) {
        x->row_parts = 1;
        x->panel_parts = min(want < 1 ? 1 : want, x->panels);
        return;
    }
    while (x->row_parts * x->panel_parts < want) {
        if (x->row_parts * 2 <= x->row_tiles)
            x->row_parts *= 2;
        else if (x->panel_parts < x->panels)
            x->panel_parts = min(x->panel_parts * 2, x->panels);
        else
            break;
    }
}

static void run_split(block *x)
{
    if (x->row_parts * x->panel_parts == 1)
        run_chunk(x, 0);
    else
        kl_parallel_for(x->row_parts * x->panel_parts, run_chunk, x);
}

static void run_block(block *x)
{
    x->unpacked = x->packed;
    split_block(x);
    if (x->packed && x->row_parts > 1) {
        x->unpacked = false;
        int64_t elements = x->vectors * x->set->lanes * x->k;
        if (elements >= GRAIN / 4) {
            kl_parallel_for(x->panels, pack_chunk, x);
        } else {
            for (int64_t i = 0; i < x->panels; i++)
                pack_chunk(x, i);
        }
    } else if (x->packed_last) {
        pack_panel(x, x->panels - 1, x->packed_last);
    }
    run_split(x);
}

/* From how many rows on it pays to pack a B of unit column stride for panels of `wide` vectors. */
static int64_t rows_to_pack(const kl_tile_set *set, const kl_gemm *g, int64_t wide)
{
    int64_t apart = g->b_row * set->size;
    if (g->k < COPY_DEPTH)
        return PACK_ROWS;
    if (wide * set->lanes * set->size <= LINE_BYTES && apart >= DISTANT)
        return apart >= PAGES && g->k >= PAGES_DEPTH ? PAGES_ROWS : DISTANT_ROWS;
    return apart % CROWDED == 0 ? CROWDED_ROWS : PACK_ROWS;
}

/* One product by tiles. */
static bool run_tiles(const kl_tile_set *set, const kl_gemm *g, const char *a, const char *b,
                      char *c)
{
    int64_t lanes = set->lanes, vectors = ceil_div(g->n, lanes);
    int64_t wide = set->vectors;
    /* The fewer the rows, the longer the run of each row of B to read at once. */
    if (g->m <= FEW_ROWS) {
        wide = KL_TILE_VECTORS;
        while (set->rows[wide] < g->m)
            wide--;
    }
    bool pack = g->b_col != 1 || g->m >= rows_to_pack(set, g, wide);
    int64_t depth = pack || g->m > FEW_ROWS ? min(g->k, DEPTH) : g->k;
    int64_t steps = depth > 0 ? ceil_div(g->k, depth) : 1;
    int64_t per_block = vectors;
    char *scratch = NULL;
    size_t bytes = 0;
    if (pack && depth > 0) {
        per_block = BLOCK_ELEMENTS / (depth * lanes * wide) * wide;
        per_block = min(per_block < wide ? wide : per_block, vectors);
        bytes = (size_t)(per_block * lanes * depth) * (size_t)set->size;
    } else if (g->n % lanes) {
        bytes = (size_t)(wide * lanes * depth) * (size_t)set->size;
    }
    if (bytes) {
        scratch = kl_block_alloc(bytes);
        if (!scratch)
            return false;
    }
    for (int64_t first = 0; first < vectors; first += per_block) {
        for (int64_t step = 0; step < steps; step++) {
            int64_t k = part_begin(g->k, steps, step);
            block x = {
                .set = set,
                .g = g,
                .a = a + k * g->a_col * set->size,
                .b = b + k * g->b_row * set->size,
                .c = c,
                .k = part_begin(g->k, steps, step + 1) - k,
                .accumulate = g->accumulate || step > 0,
                .bias = g->bias && step == 0,
                .relu = g->epilogue == KL_EPILOGUE_RELU && step == steps - 1,
                .packed = pack ? scratch : NULL,
                .packed_last = pack ? NULL : scratch,
                .first = first,
                .vectors = min(per_block, vectors - first),
            };
            x.panels = ceil_div(x.vectors, wide);
            run_block(&x);
        }
    }
    kl_block_free(scratch);
    return true;
}

/* The block of all columns and of part `step` of k; the packed parts lie one after the other. */
static block packed_block(const kl_tile_set *set, const kl_gemm *g, int64_t step, float *packed)
{
    int64_t steps = ceil_div(g->k, DEPTH), k = part_begin(g->k, steps, step);
    int64_t vectors = ceil_div(g->n, set->lanes);
    return (block){.set = set,
                   .g = g,
                   .a = (const char *)g->a + k * g->a_col * set->size,
                   .b = (const char *)g->b + k * g->b_row * set->size,
                   .c = g->c,
                   .k = part_begin(g->k, steps, step + 1) - k,
                   .accumulate = g->accumulate || step > 0,
                   .bias = g->bias && step == 0,
                   .relu = g->epilogue == KL_EPILOGUE_RELU && step == steps - 1,
                   .packed = (char *)(packed + k * vectors * set->lanes),
                   .vectors = vectors,
                   .panels = ceil_div(vectors, set->vectors)};
}

float *kl_gemm_pack_f32(int64_t k, int64_t n, const float *b, int64_t b_row, int64_t b_col)
{
    const kl_tile_set *set = kl_tile_set_f32();
    kl_gemm g = {.n = n, .k = k, .b = b, .b_row = b_row, .b_col = b_col};
    int64_t width = ceil_div(n, set->lanes) * set->lanes;
    float *packed = kl_block_alloc((size_t)(k * width) * sizeof *packed);
    for (int64_t step = 0; packed && step < ceil_div(k, DEPTH); step++) {
        block x = packed_block(set, &g, step, packed);
        for (int64_t i = 0; i < x.panels; i++)
            pack_chunk(&x, i);
    }
    return packed;
}

void kl_gemm_packed_f32(const kl_gemm *g, float *packed)
{
    const kl_tile_set *set = kl_tile_set_f32();
    for (int64_t step = 0; step < ceil_div(g->k, DEPTH); step++) {
        block x = packed_block(set, g, step, packed);
        split_block(&x);
        run_split(&x);
    }
}

typedef struct dots_job {
    const kl_tile_set *set;
    kl_dots d;
    kl_split split;
} dots_job;

static void dots_chunk(void *arg, int64_t chunk)
{
    const dots_job *job = arg;
    kl_dots d = job->d;
    int64_t from = kl_split_begin(job->split, chunk), size = job->set->size;
    d.n = kl_split_begin(job->split, chunk + 1) - from;
    d.b = (const char *)d.b + from * d.b_col * size;
    d.c = (char *)d.c + from * d.c_col * size;
    if (d.bias)
        d.bias = (const char *)d.bias + from * d.bias_col * size;
    job->set->dots(&d);
}

/* A product of up to four vectors `a` (of elements a_col apart) with the rows at b. */
static bool run_dots(const kl_tile_set *set, kl_dots d, int64_t a_col)
{
    char *scratch = NULL;
    if (a_col != 1) {
        scratch = kl_block_alloc((size_t)(d.k * d.m) * (size_t)set->size);
        if (!scratch)
            return false;
        for (int64_t i = 0; i < d.m; i++)
            set->pack(scratch + i * d.k * set->size, 1, (const char *)d.a + i * d.a_row * set->size,
                      a_col, 2, d.k, 1);
        d.a = scratch;
        d.a_row = d.k;
    }
    dots_job job = {set, d, kl_split_make(d.n, GRAIN / (d.m * d.k + 1) + 1)};
    kl_parallel_for(job.split.chunks, dots_chunk, &job);
    kl_block_free(scratch);
    return true;
}

static bool run_one(const kl_tile_set *set, const kl_gemm *g, const char *a, const char *b, char *c)
{
    kl_dots d = {.k = g->k,
                 .bias = g->bias,
                 .accumulate = g->accumulate,
                 .relu = g->epilogue == KL_EPILOGUE_RELU,
                 .c = c};
    if (g->m <= FEW_ROWS && g->b_row == 1 && g->b_col != 1 && g->k >= 4) {
        d.m = g->m, d.n = g->n;
        d.a = a, d.a_row = g->a_row;
        d.b = b, d.b_col = g->b_col;
        d.c_row = g->c_row, d.c_col = d.bias_col = 1;
        return run_dots(set, d, g->a_col);
    }
    if (g->n <= FEW_ROWS && g->a_col == 1 && g->k >= 4) {
        d.m = g->n, d.n = g->m;
        d.a = b, d.a_row = g->b_col;
        d.b = a, d.b_col = g->a_row;
        d.c_row = d.bias_row = 1, d.c_col = g->c_row;
        return run_dots(set, d, g->b_row);
    }
    if (g->n == 1 && g->c_row == 1 && g->a_row == 1 && !g->bias) {
        kl_gemm t = *g;
        t.m = 1, t.n = g->m;
        t.a_row = 0, t.a_col = g->b_row;
        t.b_row = g->a_col, t.b_col = 1;
        return run_tiles(set, &t, b, a, c);
    }
    return run_tiles(set, g, a, b, c);
}

typedef struct batch_job {
    const kl_tile_set *set;
    const kl_gemm *g;
    kl_split split;
    _Atomic bool failed;
} batch_job;

static void batch_chunk(void *arg, int64_t chunk)
{
    batch_job *job = arg;
    const kl_gemm *g = job->g;
    int64_t size = job->set->size, end = kl_split_begin(job->split, chunk + 1);
    for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++) {
        if (!run_one(job->set, g, (const char *)g->a + i * g->a_batch * size,
                     (const char *)g->b + i * g->b_batch * size,
                     (char *)g->c + i * g->c_batch * size))
            job->failed = true;
    }
}

static bool run(const kl_tile_set *set, const kl_gemm *g)
{
    if (g->m <= 0 || g->n <= 0)
        return true;
    if (g->batch <= 1)
        return run_one(set, g, g->a, g->b, g->c);
    batch_job job = {set, g, {g->batch, 1}, false};
    /* Few large products are split inside. */
    if (g->batch >= 8 || g->m * g->n * g->k < GRAIN * 4)
        job.split = kl_split_make(g->batch, GRAIN / (g->m * g->n * (g->k + 1)) + 1);
    if (job.split.chunks == 1)
        batch_chunk(&job, 0);
    else
        kl_parallel_for(job.split.chunks, batch_chunk, &job);
    return !job.failed;
}

bool kl_gemm_f32(const kl_gemm *g)
{
    return run(kl_tile_set_f32(), g);
}

bool kl_gemm_f64(const kl_gemm *g)
{
    return run(kl_tile_set_f64(), g);
}
