/* NumPy's .npy files: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

/* Longer headers are no header: a shape of 8 axes takes less than 300 bytes. */
#define MOST_HEADER 65536

typedef struct npy_header {
    char kind;     /* f i u b S U */
    int64_t width; /* bytes an element; characters of U */
    bool swapped, fortran;
    int rank;
    int64_t shape[KL_MAX_RANK], size;
} npy_header;

static kl_status malformed(const char *path, const char *what)
{
    return kl_error(KL_ERROR_FORMAT, "%s: no well-formed .npy file: %s", path, what);
}

/* The text after "'key':" in the header's dictionary, or NULL. */
static const char *find_key(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *at = strstr(header, quoted);
    if (!at)
        return NULL;
    at += strlen(quoted);
    at += strspn(at, " ");
    return *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
}

static kl_status parse_shape(const char *path, const char *at, npy_header *h)
{
    if (!at || *at != '(')
        return malformed(path, "its header has no shape");
    for (at++; *at && *at != ')';) {
        char *end;
        errno = 0;
        long long dim = strtoll(at, &end, 10);
        if (end == at || errno || dim < 0)
            return malformed(path, "a dimension is no size");
        if (h->rank == KL_MAX_RANK)
            return kl_error(KL_ERROR_UNSUPPORTED, "%s: more than %d dimensions", path, KL_MAX_RANK);
        h->shape[h->rank++] = dim;
        at = end + strspn(end, "L ,");
    }
    if (*at != ')')
        return malformed(path, "its shape has no end");
    return kl_shape_size(h->rank, h->shape, &h->size) ? KL_OK : kl_last_status();
}

static kl_status parse_header(const char *path, const char *text, npy_header *h)
{
    const uint16_t one = 1;
    bool little = *(const uint8_t *)&one == 1;
    const char *descr = find_key(text, "descr"), *order = find_key(text, "fortran_order");
    *h = (npy_header){0};
    if (!descr || *descr != '\'' || !order)
        return malformed(path, "its header has no descr or fortran_order");
    char byte_order = descr[1];
    const char *type = strchr("<>|=", byte_order) && byte_order ? descr + 2 : descr + 1;
    h->swapped = (byte_order == '>' && little) || (byte_order == '<' && !little);
    h->kind = *type == '?' ? 'b' : *type;
    h->width = *type == '?' || !*type ? 1 : strtoll(type + 1, NULL, 10);
    h->fortran = !strncmp(order, "True", 4);
    /* Elements without bytes would let a small file declare any number of them. */
    if (!strchr("fiubSU", h->kind) || !h->kind || h->width < 1 || h->width > 1 << 20)
        return kl_error(KL_ERROR_UNSUPPORTED, "%s: elements of type '%.8s' are not supported", path,
                        descr);
    return parse_shape(path, find_key(text, "shape"), h);
}

/* The tensor's dtype; integers that the library lacks are widened. false: not supported. */
static bool dtype_of(const npy_header *h, kl_dtype *dtype)
{
    if (h->kind == 'f' && (h->width == 2 || h->width == 4 || h->width == 8))
        *dtype = h->width == 2 ? KL_FLOAT16 : h->width == 4 ? KL_FLOAT32 : KL_FLOAT64;
    else if (h->kind == 'b' && h->width == 1)
        *dtype = KL_BOOL;
    else if (h->kind == 'u' && h->width == 1)
        *dtype = KL_UINT8;
    else if ((h->kind == 'i' && (h->width == 1 || h->width == 2 || h->width == 4)) ||
             (h->kind == 'u' && h->width == 2))
        *dtype = KL_INT32;
    else if ((h->kind == 'i' && h->width == 8) ||
             (h->kind == 'u' && (h->width == 4 || h->width == 8)))
        *dtype = KL_INT64;
    else if (h->kind == 'S' || h->kind == 'U')
        *dtype = KL_STRING;
    else
        return false;
    return true;
}

static void swap_bytes(unsigned char *data, int64_t count, int64_t width)
{
    for (int64_t i = 0; i < count; i++, data += width)
        for (int64_t a = 0, b = width - 1; a < b; a++, b--) {
            unsigned char t = data[a];
            data[a] = data[b];
            data[b] = t;
        }
}

static void put_utf8(kl_str *out, uint32_t c)
{
    char bytes[4];
    size_t n;
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        c = 0xFFFD; /* no character: the replacement character */
    if (c < 0x80) {
        bytes[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        bytes[0] = (char)(0xC0 | c >> 6);
        bytes[1] = (char)(0x80 | (c & 63));
        n = 2;
    } else if (c < 0x10000) {
        bytes[0] = (char)(0xE0 | c >> 12);
        bytes[1] = (char)(0x80 | (c >> 6 & 63));
        bytes[2] = (char)(0x80 | (c & 63));
        n = 3;
    } else {
        bytes[0] = (char)(0xF0 | (c >> 18 & 7));
        bytes[1] = (char)(0x80 | (c >> 12 & 63));
        bytes[2] = (char)(0x80 | (c >> 6 & 63));
        bytes[3] = (char)(0x80 | (c & 63));
        n = 4;
    }
    kl_str_append_n(out, bytes, n);
}

static kl_tensor *make_strings(const npy_header *h, const unsigned char *raw)
{
    kl_string_builder builder = {0};
    for (int64_t i = 0; i < h->size; i++) {
        kl_str text = {0};
        const unsigned char *at = raw + i * h->width * (h->kind == 'U' ? 4 : 1);
        for (int64_t k = 0; k < h->width; k++) {
            uint32_t c = at[k];
            if (h->kind == 'U')
                memcpy(&c, at + 4 * k, 4);
            if (!c)
                break;
            if (h->kind == 'U')
                put_utf8(&text, c);
            else
                kl_str_append_n(&text, (const char *)&at[k], 1);
        }
        kl_string_builder_add(&builder, text.at ? text.at : "", text.length);
        builder.failed = builder.failed || text.failed;
        kl_str_free(&text);
    }
    return kl_string_builder_finish(&builder, h->rank, h->shape);
}

/* Elements that the library has no dtype for, widened one by one. */
static void widen(const npy_header *h, kl_dtype dtype, const unsigned char *raw, void *out)
{
    for (int64_t i = 0; i < h->size; i++) {
        uint64_t bits = 0;
        memcpy(&bits, raw + i * h->width, (size_t)h->width);
        int64_t value = (int64_t)bits;
        if (h->kind == 'i' && h->width < 8 && bits >> (8 * h->width - 1) & 1)
            value = (int64_t)(bits | ~UINT64_C(0) << (8 * h->width));
        if (dtype == KL_INT32)
            ((int32_t *)out)[i] = (int32_t)value;
        else
            ((int64_t *)out)[i] = value;
    }
}

static kl_tensor *make_numbers(const npy_header *h, kl_dtype dtype, const unsigned char *raw)
{
    int64_t shape[KL_MAX_RANK];
    for (int i = 0; i < h->rank; i++)
        shape[i] = h->fortran ? h->shape[h->rank - 1 - i] : h->shape[i];
    kl_tensor *tensor = kl_empty(dtype, h->rank, shape);
    if (!tensor || !h->size)
        return tensor;
    if (h->width == (int64_t)kl_dtype_size(dtype))
        memcpy(tensor->data, raw, (size_t)(h->size * h->width));
    else
        widen(h, dtype, raw, tensor->data);
    if (!h->fortran || h->rank < 2)
        return tensor;
    kl_tensor *turned = kl_view_transpose(tensor, NULL);
    kl_tensor *own = turned ? kl_copy(turned, dtype) : NULL;
    kl_release(kl_scope_detach(turned));
    kl_release(kl_scope_detach(tensor));
    return own;
}

/* The rest of the file must hold what the header declares before anything is allocated for it. */
static kl_tensor *read_elements(const char *path, FILE *file, const npy_header *h)
{
    kl_dtype dtype;
    int64_t width = h->kind == 'U' ? 4 * h->width : h->width, bytes;
    if (!dtype_of(h, &dtype)) {
        kl_error(KL_ERROR_UNSUPPORTED, "%s: elements of type %c%lld are not supported", path,
                 h->kind, (long long)h->width);
        return NULL;
    }
    long begin = ftell(file);
    if (begin < 0 || fseek(file, 0, SEEK_END) || __builtin_mul_overflow(h->size, width, &bytes) ||
        ftell(file) - begin < bytes || fseek(file, begin, SEEK_SET)) {
        malformed(path, "it has fewer bytes than its header declares");
        return NULL;
    }
    unsigned char *raw = kl_malloc((size_t)bytes + 1);
    kl_tensor *tensor = NULL;
    if (raw && fread(raw, 1, (size_t)bytes, file) != (size_t)bytes) {
        kl_error(KL_ERROR_IO, "%s: it can't be read", path);
    } else if (raw) {
        if (h->swapped)
            swap_bytes(raw, h->kind == 'U' ? h->size * h->width : h->size,
                       h->kind == 'U' ? 4 : h->width);
        tensor = dtype == KL_STRING ? make_strings(h, raw) : make_numbers(h, dtype, raw);
    }
    kl_free(raw);
    return tensor;
}

static kl_status read_header(const char *path, FILE *file, npy_header *h)
{
    unsigned char start[12];
    if (fread(start, 1, 8, file) != 8 || memcmp(start, "\x93NUMPY", 6) != 0)
        return malformed(path, "it doesn't begin as one");
    if (start[6] < 1 || start[6] > 3)
        return kl_error(KL_ERROR_UNSUPPORTED, "%s: format version %d is not known", path, start[6]);
    size_t count = start[6] == 1 ? 2 : 4, length = 0;
    if (fread(start + 8, 1, count, file) != count)
        return malformed(path, "it ends within its header");
    for (size_t i = 0; i < count; i++)
        length |= (size_t)start[8 + i] << (8 * i);
    if (length > MOST_HEADER)
        return malformed(path, "its header is too long");
    char *text = kl_malloc(length + 1);
    if (!text)
        return KL_ERROR_MEMORY;
    text[length] = 0;
    kl_status status = fread(text, 1, length, file) == length
                           ? parse_header(path, text, h)
                           : malformed(path, "it ends within its header");
    kl_free(text);
    return status;
}

kl_tensor *kl_npy_load(const char *path)
{
    if (!path) {
        kl_error_null("kl_npy_load", "path");
        return NULL;
    }
    FILE *file = fopen(path, "rb");
    if (!file) {
        kl_error(KL_ERROR_IO, "%s: %s", path, strerror(errno));
        return NULL;
    }
    npy_header h;
    kl_tensor *tensor = read_header(path, file, &h) ? NULL : read_elements(path, file, &h);
    fclose(file);
    return tensor;
}

static void write_header(const kl_tensor *t, const char *descr, kl_str *out)
{
    kl_str dict = {0};
    kl_str_printf(&dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < t->rank; i++)
        kl_str_printf(&dict, "%lld%s", (long long)t->shape[i],
                      i + 1 < t->rank ? ", "
                      : t->rank == 1  ? ","
                                      : "");
    kl_str_append(&dict, "), }");
    while ((10 + dict.length + 1) % 64)
        kl_str_append(&dict, " ");
    kl_str_append(&dict, "\n");
    char head[10] = "\x93NUMPY\x01";
    head[7] = 0;
    head[8] = (char)(dict.length & 255);
    head[9] = (char)(dict.length >> 8);
    kl_str_append_n(out, head, 10);
    kl_str_append_n(out, dict.at ? dict.at : "", dict.length);
    out->failed = out->failed || dict.failed;
    kl_str_free(&dict);
}

/* Strings as bytes of the longest one's length. */
static kl_status write_strings(const kl_tensor *t, FILE *file)
{
    size_t width = 1;
    for (int64_t i = 0; i < t->size; i++) {
        size_t length = kl_tensor_string_at(t, i).length;
        width = length > width ? length : width;
    }
    char descr[32];
    kl_str head = {0};
    snprintf(descr, sizeof descr, "|S%zu", width);
    write_header(t, descr, &head);
    bool good = !head.failed && fwrite(head.at, 1, head.length, file) == head.length;
    for (int64_t i = 0; i < t->size && good; i++) {
        kl_string s = kl_tensor_string_at(t, i);
        good = fwrite(s.at, 1, s.length, file) == s.length;
        for (size_t k = s.length; k < width && good; k++)
            good = fputc(0, file) != EOF;
    }
    kl_str_free(&head);
    return good ? KL_OK : kl_error(KL_ERROR_IO, "the file can't be written");
}

static kl_status write_numbers(const kl_tensor *t, FILE *file)
{
    static const char *const descrs[] = {
        [KL_FLOAT32] = "<f4", [KL_FLOAT64] = "<f8", [KL_FLOAT16] = "<f2", [KL_BFLOAT16] = "<f4",
        [KL_INT32] = "<i4",   [KL_INT64] = "<i8",   [KL_UINT8] = "|u1",   [KL_BOOL] = "|b1"};
    kl_dtype dtype = t->dtype == KL_BFLOAT16 ? KL_FLOAT32 : (kl_dtype)t->dtype;
    kl_tensor *values = kl_copy(t, dtype);
    kl_str head = {0};
    write_header(t, descrs[t->dtype], &head);
    bool good = values && !head.failed;
    if (good) {
        size_t bytes = (size_t)t->size * kl_dtype_size(dtype);
        good = fwrite(head.at, 1, head.length, file) == head.length &&
               fwrite(values->data, 1, bytes, file) == bytes;
        if (!good)
            kl_error(KL_ERROR_IO, "the file can't be written");
    }
    kl_release(kl_scope_detach(values));
    kl_str_free(&head);
    return good ? KL_OK : kl_last_status();
}

kl_status kl_npy_save(const char *path, const kl_tensor *tensor)
{
    if (!path || !tensor)
        return kl_error_null("kl_npy_save", path ? "tensor" : "path");
    if (!tensor->buffer)
        return kl_error(KL_ERROR_STATE, "kl_npy_save: the tensor has no values yet");
    kl_str beside = {0};
    kl_str_printf(&beside, "%s.%ld.tmp", path, (long)getpid());
    char *name = kl_str_take(&beside);
    if (!name)
        return KL_ERROR_MEMORY;
    FILE *file = fopen(name, "wb");
    kl_status status = file ? KL_OK : kl_error(KL_ERROR_IO, "%s: %s", path, strerror(errno));
    if (!status)
        status =
            tensor->dtype == KL_STRING ? write_strings(tensor, file) : write_numbers(tensor, file);
    if (file && fclose(file) && !status)
        status = kl_error(KL_ERROR_IO, "%s: %s", path, strerror(errno));
    if (!status && rename(name, path))
        status = kl_error(KL_ERROR_IO, "%s: %s", path, strerror(errno));
    if (status && file)
        remove(name);
    kl_free(name);
    return status;
}
