"""How work is spread over the cores: alike pieces each in a thread of its own, and torch on one thread inside each.

The heavy calls (OpenCV, numpy, torch, the landmark network) let go of Python's lock. Cores are shared with other
programs; several threads inside every small call would mostly wait for each other there, and threads of threads were
seen to stand still altogether in whole runs of the tests (torch 2.13, two cores).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Given = TypeVar("Given")
Made = TypeVar("Made")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[Given], Made], items: Iterable[Given], ahead: int = 4) -> Iterator[Made]:
    """Results of `work` for each item, in order, made in as many threads as there are cores.

    At most `ahead` results a thread wait to be taken. What `work` raises is raised here, at its item; when the caller
    stops taking results, the rest is not begun. Torch keeps to one thread in each until the last result is taken.
    """
    threads = cores()
    waiting: deque[Future[Made]] = deque()
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= threads * ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: the calls are small or run side by side, so more would cost more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
