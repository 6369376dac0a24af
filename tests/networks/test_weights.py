"""The registry of weights, the choice of tier and `doctor`: exact, and a sentence instead of a trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.rule_weights import write_rule_weights
from josh_core.errors import WeightsError
from josh_core.networks import doctor, hub_file, loaded, weights
from josh_core.networks.mast3r import Mast3r
from josh_core.networks.weights import JOSH3R, MAST3R, WEIGHTS, choose_tier, find, source_of
from josh_core.settings import Settings

NOTHING: dict[str, str] = {}


@pytest.fixture(autouse=True)
def empty_hub_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_file.HubFile, "cached", lambda self: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"x" * 1000)
    return path


def test_bundled_files_are_here() -> None:
    for weight in WEIGHTS:
        if weight.variable is None:
            found = find(weight, NOTHING)
            assert found.present, weight.name
            assert found.size == weight.size, weight.name


def test_a_weight_is_found_where_its_variable_points(file: Path) -> None:
    environ = {"JOSH_MAST3R_WEIGHTS": str(file)}
    found = find(MAST3R, environ)
    assert (found.present, found.size) == (True, 1000)
    assert source_of(MAST3R, environ) == str(file)


def test_a_hub_id_counts_because_it_can_be_fetched() -> None:
    environ = {"JOSH_JOSH3R_WEIGHTS": "someone/josh3r@v1"}
    assert find(JOSH3R, environ).where == "someone/josh3r@v1 (fetched on first use)"
    assert source_of(JOSH3R, environ) == "someone/josh3r@v1"


def test_the_published_mast3r_is_used_once_it_is_in_the_cache(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr(hub_file.HubFile, "cached", lambda self: file)
    assert source_of(MAST3R, NOTHING) == MAST3R.hub_id
    assert not find(JOSH3R, NOTHING).present  # it has no Hub id to look under


@pytest.mark.parametrize("value", ["", "/nowhere/file.pth", "nonsense", "a b/c"])
@pytest.mark.parametrize("weight", [MAST3R, JOSH3R])
def test_the_error_names_file_origin_licence_and_variable(weight: weights.Weight, value: str) -> None:
    with pytest.raises(WeightsError) as caught:
        source_of(weight, {str(weight.variable): value})
    for part in (weight.name, weight.file, weight.origin, weight.licence, weight.variable):
        assert str(part) in str(caught.value)


@pytest.mark.parametrize(
    ("tier", "here", "cuda", "expected", "why"),
    [
        ("auto", True, True, "hub", "MASt3R and CUDA are here"),
        ("auto", True, False, "embedded", "there is none"),
        ("auto", False, True, "embedded", "MASt3R is not here; set JOSH_MAST3R_WEIGHTS"),
        ("embedded", True, True, "embedded", "as asked for"),
        ("hub", True, True, "hub", "on CUDA"),
        ("hub", True, False, "hub", "on the CPU"),
    ],
)
def test_choice_of_tier(file: Path, tier: str, here: bool, cuda: bool, expected: str, why: str) -> None:
    environ = {"JOSH_MAST3R_WEIGHTS": str(file)} if here else NOTHING
    choice = choose_tier(Settings(tier=tier, mode="refine"), cuda, environ)  # type: ignore[arg-type]
    assert choice.tier == expected
    assert why in choice.reason
    assert any("CC BY-NC-SA" in licence for licence in choice.licences) == (expected == "hub")


def test_hub_tier_without_weights_is_refused() -> None:
    with pytest.raises(WeightsError, match="JOSH_JOSH3R_WEIGHTS"):
        choose_tier(Settings(tier="hub", mode="fast"), True, NOTHING)


def test_each_mode_needs_its_own_network(file: Path) -> None:
    environ = {"JOSH_JOSH3R_WEIGHTS": str(file)}
    tiers = [choose_tier(Settings(mode=m), True, environ).tier for m in ("baseline", "fast", "refine")]  # type: ignore[arg-type]
    assert tiers == ["embedded", "hub", "embedded"]


def test_networks_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mast3r.safetensors"
    write_rule_weights(path, Mast3r)
    monkeypatch.setenv("JOSH_MAST3R_WEIGHTS", str(path))
    monkeypatch.setattr(loaded, "_networks", {})
    first = loaded.load_mast3r()
    assert loaded.load_mast3r() is first


def test_networks_are_read_before_the_first_visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mast3r.safetensors"
    write_rule_weights(path, Mast3r)
    monkeypatch.setenv("JOSH_MAST3R_WEIGHTS", str(path))
    monkeypatch.delenv("JOSH_JOSH3R_WEIGHTS", raising=False)
    monkeypatch.setattr(loaded, "_networks", {})
    monkeypatch.setattr(loaded, "place", lambda network: network)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert loaded.load_present() == []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (line,) = loaded.load_present()
    assert line.startswith("mast3r.safetensors [")
    assert "made by rule" in line


@pytest.mark.parametrize("value", ["", "/nowhere", "a b", "owner/name"])
def test_doctor_lists_everything_and_never_fails(value: str) -> None:
    text = doctor.report({"JOSH_MAST3R_WEIGHTS": value, "JOSH_JOSH3R_WEIGHTS": value, "JOSH_BODY": value})
    for weight in WEIGHTS:
        for part in (weight.name, weight.licence, weight.origin, weight.purpose):
            assert part in text
    for word in ("cores", "memory", "cuda", "baseline", "fast", "refine"):
        assert word in text


def test_doctor_says_what_is_there(file: Path) -> None:
    def line(environ: dict[str, str]) -> list[str]:
        return next(row for row in doctor.report(environ).splitlines() if row.startswith("MASt3R ")).split()

    assert line(NOTHING)[1:4] == ["no", "2.75", "GB"]
    assert line({"JOSH_MAST3R_WEIGHTS": str(file)})[1:4] == ["yes", "0.0", "MB"]


def test_doctor_command_has_no_trace() -> None:
    done = subprocess.run([sys.executable, "-m", "josh_core", "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "MASt3R" in done.stdout
