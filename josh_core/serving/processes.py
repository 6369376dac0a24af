"""What the operating system lends to worker processes: a group that ends together, a lower priority, less memory.

POSIX has process groups; elsewhere (Windows) the tree of a process is looked up when it is ended.
"""

from __future__ import annotations

import os
import signal

import psutil

_MOST_FILES = 16_384  # more would only be more memory in the hands of whoever opens them all


def lead_group() -> None:
    """Called in a new process: whatever it starts from now on ends with it."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def stand_back(niceness: int) -> None:
    """Let other processes go first, as far as the system knows how."""
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)


def end_group(pid: int) -> None:
    """End a process at once with everything that it has started."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(pid, signal.SIGKILL)
            return
        except (ProcessLookupError, PermissionError):  # it has not led a group yet, or is gone
            pass
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue


def open_files() -> int:
    """How many files and connections this process may have open, after asking for as many as the system gives."""
    try:
        import resource
    except ImportError:  # Windows counts them in another way
        return 8192
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST_FILES if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # macOS says that there is no limit, and has one
        return soft
    return wanted


def limit_memory(more: int) -> None:
    """This process may take `more` bytes of address space from now on; MemoryError beyond. Nothing on Windows, macOS.

    macOS has the call but does not keep to it.
    """
    try:
        import resource
    except ImportError:
        return
    now = psutil.Process().memory_info().vms
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))
    except (ValueError, OSError):
        pass
