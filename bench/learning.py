"""
Does the default lab learn? Its val_bpb after a short run beside models that only count.

    python bench/learning.py --data DIR [--seconds 30]

Prints one JSON line a figure. Unigram and bigram are counted over the whole training file, which the run sees
only a small part of, and scored with the scorer's arithmetic on the same targets.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "trainer"), str(ROOT / "test" / "trainer")]

import numpy as np

import score
import standin


def say(figure: str, value: float, unit: str) -> None:
    print(json.dumps({"bench": "learning", "figure": figure, "value": round(value, 4), "unit": unit}), flush=True)


def counted(data: score.Data, rows: np.ndarray) -> tuple[float, float]:
    """Bits per byte of a unigram, and of a bigram that falls back on it (absolute discounting)."""
    size = data.vocabulary
    x, y = rows[:, :-1].astype(np.int64).ravel(), rows[:, 1:].astype(np.int64).ravel()
    text = data.token_bytes[y] > 0
    pairs = np.bincount(x[text] * size + y[text], minlength=size * size).reshape(size, size)
    unigram = (pairs.sum(0) + 0.5) / (pairs.sum() + 0.5 * size)
    discount = 0.75
    follow = np.maximum(pairs.sum(1, keepdims=True), 1)
    kept = np.maximum(pairs - discount, 0) / follow
    bigram = kept + (1 - kept.sum(1, keepdims=True)) * unigram
    vx, vy = data.rows[:, :-1].ravel(), data.rows[:, 1:].ravel()
    scored = data.token_bytes[vy] > 0

    def bits(chances: np.ndarray) -> float:
        return -np.log(chances[scored]).sum() / math.log(2) / data.bytes

    return bits(unigram[vy]), bits(bigram[vx, vy])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--steps", type=int, help="a budget of steps instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tree", type=Path, default=ROOT / "trainer")
    options = parser.parse_args()
    data = score.Data.load(options.data)
    manifest = json.loads((options.data / "manifest.json").read_text())
    train_rows = np.fromfile(options.data / manifest["train"]["file"], "<u2").reshape(-1, manifest["row"])
    unigram, bigram = counted(data, train_rows)
    say("unigram", unigram, "bits a byte")
    say("bigram", bigram, "bits a byte")
    budget = {"steps": options.steps} if options.steps else {"seconds": options.seconds}
    with tempfile.TemporaryDirectory() as folder:
        submission = Path(folder)
        run = standin.train(options.tree, options.data, submission, budget, options.seed, options.device)
        if run.exit != 0:
            sys.exit(f"train.py exited {run.exit}:\n{run.output[-3000:]}")
        files = ["--graph", submission / "graph.json", "--weights", submission / "weights.safetensors"]
        command = [sys.executable, ROOT / "trainer" / "score.py", *files, "--data", options.data]
        subprocess.run(
            [*command, "--out", submission / "score.json", "--device", options.device], check=True, stdout=sys.stderr
        )
        answer = json.loads((submission / "score.json").read_text())
    say("train.py", answer["value"], "bits a byte")
    say("steps", run.submitted["steps"], "steps")
    say("tokens", run.tokens, "tokens")
    say("training", run.train_seconds, "s")
    say("processor time of the whole run", run.cpu_seconds, "s")


if __name__ == "__main__":
    main()
