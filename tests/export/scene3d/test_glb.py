"""The GLB: read back and posed by a slow skinning of its own, it shows what the result says, frame by frame."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

from josh_core.body import BodyModel, load_body
from josh_core.body.names import JOINTS
from josh_core.body.posing import posed_points, posed_vertices
from josh_core.export.colors import linear
from josh_core.export.motion.skeleton_names import SKELETONS
from josh_core.export.rig import quaternions, top_weights
from josh_core.export.scene3d.glb import glb_bytes, person_glb_bytes
from josh_core.export.scene3d.points import thin
from josh_core.geometry import invert, project, transform
from josh_core.types import Float, PointCloud, Reconstruction, Support, Surface
from tests.example_result import made_up_result
from tests.export.read_gltf import read_accessor, read_glb


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def result(body: BodyModel) -> Reconstruction:
    return made_up_result(body, frames=30, points=3000)


@pytest.fixture(scope="module")
def glb(result: Reconstruction, body: BodyModel) -> Glb:
    return Glb(glb_bytes(result, body))


class Glb:
    """Reads a .glb and evaluates its animation and skins as a viewer would, slowly."""

    def __init__(self, data: bytes) -> None:
        self.document, self.blob = read_glb(data)
        self.nodes = {node["name"]: i for i, node in enumerate(self.document["nodes"])}
        self.parent = {c: i for i, node in enumerate(self.document["nodes"]) for c in node.get("children", [])}
        (self.animation,) = self.document["animations"]

    def array(self, accessor: int) -> Any:
        return read_accessor(self.document, self.blob, accessor)

    def node(self, name: str) -> dict[str, Any]:
        return self.document["nodes"][self.nodes[name]]

    def primitive(self, name: str) -> dict[str, Any]:
        return self.document["meshes"][self.node(name)["mesh"]]["primitives"][0]

    def local(self, index: int, time: float) -> Float:
        node = self.document["nodes"][index]
        parts = {k: np.array(node[k]) for k in ("translation", "rotation", "scale") if k in node}
        for channel in self.animation["channels"]:
            if channel["target"]["node"] == index:
                parts[channel["target"]["path"]] = self._sample(self.animation["samplers"][channel["sampler"]], time)
        matrix = np.eye(4)
        if "rotation" in parts:
            matrix[:3, :3] = _rotation(parts["rotation"])
        matrix[:3, :3] *= parts.get("scale", np.ones(3))
        matrix[:3, 3] = parts.get("translation", np.zeros(3))
        return matrix

    def _sample(self, sampler: dict[str, Any], time: float) -> Float:
        keys, values = self.array(sampler["input"]), self.array(sampler["output"])
        if sampler["interpolation"] == "STEP":
            return values[max(0, np.searchsorted(keys, time, side="right") - 1)]
        value = np.array([np.interp(time, keys, values[:, i]) for i in range(values.shape[1])])
        return value / np.linalg.norm(value) if len(value) == 4 else value

    def world(self, name: str, time: float) -> Float:
        index = self.nodes[name]
        matrix = self.local(index, time)
        while index in self.parent:
            index = self.parent[index]
            matrix = self.local(index, time) @ matrix
        return matrix

    def resting(self, name: str) -> Float:
        """World matrix of a node while nothing plays."""
        index, matrix = self.nodes[name], np.eye(4)
        while True:
            node = self.document["nodes"][index]
            local = np.eye(4)
            local[:3, :3] = _rotation(np.array(node.get("rotation", [0.0, 0.0, 0.0, 1.0])))
            local[:3, 3] = node.get("translation", [0.0, 0.0, 0.0])
            matrix = local @ matrix
            if index not in self.parent:
                return matrix
            index = self.parent[index]

    def skinned(self, name: str, time: float) -> Float:
        primitive, skin = self.primitive(name), self.document["skins"][self.node(name)["skin"]]
        attributes = {k: self.array(v) for k, v in primitive["attributes"].items()}
        names = [self.document["nodes"][i]["name"] for i in skin["joints"]]
        moves = np.stack([self.world(n, time) for n in names]) @ self.array(skin["inverseBindMatrices"])
        blend = np.einsum("vk,vkij->vij", attributes["WEIGHTS_0"], moves[attributes["JOINTS_0"]])
        p = attributes["POSITION"]
        return np.einsum("vij,vj->vi", blend[:, :3, :3], p) + blend[:, :3, 3]


def _rotation(q: Float) -> Float:
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.mark.parametrize("frame", [0, 7, 29])
def test_skinned_mesh_is_the_posed_body(glb: Glb, result: Reconstruction, body: BodyModel, frame: int) -> None:
    person = result.people[0]
    row = slice(frame, frame + 1)
    vertices = posed_vertices(body, person.betas, person.pose[row], person.transl[row])[0]
    shown = glb.skinned("person_0", result.frame_times[frame])
    assert np.abs(shown - vertices).max() < 4e-3  # only four weights a vertex
    joints = posed_points(body, person.betas, person.pose[row], person.transl[row])[0][0]
    bones = [glb.world(f"person_0_{name}", result.frame_times[frame])[:3, 3] for name in body.joint_names]
    assert np.abs(np.array(bones) - joints).max() < 3e-4


def test_in_a_t_pose_the_skeleton_rests_as_the_mesh_was_made_and_plays_the_same(
    glb: Glb, result: Reconstruction, body: BodyModel
) -> None:
    posed = Glb(glb_bytes(result, body, t_pose=True))
    for k, person in enumerate(result.people):
        names = [f"person_{k}_{joint}" for joint in JOINTS]
        rest = np.stack([posed.resting(name)[:3, 3] for name in names])
        skin = posed.document["skins"][posed.node(f"person_{k}")["skin"]]
        bind = -posed.array(skin["inverseBindMatrices"])[:, :3, 3]
        np.testing.assert_allclose(rest - rest[0], bind - bind[0], atol=1e-5)
        time = float(result.frame_times[person.frames[3]])
        for name in names:
            np.testing.assert_allclose(posed.world(name, time), glb.world(name, time), atol=1e-5)


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_a_person_alone_has_the_names_of_the_skeleton_and_moves_the_same(
    glb: Glb, result: Reconstruction, body: BodyModel, skeleton: str
) -> None:
    names = SKELETONS[skeleton]
    alone = Glb(person_glb_bytes(result, body, 1, names))
    (skin,) = alone.document["skins"]
    assert [alone.document["nodes"][bone]["name"] for bone in skin["joints"]] == list(names)
    assert sum("mesh" in node for node in alone.document["nodes"]) == 1  # no place, no paths, nobody else
    wrists = [alone.resting(names[JOINTS.index(f"{side}_wrist")])[:3, 3] for side in ("left", "right")]
    assert abs(wrists[0][1] - wrists[1][1]) < 0.02 and wrists[0][0] - wrists[1][0] > 1  # arms straight out
    time = float(result.frame_times[result.people[1].frames[3]])
    for ours, name in zip(JOINTS, names, strict=True):
        np.testing.assert_allclose(alone.world(name, time), glb.world(f"person_1_{ours}", time), atol=1e-5)
    paths = {channel["target"]["path"] for channel in alone.animation["channels"]}
    assert paths == {"translation", "rotation"}


def test_a_person_is_visible_only_in_their_own_frames(glb: Glb, result: Reconstruction) -> None:
    for frame, time in enumerate(result.frame_times):
        size = np.ptp(glb.skinned("person_1", time), axis=0).max()
        assert (size > 1) == (frame in result.people[1].frames), frame
        assert np.ptp(glb.skinned("person_0", time), axis=0).max() > 1


def test_camera_projects_as_the_result_says(glb: Glb, result: Reconstruction, body: BodyModel) -> None:
    lens = glb.document["cameras"][0]["perspective"]
    for frame in (0, 13, 29):
        p_world = result.people[0].joints[frame].astype(float)
        p_gl = transform(invert(glb.world("camera", result.frame_times[frame])), p_world)
        y = -p_gl[:, 1] / p_gl[:, 2] / np.tan(lens["yfov"] / 2)
        x = -p_gl[:, 0] / p_gl[:, 2] / np.tan(lens["yfov"] / 2) / lens["aspectRatio"]
        seen = np.stack([(1 + x) / 2 * result.width, (1 - y) / 2 * result.height], 1)
        p_cam = transform(invert(result.world_from_cam[frame].astype(float)), p_world)
        np.testing.assert_allclose(seen, project(result.intrinsics, p_cam), atol=0.01)
    assert glb.parent[glb.nodes["camera_frustum"]] == glb.nodes["camera"]
    path = glb.array(glb.primitive("camera_path")["attributes"]["POSITION"])
    np.testing.assert_allclose(path, result.world_from_cam[:, :3, 3], atol=1e-6)


def test_one_animation_at_the_clips_own_times(body: BodyModel, result: Reconstruction) -> None:
    uneven = result.frame_times + np.where(np.arange(30) > 10, 0.013, 0.0)
    glb = Glb(glb_bytes(replace(result, frame_times=uneven), body))
    channel = next(c for c in glb.animation["channels"] if c["target"]["node"] == glb.nodes["camera"])
    keys = glb.array(glb.animation["samplers"][channel["sampler"]]["input"])
    np.testing.assert_allclose(keys, uneven, atol=1e-6)
    assert glb.document["asset"]["extras"]["frame_times"] == pytest.approx(uneven, abs=1e-6)


def test_names_extras_and_layers(glb: Glb, result: Reconstruction, body: BodyModel) -> None:
    top = [glb.document["nodes"][i]["name"] for i in glb.document["scenes"][0]["nodes"]]
    assert {"person_0", "person_1", "scene", "camera", "camera_path"} <= set(top)
    kinds = {name: glb.node(name)["extras"]["kind"] for name in ("person_0", "scene", "camera", "camera_path")}
    assert kinds == {"person_0": "person", "scene": "scene", "camera": "camera", "camera_path": "path"}
    about = glb.document["asset"]["extras"]
    assert (about["fps"], about["frames"], about["units"], about["up"]) == (30.0, 30, "metre", "+Y")
    assert about["licences"] == list(result.licences) and about["mode"] == "fast"
    assert about["supports"] == []


def test_supports_are_told_to_the_viewer(body: BodyModel, result: Reconstruction) -> None:
    outline = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.5]])
    glb = Glb(glb_bytes(replace(result, supports=(Support(0.45, outline),)), body))
    assert glb.document["asset"]["extras"]["supports"] == [{"height": 0.45, "outline": outline.tolist()}]
    extras = glb.node("person_1")["extras"]
    person = result.people[1]
    frames = np.concatenate([np.arange(a, b + 1) for a, b in extras["frame_runs"]])
    assert np.array_equal(frames, person.frames)
    raw = np.frombuffer(base64.b64decode(extras["contact"]["probability_u8_base64"]), np.uint8)
    contact = raw.reshape(len(person.frames), len(extras["contact"]["names"])) / 255
    assert np.abs(contact - person.contact).max() < 0.003
    _, contacts, _ = posed_points(body, person.betas, person.pose[:1], person.transl[:1])
    shown = glb.skinned("person_1", result.frame_times[person.frames[0]])[extras["contact"]["vertices"]]
    assert np.abs(shown - contacts[0]).max() < 4e-3


def test_point_colours_are_linear(glb: Glb, result: Reconstruction) -> None:
    attributes = glb.primitive("scene")["attributes"]
    np.testing.assert_allclose(glb.array(attributes["POSITION"]), result.scene.points, atol=1e-6)
    colors = glb.array(attributes["COLOR_0"])
    np.testing.assert_allclose(colors[:, :3], linear(result.scene.colors), atol=0.5 / 255 + 1e-9)
    assert linear(np.array([0, 10, 188, 255], np.uint8)) == pytest.approx([0, 0.003035, 0.502886, 1], abs=1e-5)


def test_skin_weights_sum_to_one_and_miss_little(glb: Glb, body: BodyModel) -> None:
    stored = glb.array(glb.primitive("person_0")["attributes"]["WEIGHTS_0"])
    np.testing.assert_allclose(stored.sum(1), 1, atol=1e-9)
    joints, weights = top_weights(np.array([[0.1, 0.0, 0.3, 0.2, 0.25, 0.15]]))
    assert joints.tolist() == [[2, 4, 3, 5]]
    np.testing.assert_allclose(weights, np.array([[0.3, 0.25, 0.2, 0.15]]) / 0.9)


def test_quaternions_do_not_jump() -> None:
    angle = np.linspace(0, 3 * np.pi, 50)
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi  # as rotation vectors of matrices are
    quats = quaternions(np.stack([wrapped, 0 * angle, 0 * angle], 1))
    assert ((quats[1:] * quats[:-1]).sum(1) > 0.9).all()
    for q, a in zip(quats, angle, strict=True):
        np.testing.assert_allclose(_rotation(q)[1], [0, np.cos(a), -np.sin(a)], atol=1e-9)


def test_thinning_keeps_the_most_confident_point_of_each_voxel() -> None:
    rng = np.random.default_rng(0)
    cloud = PointCloud(
        rng.uniform(0, 4, (5000, 3)).astype(np.float32), rng.integers(0, 255, (5000, 3), np.uint8), rng.random(5000)
    )
    fewer = thin(cloud, 600)
    assert 300 < len(fewer.points) <= 600
    assert fewer.confidence.mean() > 0.7
    row = np.flatnonzero((cloud.points == fewer.points[5]).all(1))
    assert np.array_equal(cloud.colors[row[0]], fewer.colors[5])
    assert thin(cloud, 5000) is cloud


def test_nobody_no_points_and_a_single_frame(result: Reconstruction, body: BodyModel) -> None:
    nothing = PointCloud(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0))
    first = result.people[0]
    once = replace(first, **{n: getattr(first, n)[3:4] for n in ("frames", "pose", "transl", "joints", "contact")})
    glb = Glb(glb_bytes(replace(result, scene=nothing, people=(once,)), body))
    assert np.ptp(glb.skinned("person_0", result.frame_times[3]), axis=0).max() > 1
    assert np.ptp(glb.skinned("person_0", result.frame_times[4]), axis=0).max() < 1e-6
    assert "person_0_path" not in glb.nodes
    assert "person_0" not in Glb(glb_bytes(replace(result, people=()), body)).nodes


def test_trimesh_loads_it(result: Reconstruction, body: BodyModel, tmp_path: Path) -> None:
    (tmp_path / "result.glb").write_bytes(glb_bytes(result, body))
    scene = trimesh.load(tmp_path / "result.glb")
    bodies = [g for g in scene.geometry.values() if isinstance(g, trimesh.Trimesh)]
    assert sorted(len(g.faces) for g in bodies) == [len(body.faces)] * 2
    clouds = [g for g in scene.geometry.values() if isinstance(g, trimesh.PointCloud)]
    assert [len(g.vertices) for g in clouds] == [len(result.scene.points)]


@pytest.mark.parametrize("alone", [False, True])
def test_khronos_validator_finds_no_error(result: Reconstruction, body: BodyModel, tmp_path: Path, alone: bool) -> None:
    node, package = shutil.which("node"), os.environ.get("GLTF_VALIDATOR", "")
    if node is None:
        pytest.skip("node is not installed")
    if not Path(package, "package.json").exists():
        pytest.skip("GLTF_VALIDATOR does not name the folder of the npm package gltf-validator")
    data = person_glb_bytes(result, body, 1, SKELETONS["mixamo"]) if alone else glb_bytes(result, body)
    (tmp_path / "result.glb").write_bytes(data)
    script = (
        "const [package_, file] = process.argv.slice(1);"
        "require(package_).validateBytes(new Uint8Array(require('fs').readFileSync(file)))"
        ".then(report => console.log(JSON.stringify(report.issues)));"
    )
    told = subprocess.run(
        [node, "-e", script, package, str(tmp_path / "result.glb")], capture_output=True, text=True, check=True
    )
    issues = json.loads(told.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"][:5]


def test_the_place_as_a_surface_with_its_picture(result: Reconstruction, body: BodyModel) -> None:
    rng = np.random.default_rng(0)
    picture = cv2.imencode(".jpg", np.full((8, 16, 3), 90, np.uint8))[1].tobytes()
    faces = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
    place = Surface(rng.random((4, 3), np.float32), faces, rng.random((4, 2), np.float32), picture)
    data = glb_bytes(replace(result, surface=place), body)
    glb = Glb(data)
    assert glb.node("surface")["extras"] == {"kind": "surface"}
    primitive = glb.primitive("surface")
    np.testing.assert_allclose(glb.array(primitive["attributes"]["POSITION"]), place.vertices)
    np.testing.assert_allclose(glb.array(primitive["attributes"]["TEXCOORD_0"]), place.uv, atol=1e-5)
    np.testing.assert_array_equal(glb.array(primitive["indices"]).reshape(-1, 3), faces)
    (mesh,) = (
        m for m in trimesh.load(io.BytesIO(data), file_type="glb").geometry.values()
        if isinstance(m, trimesh.Trimesh) and len(m.faces) == 2
    )  # fmt: skip
    seen = mesh.visual.material.baseColorTexture
    assert seen.size == (16, 8) and abs(np.asarray(seen).mean() - 90) < 3
    assert "surface" not in Glb(glb_bytes(result, body)).nodes
