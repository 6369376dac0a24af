"""The body: a neutral person in SMPL's layout, posed by joint rotations and ten shape coefficients (betas)."""

from josh_core.body.model import BodyModel, BodyPoints, load_body
from josh_core.body.move import move_body

__all__ = ["BodyModel", "BodyPoints", "load_body", "move_body"]
