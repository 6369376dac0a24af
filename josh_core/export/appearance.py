"""A person's own look: colours of the body's vertices, taken from the clip through the solved cameras and masks.

A frame gives a vertex its colour where the vertex is the nearest surface (depth buffer of everybody's bodies), faces
the camera, moves too little to be blurred, and lies well inside the person's mask. The weighted median over frames
ignores what covers the body in a few of them; vertices that no frame shows are filled in (looks/fill.py).
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS
from josh_core.export.looks.fill import fill
from josh_core.export.looks.outfit import mean_of_neighbours
from josh_core.export.pictures.preview import camera_view, meshes_at
from josh_core.export.pictures.raster import Canvas
from josh_core.export.rig import vertex_normals
from josh_core.progress import Progress
from josh_core.shapes import check_shapes
from josh_core.threads import in_threads
from josh_core.types import Bool, Clip, Float, People, PersonMotion, Reconstruction, UInt8

# All chosen by hand or by eye; no measurement is recorded.
SAMPLED_FRAMES = 32  # frames from which colours are taken
# px, longest side of the pictures: a vertex then covers a few pixels of a person as tall as the frame
SAMPLED_SIDE = 720
MAX_BEHIND = 0.02  # m that a vertex may lie behind the nearest surface, for the slant of triangles
MIN_FACING = 0.3  # cosine between normal and line of sight from which on a vertex counts
MASK_MARGIN = 0.012  # of the person's height in the picture: how far inside the mask a vertex has to lie
BLUR_PX = 4.0  # px that a vertex may move from frame to frame until it counts half
# Sum of weights (1: seen at rest from straight ahead in one frame) from which on a colour is used
MIN_TOTAL_WEIGHT = 0.5
# Share of the largest sum of weights within NEARBY edges from which on a colour is used: at the mask's rim only what
# covers the body, and is taken for a part of it, is well inside the mask. A ball on a juggler's knees has up to 0.11.
MIN_NEARBY_SHARE = 0.15
NEARBY = 2  # edges of the mesh

SOLVED_JOINTS = np.array([not name.endswith("_hand") for name in JOINTS])  # [24] rotation is estimated


def with_appearance(
    result: Reconstruction, body: BodyModel, clip: Clip, people: People, progress: Progress | None = None
) -> Reconstruction:
    """The result with everybody's colours, from the frames of `clip` (and the masks) that it was solved on."""
    skin = body.skin_weights.double().numpy()
    faces, order = np.asarray(body.faces), [person.id for person in result.people]
    seen: list[list[tuple[Float, Float]]] = [[] for _ in order]
    present = np.unique(np.concatenate([[0], *(person.frames for person in result.people)]))
    chosen = present[np.unique(np.linspace(0, len(present) - 1, min(SAMPLED_FRAMES, len(present))).round().astype(int))]

    def sample(frame: int) -> list[tuple[int, Float, Float]]:
        """Row, colours [V,3] and weights [V] of everybody in a frame."""
        picture = clip.frame(frame, SAMPLED_SIDE)
        meshes = meshes_at(result, body, frame)
        canvas = Canvas(camera_view(result, frame, (picture.shape[1], picture.shape[0])), picture)
        normals = [vertex_normals(vertices, faces) for _, vertices in meshes]
        for (_, vertices), normal in zip(meshes, normals, strict=True):
            canvas.mesh(vertices, faces, np.zeros(3, np.uint8), normal)
        found = []
        for (person, vertices), normal in zip(meshes, normals, strict=True):
            track = next(k for k, track in enumerate(people.tracks) if track.id == person.id)
            mask = people.mask(frame, picture.shape[1], picture.shape[0], track)
            still = 1 / (1 + (_motion(result, person, frame, canvas.view.width) / BLUR_PX) ** 2)  # [24]
            weight = _weights(canvas, vertices, normal, mask)
            weight *= skin @ (still * SOLVED_JOINTS)
            found.append((order.index(person.id), _sampled(picture, canvas.view.project(vertices)[0]), weight))
        return found

    for done, found in enumerate(in_threads(sample, map(int, chosen))):
        if progress is not None:
            progress.update(done / len(chosen))
        for row, colors, weight in found:
            seen[row].append((colors, weight))
    return replace(
        result,
        people=tuple(_colored(person, found, body) for person, found in zip(result.people, seen, strict=True)),
    )


def _colored(person: PersonMotion, frames: list[tuple[Float, Float]], body: BodyModel) -> PersonMotion:
    """The person with the weighted median of the colours of `frames`: (colours [V,3], weights [V]) of each."""
    if not frames:
        return person
    colors, weights = (np.stack(x) for x in zip(*frames, strict=True))
    known = _known(body, weights.sum(0))
    if not known.any():
        return person
    whole = fill(body, weighted_median(colors, weights), known)
    return replace(person, colors=np.asarray(np.round(whole), np.uint8), colors_seen=_share(body, known))


def _known(body: BodyModel, total: Float) -> Bool:
    """Which vertices [V] were seen well enough, by their sums of weights [V]."""
    beside = mean_of_neighbours(body)
    best = total
    for _ in range(NEARBY):
        best = np.maximum(best, np.maximum.reduceat(best[beside.indices], beside.indptr[:-1]))
    return np.asarray((total > MIN_TOTAL_WEIGHT) & (total > MIN_NEARBY_SHARE * best), np.bool_)


def weighted_median(values: Float, weights: Float) -> Float:
    """Along the first axis, of values [n,V,C] with weights [n,V]; where all weights are 0 the largest value."""
    check_shapes("weighted_median", values=(values, "n V C"), weights=(weights, "n V"))
    order = np.argsort(values, 0, kind="stable")
    sorted_weights = np.take_along_axis(np.broadcast_to(weights[..., None], values.shape), order, 0)
    total = np.cumsum(sorted_weights, 0)
    middle = (total < 0.5 * total[-1:]).sum(0)
    return np.take_along_axis(np.take_along_axis(values, order, 0), middle[None], 0)[0]


def _weights(canvas: Canvas, vertices: Float, normals: Float, mask: np.ndarray) -> Float:
    """How well each vertex [V] is seen in a picture whose bodies are drawn on `canvas`: 0 hidden, 1 seen frontally."""
    view = canvas.view
    px, z = view.project(vertices)
    sight = vertices - np.asarray(view.world_from_cam, np.float64)[:3, 3]
    facing = -(normals * sight).sum(1) / np.maximum(np.linalg.norm(sight, axis=1), 1e-9)
    x, y = np.floor(px).astype(np.int64).T
    inside = (z > view.near) & (x >= 0) & (y >= 0) & (x < view.width) & (y < view.height)
    x, y = np.where(inside, x, 0), np.where(inside, y, 0)
    margin = max(1.5, MASK_MARGIN * float(np.ptp(px[:, 1])))
    deep = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    seen = inside & (z <= canvas.depth[y, x] + MAX_BEHIND) & (deep[y, x] > margin)
    return np.where(seen & (facing > MIN_FACING), facing**2, 0.0)


def _sampled(picture: UInt8, px: Float) -> Float:
    """Colours [V,3] of a picture [h,w,3] at pixels [V,2], of which the first has its centre at 0.5."""
    at = np.clip(px - 0.5, -2, [picture.shape[1] + 2, picture.shape[0] + 2]).astype(np.float32)
    # A vertex stands for the surface around it; remap wants images of fewer than 32768 rows, which V is.
    return cv2.remap(picture, at[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0].astype(float)


def _motion(result: Reconstruction, person: PersonMotion, frame: int, width: int) -> Float:
    """Pixels [24] a joint moves from a frame to the next in a picture `width` px wide, with the camera's motion."""
    row = int(np.flatnonzero(person.frames == frame)[0])
    rows = [r for r in (row - 1, row, row + 1) if 0 <= r < len(person.frames)]
    if len(rows) < 2:
        return np.zeros(person.joints.shape[1])
    scale = width / result.width
    size = (width, round(result.height * scale))
    px = [camera_view(result, int(person.frames[r]), size).project(person.joints[r])[0] for r in rows]
    gaps = np.diff(person.frames[rows])
    ways = [np.linalg.norm(b - a, axis=1) for a, b in itertools.pairwise(px)]
    return np.asarray((np.stack(ways) / gaps[:, None]).max(0))


def _share(body: BodyModel, known: np.ndarray) -> float:
    """Share of the surface whose corners are known."""
    faces = np.asarray(body.faces)
    corners = body.smpl.v_template.double().numpy()[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return float((area * known[faces].mean(1)).sum() / area.sum())
