"""Terms of the joint solver on scenes without noise, where the right answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from josh_core import modes
from josh_core.body.posing import track_points
from josh_core.body.skinning import SkinnedPoints
from josh_core.bodyfit.observations import BONE_FROM, BONE_TO, Observations
from josh_core.joint import JointStart, residuals, schedule
from josh_core.joint.body_points import PointIndex
from josh_core.joint.body_terms import (
    WALKING_SPEED,
    BodyFrames,
    BodySigmas,
    bone_term,
    heading_term,
    people_term,
    remove_landmark_bias,
    static_term,
)
from josh_core.joint.contact_update import update_contact
from josh_core.joint.evaluated_state import EvaluatedState, evaluate_state, points_in_camera
from josh_core.joint.ground import ground_term, support_level
from josh_core.joint.local_plane import inverse_depth_plane
from josh_core.joint.residual_blocks import bone_block, floor_block, ground_block, people_block, surface_block
from josh_core.joint.scene_terms import SceneSigmas, floor_term, near_floor, surface_term
from josh_core.joint.schedule import PreparedClip, prepare
from josh_core.joint.solver import JointModel
from josh_core.joint.variables import FloorTerm, PeopleTerm, Problem, State
from josh_core.settings import Settings
from josh_core.types import Floor
from tests.synthetic import Noise, make_scene
from tests.synthetic.evidence import evidence_of


@pytest.fixture(scope="module")
def start() -> JointStart:
    """A walker before a moving camera, every stage exact, the scale too."""
    synthetic = make_scene("walk", "moving", frames=16, seed=1, noise=Noise.none())
    given = modes.joint_start(evidence_of(synthetic))[1]
    return replace(given, floor=synthetic.floor, scale=1 / synthetic.scene_from_world.scale)


@pytest.fixture(scope="module")
def prep(start: JointStart) -> PreparedClip:
    return prepare(start, Settings(mode="refine"))


def at_start(prep: PreparedClip) -> EvaluatedState:
    return evaluate_state(prep.problem, prep.state, False)


def lifted(prep: PreparedClip, metres: float) -> EvaluatedState:
    """Everybody moved up."""
    assert prep.start.floor is not None
    up = torch.from_numpy(np.asarray(prep.start.floor.normal, np.float64))
    return evaluate_state(prep.problem, replace(prep.state, transl=prep.state.transl + metres * up), False)


# The plane of inverse depth


def planar_patch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """True planes [M,3], pixels [M,m,2] and inverse depths [M,m]."""
    rng = np.random.default_rng(seed)
    px = rng.uniform(-20, 20, (4, 80, 2)) + rng.uniform(-300, 300, (4, 1, 2))
    plane = np.concatenate([rng.normal(0, 2e-5, (4, 2)), rng.uniform(0.15, 0.4, (4, 1))], -1)
    inverse = (px * plane[:, None, :2]).sum(-1) + plane[:, None, 2]
    return torch.from_numpy(plane), torch.from_numpy(px), torch.from_numpy(inverse)


def test_a_plane_is_found_exactly_and_outliers_hardly_move_it() -> None:
    plane, px, inverse = planar_patch()
    found, spread = inverse_depth_plane(px, inverse, torch.ones_like(inverse))
    assert torch.allclose(found, plane, rtol=1e-5, atol=1e-8) and spread.max() < 1e-6
    behind = inverse.clone()
    behind[:, ::8] *= 0.5  # seen past an edge
    robust, _ = inverse_depth_plane(px, behind, torch.ones_like(inverse), rounds=12)
    centre = px.mean(1)
    at = (robust[:, :2] * centre).sum(-1) + robust[:, 2]
    true = (plane[:, :2] * centre).sum(-1) + plane[:, 2]
    assert (at / true - 1).abs().max() < 0.02
    weighted, _ = inverse_depth_plane(px, behind, (behind == inverse).double())
    assert torch.allclose(weighted, plane, rtol=1e-5, atol=1e-8)


def test_a_plane_of_one_or_no_pixel_is_finite() -> None:
    _, px, inverse = planar_patch()
    one = torch.zeros_like(inverse)
    one[:, 3] = 1.0
    found, _ = inverse_depth_plane(px, inverse, one)
    assert torch.allclose(found[:, 2], inverse[:, 3], rtol=1e-4) and found[:, :2].abs().max() < 1e-8
    nothing, spread = inverse_depth_plane(px, inverse, torch.zeros_like(inverse))
    assert torch.isfinite(nothing).all() and torch.isfinite(spread).all()


# Contact with the scene and the floor


def up_of(start: JointStart) -> torch.Tensor:
    assert start.floor is not None
    return torch.from_numpy(np.asarray(start.floor.normal, np.float64))


def test_touching_points_of_exact_bodies_are_on_the_scene(start: JointStart, prep: PreparedClip) -> None:
    at = at_start(prep)
    term = surface_term(at, start, up_of(start), prep.probability, prep.index, SceneSigmas())
    assert term is not None and len(term.body) > 20
    y = points_in_camera(at, term.body, term.point[:, None]).y[:, 0]
    scale = (at.state.log_scale + at.state.log_size[term.knot]).exp()
    over, normal, *_ = residuals.surface_distance(y, term.plane, scale, at.state.log_focal.exp())
    assert float((over + term.clearance).abs().median()) < 0.01  # m
    assert start.floor is not None
    up_cam = at.rotation[prep.problem.frame[term.body]].mT @ torch.from_numpy(np.asarray(start.floor.normal))
    assert float((normal * up_cam).sum(-1).abs().median()) > 0.99  # the plane is the ground
    rows = surface_block(replace(at, problem=replace(prep.problem, surface=term)))
    assert float(rows.r.abs().median()) < 0.5
    frames = set(prep.problem.frame[term.body].tolist())
    assert frames <= set(start.scene.cameras.keyframes.tolist())


def test_no_surface_without_depth_or_without_contact(start: JointStart, prep: PreparedClip) -> None:
    at, depths = at_start(prep), start.scene.depths
    blind = replace(start, scene=replace(start.scene, depths=replace(depths, confidence=0 * depths.confidence)))
    assert surface_term(at, blind, up_of(start), prep.probability, prep.index, SceneSigmas()) is None
    assert surface_term(at, start, up_of(start), 0 * prep.probability, prep.index, SceneSigmas()) is None
    assert (
        surface_term(lifted(prep, 0.8), start, up_of(start), prep.probability, prep.index, SceneSigmas()) is None
    )  # far over it


def test_feet_do_not_stand_on_walls(start: JointStart, prep: PreparedClip) -> None:
    """Where up lies in the ground's plane the ground is a wall, which bears nobody; a hand may still touch it."""
    at, level = at_start(prep), torch.linalg.svd(up_of(start)[None])[2][1]
    term = surface_term(at, start, level, prep.probability, prep.index, SceneSigmas())
    feet = prep.index.contacts[prep.index.feet]
    assert term is None or not torch.isin(term.point, feet).any()


def floor_at(at: EvaluatedState, prep: PreparedClip) -> FloorTerm:
    """The floor and the contact points near it in a state."""
    assert prep.start.floor is not None
    near = near_floor(at, prep.start.floor, prep.index, SceneSigmas())
    return floor_term(prep.start.floor, prep.sequence, prep.probability * near, prep.index, SceneSigmas())


def test_standing_points_of_exact_bodies_are_at_the_floors_height(prep: PreparedClip) -> None:
    term = floor_at(at_start(prep), prep)
    assert torch.equal(term.weight > 0, (prep.probability > 0.25)[:, torch.isin(prep.index.contacts, term.points)])
    rows = floor_block(replace(at_start(prep), problem=replace(prep.problem, floor=term)))
    height = (rows.r[..., 0] * term.sigma)[term.weight > 0]
    assert float(height.abs().median()) < 0.01
    up = floor_block(replace(lifted(prep, 0.05), problem=replace(prep.problem, floor=term))).r[..., 0] * term.sigma
    assert float((up - rows.r[..., 0] * term.sigma).mean()) == pytest.approx(0.05, abs=1e-6)


def test_what_is_far_over_the_floor_touches_something_else(prep: PreparedClip) -> None:
    assert floor_at(lifted(prep, 0.6), prep).weight.numel() == 0


def test_what_was_near_the_floor_in_the_start_stays_held_to_it(prep: PreparedClip) -> None:
    raised = replace(prep.state, transl=lifted(prep, 0.15).state.transl)
    floor = schedule.round_problem(prep, raised, 1.0, first=True).floor
    assert floor is not None and torch.equal(floor.weight, floor_at(at_start(prep), prep).weight)
    high = schedule.round_problem(replace(prep, state=raised), raised, 1.0, first=True).floor
    assert high is not None and not high.weight.numel()


def test_the_level_of_a_support_is_found_where_the_size_of_people_is_known(
    start: JointStart, prep: PreparedClip
) -> None:
    known = replace(start, scale_sigma=0.01, bodies=tuple(replace(b, height_sigma=0.01) for b in start.bodies))
    assert start.floor is not None
    args = start.floor, prep.sequence, prep.probability, prep.index
    assert not support_level(at_start(prep), known, *args).any()
    touching = prep.probability[:, prep.index.feet] > 0.5
    level = support_level(lifted(prep, 0.6), known, *args)[:, prep.index.feet][touching]
    assert float((level - 0.6).abs().median()) < 0.02 and float((level > 0.5).double().mean()) > 0.9
    assert not support_level(lifted(prep, 0.6), replace(known, scale_sigma=0.3), *args).any()


# Collision


def test_what_is_outside_has_no_residual() -> None:
    r, inside = residuals.outside(torch.tensor([0.3, 0.0, -0.2]))
    assert r.tolist() == pytest.approx([0.0, 0.0, -0.2]) and inside.tolist() == [0.0, 0.0, 1.0]


def test_the_distance_from_a_plane() -> None:
    normal = torch.tensor([[0.6, 0.0, 0.8], [0.0, -1.0, 0.0]])
    d = residuals.before_plane(torch.tensor([[3.0, 9.0, 4.0], [1.0, 2.0, 1.0]]), normal, torch.tensor([4.0, 1.0]))
    assert torch.allclose(d, torch.tensor([1.0, -3.0]))


def ground_at(at: EvaluatedState, prep: PreparedClip, level: float = 0.0, start: JointStart | None = None) -> Problem:
    """The problem of a clip with the ground solid, `level` metres over the floor."""
    over = torch.full_like(prep.probability, level)
    ground = ground_term(at, start or prep.start, over, prep.sequence, prep.index, SceneSigmas())
    return replace(prep.problem, ground=ground)


def test_who_is_under_the_floor_is_pushed_up_by_as_much(prep: PreparedClip) -> None:
    at = lifted(prep, -0.1)
    problem = ground_at(at, prep)
    assert problem.ground is not None
    depth = -ground_block(replace(at, problem=problem)).r[..., 0] * problem.ground.sigma
    sole = depth.amax(1)  # of exact bodies whose feet are on the floor in most frames
    assert 0.09 < float(sole.median()) < 0.12
    assert ground_at(lifted(prep, 0.5), prep).ground is None
    deep = ground_at(lifted(prep, -0.5), prep).ground
    assert deep is None or not torch.isin(deep.points, prep.index.contacts[prep.index.feet]).any()


def test_who_is_over_a_support_is_left_alone(prep: PreparedClip) -> None:
    assert ground_at(lifted(prep, -0.1), prep, level=-0.2).ground is None


def test_a_floor_along_steps_is_not_solid(prep: PreparedClip) -> None:
    assert prep.start.floor is not None
    normal = np.asarray(prep.start.floor.normal)
    aside = np.cross(normal, np.roll(normal, 1))
    tilted = normal + np.tan(np.radians(25.0)) * aside / np.linalg.norm(aside)
    steps = replace(prep.start, up=tilted / np.linalg.norm(tilted))
    at = lifted(prep, -0.1)
    assert ground_at(at, prep, start=steps).ground is None and ground_at(at, prep).ground is not None


@pytest.fixture(scope="module")
def pair() -> PreparedClip:
    """Two people who pass each other, every stage exact."""
    synthetic = make_scene("two_people", "static", frames=8, seed=2, noise=Noise.none())
    given = modes.joint_start(evidence_of(synthetic))[1]
    return prepare(given, Settings(mode="refine"))


def beside(pair: PreparedClip, metres: float) -> EvaluatedState:
    """The second person's pelvis `metres` from the first one's in every frame, along the world's x."""
    problem, state = pair.problem, pair.state
    roots = evaluate_state(problem, state, False).points.p[:, 0]
    one, two = problem.person == 0, problem.person == 1
    assert torch.equal(problem.frame[one], problem.frame[two])
    transl = state.transl.clone()
    transl[two] += roots[one] - roots[two] + torch.tensor([metres, 0.0, 0.0], dtype=torch.float64)
    return evaluate_state(problem, replace(state, transl=transl), False)


def test_people_in_each_other_are_pushed_apart(pair: PreparedClip) -> None:
    def term_at(at: EvaluatedState) -> PeopleTerm | None:
        return people_term(at, pair.start, pair.sequence, BodySigmas())

    assert term_at(beside(pair, 3.0)) is None
    at = beside(pair, 0.12)
    problem = replace(pair.problem, people=term_at(at))
    assert problem.people is not None
    rows = people_block(evaluate_state(problem, at.state, True))
    assert float(rows.r.min()) < -1  # standard deviations
    assert rows.by_bodies is not None and rows.first is not None
    push = -(rows.r[..., None] * rows.by_bodies * rows.weight[..., None, None])[
        :, 0, 0, -3:
    ]  # downhill, by translation
    along = torch.zeros(2, dtype=torch.float64).index_add(0, pair.problem.person[rows.first], push[:, 0])
    assert along[0] < 0 < along[1]
    assert float(along.sum().abs()) < 1e-6 * float(along.abs().max())  # as much as each other
    missing = -rows.r[:, 0, 0] * problem.people.sigma  # of each, in metres
    assert torch.allclose(missing[::2], missing[1::2])


def test_a_deep_overlap_pulls_less_than_a_shallow_one(pair: PreparedClip) -> None:
    """Who hugs or carries somebody is not blown apart: the norm gives up on what is many sigma deep."""
    at = beside(pair, 0.12)
    term = people_term(at, pair.start, pair.sequence, BodySigmas())
    assert term is not None
    pull = [float(term.robust.slope(torch.tensor((d / 2 / term.sigma) ** 2)) * d) for d in (0.05, 0.25)]
    assert pull[1] < 0.3 * pull[0]


def test_collision_changes_no_bit_where_nothing_collides(prep: PreparedClip) -> None:
    at = lifted(prep, 0.03)
    with_ground, without = ground_at(at, prep), prep.problem
    assert with_ground.ground is not None
    systems = [JointModel(problem).linearise(at.state) for problem in (with_ground, without)]
    pairs = zip(vars(systems[0]).values(), vars(systems[1]).values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    sunk = [JointModel(problem).cost(lifted(prep, -0.03).state) for problem in (with_ground, without)]
    assert sunk[0] > sunk[1]


# Contact that stays


def frames_of(person: list[int], frame: list[int]) -> BodyFrames:
    p, f = torch.tensor(person), torch.tensor(frame)
    return BodyFrames(p, f, f.double() / 30, torch.ones(len(p), dtype=torch.float64))


def test_static_contact_joins_neighbouring_frames_of_one_person() -> None:
    sequence = frames_of([0, 0, 0, 1, 1], [4, 5, 8, 9, 10])
    probability = torch.tensor([[0.9, 0.4, 0.0], [0.8, 0.5, 0.0], [1, 1, 0], [1, 1, 0], [0.5, 1, 0]]).double()
    index = PointIndex(torch.tensor([24, 25, 26]), torch.zeros(0), torch.ones(3), torch.zeros(3))
    term = static_term(sequence, probability, index, BodySigmas())
    expected = torch.tensor([[0.72, 0.0], [0, 0], [0, 0], [0.5, 1.0]]).double()  # 0.4 x 0.5 is too little
    assert torch.allclose(term.weight, expected) and term.points.tolist() == [24, 25]
    assert term.sigma == pytest.approx(BodySigmas().static / 30)


def moving_feet(speed: float, n: int = 9) -> EvaluatedState:
    """A state whose first point moves and whose second rests on the floor y = 0; a third, no foot, moves too."""
    t = torch.arange(n).double() / 30
    p = torch.zeros(n, 3, 3, dtype=torch.float64)
    p[:, 0, 0] = p[:, 2, 0] = speed * t
    nothing = torch.zeros(0)
    zero = torch.zeros((), dtype=torch.float64)
    state = State(zero, zero, torch.zeros(3, dtype=torch.float64), *[zero] * 6)
    return EvaluatedState(
        None,  # type: ignore[arg-type]
        state,
        nothing,
        nothing,
        nothing,
        SkinnedPoints(p, None, None),
        nothing,
        nothing,
        False,
    )


def test_motion_decides_where_the_labels_do_not() -> None:
    n, half = 9, 0.5
    index = PointIndex(torch.tensor([0, 1, 2]), torch.zeros(0), torch.tensor([True, True, False]), torch.zeros(3))
    sequence = frames_of([0] * n, list(range(n)))
    labels = torch.full((n, 3), half, dtype=torch.float64)
    floor = Floor(np.array([0.0, 1.0, 0.0]), 0.0, 1.0)
    got = update_contact(moving_feet(2.0), sequence, labels, index, floor)
    assert (got[:, 0] < got[:, 1]).all() and (got[:, 1] > 0.95).all()
    assert (got[:, 2] == half).all()  # only feet are judged
    box = torch.zeros_like(labels)
    box[:, 1] = 0.4  # the second point is far under its own support
    assert (update_contact(moving_feet(2.0), sequence, labels, index, floor, box)[:, 1] < got[:, 1] - 0.2).all()
    by_speed = update_contact(moving_feet(2.0), sequence, labels, index, None)
    assert (by_speed[:, 0] < 0.1).all() and (by_speed[:, 1] > 0.9).all()


def test_a_label_is_never_certain_and_a_single_frame_keeps_it() -> None:
    index = PointIndex(torch.tensor([0, 1, 2]), torch.zeros(0), torch.tensor([True, True, False]), torch.zeros(3))
    wrong = torch.zeros(9, 3, dtype=torch.float64)
    got = update_contact(moving_feet(2.0), frames_of([0] * 9, list(range(9))), wrong, index, None)
    assert 0.1 < float(got[4, 1]) < 0.5  # it rests, against a sure label
    one = torch.full((1, 3), 0.3, dtype=torch.float64)
    assert update_contact(moving_feet(0.0, 1), frames_of([0], [0]), one, index, None) is one


# Where people go


def test_the_direction_of_travel_is_the_paths_and_who_stands_has_none() -> None:
    sequence, up = frames_of([0] * 9, list(range(9))), torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    at = moving_feet(1.5)  # its first point, the root, goes along +x
    climbing = replace(at, points=at.points._replace(p=at.points.p + at.points.p[..., :1] * 0.3 * up))
    for state in (at, climbing):  # stairs change nothing
        term = heading_term(state, sequence, up, BodySigmas())
        np.testing.assert_allclose(term.ahead.numpy(), np.tile([1.0, 0.0, 0.0], (9, 1)), atol=1e-9)
        share = min(1.0, float(sequence.independent[0]) * BodySigmas().correlated / BodySigmas().heading_correlated)
        gate = 1.5**4 / (1.5**4 + WALKING_SPEED**4)
        np.testing.assert_allclose(term.weight.numpy(), gate * share, rtol=1e-9)
    assert (heading_term(moving_feet(0.0), sequence, up, BodySigmas()).weight == 0).all()


# The landmarks' constant errors


def test_a_constant_error_of_a_landmark_is_found(start: JointStart, prep: PreparedClip) -> None:
    term, at = prep.problem.landmarks, at_start(prep)
    assert term is not None
    sure = replace(term, sigma=0 * term.sigma + 1.0, weight=0 * term.weight + 1.0)
    y = points_in_camera(at, torch.arange(len(prep.problem.frame)), term.points).y
    u, _ = residuals.pixel(y, at.state.log_focal.exp())
    off = 0.02 * at.state.log_focal.exp() / y[:, 7, 2]  # 2 cm to the right, in px
    px = u.clone()
    px[:, 7, 0] += off
    clean = remove_landmark_bias(replace(sure, px=px), at, BodySigmas().bias)
    # The constant shrinks by its prior: information of n frames against 1 / bias^2.
    metre = y[:, 7, 2] / at.state.log_focal.exp()
    slope = term.robust.slope(off**2)
    information = float((slope / metre**2).sum())
    left = 0.02 * (1 - information / (information + 1 / BodySigmas().bias ** 2))
    assert ((clean.px - u)[:, 7, 0] * metre).numpy() == pytest.approx(left, abs=1e-9)
    others = torch.ones(33, dtype=torch.bool)
    others[7] = False
    assert torch.allclose(clean.px[:, others], u[:, others])


# Bones


def test_bones_point_as_observed_whatever_the_size_of_the_observed_body(start: JointStart, prep: PreparedClip) -> None:
    true = [track_points(body, start.body).landmarks for body in start.bodies]
    bones = [0.8 * (points[:, BONE_TO] - points[:, BONE_FROM]) for points in true]  # of a smaller body
    seen = tuple(replace(o, bones=b) for o, b in zip(start.observations, bones, strict=True))

    def off(observations: tuple[Observations, ...]) -> Tensor:
        """Mean distance [B] in metres between the bones of the start and those of the term."""
        term = bone_term(replace(start, observations=observations), prep.sequence, prep.index, BodySigmas())
        at = evaluate_state(
            replace(prep.problem, bones=replace(term, sigma=torch.ones_like(term.sigma))), prep.state, False
        )
        return bone_block(at).r.norm(dim=-1).mean(0)

    length = np.linalg.norm(true[0][:, BONE_TO] - true[0][:, BONE_FROM], axis=-1).mean(0)
    assert (off(seen).numpy() < 0.03 * length).all()  # lengths of single frames differ a little from their mean
    turned = tuple(replace(o, bones=o.bones @ turn_about_sight(20.0)) for o in seen)
    expected = 2 * np.sin(np.radians(10.0))  # of a bone across the axis of the turn
    assert 0.8 * expected < float((off(turned).numpy() / length).max()) < 1.1 * expected


def turn_about_sight(degrees: float) -> np.ndarray:
    """A rotation [3,3] about the camera's axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
