"""
The sealed scorer: a handed-in graph and weights → bits per byte on the validation rows. Locked.

    python score.py --graph FILE --weights FILE --data DIR --out FILE [--device cpu|cuda]

It rebuilds the graph over the op allow-list and never runs the candidate's Python or unpickles its files. It
owns rows, batch shape, targets, softmax, cross-entropy and byte counts; the model sees inputs and answers logits.

Writes --out at once and whole. Exit code 0: {"value", "tokens", "bytes", "seconds", "parameters"}; value is
nats over all targets that stand for text, / ln 2 / bytes of the source text. Exit code 3, when the hand-in is
at fault: {"error": {"reason": "rejected"|"unscorable", "message"}}; rejected broke a rule, unscorable has no
finite score. Any other exit code is our own trouble.

Does not cover: a model that is good at these rows by chance of selection (a sealed holdout does), or one whose
arithmetic differs between this device and others.
"""

import argparse
import hashlib
import json
import math
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch._subclasses.fake_tensor import FakeTensorMode

from graph import MAX_BYTES, Graph, GraphError

MAX_ROWS = 512  # rows in a batch, at most
CPU_BYTES = 512 << 20  # activations that a batch may hold at a time on a CPU; small batches stay in its caches
GPU_SHARE = 0.4  # the same on a GPU, as a part of its free memory; kernels need some for themselves
PROBE_ROWS = 16  # rows that the causality probe looks at
PROBE_NATS = 0.02  # a loss before the cut may move by this much: the noise of low-precision kernels


class HandInError(Exception):
    """The hand-in is at fault. reason: `rejected` (broke a rule) or `unscorable` (no finite score)."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Data:
    """The validation rows (rows, row) of token ids, and the source bytes of each token id."""

    rows: np.ndarray
    token_bytes: np.ndarray
    bytes: int
    vocabulary: int

    @classmethod
    def load(cls, folder: Path) -> "Data":
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        val = manifest["val"]
        rows = np.fromfile(_checked(folder / val["file"], val["sha256"]), dtype="<u2")
        entry = manifest["token_bytes"]
        token_bytes = np.fromfile(_checked(folder / entry["file"], entry["sha256"]), dtype="<u2")
        rows = rows.reshape(val["rows"], manifest["row"])
        spelled = int(token_bytes[rows[:, 1:]].sum(dtype=np.int64))
        if spelled != val["bytes"]:
            raise ValueError(f"{folder}: the targets spell {spelled} bytes, the manifest says {val['bytes']}")
        return cls(rows, token_bytes, val["bytes"], manifest["vocabulary"])


def _checked(path: Path, sha256: str) -> Path:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ValueError(f"{path} is not what prepare.py wrote: prepare the data again")
    return path


# --- The hand-in -------------------------------------------------------------------------------------------


def read_graph(path: Path) -> Graph:
    size = _regular(path)
    if size > MAX_BYTES:
        raise HandInError("rejected", f"the graph has {size:,} bytes, at most {MAX_BYTES:,} are allowed")
    return Graph.parse(path.read_bytes())


def read_weights(path: Path, graph: Graph, device: torch.device) -> dict[str, torch.Tensor]:
    """The tensors that the graph declares, no more and no less, checked before any memory is taken."""
    _regular(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = set(file.keys())
            _same_names(names, set(graph.weights))
            tensors = {}
            for name, declared in graph.weights.items():
                shape = tuple(file.get_slice(name).get_shape())
                if shape != declared.shape:
                    raise HandInError("rejected", f"weight {name!r} has shape {shape}, the graph says {declared.shape}")
                tensor = file.get_tensor(name)
                if tensor.dtype != declared.dtype:
                    raise HandInError("rejected", f"weight {name!r} is {tensor.dtype}, the graph says {declared.dtype}")
                if declared.kind == "parameter" and not bool(torch.isfinite(tensor).all()):
                    raise HandInError("unscorable", f"weight {name!r} holds NaN or infinity: the training diverged")
                tensors[name] = tensor.to(device)
    except SafetensorError as error:
        raise HandInError("rejected", f"the weights are not a safetensors file: {error}") from error
    return tensors


def _regular(path: Path) -> int:
    if path.is_symlink() or not path.is_file():
        raise HandInError("rejected", f"no file {path.name} was handed in")
    return path.stat().st_size


def _same_names(found: set[str], declared: set[str]) -> None:
    for what, names in (("misses", declared - found), ("has beyond the graph's", found - declared)):
        if names:
            some = ", ".join(repr(name[:80]) for name in sorted(names)[:5])
            raise HandInError("rejected", f"the weights file {what} {len(names)} tensors: {some}")


# --- Shapes and memory, before anything is run ----------------------------------------------------------------


class _Measure(torch.fx.Interpreter):
    """Runs a module on fake tensors; knows the bytes that are alive at the worst moment."""

    def __init__(self, module: torch.fx.GraphModule):
        super().__init__(module)
        self.alive: dict[int, list[int]] = {}  # storage → [bytes, values that use it]
        self.now = self.peak = 0

    def run_node(self, node: torch.fx.Node):
        result = super().run_node(node)
        if node.op == "call_function":
            for storage in _storages(result):
                key = storage._cdata
                if key not in self.alive:
                    self.alive[key] = [storage.nbytes(), 0]
                    self.now += storage.nbytes()
                self.alive[key][1] += 1
            self.peak = max(self.peak, self.now)
            for dying in self.user_to_last_uses.get(node, []):
                self._release(self.env.get(dying))
        return result

    def _release(self, value) -> None:
        for storage in _storages(value):
            held = self.alive.get(storage._cdata)
            if held is not None:
                held[1] -= 1
                if held[1] == 0:
                    self.now -= held[0]
                    del self.alive[storage._cdata]


def _storages(value) -> list:
    if isinstance(value, torch.Tensor):
        return [value.untyped_storage()]
    if isinstance(value, (list, tuple)):
        return [storage for item in value for storage in _storages(item)]
    return []


def measure(graph: Graph, context: int, vocabulary: int, device: torch.device, rows: int = 2) -> int:
    """
    Bytes of activations a row. Nothing is computed or allocated: shapes alone are followed through the graph.
    @throws HandInError if an op cannot take its arguments, or the output is no (rows, context, vocabulary) of floats
    """
    with FakeTensorMode(allow_non_fake_inputs=False):
        weights = {
            name: torch.empty(weight.shape, dtype=weight.dtype, device=device) for name, weight in graph.weights.items()
        }
        tokens = torch.empty((rows, context), dtype=torch.int64, device=device)
        interpreter = _Measure(graph.module(weights, device))
        try:
            logits = interpreter.run(tokens)
        except Exception as error:
            raise HandInError("rejected", f"the graph does not run: {_first_line(error)}") from error
    if not isinstance(logits, torch.Tensor) or not logits.dtype.is_floating_point:
        raise HandInError("rejected", "the graph's output is no tensor of floating-point logits")
    if tuple(logits.shape) != (rows, context, vocabulary):
        raise HandInError(
            "rejected", f"the logits have shape {tuple(logits.shape)}, expected {(rows, context, vocabulary)}"
        )
    return interpreter.peak // rows + 1


def batch_rows(row_bytes: int, total: int, device: torch.device) -> int:
    """Rows in a batch: as many as memory is meant for, a power of two."""
    free = GPU_SHARE * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else CPU_BYTES
    if row_bytes > free and row_bytes > _available(device):
        raise HandInError("rejected", f"one row needs {row_bytes / 2**30:.1f} GiB of activations: too much to score")
    fit = max(1, int(free // row_bytes))
    return min(1 << (fit.bit_length() - 1), MAX_ROWS, 1 << (total - 1).bit_length())


def _available(device: torch.device) -> float:
    if device.type == "cuda":
        return 0.8 * torch.cuda.mem_get_info(device)[0]
    return 0.5 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


# --- Scoring -----------------------------------------------------------------------------------------------


class Scorer:
    """Losses of the rebuilt model, one batch shape throughout."""

    def __init__(self, module: torch.fx.GraphModule, data: Data, batch: int, device: torch.device):
        self.module, self.data, self.batch, self.device = module, data, batch, device
        self.text = torch.from_numpy(data.token_bytes > 0).to(device)  # targets that stand for text

    def losses(self, rows: np.ndarray) -> torch.Tensor:
        """Nats of each target, (rows, context) float32, 0 for BOS. Short batches are filled up and cut again."""
        filled = np.resize(rows, (self.batch, rows.shape[1])) if len(rows) < self.batch else rows
        tokens = torch.from_numpy(filled.astype(np.int64)).to(self.device)
        inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:]
        logits = self.module(inputs)
        losses = torch.empty(targets.shape, dtype=torch.float32, device=self.device)
        step = max(1, self.batch // 8)  # float32 copies of the logits, an eighth of the batch at a time
        for at in range(0, self.batch, step):
            part = logits[at : at + step].float()
            losses[at : at + step] = F.cross_entropy(
                part.flatten(0, 1), targets[at : at + step].flatten(), reduction="none"
            ).view(part.shape[:2])
        return torch.where(self.text[targets], losses, 0.0)[: len(rows)]

    def total(self) -> float:
        """Nats over all validation targets that stand for text."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for at in range(0, len(self.data.rows), self.batch):
            total += self.losses(self.data.rows[at : at + self.batch]).double().sum()
        return total.item()

    def probe(self, chance: random.Random) -> float:
        """
        The most that a loss moves when what follows it is replaced by another row's text. A model that looks
        only back gives (nearly) 0; one that peeks at its targets cannot.
        """
        count = min(PROBE_ROWS, self.batch, len(self.data.rows) - 1)
        picked = chance.sample(range(len(self.data.rows)), count + 1)
        rows = self.data.rows[picked[:-1]].copy()
        others = self.data.rows[picked[1:]]
        cuts = [chance.randrange(1, rows.shape[1] - 1) for _ in range(count)]
        cuts[0] = 1
        changed = rows.copy()
        for index, cut in enumerate(cuts):  # inputs up to the cut, and so losses before it, must not notice
            changed[index, cut + 1 :] = others[index, cut + 1 :]
        before, after = self.losses(rows), self.losses(changed)
        return max(float((before[i, :cut] - after[i, :cut]).abs().max()) for i, cut in enumerate(cuts))


def score(graph_path: Path, weights_path: Path, data: Data, device: torch.device) -> dict[str, float]:
    """
    What --out says when the hand-in has a score.
    @throws HandInError, GraphError if the hand-in is at fault
    """
    started = time.monotonic()
    graph = read_graph(graph_path)
    context = data.rows.shape[1] - 1
    row_bytes = measure(graph, context, data.vocabulary, device)
    weights = read_weights(weights_path, graph, device)
    scorer = Scorer(graph.module(weights, device), data, batch_rows(row_bytes, len(data.rows), device), device)
    try:
        with torch.inference_mode():
            total = scorer.total()
            moved = scorer.probe(random.SystemRandom()) if len(data.rows) > 1 else 0.0
    except (RuntimeError, IndexError, TypeError) as error:  # out of memory and device asserts are RuntimeErrors
        raise HandInError("unscorable", f"the graph failed on the validation rows: {_first_line(error)}") from error
    if not math.isfinite(total):
        raise HandInError("unscorable", f"the total loss is {total}: the model's logits are not finite")
    if not moved <= PROBE_NATS:
        raise HandInError(
            "rejected", f"the model looks ahead: a loss moved by {moved:.3f} nats when only the text after it changed"
        )
    return {
        "value": total / math.log(2) / data.bytes,
        "tokens": int((data.token_bytes[data.rows[:, 1:]] > 0).sum()),
        "bytes": data.bytes,
        "seconds": time.monotonic() - started,
        "parameters": sum(math.prod(w.shape) for w in graph.weights.values() if w.kind == "parameter"),
    }


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def write(path: Path, answer: dict) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(answer) + "\n", "utf-8")
    partial.replace(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Score a handed-in model.")
    parser.add_argument("--graph", required=True, type=Path)
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    data = Data.load(options.data)
    try:
        answer = score(options.graph, options.weights, data, torch.device(options.device))
    except (HandInError, GraphError) as error:
        reason = error.reason if isinstance(error, HandInError) else "rejected"
        write(options.out, {"error": {"reason": reason, "message": str(error)}})
        print(f"{reason}: {error}", file=sys.stderr)
        return 3
    write(options.out, answer)
    print(f"val_bpb:          {answer['value']:.6f}")
    print(f"score_seconds:    {answer['seconds']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
