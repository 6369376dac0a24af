"""Teaching the student: batches made on the fly, checkpoints that continue bit for bit, curves as CSV and picture."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from josh_core.body import BodyModel, load_body
from josh_core.errors import SettingsError
from josh_core.student.features import Inputs
from josh_core.student.losses import losses, total
from josh_core.student.motions import Pool, make_pool
from josh_core.student.network import Student, save_student
from josh_core.student.recipe import Recipe
from josh_core.student.simulate import Truth, simulate

WARM_UP = 100  # steps until the full learning rate
CLIP = 1.0  # longest gradient


@dataclass(frozen=True)
class Windows:
    """Labelled windows, N of T frames, as label_windows.py cuts them from label files."""

    features: Tensor  # [N,T,SIZE]
    truth: Truth  # fields [N,T,...]


@dataclass
class _State:
    net: Student
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0


def train(
    recipe: Recipe, out: Path, labels: Windows | None = None, report: Callable[[int, float], None] | None = None
) -> Student:
    """Train by the recipe and write the weights to `out`; a run that was stopped continues from OUT.checkpoint.

    Labels replace `label_share` of each batch, or the whole of it where the recipe has no motions. `report` is
    called with the step and the loss. Raises SettingsError when there is nothing to learn from.
    """
    if recipe.motions == 0 and labels is None:
        raise SettingsError("There is nothing to learn from: give labels, or a recipe with motions.")
    body = load_body()
    pool = make_pool(body, recipe.motions, recipe.pool_frames, recipe.seed) if recipe.motions else None
    state = _begin(recipe, pool, labels)
    checkpoint, curve = out.with_suffix(".checkpoint"), out.with_suffix(".csv")
    if checkpoint.exists():
        _restore(state, checkpoint)
    while state.step < recipe.steps:
        terms = _step(state, recipe, body, pool, labels)
        if state.step % 20 == 0 or state.step == recipe.steps:
            _note(curve, state.step, terms)
            if report:
                report(state.step, terms["total"])
        if state.step % recipe.checkpoint_every == 0 and state.step < recipe.steps:
            _store(state, checkpoint)
    save_student(state.net, out)
    checkpoint.unlink(missing_ok=True)
    draw_curves(curve, out.with_suffix(".png"))
    return state.net


def _begin(recipe: Recipe, pool: Pool | None, labels: Windows | None) -> _State:
    torch.manual_seed(recipe.seed)
    net = Student()
    generator = torch.Generator().manual_seed(recipe.seed)
    sample = _batch(replace(recipe, batch=256), pool, labels, generator)[0]
    net.mean, net.std = sample.mean((0, 1)), sample.std((0, 1)).clamp_min(0.02)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    return _State(net, optimiser, generator)


def _step(
    state: _State, recipe: Recipe, body: BodyModel, pool: Pool | None, labels: Windows | None
) -> dict[str, float]:
    features, truth = _batch(recipe, pool, labels, state.generator)
    terms = losses(state.net(features), truth, body)
    loss = total(terms)
    cosine = 0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * state.step / recipe.steps))
    for group in state.optimiser.param_groups:
        group["lr"] = recipe.learning_rate * min(1.0, (state.step + 1) / WARM_UP) * cosine
    state.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), CLIP)
    state.optimiser.step()
    state.step += 1
    return {"total": float(loss.detach()), **{name: float(value.detach()) for name, value in terms.items()}}


def _batch(
    recipe: Recipe, pool: Pool | None, labels: Windows | None, generator: torch.Generator
) -> tuple[Tensor, Truth]:
    taught = 0 if labels is None else round(recipe.batch * (recipe.label_share if pool is not None else 1.0))
    parts: list[tuple[Tensor, Truth]] = []
    if pool is not None and taught < recipe.batch:
        given: Inputs
        given, truth = simulate(pool, recipe.batch - taught, recipe.frames, generator)
        parts.append((given.features, truth))
    if labels is not None and taught:
        rows = torch.randint(len(labels.features), (taught,), generator=generator)
        parts.append((labels.features[rows], Truth(**{k: v[rows] for k, v in vars(labels.truth).items()})))
    features = torch.cat([f for f, _ in parts])
    return features, Truth(**{k: torch.cat([vars(t)[k] for _, t in parts]) for k in vars(parts[0][1])})


def _store(state: _State, path: Path) -> None:
    """Weights, moments, step and random state in one file without pickle."""
    arrays = {f"net.{k}": v for k, v in state.net.state_dict().items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        arrays |= {f"moments.{index}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    arrays["generator"], arrays["step"] = state.generator.get_state(), torch.tensor(state.step)
    temporary = path.with_suffix(".part")
    save_file({k: v.detach().contiguous().clone() for k, v in arrays.items()}, temporary)
    temporary.replace(path)


def _restore(state: _State, path: Path) -> None:
    stored = load_file(path)
    state.net.load_state_dict({k[4:]: v for k, v in stored.items() if k.startswith("net.")}, strict=True)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in stored.items():
        if name.startswith("moments."):
            _, index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = value
    state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": moments})
    state.generator.set_state(stored["generator"])
    state.step = int(stored["step"])


def _note(path: Path, step: int, terms: dict[str, float]) -> None:
    """One line of the curves; lines of steps that a continued run repeats are replaced."""
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [row for row in csv.reader(file)][1:]
    rows = [row for row in rows if int(row[0]) < step] + [[str(step), *(f"{v:.6g}" for v in terms.values())]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["step", *terms], *rows])


def draw_curves(table: Path, picture: Path) -> None:
    """The curves of a CSV as a picture, each over its own range."""
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
    """One line for logs."""
    return ", ".join(f"{k} {v}" for k, v in asdict(recipe).items())
