"""A camera that turns behind a lens that bends straight lines: where a straight lens seems to travel, this explains it.

All points of a turning camera follow one motion, whatever their depth, but through a barrel or a pincushion that motion
is none of a straight lens. One number for the bend is searched for, at which rotations alone explain the pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from josh_core.lsq.robust import Cauchy
from josh_core.scene.camera.lens import MIN_STRETCH, FocalPrior, Lens
from josh_core.scene.camera.rotation_only import CAUCHY_WIDTH, PixelPairs, RotationSolution, solve_rotation_only
from josh_core.threads import in_threads
from josh_core.types import Float

# Chosen by hand, except where a measurement or a source is given.
# Distortions are of a pixel at a distance of the longest side. At the first one the cost of a camera that turns behind
# a strong barrel or pincushion (`benchmarks.footage --all`) falls below the second, a travelling camera's does not.
LOOK_AHEAD, MAX_AHEAD_COST = 0.3, 0.92
MAX_BEND, BEND_TOLERANCE = 1.5, 0.03  # the search ends at the first, and is as fine as the second
THINNED = 3  # the search looks at every third correspondence
# Of the focal's logarithm's way from that of a straight lens: how unsure it is. A turn tells bend and focal only
# together, and a lens that is no division model shifts both
FOCAL_DOUBT = 0.5


@dataclass(frozen=True)
class BentTurn:
    """A turning camera, its lens, and residuals [M] in seen px in `turning`."""

    turning: RotationSolution
    lens: Lens


def bent_turn(
    pairs: PixelPairs, nodes: int, straight: RotationSolution, prior: FocalPrior, noise: float, longest: float
) -> BentTurn | None:
    """The turning camera and lens that explain pairs best; None where no bend makes them agree much better.

    straight: the best turn of a straight lens; noise, longest: px, of a correspondence and of the frame.
    """
    few = _every_nth(pairs, THINNED)

    def cost(bend: float) -> float:
        found = _solved(few, nodes, prior, noise, bend / longest**2)
        return float(Cauchy(CAUCHY_WIDTH).value((found.residual / noise) ** 2).sum())

    none, *ahead = in_threads(cost, (0.0, -LOOK_AHEAD, LOOK_AHEAD))
    least, sign = min(zip(ahead, (-1, 1), strict=True))
    if least > MAX_AHEAD_COST * none:
        return None
    bend = sign * float(
        minimize_scalar(
            lambda size: cost(sign * size),
            bounds=(0.0, MAX_BEND),
            method="bounded",
            options={"xatol": BEND_TOLERANCE, "maxiter": 12},
        ).x
    )
    turning = _solved(pairs, nodes, prior, noise, bend / longest**2)
    doubt = FOCAL_DOUBT * abs(float(np.log(turning.focal / straight.focal)))
    turning = replace(turning, focal_sigma=float(np.hypot(turning.focal_sigma, doubt)))
    return BentTurn(turning, Lens(turning.focal, bend * (turning.focal / longest) ** 2))


def _every_nth(pairs: PixelPairs, step: int) -> PixelPairs:
    return PixelPairs(pairs.first[::step], pairs.second[::step], pairs.xy_first[::step], pairs.xy_second[::step])


def _solved(pairs: PixelPairs, nodes: int, prior: FocalPrior, noise: float, bend: float) -> RotationSolution:
    """The turn of pairs whose bend (per px^2) is taken out; its residuals as the bent picture shows them."""

    def stretch(xy: Float) -> Float:
        return np.maximum(1 + bend * (xy**2).sum(-1, keepdims=True), MIN_STRETCH)

    straight = replace(
        pairs, xy_first=pairs.xy_first / stretch(pairs.xy_first), xy_second=pairs.xy_second / stretch(pairs.xy_second)
    )
    found = solve_rotation_only(straight, nodes, prior, noise)
    return replace(found, residual=found.residual * stretch(pairs.xy_second)[:, 0])
