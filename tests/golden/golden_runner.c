/*
 * Runs golden cases: golden_runner DIR... prints a line for each case that fails, then the counts.
 * Each case is a layer from its config with given weights, called; outputs, masks, losses, states,
 * gradients, the symbolic shape and the config's round trip are compared with real Keras's.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/case_tensor.h"
#include "layers/layer.h"

#define MOST 64

kl_tensor *kl_get_vocabulary(const kl_layer *layer, bool include_special_tokens);
#pragma weak kl_get_vocabulary

typedef struct case_run {
    const kl_config *config; /* the whole case */
    kl_layer *layer;
    double rtol;
    char why[1024]; /* what failed first; empty: nothing */
} case_run;

static bool fail(case_run *run, const char *format, ...)
{
    if (run->why[0])
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(run->why, sizeof run->why, format, args);
    va_end(args);
    return false;
}

static const kl_config *get(const kl_config *map, const char *key)
{
    const kl_config *value = map ? kl_config_get(map, key) : NULL;
    return value && kl_config_typeof(value) != KL_CONFIG_NULL ? value : NULL;
}

static bool matches(case_run *run, const char *what, size_t index, const kl_config *expected,
                    const kl_tensor *got, double rtol)
{
    char text[512] = "";
    if (case_tensor_matches(expected, got, rtol, text, sizeof text))
        return true;
    return fail(run, "%s %zu: %s", what, index, text);
}

static kl_layer *make_layer(const kl_config *config)
{
    const char *class_name = kl_config_as_string(kl_config_get(config, "class_name"));
    char *json = kl_config_print(kl_config_get(config, "config"), false);
    kl_layer *layer = json && class_name ? kl_layer_from_config(class_name, json) : NULL;
    kl_config_free_text(json);
    return layer;
}

static bool is_unknown(const kl_config *unknown, size_t input, int axis)
{
    if (!unknown)
        return axis == 0;
    if (axis == 0)
        return true;
    for (size_t i = 0; i < kl_config_count(unknown); i++) {
        int64_t a = -1, b = -1;
        const kl_config *pair = kl_config_at(unknown, i);
        if (kl_config_as_int(kl_config_at(pair, 0), &a) &&
            kl_config_as_int(kl_config_at(pair, 1), &b) && a == (int64_t)input && b == axis)
            return true;
    }
    return false;
}

/* The shapes that the layer is built for, with the batch and what the case says unknown. */
static int read_shapes(const kl_config *config, const kl_config *inputs, kl_shape *shapes)
{
    const kl_config *list = get(config, "input_shapes");
    const kl_config *unknown = get(config, "unknown_dims");
    size_t count = list ? kl_config_count(list) : 0;
    for (size_t i = 0; i < count && i < MOST; i++) {
        const kl_config *shape = kl_config_at(list, i);
        const char *dtype = kl_config_as_string(kl_config_get(kl_config_at(inputs, i), "dtype"));
        shapes[i] = (kl_shape){.rank = (int)kl_config_count(shape)};
        kl_dtype_from_name(dtype ? dtype : "float32", &shapes[i].dtype);
        for (int k = 0; k < shapes[i].rank && k < KL_MAX_RANK; k++) {
            shapes[i].at[k] = -1;
            if (!is_unknown(unknown, i, k))
                kl_config_as_int(kl_config_at(shape, (size_t)k), &shapes[i].at[k]);
        }
    }
    return (int)count;
}

static size_t read_list(const kl_config *list, kl_tensor **out)
{
    size_t count = list ? kl_config_count(list) : 0;
    for (size_t i = 0; i < count && i < MOST; i++) {
        const kl_config *item = kl_config_at(list, i);
        out[i] = kl_config_typeof(item) == KL_CONFIG_NULL ? NULL : case_tensor_read(item);
    }
    return count < MOST ? count : MOST;
}

static void release_list(size_t count, kl_tensor **list)
{
    for (size_t i = 0; i < count; i++)
        kl_release(list[i]);
}

static bool set_weights(case_run *run)
{
    kl_tensor *weights[MOST];
    const kl_config *list = get(run->config, "weights");
    size_t count = read_list(list, weights);
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good = good && weights[i];
    if (!good)
        fail(run, "weights: %s", kl_last_error());
    else if (list && kl_layer_set_weights(run->layer, (int)count, weights))
        good = fail(run, "set_weights: %s", kl_last_error());
    release_list(count, weights);
    return good;
}

/* One call's arguments from the case. */
typedef struct call_data {
    kl_tensor *inputs[MOST], *extra[MOST];
    size_t input_count, extra_count;
    kl_call_args args;
} call_data;

static void read_call(const kl_config *call, kl_layer *layer, call_data *data)
{
    bool training = false, flag;
    memset(data, 0, sizeof *data);
    data->args = (kl_call_args){.size = sizeof data->args, .layer = layer};
    data->input_count = read_list(get(call, "inputs"), data->inputs);
    data->args.inputs_list = (kl_tensors){(int)data->input_count, data->inputs};
    if (get(call, "training") && kl_config_as_bool(get(call, "training"), &training))
        data->args.training = training ? KL_TRUE : KL_FALSE;
    struct {
        const char *key;
        kl_tensor **to;
    } lists[] = {{"masks", data->args.masks},
                 {"initial_state", data->args.initial_state},
                 {"constants", data->args.constants}};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        const kl_config *list = get(call, lists[l].key);
        size_t count = list ? kl_config_count(list) : 0;
        for (size_t i = 0; i < count && i < KL_MAX_LIST && data->extra_count < MOST; i++) {
            if (kl_config_typeof(kl_config_at(list, i)) == KL_CONFIG_NULL)
                continue;
            lists[l].to[i] = data->extra[data->extra_count++] =
                case_tensor_read(kl_config_at(list, i));
        }
    }
    const kl_config *kwargs = get(call, "kwargs");
    size_t count = kwargs ? kl_config_count(kwargs) : 0;
    for (size_t i = 0; i < count && i < 8; i++) {
        const kl_config *value = kl_config_at(kwargs, i);
        data->args.arguments[i].name = kl_config_key(kwargs, i);
        if (kl_config_as_bool(value, &flag))
            data->args.arguments[i].flag = flag;
        else if (kl_config_typeof(value) == KL_CONFIG_MAP)
            data->args.arguments[i].value = data->extra[data->extra_count++] =
                case_tensor_read(value);
    }
}

static void release_call(call_data *data)
{
    release_list(data->input_count, data->inputs);
    release_list(data->extra_count, data->extra);
}

static bool check_results(case_run *run, const kl_config *call, kl_tensors out)
{
    const kl_config *expected = get(call, "outputs"), *masks = get(call, "output_masks");
    if (!expected)
        return true;
    if (kl_config_count(expected) != (size_t)out.count)
        return fail(run, "expected %zu outputs, got %d", kl_config_count(expected), out.count);
    bool good = true;
    for (int i = 0; i < out.count && good; i++) {
        good = matches(run, "output", (size_t)i, kl_config_at(expected, (size_t)i), out.at[i],
                       run->rtol);
        if (good && masks)
            good = matches(run, "output mask", (size_t)i, kl_config_at(masks, (size_t)i),
                           kl_tensor_mask(out.at[i]), run->rtol);
    }
    return good;
}

static bool check_losses(case_run *run, const kl_config *call)
{
    const kl_config *expected = get(call, "losses");
    if (!expected)
        return true;
    kl_tensor *losses[MOST] = {NULL};
    int count = kl_layer_losses_list(run->layer, losses, MOST);
    bool good = count == (int)kl_config_count(expected);
    if (!good)
        fail(run, "expected %zu losses, got %d", kl_config_count(expected), count);
    for (int i = 0; i < count && i < MOST; i++) {
        good = good && matches(run, "loss", (size_t)i, kl_config_at(expected, (size_t)i), losses[i],
                               run->rtol);
        kl_release(losses[i]);
    }
    return good;
}

static bool run_calls(case_run *run)
{
    const kl_config *calls = get(run->config, "calls");
    bool good = true;
    for (size_t i = 0; calls && i < kl_config_count(calls) && good; i++) {
        const kl_config *call = kl_config_at(calls, i);
        call_data data;
        read_call(call, run->layer, &data);
        kl_scope *scope = kl_scope_begin();
        data.args.mark = kl_error_count();
        kl_tensors out = kl_call_with_args(&data.args);
        good =
            out.at ? check_results(run, call, out) : fail(run, "call %zu: %s", i, kl_last_error());
        kl_scope_end(scope);
        good = good && check_losses(run, call);
        release_call(&data);
    }
    return good;
}

static bool check_weights_after(case_run *run)
{
    const kl_config *expected = get(run->config, "weights_after");
    bool good = true;
    for (size_t i = 0; expected && good && i < kl_config_count(expected); i++)
        good = matches(run, "weight after the calls", i, kl_config_at(expected, i),
                       kl_weight_value(kl_layer_weight(run->layer, (int)i)), run->rtol);
    return good;
}

/* sum(outputs * cotangents) + sum(losses), as the case defines it. */
static kl_tensor *objective(case_run *run, kl_tensors out, const kl_config *cotangents)
{
    kl_tensor *total = NULL;
    for (int i = 0; i < out.count; i++) {
        const kl_config *item = kl_config_at(cotangents, (size_t)i);
        if (!item || kl_config_typeof(item) == KL_CONFIG_NULL)
            continue;
        kl_tensor *weights = case_tensor_read(item);
        kl_tensor *one = kl_op_sum(kl_op_mul(out.at[i], weights), KL_ALL_AXES, false);
        total = total ? kl_op_add(total, one) : one;
    }
    kl_tensor *losses[MOST];
    int count = kl_layer_losses_list(run->layer, losses, MOST);
    for (int i = 0; i < count && total; i++)
        total = kl_op_add(
            total, kl_op_cast(kl_op_sum(losses[i], KL_ALL_AXES, false), kl_tensor_dtype(total)));
    for (int i = 0; i < count; i++)
        kl_release(losses[i]);
    return total;
}

static bool compare_gradients(case_run *run, const kl_config *gradients, size_t inputs,
                              kl_tensor **found)
{
    const kl_config *of_inputs = get(gradients, "inputs"), *of_weights = get(gradients, "weights");
    double rtol = run->rtol;
    bool good = true;
    for (size_t i = 0; of_inputs && good && i < kl_config_count(of_inputs); i++)
        if (kl_config_typeof(kl_config_at(of_inputs, i)) != KL_CONFIG_NULL)
            good = matches(run, "gradient of input", i, kl_config_at(of_inputs, i), found[i], rtol);
    size_t count = of_weights ? kl_config_count(of_weights) : 0;
    if (good && of_weights && count != (size_t)kl_layer_trainable_weight_count(run->layer))
        return fail(run, "expected %zu trainable weights, got %d", count,
                    kl_layer_trainable_weight_count(run->layer));
    for (size_t i = 0; good && i < count; i++)
        good = matches(run, "gradient of weight", i, kl_config_at(of_weights, i), found[inputs + i],
                       rtol);
    const kl_config *of_states = get(gradients, "initial_state");
    for (size_t i = 0; of_states && good && i < kl_config_count(of_states); i++)
        if (kl_config_typeof(kl_config_at(of_states, i)) != KL_CONFIG_NULL)
            good = matches(run, "gradient of initial state", i, kl_config_at(of_states, i),
                           found[inputs + count + i], rtol);
    return good;
}

static bool check_gradients(case_run *run)
{
    const kl_config *gradients = get(run->config, "gradients");
    const kl_config *calls = get(run->config, "calls");
    if (!gradients || !calls)
        return true;
    call_data data;
    read_call(kl_config_at(calls, 0), run->layer, &data);
    kl_tensor *sources[2 * MOST], *found[2 * MOST] = {NULL};
    size_t count = 0, slots[2 * MOST], total = data.input_count;
    bool good = true;
    kl_scope *scope = kl_scope_begin();
    kl_tape *tape = kl_tape_begin();
    for (size_t i = 0; i < data.input_count; i++) {
        if (!kl_dtype_is_float(kl_tensor_dtype(data.inputs[i])))
            continue;
        kl_tape_watch(tape, data.inputs[i]);
        slots[count] = i;
        sources[count++] = data.inputs[i];
    }
    int weights = kl_layer_trainable_weight_count(run->layer);
    for (int i = 0; i < weights && count < 2 * MOST - 1; i++) {
        slots[count] = total++;
        sources[count++] = kl_weight_value(kl_layer_trainable_weight(run->layer, i));
    }
    for (int i = 0; i < KL_MAX_LIST && data.args.initial_state[i] && count < 2 * MOST - 1; i++) {
        kl_tape_watch(tape, data.args.initial_state[i]);
        slots[count] = total++;
        sources[count++] = data.args.initial_state[i];
    }
    data.args.mark = kl_error_count();
    kl_tensors out = kl_call_with_args(&data.args);
    kl_tensor *target = out.at ? objective(run, out, get(gradients, "cotangents")) : NULL;
    kl_tensor *dense[2 * MOST] = {NULL};
    if (!target) {
        good = fail(run, "call for the gradients: %s", kl_last_error());
        kl_tape_end(tape);
    } else if (kl_tape_gradient(tape, target, count, sources, dense)) {
        good = fail(run, "gradients: %s", kl_last_error());
    }
    for (size_t i = 0; i < count; i++)
        found[slots[i]] = dense[i];
    good = good && compare_gradients(run, gradients, data.input_count, found);
    kl_scope_end(scope);
    release_call(&data);
    return good;
}

static bool check_output_shapes(case_run *run, int count, const kl_shape *shapes)
{
    const kl_config *expected = get(run->config, "output_shapes");
    if (!expected || !count)
        return true;
    kl_shape out[KL_MAX_LIST];
    int out_count = 0;
    const kl_config *calls = get(run->config, "calls");
    call_data data;
    read_call(kl_config_at(calls, 0), run->layer, &data);
    kl_call_args flags = {.size = sizeof flags};
    for (int i = 0; i < 8; i++)
        if (!data.args.arguments[i].value)
            flags.arguments[i] = data.args.arguments[i];
    kl_status status = kl_layer_infer_shapes(run->layer, &flags, shapes, count, out, &out_count);
    release_call(&data);
    if (status)
        return fail(run, "symbolic shape: %s", kl_last_error());
    if ((size_t)out_count != kl_config_count(expected))
        return fail(run, "symbolic shape: expected %zu outputs, got %d", kl_config_count(expected),
                    out_count);
    for (int i = 0; i < out_count; i++) {
        const kl_config *shape = kl_config_at(expected, (size_t)i);
        int64_t want[KL_MAX_RANK];
        int rank = (int)kl_config_count(shape);
        bool same = rank == out[i].rank;
        for (int k = 0; k < rank && k < KL_MAX_RANK; k++) {
            want[k] = -1;
            kl_config_as_int(kl_config_at(shape, (size_t)k), &want[k]);
            same = same && want[k] == out[i].at[k];
        }
        char a[160], b[160];
        if (!same)
            return fail(run, "symbolic shape %d: expected %s, got %s", i,
                        kl_shape_text(rank, want, a, sizeof a),
                        kl_shape_text(out[i].rank, out[i].at, b, sizeof b));
    }
    return true;
}

/* config -> layer -> config -> layer -> config: the two configs are equal. */
static bool check_round_trip(case_run *run)
{
    char *first = kl_layer_get_config(run->layer), *second = NULL;
    kl_layer *again = first ? kl_layer_from_config(kl_layer_class_name(run->layer), first) : NULL;
    bool good = again != NULL;
    if (!good)
        fail(run, "config round trip: %s", kl_last_error());
    if (good) {
        second = kl_layer_get_config(again);
        good = second && !strcmp(first, second);
        if (!good)
            fail(run, "config round trip: %s became %s", first, second ? second : kl_last_error());
    }
    kl_free_text(first);
    kl_free_text(second);
    kl_layer_release(again);
    return good;
}

static bool check_error_case(case_run *run, const kl_config *config)
{
    kl_layer *layer = make_layer(config);
    bool refused = layer == NULL;
    const kl_config *calls = get(config, "calls");
    kl_shape shapes[MOST];
    run->layer = layer;
    if (layer) {
        const kl_config *inputs = calls ? get(kl_config_at(calls, 0), "inputs") : NULL;
        int count = read_shapes(config, inputs, shapes);
        kl_tensor *data = get(config, "adapt") ? case_tensor_read(get(config, "adapt")) : NULL;
        refused = data && kl_layer_adapt(layer, data) != KL_OK;
        kl_release(data);
        refused = refused || (count && kl_layer_build(layer, shapes, count) != KL_OK);
    }
    for (size_t i = 0; !refused && calls && i < kl_config_count(calls); i++) {
        call_data data;
        read_call(kl_config_at(calls, i), layer, &data);
        kl_scope *scope = kl_scope_begin();
        data.args.mark = kl_error_count();
        refused = kl_call_with_args(&data.args).at == NULL;
        kl_scope_end(scope);
        release_call(&data);
    }
    if (!refused)
        return fail(run, "expected an error, got none");
    return *kl_last_error() ? true : fail(run, "the error has no message");
}

/* Python's None, for a token that isn't set, is an empty string here, or among numbers any. */
static bool check_word(case_run *run, const kl_tensor *got, size_t i, const kl_config *expected)
{
    bool none = kl_config_typeof(expected) == KL_CONFIG_NULL;
    if (kl_tensor_dtype(got) == KL_INT64) {
        int64_t want, have = ((const int64_t *)kl_tensor_data(got))[i];
        if (none || (kl_config_as_int(expected, &want) && want == have))
            return true;
        return fail(run, "vocabulary %zu: expected another number than %lld", i, (long long)have);
    }
    const char *want = none ? "" : kl_config_as_string(expected);
    kl_string have = kl_tensor_string_at(got, (int64_t)i);
    if (want && strlen(want) == have.length && !memcmp(want, have.at, have.length))
        return true;
    return fail(run, "vocabulary %zu: expected '%s', got '%.*s'", i, want ? want : "?",
                (int)have.length, have.at);
}

static bool check_vocabulary(case_run *run)
{
    const kl_config *expected = get(run->config, "vocabulary");
    if (!expected)
        return true;
    kl_tensor *got = kl_get_vocabulary(run->layer, true);
    bool good = got && kl_tensor_size(got) == (int64_t)kl_config_count(expected);
    if (!good)
        fail(run, "vocabulary: expected %zu entries, got %lld %s", kl_config_count(expected),
             (long long)kl_tensor_size(got), got ? "" : kl_last_error());
    for (size_t i = 0; good && i < kl_config_count(expected); i++)
        good = check_word(run, got, i, kl_config_at(expected, i));
    kl_release(got);
    return good;
}

static bool build_and_adapt(case_run *run, kl_shape *shapes, int *count)
{
    const kl_config *calls = get(run->config, "calls");
    const kl_config *inputs = calls ? get(kl_config_at(calls, 0), "inputs") : NULL;
    *count = read_shapes(run->config, inputs, shapes);
    const kl_config *adapt = get(run->config, "adapt");
    if (adapt) {
        kl_tensor *data = case_tensor_read(adapt);
        bool good = data && !kl_layer_adapt(run->layer, data);
        kl_release(data);
        if (!good)
            return fail(run, "adapt: %s", kl_last_error());
    }
    if (*count && kl_layer_build(run->layer, shapes, *count))
        return fail(run, "build: %s", kl_last_error());
    return true;
}

static bool run_case(case_run *run)
{
    bool error = false;
    const kl_config *flag = get(run->config, "error");
    if (flag && kl_config_as_bool(flag, &error) && error)
        return check_error_case(run, run->config);
    run->layer = make_layer(run->config);
    if (!run->layer)
        return fail(run, "from_config: %s", kl_last_error());
    run->rtol = 1e-5;
    kl_dtype dtype = kl_layer_compute_dtype(run->layer);
    if (dtype == KL_FLOAT64)
        run->rtol = 1e-9;
    if (dtype == KL_FLOAT16)
        run->rtol = 1e-3;
    if (dtype == KL_BFLOAT16)
        run->rtol = 1e-2;
    if (get(run->config, "rtol"))
        kl_config_as_float(get(run->config, "rtol"), &run->rtol);
    kl_shape shapes[MOST];
    int count;
    if (!build_and_adapt(run, shapes, &count) || !set_weights(run) ||
        !check_output_shapes(run, count, shapes) || !check_round_trip(run))
        return false;
    /* The gradients are of the first call: a layer that keeps state starts from the same weights.
     */
    return check_gradients(run) && (kl_layer_reset_state(run->layer) == KL_OK) &&
           set_weights(run) && run_calls(run) && check_weights_after(run) && check_vocabulary(run);
}

static void run_line(const char *line, size_t length, const char *file, int number, int *passed,
                     int *failed)
{
    kl_config *config = kl_config_parse(line, length);
    case_run run = {.config = config};
    const char *class_name = config ? kl_config_as_string(get(config, "class_name")) : NULL;
    const char *name =
        config && get(config, "name") ? kl_config_as_string(get(config, "name")) : NULL;
    if (!config || !class_name)
        fail(&run, "line %d is no case: %s", number, kl_last_error());
    else
        run_case(&run);
    if (run.why[0]) {
        printf("FAILED %s %s: %s\n", class_name ? class_name : file, name ? name : "?", run.why);
        ++*failed;
    } else {
        ++*passed;
    }
    kl_layer_release(run.layer);
    kl_config_free(config);
    kl_clear_error();
}

static void run_file(const char *path, int *passed, int *failed)
{
    FILE *file = fopen(path, "rb");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int number = 0;
    if (!file) {
        printf("FAILED %s: it can't be opened\n", path);
        ++*failed;
        return;
    }
    while ((length = getline(&line, &capacity, file)) >= 0) {
        number++;
        if (length > 1)
            run_line(line, (size_t)length, path, number, passed, failed);
    }
    free(line);
    fclose(file);
}

static int is_case_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 6 && !strcmp(entry->d_name + length - 6, ".jsonl");
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        struct dirent **entries = NULL;
        int count = scandir(argv[i], &entries, is_case_file, alphasort);
        if (count < 0) {
            /* A file of cases by itself. */
            run_file(argv[i], &passed, &failed);
            continue;
        }
        for (int k = 0; k < count; k++) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[i], entries[k]->d_name);
            run_file(path, &passed, &failed);
            free(entries[k]);
        }
        free(entries);
    }
    kl_shutdown();
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
