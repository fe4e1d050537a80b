/* MultiHeadAttention and GroupQueryAttention: projections around the attention op. */
#include <string.h>

#include "klayers/layers/attention.h"
#include "klayers/layers/core.h"
#include "klayers/layers/regularization.h"
#include "layers/attention/masks.h"
#include "layers/layer.h"
#include "tensor/tensor.h"

/* The projections and what they have in common. */
typedef struct head_layers {
    kl_layer *query, *key, *value, *gate, *output, *dropout;
} head_layers;

typedef struct multi_head_state {
    kl_multi_head_attention_args args;
    head_layers layers;
    int axes[KL_MAX_RANK], axis_count; /* those attended over, in the projected tensors */
    char scores_equation[64], combine_equation[64];
} multi_head_state;

typedef struct group_query_state {
    kl_group_query_attention_args args;
    head_layers layers;
} group_query_state;

/* What the two classes' arguments share, under one struct's names. */
typedef struct head_options {
    bool use_bias, use_gate, flash;
    double dropout;
    int64_t seed, window;
    kl_named kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer;
    kl_named activity_regularizer, kernel_constraint, bias_constraint;
} head_options;

#define HEAD_OPTIONS(a)                                                                            \
    ((head_options){.use_bias = (a).use_bias,                                                      \
                    .use_gate = (a).use_gate,                                                      \
                    .flash = (a).flash_attention,                                                  \
                    .dropout = (a).dropout,                                                        \
                    .seed = (a).seed,                                                              \
                    .window = (a).sliding_window,                                                  \
                    .kernel_initializer = (a).kernel_initializer,                                  \
                    .bias_initializer = (a).bias_initializer,                                      \
                    .kernel_regularizer = (a).kernel_regularizer,                                  \
                    .bias_regularizer = (a).bias_regularizer,                                      \
                    .activity_regularizer = (a).activity_regularizer,                              \
                    .kernel_constraint = (a).kernel_constraint,                                    \
                    .bias_constraint = (a).bias_constraint})

/* clang-format off */
#define HEAD_FIELDS(type)                                                                          \
    {"dropout", KL_FIELD_FLOAT, offsetof(type, dropout), "0",                                      \
     .doc = "fraction of the scores to drop", .min = 0, .max = 1},                                 \
    {"use_bias", KL_FIELD_BOOL, offsetof(type, use_bias), "true",                                  \
     .doc = "whether the projections have biases"},                                                \
    {"sliding_window", KL_FIELD_INT, offsetof(type, sliding_window),                               \
     .doc = "only keys nearer than this are attended to", .min = 1, .max = 9007199254740992.0,     \
     .flags = KL_FIELD_OPTIONAL},                                                                  \
    {"flash_attention", KL_FIELD_BOOL, offsetof(type, flash_attention), "false",                   \
     .doc = "refuses what would store the scores in full",                                         \
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},                                                \
    {"kernel_initializer", KL_FIELD_INITIALIZER, offsetof(type, kernel_initializer),               \
     "glorot_uniform", .doc = "of the projections' kernels"},                                      \
    {"bias_initializer", KL_FIELD_INITIALIZER, offsetof(type, bias_initializer), "zeros",          \
     .doc = "of their biases"},                                                                    \
    {"kernel_regularizer", KL_FIELD_REGULARIZER, offsetof(type, kernel_regularizer),               \
     .doc = "penalty on the kernels", .flags = KL_FIELD_OPTIONAL},                                 \
    {"bias_regularizer", KL_FIELD_REGULARIZER, offsetof(type, bias_regularizer),                   \
     .doc = "penalty on the biases", .flags = KL_FIELD_OPTIONAL},                                  \
    {"activity_regularizer", KL_FIELD_REGULARIZER, offsetof(type, activity_regularizer),           \
     .doc = "penalty on the projections' outputs", .flags = KL_FIELD_OPTIONAL},                    \
    {"kernel_constraint", KL_FIELD_CONSTRAINT, offsetof(type, kernel_constraint),                  \
     .doc = "projection of the kernels after updates", .flags = KL_FIELD_OPTIONAL},                \
    {"bias_constraint", KL_FIELD_CONSTRAINT, offsetof(type, bias_constraint),                      \
     .doc = "projection of the biases after updates", .flags = KL_FIELD_OPTIONAL},                 \
    {"use_gate", KL_FIELD_BOOL, offsetof(type, use_gate), "false",                                 \
     .doc = "the result is multiplied by a sigmoid projection of the query"},                      \
    {"seed", KL_FIELD_INT, offsetof(type, seed), .doc = "of the dropped scores",                   \
     .flags = KL_FIELD_OPTIONAL}
/* clang-format on */

static const kl_field multi_head_fields[] = {
    {"num_heads", KL_FIELD_INT, offsetof(kl_multi_head_attention_args, num_heads),
     .doc = "number of heads", .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {"key_dim", KL_FIELD_INT, offsetof(kl_multi_head_attention_args, key_dim),
     .doc = "size of a head's queries and keys", .min = 1, .max = 2147483647,
     .flags = KL_FIELD_REQUIRED},
    {"value_dim", KL_FIELD_INT, offsetof(kl_multi_head_attention_args, value_dim),
     .doc = "size of a head's values; None is key_dim", .min = 1, .max = 2147483647,
     .flags = KL_FIELD_OPTIONAL},
    {"output_shape", KL_FIELD_SHAPE, offsetof(kl_multi_head_attention_args, output_shape),
     .doc = "of the last axes of the result; None is the query's last axis",
     .flags = KL_FIELD_OPTIONAL},
    {"attention_axes", KL_FIELD_INTS, offsetof(kl_multi_head_attention_args, attention_axes),
     .doc = "axes attended over; None is all but batch, heads and features",
     .flags = KL_FIELD_OPTIONAL},
    HEAD_FIELDS(kl_multi_head_attention_args),
    {"query_shape", KL_FIELD_IGNORED, .doc = "2.15: what it was built for"},
    {"key_shape", KL_FIELD_IGNORED, .doc = "2.15: what it was built for"},
    {"value_shape", KL_FIELD_IGNORED, .doc = "2.15: what it was built for"},
    {0}};

static const kl_field group_query_fields[] = {
    {"head_dim", KL_FIELD_INT, offsetof(kl_group_query_attention_args, head_dim),
     .doc = "size of a head", .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {"num_query_heads", KL_FIELD_INT, offsetof(kl_group_query_attention_args, num_query_heads),
     .doc = "number of query heads", .min = 1, .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    {"num_key_value_heads", KL_FIELD_INT,
     offsetof(kl_group_query_attention_args, num_key_value_heads),
     .doc = "number of key and value heads, a divisor of num_query_heads", .min = 1,
     .max = 2147483647, .flags = KL_FIELD_REQUIRED},
    HEAD_FIELDS(kl_group_query_attention_args),
    {0}};

/* ---- Building ------------------------------------------------------------------------------- */

static kl_status check_options(const head_options *o)
{
    if (o->flash && o->dropout > 0)
        return kl_error(KL_ERROR_INVALID,
                        "Dropout is not supported when flash attention is enabled. Please set "
                        "dropout to 0.0 to use flash attention.");
    return KL_OK;
}

static kl_status check_count(int count)
{
    if (count == 2 || count == 3)
        return KL_OK;
    return kl_error(KL_ERROR_SHAPE,
                    "expected 2 or 3 inputs, namely query, value and maybe key, got %d", count);
}

static kl_status check_inputs(const kl_shape *in, int count)
{
    if (check_count(count))
        return kl_last_status();
    const kl_shape *value = &in[1], *key = &in[count - 1];
    if (in[0].rank < 3 || value->rank < 3 || key->rank != value->rank)
        return kl_error(KL_ERROR_SHAPE,
                        "expected query, value and key of at least 3 axes each, value and key of "
                        "as many, got %d, %d and %d",
                        in[0].rank, value->rank, key->rank);
    for (int i = 1; i < value->rank - 1; i++)
        if (value->at[i] >= 0 && key->at[i] >= 0 && value->at[i] != key->at[i])
            return kl_error(KL_ERROR_SHAPE,
                            "All dimensions of `value` and `key`, except the last one, must be "
                            "equal, got %lld and %lld in axis %d",
                            (long long)value->at[i], (long long)key->at[i], i);
    return KL_OK;
}

/*
 * A projection of the input's last `bound` axes to `count` axes of the sizes `out`: an EinsumDense
 * as Keras makes it, built for the input.
 */
typedef struct projection {
    const char *attribute, *name, *activation;
    const kl_shape *in;
    int bound, count;
    const int64_t *out;
} projection;

static kl_layer *add_projection(kl_layer *self, const head_options *o, const projection *p)
{
    char equation[4 * KL_MAX_RANK + 8], bias[KL_MAX_RANK + 1];
    int free_axes = p->in->rank - p->bound, at = 0;
    if (p->in->rank + p->count > 26 || free_axes + p->count > KL_MAX_RANK) {
        kl_error(KL_ERROR_SHAPE, "the inputs have too many axes: %d", p->in->rank);
        return NULL;
    }
    for (int i = 0; i < p->in->rank; i++)
        equation[at++] = (char)('a' + i);
    equation[at++] = ',';
    for (int i = free_axes; i < p->in->rank + p->count; i++)
        equation[at++] = (char)('a' + i);
    equation[at++] = '-';
    equation[at++] = '>';
    for (int i = 0; i < free_axes; i++)
        equation[at++] = (char)('a' + i);
    for (int i = 0; i < p->count; i++)
        equation[at++] = bias[i] = (char)('a' + p->in->rank + i);
    equation[at] = bias[p->count] = 0;

    kl_einsum_dense_args args = kl_einsum_dense_defaults();
    args.name = p->name;
    args.dtype = kl_layer_dtype_policy(self);
    args.trainable = self->trainable;
    args.equation = equation;
    args.bias_axes = o->use_bias ? bias : NULL;
    args.activation = p->activation;
    for (int i = 1; i < free_axes; i++)
        args.output_shape[i - 1] = -1;
    memcpy(args.output_shape + free_axes - 1, p->out, (size_t)p->count * sizeof *p->out);
    args.kernel_initializer = o->kernel_initializer;
    args.bias_initializer = o->bias_initializer;
    args.kernel_regularizer = o->kernel_regularizer;
    args.bias_regularizer = o->bias_regularizer;
    args.activity_regularizer = o->activity_regularizer;
    args.kernel_constraint = o->kernel_constraint;
    args.bias_constraint = o->bias_constraint;
    kl_layer *layer = kl_einsum_dense_new(&args);
    if (!layer || !(layer = kl_add_sublayer(self, p->attribute, layer)) ||
        kl_layer_build(layer, p->in, 1))
        return NULL;
    return layer;
}

static kl_layer *add_dropout(kl_layer *self, const head_options *o)
{
    kl_layer *layer =
        kl_dropout(.rate = o->dropout, .seed = o->seed, .dtype = kl_layer_dtype_policy(self));
    return layer ? kl_add_sublayer(self, "_dropout_layer", layer) : NULL;
}

/* Axis numbers as given, negative ones from the end of the input. */
static kl_status find_axes(multi_head_state *s, int rank)
{
    kl_ints given = s->args.attention_axes;
    s->axis_count = 0;
    if (!given.at)
        for (int i = 1; i < rank - 1; i++)
            s->axes[s->axis_count++] = i;
    for (size_t i = 0; given.at && i < given.count; i++) {
        int64_t axis = given.at[i] < 0 ? rank + given.at[i] : given.at[i];
        bool twice = false;
        for (int k = 0; k < s->axis_count; k++)
            twice = twice || s->axes[k] == axis;
        if (axis < 1 || axis >= rank - 1 || twice)
            return kl_error(KL_ERROR_RANGE,
                            "attention_axes must be different axes from 1 to %d, got %lld",
                            rank - 2, (long long)given.at[i]);
        s->axes[s->axis_count++] = (int)axis;
    }
    return KL_OK;
}

/*
 * The equations of scores and result for projected tensors of `rank` axes, as Keras builds them:
 * the target's letters come first, the source has letters of its own for the axes attended over.
 */
static void write_equations(multi_head_state *s, int rank)
{
    char target[KL_MAX_RANK + 1], source[KL_MAX_RANK + 1], scores[3 * KL_MAX_RANK];
    int next = rank, at = 0;
    for (int i = 0; i < rank; i++) {
        bool attended = false;
        for (int k = 0; k < s->axis_count; k++)
            attended = attended || s->axes[k] == i;
        target[i] = (char)('a' + i);
        source[i] = attended ? (char)('a' + next++) : target[i];
        if (!attended && i < rank - 1)
            scores[at++] = target[i];
    }
    for (int k = 0; k < s->axis_count; k++)
        scores[at++] = target[s->axes[k]];
    for (int k = 0; k < s->axis_count; k++)
        scores[at++] = source[s->axes[k]];
    target[rank] = source[rank] = scores[at] = 0;
    snprintf(s->scores_equation, sizeof s->scores_equation, "%s,%s->%s", source, target, scores);
    snprintf(s->combine_equation, sizeof s->combine_equation, "%s,%s->%s", scores, source, target);
}

static kl_status multi_head_build(kl_layer *self, const kl_shape *in, int count)
{
    multi_head_state *s = kl_layer_state(self);
    const head_options o = HEAD_OPTIONS(s->args);
    kl_status status = check_inputs(in, count);
    if (!status)
        status = find_axes(s, in[1].rank);
    if (status)
        return status;
    int64_t value_dim = s->args.value_dim == KL_NONE ? s->args.key_dim : s->args.value_dim;
    const int64_t keys[2] = {s->args.num_heads, s->args.key_dim};
    const int64_t values[2] = {s->args.num_heads, value_dim};
    head_layers *l = &s->layers;
    memset(l, 0, sizeof *l);
    l->query = add_projection(
        self, &o,
        &(projection){"query_dense", "query", .in = in, .bound = 1, .count = 2, .out = keys});
    l->key = l->query ? add_projection(self, &o,
                                       &(projection){"key_dense", "key", .in = &in[count - 1],
                                                     .bound = 1, .count = 2, .out = keys})
                      : NULL;
    if (l->key && o.use_gate &&
        !(l->gate = add_projection(
              self, &o, &(projection){"_gate_dense", "gate", "sigmoid", in, 1, 2, values})))
        return kl_last_status();
    l->value = l->key ? add_projection(self, &o,
                                       &(projection){"value_dense", "value", .in = &in[1],
                                                     .bound = 1, .count = 2, .out = values})
                      : NULL;
    if (!l->value || (o.dropout > 0 && !(l->dropout = add_dropout(self, &o))))
        return kl_last_status();
    write_equations(s, in[1].rank + 1);
    kl_shape attended = in[0];
    int64_t width = in[0].at[in[0].rank - 1];
    attended.at[attended.rank - 1] = s->args.num_heads;
    if (attended.rank == KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "the inputs have too many axes: %d", in[0].rank);
    attended.at[attended.rank++] = value_dim;
    const int64_t *out = s->args.output_shape[0] ? s->args.output_shape : &width;
    int out_count = 1;
    while (s->args.output_shape[0] && out_count < KL_MAX_RANK && out[out_count])
        out_count++;
    l->output = add_projection(self, &o,
                               &(projection){"output_dense", "attention_output", .in = &attended,
                                             .bound = 2, .count = out_count, .out = out});
    return l->output ? KL_OK : kl_last_status();
}

static kl_status group_query_build(kl_layer *self, const kl_shape *in, int count)
{
    group_query_state *s = kl_layer_state(self);
    const head_options o = HEAD_OPTIONS(s->args);
    kl_status status = check_inputs(in, count);
    for (int i = 0; i < count && !status; i++)
        if (in[i].rank != 3)
            status = kl_error(KL_ERROR_SHAPE, "expected inputs of 3 axes, got %d", in[i].rank);
    if (status)
        return status;
    const int64_t queries[2] = {s->args.num_query_heads, s->args.head_dim};
    const int64_t keys[2] = {s->args.num_key_value_heads, s->args.head_dim};
    head_layers *l = &s->layers;
    memset(l, 0, sizeof *l);
    const projection query = {"_query_dense", "query", NULL, in, 1, 2, queries};
    const projection key = {"_key_dense", "key", NULL, &in[count - 1], 1, 2, keys};
    const projection gate = {"_gate_dense", "gate", "sigmoid", in, 1, 2, queries};
    const projection value = {"_value_dense", "value", NULL, &in[1], 1, 2, keys};
    kl_shape attended = {
        .rank = 4, .at = {in[0].at[0], in[0].at[1], queries[0], queries[1]}, .dtype = in[0].dtype};
    const projection output = {"_output_dense", "attention_output", NULL, &attended, 2, 1,
                               &in[0].at[2]};
    if (!(l->query = add_projection(self, &o, &query)) ||
        !(l->key = add_projection(self, &o, &key)) ||
        (o.use_gate && !(l->gate = add_projection(self, &o, &gate))) ||
        !(l->value = add_projection(self, &o, &value)) ||
        (o.dropout > 0 && !(l->dropout = add_dropout(self, &o))) ||
        !(l->output = add_projection(self, &o, &output)))
        return kl_last_status();
    return KL_OK;
}

/* ---- Calling -------------------------------------------------------------------------------- */

/*
 * The masks that a call brings, joined: the inputs' own and attention_mask. False with the error
 * set. `causal` and `window` are left out unless `all`.
 */
static bool find_mask(const head_options *o, kl_context *ctx, kl_tensors in, bool all,
                      kl_tensor **out)
{
    static const int before[3] = {-1, -2, -2};
    *out = NULL;
    if (kl_context_shapes_only(ctx))
        return true;
    for (int i = 0; i < in.count && i < 3; i++) {
        kl_tensor *mask = kl_input_mask(ctx, i);
        if (mask && !kl_join_masks(out, kl_op_expand_dims(mask, before[i])))
            return false;
    }
    if (all && kl_call_flag(ctx, "use_causal_mask", false) &&
        !kl_join_masks(out, kl_causal_mask(in.at[0]->shape[1], in.at[1]->shape[1])))
        return false;
    if (all && o->window != KL_NONE &&
        !kl_join_masks(out, kl_window_mask(in.at[0]->shape[1], in.at[1]->shape[1], o->window)))
        return false;
    kl_tensor *given = kl_call_argument(ctx, "attention_mask");
    return !given || kl_join_masks(out, given);
}

/* One axis for the last `count` ones. */
static kl_tensor *merge_last(kl_tensor *x, int count)
{
    if (!x || count == 1)
        return x;
    int64_t shape[KL_MAX_RANK], size = 1;
    memcpy(shape, x->shape, sizeof shape);
    for (int i = x->rank - count; i < x->rank; i++)
        size *= x->shape[i];
    shape[x->rank - count] = size;
    return kl_op_reshape(x, x->rank - count + 1, shape);
}

/*
 * Softmax over the last `axes` axes where the mask is true, and 0 elsewhere; in Keras 2 a row
 * without any true is as if unmasked.
 */
static kl_tensor *masked_softmax(kl_tensor *scores, kl_tensor *mask, int axes, bool legacy)
{
    if (!scores)
        return NULL;
    if (mask && legacy) {
        scores = kl_op_where(mask, scores, kl_op_add_scalar(scores, -1e9));
    } else if (mask) {
        double least = kl_tensor_dtype(scores) == KL_FLOAT16 ? -3e4 : -1e9;
        scores = kl_op_where(mask, scores, kl_scalar(kl_tensor_dtype(scores), least));
    }
    if (!scores)
        return NULL;
    kl_tensor *weights =
        kl_op_reshape(kl_op_softmax(merge_last(scores, axes), -1), scores->rank, scores->shape);
    if (mask && !legacy && weights)
        weights = kl_op_where(mask, weights, kl_scalar(kl_tensor_dtype(weights), 0));
    return weights;
}

/* The scores that Keras states before it knows the keys: as many as queries. */
static kl_tensor *stated_scores(const kl_layer *self, const kl_tensor *query, int64_t heads)
{
    const int64_t shape[4] = {query->shape[0], heads, query->shape[1], query->shape[1]};
    return kl_stand_in(kl_layer_compute_dtype(self), 4, shape);
}

/* What the two classes' calls share. */
typedef struct head_call {
    const kl_layer *self;
    kl_context *ctx;
    head_options options;
    const head_layers *layers;
    double scale; /* a float under any policy, as in Keras */
    int axes;
    const char *scores_equation, *combine_equation;
    int64_t groups;     /* query heads by head of keys */
    bool one_sequence;  /* attends over one axis of [batch, length, heads, size] */
    bool states_square; /* its symbolic scores are [batch, heads, length, length] of the query */
} head_call;

/* Through scores in full; *scores gets them. */
static kl_tensor *attend_by_scores(const head_call *c, kl_tensor *q, kl_tensor *k, kl_tensor *v,
                                   kl_tensor *mask, kl_tensor **scores)
{
    if (c->groups > 1) {
        k = kl_op_repeat(k, c->groups, 2);
        v = kl_op_repeat(v, c->groups, 2);
    }
    *scores = kl_op_einsum(c->scores_equation, k, kl_op_mul_scalar(q, c->scale));
    if (!*scores)
        return NULL;
    if (mask && !(mask = kl_expand_mask(mask, (*scores)->rank, -2 * c->axes - 1)))
        return NULL;
    *scores = masked_softmax(*scores, mask, c->axes, c->self->legacy);
    kl_tensor *weights = *scores;
    if (c->layers->dropout && weights)
        weights = kl_call(c->layers->dropout, weights);
    return kl_op_einsum(c->combine_equation, weights, v);
}

static kl_tensors call_heads(const head_call *c, kl_tensors in)
{
    const head_layers *l = c->layers;
    if (check_count(in.count))
        return kl_one(NULL);
    bool with_scores = kl_call_flag(c->ctx, "return_attention_scores", false);
    if (with_scores && c->options.flash) {
        kl_error(KL_ERROR_INVALID,
                 "Returning attention scores is not supported when flash attention is enabled. "
                 "Please disable flash attention to access attention scores.");
        return kl_one(NULL);
    }
    bool fused = c->one_sequence && !with_scores && !l->dropout;
    kl_tensor *mask = NULL, *scores = NULL, *result;
    if (!find_mask(&c->options, c->ctx, in, !fused, &mask))
        return kl_one(NULL);
    kl_tensor *gate = l->gate ? kl_call(l->gate, in.at[0]) : NULL;
    kl_tensor *q = kl_call(l->query, in.at[0]);
    kl_tensor *k = q ? kl_call(l->key, in.at[in.count - 1]) : NULL;
    kl_tensor *v = k ? kl_call(l->value, in.at[1]) : NULL;
    if (!v || (l->gate && !gate))
        return kl_one(NULL);
    if (fused) {
        const kl_attention_options options = {
            .scale = c->scale,
            .causal = kl_call_flag(c->ctx, "use_causal_mask", false),
            .window = c->options.window == KL_NONE ? 0 : c->options.window,
            .empty = !c->self->legacy                   ? KL_EMPTY_ROW_UNIFORM
                     : kl_tensor_dtype(q) == KL_FLOAT64 ? KL_EMPTY_ROW_UNMASKED
                                                        : KL_EMPTY_ROW_ROUNDED};
        if (mask && !(mask = kl_expand_mask(mask, 4, -3)))
            return kl_one(NULL);
        result = kl_op_attention(q, k, v, mask, &options);
    } else {
        result = attend_by_scores(c, q, k, v, mask, &scores);
    }
    if (gate)
        result = kl_op_mul(result, gate);
    result = result ? kl_call(l->output, result) : NULL;
    if (!with_scores)
        return kl_one(result);
    if (kl_context_shapes_only(c->ctx) && c->states_square && !c->self->legacy)
        scores = stated_scores(c->self, in.at[0], q->shape[q->rank - 2]);
    return kl_many(2, (kl_tensor *const[]){result, scores});
}

static kl_tensors multi_head_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const multi_head_state *s = kl_layer_state(self);
    const head_call call = {.self = self,
                            .ctx = ctx,
                            .options = HEAD_OPTIONS(s->args),
                            .layers = &s->layers,
                            .scale = (float)(1 / sqrt((double)s->args.key_dim)),
                            .axes = s->axis_count,
                            .scores_equation = s->scores_equation,
                            .combine_equation = s->combine_equation,
                            .groups = 1,
                            .states_square = true,
                            .one_sequence = s->axis_count == 1 && in.at[0]->rank == 3};
    return call_heads(&call, in);
}

static kl_tensors group_query_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const group_query_state *s = kl_layer_state(self);
    const head_call call = {.self = self,
                            .ctx = ctx,
                            .options = HEAD_OPTIONS(s->args),
                            .layers = &s->layers,
                            .scale = (float)(1 / sqrt((double)s->args.head_dim)),
                            .axes = 1,
                            .scores_equation = "bkuh,bquh->buqk",
                            .combine_equation = "buqk,bkuh->bquh",
                            .groups = s->args.num_query_heads / s->args.num_key_value_heads,
                            .one_sequence = true};
    return call_heads(&call, in);
}

static kl_status multi_head_init(void *self)
{
    const multi_head_state *s = kl_layer_state(self);
    const head_options o = HEAD_OPTIONS(s->args);
    kl_layer *layer = self;
    /* Keras hands it to the projections alone. */
    kl_object_disown(layer->activity_regularizer);
    layer->activity_regularizer = NULL;
    return check_options(&o);
}

static kl_status group_query_init(void *self)
{
    const group_query_state *s = kl_layer_state(self);
    const head_options o = HEAD_OPTIONS(s->args);
    if (s->args.num_query_heads % s->args.num_key_value_heads)
        return kl_error(KL_ERROR_INVALID,
                        "`num_query_heads` must be divisible by `num_key_value_heads`, got %lld "
                        "and %lld",
                        (long long)s->args.num_query_heads, (long long)s->args.num_key_value_heads);
    return check_options(&o);
}

/* The query's mask goes with the result, and with scores the mask that they were under. */
static kl_tensor *result_mask(const head_options *o, kl_context *ctx, kl_tensors in,
                              kl_tensors masks, kl_tensors out, int index)
{
    kl_tensor *mask = NULL;
    if (!index)
        return masks.at[0];
    return find_mask(o, ctx, in, true, &mask) ? kl_expand_mask(mask, out.at[index]->rank, -3)
                                              : NULL;
}

/*
 * Takes the masks off the inputs, as Keras 3 does: what else reads these tensors later on sees them
 * unmasked, and only so do models give what they give in Python.
 */
static void take_masks(const kl_context *ctx)
{
    const kl_call_args *call = ctx->call;
    kl_tensor *const *at = call->inputs_list.at ? call->inputs_list.at : call->inputs;
    int count = call->inputs_list.at ? call->inputs_list.count : KL_MAX_LIST;
    for (int i = 0; i < count && at[i]; i++)
        if (at[i]->mask)
            kl_tensor_set_mask(at[i], NULL);
}

static kl_tensor *multi_head_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                                  kl_tensors masks, kl_tensors out, int index)
{
    const multi_head_state *s = kl_layer_state(self);
    kl_tensor *mask = result_mask(&HEAD_OPTIONS(s->args), ctx, in, masks, out, index);
    if (index < out.count - 1 || self->legacy || kl_context_shapes_only(ctx))
        return mask;
    /* A handle of its own outlives the inputs' masks. */
    if (mask)
        mask = kl_alias(mask);
    take_masks(ctx);
    return mask;
}

static kl_tensor *group_query_mask(const kl_layer *self, kl_context *ctx, kl_tensors in,
                                   kl_tensors masks, kl_tensors out, int index)
{
    const group_query_state *s = kl_layer_state(self);
    return result_mask(&HEAD_OPTIONS(s->args), ctx, in, masks, out, index);
}

const kl_layer_vtable kl_multi_head_attention_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "MultiHeadAttention",
    .state_size = sizeof(multi_head_state),
    .args_size = sizeof(kl_multi_head_attention_args),
    .fields = multi_head_fields,
    .init = multi_head_init,
    .build = multi_head_build,
    .call = multi_head_call,
    .compute_mask = multi_head_mask,
    .flags = KL_LAYER_MANY_INPUTS | KL_LAYER_SEPARATE_INPUTS,
    .input_names = "query|value|key",
};

KL_DEFINE_LAYER(kl_multi_head_attention)

const kl_layer_vtable kl_group_query_attention_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "GroupQueryAttention",
    .names = "GroupedQueryAttention",
    .state_size = sizeof(group_query_state),
    .args_size = sizeof(kl_group_query_attention_args),
    .fields = group_query_fields,
    .init = group_query_init,
    .build = group_query_build,
    .call = group_query_call,
    .compute_mask = group_query_mask,
    .flags = KL_LAYER_MANY_INPUTS | KL_LAYER_SEPARATE_INPUTS,
    .snake_name = "grouped_query_attention",
    .input_names = "query|value|key",
};

KL_DEFINE_LAYER(kl_group_query_attention)
