"""The list of all export formats. A new format is one more entry.

The zip, the files of a run and `josh export` all read this list; videos, which need the clip, are in pictures/.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS
from josh_core.errors import ResultError, SettingsError
from josh_core.export.cameras import save_chan, save_colmap, save_opencv, save_transforms
from josh_core.export.motion.bvh import save_bvh
from josh_core.export.motion.skeleton_names import MIXAMO, SKELETONS, SOMA, UNREAL
from josh_core.export.motion.smpl_npz import save_smpl
from josh_core.export.motion.trc import save_trc
from josh_core.export.scene3d.glb import glb_bytes, person_glb_bytes
from josh_core.export.scene3d.ply import save_ply
from josh_core.export.scene3d.splats import save_splats
from josh_core.export.scene3d.usd import save_usd
from josh_core.export.table import save_table
from josh_core.types import Reconstruction

_BLENDER_SCRIPT = Path(__file__).with_name("blender_import.py")

_Write = Callable[[Reconstruction, BodyModel, Path], None]


@dataclass(frozen=True)
class Format:
    """One export format."""

    name: str  # for the command line
    files: str  # what is written, relative to the folder
    what: str  # for whom or what, in one line
    write: _Write  # into an existing folder
    usual: bool = True  # whether every run writes it


def _bvh(ending: str = "", names: Sequence[str] = JOINTS, t_pose: bool = False) -> _Write:
    """Writes people/person_K{ending}.bvh with joints of these names."""

    def write(result: Reconstruction, body: BodyModel, folder: Path) -> None:
        for k, person in enumerate(result.people):
            save_bvh(result, body, person, _made(folder / "people") / f"person_{k}{ending}.bvh", names, t_pose)

    return write


def _smpl(result: Reconstruction, _: BodyModel, folder: Path) -> None:
    for k, person in enumerate(result.people):
        save_smpl(result, person, _made(folder / "people") / f"person_{k}_smpl.npz")


def _trc(result: Reconstruction, body: BodyModel, folder: Path) -> None:
    for k, person in enumerate(result.people):
        save_trc(result, body, person, _made(folder / "people") / f"person_{k}.trc")


def _rigs(result: Reconstruction, body: BodyModel, folder: Path) -> None:
    """Writes rigs.zip: person_K_{skeleton}.glb of each person under the names of each skeleton."""
    with zipfile.ZipFile(folder / "rigs.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for k in range(len(result.people)):
            for skeleton, names in SKELETONS.items():
                packed.writestr(f"person_{k}_{skeleton}.glb", person_glb_bytes(result, body, k, names))


def _original_lens(result: Reconstruction, _: BodyModel, folder: Path) -> None:
    if result.distortion:
        original = folder / "camera" / "original_lens"
        save_colmap(result, _made(original / "colmap"), lens=True)
        save_transforms(result, original / "transforms.json", lens=True)


FORMATS = (
    Format(
        "glb",
        "result.glb",
        "animated scene for glTF viewers and Blender",
        lambda result, body, folder: _write(folder / "result.glb", glb_bytes(result, body)),
        usual=False,  # already in every bundle
    ),
    Format(
        "glb-tpose",
        "result_tpose.glb",
        "the same with skeletons that rest in a T-pose, for retargeting",
        lambda result, body, folder: _write(folder / "result_tpose.glb", glb_bytes(result, body, t_pose=True)),
        usual=False,
    ),
    Format(
        "rigs",
        "rigs.zip",
        "each person alone as GLB, resting in a T-pose, under Mixamo's, Unreal's and SOMA's joint names",
        _rigs,
        usual=False,
    ),
    Format(
        "usdz",
        "result.usdz",
        "animated scene as one USD package, UsdSkel and camera",
        lambda result, body, folder: save_usd(result, body, folder / "result.usdz"),
        usual=False,
    ),
    Format(
        "usda",
        "result.usda",
        "the same as plain USD text",
        lambda result, body, folder: save_usd(result, body, folder / "result.usda"),
        usual=False,
    ),
    Format("bvh", "people/person_K.bvh", "skeleton and motion for animation tools", _bvh()),
    Format(
        "bvh-mixamo",
        "people/person_K_mixamo.bvh",
        "the same under Mixamo's joint names, a T-pose first, for retargeting",
        _bvh("_mixamo", MIXAMO, t_pose=True),
    ),
    Format(
        "bvh-tpose",
        "people/person_K_tpose.bvh",
        "the same under SMPL's joint names, a T-pose first",
        _bvh("_tpose", t_pose=True),
        usual=False,
    ),
    Format(
        "bvh-unreal",
        "people/person_K_unreal.bvh",
        "the same under the joint names of Unreal's mannequin, a T-pose first",
        _bvh("_unreal", UNREAL, t_pose=True),
    ),
    Format(
        "bvh-soma",
        "people/person_K_soma.bvh",
        "the same under SOMA's joint names, a T-pose first, for retargeting to robots",
        _bvh("_soma", SOMA, t_pose=True),
    ),
    Format("smpl", "people/person_K_smpl.npz", "SMPL parameters under AMASS's names", _smpl),
    Format("trc", "people/person_K.trc", "joints and markers over time for OpenSim and Pose2Sim", _trc),
    Format(
        "nerfstudio",
        "camera/transforms.json",
        "cameras for nerfstudio, with OpenCV axes too",
        lambda result, _, folder: save_transforms(result, _made(folder / "camera") / "transforms.json"),
    ),
    Format(
        "colmap",
        "camera/colmap/",
        "cameras as a COLMAP text model",
        lambda result, _, folder: save_colmap(result, _made(folder / "camera" / "colmap")),
    ),
    Format(
        "opencv",
        "camera/opencv.json",
        "camera matrix and distortion in OpenCV's terms",
        lambda result, _, folder: save_opencv(result, _made(folder / "camera") / "opencv.json"),
    ),
    Format(
        "chan",
        "camera/camera.chan",
        "the camera's path for Nuke, Houdini and Blender",
        lambda result, _, folder: save_chan(result, _made(folder / "camera") / "camera.chan"),
    ),
    Format(
        "original-lens",
        "camera/original_lens/",
        "the same cameras for the frames as they were filmed, where the lens bends lines",
        _original_lens,
    ),
    Format(
        "ply",
        "scene.ply",
        "scene points with colour and confidence",
        lambda result, _, folder: save_ply(result, folder / "scene.ply"),
    ),
    Format(
        "splats",
        "splats.ply",
        "scene points as flat Gaussian splats",
        lambda result, _, folder: save_splats(result, folder / "splats.ply"),
    ),
    Format(
        "csv",
        "quality.csv",
        "what was measured, with verdicts",
        lambda result, _, folder: save_table(result, folder / "quality.csv"),
    ),
    Format(
        "blender",
        "blender_import.py",
        "script that opens result.glb in Blender with the clip behind it",
        lambda _, __, folder: _copy(_BLENDER_SCRIPT, folder),
    ),
)


def chosen(names: Sequence[str]) -> list[Format]:
    """Formats by name. Raises SettingsError for an unknown name."""
    known = {form.name: form for form in FORMATS}
    for name in names:
        if name not in known:
            blender = " Blender writes FBX: `josh export RESULT glb blender`, and blender_import.py says how."
            raise SettingsError(
                f"{name!r} is no format; choose from: {', '.join(known)}.{blender if name == 'fbx' else ''}"
            )
    return [known[name] for name in dict.fromkeys(names)]


def made_when_asked(file: str) -> Format | None:
    """The format with this file name that runs do not write, but make on request; None if there is none."""
    return next((form for form in FORMATS if form.files == file and not form.usual), None)


def check_body(result: Reconstruction, body: BodyModel) -> None:
    """Raises ResultError if the result was made with another body model than the one loaded."""
    if result.body_model != body.name:
        raise ResultError(f"This result was made with another body ({result.body_model}); run the clip again.")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _copy(source: Path, folder: Path) -> None:
    shutil.copyfile(source, folder / source.name)
