/* Values as text, in the manner of numpy's repr. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "tensor/tensor.h"

void kl_free_text(char *text)
{
    kl_free(text);
}

/* Axes longer than this are shortened to their ends, in tensors of more than 1000 elements. */
#define EDGE 3

typedef struct printer {
    kl_str text;
    const kl_tensor *tensor;
    bool shorten;
    int width; /* of a number */
} printer;

static void format_number(const kl_tensor *t, int64_t index, char *out, size_t size)
{
    double v = kl_tensor_at(t, index);
    if (t->dtype == KL_BOOL)
        snprintf(out, size, "%s", v != 0 ? "True" : "False");
    else if (!kl_dtype_is_float((kl_dtype)t->dtype))
        snprintf(out, size, "%lld", (long long)v);
    else if (isnan(v))
        snprintf(out, size, "nan");
    else if (isinf(v))
        snprintf(out, size, v < 0 ? "-inf" : "inf");
    else if (v == floor(v) && fabs(v) < 1e8)
        snprintf(out, size, "%.0f.", v);
    else
        snprintf(out, size, "%.8g", v);
}

static void put_element(printer *p, int64_t index)
{
    if (p->tensor->dtype == KL_STRING) {
        kl_string s = kl_tensor_string_at(p->tensor, index);
        kl_str_append(&p->text, "'");
        kl_str_append_n(&p->text, s.at, s.length);
        kl_str_append(&p->text, "'");
        return;
    }
    char number[64];
    format_number(p->tensor, index, number, sizeof number);
    kl_str_printf(&p->text, "%*s", p->width, number);
}

static void put_axis(printer *p, int axis, int64_t index)
{
    const kl_tensor *t = p->tensor;
    if (axis == t->rank) {
        put_element(p, index);
        return;
    }
    int64_t n = t->shape[axis];
    kl_str_append(&p->text, "[");
    for (int64_t i = 0; i < n; i++) {
        if (i) {
            if (axis == t->rank - 1) {
                kl_str_append(&p->text, ", ");
            } else {
                kl_str_append(&p->text, ",");
                for (int k = axis; k < t->rank - 1; k++)
                    kl_str_append(&p->text, "\n");
                kl_str_printf(&p->text, "%*s", axis + 1, "");
            }
        }
        if (p->shorten && n > 2 * EDGE && i == EDGE) {
            kl_str_append(&p->text, "...");
            i = n - EDGE - 1;
            continue;
        }
        put_axis(p, axis + 1, index * n + i);
    }
    kl_str_append(&p->text, "]");
}

static void measure(printer *p, int axis, int64_t index)
{
    const kl_tensor *t = p->tensor;
    if (axis == t->rank) {
        char number[64];
        format_number(t, index, number, sizeof number);
        int width = (int)strlen(number);
        p->width = width > p->width ? width : p->width;
        return;
    }
    int64_t n = t->shape[axis];
    for (int64_t i = 0; i < n; i++) {
        if (p->shorten && n > 2 * EDGE && i == EDGE)
            i = n - EDGE;
        measure(p, axis + 1, index * n + i);
    }
}

char *kl_tensor_to_text(const kl_tensor *tensor)
{
    if (!tensor) {
        kl_error_null("kl_tensor_to_text", "tensor");
        return NULL;
    }
    printer p = {.tensor = tensor, .shorten = tensor->size > 1000};
    if (!tensor->buffer) {
        char shape[200];
        kl_str_printf(&p.text, "<symbolic tensor, shape=%s, dtype=%s>",
                      kl_shape_text(tensor->rank, tensor->shape, shape, sizeof shape),
                      kl_dtype_name((kl_dtype)tensor->dtype));
    } else if (!tensor->size && tensor->rank) {
        /* As NumPy; a long axis before the one of size 0 would print without end. */
        kl_str_append(&p.text, "[]");
    } else {
        if (tensor->dtype != KL_STRING)
            measure(&p, 0, 0);
        put_axis(&p, 0, 0);
    }
    return kl_str_take(&p.text);
}

kl_status kl_tensor_print(const kl_tensor *tensor, FILE *file)
{
    if (!file)
        return kl_error_null("kl_tensor_print", "file");
    char *text = kl_tensor_to_text(tensor);
    if (!text)
        return kl_last_status();
    bool good = fputs(text, file) >= 0 && fputc('\n', file) >= 0;
    kl_free(text);
    return good ? KL_OK : kl_error(KL_ERROR_IO, "kl_tensor_print: the file can't be written");
}
