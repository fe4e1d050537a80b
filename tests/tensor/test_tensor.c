#include "base/test_support.h"

#include <math.h>

#include "klayers/tensor.h"
#include "tensor/tensor.h"

static kl_tensor *counting(int rank, const int64_t *shape)
{
    int64_t size = 1;
    for (int i = 0; i < rank; i++)
        size *= shape[i];
    kl_tensor *flat = kl_arange(KL_FLOAT32, 0, (double)size, 1);
    kl_tensor *t = kl_view_reshape(flat, rank, shape);
    kl_release(flat);
    return t;
}

static void test_makers(void **state)
{
    kl_tensor *t = kl_zeros(KL_FLOAT64, KL_DIMS(2, 3));
    assert_int_equal(kl_tensor_size(t), 6);
    assert_int_equal(kl_tensor_dim(t, -1), 3);
    assert_true(kl_tensor_at(t, 5) == 0);
    kl_release(t);
    t = kl_arange(KL_INT32, 5, 0, -2);
    assert_int_equal(kl_tensor_size(t), 3);
    assert_true(kl_tensor_at(t, 2) == 1);
    kl_release(t);
    kl_clear_error();
    assert_null(kl_arange(KL_FLOAT32, 0, 1, 0));
    assert_null(kl_arange(KL_FLOAT32, 0, NAN, 1));
    assert_null(kl_zeros(KL_FLOAT32, KL_DIMS(-1)));
    assert_null(kl_zeros(KL_FLOAT32, KL_DIMS(INT64_MAX, 2)));
    assert_null(kl_zeros(KL_FLOAT32, KL_DIMS(INT64_MAX, 2, 0)));
    assert_null(kl_zeros(KL_FLOAT32, 9, NULL));
    assert_null(kl_zeros((kl_dtype)99, KL_DIMS(1)));
    assert_null(kl_full(KL_STRING, KL_DIMS(1), 1));
    assert_null(kl_from_data(KL_FLOAT32, KL_DIMS(1), NULL));
    assert_null(kl_from_strings(KL_DIMS(1), NULL));
    assert_int_equal(kl_tensor_dim(NULL, 0), -1);
}

/* float16 and bfloat16 round to nearest, ties to even. */
static void test_half_rounding(void **state)
{
    static const struct {
        kl_dtype dtype;
        float in, out;
    } cases[] = {
        {KL_FLOAT16, 2049, 2048},
        {KL_FLOAT16, 2051, 2052},
        {KL_FLOAT16, 65519, 65504},
        {KL_FLOAT16, 65520, INFINITY},
        {KL_FLOAT16, 0x1p-24f, 0x1p-24f},
        {KL_FLOAT16, 0x1p-25f, 0},
        {KL_FLOAT16, 0x1.8p-24f, 0x1p-23f},
        {KL_BFLOAT16, 257, 256},
        {KL_BFLOAT16, 259, 260},
        {KL_BFLOAT16, -INFINITY, -INFINITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kl_tensor *t = kl_from_data(KL_FLOAT32, 0, NULL, &cases[i].in);
        kl_tensor *half = kl_copy(t, cases[i].dtype);
        assert_true(kl_tensor_at(half, 0) == (double)cases[i].out);
        kl_release(half);
        kl_release(t);
    }
}

static void test_conversions(void **state)
{
    for (int from = 0; from < KL_STRING; from++)
        for (int to = 0; to < KL_STRING; to++) {
            kl_tensor *t = kl_full((kl_dtype)from, KL_DIMS(3, 5), 1);
            kl_tensor *turned = kl_view_transpose(t, NULL);
            kl_tensor *copy = kl_copy(turned, (kl_dtype)to);
            assert_int_equal(kl_tensor_dtype(copy), to);
            for (int i = 0; i < 15; i++)
                assert_true(kl_tensor_at(copy, i) == 1);
            kl_release(copy);
            kl_release(turned);
            kl_release(t);
        }
}

static void test_slices(void **state)
{
    static const struct {
        int64_t start, stop, step, count, first;
    } cases[] = {
        {KL_NONE, KL_NONE, 1, 10, 0},
        {2, 8, 3, 2, 2},
        {-3, KL_NONE, 1, 3, 7},
        {KL_NONE, KL_NONE, -1, 10, 9},
        {8, 2, -3, 2, 8},
        {5, 5, 1, 0, 0},
        {8, 2, 1, 0, 0},
        {-100, 100, 1, 10, 0},
        {KL_NONE, KL_NONE, INT64_MAX, 1, 0},
        {KL_NONE, KL_NONE, -INT64_MAX, 1, 9},
    };
    kl_tensor *t = counting(KL_DIMS(10, 2));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kl_tensor *cut = kl_view_slice(t, 0, cases[i].start, cases[i].stop, cases[i].step);
        assert_non_null(cut);
        assert_int_equal(kl_tensor_dim(cut, 0), cases[i].count);
        for (int64_t k = 0; k < 2 * cases[i].count; k++) {
            double row = (double)(cases[i].first + k / 2 * cases[i].step);
            assert_true(kl_tensor_at(cut, k) == 2 * row + (double)(k % 2));
        }
        kl_release(cut);
    }
    assert_null(kl_view_slice(t, 0, 0, 1, 0));
    assert_null(kl_view_slice(t, 2, 0, 1, 1));
    assert_null(kl_view_slice(NULL, 0, 0, 1, 1));
    kl_release(t);
}

static void test_views_of_views(void **state)
{
    kl_tensor *t = counting(KL_DIMS(4, 6));
    kl_tensor *cut = kl_view_slice(t, 1, 1, 6, 2);
    kl_tensor *turned = kl_view_transpose(cut, NULL);
    kl_release(cut);
    kl_release(t);
    assert_false(kl_tensor_is_contiguous(turned));
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++)
            assert_true(kl_tensor_at(turned, i * 4 + k) == 6 * k + 1 + 2 * i);
    kl_tensor *flat = kl_view_reshape(turned, KL_DIMS(-1));
    assert_int_equal(kl_tensor_dim(flat, 0), 12);
    for (int i = 0; i < 12; i++)
        assert_true(kl_tensor_at(flat, i) == kl_tensor_at(turned, i));
    kl_tensor *wide = kl_view_broadcast(flat, KL_DIMS(2, 12));
    assert_true(kl_tensor_at(wide, 13) == kl_tensor_at(flat, 1));
    assert_null(kl_view_broadcast(flat, KL_DIMS(2, 13)));
    assert_null(kl_view_reshape(flat, KL_DIMS(5, -1)));
    assert_null(kl_view_reshape(flat, KL_DIMS(-1, -1)));
    assert_null(kl_view_transpose(turned, (const int[]){0, 0}));
    kl_release(wide);
    kl_release(flat);
    kl_release(turned);
}

/* A reshape that strides allow shares the buffer: size-1 axes come and go. */
static void test_reshape_shares(void **state)
{
    kl_tensor *t = counting(KL_DIMS(4, 6));
    kl_tensor *cut = kl_view_slice(t, 1, 0, 3, 1);
    kl_tensor *more = kl_view_reshape(cut, KL_DIMS(1, 2, 2, 1, 3, 1));
    assert_ptr_equal(kl_tensor_data(more), kl_tensor_data(cut));
    for (int i = 0; i < 12; i++)
        assert_true(kl_tensor_at(more, i) == kl_tensor_at(cut, i));
    kl_release(more);
    kl_release(cut);
    kl_release(t);
}

static void count_release(void *data, void *user)
{
    ++*(int *)user;
}

static void test_wrap(void **state)
{
    float values[6] = {0, 1, 2, 3, 4, 5};
    int released = 0;
    kl_tensor *t = kl_wrap(KL_FLOAT32, KL_DIMS(3, 2), (const int64_t[]){1, 3}, values,
                           count_release, &released);
    assert_true(kl_tensor_at(t, 1) == 3);
    kl_tensor *view = kl_view_slice(t, 0, 1, 2, 1);
    kl_release(t);
    assert_int_equal(released, 0);
    uint64_t version = kl_tensor_version(view);
    *(float *)kl_tensor_mutable_data(view) = 7;
    assert_true(values[1] == 7);
    assert_true(kl_tensor_version(view) > version);
    kl_release(view);
    assert_int_equal(released, 1);
    assert_null(kl_wrap(KL_FLOAT32, KL_DIMS(-1), NULL, values, count_release, &released));
    assert_int_equal(released, 2);
}

/* Right with and without a scope around it. */
static kl_tensor *same_code(void)
{
    kl_tensor *a = kl_ones(KL_FLOAT32, KL_DIMS(2, 2));
    kl_tensor *b = kl_view_transpose(a, NULL);
    kl_release(a);
    return b;
}

static void test_scopes(void **state)
{
    failing_allocator f;
    failing_install(&f);
    kl_tensor *plain = same_code();
    kl_scope *outer = kl_scope_begin(), *inner = kl_scope_begin();
    kl_tensor *kept = same_code(), *dropped = same_code(), *retained = kl_retain(same_code());
    kl_release(kept);
    kl_release(dropped);
    kl_scope_end(inner, kept);
    assert_true(kl_tensor_at(kept, 3) == 1);
    assert_true(kl_tensor_at(retained, 3) == 1);
    kl_scope_end(outer, kept);
    assert_false(kl_scope_is_open());
    assert_true(kl_tensor_at(kept, 3) == 1);
    kl_release(kept);
    kl_release(retained);
    kl_release(plain);
    kl_release(NULL);
    assert_null(kl_retain(NULL));
    failing_remove(&f);
}

static void test_many_scopes(void **state)
{
    enum { DEPTH = 100 };
    kl_scope *scopes[DEPTH];
    for (int i = 0; i < DEPTH; i++) {
        scopes[i] = kl_scope_begin();
        kl_scalar(KL_FLOAT32, i);
        memset(kl_scope_alloc(5000), i, 5000);
    }
    kl_tensor *last = kl_scalar(KL_FLOAT32, 42);
    for (int i = DEPTH; i-- > 0;)
        kl_scope_end(scopes[i], last);
    assert_true(kl_tensor_at(last, 0) == 42);
    kl_release(last);
    kl_clear_error();
    assert_null(kl_scope_alloc(1));
    assert_int_equal(kl_last_status(), KL_ERROR_STATE);
}

static void test_reading(void **state)
{
    kl_tensor *t = counting(KL_DIMS(2, 2));
    kl_tensor *text = kl_from_strings(KL_DIMS(1), (const char *const[]){"a"});
    float out[4];
    assert_int_equal(kl_tensor_copy_to(t, KL_FLOAT32, out, 4), KL_OK);
    assert_true(out[3] == 3);
    assert_int_equal(kl_tensor_copy_to(t, KL_FLOAT32, out, 3), KL_ERROR_SHAPE);
    assert_true(isnan(kl_tensor_at(t, 4)));
    assert_true(isnan(kl_tensor_at(t, -1)));
    assert_true(isnan(kl_tensor_at(text, 0)));
    assert_int_equal(kl_tensor_string_at(text, 0).length, 1);
    assert_int_equal(kl_tensor_string_at(t, 0).length, 0);
    assert_null(kl_tensor_floats(text));
    assert_int_equal(kl_tensor_assign(t, text), KL_ERROR_SHAPE);
    char *shown = kl_tensor_to_text(t);
    assert_string_equal(shown, "[[0., 1.],\n [2., 3.]]");
    kl_free_text(shown);
    kl_tensor *empty = kl_zeros(KL_FLOAT32, KL_DIMS(3, 0));
    shown = kl_tensor_to_text(empty);
    assert_string_equal(shown, "[]");
    kl_free_text(shown);
    kl_release(empty);
    kl_release(text);
    kl_release(t);
}

static void test_failing_allocator(void **state)
{
    bool done = false;
    for (long n = 0; !done; n++) {
        failing_allocator f;
        failing_install(&f);
        f.until_failure = n;
        kl_scope *scope = kl_scope_begin();
        kl_tensor *t = scope ? counting(KL_DIMS(40, 50)) : NULL;
        kl_tensor *turned = t ? kl_view_transpose(t, NULL) : NULL;
        kl_tensor *flat = turned ? kl_view_reshape(turned, KL_DIMS(-1)) : NULL;
        kl_tensor *text =
            flat ? kl_from_strings(KL_DIMS(2), (const char *const[]){"a", "b"}) : NULL;
        char *shown = text ? kl_tensor_to_text(text) : NULL;
        done = shown != NULL;
        kl_free_text(shown);
        kl_scope_end(scope);
        failing_remove(&f);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_makers),
        cmocka_unit_test(test_half_rounding),
        cmocka_unit_test(test_conversions),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_views_of_views),
        cmocka_unit_test(test_reshape_shares),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_many_scopes),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_failing_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
