/*
 * The judge fails where it must: for each kind of thing that a case expects, the first committed
 * case with it passes as it is and fails once that thing is damaged. And the cases stay small.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "klayers/config.h"

#define CASES      KL_TEST_DIR "/golden/cases"
#define MOST_CLASS (128 << 10)
#define MOST_ALL   (20 << 20)

static char folder[] = P_tmpdir "/klayers-damaged-XXXXXX";

/* What the runner says of a folder: its last line, all of it, and its exit code. */
typedef struct verdict {
    char last[200], all[8000];
    int code;
} verdict;

static verdict judge(const char *of)
{
    verdict v = {.code = -1};
    char command[600], line[4000];
    snprintf(command, sizeof command, "\"%s\" \"%s\"", KL_GOLDEN_RUNNER, of);
    FILE *out = popen(command, "r"); // NOLINT(cert-env33-c)
    assert_non_null(out);
    while (fgets(line, sizeof line, out)) {
        line[strcspn(line, "\n")] = 0;
        snprintf(v.last, sizeof v.last, "%.190s", line);
        size_t used = strlen(v.all);
        snprintf(v.all + used, sizeof v.all - used, "%s\n", line);
    }
    int status = pclose(out);
    v.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return v;
}

static void write_line(const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/Case.jsonl", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", text);
    fclose(file);
}

static verdict judge_case(const kl_config *c)
{
    char *text = kl_config_print(c, false);
    assert_non_null(text);
    write_line(text);
    kl_config_free_text(text);
    return judge(folder);
}

/* The first tensor of a list that isn't null, as a map. */
static kl_config *first_tensor(const kl_config *list)
{
    for (size_t i = 0; list && i < kl_config_count(list); i++)
        if (kl_config_typeof(kl_config_at(list, i)) == KL_CONFIG_MAP)
            return kl_config_at(list, i);
    return NULL;
}

static kl_config *call_list(const kl_config *c, const char *key)
{
    const kl_config *calls = kl_config_get(c, "calls");
    return kl_config_get(kl_config_at(calls, 0), key);
}

/* Other values of the same dtype and shape; false if there is no such tensor to damage. */
static bool refill(kl_config *tensor)
{
    const char *dtype = tensor ? kl_config_as_string(kl_config_get(tensor, "dtype")) : NULL;
    const kl_config *shape = tensor ? kl_config_get(tensor, "shape") : NULL;
    if (!dtype || !strcmp(dtype, "string"))
        return false;
    for (size_t i = 0; i < kl_config_count(shape); i++) {
        int64_t size = 0;
        if (!kl_config_as_int(kl_config_at(shape, i), &size) || !size)
            return false;
    }
    kl_config_free(kl_config_detach(tensor, "values"));
    kl_config_free(kl_config_detach(tensor, "base64"));
    kl_config_free(kl_config_detach(tensor, "sample"));
    const char *fill = strcmp(dtype, "bool") != 0 ? "[7, 40, 50]" : "[7, 0, 2]";
    return !kl_config_set(tensor, "fill", kl_config_parse(fill, strlen(fill)));
}

static bool damage_output(kl_config *c)
{
    return refill(first_tensor(call_list(c, "outputs")));
}

static bool set_text(kl_config *map, const char *key, const char *json)
{
    return map && !kl_config_set(map, key, kl_config_parse(json, strlen(json)));
}

static bool damage_output_dtype(kl_config *c)
{
    kl_config *output = first_tensor(call_list(c, "outputs"));
    const char *dtype = output ? kl_config_as_string(kl_config_get(output, "dtype")) : NULL;
    return dtype && !strcmp(dtype, "float32") && !kl_config_set_string(output, "dtype", "float64");
}

static bool damage_output_shape(kl_config *c)
{
    return set_text(first_tensor(call_list(c, "outputs")), "shape", "[1, 1, 3, 1]");
}

static bool damage_output_count(kl_config *c)
{
    kl_config *outputs = call_list(c, "outputs");
    return outputs && kl_config_count(outputs) == 1 &&
           !kl_config_append(outputs, kl_config_copy(kl_config_at(outputs, 0)));
}

static bool damage_string(kl_config *c)
{
    kl_config *output = first_tensor(call_list(c, "outputs"));
    const char *dtype = output ? kl_config_as_string(kl_config_get(output, "dtype")) : NULL;
    if (!dtype || strcmp(dtype, "string") != 0)
        return false;
    const kl_config *values = kl_config_get(output, "values");
    kl_config *other = kl_config_new_list();
    for (size_t i = 0; i < kl_config_count(values); i++)
        kl_config_append(other, kl_config_new_string("damaged"));
    return !kl_config_set(output, "values", other);
}

static bool damage_second_call(kl_config *c)
{
    const kl_config *second = kl_config_at(kl_config_get(c, "calls"), 1);
    return second && refill(first_tensor(kl_config_get(second, "outputs")));
}

static bool damage_mask(kl_config *c)
{
    return refill(first_tensor(call_list(c, "output_masks")));
}

/* A mask that Keras gave is said to be none. */
static bool drop_mask(kl_config *c)
{
    kl_config *masks = call_list(c, "output_masks");
    return masks && first_tensor(masks) && kl_config_count(masks) == 1 &&
           set_text(kl_config_at(kl_config_get(c, "calls"), 0), "output_masks", "[null]");
}

static bool damage_loss(kl_config *c)
{
    return refill(first_tensor(call_list(c, "losses")));
}

static bool damage_loss_count(kl_config *c)
{
    return first_tensor(call_list(c, "losses")) &&
           set_text(kl_config_at(kl_config_get(c, "calls"), 0), "losses", "[]");
}

static bool damage_gradient(kl_config *c, const char *of)
{
    const kl_config *gradients = kl_config_get(c, "gradients");
    return gradients && refill(first_tensor(kl_config_get(gradients, of)));
}

static bool damage_input_gradient(kl_config *c)
{
    return damage_gradient(c, "inputs");
}

static bool damage_weight_gradient(kl_config *c)
{
    return damage_gradient(c, "weights");
}

static bool damage_state_gradient(kl_config *c)
{
    return damage_gradient(c, "initial_state");
}

static bool damage_weights_after(kl_config *c)
{
    return refill(first_tensor(kl_config_get(c, "weights_after")));
}

static bool damage_weight(kl_config *c)
{
    return set_text(first_tensor(kl_config_get(c, "weights")), "shape", "[3, 1, 1, 2, 1]");
}

static bool damage_weight_count(kl_config *c)
{
    kl_config *weights = kl_config_get(c, "weights");
    return weights && kl_config_count(weights) &&
           !kl_config_append(weights, kl_config_copy(kl_config_at(weights, 0)));
}

static bool damage_output_shapes(kl_config *c)
{
    return kl_config_get(c, "output_shapes") && set_text(c, "output_shapes", "[[null, 12345]]");
}

static bool damage_vocabulary(kl_config *c)
{
    kl_config *list = kl_config_get(c, "vocabulary");
    return list && !kl_config_append(list, kl_config_new_string("damaged"));
}

static bool damage_vocabulary_word(kl_config *c)
{
    const kl_config *list = kl_config_get(c, "vocabulary");
    if (!list)
        return false;
    kl_config *other = kl_config_new_list();
    for (size_t i = 0; i < kl_config_count(list); i++)
        kl_config_append(other, kl_config_new_string("damaged"));
    return !kl_config_set(c, "vocabulary", other);
}

static bool damage_sample(kl_config *c, const char *key)
{
    const kl_config *output = first_tensor(call_list(c, "outputs"));
    kl_config *sample = output ? kl_config_get(output, "sample") : NULL;
    double sum, abs_sum;
    return sample && kl_config_as_float(kl_config_get(sample, key), &sum) &&
           kl_config_as_float(kl_config_get(sample, "abs_sum"), &abs_sum) && abs_sum > 1 &&
           !kl_config_set_float(sample, key, sum + 0.01 * abs_sum);
}

static bool damage_sum(kl_config *c)
{
    return damage_sample(c, "sum");
}

static bool damage_abs_sum(kl_config *c)
{
    return damage_sample(c, "abs_sum");
}

static bool damage_sampled_element(kl_config *c)
{
    const kl_config *output = first_tensor(call_list(c, "outputs"));
    kl_config *sample = output ? kl_config_get(output, "sample") : NULL;
    const char *now = sample ? kl_config_as_string(kl_config_get(sample, "base64")) : NULL;
    if (!now || strlen(now) < 8)
        return false;
    char *text = strdup(now);
    assert_non_null(text);
    /* The sign and exponent of the first element. */
    text[4] = text[4] == 'Q' ? 'w' : 'Q';
    bool good = !kl_config_set_string(sample, "base64", text);
    free(text);
    return good;
}

/* What builds and runs is said to be an error. */
static bool call_it_an_error(kl_config *c)
{
    return call_list(c, "outputs") && !kl_config_set_bool(c, "error", true);
}

static bool damage_class(kl_config *c)
{
    return !kl_config_set_string(c, "class_name", "NoSuchLayer");
}

static bool damage_config(kl_config *c)
{
    return call_list(c, "outputs") &&
           !kl_config_set_string(kl_config_get(c, "config"), "no_such_argument", "x");
}

static const struct {
    const char *name, *file; /* the class whose cases have such a thing */
    bool (*damage)(kl_config *c);
} kinds[] = {
    {"output", "Dense", damage_output},
    {"output of whole numbers", "TextVectorization", damage_output},
    {"output dtype", "Dense", damage_output_dtype},
    {"output shape", "Dense", damage_output_shape},
    {"number of outputs", "Dense", damage_output_count},
    {"string", "StringLookup", damage_string},
    {"second call", "LSTM", damage_second_call},
    {"mask", "Masking", damage_mask},
    {"mask instead of none", "Embedding", drop_mask},
    {"loss", "Dense", damage_loss},
    {"number of losses", "Dense", damage_loss_count},
    {"gradient of an input", "Dense", damage_input_gradient},
    {"gradient of a weight", "Dense", damage_weight_gradient},
    {"gradient of a state", "LSTM", damage_state_gradient},
    {"weights after", "BatchNormalization", damage_weights_after},
    {"weight", "Dense", damage_weight},
    {"number of weights", "Dense", damage_weight_count},
    {"symbolic shape", "Conv2D", damage_output_shapes},
    {"vocabulary", "TextVectorization", damage_vocabulary},
    {"word of a vocabulary", "TextVectorization", damage_vocabulary_word},
    {"sum", "Conv2D", damage_sum},
    {"absolute sum", "Conv2D", damage_abs_sum},
    {"sampled element", "Conv2D", damage_sampled_element},
    {"error that is none", "Dense", call_it_an_error},
    {"class", "Dense", damage_class},
    {"config", "Dense", damage_config},
};

/* The first case of a file that can be damaged so: as it is into *whole, damaged into *broken. */
static bool find_case(size_t kind, kl_config **whole, kl_config **broken)
{
    char path[600];
    snprintf(path, sizeof path, CASES "/%s.jsonl", kinds[kind].file);
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    bool found = false;
    if (!file)
        return false;
    while (!found && getline(&line, &capacity, file) > 1) {
        *whole = kl_config_parse(line, strlen(line));
        *broken = kl_config_copy(*whole);
        assert_non_null(*broken);
        found = !kl_config_get(*whole, "error") && kinds[kind].damage(*broken);
        if (!found) {
            kl_config_free(*whole);
            kl_config_free(*broken);
        }
    }
    free(line);
    fclose(file);
    return found;
}

static void damage_is_seen(void **state)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        kl_config *whole = NULL, *broken = NULL;
        bool found = find_case(i, &whole, &broken);
        /* Not every build of the tree has a class that gives strings. */
        if (!found && kinds[i].damage == damage_string)
            continue;
        if (!found)
            fail_msg("no case of %s has a %s", kinds[i].file, kinds[i].name);
        verdict v = judge_case(whole);
        if (v.code != 0 || strcmp(v.last, "1 passed, 0 failed") != 0)
            fail_msg("%s, undamaged: %s", kinds[i].name, v.all);
        v = judge_case(broken);
        if (v.code == 0 || strcmp(v.last, "0 passed, 1 failed") != 0)
            fail_msg("%s, damaged: %s", kinds[i].name, v.all);
        /* A line for the case that names it. */
        const char *name = kl_config_as_string(kl_config_get(broken, "name"));
        if (!strstr(v.all, "FAILED") || !strstr(v.all, name))
            fail_msg("%s is not told: %s", kinds[i].name, v.all);
        kl_config_free(whole);
        kl_config_free(broken);
    }
}

static void what_is_no_case_fails(void **state)
{
    static const char *const lines[] = {"{\"name\": \"cut", "[]", "{}",
                                        "{\"class_name\": \"Dense\"}"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        write_line(lines[i]);
        verdict v = judge(folder);
        assert_int_not_equal(v.code, 0);
        assert_string_equal(v.last, "0 passed, 1 failed");
    }
    write_line("");
    verdict v = judge(folder);
    assert_int_not_equal(v.code, 0);
    assert_string_equal(v.last, "0 passed, 0 failed");
    v = judge("/no/such/folder");
    assert_int_not_equal(v.code, 0);
}

static void cases_stay_small(void **state)
{
    DIR *cases = opendir(CASES);
    long long total = 0;
    assert_non_null(cases);
    for (struct dirent *entry; (entry = readdir(cases));) {
        char path[600];
        struct stat about;
        snprintf(path, sizeof path, CASES "/%s", entry->d_name);
        if (stat(path, &about) || !S_ISREG(about.st_mode))
            continue;
        if (about.st_size > MOST_CLASS)
            fail_msg("%s: %lld bytes, at most %d", entry->d_name, (long long)about.st_size,
                     MOST_CLASS);
        total += about.st_size;
    }
    closedir(cases);
    assert_true(total > 0 && total <= MOST_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(what_is_no_case_fails),
        cmocka_unit_test(cases_stay_small),
    };
    char path[200];
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(path, sizeof path, "%s/Case.jsonl", folder);
    unlink(path);
    rmdir(folder);
    return failed;
}
