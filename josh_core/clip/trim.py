"""What of the decoded frames is used: no repeats, no blank or frozen ends, no borders, only the longest shot; each is
said.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from josh_core.clip.decode import DecodedFrames
from josh_core.clip.not_filmed.borders import COMPARED_FRAMES, find_borders, is_mirrored
from josh_core.clip.not_filmed.mirrors import mirrored_sides
from josh_core.clip.not_filmed.repeats import fresh_frames, held_stretches
from josh_core.clip.probe import require
from josh_core.clip.shots.cuts import find_cuts
from josh_core.clip.shots.jumps import find_jumps
from josh_core.clip.shots.loops import find_loops
from josh_core.clip.shots.transitions import blank_ends, find_transitions, soft_ends
from josh_core.types import UInt8

MIN_FRAMES = 8  # fewer do not show speed or contact; chosen by hand


def drop_repeats(shot: DecodedFrames) -> None:
    """Leave out frames that repeat the one before where most do, and say so: they tell nothing of what moves when."""
    fresh = fresh_frames(shot.thumbs)
    if fresh is not None:
        shot.pick(fresh)
        shot.notes.append(
            f"Most frames repeat the one before: {len(fresh)} different pictures were used. If these are stills, "
            "motion and speeds are not those of life."
        )


def cut_blank_ends(shot: DecodedFrames) -> None:
    """Leave out blank pictures before and after the film, and say so."""
    first, end = blank_ends(shot.thumbs, np.array(shot.times))
    if end - first >= MIN_FRAMES and end - first < len(shot.jpegs):
        shot.keep(first, end)
        span = f"{shot.begin:.1f} to {shot.begin + shot.times[-1]:.1f} s"
        shot.notes.append(f"The clip begins or ends in black, or another blank picture: only {span} was used.")


def cut_borders(shot: DecodedFrames) -> None:
    """Cut off borders of one colour, and sides that mirror the picture, in place, and say so."""
    few = [shot.image(int(i)) for i in np.linspace(0, len(shot.jpegs) - 1, COMPARED_FRAMES)]
    box = find_borders(few)
    if _crop(shot, box):
        shot.notes.append(f"Borders around the picture were cut off: {shot.width} x {shot.height} px are left.")
    few = _cropped(few, box)
    sides = mirrored_sides(few)
    # What is left of a film between its mirror images is not symmetrical; a backdrop made of mirrored tiles is.
    if not is_mirrored(_cropped(few, sides)) and _crop(shot, sides):
        shot.notes.append(
            "The sides of the picture are mirror images of what is beside them, and were cut off: "
            f"{shot.width} x {shot.height} px are left."
        )


def _cropped(images: Sequence[UInt8], box: tuple[int, int, int, int]) -> list[UInt8]:
    left, top, right, bottom = box
    return [np.ascontiguousarray(image[top:bottom, left:right]) for image in images]


def _crop(shot: DecodedFrames, box: tuple[int, int, int, int]) -> bool:
    """Keep only left, top, right, bottom (px, half open) of every frame; False where that is all of it."""
    left, top, right, bottom = box
    if box == (0, 0, shot.width, shot.height):
        return False
    for index in range(len(shot.jpegs)):
        shot.replace(index, np.ascontiguousarray(shot.image(index)[top:bottom, left:right]))
    shot.width, shot.height = right - left, bottom - top
    return True


def longest_shot(shot: DecodedFrames) -> tuple[int, int]:
    """Frames [first, last) of the longest uncut part; says in the notes what was left out."""
    times = np.array(shot.times)
    with ThreadPoolExecutor(1) as beside:
        jumps = beside.submit(find_jumps, shot.thumbs, times)
        loops = find_loops(shot.thumbs, times)
        gradual = soft_ends([*find_transitions(shot.thumbs, times), *loops], times)
        cuts = {*find_cuts(shot.thumbs), *jumps.result()}
    cuts = {i for i in cuts if not any(first <= i < end for first, end in gradual)}
    breaks = sorted([*gradual, *((i, i) for i in cuts)])
    begins, ends = [0, *(end for _, end in breaks)], [*(first for first, _ in breaks), len(shot.jpegs)]
    first, last = max(zip(begins, ends, strict=True), key=lambda part: part[1] - part[0])
    if breaks:
        at = ", ".join(f"{shot.begin + shot.times[i]:.1f}" for i, _ in breaks)
        begin, end = shot.begin + shot.times[first], shot.begin + shot.times[last - 1]
        one, more = ("a gradual change of scene", "changes of scene") if gradual else ("a cut", "cuts")
        if len(breaks) == len(loops) == 1:
            one = "a seam behind which it shows the same again"
        many = one if len(breaks) == 1 else f"{len(breaks)} {more}"
        shot.notes.append(
            f"The clip has {many} (at {at} s): only the longest shot, {begin:.1f} to {end:.1f} s, was used."
        )
        require(
            last - first >= MIN_FRAMES,
            f"The clip has {many} and no shot of at least {MIN_FRAMES} frames: please give a part without cuts.",
        )
    return first, last


def without_held_ends(shot: DecodedFrames, first: int, last: int) -> tuple[int, int]:
    """Frames [first, last) without a picture that stands still at either end; says so, and where it does in between."""
    times = np.array(shot.times)
    stretches = [(first + a, first + b) for a, b in held_stretches(shot.thumbs[first:last], times[first:last])]
    begin = next((b for a, b in stretches if a == first), first)
    end = next((a + 1 for a, b in stretches if b == last - 1), last)
    if end - begin < MIN_FRAMES:
        begin, end = first, last
    if (begin, end) != (first, last):
        span = f"{shot.begin + times[begin]:.1f} to {shot.begin + times[end - 1]:.1f} s"
        shot.notes.append(f"The picture stands still at the beginning or end of the clip: only {span} was used.")
    between = [(a, b) for a, b in stretches if begin <= a and b < end]
    if between:
        spans = ", ".join(f"{shot.begin + times[a]:.1f} to {shot.begin + times[b]:.1f} s" for a, b in between)
        shot.notes.append(
            f"The picture stands still in between ({spans}): people and camera stop there, and then leap."
        )
    return begin, end
