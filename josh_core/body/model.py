"""The body as a torch module: joints, contact points and landmarks by partial skinning, the whole mesh by smplx.

A body point is LBS(rotations, betas) + transl in whatever frame `rotations[:, 0]` and `transl` are given. The root
turns about the pelvis joint, which is not the origin: see move.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import smplx
import torch
from smplx.utils import Struct
from torch import Tensor, nn

from josh_core.body.asset import BodyData, read_body
from josh_core.body.names import JOINTS, LANDMARKS, PARENTS
from josh_core.shapes import check_shapes

SHAPES = 10  # shape coefficients (betas), as in common SMPL files


@dataclass(frozen=True)
class BodyPoints:
    """What the stages need of a posed body, in the frame of the root rotation and translation, m."""

    joints: Tensor  # [B,24,3] SMPL order
    contacts: Tensor  # [B,C,3] in the order of contact_names
    landmarks: Tensor  # [B,33,3] BlazePose order


class _Smpl(smplx.SMPLLayer):
    SHAPE_SPACE_DIM = SHAPES  # of our files; smplx would print a warning for fewer than 300


def load_body(path: Path | str | None = None) -> BodyModel:
    """The body in a file that import_smpl.py made: `path`, else the one JOSH_BODY names, else the bundled neutral one.

    Raises WeightsError when the file is missing or is not a body.
    """
    return BodyModel(read_body(path))


class BodyModel(nn.Module):
    """A body in SMPL's layout. All methods are differentiable; float32 unless moved with `.double()`."""

    j_template: Tensor  # [24,3]
    j_dirs: Tensor  # [24,3,10]
    p_template: Tensor  # [P,3] the points that partial skinning needs: contact points, then landmark vertices
    p_dirs: Tensor  # [P,3,10]
    p_posedirs: Tensor  # [207,P*3], or [0,P*3] where the body has none
    p_weights: Tensor  # [P,24]
    landmark_joints: Tensor  # [33,24]
    landmark_skin: Tensor  # [33,1] share of the landmark's vertex

    def __init__(self, data: BodyData) -> None:
        super().__init__()
        self.name = data.name
        self.parents = PARENTS
        self.faces = data.faces
        self.joint_names = JOINTS
        self.contact_names = data.contact_names
        self.contact_vertices = data.contact_vertices
        self.landmark_names = LANDMARKS
        self.smpl = _smpl(data)
        self._levels = _tree_levels(PARENTS)
        self._order = np.argsort([0, *(j for joints, _, _ in self._levels for j in joints)]).tolist()
        chosen = np.concatenate([data.contact_vertices, data.landmark_vertices])
        posedirs = np.zeros((len(chosen), 3, 0)) if data.posedirs is None else data.posedirs[chosen]
        arrays = {
            "j_template": data.j_regressor @ data.v_template,
            "j_dirs": np.einsum("jv,vak->jak", data.j_regressor, data.shapedirs),
            "p_template": data.v_template[chosen],
            "p_dirs": data.shapedirs[chosen],
            "p_posedirs": posedirs.reshape(3 * len(chosen), -1).T,
            "p_weights": data.weights[chosen],
            "landmark_joints": data.landmark_joints,
            "landmark_skin": 1 - data.landmark_joints.sum(1, keepdims=True),
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32))

    def points(self, betas: Tensor, rotations: Tensor, transl: Tensor) -> BodyPoints:
        """Joints, contact points and landmarks, skinning nothing else.

        betas: [B,10]; rotations: [B,24,3,3] local, 0 is the root; transl: [B,3] m.
        """
        batch = self._check(betas, rotations, transl)
        rest = self.rest_joints(betas)
        turn, joints = self._pose_joints(rotations, rest)
        points = self.p_template + torch.einsum("pak,bk->bpa", self.p_dirs, betas)
        if len(self.p_posedirs):
            feature = (rotations[:, 1:] - torch.eye(3).to(betas)).reshape(batch, -1)
            points = points + (feature @ self.p_posedirs).reshape(batch, -1, 3)
        shift = joints - (turn @ rest[..., None])[..., 0]  # [B,24,3]
        blended = torch.einsum("pj,bjac->bpac", self.p_weights, turn)
        points = (blended @ points[..., None])[..., 0] + self.p_weights @ shift
        contacts, surface = points.split([len(self.contact_names), len(LANDMARKS)], dim=1)
        landmarks = self.landmark_joints @ joints + self.landmark_skin * surface
        move = transl[:, None]
        return BodyPoints(joints + move, contacts + move, landmarks + move)

    def joints(self, betas: Tensor, rotations: Tensor) -> Tensor:
        """Joints alone [B,24,3] at translation zero; betas [B,10], rotations [B,24,3,3]."""
        return self._pose_joints(rotations, self.rest_joints(betas))[1]

    def vertices(self, betas: Tensor, rotations: Tensor, transl: Tensor) -> Tensor:
        """The whole posed mesh [B,V,3] through smplx; arguments as for `points`."""
        self._check(betas, rotations, transl)
        return self.smpl(
            betas=betas, global_orient=rotations[:, :1], body_pose=rotations[:, 1:], transl=transl, pose2rot=False
        ).vertices

    def rest_joints(self, betas: Tensor) -> Tensor:
        """Joints [B,24,3] of the rest pose for betas [B,10], m."""
        return self.j_template + torch.einsum("jak,bk->bja", self.j_dirs, betas)

    def rest_vertices(self, betas: Tensor) -> Tensor:
        """Vertices [B,V,3] of the rest pose for betas [B,10], m."""
        return self.smpl.v_template + torch.einsum("vak,bk->bva", self.smpl.shapedirs, betas)

    @property
    def skin_weights(self) -> Tensor:
        """Skinning weights [V,24]."""
        return self.smpl.lbs_weights

    def pelvis(self, betas: Tensor) -> Tensor:
        """Pelvis joint [B,3] of the rest pose, the point about which the root turns, for betas [B,10]."""
        return self.rest_joints(betas)[:, 0]

    def height(self, betas: Tensor) -> Tensor:
        """Standing height [B] in m for betas [B,10]: soles to crown of the rest pose."""
        y = self.smpl.v_template[:, 1] + betas @ self.smpl.shapedirs[:, 1].T
        return y.amax(1) - y.amin(1)

    def _pose_joints(self, rotations: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """World rotations [B,24,3,3] and positions [B,24,3] of the joints, level by level down the tree."""
        turn, place = rotations[:, :1], rest[:, :1]
        for joints, up, parents in self._levels:  # `up` indexes the joints placed so far
            over = turn[:, up]
            offset = rest[:, joints] - rest[:, parents]
            place = torch.cat([place, place[:, up] + (over @ offset[..., None])[..., 0]], 1)
            turn = torch.cat([turn, over @ rotations[:, joints]], 1)
        return turn[:, self._order], place[:, self._order]

    @staticmethod
    def _check(betas: Tensor, rotations: Tensor, transl: Tensor) -> int:
        shaped = {"betas": (betas, "B 10"), "rotations": (rotations, "B 24 3 3"), "transl": (transl, "B 3")}
        return check_shapes("BodyModel", **shaped)["B"]


def _tree_levels(parents: tuple[int, ...]) -> list[tuple[list[int], list[int], list[int]]]:
    """For each depth under the root: joints, where their parents stand among the joints placed before, parents."""
    placed, levels = [0], []
    while len(placed) < len(parents):
        joints = [j for j, p in enumerate(parents) if p in placed and j not in placed]
        over = [parents[j] for j in joints]
        levels.append((joints, [placed.index(p) for p in over], over))
        placed += joints
    return levels


def _smpl(data: BodyData) -> _Smpl:
    """smplx's layer on our arrays; it wants five vertex ids of the face, which we do not use."""
    vertices = len(data.v_template)
    struct = Struct(
        v_template=data.v_template,
        shapedirs=data.shapedirs,
        posedirs=np.zeros((vertices, 3, 207), np.float32) if data.posedirs is None else data.posedirs,
        J_regressor=data.j_regressor,
        weights=data.weights,
        kintree_table=np.array([PARENTS, range(len(PARENTS))]),
        f=data.faces,
    )
    face = dict.fromkeys(("nose", "reye", "leye", "rear", "lear"), 0)
    return _Smpl(model_path="", data_struct=struct, vertex_ids=face, use_hands=False, use_feet_keypoints=False)
