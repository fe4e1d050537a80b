#include <string.h>

#include "base/alloc.h"
#include "klayers/layers/preprocessing.h"
#include "layers/layer.h"
#include "layers/preprocessing/text_encode.h"
#include "tensor/tensor.h"

/* The most threads that learn at once. */
enum { LANES = 16 };

typedef struct text_state {
    kl_text_vectorization_args args;
    kl_lookup lookup;
    kl_text_options options;
    int64_t *ngrams;                  /* owned: 1..args.ngrams */
    kl_token_counts lanes[LANES - 1]; /* while learning, beside the lookup's */
} text_state;
_Static_assert(offsetof(text_state, lookup) == sizeof(kl_text_vectorization_args),
               "where the vocabulary's functions find it");

#define ARG(member) offsetof(kl_text_vectorization_args, member)
static const kl_field text_fields[] = {
    {"max_tokens", KL_FIELD_INT, ARG(max_tokens), .doc = "the largest vocabulary", .min = 2,
     .max = 2147483647, .flags = KL_FIELD_OPTIONAL},
    {"standardize", KL_FIELD_STRING, ARG(standardize), "lower_and_strip_punctuation",
     .doc = "what is done to a text first",
     .choices = "lower_and_strip_punctuation|lower|strip_punctuation", .flags = KL_FIELD_OPTIONAL},
    {"standardize_function", KL_FIELD_POINTER, ARG(standardize_function), .doc = "one's own"},
    {"split", KL_FIELD_STRING, ARG(split), "whitespace", .doc = "what separates tokens",
     .choices = "whitespace|character", .flags = KL_FIELD_OPTIONAL},
    {"split_function", KL_FIELD_POINTER, ARG(split_function), .doc = "one's own"},
    {"user", KL_FIELD_POINTER, ARG(user), .doc = "handed to the functions"},
    {"ngrams", KL_FIELD_INT, ARG(ngrams), .doc = "the longest n-gram", .min = 1, .max = 2147483647,
     .flags = KL_FIELD_OPTIONAL},
    {"ngrams_list", KL_FIELD_INTS, ARG(ngrams_list), .doc = "lengths of n-grams", .min = 1,
     .max = 2147483647, .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"output_mode", KL_FIELD_STRING, ARG(output_mode), "int", .doc = "what comes out",
     .choices = "int|one_hot|multi_hot|binary|count|tf_idf|tf-idf"},
    {"output_sequence_length", KL_FIELD_INT, ARG(output_sequence_length),
     .doc = "ids of a text are cut or padded to this many", .min = 0, .max = 2147483647,
     .flags = KL_FIELD_OPTIONAL},
    {"pad_to_max_tokens", KL_FIELD_BOOL, ARG(pad_to_max_tokens), "false",
     .doc = "rows have max_tokens entries"},
    {"vocabulary", KL_FIELD_STRINGS, ARG(vocabulary), .doc = "the tokens, most frequent first",
     .flags = KL_FIELD_OPTIONAL},
    {"vocabulary_file", KL_FIELD_STRING, ARG(vocabulary_file), .doc = "one token a line",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"idf_weights", KL_FIELD_FLOATS, ARG(idf_weights), .doc = "inverse document frequencies",
     .flags = KL_FIELD_OPTIONAL},
    {"sparse", KL_FIELD_BOOL, ARG(sparse), "false", .doc = "kept; values are dense"},
    {"ragged", KL_FIELD_BOOL, ARG(ragged), "false", .doc = "must be false"},
    {"encoding", KL_FIELD_STRING, ARG(encoding), "utf-8", .doc = "of the texts",
     .choices = "utf-8|UTF-8|utf8"},
    {"vocabulary_size", KL_FIELD_INT, ARG(vocabulary_size),
     .doc = "of a vocabulary still to be loaded", .min = 0, .max = 2147483647,
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"has_input_vocabulary", KL_FIELD_IGNORED, .doc = "follows from the vocabulary"},
    {0}};

static kl_status text_from_config(void *self, kl_config *config)
{
    if (kl_config_as_string(kl_config_get(config, "vocabulary")))
        return kl_error(KL_ERROR_INVALID,
                        "vocabulary: a config must not name a file to be read, got '%s'",
                        kl_config_as_string(kl_config_get(config, "vocabulary")));
    const kl_config *ngrams = kl_config_get(config, "ngrams");
    if (!ngrams || kl_config_typeof(ngrams) != KL_CONFIG_LIST)
        return KL_OK;
    return kl_config_set(config, "ngrams_list", kl_config_detach(config, "ngrams"));
}

static kl_status text_get_config(const void *self, kl_config *config)
{
    const text_state *s = kl_object_state(self);
    int64_t size = kl_lookup_size(&s->lookup), told = s->args.vocabulary_size;
    kl_status status = kl_config_set_int(config, "vocabulary_size",
                                         s->lookup.tokens.count || told == KL_NONE ? size : told);
    if (status || !s->args.ngrams_list.at)
        return status;
    kl_config *list = kl_config_new_list();
    for (size_t i = 0; list && i < s->args.ngrams_list.count; i++) {
        if (kl_config_append(list, kl_config_new_int(s->args.ngrams_list.at[i]))) {
            kl_config_free(list);
            list = NULL;
        }
    }
    return list ? kl_config_set(config, "ngrams", list) : kl_last_status();
}

static kl_status check_arguments(const text_state *s)
{
    const kl_text_vectorization_args *a = &s->args;
    if (a->ragged)
        return kl_error(KL_ERROR_UNSUPPORTED, "ragged=True is not supported: outputs are dense");
    if (a->pad_to_max_tokens && a->max_tokens == KL_NONE)
        return kl_error(KL_ERROR_INVALID, "if pad_to_max_tokens is True, max_tokens must be set");
    if (s->lookup.mode != KL_ENCODE_INT && a->output_sequence_length != KL_NONE)
        return kl_error(KL_ERROR_INVALID,
                        "output_sequence_length must not be set if output_mode is not 'int', got "
                        "%lld",
                        (long long)a->output_sequence_length);
    for (size_t i = 0; a->ngrams_list.at && i < a->ngrams_list.count; i++)
        if (a->ngrams_list.at[i] < 1)
            return kl_error(KL_ERROR_RANGE, "ngrams must be at least 1, got %lld",
                            (long long)a->ngrams_list.at[i]);
    if (s->lookup.mode == KL_ENCODE_INT && a->sparse)
        return kl_error(KL_ERROR_INVALID, "sparse may only be true if output_mode is not 'int'");
    if (a->vocabulary.at && a->vocabulary_file)
        return kl_error(KL_ERROR_INVALID, "vocabulary and vocabulary_file exclude each other");
    if (a->idf_weights.at && s->lookup.mode != KL_ENCODE_TF_IDF)
        return kl_error(KL_ERROR_INVALID, "idf_weights should only be set if output_mode is "
                                          "'tf_idf'");
    return KL_OK;
}

static kl_status set_options(text_state *s)
{
    const kl_text_vectorization_args *a = &s->args;
    kl_text_options *o = &s->options;
    bool standardizes = a->standardize && !a->standardize_function;
    kl_text_set_map(o, standardizes && strncmp(a->standardize, "lower", 5) == 0,
                    standardizes && strstr(a->standardize, "strip_punctuation"));
    o->split = !a->split                        ? KL_SPLIT_NONE
               : !strcmp(a->split, "character") ? KL_SPLIT_CHARACTER
                                                : KL_SPLIT_WHITESPACE;
    o->split_function = a->split_function;
    o->user = a->user;
    o->ngrams = a->ngrams_list.at;
    o->ngram_count = a->ngrams_list.count;
    if (a->ngrams_list.at || a->ngrams == KL_NONE)
        return KL_OK;
    s->ngrams = kl_malloc_array((size_t)a->ngrams, sizeof *s->ngrams);
    if (!s->ngrams)
        return KL_ERROR_MEMORY;
    for (int64_t i = 0; i < a->ngrams; i++)
        s->ngrams[i] = i + 1;
    o->ngrams = s->ngrams;
    o->ngram_count = (size_t)a->ngrams;
    return KL_OK;
}

static kl_status set_vocabulary(kl_layer *self)
{
    text_state *s = kl_layer_state(self);
    if (s->args.vocabulary_file)
        return kl_lookup_set_from_file(&s->lookup, s->args.vocabulary_file);
    if (!s->args.vocabulary.at)
        return KL_OK;
    kl_status status = kl_set_vocabulary(self, s->args.vocabulary, s->args.idf_weights);
    s->lookup.in_config = true;
    return status;
}

static kl_status text_init(void *self)
{
    text_state *s = kl_layer_state(self);
    const kl_text_vectorization_args *a = &s->args;
    s->lookup.mask = (kl_string){"", 0};
    s->lookup.oov = (kl_string){"[UNK]", 5};
    s->lookup.oov_count = 1;
    s->lookup.max_tokens = a->max_tokens;
    s->lookup.pad = a->pad_to_max_tokens;
    if (!kl_encode_mode_from_name(a->output_mode ? a->output_mode : "int", &s->lookup.mode))
        return kl_error(KL_ERROR_INVALID, "unknown output_mode '%s'", a->output_mode);
    kl_status status = check_arguments(s);
    if (!status)
        status = set_options(s);
    return status ? status : set_vocabulary(self);
}

static void text_destroy(void *self)
{
    text_state *s = kl_layer_state(self);
    kl_lookup_free(&s->lookup);
    for (int i = 0; i < LANES - 1; i++)
        kl_token_counts_clear(&s->lanes[i]);
    kl_free(s->ngrams);
}

/* Strings, standardized by the user's function if there is one. */
static kl_tensor *take_strings(const text_state *s, kl_tensor *x)
{
    if (x->dtype != KL_STRING) {
        kl_error(KL_ERROR_DTYPE, "expected strings, got %s", kl_dtype_name((kl_dtype)x->dtype));
        return NULL;
    }
    if (!s->args.standardize_function || !x->buffer)
        return x;
    kl_tensor *y = s->args.standardize_function(x, s->args.user);
    if (!y)
        return NULL;
    if (y->dtype == KL_STRING && kl_shape_equal(x, y))
        return y;
    kl_error(KL_ERROR_SHAPE, "standardize must return strings of its input's shape");
    return NULL;
}

/* ---- The call ------------------------------------------------------------------------------- */

static kl_status text_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                            int *output_count);

static kl_tensors shape_run(const kl_layer *self, const kl_tensor *x)
{
    kl_shape in = {.rank = x->rank, .dtype = KL_STRING}, out;
    int count;
    memcpy(in.at, x->shape, sizeof in.at);
    if (text_shape(self, &in, 1, &out, &count))
        return (kl_tensors){0};
    /* The longest text isn't known: a size that follows the batch's comes out as unknown. */
    for (int i = 0; i < out.rank; i++)
        if (out.at[i] < 0)
            out.at[i] = x->rank ? x->shape[0] : 1;
    return kl_one(kl_stand_in(out.dtype, out.rank, out.at));
}

/* Length of the rows; before the vocabulary is there, what the config told of it. */
static int64_t row_depth(const text_state *s)
{
    int64_t depth = kl_lookup_depth(&s->lookup), told = s->args.vocabulary_size;
    return depth < 0 && told != KL_NONE && told > kl_lookup_start(&s->lookup) ? told : depth;
}

static kl_tensors text_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const text_state *s = kl_layer_state(self);
    kl_tensor *x = take_strings(s, in.at[0]);
    kl_text_samples group;
    if (!x)
        return (kl_tensors){0};
    if (!x->buffer && (s->lookup.mode == KL_ENCODE_INT || row_depth(s) >= 0))
        return shape_run(self, x);
    if (kl_lookup_check_ready(&s->lookup))
        return (kl_tensors){0};
    if (!x->buffer)
        return shape_run(self, x);
    if (kl_text_group(&s->options, x->rank, x->shape, &group))
        return (kl_tensors){0};
    if (group.rank + 2 > KL_MAX_RANK) {
        kl_error(KL_ERROR_SHAPE, "the input has too many axes, %d", x->rank);
        return (kl_tensors){0};
    }
    kl_tensor *out =
        kl_text_encode(&s->options, &s->lookup, x, &group, s->args.output_sequence_length);
    /* 2.15 made floats of all rows. */
    if (out && self->legacy && s->lookup.mode != KL_ENCODE_INT)
        out = kl_op_cast(out, KL_FLOAT32);
    return out ? kl_one(out) : (kl_tensors){0};
}

/* The shape that Keras tells, which for rows of numbers keeps the last axis of [batch, 1]. */
static kl_status text_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                            int *output_count)
{
    const text_state *s = kl_layer_state(self);
    const kl_lookup *l = &s->lookup;
    kl_shape shape = in[0];
    *output_count = 1;
    shape.dtype = l->mode == KL_ENCODE_INT ? KL_INT64 : KL_FLOAT32;
    if (l->mode == KL_ENCODE_INT) {
        int64_t fixed = s->args.output_sequence_length;
        out[0] = (kl_shape){.rank = 2,
                            .at = {shape.rank ? shape.at[0] : -1, fixed == KL_NONE ? -1 : fixed},
                            .dtype = KL_INT64};
        return KL_OK;
    }
    if (shape.rank + 2 > KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "the input has too many axes, %d", shape.rank);
    if (kl_text_splits(&s->options))
        shape.at[shape.rank++] = -1;
    else if (shape.rank <= 1)
        shape.at[shape.rank++] = 1;
    bool replaces =
        l->mode != KL_ENCODE_ONE_HOT || (shape.rank > 1 && shape.at[shape.rank - 1] == 1);
    if (!replaces)
        shape.rank++;
    shape.at[shape.rank - 1] = row_depth(s);
    out[0] = shape;
    return KL_OK;
}

/* ---- Learning ------------------------------------------------------------------------------- */

static void forget(text_state *s)
{
    kl_lookup_forget(&s->lookup);
    for (int i = 0; i < LANES - 1; i++)
        kl_token_counts_clear(&s->lanes[i]);
}

static kl_status text_adapt_reset(kl_layer *self)
{
    text_state *s = kl_layer_state(self);
    if (s->args.vocabulary.at || s->args.vocabulary_file)
        return kl_error(KL_ERROR_STATE,
                        "adapt can't be called on a layer that was given its vocabulary");
    forget(s);
    return KL_OK;
}

static kl_status text_adapt_update(kl_layer *self, kl_tensor *batch)
{
    text_state *s = kl_layer_state(self);
    kl_tensor *x = take_strings(s, batch);
    kl_text_samples group;
    if (!x)
        return kl_last_status();
    /* A list of texts is a column of them: each is a document of its own. */
    int64_t column[2] = {x->rank == 1 ? x->shape[0] : 1, 1};
    kl_status status = x->rank == 1 ? kl_text_group(&s->options, 2, column, &group)
                                    : kl_text_group(&s->options, x->rank, x->shape, &group);
    if (status)
        return status;
    kl_token_counts *lanes[LANES] = {&s->lookup.counts};
    for (int i = 1; i < LANES; i++)
        lanes[i] = &s->lanes[i - 1];
    return kl_text_count(&s->options, x, &group, lanes, LANES);
}

static kl_status text_adapt_finish(kl_layer *self)
{
    text_state *s = kl_layer_state(self);
    bool good = true;
    for (int i = 0; good && i < LANES - 1; i++)
        good = kl_token_counts_merge(&s->lookup.counts, &s->lanes[i]);
    kl_status status = good ? kl_lookup_learn(&s->lookup) : kl_last_status();
    forget(s);
    return status;
}

const kl_layer_vtable kl_text_vectorization_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "TextVectorization",
    .state_size = sizeof(text_state),
    .args_size = sizeof(kl_text_vectorization_args),
    .fields = text_fields,
    .init = text_init,
    .get_config = text_get_config,
    .from_config = text_from_config,
    .destroy = text_destroy,
    .call = text_call,
    .output_shape = text_shape,
    .adapt_reset = text_adapt_reset,
    .adapt_update = text_adapt_update,
    .adapt_finish = text_adapt_finish,
    .save_assets = kl_lookup_save_assets,
    .load_assets = kl_lookup_load_assets,
    .save_values = kl_lookup_save_values,
    .load_values = kl_lookup_load_values,
    .flags = KL_LAYER_NO_AUTOCAST,
};

KL_DEFINE_LAYER(kl_text_vectorization)
