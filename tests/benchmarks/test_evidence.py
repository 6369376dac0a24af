"""The benchmark of what is known before the modes, on a made-up walk with exact observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evidence import ALONG, ARMS, LEGS, exchanged_limbs, foot_locks, setting
from josh_core.bodyfit.left_right import mirror_names
from josh_core.contact import foot_lock
from tests.synthetic import Noise, make_scene
from tests.synthetic.evidence import evidence_of, truth_of


@pytest.fixture(scope="module")
def walk():
    synthetic = make_scene("walk", "moving", frames=20, seed=1, noise=Noise.none())
    return evidence_of(synthetic), truth_of(synthetic.truth)


def test_exchanged_legs_are_counted(walk):
    evidence, truth = walk
    assert exchanged_limbs(evidence, truth, LEGS) == [0, 0, 0, 0, 0]
    assert exchanged_limbs(evidence, truth, ARMS) == [0, 0, 0, 0]
    track = evidence.people.tracks[0]
    px = track.landmarks_px.copy()
    px[:, 23:] = px[:, mirror_names()][:, 23:]  # legs alone, in every frame
    people = replace(evidence.people, tracks=(replace(track, landmarks_px=px), *evidence.people.tracks[1:]))
    network, *corrected = exchanged_limbs(replace(evidence, people=people), truth, LEGS)
    assert network > 10 and max(corrected) <= network
    assert exchanged_limbs(replace(evidence, people=people), truth, ARMS)[0] == 0
    px = track.landmarks_px.copy()
    px[4:7, :23] = px[:, mirror_names()][4:7, :23]  # upper body alone
    people = replace(evidence.people, tracks=(replace(track, landmarks_px=px), *evidence.people.tracks[1:]))
    arms = exchanged_limbs(replace(evidence, people=people), truth, ARMS)
    assert arms[0] > 0 and max(arms[1:]) <= arms[0]


def test_the_foot_lock_is_measured_and_left_as_it_was(walk):
    before = foot_lock.ALONG_SIGMA
    rows = np.array(foot_locks(*walk))
    assert rows.shape == (len(ALONG), 3) and np.isfinite(rows).all()
    assert before == foot_lock.ALONG_SIGMA and not np.allclose(rows[0], rows[-1])
    with pytest.raises(KeyError), setting(foot_lock, ALONG_SIGMA=1.0):
        raise KeyError
    assert before == foot_lock.ALONG_SIGMA and LEGS.exchanged[0] == 26
