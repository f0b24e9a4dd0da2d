"""
How much of a lab's editable files is data that the study's base does not have. Read by novelty.ts:

    {"base": [{"path", "base64"}], "candidate": [...]} on stdin → {"literals": bytes, "packed": bytes}

literals: strings (docstrings too), bytes and numbers that are not in the base, each as often as it is there more often.
In Python they are tokens; in other code what looks like one; anything else, and Python that is none, is data whole.
packed: what zlib makes of the lines that are not in the base. Data in comments, in names, in spaces or in the order of
lines is in it, for all of these can be read by the code that has them.

Standard library only: it runs with any Python 3, in no environment of a candidate's.
"""

import base64
import io
import json
import re
import sys
import tokenize
import zlib
from collections import Counter

CODE = set(".c .cc .cl .cpp .cu .cuh .cxx .go .h .hpp .java .jl .js .lua .metal .mojo .pyi .pyx .rs .sh .ts".split())
LOOKS_LITERAL = re.compile(rb'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|\b\d[\w.]*')
LITERAL = {
    tokenize.STRING,
    tokenize.NUMBER,
    getattr(tokenize, "FSTRING_MIDDLE", -1),
    getattr(tokenize, "TSTRING_MIDDLE", -1),
}


def literals(path, content):
    suffix = path[path.rfind(".") :].lower()
    if suffix == ".py":
        try:
            tokens = tokenize.tokenize(io.BytesIO(content).readline)
            return [token.string.encode("utf-8", "surrogatepass") for token in tokens if token.type in LITERAL]
        except (tokenize.TokenError, SyntaxError, ValueError, LookupError, RecursionError):
            return lines(content)
    return LOOKS_LITERAL.findall(content) if suffix in CODE else lines(content)


def lines(content):
    return content.split(b"\n")


def new(base, candidate):
    """What the candidate has more of than the base, in its order."""
    there = Counter(base)
    found = []
    for each in candidate:
        if there[each] > 0:
            there[each] -= 1
        else:
            found.append(each)
    return found


def read(files):
    return [(file["path"], base64.b64decode(file["base64"])) for file in files]


def measure(base, candidate):
    def gather(files, parts):
        return [part for path, content in files for part in parts(path, content)]

    fresh = new(gather(base, literals), gather(candidate, literals))
    text = new(gather(base, lambda _, content: lines(content)), gather(candidate, lambda _, content: lines(content)))
    return {"literals": sum(map(len, fresh)), "packed": len(zlib.compress(b"\n".join(text), 9)) if text else 0}


if __name__ == "__main__":
    question = json.load(sys.stdin)
    json.dump(measure(read(question["base"]), read(question["candidate"])), sys.stdout)
