"""
A model as data: the torch.export graph as JSON over an allow-list of ops, and back. Locked.

The candidate's process exports (`export_graph`), the scorer's rebuilds (`Graph.parse`, `Graph.module`); no
Python of the candidate's travels between them. What is allowed (ops.py)
is checked on both sides: early for a clear message, and by the scorer, which trusts nothing.

Covers: any function of token ids made of the ops in ALLOWED, with weights, buffers and constants by name.
Does not cover: higher-order ops (FlexAttention, scan, cond), `.item()`, branches on the batch's size, random
numbers, mutation. Train with those if you like and submit an equal evaluation form (Lab.start).
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.fx
from torch import nn

from ops import ALLOWED, ARITHMETIC, AS_RESHAPE, DTYPES, INT64, MEMORY_FORMATS

FORMAT = 1
MAX_BYTES = 64 << 20
MAX_NODES = 50_000
MAX_NESTING = 8


class GraphError(Exception):
    """The model cannot be submitted as data; the message names the op or the node and what to do."""


# --- Export ------------------------------------------------------------------------------------------------


def unwrap(model: nn.Module) -> nn.Module:
    """The module inside torch.compile's wrapper."""
    return getattr(model, "_orig_mod", model)


@dataclass(frozen=True)
class Exported:
    """
    A model's graph. document: JSON. kinds: `parameter`, `buffer` or `constant` for each tensor that it reads,
    by its name in the model. constants: the buffers and constants among them, as they were at export.
    """

    document: bytes
    kinds: dict[str, str]
    constants: dict[str, torch.Tensor]


def export_graph(model: nn.Module, context: int, device: torch.device) -> Exported:
    """
    The graph of `model(x)`, x of int64 token ids (batch, context). The model is left as it was.
    @throws GraphError if it cannot be submitted as data
    """
    model = unwrap(model)
    modes = [(module, module.training) for module in model.modules()]
    example = torch.zeros(3, context, dtype=torch.int64, device=device)
    try:
        model.eval()
        with torch.no_grad(), _no_autocast(device), torch.compiler.set_stance("force_eager"):
            program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
            program = program.run_decompositions({})
    except Exception as error:
        raise GraphError(
            f"the model could not be exported: {type(error).__name__}: {error}\n"
            "The evaluation form must be a plain function of token ids (batch, context) for any batch size: "
            "see graph.py, and `evaluation_model` of Lab.start"
        ) from error
    finally:
        for module, mode in modes:
            module.training = mode
    return _Encoder(program).encode()


def _no_autocast(device: torch.device) -> contextlib.AbstractContextManager:
    return torch.autocast(device.type, enabled=False) if device.type != "mps" else contextlib.nullcontext()


class _Encoder:
    """Turns an exported program into the JSON document."""

    def __init__(self, program):
        self.program = program
        self.constants: dict[str, torch.Tensor] = {}
        self.weights: dict[str, dict] = {}
        self.names: dict[torch.fx.Node, str] = {}
        self.same: dict[torch.fx.Node, torch.fx.Node] = {}  # nodes that are another one's value

    def encode(self) -> Exported:
        graph = self.program.graph
        output = self._output()
        self._drop_asserts(graph)
        inputs = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        nodes = []
        for node in graph.nodes:
            if node.op == "placeholder":
                self._input(node, inputs[node.name])
            elif node.op == "call_function":
                encoded = self._call(node)
                if encoded is not None:
                    nodes.append(encoded)
            elif node.op != "output":
                raise GraphError(f"{node.format_node()}: expected plain calls of ops only")
        found = next(node for node in graph.nodes if node.name == output)
        document = {
            "format": FORMAT,
            "weights": self.weights,
            "nodes": nodes,
            "output": self.names[self.same.get(found, found)],
        }
        data = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
        if len(data) > MAX_BYTES:
            raise GraphError(f"the graph has {len(data):,} bytes, at most {MAX_BYTES:,} are allowed")
        return Exported(data, {name: weight["kind"] for name, weight in self.weights.items()}, self.constants)

    def _output(self) -> str:
        outputs = self.program.graph_signature.output_specs
        kinds = sorted({spec.kind.name for spec in outputs} - {"USER_OUTPUT"})
        if kinds:
            targets = ", ".join(str(spec.target) for spec in outputs if spec.kind.name != "USER_OUTPUT")
            raise GraphError(f"the model changes its own state when it is called ({', '.join(kinds)}: {targets})")
        if len(outputs) != 1 or not hasattr(outputs[0].arg, "name"):
            raise GraphError(f"the model returns {len(outputs)} values, expected the logits alone")
        return outputs[0].arg.name

    def _drop_asserts(self, graph: torch.fx.Graph) -> None:
        for node in reversed(list(graph.nodes)):
            name = str(node.target)
            if node.op == "call_function" and ("_assert" in name or "sym_constrain" in name):
                graph.erase_node(node)
        graph.eliminate_dead_code()

    def _input(self, node: torch.fx.Node, spec) -> None:
        if spec.kind.name == "USER_INPUT":
            self.names[node] = "tokens"
            return
        kind = {"PARAMETER": "parameter", "BUFFER": "buffer", "CONSTANT_TENSOR": "constant"}.get(spec.kind.name)
        if kind is None:
            raise GraphError(f"input {node.name} is a {spec.kind.name}, expected weights, buffers or constants")
        value = node.meta["val"]
        self.names[node] = f"weight:{spec.target}"
        self.weights[spec.target] = {"kind": kind, "dtype": _dtype(value.dtype), "shape": [int(n) for n in value.shape]}
        if kind != "parameter":
            held = self.program.constants.get(spec.target)
            held = self.program.state_dict.get(spec.target) if held is None else held
            if held is not None:
                self.constants[spec.target] = held

    def _call(self, node: torch.fx.Node) -> dict | None:
        target = node.target
        if isinstance(target, torch._ops.OpOverload):
            op = str(target)
        elif getattr(target, "__module__", "") in ("_operator", "math") or target in ARITHMETIC.values():
            op = f"int.{target.__name__}"
        else:
            raise GraphError(f"{node.name} calls {target}, which cannot be submitted as data: see ops.py")
        args, kwargs = list(node.args), dict(node.kwargs)
        if op == "aten.dropout.default" and args[2] is False:
            self.same[node] = self.same.get(args[0], args[0])
            return None
        op, args, kwargs = _filled(op, args, kwargs)
        if not _allowed(op):
            raise GraphError(f"{node.name} calls {op}, which is not on ops.py's list{_hint(op)}")
        self.names[node] = f"n{len(self.names)}"
        encoded = {"name": self.names[node], "op": op}
        if args:
            encoded["args"] = [self._value(value) for value in args]
        if kwargs:
            encoded["kwargs"] = {key: self._value(value) for key, value in kwargs.items()}
        return encoded

    def _value(self, value):
        if isinstance(value, torch.fx.Node):
            return {"ref": self.names[self.same.get(value, value)]}
        if isinstance(value, (list, tuple)):
            return [self._value(item) for item in value]
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, torch.dtype):
            return {"dtype": _dtype(value)}
        if isinstance(value, torch.device):
            return {"device": "scorer"}
        if isinstance(value, torch.memory_format):
            return {"memory_format": str(value).removeprefix("torch.")}
        if value is torch.strided:
            return None
        raise GraphError(f"an argument of type {type(value).__name__} ({value}) cannot be submitted")


def _filled(op: str, args: list, kwargs: dict) -> tuple[str, list, dict]:
    """Uninitialised memory becomes zeros; what only steers allocation goes."""
    kwargs = {key: value for key, value in kwargs.items() if key not in ("pin_memory", "layout", "non_blocking")}
    if op in ("aten.empty.memory_format", "aten.empty_like.default", "aten.new_empty.default"):
        kwargs.pop("memory_format", None)
        op = {"empty": "aten.zeros.default", "empty_like": "aten.zeros_like.default"}.get(
            op.split(".")[1], "aten.new_zeros.default"
        )
    return op, args, kwargs


def _allowed(op: str) -> bool:
    return op in ALLOWED or (op.startswith("int.") and op[4:] in ARITHMETIC)


def _hint(op: str) -> str:
    name = op.split(".")[1] if "." in op else op
    if any(word in name for word in ("rand", "dropout", "bernoulli", "multinomial", "normal")):
        return ": evaluation must not draw random numbers"
    if name.endswith("_") or "copy_" in name:
        return ": evaluation must not change tensors in place"
    return ""


def _dtype(dtype: torch.dtype) -> str:
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise GraphError(f"dtype {name} cannot be submitted, expected one of {', '.join(DTYPES)}")
    return name


# --- Rebuild -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weight:
    """A tensor that the graph reads by name."""

    kind: str
    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """A checked document: every op is allowed, every reference is to something before it."""

    weights: dict[str, Weight]
    nodes: list[dict]
    output: str

    @classmethod
    def parse(cls, data: bytes) -> "Graph":
        """
        Reads the JSON of `export_graph`, trusting nothing.
        @throws GraphError with what was found and what was expected
        """
        _expect(len(data) <= MAX_BYTES, f"the graph has {len(data):,} bytes, at most {MAX_BYTES:,} are allowed")
        try:
            document = json.loads(data, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise GraphError(f"the graph is not JSON: {error}") from error
        _expect(isinstance(document, dict), "expected an object")
        _expect(document.get("format") == FORMAT, f"format {document.get('format')!r}, expected {FORMAT}")
        _expect(set(document) == {"format", "weights", "nodes", "output"}, "expected format, weights, nodes, output")
        weights, nodes, output = document["weights"], document["nodes"], document["output"]
        _expect(isinstance(weights, dict) and isinstance(nodes, list), "expected weights by name and a list of nodes")
        _expect(len(nodes) + len(weights) <= MAX_NODES, f"more than {MAX_NODES:,} nodes and weights")
        checked = {name: _weight(name, entry) for name, entry in weights.items()}
        known = {"tokens", *(f"weight:{name}" for name in checked)}
        for node in nodes:
            _check_node(node, known)
            known.add(node["name"])
        _expect(isinstance(output, str) and output in known, "the output is no node of the graph")
        return cls(checked, nodes, output)

    def module(self, weights: dict[str, torch.Tensor], device: torch.device) -> torch.fx.GraphModule:
        """The graph as a module `tokens -> logits`. Names of its own: no text of the candidate's becomes code."""
        root, graph, values = nn.Module(), torch.fx.Graph(), {}
        values["tokens"] = graph.placeholder("tokens")
        for index, name in enumerate(self.weights):
            root.register_buffer(f"w{index}", weights[name], persistent=False)
            values[f"weight:{name}"] = graph.get_attr(f"w{index}")
        for node in self.nodes:
            try:
                args = [_decoded(value, values, device) for value in node.get("args", [])]
                kwargs = {key: _decoded(value, values, device) for key, value in node.get("kwargs", {}).items()}
                values[node["name"]] = graph.call_function(_resolve(node["op"], args, kwargs), tuple(args), kwargs)
            except (AttributeError, IndexError, TypeError) as error:
                raise GraphError(f"{_named(node)}: {error}") from error
        graph.output(values[self.output])
        return torch.fx.GraphModule(root, graph)


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise GraphError(message)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _weight(name: str, entry: object) -> Weight:
    where = f"weight {name[:80]!r}"
    _expect(len(name) <= 200, f"{where}: the name is longer than 200 characters")
    _expect(
        isinstance(entry, dict) and set(entry) == {"kind", "dtype", "shape"}, f"{where}: expected kind, dtype, shape"
    )
    kind, dtype, shape = entry["kind"], entry["dtype"], entry["shape"]
    _expect(kind in ("parameter", "buffer", "constant"), f"{where}: unknown kind")
    _expect(isinstance(dtype, str) and dtype in DTYPES, f"{where}: unknown dtype")
    _expect(
        isinstance(shape, list) and len(shape) <= 8 and all(type(n) is int and 0 <= n < INT64 for n in shape),
        f"{where}: the shape is no list of sizes",
    )
    return Weight(kind, DTYPES[dtype], tuple(shape))


def _named(node: dict) -> str:
    return f"node {str(node.get('name'))[:40]} ({str(node.get('op'))[:60]})"


def _check_node(node: object, known: set[str]) -> None:
    _expect(isinstance(node, dict), "a node is no object")
    where = _named(node)
    _expect(
        {"name", "op"} <= set(node) <= {"name", "op", "args", "kwargs"}, f"{where}: expected name, op, args, kwargs"
    )
    name, op = node["name"], node["op"]
    _expect(isinstance(name, str) and len(name) <= 100 and name not in known, f"{where}: the name is taken or no name")
    _expect(isinstance(op, str) and _allowed(op), f"{where}: the op is not allowed")
    args, kwargs = node.get("args", []), node.get("kwargs", {})
    _expect(isinstance(args, list) and isinstance(kwargs, dict), f"{where}: expected a list of args, kwargs by name")
    _expect(all(key.isidentifier() for key in kwargs), f"{where}: a kwarg's name is no name")
    for value in [*args, *kwargs.values()]:
        for leaf in _leaves(value, where):
            _check_leaf(leaf, known, where)


def _leaves(value: object, where: str, depth: int = 0) -> Iterator[object]:
    _expect(depth <= MAX_NESTING, f"{where}: lists are nested too deeply")
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item, where, depth + 1)
    else:
        yield value


def _check_leaf(leaf: object, known: set[str], where: str) -> None:
    if isinstance(leaf, dict):
        _expect(len(leaf) == 1, f"{where}: expected one of ref, dtype, device, memory_format, float")
        ((tag, value),) = leaf.items()
        _expect(isinstance(value, str), f"{where}: {tag[:20]} is no text")
        fine = {
            "ref": lambda: value in known,
            "dtype": lambda: value in DTYPES,
            "device": lambda: value == "scorer",
            "memory_format": lambda: value in MEMORY_FORMATS,
            "float": lambda: value in ("inf", "-inf", "nan"),
        }.get(tag)
        _expect(fine is not None and fine(), f"{where}: {tag[:20]} {value[:40]!r} is unknown or comes later")
    elif isinstance(leaf, str):
        _expect(len(leaf) <= 100 and leaf.isascii() and leaf.isprintable(), f"{where}: an argument's text is too long")
    elif isinstance(leaf, int):
        _expect(-INT64 <= leaf < INT64, f"{where}: an integer beyond 64 bits")


def _decoded(value: object, values: dict[str, torch.fx.Node], device: torch.device):
    if isinstance(value, list):
        return [_decoded(item, values, device) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, text),) = value.items()
    if tag == "ref":
        return values[text]
    return {"dtype": DTYPES.get, "memory_format": MEMORY_FORMATS.get, "float": float, "device": lambda _: device}[tag](
        text
    )


def _resolve(op: str, args: list, kwargs: dict) -> Callable:
    """The function that an allowed op names, once arguments that would break a rule are ruled out."""
    if op.startswith("int."):
        return ARITHMETIC[op[4:]]
    if op in AS_RESHAPE:
        return torch.ops.aten.reshape.default
    _, packet, overload = op.split(".")
    function = getattr(getattr(torch.ops.aten, packet), overload)
    given = dict(zip((argument.name for argument in function._schema.arguments), args, strict=False)) | kwargs
    if given.get("dropout_p", 0.0) != 0.0 or given.get("train", False) or given.get("training", False):
        raise GraphError(f"{op}: evaluation must not train or draw random numbers")
    return function
