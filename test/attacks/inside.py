"""Attacks on the sandbox from inside, each in a process of its own. Standard library only.

Prints one JSON line an attack: its name, whether it got through, what it saw, whether the refusal is the expected one.
The host looks afterwards for markers (main.mjs). Nothing here changes a setting of the host: what could is opened at
most, or given the value that it has.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import termios

WORLD = json.loads(os.environ["ATTACK_WORLD"])
MARKER = WORLD["marker"]
X86 = platform.machine() == "x86_64"
LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {  # x86-64, aarch64
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "clone": (56, 220),
    "clone3": (435, 435),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "syslog": (103, 116),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "capset": (126, 91),
    "init_module": (175, 105),
}
NAMESPACES = {
    "user": 0x10000000,
    "mnt": 0x00020000,
    "user and mnt": 0x10020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_MOVE = 1, 32, 4096, 8192
AT_FDCWD = -100
ATTACKS = []
# A folder that is read-only, not there or not the user's: which comes first differs between hosts and users.
NO_WRITING = "^(E(ACCES|NOENT|PERM|ROFS) ?)+$"


class Refused(Exception):
    """With what the attack was refused by."""


def attack(expected):
    """Registers an attack: it returns what it reached, or raises OSError or Refused, which `expected` matches."""

    def register(function):
        ATTACKS.append((function.__name__.replace("_", " "), expected, function))
        return function

    return register


def name_of(error):
    return errno.errorcode.get(error.errno, type(error).__name__)


def call(name, *arguments):
    return raw(CALLS[name][0 if X86 else 1], *arguments)


def raw(number, *arguments):
    result = LIBC.syscall(
        ctypes.c_long(number),
        *[a if a is None or isinstance(a, bytes) else ctypes.c_long(a) if isinstance(a, int) else a for a in arguments],
    )
    if result == -1:
        raise OSError(ctypes.get_errno(), name_of(OSError(ctypes.get_errno(), "")))
    return result


def each(tries):
    """Runs all of {name: action}; returns the names of those that went through, or raises with all refusals."""
    through, refusals = [], set()
    for name, action in tries.items():
        try:
            action()
            through.append(name)
        except OSError as error:
            refusals.add(name_of(error))
    if through:
        return through
    raise Refused(" ".join(sorted(refusals)) or "nothing to try")


def put(folder):
    with open(os.path.join(folder, MARKER), "w") as file:
        file.write("x")


def opened(path, flags=os.O_WRONLY):
    os.close(os.open(path, flags | os.O_NOCTTY | os.O_NONBLOCK))


def mount_points():
    with open("/proc/self/mountinfo") as file:
        return [line.split()[4] for line in file]


def status(key):
    with open("/proc/self/status") as file:
        return [line.split()[1] for line in file if line.startswith(key)]


@attack("none")
def capabilities():
    kinds = ["CapInh", "CapPrm", "CapEff", "CapAmb"]
    # Without a user namespace bubblewrap leaves root the bounding set: what counts is what a program has by it.
    if os.stat("/proc/self/ns/user").st_ino != WORLD["hostUserNamespace"]:
        kinds.append("CapBnd")
    held = [value for kind in kinds for value in status(kind) if int(value, 16) != 0]
    shown = subprocess.run(["grep", "-E", "Cap(Prm|Eff)", "/proc/self/status"], capture_output=True, text=True).stdout
    later = [line for line in shown.splitlines() if int(line.split()[1], 16) != 0]
    if held or later or not shown:
        return held + later
    raise Refused("none")


@attack("^EPERM$")
def capset_of_all():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    return call("capset", header, data)


@attack("^EPERM$")
def remount_writable():
    def again(place):
        call("mount", None, place.encode(), None, MS_REMOUNT | MS_BIND, None)
        if place == "/lab" or place == sys.prefix:
            put(place)

    return each({place: lambda place=place: again(place) for place in mount_points()})


@attack("^EPERM$")
def remount_by_mount_setattr():
    clear_read_only = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
    return each(
        {p: lambda p=p: call("mount_setattr", AT_FDCWD, p.encode(), 0, clear_read_only, 32) for p in mount_points()}
    )


@attack("^EPERM$")
def new_namespaces_by_unshare():
    def aside(flags):
        child = os.fork()
        if child == 0:
            try:
                call("unshare", flags)
                os._exit(0)
            except OSError as error:
                os._exit(error.errno)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 0:
            raise OSError(code, "")

    return each({name: lambda flags=flags: aside(flags) for name, flags in NAMESPACES.items()})


@attack("^EPERM$")
def new_namespaces_by_clone():
    def clone(flags):
        child = call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return each({name: lambda flags=flags: clone(flags) for name, flags in NAMESPACES.items()})


@attack("^ENOSYS$")
def new_namespaces_by_clone3():
    arguments = (ctypes.c_uint64 * 8)(NAMESPACES["user"], 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    child = call("clone3", arguments, 64)
    if child == 0:
        os._exit(0)
    return child


@attack("^ended with")
def programs_that_unshare():
    tries = {
        "unshare": ["unshare", "--user", "--map-root-user", "true"],
        "bwrap": ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "true"],
    }
    through = []
    for name, words in tries.items():
        if shutil.which(name) and subprocess.run(words, capture_output=True).returncode == 0:
            through.append(name)
    if through:
        return through
    raise Refused("ended with an error")


@attack("^EPERM$")
def setns_to_first_process():
    def enter(name):
        descriptor = os.open(f"/proc/1/ns/{name}", os.O_RDONLY)
        call("setns", descriptor, 0)

    return each({name: lambda name=name: enter(name) for name in os.listdir("/proc/1/ns")})


@attack("^ENOSYS$")
def unshare_by_the_x32_abi():
    return raw(272 | 0x40000000, NAMESPACES["user"]) if X86 else raw(-1)


@attack("^SIGSYS$")
def unshare_by_a_32_bit_call():
    if not X86:
        raise Refused("SIGSYS")
    child = os.fork()
    if child == 0:
        # mov eax, 310 (unshare); mov ebx, CLONE_NEWUSER; int 0x80; ret. rbx is the caller's: this process ends here.
        code = mmap.mmap(-1, 64, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\x53\xb8\x36\x01\x00\x00\xbb\x00\x00\x00\x10\xcd\x80\x5b\xc3")
        result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
        os._exit(0 if result == 0 else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        return "a user namespace"
    raise Refused(signal.Signals(-code).name if code < 0 else f"ended with {code}")


@attack("^ESRCH$")
def processes_of_the_host():
    pid = WORLD["pid"]
    vector = (ctypes.c_uint64 * 2)(0, 8)
    return each(
        {
            "signal": lambda: os.kill(pid, 0),
            "ptrace": lambda: call("ptrace", 16, pid, 0, 0),
            "process_vm_readv": lambda: call("process_vm_readv", pid, vector, 1, vector, 1, 0),
        }
    )


@attack("^ENOENT$")
def files_of_the_host_by_proc():
    paths = [WORLD["other"], WORLD["key"], "/etc/passwd", "/root", f"/proc/{WORLD['pid']}/mem"]
    roots = ["", *(f"/proc/{pid}/{link}" for pid in ("1", "self") for link in ("root", "cwd"))]
    return each({root + path: lambda p=root + path: os.stat(p) for root in roots for path in paths})


@attack(NO_WRITING)
def device_files_made():
    numbers = [(1, 1), (1, 11), (8, 0), (254, 0), (195, 0), (195, 1), (10, 200), (10, 232)]
    kinds = {"character": stat.S_IFCHR, "block": stat.S_IFBLK}
    return each(
        {
            f"{kind} {number} in {folder}": lambda folder=folder, bits=bits, number=number: os.mknod(
                f"{folder}/device", bits | 0o600, os.makedev(*number)
            )
            for folder in ("/tmp", "/dev/shm", "/dev")
            for kind, bits in kinds.items()
            for number in numbers
        }
    )


@attack("^ENOENT$")
def other_devices():
    usual = ["mem", "port", "kmsg", "sda", "vda", "nvme0n1", "kvm", "fuse", "vsock", "vfio/vfio", "net/tun", "loop0"]
    others = [f"nvidia{number}" for number in range(16) if f"/dev/nvidia{number}" != WORLD["gpu"]]
    return each({name: lambda name=name: os.stat(f"/dev/{name}") for name in usual + others})


@attack(NO_WRITING)
def device_files_changed():
    files = [f"/dev/{name}" for name in os.listdir("/dev") if stat.S_ISCHR(os.lstat(f"/dev/{name}").st_mode)]
    return each({path: lambda p=path: os.chmod(p, stat.S_IMODE(os.stat(p).st_mode)) for path in files})


@attack(NO_WRITING)
def settings_of_the_kernel():
    def files():
        for top in os.listdir("/proc"):
            path = f"/proc/{top}"
            if top.isdigit() or os.path.islink(path):
                continue
            if os.path.isfile(path) and os.lstat(path).st_mode & 0o222:
                yield path
            for folder, _, names in os.walk(path):
                for name in names:
                    if os.lstat(f"{folder}/{name}").st_mode & 0o222:
                        yield f"{folder}/{name}"

    return each({path: lambda path=path: opened(path) for path in [*files(), "/proc/sysrq-trigger"]})


@attack(NO_WRITING)
def core_pattern_given_its_own_value():
    with open("/proc/sys/kernel/core_pattern", "r+") as file:
        value = file.read()
        file.seek(0)
        file.write(value)
    return value


@attack(NO_WRITING)
def settings_in_sys():
    paths = ["kernel/mm/ksm/run", "power/state", "kernel/profiling", "fs/cgroup/cgroup.procs", "bus/pci/rescan"]
    return each({path: lambda path=path: opened(f"/sys/{path}") for path in paths})


@attack(NO_WRITING)
def memory_of_kernel_and_gpus():
    paths = ["/proc/kcore", "/proc/kmsg", "/sys/kernel/debug/gpio", "/sys/kernel/tracing/trace_pipe"]
    for folder, _, names in os.walk("/sys/devices"):
        try:
            with open(f"{folder}/vendor") as file:
                is_gpu = file.read().strip() == "0x10de"
        except OSError:
            continue
        paths += [f"{folder}/{name}" for name in names if is_gpu and re.match(r"resource\d|rom$", name)]
    return each({path: lambda path=path: opened(path, os.O_RDONLY) for path in paths})


@attack("^(EACCES|not fixed)$")
def oom_score_lowered():
    if not WORLD["oomIsFixed"]:
        raise Refused("not fixed")  # The runner ends such a run instead.
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")
    return "0"


@attack(NO_WRITING)
def environment_of_python():
    site = next(path for path in sys.path if path.endswith("-packages"))
    with open("/tmp/x.pth", "w") as file:
        file.write("import os")
    return each(
        {
            "a .pth": lambda: shutil.copyfile("/tmp/x.pth", f"{site}/{MARKER}.pth"),
            "prefix": lambda: put(sys.prefix),
            "bin": lambda: put(f"{sys.prefix}/bin"),
            "mode": lambda: os.chmod(f"{sys.prefix}/pyvenv.cfg", 0o644),
        }
    )


@attack(NO_WRITING)
def the_system():
    if WORLD["open"]:
        raise Refused("EROFS")  # These walls are known not to stand, and what lies behind them is no test's.
    folders = [
        os.path.dirname(os.__file__),
        "/",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/local/bin",
        "/bin",
        "/lib",
        "/etc",
        "/dev",
        "/proc",
        "/run",
    ]
    return each({folder: lambda folder=folder: put(folder) for folder in folders})


@attack("^[A-Z ]*EROFS[A-Z ]*$")
def the_lab():
    def append(path):
        with open(path, "a") as file:
            file.write("x")

    return each(
        {
            "new file": lambda: put("/lab"),
            "append": lambda: append("/lab/train.py"),
            "through its descriptor": lambda: opened(f"/proc/self/fd/{os.open('/lab/train.py', os.O_RDONLY)}"),
            "remove": lambda: os.unlink("/lab/train.py"),
            "rename": lambda: os.rename("/lab/train.py", "/lab/y"),
            "mode": lambda: os.chmod("/lab/train.py", 0o666),
            "owner": lambda: os.chown("/lab/train.py", os.getuid(), os.getgid()),
            "times": lambda: os.utime("/lab/train.py"),
            "attribute": lambda: os.setxattr("/lab/train.py", "user.x", b"x"),
            "link": lambda: os.link("/lab/train.py", "/lab/z"),
        }
    )


@attack("^(EXDEV|EPERM|EACCES)$")
def a_link_to_the_lab_in_scratch():
    os.link("/lab/train.py", "/tmp/train.py")
    return "linked"


@attack(NO_WRITING)
def folders_of_others():
    return each({path: lambda path=path: put(path) for path in [WORLD["other"]]})


@attack("^ECONNREFUSED ENOENT$")
def servers_of_the_host():
    def connect(family, address):
        with socket.socket(family) as client:
            client.settimeout(5)
            client.connect(address)

    return each(
        {
            "tcp": lambda: connect(socket.AF_INET, ("127.0.0.1", WORLD["port"])),
            "Temporal": lambda: connect(socket.AF_INET, ("127.0.0.1", 7233)),
            "abstract": lambda: connect(socket.AF_UNIX, f"\0{WORLD['abstract']}"),
            "socket file": lambda: connect(socket.AF_UNIX, WORLD["socket"]),
        }
    )


@attack("^(EAFNOSUPPORT|EAFNOSUPPORT EPERM|EACCES EAFNOSUPPORT)$")
def sockets_past_the_network_namespace():
    families = {"vsock": 40, "algorithms": 38, "packets": 17, "bluetooth": 31, "xdp": 44, "tipc": 30}
    tries = {name: lambda f=family: socket.socket(f, socket.SOCK_DGRAM).close() for name, family in families.items()}
    return each({**tries, "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()})


@attack("^EPERM$")
def keyrings():
    return each(
        {
            "add_key": lambda: call("add_key", b"user", MARKER.encode(), b"x", 1, -3),
            "request_key": lambda: call("request_key", b"user", MARKER.encode(), None, -3),
            "the user's": lambda: call("keyctl", 0, -4, 0),
            "the session's": lambda: call("keyctl", 0, -3, 0),
        }
    )


@attack("^(ENOSYS EPERM|EPERM ENOSYS)$")
def ways_to_the_kernel():
    buffer = ctypes.create_string_buffer(256)
    ring = ctypes.create_string_buffer(256)
    return each(
        {
            "bpf": lambda: call("bpf", 0, buffer, 72),
            "perf_event_open": lambda: call("perf_event_open", buffer, 0, -1, -1, 0),
            "userfaultfd": lambda: call("userfaultfd", 1),
            "io_uring": lambda: call("io_uring_setup", 4, ring),
            "syslog": lambda: call("syslog", 3, buffer, 256),
            "init_module": lambda: call("init_module", buffer, 0, buffer),
            "open_by_handle_at": lambda: call("open_by_handle_at", AT_FDCWD, buffer, 0),
        }
    )


@attack("^(no new privileges)$")
def setuid_programs():
    if status("NoNewPrivs") != ["1"]:
        return "new privileges"
    path = "/tmp/setuid"
    shutil.copyfile("/bin/sh", path)
    os.chmod(path, 0o4755)
    if not os.statvfs("/tmp").f_flag & os.ST_NOSUID:
        return "scratch allows setuid"
    raise Refused("no new privileges")


@attack("^(EINVAL|EPERM|EINVAL EPERM)$")
def other_users():
    others = [uid for uid in (0, 1, 1000, 65534) if uid != os.getuid()]
    tries = {f"uid {uid}": lambda uid=uid: os.setuid(uid) for uid in others}
    return each({**tries, "groups": lambda: os.setgroups([0])})


@attack("^[A-Z ]*(ENOTTY|ENXIO|EIO)[A-Z ]*$")
def typing_into_a_terminal():
    tries = {f"descriptor {fd}": lambda fd=fd: fcntl.ioctl(fd, termios.TIOCSTI, b"x") for fd in range(3)}

    def terminal():
        fcntl.ioctl(os.open("/dev/tty", os.O_RDWR), termios.TIOCSTI, b"x")

    return each({**tries, "/dev/tty": terminal})


@attack("^only pipes$")
def descriptors():
    ours = {int(name) for name in os.listdir("/proc/1/fd")} - {0, 1, 2, *OWN_PIPES}
    more = {}
    for fd in range(3):
        link = os.readlink(f"/proc/1/fd/{fd}")
        if not re.match(r"(pipe|socket):|/dev/null", link):
            more[fd] = link
    for fd in ours:
        try:
            more[fd] = os.readlink(f"/proc/1/fd/{fd}")
        except FileNotFoundError:
            continue  # The listing's own.
    if more:
        return more
    raise Refused("only pipes")


@attack("^absent$")
def secrets_of_the_worker():
    found = [name for name in os.environ if "SECRET" in name]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open(f"/proc/{pid}/environ", "rb") as file:
            if b"ATTACK_SECRET=" in file.read():
                found.append(pid)
    if found:
        return found
    raise Refused("absent")


@attack("^(EPERM|EPERM EACCES|EACCES EPERM|EACCES)$")
def limits():
    def raise_core():
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
        except ValueError as error:
            raise PermissionError(errno.EPERM, str(error)) from None

    return each(
        {
            "core": raise_core,
            "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
            "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
        }
    )


@attack("^ENOSPC$")
def more_than_scratch():
    if os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize > 1 << 30:
        return "shared memory without a limit"
    with open("/tmp/big", "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, WORLD["scratchBytes"] + 1)
            return "filled"
        finally:
            os.unlink("/tmp/big")


@attack("^went on$")
def a_daemon_left_behind():
    """The host looks whether it is there after the end."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            for fd in range(10):
                with contextlib.suppress(OSError):
                    os.close(fd)
            os.execv("/bin/sh", ["sh", "-c", f"sleep 600; : {MARKER}"])
        os._exit(0)
    raise Refused("went on")


@attack("^went on$")
def a_signal_to_everybody():
    """The host looks whether its own process is still there."""
    # Never where it could be answered by processes of the host.
    if os.stat("/proc/self/ns/pid").st_ino != WORLD["hostPidNamespace"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(-1, signal.SIGTERM)
    raise Refused("went on")


@attack("^EPERM$")
def mounts():
    # Last: what goes through would be in the way of the others.
    return each(
        {
            "tmpfs": lambda: call("mount", b"x", b"/tmp", b"tmpfs", 0, None),
            "proc": lambda: call("mount", b"x", b"/tmp", b"proc", 0, None),
            "bind": lambda: call("mount", b"/proc", b"/tmp", None, MS_BIND, None),
            "move": lambda: call("mount", b"/tmp", b"/dev/shm", None, MS_MOVE, None),
            "umount": lambda: call("umount2", b"/proc/sys", 2),
            "pivot_root": lambda: call("pivot_root", b"/tmp", b"/tmp"),
            "chroot": lambda: call("chroot", b"/tmp"),
            "fsopen": lambda: call("fsopen", b"tmpfs", 0),
            "open_tree": lambda: call("open_tree", AT_FDCWD, b"/lab", 1),
            "move_mount": lambda: call("move_mount", AT_FDCWD, b"/tmp", AT_FDCWD, b"/dev/shm", 0),
        }
    )


def attempt(expected, function):
    try:
        return {"through": True, "said": str(function())[:300], "asExpected": False}
    except Refused as refused:
        said = str(refused)
    except OSError as error:
        said = name_of(error)
    return {"through": False, "said": said, "asExpected": re.search(expected, said) is not None}


OWN_PIPES = ()


def main():
    global OWN_PIPES
    for name, expected, function in ATTACKS:
        reading, writing = os.pipe()
        OWN_PIPES = (reading, writing)
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                result = attempt(expected, function)
            except BaseException as error:
                result = {"through": False, "said": repr(error), "asExpected": False}
            os.write(writing, json.dumps({"attack": name, **result}).encode())
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as pipe:
            said = pipe.read()
        _, code = os.waitpid(child, 0)
        if not said:
            said = json.dumps({"attack": name, "through": False, "said": f"ended {code}", "asExpected": False}).encode()
        print(said.decode(), flush=True)


main()
