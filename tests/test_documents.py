"""The documents speak of files and names that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").glob("*.md") if p.name != "CHANGELOG.md")]
MENTION = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.py)(?::(\w+(?:\.\w+)?))?`")  # `a/b.py` or `a/b.py:name`


def found(path: str) -> list[Path]:
    """Files of the repository that a path in a document may mean: its last parts, from the checkout or josh_core/."""
    parts = Path(path).parts
    folders = ("josh_core", "tests", "benchmarks", "examples", "docs")
    everything = [ROOT / "app.py", *(f for folder in folders for f in (ROOT / folder).rglob("*.py"))]
    return [f for f in everything if f.parts[-len(parts) :] == parts]


def names(file: Path) -> Iterator[str]:
    """Functions, classes and constants that a file defines, and `Class.member` for each class."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        yield from _defined(node)
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for member in node.body for name in _defined(member))


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_file_and_name_that_a_document_mentions_exists(document: Path) -> None:
    wrong = []
    for path, name in MENTION.findall(document.read_text(encoding="utf-8")):
        if not any(not name or name in names(file) for file in found(path)):
            wrong.append(f"{path}:{name}" if name else path)
    assert wrong == []


def test_the_walk_through_the_code_is_checked() -> None:
    mentions = MENTION.findall((ROOT / "docs" / "DEV.md").read_text(encoding="utf-8"))
    assert len(mentions) > 30 and sum(bool(name) for _, name in mentions) > 5
