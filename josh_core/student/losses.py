"""What the student is taught by: the paper's terms and direct ones, each a mean over what the labels are sure of.

The paper's JOSH3R is taught relative motion, root position, foot contact; ours the same things from windows, and the
pose besides. Each standard deviation is taught by the size of the errors that its answer makes (Gaussian negative log
likelihood with the error held fixed, so that it cannot spoil the answer).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from josh_core.body import BodyModel
from josh_core.body.names import JOINTS
from josh_core.student.motions import FPS
from josh_core.student.network import Answer, angle
from josh_core.student.simulate import MASKS, Truth
from josh_core.types import IN_CONTACT

FOOT_JOINTS = [JOINTS.index(f"{side}_{part}") for side in ("left", "right") for part in ("ankle", "foot")]
# Weights bring the terms to one order of magnitude (metres, radians, log odds); chosen once, not tuned.
LOSS_WEIGHTS = {"joints": 10.0, "joint_motion": 10.0, "rotations": 2.0, "betas": 0.1, "log_depth": 2.0, "offset": 2.0,
           "up": 1.5, "velocity": 0.7, "standing": 0.2, "touch": 0.3, "sigma": 0.03}  # fmt: skip


def losses(said: Answer, true: Truth, body: BodyModel) -> dict[str, Tensor]:
    """Every term, unweighted. Each is finite with finite gradients, for one frame and for masks of zeros too."""
    believed = dict(zip(MASKS, true.mask.unbind(1), strict=True))
    betas = said.betas.mean(1)
    joints = pelvis_joints(body, betas, said.rotations)
    with torch.no_grad():
        true_joints = pelvis_joints(body, true.betas, true.rotations)
    error = {
        "joints": _length(joints - true_joints),
        "rotations": angle(said.rotations, true.rotations),
        "betas": (said.betas - true.betas[:, None]).abs(),
        "log_depth": (said.log_depth - true.log_depth).abs()[..., None],
        "offset": (said.offset - true.offset).abs().mean(-1, keepdim=True),
        "up": _length(said.up - true.up)[..., None],
        "velocity": _length(said.velocity - true.velocity)[..., None],
    }
    mask = {"joints": "pose", "rotations": "pose", "log_depth": "place", "offset": "place"}
    out = {name: _mean(e, believed[mask.get(name, name)]) for name, e in error.items()}
    moved = _length((joints - true_joints).diff(dim=1))
    out["joint_motion"] = _mean(moved, believed["pose"]) if moved.shape[1] else 0 * out["joints"]
    odds = nn.functional.binary_cross_entropy_with_logits(said.touch, true.touch, reduction="none")
    out["touch"] = _mean(odds, believed["touch"])
    out["standing"] = _standing(said, true, joints, believed["velocity"] * believed["touch"])
    likelihood = [_mean(_gaussian(e.detach(), said.sigma[name]), believed[mask.get(name, name)])
                  for name, e in error.items()]  # fmt: skip
    out["sigma"] = torch.stack(likelihood).sum()
    return out


def total(terms: dict[str, Tensor]) -> Tensor:
    """The weighted sum."""
    return torch.stack([LOSS_WEIGHTS[name] * value for name, value in terms.items()]).sum()


def pelvis_joints(body: BodyModel, betas: Tensor, rotations: Tensor) -> Tensor:
    """Joints [B,T,24,3] m about the pelvis for betas [B,10] and rotations [B,T,24,3,3]."""
    b, t = rotations.shape[:2]
    shape = betas[:, None].expand(b, t, 10).reshape(-1, 10)
    joints = body.joints(shape, rotations.reshape(-1, 24, 3, 3))
    return (joints - joints[:, :1]).reshape(b, t, 24, 3)


def _standing(said: Answer, true: Truth, joints: Tensor, believed: Tensor) -> Tensor:
    """Some foot stands while any foot part touches: the least displacement in the world between two frames, m.

    The paper's contact term of JOSH3R, with the displacement from root velocity and pose together.
    """
    if joints.shape[1] < 2:
        return 0 * joints.sum()
    root = (true.world_from_sight @ said.rotations[:, :, 0] @ said.velocity[..., None])[..., 0] / FPS
    feet = joints[:, :, FOOT_JOINTS] @ true.world_from_sight.mT
    step = _length(feet.diff(dim=1) + root[:, :-1, None]).amin(-1)
    touching = (true.touch[:, :, [0, 1, 2, 5, 6, 7]].amax(-1) > IN_CONTACT).float()
    held = torch.minimum(touching[:, 1:], touching[:, :-1]) * FPS
    return _mean((step * held)[..., None], believed)


def _gaussian(error: Tensor, sigma: Tensor) -> Tensor:
    return 0.5 * (error / sigma) ** 2 + sigma.log()


def _length(v: Tensor) -> Tensor:
    """Norm over the last axis with a finite gradient at zero."""
    return ((v**2).sum(-1) + 1e-8).sqrt()


def _mean(values: Tensor, believed: Tensor) -> Tensor:
    """Mean of [B,T,...] over the windows, weighted by [B]; zero where nothing is believed."""
    each = values.flatten(1).mean(1)
    return (each * believed).sum() / believed.sum().clamp_min(1e-6)
