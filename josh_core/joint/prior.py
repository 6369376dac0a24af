"""Gaussian priors on the shared unknowns: how far focal, scale, shapes and cameras may move from the start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from josh_core.joint.variables import Cameras, GlobalsLayout, SharedPrior, StartTerm, State


@dataclass(frozen=True)
class SharedSigmas:
    """Standard deviations of the shared unknowns."""

    betas: Tensor  # [P,S]
    focal: float = 0.1  # of log focal
    scale: float = 1.0  # of log scale
    tilt: float = 0.05  # rad, of the floor
    height: float = 0.05  # m, of the floor
    turn: float = 0.2  # rad, of each knot's correction
    shift: float = 1.0  # units of the start world, of each knot's correction
    size: float = 1.0  # of each knot's log depth scale
    turn_step: float = 0.05  # rad, between neighbouring knots' corrections
    shift_step: float = 0.3  # units of the start world, between neighbouring knots' corrections


def shared_prior(layout: GlobalsLayout, state: State, sigmas: SharedSigmas) -> SharedPrior:
    """Prior with mean `state`, and with similar corrections of neighbouring knots."""
    eye = torch.eye(layout.size, dtype=torch.float64)
    knots = layout.knots
    each = [sigmas.turn] * 3 + [sigmas.shift] * 3 + [sigmas.size]
    sigma = torch.cat(
        [
            torch.tensor([sigmas.focal, sigmas.scale, sigmas.tilt, sigmas.tilt, sigmas.height], dtype=torch.float64),
            sigmas.betas.reshape(-1),
            torch.tensor(each * knots, dtype=torch.float64),
        ]
    )
    near = eye / sigma[:, None]
    cams = eye[layout.cameras :].reshape(knots, 7, -1)[:, :6]
    step = torch.tensor([sigmas.turn_step] * 3 + [sigmas.shift_step] * 3, dtype=torch.float64)
    alike = ((cams[1:] - cams[:-1]) / step[:, None]).flatten(0, 1)
    x = torch.zeros(layout.size, dtype=torch.float64)
    x[layout.focal], x[layout.scale] = state.log_focal, state.log_scale
    x[layout.betas : layout.cameras] = state.betas.reshape(-1)
    return SharedPrior(torch.cat([near, alike]), torch.cat([near @ x, torch.zeros(len(alike), dtype=torch.float64)]))


def start_state(
    cameras: Cameras, start: StartTerm, scale: float, joints: Tensor, person: Tensor, frame: Tensor
) -> State:
    """The start as a State: bodies moved into the world by their cameras, all corrections zero.

    scale: metres per unit of the start world; joints: [P,3] rest root joint of each person; person, frame: [N] int.
    """
    rotation, centre = cameras.rotation[frame], cameras.centre[frame] * scale
    rotations = start.rotations.clone()
    rotations[:, 0] = rotation @ rotations[:, 0]
    root = joints[person]
    transl = (rotation @ (start.transl + root)[..., None])[..., 0] + centre - root
    zero = torch.zeros(len(cameras.knot_frame), 3, dtype=torch.float64)
    return State(
        log_focal=torch.tensor(cameras.focal, dtype=torch.float64).log(),
        log_scale=torch.tensor(scale, dtype=torch.float64).log(),
        floor=torch.zeros(3, dtype=torch.float64),
        betas=start.betas.clone(),
        camera_turn=zero,
        camera_shift=zero.clone(),
        log_size=zero[:, 0].clone(),
        rotations=rotations,
        transl=transl,
    )
