"""Walks on other ground: feet that stood go on standing, each on its own level, and the legs reach them."""

from __future__ import annotations

import numpy as np
import pytest

from josh_core.body import load_body
from josh_core.student.features import FPS
from josh_core.student.parts import FOOT_ROWS, PARTS
from josh_core.student.training import motions, terrain
from josh_core.student.training.motions import MARGIN_FRAMES, Pool, make_pool

FRAMES = 60
BALLS = {10: PARTS.index("left_ball"), 11: PARTS.index("right_ball")}


def walks(monkeypatch, kind: str) -> Pool:
    monkeypatch.setattr(motions, "TERRAIN_SHARE", 1.0)
    monkeypatch.setattr(terrain, "TERRAIN_SHARES", {kind: 1.0})
    return make_pool(load_body(), 6, FRAMES, 3)


@pytest.mark.parametrize("kind", ["stairs", "turn"])
def test_feet_that_touch_stay_where_they_are(monkeypatch, kind: str) -> None:
    pool = walks(monkeypatch, kind)
    for joint, row in BALLS.items():
        speed = np.linalg.norm(np.diff(pool.joints[:, :, joint], axis=1), axis=-1) * FPS
        both = pool.touch[:, 1:, row] & pool.touch[:, :-1, row]
        assert both.mean() > 0.2
        assert np.percentile(speed[both], 90) < motions.TOUCH_SPEED


def test_on_stairs_every_stance_is_a_step_higher_or_lower(monkeypatch) -> None:
    pool, least, most = walks(monkeypatch, "stairs"), *terrain.RISE["stairs"]
    steps = []
    for joints, touch in zip(pool.joints, pool.touch, strict=True):
        stands = {
            (a + b) // 2: joints[a:b, 10 + side, 1].min()
            for side in (0, 1)
            for a, b in terrain._runs(touch[:, FOOT_ROWS[side]].any(1))
            if b - a > 6 and a > 0 and b < FRAMES
        }
        steps += list(np.diff([stands[m] for m in sorted(stands)]))
    climbed = np.abs(steps)[np.abs(steps) > 0.05]
    assert len(climbed) > 4
    assert ((climbed > least - 0.03) & (climbed < most + 0.03)).mean() > 0.8


def test_on_the_spot_the_body_turns_and_hardly_travels(monkeypatch) -> None:
    pool = walks(monkeypatch, "turn")
    ahead = pool.rotations[:, :, 0, :, 2]
    turned = np.degrees(np.arccos((ahead[:, 0] * ahead[:, -1])[:, [0, 2]].sum(1).clip(-1, 1)))
    least, _ = terrain.TURNS["turn"]
    assert turned.min() > 0.5 * np.degrees(least) * FRAMES / FPS
    way = np.linalg.norm(np.ptp(pool.joints[:, :, 0], axis=1)[:, [0, 2]], axis=1)
    assert way.max() < 1.0  # the same walk goes 2.5 m straight ahead


def test_a_motion_has_the_frames_that_were_asked_for(monkeypatch) -> None:
    assert walks(monkeypatch, "kerb").joints.shape[1] == FRAMES > MARGIN_FRAMES


def test_on_a_line_the_feet_are_set_before_each_other(monkeypatch) -> None:
    def apart(kind: str) -> float:
        pool = walks(monkeypatch, kind)
        way = (pool.joints[:, -1:, 0] - pool.joints[:, :1, 0])[..., [2, 1, 0]] * [1, 0, -1]  # ahead, turned to the left
        left = way / np.linalg.norm(way, axis=-1, keepdims=True)
        between = pool.joints[:, :, 10] - pool.joints[:, :, 11]
        stand = pool.touch[..., FOOT_ROWS[0]].any(-1) & pool.touch[..., FOOT_ROWS[1]].any(-1)
        return float(np.median((between * left).sum(-1)[stand]))

    line, kerb = apart("line"), apart("kerb")
    assert abs(line) < 0.06 < kerb, (line, kerb)
