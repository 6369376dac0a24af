"""Process groups, priority and limits of worker processes, portable.

POSIX has process groups; elsewhere (Windows) the children of a process are looked up when it is killed.
"""

from __future__ import annotations

import os
import signal

import psutil

_MAX_FILES = 16_384  # chosen by hand: more would only let a flood of connections take more memory


def start_group() -> None:
    """Make the calling process the leader of a new group, which its children join."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def lower_priority(niceness: int) -> None:
    """Lower the priority of this process by `niceness`, where the system can."""
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)


def kill_group(pid: int) -> None:
    """Kill a process and all its children."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(pid, signal.SIGKILL)
            return
        except (ProcessLookupError, PermissionError):  # it does not lead a group yet, or has ended
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
    """How many files and connections this process may open, after raising the limit as far as the system allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 8192
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MAX_FILES if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # macOS reports no limit but has one
        return soft
    return wanted


def limit_memory(more: int) -> None:
    """Limit this process to `more` bytes of further address space; MemoryError beyond. No effect on Windows and macOS.

    macOS has the call but does not enforce it.
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
