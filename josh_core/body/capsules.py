"""A body as capsules, to tell where two bodies overlap: segments between body points, as thick as the body's own mesh.

Body points are joints, contact points and landmarks one after the other, as in `SkinningTable` and `BodyPoints`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS, LANDMARKS
from josh_core.shapes import check_shapes

# Chosen by hand.
INSIDE = 0.25  # share of a part's vertices that lie inside its capsule
MOST_SPAN = 2.5  # m between the pelvises of two people who can touch: more than twice an arm's reach
TRUNK = ("pelvis", "spine1", "spine2", "spine3", "collar")


@dataclass(frozen=True)
class _Part:
    """A capsule of either side: the joints at its two ends, and those whose vertices it covers, all without side."""

    ends: tuple[str, str]
    covers: tuple[str, ...]


PAIRED = (
    _Part(("hip", "shoulder"), TRUNK),
    _Part(("shoulder", "elbow"), ("shoulder",)),
    _Part(("elbow", "wrist"), ("elbow",)),
    _Part(("wrist", "hand"), ("wrist", "hand")),
    _Part(("hip", "knee"), ("hip",)),
    _Part(("knee", "ankle"), ("knee",)),
    _Part(("ankle", "foot"), ("ankle", "foot")),
)


@dataclass(frozen=True)
class Capsules:
    """K capsules of a body model. An end is the mean of two body points."""

    ends: Tensor  # [K,2,2] int body points

    @classmethod
    def of(cls, body: BodyModel) -> Capsules:
        """The head as a ball between the ears, and seven capsules on each side."""
        ears = [len(JOINTS) + len(body.contact_names) + LANDMARKS.index(f"{side}_ear") for side in ("left", "right")]
        ends = [[ears, ears]]
        for side in ("left", "right"):
            ends += [[[JOINTS.index(f"{side}_{end}")] * 2 for end in part.ends] for part in PAIRED]
        return cls(torch.tensor(ends))

    def segments(self, points: Tensor) -> Tensor:
        """Axes [...,K,2,3] m of posed bodies' points [...,P,3]."""
        return points[..., self.ends, :].mean(-2)


def capsule_radii(body: BodyModel, betas: Tensor) -> Tensor:
    """Radii [B,K] m of bodies of shapes [B,10]: a quarter of the vertices that a capsule covers are nearer its axis.

    Limbs are nearly round; of the trunk, which is not, this is half its depth, so that who touches does not overlap.
    """
    check_shapes("capsule_radii", betas=(betas, "B 10"))
    rest = body.rest_vertices(betas.float()).double()  # [B,V,3]
    upright = torch.eye(3).expand(len(betas), len(JOINTS), 3, 3)
    points = body.points(betas.float(), upright, torch.zeros(len(betas), 3))
    capsules = Capsules.of(body)
    axes = capsules.segments(torch.cat([points.joints, points.contacts, points.landmarks], 1).double())
    main = [JOINTS[j] for j in body.skin_weights.argmax(1).tolist()]
    radii = []
    for k, covered in enumerate(_covered(main, body.smpl.v_template[:, 0])):
        vertices = rest[:, covered]
        a, b = axes[:, k, None].expand(-1, vertices.shape[1], -1, -1).unbind(-2)
        along = ((vertices - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1).clamp(min=1e-12)
        nearest = a + along.clamp(0, 1)[..., None] * (b - a)
        radii.append((vertices - nearest).norm(dim=-1).quantile(INSIDE, dim=1))
    return torch.stack(radii, 1)


def _covered(main: list[str], x: Tensor) -> list[Tensor]:
    """Vertices [V'] of each capsule; main: each vertex's main joint, x: [V] m to the left in the rest pose."""
    out = [torch.tensor([i for i, joint in enumerate(main) if joint == "head"])]
    left = (x > 0).tolist()
    for side in (True, False):
        for part in PAIRED:
            mine = [i for i, joint in enumerate(main) if joint.split("_")[-1] in part.covers and left[i] == side]
            out.append(torch.tensor(mine))
    return out


def closest(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Where two segments are nearest each other, as shares of their lengths; first, second: [...,2,3] -> [...], [...].

    Ericson, Real-Time Collision Detection (2005), section 5.1.9. Parallel segments take the first one's start, or what
    the clamping makes of it.
    """
    check_shapes("closest", first=(first, "... 2 3"), second=(second, "... 2 3"))
    d1, d2 = first[..., 1, :] - first[..., 0, :], second[..., 1, :] - second[..., 0, :]
    r = first[..., 0, :] - second[..., 0, :]
    a, e = (d1 * d1).sum(-1).clamp(min=1e-12), (d2 * d2).sum(-1).clamp(min=1e-12)
    b, c, f = (d1 * d2).sum(-1), (d1 * r).sum(-1), (d2 * r).sum(-1)
    across = a * e - b * b
    s = torch.where(across > 1e-9 * a * e, (b * f - c * e) / across.clamp(min=1e-18), 0.0).clamp(0, 1)
    t = ((b * s + f) / e).clamp(0, 1)
    return ((b * t - c) / a).clamp(0, 1), t


def gaps(first: Tensor, second: Tensor) -> Tensor:
    """Distances [...] between segments [...,2,3] and [...,2,3]."""
    check_shapes("gaps", first=(first, "... 2 3"), second=(second, "... 2 3"))
    s, t = closest(first, second)
    p, q = (a[..., 0, :] + x[..., None] * (a[..., 1, :] - a[..., 0, :]) for a, x in ((first, s), (second, t)))
    return (p - q).norm(dim=-1)
