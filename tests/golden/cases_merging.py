"""Cases of the merging layers."""

from registry import add, case, error
from tensors import ints, mask, x

PAIR = [x(2, 3), x(2, 3)]
MASKS = [mask(["110", "101"]), mask(["011", "100"])]


def elementwise(two_only=False):
    """Cases that every elementwise merge shares."""
    cases = [
        case("two", {}, *PAIR),
        case("rank_4", {}, x(2, 2, 3, 2), x(2, 2, 3, 2)),
        case("broadcast_last", {}, x(2, 3, 4), x(2, 3, 1)),
        case("broadcast_both", {}, x(2, 3, 1), x(2, 1, 4)),
        case("broadcast_rank", {}, x(2, 3, 4), x(2, 4)),
        error("batch_sizes_differ", {}, x(3, 4), x(1, 4)),
        case("batch_1", {}, x(1, 1), x(1, 1)),
        case("float64", {}, *PAIR, dtype="float64"),
        case("unknown_dims", {}, x(2, 3, 4), x(2, 3, 4), unknown=[[0, 1], [1, 1]]),
        case("masks", {}, x(2, 3, 2), x(2, 3, 2), masks=MASKS),
        case("one_mask", {}, x(2, 3, 2), x(2, 3, 2), masks=[MASKS[0], None]),
        case("wide", {}, x(5, 67), x(5, 67)),
        case("training", {}, *PAIR, training=True),
        case("legacy", {}, *PAIR, keras="2.15"),
        case("legacy_broadcast_rank", {}, x(2, 3, 4), x(2, 4), keras="2.15"),
        error("shapes_differ", {}, x(2, 3), x(2, 4)),
        error("one_input", {}, x(2, 3)),
    ]
    if two_only:
        return cases + [error("three_inputs", {}, x(2, 3), x(2, 3), x(2, 3))]
    return cases + [
        case("three", {}, x(2, 3), x(2, 3), x(2, 3)),
        case("five", {}, *[x(2, 3) for _ in range(5)]),
        case("three_masks", {}, x(2, 3, 2), x(2, 3, 2), x(2, 3, 2),
             masks=MASKS + [mask(["111", "111"])]),
        case("integers", {}, ints(2, 3), ints(2, 3), grad=False, shapes=False),
    ]


for name in ("Add", "Multiply", "Average", "Maximum", "Minimum"):
    add(name, *elementwise())
add("Subtract", *elementwise(two_only=True))

add(
    "Concatenate",
    case("two", {}, x(2, 3), x(2, 4)),
    case("three", {}, x(2, 3), x(2, 1), x(2, 2)),
    case("axis_1", dict(axis=1), x(2, 3, 4), x(2, 2, 4)),
    case("axis_last_rank_4", {}, x(2, 2, 3, 1), x(2, 2, 3, 4)),
    case("axis_minus_2", dict(axis=-2), x(2, 1, 4), x(2, 3, 4)),
    case("axis_2", dict(axis=2), x(1, 2, 3, 2), x(1, 2, 1, 2)),
    case("axis_0", dict(axis=0), x(2, 3), x(1, 3), shapes=False),
    case("one", {}, x(2, 3), shapes=False, error=True),
    case("five", {}, *[x(2, i + 1) for i in range(5)]),
    case("batch_1", {}, x(1, 1), x(1, 1)),
    case("float64", {}, x(2, 3), x(2, 2), dtype="float64"),
    case("unknown_dims", {}, x(2, 3, 4), x(2, 3, 2), unknown=[[0, 1], [1, 1]]),
    case("unknown_axis", dict(axis=1), x(2, 3, 4), x(2, 2, 4), unknown=[[0, 1], [1, 1]]),
    case("masks_last_axis", {}, x(2, 3, 2), x(2, 3, 1), masks=MASKS),
    case("masks_axis_1", dict(axis=1), x(2, 3, 2), x(2, 3, 2), masks=MASKS),
    case("one_mask_axis_1", dict(axis=1), x(2, 3, 2), x(2, 2, 2), masks=[MASKS[0], None]),
    case("one_mask_last_axis", {}, x(2, 3, 2), x(2, 3, 2), masks=[None, MASKS[1]]),
    case("wide", {}, x(3, 65), x(3, 33)),
    case("integers", {}, ints(2, 3), ints(2, 2), grad=False, shapes=False),
    case("legacy", dict(axis=1), x(2, 3, 4), x(2, 2, 4), keras="2.15"),
    error("shapes_differ", {}, x(2, 3, 4), x(2, 2, 4)),
    error("ranks_differ", {}, x(2, 3, 4), x(2, 4)),
    error("axis_out_of_range", dict(axis=4), x(2, 3), x(2, 3)),
)

add(
    "Dot",
    case("vectors", dict(axes=1), x(3, 4), x(3, 4)),
    case("axes_minus_1", dict(axes=-1), x(3, 4), x(3, 4)),
    case("matrices", dict(axes=(2, 1)), x(2, 3, 4), x(2, 4, 5)),
    case("matrices_1_1", dict(axes=1), x(2, 4, 3), x(2, 4, 5)),
    case("matrices_2_2", dict(axes=2), x(2, 3, 4), x(2, 5, 4)),
    case("matrix_vector", dict(axes=(2, 1)), x(2, 3, 4), x(2, 4)),
    case("vector_matrix", dict(axes=(1, 2)), x(2, 4), x(2, 3, 4)),
    case("negative_axes", dict(axes=(-1, -2)), x(2, 3, 4), x(2, 4, 5)),
    case("normalize_vectors", dict(axes=1, normalize=True), x(3, 4), x(3, 4)),
    case("normalize_matrices", dict(axes=2, normalize=True), x(2, 3, 4), x(2, 5, 4)),
    case("batch_1", dict(axes=1), x(1, 1), x(1, 1)),
    case("odd", dict(axes=(1, 2)), x(2, 7, 3), x(2, 5, 7)),
    case("float64", dict(axes=1, normalize=True), x(3, 4), x(3, 4), dtype="float64"),
    case("unknown_dims", dict(axes=2), x(2, 3, 4), x(2, 5, 4), unknown=[[0, 1], [1, 1]]),
    case("rank_4_matrix", dict(axes=(3, 1)), x(2, 3, 5, 4), x(2, 4, 6)),
    case("rank_4_both", dict(axes=(3, 3)), x(2, 3, 2, 4), x(2, 2, 3, 4)),
    case("rank_4_inner", dict(axes=(2, 2)), x(2, 3, 4, 2), x(2, 2, 4, 3)),
    case("vector_rank_4", dict(axes=(1, 3)), x(2, 4), x(2, 3, 2, 4)),
    case("rank_4_vector", dict(axes=(1, 1)), x(2, 4, 3, 2), x(2, 4)),
    case("normalize_matrix_vector", dict(axes=(2, 1), normalize=True), x(2, 3, 4), x(2, 4)),
    case("normalize_negative", dict(axes=-1, normalize=True), x(2, 3, 4), x(2, 5, 4)),
    case("integers", dict(axes=1), ints(2, 4), ints(2, 4), grad=False, shapes=False),
    case("masks_stop", dict(axes=2), x(2, 3, 4), x(2, 3, 4), masks=MASKS),
    case("half", dict(axes=1), x(3, 4), x(3, 4), dtype="float16"),
    case("float64_matrices", dict(axes=(2, 1)), x(2, 3, 4), x(2, 4, 5), dtype="float64"),
    case("wide", dict(axes=(2, 2)), x(2, 17, 33), x(2, 9, 33)),
    case("legacy", dict(axes=(2, 1)), x(2, 3, 4), x(2, 4, 5), keras="2.15"),
    case("legacy_normalize", dict(axes=1, normalize=True), x(3, 4), x(3, 4), keras="2.15"),
    error("sizes_differ", dict(axes=1), x(3, 4), x(3, 5)),
    error("one_input", dict(axes=1), x(3, 4)),
    error("three_inputs", dict(axes=1), x(3, 4), x(3, 4), x(3, 4)),
    error("axis_out_of_range", dict(axes=2), x(3, 4), x(3, 4)),
    error("axis_of_the_batch", dict(axes=1), x(3, 3), x(3, 3), override={"axes": 0}),
    error("batch_sizes_differ", dict(axes=1), x(3, 4), x(2, 4)),
    error("axes_of_three", dict(axes=1), x(3, 4), x(3, 4), override={"axes": [1, 1, 1]}),
)
