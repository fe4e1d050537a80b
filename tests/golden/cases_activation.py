"""Cases of the activation layers."""

from registry import add, case, error
from tensors import ints, mask, vals, x

REG = {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.02}}
HALVES = (("float16", 4e-3), ("bfloat16", 3e-2), ("mixed_float16", 4e-3),
          ("mixed_bfloat16", 3e-2))
EXTREMES = vals([["Infinity", "-Infinity", 0.0, -0.0, 88.0, -88.0, 1e-20, "NaN", 6.0, 6.5]],
                "float32")
WIDE = dict(low=-4, high=4)


def common(name, args):
    """What every class must do, with non-default arguments."""
    add(
        name,
        *[case("policy_" + p, args, x(3, 7, **WIDE), dtype=p, rtol=r) for p, r in HALVES],
        case("float64", args, x(2, 5, **WIDE), dtype="float64"),
        case("rank_4", args, x(2, 3, 1, 5, **WIDE)),
        case("batch_1", args, x(1, 1, **WIDE)),
        case("training", args, x(2, 3, **WIDE), training=True),
        case("second_call", args, x(2, 3, **WIDE), calls=[{"inputs": [x(5, 3, **WIDE)]}]),
        case("activity_regularizer", dict(args, activity_regularizer=REG), x(3, 5, **WIDE)),
        error("unknown_key", args, x(2, 3), override={"slope_of_what": 1}),
    )


add(
    "ReLU",
    case("defaults", {}, x(3, 8, **WIDE)),
    case("max_value", dict(max_value=1.5), x(3, 8, **WIDE)),
    case("max_value_0", dict(max_value=0), x(3, 8, **WIDE)),
    case("max_value_6", dict(max_value=6), x(3, 8, low=-9, high=9)),
    case("max_value_6_slope", dict(max_value=6, negative_slope=0.1), x(3, 8, low=-9, high=9)),
    case("negative_slope", dict(negative_slope=0.25), x(3, 8, **WIDE)),
    case("negative_slope_above_1", dict(negative_slope=1.5), x(3, 8, **WIDE)),
    case("threshold", dict(threshold=1.0), x(3, 8, **WIDE)),
    case("threshold_slope", dict(threshold=1.0, negative_slope=0.5), x(3, 8, **WIDE)),
    case("threshold_max", dict(threshold=0.5, max_value=2.0), x(3, 8, **WIDE)),
    case("all", dict(threshold=0.5, max_value=2.0, negative_slope=0.125), x(3, 8, **WIDE)),
    case("max_below_threshold", dict(threshold=2.0, max_value=1.0, negative_slope=0.5),
         x(3, 8, **WIDE)),
    case("extremes", {}, EXTREMES, grad=False),
    case("extremes_max_6", dict(max_value=6), EXTREMES, grad=False),
    case("extremes_slope", dict(negative_slope=0.5), EXTREMES, grad=False),
    case("integers", dict(max_value=3), ints(2, 6, low=-5, high=6), grad=False, shapes=False),
    case("mask_passes", dict(max_value=1), x(2, 3, 4), masks=[mask(["110", "011"])]),
    case("unknown_dims", dict(threshold=0.1), x(2, 3, 4), unknown=[[0, 1], [0, 2]]),
    case("rank_1", {}, x(5, **WIDE)),
    case("large", dict(negative_slope=0.1, max_value=1), x(7, 33, 19, **WIDE)),
    case("legacy", dict(max_value=2.0, negative_slope=0.1, threshold=0.5), x(3, 8, **WIDE),
         keras="2.15"),
    case("legacy_defaults", {}, x(3, 8, **WIDE), keras="2.15"),
    error("max_value_negative", {}, x(2, 3), override={"max_value": -1.0}),
    error("negative_slope_negative", {}, x(2, 3), override={"negative_slope": -0.1}),
    error("negative_slope_none", {}, x(2, 3), override={"negative_slope": None}),
    error("threshold_negative", {}, x(2, 3), override={"threshold": -0.5}),
    error("threshold_none", {}, x(2, 3), override={"threshold": None}),
)
common("ReLU", dict(max_value=2.5, negative_slope=0.25, threshold=0.5))

add(
    "LeakyReLU",
    case("defaults", {}, x(3, 8, **WIDE)),
    case("slope_0", dict(negative_slope=0.0), x(3, 8, **WIDE)),
    case("slope_1", dict(negative_slope=1.0), x(3, 8, **WIDE)),
    case("slope_2", dict(negative_slope=2.0), x(3, 8, **WIDE)),
    case("extremes", {}, EXTREMES, grad=False),
    case("mask_passes", {}, x(2, 3, 4), masks=[mask(["110", "011"])]),
    case("unknown_dims", {}, x(2, 3, 4), unknown=[[0, 1], [0, 2]]),
    case("integers", dict(negative_slope=0.5), ints(2, 6, low=-5, high=6), grad=False,
         shapes=False),
    case("legacy", dict(alpha=0.125), x(3, 8, **WIDE), keras="2.15"),
    case("legacy_negative", dict(alpha=-0.5), x(3, 8, **WIDE), keras="2.15"),
    case("float64_slope", dict(negative_slope=0.1), x(2, 5, **WIDE), dtype="float64"),
    error("negative", {}, x(2, 3), override={"negative_slope": -0.1}),
    error("none", {}, x(2, 3), override={"negative_slope": None}),
)
common("LeakyReLU", dict(negative_slope=0.125))

add(
    "ELU",
    case("defaults", {}, x(3, 8, **WIDE)),
    case("alpha_0", dict(alpha=0.0), x(3, 8, **WIDE)),
    case("alpha_2", dict(alpha=2.0), x(3, 8, **WIDE)),
    case("alpha_negative", dict(alpha=-0.5), x(3, 8, **WIDE)),
    case("extremes", dict(alpha=0.5), EXTREMES, grad=False),
    case("mask_passes", {}, x(2, 3, 4), masks=[mask(["110", "011"])]),
    case("unknown_dims", {}, x(2, 3, 4), unknown=[[0, 1], [0, 2]]),
    case("legacy", dict(alpha=0.25), x(3, 8, **WIDE), keras="2.15"),
    error("none", {}, x(2, 3), override={"alpha": None}),
)
common("ELU", dict(alpha=0.75))

add(
    "ThresholdedReLU",
    *[case(name, args, *inputs, keras="2.15", **options) for name, args, inputs, options in (
        ("defaults", {}, [x(3, 8, **WIDE)], {}),
        ("theta_0", dict(theta=0.0), [x(3, 8, **WIDE)], {}),
        ("theta", dict(theta=0.4), [x(3, 8, **WIDE)], {}),
        ("extremes", dict(theta=0.5), [EXTREMES], dict(grad=False)),
        ("rank_4", {}, [x(2, 3, 1, 5, **WIDE)], {}),
        ("batch_1", {}, [x(1, 1, **WIDE)], {}),
        ("training", {}, [x(2, 3, **WIDE)], dict(training=True)),
        ("mask_passes", {}, [x(2, 3, 4)], dict(masks=[mask(["110", "011"])])),
        ("unknown_dims", {}, [x(2, 3, 4)], dict(unknown=[[0, 1], [0, 2]])),
        ("float64", dict(theta=0.5), [x(2, 5, **WIDE)], dict(dtype="float64")),
        ("mixed_float16", dict(theta=0.5), [x(2, 5, **WIDE)],
         dict(dtype="mixed_float16", rtol=4e-3)),
        ("mixed_bfloat16", dict(theta=0.5), [x(2, 5, **WIDE)],
         dict(dtype="mixed_bfloat16", rtol=3e-2)),
        ("activity_regularizer", dict(activity_regularizer="l2"), [x(3, 5, **WIDE)], {}),
    )],
    error("negative", {}, x(2, 3), override={"theta": -0.1}, keras="2.15"),
    error("none", {}, x(2, 3), override={"theta": None}, keras="2.15"),
)

ALPHA = {"alpha": (0.1, 0.9)}
SIGNED = {"alpha": (-0.5, 0.5)}
add(
    "PReLU",
    case("defaults", {}, x(3, 8, **WIDE), weights=ALPHA),
    case("initial", dict(alpha_initializer="ones"), x(3, 8, **WIDE), weights=SIGNED),
    case("rank_4", {}, x(2, 3, 4, 5, **WIDE), weights=SIGNED),
    case("rank_1", {}, x(5, **WIDE), weights=ALPHA),
    case("shared_1", dict(shared_axes=1), x(3, 8, **WIDE), weights=ALPHA),
    case("shared_spatial", dict(shared_axes=[1, 2]), x(2, 3, 4, 5, **WIDE), weights=SIGNED),
    case("shared_channels", dict(shared_axes=[3]), x(2, 3, 4, 5, **WIDE), weights=SIGNED),
    case("shared_all", dict(shared_axes=[1, 2, 3]), x(2, 3, 4, 5, **WIDE), weights=ALPHA),
    case("shared_none_named", dict(shared_axes=[]), x(2, 3, 4, **WIDE), weights=ALPHA),
    case("shared_0", dict(shared_axes=[0]), x(2, 3, 4, **WIDE), weights=ALPHA),
    case("shared_from_the_end", dict(shared_axes=[-1]), x(2, 3, 4, **WIDE), weights=ALPHA),
    case("shared_twice", dict(shared_axes=[1, 1]), x(2, 3, 4, **WIDE), weights=ALPHA),
    case("regularizer", dict(alpha_regularizer=REG), x(3, 5, **WIDE), weights=SIGNED),
    case("constraint", dict(alpha_constraint="non_neg", alpha_initializer="he_normal"),
         x(3, 5, **WIDE), weights=ALPHA),
    case("activity_regularizer", dict(activity_regularizer="l2", alpha_regularizer="l1"),
         x(3, 5, **WIDE), weights=ALPHA),
    case("unknown_length", dict(shared_axes=[1]), x(2, 3, 4, **WIDE), unknown=[[0, 1]],
         weights=ALPHA),
    case("mask_passes", {}, x(2, 3, 4), masks=[mask(["110", "011"])], weights=ALPHA),
    case("zeros", {}, vals([[0.0, -0.0, 1.0, -2.0]], "float32"), weights=ALPHA),
    case("extremes", {}, EXTREMES, grad=False, weights=ALPHA),
    case("size_1", {}, x(1, 1, 1, **WIDE), weights=ALPHA),
    case("training", {}, x(2, 5, **WIDE), training=True, weights=ALPHA),
    case("second_call", dict(shared_axes=[1]), x(2, 3, 4, **WIDE), weights=ALPHA,
         calls=[{"inputs": [x(1, 5, 4, **WIDE)]}]),
    case("float64", dict(shared_axes=[1]), x(2, 3, 4, **WIDE), dtype="float64", weights=SIGNED),
    *[case("policy_" + p, dict(shared_axes=[1]), x(3, 2, 7, **WIDE), dtype=p, rtol=r,
           weights=ALPHA) for p, r in HALVES],
    case("large", dict(shared_axes=[1]), x(5, 33, 19, **WIDE), weights=SIGNED),
    case("legacy", dict(alpha_regularizer="l2", shared_axes=[1]), x(2, 3, 4, **WIDE),
         weights=ALPHA, keras="2.15"),
    case("legacy_defaults", {}, x(2, 3, 4, **WIDE), weights=ALPHA, keras="2.15"),
    error("shared_axis_out_of_range", dict(shared_axes=[3]), x(2, 3, 4)),
    error("shared_axis_far_before", dict(shared_axes=[-3]), x(2, 3, 4)),
    error("other_rank", {}, x(2, 3, 4), override={"shared_axes": "1"}),
    error("initializer_unknown", {}, x(2, 3), override={"alpha_initializer": "he"}),
    error("unknown_key", {}, x(2, 3), override={"alpha": 0.5}),
)

ROWS = mask(["1101", "0110", "1111"])
add(
    "Softmax",
    case("defaults", {}, x(3, 8, **WIDE)),
    case("axis_1", dict(axis=1), x(2, 3, 4, **WIDE)),
    case("axis_0", dict(axis=0), x(2, 3, 4, **WIDE)),
    case("axis_minus_2", dict(axis=-2), x(2, 3, 4, 5, **WIDE)),
    case("axis_list_of_one", dict(axis=[1]), x(2, 3, 4, **WIDE)),
    case("axes", dict(axis=[1, 2]), x(2, 3, 4, **WIDE)),
    case("axes_from_the_end", dict(axis=[-1, -3]), x(2, 3, 4, 5, **WIDE)),
    case("axes_with_batch", dict(axis=[0, 2]), x(2, 3, 4, **WIDE)),
    case("axes_all", dict(axis=[0, 1, 2]), x(2, 3, 4, **WIDE)),
    case("axis_none", dict(axis=None), x(2, 3, 4, **WIDE)),
    case("rank_1", {}, x(5, **WIDE)),
    case("size_1", {}, x(3, 1, **WIDE)),
    case("wide", {}, x(4, 129, low=-40, high=40)),
    case("extremes", {}, vals([["-Infinity", 0.0, 1.0], [88.0, -88.0, 1000.0]], "float32"),
         grad=False),
    case("not_a_number", {}, vals([["NaN", 0.0, 1.0], [1.0, 2.0, 3.0]], "float32"), grad=False),
    case("mask", {}, x(3, 4, **WIDE), masks=[ROWS]),
    case("mask_whole_row", {}, x(3, 4, **WIDE), masks=[mask(["0000", "1111", "1000"])]),
    case("mask_of_more_axes", dict(axis=[1, 2]), x(2, 3, 4, **WIDE),
         masks=[vals([[[True, False, True, True]] * 3, [[False] * 4] * 3], "bool")]),
    case("mask_broadcasts", {}, x(2, 3, 4, **WIDE), masks=[mask(["1101", "0110", "1111"])]),
    case("mask_broadcasts_over_rows", {}, x(2, 3, 4, **WIDE), masks=[mask(["1101"])]),
    case("mask_axis_1", dict(axis=1), x(3, 4, **WIDE), masks=[ROWS]),
    case("mask_float", {}, x(3, 4, **WIDE),
         masks=[vals([[1.0, 0.4, 0.6, 0.5], [0.0, 1.0, 1.0, 2.0], [1.0, 0.0, 0.0, 1.0]],
                     "float32")]),
    case("mask_int", {}, x(3, 4, **WIDE),
         masks=[vals([[1, 0, 1, 1], [0, 1, 1, 2], [1, 0, 0, 1]], "int32")]),
    case("mask_float64", {}, x(3, 4, **WIDE), masks=[ROWS], dtype="float64"),
    *[case("policy_mask_" + p, {}, x(3, 4, **WIDE), masks=[ROWS], dtype=p, rtol=r)
      for p, r in HALVES],
    *[case("policy_axes_" + p, dict(axis=[1, 2]), x(2, 3, 4, **WIDE), dtype=p, rtol=r)
      for p, r in HALVES],
    case("unknown_dims", {}, x(2, 3, 4), unknown=[[0, 1], [0, 2]]),
    case("unknown_dims_axes", dict(axis=[1, 2]), x(2, 3, 4), unknown=[[0, 1]]),
    case("large", dict(axis=1), x(5, 33, 19, **WIDE)),
    case("legacy", dict(axis=1), x(2, 3, 4, **WIDE), keras="2.15"),
    case("legacy_mask", {}, x(3, 4, **WIDE), masks=[ROWS], keras="2.15"),
    case("legacy_mask_whole_row", {}, x(3, 4, **WIDE),
         masks=[mask(["0000", "1111", "1000"])], keras="2.15"),
    case("legacy_axes", dict(axis=[1, 2]), x(2, 3, 4, **WIDE), keras="2.15"),
    error("axis_out_of_range", {}, x(2, 3), override={"axis": 2}),
    error("axis_before_range", {}, x(2, 3), override={"axis": -3}),
    error("axes_empty", {}, x(2, 3), override={"axis": []}),
    error("axes_out_of_range", {}, x(2, 3), override={"axis": [1, 2]}),
    error("axes_twice", {}, x(2, 3), override={"axis": [1, 1]}),
    error("mask_of_other_size", {}, x(3, 4), masks=[mask(["110", "011", "111"])]),
    error("mask_of_more_rank", {}, x(3, 4), masks=[vals([[[True] * 4] * 3], "bool")]),
)
common("Softmax", dict(axis=-1))
