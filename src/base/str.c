#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"

/* Room for `more` bytes and the closing NUL. */
static bool reserve(kl_str *s, size_t more)
{
    if (s->failed)
        return false;
    size_t needed;
    if (!kl_size_add(s->length, more, &needed) || !kl_size_add(needed, 1, &needed)) {
        s->failed = true;
        kl_error_memory();
        return false;
    }
    if (needed <= s->capacity)
        return true;
    size_t capacity = s->capacity < 64 ? 64 : s->capacity;
    while (capacity < needed)
        if (!kl_size_mul(capacity, 2, &capacity))
            capacity = needed;
    char *at = kl_realloc(s->at, capacity);
    if (!at) {
        s->failed = true;
        return false;
    }
    s->at = at;
    s->capacity = capacity;
    return true;
}

void kl_str_append_n(kl_str *s, const char *text, size_t length)
{
    if (!reserve(s, length))
        return;
    if (length)
        memcpy(s->at + s->length, text, length);
    s->length += length;
    s->at[s->length] = '\0';
}

void kl_str_append(kl_str *s, const char *text)
{
    kl_str_append_n(s, text, strlen(text));
}

void kl_str_vprintf(kl_str *s, const char *format, va_list args)
{
    if (!reserve(s, 0))
        return;
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(s->at + s->length, s->capacity - s->length, format, args);
    if (length < 0) {
        s->at[s->length] = '\0';
        s->failed = true;
        kl_error(KL_ERROR_FORMAT, "a text can't be formatted with \"%s\"", format);
    } else if ((size_t)length < s->capacity - s->length) {
        s->length += (size_t)length;
    } else if (reserve(s, (size_t)length)) {
        vsnprintf(s->at + s->length, s->capacity - s->length, format, again);
        s->length += (size_t)length;
    } else {
        s->at[s->length] = '\0';
    }
    va_end(again);
}

void kl_str_printf(kl_str *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kl_str_vprintf(s, format, args);
    va_end(args);
}

char *kl_str_take(kl_str *s)
{
    char *text = NULL;
    if (reserve(s, 0)) {
        text = s->at;
        text[s->length] = '\0';
        s->at = NULL;
    }
    kl_str_free(s);
    return text;
}

void kl_str_free(kl_str *s)
{
    kl_free(s->at);
    *s = (kl_str){0};
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

/* A regular expression's \w; bytes of other scripts' letters count as such. */
static bool is_word(char c)
{
    return is_upper(c) || is_lower(c) || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/*
 * Keras applies three substitutions: \W+ to "", (.)([A-Z][a-z]+) to \1_\2, ([a-z])([A-Z]) to
 * \1_\2, and then lowers the case.
 */
bool kl_to_snake_case(const char *name, char *out, size_t size)
{
    size_t length = 0;
    char before = 0; /* the last character taken */
    for (const char *p = name; *p; p++) {
        if (!is_word(*p))
            continue;
        const char *next = p + 1;
        while (*next && !is_word(*next))
            next++;
        bool split = before && is_upper(*p) && (is_lower(*next) || is_lower(before));
        if (split) {
            if (length + 1 >= size)
                return false;
            out[length++] = '_';
        }
        if (length + 1 >= size)
            return false;
        out[length++] = is_upper(*p) ? (char)(*p - 'A' + 'a') : *p;
        before = *p;
    }
    if (size == 0)
        return false;
    out[length] = '\0';
    return true;
}
