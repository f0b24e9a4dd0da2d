"""Learns how often each token comes: one logit a token, gradient descent with momentum."""

import hashlib
import json
import math
import random
import struct

from client import Runner

RATE = 0.5  # step size
MOMENTUM = 0.0  # of the last step
DECAY = 0.0  # of the logits, each step
SPREAD = 1.0  # standard deviation of the logits at the start
FLOOR = 0.0  # smallest gradient that counts


def softmax(logits):
    most = max(logits)
    exponentials = [math.exp(logit - most) for logit in logits]
    total = sum(exponentials)
    return [each / total for each in exponentials]


def main():
    runner = Runner()
    runner.say({"type": "hello", "protocol": 1, "framework": "none"})
    welcome, _ = runner.hear()
    generator = random.Random(welcome["seed"])
    logits = [generator.gauss(0, SPREAD) for _ in range(welcome["vocabulary"])]
    speed = [0.0] * len(logits)
    pack = struct.Struct(f"<{len(logits)}d").pack
    initial = hashlib.sha256(pack(*logits)).hexdigest()
    graph = json.dumps({"nodes": [], "seconds": 0}).encode()
    runner.say({"type": "start", "initialWeights": initial, "parameters": len(logits)}, graph)
    runner.hear()
    usage = {"dataWaitSeconds": 0, "peakMemoryMb": 1}
    step = 0
    runner.say({"type": "batches", "count": 1, "rows": 8})
    while True:
        message, payload = runner.hear()
        if message["type"] == "end":
            break
        step += 1
        ids = struct.unpack(f"<{len(payload) // 2}H", payload)
        targets = [token for place, token in enumerate(ids) if place % welcome["row"] != 0]
        chances = softmax(logits)
        loss = -sum(math.log(chances[token]) for token in targets) / len(targets)
        for token, chance in enumerate(chances):
            gradient = targets.count(token) / len(targets) - chance
            if abs(gradient) < FLOOR:
                continue
            speed[token] = MOMENTUM * speed[token] + RATE * gradient
            logits[token] += speed[token] - DECAY * logits[token]
        runner.say({"type": "report", "step": step, "loss": loss, **usage})
        runner.say({"type": "batches", "count": 1, "rows": 8})
    runner.say({"type": "submit", "steps": step, **usage}, pack(*logits))
    runner.hear()


main()
