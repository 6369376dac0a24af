"""The house: which room may import which, and no circles among modules (imports inside functions are not counted)."""

from __future__ import annotations

import ast
from pathlib import Path

import josh_core

ROOT = Path(josh_core.__file__).parent
LANGUAGE = {
    "types",
    "kept_frames",
    "shapes",
    "errors",
    "settings",
    "progress",
    "geometry",
    "lsq",
    "threads",
    "josh_core",
}  # what all rooms speak
# The stages in the order of the data, then what uses them: a room may import the language and what stands beside it.
MAY_IMPORT: dict[str, set[str]] = {
    "types": {"shapes", "kept_frames"},
    "kept_frames": set(),
    "shapes": set(),
    "errors": set(),
    "threads": set(),
    "settings": {"errors"},
    "progress": {"errors"},
    "geometry": {"types", "shapes"},
    "lsq": {"geometry", "shapes"},
    "body": LANGUAGE,
    "networks": LANGUAGE,
    "clip": LANGUAGE,
    "tracking": LANGUAGE | {"clip", "body"},
    "scene": LANGUAGE | {"body"},
    "bodyfit": LANGUAGE | {"body"},
    "contact": LANGUAGE | {"body"},
    "joint": LANGUAGE | {"body", "bodyfit", "contact"},
    "world": LANGUAGE | {"body", "scene"},
    "evidence": LANGUAGE | {"body", "scene", "bodyfit", "contact", "world"},
    "modes": LANGUAGE | {"body", "scene", "contact", "joint", "world", "evidence"},
    "hub": LANGUAGE | {"body", "networks", "scene", "bodyfit", "contact", "world", "evidence"},
    "student": LANGUAGE | {"body", "networks", "clip", "tracking", "scene", "bodyfit", "contact", "world", "evidence"},
    "metrics": LANGUAGE | {"body", "world", "contact"},
    "export": LANGUAGE | {"body", "metrics", "world"},
    "serving": LANGUAGE | {"export"},
    "viewer": LANGUAGE,
    "page": LANGUAGE | {"clip", "export", "metrics", "networks", "serving", "viewer"},
    "cli": LANGUAGE | {"serving"},  # heavy rooms are imported inside its functions
    "__main__": {"cli"},
}
METHOD = {"pipeline"}  # the whole method, which may import every stage
NOT_METHOD = {"serving", "page", "viewer", "cli", "__main__"}


def modules() -> dict[str, Path]:
    named = {".".join(("josh_core", *f.relative_to(ROOT).with_suffix("").parts)): f for f in ROOT.rglob("*.py")}
    return {name.removesuffix(".__init__"): f for name, f in named.items()}


def imports(path: Path, known: set[str]) -> set[str]:
    """Modules of josh_core that a file imports when it is imported itself."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & known


def graph() -> dict[str, set[str]]:
    files = modules()
    return {name: imports(path, set(files)) - {name} for name, path in files.items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def test_rooms_import_only_in_the_direction_of_the_data() -> None:
    wrong = []
    for module, targets in graph().items():
        here = room(module)
        for there in {room(t) for t in targets} - {here}:
            allowed = there not in NOT_METHOD if here in METHOD else there in MAY_IMPORT.get(here, set())
            if not allowed:
                wrong.append(f"{module} imports {there}")
    assert wrong == []


def test_every_room_is_in_the_table() -> None:
    rooms = {room(module) for module in modules()} - {"josh_core"}
    assert rooms <= set(MAY_IMPORT) | METHOD
    assert len([p for p in ROOT.iterdir() if p.is_dir() and p.name != "__pycache__"]) <= 20


def test_rooms_within_a_room_form_no_circle() -> None:
    """Folders such as scene/camera and scene/depth import each other one way; a file beside them stands for itself."""
    edges: dict[str, set[str]] = {}
    folders = {module for module, path in modules().items() if path.name == "__init__.py"}
    for module, targets in graph().items():
        here = folder_of(module, folders)
        edges.setdefault(here, set()).update(folder_of(t, folders) for t in targets if room(t) == room(module))
    assert_no_circle({here: targets - {here} for here, targets in edges.items()})


def folder_of(module: str, folders: set[str]) -> str:
    """The folder within a room that a module lies in, or for one that lies in the room itself the module."""
    parent = module if module in folders else module.rpartition(".")[0]
    return parent if parent.count(".") >= 2 else module


def test_no_circle_of_imports() -> None:
    assert_no_circle(graph())


def assert_no_circle(edges: dict[str, set[str]]) -> None:
    done = set[str]()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for target in sorted(edges[module]):
                if not module.startswith(f"{target}."):  # a package is imported before its own modules
                    visit(target, (*path, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())
