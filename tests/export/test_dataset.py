"""The folder for nerfstudio, COLMAP and 3DGS is complete: its cameras find on its images what was drawn there."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from josh_core.body import BodyModel, load_body
from josh_core.body.posing import posed_vertices
from josh_core.errors import Cancelled
from josh_core.export.dataset import save_dataset
from josh_core.export.pictures.video import read_clip, save_clip
from josh_core.geometry import invert, project, transform
from josh_core.progress import Progress
from josh_core.types import Float, PointCloud, Reconstruction
from tests.example_result import made_up_result
from tests.scene.textured_plane import clip_of

FRAMES, SIZE = 6, (1282, 722)  # reduced to 960 px the height is odd, and the stored clip loses a row
MARKS = np.array([[-2.4, 0.6, -6.0], [2.2, 2.2, -7.0], [0.1, 2.6, -9.0], [-1.6, 2.1, -5.0], [1.9, 0.4, -5.5]])


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def result(body: BodyModel) -> Reconstruction:
    made_up = made_up_result(body, frames=FRAMES, points=100)
    k = made_up.intrinsics.copy()
    k[:2] *= np.array([SIZE[0] / made_up.width, SIZE[1] / made_up.height])[:, None]
    marks = PointCloud(MARKS.astype(np.float32), np.full((len(MARKS), 3), 250, np.uint8), np.ones(len(MARKS), "f4"))
    return replace(made_up, width=SIZE[0], height=SIZE[1], intrinsics=k, scene=marks)


def drawn(result: Reconstruction, frame: int) -> np.ndarray:
    """A picture with a white spot where each mark is, drawn through OpenCV alone."""
    picture = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    cam_from_world = np.linalg.inv(result.world_from_cam[frame].astype(float))
    k = result.intrinsics.astype(float).copy()
    k[:2, 2] -= 0.5  # OpenCV's first pixel has its centre at 0
    spots, _ = cv2.projectPoints(MARKS, cv2.Rodrigues(cam_from_world[:3, :3])[0], cam_from_world[:3, 3], k, None)
    for x, y in np.round(spots.reshape(-1, 2) * 16).astype(int):
        cv2.circle(picture, (x, y), 7 * 16, (250, 250, 250), -1, cv2.LINE_AA, shift=4)
    return picture


@pytest.fixture(scope="module")
def folder(result: Reconstruction, body: BodyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of a clip that went through a stored video, unpacked."""
    place = tmp_path_factory.mktemp("dataset")
    clip = clip_of([drawn(result, frame) for frame in range(FRAMES)])
    clip = replace(clip, times=result.frame_times)
    save_clip(clip, place / "clip.mp4")
    save_dataset(result, body, read_clip(place / "clip.mp4", result.frame_times), place / "dataset.zip")
    with zipfile.ZipFile(place / "dataset.zip") as packed:
        packed.extractall(place / "dataset")
    return place / "dataset"


def spot_beside(image: np.ndarray, px: Float) -> Float:
    """Centre of brightness around a pixel position, first pixel's centre at 0.5."""
    x, y = np.floor(px).astype(int)
    part = image[y - 12 : y + 13, x - 12 : x + 13, 1].astype(float) - 60
    weight = np.maximum(part, 0)
    rows, columns = np.indices(part.shape)
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum() + [x - 11.5, y - 11.5]


_READ_COLMAP = """
import json, sys
import pycolmap
model = pycolmap.Reconstruction(sys.argv[1])
points = [p.xyz for p in model.points3D.values()]
images = model.images.values()
cameras = {i.name: model.cameras[i.camera_id] for i in images}
seen = {i.name: [cameras[i.name].img_from_cam(i.cam_from_world() * p).tolist() for p in points] for i in images}
print(json.dumps([{n: [c.width, c.height] for n, c in cameras.items()}, seen]))
"""


def test_colmaps_points_lie_within_a_pixel_of_where_the_images_show_them(folder: Path) -> None:
    command = [sys.executable, "-c", _READ_COLMAP, str(folder / "sparse" / "0")]
    sizes, seen = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert sorted(seen) == sorted(file.name for file in (folder / "images").iterdir()) and len(seen) == FRAMES
    for name, places in seen.items():
        image = cv2.imread(str(folder / "images" / name))
        assert [image.shape[1], image.shape[0]] == sizes[name] == [960, 540]
        assert len(places) == len(MARKS)
        for px in places:
            assert np.linalg.norm(spot_beside(image, np.array(px)) - px) < 0.5


def test_nerfstudios_file_names_what_is_there_and_its_cameras_fit(folder: Path) -> None:
    document = json.loads((folder / "transforms.json").read_text("utf-8"))
    cloud = trimesh.load(folder / document["ply_file_path"])
    assert len(document["frames"]) == FRAMES and len(cloud.vertices) == len(MARKS)
    for entry in document["frames"]:
        image = cv2.imread(str(folder / entry["file_path"]))
        mask = cv2.imread(str(folder / entry["mask_path"]), cv2.IMREAD_GRAYSCALE)
        assert image.shape[:2] == mask.shape == (document["h"], document["w"])
        p = transform(np.linalg.inv(np.array(entry["transform_matrix"])), np.asarray(cloud.vertices, float))
        u = document["cx"] - document["fl_x"] * p[:, 0] / p[:, 2]
        v = document["cy"] + document["fl_y"] * p[:, 1] / p[:, 2]
        for px in np.stack([u, v], 1):
            assert np.linalg.norm(spot_beside(image, px) - px) < 0.5


def test_masks_are_black_on_the_bodies_and_white_far_from_them(
    folder: Path, result: Reconstruction, body: BodyModel
) -> None:
    for row, frame in enumerate(result.people[0].frames):
        mask = cv2.imread(str(folder / "masks" / f"frame_{frame:05d}.jpg.png"), cv2.IMREAD_GRAYSCALE)
        here = [person for person in result.people if frame in person.frames]
        assert set(np.unique(mask)) == {0, 255} and (mask == 0).mean() < 0.3 * len(here)
        person = result.people[0]
        mesh = posed_vertices(body, person.betas, person.pose[row : row + 1], person.transl[row : row + 1])[0]
        px = project(result.intrinsics, transform(invert(result.world_from_cam[frame].astype(float)), mesh))
        x, y = np.floor(px.T * 960 / SIZE[0]).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < 960) & (y < 540)
        assert inside.sum() > 1000 and (mask[y[inside], x[inside]] == 0).all()
    assert (mask[:40] == 255).all()  # nobody is so tall


def test_of_a_long_clip_some_frames_are_taken_all_over_it(
    result: Reconstruction, body: BodyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("josh_core.export.dataset._MAX_IMAGES", 3)
    save_dataset(result, body, clip_of([drawn(result, frame) for frame in range(FRAMES)]), tmp_path / "d.zip")
    with zipfile.ZipFile(tmp_path / "d.zip") as packed:
        images = sorted(name for name in packed.namelist() if name.startswith("images/"))
        named = [entry["file_path"] for entry in json.loads(packed.read("transforms.json"))["frames"]]
        colmap = packed.read("sparse/0/images.txt").decode()
    assert images == named == [f"images/frame_{frame:05d}.jpg" for frame in (0, 2, 5)]
    assert all(Path(name).name in colmap for name in images) and colmap.count(".jpg") == 3


def test_half_a_dataset_never_appears(result: Reconstruction, body: BodyModel, tmp_path: Path) -> None:
    clip = clip_of([drawn(result, 0)] * FRAMES)
    with pytest.raises(Cancelled):
        save_dataset(result, body, clip, tmp_path / "d.zip", Progress(cancelled=lambda: True))
    assert list(tmp_path.iterdir()) == []
