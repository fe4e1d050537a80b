"""Cases of the layers on images. Factors whose two ends are equal make random layers exact."""

from registry import Sub, add, case, error
from tensors import ints, x

FIRST = dict(data_format="channels_first")


def img(*shape, **options):
    """Pixels from 0 to 255."""
    return x(*shape, low=0, high=255, **options)


def train(name, args, *inputs, **options):
    options.setdefault("grad", False)
    return case(name, args, *inputs, training=True, **options)


def byte(*shape):
    return ints(*shape, low=0, high=256, dtype="uint8")


GEOMETRIC = {
    "RandomTranslation": (dict(height_factor=(0.2, 0.2), width_factor=(-0.37, -0.37)),
                          dict(height_factor=(-0.5, -0.5), width_factor=(0.61, 0.61)),
                          dict(height_factor=0.3, width_factor=(-0.2, 0.4))),
    "RandomRotation": (dict(factor=(0.1, 0.1)), dict(factor=(-0.31, -0.31)), dict(factor=0.2)),
    "RandomZoom": (dict(height_factor=(0.4, 0.4), width_factor=(-0.3, -0.3)),
                   dict(height_factor=(-0.55, -0.55)), dict(height_factor=(-0.2, 0.3))),
    "RandomShear": (dict(x_factor=(0.0, 0.0), y_factor=(0.0, 0.0)), dict(),
                    dict(x_factor=(0.1, 0.2), y_factor=(0.1, 0.3))),
}
for name, (one, two, drawn) in GEOMETRIC.items():
    add(
        name,
        train("one", one, img(2, 7, 6, 3)),
        train("two", two, img(2, 6, 9, 3)),
        *[train(f"{mode}_bilinear", dict(one, fill_mode=mode, fill_value=3.5), img(1, 7, 5, 3))
          for mode in ("reflect", "wrap", "constant", "nearest")],
        *[train(f"{mode}_nearest", dict(two, fill_mode=mode, fill_value=7.0,
                                        interpolation="nearest"), img(1, 6, 8, 3))
          for mode in ("reflect", "wrap", "constant", "nearest")],
        train("one_channel", one, img(2, 9, 11, 1)),
        train("four_channels", two, img(1, 5, 6, 4)),
        train("five_channels", one, img(1, 5, 6, 5)),
        train("nine_channels", one, img(1, 5, 6, 9)),
        train("channels_first", dict(one, **FIRST), img(2, 3, 7, 6)),
        train("channels_first_constant", dict(two, fill_mode="constant", fill_value=1.0, **FIRST),
              img(1, 2, 6, 7)),
        train("unbatched", two, img(7, 6, 3)),
        train("one_pixel", one, img(2, 1, 1, 3)),
        train("one_row", one, img(1, 1, 8, 2)),
        train("one_column", two, img(1, 8, 1, 3)),
        train("wide", one, img(1, 5, 150, 3)),
        train("uint8", one, byte(2, 7, 6, 3)),
        train("uint8_nearest", dict(two, interpolation="nearest"), byte(1, 6, 5, 3)),
        train("float64", one, img(1, 6, 7, 3), dtype="float64", rtol=1e-6),
        train("unit_range", two, x(1, 6, 7, 3, low=0, high=1)),
        case("inference", drawn, img(2, 5, 6, 3)),
        case("inference_uint8", drawn, byte(2, 5, 6, 3)),
        case("seeded_inference", dict(drawn, seed=5, fill_mode="wrap", fill_value=2.0),
             img(2, 5, 6, 3), unknown=[[0, 1], [0, 2]]),
        error("rank_2", one, img(4, 4)),
        error("rank_5", one, img(1, 4, 4, 3, 1)),
        error("fill_mode", one, img(1, 4, 4, 3), override={"fill_mode": "mirror"}),
        error("interpolation", one, img(1, 4, 4, 3), override={"interpolation": "bicubic"}),
    )
add("RandomTranslation",
    train("far", dict(height_factor=(1.0, 1.0), width_factor=(-1.0, -1.0), fill_mode="wrap"),
          img(1, 5, 6, 3)),
    train("whole_pixels", dict(height_factor=(0.5, 0.5), width_factor=(-0.25, -0.25),
                               fill_mode="constant", interpolation="nearest"), img(1, 8, 8, 3)),
    train("half_pixels", dict(height_factor=(0.1875, 0.1875), width_factor=(-0.0625, -0.0625),
                              interpolation="nearest"), img(1, 8, 8, 3)),
    error("factor_above", GEOMETRIC["RandomTranslation"][0], img(1, 4, 4, 3),
          override={"height_factor": 1.5}),
    error("factor_three", GEOMETRIC["RandomTranslation"][0], img(1, 4, 4, 3),
          override={"width_factor": [0.1, 0.2, 0.3]}))
add("RandomRotation",
    train("quarter", dict(factor=(0.25, 0.25), interpolation="nearest"), img(1, 8, 8, 3)),
    train("half", dict(factor=(0.5, 0.5), fill_mode="constant"), img(1, 7, 7, 3)),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5}))
add("RandomZoom",
    train("out", dict(height_factor=(1.0, 1.0), fill_mode="wrap"), img(1, 9, 8, 3)),
    train("in", dict(height_factor=(-0.9, -0.9), width_factor=(0.5, 0.5)), img(1, 9, 8, 3)),
    error("factor_low", dict(height_factor=0.1), img(1, 4, 4, 3), override={"height_factor": -1.0}),
    error("factor_above", dict(height_factor=0.1), img(1, 4, 4, 3),
          override={"width_factor": 1.01}))
add("RandomShear",
    error("factor_above", dict(x_factor=0.1), img(1, 4, 4, 3), override={"x_factor": 1.5}),
    error("factor_negative", dict(x_factor=0.1), img(1, 4, 4, 3), override={"y_factor": -0.5}))

add(
    "RandomFlip",
    case("inference", {}, img(2, 4, 5, 3)),
    case("inference_uint8", dict(mode="vertical"), byte(2, 4, 5, 3)),
    case("inference_unbatched", dict(mode="horizontal", seed=3), img(4, 5, 3)),
    case("inference_unknown", {}, img(2, 4, 5, 3), unknown=[[0, 1], [0, 2]]),
    case("inference_float64", {}, img(2, 4, 5, 3), dtype="float64"),
    train("one_pixel", {}, img(3, 1, 1, 3)),
    train("one_row_vertical", dict(mode="vertical"), img(3, 1, 4, 3)),
    train("one_column_horizontal", dict(mode="horizontal"), img(3, 4, 1, 3)),
    train("channels_first_one_pixel", dict(**FIRST), img(2, 3, 1, 1)),
    error("rank_2", {}, img(4, 4)),
)

add(
    "RandomPerspective",
    train("nothing", dict(scale=0.0, factor=(1.0, 1.0)), img(2, 6, 7, 3)),
    train("nothing_nearest", dict(scale=0.0, interpolation="nearest"), img(2, 6, 7, 3)),
    train("never", dict(factor=0.0), img(2, 6, 7, 3)),
    train("never_unbatched", dict(factor=0.0), img(6, 7, 3)),
    train("channels_first", dict(scale=0.0, **FIRST), img(2, 3, 6, 7)),
    train("uint8", dict(scale=0.0), byte(1, 5, 4, 3)),
    case("inference", {}, img(2, 5, 6, 3)),
    case("inference_seed", dict(factor=0.5, scale=0.3, fill_value=2.0, seed=4), img(2, 5, 6, 3)),
    error("scale", {}, img(1, 4, 4, 3), override={"scale": 1.5}),
    error("interpolation", {}, img(1, 4, 4, 3), override={"interpolation": "bicubic"}),
    error("factor", {}, img(1, 4, 4, 3), override={"factor": 2.0}),
)

UNIT = dict(value_range=(0, 1))


def unit(*shape, **options):
    return x(*shape, low=0, high=1, **options)


def rgb(name, args, others=(), train_uint8=True, range_key=True, float64=True,
        one_pixel=True):
    """What every layer of colours is asked; `args` make its draws exact."""
    add(
        name,
        train("one", args, img(2, 5, 6, 3)),
        train("channels_first", dict(args, **FIRST), img(2, 3, 5, 6)),
        train("unbatched", args, img(5, 6, 3)),
        *([train("one_pixel", args, img(2, 1, 1, 3))] if one_pixel else []),
        case("inference", args, img(2, 4, 5, 3), grad=False),
        case("inference_uint8", args, byte(2, 4, 5, 3), grad=False),
        case("unknown_dims", args, img(2, 4, 5, 3), unknown=[[0, 1], [0, 2]], grad=False),
        error("rank_2", args, img(4, 4)),
        error("rank_2_training", args, img(4, 4), training=True),
        *others,
    )
    if range_key:
        add(name, train("unit_range", dict(args, **UNIT), unit(2, 5, 6, 3)))
    if train_uint8:
        add(name, train("uint8", args, byte(2, 5, 6, 3)))
    if float64:
        add(name, train("float64", args, img(1, 4, 5, 3), dtype="float64", rtol=1e-6))


rgb("RandomContrast", dict(factor=(-0.5, 0.5)), train_uint8=False, others=[
    train("twice", dict(factor=(-1.0, 1.0)), img(2, 5, 6, 3)),
    train("nothing", dict(factor=(0.0, 0.0)), img(2, 5, 6, 3)),
    train("four_channels", dict(factor=(-0.7, 0.7)), img(2, 5, 6, 4)),
    case("seed", dict(factor=0.3, seed=7), img(1, 4, 4, 3), grad=False),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5})])
rgb("RandomBrightness", dict(factor=(0.25, 0.25)), others=[
    train("darker", dict(factor=(-0.3, -0.3)), img(2, 5, 6, 3)),
    train("darker_uint8", dict(factor=(-0.3, -0.3)), byte(2, 5, 6, 3)),
    train("range_turned", dict(factor=(0.2, 0.2), value_range=(1, 0)), unit(1, 4, 4, 3)),
    train("one_channel", dict(factor=(1.0, 1.0)), img(2, 5, 6, 1)),
    case("seed", dict(factor=0.3, seed=7), img(1, 4, 4, 3), grad=False),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5}),
    error("range_of_3", dict(factor=0.1), img(1, 4, 4, 3), override={"value_range": [0, 1, 2]})])
rgb("RandomErasing", dict(factor=(1.0, 1.0), scale=(1.0, 1.0), fill_value=7.0), others=[
    train("never", dict(factor=0.0), img(2, 5, 6, 3)),
    train("nothing", dict(scale=(0.0, 0.0), fill_value=3.0), img(2, 5, 6, 3)),
    train("three_values", dict(factor=(1.0, 1.0), scale=(1.0, 1.0), fill_value=(1.0, 300.0, 9.0)),
          img(2, 5, 6, 3)),
    case("defaults", {}, img(1, 4, 4, 3), grad=False),
    error("scale_above", dict(), img(1, 4, 4, 3), override={"scale": 1.5}),
    error("factor_above", dict(), img(1, 4, 4, 3), override={"factor": -0.5})])
rgb("RandomHue", dict(factor=(0.0, 0.0)), others=[
    train("half", dict(factor=(1.0, 1.0)), img(2, 5, 6, 3)),
    train("half_unit", dict(factor=(1.0, 1.0), **UNIT), unit(2, 5, 6, 3)),
    train("gray", dict(factor=(1.0, 1.0)), ints(1, 2, 3, 3, low=9, high=10, dtype="float32")),
    case("seed", dict(factor=0.3, seed=7), img(1, 4, 4, 3), grad=False),
    error("one_channel", dict(factor=0.1), img(1, 4, 4, 1), training=True),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5})],
    float64=False)
rgb("RandomSaturation", dict(factor=(0.3, 0.3)), train_uint8=False, others=[
    train("more", dict(factor=(0.7, 0.7)), unit(2, 5, 6, 3)),
    train("more_unit", dict(factor=(0.7, 0.7), **UNIT), unit(2, 5, 6, 3)),
    train("none", dict(factor=(0.0, 0.0)), img(2, 5, 6, 3)),
    train("same", dict(factor=(0.5, 0.5)), img(2, 5, 6, 3)),
    case("seed", dict(factor=0.3, seed=7), img(1, 4, 4, 3), grad=False),
    error("one_channel", dict(factor=0.1), img(1, 4, 4, 1), training=True),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5})])
rgb("RandomSharpness", dict(factor=(0.8, 0.8)), others=[
    train("smooth", dict(factor=(0.1, 0.1)), img(2, 5, 6, 3)),
    train("two_channels", dict(factor=(0.0, 0.0)), img(1, 5, 6, 2)),
    case("seed", dict(factor=0.3, seed=7), img(1, 4, 4, 3), grad=False),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5})])
rgb("RandomGrayscale", dict(factor=1.0), range_key=False, others=[
    train("never", dict(factor=0.0), img(2, 5, 6, 3)),
    train("one_channel", dict(factor=1.0), img(2, 5, 6, 1)),
    error("two_channels", dict(factor=1.0), img(2, 5, 6, 2), training=True),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5})])
rgb("RandomInvert", dict(factor=(1.0, 1.0)), others=[
    train("never", dict(factor=0.0), img(2, 5, 6, 3)),
    case("seed", dict(factor=0.3, seed=7), img(1, 4, 4, 3), grad=False),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5})])
rgb("RandomPosterization", dict(factor=(3, 3)), others=[
    train("one_bit", dict(factor=1), img(2, 5, 6, 3)),
    train("eight", dict(factor=(8, 8)), img(2, 5, 6, 3)),
    train("seven_of_eight", dict(factor=(7, 8)), img(2, 5, 6, 3)),
    case("seed", dict(factor=(2, 5), seed=7), img(1, 4, 4, 3), grad=False),
    error("factor_above", dict(factor=3), img(1, 4, 4, 3), override={"factor": 9}),
    error("factor_0", dict(factor=3), img(1, 4, 4, 3), override={"factor": 0})])
rgb("RandomColorDegeneration", dict(factor=(0.4, 0.4)), others=[
    train("gray", dict(factor=(1.0, 1.0)), img(2, 5, 6, 3)),
    train("negative", dict(factor=(-0.5, -0.5)), img(2, 5, 6, 3)),
    train("one_channel", dict(factor=(0.5, 0.5)), img(2, 5, 6, 1)),
    error("two_channels", dict(factor=0.5), img(2, 5, 6, 2), training=True),
    case("seed", dict(factor=0.3, seed=7), img(1, 4, 4, 3), grad=False),
    error("factor_above", dict(factor=0.1), img(1, 4, 4, 3), override={"factor": 1.5})])
rgb("RandomGaussianBlur", dict(factor=(1.0, 1.0), sigma=(0.8, 0.8)), others=[
    train("uneven", dict(factor=(1.0, 1.0), sigma=(0.9, 0.9), kernel_size=(3, 7)),
          img(2, 9, 8, 3)),
    train("large", dict(factor=(1.0, 1.0), sigma=(1.0, 1.0), kernel_size=9), img(1, 5, 6, 3)),
    train("sharp", dict(factor=(1.0, 1.0), sigma=(0.0, 0.0)), img(1, 5, 6, 3)),
    train("never", dict(factor=0.0), img(2, 5, 6, 3)),
    train("one_channel", dict(factor=(1.0, 1.0), sigma=(0.8, 0.8)), img(2, 5, 6, 1)),
    case("defaults", {}, img(1, 4, 4, 3), grad=False),
    error("even", {}, img(1, 4, 4, 3), override={"kernel_size": 4}),
    error("sigma_above", {}, img(1, 4, 4, 3), override={"sigma": 1.5})])
rgb("RandomElasticTransform", dict(factor=0.0), range_key=False, others=[
    train("no_scale", dict(scale=0.0), img(2, 5, 6, 3)),
    train("never", dict(factor=(0.0, 0.0), scale=(0.5, 0.5)), img(2, 5, 6, 3)),
    case("defaults", {}, img(1, 4, 4, 3), grad=False),
    case("mirror", dict(fill_mode="mirror", interpolation="nearest", fill_value=1.0),
         img(1, 4, 4, 3), grad=False),
    error("fill_mode", {}, img(1, 4, 4, 3), override={"fill_mode": "edge"}),
    error("mirror_training", dict(fill_mode="mirror"), img(1, 4, 4, 3), training=True),
    error("interpolation", {}, img(1, 4, 4, 3), override={"interpolation": "bicubic"}),
    error("scale_above", {}, img(1, 4, 4, 3), override={"scale": 1.5})])
rgb("AutoContrast", {}, others=[
    train("narrow", {}, x(2, 5, 6, 3, low=50, high=60)),
    train("flat", {}, ints(1, 4, 4, 3, low=9, high=10, dtype="float32")),
    train("zero", {}, ints(1, 4, 4, 3, low=0, high=1, dtype="float32")),
    train("range_turned", dict(value_range=(255, 0)), img(1, 4, 4, 3)),
    train("other_range", dict(value_range=(-1, 1)), x(2, 4, 4, 3))])
rgb("Equalization", {}, others=[
    train("bins", dict(bins=16), img(2, 5, 6, 3)),
    train("whole", {}, ints(2, 9, 8, 3, low=0, high=256, dtype="float32")),
    train("narrow", {}, ints(2, 9, 8, 3, low=100, high=110, dtype="float32")),
    train("flat", {}, ints(1, 4, 4, 3, low=9, high=10, dtype="float32")),
    train("other_range", dict(value_range=(-1, 1)), x(2, 4, 4, 3)),
    train("channels_first_2", dict(**FIRST), ints(2, 2, 5, 6, low=0, high=99, dtype="float32"))])
rgb("Solarization", dict(addition_factor=(0.0, 0.0), threshold_factor=(0.0, 0.0)), others=[
    train("defaults", {}, img(2, 5, 6, 3)),
    train("other_range", dict(value_range=(-1, 1)), x(2, 4, 4, 3)),
    case("seed", dict(addition_factor=0.3, threshold_factor=(0.2, 0.4), seed=7),
         img(1, 4, 4, 3), grad=False),
    error("factor_above", {}, img(1, 4, 4, 3), override={"addition_factor": 1.5}),
    error("factor_negative", {}, img(1, 4, 4, 3), override={"threshold_factor": -0.5})])
rgb("ContrastLimitedAdaptiveHistogramEqualization", dict(tile_grid_size=(2, 3)), others=[
    train("defaults", {}, img(1, 32, 24, 3)),
    train("odd", dict(tile_grid_size=(2, 2)), img(2, 9, 11, 2)),
    train("tight", dict(clip_limit=1.5, tile_grid_size=(3, 2)), img(1, 16, 15, 1)),
    train("unclipped", dict(clip_limit=0.0, tile_grid_size=(2, 2)), img(1, 8, 8, 3)),
    train("one_tile", dict(tile_grid_size=(1, 1)), img(1, 7, 5, 3))],
    float64=False, one_pixel=False)
add("CutMix",
    case("inference", {}, img(2, 4, 5, 3), grad=False),
    case("inference_uint8", dict(factor=0.5, seed=3), byte(2, 4, 5, 3), grad=False),
    train("alone", {}, img(1, 4, 5, 3)),
    train("unbatched", {}, img(4, 5, 3)),
    train("alone_uint8", dict(**FIRST), byte(1, 3, 4, 5)),
    error("factor_above", {}, img(1, 4, 4, 3), override={"factor": 1.5}),
    error("rank_2", {}, img(4, 4)))
add("MixUp",
    case("inference", {}, img(2, 4, 5, 3), grad=False),
    case("inference_uint8", dict(alpha=0.5, seed=3), byte(2, 4, 5, 3), grad=False),
    train("alone", {}, img(1, 4, 5, 3)),
    train("unbatched", {}, img(4, 5, 3)),
    train("alone_uint8", dict(**FIRST), byte(1, 3, 4, 5)),
    error("rank_2", {}, img(4, 4)))
add("MaxNumBoundingBoxes",
    case("inference", dict(max_number=5), img(2, 4, 5, 3), grad=False),
    train("training", dict(max_number=5, fill_value=3), img(2, 4, 5, 3)))

METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5")
SMOOTH = ("bilinear", "bicubic", "lanczos3", "lanczos5")


def size(height, width, **options):
    return dict(height=height, width=width, **options)


add(
    "Resizing",
    *[case(f"{m}_down", size(4, 3, interpolation=m), img(1, 9, 11, 3), grad=False) for m in METHODS],
    *[case(f"{m}_up", size(9, 11, interpolation=m), img(1, 5, 4, 3), grad=False) for m in METHODS],
    *[case(f"{m}_mixed", size(3, 13, interpolation=m), img(2, 8, 5, 1), grad=False)
      for m in METHODS],
    *[case(f"{m}_antialias_down", size(4, 3, interpolation=m, antialias=True), img(1, 11, 13, 3),
           grad=False) for m in METHODS],
    *[case(f"{m}_antialias_up", size(9, 8, interpolation=m, antialias=True), img(1, 4, 3, 2),
           grad=False) for m in SMOOTH],
    *[case(f"{m}_uint8", size(5, 4, interpolation=m), byte(2, 7, 9, 3)) for m in METHODS],
    *[case(f"{m}_one_pixel", size(3, 2, interpolation=m), img(1, 1, 1, 3), grad=False)
      for m in METHODS],
    *[case(f"{m}_to_one_pixel", size(1, 1, interpolation=m, antialias=True), img(1, 7, 6, 3),
           grad=False) for m in METHODS],
    *[case(f"{m}_gradient", size(5, 7, interpolation=m), img(1, 4, 9, 2))
      for m in ("bilinear", "nearest", "bicubic", "lanczos3")],
    case("antialias_gradient", size(3, 4, antialias=True), img(1, 8, 9, 2)),
    case("channels_first", size(4, 7, **FIRST), img(2, 3, 6, 5)),
    case("channels_first_bicubic", size(9, 4, interpolation="bicubic", **FIRST), img(1, 2, 6, 5),
         grad=False),
    case("channels_first_uint8", size(4, 7, **FIRST), byte(1, 3, 6, 5)),
    case("unbatched", size(4, 7), img(6, 5, 3)),
    case("unbatched_first", size(4, 7, **FIRST), img(3, 6, 5)),
    case("same", size(6, 5), img(2, 6, 5, 3)),
    case("same_uint8", size(6, 5), byte(2, 6, 5, 3)),
    case("four_channels", size(4, 7), img(1, 6, 5, 4), grad=False),
    case("seven_channels", size(4, 7), img(1, 6, 5, 7), grad=False),
    *[case(f"crop_{h}_{w}", size(h, w, crop_to_aspect_ratio=True), img(1, 9, 12, 3), grad=False)
      for h, w in ((4, 4), (3, 7), (7, 3), (12, 5))],
    *[case(f"pad_{h}_{w}", size(h, w, pad_to_aspect_ratio=True, fill_value=7.0), img(1, 9, 12, 3),
           grad=False) for h, w in ((4, 4), (3, 7), (7, 3), (12, 5))],
    case("crop_first", size(5, 3, crop_to_aspect_ratio=True, **FIRST), img(2, 3, 6, 9)),
    case("pad_unbatched", size(5, 3, pad_to_aspect_ratio=True, interpolation="nearest"),
         img(6, 9, 3), grad=False),
    case("training", size(4, 4), img(1, 6, 7, 3), training=True, grad=False),
    case("half", size(4, 4), img(1, 6, 7, 3), dtype="float16", grad=False),
    case("float64", size(4, 4), img(1, 6, 7, 3), dtype="float64", rtol=1e-6, grad=False),
    case("int32", size(4, 4, interpolation="bicubic"), ints(1, 6, 7, 3, low=-50, high=99)),
    case("unknown_dims", size(4, 4), img(1, 6, 7, 3), unknown=[[0, 1], [0, 2]], grad=False),
    case("legacy", size(4, 7), img(2, 6, 5, 3), keras="2.15", grad=False),
    case("legacy_bicubic", size(4, 7, interpolation="bicubic"), img(2, 6, 5, 3), keras="2.15",
         grad=False),
    case("legacy_crop", size(4, 7, crop_to_aspect_ratio=True), img(2, 6, 5, 3), keras="2.15",
         grad=False),
    error("interpolation", size(4, 4), img(1, 6, 7, 3), override={"interpolation": "cubic"}),
    error("fill_mode", size(4, 4), img(1, 6, 7, 3), override={"fill_mode": "reflect"}),
    error("crop_and_pad", size(4, 4), img(1, 6, 7, 3),
          override={"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}),
    error("negative", size(4, 4), img(1, 6, 7, 3), override={"height": -4}),
    error("rank_2", size(4, 4), img(6, 7)),
)
add(
    "CenterCrop",
    case("even", size(4, 4), img(2, 8, 10, 3)),
    case("odd", size(3, 4), img(2, 8, 9, 3)),
    case("same", size(5, 6), img(1, 5, 6, 3)),
    case("one", size(1, 1), img(1, 5, 6, 3)),
    case("channels_first", size(3, 4, **FIRST), img(2, 3, 8, 9)),
    case("unbatched", size(3, 4), img(8, 9, 3)),
    case("uint8", size(3, 4), byte(2, 8, 9, 3)),
    case("larger", size(8, 9), img(1, 4, 5, 3), grad=False),
    case("taller", size(8, 3), img(1, 4, 5, 3), grad=False),
    case("wider", size(3, 8), img(1, 9, 5, 3), grad=False),
    case("larger_first", size(8, 7, **FIRST), img(1, 3, 4, 5), grad=False),
    case("larger_unbatched", size(6, 9), img(4, 5, 3), grad=False),
    case("larger_uint8", size(6, 9), byte(1, 4, 5, 3)),
    case("larger_mixed_float16", size(8, 9), img(1, 4, 5, 3), dtype="mixed_float16", grad=False),
    case("taller_bfloat16", size(8, 3), img(1, 4, 5, 3), dtype="bfloat16", grad=False),
    case("float16", size(3, 4), img(2, 8, 9, 3), dtype="float16"),
    case("training", size(3, 4), img(2, 8, 9, 3), training=True),
    case("float64", size(3, 4), img(2, 8, 9, 3), dtype="float64"),
    case("unknown_dims", size(3, 4), img(2, 8, 9, 3), unknown=[[0, 1], [0, 2]]),
    case("legacy", size(3, 4), img(2, 8, 9, 3), keras="2.15"),
    case("legacy_larger", size(8, 9), img(1, 4, 5, 3), keras="2.15", grad=False),
    error("rank_2", size(4, 4), img(6, 7)),
)
add(
    "RandomCrop",
    case("inference", size(3, 4, seed=3), img(2, 8, 9, 3), grad=False, shapes=False),
    case("inference_uint8", size(3, 4, seed=3), byte(2, 8, 9, 3), shapes=False),
    train("same", size(5, 6, seed=3), img(2, 5, 6, 3)),
    train("larger", size(8, 9, seed=3), img(2, 4, 5, 3)),
    train("taller", size(8, 3, seed=3), img(2, 4, 5, 3)),
    train("wider", size(3, 8, seed=3), img(2, 9, 5, 3)),
    train("same_height", size(5, 3, seed=3), img(2, 5, 9, 3)),
    train("one_pixel", size(2, 3, seed=3), img(2, 1, 1, 3)),
    train("unbatched", size(8, 9, seed=3), img(4, 5, 3)),
    train("channels_first", size(8, 9, seed=3, **FIRST), img(2, 3, 4, 5)),
    train("uint8", size(8, 9, seed=3), byte(2, 4, 5, 3)),
    error("rank_2", size(4, 4, seed=3), img(6, 7)),
    error("negative", size(4, 4, seed=3), img(1, 6, 7, 3), override={"width": -4}),
)
for name in ("RandomHeight", "RandomWidth"):
    add(
        name,
        train("grow", dict(factor=(0.5, 0.5)), img(2, 6, 5, 3), keras="2.15"),
        train("shrink", dict(factor=(-0.4, -0.4)), img(2, 6, 5, 3), keras="2.15"),
        *[train(m, dict(factor=(0.7, 0.7), interpolation=m), img(1, 5, 6, 3), keras="2.15")
          for m in METHODS],
        train("unbatched", dict(factor=(0.5, 0.5)), img(6, 5, 3), keras="2.15"),
        case("inference", dict(factor=0.3, seed=5), img(2, 6, 5, 3), keras="2.15", grad=False),
        error("turned", dict(factor=0.2), img(1, 4, 4, 3), override={"factor": [0.3, 0.1]},
              keras="2.15"),
        error("below", dict(factor=0.2), img(1, 4, 4, 3), override={"factor": [-1.3, 0.1]},
              keras="2.15"),
    )

JITTER = dict(brightness_factor=(0.1, 0.1), contrast_factor=(-0.3, 0.3),
              saturation_factor=(0.4, 0.4), hue_factor=(0.0, 0.0))
add(
    "RandomColorJitter",
    case("inference", JITTER, img(2, 4, 5, 3), grad=False),
    case("inference_uint8", dict(hue_factor=0.1, seed=3), byte(2, 4, 5, 3)),
    train("nothing", {}, img(2, 4, 5, 3)),
    train("nothing_uint8", {}, byte(2, 4, 5, 3)),
    train("brightness", dict(brightness_factor=(0.2, 0.2)), img(2, 4, 5, 3)),
    train("contrast", dict(contrast_factor=(-0.4, 0.4)), img(2, 4, 5, 3)),
    train("saturation", dict(saturation_factor=(0.7, 0.7), **UNIT), unit(2, 4, 5, 3)),
    train("hue", dict(hue_factor=(1.0, 1.0)), img(2, 4, 5, 3)),
    train("all", JITTER, img(2, 4, 5, 3)),
    train("all_unit", dict(JITTER, **UNIT), unit(2, 4, 5, 3)),
    train("unbatched", JITTER, img(4, 5, 3)),
    error("factor_above", {}, img(1, 4, 4, 3), override={"contrast_factor": 1.5}),
    error("rank_2", {}, img(4, 4)),
)
for name, more in (("RandAugment", dict(num_ops=3, factor=0.2)),
                   ("AugMix", dict(num_chains=2, chain_depth=1, factor=0.2, alpha=0.5,
                                   all_ops=False))):
    add(
        name,
        case("inference", {}, img(2, 4, 5, 3), grad=False),
        case("inference_uint8", dict(more, seed=3), byte(2, 4, 5, 3)),
        case("inference_unbatched", dict(more, interpolation="nearest", **UNIT), unit(4, 5, 3),
             grad=False),
        error("factor_above", {}, img(1, 4, 4, 3), override={"factor": 1.5}),
        error("interpolation", {}, img(1, 4, 4, 3), override={"interpolation": "bicubic"}),
        error("rank_2", {}, img(4, 4)),
    )
add("RandAugment", train("no_ops", dict(num_ops=0), img(2, 4, 5, 3)))
add(
    "Pipeline",
    case("two", dict(layers=[Sub("CenterCrop", height=4, width=4),
                             Sub("Resizing", height=3, width=5)]), img(2, 6, 7, 3), grad=False),
    case("inference", dict(layers=[Sub("RandomFlip"), Sub("RandomRotation", factor=0.2)]),
         img(2, 6, 7, 3), grad=False),
    train("training", dict(layers=[Sub("RandomTranslation", height_factor=(0.2, 0.2),
                                       width_factor=(0.1, 0.1)),
                                   Sub("RandomInvert", factor=(1.0, 1.0))]), img(2, 6, 7, 3)),
    case("dense", dict(layers=[Sub("Activation", activation="relu"), Sub("Flatten")]), img(2, 2, 3, 1),
         grad=False),
)
