#include "kernels/attention_blocks.h"

#include "kernels/isa.h"

static const kl_attention_table *table_in_use(void)
{
    switch (kl_isa_get()) {
#ifdef KL_HAVE_AVX512
    case KL_ISA_AVX512:
        return &kl_attention_avx512;
#endif
#ifdef KL_HAVE_AVX2
    case KL_ISA_AVX2:
        return &kl_attention_avx2;
#endif
#ifdef KL_HAVE_NEON
    case KL_ISA_NEON:
        return &kl_attention_neon;
#endif
    default:
        return &kl_attention_portable;
    }
}

void kl_attention_begin(kl_attention_job *job, const kl_attention *a)
{
    const kl_attention_table *table = table_in_use();
    job->a = a;
    job->set = a->wide ? kl_tile_set_f64() : kl_tile_set_f32();
    job->loops = a->wide ? &table->wide : &table->single;
    job->width = (int64_t)job->set->vectors * job->set->lanes;
    job->element = (size_t)job->set->size;
}

int64_t kl_attention_padded(const kl_attention_job *job, int64_t x)
{
    int64_t lanes = job->set->lanes;
    return (x + lanes - 1) / lanes * lanes;
}

int64_t kl_attention_rows_size(const kl_attention_job *job, int64_t rows, int64_t cols)
{
    return rows * kl_attention_padded(job, cols);
}

int64_t kl_attention_panels_size(const kl_attention_job *job, int64_t rows, int64_t cols)
{
    return (rows + job->width - 1) / job->width * job->width * cols;
}

void kl_attention_pack_rows(const kl_attention_job *job, void *to, const void *from, int64_t stride,
                            int64_t rows, int64_t cols)
{
    job->set->pack(to, kl_attention_padded(job, cols), from, stride, 1, rows, cols);
}

void kl_attention_pack_panels(const kl_attention_job *job, void *to, const void *from,
                              int64_t stride, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r += job->width) {
        int64_t count = rows - r < job->width ? rows - r : job->width;
        job->set->pack((char *)to + (size_t)(r * cols) * job->element, job->width,
                       (const char *)from + (size_t)(r * stride) * job->element, 1, stride, cols,
                       count);
    }
}

kl_packed kl_attention_panels_at(const kl_attention_job *job, const void *panels, int64_t first,
                                 int64_t cols)
{
    return (kl_packed){(const char *)panels + (size_t)(first * cols) * job->element, job->width,
                       job->width * cols};
}

kl_packed kl_attention_rows_at(const kl_attention_job *job, const void *rows, int64_t first,
                               int64_t cols)
{
    int64_t padded = kl_attention_padded(job, cols);
    return (kl_packed){(const char *)rows + (size_t)(first * padded) * job->element, padded,
                       job->width};
}

void kl_attention_multiply(const kl_attention_job *job, const kl_block_product *p)
{
    const kl_tile_set *set = job->set;
    int64_t a_rows[KL_TILE_ROWS], c_rows[KL_TILE_ROWS];
    for (int i = 0; i < KL_TILE_ROWS; i++) {
        a_rows[i] = i * p->a_row;
        c_rows[i] = i * p->c_row;
    }
    kl_tile t = {.a_rows = a_rows,
                 .a_col = p->a_col,
                 .b_row = p->b.row,
                 .k = p->k,
                 .c_rows = c_rows,
                 .accumulate = p->accumulate};
    for (int64_t j = 0, panel = 0; j < p->n; j += job->width, panel++) {
        t.cols = p->n - j < job->width ? p->n - j : job->width;
        int vectors = (int)((t.cols + set->lanes - 1) / set->lanes), most = set->rows[vectors];
        t.b = p->b.at + (size_t)(panel * p->b.panel) * job->element;
        for (int64_t i = 0; i < p->m; i += most) {
            int rows = p->m - i < most ? (int)(p->m - i) : most;
            t.a = (const char *)p->a + i * p->a_row * (int64_t)job->element;
            t.c = (char *)p->c + (i * p->c_row + j) * (int64_t)job->element;
            set->tile[rows][vectors](&t);
        }
    }
}

void kl_attention_keys(const kl_attention *a, int64_t row, int64_t rows, int64_t *first,
                       int64_t *end)
{
    *first = 0;
    *end = a->keys;
    if (a->causal && row + rows < *end)
        *end = row + rows;
    if (a->window && a->window < *end && row + rows - 1 < *end - a->window)
        *end = row + rows - 1 + a->window;
    if (a->window && a->window <= row)
        *first = row - a->window + 1;
    if (*first > *end)
        *first = *end;
}

void kl_attention_limits(const kl_attention *a, int64_t batch, int64_t head, int64_t row,
                         int64_t key, kl_score_block *b)
{
    /* Farther than any block reaches. */
    const int64_t far = a->rows + a->keys + 1, window = a->window < far ? a->window : far;
    b->low = a->window ? row - key - window + 1 : -far;
    b->high = a->causal ? row - key + 1 : a->window ? row - key + window : far;
    b->mask = NULL;
    b->mask_row = a->mask_strides[2];
    b->mask_col = a->mask_strides[3];
    if (a->mask)
        b->mask = a->mask + batch * a->mask_strides[0] + head * a->mask_strides[1] +
                  row * a->mask_strides[2] + key * a->mask_strides[3];
}
