"""Partial skinning with analytic derivatives: the few body points that the fit and the joint solver need, no mesh.

Every point that is a fixed weighted sum of skinned vertices (a joint, a contact vertex, a landmark) is
    p = transl + sum_b (m_b t_b + G_b (U_b + Ub_b beta)),
with G_b, t_b the posed rotation and position of joint b. So a table of m and U per point replaces the mesh.
Shapes: P points, J joints (24), S shape coefficients (10), N body frames, K people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from josh_core.body.model import BodyModel
from josh_core.shapes import check_shapes


@dataclass(frozen=True)
class SkinningTable:
    """Linear blend skinning of P points, reduced to joints. All float64; metres in the body's rest frame."""

    parents: tuple[int, ...]  # [J] parent joint, -1 for the root
    joints: Tensor  # [J,3] rest joints at beta = 0
    joints_beta: Tensor  # [J,3,S] their change with the shape
    weights: Tensor  # [P,J] skinning weight of joint b on point p; the first J points are the joints themselves
    offsets: Tensor  # [P,J,3] sum of weighted rest offsets from joint b, at beta = 0
    offsets_beta: Tensor  # [P,J,3,S] their change with the shape

    @classmethod
    def of(cls, body: BodyModel) -> SkinningTable:
        """Joints, contact points and landmarks of a body; without pose correctives, a few mm at feet and hands."""
        n_contacts, n_joints = len(body.contact_names), len(body.parents)
        share = torch.cat([torch.ones(n_contacts, 1), body.landmark_skin]).double()
        at_joints = torch.cat([torch.zeros(n_contacts, n_joints), body.landmark_joints]).double()
        return cls._of_points(body, share * body.p_weights.double(), at_joints, body.p_template, body.p_dirs)

    @classmethod
    def on_edges(cls, body: BodyModel, ends: Tensor, shares: Tensor) -> SkinningTable:
        """Joints and points between two vertices of a body's mesh; without pose correctives.

        ends: [P',2] int vertices; shares: [P',2] of either.
        """
        smpl, vertices = body.smpl, ends.flatten()
        skin = smpl.lbs_weights[vertices].double()
        whole = cls._of_points(body, skin, torch.zeros_like(skin), smpl.v_template[vertices], smpl.shapedirs[vertices])

        def between(x: Tensor) -> Tensor:  # [J+2P',...] -> [J+P',...]
            still, pairs = x[: len(body.parents)], x[len(body.parents) :].unflatten(0, ends.shape)
            return torch.cat([still, torch.einsum("pe,pe...->p...", shares.double(), pairs)])

        return replace(
            whole,
            weights=between(whole.weights),
            offsets=between(whole.offsets),
            offsets_beta=between(whole.offsets_beta),
        )

    @classmethod
    def _of_points(
        cls, body: BodyModel, skin: Tensor, at_joints: Tensor, rest: Tensor, rest_beta: Tensor
    ) -> SkinningTable:
        """skin: [P',J] weights of rest points [P',3] with their change [P',3,S]; at_joints: [P',J] share of joints."""
        joints, joints_beta = body.j_template.double(), body.j_dirs.double()
        n_joints = len(joints)
        offsets = skin[..., None] * (rest.double()[:, None] - joints)
        offsets_beta = skin[..., None, None] * (rest_beta.double()[:, None] - joints_beta)
        still = torch.zeros(n_joints, n_joints, 3, dtype=torch.float64)
        return cls(
            parents=tuple(body.parents),
            joints=joints,
            joints_beta=joints_beta,
            weights=torch.cat([torch.eye(n_joints, dtype=torch.float64), skin + at_joints]),
            offsets=torch.cat([still, offsets]),
            offsets_beta=torch.cat([still[..., None].expand(-1, -1, -1, joints_beta.shape[-1]), offsets_beta]),
        )

    def only(self, points: Tensor) -> SkinningTable:
        """The table of some of its points [P'] int."""
        return replace(
            self, weights=self.weights[points], offsets=self.offsets[points], offsets_beta=self.offsets_beta[points]
        )

    @property
    def descendants(self) -> Tensor:
        """[J,J] one where joint b (column) moves with joint j (row)."""
        out = torch.eye(len(self.parents), dtype=self.joints.dtype)
        for b in range(len(self.parents)):
            a = self.parents[b]
            while a >= 0:
                out[a, b] = 1
                a = self.parents[a]
        return out


def stature(table: SkinningTable, betas: Tensor) -> tuple[Tensor, Tensor]:
    """A length that grows with the body, ankles to head joint at rest, and its derivative by the shape.

    betas: [M,S] -> [M] m, [S].
    """
    check_shapes("stature", betas=(betas, "M S"))
    head, ankles = table.joints[15, 1], table.joints[[7, 8], 1].mean()
    by_shape = table.joints_beta[15, 1] - table.joints_beta[[7, 8], 1].mean(0)
    return head - ankles + betas @ by_shape, by_shape


class SkinnedPoints(NamedTuple):
    """Points of N body frames and their derivatives, in the frame of the root rotation and translation."""

    p: Tensor  # [N,P,3] m
    by_pose: Tensor | None  # [N,P,3,3J+3] by right increments of the J rotations, then by the translation
    by_shape: Tensor | None  # [N,P,3,S]


def _posed_joints(table: SkinningTable, rotations: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Global rotations [N,J,3,3] and positions [N,J,3] by walking the tree; joints: [N,J,3] at rest."""
    turned, placed = [rotations[:, 0]], [joints[:, 0]]
    for j in range(1, len(table.parents)):
        parent = table.parents[j]
        turned.append(turned[parent] @ rotations[:, j])
        placed.append(placed[parent] + (turned[parent] @ (joints[:, j] - joints[:, parent])[..., None])[..., 0])
    return torch.stack(turned, 1), torch.stack(placed, 1)


def _joints_by_shape(table: SkinningTable, turned: Tensor) -> Tensor:
    """Derivative [N,J,3,S] of the posed joints by the shape."""
    out = [table.joints_beta[0].expand(len(turned), -1, -1)]
    for j in range(1, len(table.parents)):
        parent = table.parents[j]
        out.append(out[parent] + turned[:, parent] @ (table.joints_beta[j] - table.joints_beta[parent]))
    return torch.stack(out, 1)


def skinned_points(
    table: SkinningTable, rotations: Tensor, transl: Tensor, betas: Tensor, jacobian: bool = False
) -> SkinnedPoints:
    """Joints and chosen points of posed bodies, with derivatives on demand.

    rotations: [N,J,3,3] local (row 0 the root), transl: [N,3] m, betas: [N,S] -> SkinnedPoints with P = J + chosen.
    A right increment is R_j -> R_j exp(w_j).
    """
    n, n_joints = len(rotations), len(table.parents)
    check_shapes(
        "skinned_points",
        rotations=(rotations, f"N {n_joints} 3 3"),
        transl=(transl, "N 3"),
        betas=(betas, f"N {table.joints_beta.shape[-1]}"),
    )
    joints = table.joints + torch.einsum("jcs,ns->njc", table.joints_beta, betas)
    turned, placed = _posed_joints(table, rotations, joints)
    # One column for each axis of each joint: sum_b G_b U_b is one product for each body.
    flat = turned.transpose(1, 2).reshape(n, 3, 3 * n_joints)
    (points, _, _, shapes), columns = table.offsets_beta.shape, 3 * n_joints
    offsets = (betas @ table.offsets_beta.flatten(0, 2).mT).view(n, points, columns) + table.offsets.flatten(1)
    p = offsets @ flat.mT + table.weights @ placed + transl[:, None]
    if not jacobian:
        return SkinnedPoints(p, None, None)
    by_offsets = flat.flatten(0, 1) @ table.offsets_beta.permute(1, 2, 0, 3).reshape(columns, points * shapes)
    by_joints = torch.einsum("pb,nbis->npis", table.weights, _joints_by_shape(table, turned))
    by_shape = by_offsets.view(n, 3, points, shapes).transpose(1, 2) + by_joints
    return SkinnedPoints(p, _by_pose(table, turned, placed, offsets), by_shape)


def _by_pose(table: SkinningTable, turned: Tensor, placed: Tensor, offsets: Tensor) -> Tensor:
    """Derivative [N,P,3,3J+3] of the points by the pose: d p / d w_j = -[lever_j]x G_j, columns G_j[:, k] x lever_j.

    turned: [N,J,3,3], placed: [N,J,3], offsets: [N,P,3J]. The lever of a joint is what all joints below it carry of the
    point, seen from the joint. Axes are taken one by one: products of many 3 x 3 matrices would take longer.
    """
    n, n_joints = turned.shape[:2]
    below = table.descendants.mT.contiguous()
    carried = table.weights @ below  # [P,J] share of a point that hangs on joint j
    u = [offsets.unflatten(-1, (n_joints, 3))[..., k].contiguous() for k in range(3)]  # each [N,P,J]
    g = turned[:, None]  # [N,1,J,3,3]
    levers = []
    for i in range(3):
        part = g[..., i, 0] * u[0]
        part.addcmul_(g[..., i, 1], u[1]).addcmul_(g[..., i, 2], u[2])
        part.addcmul_(table.weights, placed[:, None, :, i])
        levers.append((part @ below).addcmul_(carried, placed[:, None, :, i], value=-1))
    out = turned.new_zeros(n, offsets.shape[1], 3, 3 * n_joints + 3)
    for i in range(3):
        one, two = (i + 1) % 3, (i + 2) % 3
        cell = out[:, :, i, : 3 * n_joints].unflatten(-1, (n_joints, 3))
        torch.mul(g[..., one, :], levers[two][..., None], out=cell)
        cell.addcmul_(g[..., two, :], levers[one][..., None], value=-1)
        out[:, :, i, 3 * n_joints + i] = 1
    return out
