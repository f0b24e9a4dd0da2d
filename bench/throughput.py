"""
What a run of the default lab costs around its training, and how near the training is to its pure steps.

    python bench/throughput.py --data DIR [--seconds 60] [--device cpu|cuda]

Prints one JSON line a figure. Runs train.py under the tests' stand-in runner, then score.py, then bare steps
of the same trainer on one batch, with no data to fetch and no clock to keep.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "trainer"), str(ROOT / "test" / "trainer")]

import torch
import train

import standin


def say(figure: str, value: float, unit: str) -> None:
    print(json.dumps({"bench": "throughput", "figure": figure, "value": round(value, 6), "unit": unit}), flush=True)


class Shapes:
    """As much of a Lab as train.build reads."""

    def __init__(self, manifest: dict, device: str):
        self.vocabulary, self.bos, self.context = manifest["vocabulary"], manifest["bos"], manifest["row"] - 1
        self.device = torch.device(device)


def pure_step(manifest: dict, device: str) -> tuple[float, int, train.GPT]:
    """Seconds of a bare step (the median of several), tokens in it, and the model."""
    lab = Shapes(manifest, device)
    model, trainer = train.build(lab)
    x = torch.randint(lab.vocabulary, (trainer.rows, lab.context), device=lab.device)
    y = torch.randint(lab.vocabulary, (trainer.rows, lab.context), device=lab.device)
    cuda = lab.device.type == "cuda"
    kernels = [train.SDPBackend.CUDNN_ATTENTION, train.SDPBackend.FLASH_ATTENTION, train.SDPBackend.MATH]
    taken = []
    with train.sdpa_kernel(kernels, set_priority=True) if cuda else train.nullcontext():
        for number in range(23):
            began = time.monotonic()
            trainer.step(x, y, 0.5, number)
            if cuda:
                torch.cuda.synchronize()
            taken.append(time.monotonic() - began)
    return sorted(taken[3:])[10], trainer.rows * lab.context, model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    manifest = json.loads((options.data / "manifest.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        submission = Path(folder)
        run = standin.train(ROOT / "trainer", options.data, submission, {"seconds": options.seconds}, device=options.device)
        if run.exit != 0:
            sys.exit(f"train.py exited {run.exit}:\n{run.output[-3000:]}")
        print(run.output, file=sys.stderr)
        began = time.monotonic()
        files = ["--graph", submission / "graph.json", "--weights", submission / "weights.safetensors"]
        command = [sys.executable, ROOT / "trainer" / "score.py", *files, "--data", options.data]
        subprocess.run([*command, "--out", submission / "score.json", "--device", options.device], check=True)
        score_wall = time.monotonic() - began
        score = json.loads((submission / "score.json").read_text())
    step, tokens, model = pure_step(manifest, options.device)
    rate = run.submitted["steps"] * tokens / run.train_seconds
    say("start-up, before the clock runs", run.startup_seconds, "s")
    say("submission, after the budget's end", run.submission_seconds, "s")
    say("exit, beyond all that", run.wall_seconds - run.startup_seconds - run.train_seconds - run.submission_seconds, "s")
    say("training", rate, "tokens/s")
    say("bare steps", tokens / step, "tokens/s")
    say("training against bare steps", rate * step / tokens, "ratio")
    say("bare step", step, "s")
    say("waiting for data", run.submitted["dataWaitSeconds"] / run.train_seconds, "share of training time")
    say("peak memory", run.submitted["peakMemoryMb"], "MiB")
    if options.device.startswith("cuda"):
        name = torch.cuda.get_device_name()
        peak = next((flops for part, flops in train.PEAK_FLOPS.items() if part in name), float("nan"))
        say("MFU, training", model.flops_per_token() * rate / peak, "share")
        say("MFU, bare steps", model.flops_per_token() * tokens / step / peak, "share")
    say("scoring proper", score["tokens"] / score["seconds"], "tokens/s")
    say("scoring, whole process", score_wall, "s")
    say("val_bpb", score["value"], "bits a byte")


if __name__ == "__main__":
    main()
