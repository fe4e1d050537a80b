/* Keras's summary table and the graph in Graphviz's language. */
#include "klayers/model.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "layers/layer.h"
#include "models/executor.h"
#include "models/input.h"
#include "models/model.h"

/* "(None, 10)" as Keras prints it. */
static void shape_text(const kl_tensor *tensor, char *out, size_t size)
{
    kl_str text = {0};
    kl_str_append(&text, "(");
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 0)
            kl_str_append(&text, "None");
        else
            kl_str_printf(&text, "%lld", (long long)tensor->shape[i]);
        if (i + 1 < tensor->rank || tensor->rank == 1)
            kl_str_append(&text, i + 1 < tensor->rank ? ", " : ",");
    }
    kl_str_append(&text, ")");
    snprintf(out, size, "%s", text.at ? text.at : "?");
    kl_str_free(&text);
}

/* 1234567 -> "1,234,567" */
static void number_text(int64_t value, char *out, size_t size)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)value), at = 0;
    for (int i = 0; i < length && at + 2 < (int)size; i++) {
        if (i && (length - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
}

static void bytes_text(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 4) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, size, "%.2f %s", bytes, units[unit]);
}

static const kl_graph_node *first_call(const kl_executor *ex, const kl_layer *layer)
{
    for (int i = 0; ex && i < ex->node_count; i++)
        if (ex->nodes[i]->layer == layer)
            return ex->nodes[i];
    return NULL;
}

typedef struct table {
    FILE *file;
    int widths[4];
    int columns;
} table;

static void rule(const table *t, const char *left, const char *line, const char *middle,
                 const char *right)
{
    fputs(left, t->file);
    for (int c = 0; c < t->columns; c++) {
        for (int i = 0; i < t->widths[c] + 2; i++)
            fputs(line, t->file);
        fputs(c + 1 < t->columns ? middle : right, t->file);
    }
    fputc('\n', t->file);
}

static void row(const table *t, const char *bar, const char *const *cells)
{
    fputs(bar, t->file);
    for (int c = 0; c < t->columns; c++) {
        bool right = c == 2;
        fprintf(t->file, right ? " %*.*s %s" : " %-*.*s %s", t->widths[c], t->widths[c], cells[c],
                bar);
    }
    fputc('\n', t->file);
}

/* "dense[0][0], ..." of a layer's first call. */
static void connections(const kl_graph_node *node, char *out, size_t size)
{
    kl_str text = {0};
    for (int i = 0; node && i < node->input_count; i++) {
        if (!node->inputs[i]->symbol)
            continue;
        const kl_graph_symbol *symbol = kl_symbol_of(node->inputs[i]);
        kl_str_printf(&text, "%s%s[%d][%d]", text.length ? ", " : "",
                      symbol->node->layer ? kl_layer_name(symbol->node->layer) : symbol->node->name,
                      symbol->node->call_index, symbol->index);
    }
    snprintf(out, size, "%s", text.length ? text.at : "-");
    kl_str_free(&text);
}

static void layer_row(const table *t, const kl_executor *ex, const kl_layer *layer)
{
    char name[160], shape[160] = "?", params[40], from[200];
    snprintf(name, sizeof name, "%s (%s)", layer->name, kl_layer_class_name(layer));
    const kl_graph_node *node = first_call(ex, layer);
    if (node)
        shape_text(node->outputs[0], shape, sizeof shape);
    number_text(kl_layer_count_params(layer), params, sizeof params);
    if (!layer->built)
        snprintf(params, sizeof params, "0 (unbuilt)");
    connections(node, from, sizeof from);
    row(t, "│", (const char *const[]){name, shape, params, from});
}

static void op_row(const table *t, const kl_graph_node *node)
{
    char name[160], shape[160], from[200];
    snprintf(name, sizeof name, "%s (%s)", node->name,
             node->op->class_name ? node->op->class_name : node->op->name);
    shape_text(node->outputs[0], shape, sizeof shape);
    connections(node, from, sizeof from);
    row(t, "│", (const char *const[]){name, shape, "0", from});
}

static void totals(FILE *file, const kl_model *model)
{
    int64_t counts[2] = {0, 0};
    double bytes[2] = {0, 0};
    int total = kl_layer_weight_count(model);
    for (int i = 0; i < total; i++) {
        const kl_weight *weight = kl_layer_weight(model, i);
        int kind = !kl_weight_trainable(weight);
        counts[kind] += kl_tensor_size(weight->value);
        bytes[kind] += (double)kl_tensor_size(weight->value) *
                       (double)kl_dtype_size(kl_tensor_dtype(weight->value));
    }
    const char *const labels[] = {"Total", "Trainable", "Non-trainable"};
    for (int k = 0; k < 3; k++) {
        char number[40], size[40];
        number_text(k ? counts[k - 1] : counts[0] + counts[1], number, sizeof number);
        bytes_text(k ? bytes[k - 1] : bytes[0] + bytes[1], size, sizeof size);
        fprintf(file, " %s params: %s (%s)\n", labels[k], number, size);
    }
}

kl_status kl_summary(kl_model *model, FILE *file)
{
    if (!model || !file)
        return kl_error_null("kl_summary", model ? "file" : "model");
    kl_status status = kl_layer_check(model);
    if (status)
        return status;
    const kl_executor *ex = kl_model_executor(model);
    bool functional = model->vtable == &kl_functional_class;
    table t = {file, {31, 22, 13, 20}, functional ? 4 : 3};
    fprintf(file, "Model: \"%s\"\n", model->name);
    rule(&t, "┏", "━", "┳", "┓");
    row(&t, "┃", (const char *const[]){"Layer (type)", "Output Shape", "Param #", "Connected to"});
    rule(&t, "┡", "━", "╇", "┩");
    if (functional) {
        for (int i = 0; ex && i < ex->node_count; i++) {
            if (i)
                rule(&t, "├", "─", "┼", "┤");
            const kl_graph_node *node = ex->nodes[i];
            if (!node->layer)
                op_row(&t, node);
            else if (first_call(ex, node->layer) == node)
                layer_row(&t, ex, node->layer);
        }
    } else {
        for (int i = 0; i < model->sublayer_count; i++) {
            if (i)
                rule(&t, "├", "─", "┼", "┤");
            layer_row(&t, ex, model->sublayers[i].layer);
        }
    }
    rule(&t, "└", "─", "┴", "┘");
    totals(file, model);
    return ferror(file) ? kl_error(KL_ERROR_IO, "kl_summary: the file can't be written") : KL_OK;
}

/* Names are quoted: Graphviz takes any text between quotes but the quote itself. */
static void quoted(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', file);
        fputc(*text, file);
    }
}

static int node_number(const kl_executor *ex, const kl_graph_node *node)
{
    for (int i = 0; i < ex->node_count; i++)
        if (ex->nodes[i] == node || (node->layer && ex->nodes[i]->layer == node->layer))
            return i;
    return -1;
}

static void plot_node(FILE *file, const kl_executor *ex, int number, bool show_shapes)
{
    const kl_graph_node *node = ex->nodes[number];
    fprintf(file, "  n%d [label=\"", number);
    quoted(file, node->layer ? node->layer->name : node->name);
    fputs(" (", file);
    quoted(file, node->layer ? kl_layer_class_name(node->layer) : node->op->name);
    fputs(")", file);
    if (show_shapes) {
        char shape[160];
        shape_text(node->outputs[0], shape, sizeof shape);
        fprintf(file, "\\n%s", shape);
    }
    fputs("\"];\n", file);
}

kl_status kl_plot_model(kl_model *model, FILE *file, bool show_shapes)
{
    if (!model || !file)
        return kl_error_null("kl_plot_model", model ? "file" : "model");
    const kl_executor *ex = kl_model_executor(model);
    if (!ex)
        return kl_error(KL_ERROR_STATE, "%s: the model is not built yet", model->name);
    fputs("digraph \"", file);
    quoted(file, model->name);
    fputs("\" {\n  rankdir=TB;\n  node [shape=box];\n", file);
    for (int i = 0; i < ex->node_count; i++)
        if (node_number(ex, ex->nodes[i]) == i)
            plot_node(file, ex, i, show_shapes);
    for (int i = 0; i < ex->node_count; i++) {
        kl_tensor **argument;
        for (int k = 0; (argument = kl_node_argument(ex->nodes[i], k)); k++) {
            if (!*argument || !(*argument)->symbol)
                continue;
            int from = node_number(ex, kl_symbol_of(*argument)->node);
            if (from >= 0)
                fprintf(file, "  n%d -> n%d;\n", from, node_number(ex, ex->nodes[i]));
        }
    }
    fputs("}\n", file);
    return ferror(file) ? kl_error(KL_ERROR_IO, "kl_plot_model: the file can't be written") : KL_OK;
}
