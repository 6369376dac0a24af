"""Evidence before anything is metric: from a scene and its people to bodies, contacts, up and floor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

from josh_core.body.model import BodyModel
from josh_core.body.posing import PosedPoints, track_points
from josh_core.bodyfit.observations import Observations
from josh_core.contact.detect import FilmedScene, find_contacts
from josh_core.progress import Progress
from josh_core.scene import fit_floor, point_cloud, surface
from josh_core.scene.edges import find_edges
from josh_core.scene.surface.plates import Plates
from josh_core.shapes import Shaped
from josh_core.types import BodyTrack, Clip, Contacts, Float, Floor, People, Scale, Scene, Surface, UInt8
from josh_core.world.gravity import Gravity, find_gravity, turn_notes

SPARSE_NOTE = (
    "Depth was not measured densely: the scene is the points that the camera's path was solved with, and the floor "
    "through them. Mode refine measures it."
)


@dataclass(frozen=True)
class SceneGeometry(Shaped):
    """Points and surface of a scene in the CameraPath's world."""

    points: Annotated[Float, "P 3"]
    colors: Annotated[UInt8, "P 3"]  # sRGB
    confidence: Annotated[Float, "P"]
    surface: Surface | None


@dataclass(frozen=True)
class Evidence:
    """All that is known of a clip before anything is put into one metric world."""

    clip: Clip
    people: People
    scene: Scene
    observations: tuple[Observations, ...]  # of people.tracks, for the scene's focal
    bodies: tuple[BodyTrack, ...]  # each in frames of its track
    points: list[PosedPoints]
    contacts: tuple[Contacts, ...]
    floor: Floor | None  # of a travelling camera; without travel the people tell it
    gravity: Gravity  # up by picture and bodies; the ground is weighed in where each mode has it
    body: BodyModel
    tier: str = "embedded"
    depth_tied: bool = True  # the keyframes' depths share one scale
    scale: Scale | None = None  # where a network has predicted the scale already
    plates: Plates | None = None  # what stands behind the people of a camera that does not travel
    licences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fast: Evidence | None = None  # for mode fast, where it uses another scene: sparse, or JOSH3R's (hub tier)

    @cached_property
    def geometry(self) -> SceneGeometry:
        """Points and surface in the CameraPath's world, for modes that do not change the scene."""
        return self.geometry_of(self.scene)

    def geometry_of(self, scene: Scene) -> SceneGeometry:
        """The same with the cameras and depths of `scene`."""
        cloud = point_cloud(self.clip, self.people, scene, self.plates)
        return SceneGeometry(*cloud, surface(self.clip, self.people, scene, self.plates))


@dataclass(frozen=True)
class FittedBodies:
    """Everybody's body fitted for the scene's focal."""

    observations: tuple[Observations, ...]  # that they were fitted to
    tracks: tuple[BodyTrack, ...]
    model: BodyModel
    # Of the student's estimate of each track, where one was asked:
    student_contact: tuple[Float, ...] = ()  # probability [n,C]
    student_up: tuple[Float, ...] = ()  # [n,3] unit, in the camera


def evidence_of(clip: Clip, people: People, scene: Scene, fitted: FittedBodies, progress: Progress) -> Evidence:
    """Contacts of the bodies in a scene, the way up, and the floor of a camera that travels.

    clip, people: without lens distortion.
    """
    bodies, body = fitted.tracks, fitted.model
    points = [track_points(b, body) for b in bodies]
    edges = find_edges(clip, people, scene.cameras)
    gravity = find_gravity(scene.cameras, bodies, points, edges, fitted.student_up)
    floor = fit_floor(scene, people, clip) if scene.cameras.kind == "moving" else None
    view = FilmedScene(clip, people, scene.cameras, gravity.up)
    with progress.stage("contacts"):
        contacts = find_contacts(view, bodies, points, tuple(body.contact_names), fitted.student_contact, progress)
    plates = None if scene.cameras.kind == "moving" else Plates(clip, people, scene.cameras)
    notes = (*scene_notes(scene), *turn_notes(gravity, scene.cameras, bodies, points))
    seen = fitted.observations
    return Evidence(
        clip, people, scene, seen, bodies, points, contacts, floor, gravity, body, plates=plates, notes=notes
    )


def with_scene(evidence: Evidence, scene: Scene) -> Evidence:
    """The same evidence with another scene of the same cameras: its floor follows, bodies and contacts stay."""
    floor = fit_floor(scene, evidence.people, evidence.clip) if scene.cameras.kind == "moving" else None
    return replace(evidence, scene=scene, floor=floor, notes=scene_notes(scene))


def scene_notes(scene: Scene) -> tuple[str, ...]:
    """What to know about a scene that was seen from one place only, or without dense depth."""
    cameras = scene.cameras
    if cameras.kind == "moving":
        return (SPARSE_NOTE,) if scene.depths.sparse else ()
    return (
        "The camera does not travel, so nothing tells how far away things are: the scene is only the floor under the "
        "people and a backdrop, and what people hide in every frame is filled in from its surroundings.",
    )
