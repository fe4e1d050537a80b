/* StringLookup and IntegerLookup: one layer over two kinds of tokens. */
#include <string.h>

#include "base/alloc.h"
#include "base/thread_pool.h"
#include "klayers/layers/preprocessing.h"
#include "layers/preprocessing/lookup.h"
#include "tensor/tensor.h"

/* What the two classes' arguments share. */
typedef struct lookup_options {
    int64_t max_tokens, num_oov_indices;
    kl_floats idf_weights;
    bool invert;
    const char *output_mode;
    bool sparse, pad_to_max_tokens;
    const char *oov_method;
    kl_ints salt;
    const char *vocabulary_file;
    int64_t vocabulary_size;
    bool given;
} lookup_options;

#define LOOKUP_OPTIONS(a)                                                                          \
    ((lookup_options){(a).max_tokens, (a).num_oov_indices, (a).idf_weights, (a).invert,            \
                      (a).output_mode, (a).sparse, (a).pad_to_max_tokens, (a).oov_method,          \
                      (a).salt, (a).vocabulary_file, (a).vocabulary_size,                          \
                      (a).vocabulary.at != NULL})

typedef struct string_state {
    kl_string_lookup_args args;
    kl_lookup lookup;
} string_state;
_Static_assert(offsetof(string_state, lookup) == sizeof(kl_string_lookup_args),
               "where the vocabulary's functions find it");

typedef struct integer_state {
    kl_integer_lookup_args args;
    kl_lookup lookup;
} integer_state;
_Static_assert(offsetof(integer_state, lookup) == sizeof(kl_integer_lookup_args),
               "where the vocabulary's functions find it");

// clang-format off
#define LOOKUP_FIELDS(type)                                                                        \
    {"max_tokens", KL_FIELD_INT, offsetof(type, max_tokens), .doc = "the largest vocabulary",      \
     .min = 2, .max = 2147483647, .alias = "max_values", .flags = KL_FIELD_OPTIONAL},              \
    {"num_oov_indices", KL_FIELD_INT, offsetof(type, num_oov_indices), "1",                        \
     .doc = "ids for unknown tokens", .min = 0, .max = 2147483647},                                \
    {"vocabulary_file", KL_FIELD_STRING, offsetof(type, vocabulary_file),                          \
     .doc = "one token a line", .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},                     \
    {"idf_weights", KL_FIELD_FLOATS, offsetof(type, idf_weights),                                  \
     .doc = "inverse document frequencies", .flags = KL_FIELD_OPTIONAL},                           \
    {"invert", KL_FIELD_BOOL, offsetof(type, invert), "false", .doc = "ids to tokens"},            \
    {"output_mode", KL_FIELD_STRING, offsetof(type, output_mode), "int",                           \
     .doc = "what comes out", .choices = "int|one_hot|multi_hot|binary|count|tf_idf|tf-idf"},      \
    {"sparse", KL_FIELD_BOOL, offsetof(type, sparse), "false", .doc = "kept; values are dense"},   \
    {"pad_to_max_tokens", KL_FIELD_BOOL, offsetof(type, pad_to_max_tokens), "false",               \
     .doc = "rows have max_tokens entries"},                                                       \
    {"oov_method", KL_FIELD_STRING, offsetof(type, oov_method), "floormod",                        \
     .doc = "how unknown numbers find their id", .choices = "floormod|farmhash"},                  \
    {"salt", KL_FIELD_INTS, offsetof(type, salt), .doc = "the key of another hash",                \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
    {"vocabulary_size", KL_FIELD_INT, offsetof(type, vocabulary_size),                             \
     .doc = "of a vocabulary still to be loaded", .min = 0, .max = 2147483647,                     \
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},                                                \
    {"has_input_vocabulary", KL_FIELD_IGNORED, .doc = "follows from the vocabulary"},              \
    {"has_static_table", KL_FIELD_IGNORED, .doc = "old"}

static const kl_field string_fields[] = {
    LOOKUP_FIELDS(kl_string_lookup_args),
    {"mask_token", KL_FIELD_STRING, offsetof(kl_string_lookup_args, mask_token),
     .doc = "the token of padding", .flags = KL_FIELD_OPTIONAL},
    {"oov_token", KL_FIELD_STRING, offsetof(kl_string_lookup_args, oov_token), "[UNK]",
     .doc = "what unknown ids become", .flags = KL_FIELD_OPTIONAL},
    {"vocabulary", KL_FIELD_STRINGS, offsetof(kl_string_lookup_args, vocabulary),
     .doc = "the tokens in order of their ids", .flags = KL_FIELD_OPTIONAL},
    {"encoding", KL_FIELD_STRING, offsetof(kl_string_lookup_args, encoding), "utf-8",
     .doc = "of the tokens", .flags = KL_FIELD_OPTIONAL},
    {0}};

static const kl_field integer_fields[] = {
    LOOKUP_FIELDS(kl_integer_lookup_args),
    {"mask_token", KL_FIELD_INT, offsetof(kl_integer_lookup_args, mask_token),
     .doc = "the token of padding", .alias = "mask_value", .flags = KL_FIELD_OPTIONAL},
    {"oov_token", KL_FIELD_INT, offsetof(kl_integer_lookup_args, oov_token), "-1",
     .doc = "what unknown ids become", .alias = "oov_value", .flags = KL_FIELD_OPTIONAL},
    {"vocabulary", KL_FIELD_INTS, offsetof(kl_integer_lookup_args, vocabulary),
     .doc = "the tokens in order of their ids", .flags = KL_FIELD_OPTIONAL},
    {"vocabulary_dtype", KL_FIELD_STRING, offsetof(kl_integer_lookup_args, vocabulary_dtype),
     "int64", .doc = "of the tokens", .choices = "int64|int32"},
    {0}};
// clang-format on

static lookup_options options_of(const kl_layer *self)
{
    const string_state *s = kl_layer_state(self);
    const integer_state *i = kl_layer_state(self);
    return kl_lookup_of("options", self)->numbers ? LOOKUP_OPTIONS(i->args)
                                                  : LOOKUP_OPTIONS(s->args);
}

/* ---- Making --------------------------------------------------------------------------------- */

static kl_status lookup_from_config(void *self, kl_config *config)
{
    const kl_config *vocabulary = kl_config_get(config, "vocabulary");
    if (vocabulary && kl_config_as_string(vocabulary))
        return kl_error(KL_ERROR_INVALID,
                        "vocabulary: a config must not name a file to be read, got '%s'",
                        kl_config_as_string(vocabulary));
    return KL_OK;
}

static kl_status lookup_get_config(const void *self, kl_config *config)
{
    const kl_layer *layer = self;
    const kl_lookup *l = kl_lookup_of("get_config", layer);
    lookup_options o = options_of(layer);
    int64_t size = l->tokens.count ? kl_lookup_size(l) : o.vocabulary_size;
    kl_status status =
        kl_config_set(config, "vocabulary_size",
                      size == KL_NONE ? kl_config_new_null() : kl_config_new_int(size));
    if (!status && o.salt.count == 1) {
        kl_config *pair = kl_config_new_list();
        for (int i = 0; pair && !status && i < 2; i++)
            status = kl_config_append(pair, kl_config_new_int(o.salt.at[0]));
        status = pair && !status ? kl_config_set(config, "salt", pair) : kl_last_status();
    }
    return status;
}

static kl_status check_options(const lookup_options *o, const kl_lookup *l)
{
    if (o->pad_to_max_tokens && o->max_tokens == KL_NONE)
        return kl_error(KL_ERROR_INVALID, "if pad_to_max_tokens is True, max_tokens must be set");
    if (o->invert && l->mode != KL_ENCODE_INT)
        return kl_error(KL_ERROR_INVALID, "output_mode must be 'int' when invert is true, got '%s'",
                        o->output_mode);
    if (o->invert && !l->oov.at)
        return kl_error(KL_ERROR_INVALID, "invert needs an oov_token");
    if (o->salt.at && l->numbers && strcmp(o->oov_method, "farmhash") != 0)
        return kl_error(KL_ERROR_INVALID,
                        "salt can only be used with oov_method 'farmhash', got "
                        "'%s'",
                        o->oov_method);
    if (o->salt.at && (o->salt.count < 1 || o->salt.count > 2))
        return kl_error(KL_ERROR_INVALID, "salt must be one number or two, got %zu", o->salt.count);
    if (o->given && o->vocabulary_file)
        return kl_error(KL_ERROR_INVALID, "vocabulary and vocabulary_file exclude each other");
    if (o->idf_weights.at && l->mode != KL_ENCODE_TF_IDF)
        return kl_error(KL_ERROR_INVALID, "idf_weights should only be set if output_mode is "
                                          "'tf_idf'");
    return kl_encode_check_sparse(l->mode, o->sparse);
}

/* 2.15 gave its layers a dtype of their own. */
static kl_status take_legacy_dtype(kl_layer *self, const kl_lookup *l)
{
    if (!self->legacy || l->mode != KL_ENCODE_INT || kl_dtype_is_integer(self->compute_dtype))
        return KL_OK;
    if (self->compute_dtype == KL_STRING)
        return kl_layer_set_policy(self, "int64");
    return kl_error(KL_ERROR_INVALID,
                    "with output_mode 'int' the dtype must be an integer type, "
                    "got %s",
                    self->policy);
}

static kl_status start_lookup(kl_layer *self, kl_lookup *l, const lookup_options *o)
{
    if (!kl_encode_mode_from_name(o->output_mode, &l->mode))
        return kl_error(KL_ERROR_INVALID, "unknown output_mode '%s'", o->output_mode);
    l->invert = o->invert;
    l->oov_count = o->num_oov_indices;
    l->max_tokens = o->max_tokens;
    l->pad = o->pad_to_max_tokens;
    l->remainder = l->numbers && !strcmp(o->oov_method, "floormod");
    kl_status status = check_options(o, l);
    if (!status && l->oov_count > 0)
        status = kl_hash_bins_set(&l->oov_bins, l->oov_count, o->salt);
    return status ? status : take_legacy_dtype(self, l);
}

static kl_status string_init(void *self)
{
    string_state *s = kl_layer_state(self);
    kl_string_lookup_args *a = &s->args;
    if (a->mask_token)
        s->lookup.mask = (kl_string){a->mask_token, strlen(a->mask_token)};
    if (a->oov_token)
        s->lookup.oov = (kl_string){a->oov_token, strlen(a->oov_token)};
    lookup_options o = LOOKUP_OPTIONS(*a);
    kl_status status = start_lookup(self, &s->lookup, &o);
    if (!status && a->vocabulary_file)
        return kl_lookup_set_from_file(&s->lookup, a->vocabulary_file);
    if (!status && a->vocabulary.at) {
        status = kl_set_vocabulary(self, a->vocabulary, a->idf_weights);
        s->lookup.in_config = true;
    }
    return status;
}

static kl_status integer_init(void *self)
{
    integer_state *s = kl_layer_state(self);
    kl_integer_lookup_args *a = &s->args;
    const kl_layer *layer = self;
    s->lookup.numbers = true;
    if (a->mask_token != KL_NONE)
        s->lookup.mask = kl_number_token(&a->mask_token);
    if (a->oov_token != KL_NONE)
        s->lookup.oov = kl_number_token(&a->oov_token);
    if (strcmp(a->vocabulary_dtype, "int64") != 0 && !layer->legacy)
        return kl_error(KL_ERROR_INVALID, "vocabulary_dtype must be 'int64', got '%s'",
                        a->vocabulary_dtype);
    lookup_options o = LOOKUP_OPTIONS(*a);
    kl_status status = start_lookup(self, &s->lookup, &o);
    if (!status && a->vocabulary_file)
        return kl_lookup_set_from_file(&s->lookup, a->vocabulary_file);
    if (!status && a->vocabulary.at) {
        status = kl_set_vocabulary_numbers(self, a->vocabulary, a->idf_weights);
        s->lookup.in_config = true;
    }
    return status;
}

static void lookup_destroy(void *self)
{
    kl_lookup *l = kl_lookup_of("destroy", self);
    if (l)
        kl_lookup_free(l);
}

/* ---- The call ------------------------------------------------------------------------------- */

typedef struct lookup_job {
    const kl_lookup *l;
    const kl_tensor *x;
    int64_t *out;
    kl_split split;
} lookup_job;

static void look_up(void *arg, int64_t chunk)
{
    enum { BLOCK = 128 };
    const lookup_job *j = arg;
    int64_t begin = kl_split_begin(j->split, chunk), end = kl_split_begin(j->split, chunk + 1);
    if (!j->l->numbers) {
        const kl_string *tokens = (const kl_string *)(const void *)j->x->data;
        kl_lookup_ids(j->l, tokens + begin, (size_t)(end - begin), j->out + begin);
        return;
    }
    int64_t values[BLOCK];
    for (; begin < end; begin += BLOCK) {
        int64_t count = end - begin < BLOCK ? end - begin : BLOCK;
        kl_read_whole(j->x, begin, count, values);
        kl_lookup_number_ids(j->l, values, (size_t)count, j->out + begin);
    }
}

static kl_status check_known(const kl_lookup *l, const kl_tensor *x, const int64_t *ids)
{
    for (int64_t i = 0; !l->oov_count && i < x->size; i++) {
        if (ids[i] >= 0)
            continue;
        int64_t number = 0;
        char room[24];
        if (l->numbers)
            kl_read_whole(x, i, 1, &number);
        kl_string token = l->numbers ? kl_decimal(number, room) : kl_tensor_string_at(x, i);
        return kl_error(KL_ERROR_INVALID,
                        "with num_oov_indices 0 all inputs must be in the vocabulary, got \"%.*s\"",
                        (int)(token.length < 60 ? token.length : 60), token.at);
    }
    return KL_OK;
}

static kl_tensor *ids_of(const kl_lookup *l, const kl_tensor *x)
{
    kl_tensor *ids = kl_empty(KL_INT64, x->rank, x->shape);
    if (!ids)
        return NULL;
    lookup_job job = {l, x, (int64_t *)(void *)ids->data, kl_split_make(x->size, 1024)};
    kl_parallel_for(job.split.chunks, look_up, &job);
    return check_known(l, x, job.out) ? NULL : ids;
}

static kl_string token_of(const kl_lookup *l, int64_t id)
{
    int64_t start = kl_lookup_start(l);
    if (id >= start && id - start < l->tokens.count)
        return l->tokens.keys[id - start];
    return id == 0 && l->mask.at ? l->mask : l->oov;
}

static kl_tensor *tokens_of(const kl_lookup *l, const kl_tensor *x, kl_dtype dtype)
{
    kl_string_builder builder = {0};
    kl_tensor *out = l->numbers ? kl_empty(KL_INT64, x->rank, x->shape) : NULL;
    int64_t *to = out ? (int64_t *)(void *)out->data : NULL;
    if (l->numbers && !out)
        return NULL;
    for (int64_t i = 0; i < x->size; i++) {
        int64_t id;
        kl_read_whole(x, i, 1, &id);
        kl_string token = token_of(l, id);
        if (to)
            to[i] = kl_token_number(token);
        else
            kl_string_builder_add(&builder, token.at, token.length);
    }
    if (!to)
        return kl_string_builder_finish(&builder, x->rank, x->shape);
    return dtype == KL_INT64 ? out : kl_op_cast(out, dtype);
}

static kl_dtype token_dtype(const kl_layer *self)
{
    const integer_state *s = kl_layer_state(self);
    if (!kl_lookup_of("call", self)->numbers)
        return KL_STRING;
    return strcmp(s->args.vocabulary_dtype, "int32") ? KL_INT64 : KL_INT32;
}

static kl_encoding encoding_of(const kl_layer *self)
{
    const kl_lookup *l = kl_lookup_of("call", self);
    int64_t told = options_of(self).vocabulary_size, depth = kl_lookup_depth(l);
    if (depth < 0 && told != KL_NONE && told > kl_lookup_start(l))
        depth = told;
    kl_dtype dtype = l->mode == KL_ENCODE_TF_IDF ? KL_FLOAT32 : KL_INT64;
    return (kl_encoding){.mode = l->mode,
                         .depth = depth,
                         .dtype = self->legacy ? kl_layer_compute_dtype(self) : dtype,
                         .legacy = self->legacy,
                         .idf = l->idf};
}

static kl_tensor *without_value(const kl_layer *self, const kl_encoding *e, const kl_tensor *x)
{
    if (kl_lookup_of("call", self)->invert)
        return kl_stand_in(token_dtype(self), x->rank, x->shape);
    if (e->mode != KL_ENCODE_INT && e->depth < 0) {
        kl_error(KL_ERROR_STATE, "the vocabulary must be set before the layer is called: pass "
                                 "`vocabulary`, or call adapt");
        return NULL;
    }
    return kl_encode(e, kl_stand_in(KL_INT64, x->rank, x->shape), NULL);
}

static kl_tensors lookup_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const kl_lookup *l = kl_lookup_of("call", self);
    kl_encoding e = encoding_of(self);
    kl_tensor *x = in.at[0], *out = NULL;
    bool text = x->dtype == KL_STRING;
    if (text != (!l->numbers && !l->invert)) {
        kl_error(KL_ERROR_DTYPE, "expected %s, got %s", text ? "numbers" : "strings",
                 kl_dtype_name((kl_dtype)x->dtype));
        return (kl_tensors){0};
    }
    if (!x->buffer)
        out = without_value(self, &e, x);
    else if (!kl_lookup_check_ready(l) && (x = kl_contiguous(x)))
        out = l->invert ? tokens_of(l, x, token_dtype(self)) : kl_encode(&e, ids_of(l, x), NULL);
    return out ? kl_one(out) : (kl_tensors){0};
}

/* The shape that Keras tells, where rows gather the last axis. */
static kl_status lookup_shape(const kl_layer *self, const kl_shape *in, int count, kl_shape *out,
                              int *output_count)
{
    kl_encoding e = encoding_of(self);
    kl_shape shape = in[0];
    *output_count = 1;
    shape.dtype = kl_lookup_of("output_shape", self)->invert ? token_dtype(self) : e.dtype;
    if (e.mode != KL_ENCODE_INT) {
        bool adds = e.mode == KL_ENCODE_ONE_HOT && shape.rank &&
                    (shape.rank == 1 || shape.at[shape.rank - 1] != 1);
        if (shape.rank + adds > KL_MAX_RANK)
            return kl_error(KL_ERROR_SHAPE, "the input has too many axes, %d", shape.rank);
        if (!shape.rank || adds)
            shape.rank++;
        shape.at[shape.rank - 1] = e.depth;
    }
    out[0] = shape;
    return KL_OK;
}

/* ---- Learning ------------------------------------------------------------------------------- */

static kl_status lookup_adapt_reset(kl_layer *self)
{
    kl_lookup *l = kl_lookup_of("adapt", self);
    if (l->in_config || options_of(self).vocabulary_file)
        return kl_error(KL_ERROR_STATE,
                        "adapt can't be called on a layer that was given its vocabulary");
    kl_lookup_forget(l);
    return KL_OK;
}

/* Numbers are counted in blocks as the bytes that they are. */
static kl_status count_numbers(kl_lookup *l, const kl_tensor *x, int64_t each)
{
    int64_t block = 1 << 18;
    if (each > 0)
        block = each > block ? each : block / each * each;
    if (block > x->size)
        block = x->size;
    int64_t *values = kl_malloc_array((size_t)block + 1, sizeof *values);
    kl_string *tokens = kl_malloc_array((size_t)block + 1, sizeof *tokens);
    kl_status status = values && tokens ? KL_OK : KL_ERROR_MEMORY;
    for (int64_t i = 0; !status && i < block; i++)
        tokens[i] = kl_number_token(&values[i]);
    for (int64_t begin = 0; !status && begin < x->size; begin += block) {
        int64_t count = x->size - begin < block ? x->size - begin : block;
        kl_read_whole(x, begin, count, values);
        status = kl_lookup_count(l, tokens, count, each);
    }
    kl_free(values);
    kl_free(tokens);
    return status;
}

static kl_status lookup_adapt_update(kl_layer *self, kl_tensor *batch)
{
    kl_lookup *l = kl_lookup_of("adapt", self);
    if ((batch->dtype == KL_STRING) == l->numbers)
        return kl_error(KL_ERROR_DTYPE, "adapt: expected %s, got %s",
                        l->numbers ? "numbers" : "strings", kl_dtype_name((kl_dtype)batch->dtype));
    if (batch->rank > 2 && l->mode == KL_ENCODE_TF_IDF)
        return kl_error(KL_ERROR_SHAPE, "adapt: tf_idf takes data of at most 2 axes, got %d",
                        batch->rank);
    if (!batch->size)
        return KL_OK;
    /* A sample is a document; so is each element of a vector, or in 2.15 each batch of 32. */
    int64_t each = batch->rank ? batch->size / batch->shape[0] : 1;
    if (self->legacy && batch->rank == 1)
        each = 32;
    kl_tensor *x = kl_contiguous(batch);
    if (!x)
        return kl_last_status();
    if (l->numbers)
        return count_numbers(l, x, each);
    return kl_lookup_count(l, (const kl_string *)(const void *)x->data, x->size, each);
}

static kl_status lookup_adapt_finish(kl_layer *self)
{
    kl_lookup *l = kl_lookup_of("adapt", self);
    kl_status status = kl_lookup_learn(l);
    if (status || !self->legacy || !l->numbers || l->mode == KL_ENCODE_TF_IDF)
        return status;
    kl_tensor *tokens = kl_get_vocabulary(self, false);
    return tokens ? kl_show_state(self, "vocabulary", tokens) : kl_last_status();
}

// clang-format off
#define LOOKUP_VTABLE                                                                              \
    .size = sizeof(kl_layer_vtable), .get_config = lookup_get_config,                              \
    .from_config = lookup_from_config, .destroy = lookup_destroy, .call = lookup_call,             \
    .output_shape = lookup_shape, .adapt_reset = lookup_adapt_reset,                               \
    .adapt_update = lookup_adapt_update, .adapt_finish = lookup_adapt_finish,                      \
    .save_assets = kl_lookup_save_assets, .load_assets = kl_lookup_load_assets,                    \
    .save_values = kl_lookup_save_values, .load_values = kl_lookup_load_values,                    \
    .flags = KL_LAYER_NO_AUTOCAST | KL_LAYER_STATES_LESS

const kl_layer_vtable kl_string_lookup_class = {
    LOOKUP_VTABLE,
    .class_name = "StringLookup",
    .state_size = sizeof(string_state),
    .args_size = sizeof(kl_string_lookup_args),
    .fields = string_fields,
    .init = string_init,
};

const kl_layer_vtable kl_integer_lookup_class = {
    LOOKUP_VTABLE,
    .class_name = "IntegerLookup",
    .state_size = sizeof(integer_state),
    .args_size = sizeof(kl_integer_lookup_args),
    .fields = integer_fields,
    .init = integer_init,
};
// clang-format on

KL_DEFINE_LAYER(kl_string_lookup)
KL_DEFINE_LAYER(kl_integer_lookup)
