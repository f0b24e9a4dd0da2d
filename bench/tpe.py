"""
tpe against random search at equal budget, from the default lab's starting point, and on a synthetic bowl.

    python bench/tpe.py --data DIR [--experiments 16] [--seeds 4] [--steps 40] [--batch 1.0] [--jobs 2]
    python bench/tpe.py --bowl [--experiments 30] [--seeds 20]

Prints one JSON line a figure. `--data` is a data set that prepare.py made for the CPU (rows of 257). A run is
train.py itself, turned by the knobs' literals, trained for `--steps` on real rows in an order of the seed,
and scored with the scorer's arithmetic on the first validation rows; sandbox, submission and Temporal are left
out, for they cost time and change no score. Knobs: those of lab.yaml that cost no time, for with a budget of
steps a bigger model is always better. Each experiment has a seed of its own, and what scores better than the
incumbent is kept, as in a study. In the end incumbent and baseline are trained again on the same fresh seeds:
what was luck is gone from these figures.

tpe        tpe.py's own answer, three knobs of the incumbent at a time
random-3   three knobs of the incumbent, drawn from their ranges
random     all knobs, drawn from their ranges
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import statistics
import sys
import types
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # studies run side by side

ROOT = Path(__file__).parents[1]
warnings.simplefilter("ignore")  # Optuna's, that a sampler is experimental
sys.path[:0] = [str(ROOT / "trainer"), str(ROOT / "src" / "researchers")]

POLICIES = ["tpe", "random-3", "random"]
RANGES = {  # as in trainer/lab.yaml
    "MATRIX_LR": (0.005, 0.15, True),
    "EMBEDDING_LR": (0.03, 1.5, True),
    "HEAD_LR": (0.0005, 0.02, True),
    "SCALAR_LR": (0.002, 0.2, True),
    "WEIGHT_DECAY": (0.0, 0.4, False),
    "MOMENTUM": (0.85, 0.98, False),
    "WARMDOWN": (0.1, 1.0, False),
    "WARMUP": (0.0, 0.1, False),
}
KNOBS = [
    {"name": name, "type": "float", "low": low, "high": high, "log": log} for name, (low, high, log) in RANGES.items()
]
VAL_ROWS = 64
FRESH_SEEDS = 2
MARKS = (5, 10)  # also told after so many experiments


class Lab:
    """The default lab on a CPU: `score(values, seed)` in bits per byte."""

    def __init__(self, data: Path, steps: int, batch: float):
        import numpy as np
        import torch

        import score

        torch.set_num_threads(1)
        self.text = (ROOT / "trainer" / "train.py").read_text("utf-8")
        manifest = json.loads((data / "manifest.json").read_text("utf-8"))
        self.rows = np.fromfile(data / manifest["train"]["file"], "<u2").reshape(-1, manifest["row"])
        self.val = score.Data.load(data)
        self.steps, self.batch = steps, batch
        self.shape = types.SimpleNamespace(
            vocabulary=manifest["vocabulary"],
            bos=manifest["bos"],
            context=manifest["row"] - 1,
            device=torch.device("cpu"),
        )
        module = self._module({})
        self.start = {name: float(getattr(module, name)) for name in RANGES}

    def _module(self, values: dict[str, float]) -> types.ModuleType:
        module = types.ModuleType("candidate")
        sys.modules["candidate"] = module  # dataclasses look there
        exec(compile(self.text, "train.py", "exec"), module.__dict__)
        module.__dict__.update(values, BATCH_SCALE=self.batch)
        return module

    def score(self, values: dict[str, float], seed: int) -> float | None:
        import numpy as np
        import torch
        import torch.nn.functional as F

        torch.manual_seed(seed)
        model, trainer = self._module(values).build(self.shape)
        order = np.random.default_rng(seed).permutation(len(self.rows))
        for step in range(self.steps):
            picked = self.rows[order[step * trainer.rows : (step + 1) * trainer.rows]].astype(np.int64)
            rows = torch.from_numpy(picked)
            trainer.step(rows[:, :-1], rows[:, 1:], step / self.steps, step)
        rows = torch.from_numpy(self.val.rows[:VAL_ROWS].astype(np.int64))
        size = torch.from_numpy(self.val.token_bytes.astype(np.int64))
        nats, count = 0.0, 0
        with torch.no_grad():
            for part in rows.split(8):
                x, y = part[:, :-1], part[:, 1:]
                losses = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="none")
                bytes_of = size[y.flatten()]
                nats += float(losses[bytes_of > 0].double().sum())
                count += int(bytes_of.sum())
        value = nats / math.log(2) / count
        return value if math.isfinite(value) else None


class Bowl:
    """Distance to a point that the seed hides, knobs of unequal weight, with noise: no training."""

    def __init__(self, seed: int):
        draw = random.Random(seed)
        self.best = {knob["name"]: draw.uniform(0.2, 0.8) for knob in KNOBS}
        self.weight = {knob["name"]: 2 ** draw.uniform(-3, 1) for knob in KNOBS}
        self.start = {
            knob["name"]: place(knob, min(1, max(0, self.best[knob["name"]] + draw.uniform(-0.5, 0.5))))
            for knob in KNOBS
        }

    def score(self, values: dict[str, float], seed: int) -> float:
        far = sum(self.weight[k["name"]] * (share(k, values[k["name"]]) - self.best[k["name"]]) ** 2 for k in KNOBS)
        return 1 + far + random.Random(seed).gauss(0, 0.01)


def place(knob: dict, part: float) -> float:
    """The value that lies at this part of the knob's range, with three digits, as in a file."""
    low, high = knob["low"], knob["high"]
    value = low * (high / low) ** part if knob["log"] else low + part * (high - low)
    return min(high, max(low, float(f"{value:.3g}")))


def share(knob: dict, value: float) -> float:
    low, high = knob["low"], knob["high"]
    return math.log(value / low) / math.log(high / low) if knob["log"] else (value - low) / (high - low)


def proposed(policy: str, current: dict, trials: list[dict], seed: int) -> dict[str, float]:
    if policy == "tpe":
        import tpe

        tpe.optuna.logging.set_verbosity(tpe.optuna.logging.ERROR)
        return tpe.propose(
            {"seed": seed, "direction": "minimize", "knobs": KNOBS, "current": current, "trials": trials}
        )
    draw = random.Random(seed)
    turned = KNOBS if policy == "random" else draw.sample(KNOBS, 3)
    return {**current, **{knob["name"]: place(knob, draw.random()) for knob in turned}}


def study(job: tuple) -> dict:
    """One study: the kept gain after each experiment, and what is left of it on fresh seeds."""
    policy, seed, options = job
    objective = Bowl(seed) if options.bowl else Lab(options.data, options.steps, options.batch)
    current = objective.start
    best = objective.score(current, 1000 * seed)
    baseline = best
    trials = [{"values": current, "score": best}]
    gains = [0.0]
    for number in range(1, options.experiments + 1):
        values = proposed(policy, current, trials, 7919 * seed + number)
        value = objective.score(values, 1000 * seed + number)
        trials.append({"values": values, "score": value})
        if value is not None and value < best:
            best, current = value, values
        gains.append((baseline - best) / baseline)
    fresh = [10**6 + 1000 * seed + index for index in range(FRESH_SEEDS)]
    before = statistics.fmean(objective.score(objective.start, each) for each in fresh)
    after = statistics.fmean(objective.score(current, each) for each in fresh)
    result = {"policy": policy, "seed": seed, "gains": gains, "fresh": (before - after) / before}
    print(json.dumps(result), file=sys.stderr, flush=True)
    return result


def say(objective: str, policy: str, figure: str, values: list[float]) -> None:
    value, spread = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    line = {"bench": "tpe", "objective": objective, "policy": policy, "figure": figure, "value": round(100 * value, 3)}
    print(json.dumps({**line, "spread": round(100 * spread, 3), "studies": len(values), "unit": "%"}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--bowl", action="store_true")
    parser.add_argument("--experiments", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=float, default=1.0, help="BATCH_SCALE: a smaller one for a busy machine")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if not options.bowl and options.data is None:
        parser.error("--data DIR, or --bowl")
    jobs = [(policy, seed, options) for seed in range(1, options.seeds + 1) for policy in POLICIES]
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        done = list(pool.imap_unordered(study, jobs, chunksize=1))
    objective = "bowl" if options.bowl else f"lab, {options.steps} steps of {options.batch:g} batches"
    for policy in POLICIES:
        own = sorted((each for each in done if each["policy"] == policy), key=lambda each: each["seed"])
        for mark in sorted({*(m for m in MARKS if m < options.experiments), options.experiments}):
            say(objective, policy, f"kept gain after {mark}", [each["gains"][mark] for each in own])
        say(objective, policy, "gain on fresh seeds", [each["fresh"] for each in own])
    firsts = {(each["policy"], each["seed"]): each["fresh"] for each in done}
    for other in POLICIES[1:]:
        seeds = range(1, options.seeds + 1)
        say(objective, f"tpe − {other}", "gain on fresh seeds", [firsts["tpe", s] - firsts[other, s] for s in seeds])


if __name__ == "__main__":
    main()
