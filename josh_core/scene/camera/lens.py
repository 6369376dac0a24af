"""The lens that all frames share: a focal and one term of radial distortion, and what is known of them beforehand.

The term is that of the division model (Fitzgibbon, CVPR 2001), which follows a wide action camera to a pixel or two
where k1 of the polynomial model is tens of pixels off, and has a closed form both ways. All other rooms assume a
pinhole: pixels are undistorted first (undistort_clip).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from josh_core.geometry import pixel_grid
from josh_core.types import CameraPath, Clip, Float, People

# Chosen by hand, except where a measurement or a source is given.
# Phones film people at 0.7 to 0.9 times the longest side, cameras at 1 to 1.4: one in three clips lies outside +-30 %.
USUAL_FOCAL = 1.0  # of the longest side
USUAL_SPREAD = 0.3  # of the logarithm
# The same of a recorded focal: films show a little less than photographs (steadying, crop to 16:9). Chosen.
RECORDED_SPREAD = 0.08
USUAL_DISTORTION = 0.05  # standard deviation; most clips are straight to within their noise
MAX_DISTORTION = 0.5  # of either sign; an even fisheye (angle to radius) has -0.35, a stereographic one -0.25
MIN_STRETCH, MIN_ROOT = 0.3, 0.1  # where the model ends: no lens of a clip with people bends by more
# Degrees along the longest side: from a short telephoto to a wide action camera. Beyond, people are rarely filmed.
MIN_FIELD_DEG, MAX_FIELD_DEG = 25.0, 95.0
# A street seen through a barrel, an even and a stereographic fisheye, whose corners move by up to 30 %, came out with a
# focal within 1 % and a path within 4 mm of 3 m. Nothing stronger was measured; there the error is a guess.
# Share by which the corners move, and the error of lengths for each part of it
MEASURED_BEND, ERROR_PER_BEND = 0.3, 1.0
# A focal is doubtful this many sigmas from the usual one, if its own sigma is larger
UNUSUAL_SIGMAS, VAGUE_SIGMA = 2.0, 0.05


@dataclass(frozen=True)
class Lens:
    """A pixel that is seen at q (px from the centre) lies at q / (1 + distortion |q / focal|^2) without distortion."""

    focal: float  # px
    distortion: float = 0.0  # negative for a barrel; for small ones equal to k1 of OpenCV's model

    def retract(self, step: Float) -> Lens:
        """The lens after a step [2] in log focal and distortion, held within reason."""
        focal = self.focal * float(np.exp(np.clip(step[0], -0.2, 0.2)))
        return Lens(focal, float(np.clip(self.distortion + step[1], -MAX_DISTORTION, MAX_DISTORTION)))


@dataclass(frozen=True)
class FocalPrior:
    """Before looking: a log-normal focal (fixed when sigma is 0) and a distortion near zero (none when sigma is 0)."""

    focal: float  # px
    sigma: float  # of its logarithm
    distortion_sigma: float = 0.0

    def precision(self) -> Float:
        """[2] of log focal and distortion."""
        return 1 / np.maximum(np.array([self.sigma, self.distortion_sigma]), 1e-6) ** 2

    def offset(self, lens: Lens) -> Float:
        """[2] how far the lens is from what was expected."""
        return np.array([np.log(lens.focal / self.focal), lens.distortion])


def field_deg(focal: float, longest: float) -> float:
    """Field of view in degrees along the longest side; both in px."""
    return float(np.degrees(2 * np.arctan(longest / 2 / focal)))


def is_unusual(focal: float, sigma: float, longest: float) -> bool:
    """Whether an estimated focal is one that hardly any camera has, or far from the usual and not well known.

    focal, longest: px; sigma: relative.
    """
    off = abs(np.log(focal / (USUAL_FOCAL * longest))) / USUAL_SPREAD
    return not MIN_FIELD_DEG < field_deg(focal, longest) < MAX_FIELD_DEG or bool(
        off > UNUSUAL_SIGMAS and sigma > VAGUE_SIGMA
    )


def bend(cameras: CameraPath, clip: Clip) -> float:
    """Share by which distortion moves the corners of the image away from where a straight lens would show them."""
    corner = np.array([clip.width, clip.height]) / 2
    straight = undistort(Lens(cameras.focal, cameras.distortion), corner)
    return abs(float(np.linalg.norm(straight) / np.linalg.norm(corner)) - 1)


def is_undetermined(cameras: Lens | CameraPath) -> bool:
    """Whether the distortion is at the model's bound: it is then not determined by the clip, whatever its sigma.

    Seen on a camera below a flight of stairs: the bound of a pincushion, and 2.6 times the true focal.
    """
    return abs(cameras.distortion) > 0.99 * MAX_DISTORTION


def lens_error(cameras: CameraPath, clip: Clip) -> float:
    """Relative error of focal and lengths, beside their own: of a lens that the clip leaves open or bends strongly."""
    share = bend(cameras, clip)
    return ERROR_PER_BEND if is_undetermined(cameras) else ERROR_PER_BEND * share if share > MEASURED_BEND else 0.0


def lens_notes(focal: float, cameras: CameraPath, clip: Clip, given: bool) -> tuple[str, ...]:
    """Sentences about an estimated focal that is unusual, and a lens that bends strongly.

    focal: px, the result's; given: it was the user's.
    """
    notes = []
    longest = max(clip.width, clip.height)
    if _source(cameras, clip, given) == "clip" and is_unusual(focal, cameras.focal_sigma, longest):
        kind = "narrow" if focal > USUAL_FOCAL * longest else "wide"
        notes.append(
            f"The clip seems to be filmed through a very {kind} lens ({field_deg(focal, longest):.0f} degrees along "
            "its longer side; phones see about 65): if it was not, sizes and distances are wrong. Film while you walk "
            f"past things near and far, without cropping, or give the focal length ({focal:.0f} px was found)."
        )
    if is_undetermined(cameras):
        notes.append(
            "The clip does not tell through which lens it was filmed, so sizes and distances may be off by a factor "
            "of two. Film while you walk past things near and far, or give the focal length."
        )
    elif error := lens_error(cameras, clip):
        notes.append(
            "The lens seems to bend straight lines very strongly, more than the lens model is known to follow: the "
            f"place and the camera's way may be off by {100 * error:.0f} %. Film with the linear "
            "setting, not the wide one."
        )
    return tuple(notes)


def _source(cameras: CameraPath, clip: Clip, given: bool) -> str:
    """Where the focal comes from: the user, the clip's frames, the file, or the usual focal."""
    if given:
        return "given"
    still = "assumed" if clip.focal_px is None else "file"
    return still if cameras.kind == "static" else "clip"


def lens_numbers(cameras: CameraPath, focal: float, clip: Clip, given: bool) -> dict[str, Any]:
    """Field of view in degrees along the longest side, source of the focal, whether it is unusual, bend, whether the
    picture was squeezed or shifted or breathes, and how much of what was followed in it the camera explains.

    focal: px, the result's; given: it was the user's.
    """
    source = _source(cameras, clip, given)
    longest = max(clip.width, clip.height)
    return {
        "field_deg": round(field_deg(focal, longest), 2),
        "focal_from": source,
        "lens_bend_pct": round(100 * bend(cameras, clip), 2),
        "no_pinhole": cameras.shifted or cameras.aspect != 1 or cameras.breathing > 0,
        "match_agree_pct": round(100 * cameras.explained, 2) if cameras.kind == "moving" else None,
        "focal_unusual": source == "clip"
        and (is_unusual(focal, cameras.focal_sigma, longest) or is_undetermined(cameras)),
    }


def distort(lens: Lens, xy: Float) -> Float:
    """Seen pixels [...,2] of undistorted ones, both in px from the image centre."""
    return xy * stretch(lens, (xy**2).sum(-1, keepdims=True) / lens.focal**2)[0]


def stretch(lens: Lens, squared: Float) -> tuple[Float, Float]:
    """Seen over undistorted radius, s, at squared undistorted radii r^2 (of the focal); and its slope.

    s = 2 / (1 + q) with q = sqrt(1 - 4 d r^2). With the slope s^2 / q, ds/dd = r^2 slope and ds/d(r^2) = d slope.
    """
    root = np.sqrt(np.maximum(1 - 4 * lens.distortion * squared, MIN_ROOT**2))
    out = 2 / (1 + root)
    return out, out**2 / root


def undistort(lens: Lens, xy: Float) -> Float:
    """Straightened pixels [...,2] of seen ones, both in px from the image centre."""
    if lens.distortion == 0:
        return xy
    return xy / np.maximum(1 + lens.distortion * (xy**2).sum(-1, keepdims=True) / lens.focal**2, MIN_STRETCH)


def undistort_clip(clip: Clip, people: People, cameras: CameraPath) -> tuple[Clip, People]:
    """Undistorted clip and people; the same objects where the lens has no distortion.

    This is what CameraPath, Matches and DepthMaps speak of.
    """
    lens = Lens(cameras.focal, cameras.distortion)
    if lens.distortion == 0:
        return clip, people
    return _undistort_frames(clip, lens), _undistort_people(people, clip, lens)


def _undistort_frames(clip: Clip, lens: Lens) -> Clip:
    """The clip with its distortion taken out."""
    x, y = _table(lens, (clip.width, clip.height), clip.width, clip.height)
    jpegs = []
    for t in range(len(clip)):
        rgb = cv2.remap(clip.frame(t), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        ok, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
        assert ok  # a frame that was decoded can be encoded
        jpegs.append(data.tobytes())
    return replace(clip, jpegs=jpegs)


def _undistort_people(people: People, clip: Clip, lens: Lens) -> People:
    """Boxes, landmarks and masks as a lens without distortion would show them."""
    centre = np.array([clip.width, clip.height]) / 2

    def straight(px: Float) -> Float:
        return undistort(lens, px - centre) + centre

    height, width = people.labels.shape[1:]
    x, y = _table(lens, (clip.width, clip.height), width, height)
    labels = np.stack([cv2.remap(label, x, y, cv2.INTER_NEAREST) for label in people.labels])
    tracks = tuple(
        replace(t, boxes=straight(t.boxes.reshape(-1, 2, 2)).reshape(-1, 4), landmarks_px=straight(t.landmarks_px))
        for t in people.tracks
    )
    return replace(people, tracks=tracks, labels=labels)


def _table(lens: Lens, clip_size: tuple[int, int], width: int, height: int) -> tuple[Float, Float]:
    """Where each pixel of a straight image, reduced from the clip's size, is seen: x and y [height,width]."""
    scale = np.array(clip_size) / [width, height]
    centre = np.array(clip_size) / 2
    seen = distort(lens, pixel_grid(width, height) * scale - centre) + centre
    at = (seen / scale - 0.5).astype(np.float32)  # OpenCV counts pixel centres as integers
    return np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
