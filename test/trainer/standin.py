"""
A runner for tests: speaks the protocol, feeds rows in an order drawn from the seed, stores the submission.

    python test/trainer/standin.py --tree trainer --data DIR --submission DIR --seconds 30 [--device cpu]

Its clock works as the real one's, but it has no sandbox and trusts the candidate.
"""

import argparse
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "trainer"))

import json

import wire


@dataclass
class Run:
    """The result of a run."""

    exit: int = -1
    output: str = ""
    started: dict = field(default_factory=dict)
    submitted: dict = field(default_factory=dict)
    reports: list[dict] = field(default_factory=list)
    steps: int = 0
    startup_seconds: float = 0.0
    train_seconds: float = 0.0
    submission_seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0  # of the whole process
    tokens: int = 0  # of the steps that were taken
    error: str = ""


class StandIn:
    """Serves one candidate over one connection."""

    def __init__(self, data: Path, submission: Path, budget: dict, seed: int, device: str):
        self.manifest = json.loads((data / "manifest.json").read_text())
        shape = (self.manifest["train"]["rows"], self.manifest["row"])
        self.rows = np.memmap(data / self.manifest["train"]["file"], dtype="<u2", mode="r", shape=shape)
        self.order = np.random.default_rng(seed).permutation(len(self.rows))
        self.submission, self.budget, self.seed, self.device = submission, budget, seed, device
        self.run = Run()
        self.taken = 0
        self.ended = False
        self.launched = time.monotonic()

    def serve(self, stream: socket.socket) -> None:
        self.connection = wire.Connection(stream)
        try:
            while True:
                message, size = self.connection.receive()
                payload = bytearray(size)
                self.connection.receive_into(memoryview(payload))
                getattr(self, message["type"])(message, payload)
        except (ConnectionError, wire.ProtocolError) as error:
            self.run.error = str(error)

    def hello(self, message: dict, _payload: bytearray) -> None:
        self.connection.send(
            {
                "type": "welcome",
                "protocol": wire.VERSION,
                "seed": self.seed,
                "vocabulary": self.manifest["vocabulary"],
                "bos": self.manifest["bos"],
                "row": self.manifest["row"],
                "budget": self.budget,
                "device": self.device,
                "handinSeconds": 30,
                "maxWeightsBytes": 1 << 32,
            }
        )

    def start(self, message: dict, payload: bytearray) -> None:
        self.run.started = message
        self.run.startup_seconds = time.monotonic() - self.launched
        (self.submission / "graph.json").write_bytes(payload)
        self.started = time.monotonic()
        if "seconds" in self.budget:
            timer = threading.Timer(self.budget["seconds"], self.end)
            timer.daemon = True
            timer.start()
        self.connection.send({"type": "started"})

    def batches(self, message: dict, _payload: bytearray) -> None:
        for _ in range(message["count"]):
            if self.ended:
                return
            picked = self.order[np.arange(self.taken, self.taken + message["rows"]) % len(self.order)]
            self.taken += message["rows"]
            self.run.steps += 1
            batch = np.ascontiguousarray(self.rows[picked])
            self.connection.send(
                {"type": "batch", "step": self.run.steps, "rows": message["rows"]}, memoryview(batch).cast("B")
            )
            if self.run.steps == self.budget.get("steps"):
                self.end()

    def end(self) -> None:
        self.ended = True
        self.ended_at = time.monotonic()
        self.run.train_seconds = self.ended_at - self.started
        self.connection.send({"type": "end", "reason": "budget"})

    def report(self, message: dict, _payload: bytearray) -> None:
        self.run.reports.append(message)

    def submit(self, message: dict, payload: bytearray) -> None:
        self.run.submitted = message
        rows = self.taken // max(1, self.run.steps)
        self.run.tokens = message["steps"] * rows * (self.manifest["row"] - 1)
        (self.submission / "weights.safetensors").write_bytes(payload)
        self.run.submission_seconds = time.monotonic() - self.ended_at if self.ended else 0.0
        self.connection.send({"type": "accepted"})


def train(
    tree: Path,
    data: Path,
    submission: Path,
    budget: dict,
    seed: int = 1,
    device: str = "cpu",
    threads: int | None = None,
    command: tuple[str, ...] = ("train.py",),
    echo: bool = False,
) -> Run:
    """Runs the candidate in `tree` to its end; the submission lies in `submission` afterwards."""
    submission.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ar-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/s"
        listener.bind(path)
        listener.listen(1)
        server = StandIn(data, submission, budget, seed, device)
        environment = {**os.environ, "AUTORESEARCH_SOCKET": path, "PYTHONDONTWRITEBYTECODE": "1"}
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        server.launched = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-u", *command],
            cwd=tree,
            env=environment,
            stdout=None if echo else subprocess.PIPE,
            stderr=None if echo else subprocess.STDOUT,
            text=True,
        )

        def accept() -> None:
            stream, _ = listener.accept()
            with stream:
                server.serve(stream)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        output, _ = process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        server.run.cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        server.run.wall_seconds = time.monotonic() - server.launched
        if server.run.started:
            thread.join(10)
    server.run.exit, server.run.output = process.returncode, output or ""
    return server.run


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run a candidate by hand.")
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[2] / "trainer")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--submission", type=Path, required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    budget = {"steps": options.steps} if options.steps else {"seconds": options.seconds or 30.0}
    run = train(options.tree, options.data, options.submission, budget, options.seed, options.device, echo=True)
    figures = {name: getattr(run, name) for name in ("exit", "steps", "startup_seconds", "train_seconds")}
    print(json.dumps({**figures, "submission_seconds": run.submission_seconds, "wall_seconds": run.wall_seconds}))
    print(json.dumps({"started": run.started, "submitted": run.submitted, "error": run.error}))
    sys.exit(run.exit)
