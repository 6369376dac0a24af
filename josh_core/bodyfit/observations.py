"""Observations of a body from a track, each with its standard deviation.

Lengths are metres at the person; MediaPipe's numbers were compared with ground truth on real and rendered clips: its
pixels are good to 2 or 3 cm where it sees a landmark and to 20 where it does not, its depths to 5 or 10 cm a limb.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated

import numpy as np
from scipy.ndimage import median_filter

from josh_core.body.names import LANDMARKS
from josh_core.bodyfit.left_right import LEG_LANDMARKS, fix_left_right
from josh_core.bodyfit.pose_prior import POSE_PRIOR, PosePrior
from josh_core.bodyfit.widths import PersonMask, ShapeEvidence
from josh_core.geometry import rotvec_to_rotmat
from josh_core.shapes import Shaped
from josh_core.types import Bool, CameraPath, Clip, Float, Int, Track

# Standard deviation of a well seen landmark across the line of sight, m.
PIXEL_SIGMA = {
    "nose": 0.02,
    "eye": 0.02,
    "ear": 0.02,
    "mouth": 0.02,
    "shoulder": 0.03,
    "elbow": 0.022,
    "wrist": 0.022,
    "pinky": 0.04,
    "index": 0.04,
    "thumb": 0.04,
    "hip": 0.035,
    "knee": 0.022,
    "ankle": 0.022,
    "heel": 0.025,
    "foot": 0.03,
}
PAIRED_BONES = (
    ("hip", "knee"),
    ("knee", "ankle"),
    ("ankle", "foot_index"),
    ("heel", "foot_index"),
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("wrist", "index"),
    ("hip", "shoulder"),
    ("shoulder", "ear"),
)
MIDDLE_BONES = (
    ("right_hip", "left_hip"),
    ("right_shoulder", "left_shoulder"),
    ("right_ear", "left_ear"),
    ("right_ear", "nose"),
    ("left_ear", "nose"),
)
# m, and share of the bone's length: sigma of a bone of the 3D guess across the line of sight
BONE_SIGMA_ACROSS = (0.03, 0.18)
BONE_SIGMA_ALONG = (0.02, 0.12)  # the same along it; better than across because the pixels already tell what is across
MIN_VISIBILITY = 0.05  # lower visibilities are raised to this
BRIDGED_FACTOR = 3.0  # times worse where a gap in the track was bridged
OUTSIDE_FACTOR = 3.0  # times worse where a landmark is outside the picture
EXCHANGED_FACTOR = 6.0  # times worse the depths of a half whose sides had been exchanged
CONFUSED_FACTOR = 2.5  # times worse there in the picture, too
MIN_PERSON_DEPTH = 0.3  # m, smallest depth of a person
SIZE_SMOOTH_SECONDS = 0.5  # s, window over which the person's size in the image is smoothed


def _bones() -> list[tuple[int, int]]:
    names = list(MIDDLE_BONES)
    names += [(f"{s}_{a}", f"{s}_{b}") for a, b in PAIRED_BONES for s in ("left", "right")]
    return [(LANDMARKS.index(a), LANDMARKS.index(b)) for a, b in names]


BONE_FROM, BONE_TO = np.array(_bones()).T
LANDMARK_SIGMA = np.array(
    [PIXEL_SIGMA[next(k for k in PIXEL_SIGMA if k in name.split("_"))] for name in LANDMARKS]
)  # [33] m


@dataclass(frozen=True)
class Observations(Shaped):
    """One person's track as measurements, ready for the fit."""

    times: Annotated[Float, "n"]  # s
    rays: Annotated[Float, "n 33 2"]  # x/z and y/z of the landmarks in the camera
    ray_sigma: Annotated[Float, "n 33"]
    bones: Annotated[Float, "n B 3"]  # m, camera axes: landmark BONE_TO minus BONE_FROM as the network guesses it
    bone_sigma: Annotated[Float, "n B 3"]  # m, in the axes of `sight`: across, across, along
    sight: Annotated[Float, "n 3 3"]  # columns: two axes across the line of sight to the person, then the line itself
    depth: Annotated[Float, "n"]  # m, first estimate
    world_from_cam: Annotated[Float, "n 3 3"]  # how the camera is turned
    camera_stays: bool  # it turns at most, so that what is still in turned axes is still in the world
    guess: Annotated[Float, "n 33 3"]  # m, landmarks of the network in camera axes
    visibility: Annotated[Float, "n 33"]  # in [0, 1], with consistent sides like all else here
    turned: Annotated[Bool, "n"]  # the network had exchanged the sides of the whole or half of the person
    height: float  # m, standing height
    prior: PosePrior = POSE_PRIOR  # how joints are usually turned, [24,3] or [n,24,3] where a frame knows better
    mask: PersonMask | None = None  # of the same frames
    shape: ShapeEvidence | None = None  # what the mask's widths say, once there is a pose to measure them with

    def at(self, rows: Int | Bool) -> Observations:
        """The observations of some frames: indices or a mask [n]. The prior must not be one of every frame."""
        whole = ("camera_stays", "height", "prior", "mask", "shape")
        part = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in whole}
        return replace(self, **part, mask=self.mask and self.mask.at(rows))


def gather_observations(track: Track, cameras: CameraPath, clip: Clip, height: float) -> Observations:
    """Observations of a track, for cameras with a known focal length and an assumed standing height [m]."""
    track = _finite(track)
    px_per_m = px_per_metre(track, clip.times[track.frames])
    track, exchanged = fix_left_right(track, px_per_m, clip.times[track.frames])
    centre = np.array([clip.width, clip.height]) / 2
    rays = (track.landmarks_px - centre) / cameras.focal
    sight = _lines_of_sight(rays, track.visibility)
    guess = track.landmarks_m @ sight.swapaxes(-1, -2)  # the network looks at a crop, as if along its own axis
    worse = 1 / _trust(track.visibility)
    worse = worse * np.where(track.detected, 1.0, BRIDGED_FACTOR)[:, None]
    sides = np.repeat(exchanged, [LEG_LANDMARKS[0], len(LEG_LANDMARKS)], axis=1)  # [n,33]
    confused = np.where(sides, CONFUSED_FACTOR, 1.0)
    inside = ((track.landmarks_px > 0) & (track.landmarks_px < 2 * centre)).all(-1)
    return Observations(
        times=np.asarray(clip.times[track.frames], np.float64),
        rays=rays,
        ray_sigma=LANDMARK_SIGMA
        * worse
        * confused
        * np.where(inside, 1.0, OUTSIDE_FACTOR)
        * (px_per_m / cameras.focal)[:, None],
        bones=guess[:, BONE_TO] - guess[:, BONE_FROM],
        bone_sigma=_bone_sigma(guess, worse, exchanged),
        sight=sight,
        depth=np.maximum(cameras.focal / px_per_m, MIN_PERSON_DEPTH),
        world_from_cam=cameras.world_from_cam[track.frames, :3, :3],
        camera_stays=cameras.kind != "moving",
        guess=guess,
        visibility=track.visibility,
        turned=np.asarray(exchanged.any(1), np.bool_),
        height=height,
    )


def _finite(track: Track) -> Track:
    """The track with landmarks that are not numbers at zero and unseen."""
    good = np.isfinite(np.concatenate([track.landmarks_px, track.landmarks_m], -1)).all(-1, keepdims=True)
    return replace(
        track,
        landmarks_px=np.where(good, track.landmarks_px, 0.0).astype(np.float64),
        landmarks_m=np.where(good, track.landmarks_m, 0.0).astype(np.float64),
        visibility=np.where(good[..., 0], np.clip(np.nan_to_num(track.visibility), 0, 1), 0.0),
    )


def px_per_metre(track: Track, times: Float) -> Float:
    """Pixels per metre of the person [n]: the scale between the two sets of landmarks, steadied over time."""
    weight = track.visibility[..., None] ** 2 + 1e-6
    px = track.landmarks_px - (weight * track.landmarks_px).sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    flat = track.landmarks_m[..., :2]
    flat = flat - (weight * flat).sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    scale = np.sqrt((weight * px**2).sum((1, 2)) / np.maximum((weight * flat**2).sum((1, 2)), 1e-6))
    step = float(np.median(np.diff(times))) if len(times) > 1 else SIZE_SMOOTH_SECONDS
    steadied = median_filter(scale, size=2 * round(0.5 * SIZE_SMOOTH_SECONDS / step) + 1, mode="nearest")
    return np.maximum(steadied, 1.0)


def _trust(visibility: Float) -> Float:
    """Visibility [n,33] of landmarks, lowered for hands and feet whose limb is not visible."""
    trust = visibility.copy()
    for side in (0, 1):
        for middle, ends in ((13, (15, 17, 19, 21)), (25, (27, 29, 31))):
            for end in ends:
                trust[:, end + side] *= visibility[:, middle + side]
    return np.clip(trust, MIN_VISIBILITY, 1)


def _lines_of_sight(rays: Float, visibility: Float) -> Float:
    """Rotations [n,3,3] that carry the camera's axis to the person, the shortest way."""
    weight = visibility[..., None] + 1e-3
    middle = (weight * rays).sum(1) / weight.sum(1)
    axis = np.stack([-middle[:, 1], middle[:, 0], np.zeros(len(middle))], -1)  # z x middle
    tangent = np.linalg.norm(axis, axis=-1, keepdims=True)
    return rotvec_to_rotmat(axis * np.arctan(tangent) / np.maximum(tangent, 1e-12))


def _bone_sigma(guess: Float, worse: Float, exchanged: Bool) -> Float:
    """[n,B,3] m. guess: [n,33,3] m; worse: [n,33]; exchanged: [n,2] upper body, legs."""
    length = np.median(np.linalg.norm(guess[:, BONE_TO] - guess[:, BONE_FROM], axis=-1), axis=0)
    across, along = (a + b * length for a, b in (BONE_SIGMA_ACROSS, BONE_SIGMA_ALONG))
    sigma = np.sqrt(np.maximum(worse[:, BONE_FROM], worse[:, BONE_TO]))[..., None] * np.stack(
        [across, across, along], -1
    )
    low = np.isin(BONE_FROM, LEG_LANDMARKS) & np.isin(BONE_TO, LEG_LANDMARKS)
    turned = np.where(low, exchanged[:, 1:], exchanged[:, :1])
    sigma[..., 2] *= np.where(turned, EXCHANGED_FACTOR, 1.0)
    return sigma
