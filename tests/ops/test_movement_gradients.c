/* Derivatives of the ops that move data: shapes, slices, joins, indices, order. */
#include "ops/gradcheck.h"

#include "ops/get_item.h"

#define AXES(...)                                                                                  \
    (const int[])                                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define SIZES(...)                                                                                 \
    (const int64_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static kl_tensor *ids(int rank, const int64_t *shape, const int64_t *values)
{
    return kl_from_data(KL_INT64, rank, shape, values);
}

static kl_tensor *split_product(kl_tensor *x)
{
    kl_tensor *parts[3];
    return kl_op_split(x, 3, 1, parts) ? NULL : kl_op_mul(parts[0], kl_op_sub(parts[1], parts[2]));
}

/* x[:, 1:6:2, -1], x[..., None, 2, ::-1] and x[1] of three axes. */
static kl_tensor *item(kl_tensor *x, int which)
{
    static const kl_key keys[] = {
        {3,
         {{KL_KEY_SLICE, KL_NONE, KL_NONE, KL_NONE},
          {KL_KEY_SLICE, 1, 6, 2},
          {KL_KEY_AT, -1, 0, 0}}},
        {4,
         {{KL_KEY_REST, 0, 0, 0},
          {KL_KEY_NEW, 0, 0, 0},
          {KL_KEY_AT, 2, 0, 0},
          {KL_KEY_SLICE, KL_NONE, KL_NONE, -1}}},
        {1, {{KL_KEY_AT, 1, 0, 0}}},
    };
    return kl_custom_op(&kl_get_item_op, &keys[which], 1, &x);
}

// clang-format off
/* name, expression, flags, inputs */
#define CASES(X) \
    X(reshape, kl_op_reshape(x[0], 2, SIZES(4, -1)), 0, {2, {3, 8}, -1, 1}) \
    X(transpose, kl_op_transpose(x[0], AXES(2, 0, 1)), 0, {3, {2, 3, 4}, -1, 1}) \
    X(transpose_all, kl_op_transpose(x[0], NULL), 0, {3, {2, 3, 4}, -1, 1}) \
    X(move_axis, kl_op_move_axis(x[0], 1, -1), 0, {3, {2, 3, 4}, -1, 1}) \
    X(broadcast_to, kl_op_broadcast_to(x[0], 3, SIZES(2, 3, 4)), 0, {2, {3, 1}, -1, 1}) \
    X(expand_dims, kl_op_expand_dims(x[0], -2), 0, {2, {3, 4}, -1, 1}) \
    X(squeeze, kl_op_squeeze(x[0], 1), 0, {3, {3, 1, 4}, -1, 1}) \
    X(slice, kl_op_slice(x[0], 1, 1, 6, 2), 0, {2, {3, 7}, -1, 1}) \
    X(slice_back, kl_op_slice(x[0], 0, KL_NONE, 0, -1), 0, {2, {4, 3}, -1, 1}) \
    X(slice_squared, kl_op_square(kl_op_slice(x[0], 1, 1, 6, 2)), 0, {2, {3, 7}, -1, 1}) \
    X(item, item(x[0], 0), 0, {3, {3, 7, 2}, -1, 1}) \
    X(item_squared, kl_op_square(item(x[0], 1)), 0, {3, {2, 4, 3}, -1, 1}) \
    X(item_first, kl_op_square(item(x[0], 2)), 0, {3, {2, 3, 2}, -1, 1}) \
    X(flip, kl_op_flip(x[0], 1), 0, {2, {3, 4}, -1, 1}) \
    X(concatenate, kl_op_concatenate(3, x, 1), 0, {2, {3, 2}, -1, 1}, {2, {3, 1}, -1, 1}, {2, {3, 3}, -1, 1}) \
    X(concatenate_first, kl_op_square(kl_op_concatenate(2, x, 0)), 0, {2, {3, 2}, -1, 1}, {2, {1, 2}, -1, 1}) \
    X(stack, kl_op_stack(2, x, 1), 0, {2, {3, 2}, -1, 1}, {2, {3, 2}, -1, 1}) \
    X(split, split_product(x[0]), 0, {2, {2, 6}, -1, 1}) \
    X(tile, kl_op_tile(x[0], SIZES(2, 3)), 0, {2, {3, 2}, -1, 1}) \
    X(repeat, kl_op_repeat(x[0], 3, 1), 0, {2, {3, 2}, -1, 1}) \
    X(pad, kl_op_pad(x[0], SIZES(1, 2, 0, 1), "constant", 0.5), 0, {2, {3, 2}, -1, 1}) \
    X(pad_reflect, kl_op_pad(x[0], SIZES(1, 2, 0, 1), "reflect", 0), 0, {2, {3, 4}, -1, 1}) \
    X(pad_symmetric, kl_op_pad(x[0], SIZES(1, 2, 0, 1), "symmetric", 0), 0, {2, {3, 4}, -1, 1}) \
    X(crop, kl_op_crop(x[0], SIZES(1, 0, 0, 2)), 0, {2, {4, 5}, -1, 1}) \
    X(crop_squared, kl_op_square(kl_op_crop(x[0], SIZES(0, 0, 1, 1, 0, 1))), 0, {3, {2, 4, 3}, -1, 1}) \
    X(pad_strided, kl_op_pad(kl_op_transpose(x[0], NULL), SIZES(1, 0, 0, 2), "constant", 0), 0, {2, {4, 5}, -1, 1}) \
    X(repeat_each, kl_op_repeat_each(x[0], SIZES(1, 2, 3)), 0, {3, {2, 3, 2}, -1, 1}) \
    X(repeat_each_squared, kl_op_square(kl_op_repeat_each(x[0], SIZES(2, 1, 3))), 0, {3, {2, 3, 5}, -1, 1}) \
    X(repeat_each_nothing, kl_op_repeat_each(x[0], SIZES(1, 1)), 0, {2, {2, 3}, -1, 1}) \
    X(repeat_each_inner, kl_op_square(kl_op_repeat_each(x[0], SIZES(2, 3, 1))), 0, {3, {2, 2, 3}, -1, 1}) \
    X(roll, kl_op_roll(x[0], 2, 1), 0, {2, {3, 5}, -1, 1}) \
    X(take, kl_op_take(x[0], ids(KL_DIMS(2, 3), SIZES(0, 3, 3, 1, 0, 3)), 0), 0, {2, {4, 3}, -1, 1}) \
    X(take_last, kl_op_take(x[0], ids(KL_DIMS(2, 2), SIZES(0, 2, 2, 1)), -1), 0, {3, {2, 2, 3}, -1, 1}) \
    X(take_middle, kl_op_take(x[0], ids(KL_DIMS(3), SIZES(0, 2, 2)), 1), 0, {3, {2, 3, 2}, -1, 1}) \
    X(take_twice, kl_op_mul(kl_op_take(x[0], ids(KL_DIMS(2), SIZES(1, 1)), 0), kl_op_take(x[0], ids(KL_DIMS(2), SIZES(2, 1)), 0)), 0, {2, {4, 3}, -1, 1}) \
    X(take_and_use, kl_op_add(kl_op_square(x[0]), kl_op_take(x[0], ids(KL_DIMS(4), SIZES(1, 1, 0, 3)), 0)), 0, {2, {4, 3}, -1, 1}) \
    X(take_along_axis, kl_op_take_along_axis(x[0], ids(KL_DIMS(2, 2), SIZES(2, 0, 1, 1)), 1), 0, {2, {2, 3}, -1, 1}) \
    X(scatter_add, kl_op_scatter_add(ids(KL_DIMS(3), SIZES(1, 4, 1)), x[0], 5), 0, {2, {3, 2}, -1, 1}) \
    X(sort, kl_op_sort(x[0], -1, false), 0, {2, {3, 5}, -1, 1}) \
    X(sort_down_first, kl_op_square(kl_op_sort(x[0], 0, true)), 0, {2, {5, 3}, -1, 1}) \
    X(top_k, kl_op_top_k(x[0], 2, NULL), 0, {2, {3, 5}, -1, 1}) \
    X(tril, kl_op_tril(x[0], -1), 0, {3, {2, 3, 4}, -1, 1}) \
    X(triu, kl_op_triu(x[0], 1), 0, {3, {2, 3, 4}, -1, 1})
// clang-format on

#define FUNCTION(name, expression, flags, ...)                                                     \
    static kl_tensor *e_##name(kl_tensor *const *x)                                                \
    {                                                                                              \
        return expression;                                                                         \
    }
CASES(FUNCTION)
#define ROW(name, expression, flags, ...) {#name, e_##name, flags, {__VA_ARGS__}},
static const gradcheck_case cases[] = {CASES(ROW)};

static void movements(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        gradcheck_run(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(movements)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
