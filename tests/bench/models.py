"""The larger models of the benchmark, and Keras configs from the short form of cases.json.

A layer is [class, config] or [class, config, inputs]; inputs are the numbers of the operations read
(0 is the model's input, 1 the first layer), without them the one before.
"""


def resnet20():
    layers = []

    def add(name, config, *inputs):
        layers.append([name, config, list(inputs)] if inputs else [name, config])
        return len(layers)

    def conv(filters, stride, source, size=3, relu=True):
        at = add("Conv2D", {"filters": filters, "kernel_size": [size, size], "use_bias": False,
                            "strides": [stride, stride], "padding": "same"}, source)
        at = add("BatchNormalization", {}, at)
        return add("Activation", {"activation": "relu"}, at) if relu else at

    at = conv(16, 1, 0)
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            shortcut = conv(filters, stride, at, 1, False) if stride == 2 else at
            inner = conv(filters, 1, conv(filters, stride, at), relu=False)
            at = add("Activation", {"activation": "relu"}, add("Add", {}, inner, shortcut))
    add("GlobalAveragePooling2D", {}, at)
    add("Dense", {"units": 10, "activation": "softmax"})
    return layers


def transformer(blocks=2, width=128, heads=4):
    layers = [["Embedding", {"input_dim": 8000, "output_dim": width}]]

    def add(name, config, *inputs):
        layers.append([name, config, list(inputs)])
        return len(layers)

    at = 1
    for _ in range(blocks):
        attention = add("MultiHeadAttention", {"num_heads": heads, "key_dim": width // heads}, at, at)
        at = add("LayerNormalization", {}, add("Add", {}, at, attention))
        inner = add("Dense", {"units": 4 * width, "activation": "relu"}, at)
        inner = add("Dense", {"units": width}, inner)
        at = add("LayerNormalization", {}, add("Add", {}, at, inner))
    at = add("GlobalAveragePooling1D", {}, at)
    add("Dense", {"units": 10, "activation": "softmax"}, at)
    return layers


def expand(layers):
    """Every layer as (name, class, config, numbers of inputs)."""
    if isinstance(layers, str):
        layers = {"resnet20": resnet20, "transformer": transformer}[layers]()
    return [(f"op_{i + 1}", layer[0], layer[1], layer[2] if len(layer) > 2 else [i])
            for i, layer in enumerate(layers)]


def keras_config(case):
    """A Functional model's config as Keras 3 writes it."""
    operations = [("op_0", "InputLayer",
                   {"batch_shape": [None] + case["input"],
                    "dtype": "int32" if case.get("integers") else "float32"}, [])]
    operations += expand(case["layers"])
    layers = []
    for name, class_name, config, inputs in operations:
        tensors = [{"class_name": "__keras_tensor__",
                    "config": {"shape": [None], "dtype": "float32", "keras_history": [f"op_{i}", 0, 0]}}
                   for i in inputs]
        args = tensors if class_name == "MultiHeadAttention" or len(tensors) < 2 else [tensors]
        layers.append({"module": "keras.layers", "class_name": class_name, "registered_name": None,
                       "config": dict(config, name=name), "name": name,
                       "inbound_nodes": [{"args": args, "kwargs": {}}] if tensors else []})
    return {"name": "model", "trainable": True, "layers": layers, "input_layers": [["op_0", 0, 0]],
            "output_layers": [[operations[-1][0], 0, 0]]}
