"""Dense depth of keyframes of a travelling camera: optical flow to frames around, triangulated with the known poses.

flow_depth.py gives each keyframe's own depth; here the neighbours are chosen, and keyframes judge each other's depth.
"""

from __future__ import annotations

import numpy as np

from josh_core.geometry import invert, transform
from josh_core.progress import Progress
from josh_core.scene.depth.flow_depth import GrayFrames, blank_above, triangulate_flow
from josh_core.scene.depth.map_grid import MapGrid, empty_depths
from josh_core.threads import in_threads
from josh_core.types import Bool, CameraPath, Clip, DepthMaps, Float, People

# Chosen by hand, except where a measurement or a source is given.
BASELINES_PX = (4.0, 10.0, 25.0)  # px of the map: the parallax that a neighbour on each side should show
MAX_PARALLAX, MAX_TURN = 45.0, 0.35  # px of parallax and rad: with more, two frames overlap too little
APART_SECONDS = 0.5  # s, neighbours closer together than this see the same people before the same background
SKY_DEPTH = 40.0  # times the scene's median depth: what is farther counts as sky
MAX_DISAGREEMENT = 0.04  # relative difference at which two keyframes agree


def estimate_depths(clip: Clip, people: People, cameras: CameraPath, points: Float, progress: Progress) -> DepthMaps:
    """Depth and confidence of every keyframe from its neighbours in time.

    points: [P,3] sparse points of the scene, which say how deep it is. People and sky stay at depth 0.
    """
    grid = MapGrid.of(clip, cameras.focal)
    out = empty_depths(cameras, clip)
    if len(points) == 0:
        return out
    frames = GrayFrames(clip, people, grid)

    def look(frame: int) -> tuple[Float, Float] | None:
        cam_from_world = invert(cameras.world_from_cam[frame])
        z = transform(cam_from_world, points)[:, 2]
        middle = float(np.median(z[z > 0])) if (z > 0).any() else 1.0
        neighbours = choose_neighbours(clip, cameras, frame, grid.focal / middle)
        if len(neighbours) == 0 or not cameras.registered[frame]:
            return None
        inverse, confidence = triangulate_flow(frames, cameras, frame, neighbours, grid)
        good = (
            frames.free(frame)
            & ~blank_above(frames.gray(frame))
            & (inverse > 1 / (SKY_DEPTH * middle))
            & (confidence > 0.02)
        )
        return np.divide(1, inverse, out=np.zeros_like(inverse), where=good), np.where(good, confidence, 0)

    for k, found in enumerate(in_threads(look, map(int, cameras.keyframes))):
        progress.update(k / len(cameras.keyframes))
        if found is not None:
            out.depth[k], out.confidence[k] = found
    return _confirm(out, cameras, grid)


def choose_neighbours(clip: Clip, cameras: CameraPath, frame: int, px_per_unit: float) -> list[int]:
    """Frames before and after whose parallax is nearest to each of BASELINES_PX, by increasing parallax.

    Frames near in time are preferred, and frames far apart from those chosen already.

    px_per_unit: px of the map by which a point at the median depth moves when the camera moves by one unit across.
    """
    world_from_cam = cameras.world_from_cam
    moved = np.linalg.norm(world_from_cam[:, :3, 3] - world_from_cam[frame, :3, 3], axis=-1)
    cosine = (world_from_cam[:, :3, 2] * world_from_cam[frame, :3, 2]).sum(-1)
    parallax = moved * px_per_unit
    usable = cameras.registered & (parallax > 0.1) & (parallax < MAX_PARALLAX) & (cosine > np.cos(MAX_TURN))
    apart = np.abs(clip.times - clip.times[frame])
    chosen: list[int] = []
    for side in (np.arange(len(clip)) < frame, np.arange(len(clip)) > frame):
        for wanted in BASELINES_PX:
            left = np.setdiff1d(np.nonzero(usable & side)[0], chosen)
            if len(left):
                unfit = np.abs(np.log(parallax[left] / wanted)) + 0.1 * apart[left]
                for other in chosen:
                    unfit += np.exp(-(((clip.times[left] - clip.times[other]) / APART_SECONDS) ** 2)) * 0.5
                chosen.append(int(left[unfit.argmin()]))
    return sorted(chosen, key=lambda t: parallax[t])


def _confirm(maps: DepthMaps, cameras: CameraPath, grid: MapGrid) -> DepthMaps:
    """Confidence raised where other keyframes see the same surface, lowered where they see through it."""
    count = len(cameras.keyframes)

    def judged(k: int) -> Float:
        yes, no = np.zeros(maps.depth[k].shape), np.zeros(maps.depth[k].shape)
        for other in (j for j in (k - 3, k - 1, k + 1, k + 3) if 0 <= j < count):
            same, through = compare(maps, cameras, grid, k, other)
            yes += same
            no += through
        vote = np.where(yes > no, 1.0, np.where(yes + no > 0, 0.3, 0.5))  # 0.5: nobody else looks there
        return (maps.confidence[k] * vote).astype(np.float32) ** np.where(yes > 1, 0.7, 1.0)

    confidence = np.array(list(in_threads(judged, range(count))), np.float32).reshape(maps.confidence.shape)
    return DepthMaps(maps.depth, confidence, maps.backdrop)


def compare(maps: DepthMaps, cameras: CameraPath, grid: MapGrid, k: int, other: int) -> tuple[Bool, Bool]:
    """Where [h,w] keyframe `other` sees the surface of keyframe k, and where it sees something behind it instead."""
    depth = maps.depth[k]
    known = depth > 0
    world_from_cam = cameras.world_from_cam[cameras.keyframes]
    other_from_cam = invert(world_from_cam[other]) @ world_from_cam[k]
    p = transform(other_from_cam, (grid.rays[known] * depth[known][:, None]))
    px = np.floor(grid.pixels(p)).astype(int)
    inside = (p[:, 2] > 0) & (px[:, 0] >= 0) & (px[:, 0] < grid.width) & (px[:, 1] >= 0) & (px[:, 1] < grid.height)
    seen = np.zeros(len(p))
    at = (px[inside, 1], px[inside, 0])
    seen[inside] = np.where(maps.confidence[other][at] > 0.1, maps.depth[other][at], 0)
    same, through = np.zeros(depth.shape, np.bool_), np.zeros(depth.shape, np.bool_)
    ratio = seen / np.maximum(p[:, 2], 1e-9)
    same[known] = (seen > 0) & (np.abs(ratio - 1) < MAX_DISAGREEMENT)
    through[known] = ratio > 1 + 2 * MAX_DISAGREEMENT
    return same, through
