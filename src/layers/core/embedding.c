#include "klayers/layers/core.h"
#include "layers/core/lora.h"
#include "layers/layer.h"

typedef struct embedding_state {
    kl_embedding_args args;
    kl_weight *embeddings, *lora_a, *lora_b;
} embedding_state;

static const kl_field embedding_fields[] = {
    {"input_dim", KL_FIELD_INT, offsetof(kl_embedding_args, input_dim),
     .doc = "how many ids there are: 0..input_dim - 1", .min = 1, .max = 9007199254740992.0,
     .flags = KL_FIELD_REQUIRED},
    {"output_dim", KL_FIELD_INT, offsetof(kl_embedding_args, output_dim),
     .doc = "size of an id's vector", .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {"embeddings_initializer", KL_FIELD_INITIALIZER,
     offsetof(kl_embedding_args, embeddings_initializer), "uniform", .doc = "of the table"},
    {"embeddings_regularizer", KL_FIELD_REGULARIZER,
     offsetof(kl_embedding_args, embeddings_regularizer), .doc = "penalty on the table",
     .flags = KL_FIELD_OPTIONAL},
    {"activity_regularizer", KL_FIELD_REGULARIZER,
     offsetof(kl_embedding_args, activity_regularizer), .doc = "penalty on the output",
     .flags = KL_FIELD_OPTIONAL},
    {"embeddings_constraint", KL_FIELD_CONSTRAINT,
     offsetof(kl_embedding_args, embeddings_constraint),
     .doc = "projection of the table after updates", .flags = KL_FIELD_OPTIONAL},
    {"mask_zero", KL_FIELD_BOOL, offsetof(kl_embedding_args, mask_zero), "false",
     .doc = "id 0 is padding and masked"},
    {"input_length", KL_FIELD_INT, offsetof(kl_embedding_args, input_length),
     .doc = "2.15: length of the sequences, not needed",
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"sparse", KL_FIELD_BOOL, offsetof(kl_embedding_args, sparse), "false",
     .doc = "2.15: gradients are by rows in any case", .flags = KL_FIELD_HIDDEN},
    KL_LORA_FIELDS(kl_embedding_args),
    {0}};

static kl_status embedding_build(kl_layer *self, const kl_shape *in, int count)
{
    embedding_state *s = kl_layer_state(self);
    s->embeddings = kl_add_weight(.layer = self, .name = "embeddings",
                                  .shape = {s->args.input_dim, s->args.output_dim},
                                  .initializer = s->args.embeddings_initializer,
                                  .regularizer = s->args.embeddings_regularizer,
                                  .constraint = s->args.embeddings_constraint);
    if (!s->embeddings)
        return kl_last_status();
    if (s->args.lora_rank == KL_NONE)
        return KL_OK;
    const kl_lora lora = {s->args.lora_rank, s->args.lora_alpha, s->args.embeddings_regularizer};
    return kl_lora_build(self, "embeddings", s->embeddings, &lora, &s->lora_a, &s->lora_b);
}

static kl_status embedding_get_config(const void *self, kl_config *config)
{
    const embedding_state *s = kl_layer_state(self);
    return kl_lora_get_config(s->args.lora_rank, s->args.lora_alpha, config);
}

static kl_tensors embedding_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const embedding_state *s = kl_layer_state(self);
    kl_tensor *ids = in.at[0];
    if (!kl_dtype_is_integer(kl_tensor_dtype(ids)))
        ids = kl_op_cast(ids, KL_INT32);
    kl_tensor *rows = kl_op_take(kl_read_variable(ctx, s->embeddings), ids, 0);
    if (s->lora_a) {
        kl_tensor *change = kl_op_matmul(kl_op_take(kl_read_variable(ctx, s->lora_a), ids, 0),
                                         kl_read_variable(ctx, s->lora_b));
        rows = kl_op_add(
            rows, kl_op_mul_scalar(change, kl_lora_factor(s->args.lora_rank, s->args.lora_alpha)));
    }
    kl_dtype dtype = kl_layer_compute_dtype(self);
    if (rows && kl_tensor_dtype(rows) != dtype)
        rows = kl_op_cast(rows, dtype);
    return kl_one(rows);
}

static kl_tensor *embedding_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                                 kl_tensors masks, kl_tensors out, int index)
{
    const embedding_state *s = kl_layer_state(self);
    if (!s->args.mask_zero)
        return NULL;
    return kl_op_not_equal(in.at[0], kl_scalar(kl_tensor_dtype(in.at[0]), 0));
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
