"""Arrays of the wrong shape do not enter: the sentence names the class, the field and both shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import pytest
import torch

from josh_core.shapes import Shaped, check_shapes
from josh_core.types import CameraPath, Float


@dataclass(frozen=True)
class Pair(Shaped):
    name: str
    left: Annotated[Float, "n 3"]
    right: Annotated[Float, "n 3"] | None = None


def test_letters_mean_one_length() -> None:
    assert check_shapes("f", a=(np.zeros((4, 3)), "n 3"), b=(torch.zeros(4, 7), "n C")) == {"n": 4, "C": 7}
    with pytest.raises(ValueError, match=r"f: b should be \[n,C\] with n = 4, C = 7; it is \[5, 7\]"):
        check_shapes("f", a=(np.zeros((4, 7)), "n C"), b=(np.zeros((5, 7)), "n C"))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (5, 2, 3)])
def test_dots_are_any_batch(shape: tuple[int, ...]) -> None:
    check_shapes("f", a=(np.zeros(shape), "... 3"))
    with pytest.raises(ValueError, match=r"\[\.\.\.,4\]"):
        check_shapes("f", a=(np.zeros(shape), "... 4"))


@pytest.mark.parametrize("shape", [(), (3,), (4, 2), (4, 3, 1)])
def test_a_dataclass_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"Pair: left should be \[n,3\]"):
        Pair("a", np.zeros(shape))


def test_fields_of_one_object_agree() -> None:
    pair = Pair("a", np.zeros((2, 3)), np.zeros((2, 3)))
    assert replace(pair, right=None).right is None
    with pytest.raises(ValueError, match=r"right should be \[n,3\] with n = 2; it is \[4, 3\]"):
        replace(pair, right=np.zeros((4, 3)))


def test_what_the_rooms_exchange_is_checked() -> None:
    with pytest.raises(ValueError, match="registered"):
        CameraPath("static", np.tile(np.eye(4), (5, 1, 1)), 500.0, 0.1, np.arange(2), np.ones(4, bool))
