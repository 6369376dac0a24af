"""From a scene and its people to everything the modes need: bodies, contacts, up and floor."""

from __future__ import annotations

from josh_core.body.model import BodyModel
from josh_core.body.posed import pose_points
from josh_core.contact.detect import View, body_up, find_contacts
from josh_core.modes import Evidence
from josh_core.progress import Progress
from josh_core.scene import fit_floor
from josh_core.types import BodyTrack, Clip, People, Scene
from josh_core.world import standing_scale


def evidence_of(
    clip: Clip, people: People, scene: Scene, bodies: tuple[BodyTrack, ...], body: BodyModel, progress: Progress
) -> Evidence:
    """Contacts of the bodies in a scene, the way up, and the floor of a camera that travels.

    clip, people: without lens distortion; bodies: fitted for the scene's focal.
    """
    points = [pose_points(b, body) for b in bodies]
    up = body_up(scene.cameras, bodies, [p.joints for p in points])
    floor = fit_floor(scene, people, clip) if scene.cameras.kind == "moving" else None
    metres = standing_scale(scene, floor, bodies, points)
    with progress.stage("contacts"):
        contacts = find_contacts(View(clip, people, scene.cameras), bodies, body, metres, progress)
    return Evidence(clip, people, scene, bodies, points, contacts, floor, up, body)
