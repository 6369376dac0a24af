"""Clips made on the spot: what is kept, what is turned upright, what is refused and in which words."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from josh_core.clip.load import load_clip
from josh_core.clip.probe import probe
from josh_core.clip.shots.cuts import find_cuts
from josh_core.errors import Cancelled, ClipError
from josh_core.progress import Progress
from josh_core.settings import Settings

DATA = Path(__file__).parents[1] / "data"
WIDTH, HEIGHT = 160, 96


def texture(seed: int, width: int = 900, height: int = 400) -> np.ndarray:
    """A colourful picture [height,width,3] with detail at several scales, another one for each seed."""
    rng = np.random.default_rng(seed)
    out = np.zeros((height, width, 3))
    for cells in (4, 16, 64):
        coarse = rng.uniform(0, 1, (cells, 2 * cells, 3)).astype(np.float32)
        out += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 3
    return np.clip(out * 255, 0, 255).astype(np.uint8)


def pan(seed: int, count: int, speed: float = 1.0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[np.ndarray]:
    """Frames of a camera that pans over a texture, `speed` px a frame."""
    wide = texture(seed, width=int(size[0] + speed * count) + 2, height=size[1])
    return [wide[:, int(i * speed) : int(i * speed) + size[0]] for i in range(count)]


def write(path: Path, frames: Iterable[np.ndarray], fps: float = 30.0, codec: str = "mp4v") -> Path:
    """A video file of BGR frames."""
    frames = list(frames)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def refusal(path: Path, **options: object) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(ClipError) as caught:
        load_clip(path, Settings(**options))  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_every_frame_of_an_ordinary_clip_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "walk.mp4", pan(0, 45))
    clip = load_clip(path, Settings())
    assert len(clip) == 45 and (clip.width, clip.height) == (WIDTH, HEIGHT)
    np.testing.assert_allclose(clip.times, np.arange(45) / 30, atol=2e-3)
    assert clip.fps == pytest.approx(30, rel=0.01)
    assert clip.source_seconds == pytest.approx(1.5, abs=0.04)
    assert clip.name == "walk.mp4" and clip.notes == () and clip.start == 0
    assert clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_frames_are_the_pictures_in_rgb(tmp_path: Path) -> None:
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 2] = 255
    clip = load_clip(write(tmp_path / "red.mp4", [red] * 10), Settings())
    assert clip.frame(5).shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(clip.frame(5).mean((0, 1)), [255, 0, 0], atol=6)


def test_probe_tells_size_rate_and_length(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", pan(0, 50), fps=25)
    info = probe(path)
    assert (info.width, info.height, info.frames) == (WIDTH, HEIGHT, 50)
    assert info.fps == pytest.approx(25) and info.seconds == pytest.approx(2)


@pytest.mark.parametrize(
    ("fps", "kept", "spacing"), [(60, 30, 1 / 30), (30, 60, 1 / 30), (5, 60, 1 / 5), (120, 15, 1 / 30)]
)
def test_fast_clips_are_thinned_by_time(tmp_path: Path, fps: float, kept: int, spacing: float) -> None:
    clip = load_clip(write(tmp_path / "clip.mp4", pan(1, 60), fps), Settings())
    assert len(clip) == kept
    np.testing.assert_allclose(np.diff(clip.times), spacing, rtol=0.05)


def test_a_rate_between_keeps_the_nearest_frames(tmp_path: Path) -> None:
    clip = load_clip(write(tmp_path / "clip.mp4", pan(1, 100), fps=50), Settings())
    assert 58 <= len(clip) <= 61  # 2 s at no more than 30 a second
    assert set(np.round(np.diff(clip.times), 3)) == {0.02, 0.04}


def test_uneven_timestamps_are_kept() -> None:
    clip = load_clip(DATA / "variable_rate.mp4", Settings())  # 10 frames a second for 1 s, then 30
    assert len(clip) == 40
    np.testing.assert_allclose(np.diff(clip.times[:11]), 0.1, atol=2e-3)
    np.testing.assert_allclose(np.diff(clip.times[10:]), 1 / 30, atol=2e-3)


def test_rotation_in_the_metadata_is_applied(tmp_path: Path) -> None:
    frames = pan(2, 12)
    frames = [cv2.rectangle(f.copy(), (0, 0), (WIDTH // 2, HEIGHT // 2), (0, 0, 255), -1) for f in frames]
    path = write(tmp_path / "phone.mp4", frames)
    turned = bytearray(path.read_bytes())
    at = turned.index(b"tkhd") + 4 + 40  # version 0: the 3x3 matrix lies 40 bytes into the box
    turned[at : at + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, HEIGHT << 16, 0, 1 << 30)  # a quarter turn
    path.write_bytes(turned)
    clip = load_clip(path, Settings())
    assert (clip.width, clip.height) == (HEIGHT, WIDTH)
    assert (probe(path).width, probe(path).height) == (HEIGHT, WIDTH)
    red = clip.frame(6).astype(int)
    corner = red[: WIDTH // 2 - 4, HEIGHT // 2 + 4 :].mean((0, 1))  # clockwise: top left becomes top right
    np.testing.assert_allclose(corner, [255, 0, 0], atol=30)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_film_is_turned_as_asked(tmp_path: Path, turn: int) -> None:
    path = write(tmp_path / "clip.mp4", pan(3, 10))
    plain, turned = load_clip(path, Settings()), load_clip(path, Settings(turn=turn))  # type: ignore[arg-type]
    right = np.rot90(plain.frame(4), -turn // 90)
    assert turned.frame(4).shape == right.shape
    assert np.abs(turned.frame(4).astype(float) - right).mean() < 3


def test_large_pictures_are_reduced(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", pan(3, 9, size=(640, 360)))
    clip = load_clip(path, Settings(max_side=320))
    assert (clip.width, clip.height) == (320, 180) and clip.frame(0).shape == (180, 320, 3)


def test_start_and_seconds_take_a_part(tmp_path: Path) -> None:
    frames = [np.full((HEIGHT, WIDTH, 3), 2 * i, np.uint8) for i in range(120)]
    path = write(tmp_path / "clip.mp4", frames)
    clip = load_clip(path, Settings(start=3.0, seconds=0.5))
    assert len(clip) == 15 and clip.times[0] == 0
    assert clip.start == pytest.approx(3.0, abs=0.02) and clip.source_seconds == pytest.approx(4, abs=0.04)
    assert clip.frame(0).mean() == pytest.approx(180, abs=4)


def test_progress_is_reported_and_cancels(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", pan(1, 60))
    fractions: list[float] = []
    load_clip(path, Settings(), Progress(report=lambda _, f: fractions.append(f)))
    assert len(fractions) > 4 and fractions == sorted(fractions)
    with pytest.raises(Cancelled):
        load_clip(path, Settings(), Progress(cancelled=lambda: True))


def test_refusals_say_what_is_wrong_and_leave_the_log_clean(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:10,\nhttp://localhost/secret.ts\n")
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"\x00\x00\x00\x18ftypisom" + np.random.default_rng(0).bytes(5000))
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "not a video" in refusal(text)
    assert "not a video" in refusal(playlist)
    assert "cannot be opened" in refusal(noise)
    assert "empty" in refusal(empty)
    assert "not found" in refusal(tmp_path / "nothing.mp4")
    assert capfd.readouterr() == ("", "")


def test_a_cut_off_file_is_refused_or_used_up_to_the_break(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = write(tmp_path / "whole.mp4", pan(5, 60)).read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole[: len(whole) // 2])  # the index is at the end
    assert "copy or upload it again" in refusal(broken)
    index = whole.rindex(b"moov") - 4  # the index is kept, the second half of the pictures lost
    middle = index // 2
    broken.write_bytes(whole[:middle] + bytes(index - middle) + whole[index:])
    clip = load_clip(broken, Settings())
    assert 8 <= len(clip) < 60 and "incomplete" in clip.notes[0]
    assert capfd.readouterr() == ("", "")


def test_too_short_too_long_too_small_too_large(tmp_path: Path) -> None:
    assert "Only 3 frames" in refusal(write(tmp_path / "a.mp4", pan(0, 3)))
    assert "Only 1 frame can" in refusal(write(tmp_path / "b.mp4", pan(0, 1)))
    long = write(tmp_path / "c.mp4", [np.zeros((64, 64, 3), np.uint8)] * 130, fps=2)  # 65 s
    assert "65 s long" in refusal(long)
    assert "less than 61 s" in refusal(long, seconds=61.0)
    assert len(load_clip(long, Settings(start=10, seconds=20))) == 40
    assert len(load_clip(long, Settings(max_seconds=70))) == 130
    assert "before its end" in refusal(long, start=70.0)
    assert "at least 64" in refusal(write(tmp_path / "d.mp4", pan(0, 9, size=(80, 48))))
    assert "at most 8192" in refusal(write(tmp_path / "e.avi", [np.zeros((64, 8256, 3), np.uint8)] * 8, codec="MJPG"))


def test_the_longest_shot_is_used_and_said_so(tmp_path: Path) -> None:
    frames = pan(10, 20) + pan(11, 40) + pan(12, 15)
    clip = load_clip(write(tmp_path / "cut.mp4", frames), Settings())
    assert len(clip) == 40 and clip.times[0] == 0
    assert clip.start == pytest.approx(20 / 30, abs=0.01)
    assert len(clip.notes) == 1 and "2 cuts (at 0.7, 2.0 s)" in clip.notes[0] and "0.7 to 2.0 s" in clip.notes[0]


def test_only_short_shots_are_refused(tmp_path: Path) -> None:
    frames = [f for seed in range(4) for f in pan(20 + seed, 5)]
    assert "without cuts" in refusal(write(tmp_path / "cuts.mp4", frames))


def test_a_fast_pan_is_no_cut() -> None:
    assert find_cuts(pan(30, 30, speed=25.0)) == []


def test_a_whip_pan_is_no_cut() -> None:
    wide = texture(31, width=2000, height=HEIGHT)
    at = np.concatenate([np.zeros(8), np.cumsum([5, 20, 60, 90, 60, 20, 5]), np.full(8, 260)]).astype(int)
    blurred = [cv2.blur(wide, (1 + abs(int(d)), 1)) for d in np.gradient(at)]
    assert find_cuts([b[:, x : x + WIDTH] for b, x in zip(blurred, at, strict=True)]) == []


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length: int) -> None:
    frames = pan(32, 24)
    for i in range(10, 10 + length):
        frames[i] = np.clip(frames[i].astype(int) + 250, 0, 255).astype(np.uint8)
    assert find_cuts(frames) == []


def test_somebody_crossing_is_no_cut() -> None:
    frames = [f.copy() for f in pan(33, 40, speed=0.5)]
    for i, frame in enumerate(frames):
        left = int(-140 + i * 12)
        cv2.rectangle(frame, (left, 0), (left + 110, HEIGHT), (20, 30, 25), -1)
    assert find_cuts(frames) == []


def test_a_cut_between_alike_scenes_is_found() -> None:
    a = texture(34)
    assert find_cuts(
        [a[:HEIGHT, i : i + WIDTH] for i in range(12)]
        + [a[200 : 200 + HEIGHT, 500 + i : 500 + i + WIDTH] for i in range(12)]
    ) == [12]


def encode(path: Path, frames: Iterable[np.ndarray], pixels: str, fps: int = 30) -> Path:
    """A video file of BGR frames with another chroma layout than OpenCV writes."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "10"})
        for i, image in enumerate(frames):
            if i == 0:
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], pixels
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("pixels", "size"), [("yuv444p", (161, 97)), ("yuv420p10le", (160, 96))])
def test_unusual_pixels_and_odd_sizes_are_read(tmp_path: Path, pixels: str, size: tuple[int, int]) -> None:
    frames = [cv2.blur(frame, (9, 9)) for frame in pan(40, 12, size=size)]
    clip = load_clip(encode(tmp_path / "clip.mp4", frames, pixels), Settings())
    assert len(clip) == 12 and (clip.width, clip.height) == size
    assert np.abs(clip.frame(5)[..., ::-1].astype(int) - frames[5]).mean() < 4


def test_five_frames_a_second_are_enough(tmp_path: Path) -> None:
    clip = load_clip(write(tmp_path / "clip.mp4", pan(41, 15, speed=4.0), fps=5), Settings())
    assert len(clip) == 15 and clip.fps == pytest.approx(5, rel=0.01) and clip.notes == ()


def test_sound_alone_and_a_folder_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44100
        file.mux([*stream.encode(silence), *stream.encode(None)])
    assert "sound but no picture" in refusal(path)
    assert "a folder" in refusal(tmp_path)
    assert "cannot be read" in refusal(tmp_path / ("long" * 100))
    assert capfd.readouterr() == ("", "")
