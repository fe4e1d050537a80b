#!/usr/bin/env python3
"""Makes tests/fuzz/corpus/keras: files that claim what they don't hold. Needs h5py."""

import io
import json
import os
import zipfile

import h5py
import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "keras")


def dense(units=2, name="dense", **more):
    return {"class_name": "Dense", "config": dict({"name": name, "units": units}, **more)}


def sequential(*layers, size=3):
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, size], "name": "in"}}
    return {"module": "keras", "class_name": "Sequential", "registered_name": None,
            "config": {"name": "s", "layers": [first, *layers]}}


def weights(fill, latest=True):
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("earliest", "latest" if latest else "v108")) as file:
        fill(file)
    return image.getvalue()


def plain(file):
    values = file.create_group("layers/dense/vars")
    values["0"] = np.ones((3, 2), "float32")
    values["1"] = np.zeros(2, "float32")


def keep(name, config, image=None, method=zipfile.ZIP_STORED, text=None):
    with zipfile.ZipFile(os.path.join(HERE, name + ".keras"), "w", method) as archive:
        def add(entry, data):
            archive.writestr(zipfile.ZipInfo(entry), data, method)
        add("metadata.json", '{"keras_version": "3.0.0"}')
        add("config.json", text if text is not None else json.dumps(config))
        if image is not None:
            add("model.weights.h5", image)


def main():
    os.makedirs(HERE, exist_ok=True)
    good = weights(plain)
    keep("small", sequential(dense()), good)

    def huge(file):
        file.create_group("layers/dense/vars").create_dataset(
            "0", (1 << 40, 1 << 20), "float32", chunks=(1, 1024))

    def huge_chunk(file):
        file.create_group("layers/dense/vars").create_dataset(
            "0", (3, 2), "float32", chunks=(1 << 14, 1 << 15), maxshape=(None, None))

    def external(file):
        file.create_group("layers/dense/vars").create_dataset(
            "0", (3, 2), "float32", external=[("/etc/passwd", 0, 24)])

    def link(file):
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")

    def circle(file):
        file["layers"] = h5py.SoftLink("/layers")

    def text(file):
        file.create_group("layers/dense/vars")["0"] = np.array([[b"a"] * 2] * 3)

    for fill in (huge, huge_chunk, external, link, circle, text):
        keep("h5_" + fill.__name__, sequential(dense()), weights(fill))
    keep("h5_huge_of_a_huge_layer", sequential(dense(1 << 20), size=1 << 40), weights(huge))
    keep("huge_layer", sequential(dense(1 << 30), size=1 << 10), good)
    keep("overflowing_layer", sequential(dense(1 << 62), size=1 << 10), good)
    keep("large_layers", sequential(*(dense(4096, "d%d" % i) for i in range(99))), good)
    keep("no_weights", sequential(dense()))
    keep("no_numbers", sequential(dense()), b"no HDF5 at all")
    keep("bomb", None, good, zipfile.ZIP_DEFLATED, " " * (1 << 24))
    deep = dense()
    for i in range(120):
        deep = {"class_name": "Sequential", "config": {"name": "s%d" % i, "layers": [deep]}}
    keep("deep_models", deep, good)
    keep("deep_lists", None, good, text="[" * 5000)
    keep("deep_maps", None, good, text='{"config":' * 2000)
    keep("list", [], good)
    keep("null", None, good)
    for i, config in enumerate(({"class_name": 3}, {"class_name": "Sequential", "config": 3},
                                {"class_name": "Sequential", "config": {"layers": "x"}},
                                {"class_name": "Functional", "config": {
                                    "layers": [], "input_layers": 4, "output_layers": None}},
                                sequential(dense("two")), sequential(dense(-1)),
                                sequential(dense(activation={"class_name": "Dense"})),
                                sequential({"class_name": "InputLayer", "config": {}}))):
        keep("ill_typed_%d" % i, config, good)


main()
