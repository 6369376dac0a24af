"""Reads back what josh_core/export/scene3d/gltf.py writes."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from josh_core.export.scene3d import gltf


def read_glb(data: bytes) -> tuple[dict[str, Any], bytes]:
    """JSON document and binary chunk of a .glb. Raises ValueError when it is not one."""
    if len(data) < 20 or struct.unpack("<II", data[:8]) != (gltf._MAGIC, 2):
        raise ValueError("not a glTF 2.0 binary file")
    size = struct.unpack("<I", data[12:16])[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def read_accessor(document: dict[str, Any], blob: bytes, index: int) -> NDArray[Any]:
    """Array of an accessor as stored by GltfWriter (matrices row-major, normalised integers as floats)."""
    item = document["accessors"][index]
    kind = next(k for k, v in gltf._COMPONENT.items() if v == item["componentType"])
    shape = next(k for k, v in gltf._SHAPE.items() if v == item["type"])
    start = document["bufferViews"][item["bufferView"]]["byteOffset"]
    count = item["count"] * int(np.prod(shape, dtype=int))
    array = np.frombuffer(blob, np.dtype("<" + kind), count, start).reshape(item["count"], *shape)
    if item.get("normalized"):
        return np.maximum(array / float(np.iinfo(array.dtype).max), -1.0)
    return array.swapaxes(1, 2) if shape == (4, 4) else array
