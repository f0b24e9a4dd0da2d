"""Asks Optuna's TPE sampler for the next point, from nothing but the study's history.

Reads one JSON object on stdin and writes one on stdout:

    in   {"seed": 7, "direction": "minimize", "knobs": [...], "current": {"MATRIX_LR": 0.02, ...},
          "trials": [{"values": {...}, "score": 1.23 | null}]}
    out  {"values": {"MATRIX_LR": 0.031, ...}}

The study is rebuilt each time, so the optimiser has no state of its own: a restart, another host or a replay
asks the same question and gets the same answer. The sampler's seed is of this study and this experiment, for one
fixed seed proposed one identical point again and again. A crash is a failed trial: TPE avoids its neighbourhood no
more than it should, and a score that was never measured is never made up.

Each proposal turns a few knobs of the incumbent and leaves the others: `current` holds their values. From a good start
that found better points than turning all of them (dev/log/2026-11.md), and its diffs can be read.
"""

import json
import math
import random
import sys

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

STARTUP_TRIALS = 3  # random points before TPE begins; Optuna's 10 would make a short study a random search
KNOBS_AT_ONCE = 3  # turned by one proposal
STEPS = 1000  # that a float's range is told apart in; finer ones would be noise in a diff
TRIES = 20  # points that were tried already are asked for again, with another seed


def distribution(knob):
    if knob["type"] == "choice":
        return CategoricalDistribution(knob["values"])
    if knob["type"] == "int":
        # Optuna knows no logarithmic steps.
        step = 1 if knob["log"] else knob["step"]
        return IntDistribution(knob["low"], knob["high"], log=knob["log"], step=step)
    return FloatDistribution(knob["low"], knob["high"], log=knob["log"])


def rounded(knob, value):
    """The value as it will stand in the file: a float with as few digits (three or more) as its range needs."""
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
    turned = random.Random(seed).sample(names, min(KNOBS_AT_ONCE, len(names)))
    kept = {name: value for name, value in request["current"].items() if name not in turned}
    tpe = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True)
    sampler = optuna.samplers.PartialFixedSampler(kept, tpe)
    study = optuna.create_study(direction=request["direction"], sampler=sampler)
    for trial in request["trials"]:
        score = trial["score"]
        study.add_trial(
            create_trial(
                params=trial["values"],
                # A constant that came in later is missing from earlier trials: they say nothing about that one.
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
        f"every one of {TRIES} proposals was tried before: "
        "start a study from a lab.yaml with wider ranges, or another researcher"
    )


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.logging.disable_default_handler()
    json.dump({"values": propose(json.load(sys.stdin))}, sys.stdout)
