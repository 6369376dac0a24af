"""The caller of an operation of the page or its API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """A browser tab or a program, and from where."""

    session: str
    client: str = ""  # network address
    program: bool = False

    @property
    def owner(self) -> str:
        """Key for the limit per visitor: the address of programs, since each of their calls is a session of its own."""
        return f"programs at {self.client}" if self.program else self.session
