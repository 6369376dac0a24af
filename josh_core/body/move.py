"""Moving a posed body by a rigid motion: SMPL's root turns about the pelvis joint, not about the origin."""

from __future__ import annotations

from josh_core.geometry import Array
from josh_core.shapes import check_shapes


def move_body(b_from_a: Array, root_rotation: Array, transl: Array, pelvis: Array) -> tuple[Array, Array]:
    """Root rotation [...,3,3] and translation [...,3] in frame b of a body posed in frame a.

    A body point is R (p - pelvis) + pelvis + transl, so with b_from_a = (Q, q) the new translation is
    Q (pelvis + transl) + q - pelvis: leaving the pelvis out shifts the body by (Q - 1) pelvis.

    b_from_a: [...,4,4]; root_rotation: [...,3,3]; transl: [...,3] m; pelvis: [...,3] m, BodyModel.pelvis(betas).
    """
    check_shapes("move_body", b_from_a=(b_from_a, "... 4 4"), root_rotation=(root_rotation, "... 3 3"))
    check_shapes("move_body", transl=(transl, "... 3"), pelvis=(pelvis, "... 3"))
    turn = b_from_a[..., :3, :3]
    moved = (turn @ (pelvis + transl)[..., None])[..., 0] + b_from_a[..., :3, 3]
    return turn @ root_rotation, moved - pelvis
