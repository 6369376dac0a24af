"""Posed bodies as numpy arrays, in a camera or in the world: joints, contact points, landmarks, the whole mesh."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch

from josh_core.body.model import BodyModel
from josh_core.geometry import rotvec_to_rotmat
from josh_core.shapes import Shaped, check_shapes
from josh_core.types import BodyTrack, Float, Int, PersonMotion, Reconstruction

# Chosen by hand, except where a measurement or a source is given.
_BATCH = 32  # frames whose meshes are held at once


@dataclass(frozen=True)
class PosedPoints(Shaped):
    """Points of one person in the camera of each of its frames, m."""

    joints: Annotated[Float, "n 24 3"]
    contacts: Annotated[Float, "n C 3"]
    landmarks: Annotated[Float, "n 33 3"]  # BlazePose's


def track_points(track: BodyTrack, body: BodyModel) -> PosedPoints:
    """Joints, contact points and landmarks of a body track in its cameras."""
    with torch.no_grad():
        p = body.points(
            torch.as_tensor(track.betas, dtype=torch.float32).expand(len(track.frames), -1),
            torch.as_tensor(track.rotations, dtype=torch.float32),
            torch.as_tensor(track.transl, dtype=torch.float32),
        )
    return PosedPoints(*(x.double().numpy() for x in (p.joints, p.contacts, p.landmarks)))


def posed_points(body: BodyModel, betas: Float, pose: Float, transl: Float) -> tuple[Float, Float, Float]:
    """Joints [n,24,3], contact points [n,C,3] and BlazePose landmarks [n,33,3] in m.

    betas: [10]; pose: [n,24,3] axis-angle; transl: [n,3] m, SMPL's translation.
    """
    check_shapes("posed_points", betas=(betas, "10"), pose=(pose, "n 24 3"), transl=(transl, "n 3"))
    with torch.no_grad():
        p = body.points(*_tensors(betas, pose, transl))
    joints, contacts, landmarks = (x.double().numpy() for x in (p.joints, p.contacts, p.landmarks))
    return joints, contacts, landmarks


def posed_vertices(body: BodyModel, betas: Float, pose: Float, transl: Float) -> Float:
    """Mesh vertices [n,V,3] in m, arguments as in `posed_points`."""
    check_shapes("posed_vertices", betas=(betas, "10"), pose=(pose, "n 24 3"), transl=(transl, "n 3"))
    with torch.no_grad():
        return body.vertices(*_tensors(betas, pose, transl)).double().numpy()


def meshes_by_frame(result: Reconstruction, body: BodyModel) -> Iterator[list[tuple[PersonMotion, Float]]]:
    """For each frame of the result, everybody present with their vertices [V,3] m; posed in batches to be quick."""
    for start in range(0, len(result.frame_times), _BATCH):
        stop = min(start + _BATCH, len(result.frame_times))
        present: list[list[tuple[PersonMotion, Float]]] = [[] for _ in range(start, stop)]
        for person in result.people:
            rows = np.flatnonzero((person.frames >= start) & (person.frames < stop))
            if len(rows):
                vertices = posed_vertices(body, person.betas, person.pose[rows], person.transl[rows])
                for frame, mesh in zip(person.frames[rows], vertices, strict=True):
                    present[frame - start].append((person, mesh))
        yield from present


def runs(frames: Int) -> list[tuple[int, int]]:
    """Row ranges [start, end) of the stretches of consecutive frame numbers."""
    check_shapes("runs", frames=(frames, "n"))
    if len(frames) == 0:
        return []
    cuts = np.flatnonzero(np.diff(frames) != 1) + 1
    edges = [0, *cuts.tolist(), len(frames)]
    return list(itertools.pairwise(edges))


def _tensors(betas: Float, pose: Float, transl: Float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.as_tensor(np.asarray(betas), dtype=torch.float32).expand(len(pose), -1),
        torch.as_tensor(rotvec_to_rotmat(pose), dtype=torch.float32),
        torch.as_tensor(np.asarray(transl), dtype=torch.float32),
    )
