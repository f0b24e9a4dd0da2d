"""Runs a command that neither outlives whoever started it nor leaves anything behind.

Called with one JSON argument:

    command     what to run, with this process's folder, environment, stdin, stdout and stderr
    expendable  whether it is the first to go when the host is short of memory; it writes no core file either
    cgroup      the folder of the cgroup v2 that it begins in; null is ours
    gated       whether the command is a sandbox with a gate: first in it something says "ready" on descriptor 4 and
                begins only when it hears "go" there
    tasks       with a gate: how many processes and threads the kernel may allow the sandbox; null is no limit
    locked      whether descriptor 5 is a lock: held until nothing is left, however long that takes, and not handed on
    filtered    whether descriptor 6 is the seccomp program that bubblewrap reads; it is handed on
    devices     device files that the command may use but not change (protect_devices)

Descriptor 3 is the lifeline: when its other end closes, because whoever holds it has died or wants so, all
descendants are ended with SIGKILL, double forks included. "began PID LIMIT" is written to it when the command begins,
with the pid of what was started and what limits its tasks: rlimit, namespace or nothing (limit_tasks). "ended STATUS
CAUSE" is written when it ends: its exit code, or -n for signal n; `own` for a SIGKILL by a limit on CPU seconds that it
lowered itself, else `unknown`. SIGTERM is passed on to the command's process group. Exits as the command did, 128 + n
for signal n, after all that was left behind has ended.

bubblewrap hands on 128 + n for signal n, which a command may also exit with, and it reaps the command before anybody
can look. So it is stopped while the command runs: the kernel shows a zombie's true status and limits.

Why bubblewrap needs more than its --die-with-parent: its outer process asks the kernel for that after it has begun,
its inner one later still; neither sees a parent that has died before, and the inner one waits for ever for an outer
one that dies between the two. So this process, not the runner, is the parent, and does not end before the gate is
reached: by then both have asked. Is this one killed before, then a process of bubblewrap's own may stay, but never the
command: nobody says "go".

Needs nothing but Python's standard library. Elsewhere than on Linux it ends the command's process group only.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time

LIFELINE, GATE, FILTER = 3, 4, 6
FREE = 10  # descriptors from here on are in nobody's way
PR_SET_CHILD_SUBREAPER = 36
NS_GET_USERNS = 0xB701
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 32, 4096, 16384, 1 << 19
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8  # statvfs has the same numbers for them
LINUX = sys.platform == "linux"
SET_UP_SECONDS = 10  # for a sandbox to come to its gate
GONE_SECONDS = 10  # for the kernel to end a process that waits for a disk or a GPU; it may take longer, or for ever
PAUSE_SECONDS = 0.005
LONG_PAUSE_SECONDS = 0.5


class Orphaned(Exception):
    """The lifeline's other end has closed."""


class Keeper:
    def __init__(self, task):
        self.child = None  # until it has begun, however long that takes
        self.early = None  # a signal that has come before
        self.tasks = task["tasks"]
        self.locked = task["locked"]
        self.gate = None  # our end of it, until "go" has been said
        self.first = None  # the first process inside a sandbox, as a pidfd and its pid, while bubblewrap is stopped
        self.end = None  # how the command ended, as the kernel shows it: status and cause
        self.wakeup = wake_on_signals(self)

    def start(self, task):
        handed_on = ((GATE,) if task["gated"] else ()) + ((FILTER,) if task["filtered"] else ())
        if task["gated"]:
            ours, theirs = (above(end.detach()) for end in socket.socketpair())
            self.gate = socket.socket(fileno=ours)
            if LINUX:
                self.gate.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            os.dup2(theirs, GATE)
            os.close(theirs)
        self.child = subprocess.Popen(
            task["command"],
            pass_fds=handed_on,
            start_new_session=True,
            preexec_fn=lambda: prepare(task),
        )
        if self.early is not None:
            self.pass_on(self.early)
        for descriptor in handed_on:
            os.close(descriptor)

    def see_through(self):
        """Waits for the command's end, or for that of whoever started it."""
        poll = select.poll()
        for descriptor in (LIFELINE, self.wakeup, self.gate):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        if self.gate is None:
            tell_began(self.child.pid, "nothing")
        while not self.is_over():
            for descriptor, _ in poll.poll():
                if descriptor == self.wakeup:
                    os.read(self.wakeup, 512)
                    self.reap()
                elif descriptor == LIFELINE:
                    hear()
                elif self.first is not None and descriptor == self.first[0]:
                    poll.unregister(descriptor)
                    self.end = end_of(self.first[1])
                    self.let_reap()
                else:
                    poll.unregister(descriptor)
                    self.open_gate()
                    if self.first is not None:
                        poll.register(self.first[0], select.POLLIN)
        tell_ended(*self.how_it_ended())

    def is_over(self):
        if LINUX and self.first is None and self.gate is None and self.end is None and is_zombie(self.child):
            self.end = end_of(self.child.pid)
        return self.child.poll() is not None

    def how_it_ended(self):
        """What the kernel showed, where it is what bubblewrap handed on: without the right to look it shows 0."""
        handed_on = self.child.returncode
        if self.end is not None and shell_code(self.end[0]) == shell_code(handed_on):
            return self.end
        return handed_on, "unknown"

    def stop_reaper(self, pid):
        """Stops bubblewrap, where its command's end can be waited for without it: Linux 5.3, Python 3.9."""
        with contextlib.suppress(OSError, AttributeError):
            self.first = (above(os.pidfd_open(pid)), pid)
            self.child.send_signal(signal.SIGSTOP)

    def let_reap(self):
        self.child.send_signal(signal.SIGCONT)

    def open_gate(self):
        """The gate has said "ready", or is gone because the sandbox could not be set up."""
        try:
            said, sender = hear_from(self.gate)
            if said == b"" or self.child.poll() is not None:
                return
            limit = "nothing" if self.tasks is None or sender is None else limit_tasks(sender, self.tasks)
            tell_began(self.child.pid, limit)
            if sender is not None:
                self.stop_reaper(sender)
            self.gate.sendall(b"go\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # its end comes next
        self.gate.close()
        self.gate = None

    def let_set_up(self):
        """A sandbox that is still being set up is not killed: it ends by itself at the gate."""
        if self.gate is None:
            return
        self.gate.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(SET_UP_SECONDS)

    def reap(self):
        """Takes leave of adopted orphans; the child itself is Popen's."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if self.child is not None and ended.si_pid == self.child.pid:
                    self.is_over()
                else:
                    os.waitpid(ended.si_pid, 0)

    def pass_on(self, name):
        if self.child is None:
            self.early = name
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, name)
            if self.first is not None:
                self.let_reap()

    def end_everything(self):
        # Without looking around before, which takes long amid a fork bomb: a sandbox dies whole with its first process.
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
        if not LINUX:
            self.pass_on(signal.SIGKILL)
            return
        end = time.monotonic() + GONE_SECONDS
        while (is_young := time.monotonic() < end) or self.locked:
            self.reap()
            left = descendants()
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(PAUSE_SECONDS if is_young else LONG_PAUSE_SECONDS)


def wake_on_signals(keeper):
    """A descriptor that can be read when a signal has come."""
    reading, writing = (above(end) for end in os.pipe())
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: keeper.pass_on(signal.SIGTERM))
    return reading


def above(descriptor):
    """The same, out of the way of the numbers that the command expects."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FREE)
    os.close(descriptor)
    return moved


def adopt_orphans():
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def prepare(task):
    if task["cgroup"] is not None:
        write(f"{task['cgroup']}/cgroup.procs", "0")
    if task["expendable"]:
        make_expendable()
    try:
        protect_devices([path for path in task["devices"] if os.path.exists(path)])
    except OSError as error:
        print(f"the sandbox's device files cannot be made read-only: {error}", file=sys.stderr, flush=True)
        os._exit(127)


def make_expendable():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        write("/proc/self/oom_score_adj", "1000")


def protect_devices(paths):
    """Makes device files read-only in a mount namespace of this process: they can be used, but not changed.

    A sandbox shows the host's own device files, and who owns one may change its mode without any capability: root in a
    sandbox could take /dev/null from everybody. bubblewrap has no such mount: its read-only ones refuse devices.
    """
    if not any(os.stat(path).st_uid == os.geteuid() for path in paths):
        return
    locked = MS_NOSUID | MS_NODEV | MS_NOEXEC  # a container's mounts may not lose these
    enter_own_mounts()
    mount(None, "/", MS_SLAVE | MS_REC)
    for path in paths:
        mount(path, path, MS_BIND)
        mount(None, path, MS_REMOUNT | MS_BIND | MS_RDONLY | (os.statvfs(path).f_flag & locked))


def enter_own_mounts():
    """In a container root may lack CAP_SYS_ADMIN: then a user namespace gives it, as it does to bubblewrap."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        call("unshare", CLONE_NEWNS)
    except PermissionError:
        call("unshare", CLONE_NEWNS | CLONE_NEWUSER)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{uid} {uid} 1")
        write("/proc/self/gid_map", f"{gid} {gid} 1")


def mount(source, target, flags):
    call("mount", source and source.encode(), target.encode(), None, ctypes.c_ulong(flags), None)


def call(name, *arguments):
    """Calls a function of the C library; raises what it reports."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def hear():
    """Nothing is said on the lifeline; a reset is an end with something left unread."""
    try:
        said = os.read(LIFELINE, 512)
    except ConnectionResetError:
        said = b""
    if said == b"":
        raise Orphaned


def hear_from(gate):
    """What was said at the gate, and the pid on the host of who has said it."""
    said, attached, _, _ = gate.recvmsg(64, socket.CMSG_SPACE(12))
    pids = [struct.unpack("3i", data)[0] for _, kind, data in attached if LINUX and kind == socket.SCM_CREDENTIALS]
    return said, pids[0] if pids else None


def limit_tasks(pid, tasks):
    """Has the kernel refuse a sandbox more tasks; returns by what: "rlimit", "namespace" or "nothing".

    pid is its first process. A plain user's tasks are counted for each user namespace since Linux 5.14; before, the
    limit would count all that the user runs on the host. The host's root is exempt, in whatever user namespace and
    with whatever capabilities, so for root the PID namespace itself is made small: since Linux 6.14 it has a pid_max of
    its own. On an older kernel the same write would change the host's.
    """
    kernel = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])
    with contextlib.suppress(OSError):
        if os.getuid() != 0 and kernel >= (5, 14):
            resource.prlimit(pid, resource.RLIMIT_NPROC, (tasks, tasks))
            return "rlimit"
        if kernel >= (6, 14) and run_aside(lambda: limit_namespace(pid, tasks)):
            return "namespace"
    return "nothing"


def limit_namespace(pid, tasks):
    with open(f"/proc/{pid}/ns/pid") as namespace:
        enter(fcntl.ioctl(namespace, NS_GET_USERNS), os.stat("/proc/self/ns/user"))
        enter(namespace.fileno(), os.stat("/proc/self/ns/pid"))
    # Only children are in the PID namespace that was entered.
    if not run_aside(lambda: write("/proc/sys/kernel/pid_max", str(tasks))):
        raise OSError("pid_max cannot be written")


def enter(namespace, own):
    """Enters a namespace; the kernel refuses to enter a user namespace from within."""
    if os.fstat(namespace).st_ino != own.st_ino:
        call("setns", namespace, 0)


def run_aside(action):
    """Runs something in a child; returns whether it went well."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def tell_began(pid, limit):
    try:
        os.write(LIFELINE, b"began %d %s\n" % (pid, limit.encode()))
    except OSError as error:
        raise Orphaned from error


def tell_ended(status, cause):
    with contextlib.suppress(OSError):  # nobody is there any more to hear it
        os.write(LIFELINE, b"ended %d %s\n" % (status, cause.encode()))


def shell_code(status):
    return status if status >= 0 else 128 - status


def is_zombie(child):
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def end_of(pid):
    """How a zombie ended: its status, and `own` if a limit on CPU seconds below ours killed it; None if hidden."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        with open(f"/proc/{pid}/limits") as limits:
            hard = re.search(r"^Max cpu time +\S+ +(\d+)", limits.read(), re.MULTILINE)
        if fields[0] != "Z":
            return None
        status = int(fields[49]) & ~0x80  # without "has left a core file"
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None
    code = -(status & 0x7F) if status & 0x7F else status >> 8
    ours = resource.getrlimit(resource.RLIMIT_CPU)[1]
    is_lowered = hard is not None and (ours == resource.RLIM_INFINITY or int(hard[1]) < ours)
    # The kernel counts by ticks when it kills, and exactly when it shows.
    is_own = code == -signal.SIGKILL and is_lowered and seconds >= 0.8 * int(hard[1]) - 1
    return code, "own" if is_own else "unknown"


def descendants():
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found, following = [], children.get(os.getpid(), [])
    while following:
        found += following
        following = [pid for parent in following for pid in children.get(parent, [])]
    return found


def keep(task):
    adopt_orphans()
    keeper = Keeper(task)
    try:
        keeper.start(task)
        keeper.see_through()
    except Orphaned:
        keeper.let_set_up()
    finally:
        keeper.end_everything()
    return shell_code(keeper.child.wait())


if __name__ == "__main__":
    try:
        sys.exit(keep(json.loads(sys.argv[1])))
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(127)
