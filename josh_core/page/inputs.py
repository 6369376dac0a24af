"""What a visitor hands in: a clip in their own folder, and the settings that the page's inputs mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from josh_core.errors import SettingsError
from josh_core.page.preview import FIRST_WINDOW, Look
from josh_core.settings import Settings

NARROWEST, WIDEST = 5.0, 150.0  # degrees, horizontal field of view


@dataclass(frozen=True)
class Upload:
    """A visitor's clip in their own folder."""

    path: Path
    sha256: str
    look: Look
    people: int | None = None  # a guess


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


def wanted(clip: Mapping[str, Any] | None, upload: Upload, *options: Any) -> Settings:
    """Settings from the page's inputs: the clip chooser's start and length, then mode, people, height (m), horizontal
    field of view (degrees), static camera and tier; a number that is empty or 0 is not known. Raises SettingsError.
    """
    mode, people, height, view, static, tier = options
    if view and not NARROWEST <= view <= WIDEST:
        raise SettingsError(f"The field of view must be between {NARROWEST:.0f} and {WIDEST:.0f} degrees.")
    info = upload.look.info
    width = info.width * min(1.0, Settings.max_side / max(info.width, info.height))
    part = clip or {}
    return Settings(
        mode=mode,
        tier=tier,
        start=round(_number(part.get("start"), 0.0), 2),
        seconds=round(_number(part.get("length"), FIRST_WINDOW), 2) if info.seconds else None,
        people=int(people) if people else None,
        height_m=float(height) if height else None,
        focal_px=width / 2 / math.tan(math.radians(view) / 2) if view else None,
        static_camera=static,
    )


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else otherwise
