import hashlib
import http.server
import json
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from conftest import fill, text
from tokenizers import Tokenizer

import prepare


def rows_of(folder: Path, part: str) -> np.ndarray:
    manifest = json.loads((folder / "manifest.json").read_text())
    return np.fromfile(folder / manifest[part]["file"], "<u2").reshape(manifest[part]["rows"], manifest["row"])


def pieces(rows: np.ndarray, bos: int) -> list[bytes]:
    """Token runs between BOS, as bytes, in any order."""
    found = []
    for row in rows:
        for run in np.split(row, np.flatnonzero(row == bos)):
            if len(run) > 1:
                found.append(run[1:].tobytes())
    return found


def test_every_row_begins_with_bos_and_bytes_add_up(data: Path) -> None:
    manifest = json.loads((data / "manifest.json").read_text())
    lengths = np.fromfile(data / "token_bytes.bin", "<u2")
    assert lengths[manifest["bos"]] == 0
    assert len(lengths) == manifest["vocabulary"]
    sources = json.loads((data / "sources.json").read_text())
    for part in ("train", "val"):
        rows = rows_of(data, part)
        assert (rows[:, 0] == manifest["bos"]).all()
        assert lengths[rows[:, 1:]].sum(dtype=np.int64) == sources[f"{part}_bytes"]
        assert hashlib.sha256((data / f"{part}.bin").read_bytes()).hexdigest() == manifest[part]["sha256"]
    assert manifest["val"]["bytes"] == sources["val_bytes"]


def test_packing_loses_no_token(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    documents = [chance.integers(0, 99, size, dtype="<u2") for size in [0, 1, 2, 31, 32, 33, 64, 500, *range(1, 90)]]
    with (tmp_path / "rows").open("wb") as file:
        packer = prepare.Packer(file, 33, 99, np.ones(100, dtype="<u2"))
        for document in documents:
            packer.add(document)
        packer.finish()
    rows = np.fromfile(tmp_path / "rows", "<u2").reshape(-1, 33)
    assert packer.tokens == 0
    assert packer.rows == len(rows)
    expected = np.bincount(np.concatenate(documents), minlength=99)
    assert (np.bincount(rows[rows != 99], minlength=99) == expected).all()
    # Only what does not fit a row of its own is ever cut.
    whole = set(pieces(rows, 99))
    assert all(document.tobytes() in whole for document in documents if 0 < len(document) < 10)
    # Nothing but BOS is added, and little of it.
    assert (rows == 99).sum() < 2 * (len(documents) + len(rows))


def test_the_same_text_gives_the_same_files(data: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    options = ["--source", str(fill(tmp_path / "t")), "--out", str(again), "--row", "33", "--vocabulary", "300"]
    assert prepare.main(options) == 0
    for name in ("train.bin", "val.bin", "token_bytes.bin", "tokenizer.json"):
        assert (again / name).read_bytes() == (data / name).read_bytes(), name


def test_tokenizer_is_lossless_and_never_reads_bos_from_text(data: Path) -> None:
    tokenizer = Tokenizer.from_file(str(data / "tokenizer.json"))
    lengths = np.fromfile(data / "token_bytes.bin", "<u2")
    odd = "\r\n\t  ünïcode 日本語 🙂 <|bos|> <|endoftext|> \ufffd 1234567\u200b"
    ids = tokenizer.encode(odd).ids
    assert tokenizer.decode(ids) == odd
    assert lengths[ids].sum() == len(odd.encode())  # a replacement character counts as the bytes that it is
    assert max(ids) < len(lengths) - 1


def test_no_document_is_in_both_parts(tmp_path: Path) -> None:
    texts = [text(index % 30, 9_000).encode() for index in range(60)]  # each twice
    train, val = prepare.split(texts, 20_000)
    assert not set(train) & set(val)
    assert len(set(train)) == len(train)
    assert len(train) + len(val) == 30
    assert sum(map(len, val)) <= 20_000


def test_a_single_large_file_is_cut_into_documents() -> None:
    whole = text(1, 300_000).encode()
    parts = prepare.documents(whole)
    assert b"".join(parts) == whole
    assert all(len(part) <= prepare.DOCUMENT_BYTES and part.endswith(b"\n") for part in parts)
    without_lines = ("é" * 100_000).encode()
    parts = prepare.documents(without_lines)
    assert b"".join(parts) == without_lines
    assert all(part.decode() for part in parts)  # cut between characters


def run(capsys: pytest.CaptureFixture, *options: str) -> tuple[int, str]:
    code = prepare.main(list(options))
    return code, capsys.readouterr().err


def test_bad_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    out = str(tmp_path / "out")
    code, said = run(capsys, "--source", str(tmp_path / "none"), "--out", out)
    assert (code, "no folder" in said) == (2, True)
    (tmp_path / "empty").mkdir()
    code, said = run(capsys, "--source", str(tmp_path / "empty"), "--out", out)
    assert (code, "is empty" in said) == (2, True)
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "a.bin").write_bytes(b"\xff\xfe\0")
    code, said = run(capsys, "--source", str(tmp_path / "binary"), "--out", out)
    assert (code, "UTF-8" in said) == (2, True)
    code, said = run(capsys, "--source", str(fill(tmp_path / "small", 3, 100)), "--out", out)
    assert (code, "too little text" in said) == (2, True)
    monkeypatch.delenv("AUTORESEARCH_PACKAGES", raising=False)
    code, said = run(capsys, "--source", "packages", "--out", out)
    assert (code, "AUTORESEARCH_PACKAGES" in said) == (2, True)
    assert not Path(out).exists()


def test_half_of_it_never_looks_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    source, out = fill(tmp_path / "texts"), tmp_path / "out"

    def full_disk(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "pack", full_disk)
        assert prepare.main(["--source", str(source), "--out", str(out)]) == 1
    assert "No space left" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts"]
    out.mkdir()
    (out / "train.bin").write_bytes(b"half")
    assert prepare.main(["--source", str(source), "--out", str(out), "--vocabulary", "300"]) == 0
    assert json.loads((out / "manifest.json").read_text())["train"]["rows"] > 0
    assert prepare.main(["--source", str(source), "--out", str(out)]) == 0  # done before: nothing to do


def test_what_a_killed_attempt_has_left_is_taken_away(tmp_path: Path) -> None:
    source, out = fill(tmp_path / "texts"), tmp_path / "data"
    options = ["--source", str(source), "--out", str(out), "--vocabulary", "300"]
    killed = "import os, prepare, signal, sys; prepare.pack = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    command = [sys.executable, "-c", f"{killed}; prepare.main(sys.argv[1:])"]
    other = [*options[:3], str(tmp_path / "data-2"), *options[4:]]
    for arguments in (options, options, other):
        done = subprocess.run([*command, *arguments], cwd=Path(prepare.__file__).parent, check=False)
        assert done.returncode == -signal.SIGKILL
    assert prepare.main(options) == 0
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [left[0], "data", "texts"]
    assert left[0].startswith(".data-2-")  # that is another's


class Shaky(http.server.SimpleHTTPRequestHandler):
    """Cuts the first answer for each file short."""

    seen: ClassVar[set[str]] = set()

    def copyfile(self, source, outputfile) -> None:
        if self.path in self.seen:
            super().copyfile(source, outputfile)
        else:
            self.seen.add(self.path)
            outputfile.write(source.read(100))

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def shards(tmp_path: Path):
    pytest.importorskip("pyarrow", reason="a GPU host's own Python may lack it; climbmix alone needs it")
    import pyarrow
    import pyarrow.parquet

    served = tmp_path / "served"
    served.mkdir()
    shared = text(7, 4_000)
    for index in (0, 1, prepare.CLIMBMIX_VALIDATION):
        texts = [text(1_000 * index + number, 4_000) for number in range(40)]
        pyarrow.parquet.write_table(pyarrow.table({"text": [shared, *texts]}), served / f"shard_{index:05d}.parquet")
    Shaky.seen = set()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Shaky, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", served
    server.shutdown()
    server.server_close()


def test_climbmix_is_fetched_again_and_checked(shards, tmp_path: Path, monkeypatch, capsys) -> None:
    url, served = shards
    monkeypatch.setattr(prepare, "download", partial(prepare.download, pause=0.01))
    options = ["--source", "climbmix", "--shards", "2", "--url", url, "--row", "65", "--vocabulary", "300"]
    assert prepare.main([*options, "--out", str(tmp_path / "out")]) == 0
    assert "trying again" in capsys.readouterr().err
    sources = json.loads((tmp_path / "out" / "sources.json").read_text())
    one_shard = sum(len(t.encode()) for t in [text(7, 4_000), *(text(number, 4_000) for number in range(40))])
    assert sources["train_bytes"] < 2.1 * one_shard - 2 * len(text(7, 4_000))  # the shared document is validation's
    assert sources["used"]["shards"][-1] == "shard_06542.parquet"

    code = prepare.main([*options[:3], "3", *options[4:], "--out", str(tmp_path / "more")])
    assert code == 2
    assert "could not fetch" in capsys.readouterr().err

    (served / "shard_00002.parquet").write_bytes(b"not parquet at all")
    code = prepare.main([*options[:3], "3", *options[4:], "--out", str(tmp_path / "more")])
    assert code == 2
    assert "not a climbmix shard" in capsys.readouterr().err
