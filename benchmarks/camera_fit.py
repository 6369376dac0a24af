"""How well the camera that is found explains a clip's background: what the verdicts on lens and scale rest on.

    python -m benchmarks.camera_fit CLIP [...]

Prints for each clip the kind of camera, its focal over the longest side with the stated error, and for a camera that
travels: the share of all sightings of followed points that it explains, what sizes of the picture of their own leave of
the keyframes' cost, and how much these sizes differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from josh_core.clip.load import load_clip
from josh_core.errors import JoshError
from josh_core.progress import Progress
from josh_core.scene.camera.breathing import size_swing
from josh_core.scene.camera.sfm import KeyMap
from josh_core.scene.camera.solve import CameraSolution, solve_camera
from josh_core.scene.camera.sparse_model import SparseModel
from josh_core.scene.matching.follow import follow
from josh_core.scene.matching.relink import link
from josh_core.settings import Settings
from josh_core.threads import one_thread
from josh_core.tracking.inset_people import without_inset_people
from josh_core.tracking.tracker import find_people


def main() -> None:
    """Load, solve, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    args = parser.parse_args()
    print(f"{'clip':<40s}{'camera':>9s}{'focal':>7s}{'error':>7s}{'explained':>10s}{'cost':>7s}{'sizes':>8s}")
    for path in args.clips:
        try:
            print(f"{path.stem[:38]:<40s}{_line(path)}", flush=True)
        except JoshError as error:
            print(f"{path.stem[:38]:<40s}refused: {error}", flush=True)


@one_thread()
def _line(path: Path) -> str:
    settings, progress = Settings(mode="fast"), Progress()
    clip = load_clip(path, settings, progress)
    people, _ = without_inset_people(find_people(clip, settings, progress), clip)
    tracks = link(follow(clip, people, progress), progress)
    solution = solve_camera(tracks, clip.times, settings, progress, clip.focal_px)
    camera = solution.path
    out = f"{camera.kind:>9s}{camera.focal / max(tracks.size):>7.2f}{100 * camera.focal_sigma:>6.1f}%"
    if camera.kind != "moving":
        return out
    share, spread = size_swing(tracks, _key_map(solution))
    return f"{out}{100 * camera.explained:>9.1f}%{share:>7.2f}{100 * spread:>7.2f}%"


def _key_map(solution: CameraSolution) -> KeyMap:
    keys, distance = solution.path.keyframes, np.linalg.norm(solution.points, axis=-1)
    at = solution.path.world_from_cam[keys]
    model = SparseModel(at[:, :3, :3], at[:, :3, 3], solution.lens, solution.points / distance[:, None], 1 / distance)
    return KeyMap(keys, model, solution.ids, solution.path.focal_sigma)


if __name__ == "__main__":
    main()
