"""Shapes of arrays, asserted on entry: the same letter means the same length in everything that is checked together."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints


class Shaped:
    """Base of dataclasses whose fields say their shapes, e.g. `pose: Annotated[Float, "n 24 3"]`.

    Constructing one raises ValueError where an array has another shape. None is a value without a shape.
    """

    def __post_init__(self) -> None:
        owner: type = type(self)
        shapes = _field_shapes(owner)
        check_shapes(owner.__name__, **{name: (getattr(self, name), dims) for name, dims in shapes.items()})


def check_shapes(owner: str, /, **shaped: tuple[Any, str]) -> dict[str, int]:
    """Lengths by letter of arrays or tensors with their expected shapes, e.g. pose=(pose, "n 24 3").

    A number is met exactly; a letter is any length, the same in all arrays; "..." is any number of axes. None is
    skipped. Raises ValueError that names the owner, the array and both shapes.
    """
    lengths: dict[str, int] = {}
    for name, (array, dims) in shaped.items():
        if array is not None and not _fits(tuple(array.shape), dims, lengths):
            known = " with " + ", ".join(f"{dim} = {length}" for dim, length in lengths.items()) if lengths else ""
            raise ValueError(f"{owner}: {name} should be [{dims.replace(' ', ',')}]{known}; it is {list(array.shape)}")
    return lengths


def _fits(shape: tuple[int, ...], dims: str, lengths: dict[str, int]) -> bool:
    """Whether a shape is as expected; letters that are new get their lengths."""
    first, last = _parsed(dims)
    if last is not None:
        if len(shape) < len(first) + len(last):
            return False
        first, shape = first + last, shape[: len(first)] + shape[len(shape) - len(last) :]
    return len(shape) == len(first) and all(
        length == (dim if isinstance(dim, int) else lengths.setdefault(dim, length))
        for dim, length in zip(first, shape, strict=True)
    )


@cache
def _parsed(dims: str) -> tuple[tuple[int | str, ...], tuple[int | str, ...] | None]:
    """What stands before "..." and what behind it; None without dots."""
    parsed = tuple(int(dim) if dim.isdigit() else dim for dim in dims.split())
    if "..." not in parsed:
        return parsed, None
    at = parsed.index("...")
    return parsed[:at], parsed[at + 1 :]


@cache
def _field_shapes(owner: type) -> dict[str, str]:
    """The shapes that a class's annotations give, by field."""
    found = {}
    for name, hint in get_type_hints(owner, include_extras=True).items():
        for part in (hint, *get_args(hint)):  # the second for `Annotated[...] | None`
            if get_origin(part) is Annotated:
                found[name] = str(part.__metadata__[0])
    return found
