"""From a clip to the network and back: image sizes, boxes, pairs, feature reuse, several people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from josh_core.errors import Cancelled, ReconstructionError
from josh_core.hub.josh3r_pairs import plan_pairs, read_pairs
from josh_core.hub.josh3r_run import ask_josh3r
from josh_core.networks import device
from josh_core.networks.focal import agree_on_focal, focal_from_points
from josh_core.networks.frames import CENTRE_HALF, LONGEST, NetworkCrop, crop_of, network_frame, network_images
from josh_core.networks.josh3r import Josh3r
from josh_core.networks.pairs import PassCount, decode_pairs
from josh_core.progress import Progress
from josh_core.settings import Settings
from tests.hub.worlds import make_clip, make_people, make_track
from tests.tolerance import assert_same

CPU = torch.device("cpu")
SMALL = NetworkCrop(64, 48)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1280, 720, (512, 288)),
        (720, 1280, (288, 512)),
        (640, 480, (512, 384)),
        (486, 864, (288, 512)),
        (256, 144, (512, 288)),  # smaller clips are enlarged
        (1000, 1000, (512, 512)),
        (1280, 30, (512, 16)),  # never narrower than one token
    ],
)
def test_network_sizes_are_multiples_of_16(width: int, height: int, expected: tuple[int, int]) -> None:
    clip = make_clip(1, width, height)
    crop = crop_of(clip)
    assert (crop.width, crop.height) == expected
    assert network_frame(clip, 0, crop).shape == (expected[1], expected[0], 3)
    assert max(expected) == LONGEST


def test_images_are_rgb_between_minus_one_and_one() -> None:
    frames = np.zeros((1, 48, 64, 3), np.uint8)
    frames[..., 0] = 255
    images = network_images(frames, SMALL, CPU)
    assert images.shape == (1, 3, 48, 64)
    assert images[0, :, 5, 5].tolist() == [1, -1, -1]


def test_centre_half_is_enlarged() -> None:
    frames = np.zeros((1, 48, 64, 3), np.uint8)
    frames[:, 12:36, 16:48] = 255
    images = network_images(frames, replace(SMALL, window=CENTRE_HALF), CPU)
    assert images.shape == (1, 3, 48, 64)
    assert (images == 1).all()


def test_boxes_and_pixels_agree_for_any_window() -> None:
    """A box drawn around a pixel of the network's image, in px of the frame, has that pixel's shares of the crop."""
    clip = make_clip(1, 650, 360)
    for window in ((0.0, 0.0, 1.0, 1.0), CENTRE_HALF):
        crop = crop_of(clip, window)
        centre = crop.pixels(clip.width, clip.height)[100, 200] + [clip.width / 2, clip.height / 2]
        box = np.concatenate([centre, centre])
        x, y = 200.5 / crop.width, 100.5 / crop.height
        assert crop.boxes(box, clip) == pytest.approx([x, y, x, y])


@pytest.mark.parametrize("window", [(0.0, 0.0, 1.0, 1.0), CENTRE_HALF])
def test_values_go_back_to_the_pixels_they_came_from(window: tuple[float, float, float, float]) -> None:
    """Pixel coordinates, carried to an image of the whole frame, are those of its own pixels."""
    crop = NetworkCrop(64, 48, window)
    x, y = np.moveaxis(crop.pixels(448, 252), -1, 0) + np.array([224, 126])[:, None, None]
    whole = crop.on_whole_frame(np.stack([x, y]), 448, 252)
    want = np.stack(np.meshgrid(np.arange(448) + 0.5, np.arange(252) + 0.5))
    x1, y1, x2, y2 = window
    inside = (want[0] > 448 * x1) & (want[0] < 448 * x2) & (want[1] > 252 * y1) & (want[1] < 252 * y2)
    assert (whole[:, ~inside] == 0).all()
    half_a_pixel = np.array([448 * (x2 - x1) / 64, 252 * (y2 - y1) / 48]) / 2
    assert (np.abs(whole - want)[:, inside] <= half_a_pixel[:, None] + 1e-9).all()


@pytest.mark.parametrize(("fps", "gap"), [(30, 3), (24, 2), (60, 6), (5, 1)])
def test_pairs_are_a_tenth_of_a_second_apart(fps: float, gap: int) -> None:
    clip = make_clip(20, 640, 360, fps)
    people = make_people(clip, [make_track(0, np.arange(20), np.array([250, 100, 400, 300]))])
    keyframes = plan_pairs(clip, people).keyframes
    assert keyframes[:2].tolist() == [0, gap]
    assert keyframes[-1] == 19


def test_plan_takes_everybody_where_they_are_seen() -> None:
    """A gap, an entry in the middle, and a person at the edge of the frame whom the middle half does not show."""
    clip = make_clip(31, 640, 360)
    middle, edge = np.array([250, 100, 400, 300]), np.array([600, 100, 700, 300])
    spans = (np.r_[0:10, 17:31], np.arange(12, 25), np.arange(31))
    tracks = [
        make_track(k, frames, box) for k, (frames, box) in enumerate(zip(spans, (middle, middle, edge), strict=True))
    ]
    plan = plan_pairs(clip, make_people(clip, tracks))
    assert plan.crop.window == CENTRE_HALF
    pairs = [plan.row_pair[plan.row_person == k].tolist() for k in range(3)]
    assert pairs == [[0, 1, 2, 6, 7, 8, 9], [4, 5, 6, 7], []]
    assert (np.diff(plan.row_pair) >= 0).all()


def test_the_whole_frame_is_shown_when_the_best_person_is_at_its_edge() -> None:
    clip = make_clip(7, 640, 360)
    people = make_people(clip, [make_track(0, np.arange(7), np.array([20, 100, 120, 300]))])
    plan = plan_pairs(clip, people)
    assert plan.crop.window == (0, 0, 1, 1)
    assert len(plan.row_pair) == 2


@pytest.mark.parametrize("frames", [1, 2])
def test_very_short_clips_have_a_plan(frames: int) -> None:
    clip = make_clip(frames, 640, 360)
    people = make_people(clip, [make_track(0, np.arange(frames), np.array([250, 100, 400, 300]))])
    plan = plan_pairs(clip, people)
    assert len(plan.row_pair) == len(plan.depth_pairs) == frames - 1


def test_a_hundred_frames_cost_34_images_and_33_pairs(tiny: Josh3r) -> None:
    clip = make_clip(100, 64, 48)
    people = make_people(clip, [make_track(0, np.arange(100), np.array([25, 10, 40, 40]))])
    plan = replace(plan_pairs(clip, people), crop=SMALL, depth_pairs=np.zeros(0, np.int64))
    motions = read_pairs(clip, plan, tiny, Progress())
    assert motions.passes.tolist() == [[34, 33]]
    assert motions.rel_rot.shape == (33, 6)
    assert motions.depth.shape == (0, 48, 64)


def test_features_are_encoded_once_and_released() -> None:
    """Every frame enters the encoder once, whatever the pairs; a frame is dropped after its last pair."""

    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.alive: list[torch.Tensor] = []

        def encode(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((1, 2, 3))[:, None, None]

        def decode(self, first: torch.Tensor, second: torch.Tensor, grid: tuple[int, int]) -> tuple[list, list]:
            return [first], [second]

    frames = (np.arange(5, dtype=np.uint8) * 50)[:, None, None, None] + np.zeros((5, 48, 64, 3), np.uint8)
    pairs = np.array([[0, 1], [0, 2], [1, 2], [4, 0], [3, 4]])
    count = PassCount()
    decoded = list(decode_pairs(Counting(), frames, pairs, SMALL, count))  # type: ignore[arg-type]
    assert (count.encoder, count.decoder) == (5, 5)
    seen = np.array([[float(d.tokens1[0]), float(d.tokens2[0])] for d in decoded])
    assert np.abs((seen + 1) * 127.5 / 50 - pairs).max() < 1e-5


@pytest.fixture(scope="module")
def two_people() -> tuple:
    clip = make_clip(8, 64, 48)
    tracks = [
        make_track(0, np.arange(8), np.array([20, 10, 40, 40])),
        make_track(1, np.arange(3, 8), np.array([35, 15, 50, 50])),
    ]
    people = make_people(clip, tracks)
    return clip, people, replace(plan_pairs(clip, people), crop=SMALL)


def test_answers_do_not_depend_on_batches(tiny: Josh3r, two_people: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows at once, pair by pair, and one direct call of the network are the same."""
    clip, _, plan = two_people
    one = read_pairs(clip, plan, tiny, Progress())
    monkeypatch.setattr("josh_core.networks.pairs.pairs_at_once", lambda device, pixels: 2)
    monkeypatch.setattr("josh_core.hub.josh3r_pairs.PAIRS_PER_CALL", 3)
    several = read_pairs(clip, plan, tiny, Progress())
    for name in ("rel_rot", "rel_trans", "trans", "scale", "depth", "confidence", "focal"):
        assert_same(getattr(one, name), getattr(several, name), name)
    row = int(np.flatnonzero(plan.row_person == 1)[-1])
    pair = plan.keyframes[plan.row_pair[row] :][:2]
    frames = np.stack([network_frame(clip, int(f), SMALL) for f in pair])
    with torch.inference_mode():
        tokens = tiny.mast3r.encode(network_images(frames, SMALL, CPU))
        last1, last2 = (layers[-1] for layers in tiny.mast3r.decode(tokens[:1], tokens[1:], SMALL.grid))
        direct = tiny.motion(last1, last2, torch.from_numpy(plan.row_boxes[row : row + 1]), SMALL.grid)
    assert_same(one.trans[row], torch.cat([direct.trans1, direct.trans2]).numpy().reshape(one.trans[row].shape))
    assert_same(one.rel_rot[row], direct.rel_rot.numpy()[0])
    other = int(np.flatnonzero((plan.row_person == 0) & (plan.row_pair == plan.row_pair[row]))[0])
    assert np.abs(one.trans[row] - one.trans[other]).max() > 1e-4


def test_reading_can_be_cancelled(tiny: Josh3r, two_people: tuple) -> None:
    clip, _, plan = two_people
    asked = iter([False, True])
    with pytest.raises(Cancelled):
        read_pairs(clip, plan, tiny, Progress(cancelled=lambda: next(asked)))


def test_half_precision_is_close_and_finite(tiny: Josh3r) -> None:
    """bfloat16 as on CUDA, run on the CPU: the heads stay in float32."""
    clip = make_clip(2, 64, 48)
    frames = np.stack([network_frame(clip, t, SMALL) for t in (0, 1)])
    pairs = np.array([[0, 1]])
    exact = next(decode_pairs(tiny.mast3r, frames, pairs, SMALL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("josh_core.networks.pairs.half_precision", lambda device: torch.autocast("cpu", torch.bfloat16))
        half = next(decode_pairs(tiny.mast3r, frames, pairs, SMALL))
    assert half.tokens1[-1].dtype == torch.float32
    difference = (half.tokens1[-1] - exact.tokens1[-1]).abs().max()
    assert 1e-4 < difference < 0.3  # of tokens with unit variance


# Focal


def test_focal_of_a_pointmap_is_found_despite_outliers() -> None:
    crop = NetworkCrop(64, 48)
    pixels = torch.from_numpy(crop.pixels(640, 480))
    random = torch.Generator().manual_seed(0)
    depth = 2 + torch.rand(2, 48, 64, generator=random, dtype=torch.float64)
    focal = torch.tensor([500.0, 900.0])
    points = torch.cat([pixels * (depth / focal[:, None, None])[..., None], depth[..., None]], -1)
    points[:, :10] += torch.randn(2, 10, 64, 3, generator=random)
    points[:, 10, :, 2] *= -1  # behind the camera
    found = focal_from_points(points, torch.ones(2, 48, 64), pixels)
    assert found.tolist() == pytest.approx([500, 900], rel=0.02)


def test_focal_of_nothing_is_nan_and_then_a_guess() -> None:
    pixels = torch.from_numpy(SMALL.pixels(640, 480))
    found = focal_from_points(-torch.ones(1, 48, 64, 3), torch.ones(1, 48, 64), pixels)
    assert found.isnan().all()
    assert agree_on_focal(found.numpy(), 640, 480, None) == (768.0, 0.3)
    assert agree_on_focal(np.array([700.0, 710, np.nan, 90000]), 640, 480, None)[0] == pytest.approx(705, abs=0.1)
    assert agree_on_focal(np.array([700.0]), 640, 480, 500.0) == (500.0, 0.0)


def test_answers_of_a_clip(tiny: Josh3r, two_people: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, people, _ = two_people
    monkeypatch.setattr("josh_core.networks.frames.LONGEST", 64)
    answers = ask_josh3r(clip, people, tiny, Settings(focal_px=80.0))
    assert (answers.focal, answers.focal_sigma) == (80.0, 0.0)
    assert len(answers.motions.trans) == len(answers.plan.row_pair) > 0
    camera = answers.standing_camera(clip)
    assert (len(camera.world_from_cam), camera.focal) == (8, 80.0)


def test_nobody_to_follow_is_reported(tiny: Josh3r, two_people: tuple) -> None:
    clip, people, _ = two_people
    with pytest.raises(ReconstructionError, match="nobody was found"):
        ask_josh3r(clip, replace(people, tracks=()), tiny, Settings())


# Where networks run


def test_duration_grows_with_the_work_and_is_bounded() -> None:
    short, long = device.gpu_seconds(34, 33, 1), device.gpu_seconds(34, 33, 4)
    assert device.START_SECONDS < short < long < 20
    assert device.gpu_seconds(60, 1100) == pytest.approx(122.4)
    assert device.gpu_seconds(10**6, 10**6) == device.LONGEST_SECONDS


def test_decorator_changes_nothing_without_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "spaces", None)  # import raises ImportError

    def compute(n: int):
        yield from range(n)

    assert device.on_gpu(float)(compute) is compute


def test_decorator_asks_spaces_for_the_work_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    asked: list[int] = []

    def gpu_decorator(duration):
        def decorate(compute):
            def wrapped(*args):
                asked.append(duration(*args))
                return compute(*args)

            return wrapped

        return decorate

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu_decorator))

    @device.on_gpu(lambda n: 2.6 * n)
    def compute(n: int):
        yield from range(n)

    assert list(compute(3)) == [0, 1, 2]
    assert asked == [8]


def test_batches_fit_into_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 * 2**30, 16 * 2**30))
    cuda = torch.device("cuda")
    assert device.pairs_at_once(cuda, 512 * 288) == int(0.6 * 8 * 2**30 / (device.BYTES_PER_PIXEL * 512 * 288))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**20, 2**34))
    assert device.pairs_at_once(cuda, 512 * 288) == 1
    assert device.pairs_at_once(CPU, 512 * 288) == 1
