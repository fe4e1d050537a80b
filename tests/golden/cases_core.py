"""Cases of the core layers."""

from registry import add, case, error
from tensors import ints, mask, vals, x

REG = {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.02}}

add(
    "Dense",
    case("defaults", dict(units=3), x(2, 4)),
    case("relu", dict(units=5, activation="relu"), x(3, 7)),
    case("softmax", dict(units=6, activation="softmax"), x(4, 5)),
    case("sigmoid_no_bias", dict(units=2, activation="sigmoid", use_bias=False), x(5, 3)),
    case("tanh", dict(units=17, activation="tanh"), x(3, 9)),
    case("gelu", dict(units=4, activation="gelu"), x(2, 6)),
    case("rank_3", dict(units=4), x(2, 3, 5)),
    case("rank_4_batch_1", dict(units=3, activation="elu"), x(1, 2, 3, 4)),
    case("rank_5", dict(units=2), x(2, 1, 2, 3, 4)),
    case("one_unit", dict(units=1), x(1, 1)),
    case("batch_1", dict(units=33), x(1, 65)),
    case("odd_sizes", dict(units=31, activation="relu"), x(7, 67)),
    case("wide", dict(units=128, activation="relu"), x(32, 784), weights={"kernel": (-0.1, 0.1)}),
    case("regularizers", dict(units=3, kernel_regularizer=REG, bias_regularizer="l2"), x(4, 5)),
    case("activity_regularizer", dict(units=3, activity_regularizer=REG), x(4, 5)),
    case("all_regularizers", dict(units=3, kernel_regularizer="l1", bias_regularizer="L1L2",
                                  activity_regularizer="l2", activation="selu"), x(3, 5)),
    case("orthogonal_regularizer", dict(units=3, kernel_regularizer="orthogonal_regularizer"),
         x(3, 5)),
    case("constraints", dict(units=3, kernel_constraint="max_norm", bias_constraint="non_neg"),
         x(3, 5)),
    case("initializers", dict(units=3, kernel_initializer="he_normal", bias_initializer="ones"),
         x(3, 5)),
    case("training", dict(units=3), x(3, 5), training=True),
    case("mask_passes", dict(units=3), x(2, 4, 5), masks=[mask(["1101", "1000"])]),
    case("float64", dict(units=4, activation="softplus", kernel_regularizer="l2"), x(3, 6),
         dtype="float64"),
    case("float64_rank_3", dict(units=4, activation="tanh"), x(2, 3, 6), dtype="float64"),
    case("unknown_dims", dict(units=4), x(2, 3, 6), unknown=[[0, 1]]),
    case("integer_input", dict(units=4), ints(2, 6, low=-3, high=4), grad=False, shapes=False),
    case("second_call", dict(units=4), x(2, 6), calls=[{"inputs": [x(5, 6)]}]),
    case("lora", dict(units=4, lora_rank=2), x(3, 6)),
    case("float16", dict(units=4), x(3, 6), dtype="float16", rtol=2e-3),
    case("mixed_bfloat16", dict(units=4), x(3, 6), dtype="mixed_bfloat16", rtol=1e-2),
    case("mixed_float16", dict(units=4, activation="relu"), x(3, 6), dtype="mixed_float16",
         rtol=2e-3),
    case("legacy", dict(units=3, activation="relu", kernel_regularizer="l2"), x(2, 4),
         keras="2.15"),
    case("legacy_activity_regularizer", dict(units=3, activity_regularizer="l2"), x(4, 5),
         keras="2.15"),
    error("rank_1", dict(units=3), x(4)),
    error("units_zero", dict(units=3), x(2, 4), override={"units": 0}),
    error("units_negative", dict(units=3), x(2, 4), override={"units": -3}),
    error("activation_unknown", dict(units=3), x(2, 4), override={"activation": "rleu"}),
    error("regularizer_unknown", dict(units=3), x(2, 4), override={"kernel_regularizer": "l7"}),
    error("initializer_unknown", dict(units=3), x(2, 4), override={"kernel_initializer": "he"}),
    error("unknown_key", dict(units=3), x(2, 4), override={"unitz": 4}),
)

NAMES = ["celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
         "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish",
         "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus",
         "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh",
         "tanh_shrink"]

add("Activation", *[
    case(name, dict(activation=name), x(3, 8, low=-4, high=4)) for name in NAMES
])
add(
    "Activation",
    *[case(name + "_wide", dict(activation=name), x(4, 5, 6, low=-30, high=30))
      for name in ("gelu", "sigmoid", "softplus", "tanh", "silu", "mish", "softmax", "selu",
                   "log_softmax", "hard_sigmoid")],
    *[case(name + "_float64", dict(activation=name), x(2, 7, low=-6, high=6), dtype="float64")
      for name in ("gelu", "sigmoid", "softplus", "tanh", "silu", "mish", "softmax", "elu",
                   "selu", "log_sigmoid", "exponential")],
    *[case(name + "_extremes", dict(activation=name),
           vals([["Infinity", "-Infinity", 0.0, -0.0, 88.0, -88.0, 1e-20, "NaN"]], "float32"),
           grad=False) for name in ("relu", "sigmoid", "tanh", "softplus", "elu", "exponential",
                                    "relu6", "leaky_relu", "softsign")],
    *[case(name + "_2_15", dict(activation=name), x(3, 8, low=-4, high=4), keras="2.15")
      for name in ("elu", "exponential", "gelu", "hard_sigmoid", "linear", "mish", "relu", "selu",
                   "sigmoid", "softmax", "softplus", "softsign", "swish", "tanh")],
    case("mask_passes", dict(activation="relu"), x(2, 3, 4), masks=[mask(["110", "011"])]),
    case("unknown_dims", dict(activation="relu"), x(2, 3, 4), unknown=[[0, 1], [0, 2]]),
    error("unknown_name", dict(activation="relu"), x(2, 3), override={"activation": "rellu"}),
)

ROWS = [[[1, 2], [0, 0], [3, 0], [0, 0]], [[0, 0], [0, 0], [0, 1], [2, 2]]]
add(
    "Masking",
    case("defaults", {}, vals(ROWS, "float32")),
    case("mask_value_1", dict(mask_value=1.0), vals([[[1, 1], [1, 2]], [[0, 1], [1, 1]]],
                                                    "float32")),
    case("mask_value_negative", dict(mask_value=-1.5),
         vals([[[-1.5], [2.0], [-1.5]], [[1.0], [-1.5], [-1.5]]], "float32")),
    case("rank_4", {}, vals([[[[0, 0], [0, 0]], [[0, 1], [0, 0]]]], "float32")),
    case("none_masked", {}, x(2, 3, 4)),
    case("all_masked", {}, vals([[[0, 0, 0], [0, 0, 0]]], "float32")),
    case("batch_1", {}, vals([[[0.5], [0.0], [-0.5], [0.0], [0.0]]], "float32")),
    case("float64", {}, vals(ROWS, "float64"), dtype="float64"),
    case("unknown_dims", {}, vals(ROWS, "float32"), unknown=[[0, 1]]),
    case("incoming_mask_replaced", {}, vals(ROWS, "float32"), masks=[mask(["1000", "1111"])]),
    case("training", dict(mask_value=0), vals(ROWS, "float32"), training=True),
    case("legacy", {}, vals(ROWS, "float32"), keras="2.15"),
)

add(
    "Embedding",
    case("defaults", dict(input_dim=7, output_dim=3), ints(2, 4, high=7)),
    case("mask_zero", dict(input_dim=6, output_dim=4, mask_zero=True),
         vals([[1, 2, 0, 0], [3, 0, 5, 0]], "int32")),
    case("rank_1", dict(input_dim=5, output_dim=2), ints(6, high=5)),
    case("rank_3", dict(input_dim=5, output_dim=2), ints(2, 3, 2, high=5)),
    case("repeated_indices", dict(input_dim=4, output_dim=3),
         vals([[1, 1, 1, 2], [2, 1, 0, 0]], "int32")),
    case("int64", dict(input_dim=9, output_dim=5), ints(3, 4, high=9, dtype="int64")),
    case("uint8", dict(input_dim=9, output_dim=5), ints(3, 4, high=9, dtype="uint8")),
    case("float_indices", dict(input_dim=9, output_dim=5), x(3, 4, low=0, high=8.9)),
    case("output_dim_1", dict(input_dim=11, output_dim=1), ints(1, 5, high=11)),
    case("regularizer", dict(input_dim=5, output_dim=3, embeddings_regularizer="l2"),
         ints(2, 4, high=5)),
    case("constraint", dict(input_dim=5, output_dim=3, embeddings_constraint="unit_norm",
                            embeddings_initializer="glorot_normal"), ints(2, 4, high=5)),
    case("wide", dict(input_dim=1000, output_dim=64), ints(4, 20, high=1000), grad=False),
    case("float64", dict(input_dim=5, output_dim=3), ints(2, 4, high=5), dtype="float64"),
    case("unknown_dims", dict(input_dim=7, output_dim=3, mask_zero=True), ints(2, 4, high=7),
         unknown=[[0, 1]]),
    case("all_zero_masked", dict(input_dim=3, output_dim=2, mask_zero=True),
         vals([[0, 0, 0]], "int32")),
    case("lora", dict(input_dim=6, output_dim=4, lora_rank=2), ints(2, 4, high=6)),
    case("legacy_input_length", dict(input_dim=7, output_dim=3, input_length=4),
         ints(2, 4, high=7), keras="2.15"),
    case("legacy_activity_regularizer", dict(input_dim=7, output_dim=3,
                                             activity_regularizer="l2"),
         ints(2, 4, high=7), keras="2.15"),
    error("index_too_large", dict(input_dim=3, output_dim=2), vals([[1, 3]], "int32")),
    case("index_negative_counts_from_the_end", dict(input_dim=3, output_dim=2),
         vals([[1, -1]], "int32")),
    error("input_dim_negative", dict(input_dim=3, output_dim=2), ints(2, 2, high=2),
          override={"input_dim": -3}),
    error("output_dim_negative", dict(input_dim=3, output_dim=2), ints(2, 2, high=2),
          override={"output_dim": -2}),
)

add(
    "EinsumDense",
    case("dense", dict(equation="ab,bc->ac", output_shape=5, bias_axes="c"), x(3, 4)),
    case("no_bias", dict(equation="ab,bc->ac", output_shape=5), x(3, 4)),
    case("activation", dict(equation="ab,bc->ac", output_shape=5, bias_axes="c",
                            activation="relu"), x(3, 4)),
    case("softmax", dict(equation="abc,cd->abd", output_shape=[None, 4], bias_axes="d",
                         activation="softmax"), x(2, 3, 5)),
    case("sequence", dict(equation="abc,cd->abd", output_shape=[None, 4], bias_axes="d"),
         x(2, 3, 5)),
    case("known_sequence", dict(equation="abc,cd->abd", output_shape=[3, 4], bias_axes="d"),
         x(2, 3, 5)),
    case("heads", dict(equation="abc,cde->abde", output_shape=[None, 2, 3], bias_axes="de"),
         x(2, 3, 5)),
    case("heads_bias_of_one_axis", dict(equation="abc,cde->abde", output_shape=[None, 2, 3],
                                        bias_axes="e"), x(2, 3, 5)),
    case("heads_bias_first_axis", dict(equation="abc,cde->abde", output_shape=[None, 2, 3],
                                       bias_axes="d"), x(2, 3, 5)),
    case("bias_over_sequence", dict(equation="abc,cd->abd", output_shape=[3, 4], bias_axes="bd"),
         x(2, 3, 5)),
    case("bias_of_sequence_alone", dict(equation="abc,cd->abd", output_shape=[3, 4],
                                        bias_axes="b"), x(2, 3, 5)),
    case("join_heads", dict(equation="abcd,cde->abe", output_shape=[None, 4], bias_axes="e"),
         x(2, 3, 2, 5)),
    case("ellipsis_left", dict(equation="...x,xy->...y", output_shape=6, bias_axes="y"),
         x(2, 3, 4, 5)),
    case("ellipsis_left_rank_2", dict(equation="...x,xy->...y", output_shape=6, bias_axes="y"),
         x(2, 5)),
    case("ellipsis_left_two", dict(equation="...bc,cd->...bd", output_shape=[None, 4],
                                   bias_axes="d"), x(2, 3, 4, 5)),
    case("ellipsis_right", dict(equation="ab...,bc->ac...", output_shape=4, bias_axes="c"),
         x(2, 3, 5)),
    case("ellipsis_right_two", dict(equation="abc...,cd->abd...", output_shape=[None, 4],
                                    bias_axes="d"), x(2, 3, 5, 2)),
    case("per_position", dict(equation="abc,bcd->abd", output_shape=[3, 4], bias_axes="bd"),
         x(2, 3, 5)),
    case("over_positions", dict(equation="abc,bd->adc", output_shape=[4, 5], bias_axes="d"),
         x(2, 3, 5)),
    case("summed_letter", dict(equation="abc,cd->ad", output_shape=4, bias_axes="d"),
         x(2, 3, 5)),
    case("transposed_output", dict(equation="abc,cd->adb", output_shape=[4, 3], bias_axes="d"),
         x(2, 3, 5)),
    case("size_1", dict(equation="ab,bc->ac", output_shape=1, bias_axes="c"), x(1, 1)),
    case("odd_sizes", dict(equation="abc,cde->abde", output_shape=[None, 3, 17],
                           bias_axes="de"), x(3, 5, 19), grad=False),
    case("regularizers", dict(equation="ab,bc->ac", output_shape=5, bias_axes="c",
                              kernel_regularizer=REG, bias_regularizer="l1",
                              activity_regularizer="l2"), x(3, 4)),
    case("constraints", dict(equation="ab,bc->ac", output_shape=5, bias_axes="c",
                             kernel_constraint="unit_norm", bias_constraint="non_neg",
                             kernel_initializer="he_normal", bias_initializer="ones"), x(3, 4)),
    case("initializer_axes", dict(equation="abc,cde->abde", output_shape=[None, 2, 3],
                                  kernel_initializer="lecun_normal"), x(2, 3, 5), grad=False),
    case("lora", dict(equation="ab,bc->ac", output_shape=5, bias_axes="c", lora_rank=2),
         x(3, 4)),
    case("lora_heads_alpha", dict(equation="abc,cde->abde", output_shape=[None, 2, 3],
                                  lora_rank=2, lora_alpha=3), x(2, 3, 5)),
    case("unknown_dims", dict(equation="abc,cd->abd", output_shape=[None, 4]), x(2, 3, 5),
         unknown=[[0, 1]]),
    case("unknown_ellipsis", dict(equation="...x,xy->...y", output_shape=6), x(2, 3, 4, 5),
         unknown=[[0, 1], [0, 2]]),
    case("training", dict(equation="ab,bc->ac", output_shape=5), x(3, 4), training=True),
    case("second_call", dict(equation="ab,bc->ac", output_shape=5), x(3, 4),
         calls=[{"inputs": [x(1, 4)]}]),
    case("float64", dict(equation="abc,cde->abde", output_shape=[None, 2, 3], bias_axes="de",
                         activation="tanh"), x(2, 3, 5), dtype="float64"),
    case("mixed_float16", dict(equation="abc,cd->abd", output_shape=[None, 4], bias_axes="d"),
         x(2, 3, 5), dtype="mixed_float16", rtol=2e-3),
    case("mixed_bfloat16", dict(equation="abc,cd->abd", output_shape=[None, 4], bias_axes="d"),
         x(2, 3, 5), dtype="mixed_bfloat16", rtol=2e-2),
    case("legacy", dict(equation="abc,cd->abd", output_shape=[None, 4], bias_axes="d",
                        activity_regularizer="l2"), x(2, 3, 5), keras="2.15"),
    error("wrong_width", dict(equation="ab,bc->ac", output_shape=5), x(3, 4),
          calls=[{"inputs": [x(3, 5)]}], override={"equation": "ab,cd->ad"}),
    error("equation_without_arrow", dict(equation="ab,bc->ac", output_shape=5), x(3, 4),
          override={"equation": "ab,bc"}),
    error("equation_with_ellipsis_on_one_side", dict(equation="ab,bc->ac", output_shape=5),
          x(3, 4), override={"equation": "...b,bc->ac"}),
    error("output_letter_unknown", dict(equation="ab,bc->ac", output_shape=5), x(3, 4),
          override={"equation": "ab,bc->ad"}),
    error("bias_letter_unknown", dict(equation="ab,bc->ac", output_shape=5), x(3, 4),
          override={"bias_axes": "z"}),
    error("shared_size_differs", dict(equation="abc,cd->abd", output_shape=[4, 5]), x(2, 3, 5)),
    error("rank_too_small", dict(equation="abc,cd->abd", output_shape=[None, 5]), x(3, 4)),
    error("lora_with_constraint", dict(equation="ab,bc->ac", output_shape=5,
                                       kernel_constraint="unit_norm", lora_rank=2), x(3, 4)),
)

REVERSIBLE = dict(input_dim=6, output_dim=4)
BACK = {"reverse": True}
add(
    "ReversibleEmbedding",
    case("forward", REVERSIBLE, ints(2, 3, high=6)),
    case("back", REVERSIBLE, x(2, 3, 4), kwargs=BACK),
    case("forward_untied", dict(REVERSIBLE, tie_weights=False), ints(2, 3, high=6)),
    case("back_untied", dict(REVERSIBLE, tie_weights=False), x(2, 3, 4), kwargs=BACK),
    case("back_rank_2", REVERSIBLE, x(3, 4), kwargs=BACK),
    case("mask_zero", dict(REVERSIBLE, mask_zero=True), vals([[1, 0, 2], [0, 0, 5]], "int32")),
    case("back_soft_cap", dict(REVERSIBLE, logit_soft_cap=1.5), x(2, 3, 4), kwargs=BACK),
    case("back_reverse_dtype", dict(REVERSIBLE, reverse_dtype="float64"), x(2, 3, 4),
         kwargs=BACK, shapes=False),
    case("regularizer", dict(REVERSIBLE, embeddings_regularizer="l2"), ints(2, 3, high=6)),
    case("constraint", dict(REVERSIBLE, embeddings_constraint="unit_norm",
                            embeddings_initializer="he_normal"), ints(2, 3, high=6)),
    case("float64", REVERSIBLE, x(2, 3, 4), kwargs=BACK, dtype="float64"),
    case("unknown_length", REVERSIBLE, ints(2, 3, high=6), unknown=[[0, 1]]),
    case("forward_then_back", REVERSIBLE, ints(2, 3, high=6),
         calls=[{"inputs": [x(2, 3, 4)], "kwargs": BACK}]),
    case("mixed_bfloat16", REVERSIBLE, ints(2, 3, high=6), dtype="mixed_bfloat16"),
    error("input_dim_zero", REVERSIBLE, ints(2, 3, high=6), override={"input_dim": 0}),
    error("back_of_the_wrong_width", REVERSIBLE, x(2, 3, 5), kwargs=BACK),
)

HALVES = (("float16", 4e-3), ("bfloat16", 3e-2), ("mixed_float16", 4e-3),
          ("mixed_bfloat16", 3e-2))
add("Dense", *[case("policy_" + p, dict(units=5, activation="gelu"), x(3, 7), dtype=p, rtol=r)
               for p, r in HALVES])
add("EinsumDense", *[case("policy_" + p, dict(equation="abc,cde->abde", output_shape=[None, 2, 3],
                                              bias_axes="de"), x(2, 3, 5), dtype=p, rtol=r)
                     for p, r in HALVES])
add("Embedding", *[case("policy_" + p, dict(input_dim=7, output_dim=3, mask_zero=True),
                        ints(2, 4, high=7), dtype=p, rtol=r) for p, r in HALVES])
add("Activation", *[case("policy_" + p, dict(activation="tanh"), x(3, 7), dtype=p, rtol=r)
                    for p, r in HALVES])
add("Masking", *[case("policy_" + p, {}, vals(ROWS, "float32"), dtype=p, rtol=r)
                 for p, r in HALVES])
add("Identity", *[case("policy_" + p, {}, x(3, 7), dtype=p, rtol=r) for p, r in HALVES])
ALPHA = dict(lora_rank=2, lora_alpha=6)
add("Dense", case("lora_alpha", dict(units=4, **ALPHA), x(3, 6)),
    # The correction's halves are float32 in any layer.
    case("lora_float64", dict(units=4, lora_rank=2), x(3, 6), dtype="float64", rtol=1e-6),
    case("regularizer_of_nothing", dict(units=3, kernel_regularizer="l1l2"), x(3, 5)),
    error("policy_quantized", dict(units=3), x(2, 4), override={"dtype": {
        "module": "keras", "class_name": "QuantizedDTypePolicy",
        "config": {"mode": "int8", "source_name": "float31"}, "registered_name": None}}),
    error("policy_unknown", dict(units=3), x(2, 4), override={"dtype": "mixed_float8"}))
add("Embedding", case("lora_alpha", dict(input_dim=6, output_dim=4, **ALPHA), ints(2, 4, high=6)))
add("EinsumDense", case("lora_alpha", dict(equation="ab,bc->ac", output_shape=5, **ALPHA),
                        x(3, 4)))
add("ReversibleEmbedding", case("lora_alpha", dict(REVERSIBLE, **ALPHA), x(2, 3, 4), kwargs=BACK))
add("EinsumDense", case("legacy_ellipsis", dict(equation="...x,xy->...y", output_shape=[3],
                                                bias_axes="y"), x(2, 3, 2, 4),
                        unknown=[[0, 1]], keras="2.15"))
add("Activation", case("leaky_relu_float64", dict(activation="leaky_relu"),
                       x(2, 7, low=-6, high=6), dtype="float64"))
add("EinsumDense",
    error("equation_none", dict(equation="ab,bc->ac", output_shape=5), x(3, 4),
          override={"equation": None}),
    error("bias_axes_empty", dict(equation="ab,bc->ac", output_shape=5), x(3, 4),
          override={"bias_axes": ""}))
add("Activation", error("object_of_bad_arguments", dict(activation="relu"), x(2, 3), override={
    "activation": {"module": "keras.layers", "class_name": "ReLU", "config": {"max_value": -1},
                   "registered_name": None}}))
