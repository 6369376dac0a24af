"""`josh app`: serve the page."""

from __future__ import annotations

import argparse
import os
from typing import Any


def add(commands: Any) -> None:
    """Its options."""
    parser = commands.add_parser("app", help="serve the page (all its settings: josh_core/page/config.py)")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, help="port (default 7860)")
    parser.set_defaults(action=_app)


def _app(args: argparse.Namespace) -> int:
    for name in ("host", "port"):
        if getattr(args, name) is not None:
            os.environ[f"JOSH_{name.upper()}"] = str(getattr(args, name))
    from josh_core.page.serve import main

    return main()
