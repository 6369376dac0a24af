"""From evidence to results: what each mode makes of the same start values, in one metric world.

baseline  camera, then scene, then people, nothing fed back; the scale of a travelling camera is assumed
fast      scale (or floor) from human-scene contact, feet set down where they touch; the scene is the camera's own
          points and the floor through them, without dense depth
refine    JOSH: cameras, scene scale, floor and bodies solved together from the same start values with dense depth
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from josh_core.body.posing import posed_points, track_points
from josh_core.contact.foot_lock import lock_feet
from josh_core.contact.supports import Touching, common_sigma, find_supports, ground_of_steps, height_over_support
from josh_core.evidence import Evidence
from josh_core.geometry import intrinsics, rigid, rotation_between, transform
from josh_core.joint import JointResult, JointStart, refine
from josh_core.progress import Progress
from josh_core.scene import lay_floor
from josh_core.settings import Settings
from josh_core.types import (
    USUAL_HEIGHT_SIGMA,
    BodyTrack,
    Float,
    Floor,
    PersonMotion,
    PointCloud,
    Reconstruction,
    Scale,
    ScaleSource,
    Scene,
    Support,
    Surface,
)
from josh_core.world.frame import WorldFrame, floor_from_people, person_in_world, world_frame
from josh_core.world.gravity import Gravity
from josh_core.world.metric_scale import assumed_scale, metric_scale

# Chosen by hand, except where a measurement or a source is given.
ASSUMED_SIGMA = 0.3  # relative: how far an assumed camera height is off


@dataclass(frozen=True)
class Placed:
    """Scene, bodies and floor of one mode in the CameraPath's world, and the similarity to the metric world.

    The ground is the floor, but level under the first stance where the floor follows a flight of steps. The solver
    holds feet to the floor, which knows the steps from depth too; the result has the ground and its supports.
    """

    scene: Scene
    bodies: tuple[BodyTrack, ...]
    floor: Floor | None
    ground: Floor | None
    frame: WorldFrame
    gravity: Gravity


def baseline(e: Evidence) -> Reconstruction:
    """The assembly line of the paper's introduction."""
    cameras, floor = e.scene.cameras, e.floor
    source: ScaleSource = "assumed"
    if cameras.kind != "moving":
        floor, source = floor_from_people(cameras, e.bodies, e.points, None, e.gravity), "height"
    sigma = ASSUMED_SIGMA if source == "assumed" else _size_sigma(e)
    scale = Scale(assumed_scale(cameras, floor), source, sigma)
    placed = _placed(e, e.scene, e.bodies, floor, scale, by_contact=False)
    return _reconstruction(e, placed, "baseline", _people(e, placed))


def fast(e: Evidence) -> Reconstruction:
    """The same start values with contact: it fixes the scale or the floor, and feet rest where they touch."""
    placed = _place_by_contact(e)
    people = _people(e, placed)
    supports = _supports(e, placed, placed.floor, people)
    locked = tuple(_lock_feet(e, placed, supports, i, person) for i, person in enumerate(people))
    return _reconstruction(e, placed, "fast", locked, _supports(e, placed, placed.ground, locked))


def refined(e: Evidence, settings: Settings, progress: Progress) -> Reconstruction:
    """JOSH from the start values of `fast`."""
    start, given = joint_start(e)
    result = refine(given, settings, progress)
    placed = _place_result(e, start, result)
    people = _people(e, placed)
    out = _reconstruction(e, placed, "refine", people, _supports(e, placed, placed.ground, people))
    return replace(out, notes=(*out.notes, *result.notes))


def joint_start(e: Evidence) -> tuple[Placed, JointStart]:
    """The placed start (scale and floor from contact), and the same as input of the joint solver."""
    start = _place_by_contact(e)
    return start, JointStart(
        clip=e.clip,
        scene=e.scene,
        observations=tuple(
            seen.at(np.searchsorted(track.frames, body.frames))
            for seen, track, body in zip(e.observations, e.people.tracks, e.bodies, strict=True)
        ),
        bodies=e.bodies,
        contacts=e.contacts,
        body=e.body,
        floor=start.floor,
        scale=start.frame.scale,
        scale_source=start.frame.source,
        scale_sigma=start.frame.scale_sigma,
        up=start.gravity.up,
        depth_tied=e.depth_tied,
    )


def _place_by_contact(e: Evidence) -> Placed:
    """Scale of a travelling camera, or floor of a standing one, from the contacts."""
    cameras, floor = e.scene.cameras, e.floor
    if cameras.kind != "moving":
        floor = floor_from_people(cameras, e.bodies, e.points, e.contacts, e.gravity)
    size = (e.clip.width, e.clip.height)
    scale = e.scale or metric_scale(e.scene, size, floor, e.bodies, e.points, e.contacts)
    scale = replace(scale, sigma=float(np.hypot(scale.sigma, _size_sigma(e))))
    return _placed(e, e.scene, e.bodies, floor, scale)


def _level_ground(e: Evidence, scene: Scene, bodies: tuple[BodyTrack, ...], floor: Floor, scale: Scale) -> Floor:
    """The floor of the CameraPath's world, level under the first stance where the plane follows a flight of steps."""
    turn = rotation_between(e.gravity.up, np.array([0.0, 1.0, 0.0]))
    world_from_cam = scene.cameras.world_from_cam
    world_from_cam = rigid(turn @ world_from_cam[:, :3, :3], scale.metres * world_from_cam[:, :3, 3] @ turn.T)
    points = e.points if bodies is e.bodies else [track_points(body, e.body) for body in bodies]
    placed = [transform(world_from_cam[b.frames], p.contacts) for b, p in zip(bodies, points, strict=True)]
    metric = Floor(turn @ floor.normal, scale.metres * floor.offset, floor.confidence)
    level = ground_of_steps(metric, _touching(e, placed, [0.0] * len(placed)), e.body.contact_names)
    return floor if level is metric else Floor(e.gravity.up, level.offset / scale.metres, level.confidence)


def _placed(
    e: Evidence,
    scene: Scene,
    bodies: tuple[BodyTrack, ...],
    floor: Floor | None,
    scale: Scale,
    by_contact: bool = True,
) -> Placed:
    """With the metric world whose +Y is up and whose y = 0 is the ground under the first person's first position."""
    gravity = e.gravity.with_ground(floor, independent=scene.cameras.kind == "moving")
    ground = _level_ground(e, scene, bodies, floor, scale) if by_contact and floor is not None else floor
    stance = None
    if bodies:
        first = bodies[0].transl[:1] * [1.0, 1.0, scene.cameras.focal / bodies[0].focal] / scale.metres
        stance = transform(scene.cameras.world_from_cam[bodies[0].frames[:1]], first[:, None])[0, 0]
    frame = world_frame(scene.cameras, gravity.up, ground, scale, stance)
    return Placed(scene, bodies, floor, ground, frame, gravity)


def _size_sigma(e: Evidence) -> float:
    """Relative standard deviation of the mean body height: a lower bound of the scale's."""
    sigmas = [body.height_sigma for body in e.bodies] or [USUAL_HEIGHT_SIGMA]
    return float(sum(sigma**-2 for sigma in sigmas) ** -0.5)


def _place_result(e: Evidence, start: Placed, result: JointResult) -> Placed:
    """JOSH's result in its own metric world with the axes of the start's."""
    depths = e.scene.depths
    metric = replace(depths, depth=depths.depth * np.asarray(result.depth_scale, np.float32)[:, None, None])
    floor = result.floor
    if floor is None and start.floor is not None:
        floor = replace(start.floor, offset=start.floor.offset * result.scale)
    scale = Scale(1.0, result.scale_source, max(result.scale_sigma, _size_sigma(e)))
    return _placed(e, replace(e.scene, cameras=result.cameras, depths=metric), result.bodies, floor, scale)


def _people(e: Evidence, placed: Placed) -> tuple[PersonMotion, ...]:
    """Bodies moved into the metric world by their cameras."""
    world_from_cam = placed.frame.cameras(placed.scene.cameras.world_from_cam)
    return tuple(
        person_in_world(body, world_from_cam, contact.probability, e.body)
        for body, contact in zip(placed.bodies, e.contacts, strict=True)
    )


def _supports(
    e: Evidence, placed: Placed, floor: Floor | None, people: tuple[PersonMotion, ...]
) -> tuple[Support, ...]:
    """What the people are on beside this floor of the CameraPath's world, in the metric world."""
    floor = None if floor is None else placed.frame.floor(floor)
    centres = placed.frame.points(placed.scene.cameras.world_from_cam[:, :3, 3])
    points = [posed_points(e.body, p.betas, p.pose, p.transl)[1] for p in people]
    sigmas = [common_sigma(b.height_sigma, placed.frame.scale_sigma, centres, floor) for b in placed.bodies]
    return find_supports(_touching(e, points, sigmas), e.body.contact_names, floor)


def _touching(e: Evidence, points: Sequence[Float], sigmas: Sequence[float]) -> list[Touching]:
    """Everybody's contact points [n,C,3] m in a level world, with their contacts."""
    times = np.asarray(e.clip.times, np.float64)
    return [
        Touching(p, contact.probability, body.frames, times[body.frames], sigma)
        for p, contact, body, sigma in zip(points, e.contacts, e.bodies, sigmas, strict=True)
    ]


def _lock_feet(
    e: Evidence, placed: Placed, supports: tuple[Support, ...], index: int, person: PersonMotion
) -> PersonMotion:
    """A person moved so that touching feet rest on the floor or a support; pose, cameras and scene stay."""
    cameras = placed.frame.cameras(placed.scene.cameras.world_from_cam)[person.frames]
    contacts = transform(cameras, e.points[index].contacts)
    rays = person.joints[:, 0] - cameras[:, :3, 3]
    turn, low, floor = np.eye(3), 0.0, None
    if placed.floor is not None:  # set down on the floor's own plane, which need not be level
        floor = placed.frame.floor(placed.floor)
        turn, low = rotation_between(floor.normal, np.array([0.0, 1.0, 0.0])), floor.offset
    over = contacts @ turn.T + [0.0, low, 0.0]
    level = over[..., 1] - height_over_support(contacts, floor, supports)
    names, probability = e.contacts[index].names, e.contacts[index].probability
    moved = (lock_feet(over, probability, names, rays @ turn.T, person.frames, level) @ turn).astype(np.float32)
    return replace(person, transl=person.transl + moved, joints=person.joints + moved[:, None])


def _reconstruction(
    e: Evidence, placed: Placed, mode: str, people: tuple[PersonMotion, ...], supports: tuple[Support, ...] = ()
) -> Reconstruction:
    cameras = placed.scene.cameras
    cloud, surface = _scene_in_world(e, placed, people)
    return Reconstruction(
        mode=mode,
        tier=e.tier,
        camera_kind=cameras.kind,
        world_from_cam=placed.frame.cameras(cameras.world_from_cam).astype(np.float32),
        intrinsics=intrinsics(cameras.focal, e.clip.width, e.clip.height).astype(np.float32),
        frame_times=np.asarray(e.clip.times, np.float64),
        fps=e.clip.fps,
        width=e.clip.width,
        height=e.clip.height,
        scene=cloud,
        surface=surface,
        floor=None if placed.ground is None else placed.frame.floor(placed.ground),
        supports=supports,
        people=people,
        contact_names=tuple(e.body.contact_names),
        scale_source=placed.frame.source,
        body_model=e.body.name,
        # The distortion is per squared focal, so the same lens has another value at the refined focal.
        distortion=cameras.distortion * (cameras.focal / e.scene.cameras.focal) ** 2,
        licences=e.licences,
        notes=e.notes,
        quality={
            "scale_sigma_pct": 100 * placed.frame.scale_sigma,
            "up_sigma_deg": float(np.degrees(placed.gravity.sigma)),
            "focal_sigma_pct": 100 * cameras.focal_sigma,
        },
    )


def _scene_in_world(e: Evidence, placed: Placed, people: tuple[PersonMotion, ...]) -> tuple[PointCloud, Surface | None]:
    """The scene's points and surface in the metric world; without travel the image on the floor and a backdrop."""
    scene = placed.scene
    if scene.cameras.kind != "moving" and placed.floor is not None:
        furthest = _furthest(people, placed.frame.cameras(scene.cameras.world_from_cam)) / placed.frame.scale
        scene = replace(scene, depths=lay_floor(scene.cameras, e.clip, e.people, placed.floor, furthest))
    geometry = e.geometry if scene is e.scene else e.geometry_of(scene)
    metric = placed.frame.points(geometry.points).astype(np.float32)
    cloud = PointCloud(metric, geometry.colors.astype(np.uint8), geometry.confidence.astype(np.float32))
    mesh = geometry.surface
    if mesh is not None:
        mesh = replace(mesh, vertices=placed.frame.points(mesh.vertices).astype(np.float32))
    return cloud, mesh


def _furthest(people: tuple[PersonMotion, ...], world_from_cam: Float) -> float:
    """Largest distance of anybody from the camera along the floor of the metric world, m; 0 without people."""
    ways = [person.joints[:, 0] - world_from_cam[person.frames, :3, 3] for person in people]
    return max((float(np.linalg.norm(way[:, [0, 2]], axis=1).max()) for way in ways), default=0.0)
