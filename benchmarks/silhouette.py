"""How well bodies cover the people in the picture: IoU of the body's silhouette with the person's mask.

    python -m benchmarks.silhouette [RUN ...] [--every N]

A RUN is a folder that `josh run` or benchmarks.clips has written, with a result or one folder a mode, or one of the
examples (the default is all of them). The clip is RUN/clip.mp4, the one beside RUN, or `--clip`. The body is seen
through the recovered camera, what another body hides is not counted, and the masks are found anew in the clip. Printed
is the median over frames of each person in each mode; 1 is a perfect fit, TARGET is wanted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2  # noqa: F401  before what loads pycolmap: the other order breaks image writing
import numpy as np

from josh_core.body import BodyModel, load_body
from josh_core.body.posing import meshes_by_frame
from josh_core.export.bundle import MANIFEST, load_bundle
from josh_core.export.pictures.preview import camera_view
from josh_core.export.pictures.raster import Canvas
from josh_core.export.pictures.video import read_clip
from josh_core.settings import MODES, Settings
from josh_core.tracking.tracker import find_people
from josh_core.types import Bool, Float, People, Reconstruction

TARGET = 0.75  # median IoU to be reached: a goal, not a measurement
SIDE = 384  # px, longest side of the pictures that are compared
EXAMPLES = Path(__file__).parent.parent / "examples"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, default=sorted(EXAMPLES.glob("*/result")))
    parser.add_argument("--every", type=int, default=3, metavar="N", help="compare every Nth frame (default 3)")
    parser.add_argument("--clip", type=Path, help="the clip of the one RUN that is named")
    args = parser.parse_args()
    body = load_body()
    for run in args.runs:
        report(run, args.clip or clip_of(run), body, args.every)


def clip_of(run: Path) -> Path:
    """The clip whose frames the results of a run show."""
    return next((f for f in (run / "clip.mp4", run.parent / "clip.mp4") if f.is_file()), run / "clip.mp4")


def report(run: Path, path: Path, body: BodyModel, every: int) -> None:
    """Print one line a mode."""
    folders = [folder for folder in (run, *(run / mode for mode in MODES)) if (folder / MANIFEST).is_file()]
    if not folders or not path.is_file():
        raise SystemExit(f"{run}: no result, or no clip.mp4 beside it; see --help.")
    results = [load_bundle(folder) for folder in folders]
    clip = read_clip(path, results[-1].frame_times)
    people = find_people(clip, Settings().with_options(people=max(1, len(results[-1].people))))
    print(
        f"== {run.parent.name if run.name == 'result' else run.name}: {len(clip)} frames, {len(people.tracks)} people"
    )
    for result in results:
        values = [float(np.median(row)) if len(row) else float("nan") for row in ious(result, body, people, every)]
        below = sum(not value > TARGET for value in values)
        print(f"   {result.mode:<9s}" + "".join(f"{v:7.2f}" for v in values) + (f"   {below} below" if below else ""))


def ious(result: Reconstruction, body: BodyModel, people: People, every: int = 1) -> list[Float]:
    """For each person of a result the IoU [m] of its silhouette with its mask, in every `every`th frame it is in.

    The mask is that of the track that the silhouettes overlap most in the whole clip: in another run on
    the same clip people may have other numbers. Frames in which neither body nor mask is in the picture are left out.
    """
    scale = SIDE / max(result.width, result.height)
    size = round(result.width * scale), round(result.height * scale)
    tracks = range(len(people.tracks))
    common = {person.id: np.zeros((0, len(people.tracks)), int) for person in result.people}
    either = dict(common)
    for frame, shapes in enumerate(silhouettes(result, body, size, every)):
        masks = [people.mask(frame * every, *size, track) for track in tracks]
        for who, shape in shapes.items():
            common[who] = np.vstack([common[who], [[(shape & mask).sum() for mask in masks]]])
            either[who] = np.vstack([either[who], [[(shape | mask).sum() for mask in masks]]])
    out = []
    for person in result.people:
        if not people.tracks:
            out.append(np.zeros(0))
            continue
        own = int(common[person.id].sum(0).argmax())
        inside, union = common[person.id][:, own], either[person.id][:, own]
        out.append(inside[union > 0] / union[union > 0])
    return out


def silhouettes(result: Reconstruction, body: BodyModel, size: tuple[int, int], every: int) -> list[dict[int, Bool]]:
    """In every `every`th frame what the camera sees of each body, by person id: [h,w] at `size` (width, height)."""
    out = []
    black = np.zeros(3, np.uint8)
    for frame, meshes in enumerate(meshes_by_frame(result, body)):
        if frame % every:
            continue
        depths = {}
        for person, vertices in meshes:
            canvas = Canvas(camera_view(result, frame, size), black)
            canvas.mesh(vertices, np.asarray(body.faces), black)
            depths[person.id] = canvas.depth
        nearest = np.minimum.reduce(list(depths.values())) if depths else np.zeros(0)
        out.append({who: np.isfinite(depth) & (depth <= nearest) for who, depth in depths.items()})
    return out


if __name__ == "__main__":
    main()
