"""Writes pictures on rectangles as one ``.glb`` file (glTF 2.0, Khronos)."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOAT, _UINT16, _CLAMP_TO_EDGE = 5126, 5123, 33071
_UV = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], "<f4")
_WINDINGS = np.array([[0, 1, 2, 0, 2, 3], [0, 2, 1, 0, 3, 2]], "<u2")


@dataclass(frozen=True, slots=True, eq=False)
class Quad:
    """A flat picture in space, seen from one side.

    ``corners`` (4, 3) metres, +y up: where the picture's top left, top right, bottom right and
    bottom left lie. ``facing`` (3,): towards those who see it. ``jpeg``: the encoded picture.
    """

    corners: NDArray[np.float64]
    facing: NDArray[np.float64]
    jpeg: bytes


def glb_of(quads: Sequence[Quad]) -> bytes:
    """The file's bytes, which follow from the quads: a mesh of one primitive a quad, unlit."""
    tree: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "mimic"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": []}],
        "samplers": [{"wrapS": _CLAMP_TO_EDGE, "wrapT": _CLAMP_TO_EDGE}],
        **{name: [] for name in ("accessors", "bufferViews", "images", "textures", "materials")},
    }
    binary = bytearray()
    uv = _accessor(tree, binary, _UV)
    windings = [_accessor(tree, binary, winding) for winding in _WINDINGS]
    for number, quad in enumerate(quads):
        position = _accessor(tree, binary, quad.corners.astype("<f4"))
        _add_material(tree, _view(tree, binary, quad.jpeg))
        primitive = {
            "attributes": {"POSITION": position, "TEXCOORD_0": uv},
            "indices": windings[_is_seen_from_behind(quad)],
            "material": number,
        }
        tree["meshes"][0]["primitives"].append(primitive)
    tree["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(tree, separators=(",", ":")).encode()
    chunks = _chunk(b"JSON", text, b" ") + _chunk(b"BIN\0", bytes(binary), b"\0")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _is_seen_from_behind(quad: Quad) -> bool:
    """Whether the first winding turns clockwise as seen from the front."""
    right, down = quad.corners[1] - quad.corners[0], quad.corners[3] - quad.corners[0]
    return bool(np.cross(right, down) @ quad.facing < 0)


def _view(tree: dict[str, Any], binary: bytearray, data: bytes) -> int:
    """Append bytes at a multiple of four; their buffer view."""
    binary.extend(b"\0" * (-len(binary) % 4))
    views: list[dict[str, int]] = tree["bufferViews"]
    views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
    binary.extend(data)
    return len(views) - 1


def _accessor(tree: dict[str, Any], binary: bytearray, values: NDArray[Any]) -> int:
    """Append numbers (n,) or vectors (n, columns); their accessor."""
    accessor = {
        "bufferView": _view(tree, binary, values.tobytes()),
        "componentType": _FLOAT if values.dtype.kind == "f" else _UINT16,
        "count": len(values),
        "type": "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}",
    }
    if values.ndim > 1:  # required of positions
        accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
    tree["accessors"].append(accessor)
    return len(tree["accessors"]) - 1


def _add_material(tree: dict[str, Any], view: int) -> None:
    """A material that shows the JPEG in a buffer view as it is."""
    number = len(tree["materials"])
    tree["images"].append({"bufferView": view, "mimeType": "image/jpeg"})
    tree["textures"].append({"sampler": 0, "source": number})
    surface = {"baseColorTexture": {"index": number}, "metallicFactor": 0}
    unlit: dict[str, Any] = {"KHR_materials_unlit": {}}
    tree["materials"].append({"pbrMetallicRoughness": surface, "extensions": unlit})


def _chunk(kind: bytes, data: bytes, filler: bytes) -> bytes:
    data += filler * (-len(data) % 4)
    return struct.pack("<I4s", len(data), kind) + data
