"""The expected cost of a run (time, frames, what is left out), and the picture that represents a clip."""

from __future__ import annotations

from html import escape
from pathlib import Path

from josh_core.clip.look import FIRST_WINDOW, Look
from josh_core.clip.probe import probe
from josh_core.clip.video import Video
from josh_core.errors import ClipError
from josh_core.page.machine.rates import Rates, Size
from josh_core.page.parts.markup import card, duration, picture
from josh_core.settings import Settings

SEVERAL = 4  # people of the longer estimate, while nobody has counted them. Chosen by hand


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


def seems_still(look: Look, settings: Settings) -> bool:
    """Whether the camera stands still, as the settings say or, where they do not, as the first look guesses."""
    return settings.static_camera == "on" or (settings.static_camera == "auto" and look.still)


def cost_card(look: Look, settings: Settings, rates: Rates, ahead: float, people: int | None) -> str:
    """A card with frames, people, expected time, and what will be left out."""
    info = look.info
    frames = frames_of(look, settings)
    seconds = frames / min(info.fps, settings.max_fps)
    basis = "measured on this machine" if rates.measured(settings.mode) else "a first guess for two CPU cores"
    lines = [
        f"<b>{frames} frames</b> <span>{seconds:.1f} s of {look.seconds:.1f} s, {info.width} x {info.height} px</span>",
        f"<b>about {_expected(look, settings, rates, people)}</b> <span>{basis}</span>",
    ]
    if people is None:
        lines.append("<b>people not counted</b> <span>the shorter time is for one, the longer for several</span>")
    elif people == 0:
        lines.append("<b>nobody seen yet</b> <span>in three frames; others may show somebody</span>")
    else:
        word = "person" if people == 1 else "people"
        lines.append(f"<b>about {people} {word}</b> <span>a guess from three frames</span>")
    if ahead > 0:
        lines.append(f"<b>{duration(ahead)} in line</b> <span>other clips come first</span>")
    lines += [f"<span>{escape(cut)}</span>" for cut in cuts(look, settings)]
    return card(lines)


def _expected(look: Look, settings: Settings, rates: Rates, people: int | None) -> str:
    """The time of a run; for one person and for SEVERAL while nobody has counted them."""
    most = settings.people or settings.max_people
    counts = (1, SEVERAL) if people is None else (max(people, 1),)
    sizes = [Size(frames_of(look, settings), min(count, most), seems_still(look, settings)) for count in counts]
    times = [duration(rates.total(settings.mode, size)) for size in sizes]
    return " to ".join(dict.fromkeys(times))


def cuts(look: Look, settings: Settings) -> list[str]:
    """What of the clip is left out or reduced, one sentence each."""
    info, sentences = look.info, []
    left = look.seconds - settings.start - (settings.seconds or look.seconds)
    if settings.start > 0.05:
        sentences.append(f"The first {settings.start:.1f} s are left out.")
    if left > 0.05:
        first = settings.start == 0 and settings.seconds == FIRST_WINDOW
        longest = min(look.seconds, settings.max_seconds)
        more = f" A run begins with {FIRST_WINDOW:.0f} s, so that it is short; Length goes up to {longest:.0f} s."
        sentences.append(f"The last {left:.1f} s are left out." + (more if first else ""))
    if info.fps > settings.max_fps * 1.02:
        sentences.append(f"{info.fps:.0f} frames a second become {settings.max_fps:.0f}.")
    if max(info.width, info.height) > settings.max_side:
        sentences.append(f"Pictures are reduced to {settings.max_side} px.")
    return sentences
