"""Bringing in SMPL's own pickle: a made-up file in its layout is read, hostile files are refused without running."""

from __future__ import annotations

import io
import os
import pickle
import resource
import struct
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csc_matrix

from josh_core.body import load_body
from josh_core.body.asset import read_body
from josh_core.body.import_smpl import import_smpl
from josh_core.body.names import LANDMARKS, PARENTS
from josh_core.errors import JoshError, WeightsError


class Ch:
    """As chumpy.ch.Ch is pickled: an object whose state holds the values in x."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self._itr = None
        self._dirty_vars: set[str] = {"x"}


class Select:
    """As chumpy.reordering.Select is pickled: entries `idxs` of a, in another shape."""

    def __init__(self, a: Any, idxs: np.ndarray, preferred_shape: tuple[int, ...]) -> None:
        self.a, self.idxs, self.preferred_shape = a, idxs, preferred_shape


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pretended chumpy, only for writing; it is gone again before anything is read."""
    for module, cls in (("chumpy.ch", Ch), ("chumpy.reordering", Select)):
        fake = types.ModuleType(module)
        setattr(fake, cls.__name__, cls)
        monkeypatch.setitem(sys.modules, module, fake)
        monkeypatch.setattr(cls, "__module__", module)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes bytes and text as Python 2's str, which is how SMPL's files were made."""

    dispatch = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_str2(self, value: str | bytes) -> None:
        data = value if isinstance(value, bytes) else value.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[bytes] = save_str2
    dispatch[str] = save_str2


def smpl_content(correctives: bool = True) -> dict[str, Any]:
    """Our body under the keys and types of SMPL_NEUTRAL.pkl, with the vertices in another order."""
    data = read_body()
    order = np.random.default_rng(0).permutation(len(data.v_template))
    shapes = data.shapedirs[order].astype(np.float64)
    many = np.concatenate([shapes, np.zeros((len(order), 3, 20))], -1)
    first = np.arange(many.size).reshape(many.shape)[:, :, :10]
    posedirs = np.random.default_rng(1).normal(0, 1e-3, (len(order), 3, 207))
    return {
        "v_template": Ch(data.v_template[order].astype(np.float64)),
        "shapedirs": Select(Ch(many), first.ravel(), first.shape),
        "posedirs": Ch(posedirs) if correctives else None,
        "J_regressor": csc_matrix(data.j_regressor[:, order].astype(np.float64)),
        "weights": Ch(np.asfortranarray(data.weights[order], np.float64)),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(24)], np.uint32),
        "f": np.argsort(order)[data.faces].astype(np.uint32),
        "bs_style": "lbs",
        "pose_training_info": {"names": np.array(["a", None], object), "count": np.float64(3)},
    }


def write_pickle(path: Path, content: Any, python2: bool) -> Path:
    stream = io.BytesIO()
    (Python2Pickler(stream, protocol=2) if python2 else pickle.Pickler(stream, protocol=4)).dump(content)
    raw = stream.getvalue()
    if python2:  # names as they were then
        for new, old in (
            (b"numpy._core.multiarray", b"numpy.core.multiarray"),
            (b"scipy.sparse._csc", b"scipy.sparse.csc"),
            (b"cbuiltins\n", b"c__builtin__\n"),
            (b"ccopyreg\n", b"ccopy_reg\n"),
        ):
            raw = raw.replace(new, old)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("python2", [True, False])
def test_a_file_in_smpls_layout_is_read(tmp_path: Path, chumpy: None, python2: bool) -> None:
    source = write_pickle(tmp_path / "SMPL_NEUTRAL.pkl", smpl_content(), python2)
    for module in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        sys.modules.pop(module)
    import_smpl(source, tmp_path / "out.npz")
    theirs, ours = load_body(tmp_path / "out.npz"), load_body()
    assert theirs.name.startswith("smpl-") and len(theirs.p_posedirs) == 207
    torch.manual_seed(0)
    betas, identity = torch.randn(3, 10), torch.eye(3).expand(3, 24, 3, 3)
    a, b = (m.points(betas, identity, torch.zeros(3, 3)) for m in (theirs, ours))
    assert theirs.contact_names == ours.contact_names
    for x, y in ((a.joints, b.joints), (a.contacts, b.contacts), (a.landmarks, b.landmarks)):
        assert (x - y).abs().max() < 1e-5


def test_places_are_found_on_another_mesh(tmp_path: Path, chumpy: None) -> None:
    """On a finer and larger mesh, contact points and landmarks land where ours do."""
    data, scale = read_body(), 1.1
    count = len(data.v_template)
    columns = np.concatenate([data.shapedirs.reshape(count, 30), data.weights], 1)
    vertices, faces, extra = _subdivide(data.v_template * scale, data.faces, columns)
    content = smpl_content() | {
        "v_template": Ch(vertices),
        "shapedirs": Ch(extra[:, :30].reshape(-1, 3, 10)),
        "posedirs": Ch(np.zeros((len(vertices), 3, 207))),
        "J_regressor": csc_matrix(np.pad(data.j_regressor, ((0, 0), (0, len(vertices) - count)))),
        "weights": Ch(extra[:, 30:]),
        "f": faces.astype(np.uint32),
    }
    import_smpl(write_pickle(tmp_path / "fine.pkl", content, python2=True), tmp_path / "fine.npz")
    rest = (torch.zeros(1, 10), torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 3))
    fine, ours = (m.points(*rest) for m in (load_body(tmp_path / "fine.npz"), load_body()))
    names = [*load_body().contact_names, *LANDMARKS]
    apart = (torch.cat([fine.contacts, fine.landmarks], 1) - scale * torch.cat([ours.contacts, ours.landmarks], 1))[0]
    for name, distance in zip(names, apart.norm(dim=-1).tolist(), strict=True):
        large_part = any(part in name for part in ("knee", "shin", "forearm", "seat", "thigh", "hip_side", "chest"))
        assert distance < (0.055 if large_part else 0.02), name  # the coarse mesh has few vertices there


def _subdivide(vertices: np.ndarray, faces: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Every triangle into four; the first vertices stay the old ones."""
    sides = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    edges, inverse = np.unique(sides, axis=0, return_inverse=True)
    middle = (inverse.reshape(-1, 3) + len(vertices)).T
    a, b, c = faces.T
    ab, bc, ca = middle
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    finer = np.concatenate([np.stack(p, 1) for p in parts])
    both = [np.concatenate([x, x[edges].mean(1)]) for x in (vertices, columns)]
    return both[0], finer, both[1]


def test_smpls_own_mesh_uses_the_vertices_that_smplx_knows() -> None:
    from josh_core.body.import_smpl import SMPL_VERTICES, _with_known_vertices
    from josh_core.body.places import Places

    places = Places((), np.zeros(0, int), np.zeros((33, 24)), np.zeros(33, int))
    assert _with_known_vertices(places, SMPL_VERTICES).landmark_vertices[0] == 332  # SMPL's nose
    assert _with_known_vertices(places, 4391).landmark_vertices[0] == 0


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "evil",
    [
        lambda mark: Calls(os.system, f"touch {mark}"),
        lambda mark: Calls(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Calls(exec, f"open({str(mark)!r}, 'w')"),
        lambda mark: Calls(np.load, str(mark)),
        lambda mark: Calls(np.fromfile, str(mark)),
        lambda mark: Calls(np.save, str(mark), [1]),
        lambda mark: Calls(getattr, "", "upper"),
        lambda mark: Calls(io.open, str(mark), "w"),
        lambda mark: Calls(pickle.loads, pickle.dumps(1)),
    ],
)
def test_hostile_pickles_are_refused_without_running(tmp_path: Path, evil: Any) -> None:
    mark = tmp_path / "mark"
    content = {"v_template": evil(mark), "posedirs": 1}
    for python2 in (True, False):
        file = write_pickle(tmp_path / "evil.pkl", content, python2)
        with pytest.raises(JoshError, match="which no SMPL file needs"):
            import_smpl(file, tmp_path / "out.npz")
    assert not mark.exists() and not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch %s'\ntR.",
        b'c__builtin__\neval\n(S\'open("%s", "w")\'\ntR.',
        b"cnumpy.core.multiarray\nfromfile\n(S'%s'\ntR.",
        b"cnumpy\nndarray.tofile\n(S'%s'\ntR.",
        b"ccopy_reg\n_reconstructor\n(cos\nsystem\nS'touch %s'\ntR.",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nset\nS'%s'\nNtR.",
        b"cnumpy\ndtype\n(S'V999999999999'\ntR.",
        b"c__builtin__\nobject\n.",
        b"not a pickle %s",
        b"",
    ],
)
def test_hand_written_programs_are_refused(tmp_path: Path, program: bytes) -> None:
    mark = tmp_path / "mark"
    file = tmp_path / "evil.pkl"
    file.write_bytes(program.replace(b"%s", str(mark).encode()))
    with pytest.raises(WeightsError) as caught:
        import_smpl(file, tmp_path / "out.npz")
    assert not mark.exists() and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x02}r\xff\xff\xff\x0f.",  # object number 2**28
        b"}p300000000\n.",
        b"\x80\x05\x96" + (1 << 31).to_bytes(8, "little") + b".",  # a bytearray of 2 GB that does not come
        b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b".",  # bytes that do not come
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",  # lists within lists
    ],
    ids=["number", "number as text", "bytearray", "bytes", "lists"],
)
def test_a_small_file_cannot_ask_for_much_memory(tmp_path: Path, bomb: bytes) -> None:
    (tmp_path / "bomb.pkl").write_bytes(bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError):
        import_smpl(tmp_path / "bomb.pkl", tmp_path / "out.npz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB, as Linux counts


def test_wrong_contents_are_refused(tmp_path: Path, chumpy: None) -> None:
    """Missing keys, other shapes, other joint order, damaged arrays: one sentence each."""
    good = smpl_content()
    bad = [
        ({k: v for k, v in good.items() if k != "weights"}, "holds no SMPL body"),
        (good | {"weights": np.zeros((5, 55))}, "use SMPL, not SMPL-X"),
        (good | {"kintree_table": np.zeros((2, 24), np.uint32)}, "another order"),
        (good | {"v_template": np.full_like(good["v_template"].x, np.nan)}, "v_template"),
        (good | {"posedirs": np.array([None, "x"], object)}, "damaged"),
        (good | {"f": good["f"] + 5}, "triangles"),
    ]
    for content, message in bad:
        with pytest.raises(WeightsError, match=message):
            import_smpl(write_pickle(tmp_path / "bad.pkl", content, python2=True), tmp_path / "out.npz")
    with pytest.raises(WeightsError, match="missing"):
        import_smpl(tmp_path / "none.pkl", tmp_path / "out.npz")


@pytest.mark.skipif("JOSH_SMPL_PICKLE" not in os.environ, reason="JOSH_SMPL_PICKLE does not name a licensed SMPL file")
def test_the_licensed_file(tmp_path: Path) -> None:
    import_smpl(os.environ["JOSH_SMPL_PICKLE"], tmp_path / "smpl.npz")
    body = load_body(tmp_path / "smpl.npz")
    p = body.points(torch.zeros(1, 10), torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 3))
    point = dict(
        zip([*body.contact_names, *LANDMARKS], torch.cat([p.contacts, p.landmarks], 1)[0].tolist(), strict=True)
    )
    floor = body.rest_vertices(torch.zeros(1, 10))[0, :, 1].min().item()
    for name in ("heel", "sole", "ball_inner", "ball_outer", "big_toe", "small_toe"):
        assert point[f"left_{name}"][1] - floor < 0.03
    assert 1.5 < body.height(torch.zeros(1, 10)).item() < 1.9
    assert point["nose"][2] > point["left_ear"][2] + 0.05


_TWICE = b")" + b"2\x86" * 60  # a tuple of the same tuple twice, sixty times over
BOMBS = {
    "key": b"\x80\x02}" + _TWICE + b"K\x01s.",
    "keys": b"\x80\x02}(" + _TWICE + b"K\x01u.",
    "dict": b"\x80\x02(" + _TWICE + b"K\x01d.",
    "set": b"\x80\x04\x8f(" + _TWICE + b"\x90.",
    "frozen set": b"\x80\x04(" + _TWICE + b"\x91.",
    "set of a class": b"\x80\x02c__builtin__\nset\n](" + _TWICE + b"e\x85R.",
    "ordered": b"\x80\x02ccollections\nOrderedDict\n](" + _TWICE + b"K\x01\x86e\x85R.",
    "deep key": b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s.",
    "deep": b"\x80\x02" + b"]" * 2_000_000 + b"a" * 1_999_999 + b".",
    "memo": b"\x80\x02" + b"".join(b"]r" + (k * 4001).to_bytes(4, "little") for i in range(4) for k in range(250_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_in_a_sentence(tmp_path: Path, name: str) -> None:
    """In a process of its own: one of these ended it, the others never came to an end."""
    pytest.importorskip("resource")
    path = tmp_path / "smpl.pkl"
    path.write_bytes(BOMBS[name])
    code = (
        "import resource, sys; from josh_core.body.unpickle import read_arrays\n"
        "from josh_core.errors import WeightsError\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (30, 30))\n"
        "try: read_arrays(sys.argv[1], ('v_template',))\n"
        "except WeightsError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert said.returncode == 0 and said.stdout.startswith("smpl.pkl ")
