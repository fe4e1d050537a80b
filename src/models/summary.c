/* Keras's summary of a model. */
#include <string.h>

#include "base/error.h"
#include "layers/layer.h"
#include "models/executor.h"
#include "models/input.h"
#include "models/model.h"
#include "models/text_table.h"

/* What Keras takes where the output is no terminal. */
#define LINE_LENGTH 76

typedef struct summary {
    const kl_summary_args *args;
    kl_text_table table;
    const kl_executor *ex; /* of the whole model; NULL before it is built */
    bool chain;            /* no column that tells what is connected to what */
} summary;

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
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, size, "%.2f %s", bytes, units[unit]);
}

/* The arguments of a node that come from other nodes; *from is the first one's. */
static int symbolic_arguments(kl_graph_node *node, const kl_graph_node **from)
{
    int count = 0;
    kl_tensor **argument;
    *from = NULL;
    for (int i = 0; (argument = kl_node_argument(node, i)); i++)
        if (*argument && (*argument)->symbol && !count++)
            *from = kl_symbol_of(*argument)->node;
    return count;
}

static const kl_graph_node *call_of(const kl_executor *ex, const kl_layer *layer, bool last)
{
    const kl_graph_node *found = NULL;
    for (int i = 0; ex && i < ex->node_count && (last || !found); i++)
        if (ex->nodes[i]->layer == layer)
            found = ex->nodes[i];
    return found;
}

/* Whether every node but the first reads one tensor, of the node before it. */
static bool is_chain(const kl_executor *ex)
{
    for (int i = 0; i < ex->node_count; i++) {
        const kl_graph_node *node = ex->nodes[i], *from;
        int count = symbolic_arguments(ex->nodes[i], &from);
        if (count != (i > 0) || (i && from != ex->nodes[i - 1]) ||
            (node->layer && call_of(ex, node->layer, false) != node))
            return false;
    }
    return true;
}

static void append_outputs(kl_str *text, const kl_graph_node *node)
{
    bool several = node->output_count > 1;
    kl_str_append(text, several ? "[" : "");
    for (int i = 0; i < node->output_count; i++) {
        kl_str_append(text, i ? ", " : "");
        kl_append_shape(text, node->outputs[i]);
    }
    kl_str_append(text, several ? "]" : "");
}

/* "dense[0][0], ..." of all of a layer's calls, or of an op's node. */
static void append_connections(kl_str *text, const kl_executor *ex, const kl_layer *layer,
                               const kl_graph_node *op)
{
    for (int n = 0; ex && n < ex->node_count; n++) {
        if (op ? ex->nodes[n] != op : ex->nodes[n]->layer != layer)
            continue;
        kl_tensor **argument;
        for (int i = 0; (argument = kl_node_argument(ex->nodes[n], i)); i++) {
            if (!*argument || !(*argument)->symbol)
                continue;
            const kl_graph_symbol *symbol = kl_symbol_of(*argument);
            const kl_graph_node *from = symbol->node;
            kl_str_printf(text, "%s%s[%d][%d]", text->length ? ", " : "",
                          from->layer ? from->layer->name : from->name, from->call_index,
                          symbol->index);
        }
    }
    if (!text->length)
        kl_str_append(text, "-");
}

static const char *text_of(const kl_str *text)
{
    return text->at ? text->at : "";
}

/* A row; the connections are `from`, and `trains` is the column of show_trainable. */
static void put_row(summary *s, const kl_str *name, const kl_str *shape, const char *params,
                    const kl_str *from, const char *trains)
{
    const char *cells[KL_TABLE_COLUMNS] = {text_of(name), text_of(shape), params};
    int count = 3;
    if (!s->chain)
        cells[count++] = text_of(from);
    cells[count] = trains;
    kl_table_row(&s->table, cells);
}

/* `ex` is of the model that the layer stands in. */
static void layer_row(summary *s, const kl_executor *ex, const kl_layer *layer, int level)
{
    kl_str name = {0}, shape = {0}, from = {0};
    char params[48] = "0 (unbuilt)";
    const kl_graph_node *node = call_of(ex, layer, true);
    if (level)
        kl_str_printf(&name, "%*s└ ", 3 * level, "");
    kl_str_printf(&name, "%s (%s)", layer->name, kl_layer_class_name(layer));
    if (node)
        append_outputs(&shape, node);
    else
        kl_str_append(&shape, "?");
    if (layer->built)
        number_text(kl_layer_count_params(layer), params, sizeof params);
    append_connections(&from, level ? NULL : ex, layer, NULL);
    put_row(s, &name, &shape, params, &from,
            !kl_layer_weight_count(layer) ? "-"
            : layer->trainable            ? "Y"
                                          : "N");
    kl_str_free(&name);
    kl_str_free(&shape);
    kl_str_free(&from);
}

/* The layer and, if asked for, those in it. */
static void layer_rows(summary *s, const kl_executor *ex, const kl_layer *layer, int level)
{
    layer_row(s, ex, layer, level);
    if (!s->args->expand_nested || !kl_is_model(layer))
        return;
    for (int i = 0; i < layer->sublayer_count; i++)
        layer_rows(s, kl_model_executor(layer), layer->sublayers[i].layer, level + 1);
}

static void op_row(summary *s, const kl_graph_node *node)
{
    kl_str name = {0}, shape = {0}, from = {0};
    kl_str_printf(&name, "%s (%s)", node->name,
                  node->op->class_name ? node->op->class_name : node->op->name);
    append_outputs(&shape, node);
    append_connections(&from, s->ex, NULL, node);
    put_row(s, &name, &shape, "0", &from, "-");
    kl_str_free(&name);
    kl_str_free(&shape);
    kl_str_free(&from);
}

static void total(FILE *file, const char *label, int64_t count, double bytes)
{
    char number[40], size[40];
    number_text(count, number, sizeof number);
    bytes_text(bytes, size, sizeof size);
    fprintf(file, " %s params: %s (%s)\n", label, number, size);
}

static void totals(FILE *file, const kl_model *model)
{
    int64_t counts[3] = {0};
    double bytes[3] = {0};
    for (int i = 0; i < kl_layer_weight_count(model); i++) {
        const kl_weight *weight = kl_layer_weight(model, i);
        int kind = !kl_weight_trainable(weight);
        counts[kind] += kl_tensor_size(weight->value);
        bytes[kind] += (double)kl_tensor_size(weight->value) *
                       (double)kl_dtype_size(kl_tensor_dtype(weight->value));
    }
    if (model->training_size)
        model->training_size(model->training, &counts[2], &bytes[2]);
    total(file, "Total", counts[0] + counts[1] + counts[2], bytes[0] + bytes[1] + bytes[2]);
    total(file, "Trainable", counts[0], bytes[0]);
    total(file, "Non-trainable", counts[1], bytes[1]);
    if (counts[2])
        total(file, "Optimizer", counts[2], bytes[2]);
}

static kl_status begin_table(summary *s)
{
    static const double ends[2][KL_TABLE_COLUMNS] = {{.3, .56, .74, 1}, {.45, .8, 1}};
    const int plain = s->chain ? 3 : 4, length = s->args->line_length;
    double at[KL_TABLE_COLUMNS];
    const char *heads[KL_TABLE_COLUMNS] = {"Layer (type)", "Output Shape", "Param #"};
    s->table = (kl_text_table){.file = s->args->file, .columns = plain};
    for (int c = 0; c < plain; c++)
        at[c] = ends[s->chain][c] * (s->args->show_trainable ? 0.9 : 1);
    s->table.alignments[2] = KL_RIGHT;
    if (!s->chain)
        heads[3] = "Connected to";
    if (s->args->show_trainable) {
        heads[plain] = "Trainable";
        at[plain] = 1;
        s->table.alignments[plain] = KL_CENTER;
        s->table.columns++;
    }
    if (!kl_table_fit(&s->table, length ? length : LINE_LENGTH, at))
        return kl_error(KL_ERROR_RANGE, "kl_summary: line_length %d is too small for %d columns",
                        length, s->table.columns);
    fprintf(s->args->file, "Model: \"%s\"\n", s->args->model->name);
    kl_table_head(&s->table, heads);
    return KL_OK;
}

kl_summary_args kl_summary_defaults(void)
{
    return (kl_summary_args){.size = sizeof(kl_summary_args), .mark = kl_error_count()};
}

kl_status kl_summary_with(const kl_summary_args *args)
{
    if (!args)
        return kl_error_null("kl_summary", "args");
    if (!kl_args_usable("kl_summary", args, args->size, sizeof *args, args->mark))
        return kl_last_status();
    const kl_model *model = args->model;
    if (!model || !args->file)
        return kl_error_null("kl_summary", model ? "file" : "model");
    kl_status status = kl_layer_check(model);
    if (status)
        return status;
    if (args->line_length < 0 || args->line_length > 100000)
        return kl_error(KL_ERROR_RANGE, "kl_summary: line_length must be from 0 to 100000, got %d",
                        args->line_length);
    summary s = {.args = args, .ex = kl_model_executor(model), .chain = true};
    bool functional = s.ex && model->vtable == &kl_functional_class;
    if (functional)
        s.chain = is_chain(s.ex);
    status = begin_table(&s);
    if (status)
        return status;
    for (int i = 0; functional && i < s.ex->node_count; i++) {
        const kl_graph_node *node = s.ex->nodes[i];
        if (!node->layer)
            op_row(&s, node);
        else if (call_of(s.ex, node->layer, false) == node)
            layer_rows(&s, s.ex, node->layer, 0);
    }
    for (int i = 0; !functional && i < model->sublayer_count; i++)
        layer_rows(&s, s.ex, model->sublayers[i].layer, 0);
    kl_table_end(&s.table);
    totals(args->file, model);
    return ferror(args->file) ? kl_error(KL_ERROR_IO, "kl_summary: the file can't be written")
                              : KL_OK;
}
