"""The repository stays small: what it holds beside code is either an asset or little."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ASSETS = {
    "josh_core/tracking/assets",
    "josh_core/scene/matching/assets",
    "josh_core/body/assets",
    "josh_core/student/assets",
}
LARGEST, TREE = 5_000_000, 60_000_000  # bytes of a file that is no asset, and of all files together
MOST_NAMES = 20  # in a folder of the package: more are not taken in at a glance


@pytest.fixture(scope="module")
def sizes() -> dict[Path, int]:
    """Bytes of every file under version control, by its path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [Path(name) for name in listed.stdout.split("\0") if name]
    return {file: (ROOT / file).stat().st_size for file in files if (ROOT / file).is_file()}


def test_large_files_are_assets(sizes: dict[Path, int]) -> None:
    assert [f for f, size in sizes.items() if size > LARGEST and f.parent.as_posix() not in ASSETS] == []


def test_the_tree_is_small(sizes: dict[Path, int]) -> None:
    assert sum(sizes.values()) < TREE


def test_no_folder_of_the_package_holds_more_names_than_a_glance_takes_in(sizes: dict[Path, int]) -> None:
    """The root is the one exception: it may hold as many rooms, and as many files of method and language."""
    rooms, files = set[Path](), set[Path]()
    inside: dict[Path, set[Path]] = {}
    for path in sizes:
        if path.parts[0] == "josh_core":
            (files if len(path.parts) == 2 else rooms).add(Path(*path.parts[:2]))
            for folder, name in pairwise([*reversed(path.parents), path]):
                inside.setdefault(folder, set()).add(name)
    crowded = {f.as_posix(): len(names) for f, names in inside.items() if len(f.parts) > 1 and len(names) > MOST_NAMES}
    assert crowded == {}
    assert 10 < len(rooms) <= MOST_NAMES and 5 < len(files) <= MOST_NAMES


def test_every_name_is_one_that_windows_and_macos_take(sizes: dict[Path, int]) -> None:
    """No character or device name that Windows refuses, and no two names that differ in case alone."""
    parts = {part for path in sizes for part in path.parts}
    assert [part for part in parts if re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', part)] == []
    assert [part for part in parts if re.fullmatch(r"(con|prn|aux|nul|(com|lpt)\d)(\..*)?", part, re.IGNORECASE)] == []
    assert len({path.as_posix().lower() for path in sizes}) == len(sizes)
