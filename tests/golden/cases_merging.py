"""Cases of the merging layers."""

from registry import add, case, error, pending
from tensors import ints, mask, x

pending("Subtract", "Multiply", "Average", "Maximum", "Minimum", "Dot")

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
    case("legacy", dict(axes=(2, 1)), x(2, 3, 4), x(2, 4, 5), keras="2.15"),
    case("legacy_normalize", dict(axes=1, normalize=True), x(3, 4), x(3, 4), keras="2.15"),
    error("sizes_differ", dict(axes=1), x(3, 4), x(3, 5)),
    error("one_input", dict(axes=1), x(3, 4)),
    error("axes_of_three", dict(axes=1), x(3, 4), x(3, 4), override={"axes": [1, 1, 1]}),
)
