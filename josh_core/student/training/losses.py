"""The student's training losses, each a mean over the windows whose labels are trusted.

The paper trains JOSH3R on relative motion, root position and foot contact; the student is trained on the same from
windows of frames, and on the pose. Each standard deviation is trained by the Gaussian negative log likelihood of the
actual error; no gradient goes from there to the prediction itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from josh_core.body import BodyModel
from josh_core.body.names import JOINTS
from josh_core.student.features import FPS
from josh_core.student.network import Prediction, angle
from josh_core.student.training.simulate import MASKS, Truth
from josh_core.types import IN_CONTACT

FOOT_JOINTS = [JOINTS.index(f"{side}_{part}") for side in ("left", "right") for part in ("ankle", "foot")]
# The weights bring the terms (metres, radians, log odds) to one order of magnitude; chosen by hand, not tuned.
LOSS_WEIGHTS = {"joints": 10.0, "joint_motion": 10.0, "rotations": 2.0, "betas": 0.1, "log_depth": 2.0, "offset": 2.0,
           "up": 1.5, "velocity": 0.7, "standing": 0.2, "touch": 0.3, "sigma": 0.03}  # fmt: skip


def losses(prediction: Prediction, true: Truth, body: BodyModel) -> dict[str, Tensor]:
    """Every loss by name, unweighted. All have finite gradients, also for a single frame and for masks of zeros."""
    trust = dict(zip(MASKS, true.mask.unbind(1), strict=True))
    betas = prediction.betas.mean(1)
    joints = pelvis_joints(body, betas, prediction.rotations)
    with torch.no_grad():
        true_joints = pelvis_joints(body, true.betas, true.rotations)
    error = {
        "joints": _length(joints - true_joints),
        "rotations": angle(prediction.rotations, true.rotations),
        "betas": (prediction.betas - true.betas[:, None]).abs(),
        "log_depth": (prediction.log_depth - true.log_depth).abs()[..., None],
        "offset": (prediction.offset - true.offset).abs().mean(-1, keepdim=True),
        "up": _length(prediction.up - true.up)[..., None],
        "velocity": _length(prediction.velocity - true.velocity)[..., None],
    }
    label_of = {"joints": "pose", "rotations": "pose", "log_depth": "place", "offset": "place"}
    out = {name: _mean(e, trust[label_of.get(name, name)]) for name, e in error.items()}
    moved = _length((joints - true_joints).diff(dim=1))
    out["joint_motion"] = _mean(moved, trust["pose"]) if moved.shape[1] else 0 * out["joints"]
    odds = nn.functional.binary_cross_entropy_with_logits(prediction.touch, true.touch, reduction="none")
    out["touch"] = _mean(odds, trust["touch"])
    out["standing"] = _standing(prediction, true, joints, trust["velocity"] * trust["touch"])
    likelihood = [_mean(_gaussian(e.detach(), prediction.sigma[name]), trust[label_of.get(name, name)])
                  for name, e in error.items()]  # fmt: skip
    out["sigma"] = torch.stack(likelihood).sum()
    return out


def total(terms: dict[str, Tensor]) -> Tensor:
    """The weighted sum of the losses."""
    return torch.stack([LOSS_WEIGHTS[name] * value for name, value in terms.items()]).sum()


def pelvis_joints(body: BodyModel, betas: Tensor, rotations: Tensor) -> Tensor:
    """Joints [B,T,24,3] m relative to the pelvis for betas [B,10] and rotations [B,T,24,3,3]."""
    b, t = rotations.shape[:2]
    shape = betas[:, None].expand(b, t, 10).reshape(-1, 10)
    joints = body.joints(shape, rotations.reshape(-1, 24, 3, 3))
    return (joints - joints[:, :1]).reshape(b, t, 24, 3)


def _standing(prediction: Prediction, true: Truth, joints: Tensor, trust: Tensor) -> Tensor:
    """While some foot part is in contact, one foot must not move: its speed in the world, m/s.

    The paper's contact loss of JOSH3R, with the displacement computed from root velocity and pose together.
    """
    if joints.shape[1] < 2:
        return 0 * joints.sum()
    root = (true.world_from_sight @ prediction.rotations[:, :, 0] @ prediction.velocity[..., None])[..., 0] / FPS
    feet = joints[:, :, FOOT_JOINTS] @ true.world_from_sight.mT
    step = _length(feet.diff(dim=1) + root[:, :-1, None]).amin(-1)
    touching = (true.touch[:, :, [0, 1, 2, 5, 6, 7]].amax(-1) > IN_CONTACT).float()
    held = torch.minimum(touching[:, 1:], touching[:, :-1]) * FPS
    return _mean((step * held)[..., None], trust)


def _gaussian(error: Tensor, sigma: Tensor) -> Tensor:
    return 0.5 * (error / sigma) ** 2 + sigma.log()


def _length(v: Tensor) -> Tensor:
    """Norm over the last axis with a finite gradient at zero."""
    return ((v**2).sum(-1) + 1e-8).sqrt()


def _mean(values: Tensor, trust: Tensor) -> Tensor:
    """Mean of [B,T,...] over the windows, weighted by trust [B] in their labels; zero where no label is trusted."""
    each = values.flatten(1).mean(1)
    return (each * trust).sum() / trust.sum().clamp_min(1e-6)
