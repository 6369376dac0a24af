"""The stage table of `fast`: medians of the runs, and what a run lacks is 0."""

from __future__ import annotations

from benchmarks.fast import row


def test_a_row_shows_the_median_of_each_stage() -> None:
    runs = [{"people": p, "files": 1.0, "whole": w} for p, w in ((4.0, 8.0), (5.0, 10.0), (30.0, 40.0))]
    cells = row("walk", 100, 1, runs).split()
    assert cells[:4] == ["walk", "100", "1", "0.0"] and cells[4] == "5.0"
    assert cells[-3:] == ["1.0", "10.0", "10.0"]
