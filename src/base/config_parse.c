#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include "base/alloc.h"
#include "base/config.h"
#include "base/error.h"
#include "base/str.h"

typedef struct reader {
    const char *start, *at, *end;
    int depth;
} reader;

void *kl_locale_enter(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return c ? (void *)uselocale(c) : NULL;
}

void kl_locale_leave(void *before)
{
    if (!before)
        return;
    locale_t c = uselocale((locale_t)before);
    freelocale(c);
}

static void *fail(const reader *r, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *p = r->start; p < r->at; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    kl_error(KL_ERROR_FORMAT, "malformed JSON: %s at line %zu column %zu (byte %zu)", what, line,
             column, (size_t)(r->at - r->start));
    return NULL;
}

static void skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

/* Takes one character if it is next. */
static bool take(reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_word(reader *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0)
        return false;
    r->at += length;
    return true;
}

/* ---- Strings -------------------------------------------------------------------------------- */

size_t kl_utf8_length(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    if (length == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t bytes = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || length < bytes)
        return 0;
    /* The second byte's range keeps out overlong forms, surrogates and what lies beyond 10FFFF. */
    unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return bytes;
}

static void append_utf8(kl_str *s, uint32_t code)
{
    char bytes[4];
    size_t count;
    if (code < 0x80) {
        bytes[0] = (char)code;
        count = 1;
    } else if (code < 0x800) {
        bytes[0] = (char)(0xC0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3F));
        count = 2;
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xE0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (code & 0x3F));
        count = 3;
    } else {
        bytes[0] = (char)(0xF0 | code >> 18);
        bytes[1] = (char)(0x80 | (code >> 12 & 0x3F));
        bytes[2] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[3] = (char)(0x80 | (code & 0x3F));
        count = 4;
    }
    kl_str_append_n(s, bytes, count);
}

static bool take_hex(reader *r, uint32_t *out)
{
    if (r->end - r->at < 4)
        return false;
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = r->at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        value = value * 16 + digit;
    }
    r->at += 4;
    *out = value;
    return true;
}

/* What follows \u, both halves of a pair. */
static const char *take_unicode(reader *r, kl_str *s)
{
    uint32_t code, low;
    if (!take_hex(r, &code))
        return "expected four hexadecimal digits";
    if (code == 0)
        return "a string may not hold the character \\u0000";
    if (code >= 0xDC00 && code <= 0xDFFF)
        return "half of a surrogate pair";
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (!take_word(r, "\\u") || !take_hex(r, &low) || low < 0xDC00 || low > 0xDFFF)
            return "half of a surrogate pair";
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(s, code);
    return NULL;
}

/* One escape, after its backslash; NULL or what is wrong with it. */
static const char *take_escape(reader *r, kl_str *s)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (take(r, 'u'))
        return take_unicode(r, s);
    const char *found = r->at < r->end && *r->at ? strchr(names, *r->at) : NULL;
    if (!found)
        return "unknown escape";
    r->at++;
    kl_str_append_n(s, &values[found - names], 1);
    return NULL;
}

/* The text after an opening quote, up to and with the closing one. */
static char *parse_text(reader *r)
{
    kl_str s = {0};
    const char *wrong = NULL;
    while (!wrong && !s.failed) {
        const char *from = r->at;
        while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20) {
            size_t bytes = kl_utf8_length(r->at, (size_t)(r->end - r->at));
            if (bytes == 0)
                break;
            r->at += bytes;
        }
        kl_str_append_n(&s, from, (size_t)(r->at - from));
        if (take(r, '"'))
            return kl_str_take(&s);
        if (take(r, '\\'))
            wrong = take_escape(r, &s);
        else if (r->at == r->end)
            wrong = "unterminated string";
        else if ((unsigned char)*r->at < 0x20)
            wrong = "control character in a string";
        else
            wrong = "text that is not UTF-8";
    }
    kl_str_free(&s);
    return wrong ? fail(r, wrong) : NULL;
}

/* ---- Numbers -------------------------------------------------------------------------------- */

static bool take_digits(reader *r)
{
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > from;
}

/* Moves over a number of JSON's form. */
static bool take_number(reader *r, bool *whole)
{
    *whole = true;
    take(r, '-');
    if (!take(r, '0') && !take_digits(r))
        return false;
    if (take(r, '.')) {
        *whole = false;
        if (!take_digits(r))
            return false;
    }
    if (take(r, 'e') || take(r, 'E')) {
        *whole = false;
        if (!take(r, '+'))
            take(r, '-');
        if (!take_digits(r))
            return false;
    }
    return true;
}

static kl_config *number_from(const char *text, bool whole)
{
    if (whole) {
        errno = 0;
        long long value = strtoll(text, NULL, 10);
        if (errno == 0)
            return kl_config_new_int(value);
    }
    return kl_config_new_float(strtod(text, NULL));
}

static kl_config *parse_number(reader *r)
{
    const char *from = r->at;
    bool whole;
    if (!take_number(r, &whole))
        return fail(r, "expected a digit");
    char few[64];
    size_t length = (size_t)(r->at - from);
    char *text = length < sizeof few ? few : kl_malloc_array(length + 1, 1);
    if (!text)
        return NULL;
    memcpy(text, from, length);
    text[length] = '\0';
    kl_config *number = number_from(text, whole);
    if (text != few)
        kl_free(text);
    return number;
}

/* ---- Values --------------------------------------------------------------------------------- */

static kl_config *parse_value(reader *r);

static bool parse_item(reader *r, kl_config *list)
{
    kl_config *value = parse_value(r);
    return value && kl_config_append(list, value) == KL_OK;
}

static bool parse_pair(reader *r, kl_config *map)
{
    skip_space(r);
    if (!take(r, '"')) {
        fail(r, "expected a key in double quotes");
        return false;
    }
    char *key = parse_text(r);
    if (!key)
        return false;
    skip_space(r);
    if (!take(r, ':')) {
        kl_free(key);
        fail(r, "expected ':'");
        return false;
    }
    kl_config *value = parse_value(r);
    if (!value) {
        kl_free(key);
        return false;
    }
    return kl_config_set_taking(map, key, value) == KL_OK;
}

/* A list or map, after its opening bracket. */
static kl_config *parse_entries(reader *r, kl_config *container, char close,
                                bool (*parse_entry)(reader *, kl_config *))
{
    if (!container)
        return NULL;
    skip_space(r);
    if (take(r, close))
        return container;
    while (parse_entry(r, container)) {
        skip_space(r);
        if (take(r, close))
            return container;
        if (!take(r, ',')) {
            fail(r, close == ']' ? "expected ',' or ']'" : "expected ',' or '}'");
            break;
        }
    }
    kl_config_free(container);
    return NULL;
}

static kl_config *parse_container(reader *r)
{
    if (++r->depth > KL_CONFIG_MAX_DEPTH)
        return fail(r, "more than 1000 levels of lists and maps");
    kl_config *value = *r->at++ == '[' ? parse_entries(r, kl_config_new_list(), ']', parse_item)
                                       : parse_entries(r, kl_config_new_map(), '}', parse_pair);
    r->depth--;
    return value;
}

static kl_config *parse_value(reader *r)
{
    skip_space(r);
    if (r->at == r->end)
        return fail(r, "expected a value");
    switch (*r->at) {
    case '[':
    case '{':
        return parse_container(r);
    case '"':
        r->at++;
        return kl_config_take_string(parse_text(r));
    case 'n':
        return take_word(r, "null") ? kl_config_new_null() : fail(r, "expected a value");
    case 't':
        return take_word(r, "true") ? kl_config_new_bool(true) : fail(r, "expected a value");
    case 'f':
        return take_word(r, "false") ? kl_config_new_bool(false) : fail(r, "expected a value");
    case 'N':
        return take_word(r, "NaN") ? kl_config_new_float((double)__builtin_nanf(""))
                                   : fail(r, "expected a value");
    case 'I':
        return take_word(r, "Infinity") ? kl_config_new_float(__builtin_inf())
                                        : fail(r, "expected a value");
    default:
        if (take_word(r, "-Infinity"))
            return kl_config_new_float(-__builtin_inf());
        if (*r->at != '-' && (*r->at < '0' || *r->at > '9'))
            return fail(r, "expected a value");
        return parse_number(r);
    }
}

kl_config *kl_config_parse(const char *json, size_t length)
{
    if (!json) {
        kl_error_null("kl_config_parse", "json");
        return NULL;
    }
    reader r = {json, json, json + length, 0};
    void *locale = kl_locale_enter();
    kl_config *value = parse_value(&r);
    kl_locale_leave(locale);
    if (!value)
        return NULL;
    skip_space(&r);
    if (r.at == r.end)
        return value;
    kl_config_free(value);
    return fail(&r, "more text after the value");
}
