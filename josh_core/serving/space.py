"""Deploys the checkout as a HuggingFace Space: files, hardware, storage, variables and secrets.

docs/DEPLOY.md gives the sources of the Hub's rules that are used here.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from josh_core.errors import DeployError

ROOT = Path(__file__).resolve().parents[2]
UPLOADED = ("app.py", "README.md", "LICENSE", "NOTICE", "packages.txt", "josh_core", "examples", "docs")
ZERO_GPU = "zero-"  # what the names of such hardware begin with
ZERO_GPU_TORCH = "torch>=2.8,<2.12"  # what ZeroGPU offers: 2.8.0, 2.9.1, 2.10.0 and 2.11.0
ZERO_GPU_PACKAGE = "spaces>=0.40,<1"
MOUNT = "/data"  # where a bucket appears in the Space
LONGEST_DESCRIPTION = 60  # characters of short_description; the Hub refuses more


@dataclass(frozen=True)
class Plan:
    """What to deploy and how."""

    space: str  # OWNER/SPACE
    hardware: str = "zero-a10g"
    private: bool = True  # of a Space, dataset or bucket that is made now
    dataset: str | None = None  # OWNER/NAME that keeps shared results
    bucket: str | None = None  # OWNER/NAME of a storage bucket that does
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, name in (("Space", self.space), ("dataset", self.dataset), ("bucket", self.bucket)):
            if name is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
                raise DeployError(f"{name!r} is no name of a {what}; write OWNER/NAME.")
        if self.dataset and self.bucket:
            raise DeployError("Shared results are kept in a dataset or in a bucket; name one of the two.")


def deploy(plan: Plan, api: Any = None) -> str:
    """Make or update the Space; returns its address. Raises DeployError with the Hub's reason and what to do.

    api: a huggingface_hub.HfApi, by default one with the token that `hf auth login` or HF_TOKEN left.
    """
    from huggingface_hub import HfApi, errors

    api = api or HfApi()
    try:
        with tempfile.TemporaryDirectory() as folder:
            stage(Path(folder), plan.hardware)
            made = api.create_repo(
                plan.space,
                repo_type="space",
                space_sdk="gradio",
                space_hardware=plan.hardware,
                private=plan.private,
                exist_ok=True,
            )
            _configure(api, plan)
            # Before the files: a Space starts when they arrive, and starts again at each later change.
            api.upload_folder(
                repo_id=plan.space,
                repo_type="space",
                folder_path=folder,
                commit_message="Deploy",
                delete_patterns=["*"],
            )
        return str(made)
    except errors.HfHubHTTPError as error:
        raise DeployError(_refusal(plan, error)) from None
    except (errors.LocalTokenNotFoundError, OSError) as error:
        what = type(error).__name__
        raise DeployError(f"The Hub could not be reached ({what}); run `hf auth login`, then try again.") from None


def _configure(api: Any, plan: Plan) -> None:
    """Storage, variables and secrets of the Space."""
    variables = dict(plan.variables)
    if plan.dataset:
        api.create_repo(plan.dataset, repo_type="dataset", private=True, exist_ok=True)
        variables["JOSH_STORE_DATASET"] = plan.dataset
    if plan.bucket:
        from huggingface_hub import Volume

        api.create_bucket(plan.bucket, private=True, exist_ok=True)
        api.set_space_volumes(plan.space, [Volume(type="bucket", source=plan.bucket, mount_path=MOUNT)])
        variables["JOSH_STORE_MOUNT"] = f"{MOUNT}/shared"
    for name, value in variables.items():
        api.add_space_variable(plan.space, name, value)
    for name, value in plan.secrets.items():
        api.add_space_secret(plan.space, name, value)


def stage(folder: Path, hardware: str, root: Path = ROOT) -> None:
    """Copy the files of the Space for this hardware into `folder`. Raises DeployError outside a checkout."""
    if not all((root / name).exists() for name in UPLOADED):
        raise DeployError("What is uploaded is a checkout of the project; run `python -m josh_core deploy` in one.")
    for name in UPLOADED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copyfile(source, folder / name)
    lines = (root / "requirements.txt").read_text("utf-8").splitlines()
    (folder / "requirements.txt").write_text("\n".join(requirements(lines, hardware)) + "\n", "utf-8")
    check_card((folder / "README.md").read_text("utf-8"), lines)


def requirements(locked: list[str], hardware: str) -> list[str]:
    """Requirement lines for a Space: with a torch that ZeroGPU offers on ZeroGPU, else exactly the locked ones."""
    if not hardware.startswith(ZERO_GPU):
        return locked
    return [ZERO_GPU_TORCH if re.match(r"torch\b(?!-)", line) else line for line in locked] + [ZERO_GPU_PACKAGE]


def check_card(readme: str, locked: list[str]) -> None:
    """Raises DeployError if the Hub would refuse README's front matter, or its Gradio is not the locked one."""
    head = dict(re.findall(r"^(\w+): *(.*?)\s*$", readme.split("---")[1], re.MULTILINE))
    description = head.get("short_description", "")
    if len(description) > LONGEST_DESCRIPTION:
        raise DeployError(
            f"README's short_description has {len(description)} characters; the Hub takes {LONGEST_DESCRIPTION}."
        )
    if f"gradio=={head.get('sdk_version')}" not in locked:
        raise DeployError("README's sdk_version is not the gradio of requirements.txt; write the same version.")


def _refusal(plan: Plan, error: Any) -> str:
    """The Hub's answer as a sentence with advice."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 402:
        return (
            f"The Hub wants a paid account for {plan.hardware}: a free one can host two ZeroGPU Spaces "
            "(--hardware zero-a10g) but no CPU Space made with Gradio."
        )
    if status in (401, 403):
        return f"The Hub does not let this token write {plan.space}; run `hf auth login` with a token that may write."
    return f"The Hub refused: {str(error).splitlines()[0]}"
