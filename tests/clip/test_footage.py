"""What footage brings along: borders, captions, logos, dissolves, wipes, split screens; and plain clips without any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import av.codec.context
import cv2
import numpy as np
import pytest

from josh_core.clip import load
from josh_core.clip.interlace import has_combs
from josh_core.clip.load import load_clip
from josh_core.clip.not_filmed import still_picture
from josh_core.clip.not_filmed.borders import find_borders, is_mirrored, is_split
from josh_core.clip.not_filmed.doubled import is_doubled
from josh_core.clip.not_filmed.inset import find_inset
from josh_core.clip.not_filmed.mirrors import mirrored_sides
from josh_core.clip.not_filmed.overlay import find_overlay
from josh_core.clip.shots.cuts import find_cuts
from josh_core.clip.shots.jumps import find_jumps
from josh_core.clip.shots.transitions import find_transitions, soft_ends
from josh_core.errors import ClipError
from josh_core.settings import Settings
from josh_core.tracking.inset_people import outside_inset, without_inset_people, without_overlay
from josh_core.types import People, Track
from tests.clip.films import encode
from tests.clip.test_load import pan

SIZE = (480, 270)
REAL = Path(__file__).parents[1] / "data" / "juggle_short.mp4"


def smooth(seed: int, count: int, speed: float = 1.0) -> list[np.ndarray]:
    """RGB frames of a pan over a picture with soft edges."""
    return [cv2.blur(frame, (5, 5))[..., ::-1].copy() for frame in pan(seed, count, speed, SIZE)]


def captioned(frames: list[np.ndarray]) -> list[np.ndarray]:
    """The frames under a white band with a text, as memes are made."""
    band = np.full((90, SIZE[0], 3), 255, np.uint8)
    cv2.putText(band, "WHEN YOU WALK HOME", (20, 60), cv2.FONT_HERSHEY_DUPLEX, 1.2, (0, 0, 0), 2)
    return [np.concatenate([band, frame]) for frame in frames]


def test_caption_bands_are_cut_off_and_said(tmp_path: Path) -> None:
    clip = load_clip(encode(tmp_path / "meme.mp4", captioned(smooth(1, 12))), Settings())
    assert clip.width == SIZE[0] and abs(clip.height - SIZE[1]) <= 3
    assert "Borders" in clip.notes[0]


def test_letterbox_and_pillarbox_are_found_and_a_bright_sky_is_none() -> None:
    frames = smooth(2, 6)
    boxed = [cv2.copyMakeBorder(f, 20, 30, 40, 50, cv2.BORDER_CONSTANT) for f in frames]
    assert find_borders(boxed) == (40, 20, 40 + SIZE[0], 20 + SIZE[1])
    assert find_borders(frames) == (0, 0, *SIZE)
    skyline = 40 + 30 * np.sin(np.arange(SIZE[0]) / 30)
    sky = [np.where((np.arange(SIZE[1])[:, None] < skyline)[..., None], 255, f).astype(np.uint8) for f in frames]
    assert find_borders(sky) == (0, 0, *SIZE)


def test_sides_that_mirror_the_picture_are_cut_off_and_said(tmp_path: Path) -> None:
    frames = smooth(2, 12)
    wide = [cv2.copyMakeBorder(f, 0, 0, 90, 90, cv2.BORDER_REFLECT) for f in frames]
    clip = load_clip(encode(tmp_path / "wide.mp4", wide), Settings())
    assert abs(clip.width - SIZE[0]) <= 2 and clip.height == SIZE[1]
    assert "mirror images" in clip.notes[0]
    assert mirrored_sides([cv2.copyMakeBorder(f, 30, 0, 0, 0, cv2.BORDER_REFLECT) for f in frames]) == (
        *(0, 30, SIZE[0]),
        30 + SIZE[1],
    )
    assert mirrored_sides(frames) == (0, 0, *SIZE)


def test_a_backdrop_of_mirrored_tiles_behind_somebody_is_left_as_it_is(tmp_path: Path) -> None:
    tile = smooth(3, 1)[0][:, :200]
    still = np.concatenate([tile[:, ::-1], tile, tile[:, :119:-1]], 1)
    frames = []
    for step in range(12):
        frame = still.copy()
        frame[30:250, 150 + step : 174 + step] = smooth(4, 1)[0][20:240, 300:324]
        frames.append(frame)
    clip = load_clip(encode(tmp_path / "tiles.mp4", frames), Settings())
    assert (clip.width, clip.height) == (still.shape[1], still.shape[0])
    assert not any("mirror" in note for note in clip.notes)


@pytest.mark.parametrize("held", [15, 9])
def test_a_picture_that_stands_still_at_an_end_is_left_out_and_said(tmp_path: Path, held: int) -> None:
    frames = smooth(3, 40, 4.0)
    clip = load_clip(encode(tmp_path / "held.mp4", frames + [frames[-1]] * held), Settings())
    if held == 9:  # 0.3 s: less than a freeze
        assert len(clip) == 49 and clip.notes == ()
        return
    assert 40 <= len(clip) <= 42 and "stands still at the beginning or end" in clip.notes[0]
    clip = load_clip(encode(tmp_path / "begin.mp4", [frames[0]] * held + frames), Settings())
    assert 40 <= len(clip) <= 42 and clip.start == pytest.approx(held / 30, abs=0.07)
    between = load_clip(encode(tmp_path / "between.mp4", frames[:20] + [frames[19]] * held + frames[20:]), Settings())
    assert len(between) == 40 + held and "in between (0." in between.notes[0]


def test_a_cut_under_a_caption_that_stays_is_found() -> None:
    frames = smooth(3, 12) + smooth(4, 12)
    for frame in frames:
        cv2.putText(frame, "PART ONE OF THE STORY", (20, 250), cv2.FONT_HERSHEY_DUPLEX, 1.1, (255, 255, 255), 2)
    thumbs = [cv2.resize(f, (256, 144), interpolation=cv2.INTER_AREA) for f in frames]
    assert find_cuts(thumbs) == [12]


@pytest.mark.parametrize("speed", [0.0, 0.5])
def test_a_dissolve_is_found_and_the_longest_shot_used(tmp_path: Path, speed: float) -> None:
    a, b, length = smooth(5, 45, speed), smooth(6, 70, speed), 18
    mixed = [
        np.round((1 - t) * x + t * y).astype(np.uint8)
        for t, x, y in zip(np.linspace(0.05, 0.95, length), a[-length:], b, strict=False)
    ]
    clip = load_clip(encode(tmp_path / "dissolve.mp4", a[:-length] + mixed + b[length:]), Settings())
    assert clip.start >= 45 / 30 - 0.07 and len(clip) >= 40
    assert "gradual change of scene" in clip.notes[0]


def test_a_fade_through_black_is_found() -> None:
    a, b = smooth(7, 30), smooth(8, 30)
    dark = np.linspace(1, 0, 12)
    out = [np.round(k * f).astype(np.uint8) for k, f in zip(dark, a[-12:], strict=True)]
    back = [np.round(k * f).astype(np.uint8) for k, f in zip(dark[::-1], b[:12], strict=True)]
    thumbs = [cv2.resize(f, (256, 144), interpolation=cv2.INTER_AREA) for f in a[:-12] + out + back + b[12:]]
    ((first, end),) = find_transitions(thumbs, np.arange(len(thumbs)) / 30)
    assert 16 <= first <= 27 and 33 <= end <= 44


def test_a_wipe_is_found() -> None:
    a, b = smooth(9, 40, 0.3), [np.clip(f.astype(int) + 70, 0, 255).astype(np.uint8) for f in smooth(10, 40, 0.3)]
    frames = list(a[:15])
    for i in range(15):
        at = round((i + 0.5) / 15 * SIZE[0])
        frames.append(np.concatenate([b[i][:, :at], a[15 + i][:, at:]], axis=1))
    frames += b[15:35]
    thumbs = [cv2.resize(f, (256, 144), interpolation=cv2.INTER_AREA) for f in frames]
    ((first, end),) = find_transitions(thumbs, np.arange(len(thumbs)) / 30)
    assert 12 <= first <= 17 and 28 <= end <= 33


def test_what_is_left_out_beside_a_change_grows_with_it_to_a_limit() -> None:
    times = np.arange(200) / 30
    assert soft_ends([(50, 60), (150, 190)], times) == [(45, 65), (141, 199)]  # half of 10 frames; 0.3 s are 9
    assert soft_ends([(2, 12), (16, 20), (190, 199)], times) == [(0, 22), (186, 200)]


def test_an_iris_that_opens_on_another_scene_is_found() -> None:
    a, b = smooth(16, 60, 0.3), [np.clip(f.astype(int) + 60, 0, 255).astype(np.uint8) for f in smooth(17, 60, 0.3)]
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    radius = np.hypot(x - SIZE[0] / 2, y - SIZE[1] / 2)
    frames = list(a[:22])
    open_ = [(radius < (i + 1) / 15 * radius.max())[..., None] for i in range(15)]
    frames += [np.where(seen, b[i], a[22 + i]) for i, seen in enumerate(open_)]
    frames += b[15:40]
    thumbs = [cv2.resize(f, (256, 144), interpolation=cv2.INTER_AREA) for f in frames]
    ((first, end),) = find_transitions(thumbs, np.arange(len(thumbs)) / 30)
    assert 14 <= first <= 26 and 32 <= end <= 45


@pytest.mark.parametrize("speed", [0.5, 3.0, 12.0])
def test_a_camera_that_pans_makes_no_transition(speed: float) -> None:
    thumbs = [cv2.resize(f, (256, 144), interpolation=cv2.INTER_AREA) for f in smooth(11, 60, speed)]
    assert find_transitions(thumbs, np.arange(60) / 30) == []


def test_a_logo_on_a_moving_picture_is_masked_and_a_plain_pan_has_none(tmp_path: Path) -> None:
    frames = smooth(12, 40, 4.0)
    plain = load_clip(encode(tmp_path / "plain.mp4", frames), Settings())
    assert plain.overlay is None and plain.notes == ()
    for frame in frames:
        cv2.putText(frame, "@somebody", (300, 40), cv2.FONT_HERSHEY_DUPLEX, 0.9, (255, 255, 255), 2)
    clip = load_clip(encode(tmp_path / "logo.mp4", frames), Settings())
    assert clip.overlay is not None and "stays in the image" in clip.notes[0]
    mask = cv2.resize(clip.overlay.astype(np.uint8), SIZE)
    assert mask[18:45, 305:440].mean() > 0.8 and mask[80:].mean() < 0.01
    people = People((), np.zeros((40, 27, 48), np.uint8))
    assert (without_overlay(people, clip.overlay).labels[:, 2:4, 32:43] == 255).mean() > 0.8


def test_blank_ends_are_left_out_and_a_blank_clip_stays(tmp_path: Path) -> None:
    frames = smooth(19, 30)
    black = [np.zeros_like(frames[0])] * 10
    clip = load_clip(encode(tmp_path / "ends.mp4", black + frames + black), Settings())
    assert len(clip) == pytest.approx(30, abs=2) and clip.start == pytest.approx(10 / 30, abs=0.04)
    assert "black" in clip.notes[0] and len(clip.notes) == 1
    assert len(load_clip(encode(tmp_path / "blank.mp4", black), Settings())) == 10


def test_the_same_scene_cut_closer_is_a_cut_and_a_zoom_is_none() -> None:
    thumbs = [cv2.resize(f, (256, 144), interpolation=cv2.INTER_AREA) for f in smooth(20, 24, 0.5)]

    def closer(picture: np.ndarray, times: float) -> np.ndarray:
        cut = cv2.getRectSubPix(picture, (round(256 / times), round(144 / times)), (128, 72))
        return cv2.resize(cut, (256, 144))

    assert find_cuts(thumbs[:12] + [closer(t, 1.5) for t in thumbs[12:]]) == [12]
    assert find_cuts([closer(t, 1.06**k) for k, t in enumerate(thumbs[:12])]) == []


def test_a_closer_part_of_the_same_picture_is_a_cut_and_a_camera_that_goes_forward_makes_none() -> None:
    """Ten per cent closer from one frame to the next, while the camera pans; and the same growth over ten frames."""
    thumbs = [cv2.resize(f, (256, 144), interpolation=cv2.INTER_AREA) for f in smooth(20, 24, 2.0)]

    def closer(picture: np.ndarray, times: float) -> np.ndarray:
        return cv2.warpAffine(picture, cv2.getRotationMatrix2D((128, 72), 0, times), (256, 144), flags=cv2.INTER_CUBIC)

    times = np.arange(24) / 30
    assert find_jumps(thumbs[:12] + [closer(t, 1.1) for t in thumbs[12:]], times) == [12]
    assert find_jumps([closer(t, 1.1) for t in thumbs[:12]] + thumbs[12:], times) == [12]
    assert find_jumps([closer(t, 1.01 ** min(max(k - 7, 0), 10)) for k, t in enumerate(thumbs)], times) == []


def test_interlaced_pictures_show_one_moment(tmp_path: Path) -> None:
    """Two fields, a moment apart, are woven into each frame: lines next to each other differ more than every other."""
    film = smooth(21, 24, 9.0)
    woven = [a.copy() for a in film[::2]]
    for frame, later in zip(woven, film[1::2], strict=True):
        frame[1::2] = later[1::2]
    interlaced = av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
    path = encode(tmp_path / "fields.mpg", woven, "mpeg2video", fps=25, flags=interlaced)
    rows = load_clip(path, Settings()).frame(6).astype(float)
    assert ((rows[1:-1] - rows[:-2]) ** 2).mean() < ((rows[2:] - rows[:-2]) ** 2).mean()


def _woven(film: list[np.ndarray], odd_first: bool) -> list[np.ndarray]:
    """Two frames each, the lines of one between those of the other."""
    out = []
    for first, later in zip(film[::2], film[1::2], strict=True):
        even, odd = (later, first) if odd_first else (first, later)
        frame = even.copy()
        frame[1::2] = odd[1::2]
        out.append(frame)
    return out


@pytest.mark.parametrize("odd_first", [False, True])
def test_interlaced_pictures_are_told_by_their_combs(tmp_path: Path, odd_first: bool) -> None:
    path = encode(tmp_path / "fields.mp4", _woven(smooth(21, 40, 9.0), odd_first), fps=25)
    clip = load_clip(path, Settings())
    for t in range(2, len(clip)):
        rows = clip.frame(t).astype(float)
        assert ((rows[1:-1] - rows[:-2]) ** 2).mean() < ((rows[2:] - rows[:-2]) ** 2).mean()


@pytest.mark.parametrize("speed", [0.0, 1.0, 2.5])
def test_stripes_that_move_are_no_combs(speed: float) -> None:
    """A shirt with stripes a line wide looks like combs, and goes down the picture by so many lines a frame."""
    rng = np.random.default_rng(0)
    shirt = (128 + 60 * np.cos(np.pi * np.arange(400)))[:, None] + rng.normal(0, 20, (400, 96))
    frames = []
    for t in range(8):
        frame = np.full((270, 96), 120.0, np.float32)
        at = 20 + round(speed * t)
        frame[at : at + 120, 20 + 4 * t : 60 + 4 * t] = shirt[:120, :40]
        frames.append(frame)
    assert not any(has_combs(*frames[t : t + 3]) for t in range(6))


def test_damage_inside_a_file_is_said(tmp_path: Path) -> None:
    path = encode(tmp_path / "whole.mp4", smooth(22, 40))
    data = path.read_bytes()
    assert load_clip(path, Settings()).notes == ()
    begin = len(data) // 2
    path.write_bytes(data[:begin] + bytes(len(data) // 10) + data[begin + len(data) // 10 :])
    clip = load_clip(path, Settings())
    assert len(clip) > 25 and "damaged" in clip.notes[0]


def test_the_middle_of_a_zoom_is_no_overlay(tmp_path: Path) -> None:
    height, width = SIZE[1], SIZE[0]
    wide = smooth(5, 1)[0]
    zoom = [
        cv2.warpAffine(wide, cv2.getRotationMatrix2D((width / 2, height / 2), 0, 1 + k / 60), SIZE) for k in range(30)
    ]
    plain = load_clip(encode(tmp_path / "zoom.mp4", zoom), Settings())
    assert plain.overlay is None
    marked = [frame.copy() for frame in zoom]
    for frame in marked:
        cv2.putText(frame, "logo", (8, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 3)
    clip = load_clip(encode(tmp_path / "marked.mp4", marked), Settings())
    assert clip.overlay is not None
    mask = cv2.resize(clip.overlay.astype(np.uint8), SIZE)
    assert mask[: height // 4, : width // 3].any() and not mask[height // 3 :].any()


def test_a_still_camera_has_no_overlay() -> None:
    assert find_overlay(load_clip(REAL, Settings())) is None


def test_two_films_in_one_picture_are_refused(tmp_path: Path) -> None:
    left, right = smooth(13, 12, 1.0), smooth(14, 12, 2.0)
    half = SIZE[0] // 2
    both = [np.concatenate([a[:, :half], b[:, :half]], axis=1) for a, b in zip(left, right, strict=True)]
    with pytest.raises(ClipError, match="split"):
        load_clip(encode(tmp_path / "split.mp4", both), Settings())
    assert not is_split(left)


def test_films_with_a_bar_between_are_two_and_a_stripe_that_somebody_crosses_is_none() -> None:
    bar = np.full((10, SIZE[0], 3), 240, np.uint8)
    frames = [np.concatenate([a, bar, b]) for a, b in zip(smooth(21, 6), smooth(22, 6), strict=True)]
    assert is_split(frames)
    for k, frame in enumerate(frames):
        frame[100:360, 60 + 30 * k : 110 + 30 * k] = 40
    assert not is_split(frames)


def test_an_edge_over_half_of_a_still_picture_is_no_split() -> None:
    """Something dark beside something bright on a wall, over a floor that goes on: one picture."""
    rng = np.random.default_rng(0)
    here, there = (cv2.GaussianBlur(rng.uniform(0, 255, (270, 480)), (0, 0), 3) for _ in range(2))
    here, there = (np.clip((x - x.mean()) / x.std() * 40 + 120, 0, 255) for x in (here, there))
    edge, split = here.copy(), here.copy()
    edge[:150, 240:] = 240 - here[:150, 240:]
    split[:, 240:] = there[:, 240:]
    colour = [np.repeat(picture.astype(np.uint8)[..., None], 3, 2) for picture in (edge, split)]
    assert [is_split([frame] * 6) for frame in colour] == [False, True]


def test_a_picture_and_its_mirror_image_are_told() -> None:
    frames = smooth(2, 6)
    half = [frame[:, : frame.shape[1] // 2] for frame in frames]
    rng = np.random.default_rng(0)
    both = [np.hstack([h, h[:, ::-1]]).astype(float) + rng.normal(0, 1, (*frames[0].shape[:2], 1)) for h in half]
    assert is_mirrored([np.clip(image, 0, 255).astype(np.uint8) for image in both])
    assert is_mirrored([np.vstack([h, h[::-1]]) for h in half]) and not is_mirrored(frames)
    plain = [np.full_like(frame, 128) for frame in frames]
    for k, frame in enumerate(plain):
        cv2.rectangle(frame, (40 + 9 * k, 60), (90 + 9 * k, 180), (200, 40, 40), -1)
    assert not is_mirrored(plain)


def test_a_stereo_film_is_told_and_somebody_before_a_wall_of_equal_windows_is_none(tmp_path: Path) -> None:
    """Both halves show the same, what is near farther aside; windows are there twice, who walks by them is not."""

    def seen(shift: int, k: int) -> np.ndarray:
        frame = smooth(26, 1)[0][:, 20 + shift : 260 + shift].copy()
        frame[120:250, 40 + 9 * k + 2 * shift : 70 + 9 * k + 2 * shift] = smooth(27, 1)[0][:130, :30]
        return frame

    stereo = [np.hstack([seen(0, k), seen(5, k)]) for k in range(12)]
    assert is_doubled(stereo) and is_doubled([np.vstack([f[:, :240], f[:, :240]]) for f in stereo])
    with pytest.raises(ClipError, match="same twice"):
        load_clip(encode(tmp_path / "stereo.mp4", stereo), Settings())
    windows = [np.tile(smooth(28, 1)[0][:, :60], (1, 8, 1)) for _ in range(6)]
    for k, frame in enumerate(windows):
        frame[60:250, 300 + 20 * k : 340 + 20 * k] = smooth(29, 1)[0][:190, :40]
    assert not is_doubled(windows) and not is_doubled(smooth(30, 6))


def test_a_plain_wall_beside_a_garden_is_split_and_a_shadow_is_not() -> None:
    wall = [np.full((SIZE[1], SIZE[0], 3), 190, np.uint8) for _ in range(6)]
    for t, frame in enumerate(wall):
        frame[:, :, :] += (np.linspace(0, 30, SIZE[1])[:, None, None]).astype(np.uint8)
        cv2.circle(frame, (360 + 3 * t, 150), 40, (180, 30, 60), -1)
    half = SIZE[0] // 2
    garden = [cv2.blur(f, (5, 5)) for f in smooth(15, 6, 0.3)]
    both = [np.concatenate([a[:, :half], b[:, half:]], axis=1) for a, b in zip(garden, wall, strict=True)]
    assert is_split(both)
    shadow = [frame.copy() for frame in garden]
    for frame in shadow:
        frame[:, :half] = frame[:, :half] // 2
    assert not is_split(shadow) and not is_split(garden)


@pytest.mark.parametrize(("speed", "split"), [(0.0, False), (20.0, True)])
def test_a_post_near_the_side_of_a_still_picture_is_no_split(speed: float, split: bool) -> None:
    """From top to bottom just at a quarter of the width; where the picture moves beside it, the line is printed on."""
    frames, post = smooth(25, 6, speed), smooth(26, 1)[0]
    for frame in frames:
        frame[:, : SIZE[0] // 4] = 255 - post[:, : SIZE[0] // 4] // 2
    assert is_split(frames) == split


def test_a_chequered_board_on_a_plain_wall_is_no_split() -> None:
    """Its edges stand where editors put lines, and the wall above and below it has no detail to tell by."""
    frames = [np.full((SIZE[1], SIZE[0], 3), 150, np.uint8) for _ in range(6)]
    board = np.kron(np.indices((8, 10)).sum(0) % 2, np.ones((8, 16)))
    for k, frame in enumerate(frames):
        frame[160:224, 160:320] = np.where(board[..., None] > 0, 230, 40)
        cv2.circle(frame, (60 + 20 * k, 60), 12, (200, 60, 60), -1)
    assert not is_split(frames)


def test_a_level_horizon_is_no_split() -> None:
    """Sky over a sea on a tripod, the line straight and just in the middle."""
    frames = smooth(18, 6, 0.5)
    for frame in frames:
        frame[: SIZE[1] // 2] = np.clip(170 + (frame[: SIZE[1] // 2] * 0.15), 0, 255)
        frame[SIZE[1] // 2 :] = frame[SIZE[1] // 2 :] * 0.2
    assert not is_split(frames)


def test_a_small_film_in_a_corner_is_found_and_nothing_in_a_plain_pan() -> None:
    wide, small = smooth(19, 6, 2.0), smooth(20, 6, 6.0)
    assert find_inset(wide) is None
    for frame, inner in zip(wide, small, strict=True):
        frame[20:140, 330:460] = 150 + inner[:120, :130] // 3
    found = find_inset(wide)
    assert found is not None and np.abs(np.array(found) - [330, 20, 460, 140]).max() <= 2


def test_a_still_picture_on_a_wall_is_no_film() -> None:
    still = smooth(22, 1)[0]
    room = [smooth(21, 1)[0] for _ in range(6)]
    for t, frame in enumerate(room):
        frame[20:140, 330:460] = 150 + still[:120, :130] // 3
        frame[200:240, 20 + 8 * t : 50 + 8 * t] = 255
    assert find_inset(room) is None


def test_a_window_that_somebody_walks_past_is_no_film() -> None:
    room = [np.full((270, 480, 3), 120, np.uint8) for _ in range(6)]
    for k, frame in enumerate(room):
        frame[20:140, 300:420] = 170
        if k > 1:  # in the first frames nobody is there
            frame[60:200, 220 + 30 * k : 250 + 30 * k] = 40
    assert find_inset(room) is None


@pytest.mark.parametrize(("box", "film"), [((300, 20, 440, 60), False), ((60, 100, 200, 220), True)])
def test_what_is_left_out_as_a_logo_is_no_film(
    box: tuple[int, ...], film: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = smooth(24, 40, 4.0)
    for frame in frames:
        for line in (34, 54):
            cv2.putText(frame, "CHANNEL", (304, line), cv2.FONT_HERSHEY_DUPLEX, 0.8, (255, 255, 255), 2)
    monkeypatch.setattr(load, "find_inset", lambda _: box)
    clip = load_clip(encode(tmp_path / "logo.mp4", frames), Settings())
    assert clip.overlay is not None and (clip.inset is not None) == film


def test_who_is_in_the_small_film_is_left_out(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", smooth(1, 12))
    clip = replace(load_clip(path, Settings()), inset=(300, 20, 460, 140))
    outer, inner = (_track(i, box) for i, box in enumerate(((320.0, 30, 360, 130), (40.0, 30, 90, 200))))
    labels = np.zeros((12, 27, 48), np.uint8)
    labels[:, 3:13, 32:36], labels[:, 3:20, 4:9] = 1, 2
    people = outside_inset(People((outer, inner), labels), clip)
    assert [track.id for track in people.tracks] == [0] and people.tracks[0].boxes[0, 0] == 40
    assert set(np.unique(people.labels[:, :, :20])) == {0, 1} and (people.labels[:, 3:13, 32:44] == 255).all()
    with pytest.raises(ClipError, match="outside"):
        outside_inset(People((outer,), labels), clip)


def test_who_stands_in_what_stays_in_the_image_is_left_out(tmp_path: Path) -> None:
    overlay = np.zeros((27, 48), np.bool_)
    overlay[2:14, 30:46] = True
    clip = replace(load_clip(encode(tmp_path / "clip.mp4", smooth(1, 12)), Settings()), overlay=overlay)
    inner, outer = (_track(i, box) for i, box in enumerate(((320.0, 30, 360, 130), (40.0, 30, 90, 200))))
    labels = np.zeros((12, 27, 48), np.uint8)
    labels[:, 3:13, 32:36], labels[:, 3:20, 4:9] = 1, 2
    people, notes = without_inset_people(People((inner, outer), labels), clip)
    assert [track.id for track in people.tracks] == [0] and people.tracks[0].boxes[0, 0] == 40
    assert "One person is left out" in notes[0]
    assert set(np.unique(people.labels[:, :, :20])) == {0, 1} and (people.labels[:, 2:14, 30:46] == 255).all()
    alone, said = without_inset_people(People((inner,), labels), clip)
    assert len(alone.tracks) == 1 and said == ()


@pytest.mark.parametrize("soft", [1.0, 12.0, None])
def test_who_is_in_a_round_film_is_left_out(tmp_path: Path, soft: float | None) -> None:
    """With a sharp and with a soft edge; where there is none, nobody is."""
    main, other = smooth(31, 12, 0.5), [cv2.add(frame, (60.0, 60, 60, 0)) for frame in smooth(32, 12, 2.0)]
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    share = np.clip((66 - np.hypot(x - 360, y - 90)) / (soft or 1), 0, 1)[..., None] * (soft is not None)
    frames = [np.round(a + share * (b.astype(float) - a)).astype(np.uint8) for a, b in zip(main, other, strict=True)]
    labels = np.zeros((12, 27, 48), np.uint8)
    labels[:, 5:13, 34:38], labels[:, 14:24, 4:8] = 1, 2
    inner, outer = _track(0, (340.0, 50, 380, 130)), _track(1, (40.0, 140, 80, 240))
    clip = replace(load_clip(encode(tmp_path / "clip.mp4", frames), Settings()), overlay=None, inset=None)
    people, notes = without_inset_people(People((inner, outer), labels), clip)
    if soft is None:
        assert len(people.tracks) == 2 and notes == ()
        return
    assert len(people.tracks) == 1 and people.tracks[0].boxes[0, 0] == 40
    assert "round picture" in notes[0] and (people.labels[:, 6:12, 32:40] == 255).all()
    alone, said = without_inset_people(People((inner,), np.where(labels == 1, labels, 0)), clip)
    assert len(alone.tracks) == 1 and "everybody" in said[0]


def _track(number: int, box: tuple[float, ...]) -> Track:
    return Track(
        number,
        np.arange(12),
        np.tile(np.array(box), (12, 1)),
        np.zeros((12, 33, 2)),
        np.ones((12, 33)),
        np.zeros((12, 33, 3)),
        np.ones(12, bool),
    )


@pytest.mark.parametrize("way", ["held", "panned over", "zoomed into"])
def test_a_still_picture_is_said_and_a_film_with_one_small_motion_is_none(tmp_path: Path, way: str) -> None:
    photo, film = smooth(27, 1)[0], []
    for k in range(40):
        scale = 1 + k / 160 if way == "zoomed into" else 1.2
        at = (SIZE[0] / 2 + (k if way == "panned over" else 0), SIZE[1] / 2)
        move = cv2.getRotationMatrix2D(at, 0, scale)
        film.append(cv2.warpAffine(photo, move, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))
    clip = still_picture.marked(load_clip(encode(tmp_path / "photo.mp4", film), Settings()))
    assert clip.still and "still picture" in clip.notes[-1]
    for k, frame in enumerate(film):
        cv2.circle(frame, (200, 100 + k), 9, (250, 40, 40), -1)
    assert not still_picture.marked(load_clip(encode(tmp_path / "film.mp4", film), Settings())).still


def test_stills_one_after_the_other_count_once(tmp_path: Path) -> None:
    film = smooth(5, 80, 6.0)
    held = [film[k - k % 8] for k in range(80)]
    clip = load_clip(encode(tmp_path / "held.mp4", held), Settings())
    assert len(clip) == 10 and "repeat" in clip.notes[0]
    np.testing.assert_allclose(clip.times, np.arange(10) * 8 / 30, atol=2e-3)
    with pytest.raises(ClipError, match="Only 5 frames"):
        load_clip(encode(tmp_path / "few.mp4", held[:40]), Settings())
    assert load_clip(encode(tmp_path / "film.mp4", film[:24]), Settings()).notes == ()
    assert len(load_clip(encode(tmp_path / "still.mp4", film[:1] * 24), Settings())) == 24
