#include "base/test_support.h"
#include "klayers/config.h"

#include <locale.h>
#include <math.h>

static kl_config *parse(const char *json)
{
    return kl_config_parse(json, strlen(json));
}

/* Parses a text and checks how it is printed again. */
static void check_printed(const char *json, const char *expected)
{
    kl_config *config = parse(json);
    if (!config)
        fail_msg("%s: %s", json, kl_last_error());
    char *text = kl_config_print(config, false);
    assert_string_equal(text, expected);
    kl_config *again = parse(text);
    assert_true(kl_config_equal(config, again));
    kl_config *copy = kl_config_copy(config);
    assert_true(kl_config_equal(config, copy));
    kl_config_free(copy);
    kl_config_free(again);
    kl_config_free_text(text);
    kl_config_free(config);
}

static void test_round_trips(void **state)
{
    static const char *const same[] = {
        "null",
        "true",
        "false",
        "0",
        "-12",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "0.1",
        "1.0",
        "-0.0",
        "1e-07",
        "1e+20",
        "1.7976931348623157e+308",
        "5e-324",
        "0.30000000000000004",
        "3.141592653589793",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"\"",
        "\"relu\"",
        "\"\\\"\\\\\\n\\t\\r\\u0001\"",
        "\"\xC3\xA9\xF0\x9F\x98\x80\"",
        "[]",
        "{}",
        "[1, 2.5, \"a\", null, [true], {\"b\": {}}]",
        "{\"z\": 1, \"a\": [NaN, -Infinity], \"m\": {\"units\": 64}}",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        check_printed(same[i], same[i]);
    check_printed(" [ 1 ,\n2\t] \r\n", "[1, 2]");
    check_printed("1E2", "100.0");
    check_printed("-0", "0");
    check_printed("9223372036854775808", "9.223372036854776e+18");
    check_printed("1e999", "Infinity");
    check_printed("0.1000000000000000055511151231257827021181583404541015625000000000000000000000",
                  "0.1");
    check_printed("\"\\/\\b\\f\\u00e9\\ud83d\\ude00\\u007f\"",
                  "\"/\\u0008\\u000c\xC3\xA9\xF0\x9F\x98\x80\\u007f\"");
    /* The last of equal keys counts, as in Python. */
    check_printed("{\"a\": 1, \"b\": 2, \"a\": 3}", "{\"a\": 3, \"b\": 2}");
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "True",
        "tru",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[1 2]",
        "[,]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "]",
        "1 2",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "1e+",
        "--1",
        "-Inf",
        "Nan",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud83d\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ude00\"",
        "\"\\u0000\"",
        "\"\n\"",
        "\"\x80\"",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "\"\xF5\x80\x80\x80\"",
        "\"\xE2\x82\"",
        "'a'",
        "[1]x",
        "/* a */ 1",
        "0x10",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kl_clear_error();
        if (parse(bad[i]))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(kl_last_status(), KL_ERROR_FORMAT);
        assert_non_null(strstr(kl_last_error(), "line 1 column"));
    }
    assert_null(parse("[1,\n  2,\n  x]"));
    assert_non_null(strstr(kl_last_error(), "line 3 column 3 (byte 11)"));
    assert_null(kl_config_parse("[1, 2]", 4));
    assert_null(kl_config_parse("1\0", 2));
    kl_config *config = kl_config_parse("12", 1);
    int64_t value;
    assert_true(kl_config_as_int(config, &value));
    assert_int_equal(value, 1);
    kl_config_free(config);
    assert_null(kl_config_parse(NULL, 0));
}

static void test_depth(void **state)
{
    static char json[2 * 1001 + 1];
    for (int depth = 1000; depth <= 1001; depth++) {
        memset(json, '[', (size_t)depth);
        memset(json + depth, ']', (size_t)depth);
        json[2 * depth] = '\0';
        kl_config *config = parse(json);
        assert_int_equal(config != NULL, depth <= 1000);
        kl_config_free(config);
    }
    static char open[1 << 20];
    memset(open, '[', sizeof open);
    assert_null(kl_config_parse(open, sizeof open));
    assert_int_equal(kl_last_status(), KL_ERROR_FORMAT);
}

static void test_reading(void **state)
{
    kl_config *map = parse("{\"units\": 64, \"rate\": 0.5, \"whole\": 3.0, \"bias\": true, "
                           "\"name\": \"dense\", \"none\": null, \"shape\": [1, 2], \"big\": 1e300,"
                           " \"nan\": NaN}");
    int64_t i;
    double f;
    bool b;
    assert_non_null(map);
    assert_int_equal(kl_config_typeof(map), KL_CONFIG_MAP);
    assert_int_equal(kl_config_count(map), 9);
    assert_string_equal(kl_config_key(map, 1), "rate");
    assert_null(kl_config_key(map, 9));
    assert_true(kl_config_as_int(kl_config_get(map, "units"), &i));
    assert_int_equal(i, 64);
    assert_true(kl_config_as_float(kl_config_get(map, "units"), &f));
    assert_float_equal(f, 64, 0);
    assert_true(kl_config_as_int(kl_config_get(map, "whole"), &i));
    assert_int_equal(i, 3);
    assert_false(kl_config_as_int(kl_config_get(map, "rate"), &i));
    assert_false(kl_config_as_int(kl_config_get(map, "big"), &i));
    assert_false(kl_config_as_int(kl_config_get(map, "nan"), &i));
    assert_false(kl_config_as_int(kl_config_get(map, "bias"), &i));
    assert_false(kl_config_as_float(kl_config_get(map, "name"), &f));
    assert_true(kl_config_as_bool(kl_config_get(map, "bias"), &b));
    assert_true(b);
    assert_false(kl_config_as_bool(kl_config_get(map, "units"), &b));
    assert_string_equal(kl_config_as_string(kl_config_get(map, "name")), "dense");
    assert_null(kl_config_as_string(kl_config_get(map, "units")));
    assert_int_equal(kl_config_typeof(kl_config_get(map, "none")), KL_CONFIG_NULL);
    kl_config *shape = kl_config_get(map, "shape");
    assert_int_equal(kl_config_count(shape), 2);
    assert_true(kl_config_as_int(kl_config_at(shape, 1), &i));
    assert_int_equal(i, 2);
    assert_null(kl_config_at(shape, 2));
    assert_null(kl_config_key(shape, 0));
    assert_null(kl_config_get(shape, "a"));
    assert_null(kl_config_get(map, "missing"));
    assert_null(kl_config_get(NULL, "a"));
    assert_null(kl_config_get(map, NULL));
    assert_int_equal(kl_config_count(NULL), 0);
    assert_int_equal(kl_config_typeof(NULL), KL_CONFIG_NULL);
    assert_false(kl_config_as_bool(NULL, &b));
    kl_config_free(map);
    kl_config_free(NULL);
}

static void test_building(void **state)
{
    kl_config *map = kl_config_new_map(), *list = kl_config_new_list();
    for (int i = 0; i < 5; i++)
        assert_int_equal(kl_config_append(list, kl_config_new_int(i)), KL_OK);
    assert_int_equal(kl_config_set(map, "list", list), KL_OK);
    assert_int_equal(kl_config_set_bool(map, "a", true), KL_OK);
    assert_int_equal(kl_config_set_int(map, "b", -1), KL_OK);
    assert_int_equal(kl_config_set_float(map, "c", 2), KL_OK);
    assert_int_equal(kl_config_set_string(map, "d", "x"), KL_OK);
    assert_int_equal(kl_config_set(map, "a", kl_config_new_null()), KL_OK);
    char *text = kl_config_print(map, false);
    assert_string_equal(
        text, "{\"list\": [0, 1, 2, 3, 4], \"a\": null, \"b\": -1, \"c\": 2.0, \"d\": \"x\"}");
    kl_config_free_text(text);
    kl_config *other = parse("{\"d\": \"x\", \"c\": 2, \"b\": -1, \"a\": null, "
                             "\"list\": [0, 1, 2, 3, 4]}");
    assert_true(kl_config_equal(map, other));
    assert_int_equal(kl_config_set_int(other, "b", -2), KL_OK);
    assert_false(kl_config_equal(map, other));
    kl_config_free(other);
    kl_config *taken = kl_config_detach(map, "b");
    assert_int_equal(kl_config_count(map), 4);
    assert_null(kl_config_detach(map, "b"));
    assert_null(kl_config_detach(NULL, "b"));
    kl_config_free(taken);
    assert_string_equal(kl_config_key(map, 2), "c");
    text = kl_config_print(kl_config_get(map, "list"), true);
    assert_string_equal(text, "[\n    0,\n    1,\n    2,\n    3,\n    4\n]");
    kl_config_free_text(text);
    kl_config_free(map);
}

static void test_bad_building(void **state)
{
    kl_config *map = kl_config_new_map(), *list = kl_config_new_list();
    kl_clear_error();
    assert_int_not_equal(kl_config_append(list, NULL), KL_OK);
    assert_int_not_equal(kl_config_append(NULL, kl_config_new_int(1)), KL_OK);
    assert_int_not_equal(kl_config_append(map, kl_config_new_int(1)), KL_OK);
    assert_int_not_equal(kl_config_set(list, "a", kl_config_new_int(1)), KL_OK);
    assert_int_not_equal(kl_config_set(map, NULL, kl_config_new_int(1)), KL_OK);
    assert_int_not_equal(kl_config_set(map, "\xFF", kl_config_new_int(1)), KL_OK);
    assert_int_not_equal(kl_config_append(list, list), KL_OK);
    kl_config *inside = kl_config_new_int(7);
    assert_int_equal(kl_config_append(list, inside), KL_OK);
    assert_int_equal(kl_config_set(map, "a", inside), KL_ERROR_INVALID);
    kl_config_free(inside); /* does nothing to a value inside another */
    assert_int_equal(kl_config_count(list), 1);
    assert_int_equal(kl_config_count(map), 0);
    assert_null(kl_config_new_string(NULL));
    assert_null(kl_config_new_string("\xC3"));
    assert_null(kl_config_print(NULL, false));
    assert_null(kl_config_copy(NULL));
    assert_false(kl_config_equal(map, NULL));
    assert_true(kl_config_equal(NULL, NULL));
    kl_config_free(map);
    kl_config_free(list);
}

static void test_large_map(void **state)
{
    enum { KEYS = 20000 };
    kl_config *map = kl_config_new_map();
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key_%d", i * 7919 % KEYS);
        assert_int_equal(kl_config_set_int(map, key, i), KL_OK);
    }
    assert_int_equal(kl_config_count(map), KEYS);
    for (int i = 0; i < KEYS; i++) {
        int64_t value = -1;
        snprintf(key, sizeof key, "key_%d", i * 7919 % KEYS);
        assert_true(kl_config_as_int(kl_config_get(map, key), &value));
        assert_int_equal(value, i);
    }
    assert_null(kl_config_get(map, "key"));
    kl_config_free(kl_config_detach(map, "key_5"));
    assert_null(kl_config_get(map, "key_5"));
    assert_non_null(kl_config_get(map, "key_6"));
    assert_int_equal(kl_config_set_int(map, "key_5", 1), KL_OK);
    assert_non_null(kl_config_get(map, "key_5"));
    assert_int_equal(kl_config_count(map), KEYS);
    kl_config_free(map);
}

/* Another locale's decimal comma changes nothing. */
static void test_locale(void **state)
{
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
        skip();
    check_printed("[0.5, 1e-07]", "[0.5, 1e-07]");
    char text[8];
    snprintf(text, sizeof text, "%.1f", 0.5);
    assert_string_equal(text, "0,5");
    setlocale(LC_NUMERIC, "C");
}

static const char sample[] =
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 64, \"activation\": \"relu\", "
    "\"list\": [1, 2.5, null, true, \"text \\u00e9\", [[]]], \"a\": 1, \"b\": 2, \"c\": 3}}";

static void test_no_memory(void **state)
{
    failing_allocator f;
    failing_install(&f);
    int failures = 0;
    for (long n = 0;; n++) {
        f.until_failure = n;
        kl_clear_error();
        kl_config *config = parse(sample);
        kl_config *copy = config ? kl_config_copy(config) : NULL;
        char *text = copy ? kl_config_print(copy, true) : NULL;
        bool done = text != NULL;
        if (!done) {
            failures++;
            assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
        }
        kl_config_free_text(text);
        kl_config_free(copy);
        kl_config_free(config);
        assert_int_equal(f.held, 0);
        if (done)
            break;
    }
    assert_true(failures > 30);
    f.until_failure = -1;
    kl_config *map = kl_config_new_map();
    char key[16];
    /* A large map works without its table. */
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "%d", i);
        kl_config *value = kl_config_new_int(i);
        f.until_failure = i == 31 ? 1 : -1;
        assert_int_equal(kl_config_set(map, key, value), KL_OK);
        f.until_failure = -1;
        assert_non_null(kl_config_get(map, key));
    }
    assert_non_null(kl_config_get(map, "3"));
    kl_config_free(map);
    failing_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_depth),       cmocka_unit_test(test_reading),
        cmocka_unit_test(test_building),    cmocka_unit_test(test_bad_building),
        cmocka_unit_test(test_large_map),   cmocka_unit_test(test_locale),
        cmocka_unit_test(test_no_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
