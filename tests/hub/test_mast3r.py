"""MASt3R as scene start: matching, merging, placing of keyframes against a scene with known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.rule_weights import TINY_ARCHITECTURE, fill_by_rule
from josh_core.geometry import (
    intrinsics,
    invert,
    project,
    rigid,
    rotation_angle,
    rotvec_to_rotmat,
    transform,
    unproject,
)
from josh_core.hub import mast3r_scene
from josh_core.hub.mast3r_graph import place_keyframes, spanning_tree, verified
from josh_core.hub.mast3r_pairs import (
    Canonical,
    Keyframes,
    PairMatches,
    _Merged,
    read_keyframes,
    reciprocal,
    window_pairs,
)
from josh_core.networks import cache
from josh_core.networks.frames import NetworkCrop
from josh_core.networks.loading import WeightsSource
from josh_core.networks.mast3r import Mast3r
from josh_core.progress import Progress
from josh_core.scene.matching.tracks import Tracks
from josh_core.settings import Settings
from josh_core.types import CameraPath, Clip, Float, Int

WIDTH, HEIGHT = 256, 144  # px of the network's image
SIZE = (640, 360)  # px of the clip
FOCAL = 560.0  # px of the clip
SCALE = WIDTH / SIZE[0]
K_NETWORK = np.diag([SCALE, SCALE, 1.0]) @ intrinsics(FOCAL, *SIZE)
FRAMES, STEP = 25, 4


def true_path() -> Float:
    """A camera that walks along a street and looks around: world_from_cam [FRAMES,4,4]."""
    t = np.linspace(0, 1, FRAMES)[:, None]
    return rigid(rotvec_to_rotmat(t * [0.05, 0.3, 0.02]), t * [0.4, 0.05, 2.0])


def true_depth(world_from_cam: Float) -> Float:
    """Depth [HEIGHT,WIDTH] of a street with a wall on each side and one at its end."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = unproject(K_NETWORK, np.stack([x, y], -1), np.ones((HEIGHT, WIDTH)))
    way, start = rays @ world_from_cam[:3, :3].T, world_from_cam[:3, 3]
    depths = []
    for axis, place in ((1, 1.6), (1, -4.0), (0, 3.0), (0, -3.5), (2, 12.0)):
        with np.errstate(divide="ignore"):
            reach = (place - start[axis]) / way[..., axis]
        depths.append(np.where(reach > 0, reach, np.inf))
    return np.min(depths, axis=0)


def true_matches(cameras: Float, depths: Float, scale_noise: float = 0.0) -> list[PairMatches]:
    """Grid points of each keyframe found again in the next ones; a tenth of them wrong."""
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(4, WIDTH, 8), np.arange(4, HEIGHT, 8)), -1).reshape(-1, 2)
    found = []
    for i, j in window_pairs(len(cameras)).tolist():
        if i > j:
            continue
        p_i = unproject(K_NETWORK, grid + 0.5, depths[i][grid[:, 1], grid[:, 0]])
        p_j = transform(invert(cameras[j]) @ cameras[i], p_i)
        xy = np.floor(project(K_NETWORK, p_j)).astype(int)
        inside = (p_j[:, 2] > 0.1) & (xy >= 0).all(1) & (xy < [WIDTH, HEIGHT]).all(1)
        seen = depths[j][xy[inside, 1], xy[inside, 0]]
        kept = np.flatnonzero(inside)[np.abs(seen / p_j[inside, 2] - 1) < 0.05]
        wrong = random.random(len(kept)) < 0.1
        xy[kept[wrong]] = random.integers(0, [WIDTH, HEIGHT], (wrong.sum(), 2))
        found.append(PairMatches(i, j, grid[kept], xy[kept], random.uniform(0.3, 1, len(kept))))
    return found


@pytest.fixture(scope="module")
def street() -> tuple[Int, Float, Float, Canonical, list[PairMatches]]:
    """Keyframes, their cameras and scales, depth maps each in a unit of its own, matches."""
    keyframes = np.arange(0, FRAMES, STEP)
    cameras = true_path()[keyframes]
    depths = np.stack([true_depth(c) for c in cameras])
    random = np.random.default_rng(1)
    unit = random.uniform(0.6, 1.5, len(keyframes))
    noisy = depths * (1 + 0.01 * random.standard_normal(depths.shape)) / unit[:, None, None]
    canonical = Canonical(noisy.astype(np.float32), np.full(depths.shape, 0.8, np.float32), np.full(5, FOCAL))
    return keyframes, cameras, unit, canonical, true_matches(cameras, depths)


def path_error(cameras: Float, want: Float) -> tuple[float, float]:
    """Largest error in m after the best scale, and in degrees; both paths start at the identity."""
    want = invert(want[0]) @ want
    scale = (cameras[:, :3, 3] * want[:, :3, 3]).sum() / (cameras[:, :3, 3] ** 2).sum()
    metres = np.linalg.norm(scale * cameras[:, :3, 3] - want[:, :3, 3], axis=-1).max()
    return float(metres), float(np.degrees(rotation_angle(want[:, :3, :3].swapaxes(-1, -2) @ cameras[:, :3, :3])).max())


def test_keyframes_are_placed_with_their_scales(street: tuple) -> None:
    _, cameras, unit, canonical, matches = street
    placed = place_keyframes([verified(m, 0) for m in matches], canonical, K_NETWORK, 0)
    assert placed.known.all()
    metres, degrees = path_error(placed.world_from_cam, cameras)
    assert metres < 0.03  # of a path of 2 m
    assert degrees < 0.3
    ratio = placed.scale / unit
    assert ratio / ratio.mean() == pytest.approx(1, abs=0.02)
    assert np.median(placed.scale) == pytest.approx(1, abs=1e-6)


def test_wrong_matches_are_taken_out(street: tuple) -> None:
    matches = street[4][0]
    kept = verified(matches, 0)
    assert 0.75 * len(matches.xy1) < len(kept.xy1) < 0.93 * len(matches.xy1)


def test_a_keyframe_without_matches_stays_beside_its_neighbour(street: tuple) -> None:
    _, _, _, canonical, matches = street
    lonely = [m for m in matches if 3 not in (m.first, m.second)]
    placed = place_keyframes([verified(m, 0) for m in lonely], canonical, K_NETWORK, 0)
    assert np.flatnonzero(~placed.known).tolist() == [3]
    assert np.isfinite(placed.world_from_cam).all()
    assert min(np.abs(placed.world_from_cam[3] - placed.world_from_cam[n]).max() for n in (2, 4)) == 0


def test_no_matches_at_all_is_still_a_world() -> None:
    canonical = Canonical(np.ones((4, 8, 8), np.float32), np.ones((4, 8, 8), np.float32), np.zeros(0))
    placed = place_keyframes([], canonical, K_NETWORK, 0)
    assert np.allclose(placed.world_from_cam, np.eye(4))
    assert not placed.known.any()
    assert spanning_tree([], 1).shape == (0, 2)


def test_the_tree_follows_the_strongest_pairs() -> None:
    def pair(i: int, j: int, strength: float) -> PairMatches:
        return PairMatches(i, j, np.zeros((1, 2), int), np.zeros((1, 2), int), np.array([strength]))

    tree = spanning_tree([pair(0, 1, 1.0), pair(1, 2, 9.0), pair(0, 2, 8.0), pair(2, 3, 7.0)], 5)
    assert {frozenset(edge) for edge in tree.tolist()} == {frozenset(e) for e in ((1, 2), (0, 2), (2, 3), (3, 4))}
    assert tree[0, 0] == 2  # the root has the strongest edges
    seen = {2}
    for parent, child in tree.tolist():
        assert parent in seen
        seen.add(child)


def test_window_pairs_reach_forward_and_to_the_neighbour_before() -> None:
    pairs = window_pairs(5, 2).tolist()
    assert pairs == [[0, 1], [0, 2], [1, 0], [1, 2], [1, 3], [2, 1], [2, 3], [2, 4], [3, 2], [3, 4], [4, 3]]
    forward = [p for p in window_pairs(21).tolist() if p[0] < p[1]]
    assert len(forward) == 155
    assert len(window_pairs(21)) == 175
    assert window_pairs(1).shape == (0, 2)


# Matching


def shifted_descriptors(shift: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Descriptors [12*20,24] of an image and of the same moved right by `shift` px."""
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.normalize(torch.randn(12, 40, 24, generator=generator), dim=-1)
    return image[:, 10:30].flatten(0, 1), image[:, 10 - shift : 30 - shift].flatten(0, 1)


def test_reciprocal_matches_of_a_shifted_image() -> None:
    first, second = shifted_descriptors(3)
    everywhere = torch.ones(240, dtype=torch.bool)
    at1, at2 = reciprocal(first, second, everywhere, everywhere, torch.arange(0, 240, 2))
    assert len(at1) > 90
    right = at2 - at1 == 3
    inside = at1 % 20 < 17
    assert right[inside].all()
    assert len(torch.stack([at1, at2]).unique(dim=1).T) == len(at1)


def test_people_are_never_matched() -> None:
    first, second = shifted_descriptors(0)
    free1, free2 = torch.ones(240, dtype=torch.bool), torch.ones(240, dtype=torch.bool)
    free1[:60], free2[180:] = False, False
    at1, at2 = reciprocal(first, second, free1, free2, torch.arange(240))
    assert at1.min() >= 60
    assert at2.max() < 180
    assert (at1 == at2).float().mean() > 0.8


def test_matching_somebody_who_fills_the_frame_finds_nothing() -> None:
    first, second = shifted_descriptors(0)
    nowhere, everywhere = torch.zeros(240, dtype=torch.bool), torch.ones(240, dtype=torch.bool)
    for free1, free2 in ((nowhere, everywhere), (everywhere, nowhere)):
        assert len(reciprocal(first, second, free1, free2, torch.arange(240))[0]) == 0


# Merging


def merged(depths: list[Float], trust: list[float]) -> Canonical:
    free = np.ones((1, 4, 6), bool)
    free[0, :2, :2] = False
    merging = _Merged(Keyframes(np.zeros((1, 4, 6, 3), np.uint8), free, NetworkCrop(6, 4), (6, 4)))
    for depth, confidence in zip(depths, trust, strict=True):
        merging._add_one(0, depth, np.full((4, 6), confidence))
    return merging.result()


def test_pointmaps_of_different_scale_merge_to_one_depth() -> None:
    depth = np.linspace(1, 3, 24).reshape(4, 6)
    canonical = merged([depth, 2 * depth, 0.5 * depth], [3.0, 3.0, 3.0])
    seen = canonical.confidence[0] > 0
    assert seen.sum() == 20  # without the person
    assert canonical.depth[0][seen] == pytest.approx(depth[seen], rel=1e-5)
    assert canonical.confidence[0][seen] == pytest.approx(2 / 3, rel=1e-5)


def test_disagreement_costs_confidence_and_trust_decides() -> None:
    depth = np.full((4, 6), 2.0)
    other = depth.copy()
    other[3, 5] = 2.6
    canonical = merged([depth, other], [9.0, 3.0])
    assert canonical.depth[0, 3, 5] == pytest.approx(2 + 0.6 * 3 / 12, rel=1e-5)
    assert canonical.confidence[0, 3, 5] < 0.1
    assert canonical.confidence[0, 3, 4] > 0.8


def test_a_pointmap_behind_the_camera_is_no_depth() -> None:
    canonical = merged([np.full((4, 6), -1.0)], [3.0])
    assert (canonical.depth == 0).all()
    assert (canonical.confidence == 0).all()


# The whole stage


def follow_street(points: Int | None = None) -> Tracks:
    """Points of the street seen from a few frames, followed through all frames exactly."""
    cameras, k = true_path(), intrinsics(FOCAL, *SIZE)
    random = np.random.default_rng(2)
    p_world = []
    for camera in cameras[::6]:
        px = random.uniform([0, 0], [WIDTH, HEIGHT], (150, 2))
        depth = true_depth(camera)[px[:, 1].astype(int), px[:, 0].astype(int)]
        p_world.append(transform(camera, unproject(K_NETWORK, np.floor(px) + 0.5, depth)))
    world = np.concatenate(p_world)
    starts, ids, seen = [0], [], []
    for camera in cameras:
        p_cam = transform(invert(camera), world)
        px = project(k, p_cam)
        inside = (p_cam[:, 2] > 0.1) & (px > 0).all(1) & (px < SIZE).all(1)
        ids.append(np.flatnonzero(inside))
        seen.append(px[inside])
        starts.append(starts[-1] + inside.sum())
    return Tracks(np.array(starts), np.concatenate(ids), np.concatenate(seen), len(world), SIZE, np.zeros(0, int), ())


def clip_of(frames: int) -> Clip:
    return Clip([b""] * frames, np.arange(frames) / 24, *SIZE, 24.0)


def test_scene_of_a_moving_camera(street: tuple) -> None:
    keyframes, _, _unit, canonical, matches = street
    scene = mast3r_scene.assemble_scene(
        clip_of(FRAMES), follow_street(), keyframes, (matches, canonical), Settings(), None
    )
    metres, degrees = path_error(scene.cameras.world_from_cam, true_path())
    assert metres < 0.03
    assert degrees < 0.3
    assert scene.cameras.registered.all()
    assert scene.cameras.focal == pytest.approx(FOCAL)
    assert scene.cameras.keyframes.tolist() == keyframes.tolist()
    assert scene.depths.depth.shape == (len(keyframes), 252, 448)
    # Matches and depth agree with the cameras: a match's point, lifted by depth, lands on the other pixel.
    k = intrinsics(scene.cameras.focal, *SIZE)
    cameras = scene.cameras.world_from_cam[keyframes]
    for pair in (0, 5):
        first, second = scene.matches.pairs[pair]
        px = scene.matches.px[scene.matches.offsets[pair] : scene.matches.offsets[pair + 1]]
        x, y = (px[:, 0] * 448 / SIZE[0]).astype(int).T
        lifted = unproject(k, px[:, 0], scene.depths.depth[first][y, x])
        error = project(k, transform(invert(cameras[second]) @ cameras[first], lifted)) - px[:, 1]
        assert np.median(np.linalg.norm(error, axis=-1)) < 3  # px; matches come in network px of 2.5


def test_a_steady_camera_is_kept(street: tuple) -> None:
    keyframes, _, _, canonical, matches = street
    identity, everywhere = np.tile(np.eye(4), (FRAMES, 1, 1)), np.ones(FRAMES, bool)
    still = CameraPath("static", identity, 1.0, 0.3, np.arange(3), everywhere)
    answers = (matches, canonical)
    scene = mast3r_scene.assemble_scene(clip_of(FRAMES), follow_street(), keyframes, answers, Settings(), still)
    assert np.array_equal(scene.cameras.world_from_cam, still.world_from_cam)
    assert scene.cameras.focal == pytest.approx(FOCAL)
    assert scene.cameras.keyframes.tolist() == keyframes.tolist()
    turning = replace(still, kind="rotating", focal=600.0, focal_sigma=0.01)
    scene = mast3r_scene.assemble_scene(clip_of(FRAMES), follow_street(), keyframes, answers, Settings(), turning)
    assert (scene.cameras.focal, scene.cameras.focal_sigma) == (600.0, 0.01)


def test_frames_without_tracks_are_interpolated(street: tuple) -> None:
    keyframes, _, _, canonical, matches = street
    nothing = Tracks(np.zeros(FRAMES + 1, int), np.zeros(0, int), np.zeros((0, 2)), 0, SIZE, np.zeros(0, int), ())
    scene = mast3r_scene.assemble_scene(clip_of(FRAMES), nothing, keyframes, (matches, canonical), Settings(), None)
    assert np.flatnonzero(scene.cameras.registered).tolist() == keyframes.tolist()
    assert path_error(scene.cameras.world_from_cam, true_path())[0] < 0.05
    assert np.isfinite(scene.cameras.world_from_cam).all()


@pytest.mark.parametrize(
    ("frames", "fps", "count"), [(100, 30, 21), (2, 30, 2), (50, 5, 50), (1800, 30, mast3r_scene.MAX_KEYFRAMES)]
)
def test_keyframes_are_six_a_second(frames: int, fps: float, count: int) -> None:
    clip = Clip([b""] * frames, np.arange(frames) / fps, *SIZE, fps)
    keyframes = mast3r_scene.choose_keyframes(clip)
    assert abs(len(keyframes) - count) <= 1
    assert (keyframes[0], keyframes[-1]) == (0, frames - 1)


@pytest.fixture(scope="module")
def network() -> Mast3r:
    with torch.device("meta"):
        built = Mast3r(TINY_ARCHITECTURE)
    fill_by_rule(built)
    return built


def small_keyframes(count: int = 3) -> Keyframes:
    frames = np.random.default_rng(3).integers(0, 255, (count, 48, 64, 3), np.uint8)
    free = np.ones((count, 48, 64), bool)
    free[:, 20:, 20:40] = False
    return Keyframes(frames, free, NetworkCrop(64, 48), SIZE)


def test_the_network_is_read_for_every_pair(network: Mast3r) -> None:
    given = small_keyframes()
    fractions: list[float] = []
    matches, canonical = read_keyframes(network, given, Progress(report=lambda _, fraction: fractions.append(fraction)))
    assert [(m.first, m.second) for m in matches] == [(0, 1), (0, 2), (1, 2)]
    for m in matches:
        assert len(m.xy1) == len(m.xy2) == len(m.confidence) > 0
        assert given.free[m.first][m.xy1[:, 1], m.xy1[:, 0]].all()
        assert given.free[m.second][m.xy2[:, 1], m.xy2[:, 0]].all()
        assert ((m.confidence > 0) & (m.confidence < 1)).all()
    assert canonical.depth.shape == (3, 48, 64)
    assert (canonical.depth[~given.free] == 0).all()
    assert len(canonical.focal) == 5
    assert fractions[-1] == 1
    assert fractions == sorted(fractions)


def test_answers_are_cached_by_content(network: Mast3r, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOSH_CACHE_DIR", str(tmp_path))
    calls: list[int] = []

    def reading(*arguments: object) -> tuple[list[PairMatches], Canonical]:
        calls.append(1)
        return read_keyframes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mast3r_scene, "read_keyframes", reading)
    monkeypatch.setattr(network, "source", None)
    given = small_keyframes(2)
    fresh = mast3r_scene.recall_keyframes(network, given, Progress())
    assert not cache.folder().exists() or not list(cache.folder().iterdir())  # weights from nowhere are not kept
    monkeypatch.setattr(network, "source", WeightsSource("tiny", "f00"))
    for _ in range(2):
        recalled = mast3r_scene.recall_keyframes(network, given, Progress())
        assert np.array_equal(recalled[1].depth, fresh[1].depth)
        for a, b in zip(recalled[0], fresh[0], strict=True):
            assert (a.first, a.second) == (b.first, b.second)
            assert np.array_equal(a.xy1, b.xy1)
            assert np.array_equal(a.xy2, b.xy2)
            assert np.array_equal(a.confidence, b.confidence)
    assert len(calls) == 2
    free = given.free.copy()
    free[0, 0, 0] = False
    mast3r_scene.recall_keyframes(network, replace(given, free=free), Progress())
    monkeypatch.setattr(network, "source", WeightsSource("tiny", "beef"))
    mast3r_scene.recall_keyframes(network, given, Progress())
    assert len(calls) == 4


def test_no_matches_survive_the_round_trip_too() -> None:
    canonical = Canonical(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.float32), np.zeros(0))
    assert mast3r_scene._from_arrays(mast3r_scene._to_arrays([], canonical))[0] == []
