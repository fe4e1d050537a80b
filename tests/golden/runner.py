"""Runs one case through real Keras and writes down what it did."""

import inspect
import json

import numpy as np

import kerasenv
from kerasenv import keras, tf
from registry import Sub
from tensors import Spec, encode, is_float, uniform, x

POSITIONAL = {"MultiHeadAttention", "GroupQueryAttention"}
CELLS = {"SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells"}
RAISED = (Exception,)
DEFAULT_RANGES = [("variance", (0.5, 1.5)), ("gamma", (0.5, 1.5)), ("embeddings", (-1.0, 1.0)),
                  ("", (-0.5, 0.5))]


def dumps(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def find_class(name):
    for place in (keras.layers, getattr(keras.layers, "experimental", None)):
        if place is not None and hasattr(place, name):
            return getattr(place, name)
    raise AttributeError(f"Keras {kerasenv.VERSION} has no layer {name}")


def realize(value):
    """The arguments with each Sub made into its layer."""
    if isinstance(value, Sub):
        return find_class(value.class_name)(**realize(value.args))
    if isinstance(value, dict):
        return {key: realize(item) for key, item in value.items()}
    if isinstance(value, list):
        return [realize(item) for item in value]
    return value


class Runner:
    """One case on one layer; `wide` repeats it in float64 to judge its conditioning."""

    def __init__(self, class_name, case, wide=False):
        self.class_name, self.case, self.wide = class_name, case, wide
        self.cls = find_class(class_name)
        self.next_seed = case.seed(class_name)
        self.policy = "float64" if wide else (case.dtype or "float32")
        self.compute = {"mixed_float16": "float32", "mixed_bfloat16": "float32"}.get(
            self.policy, self.policy)
        if self.policy == "float16" or self.policy == "bfloat16":
            self.compute = self.policy

    def seed(self, spec):
        self.next_seed += 1
        return spec.with_seed(self.next_seed)

    # -- building -----------------------------------------------------------------

    def constructor_args(self):
        args = realize(self.case.args)
        if self.case.dtype:
            args["dtype"] = self.case.dtype
        return args

    def make_config(self):
        kerasenv.clear()
        kerasenv.set_policy("float32")
        args = self.constructor_args()
        if self.case.sparse_config is not None:
            return self.case.sparse_config
        config = kerasenv.jsonable(self.cls(**args).get_config())
        config.update(self.case.override)
        return config

    def make_layer(self, config):
        kerasenv.clear()
        keras.utils.set_random_seed(1)
        config = json.loads(dumps(config))
        if self.case.last:
            config["data_format"] = "channels_last"
        if self.wide:
            kerasenv.set_policy("float64")
            config = json.loads(dumps(config).replace('"float32"', '"float64"'))
        layer = self.cls.from_config(config)
        kerasenv.set_policy("float32")
        return layer

    # -- one call -----------------------------------------------------------------

    def invoke(self, layer, inputs, call, states, constants):
        kwargs = dict(call.get("kwargs") or {})
        kwargs["training"] = call.get("training", False)
        masks = call.get("masks_now")
        if states:
            stack = getattr(layer, "cells", None) or getattr(getattr(layer, "cell", None), "cells",
                                                             None)
            if self.class_name in CELLS:
                kwargs["states"] = by_cell(stack, states) if stack else list(states)
            elif stack:
                kwargs["initial_state"] = by_cell(stack, states)
            else:
                kwargs["initial_state"] = list(states) if len(states) > 1 else states[0]
        if constants:
            kwargs["constants"] = list(constants)
        if self.case.last:
            inputs = [to_last(t) for t in inputs]
        if masks is not None:
            for tensor, mask in zip(inputs, masks):
                kerasenv.set_mask(tensor, mask)
            names = inspect.signature(layer.call).parameters
            if len(inputs) == 1 and "mask" in names and masks[0] is not None:
                kwargs["mask"] = masks[0]
        if self.class_name in POSITIONAL:
            result = layer(*inputs, **kwargs)
        elif self.class_name == "StackedRNNCells" or len(inputs) == 1:
            result = layer(inputs[0], **kwargs)
        else:
            result = layer(list(inputs), **kwargs)
        outputs = flatten(result)
        if self.case.last:
            outputs = [to_first(t) for t in outputs]
        return outputs

    def run_call(self, layer, call, record, first):
        specs = [self.seed(s) for s in call["inputs"]]
        arrays = [self.value(s) for s in specs]
        masks = [None if m is None else tf.constant(m.array()) for m in call["masks"]] \
            if call.get("masks") else None
        state_specs = [self.seed(s) for s in call.get("initial_state") or []]
        constant_specs = [self.seed(s) for s in call.get("constants") or []]
        kwargs, kwargs_json = self.call_kwargs(call.get("kwargs") or {})
        now = dict(call, kwargs=kwargs, masks_now=masks)

        inputs = [tf.identity(as_tensor(a)) for a in arrays]
        states = [tf.constant(self.value(s)) for s in state_specs]
        constants = [tf.constant(self.value(s)) for s in constant_specs]
        watched = [t for t in inputs + states if t.dtype.is_floating]
        with tf.GradientTape(persistent=True) as tape:
            for tensor in watched:
                tape.watch(tensor)
            clear_losses(layer)
            outputs = self.invoke(layer, inputs, now, states, constants)
            losses = [tf.convert_to_tensor(v) for v in layer.losses]
            target = self.target(outputs, losses) if first else None
        result = {"outputs": [np.asarray(o) for o in outputs],
                  "masks": [kerasenv.get_mask(o) for o in outputs],
                  "losses": [np.asarray(v.numpy()) for v in losses]}
        if first and self.case.grad and target is not None:
            result["gradients"] = self.gradients(tape, target, inputs, states, layer)
        if record is not None:
            entry = {"inputs": [s.json(self.compute) for s in specs]}
            if masks is not None:
                entry["masks"] = [None if m is None else m.json() for m in call["masks"]]
            entry["training"] = bool(call.get("training", False))
            if state_specs:
                entry["initial_state"] = [s.json(self.compute) for s in state_specs]
            if constant_specs:
                entry["constants"] = [s.json(self.compute) for s in constant_specs]
            if kwargs_json:
                entry["kwargs"] = kwargs_json
            entry["outputs"] = [encode(o) for o in result["outputs"]]
            if any(m is not None for m in result["masks"]):
                entry["output_masks"] = [None if m is None else encode(np.asarray(m))
                                         for m in result["masks"]]
            if result["losses"]:
                entry["losses"] = [encode(v) for v in result["losses"]]
            record.append(entry)
        return result

    def value(self, spec):
        default = "float32" if self.wide else self.compute
        array = spec.array(default)
        return array.astype("float64") if self.wide and is_float(spec.resolved_dtype(default)) \
            else array

    def call_kwargs(self, kwargs):
        values, written = {}, {}
        for key, value in kwargs.items():
            if isinstance(value, Spec):
                value = self.seed(value)
                values[key] = tf.constant(self.value(value))
                written[key] = value.json(self.compute)
            else:
                values[key] = value
                written[key] = value
        return values, written

    # -- gradients ----------------------------------------------------------------

    def target(self, outputs, losses):
        terms = []
        self.cotangents = []
        for i, out in enumerate(outputs):
            if not out.dtype.is_floating:
                self.cotangents.append(None)
                continue
            spec = x(*out.shape)
            spec.seed = self.case.seed(self.class_name) + 48 + i
            self.cotangents.append((spec, out.dtype.name))
            weight = tf.constant(spec.array(out.dtype.name if not self.wide else "float32"))
            terms.append(tf.reduce_sum(out * tf.cast(weight, out.dtype)))
        terms += [tf.cast(v, terms[0].dtype) for v in losses] if terms else []
        return tf.add_n(terms) if terms else None

    def gradients(self, tape, target, inputs, states, layer):
        def of(sources):
            grads = tape.gradient(target, sources)
            return [None if g is None else np.asarray(tf.convert_to_tensor(g)) for g in grads]

        floats = [t if t.dtype.is_floating else None for t in inputs]
        found = {"inputs": [None if t is None else of([t])[0] for t in floats],
                 "weights": of([variable(w) for w in layer.trainable_weights])}
        if states:
            found["initial_state"] = of(states)
        return found

    def gradients_json(self, found):
        if found is None or all(g is None for part in found.values() for g in part):
            return None
        out = {"cotangents": [None if c is None else c[0].json(c[1]) for c in self.cotangents]}
        for key, grads in found.items():
            out[key] = [None if g is None else encode(g) for g in grads]
        return out

    # -- the whole case -----------------------------------------------------------

    def fill_weights(self, layer):
        specs = []
        given = self.case.weights
        current = layer.get_weights()
        names = [getattr(w, "path", w.name) for w in layer.weights]
        for i, (name, array) in enumerate(zip(names, current)):
            if isinstance(given, list):
                spec = given[i]
            else:
                leaf = name.split("/")[-1]
                low, high = next((r for part, r in given.items() if part in leaf), None) or \
                    next(r for part, r in DEFAULT_RANGES if part in leaf)
                spec = x(*array.shape, low=low, high=high, dtype=str(array.dtype))
            specs.append(self.seed(spec))
        if specs:
            layer.set_weights([s.array().astype(a.dtype) for s, a in zip(specs, current)])
        return specs

    def calls(self):
        case = self.case
        first = {"inputs": case.inputs, "training": case.training, "masks": case.masks,
                 "initial_state": case.initial_state, "constants": case.constants,
                 "kwargs": case.kwargs}
        later = [dict(first, **c) if "inputs" in c else dict(first, inputs=case.inputs, **c)
                 for c in case.calls]
        return [first] + later

    def build(self, layer):
        """Builds by one call on the first inputs, in inference and with the states kept."""
        call = self.calls()[0]
        inputs = [s.with_seed(1) for s in call["inputs"]]
        tensors = [as_tensor(self.value(s)) for s in inputs]
        states = [tf.constant(self.value(s.with_seed(1))) for s in call["initial_state"] or []]
        constants = [tf.constant(self.value(s.with_seed(1))) for s in call["constants"] or []]
        saved, self.next_seed = self.next_seed, 0
        kwargs, _ = self.call_kwargs(call["kwargs"] or {})
        self.next_seed = saved
        self.invoke(layer, tensors, {"kwargs": kwargs}, states, constants)
        if hasattr(layer, "reset_states") and getattr(layer, "stateful", False):
            layer.reset_states()
        elif hasattr(layer, "reset_state") and getattr(layer, "stateful", False):
            layer.reset_state()

    def run(self):
        """The case as its JSON object (None under `wide`) and the raw results."""
        config = self.make_config()
        layer = self.make_layer(config)
        out = {"name": self.case.name, "keras": kerasenv.VERSION, "class_name": self.class_name,
               "config": config}
        adapted = None
        if self.case.adapt is not None:
            adapted = self.seed(self.case.adapt)
            out["adapt"] = adapted.json(self.compute)
            layer.adapt(self.value(adapted))
        if not layer.built:
            self.build(layer)
        before = None
        if adapted is None:
            specs = self.fill_weights(layer)
            before = layer.get_weights()
            out["weights"] = [s.json(str(a.dtype)) for s, a in zip(specs, before)]
        calls = self.calls()
        if adapted is None:
            out["input_shapes"] = [list(s.shape) for s in calls[0]["inputs"]]
        record, results = [], []
        for i, call in enumerate(calls):
            results.append(self.run_call(layer, call, record, i == 0))
        out.setdefault("input_shapes", [e["shape"] for e in record[0]["inputs"]])
        out["calls"] = record
        after = [] if has_text(layer) else layer.get_weights()
        if after and (before is None or any(not np.array_equal(a, b, equal_nan=True)
                                            for a, b in zip(before, after))):
            out["weights_after"] = [encode(a) for a in after]
        results.append({"after": after})
        if hasattr(layer, "get_vocabulary") and adapted is not None:
            out["vocabulary"] = kerasenv.jsonable(list(layer.get_vocabulary()))
        written = self.gradients_json(results[0].get("gradients"))
        if written:
            out["gradients"] = written
        if not self.wide and self.case.shapes:
            shapes = self.output_shapes(config, record[0]["inputs"], calls[0])
            if self.case.unknown:
                out["unknown_dims"] = self.case.unknown
            if shapes is not None:
                out["output_shapes"] = shapes
        rtol = self.case.rtol or {"float64": 1e-9}.get(self.case.dtype)
        if rtol:
            out["rtol"] = rtol
        return out, results

    def output_shapes(self, config, inputs, call):
        layer = self.cls.from_config(json.loads(dumps(config)))
        unknown = {(i, 0) for i in range(len(inputs))}
        unknown |= {tuple(pair) for pair in self.case.unknown or []}
        symbols = []
        for i, tensor in enumerate(inputs):
            shape = [None if (i, axis) in unknown else d for axis, d in enumerate(tensor["shape"])]
            symbols.append(kerasenv.symbolic(shape, tensor["dtype"]))
        states = [kerasenv.symbolic([None] + list(s.shape[1:]), s.resolved_dtype(self.compute))
                  for s in call["initial_state"] or []]
        keep, self.case.last = self.case.last, False
        if self.case.adapt is not None:
            layer.adapt(self.case.adapt.with_seed(1).array(self.compute))
        try:
            outputs = self.invoke(layer, symbols, {"kwargs": self.call_kwargs(
                call["kwargs"] or {})[0]}, states, [])
            return [[None if d is None else int(d) for d in o.shape] for o in outputs]
        except RAISED as problem:
            print(f"  no symbolic shape: {self.class_name}/{self.case.name}: "
                  f"{str(problem).strip().splitlines()[0][:110]}")
            return None
        finally:
            self.case.last = keep

    def run_error(self):
        """A case that must fail, checked to fail in Keras too."""
        config = self.make_config()
        specs = [self.seed(s) for s in self.case.inputs]
        out = {"name": self.case.name, "keras": kerasenv.VERSION, "class_name": self.class_name,
               "config": config, "input_shapes": [list(s.shape) for s in specs], "error": True}
        if self.case.adapt is not None:
            out["adapt"] = self.seed(self.case.adapt).json(self.compute)
        call = {"inputs": [s.json(self.compute) for s in specs], "training": self.case.training}
        if self.case.masks:
            call["masks"] = [None if m is None else m.json() for m in self.case.masks]
        states = [self.seed(s) for s in self.case.initial_state or []]
        if states:
            call["initial_state"] = [s.json(self.compute) for s in states]
        kwargs, kwargs_json = self.call_kwargs(self.case.kwargs)
        if kwargs_json:
            call["kwargs"] = kwargs_json
        out["calls"] = [call] if specs else []
        try:
            layer = self.make_layer(config)
            if self.case.adapt is not None:
                layer.adapt(self.case.adapt.with_seed(1).array())
            if specs:
                masks = [None if m is None else tf.constant(m.array()) for m in self.case.masks] \
                    if self.case.masks else None
                self.invoke(layer, [as_tensor(self.value(s)) for s in specs],
                            {"kwargs": kwargs, "masks_now": masks, "training": self.case.training},
                            [tf.constant(self.value(s)) for s in states], [])
        except RAISED:
            return out
        raise AssertionError(f"{self.class_name}/{self.case.name}: Keras takes it")


def by_cell(cells, states):
    """The states of stacked cells as Keras nests them."""
    states, nested = list(states), []
    for cell in cells:
        many = isinstance(cell.state_size, (list, tuple))
        count = len(cell.state_size) if many else 1
        nested.append(states[:count] if many else states[0])
        states = states[count:]
    return nested


def has_text(layer):
    return any(getattr(a, "dtype", None) == object for a in layer.get_weights())


def variable(weight):
    return getattr(weight, "value", weight) if kerasenv.IS3 else weight


def clear_losses(layer):
    if hasattr(layer, "_clear_losses"):
        layer._clear_losses()


def flatten(result):
    if isinstance(result, dict):
        return [t for key in sorted(result) for t in flatten(result[key])]
    if isinstance(result, (list, tuple)):
        return [t for item in result for t in flatten(item)]
    return [result]


def as_tensor(array):
    if array.dtype == object:
        return tf.constant(array.tolist(), dtype=tf.string, shape=array.shape)
    return tf.constant(array)


def to_last(tensor):
    mask = kerasenv.get_mask(tensor)
    rank = len(tensor.shape)
    out = tf.transpose(tensor, [0] + list(range(2, rank)) + [1])
    kerasenv.set_mask(out, mask)
    return out


def to_first(tensor):
    rank = len(tensor.shape)
    return tf.transpose(tensor, [0, rank - 1] + list(range(1, rank - 1))) if rank > 2 else tensor


def worst(narrow, wide, rtol):
    """How far float32 results stand from float64 ones, in tolerances; and where."""
    found = (0.0, "")

    def look(got, want, where):
        nonlocal found
        if got is None or want is None or not np.issubdtype(np.asarray(got).dtype, np.floating):
            return
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        finite = np.isfinite(want) & np.isfinite(got)
        if got.size == 0 or not finite.any():
            return
        scale = max(1e-3, np.abs(want[finite]).max())
        far = np.abs(got[finite] - want[finite]).max() / (rtol * scale)
        if far > found[0]:
            found = (far, where)

    for i, (a, b) in enumerate(zip(narrow, wide)):
        for key in ("outputs", "losses", "after"):
            for k, (p, q) in enumerate(zip(a.get(key, []), b.get(key, []))):
                look(p, q, f"call {i} {key}[{k}]")
        for key, grads in (a.get("gradients") or {}).items():
            for k, (p, q) in enumerate(zip(grads, b["gradients"][key])):
                look(p, q, f"gradients of {key}[{k}]")
    return found
