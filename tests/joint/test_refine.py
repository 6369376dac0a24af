"""JOSH on made-up clips with known answers: better than its start, still cameras stay still, odd starts, chunks."""

from dataclasses import replace

import numpy as np
import pytest

from josh_core import modes
from josh_core.errors import Cancelled
from josh_core.evidence import Evidence
from josh_core.joint import JointResult, JointStart, chunks, refine
from josh_core.metrics.accuracy import evaluate
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import Reconstruction
from tests.synthetic import make_scene
from tests.synthetic.evidence import evidence_of, truth_of

SETTINGS = Settings(mode="refine")


def start_of(e: Evidence) -> JointStart:
    """What mode refine hands to the solver."""
    return modes.joint_start(e)[1]


@pytest.fixture(scope="module")
def walk():
    return make_scene("walk", "moving", frames=45, seed=1)


@pytest.fixture(scope="module")
def passing():
    return make_scene("two_people", "static", frames=30, seed=2)


def same_bits(a: JointResult, b: JointResult) -> bool:
    pairs = zip(a.bodies, b.bodies, strict=True)
    return all((x.transl == y.transl).all() and (x.rotations == y.rotations).all() for x, y in pairs) and bool(
        (a.cameras.world_from_cam == b.cameras.world_from_cam).all() and a.scale == b.scale
    )


def error(result: Reconstruction, synthetic) -> dict:
    return evaluate(result, truth_of(synthetic.truth))


def test_a_walker_before_a_moving_camera(walk) -> None:
    evidence = evidence_of(walk)
    results = {
        "baseline": modes.baseline(evidence),
        "fast": modes.fast(evidence),
        "refine": modes.refined(evidence, SETTINGS, Progress()),
    }
    errors = {mode: error(result, walk) for mode, result in results.items()}
    w = {mode: e["people"][0]["w_mpjpe_mm"] for mode, e in errors.items()}
    assert w["refine"] < 0.5 * w["baseline"] and w["refine"] < w["fast"]
    camera, person = errors["refine"]["camera"], errors["refine"]["people"][0]
    assert abs(camera["scale_ratio"] - 1) < 0.04
    assert camera["ate_m"] < 0.03 * camera["true_path_m"]
    assert person["foot_slide_mm"] < 5
    assert results["refine"].scale_source == "contact"
    assert 0 < results["refine"].quality["scale_sigma_pct"] < 10


def test_a_scale_that_contradicts_its_start_is_less_sure(walk) -> None:
    start = start_of(evidence_of(walk))
    agreed = refine(start, SETTINGS)
    contradicted = refine(replace(start, scale=1.3 * start.scale, scale_sigma=0.02), SETTINGS)
    assert contradicted.scale < 1.15 * agreed.scale  # the clip's own evidence wins
    assert contradicted.scale_sigma > 3 * agreed.scale_sigma


def test_the_same_start_gives_the_same_bits(walk) -> None:
    start = start_of(evidence_of(walk))
    assert same_bits(refine(start, SETTINGS), refine(start, SETTINGS))


def test_a_standing_camera_does_not_move_and_a_turning_one_does_not_travel(passing) -> None:
    start = start_of(evidence_of(passing))
    still = refine(start, SETTINGS)
    assert still.refined and (still.cameras.world_from_cam == start.scene.cameras.world_from_cam).all()
    start = start_of(evidence_of(make_scene("walk", "rotating", frames=24, seed=0)))
    turned = refine(start, SETTINGS)
    assert (
        turned.refined
        and (turned.cameras.world_from_cam[:, :3, 3] == start.scene.cameras.world_from_cam[:, :3, 3]).all()
    )


def test_chunks_agree_with_one_piece(walk, monkeypatch: pytest.MonkeyPatch) -> None:
    start = start_of(evidence_of(walk))
    whole = refine(start, SETTINGS)
    monkeypatch.setattr(chunks, "MAX_BODIES", 18)
    monkeypatch.setattr(chunks, "OVERLAP_SECONDS", 0.3)
    assert len(chunks.seams_of(start)) == 2
    cut = refine(start, SETTINGS)
    assert cut.refined and abs(cut.scale / whole.scale - 1) < 0.02
    assert np.abs(cut.cameras.world_from_cam[:, :3, 3] - whole.cameras.world_from_cam[:, :3, 3]).max() < 0.06
    for a, b in zip(whole.bodies, cut.bodies, strict=True):
        off = b.transl - a.transl
        assert np.abs(off).max() < 0.1
        assert np.abs(np.diff(off, axis=0)).max() < 0.02  # no jump at a seam


def test_people_who_come_and_go_are_cut_too(passing, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = evidence_of(passing)
    late = evidence.bodies[1].frames >= 20
    body, contact = evidence.bodies[1], evidence.contacts[1]
    body = replace(body, frames=body.frames[late], rotations=body.rotations[late], transl=body.transl[late])
    start = start_of(evidence)
    start = replace(
        start,
        bodies=(start.bodies[0], body),
        observations=(start.observations[0], start.observations[1].at(late)),
        contacts=(start.contacts[0], replace(contact, probability=contact.probability[late])),
    )
    monkeypatch.setattr(chunks, "MAX_BODIES", 14)
    monkeypatch.setattr(chunks, "OVERLAP_SECONDS", 0.1)
    assert len(chunks.seams_of(start)) >= 2
    result = refine(start, SETTINGS)
    assert result.refined and len(result.bodies[1].frames) == late.sum()
    assert (result.cameras.world_from_cam == start.scene.cameras.world_from_cam).all()


def test_a_short_clip_has_no_seams(walk) -> None:
    assert chunks.seams_of(start_of(evidence_of(walk))) == []


@pytest.mark.parametrize("frames", [[], [5], [5, 6]])
def test_hardly_anybody(walk, frames: list[int]) -> None:
    start = start_of(evidence_of(walk))
    rows = np.searchsorted(start.bodies[0].frames, frames)
    body = start.bodies[0]
    body = replace(body, frames=body.frames[rows], rotations=body.rotations[rows], transl=body.transl[rows])
    contact = replace(start.contacts[0], probability=start.contacts[0].probability[rows])
    observations = (start.observations[0].at(rows),)
    result = refine(replace(start, observations=observations, bodies=(body,), contacts=(contact,)), SETTINGS)
    assert np.isfinite(result.cameras.world_from_cam).all() and np.isfinite(result.scale)
    assert len(result.bodies[0].frames) == len(frames)


def test_nobody(walk) -> None:
    start = replace(start_of(evidence_of(walk)), observations=(), bodies=(), contacts=())
    result = refine(start, SETTINGS)
    assert result.bodies == () and np.isfinite(result.cameras.world_from_cam).all()


def test_a_start_that_is_not_a_number_comes_back_with_a_sentence(walk) -> None:
    start = start_of(evidence_of(walk))
    body = replace(start.bodies[0], transl=np.full_like(start.bodies[0].transl, np.nan))
    result = refine(replace(start, bodies=(body,)), SETTINGS)
    assert not result.refined and "not numbers" in result.notes[0]
    assert result.scale == start.scale


def test_cancelling_stops_it(walk) -> None:
    with pytest.raises(Cancelled):
        refine(start_of(evidence_of(walk)), SETTINGS, Progress(cancelled=lambda: True))
