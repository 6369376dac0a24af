"""The package as others install it: a wheel in a fresh environment, used from another folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CLIP = ROOT / "tests" / "data" / "juggle_short.mp4"
BIN = "Scripts" if os.name == "nt" else "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that holds the wheel; its dependencies are those of the tests' environment."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder)
    python = folder / BIN / ("python.exe" if os.name == "nt" else "python")
    place = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True
    )
    Path(place.stdout.decode().strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel)],
        check=True,
        capture_output=True,
    )
    return python.parent


def environment(**more: str) -> dict[str, str]:
    """Without anything that leads back to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more


def test_the_wheel_holds_all_that_is_needed_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    listed = subprocess.run(
        ["git", "ls-files", "josh_core", "examples"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    own = {name if name.startswith("josh_core/") else f"josh_core/{name}" for name in listed.stdout.split()}
    assert "josh_core/examples/index.json" in own and "josh_core/student/assets/student.safetensors" in own
    assert names == own


def test_a_clip_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    run = [installed / "josh", "run", CLIP, "--mode", "baseline", "--out", "result"]
    done = subprocess.run(run, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "result" / "manifest.json").is_file() and (tmp_path / "result" / "result.glb").is_file()
    where = subprocess.run(
        [installed / "python", "-c", "import josh_core; print(josh_core.__file__)"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(installed.parent) in where.stdout  # it was the wheel, not the checkout


def test_the_page_opens_from_another_folder(installed: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    there = environment(JOSH_PORT=str(port), JOSH_STORE=str(tmp_path / "store"))
    with (tmp_path / "log").open("w") as log:
        page = subprocess.Popen([installed / "josh", "app"], cwd=tmp_path, env=there, stdout=log, stderr=log)
    try:
        text, end = "", time.monotonic() + 120
        while not text and time.monotonic() < end and page.poll() is None:
            try:
                text = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read().decode()
            except OSError:
                time.sleep(0.3)
        assert "log_sit" in text, (tmp_path / "log").read_text()  # the first example
    finally:
        page.terminate()
        page.wait(20)
