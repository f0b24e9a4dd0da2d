"""
The candidate's side of a run: seed, data, clock and submission all come from here. Locked.

    lab = Lab.connect()
    model = ...                                # warm it up on lab.synthetic(rows): no real data before start
    lab.start(model)                           # submits the model's graph; the clock runs from here
    for x, y in lab.batches(rows):             # one batch a step, until the budget is used up
        ...                                    # schedules follow lab.progress(), from 0 to 1
        lab.report(loss)
    lab.submit(model)                          # the weights, within a short window

The runner on the other end of $AUTORESEARCH_SOCKET owns the clock, the order of the data and the count of
steps; what this module computes of them is for schedules and messages only.
"""

import hashlib
import math
import os
import queue
import random
import resource
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator

import numpy as np
import safetensors.torch
import torch
from torch import nn

import wire
from graph import Exported, export_graph, unwrap
from host import keep_freed_memory

AHEAD = 3  # batches that are asked for before they are needed
REPORT_SECONDS = 0.5  # at most one report in this time
STEPS_IN_FLIGHT = 2  # GPU steps that may be queued: enough to keep it busy, few enough to stop in time


class LabError(Exception):
    """The run cannot go on; the message says why."""


class Lab:
    """
    A connection to the runner.

    seed        this run's seed; connect() has seeded Python, NumPy and torch with it
    vocabulary  number of token ids; `bos` is the one that begins every document and every row
    context     tokens in a row of inputs: x and y are (rows, context)
    budget      {"seconds": s} or {"steps": n}
    device      where batches arrive
    """

    def __init__(self, connection: wire.Connection, welcome: dict):
        self.seed: int = welcome["seed"]
        self.vocabulary: int = welcome["vocabulary"]
        self.bos: int = welcome["bos"]
        self.context: int = welcome["row"] - 1
        self.budget: dict[str, float] = welcome["budget"]
        self.device = torch.device("cuda:0" if welcome["device"] == "cuda" else welcome["device"])
        self.data_wait_seconds = 0.0  # that steps have waited for data
        self.steps = 0  # batches taken so far
        self._connection = connection
        self._max_weights_bytes: int = welcome["maxWeightsBytes"]
        self._graph: Exported | None = None
        self._started: float | None = None
        self._ended = threading.Event()
        self._inbox: queue.SimpleQueue = queue.SimpleQueue()  # batches, None for the end, or an exception
        self._asked = 0  # batches asked for and not yet taken
        self._last_loss: torch.Tensor | float | None = None
        self._last_report = 0.0
        self._losses: deque = deque()  # (step, loss on its way to the host, event)

    @classmethod
    def connect(cls) -> "Lab":
        """
        Greets the runner and seeds every random generator.
        @throws LabError if no runner is there or it speaks another protocol
        """
        path = os.environ.get("AUTORESEARCH_SOCKET")
        if not path:
            raise LabError(
                "AUTORESEARCH_SOCKET is not set: a candidate is started by autoresearch's runner, which owns seed, "
                "data and clock. Start a study with `autoresearch start --lab DIR`"
            )
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(path)
        except OSError as error:
            raise LabError(f"no runner answers at {path}: {error}") from error
        connection = wire.Connection(stream)
        connection.send({"type": "hello", "protocol": wire.VERSION, "framework": f"torch {torch.__version__}"})
        welcome = _expect(connection, "welcome")
        if welcome["protocol"] != wire.VERSION:
            raise LabError(f"the runner speaks protocol {welcome['protocol']}, this lab {wire.VERSION}: update the lab")
        lab = cls(connection, welcome)
        random.seed(lab.seed)
        np.random.seed(lab.seed % 2**32)
        torch.manual_seed(lab.seed)
        if lab.device.type == "cuda":
            torch.cuda.set_device(lab.device)
        else:
            keep_freed_memory()
        return lab

    def synthetic(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Random token ids in the shape, dtype and layout of a batch, for compiling and warming up."""
        generator = torch.Generator().manual_seed(0)  # leaves the run's random state alone
        tokens = torch.randint(self.vocabulary, (rows, self.context + 1), generator=generator)
        return _halves(tokens.to(self.device))

    def start(self, model: nn.Module, evaluation_model: nn.Module | None = None) -> None:
        """
        Submits the graph of `model(x) -> logits`, x (batch, context) int64, logits (batch, context, vocabulary),
        and starts the clock. The graph, not Python, is scored, with the weights of `submit`.

        `evaluation_model`: an equal form of the model for scoring, if the model itself cannot be exported
        (FlexAttention, scan). Its parameters have the model's names and shapes.
        """
        self._graph = export_graph(evaluation_model or model, self.context, self.device)
        _submission(self._graph, model)  # a name that is missing shows now, not after the training
        parameters = dict(unwrap(model).named_parameters())
        count = sum(parameter.numel() for parameter in parameters.values())
        started = {"type": "start", "initialWeights": _digest(parameters), "parameters": count}
        self._connection.send(started, self._graph.document)
        _expect(self._connection, "started")
        self._started = time.monotonic()
        threading.Thread(target=self._receive, name="lab-data", daemon=True).start()

    def progress(self) -> float:
        """The part of the budget that is used up, from 0 to 1: of time, or of steps before the one under way."""
        if self._started is None:
            return 0.0
        if "steps" in self.budget:
            return max(0, self.steps - 1) / self.budget["steps"]
        return min(1.0, (time.monotonic() - self._started) / self.budget["seconds"])

    def batches(self, rows: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """
        Inputs and targets of one optimiser step after another, each (rows, context) int64 on the device.

        A batch is one step: cut it into micro-batches as memory needs. Ends when the budget is used up. After
        a change of `rows` (leave the loop, call again), what was asked for already still comes in the old size.
        """
        if self._started is None:
            raise LabError("lab.batches() before lab.start(): there is no data before the clock runs")
        self._ask(AHEAD - self._asked, rows)
        in_flight: deque[torch.cuda.Event] = deque()
        while (batch := self._next_batch()) is not None:
            self._ask(1, rows)
            yield batch
            if self.device.type == "cuda":
                in_flight.append(torch.cuda.current_stream().record_event())
                if len(in_flight) == STEPS_IN_FLIGHT:
                    in_flight.popleft().synchronize()

    def report(self, loss: torch.Tensor | float) -> None:
        """
        Tells the runner this step's mean loss. Call it every step: it sends twice a second at most, and never
        waits for the GPU. A loss that is not finite ends the run as diverged.
        """
        self._last_loss = loss.detach() if isinstance(loss, torch.Tensor) else loss
        self._send_losses()
        if time.monotonic() - self._last_report >= REPORT_SECONDS:
            self._queue_loss()
            self._send_losses()

    def submit(self, model: nn.Module) -> None:
        """
        Submits the trained weights by name, as safetensors, and waits for the receipt.
        @throws LabError if the runner refuses them: too late, too big
        """
        if self._graph is None:
            raise LabError("lab.submit() before lab.start(): the runner does not know the model's graph")
        tensors = _submission(self._graph, model)
        if self._last_loss is not None:
            self._queue_loss()
            self._send_losses(wait=True)
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if size > self._max_weights_bytes:
            raise LabError(f"the weights have {size:,} bytes, the lab allows {self._max_weights_bytes:,}")
        message = {"type": "submit", "steps": self.steps, **self._usage()}
        self._connection.send(message, safetensors.torch.save(_plain(tensors)))
        while (item := self._inbox.get()) != "accepted":  # batches that nobody took may still be on their way
            if isinstance(item, Exception):
                raise item
        self._connection.close()

    def _ask(self, count: int, rows: int) -> None:
        if "steps" in self.budget:  # asking beyond the budget would only be answered with its end
            count = min(count, int(self.budget["steps"]) - self.steps - self._asked)
        if count > 0 and not self._ended.is_set():
            self._asked += count
            self._connection.send({"type": "batches", "count": count, "rows": rows})

    def _next_batch(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        if "seconds" in self.budget and self.progress() >= 1.0:
            return None
        waiting_since = time.monotonic()
        item = None if self._ended.is_set() else self._inbox.get()
        self.data_wait_seconds += time.monotonic() - waiting_since
        if isinstance(item, Exception):
            raise item
        if item is None or self._ended.is_set():
            return None
        tokens, copied = item
        if copied is not None:
            torch.cuda.current_stream().wait_event(copied)
            tokens.record_stream(torch.cuda.current_stream())
        self._asked -= 1
        self.steps += 1
        return _halves(tokens.long() & 0xFFFF)

    def _receive(self) -> None:
        """The data thread: receives into pinned memory and copies to the device on a stream of its own."""
        cuda = self.device.type == "cuda"
        stream = torch.cuda.Stream(self.device) if cuda else None
        try:
            while True:
                message, size = self._connection.receive()
                if message["type"] == "batch":
                    host = torch.empty(size // 2, dtype=torch.int16, pin_memory=cuda)
                    self._connection.receive_into(memoryview(host.numpy()))
                    host = host.view(message["rows"], self.context + 1)
                    if stream is None:
                        self._inbox.put((host.to(self.device), None))
                        continue
                    with torch.cuda.stream(stream):
                        tokens = host.to(self.device, non_blocking=True)
                        self._inbox.put((tokens, stream.record_event()))
                elif message["type"] == "end":
                    if message["reason"] == "stop" or "seconds" in self.budget:
                        self._ended.set()  # at once; a budget of steps has used what is in the queue
                    self._inbox.put(None)
                elif message["type"] == "accepted":
                    self._inbox.put("accepted")
                    return
                else:
                    raise _unexpected(message)
        except Exception as error:  # the training thread raises it
            lost = isinstance(error, OSError)
            self._inbox.put(LabError(f"the connection to the runner was lost: {error}") if lost else error)

    def _queue_loss(self) -> None:
        loss = self._last_loss
        self._last_loss, self._last_report = None, time.monotonic()
        if isinstance(loss, torch.Tensor) and loss.device.type == "cuda":
            host = torch.empty((), dtype=torch.float32, pin_memory=True)
            host.copy_(loss.float(), non_blocking=True)
            self._losses.append((self.steps, host, torch.cuda.current_stream().record_event()))
        elif loss is not None:
            self._losses.append((self.steps, loss, None))

    def _send_losses(self, wait: bool = False) -> None:
        while self._losses:
            step, loss, copied = self._losses[0]
            if copied is not None:
                if wait:
                    copied.synchronize()
                elif not copied.query():
                    return
            self._losses.popleft()
            self._connection.send({"type": "report", "step": step, "loss": _sayable(float(loss)), **self._usage()})

    def _usage(self) -> dict[str, float]:
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / 2**20
        else:  # the whole process, in KiB (on macOS in bytes)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        return {"dataWaitSeconds": self.data_wait_seconds, "peakMemoryMb": peak}


def _sayable(loss: float) -> float | str:
    """JSON has no NaN; what float32 cannot hold has diverged as well."""
    if abs(loss) <= torch.finfo(torch.float32).max:
        return loss
    return "NaN" if math.isnan(loss) else "Infinity" if loss > 0 else "-Infinity"


def _halves(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def _expect(connection: wire.Connection, kind: str) -> dict:
    message, _ = connection.receive()
    if message["type"] != kind:
        raise _unexpected(message)
    return message


def _unexpected(message: dict) -> LabError:
    if message["type"] == "refused":
        return LabError(f"the runner refused ({message['reason']}): {message['message']}")
    return LabError(f"the runner said {message['type']!r} out of turn")


def _submission(graph: Exported, model: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that the graph reads: the model's own by name, and what only the graph has."""
    model = unwrap(model)
    named = {
        **dict(model.named_buffers(remove_duplicate=False)),
        **dict(model.named_parameters(remove_duplicate=False)),
    }
    tensors = {name: named.get(name, graph.constants.get(name)) for name in graph.kinds}
    missing = [name for name, tensor in tensors.items() if tensor is None]
    if missing:
        raise LabError(f"the submitted graph reads weights that the model has not: {', '.join(missing[:5])}")
    return tensors


def _plain(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous, on the host, and none sharing memory with another: what safetensors can hold."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _digest(parameters: dict[str, torch.Tensor]) -> str | None:
    """SHA-256 over all of them; None where each is a constant or a pattern of two, such as zeros or the identity."""
    if not any(_is_drawn(parameter.detach()) for parameter in parameters.values()):
        return None
    digest = hashlib.sha256()
    for name in sorted(parameters):
        tensor = parameters[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _is_drawn(tensor: torch.Tensor) -> bool:
    return bool(tensor.numel()) and not bool(((tensor == tensor.min()) | (tensor == tensor.max())).all())
