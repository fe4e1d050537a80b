#include "klayers/layers/core.h"
#include "layers/core/lora.h"
#include "layers/layer.h"

/* The table, and its correction where lora_rank asks for one. */
typedef struct embedding_table {
    kl_weight *embeddings, *lora_a, *lora_b;
} embedding_table;

typedef struct embedding_state {
    kl_embedding_args args;
    embedding_table table;
} embedding_state;

typedef struct reversible_state {
    kl_reversible_embedding_args args;
    embedding_table table;
    kl_weight *reverse; /* [output_dim, input_dim]; NULL: the table's transpose */
} reversible_state;

/* What the two classes' arguments share. */
typedef struct table_options {
    int64_t input_dim, output_dim;
    kl_named initializer, regularizer, constraint;
    int64_t lora_rank, lora_alpha;
} table_options;

#define TABLE_OPTIONS(a)                                                                           \
    ((table_options){(a).input_dim, (a).output_dim, (a).embeddings_initializer,                    \
                     (a).embeddings_regularizer, (a).embeddings_constraint, (a).lora_rank,         \
                     (a).lora_alpha})

// clang-format off
#define TABLE_FIELDS(type)                                                                         \
    {"input_dim", KL_FIELD_INT, offsetof(type, input_dim),                                         \
     .doc = "how many ids there are: 0..input_dim - 1", .min = 1, .max = 9007199254740992.0,       \
     .flags = KL_FIELD_REQUIRED},                                                                  \
    {"output_dim", KL_FIELD_INT, offsetof(type, output_dim), .doc = "size of an id's vector",      \
     .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},                                     \
    {"embeddings_initializer", KL_FIELD_INITIALIZER, offsetof(type, embeddings_initializer),       \
     "uniform", .doc = "of the table"},                                                            \
    {"embeddings_regularizer", KL_FIELD_REGULARIZER, offsetof(type, embeddings_regularizer),       \
     .doc = "penalty on the table", .flags = KL_FIELD_OPTIONAL},                                   \
    {"activity_regularizer", KL_FIELD_REGULARIZER, offsetof(type, activity_regularizer),           \
     .doc = "penalty on the output", .flags = KL_FIELD_OPTIONAL},                                  \
    {"embeddings_constraint", KL_FIELD_CONSTRAINT, offsetof(type, embeddings_constraint),          \
     .doc = "projection of the table after updates", .flags = KL_FIELD_OPTIONAL},                  \
    {"mask_zero", KL_FIELD_BOOL, offsetof(type, mask_zero), "false",                               \
     .doc = "id 0 is padding and masked"},                                                         \
    KL_LORA_FIELDS(type)
// clang-format on

static const kl_field embedding_fields[] = {
    TABLE_FIELDS(kl_embedding_args),
    {"input_length", KL_FIELD_INT, offsetof(kl_embedding_args, input_length),
     .doc = "2.15: length of the sequences, not needed",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"sparse", KL_FIELD_BOOL, offsetof(kl_embedding_args, sparse), "false",
     .doc = "2.15: gradients are by rows in any case", .flags = KL_FIELD_HIDDEN},
    {0}};

static const kl_field reversible_fields[] = {
    TABLE_FIELDS(kl_reversible_embedding_args),
    {"tie_weights", KL_FIELD_BOOL, offsetof(kl_reversible_embedding_args, tie_weights), "true",
     .doc = "whether the way back uses the table too"},
    {"reverse_dtype", KL_FIELD_DTYPE, offsetof(kl_reversible_embedding_args, reverse_dtype),
     .doc = "dtype of the way back; None: the inputs'", .flags = KL_FIELD_OPTIONAL},
    {"logit_soft_cap", KL_FIELD_FLOAT, offsetof(kl_reversible_embedding_args, logit_soft_cap),
     .doc = "logits become cap tanh(logits / cap)", .flags = KL_FIELD_OPTIONAL},
    {0}};

/* *alpha becomes the rank, as in Keras 3.15, whose Embedding forgets it when it is built. */
static kl_status build_table(kl_layer *self, const table_options *o, embedding_table *t,
                             int64_t *alpha)
{
    *t = (embedding_table){NULL, NULL, NULL};
    t->embeddings =
        kl_add_weight(.layer = self, .name = "embeddings", .shape = {o->input_dim, o->output_dim},
                      .initializer = o->initializer, .regularizer = o->regularizer,
                      .constraint = o->constraint);
    if (!t->embeddings)
        return kl_last_status();
    if (o->lora_rank == KL_NONE)
        return KL_OK;
    *alpha = o->lora_rank;
    const kl_lora lora = {o->lora_rank, *alpha, o->regularizer};
    return kl_lora_build(self, "embeddings", t->embeddings, &lora, &t->lora_a, &t->lora_b);
}

static kl_tensor *look_up(const kl_layer *self, kl_context *ctx, const table_options *o,
                          const embedding_table *t, kl_tensor *ids)
{
    if (!kl_dtype_is_integer(kl_tensor_dtype(ids)))
        ids = kl_op_cast(ids, KL_INT32);
    kl_tensor *rows = kl_op_take(kl_read_variable(ctx, t->embeddings), ids, 0);
    if (t->lora_a) {
        kl_tensor *change = kl_op_matmul(kl_op_take(kl_read_variable(ctx, t->lora_a), ids, 0),
                                         kl_read_variable(ctx, t->lora_b));
        rows =
            kl_op_add(rows, kl_op_mul_scalar(change, kl_lora_factor(o->lora_rank, o->lora_alpha)));
    }
    kl_dtype dtype = kl_layer_compute_dtype(self);
    return rows && kl_tensor_dtype(rows) != dtype ? kl_op_cast(rows, dtype) : rows;
}

static kl_tensor *padding_mask(bool mask_zero, kl_tensor *ids)
{
    return mask_zero ? kl_op_not_equal(ids, kl_scalar(kl_tensor_dtype(ids), 0)) : NULL;
}

static kl_status embedding_build(kl_layer *self, const kl_shape *in, int count)
{
    embedding_state *s = kl_layer_state(self);
    return build_table(self, &TABLE_OPTIONS(s->args), &s->table, &s->args.lora_alpha);
}

static kl_status embedding_get_config(const void *self, kl_config *config)
{
    const embedding_state *s = kl_layer_state(self);
    return kl_lora_get_config(s->args.lora_rank, s->args.lora_alpha, config);
}

static kl_tensors embedding_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const embedding_state *s = kl_layer_state(self);
    return kl_one(look_up(self, ctx, &TABLE_OPTIONS(s->args), &s->table, in.at[0]));
}

static kl_tensor *embedding_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                                 kl_tensors masks, kl_tensors out, int index)
{
    const embedding_state *s = kl_layer_state(self);
    return padding_mask(s->args.mask_zero, in.at[0]);
}

static kl_status reversible_build(kl_layer *self, const kl_shape *in, int count)
{
    reversible_state *s = kl_layer_state(self);
    kl_status status = build_table(self, &TABLE_OPTIONS(s->args), &s->table, &s->args.lora_alpha);
    s->reverse = NULL;
    if (!status && !s->args.tie_weights &&
        !(s->reverse = kl_add_weight(.layer = self, .name = "reverse_embeddings",
                                     .shape = {s->args.output_dim, s->args.input_dim},
                                     .initializer = s->args.embeddings_initializer)))
        status = kl_last_status();
    return status;
}

static kl_status reversible_get_config(const void *self, kl_config *config)
{
    const reversible_state *s = kl_layer_state(self);
    return kl_lora_get_config(s->args.lora_rank, s->args.lora_alpha, config);
}

/* From vectors back to a logit for each id. */
static kl_tensor *project_back(const reversible_state *s, kl_context *ctx, kl_tensor *x)
{
    kl_tensor *kernel = kl_read_variable(ctx, s->reverse ? s->reverse : s->table.embeddings);
    if (!s->reverse && s->table.lora_a)
        kernel = kl_lora_apply(kernel, kl_read_variable(ctx, s->table.lora_a),
                               kl_read_variable(ctx, s->table.lora_b), s->args.lora_rank,
                               s->args.lora_alpha);
    kl_dtype dtype;
    if (s->args.reverse_dtype && kl_dtype_from_name(s->args.reverse_dtype, &dtype)) {
        x = kl_op_cast(x, dtype);
        kernel = kl_op_cast(kernel, dtype);
    }
    kl_tensor *logits = kl_op_matmul_t(x, false, kernel, !s->reverse);
    if (isnan(s->args.logit_soft_cap))
        return logits;
    double cap = s->args.logit_soft_cap;
    return kl_op_mul_scalar(kl_op_tanh(kl_op_mul_scalar(logits, 1 / cap)), cap);
}

static kl_tensors reversible_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const reversible_state *s = kl_layer_state(self);
    if (kl_call_flag(ctx, "reverse", false))
        return kl_one(project_back(s, ctx, in.at[0]));
    return kl_one(look_up(self, ctx, &TABLE_OPTIONS(s->args), &s->table, in.at[0]));
}

static kl_tensor *reversible_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                                  kl_tensors masks, kl_tensors out, int index)
{
    const reversible_state *s = kl_layer_state(self);
    return kl_call_flag(ctx, "reverse", false) ? NULL : padding_mask(s->args.mask_zero, in.at[0]);
}

static kl_status reversible_init(void *self)
{
    const reversible_state *s = kl_layer_state(self);
    kl_dtype dtype;
    if (s->args.reverse_dtype &&
        (!kl_dtype_from_name(s->args.reverse_dtype, &dtype) || !kl_dtype_is_float(dtype)))
        return kl_error(KL_ERROR_INVALID, "reverse_dtype must be a float dtype, got '%s'",
                        s->args.reverse_dtype);
    return KL_OK;
}

const kl_layer_vtable kl_embedding_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "Embedding",
    .state_size = sizeof(embedding_state),
    .args_size = sizeof(kl_embedding_args),
    .fields = embedding_fields,
    .get_config = embedding_get_config,
    .build = embedding_build,
    .call = embedding_call,
    .compute_mask = embedding_mask,
    .flags = KL_LAYER_NO_AUTOCAST,
};

KL_DEFINE_LAYER(kl_embedding)

const kl_layer_vtable kl_reversible_embedding_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "ReversibleEmbedding",
    .state_size = sizeof(reversible_state),
    .args_size = sizeof(kl_reversible_embedding_args),
    .fields = reversible_fields,
    .init = reversible_init,
    .get_config = reversible_get_config,
    .build = reversible_build,
    .call = reversible_call,
    .compute_mask = reversible_mask,
    .flags = KL_LAYER_NO_AUTOCAST,
};

KL_DEFINE_LAYER(kl_reversible_embedding)
