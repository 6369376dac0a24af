"""The recorded 21-keyframe problem with known truth: its inputs as a solver Problem."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.chained_cameras import chained
from benchmarks.published import Published
from josh_core.body.skinning import SkinningTable, skinned_points
from josh_core.joint.evaluated_state import evaluate_state
from josh_core.joint.local_plane import inverse_depth_plane
from josh_core.joint.matches import Pixels, pack_matches, thin_matches, whiten_matches
from josh_core.joint.prior import SharedSigmas, shared_prior, start_state
from josh_core.joint.solver import JointModel, minimise
from josh_core.joint.variables import (
    Cameras,
    GlobalsLayout,
    MatchTerm,
    Problem,
    SmoothTerm,
    StartTerm,
    State,
    StaticTerm,
    SurfaceTerm,
)
from josh_core.lsq.levenberg_marquardt import Solution
from josh_core.lsq.robust import Cauchy, Geman

DATA = Path(__file__).parent / "data"
Arrays = dict[str, np.ndarray]
# Factor on the sigma of acceleration: 3 for knees, ankles, feet, elbows, wrists and hands, which swing.
LIMBS = torch.ones(24, dtype=torch.float64)
LIMBS[[4, 5, 7, 8, 10, 11, 18, 19, 20, 21, 22, 23]] = 3.0
GRID = (36, 64)  # anchors per image, 8 px apart


def load() -> tuple[Arrays, Arrays]:
    """The problem's arrays and its body."""
    problem, body = (dict(np.load(DATA / f"{name}.npz", allow_pickle=False)) for name in ("problem_21", "body_13718"))
    return problem, body


def tensor(array: np.ndarray) -> Tensor:
    """Float64 or int64 tensor of an array."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(torch.float64 if array.dtype.kind == "f" else torch.int64)


def rest_body(body: Arrays) -> tuple[dict[str, Tensor], tuple[int, ...]]:
    """Dense arrays of the body and its parents."""
    n = len(body["v_template"])
    regressor, weights = np.zeros((24, n)), np.zeros((n, 24))
    np.add.at(regressor, (body["J_reg_joint"], body["J_reg_vertex"]), body["J_reg_weight"])
    np.add.at(weights, (body["weights_vertex"], body["weights_joint"]), body["weights_value"])
    arrays = {k: body[k].astype(np.float64) for k in ("v_template", "shapedirs")}
    rest = {k: tensor(v) for k, v in {**arrays, "regressor": regressor, "weights": weights}.items()}
    return rest, tuple(int(p) for p in body["kintree_table"][0])


def sole_vertices_below(rest: dict[str, Tensor], vertices: np.ndarray) -> np.ndarray:
    """The sole vertices below the given foot vertices in the rest pose, which touch the ground."""
    v = rest["v_template"].numpy()
    main = rest["weights"].numpy().argmax(1)
    side = np.isin(main, [7, 10]) * 1 + np.isin(main, [8, 11]) * 2  # SMPL: ankle and foot, left and right
    out = []
    for vertex in vertices:
        near = np.hypot(*(v[:, [0, 2]] - v[vertex, [0, 2]]).T) < 0.02
        candidates = np.flatnonzero(near & (side == side[vertex]))
        out.append(candidates[v[candidates, 1].argmin()])
    return np.array(out)


def correspondences(d: Arrays, sigma_depth: float, published_depth: bool = False) -> Pixels:
    """The recorded matches with their depths, good to a share `sigma_depth`.

    `published_depth`: the median depth of a keyframe grows with the focal, its relief does not.
    """
    centre = tensor(d["true_K"])[:2, 2]
    pairs = tensor(d["pairs"])[tensor(d["corr_pair"])]
    anchors = tensor(d["anchor_depth"]).flatten(1)
    median = anchors.sort(1).values[:, (anchors.shape[1] - 1) // 2]
    near, ratio = [], []
    for side, knot in enumerate(pairs.T):
        at, offset = tensor(d[f"corr_anchor{side + 1}"]), tensor(d[f"corr_offset{side + 1}"])
        fixed = median[knot] if published_depth else torch.zeros(len(knot), dtype=torch.float64)
        near.append((anchors[knot, at] - fixed) * offset)
        ratio.append(fixed * offset)
    confidence = tensor(d["corr_conf"])
    return Pixels(
        a=pairs[:, 0],
        b=pairs[:, 1],
        px_a=tensor(d["corr_xy1"]).double() - centre,
        px_b=tensor(d["corr_xy2"]).double() - centre,
        near=torch.stack(near, -1),
        ratio=torch.stack(ratio, -1),
        weight=confidence[:, None].expand(-1, 2),
        sigma_depth=torch.full((len(pairs), 2), sigma_depth, dtype=torch.float64),
    )


def start_focal(d: Arrays) -> float:
    """The focal that the recorded run starts from."""
    w = d["canon_conf_mean"] / d["canon_conf_mean"].sum()
    return float((w * d["init_focal"]).sum())


def contact_planes(d: Arrays) -> Tensor:
    """Scene planes [M,3] at the recorded contact pixels, from the anchors around and below them."""
    centre = d["true_K"][:2, 2]
    row, col = np.divmod(d["contact_scale_anchor"], GRID[1])
    dr, dc = (x.ravel() for x in np.meshgrid(np.arange(-1, 4), np.arange(-5, 6), indexing="ij"))
    rows, cols = (row[:, None] + dr).clip(0, GRID[0] - 1), (col[:, None] + dc).clip(0, GRID[1] - 1)
    depth = d["anchor_depth"][d["contact_scale_image"][:, None], rows, cols]
    px = np.stack([cols, rows], -1) * 8 + 4 - centre
    weight = torch.ones(depth.shape, dtype=torch.float64)
    return inverse_depth_plane(tensor(px.astype(np.float64)), tensor(1 / depth.astype(np.float64)), weight)[0]


@dataclass(frozen=True)
class ObjectiveSigmas:
    """Standard deviations of our objective on this problem; chosen by hand."""

    px: float = 1.0
    depth: float = 0.01  # share: the scene's relief
    thin: int = 200  # correspondences of a pair that are used
    matches_per_pair: float = 150.0  # how many independent observations a pair is worth at most
    pose_deg: float = 3.0
    root_depth: float = 0.05  # share
    root_across: float = 0.02  # m
    surface: float = 0.02  # m
    static: float = 0.01  # m
    acceleration: float = 0.15  # m per keyframe squared, of the trunk; limbs three times as much
    focal: float = 0.1  # of the log


def weighted_problem(d: Arrays, body: Arrays, s: ObjectiveSigmas = ObjectiveSigmas()) -> tuple[Problem, State]:
    """The problem as our solver takes it: every term with its standard deviation, start cameras by chaining."""
    rest, parents = rest_body(body)
    vertices = np.unique(np.concatenate([d["contact_scale_vertex"], d["contact_static_vertex"]]))
    n, count = len(d["smpl_init_transl"]), len(vertices)
    sole = sole_vertices_below(rest, vertices)
    points = torch.zeros(count, len(body["v_template"]), dtype=torch.float64)
    points[np.arange(count), sole] = 1
    table = body_table(rest, parents, points)
    f0 = start_focal(d)
    pixels = thin_matches(correspondences(d, s.depth), s.thin)
    rotation, centre, size = chained(pixels, f0, tensor(d["mst_edges"]))
    first = rotation[0].T.clone()
    rotation, centre = first @ rotation, (centre - centre[0]) @ first.T
    identity = torch.arange(n)[:, None].expand(-1, 2)
    mix = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(n, -1)
    person, frame = torch.zeros(n, dtype=torch.long), torch.arange(n)
    start = StartTerm(
        rotations=tensor(d["smpl_init_rotmat"]),
        transl=tensor(d["smpl_init_transl"]),
        betas=tensor(d["smpl_init_betas_per_frame"]).mean(0, keepdim=True),
        sigma_pose=torch.full((24,), np.deg2rad(s.pose_deg), dtype=torch.float64),
        sigma_depth=torch.full((n,), s.root_depth, dtype=torch.float64),
        sigma_across=s.root_across,
    )
    surface = _surface(d, vertices, len(table.parents), s)
    unit = _metres_per_unit(table, start, surface, size, f0)
    cameras = Cameras(rotation, centre * unit, identity, mix, frame, tensor(d["true_K"])[:2, 2], f0)
    joints = (table.joints[0] + table.joints_beta[0] @ start.betas[0])[None]
    state = replace(start_state(cameras, start, 1.0, joints, person, frame), log_size=(size * unit).log())
    layout = GlobalsLayout(1, n)
    free = torch.ones(layout.size, dtype=torch.bool)
    free[layout.scale : layout.betas] = False  # each keyframe has its own depth scale; there is no floor term
    free[layout.cameras : layout.cameras + 6] = False  # the first camera is the world's origin
    per_frame = tensor(d["smpl_init_betas_per_frame"])  # the mean is used; its error follows from the spread
    sigmas = SharedSigmas((per_frame.std(0) / n**0.5)[None] + 0.01, s.focal)
    problem = Problem(
        table=table,
        cameras=cameras,
        person=person,
        frame=frame,
        free=free,
        start=start,
        shared=shared_prior(layout, state, sigmas),
        matches=_matches(pixels, s),
        surface=surface,
        static=_static(d, vertices, len(table.parents), s),
        smooth=SmoothTerm(
            torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64).expand(n - 2, -1),
            s.acceleration * LIMBS,
            torch.ones(n - 2, dtype=torch.float64),
            Cauchy(3.0),
        ),
    )
    return problem, state


def _matches(pixels: Pixels, s: ObjectiveSigmas) -> MatchTerm:
    """All matches; a pair together counts as `matches_per_pair` observations at most, for their errors are shared."""
    _, group, count = torch.unique(pixels.a * 1000 + pixels.b, return_inverse=True, return_counts=True)
    share = (s.matches_per_pair / (2.0 * count[group])).clamp(max=1.0)
    return pack_matches(replace(pixels, weight=pixels.weight.clamp(max=1.0) * share[:, None]), Cauchy(2.0))


def _surface(d: Arrays, vertices: np.ndarray, joints: int, s: ObjectiveSigmas) -> SurfaceTerm:
    image, frame = tensor(d["contact_scale_image"]), tensor(d["contact_scale_smpl_frame"])
    point = torch.from_numpy(np.searchsorted(vertices, d["contact_scale_vertex"])) + joints
    ones = torch.ones(len(image), dtype=torch.float64)
    return SurfaceTerm(frame, point, image, contact_planes(d), ones * 0, ones * s.surface, ones, Geman(3.0))


def _static(d: Arrays, vertices: np.ndarray, joints: int, s: ObjectiveSigmas) -> StaticTerm:
    weight = torch.zeros(len(d["smpl_init_transl"]) - 1, len(vertices), dtype=torch.float64)
    weight[d["contact_static_smpl_frame"] - 1, np.searchsorted(vertices, d["contact_static_vertex"])] = 1
    return StaticTerm(torch.arange(len(vertices)) + joints, weight, s.static, Cauchy(3.0))


def _metres_per_unit(table: SkinningTable, start: StartTerm, surface: SurfaceTerm, size: Tensor, focal: float) -> float:
    """The scale that puts the touching points on the scene: the median over the contacts of the start bodies."""
    betas = start.betas.expand(len(start.transl), -1)
    y = skinned_points(table, start.rotations, start.transl, betas).p[surface.body, surface.point]
    normal = surface.plane * tensor(np.array([focal, focal, 1.0]))
    return float(((normal * y).sum(-1) / size[surface.knot]).median())


def solve_weighted(
    d: Arrays, body: Arrays, s: ObjectiveSigmas = ObjectiveSigmas(), steps: int = 12
) -> tuple[Problem, Solution[State]]:
    """Our solver on our objective, every term weighted by its standard deviation."""
    problem, state = weighted_problem(d, body, s)
    problem = replace(problem, matches=whiten_matches(evaluate_state(problem, state, False), s.px))
    return problem, minimise(JointModel(problem), state, steps)


def published_problem(d: Arrays, body: Arrays) -> Published:
    """The problem in published form: all correspondences, contact vertices as recorded."""
    rest, parents = rest_body(body)
    vertices = np.unique(np.concatenate([d["contact_scale_vertex"], d["contact_static_vertex"]]))
    points = torch.zeros(len(vertices), len(body["v_template"]), dtype=torch.float64)
    points[np.arange(len(vertices)), vertices] = 1
    anchors = tensor(d["anchor_depth"]).flatten(1)
    median = anchors.sort(1).values[:, (anchors.shape[1] - 1) // 2]
    image, offset = tensor(d["contact_scale_image"]), tensor(d["contact_scale_offset"])
    return Published(
        pixels=correspondences(d, 0.0, published_depth=True),
        median=median,
        edges=tensor(d["mst_edges"]),
        root=int(d["mst_root"]),
        focal=start_focal(d),
        table=body_table(rest, parents, points),
        rotations=tensor(d["smpl_init_rotmat"]),
        transl=tensor(d["smpl_init_transl"]),
        betas=tensor(d["smpl_init_betas_per_frame"]).mean(0),
        scale_knot=image,
        scale_body=tensor(d["contact_scale_smpl_frame"]),
        scale_point=_point(d, "contact_scale_vertex"),
        scale_near=(anchors[image, tensor(d["contact_scale_anchor"])] - median[image]) * offset,
        scale_ratio=median[image] * offset,
        scale_weight=tensor(d["contact_scale_conf"]),
        static_body=tensor(d["contact_static_smpl_frame"]),
        static_point=_point(d, "contact_static_vertex"),
    )


def _point(d: Arrays, name: str) -> Tensor:
    """Body points (joints first) of the contact entries."""
    vertices = np.unique(np.concatenate([d["contact_scale_vertex"], d["contact_static_vertex"]]))
    return torch.from_numpy(np.searchsorted(vertices, d[name])) + 24


def body_table(rest: dict[str, Tensor], parents: tuple[int, ...], points: Tensor) -> SkinningTable:
    """Table of the joints followed by P chosen points.

    rest: v_template [V,3], shapedirs [V,3,S], regressor [J,V], weights [V,J]; points: [P,V] rows that sum to one,
    each point a weighted mean of vertices.
    """
    v, dirs, regressor, weights = (rest[k].double() for k in ("v_template", "shapedirs", "regressor", "weights"))
    joints, joints_beta = regressor @ v, torch.einsum("jv,vcs->jcs", regressor, dirs)
    n_joints, n_points = len(parents), len(points)
    used = (points != 0).any(0)
    w = points[:, used].double()[:, :, None] * weights[used]  # [P,V',J]
    weights = w.sum(1)
    offsets = torch.einsum("pvb,vc->pbc", w, v[used]) - weights[..., None] * joints
    offsets_beta = torch.einsum("pvb,vcs->pbcs", w, dirs[used]) - weights[..., None, None] * joints_beta
    zero = torch.zeros(n_joints, n_joints, 3, 1, dtype=torch.float64)
    weights = torch.cat([torch.eye(n_joints, dtype=torch.float64), weights])
    offsets = torch.cat([zero[..., 0], offsets])
    offsets_beta = torch.cat([zero.expand(-1, -1, -1, dirs.shape[-1]), offsets_beta])
    assert weights.shape == (n_joints + n_points, n_joints)
    return SkinningTable(parents, joints, joints_beta, weights, offsets, offsets_beta)
