"""`josh export`: write a stored result in the formats of other programs."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from josh_core.errors import ResultError
from josh_core.progress import Progress
from josh_core.serving.jobs import Job
from josh_core.serving.tasks import (
    ARCHIVE,
    CLIP_FILE,
    DATASET,
    OVERLAY,
    PAIR,
    SPLIT,
    SPLIT_MODES,
    TURNTABLE,
    make_file,
)
from josh_core.settings import MODES, Settings

CLIP_FORMATS = {  # what needs the clip too: name, file, what it is
    "overlay": (OVERLAY, "the bodies over the clip"),
    "side-by-side": (PAIR, "the clip beside the world from outside"),
    "split": (SPLIT, f"{SPLIT_MODES[0]} on the left, {SPLIT_MODES[1]} on the right; needs both"),
    "dataset": (DATASET, "frames, masks and cameras for nerfstudio and COLMAP"),
    "zip": (ARCHIVE, "all of a result"),
}
MADE_FORMATS = CLIP_FORMATS | {"turntable": (TURNTABLE, "video for sharing: once around the people while they move")}


def add(commands: Any) -> None:
    """Its options."""
    parser = commands.add_parser("export", help="write a stored result in other formats")
    parser.add_argument("result", type=Path, nargs="?", help="folder of a result")
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="what to write; without any: list what there is")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: RESULT/export)")
    parser.add_argument("--mode", choices=MODES, help="which mode of a run that holds several (default the last)")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="the run's clip.mp4, if not beside the result")
    parser.set_defaults(action=_export)


def _export(args: argparse.Namespace) -> int:
    if not args.formats:
        from josh_core.export.formats import FORMATS

        rows = [(form.name, form.files, form.what) for form in FORMATS]
        rows += [
            (name, file, f"{what}; needs the run's {CLIP_FILE}" if name in CLIP_FORMATS else what)
            for name, (file, what) in MADE_FORMATS.items()
        ]
        print("\n".join(f"{name:<14s} {files:<26s} {what}" for name, files, what in rows))
        return 0
    _write(args, bundle_of(args.result, args.mode))
    return 0


def bundle_of(folder: Path, mode: str | None) -> Path:
    """The bundle folder in a result's or a run's folder. Raises ResultError where there is none."""
    places = [folder / mode] if mode else [folder, *(folder / name for name in reversed(MODES))]
    found = next((place for place in places if (place / "manifest.json").is_file()), None)
    if found is None:
        what = f"mode {mode}" if mode else "result"
        raise ResultError(f"There is no {what} in {str(folder)!r}; name the folder that `josh run --out` wrote.")
    return found


def _write(args: argparse.Namespace, bundle: Path) -> None:
    import cv2  # noqa: F401  before anything that loads pycolmap: the other order breaks image writing

    from josh_core.body import load_body
    from josh_core.cli.bars import bars
    from josh_core.export.bundle import load_bundle
    from josh_core.export.formats import check_body, chosen

    forms = chosen([name for name in args.formats if name not in MADE_FORMATS])
    made = [name for name in MADE_FORMATS if name in args.formats]
    clip = _clip(args, bundle) if any(name in CLIP_FORMATS for name in made) else None
    line = _line(bundle) if "split" in made else None
    result, body = load_bundle(bundle), load_body()
    check_body(result, body)
    out = args.out or bundle / "export"
    out.mkdir(parents=True, exist_ok=True)
    for form in forms:
        form.write(result, body, out)
        each = range(len(result.people)) if "_K" in form.files else (0,)
        files = [out / form.files.replace("_K", f"_{k}") for k in each]
        there = [file for file in files if file.exists()]
        print("\n".join(f"wrote {file}" for file in there) or f"{form.name}: nothing to write for this result")
    with bars() as progress:
        for name in made:
            file = MADE_FORMATS[name][0]
            _make(file, {"": bundle} | ({SPLIT_MODES[0]: line} if line else {}), clip, out, progress)
            print(f"wrote {out / file}")


def _line(bundle: Path) -> Path:
    """The bundle beside that of JOSH which a split video compares it with. Raises ResultError."""
    line, josh = SPLIT_MODES
    if bundle.name != josh or not (bundle.parent / line / "manifest.json").is_file():
        raise ResultError(
            f"The split video needs a result that holds {line} and {josh}; make one with `josh run CLIP --all-modes`."
        )
    return bundle.parent / line


def _clip(args: argparse.Namespace, bundle: Path) -> Path:
    """The clip whose frames are the result's. Raises ResultError."""
    places = [args.clip] if args.clip else [bundle / CLIP_FILE, bundle.parent / CLIP_FILE]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ResultError(f"The {CLIP_FILE} of the run is not beside the result; name it with --clip.")
    return Path(found)


def _make(file: str, bundles: Mapping[str, Path], clip: Path | None, out: Path, progress: Progress) -> None:
    """Make a file as the page makes it: from a folder that holds the clip and bundles by their place in there."""
    from josh_core.serving.disk import link_or_copy

    with tempfile.TemporaryDirectory(dir=out) as temporary:
        source, made = Path(temporary, "source"), Path(temporary, "made")
        made.mkdir()
        for place, bundle in bundles.items():
            (source / place).mkdir(parents=True)
            for path in bundle.iterdir():
                if path.is_file() and path.name != CLIP_FILE:
                    link_or_copy(path, source / place / path.name)
        if clip is not None:
            link_or_copy(clip, source / CLIP_FILE)
        make_file(Job(source / CLIP_FILE, Settings(), made, kind="file", name=file), progress)
        ready = made / file if (made / file).exists() else source / file  # else it was already stored with the bundle
        shutil.copyfile(ready, out / file)
