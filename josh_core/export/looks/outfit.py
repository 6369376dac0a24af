"""The plain look of a body: clothed in shades of its person's colour, with smoothed normals, without marks of sex.

Regions come from the skinning weights and the rest pose, so this works for any body in SMPL's layout. No vertex moves:
clothing is in colours and normals only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import sparse

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS
from josh_core.export.colors import person_color, rgb
from josh_core.export.rig import Rig, rig_of, vertex_normals
from josh_core.types import Float, Int, UInt8

TOP, TROUSERS, SHOES, SKIN, HAIR = range(5)  # regions of the body
# Shades of the person's colour: its share, and the grey level it is mixed with. This and all below chosen by eye.
_SHADES = ((1.0, 0), (0.5, 44), (0.14, 34), (0.36, 226), (0.22, 38))
_SLEEVE = 0.62  # of the way from shoulder to elbow that a short sleeve covers
_HAIRLINE = (0.80, -0.62)  # (up, ahead) of the plane over which hair grows, through the middle of the head
_HAIRLINE_UP = 0.35  # of the head's half height that this plane lies over the middle
_BELT = 0.06  # m, as long as the triangles there
_PARTS = ("neck", "head", "ankle", "foot")
_SMOOTHINGS = 24  # averagings of normals among neighbours: about 10 cm


@lru_cache(maxsize=4)
def regions(body: BodyModel) -> Int:
    """Which region of the outfit each vertex [V] belongs to."""
    rig = rig_of(body, np.zeros(10))
    weights = body.skin_weights.double().numpy()
    share = {name: weights[:, [j for j, joint in enumerate(JOINTS) if joint.endswith(name)]].sum(1) for name in _PARTS}
    x = rig.vertices[:, 0]
    shoulder, elbow = (rig.joints[JOINTS.index(name)] for name in ("left_shoulder", "left_elbow"))
    out = np.where(_over_waist(rig) < 0.5, TROUSERS, TOP)
    out[np.abs(x) > shoulder[0] + _SLEEVE * (elbow[0] - shoulder[0])] = SKIN
    out[(share["neck"] + share["head"] > 0.5)] = SKIN
    out[share["ankle"] + share["foot"] > 0.5] = SHOES
    out[_under_hair(rig, share["head"])] = HAIR
    return out


def _over_waist(rig: Rig) -> Float:
    """0 below the belt, 1 above it, for each vertex [V], with a soft transition that hides the triangles."""
    return np.clip((rig.vertices[:, 1] - rig.joints[JOINTS.index("spine1"), 1]) / _BELT + 0.5, 0, 1)


def _under_hair(rig: Rig, on_head: Float) -> Int:
    """Vertices [n] of the scalp."""
    head = np.flatnonzero(on_head > 0.5)
    low, high = rig.vertices[head].min(0), rig.vertices[head].max(0)
    middle, half = (low + high) / 2, (high - low) / 2
    over = (rig.vertices[head, 1:] - middle[1:]) / half[1:]
    return head[over @ _HAIRLINE > _HAIRLINE_UP]


def plain_colors(body: BodyModel, person: int) -> UInt8:
    """sRGB colours [V,3] of the person with this track id in the plain look."""
    own = rgb(person_color(person)).astype(np.float64)
    shades = np.array([share * own + (1 - share) * grey for share, grey in _SHADES])
    colors, worn = shades[regions(body)], np.isin(regions(body), (TOP, TROUSERS))
    over = _over_waist(rig_of(body, np.zeros(10)))[worn, None]
    colors[worn] = over * shades[TOP] + (1 - over) * shades[TROUSERS]
    return np.asarray(np.round(colors), np.uint8)


def cloth_normals(body: BodyModel, vertices: Float) -> Float:
    """Unit normals [V,3] of a posed mesh [V,3], smooth where the outfit lies: over trunk, limbs and shoes."""
    normals = vertex_normals(vertices, np.asarray(body.faces))
    smooth, cloth = normals, np.isin(regions(body), (TOP, TROUSERS, SHOES))
    mean = mean_of_neighbours(body)
    for _ in range(_SMOOTHINGS):
        smooth = np.where(cloth[:, None], mean @ smooth, normals)
    return smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-9)


@lru_cache(maxsize=4)
def mean_of_neighbours(body: BodyModel) -> sparse.csr_matrix:
    """Matrix [V,V] whose product is the mean of each vertex and its neighbours along the mesh's edges."""
    faces = np.asarray(body.faces)
    count = len(body.skin_weights)
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    rows, columns = np.concatenate([a, b, np.arange(count)]), np.concatenate([b, a, np.arange(count)])
    beside = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (count, count))
    beside.data[:] = 1.0  # an edge between two faces was counted twice
    return sparse.csr_matrix(sparse.diags(1 / np.asarray(beside.sum(1)).ravel()) @ beside)
