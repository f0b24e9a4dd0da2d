"""
The protocol with the runner, on one Unix socket. Locked. Its definition is protocol.json (generated).

A frame is header length (uint32, little endian), payload length (uint64), header (JSON), payload (bytes).
"""

import json
import re
import socket
import struct
import threading
from pathlib import Path

SCHEMA = json.loads(Path(__file__).with_name("protocol.json").read_text("utf-8"))
VERSION: int = SCHEMA["version"]
_LENGTHS = struct.Struct("<IQ")


class ProtocolError(Exception):
    """A frame that the protocol does not know; the message says which and why."""


class Connection:
    """Frames over a connected stream socket. One thread may send while another receives."""

    def __init__(self, stream: socket.socket, sends: str = "candidate"):
        self._stream = stream
        self._sends = SCHEMA[sends]
        self._receives = SCHEMA["runner" if sends == "candidate" else "candidate"]
        self._sending = threading.Lock()

    def send(self, message: dict, payload: bytes | memoryview = b"") -> None:
        header = json.dumps(check(message, self._sends), allow_nan=False).encode()
        with self._sending:
            self._stream.sendall(_LENGTHS.pack(len(header), len(payload)) + header)
            if len(payload):
                self._stream.sendall(payload)

    def receive(self) -> tuple[dict, int]:
        """The next header and its payload's length; read that with `receive_into` before the next call."""
        header_bytes, payload_bytes = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        if header_bytes > SCHEMA["limits"]["header_bytes"]:
            raise ProtocolError(f"a header of {header_bytes:,} bytes; is the peer an autoresearch runner?")
        try:
            message = json.loads(self._exactly(header_bytes))
        except ValueError as error:
            raise ProtocolError(f"a header that is not JSON: {error}") from error
        return check(message, self._receives), payload_bytes

    def receive_into(self, buffer: memoryview) -> None:
        view = buffer.cast("B")
        while view:
            got = self._stream.recv_into(view)
            if got == 0:
                raise ConnectionError("the connection was closed in the middle of a frame")
            view = view[got:]

    def close(self) -> None:
        self._stream.close()

    def _exactly(self, count: int) -> bytes:
        data = bytearray(count)
        self.receive_into(memoryview(data))
        return bytes(data)


def check(message: object, schema: dict) -> dict:
    """
    The message, if it is one that the schema (a choice by `type`) knows.
    @throws ProtocolError
    """
    kind = message.get("type") if isinstance(message, dict) else None
    for choice in schema["oneOf"]:
        if choice["properties"]["type"]["const"] == kind:
            problem = _problem(message, choice)
            if problem is not None:
                raise ProtocolError(f"{kind}: {problem}")
            return message
    raise ProtocolError(f"a message of unknown type {str(kind)[:40]!r} in protocol {VERSION}")


_TYPES = {
    **{"object": dict, "string": str, "integer": int, "number": (int, float), "boolean": bool},
    **{"null": type(None)},
}
_RULES = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "pattern": lambda value, pattern: re.search(pattern, value) is not None,
    "const": lambda value, wanted: value == wanted,
    "enum": lambda value, wanted: value in wanted,
}


def _problem(value: object, schema: dict) -> str | None:
    """What is wrong with `value`, by the part of JSON Schema that protocol.json uses; None if nothing is."""
    if "anyOf" in schema:
        problems = [_problem(value, choice) for choice in schema["anyOf"]]
        return None if None in problems else f"expected one of: {'; '.join(map(str, problems))}"
    wanted = schema["type"]
    if not isinstance(value, _TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean"):
        return f"expected {wanted}, found {type(value).__name__}"
    for rule, holds in _RULES.items():
        if rule in schema and not holds(value, schema[rule]):
            return f"{str(value)[:80]!r} breaks {rule} {schema[rule]!r}"
    if wanted != "object":
        return None
    names = schema["properties"]
    missing = set(schema["required"]) - set(value)
    if missing:
        return f"{', '.join(sorted(missing))} missing"
    unknown = set(value) - set(names)
    if unknown:
        return f"{', '.join(sorted(unknown))} unknown"
    problems = (
        f"{name}: {problem}" for name in names if name in value and (problem := _problem(value[name], names[name]))
    )
    return next(problems, None)
