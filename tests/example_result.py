"""A made-up finished result: two people walk through a courtyard while the camera moves; the second one comes and goes.

The soles are on the floor y = 0 in every frame, contact follows the height of the contact points.
"""

from __future__ import annotations

import numpy as np

from josh_core.body import BodyModel
from josh_core.body.posing import posed_points, posed_vertices
from josh_core.export.pictures.preview import look_at
from josh_core.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from josh_core.types import Float, PersonMotion, PointCloud, Reconstruction

WIDTH, HEIGHT, FOCAL, FPS = 960, 540, 620.0, 30.0


def made_up_result(body: BodyModel, frames: int = 40, points: int = 5000, seed: int = 0) -> Reconstruction:
    """`frames` frames at 30 fps; person 1 is there in two stretches only."""
    times = np.arange(frames) / FPS
    middle = frames // 2
    stays = np.r_[frames // 10 : middle - 2, middle + 3 : frames - frames // 10]
    people = (
        _walker(body, 0, np.arange(frames), times, (-0.9, -3.0, np.pi)),
        _walker(body, 1, stays, times, (0.6, -8.5, 0.35)),
    )
    s = np.linspace(0, 1, frames)
    eyes = np.stack([1.2 * s, 1.6 + 0.05 * np.sin(9 * s), -1.8 * s], 1)
    return Reconstruction(
        mode="fast",
        tier="embedded",
        camera_kind="moving",
        world_from_cam=np.stack(
            [look_at(eye, np.array([-0.3 * i, 1.0, -6.0])) for eye, i in zip(eyes, s, strict=True)]
        ),
        intrinsics=np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]),
        frame_times=times,
        fps=FPS,
        width=WIDTH,
        height=HEIGHT,
        scene=_courtyard(points, np.random.default_rng(seed)),
        people=people,
        contact_names=body.contact_names,
        scale_source="contact",
        body_model=body.name,
        stages=(("clip", 0.5), ("people", 2.25)),
        settings={"mode": "fast"},
        versions={"josh": "0.1.0"},
        clip={"sha256": "0" * 64, "name": "made up", "seconds": frames / FPS, "trimmed": False},
        licences=("Body: Apache-2.0 and CC0",),
        notes=("This result is made up.",),
    )


def _walker(body: BodyModel, who: int, frames: Float, times: Float, start: tuple[float, float, float]) -> PersonMotion:
    x, z, heading = start
    t = times[frames]
    pose = _gait(t, phase=1.3 * who)
    turn = rotvec_to_rotmat(np.array([0.0, heading, 0.0]))
    pose[:, 0] = rotmat_to_rotvec(turn @ rotvec_to_rotmat(pose[:, 0]))
    betas = np.zeros(10)
    betas[0] = (-0.6, 0.8)[who]
    ahead = turn @ np.array([0.0, 0.0, 1.0])
    transl = np.array([x, 0.0, z]) + np.outer(1.2 * t, ahead)
    transl[:, 1] -= posed_vertices(body, betas, pose, transl)[..., 1].min(1)
    joints, contacts, _ = posed_points(body, betas, pose, transl)
    return PersonMotion(
        id=who,
        frames=np.asarray(frames, np.int32),
        betas=betas.astype(np.float32),
        pose=pose.astype(np.float32),
        transl=transl.astype(np.float32),
        joints=joints.astype(np.float32),
        contact=(1 / (1 + np.exp((contacts[..., 1] - 0.03) / 0.008))).astype(np.float32),
        height_m=1.7,
    )


def _gait(t: Float, phase: float) -> Float:
    """Axis-angle pose [n,24,3] of something like a walk, facing +z."""
    pose = np.zeros((len(t), 24, 3))
    for sign, hip, knee, ankle, shoulder, elbow in ((1, 1, 4, 7, 16, 18), (-1, 2, 5, 8, 17, 19)):
        w = 2 * np.pi * 0.95 * t + phase + (0 if sign > 0 else np.pi)
        pose[:, hip, 0] = -0.42 * np.sin(w)
        pose[:, knee, 0] = 0.35 - 0.35 * np.cos(w + 0.6)
        pose[:, ankle, 0] = 0.12 * np.sin(w)
        pose[:, shoulder, 0] = 0.4 * np.sin(w)
        pose[:, shoulder, 2] = -1.2 * sign
        pose[:, elbow, 1] = -0.35 * sign
    pose[:, 3, 1] = 0.1 * np.sin(2 * np.pi * 0.95 * t + phase)
    return pose


def _courtyard(count: int, rng: np.random.Generator) -> PointCloud:
    """Ground in a 1 m chequer and three walls, 10 m wide and 15 m deep."""
    ground = np.stack([rng.uniform(-5, 5, count // 2), np.zeros(count // 2), rng.uniform(-14, 1, count // 2)], 1)
    chequer = ((np.floor(ground[:, 0]) + np.floor(ground[:, 2])) % 2)[:, None]
    points = [ground]
    colors = [np.where(chequer, [150.0, 140.0, 128.0], [96.0, 92.0, 90.0])]
    for wall, color in enumerate(((170, 110, 80), (190, 180, 140), (80, 120, 70))):
        n = (count - count // 2) // 3
        along, up = rng.uniform(-14, 1, n), rng.uniform(0, 3.5, n)
        side = np.full(n, (-5.0, 5.0, 0.0)[wall])
        back = (np.stack([along / 1.5 + 4.3, up, np.full(n, -14.0)], 1), np.stack([side, up, along], 1))
        points.append(back[0] if wall == 2 else back[1])
        colors.append(np.tile(np.array(color, float), (n, 1)))
    p = np.concatenate(points).astype(np.float32)
    c = np.concatenate(colors) + rng.normal(0, 8, (len(p), 3))
    return PointCloud(p, np.clip(c, 0, 255).astype(np.uint8), rng.uniform(0.5, 1, len(p)).astype(np.float32))
