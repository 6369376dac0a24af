"""The pipeline's own work: how it runs the stages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from josh_core import pipeline
from josh_core.progress import Progress
from josh_core.settings import Settings


def test_bodies_are_fitted_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their blocks are small: with two threads beside other work the fit took ten times as long."""
    scene = SimpleNamespace(cameras=SimpleNamespace(focal=500.0))
    people = clip = SimpleNamespace()
    seen: list[int] = []

    def fit(*_: Any) -> tuple[()]:
        seen.append(torch.get_num_threads())
        raise InterruptedError  # nothing after the fit is looked at

    stubs: dict[str, Any] = {
        "load_body": lambda: None,
        "choose_tier": lambda _: SimpleNamespace(tier="embedded", reason=""),
        "find_people": lambda *_: people,
        "without_overlay": lambda p, _: p,
        "unseen_notes": lambda *_: (),
        "zoom_notes": lambda *_: (),
        "replace": lambda c, **_: c,
        "reconstruct_scene": lambda *_: (scene, clip, people),
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
