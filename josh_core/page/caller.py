"""Who asks for something."""

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
        """Whose share of the line counts: of programs the address, since each call is a session of its own."""
        return f"programs at {self.client}" if self.program else self.session
