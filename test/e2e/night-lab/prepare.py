"""Rows of token ids in which low ids are likelier than high ones, from a fixed generator."""

import hashlib
import json
import os
import random
import struct
import sys
import time

VOCABULARY, ROW = 32, 17
TRAIN_ROWS, VAL_ROWS = 512, 64
SECONDS = 0


def rows(seed, count):
    generator = random.Random(seed)
    ids = []
    for _ in range(count):
        ids.append(0)
        ids.extend(1 + int(generator.random() ** 3 * (VOCABULARY - 1)) for _ in range(ROW - 1))
    return struct.pack(f"<{len(ids)}H", *ids)


def main():
    out = sys.argv[sys.argv.index("--out") + 1]
    os.makedirs(out, exist_ok=True)

    def keep(name, content):
        with open(os.path.join(out, name), "wb") as file:
            file.write(content)
        return {"file": name, "sha256": hashlib.sha256(content).hexdigest()}

    manifest = {
        "version": 1,
        "source": "generated",
        "vocabulary": VOCABULARY,
        "bos": 0,
        "row": ROW,
        "train": {**keep("train.bin", rows(1, TRAIN_ROWS)), "rows": TRAIN_ROWS},
        "val": {**keep("val.bin", rows(2, VAL_ROWS)), "rows": VAL_ROWS, "bytes": VAL_ROWS * (ROW - 1)},
        "token_bytes": keep("token_bytes.bin", struct.pack(f"<{VOCABULARY}H", 0, *[1] * (VOCABULARY - 1))),
        "tokenizer": keep("tokenizer.json", b"{}"),
    }
    time.sleep(SECONDS)
    temporary = os.path.join(out, "manifest.json.tmp")
    with open(temporary, "w") as file:
        json.dump(manifest, file)
    os.rename(temporary, os.path.join(out, "manifest.json"))


main()
