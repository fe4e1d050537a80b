/*
 * Every registered class: it is judged by golden cases, its config round-trips, its output shape is
 * known without values, and a wrong rank is refused by name. Nothing may leak.
 */
#include "base/test_support.h"
#include "klayers/klayers.h"
#include "layers/class_example.h"
#include "layers/layer.h"
#include "layers/registry.h"

/* Classes that take inputs of any rank: what they do, they do element by element, or over the
   batch alone. */
static const char *const any_rank[] = {
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "CategoryEncoding",
    "Discretization",
    "Dropout",
    "ELU",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Hashing",
    "Identity",
    "IntegerLookup",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "ReversibleEmbedding",
    "StringLookup",
    "Subtract",
    "TextVectorization",
    "ThresholdedReLU",
};

static void check_judged(const example *e)
{
    if (e->judged && e->why)
        print_error("%s: has golden cases now, yet is listed without them\n", e->class_name);
    if (!e->judged && !e->why)
        print_error("%s: no tests/golden/cases/%s.jsonl, and not listed without\n", e->class_name,
                    e->class_name);
    assert_true(e->judged != (e->why != NULL));
}

static kl_layer *make(const example *e)
{
    kl_layer *layer = kl_layer_from_config(e->class_name, e->config);
    if (!layer)
        print_error("%s: %s\n", e->class_name, kl_last_error());
    assert_non_null(layer);
    return layer;
}

static void check_round_trip(const example *e)
{
    kl_layer *first = make(e);
    char *one = kl_layer_get_config(first);
    assert_non_null(one);
    kl_layer *second = kl_layer_from_config(e->class_name, one);
    assert_non_null(second);
    char *two = kl_layer_get_config(second);
    assert_string_equal(one, two);
    kl_free_text(one);
    kl_free_text(two);
    kl_layer_release(first);
    kl_layer_release(second);
}

static void check_shape(const example *e)
{
    kl_layer *layer = make(e);
    kl_shape out[KL_MAX_LIST];
    int count = 0;
    if (kl_layer_output_shape(layer, e->inputs, e->input_count, out, &count))
        print_error("%s: %s\n", e->class_name, kl_last_error());
    assert_in_range(count, 1, KL_MAX_LIST);
    kl_layer_release(layer);
}

/* Whether a first input of this rank is refused; a refusal must name the layer. */
static bool refuses(const example *e, int rank)
{
    example wrong = *e;
    kl_shape out[KL_MAX_LIST];
    int count;
    kl_layer *layer = make(e);
    for (int k = 0; k < rank; k++)
        wrong.inputs[0].at[k] = k ? 3 : -1;
    wrong.inputs[0].rank = rank;
    kl_clear_error();
    bool refused = kl_layer_output_shape(layer, wrong.inputs, e->input_count, out, &count) != KL_OK;
    if (refused && !strstr(kl_last_error(), layer->name))
        print_error("%s: '%s' doesn't name the layer %s\n", e->class_name, kl_last_error(),
                    layer->name);
    assert_true(!refused || strstr(kl_last_error(), layer->name));
    kl_clear_error();
    kl_layer_release(layer);
    return refused;
}

static void check_rank(const example *e)
{
    bool refused = false, takes_any = false;
    for (size_t i = 0; i < sizeof any_rank / sizeof *any_rank; i++)
        takes_any = takes_any || !strcmp(any_rank[i], e->class_name);
    for (int rank = 0; rank < KL_MAX_RANK; rank++)
        if (rank != e->inputs[0].rank)
            refused = refuses(e, rank) || refused;
    if (!refused && !takes_any)
        print_error("%s: takes inputs of every rank, yet isn't listed so\n", e->class_name);
    assert_true(refused || takes_any);
}

static void test_classes(void **state)
{
    (void)state;
    const kl_layer_vtable *class;
    failing_allocator memory;
    for (size_t i = 0; (class = kl_builtin_layer_at(i)); i++) {
        failing_install(&memory);
        example e = example_of(KL_TEST_DIR, class->class_name);
        check_judged(&e);
        if (e.config) {
            check_round_trip(&e);
            check_shape(&e);
            check_rank(&e);
        }
        kl_config_free_text(e.config);
        kl_clear_session();
        failing_remove(&memory);
    }
}

/* Tables of fields that documentation and configs can rely on. */
static void test_fields(void **state)
{
    (void)state;
    const kl_layer_vtable *class;
    for (size_t i = 0; (class = kl_builtin_layer_at(i)); i++)
        for (const kl_field *f = class->fields; f && f->type; f++) {
            if (f->type == KL_FIELD_POINTER || f->type == KL_FIELD_IGNORED)
                continue;
            if (!f->doc || !*f->doc)
                print_error("%s: argument %s has no doc\n", class->class_name, f->name);
            assert_true(f->doc && *f->doc);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes),
                                       cmocka_unit_test(test_fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
