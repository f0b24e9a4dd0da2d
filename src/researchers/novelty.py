"""
Measures how much data the editable files have that the study's base does not have. novelty.ts runs it:

    {"base": [{"path", "base64"}], "candidate": [...]} on stdin → {"literals": bytes, "packed": bytes}

literals: total size of the strings (docstrings too), bytes and numbers that the base does not have; repeated ones count
each time. In Python these are tokens, in other known languages a regular expression finds them. Files of other types,
and Python that does not tokenize, count whole.
packed: the zlib-compressed size of the lines that the base does not have. It covers data in comments, names, spaces and
line order, which code can read from its own file.

Standard library only: runs with any Python 3, outside the candidate's environment.
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
    """The elements that the candidate has more often than the base, in the candidate's order."""
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
