"""JSON that others may have written or broken: read within a size, every value checked by type before it is used."""

from __future__ import annotations

import json
import math
import os
import secrets
from pathlib import Path
from typing import Any

# Chosen by hand, except where a measurement or a source is given.
MAX_BYTES = 1 << 20  # of one file; ours are a few kB


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The value in a file. Raises ValueError for one that is missing, too large, or no JSON."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise ValueError("too large")
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse)
        if b"\\u" in data:  # half of a surrogate pair is valid JSON, but no answer to a browser can hold it
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except (OSError, RecursionError) as error:  # RecursionError: brackets within brackets
        raise ValueError(str(error)) from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def write_json(path: Path, value: object) -> None:
    """Write a file whole or not at all. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name and no content
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def clear_unfinished(folder: Path) -> None:
    """Remove what `write_json` left of writes that were cut off. Raises OSError."""
    for left in folder.glob(".*.json.*.tmp"):
        left.unlink(missing_ok=True)


def is_number(value: object) -> bool:
    """A finite number; booleans are none, integers beyond the range of floats neither."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False
