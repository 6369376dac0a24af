"""Supports found from made-up holds in a level world with known patches."""

from __future__ import annotations

import numpy as np
import pytest

from josh_core.contact.supports import Touching, common_sigma, find_supports, ground_of_steps, height_over_support
from josh_core.types import Floor, Support

NAMES = ("left_heel", "left_toe", "right_heel", "right_toe", "left_seat", "right_seat", "left_hand", "upper_back")
FPS, STANCE, CYCLE = 30.0, 18, 30  # frames a second, of a stance, between stances of one foot
FLAT = Floor(np.array([0.0, 1.0, 0.0]), 0.0, 1.0)
SIGMA = 0.1  # m, common error of a person's heights


def walker(height, speed=1.2, noise=0.01, seed=0, along=(1.0, 0.0)) -> Touching:
    """Somebody who walks from the origin; height(x) gives what is under a foot x m along the way."""
    rng = np.random.default_rng(seed)
    frames = 150
    points, probability = np.zeros((frames, len(NAMES), 3)), np.zeros((frames, len(NAMES)))
    points[..., 1] = 0.5
    for foot in (0, 1):
        for start in range(foot * CYCLE // 2, frames, CYCLE):
            rows = slice(start, min(start + STANCE, frames))
            way = speed * start / FPS
            y = height(way) + noise * rng.standard_normal()
            for point, ahead in ((2 * foot, 0.0), (2 * foot + 1, 0.2)):
                place = (way + ahead) * np.array(along) + (foot - 0.5) * 0.2 * np.array([-along[1], along[0]])
                points[rows, point] = [place[0], y, place[1]]
                probability[rows, point] = 0.9
    points[:, :, 1] += 0.003 * rng.standard_normal((frames, 1))
    return Touching(points, probability, np.arange(frames), np.arange(frames) / FPS, SIGMA)


def stander(place, y, frames=90, sigma=SIGMA) -> Touching:
    """Somebody who stands still."""
    points = np.full((frames, len(NAMES), 3), [place[0], 1.0 + y, place[1]])
    points[:, :4] = [place[0], y, place[1]] + np.array([[-0.1, 0, 0], [-0.1, 0, 0.2], [0.1, 0, 0], [0.1, 0, 0.2]])
    probability = np.zeros((frames, len(NAMES)))
    probability[:, :4] = 0.9
    return Touching(points, probability, np.arange(frames), np.arange(frames) / FPS, sigma)


def shifted(person: Touching, metres: float) -> Touching:
    return Touching(person.points + [0, metres, 0], person.probability, person.frames, person.times, person.sigma)


def heights(supports: tuple[Support, ...]) -> list[float]:
    return sorted(support.height for support in supports)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("noise", [0.0, 0.015, 0.02])
def test_noise_on_flat_ground_makes_no_patch(seed, noise):
    people = [walker(lambda x: 0.0, noise=noise, seed=seed), walker(lambda x: 0.0, 0.7, noise=noise, seed=seed + 99)]
    assert find_supports(people, NAMES, FLAT) == ()
    assert find_supports(people, NAMES, None) == ()


@pytest.mark.parametrize("degrees", [1.0, 3.0, 6.0])
def test_a_slope_that_the_floor_follows_or_misses_makes_no_patch(degrees):
    rise = np.tan(np.radians(degrees))
    person = walker(lambda x: -rise * x)
    slope = Floor(np.array([rise, 1.0, 0.0]) / np.hypot(rise, 1), 0.0, 1.0)
    assert find_supports([person], NAMES, slope) == ()
    if degrees < 4:  # a floor that is fitted wrongly by so much
        assert find_supports([person], NAMES, FLAT) == ()


@pytest.mark.parametrize("wrong", [0.15, -0.15])
def test_one_wrong_step_among_right_ones_makes_no_patch(wrong):
    assert find_supports([walker(lambda x: wrong * (2.2 < x < 2.6))], NAMES, FLAT) == ()


@pytest.mark.parametrize("up", [0.12, -0.12])
def test_a_kerb_is_one_patch(up):
    (kerb,) = find_supports([walker(lambda x: up * (x > 2.9))], NAMES, FLAT)
    assert kerb.height == pytest.approx(up, abs=0.02)
    assert kerb.outline[:, 0].min() > 2.5 and kerb.outline[:, 0].max() > 4.5  # from the first footprint to the last


def test_each_tread_of_stairs_is_a_patch():
    tread, rise = 0.6, 0.16  # m: of one footprint each
    person = walker(lambda x: rise * np.floor(x / tread + 1e-6), noise=0.004)
    found = find_supports([person], NAMES, FLAT)
    assert heights(found) == pytest.approx([rise * k for k in range(1, 1 + len(found))], abs=0.02)
    assert len(found) == 9


def test_holds_of_two_people_share_a_box_and_keep_their_own_ground():
    people = [
        stander((0.0, 0.0), 0.9),
        shifted(stander((0.4, 0.1), 0.9), 0.03),
        walker(lambda x: 0.0, along=(0.0, 1.0)),
        stander((5.0, 0.0), 0.5),
    ]
    found = find_supports(people, NAMES, FLAT)
    assert heights(found) == pytest.approx([0.5, 0.915], abs=0.01)


def test_a_person_of_wrong_height_sinks_in_and_makes_no_patch():
    """One person's heights may be off together, as far as size and scale are unknown; a box counts from there."""
    low = shifted(walker(lambda x: 0.5 * (x > 3.5), seed=3), -0.2)
    (box,) = find_supports([low], NAMES, FLAT)
    assert box.height == pytest.approx(0.5, abs=0.03)
    assert find_supports([shifted(stander((0.0, 0.0), 0.0), 0.25)], NAMES, FLAT) == ()
    assert len(find_supports([shifted(stander((0.0, 0.0), 0.0), 0.35)], NAMES, FLAT)) == 1
    assert common_sigma(0.06, 0.08, np.array([[0.0, 1.5, 0.0]]), FLAT) == pytest.approx(0.15)


def test_what_does_not_last_or_rest_makes_no_patch():
    still = stander((0.0, 0.0), 0.0)
    moment = still.points.copy()
    moment[40:46, :4, 1] += 0.5  # a fifth of a second in the air, taken for contact
    drifting = still.points.copy()
    drifting[40:, :4, 1] += np.linspace(0, 0.6, 50)[:, None]
    for points in (moment, drifting):
        off = Touching(points, still.probability, still.frames, still.times, SIGMA)
        assert find_supports([off], NAMES, FLAT) == ()
        assert np.percentile(height_over_support(points[:, :4], FLAT, ()), 99) > 0.4  # and it is still seen to float


def test_a_seat_is_a_patch_of_its_own():
    person = stander((0.0, 0.0), 0.0)
    person.points[:, 4:6] = [[-0.1, 0.44, -0.4], [0.1, 0.46, -0.4]]
    person.probability[20:, 4:6] = 0.9
    (seat,) = find_supports([person], NAMES, FLAT)
    assert seat.height == pytest.approx(0.45, abs=0.01)
    assert (seat.outline[:, 1] < -0.2).all()
    person.probability[40:, 4:6] = 0.0  # for two thirds of a second only
    assert find_supports([person], NAMES, FLAT) == ()


def test_height_is_over_the_nearest_of_floor_and_patch():
    patch = Support(0.8, np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]))
    points = np.array([[0.0, 0.83, 0.0], [0, 0.1, 0], [3, 0.83, 0], [0.9, 0.7, 0.9]])
    assert height_over_support(points, FLAT, (patch,)) == pytest.approx([0.03, 0.1, 0.83, -0.1])
    turned = Support(0.8, patch.outline[::-1])
    assert height_over_support(points[None], FLAT, (turned,))[0] == pytest.approx([0.03, 0.1, 0.83, -0.1])
    slope = Floor(np.array([0.6, 0.8, 0.0]), 1.0, 1.0)
    assert height_over_support(points, slope, ()) == pytest.approx(points @ slope.normal + 1.0)


def test_ground_under_a_plane_along_the_stairs_is_level():
    person = shifted(walker(lambda x: 0.3 * np.floor(x / 0.6 + 1e-6), noise=0.0), 0.2)
    steep = Floor(np.array([-0.5, 1.0, 0.0]) / np.hypot(0.5, 1), 0.0, 1.0)
    level = ground_of_steps(steep, [person], NAMES)
    assert level.normal.tolist() == [0, 1, 0] and level.offset == pytest.approx(-0.2, abs=0.01)
    hill = Floor(np.array([-0.1, 1.0, 0.0]) / np.hypot(0.1, 1), 0.0, 1.0)
    assert ground_of_steps(hill, [person], NAMES) is hill
    assert ground_of_steps(steep, [], NAMES) is steep
