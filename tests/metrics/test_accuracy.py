"""Each error formula on cases worked out by hand, and both layouts of ground truth."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from josh_core.export.bundle import save_bundle
from josh_core.export.pictures.preview import look_at
from josh_core.geometry import invert, rigid, rotvec_to_rotmat
from josh_core.metrics.accuracy import (
    align_cameras,
    camera_errors,
    evaluate,
    in_segments,
    move,
    pa_mpjpe,
    root_error,
    scene_errors,
    trajectory_error,
    w_mpjpe,
    wa_mpjpe,
)
from josh_core.metrics.ground_truth import EVALUATED_JOINTS, limb_rows, load_truth
from josh_core.types import Float, PersonMotion, PointCloud, Reconstruction

TURN = rotvec_to_rotmat(np.array([0.2, -1.1, 0.4]))
AWAY = np.array([3.0, -1.0, 2.0])


def _body(n: int, seed: int = 0) -> Float:
    """Joints [n,24,3] of something that keeps its shape while it walks 0.1 m a frame along x."""
    rng = np.random.default_rng(seed)
    joints = np.repeat(rng.normal(0, 0.4, (1, 24, 3)), n, 0)
    joints[..., 0] += 0.1 * np.arange(n)[:, None]
    return joints


def _cameras(n: int) -> Float:
    return np.stack([look_at(np.array([0.2 * i, 1.6, 3.0]), np.array([0.1 * i, 1.0, 0])) for i in range(n)])


def test_world_errors_do_not_see_where_the_world_lies() -> None:
    true = _body(20)
    pred = true @ TURN.T + AWAY
    for error in (w_mpjpe, wa_mpjpe, pa_mpjpe):
        np.testing.assert_allclose(error(pred, true), 0, atol=1e-9)


def test_only_pa_forgives_scale() -> None:
    true = _body(10)
    assert pa_mpjpe(1.2 * true, true).max() < 1e-9
    assert wa_mpjpe(1.2 * true, true).mean() > 0.01 and w_mpjpe(1.2 * true, true).mean() > 0.01


def test_w_mpjpe_holds_on_to_the_first_two_frames() -> None:
    true = _body(11)
    pred = true.copy()
    pred[2:, :, 1] += 0.3  # rises after the second frame
    np.testing.assert_allclose(w_mpjpe(pred, true)[:2], 0, atol=1e-9)
    np.testing.assert_allclose(w_mpjpe(pred, true)[2:], 0.3, atol=1e-9)


def test_wa_mpjpe_spreads_the_error_over_the_segment() -> None:
    still = np.repeat(_body(1), 4, 0)
    pred = still.copy()
    pred[2:, :, 1] += 0.2  # half the frames: the best rigid fit lies halfway
    np.testing.assert_allclose(wa_mpjpe(pred, still), 0.1, atol=1e-9)


def test_segments_are_aligned_one_by_one() -> None:
    true = _body(8)
    pred = true.copy()
    pred[4:] = pred[4:] @ TURN.T + AWAY
    assert in_segments(wa_mpjpe, pred, true, length=4) < 1e-9 < in_segments(wa_mpjpe, pred, true, length=8)
    last = np.concatenate([pred, true[-1:]])  # a ninth frame alone makes no segment
    assert in_segments(w_mpjpe, last, np.concatenate([true, true[-1:] + 1]), length=4) < 1e-9


def test_root_error_and_path_length() -> None:
    true = np.stack([np.arange(5.0), np.zeros(5), np.zeros(5)], 1)
    pred = true.copy()
    pred[:, 0] *= 1.5  # stretched about its middle: errors 1, 0.5, 0, 0.5, 1
    error, way = root_error(pred @ TURN.T + AWAY, true)
    assert (error, way) == (pytest.approx(0.6), pytest.approx(4))


def test_ate_with_and_without_scale() -> None:
    true = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    pred = 2 * true @ TURN.T + AWAY
    assert trajectory_error(pred, true, with_scale=True) < 1e-9
    assert trajectory_error(pred, true, with_scale=False) == pytest.approx(np.sqrt(2))  # every corner from its centre


def test_camera_errors_of_a_turned_moved_scaled_path() -> None:
    true = _cameras(12)
    pred = true.copy()
    pred[:, :3, 3] *= 1.1
    pred[:, :3, :3] = pred[:, :3, :3] @ rotvec_to_rotmat(np.array([0, 0, np.radians(2.0)]))
    moved = rigid(TURN, AWAY) @ pred
    errors = camera_errors(moved, true, TURN.T @ np.array([0.0, 1, 0]))
    assert errors["scale_ratio"] == pytest.approx(1.1) and errors["ate_scaled_m"] == pytest.approx(0, abs=1e-9)
    assert errors["ate_m"] == pytest.approx(0.1 * 0.2 * np.std(np.arange(12)), rel=1e-6)
    assert errors["true_path_m"] == pytest.approx(2.2) and errors["path_m"] == pytest.approx(2.42)
    assert 0 < errors["rotation_deg"] < 2.01
    exact = camera_errors(rigid(TURN, AWAY) @ true, true, np.array([0.0, 1, 0]))
    assert exact["rotation_deg"] == pytest.approx(0, abs=1e-5)
    assert exact["up_deg"] == pytest.approx(np.degrees(np.arccos(TURN[1, 1])))


def test_a_still_camera_has_no_scale_but_a_determined_world() -> None:
    still = np.repeat(_cameras(1), 5, 0)
    errors = camera_errors(rigid(TURN, AWAY) @ still, still, np.array([0.0, 1, 0]))
    assert errors["scale_ratio"] is None and errors["ate_scaled_m"] is None
    assert errors["rotation_deg"] == pytest.approx(0, abs=1e-5) and errors["ate_pose_m"] == pytest.approx(0, abs=1e-9)
    world = align_cameras(rigid(TURN, AWAY) @ still, still)
    np.testing.assert_allclose(move(world, AWAY), np.zeros(3), atol=1e-9)


def test_scene_accuracy_and_completeness_by_hand() -> None:
    true = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    points = np.array([[0.0, 0.05, 0], [1, 0.25, 0], [90, 0, 0]])  # the last is too far to count
    errors = scene_errors(points, true, np.zeros((1, 3)))
    assert errors["accuracy_m"] == pytest.approx((0.05 + 0.25) / 2)
    expected = (0.05 + 0.25 + np.hypot(1, 0.25)) / 3
    assert errors["completeness_m"] == pytest.approx(expected)
    assert errors["completeness_median_m"] == pytest.approx(0.25)
    assert errors["fscore_10cm"] == pytest.approx(2 * 0.5 * (1 / 3) / (0.5 + 1 / 3))
    assert scene_errors(np.zeros((0, 3)), true, np.zeros((1, 3))) == {}


def _person(who: int, frames: Float, joints: Float) -> PersonMotion:
    n = len(frames)
    return PersonMotion(
        who, np.asarray(frames, np.int32), np.zeros(10), np.zeros((n, 24, 3)), np.zeros((n, 3)), joints,
        np.zeros((n, 2)), 1.7,
    )  # fmt: skip


def _result(cameras: Float, people: tuple[PersonMotion, ...], fps: float = 30.0) -> Reconstruction:
    return Reconstruction(
        mode="fast",
        tier="embedded",
        camera_kind="moving",
        world_from_cam=cameras,
        intrinsics=np.array([[550.0, 0, 320], [0, 550, 240], [0, 0, 1]]),
        frame_times=np.arange(len(cameras)) / fps,
        fps=fps,
        width=640,
        height=480,
        scene=PointCloud(np.zeros((4, 3)), np.zeros((4, 3), np.uint8), np.ones(4)),
        people=people,
        contact_names=("left_heel", "right_heel"),
        scale_source="contact",
        body_model="none",
    )


def _write_smpl_truth(path: Path, n: int, fps: float = 30.0, curve: float = 0.0) -> Float:
    joints = _body(n)
    joints[..., 2] += curve * np.arange(n)[:, None] ** 2
    contact = np.zeros((n, 2), bool)
    contact[2:6, 0] = True
    np.savez(
        path,
        world_from_cam=_cameras(n),
        intrinsics=np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]),
        fps=np.array(fps),
        image_size=np.array([640, 480]),
        scene_points=np.zeros((3, 3), np.float32),
        person0_joints=joints,
        person0_valid=np.arange(n) > 0,
        person0_foot_contact=contact,
    )
    return joints


def test_a_perfect_result_has_no_error_and_the_right_person_is_found(tmp_path: Path) -> None:
    joints = _write_smpl_truth(tmp_path / "truth.npz", 10)
    fragment = _person(7, np.arange(3, 5), joints[3:5])
    other = _person(8, np.arange(10), joints + [0, 0, 4.0])
    truth = load_truth(tmp_path / "truth.npz")
    off = _person(9, np.arange(10), joints + [0, 0.05, 0])  # fits less well than the fragment, but covers all
    assert evaluate(_result(_cameras(10), (fragment, other, off)), truth)["people"][0]["found"] == 1.0
    errors = evaluate(_result(_cameras(10), (other, _person(9, np.arange(10), joints))), truth)
    person = errors["people"][0]
    assert person["found"] == 1.0
    for name in ("w_mpjpe_mm", "wa_mpjpe_mm", "pa_mpjpe_mm", "rte_m", "root_height_m", "contact_height_m"):
        assert person[name] == pytest.approx(0, abs=1e-6), name
    assert person["path_ratio"] == pytest.approx(1)
    assert errors["camera"]["focal_error_pct"] == pytest.approx(10)
    assert errors["scene"]["accuracy_m"] == pytest.approx(0, abs=1e-6)


def test_foot_slide_contact_height_and_lift(tmp_path: Path) -> None:
    joints = _write_smpl_truth(tmp_path / "truth.npz", 10)
    lifted = joints + [0, 0.05, 0]
    person = evaluate(_result(_cameras(10), (_person(0, np.arange(10), lifted),)), load_truth(tmp_path / "truth.npz"))[
        "people"
    ][0]
    assert person["foot_slide_mm"] == pytest.approx(100)  # the whole body moves 0.1 m a frame, feet in contact too
    assert person["contact_height_m"] == pytest.approx(0.05) and person["root_height_m"] == pytest.approx(0.05)
    assert person["w_mpjpe_mm"] == pytest.approx(0, abs=1e-6)


def test_frames_meet_by_time_at_half_the_rate_and_a_later_start(tmp_path: Path) -> None:
    joints = _write_smpl_truth(tmp_path / "truth.npz", 40, fps=60.0, curve=0.001)
    result = _result(_cameras(40)[10::2], (_person(0, np.arange(15), joints[10::2]),))
    late = replace(result, clip={"start": 10 / 60})
    truth = load_truth(tmp_path / "truth.npz")
    person = evaluate(late, truth)["people"][0]
    assert person["found"] == pytest.approx(1) and person["root_height_m"] == pytest.approx(0, abs=1e-9)
    assert person["w_mpjpe_mm"] == pytest.approx(0, abs=1e-6) and person["path_ratio"] == pytest.approx(1)
    assert person["true_jitter"] == pytest.approx(0, abs=1e-6)  # every second frame of the truth counts as the next
    assert evaluate(result, truth)["camera"]["path_m"] == pytest.approx(14 * 0.4)


def test_a_person_that_was_not_found(tmp_path: Path) -> None:
    _write_smpl_truth(tmp_path / "truth.npz", 10)
    assert evaluate(_result(_cameras(10), ()), load_truth(tmp_path / "truth.npz"))["people"] == [
        {"person": 0, "found": 0.0}
    ]


def test_named_joints_layout_with_z_up(tmp_path: Path) -> None:
    n, z_up_from_y_up = 6, np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    joints, cameras = _body(n), np.repeat(_cameras(1), n, 0)
    for i in range(n):
        cameras[i, :3, :3] = cameras[i, :3, :3] @ rotvec_to_rotmat(np.array([0, 0.01 * i, 0]))
    rows = {name: i for i, name in enumerate(EVALUATED_JOINTS)}
    names = [
        "Nose",
        *(f"{'L' if n.startswith('left') else 'R'}{n.split('_')[1].capitalize()}" for n in reversed(EVALUATED_JOINTS)),
    ]
    limbs = joints[:, limb_rows()][:, [rows[name] for name in reversed(EVALUATED_JOINTS)]] @ z_up_from_y_up.T
    cam_from_world = invert(rigid(z_up_from_y_up, np.zeros(3)) @ cameras)
    np.savez(
        tmp_path / "named.npz",
        joint_names=np.array(names),
        joints_world=np.concatenate([np.zeros((n, 1, 3)), limbs], 1),
        R_world2cam=cam_from_world[:, :3, :3],
        t_world2cam=cam_from_world[:, :3, 3],
        K=np.diag([500.0, 500, 1]),
        fps=np.array(60.0),
        size=np.array([640, 480]),
    )
    truth = load_truth(tmp_path / "named.npz")
    errors = evaluate(_result(cameras, (_person(0, np.arange(n), joints),), fps=60.0), truth)
    assert errors["camera"]["rotation_deg"] == pytest.approx(0, abs=1e-5)
    assert errors["camera"]["up_deg"] == pytest.approx(0, abs=1e-5)
    assert errors["camera"]["scale_ratio"] is None
    assert errors["people"][0]["w_mpjpe_mm"] == pytest.approx(0, abs=1e-6)
    assert "root_height_m" not in errors["people"][0] and errors["scene"] == {}


def test_command_prints_a_table_and_refuses_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joints = _write_smpl_truth(tmp_path / "truth.npz", 10)
    save_bundle(_result(_cameras(10), (_person(0, np.arange(10), joints),)), tmp_path / "run")
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "evaluate.py"
    main = runpy.run_path(str(script))["main"]
    assert main(["evaluate.py", str(tmp_path / "truth.npz"), str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "w_mpjpe_mm" in told and "scale_ratio" in told
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    for name, says in (("other", "no known layout"), ("text", "cannot be read"), ("missing", "cannot be read")):
        assert main(["evaluate.py", str(tmp_path / f"{name}.npz"), str(tmp_path / "run")]) == 2
        assert says in capsys.readouterr().err
    assert main(["evaluate.py", str(tmp_path / "truth.npz")]) == 2
