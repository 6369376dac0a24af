"""The true height is given where it is clear whose it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.rendered_clips import over_clips, true_height


def test_the_height_of_the_only_person(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", person0_height_m=np.float64(1.8124), fps=np.float64(30))
    np.savez(tmp_path / "two.npz", person0_height_m=np.float64(1.8), person1_height_m=np.float64(1.5))
    np.savez(tmp_path / "none.npz", fps=np.float64(30))
    assert true_height(tmp_path / "one.npz") == {"height_m": 1.812}
    assert true_height(tmp_path / "two.npz") == true_height(tmp_path / "none.npz") == {}


def test_numbers_over_clips_leave_out_those_without_one() -> None:
    rows = {"a": {"W": 1.0}, "b": {"W": None}, "c": {"W": 2.0}, "d": {"W": 6.0}}
    assert over_clips(rows, "W") == 2.0 and over_clips(rows, "W", np.mean) == 3.0
    assert over_clips(rows, "PA") is None
