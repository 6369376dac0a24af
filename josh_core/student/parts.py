"""The body parts whose contact the student predicts, and which of the body's contact points belong to them."""

from __future__ import annotations

from josh_core.body import BodyModel

FOOT_PARTS = ("heel", "ball", "toe")
PARTS = tuple(f"{side}_{part}" for side in ("left", "right") for part in (*FOOT_PARTS, "hand", "knee")) + ("seat",)
FOOT_ROWS = [[PARTS.index(f"{side}_{part}") for part in FOOT_PARTS] for side in ("left", "right")]


def part_columns(body: BodyModel, feet_only: bool = False) -> list[list[int]]:
    """Columns of the body's contact points for each of PARTS (or of its six foot parts)."""
    chosen = [p for p in PARTS if p.split("_")[-1] in FOOT_PARTS] if feet_only else PARTS
    return [[i for i, name in enumerate(body.contact_names) if _belongs(name, part)] for part in chosen]


def part_rows(contact: str) -> list[int]:
    """Rows of PARTS that apply to a contact point: one, two for a sole (heel and ball), none for e.g. the back."""
    rows = [i for i, part in enumerate(PARTS) if _belongs(contact, part)]
    if contact.endswith("_sole"):
        side = contact.split("_", maxsplit=1)[0]
        return [PARTS.index(f"{side}_heel"), PARTS.index(f"{side}_ball")]
    return rows


def _belongs(contact: str, part: str) -> bool:
    side, _, stem = part.rpartition("_")
    return contact.startswith(side) and stem in contact.split("_")
