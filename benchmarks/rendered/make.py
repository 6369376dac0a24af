"""Make rendered clips with exact truth: NAME.mp4 and NAME_truth.npz in DIR, the same from the same seed.

    python -m benchmarks.rendered.make --out DIR [--seed 1] [--only NAME ...] [--sheet]

NAME is KIND_SEED; kinds.py lists what there is. Needs moderngl (requirements-dev.txt) and EGL (packages-dev.txt).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.rendered.draw import Drawn, Light, RenderCamera, Stage
from benchmarks.rendered.kinds import KINDS, Set, Shot
from benchmarks.rendered.scenery import build
from benchmarks.rendered.truth import Record
from josh_core.body.model import BodyModel, load_body
from josh_core.export.pictures.video import encode
from josh_core.types import Float, UInt8

NOISE = 1.8  # grey levels of a small sensor


def main() -> None:
    """Parse, make, print times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--sheet", action="store_true", help="also write NAME.png with nine frames")
    args = parser.parse_args()
    os.environ.setdefault("LP_NUM_THREADS", "1")  # llvmpipe; more threads do not pay at this size
    args.out.mkdir(parents=True, exist_ok=True)
    body = load_body()
    for kind in args.only:
        begin = time.process_time()
        shot = shot_of(kind, args.seed, body)
        write(shot, args.seed, args.out / f"{kind}_{args.seed}.mp4", args.sheet)
        spent = time.process_time() - begin
        print(
            f"{kind}_{args.seed}: {len(shot.cameras)} frames, {spent / len(shot.cameras):.2f} CPU s a frame", flush=True
        )


def shot_of(kind: str, seed: int, body: BodyModel, frames: int | None = None) -> Shot:
    """The clip of a kind and a seed, or one that does the same things in fewer frames."""
    return KINDS[kind](Set(kind, seed, body, frames))


def write(shot: Shot, seed: int, path: Path, sheet: bool = False) -> None:
    """Draw a clip; the video is written last, so that a clip which is there has its truth."""
    record, pictures = Record(shot), []
    rng = np.random.default_rng(seed)
    for frame, drawn in enumerate(draw(shot, seed)):
        record.add(frame, drawn)
        pictures.append(_sensor(rng, drawn.rgb))
    record.save(path.with_name(f"{path.stem}_truth.npz"))
    encode(pictures, np.arange(len(pictures)) / shot.fps, path)
    if sheet:
        _sheet(pictures, path.with_suffix(".png"))


def draw(shot: Shot, seed: int) -> Iterator[Drawn]:
    """The frames of a clip."""
    rng = np.random.default_rng([seed, len(shot.cameras), int(shot.focal)])
    ways = [motion.root for motion in shot.motions]
    pieces, sky = build(rng, shot.ground, ways, shot.cameras[:, :3, 3], shot.room)
    stage = Stage(pieces, sky, [m.person for m in shot.motions], Light.random(rng, shot.room), shot.size)
    try:
        for frame, world_from_cam in enumerate(shot.cameras):
            meshes = [motion.vertices(frame) for motion in shot.motions]
            yield stage.frame(RenderCamera(world_from_cam, shot.focal, shot.size), meshes, _spots(shot, frame))
    finally:
        stage.close()


def _spots(shot: Shot, frame: int) -> Float:
    """Soft shadows [S,4] under feet: place on the ground and radius, m."""
    spots = []
    for motion in shot.motions:
        for side in (0, 1):
            middle = motion.joints[frame, [7 + side, 10 + side]].mean(0)
            spots.append([middle[0], motion.support[frame, side], middle[2], 0.17])
    return np.array(spots)


def _sensor(rng: np.random.Generator, rgb: UInt8) -> UInt8:
    noisy = rgb + rng.normal(0, NOISE, rgb.shape[:2])[..., None] + rng.normal(0, 0.5 * NOISE, rgb.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _sheet(pictures: list[UInt8], path: Path) -> None:
    """Nine frames in one picture."""
    chosen = [pictures[i] for i in np.linspace(0, len(pictures) - 1, 9).astype(int)]
    rows = [np.hstack(chosen[i : i + 3]) for i in (0, 3, 6)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
