/* Files of real Keras load and predict the same; files of ours come back; hostile ones are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <klayers/klayers.h>

#ifdef KL_HAVE_SAVING
#define FILES KL_TEST_DIR "/saving/files/"

static char *read_text(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*size + 1);
    assert_int_equal(fread(text, 1, *size, file), *size);
    fclose(file);
    return text;
}

static kl_tensor *read_tensor(const kl_config *config)
{
    int64_t shape[KL_MAX_RANK];
    kl_dtype dtype;
    const kl_config *dims = kl_config_get(config, "shape"),
                    *values = kl_config_get(config, "values");
    int rank = (int)kl_config_count(dims);
    for (int i = 0; i < rank; i++)
        assert_true(kl_config_as_int(kl_config_at(dims, (size_t)i), &shape[i]));
    assert_true(kl_dtype_from_name(kl_config_as_string(kl_config_get(config, "dtype")), &dtype));
    size_t count = kl_config_count(values);
    if (dtype == KL_STRING) {
        const char **texts = malloc((count + 1) * sizeof *texts);
        for (size_t i = 0; i < count; i++)
            texts[i] = kl_config_as_string(kl_config_at(values, i));
        kl_tensor *strings = kl_from_strings(rank, shape, texts);
        free(texts);
        return strings;
    }
    double *numbers = malloc((count + 1) * sizeof *numbers);
    for (size_t i = 0; i < count; i++)
        assert_true(kl_config_as_float(kl_config_at(values, i), &numbers[i]));
    kl_tensor *wide = kl_from_data(KL_FLOAT64, rank, shape, numbers), *made = kl_copy(wide, dtype);
    kl_release(wide);
    free(numbers);
    return made;
}

typedef struct expectation {
    kl_tensor *inputs[8], *outputs[16];
    int input_count, output_count;
} expectation;

static void read_expectation(const char *name, expectation *e)
{
    char path[512];
    size_t size;
    snprintf(path, sizeof path, FILES "%s.json", name);
    char *text = read_text(path, &size);
    kl_config *config = kl_config_parse(text, size);
    assert_non_null(config);
    const kl_config *in = kl_config_get(config, "inputs"), *out = kl_config_get(config, "outputs");
    e->input_count = (int)kl_config_count(in);
    e->output_count = (int)kl_config_count(out);
    for (int i = 0; i < e->input_count; i++)
        e->inputs[i] = read_tensor(kl_config_at(in, (size_t)i));
    for (int i = 0; i < e->output_count; i++)
        e->outputs[i] = read_tensor(kl_config_at(out, (size_t)i));
    kl_config_free(config);
    free(text);
}

static void release_expectation(expectation *e)
{
    for (int i = 0; i < e->input_count; i++)
        kl_release(e->inputs[i]);
    for (int i = 0; i < e->output_count; i++)
        kl_release(e->outputs[i]);
}

static void check_predictions(kl_model *model, const expectation *e)
{
    kl_tensor *out[16];
    assert_int_equal(kl_model_output_count(model), e->output_count);
    assert_int_equal(kl_predict_many(model, e->input_count, e->inputs, 32, out), KL_OK);
    for (int i = 0; i < e->output_count; i++) {
        for (int64_t k = 0; k < kl_tensor_size(e->outputs[i]); k++)
            assert_float_equal(kl_tensor_at(out[i], k), kl_tensor_at(e->outputs[i], k), 1e-5);
        kl_release(out[i]);
    }
}

/* Keras's file, ours made of it, and the weights alone all predict what Keras did. */
static void check_file(const char *name)
{
    char path[512], ours[] = "/tmp/klayers-saving-XXXXXX";
    expectation e;
    snprintf(path, sizeof path, FILES "%s.keras", name);
    read_expectation(name, &e);
    kl_model *model = kl_load_model(path);
    if (!model)
        fail_msg("%s", kl_last_error());
    check_predictions(model, &e);
    int file = mkstemp(ours);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(kl_save_model(model, ours), KL_OK);
    kl_model *again = kl_load_model(ours);
    if (!again)
        fail_msg("%s", kl_last_error());
    check_predictions(again, &e);

    kl_weight *first = kl_layer_trainable_weight(again, 0);
    kl_tensor *zeros = kl_zeros(KL_FLOAT32, kl_tensor_rank(kl_weight_value(first)),
                                kl_tensor_shape(kl_weight_value(first)));
    assert_int_equal(kl_save_weights(model, ours), KL_OK);
    assert_int_equal(kl_weight_assign(first, zeros), KL_OK);
    assert_int_equal(kl_load_weights(again, ours), KL_OK);
    check_predictions(again, &e);
    kl_release(zeros);
    unlink(ours);
    kl_layer_release(again);
    kl_layer_release(model);
    release_expectation(&e);
}

static void test_functional(void **state)
{
    check_file("functional");
}

static void test_sequential(void **state)
{
    check_file("sequential");
}

static void test_convolution(void **state)
{
    check_file("convolution");
}

static void test_normalization(void **state)
{
    check_file("normalization");
}

static void test_attention(void **state)
{
    check_file("attention");
}

static void test_recurrent(void **state)
{
    check_file("recurrent");
}

static void test_augmentation(void **state)
{
    check_file("augmentation");
}

static void test_sound(void **state)
{
    check_file("sound");
}

static void test_activation(void **state)
{
    check_file("activation");
}

static void test_reshaping(void **state)
{
    check_file("reshaping");
}

static void test_categories(void **state)
{
    check_file("categories");
}

static void test_table(void **state)
{
    check_file("table");
}

static void test_slicing(void **state)
{
    check_file("slicing");
}

/* Keys that GetItem can't have. */
static void test_bad_keys(void **state)
{
    static const struct {
        const char *key, *part;
    } rows[] = {{", [[0, 1]]", "a key must be of"},
                {", {\"class_name\": \"__keras_tensor__\", \"config\": {}}", "a key must be of"},
                {", {\"class_name\": \"__slice__\", \"config\": {\"start\": 0.5}}", "start"},
                {", {\"class_name\": \"__slice__\"}", "a key must be of"},
                {", {\"class_name\": \"__slice__\", \"config\": {\"step\": 0}}", "step"},
                {", [0, 0, 0]", "the tensor 2 axes"},
                {", [{\"class_name\": \"__slice__\", \"config\": {}}, 3]", "out of bounds"},
                {", [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "at most 17 parts"},
                {", [null,null,null,null,null,null,null,null]", "more than 8 axes"},
                {", \"a\"", "a key must be of"},
                {"", "lacks its key"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[1200];
        snprintf(
            json, sizeof json,
            "{\"layers\": [{\"class_name\": \"InputLayer\", \"name\": \"x\", \"config\": "
            "{\"batch_shape\": [null, 3], \"name\": \"x\"}, \"inbound_nodes\": []}, "
            "{\"module\": \"keras.src.ops.numpy\", \"class_name\": \"GetItem\", \"name\": \"g\", "
            "\"config\": {\"name\": \"g\"}, \"inbound_nodes\": [{\"args\": [{\"class_name\": "
            "\"__keras_tensor__\", \"config\": {\"keras_history\": [\"x\", 0, 0]}}%s], "
            "\"kwargs\": {}}]}], \"input_layers\": [\"x\", 0, 0], \"output_layers\": "
            "[\"g\", 0, 0]}",
            rows[i].key);
        kl_clear_error();
        assert_null(kl_layer_from_config("Functional", json));
        if (!strstr(kl_last_error(), rows[i].part))
            print_error("'%s' lacks '%s'\n", kl_last_error(), rows[i].part);
        assert_non_null(strstr(kl_last_error(), rows[i].part));
    }
    kl_clear_error();
}

/* A layer called on two inputs that had nothing to do with each other yet: the file must tell its
   calls apart. */
static void test_shared(void **state)
{
    kl_tensor *a = kl_input(.shape = {3}), *b = kl_input(.shape = {3});
    kl_layer *both = kl_dense(.units = 2);
    kl_tensor *first = kl_call(both, a), *second = kl_call(both, b);
    kl_model *model =
        kl_functional(.inputs = {a, b}, .outputs = {kl_merge_subtract(.inputs = {first, second})});
    char path[] = "/tmp/klayers-shared-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(kl_save_model(model, path), KL_OK);
    kl_model *again = kl_load_model(path);
    unlink(path);
    assert_non_null(again);
    kl_tensor *x[2], *y = NULL, *z = NULL;
    for (int i = 0; i < 2; i++)
        x[i] = kl_op_random_uniform(KL_FLOAT32, KL_DIMS(4, 3), -1, 1);
    assert_int_equal(kl_predict_many(model, 2, x, 32, &y), KL_OK);
    assert_int_equal(kl_predict_many(again, 2, x, 32, &z), KL_OK);
    for (int64_t i = 0; i < kl_tensor_size(y); i++)
        assert_true(kl_tensor_at(y, i) == kl_tensor_at(z, i));
    assert_true(kl_tensor_at(y, 0) != 0);
    kl_release(x[0]);
    kl_release(x[1]);
    kl_release(y);
    kl_release(z);
    kl_layer_release(model);
    kl_layer_release(again);
}

/* Every cut of a file is refused, and so is every byte of its directory turned over. */
static void test_hostile(void **state)
{
    size_t size;
    char *whole = read_text(FILES "sequential.keras", &size);
    char path[] = "/tmp/klayers-hostile-XXXXXX";
    int made = mkstemp(path);
    assert_true(made >= 0);
    close(made);
    FILE *all = fopen(path, "wb");
    fwrite(whole, 1, size, all);
    fclose(all);
    for (size_t cut = size; cut-- > 0;) {
        assert_int_equal(truncate(path, (off_t)cut), 0);
        kl_clear_error();
        assert_null(kl_load_model(path));
        assert_true(*kl_last_error());
    }
    for (size_t at = 7; at < size; at += size / 97 + 1) {
        whole[at] ^= 0x5a;
        FILE *file = fopen(path, "wb");
        fwrite(whole, 1, size, file);
        fclose(file);
        kl_layer_release(kl_load_model(path));
        whole[at] ^= 0x5a;
    }
    unlink(path);
    free(whole);
}

/* Weights alone, cut at every length. */
static void test_cut_weights(void **state)
{
    char path[] = "/tmp/klayers-cut-XXXXXX";
    size_t size;
    close(mkstemp(path));
    kl_model *model = kl_sequential();
    kl_add(model, kl_input_layer(.shape = {3}));
    kl_add(model, kl_dense(.units = 2));
    assert_int_equal(kl_save_weights(model, path), KL_OK);
    assert_int_equal(kl_load_weights(model, path), KL_OK);
    char *whole = read_text(path, &size);
    for (size_t cut = 0; cut < size; cut += cut < 4096 ? 1 : 61) {
        FILE *file = fopen(path, "wb");
        fwrite(whole, 1, cut, file);
        fclose(file);
        kl_clear_error();
        if (kl_load_weights(model, path))
            assert_true(*kl_last_error());
    }
    free(whole);
    unlink(path);
    kl_layer_release(model);
}

static void test_bad_input(void **state)
{
    assert_null(kl_load_model(NULL));
    assert_null(kl_load_model("/no/such/file.keras"));
    assert_non_null(strstr(kl_last_error(), "/no/such/file.keras"));
    assert_int_not_equal(kl_save_model(NULL, "x"), KL_OK);
    kl_model *model = kl_sequential();
    kl_add(model, kl_input_layer(.shape = {3}));
    kl_add(model, kl_dense(.units = 2));
    assert_int_not_equal(kl_save_model(model, NULL), KL_OK);
    assert_int_not_equal(kl_save_model(model, "/no/such/folder/x.keras"), KL_OK);
    /* Weights of another model: refused, and nothing changed. */
    char path[] = "/tmp/klayers-weights-XXXXXX";
    close(mkstemp(path));
    kl_model *other = kl_sequential();
    kl_add(other, kl_input_layer(.shape = {4}));
    kl_add(other, kl_dense(.units = 2));
    assert_int_equal(kl_save_weights(other, path), KL_OK);
    double before = kl_tensor_at(kl_weight_value(kl_layer_weight(model, 0)), 0);
    assert_int_equal(kl_load_weights(model, path), KL_ERROR_SHAPE);
    assert_true(kl_tensor_at(kl_weight_value(kl_layer_weight(model, 0)), 0) == before);
    unlink(path);
    kl_layer_release(model);
    kl_layer_release(other);
}
#else
static void test_bad_input(void **state)
{
    assert_null(kl_load_model("x.keras"));
    assert_int_equal(kl_last_status(), KL_ERROR_UNSUPPORTED);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef KL_HAVE_SAVING
        cmocka_unit_test(test_functional),    cmocka_unit_test(test_sequential),
        cmocka_unit_test(test_augmentation),  cmocka_unit_test(test_sound),
        cmocka_unit_test(test_table),         cmocka_unit_test(test_slicing),
        cmocka_unit_test(test_bad_keys),      cmocka_unit_test(test_attention),
        cmocka_unit_test(test_recurrent),     cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_normalization), cmocka_unit_test(test_shared),
        cmocka_unit_test(test_reshaping),     cmocka_unit_test(test_activation),
        cmocka_unit_test(test_hostile),       cmocka_unit_test(test_cut_weights),
        cmocka_unit_test(test_categories),
#endif
        cmocka_unit_test(test_bad_input),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
