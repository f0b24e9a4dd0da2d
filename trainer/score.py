"""
The sealed scorer: a submitted graph and weights → bits per byte on the validation rows. Locked.

    python score.py --graph FILE --weights FILE --data DIR --out FILE [--device cpu|cuda]

It scores on the device that $AUTORESEARCH_DEVICE names (the runner sets it), and on no other: another device's
arithmetic gives another score. By hand, without it, on a GPU where there is one, and it says where.

It rebuilds the graph over the op allow-list and never runs the candidate's Python or unpickles its files. It
owns rows, batch shape, targets, softmax, cross-entropy and byte counts; the model sees inputs and answers logits.

Writes --out at once and whole. Exit code 0: {"value", "tokens", "bytes", "seconds", "parameters"}; value is
nats over all targets that stand for text, / ln 2 / bytes of the source text. Exit code 3, when the submission is
at fault: {"error": {"reason": "rejected"|"unscorable", "message"}}; rejected broke a rule, unscorable has no
finite score. Any other exit code is a host error.

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

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch loads: spinning threads slow a shared CPU

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open

from graph import MAX_BYTES, Graph, GraphError
from host import keep_freed_memory, limit_memory

CPU_TOKENS = 2048  # a batch on a CPU: small enough that activations stay near its caches
CPU_SHARE = 0.5  # of the machine's memory, at most, for a submission's activations
GPU_TOKENS = 2**18  # a batch on a GPU, at most
GPU_SHARE = 0.5  # of its free memory, at most, for a batch's activations
PROBE_ROWS = 128  # rows that the causality probe looks at
PROBE_NATS = 0.02  # a loss before the cut may move by this much: the noise of low-precision kernels


class SubmissionError(Exception):
    """The submission is at fault. reason: `rejected` (broke a rule) or `unscorable` (no finite score)."""

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


# --- The submission -------------------------------------------------------------------------------------------


def read_graph(path: Path) -> Graph:
    size = _regular(path)
    if size > MAX_BYTES:
        raise SubmissionError("rejected", f"the graph has {size:,} bytes, at most {MAX_BYTES:,} are allowed")
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
                    raise SubmissionError(
                        "rejected", f"weight {name!r} has shape {shape}, the graph says {declared.shape}"
                    )
                tensor = file.get_tensor(name)
                if tensor.dtype != declared.dtype:
                    raise SubmissionError(
                        "rejected", f"weight {name!r} is {tensor.dtype}, the graph says {declared.dtype}"
                    )
                if declared.kind == "parameter" and not bool(torch.isfinite(tensor).all()):
                    raise SubmissionError("unscorable", f"weight {name!r} holds NaN or infinity: the training diverged")
                tensors[name] = tensor.to(device)
    except SafetensorError as error:
        raise SubmissionError("rejected", f"the weights are not a safetensors file: {error}") from error
    return tensors


def _regular(path: Path) -> int:
    if path.is_symlink() or not path.is_file():
        raise SubmissionError("rejected", f"no file {path.name} was submitted")
    return path.stat().st_size


def _same_names(found: set[str], declared: set[str]) -> None:
    for what, names in (("misses", declared - found), ("has beyond the graph's", found - declared)):
        if names:
            some = ", ".join(repr(name[:80]) for name in sorted(names)[:5])
            raise SubmissionError("rejected", f"the weights file {what} {len(names)} tensors: {some}")


# --- Scoring -----------------------------------------------------------------------------------------------


class Scorer:
    """Losses of the rebuilt model, one batch shape throughout."""

    def __init__(self, module: torch.fx.GraphModule, data: Data, batch: int, device: torch.device):
        self.module, self.data, self.batch, self.device = module, data, batch, device
        self.text = torch.from_numpy(data.token_bytes > 0).to(device)  # targets that stand for text

    def losses(self, inputs: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        """Nats of each target, (rows, context) float32, 0 for BOS. Short batches are filled up and cut again."""
        rows = len(inputs)
        inputs, targets = self._batch(inputs), self._batch(targets)
        logits = logits_of(self.module, inputs, self.data.vocabulary)
        losses = torch.empty(targets.shape, dtype=torch.float32, device=self.device)
        step = max(1, self.batch // 8)  # float32 copies of the logits, an eighth of the batch at a time
        for at in range(0, self.batch, step):
            part = logits[at : at + step].float()
            losses[at : at + step] = F.cross_entropy(
                part.flatten(0, 1), targets[at : at + step].flatten(), reduction="none"
            ).view(part.shape[:2])
        return torch.where(self.text[targets], losses, 0.0)[:rows]

    def _batch(self, tokens: np.ndarray) -> torch.Tensor:
        filled = np.resize(tokens, (self.batch, tokens.shape[1]))
        return torch.from_numpy(filled.astype(np.int64)).to(self.device)

    def total(self) -> float:
        """Nats over all validation targets that stand for text."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for at in range(0, len(self.data.rows), self.batch):
            rows = self.data.rows[at : at + self.batch]
            total += self.losses(rows[:, :-1], rows[:, 1:]).double().sum()
        return total.item()

    def probe(self, chance: random.Random) -> float:
        """
        The most that a loss moves when the inputs after it are replaced by another row's text, over many rows, each
        with a cut of its own: the borders, and random ones. A model that looks only back gives (nearly) 0; one that
        peeks at its targets cannot, however its rows are batched. NaN where a loss is not finite.
        """
        count = min(PROBE_ROWS, len(self.data.rows) - 1)
        picked = chance.sample(range(len(self.data.rows)), count + 1)
        rows, others = self.data.rows[picked[:-1]], self.data.rows[picked[1:]]
        inputs, targets = rows[:, :-1], rows[:, 1:]
        last = inputs.shape[1] - 2
        cuts = [0, last, *(chance.randint(0, last) for _ in range(count))][:count]
        changed = inputs.copy()
        for row, cut in enumerate(cuts):
            changed[row, cut + 1 :] = others[row, cut + 1 : -1]
        worst = torch.zeros((), device=self.device)
        for at in range(0, count, self.batch):
            part = slice(at, at + self.batch)
            moved = (self.losses(inputs[part], targets[part]) - self.losses(changed[part], targets[part])).abs()
            # torch's maximum hands NaN on, Python's does not.
            seen = torch.stack([moved[row, : cut + 1].max() for row, cut in enumerate(cuts[part])])
            worst = torch.maximum(worst, seen.max())
        return float(worst)


def logits_of(module: torch.fx.GraphModule, tokens: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """
    The model's answer, (rows, context, vocabulary) of floats.
    @throws SubmissionError if the graph fails on these tokens or answers anything else
    """
    try:
        with torch.device(tokens.device):
            logits = module(tokens)
    except Exception as error:  # any op may raise anything, given the wrong arguments
        raise SubmissionError("unscorable", f"the graph does not run: {_first_line(error)}") from error
    if not isinstance(logits, torch.Tensor) or not logits.dtype.is_floating_point:
        raise SubmissionError("rejected", "the graph's output is no tensor of floating-point logits")
    expected = (*tokens.shape, vocabulary)
    if tuple(logits.shape) != expected:
        raise SubmissionError("rejected", f"the logits have shape {tuple(logits.shape)}, expected {expected}")
    return logits


def batch_rows(module: torch.fx.GraphModule, data: Data, device: torch.device) -> int:
    """Rows in a batch. On a GPU two rows are tried first, and the rest follows from the memory that they took."""
    context = data.rows.shape[1] - 1
    if device.type != "cuda":
        return max(1, CPU_TOKENS // context)
    tokens = torch.from_numpy(data.rows[:2, :-1].astype(np.int64)).to(device)
    free, total = torch.cuda.mem_get_info(device)
    torch.cuda.set_per_process_memory_fraction(min(1.0, 0.9 * free / total), device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    logits_of(module, tokens, data.vocabulary)
    taken = (torch.cuda.max_memory_allocated(device) - before) / len(tokens)
    fit = min(GPU_SHARE * free / taken, GPU_TOKENS / context, len(data.rows))
    return 1 << max(0, int(fit).bit_length() - 1)


def score(graph_path: Path, weights_path: Path, data: Data, device: torch.device) -> dict[str, float]:
    """
    What --out says when the submission has a score.
    @throws SubmissionError, GraphError if the submission is at fault
    """
    started = time.monotonic()
    graph = read_graph(graph_path)
    weights = read_weights(weights_path, graph, device)
    module = graph.module(weights, device)
    with torch.inference_mode():
        scorer = Scorer(module, data, batch_rows(module, data, device), device)
        total = scorer.total()
        if not math.isfinite(total):
            raise SubmissionError("unscorable", f"the total loss is {total}: the model's logits are not finite")
        moved = scorer.probe(random.SystemRandom()) if len(data.rows) > 1 else 0.0
    if not moved <= PROBE_NATS:
        raise SubmissionError(
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


def device_of(name: str | None) -> torch.device:
    """
    The device of that name; without one, this machine's GPU or else its CPU.
    @throws RuntimeError, AssertionError if it does not work: before anything is blamed on the submission
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
        print(f"scoring on {name}: neither --device nor AUTORESEARCH_DEVICE says where", file=sys.stderr)
    device = torch.device("cuda:0" if name == "cuda" else name)
    torch.zeros(1, device=device).item()
    return device


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Score a submitted model.")
    parser.add_argument("--graph", required=True, type=Path)
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--device", default=os.environ.get("AUTORESEARCH_DEVICE"))
    options = parser.parse_args(arguments)
    device = device_of(options.device)
    keep_freed_memory()
    data = Data.load(options.data)
    if device.type == "cpu":
        limit_memory(CPU_SHARE)
    try:
        answer = score(options.graph, options.weights, data, device)
    except (SubmissionError, GraphError) as error:
        reason = error.reason if isinstance(error, SubmissionError) else "rejected"
        write(options.out, {"error": {"reason": reason, "message": str(error)}})
        print(f"{reason}: {error}", file=sys.stderr)
        return 3
    write(options.out, answer)
    print(f"val_bpb:          {answer['value']:.6f}")
    print(f"score_seconds:    {answer['seconds']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
