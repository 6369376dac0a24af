"""File operations for serving: hard links instead of copies, moves, sizes."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def move(folder: Path, into: Path) -> None:
    """Move everything in `folder` into `into`, which is made if missing; names that exist there are left out."""
    into.mkdir(parents=True, exist_ok=True)
    for item in folder.iterdir():
        if not (into / item.name).exists():
            os.rename(item, into / item.name)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `source` available at `target`: a hard link where the disk allows it, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path) -> None:
    """`link_or_copy` for all files of a folder, without symbolic links."""
    for path in source.rglob("*"):
        if path.is_file() and not path.is_symlink():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, place)


def size_of(*folders: Path) -> int:
    """Bytes of all files in these folders; a file with several hard links counts once, one that vanishes does not."""
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


def discard_path(path: Path) -> None:
    """Remove a file or folder; errors of the disk are ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)
