"""How long a run takes on this machine: seconds per frame of each stage, learned from finished runs.

A stage also takes time whatever the clip is, and more time with more people (_WORK). Only its speed here is learned, so
that the first run tells how long a shorter one, or one with more people, will take.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from josh_core.export.stored_json import is_number, read_json, write_json
from josh_core.serving.tasks import (
    ARCHIVE,
    DATASET,
    FORMATS,
    OVERLAY,
    PAIR,
    PREVIEW,
    RIGS,
    SPLIT,
    T_POSE,
    TURNTABLE,
    USD,
)

# Before anything has been measured here: seconds per frame of one person, of Size.work. Two cores, the rendered street
# (100 frames, one person), `refine` (`python -m benchmarks.clips`).
_SHARED = {
    "clip": 0.018, "people": 0.066, "tracks": 0.022, "camera": 0.067, "depth": 0.041, "student": 0.001,
    "bodies": 0.015, "contacts": 0.01, "world": 0.037, "looks": 0.0004, "result": 0.015,
}  # fmt: skip
_MEDIA = {"formats": 0.0022, "videos": 0.045}  # likewise
MEDIA = tuple(_MEDIA)  # stages after the result is there
# What a stage takes beside its frames, measured likewise and on 36 and 96 frames of three and four people: as many
# frames more whatever the clip is (1000 where frames do not matter), and the share that each further person adds.
_WORK = {
    "clip": (30.0, 0.0), "people": (0.0, 0.35), "camera": (0.0, 0.2), "bodies": (0.0, 0.3), "contacts": (0.0, 0.15),
    "looks": (1000.0, 0.5), "result": (60.0, 0.1), "joint": (0.0, 0.2), "joint_looks": (1000.0, 0.4),
    "joint_result": (1000.0, 0.05), "formats": (1000.0, 0.15), "videos": (0.0, 0.4),
}  # fmt: skip
# Share of the time that some stages take with a camera that stands still: there is no path to solve and no depth to
# measure. How long they take is learned from runs with a camera that moves.
_STILL = {"camera": 0.0, "depth": 0.0}
FIRST_GUESS = {  # by mode of a run, or by file made from a result
    "baseline": _SHARED | _MEDIA,
    "fast": {name: rate for name, rate in _SHARED.items() if name != "depth"} | _MEDIA,
    "refine": _SHARED | {"joint": 0.048, "joint_looks": 0.0003, "joint_result": 0.0008} | _MEDIA,
    FORMATS: {FORMATS: 0.02},
    OVERLAY: {OVERLAY: 0.1},
    PAIR: {PAIR: 0.1},
    SPLIT: {SPLIT: 0.1},
    TURNTABLE: {TURNTABLE: 0.25},
    DATASET: {DATASET: 0.1},
    USD: {USD: 0.005},
    T_POSE: {T_POSE: 0.005},
    RIGS: {RIGS: 0.005},
    PREVIEW: {PREVIEW: 0.02},
    ARCHIVE: {ARCHIVE: 0.02},
}
# Chosen by hand, except where a measurement or a source is given.
TURNTABLE_FRAMES = 160  # of export/pictures/turntable.py, about
_NEWEST = 0.5  # weight of the newest run
_SLOWEST = 3600.0  # s per frame; no stage of any machine takes longer
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Size:
    """How much a run or a file has to do."""

    frames: int
    people: int = 1  # a guess before the run has counted
    still: bool = False  # whether the camera stands still; a guess before the run has found out

    def work(self, stage: str) -> float:
        """Frames of one person that would take a stage as long as this does."""
        fixed, each = _WORK.get(stage, (0.0, 0.0))
        kind = _STILL.get(stage, 1.0) if self.still else 1.0
        return kind * (self.frames + fixed) * (1 + each * (max(self.people, 1) - 1))


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

    def learn(self, mode: str, size: Size, seconds: Mapping[str, float], whole: bool = True) -> None:
        """Take in a finished run with its wall time per stage, as far as the disk lets it.

        whole: no stage is missing because the run was stopped; one that is missing then takes no time.
        """
        if size.frames < 1 or not seconds:
            return
        with self._lock:
            old = self._rates.get(mode, {})
            usual = [*old, *(stage for stage in _STILL if stage in FIRST_GUESS[mode])]
            new = dict.fromkeys((stage for stage in usual if size.work(stage)), 0.0) if whole else {}
            new |= {stage: s / size.work(stage) for stage, s in seconds.items() if size.work(stage)}
            mean = {k: v if k not in old else _NEWEST * v + (1 - _NEWEST) * old[k] for k, v in new.items()}
            known = old | mean
            order = [stage for stage in FIRST_GUESS[mode] if stage in known]
            self._rates[mode] = {stage: known[stage] for stage in dict.fromkeys([*order, *known])}
            try:
                write_json(self._path, self._rates)
            except OSError as error:  # an estimate is not worth a result
                _log.warning("the duration of runs cannot be stored: %s", error.strerror)

    def measured(self, mode: str) -> bool:
        """Whether a run of this mode was measured on this machine."""
        return mode in self._rates

    def stages(self, mode: str, size: Size) -> dict[str, float]:
        """Expected seconds of each stage, in order."""
        known, guess = self._rates.get(mode, {}), FIRST_GUESS[mode]
        both = known.keys() & guess.keys()
        speed = sum(known[stage] for stage in both) / sum(guess[stage] for stage in both) if both else 1.0
        rates = guess if not known else {s: speed * guess[s] for s in _STILL if s in guess} | known
        ordered = [*(stage for stage in guess if stage in rates), *(stage for stage in rates if stage not in guess)]
        expected = {stage: rates[stage] * size.work(stage) for stage in ordered}
        return {stage: seconds for stage, seconds in expected.items() if seconds or stage not in _STILL}

    def total(self, mode: str, size: Size) -> float:
        """Expected seconds until the result is there, or the file."""
        return self.left(mode, size, "", 0.0)

    def left(self, mode: str, size: Size, stage: str, fraction: float, media: bool = False) -> float:
        """Expected seconds until the result is there when `fraction` of `stage` is done; `media`: its videos too."""
        expected = {s: v for s, v in self.stages(mode, size).items() if media or s not in MEDIA}
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
