"""The footage table: makes each input from a clip of the examples and checks the result.

    python -m benchmarks.footage [--all] [--only WORD] [--keep DIR]

Without --all only the reading of clips is checked (a minute); with it the whole method runs on the others too. Prints
right, wrong (with what is wrong) or refused (with the sentence) for each; needs ffmpeg.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.footage_checks import FootageResult, FootageRow
from benchmarks.footage_edits import READ_EDITS, RUN_EDITS
from benchmarks.footage_further import READ_FURTHER, RUN_FURTHER
from benchmarks.footage_rows import READ, RUN
from josh_core import pipeline
from josh_core.clip.load import load_clip
from josh_core.errors import JoshError
from josh_core.metrics.verdicts import rows
from josh_core.settings import Settings

EXAMPLES = Path(__file__).parents[1] / "examples"
CLIPS = ("juggle", "log_sit", "squats", "beam_pan")


def main() -> int:
    """Make, look, print; 0 when every row is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="run the whole method too (an hour on two cores)")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--keep", type=Path, help="folder in which the made inputs are kept")
    args = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is needed to make the inputs.")
        return 2
    table = (*READ, *READ_FURTHER, *READ_EDITS, *((*RUN, *RUN_FURTHER, *RUN_EDITS) if args.all or args.only else ()))
    chosen = [row for row in table if args.only in row.name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        verdicts = [_say(row, folder) for row in chosen]
    print(f"{len(chosen) - sum(verdicts)} of {len(chosen)} not as they should be")
    return 0 if all(verdicts) else 1


def _say(row: FootageRow, folder: Path) -> bool:
    try:
        verdict, detail = judge(row, made(row, folder))
    except subprocess.CalledProcessError:
        verdict, detail = "not made", "this ffmpeg cannot"
    print(f"{verdict:<8s} {row.name:<36s} {detail}", flush=True)
    return verdict in ("right", "not made")


def made(row: FootageRow, folder: Path) -> Path:
    """The row's input in a folder."""
    still = folder / "frame.png"
    clips = {name: EXAMPLES / name / "clip.mp4" for name in CLIPS}
    if not still.exists():
        ffmpeg("-i", str(clips["juggle"]), "-frames:v", "1", str(still))
    places = {**{name: str(path) for name, path in clips.items()}, "still": str(still)}
    arguments = [places.get(word[1:-1], word) if word.startswith("{") else word for word in row.make]
    path = folder / row.file
    ffmpeg(*arguments, f"file:{path}")
    if row.spoil is not None:
        path.write_bytes(row.spoil(path.read_bytes()))
    return path


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg; raises CalledProcessError where it cannot."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, stdin=subprocess.DEVNULL)


def judge(row: FootageRow, path: Path) -> tuple[str, str]:
    """right, wrong or refused, and in which way."""
    try:
        seen = _run(path) if row.run else _read(path)
    except JoshError as error:
        right = row.refused and row.refused in str(error)
        return ("right" if right else "refused"), str(error)
    if row.refused:
        return "wrong", "not refused"
    wrong = [fault for check in row.checks for fault in check(seen)]
    return ("wrong", "; ".join(wrong)) if wrong else ("right", "")


def _read(path: Path) -> FootageResult:
    clip = load_clip(path, Settings())
    pictures = tuple(clip.frame(t) for t in (0, len(clip) // 2, len(clip) - 1))
    return FootageResult(
        frames=len(clip),
        seconds=float(clip.times[-1]),
        width=clip.width,
        height=clip.height,
        notes=" ".join(clip.notes),
        pictures=pictures,
        start=clip.start,
    )


def _run(path: Path) -> FootageResult:
    result = pipeline.run(path, Settings(mode="fast"))["fast"]
    notes = " ".join([*result.clip["notes"], *result.notes])
    times = result.frame_times
    return FootageResult(
        frames=len(times),
        seconds=float(times[-1]),
        width=result.width,
        height=result.height,
        notes=notes,
        people=len(result.people),
        kind=result.camera_kind,
        quality=result.quality,
        start=result.clip["start"],
        verdicts={row.key: row.verdict for row in rows(result.quality)},
    )


if __name__ == "__main__":
    sys.exit(main())
