"""The list of cases: each module of cases adds to it as it is imported."""

import zlib

CASES = {}
PENDING = set()


class Sub:
    """A layer, or another object of Keras, as an argument; made when its case runs."""

    def __init__(self, class_name, **args):
        self.class_name, self.args = class_name, args


class Case:
    """One layer, what it is given and which parts of its answer are written.

    name      unique within the class
    args      constructor arguments
    inputs    tensor specs of the first call
    calls     further calls: dicts with inputs, training, masks, initial_state, kwargs
    training, masks, initial_state, kwargs   of the first call
    weights   {part of a weight's name: (low, high)} or a list of specs
    grad      False leaves gradients out
    dtype     dtype policy
    unknown   unknown dimensions of the inputs beside the batch: [[input, axis]]
    error     building or calling must fail; `override` then replaces keys of the config
    adapt     spec given to adapt
    last      compute through a channels-last twin, transposing around it
    pending   made, but not part of the committed set yet
    keras     "3" or "2.15": which Keras makes the case
    """

    def __init__(self, name, args, inputs, **options):
        self.name = name
        self.args = dict(args)
        self.inputs = inputs
        self.calls = options.pop("calls", [])
        self.training = options.pop("training", False)
        self.masks = options.pop("masks", None)
        self.initial_state = options.pop("initial_state", None)
        self.constants = options.pop("constants", None)
        self.kwargs = options.pop("kwargs", {})
        self.weights = options.pop("weights", {})
        self.grad = options.pop("grad", True)
        self.dtype = options.pop("dtype", None)
        self.unknown = options.pop("unknown", None)
        self.error = options.pop("error", False)
        self.override = options.pop("override", {})
        self.adapt = options.pop("adapt", None)
        self.rtol = options.pop("rtol", None)
        self.last = options.pop("last", False)
        self.keras = options.pop("keras", "3")
        self.shapes = options.pop("shapes", True)
        self.pending = options.pop("pending", False)
        self.sparse_config = options.pop("config", None)
        if options:
            raise TypeError(f"unknown case options {sorted(options)} in {name}")

    def seed(self, class_name):
        return (zlib.crc32(f"{class_name}/{self.name}".encode()) & 0xFFFFF) * 64


def case(name, args=None, *inputs, **options):
    return Case(name, args or {}, list(inputs), **options)


def error(name, args=None, *inputs, override=None, **options):
    return Case(name, args or {}, list(inputs), error=True, override=override or {}, **options)


def add(class_name, *cases):
    have = CASES.setdefault(class_name, [])
    for item in cases:
        if any(other.name == item.name and other.keras == item.keras for other in have):
            raise ValueError(f"{class_name}: two cases named {item.name}")
        have.append(item)


def pending(*class_names):
    """Classes whose cases are made but not part of the committed set yet."""
    PENDING.update(class_names)
