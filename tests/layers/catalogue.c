/*
 * Writes the catalogue of all layers from their field tables: layer_catalogue SOURCE_DIR writes
 * examples/CATALOGUE.md there, and with --check compares it instead.
 */
#include <ftw.h>

#include "layers/class_example.h"
#include "layers/layer.h"

#define KL_LAYER_CLASS(name) extern const kl_layer_vtable name##_class;
#include "layers/registry.inc"
#undef KL_LAYER_CLASS

/* A class with what its constructor is called. */
typedef struct entry {
    const kl_layer_vtable *vtable;
    const char *function;
    char source[256]; /* below the source directory */
    int sure;
} entry;

static entry entries[] = {
#define KL_LAYER_CLASS(name) {&name##_class, #name, "", 0},
#include "layers/registry.inc"
#undef KL_LAYER_CLASS
};
enum { ENTRIES = sizeof entries / sizeof *entries };

static const char *root;

/* ---- Sources ---- */

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    if (file && !fseek(file, 0, SEEK_END)) {
        long size = ftell(file);
        text = size >= 0 ? malloc((size_t)size + 1) : NULL;
        rewind(file);
        if (text)
            text[fread(text, 1, (size_t)size, file)] = 0;
    }
    if (file)
        fclose(file);
    return text;
}

/* How sure the text is the class's source: 3 where its vtable names it, 1 where its name without
   the number of dimensions stands. */
static int mentions(const char *text, const char *class_name)
{
    char name[160];
    snprintf(name, sizeof name, ".class_name = \"%s\"", class_name);
    if (strstr(text, name))
        return 3;
    snprintf(name, sizeof name, "\"%s\"", class_name);
    if (strstr(text, name))
        return 2;
    snprintf(name, sizeof name, ".class_name = \"%.*s\"", (int)strcspn(class_name, "0123456789"),
             class_name);
    return strstr(text, name) != NULL;
}

static int look_into(const char *path, const struct stat *info, int type, struct FTW *at)
{
    size_t length = strlen(path);
    if (type != FTW_F || length < 2 || strcmp(path + length - 2, ".c") != 0)
        return 0;
    char *text = read_text(path);
    for (int i = 0; text && i < ENTRIES; i++) {
        int sure = mentions(text, entries[i].vtable->class_name);
        if (sure <= entries[i].sure)
            continue;
        entries[i].sure = sure;
        snprintf(entries[i].source, sizeof entries[i].source, "%s", path + strlen(root) + 1);
    }
    free(text);
    return 0;
}

static void find_sources(void)
{
    const char *const folders[] = {"layers", "models"};
    for (int i = 0; i < 2; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/src/%s", root, folders[i]);
        nftw(path, look_into, 16, FTW_PHYS);
    }
}

/* ---- Arguments ---- */

static const char *type_text(const kl_field *f, char *out, size_t size)
{
    static const char *const names[] = {
        [KL_FIELD_BOOL] = "bool",
        [KL_FIELD_INT] = "integer",
        [KL_FIELD_FLOAT] = "number",
        [KL_FIELD_STRING] = "string",
        [KL_FIELD_SHAPE] = "sizes of axes",
        [KL_FIELD_INTS] = "integers",
        [KL_FIELD_FLOATS] = "numbers",
        [KL_FIELD_STRINGS] = "strings",
        [KL_FIELD_DTYPE] = "dtype or policy",
        [KL_FIELD_ACTIVATION] = "activation",
        [KL_FIELD_INITIALIZER] = "initializer",
        [KL_FIELD_REGULARIZER] = "regularizer",
        [KL_FIELD_CONSTRAINT] = "constraint",
        [KL_FIELD_LAYER] = "layer",
        [KL_FIELD_TENSOR] = "array",
        [KL_FIELD_CONFIG] = "config",
    };
    if (f->type == KL_FIELD_DIMS && f->count > 1)
        snprintf(out, size, "%d integers, or one for all", f->count);
    else if (f->type == KL_FIELD_DIMS)
        snprintf(out, size, "integer");
    else if (f->type == KL_FIELD_PAIRS)
        snprintf(out, size, "%d pairs of integers, or one integer for all", f->count);
    else
        snprintf(out, size, "%s", names[f->type]);
    return out;
}

static const char *default_text(const kl_field *f, char *out, size_t size)
{
    const char *text = f->def;
    if (f->flags & KL_FIELD_REQUIRED)
        text = "required";
    else if (!text && f->type == KL_FIELD_BOOL)
        text = "false";
    else if (!text && f->type == KL_FIELD_INT && !(f->flags & KL_FIELD_OPTIONAL))
        text = "0";
    else if (!text && f->type == KL_FIELD_FLOAT && !(f->flags & KL_FIELD_OPTIONAL))
        text = "0";
    else if (!text)
        text = "None";
    snprintf(out, size, "%s", text);
    return out;
}

/* What may be given, with bars made safe for a table. */
static const char *range_text(const kl_field *f, char *out, size_t size)
{
    *out = 0;
    if (f->choices) {
        size_t at = 0;
        for (const char *c = f->choices; *c && at + 3 < size; c++) {
            out[at++] = *c == '|' ? ',' : *c;
            if (*c == '|')
                out[at++] = ' ';
        }
        out[at] = 0;
    } else if (f->min < f->max && f->max >= 2147483647) {
        snprintf(out, size, "from %g", f->min);
    } else if (f->min < f->max) {
        snprintf(out, size, "%g to %g", f->min, f->max);
    }
    return out;
}

static void write_arguments(FILE *file, const kl_field *fields)
{
    bool head = false;
    for (const kl_field *f = fields; f && f->type != KL_FIELD_END; f++) {
        char type[80], def[80], range[400];
        if (f->type == KL_FIELD_POINTER || f->type == KL_FIELD_IGNORED)
            continue;
        if (!head)
            fputs("\n| argument | type | default | allowed | meaning |\n| --- | --- | --- | --- | "
                  "--- |\n",
                  file);
        head = true;
        fprintf(file, "| `%s` | %s | %s | %s | %s |\n", f->name, type_text(f, type, sizeof type),
                default_text(f, def, sizeof def), range_text(f, range, sizeof range),
                f->doc ? f->doc : "");
    }
    if (!head)
        fputs("\nNo arguments of its own.\n", file);
}

/* ---- Classes ---- */

static void write_shape(FILE *file, const kl_shape *shape)
{
    fputc('(', file);
    for (int i = 0; i < shape->rank; i++) {
        fputs(i ? ", " : "", file);
        if (shape->at[i] < 0)
            fputs("None", file);
        else
            fprintf(file, "%lld", (long long)shape->at[i]);
    }
    fputc(')', file);
}

static void write_shapes(FILE *file, const kl_shape *shapes, int count)
{
    for (int i = 0; i < count; i++) {
        fputs(i ? ", " : "", file);
        write_shape(file, &shapes[i]);
    }
}

static void write_weights(FILE *file, const kl_layer *layer)
{
    for (int i = 0; i < kl_layer_weight_count(layer); i++) {
        const kl_weight *weight = kl_layer_weight(layer, i);
        const kl_tensor *value = kl_weight_value(weight);
        kl_shape shape = {.rank = kl_tensor_rank(value)};
        for (int k = 0; k < shape.rank; k++)
            shape.at[k] = kl_tensor_dim(value, k);
        fprintf(file, "%s%s ", i ? ", " : "; weights ", kl_weight_name(weight));
        write_shape(file, &shape);
    }
}

/* What it takes and gives, shown by the first of its golden cases. */
static void write_example(FILE *file, const entry *e, const char *tests)
{
    example of = example_of(tests, e->vtable->class_name);
    kl_layer *layer = of.config ? kl_layer_from_config(e->vtable->class_name, of.config) : NULL;
    kl_shape out[KL_MAX_LIST];
    int count = 0;
    if (layer && layer->spec_count && layer->specs[0].ndim)
        fprintf(file, "Takes inputs with %d axes. ", layer->specs[0].ndim);
    else if (layer && layer->spec_count && layer->specs[0].min_ndim)
        fprintf(file, "Takes inputs with %d axes or more. ", layer->specs[0].min_ndim);
    if (layer && !kl_layer_output_shape(layer, of.inputs, of.input_count, out, &count)) {
        fputs("Shapes, for example: ", file);
        write_shapes(file, of.inputs, of.input_count);
        fputs(" to ", file);
        write_shapes(file, out, count);
        write_weights(file, layer);
        fputs(".", file);
    }
    fputc('\n', file);
    kl_layer_release(layer);
    kl_config_free_text(of.config);
}

static void write_class(FILE *file, const entry *e, const char *tests)
{
    fprintf(file, "\n### %s\n`%s`, in `%s`", e->vtable->class_name, e->function, e->source);
    if (e->vtable->names) {
        fputs("; also ", file);
        for (const char *c = e->vtable->names; *c; c++)
            fputs(*c == '|' ? ", " : (const char[]){*c, 0}, file);
    }
    fputs(". ", file);
    write_example(file, e, tests);
    write_arguments(file, e->vtable->fields);
}

/* "src/layers/pooling/pooling.c" -> "pooling", "src/layers/preprocessing/image/..." ->
   "preprocessing/image". */
static void family_of(const entry *e, char *out, size_t size)
{
    const char *from = strncmp(e->source, "src/layers/", 11) ? e->source + 4 : e->source + 11;
    const char *end = strrchr(from, '/');
    snprintf(out, size, "%.*s", end ? (int)(end - from) : 0, from);
    for (char *c = out; *c; c++)
        *c = *c == '_' ? ' ' : *c;
}

static int by_family(const void *a, const void *b)
{
    char x[128], y[128];
    family_of(a, x, sizeof x);
    family_of(b, y, sizeof y);
    int order = strcmp(x, y);
    return order ? order
                 : strcmp(((const entry *)a)->vtable->class_name,
                          ((const entry *)b)->vtable->class_name);
}

static void write_catalogue(FILE *file, const char *tests)
{
    char family[128] = "", next[128];
    fputs("# Layers\n"
          "Every layer class with its arguments, made from the layers' own tables by `ninja "
          "catalogue` (a\n"
          "build target; a test tells when this page is stale). A class is made in C by "
          "`kl_dense(.units = 4)`,\n"
          "or from a config: `kl_layer_from_config(\"Dense\", \"{\\\"units\\\": 4}\")`. All layers "
          "also take `name`,\n"
          "`trainable`, `dtype` and, as the first of a model, `input_shape`. Shapes begin with the "
          "batch.\n",
          file);
    for (int i = 0; i < ENTRIES; i++) {
        family_of(&entries[i], next, sizeof next);
        if (strcmp(family, next) != 0)
            fprintf(file, "\n## %c%s\n", next[0] - 'a' + 'A', next + 1);
        snprintf(family, sizeof family, "%s", next);
        write_class(file, &entries[i], tests);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "layer_catalogue SOURCE_DIR [--check]\n");
        return 2;
    }
    char path[512], tests[512], *made = NULL;
    size_t size = 0;
    root = argv[1];
    snprintf(path, sizeof path, "%s/examples/CATALOGUE.md", root);
    snprintf(tests, sizeof tests, "%s/tests", root);
    find_sources();
    qsort(entries, ENTRIES, sizeof *entries, by_family);
    FILE *file = open_memstream(&made, &size);
    write_catalogue(file, tests);
    fclose(file);
    int result = 0;
    if (argc > 2 && !strcmp(argv[2], "--check")) {
        char *have = read_text(path);
        result = !have || strcmp(have, made) != 0;
        if (result)
            fprintf(stderr, "%s is stale: build the target `catalogue`\n", path);
        free(have);
    } else {
        FILE *out = fopen(path, "wb");
        result = !out || fwrite(made, 1, size, out) != size;
        if (out)
            result = fclose(out) || result;
    }
    free(made);
    kl_shutdown();
    return result;
}
