"""One clip spoiled in some hundred ways, as people and programs do it, and what then differs from the clip as it was.

    python -m benchmarks.spoiled CLIP [--seconds S] [--only WORD ...] [--keep DIR]

Each version runs in mode `fast` and is compared with the plain clip: people, focal, camera path and the people's
distance. Prints for each: right; told (something differs, and neither scale nor lens is called good, or a note says
it); WRONG (it differs and all is called good); refused. Needs ffmpeg.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.footage import EXAMPLES, ffmpeg
from benchmarks.spoils import SPOILS, Spoil
from benchmarks.spoils_effects import EFFECTS
from benchmarks.spoils_further import FURTHER
from josh_core import pipeline
from josh_core.errors import JoshError
from josh_core.metrics.verdicts import rows
from josh_core.settings import Settings
from josh_core.types import Float, Reconstruction

WIDTH = 640  # px of the versions
FOCAL, FAR, PATH = 0.15, 0.15, 0.2  # relative differences that count, of focal, distance and camera path
STEP = 0.1  # m, by which paths differ anyway


def main() -> int:
    """Make, run, compare, print; 0 where nothing is wrong and called good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=2.4, help="how much of the clip is used")
    parser.add_argument("--only", nargs="*", default=[""], help="words in the names of those to run")
    parser.add_argument("--keep", type=Path, help="folder in which the versions are kept")
    args = parser.parse_args()
    chosen = [s for s in (*SPOILS, *FURTHER, *EFFECTS) if any(word in s.name for word in args.only)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        plain = folder / "plain.mp4"
        ffmpeg("-t", str(args.seconds), "-i", str(args.clip), "-vf", f"scale={WIDTH}:-4", *CODED, str(plain))
        result = pipeline.run(plain, Settings(mode="fast"))["fast"]
        print(f"{'plain':<9s}{'':<36s}{_numbers(result)}", flush=True)
        verdicts = [_say(spoil, plain, folder, result) for spoil in chosen]
    for kind in ("right", "told", "refused", "WRONG", "not made"):
        print(f"{kind}: {verdicts.count(kind)}")
    return 1 if "WRONG" in verdicts else 0


CODED = ("-c:v", "libx264", "-crf", "14", "-pix_fmt", "yuv420p", "-an")


def _say(spoil: Spoil, plain: Path, folder: Path, before: Reconstruction) -> str:
    verdict, detail = _judge(spoil, plain, folder, before)
    print(f"{verdict:<9s}{spoil.name:<36s}{detail}", flush=True)
    return verdict


def _judge(spoil: Spoil, plain: Path, folder: Path, before: Reconstruction) -> tuple[str, str]:
    path = folder / (spoil.file or f"{spoil.name.replace(' ', '_')}.mp4")
    try:
        made(spoil, plain, path)
        after = pipeline.run(path, Settings(mode="fast"))["fast"]
    except subprocess.CalledProcessError:
        return "not made", "this ffmpeg cannot"
    except JoshError as error:
        return "refused", str(error)
    except Exception as error:  # a crash is a finding too
        return "WRONG", f"{type(error).__name__}: {error}"
    off = differences(spoil, before, after)
    if not off:
        return "right", ""
    notes = [*after.clip["notes"], *after.notes]
    judged = {row.key: row.verdict for row in rows(after.quality)}
    said = [note for note in notes if any(word in note for word in spoil.said)]
    doubted = "good" not in (judged.get("scale"), judged.get("lens"))
    detail = f"{'; '.join(off)} | {_numbers(after)}" + "".join(f" | {note[:90]}" for note in said)
    return ("told" if said or doubted else "WRONG"), detail


def made(spoil: Spoil, plain: Path, path: Path) -> None:
    """The spoiled version of a clip, as a file. Raises CalledProcessError where ffmpeg cannot make it."""
    places = {"{plain}": str(plain), "{other}": str(EXAMPLES / "squats" / "clip.mp4")}
    ffmpeg(*(places.get(word, word) for word in spoil.make), str(path))
    if spoil.damage is not None:
        path.write_bytes(spoil.damage(path.read_bytes()))


def differences(spoil: Spoil, before: Reconstruction, after: Reconstruction) -> list[str]:
    """What differs more than it may, one phrase each."""
    out = []
    if len(after.people) != len(before.people):
        out.append(f"{len(after.people)} people instead of {len(before.people)}")
    elif before.people:
        out += _off("distance", _distance(after) / _distance(before), FAR)
    longest = [max(r.width, r.height) for r in (before, after)]
    focal = after.intrinsics[0, 0] / longest[1] / (before.intrinsics[0, 0] / longest[0]) / spoil.closer
    out += _off("focal", float(focal), FOCAL)
    times = _steps(after.frame_times[-1])
    path = _path(after, times)
    expected = _path(before, spoil.when(after.clip["start"] + times))
    if abs(path - expected) > STEP + PATH * expected:
        out.append(f"path {path:.2f} instead of {expected:.2f} m")
    if spoil.rate != 1:
        out.append(f"played {spoil.rate:.2g} times as fast")
    return out


def _off(name: str, ratio: float, limit: float) -> list[str]:
    return [f"{name} x {ratio:.2f}"] if abs(np.log(ratio)) > np.log1p(limit) else []


def _distance(result: Reconstruction) -> float:
    """Median distance in m of everybody from the camera."""
    away = [
        np.linalg.norm(person.joints[:, 0] - result.world_from_cam[person.frames, :3, 3], axis=-1)
        for person in result.people
    ]
    return float(np.median(np.concatenate(away)))


def _steps(end: float) -> Float:
    """Times [n] s in steps of 0.2 s, so that the noise of a path counts little."""
    return np.append(np.arange(0.0, end, 0.2), end)


def _path(result: Reconstruction, times: Float) -> float:
    """Way of the camera in m from one of the times [n] s to the next."""
    at: Float = np.stack([np.interp(times, result.frame_times, result.world_from_cam[:, k, 3]) for k in range(3)], -1)
    return float(np.linalg.norm(np.diff(at, axis=0), axis=-1).sum())


def _numbers(result: Reconstruction) -> str:
    judged = {row.key: row.verdict for row in rows(result.quality)}
    focal = result.intrinsics[0, 0] / max(result.width, result.height)
    away = f"{_distance(result):.2f} m away" if result.people else "nobody"
    return (
        f"{result.camera_kind}, {len(result.people)} people, {away}, focal {focal:.2f}, path "
        f"{_path(result, _steps(result.frame_times[-1])):.2f} m, scale {judged.get('scale')}, lens {judged.get('lens')}"
    )


if __name__ == "__main__":
    sys.exit(main())
