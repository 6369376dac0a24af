"""Motions for training: motion capture and random poses on random bodies, with varied tempo, side, heading and ground.

A quarter are walks on stairs, kerbs, slopes and curves (terrain.py); all others are on a floor at y = 0. +Y up, metres,
FPS frames a second. The whole pool is determined by one seed.

The shares, ranges and weights below were chosen by hand and not measured, except where a comment says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from josh_core.body import BodyModel
from josh_core.body.names import MIRRORED_JOINTS, PARENTS
from josh_core.bodyfit.pose_prior import PosePrior, pose_prior
from josh_core.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from josh_core.student.features import FPS
from josh_core.student.parts import FOOT_ROWS, PARTS, part_columns
from josh_core.student.training.squats import rest_legs, squat_or_sit
from josh_core.student.training.terrain import Walk, move_to_terrain
from josh_core.types import Bool, Float

# Chosen by hand, except where a measurement or a source is given.
MOCAP_FILE = Path(__file__).parent / "assets" / "mocap.npz"

UPPER_JOINTS = np.array([3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23])
END_JOINTS = [10, 11, 22, 23]  # toes and fingers, which rotate little
# How often a clip is drawn (1.5 for all others): everyday motion more often, acrobatics less.
CLIP_WEIGHTS = {"walk": 8.0, "run": 3.0, "crawl": 0.7, "backflip": 0.3, "cartwheel": 0.5, "roll": 0.5, "spin": 0.5}
SQUAT_SHARE = 0.15  # share of motions in which the person squats or sits
MARGIN_FRAMES = 36  # frames made before and after such a walk, in which the first and last steps are completed
TERRAIN_SHARE = 0.25  # share of motions that are walks on other ground than a floor, or along curves
TEMPO_RANGE = (0.6, 1.4)  # frames of the source per frame of the motion
TOUCH_SPEED = 0.25  # m/s, only slower points are in contact
TOUCH_HEIGHT = 0.05  # m over the floor, only lower points are in contact


@dataclass(frozen=True)
class Pool:
    """M motions of T frames, world frame (floor y = 0, where there is a floor)."""

    rotations: Float  # [M,T,24,3,3] f32 local; 0 is the root in the world
    transl: Float  # [M,T,3] f32 m
    betas: Float  # [M,10] f32
    joints: Float  # [M,T,24,3] f32 m
    landmarks: Float  # [M,T,33,3] f32 m
    touch: Bool  # [M,T,P] contact of parts.PARTS


@dataclass(frozen=True)
class _Source:
    turned: Float  # [T,24,3,3]
    pelvis: Float  # [T,3] leg lengths
    weight: float
    walks: bool


def make_pool(body: BodyModel, count: int, frames: int, seed: int) -> Pool:
    """`count` motions of `frames` frames."""
    rng, sources, prior, rest = np.random.default_rng(seed), _sources(), pose_prior(), rest_legs(body)
    made = []
    for _ in range(count):
        betas, kind = rng.normal(size=10) * np.r_[1.0, np.full(9, 0.7)], rng.random()
        if kind < TERRAIN_SHARE:
            way = _walk_motion(rng, sources, prior, frames + 2 * MARGIN_FRAMES)
        elif kind < TERRAIN_SHARE + SQUAT_SHARE:
            way = _squat_motion(rng, sources, prior, rest, frames)
        else:
            way = _varied_motion(rng, sources, prior, frames)
        grounded = _set_on_floor(body, betas, *_vary_heading(rng, prior, *way))
        made.append(_move_to_terrain(rng, body, *grounded) if kind < TERRAIN_SHARE else grounded)
    columns = [np.stack(column) for column in zip(*made, strict=True)]
    return Pool(*(c if c.dtype == bool else c.astype(np.float32) for c in columns))


def smooth_noise(rng: np.random.Generator, n: int, shape: tuple[int, ...], frames: float) -> Float:
    """Gaussian noise [n,*shape] of standard deviation 1, smoothed over `frames` frames."""
    pad = 4 * int(frames)
    noise = gaussian_filter1d(rng.normal(size=(n + 2 * pad, *shape)), frames, axis=0)[pad : pad + n]
    return noise * np.sqrt(2 * np.sqrt(np.pi) * frames)


def _sources() -> list[_Source]:
    with np.load(MOCAP_FILE, allow_pickle=False) as stored:
        names = sorted(key.removesuffix("_pelvis") for key in stored.files if key.endswith("_pelvis"))
        return [
            _Source(
                rotvec_to_rotmat(stored[f"{name}_rotvec"].astype(np.float64)),
                stored[f"{name}_pelvis"].astype(np.float64),
                CLIP_WEIGHTS.get(name, 1.5),
                name == "walk",
            )
            for name in names
        ]


def _clip_excerpt(rng: np.random.Generator, sources: list[_Source], n: int) -> tuple[Float, Float]:
    """n frames of a random clip at a random tempo, forward and backward if it is short, in half of cases mirrored.

    Local rotations [n,24,3,3] and pelvis [n,3] in leg lengths.
    """
    weights = np.array([s.weight for s in sources])
    source = sources[rng.choice(len(sources), p=weights / weights.sum())]
    last, tempo = len(source.pelvis) - 1, rng.uniform(*TEMPO_RANGE)
    at = rng.uniform(0, max(0.0, last - n * tempo)) + tempo * np.arange(n)
    at = last - np.abs(last - at % (2 * last))
    low = np.clip(at.astype(int), 0, last - 1)
    share = at - low
    step = rotmat_to_rotvec(source.turned[low].swapaxes(-1, -2) @ source.turned[low + 1])
    turned = source.turned[low] @ rotvec_to_rotmat(step * share[:, None, None])
    pelvis = source.pelvis[low] * (1 - share[:, None]) + source.pelvis[low + 1] * share[:, None]
    if rng.random() < 0.5:
        mirror = np.diag([-1.0, 1, 1])
        return mirror @ turned[:, list(MIRRORED_JOINTS)] @ mirror, pelvis * [-1, 1, 1]
    return turned, pelvis


def _random_pose(rng: np.random.Generator, prior: PosePrior, n: int) -> Float:
    """Slowly changing local rotations [n,24,3,3] within the pose prior; the root stays unrotated."""
    sigma = np.minimum(prior.sigma, 1.2)
    sigma[0] = 0
    middle = prior.mean + sigma * rng.uniform(0.5, 1.1) * rng.normal(size=(24, 3))
    vectors = middle + sigma * rng.uniform(0.1, 0.6) * smooth_noise(rng, n, (24, 3), rng.uniform(6, 25))
    vectors = np.clip(vectors, prior.least, prior.most)
    vectors[:, END_JOINTS] *= 0.3
    return rotvec_to_rotmat(vectors)


def _squat_motion(
    rng: np.random.Generator, sources: list[_Source], prior: PosePrior, rest: Float, n: int
) -> tuple[Float, Float, Bool]:
    """A squat or sitting down, with the upper body of another motion or a random one; fields as of _varied_motion."""
    bent = squat_or_sit(rng, rest, n)
    other = _clip_excerpt(rng, sources, n)[0] if rng.random() < 0.5 else _random_pose(rng, prior, n)
    bent.turned[:, UPPER_JOINTS] = other[:, UPPER_JOINTS]
    return bent.turned, bent.pelvis, bent.seated


def _varied_motion(
    rng: np.random.Generator, sources: list[_Source], prior: PosePrior, n: int
) -> tuple[Float, Float, Bool]:
    """A varied motion: rotations [n,24,3,3], pelvis [n,3] in leg lengths, and whether the seat bears weight [n]."""
    turned, pelvis = _clip_excerpt(rng, sources, n)
    kind = rng.random()
    if kind < 0.15:  # upper body of another motion
        turned[:, UPPER_JOINTS] = _clip_excerpt(rng, sources, n)[0][:, UPPER_JOINTS]
    elif kind < 0.4:  # random arms and spine
        turned[:, UPPER_JOINTS] = _random_pose(rng, prior, n)[:, UPPER_JOINTS]
    elif kind < 0.7:  # all joints random, the trunk leaning
        turned[:, 1:] = _random_pose(rng, prior, n)[:, 1:]
        turned[:, 0] = rotvec_to_rotmat(rng.normal(0, 0.35, 3) + 0.1 * smooth_noise(rng, n, (3,), 15))
        pelvis = np.tile(pelvis[:1], (n, 1))
    return turned, pelvis, np.zeros(n, bool)


def _walk_motion(
    rng: np.random.Generator, sources: list[_Source], prior: PosePrior, n: int
) -> tuple[Float, Float, Bool]:
    """A walk, in 30 % of cases with random arms and spine; fields as of _varied_motion."""
    turned, pelvis = _clip_excerpt(rng, [s for s in sources if s.walks], n)
    if rng.random() < 0.3:
        turned[:, UPPER_JOINTS] = _random_pose(rng, prior, n)[:, UPPER_JOINTS]
    return turned, pelvis, np.zeros(n, bool)


def _vary_heading(
    rng: np.random.Generator, prior: PosePrior, turned: Float, pelvis: Float, seated: Bool
) -> tuple[Float, Float, Bool]:
    """The same motion with small changes of every joint, in another direction and along a slight curve."""
    n = len(turned)
    sigma = np.minimum(prior.sigma, 0.5)
    sigma[0] = [0.12, 0.12, 0.08]
    sigma[[7, 8]] *= 0.5  # ankles less, since feet are mostly flat on the ground
    wobble = sigma * rng.uniform(0, 0.4) * (rng.normal(size=(24, 3)) + 0.5 * smooth_noise(rng, n, (24, 3), 12))
    turned = turned @ rotvec_to_rotmat(wobble)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.008) + 0.008 * smooth_noise(rng, n, (), 20))
    about_y = rotvec_to_rotmat(np.c_[0 * heading, heading, 0 * heading])
    turned[:, 0] = about_y @ turned[:, 0]
    step = np.diff(pelvis, axis=0, prepend=pelvis[:1]) * [1, 0, 1]
    way = np.cumsum((about_y @ step[..., None])[..., 0], axis=0)
    return turned, np.c_[way[:, 0], pelvis[:, 1], way[:, 2]], seated


def _set_on_floor(body: BodyModel, betas: Float, turned: Float, pelvis: Float, seated: Bool) -> tuple[Float, ...]:
    """The fields of Pool for one motion: lowest point on the floor except in flight, feet in contact held still."""
    n = len(turned)
    with torch.no_grad():
        posed = body.points(
            torch.as_tensor(betas, dtype=torch.float32).expand(n, -1),
            torch.as_tensor(turned, dtype=torch.float32),
            torch.zeros(n, 3),
        )
    joints, contacts, landmarks = (x.double().numpy() for x in (posed.joints, posed.contacts, posed.landmarks))
    leg = np.linalg.norm(joints[0, 4] - joints[0, 1]) + np.linalg.norm(joints[0, 7] - joints[0, 4])
    feet = np.stack([contacts[:, c].mean(1) for c in part_columns(body, feet_only=True)], 1)  # [n,6,3]
    low = contacts[..., 1].min(1)
    carried = pelvis[:, 1] * leg - joints[:, 0, 1]
    carried = carried - np.percentile(carried + low, 15)
    flies = carried + low > 0.1
    height = gaussian_filter1d(np.where(flies, carried, -low), 1.0)
    path = _hold_feet(feet, pelvis[:, [0, 2]] * leg - joints[:, 0, [0, 2]], low, flies)
    transl = np.c_[path[:, 0], height, path[:, 1]]
    world = np.stack([contacts[:, c].mean(1) for c in part_columns(body)], 1) + transl[:, None]
    lowest = np.stack([contacts[:, c, 1].min(1) for c in part_columns(body)], 1) + height[:, None]
    speed = np.linalg.norm(np.gradient(world, axis=0), axis=-1) * FPS
    touch = (speed < TOUCH_SPEED) & (lowest < TOUCH_HEIGHT)
    touch[:, PARTS.index("seat")] |= seated
    return turned, transl, betas, joints + transl[:, None], landmarks + transl[:, None], touch


def _move_to_terrain(rng: np.random.Generator, body: BodyModel, *made: Float) -> tuple[Float, ...]:
    """The fields of Pool for a walk moved to other ground (terrain.py); made: the fields for the walk on the floor."""
    turned, _, betas, joints, _, touch = made
    world = turned.copy()
    for joint, parent in enumerate(PARENTS[1:], 1):
        world[:, joint] = world[:, parent] @ turned[:, joint]
    stands = np.stack([touch[:, rows].any(1) for rows in FOOT_ROWS], 1)
    shape = torch.as_tensor(betas, dtype=torch.float32)
    rest = body.rest_joints(shape[None])[0].double().numpy()
    turned, pelvis = move_to_terrain(rng, Walk(turned, world, joints, stands), rest, FPS)
    transl = pelvis - rest[0]
    with torch.no_grad():
        rotations, move = (torch.as_tensor(x, dtype=torch.float32) for x in (turned, transl))
        posed = body.points(shape.expand(len(turned), -1), rotations, move)
    own = slice(MARGIN_FRAMES, -MARGIN_FRAMES)
    return turned[own], transl[own], betas, posed.joints[own].numpy(), posed.landmarks[own].numpy(), touch[own]


def _hold_feet(feet: Float, free: Float, low: Float, flies: Bool) -> Float:
    """Horizontal translation [n,2] m that keeps the lowest foot parts still, and follows `free` [n,2] without contact.

    feet: [n,6,3] m of the body at translation zero; low: [n] m, its lowest point; flies: [n].
    """
    above = feet[..., 1] - low[:, None]
    hold = np.exp(-above / 0.012) * (above < 0.05) * ~flies[:, None]
    hold = gaussian_filter1d(np.minimum(hold[1:], hold[:-1]), 0.7, axis=0)
    total = hold.sum(1, keepdims=True)
    stand = -(hold[..., None] * np.diff(feet[..., [0, 2]], axis=0)).sum(1) / np.maximum(total, 1e-6)
    share = np.clip(total / 0.3, 0, 1)
    step = share * stand + (1 - share) * np.diff(free, axis=0)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])
