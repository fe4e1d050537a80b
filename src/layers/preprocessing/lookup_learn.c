/* Vocabularies from data. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "layers/preprocessing/lookup.h"

/* ---- Counting ------------------------------------------------------------------------------- */

/* A block's tokens, those of every piece put in order of the part that they belong to. */
enum { PIECE = 4096, PIECES = 64, BLOCK = PIECE * PIECES, AT_ONCE = 64 };

typedef struct counting {
    kl_token_counts *parts;
    const kl_string *tokens;
    int64_t first, count, each, document;
    uint8_t *part;
    uint16_t *order;                  /* by piece */
    uint16_t (*ends)[KL_COUNT_PARTS]; /* by piece: where each part ends in it */
    bool failed[KL_COUNT_PARTS];
} counting;

static void sort_piece(void *arg, int64_t piece)
{
    const counting *c = arg;
    int64_t begin = piece * PIECE, n = c->count - begin < PIECE ? c->count - begin : PIECE;
    unsigned at[KL_COUNT_PARTS] = {0}, sum = 0;
    for (int64_t i = begin; i < begin + n; i++) {
        c->part[i] = (uint8_t)(kl_string_hash(c->tokens[i].at, c->tokens[i].length) >> 60);
        at[c->part[i]]++;
    }
    for (int p = 0; p < KL_COUNT_PARTS; p++) {
        unsigned here = at[p];
        at[p] = sum;
        sum += here;
        c->ends[piece][p] = (uint16_t)sum;
    }
    for (int64_t i = 0; i < n; i++)
        c->order[begin + at[c->part[begin + i]]++] = (uint16_t)i;
}

static void count_part(void *arg, int64_t p)
{
    counting *c = arg;
    kl_string tokens[AT_ONCE];
    int64_t documents[AT_ONCE];
    for (int64_t base = 0; base < c->count && !c->failed[p]; base += PIECE) {
        int64_t piece = base / PIECE, end = c->ends[piece][p];
        for (int64_t k = p ? c->ends[piece][p - 1] : 0; k < end;) {
            size_t some = 0;
            for (; some < AT_ONCE && k < end; some++, k++) {
                int64_t i = base + c->order[base + k];
                tokens[some] = c->tokens[i];
                documents[some] = c->document + (c->first + i) / c->each;
            }
            if (!kl_token_counts_add_each(&c->parts[p], tokens, some, documents)) {
                c->failed[p] = true;
                break;
            }
        }
    }
}

static kl_status count_block(counting *c)
{
    int64_t pieces = (c->count + PIECE - 1) / PIECE;
    if (pieces == 1) {
        sort_piece(c, 0);
        for (int64_t p = 0; p < KL_COUNT_PARTS; p++)
            count_part(c, p);
    } else {
        kl_parallel_for(pieces, sort_piece, c);
        kl_parallel_for(KL_COUNT_PARTS, count_part, c);
    }
    for (int p = 0; p < KL_COUNT_PARTS; p++)
        if (c->failed[p])
            return kl_error_memory();
    return KL_OK;
}

kl_status kl_lookup_count(kl_lookup *l, const kl_string *tokens, int64_t count, int64_t each)
{
    if (!l->parts && !(l->parts = kl_calloc(KL_COUNT_PARTS, sizeof *l->parts)))
        return KL_ERROR_MEMORY;
    counting c = {.parts = l->parts, .each = each, .document = l->counts.documents};
    size_t most = (size_t)(count < BLOCK ? count : BLOCK);
    c.part = kl_malloc_array(most, sizeof *c.part);
    c.order = kl_malloc_array(most, sizeof *c.order);
    c.ends = kl_malloc_array(PIECES, sizeof *c.ends);
    kl_status status = c.part && c.order && c.ends ? KL_OK : KL_ERROR_MEMORY;
    for (int64_t begin = 0; !status && begin < count; begin += BLOCK) {
        c.tokens = tokens + begin;
        c.first = begin;
        c.count = count - begin < BLOCK ? count - begin : BLOCK;
        status = count_block(&c);
    }
    kl_free(c.part);
    kl_free(c.order);
    kl_free(c.ends);
    l->counts.documents += (count + each - 1) / each;
    return status;
}

void kl_lookup_forget(kl_lookup *l)
{
    kl_token_counts_clear(&l->counts);
    for (int p = 0; l->parts && p < KL_COUNT_PARTS; p++)
        kl_token_counts_clear(&l->parts[p]);
    kl_free(l->parts);
    l->parts = NULL;
}

/* ---- Ranking -------------------------------------------------------------------------------- */

typedef struct ranked_token {
    kl_string text;
    uint64_t lead; /* its first bytes, or the number: greater ones rank first */
    int64_t count, documents;
} ranked_token;

static uint64_t lead_of(const kl_lookup *l, kl_string text)
{
    if (l->numbers)
        return (uint64_t)kl_token_number(text) ^ UINT64_C(1) << 63;
    uint64_t lead = 0;
    for (size_t i = 0; i < 8; i++)
        lead = lead << 8 | (i < text.length ? (unsigned char)text.at[i] : 0);
    return lead;
}

/* The most frequent first, ties by the bytes or the number, the greater first. */
static int by_rank(const void *x, const void *y)
{
    const ranked_token *a = x, *b = y;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    if (a->lead != b->lead)
        return a->lead < b->lead ? 1 : -1;
    size_t shorter = a->text.length < b->text.length ? a->text.length : b->text.length;
    int order = shorter ? memcmp(a->text.at, b->text.at, shorter) : 0;
    if (!order)
        order = a->text.length < b->text.length ? -1 : a->text.length > b->text.length;
    return -order;
}

static int64_t list_tokens(const kl_lookup *l, const kl_token_counts *counts, ranked_token *out)
{
    int64_t count = 0;
    for (int64_t i = 0; i < counts->tokens.count; i++) {
        kl_string text = counts->tokens.keys[i];
        if (!kl_token_equal(text, l->mask) && !kl_token_equal(text, l->oov))
            out[count++] = (ranked_token){text, lead_of(l, text), counts->at[i].count,
                                          counts->at[i].documents};
    }
    return count;
}

static int64_t rank_tokens(const kl_lookup *l, ranked_token *out)
{
    int64_t count = list_tokens(l, &l->counts, out);
    for (int p = 0; l->parts && p < KL_COUNT_PARTS; p++)
        count += list_tokens(l, &l->parts[p], out + count);
    qsort(out, (size_t)count, sizeof *out, by_rank);
    if (l->max_tokens == KL_NONE)
        return count;
    /* As a Python slice: with more special tokens than max_tokens it leaves out from the end. */
    int64_t most = l->max_tokens - kl_lookup_start(l);
    if (most < 0)
        most = count + most > 0 ? count + most : 0;
    return most < count ? most : count;
}

static kl_status take_ranked(kl_lookup *l, const ranked_token *ranked, int64_t count)
{
    kl_string_table table = {0};
    float *idf = kl_malloc_array((size_t)count + 1, sizeof *idf), *padded = NULL;
    kl_status status = idf ? KL_OK : KL_ERROR_MEMORY;
    if (!status && !count)
        status = kl_error(KL_ERROR_INVALID, "adapt found no token beside the special ones, or "
                                            "max_tokens leaves none");
    for (int64_t i = 0; !status && i < count; i++) {
        double seen = (double)l->counts.documents / (double)(1 + ranked[i].documents);
        idf[i] = (float)log(1 + seen);
        if (kl_string_table_add(&table, ranked[i].text.at, ranked[i].text.length, NULL) < 0)
            status = kl_last_status();
    }
    int64_t total = 0;
    if (!status && l->mode == KL_ENCODE_TF_IDF) {
        padded = kl_lookup_pad_idf(l, idf, count, kl_lookup_start(l), &total);
        if (!padded)
            status = KL_ERROR_MEMORY;
    }
    kl_free(idf);
    if (status) {
        kl_string_table_clear(&table);
        return status;
    }
    kl_string_table_clear(&l->tokens);
    kl_free(l->idf);
    l->tokens = table;
    l->idf = padded;
    l->idf_count = total;
    return KL_OK;
}

kl_status kl_lookup_learn(kl_lookup *l)
{
    size_t total = (size_t)l->counts.tokens.count;
    for (int p = 0; l->parts && p < KL_COUNT_PARTS; p++)
        total += (size_t)l->parts[p].tokens.count;
    kl_status status = KL_OK;
    if (total) {
        ranked_token *ranked = kl_malloc_array(total, sizeof *ranked);
        status = ranked ? take_ranked(l, ranked, rank_tokens(l, ranked)) : KL_ERROR_MEMORY;
        kl_free(ranked);
    }
    kl_lookup_forget(l);
    return status;
}
