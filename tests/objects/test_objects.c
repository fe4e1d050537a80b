/* Objects with described arguments: defaults, copies, checks, configs, owners, the registry. */
#include <math.h>
#include "base/test_support.h"
#include "klayers/klayers.h"
#include "objects/object.h"

/* A class with an argument of every type, of a kind without hooks of its own. */
typedef struct sample_args {
    size_t size;
    unsigned mark;
    bool flag;
    int64_t units, seed;
    double rate, limit;
    const char *padding, *dtype, *extra;
    int64_t strides[2], pool[2];
    int64_t shape[KL_MAX_RANK + 1];
    kl_ints axes;
    kl_floats values;
    kl_strings words;
    kl_named activation, initializer, regularizer, constraint;
    kl_tensor *table;
    void *user;
    kl_ints counts;
    kl_floats shares;
} sample_args;

typedef struct sample_state {
    sample_args args;
    int own;
} sample_state;

static int live, failing_init;

static kl_status sample_init(void *self)
{
    live++;
    sample_state *s = kl_object_state(self);
    s->own = 7;
    return failing_init ? kl_error(KL_ERROR_INVALID, "Sample: init was told to fail") : KL_OK;
}

static void sample_destroy(void *self)
{
    const sample_state *s = kl_object_state(self);
    live -= s->own == 7;
}

#define ARG(member) offsetof(sample_args, member)
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const kl_field sample_fields[] = {
    {"flag", KL_FIELD_BOOL, ARG(flag), "true"},
    {"units", KL_FIELD_INT, ARG(units), "4", .min = 1, .max = 2147483647},
    {"seed", KL_FIELD_INT, ARG(seed), .flags = KL_FIELD_OPTIONAL},
    {"rate", KL_FIELD_FLOAT, ARG(rate), "0.1", .min = 0, .max = 1, .alias = "p|ratio"},
    {"limit", KL_FIELD_FLOAT, ARG(limit), .flags = KL_FIELD_OPTIONAL},
    {"padding", KL_FIELD_STRING, ARG(padding), "valid", .choices = "valid|same"},
    {"dtype", KL_FIELD_DTYPE, ARG(dtype), "float32"},
    {"extra", KL_FIELD_CONFIG, ARG(extra), .flags = KL_FIELD_OPTIONAL},
    {"strides", KL_FIELD_DIMS, ARG(strides), "2, 1", .count = 2, .min = 1, .max = 1000},
    {"pool", KL_FIELD_DIMS, ARG(pool), .count = 2, .min = 1, .max = 1000,
     .flags = KL_FIELD_OPTIONAL},
    {"shape", KL_FIELD_SHAPE, ARG(shape), .flags = KL_FIELD_UNKNOWN_OK | KL_FIELD_OPTIONAL},
    {"axes", KL_FIELD_INTS, ARG(axes), .flags = KL_FIELD_OPTIONAL},
    {"values", KL_FIELD_FLOATS, ARG(values), .flags = KL_FIELD_OPTIONAL},
    {"words", KL_FIELD_STRINGS, ARG(words), .flags = KL_FIELD_OPTIONAL},
    {"activation", KL_FIELD_ACTIVATION, ARG(activation)},
    {"initializer", KL_FIELD_INITIALIZER, ARG(initializer), "zeros"},
    {"regularizer", KL_FIELD_REGULARIZER, ARG(regularizer), .flags = KL_FIELD_OPTIONAL},
    {"constraint", KL_FIELD_CONSTRAINT, ARG(constraint), .flags = KL_FIELD_OPTIONAL},
    {"table", KL_FIELD_TENSOR, ARG(table), .flags = KL_FIELD_OPTIONAL},
    {"user", KL_FIELD_POINTER, ARG(user)},
    {"old", KL_FIELD_IGNORED},
    {"counts", KL_FIELD_INTS, ARG(counts), .min = 1, .max = 9,
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {"shares", KL_FIELD_FLOATS, ARG(shares), .min = 0, .max = 1,
     .flags = KL_FIELD_OPTIONAL | KL_FIELD_HIDDEN},
    {0}};

static const kl_class sample_class = {
    .size = sizeof(kl_class),
    .class_name = "Sample",
    .names = "sample|sample_alias",
    .state_size = sizeof(sample_state),
    .args_size = sizeof(sample_args),
    .fields = sample_fields,
    .init = sample_init,
    .destroy = sample_destroy,
};

static sample_args defaults(void)
{
    return (sample_args){.size = sizeof(sample_args),
                         .mark = kl_error_count(),
                         .flag = true,
                         .units = 4,
                         .seed = KL_NONE,
                         .rate = 0.1,
                         .limit = (double)KL_NONEF,
                         .padding = "valid",
                         .dtype = "float32",
                         .strides = {2, 1},
                         .initializer = "zeros"};
}

static kl_object *make(const sample_args *args)
{
    return kl_object_new(KL_KIND_CALLBACK, &sample_class, args);
}

static void check_json(const kl_config *config, const char *expected)
{
    char *text = kl_config_print(config, false);
    assert_string_equal(text, expected);
    kl_config_free_text(text);
}

/* One value of the object's config. */
static void check_value(const kl_object *object, const char *key, const char *expected)
{
    assert_non_null(object);
    kl_config *config = kl_object_get_config(object);
    assert_non_null(kl_config_get(config, key));
    check_json(kl_config_get(config, key), expected);
    kl_config_free(config);
}

static void check_refused(const kl_object *object, const char *part)
{
    assert_null(object);
    if (!strstr(kl_last_error(), part))
        print_error("'%s' lacks '%s'\n", kl_last_error(), part);
    assert_non_null(strstr(kl_last_error(), part));
    kl_clear_error();
    assert_int_equal(live, 0);
}

static kl_object *read(const char *json)
{
    kl_config *config = kl_config_parse(json, strlen(json));
    assert_non_null(config);
    kl_object *object = kl_object_from_config(KL_KIND_CALLBACK, &sample_class, config);
    kl_config_free(config);
    return object;
}

static const char zeros_json[] = "{\"module\": \"keras.initializers\", \"class_name\": \"Zeros\", "
                                 "\"config\": {}, \"registered_name\": null}";

static void test_defaults(void **state)
{
    const sample_args given = defaults();
    kl_object *objects[] = {make(NULL), make(&given), read("{}")};
    kl_config *first = kl_object_get_config(objects[0]);
    assert_int_equal(kl_config_count(first), 19);
    for (int i = 0; i < 3; i++) {
        kl_config *config = kl_object_get_config(objects[i]);
        assert_true(kl_config_equal(config, first));
        kl_config_free(config);
        check_value(objects[i], "flag", "true");
        check_value(objects[i], "units", "4");
        check_value(objects[i], "seed", "null");
        check_value(objects[i], "rate", "0.1");
        check_value(objects[i], "limit", "null");
        check_value(objects[i], "padding", "\"valid\"");
        check_value(objects[i], "strides", "[2, 1]");
        check_value(objects[i], "pool", "null");
        check_value(objects[i], "shape", "null");
        check_value(objects[i], "words", "null");
        check_value(objects[i], "activation", "\"linear\"");
        check_value(objects[i], "initializer", zeros_json);
        check_value(objects[i], "regularizer", "null");
        kl_object_release(objects[i]);
    }
    kl_config_free(first);
    assert_int_equal(live, 0);
}

static void test_copies_deeply(void **state)
{
    char padding[] = "same", word[] = "hi", json[] = "{\"a\": [1, null]}";
    int64_t axes[] = {0, -1};
    float values[] = {0, 0.1f, 1e-7f};
    const char *words[] = {word, ""};
    kl_tensor *table = kl_from_data(KL_FLOAT32, KL_DIMS(2, 1), (float[]){0.2f, 3});
    sample_args a = defaults();
    a.padding = padding;
    a.extra = json;
    a.axes = (kl_ints){axes, 2};
    a.values = (kl_floats){values, 3};
    a.words = (kl_strings){words, 2};
    a.table = table;
    a.rate = 0.3f;
    a.limit = 1e-3;
    a.strides[0] = 3;
    a.strides[1] = 0;
    a.shape[0] = 5;
    a.shape[1] = -1;
    kl_object *object = make(&a);
    padding[0] = word[0] = json[2] = 'X';
    axes[0] = 9;
    values[1] = 9;
    kl_release(table);
    check_value(object, "padding", "\"same\"");
    check_value(object, "extra", "{\"a\": [1, null]}");
    check_value(object, "axes", "[0, -1]");
    check_value(object, "values", "[0.0, 0.1, 1e-07]");
    check_value(object, "words", "[\"hi\", \"\"]");
    check_value(object, "table", "[[0.2], [3.0]]");
    check_value(object, "rate", "0.3");
    check_value(object, "limit", "0.001");
    check_value(object, "strides", "[3, 3]");
    check_value(object, "shape", "[5, null]");
    kl_object_release(object);
}

static void test_checks_arguments(void **state)
{
    sample_args a = defaults();
    a.units = 0;
    check_refused(make(&a), "Sample: units must be at least 1, got 0");
    a = defaults();
    a.units = KL_NONE;
    check_refused(make(&a), "units must not be None");
    a = defaults();
    a.rate = 1.5;
    check_refused(make(&a), "rate must be from 0 to 1, got 1.5");
    a = defaults();
    a.rate = NAN;
    check_refused(make(&a), "rate");
    a = defaults();
    a.padding = "sme";
    check_refused(make(&a), "padding must be one of valid|same, got 'sme'");
    a = defaults();
    a.strides[0] = -2;
    check_refused(make(&a), "strides must be from 1 to 1000, got -2");
    a = defaults();
    a.counts = KL_INTS(1, 10);
    check_refused(make(&a), "counts must be from 1 to 9, got 10");
    a = defaults();
    a.counts = KL_INTS(1, 9);
    a.shares = KL_FLOATS(0, 1, NAN);
    check_refused(make(&a), "shares must be from 0 to 1, got nan");
    a = defaults();
    a.shares = KL_FLOATS(0, -0.5f);
    check_refused(make(&a), "shares must be from 0 to 1, got -0.5");
    a = defaults();
    a.shares = KL_FLOATS(0, 1);
    kl_object_release(make(&a));
    a = defaults();
    a.shape[0] = -2;
    check_refused(make(&a), "shape");
    a = defaults();
    for (int i = 0; i <= KL_MAX_RANK; i++)
        a.shape[i] = 1;
    check_refused(make(&a), "more than 8");
    a = defaults();
    a.activation = "rleu";
    check_refused(make(&a), "'rleu'");
    a = defaults();
    a.initializer = "relu";
    check_refused(make(&a), "Sample: initializer: unknown initializer: 'relu'");
    failing_init = 1;
    a = defaults();
    check_refused(make(&a), "told to fail");
    failing_init = 0;
}

static void test_checks_struct(void **state)
{
    sample_args a = defaults();
    a.size = 0;
    check_refused(make(&a), "has size 0");
    a.size = sizeof a + 8;
    check_refused(make(&a), "newer klayers");
    a = defaults();
    kl_error(KL_ERROR_INVALID, "an argument failed");
    check_refused(make(&a), "an argument failed");
    /* A program compiled before the last arguments were added. */
    a = defaults();
    a.size = offsetof(sample_args, rate);
    a.rate = 77;
    a.activation = "no such name";
    a.units = 9;
    kl_object *object = make(&a);
    check_value(object, "units", "9");
    check_value(object, "rate", "0.1");
    check_value(object, "strides", "[2, 1]");
    check_value(object, "initializer", zeros_json);
    kl_object_release(object);
    check_refused(kl_object_new(KL_KIND_CALLBACK, NULL, NULL), "class");
    const kl_class nameless = {.size = sizeof nameless};
    check_refused(kl_object_new(KL_KIND_CALLBACK, &nameless, NULL), "class_name");
}

static void test_reads_configs(void **state)
{
    kl_object *object =
        read("{\"flag\": false, \"units\": 2.0, \"seed\": 3, \"p\": 1, \"limit\": Infinity,"
             " \"padding\": \"same\", \"extra\": {\"b\": 1}, \"strides\": 3, \"pool\": [2, 4],"
             " \"shape\": [], \"axes\": 1, \"values\": [1, 0.5], \"words\": \"one\", \"old\": [1],"
             " \"dtype\": {\"module\": \"keras\", \"class_name\": \"DTypePolicy\", \"config\":"
             " {\"name\": \"mixed_float16\"}, \"registered_name\": null},"
             " \"table\": {\"class_name\": \"__numpy__\", \"config\": {\"value\": [1, 2],"
             " \"dtype\": \"float32\"}}}");
    if (!object)
        print_error("%s\n", kl_last_error());
    check_value(object, "flag", "false");
    check_value(object, "units", "2");
    check_value(object, "seed", "3");
    check_value(object, "rate", "1.0");
    check_value(object, "limit", "Infinity");
    check_value(object, "extra", "{\"b\": 1}");
    check_value(object, "strides", "[3, 3]");
    check_value(object, "pool", "[2, 4]");
    check_value(object, "shape", "[]");
    check_value(object, "axes", "[1]");
    check_value(object, "values", "[1.0, 0.5]");
    check_value(object, "words", "[\"one\"]");
    check_value(object, "dtype", "\"mixed_float16\"");
    check_value(object, "table", "[1.0, 2.0]");
    /* What was written is read back the same. */
    kl_config *config = kl_object_get_config(object);
    kl_object *again = kl_object_from_config(KL_KIND_CALLBACK, &sample_class, config);
    kl_config *second = kl_object_get_config(again);
    assert_true(kl_config_equal(config, second));
    kl_config_free(config);
    kl_config_free(second);
    kl_object_release(object);
    kl_object_release(again);
    object = read("{\"padding\": null, \"pool\": null, \"ratio\": 0.25, \"shape\": [null, 3]}");
    check_value(object, "padding", "\"valid\"");
    check_value(object, "pool", "null");
    check_value(object, "rate", "0.25");
    check_value(object, "shape", "[null, 3]");
    kl_object_release(object);
}

static void test_refuses_configs(void **state)
{
    static const struct {
        const char *json, *part;
    } rows[] = {{"{\"flag\": 2}", "flag"},
                {"{\"units\": \"4\"}", "units"},
                {"{\"units\": 1.5}", "units"},
                {"{\"units\": null}", "units"},
                {"{\"units\": -3}", "-3"},
                {"{\"units\": 1e30}", "units"},
                {"{\"rate\": [0.5]}", "rate"},
                {"{\"rate\": NaN}", "rate"},
                {"{\"padding\": 3}", "padding"},
                {"{\"padding\": \"full\"}", "'full'"},
                {"{\"strides\": [1, 2, 3]}", "strides"},
                {"{\"strides\": [1, null]}", "strides"},
                {"{\"strides\": {}}", "strides"},
                {"{\"shape\": [1,1,1,1,1,1,1,1,1]}", "shape"},
                {"{\"shape\": [2, -7]}", "shape"},
                {"{\"axes\": [\"x\"]}", "axes"},
                {"{\"values\": [1, \"x\"]}", "values"},
                {"{\"counts\": [1, 0]}", "counts must be from 1 to 9, got 0"},
                {"{\"counts\": 12}", "counts must be from 1 to 9, got 12"},
                {"{\"shares\": [0.5, 2]}", "shares must be from 0 to 1, got 2"},
                {"{\"words\": [1]}", "words"},
                {"{\"words\": {\"a\": 1}}", "words"},
                {"{\"dtype\": 3}", "dtype"},
                {"{\"table\": [[1], [1, 2]]}", "table"},
                {"{\"table\": \"text\"}", "table"},
                {"{\"table\": [[[[[[[[[1]]]]]]]]]}", "table"},
                {"{\"activation\": 3}", "activation"},
                {"{\"initializer\": {\"config\": {}}}", "initializer"},
                {"{\"initializer\": {\"class_name\": \"Nowhere\"}}", "Nowhere"},
                {"{\"initializer\": {\"class_name\": \"Zeros\", \"config\": {\"q\": 1}}}", "'q'"},
                {"{\"user\": 1, \"unit\": 4}", "unknown argument 'unit'"},
                {"[1]", "no map"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refused(read(rows[i].json), rows[i].part);
}

/* ---- Owners --------------------------------------------------------------------------------- */

static void test_owners(void **state)
{
    kl_object *object = make(NULL);
    assert_ptr_equal(kl_object_own(object), object);
    /* The floating reference went to the owner. */
    kl_object_release(object);
    assert_int_equal(live, 1);
    kl_object_retain(object);
    kl_object_disown(object);
    assert_int_equal(live, 1);
    kl_object_release(object);
    assert_int_equal(live, 0);
    /* Two owners of one object. */
    object = make(NULL);
    kl_object_own(object);
    kl_object_own(object);
    kl_object_disown(object);
    assert_int_equal(live, 1);
    kl_object_disown(object);
    assert_int_equal(live, 0);
    /* A retained object that someone takes stays the user's too. */
    object = make(NULL);
    kl_object_retain(object);
    kl_object_own(object);
    kl_object_disown(object);
    assert_int_equal(live, 1);
    kl_object_release(object);
    assert_int_equal(live, 0);
    kl_object_release(NULL);
    kl_object_disown(NULL);
    assert_null(kl_object_retain(NULL));
    assert_string_equal(kl_object_class_name(NULL), "None");
}

/* An initializer that tells how many of it there are. */
static kl_status counting_fill(const kl_initializer *self, uint64_t seed, kl_tensor *out)
{
    return KL_OK;
}

static const kl_initializer_vtable counting_class = {
    .size = sizeof(kl_initializer_vtable),
    .class_name = "Counting",
    .state_size = sizeof(sample_state),
    .init = sample_init,
    .destroy = sample_destroy,
    .fill = counting_fill,
};

static kl_object *counting(void)
{
    return kl_object_new(KL_KIND_INITIALIZER, (const kl_class *)&counting_class, NULL);
}

static void test_failed_calls_free_their_objects(void **state)
{
    sample_args a = defaults();
    a.initializer = counting();
    kl_object *object = make(&a);
    assert_int_equal(live, 2);
    kl_object_release(object);
    assert_int_equal(live, 0);
    a = defaults();
    a.initializer = counting();
    a.units = -1; /* fails before the object's turn */
    check_refused(make(&a), "units");
    a = defaults();
    a.initializer = counting();
    a.size = 0;
    assert_null(make(&a)); /* its size isn't known, so nothing in it is touched */
    kl_object_release(a.initializer);
    assert_int_equal(live, 0);
    a = defaults();
    a.initializer = counting();
    kl_error(KL_ERROR_INVALID, "an argument failed");
    check_refused(make(&a), "an argument failed");
    a = defaults();
    a.regularizer = counting();
    check_refused(make(&a), "regularizer: expected regularizer, got the initializer Counting");
    a = defaults();
    a.units = 0;
    a.activation = "rleu"; /* the first error is the one that is told */
    check_refused(make(&a), "units");
    /* A failed call takes nothing from an object that someone else has. */
    kl_object *kept = counting();
    kl_object_own(kept);
    kl_object_retain(kept);
    a = defaults();
    a.initializer = kept;
    a.units = 0;
    assert_null(make(&a));
    kl_object_disown(kept);
    assert_int_equal(live, 1);
    kl_object_release(kept);
    assert_int_equal(live, 0);
    /* One object in two places is shared. */
    a = defaults();
    a.initializer = counting();
    object = make(&a);
    kl_object *other = make(&a);
    kl_object_release(object);
    assert_int_equal(live, 2);
    kl_object_release(other);
    assert_int_equal(live, 0);
}

/* ---- Names and serialized forms ------------------------------------------------------------- */

static void *read_kind(kl_kind kind, const char *json)
{
    kl_config *config = kl_config_parse(json, strlen(json));
    void *object = kl_object_deserialize(kind, config);
    kl_config_free(config);
    return object;
}

static void check_class(void *object, const char *class_name)
{
    if (!object)
        print_error("%s\n", kl_last_error());
    assert_non_null(object);
    assert_string_equal(kl_object_class_name(object), class_name);
    kl_object_release(object);
}

static void test_deserialize(void **state)
{
    check_class(read_kind(KL_KIND_INITIALIZER, "\"he_normal\""), "HeNormal");
    check_class(read_kind(KL_KIND_INITIALIZER, "\"HeNormal\""), "HeNormal");
    check_class(read_kind(KL_KIND_INITIALIZER, zeros_json), "Zeros");
    check_class(read_kind(KL_KIND_INITIALIZER, "{\"class_name\": \"GlorotUniform\", \"config\": "
                                               "{\"seed\": 4}}"),
                "GlorotUniform");
    check_class(read_kind(KL_KIND_INITIALIZER, "{\"class_name\": \"Ones\", \"config\": null}"),
                "Ones");
    check_class(read_kind(KL_KIND_ACTIVATION, "{\"module\": \"builtins\", \"class_name\": "
                                              "\"function\", \"config\": \"relu\", "
                                              "\"registered_name\": \"relu\"}"),
                "relu");
    assert_null(read_kind(KL_KIND_INITIALIZER, "\"nowhere\""));
    assert_null(read_kind(KL_KIND_INITIALIZER, "3"));
    assert_null(read_kind(KL_KIND_INITIALIZER, "{\"class_name\": 3}"));
    assert_null(read_kind(KL_KIND_INITIALIZER, "{\"class_name\": \"Zeros\", \"config\": [1]}"));
    assert_null(read_kind(KL_KIND_REGULARIZER, zeros_json));
    assert_null(kl_object_deserialize(KL_KIND_INITIALIZER, NULL));
}

static void test_registry(void **state)
{
    static const kl_class packaged = {.size = sizeof(kl_class),
                                      .class_name = "Packaged",
                                      .package = "mine",
                                      .state_size = sizeof(sample_state)};
    static const kl_class impostor = {.size = sizeof(kl_class), .class_name = "Sample"};
    static const kl_class zeros = {.size = sizeof(kl_class), .class_name = "Zeros"};
    assert_null(kl_class_find(KL_KIND_CALLBACK, "Sample"));
    assert_int_equal(kl_register_class(KL_KIND_CALLBACK, &sample_class), KL_OK);
    assert_int_equal(kl_register_class(KL_KIND_CALLBACK, &sample_class), KL_OK);
    assert_int_equal(kl_register_class(KL_KIND_CALLBACK, &packaged), KL_OK);
    assert_int_equal(kl_register_class(KL_KIND_CALLBACK, &impostor), KL_ERROR_STATE);
    assert_non_null(strstr(kl_last_error(), "taken"));
    assert_int_equal(kl_register_class(KL_KIND_INITIALIZER, &zeros), KL_ERROR_STATE);
    assert_int_equal(kl_register_class(KL_KIND_CALLBACK, NULL), KL_ERROR_INVALID);
    assert_ptr_equal(kl_class_find(KL_KIND_CALLBACK, "sample_alias"), &sample_class);
    assert_null(kl_class_find(KL_KIND_METRIC, "Sample"));

    kl_object *object = make(NULL);
    kl_config *config = kl_object_serialize(object);
    check_json(kl_config_get(config, "module"), "null");
    check_json(kl_config_get(config, "class_name"), "\"Sample\"");
    check_json(kl_config_get(config, "registered_name"), "\"Custom>Sample\"");
    check_class(kl_object_deserialize(KL_KIND_CALLBACK, config), "Sample");
    kl_config_free(config);
    kl_object_release(object);
    object = read_kind(KL_KIND_CALLBACK, "{\"class_name\": \"mine>Packaged\", \"config\": {}}");
    config = kl_object_serialize(object);
    check_json(kl_config_get(config, "registered_name"), "\"mine>Packaged\"");
    kl_config_free(config);
    kl_object_release(object);
    config = kl_object_serialize(NULL);
    check_json(config, "null");
    kl_config_free(config);

    kl_shutdown();
    assert_null(kl_class_find(KL_KIND_CALLBACK, "Sample"));
    assert_int_equal(live, 0);
}

/* Every allocation of making, reading and writing fails once: an error, and nothing is lost. */
static void test_memory(void **state)
{
    failing_allocator f;
    failing_install(&f);
    bool done = false;
    for (long n = 0; !done; n++) {
        f.until_failure = n;
        sample_args a = defaults();
        a.activation = "relu";
        a.words = KL_STRINGS("a", "b");
        a.values = KL_FLOATS(1, 2);
        a.regularizer = "l2";
        kl_object *object = make(&a);
        kl_config *config = object ? kl_object_serialize(object) : NULL;
        kl_object *again = config ? kl_object_from_config(KL_KIND_CALLBACK, &sample_class,
                                                          kl_config_get(config, "config"))
                                  : NULL;
        done = again != NULL;
        if (!done)
            assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
        f.until_failure = -1;
        kl_object_release(again);
        kl_config_free(config);
        kl_object_release(object);
        assert_int_equal(live, 0);
        assert_true(n < 1000);
    }
    failing_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_copies_deeply),
        cmocka_unit_test(test_checks_arguments),
        cmocka_unit_test(test_checks_struct),
        cmocka_unit_test(test_reads_configs),
        cmocka_unit_test(test_refuses_configs),
        cmocka_unit_test(test_owners),
        cmocka_unit_test(test_failed_calls_free_their_objects),
        cmocka_unit_test(test_deserialize),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
