"""How long a run takes on this machine: seconds per frame of each stage, learned from finished runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from josh_core.serving.tasks import ARCHIVE, DATASET, FORMATS, OVERLAY, PAIR, PREVIEW, SPLIT, T_POSE, TURNTABLE, USD
from josh_core.stored_json import is_number, read_json, write_json

# Before anything has been measured here: seconds per frame on two CPU cores.
_SHARED = {
    "clip": 0.02, "people": 0.15, "tracks": 0.3, "camera": 0.1, "depth": 0.15, "student": 0.01, "bodies": 0.2,
    "contacts": 0.05, "world": 0.1, "looks": 0.03, "result": 0.05,
}  # fmt: skip
_MEDIA = {"formats": 0.01, "videos": 0.1}  # seconds per frame, likewise
MEDIA = tuple(_MEDIA)  # stages after the result is there
FIRST_GUESS = {  # by mode of a run, or by file made from a result
    "baseline": _SHARED | _MEDIA,
    "fast": {name: rate for name, rate in _SHARED.items() if name != "depth"} | _MEDIA,
    "refine": _SHARED | {"joint": 0.25, "joint_looks": 0.03, "joint_result": 0.02} | _MEDIA,
    FORMATS: {FORMATS: 0.02},
    OVERLAY: {OVERLAY: 0.1},
    PAIR: {PAIR: 0.1},
    SPLIT: {SPLIT: 0.1},
    TURNTABLE: {TURNTABLE: 0.25},
    DATASET: {DATASET: 0.1},
    USD: {USD: 0.005},
    T_POSE: {T_POSE: 0.005},
    PREVIEW: {PREVIEW: 0.02},
    ARCHIVE: {ARCHIVE: 0.02},
}
TURNTABLE_FRAMES = 160  # of export/turntable.py, about
_NEWEST = 0.5  # weight of the newest run
_SLOWEST = 3600.0  # s per frame; no stage of any machine takes longer
_log = logging.getLogger(__name__)


class Rates:
    """Learned rates by mode or kind of file, kept in one small JSON file."""

    def __init__(self, path: Path) -> None:
        """Read what was learned before, if anything."""
        self._path = path
        self._lock = threading.Lock()
        try:
            self._rates = _checked(read_json(path)) if path.exists() else {}
        except ValueError as reason:
            _log.warning("what was learned of the duration of runs cannot be read (%s); it begins anew", reason)
            self._rates = {}

    def learn(self, mode: str, frames: int, seconds: Mapping[str, float]) -> None:
        """Take in a finished run of `frames` frames with its wall time per stage, as far as the disk lets it."""
        if frames < 1 or not seconds:
            return
        with self._lock:
            old = self._rates.get(mode, {})
            new = {stage: s / frames for stage, s in seconds.items()}
            self._rates[mode] = {k: v if k not in old else _NEWEST * v + (1 - _NEWEST) * old[k] for k, v in new.items()}
            try:
                write_json(self._path, self._rates)
            except OSError as error:  # an estimate is not worth a result
                _log.warning("the duration of runs cannot be stored: %s", error.strerror)

    def measured(self, mode: str) -> bool:
        """Whether a run of this mode was measured on this machine."""
        return mode in self._rates

    def stages(self, mode: str, frames: int) -> dict[str, float]:
        """Expected seconds of each stage, in order."""
        rates = self._rates.get(mode) or FIRST_GUESS[mode]
        return {stage: rate * frames for stage, rate in rates.items()}

    def total(self, mode: str, frames: int) -> float:
        """Expected seconds until the result is there, or the file."""
        return self.left(mode, frames, "", 0.0)

    def left(self, mode: str, frames: int, stage: str, fraction: float, media: bool = False) -> float:
        """Expected seconds until the result is there when `fraction` of `stage` is done; `media`: its videos too."""
        expected = {s: v for s, v in self.stages(mode, frames).items() if media or s not in MEDIA}
        if stage not in expected:
            return sum(expected.values())
        names = list(expected)
        later = names[names.index(stage) + 1 :]
        return expected[stage] * (1 - fraction) + sum(expected[name] for name in later)


def _checked(value: Any) -> dict[str, dict[str, float]]:
    """Rates as read from a file. Raises ValueError."""
    if not isinstance(value, dict) or not value.keys() <= FIRST_GUESS.keys():
        raise ValueError("it is not a list of modes and files")
    for rates in value.values():
        if not isinstance(rates, dict) or not rates:
            raise ValueError("a mode has no stages")
        if not all(is_number(rate) and 0 <= rate <= _SLOWEST for rate in rates.values()):
            raise ValueError("a rate is not a number of seconds")
    return value
