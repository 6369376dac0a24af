"""Labels out of clips with truth: who is seen gets the truth's numbers in camera axes, who is not gets none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.rendered.labels import label_of, true_cameras
from benchmarks.rendered.truth import CONTACT_NAMES
from josh_core.student.parts import PARTS
from josh_core.types import Float, People
from tests.synthetic.evidence import evidence_of
from tests.synthetic.scene import Synthetic, make_scene


@pytest.fixture(scope="module")
def scene() -> Synthetic:
    return make_scene("walk", "moving", frames=30, seed=1)


def arrays_of(scene: Synthetic) -> dict[str, Float]:
    """The truth as benchmarks.rendered.truth stores it."""
    t = scene.truth
    contact = np.zeros((len(t.frame_times), len(CONTACT_NAMES)))
    contact[:, CONTACT_NAMES.index("left_heel")] = contact[:, CONTACT_NAMES.index("left_seat")] = 1
    arrays = {
        "world_from_cam": t.world_from_cam,
        "intrinsics": t.intrinsics,
        "fps": np.float64(t.fps),
        "image_size": np.array([t.width, t.height]),
    }
    person = t.people[0]
    own = {name: getattr(person, name) for name in ("joints", "betas", "pose", "transl")}
    return arrays | {f"person0_{name}": value for name, value in (own | {"contact": contact}).items()}


def test_who_is_seen_gets_the_truth(scene: Synthetic) -> None:
    truth, clip = arrays_of(scene), evidence_of(scene).clip
    (person,) = label_of(clip, scene.people, truth, scene.body).people
    t = scene.truth
    assert true_cameras(clip, truth).kind == "moving" and person["kind"][0].argmax() == 2
    cam_from_world = np.linalg.inv(t.world_from_cam.astype(np.float64))
    root = t.people[0].joints[:, 0].astype(np.float64)
    expected = np.einsum("tij,tj->ti", cam_from_world[:, :3, :3], root) + cam_from_world[:, :3, 3]
    np.testing.assert_allclose(person["pelvis"], expected, atol=1e-4)
    np.testing.assert_allclose(person["up"], cam_from_world[:, :3, 1], atol=1e-5)
    hips = person["rays"][:, 23:25].mean(1)
    assert np.abs(hips - expected[:, :2] / expected[:, 2:]).max() < 0.05  # landmarks have their noise
    heel, seat, hand = (PARTS.index(name) for name in ("left_heel", "seat", "right_hand"))
    assert person["touch"][:, [heel, seat]].min() == 1 and person["touch"][:, hand].max() == 0
    assert person["mask"].all()
    speed = np.linalg.norm(np.gradient(root, t.frame_times, axis=0), axis=1)
    np.testing.assert_allclose(np.linalg.norm(person["velocity"], axis=1), speed, atol=1e-3)


def test_who_is_elsewhere_gets_no_label(scene: Synthetic) -> None:
    aside = People(
        tuple(replace(t, landmarks_px=t.landmarks_px + [200.0, 0.0]) for t in scene.people.tracks), scene.people.labels
    )
    assert label_of(evidence_of(scene).clip, aside, arrays_of(scene), scene.body).people == ()
