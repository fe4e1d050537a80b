/* The graph in Graphviz's language. */
#include "base/error.h"
#include "models/executor.h"
#include "models/input.h"
#include "models/model.h"
#include "models/text_table.h"

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
        kl_str shape = {0};
        kl_append_shape(&shape, node->outputs[0]);
        fprintf(file, "\\n%s", shape.at ? shape.at : "?");
        kl_str_free(&shape);
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
