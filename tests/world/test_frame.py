"""World frame, floor and scale from people who stand at known places before a known camera."""

import numpy as np
import pytest
import torch

from josh_core.body.model import load_body
from josh_core.body.move import move_body
from josh_core.body.names import FEET, is_part
from josh_core.body.posing import track_points
from josh_core.geometry import invert, rigid, rotation_angle, rotvec_to_rotmat, transform
from josh_core.types import BodyTrack, CameraPath, Contacts, DepthMaps, Floor, Matches, Scale, Scene
from josh_core.world import frame as world
from josh_core.world.gravity import find_gravity
from josh_core.world.metric_scale import ASSUMED_CAMERA_HEIGHT, assumed_scale, metric_scale

SIZE = (640, 480)
FOCAL = 600.0


@pytest.fixture(scope="module")
def body():
    return load_body()


def tilted_cameras(tilt_degrees=12.0, steps=20, travel=0.0):
    """world_from_cam [T,4,4]: 1.5 m over the floor, heading -Z, tilted down, moving along -Z by `travel` m."""
    flip = np.diag([1.0, -1.0, -1.0])  # OpenCV camera that looks along -Z of a y-up world
    tilt = rotvec_to_rotmat(np.array([np.radians(-tilt_degrees), 0, 0]))
    at = np.stack([np.zeros(steps), np.full(steps, 1.5), -np.linspace(0, travel, steps)], 1)
    return rigid(np.broadcast_to(tilt @ flip, (steps, 3, 3)), at)


def betas_of_height(body, height):
    """Betas [10] of a height in m, which grows with the first one."""
    first = np.linspace(-4, 4, 801)
    heights = body.height(torch.tensor(first[:, None] * np.eye(10)[:1], dtype=torch.float32)).numpy()
    return torch.tensor(np.interp(height, heights, first) * np.eye(10)[0], dtype=torch.float32)


def standing(body, cameras, places, height=1.7):
    """BodyTrack of somebody who stands upright at `places` [n,3], one a frame, facing +Z."""
    n = len(places)
    betas = betas_of_height(body, height)
    pelvis = body.pelvis(betas[None])
    eye = torch.eye(3).expand(n, 24, 3, 3)
    sole = body.points(betas[None], eye[:1], torch.zeros(1, 3)).contacts[0, :, 1].min()
    transl = torch.tensor(places, dtype=torch.float32) - torch.tensor([0.0, float(sole), 0.0])
    cam_from_world = torch.tensor(invert(cameras[:n]), dtype=torch.float32)
    root, transl_cam = move_body(cam_from_world, eye[:, 0], transl, pelvis.expand(n, -1))
    rotations = torch.cat([root[:, None], eye[:, 1:]], 1)
    return BodyTrack(
        0, np.arange(n), betas.numpy(), rotations.numpy(), transl_cam.numpy(), FOCAL, height
    ), transl.numpy()


def feet_contacts(body, n):
    touching = np.array([is_part(name, FEET) for name in body.contact_names], float)
    return Contacts(np.broadcast_to(touching, (n, len(touching))), body.contact_names)


def places_of(n, rng=None):
    t = np.linspace(0, 1, n)
    return np.stack([np.sin(3 * t), np.zeros(n), -4 - 2 * t], 1)


def path(cameras, kind="static", scene_from_world=None):
    scene_from_world = np.eye(4) if scene_from_world is None else scene_from_world
    n = len(cameras)
    return CameraPath(kind, scene_from_world @ cameras, FOCAL, 0.02, np.arange(0, n, 5), np.ones(n, bool))


def test_floor_from_people_finds_tilt_and_height(body):
    cameras = tilted_cameras()
    track, _ = standing(body, cameras, places_of(20))
    still = path(np.broadcast_to(np.eye(4), (20, 4, 4)).copy())  # the scene's world is the camera
    points = [track_points(track, body)]
    up = find_gravity(still, (track,), points)
    floor = world.floor_from_people(still, (track,), points, (feet_contacts(body, 20),), up)
    true_up = cameras[0, :3, :3].T @ [0, 1, 0]
    assert np.degrees(np.arccos(floor.normal @ true_up)) < 1.0
    assert floor.offset == pytest.approx(1.5, abs=0.05)  # height of the camera, which is the origin


def test_one_spot_is_enough_for_a_floor(body):
    track, _ = standing(body, tilted_cameras(), np.tile([0.2, 0, -4.0], (20, 1)))
    still = path(np.broadcast_to(np.eye(4), (20, 4, 4)).copy())
    points = [track_points(track, body)]
    up = find_gravity(still, (track,), points)
    floor = world.floor_from_people(still, (track,), points, None, up)
    assert np.isfinite(floor.normal).all() and floor.offset == pytest.approx(1.5, abs=0.15)


def test_people_come_back_to_where_they_stood(body):
    cameras = tilted_cameras()
    track, transl = standing(body, cameras, places_of(20))
    frame = world.WorldFrame(1.0, np.eye(3), np.zeros(3), "height")
    motion = world.person_in_world(track, frame.cameras(cameras), np.zeros((20, 40)), body)
    assert np.abs(motion.transl - transl).max() < 1e-5
    assert np.abs(motion.pose).max() < 1e-4


def test_world_frame_follows_the_conventions():
    cameras = tilted_cameras(travel=2.0)
    twist = rigid(rotvec_to_rotmat(np.array([0.4, -1.0, 2.0])), np.array([3.0, -2.0, 1.0]))
    shrunk = cameras.copy()
    shrunk[:, :3, 3] /= 2.5
    scene = path(shrunk, "moving", twist)
    normal = twist[:3, :3] @ [0, 1, 0]
    floor = Floor(normal, -float(normal @ twist[:3, 3]), 1.0)
    frame = world.world_frame(scene, normal, floor, Scale(2.5, "contact", 0.01))
    back = frame.cameras(scene.world_from_cam)
    assert np.allclose(back, cameras, atol=1e-6)
    assert np.allclose(back[0, [0, 2], 3], 0) and back[0, 1, 3] == pytest.approx(1.5)


def test_a_camera_looking_straight_down_has_a_heading():
    down = rigid(np.diag([1.0, -1.0, -1.0]) @ rotvec_to_rotmat(np.array([-np.pi / 2, 0, 0])), np.array([0, 2.0, 0]))
    frame = world.world_frame(path(down[None]), np.array([0, 1.0, 0]), None, Scale(1.0, "assumed", 0.5))
    assert np.isfinite(frame.rotation).all()
    assert rotation_angle(frame.rotation @ frame.rotation.T) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("touching", "source"), [(True, "contact"), (False, "height")])
def test_scale_is_body_depth_over_scene_depth(body, touching, source):
    cameras = tilted_cameras(travel=2.0)
    track, _ = standing(body, cameras, places_of(20))
    shrunk = cameras.copy()
    shrunk[:, :3, 3] *= 0.4  # the scene's unit is 2.5 m
    maps = DepthMaps(np.zeros((4, 12, 16)), np.zeros((4, 12, 16)), np.zeros((4, 12, 16), bool))
    empty = Matches(np.zeros((0, 2), int), np.zeros(1, int), np.zeros((0, 2, 2)), np.zeros(0))
    contacts = feet_contacts(body, 20)
    if not touching:
        contacts = Contacts(np.zeros_like(contacts.probability), contacts.names)
    scale = metric_scale(
        Scene(path(shrunk, "moving"), empty, maps),
        SIZE,
        Floor(np.array([0, 1.0, 0]), 0.0, 1.0),
        (track,),
        [track_points(track, body)],
        (contacts,),
    )
    assert scale.source == source
    assert scale.metres == pytest.approx(2.5, rel=0.02)
    assert 0 <= scale.sigma < 0.1


@pytest.mark.parametrize("touching", [True, False])
def test_who_stands_on_a_box_does_not_halve_the_scale(body, touching):
    """His feet are before the ground far behind, in more frames than the other one's are on it."""
    cameras = tilted_cameras(travel=2.0)
    high, _ = standing(body, cameras, places_of(20) + [1.0, 0.8, 0.0])
    low, _ = standing(body, cameras, places_of(12))
    maps = DepthMaps(np.zeros((4, 12, 16)), np.zeros((4, 12, 16)), np.zeros((4, 12, 16), bool))
    empty = Matches(np.zeros((0, 2), int), np.zeros(1, int), np.zeros((0, 2, 2)), np.zeros(0))
    contacts = (feet_contacts(body, 20), feet_contacts(body, 12))
    if not touching:
        contacts = tuple(Contacts(np.zeros_like(c.probability), c.names) for c in contacts)
    scene, points = Scene(path(cameras, "moving"), empty, maps), [track_points(t, body) for t in (high, low)]
    floor = Floor(np.array([0, 1.0, 0]), 0.0, 1.0)
    assert metric_scale(scene, SIZE, floor, (high, low), points, contacts).metres == pytest.approx(1.0, rel=0.03)


def test_without_floor_and_depth_the_scale_is_assumed(body):
    cameras = tilted_cameras(travel=2.0)
    track, _ = standing(body, cameras, places_of(20))
    maps = DepthMaps(np.zeros((4, 12, 16)), np.zeros((4, 12, 16)), np.zeros((4, 12, 16), bool))
    empty = Matches(np.zeros((0, 2), int), np.zeros(1, int), np.zeros((0, 2, 2)), np.zeros(0))
    scene = Scene(path(cameras, "moving"), empty, maps)
    points = [track_points(track, body)]
    said = metric_scale(scene, SIZE, None, (track,), points, (feet_contacts(body, 20),))
    assert (said.metres, said.source) == (1.0, "assumed")


def test_a_single_foothold_beside_a_known_depth_tells_the_scale_roughly(body):
    cameras = tilted_cameras(travel=2.0)
    track, _ = standing(body, cameras, places_of(20))
    point = track_points(track, body)
    all_feet = feet_contacts(body, 20)
    probability = all_feet.probability.copy()
    probability[np.arange(20) != path(cameras, "moving").keyframes[1]] = 0.0
    far = float(np.median(point.contacts[..., 2]))
    maps = DepthMaps(np.full((4, 12, 16), far / 2.5), np.ones((4, 12, 16)), np.zeros((4, 12, 16), bool))
    empty = Matches(np.zeros((0, 2), int), np.zeros(1, int), np.zeros((0, 2, 2)), np.zeros(0))
    scene = Scene(path(cameras, "moving"), empty, maps)
    probability[:, np.flatnonzero(probability.max(0) > 0.5)[7:]] = 0.0  # fewer than are needed to be sure
    contacts = Contacts(probability, all_feet.names)
    said = metric_scale(scene, SIZE, None, (track,), [point], (contacts,))
    assert said.source == "contact"
    assert said.metres == pytest.approx(2.5, rel=0.1)
    assert said.sigma >= 0.2


def test_transform_of_frame_matches_its_matrices():
    frame = world.WorldFrame(2.0, rotvec_to_rotmat(np.array([0.1, 0.2, 0.3])), np.array([1.0, 2, 3]), "contact")
    cameras = tilted_cameras(travel=1.0)
    p_cam = np.array([[0.3, -0.2, 4.0]])
    there = frame.points(transform(cameras, p_cam[None]))[:, 0]
    assert np.allclose(transform(frame.cameras(cameras), 2.0 * p_cam[None])[:, 0], there)


@pytest.mark.parametrize(("height", "scale"), [(2.0, 0.8), (0.4, 4.0), (1e-3, 16.0), (-0.5, 16.0)])
def test_the_assumed_scale_is_that_of_the_cameras_height_but_for_cameras_on_the_ground(height, scale) -> None:
    poses = rigid(np.tile(np.eye(3), (5, 1, 1)), np.zeros((5, 3)))
    path = CameraPath("moving", poses, FOCAL, 0.1, np.array([0, 4]), np.ones(5, bool))
    assert assumed_scale(path, Floor(np.array([0, -1.0, 0]), height, 1.0)) == pytest.approx(scale)
    assert pytest.approx(1.6) == ASSUMED_CAMERA_HEIGHT
