"""The focal length that a phone writes beside its film."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from josh_core.clip.load import load_clip
from josh_core.settings import Settings
from tests.clip.films import add_stream, write

TAG = "com.apple.quicktime.camera.focal_length.35mm_equivalent"


def _film(path: Path, written: str | None) -> Path:
    """A MOV of 320 x 240 px (400 along the diagonal), with a focal length in its metadata or none."""
    frame = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as file:
        if written is not None:
            file.metadata[TAG] = written
        write(file, [add_stream(file, frame)], [[np.roll(frame, 3 * i, 1) for i in range(12)]])
    return path


@pytest.mark.parametrize(
    ("written", "focal_px"), [("26", 26 * 400 / 43.2666), ("0", None), ("wide", None), (None, None)]
)
def test_a_phone_tells_its_focal_length(tmp_path: Path, written: str | None, focal_px: float | None) -> None:
    """The 35 mm equivalent becomes px along the diagonal of the frame; what is no focal length is ignored."""
    found = load_clip(_film(tmp_path / "phone.mov", written), Settings()).focal_px
    assert found == (None if focal_px is None else pytest.approx(focal_px, rel=1e-4))
