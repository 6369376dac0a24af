"""JOSH: cameras, scene scale and everybody's bodies solved together, tied by human-scene contact."""

from josh_core.joint.interface import JointResult, JointStart
from josh_core.joint.refine import refine

__all__ = ["JointResult", "JointStart", "refine"]
