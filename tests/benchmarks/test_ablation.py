"""The ablation benchmark: its rows on a small scene with known answers, and the building of its tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.ablation import (
    AGAINST_BASELINE,
    FULL,
    TARGETS,
    VARIANTS,
    Numbers,
    against_baseline,
    judged,
    pooled,
    reconstruct,
    run_scene,
    starred,
    table,
)
from josh_core.settings import Settings
from tests.synthetic import make_scene
from tests.synthetic.evidence import evidence_of, truth_of

NO_CONTACT = VARIANTS[2]


@pytest.fixture(scope="module")
def rows() -> dict[str, Numbers]:
    return run_scene("walk-moving", 0, 40, [VARIANTS[0], NO_CONTACT, FULL])


def test_josh_meets_its_targets_on_a_walk(rows: dict[str, Numbers]) -> None:
    full = rows[FULL.name]
    for column, limit in TARGETS.items():
        assert 0 < max(full[column]) < limit, column
    assert rows["baseline"][AGAINST_BASELINE] == [1.0]


def test_contact_is_what_gives_scale_and_standing_feet(rows: dict[str, Numbers]) -> None:
    without, full = rows[NO_CONTACT.name], rows[FULL.name]
    assert without["scale %"][0] > 3 * full["scale %"][0]
    assert without["foot slide mm"][0] > 10 * full["foot slide mm"][0]


def test_every_variant_is_a_setting() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names) and FULL in VARIANTS
    for variant in VARIANTS:
        settings = Settings(mode=variant.mode).with_options(**dict.fromkeys(variant.off, False))  # type: ignore[arg-type]
        usual = Settings().to_dict()
        changed = [flag for flag, on in settings.to_dict().items() if flag.startswith("use_") and on != usual[flag]]
        assert changed == sorted(variant.off, key=list(usual).index)


def test_truth_of_a_scene_knows_who_stands() -> None:
    synthetic = make_scene("walk", "moving", frames=30, seed=1)
    person = truth_of(synthetic.truth).people[0]
    assert person.feet is not None and person.foot_contact is not None
    stays = person.foot_contact[1:] & person.foot_contact[:-1]
    steps = np.linalg.norm(np.diff(person.feet, axis=0), axis=-1).reshape(-1, 2, 2).max(-1)
    assert stays.mean() > 0.2 and steps[stays].max() < 0.001 and steps[~stays].max() > 0.02


def test_a_solution_given_back_as_its_start_is_starred() -> None:
    evidence = evidence_of(make_scene("march", "static", frames=10))
    fine = reconstruct(evidence, FULL)
    assert starred(FULL, fine, evidence) == FULL.name
    assert starred(FULL, replace(fine, notes=("given back",)), evidence) == FULL.name + "*"


def test_tables_pool_samples_and_name_the_scenes_that_miss() -> None:
    def scene(w: list[float], slide: float, star: str = "") -> dict[str, Numbers]:
        base = {"W-MPJPE mm": [100.0] * len(w), "foot slide mm": [20.0], "ATE %": []}
        full = {"W-MPJPE mm": w, "foot slide mm": [slide], "ATE %": []}
        return against_baseline({"baseline": base, FULL.name + star: full})

    scenes = {"one": scene([20.0, 40.0], 1.0), "two": scene([60.0], 9.0, "*")}
    assert scenes["one"][FULL.name][AGAINST_BASELINE] == [0.2, 0.4]
    lines = table(pooled(scenes.values()), ("W-MPJPE mm", "foot slide mm", "ATE %", AGAINST_BASELINE))
    assert lines[0].split()[3:] == ["W-MPJPE", "mm", "foot", "slide", "mm", "W", "/", "baseline"]  # no empty columns
    assert lines[2].startswith(FULL.name + "*")
    assert lines[2].split()[-9:] == ["40", "/", "60", "5", "/", "9", "0.4", "/", "0.6"]
    verdict = judged(scenes)
    assert len(verdict) == 2
    assert "3 samples, 1 scenes over it; two 0.6" in verdict[0] and "; two 9" in verdict[1] and "one" not in verdict[0]
