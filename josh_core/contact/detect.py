"""Contact detection: the probability that a body point is in contact with the scene, for every frame.

A point is in contact if it does not move relative to the background beside it in the image (no depth is needed), and
it is low on the body (hands, knees) or bears the body's weight (seat, back). Hysteresis and a shortest duration remove
flicker. Feet are decided as whole stance phases (`stance_phases`). DESIGN section 6 step 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.body.names import FEET, LIMBS, SEAT, is_part
from josh_core.body.posing import PosedPoints
from josh_core.contact import stance_phases
from josh_core.contact.stance_phases import FootMotion
from josh_core.geometry import intrinsics, project, true_runs
from josh_core.progress import Progress
from josh_core.shapes import check_shapes
from josh_core.threads import in_threads
from josh_core.types import MAY_TOUCH, SURE_CONTACT, BodyTrack, Bool, CameraPath, Clip, Contacts, Float, Int, People

UNKNOWN_SPEED = 1e3  # m/s, used where no speed is known: too fast for a contact
FLOW_SIDE = 640  # px, longest side of the images for optical flow
# The following were chosen by hand; no measurement is recorded.
STILL_SPEED = 0.45  # m/s, speed against the background at which a point is still with probability one half
STILL_WIDTH = 0.12  # m/s, width of that sigmoid
LOW_HEIGHT = 0.09  # m over the body's lowest point, as STILL_SPEED: a stance foot's toe is this low even at heel lift
LOW_WIDTH = 0.02  # m, width of that sigmoid
MIN_SEAT_SECONDS = 2.5  # s, shortest contact of a seat: a squat is held for less
MIN_CONTACT_SECONDS = 0.1  # s, shortest contact of other points; shorter gaps are closed


@dataclass(frozen=True)
class FilmedScene:
    """The clip and what is known of it before contacts: people, cameras, gravity."""

    clip: Clip
    people: People
    cameras: CameraPath
    up: Float  # [3] unit, in the CameraPath's world

    @property
    def k(self) -> Float:
        """[3,3] px of the decoded frame."""
        return intrinsics(self.cameras.focal, self.clip.width, self.clip.height)


def find_contacts(
    view: FilmedScene,
    bodies: tuple[BodyTrack, ...],
    points: list[PosedPoints],
    names: tuple[str, ...],
    student: tuple[Float, ...],
    progress: Progress,
) -> tuple[Contacts, ...]:
    """Contact probabilities of every person, in the order of `bodies`; needs no floor and no scene depth.

    points: of each body in the camera, from track_points; names: [C] of the contact points.
    student: the student's contact probability [n,C] for each body; empty without a student.
    Raises ValueError if the lists differ in length.
    """
    for body, touching in zip(bodies, student or (None,) * len(bodies), strict=True):
        check_shapes("find_contacts", frames=(body.frames, "n"), student=(touching, f"n {len(names)}"))
    speeds = pair_speeds(view, bodies, points, progress)
    found = tuple(_resting(view, b, p, speed, names) for b, p, speed in zip(bodies, points, speeds, strict=True))
    motions = foot_motions(view, bodies, points, speeds, student)
    return tuple(map(stance_phases.with_stances, found, motions))


def foot_motions(
    view: FilmedScene,
    bodies: tuple[BodyTrack, ...],
    points: list[PosedPoints],
    speeds: list[Float],
    student: tuple[Float, ...],
) -> list[FootMotion]:
    """The observations from which stance phases are decided; speeds: of pair_speeds, the rest as in find_contacts."""
    out = []
    for i, (body, p, speed) in enumerate(zip(bodies, points, speeds, strict=True)):
        seconds = np.asarray(view.clip.times, np.float64)[body.frames]
        height = _heights(p, _up_in_camera(view, body))
        odds = _logit(student[i]) if student else None
        out.append(FootMotion(seconds, speed, height, odds))
    return out


def _resting(view: FilmedScene, body: BodyTrack, p: PosedPoints, speed: Float, names: tuple[str, ...]) -> Contacts:
    """Contacts of points that rest relative to the background; speed: [n,C] m/s of each pair of frames."""
    dt = float(np.median(np.diff(view.clip.times)))
    probability = _probability(p, _up_in_camera(view, body), _slower_of_pairs(speed), names, dt)
    resting = [not is_part(name, FEET + LIMBS) for name in names]
    shortest = np.where(resting, MIN_SEAT_SECONDS, MIN_CONTACT_SECONDS) / dt
    return Contacts(_hysteresis_by_run(probability, body.frames, shortest), names)


def _up_in_camera(view: FilmedScene, body: BodyTrack) -> Float:
    """[n,3] unit, up in the camera at the body's frames."""
    return view.cameras.world_from_cam[body.frames, :3, :3].swapaxes(1, 2) @ view.up


def _heights(p: PosedPoints, up_cam: Float) -> Float:
    """Heights [n,C] over the lowest contact point, m; up_cam: [n,3] in the camera."""
    height = np.einsum("ncd,nd->nc", p.contacts, up_cam)
    return height - height.min(1, keepdims=True)


def pair_speeds(
    view: FilmedScene, bodies: tuple[BodyTrack, ...], points: list[PosedPoints], progress: Progress
) -> list[Float]:
    """Speed [n,C] of each contact point relative to the background beside it, from each frame to the next.

    In m/s across the line of sight; NaN where the point is outside the picture.
    """
    clip, people, cameras = view.clip, view.people, view.cameras
    row = [{int(f): i for i, f in enumerate(b.frames)} for b in bodies]
    pair_speed = [np.full(p.contacts.shape[:2], np.nan) for p in points]
    px = [project(view.k, p.contacts) for p in points]
    present = [[i for i, r in enumerate(row) if t in r and t + 1 in r] for t in range(len(clip) - 1)]

    def measure(t: int) -> None:
        flow = _flow(_grey(clip, t), _grey(clip, t + 1))  # [h,w,2] px of the reduced image
        size = (flow.shape[1], flow.shape[0])
        behind = _background_motion(view, t, flow, ~_dilate(people.mask(t, *size)))
        for i in present[t]:
            steps = px[i][row[i][t]], px[i][row[i][t + 1]]
            own = people.mask(t, *size, i)
            motion = _relative_motion(flow, own, behind, steps)
            covered = _covered(people.mask(t, *size) & ~own, steps[0] * size[0] / clip.width)
            motion = np.where(covered, np.nan, motion)
            metre_per_px = points[i].contacts[row[i][t], :, 2] / cameras.focal
            seconds = clip.times[t + 1] - clip.times[t]
            pair_speed[i][row[i][t]] = motion * clip.width / size[0] * metre_per_px / seconds

    for done, _ in enumerate(in_threads(measure, [t for t, seen in enumerate(present) if seen])):
        progress.update(done / len(clip))
    return pair_speed


def _relative_motion(flow: Float, own: Bool, behind: BackgroundMotion, steps: tuple[Float, Float]) -> Float:
    """Motion [C] of body points relative to the background, px of the flow image: mean of flow and fitted body.

    NaN outside the picture. own: [h,w] mask of this person; behind: of the background; steps: positions [C,2] px of the
    decoded frame, in this frame and the next.
    """
    here, there = steps
    h, w = flow.shape[:2]
    scale = w / behind.width
    size = max(float(np.ptp(here[:, 1])) * scale, 12.0)  # height of the person in the flow image
    at = np.clip((here * scale).astype(int), 0, [w - 1, h - 1])
    background = behind.at(here * scale, at, size)
    by_fit = np.linalg.norm((there - here) * scale - background, axis=-1)
    on_body = _masked_mean(flow, own, max(3, round(size * 0.03)), at)
    by_flow = np.linalg.norm(on_body - background, axis=-1)
    by_flow = np.where(np.isfinite(by_flow), by_flow, by_fit)
    inside = ((here * scale >= 0) & (here * scale < [w, h])).all(-1)  # rest cannot be observed outside the picture
    return np.where(inside, (by_fit + by_flow) / 2, np.nan)


def _covered(others: Bool, px: Float) -> Bool:
    """[C] True where somebody else is at px [C,2] of a mask [h,w], so that the point itself is not seen."""
    h, w = others.shape
    x, y = np.clip(np.nan_to_num(px).astype(int), 0, [w - 1, h - 1]).T
    return np.asarray(_dilate(others)[y, x], np.bool_)


@dataclass(frozen=True)
class BackgroundMotion:
    """Image motion of the background, px of the flow image: exact for a camera that only rotates, else from flow."""

    width: int  # px of the decoded frame
    rotation_homography: Float | None  # [3,3] homography of a camera that does not travel
    flow: Float  # [h,w,2]
    mask: Bool  # [h,w] True on the background

    def at(self, px: Float, cell: Int, size: float) -> Float:
        """Motion [C,2] at px [C,2] (cell: the same as whole pixels); size: height of the person in px."""
        if self.rotation_homography is None:
            return _masked_mean(self.flow, self.mask, max(5, round(size * 0.10)), cell)
        q = np.concatenate([px, np.ones((len(px), 1))], 1) @ self.rotation_homography.T
        return q[:, :2] / q[:, 2:] - px


def _background_motion(view: FilmedScene, t: int, flow: Float, mask: Bool) -> BackgroundMotion:
    if view.cameras.kind == "moving":
        return BackgroundMotion(view.clip.width, None, flow, mask)
    scale = flow.shape[1] / view.clip.width
    k = np.diag([scale, scale, 1.0]) @ view.k
    rotation = view.cameras.world_from_cam[:, :3, :3]
    return BackgroundMotion(view.clip.width, k @ rotation[t + 1].T @ rotation[t] @ np.linalg.inv(k), flow, mask)


def _probability(p: PosedPoints, up_cam: Float, speed: Float, names: tuple[str, ...], dt: float) -> Float:
    """Contact probability [n,C] before hysteresis; up_cam: [n,3] in the camera, speed: [n,C] m/s."""
    still = _sigmoid((STILL_SPEED - speed) / STILL_WIDTH)
    low = _sigmoid((LOW_HEIGHT - _heights(p, up_cam)) / LOW_WIDTH)
    seated = _seated(p.joints, up_cam)
    window = max(1, round(MIN_SEAT_SECONDS / 2 / dt))
    long_still = _sliding_median(still, window)
    out = np.zeros_like(still)
    for c, name in enumerate(names):
        if is_part(name, FEET + LIMBS):
            out[:, c] = still[:, c] * low[:, c]
        elif is_part(name, SEAT):
            out[:, c] = long_still[:, c] * np.maximum(seated, low[:, c])
        else:
            out[:, c] = long_still[:, c] * low[:, c]
    return out


def _seated(joints: Float, up_cam: Float) -> Float:
    """Probability [n] of a sitting posture: thighs level and hips low relative to straight legs."""
    thigh = joints[:, [4, 5]] - joints[:, [1, 2]]
    shin = joints[:, [7, 8]] - joints[:, [4, 5]]
    length = np.linalg.norm(thigh, axis=-1) + np.linalg.norm(shin, axis=-1)
    drop = -np.einsum("nkd,nd->nk", thigh + shin, up_cam) / length  # 1 standing, about 0.5 on a chair
    return _sigmoid((0.78 - drop.min(1)) / 0.05)  # chosen by hand


def _hysteresis_by_run(probability: Float, frames: Int, shortest: Float) -> Float:
    """Hysteresis within each run of consecutive frames; shortest: [C] frames."""
    out = np.empty_like(probability)
    gap = max(1, round(float(shortest.min())))
    for run in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames) != 1) + 1):
        for c in range(probability.shape[1]):
            out[run, c] = _hysteresis(probability[run, c], max(1, round(float(shortest[c]))), gap)
    return out


def _hysteresis(probability: Float, shortest: int, gap: int) -> Float:
    """Probability [n], lowered to at most 0.3 in runs over MAY_TOUCH that never reach SURE_CONTACT or are too short.

    Too short are runs of `shortest` frames or less. Gaps of up to `gap` frames inside a contact are filled with the
    lower of their ends.
    """
    p = probability.copy()
    on = p > MAY_TOUCH
    for first, last in true_runs(~on):
        if first > 0 and last < len(p) and last - first <= gap:
            p[first:last] = min(p[first - 1], p[last])
            on[first:last] = True
    for first, last in true_runs(on):
        if last - first <= shortest or p[first:last].max() < SURE_CONTACT:
            p[first:last] = np.minimum(p[first:last], 0.3)
    return p


def _slower_of_pairs(speed: Float) -> Float:
    """Speed at each frame: the slower of the pairs before and after it, since a contact may begin or end there."""
    before = np.vstack([np.full((1, speed.shape[1]), np.nan), speed[:-1]])
    both = np.fmin(speed, before)
    return _sliding_median(np.minimum(np.nan_to_num(both, nan=UNKNOWN_SPEED), UNKNOWN_SPEED), 3)


def _sliding_median(values: Float, window: int) -> Float:
    """Median over a centred window of frames, [n,C] -> [n,C]; padded with the first and last frame."""
    half = window // 2
    padded = np.pad(values, [(half, half), (0, 0)], mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0), axis=-1)


def _masked_mean(flow: Float, mask: Float, radius: int, at: Float) -> Float:
    """Mean flow [C,2] over the masked pixels in a square around each position `at` [C,2] (x, y); NaN without any."""
    m = mask.astype(np.float32)
    size = (2 * radius + 1, 2 * radius + 1)
    total = cv2.blur(flow * m[..., None], size)[at[:, 1], at[:, 0]]
    weight = cv2.blur(m, size)[at[:, 1], at[:, 0]]
    return np.where(weight[:, None] > 0.02, total / np.maximum(weight, 1e-6)[:, None], np.nan)


def _grey(clip: Clip, t: int) -> Float:
    return cv2.cvtColor(clip.frame(t, FLOW_SIDE), cv2.COLOR_RGB2GRAY)


def _flow(grey0: Float, grey1: Float) -> Float:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(
        grey0, grey1, np.zeros((*grey0.shape, 2), np.float32)
    )


def _dilate(mask: Float) -> Float:
    return cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _logit(p: Float) -> Float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _sigmoid(x: Float) -> Float:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))
