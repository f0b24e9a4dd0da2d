"""What a process of the lab asks of its host: memory that stays, and memory that ends. Locked."""

import ctypes
import os
import resource
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> None:
    """
    Lets the C allocator keep what it frees. By default each large activation is new pages from the kernel,
    zeroed one by one: on two CPU cores that cost more than the arithmetic. Does nothing outside of glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that glibc allows
        mallopt(_TRIM_THRESHOLD, 1 << 30)


def limit_memory(share: float) -> None:
    """
    Makes allocations beyond `share` of the machine's memory fail with an error instead of filling it.
    Does nothing where the kernel does not enforce it (macOS).
    """
    if sys.platform != "linux":
        return
    page = os.sysconf("SC_PAGE_SIZE")
    with open("/proc/self/statm", encoding="ascii") as file:
        mapped = int(file.read().split()[0]) * page
    limit = mapped + int(share * page * os.sysconf("SC_PHYS_PAGES"))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
