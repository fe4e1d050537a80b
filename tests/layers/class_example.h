/* An example of a registered class: the config and input shapes of its first golden case. */
#ifndef KL_TESTS_LAYERS_CLASS_EXAMPLE_H
#define KL_TESTS_LAYERS_CLASS_EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "klayers/klayers.h"

/* Classes without a file of golden cases: why, and a config and input shape in its place. */
static const struct {
    const char *class_name, *why, *config;
    kl_shape input;
} classes_without_cases[] = {
    {"Functional", "a graph: tests/models, tests/saving and tests/training", NULL, {0}},
    {"Sequential",
     "a model: tests/models, tests/saving and tests/training",
     "{\"name\": \"s\", \"layers\": [{\"class_name\": \"Dense\", \"config\": {\"units\": 3, "
     "\"name\": \"d\"}}]}",
     {2, {-1, 4}, KL_FLOAT32}},
    {"InputLayer", "it has no call: layers/input", NULL, {0}},
    {"Lambda", "its function is a C one: layers/wrappers", NULL, {0}},
    {"TernaryDense", "in no released Keras", "{\"units\": 3}", {2, {-1, 4}, KL_FLOAT32}},
};

typedef struct example {
    const char *class_name;
    char *config; /* JSON; freed with kl_config_free_text; NULL: none */
    kl_shape inputs[KL_MAX_LIST];
    int input_count;
    bool judged;     /* there is a golden file */
    const char *why; /* there isn't one: why */
} example;

static inline bool is_error(const kl_config *line)
{
    bool error = false;
    const kl_config *flag = kl_config_get(line, "error");
    return flag && kl_config_as_bool(flag, &error) && error;
}

static inline void read_inputs(const kl_config *line, example *e)
{
    const kl_config *shapes = kl_config_get(line, "input_shapes");
    const kl_config *calls = kl_config_get(line, "calls");
    const kl_config *inputs = calls ? kl_config_get(kl_config_at(calls, 0), "inputs") : NULL;
    for (size_t i = 0; shapes && i < kl_config_count(shapes) && i < KL_MAX_LIST; i++) {
        const kl_config *shape = kl_config_at(shapes, i), *input = kl_config_at(inputs, i);
        const kl_config *dtype = input ? kl_config_get(input, "dtype") : NULL;
        kl_shape *to = &e->inputs[e->input_count++];
        *to = (kl_shape){.rank = (int)kl_config_count(shape), .dtype = KL_FLOAT32};
        if (dtype)
            kl_dtype_from_name(kl_config_as_string(dtype), &to->dtype);
        for (int k = 0; k < to->rank; k++)
            kl_config_as_int(kl_config_at(shape, (size_t)k), &to->at[k]);
        if (to->rank)
            to->at[0] = -1;
    }
}

/* The first case that isn't about an error. */
static inline void read_case(const char *tests, example *e)
{
    char path[1024], *text = NULL;
    size_t capacity = 0;
    ssize_t length;
    snprintf(path, sizeof path, "%s/golden/cases/%s.jsonl", tests, e->class_name);
    FILE *file = fopen(path, "rb");
    e->judged = file != NULL;
    while (file && !e->config && (length = getline(&text, &capacity, file)) > 0) {
        kl_config *line = kl_config_parse(text, (size_t)length);
        if (line && !is_error(line)) {
            e->config = kl_config_print(kl_config_get(line, "config"), false);
            read_inputs(line, e);
        }
        kl_config_free(line);
    }
    free(text);
    if (file)
        fclose(file);
}

/* `tests` is the folder that has golden/cases. */
static inline example example_of(const char *tests, const char *class_name)
{
    example e = {.class_name = class_name};
    read_case(tests, &e);
    for (size_t i = 0; i < sizeof classes_without_cases / sizeof *classes_without_cases; i++) {
        if (strcmp(classes_without_cases[i].class_name, class_name) != 0)
            continue;
        const char *text = classes_without_cases[i].config;
        e.why = classes_without_cases[i].why;
        if (e.config || !text)
            continue;
        kl_config *config = kl_config_parse(text, strlen(text));
        e.config = config ? kl_config_print(config, false) : NULL;
        e.inputs[0] = classes_without_cases[i].input;
        e.input_count = 1;
        kl_config_free(config);
    }
    return e;
}

#endif
