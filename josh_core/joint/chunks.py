"""Long clips: overlapping chunks solved one after the other, so that memory is bounded by the chunk.

1. Every chunk is solved alone. What they all share (focal, scale, floor, shapes) is fused by their information.
2. With these fixed, the chunks are solved again from first to last. Frames before a seam keep the solution of the
   previous chunk, which overlaps the seam by a second, so that there is no jump at the seam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from josh_core.joint.interface import JointStart
from josh_core.joint.schedule import (
    STEPS,
    JointSolution,
    PreparedClip,
    by_contact,
    prepare,
    round_problem,
    solve_rounds,
)
from josh_core.joint.solver import JointModel, minimise
from josh_core.joint.variables import CAMERA_UNKNOWNS, GlobalsLayout, State, bodies_in_cameras, globals_of, with_bodies
from josh_core.lsq.levenberg_marquardt import Solution
from josh_core.types import Clip, Int, Matches

# Chosen by hand, except where a measurement or a source is given.
MAX_BODIES = 1200  # body frames in a chunk, before its overlaps
MAX_SECONDS = 12.0  # s of a chunk, likewise: keyframes, the other part of the memory, come with time
OVERLAP_SECONDS = 1.0  # s by which a chunk overlaps the next one


@dataclass(frozen=True)
class Chunk:
    """Frames first .. last (inclusive) of a clip; those up to `seam` are solved in the previous chunk."""

    first: int
    seam: int  # -1 for the first chunk
    last: int


@dataclass(frozen=True)
class ChunkProblem:
    """A chunk as a problem of its own, and the indices of its unknowns in the whole clip's problem."""

    chunk: Chunk
    prepared: PreparedClip
    people: Tensor  # [P'] int
    knots: Tensor  # [K'] int
    rows: Tensor  # [N'] int body frames
    shared: Tensor  # [G'] int columns of the whole clip's shared unknowns


def systems(count: int) -> int:
    """How many linear systems `count` chunks take at most; one chunk is a clip in one piece."""
    return sum(STEPS) if count == 1 else count * (sum(STEPS) + STEPS[-1])


def seams_of(start: JointStart) -> list[int]:
    """Frames after which a new chunk begins; none for a clip that is solved in one piece.

    A seam lies on a keyframe, where the camera's correction is one of the unknowns.
    """
    times, path = np.asarray(start.clip.times, np.float64), start.scene.cameras
    present = np.zeros(len(times))
    for body in start.bodies:
        present[body.frames] += 1
    load = np.maximum(present / MAX_BODIES, np.gradient(times) / MAX_SECONDS) if len(times) > 1 else present
    count = int(np.ceil(load.sum() - 1e-9))
    wanted = np.interp(np.arange(1, count) * load.sum() / max(count, 1), load.cumsum(), np.arange(len(times)))
    inner = np.asarray(path.keyframes)[1:-1]  # before the first seam and after the last there is a keyframe
    if not len(inner):
        return []
    nearest = np.unique(inner[np.abs(inner[None] - wanted[:, None]).argmin(1)]) if len(wanted) else inner[:0]
    return [int(seam) for seam in nearest]


def solve_chunks(prepared: PreparedClip, seams: list[int], tick: Callable[[], None]) -> JointSolution:
    """A clip cut after the frames `seams`."""
    parts = [_part(prepared, chunk) for chunk in _chunks(prepared.start, seams)]
    alone = [solve_rounds(part.prepared, tick) for part in parts]
    iterations = sum(count for _, _, count in alone)
    shared, covariance, free = _fused(prepared, parts, [(solution, problem.free) for solution, problem, _ in alone])
    state = _with_shared(prepared, shared)
    before = after = 0.0
    for part, (solution, _, _) in zip(parts, alone, strict=True):
        at = _carried(prepared, state, part, solution.state)
        again = replace(round_problem(part.prepared, at, 1.0, first=False), free=_unheld(part), held=_held(part))
        again_solution = minimise(JointModel(again), at, STEPS[-1], tick=tick)
        before += minimise(JointModel(again), part.prepared.state, 0).cost
        after += again_solution.cost
        iterations += again_solution.iterations
        state = _written(state, part, again_solution.state)
    column = GlobalsLayout.scale
    sigma = float(covariance[column, column].sqrt()) if bool(free[column]) else None
    return JointSolution(
        state, before, (after,), iterations, sigma, any(by_contact(problem) for _, problem, _ in alone)
    )


def _chunks(start: JointStart, seams: list[int]) -> list[Chunk]:
    times, keys = np.asarray(start.clip.times), np.asarray(start.scene.cameras.keyframes)
    out = []
    for seam, end in zip([-1, *seams], [*seams, len(times) - 1], strict=True):
        first = 0 if seam < 0 else int(max(keys[keys < seam].max(), 0))
        first = max(0, min(first, seam - 2))  # accelerations reach over three frames
        beyond = np.flatnonzero(times > times[end] + OVERLAP_SECONDS)
        last = len(times) - 1 if not len(beyond) else int(beyond[0])
        out.append(Chunk(first, seam, last))
    return out


def _part(prepared: PreparedClip, chunk: Chunk) -> ChunkProblem:
    start, sequence = prepared.start, prepared.sequence
    here = (sequence.frame >= chunk.first) & (sequence.frame <= chunk.last)
    people = torch.unique(sequence.person[here])
    keys = torch.from_numpy(np.asarray(start.scene.cameras.keyframes, np.int64))
    knots = ((keys >= chunk.first) & (keys <= chunk.last)).nonzero()[:, 0]
    cut = _cut(start, chunk, people.tolist(), knots.numpy())
    layout = prepared.problem.layout
    shared = torch.cat([torch.arange(layout.betas), layout.person(people).reshape(-1)])
    return ChunkProblem(
        chunk, prepare(cut, prepared.settings, prepared.options), people, knots, here.nonzero()[:, 0], shared
    )


def _cut(start: JointStart, chunk: Chunk, people: list[int], knots: Int) -> JointStart:
    """The start values of a chunk's frames; frames are counted from its first."""
    clip, path, depths = start.clip, start.scene.cameras, start.scene.depths
    window = slice(chunk.first, chunk.last + 1)
    cameras = replace(
        path,
        world_from_cam=path.world_from_cam[window],
        keyframes=np.asarray(path.keyframes)[knots] - chunk.first,
        registered=path.registered[window],
    )
    if len(depths.depth):
        depths = replace(
            depths, depth=depths.depth[knots], confidence=depths.confidence[knots], backdrop=depths.backdrop[knots]
        )
    scene = replace(start.scene, cameras=cameras, matches=_cut_matches(start.scene.matches, knots), depths=depths)
    kept = [_within(start.bodies[i].frames, chunk) for i in people]
    bodies = [
        replace(b, frames=b.frames[k] - chunk.first, rotations=b.rotations[k], transl=b.transl[k])
        for b, k in zip((start.bodies[i] for i in people), kept, strict=True)
    ]
    contacts = [
        replace(start.contacts[i], probability=start.contacts[i].probability[k])
        for i, k in zip(people, kept, strict=True)
    ]
    return replace(
        start,
        clip=_cut_clip(clip, window),
        scene=scene,
        observations=tuple(start.observations[i].at(k) for i, k in zip(people, kept, strict=True)),
        bodies=tuple(bodies),
        contacts=tuple(contacts),
    )


def _within(frames: Int, chunk: Chunk) -> np.ndarray:
    return (frames >= chunk.first) & (frames <= chunk.last)


def _cut_clip(clip: Clip, window: slice) -> Clip:
    return replace(clip, jpegs=clip.jpegs[window], times=np.asarray(clip.times)[window] - clip.times[window.start])


def _cut_matches(matches: Matches, knots: Int) -> Matches:
    """Matches between keyframes `knots` [K'], whose indices become 0 .. K' - 1."""
    pairs = np.asarray(matches.pairs, np.int64).reshape(-1, 2)
    kept = np.isin(pairs, knots).all(1)
    counts = np.diff(matches.offsets)
    rows = np.repeat(kept, counts)
    return Matches(
        pairs=np.searchsorted(knots, pairs[kept]),
        offsets=np.concatenate([[0], counts[kept].cumsum()]),
        px=matches.px[rows],
        confidence=matches.confidence[rows],
    )


def _fused(
    prepared: PreparedClip, parts: list[ChunkProblem], solved: list[tuple[Solution[State], Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Shared unknowns [G] of all chunks together, their covariance [G,G] and which of them are free [G].

    The prior takes part in every chunk and is counted once.
    """
    size = prepared.problem.layout.cameras
    start = globals_of(prepared.state)[:size]
    prior = prepared.problem.shared.jacobian[:size, :size].diagonal() ** 2
    information, pull = torch.diag(prior), torch.zeros(size, dtype=torch.float64)
    for part, (solution, free) in zip(parts, solved, strict=True):
        moving = free[: len(part.shared)]
        columns, count = part.shared[moving], int(moving.sum())
        if not count:
            continue
        seen = torch.linalg.inv(solution.covariance[:count, :count]) - torch.diag(prior[columns])
        away = globals_of(solution.state)[: len(part.shared)][moving] - start[columns]
        information[columns[:, None], columns] += seen
        # The chunk minimises its data and the prior together: (H_data + H_prior) step = -gradient of the data.
        pull[columns] += (seen + torch.diag(prior[columns])) @ away
    free = prepared.problem.free[:size]
    covariance = torch.zeros_like(information)
    columns = free.nonzero()[:, 0]
    covariance[columns[:, None], columns] = torch.linalg.inv(information[columns][:, columns])
    return start + covariance @ pull, covariance, free


def _with_shared(prepared: PreparedClip, shared: Tensor) -> State:
    """The whole clip's start with the shared unknowns [G] in place."""
    layout = prepared.problem.layout
    return replace(
        prepared.state,
        log_focal=shared[layout.focal],
        log_scale=shared[layout.scale],
        floor=shared[layout.floor : layout.betas],
        betas=shared[layout.betas : layout.cameras].reshape(-1, layout.shape),
    )


def _carried(prepared: PreparedClip, whole: State, part: ChunkProblem, alone: State) -> State:
    """A chunk's own solution with the fused shared unknowns, moved rigidly so that it continues the previous chunk."""
    held = part.knots[_held_knots(part)]
    turn, shift, size = alone.camera_turn.clone(), alone.camera_shift.clone(), alone.log_size.clone()
    if len(held):
        seam = len(held) - 1
        turn += whole.camera_turn[held[-1]] - turn[seam]
        shift += whole.camera_shift[held[-1]] - shift[seam]
        turn[: len(held)], shift[: len(held)] = whole.camera_turn[held], whole.camera_shift[held]
        size[: len(held)] = whole.log_size[held]
    state = replace(
        alone,
        log_focal=whole.log_focal,
        log_scale=whole.log_scale,
        floor=whole.floor,
        betas=whole.betas[part.people],
        camera_turn=turn,
        camera_shift=shift,
        log_size=size,
    )
    state = with_bodies(part.prepared.problem, state, *bodies_in_cameras(part.prepared.problem, alone))
    before = _held(part)
    rotations, transl = state.rotations.clone(), state.transl.clone()
    rotations[before], transl[before] = whole.rotations[part.rows[before]], whole.transl[part.rows[before]]
    return replace(state, rotations=rotations, transl=transl)


def _held(part: ChunkProblem) -> Tensor:
    """Body frames [N'] that the chunk before has placed."""
    return part.prepared.sequence.frame + part.chunk.first <= part.chunk.seam


def _held_knots(part: ChunkProblem) -> Tensor:
    """Knots [K'] that the chunk before has placed."""
    return part.prepared.problem.cameras.knot_frame + part.chunk.first <= part.chunk.seam


def _unheld(part: ChunkProblem) -> Tensor:
    """Globals [G'] that are free: the cameras after the seam."""
    problem = part.prepared.problem
    free, cameras = problem.free.clone(), problem.layout.cameras
    free[:cameras] = False
    free[cameras:].view(-1, CAMERA_UNKNOWNS)[_held_knots(part)] = False
    return free


def _written(whole: State, part: ChunkProblem, solved: State) -> State:
    """The whole clip's state with the chunk's solution after its seam; the next chunk overwrites the overlap."""
    new, knots = ~_held(part), ~_held_knots(part)
    out = {name: getattr(whole, name).clone() for name in ("camera_turn", "camera_shift", "log_size")}
    for name, values in out.items():
        values[part.knots[knots]] = getattr(solved, name)[knots]
    rotations, transl = whole.rotations.clone(), whole.transl.clone()
    rotations[part.rows[new]], transl[part.rows[new]] = solved.rotations[new], solved.transl[new]
    return replace(whole, rotations=rotations, transl=transl, **out)
