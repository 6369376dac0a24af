"""What a store does with its root folder when it opens it: shared runs stay, everything else is removed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from josh_core.export.stored_json import clear_unfinished, read_json
from josh_core.serving.disk import discard_path
from josh_core.serving.entries import Entries, Entry, quarantine
from josh_core.serving.mirror import ENTRY


def recovered(root: Path, entries: Entries) -> dict[str, Entry]:
    """The shared runs that an earlier program left under `root`, by id. Raises OSError of the disk.

    Unfinished and unshared runs are removed, runs with an unreadable entry are moved to broken/.
    """
    for name in ("building", "temporary"):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("building", "runs"):
        (root / name).mkdir(exist_ok=True)
    runs, broken = root / "runs", root / "broken"
    for folder in (root, root / "entries"):
        clear_unfinished(folder)
    _migrate_shared(root, entries)
    index: dict[str, Entry] = {}
    kept = {entry.id: entry for entry in entries.read_all() if entry.shared}
    for folder in runs.iterdir():
        if folder.name in kept and not folder.is_symlink():
            index[folder.name] = kept[folder.name]
            (folder / ENTRY).unlink(missing_ok=True)  # left by an interrupted migration
        elif (broken / f"{folder.name}.json").exists():
            quarantine(folder, broken, "its entry cannot be read")
        else:
            discard_path(folder)
    for entry in list(entries.read_all()):
        if entry.id not in index:
            entries.remove(entry.id)
    return index


def _migrate_shared(root: Path, entries: Entries) -> None:
    """Move runs of earlier versions, which were stored in shared/ with their entry among their files, to runs/."""
    shared, runs, broken = root / "shared", root / "runs", root / "broken"
    for folder in shared.iterdir() if shared.is_dir() else ():
        try:
            entry = Entry.of(read_json(folder / ENTRY))
            if entry.id != folder.name or folder.is_symlink() or (runs / entry.id).exists():
                raise ValueError("not a run of that name")
        except ValueError as reason:
            quarantine(folder, broken, str(reason))
            continue
        used = (folder / ENTRY).stat().st_mtime
        entries.write(replace(entry, shared=True), used)
        os.rename(folder, runs / entry.id)
        (runs / entry.id / ENTRY).unlink()
    if shared.is_dir():
        discard_path(shared)
