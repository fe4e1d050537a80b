#include "base/test_support.h"
#include "base/random.h"

#include <math.h>
#include <pthread.h>

enum { MANY = 1 << 18 };
static float floats[MANY], more_floats[MANY];
static double doubles[MANY], more_doubles[MANY];
static int64_t ints[MANY], more_ints[MANY];
static uint8_t bytes[MANY], more_bytes[MANY];

/* From the Random123 distribution's known-answer file. */
static void test_known_answers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t *c = cases[i].counter, *k = cases[i].key;
        uint32_t out[4];
        kl_philox((uint64_t)k[1] << 32 | k[0], (uint64_t)c[3] << 32 | c[2],
                  (uint64_t)c[1] << 32 | c[0], out);
        assert_memory_equal(out, cases[i].expected, sizeof out);
    }
}

/* Elements come from the blocks in the documented order, on whatever instruction set. */
static void test_order_of_words(void **state)
{
    kl_random r = {0x0123456789abcdef, 77};
    kl_random_uniform_f32(&r, floats, 1000, 0, 1);
    assert_int_equal(r.draw, 78);
    for (int i = 0; i < 1000; i++) {
        uint32_t words[4];
        kl_philox(r.key, 77, (uint64_t)(i / 64 * 16 + i % 16), words);
        assert_float_equal(floats[i], (float)(words[i % 64 / 16] >> 8) * 0x1p-24f, 0);
    }
}

static void draw_all(int threads, int64_t count, float *f, double *d, int64_t *n, uint8_t *b)
{
    kl_set_num_threads(threads);
    kl_random r = {42, 0};
    kl_random_normal_f32(&r, f, count, 1, 2);
    kl_random_truncated_normal_f64(&r, d, count, 1, 2);
    kl_random_int(&r, n, count, -5, 1000003);
    kl_random_bernoulli(&r, b, count, 0.7);
    assert_int_equal(r.draw, 4);
}

static void test_same_on_any_threads_and_length(void **state)
{
    draw_all(1, MANY, floats, doubles, ints, bytes);
    for (int threads = 2; threads <= 8; threads *= 4) {
        draw_all(threads, MANY, more_floats, more_doubles, more_ints, more_bytes);
        assert_memory_equal(floats, more_floats, sizeof floats);
        assert_memory_equal(doubles, more_doubles, sizeof doubles);
        assert_memory_equal(ints, more_ints, sizeof ints);
        assert_memory_equal(bytes, more_bytes, sizeof bytes);
    }
    static const int64_t lengths[] = {0, 1, 3, 63, 64, 127, 129, 255, 257, 20001};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t count = (size_t)lengths[i];
        memset(more_floats, 0, sizeof more_floats);
        draw_all(2, lengths[i], more_floats, more_doubles, more_ints, more_bytes);
        assert_memory_equal(floats, more_floats, count * sizeof *floats);
        assert_memory_equal(doubles, more_doubles, count * sizeof *doubles);
        assert_memory_equal(ints, more_ints, count * sizeof *ints);
        assert_memory_equal(bytes, more_bytes, count);
        assert_float_equal(more_floats[count], 0, 0);
    }
    kl_set_num_threads(0);
}

/* Mean, variance and fourth moment of `count` numbers. */
static void moments(const double *x, int count, double out[3])
{
    double mean = 0, second = 0, fourth = 0;
    for (int i = 0; i < count; i++)
        mean += x[i] / count;
    for (int i = 0; i < count; i++) {
        double square = (x[i] - mean) * (x[i] - mean);
        second += square / count;
        fourth += square * square / count;
    }
    out[0] = mean;
    out[1] = second;
    out[2] = fourth;
}

/* The largest distance between the sample's distribution and the normal one, times sqrt(n). */
static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double distance_from_normal(double *x, int count)
{
    double most = 0;
    qsort(x, (size_t)count, sizeof *x, ascending);
    for (int i = 0; i < count; i++) {
        double expected = 0.5 * erfc(-x[i] / sqrt(2));
        most = fmax(most, fabs(expected - (i + 0.5) / count));
    }
    return most * sqrt(count);
}

static void widen(void)
{
    for (int i = 0; i < MANY; i++)
        doubles[i] = (double)floats[i];
}

static void test_normal(void **state)
{
    kl_random r = {2024, 0};
    double m[3];
    kl_random_normal_f32(&r, floats, MANY, 3, 0.5f);
    widen();
    moments(doubles, MANY, m);
    assert_float_equal(m[0], 3, 0.005);
    assert_float_equal(m[1], 0.25, 0.003);
    kl_random_normal_f32(&r, floats, MANY, 0, 1);
    widen();
    moments(doubles, MANY, m);
    assert_float_equal(m[2], 3, 0.08);
    /* Beyond 1.95 only once in a thousand samples. */
    assert_true(distance_from_normal(doubles, MANY) < 1.95);
    assert_true(doubles[0] < -4 && doubles[MANY - 1] > 4);
    kl_random_normal_f64(&r, doubles, MANY, 0, 1);
    moments(doubles, MANY, m);
    assert_float_equal(m[0], 0, 0.01);
    assert_float_equal(m[1], 1, 0.012);
    assert_float_equal(m[2], 3, 0.08);
    assert_true(distance_from_normal(doubles, MANY) < 1.95);
}

/* Float64 normals are Box and Muller's formula to the last digits. */
static void test_normal_against_libm(void **state)
{
    kl_random r = {5, 0};
    kl_random_normal_f64(&r, doubles, 64, 0, 1);
    for (int i = 0; i < 16; i++) {
        /* Words i, 64 + i, 128 + i, 192 + i of the first piece. */
        uint32_t w[4], words[4];
        for (int g = 0; g < 4; g++) {
            kl_philox(5, 0, (uint64_t)(16 * g + i), words);
            w[g] = words[0];
        }
        double u = (double)((((uint64_t)w[0] << 32 | w[1]) >> 12) * 2 + 1) * 0x1p-53;
        double angle = ((double)w[2] * 0x1p32 + (double)w[3]) * 0x1p-64 * 2 * acos(-1);
        assert_float_equal(doubles[i], sqrt(-2 * log(u)) * cos(angle), 1e-14);
    }
}

static void test_truncated_normal(void **state)
{
    kl_random r = {7, 0};
    double m[3];
    kl_random_truncated_normal_f32(&r, floats, MANY, 1, 3);
    widen();
    for (int i = 0; i < MANY; i++)
        assert_true(fabs(doubles[i] - 1) <= 6.00001);
    moments(doubles, MANY, m);
    /* Its standard deviation is 0.87962566 of the whole one's. */
    assert_float_equal(m[0], 1, 0.03);
    assert_float_equal(sqrt(m[1]), 3 * 0.87962566, 0.02);
    kl_random_truncated_normal_f64(&r, doubles, MANY, 0, 1);
    moments(doubles, MANY, m);
    for (int i = 0; i < MANY; i++)
        assert_true(fabs(doubles[i]) <= 2);
    assert_float_equal(sqrt(m[1]), 0.87962566, 0.007);
}

static void test_uniform(void **state)
{
    kl_random r = {9, 0};
    double m[3];
    kl_random_uniform_f32(&r, floats, MANY, -2, 6);
    widen();
    moments(doubles, MANY, m);
    assert_float_equal(m[0], 2, 0.03);
    assert_float_equal(m[1], 64 / 12.0, 0.05);
    for (int i = 0; i < MANY; i++)
        assert_true(floats[i] >= -2 && floats[i] < 6);
    /* A range where rounding would reach the open end. */
    kl_random_uniform_f32(&r, floats, MANY, 1, 1.0000002f);
    for (int i = 0; i < MANY; i++)
        assert_true(floats[i] >= 1 && floats[i] < 1.0000002f);
    kl_random_uniform_f64(&r, doubles, MANY, 0, 1);
    moments(doubles, MANY, m);
    assert_float_equal(m[0], 0.5, 0.004);
    assert_float_equal(m[1], 1 / 12.0, 0.002);
    kl_random_uniform_f32(&r, floats, 10, 4, 4);
    assert_float_equal(floats[3], 4, 0);
}

static void test_int(void **state)
{
    kl_random r = {11, 0};
    int counts[10] = {0};
    kl_random_int(&r, ints, MANY, -3, 7);
    for (int i = 0; i < MANY; i++) {
        assert_in_range(ints[i] + 3, 0, 9);
        counts[ints[i] + 3]++;
    }
    double chi = 0;
    for (int i = 0; i < 10; i++)
        chi += (counts[i] - MANY / 10.0) * (counts[i] - MANY / 10.0) / (MANY / 10.0);
    assert_true(chi < 27.9); /* one in a thousand, 9 degrees of freedom */
    /* With a modulo, values in the lower third of such a range would come twice as often. */
    int64_t low = 0;
    kl_random_int(&r, ints, MANY, INT64_MIN, INT64_MIN / 2 + INT64_MAX);
    for (int i = 0; i < MANY; i++)
        low += ints[i] < INT64_MIN / 2;
    assert_true(fabs((double)low / MANY - 1 / 3.0) < 0.005);
    kl_random_int(&r, ints, MANY, INT64_MIN, INT64_MAX);
    kl_random_int(&r, ints, 100, 5, 5);
    assert_int_equal(ints[50], 5);
}

static void test_bernoulli(void **state)
{
    kl_random r = {13, 0};
    static const double keeps[] = {0.5, 0.9, 0.01};
    for (int k = 0; k < 3; k++) {
        int64_t ones = 0;
        kl_random_bernoulli(&r, bytes, MANY, keeps[k]);
        for (int i = 0; i < MANY; i++) {
            assert_true(bytes[i] <= 1);
            ones += bytes[i];
        }
        assert_true(fabs((double)ones / MANY - keeps[k]) < 0.004);
    }
    kl_random_bernoulli(&r, bytes, MANY, 1);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(bytes[i], 1);
    kl_random_bernoulli(&r, bytes, MANY, 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(r.draw, 5);
}

static void test_permutation(void **state)
{
    kl_random r = {17, 0};
    static bool seen[MANY];
    memset(seen, 0, sizeof seen);
    kl_random_permutation(&r, ints, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_in_range(ints[i], 0, MANY - 1);
        assert_false(seen[ints[i]]);
        seen[ints[i]] = true;
    }
    int counts[6] = {0};
    for (int i = 0; i < 6000; i++) {
        kl_random_permutation(&r, ints, 3);
        counts[ints[0] * 2 + (ints[1] > ints[2])]++;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(counts[i], 870, 1130);
    kl_random_permutation(&r, ints, 0);
    kl_random_permutation(&r, ints, 1);
    assert_int_equal(ints[0], 0);
}

static void *take_keys(void *out)
{
    uint64_t *keys = out;
    for (int i = 0; i < 1000; i++)
        keys[i] = kl_random_next_key();
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_default_generator(void **state)
{
    assert_int_not_equal(kl_random_next_key(), kl_random_next_key());
    static uint64_t once[4000], again[4000];
    kl_set_random_seed(1);
    uint64_t first = kl_random_next_key(), second = kl_random_next_key();
    kl_set_random_seed(1);
    assert_int_equal(kl_random_next_key(), first);
    assert_int_equal(kl_random_next_key(), second);
    kl_set_random_seed(2);
    assert_int_not_equal(kl_random_next_key(), first);
    /* Threads share the keys out among them. */
    kl_set_random_seed(3);
    take_keys(once);
    for (int i = 1; i < 4; i++)
        take_keys(once + 1000 * i);
    kl_set_random_seed(3);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_keys, again + 1000 * i), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    qsort(once, 4000, sizeof *once, by_value);
    qsort(again, 4000, sizeof *again, by_value);
    assert_memory_equal(once, again, sizeof once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_order_of_words),
        cmocka_unit_test(test_same_on_any_threads_and_length),
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_normal_against_libm),
        cmocka_unit_test(test_truncated_normal),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_int),
        cmocka_unit_test(test_bernoulli),
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_default_generator),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kl_shutdown();
    return failed;
}
