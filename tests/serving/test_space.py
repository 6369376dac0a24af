"""Putting the page up: what is uploaded and asked of the Hub, and that app.py starts as ZeroGPU wants it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import errors

from josh_core.__main__ import main
from josh_core.errors import DeployError
from josh_core.serving import space
from josh_core.serving.space import Plan, check_card, deploy, requirements

ROOT = Path(__file__).resolve().parents[2]
LOCKED = (ROOT / "requirements.txt").read_text("utf-8").splitlines()


class Hub:
    """Stands in for HfApi: notes each call, and what lies in the folder that is uploaded."""

    def __init__(self, refuse: int | None = None) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.files: dict[str, bytes] = {}
        self.refuse = refuse

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> str:
            if self.refuse:
                answer = httpx.Response(self.refuse, request=httpx.Request("POST", "http://hub.test/api"))
                raise errors.HfHubHTTPError("no\nmore", response=answer)
            self.calls.append((name, args, options))
            if name == "upload_folder":
                folder = Path(options["folder_path"])
                self.files = {
                    f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()
                }
            return "https://hub.test/spaces/me/josh"

        return call

    def named(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(args, options) for called, args, options in self.calls if called == name]


def test_a_zero_gpu_space_gets_everything_it_needs_in_order() -> None:
    hub = Hub()
    plan = Plan("me/josh", dataset="me/results", variables={"JOSH_QUEUE": "3"}, secrets={"HF_TOKEN": "hidden"})
    assert deploy(plan, hub).endswith("me/josh")
    (made, options), (data, _) = hub.named("create_repo")
    assert made == ("me/josh",) and data == ("me/results",)
    assert options["space_sdk"] == "gradio" and options["space_hardware"] == "zero-a10g" and options["private"] is True
    variables = {args[1]: args[2] for args, _ in hub.named("add_space_variable")}
    assert variables == {"JOSH_QUEUE": "3", "JOSH_STORE_DATASET": "me/results"}
    assert [args for args, _ in hub.named("add_space_secret")] == [("me/josh", "HF_TOKEN", "hidden")]
    assert hub.calls[-1][0] == "upload_folder"  # the Space starts once, with all its settings
    lines = hub.files["requirements.txt"].decode().splitlines()
    assert "torch>=2.8,<2.12" in lines and not [line for line in lines if line.startswith("torch==")]
    weights = "josh_core/scene/matching/assets/xfeat.safetensors"
    assert {"app.py", "README.md", "packages.txt", weights} <= set(hub.files)
    assert "examples/index.json" in hub.files and not [name for name in hub.files if "__pycache__" in name]


def test_a_bucket_is_mounted() -> None:
    hub = Hub()
    deploy(Plan("me/josh", "cpu-upgrade", bucket="me/results"), hub)
    ((_, volumes), _), *_ = hub.named("set_space_volumes")
    assert volumes[0].source == "me/results" and volumes[0].mount_path == space.MOUNT
    assert ("me/josh", "JOSH_STORE_MOUNT", "/data/shared") in [args for args, _ in hub.named("add_space_variable")]
    assert hub.files["requirements.txt"].decode().splitlines() == LOCKED


@pytest.mark.parametrize(("status", "said"), [(402, "zero-a10g"), (403, "may write"), (500, "refused: no")])
def test_a_refusal_of_the_hub_is_one_sentence(status: int, said: str) -> None:
    with pytest.raises(DeployError, match=said) as caught:
        deploy(Plan("me/josh", "cpu-basic"), Hub(status))
    assert "\n" not in str(caught.value)


def test_mistakes_are_found_before_the_hub_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for plan in ({"space": "josh"}, {"space": "me/josh", "dataset": "a/b", "bucket": "a/b"}):
        with pytest.raises(DeployError):
            Plan(**plan)
    with pytest.raises(DeployError, match="checkout"):
        space.stage(tmp_path, "cpu-basic", root=tmp_path)
    monkeypatch.delenv("SOME_TOKEN", raising=False)
    assert main(["deploy", "me/josh", "--secret", "SOME_TOKEN"]) == 2
    assert "SOME_TOKEN" in capsys.readouterr().err


def test_readmes_head_is_one_that_the_hub_takes() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    check_card(readme, LOCKED)
    with pytest.raises(DeployError, match="61 characters"):
        check_card("---\nshort_description: " + 61 * "x" + "\n---\n", LOCKED)
    with pytest.raises(DeployError, match="sdk_version"):
        check_card("---\nsdk_version: 1.0.0\n---\n", LOCKED)


def test_only_torch_itself_is_loosened() -> None:
    lines = ["torch==2.13.0", "torch-thing==1", "numpy==2.0 ; python_full_version < '3.11'"]
    assert requirements(lines, "zero-a10g")[:3] == [space.ZERO_GPU_TORCH, *lines[1:]]
    assert requirements(lines, "cpu-basic") == lines


STAND_IN = """
import sys
before_torch = "torch" not in sys.modules
registered = []
def GPU(duration=None):
    def decorate(function):
        registered.append(function.__module__)
        return function
    return decorate
"""


def test_app_starts_as_zero_gpu_wants_it(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text(STAND_IN)
    code = "import app, spaces; print(spaces.before_torch, sorted(set(spaces.registered)))"
    there = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "SPACES_ZERO_GPU": "true"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=there, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True ['josh_core.hub.josh3r_pairs', 'josh_core.hub.mast3r_pairs']"
