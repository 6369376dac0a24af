"""The result as one animated .glb in the world frame: skinned people, scene points, camera and paths (docs/VIEWER.md).

Axes are glTF's own (right-handed, +Y up, metres), so nothing is converted. Every channel is in one animation and
key times are the clip's own. `extras.kind` of each node is person, path, scene or camera, for layers.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS, PARENTS
from josh_core.body.posing import runs
from josh_core.export.colors import CAMERA_COLOR, linear, person_color, rgb
from josh_core.export.looks.body_colors import body_colors, own_colors
from josh_core.export.looks.outfit import cloth_normals, plain_colors
from josh_core.export.rig import Rig, quaternions, rig_of, t_pose_root, top_weights
from josh_core.export.scene3d.gltf import (
    INDEX_DATA,
    LINE_STRIP,
    LINES,
    POINTS,
    TRIANGLES,
    VERTEX_DATA,
    GltfWriter,
)
from josh_core.export.scene3d.points import thin
from josh_core.geometry import OPENCV_FROM_OPENGL, rotmat_to_rotvec
from josh_core.types import Float, Int, PersonMotion, Reconstruction, UInt8

# Chosen by hand, except where a measurement or a source is given.
_MAX_POINTS = 180_000  # 16 bytes each: about 3 MB
_BESIDE_SURFACE = 100_000  # most points if there is also a surface
_FRUSTUM_DEPTH = 0.4  # m from the camera to the drawn image plane
_FOOT_JOINTS = [7, 8, 10, 11]  # of SMPL: ankles and toe bases


def glb_bytes(result: Reconstruction, body: BodyModel, max_points: int = _MAX_POINTS, t_pose: bool = False) -> bytes:
    """The .glb file of a result, with its scene thinned to `max_points`.

    t_pose: the nodes' static pose is a T-pose, which tools use for retargeting, instead of the first frame.
    """
    writer = GltfWriter("josh-space", _asset_extras(result))
    _add_camera(writer, result)
    _add_scene(writer, result, max_points)
    _add_surface(writer, result)
    skin = _SharedSkin(writer, body) if result.people else None
    for index, person in enumerate(result.people):
        assert skin is not None
        _add_person(writer, result, index, body, skin, _Skeletons(t_pose))
        _add_person_path(writer, index, person)
    return writer.to_bytes()


def person_glb_bytes(result: Reconstruction, body: BodyModel, index: int, names: Sequence[str]) -> bytes:
    """One person alone as .glb, resting in a T-pose, for tools that retarget by joint names.

    names: of the 24 joints in SMPL's order. The animation is that of `glb_bytes`, in the same world.
    """
    writer = GltfWriter("josh-space", _asset_extras(result))
    _add_person(writer, result, index, body, _SharedSkin(writer, body), _Skeletons(True, names))
    return writer.to_bytes()


def _asset_extras(result: Reconstruction) -> dict[str, Any]:
    return {
        "format": "josh-result-glb",
        "version": 1,
        "fps": result.fps,
        "frames": len(result.frame_times),
        "frame_times": [round(float(t), 6) for t in result.frame_times],
        "units": "metre",
        "up": "+Y",
        "axes": "right-handed, +Y up, floor at y = 0, first camera heads toward -Z; glTF cameras look along -Z",
        "mode": result.mode,
        "tier": result.tier,
        "lens_division": float(result.distortion),
        "camera": result.camera_kind,
        "scale_source": result.scale_source,
        "width": result.width,
        "height": result.height,
        "intrinsics": np.asarray(result.intrinsics, float).tolist(),
        "body_model": result.body_model,
        "supports": [{"height": float(s.height), "outline": s.outline.tolist()} for s in result.supports],
        "people": len(result.people),
        "licences": list(result.licences),
    }


def _add_camera(writer: GltfWriter, result: Reconstruction) -> None:
    world_from_gl = result.world_from_cam.astype(np.float64) @ OPENCV_FROM_OPENGL
    centres = world_from_gl[:, :3, 3].astype(np.float32)
    quats = quaternions(rotmat_to_rotvec(world_from_gl[:, :3, :3])).astype(np.float32)
    k = result.intrinsics
    half_h = result.height / 2 / float(k[1, 1])
    half_w = result.width / 2 / float(k[0, 0])
    lens = {"yfov": 2 * float(np.arctan(half_h)), "aspectRatio": half_w / half_h, "znear": 0.05, "zfar": 200.0}
    camera = writer.add("cameras", {"name": "camera", "type": "perspective", "perspective": lens})
    node = writer.node(
        "camera",
        camera=camera,
        translation=centres[0].tolist(),
        rotation=quats[0].tolist(),
        extras={"kind": "camera", "intrinsics_px": np.asarray(k, float).tolist()},
    )
    times = writer.accessor(result.frame_times.astype(np.float32))
    writer.animate(node, "translation", times, writer.accessor(centres))
    writer.animate(node, "rotation", times, writer.accessor(quats))

    line = writer.material("camera", linear(rgb(CAMERA_COLOR)), unlit=True)
    corners, edges = _frustum(half_w * _FRUSTUM_DEPTH, half_h * _FRUSTUM_DEPTH, _FRUSTUM_DEPTH)
    attributes = {"POSITION": writer.accessor(corners, VERTEX_DATA)}
    mesh = writer.mesh("camera_frustum", LINES, attributes, line, writer.accessor(edges, INDEX_DATA))
    writer.node("camera_frustum", node, mesh=mesh, extras={"kind": "camera"})
    if len(centres) > 1:
        mesh = writer.mesh("camera_path", LINE_STRIP, {"POSITION": writer.accessor(centres, VERTEX_DATA)}, line)
        writer.node("camera_path", mesh=mesh, extras={"kind": "path", "of": "camera"})


def _frustum(w: float, h: float, depth: float) -> tuple[Float, Int]:
    """Corners and edges of a camera pyramid in glTF camera axes, with a small triangle that marks the top."""
    image = [(-w, h), (w, h), (w, -h), (-w, -h), (-0.3 * w, 1.1 * h), (0.3 * w, 1.1 * h), (0.0, 1.5 * h)]
    corners = np.array([(0.0, 0.0, 0.0), *((x, y, -depth) for x, y in image)], np.float32)
    edges = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1, 5, 6, 6, 7, 7, 5]
    return corners, np.array(edges, np.uint16)


def _add_scene(writer: GltfWriter, result: Reconstruction, max_points: int) -> None:
    cloud = thin(result.scene, max_points if result.surface is None else min(max_points, _BESIDE_SURFACE))
    if len(cloud.points) == 0:
        writer.node("scene", extras={"kind": "scene", "points": 0})
        return
    light = np.round(255 * linear(cloud.colors)).astype(np.uint8)  # COLOR_0 is linear, not sRGB
    rgba = np.concatenate([light, np.full((len(light), 1), 255, np.uint8)], 1)
    attributes = {
        "POSITION": writer.accessor(cloud.points.astype(np.float32), VERTEX_DATA),
        "COLOR_0": writer.accessor(rgba, VERTEX_DATA, normalized=True),
    }
    mesh = writer.mesh("scene", POINTS, attributes, writer.material("scene", np.ones(3), unlit=True))
    writer.node("scene", mesh=mesh, extras={"kind": "scene", "points": len(cloud.points)})


def _add_surface(writer: GltfWriter, result: Reconstruction) -> None:
    """The scene's surface as a textured mesh."""
    place = result.surface
    if place is None:
        return
    whole = np.iinfo(np.uint16).max
    attributes = {
        "POSITION": writer.accessor(place.vertices.astype(np.float32), VERTEX_DATA),
        "TEXCOORD_0": writer.accessor(np.round(whole * place.uv).astype(np.uint16), VERTEX_DATA, normalized=True),
    }
    material = writer.material("surface", np.ones(3), unlit=True, texture=writer.texture(place.texture))
    kind = np.uint16 if len(place.vertices) < whole else np.uint32
    faces = writer.accessor(place.faces.reshape(-1).astype(kind), INDEX_DATA)
    mesh = writer.mesh("surface", TRIANGLES, attributes, material, faces)
    writer.node("surface", mesh=mesh, extras={"kind": "surface"})


class _SharedSkin:
    """Faces and skin weights, stored once for all people: they share one body."""

    def __init__(self, writer: GltfWriter, body: BodyModel) -> None:
        joints, weights = top_weights(body.skin_weights.double().numpy())
        whole = np.iinfo(np.uint16).max
        fixed = np.round(weights * whole).astype(np.int64)
        fixed[:, 0] += whole - fixed.sum(1)  # the largest weight takes the rounding error, so every sum is exact
        joints = np.where(fixed > 0, joints, 0)
        faces = np.asarray(body.faces)
        index = np.uint16 if faces.max() < whole else np.uint32
        self.faces = writer.accessor(faces.reshape(-1).astype(index), INDEX_DATA)
        self.attributes = {
            "JOINTS_0": writer.accessor(joints.astype(np.uint8), VERTEX_DATA),
            "WEIGHTS_0": writer.accessor(fixed.astype(np.uint16), VERTEX_DATA, normalized=True),
        }


@dataclass(frozen=True)
class _Skeletons:
    """How the skeletons of a file rest and what their joints are called."""

    t_pose: bool  # else they rest in the first pose
    names: Sequence[str] = ()  # of the 24 joint nodes; without, they are person_{index}_{joint}


def _add_person(
    writer: GltfWriter, result: Reconstruction, index: int, body: BodyModel, shared: _SharedSkin, how: _Skeletons
) -> None:
    """One skinned mesh node `person_{index}` at the top of the scene and its skeleton beside it."""
    person = result.people[index]
    rig = rig_of(body, person.betas)
    bones = _add_skeleton(writer, index, person, rig, how)
    _animate_person(writer, result, person, rig, bones, how.t_pose)
    if not how.names:  # tools that retarget would take a scale of 0 for motion
        _animate_presence(writer, result, person, bones[0])
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (len(bones), 1, 1))
    inverse_bind[:, :3, 3] = -rig.joints
    skin = writer.add(
        "skins",
        {"joints": bones, "skeleton": bones[0], "inverseBindMatrices": writer.accessor(inverse_bind)},
    )
    attributes = {
        "POSITION": writer.accessor(rig.vertices.astype(np.float32), VERTEX_DATA),
        "NORMAL": writer.accessor(cloth_normals(body, rig.vertices).astype(np.float32), VERTEX_DATA),
        "COLOR_0": writer.accessor(_light(body_colors(person, body)), VERTEX_DATA, normalized=True),
        **shared.attributes,
    }
    if own_colors(person, body) is not None:  # for the viewer's switch
        plain = _light(plain_colors(body, person.id))
        attributes["_PLAIN"] = writer.accessor(plain, VERTEX_DATA, normalized=True)
    name = f"person_{index}"
    material = writer.material(name, np.ones(3))
    mesh = writer.mesh(name, TRIANGLES, attributes, material, shared.faces)
    writer.node(name, mesh=mesh, skin=skin, extras=_person_extras(result, person, body))


def _light(colors: UInt8) -> Int:
    """Linear light of sRGB colours [V,3] as glTF's COLOR_0 [V,4]; 16 bits, since 8 show steps in dark colours."""
    whole = np.iinfo(np.uint16).max
    light = np.round(whole * linear(colors)).astype(np.uint16)
    return np.concatenate([light, np.full((len(light), 1), whole, np.uint16)], 1)


def _person_extras(result: Reconstruction, person: PersonMotion, body: BodyModel) -> dict[str, Any]:
    probability = np.round(255 * np.clip(person.contact, 0, 1)).astype(np.uint8)
    return {
        "kind": "person",
        "track_id": person.id,
        "color": person_color(person.id),
        "height_m": round(float(person.height_m), 4),
        "frame_runs": [[int(person.frames[a]), int(person.frames[b - 1])] for a, b in runs(person.frames)],
        "contact": {
            "names": list(result.contact_names),
            "vertices": np.asarray(body.contact_vertices).tolist(),  # [C] the mesh vertex at each contact point
            "probability_u8_base64": base64.b64encode(probability.tobytes()).decode(),  # [n,C] row-major
        },
    }


def _add_skeleton(writer: GltfWriter, index: int, person: PersonMotion, rig: Rig, how: _Skeletons) -> list[int]:
    """Joint nodes in SMPL's order, at the person's first pose or in a T-pose.

    They are children of person_{index}_rig, so Blender makes one armature for each person.
    """
    rig_node = writer.node(f"person_{index}_rig")
    names = how.names or [f"person_{index}_{joint}" for joint in JOINTS]
    bones: list[int] = []
    rotations = quaternions(np.zeros((1, len(JOINTS), 3)) if how.t_pose else person.pose[:1])[0]
    place = t_pose_root(rig, person) if how.t_pose else rig.joints[0] + person.transl[0]
    for joint, parent in enumerate(PARENTS):
        root = parent < 0
        offset = place if root else rig.joints[joint] - rig.joints[parent]
        bones.append(
            writer.node(
                names[joint],
                rig_node if root else bones[parent],
                translation=offset.astype(np.float32).tolist(),
                rotation=rotations[joint].astype(np.float32).tolist(),
            )
        )
    return bones


def _animate_person(
    writer: GltfWriter, result: Reconstruction, person: PersonMotion, rig: Rig, bones: list[int], t_pose: bool
) -> None:
    times = writer.accessor(result.frame_times[person.frames].astype(np.float32))
    root = person.transl + rig.joints[0]  # SMPL turns about the pelvis joint, which is where the root node sits
    writer.animate(bones[0], "translation", times, writer.accessor(root.astype(np.float32)))
    whole = np.iinfo(np.int16).max
    quats = quaternions(person.pose)
    for joint, bone in enumerate(bones):
        if np.ptp(person.pose[:, joint], axis=0).max() < 1e-7 and not t_pose:
            continue  # a constant joint keeps its node's rotation
        fixed = np.round(quats[:, joint] * whole).astype(np.int16)  # 0.003 degrees a step, half the size of floats
        writer.animate(bone, "rotation", times, writer.accessor(fixed, normalized=True))


def _animate_presence(writer: GltfWriter, result: Reconstruction, person: PersonMotion, root: int) -> None:
    """Scale 0 while the person is absent; it changes midway between two frames, so rounded key times do no harm."""
    visible = np.zeros(len(result.frame_times), np.float32)
    visible[person.frames] = 1
    if visible.all():
        return
    change = np.flatnonzero(np.diff(visible)) + 1
    halfway = (result.frame_times[change - 1] + result.frame_times[change]) / 2
    keys = np.concatenate([result.frame_times[:1], halfway]).astype(np.float32)
    values = np.repeat(visible[np.concatenate([[0], change])][:, None], 3, 1)
    writer.animate(root, "scale", writer.accessor(keys), writer.accessor(values), step=True)


def _add_person_path(writer: GltfWriter, index: int, person: PersonMotion) -> None:
    """The person's path as a line at the height of the lower foot."""
    first = np.flatnonzero(np.diff(person.frames) == 1)
    if len(first) == 0:
        return
    low = person.joints[:, _FOOT_JOINTS, 1].min(1)
    path = person.joints[:, 0].copy()
    path[:, 1] = uniform_filter1d(minimum_filter1d(low, 31, mode="nearest"), 31, mode="nearest")
    segments = np.stack([first, first + 1], 1).reshape(-1)
    kind = np.uint16 if len(path) < np.iinfo(np.uint16).max else np.uint32
    name = f"person_{index}_path"
    material = writer.material(name, linear(rgb(person_color(person.id))), unlit=True)
    attributes = {"POSITION": writer.accessor(path.astype(np.float32), VERTEX_DATA)}
    mesh = writer.mesh(name, LINES, attributes, material, writer.accessor(segments.astype(kind), INDEX_DATA))
    writer.node(name, mesh=mesh, extras={"kind": "path", "of": f"person_{index}", "track_id": person.id})
