"""The GPU's side of the lab: bf16, compiled, cuDNN attention, pinned copies. Needs a GPU."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
import train
from conftest import ROOT

import graph
import score
import standin

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def test_a_compiled_run_scores(data: Path, tmp_path: Path) -> None:
    run = standin.train(ROOT / "trainer", data, tmp_path, {"steps": 6}, device="cuda:0")
    assert run.exit == 0, run.output
    files = ["--graph", str(tmp_path / "graph.json"), "--weights", str(tmp_path / "weights.safetensors")]
    out = tmp_path / "score.json"
    assert score.main([*files, "--data", str(data), "--out", str(out), "--device", "cuda"]) == 0, out.read_text()
    assert 0 < json.loads(out.read_text())["value"] < 8


def test_the_rebuilt_model_is_equal_on_the_gpu() -> None:
    device = torch.device("cuda:0")
    model = train.GPT(300, 128, layers=2, width=128, heads=2, dtype=torch.bfloat16).to(device)
    with torch.no_grad():
        model.head.normal_()
        for weight in model.matrices():
            weight.normal_(std=0.05)
    exported = graph.export_graph(model, 128, device)
    parsed = graph.Graph.parse(exported.document)
    state = {**dict(model.named_buffers()), **dict(model.named_parameters())}
    module = parsed.module({name: state[name] for name in parsed.weights}, device)
    tokens = torch.randint(300, (5, 128), device=device)
    with torch.no_grad():
        assert torch.equal(module(tokens), model(tokens))


def test_warming_up_leaves_no_trace() -> None:
    device = torch.device("cuda:0")
    model = train.GPT(300, 64, layers=2, width=128, heads=2, dtype=torch.bfloat16).to(device)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = train.Trainer(model, rows=4, micro_rows=2, bos=299, compiled=True)
    x = torch.randint(299, (4, 64), device=device)
    trainer.warm_up(x, x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not trainer.optimiser.adamw.state
    assert all(not velocity.any() for velocity in trainer.optimiser.muon.velocity)


def test_graph_of_the_gpu_scores_on_the_cpu(data: Path, tmp_path: Path) -> None:
    run = standin.train(ROOT / "trainer", data, tmp_path, {"steps": 3}, device="cuda:0")
    assert run.exit == 0, run.output
    loaded = score.Data.load(data)
    answer = score.score(tmp_path / "graph.json", tmp_path / "weights.safetensors", loaded, torch.device("cpu"))
    again = score.score(tmp_path / "graph.json", tmp_path / "weights.safetensors", loaded, torch.device("cuda:0"))
    assert answer["value"] == pytest.approx(again["value"], rel=1e-2)
    assert safetensors.torch.load_file(tmp_path / "weights.safetensors")
