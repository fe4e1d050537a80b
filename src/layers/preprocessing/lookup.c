#include "layers/preprocessing/lookup.h"

#include <string.h>

#include "base/alloc.h"

int64_t kl_token_number(kl_string token)
{
    int64_t number;
    memcpy(&number, token.at, sizeof number);
    return number;
}

bool kl_token_equal(kl_string a, kl_string b)
{
    return a.at && b.at && a.length == b.length && (!a.length || !memcmp(a.at, b.at, a.length));
}

static bool has_mask_id(const kl_lookup *l)
{
    return l->mask.at && l->mode == KL_ENCODE_INT;
}

int64_t kl_lookup_start(const kl_lookup *l)
{
    return l->oov_count + (has_mask_id(l) ? 1 : 0);
}

int64_t kl_lookup_size(const kl_lookup *l)
{
    return kl_lookup_start(l) + l->tokens.count;
}

kl_string kl_lookup_special(const kl_lookup *l, int64_t id)
{
    return id == 0 && has_mask_id(l) ? l->mask : l->oov;
}

int64_t kl_lookup_depth(const kl_lookup *l)
{
    if (l->pad)
        return l->max_tokens;
    return l->tokens.count ? kl_lookup_size(l) : -1;
}

kl_status kl_lookup_check_ready(const kl_lookup *l)
{
    if (!l->tokens.count)
        return kl_error(KL_ERROR_STATE, "the vocabulary must be set before the layer is called: "
                                        "pass `vocabulary`, or call adapt");
    if (l->mode == KL_ENCODE_TF_IDF && l->idf_count < kl_lookup_depth(l))
        return kl_error(KL_ERROR_STATE, "with output_mode tf_idf, idf_weights must be provided");
    return KL_OK;
}

/* ---- Looking up ----------------------------------------------------------------------------- */

static int64_t unknown_id(const kl_lookup *l, kl_string token)
{
    int64_t first = kl_lookup_start(l) - l->oov_count, bin = 0;
    if (!l->oov_count)
        return -1;
    if (l->oov_count == 1)
        return first;
    if (!l->numbers) {
        kl_hash_bins_of_texts(&l->oov_bins, &token, 1, &bin);
        return first + bin;
    }
    int64_t number = kl_token_number(token);
    if (l->remainder) {
        bin = number % l->oov_count;
        bin += bin < 0 ? l->oov_count : 0;
    } else {
        kl_hash_bins_of_ints(&l->oov_bins, &number, 1, &bin);
    }
    return first + bin;
}

void kl_lookup_ids(const kl_lookup *l, const kl_string *tokens, size_t count, int64_t *ids)
{
    int64_t start = kl_lookup_start(l), mask_id = l->mode == KL_ENCODE_INT ? 0 : KL_NO_ID;
    kl_string_table_find_all(&l->tokens, tokens, count, ids);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= 0)
            ids[i] += start;
        else if (tokens[i].length == l->mask.length && kl_token_equal(tokens[i], l->mask))
            ids[i] = mask_id;
        else
            ids[i] = unknown_id(l, tokens[i]);
    }
}

void kl_lookup_number_ids(const kl_lookup *l, const int64_t *numbers, size_t count, int64_t *ids)
{
    int64_t start = kl_lookup_start(l), mask_id = l->mode == KL_ENCODE_INT ? 0 : KL_NO_ID;
    kl_string_table_find_words(&l->tokens, numbers, count, ids);
    for (size_t i = 0; i < count; i++) {
        kl_string token = kl_number_token(&numbers[i]);
        if (ids[i] >= 0)
            ids[i] += start;
        else
            ids[i] = kl_token_equal(token, l->mask) ? mask_id : unknown_id(l, token);
    }
}

/* ---- Setting -------------------------------------------------------------------------------- */

static bool begins_with_special(const kl_lookup *l, const kl_string *tokens, int64_t count)
{
    int64_t start = kl_lookup_start(l);
    bool found = count >= start;
    for (int64_t i = 0; found && i < start; i++)
        found = kl_token_equal(tokens[i], kl_lookup_special(l, i));
    return found;
}

static kl_status refuse(const kl_lookup *l, const char *why, kl_string token, int64_t at)
{
    char room[24];
    if (l->numbers)
        token = kl_decimal(kl_token_number(token), room);
    int shown = (int)(token.length < 60 ? token.length : 60);
    return kl_error(KL_ERROR_INVALID, "the vocabulary has the %s \"%.*s\" at %lld", why, shown,
                    token.at, (long long)at);
}

static kl_status fill(const kl_lookup *l, kl_string_table *table, const kl_string *tokens,
                      int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        bool added;
        if (kl_token_equal(tokens[i], l->mask))
            return refuse(l, "reserved mask token (special tokens go in front, all or none)",
                          tokens[i], i);
        if (l->invert && kl_token_equal(tokens[i], l->oov))
            return refuse(l,
                          "reserved token of unknown ids (special tokens go in front, all or "
                          "none)",
                          tokens[i], i);
        if (kl_string_table_add(table, tokens[i].at, tokens[i].length, &added) < 0)
            return kl_last_status();
        if (!added)
            return refuse(l, "repeated term", tokens[i], i);
    }
    int64_t size = kl_lookup_start(l) + table->count;
    if (l->max_tokens != KL_NONE && size > l->max_tokens)
        return kl_error(KL_ERROR_RANGE,
                        "the vocabulary's size is %lld, special tokens included; max_tokens is "
                        "%lld",
                        (long long)size, (long long)l->max_tokens);
    return KL_OK;
}

float *kl_lookup_pad_idf(const kl_lookup *l, const float *idf, int64_t count, int64_t front,
                         int64_t *total)
{
    *total = l->pad ? l->max_tokens : front + count;
    float *out = *total >= front + count ? kl_calloc((size_t)*total, sizeof *out) : NULL;
    if (!out)
        return NULL;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        out[front + i] = idf[i];
        sum += (double)idf[i];
    }
    for (int64_t i = 0; i < front; i++)
        out[i] = (float)(sum / (double)count);
    return out;
}

/* A file's vocabulary may come without weights, which are read apart. */
static kl_status check_idf(const kl_lookup *l, int64_t count, kl_floats idf)
{
    bool weighs = l->mode == KL_ENCODE_TF_IDF;
    if (!weighs && idf.at)
        return kl_error(KL_ERROR_INVALID,
                        "idf_weights should only be set if output_mode is tf_idf");
    if (weighs && idf.at && (int64_t)idf.count != count)
        return kl_error(KL_ERROR_INVALID,
                        "idf_weights must be as many as the vocabulary, %lld, got %zu",
                        (long long)count, idf.count);
    return KL_OK;
}

kl_status kl_lookup_set(kl_lookup *l, const kl_string *tokens, int64_t count, kl_floats idf)
{
    if (!count)
        return kl_error(KL_ERROR_INVALID, "a vocabulary must not be empty");
    kl_status status = check_idf(l, count, idf);
    if (status)
        return status;
    int64_t start = kl_lookup_start(l);
    int64_t skip = begins_with_special(l, tokens, count) ? start : 0;
    kl_string_table table = {0};
    status = fill(l, &table, tokens + skip, count - skip);
    if (!status && !table.count)
        status = kl_error(KL_ERROR_INVALID, "a vocabulary must have more than special tokens");
    float *weights = NULL;
    int64_t total = 0;
    if (!status && idf.at) {
        weights = kl_lookup_pad_idf(l, idf.at, count, skip ? 0 : start, &total);
        if (!weights)
            status = KL_ERROR_MEMORY;
    }
    if (status) {
        kl_string_table_clear(&table);
        return status;
    }
    kl_string_table_clear(&l->tokens);
    kl_free(l->idf);
    l->tokens = table;
    l->idf = weights;
    l->idf_count = total;
    return KL_OK;
}

void kl_lookup_free(kl_lookup *l)
{
    kl_lookup_forget(l);
    kl_string_table_clear(&l->tokens);
    kl_free(l->idf);
    l->idf = NULL;
}
