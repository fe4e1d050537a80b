#!/usr/bin/env python3
"""check_keras_loads.py FILE.keras EXPECTED.json: opens a file in real Keras, compares predict."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf


def main():
    model = keras.saving.load_model(sys.argv[1], compile=False)
    with open(sys.argv[2], encoding="utf-8") as file:
        case = json.load(file)

    def arrays(key):
        return [np.array(t["values"], dtype=object if t["dtype"] == "string" else t["dtype"])
                .reshape(t["shape"]) for t in case[key]]

    inputs = arrays("inputs")
    if any(a.dtype == object for a in inputs):
        # predict takes no strings.
        inputs = [tf.constant(a.tolist(), "string" if a.dtype == object else a.dtype)
                  for a in inputs]
        got = [np.asarray(a) for a in model(inputs)]
    else:
        got = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        got = got if isinstance(got, list) else [got]
    worst = max(float(np.abs(a - b).max()) for a, b in zip(got, arrays("outputs")))
    print(f"{sys.argv[1]}: largest difference {worst:.3g}")
    return worst > 1e-5


if __name__ == "__main__":
    sys.exit(main())
