"""The content cache: found by what a result depends on, whole or absent, bounded, never an error."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from josh_core.errors import SettingsError
from josh_core.networks import cache


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JOSH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("JOSH_CACHE_GB", raising=False)
    return tmp_path / "cache"


class Counting:
    def __init__(self, size: int = 3) -> None:
        self.calls = 0
        self.size = size

    def __call__(self) -> cache.Arrays:
        self.calls += 1
        return {"a": np.arange(self.size), "b": np.ones((2, 2), np.float32)}


def test_the_second_time_nothing_is_computed() -> None:
    compute = Counting()
    first, second = cache.cached("k", compute), cache.cached("k", compute)
    assert compute.calls == 1
    assert all(np.array_equal(first[name], second[name]) for name in first)
    cache.cached("other", compute)
    assert compute.calls == 2


def test_keys_tell_contents_apart() -> None:
    zeros = np.zeros((2, 3), np.uint8)
    parts = [
        ["a", zeros],
        ["b", zeros],
        ["a", zeros.T],
        ["a", zeros.astype(np.int8)],
        ["a", zeros + 1],
        [zeros, "a"],
        ["a", "", zeros],
    ]
    assert len({cache.content_key(p) for p in parts}) == len(parts)
    assert cache.content_key(["a", zeros]) == cache.content_key(["a", zeros.copy()])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"not a zip"])
def test_a_damaged_entry_is_computed_again(place: Path, content: bytes) -> None:
    compute = Counting()
    cache.cached("k", compute)
    (place / "k.npz").write_bytes(content)
    assert cache.cached("k", compute)["a"].tolist() == [0, 1, 2]
    assert compute.calls == 2


def test_pickles_are_not_read(place: Path) -> None:
    place.mkdir()
    np.savez(place / "k.npz", a=np.array([{"x": 1}], dtype=object))
    assert cache.cached("k", Counting())["a"].tolist() == [0, 1, 2]


def test_what_was_used_longest_ago_goes_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOSH_CACHE_GB", "0.00002")  # 20 kB: two entries of 8 kB
    for age, key in enumerate(("old", "used")):
        cache.cached(key, Counting(1000))
        os.utime(place / f"{key}.npz", (age, age))
    compute = Counting(1000)
    cache.cached("old", compute)  # now the one used last
    cache.cached("new", compute)
    assert compute.calls == 1
    assert {p.stem for p in place.glob("*.npz")} == {"old", "new"}
    assert not list(place.glob("*.part"))


def test_nothing_is_kept_when_there_is_no_room(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOSH_CACHE_GB", "0")
    compute = Counting()
    cache.cached("k", compute)
    cache.cached("k", compute)
    assert compute.calls == 2
    assert not place.exists()


def test_a_place_that_cannot_be_written_is_no_error(place: Path) -> None:
    place.write_text("a file where the folder should be")
    assert cache.cached("k", Counting())["a"].tolist() == [0, 1, 2]


def test_a_limit_that_is_no_number_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOSH_CACHE_GB", "lots")
    with pytest.raises(SettingsError, match="JOSH_CACHE_GB"):
        cache.cached("k", Counting())
