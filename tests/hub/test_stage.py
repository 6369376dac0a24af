"""The hub tier's stages on a real clip with tiny networks: the content means nothing, but everything is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from benchmarks.rule_weights import write_rule_weights
from josh_core.__main__ import main
from josh_core.body.model import load_body
from josh_core.clip.load import load_clip
from josh_core.errors import WeightsError
from josh_core.evidence import Evidence
from josh_core.export.bundle import load_bundle
from josh_core.hub.front_end import gather_hub
from josh_core.hub.josh3r_stage import reconstruct_josh3r
from josh_core.hub.mast3r_scene import reconstruct_scene_mast3r
from josh_core.networks import loaded
from josh_core.networks.josh3r import Josh3r
from josh_core.networks.mast3r import Mast3r
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.tracking.tracker import find_people
from josh_core.types import Clip, People, Scene

CLIP = Path(__file__).parents[2] / "examples" / "log_sit" / "clip.mp4"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(tier="hub", start=1.0, seconds=0.4, max_side=480, people=1, static_camera="off")


@pytest.fixture(scope="module")
def seen(settings: Settings) -> tuple[Clip, People]:
    clip = load_clip(CLIP, settings, Progress())
    return clip, find_people(clip, settings, Progress())


@pytest.fixture(autouse=True)
def tiny_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny weights where the variables point, small images, a cache of its own."""
    monkeypatch.setattr("josh_core.networks.frames.LONGEST", 128)
    monkeypatch.setattr(loaded, "_networks", {})
    monkeypatch.setenv("JOSH_CACHE_DIR", str(tmp_path / "cache"))
    for variable, network in (("JOSH_MAST3R_WEIGHTS", Mast3r), ("JOSH_JOSH3R_WEIGHTS", Josh3r)):
        path = tmp_path / f"{network.__name__}.safetensors"
        write_rule_weights(path, network)
        monkeypatch.setenv(variable, str(path))


@pytest.mark.parametrize(("mode", "written"), [("fast", "JOSH3R"), ("refine", "MASt3R")])
def test_run_hub_end_to_end(tmp_path: Path, mode: str, written: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line with --tier hub: a whole bundle and GLB that say which weights made them."""
    arguments = ["run", str(CLIP), "--tier", "hub", "--mode", mode, "--out", str(tmp_path / "out")]
    options = ["--start", "1", "--seconds", "0.4", "--people", "1", "--set", "max_side=480"]
    assert main([*arguments, *options]) == 0
    result = load_bundle(tmp_path / "out")
    assert (result.tier, result.mode) == ("hub", mode)
    assert np.isfinite(result.world_from_cam).all()
    assert np.isfinite(result.people[0].joints).all()
    assert any(written in line and "non-commercial" in line for line in result.licences)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert "made by rule" in json.dumps(manifest)
    assert f"{written} weights" in capsys.readouterr().out
    assert len(trimesh.load(tmp_path / "out" / "result.glb").geometry) > 0


def check(scene: Scene, clip: Clip) -> None:
    cameras, depths = scene.cameras, scene.depths
    assert cameras.world_from_cam.shape == (len(clip), 4, 4)
    assert np.isfinite(cameras.world_from_cam).all()
    assert np.abs(np.linalg.det(cameras.world_from_cam[:, :3, :3]) - 1).max() < 1e-6
    assert cameras.focal > 0
    assert cameras.registered.shape == (len(clip),)
    assert depths.depth.shape == depths.confidence.shape == depths.backdrop.shape
    assert len(depths.depth) == len(cameras.keyframes)
    assert np.isfinite(depths.depth).all()
    assert (depths.depth >= 0).all()
    assert scene.matches.offsets[-1] == len(scene.matches.px) == len(scene.matches.confidence)
    assert len(scene.matches.pairs) == len(scene.matches.offsets) - 1


def test_josh3r_stage(seen: tuple[Clip, People], settings: Settings) -> None:
    clip, people = seen
    scene, bodies = reconstruct_josh3r(clip, people, load_body(), loaded.load_josh3r(), settings, Progress())
    check(scene, clip)
    assert [b.id for b in bodies] == [t.id for t in people.tracks]
    assert bodies[0].focal == scene.cameras.focal
    assert np.isfinite(bodies[0].transl).all()


def test_mast3r_stage(seen: tuple[Clip, People], settings: Settings) -> None:
    clip, people = seen
    scene = reconstruct_scene_mast3r(clip, people, loaded.load_mast3r(), settings, Progress())
    check(scene, clip)
    again = reconstruct_scene_mast3r(clip, people, loaded.load_mast3r(), settings, Progress())
    assert np.array_equal(scene.cameras.world_from_cam, again.cameras.world_from_cam)
    assert np.array_equal(scene.depths.depth, again.depths.depth)
    assert np.array_equal(scene.matches.px, again.matches.px)


def gathered(seen: tuple[Clip, People], settings: Settings) -> Evidence:
    return gather_hub(*seen, load_body(), settings, Progress(), "Because.")


def test_each_network_gives_the_evidence_of_its_modes(
    seen: tuple[Clip, People], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = gathered(seen, settings.with_options(mode="refine"))
    assert both.fast is not None and both.fast.fast is None
    for evidence, name in ((both, "MASt3R"), (both.fast, "JOSH3R")):
        assert evidence.tier == "hub" and not evidence.depth_tied
        assert evidence.notes[0] == "Because." and evidence.notes[1].startswith(f"{name} weights: ")
        assert any(line.startswith(f"{name} weights: ") for line in evidence.licences)
        assert [b.id for b in evidence.bodies] == [t.id for t in evidence.people.tracks]
        assert len(evidence.points) == len(evidence.contacts) == len(evidence.bodies)
    assert both.scale is None and both.fast.scale is not None  # only JOSH3R says metres
    assert gathered(seen, settings.with_options(mode="baseline")).fast is None
    monkeypatch.delenv("JOSH_MAST3R_WEIGHTS")
    alone = gathered(seen, settings.with_options(mode="refine"))
    assert alone.scale is not None and alone.fast is None  # all modes use JOSH3R's
    monkeypatch.delenv("JOSH_JOSH3R_WEIGHTS")
    with pytest.raises(WeightsError, match="JOSH_MAST3R_WEIGHTS"):
        gathered(seen, settings)
