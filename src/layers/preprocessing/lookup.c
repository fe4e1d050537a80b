#include "layers/preprocessing/lookup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "klayers/layers/preprocessing.h"
#include "tensor/tensor.h"

bool kl_lookup_mode_from_name(const char *name, kl_lookup_mode *out)
{
    static const struct {
        const char *name;
        kl_lookup_mode mode;
    } modes[] = {{"int", KL_LOOKUP_INT},
                 {"one_hot", KL_LOOKUP_ONE_HOT},
                 {"multi_hot", KL_LOOKUP_MULTI_HOT},
                 {"binary", KL_LOOKUP_MULTI_HOT},
                 {"count", KL_LOOKUP_COUNT},
                 {"tf_idf", KL_LOOKUP_TF_IDF},
                 {"tf-idf", KL_LOOKUP_TF_IDF}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (!strcmp(modes[i].name, name)) {
            *out = modes[i].mode;
            return true;
        }
    }
    return false;
}

static bool has_mask_id(const kl_lookup *l)
{
    return l->mask_token && l->mode == KL_LOOKUP_INT;
}

int64_t kl_lookup_start(const kl_lookup *l)
{
    return l->oov_count + (has_mask_id(l) ? 1 : 0);
}

int64_t kl_lookup_size(const kl_lookup *l)
{
    return kl_lookup_start(l) + l->tokens.count;
}

int64_t kl_lookup_depth(const kl_lookup *l)
{
    if (l->pad)
        return l->max_tokens;
    return l->tokens.count ? kl_lookup_size(l) : -1;
}

static bool is_text(kl_string token, const char *text)
{
    return text && strlen(text) == token.length && !memcmp(text, token.at, token.length);
}

int64_t kl_lookup_id(const kl_lookup *l, kl_string token)
{
    if (is_text(token, l->mask_token))
        return l->mode == KL_LOOKUP_INT ? 0 : -1;
    int64_t at = kl_string_table_find(&l->tokens, token.at, token.length);
    return at < 0 ? kl_lookup_start(l) - l->oov_count : kl_lookup_start(l) + at;
}

void kl_lookup_ids(const kl_lookup *l, const kl_string *tokens, size_t count, int64_t *ids)
{
    int64_t start = kl_lookup_start(l), unknown = start - l->oov_count;
    int64_t masked = l->mode == KL_LOOKUP_INT ? 0 : -1;
    size_t mask_length = l->mask_token ? strlen(l->mask_token) : SIZE_MAX;
    kl_string_table_find_all(&l->tokens, tokens, count, ids);
    for (size_t i = 0; i < count; i++) {
        ids[i] = ids[i] < 0 ? unknown : start + ids[i];
        if (tokens[i].length == mask_length && is_text(tokens[i], l->mask_token))
            ids[i] = masked;
    }
}

/* ---- Setting -------------------------------------------------------------------------------- */

/* The special token that has this id. */
static const char *special(const kl_lookup *l, int64_t id)
{
    return id == 0 && has_mask_id(l) ? l->mask_token : l->oov_token;
}

static bool begins_with_special(const kl_lookup *l, const kl_string *tokens, int64_t count)
{
    int64_t start = kl_lookup_start(l);
    bool found = count >= start;
    for (int64_t i = 0; found && i < start; i++)
        found = is_text(tokens[i], special(l, i));
    return found;
}

static kl_status fill(const kl_lookup *l, kl_string_table *table, const kl_string *tokens,
                      int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int shown = (int)(tokens[i].length < 60 ? tokens[i].length : 60);
        bool added;
        if (is_text(tokens[i], l->mask_token))
            return kl_error(
                KL_ERROR_INVALID,
                "the vocabulary has the reserved mask token \"%s\" at %lld: give either "
                "all special tokens, in front, or none",
                l->mask_token, (long long)i);
        if (kl_string_table_add(table, tokens[i].at, tokens[i].length, &added) < 0)
            return kl_last_status();
        if (!added)
            return kl_error(KL_ERROR_INVALID, "the vocabulary has the repeated term \"%.*s\"",
                            shown, tokens[i].at);
    }
    int64_t size = kl_lookup_start(l) + table->count;
    if (l->max_tokens != KL_NONE && size > l->max_tokens)
        return kl_error(KL_ERROR_RANGE,
                        "the vocabulary's size is %lld, special tokens included; max_tokens is "
                        "%lld",
                        (long long)size, (long long)l->max_tokens);
    return KL_OK;
}

/* Weights padded in front by their mean, for the special tokens, and behind by zeros. */
static float *padded_idf(const kl_lookup *l, const float *idf, int64_t count, int64_t front,
                         int64_t *total)
{
    *total = l->pad ? l->max_tokens : front + count;
    float *out = *total >= front + count ? kl_calloc((size_t)*total, sizeof *out) : NULL;
    if (!out)
        return NULL;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        out[front + i] = idf[i];
        sum += (double)idf[i];
    }
    for (int64_t i = 0; i < front; i++)
        out[i] = (float)(sum / (double)count);
    return out;
}

kl_status kl_lookup_set(kl_lookup *l, const kl_string *tokens, int64_t count, kl_floats idf)
{
    if (!count)
        return kl_error(KL_ERROR_INVALID, "a vocabulary must not be empty");
    bool weighs = l->mode == KL_LOOKUP_TF_IDF;
    if (!weighs && idf.at)
        return kl_error(KL_ERROR_INVALID,
                        "idf_weights should only be set if output_mode is tf_idf");
    if (weighs && !idf.at)
        return kl_error(KL_ERROR_INVALID, "idf_weights must be set if output_mode is tf_idf");
    if (weighs && (int64_t)idf.count != count)
        return kl_error(KL_ERROR_INVALID,
                        "idf_weights must be as many as the vocabulary, %lld, got %zu",
                        (long long)count, idf.count);
    int64_t skip = begins_with_special(l, tokens, count) ? kl_lookup_start(l) : 0;
    kl_string_table table = {0};
    kl_status status = fill(l, &table, tokens + skip, count - skip);
    float *weights = NULL;
    int64_t total = 0;
    if (!status && weighs) {
        weights = padded_idf(l, idf.at, count, skip ? 0 : kl_lookup_start(l), &total);
        if (!weights)
            status = KL_ERROR_MEMORY;
    }
    if (status) {
        kl_string_table_clear(&table);
        return status;
    }
    kl_string_table_clear(&l->tokens);
    kl_free(l->idf);
    l->tokens = table;
    l->idf = weights;
    l->idf_count = total;
    return KL_OK;
}

/* The lines of a text; a last one without characters is none. Frees nothing on failure. */
static kl_status split_lines(const char *text, size_t size, kl_string **out, int64_t *count)
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

kl_status kl_lookup_set_from_file(kl_lookup *l, const char *path)
{
    size_t size;
    kl_string *lines = NULL;
    int64_t count = 0;
    if (l->mode == KL_LOOKUP_TF_IDF)
        return kl_error(KL_ERROR_INVALID,
                        "output_mode tf_idf does not take its vocabulary from a file");
    char *text = read_file(path, &size);
    if (!text)
        return kl_last_status();
    kl_status status = split_lines(text, size, &lines, &count);
    if (!status)
        status = kl_lookup_set(l, lines, count, (kl_floats){0});
    kl_free(lines);
    kl_free(text);
    return status;
}

/* ---- Learning ------------------------------------------------------------------------------- */

kl_status kl_lookup_count(kl_lookup *l, kl_string token, int64_t document)
{
    return kl_token_counts_add(&l->counts, &token, 1, document) ? KL_OK : kl_last_status();
}

void kl_lookup_forget(kl_lookup *l)
{
    kl_token_counts_clear(&l->counts);
}

typedef struct ranked_token {
    kl_string text;
    int64_t count, documents;
} ranked_token;

/* The most frequent first, ties by the bytes, the greater first. */
static int by_rank(const void *x, const void *y)
{
    const ranked_token *a = x, *b = y;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    size_t shorter = a->text.length < b->text.length ? a->text.length : b->text.length;
    int order = shorter ? memcmp(a->text.at, b->text.at, shorter) : 0;
    if (!order)
        order = a->text.length < b->text.length ? -1 : a->text.length > b->text.length;
    return -order;
}

static int64_t rank_tokens(const kl_lookup *l, ranked_token *out)
{
    const kl_token_counts *c = &l->counts;
    int64_t count = 0;
    for (int64_t i = 0; i < c->tokens.count; i++) {
        kl_string text = c->tokens.keys[i];
        if (!is_text(text, l->mask_token) && !is_text(text, l->oov_token))
            out[count++] = (ranked_token){text, c->at[i].count, c->at[i].documents};
    }
    qsort(out, (size_t)count, sizeof *out, by_rank);
    int64_t most = l->max_tokens == KL_NONE ? count : l->max_tokens - kl_lookup_start(l);
    return most < count ? (most < 0 ? 0 : most) : count;
}

static kl_status take_ranked(kl_lookup *l, const ranked_token *ranked, int64_t count)
{
    kl_string_table table = {0};
    float *idf = kl_malloc_array((size_t)count + 1, sizeof *idf), *padded = NULL;
    kl_status status = idf ? KL_OK : KL_ERROR_MEMORY;
    for (int64_t i = 0; !status && i < count; i++) {
        double seen = (double)l->counts.documents / (double)(1 + ranked[i].documents);
        idf[i] = (float)log(1 + seen);
        if (kl_string_table_add(&table, ranked[i].text.at, ranked[i].text.length, NULL) < 0)
            status = kl_last_status();
    }
    int64_t total = 0;
    if (!status && l->mode == KL_LOOKUP_TF_IDF) {
        padded = padded_idf(l, idf, count, kl_lookup_start(l), &total);
        if (!padded)
            status = KL_ERROR_MEMORY;
    }
    kl_free(idf);
    if (status) {
        kl_string_table_clear(&table);
        return status;
    }
    kl_string_table_clear(&l->tokens);
    kl_free(l->idf);
    l->tokens = table;
    l->idf = padded;
    l->idf_count = total;
    return KL_OK;
}

kl_status kl_lookup_learn(kl_lookup *l)
{
    kl_status status = KL_OK;
    if (l->counts.tokens.count) {
        ranked_token *ranked = kl_malloc_array((size_t)l->counts.tokens.count, sizeof *ranked);
        if (!ranked)
            return KL_ERROR_MEMORY;
        status = take_ranked(l, ranked, rank_tokens(l, ranked));
        kl_free(ranked);
    }
    kl_lookup_forget(l);
    return status;
}

void kl_lookup_free(kl_lookup *l)
{
    kl_lookup_forget(l);
    kl_string_table_clear(&l->tokens);
    kl_free(l->idf);
    l->idf = NULL;
}

/* ---- The layer's functions ------------------------------------------------------------------ */

static kl_lookup *lookup_of(const char *function, const kl_layer *layer)
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

static kl_status list_vocabulary(const kl_lookup *l, bool all, kl_string_builder *out)
{
    for (int64_t i = 0; all && i < kl_lookup_start(l); i++)
        kl_string_builder_add(out, special(l, i), strlen(special(l, i)));
    for (int64_t i = 0; i < l->tokens.count; i++)
        kl_string_builder_add(out, l->tokens.keys[i].at, l->tokens.keys[i].length);
    return out->failed ? KL_ERROR_MEMORY : KL_OK;
}

kl_tensor *kl_get_vocabulary(const kl_layer *layer, bool include_special_tokens)
{
    const kl_lookup *l = lookup_of("kl_get_vocabulary", layer);
    kl_string_builder builder = {0};
    if (!l || list_vocabulary(l, include_special_tokens, &builder)) {
        kl_string_builder_free(&builder);
        return NULL;
    }
    int64_t count = builder.count;
    return kl_string_builder_finish(&builder, 1, &count);
}

kl_status kl_set_vocabulary(kl_layer *layer, kl_strings vocabulary, kl_floats idf_weights)
{
    kl_lookup *l = lookup_of("kl_set_vocabulary", layer);
    if (!l)
        return kl_last_status();
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
    pthread_rwlock_wrlock(&layer->lock);
    if (!status)
        status = kl_lookup_set(l, tokens, (int64_t)vocabulary.count, idf_weights);
    if (!status)
        l->in_config = false;
    pthread_rwlock_unlock(&layer->lock);
    kl_free(tokens);
    if (status)
        kl_error_prefix(layer->name);
    return status;
}

int64_t kl_vocabulary_size(const kl_layer *layer)
{
    const kl_lookup *l = lookup_of("kl_vocabulary_size", layer);
    return l ? kl_lookup_size(l) : -1;
}

/* ---- Files ---------------------------------------------------------------------------------- */

/* Keras writes the file for the layer and for the lookup inside it. */
static const char *const vocabulary_files[] = {"vocabulary.txt", "_lookup_layer/vocabulary.txt"};
static const char idf_file[] = "idf_weights.bin";

static char *join_lines(const kl_lookup *l, size_t *size)
{
    kl_string_builder list = {0};
    char *text = NULL;
    *size = 0;
    if (!list_vocabulary(l, true, &list)) {
        size_t total = 1;
        for (int64_t i = 0; i < list.count; i++)
            total += list.items[i].length + 1;
        text = kl_malloc(total);
        for (int64_t i = 0; text && i < list.count; i++) {
            if (i)
                text[(*size)++] = '\n';
            if (list.items[i].length)
                memcpy(text + *size, list.items[i].at, list.items[i].length);
            *size += list.items[i].length;
        }
    }
    kl_string_builder_free(&list);
    return text;
}

kl_status kl_lookup_save_assets(const kl_layer *self,
                                kl_status (*write)(void *user, const char *name, const void *data,
                                                   size_t size),
                                void *user)
{
    const kl_lookup *l = lookup_of("save_assets", self);
    size_t size;
    if (!l)
        return kl_last_status();
    if (l->in_config)
        return KL_OK;
    char *text = join_lines(l, &size);
    if (!text)
        return kl_last_status();
    kl_status status = KL_OK;
    for (size_t i = 0; !status && i < sizeof vocabulary_files / sizeof *vocabulary_files; i++)
        status = write(user, vocabulary_files[i], text, size);
    kl_free(text);
    if (!status && l->idf)
        status = write(user, idf_file, l->idf, (size_t)l->idf_count * sizeof *l->idf);
    return status;
}

kl_status kl_lookup_load_assets(kl_layer *self,
                                kl_status (*read)(void *user, const char *name, const void **data,
                                                  size_t *size),
                                void *user)
{
    kl_lookup *l = lookup_of("load_assets", self);
    const void *data, *weights = NULL;
    size_t size, weights_size = 0;
    if (!l)
        return kl_last_status();
    if (l->in_config)
        return KL_OK;
    kl_status status = read(user, vocabulary_files[0], &data, &size);
    kl_string *lines = NULL;
    int64_t count = 0;
    if (!status)
        status = split_lines(data, size, &lines, &count);
    /* A vocabulary that was never learned has its special tokens alone. */
    bool empty = !status && count <= kl_lookup_start(l) && begins_with_special(l, lines, count);
    if (!status && !empty && l->mode == KL_LOOKUP_TF_IDF) {
        status = read(user, idf_file, &weights, &weights_size);
        if (!status && weights_size / sizeof(float) < (size_t)count)
            status = kl_error(KL_ERROR_FORMAT, "%s: %s has %zu bytes, expected %zu", self->name,
                              idf_file, weights_size, (size_t)count * sizeof(float));
    }
    if (!status && !empty)
        status = kl_lookup_set(l, lines, count, (kl_floats){weights, weights ? (size_t)count : 0});
    kl_free(lines);
    return status;
}
