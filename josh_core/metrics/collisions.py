"""How deep people are in each other, without ground truth."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from josh_core.body.capsules import MOST_SPAN, Capsules, capsule_radii, gaps
from josh_core.body.model import BodyModel
from josh_core.body.posing import posed_points
from josh_core.types import Float, PersonMotion, Reconstruction


def overlaps(result: Reconstruction, body: BodyModel) -> Float:
    """Depth [F] m of the deepest overlap of two people's capsules, for every two people and frame with both of them.

    0 where they do not overlap.
    """
    bodies = [(person, *_capsules(person, body)) for person in result.people]
    out = [np.zeros(0)]
    for (one, first, thick), (two, second, wide) in combinations(bodies, 2):
        _, mine, theirs = np.intersect1d(one.frames, two.frames, return_indices=True)
        near = np.linalg.norm(one.joints[mine, 0] - two.joints[theirs, 0], axis=-1) < MOST_SPAN
        between = gaps(first[mine[near]][:, :, None], second[theirs[near]][:, None])
        deep = np.zeros(len(mine))
        deep[near] = (thick[:, None] + wide - between).flatten(1).amax(1).clamp(min=0).numpy()
        out.append(deep)
    return np.concatenate(out)


def _capsules(person: PersonMotion, body: BodyModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Axes [n,K,2,3] m in the world and radii [K] m."""
    points = np.concatenate(posed_points(body, person.betas, person.pose, person.transl), 1)
    radii = capsule_radii(body, torch.as_tensor(np.asarray(person.betas), dtype=torch.float64)[None])[0]
    return Capsules.of(body).segments(torch.from_numpy(points)), radii
