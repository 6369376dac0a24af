"""Work spread over threads: order, errors, stopping early, and torch's own threads."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from josh_core.threads import in_threads, one_thread


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0.0)
        return number * number

    assert list(in_threads(slow_at_first, range(40))) == [n * n for n in range(40)]


def test_an_error_is_raised_at_its_item() -> None:
    taken = []
    with pytest.raises(ZeroDivisionError):
        taken.extend(in_threads(lambda n: 1 / (3 - n), range(10)))
    assert taken == [1 / 3, 1 / 2, 1.0]


def test_what_nobody_takes_is_not_made() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.001)
        return number

    before = threading.active_count()
    results = in_threads(work, range(1000), ahead=2)
    assert next(results) == 0
    results.close()
    assert len(begun) < 50
    assert threading.active_count() <= before  # those of other tests may end meanwhile


def test_torch_has_one_thread_in_each_thread_and_gets_its_own_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert list(in_threads(lambda _: torch.get_num_threads(), range(8))) == [1] * 8
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_torch_gets_its_threads_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before
