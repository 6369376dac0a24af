"""The downloads of a run: content, frame, units and rate of each, and whether it has to be made first."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import dataclass
from html import escape
from pathlib import Path

from josh_core.page.parts.markup import card, size
from josh_core.page.shown_run import MODE_TEXTS, ShownRun, file_url
from josh_core.serving.tasks import (
    ARCHIVE,
    DATASET,
    FORMATS,
    OVERLAY,
    PAIR,
    RIGS,
    SPLIT,
    SPLIT_MODES,
    T_POSE,
    TURNTABLE,
    USD,
)

_WORLD = "Metres, +Y up, floor at y = 0."


@dataclass(frozen=True)
class Offer:
    """A file that a visitor can have of one mode's result."""

    name: str  # path among the mode's files
    title: str
    about: str


def offers(shown: ShownRun, mode: str) -> list[Offer]:
    """All files of a mode, those most asked for first; some need the clip."""
    rate = f"{shown.manifest(mode)['fps']:.4g} frames a second"
    with_clip = [
        Offer(ARCHIVE, "Everything (ZIP)", "All files of this method, the videos, and a COLMAP text model."),
        Offer(OVERLAY, "Overlay video", "The bodies drawn over the clip, H.264."),
        Offer(PAIR, "Side by side video", "The clip and the world seen from outside, H.264."),
        Offer(TURNTABLE, "Turntable video", "Once around the people while they move, H.264, runs in a loop."),
        *(_split() if mode == SPLIT_MODES[1] and SPLIT_MODES[0] in shown.folders else []),
        Offer(DATASET, "Images and masks (ZIP)", "Frames, person masks, cameras: for nerfstudio, COLMAP, 3DGS."),
        Offer(USD, "Animated scene (USDZ)", f"UsdSkel people, camera with its lens, points. {_WORLD}"),
        Offer(T_POSE, "Scene in a T-pose (GLB)", "The same GLB with skeletons that rest in a T-pose, for retargeting."),
        Offer(RIGS, "Rigs for retargeting (ZIP)", "Each person alone as GLB under Mixamo, Unreal and SOMA names."),
    ]
    return [
        Offer("result.glb", "Animated scene (GLB)", f"People, place, camera with its lens. {_WORLD}"),
        *(with_clip if shown.clip else []),
        *_of_people(len(shown.manifest(mode)["people"]), rate),
        Offer(
            f"{FORMATS}/blender_import.py",
            "Blender importer",
            "For the unpacked ZIP: rate, camera, clip behind; writes FBX too.",
        ),
        Offer(f"{FORMATS}/camera/transforms.json", "Cameras (JSON)", "Every frame, as nerfstudio reads them."),
        Offer(
            f"{FORMATS}/camera/camera.chan", "Camera (CHAN)", "For Nuke, Houdini, Blender: rotation order ZXY, metres."
        ),
        Offer(f"{FORMATS}/scene.ply", "Scene points (PLY)", f"Coloured. {_WORLD}"),
        Offer(f"{FORMATS}/splats.ply", "Gaussian splats (PLY)", f"The points as flat discs, not trained. {_WORLD}"),
        Offer(f"{FORMATS}/quality.csv", "Quality (CSV)", "The numbers of the quality table."),
        Offer("arrays.npz", "Arrays (NPZ)", f"All numbers: SMPL parameters, cameras, points. {_WORLD}"),
        Offer("manifest.json", "Manifest (JSON)", "People, quality, settings, versions, licences."),
    ]


def _split() -> list[Offer]:
    line, josh = (MODE_TEXTS[mode].label for mode in SPLIT_MODES)
    return [Offer(SPLIT, f"Split video: {line} | {josh}", "Both through the camera and from outside, H.264.")]


def _of_people(count: int, rate: str) -> list[Offer]:
    out = []
    for k in range(count):
        place = f"{FORMATS}/people/person_{k}"
        out.append(Offer(f"{place}.bvh", f"Person {k + 1}, motion (BVH)", f"Skeleton and root motion, +Y up, {rate}."))
        out.append(
            Offer(f"{place}_mixamo.bvh", f"Person {k + 1}, Mixamo names (BVH)", f"A T-pose comes first, {rate}.")
        )
        out.append(
            Offer(f"{place}_unreal.bvh", f"Person {k + 1}, Unreal names (BVH)", f"A T-pose comes first, {rate}.")
        )
        out.append(Offer(f"{place}_soma.bvh", f"Person {k + 1}, SOMA names (BVH)", f"A T-pose comes first, {rate}."))
        out.append(Offer(f"{place}_smpl.npz", f"Person {k + 1}, SMPL (NPZ)", f"AMASS key layout, {rate}."))
        out.append(
            Offer(f"{place}.trc", f"Person {k + 1}, markers (TRC)", f"For OpenSim, Pose2Sim: metres, +Y up, {rate}.")
        )
    return out


def files_list(shown: ShownRun, coming: Container[str] = ()) -> str:
    """Every file of every mode, the best mode first and open; `coming` parts of the best are being made already."""
    parts = []
    for mode in reversed(list(shown.folders)):
        parts_coming = coming if mode == shown.best else ()
        cards = "".join(_card(shown, mode, offer, parts_coming) for offer in offers(shown, mode))
        is_open = " open" if mode == shown.best else ""
        parts.append(
            f'<details{is_open}><summary>{MODE_TEXTS[mode].label}</summary><div class="j-files">{cards}</div></details>'
        )
    return f'<div class="j-words">{"".join(parts)}</div>'


def _card(shown: ShownRun, mode: str, offer: Offer, coming: Container[str]) -> str:
    """A link to a file that is there, or a button that has it made."""
    path = shown.file(mode, offer.name)
    text = f"<b>{escape(offer.title)}</b><small>{escape(offer.about)}</small>"
    clip = re.sub(r"[^\w.-]+", "_", shown.title).strip("_")
    name = f"{clip}_{mode}_{Path(offer.name).name}"
    saved_as = escape(name)
    if path is None:
        ask = asking(shown, mode, offer.name)
        when = "being made" if offer.name.split("/", maxsplit=1)[0] in coming else "made when you ask"
        return f'<button type="button" {ask} data-save="{saved_as}">{text}{noted(when)}</button>'
    note = size(path.stat().st_size)
    return f'<a href="{escape(file_url(path, name))}" download="{saved_as}">{text}{noted(note)}</a>'


def asking(shown: ShownRun, mode: str, name: str) -> str:
    """Attribute of a button: the request that file_requests.js sends to PageService.request_file."""
    return f'data-ask="{escape(json.dumps({"query": shown.query, "mode": mode, "name": name}))}"'


def noted(note: str) -> str:
    """The element in which file_requests.js shows the state of a file."""
    return f'<small class="j-note">{escape(note)}</small>'


def overlay_part(shown: ShownRun, coming: Container[str] = ()) -> str:
    """The best mode's overlay video, or a button that has it made, unless it is among the `coming` parts."""
    label = "The bodies over the clip, seen through the recovered camera."
    if shown.clip is None:
        return card(["There is no video of this result: its clip is not kept."])
    path = shown.file(shown.best, OVERLAY)
    if path is None:
        ask = asking(shown, shown.best, OVERLAY)
        note = noted("being made" if OVERLAY in coming else "made when you ask")
        inside = f'<button type="button" class="j-make" {ask} data-film="{label}"><b>Overlay video</b>{note}</button>'
    else:
        source = escape(file_url(path))
        inside = (
            f'<video controls loop muted playsinline preload="metadata" src="{source}" aria-label="{label}"></video>'
        )
    return f'<figure class="j-film">{inside}<figcaption>{label}</figcaption></figure>'
