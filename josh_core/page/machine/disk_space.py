"""The limit on disk space: all files count; over the limit uploads are removed first, then files that can be remade."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from josh_core.errors import ResultError
from josh_core.serving.disk import size_of
from josh_core.serving.store import Store

# Chosen by hand, except where a measurement or a source is given.
UPLOADS = 0.25  # share of the disk space that uploads may take
_ONE_ADDRESS = 0.5  # share of that for all clips that visitors of one network address have here
# Of the largest upload: smaller ones count as much, since each is a folder to look through time and again
_LEAST = 0.01
_ABANDONED = 600.0  # s after which an upload that nobody has taken goes
_ARRIVING = 30.0  # s for which a new upload may wait to be taken even when disk space is scarce


class DiskSpace:
    """The folders beside the store's own, and which of their files stay."""

    def __init__(self, store: Store, upload_bytes: int) -> None:
        """Folders of an earlier program are emptied. upload_bytes: of the largest upload.

        Raises ResultError when the disk takes no new ones.
        """
        self._store, self._upload_bytes = store, upload_bytes
        try:
            self.uploads, self.visitors, self.made = (self._empty(name) for name in ("uploads", "visitors", "made"))
        except OSError as error:
            raise ResultError(
                f"The results folder {store.root} cannot be used ({error.strerror}); make room there or set JOSH_STORE "
                "to another folder."
            ) from None

    def _empty(self, name: str) -> Path:
        folder = self._store.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def max_bytes(self) -> int:
        """Bytes that all may take together."""
        return self._store.limits.max_bytes

    @property
    def max_upload_bytes(self) -> int:
        """Bytes that uploads may take."""
        return max(int(UPLOADS * self.max_bytes), 2 * self._upload_bytes)

    @property
    def max_address_bytes(self) -> int:
        """Bytes of clips that all visitors of one network address may have here."""
        return int(_ONE_ADDRESS * self.max_upload_bytes)

    def used(self) -> int:
        """Bytes that are taken."""
        return size_of(self._store.root)

    def free(self) -> int:
        """Bytes that the disk has left."""
        return shutil.disk_usage(self._store.root).free

    @property
    def is_full(self) -> bool:
        """Whether the disk takes no further run: it is read-only, or has less than 1 % of the room left (50 MB)."""
        return self.free() < self.max_bytes // 100 or not os.access(self._store.root, os.W_OK)

    def has_room_for(self, more: int, claimed: set[Path]) -> bool:
        """Whether there is space for `more` bytes of uploads; unclaimed uploads are removed for them where needed."""
        for oldest in (_ABANDONED, _ARRIVING):
            if self._fits(more):
                return True
            self._drop_uploads(claimed, oldest)
        return self._fits(more)

    def _fits(self, more: int) -> bool:
        """Whether the disk and the uploads' share of it hold `more` bytes of uploads as things are."""
        if self.free() < more or self.is_full:
            return False
        count = sum(upload.is_dir() for upload in self.uploads.iterdir())  # the others have not wholly arrived yet
        taken = max(size_of(self.uploads, self.visitors), int(count * _LEAST * self._upload_bytes))
        return taken + more <= self.max_upload_bytes

    def clean_up(self, claimed: set[Path]) -> None:
        """Remove unclaimed uploads; over the limit also newer ones, then files that can be made again."""
        self._drop_uploads(claimed, _ABANDONED)
        if self.used() > self.max_bytes:
            self._drop_uploads(claimed, _ARRIVING)
            for folder in (self._store.root / "broken", *self.made.iterdir()):
                if self.used() > self.max_bytes:
                    shutil.rmtree(folder, ignore_errors=True)
        runs = size_of(self._store.root / "runs")
        self._store.prune(max(0, self.used() - runs))

    def _drop_uploads(self, claimed: set[Path], older_than: float) -> None:
        kept = {path.parent for path in claimed}
        for folder in self.uploads.iterdir():
            try:
                age = abs(time.time() - folder.stat().st_mtime)  # from tomorrow: the clock was set back
                if folder not in kept and age > older_than:
                    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
            except OSError:
                continue
