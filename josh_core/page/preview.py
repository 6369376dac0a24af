"""A first look at an upload: its facts, a strip of small pictures, and what a run would take and cut."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from josh_core.clip.load import MIN_FRAMES
from josh_core.clip.probe import ClipInfo, probe
from josh_core.clip.video import Video
from josh_core.errors import ClipError
from josh_core.page.rates import Rates
from josh_core.page.words import card, duration, picture
from josh_core.settings import Settings

STRIP_PICTURES = 10
STRIP_HEIGHT = 64  # px
FIRST_WINDOW = 10.0  # s offered at first


@dataclass(frozen=True)
class Look:
    """What is known of an upload before anything is computed."""

    info: ClipInfo
    strip: str  # data URL of the pictures side by side, evenly spaced over the clip; "" if none could be read

    @property
    def seconds(self) -> float:
        """Length of the file; a stream that does not say is taken for one window."""
        return self.info.seconds or FIRST_WINDOW


def look_at(path: Path) -> Look:
    """Facts and strip of a video file. Raises ClipError when it cannot be used."""
    info = probe(path)
    if 0 < info.frames < MIN_FRAMES:
        raise ClipError(f"The clip has only {info.frames} frames; choose one of at least {MIN_FRAMES}.")
    return Look(info, strip(path, info))


def strip(path: Path, info: ClipInfo) -> str:
    """Ten pictures of the clip side by side as one data URL."""
    size = (max(8, round(STRIP_HEIGHT * info.width / info.height)), STRIP_HEIGHT)
    with Video(path, info.film) as video:
        times = [info.seconds * (k + 0.5) / STRIP_PICTURES for k in range(STRIP_PICTURES if info.seconds else 1)]
        pictures = [image[..., ::-1] for time in times if (image := video.at(time, size)) is not None]
    return picture(np.concatenate(pictures, 1), 70) if pictures else ""


def poster(path: Path, height: int = 180) -> str:
    """One picture from the middle of a clip as a data URL; "" if none can be read."""
    try:
        info = probe(path)
        with Video(path, info.film) as video:
            image = video.at(info.seconds / 2, (round(height * info.width / info.height), height))
    except ClipError:
        return ""
    return "" if image is None else picture(image[..., ::-1])


def frames_of(look: Look, settings: Settings) -> int:
    """How many frames a run with these settings takes."""
    seconds = min(settings.seconds or look.seconds, max(look.seconds - settings.start, 0.0))
    return round(seconds * min(look.info.fps, settings.max_fps))


def cost_card(look: Look, settings: Settings, rates: Rates, ahead: float, people: int | None) -> str:
    """What a run would take: frames, people, time, and what will be left out."""
    info = look.info
    frames = frames_of(look, settings)
    seconds = frames / min(info.fps, settings.max_fps)
    time = rates.total(settings.mode, frames)
    basis = "measured on this machine" if rates.measured(settings.mode) else "a first guess for two CPU cores"
    lines = [
        f"<b>{frames} frames</b> <span>{seconds:.1f} s of {look.seconds:.1f} s, {info.width} x {info.height} px</span>",
        f"<b>about {duration(time)}</b> <span>{basis}</span>",
    ]
    if people == 0:
        lines.append("<b>nobody seen yet</b> <span>in three frames; others may show somebody</span>")
    elif people is not None:
        word = "person" if people == 1 else "people"
        lines.append(f"<b>about {people} {word}</b> <span>a guess from three frames</span>")
    if ahead > 0:
        lines.append(f"<b>{duration(ahead)} in line</b> <span>other clips come first</span>")
    lines += [f"<span>{escape(cut)}</span>" for cut in cuts(look, settings)]
    return card(lines)


def cuts(look: Look, settings: Settings) -> list[str]:
    """What of the clip is left out or reduced, one sentence each."""
    info, said = look.info, []
    left = look.seconds - settings.start - (settings.seconds or look.seconds)
    if settings.start > 0.05:
        said.append(f"The first {settings.start:.1f} s are left out.")
    if left > 0.05:
        said.append(f"The last {left:.1f} s are left out.")
    if info.fps > settings.max_fps * 1.02:
        said.append(f"{info.fps:.0f} frames a second become {settings.max_fps:.0f}.")
    if max(info.width, info.height) > settings.max_side:
        said.append(f"Pictures are reduced to {settings.max_side} px.")
    return said
