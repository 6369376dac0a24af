"""A visitor's input: a clip in their own folder, and Settings from the values of the page's inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from josh_core.clip.look import FIRST_WINDOW, Look
from josh_core.errors import SettingsError
from josh_core.settings import Settings

# Chosen by hand, except where a measurement or a source is given.
NARROWEST, WIDEST = 5.0, 150.0  # degrees, horizontal field of view


@dataclass(frozen=True)
class Upload:
    """A visitor's clip in their own folder."""

    path: Path
    sha256: str
    look: Look
    people: int | None = None  # a guess
    title: str = ""  # the name of the file that was brought; only its owner is told


def chosen_clip(upload: Upload, name: str) -> dict[str, Any]:
    """Value of the clip chooser for an upload: its pictures, and the part that is used at first."""
    seconds = upload.look.seconds
    longest = min(seconds, Settings.max_seconds)
    return {
        "name": name[:80],
        "seconds": seconds,
        "strip": upload.look.strip,
        "start": 0,
        "length": min(FIRST_WINDOW, longest),
        "longest": longest,
    }


def settings_from_inputs(clip: Mapping[str, Any] | None, upload: Upload, *options: Any) -> Settings:
    """Settings from the page's inputs: the clip chooser's start and length, then mode, people, height (m), horizontal
    field of view (degrees), static camera, tier and turn (degrees); a number that is empty or 0 is not known. Raises
    SettingsError.
    """
    mode, people, height, view, static, tier, turn = options
    people, height, view = number(people), number(height), number(view)
    if view and not NARROWEST <= view <= WIDEST:
        raise SettingsError(f"The field of view must be between {NARROWEST:.0f} and {WIDEST:.0f} degrees.")
    info = upload.look.info
    across = info.height if turn in (90, 270) else info.width
    width = across * min(1.0, Settings.max_side / max(info.width, info.height))
    part = clip if isinstance(clip, Mapping) else {}
    try:
        return Settings(
            mode=mode,
            tier=tier,
            start=round(number(part.get("start")), 2),
            seconds=round(number(part.get("length")) or FIRST_WINDOW, 2) if info.seconds else None,
            people=int(people) if people else None,
            height_m=height or None,
            focal_px=width / 2 / math.tan(math.radians(view) / 2) if view else None,
            static_camera=static,
            turn=turn,
        )
    except TypeError:  # a choice that is no text
        raise SettingsError("One of the settings cannot be read; please choose it again.") from None


def number(value: object) -> float:
    """A number of the page or of a program; what is none stands for "not known". Raises SettingsError for a text."""
    if value is None or value == "":
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"{str(value)[:40]!r} is not a number; please type one, or leave the field empty.")
    try:
        return float(value) if math.isfinite(value) else 0.0
    except OverflowError:
        raise SettingsError("A number is far too large; please type another.") from None
