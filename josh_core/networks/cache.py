"""Results of networks kept on disk under the hash of everything they depend on, never under a path.

JOSH_CACHE_DIR says where (default: .cache/josh in the home folder), JOSH_CACHE_GB how much may be kept (default 2; 0
keeps nothing). A cache that cannot be written or read is no error: the result is computed again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from josh_core.errors import SettingsError

Arrays = dict[str, NDArray[Any]]


def content_key(parts: Iterable[str | NDArray[Any]]) -> str:
    """Hex digest of texts and arrays (values, shapes and types), in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(f"text {len(part)} {part}".encode())
        else:
            digest.update(f"array {part.shape} {part.dtype.str} ".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def cached(key: str, compute: Callable[[], Arrays]) -> Arrays:
    """The arrays stored under `key`, or those that `compute` returns, which are then stored. Raises what it raises."""
    limit = _limit_bytes()
    path = folder() / f"{key}.npz"
    if limit:
        stored = _read(path)
        if stored is not None:
            return stored
    arrays = compute()
    if limit:
        _write(path, arrays)
        _evict(path.parent, limit)
    return arrays


def folder() -> Path:
    """Where the cache lies."""
    return Path(os.environ.get("JOSH_CACHE_DIR", "").strip() or Path.home() / ".cache" / "josh")


def _limit_bytes() -> float:
    text = os.environ.get("JOSH_CACHE_GB", "").strip() or "2"
    try:
        return max(float(text), 0.0) * 1e9
    except ValueError as error:
        raise SettingsError(f"JOSH_CACHE_GB is a number of gigabytes, not {text!r}.") from error


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        path.touch()  # marks it as used most recently
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return arrays


def _write(path: Path, arrays: Arrays) -> None:
    """Written beside its place and renamed, so that an entry is whole or absent."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **dict[str, Any](arrays))
        os.replace(name, path)
    except OSError:
        return


def _evict(place: Path, limit: float) -> None:
    """Remove the least recently used entries until the rest fits."""
    try:
        entries = sorted(place.glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True)
        total = 0
        for entry in entries:
            total += entry.stat().st_size
            if total > limit:
                entry.unlink()
    except OSError:
        return
