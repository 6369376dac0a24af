"""Slow motion and time lapse of which the file says at how many pictures a second they were taken."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from josh_core.clip.load import load_clip
from josh_core.errors import ClipError
from josh_core.settings import Settings
from tests.clip.films import add_stream, write

TAG = "com.android.capture.fps"
XML = b'<VideoFrame videoCodec="AVC_1920_1080_HP@L51" captureFps="119.88p" formatFps="29.97p"/>'


def _film(path: Path, captured: str | None, times: np.ndarray, fps: int = 30) -> Path:
    frame = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as file:
        if captured is not None:
            file.metadata[TAG] = captured
        stream = add_stream(file, frame, fps=fps)
        write(file, [stream], [[np.roll(frame, 3 * i, 1) for i in range(len(times))]], times)
    return path


@pytest.mark.parametrize(
    ("captured", "fps", "count", "seconds", "said"),
    [
        ("120", 30, 15, 0.5, "slow motion"),
        ("6", 30, 60, 10.0, "a time lapse"),
        ("30", 24, 60, 2.5, ""),  # pictures left out in the dark
        ("240", 240, 8, 0.25, ""),  # stored at their own rate
        ("many", 30, 60, 2.0, ""),
        (None, 30, 60, 2.0, ""),
    ],
)
def test_times_are_those_of_life(
    tmp_path: Path, captured: str | None, fps: int, count: int, seconds: float, said: str
) -> None:
    clip = load_clip(_film(tmp_path / "phone.mp4", captured, np.arange(60) / fps, fps), Settings())
    assert len(clip) == count
    np.testing.assert_allclose(np.diff(clip.times), seconds / count, rtol=0.07)
    assert clip.source_seconds == pytest.approx(seconds, rel=0.02)
    assert (said in " ".join(clip.notes)) if said else clip.notes == ()


def test_a_text_beside_the_film_tells_it_too(tmp_path: Path) -> None:
    path = _film(tmp_path / "camera.mp4", None, np.arange(60) / 29.97)
    with path.open("ab") as file:
        file.write((len(XML) + 8).to_bytes(4, "big") + b"meta" + XML)
    clip = load_clip(path, Settings())
    assert len(clip) == 15 and "slow motion" in clip.notes[0] and "4 times as fast" in clip.notes[0]


def test_what_is_slowed_down_in_parts_or_hardly_filmed_is_refused(tmp_path: Path) -> None:
    steps = np.repeat([1 / 240, 1 / 30, 1 / 240], 30)
    with pytest.raises(ClipError, match="more slowly than others"):
        load_clip(_film(tmp_path / "parts.mp4", "240", np.cumsum(steps), 240), Settings())
    with pytest.raises(ClipError, match="time lapse"):
        load_clip(_film(tmp_path / "lapse.mp4", "1", np.arange(60) / 30), Settings())
