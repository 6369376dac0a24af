"""Which kind of camera filmed the clip (static, rotating, moving), and its pose in every frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from josh_core.geometry import interpolate_rigid, rigid
from josh_core.progress import Progress
from josh_core.scene.camera.breathing import breathing
from josh_core.scene.camera.bundle_adjustment import locate
from josh_core.scene.camera.lens import (
    RECORDED_SPREAD,
    USUAL_DISTORTION,
    USUAL_FOCAL,
    USUAL_SPREAD,
    FocalPrior,
    Lens,
    is_undetermined,
    undistort,
)
from josh_core.scene.camera.pinhole import is_shifted, pixel_aspect
from josh_core.scene.camera.rotation_only import PixelPairs, RotationSolution, solve_rotation_only
from josh_core.scene.camera.sfm import LITTLE_PARALLAX, KeyMap, solve_moving
from josh_core.scene.camera.sparse_model import SparseModel
from josh_core.scene.camera.turning_lens import BentTurn, bent_turn
from josh_core.scene.camera.zoom import zoom_of
from josh_core.scene.matching.tracks import Sightings, Tracks, sightings_of
from josh_core.settings import Settings
from josh_core.shapes import check_shapes
from josh_core.types import CameraKind, CameraPath, Clip, Float, Int

STATIC_PX = 0.7  # px, largest displacement of a static camera's background (median of a frame)
MAX_ROTATION_RESIDUAL = 1.5  # px, largest residual of a rotating camera
# px, the same behind a lens that bends, which its model follows to a pixel or two; and over that of a straight lens. Of
# a pan through a strong barrel and a strong pincushion 0.2 and 0.3 were left, of travelling cameras 0.9.
MAX_BENT_RESIDUAL, MAX_BENT_SHARE = 3.0, 0.4
MIN_SIGHTINGS = 12  # good sightings that a frame's own pose needs
MIN_MAPPED = 8  # keyframes that are needed to map every second one only
# At most 60 keyframes for each 10 s of the clip and 180 in all; chosen by hand for memory and time.
CHUNK_SECONDS, MAX_PER_CHUNK, MAX_KEYFRAMES = 10.0, 60, 180


@dataclass(frozen=True)
class CameraSolution:
    """The path, the lens whose distortion has been taken out of everything, and the points that tied the frames."""

    path: CameraPath
    lens: Lens
    ids: Int  # [P] track of each point, ascending
    points: Float  # [P,3] in the path's world, far ones at a distance of 1e4; none unless the camera travels


def solve_camera(
    tracks: Tracks, times: Float, settings: Settings, progress: Progress, recorded: float | None = None
) -> CameraSolution:
    """Decide the kind of camera and solve for it.

    times: [T] s; recorded: px, the focal that the file tells. Where a camera seems to travel but no map comes out, the
    turning camera that explains it best is returned with no frame marked as registered.
    """
    keyframes = choose_keyframes(tracks, times)
    prior = focal_prior(tracks, settings, recorded)
    if settings.static_camera == "on" or (settings.static_camera == "auto" and is_static(tracks, times)):
        return _still(times, keyframes, prior)
    pairs = pixel_pairs(tracks, keyframes, settings.seed)
    if len(pairs.first) == 0:
        return _unregistered(_still(times, keyframes, prior))
    turning = solve_rotation_only(pairs, len(keyframes), prior, tracks.noise)
    progress.update(0.1)
    leftover = _unexplained(pairs, turning, len(keyframes)) / tracks.unit
    zoom = zoom_of(pairs, len(keyframes), tracks.unit) if leftover > MAX_ROTATION_RESIDUAL else None
    if zoom is not None:
        still = _still(times, keyframes, prior)
        return replace(still, path=replace(still.path, zoom=zoom))
    bent = _bent(pairs, turning, keyframes, prior, tracks) if leftover > MAX_ROTATION_RESIDUAL else None
    if bent is not None:
        path = every_frame(tracks, times, _turning_map(tracks, keyframes, bent.turning, bent.lens), "rotating")
        return CameraSolution(path, bent.lens, np.zeros(0, np.int64), np.zeros((0, 3)))
    if leftover > MAX_ROTATION_RESIDUAL:
        key_map = _travelling(tracks, keyframes, turning, prior, settings, progress)
        if key_map is not None and is_undetermined(key_map.model.lens):
            usual = FocalPrior(prior.focal, 0.0)  # where the clip does not tell, the lens stays at what is usual
            held = _travelling(tracks, keyframes, turning, usual, settings, progress)
            key_map = key_map if held is None else replace(held, focal_sigma=prior.sigma)
        if key_map is not None:
            path = replace(
                every_frame(tracks, times, key_map, "moving"),
                keyframes=keyframes,
                aspect=pixel_aspect(tracks, key_map, prior),
                shifted=is_shifted(tracks, times, key_map.model.lens.focal),
                breathing=breathing(tracks, key_map),
                explained=key_map.explained,
            )
            return CameraSolution(path, key_map.model.lens, key_map.ids, key_map.model.points())
    path = every_frame(tracks, times, _turning_map(tracks, keyframes, turning, Lens(turning.focal)), "rotating")
    path = replace(path, shifted=is_shifted(tracks, times, turning.focal))
    solution = CameraSolution(path, Lens(turning.focal), np.zeros(0, np.int64), np.zeros((0, 3)))
    return _unregistered(solution) if leftover > LITTLE_PARALLAX * tracks.noise / tracks.unit else solution


def _bent(
    pairs: PixelPairs, straight: RotationSolution, keyframes: Int, prior: FocalPrior, tracks: Tracks
) -> BentTurn | None:
    """A turning camera behind a lens that bends, where that explains what a straight lens does not."""
    if prior.distortion_sigma == 0:
        return None
    found = bent_turn(pairs, len(keyframes), straight, prior, tracks.noise, max(tracks.size))
    if found is None:
        return None
    before, after = (_unexplained(pairs, turn, len(keyframes)) / tracks.unit for turn in (straight, found.turning))
    return found if after < min(MAX_BENT_RESIDUAL, MAX_BENT_SHARE * before) else None


def _travelling(
    tracks: Tracks, keyframes: Int, turning: RotationSolution, prior: FocalPrior, settings: Settings, progress: Progress
) -> KeyMap | None:
    """Map of all keyframes; in mode `fast` of every second one, where these come together in one map.

    every_frame finds the others. It takes 40 % less time; on six rendered clips the focal came out within 1.2 % of that
    of all keyframes and the path within 1 mm of 3 m.
    """
    few = np.unique(np.append(np.arange(0, len(keyframes), 2), len(keyframes) - 1))
    if settings.mode == "fast" and len(few) >= MIN_MAPPED:
        sparser = replace(turning, world_from_cam=turning.world_from_cam[few])
        found = solve_moving(tracks, keyframes[few], sparser, prior, settings.seed, progress)
        if found is not None and len(found.frames) == len(few):
            return found
    return solve_moving(tracks, keyframes, turning, prior, settings.seed, progress)


def steady_camera(clip: Clip, tracks: Tracks, settings: Settings) -> CameraPath | None:
    """Path of a camera that does not travel, by the same decision as `solve_camera`; None for one that does."""
    keyframes, prior = choose_keyframes(tracks, clip.times), focal_prior(tracks, settings, clip.focal_px)
    if settings.static_camera == "on" or (settings.static_camera == "auto" and is_static(tracks, clip.times)):
        return _still(clip.times, keyframes, prior).path
    pairs = pixel_pairs(tracks, keyframes, settings.seed)
    if len(pairs.first) == 0:
        return None
    turning = solve_rotation_only(pairs, len(keyframes), prior, tracks.noise)
    if _unexplained(pairs, turning, len(keyframes)) / tracks.unit > MAX_ROTATION_RESIDUAL:
        return None
    return every_frame(tracks, clip.times, _turning_map(tracks, keyframes, turning, Lens(turning.focal)), "rotating")


def focal_prior(tracks: Tracks, settings: Settings, recorded: float | None) -> FocalPrior:
    """What is known of the lens before looking at the clip: given, recorded in the file [px], or usual."""
    if settings.focal_px is not None:
        return FocalPrior(settings.focal_px, 0.0, USUAL_DISTORTION)
    if recorded is not None:
        return FocalPrior(recorded, RECORDED_SPREAD, USUAL_DISTORTION)
    return FocalPrior(USUAL_FOCAL * max(tracks.size), USUAL_SPREAD, USUAL_DISTORTION)


def choose_keyframes(tracks: Tracks, times: Float) -> Int:
    """Keyframes [K] out of the frames with fresh points: first and last always, at most 60 in ten seconds."""
    frames = tracks.frames
    most = min(MAX_KEYFRAMES, int(MAX_PER_CHUNK * max(1.0, float(times[-1] - times[0]) / CHUNK_SECONDS)))
    if len(frames) <= most:
        return frames
    return frames[np.unique(np.linspace(0, len(frames) - 1, most).round().astype(int))]


def is_static(tracks: Tracks, times: Float) -> bool:
    """True when the background stays where it is: the median point within a pixel of its own mean, in every frame."""
    frame = tracks.of_frames()
    seen = np.bincount(tracks.ids, minlength=tracks.count)
    total = np.stack([np.bincount(tracks.ids, tracks.px[:, i], tracks.count) for i in (0, 1)], -1)
    off = np.linalg.norm(tracks.px - (total / np.maximum(seen, 1)[:, None])[tracks.ids], axis=-1)
    half_second = 0.5 * (len(times) - 1) / max(float(times[-1] - times[0]), 1e-3)  # in frames
    lasting = seen[tracks.ids] >= max(3.0, min(float(len(times)), half_second))
    off, frame = off[lasting], frame[lasting]
    medians = [np.median(off[frame == t]) for t in range(len(times)) if (frame == t).sum() >= MIN_SIGHTINGS]
    if len(medians) < 0.8 * len(times):
        return False
    return bool(np.percentile(medians, 95) < STATIC_PX * tracks.unit)


def pixel_pairs(tracks: Tracks, keyframes: Int, seed: int, most: int = 150) -> PixelPairs:
    """Correspondences between keyframes 1, 3, 9, 27, ... apart, in px from the image centre."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, Float, Float]] = []
    gap = 1
    while gap < len(keyframes):
        for k in range(len(keyframes) - gap):
            _, a, b = tracks.common(int(keyframes[k]), int(keyframes[k + gap]))
            if len(a) >= MIN_SIGHTINGS:
                pick = np.sort(rng.permutation(len(a))[:most])
                rows.append((k, k + gap, a[pick] - tracks.centre, b[pick] - tracks.centre))
        gap *= 3
    counts = [len(row[2]) for row in rows]
    none = np.zeros((0, 2))
    return PixelPairs(
        first=np.repeat(np.array([row[0] for row in rows], np.int64), counts),
        second=np.repeat(np.array([row[1] for row in rows], np.int64), counts),
        xy_first=np.concatenate([none, *(row[2] for row in rows)]),
        xy_second=np.concatenate([none, *(row[3] for row in rows)]),
    )


def _unexplained(pairs: PixelPairs, turning: RotationSolution, nodes: int) -> float:
    """Residual of the rotating camera, px: upper quartile within a pair, 90th percentile over the pairs."""
    edge = pairs.first * nodes + pairs.second
    order = np.argsort(edge, kind="stable")
    groups = np.split(turning.residual[order], np.nonzero(np.diff(edge[order]))[0] + 1)
    return float(np.percentile([np.percentile(group, 75) for group in groups], 90))


def _still(times: Float, keyframes: Int, prior: FocalPrior) -> CameraSolution:
    """A camera that does not move at all; its focal cannot be seen."""
    path = CameraPath(
        kind="static",
        world_from_cam=np.tile(np.eye(4), (len(times), 1, 1)),
        focal=prior.focal,
        focal_sigma=prior.sigma,
        keyframes=keyframes,
        registered=np.ones(len(times), np.bool_),
    )
    return CameraSolution(path, Lens(prior.focal), np.zeros(0, np.int64), np.zeros((0, 3)))


def _unregistered(solution: CameraSolution) -> CameraSolution:
    """The same solution with every frame marked as not registered: it is only the least wrong guess."""
    return replace(solution, path=replace(solution.path, registered=np.zeros(len(solution.path.registered), np.bool_)))


def _turning_map(tracks: Tracks, keyframes: Int, turning: RotationSolution, lens: Lens) -> KeyMap:
    """Directions of the tracks that the keyframes of a turning camera see, as points at infinity."""
    sightings, ids = sightings_of(tracks, keyframes, 2)
    rays = np.concatenate([undistort(lens, sightings.xy) / lens.focal, np.ones((len(sightings.xy), 1))], -1)
    rays = np.einsum("oij,oj->oi", turning.world_from_cam[sightings.camera], rays)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    mean = np.stack([np.bincount(sightings.point, rays[:, i], len(ids)) for i in range(3)], -1)
    mean = mean / np.linalg.norm(mean, axis=-1, keepdims=True).clip(1e-9)
    model = SparseModel(turning.world_from_cam, np.zeros((len(keyframes), 3)), lens, mean, np.zeros(len(ids)))
    return KeyMap(keyframes, model, ids, turning.focal_sigma)


def every_frame(
    tracks: Tracks, times: Float, key_map: KeyMap, kind: CameraKind, noise: float | None = None
) -> CameraPath:
    """Poses of all frames from the known points: start between keyframes, then each frame for itself.

    times: [T] s; noise: px, standard deviation of a good sighting; None is that of tracks and well-known points.
    Frames that see too few of the points keep the interpolated pose and are marked as not registered.
    """
    check_shapes("every_frame", times=(times, "T"))
    keyframes, noise = key_map.frames, noise or tracks.noise
    at_keys = rigid(key_map.model.rotations, key_map.model.centres)
    start = interpolate_rigid(at_keys, times[keyframes], times)
    point_of = np.full(tracks.count, -1)
    point_of[key_map.ids] = np.arange(len(key_map.ids))
    point = point_of[tracks.ids]
    known = point >= 0
    sightings = Sightings(tracks.of_frames()[known], point[known], tracks.px[known] - tracks.centre)
    model, error = locate(replace(key_map.model, rotations=start[:, :3, :3], centres=start[:, :3, 3]), sightings, noise)
    good = np.bincount(sightings.camera[error < 4 * noise], minlength=len(times)) >= MIN_SIGHTINGS
    own = rigid(model.rotations, model.centres)
    own[keyframes] = at_keys  # these were solved together, which is better
    if good.any():
        held = interpolate_rigid(own[good], times[good], times)
        own = np.where(good[:, None, None], own, held)
    lens = key_map.model.lens
    return CameraPath(kind, own, lens.focal, key_map.focal_sigma, keyframes, good, lens.distortion)
