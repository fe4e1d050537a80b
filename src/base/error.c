#define KL_DEFINES_ERRORS
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local unsigned error_count;
static _Thread_local kl_status last_status;
static _Thread_local char last_message[sizeof((kl_saved_error *)0)->message];

const char *kl_status_name(kl_status status)
{
    static const char *const texts[] = {
#define STATUS_TEXT(id, text) [id] = text,
        KL_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    };
    size_t index = (size_t)status;
    return index < sizeof texts / sizeof *texts ? texts[index] : "unknown status";
}

const char *kl_last_error(void)
{
    return last_message;
}

kl_status kl_last_status(void)
{
    return last_status;
}

unsigned kl_error_count(void)
{
    return error_count;
}

void kl_clear_error(void)
{
    last_status = KL_OK;
    last_message[0] = '\0';
}

/* A text cut in the middle of a UTF-8 character loses the broken character. */
static void trim_broken_utf8(char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0 || (unsigned char)text[start - 1] < 0xC0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t needed = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (length - (start - 1) < needed)
        text[start - 1] = '\0';
}

static void set_message(const char *text, size_t length)
{
    if (length >= sizeof last_message)
        length = sizeof last_message - 1;
    memcpy(last_message, text, length);
    last_message[length] = '\0';
    trim_broken_utf8(last_message, length);
}

kl_status kl_error(kl_status status, const char *format, ...)
{
    if (status == KL_OK)
        return KL_OK;
    /* The arguments may point into the message that is about to be replaced. */
    char text[sizeof last_message];
    va_list args;
    va_start(args, format);
    int length = format ? vsnprintf(text, sizeof text, format, args) : -1;
    va_end(args);
    error_count++;
    last_status = status;
    if (length < 0)
        set_message(kl_status_name(status), strlen(kl_status_name(status)));
    else
        set_message(text, strlen(text));
    return status;
}

kl_status kl_error_null(const char *function, const char *argument)
{
    if (last_message[0] != '\0') {
        error_count++;
        return KL_ERROR_INVALID;
    }
    return kl_error(KL_ERROR_INVALID, "%s: `%s` must not be NULL", function, argument);
}

kl_status kl_error_memory(void)
{
    static const char text[] = "out of memory";
    error_count++;
    last_status = KL_ERROR_MEMORY;
    memcpy(last_message, text, sizeof text);
    return KL_ERROR_MEMORY;
}

void kl_error_prefix(const char *context)
{
    size_t length = strlen(context);
    if (last_message[0] == '\0' || length == 0)
        return;
    if (strncmp(last_message, context, length) == 0 && last_message[length] == ':')
        return;
    char text[2 * sizeof last_message + 2];
    snprintf(text, sizeof text, "%.*s: %s", (int)sizeof last_message - 1, context, last_message);
    set_message(text, strlen(text));
}

bool kl_args_usable(const char *function, const void *args, size_t size, size_t known,
                    unsigned mark)
{
    if (!args) {
        kl_error_null(function, "args");
        return false;
    }
    if (size == 0) {
        kl_error(KL_ERROR_INVALID,
                 "%s: the argument struct has size 0; make it by the macro or by its _defaults() "
                 "function, which set the default of every argument",
                 function);
        return false;
    }
    if (size > known) {
        kl_error(KL_ERROR_INVALID,
                 "%s: the argument struct has %zu bytes, expected at most %zu; the program was "
                 "compiled for a newer klayers (this is %s)",
                 function, size, known, kl_version());
        return false;
    }
    if (mark != error_count) {
        if (last_message[0] == '\0')
            kl_error(KL_ERROR_INVALID, "%s: an argument could not be made", function);
        return false;
    }
    return true;
}

void kl_error_save(kl_saved_error *saved)
{
    saved->status = last_status;
    memcpy(saved->message, last_message, sizeof saved->message);
}

void kl_error_restore(const kl_saved_error *saved)
{
    last_status = saved->status;
    memcpy(last_message, saved->message, sizeof last_message);
}
