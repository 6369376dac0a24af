"""A video file becomes a Clip: decoded, upright, resampled by timestamp, trimmed to one shot; or refused in a sentence.

Everything here happens before any network runs. Frames pass through one at a time and are kept as JPEG.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from josh_core.clip.borders import COMPARED_FRAMES, find_borders, is_mirrored, is_split
from josh_core.clip.file_hash import file_sha256
from josh_core.clip.inset import find_inset
from josh_core.clip.jumps import find_jumps
from josh_core.clip.overlay import find_overlay
from josh_core.clip.probe import ClipInfo, probe, require
from josh_core.clip.repeats import fresh_frames
from josh_core.clip.shots import THUMB_SIDE, find_cuts
from josh_core.clip.transitions import blank_ends, find_transitions
from josh_core.clip.video import Video
from josh_core.errors import ClipError
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import Bool, Clip, UInt8

MIN_FRAMES = 8  # fewer tell nothing of speed or contact
JPEG_QUALITY = 95  # of frames kept in memory
# Of a smaller picture that stays, from which it is a logo: 0.85 of a real one stayed (chosen, not tuned)
LOGO_SHARE = 0.5
FILM_DIAGONAL = float(np.hypot(36, 24))  # mm


def load_clip(path: str | os.PathLike[str], settings: Settings, progress: Progress | None = None) -> Clip:
    """The part of a video file that `settings` asks for, as one uncut shot of upright frames.

    A clip of up to `max_fps` frames per second keeps every frame with its own timestamp; a faster one is thinned
    by timestamp. Raises ClipError with the reason and the fix.
    """
    path, progress = Path(path), progress or Progress()
    info = probe(path)
    _check_length(info, settings)
    shot = _decode(path, info, settings, progress)
    source_seconds = max(info.seconds, shot.begin + shot.times[-1] + 1 / info.fps) if shot.times else info.seconds
    _check_decoded(shot, settings, source_seconds)
    recorded = _recorded_focal(info.film.focal_35mm, shot)
    _drop_repeats(shot)
    _check_decoded(shot, settings, source_seconds)
    _cut_blank_ends(shot)
    _cut_borders(shot)
    first, last = _longest_shot(shot)
    times = np.array(shot.times[first:last]) - shot.times[first]
    clip = Clip(
        jpegs=tuple(shot.jpegs[first:last]),
        times=times,
        width=shot.width,
        height=shot.height,
        fps=float(1 / np.median(np.diff(times))),
        name=path.name,
        sha256=file_sha256(path),
        start=shot.begin + shot.times[first],
        source_seconds=source_seconds,
        notes=tuple(shot.notes),
        focal_px=recorded,
    )
    return _looked_at(clip)


def _recorded_focal(focal_35mm: float | None, shot: _Decoded) -> float | None:
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
        not is_split(few),
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


@dataclass
class _Decoded:
    """Frames while they are being collected."""

    jpegs: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # s from `begin`
    thumbs: list[UInt8] = field(default_factory=list)  # small copies, for finding cuts
    begin: float = 0.0  # s in the file of the first kept frame
    width: int = 0
    height: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, image: UInt8, time: float) -> None:
        """Keep one BGR frame at `time` seconds of the film."""
        if not self.jpegs:
            self.begin, (self.height, self.width) = time, image.shape[:2]
        self.jpegs.append(_jpeg(image))
        self.times.append(time - self.begin)
        self.thumbs.append(_reduced(image, THUMB_SIDE))

    def image(self, index: int) -> UInt8:
        """A kept frame as BGR [h,w,3]."""
        return np.asarray(cv2.imdecode(np.frombuffer(self.jpegs[index], np.uint8), cv2.IMREAD_COLOR), np.uint8)

    def replace(self, index: int, image: UInt8) -> None:
        """Keep another picture in the place of a kept frame."""
        self.jpegs[index], self.thumbs[index] = _jpeg(image), _reduced(image, THUMB_SIDE)

    def drop_last(self) -> None:
        """Forget the last frame."""
        self.keep(0, len(self.jpegs) - 1)

    def keep(self, first: int, end: int) -> None:
        """Forget all frames but [first, end)."""
        self.pick(range(first, end))

    def pick(self, indices: Iterable[int]) -> None:
        """Forget all frames but these, in order."""
        kept = list(indices)
        begin = self.times[kept[0]] if kept else 0.0
        self.jpegs, self.thumbs = [self.jpegs[i] for i in kept], [self.thumbs[i] for i in kept]
        self.times = [self.times[i] - begin for i in kept]
        self.begin += begin


def _decode(path: Path, info: ClipInfo, settings: Settings, progress: Progress) -> _Decoded:
    out = _Decoded()
    wanted = settings.seconds or settings.max_seconds
    if info.seconds:
        wanted = min(wanted, info.seconds - settings.start)
    thinning = _Thinning(info.fps, settings.max_fps)
    end = -1.0
    with Video(path, info.film, settings.turn) as video:
        size = video.reduced(settings.max_side)
        for picture in video.pictures(settings.start):
            if out.jpegs and picture.time - out.begin >= wanted - 0.25 / info.fps:
                end = picture.time
                break
            if thinning.keeps(picture.time):
                out.add(picture(size), picture.time)
                if len(out.jpegs) % 8 == 0:
                    progress.update((picture.time - out.begin) / max(wanted, 1e-6))
            end = picture.time
        hurt = [time for time in video.damage if time >= settings.start]
    missing = settings.start + wanted - end - 1.5 / info.fps
    if out.jpegs and info.frames and (missing > max(0.2, 2 / info.fps) or not info.film.whole):
        out.drop_last()  # the last frame before a break is often half decoded
        out.notes.append(f"The file is incomplete: only what could be read, up to {end:.1f} s, was used.")
    elif hurt:
        out.notes.append(
            f"The file is damaged: {len(hurt)} frame{'s' * (len(hurt) > 1)} from {hurt[0]:.1f} s on cannot be decoded, "
            "and what follows may be smeared."
        )
    return out


class _Thinning:
    """Chooses frames by timestamp so that at most `max_fps` remain; keeps all of a clip that is slow enough."""

    def __init__(self, fps: float, max_fps: float) -> None:
        self._step = 1 / max_fps if fps > max_fps * 1.02 else 0.0
        self._slack = 0.5 / fps
        self._due = self._last = -np.inf

    def keeps(self, time: float) -> bool:
        """Whether the frame at `time` is kept; timestamps that do not increase are dropped."""
        if time <= self._last or time < self._due - self._slack:
            return False
        self._last = time
        # The next due time follows the grid, unless a gap in the timestamps has left the grid behind.
        self._due = max(self._due, time - self._slack) + self._step if np.isfinite(self._due) else time + self._step
        return True


def _drop_repeats(shot: _Decoded) -> None:
    """Leave out frames that repeat the one before where most do, and say so: they tell nothing of what moves when."""
    fresh = fresh_frames(shot.thumbs)
    if fresh is not None:
        shot.pick(fresh)
        shot.notes.append(
            f"Most frames repeat the one before: {len(fresh)} different pictures were used. If these are stills, "
            "motion and speeds are not those of life."
        )


def _cut_blank_ends(shot: _Decoded) -> None:
    """Leave out blank pictures before and after the film, and say so."""
    first, end = blank_ends(shot.thumbs, np.array(shot.times))
    if end - first >= MIN_FRAMES and end - first < len(shot.jpegs):
        shot.keep(first, end)
        span = f"{shot.begin:.1f} to {shot.begin + shot.times[-1]:.1f} s"
        shot.notes.append(f"The clip begins or ends in black, or another blank picture: only {span} was used.")


def _cut_borders(shot: _Decoded) -> None:
    """Cut off borders of one colour around the picture, in place, and say so."""
    few = [shot.image(int(i)) for i in np.linspace(0, len(shot.jpegs) - 1, COMPARED_FRAMES)]
    left, top, right, bottom = find_borders(few)
    if (left, top, right, bottom) == (0, 0, shot.width, shot.height):
        return
    for index in range(len(shot.jpegs)):
        shot.replace(index, np.ascontiguousarray(shot.image(index)[top:bottom, left:right]))
    shot.notes.append(f"Borders around the picture were cut off: {right - left} x {bottom - top} px are left.")
    shot.width, shot.height = right - left, bottom - top


def _longest_shot(shot: _Decoded) -> tuple[int, int]:
    """Frames [first, last) of the longest uncut part; says in the notes what was left out."""
    gradual = find_transitions(shot.thumbs, np.array(shot.times))
    cuts = {*find_cuts(shot.thumbs), *find_jumps(shot.thumbs, np.array(shot.times))}
    cuts = {i for i in cuts if not any(first <= i < end for first, end in gradual)}
    breaks = sorted([*gradual, *((i, i) for i in cuts)])
    begins, ends = [0, *(end for _, end in breaks)], [*(first for first, _ in breaks), len(shot.jpegs)]
    first, last = max(zip(begins, ends, strict=True), key=lambda part: part[1] - part[0])
    if breaks:
        at = ", ".join(f"{shot.begin + shot.times[i]:.1f}" for i, _ in breaks)
        begin, end = shot.begin + shot.times[first], shot.begin + shot.times[last - 1]
        one, more = ("a gradual change of scene", "changes of scene") if gradual else ("a cut", "cuts")
        many = one if len(breaks) == 1 else f"{len(breaks)} {more}"
        shot.notes.append(
            f"The clip has {many} (at {at} s): only the longest shot, {begin:.1f} to {end:.1f} s, was used."
        )
        require(
            last - first >= MIN_FRAMES,
            f"The clip has {many} and no shot of at least {MIN_FRAMES} frames: please give a part without cuts.",
        )
    return first, last


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


def _check_decoded(shot: _Decoded, settings: Settings, source_seconds: float) -> None:
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


def _jpeg(image: UInt8) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())


def _reduced(image: UInt8, longest: int) -> UInt8:
    height, width = image.shape[:2]
    scale = longest / max(width, height)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
