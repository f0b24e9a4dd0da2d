"""The candidate's side of the runner's protocol (src/runner/protocol.ts), with nothing but the standard library."""

import json
import os
import socket
import struct
import time


class Runner:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["AUTORESEARCH_SOCKET"])

    def say(self, message, payload=b""):
        header = json.dumps(message).encode()
        self.socket.sendall(struct.pack("<IQ", len(header), len(payload)) + header + payload)

    def hear(self):
        header, payload = struct.unpack("<IQ", self._exactly(12))
        return json.loads(self._exactly(header)), self._exactly(payload)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                # The runner has gone. Hanging on, as some candidates do, is for the sandbox to end.
                time.sleep(3600)
            data += piece
        return data
