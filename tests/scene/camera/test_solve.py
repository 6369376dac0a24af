"""The case decision and the cameras of every kind, from tracks with known cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from josh_core.errors import Cancelled
from josh_core.geometry import rotation_angle, umeyama
from josh_core.progress import Progress
from josh_core.scene.camera import mapper, sfm, solve
from josh_core.scene.camera.lens import USUAL_SPREAD, Lens
from josh_core.scene.camera.mapper import map_keyframes
from josh_core.scene.camera.solve import choose_keyframes, solve_camera, steady_camera
from josh_core.scene.matches import keyframe_matches
from josh_core.scene.matching.tracks import Tracks
from josh_core.settings import Settings
from tests.scene.textured_plane import SIZE, path, tracks_of

FRAMES = 40
TIMES = np.arange(FRAMES) / 30


def path_error(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Error of the path after a similarity, over its length, and of the turns since the first frame, degrees."""
    scale, rotation, shift = umeyama(found[:, :3, 3], true[:, :3, 3])
    off = scale * found[:, :3, 3] @ rotation.T + shift - true[:, :3, 3]
    length = np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=-1).sum()
    turned = (found[0, :3, :3].T @ found[:, :3, :3]).swapaxes(-1, -2) @ true[0, :3, :3].T @ true[:, :3, :3]
    return float(np.sqrt((off**2).sum(-1).mean()) / length), float(np.degrees(rotation_angle(turned)).max())


def test_a_tripod_never_moves() -> None:
    tracks = tracks_of(path(FRAMES, np.zeros(3)), Lens(600.0))
    solution = solve_camera(tracks, TIMES, Settings(), Progress())
    assert solution.path.kind == "static"
    assert (solution.path.world_from_cam == np.eye(4)).all()
    assert solution.path.focal_sigma > 0.2  # nothing tells the focal
    assert len(keyframe_matches(tracks, solution, 0).pairs) == 0


def test_a_turning_camera_turns_and_gives_its_focal() -> None:
    true = path(FRAMES, np.zeros(3), 0.3)
    tracks = tracks_of(true, Lens(600.0))
    solution = solve_camera(tracks, TIMES, Settings(), Progress())
    found = solution.path.world_from_cam
    assert solution.path.kind == "rotating"
    assert (found[:, :3, 3] == 0).all()
    angle = rotation_angle((found[0, :3, :3].T @ found[:, :3, :3]).swapaxes(-1, -2) @ true[:, :3, :3])
    assert np.degrees(angle).max() < 0.2
    assert solution.path.focal == pytest.approx(600.0, rel=0.02)
    matches = keyframe_matches(tracks, solution, 0)
    assert len(matches.pairs) > 5
    assert matches.offsets[-1] == len(matches.px) == len(matches.confidence)
    assert steady_camera_kind(tracks) == "rotating"


@pytest.mark.parametrize("lens", [Lens(600.0, -0.5), Lens(700.0, 0.4)])
def test_a_turning_camera_behind_a_lens_that_bends_does_not_travel(lens: Lens) -> None:
    true = path(FRAMES, np.zeros(3), 0.6)
    solution = solve_camera(tracks_of(true, lens), TIMES, Settings(), Progress())
    found = solution.path.world_from_cam
    assert solution.path.kind == "rotating" and (found[:, :3, 3] == 0).all()
    angle = rotation_angle((found[0, :3, :3].T @ found[:, :3, :3]).swapaxes(-1, -2) @ true[:, :3, :3])
    assert np.degrees(angle).max() < 2
    assert abs(np.log(solution.path.focal / lens.focal)) < 2 * solution.path.focal_sigma
    assert solution.path.focal_sigma > 0.05  # a turn tells bend and focal only together
    assert solution.lens.distortion / solution.lens.focal**2 == pytest.approx(lens.distortion / lens.focal**2, rel=0.15)


def steady_camera_kind(tracks: Tracks) -> str | None:
    from tests.scene.textured_plane import clip_of

    clip = clip_of([np.zeros((SIZE[1], SIZE[0], 3), np.uint8)] * FRAMES)
    path = steady_camera(clip, tracks, Settings())
    return None if path is None else path.kind


@pytest.mark.parametrize(
    ("lens", "travel", "pan"),
    [
        (Lens(500.0), np.array([3.0, 0.0, 0.3]), 0.3),
        (Lens(760.0), np.array([-1.0, 0.1, 2.0]), -0.2),
        (Lens(420.0, -0.11), np.array([1.5, -0.1, 1.5]), 0.25),
        (Lens(430.0, -0.35), np.array([2.5, 0.1, 0.4]), 0.25),
    ],
)
def test_a_travelling_camera(lens: Lens, travel: np.ndarray, pan: float) -> None:
    true = path(FRAMES, travel, pan)
    tracks = tracks_of(true, lens)
    solution = solve_camera(tracks, TIMES, Settings(), Progress())
    along, angle = path_error(solution.path.world_from_cam, true)
    assert solution.path.kind == "moving"
    assert solution.path.registered.all()
    assert along < 0.01
    assert angle < 0.3
    assert solution.path.focal == pytest.approx(lens.focal, rel=0.03)
    assert solution.path.distortion == pytest.approx(lens.distortion, abs=0.01)
    matches = keyframe_matches(tracks, solution, 0)
    assert len(matches.px) > 1000
    assert ((matches.confidence > 0) & (matches.confidence <= 1)).all()
    assert steady_camera_kind(tracks) is None


@pytest.mark.parametrize("bend", [0.0, 2e-4])
def test_a_straight_lens_is_exactly_straight(bend: float) -> None:
    """A trace of distortion would make the whole clip be resampled for less than anybody sees."""
    tracks = tracks_of(path(FRAMES, np.array([2.0, 0.0, 1.0]), 0.2), Lens(500.0, bend))
    found = solve_camera(tracks, TIMES, Settings(), Progress()).path
    assert found.kind == "moving" and found.distortion == 0
    assert found.focal == pytest.approx(500.0, rel=0.03)


def test_a_distortion_within_its_own_error_is_none() -> None:
    from josh_core.scene.camera.bundle_adjustment import Adjusted
    from josh_core.scene.camera.sparse_model import SparseModel
    from josh_core.scene.matching.tracks import Sightings

    none = np.zeros((0, 3))
    model = SparseModel(np.zeros((0, 3, 3)), none, Lens(500.0, -0.02), none, np.zeros(0))
    corner = Sightings(np.zeros(1, int), np.zeros(1, int), np.array([[320.0, 180.0]]))
    for sigma, noise, bent in ((0.015, 0.3, False), (0.001, 0.3, True), (0.001, 5.0, False)):
        adjusted = Adjusted(model, 0.01, sigma, np.zeros(1), 0.0)
        assert sfm._is_bent(adjusted, corner, noise) == bent  # it moves the corner by 4 px


def test_the_same_tracks_give_the_same_cameras() -> None:
    tracks = tracks_of(path(FRAMES, np.array([2.0, 0, 1.0]), 0.2), Lens(500.0))
    first, second = (solve_camera(tracks, TIMES, Settings(), Progress()).path for _ in range(2))
    assert (first.world_from_cam == second.world_from_cam).all()
    assert first.focal == second.focal


def test_centimetres_of_travel_need_no_mapper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sfm, "map_keyframes", lambda *_: pytest.fail("a nearly still camera reached the mapper"))
    true = path(FRAMES, np.array([0.15, 0.02, 0.02]), 0.05)
    solution = solve_camera(tracks_of(true, Lens(500.0), noise=0.05), TIMES, Settings(focal_px=500.0), Progress())
    along, angle = path_error(solution.path.world_from_cam, true)
    assert solution.path.kind == "moving"
    assert along < 0.1
    assert angle < 0.5
    far = np.linalg.norm(solution.points, axis=-1)
    travelled = np.linalg.norm(solution.path.world_from_cam[-1, :3, 3])
    assert 0.003 * np.median(far) < travelled < 0.05 * np.median(far)  # it is 0.014 of the true median


def test_given_options_are_kept() -> None:
    tracks = tracks_of(path(FRAMES, np.array([2.0, 0, 0.5]), 0.2), Lens(500.0))
    given = solve_camera(tracks, TIMES, Settings(focal_px=540.0), Progress()).path
    assert given.focal == pytest.approx(540.0, rel=1e-6)
    assert given.focal_sigma == 0
    held = solve_camera(tracks, TIMES, Settings(static_camera="on"), Progress()).path
    assert held.kind == "static"
    tripod = tracks_of(path(FRAMES, np.zeros(3)), Lens(500.0))
    assert solve_camera(tripod, TIMES, Settings(static_camera="off"), Progress()).path.kind != "static"


def test_a_recorded_focal_is_the_start_and_a_given_one_beats_it() -> None:
    still = tracks_of(path(FRAMES, np.zeros(3)), Lens(500.0))
    recorded = solve_camera(still, TIMES, Settings(), Progress(), recorded=480.0).path
    assert (recorded.kind, recorded.focal) == ("static", 480.0)
    assert recorded.focal_sigma < 0.5 * solve_camera(still, TIMES, Settings(), Progress()).path.focal_sigma
    assert solve_camera(still, TIMES, Settings(focal_px=540.0), Progress(), recorded=480.0).path.focal == 540.0


def test_no_tracks_at_all() -> None:
    nothing = Tracks(np.zeros(FRAMES + 1, int), np.zeros(0, int), np.zeros((0, 2)), 0, SIZE, np.array([0, 39]), ())
    path_ = solve_camera(nothing, TIMES, Settings(), Progress()).path
    assert not path_.registered.any()
    assert np.isfinite(path_.world_from_cam).all()


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_very_few_frames(frames: int) -> None:
    tracks = tracks_of(path(FRAMES, np.array([2.0, 0, 0.5]), 0.2)[:frames], Lens(500.0))
    found = solve_camera(tracks, TIMES[:frames], Settings(), Progress()).path
    assert found.world_from_cam.shape == (frames, 4, 4)
    assert np.isfinite(found.world_from_cam).all()


def test_an_undetermined_lens_stays_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made untold: the adjustment with a free lens runs to the bound, and to a focal of more than twice the truth."""
    free = solve.solve_moving

    def runs_away(tracks, keyframes, turning, prior, *rest):
        found = free(tracks, keyframes, turning, prior, *rest)
        if prior.sigma == 0:
            return found
        return replace(found, model=replace(found.model, lens=Lens(1300.0, 0.5)), focal_sigma=0.02)

    monkeypatch.setattr(solve, "solve_moving", runs_away)
    true = path(FRAMES, np.array([2.0, 0, 1.0]), 0.2)
    found = solve_camera(tracks_of(true, Lens(float(max(SIZE)))), TIMES, Settings(), Progress()).path
    assert found.focal == pytest.approx(max(SIZE), rel=1e-9)
    assert (found.distortion, found.focal_sigma) == (0.0, USUAL_SPREAD)
    assert path_error(found.world_from_cam, true)[0] < 0.01  # that lens happens to be the true one here


def test_without_a_map_nothing_is_called_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sfm, "map_keyframes", lambda *_: None)
    monkeypatch.setattr(sfm, "_travels", lambda *_: False)
    tracks = tracks_of(path(FRAMES, np.array([3.0, 0, 0.5]), 0.3), Lens(500.0))
    found = solve_camera(tracks, TIMES, Settings(), Progress()).path
    assert found.kind == "rotating"
    assert not found.registered.any()


def test_a_map_whose_points_agree_with_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sfm._adjust_in_two
    monkeypatch.setattr(sfm, "_adjust_in_two", lambda *a: replace(whole(*a), residual=np.full(len(a[1].camera), 99.0)))
    tracks = tracks_of(path(FRAMES, np.array([0.6, 0, 0.1]), 0.3), Lens(500.0))
    found = solve_camera(tracks, TIMES, Settings(), Progress()).path
    assert found.kind == "rotating" and not found.registered.any()


def test_keyframes_include_both_ends_and_are_bounded() -> None:
    long = 2400
    tracks = Tracks(np.zeros(long + 1, int), np.zeros(0, int), np.zeros((0, 2)), 0, SIZE, np.arange(long), ())
    for seconds, most in ((8.0, 60), (60.0, 180)):
        keyframes = choose_keyframes(tracks, np.linspace(0, seconds, long))
        assert (keyframes[0], keyframes[-1]) == (0, long - 1)
        assert len(keyframes) <= most
        assert (np.diff(keyframes) > 0).all()


# The mapper's process


@pytest.mark.parametrize("program", ["import time; time.sleep(60)", "import os; os.abort()", "raise SystemExit(0)"])
def test_a_mapper_that_hangs_or_dies_is_survived(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, program: str
) -> None:
    script = tmp_path / "program.py"  # type: ignore[operator]
    script.write_text(program)
    monkeypatch.setattr(mapper, "PROGRAM", script)
    monkeypatch.setattr(mapper, "GRACE_SECONDS", 0.3)
    tracks = tracks_of(path(FRAMES, np.array([2.0, 0, 0.5]), 0.2), Lens(500.0))
    problem = sfm.mapper_problem(tracks, tracks.frames, 0)
    assert map_keyframes(replace(problem, time_limit=0.5), Progress()) is None


def test_the_mapper_is_ended_on_cancel() -> None:
    tracks = tracks_of(path(FRAMES, np.array([2.0, 0, 0.5]), 0.2), Lens(500.0))
    with pytest.raises(Cancelled):
        map_keyframes(sfm.mapper_problem(tracks, tracks.frames, 0), Progress(cancelled=lambda: True))


@pytest.mark.parametrize(("same", "most"), [(0.05, 2), (0.0, 4)])
def test_further_focals_are_tried_until_two_maps_agree(monkeypatch: pytest.MonkeyPatch, same: float, most: int) -> None:
    monkeypatch.setattr(sfm, "SAME_FOCAL", same)
    tried = []
    monkeypatch.setattr(
        sfm, "map_keyframes", lambda problem, _: tried.append(problem.focal) or map_keyframes(problem, _)
    )
    true = path(FRAMES, np.array([3.0, 0, 0.5]), 0.3)
    found = solve_camera(tracks_of(true, Lens(600.0)), TIMES, Settings(), Progress()).path
    assert len(tried) == most
    assert path_error(found.world_from_cam, true)[0] < 0.02


def test_a_map_that_settles_in_a_wrong_place_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a clip down some stairs: no map with the first focal, a wrong one with the second, right ones later."""

    def mapped(problem: mapper.MapperProblem, progress: Progress) -> mapper.MapperMap | None:
        which = sfm.TRIED_FOCALS.index(round(problem.focal / max(SIZE), 3))
        found = map_keyframes(problem, progress) if which else None
        if found is None or which > 1:
            return found
        poses = found.cam_from_world.copy()
        poses[:, :, 3] = poses[::-1, :, 3]  # the way back
        return replace(found, cam_from_world=poses)

    monkeypatch.setattr(sfm, "map_keyframes", mapped)
    true = path(FRAMES, np.array([3.0, 0, 0.5]), 0.3)
    found = solve_camera(tracks_of(true, Lens(600.0)), TIMES, Settings(), Progress()).path
    assert path_error(found.world_from_cam, true)[0] < 0.02
    assert found.focal == pytest.approx(600.0, rel=0.02)
