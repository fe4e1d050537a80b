/* kl_compile: what was asked for, kept until the first batch shows the shapes. */
#include <string.h>
#include "base/alloc.h"
#include "base/error.h"
#include "models/model.h"
#include "tensor/tensor.h"
#include "training/training.h"

static void given_free(kl_given *g)
{
    kl_free(g->name);
    kl_object_disown(g->object);
    *g = (kl_given){0};
}

static bool is_object(kl_named value)
{
    return value && *(const uint8_t *)value == 0xFF;
}

/* Takes a name or an object over. */
static kl_status take(kl_given *g, kl_named value)
{
    if (!value)
        return KL_OK;
    if (is_object(value)) {
        g->object = kl_object_own(value);
        return KL_OK;
    }
    g->name = kl_strdup(value);
    return g->name ? KL_OK : KL_ERROR_MEMORY;
}

static bool is_one_of(const char *name, const char *a, const char *b)
{
    return name && (!strcmp(name, a) || !strcmp(name, b));
}

/* Unknown names and wrong kinds are told at once, not at the first batch. */
static kl_status check_loss(const kl_given *g)
{
    if (g->object && kl_object_kind(g->object) != KL_KIND_LOSS)
        return kl_error(KL_ERROR_INVALID, "compile: loss must be a loss, got a %s object",
                        kl_object_class_name(g->object));
    if (g->name && !is_one_of(g->name, "crossentropy", "ce") &&
        !kl_class_find(KL_KIND_LOSS, g->name))
        return kl_error(KL_ERROR_NOT_FOUND, "compile: unknown loss: '%s'", g->name);
    return KL_OK;
}

static kl_status check_metric(const kl_given *g)
{
    kl_kind kind = g->object ? kl_object_kind(g->object) : KL_KIND_METRIC;
    if (kind != KL_KIND_METRIC && kind != KL_KIND_LOSS)
        return kl_error(KL_ERROR_INVALID, "compile: metrics must be metrics, got a %s object",
                        kl_object_class_name(g->object));
    if (g->name && !kl_class_find(KL_KIND_METRIC, g->name) && !kl_class_find(KL_KIND_LOSS, g->name))
        return kl_error(KL_ERROR_NOT_FOUND, "compile: unknown metric: '%s'", g->name);
    return KL_OK;
}

/* Frees what the first batch made. */
static void forget_resolved(kl_training_state *t)
{
    for (int i = 0; i < KL_MAX_LIST; i++) {
        kl_object_disown(t->loss_of[i]);
        kl_free(t->output_names[i]);
        t->loss_of[i] = NULL;
        t->output_names[i] = NULL;
    }
    for (int i = 0; i < t->compiled_count; i++) {
        kl_free(t->compiled[i].label);
        kl_object_disown(t->compiled[i].metric);
    }
    kl_free(t->compiled);
    kl_free(t->output_means);
    t->compiled = NULL;
    t->output_means = NULL;
    t->compiled_count = t->loss_count = 0;
    t->resolved = false;
}

static void training_size(const void *training, int64_t *count, double *bytes)
{
    const kl_optimizer *optimizer = ((const kl_training_state *)training)->optimizer;
    if (!optimizer || !optimizer->built)
        return;
    for (int i = 0; i < kl_optimizer_variable_count(optimizer); i++) {
        const kl_tensor *value = kl_optimizer_variable(optimizer, i, NULL);
        *count += kl_tensor_size(value);
        *bytes += (double)kl_tensor_size(value) * (double)kl_dtype_size(kl_tensor_dtype(value));
    }
}

static void training_free(void *training)
{
    kl_training_state *t = training;
    if (!t)
        return;
    forget_resolved(t);
    kl_object_disown(t->optimizer);
    given_free(&t->loss);
    for (int i = 0; i < KL_MAX_LIST; i++) {
        given_free(&t->losses[i]);
        for (int j = 0; j < KL_MAX_METRICS; j++) {
            given_free(&t->metrics[i][j]);
            given_free(&t->weighted[i][j]);
        }
    }
    kl_free(t->added);
    kl_free(t->log_names);
    kl_free(t->log_values);
    kl_free(t->weights);
    kl_free(t->values);
    kl_free(t->gradients);
    kl_free(t);
}

static void release_args(const kl_compile_args *args)
{
    const kl_named *const lists[] = {args->losses, args->metrics, args->weighted_metrics,
                                     args->output_metrics[0]};
    const int counts[] = {KL_MAX_LIST, KL_MAX_METRICS, KL_MAX_METRICS,
                          KL_MAX_LIST * KL_MAX_METRICS};
    if (is_object(args->optimizer))
        kl_object_release(args->optimizer);
    if (is_object(args->loss))
        kl_object_release(args->loss);
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < counts[k]; i++)
            if (is_object(lists[k][i]))
                kl_object_release(lists[k][i]);
}

static kl_status take_losses(kl_training_state *t, const kl_compile_args *args)
{
    kl_status status = take(&t->loss, args->loss), first = status;
    for (int i = 0; i < KL_MAX_LIST; i++) {
        if (!args->losses[i])
            continue;
        t->per_output = true;
        status = take(&t->losses[i], args->losses[i]);
        first = first ? first : status;
    }
    return first;
}

static kl_status take_metrics(kl_training_state *t, const kl_compile_args *args)
{
    kl_status first = KL_OK;
    for (int j = 0; j < KL_MAX_METRICS; j++) {
        kl_status a = take(&t->metrics[0][j], args->metrics[j]);
        kl_status b = take(&t->weighted[0][j], args->weighted_metrics[j]);
        first = first ? first : a ? a : b;
    }
    for (int i = 0; i < KL_MAX_LIST; i++) {
        for (int j = 0; j < KL_MAX_METRICS; j++) {
            if (!args->output_metrics[i][j])
                continue;
            kl_given *slot = &t->metrics[i][j];
            t->by_output = true;
            if (slot->name || slot->object) {
                if (is_object(args->output_metrics[i][j]))
                    kl_object_release(args->output_metrics[i][j]);
                first =
                    kl_error(KL_ERROR_INVALID, "compile: give metrics or output_metrics, not both");
                continue;
            }
            kl_status status = take(slot, args->output_metrics[i][j]);
            first = first ? first : status;
        }
    }
    return first;
}

static kl_status check_all(const kl_training_state *t, const kl_compile_args *args)
{
    kl_status status = check_loss(&t->loss);
    if (!status && t->per_output && args->loss)
        status = kl_error(KL_ERROR_INVALID, "compile: give loss or losses, not both");
    for (int i = 0; !status && i < KL_MAX_LIST; i++) {
        status = check_loss(&t->losses[i]);
        for (int j = 0; !status && j < KL_MAX_METRICS; j++) {
            status = check_metric(&t->metrics[i][j]);
            if (!status)
                status = check_metric(&t->weighted[i][j]);
        }
    }
    if (!status && args->loss_weights.count > KL_MAX_LIST)
        status = kl_error(KL_ERROR_RANGE, "compile: at most %d loss_weights, got %zu", KL_MAX_LIST,
                          args->loss_weights.count);
    return status;
}

static kl_status fill(kl_training_state *t, const kl_compile_args *args)
{
    /* Every object is taken over before anything may fail. */
    kl_status losses = take_losses(t, args), metrics = take_metrics(t, args), status = KL_OK;
    if (args->optimizer) {
        t->optimizer = kl_object_own(kl_optimizer_get(args->optimizer));
        status = t->optimizer ? KL_OK : kl_last_status();
    }
    status = losses ? losses : metrics ? metrics : status;
    if (!status)
        status = check_all(t, args);
    if (status)
        return status;
    t->loss_weight_count = args->loss_weights.at ? args->loss_weights.count : 0;
    for (size_t i = 0; i < t->loss_weight_count; i++)
        t->loss_weights[i] = args->loss_weights.at[i];
    t->run_eagerly = args->run_eagerly;
    t->auto_scale_loss = args->auto_scale_loss;
    t->jit_compile = args->jit_compile;
    t->steps_per_execution = args->steps_per_execution;
    return KL_OK;
}

kl_status kl_compile_with(const kl_compile_args *args)
{
    kl_training_use();
    if (!args)
        return kl_error_null("kl_compile", "args");
    bool usable = kl_args_usable("kl_compile", args, args->size, sizeof *args, args->mark);
    if (!usable || !args->model) {
        kl_status status = usable ? kl_error_null("kl_compile", "model") : kl_last_status();
        if (args->size)
            release_args(args);
        if (args->model && !usable)
            kl_layer_fail(args->model, status);
        return status;
    }
    kl_status status = kl_layer_check(args->model);
    kl_training_state *t = status ? NULL : kl_calloc(1, sizeof *t);
    if (!t) {
        release_args(args);
        return status ? status : KL_ERROR_MEMORY;
    }
    t->model = args->model;
    status = fill(t, args);
    if (status) {
        training_free(t);
        return kl_layer_fail(args->model, status);
    }
    if (t->model->training_free)
        t->model->training_free(t->model->training);
    t->model->training = t;
    t->model->training_free = training_free;
    t->model->training_size = training_size;
    return KL_OK;
}

kl_compile_args kl_compile_defaults(void)
{
    return (kl_compile_args){
        .size = sizeof(kl_compile_args), .mark = kl_error_count(), KL_COMPILE_DEFAULTS};
}

kl_training_state *kl_training_of(const char *function, const kl_model *model)
{
    if (!model) {
        kl_error_null(function, "model");
        return NULL;
    }
    if (kl_layer_check(model))
        return NULL;
    if (model->training)
        return model->training;
    kl_error(KL_ERROR_STATE, "%s: %s must be compiled first: call kl_compile()", function,
             model->name);
    return NULL;
}

kl_optimizer *kl_model_optimizer(const kl_model *model)
{
    if (!model) {
        kl_error_null("kl_model_optimizer", "model");
        return NULL;
    }
    kl_training_state *t = model->training;
    return t ? t->optimizer : NULL;
}

/* ---- At the first batch --------------------------------------------------------------------- */

/* Keras's choice between binary, sparse and categorical forms. */
static const char *by_shapes(const kl_tensor *y, const kl_tensor *p, const char *binary,
                             const char *sparse, const char *categorical)
{
    int64_t last = p->rank ? p->shape[p->rank - 1] : 1;
    if (last == 1)
        return binary;
    if (y->rank < p->rank || (y->rank && y->shape[y->rank - 1] == 1))
        return sparse;
    return categorical;
}

static kl_loss *resolve_loss(const kl_given *g, const kl_tensor *y, const kl_tensor *p)
{
    if (g->object)
        return (kl_loss *)g->object;
    const char *name = g->name;
    if (is_one_of(name, "crossentropy", "ce"))
        name = by_shapes(y, p, "binary_crossentropy", "sparse_categorical_crossentropy",
                         "categorical_crossentropy");
    return kl_loss_get(name);
}

/* A loss as a metric: its values' mean. */
static kl_tensor *loss_values(kl_tensor *y_true, kl_tensor *y_pred, void *user)
{
    const kl_object *loss = user;
    return ((const kl_loss_vtable *)loss->cls)->call(loss->state, y_true, y_pred);
}

static kl_metric *resolve_metric(const kl_given *g, const kl_tensor *y, const kl_tensor *p)
{
    if (g->object && kl_object_kind(g->object) == KL_KIND_METRIC)
        return (kl_metric *)g->object;
    if (g->object)
        return kl_metric_from(kl_loss_name((kl_loss *)g->object), loss_values, g->object);
    const char *name = g->name;
    if (is_one_of(name, "accuracy", "acc"))
        name = by_shapes(y, p, "binary_accuracy", "sparse_categorical_accuracy",
                         "categorical_accuracy");
    const kl_class *cls = kl_class_find(KL_KIND_METRIC, name);
    if (cls)
        return kl_object_new(KL_KIND_METRIC, cls, NULL);
    /* A loss that is no metric's name. The metric doesn't own the loss, so keep it here. */
    kl_given *keep = (kl_given *)(uintptr_t)g;
    keep->object = kl_object_own(kl_loss_get(name));
    return keep->object ? kl_metric_from(name, loss_values, keep->object) : NULL;
}

static bool label_taken(const kl_training_state *t, const char *label)
{
    for (int i = 0; i < t->compiled_count; i++)
        if (!strcmp(t->compiled[i].label, label))
            return true;
    return false;
}

/* "<output>_<name>" with Keras's suffix where the name is there already. */
static char *unique_label(const kl_training_state *t, const char *output, const char *name,
                          bool weighted)
{
    char base[200], label[224];
    snprintf(base, sizeof base, "%s%s%s", output ? output : "", output ? "_" : "", name);
    snprintf(label, sizeof label, "%s", base);
    if (label_taken(t, label) && weighted) {
        snprintf(base, sizeof base, "%s%sweighted_%s", output ? output : "", output ? "_" : "",
                 name);
        snprintf(label, sizeof label, "%s", base);
    }
    for (int i = 1; label_taken(t, label); i++)
        snprintf(label, sizeof label, "%s_%d", base, i);
    return kl_strdup(label);
}

static kl_status add_metric(kl_training_state *t, const kl_given *g, int output, bool weighted,
                            const kl_tensor *y, const kl_tensor *p)
{
    if (!g->name && !g->object)
        return KL_OK;
    if (!y)
        return kl_error(KL_ERROR_INVALID, "metrics of %s need a target", t->output_names[output]);
    void *grown = kl_realloc_array(t->compiled, (size_t)t->compiled_count + 1, sizeof *t->compiled);
    if (!grown)
        return KL_ERROR_MEMORY;
    t->compiled = grown;
    kl_compiled_metric *m = &t->compiled[t->compiled_count];
    *m = (kl_compiled_metric){.output = output, .weighted = weighted};
    m->metric = kl_object_own(resolve_metric(g, y, p));
    if (!m->metric)
        return kl_last_status();
    kl_metric_reset(m->metric);
    m->label = unique_label(t, t->outputs > 1 ? t->output_names[output] : NULL,
                            g->name ? g->name : kl_metric_name(m->metric), weighted);
    if (!m->label) {
        kl_object_disown(m->metric);
        return KL_ERROR_MEMORY;
    }
    t->compiled_count++;
    return KL_OK;
}

/* The name of the layer or operation that makes an output. */
static char *output_name(const kl_model *model, int index)
{
    const kl_tensor *symbolic = kl_model_output(model, index);
    char text[32];
    snprintf(text, sizeof text, "output_%d", index);
    if (symbolic && symbolic->symbol) {
        const kl_graph_node *node = kl_symbol_of(symbolic)->node;
        if (node && node->layer)
            return kl_strdup(node->layer->name);
        if (node && node->name)
            return kl_strdup(node->name);
    }
    return kl_strdup(text);
}

static const kl_given *loss_given(const kl_training_state *t, int output)
{
    return t->per_output ? &t->losses[output] : &t->loss;
}

/* The metrics of an output: with several outputs and one list, its entry, as in Keras. */
static kl_status add_metrics(kl_training_state *t, int output, bool weighted, const kl_tensor *y,
                             const kl_tensor *p)
{
    kl_given(*table)[KL_MAX_METRICS] = weighted ? t->weighted : t->metrics;
    bool whole = t->outputs == 1 || (t->by_output && !weighted);
    if (whole) {
        kl_status status = KL_OK;
        for (int j = 0; !status && j < KL_MAX_METRICS; j++)
            status = add_metric(t, &table[output][j], output, weighted, y, p);
        return status;
    }
    int listed = 0;
    while (listed < KL_MAX_METRICS && (table[0][listed].name || table[0][listed].object))
        listed++;
    if (listed && listed != t->outputs)
        return kl_error(KL_ERROR_INVALID,
                        "%s: with %d outputs, metrics needs one entry an output, got %d: use "
                        "output_metrics for several metrics of an output",
                        t->model->name, t->outputs, listed);
    return listed ? add_metric(t, &table[0][output], output, weighted, y, p) : KL_OK;
}

static kl_status resolve(kl_training_state *t, int targets, kl_tensor *const *y,
                         kl_tensors predictions)
{
    t->outputs = predictions.count;
    if (t->outputs > KL_MAX_LIST)
        return kl_error(KL_ERROR_UNSUPPORTED, "%s: at most %d outputs can be trained, got %d",
                        t->model->name, KL_MAX_LIST, t->outputs);
    if (targets != t->outputs)
        return kl_error(KL_ERROR_SHAPE, "%s: expected %d targets, one an output, got %d",
                        t->model->name, t->outputs, targets);
    for (int i = t->outputs; i < KL_MAX_LIST; i++)
        if (t->per_output && (t->losses[i].name || t->losses[i].object))
            return kl_error(KL_ERROR_INVALID, "%s has %d outputs, but there are more losses",
                            t->model->name, t->outputs);
    if (t->loss_weight_count && t->loss_weight_count != (size_t)t->outputs)
        return kl_error(KL_ERROR_INVALID,
                        "loss_weights must match the number of losses, got %d losses and %zu "
                        "weights",
                        t->outputs, t->loss_weight_count);
    for (int i = 0; i < t->outputs; i++) {
        if (!(t->output_names[i] = output_name(t->model, i)))
            return KL_ERROR_MEMORY;
        const kl_given *g = loss_given(t, i);
        if (!g->name && !g->object)
            continue;
        t->loss_of[i] = kl_object_own(resolve_loss(g, y[i], predictions.at[i]));
        if (!t->loss_of[i])
            return kl_last_status();
        t->loss_count++;
    }
    kl_status status = KL_OK;
    for (int i = 0; !status && i < t->outputs; i++)
        status = add_metrics(t, i, false, y[i], predictions.at[i]);
    for (int i = 0; !status && i < t->outputs; i++)
        status = add_metrics(t, i, true, y[i], predictions.at[i]);
    if (!status && t->loss_count > 1) {
        t->output_means = kl_calloc((size_t)t->outputs, sizeof *t->output_means);
        for (int i = 0; t->output_means && i < t->outputs; i++)
            snprintf(t->output_means[i].label, sizeof t->output_means[i].label, "%.80s_loss",
                     t->output_names[i]);
        status = t->output_means ? KL_OK : KL_ERROR_MEMORY;
    }
    return status;
}

kl_status kl_training_resolve(kl_training_state *t, int targets, kl_tensor *const *y,
                              kl_tensors predictions)
{
    if (t->resolved) {
        if (t->outputs == predictions.count && targets == t->outputs)
            return KL_OK;
        return kl_error(KL_ERROR_SHAPE, "%s: expected %d targets, one an output, got %d",
                        t->model->name, t->outputs, targets);
    }
    kl_status status = resolve(t, targets, y, predictions);
    if (status)
        forget_resolved(t);
    t->resolved = !status;
    return status;
}
