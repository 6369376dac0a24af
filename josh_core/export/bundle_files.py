"""Safe reading of a bundle's two files, which may be damaged, of another version, or made by an attacker.

Everything is checked before use: the manifest's size and the type of every value that is used, and of each
array its type and shape before its numbers are unpacked, so that a small file cannot ask for much memory.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from josh_core.errors import ResultError
from josh_core.export.stored_json import is_number, read_json
from josh_core.settings import MODES
from josh_core.types import Float

FORMAT, VERSION = "josh-result", 1
MANIFEST, ARRAYS = "manifest.json", "arrays.npz"

# Chosen by hand, except where a measurement or a source is given.
MAX_MANIFEST = 4 << 20  # bytes; ours have some 10 kB
MAX_FRAMES, MAX_PEOPLE = 100_000, 1_000  # a clip has at most 60 s, and people that can be told apart
MAX_SUPPORTS, MAX_CORNERS = 1_000, 100  # patches of a result, corners of one; ours have up to 30
MAX_ARRAY = 256 << 20  # bytes of one array unpacked; the points of a scene, the largest of ours, are a few MB
MAX_ARRAYS = 1 << 30  # bytes of all arrays of a bundle unpacked
MAX_TEXTURE = 8192  # px, twice what any surface of ours has; 200 MB unpacked
MAX_NUMBER = 1e9  # m, px, s; beyond it pictures and files can no longer hold what is computed from it

Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_size(value: Any) -> bool:
    return is_number(value) and 0 < value <= MAX_NUMBER


def _is_amount(value: Any) -> bool:
    return is_number(value) and abs(value) <= MAX_NUMBER


def _list_of(check: Check, most: int = MAX_FRAMES) -> Check:
    return lambda value: isinstance(value, list) and len(value) <= most and all(check(item) for item in value)


def _with(**fields: Check) -> Check:
    """A check for an object that has these fields, and maybe others."""
    return lambda value: isinstance(value, dict) and all(check(value.get(name)) for name, check in fields.items())


def _is_clip(value: Any) -> bool:
    return isinstance(value, dict) and _list_of(_is_text)(value.get("notes") or [])


def _is_person(value: Any) -> bool:
    if not _with(id=_whole(0, 1 << 31), height_m=_is_amount)(value):
        return False
    return _is_amount(value.get("colors_seen", 0.0))


def _is_normal(value: Any) -> bool:
    return _list_of(_is_amount)(value) and len(value) == 3 and abs(sum(x * x for x in value) - 1) < 1e-3


def _is_support(value: Any) -> bool:
    return _with(height=_is_amount, outline=_list_of(_is_corner, MAX_CORNERS))(value) and len(value["outline"]) >= 3


def _is_corner(value: Any) -> bool:
    return _list_of(_is_amount)(value) and len(value) == 2


_SIDE = _whole(1, 1 << 16)
_REQUIRED: dict[str, Check] = {
    "mode": lambda value: value in MODES,
    "tier": _is_text,
    "fps": _is_size,
    "num_frames": _whole(1, MAX_FRAMES),
    "width": _SIDE,
    "height": _SIDE,
    "camera": lambda value: value in ("moving", "rotating", "static"),
    "people": _list_of(_is_person, MAX_PEOPLE),
    "contact_names": _list_of(_is_text, 1000),
    "body_model": _is_text,
    "scale_source": lambda value: value in ("contact", "height", "assumed"),
}
_OPTIONAL: dict[str, Check] = {  # bundles of earlier versions lack some
    "lens": lambda value: (
        isinstance(value, dict) and all(_is_amount(value.get(key, 0.0)) for key in ("division", "k1"))
    ),
    "surface": lambda value: isinstance(value, bool),
    "floor": _with(normal=_is_normal, offset=_is_amount, confidence=_is_amount),
    "supports": _list_of(_is_support, MAX_SUPPORTS),
    "quality": _is_object,
    "stages": _list_of(_with(name=_is_text, seconds=_is_amount)),
    "settings": _is_object,
    "versions": _is_object,
    "clip": _is_clip,
    "licences": _list_of(_is_text),
    "notes": _list_of(_is_text),
}


def load_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in `folder`, checked. Raises ResultError."""
    path = Path(folder) / MANIFEST
    if not path.exists():
        raise ResultError(f"There is no result in {path.parent.name!r}: {MANIFEST} is missing; run it again.")
    try:
        manifest = read_json(path, MAX_MANIFEST)
    except ValueError:
        raise ResultError(f"The result's {MANIFEST} cannot be read; run it again.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ResultError(f"The {MANIFEST} is not that of a {FORMAT} bundle; choose a folder written by this program.")
    if manifest.get("version") != VERSION:
        raise ResultError(
            f"The result is of bundle version {repr(manifest.get('version'))[:20]} and this program reads version "
            f"{VERSION}; run the clip again."
        )
    wrong = [name for name, check in _REQUIRED.items() if not check(manifest.get(name))]
    wrong += [name for name, check in _OPTIONAL.items() if name in manifest and not check(manifest[name])]
    if wrong:
        raise ResultError(f"The result's {MANIFEST} has no valid {', '.join(wrong)}; run the clip again.")
    return manifest


class Arrays:
    """The arrays of a bundle, each read on request. Raises ResultError for a missing, damaged or unexpected array."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip, self._left = zipfile.ZipFile(path), MAX_ARRAYS
        except FileNotFoundError:
            raise ResultError(f"The result is incomplete: {ARRAYS} is missing; run the clip again.") from None
        except Exception:  # a broken zip can raise nearly anything
            raise _unreadable() from None

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def __call__(self, name: str, kind: str, *shape: int | None) -> Any:
        """Array `name` of numpy kind `kind` ("f", "i", "u") and shape; None stands for any length."""
        try:
            member = self._zip.getinfo(f"{name}.npy")
        except KeyError:
            raise _invalid(name) from None
        try:
            has_shape, dtype, header = self._header(member)
            fits = dtype.kind == kind and len(has_shape) == len(shape)
            fits = fits and all(want in (None, have) for want, have in zip(shape, has_shape, strict=True))
            size = math.prod(has_shape) * dtype.itemsize
            if dtype.hasobject or not 0 <= size <= MAX_ARRAY or size != member.file_size - header:
                raise ValueError("not what it says")
            if not fits:
                raise _invalid(name)
            self._left -= size
            if self._left < 0:
                raise ValueError("more than a result has")
            with self._zip.open(member) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except ResultError:
            raise
        except Exception:  # as above, and so can a broken array
            raise _unreadable() from None

    def _header(self, member: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype, int]:
        """Shape, type and length in bytes of the header of a stored array."""
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        with self._zip.open(member) as file:
            shape, _, dtype = readers[np.lib.format.read_magic(file)](file)
            return shape, dtype, file.tell()

    def floating(self, name: str, *shape: int | None) -> Float:
        """A floating-point array; raises ResultError for NaN, infinity and values over MAX_NUMBER."""
        array: Float = self(name, "f", *shape)
        if not (np.abs(array) <= MAX_NUMBER).all():
            raise ResultError(f"The result's {name!r} holds numbers that are not finite; run the clip again.")
        return array


def check_texture(data: bytes) -> bytes:
    """Raises ResultError unless `data` is a JPEG of at most MAX_TEXTURE px a side, by its header."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            fits = max(picture.size) <= MAX_TEXTURE
    except Exception:  # a broken picture can raise nearly anything
        fits = False
    if not fits:
        raise ResultError("The result's surface has no picture that can be shown; run the clip again.")
    return data


def _unreadable() -> ResultError:
    return ResultError(f"The result's {ARRAYS} cannot be read; run the clip again.")


def _invalid(name: str) -> ResultError:
    return ResultError(f"The result's {ARRAYS} has no valid {name!r}; run the clip again.")
