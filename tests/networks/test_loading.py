"""Weight files: read strictly, refused by name, never unpickled; Hub ids end in a file or in a sentence."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file, save_model
from torch import Tensor

from benchmarks.rule_weights import TINY_ARCHITECTURE, rule_state, write_rule_weights
from josh_core.errors import WeightsError
from josh_core.networks import hub_file
from josh_core.networks.hub_file import HubFile, local_path, locate
from josh_core.networks.josh3r import Josh3r
from josh_core.networks.loading import METADATA_KEY, load_strictly, read_tensors
from josh_core.networks.mast3r import Mast3r
from josh_core.progress import Progress

METADATA = {METADATA_KEY: TINY_ARCHITECTURE.to_json()}
KEY = "dec_blocks.3.cross_attn.projq.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """State dict of a tiny MASt3R."""
    with torch.device("meta"):
        network = Mast3r(TINY_ARCHITECTURE)
    return {key: value.clone() for key, value in rule_state(network).items()}


def save(path: Path, state: dict[str, Tensor]) -> Path:
    save_file({key: value.clone() for key, value in state.items()}, path, metadata=METADATA)
    return path


def test_safetensors_round_trip(tmp_path: Path, state: dict[str, Tensor]) -> None:
    network = Mast3r.from_pretrained(save(tmp_path / "tiny.safetensors", state))
    assert network.architecture == TINY_ARCHITECTURE
    assert not network.training
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert network.source is not None
    assert network.source.label == "tiny.safetensors"


def test_fingerprint_tells_weights_apart(tmp_path: Path, state: dict[str, Tensor]) -> None:
    changed = state | {"enc_norm.bias": state["enc_norm.bias"] + 1e-3}
    same, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    prints = [Mast3r.from_pretrained(save(path, s)).source for path, s in ((same, state), (other, changed))]
    again = Mast3r.from_pretrained(same).source
    assert prints[0] is not None and prints[1] is not None and again is not None
    assert prints[0].fingerprint == again.fingerprint != prints[1].fingerprint


def test_half_precision_files_are_read_as_float32(tmp_path: Path, state: dict[str, Tensor]) -> None:
    network = Mast3r.from_pretrained(save(tmp_path / "half.safetensors", {k: v.bfloat16() for k, v in state.items()}))
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_one_name_of_a_shared_tensor_is_enough(tmp_path: Path) -> None:
    """safetensors drops the second name of a tensor when it saves a whole model."""
    with torch.device("meta"):
        network = Mast3r(TINY_ARCHITECTURE)
    network.load_state_dict(rule_state(network), assign=True)
    save_model(network, str(tmp_path / "model.safetensors"), metadata=METADATA)
    stored = load_file(tmp_path / "model.safetensors")
    assert len(network.state_dict()) - len(stored) == 8
    loaded = Mast3r.from_pretrained(tmp_path / "model.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), network.parameters(), strict=True))
    scratch = loaded.downstream_head1.dpt.scratch
    assert scratch.get_parameter("layer2_rn.weight") is scratch.get_parameter("layer_rn.1.weight")


def test_names_of_a_shared_tensor_must_agree(tmp_path: Path, state: dict[str, Tensor]) -> None:
    name = "downstream_head1.dpt.scratch.layer_rn.2.weight"
    path = save(tmp_path / "x.safetensors", state | {name: state[name] + 1})
    with pytest.raises(WeightsError, match=r"layer3_rn\.weight and .*layer_rn\.2\.weight, which are one"):
        Mast3r.from_pretrained(path)


def without(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: without(s, KEY), rf"1 missing \({KEY}\)\.$"),
        (lambda s: s | {"extra.weight": torch.zeros(3)}, r"1 left over \(extra\.weight\)\.$"),
        (
            lambda s: s | {KEY: torch.zeros(48, 47)},
            rf"1 of another shape \({KEY} is \[48, 47\] instead of \[48, 48\]\)",
        ),
        (lambda s: without(s, KEY) | {KEY + "s": s[KEY]}, rf"1 missing \({KEY}\); 1 left over \({KEY}s\)\.$"),
    ],
    ids=["missing", "extra", "shape", "renamed"],
)
def test_misfits_are_refused_by_name(tmp_path: Path, state: dict[str, Tensor], change: Any, expected: str) -> None:
    with pytest.raises(WeightsError, match=expected):
        Mast3r.from_pretrained(save(tmp_path / "bad.safetensors", change(dict(state))))


def test_smpl_buffers_are_the_one_exception() -> None:
    """JOSH3R's published file holds a licensed body's buffers; MASt3R's must not."""
    extra = {"smpl.v_template": torch.zeros(6890, 3), "smpl.parents": torch.zeros(24, dtype=torch.int64)}
    with torch.device("meta"):
        josh3r, mast3r = Josh3r(TINY_ARCHITECTURE), Mast3r(TINY_ARCHITECTURE)
    load_strictly(josh3r, rule_state(josh3r) | extra, "josh3r.pt")
    with pytest.raises(WeightsError, match=r"2 left over \(smpl\.v_template, smpl\.parents\)"):
        load_strictly(mast3r, rule_state(mast3r) | extra, "mast3r.pth")
    with pytest.raises(WeightsError, match=r"1 left over \(smplify\.x\)"):
        load_strictly(josh3r, rule_state(josh3r) | {"smplify.x": torch.zeros(1)}, "josh3r.pt")


def test_torch_checkpoint_with_training_options(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """MASt3R's own release: state dict under "model", the options beside it as a namespace."""
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": state, "args": argparse.Namespace(lr=1e-4, name="x"), "epoch": 3}, path)
    tensors, metadata = read_tensors(path)
    assert metadata == {}
    assert tensors.keys() == state.keys()
    assert torch.equal(tensors[KEY], state[KEY])


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched"),))


@pytest.mark.parametrize("bare", [True, False], ids=["bare pickle", "zip"])
def test_pickled_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: bool) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    if bare:
        path.write_bytes(pickle.dumps({"model": Hostile()}, protocol=2))
    else:
        torch.save({"model": Hostile()}, path)
    with pytest.raises(WeightsError, match=r"evil\.pth"):
        read_tensors(path)
    assert not Path("touched").exists()


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 broken zip", b"\x80\x02 broken pickle"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"damaged\.safetensors"):
        read_tensors(path)


@pytest.mark.parametrize(
    "stated",
    ['{"enc_dim": 64}', '{"enc_heads": 3}', '{"dec_depth": 4}', '{"layers": 1}', "[1]", "no json", '{"enc_dim": "64"}'],
)
def test_impossible_architectures_are_refused(tmp_path: Path, stated: str) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={METADATA_KEY: stated})
    with pytest.raises(WeightsError):
        Mast3r.from_pretrained(path)


def test_rule_weights_file_loads(tmp_path: Path) -> None:
    write_rule_weights(tmp_path / "josh3r.safetensors", Josh3r)
    network = Josh3r.from_pretrained(str(tmp_path / "josh3r.safetensors"))
    assert network.architecture == TINY_ARCHITECTURE
    assert "made by rule" in str(network.source)


# Hub ids


@pytest.mark.parametrize(
    ("text", "repo", "file", "revision"),
    [
        ("naver/MASt3R_x", "naver/MASt3R_x", "model.safetensors", None),
        ("a/b@abc123", "a/b", "model.safetensors", "abc123"),
        ("a/b/weights/josh3r.pt@v1.0", "a/b", "weights/josh3r.pt", "v1.0"),
    ],
)
def test_hub_ids(text: str, repo: str, file: str, revision: str | None) -> None:
    parsed = HubFile(text)
    assert (parsed.repo, parsed.file, parsed.revision) == (repo, file, revision)


def test_a_revision_given_apart_wins() -> None:
    assert HubFile("a/b@old", revision="new").revision == "new"


@pytest.mark.parametrize("text", ["", "nothing", "a b/c", "../../etc", "a/b@"])
def test_what_is_no_hub_id(text: str) -> None:
    with pytest.raises(WeightsError, match=r"no Hub id|no weight file"):
        locate(text)


def test_paths_and_ids_are_told_apart(tmp_path: Path) -> None:
    assert local_path("naver/MASt3R_ViTLarge") is None
    assert local_path("owner/name/file.pt") is None
    assert local_path("weights/josh3r.pt") == Path("weights/josh3r.pt")
    with pytest.raises(WeightsError, match=r"no weight file absent\.pt"):
        locate(str(tmp_path / "absent.pt"))


def response(status: int) -> Any:
    return SimpleNamespace(status_code=status, headers={}, request=None, url="")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            lambda: errors.GatedRepoError("x", response=response(403)),
            r"is gated: accept its terms at .*/o/n and set HF_TOKEN",
        ),
        (lambda: errors.RepositoryNotFoundError("x", response=response(404)), "The Hub has no o/n"),
        (lambda: errors.RevisionNotFoundError("x", response=response(404)), "o/n has no revision r1"),
        (lambda: errors.LocalEntryNotFoundError("x"), "the Hub cannot be reached; go online once"),
        (lambda: errors.RemoteEntryNotFoundError("x", response=response(404)), "o/n has no file model.safetensors"),
        (lambda: errors.OfflineModeIsEnabled("offline mode"), "could not be fetched from the Hub: offline mode"),
        (lambda: OSError("disk full"), "could not be fetched from the Hub: disk full"),
    ],
    ids=["gated", "repo", "revision", "offline", "entry", "offline-mode", "disk"],
)
def test_hub_errors_say_what_to_do(monkeypatch: pytest.MonkeyPatch, error: Any, sentence: str) -> None:
    def fail(*args: Any, **options: Any) -> str:
        raise error()

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(HubFile, "cached", lambda self: None)
    with pytest.raises(WeightsError, match=sentence):
        locate("o/n@r1")


def test_a_download_is_pinned_and_labelled_with_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def download(repo: str, file: str, **options: Any) -> str:
        asked.append((repo, file, options["revision"]))
        return f"/cache/models--o--n/snapshots/0123abcd/{file}"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(HubFile, "cached", lambda self: None)
    assert locate("o/n@v2")[1] == "o/n/model.safetensors@0123abcd"
    assert asked == [("o/n", "model.safetensors", "v2")]


def test_what_is_in_the_cache_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "models--o--n" / "snapshots" / "77" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: str(file))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: pytest.fail("asked the network"))
    assert locate("o/n") == (file, "o/n/model.safetensors@77")


@pytest.mark.parametrize("silent", [True, False])
def test_download_progress_is_reported(silent: bool, tmp_path: Path) -> None:
    fractions: list[float] = []
    progress = Progress(report=lambda stage, fraction: fractions.append(fraction))
    with (
        (tmp_path / "bar").open("w") as file,
        hub_file._reporting_bar(progress)(total=4, disable=silent, file=file) as bar,
    ):
        bar.update(1)
        bar.update(3)
    assert fractions == [0.25, 1.0]
