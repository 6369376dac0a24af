"""Body fit against synthetic truth: joints, depth, knees, standing feet, exchanged sides, gaps, hostile tracks."""

from dataclasses import replace

import numpy as np
import pytest

from josh_core.body.names import LANDMARKS
from josh_core.body.posing import track_points
from josh_core.bodyfit.fit import KNOWN_HEIGHT_SIGMA, MEAN_HEIGHT, fit_bodies
from josh_core.bodyfit.left_right import mirror_names
from josh_core.errors import Cancelled
from josh_core.geometry import invert, rotmat_to_rotvec, transform
from josh_core.metrics.accuracy import pa_mpjpe
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import USUAL_HEIGHT_SIGMA, CameraPath, Clip, People
from tests.synthetic import Noise, make_scene

LIMBS = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
LIMB_LANDMARKS = [23, 24, 25, 26, 27, 28, 11, 12, 13, 14, 15, 16]
KNEES = [4, 5]
FEET = [7, 8, 10, 11]


def cameras_of(truth):
    n = len(truth.frame_times)
    focal = float(truth.intrinsics[0, 0])
    return CameraPath(truth.camera_kind, truth.world_from_cam, focal, 0.0, np.arange(n), np.ones(n, bool))


def clip_of(truth):
    return Clip([b""] * len(truth.frame_times), truth.frame_times, truth.width, truth.height, truth.fps)


def fit(scene, track=None, settings=None, cameras=None):
    people = scene.people if track is None else People((track,), scene.people.labels)
    cameras = cameras or cameras_of(scene.truth)
    return fit_bodies(people, cameras, clip_of(scene.truth), scene.body, settings or Settings(), Progress())


def true_joints(scene, frames, who=0):
    """[n,24,3] in the cameras."""
    person = scene.truth.people[who]
    joints = person.joints[np.searchsorted(person.frames, frames)]
    return transform(invert(scene.truth.world_from_cam[frames]), joints)


def errors(scene, track, who=0):
    """PA-MPJPE of a fit [n,12] in m."""
    joints = track_points(track, scene.body).joints[:, LIMBS]
    return pa_mpjpe(joints, true_joints(scene, track.frames, who)[:, LIMBS])


def raw_errors(scene, who=0):
    track = scene.people.tracks[who]
    return pa_mpjpe(track.landmarks_m[:, LIMB_LANDMARKS], true_joints(scene, track.frames, who)[:, LIMBS])


def finite(track):
    return all(np.isfinite(x).all() for x in (track.betas, track.rotations, track.transl, track.height_m))


def without(track, frames):
    """The track with some of its frames left out."""
    keep = ~np.isin(track.frames, frames)
    fields = ("frames", "boxes", "landmarks_px", "visibility", "landmarks_m", "detected")
    return replace(track, **{name: getattr(track, name)[keep] for name in fields})


@pytest.fixture(scope="module")
def walk():
    return make_scene("walk", camera="moving", frames=30, noise=Noise(landmarks_m=0.06, landmarks_px=3.0))


@pytest.fixture(scope="module")
def march():
    return make_scene("march", camera="static", frames=40, noise=Noise(landmarks_m=0.06, landmarks_px=2.0))


def test_two_people_are_better_than_their_raw_landmarks():
    scene = make_scene("two_people", frames=24, noise=Noise(landmarks_m=0.06, landmarks_px=3.0))
    tracks = fit(scene)
    assert [t.id for t in tracks] == [t.id for t in scene.people.tracks]
    for who, track in enumerate(tracks):
        assert errors(scene, track, who).mean() < 0.6 * raw_errors(scene, who).mean()


def test_exact_landmarks_of_a_body_of_known_height_give_the_body_back():
    scene = make_scene("walk", frames=20, noise=Noise.none())
    (track,) = fit(scene, settings=Settings(height_m=scene.truth.people[0].height_m))
    joints, true = track_points(track, scene.body).joints, true_joints(scene, track.frames)
    assert errors(scene, track).mean() < 0.012
    assert np.linalg.norm(joints - true, axis=-1)[:, LIMBS].mean() < 0.05


def test_depth_follows_the_height(walk):
    (track,) = fit(walk)
    true = true_joints(walk, track.frames)[:, 0, 2]
    assert track.height_m == pytest.approx(MEAN_HEIGHT, abs=0.01)
    depth = track_points(track, walk.body).joints[:, 0, 2]
    assert np.abs(depth / true - MEAN_HEIGHT / walk.truth.people[0].height_m).max() < 0.03
    assert USUAL_HEIGHT_SIGMA < track.sigma_depth < 1.2 * USUAL_HEIGHT_SIGMA
    (known,) = fit(walk, settings=Settings(height_m=1.9))
    assert known.height_m == pytest.approx(1.9, abs=0.01)
    assert known.sigma_depth < 0.025
    assert np.median(known.transl[:, 2] / track.transl[:, 2]) == pytest.approx(1.9 / MEAN_HEIGHT, abs=0.02)


def test_the_height_of_one_person_says_nothing_of_others():
    scene = make_scene("two_people", "static", frames=6, seed=2)
    first, second = fit(scene, settings=Settings(height_m=1.9))
    assert first.height_m == pytest.approx(1.9, abs=0.01) and second.height_m == pytest.approx(MEAN_HEIGHT, abs=0.01)
    assert first.height_sigma == KNOWN_HEIGHT_SIGMA and second.height_sigma == USUAL_HEIGHT_SIGMA
    assert first.sigma_depth < second.sigma_depth


def test_a_given_height_is_that_of_the_first_person_only():
    scene = make_scene("two_people", frames=12)
    first, second = fit(scene, settings=Settings(height_m=1.55))
    assert first.height_m == pytest.approx(1.55, abs=0.01)
    assert second.height_m == pytest.approx(MEAN_HEIGHT, abs=0.01)


def test_knees_do_not_bend_the_wrong_way_when_the_landmarks_do(walk):
    track = walk.people.tracks[0]
    knees = [LANDMARKS.index("left_knee"), LANDMARKS.index("right_knee")]
    joints = true_joints(walk, track.frames)
    facing = (joints[:, [10, 11]] - joints[:, [7, 8]]).mean(1)  # from the ankles to the feet
    facing = facing / np.linalg.norm(facing, axis=-1, keepdims=True)
    metric, px = track.landmarks_m.copy(), track.landmarks_px.copy()
    metric[:, knees] -= 0.2 * facing[:, None]
    px[:, knees] -= 0.15 * facing[:, None, :2] * (cameras_of(walk.truth).focal / joints[:, :1, 2:])
    (body,) = fit(walk, replace(track, landmarks_m=metric, landmarks_px=px))
    assert np.degrees(rotmat_to_rotvec(body.rotations[:, KNEES])[..., 0]).min() > -5
    assert errors(walk, body).mean() < 0.06


@pytest.mark.parametrize("fps", [5.0, 60.0])
def test_other_frame_rates(fps):
    noise = Noise(landmarks_m=0.06, landmarks_px=3.0)
    scene = make_scene("walk", frames=15 if fps == 5 else 60, fps=fps, noise=noise)
    (track,) = fit(scene)
    assert errors(scene, track).mean() < 0.75 * raw_errors(scene).mean()


def test_frames_in_which_left_and_right_are_exchanged(walk):
    track, mirror = walk.people.tracks[0], mirror_names()
    bad = np.isin(track.frames, [9, 10, 11, 12, 20])
    back = track.landmarks_m[:, mirror] * [1, 1, -1]
    (body,) = fit(
        walk,
        replace(
            track,
            landmarks_px=np.where(bad[:, None, None], track.landmarks_px[:, mirror], track.landmarks_px),
            landmarks_m=np.where(bad[:, None, None], back, track.landmarks_m),
        ),
    )
    assert errors(walk, body)[bad].mean() < 0.06


def test_an_unseen_arm_has_little_weight(walk):
    track = walk.people.tracks[0]
    arm = [LANDMARKS.index(f"left_{x}") for x in ("elbow", "wrist", "pinky", "index", "thumb")]
    lost = np.isin(track.frames, range(10, 20))
    made_up = np.ix_(lost, arm)
    visibility, px, metric = track.visibility.copy(), track.landmarks_px.copy(), track.landmarks_m.copy()
    visibility[made_up] = 0.0
    px[made_up] += [30, -30]
    metric[made_up] += [0.25, -0.25, 0]
    (body,) = fit(walk, replace(track, visibility=visibility, landmarks_px=px, landmarks_m=metric))
    assert errors(walk, body)[lost][:, [8, 10]].mean() < 0.06  # left elbow and wrist


def test_standing_feet_stay_where_the_camera_stays(march):
    (still,) = fit(march)
    cameras = cameras_of(march.truth)
    (free,) = fit(march, cameras=replace(cameras, kind="moving"))
    person = march.truth.people[0]
    speed = np.linalg.norm(np.diff(person.joints[:, FEET], axis=0), axis=-1)
    standing = speed < 1e-3
    assert standing.mean() > 0.3

    def slide(track):
        return np.median(
            np.linalg.norm(np.diff(track_points(track, march.body).joints[:, FEET], axis=0), axis=-1)[standing]
        )

    assert slide(still) < 0.004 < slide(free)
    assert errors(march, still).mean() <= errors(march, free).mean()


def test_gaps_in_the_track(walk):
    (body,) = fit(walk, without(walk.people.tracks[0], range(8, 16)))
    assert finite(body)
    assert len(body.frames) == len(body.rotations) == len(body.transl) == len(walk.people.tracks[0].frames) - 8
    assert errors(walk, body).mean() < 0.06


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tracks_of_very_few_frames(walk, count):
    (body,) = fit(walk, without(walk.people.tracks[0], range(count, 1000)))
    assert finite(body)
    assert len(body.transl) == count
    assert errors(walk, body).mean() < 0.12


def test_landmarks_that_mean_nothing_leave_everything_finite(walk):
    track = walk.people.tracks[0]
    assert finite(fit(walk, replace(track, visibility=np.zeros_like(track.visibility)))[0])
    broken = track.landmarks_px.copy()
    broken[5:9] = np.nan
    (body,) = fit(walk, replace(track, landmarks_px=broken))
    assert finite(body)
    assert errors(walk, body).mean() < 0.06
    one_point = replace(track, landmarks_px=np.zeros_like(broken), landmarks_m=np.zeros_like(track.landmarks_m))
    assert finite(fit(walk, one_point)[0])


def test_rotations_are_rotations_and_betas_are_shared(walk):
    (body,) = fit(walk)
    eye = body.rotations @ body.rotations.swapaxes(-1, -2)
    assert np.abs(eye - np.eye(3)).max() < 1e-6
    assert (np.linalg.det(body.rotations) > 0).all()
    assert body.betas.shape == (10,)
    assert np.abs(body.betas).max() < 4


def test_the_same_input_gives_the_same_result(walk):
    first, second = fit(walk)[0], fit(walk)[0]
    assert np.array_equal(first.transl, second.transl)
    assert np.array_equal(first.rotations, second.rotations)


def test_progress_can_cancel(walk):
    stop = Progress(cancelled=lambda: True)
    with pytest.raises(Cancelled):
        fit_bodies(walk.people, cameras_of(walk.truth), clip_of(walk.truth), walk.body, Settings(), stop)
