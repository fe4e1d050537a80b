"""ONNX Runtime's side, inference only: onnx_peer.py THREADS wall|cpu. Graphs are written here."""

import sys

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from peer import Skip, serve

THREADS, CPU = int(sys.argv[1]), sys.argv[2] == "cpu"
ort.set_default_logger_severity(3)


class Writer:
    """An ONNX graph under construction; shapes run along, channels second."""

    def __init__(self):
        self.nodes, self.weights, self.count, self.channels_second = [], [], 0, False

    def weight(self, *shape, value=None):
        name = f"w{len(self.weights)}"
        array = np.random.uniform(-0.1, 0.1, shape).astype("float32") if value is None else value
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind, inputs, outputs=1, **attributes):
        names = [f"t{self.count + i}" for i in range(outputs)]
        self.count += outputs
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def ints(self, *values):
        return self.weight(value=np.array(values, "int64"))


def act(g, name, config):
    kind = config.get("activation")
    kinds = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
    if kind == "softmax":
        return g.node("Softmax", [name], axis=-1)
    return g.node(kinds[kind], [name]) if kind in kinds else name


def same(sizes, kernel, stride):
    total = [max((-(-s // t) - 1) * t + k - s, 0) for s, k, t in zip(sizes, kernel, stride)]
    return [t // 2 for t in total] + [t - t // 2 for t in total]


def conv(g, name, c, x, shape):
    rank = len(shape) - 2
    kernel, stride = c["kernel_size"], c.get("strides", [1] * rank)
    channels = shape[1]
    padded = c.get("padding") == "same"
    if "Transpose" in name:
        pads = [(k - s) // 2 for k, s in zip(kernel, stride)] * 2 if padded else [0] * 2 * rank
        out = [(s - 1) * t + k - p - q for s, t, k, p, q in
               zip(shape[2:], stride, kernel, pads[:rank], pads[rank:])]
        inputs = [x, g.weight(channels, c["filters"], *kernel), g.weight(c["filters"])]
        return act(g, g.node("ConvTranspose", inputs, strides=stride, pads=pads), c), \
            [shape[0], c["filters"]] + out
    dilation, group = c.get("dilation_rate", [1] * rank), c.get("groups", 1)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    pads = same(shape[2:], spans, stride) if padded else [0] * 2 * rank
    out = [(s + p + q - k) // t + 1 for s, p, q, k, t in
           zip(shape[2:], pads[:rank], pads[rank:], spans, stride)]
    filters = c.get("filters")
    if name.startswith(("Depthwise", "Separable")):
        x = g.node("Conv", [x, g.weight(channels, 1, *kernel)], group=channels, strides=stride, pads=pads)
        if filters is None:
            return act(g, x, c), [shape[0], channels] + out
        kernel, stride, pads = [1] * rank, [1] * rank, [0] * 2 * rank
    inputs = [x, g.weight(filters, channels // group, *kernel)]
    if c.get("use_bias", True):
        inputs.append(g.weight(filters))
    y = g.node("Conv", inputs, strides=stride, pads=pads, dilations=dilation, group=group)
    return act(g, y, c), [shape[0], filters] + out


def pool(g, name, c, x, shape):
    if name == "GlobalAveragePooling1D" and not g.channels_second:
        return g.node("ReduceMean", [x, g.ints(1)], keepdims=0), [shape[0], shape[2]]
    if name.startswith("Global"):
        kind = "GlobalAveragePool" if "Average" in name else "GlobalMaxPool"
        return g.node("Flatten", [g.node(kind, [x])]), shape[:2]
    size = c["pool_size"]
    stride = c.get("strides", size)
    kind = "MaxPool" if name.startswith("Max") else "AveragePool"
    out = [(s - k) // t + 1 for s, k, t in zip(shape[2:], size, stride)]
    return g.node(kind, [x], kernel_shape=size, strides=stride), shape[:2] + out


def recurrent(g, name, c, x, shape):
    ways, extra = 1, {"linear_before_reset": 1} if name == "GRU" else {}
    if name == "Bidirectional":
        name, c, ways, extra = "LSTM", c["layer"]["config"], 2, {"direction": "bidirectional"}
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[name]
    units, width = c["units"], shape[2]
    x = g.node("Transpose", [x], perm=[1, 0, 2])
    inputs = [x, g.weight(ways, gates * units, width), g.weight(ways, gates * units, units),
              g.weight(ways, 2 * gates * units)]
    outputs = g.node({"SimpleRNN": "RNN"}.get(name, name), inputs, 3 if name == "LSTM" else 2,
                     hidden_size=units, **extra)
    if ways == 2:
        y = g.node("Transpose", [outputs[1]], perm=[1, 0, 2])
        return g.node("Reshape", [y, g.ints(shape[0], 2 * units)]), [shape[0], 2 * units]
    return g.node("Squeeze", [outputs[1], g.ints(0)]), [shape[0], units]


def heads(g, c, x, shape):
    n, t, width = shape
    h, d = c["num_heads"], c["key_dim"]
    parts = []
    for _ in range(3):
        y = g.node("Add", [g.node("MatMul", [x, g.weight(width, h * d)]), g.weight(h * d)])
        parts.append(g.node("Reshape", [y, g.ints(n, t, h, d)]))
    q = g.node("Transpose", [parts[0]], perm=[0, 2, 1, 3])
    k = g.node("Transpose", [parts[1]], perm=[0, 2, 3, 1])
    v = g.node("Transpose", [parts[2]], perm=[0, 2, 1, 3])
    q = g.node("Mul", [q, g.weight(value=np.array(d ** -0.5, "float32"))])
    p = g.node("Softmax", [g.node("MatMul", [q, k])], axis=-1)
    y = g.node("Transpose", [g.node("MatMul", [p, v])], perm=[0, 2, 1, 3])
    y = g.node("Reshape", [y, g.ints(n, t, h * d)])
    return g.node("Add", [g.node("MatMul", [y, g.weight(h * d, width)]), g.weight(width)]), shape


def norm(g, name, c, x, shape):
    if name == "BatchNormalization":
        ones = [g.weight(value=np.ones(shape[1], "float32")) for _ in range(4)]
        return g.node("BatchNormalization", [x] + ones, epsilon=1e-3), shape
    if name == "LayerNormalization":
        return g.node("LayerNormalization", [x, g.weight(shape[-1]), g.weight(shape[-1])],
                      epsilon=1e-3), shape
    if name == "GroupNormalization":
        return g.node("GroupNormalization", [x, g.weight(shape[1]), g.weight(shape[1])],
                      epsilon=1e-3, num_groups=c["groups"]), shape
    if name == "RMSNormalization":
        return g.node("RMSNormalization", [x, g.weight(shape[-1])]), shape
    return g.node("LpNormalization", [x], axis=-1, p=2), shape


def attention(g, x):
    k = g.node("Transpose", [x], perm=[0, 2, 1])
    return g.node("MatMul", [g.node("Softmax", [g.node("MatMul", [x, k])], axis=-1), x])


def write(g, name, c, inputs, shape):
    x = inputs[0]
    if name == "ConvLSTM2D":
        raise Skip("no ConvLSTM2D")
    if "Conv" in name:
        return conv(g, name, c, x, shape)
    if "Pooling" in name:
        return pool(g, name, c, x, shape)
    if name in ("LSTM", "GRU", "SimpleRNN", "Bidirectional"):
        return recurrent(g, name, c, x, shape)
    if name.endswith("Normalization"):
        return norm(g, name, c, x, shape)
    if name == "MultiHeadAttention":
        return heads(g, c, x, shape)
    if name == "Attention":
        return attention(g, x), shape
    if name == "Dense":
        weights = [g.weight(shape[-1], c["units"]), g.weight(c["units"])]
        if len(shape) == 2:
            y = g.node("Gemm", [x] + weights)
        else:
            y = g.node("Add", [g.node("MatMul", [x, weights[0]]), weights[1]])
        return act(g, y, c), shape[:-1] + [c["units"]]
    if name.startswith("UpSampling"):
        size = c["size"] if isinstance(c["size"], list) else [c["size"]]
        scales = g.weight(value=np.array([1, 1] + size, "float32"))
        mode = {"nearest": "nearest", "bilinear": "linear"}[c.get("interpolation", "nearest")]
        return g.node("Resize", [x, "", scales], mode=mode), \
            shape[:2] + [s * t for s, t in zip(shape[2:], size)]
    if name == "Embedding":
        return g.node("Gather", [g.weight(c["input_dim"], c["output_dim"]), x]), shape + [c["output_dim"]]
    if name == "Flatten":
        return g.node("Flatten", [x]), [shape[0], int(np.prod(shape[1:]))]
    if name == "Add":
        return g.node("Add", inputs), shape
    if name == "Activation":
        return act(g, x, c), shape
    if name == "Softmax":
        return g.node("Softmax", [x], axis=-1), shape
    raise Skip(f"no {name}")


def prepare(case):
    if "gemm" in case or case["pass"] not in ("predict", "forward"):
        raise Skip("inference only")
    shape = [case["batch"]] + case["input"]
    if case["channels_second"] and not case.get("channels_first"):
        shape = [shape[0], shape[-1]] + shape[1:-1]
    integers = case.get("integers")
    x = (np.random.randint(0, integers, shape).astype("int64") if integers
         else np.random.uniform(-1, 1, shape).astype("float32"))
    g, values = Writer(), [("x", shape)]
    g.channels_second = case["channels_second"]
    for _, name, config, inputs in case["operations"]:
        values.append(write(g, name, config, [values[i][0] for i in inputs], values[inputs[0]][1]))
    kind = TensorProto.INT64 if integers else TensorProto.FLOAT
    graph = helper.make_graph(g.nodes, "case", [helper.make_tensor_value_info("x", kind, shape)],
                              [helper.make_tensor_value_info(values[-1][0], TensorProto.FLOAT, None)],
                              g.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    value = ort.OrtValue.ortvalue_from_numpy(x)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", value)
    binding.bind_output(values[-1][0])
    return lambda: session.run_with_iobinding(binding)


serve(prepare, CPU)
