"""Rigid motions, projection, interpolation, and small helpers on arrays. Transforms are 4x4; rotations go through roma.

Functions on transforms and points take numpy arrays or torch tensors alike (only @, slicing and transposition).
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import roma
import torch

from josh_core.shapes import check_shapes
from josh_core.types import Bool, Float, Int

Array = TypeVar("Array", np.ndarray, torch.Tensor)
# Camera axes of OpenGL, glTF and USD (x right, y up, z backward) in those of OpenCV (x right, y down, z forward).
OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def transform(b_from_a: Array, p_a: Array) -> Array:
    """Points in frame b from points in frame a.

    b_from_a: [...,4,4]; p_a: [...,N,3] -> [...,N,3].
    """
    check_shapes("transform", b_from_a=(b_from_a, "... 4 4"), p_a=(p_a, "... N 3"))
    return p_a @ b_from_a[..., :3, :3].swapaxes(-1, -2) + b_from_a[..., None, :3, 3]


def invert(b_from_a: Array) -> Array:
    """Inverse of rigid motions [...,4,4]: a_from_b."""
    check_shapes("invert", b_from_a=(b_from_a, "... 4 4"))
    out = b_from_a * 0 + b_from_a  # a copy in either library, with gradient
    rot_t = b_from_a[..., :3, :3].swapaxes(-1, -2)
    out[..., :3, :3] = rot_t
    out[..., :3, 3] = -(rot_t @ b_from_a[..., :3, 3, None])[..., 0]
    return out


def rigid(rotation: Float, translation: Float) -> Float:
    """Rigid motions [...,4,4] from rotations [...,3,3] and translations [...,3]."""
    check_shapes("rigid", rotation=(rotation, "... 3 3"), translation=(translation, "... 3"))
    shape = np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    out = np.zeros((*shape, 4, 4), np.result_type(rotation, translation))
    out[..., :3, :3] = rotation
    out[..., :3, 3] = translation
    out[..., 3, 3] = 1
    return out


def intrinsics(focal: float, width: int, height: int) -> Float:
    """Pinhole matrix [3,3] in px with the principal point at the image centre (W/2, H/2)."""
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float64)


def project(k: Array, p_cam: Array) -> Array:
    """Pixels [...,2] of camera points [...,3] with pinhole k [3,3]; z is held at 1e-6 or more."""
    check_shapes("project", k=(k, "... 3 3"), p_cam=(p_cam, "... 3"))
    z = p_cam[..., 2:].clip(1e-6)
    uv = p_cam[..., :2] / z
    focal = k[..., [0, 1], [0, 1]]
    centre = k[..., [0, 1], [2, 2]]
    return uv * focal + centre


def unproject(k: Array, px: Array, depth: Array) -> Array:
    """Camera points [...,3] of pixels [...,2] at z = depth [...]."""
    check_shapes("unproject", k=(k, "... 3 3"), px=(px, "... 2"))
    focal = k[..., [0, 1], [0, 1]]
    centre = k[..., [0, 1], [2, 2]]
    ones = px[..., :1] * 0 + 1
    z = depth[..., None] * ones
    return _concatenate((px - centre) / focal * z, z)


def _concatenate(a: Array, b: Array) -> Array:
    if isinstance(a, torch.Tensor):
        return torch.cat([a, torch.as_tensor(b)], -1)
    return np.concatenate([a, b], -1)


def pixel_grid(width: int, height: int) -> Float:
    """Pixel centres [height,width,2] of an image: integers + 0.5, (x, y)."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y], -1)


def cross_matrix(v: Float) -> Float:
    """[M,3,3] matrices with cross_matrix(v) @ u = v x u."""
    check_shapes("cross_matrix", v=(v, "M 3"))
    out = np.zeros((len(v), 3, 3))
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    return out - out.swapaxes(-1, -2)


def rotmat_to_rotvec(rotation: Float) -> Float:
    """Axis-angle [...,3] of rotation matrices [...,3,3]."""
    check_shapes("rotmat_to_rotvec", rotation=(rotation, "... 3 3"))
    return roma.rotmat_to_rotvec(torch.from_numpy(np.ascontiguousarray(rotation, np.float64))).numpy()


def rotvec_to_rotmat(rotvec: Float) -> Float:
    """Rotation matrices [...,3,3] of axis-angle [...,3]."""
    check_shapes("rotvec_to_rotmat", rotvec=(rotvec, "... 3"))
    return roma.rotvec_to_rotmat(torch.from_numpy(np.ascontiguousarray(rotvec, np.float64))).numpy()


def rotation_angle(rotation: Float) -> Float:
    """Angle in radians [...] of rotation matrices [...,3,3]; exact near zero."""
    check_shapes("rotation_angle", rotation=(rotation, "... 3 3"))
    return np.linalg.norm(rotmat_to_rotvec(rotation), axis=-1)


def interpolate_rotations(rotation: Float, times: Float, at: Float) -> Float:
    """Spherical interpolation of rotations [N,...,3,3] at times [N] to times at [Q]; held beyond the ends."""
    check_shapes("interpolate_rotations", rotation=(rotation, "N ... 3 3"), times=(times, "N"), at=(at, "Q"))
    lo, w = _bracket(times, at)
    q = roma.rotmat_to_unitquat(torch.from_numpy(np.ascontiguousarray(rotation, np.float64)))
    hi = np.minimum(lo + 1, len(times) - 1)
    steps = torch.from_numpy(w).reshape(-1, *[1] * (rotation.ndim - 3))
    q0, q1 = q[lo], q[hi]
    delta = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(q0), q1))
    mixed = roma.quat_product(q0, roma.rotvec_to_unitquat(delta * steps[..., None]))
    return roma.unitquat_to_rotmat(mixed).numpy()


def interpolate_linear(values: Float, times: Float, at: Float) -> Float:
    """Linear interpolation of values [N,...] at times [N] to times at [Q]; held beyond the ends."""
    check_shapes("interpolate_linear", values=(values, "N ..."), times=(times, "N"), at=(at, "Q"))
    lo, w = _bracket(times, at)
    hi = np.minimum(lo + 1, len(times) - 1)
    w = w.reshape(-1, *[1] * (values.ndim - 1))
    return values[lo] * (1 - w) + values[hi] * w


def interpolate_rigid(world_from_cam: Float, times: Float, at: Float) -> Float:
    """Rigid motions [N,4,4] at times [N] interpolated to times at [Q]: rotation and translation apart."""
    check_shapes("interpolate_rigid", world_from_cam=(world_from_cam, "N 4 4"), times=(times, "N"), at=(at, "Q"))
    return rigid(
        interpolate_rotations(world_from_cam[:, :3, :3], times, at),
        interpolate_linear(world_from_cam[:, :3, 3], times, at),
    )


def _bracket(times: Float, at: Float) -> tuple[Any, Any]:
    """Left neighbour index and weight in [0, 1] of each query time."""
    lo = np.clip(np.searchsorted(times, at, side="right") - 1, 0, max(len(times) - 2, 0))
    if len(times) == 1:
        return np.zeros(len(at), np.int64), np.zeros(len(at))
    return lo, np.clip((at - times[lo]) / (times[lo + 1] - times[lo]), 0, 1)


def umeyama(source: Float, target: Float, with_scale: bool = True) -> tuple[float, Float, Float]:
    """Least-squares similarity (s, R [3,3], t [3]) with target ~ s R source + t (Umeyama 1991, eq. 40-43).

    source, target: [N,3]. With `with_scale` False, s is 1. roma.rigid_points_registration agrees to rounding, but
    answers NaN where all source points coincide; here s is 0 then.
    """
    check_shapes("umeyama", source=(source, "N 3"), target=(target, "N 3"))
    mean_s, mean_t = source.mean(0), target.mean(0)
    a, b = source - mean_s, target - mean_t
    u, d, vt = np.linalg.svd(b.T @ a)
    sign = np.ones(3)
    sign[2] = np.sign(np.linalg.det(u @ vt)) or 1.0
    rotation = (u * sign) @ vt
    scale = float((d * sign).sum() / max((a**2).sum(), 1e-12)) if with_scale else 1.0
    return scale, rotation, mean_t - scale * rotation @ mean_s


def rotation_between(a: Float, b: Float) -> Float:
    """The smallest rotation [3,3] that takes direction a [3] to direction b [3]."""
    check_shapes("rotation_between", a=(a, "3"), b=(b, "3"))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis, cosine = np.cross(a, b), float(a @ b)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        if cosine > 0:
            return np.eye(3)
        other = np.eye(3)[int(np.argmin(np.abs(a)))]
        axis, sine = np.cross(a, other), 1.0
        return rotvec_to_rotmat(axis / np.linalg.norm(axis) * np.pi)
    return rotvec_to_rotmat(axis / sine * np.arctan2(sine, cosine))


def row_keys(rows: Int) -> Int:
    """One number [N] for each row of integers [N,D], equal exactly where the rows are: sorting one number is quick."""
    check_shapes("row_keys", rows=(rows, "N D"))
    key, size = np.zeros(len(rows), np.int64), 1
    if len(rows) == 0:
        return key
    for column in (rows - rows.min(0)).T:
        width = int(column.max()) + 1
        if size * width >= 2**63:
            found, key = np.unique(key, return_inverse=True)
            size = len(found)
        key, size = key * width + column, size * width
    return key


def best_of_each(keys: Int, worth: Float) -> Int:
    """Rows, ascending, of the largest worth [N] among those of equal keys [N]; of equal worth the first row."""
    check_shapes("best_of_each", keys=(keys, "N"), worth=(worth, "N"))
    if len(keys) == 0:
        return np.zeros(0, np.int64)
    order = np.argsort(keys)  # not stable: numpy sorts much faster so, and ties are settled below
    ordered, worth = keys[order], worth[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    most = np.repeat(np.maximum.reduceat(worth, first), np.diff(np.append(first, len(keys))))
    return np.sort(np.minimum.reduceat(np.where(worth == most, order, len(keys)), first))


def true_runs(flag: Bool) -> list[tuple[int, int]]:
    """First index, and the index after the last, of each unbroken run of True in flag [n]."""
    check_shapes("true_runs", flag=(flag, "n"))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flag, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def inside(px: Float, width: int, height: int) -> Bool:
    """Which pixels [...,2] lie in a picture of this size."""
    check_shapes("inside", px=(px, "... 2"))
    return np.asarray(((px >= 0) & (px < [width, height])).all(-1))


def axes_along(along: Float, towards: Float) -> Float:
    """Right-handed axes [...,3,3] (columns): `along` [...,3], then the part of `towards` [...,3] across it."""
    check_shapes("axes_along", along=(along, "... 3"), towards=(towards, "... 3"))
    a = along / np.linalg.norm(along, axis=-1, keepdims=True)
    b = towards - a * (a * towards).sum(-1, keepdims=True)
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    return np.stack([a, b, np.cross(a, b)], -1)


def smooth_step(share: Float) -> Float:
    """From 0 to 1 with a slope of 0 at both ends, 3 s^2 - 2 s^3; shares outside [0, 1] are held."""
    s = np.clip(share, 0, 1)
    return s * s * (3 - 2 * s)
