#include <string.h>

#include "base/alloc.h"
#include "klayers/layers/preprocessing.h"
#include "layers/layer.h"
#include "layers/preprocessing/lookup.h"
#include "layers/preprocessing/text.h"
#include "tensor/tensor.h"

typedef struct text_state {
    kl_text_vectorization_args args;
    kl_lookup lookup;
    kl_text_options options;
    int64_t *ngrams; /* owned: 1..args.ngrams */
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
    if (s->lookup.mode != KL_LOOKUP_INT && a->output_sequence_length != KL_NONE)
        return kl_error(KL_ERROR_INVALID,
                        "output_sequence_length must not be set if output_mode is not 'int', got "
                        "%lld",
                        (long long)a->output_sequence_length);
    if (s->lookup.mode == KL_LOOKUP_INT && a->sparse)
        return kl_error(KL_ERROR_INVALID, "sparse may only be true if output_mode is not 'int'");
    if (a->vocabulary.at && a->vocabulary_file)
        return kl_error(KL_ERROR_INVALID, "vocabulary and vocabulary_file exclude each other");
    if (a->idf_weights.at && s->lookup.mode != KL_LOOKUP_TF_IDF)
        return kl_error(KL_ERROR_INVALID, "idf_weights should only be set if output_mode is "
                                          "'tf_idf'");
    return KL_OK;
}

static kl_status set_options(text_state *s)
{
    const kl_text_vectorization_args *a = &s->args;
    kl_text_options *o = &s->options;
    o->lower = a->standardize && strncmp(a->standardize, "lower", 5) == 0;
    o->strip_punctuation = a->standardize && strstr(a->standardize, "strip_punctuation");
    o->split = !a->split                        ? KL_SPLIT_NONE
               : !strcmp(a->split, "character") ? KL_SPLIT_CHARACTER
                                                : KL_SPLIT_WHITESPACE;
    if (a->standardize_function)
        o->lower = o->strip_punctuation = false;
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
    s->lookup.mask_token = "";
    s->lookup.oov_token = "[UNK]";
    s->lookup.oov_count = 1;
    s->lookup.max_tokens = a->max_tokens;
    s->lookup.pad = a->pad_to_max_tokens;
    if (!kl_lookup_mode_from_name(a->output_mode ? a->output_mode : "int", &s->lookup.mode))
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
    kl_free(s->ngrams);
}

static bool splits(const text_state *s)
{
    return s->options.split != KL_SPLIT_NONE || s->options.split_function;
}

/* ---- Samples -------------------------------------------------------------------------------- */

/* How the elements of an input are grouped into samples, which have a token axis of their own. */
typedef struct samples {
    int rank; /* of the axes before the tokens' */
    int64_t shape[KL_MAX_RANK];
    int64_t count, texts; /* samples, and texts of each */
} samples;

static kl_status group_samples(const text_state *s, int rank, const int64_t *shape, samples *out)
{
    *out = (samples){.count = 1, .texts = 1};
    if (splits(s)) {
        if (rank > 1 && shape[rank - 1] != 1)
            return kl_error(KL_ERROR_SHAPE,
                            "when splitting texts, the input's rank must be 1 or its last "
                            "dimension 1, got rank %d with last dimension %lld",
                            rank, (long long)shape[rank - 1]);
        out->rank = rank > 1 ? rank - 1 : rank;
    } else if (rank > 0) {
        out->rank = rank - 1;
        out->texts = shape[rank - 1];
    }
    for (int i = 0; i < out->rank; i++) {
        out->shape[i] = shape[i];
        out->count *= shape[i];
    }
    return KL_OK;
}

/* The tokens of sample `index`; false when memory ran out. */
static kl_status read_sample(const text_state *s, const kl_tensor *x, const samples *group,
                             int64_t index, kl_token_row *row)
{
    kl_token_row_clear(row);
    for (int64_t i = 0; i < group->texts && !row->failed; i++)
        kl_token_row_add_text(row, &s->options, kl_tensor_string_at(x, index * group->texts + i));
    kl_token_row_make_ngrams(row, &s->options);
    return row->failed ? KL_ERROR_MEMORY : KL_OK;
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

/* All samples' ids, one after another. */
typedef struct id_rows {
    int64_t *ids, count, capacity;
    int64_t *ends; /* by sample */
    int64_t longest;
} id_rows;

static kl_status add_id(id_rows *rows, int64_t id)
{
    if (rows->count == rows->capacity) {
        int64_t capacity = rows->capacity ? 2 * rows->capacity : 256;
        int64_t *grown = kl_realloc_array(rows->ids, (size_t)capacity, sizeof *grown);
        if (!grown)
            return KL_ERROR_MEMORY;
        rows->ids = grown;
        rows->capacity = capacity;
    }
    rows->ids[rows->count++] = id;
    return KL_OK;
}

static kl_status find_ids(const text_state *s, const kl_tensor *x, const samples *group,
                          id_rows *rows)
{
    kl_token_row row = {0};
    rows->ends = kl_malloc_array((size_t)group->count + 1, sizeof *rows->ends);
    kl_status status = rows->ends ? KL_OK : KL_ERROR_MEMORY;
    for (int64_t i = 0; !status && i < group->count; i++) {
        status = read_sample(s, x, group, i, &row);
        for (size_t k = 0; !status && k < row.count; k++)
            status = add_id(rows, kl_lookup_id(&s->lookup, kl_token_row_at(&row, k)));
        rows->ends[i] = rows->count;
        if (!status && (int64_t)row.count > rows->longest)
            rows->longest = (int64_t)row.count;
    }
    kl_token_row_free(&row);
    return status;
}

static kl_tensor *put_ints(const samples *group, const id_rows *rows, int rank,
                           const int64_t *shape, int64_t width)
{
    kl_tensor *out = kl_zeros(KL_INT64, rank, shape);
    int64_t *to = out ? (int64_t *)(void *)out->data : NULL, from = 0;
    for (int64_t i = 0; to && i < group->count; i++) {
        for (int64_t k = 0; k < width && from + k < rows->ends[i]; k++)
            to[i * width + k] = rows->ids[from + k];
        from = rows->ends[i];
    }
    return out;
}

static kl_tensor *put_one_hot(const samples *group, const id_rows *rows, int rank,
                              const int64_t *shape, int64_t depth)
{
    kl_tensor *out = kl_zeros(KL_INT64, rank, shape);
    int64_t *to = out ? (int64_t *)(void *)out->data : NULL, from = 0;
    for (int64_t i = 0; to && i < group->count; i++) {
        for (int64_t k = 0; from + k < rows->ends[i]; k++) {
            int64_t id = rows->ids[from + k];
            if (id >= 0 && id < depth)
                to[(i * rows->longest + k) * depth + id] = 1;
        }
        from = rows->ends[i];
    }
    return out;
}

static kl_tensor *put_counts(const kl_lookup *l, const samples *group, const id_rows *rows,
                             int rank, const int64_t *shape, int64_t depth)
{
    bool weighs = l->mode == KL_LOOKUP_TF_IDF;
    kl_tensor *out = kl_zeros(weighs ? KL_FLOAT32 : KL_INT64, rank, shape);
    for (int64_t i = 0, k = 0; out && i < group->count; i++) {
        for (; k < rows->ends[i]; k++) {
            int64_t id = rows->ids[k];
            if (id < 0 || id >= depth)
                continue;
            int64_t *whole = (int64_t *)(void *)out->data + i * depth + id;
            if (weighs)
                ((float *)(void *)out->data)[i * depth + id] += 1;
            else
                *whole = l->mode == KL_LOOKUP_COUNT ? *whole + 1 : 1;
        }
        for (int64_t d = 0; weighs && d < depth; d++)
            ((float *)(void *)out->data)[i * depth + d] *= l->idf[d];
    }
    return out;
}

static kl_tensor *encode(const text_state *s, const kl_tensor *x, const samples *group,
                         const id_rows *rows)
{
    const kl_lookup *l = &s->lookup;
    int64_t shape[KL_MAX_RANK + 2], depth = kl_lookup_depth(l), width = rows->longest;
    int rank = group->rank;
    memcpy(shape, group->shape, sizeof group->shape);
    bool dense = !splits(s);
    if (l->mode == KL_LOOKUP_INT) {
        int64_t fixed = s->args.output_sequence_length;
        width = fixed == KL_NONE ? width : fixed;
        if (!dense || x->rank > 0 || fixed != KL_NONE)
            shape[rank++] = width;
        return put_ints(group, rows, rank, shape, width);
    }
    if (l->mode == KL_LOOKUP_ONE_HOT) {
        if (!(dense && ((x->rank > 1 && width == 1) || !x->rank)))
            shape[rank++] = width;
        shape[rank++] = depth;
        return put_one_hot(group, rows, rank, shape, depth);
    }
    shape[rank++] = depth;
    return put_counts(l, group, rows, rank, shape, depth);
}

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

static kl_status check_ready(const kl_lookup *l)
{
    if (l->mode == KL_LOOKUP_INT)
        return KL_OK;
    if (kl_lookup_depth(l) < 0)
        return kl_error(KL_ERROR_STATE,
                        "with this output_mode and without pad_to_max_tokens the vocabulary must "
                        "be set before the layer is called: pass `vocabulary`, or call adapt");
    if (l->mode == KL_LOOKUP_TF_IDF && l->idf_count < kl_lookup_depth(l))
        return kl_error(KL_ERROR_STATE, "with output_mode tf_idf, idf_weights must be provided");
    return KL_OK;
}

static kl_tensors text_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const text_state *s = kl_layer_state(self);
    kl_tensor *x = take_strings(s, in.at[0]);
    samples group;
    if (!x)
        return (kl_tensors){0};
    if (!x->buffer && row_depth(s) >= 0)
        return shape_run(self, x);
    if (check_ready(&s->lookup))
        return (kl_tensors){0};
    if (!x->buffer)
        return shape_run(self, x);
    if (group_samples(s, x->rank, x->shape, &group))
        return (kl_tensors){0};
    id_rows rows = {0};
    kl_tensor *out = NULL;
    if (group.rank + 2 > KL_MAX_RANK)
        kl_error(KL_ERROR_SHAPE, "the input has too many axes, %d", x->rank);
    else if (!find_ids(s, x, &group, &rows))
        out = encode(s, x, &group, &rows);
    kl_free(rows.ids);
    kl_free(rows.ends);
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
    shape.dtype = l->mode == KL_LOOKUP_INT ? KL_INT64 : KL_FLOAT32;
    if (l->mode == KL_LOOKUP_INT) {
        int64_t fixed = s->args.output_sequence_length;
        out[0] = (kl_shape){.rank = 2,
                            .at = {shape.rank ? shape.at[0] : -1, fixed == KL_NONE ? -1 : fixed},
                            .dtype = KL_INT64};
        return KL_OK;
    }
    if (shape.rank + 2 > KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "the input has too many axes, %d", shape.rank);
    if (splits(s))
        shape.at[shape.rank++] = -1;
    else if (shape.rank <= 1)
        shape.at[shape.rank++] = 1;
    bool replaces =
        l->mode != KL_LOOKUP_ONE_HOT || (shape.rank > 1 && shape.at[shape.rank - 1] == 1);
    if (!replaces)
        shape.rank++;
    shape.at[shape.rank - 1] = row_depth(s);
    out[0] = shape;
    return KL_OK;
}

/* ---- Learning ------------------------------------------------------------------------------- */

static kl_status text_adapt_reset(kl_layer *self)
{
    text_state *s = kl_layer_state(self);
    if (s->args.vocabulary.at || s->args.vocabulary_file)
        return kl_error(KL_ERROR_STATE,
                        "adapt can't be called on a layer that was given its vocabulary");
    kl_lookup_forget(&s->lookup);
    return KL_OK;
}

static kl_status text_adapt_update(kl_layer *self, kl_tensor *batch)
{
    text_state *s = kl_layer_state(self);
    kl_tensor *x = take_strings(s, batch);
    samples group;
    if (!x)
        return kl_last_status();
    /* A list of texts is a column of them: each is a document of its own. */
    int64_t column[2] = {x->rank == 1 ? x->shape[0] : 1, 1};
    kl_status status = x->rank == 1 ? group_samples(s, 2, column, &group)
                                    : group_samples(s, x->rank, x->shape, &group);
    kl_token_row row = {0};
    for (int64_t i = 0; !status && i < group.count; i++) {
        status = read_sample(s, x, &group, i, &row);
        for (size_t k = 0; !status && k < row.count; k++)
            status =
                kl_lookup_count(&s->lookup, kl_token_row_at(&row, k), s->lookup.counts.documents);
        s->lookup.counts.documents++;
    }
    kl_token_row_free(&row);
    return status;
}

static kl_status text_adapt_finish(kl_layer *self)
{
    text_state *s = kl_layer_state(self);
    return kl_lookup_learn(&s->lookup);
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
    .flags = KL_LAYER_NO_AUTOCAST,
};

KL_DEFINE_LAYER(kl_text_vectorization)
