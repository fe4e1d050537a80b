#!/usr/bin/env python3
"""Writes summaries.txt: what real Keras 3 prints of the models that test_summary.c makes."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["COLUMNS"] = "80"

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers as L  # noqa: E402

EVERY = [{}, {"expand_nested": True}, {"show_trainable": True},
         {"expand_nested": True, "show_trainable": True}, {"line_length": 60}]


def inner(name):
    return keras.Sequential([keras.Input((8,)), L.Dense(4, name="dense"),
                             L.BatchNormalization(name="batch_normalization")], name=name)


def functional():
    a, b, part = keras.Input((8,), name="a"), keras.Input((8,), name="b"), inner("inner")
    total = L.Add(name="sum")([part(a), part(b)])
    out = L.Dense(2, name="a_rather_long_layer_name_that_wraps_around")(total)
    return keras.Model([a, b], [out, total], name="net")


def sequential():
    model = keras.Sequential([keras.Input((28, 28, 1)), L.Conv2D(32, 3, name="conv2d"),
                              L.MaxPooling2D(name="max_pooling2d"), L.Flatten(name="flatten"),
                              L.Dense(10, name="dense")], name="seq")
    model.layers[0].trainable = False
    return model


def deep():
    x = keras.Input((8,), name="x")
    middle = keras.Sequential([keras.Input((8,)), inner("inner"), L.Dropout(0.5, name="dropout")],
                              name="deep")
    return keras.Model(x, L.Dense(1, name="last")(middle(x)), name="outer")


def ops():
    x = keras.Input((5,), name="x")
    outputs = L.LSTM(3, return_state=True, name="lstm")(L.Reshape((5, 1), name="reshape")(x))
    return keras.Model(x, [outputs[0], L.Add(name="add")([outputs[1], outputs[2]])], name="states")


def shared():
    x, twice = keras.Input((8,), name="x"), L.Dense(8, name="d")
    return keras.Model(x, twice(twice(x)), name="shared")


def two_outputs():
    x, within = keras.Input((8,), name="x"), keras.Input((8,), name="within")
    part = keras.Model(within, [L.Dense(4, name="p")(within), L.Dense(2, name="q")(within)],
                       name="part")
    p, q = part(x)
    return keras.Model(x, [L.Dense(1, name="last")(p), q], name="two_outputs")


def trained():
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, name="dense")], name="trained")
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 3)), np.zeros((2, 2)), verbose=0)
    return model


def unbuilt():
    return keras.Sequential([L.Dense(3, name="first"), L.Dense(2, name="second")], name="unbuilt")


MODELS = [(functional, EVERY), (sequential, EVERY + [{"line_length": 20}]), (deep, EVERY), (ops, EVERY), (shared, EVERY),
          (two_outputs, EVERY), (trained, EVERY[:1]), (unbuilt, EVERY[:3])]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "summaries.txt"), "w", encoding="utf-8") as file:
        for make, forms in MODELS:
            model = make()
            for form in forms:
                text = []
                model.summary(print_fn=lambda line, line_break=None: text.append(line), **form)
                file.write(f"== {make.__name__} {form.get('line_length', 0)} "
                           f"{int(form.get('expand_nested', 0))} "
                           f"{int(form.get('show_trainable', 0))}\n")
                file.write("\n".join(text).rstrip("\n") + "\n")


main()
