"""From a pool of motions to training inputs: random cameras, and observations with the errors of a landmark network.

Cameras are static, rotating or moving, of any height, focal and roll; people are seen from all sides, cut off by the
edge of the picture and partly occluded.

The errors are the assumed ones (assumed_noise.py) plus a random share, 0 to 1, of those measured on rendered people
(measured_noise.py). With measured errors alone, or mixtures in which both are smaller, the student adapted to what is
particular to rendered people: it got worse on a real person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from josh_core.student.features import FPS, StudentFeatures, StudentInput, lines_of_sight, student_features
from josh_core.student.training.assumed_noise import ASSUMED_NOISE, ATTACHED_LANDMARKS, landmark_sigma
from josh_core.student.training.measured_noise import (
    MeasuredNoise,
    crop,
    facing,
    features,
    measured_noise,
    mirror,
    unpack,
)
from josh_core.student.training.motions import Pool

# Numbers inside the functions below are ranges chosen by hand, not measured.
KIND_SHARES = (0.3, 0.2, 0.5)  # of static, rotating and moving cameras; chosen by hand
# Share of windows in half of whose frames the legs are exchanged: of people seen from the side it was 3.7 % of frames
# (docs/STUDENT.md, "How the landmark network errs").
LEG_SWAP_SHARE = 0.08
SWAPPED_LEGS = [*range(25), *(k + 1 - 2 * (k % 2 == 0) for k in range(25, 33))]  # knees, ankles, heels and toes
ARMS, LEGS = list(range(13, 23)), list(range(25, 33))  # landmarks from elbow to fingers, from knee to toes
FACING_BANDWIDTH = 0.5  # rad, width of the kernel on the direction faced by which recorded errors are drawn; by hand
# Standard deviations over windows, chosen by hand: of the log of the size of recorded errors, and of the guess's size.
RECORDED_SPREAD, SIZE_ERROR = 0.2, 0.03


@dataclass(frozen=True)
class Truth:
    """The network's targets for B windows of T frames, in the axes of sight."""

    rotations: Tensor  # [B,T,24,3,3] local, 0 is the root in the axes of sight
    betas: Tensor  # [B,10]
    log_depth: Tensor  # [B,T] log of the pelvis' depth in m times the landmarks' spread (StudentFeatures.size)
    offset: Tensor  # [B,T,2] pelvis relative to the landmarks' mean, over their spread
    up: Tensor  # [B,T,3] unit
    velocity: Tensor  # [B,T,3] m/s of the pelvis in the world, in the axes of the root
    touch: Tensor  # [B,T,P] 0 or 1
    world_from_sight: Tensor  # [B,T,3,3]
    mask: Tensor  # [B,MASKS] how far each kind of target is trusted: 1 for simulated windows


MASKS = ("pose", "betas", "place", "up", "velocity", "touch")


def simulate(pool: Pool, batch: int, frames: int, generator: torch.Generator) -> tuple[StudentFeatures, Truth]:
    """`batch` random windows of `frames` frames of the pool, seen by random cameras: features and targets."""
    rand = _Random(generator)
    motion = rand.integers(len(pool.rotations), (batch,))
    start = rand.integers(pool.rotations.shape[1] - frames + 1, (batch,))
    at = start[:, None] + torch.arange(frames)

    def take(array: object) -> Tensor:
        return torch.as_tensor(array)[motion[:, None], at].float()

    landmarks, rotations, joints = take(pool.landmarks), take(pool.rotations), take(pool.joints)
    world_from_cam, centre, kind = _cameras(rand, landmarks)
    in_cam = (landmarks - centre[:, :, None]) @ world_from_cam
    in_cam = torch.cat([in_cam[..., :2], in_cam[..., 2:].clamp_min(0.4)], -1)
    focal_error = torch.exp(0.08 * rand.normal(batch, 1, 1, 1))  # the focal is an estimate: rays scale with it
    rays, visibility, guess = _observe(rand, in_cam)
    turn, travel = _camera_motion(rand, world_from_cam, centre, kind)
    one_hot = torch.nn.functional.one_hot(kind, 3).float()[:, None].expand(batch, frames, 3)
    given = student_features(StudentInput(rays * focal_error, visibility, guess, turn, travel, one_hot))
    sight_from_world = given.sight.mT @ world_from_cam.mT
    pelvis = ((joints[:, :, 0] - centre)[..., None, :] @ world_from_cam)[..., 0, :]
    pelvis = torch.cat([pelvis[..., :2], pelvis[..., 2:] / focal_error[..., 0]], -1)
    pelvis = (pelvis[..., None, :] @ given.sight)[..., 0, :]
    depth = pelvis[..., 2].clamp_min(0.3)
    velocity = torch.gradient(joints[:, :, 0], dim=1)[0] * FPS
    truth = Truth(
        rotations=torch.cat([(sight_from_world @ rotations[:, :, 0])[:, :, None], rotations[:, :, 1:]], 2),
        betas=torch.as_tensor(pool.betas)[motion],
        log_depth=(depth * given.size).log(),
        offset=(pelvis[..., :2] / depth[..., None] - given.middle) / given.size[..., None],
        up=sight_from_world[..., 1],
        velocity=(velocity[..., None, :] @ rotations[:, :, 0])[..., 0, :],
        touch=take(pool.touch),
        world_from_sight=sight_from_world.mT,
        mask=torch.ones(batch, len(MASKS)),
    )
    return given, truth


class _Random:
    """Random tensors from one generator, so that a training can be stopped and continued."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def integers(self, high: int, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(high, shape, generator=self.generator)

    def slow(self, batch: int, frames: int, shape: tuple[int, ...], knots: float) -> Tensor:
        """Smooth noise [batch,frames,*shape] of standard deviation about 1 with knots every `knots` frames."""
        many, channels = int(frames / knots) + 3, max(1, math.prod(shape))
        values = self.normal(batch, channels, many)
        at = torch.arange(frames) / knots + self.uniform(batch, 1)
        low = at.long()
        share = 0.5 - 0.5 * torch.cos(math.pi * (at - low))
        low = low[:, None].expand(-1, channels, -1)
        mixed = values.gather(2, low) * (1 - share[:, None]) + values.gather(2, low + 1) * share[:, None]
        return (1.2 * mixed).mT.reshape(batch, frames, *shape)


def _cameras(rand: _Random, landmarks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """world_from_cam rotations [B,T,3,3], centres [B,T,3] m and kinds [B] of cameras; landmarks: [B,T,33,3] m."""
    b, t = landmarks.shape[:2]
    kind = torch.multinomial(torch.tensor(KIND_SHARES), b, True, generator=rand.generator)
    turns, travels = (kind > 0).float()[:, None, None], (kind == 2).float()[:, None, None]
    root = landmarks[:, :, [23, 24]].mean(2)
    flat = torch.tensor([1.0, 0, 1])
    distance = torch.exp(math.log(1.8) + rand.uniform(b) * math.log(10.0 / 1.8))
    azimuth = 2 * math.pi * rand.uniform(b)
    usual = rand.uniform(b) < 0.85
    height = torch.where(usual, 0.8 + 1.2 * rand.uniform(b), 0.2 + 3.8 * rand.uniform(b))
    away = torch.stack([azimuth.sin() * distance, height, azimuth.cos() * distance], -1)
    middle = root.mean(1, keepdim=True)
    follow = (root - middle) * flat * 1.2 * rand.uniform(b, 1, 1)
    seconds = (torch.arange(t)[None, :, None] - t / 2) / FPS
    drift = rand.normal(b, 1, 3) * torch.tensor([0.5, 0.08, 0.5]) * seconds
    move = (follow + drift + 0.12 * rand.slow(b, t, (3,), 20.0)) * travels
    centre = middle * flat + away[:, None] + move + 0.004 * rand.slow(b, t, (3,), 3.0) * turns
    near = distance[:, None, None]
    aim = middle + (root - middle) * rand.uniform(b, 1, 1) * turns + 0.09 * near * rand.normal(b, 1, 3)
    aim = aim + 0.03 * near * rand.slow(b, t, (3,), 15.0) * turns
    ahead = torch.nn.functional.normalize(aim - centre, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(ahead, torch.tensor([0.0, 1, 0]).expand_as(ahead)), dim=-1)
    axes = torch.stack([right, torch.linalg.cross(ahead, right), ahead], -1)
    wide = torch.where(rand.uniform(b, 1) < 0.65, 0.05, 0.35)  # a third of all cameras is clearly rolled
    roll = rand.normal(b, 1) * wide + 0.01 * rand.slow(b, t, (), 8.0) * turns[..., 0]
    about = torch.stack([0 * roll, 0 * roll, roll], -1)
    return axes @ roma.rotvec_to_rotmat(about), centre, kind


def _camera_motion(rand: _Random, world_from_cam: Tensor, centre: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
    """Angular velocity [B,T,3] rad/s and direction of travel [B,T,3], with about the errors of a solved camera path."""
    step = roma.rotmat_to_rotvec(world_from_cam[:, :-1].mT @ world_from_cam[:, 1:])
    turn = torch.cat([step, step[:, -1:]], 1) * FPS
    error = 0.03 * rand.normal(*turn.shape) + 0.05 * turn * rand.normal(len(kind), 1, 1)
    moved = torch.cat([centre[:, 1:] - centre[:, :-1], (centre[:, -1] - centre[:, -2])[:, None]], 1) * FPS
    moved = (world_from_cam.mT @ moved[..., None])[..., 0] + 0.05 * rand.normal(*moved.shape)
    travel = torch.nn.functional.normalize(moved, dim=-1) + 0.1 * rand.normal(len(kind), 1, 3)
    travel = torch.nn.functional.normalize(travel + 0.1 * rand.normal(*travel.shape), dim=-1)
    return turn + (kind > 0)[:, None, None] * error, travel * (kind == 2)[:, None, None]


def _observe(rand: _Random, in_cam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rays, visibility and 3D guess (axes of sight) of landmarks [B,T,33,3] m in the camera."""
    b, t = in_cam.shape[:2]
    sight = lines_of_sight(in_cam[..., :2] / in_cam[..., 2:], torch.ones(b, t, 33))
    relative = in_cam @ sight
    relative = relative - relative[..., [23, 24], :].mean(-2, keepdim=True)
    share = rand.uniform(b)
    (shift0, seen0, guess0), (shift, seen, guess) = (
        _measured_observations(rand, relative, measured_noise()),
        _assumed_observations(rand, relative),
    )
    part = share.view(b, 1, 1, 1)
    shift = shift + part * shift0
    visibility = torch.lerp(seen, seen0, share.view(b, 1, 1))
    guess = guess + part * (guess0 - relative)
    shift = torch.cat([shift, torch.zeros_like(shift[..., :1])], -1) @ sight.mT
    rays = (in_cam[..., :2] + shift[..., :2]) / in_cam[..., 2:]
    guess = guess - guess[..., [23, 24], :].mean(-2, keepdim=True)
    wrong = (rand.uniform(b, 1) < LEG_SWAP_SHARE) & (rand.slow(b, t, (), 8.0) > 0)
    return (
        torch.where(wrong[..., None, None], rays[..., SWAPPED_LEGS, :], rays),
        torch.where(wrong[..., None], visibility[..., SWAPPED_LEGS], visibility),
        torch.where(wrong[..., None, None], guess[..., SWAPPED_LEGS, :], guess),
    )


def _measured_observations(rand: _Random, relative: Tensor, noise: MeasuredNoise) -> tuple[Tensor, Tensor, Tensor]:
    """Measured errors: shift across the line of sight [B,T,33,2] m, visibility [B,T,33], 3D guess [B,T,33,3] m.

    relative: true landmarks [B,T,33,3] m about the hips; all in the axes of sight.
    """
    b = len(relative)
    here = crop(relative)
    errors = features(here.points, noise.least, noise.most) @ noise.expected + _recorded_residuals(
        rand, here.points, noise
    )
    guess, across, odds = unpack(errors)
    shift = torch.cat([across, torch.zeros_like(across[..., :1])], -1) @ here.axes.mT
    scale = torch.exp(SIZE_ERROR * rand.normal(b, 1, 1, 1))
    turned = (here.points + guess) @ here.axes.mT * scale
    return shift[..., :2] * here.size[..., None, None], torch.sigmoid(odds), turned


def _recorded_residuals(rand: _Random, points: Tensor, noise: MeasuredNoise) -> Tensor:
    """Residuals [B,T,ERROR_COUNT] that pose and view do not predict, recorded from people seen from a similar side.

    They are played forward or backward, and mirrored in half of cases.
    """
    b, t = points.shape[:2]
    length = noise.scores.shape[1]
    look = facing(points[:, t // 2])
    flipped = noise.facing * noise.facing.new_tensor([1.0, -1.0])
    cosine = look @ torch.cat([noise.facing, flipped]).T
    drawn = torch.multinomial(torch.exp((cosine - 1) / FACING_BANDWIDTH**2) + 1e-6, 1, generator=rand.generator)[:, 0]
    way = 1 - 2 * rand.integers(2, (b,))
    at = rand.integers(2 * length, (b,))[:, None] + way[:, None] * torch.arange(t)
    at = length - 1 - (length - 1 - at % (2 * length - 2)).abs()  # reversed where the sequence ends
    number = len(noise.scores)
    errors = noise.scores[drawn % number][torch.arange(b)[:, None], at] @ noise.modes
    errors = torch.where((drawn >= number)[:, None, None], mirror(errors), errors)
    white = noise.rest_white
    rest = white.sqrt() * rand.normal(*errors.shape) + (1 - white).sqrt() * rand.slow(b, t, errors.shape[2:], 5.0)
    return (errors + noise.rest * rest) * torch.exp(RECORDED_SPREAD * rand.normal(b, 1, 1))


def _assumed_observations(rand: _Random, relative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As _measured_observations, with the errors of assumed_noise.py."""
    b, t = relative.shape[:2]
    hidden = _occlusion(rand, relative)
    visibility = 0.85 + 0.15 * rand.uniform(b, t, 33)
    visibility = (visibility * (1 - hidden) + 0.04 * rand.normal(b, t, 33)).clamp(0.01, 1)
    level = torch.exp(ASSUMED_NOISE.level * rand.normal(b, 1, 1))
    sigma = (landmark_sigma() * (1 + ASSUMED_NOISE.occluded_factor * hidden) * level)[..., None]
    across = sigma * _mixture(rand, (b, t), 2, ASSUMED_NOISE.across)
    own = sigma * _mixture(rand, (b, t), 2, ASSUMED_NOISE.across)
    along = sigma * _mixture(rand, (b, t), 1, ASSUMED_NOISE.along)
    guess = _depth_error(rand, relative) + torch.cat([0.6 * across + 0.6 * own, along], -1)
    guess = guess @ roma.rotvec_to_rotmat(_orientation_error(rand, b, t)).mT
    scale = (ASSUMED_NOISE.scale + 0.06 * rand.normal(b, 1, 1, 1)) * (1 + 0.04 * rand.slow(b, t, (1, 1), 8.0))
    return across, visibility, guess * scale


def _mixture(rand: _Random, shape: tuple[int, int], axes: int, mix: tuple[float, float, float]) -> Tensor:
    """Noise [B,T,33,axes] with a white, a slow and a constant part."""
    b, t = shape
    white, slow, constant = mix
    return (
        white * rand.normal(b, t, 33, axes)
        + slow * rand.slow(b, t, (33, axes), 7.0)
        + constant * rand.normal(b, 1, 33, axes)
    )


def _occlusion(rand: _Random, relative: Tensor) -> Tensor:
    """How much [B,T,33] in [0, 1] each landmark is hidden: far limbs for some time, or a part of the body cut off."""
    b, t = relative.shape[:2]
    hidden = torch.zeros(b, t, 33)
    for joint, (_, members) in ATTACHED_LANDMARKS.items():
        chance = torch.sigmoid((relative[:, :, joint, 2].mean(1) - 0.12) * 12) * 0.55 + 0.03
        on = (rand.uniform(b) < chance).float()[:, None] * torch.sigmoid(4 * rand.slow(b, t, (), 10.0) + 2)
        amount = (on * rand.uniform(b, 1))[..., None]
        hidden[..., members] = torch.maximum(hidden[..., members], amount)
    for rows, share in ((slice(25, 33), 0.12), (slice(0, 23), 0.03), (slice(27, 33), 0.05)):
        cut = (rand.uniform(b, 1, 1) < share).float() * (0.6 + 0.4 * rand.uniform(b, 1, 1))
        hidden[..., rows] = torch.maximum(hidden[..., rows], cut)
    return hidden


def _depth_error(rand: _Random, relative: Tensor) -> Tensor:
    """A landmark network's 3D guess [B,T,33,3] m: wrong proportions, limbs bent wrongly in depth, depth too flat."""
    b, t = relative.shape[:2]
    guess = relative * (1 + 0.06 * rand.normal(b, 1, 33, 3) * torch.tensor([0.4, 0.4, 1.0]))
    depth = guess[..., 2].clone()
    for joint, (base, members) in ATTACHED_LANDMARKS.items():
        on = (rand.uniform(b) < ASSUMED_NOISE.wrong_bend).float()[:, None] * torch.sigmoid(
            3 * rand.slow(b, t, (), 10.0) + 1
        )
        bend = relative[:, :, joint, 2] - relative[:, :, base, 2]
        depth[..., members] = depth[..., members] - (on * (1.4 * rand.uniform(b, 1) - 0.1) * bend)[..., None]
    depth = _damped_swing(rand, depth)
    flat = 0.95 + 0.15 * rand.normal(b, 1, 1) + 0.1 * rand.slow(b, t, (1,), 10.0)
    return torch.cat([guess[..., :2], (depth * flat)[..., None]], -1)


def _damped_swing(rand: _Random, depth: Tensor) -> Tensor:
    """Depths [B,T,33] with a random share of their motion over the window, one for both arms and one for both legs.

    A student that is taught with a guess of full swing trusts it, and moves limbs too little along the line of sight.
    """
    least, most = ASSUMED_NOISE.swing
    share = least + (most - least) * rand.uniform(len(depth), 1, 2)
    still = depth.mean(1, keepdim=True)
    of_limb = torch.ones(len(depth), 1, 33)
    of_limb[..., ARMS], of_limb[..., LEGS] = share[..., :1], share[..., 1:]
    return still + of_limb * (depth - still)


def _orientation_error(rand: _Random, b: int, t: int) -> Tensor:
    """Rotation vectors [B,T,3] of the error in orientation of the whole guess: largest about the vertical."""
    constant, slow = torch.tensor(ASSUMED_NOISE.rotation_constant), torch.tensor(ASSUMED_NOISE.rotation_slow)
    turned = constant * rand.normal(b, 1, 3) + slow * rand.slow(b, t, (3,), 9.0)
    return turned[:, :, None].expand(b, t, 1, 3)[:, :, 0]
