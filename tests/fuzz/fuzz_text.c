/*
 * TextVectorization over any bytes. The first byte says what the rest is: texts under options, a
 * vocabulary's file, a config, or a saved model's vocabulary.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "klayers/layers/preprocessing.h"

extern const kl_layer_vtable kl_text_vectorization_class;

enum { MOST_TEXTS = 40 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The bytes cut at every `mark`. */
static kl_tensor *cut_texts(const uint8_t *data, size_t size, uint8_t mark)
{
    kl_string texts[MOST_TEXTS];
    int64_t count = 0;
    size_t start = 0;
    for (size_t i = 0; i <= size && count < MOST_TEXTS; i++) {
        if (i < size && data[i] != mark)
            continue;
        texts[count++] = (kl_string){(const char *)data + start, i - start};
        start = i + 1;
    }
    return kl_from_data(KL_STRING, 1, &count, texts);
}

/* ---- Whitespace and ids once more, in the plainest way --------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_dropped(char c)
{
    return c > ' ' && c < 127 && strchr("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'", c);
}

/* The next token of the standardized text, its length; 0 at the end. */
static size_t next_token(kl_string text, size_t *at, bool lower, bool strip, char *out)
{
    size_t length = 0;
    for (; *at < text.length; ++*at) {
        char c = text.at[*at];
        if (is_space(c)) {
            if (length)
                break;
        } else if (!strip || !is_dropped(c)) {
            out[length++] = lower && c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
    }
    return length;
}

static int64_t find(const kl_tensor *words, const char *token, size_t length)
{
    for (int64_t i = 0; i < kl_tensor_size(words); i++) {
        kl_string word = kl_tensor_string_at(words, i);
        if (word.length == length && !memcmp(word.at, token, length))
            return i;
    }
    return 1;
}

static void check_ids(const kl_layer *layer, const kl_tensor *x, const kl_tensor *y, bool lower,
                      bool strip)
{
    kl_tensor *words = kl_get_vocabulary(layer, true);
    int64_t width = kl_tensor_dim(y, 1);
    const int64_t *ids = kl_tensor_data(y);
    require(words != NULL);
    for (int64_t i = 0; i < kl_tensor_size(x); i++) {
        kl_string text = kl_tensor_string_at(x, i);
        char *token = malloc(text.length + 1);
        size_t at = 0, length;
        int64_t k = 0;
        require(token != NULL);
        for (; k < width && (length = next_token(text, &at, lower, strip, token)); k++)
            require(ids[i * width + k] == find(words, token, length));
        for (; k < width; k++)
            require(ids[i * width + k] == 0);
        free(token);
    }
    kl_release(words);
}

/* ---- Targets -------------------------------------------------------------------------------- */

static void try_options(const uint8_t *data, size_t size)
{
    static const char *const standardize[] = {"lower_and_strip_punctuation", "lower",
                                              "strip_punctuation", NULL};
    static const char *const splits[] = {"whitespace", "character", NULL, "whitespace"};
    static const char *const modes[] = {"int", "one_hot", "multi_hot", "count", "tf_idf", "int"};
    if (size < 5)
        return;
    uint8_t how = data[0], mode = data[1] % 6, ngrams = data[2] % 4, length = data[3];
    const char *split = splits[how >> 2 & 3];
    bool ids = mode == 0 || mode == 5, plain = split && !strcmp(split, "whitespace") && !ngrams;
    kl_layer *layer =
        kl_text_vectorization(.standardize = standardize[how & 3], .split = split,
                              .output_mode = modes[mode], .ngrams = ngrams ? ngrams : KL_NONE,
                              .max_tokens = how & 32 ? 2 + data[4] % 20 : KL_NONE,
                              .pad_to_max_tokens = (how & 64) && (how & 32),
                              .output_sequence_length = length < 200 && ids ? length : KL_NONE);
    kl_tensor *x = cut_texts(data + 5, size - 5, data[4]);
    require(layer && x);
    if (kl_layer_adapt(layer, x) == KL_OK) {
        kl_tensor *y = kl_call(layer, x);
        /* No text may have had a token, and then there is no row to fill. */
        require(y || kl_last_error()[0]);
        if (y && ids && plain)
            check_ids(layer, x, y, !(how & 2), !(how & 1));
        kl_release(y);
    }
    kl_release(x);
    kl_layer_release(layer);
}

static void use_and_release(kl_layer *layer, const uint8_t *data, size_t size)
{
    kl_tensor *x = cut_texts(data, size, '\n');
    kl_tensor *y = kl_call(layer, x), *words = kl_get_vocabulary(layer, true);
    char *config = kl_layer_get_config(layer);
    require(x && words && config);
    kl_free_text(config);
    kl_release(words);
    kl_release(y);
    kl_release(x);
    kl_layer_release(layer);
}

static void try_file(const uint8_t *data, size_t size)
{
    char path[64];
    int file = memfd_create("vocabulary", 0);
    require(file >= 0);
    for (size_t at = 0; at < size;) {
        ssize_t wrote = write(file, data + at, size - at);
        require(wrote > 0);
        at += (size_t)wrote;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    kl_layer *layer = kl_text_vectorization(.vocabulary_file = path);
    close(file);
    if (layer)
        use_and_release(layer, data, size);
}

static void try_config(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    unsigned errors = kl_error_count();
    kl_layer *layer = kl_layer_from_config("TextVectorization", text);
    require(layer || kl_error_count() != errors);
    if (layer)
        use_and_release(layer, data, size);
    free(text);
}

typedef struct asset {
    const uint8_t *data;
    size_t size;
} asset;

static kl_status read_asset(void *user, const char *name, const void **data, size_t *size)
{
    const asset *a = user;
    *data = a->data;
    *size = a->size;
    return KL_OK;
}

static void try_assets(const uint8_t *data, size_t size, bool weighs)
{
    uint8_t *copy = malloc(size + 1); /* aligned, as what is read from a file is */
    kl_layer *layer = kl_text_vectorization(.output_mode = weighs ? "tf_idf" : "int");
    require(copy && layer);
    memcpy(copy, data, size);
    asset file = {copy, size};
    kl_text_vectorization_class.load_assets(layer, read_asset, &file);
    use_and_release(layer, data, size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kl_set_num_threads(1);
    if (!size)
        return 0;
    switch (data[0] % 5) {
    case 0:
    case 1:
        try_options(data + 1, size - 1);
        break;
    case 2:
        try_file(data + 1, size - 1);
        break;
    case 3:
        try_config(data + 1, size - 1);
        break;
    default:
        try_assets(data + 1, size - 1, data[0] & 128);
    }
    return 0;
}
