#!/usr/bin/env python3
"""check_keras_loads.py FILE.keras EXPECTED.json: opens a file in real Keras, compares predict."""

import json
import sys

import keras
import numpy as np


def main():
    model = keras.saving.load_model(sys.argv[1], compile=False)
    with open(sys.argv[2], encoding="utf-8") as file:
        case = json.load(file)

    def arrays(key):
        return [np.array(t["values"], dtype=t["dtype"]).reshape(t["shape"]) for t in case[key]]

    inputs = arrays("inputs")
    got = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    got = got if isinstance(got, list) else [got]
    worst = max(float(np.abs(a - b).max()) for a, b in zip(got, arrays("outputs")))
    print(f"{sys.argv[1]}: largest difference {worst:.3g}")
    return worst > 1e-5


if __name__ == "__main__":
    sys.exit(main())
