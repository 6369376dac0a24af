"""Which kind of camera filmed the clip (static, rotating, moving), and its pose in every frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from josh_core.geometry import interpolate_rigid, rigid, rotation_angle
from josh_core.progress import Progress
from josh_core.scene.adjust import Rig, Sightings, locate
from josh_core.scene.lens import USUAL_DISTORTION, USUAL_FOCAL, USUAL_SPREAD, FocalPrior, Lens, undistort
from josh_core.scene.moving import Moving, solve_moving
from josh_core.scene.rotation import PixelPairs, Turning, solve_turning
from josh_core.scene.tracks import Tracks, sightings_of
from josh_core.settings import Settings
from josh_core.types import Bool, CameraKind, CameraPath, Clip, Float, Int

REFERENCE = 1280  # px: thresholds below are for an image whose longest side is this
NOISE = 0.5  # px, standard deviation of a good track
STILL = 0.7  # px, a static camera's background stays within this (median of a frame)
PARALLAX = 1.5  # px, what a turning camera leaves unexplained at most
FEW = 12  # good sightings that a frame's own pose needs
CHUNK_SECONDS, MOST_PER_CHUNK, MOST_KEYFRAMES = 10.0, 60, 180


@dataclass(frozen=True)
class CameraSolution:
    """The path, the lens whose distortion has been taken out of everything, and the points that tied the frames."""

    path: CameraPath
    lens: Lens
    ids: Int  # [P] track of each point, ascending
    points: Float  # [P,3] in the path's world; far ones at a distance of 1e4; none for a static or turning camera


def focal_prior(clip: Clip, settings: Settings) -> FocalPrior:
    """What is known of the lens before looking at the clip."""
    if settings.focal_px is not None:
        return FocalPrior(settings.focal_px, 0.0, USUAL_DISTORTION)
    return FocalPrior(USUAL_FOCAL * max(clip.width, clip.height), USUAL_SPREAD, USUAL_DISTORTION)


def choose_keyframes(tracks: Tracks, clip: Clip) -> Int:
    """Keyframes [K] out of the frames with fresh points: first and last always, at most 60 in ten seconds."""
    frames = tracks.frames
    seconds = float(clip.times[-1] - clip.times[0]) if len(clip) > 1 else 0.0
    most = min(MOST_KEYFRAMES, int(MOST_PER_CHUNK * max(1.0, seconds / CHUNK_SECONDS)))
    if len(frames) <= most:
        return frames
    return frames[np.unique(np.linspace(0, len(frames) - 1, most).round().astype(int))]


def is_static(tracks: Tracks, clip: Clip) -> bool:
    """True when the background stays where it is: the median point within a pixel of its own mean, in every frame."""
    frame = tracks.of_frames()
    seen = np.bincount(tracks.ids, minlength=tracks.count)
    mean = np.stack([np.bincount(tracks.ids, tracks.px[:, i], tracks.count) for i in (0, 1)], -1) / seen.clip(1)[:, None]
    lasting = seen[tracks.ids] >= max(3, min(len(clip), clip.fps) / 2)
    off = np.linalg.norm(tracks.px - mean[tracks.ids], axis=-1)[lasting]
    frame = frame[lasting]
    medians = [np.median(off[frame == t]) for t in range(len(clip)) if (frame == t).sum() >= FEW]
    if len(medians) < 0.8 * len(clip):
        return False
    return bool(np.percentile(medians, 95) < STILL * max(clip.width, clip.height) / REFERENCE)


def solve_camera(clip: Clip, tracks: Tracks, settings: Settings, progress: Progress) -> CameraSolution:
    """Decide the kind of camera and solve for it; see the kinds' own functions for how."""
    keyframes = choose_keyframes(tracks, clip)
    prior = focal_prior(clip, settings)
    if settings.static_camera == "on" or (settings.static_camera == "auto" and is_static(tracks, clip)):
        return _still(clip, keyframes, prior)
    unit = max(clip.width, clip.height) / REFERENCE
    pairs = pixel_pairs(tracks, keyframes, clip, settings.seed)
    if len(pairs.first) == 0:
        return replace_registered(_still(clip, keyframes, prior), len(clip))
    turning = solve_turning(pairs, len(keyframes), prior, NOISE * unit)
    progress.update(0.2)
    leftover = _unexplained(pairs, turning, len(keyframes)) / unit
    if leftover > PARALLAX:
        moving = solve_moving(clip, tracks, keyframes, turning, prior, NOISE * unit, settings.seed, progress)
        if moving is not None:
            return _moving(clip, tracks, keyframes, moving, NOISE * unit)
    return _turning(clip, tracks, keyframes, turning, NOISE * unit)


def steady_camera(clip: Clip, tracks: Tracks, settings: Settings) -> CameraPath | None:
    """Path of a camera that does not travel, by the same decision as `solve_camera`; None for one that does."""
    keyframes, prior = choose_keyframes(tracks, clip), focal_prior(clip, settings)
    if settings.static_camera == "on" or (settings.static_camera == "auto" and is_static(tracks, clip)):
        return _still(clip, keyframes, prior).path
    unit = max(clip.width, clip.height) / REFERENCE
    pairs = pixel_pairs(tracks, keyframes, clip, settings.seed)
    if len(pairs.first) == 0:
        return None
    turning = solve_turning(pairs, len(keyframes), prior, NOISE * unit)
    if _unexplained(pairs, turning, len(keyframes)) / unit > PARALLAX:
        return None
    return _turning(clip, tracks, keyframes, turning, NOISE * unit).path


def pixel_pairs(tracks: Tracks, keyframes: Int, clip: Clip, seed: int, most: int = 150) -> PixelPairs:
    """Correspondences between keyframes 1, 3, 9, 27, ... apart, in px from the image centre."""
    rng = np.random.default_rng(seed)
    centre = np.array([clip.width, clip.height]) / 2
    rows: list[tuple[int, int, Float, Float]] = []
    gap = 1
    while gap < len(keyframes):
        for k in range(len(keyframes) - gap):
            _, a, b = tracks.common(int(keyframes[k]), int(keyframes[k + gap]))
            if len(a) >= FEW:
                pick = np.sort(rng.permutation(len(a))[:most])
                rows.append((k, k + gap, a[pick] - centre, b[pick] - centre))
        gap *= 3
    if not rows:
        return PixelPairs(*(np.zeros(0, np.int64),) * 2, *(np.zeros((0, 2)),) * 2)
    counts = [len(row[2]) for row in rows]
    first, second = (np.repeat([row[i] for row in rows], counts) for i in (0, 1))
    return PixelPairs(first, second, np.concatenate([r[2] for r in rows]), np.concatenate([r[3] for r in rows]))


def _unexplained(pairs: PixelPairs, turning: Turning, nodes: int) -> float:
    """What a turning camera cannot explain, px: the upper quartile within a pair, in the worst tenth of the pairs."""
    edge = pairs.first * nodes + pairs.second
    order = np.argsort(edge, kind="stable")
    groups = np.split(turning.residual[order], np.nonzero(np.diff(edge[order]))[0] + 1)
    return float(np.percentile([np.percentile(group, 75) for group in groups], 90))


def _still(clip: Clip, keyframes: Int, prior: FocalPrior) -> CameraSolution:
    """A camera that does not move at all; its focal cannot be seen."""
    path = CameraPath(
        kind="static",
        world_from_cam=np.tile(np.eye(4), (len(clip), 1, 1)),
        focal=prior.focal,
        focal_sigma=prior.sigma,
        keyframes=keyframes,
        registered=np.ones(len(clip), np.bool_),
    )
    return CameraSolution(path, Lens(prior.focal), np.zeros(0, np.int64), np.zeros((0, 3)))


def replace_registered(solution: CameraSolution, frames: int) -> CameraSolution:
    """The same solution with every frame marked as not registered: nothing tied the frames together."""
    return replace(solution, path=replace(solution.path, registered=np.zeros(frames, np.bool_)))


def _turning(clip: Clip, tracks: Tracks, keyframes: Int, turning: Turning, noise: float) -> CameraSolution:
    """Every frame of a camera that only turns, against the directions seen from its keyframes."""
    lens = Lens(turning.focal)
    sightings, ids = sightings_of(tracks, keyframes, clip, most_frames=2)
    rays = np.concatenate([sightings.xy / lens.focal, np.ones((len(sightings.xy), 1))], -1)
    rays = np.einsum("oij,oj->oi", turning.world_from_cam[sightings.camera], rays)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    mean = np.stack([np.bincount(sightings.point, rays[:, i], len(ids)) for i in range(3)], -1)
    mean /= np.linalg.norm(mean, axis=-1, keepdims=True).clip(1e-9)
    key_rig = Rig(turning.world_from_cam, np.zeros((len(keyframes), 3)), lens, mean, np.zeros(len(ids)))
    path = every_frame(clip, tracks, keyframes, key_rig, ids, noise, "rotating", turning.focal_sigma)
    return CameraSolution(path, lens, np.zeros(0, np.int64), np.zeros((0, 3)))


def _moving(clip: Clip, tracks: Tracks, keyframes: Int, moving: Moving, noise: float) -> CameraSolution:
    """Every frame of a camera that travels, against the points of the map."""
    path = every_frame(
        clip, tracks, keyframes[moving.keyframes], moving.rig, moving.ids, noise, "moving", moving.focal_sigma
    )
    path = replace(path, keyframes=keyframes)
    return CameraSolution(path, moving.rig.lens, moving.ids, moving.rig.points())


def every_frame(
    clip: Clip, tracks: Tracks, keyframes: Int, key_rig: Rig, ids: Int, noise: float, kind: CameraKind, sigma: float
) -> CameraPath:
    """Poses of all frames from the known points: start between keyframes, then each frame for itself.

    Frames that see too few of the points keep the interpolated pose and are marked as not registered.
    """
    at_keys = rigid(key_rig.rotations, key_rig.centres)
    start = interpolate_rigid(at_keys, clip.times[keyframes], clip.times)
    point_of = np.full(tracks.count, -1)
    point_of[ids] = np.arange(len(ids))
    point = point_of[tracks.ids]
    known = point >= 0
    centre = np.array([clip.width, clip.height]) / 2
    sightings = Sightings(tracks.of_frames()[known], point[known], tracks.px[known] - centre)
    rig = replace(key_rig, rotations=start[:, :3, :3], centres=start[:, :3, 3])
    rig, error = locate(rig, sightings, noise)
    good = np.bincount(sightings.camera[error < 4 * noise], minlength=len(clip)) >= FEW
    good |= np.isin(np.arange(len(clip)), keyframes) & (np.bincount(sightings.camera, minlength=len(clip)) >= FEW)
    own = rigid(rig.rotations, rig.centres)
    own[keyframes] = at_keys
    world_from_cam = own
    if not good.all() and good.any():
        held = interpolate_rigid(own[good], clip.times[good], clip.times)
        world_from_cam = np.where(good[:, None, None], own, held)
    return CameraPath(kind, world_from_cam, key_rig.lens.focal, sigma, keyframes, good, key_rig.lens.distortion)
