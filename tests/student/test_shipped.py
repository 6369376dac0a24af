"""The weights that ship: what they say of somebody whose answer is known, and that they say the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from josh_core.body import load_body
from josh_core.geometry import rotvec_to_rotmat
from josh_core.student.estimate import shipped
from josh_core.student.features import StudentInput, student_features
from josh_core.student.mirror import predict
from josh_core.student.network import Prediction
from josh_core.student.parts import PARTS
from josh_core.student.training.losses import pelvis_joints
from josh_core.student.training.motions import MOCAP_FILE

FRAMES, DEPTH = 48, 3.5  # m from the camera
GOLDEN = [-0.5114, -0.9994, 0.9661, 0.0999, 0.0577]  # see the test that compares with them
ARMS_DOWN = {16: -1.2, 17: 1.2}  # rad about z, shoulders


@pytest.fixture(scope="module")
def standing() -> tuple[StudentInput, Prediction, torch.Tensor]:
    """Somebody average who stands still and faces a level camera that stands; landmarks without error."""
    body = load_body()
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    rotations[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # SMPL's y up and z ahead in an OpenCV camera
    for joint, angle in ARMS_DOWN.items():
        c, s = np.cos(angle), np.sin(angle)
        rotations[:, joint] = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float32)
    with torch.no_grad():
        posed = body.points(torch.zeros(1, 10), rotations, torch.tensor([[0.0, 0.0, DEPTH]]))
    landmarks = posed.landmarks.expand(FRAMES, 33, 3)
    hips = landmarks[:, [23, 24]].mean(1, keepdim=True)
    still = torch.zeros(FRAMES, 3)
    kind = torch.tensor([1.0, 0, 0]).expand(FRAMES, 3)
    rays, visibility = landmarks[..., :2] / landmarks[..., 2:], torch.full((FRAMES, 33), 0.95)
    seen = StudentInput(rays, visibility, landmarks - hips, still, still, kind)
    given = student_features(seen)
    with torch.no_grad():
        return seen, shipped()(given.features[None]), given.size


def test_a_person_before_a_level_camera_stands_upright(standing) -> None:
    _, prediction, size = standing
    body = load_body()
    middle = slice(8, FRAMES - 8)
    up = prediction.up[0, middle] @ torch.tensor([0.0, -1.0, 0.0])
    assert torch.rad2deg(torch.acos(up.clamp(-1, 1))).max() < 8
    depth = prediction.log_depth[0, middle].exp() / size[middle]
    assert (depth / DEPTH - 1).abs().max() < 0.1
    assert prediction.velocity[0, middle].norm(dim=-1).max() < 0.2
    facing = prediction.rotations[0, middle, 0, :, 2]  # the pelvis' front looks back along the line of sight
    assert (facing @ torch.tensor([0.0, 0.0, -1.0])).min() > np.cos(np.radians(15))
    with torch.no_grad():
        joints = body.joints(prediction.betas[0, middle], prediction.rotations[0, middle])
    assert (joints[:, 7:9, 1] - joints[:, :1, 1]).min() > 0.6  # ankles far below the pelvis: y is down in the camera


def test_feet_of_who_stands_touch_and_the_seat_does_not(standing) -> None:
    prediction = torch.sigmoid(standing[1].touch[0, 8:-8])
    feet = [PARTS.index(f"{side}_ball") for side in ("left", "right")]
    assert prediction[:, feet].min() > 0.5
    assert prediction[:, PARTS.index("seat")].max() < 0.5


def test_predictions_are_the_same_on_every_machine(standing) -> None:
    """Golden numbers of the middle frame; half a percent of their size leaves room for other processors."""
    prediction = standing[1]
    middle = FRAMES // 2
    numbers = torch.stack([prediction.log_depth[0, middle], prediction.up[0, middle, 1],
                           prediction.rotations[0, middle, 4, 1, 1],
                           prediction.sigma["joints"][0, middle, 7],
                           prediction.sigma["log_depth"][0, middle, 0]])  # fmt: skip
    torch.testing.assert_close(numbers, torch.tensor(GOLDEN), rtol=5e-3, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 200])
def test_nothing_visible_gives_finite_numbers(frames: int) -> None:
    nothing = StudentInput(*(torch.zeros(frames, *shape) for shape in ((33, 2), (33,), (33, 3), (3,), (3,), (3,))))
    with torch.no_grad():
        prediction = shipped()(student_features(nothing).features[None])
    assert all(
        bool(value.isfinite().all())
        for value in (prediction.rotations, prediction.log_depth, prediction.up, *prediction.sigma.values())
    )


@pytest.mark.parametrize("away", [True, False])
def test_limbs_swing_along_the_line_of_sight_although_the_guess_does_not(away: bool) -> None:
    """Seen from behind or from the front, the landmark network shows a third of a walker's swing in depth."""
    body, frames = load_body(), 64
    with np.load(MOCAP_FILE, allow_pickle=False) as stored:
        turned = rotvec_to_rotmat(stored["walk_rotvec"][:frames].astype(np.float64))
        way = stored["walk_pelvis"][frames - 1] - stored["walk_pelvis"][0]
    heading = -np.arctan2(way[0], way[2]) + (0.0 if away else np.pi)
    cam_from_body = np.diag([-1.0, -1.0, 1.0]) @ rotvec_to_rotmat(np.array([0.0, heading, 0.0]))
    to_cam = torch.as_tensor(cam_from_body.T, dtype=torch.float32)
    with torch.no_grad():
        posed = body.points(
            torch.zeros(frames, 10), torch.as_tensor(turned, dtype=torch.float32), torch.zeros(frames, 3)
        )
    landmarks, true = posed.landmarks @ to_cam, posed.joints @ to_cam
    landmarks = landmarks - landmarks[:, [23, 24]].mean(1, keepdim=True)
    in_cam = landmarks + torch.tensor([0.0, 0.5, 4.0])  # a camera that follows, half a metre over the hips
    guess = landmarks.clone()
    guess[..., 2] = guess[..., 2].mean(0)  # no swing at all
    still = torch.zeros(frames, 3)
    travel = still + torch.tensor([0.0, 0.0, 1.0 if away else -1.0])
    kind = torch.tensor([0.0, 0.0, 1.0]).expand(frames, 3)
    rays, visibility = in_cam[..., :2] / in_cam[..., 2:], torch.full((frames, 33), 0.95)
    seen = StudentInput(rays, visibility, guess, still, travel, kind)
    with torch.no_grad():
        found = predict(shipped(), seen)
        joints = pelvis_joints(body, found.betas.mean(1), found.rotations)[0] @ student_features(seen).sight.mT
    for limbs in ([4, 5, 7, 8], [18, 19, 20, 21]):  # knees and ankles, elbows and wrists
        x, y = ((j[:, limbs] - j[:, :1])[..., 2] for j in (true, joints))
        x, y = x - x.mean(0), y - y.mean(0)
        assert (x * y).sum() / (x * x).sum() > 0.8  # 0.9; weights that trust the guess show 0.6
