"""Arrays out of SMPL's own pickle without running anything that is in it.

A pickle is a program that may call whatever it names. Here every name it may use leads to one of the harmless
stand-ins below, which only keep data; any other name is refused. Neither numpy, scipy nor chumpy is called by the file.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from josh_core.errors import WeightsError
from josh_core.types import Float

MAX_STEPS = 200_000  # an SMPL file takes some thousands; so many take a second
MAX_BYTES = 1 << 30  # the largest SMPL file, with 300 shape directions, is about 250 MB


def read_arrays(path: Path | str, keys: tuple[str, ...]) -> dict[str, Float]:
    """The arrays `keys` of a pickled dict; sparse matrices become dense, chumpy objects their values.

    Raises WeightsError when the file is missing, names anything that SMPL's files do not need, or lacks a key.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{path.name} is missing or over 1 GB; give the path of SMPL's own .pkl file.")
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
    except WeightsError:
        raise
    except Exception as error:  # a broken pickle can raise nearly anything
        raise WeightsError(f"{path.name} is not a readable SMPL pickle; download it again from its owner.") from error
    if not isinstance(content, dict) or any(k not in content for k in keys):
        raise WeightsError(f"{path.name} holds no SMPL body; it needs the arrays {', '.join(keys)}.")
    try:
        return {k: _value(content[k]) for k in keys}
    except Exception as error:  # as above: whatever stands where the numbers should
        raise WeightsError(f"{path.name} holds damaged arrays; download it again from its owner.") from error


class _Named:
    """Stands for a class the pickle names only to hand it on: ndarray, object."""


class _SavedObject:
    """Stands for an object of which only the saved fields matter: chumpy's arrays and scipy's sparse matrices."""

    def __init__(self, *_: Any) -> None:
        self.fields: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.fields = state if isinstance(state, dict) else {}


class _Csc(_SavedObject):
    """Stands for scipy's csc_matrix."""


class _Csr(_SavedObject):
    """Stands for scipy's csr_matrix."""


class _Dtype:
    """Stands for numpy.dtype: a plain number type or nothing."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = code if isinstance(code, str) and re.fullmatch(r"[biuf][1248]", code) else None
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|"):
            self.order = state[1]


class _Array:
    """Stands for numpy.ndarray: the bytes, shape, order and type of its saved state."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> Float:
        """The array. Raises ValueError when it does not hold plain numbers."""
        _, shape, dtype, fortran, raw = self.state
        if not isinstance(dtype, _Dtype) or dtype.code is None or not isinstance(raw, str | bytes):
            raise ValueError("not an array of numbers")
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        return np.frombuffer(data, dtype.order + dtype.code).reshape(shape, order="F" if fortran else "C")


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """Stands for _codecs.encode, with which Python 3 writes bytes into old pickle protocols."""
    return text.encode("latin1")


def _instance(kind: Any, *_: Any) -> Any:
    """Stands for copyreg._reconstructor: an empty stand-in."""
    if not (isinstance(kind, type) and issubclass(kind, _SavedObject)):
        raise ValueError("only stand-ins are made")
    return kind()


def _keep_nothing(*_: Any) -> None:
    """Stands for numpy's scalar and for sets: no array of the body is one, and what a set holds may be a bomb."""


def _is_plain(key: Any) -> bool:
    """Whether a key is a name or number, whose hash takes no time."""
    return key is None or isinstance(key, str | bytes | int | float)


class _Ordered(dict[Any, Any]):
    """Stands for OrderedDict."""

    def __init__(self, pairs: Any = ()) -> None:
        super().__init__((key, value) for key, value in pairs if _is_plain(key))


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Named,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _latin1,
    ("collections", "OrderedDict"): _Ordered,
    **{(m, "_reconstruct"): _Array for m in _MULTIARRAY},
    **{(m, "scalar"): _keep_nothing for m in _MULTIARRAY},
    **{(m, "_reconstructor"): _instance for m in ("copy_reg", "copyreg")},
    **{(m, "object"): _Named for m in ("__builtin__", "builtins")},
    **{(m, "set"): _keep_nothing for m in ("__builtin__", "builtins")},
    **{(m, "csc_matrix"): _Csc for m in ("scipy.sparse.csc", "scipy.sparse._csc")},
    **{(m, "csr_matrix"): _Csr for m in ("scipy.sparse.csr", "scipy.sparse._csr")},
}


class _Steps(dict[int, Any]):
    """The unpickler's table of what each code does, for MAX_STEPS codes at most: a gigabyte takes half an hour."""

    left = MAX_STEPS

    def __getitem__(self, code: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ValueError("more steps than a body needs")
        return super().__getitem__(code)


def _plain_keys(load: Callable[[Any], None], first: int, step: int, before_mark: bool) -> Callable[[Any], None]:
    """`load` of a code that makes keys of what lies on the stack: each `step`-th thing from `first` on.

    A tuple of the same tuple twice, sixty times over, is a key that takes for ever; one of 300,000 ends the process.
    """

    def checked(unpickler: Any) -> None:
        things = unpickler.stack if before_mark else unpickler.stack[first:]
        if not all(_is_plain(key) for key in things[::step]):
            raise ValueError("a key that is no name or number")
        load(unpickler)

    return checked


# Python's own unpickler in Python: the one in C makes a table as long as the largest number of an object, which a file
# of ten bytes can set so that it takes 30 GB.
class _Unpickler(pickle._Unpickler):
    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}
    dispatch |= {
        code[0]: _plain_keys(pickle._Unpickler.dispatch[code[0]], first, step, before_mark)
        for code, first, step, before_mark in (
            (pickle.SETITEM, -2, 2, False),
            (pickle.SETITEMS, 0, 2, True),
            (pickle.DICT, 0, 2, True),
            (pickle.ADDITEMS, 0, 1, True),
            (pickle.FROZENSET, 0, 1, True),
        )
    }

    def load(self) -> Any:
        self.dispatch = _Steps(type(self).dispatch)  # type: ignore[misc]  # how the class finds it
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        if module == "chumpy" or module.startswith("chumpy."):
            return _SavedObject
        if (module, name) not in _ALLOWED:
            raise WeightsError(
                f"The file asks to run {module}.{name}, which no SMPL file needs; do not use it, it may be harmful."
            )
        return _ALLOWED[module, name]


def _value(thing: Any) -> Float:
    if isinstance(thing, _Array):
        return thing.value()
    if isinstance(thing, _Csc | _Csr):
        return _dense(thing)
    if isinstance(thing, _SavedObject):  # chumpy: Ch keeps its values in x, Select picks idxs out of a
        if "x" in thing.fields:
            return _value(thing.fields["x"])
        chosen = _value(thing.fields["a"]).ravel()[_value(thing.fields["idxs"])]
        return chosen.reshape(thing.fields["preferred_shape"])
    raise ValueError("not an array")


def _dense(sparse: _Csc | _Csr) -> Float:
    from scipy.sparse import csc_matrix, csr_matrix

    kind = csc_matrix if isinstance(sparse, _Csc) else csr_matrix
    data, indices, indptr = (_value(sparse.fields[k]) for k in ("data", "indices", "indptr"))
    rows, columns = sparse.fields["_shape"]
    if rows * columns > 10**7:
        raise ValueError("too large for a joint regressor")
    matrix = kind((data, indices, indptr), shape=(rows, columns))
    matrix.check_format(full_check=True)
    return matrix.toarray()
