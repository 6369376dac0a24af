"""The bundle on disk: what is written comes back, and what is damaged, foreign or of another version is refused."""

from __future__ import annotations

import json
import re
import tracemalloc
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from josh_core.body import load_body
from josh_core.errors import ResultError
from josh_core.export import bundle
from josh_core.export.bundle import content_key, load_bundle, new_id, save_bundle
from josh_core.types import Floor, Reconstruction, Support, Surface
from tests.example_result import made_up_result


@pytest.fixture(scope="module")
def result() -> Reconstruction:
    return replace(made_up_result(load_body(), frames=20, points=300), distortion=-0.1)


def test_round_trip_keeps_every_field(result: Reconstruction, tmp_path: Path) -> None:
    save_bundle(result, tmp_path / "run")
    back = load_bundle(tmp_path / "run")
    for field in fields(Reconstruction):
        before, after = getattr(result, field.name), getattr(back, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_allclose(after, before, rtol=0, atol=1e-6, err_msg=field.name)
        elif field.name not in ("people", "scene"):
            assert after == before, field.name
    assert np.array_equal(back.scene.colors, result.scene.colors)
    for before, after in zip(result.people, back.people, strict=True):
        for name in ("frames", "betas", "pose", "transl", "joints", "contact"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name), err_msg=name)
        assert (after.id, after.height_m) == (before.id, before.height_m)


def test_colours_come_back_and_bundles_without_them_still_open(result: Reconstruction, tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (4391, 3)).astype(np.uint8)
    dressed = (replace(result.people[0], colors=colors, colors_seen=0.25), result.people[1])
    save_bundle(replace(result, people=dressed), tmp_path / "run")
    first, second = load_bundle(tmp_path / "run").people
    np.testing.assert_array_equal(first.colors, colors)
    assert (first.colors_seen, second.colors, second.colors_seen) == (0.25, None, 0.0)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert "colors_seen" not in manifest["people"][1]
    for wrong in (1e12, "much", None, [0.2]):
        manifest["people"][0]["colors_seen"] = wrong
        (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        with pytest.raises(ResultError, match="people"):
            load_bundle(tmp_path / "run")
    del manifest["people"][0]["colors_seen"]
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert load_bundle(tmp_path / "run").people[0].colors is None


def test_the_surface_comes_back_and_a_wrong_one_is_refused(result: Reconstruction, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    faces = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
    jpeg = cv2.imencode(".jpg", np.zeros((16, 32, 3), np.uint8))[1].tobytes()
    size = jpeg.index(b"\x00\x10\x00\x20")  # height and width in its header
    bomb = jpeg[:size] + b"\xff\xff\xff\xff" + jpeg[size + 4 :]
    place = Surface(rng.random((4, 3), np.float32), faces, rng.random((4, 2), np.float32), jpeg)
    save_bundle(replace(result, surface=place), tmp_path / "run")
    back = load_bundle(tmp_path / "run").surface
    assert back is not None and back.texture == place.texture
    for name in ("vertices", "faces", "uv"):
        np.testing.assert_array_equal(getattr(back, name), getattr(place, name))
    odd = ({"faces": faces + 2}, {"faces": faces[:0]}, {"uv": place.uv + 1}, {"texture": bomb}, {"texture": jpeg[:9]})
    for change in odd:
        wrong = replace(place, **change)  # type: ignore[arg-type]
        save_bundle(replace(result, surface=wrong), tmp_path / "wrong")
        with pytest.raises(ResultError, match="surface"):
            load_bundle(tmp_path / "wrong")


def test_layout_is_the_published_one(result: Reconstruction, tmp_path: Path) -> None:
    save_bundle(result, tmp_path / "run", key="k", files={"result.glb": b"glTF"})
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"manifest.json", "arrays.npz", "result.glb"}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert (manifest["format"], manifest["version"], manifest["up"], manifest["key"]) == ("josh-result", 1, "+Y", "k")
    assert manifest["people"][1]["frames"] == len(result.people[1].frames)
    assert manifest["stages"][1] == {"name": "people", "seconds": 2.25}
    with np.load(tmp_path / "run" / "arrays.npz", allow_pickle=False) as arrays:
        kinds = {name: arrays[name].dtype.str[1:] for name in arrays.files}
    assert kinds["frame_times"] == "f8" and kinds["scene_colors"] == "u1" and kinds["person1_frames"] == "i4"
    assert {kinds[f"person0_{name}"] for name in ("betas", "pose", "transl", "joints", "contact")} == {"f4"}


def test_a_bundle_from_before_the_lens_was_kept_still_opens(result: Reconstruction, tmp_path: Path) -> None:
    save_bundle(result, tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    lens = manifest.pop("lens")
    assert lens["division"] == -0.1 and lens["k1"] == pytest.approx(-0.1, abs=0.01)
    for kept, distortion in (({}, 0.0), ({"lens": {"k1": -0.03, "frames": "undistorted"}}, -0.03)):
        (tmp_path / "run" / "manifest.json").write_text(json.dumps({**manifest, **kept}), "utf-8")
        assert load_bundle(tmp_path / "run").distortion == distortion


def test_the_floor_is_kept_and_old_bundles_have_none(result: Reconstruction, tmp_path: Path) -> None:
    assert load_bundle(saved(result, tmp_path / "level")).floor is None
    slope = Floor(np.array([0.0, np.cos(0.1), np.sin(0.1)]), 0.25, 0.8)
    kept = load_bundle(saved(replace(result, floor=slope), tmp_path / "slope")).floor
    assert kept is not None and np.allclose(kept.normal, slope.normal) and (kept.offset, kept.confidence) == (0.25, 0.8)
    path = tmp_path / "slope" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    for wrong in ([0, 2, 0], [0, 1], "up", [0, None, 1]):
        path.write_text(json.dumps({**manifest, "floor": {**manifest["floor"], "normal": wrong}}), "utf-8")
        with pytest.raises(ResultError, match="floor"):
            load_bundle(tmp_path / "slope")


def test_supports_are_kept_and_old_bundles_have_none(result: Reconstruction, tmp_path: Path) -> None:
    step = Support(0.17, np.array([[0.0, 0.0], [1.0, 0.1], [0.5, 0.8]]))
    folder = saved(replace(result, supports=(step, replace(step, height=-0.3))), tmp_path / "steps")
    first, second = load_bundle(folder).supports
    assert (first.height, second.height) == (0.17, -0.3) and np.array_equal(second.outline, step.outline)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    good = manifest["supports"][0]
    for wrong in (
        *({**good, "height": height} for height in (None, "low", 1e12, [0.1], True)),
        *(
            {**good, "outline": outline}
            for outline in (None, [], [[0, 0], [1, 0]], [[0, 0], [1, 0], [1]], [[0, 0]] * 500)
        ),
        {**good, "outline": [[0, 0], [1, 0], [1, "x"]]},
        {"height": 0.1},
        3,
    ):
        (folder / "manifest.json").write_text(json.dumps({**manifest, "supports": [good, wrong]}), "utf-8")
        with pytest.raises(ResultError, match="supports"):
            load_bundle(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest).replace("0.17", "NaN"), "utf-8")
    with pytest.raises(ResultError):
        load_bundle(folder)
    for wrong in ({}, "all", [good] * 2000):
        (folder / "manifest.json").write_text(json.dumps({**manifest, "supports": wrong}), "utf-8")
        with pytest.raises(ResultError, match="supports"):
            load_bundle(folder)
    del manifest["supports"]
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert load_bundle(folder).supports == ()


def saved(result: Reconstruction, folder: Path) -> Path:
    save_bundle(result, folder)
    return folder


def test_numbers_that_json_cannot_hold_become_null(result: Reconstruction, tmp_path: Path) -> None:
    odd = replace(result, quality={"a": float("nan"), "b": np.float32(2), "c": np.arange(2), "d": (np.bool_(True),)})
    save_bundle(odd, tmp_path / "run")
    assert load_bundle(tmp_path / "run").quality == {"a": None, "b": 2.0, "c": [0, 1], "d": [True]}


def test_a_bundle_is_replaced_but_other_files_are_not(result: Reconstruction, tmp_path: Path) -> None:
    save_bundle(result, tmp_path / "run")
    save_bundle(replace(result, mode="baseline"), tmp_path / "run")
    assert load_bundle(tmp_path / "run").mode == "baseline"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    (tmp_path / "run" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(ResultError, match="other files"):
        save_bundle(result, tmp_path / "run")
    assert (tmp_path / "run" / "holiday.jpg").read_bytes() == b"mine"


def test_a_crash_while_writing_leaves_nothing(
    result: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_args: object, **_arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle.np, "savez_compressed", full_disk)
    with pytest.raises(ResultError, match="No space left"):
        save_bundle(result, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "version 2"),
        ({"format": "other"}, "not that of a josh-result"),
        ({"mode": "magic"}, "mode"),
        ({"num_frames": 21}, "world_from_cam"),
        ({"people": 3}, "no valid people"),
        ({"people": [{"id": 0}]}, "no valid people"),
        ({"people": [[]]}, "no valid people"),
        ({"fps": "fast"}, "no valid fps"),
        ({"fps": 10**400}, "no valid fps"),
        ({"num_frames": 1e400}, "cannot be read"),  # Python writes it as Infinity
        ({"num_frames": True}, "no valid num_frames"),
        ({"num_frames": 10**9}, "no valid num_frames"),
        ({"mode": ["fast"], "stages": [7], "notes": "text", "lens": {"k1": "x"}}, "mode, lens, stages, notes"),
        ({"notes": ["\ud800"]}, "cannot be read"),
        ({"contact_names": ["a"]}, "person0_contact"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    result: Reconstruction, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    manifest = save_bundle(result, tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({**manifest, **change}), "utf-8")
    with pytest.raises(ResultError, match=says):
        load_bundle(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("world_from_cam", np.zeros((20, 3, 4), np.float32), "world_from_cam"),
        ("intrinsics", np.full((3, 3), np.nan, np.float32), "finite"),
        ("scene_colors", np.zeros((1, 3), np.uint8), "scene_colors"),
        ("person0_frames", np.arange(20, dtype=np.int32) + 1, "not in the clip"),
        ("person0_frames", np.zeros(20, np.int32), "not in the clip"),
        ("person1_pose", np.zeros((3, 24, 3), np.float32), "person1_pose"),
        ("person1_betas", np.array([{"a": 1}] * 10, dtype=object), "cannot be read"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    result: Reconstruction, tmp_path: Path, name: str, value: np.ndarray, says: str
) -> None:
    save_bundle(result, tmp_path / "run")
    path = tmp_path / "run" / "arrays.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, name: value})
    with pytest.raises(ResultError, match=says):
        load_bundle(tmp_path / "run")


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 200_000, '{"a": "' + "x" * (5 << 20) + '"}', "1" * 5000, "\xff"],
    ids=range(5),
)
def test_a_manifest_made_to_choke_on_is_refused(result: Reconstruction, tmp_path: Path, text: str) -> None:
    save_bundle(result, tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text(text, "latin-1")
    with pytest.raises(ResultError, match=r"manifest\.json"):
        load_bundle(tmp_path / "run")


def npy(shape: str, data: bytes = b"", kind: str = "<f4") -> bytes:
    """An array file whose header may lie."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "member",
    [
        npy("(1000000000, 3)"),  # 12 GB, says the header
        npy("(100000000, 3)", bytes(1000)),
        npy("(23000000, 3)", bytes(276_000_000)),  # it is all there, packed to 0.3 MB
        npy("(9223372036854775807, 3)"),
        npy("(-1, 3)"),
        npy("(" * 30 + ")" * 30),
        npy("(2, 3)", bytes(24), "|O"),
        b"\x93NUMPY\x03\x00" + bytes(100),
        b"no array",
        b"",
    ],
    ids=range(10),
)
def test_an_array_that_asks_for_much_memory_is_refused(result: Reconstruction, tmp_path: Path, member: bytes) -> None:
    save_bundle(result, tmp_path / "run")
    with np.load(tmp_path / "run" / "arrays.npz") as stored:
        arrays = dict(stored)
    del arrays["scene_points"]
    np.savez(tmp_path / "run" / "arrays.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "run" / "arrays.npz", "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("scene_points.npy", member)
    tracemalloc.start()
    with pytest.raises(ResultError, match=r"arrays\.npz"):
        load_bundle(tmp_path / "run")
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_of_an_array_that_is_there_twice_each_is_judged(result: Reconstruction, tmp_path: Path) -> None:
    save_bundle(result, tmp_path / "run")
    bomb = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 3), }".ljust(117)
        + b"\n"
    )
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "run" / "arrays.npz", "a") as packed:
        packed.writestr("scene_points.npy", bomb)
    with pytest.raises(ResultError, match="cannot be read"):
        load_bundle(tmp_path / "run")


def test_missing_and_broken_files_are_refused(result: Reconstruction, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no result"):
        load_bundle(tmp_path / "nowhere")
    save_bundle(result, tmp_path / "run")
    (tmp_path / "run" / "arrays.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ResultError, match="cannot be read"):
        load_bundle(tmp_path / "run")
    (tmp_path / "run" / "arrays.npz").unlink()
    with pytest.raises(ResultError, match="incomplete"):
        load_bundle(tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text("[1, 2", "utf-8")
    with pytest.raises(ResultError, match="cannot be read"):
        load_bundle(tmp_path / "run")


def test_nobody_and_nothing_is_a_bundle_too(result: Reconstruction, tmp_path: Path) -> None:
    empty = replace(result.scene, points=np.zeros((0, 3)), colors=np.zeros((0, 3), np.uint8), confidence=np.zeros(0))
    save_bundle(replace(result, people=(), scene=empty), tmp_path / "run")
    back = load_bundle(tmp_path / "run")
    assert back.people == () and back.scene.points.shape == (0, 3)


def test_content_key_follows_clip_settings_and_version_and_ids_do_not() -> None:
    key = content_key("ab", {"mode": "fast", "people": None}, "1")
    assert key == content_key("ab", {"people": None, "mode": "fast"}, "1")
    others = [("ac", {"mode": "fast"}, "1"), ("ab", {"mode": "fast", "people": 2}, "1"), ("ab", {"mode": "fast"}, "2")]
    assert len({key, *(content_key(*other) for other in others)}) == 4
    assert re.fullmatch(r"[A-Za-z0-9_-]{20,}", new_id()) and new_id() != new_id()
