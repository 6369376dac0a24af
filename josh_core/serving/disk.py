"""Files and folders as the serving rooms handle them: links instead of copies, moves, sizes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def move(folder: Path, into: Path) -> None:
    """Rename each thing in `folder` to one in `into` (made if missing), but for those that are there already."""
    into.mkdir(parents=True, exist_ok=True)
    for item in folder.iterdir():
        if not (into / item.name).exists():
            os.rename(item, into / item.name)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file at a second place, without a second copy where the disk allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path) -> None:
    """All files of a folder at a second place."""
    for path in source.rglob("*"):
        if path.is_file() and not path.is_symlink():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, place)


def size_of(*folders: Path) -> int:
    """Bytes of all files in these folders; a file that stands at several places counts once, one that goes not."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                try:
                    status = os.lstat(os.path.join(root, name))
                except OSError:
                    continue
                seen[(status.st_dev, status.st_ino)] = status.st_size
    return sum(seen.values())
