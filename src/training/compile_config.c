/* Keras's compile_config: how a saved model remembers what it was compiled with, and back. */
#include <string.h>
#include "base/error.h"
#include "training/training.h"

static kl_config *given_config(const kl_given *g)
{
    if (g->name)
        return kl_config_new_string(g->name);
    return g->object ? kl_object_serialize(g->object) : kl_config_new_null();
}

static int given_count(const kl_given *list, int most)
{
    int count = 0;
    for (int i = 0; i < most; i++)
        if (list[i].name || list[i].object)
            count = i + 1;
    return count;
}

/* A list of `count` entries; null without any. */
static kl_config *given_list(const kl_given *list, int count)
{
    if (!count)
        return kl_config_new_null();
    kl_config *out = kl_config_new_list();
    for (int i = 0; out && i < count; i++) {
        if (kl_config_append(out, given_config(&list[i]))) {
            kl_config_free(out);
            return NULL;
        }
    }
    return out;
}

static kl_config *metrics_config(kl_given table[KL_MAX_LIST][KL_MAX_METRICS], bool nested)
{
    if (!nested)
        return given_list(table[0], given_count(table[0], KL_MAX_METRICS));
    int rows = 0;
    for (int i = 0; i < KL_MAX_LIST; i++)
        if (given_count(table[i], KL_MAX_METRICS))
            rows = i + 1;
    kl_config *out = kl_config_new_list();
    for (int i = 0; out && i < rows; i++) {
        if (kl_config_append(out, given_list(table[i], given_count(table[i], KL_MAX_METRICS)))) {
            kl_config_free(out);
            return NULL;
        }
    }
    return out;
}

static kl_config *weights_config(const kl_training_state *t)
{
    if (!t->loss_weight_count)
        return kl_config_new_null();
    kl_config *out = kl_config_new_list();
    for (size_t i = 0; out && i < t->loss_weight_count; i++) {
        if (kl_config_append(out, kl_config_new_float((double)t->loss_weights[i]))) {
            kl_config_free(out);
            return NULL;
        }
    }
    return out;
}

kl_config *kl_model_compile_config(const kl_model *model)
{
    if (!model) {
        kl_error_null("kl_model_compile_config", "model");
        return NULL;
    }
    kl_training_state *t = model->training;
    if (!t)
        return kl_config_new_null();
    kl_config *map = kl_config_new_map();
    if (!map)
        return NULL;
    kl_status status = kl_config_set(map, "optimizer", kl_object_serialize(t->optimizer));
    if (!status)
        status =
            kl_config_set(map, "loss",
                          t->per_output ? given_list(t->losses, given_count(t->losses, KL_MAX_LIST))
                                        : given_config(&t->loss));
    if (!status)
        status = kl_config_set(map, "loss_weights", weights_config(t));
    if (!status)
        status = kl_config_set(map, "metrics", metrics_config(t->metrics, t->by_output));
    if (!status)
        status = kl_config_set(map, "weighted_metrics", metrics_config(t->weighted, false));
    if (!status)
        status = kl_config_set_bool(map, "run_eagerly", t->run_eagerly);
    if (!status)
        status = kl_config_set_int(map, "steps_per_execution", t->steps_per_execution);
    if (!status)
        status = kl_config_set_bool(map, "jit_compile", t->jit_compile);
    if (!status)
        return map;
    kl_config_free(map);
    return NULL;
}

/* ---- And back ------------------------------------------------------------------------------- */

static bool is_null(const kl_config *c)
{
    return !c || kl_config_typeof(c) == KL_CONFIG_NULL;
}

/* A name is lent by the config, an object is new. *out is NULL for null. */
static kl_status read_named(kl_kind kind, const kl_config *c, kl_named *out)
{
    *out = NULL;
    if (is_null(c))
        return KL_OK;
    const char *name = kl_config_as_string(c);
    if (name) {
        *out = name;
        return KL_OK;
    }
    /* A saved function: {"class_name": "function", "config": name}. */
    const kl_config *inner = kl_config_get(c, "config");
    const kl_config *class_name = kl_config_get(c, "class_name");
    const char *text = class_name ? kl_config_as_string(class_name) : NULL;
    if (text && !strcmp(text, "function") && inner && (name = kl_config_as_string(inner))) {
        *out = name;
        return KL_OK;
    }
    /* A loss among metrics is told by its module. */
    const kl_config *module = kl_config_get(c, "module");
    const char *where = module ? kl_config_as_string(module) : NULL;
    if (where && kind == KL_KIND_METRIC && strstr(where, "losses"))
        kind = KL_KIND_LOSS;
    *out = kl_object_deserialize(kind, c);
    return *out ? KL_OK : kl_last_status();
}

static kl_status read_list(kl_kind kind, const kl_config *c, kl_named *out, int most)
{
    size_t count = kl_config_count(c);
    if (kl_config_typeof(c) != KL_CONFIG_LIST)
        return read_named(kind, c, &out[0]);
    if (count > (size_t)most)
        return kl_error(KL_ERROR_UNSUPPORTED, "compile_config: at most %d entries, got %zu", most,
                        count);
    kl_status status = KL_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = read_named(kind, kl_config_at(c, i), &out[i]);
    return status;
}

/* One list, or with several outputs a list or map of lists. */
static kl_status read_metrics(const kl_config *c, kl_compile_args *args)
{
    if (is_null(c))
        return KL_OK;
    bool nested = kl_config_typeof(c) == KL_CONFIG_MAP && !kl_config_get(c, "class_name");
    for (size_t i = 0; i < kl_config_count(c) && !nested; i++)
        nested = kl_config_typeof(c) == KL_CONFIG_LIST &&
                 kl_config_typeof(kl_config_at(c, i)) == KL_CONFIG_LIST;
    if (!nested)
        return read_list(KL_KIND_METRIC, c, args->metrics, KL_MAX_METRICS);
    if (kl_config_count(c) > KL_MAX_LIST)
        return kl_error(KL_ERROR_UNSUPPORTED, "compile_config: at most %d outputs", KL_MAX_LIST);
    kl_status status = KL_OK;
    for (size_t i = 0; !status && i < kl_config_count(c); i++)
        if (!is_null(kl_config_at(c, i)))
            status = read_list(KL_KIND_METRIC, kl_config_at(c, i), args->output_metrics[i],
                               KL_MAX_METRICS);
    return status;
}

static kl_status read_loss(const kl_config *c, kl_compile_args *args)
{
    if (is_null(c))
        return KL_OK;
    bool map = kl_config_typeof(c) == KL_CONFIG_MAP && !kl_config_get(c, "class_name");
    if (!map && kl_config_typeof(c) != KL_CONFIG_LIST)
        return read_named(KL_KIND_LOSS, c, &args->loss);
    if (kl_config_count(c) > KL_MAX_LIST)
        return kl_error(KL_ERROR_UNSUPPORTED, "compile_config: at most %d losses", KL_MAX_LIST);
    kl_status status = KL_OK;
    for (size_t i = 0; !status && i < kl_config_count(c); i++)
        status = read_named(KL_KIND_LOSS, kl_config_at(c, i), &args->losses[i]);
    return status;
}

static kl_status read_weights(const kl_config *c, float *out, kl_compile_args *args)
{
    if (is_null(c))
        return KL_OK;
    double value;
    size_t count = kl_config_count(c);
    bool alone = kl_config_as_float(c, &value);
    if (count > KL_MAX_LIST)
        return kl_error(KL_ERROR_UNSUPPORTED, "compile_config: at most %d loss_weights",
                        KL_MAX_LIST);
    for (size_t i = 0; i < (alone ? 1 : count); i++) {
        if (!kl_config_as_float(alone ? c : kl_config_at(c, i), &value))
            return kl_error(KL_ERROR_FORMAT, "compile_config: loss_weights must be numbers");
        out[i] = (float)value;
    }
    args->loss_weights = (kl_floats){out, alone ? 1 : count};
    return KL_OK;
}

kl_status kl_model_compile_from_config(kl_model *model, const kl_config *config)
{
    kl_training_use();
    if (!model || !config)
        return kl_error_null("kl_model_compile_from_config", model ? "config" : "model");
    if (is_null(config))
        return KL_OK;
    if (kl_config_typeof(config) != KL_CONFIG_MAP)
        return kl_error(KL_ERROR_FORMAT, "compile_config: expected a map");
    /* What Keras writes for a model that was never compiled. */
    if (!kl_config_count(config))
        return KL_OK;
    /* kl_args_usable releases what was read if this mark has moved. */
    kl_compile_args args = kl_compile_defaults();
    float weights[KL_MAX_LIST];
    args.model = model;
    args.optimizer = NULL;
    kl_status status =
        read_named(KL_KIND_OPTIMIZER, kl_config_get(config, "optimizer"), &args.optimizer);
    if (!status)
        status = read_loss(kl_config_get(config, "loss"), &args);
    if (!status)
        status = read_weights(kl_config_get(config, "loss_weights"), weights, &args);
    if (!status)
        status = read_metrics(kl_config_get(config, "metrics"), &args);
    const kl_config *weighted = kl_config_get(config, "weighted_metrics");
    if (!status && !is_null(weighted))
        status = read_list(KL_KIND_METRIC, weighted, args.weighted_metrics, KL_MAX_METRICS);
    const kl_config *flag = kl_config_get(config, "run_eagerly");
    if (flag)
        kl_config_as_bool(flag, &args.run_eagerly);
    if ((flag = kl_config_get(config, "jit_compile")))
        kl_config_as_bool(flag, &args.jit_compile);
    if ((flag = kl_config_get(config, "steps_per_execution")))
        kl_config_as_int(flag, &args.steps_per_execution);
    if (status)
        kl_error_prefix("compile_config");
    /* After a failure this releases what was read and keeps the failure. */
    return kl_compile_with(&args);
}
