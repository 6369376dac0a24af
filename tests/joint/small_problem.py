"""A little random problem with every term, for tests of derivatives and of the solver's algebra."""

from __future__ import annotations

import torch
from torch import Tensor

from josh_core.body.skinning import SkinningTable
from josh_core.joint import rotations as rot
from josh_core.joint.evaluated_state import evaluate_state
from josh_core.joint.matches import Pixels, pack_matches, whiten_matches
from josh_core.joint.prior import SharedSigmas, shared_prior, start_state
from josh_core.joint.residuals import second_difference
from josh_core.joint.variables import (
    BODY_UNKNOWNS,
    BoneTerm,
    Cameras,
    FloorTerm,
    GlobalsLayout,
    HeadingTerm,
    LandmarkTerm,
    MatchTerm,
    PeopleTerm,
    Problem,
    SmoothTerm,
    StartTerm,
    State,
    StaticTerm,
    SurfaceTerm,
    retract,
)
from josh_core.lsq.robust import Cauchy, Geman

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
FRAMES, KNOTS, CONTACTS, LANDMARKS = 7, 3, 4, 5


def rand(gen: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=gen, dtype=torch.float64)


def little_table(gen: torch.Generator) -> SkinningTable:
    """A body of 24 joints with points that hang on several joints at once."""
    points = CONTACTS + LANDMARKS
    share = torch.rand(points, 24, generator=gen, dtype=torch.float64) ** 8
    share = share / share.sum(1, keepdim=True)
    eye, still = torch.eye(24, dtype=torch.float64), torch.zeros(24, 24, 3, dtype=torch.float64)
    return SkinningTable(
        parents=PARENTS,
        joints=0.3 * rand(gen, 24, 3),
        joints_beta=0.02 * rand(gen, 24, 3, 10),
        weights=torch.cat([eye, share]),
        offsets=torch.cat([still, 0.1 * rand(gen, points, 24, 3)]),
        offsets_beta=torch.cat([still[..., None].expand(-1, -1, -1, 10), 0.01 * rand(gen, points, 24, 3, 10)]),
    )


def little_problem(seed: int = 0, counts: tuple[int, ...] = (6, 3)) -> tuple[Problem, State]:
    """People with counts[k] frames each before a moving camera, all at random, and a state off the start."""
    gen = torch.Generator().manual_seed(seed)
    table, n = little_table(gen), sum(counts)
    person = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.long))
    frame = torch.cat([torch.zeros(0, dtype=torch.long), *(torch.arange(c) for c in counts)])
    knot = torch.tensor([[0, 1], [0, 1], [0, 1], [1, 2], [1, 2], [1, 2], [1, 2]])
    w = torch.tensor([0.0, 0.4, 0.8, 0.0, 0.3, 0.7, 1.0], dtype=torch.float64)
    cameras = Cameras(
        rotation=rot.exp(0.2 * rand(gen, FRAMES, 3)),
        centre=0.3 * rand(gen, FRAMES, 3),
        knot=knot,
        mix=torch.stack([1 - w, w], -1),
        knot_frame=torch.tensor([0, 3, 6]),
        principal=torch.tensor([320.0, 240.0], dtype=torch.float64),
        focal=500.0,
    )
    start = StartTerm(
        rotations=rot.exp(0.3 * rand(gen, n, 24, 3)),
        transl=rand(gen, n, 3) * 0.3 + torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64),
        betas=rand(gen, len(counts), 10),
        sigma_pose=torch.full((24,), 0.1, dtype=torch.float64),
        sigma_depth=torch.full((n,), 0.05, dtype=torch.float64),
        sigma_across=0.05,
    )
    roots = table.joints[0] + start.betas @ table.joints_beta[0].T
    state = start_state(cameras, start, 1.3, roots, person, frame)
    layout = GlobalsLayout(len(counts), KNOTS)
    prior = shared_prior(layout, state, SharedSigmas(torch.full((len(counts), 10), 0.3, dtype=torch.float64)))
    problem = Problem(table, cameras, person, frame, torch.ones(layout.size, dtype=torch.bool), start, prior)
    terms = _terms(gen, problem, counts)
    problem = Problem(**{**vars(problem), **terms})
    state = nudged(problem, state, gen, 0.03)
    return Problem(**{**vars(problem), "matches": whiten_matches(evaluate_state(problem, state, False), 1.5)}), state


def nudged(problem: Problem, state: State, gen: torch.Generator, size: float) -> State:
    """The state after a random step."""
    return retract(
        problem, state, size * rand(gen, problem.layout.size), size * rand(gen, len(problem.frame), BODY_UNKNOWNS)
    )


def _match_term(gen: torch.Generator) -> MatchTerm:
    """75 correspondences between knots 0 and 1 and between 1 and 2."""
    pixels = Pixels(
        a=torch.tensor([0] * 70 + [1] * 5),
        b=torch.tensor([1] * 70 + [2] * 5),
        px_a=60 * rand(gen, 75, 2),
        px_b=60 * rand(gen, 75, 2),
        near=torch.rand(75, 2, generator=gen, dtype=torch.float64) + 3,
        ratio=torch.rand(75, 2, generator=gen, dtype=torch.float64),
        weight=torch.rand(75, 2, generator=gen, dtype=torch.float64),
        sigma_depth=torch.full((75, 2), 0.05, dtype=torch.float64),
    )
    return pack_matches(pixels, Cauchy(50.0))


def _surface_term(gen: torch.Generator, problem: Problem) -> SurfaceTerm:
    """One contact point of every body frame at a knot."""
    on_knots = torch.isin(problem.frame, problem.cameras.knot_frame).nonzero()[:, 0]
    m = len(on_knots)
    return SurfaceTerm(
        body=on_knots,
        point=torch.full((m,), 25),
        knot=problem.frame[on_knots] // 3,
        plane=0.0005 * rand(gen, m, 3) + torch.tensor([0.0, 0.0, 0.25], dtype=torch.float64),
        clearance=0.1 * rand(gen, m),
        sigma=torch.rand(m, generator=gen, dtype=torch.float64) + 0.1,
        weight=torch.rand(m, generator=gen, dtype=torch.float64),
        robust=Geman(6.0),
    )


def _people_term(gen: torch.Generator, problem: Problem) -> PeopleTerm:
    """Two planes in every body frame."""
    m = 2 * len(problem.frame)
    share = torch.rand(m, 4, generator=gen, dtype=torch.float64)
    return PeopleTerm(
        body=torch.arange(m) // 2,
        points=torch.randint(0, 24 + CONTACTS, (m, 4), generator=gen),
        share=share / share.sum(1, keepdim=True),
        normal=torch.nn.functional.normalize(rand(gen, m, 3), dim=-1),
        offset=3 * rand(gen, m),
        weight=torch.rand(m, generator=gen, dtype=torch.float64),
        sigma=0.2,
        robust=Geman(30.0),
    )


def _terms(gen: torch.Generator, problem: Problem, counts: tuple[int, ...]) -> dict:
    n, contacts = len(problem.frame), torch.arange(24, 24 + CONTACTS)
    same = problem.person[1:] == problem.person[:-1]
    touching = torch.rand(max(n - 1, 0), CONTACTS, generator=gen, dtype=torch.float64) * same[:, None]
    step = torch.rand(max(n - 1, 0), generator=gen, dtype=torch.float64) + 0.5
    smooth_weight = (same[1:] & same[:-1]).double()
    return {
        "matches": _match_term(gen),
        "surface": _surface_term(gen, problem),
        "floor": FloorTerm(
            normal=torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64),
            axes=torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64),
            offset=torch.tensor(1.1, dtype=torch.float64),
            points=contacts,
            clearance=0.1 * rand(gen, CONTACTS),
            weight=torch.rand(n, CONTACTS, generator=gen, dtype=torch.float64),
            sigma=0.2,
            robust=Geman(8.0),
        ),
        "ground": FloorTerm(
            normal=torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64),
            axes=torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64),
            offset=torch.tensor(1.1, dtype=torch.float64),
            points=contacts,
            clearance=1.4 + 0.5 * rand(gen, CONTACTS),
            weight=torch.rand(n, CONTACTS, generator=gen, dtype=torch.float64),
            sigma=0.2,
            robust=Cauchy(8.0),
            one_sided=True,
        ),
        "people": _people_term(gen, problem),
        "static": StaticTerm(contacts, touching, 0.1, Cauchy(20.0)),
        "heading": HeadingTerm(
            torch.nn.functional.normalize(rand(gen, n, 3), dim=-1),
            torch.rand(n, generator=gen, dtype=torch.float64),
            0.2,
            Geman(6.0),
        ),
        "smooth": SmoothTerm(
            second_difference(step[:-1], step[1:]) * smooth_weight[:, None],
            torch.full((24,), 0.3, dtype=torch.float64),
            smooth_weight,
            Cauchy(20.0),
        ),
        "landmarks": LandmarkTerm(
            points=torch.arange(24 + CONTACTS, 24 + CONTACTS + LANDMARKS),
            px=50 * rand(gen, n, LANDMARKS, 2),
            sigma=torch.rand(n, LANDMARKS, generator=gen, dtype=torch.float64) * 20 + 10,
            weight=torch.rand(n, LANDMARKS, generator=gen, dtype=torch.float64),
            robust=Cauchy(20.0),
        ),
        "bones": BoneTerm(
            ends=24 + CONTACTS + torch.tensor([[0, 1, 2], [1, 3, 4]]),
            bones=0.3 * rand(gen, n, 3, 3),
            sight=rot.exp(rand(gen, n, 3)),
            sigma=torch.rand(n, 3, 3, generator=gen, dtype=torch.float64) + 0.1,
            weight=torch.rand(n, 3, generator=gen, dtype=torch.float64),
            robust=Cauchy(20.0),
        ),
    }
