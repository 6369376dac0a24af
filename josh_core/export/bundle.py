"""A result on disk, version 1 (DESIGN section 10): manifest.json and arrays.npz, no pickle, complete or absent."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from josh_core.errors import ResultError
from josh_core.export.bundle_files import ARRAYS, FORMAT, MANIFEST, VERSION, Arrays, check_texture, load_manifest
from josh_core.export.cameras import polynomial
from josh_core.export.colors import person_color
from josh_core.types import Floor, Int, PersonMotion, PointCloud, Reconstruction, Support, Surface

__all__ = ["ARRAYS", "MANIFEST", "content_key", "load_bundle", "load_manifest", "new_id", "save_bundle"]


def content_key(clip_sha256: str, settings: dict[str, Any], code_version: str) -> str:
    """Hash (hex) of clip, settings and code version, by which an equal run is found in the store."""
    question = json.dumps([clip_sha256, settings, code_version], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(question.encode()).hexdigest()


def new_id() -> str:
    """A random id of a result that cannot be guessed, used in its share link."""
    return secrets.token_urlsafe(16)


def save_bundle(
    result: Reconstruction,
    folder: Path,
    key: str = "",
    result_id: str | None = None,
    files: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:
    """Write manifest.json, arrays.npz and `files` (such as result.glb) as `folder`; returns the manifest.

    The files are written into a temporary folder beside it, which is then renamed, so a bundle is never incomplete. An
    existing bundle is replaced. Raises ResultError if the folder holds anything else or cannot be written.
    """
    folder = Path(folder).resolve()
    files = files or {}
    _refuse_foreign(folder, {MANIFEST, ARRAYS, "result.glb", *files})
    manifest = manifest_of(result, key, result_id or new_id())
    fresh = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        fresh.mkdir(parents=True)
        text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
        (fresh / MANIFEST).write_text(text, encoding="utf-8")
        np.savez_compressed(fresh / ARRAYS, **arrays_of(result))
        for name, data in files.items():
            (fresh / name).write_bytes(data)
        _swap(fresh, folder)
    except OSError as error:
        raise ResultError(
            f"The result cannot be written to {folder.name!r} ({error.strerror}); choose another folder."
        ) from error  # visitors of the page get another sentence (serving/visitor_errors.py)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def check_writable(folder: Path) -> None:
    """Raises ResultError if `folder` cannot be made; called before a long run."""
    folder = Path(folder).resolve()
    there = next(place for place in (folder.parent, *folder.parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise ResultError(f"The result cannot be written to {folder.name!r}; choose a folder that can be made.")


def _refuse_foreign(folder: Path, own: set[str]) -> None:
    """Raises ResultError if the folder holds anything but a bundle, since it will be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} - own:
        raise ResultError(f"{folder.name!r} holds other files; choose a new or empty folder for the result.")


def _swap(fresh: Path, folder: Path) -> None:
    """Replace `folder` by `fresh` in two renames, since a rename cannot replace a folder that is not empty."""
    if not folder.exists():
        os.rename(fresh, folder)
        return
    old = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.old"
    os.rename(folder, old)
    try:
        os.rename(fresh, folder)
    except BaseException:
        os.rename(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def manifest_of(result: Reconstruction, key: str, result_id: str) -> dict[str, Any]:
    """The manifest of a result as plain JSON values."""
    people = [
        {
            "id": int(person.id),
            "color": person_color(person.id),
            "height_m": float(person.height_m),
            "frames": len(person.frames),
            **({} if person.colors is None else {"colors_seen": float(person.colors_seen)}),
        }
        for person in result.people
    ]
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "id": result_id,
        "key": key,
        "mode": result.mode,
        "tier": result.tier,
        "fps": float(result.fps),
        "num_frames": len(result.frame_times),
        "width": int(result.width),
        "height": int(result.height),
        "up": "+Y",
        "camera": result.camera_kind,
        "people": people,
        "contact_names": list(result.contact_names),
        "body_model": result.body_model,
        "surface": result.surface is not None,
        **({} if result.floor is None else {"floor": _stored_floor(result.floor)}),
        "supports": [{"height": support.height, "outline": support.outline} for support in result.supports],
        "lens": {"division": float(result.distortion), "k1": polynomial(result)[0], "frames": "undistorted"},
        "scale_source": result.scale_source,
        "quality": result.quality,
        "stages": [{"name": name, "seconds": float(seconds)} for name, seconds in result.stages],
        "settings": result.settings,
        "versions": result.versions,
        "clip": result.clip,
        "licences": list(result.licences),
        "notes": list(result.notes),
    }
    return plain(manifest)


def plain(value: Any) -> Any:
    """The value with numpy scalars and arrays as Python ones, and NaN or infinity as None, ready for JSON."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def arrays_of(result: Reconstruction) -> dict[str, Any]:
    """The arrays of a result under their names and types in the bundle."""
    arrays = {
        "world_from_cam": result.world_from_cam.astype(np.float32),
        "intrinsics": result.intrinsics.astype(np.float32),
        "frame_times": result.frame_times.astype(np.float64),
        "scene_points": result.scene.points.astype(np.float32),
        "scene_colors": result.scene.colors.astype(np.uint8),
        "scene_confidence": result.scene.confidence.astype(np.float32),
    }
    if result.surface is not None:
        arrays["surface_vertices"] = result.surface.vertices.astype(np.float32)
        arrays["surface_faces"] = result.surface.faces.astype(np.int32)
        arrays["surface_uv"] = result.surface.uv.astype(np.float32)
        arrays["surface_texture"] = np.frombuffer(result.surface.texture, np.uint8)
    for k, person in enumerate(result.people):
        arrays[f"person{k}_frames"] = person.frames.astype(np.int32)
        for name in ("betas", "pose", "transl", "joints", "contact"):
            arrays[f"person{k}_{name}"] = np.asarray(getattr(person, name), np.float32)
        if person.colors is not None:
            arrays[f"person{k}_colors"] = np.asarray(person.colors, np.uint8)
    return arrays


def load_bundle(folder: Path) -> Reconstruction:
    """The result stored in `folder`. Raises ResultError when it is missing, damaged or of another version."""
    manifest = load_manifest(folder)
    with Arrays(Path(folder) / ARRAYS) as take:
        return _result(manifest, take)


def _result(manifest: dict[str, Any], take: Arrays) -> Reconstruction:
    frames = manifest["num_frames"]
    points = take.floating("scene_points", None, 3)
    return Reconstruction(
        mode=manifest["mode"],
        tier=manifest["tier"],
        camera_kind=manifest["camera"],
        world_from_cam=take.floating("world_from_cam", frames, 4, 4),
        intrinsics=take.floating("intrinsics", 3, 3),
        frame_times=take.floating("frame_times", frames),
        fps=float(manifest["fps"]),
        width=manifest["width"],
        height=manifest["height"],
        scene=PointCloud(
            points,
            take("scene_colors", "u", len(points), 3),
            take.floating("scene_confidence", len(points)),
        ),
        people=tuple(_person(take, manifest, k) for k in range(len(manifest["people"]))),
        contact_names=tuple(manifest["contact_names"]),
        scale_source=manifest["scale_source"],
        body_model=manifest["body_model"],
        surface=_surface(take) if manifest.get("surface") else None,
        floor=_floor(manifest["floor"]) if "floor" in manifest else None,
        supports=tuple(_support(stored) for stored in manifest.get("supports", [])),
        distortion=_distortion(manifest.get("lens", {})),
        quality=manifest.get("quality", {}),
        stages=tuple((stage["name"], float(stage["seconds"])) for stage in manifest.get("stages", [])),
        settings=manifest.get("settings", {}),
        versions=manifest.get("versions", {}),
        clip=manifest.get("clip", {}),
        licences=tuple(manifest.get("licences", [])),
        notes=tuple(manifest.get("notes", [])),
    )


def _surface(take: Arrays) -> Surface:
    vertices = take.floating("surface_vertices", None, 3)
    faces: Int = take("surface_faces", "i", None, 3)
    if len(faces) == 0 or faces.min() < 0 or faces.max() >= len(vertices):
        raise ResultError("The result's surface has triangles without corners; run the clip again.")
    uv = take.floating("surface_uv", len(vertices), 2)
    if not ((uv >= 0) & (uv <= 1)).all():
        raise ResultError("The result's surface lies outside its texture; run the clip again.")
    return Surface(vertices, faces, uv, check_texture(take("surface_texture", "u", None).tobytes()))


def _person(take: Arrays, manifest: dict[str, Any], k: int) -> PersonMotion:
    frames: Int = take(f"person{k}_frames", "i", None)
    n = len(frames)
    if n == 0 or frames[0] < 0 or frames[-1] >= manifest["num_frames"] or (frames[1:] <= frames[:-1]).any():
        raise ResultError(f"Person {k} of the result has frames that are not in the clip; run the clip again.")
    about = manifest["people"][k]
    has_colors = "colors_seen" in about  # absent in old bundles
    return PersonMotion(
        id=about["id"],
        frames=frames,
        betas=take.floating(f"person{k}_betas", 10),
        pose=take.floating(f"person{k}_pose", n, 24, 3),
        transl=take.floating(f"person{k}_transl", n, 3),
        joints=take.floating(f"person{k}_joints", n, 24, 3),
        contact=take.floating(f"person{k}_contact", n, len(manifest["contact_names"])),
        height_m=float(about["height_m"]),
        colors=take(f"person{k}_colors", "u", None, 3) if has_colors else None,
        colors_seen=float(about.get("colors_seen", 0.0)),
    )


def _stored_floor(floor: Floor) -> dict[str, Any]:
    return {"normal": floor.normal, "offset": floor.offset, "confidence": floor.confidence}


def _floor(stored: dict[str, Any]) -> Floor:
    return Floor(np.array(stored["normal"], np.float64), float(stored["offset"]), float(stored["confidence"]))


def _support(stored: dict[str, Any]) -> Support:
    return Support(float(stored["height"]), np.array(stored["outline"], np.float64))


def _distortion(lens: dict[str, Any]) -> float:
    """Distortion of the division model; old manifests have k1 of OpenCV's model, equal to first order, or none."""
    return float(lens.get("division", lens.get("k1", 0.0)))
