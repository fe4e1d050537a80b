"""Cases of the wrappers that need no recurrence."""

from registry import Sub, add, case, error
from tensors import ints, mask, vals, x

M = [mask(["110", "111"])]


def over(class_name, **args):
    return dict(layer=Sub(class_name, **args))


add(
    "TimeDistributed",
    case("dense", over("Dense", units=4), x(2, 3, 5)),
    case("dense_activation", over("Dense", units=4, activation="relu"), x(2, 3, 5)),
    case("dense_rank_4", over("Dense", units=4), x(2, 3, 2, 5)),
    case("batch_1_step_1", over("Dense", units=2), x(1, 1, 3)),
    case("training", over("Dense", units=2), x(2, 3, 4), training=True),
    case("mask_passes", over("Dense", units=2), x(2, 3, 4), masks=M),
    case("conv2d", over("Conv2D", filters=2, kernel_size=3, padding="same"), x(2, 3, 4, 5, 2)),
    case("conv1d_causal", over("Conv1D", filters=2, kernel_size=2, padding="causal"),
         x(2, 3, 5, 2)),
    case("max_pooling", over("MaxPooling2D", pool_size=2), x(2, 3, 4, 5, 2)),
    case("flatten", over("Flatten"), x(2, 3, 4, 2)),
    case("reshape", over("Reshape", target_shape=[4, 2]), x(2, 3, 8)),
    case("activation", over("Activation", activation="softmax"), x(2, 3, 4)),
    case("identity", over("Identity"), x(2, 3, 4)),
    case("embedding", over("Embedding", input_dim=7, output_dim=3), ints(2, 3, 4, high=7)),
    case("lstm", over("LSTM", units=3), x(2, 3, 4, 2)),
    case("lstm_sequences", over("LSTM", units=3, return_sequences=True), x(2, 3, 4, 2)),
    case("layer_normalization", over("LayerNormalization"), x(2, 3, 4)),
    case("batch_normalization", over("BatchNormalization"), x(4, 3, 2)),
    case("batch_normalization_training", over("BatchNormalization"), x(4, 3, 2), training=True),
    case("dropout_at_inference", over("Dropout", rate=0.5), x(2, 3, 4)),
    case("nested", dict(layer=Sub("TimeDistributed", layer=Sub("Dense", units=3))),
         x(2, 3, 2, 4)),
    case("einsum_dense", over("EinsumDense", equation="abc,cd->abd", output_shape=[None, 4],
                              bias_axes="d"), x(2, 3, 2, 5)),
    case("masking", over("Masking"), vals([[[[1, 0], [0, 0]], [[0, 0], [0, 0]]]], "float32")),
    case("regularizers", over("Dense", units=4, kernel_regularizer="l2", bias_regularizer="l1"),
         x(2, 3, 5)),
    case("activity_regularizer_of_the_layer", over("Dense", units=4, activity_regularizer="l2"),
         x(2, 3, 5)),
    case("activity_regularizer", dict(layer=Sub("Dense", units=4), activity_regularizer="l2"),
         x(2, 3, 5)),
    case("unknown_steps", over("Dense", units=4), x(2, 3, 5), unknown=[[0, 1]]),
    case("second_call", over("Dense", units=4), x(2, 3, 5), calls=[{"inputs": [x(1, 6, 5)]}]),
    case("float64", dict(layer=Sub("Dense", units=4, dtype="float64"), dtype="float64"),
         x(2, 3, 5), dtype="float64"),
    case("legacy", over("Dense", units=4), x(2, 3, 5), keras="2.15"),
    case("legacy_mask", over("Dense", units=4), x(2, 3, 5), masks=M, keras="2.15"),
    error("rank_2", over("Dense", units=4), x(2, 3)),
    error("layer_unknown", over("Dense", units=4), x(2, 3, 5),
          override={"layer": {"class_name": "Denser", "config": {}, "module": "keras.layers",
                              "registered_name": None}}),
    error("mask_of_the_wrong_length", over("Dense", units=4), x(2, 3, 5),
          masks=[mask(["11", "10"])]),
)

add("Wrapper", error("call", over("Dense", units=4), x(2, 3)))
