"""Score the student alone: python -m benchmarks.student CLIPS_OR_FOLDERS [--weights NAME=FILE ...]

Clips have their truth beside them as NAME_truth.npz. Cameras and focal length are the true ones, so that only the
estimates of people are measured. Compared are the raw 3D landmarks, the body fit without a student, and for every file
of weights (default: the shipped one) the predictions for the person alone, those averaged with the mirror image, and
the body fit with them as evidence. Means over the people of all clips.

PA: PA-MPJPE; hips: joint errors about the hips in the camera, turned as the camera is; both in mm over the 12 limb
joints. swing, corr: share of the limbs' true swing along the line of sight that is shown (regression on the truth),
and its correlation with the truth. up: gravity, degrees. depth: error of the hips' depth, % of the truth. F1: foot
contact by frames. fps: frames of one person a second, the network alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.body_fit import JOINT_ROWS, LANDMARK_ROWS, distance_px, true_cameras
from benchmarks.clips import clip_files, true_path
from josh_core.body import BodyModel, load_body
from josh_core.body.posing import track_points
from josh_core.bodyfit.fit import fit_bodies, fit_observations, observe_people
from josh_core.bodyfit.fit_body import FitBody
from josh_core.bodyfit.observations import Observations
from josh_core.clip.load import load_clip
from josh_core.geometry import invert, transform
from josh_core.metrics.accuracy import HIP_ROWS, pa_mpjpe
from josh_core.metrics.contact_labels import GROUPS, LABEL_PARTS, Score
from josh_core.metrics.ground_truth import GroundTruth, TruePerson, load_truth
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.student.estimate import StudentEstimate, estimate
from josh_core.student.evidence import with_student
from josh_core.student.features import StudentInput
from josh_core.student.mirror import predict, predict_once
from josh_core.student.network import WEIGHTS_FILE, Prediction, Student, load_student
from josh_core.tracking import find_people
from josh_core.types import IN_CONTACT, Bool, CameraPath, Clip, Float, Track

FARTHEST = 0.1  # of the picture's width, median over landmarks, that a track may lie from its person
NEAREST = 0.5  # m, hips nearer than this have no position in the camera
RAW, FIT = "raw landmarks", "fit without student"
COLUMNS = ("PA", "hips", "swing", "corr", "up", "depth", "F1", "fps")
Row = dict[str, float]


@dataclass(frozen=True)
class JudgedPerson:
    """One true person with the inputs of the student."""

    track: Track
    seen: Observations
    cameras: CameraPath
    times: Float  # [T] s of the clip's frames
    limbs: Float  # [n,12,3] m, true, in the camera at the track's frames
    fitted: Float  # [n,12,3] m in the camera, by the fit without a student
    up: Float  # [n,3] true, in the camera
    contact: dict[str, Bool]  # [n] by "left_heel" and the like; empty where the truth has none


def main() -> None:
    """Parse, look at every clip once, score every file of weights, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--weights", nargs="+", default=[f"shipped={WEIGHTS_FILE}"], metavar="NAME=FILE")
    args = parser.parse_args()
    nets = {name: load_student(Path(file)) for name, file in (text.split("=", 1) for text in args.weights)}
    body, names = load_body(), (RAW, FIT, *(n for name in nets for n in (once(name), name, fit_with(name))))
    fit_body = FitBody.of(body)
    print(f"{torch.get_num_threads()} threads; PA-MPJPE, mm")
    print(f"{'':<24s}" + "".join(f"{name[:19]:>20s}" for name in names))
    rows: dict[str, list[Row]] = {name: [] for name in names}
    feet = {name: Score() for name in nets}
    for path in (c for c in clip_files(args.clips) if true_path(c).exists()):
        for person in people_of(path, body):
            new = {RAW: joint_errors(person.track.landmarks_m[:, LANDMARK_ROWS], person)}
            new[FIT] = joint_errors(person.fitted, person)
            for name, net in nets.items():
                _, new[once(name)] = score_student(net, person, body, predict_once)
                estimated, new[name] = score_student(net, person, body)
                new[fit_with(name)] = joint_errors(fitted_limbs(estimated, person, fit_body), person)
                feet[name] += _foot_score(estimated, person, body)
            print(f"{path.stem:<24s}" + "".join(f"{row['PA']:20.1f}" for row in new.values()), flush=True)
            for name, row in new.items():
                rows[name].append(row)
    print(f"\n{'mean over people':<24s}" + "".join(f"{name:>10s}" for name in COLUMNS))
    for name in names:
        means = {key: float(np.mean([row[key] for row in rows[name]])) for key in (rows[name] or [{}])[0]}
        if name in feet and (f1 := feet[name].f1) is not None:
            means["F1"] = f1
        print(f"{name:<24s}" + "".join(f"{means[c]:10.2f}" if c in means else f"{'-':>10s}" for c in COLUMNS))


def people_of(path: Path, body: BodyModel) -> Iterator[JudgedPerson]:
    """All true people that were tracked, at the frames where both truth and track exist."""
    settings, truth = Settings(use_student=False), load_truth(true_path(path))
    clip = load_clip(path, settings)
    cameras, rows = true_cameras(truth, clip)
    people = find_people(clip, settings)
    fitted = fit_bodies(people, cameras, clip, body, settings, Progress())
    observed = observe_people(people, cameras, clip, None)
    for true in truth.people:
        limbs = transform(invert(truth.world_from_cam), _all_frames(true.limbs, true, len(truth.world_from_cam)))
        away = [distance_px(t, limbs[rows[t.frames]], truth, clip.width / truth.size[0]) for t in people.tracks]
        k = int(np.argmin(away))
        if away[k] < FARTHEST * clip.width:
            at = rows[people.tracks[k].frames]
            joints = track_points(fitted[k], body).joints[:, JOINT_ROWS]
            yield _person(people.tracks[k], observed[k], (cameras, clip), joints, (truth, true, limbs, at))


def _person(
    track: Track,
    seen: Observations,
    view: tuple[CameraPath, Clip],
    fitted: Float,
    truth: tuple[GroundTruth, TruePerson, Float, np.ndarray],
) -> JudgedPerson:
    (cameras, clip), (whole, true, limbs, at) = view, truth
    contact = {}
    if true.contact is not None:
        labels = _all_frames(true.contact, true, len(whole.world_from_cam))[at]
        contact = {name: labels[:, k] > IN_CONTACT for k, name in enumerate(whole.contact_names)}
    up = np.einsum("nji,j->ni", whole.world_from_cam[at, :3, :3], whole.up)
    return JudgedPerson(track, seen, cameras, clip.times, limbs[at], fitted, up, contact)


def _all_frames(values: Float | Bool, true: TruePerson, count: int) -> Float:
    """Values [n,...] of a person's frames at all frames of the truth [count,...], not a number elsewhere."""
    out = np.full((count, *values.shape[1:]), np.nan)
    out[true.frames] = values
    return out


def once(name: str) -> str:
    """Row name of predictions without the mirror image."""
    return f"{name}, once"


def fit_with(name: str) -> str:
    """Row name of the body fit with these weights' evidence."""
    return f"fit, {name}"


def fitted_limbs(estimated: StudentEstimate, person: JudgedPerson, fit_body: FitBody) -> Float:
    """Limb joints [n,12,3] m in the camera, of the body fit with the student's evidence."""
    pose = fit_observations(fit_body, with_student(person.seen, estimated)).state
    return fit_body.evaluate(pose, derivatives=False).points[:, JOINT_ROWS]


def score_student(
    net: Student,
    person: JudgedPerson,
    body: BodyModel,
    predictor: Callable[[Student, StudentInput], Prediction] = predict,
) -> tuple[StudentEstimate, Row]:
    """The estimate of `net` for a person, and its errors."""
    start = time.perf_counter()
    estimated = estimate(net, person.seen, person.track.frames, (person.cameras, person.times), body, predictor)
    seconds = time.perf_counter() - start
    row = joint_errors(_limbs(estimated, body), person)
    cosine = np.einsum("ni,ni->n", estimated.up, person.up).clip(-1, 1)
    row |= {"up": float(np.degrees(np.arccos(cosine)).mean()), "fps": len(estimated.frames) / seconds}
    return estimated, row


def joint_errors(limbs: Float, person: JudgedPerson) -> Row:
    """Errors of limbs [n,12,3] m by COLUMNS; depth only if all hips are in front of the camera."""
    known = np.isfinite(person.limbs).all((1, 2))
    mine, true = limbs[known], person.limbs[known]
    hips, true_hips = mine[:, HIP_ROWS].mean(1, keepdims=True), true[:, HIP_ROWS].mean(1, keepdims=True)
    local = np.linalg.norm((mine - hips) - (true - true_hips), axis=-1)
    row = {"PA": 1000 * float(pa_mpjpe(mine, true).mean()), "hips": 1000 * float(local.mean())}
    swing, true_swing = (d - d.mean(0) for d in ((mine - hips)[..., 2], (true - true_hips)[..., 2]))
    both, own = (swing * true_swing).sum(), (true_swing**2).sum()
    row |= {"swing": float(both / own), "corr": float(both / np.sqrt(own * (swing**2).sum()))}
    if (hips[..., 2] > NEAREST).all():  # raw landmarks have no position in the camera
        row["depth"] = 100 * float(np.abs(hips[..., 2] / true_hips[..., 2] - 1).mean())
    return row


def _limbs(estimated: StudentEstimate, body: BodyModel) -> Float:
    """Limb joints [n,12,3] m in the camera."""
    with torch.no_grad():
        joints = body.joints(
            torch.as_tensor(estimated.betas, dtype=torch.float32).expand(len(estimated.frames), -1),
            torch.as_tensor(estimated.rotations, dtype=torch.float32),
        ).double()
    return (joints - joints[:, :1] + torch.as_tensor(estimated.pelvis)[:, None])[:, JOINT_ROWS].numpy()


def _foot_score(estimated: StudentEstimate, person: JudgedPerson, body: BodyModel) -> Score:
    """Counts of heel, ball and toe of both feet by frames, as metrics/contact_labels.py takes parts together."""
    out = Score()
    for name, true in person.contact.items():
        side, _, part = name.partition("_")
        if part in GROUPS["feet"]:
            columns = [
                c
                for c, point in enumerate(body.contact_names)
                if point.startswith(side) and any(word in point for word in LABEL_PARTS[part])
            ]
            mine = estimated.contact[:, columns].max(1) > IN_CONTACT
            out += Score(int((mine & true).sum()), int((mine & ~true).sum()), int((~mine & true).sum()))
    return out


if __name__ == "__main__":
    main()
