"""MASt3R as the start of the scene: cameras, matches and depth in the types of the embedded tier.

Keyframes are paired within a window, matched by descriptors outside every person, and placed along the spanning tree
of the strongest pairs by resection. Each keyframe's depth map has a scale of its own; the tree brings them into one
unit, and a solver may free them again (DESIGN section 7). Every frame then gets its own pose from points that are
tracked through the clip and whose depth the keyframes know.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.geometry import interpolate_rigid, intrinsics, transform, unproject
from josh_core.hub.mast3r_graph import PLACING_CONFIDENCE, PlacedKeyframes, place_keyframes, verified
from josh_core.hub.mast3r_pairs import STRIDE, WINDOW, Canonical, Keyframes, PairMatches, read_keyframes
from josh_core.networks import cache
from josh_core.networks.focal import agree_on_focal
from josh_core.networks.frames import NetworkCrop, crop_of, network_frame
from josh_core.networks.mast3r import Mast3r
from josh_core.progress import Progress
from josh_core.scene.camera.lens import Lens
from josh_core.scene.camera.sfm import KeyMap
from josh_core.scene.camera.solve import every_frame, steady_camera
from josh_core.scene.camera.sparse_model import SparseModel
from josh_core.scene.depth.map_grid import MapGrid
from josh_core.scene.matching.follow import follow
from josh_core.scene.matching.tracks import Tracks, background
from josh_core.settings import Settings
from josh_core.types import CameraPath, Clip, DepthMaps, Float, Int, Matches, People, Scene

# Chosen by hand, except where a measurement or a source is given.
KEYFRAME_SECONDS = 1 / 6  # s between keyframes, but a longer clip has at most as many as follow:
MAX_KEYFRAMES = 60  # pairs are decoded for each of them, which takes most of the time
TRACK_NOISE = 1 / 1280  # of the longest side: error of a tracked point whose depth a keyframe tells
CACHE_VERSION = "1"  # of what is kept; a change makes old entries unfindable


def reconstruct_scene_mast3r(
    clip: Clip, people: People, network: Mast3r, settings: Settings, progress: Progress | None = None
) -> Scene:
    """Cameras of all frames, matches and depth of the keyframes, from MASt3R.

    The unit of a moving camera's world is the median of what MASt3R takes for a metre. What the network says of a clip
    is kept in the content cache, under the clip's images, the people's masks and the weights.
    """
    progress = progress or Progress()
    crop = crop_of(clip)
    keyframes = choose_keyframes(clip)
    given = Keyframes(
        frames=np.stack([network_frame(clip, int(f), crop) for f in keyframes]),
        free=np.stack([background(people, int(f), crop.width, crop.height) for f in keyframes]),
        crop=crop,
        size=(clip.width, clip.height),
    )
    matches, canonical = recall_keyframes(network, given, progress)
    tracks = follow(clip, people, progress)
    steady = steady_camera(clip, tracks, settings)
    return assemble_scene(clip, tracks, keyframes, (matches, canonical), settings, steady)


def choose_keyframes(clip: Clip) -> Int:
    """Evenly spread clip frames [K], six a second but at most MAX_KEYFRAMES, the first and the last included."""
    seconds = float(clip.times[-1] - clip.times[0])
    count = min(max(round(seconds / KEYFRAME_SECONDS) + 1, 2), MAX_KEYFRAMES, len(clip))
    return np.unique(np.round(np.linspace(0, len(clip) - 1, count)).astype(np.int64))


def recall_keyframes(network: Mast3r, given: Keyframes, progress: Progress) -> tuple[list[PairMatches], Canonical]:
    """The network's answers, from the content cache where they are known. Only weights with a source are cached."""
    if network.source is None:
        return read_keyframes(network, given, progress)
    settings = f"{CACHE_VERSION} {network.source.fingerprint} {WINDOW} {STRIDE} {given.size} {given.crop}"
    key = cache.content_key([settings, given.frames, given.free])
    return _from_arrays(cache.cached(key, lambda: _to_arrays(*read_keyframes(network, given, progress))))


def _to_arrays(matches: list[PairMatches], canonical: Canonical) -> cache.Arrays:
    return {
        "pairs": np.array([(m.first, m.second) for m in matches], np.int64).reshape(-1, 2),
        "counts": np.array([len(m.xy1) for m in matches], np.int64),
        "xy": np.concatenate([np.zeros((0, 4), np.int64), *(np.concatenate([m.xy1, m.xy2], 1) for m in matches)]),
        "match_confidence": np.concatenate([np.zeros(0), *(m.confidence for m in matches)]),
        "depth": canonical.depth,
        "confidence": canonical.confidence,
        "focal": canonical.focal,
    }


def _from_arrays(arrays: cache.Arrays) -> tuple[list[PairMatches], Canonical]:
    at = np.cumsum(arrays["counts"])[:-1]
    rows = zip(
        arrays["pairs"].tolist(), np.split(arrays["xy"], at), np.split(arrays["match_confidence"], at), strict=False
    )
    matches = [PairMatches(i, j, xy[:, :2], xy[:, 2:], confidence) for (i, j), xy, confidence in rows]
    return matches, Canonical(arrays["depth"], arrays["confidence"], arrays["focal"])


def assemble_scene(
    clip: Clip,
    tracks: Tracks,
    keyframes: Int,
    answers: tuple[list[PairMatches], Canonical],
    settings: Settings,
    steady: CameraPath | None,
) -> Scene:
    """Scene from the network's answers.

    tracks: background points through all frames; keyframes: [K] clip frames; steady: the path of a camera that does
    not travel, which is then kept, or None.
    """
    found, canonical = answers
    focal, sigma = agree_on_focal(canonical.focal, clip.width, clip.height, settings.focal_px)
    if steady is not None and steady.kind == "rotating":
        focal, sigma = steady.focal, steady.focal_sigma  # turning tells a focal better than pointmaps do
    height, width = canonical.depth.shape[1:]
    to_network = np.array([width / clip.width, height / clip.height, 1.0])
    k_network = to_network[:, None] * intrinsics(focal, clip.width, clip.height)
    kept = [verified(m, settings.seed) for m in found]
    placed = place_keyframes(kept, canonical, k_network, settings.seed)
    depths = _depth_maps(clip, canonical, placed, focal)
    if steady is None:
        cameras = _moving(clip, tracks, keyframes, placed, depths, (focal, sigma))
    else:
        cameras = replace(steady, focal=focal, focal_sigma=sigma, keyframes=keyframes)
    return Scene(cameras, in_frame_pixels(kept, to_network), depths)


def _depth_maps(clip: Clip, canonical: Canonical, placed: PlacedKeyframes, focal: float) -> DepthMaps:
    """The keyframes' depth in the world's unit, on the grid that the stages after this one use."""
    height, width = canonical.depth.shape[1:]
    grid, crop = MapGrid.of(clip, focal), NetworkCrop(width, height)
    depth = crop.on_whole_frame(canonical.depth, grid.width, grid.height)
    confidence = crop.on_whole_frame(canonical.confidence, grid.width, grid.height)
    depth *= placed.scale[:, None, None].astype(np.float32)
    return DepthMaps(depth, confidence, np.zeros(depth.shape, np.bool_))


def in_frame_pixels(matches: list[PairMatches], to_network: Float) -> Matches:
    """Matches in px of the clip's frames; to_network: [3] px of the network's image in a px of the frame."""
    kept = [m for m in matches if len(m.xy1)]
    px = [np.stack([m.xy1, m.xy2], 1) + 0.5 for m in kept]
    return Matches(
        pairs=np.array([(m.first, m.second) for m in kept], np.int64).reshape(-1, 2),
        offsets=np.cumsum([0, *(len(m.xy1) for m in kept)]),
        px=np.concatenate([np.zeros((0, 2, 2)), *px]) / to_network[:2],
        confidence=np.concatenate([np.zeros(0), *(m.confidence for m in kept)]),
    )


def _moving(
    clip: Clip, tracks: Tracks, keyframes: Int, placed: PlacedKeyframes, depths: DepthMaps, focal: tuple[float, float]
) -> CameraPath:
    """Poses of all frames, each from the tracked points that keyframes give a depth; without any, in between."""
    ids, points = _known_points(clip, tracks, keyframes, placed, depths, focal[0])
    if len(ids):
        distance = np.linalg.norm(points, axis=-1).clip(1e-6)
        rotations, centres = placed.world_from_cam[:, :3, :3], placed.world_from_cam[:, :3, 3]
        model = SparseModel(rotations, centres, Lens(focal[0]), points / distance[:, None], 1 / distance)
        noise = TRACK_NOISE * max(clip.width, clip.height)
        path = every_frame(tracks, clip.times, KeyMap(keyframes, model, ids, focal[1]), "moving", noise)
    else:
        between = interpolate_rigid(placed.world_from_cam, clip.times[keyframes], clip.times)
        path = CameraPath("moving", between, *focal, keyframes, np.zeros(len(clip), np.bool_))
    registered = path.registered.copy()
    registered[keyframes] = placed.known
    return replace(path, registered=registered)


def _known_points(
    clip: Clip, tracks: Tracks, keyframes: Int, placed: PlacedKeyframes, depths: DepthMaps, focal: float
) -> tuple[Int, Float]:
    """Tracks [P] that a keyframe sees at a trusted depth, and their world points [P,3], the mean over keyframes."""
    height, width = depths.depth.shape[1:]
    k = intrinsics(focal, clip.width, clip.height)
    total, weight = np.zeros((tracks.count, 3)), np.zeros(tracks.count)
    for row, frame in enumerate(keyframes.tolist()):
        if not placed.known[row]:
            continue
        ids, px = tracks.frame(frame)
        x = np.clip(px[:, 0] * width / clip.width, 0, width - 1).astype(int)
        y = np.clip(px[:, 1] * height / clip.height, 0, height - 1).astype(int)
        depth, trust = depths.depth[row, y, x], depths.confidence[row, y, x]
        usable = (depth > 0) & (trust > PLACING_CONFIDENCE)
        p_world = transform(placed.world_from_cam[row], unproject(k, px[usable], depth[usable]))
        total[ids[usable]] += trust[usable, None] * p_world
        weight[ids[usable]] += trust[usable]
    known = np.flatnonzero(weight > 0)
    return known, total[known] / weight[known, None]
