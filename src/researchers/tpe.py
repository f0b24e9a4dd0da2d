"""Asks Optuna's TPE sampler for the next point, from nothing but the study's history.

tpe.ts runs it: one JSON object on stdin, one on stdout:

    in   {"seed": 7, "direction": "minimize", "knobs": [...], "current": {"MATRIX_LR": 0.02, ...},
          "trials": [{"values": {...}, "score": 1.23 | null}]}
    out  {"values": {"MATRIX_LR": 0.031, ...}}

The Optuna study is rebuilt each time, so the optimiser has no state: after a restart or on another host the same
question gets the same answer. The sampler's seed depends on the study and the experiment, since a fixed seed proposed
one point again and again. A crash is a failed trial without a score.

Each proposal changes a few hyperparameters ("knobs" in lab.yaml) of the incumbent; `current` holds all their values.
From a good start this found better points than changing all of them (dev/log/2026-11.md), and its diffs stay readable.

Exits with a message on stderr when every point it draws was tried before.
"""

import json
import math
import random
import sys

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

STARTUP_TRIALS = 3  # random points before TPE begins; Optuna's 10 would make a short study a random search
KNOBS_AT_ONCE = 3  # changed by one proposal
STEPS = 1000  # resolution of a float's range; finer steps would be noise in a diff
TRIES = 20  # draws, each with another seed, until a point is new


def distribution(knob):
    if knob["type"] == "choice":
        return CategoricalDistribution(knob["values"])
    if knob["type"] == "int":
        # Optuna has no logarithmic steps.
        step = 1 if knob["log"] else knob["step"]
        return IntDistribution(knob["low"], knob["high"], log=knob["log"], step=step)
    return FloatDistribution(knob["low"], knob["high"], log=knob["log"])


def rounded(knob, value):
    """The value as the file will have it: a float with as few digits (at least three) as its range needs."""
    if knob["type"] != "float":
        return value
    low, high = knob["low"], knob["high"]
    step = (value * math.log(high / low) if knob["log"] else high - low) / STEPS
    short = next(
        (short for digits in range(3, 17) if abs((short := float(f"{value:.{digits}g}")) - value) <= step), value
    )
    return min(max(short, low), high)


def rebuild(request, distributions, seed):
    names = sorted(distributions)
    changed = random.Random(seed).sample(names, min(KNOBS_AT_ONCE, len(names)))
    unchanged = {name: value for name, value in request["current"].items() if name not in changed}
    tpe = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True)
    sampler = optuna.samplers.PartialFixedSampler(unchanged, tpe)
    study = optuna.create_study(direction=request["direction"], sampler=sampler)
    for trial in request["trials"]:
        score = trial["score"]
        study.add_trial(
            create_trial(
                params=trial["values"],
                # Earlier trials lack constants that were added later.
                distributions={name: distributions[name] for name in trial["values"]},
                value=score,
                state=TrialState.FAIL if score is None else TrialState.COMPLETE,
            )
        )
    return study


def propose(request):
    distributions = {knob["name"]: distribution(knob) for knob in request["knobs"]}
    tried = [trial["values"] for trial in request["trials"]]
    for attempt in range(TRIES):
        study = rebuild(request, distributions, request["seed"] + 1_000_003 * attempt)
        trial = study.ask(distributions)
        values = {knob["name"]: rounded(knob, trial.params[knob["name"]]) for knob in request["knobs"]}
        if values not in tried:
            return values
    raise SystemExit(
        f"all of {TRIES} proposals were tried before: "
        "start a study with wider ranges in lab.yaml, or with another researcher"
    )


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.logging.disable_default_handler()
    json.dump({"values": propose(json.load(sys.stdin))}, sys.stdout)
