"""Training continues bit for bit, labels are written once, and label -> train -> use goes through on tiny data."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from josh_core.errors import ResultError, SettingsError
from josh_core.student.network import WEIGHTS_FILE, load_student
from josh_core.student.training.label import label_clip, label_clips, label_path
from josh_core.student.training.label_file import read_label, windows
from josh_core.student.training.recipe import read_recipe
from josh_core.student.training.train import Windows, train

TINY = {"motions": 2, "pool_frames": 12, "batch": 4, "frames": 8, "steps": 6, "checkpoint_every": 2}


class Stopped(Exception):
    pass


def test_a_stopped_training_ends_with_the_same_weights_bit_for_bit(tmp_path: Path, monkeypatch) -> None:
    recipe = read_recipe(**TINY)
    train(recipe, tmp_path / "whole.safetensors")
    from josh_core.student.training import train as training

    step, count = training._step, 0

    def stop_after_three(*args):
        nonlocal count
        count += 1
        if count > 3:
            raise Stopped
        return step(*args)

    monkeypatch.setattr(training, "_step", stop_after_three)
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "parts.safetensors")
    monkeypatch.setattr(training, "_step", step)
    assert (tmp_path / "parts.checkpoint").exists()
    train(recipe, tmp_path / "parts.safetensors")
    assert (tmp_path / "parts.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not (tmp_path / "parts.checkpoint").exists()
    assert (tmp_path / "whole.csv").exists() and (tmp_path / "whole.png").exists()


def test_a_training_goes_on_from_given_weights(tmp_path: Path) -> None:
    recipe = read_recipe(**{**TINY, "learning_rate": 0.0})
    on = train(recipe, tmp_path / "on.safetensors", start=WEIGHTS_FILE)
    assert all(
        torch.equal(a, b) for a, b in zip(on.state_dict().values(), load_student().state_dict().values(), strict=True)
    )
    anew = train(recipe, tmp_path / "anew.safetensors")
    assert not torch.equal(on.enter[0].weight, anew.enter[0].weight)


def test_two_processes_share_the_batches_and_write_once(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text("\n".join(f"{name} = {value}" for name, value in vars(read_recipe(**TINY)).items()))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "josh_core", "train", "--recipe", str(recipe), "--out", str(tmp_path / "two.safetensors")]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=240)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("wrote ") == 1
    assert len((tmp_path / "two.csv").read_text().splitlines()) == 2  # the names, and the last step
    train(read_recipe(**TINY), tmp_path / "one.safetensors")
    one, two = (load_student(tmp_path / f"{name}.safetensors").leave[1].bias for name in ("one", "two"))
    assert (one - two).abs().max() < 0.05  # after six steps of at most 2e-3 each, from the same start
    assert (one - two).abs().max() > 0  # but other windows were seen


def test_a_checkpoint_of_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "w.checkpoint"
    save_file({"generators": torch.stack([torch.Generator().get_state()] * 2)}, checkpoint)
    with pytest.raises(SettingsError, match="2 processes"):
        train(read_recipe(**TINY), tmp_path / "w.safetensors")


def test_recipes_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown or missing"):
        read_recipe(speed=1.0)
    path = tmp_path / "recipe.toml"
    path.write_text("seed = zero")
    with pytest.raises(SettingsError, match="not `name = number`"):
        read_recipe(path)
    with pytest.raises(SettingsError, match="nothing to learn from"):
        train(read_recipe(**{**TINY, "motions": 0}), tmp_path / "x.safetensors")


def _clips(folder: Path, names: str) -> list[Path]:
    paths = [folder / f"{name}.mp4" for name in names]
    for path in paths:
        path.write_bytes(path.stem.encode())
    return paths


def test_shards_share_the_clips_and_failures_are_lines(tmp_path: Path) -> None:
    clips, out, seen = _clips(tmp_path, "abcde"), tmp_path / "labels", []

    def fake(task, paths):
        for path in paths:
            seen.append(path.name)
            if path.stem == "c":
                yield path, "Nobody was found."
            else:
                label_path(path, out).write_bytes(b"label")
                yield path, None

    from josh_core.settings import Settings

    outcomes = [label_clips(clips, out, fake, Settings(mode="refine"), (i, 2)) for i in (0, 1)]
    assert sorted(seen) == [c.name for c in clips]  # all, none twice
    assert sum((o.failed for o in outcomes), ()) == ("c.mp4",)
    lines = "".join(f.read_text() for f in out.glob("failures_*.jsonl"))
    assert lines.count("\n") == 1 and "Nobody was found." in lines
    again = label_clips(clips, out, fake, Settings(mode="refine"))
    assert len(again.there) == 4 and again.made == ()


@pytest.mark.slow
def test_label_train_use(tmp_path: Path) -> None:
    from josh_core.settings import Settings

    clip = Path(__file__).parents[2] / "data" / "juggle_short.mp4"
    out = tmp_path / "labels"
    out.mkdir()
    settings = Settings(mode="fast", people=1)
    assert label_clip(clip, out, settings) is None
    label = read_label(label_path(clip, out))
    assert label.about["thresholds"] and label.about["sha256"] in label_path(clip, out).name
    taught = windows([label], 8)
    assert isinstance(taught, Windows) and taught.features.isfinite().all()
    believed = vars(taught.truth)
    assert all(value.isfinite().all() for value in believed.values())
    recipe = replace(read_recipe(**TINY), motions=0)
    train(recipe, tmp_path / "net.safetensors", taught)
    prediction = load_student(tmp_path / "net.safetensors")(taught.features[:1])
    assert prediction.up.isfinite().all()
    (out / "broken.npz").write_bytes(b"no")
    with pytest.raises(ResultError, match="not a label file"):
        read_label(out / "broken.npz")
    assert torch.is_tensor(prediction.velocity) and np.isfinite(prediction.betas.detach().numpy()).all()
