#include "layers/preprocessing/text.h"

#include <string.h>
#include "base/alloc.h"
#include "base/pool.h"

void kl_text_set_map(kl_text_options *options, bool lower, bool strip_punctuation)
{
    for (int c = 0; c < 256; c++) {
        /* ASCII alone, as tf.strings.lower does. */
        unsigned entry = (unsigned)(lower && c >= 'A' && c <= 'Z' ? c + 32 : c);
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            entry |= KL_TEXT_SPACE;
        else if (strip_punctuation && c > ' ' && c < 127 &&
                 strchr("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'", c))
            entry |= KL_TEXT_DROPS;
        options->map[c] = (uint16_t)entry;
    }
}

void kl_token_row_free(kl_token_row *row)
{
    kl_block_free(row->bytes);
    kl_block_free(row->spans);
    *row = (kl_token_row){0};
}

/* A larger block with the first `used` bytes of the one before, which is freed; NULL without
   memory. */
static void *grow_block(void *block, size_t used, size_t size)
{
    void *grown = kl_block_alloc(size);
    if (!grown)
        return NULL;
    if (used)
        memcpy(grown, block, used);
    kl_block_free(block);
    return grown;
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
        size_t capacity = row->capacity ? row->capacity : 4096;
        while (capacity < needed)
            capacity = capacity > SIZE_MAX / 2 ? needed : 2 * capacity;
        char *grown = grow_block(row->bytes, row->used, capacity);
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
        size_t capacity = row->span_capacity ? 2 * row->span_capacity : 256;
        struct kl_span *grown =
            grow_block(row->spans, row->count * sizeof *grown, capacity * sizeof *grown);
        if (!grown) {
            row->failed = true;
            return;
        }
        row->spans = grown;
        row->span_capacity = capacity;
    }
    row->spans[row->count++] = (struct kl_span){at, length};
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

static void split_by_space(kl_token_row *row, const kl_text_options *options, kl_string text)
{
    char *to = text.length ? reserve(row, text.length) : NULL;
    kl_text_cursor cursor = {text.at, text.at + text.length, to, to};
    kl_string tokens[KL_TOKENS_AT_ONCE];
    size_t count;
    while (to && (count = kl_text_cut(options->map, &cursor, tokens, KL_TOKENS_AT_ONCE))) {
        for (size_t i = 0; i < count; i++)
            add_span(row, (size_t)(tokens[i].at - row->bytes), tokens[i].length);
    }
    if (to)
        row->used = (size_t)(cursor.to - row->bytes);
}

static void add_text(kl_token_row *row, const kl_text_options *options, kl_string text)
{
    if (options->split == KL_SPLIT_WHITESPACE && !options->split_function) {
        split_by_space(row, options, text);
        return;
    }
    size_t start = row->used;
    char *to = reserve(row, text.length);
    if (!to)
        return;
    size_t end = (size_t)(kl_text_translate(options->map, text.at, text.length, to) - row->bytes);
    row->used = end;
    if (options->split_function) {
        /* The row's memory moves while tokens are added. */
        char *copy = kl_strndup(row->bytes ? row->bytes + start : "", end - start);
        if (!copy) {
            row->failed = true;
            return;
        }
        options->split_function((kl_string){copy, end - start}, take_token, row, options->user);
        kl_free(copy);
    } else if (options->split == KL_SPLIT_CHARACTER) {
        split_by_character(row, start, end);
    } else {
        add_span(row, start, end - start);
    }
}

/* Replaces the tokens by their n-grams, if there are any to make: pieces of all tokens joined by
   spaces. */
static void make_ngrams(kl_token_row *row, const kl_text_options *options)
{
    size_t tokens = row->count;
    if (!tokens)
        return;
    for (size_t i = 0; i < tokens && !row->failed; i++) {
        struct kl_span *span = &row->spans[i];
        if (!reserve(row, span->length + 1))
            return;
        span->at = append(row, row->bytes + span->at, span->length);
        append(row, " ", 1);
    }
    for (size_t i = 0; i < options->ngram_count; i++) {
        size_t width = (size_t)options->ngrams[i];
        for (size_t first = 0; width <= tokens && first <= tokens - width; first++) {
            struct kl_span last = row->spans[first + width - 1];
            size_t at = row->spans[first].at;
            add_span(row, at, last.at + last.length - at);
            if (row->failed)
                return;
        }
    }
    row->count -= tokens;
    memmove(row->spans, row->spans + tokens, row->count * sizeof *row->spans);
}

/* Tokens that are neither kept nor joined go straight from the text. */
static bool read_directly(kl_token_row *row, const kl_text_options *options, kl_string text,
                          kl_tokens_fn *take, void *user)
{
    char *to = text.length ? reserve(row, text.length) : NULL;
    kl_text_cursor cursor = {text.at, text.at + text.length, to, to};
    kl_string tokens[KL_TOKENS_AT_ONCE];
    size_t count;
    while (to && (count = kl_text_cut(options->map, &cursor, tokens, KL_TOKENS_AT_ONCE))) {
        if (!take(user, tokens, count))
            return false;
    }
    return !row->failed;
}

static void hand_on(const kl_token_row *row, kl_tokens_fn *take, void *user)
{
    kl_string tokens[KL_TOKENS_AT_ONCE];
    for (size_t done = 0, some; done < row->count; done += some) {
        some = row->count - done < KL_TOKENS_AT_ONCE ? row->count - done : KL_TOKENS_AT_ONCE;
        for (size_t i = 0; i < some; i++) {
            struct kl_span span = row->spans[done + i];
            tokens[i] = (kl_string){row->bytes ? row->bytes + span.at : "", span.length};
        }
        if (!take(user, tokens, some))
            return;
    }
}

bool kl_text_read(kl_token_row *row, const kl_text_options *options, const kl_string *texts,
                  size_t count, kl_tokens_fn *take, void *user)
{
    row->used = row->count = 0;
    row->failed = false;
    if (options->split == KL_SPLIT_WHITESPACE && !options->split_function && !options->ngrams) {
        for (size_t i = 0; i < count && read_directly(row, options, texts[i], take, user); i++)
            ;
        return !row->failed;
    }
    for (size_t i = 0; i < count && !row->failed; i++)
        add_text(row, options, texts[i]);
    if (options->ngrams && !row->failed)
        make_ngrams(row, options);
    if (!row->failed)
        hand_on(row, take, user);
    return !row->failed;
}
