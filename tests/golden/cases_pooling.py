"""Cases of the pooling layers."""

from registry import add, case, error
from tensors import mask, x

FIRST = dict(data_format="channels_first")


def pools_2d():
    return [
        case("defaults", {}, x(2, 4, 6, 2)),
        case("odd_sizes", {}, x(2, 5, 7, 3)),
        case("same", dict(padding="same"), x(2, 5, 7, 2)),
        case("pool_3", dict(pool_size=3), x(2, 7, 6, 2)),
        case("pool_3_strides_1", dict(pool_size=3, strides=1), x(1, 5, 6, 2)),
        case("pool_3_strides_1_same", dict(pool_size=3, strides=1, padding="same"),
             x(1, 4, 5, 2)),
        case("pool_3_strides_2", dict(pool_size=3, strides=2), x(2, 7, 8, 2)),
        case("pool_3_strides_2_same", dict(pool_size=3, strides=2, padding="same"),
             x(2, 7, 8, 2)),
        case("pool_2x3", dict(pool_size=(2, 3)), x(1, 5, 7, 2)),
        case("strides_2x1", dict(pool_size=2, strides=(2, 1)), x(1, 5, 4, 3)),
        case("strides_above_pool", dict(pool_size=2, strides=3), x(1, 8, 7, 2)),
        case("strides_above_pool_same", dict(pool_size=2, strides=3, padding="same"),
             x(1, 8, 7, 2)),
        case("pool_1", dict(pool_size=1), x(2, 3, 4, 2)),
        case("pool_covers_input", dict(pool_size=(3, 4)), x(2, 3, 4, 2)),
        case("pool_larger_same", dict(pool_size=4, padding="same"), x(1, 3, 2, 2)),
        case("one_pixel_same", dict(padding="same"), x(1, 1, 1, 3)),
        case("one_channel", {}, x(2, 6, 6, 1)),
        case("odd_channels", dict(pool_size=3, strides=2), x(1, 5, 5, 19)),
        case("many_channels", {}, x(2, 8, 8, 64)),
        case("negative_values_same", dict(pool_size=3, strides=2, padding="same"),
             x(1, 4, 4, 2, low=-3, high=-1)),
        case("float64", dict(pool_size=3, strides=2, padding="same"), x(1, 5, 6, 2),
             dtype="float64"),
        case("unknown_dims", {}, x(2, 5, 6, 2), unknown=[[0, 1], [0, 2]]),
        case("unknown_dims_same", dict(pool_size=3, strides=2, padding="same"), x(2, 5, 6, 2),
             unknown=[[0, 1], [0, 2]]),
        case("channels_first", dict(**FIRST), x(2, 3, 4, 6), last=True),
        case("channels_first_same", dict(pool_size=3, strides=2, padding="same", **FIRST),
             x(1, 2, 5, 6), last=True),
        case("legacy", dict(pool_size=3, strides=2, padding="same"), x(1, 5, 6, 2),
             keras="2.15"),
        error("rank_3", {}, x(4, 4, 2)),
        error("padding_unknown", {}, x(1, 3, 3, 2), override={"padding": "causal"}),
        error("pool_size_zero", {}, x(1, 3, 3, 2), override={"pool_size": [0, 2]}),
        error("strides_zero", {}, x(1, 3, 3, 2), override={"strides": [0, 2]}),
    ]


def pools_1d():
    return [
        case("defaults", {}, x(2, 6, 3)),
        case("odd_size", {}, x(2, 7, 3)),
        case("same", dict(padding="same"), x(2, 7, 3)),
        case("pool_3", dict(pool_size=3), x(2, 8, 2)),
        case("pool_3_strides_1", dict(pool_size=3, strides=1), x(2, 6, 2)),
        case("pool_3_strides_1_same", dict(pool_size=3, strides=1, padding="same"), x(2, 6, 2)),
        case("pool_3_strides_2", dict(pool_size=3, strides=2), x(2, 8, 2)),
        case("pool_3_strides_2_same", dict(pool_size=3, strides=2, padding="same"), x(2, 8, 2)),
        case("strides_above_pool", dict(pool_size=2, strides=3), x(1, 9, 2)),
        case("strides_above_pool_same", dict(pool_size=2, strides=3, padding="same"),
             x(1, 9, 2)),
        case("pool_1", dict(pool_size=1), x(2, 4, 2)),
        case("pool_covers_input", dict(pool_size=5), x(2, 5, 3)),
        case("pool_larger_same", dict(pool_size=5, padding="same"), x(1, 3, 2)),
        case("one_step_same", dict(padding="same"), x(1, 1, 3)),
        case("one_channel", {}, x(2, 6, 1)),
        case("odd_channels", dict(pool_size=3, strides=2), x(1, 7, 19)),
        case("negative_values_same", dict(pool_size=3, strides=2, padding="same"),
             x(1, 6, 2, low=-3, high=-1)),
        case("float64", dict(pool_size=3, strides=2, padding="same"), x(1, 6, 2),
             dtype="float64"),
        case("unknown_steps", {}, x(2, 7, 2), unknown=[[0, 1]]),
        case("channels_first", dict(**FIRST), x(2, 3, 6), last=True),
        case("channels_first_same", dict(pool_size=3, strides=2, padding="same", **FIRST),
             x(2, 3, 6), last=True),
        case("legacy", dict(pool_size=3, padding="same"), x(2, 7, 2), keras="2.15"),
        error("rank_4", {}, x(2, 4, 4, 2)),
    ]


def pools_3d():
    return [
        case("defaults", {}, x(1, 2, 4, 4, 2)),
        case("odd_sizes", {}, x(1, 3, 5, 4, 2)),
        case("same", dict(padding="same"), x(1, 3, 2, 3, 2)),
        case("pool_3_strides_1", dict(pool_size=3, strides=1), x(1, 3, 4, 5, 2)),
        case("pool_3_strides_2", dict(pool_size=3, strides=2), x(1, 5, 5, 4, 2)),
        case("pool_3_strides_2_same", dict(pool_size=3, strides=2, padding="same"),
             x(1, 4, 5, 3, 2)),
        case("pool_mixed", dict(pool_size=(1, 2, 3)), x(1, 2, 4, 5, 2)),
        case("strides_mixed_same", dict(pool_size=2, strides=(1, 2, 3), padding="same"),
             x(1, 2, 3, 5, 2)),
        case("pool_1", dict(pool_size=1), x(2, 2, 1, 2, 2)),
        case("strides_above_pool", dict(pool_size=1, strides=2), x(1, 3, 4, 3, 2)),
        case("pool_covers_input", dict(pool_size=(2, 3, 2)), x(2, 2, 3, 2, 3)),
        case("pool_larger_same", dict(pool_size=4, padding="same"), x(1, 2, 3, 2, 2)),
        case("one_voxel_same", dict(padding="same"), x(1, 1, 1, 1, 3)),
        case("one_channel", {}, x(2, 2, 4, 2, 1)),
        case("odd_channels", dict(pool_size=2, strides=1), x(1, 2, 3, 2, 9)),
        case("negative_values_same", dict(pool_size=3, strides=2, padding="same"),
             x(1, 2, 3, 2, 2, low=-3, high=-1)),
        case("float64", dict(pool_size=2, padding="same"), x(1, 3, 3, 2, 2), dtype="float64"),
        case("unknown_dims", {}, x(1, 3, 4, 5, 2), unknown=[[0, 1], [0, 2], [0, 3]]),
        case("channels_first", dict(**FIRST), x(1, 3, 2, 4, 4), last=True),
        case("channels_first_same", dict(pool_size=3, strides=2, padding="same", **FIRST),
             x(1, 2, 3, 4, 3), last=True),
        case("legacy", dict(padding="same"), x(1, 3, 2, 3, 2), keras="2.15"),
        error("rank_4", {}, x(4, 4, 4, 2)),
    ]


def global_pools(rank, average):
    sizes = [5, 3, 2][:rank]
    shape = (2, *sizes, 3)
    cases = [
        case("defaults", {}, x(*shape)),
        case("keepdims", dict(keepdims=True), x(*shape)),
        case("channels_first", dict(**FIRST), x(2, 3, *sizes)),
        case("channels_first_keepdims", dict(keepdims=True, **FIRST), x(2, 3, *sizes)),
        case("ones", {}, x(1, *[1] * rank, 1)),
        case("batch_1", {}, x(1, *sizes, 2)),
        case("one_channel", {}, x(3, *sizes, 1)),
        case("odd_channels", {}, x(1, *sizes, 17)),
        case("negative_values", {}, x(*shape, low=-2, high=-1)),
        case("float64", {}, x(*shape), dtype="float64"),
        case("unknown_dims", {}, x(*shape), unknown=[[0, i + 1] for i in range(rank)]),
        case("keepdims_unknown", dict(keepdims=True), x(*shape), unknown=[[0, 1]]),
        case("training", {}, x(*shape), training=True),
        case("many", {}, x(2, *[11, 7, 3][:rank], 40), grad=False),
        case("legacy", dict(keepdims=True), x(*shape), keras="2.15"),
        error("wrong_rank", {}, x(2, *sizes)),
        error("data_format_unknown", {}, x(*shape), override={"data_format": "first"}),
    ]
    if rank == 1 and average:
        cases += [
            case("mask", {}, x(2, 5, 3), masks=[mask(["11100", "10110"])]),
            case("mask_keepdims", dict(keepdims=True), x(2, 5, 3),
                 masks=[mask(["11100", "00011"])]),
            case("mask_one_step", {}, x(2, 3, 2), masks=[mask(["010", "100"])]),
            case("mask_float64", {}, x(2, 4, 2), masks=[mask(["0111", "1010"])],
                 dtype="float64"),
            case("mask_channels_first", dict(**FIRST), x(2, 3, 5),
                 masks=[mask(["11100", "10110"])]),
            case("legacy_mask", {}, x(2, 5, 3), masks=[mask(["11100", "10110"])],
                 keras="2.15"),
        ]
    return cases


def adaptive_pools(rank):
    sizes = [7, 5, 4][:rank]
    full = (2, *sizes, 2)
    target = [3, 2, 3][:rank]
    uneven = (1, *[5, 6, 3][:rank], 3)
    small = 2 if rank > 1 else 3

    def size(value):
        return dict(output_size=tuple(value) if rank > 1 else value[0])

    cases = [
        case("uneven", size(target), x(*full)),
        case("one", dict(output_size=1), x(*full), grad=False),
        case("same_size", size(sizes), x(1, *sizes, 2)),
        case("number", dict(output_size=small), x(*uneven)),
        case("even", dict(output_size=2), x(1, *[4] * rank, 2)),
        case("larger_than_input", size([4, 3, 5][:rank]), x(1, *[3, 2, 3][:rank], 2)),
        case("batch_1_one_channel", dict(output_size=2), x(1, *sizes, 1)),
        case("odd_channels", size(target), x(1, *sizes, 11)),
        case("channels_first", size(target) | FIRST, x(1, 2, *sizes)),
        case("negative_values", size(target), x(1, *sizes, 2, low=-2, high=-1)),
        case("training", dict(output_size=2), x(1, *sizes, 2), training=True),
        case("ones", dict(output_size=1), x(1, *[1] * rank, 1)),
        case("one_place_spread", dict(output_size=3), x(2, *[1] * rank, 2), grad=False),
        case("one_less", size([n - 1 for n in sizes]), x(1, *sizes, 2)),
        case("prime_sizes", size([5, 3, 2][:rank]), x(1, *[11, 7, 5][:rank], 2), grad=False),
        case("many_channels", size(target), x(1, *sizes, 40), grad=False),
        case("channels_first_larger", size([4, 3, 5][:rank]) | FIRST,
             x(1, 2, *[3, 2, 3][:rank])),
        case("second_call_other_size", dict(output_size=2), x(1, *sizes, 2),
             calls=[{"inputs": [x(2, *[n + 1 for n in sizes], 2)]}], grad=False),
        case("mixed_bfloat16", dict(output_size=2), x(1, *sizes, 2), dtype="mixed_bfloat16",
             grad=False),
        error("data_format_unknown", dict(output_size=2), x(*full),
              override={"data_format": "first"}),
        error("output_size_zero", dict(output_size=2), x(*full),
              override={"output_size": [0] * rank}),
    ]
    if rank < 3:
        cases += [
            case("float64", size(target), x(1, *sizes, 2), dtype="float64"),
            case("channels_first_float64", size(target) | FIRST, x(1, 3, *sizes),
                 dtype="float64"),
        ]
    return cases


def with_pool_size(cases):
    """The cases with the pool size written out, which the averaging classes of Keras 3 need."""
    for item in cases:
        item.args.setdefault("pool_size", 2)
    return cases


for kind in ("Max", "Average"):
    add(kind + "Pooling1D", *with_pool_size(pools_1d()))
    add(kind + "Pooling2D", *with_pool_size(pools_2d()))
    add(kind + "Pooling3D", *with_pool_size(pools_3d()))
    for rank in (1, 2, 3):
        add(f"Global{kind}Pooling{rank}D", *global_pools(rank, kind == "Average"))
        add(f"Adaptive{kind}Pooling{rank}D", *adaptive_pools(rank))
