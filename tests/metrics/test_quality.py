"""Quality numbers on motions whose answer is known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from josh_core.body import BodyModel, load_body
from josh_core.body.names import FEET, is_part
from josh_core.body.posing import posed_points
from josh_core.contact.supports import Touching, find_supports
from josh_core.geometry import invert, project
from josh_core.metrics.quality import foot_slide, jitter, measure
from josh_core.metrics.seen import feet_seen_pct, heads_seen_pct, match_cover_pct
from josh_core.metrics.verdicts import QUANTITIES, QualityRow, format_table, rows, short
from josh_core.types import CameraPath, Clip, Floor, Matches, People, PersonMotion, Reconstruction, Support, Track
from tests.example_result import made_up_result


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def result(body: BodyModel) -> Reconstruction:
    return made_up_result(body, frames=30, points=200)


def _statue(result: Reconstruction, body: BodyModel, step: np.ndarray, height: float = 0.0) -> PersonMotion:
    """Person 0 frozen in the first pose, both feet labelled as touching, moved by `step` [3] m every frame."""
    person = result.people[0]
    n = len(person.frames)
    pose = np.repeat(person.pose[:1], n, 0)
    transl = person.transl[:1] + np.arange(n)[:, None] * step
    _, contacts, _ = posed_points(body, person.betas, pose, transl)
    feet = [i for i, name in enumerate(body.contact_names) if is_part(name, FEET)]
    lowest = contacts[0, feet, 1].min()
    transl[:, 1] += height - lowest
    joints, contacts, _ = posed_points(body, person.betas, pose, transl)
    contact = np.zeros(contacts.shape[:2])
    contact[:, feet[int(contacts[0, feet, 1].argmin())]] = 1.0  # the lowest point of all
    return replace(person, pose=pose, transl=transl, joints=joints, contact=contact)


def test_slide_floating_and_speed_of_a_gliding_statue(result: Reconstruction, body: BodyModel) -> None:
    gliding = _statue(result, body, np.array([0.01, 0, 0]), height=0.03)
    numbers = measure(replace(result, people=(gliding,)), body)
    assert numbers["foot_slide_mm"] == pytest.approx(10, rel=1e-3)
    assert numbers["foot_slide_mm_s"] == pytest.approx(300, rel=1e-3)
    assert numbers["foot_height_cm"] == pytest.approx(3, abs=0.01)
    assert numbers["floating_cm"] == pytest.approx(3, abs=0.01) and numbers["penetration_cm"] == 0
    assert numbers["jitter"] == pytest.approx(0, abs=0.02)
    assert numbers["people"][0]["speed_m_s"] == pytest.approx(0.3, rel=1e-3)
    assert numbers["people"][0]["foot_slide_mm"] == pytest.approx(10, rel=1e-3)


def test_how_deep_somebody_is_in_the_ground_whether_they_touch_or_not(result: Reconstruction, body: BodyModel) -> None:
    for height, sunk in ((0.03, 0.0), (-0.07, 7.0)):
        statue = _statue(result, body, np.zeros(3), height)
        numbers = measure(replace(result, people=(replace(statue, contact=0 * statue.contact),)), body)
        assert numbers["sunk_cm_max"] == pytest.approx(sunk, abs=0.01) == numbers["sunk_cm_median"]
        assert numbers["penetration_cm"] is None and numbers["overlap_cm_max"] is None


def test_how_deep_people_are_in_each_other(result: Reconstruction, body: BodyModel) -> None:
    statue = _statue(result, body, np.zeros(3))

    def before(z: float) -> dict:
        shift = np.array([0.0, 0.0, z])
        other = replace(statue, id=1, transl=statue.transl + shift, joints=statue.joints + shift)
        return measure(replace(result, people=(statue, other)), body)

    assert before(3.0)["overlap_cm_max"] == 0 == before(0.3)["overlap_cm_max"]
    deep = [before(z)["overlap_cm_max"] for z in (0.15, 0.1, 0.0)]
    assert 1 < deep[0] < deep[1] < deep[2] < 25
    assert deep[1] - deep[0] == pytest.approx(5, abs=0.1)  # as far as they have come nearer
    assert before(0.1)["overlap_cm_median"] == pytest.approx(deep[1])


def test_heights_are_those_over_the_floor_on_a_slope(result: Reconstruction, body: BodyModel) -> None:
    """A person who glides up a slope of 6 degrees, 3 cm over it, is not higher the farther they get."""
    rise = np.tan(np.radians(6))
    climbing = _statue(result, body, np.array([0.01, 0.01 * rise, 0]), height=0.03)
    foot = posed_points(body, climbing.betas, climbing.pose, climbing.transl)[1][0][climbing.contact[0] > 0.5][0]
    normal = np.array([-rise, 1.0, 0.0]) / np.hypot(rise, 1.0)
    slope = Floor(normal, -float(normal @ [foot[0], 0.0, foot[2]]), 1.0)
    level, along = (measure(replace(result, people=(climbing,), floor=f), body) for f in (None, slope))
    assert level["floating_cm"] > 4 and along["floating_cm"] == pytest.approx(3 * normal[1], abs=0.01)
    assert along["foot_slide_mm"] == pytest.approx(level["foot_slide_mm"])


def test_heights_are_those_over_the_support_under_the_feet(result: Reconstruction, body: BodyModel) -> None:
    on_box = _statue(result, body, np.zeros(3), height=0.93)
    foot = posed_points(body, on_box.betas, on_box.pose, on_box.transl)[1][0][on_box.contact[0] > 0.5][0]
    box = Support(0.9, foot[[0, 2]] + np.array([[-0.2, -0.2], [0.2, -0.2], [0.2, 0.2], [-0.2, 0.2]]))
    beside = replace(box, outline=box.outline + [0.5, 0.0])
    for supports, floating in (((), 93), ((beside,), 93), ((beside, box), 3)):
        numbers = measure(replace(result, people=(on_box,), supports=supports), body)
        assert numbers["floating_cm"] == pytest.approx(floating, abs=0.01)
        assert numbers["foot_height_cm"] == pytest.approx(floating, abs=0.01)


def test_a_body_that_floats_is_still_called_floating(result: Reconstruction, body: BodyModel) -> None:
    """A body off the floor by what size and scale may err, and one that lifts off for moments, get no support."""
    times, floating = result.frame_times, []
    whole = _statue(result, body, np.zeros(3), height=0.25)
    moments = _statue(result, body, np.zeros(3))
    hop = np.isin(np.arange(len(moments.frames)) % 15, (0, 1, 2, 3)) * 0.25
    moments = replace(moments, transl=moments.transl + hop[:, None] * [0, 1, 0])
    for person in (whole, moments):
        points = posed_points(body, person.betas, person.pose, person.transl)[1]
        seen = Touching(points, person.contact, person.frames, times[person.frames], sigma=0.1)
        supports = find_supports([seen], body.contact_names, None)
        assert supports == ()
        numbers = measure(replace(result, people=(person,), supports=supports), body)
        floating.append(numbers["floating_cm"])
        assert {row.key: row.verdict for row in rows(numbers)}["floating_cm"] == "poor"
    assert floating == pytest.approx([25, 25], abs=0.1)


def test_sunken_feet_are_penetration(result: Reconstruction, body: BodyModel) -> None:
    numbers = measure(replace(result, people=(_statue(result, body, np.zeros(3), height=-0.06),)), body)
    assert numbers["penetration_cm"] == pytest.approx(6, abs=0.01) and numbers["floating_cm"] == 0
    assert numbers["foot_height_cm"] == pytest.approx(6, abs=0.01)
    assert numbers["foot_slide_mm"] == pytest.approx(0, abs=1e-3)


def test_floating_and_penetration_are_the_two_ends(result: Reconstruction, body: BodyModel) -> None:
    up, down = (_statue(result, body, np.zeros(3), height=h) for h in (0.02, -0.05))
    down = replace(down, id=9)
    numbers = measure(replace(result, people=(up, down)), body)
    assert numbers["floating_cm"] == pytest.approx(2, abs=0.01)
    assert numbers["penetration_cm"] == pytest.approx(5, abs=0.01)
    assert [p["penetration_cm"] for p in numbers["people"]] == [0, pytest.approx(5, abs=0.01)]


def test_slide_counts_only_between_touching_neighbours() -> None:
    points = np.cumsum(np.full((6, 2, 3), [0.003, 0, 0.004]), 0)  # 5 mm a frame
    touching = np.array([[1, 0], [1, 0], [0, 1], [1, 1], [1, 1], [1, 0]], bool)
    way, seconds = foot_slide(points, touching, np.array([0, 1, 2, 3, 4, 9]), np.array([0, 1, 2, 3, 4, 9]) / 10)
    assert len(way) == 4  # 0-1 first point, 2-3 second, 3-4 both; 4-9 are no neighbours
    np.testing.assert_allclose(way, 0.005)
    np.testing.assert_allclose(seconds, 0.1)


def test_jitter_is_the_third_difference_over_time() -> None:
    frames = np.array([0, 1, 2, 3, 4, 8, 9, 10, 11])
    times = frames / 25
    joints = np.zeros((len(frames), 24, 3))
    joints[..., 2] = (times**3)[:, None]  # the jerk of t^3 is 6 m/s^3
    jerk = jitter(joints, frames, times)
    assert len(jerk) == 3 * 24  # two runs: of five and of four frames
    np.testing.assert_allclose(jerk, 0.6, rtol=1e-6)
    assert len(jitter(joints[:3], frames[:3], times[:3])) == 0


def test_jitter_goes_by_time_stamps() -> None:
    times = np.cumsum([0, 1, 1, 2, 1, 1, 2, 1, 2, 2]) / 24  # a third of the frames is missing
    joints = np.zeros((len(times), 24, 3))
    joints[..., 1] = (times**3 - times**2)[:, None]
    np.testing.assert_allclose(jitter(joints, np.arange(len(times)), times), 0.6, rtol=1e-6)


def test_reprojection_against_landmarks_moved_by_a_known_way(result: Reconstruction, body: BodyModel) -> None:
    person = result.people[1]
    _, _, landmarks = posed_points(body, person.betas, person.pose, person.transl)
    cam_from_world = invert(result.world_from_cam[person.frames].astype(float))
    p_cam = landmarks @ cam_from_world[:, :3, :3].swapaxes(1, 2) + cam_from_world[:, None, :3, 3]
    px = project(np.asarray(result.intrinsics, float), p_cam)
    n = len(person.frames)
    visibility = np.ones((n, 33))
    visibility[:, 11] = 0.1  # not seen: may be anywhere
    moved = px + np.array([6.0, 8.0])
    moved[:, 11] += 500
    detected = np.ones(n, bool)
    detected[0] = False  # bridged, not seen
    moved[0] += 500
    track = Track(person.id, person.frames, np.zeros((n, 4)), moved, visibility, np.zeros((n, 33, 3)), detected)
    numbers = measure(result, body, People((track,), np.zeros((30, 4, 4), np.uint8)))
    assert numbers["reprojection_px"] == pytest.approx(10, abs=0.01)
    depth = (cam_from_world[1:] @ np.append(person.joints[1:, 0], np.ones((n - 1, 1)), 1)[..., None])[:, 2, 0]
    percent = np.median(100 * 10 * depth / 620 / person.height_m)
    assert numbers["people"][1]["reprojection_pct"] == pytest.approx(percent, rel=1e-3)
    assert numbers["people"][0]["reprojection_px"] is None  # no track of that person


def test_camera_path_shares_and_scale(result: Reconstruction, body: BodyModel) -> None:
    cameras = np.tile(np.eye(4), (30, 1, 1))
    cameras[:, 0, 3] = 0.1 * np.arange(30)
    numbers = measure(replace(result, world_from_cam=cameras, scale_source="height"), body)
    assert numbers["camera_path_m"] == pytest.approx(2.9)
    assert [p["frames_share"] for p in numbers["people"]] == [1.0, round(len(result.people[1].frames) / 30, 4)]
    assert next(row for row in rows(numbers) if row.name == "Scale").verdict == "fair"


def test_every_threshold_gives_its_verdict() -> None:
    for quantity in QUANTITIES:
        if quantity.good is None or quantity.fair is None:
            continue
        past = 1.01 if quantity.good < quantity.fair else 0.99  # more of the number may be better
        values = (quantity.good / past, (quantity.good + quantity.fair) / 2, quantity.fair * past)
        for value, verdict in zip(values, ("good", "fair", "poor"), strict=True):
            row = next(row for row in rows({quantity.key: value}) if row.name == quantity.name)
            assert row.verdict == verdict and f": {verdict}." in row.sentence and short(value) in row.sentence


def test_nobody_and_no_contact_cannot_be_measured(result: Reconstruction, body: BodyModel) -> None:
    nobody = measure(replace(result, people=()), body)
    assert nobody["foot_slide_mm"] is None and nobody["jitter"] is None and nobody["people"] == []
    assert "Foot slide cannot be measured" in format_table(nobody)
    person = result.people[0]
    lone = {name: getattr(person, name)[:1] for name in ("frames", "pose", "transl", "joints", "contact")}
    once = measure(replace(result, people=(replace(person, **lone),)), body)
    assert once["foot_slide_mm"] is None and once["people"][0]["speed_m_s"] is None
    aloft = replace(person, contact=np.zeros_like(person.contact))
    assert measure(replace(result, people=(aloft,)), body)["floating_cm"] is None


def test_table_is_plain_text_without_exponents() -> None:
    table = format_table({"foot_slide_mm": 45.234, "foot_slide_mm_s": 1357.1, "people": []})
    assert "45.2" in table and "1357" in table and "e+" not in table


def test_the_scale_error_is_judged() -> None:
    said = {row.name: row for row in rows({"scale_sigma_pct": 30.0})}["Scale error"]
    assert said.verdict == "poor" and "30 %" in said.sentence


def _track(person: PersonMotion, feet: np.ndarray) -> Track:
    """Somebody whose ankles, heels and toes are at px `feet` [2] in every frame."""
    n = len(person.frames)
    px = np.full((n, 33, 2), 200.0)
    px[:, 27:33] = feet
    return Track(
        person.id, person.frames, np.zeros((n, 4)), px, np.ones((n, 33)), np.zeros((n, 33, 3)), np.ones(n, bool)
    )


def test_feet_outside_the_picture_are_not_judged(result: Reconstruction, body: BodyModel) -> None:
    still = _statue(result, body, np.zeros(3))
    one = replace(result, people=(still,))
    for feet, known in (([200.0, 300.0], True), ([200.0, result.height + 30.0], False)):
        people = People((_track(still, np.array(feet)),), np.zeros((30, 4, 4), np.uint8))
        numbers = measure(one, body, people)
        assert (numbers["foot_slide_mm"] is not None) == known
        assert (numbers["floating_cm"] is not None) == known
        clip = Clip([b""] * 30, result.frame_times, result.width, result.height, result.fps)
        assert feet_seen_pct(people, clip) == (100.0 if known else 0.0)
    guessed = _track(still, np.array([200.0, 300.0]))
    guessed.visibility[:, 27:33] = 0.05
    people = People((guessed,), np.zeros((30, 4, 4), np.uint8))
    assert measure(one, body, people)["foot_slide_mm"] is None and feet_seen_pct(people, clip) == 0.0


def test_heads_outside_the_picture_are_counted(result: Reconstruction, body: BodyModel) -> None:
    still = _statue(result, body, np.zeros(3))
    track = _track(still, np.array([200.0, 300.0]))
    clip = Clip([b""] * 30, result.frame_times, result.width, result.height, result.fps)
    for share in (1.0, 0.0):
        track.landmarks_px[:, :11, 1] = 20.0 if share else -20.0
        assert heads_seen_pct(People((track,), np.zeros((30, 4, 4), np.uint8)), clip) == 100 * share


def test_good_needs_evidence() -> None:
    sure = {"foot_slide_mm": 1.0, "scale_sigma_pct": 3.0, "scale_source": "contact", "feet_seen_pct": 100.0}
    said = {row.name: row for row in rows(sure)}
    assert [said[n].verdict for n in ("Foot slide", "Scale error", "Scale")] == ["good", "good", "good"]
    for doubt, why in (
        ({"feet_seen_pct": 0.0}, "feet"),
        ({"heads_seen_pct": 0.0}, "heads"),
        ({"heads_seen_pct": 70.0}, "heads"),
        ({"match_cover_pct": 4.0}, "small part of the image"),
        ({"focal_unusual": True}, "unusual"),
        ({"match_agree_pct": 75.0}, "does not fit the camera"),
        ({"no_pinhole": True}, "squeezed, shifted or resized"),
        ({"lens_bend_pct": 31.0}, "bends"),
        ({"focal_from": "clip", "field_deg": 60.0, "focal_sigma_pct": 20.0}, "hardly known"),
    ):
        said = {row.name: row for row in rows({**sure, **doubt})}
        for name in ("Scale error", "Scale"):
            assert said[name].verdict == "fair" and why in said[name].sentence
    slide = {row.name: row for row in rows({**sure, "feet_seen_pct": 0.0})}["Foot slide"]
    assert slide.value is None and slide.verdict == "" and "head to foot" in slide.sentence


def test_the_lens_is_judged_by_how_it_is_known() -> None:
    def lens(source: str, sigma: float, unusual: bool = False) -> QualityRow:
        known = {"field_deg": 64.0, "focal_from": source, "focal_unusual": unusual, "focal_sigma_pct": sigma}
        return next(row for row in rows(known) if row.name == "Lens")

    assert lens("given", 0.0).verdict == "good"
    assert lens("file", 8.0).verdict == "good" and "wrote it into the file" in lens("file", 8.0).sentence
    assert lens("assumed", 30.0).verdict == "fair" and "30 %" in lens("assumed", 30.0).sentence
    assert [lens("clip", sigma).verdict for sigma in (2.0, 10.0, 25.0)] == ["good", "fair", "poor"]
    known = {"field_deg": 64.0, "focal_from": "clip", "focal_sigma_pct": 1.0}
    for share, verdict in ((90.0, "good"), (75.0, "fair"), (60.0, "poor")):
        row = next(row for row in rows({**known, "match_agree_pct": share}) if row.name == "Lens")
        assert row.verdict == verdict and ("does not fit" in row.sentence) == (verdict != "good")
    assert "to within 0.1 %" in lens("clip", 0.0729).sentence and "to within 3.2 %" in lens("clip", 3.16).sentence
    assert lens("clip", 1.0, True).verdict == "poor" and "Give the focal" in lens("clip", 1.0, True).sentence


def test_matches_in_a_corner_cover_little() -> None:
    cameras = CameraPath("moving", np.tile(np.eye(4), (2, 1, 1)), 500.0, 0.01, np.array([0, 1]), np.ones(2, bool))
    clip = Clip([b""] * 2, np.array([0, 1 / 30]), 640, 360, 30.0)
    nobody = People((), np.zeros((2, 36, 64), np.uint8))
    everywhere = np.random.default_rng(0).uniform(0, 1, (600, 1, 2)) * [640, 360]
    for share, least, most in ((1.0, 95, 100), (0.25, 5, 7)):
        px = np.repeat(everywhere * share, 2, 1)
        matches = Matches(np.array([[0, 1]]), np.array([0, 600]), px, np.ones(600))
        assert least <= (match_cover_pct(matches, cameras, nobody, clip) or 0) <= most
    assert match_cover_pct(matches, replace(cameras, kind="static"), nobody, clip) is None
