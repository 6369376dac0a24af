"""`cut_off.py ROOT HOW`: one program's life with its store, broken off or refused by the disk at each of its writes.

Every write (a file opened for it, a folder made, a rename, a link, a removal) is an event that the interpreter tells
(sys.addaudithook). HOW is `kill` (the process dies before the event), `full` or `read-only` (from this event on the
disk takes nothing) or `hiccup` (this event alone fails). Each event has a process and a folder of its own; another
process then opens the store and looks. Prints how many events there were and what was not as it should be.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from josh_core.errors import JoshError
from josh_core.page.machine.disk_space import DiskSpace
from josh_core.page.machine.rates import Rates, Size
from josh_core.serving import mirror as mirror_room
from josh_core.serving.mirror import FolderMirror
from josh_core.serving.store import Entry, Store
from josh_core.serving.visitor_errors import visitor_error

CONTENT = b"x" * 5000
TAKES_ROOM = {"open", "os.mkdir", "os.link"}
CHANGES = TAKES_ROOM | {"os.rename", "os.remove", "os.rmdir", "os.utime", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Disk:
    """Counts writes, and fails from one on. Audit hooks cannot be taken out again, so there is one a process."""

    def __init__(self, how: str, at: int) -> None:
        self._how, self._at, self.count = how, at, 0
        self._inside = False
        sys.addaudithook(self._event)

    def _event(self, name: str, said: tuple[Any, ...]) -> None:
        if name not in CHANGES or self._inside:
            return
        if name != "open":
            self._count(name in TAKES_ROOM)
        elif isinstance(said[2], int) and said[2] & _WRITING:
            self._count(True)
            self._count(True, said)

    def _count(self, takes_room: bool, opened: tuple[Any, ...] = ()) -> None:
        """One event; of a file that is opened there are two: before, and when it is there and holds nothing yet."""
        self.count += 1
        fails = self.count == self._at if self._how in ("kill", "hiccup") else self.count >= self._at
        if not fails or (self._how == "full" and not takes_room):
            return
        if opened and self.count == self._at and self._how != "read-only":
            self._inside = True
            os.close(os.open(opened[0], opened[2], 0o600))
            self._inside = False
        if self._how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number = {"hiccup": errno.EIO, "full": errno.ENOSPC, "read-only": errno.EROFS}[self._how]
        raise OSError(number, "the disk takes nothing")


class Life:
    """What a program does, telling each thing once it is done."""

    def __init__(self, root: Path, say: Callable[[str], None]) -> None:
        self._say = say
        self.mirror = FolderMirror(root / "bucket")
        self.store = Store(root / "store", mirror=self.mirror)
        self.disk = DiskSpace(self.store, 1000)
        self.rates = Rates(self.store.root / "rates.json")

    def live(self) -> None:
        """Keep, share, add, copy, delete, learn, tidy."""
        first, second = self._try(self._shared), self._try(self._shared)
        if first is not None:
            self._try(lambda: self._grow(first[0]))
            copy = self._try(lambda: self.store.copy(first[0].id))
            if copy is not None:
                self._try(lambda: self._share(copy[0]))
        if second is not None:
            self._say(f"deleting {second[0].id}")
            self._try(lambda: self._delete(*second))
        self._try(lambda: self.store.keep(self._built(), "0" * 64))  # not shared: ends with the program
        self._try(lambda: self.rates.learn("fast", Size(10), {"clip": 1.0}))
        self._try(lambda: self.disk.clean_up(set()))

    def _try(self, step: Callable[[], Any]) -> Any:
        """Do a step; an error of the disk becomes a sentence for whoever asked, and the program goes on."""
        try:
            return step()
        except (JoshError, OSError) as error:
            assert str(visitor_error(error)).endswith((".", "again later."))
            return None
        finally:
            self.mirror.background.wait()

    def _built(self) -> Path:
        workspace = self.store.workspace()
        (workspace / "fast").mkdir()
        (workspace / "fast" / "arrays.npz").write_bytes(CONTENT)
        (workspace / "fast" / "manifest.json").write_text("{}")
        return workspace

    def _shared(self) -> tuple[Entry, str]:
        entry, key = self.store.keep(self._built())
        self._share(entry)
        return entry, key

    def _share(self, entry: Entry) -> None:
        self.store.share(entry.id)
        self._say(f"shared {entry.id}")
        self.mirror.background.wait()
        if not list((self.store.root / "owed").glob(f"{entry.id}.*")) and entry.id in self.mirror.ids():
            self._say(f"mirrored {entry.id}")

    def _grow(self, entry: Entry) -> None:
        more = self.store.workspace()
        (more / "overlay.mp4").write_bytes(CONTENT)
        self.store.add(entry.id, more, "fast")
        self.store.discard(more)
        self._say(f"grown {entry.id}")
        self.store.mirror_again(entry.id)

    def _delete(self, entry: Entry, key: str) -> None:
        self.store.delete(entry.id, key)
        self._say(f"deleted {entry.id}")


def look(root: Path, said: list[list[str]], how: str) -> None:
    """Open the store again. Raises AssertionError where something is not as it was said to be."""
    told = {word: {name for w, name in said if w == word} for word in "shared mirrored grown deleting deleted".split()}
    sure = told["shared"] - told["deleting"]
    mirror = FolderMirror(root / "bucket")
    elsewhere = Store(root / "elsewhere", mirror=mirror)  # were the disk lost too: what had got to the mirror is whole
    for run_id in told["mirrored"] - told["deleting"]:
        _check_whole(elsewhere.get(run_id)[1])
    elsewhere.close()
    store = Store(root / "store", mirror=mirror)
    mirror.background.wait()
    for run_id in sure:
        entry, folder = store.get(run_id)
        assert entry.shared
        _check_whole(folder)
        assert run_id not in told["grown"] or (folder / "fast" / "overlay.mp4").exists(), "a file is lost"
    there = {folder.name for folder in (store.root / "runs").iterdir()}
    assert not there & told["deleted"], "deleted, and there again"
    assert {path.stem for path in (store.root / "entries").iterdir()} == there, "entries without runs, or other files"
    assert not list((store.root / "building").iterdir()), "left in building"
    assert not (store.root / "broken").exists(), "something was broken"
    if how == "kill":  # else the mirror's disk takes nothing either, and it is never told
        assert sure <= mirror.ids() and not mirror.ids() & told["deleted"], "the mirror was not told"
        assert not list((store.root / "owed").iterdir())
    Rates(store.root / "rates.json")
    assert not list(store.root.glob("*.tmp")) and not list(store.root.glob(".*.tmp"))
    store.close()


def _check_whole(folder: Path) -> None:
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (b"{}" if path.suffix == ".json" else CONTENT), f"{path.name} is cut off"


def in_child(do: Callable[[Callable[[str], None]], None]) -> tuple[int, list[list[str]]]:
    """Do something in a process of its own: how that ended (0, or minus a signal), and what it said."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        code = 1
        try:
            do(lambda line: os.write(into, f"{line}\n".encode()) and None)
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
        finally:
            os._exit(code)
    os.close(into)
    with os.fdopen(out) as pipe:
        said = [line.split() for line in pipe]
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def main(root: Path, how: str) -> None:
    """Each write in turn, until a life ends before its turn comes."""
    mirror_room._RETRY_AFTER = ()
    os.fsync = lambda _: None  # a killed process leaves what it has written; without waiting for the disk it is quicker
    at, ended = 0, False
    while not ended:
        at += 1
        place = root / str(at)
        place.mkdir()

        def life(say: Callable[[str], None], at: int = at, place: Path = place) -> None:
            disk = Disk(how, at)
            with suppress(JoshError):  # the store could not be opened, which is said
                Life(place, say).live()
            say(f"events {disk.count}")

        code, said = in_child(life)
        ended = any(word == "events" and int(count) < at for word, count in said)
        bad = code not in (0, -signal.SIGKILL)
        said = [line for line in said if len(line) == 2 and line[0] != "events"]
        bad = bool(in_child(lambda _, place=place, said=said: look(place, said, how))[0]) or bad  # type: ignore[misc]
        if bad:
            sys.stdout.write(f"BAD {how} {at}\n")
    sys.stdout.write(f"events {at - 1}\n")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(Path(sys.argv[1]), sys.argv[2])
