"""The pipeline's own work: how it runs the stages, and which scene each mode looks at."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from josh_core import modes, pipeline
from josh_core.errors import SettingsError
from josh_core.evidence import SPARSE_NOTE, Evidence, with_scene
from josh_core.metrics.accuracy import evaluate
from josh_core.progress import Progress
from josh_core.scene import SolvedScene
from josh_core.settings import Settings
from josh_core.types import Scene
from tests.synthetic import make_scene
from tests.synthetic.evidence import evidence_of, truth_of


def test_torch_is_held_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several of torch's own threads beside other work the fit took ten times as long."""
    scene = SimpleNamespace(cameras=SimpleNamespace(focal=500.0, kind="static"))
    people = clip = SimpleNamespace()
    seen: list[int] = []

    def fit(*_: Any) -> tuple[()]:
        seen.append(torch.get_num_threads())
        raise InterruptedError  # nothing after the fit is looked at

    stubs: dict[str, Any] = {
        "load_body": lambda: None,
        "choose_tier": lambda _: SimpleNamespace(tier="embedded", reason=""),
        "find_people": lambda *_: people,
        "without_inset_people": lambda p, _: (p, ()),
        "unseen_notes": lambda *_: (),
        "still_picture": SimpleNamespace(marked=lambda c: c),
        "zoom_notes": lambda *_: (),
        "pinhole_notes": lambda *_: (),
        "replace": lambda c, **_: c,
        "PointFollower": lambda _: nullcontext(),
        "solve_scene": lambda *_: SimpleNamespace(scene=scene, clip=clip, people=people),
        "with_dense_depth": lambda *_: scene,
        "observe_people": lambda *_: (),
        "fit_observed": fit,
    }
    clip.overlay, clip.notes, clip.times = None, (), None
    for name, stub in stubs.items():
        monkeypatch.setattr(pipeline, name, stub)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(InterruptedError):
            pipeline.gather(clip, Settings(use_student=False), Progress())  # type: ignore[arg-type]
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def walk() -> tuple[Evidence, Any]:
    """A walker before a travelling camera as the stages would find it, and the truth."""
    synthetic = make_scene("walk", "moving", frames=45, seed=1)
    return evidence_of(synthetic), truth_of(synthetic.truth)


def thinned(scene: Scene) -> Scene:
    """The scene with one depth in 40: about what the points of a camera's solution leave."""
    kept = np.random.default_rng(0).random(scene.depths.depth.shape) < 1 / 40
    maps = scene.depths
    return replace(scene, depths=replace(maps, depth=maps.depth * kept, confidence=maps.confidence * kept, sparse=True))


@pytest.mark.parametrize(("mode", "dense"), [("baseline", [True]), ("fast", []), ("refine", [True])])
def test_fast_looks_at_the_sparse_scene_and_the_others_at_the_dense_one(
    monkeypatch: pytest.MonkeyPatch, walk: tuple[Evidence, Any], mode: Any, dense: list[bool]
) -> None:
    e = walk[0]
    measured: list[bool] = []
    solved = SolvedScene(thinned(e.scene), e.clip, e.people, np.zeros((0, 3)))
    stubs: dict[str, Any] = {
        "find_people": lambda *_: e.people,
        "PointFollower": lambda _: nullcontext(),
        "solve_scene": lambda *_: solved,
        "with_dense_depth": lambda *_: (measured.append(True), e.scene)[1],
        "fit_observed": lambda *_: e.bodies,
        "evidence_of": lambda clip, people, scene, *_: with_scene(e, scene),
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(pipeline, name, stub)
    evidence = pipeline.gather(e.clip, Settings(mode=mode, tier="embedded", use_student=False), Progress())
    assert measured == dense and evidence.scene.depths.sparse is (mode == "fast")
    assert (evidence.fast is not None) is (mode == "refine")
    looked_at = evidence.fast or evidence
    assert (SPARSE_NOTE in looked_at.notes) is (mode != "baseline") and looked_at.bodies is evidence.bodies


def test_sparse_points_fix_the_scale_as_dense_depth_does(walk: tuple[Evidence, Any]) -> None:
    e, truth = walk
    errors = {
        name: evaluate(modes.fast(with_scene(e, scene)), truth)
        for name, scene in (("dense", e.scene), ("sparse", thinned(e.scene)))
    }
    scale = {name: found["camera"]["scale_ratio"] for name, found in errors.items()}
    assert abs(scale["sparse"] - 1) < 0.04 and abs(scale["sparse"] - scale["dense"]) < 0.02
    w = {name: found["people"][0]["w_mpjpe_mm"] for name, found in errors.items()}
    assert w["sparse"] < 1.1 * w["dense"]


def test_what_only_the_student_gives_is_refused_with_the_papers_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "choose_tier", lambda _: SimpleNamespace(tier="hub", reason=""))
    monkeypatch.setattr(pipeline, "find_people", lambda *_: pytest.fail("heavy work before the refusal"))
    with pytest.raises(SettingsError, match="feed_forward"):
        pipeline.gather(SimpleNamespace(), Settings(feed_forward=True), Progress())  # type: ignore[arg-type]
