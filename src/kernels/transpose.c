#include "kernels/transpose.h"

#include "base/thread_pool.h"

enum {
    BLOCK = 16,    /* elements of a cache line */
    STRIP = 64,    /* rows of the result taken together */
    GRAIN = 16384, /* elements worth a chunk */
};

typedef struct transpose_job {
    const kl_transposition *t;
    int64_t strips;
    kl_split split; /* of the strips of all matrices */
} transpose_job;

typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint64_t two __attribute__((vector_size(16), aligned(8), may_alias));

/* Rows [0, 4) by columns [0, 4) of the result. */
static inline void tile_32(const uint32_t *in, int64_t in_col, uint32_t *out, int64_t out_row)
{
    four a = *(const four *)in, b = *(const four *)(in + in_col);
    four c = *(const four *)(in + 2 * in_col), d = *(const four *)(in + 3 * in_col);
    four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    *(four *)out = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(four *)(out + out_row) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(four *)(out + 2 * out_row) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(four *)(out + 3 * out_row) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

static inline void tile_64(const uint64_t *in, int64_t in_col, uint64_t *out, int64_t out_row)
{
    two a = *(const two *)in, b = *(const two *)(in + in_col);
    *(two *)out = __builtin_shufflevector(a, b, 0, 2);
    *(two *)(out + out_row) = __builtin_shufflevector(a, b, 1, 3);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/*
 * Rows and columns by tiles in blocks of a cache line's size. The side whose lines lie further
 * apart has whole lines passed before the next: lines a power of two apart share few sets of the
 * cache.
 */
#define DEFINE_TRANSPOSE(T, bits, TILE)                                                            \
    static void block_##bits(const T *in, int64_t in_col, T *out, int64_t out_row, int64_t rows,   \
                             int64_t cols)                                                         \
    {                                                                                              \
        int64_t whole_rows = rows / TILE * TILE, whole_cols = cols / TILE * TILE;                  \
        if (out_row > in_col) {                                                                    \
            for (int64_t r = 0; r < whole_rows; r += TILE)                                         \
                for (int64_t c = 0; c < whole_cols; c += TILE)                                     \
                    tile_##bits(in + r + c * in_col, in_col, out + r * out_row + c, out_row);      \
        } else {                                                                                   \
            for (int64_t c = 0; c < whole_cols; c += TILE)                                         \
                for (int64_t r = 0; r < whole_rows; r += TILE)                                     \
                    tile_##bits(in + r + c * in_col, in_col, out + r * out_row + c, out_row);      \
        }                                                                                          \
        for (int64_t r = 0; r < rows; r++)                                                         \
            for (int64_t c = r < whole_rows ? whole_cols : 0; c < cols; c++)                       \
                out[r * out_row + c] = in[r + c * in_col];                                         \
    }                                                                                              \
    static void chunk_##bits(void *arg, int64_t chunk)                                             \
    {                                                                                              \
        const transpose_job *job = arg;                                                            \
        const kl_transposition *t = job->t;                                                        \
        int64_t end = kl_split_begin(job->split, chunk + 1);                                       \
        for (int64_t i = kl_split_begin(job->split, chunk); i < end; i++) {                        \
            int64_t b = i / job->strips, first = i % job->strips * STRIP;                          \
            int64_t last = least(t->rows, first + STRIP);                                          \
            const T *in = (const T *)t->in + b * t->in_batch;                                      \
            T *out = (T *)t->out + b * t->rows * t->cols;                                          \
            for (int64_t c = 0; c < t->cols; c += BLOCK)                                           \
                for (int64_t r = first; r < last; r += BLOCK)                                      \
                    block_##bits(in + r + c * t->in_col, t->in_col, out + r * t->cols + c,         \
                                 t->cols, least(BLOCK, last - r), least(BLOCK, t->cols - c));      \
        }                                                                                          \
    }                                                                                              \
    void kl_transpose_##bits(const kl_transposition *t)                                            \
    {                                                                                              \
        transpose_job job = {.t = t, .strips = (t->rows + STRIP - 1) / STRIP};                     \
        job.split = kl_split_make(t->batch * job.strips,                                           \
                                  1 + GRAIN / (least(t->rows, STRIP) * t->cols + 1));              \
        kl_parallel_for(job.split.chunks, chunk_##bits, &job);                                     \
    }

DEFINE_TRANSPOSE(uint32_t, 32, 4)
DEFINE_TRANSPOSE(uint64_t, 64, 2)
