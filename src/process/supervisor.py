"""Runs a command, and kills it and all its descendants when the caller dies or when the command ends.

Called with one JSON argument:

    command     the command; it gets this process's folder, environment, stdin, stdout and stderr
    expendable  whether the kernel kills it first when memory is short; it then writes no core file either
    cgroup      the folder of the cgroup v2 that it starts in; null for ours
    gated       whether the command is a sandbox with a gate: the first program inside writes "ready" to descriptor 4
                and waits there for "go"
    tasks       for a gated sandbox: the limit on processes and threads; null for none
    locked      whether descriptor 5 is a lock: held until no descendant is left, and not inherited
    filtered    whether descriptor 6 is the seccomp program that bubblewrap reads; inherited
    devices     device files that the command may use but not change (protect_devices)

Descriptor 3 is the lifeline. When its other end closes, because the caller has died or has closed it, this process
kills all descendants with SIGKILL, double forks included. It writes "began PID LIMIT" when the command begins: the pid
of the started process, and what limits its tasks (rlimit, namespace or nothing; see limit_tasks). It writes "ended
STATUS CAUSE" when the command ends: the exit code, or -n for signal n; `own` for a SIGKILL by a CPU limit that the
command lowered itself, else `unknown`. It passes SIGTERM on to the command's process group. It exits as the command
did (128 + n for signal n) after all descendants have ended.

bubblewrap turns signal n into exit code 128 + n, which a command may also use, and it reaps the command before
anybody can look. So we stop bubblewrap while the command runs: the kernel then shows the zombie's status and limits.

bubblewrap's --die-with-parent is not enough: its outer process sets it after it has started, and its inner process
later still. Neither notices a parent that died before, and the inner one waits for ever for an outer one that died in
between. So this process is the parent instead of the runner, and it does not exit before the gate is reached, when
both have set it. If this process is killed earlier, a process of bubblewrap may stay, but the command never starts,
because nobody writes "go".

Standard library only. On systems other than Linux it ends the command's process group only.
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
FREE = 10  # descriptors from here on are not in the protocol
PR_SET_CHILD_SUBREAPER = 36
NS_GET_USERNS = 0xB701
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 32, 4096, 16384, 1 << 19
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8  # statvfs has the same numbers for them
LINUX = sys.platform == "linux"
SET_UP_SECONDS = 10  # for a sandbox to reach its gate
GONE_SECONDS = 10  # for the kernel to end a process that waits for a disk or GPU; some never end
PAUSE_SECONDS = 0.005
LONG_PAUSE_SECONDS = 0.5


class Orphaned(Exception):
    """The lifeline's other end has closed."""


class Supervisor:
    def __init__(self, task):
        self.child = None  # until Popen returns
        self.early = None  # a signal that arrived before that
        self.tasks = task["tasks"]
        self.locked = task["locked"]
        self.gate = None  # our end of it, until "go" is sent
        self.first = None  # pidfd and pid of the sandbox's first process, while bubblewrap is stopped
        self.end = None  # status and cause of the command's end, as the kernel shows them
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

    def wait_for_end(self):
        """Waits until the command ends. Raises Orphaned if the caller ends first."""
        poll = select.poll()
        for descriptor in (LIFELINE, self.wakeup, self.gate):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        if self.gate is None:
            report_began(self.child.pid, "nothing")
        while not self.is_over():
            for descriptor, _ in poll.poll():
                if descriptor == self.wakeup:
                    os.read(self.wakeup, 512)
                    self.reap()
                elif descriptor == LIFELINE:
                    check_lifeline()
                elif self.first is not None and descriptor == self.first[0]:
                    poll.unregister(descriptor)
                    self.end = end_of(self.first[1])
                    self.let_reap()
                else:
                    poll.unregister(descriptor)
                    self.open_gate()
                    if self.first is not None:
                        poll.register(self.first[0], select.POLLIN)
        report_ended(*self.how_it_ended())

    def is_over(self):
        if LINUX and self.first is None and self.gate is None and self.end is None and is_zombie(self.child):
            self.end = end_of(self.child.pid)
        return self.child.poll() is not None

    def how_it_ended(self):
        """The kernel's status if it agrees with bubblewrap's; without permission to read it the kernel shows 0."""
        reported = self.child.returncode
        if self.end is not None and shell_code(self.end[0]) == shell_code(reported):
            return self.end
        return reported, "unknown"

    def stop_reaper(self, pid):
        """Stops bubblewrap if a pidfd can wait for its command instead: Linux 5.3, Python 3.9."""
        with contextlib.suppress(OSError, AttributeError):
            self.first = (above(os.pidfd_open(pid)), pid)
            self.child.send_signal(signal.SIGSTOP)

    def let_reap(self):
        self.child.send_signal(signal.SIGCONT)

    def open_gate(self):
        """Reads "ready" from the gate and answers "go". The gate is closed if the sandbox failed to start."""
        try:
            message, sender = read_gate(self.gate)
            if message == b"" or self.child.poll() is not None:
                return
            limit = "nothing" if self.tasks is None or sender is None else limit_tasks(sender, self.tasks)
            report_began(self.child.pid, limit)
            if sender is not None:
                self.stop_reaper(sender)
            self.gate.sendall(b"go\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # the command has ended; wait_for_end sees that next
        self.gate.close()
        self.gate = None

    def let_set_up(self):
        """Waits for a sandbox that is still starting: without "go" it exits at the gate."""
        if self.gate is None:
            return
        self.gate.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(SET_UP_SECONDS)

    def reap(self):
        """Reaps adopted orphans; Popen reaps the child itself."""
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
        # Before scanning /proc, which is slow during a fork bomb: a whole sandbox dies with its first process.
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


def wake_on_signals(supervisor):
    """Returns a descriptor that becomes readable when a signal arrives."""
    reading, writing = (above(end) for end in os.pipe())
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: supervisor.pass_on(signal.SIGTERM))
    return reading


def above(descriptor):
    """Moves a descriptor above the numbers that the command expects."""
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

    A sandbox shows the host's own device files, and their owner may change their mode without any capability: root in a
    sandbox could make /dev/null unusable for the host. bubblewrap's read-only mounts do not allow devices.
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
    """Enters a mount namespace. In a container root may lack CAP_SYS_ADMIN; a user namespace then grants it."""
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
    """Calls a function of the C library; raises OSError if it fails."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def check_lifeline():
    """Raises Orphaned at its end; a reset is an end with unread data. The caller never writes to it."""
    try:
        data = os.read(LIFELINE, 512)
    except ConnectionResetError:
        data = b""
    if data == b"":
        raise Orphaned


def read_gate(gate):
    """What the gate's other end wrote, and its pid on the host."""
    message, attached, _, _ = gate.recvmsg(64, socket.CMSG_SPACE(12))
    pids = [struct.unpack("3i", data)[0] for _, kind, data in attached if LINUX and kind == socket.SCM_CREDENTIALS]
    return message, pids[0] if pids else None


def limit_tasks(pid, tasks):
    """Limits the tasks of a sandbox; returns what limits them: "rlimit", "namespace" or "nothing".

    pid is the sandbox's first process. Since Linux 5.14 the kernel counts a plain user's tasks per user namespace;
    before, it counted all of the user's tasks on the host. The host's root is exempt in any user namespace, so for
    root we lower the pid_max of the PID namespace, which exists since Linux 6.14. On an older kernel that write would
    change the host's.
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
    # Only children of this process are in the entered PID namespace.
    if not run_aside(lambda: write("/proc/sys/kernel/pid_max", str(tasks))):
        raise OSError("pid_max cannot be written")


def enter(namespace, own):
    """Enters a namespace unless this process is in it: the kernel refuses that for a user namespace."""
    if os.fstat(namespace).st_ino != own.st_ino:
        call("setns", namespace, 0)


def run_aside(action):
    """Runs `action` in a forked child; returns whether it succeeded."""
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


def report_began(pid, limit):
    try:
        os.write(LIFELINE, b"began %d %s\n" % (pid, limit.encode()))
    except OSError as error:
        raise Orphaned from error


def report_ended(status, cause):
    with contextlib.suppress(OSError):  # the caller has ended
        os.write(LIFELINE, b"ended %d %s\n" % (status, cause.encode()))


def shell_code(status):
    return status if status >= 0 else 128 - status


def is_zombie(child):
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def end_of(pid):
    """A zombie's status, and `own` if a CPU limit below ours killed it; None if the kernel hides it."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        with open(f"/proc/{pid}/limits") as limits:
            hard = re.search(r"^Max cpu time +\S+ +(\d+)", limits.read(), re.MULTILINE)
        if fields[0] != "Z":
            return None
        status = int(fields[49]) & ~0x80  # without the core-dump flag
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None
    code = -(status & 0x7F) if status & 0x7F else status >> 8
    ours = resource.getrlimit(resource.RLIMIT_CPU)[1]
    is_lowered = hard is not None and (ours == resource.RLIM_INFINITY or int(hard[1]) < ours)
    # The kernel kills by counted ticks but shows exact times.
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


def supervise(task):
    adopt_orphans()
    supervisor = Supervisor(task)
    try:
        supervisor.start(task)
        supervisor.wait_for_end()
    except Orphaned:
        supervisor.let_set_up()
    finally:
        supervisor.end_everything()
    return shell_code(supervisor.child.wait())


if __name__ == "__main__":
    try:
        sys.exit(supervise(json.loads(sys.argv[1])))
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(127)
