"""From clip and people to camera path, matches and dense depth, before anybody's body is used."""

from __future__ import annotations

from dataclasses import replace

from josh_core.progress import Progress
from josh_core.scene.camera import solve_camera
from josh_core.scene.depth import empty_depths, estimate_depths
from josh_core.scene.floor import fill_floor, fit_floor
from josh_core.scene.lens import undistort_clip
from josh_core.scene.matches import keyframe_matches
from josh_core.scene.relink import link
from josh_core.scene.tracks import follow
from josh_core.settings import Settings
from josh_core.types import Clip, People, Scene


def reconstruct_scene(clip: Clip, people: People, settings: Settings, progress: Progress) -> tuple[Scene, Clip, People]:
    """Cameras, matches and depth of a clip, in the scene's own world (first camera, some scale).

    The scene is that of a lens without distortion. Everything that follows must work on the clip and the people that
    are returned with it: the same as given, or where `cameras.distortion` is not 0 as that lens would show them.
    """
    with progress.stage("tracks"):
        tracks = link(follow(clip, people, progress), progress)
    with progress.stage("camera"):
        solution = solve_camera(tracks, clip.times, settings, progress, clip.focal_px)
        matches = keyframe_matches(tracks, solution, settings.seed)
    with progress.stage("depth"):
        cameras = solution.path
        clip, people = undistort_clip(clip, people, cameras)
        if cameras.kind != "moving":
            return Scene(cameras, matches, empty_depths(cameras, clip)), clip, people
        scene = Scene(cameras, matches, estimate_depths(clip, people, cameras, solution.points, progress))
        floor = fit_floor(scene, people, clip)
        if floor is not None:
            scene = replace(scene, depths=fill_floor(scene.depths, cameras, clip, people, floor))
        return scene, clip, people
