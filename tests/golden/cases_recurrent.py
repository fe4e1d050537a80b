"""Cases of the recurrent layers."""

from registry import CASES, Sub, add, case, error
from tensors import mask, x

REG = {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.02}}
ROWS = ["11010", "11111", "00100"]

add(
    "LSTM",
    case("defaults", dict(units=3), x(2, 4, 5)),
    case("return_sequences", dict(units=4, return_sequences=True), x(3, 5, 2)),
    case("return_state", dict(units=3, return_state=True), x(2, 4, 3)),
    case("sequences_and_state", dict(units=3, return_sequences=True, return_state=True),
         x(2, 4, 3)),
    case("initial_state", dict(units=3, return_sequences=True, return_state=True), x(2, 4, 3),
         initial_state=[x(2, 3), x(2, 3)]),
    case("go_backwards", dict(units=3, go_backwards=True), x(2, 5, 3)),
    case("go_backwards_sequences", dict(units=3, go_backwards=True, return_sequences=True),
         x(2, 5, 3)),
    case("mask", dict(units=3), x(3, 5, 2), masks=[mask(ROWS)]),
    case("mask_sequences", dict(units=3, return_sequences=True, return_state=True), x(3, 5, 2),
         masks=[mask(ROWS)]),
    case("mask_initial_state", dict(units=3, return_sequences=True, return_state=True), x(3, 5, 2),
         masks=[mask(ROWS)], initial_state=[x(3, 3), x(3, 3)]),
    case("mask_backwards", dict(units=3, go_backwards=True, return_sequences=True), x(3, 5, 2),
         masks=[mask(ROWS)]),
    case("no_bias", dict(units=3, use_bias=False), x(2, 4, 3)),
    case("no_unit_forget_bias", dict(units=3, unit_forget_bias=False), x(2, 4, 3)),
    case("unroll", dict(units=3, unroll=True, return_sequences=True), x(2, 4, 3)),
    case("activations", dict(units=3, activation="relu", recurrent_activation="hard_sigmoid"),
         x(2, 4, 3)),
    case("softsign_gates", dict(units=3, activation="elu", recurrent_activation="sigmoid",
                                return_sequences=True), x(2, 4, 3)),
    case("other_activations_mask", dict(units=3, activation="sigmoid",
                                        recurrent_activation="tanh", return_sequences=True),
         x(3, 5, 2), masks=[mask(ROWS)]),
    case("regularizers", dict(units=3, kernel_regularizer=REG, recurrent_regularizer="l2",
                              bias_regularizer="l1"), x(2, 4, 3)),
    case("activity_regularizer", dict(units=3, activity_regularizer="l2"), x(2, 4, 3)),
    case("constraints", dict(units=3, kernel_constraint="max_norm",
                             recurrent_constraint="unit_norm", bias_constraint="non_neg"),
         x(2, 4, 3)),
    case("batch_1_step_1", dict(units=1), x(1, 1, 1)),
    case("one_step", dict(units=5, return_sequences=True), x(3, 1, 4)),
    case("odd_sizes", dict(units=17, return_sequences=True), x(7, 9, 13), rtol=2e-5),
    case("training", dict(units=3), x(2, 4, 3), training=True),
    case("float64", dict(units=3, return_sequences=True), x(2, 4, 3), dtype="float64"),
    case("float64_mask", dict(units=3, return_state=True), x(3, 5, 2), masks=[mask(ROWS)],
         dtype="float64"),
    case("unknown_steps", dict(units=3, return_sequences=True), x(2, 4, 3), unknown=[[0, 1]]),
    case("second_call", dict(units=3), x(2, 4, 3), calls=[{"inputs": [x(5, 2, 3)]}]),
    case("long", dict(units=8), x(2, 60, 4), rtol=1e-4),
    case("many_samples", dict(units=6), x(37, 6, 5), rtol=2e-5),
    error("rank_2", dict(units=3), x(2, 4)),
    error("units_zero", dict(units=3), x(2, 4, 3), override={"units": 0}),
    error("activation_unknown", dict(units=3), x(2, 4, 3), override={"activation": "tan"}),
)


PADS = {"left": ["00111", "01111", "11111"], "right": ["11100", "11110", "11111"],
        "middle": ["11011", "10001", "10101"], "all_masked": ["00000", "11111", "00000"]}
LAST_MASKED = ["11010", "00110", "11111"]
FUNCTIONS = dict(kernel_regularizer=REG, recurrent_regularizer="l2", bias_regularizer="l1")
CONSTRAINTS = dict(kernel_constraint="max_norm", recurrent_constraint="unit_norm",
                   bias_constraint="non_neg")
INITIALIZERS = dict(kernel_initializer="he_normal", recurrent_initializer="glorot_uniform",
                    bias_initializer="ones")


def common(states):
    """Cases that every layer with built-in cells has, given how many states its cell keeps."""
    given = [x(2, 3) for _ in range(states)]
    of_3 = [x(3, 3) for _ in range(states)]
    both = dict(units=3, return_sequences=True, return_state=True)
    return [
        case("defaults", dict(units=3), x(2, 4, 5)),
        case("return_sequences", dict(units=4, return_sequences=True), x(3, 5, 2)),
        case("return_state", dict(units=3, return_state=True), x(2, 4, 3)),
        case("sequences_and_state", both, x(2, 4, 3)),
        case("initial_state", both, x(2, 4, 3), initial_state=given),
        case("go_backwards", dict(units=3, go_backwards=True), x(2, 5, 3)),
        case("go_backwards_sequences", dict(both, go_backwards=True), x(2, 5, 3)),
        case("mask_initial_state", both, x(3, 5, 2), masks=[mask(ROWS)], initial_state=of_3),
        case("mask_backwards", dict(both, go_backwards=True), x(3, 5, 2), masks=[mask(ROWS)]),
        case("mask_last", dict(units=3), x(3, 5, 2), masks=[mask(LAST_MASKED)]),
        case("no_bias", dict(units=3, use_bias=False), x(2, 4, 3)),
        case("unroll", dict(both, unroll=True), x(2, 4, 3)),
        case("unroll_mask", dict(both, unroll=True), x(3, 5, 2), masks=[mask(ROWS)]),
        case("relu", dict(units=3, activation="relu"), x(2, 4, 3)),
        case("linear", dict(units=3, activation=None, return_sequences=True), x(2, 4, 3)),
        case("regularizers", dict(units=3, **FUNCTIONS), x(2, 4, 3)),
        case("activity_regularizer", dict(units=3, activity_regularizer="l2"), x(2, 4, 3)),
        case("activity_regularizer_sequences", dict(both, activity_regularizer="l1"), x(2, 4, 3)),
        case("constraints", dict(units=3, **CONSTRAINTS), x(2, 4, 3)),
        case("initializers", dict(units=3, **INITIALIZERS), x(2, 4, 3)),
        case("batch_1_step_1", dict(units=1), x(1, 1, 1)),
        case("one_step", dict(units=5, return_sequences=True), x(3, 1, 4)),
        case("odd_sizes", dict(units=11, return_sequences=True), x(5, 7, 9), rtol=4e-5),
        case("training", dict(units=3), x(2, 4, 3), training=True),
        case("dropout_at_inference", dict(units=3, dropout=0.5, recurrent_dropout=0.5),
             x(2, 4, 3)),
        case("float64", both, x(2, 4, 3), dtype="float64"),
        case("float64_mask", both, x(3, 5, 2), masks=[mask(ROWS)], dtype="float64"),
        case("mixed_float16", dict(units=3), x(2, 4, 3), dtype="mixed_float16", rtol=5e-3,
             grad=False),
        case("unknown_steps", both, x(2, 4, 3), unknown=[[0, 1]]),
        case("second_call", dict(units=3), x(2, 4, 3), calls=[{"inputs": [x(5, 2, 3)]}]),
        case("stateful", dict(both, stateful=True), x(2, 4, 3), calls=[{}, {}], shapes=False,
             grad=False),
        case("stateful_mask", dict(units=3, stateful=True), x(3, 5, 2), masks=[mask(ROWS)],
             calls=[{}, {"masks": None}], shapes=False, grad=False),
        case("stateful_backwards", dict(units=3, stateful=True, go_backwards=True), x(2, 4, 3),
             calls=[{}, {}], shapes=False, grad=False),
        case("zero_output_for_mask", dict(both, zero_output_for_mask=True), x(3, 5, 2),
             masks=[mask(ROWS)]),
        case("zero_output_for_mask_last", dict(units=3, zero_output_for_mask=True), x(3, 5, 2),
             masks=[mask(LAST_MASKED)]),
        case("long", dict(units=3), x(1, 200, 1), rtol=2e-4),
        case("many_samples", dict(units=3), x(35, 3, 2), rtol=4e-5),
        case("one_sample", dict(units=17, return_sequences=True), x(1, 9, 5), rtol=4e-5),
        case("legacy", both, x(2, 4, 3), keras="2.15"),
        case("legacy_mask", both, x(3, 5, 2), masks=[mask(ROWS)], keras="2.15"),
        case("legacy_implementation_1", dict(both, implementation=1), x(2, 4, 3), keras="2.15"),
        error("rank_2", dict(units=3), x(2, 4)),
        error("rank_4", dict(units=3), x(2, 4, 3, 2)),
        error("units_zero", dict(units=3), x(2, 4, 3), override={"units": 0}),
        error("units_negative", dict(units=3), x(2, 4, 3), override={"units": -2}),
        error("activation_unknown", dict(units=3), x(2, 4, 3), override={"activation": "tan"}),
        error("state_of_the_wrong_size", dict(units=3), x(2, 4, 3),
              initial_state=[x(2, 4) for _ in range(states)]),
    ] + [case("mask_" + name, both, x(3, 5, 2), masks=[mask(rows)]) for name, rows in PADS.items()]


# Keras 3's SimpleRNN forgets its activity regularizer, which this library applies.
add("SimpleRNN", *[c for c in common(1) if "activity" not in c.name],
    case("sigmoid", dict(units=3, activation="sigmoid", return_sequences=True), x(3, 5, 2),
         masks=[mask(ROWS)]))
add("GRU", *common(1),
    case("activations", dict(units=3, activation="relu", recurrent_activation="hard_sigmoid"),
         x(2, 4, 3)),
    case("activations_mask", dict(units=3, activation="elu", recurrent_activation="tanh",
                                  return_sequences=True), x(3, 5, 2), masks=[mask(ROWS)]),
    *[case("reset_before_" + name, dict(args, units=3, reset_after=False), x(3, 5, 2), **options)
      for name, args, options in [
          ("defaults", {}, {}),
          ("no_bias", dict(use_bias=False), {}),
          ("sequences", dict(return_sequences=True, return_state=True), {}),
          ("mask", dict(return_sequences=True, return_state=True), dict(masks=[mask(ROWS)])),
          ("backwards", dict(go_backwards=True), {}),
          ("state", dict(return_state=True), dict(initial_state=[x(3, 3)])),
          ("activations", dict(activation="relu", recurrent_activation="hard_sigmoid"), {}),
          ("float64", {}, dict(dtype="float64")),
          ("regularizers", FUNCTIONS, {}),
          ("legacy", dict(return_sequences=True), dict(keras="2.15")),
      ]],
    case("legacy_hard_sigmoid", dict(units=3, recurrent_activation="hard_sigmoid"), x(2, 4, 3),
         keras="2.15"))
# As many as a file may hold beside those above.
add("LSTM", *[c for c in common(2) if c.name in (
    "mask_last", "stateful", "stateful_mask", "zero_output_for_mask", "mask_left",
    "mask_all_masked")])


def cell_cases(states, **more):
    given = [x(2, 3) for _ in range(states)]
    return [
        case("defaults", dict(units=3, **more), x(2, 4), initial_state=given),
        case("no_bias", dict(units=3, use_bias=False, **more), x(2, 4), initial_state=given),
        case("relu", dict(units=3, activation="relu", **more), x(2, 4), initial_state=given),
        case("regularizers", dict(units=3, **FUNCTIONS, **more), x(2, 4), initial_state=given),
        case("constraints", dict(units=3, **CONSTRAINTS, **more), x(2, 4), initial_state=given),
        case("dropout_at_inference", dict(units=3, dropout=0.3, recurrent_dropout=0.2, **more),
             x(2, 4), initial_state=given),
        case("batch_1", dict(units=5, **more), x(1, 2),
             initial_state=[x(1, 5) for _ in range(states)]),
        case("float64", dict(units=3, **more), x(2, 4), initial_state=given, dtype="float64"),
        case("legacy", dict(units=3, **more), x(2, 4), initial_state=given, keras="2.15"),
        error("units_zero", dict(units=3, **more), x(2, 4), override={"units": 0},
              initial_state=given),
    ]


add("SimpleRNNCell", *cell_cases(1))
add("GRUCell", *cell_cases(1),
    *[case(f"reset_before_{c.name}", dict(c.args, reset_after=False), *c.inputs,
           initial_state=c.initial_state, dtype=c.dtype, keras=c.keras)
      for c in cell_cases(1) if not c.error])
add("LSTMCell", *cell_cases(2),
    case("no_unit_forget_bias", dict(units=3, unit_forget_bias=False), x(2, 4),
         initial_state=[x(2, 3), x(2, 3)]))


for kind, policies in [("LSTM", ("float16",)),
                       ("SimpleRNN", ("float16", "mixed_float16", "mixed_bfloat16"))]:
    add(kind, *[case(policy + "_mask", dict(units=4, return_sequences=True, return_state=True),
                     x(3, 5, 2), masks=[mask(ROWS)], dtype=policy, grad=False,
                     rtol=1e-2 if policy == "mixed_bfloat16" else 2e-3) for policy in policies])


def cell(kind, units, **args):
    return Sub(kind + "Cell", units=units, **args)


def written(value):
    """A layer's config with nothing but what is said, to keep the files small."""
    if isinstance(value, Sub):
        return {"module": "keras.layers", "class_name": value.class_name,
                "config": written(value.args), "registered_name": None}
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    return [written(item) for item in value] if isinstance(value, list) else value


def short(name, args, *inputs, **options):
    return case(name, {}, *inputs, config=written(args), **options)


STACK = [cell("LSTM", 3), cell("GRU", 4), cell("SimpleRNN", 2)]
STATES = [x(2, 3), x(2, 3), x(2, 4), x(2, 2)]
add("StackedRNNCells",
    short("three", dict(cells=STACK), x(2, 5), initial_state=STATES, shapes=False),
    short("one", dict(cells=[cell("GRU", 3)]), x(2, 5), initial_state=[x(2, 3)], shapes=False),
    short("two_lstm", dict(cells=[cell("LSTM", 3), cell("LSTM", 2)]), x(2, 5),
         initial_state=[x(2, 3), x(2, 3), x(2, 2), x(2, 2)], shapes=False),
    short("gru_over_simple", dict(cells=[cell("SimpleRNN", 4, activation="relu"),
                                         cell("GRU", 2, reset_after=False)]), x(1, 3),
         initial_state=[x(1, 4), x(1, 2)], shapes=False),
    short("regularized", dict(cells=[cell("SimpleRNN", 2, kernel_regularizer="l2"),
                                     cell("SimpleRNN", 3, bias_regularizer="l1")]), x(2, 4),
         initial_state=[x(2, 2), x(2, 3)], shapes=False),
    short("dropout_at_inference", dict(cells=[cell("GRU", 3, dropout=0.3),
                                              cell("LSTM", 2, recurrent_dropout=0.2)]), x(3, 4),
         initial_state=[x(3, 3), x(3, 2), x(3, 2)], shapes=False),
    short("no_bias", dict(cells=[cell("LSTM", 1, use_bias=False), cell("GRU", 5)]), x(2, 1),
         initial_state=[x(2, 1), x(2, 1), x(2, 5)], shapes=False),
    short("second_step", dict(cells=[cell("GRU", 2), cell("SimpleRNN", 3)]), x(2, 3),
         initial_state=[x(2, 2), x(2, 3)], calls=[{"inputs": [x(4, 3)],
                                                   "initial_state": [x(4, 2), x(4, 3)]}],
         shapes=False))

BOTH = dict(return_sequences=True, return_state=True)
RNN_CELLS = {"simple": [cell("SimpleRNN", 3)], "gru": [cell("GRU", 3)], "lstm": [cell("LSTM", 3)],
             "gru_reset_before": [cell("GRU", 3, reset_after=False)],
             "lstm_relu": [cell("LSTM", 3, activation="relu")],
             "stacked": [Sub("StackedRNNCells", cells=STACK)]}
add("RNN", *[short(f"{name}_{kind}", dict(args, cell=cells[0]), x(2, 5, 4), shapes=False,
                  **options)
             for kind, cells in RNN_CELLS.items()
             for name, args, options in [
                 ("last", {}, {}),
                 ("all", BOTH, {}),
                 ("backwards", dict(BOTH, go_backwards=True), {}),
                 ("mask", BOTH, dict(masks=[mask(ROWS[:2])])),
                 ("zeros", dict(BOTH, zero_output_for_mask=True), dict(masks=[mask(ROWS[:2])])),
             ]],
    short("stacked_state", dict(BOTH, cell=Sub("StackedRNNCells", cells=STACK)), x(2, 5, 4),
         initial_state=STATES, shapes=False),
    short("stacked_unroll", dict(BOTH, unroll=True, cell=Sub("StackedRNNCells", cells=STACK)),
         x(2, 5, 4), shapes=False),
    short("unrolled_backwards_zeros", dict(BOTH, go_backwards=True, unroll=True,
                                           zero_output_for_mask=True, cell=cell("GRU", 3)),
          x(2, 5, 4), masks=[mask(ROWS[:2])], shapes=False),
    short("gru_shape", dict(BOTH, cell=cell("GRU", 3)), x(2, 5, 4)),
    short("activity_regularizer", dict(cell=cell("GRU", 3), activity_regularizer="l2"),
         x(2, 5, 4)),
    short("legacy", dict(BOTH, cell=cell("GRU", 3)), x(2, 5, 4), keras="2.15"),
    short("legacy_time_major", dict(BOTH, time_major=True, cell=cell("LSTM", 3)), x(5, 2, 4),
         keras="2.15", shapes=False),
    error("rank_2", dict(cell=cell("GRU", 3)), x(2, 4)))


def around(kind, **args):
    return Sub(kind, **dict(dict(units=3), **args))


add("Bidirectional",
    *[short(f"{kind.lower()}_{merge}_{which}",
           dict(layer=around(kind, **args), merge_mode=merge if merge != "none" else None),
           x(2, 5, 4), shapes=merge != "none")
      for kind in ("SimpleRNN", "GRU", "LSTM") for merge in ("concat", "sum", "mul", "ave", "none")
      for which, args in (("last", {}), ("all", dict(return_sequences=True)))
      if (kind, which) == ("LSTM", "all") or merge == "concat"],
    *[short(f"{kind.lower()}_states_{merge}", dict(layer=around(kind, **BOTH), merge_mode=merge),
           x(2, 5, 4)) for kind in ("GRU", "LSTM") for merge in ("concat", "sum")],
    short("states_no_merge", dict(layer=around("LSTM", **BOTH), merge_mode=None), x(2, 5, 4),
         shapes=False),
    *[short(f"mask_{name}", dict(layer=around("LSTM", **BOTH)), x(3, 5, 2), masks=[mask(rows)])
      for name, rows in dict(PADS, rows=ROWS).items()],
    *[short(f"mask_gru_{name}", dict(layer=around("GRU")), x(3, 5, 2), masks=[mask(rows)])
      for name, rows in dict(middle=PADS["middle"], last=LAST_MASKED).items()],
    short("initial_state", dict(layer=around("LSTM", **BOTH)), x(2, 5, 4),
         initial_state=[x(2, 3), x(2, 3), x(2, 3), x(2, 3)]),
    short("initial_state_gru", dict(layer=around("GRU", return_sequences=True)), x(2, 5, 4),
         initial_state=[x(2, 3), x(2, 3)]),
    short("backward_layer", dict(layer=around("LSTM", return_sequences=True),
                                backward_layer=around("GRU", units=3, activation="relu",
                                                      return_sequences=True, go_backwards=True)),
         x(2, 5, 4)),
    short("backward_layer_other_units", dict(layer=around("LSTM"),
                                            backward_layer=around("GRU", units=5,
                                                                  go_backwards=True)),
         x(2, 5, 4), shapes=False),
    short("forward_goes_backwards", dict(layer=around("GRU", go_backwards=True),
                                        backward_layer=around("GRU")), x(2, 5, 4)),
    short("stateful", dict(layer=around("LSTM", return_sequences=True, stateful=True)), x(2, 4, 3),
         calls=[{}, {}], shapes=False, grad=False),
    short("rnn_of_cell", dict(layer=Sub("RNN", cell=cell("LSTM", 3), return_sequences=True)),
         x(2, 5, 4)),
    short("nested_regularizers", dict(layer=around("GRU", kernel_regularizer="l2",
                                                  bias_regularizer="l1")), x(2, 5, 4)),
    case("float64", dict(layer=around("LSTM", dtype="float64"), dtype="float64"), x(2, 5, 4),
         dtype="float64"),
    case("full_config", dict(layer=around("LSTM", return_sequences=True)), x(2, 5, 4)),
    short("activations", dict(layer=around("LSTM", activation="relu",
                                          recurrent_activation="hard_sigmoid")), x(2, 5, 4)),
    short("odd_sizes", dict(layer=around("GRU", units=13, return_sequences=True)), x(5, 7, 3),
         rtol=4e-5),
    short("unknown_steps", dict(layer=around("GRU", return_sequences=True)), x(2, 5, 4),
         unknown=[[0, 1]]),
    short("legacy", dict(layer=around("GRU", return_sequences=True)), x(2, 5, 4), keras="2.15"),
    short("legacy_mask", dict(layer=around("LSTM", return_sequences=True)), x(3, 5, 2),
         masks=[mask(ROWS)], keras="2.15"),
    case("legacy_backwards", dict(layer=around("SimpleRNN", units=2, go_backwards=True)), x(1, 3, 2),
         keras="2.15", shapes=False, grad=False),
    error("rank_2", dict(layer=around("GRU")), x(2, 4)),
    error("both_go_backwards", dict(layer=around("GRU")), x(2, 5, 4), config=written(
        dict(layer=around("GRU", go_backwards=True)))),
    error("merge_mode_unknown", dict(layer=around("GRU")), x(2, 5, 4),
          override={"merge_mode": "max"}))


for kind in ("GRU", "LSTM", "SimpleRNN"):
    for item in CASES[kind][4:]:
        if not item.error and item.dtype is None and item.keras == "3":
            item.sparse_config, item.args = written(item.args), {}


def conv_lstm(rank, *space):
    name = f"ConvLSTM{rank}D"
    shape = (2, 3) + space + (2,)
    first = (2, 3, 2) + space
    args = dict(filters=3, kernel_size=2)
    add(name,
        case("defaults", args, x(*shape)),
        case("same", dict(args, padding="same"), x(*shape)),
        case("sequences", dict(args, return_sequences=True, padding="same"), x(*shape)),
        case("states", dict(args, **BOTH), x(*shape)),
        case("strides", dict(args, strides=2), x(*shape)),
        case("dilation", dict(args, dilation_rate=2), x(*shape)),
        case("kernel_3", dict(args, kernel_size=3, padding="same"), x(*shape)),
        case("channels_first", dict(args, data_format="channels_first"), x(*first), last=False,
             pending=True),
        case("no_bias", dict(args, use_bias=False), x(*shape)),
        case("activations", dict(args, activation="relu", recurrent_activation="hard_sigmoid"),
             x(*shape)),
        case("backwards", dict(args, go_backwards=True, return_sequences=True), x(*shape)),
        case("mask", dict(args, **BOTH), x(*shape), masks=[mask(["101", "011"])]),
        case("regularizers", dict(args, **FUNCTIONS), x(*shape)),
        case("stateful", dict(args, stateful=True), x(*shape), calls=[{}, {}], shapes=False,
             grad=False),
        case("float64", dict(args, padding="same"), x(*shape), dtype="float64"),
        case("dropout_at_inference", dict(args, dropout=0.5, recurrent_dropout=0.5), x(*shape)),
        case("legacy", dict(args, return_sequences=True), x(*shape), keras="2.15"),
        error("strides_and_dilation", args, x(*shape), override={"strides": [2] * rank,
                                                                 "dilation_rate": [2] * rank}),
        error("rank", args, x(*shape[:-1])))


conv_lstm(1, 5)
conv_lstm(2, 4, 5)
conv_lstm(3, 3, 3, 2)
