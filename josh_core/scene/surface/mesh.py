"""The scene as a textured surface: a sheet of triangles for each keyframe, each adding what earlier ones lack.

Sheets are cut where depth jumps and are textured with their keyframe, so detail is that of the clip and not that of
the triangles. Against points, and against one mesh through a grid of voxels, this keeps both what is near and what is
far, whose depth is known a hundred times worse.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from josh_core.scene.depth.sparse import without_points
from josh_core.scene.surface.atlas import SheetPart, textured
from josh_core.scene.surface.plates import Plates
from josh_core.scene.surface.sheets import MAX_DISAGREEMENT, SQUARE_3X3, Sheets, agreed, reduced
from josh_core.types import Bool, Clip, Float, Int, People, Scene, Surface

# Chosen by hand, except where a measurement or a source is given.
SURFACE_STEP = 0.05  # relative depth step between neighbours that is always taken for one surface
MAX_STEP_GROWTH = 2.0  # and beyond it, steps up to that many times those beside it: ground toward the horizon
MAX_TRIANGLES = 150_000  # triangles, about 4 MB of a GLB; sheets that see least are left out beyond them
_FULL_VALENCE = 6  # triangles around a vertex of a grid: with fewer, it is at a rim and covers nothing by itself
MIN_ISLAND = 150  # triangles: smaller islands of a sheet are dust
MIN_STRIP = 0.03  # share of a picture: pieces that a camera that turns adds are strips at its sides
MIN_PATCH = 40  # triangles: smaller pieces that a sheet adds to others are shreds rather than patches


def surface(clip: Clip, people: People, scene: Scene, plates: Plates | None = None) -> Surface | None:
    """The scene's surface in the CameraPath's world, or None without any depth.

    plates: of a camera that does not travel, the pictures without people, else they are made.
    """
    cameras = scene.cameras
    if scene.depths.sparse:
        scene = replace(scene, depths=without_points(scene.depths))
    if len(cameras.keyframes) == 0 or not (scene.depths.depth > 0).any():
        return None
    if cameras.kind == "moving":
        plates = None
    elif plates is None:
        plates = Plates(clip, people, cameras)
    sheets = reduced(clip, people, scene)
    if cameras.kind == "moving":
        sheets = agreed(sheets)
    parts = _parts(sheets, backdrop=cameras.kind != "moving")
    if not parts:
        return None
    return textured(clip, sheets, parts, plates)


def _parts(sheets: Sheets, backdrop: bool) -> list[SheetPart]:
    """Every sheet, what earlier ones show left out.

    backdrop: they are floor and backdrop seen from one place, so that each is whole and shows all that is in it.
    """
    smallest = round(MIN_STRIP * sheets.depth[0].size) if backdrop else MIN_PATCH
    accepted: list[int] = []
    shown = np.zeros(sheets.depth.shape, np.bool_)
    count = 0
    parts = []
    for k in _order(sheets):
        fresh = (sheets.depth[k] > 0) & ~_covered(sheets, k, accepted, shown)
        with_rim = cv2.dilate(fresh.astype(np.uint8), SQUARE_3X3) > 0  # sheets overlap a little, or cracks would show
        triangles = _triangles(sheets.depth[k])
        triangles = triangles[_in_islands(triangles, sheets.depth[k].size, MIN_ISLAND)]
        triangles = triangles[with_rim.ravel()[triangles].any(1)]
        triangles = triangles[_in_islands(triangles, sheets.depth[k].size, smallest)]
        if len(triangles) == 0 or count + len(triangles) > MAX_TRIANGLES:
            continue
        count += len(triangles)
        used, index = np.unique(triangles, return_inverse=True)
        valence = np.bincount(triangles.ravel(), minlength=shown[k].size).reshape(shown[k].shape)
        shown[k] = sheets.depth[k] > 0 if backdrop else valence == _FULL_VALENCE
        accepted.append(k)
        parts.append(SheetPart(k, used, index.reshape(-1, 3)))
    return parts


def _order(sheets: Sheets) -> Int:
    """Keyframes by how much they see, most first; of those that see as much, the one most unlike the earlier ones.

    A camera that turns sees as much in all: its first and last keyframes, say, leave little for those in between.
    """
    amount = (sheets.depth > 0).sum((1, 2))
    views = sheets.world_from_cam[:, :3, :3]
    apart = np.full(len(amount), np.inf)
    order: list[int] = []
    for _ in amount:
        left = [k for k in range(len(amount)) if k not in order]
        most = max(amount[left])
        best = max((k for k in left if amount[k] == most), key=lambda k: apart[k])
        order.append(best)
        apart = np.minimum(apart, np.linalg.norm(views - views[best], axis=(1, 2)))
    return np.array(order)


def _covered(sheets: Sheets, k: int, accepted: list[int], shown: Bool) -> Bool:
    """[h,w] True where an accepted sheet shows the surface of keyframe k already."""
    covered = np.zeros(sheets.depth[k].size, np.bool_)
    known = np.flatnonzero(sheets.depth[k].ravel() > 0)
    points = sheets.points(k).reshape(-1, 3)
    for j in accepted:
        left = known[~covered[known]]
        pixel, z = sheets.seen_from(j, points[left])
        there = sheets.depth[j].ravel()[pixel]
        same = (pixel >= 0) & shown[j].ravel()[pixel] & (np.abs(z - there) < 2 * MAX_DISAGREEMENT * there)
        covered[left[same]] = True
    return covered.reshape(sheets.depth[k].shape)


def _triangles(depth: Float) -> Int:
    """Triangles [f,3] of flat pixels of one sheet, none across a jump in depth."""
    height, width = depth.shape
    at = np.arange(height * width).reshape(height, width)
    right, down = _joined(depth), _joined(depth.T).T
    a, b, c, d = at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]
    top, bottom, left, far = right[:-1], right[1:], down[:, :-1], down[:, 1:]
    # Wound so that the front faces the camera, whose y goes down.
    upper = np.stack([a, c, b], -1)[top & left & _diagonal(depth[1:, :-1], depth[:-1, 1:])]
    lower = np.stack([b, c, d], -1)[bottom & far & _diagonal(depth[1:, :-1], depth[:-1, 1:])]
    return np.concatenate([upper, lower])


def _joined(depth: Float) -> Bool:
    """[h,w-1] True where a pixel and its right neighbour are on one surface."""
    logs = np.log(np.maximum(depth, 1e-9))
    step = np.diff(logs, axis=1)
    size = np.abs(step)
    both = (depth[:, :-1] > 0) & (depth[:, 1:] > 0)
    beside = np.zeros_like(size)
    same_way = np.sign(step[:, 1:]) == np.sign(step[:, :-1])
    beside[:, 1:] = np.where(same_way & both[:, :-1], size[:, :-1], 0)
    beside[:, :-1] = np.maximum(beside[:, :-1], np.where(same_way & both[:, 1:], size[:, 1:], 0))
    return both & ((size < SURFACE_STEP) | (size < np.minimum(MAX_STEP_GROWTH * beside, 5 * SURFACE_STEP)))


def _diagonal(one: Float, other: Float) -> Bool:
    """Whether the ends of a diagonal are both known and near enough; its sides are judged by _joined."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    return (low > 0) & (high < np.exp(6 * SURFACE_STEP) * low)


def _in_islands(triangles: Int, pixels: int, smallest: int) -> Bool:
    """Which triangles [f] belong to islands of at least `smallest`."""
    if len(triangles) == 0:
        return np.zeros(0, np.bool_)
    edges = triangles[:, [0, 1, 1, 2]].reshape(-1, 2).T
    graph = sparse.coo_matrix((np.ones(edges.shape[1]), edges), (pixels, pixels))
    island = connected_components(graph, directed=False)[1][triangles[:, 0]]
    return np.bincount(island)[island] >= smallest
