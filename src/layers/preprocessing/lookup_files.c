/* Vocabularies from outside, and to and from files. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "klayers/layers/preprocessing.h"
#include "layers/preprocessing/lookup.h"
#include "tensor/tensor.h"

kl_lookup *kl_lookup_of(const char *function, const kl_layer *layer)
{
    if (!layer) {
        kl_error_null(function, "layer");
        return NULL;
    }
    if (layer->vtable->save_assets != kl_lookup_save_assets) {
        kl_error(KL_ERROR_UNSUPPORTED, "%s: %s has no vocabulary", layer->name,
                 layer->object.cls->class_name);
        return NULL;
    }
    return (kl_lookup *)(void *)((char *)layer->object.state + layer->object.cls->args_size);
}

/* The token of an id, special ones included; empty if it isn't set. */
static kl_string token_at(const kl_lookup *l, int64_t id)
{
    int64_t start = kl_lookup_start(l);
    kl_string token = id < start ? kl_lookup_special(l, id) : l->tokens.keys[id - start];
    return token.at ? token : (kl_string){"", 0};
}

kl_tensor *kl_get_vocabulary(const kl_layer *layer, bool include_special_tokens)
{
    const kl_lookup *l = kl_lookup_of("kl_get_vocabulary", layer);
    if (!l)
        return NULL;
    int64_t first = include_special_tokens ? 0 : kl_lookup_start(l);
    int64_t count = kl_lookup_size(l) - first;
    if (l->numbers) {
        kl_tensor *out = kl_empty(KL_INT64, 1, &count);
        int64_t *to = out ? kl_tensor_mutable_data(out) : NULL;
        for (int64_t i = 0; to && i < count; i++) {
            kl_string token = token_at(l, first + i);
            to[i] = token.length ? kl_token_number(token) : -1;
        }
        return out;
    }
    kl_string_builder builder = {0};
    for (int64_t i = 0; i < count; i++) {
        kl_string token = token_at(l, first + i);
        kl_string_builder_add(&builder, token.at, token.length);
    }
    return kl_string_builder_finish(&builder, 1, &count);
}

/* Under the layer's lock; the tokens' memory is freed. */
static kl_status set_tokens(kl_layer *layer, kl_lookup *l, kl_string *tokens, size_t count,
                            kl_floats idf_weights, kl_status status)
{
    pthread_rwlock_wrlock(&layer->lock);
    if (!status && l->mode == KL_ENCODE_TF_IDF && !idf_weights.at)
        status = kl_error(KL_ERROR_INVALID, "idf_weights must be set if output_mode is tf_idf");
    if (!status)
        status = kl_lookup_set(l, tokens, (int64_t)count, idf_weights);
    if (!status)
        l->in_config = false;
    pthread_rwlock_unlock(&layer->lock);
    kl_free(tokens);
    if (status)
        kl_error_prefix(layer->name);
    return status;
}

kl_status kl_set_vocabulary(kl_layer *layer, kl_strings vocabulary, kl_floats idf_weights)
{
    kl_lookup *l = kl_lookup_of("kl_set_vocabulary", layer);
    if (!l)
        return kl_last_status();
    if (l->numbers)
        return kl_error(KL_ERROR_DTYPE,
                        "%s: the vocabulary must be numbers, got strings: use "
                        "kl_set_vocabulary_numbers",
                        layer->name);
    if (vocabulary.count && !vocabulary.at)
        return kl_error_null("kl_set_vocabulary", "vocabulary");
    kl_string *tokens = kl_malloc_array(vocabulary.count + 1, sizeof *tokens);
    if (!tokens)
        return KL_ERROR_MEMORY;
    kl_status status = KL_OK;
    for (size_t i = 0; !status && i < vocabulary.count; i++) {
        if (vocabulary.at[i])
            tokens[i] = (kl_string){vocabulary.at[i], strlen(vocabulary.at[i])};
        else
            status = kl_error_null("kl_set_vocabulary", "vocabulary");
    }
    return set_tokens(layer, l, tokens, vocabulary.count, idf_weights, status);
}

kl_status kl_set_vocabulary_numbers(kl_layer *layer, kl_ints vocabulary, kl_floats idf_weights)
{
    kl_lookup *l = kl_lookup_of("kl_set_vocabulary_numbers", layer);
    if (!l)
        return kl_last_status();
    if (!l->numbers)
        return kl_error(KL_ERROR_DTYPE, "%s: the vocabulary must be strings, got numbers",
                        layer->name);
    if (vocabulary.count && !vocabulary.at)
        return kl_error_null("kl_set_vocabulary_numbers", "vocabulary");
    kl_string *tokens = kl_malloc_array(vocabulary.count + 1, sizeof *tokens);
    if (!tokens)
        return KL_ERROR_MEMORY;
    for (size_t i = 0; i < vocabulary.count; i++)
        tokens[i] = kl_number_token(&vocabulary.at[i]);
    return set_tokens(layer, l, tokens, vocabulary.count, idf_weights, KL_OK);
}

int64_t kl_vocabulary_size(const kl_layer *layer)
{
    const kl_lookup *l = kl_lookup_of("kl_vocabulary_size", layer);
    return l ? kl_lookup_size(l) : -1;
}

/* ---- Text files ----------------------------------------------------------------------------- */

kl_status kl_split_lines(const char *text, size_t size, kl_string **out, int64_t *count)
{
    int64_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    kl_string *at = kl_malloc_array((size_t)lines + 1, sizeof *at);
    if (!at)
        return KL_ERROR_MEMORY;
    *count = 0;
    for (size_t start = 0; start <= size;) {
        const char *end = memchr(text + start, '\n', size - start);
        size_t length = end ? (size_t)(end - (text + start)) : size - start;
        size_t shown = length && text[start + length - 1] == '\r' ? length - 1 : length;
        at[(*count)++] = (kl_string){text + start, shown};
        if (!end)
            break;
        start += length + 1;
    }
    while (*count && !at[*count - 1].length)
        --*count;
    *out = at;
    return KL_OK;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t capacity = 0;
    *size = 0;
    while (file) {
        if (*size == capacity) {
            capacity = capacity ? 2 * capacity : 65536;
            char *grown = kl_realloc(text, capacity);
            if (!grown)
                break;
            text = grown;
        }
        size_t got = fread(text + *size, 1, capacity - *size, file);
        *size += got;
        if (!got) {
            bool failed = ferror(file) != 0;
            fclose(file);
            if (!failed)
                return text;
            kl_free(text);
            kl_error(KL_ERROR_IO, "the vocabulary file %s can't be read", path);
            return NULL;
        }
    }
    if (file)
        fclose(file);
    else
        kl_error(KL_ERROR_IO, "the vocabulary file %s can't be opened", path);
    kl_free(text);
    return NULL;
}

/* Lines to tokens; those that are numbers come to stand in *numbers, to be freed. */
static kl_status parse_numbers(kl_string *lines, int64_t count, int64_t **numbers)
{
    int64_t *at = *numbers = kl_malloc_array((size_t)count + 1, sizeof *at);
    if (!at)
        return KL_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        char text[32] = "", *end;
        if (lines[i].length < sizeof text && lines[i].length)
            memcpy(text, lines[i].at, lines[i].length);
        at[i] = strtoll(text, &end, 10);
        if (!*text || *end)
            return kl_error(KL_ERROR_FORMAT, "line %lld of the vocabulary is no whole number",
                            (long long)i + 1);
        lines[i] = kl_number_token(&at[i]);
    }
    return KL_OK;
}

static kl_status set_lines(kl_lookup *l, const char *text, size_t size, bool from_asset)
{
    kl_string *lines = NULL;
    int64_t count = 0, *numbers = NULL;
    kl_status status = kl_split_lines(text, size, &lines, &count);
    if (!status && l->numbers)
        status = parse_numbers(lines, count, &numbers);
    /* A vocabulary that was never learned has its special tokens alone. */
    if (!status && (!from_asset || count > kl_lookup_start(l)))
        status = kl_lookup_set(l, lines, count, (kl_floats){0});
    kl_free(numbers);
    kl_free(lines);
    return status;
}

kl_status kl_lookup_set_from_file(kl_lookup *l, const char *path)
{
    size_t size;
    if (l->mode == KL_ENCODE_TF_IDF)
        return kl_error(KL_ERROR_INVALID,
                        "output_mode tf_idf does not take its vocabulary from a file");
    char *text = read_file(path, &size);
    if (!text)
        return kl_last_status();
    kl_status status = set_lines(l, text, size, false);
    kl_free(text);
    return status;
}

/* ---- Saved models --------------------------------------------------------------------------- */

/* In a layer around a lookup, Keras writes the file for both. */
static const char *const vocabulary_files[] = {"vocabulary.txt", "_lookup_layer/vocabulary.txt"};

static bool wraps_lookup(const kl_layer *self)
{
    return !strcmp(self->object.cls->class_name, "TextVectorization");
}

static char *join_lines(const kl_lookup *l, size_t *size)
{
    kl_str text = {0};
    for (int64_t i = 0; i < kl_lookup_size(l); i++) {
        char room[24];
        kl_string token = token_at(l, i);
        if (l->numbers && token.length)
            token = kl_decimal(kl_token_number(token), room);
        else if (l->numbers)
            token = (kl_string){"None", 4};
        if (i)
            kl_str_append_n(&text, "\n", 1);
        kl_str_append_n(&text, token.at, token.length);
    }
    *size = text.length;
    return kl_str_take(&text);
}

kl_status kl_lookup_save_assets(const kl_layer *self,
                                kl_status (*write)(void *user, const char *name, const void *data,
                                                   size_t size),
                                void *user)
{
    const kl_lookup *l = kl_lookup_of("save_assets", self);
    size_t size;
    if (!l)
        return kl_last_status();
    if (l->in_config)
        return KL_OK;
    char *text = join_lines(l, &size);
    if (!text)
        return kl_last_status();
    kl_status status = write(user, vocabulary_files[0], text, size);
    if (!status && wraps_lookup(self))
        status = write(user, vocabulary_files[1], text, size);
    kl_free(text);
    return status;
}

kl_status kl_lookup_load_assets(kl_layer *self,
                                kl_status (*read)(void *user, const char *name, const void **data,
                                                  size_t *size),
                                void *user)
{
    kl_lookup *l = kl_lookup_of("load_assets", self);
    const void *data;
    size_t size;
    if (!l)
        return kl_last_status();
    if (l->in_config)
        return KL_OK;
    kl_status status = read(user, vocabulary_files[0], &data, &size);
    return status ? status : set_lines(l, data, size, true);
}

static const char *const idf_names[] = {"vars/idf_weights", "_lookup_layer/vars/idf_weights"};

kl_status kl_lookup_save_values(const kl_layer *self,
                                kl_status (*write)(void *user, const char *name,
                                                   const kl_tensor *value),
                                void *user)
{
    const kl_lookup *l = kl_lookup_of("save_values", self);
    if (!l)
        return kl_last_status();
    if (!l->idf)
        return KL_OK;
    kl_tensor *value = kl_from_data(KL_FLOAT32, 1, &l->idf_count, l->idf);
    kl_status status = value ? write(user, idf_names[0], value) : kl_last_status();
    if (!status && wraps_lookup(self))
        status = write(user, idf_names[1], value);
    kl_release(kl_scope_detach(value));
    return status;
}

kl_status kl_lookup_load_values(kl_layer *self,
                                kl_status (*read)(void *user, const char *name, kl_tensor **value),
                                void *user)
{
    kl_lookup *l = kl_lookup_of("load_values", self);
    kl_tensor *value = NULL;
    if (!l)
        return kl_last_status();
    if (l->mode != KL_ENCODE_TF_IDF)
        return KL_OK;
    kl_status status = read(user, idf_names[0], &value);
    if (status || !value)
        return status;
    int64_t count = kl_tensor_size(value);
    float *idf = kl_malloc_array((size_t)count + 1, sizeof *idf);
    status = idf ? kl_tensor_copy_to(value, KL_FLOAT32, idf, count) : KL_ERROR_MEMORY;
    if (!status) {
        kl_free(l->idf);
        l->idf = idf;
        l->idf_count = count;
    } else {
        kl_free(idf);
    }
    kl_release(kl_scope_detach(value));
    return status;
}
