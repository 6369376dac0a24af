"""The floor: a plane under the people's feet, fitted to depth maps, and the image laid on it where depth is missing."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from josh_core.body.names import FOOT_LANDMARKS
from josh_core.lsq.robust import Cauchy, Geman, reweighted
from josh_core.scene.depth.map_grid import MapGrid, frame_pixels, keyframe_points
from josh_core.scene.matching.tracks import background
from josh_core.shapes import check_shapes
from josh_core.types import Bool, CameraPath, Clip, DepthMaps, Float, Floor, People, Scene

# Chosen by hand, except where a measurement or a source is given.
MIN_LEVEL_COSINE = 0.8  # smallest cosine between the floor's normal and the camera's mean up (37 degrees)
FLOOR_THICKNESS = 0.015  # of the distance to the camera: how far floor points lie off their plane
RANSAC_SAMPLES = 6000  # points that RANSAC counts inliers among
# Planes: finds one with a fifth of the points on it with a probability of 0.99 (ln 0.01 / ln(1 - 0.2^3))
RANSAC_TRIALS = 600
PLANE_ROUNDS = 15  # of iterative reweighting after RANSAC
MAX_FLOOR_DISTANCE = 14.0  # camera heights to which a fitted floor is believed
BEHIND_PEOPLE = 1.5  # distance of the backdrop over that of whoever stands furthest from the camera
MIN_BACKDROP = 5.0  # camera heights: nearest backdrop
NEAR_FLOOR_DISTANCE = 4.0  # camera heights within which a stretch without anything trusted around it is taken for floor
PLANE_CONFIDENCE = 0.3  # confidence of a depth that is only the plane
# Of the plane behind a person: shown (above point_cloud.MIN_CONFIDENCE), and marked as filled.
HIDDEN_CONFIDENCE = 0.13


def fit_floor(scene: Scene, people: People, clip: Clip) -> Floor | None:
    """The plane that the people walk on, in the CameraPath's world, or None where the depth maps show none.

    Points beside the feet count most, then those in the lower half of the image. The normal points up.
    """
    points, weights, distance = _candidates(scene, people, clip)
    if len(points) < 50:
        return None
    up = -scene.cameras.world_from_cam[:, :3, 1].mean(0)
    centres = scene.cameras.world_from_cam[:, :3, 3]
    return fit_plane(points, weights, FLOOR_THICKNESS * distance, up / np.linalg.norm(up), centres)


def _candidates(scene: Scene, people: People, clip: Clip) -> tuple[Float, Float, Float]:
    """Points [n,3] that may be floor, their weights [n] and distances [n] from their camera."""
    grid = MapGrid.of(clip, scene.cameras.focal)
    rng = np.random.default_rng(0)
    points, weights, distances = [], [], []
    for k, frame in enumerate(scene.cameras.keyframes):
        near_feet = _beside_feet(people, int(frame), clip, grid)
        lower = np.arange(grid.height)[:, None] > 0.5 * grid.height
        usable = (scene.depths.confidence[k] > 0.15) & ~scene.depths.backdrop[k] & (lower | (near_feet > 0))
        points.append(keyframe_points(scene.depths, scene.cameras, grid, k, usable))
        weights.append((scene.depths.confidence[k] * (0.1 + near_feet))[usable])
        distances.append(scene.depths.depth[k][usable])
    p, w, z = np.concatenate(points), np.concatenate(weights), np.concatenate(distances)
    if len(p) > RANSAC_SAMPLES:
        # Half drawn by weight, so that the few points beside the feet are all there.
        pick = np.unique(
            np.concatenate(
                [np.argsort(-w, kind="stable")[: RANSAC_SAMPLES // 2], rng.permutation(len(p))[: RANSAC_SAMPLES // 2]]
            )
        )
        p, w, z = p[pick], w[pick], z[pick]
    return p, w, z


def _beside_feet(people: People, frame: int, clip: Clip, grid: MapGrid) -> Float:
    """[h,w] closeness to somebody's foot: 1 at it, falling off with a fifth of the person's height in the image."""
    out = np.zeros((grid.height, grid.width))
    y, x = np.mgrid[: grid.height, : grid.width]
    for track in people.tracks:
        for row in np.nonzero(track.frames == frame)[0]:
            tall = max(4.0, float(np.ptp(track.boxes[row, 1::2])) * grid.height / clip.height)
            for foot in frame_pixels(track.landmarks_px[row, FOOT_LANDMARKS, :], clip, grid):
                across, down = (x - foot[0]) / (0.3 * tall), (y - foot[1]) / (0.1 * tall)
                out = np.maximum(out, np.exp(-0.5 * (across**2 + down**2)))
    return out


def fit_plane(points: Float, weights: Float, thickness: Float, up: Float, cameras: Float) -> Floor | None:
    """Robust plane through points [n,3] with weights [n] and tolerances [n] (RANSAC, then reweighted least squares).

    up: [3] unit; the normal is within MIN_LEVEL_COSINE of it; cameras: [m,3] centres, most of which are over the plane.
    None when no plane holds a tenth of the weight.
    """
    check_shapes("fit_plane", points=(points, "n 3"), weights=(weights, "n"), thickness=(thickness, "n"), up=(up, "3"))
    check_shapes("fit_plane", cameras=(cameras, "m 3"))
    rng = np.random.default_rng(0)
    picks = rng.choice(len(points), (RANSAC_TRIALS, 3), p=weights / weights.sum())
    a, b, c = points[picks].swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=-1)
    usable = length > 1e-9
    normal, a = normal[usable] / length[usable, None], a[usable]
    normal *= np.where(normal @ up < 0, -1.0, 1.0)[:, None]
    under_cameras = np.median(normal @ cameras.T - (a * normal).sum(-1, keepdims=True), axis=-1) > 0
    usable = (normal @ up > MIN_LEVEL_COSINE) & under_cameras
    if not usable.any():
        return None
    normal, a = normal[usable], a[usable]
    off = np.abs(points @ normal.T - (a * normal).sum(-1)) / thickness[:, None]  # [n,trials]
    best = int((weights[:, None] * Cauchy(1.0).slope(off**2)).sum(0).argmax())

    def squares(plane: Float) -> Float:
        return ((points @ plane[:3] + plane[3]) / thickness) ** 2

    def through(_: Float, slope: Float) -> Float:
        w = weights * slope / thickness**2
        centre = (w[:, None] * points).sum(0) / w.sum()
        n = np.linalg.eigh((points - centre).T @ (w[:, None] * (points - centre)))[1][:, 0]
        n = n * (1.0 if n @ up > 0 else -1.0)
        return np.append(n, -n @ centre)

    start = np.append(normal[best], -a[best] @ normal[best])
    plane = reweighted(through, squares, Geman(1.0), start, PLANE_ROUNDS)
    share = float((weights * Cauchy(1.0).slope(squares(plane))).sum() / weights.sum())
    if share < 0.1 or plane[:3] @ up < MIN_LEVEL_COSINE or np.median(cameras @ plane[:3]) + plane[3] <= 0:
        return None
    return Floor(plane[:3], float(plane[3]), min(1.0, share))


def floor_depth(
    cameras: CameraPath, floor: Floor, frame: int, grid: MapGrid, reach: float = MAX_FLOOR_DISTANCE
) -> Float:
    """Depth [h,w] of the plane along every ray of a frame, 0 beyond `reach` camera heights."""
    world_from_cam = cameras.world_from_cam[frame]
    height = float(world_from_cam[:3, 3] @ floor.normal) + floor.offset
    down = -(grid.rays @ world_from_cam[:3, :3].T) @ floor.normal
    depth = height / np.maximum(down, 1e-6)
    return np.where((down > 1e-6) & (height > 0) & (depth < reach * height), depth, 0)


def fill_floor(depths: DepthMaps, cameras: CameraPath, clip: Clip, people: People, floor: Floor) -> DepthMaps:
    """Textureless parts of the floor filled with the plane, at low confidence, where the depths around are floor."""
    grid = MapGrid.of(clip, cameras.focal)
    depth, confidence = depths.depth.copy(), depths.confidence.copy()
    height = cameras.world_from_cam[cameras.keyframes, :3, 3] @ floor.normal + floor.offset
    for k, frame in enumerate(cameras.keyframes):
        plane = floor_depth(cameras, floor, int(frame), grid)
        blank = (confidence[k] < 0.2) & (plane > 0) & background(people, int(frame), grid.width, grid.height)
        blank &= _amid_floor(depth[k], confidence[k], plane, NEAR_FLOOR_DISTANCE * height[k])
        depth[k][blank] = plane[blank]
        confidence[k][blank] = np.maximum(confidence[k][blank], 0.6 * PLANE_CONFIDENCE)
    return replace(depths, depth=depth, confidence=confidence)


def _amid_floor(depth: Float, confidence: Float, plane: Float, nearby: float) -> Bool:
    """[h,w] True where the trusted depths around lie on the plane rather than off it."""
    trusted = confidence > 0.4
    on = trusted & (plane > 0) & (np.abs(depth / np.maximum(plane, 1e-9) - 1) < 0.06)
    size = (2 * (depth.shape[1] // 12) + 1,) * 2
    near_on = cv2.blur(on.astype(np.float32), size)
    near_off = cv2.blur((trusted & ~on).astype(np.float32), size)
    alone = (near_on + near_off == 0) & (plane > 0) & (plane < nearby)
    return np.asarray((near_on > 1.5 * near_off) | alone, np.bool_)


def lay_floor(cameras: CameraPath, clip: Clip, people: People, floor: Floor, furthest: float) -> DepthMaps:
    """Depth maps of a camera that does not travel: the floor, and behind it an upright backdrop.

    furthest: largest distance of anybody from the camera, along the floor, in units of the CameraPath's world. The
    backdrop stands BEHIND_PEOPLE times as far away, but at least MIN_BACKDROP camera heights (marked in
    DepthMaps.backdrop). Both are known behind the people too, at the confidence HIDDEN_CONFIDENCE.
    """
    grid = MapGrid.of(clip, cameras.focal)
    shape = (len(cameras.keyframes), grid.height, grid.width)
    depth, confidence, backdrop = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    height = float(cameras.world_from_cam[0, :3, 3] @ floor.normal) + floor.offset
    wall = max(BEHIND_PEOPLE * furthest, MIN_BACKDROP * height)
    for k, frame in enumerate(cameras.keyframes):
        plane = floor_depth(cameras, floor, int(frame), grid, np.inf)
        far = _wall_depth(cameras, floor, int(frame), wall, grid)
        on_floor = (plane > 0) & (plane <= far)
        free = background(people, int(frame), grid.width, grid.height)
        depth[k] = np.where(on_floor, plane, far)
        sure = np.where(free, np.where(on_floor, PLANE_CONFIDENCE, 0.5 * PLANE_CONFIDENCE), HIDDEN_CONFIDENCE)
        confidence[k] = np.where(depth[k] > 0, sure, 0)
        backdrop[k] = ~on_floor
    return DepthMaps(depth, confidence, backdrop)


def _wall_depth(cameras: CameraPath, floor: Floor, frame: int, distance: float, grid: MapGrid) -> Float:
    """Depth [h,w] of an upright cylinder of radius `distance` around the camera."""
    rays = grid.rays @ cameras.world_from_cam[frame, :3, :3].T
    across = rays - (rays @ floor.normal)[..., None] * floor.normal
    return distance / np.linalg.norm(across, axis=-1).clip(0.2)
