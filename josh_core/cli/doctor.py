"""`josh doctor`: list the weights found, and what this machine can run."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Its options."""
    parser = commands.add_parser("doctor", help="list every weight and what this machine can run")
    parser.set_defaults(action=_doctor)


def _doctor(_args: argparse.Namespace) -> int:
    from josh_core.networks.doctor import report

    print(report())
    return 0
