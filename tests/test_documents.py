"""The documents speak of files and names that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from josh_core import __version__

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


# What a clip goes through; the rooms that serve and draw are not walked file by file.
WALKED = ("clip", "tracking", "scene", "bodyfit", "contact", "joint", "world", "metrics", "hub", "student")


def test_the_walk_names_every_file_that_a_clip_goes_through() -> None:
    walk = (ROOT / "docs" / "DEV.md").read_text(encoding="utf-8").split("## Follow one clip")[1].split("\n## ")[0]
    mentioned = {file for path, _ in MENTION.findall(walk) for file in found(path)}
    files = {f for room in WALKED for f in (ROOT / "josh_core" / room).rglob("*.py") if f.name != "__init__.py"}
    apart = {f for f in files if f.parent.name == "training"}  # docs/STUDENT.md has it
    assert sorted(files - apart - mentioned) == [] and len(files - apart) > 80


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", document.read_text(encoding="utf-8"))
    assert [name for name in named if f"def {name}(" not in tests] == []


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"(?:python -m (?:josh_core )?|\bjosh |`)(benchmarks(?:\.\w+)+|[a-z-]+)\b([^`\n]*)")


def test_commands_that_a_document_gives_have_their_options() -> None:
    """Each option of `josh COMMAND` and of `python -m benchmarks.NAME`, wherever a document writes one."""
    wrong, count = [], 0
    for document in DOCUMENTS:
        for command, rest in COMMAND.findall(document.read_text(encoding="utf-8")):
            name = command.replace("-", "_")
            place = f"josh_core/cli/{name}.py" if "." not in command else command.replace(".", "/") + ".py"
            if (ROOT / place).is_file():
                known = set(re.findall(r'"(--[a-z-]+)"', (ROOT / place).read_text(encoding="utf-8")))
                options = OPTION.findall(rest)
                count += len(options)
                wrong += [f"{document.name}: {command} {option}" for option in options if option not in known]
            elif "." in command:
                wrong.append(f"{document.name}: {command}")
    assert wrong == [] and count > 20


def test_every_document_speaks_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == __version__
    changes = (ROOT / "docs" / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (.*)$", changes, re.MULTILINE)[1] == __version__
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [d.name for d in (ROOT / "docs").glob("*.md") if f"(docs/{d.name})" not in readme] == []
