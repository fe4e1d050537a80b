"""Keras on TensorFlow: tensorflow_peer.py THREADS wall|cpu. Graph mode, warm."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from peer import Skip, serve  # noqa: E402

THREADS, CPU = int(sys.argv[1]), sys.argv[2] == "cpu"
tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(1)


def layer_of(case):
    if case["class_name"] == "Functional":
        return keras.Model.from_config(case["config"])
    return keras.saving.deserialize_keras_object(
        {"module": "keras.layers", "class_name": case["class_name"], "config": case["config"],
         "registered_name": None})


def numbers(case):
    shape = [case["batch"]] + case["input"]
    if case.get("integers"):
        return tf.constant(np.random.randint(0, case["integers"], shape).astype("int32"))
    return tf.constant(np.random.uniform(-1, 1, shape).astype("float32"))


def multiply(case):
    m, k, n = case["gemm"]
    ta, tb = bool(case.get("transpose_a")), bool(case.get("transpose_b"))
    a = tf.random.normal((k, m) if ta else (m, k))
    b = tf.random.normal((n, k) if tb else (k, n))
    return lambda: tf.matmul(a, b, transpose_a=ta, transpose_b=tb)


def prepare(case):
    if "gemm" in case:
        return multiply(case)
    keras.backend.clear_session()
    layer, x, kind = layer_of(case), numbers(case), case["pass"]
    count = case.get("arguments", 1)

    def apply(x, training):
        if case["class_name"] == "Attention":
            return layer([x] * count, training=training)
        return layer(*[x] * count, training=training)

    output = apply(x, False)
    if kind in ("predict", "forward"):
        call = tf.function(lambda x: apply(x, False))
        return lambda: call(x)
    sources = list(layer.trainable_variables)
    if kind == "train":
        labels = tf.constant((np.arange(case["batch"]) % 10).astype("int32"))
        loss = keras.losses.SparseCategoricalCrossentropy()
        adam = keras.optimizers.Adam()
        adam.build(sources)

        @tf.function
        def step(x, labels):
            with tf.GradientTape() as tape:
                value = loss(labels, layer(x, training=True))
            adam.apply(tape.gradient(value, [v.value for v in sources]), sources)
            return value
        return lambda: step(x, labels)
    gradient = tf.ones_like(output)
    watched = [x] if x.dtype.is_floating else []

    # The output is returned too, or the graph would leave out the forward of linear layers.
    @tf.function
    def back(x, gradient):
        with tf.GradientTape() as tape:
            tape.watch([x] if watched else [])
            y = apply(x, True)
        return y, tape.gradient(y, ([x] if watched else []) + [v.value for v in sources], gradient)
    return lambda: back(x, gradient)


serve(prepare, CPU)
