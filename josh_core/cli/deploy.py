"""`josh deploy`: put the page up as a HuggingFace Space (docs/DEPLOY.md)."""

from __future__ import annotations

import argparse
import os
from typing import Any

from josh_core.errors import SettingsError


def add(commands: Any) -> None:
    """Its options."""
    parser = commands.add_parser("deploy", help="put the page up as a HuggingFace Space, or bring one up to date")
    parser.add_argument("space", metavar="OWNER/SPACE", help="the Space; made if there is none, private at first")
    parser.add_argument("--hardware", default="zero-a10g", help="zero-a10g (default), cpu-basic, t4-small, ...")
    parser.add_argument("--public", action="store_true", help="let everybody see a Space that is made now")
    parser.add_argument("--dataset", metavar="OWNER/NAME", help="dataset that keeps shared results; made if missing")
    parser.add_argument("--bucket", metavar="OWNER/NAME", help="storage bucket that does instead; made if missing")
    parser.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE", help="a setting of the page")
    parser.add_argument(
        "--secret", action="append", default=[], metavar="NAME", help="pass on this environment variable as a secret"
    )
    parser.set_defaults(action=_deploy)


def _deploy(args: argparse.Namespace) -> int:
    from josh_core.serving.space import Plan, deploy

    plan = Plan(
        space=args.space,
        hardware=args.hardware,
        private=not args.public,
        dataset=args.dataset,
        bucket=args.bucket,
        variables=dict(_pair(text) for text in args.variable),
        secrets={name: _secret(name) for name in args.secret},
    )
    print(f"deployed to {deploy(plan)}")
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise SettingsError(f"--variable wants NAME=VALUE, not {text!r}.")
    return name, value


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SettingsError(f"--secret {name}: set the environment variable {name} first; its value is never printed.")
    return value
