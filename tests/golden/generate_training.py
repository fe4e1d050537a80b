"""Golden cases of losses, metrics, optimizers, schedules and whole training runs, from Keras 3.

Writes functions/{losses,metrics,optimizers,schedules}.jsonl and training/*.json beside itself.
"""

import json
import pathlib

import kerasenv
from kerasenv import keras, np, tf
from tensors import Spec, encode as to_json

HERE = pathlib.Path(__file__).parent
SEED = 1000


def fill(shape, low=-1.0, high=1.0, dtype=None):
    global SEED
    SEED += 1
    spec = Spec(shape, dtype, (low, high))
    spec.seed = SEED
    return spec


def values(shape, values, dtype=None):
    return Spec(shape, dtype, values=values)


def probabilities(rows, classes):
    array = fill((rows, classes), 0.05, 1.0).array()
    array = array / array.sum(-1, keepdims=True)
    return values((rows, classes), [float(v) for v in array.ravel()])


def write_lines(name, cases):
    path = HERE / "functions" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(case) + "\n" for case in cases))
    print(path.name, len(cases))


def one_hot(rows, classes):
    labels = [(3 * i + 1) % classes for i in range(rows)]
    return values((rows, classes), [float(j == l) for l in labels for j in range(classes)])


REAL = lambda: (fill((6, 4)), fill((6, 4)))
POSITIVE = lambda: (fill((6, 4), 0, 3), fill((6, 4), 0.1, 3))
BINARY = lambda: (fill((6, 4), 0, 2, "int32"), fill((6, 4), 0.01, 0.99))
LOGITS = lambda: (fill((6, 4), 0, 2, "int32"), fill((6, 4), -3, 3))
CLASSES = lambda: (one_hot(6, 4), probabilities(6, 4))
CLASS_LOGITS = lambda: (one_hot(6, 4), fill((6, 4), -3, 3))
LABELS = lambda: (fill((6,), 0, 4, "int32"), probabilities(6, 4))
LABEL_LOGITS = lambda: (fill((6, 1), 0, 4, "int32"), fill((6, 4), -3, 3))
FLAT = lambda: (fill((6,)), fill((6, 1)))

LOSSES = [
    ("MeanSquaredError", {}, REAL),
    ("MeanSquaredError", {}, FLAT),
    ("MeanSquaredError", {"reduction": "sum"}, REAL),
    ("MeanSquaredError", {"reduction": "none"}, REAL),
    ("MeanSquaredError", {"reduction": "mean_with_sample_weight"}, REAL),
    ("MeanAbsoluteError", {}, REAL),
    ("MeanAbsolutePercentageError", {}, POSITIVE),
    ("MeanSquaredLogarithmicError", {}, POSITIVE),
    ("BinaryCrossentropy", {}, BINARY),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, LOGITS),
    ("CategoricalCrossentropy", {}, CLASSES),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, CLASS_LOGITS),
    ("SparseCategoricalCrossentropy", {}, LABELS),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, LABEL_LOGITS),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2}, LABEL_LOGITS),
    ("BinaryFocalCrossentropy", {}, BINARY),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "from_logits": True, "gamma": 1.5,
                                 "label_smoothing": 0.1}, LOGITS),
    ("CategoricalFocalCrossentropy", {}, CLASSES),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "alpha": 0.4}, CLASS_LOGITS),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, LABELS),
    ("Hinge", {}, BINARY),
    ("Hinge", {}, REAL),
    ("SquaredHinge", {}, BINARY),
    ("CategoricalHinge", {}, CLASSES),
    ("Huber", {"delta": 0.4}, REAL),
    ("LogCosh", {}, REAL),
    ("Poisson", {}, POSITIVE),
    ("KLDivergence", {}, CLASSES),
    ("CosineSimilarity", {}, REAL),
    ("CosineSimilarity", {"axis": 0}, REAL),
    ("Dice", {}, BINARY),
    ("Dice", {"axis": [1]}, BINARY),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, BINARY),
    ("Circle", {"gamma": 2.0}, lambda: (fill((6,), 0, 3, "int32"), fill((6, 5), -0.6, 0.6))),
]


def loss_cases():
    for name, config, data in LOSSES:
        for weighted in (False, True):
            y_true, y_pred = data()
            loss = getattr(keras.losses, name)(**config)
            case = {"class_name": name, "config": config, "y_true": y_true.json(),
                    "y_pred": y_pred.json()}
            weight = None
            if weighted and name not in ("Dice", "Tversky") and config.get("axis") != 0:
                spec = fill((6,), 0, 2)
                case["sample_weight"], weight = spec.json(), spec.array()
            elif weighted:
                continue
            pred = tf.Variable(y_pred.array())
            with tf.GradientTape() as tape:
                out = loss(y_true.array(), pred, sample_weight=weight)
                total = tf.reduce_sum(out)
            case["loss"] = to_json(out.numpy())
            case["gradient"] = to_json(tf.convert_to_tensor(tape.gradient(total, pred)).numpy())
            yield case
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        y_true, y_pred = fill((3, 4, 2)), fill((3, 4, 2))
        mask = values((3, 4), [True, True, False, False] * 2 + [True] * 4, "bool")
        pred = tf.Variable(y_pred.array())
        with tf.GradientTape() as tape:
            masked = tf.identity(pred)
            kerasenv.set_mask(masked, tf.constant(mask.array()))
            out = keras.losses.MeanSquaredError(reduction=reduction)(y_true.array(), masked)
        yield {"class_name": "MeanSquaredError", "config": {"reduction": reduction},
               "y_true": y_true.json(), "y_pred": y_pred.json(), "mask": mask.json(),
               "loss": to_json(out.numpy()), "gradient": to_json(tape.gradient(out, pred).numpy())}


METRICS = [
    ("MeanSquaredError", {}, REAL), ("RootMeanSquaredError", {}, REAL),
    ("MeanAbsoluteError", {}, REAL), ("MeanAbsolutePercentageError", {}, POSITIVE),
    ("MeanSquaredLogarithmicError", {}, POSITIVE), ("CosineSimilarity", {}, REAL),
    ("LogCoshError", {}, REAL), ("Hinge", {}, BINARY), ("SquaredHinge", {}, BINARY),
    ("CategoricalHinge", {}, CLASSES), ("KLDivergence", {}, CLASSES), ("Poisson", {}, POSITIVE),
    ("BinaryCrossentropy", {}, BINARY), ("CategoricalCrossentropy", {"from_logits": True}, CLASS_LOGITS),
    ("SparseCategoricalCrossentropy", {}, LABELS),
    ("Accuracy", {}, lambda: (fill((6, 1), 0, 2, "int32"), fill((6, 1), 0, 2, "int32"))),
    ("BinaryAccuracy", {}, BINARY), ("BinaryAccuracy", {"threshold": 0.3}, BINARY),
    ("CategoricalAccuracy", {}, CLASSES), ("SparseCategoricalAccuracy", {}, LABELS),
    ("SparseCategoricalAccuracy", {}, LABEL_LOGITS),
    ("TopKCategoricalAccuracy", {"k": 2}, CLASSES),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, LABELS),
    ("TruePositives", {}, BINARY), ("TrueNegatives", {}, BINARY), ("FalsePositives", {}, BINARY),
    ("FalseNegatives", {"thresholds": [0.2, 0.7]}, BINARY),
    ("Precision", {}, BINARY), ("Recall", {}, BINARY), ("Precision", {"thresholds": 0.3}, BINARY),
    ("Recall", {"top_k": 2}, BINARY), ("Precision", {"class_id": 1}, BINARY),
    ("AUC", {}, BINARY), ("AUC", {"curve": "PR"}, BINARY),
    ("AUC", {"num_thresholds": 20, "summation_method": "majoring"}, BINARY),
    ("AUC", {"curve": "PR", "num_thresholds": 11, "summation_method": "minoring"}, BINARY),
]
# Kept apart, so that what was there keeps its numbers.
MORE_METRICS = [
    ("PrecisionAtRecall", {"recall": 0.4}, BINARY), ("RecallAtPrecision", {"precision": 0.5}, BINARY),
    ("SensitivityAtSpecificity", {"specificity": 0.3, "num_thresholds": 20}, BINARY),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6}, BINARY),
    ("F1Score", {"average": "macro"}, CLASSES), ("F1Score", {}, CLASSES),
    ("F1Score", {"average": "micro", "threshold": 0.4}, BINARY),
    ("FBetaScore", {"average": "weighted", "beta": 2.0}, CLASSES),
    ("R2Score", {}, REAL), ("R2Score", {"class_aggregation": "variance_weighted_average"}, REAL),
    ("R2Score", {"class_aggregation": None, "num_regressors": 2}, REAL),
    ("MeanIoU", {"num_classes": 3}, lambda: (fill((6,), 0, 3, "int32"), fill((6,), 0, 3, "int32"))),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2], "ignore_class": 1},
     lambda: (fill((6,), 0, 3, "int32"), fill((6,), 0, 3, "int32"))),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [1, 3]}, CLASSES),
    ("OneHotMeanIoU", {"num_classes": 4}, CLASSES),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3},
     lambda: (fill((6,), 0, 2, "int32"), fill((6,), 0, 1))),
]
CORRELATIONS = [
    ("PearsonCorrelation", {}, REAL), ("PearsonCorrelation", {"axis": 1}, CLASSES),
    ("ConcordanceCorrelation", {}, REAL), ("ConcordanceCorrelation", {"axis": 1}, CLASSES),
]


def metric_cases(metrics):
    for name, config, data in metrics:
        for weighted in (False, True):
            metric = getattr(keras.metrics, name)(**config)
            updates = []
            for _ in range(2):
                y_true, y_pred = data()
                update = {"y_true": y_true.json(), "y_pred": y_pred.json()}
                weight = None
                if weighted:
                    spec = fill((6,), 0, 2)
                    update["sample_weight"], weight = spec.json(), spec.array()
                metric.update_state(y_true.array(), y_pred.array(), sample_weight=weight)
                updates.append(update)
            yield {"class_name": name, "config": config, "updates": updates,
                   "result": to_json(np.asarray(metric.result(), "float32"))}


OPTIMIZERS = [
    ("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"weight_decay": 0.1}), ("SGD", {"clipnorm": 0.5}), ("SGD", {"clipvalue": 0.3}),
    ("SGD", {"global_clipnorm": 0.7, "momentum": 0.5}),
    ("SGD", {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3}),
    ("SGD", {"gradient_accumulation_steps": 2, "momentum": 0.5}),
    ("SGD", {"loss_scale_factor": 4.0}),
    ("RMSprop", {}), ("RMSprop", {"momentum": 0.9}), ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "rho": 0.8}),
    ("Adam", {}), ("Adam", {"amsgrad": True}), ("Adam", {"weight_decay": 0.01, "clipnorm": 1.0}),
    ("AdamW", {}), ("Adagrad", {}), ("Adadelta", {"learning_rate": 1.0}), ("Adamax", {}),
    ("Nadam", {}), ("Ftrl", {}), ("Ftrl", {"l1_regularization_strength": 0.01,
                                          "l2_regularization_strength": 0.02, "beta": 0.1,
                                          "l2_shrinkage_regularization_strength": 0.01}),
    ("Lion", {}), ("Lamb", {}), ("Adafactor", {}),
]


MORE_OPTIMIZERS = [
    ("ScheduleFreeAdamW", {}), ("ScheduleFreeAdamW", {"warmup_steps": 3, "beta_1": 0.8}),
    ("ScheduleFreeAdamW", {"weight_decay": 0.01, "beta_2": 0.9, "clipnorm": 0.5}),
]


def optimizer_cases(optimizers):
    for name, config in optimizers:
        config = {"learning_rate": 0.05, **config}
        optimizer = getattr(keras.optimizers, name)(**config)
        start = [fill((3, 4)), fill((4,))]
        weights = [keras.Variable(s.array(), name=n) for s, n in zip(start, ("kernel", "bias"))]
        steps = []
        for _ in range(4):
            gradients = [fill((3, 4)), fill((4,))]
            optimizer.apply([tf.constant(g.array()) for g in gradients], weights)
            steps.append([g.json() for g in gradients])
        case = {"class_name": name, "config": config, "weights": [s.json() for s in start],
                "gradients": steps, "weights_after": [to_json(w.numpy()) for w in weights]}
        if name != "Adafactor":
            case["variables"] = [[v.name, to_json(np.asarray(v.numpy()))]
                                 for v in optimizer.variables]
        yield case


SCHEDULES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9,
                          "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5}),
    ("PiecewiseConstantDecay", {"boundaries": [5, 9], "values": [1.0, 0.5, 0.1]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "power": 2.0}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 6, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 12, "alpha": 0.1}),
    ("CosineDecay", {"initial_learning_rate": 0.01, "decay_steps": 10, "warmup_target": 0.1,
                     "warmup_steps": 4}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 4, "t_mul": 1.0,
                             "m_mul": 0.5}),
]


def schedule_cases():
    for name, config in SCHEDULES:
        schedule = getattr(keras.optimizers.schedules, name)(**config)
        rates = [float(schedule(step)) for step in range(20)]
        yield {"class_name": name, "config": config, "rates": rates}


def dense(units, **more):
    return keras.layers.Dense(units, **more)


def runs():
    L1L2 = keras.regularizers.L1L2
    yield ("sgd_momentum", [dense(8, activation="tanh", kernel_regularizer=L1L2(1e-3, 1e-2)),
                            dense(1)], (20, 3), (fill((20, 3)), fill((20, 1))),
           {"optimizer": keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), "loss": "mse",
            "metrics": ["mae"]}, {"epochs": 5, "batch_size": 6}, {})
    yield ("rmsprop_constraint", [dense(6, activation="relu",
                                        kernel_constraint=keras.constraints.MaxNorm(0.8)),
                                  dense(4, activation="softmax",
                                        activity_regularizer=keras.regularizers.L2(0.01))],
           (24, 5), (fill((24, 5)), fill((24,), 0, 4, "int32")),
           {"optimizer": keras.optimizers.RMSprop(0.01),
            "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
           {"epochs": 4, "batch_size": 5, "validation_split": 0.25}, {})
    yield ("adam_clipped", [dense(6, activation="sigmoid"), dense(1, activation="sigmoid")],
           (16, 4), (fill((16, 4)), fill((16, 1), 0, 2, "int32")),
           {"optimizer": keras.optimizers.Adam(0.02, global_clipnorm=0.1, weight_decay=0.01),
            "loss": keras.losses.BinaryCrossentropy(label_smoothing=0.1),
            "metrics": ["accuracy", "mse"], "weighted_metrics": ["mae"]},
           {"epochs": 6, "batch_size": 4}, {"sample_weight": fill((16,), 0, 2)})
    yield ("class_weight_schedule", [dense(3, activation="softmax")], (15, 4),
           (fill((15, 4)), fill((15,), 0, 3, "int32")),
           {"optimizer": keras.optimizers.SGD(
               keras.optimizers.schedules.ExponentialDecay(0.5, 4, 0.8)),
            "loss": "crossentropy", "metrics": ["sparse_categorical_crossentropy"]},
           {"epochs": 5, "batch_size": 4, "class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}, {})


    for name, optimizer in (
            ("embedding_sgd", keras.optimizers.SGD(0.3)),
            ("embedding_momentum", keras.optimizers.SGD(0.1, momentum=0.8)),
            ("embedding_adagrad", keras.optimizers.Adagrad(0.2)),
            ("embedding_adam", keras.optimizers.Adam(0.02)),
            ("embedding_rmsprop", keras.optimizers.RMSprop(0.02, clipnorm=0.05))):
        yield (name, [keras.layers.Embedding(9, 4), keras.layers.Flatten(),
                      dense(3, activation="softmax")], (12, 5),
               (fill((12, 5), 0, 7, "int32"), fill((12,), 0, 3, "int32")),
               {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy"},
               {"epochs": 3, "batch_size": 5}, {})
    yield ("convolution", [keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
                           keras.layers.BatchNormalization(), keras.layers.MaxPooling2D(2),
                           keras.layers.Flatten(), dense(3)], (14, 6, 6, 2),
           (fill((14, 6, 6, 2)), fill((14, 1), 0, 3, "int32")),
           {"optimizer": keras.optimizers.Adam(0.003, amsgrad=True),
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": ["acc", "sparse_top_k_categorical_accuracy"]},
           {"epochs": 3, "batch_size": 7, "validation_split": 0.3}, {})
    yield ("averaged", [dense(5, activation="relu"), dense(2)], (10, 3),
           (fill((10, 3)), fill((10, 2))),
           {"optimizer": keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7,
                                              gradient_accumulation_steps=2),
            "loss": "huber", "metrics": ["mse", "cosine_similarity"]},
           {"epochs": 3, "batch_size": 3}, {})
    a = keras.Input((3,), name="left")
    b = keras.Input((2,), name="right")
    h = dense(6, activation="tanh")(keras.layers.Concatenate()([a, b]))
    model = keras.Model([a, b], [dense(1, name="value")(h),
                                 dense(3, activation="softmax", name="kind")(h)])
    yield ("two_outputs", model, (16,),
           ([fill((16, 3)), fill((16, 2))], [fill((16, 1)), fill((16,), 0, 3, "int32")]),
           {"optimizer": keras.optimizers.SGD(0.1),
            "loss": ["mse", "sparse_categorical_crossentropy"], "loss_weights": [0.5, 2.0],
            "metrics": [["mae"], ["accuracy", "sparse_categorical_crossentropy"]]},
           {"epochs": 3, "batch_size": 6}, {})


def residual_block(x, filters, strides=1):
    """As in ResNet-20 (He et al. 2015): two convolutions, a projection where the shape changes."""
    def conv(x, size, strides):
        x = keras.layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False,
                                kernel_regularizer=keras.regularizers.L2(1e-3))(x)
        return keras.layers.BatchNormalization(momentum=0.9)(x)

    y = keras.layers.Activation("relu")(conv(x, 3, strides))
    y = conv(y, 3, 1)
    if strides != 1:
        x = conv(x, 1, strides)
    return keras.layers.Activation("relu")(keras.layers.Add()([x, y]))


def residual_network():
    x = first = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = residual_block(x, 4)
    x = residual_block(x, 6, 2)
    x = residual_block(x, 6)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(first, dense(3, activation="softmax")(x))


def encoder_block(x, norm):
    """A transformer's encoder block (Vaswani et al. 2017), normalized as `norm` does."""
    attended = keras.layers.MultiHeadAttention(2, 3, use_bias=False)(x, x)
    x = norm()(keras.layers.Add()([x, attended]))
    hidden = keras.layers.TimeDistributed(dense(8, activation="gelu"))(x)
    hidden = keras.layers.EinsumDense("abc,cd->abd", output_shape=(None, 4),
                                      bias_axes="d")(hidden)
    return norm()(keras.layers.Add()([x, hidden]))


def encoder(norm):
    x = first = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(9, 4, mask_zero=True)(x)
    for _ in range(2):
        x = encoder_block(x, norm)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(first, dense(3, activation="softmax")(x))


def decoder():
    """Attends over two sequences, causally over its own."""
    a, b = keras.Input((5, 4)), keras.Input((7, 4))
    x = keras.layers.MultiHeadAttention(2, 3, use_bias=False)(a, a, use_causal_mask=True)
    x = keras.layers.Add()([a, x])
    x = keras.layers.GroupQueryAttention(2, 4, 2, use_bias=False)(x, b)
    x = keras.layers.Attention(use_scale=True)([x, x])
    x = keras.layers.Flatten()(x)
    return keras.Model([a, b], dense(2)(x))


def model_runs():
    """Whole models of Keras's usual kinds; kept apart, so that what was there keeps its numbers."""
    yield ("residual_network", residual_network(), (12,),
           (fill((12, 8, 8, 2)), fill((12,), 0, 3, "int32")),
           {"optimizer": keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
            "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
           {"epochs": 3, "batch_size": 4}, {})
    yield ("encoder", encoder(keras.layers.BatchNormalization), (12,),
           (fill((12, 6), 0, 9, "int32"), fill((12,), 0, 3, "int32")),
           {"optimizer": keras.optimizers.SGD(0.05, momentum=0.5),
            "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
           {"epochs": 3, "batch_size": 5}, {})
    yield ("decoder", decoder(), (10,),
           ([fill((10, 5, 4)), fill((10, 7, 4))], fill((10, 2))),
           {"optimizer": keras.optimizers.Adam(0.01), "loss": "mse"},
           {"epochs": 3, "batch_size": 4}, {})
    yield ("encoder_layer_norm", encoder(keras.layers.LayerNormalization), (12,),
           (fill((12, 6), 0, 9, "int32"), fill((12,), 0, 3, "int32")),
           {"optimizer": keras.optimizers.SGD(0.05, momentum=0.5),
            "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
           {"epochs": 3, "batch_size": 5}, {})


def normalization_runs():
    """Weights that a layer sets and the optimizer changes in one step."""
    layers = keras.layers
    yield ("spectral", [layers.SpectralNormalization(
               layers.Conv2D(4, 2, activation="relu", kernel_regularizer="l2")),
               layers.GroupNormalization(2), layers.Flatten(),
               layers.SpectralNormalization(dense(5), power_iterations=2),
               layers.UnitNormalization(), dense(3)], (12, 5, 4, 2),
           (fill((12, 5, 4, 2)), fill((12,), 0, 3, "int32")),
           {"optimizer": keras.optimizers.SGD(0.05, momentum=0.8),
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
           {"epochs": 4, "batch_size": 5}, {})


def recurrent_runs():
    """Sequences through one layer each way; words with masks."""
    layers = keras.layers
    values_of = lambda: (fill((12, 9, 3)), fill((12, 2)))
    words = lambda: (fill((12, 7), 0, 9, "int32"), fill((12,), 0, 3, "int32"))
    kinds = {"sparse": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
             "mse": {"loss": "mse"}}
    head = lambda: dense(3, activation="softmax")
    embedding = lambda: layers.Embedding(9, 4, mask_zero=True)
    fit = {"epochs": 4, "batch_size": 5}
    yield ("lstm", [layers.LSTM(5, kernel_regularizer="l2"), dense(2)], (12, 9, 3), values_of(),
           dict(kinds["mse"], optimizer=keras.optimizers.Adam(0.01)), fit, {})
    yield ("gru", [layers.GRU(5, return_sequences=True), layers.GRU(4, reset_after=False),
                   dense(2)], (12, 9, 3), values_of(),
           dict(kinds["mse"], optimizer=keras.optimizers.RMSprop(0.01)), fit, {})
    yield ("simple_rnn", [layers.SimpleRNN(6, recurrent_constraint="max_norm"), dense(2)],
           (12, 9, 3), values_of(),
           dict(kinds["mse"], optimizer=keras.optimizers.SGD(0.05, momentum=0.9)), fit, {})
    yield ("bidirectional", [embedding(), layers.Bidirectional(layers.LSTM(4)), head()], (12, 7),
           words(), dict(kinds["sparse"], optimizer=keras.optimizers.SGD(0.1, momentum=0.5)), fit,
           {})
    yield ("bidirectional_gru", [layers.Bidirectional(layers.GRU(4, return_sequences=True),
                                                      merge_mode="ave"),
                                 layers.RNN([layers.LSTMCell(3), layers.GRUCell(3)]), dense(2)],
           (12, 9, 3), values_of(), dict(kinds["mse"], optimizer=keras.optimizers.Adam(0.01)), fit,
           {})
    yield ("conv_lstm", [layers.ConvLSTM2D(3, 2, return_sequences=True),
                         layers.ConvLSTM2D(2, 2, padding="same"), layers.Flatten(), dense(1)],
           (6, 3, 4, 4, 1), (fill((6, 3, 4, 4, 1)), fill((6, 1))),
           dict(kinds["mse"], optimizer=keras.optimizers.Adam(0.01)),
           {"epochs": 3, "batch_size": 4}, {})


def listed(data):
    return data if isinstance(data, list) else [data]


def run_case(layers, shape, data, compiled, fit, extra):
    if isinstance(layers, keras.Model):
        model = layers
        form = {"model": {"class_name": "Functional", "config": model.get_config()}}
    else:
        model = keras.Sequential([keras.Input(shape[1:])] + layers)
        form = {"layers": [{"class_name": type(l).__name__, "config": l.get_config()}
                           for l in layers]}
    # Moving variances must stay positive.
    start = [fill(w.shape, 0.2, 1.2) if "variance" in w.path else fill(w.shape, -0.7, 0.7)
             for w in model.weights]
    model.set_weights([s.array() for s in start])
    model.compile(**compiled)
    config = model.get_compile_config()
    x, y = ([spec.array() for spec in listed(part)] for part in data)
    x, y = (part if len(part) > 1 else part[0] for part in (x, y))
    history = model.fit(x, y, shuffle=False, verbose=0, **fit,
                        **{k: v.array() for k, v in extra.items()})
    fit = dict(fit)
    if "class_weight" in fit:
        fit["class_weight"] = list(fit["class_weight"].values())
    predictions = model.predict(x, verbose=0)
    return {"keras": kerasenv.VERSION, **form, "weights": [s.json() for s in start],
            "compile_config": config, "x": [spec.json() for spec in listed(data[0])],
            "y": [spec.json() for spec in listed(data[1])], "fit": fit,
            **{k: v.json() for k, v in extra.items()}, "history": history.history,
            "weights_after": [to_json(w) for w in model.get_weights()],
            "predictions": [to_json(p) for p in listed(predictions)]}


def write_runs(runs):
    (HERE / "training").mkdir(exist_ok=True)
    for name, *arguments in runs:
        path = HERE / "training" / (name + ".json")
        path.write_text(json.dumps(run_case(*arguments)) + "\n")
        print(path.name)


def main():
    write_lines("schedules.jsonl", list(schedule_cases()))
    write_lines("optimizers.jsonl", list(optimizer_cases(OPTIMIZERS)))
    write_lines("losses.jsonl", list(loss_cases()))
    write_lines("metrics.jsonl", list(metric_cases(METRICS)))
    write_runs(runs())
    write_lines("metrics_more.jsonl", list(metric_cases(MORE_METRICS)))
    global SEED
    SEED = 9000
    write_runs(model_runs())
    SEED = 12000
    write_runs(recurrent_runs())
    SEED = 15000
    write_runs(normalization_runs())
    SEED = 18000
    write_lines("metrics_correlation.jsonl", list(metric_cases(CORRELATIONS)))
    SEED = 19000
    write_lines("optimizers_more.jsonl", list(optimizer_cases(MORE_OPTIMIZERS)))


if __name__ == "__main__":
    main()
