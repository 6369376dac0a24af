"""JOSH: cameras, scene scale and everybody's bodies solved together, tied by human-scene contact."""

from josh_core.joint.refining import refine
from josh_core.joint.start import JointResult, JointStart

__all__ = ["JointResult", "JointStart", "refine"]
