"""Cases of the locally connected layers, which only Keras 2.15 has."""

import registry
from registry import case, error
from tensors import x

REG = {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.02}}
FIRST = dict(data_format="channels_first")


def add(class_name, *cases):
    for item in cases:
        item.keras = "2.15"
    registry.add(class_name, *cases)


def implementations(name, args, shape, numbers=(1, 2, 3), **options):
    return [case(f"{name}_{n}", dict(args, implementation=n), x(*shape), **options)
            for n in numbers]


add(
    "LocallyConnected1D",
    *implementations("plain", dict(filters=3, kernel_size=3), (2, 6, 2)),
    *implementations("strides_2", dict(filters=2, kernel_size=3, strides=2), (2, 7, 3)),
    *implementations("same", dict(filters=3, kernel_size=3, padding="same"), (2, 5, 2), (2, 3)),
    *implementations("same_even_strides", dict(filters=2, kernel_size=4, strides=2,
                                               padding="same"), (1, 7, 2), (2, 3)),
    *implementations("channels_first", dict(filters=3, kernel_size=2, **FIRST), (2, 3, 5)),
    *implementations("channels_first_same", dict(filters=2, kernel_size=3, padding="same",
                                                 **FIRST), (1, 2, 5), (2, 3)),
    case("no_bias_relu", dict(filters=3, kernel_size=2, use_bias=False, activation="relu"),
         x(2, 5, 3)),
    case("kernel_1", dict(filters=4, kernel_size=1), x(2, 4, 3)),
    case("kernel_covers_input", dict(filters=4, kernel_size=5), x(2, 5, 2)),
    case("strides_above_kernel", dict(filters=2, kernel_size=2, strides=3), x(2, 9, 2)),
    case("one_filter_one_channel", dict(filters=1, kernel_size=3), x(3, 6, 1)),
    case("odd_channels", dict(filters=17, kernel_size=3), x(2, 5, 9)),
    case("softmax", dict(filters=3, kernel_size=2, activation="softmax"), x(2, 4, 2)),
    case("regularizers", dict(filters=2, kernel_size=3, kernel_regularizer=REG,
                              bias_regularizer="l2", activity_regularizer="l2"), x(2, 5, 2)),
    case("float64", dict(filters=2, kernel_size=3, strides=2), x(2, 7, 3), dtype="float64"),
    case("long", dict(filters=4, kernel_size=9, strides=3), x(1, 60, 3)),
    error("rank_4", dict(filters=2, kernel_size=3), x(2, 5, 5, 2)),
    error("kernel_larger_than_input", dict(filters=2, kernel_size=5), x(2, 4, 2)),
    error("same_needs_other_implementation", dict(filters=2, kernel_size=3), x(2, 5, 2),
          override={"padding": "same"}),
    error("padding_causal", dict(filters=2, kernel_size=3, implementation=2), x(2, 5, 2),
          override={"padding": "causal"}),
    error("implementation_4", dict(filters=2, kernel_size=3), x(2, 5, 2),
          override={"implementation": 4}),
)

add(
    "LocallyConnected2D",
    *implementations("plain", dict(filters=2, kernel_size=2), (2, 4, 3, 2)),
    *implementations("strides", dict(filters=2, kernel_size=(3, 2), strides=(2, 1)),
                     (1, 5, 4, 2)),
    *implementations("same", dict(filters=2, kernel_size=3, padding="same"), (1, 3, 4, 2),
                     (2, 3)),
    *implementations("same_even_strides", dict(filters=2, kernel_size=(2, 4), strides=2,
                                               padding="same"), (1, 5, 4, 2), (2, 3)),
    *implementations("channels_first", dict(filters=3, kernel_size=2, **FIRST), (2, 2, 3, 4)),
    *implementations("channels_first_same", dict(filters=2, kernel_size=3, padding="same",
                                                 **FIRST), (1, 2, 4, 3), (2, 3)),
    case("no_bias_relu", dict(filters=3, kernel_size=2, use_bias=False, activation="relu"),
         x(2, 4, 4, 2)),
    case("kernel_1", dict(filters=3, kernel_size=1), x(2, 3, 2, 3)),
    case("kernel_covers_input", dict(filters=3, kernel_size=(3, 4)), x(2, 3, 4, 2)),
    case("strides_above_kernel", dict(filters=2, kernel_size=1, strides=2), x(1, 5, 4, 3)),
    case("one_filter_one_channel", dict(filters=1, kernel_size=3), x(2, 5, 4, 1)),
    case("odd_channels", dict(filters=9, kernel_size=2), x(1, 3, 4, 5)),
    case("sigmoid", dict(filters=2, kernel_size=2, activation="sigmoid"), x(2, 3, 3, 2)),
    case("regularizers", dict(filters=2, kernel_size=2, kernel_regularizer=REG,
                              bias_regularizer="l1", activity_regularizer="l2"), x(1, 3, 4, 2)),
    case("float64", dict(filters=2, kernel_size=3, strides=2), x(1, 7, 5, 2), dtype="float64"),
    error("rank_3", dict(filters=2, kernel_size=3), x(5, 5, 2)),
    error("kernel_larger_than_input", dict(filters=2, kernel_size=4), x(2, 3, 5, 2)),
    error("same_needs_other_implementation", dict(filters=2, kernel_size=3), x(2, 5, 4, 2),
          override={"padding": "same"}),
    error("data_format_unknown", dict(filters=2, kernel_size=3), x(2, 5, 4, 2),
          override={"data_format": "channels_middle"}),
)
