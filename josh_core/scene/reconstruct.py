"""From clip and people to camera path, matches and depth, before anybody's body is used: sparse first, then dense."""

from __future__ import annotations

from dataclasses import dataclass, replace

from josh_core.progress import Progress
from josh_core.scene.camera.lens import undistort_clip
from josh_core.scene.camera.solve import solve_camera
from josh_core.scene.depth.dense import estimate_depths
from josh_core.scene.depth.sparse import sparse_depths
from josh_core.scene.floor import fill_floor, fit_floor
from josh_core.scene.matches import keyframe_matches
from josh_core.scene.matching.follow import PointFollower, follow
from josh_core.scene.matching.relink import link
from josh_core.settings import Settings
from josh_core.types import Clip, Float, People, Scene


@dataclass(frozen=True)
class SolvedScene:
    """A scene in its own world (first camera, some scale), with the clip and people that it speaks of.

    They are those of a lens without distortion: as given, or where `cameras.distortion` is not 0 as that lens would
    show them. Everything that follows must work on them.
    """

    scene: Scene
    clip: Clip
    people: People
    points: Float  # [P,3] sparse points in the scene's world


def solve_scene(
    clip: Clip, people: People, settings: Settings, progress: Progress, points: PointFollower | None = None
) -> SolvedScene:
    """Cameras and matches of a clip, with depth only where the camera's solution has points.

    points: of this clip, if they were begun before.
    """
    with progress.stage("tracks"):
        followed = points.background_tracks(people, progress) if points else follow(clip, people, progress)
        tracks = link(followed, progress)
    with progress.stage("camera"):
        solution = solve_camera(tracks, clip.times, settings, progress, clip.focal_px)
        matches = keyframe_matches(tracks, solution, settings.seed)
        clip, people = undistort_clip(clip, people, solution.path)
        scene = Scene(solution.path, matches, sparse_depths(clip, tracks, solution))
        return SolvedScene(_with_floor(scene, clip, people), clip, people, solution.points)


def with_dense_depth(solved: SolvedScene, progress: Progress) -> Scene:
    """The scene with depth at all pixels of the keyframes that tell it; without travel there is none."""
    clip, people, cameras = solved.clip, solved.people, solved.scene.cameras
    if cameras.kind != "moving":
        return solved.scene
    with progress.stage("depth"):
        depths = estimate_depths(clip, people, cameras, solved.points, progress)
        return _with_floor(replace(solved.scene, depths=depths), clip, people)


def _with_floor(scene: Scene, clip: Clip, people: People) -> Scene:
    """The scene with its floor filled in where nothing else is known; as it is where no floor is seen."""
    floor = fit_floor(scene, people, clip) if scene.cameras.kind == "moving" else None
    if floor is None:
        return scene
    return replace(scene, depths=fill_floor(scene.depths, scene.cameras, clip, people, floor))
