"""The people of a clip: found and followed here (`find_people`)."""

from josh_core.tracking.tracker import find_people

__all__ = ["find_people"]
