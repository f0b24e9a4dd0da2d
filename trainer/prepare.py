"""
Prepares the data once: text → documents → byte-level BPE → packed rows of token ids. Locked.

    python prepare.py --source packages|climbmix|DIR --out DIR

    packages   sources of this project's pinned npm packages, under $AUTORESEARCH_PACKAGES (a node_modules)
    climbmix   shards of karpathy/climbmix-400b-shuffle; needs the internet
    DIR        any folder of UTF-8 text files

Writes train.bin, val.bin (rows of uint16 token ids, little endian), token_bytes.bin (source bytes of each
token id), tokenizer.json, sources.json (what went in) and, last, manifest.json. The same text gives the
same files. The work is done in a folder beside --out, renamed at the end: half of it is never mistaken
for the whole. One at a time for each --out: what others have left there half done is taken away first.

Exit codes: 0 done (or done before), 2 the request or the text is at fault, 1 anything else.
"""

import argparse
import hashlib
import http.client
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

FORMAT = 1
DOCUMENT_BYTES = 64 * 1024  # longer files are cut at line ends into documents of at most this size
FILE_BYTES = 1024**2  # files of `packages` beyond this are bundles and tables, not prose or code: left out
MINIMUM_BYTES = 200_000  # less text than this teaches nothing and leaves nothing to validate on
VALIDATION_SHARE = 10  # validation takes at most one part in this many
SAMPLE_CHARACTERS = 200_000_000  # the tokenizer is trained on at most this much text
POOL = 1000  # pieces that the packer chooses from
ENCODE_BATCH = 512  # documents tokenized at a time

# GPT-4's splitting rule with numbers of up to two digits, as nanochat has it: vocabularies here are small.
SPLIT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Scale:
    """How text of some amount is cut up."""

    row: int  # token ids in a row: BOS, then inputs and targets overlap by row - 1
    vocabulary: int  # token ids, BOS counted
    validation_bytes: int  # at most this much text is held back


SMALL = Scale(row=257, vocabulary=2048, validation_bytes=300_000)  # for a CPU: about 100 k tokens to score
MEDIUM = Scale(row=1025, vocabulary=8192, validation_bytes=10_000_000)  # folders of text
LARGE = Scale(row=2049, vocabulary=8192, validation_bytes=40_000_000)  # climbmix
MEDIUM_FROM = 64 * 1024**2  # bytes of text in a folder from which it is MEDIUM

# Production packages of this project with the folders that hold their sources, not their builds: two builds
# of one source would put the same text into training and validation.
PACKAGES = (
    ("@grpc/grpc-js", "src"),
    ("@temporalio/client", "src"),
    ("@temporalio/common", "src"),
    ("@temporalio/worker", "src"),
    ("@temporalio/workflow", "src"),
    ("acorn", "."),
    ("ajv", "lib"),
    ("commander", "lib"),
    ("debug", "."),
    ("enhanced-resolve", "lib"),
    ("fast-uri", "lib"),
    ("minimizer-webpack-plugin", "dist"),
    ("protobufjs", "src"),
    ("rxjs", "src"),
    ("schema-utils", "dist"),
    ("simple-git", "."),
    ("smol-toml", "dist"),
    ("source-map", "lib"),
    ("terser", "lib"),
    ("watchpack", "lib"),
    ("webpack", "lib"),
    ("webpack-sources", "lib"),
    ("yaml", "dist"),
    ("yargs", "build/lib"),
    ("zod", "src"),
)
PACKAGE_SUFFIXES = (".md", ".js", ".ts", ".mts", ".cts")

CLIMBMIX = "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main"
CLIMBMIX_VALIDATION = 6542  # the last shard, held back as in karpathy/autoresearch
CLIMBMIX_SHARDS = 10  # training shards by default, as there; each about 60 M tokens


class DataError(Exception):
    """The request or the text is at fault; the message says what to do."""


@dataclass
class Corpus:
    """Documents that are already split. Iterated more than once, in the same order each time."""

    train: Iterable[bytes]
    val: Iterable[bytes]
    scale: Scale
    sources: object  # what went in, for sources.json


# --- Text from folders -------------------------------------------------------------------------------------


def documents(text: bytes) -> list[bytes]:
    """The text as documents of at most DOCUMENT_BYTES, cut after a line's end where there is one."""
    parts = []
    while len(text) > DOCUMENT_BYTES:
        cut = text.rfind(b"\n", 0, DOCUMENT_BYTES) + 1
        if cut == 0:  # one long line: cut it where a character begins
            cut = DOCUMENT_BYTES
            while text[cut] & 0xC0 == 0x80:
                cut -= 1
        parts.append(text[:cut])
        text = text[cut:]
    return [*parts, text] if text else parts


def read_text(path: Path) -> bytes | None:
    """The file's bytes, or None if it is not UTF-8 text."""
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if b"\0" in data else data


def split(texts: Iterable[bytes], limit: int) -> tuple[list[bytes], list[bytes]]:
    """Distinct documents in the order of their hashes; the first of them, up to `limit` bytes, are validation."""
    distinct = {hashlib.sha256(part).digest(): part for text in texts for part in documents(text)}
    ordered = [distinct[key] for key in sorted(distinct)]
    total = sum(map(len, ordered))
    if total < MINIMUM_BYTES or len(ordered) < 2:
        raise DataError(
            f"too little text: {total:,} bytes in {len(ordered)} distinct documents, "
            f"expected at least {MINIMUM_BYTES:,}. Add text files to the folder"
        )
    limit = min(limit, total // VALIDATION_SHARE)
    train, val, held = [], [], 0
    for document in ordered:
        if held + len(document) <= limit:
            val.append(document)
            held += len(document)
        else:
            train.append(document)
    if not val:  # every document is larger than the limit: the smallest serves
        val.append(min(train, key=len))
        train.remove(val[0])
    return train, val


def from_folder(folder: Path) -> Corpus:
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: expected `packages`, `climbmix` or a folder of text files")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and ".git" not in p.relative_to(folder).parts)
    if not files:
        raise DataError(f"{folder} is empty: put UTF-8 text files into it")
    texts = [text for path in files if (text := read_text(path)) is not None]
    if not texts:
        raise DataError(f"none of the {len(files)} files in {folder} is UTF-8 text")
    scale = MEDIUM if sum(map(len, texts)) >= MEDIUM_FROM else SMALL
    train, val = split(texts, scale.validation_bytes)
    return Corpus(train, val, scale, {"files": len(files), "text_files": len(texts)})


def from_packages(modules: str | None) -> Corpus:
    if not modules:
        raise DataError("AUTORESEARCH_PACKAGES is not set: expected the path of this project's node_modules")
    texts: list[bytes] = []
    used = {}
    for name, below in PACKAGES:
        package = Path(modules) / name
        if not (package / "package.json").is_file():
            raise DataError(f"no package {name} in {modules}: run `npm ci` in the project's folder")
        files = [*package.glob("*.md"), *(package / below).rglob("*")]
        kept = [
            path
            for path in sorted(set(files), key=lambda p: p.relative_to(package).as_posix())
            if path.name.endswith(PACKAGE_SUFFIXES)
            and "node_modules" not in path.relative_to(package).parts
            and path.is_file()
            and path.stat().st_size <= FILE_BYTES
        ]
        found = [text for path in kept if (text := read_text(path)) is not None]
        version = json.loads((package / "package.json").read_text("utf-8"))["version"]
        used[name] = {"version": version, "files": len(found), "bytes": sum(map(len, found))}
        texts += found
    train, val = split(texts, SMALL.validation_bytes)
    return Corpus(train, val, SMALL, used)


# --- climbmix ----------------------------------------------------------------------------------------------


def download(url: str, path: Path, attempts: int = 5, pause: float = 2.0) -> None:
    """Fetches `url` to `path` and checks its length; tries again, `pause` seconds and longer between."""
    partial = path.with_suffix(".part")
    for attempt in range(1, attempts + 1):
        try:
            with urllib.request.urlopen(url, timeout=30) as reply, partial.open("wb") as file:
                shutil.copyfileobj(reply, file, 1 << 20)
                expected = reply.headers.get("Content-Length")
            if expected is not None and partial.stat().st_size != int(expected):
                raise ConnectionError(f"{partial.stat().st_size} of {expected} bytes came")
            partial.rename(path)
            return
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            partial.unlink(missing_ok=True)
            missing = isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404, 410)
            if missing or attempt == attempts:
                raise DataError(
                    f"could not fetch {url}: {error}. Check the network, or use --source packages "
                    "or a folder of text, which need none"
                ) from error
            print(f"{path.name}: {error}; trying again ({attempt} of {attempts})", file=sys.stderr)
            time.sleep(pause * 2 ** (attempt - 1))


def shard_texts(path: Path) -> Iterator[bytes]:
    import pyarrow.parquet

    for group in pyarrow.parquet.ParquetFile(path).iter_batches(columns=["text"]):
        for text in group.column("text").to_pylist():
            if text:
                yield text.encode("utf-8")


@dataclass
class Shards:
    """Documents of shards, streamed; `without` holds the hashes of documents to leave out."""

    paths: list[Path]
    limit: int | None = None
    without: frozenset[bytes] = frozenset()

    def __iter__(self) -> Iterator[bytes]:
        total = 0
        for path in self.paths:
            for text in shard_texts(path):
                if self.without and hashlib.sha256(text).digest() in self.without:
                    continue
                total += len(text)
                if self.limit is not None and total > self.limit:
                    return
                yield text


def from_climbmix(base: str, shards: int, cache: Path) -> Corpus:
    import pyarrow

    cache.mkdir(parents=True, exist_ok=True)
    names = [f"shard_{index:05d}.parquet" for index in [*range(shards), CLIMBMIX_VALIDATION]]
    missing = [name for name in names if not (cache / name).exists()]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda name: download(f"{base}/{name}", cache / name), missing))
    paths = [cache / name for name in names]
    for path in paths:
        try:
            next(shard_texts(path))
        except (pyarrow.ArrowException, OSError, KeyError, StopIteration) as error:
            path.unlink()
            raise DataError(f"{path.name} is not a climbmix shard ({error}); it was removed, try again") from error
    val = list(Shards(paths[-1:], LARGE.validation_bytes))
    held = frozenset(hashlib.sha256(text).digest() for text in val)
    return Corpus(Shards(paths[:-1], without=held), val, LARGE, {"shards": names})


# --- Tokens ------------------------------------------------------------------------------------------------


def train_tokenizer(texts: Iterable[bytes], vocabulary: int) -> Tokenizer:
    """A lossless byte-level BPE with at most `vocabulary` - 1 tokens; the last id is left for BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )

    def sample() -> Iterator[str]:
        left = SAMPLE_CHARACTERS
        for text in texts:
            yield text.decode("utf-8")
            left -= len(text)
            if left <= 0:
                return

    tokenizer.train_from_iterator(sample(), trainer)
    return tokenizer


def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """Bytes of source text for each token id, 0 for BOS. In the byte-level alphabet one character is one byte."""
    size = tokenizer.get_vocab_size()
    lengths = [len(tokenizer.id_to_token(token)) for token in range(size)]
    return np.array([*lengths, 0], dtype="<u2")


def encode(tokenizer: Tokenizer, texts: Iterable[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
    def encoded(batch: list[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
        encodings = tokenizer.encode_batch_fast([text.decode("utf-8") for text in batch])
        for text, encoding in zip(batch, encodings, strict=True):
            yield text, np.array(encoding.ids, dtype="<u2")

    batch: list[bytes] = []
    for text in texts:
        batch.append(text)
        if len(batch) == ENCODE_BATCH:
            yield from encoded(batch)
            batch = []
    yield from encoded(batch)


class Packer:
    """
    Packs documents into rows that all begin with BOS, and loses nothing.

    Best fit from a pool: the longest piece that fits whole goes in; when none does, the longest is cut to
    fill the row and its rest goes back to the pool as a piece of its own, with a BOS before it. The few
    places that stay empty hold BOS, which stands for no bytes and is never scored.
    """

    def __init__(self, file, row: int, bos: int, lengths: np.ndarray):
        self.file, self.row, self.bos, self.lengths = file, row, bos, lengths
        self.pool: list[tuple[int, int, np.ndarray]] = []  # length, serial number, tokens; sorted
        self.serial = self.rows = self.bytes = self.tokens = 0
        self.hash = hashlib.sha256()

    def add(self, tokens: np.ndarray) -> None:
        self._put(tokens)
        self.tokens += len(tokens)
        while len(self.pool) > POOL:
            self._write_row()

    def finish(self) -> None:
        while self.pool:
            self._write_row()

    def _put(self, tokens: np.ndarray) -> None:
        if len(tokens):
            self.serial += 1
            insort(self.pool, (len(tokens), self.serial, tokens), key=lambda piece: piece[:2])

    def _write_row(self) -> None:
        row = np.full(self.row, self.bos, dtype="<u2")
        at = 0
        while self.pool and self.row - at >= 2:
            space = self.row - at - 1  # after the piece's BOS
            fits = bisect_right(self.pool, space, key=lambda piece: piece[0])
            _, _, tokens = self.pool.pop(fits - 1 if fits else -1)
            row[at + 1 : at + 1 + len(tokens)] = tokens[:space]
            self._put(tokens[space:])
            at += 1 + min(len(tokens), space)
        data = row.tobytes()
        self.file.write(data)
        self.hash.update(data)
        self.rows += 1
        self.bytes += int(self.lengths[row].sum(dtype=np.int64))
        self.tokens -= int((row != self.bos).sum())


def pack(path: Path, texts: Iterable[bytes], tokenizer: Tokenizer, row: int, lengths: np.ndarray) -> dict:
    """Writes `texts` as rows; returns the manifest's entry. Every byte and token is accounted for."""
    source_bytes = 0
    with path.open("wb") as file:
        packer = Packer(file, row, len(lengths) - 1, lengths)
        for text, tokens in encode(tokenizer, texts):
            source_bytes += len(text)
            packer.add(tokens)
        packer.finish()
    if packer.bytes != source_bytes or packer.tokens != 0:
        raise AssertionError(
            f"{path.name}: rows hold {packer.bytes} bytes of {source_bytes}, {packer.tokens} tokens were lost"
        )
    return {"file": path.name, "rows": packer.rows, "sha256": packer.hash.hexdigest(), "bytes": source_bytes}


def prepare(corpus: Corpus, source: str, out: Path, row: int, vocabulary: int) -> dict:
    """Writes everything into `out`, which exists; the manifest last. Returns the manifest."""
    started = time.monotonic()
    tokenizer = train_tokenizer(corpus.train, vocabulary)
    print(f"tokenizer: {tokenizer.get_vocab_size()} tokens and BOS, {time.monotonic() - started:.1f} s")
    tokenizer.save(str(out / "tokenizer.json"))
    lengths = token_bytes(tokenizer)
    (out / "token_bytes.bin").write_bytes(lengths.tobytes())
    train = pack(out / "train.bin", corpus.train, tokenizer, row, lengths)
    val = pack(out / "val.bin", corpus.val, tokenizer, row, lengths)
    for name, part in (("train", train), ("val", val)):
        print(f"{name}: {part['rows']:,} rows of {row}, {part['bytes']:,} bytes of text")
    sources = {"source": source, "train_bytes": train.pop("bytes"), "val_bytes": val["bytes"], "used": corpus.sources}
    (out / "sources.json").write_text(json.dumps(sources, indent=2) + "\n")
    manifest = {
        "version": FORMAT,
        "source": source,
        "vocabulary": len(lengths),
        "bos": len(lengths) - 1,
        "row": row,
        "train": train,
        "val": val,
        "token_bytes": {"file": "token_bytes.bin", "sha256": file_hash(out / "token_bytes.bin")},
        "tokenizer": {"file": "tokenizer.json", "sha256": file_hash(out / "tokenizer.json")},
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"prepared in {time.monotonic() - started:.1f} s")
    return manifest


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear_cut_off(out: Path) -> None:
    """Takes away the work of attempts at `out` that were killed."""
    work = re.compile(rf"\.{re.escape(out.name)}-[a-z0-9_]{{8}}")  # as mkdtemp names it: `out-2` has others
    for path in out.parent.iterdir():
        if work.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Prepare the lab's data.")
    parser.add_argument("--source", default="packages", help="packages, climbmix, or a folder of text")
    parser.add_argument("--out", required=True, type=Path, help="the data folder to make")
    parser.add_argument("--row", type=int, help="token ids in a row")
    parser.add_argument("--vocabulary", type=int, help="token ids, at most 65536")
    parser.add_argument("--shards", type=int, default=CLIMBMIX_SHARDS, help="climbmix: training shards")
    parser.add_argument("--shard-cache", type=Path, help="climbmix: where shards are kept")
    parser.add_argument("--url", default=CLIMBMIX, help="climbmix: where shards come from")
    options = parser.parse_args(arguments)
    out: Path = options.out
    if (out / "manifest.json").exists():
        print(f"{out} is prepared already")
        return 0
    work = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        clear_cut_off(out)
        if options.source == "packages":
            corpus = from_packages(os.environ.get("AUTORESEARCH_PACKAGES"))
        elif options.source == "climbmix":
            cache = options.shard_cache or out.parent / "climbmix-shards"
            corpus = from_climbmix(options.url, options.shards, cache)
        else:
            corpus = from_folder(Path(options.source))
        row = options.row or corpus.scale.row
        vocabulary = options.vocabulary or corpus.scale.vocabulary
        if not (row >= 2 and 257 < vocabulary <= 65_536):
            raise DataError("expected --row of at least 2 and --vocabulary from 258 to 65536")
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        work.chmod(0o755)
        prepare(corpus, options.source, work, row, vocabulary)
        if out.is_dir():  # half of an earlier attempt, or empty
            shutil.rmtree(out)
        work.rename(out)
        return 0
    except DataError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"prepare: cannot write {out}: {error}. Free some space or name another folder", file=sys.stderr)
        return 1
    finally:
        if work is not None and work.exists():
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
