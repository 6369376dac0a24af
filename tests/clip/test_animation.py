"""Animated pictures are read like films, pictures that stand still are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from josh_core.clip import animation
from josh_core.clip.load import load_clip
from josh_core.clip.probe import probe
from josh_core.errors import ClipError
from josh_core.settings import Settings
from tests.clip.test_video import FILM, strip

KINDS = {"film.webp": {"lossless": True}, "film.png": {}, "film.apng": {"format": "PNG"}, "film.avif": {"quality": 90}}


def animated(path: Path, shown: list[int], **options: object) -> Path:
    """FILM as an animation, each frame shown so many milliseconds."""
    first, *more = (Image.fromarray(np.ascontiguousarray(f)) for f in FILM[: len(shown)])
    first.save(path, save_all=True, append_images=more, duration=shown, **options)
    return path


@pytest.mark.parametrize("name", KINDS)
def test_an_animated_picture_is_read_like_a_film(tmp_path: Path, name: str) -> None:
    shown = [80, 40] * 12
    path = animated(tmp_path / name, shown, **KINDS[name])
    info, clip = probe(path), load_clip(path, Settings())
    assert (info.width, info.height) == (clip.width, clip.height) == (320, 180)
    assert len(clip) == info.frames == 24 and clip.notes == ()
    np.testing.assert_allclose(clip.times, np.cumsum([0, *shown[:-1]]) / 1000, atol=2e-3)
    for at in (0, 13):
        assert np.abs(clip.frame(at).astype(int) - FILM[at]).mean() < 8
    later = load_clip(path, Settings(start=0.7, turn=180))
    assert later.start == pytest.approx(0.72, abs=2e-3) and len(later) == 12
    assert np.abs(later.frame(0)[::-1, ::-1].astype(int) - FILM[12]).mean() < 8
    assert strip(path).startswith("data:")


def test_times_too_short_to_be_meant_are_those_of_browsers(tmp_path: Path) -> None:
    assert load_clip(animated(tmp_path / "film.webp", [10] * 9), Settings()).times[-1] == pytest.approx(0.8)


def test_a_damaged_animation_gives_what_came_before(tmp_path: Path) -> None:
    path = animated(tmp_path / "film.png", [40] * 20)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    clip = load_clip(path, Settings())
    assert 8 <= len(clip) < 12 and "incomplete" in clip.notes[0]


@pytest.mark.parametrize(("name", "kind"), [("still.webp", "WebP"), ("still.png", "PNG"), ("still.avif", "AVIF")])
def test_a_picture_that_stands_still_is_called_one(tmp_path: Path, name: str, kind: str) -> None:
    Image.fromarray(np.ascontiguousarray(FILM[0])).save(tmp_path / name)
    with pytest.raises(ClipError, match=rf"a picture \({kind}\)"):
        probe(tmp_path / name)


def test_large_animations_are_refused_before_they_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = animated(tmp_path / "film.webp", [40] * 9)
    data = bytearray(path.read_bytes())
    at = data.index(b"VP8X") + 8 + 4
    data[at : at + 6] = b"\xff\xff\x00\xff\xff\x00"
    (tmp_path / "huge.webp").write_bytes(data)
    with pytest.raises(ClipError, match="65536 x 65536"):
        probe(tmp_path / "huge.webp")
    monkeypatch.setattr(animation, "MAX_BYTES", 100)
    with pytest.raises(ClipError, match="export it as MP4"):
        probe(path)
