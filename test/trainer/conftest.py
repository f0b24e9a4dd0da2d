"""Puts the lab's folder on the path and makes one small set of data for all tests."""

import os
import random
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "trainer"), str(Path(__file__).parent)]

import pytest

import prepare

WORDS = "the a cat dog tree reads writes over under café naïve 日本 42 x = f(y); return".split()


def text(seed: int, size: int) -> str:
    """Lines of words, `size` bytes or a little more."""
    chance = random.Random(seed)
    lines = []
    while sum(len(line.encode()) + 1 for line in lines) < size:
        lines.append(" ".join(chance.choices(WORDS, k=12)))
    return "\n".join(lines) + "\n"


def fill(folder: Path, files: int = 40, size: int = 8_000) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(files):
        (folder / f"{index:03d}.txt").write_text(text(index, size), "utf-8")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data folder: rows of 33, a vocabulary of 300."""
    base = tmp_path_factory.mktemp("data")
    out = base / "prepared"
    options = ["--source", str(fill(base / "texts")), "--out", str(out), "--row", "33", "--vocabulary", "300"]
    assert prepare.main(options) == 0
    return out
