"""The true height is given where it is clear whose it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.rendered_clips import true_height


def test_the_height_of_the_only_person(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", person0_height_m=np.float64(1.8124), fps=np.float64(30))
    np.savez(tmp_path / "two.npz", person0_height_m=np.float64(1.8), person1_height_m=np.float64(1.5))
    np.savez(tmp_path / "none.npz", fps=np.float64(30))
    assert true_height(tmp_path / "one.npz") == {"height_m": 1.812}
    assert true_height(tmp_path / "two.npz") == true_height(tmp_path / "none.npz") == {}
