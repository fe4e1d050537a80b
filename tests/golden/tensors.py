"""Tensors of golden cases: how they are described, made and written."""

import base64
import math

import numpy as np

SAMPLE_ABOVE = 2048
SAMPLE_COUNT = 64


def uniform(seed, count):
    """u(seed, 0..count-1) of the case form, as float64 in [0, 1)."""
    with np.errstate(over="ignore"):
        i = np.arange(1, count + 1, dtype=np.uint64)
        z = np.uint64(seed) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-24


def to_dtype(array, dtype):
    """The array rounded to a dtype's values; bfloat16 through ml_dtypes or TensorFlow."""
    if dtype == "bfloat16":
        try:
            import ml_dtypes

            return array.astype(np.float32).astype(ml_dtypes.bfloat16)
        except ImportError:
            import tensorflow as tf

            return array.astype(np.float32).astype(tf.bfloat16.as_numpy_dtype)
    if dtype == "string":
        return np.asarray(array, dtype=object)
    return array.astype(dtype)


class Spec:
    """A tensor by description: fill values or literal ones. `seed` is set by the case."""

    def __init__(self, shape, dtype=None, fill=None, values=None):
        self.shape = tuple(shape)
        self.dtype = dtype
        self.fill = fill
        self.values = values
        self.seed = None

    def resolved_dtype(self, default):
        return self.dtype or default

    def with_seed(self, seed):
        copy = Spec(self.shape, self.dtype, self.fill, self.values)
        copy.seed = seed if self.seed is None else self.seed
        return copy

    def array(self, default="float32"):
        dtype = self.resolved_dtype(default)
        if self.values is not None:
            flat = [float(v) if v in ("NaN", "Infinity", "-Infinity") and dtype != "string" else v
                    for v in self.values]
            if dtype == "string":
                out = np.empty(len(flat), dtype=object)
                out[:] = flat
                return out.reshape(self.shape)
            return to_dtype(np.array(flat).reshape(self.shape), dtype)
        low, high = self.fill
        count = math.prod(self.shape)
        values = low + (high - low) * uniform(self.seed, count)
        if not is_float(dtype):
            values = np.floor(values)
        return to_dtype(values.reshape(self.shape), dtype)

    def json(self, default="float32"):
        out = {"dtype": self.resolved_dtype(default), "shape": list(self.shape)}
        if self.values is not None:
            out["values"] = list(self.values)
        else:
            out["fill"] = [self.seed, self.fill[0], self.fill[1]]
        return out


def x(*shape, low=-1.0, high=1.0, dtype=None):
    """Floats in [low, high) of the case's own dtype."""
    return Spec(shape, dtype, fill=(low, high))


def ints(*shape, low=0, high=10, dtype="int32"):
    return Spec(shape, dtype, fill=(low, high))


def vals(nested, dtype=None):
    """Literal numbers, booleans or strings; nested lists give the shape."""
    shape, flat = [], nested
    while isinstance(flat, (list, tuple)):
        shape.append(len(flat))
        flat = flat[0] if len(flat) else None
    leaves = [nested] if not shape else list(_leaves(nested))
    if dtype is None and leaves and isinstance(leaves[0], bool):
        dtype = "bool"
    if dtype is None and leaves and isinstance(leaves[0], str) and leaves[0] not in (
            "NaN", "Infinity", "-Infinity"):
        dtype = "string"
    return Spec(shape, dtype, values=leaves)


def _leaves(nested):
    for item in nested:
        if isinstance(item, (list, tuple)):
            yield from _leaves(item)
        else:
            yield item


def mask(rows):
    """A boolean mask from rows of 0 and 1, such as ["1100", "1110"]."""
    return vals([[c == "1" for c in row] for row in rows], "bool")


def is_float(dtype):
    return dtype in ("float16", "bfloat16", "float32", "float64")


def dtype_name(array):
    if array.dtype == object or array.dtype.kind in "SU":
        return "string"
    name = str(array.dtype)
    return "bool" if name == "bool_" else name


def json_number(value):
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, (str, np.str_)):
        return str(value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def encode(array):
    """A computed tensor: values where short or text, base64, or a sample where large."""
    array = np.asarray(array)
    dtype = dtype_name(array)
    out = {"dtype": dtype, "shape": list(array.shape)}
    flat = array.reshape(-1)
    if dtype == "string" or dtype == "bool":
        out["values"] = [json_number(v) for v in flat]
    elif flat.size <= SAMPLE_ABOVE:
        if not is_float(dtype) and (flat.size == 0 or np.abs(flat).max() < 1000):
            out["values"] = [int(v) for v in flat]
        else:
            out["base64"] = raw64(flat)
    else:
        picks = np.floor(uniform(1, SAMPLE_COUNT) * flat.size).astype(np.int64)
        wide = flat.astype(np.float64)
        out["sample"] = {"base64": raw64(flat[picks]), "sum": json_number(wide.sum()),
                         "abs_sum": json_number(np.abs(wide).sum())}
    return out


def raw64(flat):
    if flat.dtype.byteorder == ">":
        flat = flat.astype(flat.dtype.newbyteorder("<"))
    return base64.b64encode(np.ascontiguousarray(flat).tobytes()).decode("ascii")


def decode(tensor):
    """The array of a TENSOR of the case form; samples can't be decoded."""
    shape = tuple(tensor["shape"])
    dtype = tensor["dtype"]
    if "fill" in tensor:
        seed, low, high = tensor["fill"]
        spec = Spec(shape, dtype, fill=(low, high))
        spec.seed = seed
        return spec.array()
    if "values" in tensor:
        return Spec(shape, dtype, values=tensor["values"]).array()
    raw = base64.b64decode(tensor["base64"])
    if dtype == "bfloat16":
        bits = np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16
        return to_dtype(bits.view(np.float32), dtype).reshape(shape)
    return np.frombuffer(raw, dtype=np.dtype(dtype).newbyteorder("<")).reshape(shape)
