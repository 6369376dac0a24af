"""Every exported file is read back by somebody else's reader and says the same as the result."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import bvhio
import cv2
import numpy as np
import pytest
import torch
import trimesh

from josh_core.body import BodyModel, load_body
from josh_core.body.names import JOINTS
from josh_core.body.posing import posed_points
from josh_core.export.archive import write_formats
from josh_core.export.cameras import image_name, save_colmap, save_opencv, save_transforms
from josh_core.export.motion.bvh import save_bvh
from josh_core.export.motion.skeleton_names import MIXAMO, SOMA, UNREAL
from josh_core.export.motion.smpl_npz import save_smpl
from josh_core.export.scene3d.glb import glb_bytes
from josh_core.export.scene3d.ply import save_ply
from josh_core.export.table import save_table
from josh_core.geometry import invert, project, rotvec_to_rotmat, transform
from josh_core.metrics.quality import measure
from josh_core.metrics.verdicts import rows
from josh_core.types import Float, PersonMotion, Reconstruction
from tests.example_result import made_up_result


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def result(body: BodyModel) -> Reconstruction:
    made_up = made_up_result(body, frames=30, points=2000)
    return replace(made_up, people=tuple(_turning_hands(p, body) for p in made_up.people))


def _turning_hands(person: PersonMotion, body: BodyModel) -> PersonMotion:
    """The same person with every joint turned a little, so that no order of axes can be mistaken for another."""
    pose = person.pose + 0.3 * np.random.default_rng(1).standard_normal((1, 24, 3))
    joints = posed_points(body, person.betas, pose, person.transl)[0]
    return replace(person, pose=pose.astype(np.float32), joints=joints.astype(np.float32))


def _seen(result: Reconstruction, frame: int, p_world: Float) -> Float:
    """Pixels of world points as the result's own camera sees them."""
    p_cam = transform(invert(result.world_from_cam[frame].astype(float)), p_world.astype(float))
    return project(result.intrinsics, p_cam)


@pytest.mark.parametrize("who", [0, 1])
def test_bvh_gives_the_same_joints(result: Reconstruction, body: BodyModel, tmp_path: Path, who: int) -> None:
    person = result.people[who]
    save_bvh(result, body, person, tmp_path / "p.bvh")
    skeleton = bvhio.readAsHierarchy(str(tmp_path / "p.bvh"))
    bones = [skeleton.filter(name)[0] for name in JOINTS]
    for row, frame in enumerate(person.frames):
        skeleton.loadPose(int(frame))
        places = np.array([list(bone.PositionWorld) for bone in bones])
        assert np.abs(places - person.joints[row]).max() < 1e-3
    container = bvhio.readAsBvh(str(tmp_path / "p.bvh"))
    assert container.FrameCount == 30 and container.FrameTime == pytest.approx(1 / 30)


@pytest.mark.parametrize("names", [JOINTS, MIXAMO, UNREAL, SOMA])
def test_bvh_for_retargeting_begins_with_a_t_pose_and_moves_the_same(
    result: Reconstruction, body: BodyModel, tmp_path: Path, names: tuple[str, ...]
) -> None:
    person = result.people[0]
    save_bvh(result, body, person, tmp_path / "p.bvh", names, t_pose=True)
    skeleton = bvhio.readAsHierarchy(str(tmp_path / "p.bvh"))
    assert bvhio.readAsBvh(str(tmp_path / "p.bvh")).FrameCount == 31 and len(set(names)) == 24
    bones = [skeleton.filter(name, isEqual=True)[0] for name in names]

    def places(frame: int) -> Float:
        skeleton.loadPose(frame)
        return np.array([list(bone.PositionWorld) for bone in bones])

    for row, frame in enumerate(person.frames):
        assert np.abs(places(int(frame) + 1) - person.joints[row]).max() < 1e-3
    rest = places(0)
    arms = rest[[JOINTS.index(f"{side}_{j}") for side in ("left", "right") for j in ("shoulder", "elbow", "wrist")]]
    legs = rest[[JOINTS.index(f"left_{j}") for j in ("hip", "knee", "ankle")]]
    assert np.ptp(arms[:, 1:], axis=0).max() < 0.01 and arms[2, 0] > arms[0, 0]  # straight out, the left one to +x
    assert (np.diff(legs[:, 1]) < -0.3).all() and np.ptp(legs[:, 0]) < 0.05
    assert 0 < rest[:, 1].min() < 0.12  # ankles over the floor
    np.testing.assert_allclose(rest[0, [0, 2]], person.joints[0, 0, [0, 2]], atol=1e-3)


def test_bvh_holds_and_interpolates_where_nobody_was_seen(
    result: Reconstruction, body: BodyModel, tmp_path: Path
) -> None:
    person = result.people[1]
    save_bvh(result, body, person, tmp_path / "p.bvh")
    text = (tmp_path / "p.bvh").read_text().split("Frame Time:")[1].splitlines()[1:]
    values = np.array([[float(v) for v in line.split()] for line in text])
    first = person.frames[0]
    np.testing.assert_array_equal(values[0], values[first])
    gap = np.flatnonzero(np.diff(person.frames) > 1)[0]
    before, after = person.frames[gap], person.frames[gap + 1]
    middle = values[before, :3] + (values[after, :3] - values[before, :3]) / (after - before)
    np.testing.assert_allclose(values[before + 1, :3], middle, atol=1e-5)


def test_smpl_npz_through_smplx_gives_the_same_joints(result: Reconstruction, body: BodyModel, tmp_path: Path) -> None:
    person = result.people[0]
    save_smpl(result, person, tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz", allow_pickle=False) as stored:
        assert {"poses", "trans", "betas", "gender", "mocap_framerate"} <= set(stored.files)
        assert (str(stored["gender"]), float(stored["mocap_framerate"])) == ("neutral", 30.0)
        assert (str(stored["up_axis"]), str(stored["unit"])) == ("+Y", "metre")
        poses = torch.tensor(rotvec_to_rotmat(stored["poses"].reshape(-1, 24, 3)), dtype=torch.float32)
        out = body.smpl(
            betas=torch.tensor(stored["betas"])[None].expand(len(poses), -1),
            global_orient=poses[:, :1],
            body_pose=poses[:, 1:],
            transl=torch.tensor(stored["trans"]),
            pose2rot=False,
        )
    np.testing.assert_allclose(out.joints[:, :24].numpy(), person.joints, atol=1e-4)


def test_transforms_reproject_the_joints_in_both_conventions(result: Reconstruction, tmp_path: Path) -> None:
    save_transforms(result, tmp_path / "transforms.json")
    cameras = json.loads((tmp_path / "transforms.json").read_text("utf-8"))
    assert len(cameras["frames"]) == 30 and cameras["w"] == result.width
    for frame in (0, 11, 29):
        entry, joints = cameras["frames"][frame], result.people[0].joints[frame].astype(float)
        assert entry["time"] == pytest.approx(result.frame_times[frame])
        gl = transform(invert(np.array(entry["transform_matrix"])), joints)
        u = cameras["cx"] - cameras["fl_x"] * gl[:, 0] / gl[:, 2]  # looks along -z, y up
        v = cameras["cy"] + cameras["fl_y"] * gl[:, 1] / gl[:, 2]
        np.testing.assert_allclose(np.stack([u, v], 1), _seen(result, frame, joints), atol=1e-6)
        cv = transform(invert(np.array(entry["world_from_cam_opencv"])), joints)
        k = np.array([[cameras["fl_x"], 0, cameras["cx"]], [0, cameras["fl_y"], cameras["cy"]], [0, 0, 1]])
        np.testing.assert_allclose(project(k, cv), _seen(result, frame, joints), atol=1e-6)


_READ_COLMAP = """
import json, sys
import pycolmap
model = pycolmap.Reconstruction(sys.argv[1])
points = json.loads(sys.argv[2])
image = next(i for i in model.images.values() if i.name == sys.argv[3])
seen = [model.cameras[image.camera_id].img_from_cam(image.cam_from_world() * p).tolist() for p in points]
cloud = sorted((i, p.xyz.tolist(), p.color.tolist()) for i, p in model.points3D.items())
print(json.dumps([len(model.images), seen, cloud[:50]]))
"""


def test_colmap_text_is_read_by_pycolmap(result: Reconstruction, tmp_path: Path) -> None:
    save_colmap(result, tmp_path)
    joints = result.people[0].joints[17]
    command = [sys.executable, "-c", _READ_COLMAP, str(tmp_path), json.dumps(joints.tolist()), image_name(17)]
    images, seen, cloud = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert images == 30
    np.testing.assert_allclose(seen, _seen(result, 17, joints), atol=1e-3)
    np.testing.assert_allclose([p for _, p, _ in cloud], result.scene.points[:50], atol=1e-5)
    assert [c for _, _, c in cloud] == result.scene.colors[:50].tolist()


def test_cameras_with_the_lens_find_points_on_the_frames_as_filmed(
    result: Reconstruction, body: BodyModel, tmp_path: Path
) -> None:
    bent = replace(result, distortion=-0.2)
    write_formats(bent, body, tmp_path)
    p_cam = transform(invert(np.asarray(bent.world_from_cam[3], np.float64)), np.array([[-2.4, 2.6, -5.0]]))
    k = np.asarray(bent.intrinsics, np.float64)
    q = p_cam[0, :2] / p_cam[0, 2]
    seen = k[0, 0] * 2 * q / (1 + np.sqrt(1 + 0.8 * (q @ q))) + k[:2, 2]  # the division model, solved for what is seen
    assert np.linalg.norm(seen - k[0, 0] * q - k[:2, 2]) > 1  # px: the lens matters there
    model, width, height, *numbers = (
        (tmp_path / "camera/original_lens/colmap/cameras.txt").read_text().splitlines()[1].split()[1:]
    )
    assert (model, int(width), int(height)) == ("FULL_OPENCV", bent.width, bent.height)
    fx, fy, cx, cy, k1, k2, p1, p2, k3, *rest = map(float, numbers)
    assert fx == fy and [p1, p2, *rest] == [0.0] * 5
    square = q @ q
    by_hand = fx * q * (1 + k1 * square + k2 * square**2 + k3 * square**3) + [cx, cy]
    assert np.allclose(by_hand, seen, atol=0.2)
    nerf = json.loads((tmp_path / "camera/original_lens/transforms.json").read_text())
    assert nerf["camera_model"] == "OPENCV" and np.allclose([nerf[n] for n in ("k1", "k2", "k3")], [k1, k2, k3])
    stated = json.loads((tmp_path / "camera/opencv.json").read_text())
    by_opencv, _ = cv2.projectPoints(
        p_cam, np.zeros(3), np.zeros(3), np.array(stated["camera_matrix"]),
        np.array(stated["dist_coeffs_of_the_original_frames"]),
    )  # fmt: skip
    assert np.allclose(by_opencv.ravel() + 0.5, by_hand, atol=1e-4)


def test_a_straight_lens_needs_no_second_set_of_cameras(
    result: Reconstruction, body: BodyModel, tmp_path: Path
) -> None:
    write_formats(result, body, tmp_path)
    assert not (tmp_path / "camera" / "original_lens").exists()
    save_opencv(result, tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text())["dist_coeffs"] == [0.0] * 5


def test_ply_is_read_by_trimesh(result: Reconstruction, tmp_path: Path) -> None:
    save_ply(result, tmp_path / "scene.ply")
    cloud = trimesh.load(tmp_path / "scene.ply")
    np.testing.assert_allclose(cloud.vertices, result.scene.points, atol=1e-6)
    np.testing.assert_array_equal(cloud.colors[:, :3], result.scene.colors)
    header = (tmp_path / "scene.ply").read_bytes()[:200].decode("ascii", "ignore")
    assert "+Y up, metres" in header


def test_csv_holds_the_quality_table(result: Reconstruction, body: BodyModel, tmp_path: Path) -> None:
    measured = replace(result, quality=measure(result, body))
    save_table(measured, tmp_path / "quality.csv")
    with (tmp_path / "quality.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["sentence"] for line in lines] == [row.sentence for row in rows(measured.quality)]
    assert float(lines[0]["value"]) == measured.quality["foot_slide_mm"]


def test_the_text_beside_the_formats_says_what_they_are(
    result: Reconstruction, body: BodyModel, tmp_path: Path
) -> None:
    write_formats(result, body, tmp_path)
    text = (tmp_path / "README.txt").read_text("utf-8")
    for fact in ("+Y up", "metres", "30 frames at 30 frames per second", "OpenCV", "CC0"):
        assert fact in text


def test_nobody_in_the_result_still_exports(result: Reconstruction, body: BodyModel, tmp_path: Path) -> None:
    write_formats(replace(result, people=()), body, tmp_path)
    names = {file.name for file in tmp_path.rglob("*")}
    assert {"README.txt", "transforms.json", "scene.ply"} <= names and "person_0.bvh" not in names


def test_blender_script_sets_the_rate_before_it_imports(
    result: Reconstruction, body: BodyModel, tmp_path: Path
) -> None:
    odd = replace(result, fps=29.97)
    write_formats(odd, body, tmp_path)
    (tmp_path / "result.glb").write_bytes(glb_bytes(odd, body))
    (tmp_path / "clip.mp4").write_bytes(b"")
    bpy = mock.MagicMock()
    camera = mock.MagicMock(type="CAMERA")
    rate_at_import = []

    def import_scene(filepath: str) -> None:
        render = bpy.context.scene.render
        rate_at_import.append(render.fps / render.fps_base)
        bpy.data.objects = [camera]
        assert Path(filepath) == tmp_path.resolve() / "result.glb"

    bpy.data.objects = []
    bpy.ops.import_scene.gltf = import_scene
    with mock.patch.dict(sys.modules, {"bpy": bpy}), mock.patch.object(sys, "argv", ["blender", "--", "one.fbx"]):
        runpy.run_path(str(tmp_path / "blender_import.py"))
    assert Path(bpy.ops.export_scene.fbx.call_args.kwargs["filepath"]) == Path("one.fbx").resolve()
    assert rate_at_import == [pytest.approx(29.97)]
    assert bpy.context.scene.camera is camera and bpy.context.scene.frame_end == 29
    assert camera.data.background_images.new.called
    shutil.rmtree(tmp_path)
