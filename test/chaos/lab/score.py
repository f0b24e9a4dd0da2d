"""Bits per token of the validation rows under the logits that were submitted."""

import json
import math
import os
import struct
import sys
import time


def argument(name):
    return sys.argv[sys.argv.index(name) + 1]


def main():
    data = argument("--data")
    with open(os.path.join(data, "manifest.json")) as file:
        manifest = json.load(file)
    with open(os.path.join(data, "val.bin"), "rb") as file:
        ids = [token for (token,) in struct.iter_unpack("<H", file.read())]
    with open(argument("--weights"), "rb") as file:
        logits = [logit for (logit,) in struct.iter_unpack("<d", file.read())]
    with open(argument("--graph")) as file:
        seconds = json.load(file)["seconds"]
    targets = [token for place, token in enumerate(ids) if place % manifest["row"] != 0]
    most = max(logits)
    norm = most + math.log(sum(math.exp(logit - most) for logit in logits))
    nats = sum(norm - logits[token] for token in targets)
    time.sleep(seconds)
    score = {
        "value": nats / math.log(2) / len(targets),
        "tokens": len(targets),
        "bytes": manifest["val"]["bytes"],
        "seconds": seconds,
        "parameters": len(logits),
    }
    with open(argument("--out"), "w") as file:
        json.dump(score, file)


main()
