#include "layers/preprocessing/text.h"

#include <string.h>
#include "base/alloc.h"

void kl_token_row_clear(kl_token_row *row)
{
    row->used = row->count = 0;
    row->failed = false;
}

void kl_token_row_free(kl_token_row *row)
{
    kl_free(row->bytes);
    kl_free(row->spans);
    *row = (kl_token_row){0};
}

kl_string kl_token_row_at(const kl_token_row *row, size_t i)
{
    return (kl_string){row->bytes ? row->bytes + row->spans[i].at : "", row->spans[i].length};
}

/* Room for `length` more bytes; the row is marked as failed without memory. */
static char *reserve(kl_token_row *row, size_t length)
{
    size_t needed;
    if (row->failed)
        return NULL;
    if (!kl_size_add(row->used, length, &needed)) {
        row->failed = true;
        return NULL;
    }
    if (needed > row->capacity || !row->bytes) {
        size_t capacity = row->capacity ? row->capacity : 256;
        while (capacity < needed)
            capacity = capacity > SIZE_MAX / 2 ? needed : 2 * capacity;
        char *grown = kl_realloc(row->bytes, capacity);
        if (!grown) {
            row->failed = true;
            return NULL;
        }
        row->bytes = grown;
        row->capacity = capacity;
    }
    return row->bytes + row->used;
}

static size_t append(kl_token_row *row, const char *text, size_t length)
{
    size_t at = row->used;
    char *to = reserve(row, length);
    if (to && length)
        memcpy(to, text, length);
    if (to)
        row->used += length;
    return at;
}

static void add_span(kl_token_row *row, size_t at, size_t length)
{
    if (row->failed)
        return;
    if (row->count == row->span_capacity) {
        size_t capacity = row->span_capacity ? 2 * row->span_capacity : 64;
        struct kl_span *grown = kl_realloc_array(row->spans, capacity, sizeof *grown);
        if (!grown) {
            row->failed = true;
            return;
        }
        row->spans = grown;
        row->span_capacity = capacity;
    }
    row->spans[row->count++] = (struct kl_span){at, length};
}

static bool is_punctuation(char c)
{
    return c > ' ' && c < 127 && strchr("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'", c);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* ASCII alone, as tf.strings.lower does. Returns where the text begins. */
static size_t standardize(kl_token_row *row, const kl_text_options *options, kl_string text)
{
    size_t start = row->used;
    char *to = reserve(row, text.length);
    if (!to)
        return start;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.at[i];
        if (options->strip_punctuation && is_punctuation(c))
            continue;
        *to++ = options->lower && c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    row->used = (size_t)(to - row->bytes);
    return start;
}

static void split_by_space(kl_token_row *row, size_t start, size_t end)
{
    for (size_t at = start; at < end && !row->failed;) {
        while (at < end && is_space(row->bytes[at]))
            at++;
        size_t first = at;
        while (at < end && !is_space(row->bytes[at]))
            at++;
        if (at > first)
            add_span(row, first, at - first);
    }
}

/* Bytes of the character at `s`; *good is false if they are a broken piece of one. */
static size_t character_length(const unsigned char *s, size_t size, bool *good)
{
    unsigned lead = s[0], low = 0x80, high = 0xBF;
    size_t length = lead < 0x80                    ? 1
                    : lead >= 0xC2 && lead <= 0xDF ? 2
                    : lead >= 0xE0 && lead <= 0xEF ? 3
                    : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                   : 0;
    if (lead == 0xE0)
        low = 0xA0;
    if (lead == 0xED)
        high = 0x9F;
    if (lead == 0xF0)
        low = 0x90;
    if (lead == 0xF4)
        high = 0x8F;
    size_t have = 1;
    while (have < length && have < size && s[have] >= low && s[have] <= high) {
        have++;
        low = 0x80;
        high = 0xBF;
    }
    *good = length && have == length;
    return have;
}

/* Broken UTF-8 gives the replacement character, as tf.strings.unicode_split does. */
static void split_by_character(kl_token_row *row, size_t start, size_t end)
{
    size_t broken = SIZE_MAX;
    for (size_t at = start; at < end && !row->failed;) {
        bool good;
        size_t length = character_length((const unsigned char *)row->bytes + at, end - at, &good);
        if (!good && broken == SIZE_MAX)
            broken = append(row, "\xEF\xBF\xBD", 3);
        add_span(row, good ? at : broken, good ? length : 3);
        at += length;
    }
}

static void take_token(void *sink, kl_string token)
{
    kl_token_row *row = sink;
    size_t at = append(row, token.at, token.length);
    add_span(row, at, token.length);
}

void kl_token_row_add_text(kl_token_row *row, const kl_text_options *options, kl_string text)
{
    size_t start = standardize(row, options, text), end = row->used;
    if (row->failed)
        return;
    if (options->split_function) {
        /* The row's memory moves while tokens are added. */
        char *copy = kl_strndup(row->bytes ? row->bytes + start : "", end - start);
        if (!copy) {
            row->failed = true;
            return;
        }
        options->split_function((kl_string){copy, end - start}, take_token, row, options->user);
        kl_free(copy);
    } else if (options->split == KL_SPLIT_WHITESPACE) {
        split_by_space(row, start, end);
    } else if (options->split == KL_SPLIT_CHARACTER) {
        split_by_character(row, start, end);
    } else {
        add_span(row, start, end - start);
    }
}

void kl_token_row_make_ngrams(kl_token_row *row, const kl_text_options *options)
{
    if (!options->ngrams || row->failed)
        return;
    size_t tokens = row->count;
    for (size_t i = 0; i < options->ngram_count; i++) {
        size_t width = (size_t)options->ngrams[i];
        for (size_t first = 0; width <= tokens && first <= tokens - width; first++) {
            size_t start = row->used;
            for (size_t k = first; k < first + width; k++) {
                struct kl_span span = row->spans[k];
                if (!reserve(row, span.length + 1))
                    return;
                if (k > first)
                    append(row, " ", 1);
                append(row, row->bytes + span.at, span.length);
            }
            add_span(row, start, row->used - start);
            if (row->failed)
                return;
        }
    }
    row->count -= tokens;
    memmove(row->spans, row->spans + tokens, row->count * sizeof *row->spans);
}
