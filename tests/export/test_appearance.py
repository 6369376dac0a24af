"""The own look: a painted body gets its colours back from a clip, and what no frame shows is filled."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from josh_core.body import BodyModel, load_body
from josh_core.body.names import JOINTS
from josh_core.body.posing import posed_points, posed_vertices
from josh_core.export.appearance import weighted_median, with_appearance
from josh_core.export.looks.body_colors import body_colors, own_colors
from josh_core.export.looks.fill import fill, mirror
from josh_core.export.looks.outfit import HAIR, SHOES, SKIN, TOP, TROUSERS, cloth_normals, plain_colors, regions
from josh_core.export.pictures.preview import camera_view, look_at
from josh_core.export.pictures.raster import Canvas
from josh_core.export.rig import vertex_normals
from josh_core.export.scene3d.glb import glb_bytes
from josh_core.export.scene3d.usd import usda
from josh_core.types import Clip, Float, People, Reconstruction, Track, UInt8
from tests.example_result import made_up_result
from tests.export.read_gltf import read_accessor, read_glb

FRONT, BACK = np.array([0.0, 0.2, 3.0]), np.array([0.0, 0.2, -3.0])
LAMP = np.array([-0.35, -0.55, -0.76])  # the renderer's, in camera axes
GREY = np.array([120, 120, 120], np.uint8)
SIZE = 720


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def paint(body: BodyModel) -> UInt8:
    """Colours that change smoothly over the body, left unlike right and front unlike back."""
    rest = body.smpl.v_template.double().numpy()
    span = (rest - rest.min(0)) / np.ptp(rest, axis=0)
    return np.asarray(40 + 180 * span[:, [1, 0, 2]], np.uint8)


def filmed(body: BodyModel, eyes: list[Float], people: int = 1) -> tuple[Reconstruction, People, list[Float]]:
    """People at rest, one behind the other (1 m), each frame seen from one of `eyes`; also everybody's vertices."""
    frames = np.arange(len(eyes), dtype=np.int32)
    like = made_up_result(body, frames=20, points=10)
    everybody, meshes = [], []
    for who in range(people):
        transl = np.tile([0.0, 0.0, -1.0 * who], (len(eyes), 1))
        pose = np.zeros((len(eyes), 24, 3))
        person = replace(
            like.people[0],
            id=who,
            frames=frames,
            betas=np.zeros(10),
            pose=pose,
            transl=transl,
            joints=posed_points(body, np.zeros(10), pose, transl)[0],
            contact=np.zeros((len(eyes), len(body.contact_names))),
        )
        everybody.append(person)
        meshes.append(posed_vertices(body, np.zeros(10), pose[:1], transl[:1])[0])
    focal = 0.45 * SIZE / 0.9 * 3
    result = replace(
        like,
        people=tuple(everybody),
        world_from_cam=np.stack([look_at(eye, np.array([0.0, -0.1, 0.0])) for eye in eyes]),
        intrinsics=np.array([[focal, 0, SIZE / 2], [0, focal, SIZE / 2], [0, 0, 1.0]]),
        frame_times=frames / 30.0,
        width=SIZE,
        height=SIZE,
    )
    nothing = np.zeros((len(eyes), 4))
    tracks = tuple(
        Track(who, frames, nothing, np.zeros((len(eyes), 33, 2)), np.ones((len(eyes), 33)),
              np.zeros((len(eyes), 33, 3)), np.ones(len(eyes), bool))
        for who in range(people)
    )  # fmt: skip
    labels = np.zeros((len(eyes), SIZE, SIZE), np.uint8)
    for k in range(len(eyes)):
        for who in reversed(range(people)):  # the first stands in front
            labels[k][shot(result, k, body, meshes[who : who + 1], [np.full((len(meshes[0]), 3), 255, np.uint8)])
                      [..., 0] > GREY[0] + 60] = who + 1  # fmt: skip
    return result, People(tracks, labels), meshes


def shot(result: Reconstruction, frame: int, body: BodyModel, meshes: list[Float], colors: list[UInt8]) -> UInt8:
    """Bodies in their plain colours, without light and shade, over grey."""
    view = camera_view(result, frame, (SIZE, SIZE))
    canvas = Canvas(view, GREY)
    for vertices, color in zip(meshes, colors, strict=True):
        evenly = view.world_from_cam[:3, :3] @ LAMP * (0.55 / 0.65) / (LAMP @ LAMP)  # lights every vertex by 1
        canvas.mesh(vertices, np.asarray(body.faces), color, np.tile(evenly, (len(vertices), 1)))
    return canvas.image


def clip_of(pictures: list[UInt8]) -> Clip:
    jpegs = [cv2.imencode(".jpg", p[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes() for p in pictures]
    return Clip(jpegs, np.arange(len(jpegs)) / 30, SIZE, SIZE, 30.0)


def test_a_painted_body_seen_by_two_cameras_gets_its_colours_back(body: BodyModel) -> None:
    result, people, meshes = filmed(body, [FRONT, FRONT, BACK, BACK])
    clip = clip_of([shot(result, k, body, meshes, [paint(body)]) for k in range(4)])
    (person,) = with_appearance(result, body, clip, people).people
    assert person.colors is not None and 0.35 < person.colors_seen < 0.9
    off = np.abs(person.colors.astype(int) - paint(body)).max(1)
    fingers = body.skin_weights.numpy()[:, [JOINTS.index("left_hand"), JOINTS.index("right_hand")]].sum(1) > 0.3
    facing = np.abs(vertex_normals(meshes[0], np.asarray(body.faces))[:, 2]) > 0.8
    assert np.median(off[facing & ~fingers]) <= 5 and np.percentile(off[facing & ~fingers], 80) <= 12
    assert off[~fingers].mean() < 20  # what neither camera faces is filled from beside it


def test_a_body_that_nothing_shows_is_plain(body: BodyModel) -> None:
    result, people, meshes = filmed(body, [FRONT])
    clip = clip_of([shot(result, 0, body, meshes, [paint(body)])])
    unseen = replace(people, labels=np.zeros_like(people.labels))
    (person,) = with_appearance(result, body, clip, unseen).people
    assert person.colors is None and person.colors_seen == 0
    np.testing.assert_array_equal(body_colors(person, body), plain_colors(body, person.id))
    hardly = replace(person, colors=paint(body), colors_seen=0.03)
    of_another_body = replace(person, colors=paint(body)[:100], colors_seen=0.9)
    assert own_colors(hardly, body) is None and own_colors(of_another_body, body) is None


def test_who_stands_behind_somebody_does_not_take_his_colours(body: BodyModel) -> None:
    result, people, meshes = filmed(body, [FRONT, FRONT, BACK, BACK], people=2)
    red, blue = np.array([200, 30, 30], np.uint8), np.array([30, 30, 200], np.uint8)
    worn = [np.tile(c, (len(meshes[0]), 1)) for c in (red, blue)]
    clip = clip_of([shot(result, k, body, meshes, worn) for k in range(4)])
    generous = replace(people, labels=np.where(people.labels > 0, 2, 0).astype(np.uint8))  # a mask that takes both
    assert (generous.labels[0] == 2).any()
    behind = with_appearance(result, body, clip, generous).people[1]
    assert behind.colors is not None
    assert np.abs(behind.colors.astype(int) - blue).max(1).mean() < 15


def test_objects_that_cover_a_body_for_a_moment_are_ignored(body: BodyModel) -> None:
    result, people, meshes = filmed(body, [FRONT] * 5)
    pictures = [shot(result, k, body, meshes, [paint(body)]) for k in range(5)]
    pictures[2][200:500] = [255, 255, 0]  # something drives by
    clean = with_appearance(result, body, clip_of(pictures[:2] + pictures[3:4] * 3), people).people[0]
    crossed = with_appearance(result, body, clip_of(pictures), people).people[0]
    assert clean.colors is not None and crossed.colors is not None
    assert np.abs(clean.colors.astype(int) - crossed.colors).max() <= 3


def test_what_covers_a_side_in_few_frames_and_is_taken_for_the_body_is_ignored(body: BodyModel) -> None:
    """A ball at a leg is in the person's mask, whose rim then lies farther out: only there the leg's side is inside."""
    result, people, meshes = filmed(body, [FRONT] * 12)
    pictures = [shot(result, k, body, meshes, [paint(body)]) for k in range(12)]
    clean = with_appearance(result, body, clip_of(pictures), people).people[0]
    labels, yellow = people.labels.copy(), [255, 255, 0]
    rows, columns = np.nonzero(labels[0])
    row = rows.min() + 2 * int(np.ptp(rows)) // 3
    edge = int(columns[rows == row].max())
    ball = slice(row - 25, row + 25), slice(edge - 6, edge + 40)
    for k in range(4):
        pictures[k][ball], labels[k][ball] = yellow, 1
    crossed = with_appearance(result, body, clip_of(pictures), replace(people, labels=labels)).people[0]
    assert clean.colors is not None and crossed.colors is not None
    like_the_ball = (np.abs(crossed.colors.astype(int) - yellow).max(1) < 60) & (clean.colors[:, 2] > 60)
    assert not like_the_ball.any()


def test_unseen_parts_take_the_other_sides_colour_then_that_of_their_region(body: BodyModel) -> None:
    rest = body.smpl.v_template.double().numpy()
    other = mirror(body)
    assert np.abs(rest[other] - rest * [-1, 1, 1]).max() < 0.01
    colors = paint(body).astype(float)
    left = rest[:, 0] > 0.001
    whole = fill(body, colors, left)
    np.testing.assert_allclose(whole[left], colors[left])
    mirrored = ~left & left[other]
    np.testing.assert_allclose(whole[mirrored], colors[other[mirrored]])
    front = vertex_normals(rest, np.asarray(body.faces))[:, 2] > 0.3
    shades = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200], [90, 90, 90], [20, 20, 20]], float)
    dressed = shades[regions(body)]
    whole = fill(body, np.where(front[:, None], dressed, 255.0), front)
    back = vertex_normals(rest, np.asarray(body.faces))[:, 2] < -0.6
    assert np.abs(whole - dressed)[back].max(1).mean() < 12
    assert whole.min() >= 0 and whole.max() <= 200.1  # never beyond what was seen


def test_the_weighted_median_ignores_what_weighs_little() -> None:
    values = np.array([10.0, 20, 200]).reshape(3, 1, 1)
    assert weighted_median(values, np.array([[1.0], [1], [1]]))[0, 0] == 20
    assert weighted_median(values, np.array([[1.0], [0.1], [0.2]]))[0, 0] == 10
    assert weighted_median(values, np.array([[0.0], [0], [1]]))[0, 0] == 200


def test_the_plain_look_is_dressed_from_head_to_foot(body: BodyModel) -> None:
    rest, worn = body.smpl.v_template.double().numpy(), regions(body)
    height = {region: rest[worn == region, 1] for region in (TOP, TROUSERS, SHOES, SKIN, HAIR)}
    assert height[HAIR].min() > height[TOP].max() - 0.05 and height[SHOES].max() < height[TROUSERS].mean() < 0
    assert height[TROUSERS].max() < height[TOP].mean() and all(len(y) > 50 for y in height.values())
    assert (worn[mirror(body)] == worn).mean() > 0.99
    normals, bare = cloth_normals(body, rest), vertex_normals(rest, np.asarray(body.faces))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    a, b, c = rest[np.asarray(body.faces)].swapaxes(0, 1)
    chest = (np.asarray(worn)[np.asarray(body.faces)] == TOP).all(1) & (np.cross(b - a, c - a)[:, 2] > 0)
    edge = np.asarray(body.faces)[chest][:, :2]
    step = [np.linalg.norm(n[edge[:, 0]] - n[edge[:, 1]], axis=1).mean() for n in (normals, bare)]
    assert step[0] < 0.75 * step[1]  # cloth spans what lies under it
    face = worn == SKIN
    np.testing.assert_allclose(normals[face], bare[face], atol=1e-6)


def test_files_carry_the_colours_of_the_clip_and_the_viewer_both(body: BodyModel) -> None:
    result = made_up_result(body, frames=20, points=10)
    own = paint(body)
    result = replace(result, people=(replace(result.people[0], colors=own, colors_seen=0.6), result.people[1]))
    document, blob = read_glb(glb_bytes(result, body))
    first, second = (
        next(m for m in document["meshes"] if m["name"] == f"person_{k}")["primitives"][0]["attributes"] for k in (0, 1)
    )

    def shown(accessor: int) -> Float:
        light = read_accessor(document, blob, accessor)[:, :3].astype(float)
        light = light / (65535 if light.max() > 1 else 1)
        return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)

    np.testing.assert_allclose(shown(first["COLOR_0"]), own, atol=0.5)
    np.testing.assert_allclose(shown(first["_PLAIN"]), plain_colors(body, 0), atol=0.5)
    np.testing.assert_allclose(shown(second["COLOR_0"]), plain_colors(body, 1), atol=0.5)
    assert "_PLAIN" not in second
    text = usda(result, body)
    line = next(x for x in text.split('def SkelRoot "person_0"')[1].splitlines() if "displayColor" in x)
    assert line.count("(") - 1 == len(own)  # one colour a vertex, and the interpolation
