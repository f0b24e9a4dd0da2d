"""Whole runs over a real socket: the default train.py, and candidates that do it wrong."""

import json
import math
import shutil
import socket
import threading
from pathlib import Path

import pytest
import safetensors.torch
import torch
from conftest import ROOT

import score
import standin
import wire

CANDIDATE = """
import torch
from torch import nn
from lab import Lab

class Model(nn.Module):
    def __init__(self, lab):
        super().__init__()
        self.table = nn.Embedding(lab.vocabulary, lab.vocabulary)
    def forward(self, x):
        return self.table(x)

lab = Lab.connect()
model = Model(lab)
{body}
"""
LOOP = """
for x, y in lab.batches(4):
    loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    lab.report(loss)
lab.submit(model)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A lab whose train.py a test may write."""
    return shutil.copytree(ROOT / "trainer", tmp_path / "tree", ignore=shutil.ignore_patterns("__pycache__"))


def candidate(tree: Path, body: str, data: Path, budget: dict | None = None) -> standin.Run:
    (tree / "train.py").write_text(CANDIDATE.format(body=body))
    return standin.train(tree, data, tree.parent / "submission", budget or {"steps": 5}, threads=1)


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[standin.Run, Path]]:
    """The default train.py, six steps: twice with one seed, once with another."""
    made = {}
    for name, seed in (("one", 1), ("one again", 1), ("two", 2)):
        submission = tmp_path_factory.mktemp("run")
        made[name] = (standin.train(ROOT / "trainer", data, submission, {"steps": 6}, seed, threads=1), submission)
    return made


def test_a_run_hands_in_what_scores(runs, data: Path, tmp_path: Path) -> None:
    run, submission = runs["one"]
    assert run.exit == 0, run.output
    assert run.steps == run.submitted["steps"] == 6
    assert run.reports[-1]["step"] == 6
    assert all(math.isfinite(report["loss"]) for report in run.reports)
    out = tmp_path / "score.json"
    files = ["--graph", str(submission / "graph.json"), "--weights", str(submission / "weights.safetensors")]
    assert score.main([*files, "--data", str(data), "--out", str(out), "--device", "cpu"]) == 0
    assert 0 < json.loads(out.read_text())["value"] < 8
    assert json.loads(out.read_text())["parameters"] == run.started["parameters"]


def test_a_run_ends_with_the_lines_that_the_field_knows(runs) -> None:
    block = runs["one"][0].output.split("---\n")[1]
    names = [line.split(":")[0] for line in block.splitlines() if ":" in line]
    assert names[:8] == [
        *("training_seconds", "total_seconds", "peak_vram_mb", "mfu_percent"),
        *("total_tokens_M", "num_steps", "num_params_M", "depth"),
    ]


def test_one_seed_gives_the_same_weights_twice(runs) -> None:
    one, again = (safetensors.torch.load_file(runs[name][1] / "weights.safetensors") for name in ("one", "one again"))
    assert all(torch.equal(one[name], again[name]) for name in one)


def test_another_seed_gives_other_initial_weights(runs) -> None:
    first = {name: run.started["initialWeights"] for name, (run, _) in runs.items()}
    assert first["one"] == first["one again"] != first["two"]


@pytest.mark.parametrize(
    ("weights", "is_drawn"),
    [("zero_()", False), ("fill_(0.5)", False), ("copy_(torch.eye(lab.vocabulary))", False), ("normal_()", True)],
)
def test_weights_that_are_not_drawn_have_no_hash(tree: Path, data: Path, weights: str, is_drawn: bool) -> None:
    body = f"with torch.no_grad():\n    model.table.weight.{weights}\nlab.start(model)\n"
    run = candidate(tree, body + LOOP, data)
    assert run.exit == 0, run.output
    assert (run.started["initialWeights"] is not None) == is_drawn


@pytest.mark.parametrize(
    ("loss", "said"),
    [("1e39", "Infinity"), ("-1e300", "-Infinity"), ("float('nan')", "NaN"), ("3e38", 3e38), ("0.5", 0.5)],
)
def test_a_loss_that_float32_cannot_hold_is_said_in_words(tree: Path, data: Path, loss: str, said: float | str) -> None:
    body = f"lab.start(model)\nfor x, y in lab.batches(4):\n    lab.report({loss})\nlab.submit(model)\n"
    run = candidate(tree, body, data)
    assert run.exit == 0, run.output
    assert run.reports[-1]["loss"] == said


def test_a_budget_of_seconds_ends_on_time(tree: Path, data: Path) -> None:
    run = candidate(tree, "lab.start(model)\n" + LOOP, data, {"seconds": 2})
    assert run.exit == 0, run.output
    assert 0 < run.submitted["steps"] <= run.steps
    assert run.submission_seconds < 5
    assert run.submitted["dataWaitSeconds"] < 2


def test_there_is_no_data_before_start(tree: Path, data: Path) -> None:
    run = candidate(tree, LOOP, data)
    assert run.exit == 1
    assert "before lab.start()" in run.output
    assert run.steps == 0


def test_synthetic_batches_are_like_real_ones_but_for_their_text(tree: Path, data: Path) -> None:
    body = """
fx, fy = lab.synthetic(4)
before = torch.rand(1)
lab.start(model)
for x, y in lab.batches(4):
    assert (x.shape, x.dtype, x.stride(), x.device) == (fx.shape, fx.dtype, fx.stride(), fx.device)
    assert (x[:, 1:] == y[:, :-1]).all() and (x[:, 0] == lab.bos).all()
    assert 0.0 <= lab.progress() < 1.0
    lab.report(float("nan"))
lab.submit(model)
"""
    run = candidate(tree, body, data)
    assert run.exit == 0, run.output
    assert run.reports[-1]["loss"] == "NaN"


def test_another_form_for_evaluation(tree: Path, data: Path) -> None:
    body = """
class Training(Model):
    def forward(self, x):
        return super().forward(x) + (0 if x.sum().item() else 1)
trained = Training(lab)
lab.start(trained, evaluation_model=model)
with torch.no_grad():
    trained.table.weight.fill_(3.0)
lab.submit(trained)
"""
    run = candidate(tree, body, data)
    assert run.exit == 0, run.output
    weights = safetensors.torch.load_file(tree.parent / "submission" / "weights.safetensors")
    assert (weights["table.weight"] == 3).all()


def test_a_model_that_cannot_be_handed_in_fails_before_the_clock_runs(tree: Path, data: Path) -> None:
    body = "model.forward = lambda x: model.table(x) + torch.rand(lab.vocabulary)\nlab.start(model)"
    run = candidate(tree, body, data)
    assert run.exit == 1
    assert "random" in run.output
    assert not run.started


def test_without_a_runner_it_says_how_to_run(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lab

    monkeypatch.delenv("AUTORESEARCH_SOCKET", raising=False)
    with pytest.raises(lab.LabError, match="autoresearch start"):
        lab.Lab.connect()
    monkeypatch.setenv("AUTORESEARCH_SOCKET", str(tree / "none"))
    with pytest.raises(lab.LabError, match="no runner answers"):
        lab.Lab.connect()


def conversation(answers: list[bytes | dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that gives these answers to what the lab says first."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(1)
    monkeypatch.setenv("AUTORESEARCH_SOCKET", str(tmp_path / "s"))

    def serve() -> None:
        stream, _ = listener.accept()
        with stream, listener:
            stream.recv(1 << 16)
            for answer in answers:
                if isinstance(answer, dict):
                    wire.Connection(stream).send(answer)
                else:
                    stream.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()


WELCOME = {
    **{"type": "welcome", "protocol": wire.VERSION, "seed": 1, "vocabulary": 9, "bos": 8, "row": 5},
    **{"budget": {"steps": 1}, "device": "cpu", "handinSeconds": 1, "maxWeightsBytes": 1},
}


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([{**WELCOME, "protocol": 2}], "speaks protocol 2"),
        ([{"type": "refused", "reason": "protocol", "message": "one is enough"}], "one is enough"),
        ([{"type": "accepted"}], "out of turn"),
        ([b"\xff" * 12], "header of"),
        ([b"\x02\0\0\0" + bytes(8) + b"no"], "not JSON"),
        ([b"\x02\0\0\0" + bytes(8) + b"{}"], "without a type"),
        ([b"\x02\0"], "closed in the middle"),
        ([], "closed in the middle"),
    ],
)
def test_a_runner_that_says_something_else(answers: list, says: str, tmp_path: Path, monkeypatch) -> None:
    import lab

    conversation(answers, tmp_path, monkeypatch)
    with pytest.raises((lab.LabError, wire.ProtocolError, ConnectionError), match=says):
        lab.Lab.connect()
