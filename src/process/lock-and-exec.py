"""Takes kernel locks, then executes the command in this process, which holds the locks until it exits.

detach.ts and exclusive.ts call it with one JSON argument:

    lock     file to lock without waiting; if it is taken, reports "busy" and exits 0. null for none
    name     the holder's name, for messages; written into the lock files with pid and start time
    wait     locks to wait for after `lock`, in this order
    queued   null, or {"file", "content", "instead"}: a JSON file to write before waiting, with `owner` filled in. If
             the file exists with another `phase` than the content's, the command has begun before: reports "busy".
             `instead` (optional) is the SHA-256 of an existing file that may be replaced all the same
    adopt    whether this process becomes a child subreaper (Linux)
    command  the command to execute

It reports on descriptor 3, a line each: "busy", "held" (has `lock`), "queued" (waits for a lock), "locked" (has all
locks), "failed REASON".
The descriptor closes when the command starts. Standard library only.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import subprocess
import sys

REPORT = 3
PR_SET_CHILD_SUBREAPER = 36


def report(line):
    os.write(REPORT, (line + "\n").encode())


def report_if_heard(line):
    with contextlib.suppress(BrokenPipeError):  # the caller may not wait for this line
        report(line)


def this_process():
    """Pid, start time and boot id, as owner.ts reads them."""
    pid = os.getpid()
    if sys.platform == "linux":
        with open("/proc/self/stat") as file:
            start = file.read().rpartition(")")[2].split()[19]
        with open("/proc/sys/kernel/random/boot_id") as boot:
            return {"pid": pid, "startTime": start, "bootId": boot.read().strip()}
    env = {**os.environ, "LC_ALL": "C"}
    start = subprocess.check_output(["ps", "-o", "lstart=", "-p", str(pid)], text=True, env=env)
    boot = subprocess.check_output(["sysctl", "-n", "kern.bootsessionuuid"], text=True)
    return {"pid": pid, "startTime": " ".join(start.split()), "bootId": boot.strip()}


def open_lock(path):
    """Opens or creates `path`. In a sticky folder (a GPU's lock) the file is writable for every user."""
    while True:
        # Two steps: the kernel refuses O_CREAT for another user's file in a sticky folder (fs.protected_regular).
        try:
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
        everybody = os.stat(os.path.dirname(path)).st_mode & stat.S_ISVTX
        # Not fchmod afterwards: a kill in between would leave a file that no other user can ever lock.
        mask = os.umask(0) if everybody else None
        try:
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL, 0o666 if everybody else 0o644)
        except FileExistsError:
            continue
        finally:
            if mask is not None:
                os.umask(mask)


def take(path, holder, on_busy):
    """Locks `path` and writes the holder into it. If it is taken, waits if `on_busy` returns True, else gives up."""
    while True:
        lock = open_lock(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not on_busy():
                return False
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            named = os.stat(path)
        except FileNotFoundError:
            named = None
        if named is not None and os.path.samestat(os.fstat(lock), named):
            break
        os.close(lock)  # the file was removed in between, so this lock excludes nobody
    os.set_inheritable(lock, True)
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(holder).encode(), 0)
    return True


def has_begun(queued):
    phase = queued["content"].get("phase")
    try:
        with open(queued["file"], "rb") as file:
            text = file.read()
        if phase is None or hashlib.sha256(text).hexdigest() == queued.get("instead"):
            return False
        found = json.loads(text)
    except (FileNotFoundError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("phase") != phase


def write_queued(queued, owner):
    temporary = f"{queued['file']}.{os.getpid()}.tmp"
    with open(temporary, "w") as file:
        json.dump({**queued["content"], "owner": owner}, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, queued["file"])


def adopt_orphans():
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def close_inherited():
    """Closes the caller's pipes: an open one would block `| tee` and leak into the sandbox."""
    os.closerange(REPORT + 1, os.sysconf("SC_OPEN_MAX"))


def lock_and_exec(task):
    close_inherited()
    owner = this_process()
    holder = {**owner, "name": task["name"]}
    if task["lock"] is not None and not take(task["lock"], holder, lambda: False):
        report("busy")
        return
    if task["queued"] is not None:
        if has_begun(task["queued"]):
            report("busy")
            return
        write_queued(task["queued"], owner)
    report("held")
    if task["adopt"]:
        adopt_orphans()

    def wait():
        report("queued")
        return True

    for lock in task["wait"]:
        take(lock, holder, wait)
    report_if_heard("locked")
    os.set_inheritable(REPORT, False)
    os.execvp(task["command"][0], task["command"])


if __name__ == "__main__":
    try:
        lock_and_exec(json.loads(sys.argv[1]))
    except OSError as error:
        report(f"failed {error}")
        sys.exit(127)
