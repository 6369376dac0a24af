"""What the thresholds of josh_core/clip/shots/jumps.py rest on: plain clips, and the same with a part left out.

    python -m benchmarks.jumps CLIP [...] [--left-out S]

Prints for each clip, as it is and with every second and every fourth frame, the largest leap of the picture and the
largest change beside it, each over the steps around; the most sudden change of a picture that stays in place; how many
steps exceed the limits; and how many of up to ten cuts that leave out S seconds are found. Clips must be free of cuts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from josh_core.clip.load import load_clip
from josh_core.clip.shots.cuts import THUMB_SIDE
from josh_core.clip.shots.jumps import (
    MIN_CHANGE_RATIO,
    MIN_CHANGED,
    MIN_LEAP_PX,
    MIN_LEAP_RATIO,
    MIN_SUDDEN_RATIO,
    find_jumps,
    moving_steps,
    still_steps,
)
from josh_core.settings import Settings
from josh_core.types import Clip, Float, UInt8

EVERY = (1, 2, 4)  # frames
CUTS = 10  # a clip


def main() -> None:
    """Read, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--left-out", type=float, default=0.5, help="seconds")
    args = parser.parse_args()
    print(f"limits: leap {MIN_LEAP_RATIO}, change {MIN_CHANGE_RATIO}, sudden {MIN_SUDDEN_RATIO}")
    print(f"{'clip':<20s}{'fps':>6s}{'leap':>7s}{'change':>8s}{'sudden':>8s}{'over':>6s}  found")
    for path in args.clips:
        clip = load_clip(path, Settings())
        thumbs = thumbnails(clip)
        for every in EVERY:
            few, times = thumbs[::every], clip.times[::every]
            steps = [s for s in moving_steps(few, times, 0.0) if s.moved_px > MIN_LEAP_PX]
            leap, change = (max((getattr(s, name) for s in steps), default=0.0) for name in ("leap", "change"))
            sudden = max((s.sudden for s in still_steps(few, times) if s.share > MIN_CHANGED), default=0.0)
            over = len(find_jumps(few, times))
            found, cuts = with_parts_left_out(few, times, args.left_out)
            fps = 1 / float(np.median(np.diff(times)))
            print(
                f"{path.stem:<20s}{fps:>6.1f}{leap:>7.2f}{change:>8.2f}{sudden:>8.2f}{over:>6d}  {found} of {cuts}",
                flush=True,
            )


def thumbnails(clip: Clip) -> list[UInt8]:
    """The small BGR pictures that cuts are looked for in."""
    return [np.asarray(cv2.cvtColor(clip.frame(t, THUMB_SIDE), cv2.COLOR_RGB2BGR), np.uint8) for t in range(len(clip))]


def with_parts_left_out(thumbs: list[UInt8], times: Float, seconds: float) -> tuple[int, int]:
    """How many of up to CUTS cuts are found, each alone, and how many were made."""
    step = float(np.median(np.diff(times)))
    gone = round(seconds / step)
    last = len(thumbs) - gone - 10
    places = sorted({int(at) for at in np.linspace(10, last, CUTS)}) if last > 10 else []
    found = 0
    for at in places:
        kept = [*thumbs[max(0, at - 12) : at], *thumbs[at + gone : at + gone + 12]]
        found += min(at, 12) in find_jumps(kept, np.arange(len(kept)) * step)
    return found, len(places)


if __name__ == "__main__":
    main()
