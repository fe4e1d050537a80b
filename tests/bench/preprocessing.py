#!/usr/bin/env python3
"""preprocessing.py [THREADS [MILLIONS]]: what bench_preprocessing times, by Keras on TensorFlow."""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
COUNT = (int(sys.argv[2]) if len(sys.argv) > 2 else 10) * 1000000
TURNS = 3
tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(THREADS)


def draw(most):
    with np.errstate(over="ignore"):
        z = np.arange(1, COUNT + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (u * u * most).astype(np.int64).reshape(COUNT, 1)


def clocks():
    return time.perf_counter(), time.process_time()


def report(name, taken):
    print(f"{name:32s} {taken[0] * 1e9 / COUNT:8.2f} {taken[1] * 1e9 / COUNT:8.2f}", flush=True)


def since(start):
    return [end - begin for end, begin in zip(clocks(), start)]


def run(name, layer, data, learns=False):
    if learns:
        start = clocks()
        layer.adapt(data)
        report(name + " adapt", since(start))
    turns = []
    for _ in range(TURNS):
        start = clocks()
        layer(data)
        turns.append(since(start))
    report(name, [min(turn[i] for turn in turns) for i in range(2)])


def main():
    layers = keras.layers
    numbers, wide = tf.constant(draw(10000)), tf.constant(draw(1000000))
    words = tf.strings.join(["word_", tf.strings.as_string(numbers)])
    many = tf.strings.join(["word_", tf.strings.as_string(wide)])
    floats = tf.cast(wide, tf.float32) * 1e-6
    run("StringLookup 10k", layers.StringLookup(), words, True)
    run("StringLookup 1M", layers.StringLookup(), many, True)
    run("IntegerLookup 10k", layers.IntegerLookup(), numbers, True)
    run("IntegerLookup 1M", layers.IntegerLookup(), wide, True)
    run("Hashing strings", layers.Hashing(1000), words)
    run("Hashing strings salted", layers.Hashing(1000, salt=[1, 2]), words)
    run("Hashing ints", layers.Hashing(1000), wide)
    run("HashedCrossing", layers.HashedCrossing(1000), [words, numbers])
    run("Discretization 100 bins", layers.Discretization(num_bins=100), floats, True)
    run("Rescaling", layers.Rescaling(1 / 255.0, -1.0), floats)
    table = tf.reshape(numbers, (COUNT // 100, 100)) % 100
    run("CategoryEncoding count", layers.CategoryEncoding(100, output_mode="count"), table)


if __name__ == "__main__":
    main()
