"""Arrays of the wrong shape do not enter: the sentence names the class, the field and both shapes."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest
import torch

import josh_core
from josh_core.contact.detect import find_contacts
from josh_core.export.appearance import weighted_median
from josh_core.export.scene3d.splats import surfels
from josh_core.geometry import (
    best_of_each,
    interpolate_linear,
    interpolate_rigid,
    interpolate_rotations,
    invert,
    project,
    rigid,
    rotation_between,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
    transform,
    true_runs,
    umeyama,
    unproject,
)
from josh_core.metrics.accuracy import pa_mpjpe, wa_mpjpe
from josh_core.metrics.quality import foot_slide, jitter
from josh_core.scene.floor import fit_plane
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


def test_dots_may_stand_anywhere() -> None:
    for shape in [(4, 3, 3), (4, 5, 3, 3)]:
        assert check_shapes("f", a=(np.zeros(shape), "n ... 3 3"), b=(np.zeros(4), "n")) == {"n": 4}
    assert check_shapes("f", a=(np.zeros((4, 7, 2)), "n ..."), b=(np.zeros(4), "n")) == {"n": 4}
    for shape in [(), (3,), (3, 3), (5, 3, 3)]:
        with pytest.raises(ValueError, match=r"f: a should be \[n,\.\.\.,3,3\] with n = 4"):
            check_shapes("f", b=(np.zeros(4), "n"), a=(np.zeros(shape), "n ... 3 3"))


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


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (transform, ((4, 4), (3,))),
        (invert, ((3, 4),)),
        (rigid, ((3, 3), (4,))),
        (project, ((3, 3), (5, 2))),
        (unproject, ((3, 3), (5, 3), (5,))),
        (rotmat_to_rotvec, ((3,),)),
        (rotvec_to_rotmat, ((5, 2),)),
        (interpolate_rotations, ((5, 3, 3), (4,), (2,))),
        (interpolate_linear, ((5, 3), (4,), (2,))),
        (interpolate_rigid, ((5, 4, 4), (5,), (1, 2))),
        (umeyama, ((5, 3), (4, 3))),
        (rotation_between, ((3,), (2,))),
        (best_of_each, ((5,), (4,))),
        (true_runs, ((5, 2),)),
        (wa_mpjpe, ((5, 12, 3), (5, 24, 3))),
        (pa_mpjpe, ((5, 12, 3), (4, 12, 3))),
        (jitter, ((5, 24, 3), (5,), (4,))),
        (foot_slide, ((5, 4, 3), (5, 3), (5,), (5,))),
        (fit_plane, ((9, 3), (9,), (8,), (3,), (2, 3))),
        (surfels, ((9, 3), (2, 2))),
        (weighted_median, ((6, 9, 3), (9, 6))),
    ],
)
def test_public_functions_refuse_arrays_of_other_shapes(
    function: Callable[..., object], given: tuple[tuple[int, ...], ...]
) -> None:
    with pytest.raises(ValueError, match=rf"^{function.__name__}: \w+ should be \["):
        function(*(np.ones(shape) for shape in given))


def test_a_students_contacts_are_those_of_the_bodys_frames_and_points() -> None:
    body = SimpleNamespace(frames=np.arange(4))
    for shape in [(5, 2), (4, 3)]:
        with pytest.raises(ValueError, match="find_contacts: student"):
            find_contacts(None, (body,), [], ("left_heel", "right_heel"), (np.ones(shape),), None)  # type: ignore[arg-type]


ROOT = Path(josh_core.__file__).parent
ARRAY = re.compile(r"\b(Float|Int|Bool|UInt8|Array|Tensor)\b")  # in an annotation; a dataclass checks its own arrays
ANY_SHAPE = {"smooth_step"}  # element by element


def taken_from_other_rooms() -> set[tuple[str, str]]:
    """Room and name of everything that a module imports from another room of the package, inside functions too."""
    taken = set()
    for path in ROOT.rglob("*.py"):
        here = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("josh_core."):
                there = node.module.split(".")[1]
                taken |= {(there, alias.name) for alias in node.names if there != here}
    return taken


def test_functions_that_other_rooms_call_check_the_shapes_of_their_arrays() -> None:
    taken, checked, wrong = taken_from_other_rooms(), 0, []
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (room, node.name) in taken and node.name not in ANY_SHAPE:
                hints = [ast.unparse(a.annotation) for a in node.args.args + node.args.kwonlyargs if a.annotation]
                if any(ARRAY.search(hint) and "Callable" not in hint for hint in hints):
                    is_checked = "check_shapes(" in ast.unparse(node)
                    checked += is_checked
                    wrong += [] if is_checked else [f"{path.relative_to(ROOT)}:{node.name}"]
    assert wrong == [] and checked > 30
