"""The colours of a person's body in every exported file and picture."""

from __future__ import annotations

from josh_core.body.model import BodyModel
from josh_core.export.looks.outfit import plain_colors
from josh_core.types import PersonMotion, UInt8

SEEN_ENOUGH = 0.12  # share of the body's surface that the clip has to show for the own look; chosen by eye


def own_colors(person: PersonMotion, body: BodyModel) -> UInt8 | None:
    """The person's own look, sRGB [V,3], or None if too little was seen or the colours are of another body."""
    if person.colors is None or len(person.colors) != len(body.skin_weights) or person.colors_seen < SEEN_ENOUGH:
        return None
    return person.colors


def body_colors(person: PersonMotion, body: BodyModel) -> UInt8:
    """sRGB [V,3] of the person's vertices: the own look, else the plain one."""
    own = own_colors(person, body)
    return plain_colors(body, person.id) if own is None else own
