"""The scorer's arithmetic, and what it does with submissions that are wrong, hostile or broken."""

import json
import math
import os
import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import ROOT
from torch import nn

import graph
import lab
import score

CPU = torch.device("cpu")


class Bigram(nn.Module):
    """Logits from the current token alone."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.table = nn.Embedding(vocabulary, vocabulary)

    def forward(self, x):
        return self.table(x)


class Peeking(Bigram):
    def forward(self, x):
        return self.table(x) + 9 * nn.functional.one_hot(x.roll(-1, 1), self.table.num_embeddings).float()


class PeekingNowAndThen(Bigram):
    """Looks one token ahead at one position in `every`, and never at the first."""

    def __init__(self, vocabulary: int, every: int):
        super().__init__(vocabulary)
        self.every = every

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits = super().forward(tokens)
        place = torch.arange(tokens.size(1), device=tokens.device)
        peeks = (place % self.every == self.every - 1).unsqueeze(-1)
        ahead = torch.cat((tokens[:, 1:], tokens[:, -1:]), 1)
        known = 20.0 * torch.nn.functional.one_hot(ahead, logits.size(-1)).to(logits.dtype)
        return torch.where(peeks, known, logits)


def submit(model: nn.Module, folder: Path, context: int = 32) -> tuple[Path, Path]:
    exported = graph.export_graph(model, context, CPU)
    tensors = lab._plain(lab._submission(exported, model))
    folder.mkdir(exist_ok=True)
    (folder / "graph.json").write_bytes(exported.document)
    safetensors.torch.save_file(tensors, folder / "weights.safetensors")
    return folder / "graph.json", folder / "weights.safetensors"


@pytest.fixture(scope="module")
def loaded(data: Path) -> score.Data:
    return score.Data.load(data)


@pytest.fixture(scope="module")
def good(loaded: score.Data, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    document, weights = submit(Bigram(loaded.vocabulary), tmp_path_factory.mktemp("good"))
    return document.read_bytes(), safetensors.torch.load_file(weights)


def outcome(data: Path, document: bytes, weights: bytes | dict[str, torch.Tensor], folder: Path) -> dict:
    """What main() writes, in this process."""
    (folder / "graph.json").write_bytes(document)
    packed = weights if isinstance(weights, bytes) else safetensors.torch.save(weights)
    (folder / "weights.safetensors").write_bytes(packed)
    code = score.main(options(data, folder))
    answer = json.loads((folder / "score.json").read_text())
    assert code == (3 if "error" in answer else 0)
    return answer


def options(data: Path, folder: Path) -> list[str]:
    return [
        *("--graph", str(folder / "graph.json"), "--weights", str(folder / "weights.safetensors")),
        *("--data", str(data), "--out", str(folder / "score.json"), "--device", "cpu"),
    ]


def edited(document: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(document), **changes}).encode()


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "limit_memory", lambda share: None)  # it would hold for the other tests too


def test_value_is_bits_per_byte_of_source_text(data: Path, loaded: score.Data, good, tmp_path: Path) -> None:
    answer = outcome(data, *good, tmp_path)
    logits = good[1]["table.weight"].double()
    logs = torch.log_softmax(logits, -1)
    x, y = (torch.from_numpy(part.astype(np.int64)) for part in (loaded.rows[:, :-1], loaded.rows[:, 1:]))
    nats = -logs[x, y] * torch.from_numpy(loaded.token_bytes > 0)[y]
    assert answer["value"] == pytest.approx(nats.sum().item() / math.log(2) / loaded.bytes, rel=1e-6)
    assert answer["bytes"] == loaded.bytes
    assert answer["tokens"] == int((y != loaded.vocabulary - 1).sum())
    assert answer["parameters"] == loaded.vocabulary**2


def test_a_model_that_looks_ahead_is_rejected(data: Path, loaded: score.Data, tmp_path: Path) -> None:
    submit(Peeking(loaded.vocabulary), tmp_path)
    assert score.main(options(data, tmp_path)) == 3
    error = json.loads((tmp_path / "score.json").read_text())["error"]
    assert error["reason"] == "rejected"
    assert "looks ahead" in error["message"]


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_looking_ahead_here_and_there_is_found_however_rows_are_batched(
    batch: int, data: Path, loaded: score.Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = loaded.rows.shape[1] - 1
    monkeypatch.setattr(score, "CPU_TOKENS", batch * context)
    submit(PeekingNowAndThen(loaded.vocabulary, every=8), tmp_path)
    assert score.main(options(data, tmp_path)) == 3
    assert "looks ahead" in json.loads((tmp_path / "score.json").read_text())["error"]["message"]


def node(op: str, *args: object, **kwargs: object) -> dict:
    return {"name": "n", "op": op, "args": list(args), **({"kwargs": kwargs} if kwargs else {})}


TOKENS, TABLE = {"ref": "tokens"}, {"ref": "weight:table.weight"}


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([node("aten.from_file.default", "/etc/passwd")], "not allowed"),
        ([node("aten.add_.Tensor", TABLE, TABLE)], "not allowed"),
        ([node("aten.rand.default", [4])], "not allowed"),
        ([node("builtins.eval.default", "1")], "not allowed"),
        ([node("int.pow", 2, 9)], "not allowed"),
        ([node("aten.add.Tensor", {"ref": "later"}, TABLE)], "comes later"),
        ([node("aten.embedding.default", TABLE, {"exec": "import os"})], "unknown"),
        ([node("aten.embedding.default", TABLE)], "does not run"),
        ([node("aten.embedding.default", TOKENS, TABLE)], "does not run"),
        ([node("aten.neg.default", TABLE)], "shape"),
        ([node("aten.add.Tensor", TOKENS, TOKENS)], "floating-point"),
        ([node("aten.zeros.default", [1 << 50])], "does not run"),
        ([node("aten.zeros.default", [1 << 62, 1 << 62])], "does not run"),
        ([node("int.mul", 1 << 40, 1 << 40)], "64 bits"),
        ([node("aten.scaled_dot_product_attention.default", TABLE, TABLE, TABLE, None, 0.5)], "random"),
        ([{"name": "n", "op": "aten.neg.default", "args": TABLE}], "list of args"),
        ([{"name": "tokens", "op": "aten.neg.default", "args": [TABLE]}], "taken"),
        (["n"], "no object"),
        ([node("aten.neg.default", TABLE, **{"a b": 1})], "no name"),
    ],
)
def test_hostile_graphs_are_refused(data: Path, good, tmp_path: Path, nodes: list, says: str) -> None:
    error = outcome(data, edited(good[0], nodes=nodes, output="n"), good[1], tmp_path)["error"]
    assert says in error["message"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\x80\x04",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format": 2}',
        b'{"format": 1, "weights": {}, "nodes": [], "output": NaN}',
        b'{"format": 1, "weights": [], "nodes": {}, "output": 1}',
        b'{"format": 1, "weights": {"a": {"kind": "parameter", "dtype": "object", "shape": []}}, '
        b'"nodes": [], "output": "tokens"}',
        b'{"format": 1, "weights": {}, "nodes": [{"name": "n", "op": "aten.neg.default", "args": ['
        + b"[" * 50
        + b"]" * 50
        + b'}], "output": "n"}',
        pickle.dumps({"format": 1}),
    ],
)
def test_documents_that_are_no_graph_are_refused(data: Path, good, tmp_path: Path, document: bytes) -> None:
    assert outcome(data, document, good[1], tmp_path)["error"]["reason"] == "rejected"


def header(entries: dict) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def test_weights_must_be_those_that_the_graph_declares(data: Path, good, tmp_path: Path) -> None:
    document, weights = good
    table = weights["table.weight"]
    huge = {"table.weight": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 1 << 62]}}
    for hand, reason, says in [
        ({}, "rejected", "misses"),
        ({**weights, "more": torch.zeros(1)}, "rejected", "beyond"),
        ({"table.weight": table[:-1]}, "rejected", "shape"),
        ({"table.weight": table.to(torch.bfloat16)}, "rejected", "bfloat16"),
        ({"table.weight": torch.full_like(table, torch.nan)}, "unscorable", "NaN"),
        (pickle.dumps(os.getcwd), "rejected", "safetensors"),
        (b"", "rejected", "safetensors"),
        (safetensors.torch.save(weights)[:-1000], "rejected", "safetensors"),
        (header(huge), "rejected", "safetensors"),
        (struct.pack("<Q", 1 << 60), "rejected", "safetensors"),
    ]:
        error = outcome(data, document, hand, tmp_path)["error"]
        assert error["reason"] == reason
        assert says in error["message"]


def test_logits_that_are_not_finite_have_no_score(data: Path, good, tmp_path: Path) -> None:
    document = json.loads(good[0])
    last = document["output"]
    bad = {"name": "bad", "op": "aten.div.Scalar", "args": [{"ref": last}, 0.0]}
    error = outcome(data, edited(good[0], nodes=[*document["nodes"], bad], output="bad"), good[1], tmp_path)["error"]
    assert error["reason"] == "unscorable"


def test_links_and_missing_files_are_refused(data: Path, good, tmp_path: Path) -> None:
    outcome(data, *good, tmp_path)
    (tmp_path / "weights.safetensors").rename(tmp_path / "elsewhere")
    assert score.main(options(data, tmp_path)) == 3
    (tmp_path / "weights.safetensors").symlink_to(tmp_path / "elsewhere")
    assert score.main(options(data, tmp_path)) == 3
    assert "no file" in json.loads((tmp_path / "score.json").read_text())["error"]["message"]


def test_changed_data_is_a_host_error(data: Path, good, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    copy.mkdir()
    for path in data.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "val.bin").write_bytes(bytes(len((data / "val.bin").read_bytes())))
    with pytest.raises(ValueError, match=r"val\.bin"):
        outcome(copy, *good, tmp_path)


def test_random_damage_never_crashes_it(data: Path, good, tmp_path: Path) -> None:
    """Cuts, flips and swaps of both files: a score or a rejection, whatever comes."""
    chance = random.Random(5)
    document, weights = good[0], safetensors.torch.save(good[1])
    values = [None, True, -1, 1 << 62, 0.5, "", "x", [], [[]], {}, {"ref": "tokens"}, {"float": "nan"}]
    for attempt in range(150):
        graph_bytes, weight_bytes = bytearray(document), bytearray(weights)
        if attempt % 3 == 0:  # a well-formed document with a random value somewhere
            tree = json.loads(document)
            place = chance.choice([tree, *tree["nodes"], *tree["weights"].values(), tree["nodes"][0]["args"]])
            keys = list(place) if isinstance(place, dict) else range(len(place))
            place[chance.choice(list(keys))] = chance.choice(values)
            graph_bytes = bytearray(json.dumps(tree).encode())
        elif attempt % 3 == 1:
            graph_bytes[chance.randrange(len(graph_bytes))] = chance.randrange(256)
            del graph_bytes[chance.randrange(1, len(graph_bytes)) :: chance.choice([10_000, len(graph_bytes)])]
        else:
            weight_bytes[chance.randrange(400)] = chance.randrange(256)
            del weight_bytes[chance.randrange(1, len(weight_bytes)) :: 1 << 30]
        answer = outcome(data, bytes(graph_bytes), bytes(weight_bytes), tmp_path)
        assert "value" in answer or answer["error"]["reason"] in ("rejected", "unscorable")


def test_as_a_process_with_its_memory_limit(data: Path, good, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(safetensors.torch.save(good[1]))
    much = [
        {"name": "a", "op": "aten.embedding.default", "args": [TABLE, TOKENS]},
        {"name": "b", "op": "aten.repeat.default", "args": [{"ref": "a"}, [1 << 14, 1, 1]]},
        {"name": "n", "op": "aten.slice.Tensor", "args": [{"ref": "b"}, 0, 0, 64]},
    ]
    for document, code, key in [(good[0], 0, "value"), (edited(good[0], nodes=much, output="n"), 3, "error")]:
        (tmp_path / "graph.json").write_bytes(document)
        command = [sys.executable, str(ROOT / "trainer" / "score.py"), *options(data, tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stderr
        assert key in json.loads((tmp_path / "score.json").read_text())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here: it would score")
def test_never_changes_to_the_cpu_by_itself(data: Path, good, tmp_path: Path) -> None:
    (tmp_path / "graph.json").write_bytes(good[0])
    (tmp_path / "weights.safetensors").write_bytes(safetensors.torch.save(good[1]))
    command = [sys.executable, str(ROOT / "trainer" / "score.py"), *options(data, tmp_path)]
    command = command[: command.index("--device")]
    on_a_gpu = {**os.environ, "AUTORESEARCH_DEVICE": "cuda:0"}
    done = subprocess.run(command, env=on_a_gpu, capture_output=True, text=True, timeout=120)
    assert done.returncode not in (0, 3), done.stdout
    assert not (tmp_path / "score.json").exists()
    by_hand = {name: value for name, value in os.environ.items() if name != "AUTORESEARCH_DEVICE"}
    done = subprocess.run(command, env=by_hand, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "scoring on cpu" in done.stderr
