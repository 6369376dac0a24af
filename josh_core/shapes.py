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

    A number is met exactly; a letter is any length, the same in all arrays; a leading "..." is any batch. None is
    skipped. Raises ValueError that names the owner, the array and both shapes.
    """
    lengths: dict[str, int] = {}
    for name, (array, dims) in shaped.items():
        if array is not None and not _fits(tuple(array.shape), dims.split(), lengths):
            known = " with " + ", ".join(f"{dim} = {length}" for dim, length in lengths.items()) if lengths else ""
            raise ValueError(f"{owner}: {name} should be [{dims.replace(' ', ',')}]{known}; it is {list(array.shape)}")
    return lengths


def _fits(shape: tuple[int, ...], dims: list[str], lengths: dict[str, int]) -> bool:
    """Whether a shape is as expected; letters that are new get their lengths."""
    if dims[:1] == ["..."]:
        dims = dims[1:]
        shape = shape[max(0, len(shape) - len(dims)) :]
    if len(shape) != len(dims):
        return False
    return all(
        length == (int(dim) if dim.isdigit() else lengths.setdefault(dim, length))
        for dim, length in zip(dims, shape, strict=True)
    )


@cache
def _field_shapes(owner: type) -> dict[str, str]:
    """The shapes that a class's annotations give, by field."""
    found = {}
    for name, hint in get_type_hints(owner, include_extras=True).items():
        for part in (hint, *get_args(hint)):  # the second for `Annotated[...] | None`
            if get_origin(part) is Annotated:
                found[name] = str(part.__metadata__[0])
    return found
