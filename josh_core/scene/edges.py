"""Straight edges of the background, and the direction that most of those near the vertical have in common.

Posts, doors and corners of houses stand upright, so the edges in the image that point to one vanishing point near
the expected up direction tell gravity to a fraction of a degree. An edge and the camera's centre span a plane; the
normals of the planes of parallel edges are all across their direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np

from josh_core.lsq.robust import Cauchy, Geman, reweighted
from josh_core.scene.matching.tracks import background
from josh_core.shapes import Shaped, check_shapes
from josh_core.types import CameraPath, Clip, Float, People

# Chosen by hand, except where a measurement is given.
PICTURE_SIDE = 960  # px, longest side of the pictures in which edges are searched
MAX_PICTURES = 8  # keyframes that are searched at most
MIN_LENGTH = 1 / 16  # of the picture's height, of an edge
MAX_ANGLE = np.radians(15.0)  # between an edge's plane, or the common direction, and the expected direction, at most
AGREEING_ANGLE = np.radians(0.6)  # between an edge's plane and the common direction, at which its weight halves
PAIR_TRIALS = 2000  # pairs of edges: with a share of 0.3 on the direction, 180 of them are pairs of two that are
MIN_PAIR_SINE = 0.02  # sine of the angle between the planes of a pair that tells a direction
# Count, length in picture heights and share of length that agree
MIN_EDGES, MIN_TOTAL, MIN_SHARE = 20, 4.0, 0.4
# Standard deviation of the direction beyond what the focal does. On 15 clips (`python -m benchmarks.evidence`) it is
# off by 0.02 to 0.21 degrees where the focal is right, by 0.8 on a tripod whose focal is 18 % off, and on beam_pan,
# which is real and has few edges, by 1.8.
DIRECTION_SIGMA = np.radians(0.6)


@dataclass(frozen=True)
class Edges(Shaped):
    """Edges as planes through their camera's centre."""

    normal: Annotated[Float, "e 3"]  # unit, in the CameraPath's world
    length: Annotated[Float, "e"]  # in picture heights


@dataclass(frozen=True)
class CommonDirection(Shaped):
    """What parallel edges have in common."""

    direction: Annotated[Float, "3"]  # unit
    sigma: float  # rad, of each of its two tilts


def find_edges(clip: Clip, people: People, cameras: CameraPath) -> Edges:
    """Straight edges in some keyframes, but for those on people or overlays (LSD, Grompone von Gioi et al. 2012)."""
    places = np.linspace(0, len(cameras.keyframes) - 1, MAX_PICTURES).round().astype(int)
    parts = [_edges_of(clip, people, cameras, int(frame)) for frame in np.asarray(cameras.keyframes)[np.unique(places)]]
    return Edges(
        np.concatenate([np.zeros((0, 3)), *(n for n, _ in parts)]), np.concatenate([[], *(x for _, x in parts)])
    )


def _edges_of(clip: Clip, people: People, cameras: CameraPath, frame: int) -> tuple[Float, Float]:
    """Normals [e,3] and lengths [e] of one frame's edges."""
    gray = cv2.cvtColor(clip.frame(frame, PICTURE_SIDE), cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(gray)[0]
    ends = np.zeros((0, 2, 2)) if found is None else np.asarray(found, np.float64).reshape(-1, 2, 2)
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1) / height
    column, row = np.floor(ends.mean(1)).astype(int).T
    free = background(people, frame, width, height)[row.clip(0, height - 1), column.clip(0, width - 1)]
    kept = free & (length > MIN_LENGTH)
    ends, length = ends[kept], length[kept]
    rays = np.concatenate(
        [(ends - [width / 2, height / 2]) / (cameras.focal * width / clip.width), np.ones((len(ends), 2, 1))], -1
    )
    normal = np.cross(rays[:, 0], rays[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return normal @ cameras.world_from_cam[frame, :3, :3].T, length


def common_direction(edges: Edges, expected: Float, cameras: CameraPath) -> CommonDirection | None:
    """The direction near `expected` [3] that most edges near it have in common; None where few of them agree."""
    check_shapes("common_direction", expected=(expected, "3"))
    close = np.abs(edges.normal @ expected) < np.sin(MAX_ANGLE)
    normal, length = edges.normal[close], edges.length[close]
    if len(normal) < MIN_EDGES:
        return None
    first, second = np.random.default_rng(0).integers(0, len(normal), (2, PAIR_TRIALS))
    trial = np.cross(normal[first], normal[second])
    size = np.linalg.norm(trial, axis=-1)
    trial = trial[size > MIN_PAIR_SINE] / size[size > MIN_PAIR_SINE, None]
    trial *= np.where(trial @ expected < 0, -1.0, 1.0)[:, None]
    trial = trial[trial @ expected > np.cos(MAX_ANGLE)]
    if not len(trial):
        return None

    def squares(direction: Float) -> Float:
        return (normal @ direction / AGREEING_ANGLE) ** 2

    def across_all(_: Float, slope: Float) -> Float:
        direction = np.linalg.eigh((normal * (length * slope)[:, None]).T @ normal)[1][:, 0]
        return direction * (1.0 if direction @ expected > 0 else -1.0)

    score = (length[:, None] * Cauchy(1.0).slope(squares(trial.T))).sum(0)
    up = reweighted(across_all, squares, Geman(1.0), trial[int(score.argmax())], 10)
    agree = np.abs(normal @ up) < 2 * AGREEING_ANGLE
    total = float(length[agree].sum())
    if agree.sum() < MIN_EDGES or total < MIN_TOTAL or total < MIN_SHARE * length.sum():
        return None
    # A focal that is off by a share tilts a direction that is not in the image plane by that share of its sine.
    ahead = float(np.abs(cameras.world_from_cam[:, :3, 2] @ up).mean())
    return CommonDirection(up, float(np.hypot(DIRECTION_SIGMA, ahead * cameras.focal_sigma)))
