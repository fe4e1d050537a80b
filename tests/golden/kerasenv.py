"""Real Keras, either version, imported for reproducible numbers on the CPU."""

import gc
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

# clear_session collects garbage; without this it would walk all of TensorFlow each time.
gc.collect()
gc.freeze()

VERSION = keras.__version__
IS3 = VERSION.startswith("3")
FAMILY = "3" if IS3 else "2.15"


def clear():
    keras.backend.clear_session()


def set_mask(tensor, mask):
    if mask is not None:
        tensor._keras_mask = mask


def get_mask(tensor):
    return getattr(tensor, "_keras_mask", None)


def set_policy(name):
    if IS3:
        keras.config.set_dtype_policy(name)
    else:
        keras.mixed_precision.set_global_policy(name)


def symbolic(shape, dtype):
    return keras.Input(batch_shape=tuple(shape), dtype=dtype)


def jsonable(value):
    """A config as JSON holds it: tuples and arrays become lists."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, (np.ndarray, tf.Tensor)):
        return jsonable(np.asarray(value).tolist())
    if isinstance(value, (np.bool_,)):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, tf.TensorShape):
        return value.as_list()
    if isinstance(value, tf.DType):
        return value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value).__name__ in ("ListWrapper", "_DictWrapper", "TrackedList"):
        return jsonable(list(value))
    raise TypeError(f"config holds a {type(value)}: {value!r}")
