/* Summaries against what real Keras prints (summaries.txt, made by make_summaries.py). */
#include "base/test_support.h"
#include "klayers/klayers.h"

static kl_model *inner(const char *name)
{
    kl_model *model = kl_sequential(.name = name);
    kl_add(model, kl_input_layer(.shape = {8}));
    kl_add(model, kl_dense(.units = 4, .name = "dense"));
    kl_add(model, kl_batch_normalization(.name = "batch_normalization"));
    return model;
}

static kl_model *functional(void)
{
    kl_tensor *a = kl_input(.shape = {8}, .name = "a"), *b = kl_input(.shape = {8}, .name = "b");
    kl_model *part = inner("inner");
    kl_tensor *first = kl_call(part, a), *second = kl_call(part, b);
    kl_tensor *total = kl_merge_add(.inputs = {first, second}, .name = "sum");
    kl_layer *last = kl_dense(.units = 2, .name = "a_rather_long_layer_name_that_wraps_around");
    return kl_functional(.inputs = {a, b}, .outputs = {kl_call(last, total), total}, .name = "net");
}

static kl_model *sequential(void)
{
    kl_model *model = kl_sequential(.name = "seq");
    kl_add(model, kl_input_layer(.shape = {28, 28, 1}));
    kl_add(model, kl_conv2d(.filters = 32, .kernel_size = {3}, .name = "conv2d"));
    kl_add(model, kl_max_pooling2d(.name = "max_pooling2d"));
    kl_add(model, kl_flatten(.name = "flatten"));
    kl_add(model, kl_dense(.units = 10, .name = "dense"));
    kl_layer_set_trainable(kl_model_layer(model, 0), false);
    return model;
}

static kl_model *deep(void)
{
    kl_tensor *x = kl_input(.shape = {8}, .name = "x");
    kl_model *middle = kl_sequential(.name = "deep");
    kl_add(middle, kl_input_layer(.shape = {8}));
    kl_add(middle, inner("inner"));
    kl_add(middle, kl_dropout(.rate = 0.5, .name = "dropout"));
    kl_tensor *y = kl_call(kl_dense(.units = 1, .name = "last"), kl_call(middle, x));
    return kl_functional(.inputs = {x}, .outputs = {y}, .name = "outer");
}

static kl_model *ops(void)
{
    kl_tensor *x = kl_input(.shape = {5}, .name = "x");
    kl_tensor *steps = kl_call(kl_reshape(.target_shape = {5, 1}, .name = "reshape"), x);
    kl_tensors out =
        kl_call_with(kl_lstm(.units = 3, .return_state = true, .name = "lstm"), .inputs = {steps});
    assert_int_equal(out.count, 3);
    kl_tensor *first = out.at[0];
    kl_tensor *sum = kl_merge_add(.inputs = {out.at[1], out.at[2]}, .name = "add");
    return kl_functional(.inputs = {x}, .outputs = {first, sum}, .name = "states");
}

static kl_model *shared(void)
{
    kl_tensor *x = kl_input(.shape = {8}, .name = "x");
    kl_layer *twice = kl_dense(.units = 8, .name = "d");
    return kl_functional(.inputs = {x}, .outputs = {kl_call(twice, kl_call(twice, x))},
                         .name = "shared");
}

static kl_model *two_outputs(void)
{
    kl_tensor *x = kl_input(.shape = {8}, .name = "x");
    kl_tensor *within = kl_input(.shape = {8}, .name = "within");
    kl_tensor *p = kl_call(kl_dense(.units = 4, .name = "p"), within);
    kl_tensor *q = kl_call(kl_dense(.units = 2, .name = "q"), within);
    kl_model *part = kl_functional(.inputs = {within}, .outputs = {p, q}, .name = "part");
    kl_tensors out = kl_call_with(part, .inputs = {x});
    kl_tensor *first = out.at[0], *second = out.at[1];
    return kl_functional(.inputs = {x},
                         .outputs = {kl_call(kl_dense(.units = 1, .name = "last"), first), second},
                         .name = "two_outputs");
}

static kl_model *trained(void)
{
    kl_model *model = kl_sequential(.name = "trained");
    kl_add(model, kl_input_layer(.shape = {3}));
    kl_add(model, kl_dense(.units = 2, .name = "dense"));
    kl_compile(model, .optimizer = "adam", .loss = "mse");
    kl_tensor *x = kl_zeros(KL_FLOAT32, KL_DIMS(2, 3)), *y = kl_zeros(KL_FLOAT32, KL_DIMS(2, 2));
    kl_history_free(kl_fit(model, x, y, .verbose = 0));
    kl_release(x);
    kl_release(y);
    return model;
}

static kl_model *unbuilt(void)
{
    kl_model *model = kl_sequential(.name = "unbuilt");
    kl_add(model, kl_dense(.units = 3, .name = "first"));
    kl_add(model, kl_dense(.units = 2, .name = "second"));
    return model;
}

static const struct {
    const char *name;
    kl_model *(*make)(void);
} models[] = {{"functional", functional},
              {"sequential", sequential},
              {"deep", deep},
              {"ops", ops},
              {"shared", shared},
              {"two_outputs", two_outputs},
              {"trained", trained},
              {"unbuilt", unbuilt}};

static kl_model *make(const char *name)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (!strcmp(models[i].name, name))
            return models[i].make();
    return NULL;
}

static char *summary_of(kl_model *model, int length, int nested, int trains)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    assert_int_equal(kl_summary(model, file, .line_length = length, .expand_nested = nested != 0,
                                .show_trainable = trains != 0),
                     KL_OK);
    fclose(file);
    return text;
}

static void check_section(const char *head, const char *expected, size_t length)
{
    char name[32];
    int width, nested, trains;
    assert_int_equal(sscanf(head, "== %31s %d %d %d", name, &width, &nested, &trains), 4);
    kl_model *model = make(name);
    if (!model)
        print_error("%s: %s\n", name, kl_last_error());
    assert_non_null(model);
    char *got = summary_of(model, width, nested, trains);
    if (strlen(got) != length || memcmp(got, expected, length) != 0)
        fprintf(stderr, "%.*s\nexpected\n%.*s\ngot\n%s", (int)strcspn(head, "\n"), head,
                (int)length, expected, got);
    assert_int_equal(strlen(got), length);
    assert_memory_equal(got, expected, length);
    free(got);
    kl_layer_release(model);
}

static void test_summaries(void **state)
{
    (void)state;
    static char text[1 << 17];
    FILE *file = fopen(KL_TEST_DIR "/models/summaries.txt", "rb");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    assert_in_range(size, 1, sizeof text - 2);
    int sections = 0;
    for (char *at = text, *next; *at; at = next, sections++) {
        char *body = strchr(at, '\n') + 1;
        next = strstr(body, "\n== ");
        next = next ? next + 1 : text + size;
        check_section(at, body, (size_t)(next - body));
    }
    assert_in_range(sections, 30, 100);
}

static void test_bad_input(void **state)
{
    (void)state;
    kl_model *model = sequential();
    FILE *file = tmpfile();
    assert_int_not_equal(kl_summary(NULL, file), KL_OK);
    kl_clear_error();
    assert_int_not_equal(kl_summary(model, NULL), KL_OK);
    kl_clear_error();
    assert_int_not_equal(kl_summary(model, file, .line_length = 10), KL_OK);
    assert_non_null(strstr(kl_last_error(), "line_length 10"));
    kl_clear_error();
    assert_int_not_equal(kl_summary(model, file, .line_length = -1), KL_OK);
    kl_clear_error();
    assert_int_not_equal(kl_summary_with(NULL), KL_OK);
    kl_clear_error();
    assert_int_not_equal(kl_summary_with(&(kl_summary_args){.model = model, .file = file}), KL_OK);
    kl_clear_error();
    kl_summary_args args = kl_summary_defaults();
    args.model = model;
    args.file = file;
    assert_int_equal(kl_summary_with(&args), KL_OK);
    fclose(file);
    kl_layer_release(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_summaries),
                                       cmocka_unit_test(test_bad_input)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
