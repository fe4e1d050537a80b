"""PyTorch's side: torch_peer.py THREADS wall|cpu [compile]. Channels last, fused Adam, warm."""

import sys

import torch
import torch.nn.functional as F
from torch import nn

from peer import Skip, serve

THREADS, CPU, COMPILE = int(sys.argv[1]), sys.argv[2] == "cpu", "compile" in sys.argv[3:]
torch.set_num_threads(THREADS)
torch.set_num_interop_threads(1)
torch.manual_seed(1)
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def activation(name):
    return {None: None, "linear": None, "relu": F.relu, "tanh": torch.tanh,
            "softmax": lambda x: F.softmax(x, -1)}[name]


def pads(config, rank):
    kernel, stride = config["kernel_size"], config.get("strides", [1] * rank)
    if config.get("padding") != "same":
        return 0
    if all(s == 1 for s in stride):
        return "same"
    return tuple((k - 1) // 2 for k in kernel)


class Layer(nn.Module):
    """A module, then an activation."""

    def __init__(self, module, config):
        super().__init__()
        self.module, self.act = module, activation(config.get("activation"))

    def forward(self, x):
        x = self.module(x)
        return self.act(x) if self.act else x


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class Recurrent(nn.Module):
    def __init__(self, module, sequences):
        super().__init__()
        self.module, self.sequences = module, sequences

    def forward(self, x):
        y = self.module(x)[0]
        return y if self.sequences else y[:, -1]


class BothWays(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return torch.cat(tuple(self.module(x)[1][0]), 1)


class ConvLSTM(nn.Module):
    """One convolution of input and state together at each step."""

    def __init__(self, channels, c):
        super().__init__()
        self.filters = c["filters"]
        self.conv = nn.Conv2d(channels + self.filters, 4 * self.filters, tuple(c["kernel_size"]),
                              padding="same").to(memory_format=torch.channels_last)

    def forward(self, x):
        n, steps, rows, columns, _ = x.shape
        x = x.permute(0, 1, 4, 2, 3)
        h = torch.zeros(n, self.filters, rows, columns).to(memory_format=torch.channels_last)
        c = torch.zeros_like(h)
        for t in range(steps):
            i, f, g, o = self.conv(torch.cat((x[:, t], h), 1)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


class Heads(nn.Module):
    def __init__(self, width, heads, size):
        super().__init__()
        self.heads, self.size = heads, size
        self.qkv = nn.Linear(width, 3 * heads * size)
        self.out = nn.Linear(heads * size, width)

    def forward(self, x, *_):
        n, t, _ = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(n, t, -1))


def convolution(name, c, channels):
    rank = int(name[name.index("D") - 1]) if name != "DepthwiseConv2D" else 2
    rank = int([ch for ch in name if ch.isdigit()][0])
    conv = [nn.Conv1d, nn.Conv2d, nn.Conv3d][rank - 1]
    kernel, stride = tuple(c["kernel_size"]), tuple(c.get("strides", [1] * rank))
    bias = c.get("use_bias", True)
    if "Transpose" in name:
        conv = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d][rank - 1]
        pad = tuple((k - s + 1) // 2 for k, s in zip(kernel, stride)) if c.get("padding") == "same" else 0
        return Layer(conv(channels, c["filters"], kernel, stride, pad, bias=bias), c)
    if name.startswith("Depthwise"):
        return Layer(conv(channels, channels, kernel, stride, pads(c, rank), groups=channels, bias=bias), c)
    if name.startswith("Separable"):
        return Layer(nn.Sequential(
            conv(channels, channels, kernel, stride, pads(c, rank), groups=channels, bias=False),
            conv(channels, c["filters"], 1, bias=bias)), c)
    rest = {"dilation": tuple(c.get("dilation_rate", [1] * rank)), "groups": c.get("groups", 1)}
    return Layer(conv(channels, c["filters"], kernel, stride, pads(c, rank), bias=bias, **rest), c)


def pooling(name, c):
    rank = int(name[-2])
    if name.startswith("Global"):
        axes = tuple(range(2, 2 + rank))
        reduce = torch.mean if "Average" in name else torch.amax
        return Function(lambda x: reduce(x, axes))
    kind = "MaxPool" if name.startswith("Max") else "AvgPool"
    size = tuple(c["pool_size"])
    return getattr(nn, f"{kind}{rank}d")(size, tuple(c.get("strides", size)))


def flatten(x):
    """In the memory's order, which costs no copy."""
    return (x.permute(0, *range(2, x.dim()), 1) if x.dim() > 2 else x).flatten(1)


def last_axis_function(name, c, width):
    if name == "LayerNormalization":
        return nn.LayerNorm(width, eps=1e-3)
    if name == "RMSNormalization":
        return nn.RMSNorm(width, eps=1e-6)
    if name == "UnitNormalization":
        return Function(lambda x: F.normalize(x, dim=-1, eps=1e-12))
    if name == "Softmax":
        return Function(lambda x: F.softmax(x, -1))
    if name == "Attention":
        return Function(lambda x, *_: F.scaled_dot_product_attention(x, x, x, scale=1.0))
    if name == "MultiHeadAttention":
        return Heads(width, c["num_heads"], c["key_dim"])
    if name == "Dense":
        return Layer(nn.Linear(width, c["units"]), c)
    modules = {"LSTM": nn.LSTM, "GRU": nn.GRU, "SimpleRNN": nn.RNN}
    if name in modules:
        return Recurrent(modules[name](width, c["units"], batch_first=True), c.get("return_sequences"))
    return None


def make(name, c, x):
    """The module for inputs like x, which is in PyTorch's order where channels stand second."""
    if name == "ConvLSTM2D":
        return ConvLSTM(x.shape[-1], c)
    if name == "Bidirectional":
        return BothWays(nn.LSTM(x.shape[-1], c["layer"]["config"]["units"], batch_first=True,
                                bidirectional=True))
    if "Conv" in name:
        return convolution(name, c, x.shape[1])
    if "Pooling1D" in name and name.startswith("Global") and not c.get("channels_second"):
        reduce = torch.mean if "Average" in name else torch.amax
        return Function(lambda x: reduce(x, 1))
    if "Pooling" in name:
        return pooling(name, c)
    if name == "BatchNormalization":
        return {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[x.dim()](
            x.shape[1], eps=1e-3, momentum=0.01)
    if name == "GroupNormalization":
        return nn.GroupNorm(c["groups"], x.shape[1], eps=1e-3)
    if name.startswith("UpSampling"):
        size = c["size"] if isinstance(c["size"], list) else [c["size"]]
        return nn.Upsample(scale_factor=tuple(float(s) for s in size),
                           mode=c.get("interpolation", "nearest"))
    if name in ("ZeroPadding2D", "Cropping2D"):
        sign, pairs = (1, c["padding"]) if name == "ZeroPadding2D" else (-1, c["cropping"])
        edges = tuple(sign * edge for pair in reversed(pairs) for edge in pair)
        return Function(lambda x: F.pad(x, edges))
    if name == "Embedding":
        return nn.Embedding(c["input_dim"], c["output_dim"])
    if name == "Flatten":
        return Function(flatten)
    if name == "Add":
        return Function(lambda *inputs: sum(inputs[1:], inputs[0]))
    if name == "Activation":
        return Function(activation(c["activation"]))
    if name == "Dropout":
        return nn.Dropout(c["rate"])
    module = last_axis_function(name, c, x.shape[-1])
    if module is None:
        raise Skip(f"no {name}")
    return module


class Graph(nn.Module):
    def __init__(self, operations, x, logits, channels_last=True):
        super().__init__()
        self.inputs = [inputs for *_, inputs in operations]
        self.steps = nn.ModuleList()
        values = [x]
        with torch.no_grad():
            for i, (_, name, config, inputs) in enumerate(operations):
                if logits and i == len(operations) - 1:
                    config = dict(config, activation=None)
                module = make(name, config, values[inputs[0]])
                if x.dim() == 4 and channels_last:
                    module = module.to(memory_format=torch.channels_last)
                self.steps.append(module)
                values.append(module(*[values[k] for k in inputs]))

    def forward(self, x):
        values = [x]
        for module, inputs in zip(self.steps, self.inputs):
            values.append(module(*[values[k] for k in inputs]))
        return values[-1]


def numbers(case):
    shape = [case["batch"]] + case["input"]
    if case.get("integers"):
        return torch.randint(0, case["integers"], shape)
    channels_second = case["channels_second"]
    if case.get("channels_first"):
        return torch.randn(shape)
    if channels_second:
        shape = [shape[0], shape[-1]] + shape[1:-1]
    x = torch.randn(shape)
    return x.to(memory_format=FORMATS[x.dim()]) if channels_second and x.dim() in FORMATS else x


def multiply(case):
    m, k, n = case["gemm"]
    a = torch.randn(k, m).t() if case.get("transpose_a") else torch.randn(m, k)
    b = torch.randn(n, k).t() if case.get("transpose_b") else torch.randn(k, n)
    out = torch.empty(m, n)

    def run():
        with torch.inference_mode():
            torch.mm(a, b, out=out)
    return run


def prepare(case):
    if "gemm" in case:
        if COMPILE:
            raise Skip("a single call")
        return multiply(case)
    if COMPILE and "pass" in case and case["pass"] in ("forward", "gradient") and not case["compile"]:
        raise Skip("a single layer")
    x, kind = numbers(case), case["pass"]
    model = Graph(case["operations"], x, kind == "train", not case.get("channels_first"))
    model.train(kind in ("train", "gradient"))
    call = torch.compile(model) if COMPILE else model
    if kind in ("predict", "forward"):
        def run():
            with torch.inference_mode():
                call(x)
        return run
    if kind == "train":
        labels = torch.arange(case["batch"]) % 10
        adam = torch.optim.Adam(model.parameters(), fused=True)

        def step():
            adam.zero_grad(set_to_none=True)
            F.cross_entropy(call(x), labels).backward()
            adam.step()
        return step
    sources = list(model.parameters())
    if x.is_floating_point():
        sources.insert(0, x.requires_grad_(True))
    gradient = torch.ones_like(model(x))

    def back():
        torch.autograd.grad(call(x), sources, gradient)
    return back


serve(prepare, CPU)
