"""The reduced frames of a clip that were asked for last, kept decoded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

from numpy.typing import NDArray

Frame = NDArray[Any]  # [h,w,3] u8 RGB

# Chosen by hand: at most 56 MB, and the keyframes of most clips at two sizes.
KEPT_FRAMES, KEPT_SIDE = 64, 720  # reduced frames that a clip keeps decoded, and their longest side in px at most


class KeptFrames:
    """The reduced frames that were asked for last: several stages and modes look at the same ones.

    They are left behind when the clip is pickled.
    """

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[int, int], Frame] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[KeptFrames], tuple[()]]:
        return KeptFrames, ()

    def get(self, index: int, longest: int, decode: Callable[[], Frame]) -> Frame:
        """The kept frame, or what `decode` makes of it; read-only, since others get the same array."""
        with self._lock:
            if (index, longest) in self._frames:
                self._frames.move_to_end((index, longest))
                return self._frames[index, longest]
        frame = decode()
        frame.flags.writeable = False
        with self._lock:
            self._frames[index, longest] = frame
            if len(self._frames) > KEPT_FRAMES:
                self._frames.popitem(last=False)
        return frame
