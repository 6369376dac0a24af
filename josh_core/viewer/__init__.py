"""The page's 3D viewer: our sources in src/ and three.js, built into one ES module that asks no other host."""

from __future__ import annotations

import hashlib
from pathlib import Path

BUNDLE = Path(__file__).with_name("viewer.bundle.js")


def version() -> str:
    """Changes with the bundle, so that browsers never show an old one."""
    return hashlib.sha256(BUNDLE.read_bytes()).hexdigest()[:12]
