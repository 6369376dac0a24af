"""Makes the examples' results, at a release only: `python examples/make.py [NAME ...]`, then look and commit.

Every clip of index.json is run with the usual settings and stored compactly: a bundle and a GLB for each mode, with
fewer scene points, sorted along a space-filling curve, and numbers on grids finer than anybody sees, which compress
well. About two minutes a clip on two quiet cores. `--again` only stores the present results anew, without a run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2  # before anything that loads pycolmap: the other order breaks image writing
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from josh_core.body import load_body  # noqa: E402
from josh_core.cli.bars import bars  # noqa: E402
from josh_core.export.bundle import load_bundle, save_bundle  # noqa: E402
from josh_core.export.scene3d.glb import glb_bytes  # noqa: E402
from josh_core.export.scene3d.points import thin  # noqa: E402
from josh_core.serving.jobs import Job  # noqa: E402
from josh_core.serving.tasks import CLIP_FILE, reconstruct  # noqa: E402
from josh_core.settings import MODES, Settings  # noqa: E402
from josh_core.types import Float, PointCloud, Reconstruction  # noqa: E402

POINTS = {"baseline": 5_000, "fast": 5_000, "refine": 10_000}  # scene points; the surface is what is seen first
TEXTURE = {"baseline": 1024, "fast": 1024, "refine": 2048}  # px, longest side of its picture
TEXTURE_QUALITY = 74  # of its JPEG
POINT_GRID, BODY_GRID, SHARE_GRID = 512, 8192, 64  # steps a metre (or radian) and a unit; powers of two end in zeros
LIMIT = 20_000_000  # bytes of all results together


def compact(result: Reconstruction) -> Reconstruction:
    """The same result in fewer bytes."""
    cloud = thin(result.scene, POINTS[result.mode])
    points = on_grid(cloud.points, POINT_GRID)
    order = np.argsort(curve(points), kind="stable")
    scene = PointCloud(points[order], cloud.colors[order], on_grid(cloud.confidence, SHARE_GRID)[order])
    people = tuple(
        replace(
            person,
            pose=on_grid(person.pose, BODY_GRID),
            transl=on_grid(person.transl, BODY_GRID),
            joints=on_grid(person.joints, BODY_GRID),
            contact=on_grid(person.contact, SHARE_GRID),
        )
        for person in result.people
    )
    place = result.surface
    if place is not None:
        vertices = on_grid(place.vertices, POINT_GRID)
        place = replace(place, vertices=vertices, texture=smaller(place.texture, TEXTURE[result.mode]))
    return replace(result, scene=scene, surface=place, people=people)


def on_grid(values: Float, steps: int) -> Float:
    """Values as float32 at multiples of 1 / steps."""
    return (np.round(np.asarray(values, np.float64) * steps) / steps).astype(np.float32)


def smaller(jpeg: bytes, side: int) -> bytes:
    """A JPEG with at most `side` px."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    scale = min(1.0, side / max(picture.shape[:2]))
    reduced = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", reduced, [cv2.IMWRITE_JPEG_QUALITY, TEXTURE_QUALITY])[1].tobytes()


def curve(points: Float) -> Float:
    """Place [P] of points [P,3] along a Morton curve, on which neighbours in space lie near one another."""
    low, high = points.min(0, initial=0), points.max(0, initial=1)
    cell = np.floor((points - low) / (high - low).clip(min=1e-9) * 1023).astype(np.int64)
    key = np.zeros(len(points), np.int64)
    for bit in range(10):
        for axis in range(3):
            key |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    return key


def store(run: Path, place: Path) -> None:
    """Every mode of a run folder, compact, as `place`; with the clip where the frames shown are not the clip's own."""
    body = load_body()
    for mode in MODES:
        result = compact(load_bundle(run / mode))
        save_bundle(result, place / mode, files={"result.glb": glb_bytes(result, body, POINTS[mode])})
    capture = cv2.VideoCapture(str(place.parent / CLIP_FILE))
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    if (run / CLIP_FILE).is_file() and (result.distortion or frames != len(result.frame_times)):
        shutil.copyfile(run / CLIP_FILE, place / CLIP_FILE)


def make(name: str, again: bool) -> None:
    """One example, whole or as it was."""
    place = HERE / name / "result"
    with tempfile.TemporaryDirectory(dir=HERE / name) as folder:
        run, fresh = Path(folder, "run"), Path(folder, "result")
        if again:
            shutil.copytree(place, run)
        else:
            with bars() as progress:
                reconstruct(Job(HERE / name / CLIP_FILE, Settings(), run), progress)
        (Path(folder) / CLIP_FILE).symlink_to(HERE / name / CLIP_FILE)
        store(run, fresh)
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)


def main() -> int:
    """Make the examples that are named, or all; fail where they are too large together."""
    names = list(json.loads((HERE / "index.json").read_text("utf-8")))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which (default all)")
    parser.add_argument("--again", action="store_true", help="store the present results anew, without a run")
    args = parser.parse_args()
    for name in args.names or names:
        print(name, file=sys.stderr)
        make(name, args.again)
    size = sum(f.stat().st_size for name in names for f in (HERE / name / "result").rglob("*") if f.is_file())
    print(f"{size / 1e6:.1f} MB of results", file=sys.stderr)
    return 0 if size < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
