#include <ctype.h>
#include <string.h>

#include "klayers/layers/core.h"
#include "layers/core/lora.h"
#include "layers/layer.h"
#include "objects/object.h"
#include "tensor/tensor.h"

/* One operand of the equation: its letters, and where "..." stands. */
typedef struct operand {
    int rank;
    char letters[KL_MAX_RANK + 1];
    bool dots_left, dots_right;
} operand;

typedef struct einsum_dense_state {
    kl_einsum_dense_args args;
    kl_weight *kernel, *bias, *lora_a, *lora_b;
    /* The kernel as a matrix [in, out], where the equation is a product over the input's last axes
       whose results come last; else inner_axes is 0 and the equation is worked out. */
    int inner_axes, outer_axes;
    bool bias_is_plain; /* the bias has the shape of the results' axes */
} einsum_dense_state;

static const kl_field einsum_dense_fields[] = {
    {"equation", KL_FIELD_STRING, offsetof(kl_einsum_dense_args, equation),
     .doc = "of input and kernel: ab,bc->ac, ...ab,bc->...ac or ab...,bc->ac...",
     .flags = KL_FIELD_REQUIRED},
    {"output_shape", KL_FIELD_SHAPE, offsetof(kl_einsum_dense_args, output_shape),
     .doc = "without the batch and what the ellipsis stands for; None where the input decides",
     .flags = KL_FIELD_REQUIRED | KL_FIELD_UNKNOWN_OK},
    {"activation", KL_FIELD_ACTIVATION, offsetof(kl_einsum_dense_args, activation),
     .doc = "applied to the result; None is linear", .flags = KL_FIELD_OPTIONAL},
    {"bias_axes", KL_FIELD_STRING, offsetof(kl_einsum_dense_args, bias_axes),
     .doc = "letters of the output that the bias has; None is no bias", .flags = KL_FIELD_OPTIONAL},
    {"kernel_initializer", KL_FIELD_INITIALIZER, offsetof(kl_einsum_dense_args, kernel_initializer),
     "glorot_uniform", .doc = "of the kernel"},
    {"bias_initializer", KL_FIELD_INITIALIZER, offsetof(kl_einsum_dense_args, bias_initializer),
     "zeros", .doc = "of the bias"},
    {"kernel_regularizer", KL_FIELD_REGULARIZER, offsetof(kl_einsum_dense_args, kernel_regularizer),
     .doc = "penalty on the kernel", .flags = KL_FIELD_OPTIONAL},
    {"bias_regularizer", KL_FIELD_REGULARIZER, offsetof(kl_einsum_dense_args, bias_regularizer),
     .doc = "penalty on the bias", .flags = KL_FIELD_OPTIONAL},
    {"activity_regularizer", KL_FIELD_REGULARIZER,
     offsetof(kl_einsum_dense_args, activity_regularizer), .doc = "penalty on the output",
     .flags = KL_FIELD_OPTIONAL},
    {"kernel_constraint", KL_FIELD_CONSTRAINT, offsetof(kl_einsum_dense_args, kernel_constraint),
     .doc = "projection of the kernel after updates", .flags = KL_FIELD_OPTIONAL},
    {"bias_constraint", KL_FIELD_CONSTRAINT, offsetof(kl_einsum_dense_args, bias_constraint),
     .doc = "projection of the bias after updates", .flags = KL_FIELD_OPTIONAL},
    KL_LORA_FIELDS(kl_einsum_dense_args),
    {"gptq_unpacked_column_size", KL_FIELD_IGNORED, .doc = "of quantized layers"},
    {0}};

/* Letters up to `end`; a leading or trailing "..." is noted. */
static bool read_operand(const char *at, const char *end, operand *out)
{
    *out = (operand){0};
    if (end - at >= 3 && !memcmp(at, "...", 3)) {
        out->dots_left = true;
        at += 3;
    } else if (end - at >= 3 && !memcmp(end - 3, "...", 3)) {
        out->dots_right = true;
        end -= 3;
    }
    for (; at < end; at++) {
        if (!isalpha((unsigned char)*at) || out->rank == KL_MAX_RANK || strchr(out->letters, *at))
            return false;
        out->letters[out->rank++] = *at;
    }
    return out->rank > 0;
}

typedef struct equation {
    operand in, kernel, out;
} equation;

static kl_status read_equation(const char *text, equation *out)
{
    const char *comma = strchr(text, ','), *arrow = strstr(text, "->");
    bool good = comma && arrow && comma < arrow && read_operand(text, comma, &out->in) &&
                read_operand(comma + 1, arrow, &out->kernel) &&
                read_operand(arrow + 2, text + strlen(text), &out->out);
    good = good && !out->kernel.dots_left && !out->kernel.dots_right &&
           out->in.dots_left == out->out.dots_left && out->in.dots_right == out->out.dots_right;
    if (!good)
        return kl_error(KL_ERROR_INVALID,
                        "Invalid einsum equation '%s'. Equations must be in the form "
                        "[X],[Y]->[Z], ...[X],[Y]->...[Z], or [X]...,[Y]->[Z]....",
                        text);
    return KL_OK;
}

static int find(const operand *o, char letter)
{
    const char *at = strchr(o->letters, letter);
    return letter && at ? (int)(at - o->letters) : -1;
}

/* What the equation says of an input's shape. */
typedef struct analysis {
    equation eq;
    int elided; /* how many axes the ellipsis stands for */
    kl_shape output;
    int64_t kernel[KL_MAX_RANK + 1], bias[KL_MAX_RANK + 1];
    int bias_rank;
} analysis;

static int64_t partial_rank(const int64_t *shape)
{
    int rank = 0;
    if (shape[0] != KL_SCALAR)
        while (rank < KL_MAX_RANK && shape[rank])
            rank++;
    return rank;
}

/* The output's shape: the batch, the ellipsis' axes, and what output_shape says. */
static kl_status find_output(const einsum_dense_state *s, const kl_shape *in, analysis *a)
{
    const operand *letters = &a->eq.in;
    bool dots = letters->dots_left || letters->dots_right;
    a->elided = in->rank - letters->rank;
    if (a->elided < 0 || (!dots && a->elided))
        return kl_error(KL_ERROR_SHAPE, "equation '%s' takes inputs of %s%d axes, got %d",
                        s->args.equation, dots ? "at least " : "", letters->rank, in->rank);
    const int64_t *given = s->args.output_shape;
    int count = (int)partial_rank(given), rank = 0;
    kl_shape *out = &a->output;
    out->dtype = in->dtype;
    int between = letters->dots_left && a->elided > 0 ? a->elided - 1 : 0;
    int behind = letters->dots_right ? a->elided : 0;
    if (1 + between + count + behind > KL_MAX_RANK)
        return kl_error(KL_ERROR_SHAPE, "the output has more than %d axes", KL_MAX_RANK);
    out->at[rank++] = in->at[0];
    /* Keras puts each before the last one: in reverse. */
    for (int i = between; i >= 1; i--)
        out->at[rank++] = in->at[i];
    for (int i = 0; i < count; i++)
        out->at[rank++] = given[i];
    for (int i = in->rank - behind; i < in->rank; i++)
        out->at[rank++] = in->at[i];
    out->rank = rank;
    int expected = a->eq.out.rank + (dots ? a->elided : 0);
    if (rank != expected)
        return kl_error(KL_ERROR_SHAPE,
                        "equation '%s' gives outputs of %d axes, but output_shape makes %d of them",
                        s->args.equation, expected, rank);
    return KL_OK;
}

static int64_t size_in(const analysis *a, const kl_shape *in, char letter)
{
    int shift = a->eq.in.dots_left ? a->elided : 0;
    return in->at[find(&a->eq.in, letter) + shift];
}

static int64_t size_out(const analysis *a, char letter)
{
    int shift = a->eq.in.dots_left ? a->elided : 0;
    return a->output.at[find(&a->eq.out, letter) + shift];
}

static kl_status check_letters(const analysis *a, const kl_shape *in)
{
    const equation *eq = &a->eq;
    for (int i = 0; i < eq->in.rank; i++) {
        char letter = eq->in.letters[i];
        if (find(&eq->out, letter) < 0)
            continue;
        int64_t have = size_in(a, in, letter), want = size_out(a, letter);
        if (want >= 0 && have >= 0 && want != have)
            return kl_error(KL_ERROR_SHAPE,
                            "Input shape and output shape do not match at shared dimension '%c'. "
                            "Input shape is %lld, and output shape is %lld.",
                            letter, (long long)have, (long long)want);
    }
    for (int i = 0; i < eq->out.rank; i++) {
        char letter = eq->out.letters[i];
        if (find(&eq->in, letter) < 0 && find(&eq->kernel, letter) < 0)
            return kl_error(KL_ERROR_INVALID,
                            "Dimension '%c' was specified in the output '%s' but has no "
                            "corresponding dim in the input spec '%s' or weight spec '%s'",
                            letter, eq->out.letters, eq->in.letters, eq->kernel.letters);
    }
    return KL_OK;
}

static kl_status find_kernel(analysis *a, const kl_shape *in)
{
    const operand *kernel = &a->eq.kernel;
    for (int i = 0; i < kernel->rank; i++) {
        char letter = kernel->letters[i];
        if (find(&a->eq.out, letter) >= 0)
            a->kernel[i] = size_out(a, letter);
        else if (find(&a->eq.in, letter) >= 0)
            a->kernel[i] = size_in(a, in, letter);
        else
            return kl_error(KL_ERROR_INVALID,
                            "Weight dimension '%c' did not have a match in either the input spec "
                            "'%s' or the output spec '%s'. For this layer, the weight must be "
                            "fully specified.",
                            letter, a->eq.in.letters, a->eq.out.letters);
        if (a->kernel[i] < 0)
            return kl_error(KL_ERROR_SHAPE, "the kernel's dimension '%c' must be known, got None",
                            letter);
    }
    return KL_OK;
}

static kl_status find_bias(const einsum_dense_state *s, analysis *a)
{
    const char *axes = s->args.bias_axes;
    const operand *out = &a->eq.out;
    int first = out->rank;
    for (const char *c = axes; *c; c++) {
        int at = find(out, *c);
        if (at < 0)
            return kl_error(KL_ERROR_INVALID,
                            "Bias dimension '%c' was requested, but is not part of the output "
                            "spec '%s'",
                            *c, out->letters);
        first = at < first ? at : first;
    }
    for (int i = first; i < out->rank; i++) {
        char letter = out->letters[i];
        a->bias[a->bias_rank] = strchr(axes, letter) ? size_out(a, letter) : 1;
        if (a->bias[a->bias_rank++] < 0)
            return kl_error(KL_ERROR_SHAPE, "the bias' dimension '%c' must be known, got None",
                            letter);
    }
    for (int i = 0; out->dots_right && i < a->elided; i++)
        a->bias[a->bias_rank++] = 1;
    return KL_OK;
}

static kl_status analyze(const einsum_dense_state *s, const kl_shape *in, analysis *a)
{
    memset(a, 0, sizeof *a);
    kl_status status = read_equation(s->args.equation, &a->eq);
    if (!status)
        status = find_output(s, in, a);
    if (!status)
        status = check_letters(a, in);
    if (!status)
        status = find_kernel(a, in);
    if (!status && s->args.bias_axes && *s->args.bias_axes)
        status = find_bias(s, a);
    return status;
}

/* Whether input [free..., inner...], kernel [inner..., results...], output [free..., results...].
 */
static void recognize_product(einsum_dense_state *s, const analysis *a)
{
    const equation *eq = &a->eq;
    int inner = 0;
    while (inner < eq->kernel.rank && find(&eq->in, eq->kernel.letters[inner]) >= 0)
        inner++;
    int outer = eq->kernel.rank - inner, kept = eq->in.rank - inner;
    if (eq->in.dots_right || !inner || !outer || kept < 0 || eq->out.rank != kept + outer)
        return;
    if (memcmp(eq->in.letters + kept, eq->kernel.letters, (size_t)inner) != 0 ||
        memcmp(eq->in.letters, eq->out.letters, (size_t)kept) != 0 ||
        memcmp(eq->out.letters + kept, eq->kernel.letters + inner, (size_t)outer) != 0)
        return;
    s->inner_axes = inner;
    s->outer_axes = outer;
    s->bias_is_plain = a->bias_rank == outer &&
                       !memcmp(a->bias, a->kernel + inner, (size_t)outer * sizeof *a->bias);
}

static kl_config *axes_list(const equation *eq, bool outputs)
{
    kl_config *list = kl_config_new_list();
    for (int i = 0; list && i < eq->kernel.rank; i++)
        if ((find(&eq->out, eq->kernel.letters[i]) >= 0) == outputs &&
            kl_config_append(list, kl_config_new_int(i))) {
            kl_config_free(list);
            return NULL;
        }
    return list;
}

/*
 * The initializer, or a copy that knows which of the kernel's axes are inputs and which outputs
 * where it scales by them and wasn't told (as in Keras, for VarianceScaling and its relatives).
 */
static kl_status scaled_initializer(kl_initializer *given, const equation *eq, kl_named *out)
{
    *out = given;
    kl_config *config = given ? kl_object_get_config(given) : NULL;
    if (!config)
        return given ? kl_last_status() : KL_OK;
    const kl_config *in = kl_config_get(config, "input_axes");
    const kl_config *outputs = kl_config_get(config, "output_axes");
    kl_status status = KL_OK;
    if (in && outputs &&
        (kl_config_typeof(in) == KL_CONFIG_NULL || kl_config_typeof(outputs) == KL_CONFIG_NULL)) {
        status = kl_config_set(config, "input_axes", axes_list(eq, false));
        if (!status)
            status = kl_config_set(config, "output_axes", axes_list(eq, true));
        if (!status) {
            *out =
                kl_object_from_config(KL_KIND_INITIALIZER, ((const kl_object *)given)->cls, config);
            status = *out ? KL_OK : kl_last_status();
        }
    }
    kl_config_free(config);
    return status;
}

static kl_status einsum_dense_init(void *self)
{
    const einsum_dense_state *s = kl_layer_state(self);
    equation ignored;
    if (s->args.bias_axes && !*s->args.bias_axes)
        return kl_error(KL_ERROR_INVALID, "bias_axes must name axes, got ''; None: no bias");
    return read_equation(s->args.equation, &ignored);
}

static kl_status einsum_dense_build(kl_layer *self, const kl_shape *in, int count)
{
    einsum_dense_state *s = kl_layer_state(self);
    analysis a;
    kl_status status = analyze(s, in, &a);
    kl_weight_args kernel = kl_weight_defaults();
    if (!status)
        status = scaled_initializer((kl_initializer *)(uintptr_t)s->args.kernel_initializer, &a.eq,
                                    &kernel.initializer);
    if (status)
        return status;
    kernel.layer = self;
    kernel.name = "kernel";
    kernel.regularizer = s->args.kernel_regularizer;
    kernel.constraint = s->args.kernel_constraint;
    memcpy(kernel.shape, a.kernel, sizeof a.kernel);
    s->kernel = kl_add_weight_with(&kernel);
    if (!s->kernel)
        return kl_last_status();
    s->bias = NULL;
    if (a.bias_rank) {
        kl_weight_args bias = kl_weight_defaults();
        bias.layer = self;
        bias.name = "bias";
        bias.initializer = s->args.bias_initializer;
        bias.regularizer = s->args.bias_regularizer;
        bias.constraint = s->args.bias_constraint;
        memcpy(bias.shape, a.bias, sizeof a.bias);
        s->bias = kl_add_weight_with(&bias);
        if (!s->bias)
            return kl_last_status();
    }
    s->inner_axes = 0;
    recognize_product(s, &a);
    if (s->args.lora_rank != KL_NONE) {
        const kl_lora lora = {s->args.lora_rank, s->args.lora_alpha, s->args.kernel_regularizer};
        status = kl_lora_build(self, "kernel", s->kernel, &lora, &s->lora_a, &s->lora_b);
    }
    return status ? status : kl_set_input_spec(self, 0, (kl_input_spec){.ndim = in[0].rank});
}

/* The equation as one product of matrices, bias and activation within. */
static kl_tensor *multiply(const einsum_dense_state *s, kl_tensor *x, kl_tensor *kernel,
                           kl_tensor *bias)
{
    int kept = x->rank - s->inner_axes, rank = kept + s->outer_axes;
    int64_t inner = 1, outer = 1, flat[KL_MAX_RANK], shape[KL_MAX_RANK];
    if (rank > KL_MAX_RANK || !kernel) {
        if (kernel)
            kl_error(KL_ERROR_SHAPE, "the output has more than %d axes", KL_MAX_RANK);
        return NULL;
    }
    for (int i = 0; i < s->inner_axes; i++)
        inner *= kernel->shape[i];
    memcpy(flat, x->shape, sizeof flat);
    memcpy(shape, x->shape, sizeof shape);
    for (int i = 0; i < s->outer_axes; i++)
        outer *= shape[kept + i] = kernel->shape[s->inner_axes + i];
    flat[kept] = inner;
    kl_tensor *matrix = kernel;
    if (kernel->rank != 2)
        matrix = kl_op_reshape(kernel, 2, (const int64_t[]){inner, outer});
    if (s->inner_axes > 1)
        x = kl_op_reshape(x, kept + 1, flat);
    if (bias && bias->rank != 1)
        bias = kl_op_reshape(bias, 1, &outer);
    kl_tensor *y = kl_op_dense(x, matrix, bias, s->args.activation);
    return s->outer_axes > 1 ? kl_op_reshape(y, rank, shape) : y;
}

static kl_tensors einsum_dense_call(const kl_layer *self, kl_context *ctx, kl_tensors in)
{
    const einsum_dense_state *s = kl_layer_state(self);
    kl_tensor *x = in.at[0], *kernel = kl_read(ctx, s->kernel);
    kl_tensor *bias = s->bias ? kl_read(ctx, s->bias) : NULL;
    if (s->lora_a)
        kernel = kl_lora_apply(kernel, kl_lora_read(self, ctx, s->lora_a),
                               kl_lora_read(self, ctx, s->lora_b), s->args.lora_rank,
                               s->args.lora_alpha);
    if (s->bias && !bias)
        return kl_one(NULL);
    /* As a matrix the kernel would take any input whose inner axes have its size altogether. */
    for (int i = 0; kernel && i < s->inner_axes; i++)
        if (x->shape[x->rank - s->inner_axes + i] != kernel->shape[i]) {
            kl_error(KL_ERROR_SHAPE, "axis %d of the input has size %lld, the kernel expects %lld",
                     x->rank - s->inner_axes + i, (long long)x->shape[x->rank - s->inner_axes + i],
                     (long long)kernel->shape[i]);
            return kl_one(NULL);
        }
    if (s->inner_axes && (!bias || s->bias_is_plain))
        return kl_one(multiply(s, x, kernel, bias));
    kl_tensor *y = kl_op_einsum(s->args.equation, x, kernel);
    if (bias)
        y = kl_op_add(y, bias);
    if (s->args.activation)
        y = kl_activation_call(s->args.activation, y);
    return kl_one(y);
}

/* As Keras states it: None in output_shape stays unknown. */
static kl_status einsum_dense_shape(const kl_layer *self, const kl_shape *in, int count,
                                    kl_shape *out, int *output_count)
{
    analysis a;
    kl_status status = analyze(kl_layer_state(self), in, &a);
    /* Keras 2 ran the equation to know it. */
    for (int i = 1; !status && self->legacy && a.eq.in.dots_left && i < a.elided; i++)
        a.output.at[i] = in[0].at[i];
    for (int i = 0; !status && self->legacy && i < a.eq.out.rank; i++) {
        int at = i + (a.eq.in.dots_left ? a.elided : 0);
        if (a.output.at[at] < 0 && find(&a.eq.in, a.eq.out.letters[i]) >= 0)
            a.output.at[at] = size_in(&a, in, a.eq.out.letters[i]);
    }
    if (!status) {
        kl_dtype dtype = out[0].dtype;
        out[0] = a.output;
        out[0].dtype = dtype;
    }
    return status;
}

static kl_status einsum_dense_get_config(const void *self, kl_config *config)
{
    const einsum_dense_state *s = kl_layer_state(self);
    return kl_lora_get_config(s->args.lora_rank, s->args.lora_alpha, config);
}

const kl_layer_vtable kl_einsum_dense_class = {
    .size = sizeof(kl_layer_vtable),
    .class_name = "EinsumDense",
    .state_size = sizeof(einsum_dense_state),
    .args_size = sizeof(kl_einsum_dense_args),
    .fields = einsum_dense_fields,
    .init = einsum_dense_init,
    .get_config = einsum_dense_get_config,
    .build = einsum_dense_build,
    .call = einsum_dense_call,
    .output_shape = einsum_dense_shape,
    .flags = KL_LAYER_STATES_LESS,
};

KL_DEFINE_LAYER(kl_einsum_dense)
