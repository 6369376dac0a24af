"""A program that is killed in the middle of whatever it does to its store, again and again: nothing shared is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from josh_core.serving.mirror import FolderMirror
from josh_core.serving.store import Store

KILLS = 8
_CONTENT = b"x" * 300_000

_LIFE = """
import random, sys
from pathlib import Path
from josh_core.serving.mirror import FolderMirror
from josh_core.serving.store import Store

root, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
store = Store(root / "store", mirror=FolderMirror(root / "bucket"))
print("ready", flush=True)
mine = []
while True:
    workspace = store.workspace()
    (workspace / "fast").mkdir()
    (workspace / "fast" / "arrays.npz").write_bytes(b"x" * 300_000)
    (workspace / "fast" / "manifest.json").write_text("{}")
    entry, key = store.keep(workspace, "%064x" % chance.getrandbits(256))
    if chance.random() < 0.7:
        store.share(entry.id)
        print("shared", entry.id, flush=True)
        mine.append((entry.id, key))
    if chance.random() < 0.3:
        more = store.workspace()
        (more / "overlay.mp4").write_bytes(b"x" * 300_000)
        store.add(entry.id, more, "fast")
        store.discard(more)
    if mine and chance.random() < 0.3:
        gone, key = mine.pop(chance.randrange(len(mine)))
        print("deleting", gone, flush=True)
        store.delete(gone, key)
        print("deleted", gone, flush=True)
"""


def life(root: Path, seed: int) -> list[list[str]]:
    """One program's, until it is killed; what it has said."""
    command = [sys.executable, "-c", _LIFE, str(root), str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(random.Random(seed).uniform(0.02, 0.4))
    os.kill(process.pid, signal.SIGKILL)
    said = [line.split() for line in process.stdout.read().splitlines()]
    process.wait()
    return [line for line in said if len(line) == 2 and len(line[1]) == 22]


def test_whatever_a_kill_cuts_off(tmp_path: Path) -> None:
    shared: set[str] = set()
    maybe: set[str] = set()  # the kill came while it was deleted
    deleted: set[str] = set()
    for seed in range(KILLS):
        for word, run_id in life(tmp_path, seed):
            if word == "shared":
                shared.add(run_id)
            elif word == "deleting":
                maybe.add(run_id)
            else:
                deleted.add(run_id)
    mirror = FolderMirror(tmp_path / "bucket")
    store = Store(tmp_path / "store", mirror=mirror)
    mirror.background.wait()
    sure = shared - maybe - deleted
    assert len(sure) > KILLS
    for run_id in sure:
        entry, folder = store.get(run_id)
        assert entry.shared and (folder / "fast" / "arrays.npz").read_bytes() == _CONTENT
        film = folder / "fast" / "overlay.mp4"
        assert not film.exists() or film.read_bytes() == _CONTENT
    there = {folder.name for folder in (store.root / "runs").iterdir()}
    assert sure <= there and not there & deleted
    assert {path.stem for path in (store.root / "entries").iterdir()} == there  # no half-written file among them
    assert not list((store.root / "building").iterdir()) and not (store.root / "broken").exists()
    copied = {folder.name for folder in (tmp_path / "bucket" / "runs").iterdir()}
    assert sure <= copied and not copied & deleted
    for run_id in copied & sure:
        entry_file = tmp_path / "bucket" / "runs" / run_id / "entry.json"
        assert json.loads(entry_file.read_text())["id"] == run_id
    store.close()
