"""The result as USD (.usda text, or .usdz): skinned people with UsdSkel, the camera with its lens, scene points.

The frame is the result's own, which is also USD's with upAxis Y and metersPerUnit 1. A time code is a frame of the clip
at its nominal rate; samples stand at the clip's own times. USD's matrices act on rows: they are ours transposed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS, PARENTS
from josh_core.export.colors import linear
from josh_core.export.looks.body_colors import body_colors
from josh_core.export.looks.outfit import cloth_normals
from josh_core.export.rig import Rig, quaternions, rig_of, top_weights
from josh_core.export.scene3d.points import thin
from josh_core.geometry import OPENCV_FROM_OPENGL
from josh_core.types import Float, PersonMotion, Reconstruction

# Chosen by hand, except where a measurement or a source is given.
_POINTS = 60_000  # about 60 bytes of text each
_POINT_WIDTH = 0.02  # m, as dense as the thinned points are in most scenes
_APERTURE = 0.36  # tenths of a metre, USD's unit here: a sensor 36 mm wide
_ALIGNED = 64  # bytes: usdz requires each file inside to begin at a multiple
_WEIGHTS = 4  # joints a vertex, as in the GLB

_HEADER = """#usda 1.0
(
    defaultPrim = "World"
    doc = "4D reconstruction: right-handed, +Y up, metres, floor at y = 0"
    metersPerUnit = 1
    upAxis = "Y"
    timeCodesPerSecond = {fps:.9g}
    framesPerSecond = {fps:.9g}
    startTimeCode = 0
    endTimeCode = {last:.9g}
)

def Xform "World"
{{
"""
_CAMERA = """    def Camera "camera"
    {{
        float2 clippingRange = (0.05, 200)
        float focalLength = {focal:.9g}
        float horizontalAperture = {across:.9g}
        float verticalAperture = {down:.9g}
        matrix4d xformOp:transform.timeSamples = {poses}
        uniform token[] xformOpOrder = ["xformOp:transform"]
    }}
"""
_SCENE = """    def Points "scene"
    {{
        point3f[] points = {points}
        float[] widths = [{width}] (interpolation = "constant")
        color3f[] primvars:displayColor = {colors} (interpolation = "vertex")
    }}
"""
_PERSON = """    def SkelRoot "{name}" (prepend apiSchemas = ["SkelBindingAPI"])
    {{
        token visibility.timeSamples = {visible}
        def Skeleton "skeleton" (prepend apiSchemas = ["SkelBindingAPI"])
        {{
            uniform token[] joints = {joints}
            uniform matrix4d[] bindTransforms = {bind}
            uniform matrix4d[] restTransforms = {rest}
            rel skel:animationSource = </World/{name}/skeleton/motion>
            def SkelAnimation "motion"
            {{
                uniform token[] joints = {joints}
                float3[] translations.timeSamples = {translations}
                quatf[] rotations.timeSamples = {rotations}
                half3[] scales = {scales}
            }}
        }}
        def Mesh "body" (prepend apiSchemas = ["SkelBindingAPI"])
        {{
            uniform token subdivisionScheme = "none"
            int[] faceVertexCounts = {counts}
            int[] faceVertexIndices = {faces}
            point3f[] points = {vertices}
            normal3f[] normals = {normals} (interpolation = "vertex")
            color3f[] primvars:displayColor = {colors} (interpolation = "vertex")
            int[] primvars:skel:jointIndices = {indices} (
                elementSize = {many}
                interpolation = "vertex"
            )
            float[] primvars:skel:jointWeights = {weights} (
                elementSize = {many}
                interpolation = "vertex"
            )
            matrix4d primvars:skel:geomBindTransform = {identity}
            rel skel:skeleton = </World/{name}/skeleton>
        }}
    }}
"""


def save_usd(result: Reconstruction, body: BodyModel, path: Path) -> None:
    """Write the result as `path`: plain text for .usda, else a .usdz package that holds that text.

    /World/camera, /World/scene and for each person /World/person_K with its skeleton (SMPL's joints, resting in a
    T-pose), motion and mesh.
    """
    path = Path(path)
    text = usda(result, body).encode("ascii")
    if path.suffix == ".usda":
        path.write_bytes(text)
    else:
        _package(path, f"{path.stem}.usda", text)


def usda(result: Reconstruction, body: BodyModel) -> str:
    """The whole stage as USD text."""
    codes = result.frame_times * result.fps
    parts = [_HEADER.format(fps=result.fps, last=float(codes[-1])), _camera(result, codes)]
    if len(result.scene.points):
        parts.append(_scene(result))
    parts += [_person(result, body, k, codes) for k in range(len(result.people))]
    return "".join([*parts, "}\n"])


def _camera(result: Reconstruction, codes: Float) -> str:
    k = np.asarray(result.intrinsics, np.float64)
    world_from_gl = np.asarray(result.world_from_cam, np.float64) @ OPENCV_FROM_OPENGL
    per_pixel = _APERTURE / result.width
    return _CAMERA.format(
        focal=k[0, 0] * per_pixel,
        across=_APERTURE,
        down=result.height * per_pixel * k[0, 0] / k[1, 1],
        poses=_samples(codes, (_matrix(pose) for pose in world_from_gl)),
    )


def _scene(result: Reconstruction) -> str:
    cloud = thin(result.scene, _POINTS)
    return _SCENE.format(points=_tuples(cloud.points), colors=_tuples(linear(cloud.colors)), width=_POINT_WIDTH)


def _person(result: Reconstruction, body: BodyModel, index: int, codes: Float) -> str:
    person = result.people[index]
    rig = rig_of(body, person.betas)
    faces = np.asarray(body.faces)
    indices, weights = top_weights(body.skin_weights.double().numpy(), _WEIGHTS)
    bind, rest = np.tile(np.eye(4), (2, len(JOINTS), 1, 1))
    bind[:, :3, 3], rest[:, :3, 3] = rig.joints, _offsets(rig)
    root = person.transl + rig.joints[0]
    translations = np.tile(_offsets(rig), (len(root), 1, 1))
    translations[:, 0] = root
    return _PERSON.format(
        name=f"person_{index}",
        visible=_presence(person, codes),
        joints=_list(f'"{path}"' for path in _paths()),
        bind=_list(map(_matrix, bind)),
        rest=_list(map(_matrix, rest)),
        translations=_samples(codes[person.frames], map(_tuples, translations)),
        rotations=_samples(codes[person.frames], map(_tuples, quaternions(person.pose)[..., [3, 0, 1, 2]])),
        scales=_tuples(np.ones((len(JOINTS), 3))),
        counts=_numbers(np.full(len(faces), 3)),
        faces=_numbers(faces.reshape(-1)),
        vertices=_tuples(rig.vertices),
        normals=_tuples(cloth_normals(body, rig.vertices)),
        colors=_tuples(linear(body_colors(person, body))),
        indices=_numbers(indices.reshape(-1)),
        weights=_numbers(weights.reshape(-1)),
        many=_WEIGHTS,
        identity=_matrix(np.eye(4)),
    )


def _offsets(rig: Rig) -> Float:
    """Rest positions [24,3] m of joints relative to their parents; the root's is absolute."""
    return np.stack([rig.joints[j] - (rig.joints[p] if p >= 0 else 0) for j, p in enumerate(PARENTS)])


def _paths() -> list[str]:
    """Joint names of UsdSkel: the path from the root."""
    paths: list[str] = []
    for joint, parent in zip(JOINTS, PARENTS, strict=True):
        paths.append(joint if parent < 0 else f"{paths[parent]}/{joint}")
    return paths


def _presence(person: PersonMotion, codes: Float) -> str:
    """Visibility of the person over time. Tokens hold until the next sample, so one sample at each change is enough."""
    there = np.zeros(len(codes), bool)
    there[person.frames] = True
    change = np.concatenate([[0], np.flatnonzero(np.diff(there)) + 1])
    return _samples(codes[change], ('"inherited"' if there[frame] else '"invisible"' for frame in change))


def _samples(codes: Float, values: Iterable[str]) -> str:
    return "{" + "".join(f"\n{code:.9g}: {value}," for code, value in zip(codes, values, strict=True)) + "\n}"


def _list(items: Iterable[str]) -> str:
    return "[" + ", ".join(items) + "]"


def _number(value: float) -> str:
    return f"{value:.7g}"  # what a float holds


def _numbers(values: Sequence[float] | Float) -> str:
    return _list(map(_number, np.asarray(values).tolist()))


def _tuple(values: Sequence[float] | Float) -> str:
    return "(" + ", ".join(map(_number, values)) + ")"


def _tuples(rows: Float) -> str:
    return _list(map(_tuple, np.asarray(rows, np.float64).tolist()))


def _matrix(ours: Float) -> str:
    """A matrix [4,4] that acts on columns, as USD writes it."""
    return "(" + ", ".join("(" + ", ".join(f"{value:.9g}" for value in row) + ")" for row in ours.T) + ")"


def _package(path: Path, name: str, data: bytes) -> None:
    """A .usdz: a zip without compression whose only file begins at a multiple of 64 bytes."""
    entry = zipfile.ZipInfo(name)
    begin = 30 + len(name)  # of the data: behind the zip's local header and the name
    padding = -(begin + 4) % _ALIGNED
    entry.extra = b"\x86\x19" + padding.to_bytes(2, "little") + bytes(padding)  # the id that USD uses for padding
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, data)
