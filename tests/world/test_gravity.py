"""Up from the picture, the bodies and the ground: who is right when they disagree."""

from dataclasses import replace

import numpy as np
import pytest

from josh_core.body.posing import track_points
from josh_core.geometry import rotvec_to_rotmat
from josh_core.scene.edges import Edges
from josh_core.types import Floor
from josh_core.world.gravity import Gravity, find_gravity, turn_notes
from tests.synthetic import make_scene


@pytest.fixture(scope="module")
def walk():
    return make_scene("walk", "static", frames=40, seed=0)


@pytest.fixture(scope="module")
def march():
    return make_scene("march", "static", frames=40, seed=0)


def turned(synthetic, degrees, legs_still=False):
    """Gravity found after the picture of the people was turned about the line of sight; and the turned true up."""
    points = turned_points(synthetic, degrees, legs_still)
    up_cam = synthetic.truth.world_from_cam[0, :3, :3].T.astype(float) @ [0, 1, 0]
    return find_gravity(synthetic.scene.cameras, synthetic.bodies, points), turn_by(degrees) @ up_cam


def turned_points(synthetic, degrees, legs_still):
    """The people's points turned about the line of sight, in camera axes."""
    points = [track_points(body, synthetic.body) for body in synthetic.bodies]
    if legs_still:
        points = [replace(p, joints=np.broadcast_to(p.joints[5], p.joints.shape)) for p in points]
    turn = turn_by(degrees)
    return [replace(p, joints=p.joints @ turn.T, contacts=p.contacts @ turn.T) for p in points]


def turn_by(degrees):
    return rotvec_to_rotmat(np.array([0, 0, np.radians(degrees)]))


def degrees_between(a, b):
    return np.degrees(np.arccos(np.clip(np.dot(a, b), -1, 1)))


@pytest.mark.parametrize("roll", [0, 20, -90, 180])
def test_a_picture_turned_with_its_walker_keeps_the_walker_upright(walk, roll):
    gravity, up = turned(walk, roll)
    assert degrees_between(gravity.up, up) < max(4.0, 2.5 * np.degrees(gravity.sigma))
    assert degrees_between(gravity.up, up) < 8


def test_the_student_corrects_who_leans_but_turns_no_picture(walk, march):
    """Its up counts beside an upright body; what it says of people in a turned picture, or lying ones, does not."""
    cameras = walk.scene.cameras
    up = cameras.world_from_cam[0, :3, :3] @ walk.truth.world_from_cam[0, :3, :3].T.astype(float) @ [0, 1, 0]

    def found(synthetic, degrees, said, legs_still=False):
        points = turned_points(synthetic, degrees, legs_still)
        ups = tuple(np.tile(said, (len(body.frames), 1)) for body in synthetic.bodies)
        return find_gravity(cameras, synthetic.bodies, points, None, ups).up

    leaning = turned(walk, 6)[0].up
    assert degrees_between(found(walk, 6, up), up) < 0.85 * degrees_between(leaning, up)
    for said in (np.array([0, -1.0, 0]), up):  # of a clip filmed on its side, as if it were not
        assert degrees_between(found(walk, -90, said), turn_by(-90) @ up) < 8
    lies = turn_by(90) @ up  # taken for somebody who stands
    assert degrees_between(found(march, 90, lies, legs_still=True), [0, -1.0, 0]) < 20


def upright_edges(up):
    """Forty edges along `up`, all around."""
    normal = np.cross(up, np.random.default_rng(0).normal(size=(40, 3)))
    return Edges(normal / np.linalg.norm(normal, axis=-1, keepdims=True), np.full(40, 0.3))


def test_edges_of_the_background_correct_who_leans(walk):
    cameras, points = walk.scene.cameras, turned_points(walk, 8, False)
    up = walk.truth.world_from_cam[0, :3, :3].T.astype(float) @ [0, 1, 0]
    without = find_gravity(cameras, walk.bodies, points)
    gravity = find_gravity(cameras, walk.bodies, points, upright_edges(up))
    assert degrees_between(without.up, up) > 2 and degrees_between(gravity.up, up) < 0.7
    assert gravity.sigma < 0.5 * without.sigma


def test_level_edges_are_not_taken_for_up_where_the_picture_lies_on_its_side(walk):
    cameras, points = walk.scene.cameras, turned_points(walk, -90, False)
    level = upright_edges(np.array([0.0, -1.0, 0.0]))  # upright in the picture, in which the walker lies
    assert np.array_equal(
        find_gravity(cameras, walk.bodies, points, level).up, find_gravity(cameras, walk.bodies, points).up
    )


@pytest.mark.parametrize("roll", [90, 180])
def test_somebody_turned_who_does_not_walk_lies_in_an_upright_picture(march, roll):
    gravity, _ = turned(march, roll, legs_still=True)
    picture_up = np.array([0, -1.0, 0])
    assert degrees_between(gravity.up, picture_up) < 20  # pitch alone is free
    assert abs(gravity.up[0]) < np.sin(np.radians(5))


@pytest.mark.parametrize(
    ("roll", "legs_still", "said"),
    [
        (0, False, None),
        (-90, False, "filmed on its side"),
        (180, False, "filmed upside down"),
        (90, True, "Everybody lies"),
        (180, True, "Everybody is head down"),
    ],
)
def test_rolled_clips_and_lying_people_are_reported(walk, march, roll, legs_still, said):
    synthetic = march if legs_still else walk
    gravity, points = turned(synthetic, roll, legs_still)[0], turned_points(synthetic, roll, legs_still)
    notes = turn_notes(gravity, synthetic.scene.cameras, synthetic.bodies, points)
    assert len(notes) == (said is not None)
    assert said is None or said in notes[0]


def test_bodies_sharpen_the_up_direction(walk):
    cameras = walk.scene.cameras
    alone = find_gravity(cameras, (), [])
    together, _ = turned(walk, 0)
    assert degrees_between(alone.up, [0, -1.0, 0]) < 1
    assert np.radians(2) < together.sigma < 0.8 * alone.sigma


def test_a_floor_from_feet_does_not_replace_an_up_that_is_sure():
    up = np.array([0.0, -1.0, 0.0])
    floor = Floor(rotvec_to_rotmat(np.radians([3.0, 0.0, 0.0])) @ up, 1.5, 1.0)
    sure, unsure = (Gravity(up, np.radians(s)).with_ground(floor, independent=False) for s in (0.6, 4.5))
    assert degrees_between(sure.up, up) < 0.5 and degrees_between(unsure.up, floor.normal) < 0.5


def test_ground_counts_where_it_agrees_and_a_slope_does_not(walk):
    gravity, up = turned(walk, 0)
    side = np.cross(up, [0, 0, 1.0])
    level = gravity.with_ground(Floor(up, 1.5, 1.0), independent=True)
    assert degrees_between(level.up, up) < 0.5 * degrees_between(gravity.up, up)
    assert level.sigma < gravity.sigma
    steep = Floor(np.cos(0.5) * up + np.sin(0.5) * side / np.linalg.norm(side), 1.5, 1.0)
    sloping = gravity.with_ground(steep, independent=True)
    assert degrees_between(sloping.up, gravity.up) < 0.5
    assert sloping.sigma == pytest.approx(gravity.sigma, rel=0.05)
    assert gravity.with_ground(None, independent=True) is gravity
