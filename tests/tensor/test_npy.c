#include "base/test_support.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "klayers/tensor.h"

static const char *fixture(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/tensor/data/%s.npy", KL_TEST_DIR, name);
    return path;
}

static const char *scratch(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/klayers_npy_%ld.npy", P_tmpdir, (long)getpid());
    return path;
}

/* A version 1 file of `header` and `bytes` zeros. */
static const char *write_raw(const char *header, size_t bytes)
{
    FILE *file = fopen(scratch(), "wb");
    assert_non_null(file);
    size_t length = strlen(header);
    fwrite("\x93NUMPY\x01", 1, 7, file);
    fputc(0, file);
    fputc((int)(length & 255), file);
    fputc((int)(length >> 8), file);
    fwrite(header, 1, length, file);
    while (bytes--)
        fputc(0, file);
    fclose(file);
    return scratch();
}

static void test_numpy_files(void **state)
{
    static const struct {
        const char *name;
        kl_dtype dtype;
        double first;
    } cases[] = {
        {"float16", KL_FLOAT16, -2}, {"float32", KL_FLOAT32, -2},    {"float64", KL_FLOAT64, -2},
        {"int8", KL_INT32, -2},      {"int16", KL_INT32, -2},        {"int32", KL_INT32, -2},
        {"int64", KL_INT64, -2},     {"uint8", KL_UINT8, 0},         {"uint16", KL_INT32, 0},
        {"uint32", KL_INT64, 0},     {"big_endian", KL_FLOAT32, -2}, {"fortran", KL_FLOAT32, -2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kl_tensor *t = kl_npy_load(fixture(cases[i].name));
        assert_non_null(t);
        assert_int_equal(kl_tensor_dtype(t), cases[i].dtype);
        assert_int_equal(kl_tensor_rank(t), 2);
        assert_int_equal(kl_tensor_dim(t, 0), 2);
        assert_int_equal(kl_tensor_dim(t, 1), 3);
        assert_true(kl_tensor_is_contiguous(t));
        for (int k = 0; k < 6; k++)
            assert_true(kl_tensor_at(t, k) == cases[i].first + k);
        kl_release(t);
    }
    kl_tensor *t = kl_npy_load(fixture("bool"));
    assert_int_equal(kl_tensor_dtype(t), KL_BOOL);
    for (int k = 0; k < 6; k++)
        assert_true(kl_tensor_at(t, k) == (k % 2 == 0));
    kl_release(t);
    t = kl_npy_load(fixture("scalar"));
    assert_int_equal(kl_tensor_rank(t), 0);
    assert_true(kl_tensor_at(t, 0) == 2.5);
    kl_release(t);
    t = kl_npy_load(fixture("empty"));
    assert_int_equal(kl_tensor_size(t), 0);
    assert_int_equal(kl_tensor_dim(t, 1), 3);
    kl_release(t);
}

static void check_text(const kl_tensor *t, int64_t index, const char *text)
{
    kl_string s = kl_tensor_string_at(t, index);
    assert_int_equal(s.length, strlen(text));
    assert_memory_equal(s.at, text, s.length);
}

static void test_strings(void **state)
{
    kl_tensor *t = kl_npy_load(fixture("bytes"));
    assert_int_equal(kl_tensor_dtype(t), KL_STRING);
    check_text(t, 0, "one");
    check_text(t, 1, "");
    check_text(t, 2, "three");
    assert_int_equal(kl_npy_save(scratch(), t), KL_OK);
    kl_release(t);
    t = kl_npy_load(scratch());
    check_text(t, 2, "three");
    kl_release(t);
    t = kl_npy_load(fixture("text"));
    check_text(t, 2, "\xc3\xbcn\xc3\xaf\xf0\x9f\x98\x80");
    kl_release(t);
}

static void test_round_trips(void **state)
{
    for (int dtype = 0; dtype < KL_STRING; dtype++) {
        kl_tensor *t = kl_full((kl_dtype)dtype, KL_DIMS(3, 1, 2), 1);
        kl_tensor *turned = kl_view_transpose(t, NULL);
        assert_int_equal(kl_npy_save(scratch(), turned), KL_OK);
        kl_tensor *again = kl_npy_load(scratch());
        assert_non_null(again);
        assert_int_equal(kl_tensor_dtype(again), dtype == KL_BFLOAT16 ? KL_FLOAT32 : dtype);
        assert_int_equal(kl_tensor_dim(again, 0), 2);
        assert_int_equal(kl_tensor_dim(again, 2), 3);
        for (int k = 0; k < 6; k++)
            assert_true(kl_tensor_at(again, k) == 1);
        kl_release(again);
        kl_release(turned);
        kl_release(t);
    }
}

static void test_truncated(void **state)
{
    char whole[4096];
    FILE *file = fopen(fixture("float32"), "rb");
    size_t size = fread(whole, 1, sizeof whole, file);
    fclose(file);
    for (size_t cut = 0; cut < size; cut++) {
        file = fopen(scratch(), "wb");
        fwrite(whole, 1, cut, file);
        fclose(file);
        kl_clear_error();
        assert_null(kl_npy_load(scratch()));
        assert_int_equal(kl_last_status(), KL_ERROR_FORMAT);
    }
}

static void test_hostile_headers(void **state)
{
    static const char *const headers[] = {
        "",
        "{'descr': '",
        "{'fortran_order': False, 'shape': (1,), 'descr': '",
        "{'fortran_order': False, 'shape': (1,), 'descr': '<",
        "{'fortran_order': False, 'shape': (1,), 'descr': '|",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (x,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (4611686018427387904, 4, 0), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }",
        "{'descr': '|i0', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '|S0', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<i3', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f-4', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        kl_clear_error();
        assert_null(kl_npy_load(write_raw(headers[i], 16)));
        assert_int_not_equal(kl_last_status(), KL_OK);
        assert_int_not_equal(kl_last_status(), KL_ERROR_MEMORY);
    }
}

static void test_bad_arguments(void **state)
{
    kl_tensor *t = kl_scalar(KL_FLOAT32, 1);
    assert_null(kl_npy_load(NULL));
    assert_null(kl_npy_load(KL_TEST_DIR));
    kl_clear_error();
    assert_null(kl_npy_load(fixture("missing")));
    assert_int_equal(kl_last_status(), KL_ERROR_IO);
    assert_int_not_equal(kl_npy_save(NULL, t), KL_OK);
    assert_int_not_equal(kl_npy_save(scratch(), NULL), KL_OK);
    assert_int_equal(kl_npy_save(fixture("no/such/folder"), t), KL_ERROR_IO);
    kl_release(t);
}

static void test_failing_allocator(void **state)
{
    static const char *const names[] = {"float32", "fortran", "text"};
    for (size_t i = 0; i < 3; i++) {
        bool done = false;
        for (long n = 0; !done; n++) {
            failing_allocator f;
            failing_install(&f);
            f.until_failure = n;
            kl_clear_error();
            kl_tensor *t = kl_npy_load(fixture(names[i]));
            done = t != NULL;
            if (!t)
                assert_int_equal(kl_last_status(), KL_ERROR_MEMORY);
            kl_release(t);
            failing_remove(&f);
            assert_true(n < 1000);
        }
    }
}

static int remove_scratch(void **state)
{
    remove(scratch());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numpy_files),       cmocka_unit_test(test_strings),
        cmocka_unit_test(test_round_trips),       cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_hostile_headers),   cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_failing_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
