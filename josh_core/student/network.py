"""The student: a temporal convolutional network from features of one person to pose, shape, position, gravity, velocity
and contact. Each prediction has a standard deviation, learnt from the network's own errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from josh_core.errors import WeightsError
from josh_core.student.features import FEATURE_COUNT
from josh_core.student.parts import PARTS

WEIGHTS_FILE = Path(__file__).parent / "assets" / "student.safetensors"
CHANNELS = 256  # of a new network; weights of any width load. 256 against 192: docs/STUDENT.md, "What it brings"
DILATIONS = (1, 2, 4, 8, 2, 4)  # a receptive field of 43 frames, 1.4 s; chosen by hand
LOG_DEPTH_OFFSET = -0.8  # added to log_depth, so that an untrained network is near the truth; chosen by hand
# Lengths of the outputs in the order of the last layer, and of the standard deviations that follow them.
OUTPUT_SIZES = {"rotations": 144, "betas": 10, "log_depth": 1, "offset": 2, "up": 3, "velocity": 3, "touch": len(PARTS)}
SIGMA_SIZES = {"rotations": 24, "joints": 24, "betas": 10, "log_depth": 1, "offset": 1, "up": 1, "velocity": 1}
MIN_LOG_SIGMA, MAX_LOG_SIGMA = -5.0, 2.0  # bounds of a log standard deviation; chosen by hand


@dataclass(frozen=True)
class Prediction:
    """The network's output, in the axes of sight; simulate.Truth says what each field means."""

    rotations: Tensor  # [B,T,24,3,3]
    betas: Tensor  # [B,T,10]
    log_depth: Tensor  # [B,T]
    offset: Tensor  # [B,T,2]
    up: Tensor  # [B,T,3] unit
    velocity: Tensor  # [B,T,3] m/s
    touch: Tensor  # [B,T,P] log odds
    sigma: dict[str, Tensor]  # standard deviations by the names of SIGMA_SIZES, [B,T,n]; rotations rad, joints m


class _Block(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.over_time = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, padding_mode="zeros")
        self.mix = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.over_time(self.norm(x).mT).mT
        return x + self.mix(nn.functional.gelu(h))


class Student(nn.Module):
    """Features [B,T,FEATURE_COUNT] at 30 frames a second -> Prediction, for any T >= 1."""

    mean: Tensor  # [FEATURE_COUNT] of the training features
    std: Tensor  # [FEATURE_COUNT]

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(FEATURE_COUNT, channels), nn.GELU(), nn.Linear(channels, channels))
        self.blocks = nn.Sequential(*[_Block(channels, d) for d in DILATIONS])
        self.leave = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, sum(OUTPUT_SIZES.values()) + sum(SIGMA_SIZES.values()))
        )
        last = self.leave[1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)
        bias = torch.zeros_like(last.bias)
        bias[:144] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(24)
        bias[:6] = torch.tensor([1.0, 0, 0, 0, -1, 0])  # the person stands upright in an OpenCV camera
        bias[sum(OUTPUT_SIZES.values()) :] = -1.5
        last.bias.data = bias
        self.register_buffer("mean", torch.zeros(FEATURE_COUNT))
        self.register_buffer("std", torch.ones(FEATURE_COUNT))

    def forward(self, features: Tensor) -> Prediction:
        assert features.ndim == 3 and features.shape[-1] == FEATURE_COUNT, "features: [B,T,FEATURE_COUNT]"
        out = self.leave(self.blocks(self.enter((features - self.mean) / self.std)))
        answers, sigmas = out.split([sum(OUTPUT_SIZES.values()), sum(SIGMA_SIZES.values())], -1)
        outputs = dict(zip(OUTPUT_SIZES, answers.split(list(OUTPUT_SIZES.values()), -1), strict=True))
        sigma = dict(
            zip(
                SIGMA_SIZES,
                sigmas.clamp(MIN_LOG_SIGMA, MAX_LOG_SIGMA).exp().split(list(SIGMA_SIZES.values()), -1),
                strict=True,
            )
        )
        return Prediction(
            rotations=_rotations(outputs["rotations"].unflatten(-1, (24, 6))),
            betas=outputs["betas"],
            log_depth=outputs["log_depth"][..., 0] + LOG_DEPTH_OFFSET,
            offset=outputs["offset"],
            up=nn.functional.normalize(outputs["up"] + torch.tensor([0.0, -1.0, 0.0]).to(out), dim=-1, eps=1e-6),
            velocity=outputs["velocity"],
            touch=outputs["touch"],
            sigma=sigma,
        )


def _rotations(rows: Tensor) -> Tensor:
    """Rotations [...,3,3] of 6D [...,6], the first two rows (Zhou et al. 2019); finite for zero rows."""
    a = nn.functional.normalize(rows[..., :3] + 1e-7, dim=-1)
    b = rows[..., 3:] - (a * rows[..., 3:]).sum(-1, keepdim=True) * a
    b = nn.functional.normalize(b, dim=-1, eps=1e-6)
    return torch.stack([a, b, torch.linalg.cross(a, b)], -2)


def save_student(net: Student, path: Path) -> None:
    """Write the weights in half precision as safetensors, completely or not at all."""
    half = {name: value.detach().half().contiguous() for name, value in net.state_dict().items()}
    temporary = path.with_suffix(".part")
    save_file(half, temporary)
    temporary.replace(path)


def load_student(path: Path = WEIGHTS_FILE) -> Student:
    """The network with the weights of a file. Raises WeightsError if the file is missing or of another network."""
    try:
        stored = load_file(path)
        net = Student(channels=len(stored["enter.0.weight"]))
        net.load_state_dict({name: value.float() for name, value in stored.items()}, strict=True)
    except (OSError, SafetensorError, RuntimeError, KeyError):
        raise WeightsError(
            f"The student's weights {path.name!r} are missing or of another network; "
            "`python -m josh_core train` makes them."
        ) from None
    return net.eval()


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle [...] in rad between rotations [...,3,3]; its gradient is finite at zero."""
    chord = ((a - b) ** 2).sum((-1, -2)) / 8  # sin^2 of half the angle
    return 2 * torch.asin((chord + 1e-12).clamp(0, 1 - 1e-6).sqrt())
