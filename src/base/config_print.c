#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/config.h"
#include "base/error.h"
#include "base/str.h"

static void print_text(kl_str *s, const char *text)
{
    kl_str_append_n(s, "\"", 1);
    const char *from = text;
    for (const char *p = text;; p++) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        kl_str_append_n(s, from, (size_t)(p - from));
        from = p + 1;
        if (c == '\0')
            break;
        if (c == '"' || c == '\\')
            kl_str_printf(s, "\\%c", c);
        else if (c == '\n')
            kl_str_append(s, "\\n");
        else if (c == '\t')
            kl_str_append(s, "\\t");
        else if (c == '\r')
            kl_str_append(s, "\\r");
        else
            kl_str_printf(s, "\\u%04x", c);
    }
    kl_str_append_n(s, "\"", 1);
}

/* The fewest digits that read back as the same number, with a point or exponent. */
static void print_float(kl_str *s, double value)
{
    if (isnan(value)) {
        kl_str_append(s, "NaN");
        return;
    }
    if (isinf(value)) {
        kl_str_append(s, value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    char text[40];
    /* Any number of 15 digits is some double of its own, but for the subnormal ones. */
    for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    kl_str_append(s, text);
    if (!strpbrk(text, ".e"))
        kl_str_append(s, ".0");
}

static void print_value(kl_str *s, const kl_config *config, bool indented, int depth);

static void new_line(kl_str *s, int depth)
{
    kl_str_append_n(s, "\n", 1);
    for (int i = 0; i < depth; i++)
        kl_str_append_n(s, "    ", 4);
}

static void print_entries(kl_str *s, const kl_config *config, bool indented, int depth)
{
    size_t count = config->as.entries.count;
    kl_str_append_n(s, config->type == KL_CONFIG_LIST ? "[" : "{", 1);
    for (size_t i = 0; i < count && !s->failed; i++) {
        const kl_config_entry *entry = &config->as.entries.at[i];
        if (indented)
            new_line(s, depth + 1);
        if (entry->key) {
            print_text(s, entry->key);
            kl_str_append_n(s, ": ", 2);
        }
        print_value(s, entry->value, indented, depth + 1);
        if (i + 1 < count)
            kl_str_append_n(s, ", ", indented ? 1 : 2);
    }
    if (indented && count > 0)
        new_line(s, depth);
    kl_str_append_n(s, config->type == KL_CONFIG_LIST ? "]" : "}", 1);
}

static void print_value(kl_str *s, const kl_config *config, bool indented, int depth)
{
    switch (config->type) {
    case KL_CONFIG_NULL:
        kl_str_append(s, "null");
        break;
    case KL_CONFIG_BOOL:
        kl_str_append(s, config->as.boolean ? "true" : "false");
        break;
    case KL_CONFIG_NUMBER:
        if (config->is_int)
            kl_str_printf(s, "%lld", (long long)config->as.integer);
        else
            print_float(s, config->as.number);
        break;
    case KL_CONFIG_STRING:
        print_text(s, config->as.string);
        break;
    case KL_CONFIG_LIST:
    case KL_CONFIG_MAP:
        print_entries(s, config, indented, depth);
        break;
    }
}

char *kl_config_print(const kl_config *config, bool indented)
{
    if (!config) {
        kl_error_null("kl_config_print", "config");
        return NULL;
    }
    kl_str s = {0};
    void *locale = kl_locale_enter();
    print_value(&s, config, indented, 0);
    kl_locale_leave(locale);
    return kl_str_take(&s);
}

void kl_config_free_text(char *text)
{
    kl_free(text);
}
