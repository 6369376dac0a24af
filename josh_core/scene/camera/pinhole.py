"""Whether a pinhole with square pixels made the picture: a film that was squeezed, or shifted frame by frame, tells.

A squeezed picture is explained better once it is stretched back. A camera that turns moves the sides of the picture
more than its middle, by the square of the distance over that of the focal; whoever shifts the picture (a stabiliser, a
shaken crop) moves all of it alike, and the focal comes out too long.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.lsq.robust import Cauchy, reweighted
from josh_core.scene.camera.bundle_adjustment import SightingNoise, adjust
from josh_core.scene.camera.lens import FocalPrior
from josh_core.scene.camera.sfm import KeyMap
from josh_core.scene.matching.tracks import REFERENCE_SIDE, Tracks
from josh_core.threads import in_threads
from josh_core.types import CameraPath, Float

# Chosen by hand, except where a measurement or a source is given.
# Width of a pixel over its height: 4:3 shown as 16:9, and half-way. Tried with so many points, in so many steps.
ASPECTS = (0.75, 0.87, 1.15, 1.33)
TRIED_POINTS, TRIED_STEPS = 200, 8
# A street came out at 1.26 times the cost of square pixels or more, the same squeezed to 4:3 at 0.54.
SQUARE_COST = 0.8  # of the cost with square pixels, at most
GAP_SECONDS = 0.1  # s between the frames that are compared
SLOW_SECONDS = 0.5  # s over which a camera's own motion is smooth
MIN_POINTS = 60  # that two frames have in common
MIN_SHAKE_PX = 4.0  # px of a picture 1280 px long: a shake that is smaller tells nothing
# Bend, with so many standard errors added, over that of a turn of a lens of this focal. A picture shifted by 12 px had
# a bend of 0.00 +- 0.03; a turn would have had 0.7 with the focal that was estimated, 1.8 with the true one.
MAX_SHIFTED_BEND, SURE_SIGMAS = 0.4, 3.0


def pixel_aspect(tracks: Tracks, key_map: KeyMap, prior: FocalPrior) -> float:
    """Width of a pixel over its height, of those tried, that explains the tracks far better; 1 where none does."""
    small, few = key_map.sample(tracks, TRIED_POINTS)
    prior = prior if small.lens.distortion else replace(prior, distortion_sigma=0.0)

    def cost(aspect: float) -> float:
        stretched = replace(few, xy=few.xy * [aspect**0.5, aspect**-0.5])
        return adjust(small, stretched, prior, SightingNoise.usual(tracks.noise), TRIED_STEPS).cost

    square, *others = in_threads(cost, (1.0, *ASPECTS))
    least, best = min(zip(others, ASPECTS, strict=True))
    return best if least < SQUARE_COST * square else 1.0


def is_shifted(tracks: Tracks, times: Float, focal: float) -> bool:
    """Whether fast motions of the picture move all of it alike, as no turn of a lens of this focal (px) does."""
    longest = max(tracks.size)
    frame = float(np.median(np.diff(times)))
    gap = max(1, round(GAP_SECONDS / frame))
    flows = [_flow(tracks, t, t + gap) for t in range(len(times) - gap)]
    known = np.array([flow for flow in flows if flow is not None])
    if len(known) < 0.8 * len(flows) or len(known) < 8:
        return False
    shake = _fast(known, max(3, round(SLOW_SECONDS / frame)) | 1)
    shift, bend = shake[:, :2].ravel(), shake[:, 2:].ravel()
    power = float(shift @ shift)
    if np.sqrt(power / len(shift)) * REFERENCE_SIDE < MIN_SHAKE_PX:
        return False
    slope = float(shift @ bend) / power
    left = bend - slope * shift
    error = np.sqrt(float(left @ left) / power / max(1.0, len(shift) / (2 * gap)))
    return slope + SURE_SIGMAS * error < MAX_SHIFTED_BEND * (longest / focal) ** 2


def _flow(tracks: Tracks, first: int, second: int) -> Float | None:
    """Shift (x, y) of the middle of the picture between two frames and its bend (x, y), in lengths of the longest side.

    The motion of the background is affine, and beside that quadratic as by a turn. None with too few points.
    """
    _, a, b = tracks.common(first, second)
    if len(a) < MIN_POINTS:
        return None
    xy = (a - tracks.centre) / max(tracks.size)
    moved = ((b - a) / max(tracks.size)).T.ravel()
    x, y = xy.T
    one, none = np.ones_like(x), np.zeros_like(x)
    across = np.stack([one, x, y, none, none, none, x * x, x * y], 1)
    down = np.stack([none, none, none, one, x, y, x * y, y * y], 1)
    system = np.concatenate([across, down])

    def squares(found: Float) -> Float:
        off = np.abs(system @ found - moved)
        return (off / (np.median(off) + 1e-9)) ** 2

    def solve(_: Float, slope: Float) -> Float:
        weight = np.sqrt(slope)
        return np.linalg.lstsq(system * weight[:, None], moved * weight, rcond=None)[0]

    plain = solve(np.zeros(8), np.ones(len(moved)))
    return np.asarray(reweighted(solve, squares, Cauchy(3.0), plain, 5)[[0, 3, 6, 7]])


def _fast(values: Float, window: int) -> Float:
    """Values [n,k] without their running mean over an odd window."""
    padded = np.pad(values, ((window // 2, window // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), padded]), 0)
    return values - (total[window:] - total[:-window]) / window


def pinhole_notes(cameras: CameraPath) -> tuple[str, ...]:
    """Sentences where the picture is not what a pinhole with square pixels shows."""
    notes = []
    if cameras.aspect != 1:
        narrow = "narrower" if cameras.aspect > 1 else "wider"
        notes.append(
            f"The picture seems to be squeezed: everything is about {max(cameras.aspect, 1 / cameras.aspect):.2f} "
            f"times {narrow} than it is, and sizes and distances are wrong. Give the clip in its own proportions."
        )
    if cameras.shifted:
        notes.append(
            "The picture shakes as a whole, as no turning lens shows it (a stabiliser, a shaken crop?): focal length, "
            "sizes and distances may be wrong. Give the clip as it was filmed."
        )
    if cameras.breathing:
        notes.append(
            f"The size of the picture swings by {100 * cameras.breathing:.1f} % (a lens that breathes with its focus, "
            "a zoom to and fro, an effect?), which seems to move the camera forth and back: its way, focal length, "
            "sizes and distances may be wrong. Film with a fixed focus, or give the clip without the effect."
        )
    return tuple(notes)
