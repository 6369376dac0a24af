"""A dressed person: the project's body with clothes, shoes and hair as a mesh to be skinned, and its colours.

The mesh follows the bare body's joints exactly; only its surface is moved outward where there is cloth. What is
painted where (sleeves, trousers, face) is decided in the shader from each point's position on the bare rest pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS, PARENTS
from josh_core.types import Float, Int

# sRGB colours of skin and hair, chosen by eye.
SKINS = ((0.87, 0.68, 0.57), (0.78, 0.58, 0.45), (0.62, 0.43, 0.32), (0.42, 0.28, 0.21), (0.83, 0.66, 0.5))
HAIRS = ((0.09, 0.06, 0.05), (0.25, 0.16, 0.09), (0.45, 0.32, 0.18), (0.05, 0.05, 0.06), (0.5, 0.48, 0.45))
SOLE = 0.012  # m over the lowest point of the foot that the shoe makes flat
CLOTH, LOOSE, HAIR, SHOE = 0.010, 0.022, 0.02, 0.006  # m outward: shirt and trousers, trouser ends, hair, shoes
SHAPE_SPREAD = 0.6  # deviation of the betas besides height


@dataclass(frozen=True)
class Colors:
    """sRGB in [0,1] of everything that is worn, and the lengths of the clothes."""

    skin: Float
    hair: Float
    shirt: Float
    print: Float  # the pattern's second colour
    trousers: Float
    shoes: Float
    pattern: int  # 0 plain, 1 stripes, 2 checks, 3 a print on the chest
    sleeve: float  # share of the arm (1: to the wrist)
    leg: float  # share of the shin that trousers cover (negative: above the knee)
    hair_length: float  # m below the usual neckline


@dataclass(frozen=True)
class DressedBody:
    """One body in clothes."""

    betas: Float  # [10]
    height: float  # m
    joints: Float  # [24,3] m rest pose, soles at y = 0
    pelvis: Float  # [3] m the pelvis of the rest pose in the body's own origin
    bare: Float  # [V,3] m rest pose, soles at y = 0
    dressed: Float  # [V,3] m the same with clothes
    weights: Float  # [V,24]
    faces: Int  # [F,3]
    seat: Int  # vertices of the buttocks
    marks: Float  # [4,3] m of the rest pose: left eye, right eye, nose, mouth
    colors: Colors


def random_colors(rng: np.random.Generator) -> Colors:
    """Clothes that stand out from each other."""
    shirt = rng.uniform(0.08, 0.95, 3)
    return Colors(
        skin=np.array(SKINS[rng.integers(len(SKINS))]),
        hair=np.array(HAIRS[rng.integers(len(HAIRS))]),
        shirt=shirt,
        print=np.clip(1 - shirt + rng.normal(0, 0.15, 3), 0.05, 0.95),
        trousers=rng.uniform(0.08, 0.5) * rng.uniform(0.6, 1.2, 3),
        shoes=np.full(3, rng.choice([0.1, 0.25, 0.85])) * rng.uniform(0.8, 1.1, 3),
        pattern=int(rng.integers(4)),
        sleeve=float(rng.choice([0.3, 0.45, 0.97])),
        leg=float(rng.choice([0.98, 0.96, -0.15])),
        hair_length=float(rng.choice([0.0, 0.03, 0.1])),
    )


def make_person(body: BodyModel, rng: np.random.Generator, height: float | None = None) -> DressedBody:
    """A random body, of a given standing height in m or one between 1.53 and 1.92 m."""
    betas = rng.normal(0, SHAPE_SPREAD, 10)
    betas = _with_height(body, betas, float(height or rng.uniform(1.53, 1.92)))
    beta = torch.as_tensor(betas, dtype=torch.float32)[None]
    joints = body.rest_joints(beta)[0].double().numpy()
    bare = body.rest_vertices(beta)[0].double().numpy()
    pelvis = joints[0].copy()
    lowest = bare[:, 1].min()
    joints[:, 1] -= lowest
    bare[:, 1] -= lowest
    colors = random_colors(rng)
    weights = _shoe_weights(body.skin_weights.double().numpy(), bare, joints)
    owner = weights.argmax(1)
    bottom = np.isin(owner, [0, 1, 2]) & (bare[:, 2] < joints[0, 2]) & (bare[:, 1] > joints[1, 1] - 0.15)
    return DressedBody(
        betas=betas,
        height=float(np.ptp(bare[:, 1])),
        joints=joints,
        pelvis=pelvis,
        bare=bare,
        dressed=_dress(bare, joints, owner, body.faces, colors),
        weights=weights,
        faces=body.faces,
        seat=np.flatnonzero(bottom),
        marks=_marks(body, bare),
        colors=colors,
    )


def skin(person: DressedBody, turns: Float, places: Float) -> Float:
    """Vertices [V,3] of the dressed body with joints at places [24,3] and world rotations turns [24,3,3]."""
    moves = np.concatenate([turns, (places - np.einsum("jab,jb->ja", turns, person.joints))[..., None]], -1)
    blended = (person.weights @ moves.reshape(len(JOINTS), 12)).reshape(-1, 3, 4)
    return np.einsum("vab,vb->va", blended[..., :3], person.dressed) + blended[..., 3]


def posed_joints(person: DressedBody, rotations: Float, root: Float) -> tuple[Float, Float]:
    """World rotations [T,24,3,3] and places [T,24,3] for local rotations [T,24,3,3] and the pelvis at root [T,3]."""
    turns, places = [rotations[:, 0]], [root]
    for joint in range(1, len(JOINTS)):
        up = PARENTS[joint]
        offset = person.joints[joint] - person.joints[up]
        places.append(places[up] + turns[up] @ offset)
        turns.append(turns[up] @ rotations[:, joint])
    return np.stack(turns, 1), np.stack(places, 1)


def normals_of(faces: Int, count: int) -> sparse.csr_matrix:
    """Matrix [V,F] that sums the normals of a vertex's faces."""
    rows, columns = faces.reshape(-1), np.repeat(np.arange(len(faces)), 3)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, len(faces)))


def vertex_normals(around: sparse.csr_matrix, faces: Int, vertices: Float) -> Float:
    """Unit normals [V,3]."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = around @ np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _with_height(body: BodyModel, betas: Float, height: float) -> Float:
    """The betas with the first one changed so that the body is `height` m tall (a secant search)."""

    def error(first: float) -> float:
        beta = torch.as_tensor(np.r_[first, betas[1:]], dtype=torch.float32)[None]
        return float(body.height(beta)[0]) - height

    a, b = -1.0, 1.0
    for _ in range(12):
        ea, eb = error(a), error(b)
        if abs(eb - ea) < 1e-9:
            break
        a, b = b, b - eb * (b - a) / (eb - ea)
    return np.r_[b, betas[1:]]


def _shoe_weights(weights: Float, bare: Float, joints: Float) -> Float:
    """Feet that bend at the ball only, as a shoe does, so that a flat sole stays flat."""
    weights = weights.copy()
    for ankle, ball in ((7, 10), (8, 11)):
        shoe = (weights[:, ankle] + weights[:, ball] > 0.5) & (bare[:, 1] < joints[ankle, 1])
        ahead = np.clip((bare[shoe, 2] - joints[ball, 2]) / 0.02 + 0.5, 0, 1)
        weights[shoe] = 0.0
        weights[shoe, ankle], weights[shoe, ball] = 1 - ahead, ahead
    return weights


def _dress(bare: Float, joints: Float, owner: Int, faces: Int, colors: Colors) -> Float:
    """The rest pose with cloth, hair and shoes."""
    names = np.array([JOINTS[j].removeprefix("left_").removeprefix("right_") for j in owner])
    shoe = np.isin(names, ("ankle", "foot"))
    legs = np.isin(names, ("hip", "knee", "pelvis"))
    trunk = np.isin(names, ("spine1", "spine2", "spine3", "collar", "shoulder"))
    head = joints[JOINTS.index("head")]
    scalp = (names == "head") & (bare[:, 1] > head[1] + 0.08) & (bare[:, 2] < head[2] + 0.07)
    around = normals_of(faces, len(bare))
    beside = sparse.csr_matrix((np.ones(3 * len(faces)), (faces.reshape(-1), np.roll(faces, 1, 1).reshape(-1))),
                               shape=(len(bare),) * 2)  # fmt: skip
    beside = beside + beside.T
    mean_of = sparse.diags(1 / np.maximum(np.asarray(beside.sum(1)).ravel(), 1)) @ beside
    vertices = bare.copy()
    cloth = (trunk | legs).astype(float)[:, None]
    for _ in range(6):  # cloth spans the hollows of the body; it does not creep along it
        normals = vertex_normals(around, faces, vertices)
        away = ((mean_of @ vertices - vertices) * normals).sum(1, keepdims=True)
        vertices += 0.5 * cloth * away * normals
    ankle, knee = joints[7, 1], joints[4, 1]
    low = np.clip((knee - bare[:, 1]) / (knee - ankle), 0, 1)
    amount = CLOTH * (trunk | legs) + HAIR * scalp + SHOE * shoe + (LOOSE * low * legs if colors.leg > 0 else 0.0)
    for _ in range(2):
        amount = 0.5 * amount + 0.5 * (mean_of @ amount)
    amount[names == "hand"] = 0.0
    vertices += vertex_normals(around, faces, vertices) * amount[:, None]
    sole = shoe & (bare[:, 1] < SOLE)
    vertices[shoe, 1] = np.maximum(vertices[shoe, 1], 0.0)
    vertices[sole, 1] = 0.0
    return vertices


def _marks(body: BodyModel, bare: Float) -> Float:
    """Places of eyes, nose and mouth on the rest pose."""
    with torch.no_grad():
        at = dict(zip(body.landmark_names, np.asarray(body.p_template[len(body.contact_names) :]), strict=True))
    vertices = body.smpl.v_template.numpy()
    nearest = [np.linalg.norm(vertices - at[name], axis=1).argmin() for name in ("left_eye", "right_eye", "nose")]
    corners = [np.linalg.norm(vertices - at[f"mouth_{side}"], axis=1).argmin() for side in ("left", "right")]
    return np.stack([*bare[nearest], bare[corners].mean(0)])
