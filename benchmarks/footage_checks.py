"""Rows of the footage table: an input, its result, and the checks of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from josh_core.types import UInt8

# A check returns what is wrong with a result as a short phrase.
Check = Callable[["FootageResult"], list[str]]


@dataclass(frozen=True)
class FootageResult:
    """The result of one input."""

    frames: int
    seconds: float  # s, from the first to the last frame
    width: int  # px
    height: int  # px
    notes: str  # all sentences, joined
    people: int | None = None  # None if the clip was only read
    kind: str = ""  # of the camera
    quality: dict[str, Any] = field(default_factory=dict)
    pictures: tuple[UInt8, ...] = ()  # RGB [h,w,3]: the first, the middle and the last frame
    start: float = 0.0  # s in the file, of the first frame
    verdicts: dict[str, str] = field(default_factory=dict)  # by key of the quality table


@dataclass(frozen=True)
class FootageRow:
    """One input: the arguments of ffmpeg, in which {juggle} stands for examples/juggle/clip.mp4, and what is right."""

    name: str
    file: str  # name of the made file
    make: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    refused: str = ""  # words of the refusal, if a refusal is right
    run: bool = False  # run the whole method in mode fast; else only read
    spoil: Callable[[bytes], bytes] | None = None  # damages the file after ffmpeg has made it


def lasts(seconds: float, slack: float = 0.15) -> Check:
    """Length from first to last frame."""
    return lambda s: [] if abs(s.seconds - seconds) <= slack else [f"{s.seconds:.2f} s instead of {seconds:g}"]


def lies_in(*spans: tuple[float, float]) -> Check:
    """The frames that are used lie in one of these spans (s of the file), and fill most of it."""

    def check(s: FootageResult) -> list[str]:
        first, last = s.start, s.start + s.seconds
        fits = any(a - 0.1 < first and last < b + 0.1 and last - first > 0.6 * (b - a) for a, b in spans)
        return [] if fits else [f"{first:.2f} to {last:.2f} s were used"]

    return check


def shape(aspect: float) -> Check:
    """Width over height."""
    return lambda s: [] if abs(s.width / s.height / aspect - 1) < 0.02 else [f"{s.width}x{s.height}"]


def says(*words: str) -> Check:
    """Words of the notes."""
    return lambda s: [f"does not say {word!r}" for word in words if word not in s.notes]


def says_one_of(*words: str) -> Check:
    """Some of these words are in the notes."""
    return lambda s: [] if any(word in s.notes for word in words) else [f"says none of {words}"]


def doubted(s: FootageResult) -> list[str]:
    """Neither the scale nor the lens may be called good."""
    return [f"{key} is called good" for key in ("scale", "lens") if s.verdicts.get(key) == "good"]


def says_no(*words: str) -> Check:
    """Words that must not be in the notes."""
    return lambda s: [f"says {word!r}" for word in words if word in s.notes]


def shows(people: int) -> Check:
    """How many people there are."""
    return lambda s: [] if s.people == people else [f"{s.people} people instead of {people}"]


def is_below(key: str, limit: float) -> Check:
    """A quality number that must be measured and small."""

    def check(s: FootageResult) -> list[str]:
        value = s.quality.get(key)
        return [f"{key} {value}"] if value is None or value > limit else []

    return check


def is_unknown(key: str) -> Check:
    """A quality number that cannot be measured in this clip."""
    return lambda s: [] if s.quality.get(key) is None else [f"{key} {s.quality[key]} though it was never seen"]


def camera(kind: str) -> Check:
    """Kind of the camera."""
    return lambda s: [] if s.kind == kind else [f"a {s.kind} camera instead of a {kind} one"]


def looks_like(picture: UInt8, slack: float = 8.0) -> Check:
    """First frame [h,w,3] as RGB, seen small; slack: levels of 255 of the mean difference."""

    def small(image: UInt8) -> UInt8:
        return np.asarray(cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA), np.uint8)

    def check(s: FootageResult) -> list[str]:
        off = float(cv2.absdiff(small(s.pictures[0]), small(picture)).mean())
        return [f"other colours, by {off:.0f} levels"] if off > slack else []

    return check


def combs(s: FootageResult) -> list[str]:
    """Interlacing artefacts: neighbouring lines differ more than every second line."""
    rows = [p.astype(np.float32) for p in s.pictures]
    near = sum(float(((r[1:-1] - r[:-2]) ** 2).mean()) for r in rows)
    far = sum(float(((r[2:] - r[:-2]) ** 2).mean()) for r in rows)
    return [f"combs, {near / far:.2f}"] if near > far else []
