/* A growing string. The first failure sticks: later appends do nothing, kl_str_take gives NULL. */
#ifndef KL_BASE_STR_H
#define KL_BASE_STR_H

#include <stdarg.h>
#include "klayers/base.h"

typedef struct kl_str {
    char *at; /* NUL-terminated once anything was appended */
    size_t length, capacity;
    bool failed;
} kl_str;

void kl_str_append(kl_str *s, const char *text);
void kl_str_append_n(kl_str *s, const char *text, size_t length);
void kl_str_printf(kl_str *s, const char *format, ...) KL_PRINTF_LIKE(2, 3);
void kl_str_vprintf(kl_str *s, const char *format, va_list args);
/* Hands out the text (to be freed with kl_free; "" if empty), or NULL if an append failed. */
char *kl_str_take(kl_str *s);
void kl_str_free(kl_str *s);

/* "MaxPooling2D" -> "max_pooling2d", as Keras derives layer names; out is NUL-terminated. */
bool kl_to_snake_case(const char *name, char *out, size_t size);

#endif
