"""Every kind of file is read as a player shows it: the film, its shape, its times and its colours."""

from __future__ import annotations

import base64
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from josh_core.clip.load import load_clip
from josh_core.clip.look import STRIP_HEIGHT, Look, look_at
from josh_core.clip.pixels import HLG, PQ
from josh_core.clip.probe import probe
from josh_core.clip.video import Film, Video
from josh_core.errors import ClipError
from josh_core.settings import Settings
from tests.clip.films import add_stream, cut_without_decoding, encode, write
from tests.clip.test_load import pan

SIZE = (320, 180)
FILM = [cv2.blur(frame, (9, 9))[..., ::-1] for frame in pan(5, 24, speed=2.0, size=SIZE)]
# name, codec, what else: containers and codecs as phones, cameras and editors write them
KINDS: dict[str, dict[str, Any]] = {
    "phone.mp4": {},
    "hevc.mov": {"codec": "libx265"},
    "ten_bit.mkv": {"codec": "libx265", "pixels": "yuv420p10le"},
    "web.webm": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1"},
    "old.avi": {"codec": "mpeg4"},
    "cut.mov": {"codec": "prores_ks", "pixels": "yuv422p10le"},
    "broadcast.ts": {},
    "camcorder.mts": {"format": "mpegts", "muxer": {"mpegts_m2ts_mode": "1"}},
    "studio.mxf": {"codec": "mpeg2video", "fps": 25},
    "raw.y4m": {"codec": "wrapped_avframe", "format": "yuv4mpegpipe"},
    "fragmented.mp4": {"muxer": {"movflags": "frag_keyframe+empty_moov"}},
    "dvd.mpg": {"codec": "mpeg2video", "fps": 25},
    "motion.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_container_and_codec_gives_the_same_pictures(tmp_path: Path, name: str) -> None:
    kind = dict(KINDS[name])
    if kind.get("codec") not in (None, "wrapped_avframe") and kind["codec"] not in av.codecs_available:
        pytest.skip(f"this PyAV has no {kind['codec']}")
    path = encode(tmp_path / name, FILM, **kind)
    info, clip = probe(path), load_clip(path, Settings())
    assert (info.width, info.height) == (clip.width, clip.height) == SIZE
    assert info.seconds == pytest.approx(24 / kind.get("fps", 30), abs=0.005)
    assert len(clip) == info.frames == 24 and clip.notes == ()
    np.testing.assert_allclose(clip.times, np.arange(24) / kind.get("fps", 30), atol=2e-3)
    assert np.abs(clip.frame(12).astype(int) - FILM[12]).mean() < 8
    assert strip(path).startswith("data:")


def strip(path: Path) -> str:
    """The pictures that the page shows of a file."""
    looks: list[Look] = []
    look_at(path, looks.append)
    return looks[-1].strip


@pytest.mark.parametrize(("size", "count"), [((160, 90), 4), ((90, 160), 11), ((120, 120), 6), ((384, 64), 3)])
def test_the_strip_shows_whole_pictures_whatever_their_shape(tmp_path: Path, size: tuple[int, int], count: int) -> None:
    """As many pictures as fill a strip of one shape, each of the clip's own."""
    path = encode(tmp_path / "clip.mp4", [frame[..., ::-1] for frame in pan(6, 24, size=size)])
    jpeg = base64.b64decode(strip(path).split(",")[1])
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[0] == STRIP_HEIGHT
    assert shown.shape[1] == pytest.approx(count * STRIP_HEIGHT * size[0] / size[1], abs=count)


def test_a_dv_tape_is_read_at_its_display_aspect(tmp_path: Path) -> None:
    frames = [frame[..., ::-1] for frame in pan(6, 10, size=(720, 576))]
    path = encode(tmp_path / "tape.dv", frames, codec="dvvideo", fps=25)
    clip = load_clip(path, Settings())
    assert len(clip) == 10 and clip.height == 576 and clip.width in (768, 1024)


@pytest.mark.parametrize(
    ("aspect", "stored", "shown"), [("4/3", (240, 180), (320, 180)), ("1/2", (320, 90), (320, 180))]
)
def test_pixels_that_are_not_square(
    tmp_path: Path, aspect: str, stored: tuple[int, int], shown: tuple[int, int]
) -> None:
    squeezed = [cv2.resize(frame, stored, interpolation=cv2.INTER_AREA) for frame in FILM]
    path = encode(tmp_path / "anamorphic.mp4", squeezed, sample_aspect_ratio=Fraction(aspect))
    clip = load_clip(path, Settings())
    assert (clip.width, clip.height) == SIZE == (probe(path).width, probe(path).height)
    assert np.abs(clip.frame(12).astype(int) - FILM[12]).mean() < 8


@pytest.mark.parametrize("name", ["cover.mkv", "thumbnail.mp4"])
def test_the_film_is_chosen_whatever_comes_before_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        if name == "cover.mkv":
            other, codec, pixels = [np.full((600, 600, 3), 90, np.uint8)], "mjpeg", "yuvj420p"
        else:
            other, codec, pixels = [np.ascontiguousarray(frame[::2, ::2]) for frame in FILM], "libx264", "yuv420p"
        streams = [add_stream(file, other[0], codec, pixels), add_stream(file, FILM[0])]
        write(file, streams, [other, FILM])
    clip = load_clip(path, Settings())
    assert (clip.width, clip.height) == SIZE and len(clip) == 24


def test_time_begins_with_the_first_picture(tmp_path: Path) -> None:
    path = encode(tmp_path / "late.mkv", FILM, times=3600 + np.arange(24) / 30)
    assert probe(path).seconds == pytest.approx(0.8, abs=0.01)
    clip = load_clip(path, Settings(start=0.3, seconds=0.3))
    assert len(clip) == 9 and clip.start == pytest.approx(0.3, abs=0.01) and clip.notes == ()


def test_an_edit_list_holds_for_length_pictures_and_strip(tmp_path: Path) -> None:
    frames = [np.full((96, 160, 3), 2 * i, np.uint8) for i in range(120)]
    whole = encode(tmp_path / "whole.mp4", frames)
    path = cut_without_decoding(whole, tmp_path / "cut.mp4", 2.5)
    info, clip = probe(path), load_clip(path, Settings())
    assert info.seconds == pytest.approx(1.5, abs=0.04) and len(clip) == info.frames == 45 and clip.notes == ()
    assert clip.frame(0).mean() == pytest.approx(150, abs=4)
    with Video(path, info.film) as video:
        for at in (0.0, 0.7, 1.4):
            image = video.at(at, (160, 96))
            assert image is not None and image.mean() == pytest.approx(150 + 60 * at, abs=4)


def test_a_name_may_hold_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "12:30 %d #1.mp4", FILM)
    monkeypatch.chdir(tmp_path)
    assert len(load_clip("12:30 %d #1.mp4", Settings())) == 24


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_high_dynamic_range_looks_like_the_scene_and_is_quick(tmp_path: Path, transfer: int) -> None:
    # A white wall of 203 nits (BT.2408): 58 % of PQ's range, 75 % of HLG's.
    code = 0.58 if transfer == PQ else 0.75
    wall = [np.full((1080, 1920, 3), round(255 * code), np.uint8)] * 8
    options = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9}
    path = encode(tmp_path / "hdr.mp4", wall, "libx265", "yuv420p10le", **options)
    info = probe(path)
    with Video(path, info.film) as video:
        pictures = list(video.pictures())
        began = time.perf_counter()
        images = [picture(video.reduced(1280)) for picture in pictures]
        spent = (time.perf_counter() - began) / len(images)
    assert 225 < images[-1].mean() <= 255
    assert spent < 0.25  # 0.02 s on two quiet cores


def test_a_picture_turned_and_mirrored_is_set_upright(tmp_path: Path) -> None:
    frames = [frame.copy() for frame in FILM]
    for frame in frames:
        frame[:90, :160] = (255, 0, 0)  # top left as stored
    path = encode(tmp_path / "selfie.mp4", frames)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[at : at + 36] = np.array([-one, 0, 0, 0, one, 0, 320 << 16, 0, 1 << 30], ">i4").tobytes()  # mirrored
    path.write_bytes(data)
    corner = load_clip(path, Settings()).frame(6)[10:80, 170:310].astype(float).mean((0, 1))
    np.testing.assert_allclose(corner, [255, 0, 0], atol=30)


def test_a_kind_of_video_that_nobody_knows_is_a_sentence(tmp_path: Path) -> None:
    data = (Path(__file__).parents[1] / "data" / "variable_rate.mp4").read_bytes()
    at = data.rindex(b"avc1")  # the name of the codec in the track's description
    (tmp_path / "odd.mp4").write_bytes(data[:at] + b"zzz1" + data[at + 4 :])
    with pytest.raises(ClipError, match="unknown here"):
        probe(tmp_path / "odd.mp4")


@pytest.mark.parametrize(("code", "said"), [(12, MemoryError), (1, ClipError)])  # ENOMEM, EPERM
def test_want_of_memory_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: type[Exception]
) -> None:
    class Packet:
        def decode(self) -> None:
            av.error.err_check(-code)

    class Container:
        streams = (SimpleNamespace(),)

        def demux(self, stream: object) -> Any:
            return iter([Packet()])

        def close(self) -> None:
            pass

    monkeypatch.setattr("josh_core.clip.video.open_container", lambda path: Container())
    with pytest.raises(said):
        Video(tmp_path / "clip", Film())
