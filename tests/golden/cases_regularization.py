"""Cases of the layers that act as regularizers; random ones where they must be the identity."""

from registry import add, case, error
from tensors import ints, mask, x

HALVES = (("float16", 4e-3), ("bfloat16", 3e-2), ("mixed_float16", 4e-3),
          ("mixed_bfloat16", 3e-2))

add(
    "Dropout",
    case("inference", dict(rate=0.5), x(3, 4)),
    case("rate_0_training", dict(rate=0.0), x(3, 4), training=True),
    case("rank_3", dict(rate=0.3, noise_shape=(None, 1, 4)), x(2, 3, 4)),
    case("noise_shape_seed", dict(rate=0.3, noise_shape=(2, 1, 4), seed=7), x(2, 3, 4)),
    case("rank_4", dict(rate=0.9), x(2, 2, 3, 2)),
    case("mask_passes", dict(rate=0.5), x(2, 3, 4), masks=[mask(["110", "100"])]),
    case("float64", dict(rate=0.5), x(2, 3), dtype="float64"),
    case("unknown_dims", dict(rate=0.5), x(2, 3, 4), unknown=[[0, 1]]),
    case("batch_1", dict(rate=0.5), x(1, 1)),
    case("legacy", dict(rate=0.5), x(2, 3), keras="2.15"),
    case("rate_1_inference", dict(rate=1.0), x(2, 3)),
    case("rate_1_training", dict(rate=1.0), x(2, 3), training=True),
    case("integers", dict(rate=0.5), ints(2, 3), grad=False, shapes=False),
    *[case("policy_" + p, dict(rate=0.5, seed=1), x(3, 4), dtype=p, rtol=r) for p, r in HALVES],
    case("legacy_noise_shape", dict(rate=0.25, noise_shape=(2, 1), seed=5), x(2, 3),
         keras="2.15"),
    error("rate_above_1", dict(rate=0.5), x(2, 3), override={"rate": 1.5}),
    error("rate_negative", dict(rate=0.5), x(2, 3), override={"rate": -0.1}),
    error("rate_none", dict(rate=0.5), x(2, 3), override={"rate": None}),
    error("noise_shape_negative", dict(rate=0.5), x(2, 3), override={"noise_shape": [2, -1]}),
    error("noise_shape_0", dict(rate=0.5), x(2, 3), override={"noise_shape": [2, 0]}),
    error("noise_shape_text", dict(rate=0.5), x(2, 3), override={"noise_shape": "ab"}),
    error("noise_shape_fraction", dict(rate=0.5), x(2, 3), override={"noise_shape": [2, 1.5]}),
    error("noise_shape_of_other_size", dict(rate=0.5, noise_shape=(2, 2)), x(2, 3),
          training=True),
    error("integers_training", dict(rate=0.5), ints(2, 3), training=True),
)

for name, shape, bad in (("SpatialDropout1D", (2, 3, 4), (2, 3)),
                         ("SpatialDropout2D", (2, 2, 3, 4), (2, 3, 4)),
                         ("SpatialDropout3D", (2, 2, 1, 3, 2), (2, 3, 4, 2))):
    add(
        name,
        case("inference", dict(rate=0.5), x(*shape)),
        case("rate_0_training", dict(rate=0.0), x(*shape), training=True),
        case("seed", dict(rate=0.25, seed=3), x(*shape)),
        case("mask_passes", dict(rate=0.5), x(*shape),
             masks=[mask(["1" * shape[1], "0" * shape[1]])]),
        case("float64", dict(rate=0.5), x(*shape), dtype="float64"),
        case("unknown_dims", dict(rate=0.5), x(*shape), unknown=[[0, 1]]),
        case("batch_1", dict(rate=0.5), x(1, *shape[1:])),
        case("legacy", dict(rate=0.5), x(*shape), keras="2.15"),
        error("wrong_rank", dict(rate=0.5), x(*bad)),
        case("rate_1_training", dict(rate=1.0), x(*shape), training=True),
        case("second_call", dict(rate=0.5), x(*shape),
             calls=[{"inputs": [x(3, *[n + 1 for n in shape[1:]])]}]),
        *[case("policy_" + p, dict(rate=0.5), x(*shape), dtype=p) for p, _ in HALVES],
        case("legacy_seed", dict(rate=0.5, seed=3), x(*shape), keras="2.15"),
        error("rate_above_1", dict(rate=0.5), x(*shape), override={"rate": 1.5}),
        error("rate_negative", dict(rate=0.5), x(*shape), override={"rate": -0.5}),
        error("unknown_key", dict(rate=0.5), x(*shape), override={"ratio": 1}),
    )
for name in ("SpatialDropout2D", "SpatialDropout3D"):
    add(name, case("channels_first", dict(rate=0.5, data_format="channels_first"),
                   x(2, 2, 3, 4) if name == "SpatialDropout2D" else x(1, 2, 2, 3, 2)),
        case("channels_first_rate_1", dict(rate=1.0, data_format="channels_first"),
             x(2, 2, 3, 4) if name == "SpatialDropout2D" else x(1, 2, 2, 3, 2), training=True),
        error("data_format_unknown", dict(rate=0.5),
              x(2, 2, 3, 4) if name == "SpatialDropout2D" else x(1, 2, 2, 3, 2),
              override={"data_format": "channels_middle"}))

for name, key in (("GaussianDropout", "rate"), ("AlphaDropout", "rate"),
                  ("GaussianNoise", "stddev")):
    add(
        name,
        case("inference", {key: 0.5}, x(3, 4)),
        case("zero_training", {key: 0.0}, x(3, 4), training=True),
        case("rank_4", {key: 0.25}, x(2, 2, 3, 2)),
        case("seed", {key: 0.25, "seed": 11}, x(2, 3)),
        case("mask_passes", {key: 0.5}, x(2, 3, 4), masks=[mask(["110", "100"])]),
        case("float64", {key: 0.5}, x(2, 3), dtype="float64"),
        case("unknown_dims", {key: 0.5}, x(2, 3, 4), unknown=[[0, 1]]),
        case("batch_1", {key: 0.5}, x(1, 1)),
        case("legacy", {key: 0.5}, x(2, 3), keras="2.15"),
        case("one_inference", {key: 1.0}, x(2, 3)),
        case("integers", {key: 0.5}, ints(2, 3), grad=False, shapes=False),
        case("activity_regularizer", {key: 0.5, "activity_regularizer": "l1"}, x(2, 3)),
        case("legacy_zero_training", {key: 0.0}, x(2, 3), training=True, keras="2.15"),
        *[case("policy_" + p, {key: 0.5, "seed": 2}, x(3, 4), dtype=p, rtol=r)
          for p, r in HALVES],
        error("integers_training", {key: 0.5}, ints(2, 3), training=True),
        error("none", {key: 0.5}, x(2, 3), override={key: None}),
        error("negative", {key: 0.5}, x(2, 3), override={key: -0.1}),
        error("above_1", {key: 0.5}, x(2, 3), override={key: 1.5}),
    )

add(
    "AlphaDropout",
    case("noise_shape", dict(rate=0.5, noise_shape=(None, 1, 4)), x(2, 3, 4)),
    case("legacy_one_training", dict(rate=1.0), x(2, 3), training=True, keras="2.15"),
    error("one_training", dict(rate=1.0), x(2, 3), training=True),
    error("noise_shape_of_other_size", dict(rate=0.5, noise_shape=(2, 2)), x(2, 3),
          training=True),
)
add(
    "GaussianDropout",
    case("legacy_one_training", dict(rate=1.0), x(2, 3), training=True, keras="2.15"),
    error("one_training", dict(rate=1.0), x(2, 3), training=True),
)
add(
    "GaussianNoise",
    case("legacy_above_1", dict(stddev=2.5), x(2, 3), keras="2.15"),
)

add(
    "ActivityRegularization",
    case("nothing", {}, x(3, 4)),
    case("l1", dict(l1=0.1), x(3, 4)),
    case("l2", dict(l2=0.2), x(3, 4)),
    case("l1_l2", dict(l1=0.1, l2=0.2), x(2, 3, 4)),
    case("batch_1", dict(l1=0.5), x(1, 1)),
    case("training", dict(l2=0.5), x(2, 5), training=True),
    case("mask_passes", dict(l2=0.5), x(2, 3, 4), masks=[mask(["110", "100"])]),
    case("float64", dict(l1=0.1, l2=0.2), x(3, 4), dtype="float64"),
    case("unknown_dims", dict(l1=0.1), x(2, 3, 4), unknown=[[0, 1]]),
    case("legacy", dict(l1=0.1, l2=0.2), x(3, 4), keras="2.15"),
    case("second_call", dict(l1=0.1), x(3, 4), calls=[{"inputs": [x(1, 2, 2)]}]),
    case("rank_1", dict(l1=0.1), x(5)),
    *[case("policy_" + p, dict(l1=0.1, l2=0.2), x(3, 4), dtype=p, rtol=r) for p, r in HALVES],
    error("l1_negative", {}, x(2, 3), override={"l1": -0.1}),
    error("l2_negative", {}, x(2, 3), override={"l2": -0.1}),
    error("activity_regularizer", {}, x(2, 3), override={"activity_regularizer": "l2"}),
    error("unknown_key", {}, x(2, 3), override={"l3": 0.1}),
)

add(
    "Identity",
    case("rank_2", {}, x(2, 3)),
    case("rank_1", {}, x(5)),
    case("rank_5", {}, x(1, 2, 1, 3, 2)),
    case("training", {}, x(2, 3), training=True),
    case("mask_passes", {}, x(2, 3, 4), masks=[mask(["110", "100"])]),
    case("float64", {}, x(2, 3), dtype="float64"),
    case("unknown_dims", {}, x(2, 3, 4), unknown=[[0, 1], [0, 2]]),
    case("second_call", {}, x(2, 3), calls=[{"inputs": [x(4, 1, 2)]}]),
    case("legacy", {}, x(2, 3), keras="2.15"),
)
