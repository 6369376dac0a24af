"""A small glTF 2.0 binary writer: arrays in, one .glb out. It knows nothing about people or scenes."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS, LINES, LINE_STRIP, TRIANGLES = 0, 1, 3, 4  # primitive modes of the glTF 2.0 specification, as all below
VERTEX_DATA, INDEX_DATA = 34962, 34963  # bufferView targets

_COMPONENT = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
_SHAPE = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_MAGIC, _JSON_CHUNK, _BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942


class GltfWriter:
    """Collects accessors, meshes and nodes; `to_bytes()` is the finished file. All channels go into one animation."""

    def __init__(self, generator: str, extras: dict[str, Any]) -> None:
        self._blob = bytearray()
        self._channels: list[dict[str, Any]] = []
        self._samplers: list[dict[str, Any]] = []
        self._extensions: set[str] = set()
        self._json: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": generator, "extras": extras},
            "scene": 0,
            "scenes": [{"nodes": []}],
        }

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to one of glTF's top-level lists ("meshes", "skins", "cameras", ...); returns its index."""
        items = self._json.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def accessor(self, array: NDArray[Any], target: int | None = None, normalized: bool = False) -> int:
        """Store an array [N], [N,2..4] or [N,4,4] (matrices given row-major); returns the accessor's index."""
        if array.shape[1:] == (4, 4):
            array = array.swapaxes(1, 2)  # glTF stores matrices column-major
        array = np.ascontiguousarray(array)
        kind = array.dtype.str[1:]
        if len(array) == 0 or not np.isfinite(array).all():
            raise ValueError("a glTF accessor needs at least one element and finite values")
        self._blob += b"\0" * (-len(self._blob) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._blob), "byteLength": array.nbytes}
        if target is not None:
            view["target"] = target
        item: dict[str, Any] = {
            "bufferView": self.add("bufferViews", view),
            "componentType": _COMPONENT[kind],
            "count": len(array),
            "type": _SHAPE[array.shape[1:]],
        }
        if normalized:
            item["normalized"] = True
        if kind == "f4" and array.ndim <= 2:  # bounds are required for positions and key times, harmless elsewhere
            flat = array.reshape(len(array), -1)
            item["min"], item["max"] = flat.min(0).tolist(), flat.max(0).tolist()
        self._blob += array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        return self.add("accessors", item)

    def texture(self, jpeg: bytes) -> int:
        """Store a JPEG as a texture that is clamped at its edges; returns its index."""
        self._blob += b"\0" * (-len(self._blob) % 4)
        view = {"buffer": 0, "byteOffset": len(self._blob), "byteLength": len(jpeg)}
        self._blob += jpeg
        image = self.add("images", {"bufferView": self.add("bufferViews", view), "mimeType": "image/jpeg"})
        clamped = {"wrapS": 33071, "wrapT": 33071, "magFilter": 9729, "minFilter": 9987}
        return self.add("textures", {"source": image, "sampler": self.add("samplers", clamped)})

    def material(self, name: str, color: NDArray[Any], unlit: bool = False, texture: int | None = None) -> int:
        """A material of linear colour [3]; unlit: without shading; textured ones are double-sided."""
        pbr: dict[str, Any] = {"baseColorFactor": [*map(float, color), 1.0], "metallicFactor": 0.0}
        pbr["roughnessFactor"] = 0.7
        item: dict[str, Any] = {"name": name, "pbrMetallicRoughness": pbr}
        if texture is not None:
            pbr["baseColorTexture"] = {"index": texture}
            item["doubleSided"] = True
        if unlit:
            self._extensions.add("KHR_materials_unlit")
            item["extensions"] = {"KHR_materials_unlit": {}}
        return self.add("materials", item)

    def mesh(self, name: str, mode: int, attributes: dict[str, int], material: int, indices: int | None = None) -> int:
        """A mesh of one primitive."""
        primitive: dict[str, Any] = {"mode": mode, "attributes": attributes, "material": material}
        if indices is not None:
            primitive["indices"] = indices
        return self.add("meshes", {"name": name, "primitives": [primitive]})

    def node(self, name: str, parent: int | None = None, **fields: Any) -> int:
        """A node under `parent`, or at the top of the scene."""
        index = self.add("nodes", {"name": name, **fields})
        siblings = self._json["scenes"][0] if parent is None else self._json["nodes"][parent]
        siblings.setdefault("nodes" if parent is None else "children", []).append(index)
        return index

    def animate(self, node: int, path: str, times: int, values: int, step: bool = False) -> None:
        """Animate "translation", "rotation" or "scale" of a node with accessors of key times [s] and values."""
        self._samplers.append({"input": times, "output": values, "interpolation": "STEP" if step else "LINEAR"})
        self._channels.append({"sampler": len(self._samplers) - 1, "target": {"node": node, "path": path}})

    def to_bytes(self) -> bytes:
        """The .glb file: header, JSON chunk, binary chunk."""
        document = dict(self._json, buffers=[{"byteLength": len(self._blob)}])
        if self._channels:
            animation = {"name": "take", "channels": self._channels, "samplers": self._samplers}
            document["animations"] = [animation]
        if self._extensions:
            document["extensionsUsed"] = sorted(self._extensions)
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        blob = bytes(self._blob) + b"\0" * (-len(self._blob) % 4)
        total = 12 + 8 + len(text) + 8 + len(blob)
        header = struct.pack("<III", _MAGIC, 2, total)
        return b"".join(
            [header, struct.pack("<II", len(text), _JSON_CHUNK), text, struct.pack("<II", len(blob), _BIN_CHUNK), blob]
        )
