"""A film that begins again behind a soft seam is told from one that goes on."""

from __future__ import annotations

import numpy as np
import pytest

from josh_core.clip.shots.loops import find_loops
from josh_core.types import Float, UInt8

TIMES = np.arange(60) / 30
BACKDROP = np.random.default_rng(0).integers(0, 255, (9, 60, 3)).repeat(16, 0).repeat(16, 1).astype(np.float64)


def picture(moment: float) -> Float:
    """What a camera that turns steadily shows [144,256,3] at a moment in s, with noise of its own."""
    left = int(200 * moment)
    return BACKDROP[:, left : left + 256] + np.random.default_rng(int(1e4 * moment)).normal(0, 2, (144, 256, 3))


def film(moments: Float, others: Float, share: Float) -> list[UInt8]:
    """The pictures of moments [T] s with others laid over them by shares [T]."""
    both = zip(moments, others, share, strict=True)
    return [np.asarray(((1 - s) * picture(a) + s * picture(b)).clip(0, 255), np.uint8) for a, b, s in both]


def test_a_film_that_begins_again_is_cut_at_its_seam() -> None:
    again = np.maximum(TIMES - 1.0, 0.0)  # fades in from 1.0 to 1.4 s
    ((first, end),) = find_loops(film(TIMES, again, np.clip((TIMES - 1.0) / 0.4, 0, 1)), TIMES)
    assert first == pytest.approx(30, abs=1) and 34 <= end <= 43


def test_a_film_that_goes_on_has_no_seam() -> None:
    none = np.zeros(len(TIMES))
    assert find_loops(film(TIMES, none, none), TIMES) == []
    assert find_loops(film(np.minimum(TIMES, 0.8), none, none), TIMES) == []  # stands still in the end
    assert find_loops(film(TIMES[:5], none[:5], none[:5]), TIMES[:5]) == []


def test_a_hard_cut_to_the_beginning_is_left_to_the_cuts() -> None:
    none = np.zeros(len(TIMES))
    assert find_loops(film(TIMES % 1.0, none, none), TIMES) == []
