"""A synthetic scene as Evidence for the modes, and its truth as GroundTruth for the evaluation.

The pictures are plain grey: no mode looks at them, only the scene's points take their colour from there.
"""

from __future__ import annotations

import cv2
import numpy as np

from josh_core.body.posing import track_points
from josh_core.bodyfit.fit import observe_people
from josh_core.evidence import Evidence
from josh_core.metrics.ground_truth import GroundTruth, TruePerson, foot_rows, limb_rows
from josh_core.scene import fit_floor
from josh_core.scene.depth.map_grid import empty_depths
from josh_core.types import Bool, CameraPath, Clip, DepthMaps, Float, Reconstruction, Scene
from josh_core.world.gravity import find_gravity
from tests.synthetic.scene import Synthetic

FLAT_FOOT_PARTS = ("heel", "ball_inner")  # a foot stands when all of these touch, so that neither ankle nor toes move


def evidence_of(synthetic: Synthetic) -> Evidence:
    """Evidence that the stages before the modes would find, with noise; the floor is fitted to the depths."""
    t, cameras = synthetic.truth, synthetic.scene.cameras
    jpeg = cv2.imencode(".jpg", np.full((t.height, t.width, 3), 128, np.uint8))[1].tobytes()
    clip = Clip([jpeg] * len(t.frame_times), t.frame_times, t.width, t.height, t.fps, name="synthetic")
    scene = Scene(cameras, synthetic.scene.matches, _full_size(synthetic.scene.depths, cameras, clip))
    points = [track_points(body, synthetic.body) for body in synthetic.bodies]
    return Evidence(
        clip=clip,
        people=synthetic.people,
        scene=scene,
        observations=observe_people(synthetic.people, cameras, clip, None),
        bodies=synthetic.bodies,
        points=points,
        contacts=synthetic.contacts,
        floor=fit_floor(scene, synthetic.people, clip) if cameras.kind == "moving" else None,
        gravity=find_gravity(cameras, synthetic.bodies, points),
        body=synthetic.body,
    )


def truth_of(truth: Reconstruction) -> GroundTruth:
    """The true result in the form that results are evaluated against."""
    people = tuple(
        TruePerson(
            frames=person.frames.astype(np.int64),
            limbs=person.joints[:, limb_rows()].astype(np.float64),
            feet=person.joints[:, foot_rows()].astype(np.float64),
            foot_contact=_standing(person.contact, truth.contact_names),
        )
        for person in truth.people
    )
    return GroundTruth(
        fps=truth.fps,
        world_from_cam=truth.world_from_cam,
        intrinsics=truth.intrinsics,
        size=(truth.width, truth.height),
        people=people,
        up=np.array([0.0, 1.0, 0.0]),
        floor_at_zero=True,
    )


def _standing(contact: Float, names: tuple[str, ...]) -> Bool:
    """Whether the left and the right foot stand flat, [n,2], from contacts [n,C]."""
    feet = [[names.index(f"{side}_{part}") for part in FLAT_FOOT_PARTS] for side in ("left", "right")]
    return np.stack([(contact[:, foot] > 0.5).all(1) for foot in feet], 1)


def _full_size(maps: DepthMaps, cameras: CameraPath, clip: Clip) -> DepthMaps:
    """Depth maps of the size that the stages work with."""
    height, width = empty_depths(cameras, clip).depth.shape[1:]

    def enlarged(images: Float) -> Float:
        size, nearest = (width, height), cv2.INTER_NEAREST_EXACT
        return np.stack([cv2.resize(image, size, interpolation=nearest) for image in images])

    return DepthMaps(
        enlarged(maps.depth), enlarged(maps.confidence), enlarged(maps.backdrop.astype(np.uint8)).astype(np.bool_)
    )
