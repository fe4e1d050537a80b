"""The recurrent rows of the comparison: every layer at every size (tests/bench/run --recurrent)."""

UNITS, STEPS, BATCHES = (32, 128, 512), (20, 80, 500), (1, 32, 128)
KINDS = ("LSTM", "GRU", "SimpleRNN", "Bidirectional")
# ConvLSTM2D on images of 16 x 16: filters stand for units; (filters, steps, batch).
IMAGES = ((8, 20, 1), (8, 20, 32), (32, 20, 1), (32, 20, 32), (32, 80, 1), (128, 20, 1))
QUICK = ((32, 20, 1), (32, 80, 32), (128, 20, 128), (128, 80, 1), (128, 80, 32), (512, 20, 1),
         (512, 20, 32))


def case(name, config, shape):
    kind = name.split()[0]
    return {"name": name, "batch": shape[0], "input": list(shape[1:]), "layer": [kind, config]}


def sizes(quick):
    if quick:
        return QUICK
    return [(u, t, b) for u in UNITS for t in STEPS for b in BATCHES]


def cases(quick):
    """In the form of the layers in cases.json."""
    rows = []
    for kind in KINDS:
        for units, steps, batch in sizes(quick):
            config = {"units": units}
            if kind == "Bidirectional":
                config = {"layer": {"module": "keras.layers", "class_name": "LSTM", "config": config}}
            rows.append(case(f"{kind} {units} x{steps} batch {batch}", config, (batch, steps, units)))
    for filters, steps, batch in IMAGES[:4] if quick else IMAGES:
        config = {"filters": filters, "kernel_size": [3, 3], "padding": "same"}
        rows.append(case(f"ConvLSTM2D {filters} x{steps} batch {batch}", config,
                         (batch, steps, 16, 16, filters)))
    return rows
