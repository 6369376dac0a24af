"""The scene as Gaussian splats (.ply), one flat disc a point, in the layout that splat viewers and trainers read.

The points are surfels: the normal comes from each point's neighbours, the radius from their distance. Nothing is
trained, so this is an initialisation for 3D Gaussian Splatting or a preview of the scene, not a rendering of the clip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from josh_core.export.scene3d.points import thin
from josh_core.shapes import check_shapes
from josh_core.types import Float, PointCloud, Reconstruction

# Chosen by hand, except where a measurement or a source is given.
_MAX_SPLATS = 200_000  # splats: 68 bytes each, about 13 MB
_NEIGHBOURS = 12  # for the normal: a stable plane, and mostly on one surface; chosen by hand, as all below
_FLATNESS = 0.1  # thickness of a disc over its radius
_COVER = 0.75  # radius (one standard deviation) over the distance to the nearest neighbours: discs close the surface
_LARGEST_SPLAT = 0.25  # m, so that an isolated point does not become a wall
_SH_DC = 0.28209479177387814  # the constant spherical harmonic, 1 / (2 sqrt(pi))
_FAINTEST, _DENSEST = 0.4, 0.99  # opacity at confidence 0 and 1
_NAMES = (
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
    "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip


def save_splats(result: Reconstruction, path: Path) -> None:
    """Write the scene's points as splats in `path` (.ply): world frame (+Y up), metres.

    scale_* are logarithms, opacity a log odds, f_dc_* the constant colour term (sRGB), rot_* a quaternion w first that
    takes the disc's own axis z to the normal, which points to where the point was seen from.
    """
    cloud = thin(result.scene, _MAX_SPLATS)
    table = _splats(cloud, np.asarray(result.world_from_cam, np.float64)[:, :3, 3])
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment right-handed world, +Y up, metres, floor at y = 0",
        f"element vertex {len(table)}",
        *(f"property float {name}" for name in _NAMES),
        "end_header",
    ]
    Path(path).write_bytes("\n".join(header).encode("ascii") + b"\n" + table.astype("<f4").tobytes())


def _splats(cloud: PointCloud, eyes: Float) -> Float:
    """[P,17] rows in the order of _NAMES. eyes: [T,3] m, where the camera was."""
    points = np.asarray(cloud.points, np.float64)
    normals, radius = surfels(points, eyes)
    scales = np.log(np.stack([radius, radius, _FLATNESS * radius], 1))
    opacity = np.clip(_FAINTEST + (_DENSEST - _FAINTEST) * cloud.confidence, _FAINTEST, _DENSEST)
    dc = (cloud.colors / 255 - 0.5) / _SH_DC
    logit = np.log(opacity / (1 - opacity))[:, None]
    return np.concatenate([points, normals, dc, logit, scales, _from_z(normals)], 1)


def surfels(points: Float, eyes: Float) -> tuple[Float, Float]:
    """Unit normals [P,3], towards the nearest of eyes [T,3], and radii [P] m of points [P,3]."""
    check_shapes("surfels", points=(points, "P 3"), eyes=(eyes, "T 3"))
    if len(points) < 4:  # no plane goes through them
        return np.tile([0.0, 1.0, 0.0], (len(points), 1)), np.full(len(points), 0.02)
    tree = cKDTree(points)
    count = min(_NEIGHBOURS + 1, len(points))
    distance, near = tree.query(points, count, workers=-1)
    spread = points[near] - points[near].mean(1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("pki,pkj->pij", spread, spread))
    normals = axes[..., 0]  # the direction of least variance
    seen_from = eyes[cKDTree(eyes).query(points)[1]] - points
    normals = np.where((normals * seen_from).sum(1, keepdims=True) < 0, -normals, normals)
    return normals, np.clip(_COVER * distance[:, 1:4].mean(1), 1e-3, _LARGEST_SPLAT)


def _from_z(normals: Float) -> Float:
    """Quaternions [P,4], w first, of the smallest rotations that take +z to unit normals [P,3]."""
    w = 1 + normals[:, 2]
    quats = np.stack([w, -normals[:, 1], normals[:, 0], np.zeros_like(w)], 1)
    quats[w < 1e-9] = [0.0, 1.0, 0.0, 0.0]  # for -z: half a turn about x
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)
