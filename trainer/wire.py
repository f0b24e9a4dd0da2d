"""
The protocol with the runner, on one Unix socket. Locked. src/runner/model/protocol.ts defines its messages. The
runner checks each one and answers an invalid one with `refused`.

A frame is header length (uint32, little endian), payload length (uint64), header (JSON), payload (bytes).
"""

import json
import socket
import struct
import threading

VERSION = 1
MAX_HEADER_BYTES = 1 << 20
_LENGTHS = struct.Struct("<IQ")


class ProtocolError(Exception):
    """The peer sent something that is no frame of this protocol."""


class Connection:
    """Frames over a connected stream socket. One thread may send while another receives."""

    def __init__(self, stream: socket.socket):
        self._stream = stream
        self._sending = threading.Lock()

    def send(self, message: dict, payload: bytes | memoryview = b"") -> None:
        header = json.dumps(message, allow_nan=False).encode()
        with self._sending:
            self._stream.sendall(_LENGTHS.pack(len(header), len(payload)) + header)
            if len(payload):
                self._stream.sendall(payload)

    def receive(self) -> tuple[dict, int]:
        """The next header and its payload's length; read the payload with `receive_into` before the next call."""
        header_bytes, payload_bytes = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        if header_bytes > MAX_HEADER_BYTES:
            raise ProtocolError(f"a header of {header_bytes:,} bytes; is the peer an autoresearch runner?")
        try:
            message = json.loads(self._exactly(header_bytes))
        except ValueError as error:
            raise ProtocolError(f"a header that is not JSON: {error}") from error
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise ProtocolError(f"a message without a type: {str(message)[:80]}")
        return message, payload_bytes

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
