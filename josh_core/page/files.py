"""The downloads of a run, each with what it holds, in which frame, units and rate."""

from __future__ import annotations

from fnmatch import fnmatch
from html import escape
from pathlib import Path

from josh_core.page.shown import MODES, Shown, file_url
from josh_core.page.words import size

_WORLD = "World frame: metres, +Y up, floor at y = 0."
_KINDS = (  # pattern of the name, title, what it is
    (
        "result.glb",
        "Animated scene (GLB)",
        f"People with skeleton, camera with lens, points. {_WORLD}",
    ),
    ("*.zip", "Everything (ZIP)", "All files of this result in one archive."),
    ("overlay.*", "Overlay video", "Bodies drawn over the clip, H.264."),
    ("side_by_side.*", "Side by side video", "Clip and world, H.264."),
    ("arrays.npz", "Arrays (NPZ)", f"All numbers of the result, SMPL parameters and cameras. {_WORLD}"),
    ("manifest.json", "Manifest (JSON)", "Frame rate, people, quality, versions, licences."),
    ("*.bvh", "Motion (BVH)", "One person's skeleton with root motion."),
    ("*smpl*.npz", "SMPL parameters (NPZ)", "One person in the AMASS key layout."),
    ("transforms.json", "Cameras (JSON)", "Camera of every frame, nerfstudio layout."),
    ("*.ply", "Scene points (PLY)", f"Coloured points. {_WORLD}"),
    ("*.csv", "Quality (CSV)", "The numbers of the quality table."),
    ("*.py", "Blender importer (Python)", "Sets frame rate, camera and clip background in Blender."),
)


def files_list(shown: Shown) -> str:
    """Links to every file of every mode, the best mode first."""
    parts = []
    for mode in reversed(list(shown.folders)):
        links = "".join(_link(path, f"{shown.title}_{mode}_{path.name}") for path in _files(shown.folders[mode]))
        parts.append(f'<h4>{MODES[mode][0]}</h4><div class="j-files">{links}</div>')
    return f'<div class="j-words">{"".join(parts)}</div>'


def _files(folder: Path) -> list[Path]:
    found = [p for p in (*folder.iterdir(), *(folder / "files").rglob("*")) if p.is_file() and _kind(p)]
    return sorted(found, key=lambda p: (_rank(p), p.name))


def _kind(path: Path) -> tuple[str, str, str] | None:
    return next((kind for kind in _KINDS if fnmatch(path.name, kind[0])), None)


def _rank(path: Path) -> int:
    return next(k for k, kind in enumerate(_KINDS) if fnmatch(path.name, kind[0]))


def _link(path: Path, name: str) -> str:
    kind = _kind(path)
    assert kind is not None
    return (
        f'<a href="{escape(file_url(path))}" download="{escape(name)}"><b>{escape(kind[1])}</b>'
        f"<small>{escape(kind[2])}</small><small>{escape(path.name)}, {size(path.stat().st_size)}</small></a>"
    )
