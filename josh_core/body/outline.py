"""Cross-sections of a body across its bones, whose extent a camera sees as the width of trunk and limbs.

Found on any mesh in SMPL's rest pose by its joints and skinning weights, so one table serves every topology.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS
from josh_core.body.skinning import SkinningTable
from josh_core.types import Float, Int

PARTS = ("trunk", "thigh", "shin", "upper_arm", "forearm")
TRUNK = ("pelvis", "spine1", "spine2", "spine3", "hip")
MIN_POINTS = 6  # of a cross-section: a mesh that is too coarse there has none


@dataclass(frozen=True)
class CrossSection:
    """A cut across a bone, without side."""

    part: str  # one of PARTS
    bone: tuple[str, str]  # joints
    share: float  # of the way from the first to the second joint
    owners: tuple[str, ...]  # vertices beside it belong mostly to one of these joints


# Chosen by hand: where parts are apart from each other, and away from the ends of trousers and sleeves.
CROSS_SECTIONS = (
    CrossSection("trunk", ("pelvis", "spine1"), 0.3, TRUNK),
    CrossSection("trunk", ("spine1", "spine2"), 0.5, TRUNK),
    CrossSection("trunk", ("spine2", "spine3"), 0.5, TRUNK),
    CrossSection("trunk", ("spine3", "neck"), 0.1, TRUNK),
    CrossSection("thigh", ("hip", "knee"), 0.45, ("hip",)),
    CrossSection("thigh", ("hip", "knee"), 0.65, ("hip",)),
    CrossSection("thigh", ("hip", "knee"), 0.85, ("hip", "knee")),
    CrossSection("shin", ("knee", "ankle"), 0.25, ("knee",)),
    CrossSection("shin", ("knee", "ankle"), 0.5, ("knee",)),
    CrossSection("upper_arm", ("shoulder", "elbow"), 0.5, ("shoulder",)),
    CrossSection("upper_arm", ("shoulder", "elbow"), 0.75, ("shoulder",)),
    CrossSection("forearm", ("elbow", "wrist"), 0.3, ("elbow",)),
    CrossSection("forearm", ("elbow", "wrist"), 0.65, ("elbow",)),
)


@dataclass(frozen=True)
class Outline:
    """S cross-sections, of both sides, as points of partial skinning: where the mesh's edges cross the cut."""

    table: SkinningTable  # of the joints, then of the points of all cross-sections, one after the other
    first: Int  # [S+1] points first[s]:first[s+1] of the table belong to cross-section s
    bone: Int  # [S,2] joints
    share: Float  # [S] of the way between them
    part: Int  # [S] index into PARTS
    side: tuple[str, ...]  # [S] "left_", "right_" or ""

    @classmethod
    def of(cls, body: BodyModel) -> Outline:
        """The cross-sections of a body model."""
        edges = _edges(np.asarray(body.faces))
        rest = body.smpl.v_template.double().numpy()
        joints = body.j_template.double().numpy()
        owner = body.skin_weights.numpy().argmax(1)
        found = []
        for cut in CROSS_SECTIONS:
            for side in ("left_", "right_") if cut.bone[1] not in JOINTS else ("",):
                bone = [_joint(name, side) for name in cut.bone]
                owners = [_joint(name, s) for name in cut.owners for s in ([side] if side else ("left_", "right_"))]
                own = edges[np.isin(owner, owners)[edges].all(1)]
                ends, shares = _crossing(own, rest, joints[bone[0]], joints[bone[1]], cut.share)
                if len(ends) >= MIN_POINTS:
                    found.append((cut, side, bone, ends, shares))
        ends = np.concatenate([np.empty((0, 2), int), *(f[3] for f in found)])
        shares = np.concatenate([np.empty((0, 2)), *(f[4] for f in found)])
        return cls(
            table=SkinningTable.on_edges(body, torch.as_tensor(ends), torch.as_tensor(shares)),
            first=np.cumsum([len(JOINTS), *(len(f[3]) for f in found)]),
            bone=np.array([f[2] for f in found], int).reshape(-1, 2),
            share=np.array([f[0].share for f in found]),
            part=np.array([PARTS.index(f[0].part) for f in found], int),
            side=tuple(f[1] for f in found),
        )


def _edges(faces: Int) -> Int:
    """Edges [E,2] of a mesh with triangles [F,3], each in both directions."""
    return np.unique(np.concatenate([faces[:, [k, (k + d) % 3]] for k in range(3) for d in (1, 2)]), axis=0)


def _crossing(edges: Int, rest: Float, start: Float, end: Float, share: float) -> tuple[Int, Float]:
    """Edges [P,2] that cross a cut between two joints, and the shares [P,2] of their ends in the point on the cut."""
    along = (rest - start - share * (end - start)) @ (end - start)
    cut = edges[(along[edges[:, 0]] < 0) & (along[edges[:, 1]] >= 0)]
    before, behind = along[cut].T
    first = behind / (behind - before)
    return cut, np.stack([first, 1 - first], 1)


def _joint(name: str, side: str) -> int:
    return JOINTS.index(name if name in JOINTS else side + name)
