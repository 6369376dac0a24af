"""USD read back: with Pixar's own library where it is installed, and the parts of a .usdz that need none."""

from __future__ import annotations

import re
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from josh_core.body import BodyModel, load_body
from josh_core.body.names import JOINTS
from josh_core.body.posing import posed_vertices
from josh_core.export.scene3d.usd import save_usd, usda
from josh_core.geometry import invert, project, transform
from josh_core.types import PointCloud, Reconstruction
from tests.example_result import made_up_result


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def result(body: BodyModel) -> Reconstruction:
    return made_up_result(body, frames=20, points=500)


@pytest.fixture(scope="module")
def stage(result: Reconstruction, body: BodyModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    Usd = pytest.importorskip("pxr.Usd", reason="usd-core (209 MB) is not installed: pip install usd-core")
    path = tmp_path_factory.mktemp("usd") / "result.usdz"
    save_usd(result, body, path)
    return Usd.Stage.Open(str(path))


def test_usdz_is_uncompressed_and_aligned(result: Reconstruction, body: BodyModel, tmp_path: Path) -> None:
    save_usd(result, body, tmp_path / "result.usdz")
    save_usd(result, body, tmp_path / "plain.usda")
    data = (tmp_path / "result.usdz").read_bytes()
    with zipfile.ZipFile(tmp_path / "result.usdz") as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type, entry.header_offset) == ("result.usda", zipfile.ZIP_STORED, 0)
        name, extra = struct.unpack("<HH", data[26:30])
        assert (30 + name + extra) % 64 == 0 and data[30 + name + extra :][:10] == b"#usda 1.0\n"
        assert archive.read(entry) == (tmp_path / "plain.usda").read_bytes()


def test_text_states_frame_unit_and_rate_and_closes_its_brackets(result: Reconstruction, body: BodyModel) -> None:
    text = usda(replace(result, fps=25.0, frame_times=np.arange(20) / 25), body)
    for fact in ('upAxis = "Y"', "metersPerUnit = 1", "timeCodesPerSecond = 25", "endTimeCode = 19"):
        assert fact in text
    for left, right in ("()", "[]", "{}"):
        assert text.count(left) == text.count(right)
    assert not re.search(r"\bnan\b|\binf\b", text)


def test_stage_is_metres_and_y_up_at_the_clips_rate(stage: Any, result: Reconstruction) -> None:
    from pxr import UsdGeom

    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert (stage.GetTimeCodesPerSecond(), stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (30, 0, 19)
    assert stage.GetDefaultPrim().GetPath() == "/World"
    points = UsdGeom.Points(stage.GetPrimAtPath("/World/scene"))
    np.testing.assert_allclose(points.GetPointsAttr().Get(), result.scene.points, atol=1e-4)


@pytest.mark.parametrize("who", [0, 1])
def test_usdskel_poses_joints_and_skin_within_a_millimetre(
    stage: Any, result: Reconstruction, body: BodyModel, who: int
) -> None:
    from pxr import Usd, UsdGeom, UsdSkel

    person = result.people[who]
    root = UsdSkel.Root(stage.GetPrimAtPath(f"/World/person_{who}"))
    cache = UsdSkel.Cache()
    assert cache.Populate(root, Usd.PrimDefaultPredicate)
    (binding,) = cache.ComputeSkelBindings(root, Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(binding.GetSkeleton())
    (skin,) = binding.GetSkinningTargets()
    assert [str(path).rsplit("/", 1)[-1] for path in query.GetJointOrder()] == list(JOINTS)
    for row in (0, len(person.frames) // 2, len(person.frames) - 1):
        code = float(person.frames[row])
        places = [matrix.ExtractTranslation() for matrix in query.ComputeJointSkelTransforms(code)]
        assert np.abs(np.array(places) - person.joints[row]).max() < 1e-3
        points = UsdGeom.Mesh(skin.GetPrim()).GetPointsAttr().Get()
        assert skin.ComputeSkinnedPoints(query.ComputeSkinningTransforms(code), points, code)
        mesh = posed_vertices(body, person.betas, person.pose[row : row + 1], person.transl[row : row + 1])[0]
        off = np.linalg.norm(np.array(points) - mesh, axis=1)
        assert np.median(off) < 1e-3 and off.max() < 0.02  # four weights a vertex
    for frame in range(len(result.frame_times)):
        seen = root.ComputeVisibility(float(frame)) != "invisible"
        assert seen == (frame in person.frames)


def test_camera_projects_as_the_result_says(stage: Any, result: Reconstruction) -> None:
    from pxr import Gf, UsdGeom

    camera = UsdGeom.Camera(stage.GetPrimAtPath("/World/camera"))
    for frame in (0, 9, 19):
        seen = camera.GetCamera(float(frame)).frustum
        joints = result.people[0].joints[frame].astype(float)
        view = seen.ComputeViewMatrix() * seen.ComputeProjectionMatrix()
        ndc = np.array([view.Transform(Gf.Vec3d(*p)) for p in joints.tolist()])
        px = (ndc[:, :2] * [1, -1] + 1) / 2 * [result.width, result.height]
        ours = project(result.intrinsics, transform(invert(result.world_from_cam[frame].astype(float)), joints))
        np.testing.assert_allclose(px, ours, atol=0.05)


def test_nobody_and_no_points_is_still_a_stage(result: Reconstruction, body: BodyModel, tmp_path: Path) -> None:
    nothing = PointCloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.float32))
    save_usd(replace(result, people=(), scene=nothing), body, tmp_path / "empty.usda")
    text = (tmp_path / "empty.usda").read_text("ascii")
    assert "def Camera" in text and "SkelRoot" not in text and "def Points" not in text
