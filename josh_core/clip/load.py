"""A video file becomes a Clip: decoded, upright, resampled by timestamp, trimmed to one shot; or refused in a sentence.

Everything here happens before any network runs: decode.py reads the frames, trim.py chooses among them, and what lies
over the picture is found in the rest (not_filmed/overlay.py, inset.py).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from josh_core.clip.decode import DecodedFrames, decode
from josh_core.clip.file_hash import file_sha256
from josh_core.clip.not_filmed.borders import COMPARED_FRAMES, is_mirrored, is_split
from josh_core.clip.not_filmed.doubled import is_doubled
from josh_core.clip.not_filmed.inset import find_inset
from josh_core.clip.not_filmed.overlay import find_overlay
from josh_core.clip.probe import ClipInfo, probe, require
from josh_core.clip.trim import MIN_FRAMES, cut_blank_ends, cut_borders, drop_repeats, longest_shot, without_held_ends
from josh_core.clip.video import Film
from josh_core.errors import ClipError
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import Bool, Clip

# Share of a smaller picture that stays, from which it is a logo: 0.85 of a real one stayed (chosen, not tuned)
LOGO_SHARE = 0.5
MIN_CAPTURE_FPS = 3.0  # pictures a second of a time lapse; somebody who does squats is followed at 5. Chosen
FILM_DIAGONAL = float(np.hypot(36, 24))  # mm


def load_clip(path: str | os.PathLike[str], settings: Settings, progress: Progress | None = None) -> Clip:
    """The part of a video file that `settings` asks for, as one uncut shot of upright frames.

    A clip of up to `max_fps` frames per second keeps every frame with its own timestamp; a faster one is thinned
    by timestamp. Raises ClipError with the reason and the fix.
    """
    path, progress = Path(path), progress or Progress()
    info = probe(path)
    _check_length(info, settings)
    _check_pace(info.film)
    shot = decode(path, info, settings, progress)
    source_seconds = max(info.seconds, shot.begin + shot.times[-1] + 1 / info.fps) if shot.times else info.seconds
    _check_decoded(shot, settings, source_seconds)
    recorded = _recorded_focal(info.film.focal_35mm, shot)
    drop_repeats(shot)
    _check_decoded(shot, settings, source_seconds)
    cut_blank_ends(shot)
    cut_borders(shot)
    first, last = without_held_ends(shot, *longest_shot(shot))
    pace = info.film.pace or 1.0
    times = pace * (np.array(shot.times[first:last]) - shot.times[first])
    clip = Clip(
        jpegs=tuple(shot.jpegs[first:last]),
        times=times,
        width=shot.width,
        height=shot.height,
        fps=float(1 / np.median(np.diff(times))),
        name=path.name,
        sha256=file_sha256(path),
        start=shot.begin + shot.times[first],
        source_seconds=pace * source_seconds,
        notes=(*_pace_notes(info.film), *shot.notes),
        focal_px=recorded,
    )
    return _looked_at(clip)


def _check_pace(film: Film) -> None:
    """Refuse a film of which parts are slowed down, and a time lapse with too few pictures."""
    taken = film.captured or 0.0
    require(
        film.pace is not None,
        f"The file says that it was filmed at {taken:.4g} frames a second, but some parts of it play more "
        "slowly than others: please export it at one speed, or give one of the parts.",
    )
    require(
        (film.pace or 1.0) <= 1 or taken >= MIN_CAPTURE_FPS,
        f"The file says that it is a time lapse with {taken:.2g} pictures a second: people cannot be followed in fewer "
        f"than {MIN_CAPTURE_FPS:g}. Please use a film at its true speed.",
    )


def _pace_notes(film: Film) -> tuple[str, ...]:
    pace = film.pace or 1.0
    if pace == 1:
        return ()
    kind, factor, how = ("slow motion", 1 / pace, "fast") if pace < 1 else ("a time lapse", pace, "slow")
    return (
        f"The file says that it was filmed at {film.captured:.4g} frames a second and plays {film.fps:.4g}: it is "
        f"{kind}. Times and speeds here are those of life, {factor:.2g} times as {how} as it plays.",
    )


def _recorded_focal(focal_35mm: float | None, shot: DecodedFrames) -> float | None:
    """The recorded focal in px of whole decoded frames; equivalents are alike along the diagonal (CIPA DCG-001)."""
    return None if focal_35mm is None else focal_35mm * float(np.hypot(shot.width, shot.height)) / FILM_DIAGONAL


def _covered(overlay: Bool, box: tuple[int, int, int, int], width: int) -> float:
    """Share of a box (px of a picture of `width`) that the overlay [h,w] covers."""
    left, top, right, bottom = (round(at * overlay.shape[1] / width) for at in box)
    return float(overlay[top:bottom, left:right].mean())


def _looked_at(clip: Clip) -> Clip:
    """The clip with its overlay and inset. Raises ClipError for several pictures in one."""
    few = [clip.frame(int(t)) for t in np.linspace(0, len(clip) - 1, COMPARED_FRAMES)]
    require(
        not is_doubled(few),
        "The picture shows the same twice, side by side or one above the other (a stereo film?): please crop the clip "
        "to one of them.",
    )
    split = is_split(few)
    hurt = next((note for note in clip.notes if note.startswith("The file is damaged")), "")
    require(not (split and hurt), f"{hurt} The pictures cannot be used: please copy or export the clip again.")
    require(
        not split,
        "The picture is split: it shows films side by side, or one between blurred copies of itself. Please crop the "
        "clip to one of them.",
    )
    require(
        not is_mirrored(few),
        "One half of the picture is the mirror image of the other: please crop the clip to one half.",
    )
    overlay, notes = find_overlay(clip), clip.notes
    if overlay is not None:
        share = max(1, round(100 * float(overlay.mean())))
        said = "Something stays in the image while the rest moves (a logo, a caption, a dark edge?)"
        notes = (*notes, f"{said}: {share} % of it are left out.")
    inset = find_inset(few)
    if inset is not None and overlay is not None and _covered(overlay, inset, clip.width) > LOGO_SHARE:
        inset = None  # a logo in a box, which is left out already
    if inset is not None:
        left, top, right, bottom = inset
        said = f"A smaller picture lies in the picture (a film in a corner, a screen?): {right - left} x {bottom - top}"
        notes = (*notes, f"{said} px and whoever is in them are left out. To have it instead, crop the clip to it.")
    return replace(clip, overlay=overlay, inset=inset, notes=notes)


def _check_length(info: ClipInfo, settings: Settings) -> None:
    if settings.seconds is not None:
        require(
            settings.seconds <= settings.max_seconds,
            f"At most {settings.max_seconds:g} s can be used at once: please take less than {settings.seconds:g} s.",
        )
    if not info.seconds:
        return
    require(
        settings.start < info.seconds,
        f"The clip is only {info.seconds:.1f} s long: please start before its end, not at {settings.start:g} s.",
    )
    left = info.seconds - settings.start
    require(
        settings.seconds is not None or left <= settings.max_seconds + 0.5 / info.fps,
        f"The clip is {left:.0f} s long and at most {settings.max_seconds:g} s can be used: please choose a part.",
    )


def _check_decoded(shot: DecodedFrames, settings: Settings, source_seconds: float) -> None:
    if not shot.jpegs and settings.start > 0:
        raise ClipError(
            f"No frame can be read from {settings.start:g} s on: please start earlier"
            + (f", the clip ends at {source_seconds:.1f} s." if source_seconds else ".")
        )
    count = len(shot.jpegs)
    require(
        count >= MIN_FRAMES,
        f"Only {count} frame{'s' * (count != 1)} can be used and at least {MIN_FRAMES} are needed: "
        "please use a longer clip"
        + (" or export it again, the file is incomplete." if "incomplete" in " ".join(shot.notes) else "."),
    )
