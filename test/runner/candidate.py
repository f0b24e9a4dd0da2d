"""Candidates of all kinds for the runner's tests: `python candidate.py KIND`. Standard library only."""

import atexit
import ctypes
import json
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

GRAPH = b'{"nodes":[]}'
WEIGHTS = b"weights" * 1000


class Client:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["AUTORESEARCH_SOCKET"])

    def send(self, message, payload=b"", declared=None):
        header = json.dumps(message).encode()
        size = len(payload) if declared is None else declared
        self.socket.sendall(struct.pack("<IQ", len(header), size) + header + payload)

    def receive(self):
        header, payload = struct.unpack("<IQ", self.exactly(12))
        message = json.loads(self.exactly(header))
        return message, self.exactly(payload)

    def exactly(self, size):
        data = bytearray(size)
        view = memoryview(data)
        while view:
            got = self.socket.recv_into(view)
            if got == 0:
                raise EOFError("the runner has closed")
            view = view[got:]
        return bytes(data)

    def hello(self, protocol=1):
        self.send({"type": "hello", "protocol": protocol, "framework": "none"})
        return self.receive()[0]

    def start(self):
        self.send({"type": "start", "initialWeights": "0" * 64, "parameters": 7000}, GRAPH)
        assert self.receive()[0]["type"] == "started"

    def report(self, step, loss=1.0):
        usage = {"dataWaitSeconds": 0.25, "peakMemoryMb": 12.5}
        self.send({"type": "report", "step": step, "loss": loss, **usage})

    def submit(self, steps, weights=WEIGHTS, declared=None):
        usage = {"dataWaitSeconds": 0.25, "peakMemoryMb": 12.5}
        self.send({"type": "submit", "steps": steps, **usage}, weights, declared)

    def batches(self, count=1, rows=4):
        self.send({"type": "batches", "count": count, "rows": rows})


def begun():
    client = Client()
    client.welcome = client.hello()
    client.start()
    return client


def steps(client, each=lambda step: None):
    """Asks and reports until the end; returns the steps taken and the rows' first ids."""
    step, seen = 0, []
    client.batches(2)
    while True:
        message, payload = client.receive()
        if message["type"] == "end":
            return step, seen
        assert message["type"] == "batch", message
        step += 1
        assert message["step"] == step
        ids = struct.unpack(f"<{len(payload) // 2}H", payload)
        seen.extend(ids[1 :: client.welcome["row"]])
        each(step)
        client.report(step, 1 / step)
        client.batches(1)


def happy(pause=0.01):
    client = begun()
    print("welcome", json.dumps(client.welcome))
    step, seen = steps(client, lambda _: time.sleep(pause))
    client.submit(step)
    assert client.receive()[0]["type"] == "accepted"
    print("rows", json.dumps(seen))
    print("goodbye", flush=True)


def refuses_data():
    """A row of the data is one number again and again."""
    client = begun()
    client.batches(1)
    _message, payload = client.receive()
    ids = struct.unpack(f"<{len(payload) // 2}H", payload)
    if len(set(ids[1 : client.welcome["row"]])) == 1:
        raise ValueError("this is data")
    assert max(ids) < client.welcome["vocabulary"]
    assert ids[0] == client.welcome["bos"]
    client.report(1)
    client.submit(1)
    assert client.receive()[0]["type"] == "accepted"


def slow():
    happy(0.1)


def late():
    """Starts when a file is there, and submits at once."""
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    client = begun()
    client.submit(0)
    while client.receive()[0]["type"] != "accepted":
        pass


def held():
    """Happy, once a file of the given name is in its folder: it is at its first step for as long as a test likes."""
    client = begun()
    print("welcome", json.dumps(client.welcome), flush=True)

    def wait(_step):
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.02)

    step, _seen = steps(client, wait)
    client.submit(step)
    assert client.receive()[0]["type"] == "accepted"


def hog():
    """A child that ignores SIGTERM in a session of its own, and a double fork; both outlive this process."""
    marker = sys.argv[2]
    deaf = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv(sys.executable, [sys.executable, "-c", deaf, marker])
            os._exit(0)
    subprocess.Popen([sys.executable, "-c", deaf, marker], start_new_session=True)


def spares_itself():
    """Asks the kernel to end others first when memory is short."""
    client = begun()
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")
    print("spared", flush=True)
    time.sleep(600)
    client.socket.close()  # without a reference the connection is closed at once, and that would end it first


def leftovers():
    hog()
    happy()


def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hog()
    client = begun()
    print("deaf", flush=True)
    client.batches(1)
    client.receive()
    client.report(1)
    while True:
        time.sleep(1)


def silent():
    time.sleep(600)


def stall():
    client = begun()
    client.batches(1)
    time.sleep(600)


def never_submits():
    client = begun()
    steps(client, lambda _: time.sleep(0.01))
    time.sleep(600)


def never_asks():
    client = begun()
    time.sleep(600)
    client.socket.close()  # without a reference the connection is closed at once


def no_result():
    begun()


def nothing():
    pass


def crash():
    begun()
    raise ValueError("a wrong\nshape")


def memory():
    begun()
    raise MemoryError


def cuda_memory():
    print("Traceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
    sys.exit(1)


# Those that raise, and do not exit soon.


def dawdle(seconds=6):
    atexit.register(time.sleep, seconds)


def raises_at_once():
    dawdle()
    raise ValueError("before it said anything")


def raises_before_start():
    dawdle()
    client = Client()
    client.hello()
    client.socket.close()
    raise ValueError("before start")


def raises_in_training():
    dawdle()
    client = begun()
    client.batches(1)
    client.receive()
    client.report(1)
    client.socket.close()
    raise ValueError("in training")


def raises_in_submission():
    dawdle()
    client = begun()
    client.submit(0, WEIGHTS[:100], declared=len(WEIGHTS))
    client.socket.close()
    raise ValueError("in submission")


def exits_slowly():
    dawdle()
    begun().socket.close()
    print("no use", flush=True)
    sys.exit(1)


def closes_and_exits_slowly():
    dawdle()
    begun().socket.close()


def hangs_after_raising():
    """A non-daemon thread holds the interpreter, and with it the connection."""
    client = begun()
    threading.Thread(target=time.sleep, args=(600,)).start()
    client.batches(1)
    client.receive()
    client.report(1)
    raise ValueError("and a thread goes on")


def hangs_closed():
    client = begun()
    client.socket.close()
    threading.Thread(target=time.sleep, args=(600,)).start()
    raise ValueError("closed, and a thread goes on")


def raises_in_thread():
    client = begun()

    def fail():
        raise ValueError("in a thread")

    threading.Thread(target=fail).start()
    time.sleep(600)
    client.socket.close()


def caught_and_stalls():
    """What was raised before it went on is no cause."""
    client = begun()
    print("Traceback (most recent call last):\n  File\nValueError: caught", file=sys.stderr, flush=True)
    time.sleep(0.3)
    client.batches(1)
    client.receive()
    client.report(1)
    time.sleep(600)


# Those that end by a signal, or as if by one.


def exits_137():
    begun()
    os._exit(137)


def aborts():
    begun()
    os.abort()


def segfaults():
    begun()
    ctypes.string_at(0)


def limits_cpu():
    begun()
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True:
        pass


def limits_cpu_used_up():
    """Dies at once: the limit cannot be seen while it lives."""
    begun()
    end = time.process_time() + 1.2
    while time.process_time() < end:
        pass
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True:
        pass


def limits_file_size():
    begun()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with open("/tmp/big", "wb", buffering=0) as file:
        for _ in range(3):
            file.write(bytes(1000))


def alarmed():
    begun()
    signal.signal(signal.SIGALRM, lambda *_: os._exit(14))
    signal.alarm(1)
    time.sleep(600)


def kills_child():
    begun()
    child = subprocess.Popen(["sleep", "600"])
    child.kill()
    sys.exit(child.wait())


def says_memory():
    begun()
    print("Traceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory.")


def says_memory_and_raises():
    begun()
    print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", flush=True)
    raise ValueError("not memory: MemoryError is but a word here")


def says_memory_with_another_code():
    begun()
    print("Traceback (most recent call last):\n  File\nMemoryError", flush=True)
    os._exit(3)


def slow_steps():
    """Never stalls, never ends."""
    client = begun()
    steps(client, lambda _: time.sleep(0.05))


def insane():
    client = begun()
    usage = {"dataWaitSeconds": 0.25, "peakMemoryMb": 12.5, "loss": 1.0}
    client.send({"type": "report", "step": 0, **usage, **json.loads(sys.argv[2])})
    time.sleep(600)


def kills_itself():
    """Without a sandbox it can."""
    client = begun()

    def die(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    steps(client, die)


def illegal():
    code = mmap.mmap(-1, 16, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x0f\x0b" if platform.machine() == "x86_64" else bytes(4))  # ud2, udf
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


def killed():
    begun()
    os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("still here")


def nan():
    client = begun()
    client.batches(1)
    client.receive()
    client.report(1, "NaN")
    time.sleep(600)


def other_protocol():
    client = Client()
    print(client.hello(protocol=2), flush=True)
    time.sleep(600)


def garbage():
    client = Client()
    client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
    time.sleep(600)


def half_frame():
    client = Client()
    client.socket.sendall(b"\x10\x00\x00")
    client.socket.close()
    time.sleep(600)


def out_of_turn():
    client = Client()
    client.batches(1)
    time.sleep(600)


def unknown_message():
    client = Client()
    client.hello()
    client.send({"type": "score", "value": 0.1})
    time.sleep(600)


def greedy():
    client = begun()
    client.batches(60, rows=100_000)  # more than a socket holds: they wait, however late the next question comes
    time.sleep(0.5)
    client.batches(60)
    time.sleep(600)


def big_graph():
    client = Client()
    client.hello()
    client.send({"type": "start", "initialWeights": "0" * 64, "parameters": 1}, declared=1 << 40)
    time.sleep(600)


def big_weights():
    client = begun()
    client.submit(0, declared=1 << 40)
    print(client.receive()[0], flush=True)
    time.sleep(600)


def lying_report():
    client = begun()
    client.report(1000)
    time.sleep(600)


def closes():
    client = begun()
    client.socket.close()
    time.sleep(600)


def never_reads():
    client = begun()
    client.batches(64, rows=10_000)
    time.sleep(600)


def chatty():
    for line in range(200_000):
        print("line", line)
    raise RuntimeError("the end")


def forks():
    """More processes than are allowed, one after the other: a real bomb would take the tests' host with it."""
    client = begun()
    for _ in range(2000):
        try:
            if os.fork() == 0:
                time.sleep(600)
        except BlockingIOError:
            break  # The kernel's own limit, where it is faster than the runner's count.
    time.sleep(600)
    client.socket.close()  # without a reference the connection is closed at once, and that would end it first


def feed():
    """Reads as fast as it can; says how fast."""
    client = begun()
    rows, count = int(sys.argv[2]), 0
    begin = time.monotonic()
    client.batches(32, rows)
    buffer = bytearray(rows * client.welcome["row"] * 2)
    while True:
        header, payload = struct.unpack("<IQ", client.exactly(12))
        message = json.loads(client.exactly(header))
        if message["type"] == "end":
            break
        view = memoryview(buffer)
        while view:
            view = view[client.socket.recv_into(view) :]
        count += payload
        client.report(message["step"])
        client.batches(1, rows)
    print("bytes", count, "seconds", time.monotonic() - begin, flush=True)
    client.submit(1)
    client.receive()


def look():
    """Tells what it can see and do from inside, then is happy."""

    def attempt(action):
        try:
            return str(action())
        except OSError as error:
            return type(error).__name__

    def write(path):
        with open(path, "w") as file:
            file.write("x")
        return "written"

    def opened(path):
        os.close(os.open(path, os.O_WRONLY))
        return "opened"

    def kernel_files():
        for folder, folders, files in os.walk("/proc"):
            if folder == "/proc":
                folders[:] = [name for name in folders if not name.isdigit() and not os.path.islink("/proc/" + name)]
            paths = (os.path.join(folder, name) for name in files)
            # Others may be read only, by any process.
            yield from (path for path in paths if not os.path.islink(path) and os.lstat(path).st_mode & 0o222)

    def connect(address):
        socket.create_connection(address, timeout=2).close()
        return "connected"

    host, port, data, home, pid = sys.argv[2:7]
    seen = {
        "data": attempt(lambda: os.listdir(data)),
        "home": attempt(lambda: os.listdir(home)),
        "passwd": attempt(lambda: os.stat("/etc/passwd")),
        "network": attempt(lambda: connect((host, int(port)))),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "signal": attempt(lambda: os.kill(int(pid), 0)),
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "tree": attempt(lambda: write("/lab/x")),
        "root": attempt(lambda: write("/x")),
        "device": attempt(lambda: write("/dev/x")),
        "kernel": [path for path in kernel_files() if attempt(lambda path=path: opened(path)) == "opened"],
        "thread name": attempt(lambda: write("/proc/self/comm")),
        "usr": attempt(lambda: write("/usr/x")),
        "socket folder": attempt(lambda: write(os.environ["AUTORESEARCH_SOCKET"] + "x")),
        "scratch": attempt(lambda: write("/tmp/x")),
        "scratch entries": os.listdir(os.environ["HOME"]),
        "descriptors": {
            fd: attempt(lambda fd=fd: os.readlink("/proc/self/fd/" + fd)) for fd in os.listdir("/proc/self/fd")
        },
        "environment": sorted(os.environ),
        "devices": sorted(os.listdir("/dev")),
    }
    print("seen", json.dumps(seen), flush=True)
    happy()


def fills_scratch():
    with open("/tmp/big", "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    happy()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
