"""Training of the student: batches simulated on the fly, exactly resumable checkpoints, loss curves as CSV and picture.

Accelerate moves the network to the available device and splits each batch among processes (`torchrun`).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from torch import Tensor

from josh_core.body import BodyModel, load_body
from josh_core.errors import SettingsError
from josh_core.student.features import StudentFeatures
from josh_core.student.network import Student, load_student, save_student
from josh_core.student.training.losses import losses, total
from josh_core.student.training.motions import Pool, make_pool
from josh_core.student.training.recipe import Recipe
from josh_core.student.training.simulate import Truth, simulate

# Chosen by hand, not tuned.
WARM_UP_STEPS = 100  # until the full learning rate
MAX_GRADIENT_NORM = 1.0  # gradients are clipped to this
NORMALISATION_WINDOWS = 256  # windows from which mean and standard deviation of the features are computed


@dataclass(frozen=True)
class Windows:
    """N labelled windows of T frames, made from label files by label_file.windows."""

    features: Tensor  # [N,T,FEATURE_COUNT]
    truth: Truth  # fields [N,T,...]


@dataclass
class _TrainingState:
    """`shared` wraps `net` for distributed training: its gradients are means over all processes."""

    accelerator: Accelerator
    net: Student
    shared: torch.nn.Module
    optimiser: torch.optim.Optimizer
    generator: torch.Generator  # of this process
    step: int = 0


def train(
    recipe: Recipe,
    out: Path,
    labels: Windows | None = None,
    report: Callable[[int, float], None] | None = None,
    start: Path | None = None,
) -> Student:
    """Train by the recipe and write the weights to `out`; an interrupted training continues from OUT.checkpoint.

    Labels replace `label_share` of each batch, or all of it if the recipe has no motions. Several processes (torchrun,
    accelerate launch) share each batch; the first one writes files and calls `report` with the step and its loss.
    start: weights to continue from; else the network is initialised at random.
    Raises SettingsError if there is neither a label nor a motion, or the checkpoint is of another number of processes.
    """
    if recipe.motions == 0 and labels is None:
        raise SettingsError("There is nothing to learn from: give labels, or a recipe with motions.")
    body = load_body()
    pool = make_pool(body, recipe.motions, recipe.pool_frames, recipe.seed) if recipe.motions else None
    checkpoint, curve = out.with_suffix(".checkpoint"), out.with_suffix(".csv")
    state = _start_state(recipe, pool, labels, start)
    if checkpoint.exists():
        _restore(state, checkpoint)
    first = state.accelerator.is_main_process
    body = body.to(state.accelerator.device)
    while state.step < recipe.steps:
        terms = _step(state, recipe, body, pool, labels)
        if first and (state.step % 20 == 0 or state.step == recipe.steps):
            _append_curve(curve, state.step, terms)
            if report:
                report(state.step, terms["total"])
        if state.step % recipe.checkpoint_every == 0 and state.step < recipe.steps:
            _store(state, checkpoint)
    if first:
        save_student(state.net, out)
        checkpoint.unlink(missing_ok=True)
        draw_curves(curve, out.with_suffix(".png"))
    state.accelerator.end_training()
    return state.net


def _start_state(
    recipe: Recipe, pool: Pool | None, labels: Windows | None, start: Path | None = None
) -> _TrainingState:
    accelerator = Accelerator(cpu=not torch.accelerator.is_available())  # explicit, else CPU processes do not join
    torch.manual_seed(recipe.seed)
    net = Student() if start is None else load_student(start).train()
    generator = torch.Generator().manual_seed(recipe.seed + accelerator.process_index)
    if start is None:
        sample = _batch(recipe, NORMALISATION_WINDOWS, pool, labels, generator)[0]
        net.mean, net.std = sample.mean((0, 1)), sample.std((0, 1)).clamp_min(0.02)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    shared, prepared = accelerator.prepare(net, optimiser)
    return _TrainingState(accelerator, net, shared, prepared, generator)


def _step(
    state: _TrainingState, recipe: Recipe, body: BodyModel, pool: Pool | None, labels: Windows | None
) -> dict[str, float]:
    device, size = state.accelerator.device, max(1, recipe.batch // state.accelerator.num_processes)
    features, truth = _batch(recipe, size, pool, labels, state.generator)
    truth = Truth(**{name: value.to(device) for name, value in vars(truth).items()})
    terms = losses(state.shared(features.to(device)), truth, body)
    loss = total(terms)
    cosine = 0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * state.step / recipe.steps))
    for group in state.optimiser.param_groups:
        group["lr"] = recipe.learning_rate * min(1.0, (state.step + 1) / WARM_UP_STEPS) * cosine
    state.optimiser.zero_grad()
    state.accelerator.backward(loss)
    state.accelerator.clip_grad_norm_(state.shared.parameters(), MAX_GRADIENT_NORM)
    state.optimiser.step()
    state.step += 1
    return {"total": float(loss.detach()), **{name: float(value.detach()) for name, value in terms.items()}}


def _batch(
    recipe: Recipe, size: int, pool: Pool | None, labels: Windows | None, generator: torch.Generator
) -> tuple[Tensor, Truth]:
    """Features and targets of `size` windows, the labelled ones last."""
    taught = 0 if labels is None else round(size * (recipe.label_share if pool is not None else 1.0))
    parts: list[tuple[Tensor, Truth]] = []
    if pool is not None and taught < size:
        given: StudentFeatures
        given, truth = simulate(pool, size - taught, recipe.frames, generator)
        parts.append((given.features, truth))
    if labels is not None and taught:
        rows = torch.randint(len(labels.features), (taught,), generator=generator)
        parts.append((labels.features[rows], Truth(**{k: v[rows] for k, v in vars(labels.truth).items()})))
    features = torch.cat([f for f, _ in parts])
    return features, Truth(**{k: torch.cat([vars(t)[k] for _, t in parts]) for k in vars(parts[0][1])})


def _store(state: _TrainingState, path: Path) -> None:
    """Write weights, optimiser moments, step and every process's random state to one safetensors file."""
    generators = gather_object([state.generator.get_state()])
    if not state.accelerator.is_main_process:
        return
    arrays = {f"net.{k}": v for k, v in state.net.state_dict().items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        arrays |= {f"moments.{index}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    arrays["generators"], arrays["step"] = torch.stack(generators), torch.tensor(state.step)
    temporary = path.with_suffix(".part")
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in arrays.items()}, temporary)
    temporary.replace(path)


def _restore(state: _TrainingState, path: Path) -> None:
    stored = load_file(path)
    processes = len(stored["generators"])
    if processes != state.accelerator.num_processes:
        raise SettingsError(
            f"{path.name} was written by {processes} processes; continue with as many, or delete it to begin anew."
        )
    state.net.load_state_dict({k[4:]: v for k, v in stored.items() if k.startswith("net.")}, strict=True)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in stored.items():
        if name.startswith("moments."):
            _, index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = value
    state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": moments})
    state.generator.set_state(stored["generators"][state.accelerator.process_index])
    state.step = int(stored["step"])


def _append_curve(path: Path, step: int, terms: dict[str, float]) -> None:
    """Append one row to the curves; rows of steps that a resumed training repeats are replaced."""
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.reader(file))[1:]
    rows = [row for row in rows if int(row[0]) < step] + [[str(step), *(f"{v:.6g}" for v in terms.values())]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["step", *terms], *rows])


def draw_curves(table: Path, picture: Path) -> None:
    """Draw the curves of a CSV as a picture, each over its own range."""
    import cv2

    with table.open(newline="") as file:
        names, *rows = list(csv.reader(file))
    values = np.array(rows, float)
    width, height = 480, 120
    panels = []
    for column in range(1, len(names)):
        panel = np.full((height, width, 3), 255, np.uint8)
        y = values[:, column]
        span = max(float(np.ptp(y)), 1e-9)
        x = np.interp(values[:, 0], [0, values[-1, 0]], [10, width - 10])
        line = np.stack([x, height - 10 - (y - y.min()) / span * (height - 40)], 1).astype(np.int32)
        cv2.polylines(panel, [line[:, None]], False, (180, 90, 20), 1, cv2.LINE_AA)
        text = f"{names[column]}  {y[0]:.3g} -> {y[-1]:.3g}"
        cv2.putText(panel, text, (10, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        panels.append(panel)
    cv2.imwrite(str(picture), np.concatenate(panels))


def recipe_text(recipe: Recipe) -> str:
    """The recipe's options on one line."""
    return ", ".join(f"{k} {v}" for k, v in asdict(recipe).items())
