/* Transposed copies of matrices of any size against the definition, on one and on more threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/transpose.h"

/* The arrays end exactly at their last element. */
static void check(int64_t batch, int64_t rows, int64_t cols, int64_t gap)
{
    int64_t in_col = rows + gap, in_batch = cols * in_col + gap, size = batch * in_batch;
    size_t outs = (size_t)(batch * rows * cols);
    uint32_t *in = malloc((size_t)size * sizeof *in), *out = malloc(outs * sizeof *out);
    uint64_t *wide = malloc((size_t)size * sizeof *wide), *wide_out = malloc(outs * sizeof *wide);
    assert_true(in && out && wide && wide_out);
    for (int64_t i = 0; i < size; i++) {
        in[i] = (uint32_t)i * 2654435761u;
        wide[i] = (uint64_t)i * 0x9E3779B97F4A7C15u;
    }
    kl_transposition t = {.batch = batch,
                          .rows = rows,
                          .cols = cols,
                          .in_batch = in_batch,
                          .in_col = in_col,
                          .in = in,
                          .out = out};
    kl_transpose_32(&t);
    t.in = wide, t.out = wide_out;
    kl_transpose_64(&t);
    for (int64_t b = 0, i = 0; b < batch; b++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++, i++) {
                assert_int_equal(out[i], in[b * in_batch + r + c * in_col]);
                assert_true(wide_out[i] == wide[b * in_batch + r + c * in_col]);
            }
    free(in);
    free(out);
    free(wide);
    free(wide_out);
}

static void any_size(void **unused)
{
    (void)unused;
    for (int64_t rows = 1; rows < 40; rows += 3)
        for (int64_t cols = 1; cols < 40; cols += 3)
            check(1 + rows % 3, rows, cols, cols % 3);
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(kl_set_num_threads(threads), KL_OK);
        check(2, 300, 67, 0);
        check(3, 31, 700, 5);
    }
    kl_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_size)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
