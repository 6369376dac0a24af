"""Body shape from widths of the mask: made-up silhouettes of bodies whose shape is known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from josh_core.body import BodyModel, load_body
from josh_core.body.asset import read_body
from josh_core.body.names import JOINTS
from josh_core.body.outline import PARTS, Outline
from josh_core.bodyfit.fit import fit_observations
from josh_core.bodyfit.fit_body import FitBody, Pose
from josh_core.bodyfit.widths import WIDER, PersonMask, likelihood, measure_widths, shape_evidence
from josh_core.geometry import rotvec_to_rotmat
from tests.bodyfit.test_fit_parts import evidence_of

N = 24
SIZE = (480, 360)  # height and width of the label images
FOCAL = 480.0  # px; the person is 4 m away, so that a pixel is 8 mm
FINE = 4  # times finer are silhouettes drawn
LOOKS = 10.0


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def outline(body):
    return Outline.of(body)


def betas_of(mass):
    """A body of the mean height that differs in mass."""
    return np.eye(10)[2] * mass


def standing(betas, n=N):
    """Somebody with arms held out who turns a little to both sides before a camera."""
    heading = np.radians(np.linspace(-35, 35, n))
    rotations = np.tile(np.eye(3), (n, 24, 1, 1))
    upright = np.diag([1.0, -1.0, -1.0])  # y up and facing +z to y down and facing the camera
    rotations[:, 0] = upright @ rotvec_to_rotmat(heading[:, None] * [0, 1, 0])
    return Pose(rotations, np.tile([0.0, 0.0, 4.0], (n, 1)), betas)


def silhouettes(body, pose, thicker=0.0):
    """Label images of a pose whose outline is moved outward by `thicker` m."""
    n = len(pose.transl)
    with torch.no_grad():
        vertices = body.vertices(
            torch.as_tensor(pose.betas, dtype=torch.float32).expand(n, -1),
            torch.as_tensor(pose.rotations, dtype=torch.float32),
            torch.as_tensor(pose.transl, dtype=torch.float32),
        ).numpy()
    px = FOCAL * vertices[..., :2] / vertices[..., 2:] + np.array(SIZE[::-1]) / 2
    labels = np.zeros((n, *SIZE), np.uint8)
    for image, at in zip(labels, px, strict=True):
        fine = np.zeros((FINE * SIZE[0], FINE * SIZE[1]), np.uint8)  # OpenCV draws every pixel that a triangle touches
        for triangle in np.round((FINE * at[np.asarray(body.faces)] - 0.5) * 256).astype(np.int32):
            cv2.fillConvexPoly(fine, triangle, 255, shift=8)
        image[:] = cv2.resize(fine, SIZE[::-1], interpolation=cv2.INTER_AREA) > 127
        radius = round(thicker * FOCAL / 4)
        if radius:
            image[:] = cv2.dilate(image, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2))
    return labels


def mask_of(labels):
    return PersonMask(labels, 1, np.arange(len(labels)), FOCAL)


def trunk(body, betas):
    """Width [m] of the trunk at the waist at rest."""
    rest = body.rest_vertices(torch.as_tensor(betas, dtype=torch.float32)[None])[0].numpy()
    owner = body.skin_weights.numpy().argmax(1)
    waist = np.isin(owner, [JOINTS.index(name) for name in ("pelvis", "spine1", "spine2", "spine3")])
    return np.ptp(rest[waist & (np.abs(rest[:, 1] - rest[waist, 1].mean()) < 0.03), 0])


def estimate(evidence):
    """The most probable betas under a prior with unit covariance."""
    root, target = evidence.root, evidence.target
    return np.linalg.solve(root.T @ root + np.eye(10), root.T @ target)


def test_cross_sections_lie_on_the_mesh_and_on_their_bones(body, outline):
    rest = outline.table.joints.numpy()
    points = (outline.table.offsets.sum(1) + outline.table.weights @ outline.table.joints).numpy()
    assert {PARTS[p] for p in outline.part} == set(PARTS)
    for s in range(len(outline.part)):
        a, b = rest[outline.bone[s]]
        along = (points[outline.first[s] : outline.first[s + 1]] - a) @ (b - a) / ((b - a) @ (b - a))
        assert along == pytest.approx(outline.share[s], abs=1e-5)
    # Both sides are mirror images: as many points, as wide.
    left, right = (np.array(outline.side) == side for side in ("left_", "right_"))
    assert (np.diff(outline.first)[left] == np.diff(outline.first)[right]).all()


def test_a_drawn_body_is_as_wide_as_it_is(body, outline):
    pose = standing(betas_of(0.5))
    widths = measure_widths(outline, pose, mask_of(silhouettes(body, pose)))
    seen = np.isfinite(widths.measured)
    assert {PARTS[outline.part[s]] for s in np.flatnonzero(seen.any(0))} >= {"trunk", "shin", "forearm"}
    assert np.abs(widths.measured - widths.predicted)[seen].max() < 0.02  # 2.5 px
    assert np.abs(np.median((widths.measured - widths.predicted)[seen])) < 0.006


def test_derivative_of_the_widths(body, outline):
    pose, way, h = standing(betas_of(0.3), 3), np.random.default_rng(0).normal(size=10), 1e-5
    mask = mask_of(np.zeros((3, *SIZE), np.uint8))
    there, back = (measure_widths(outline, replace(pose, betas=pose.betas + d * way), mask).predicted for d in (h, -h))
    told = measure_widths(outline, pose, mask).by_shape @ way
    assert np.abs((there - back) / (2 * h) - told).max() < 5e-4  # that the bone itself moves is left out
    assert np.abs(told).max() > 0.02


@pytest.mark.parametrize("mass", [-1.0, 1.0])
def test_a_thin_and_a_wide_silhouette(body, outline, mass):
    true = standing(betas_of(mass))
    labels = silhouettes(body, true, thicker=0.5 * WIDER["trunk"][0])
    found = estimate(shape_evidence(outline, replace(true, betas=betas_of(0.0)), mask_of(labels), LOOKS))
    mean, right, mine = (trunk(body, b) for b in (betas_of(0.0), betas_of(mass), found))
    assert abs(mine - right) < 0.6 * abs(mean - right)  # clothes may differ by 2 cm, so not all of it is believed
    assert np.sign(mine - mean) == np.sign(mass)


@pytest.mark.parametrize("how", ["cut off", "beside another", "in no mask"])
def test_who_is_not_seen_alone_stays_at_the_prior(body, outline, how):
    true = standing(betas_of(1.0))
    labels = silhouettes(body, true)
    if how == "cut off":  # the picture ends inside of the person
        column = int(np.flatnonzero(labels.any((0, 1))).mean())
        labels = np.ascontiguousarray(labels[:, 160:320, column - 9 : column + 9])
    elif how == "beside another":
        labels[labels == 0] = 2
    else:
        labels[:] = 0
    evidence = shape_evidence(outline, replace(true, betas=betas_of(0.0)), mask_of(labels), LOOKS)
    assert np.array_equal(estimate(evidence), np.zeros(10))


def test_what_is_carried_is_no_shape(body, outline):
    """A bag at one thigh: what it adds is not believed in proportion."""
    pose = standing(betas_of(0.0))
    widths = measure_widths(outline, pose, mask_of(np.zeros((N, *SIZE), np.uint8)))
    usual = widths.predicted + np.array([WIDER[name][0] for name in PARTS])[outline.part]
    thigh = np.arange(len(outline.part)) == list(outline.part).index(PARTS.index("thigh"))

    def mass(metres):
        wider = replace(widths, measured=usual + metres * thigh)
        return estimate(likelihood(wider, outline, pose.betas, LOOKS))[2]

    assert abs(mass(0.0)) < 1e-6
    assert 0 < mass(0.12) < 2 * mass(0.03)
    assert mass(-0.12) < 3 * mass(-0.03) < 0  # nothing makes a mask narrower than the body


def test_the_fit_takes_the_width_and_keeps_the_height(body, outline):
    fit_body, rng = FitBody.of(body), np.random.default_rng(3)
    true = standing(betas_of(1.0))
    height = float(fit_body.stature[0])
    obs = replace(evidence_of(fit_body, true, rng, noise=0.003), height=height)
    obs = replace(obs, sight=np.tile(np.eye(3), (N, 1, 1)), world_from_cam=np.tile(np.eye(3), (N, 1, 1)))
    seen = replace(obs, mask=mask_of(silhouettes(body, true, thicker=0.5 * WIDER["trunk"][0])))
    without, with_mask = (fit_observations(fit_body, o, outline).state for o in (obs, seen))
    right = trunk(body, true.betas)
    assert abs(trunk(body, with_mask.betas) - right) < 0.6 * abs(trunk(body, without.betas) - right)
    for pose in (without, with_mask):
        assert fit_body.stature[0] + fit_body.stature[1:] @ pose.betas == pytest.approx(height, abs=0.01)
    joints = [fit_body.evaluate(p, derivatives=False).points[:, : len(JOINTS)] for p in (true, without, with_mask)]
    error = [np.linalg.norm(j - joints[0], axis=-1).mean() for j in joints[1:]]
    assert error[1] < error[0] + 0.002


def test_any_shape_space_serves(body, outline):
    """A body whose shapes are the same in other directions, as a licensed one has its own."""
    data = read_body()
    turn = np.eye(10)
    turn[1:, 1:] = np.linalg.qr(np.random.default_rng(5).normal(size=(9, 9)))[0]
    other = BodyModel(replace(data, shapedirs=(data.shapedirs @ turn).astype(np.float32)))
    pose = standing(betas_of(0.0))
    mask = mask_of(silhouettes(body, standing(betas_of(1.0))))
    mine = estimate(shape_evidence(outline, pose, mask, LOOKS))
    theirs = estimate(shape_evidence(Outline.of(other), pose, mask, LOOKS))
    assert turn @ theirs == pytest.approx(mine, abs=1e-3)
