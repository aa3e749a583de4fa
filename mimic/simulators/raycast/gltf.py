"""Reads glTF 2.0 (``.gltf`` and ``.glb``): geometry, materials, samplers.

Written here because general mesh libraries drop what the picture needs: samplers (wrap modes), the
second set of texture coordinates, texture transforms, normalised integers, and which file is
missing. Source: the glTF 2.0 specification, Khronos. Lighting, skins and animation are not read.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from mimic.errors import SourceError
from mimic.simulators.raycast.gltf_materials import NEEDS_HABITAT, Look, looks_of
from mimic.simulators.raycast.materials import Material, to_srgb
from mimic.simulators.raycast.pieces import Piece

Tree = dict[str, Any]

_GLB_MAGIC, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_UNREADABLE_GEOMETRY = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshopt",
    "KHR_meshopt_compression": "meshopt",
}


def read(path: Path) -> tuple[list[Piece], tuple[Material, ...]]:
    """All triangles of the file's scene and its materials.

    Raises:
        SourceError: as :func:`mimic.simulators.raycast.scene_mesh.load_scene`; damage that is not
            foreseen raises what it raises.
    """
    document = _Document.open(path)
    looks = looks_of(document.tree, document.picture_bytes, str(path))
    pieces = [
        piece
        for mesh, to_world in _placed_meshes(document.tree)
        for primitive in document.tree["meshes"][mesh]["primitives"]
        if (piece := document.piece(primitive, to_world, looks)) is not None
    ]
    return pieces, tuple(look.material for look in looks)


def _placed_meshes(tree: Tree) -> list[tuple[int, NDArray[np.float64]]]:
    """(mesh, (4, 4) matrix) of every node of the scene that has a mesh."""
    nodes = tree.get("nodes", [])
    children = {child for node in nodes for child in node.get("children", [])}
    roots = [index for index in range(len(nodes)) if index not in children]
    if tree.get("scenes"):
        roots = tree["scenes"][tree.get("scene", 0)].get("nodes", [])
    placed = []
    waiting = [(root, np.eye(4), 0) for root in reversed(roots)]
    while waiting:
        index, parent, depth = waiting.pop()
        if depth > len(nodes):
            raise ValueError("the scene graph goes round in a circle")
        node = nodes[index]
        to_world = parent @ _matrix(node)
        if "mesh" in node:
            placed.append((node["mesh"], to_world))
        waiting += [(child, to_world, depth + 1) for child in reversed(node.get("children", []))]
    return placed


def _matrix(node: Tree) -> NDArray[np.float64]:
    """A node's (4, 4) transform: its matrix, or translation x rotation x scale."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] = np.array(turn) * np.array(node.get("scale", (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix


@dataclass(frozen=True, slots=True, eq=False)
class _Document:
    """The JSON tree and the bytes that it points into."""

    path: Path
    tree: Tree
    buffers: tuple[bytes, ...]

    @classmethod
    def open(cls, path: Path) -> _Document:
        data = path.read_bytes()
        tree, binary = _chunks(path, data) if path.suffix.lower() == ".glb" else (_json(data), b"")
        if not str(tree["asset"]["version"]).startswith("2"):
            raise ValueError(f"glTF {tree['asset']['version']}, and 2.0 is what is read")
        _refuse_compressed(path, tree)
        buffers = tuple(
            _uri_bytes(path, buffer["uri"], "unreadable", "buffer") if "uri" in buffer else binary
            for buffer in tree.get("buffers", [])
        )
        return cls(path, tree, buffers)

    def view(self, index: int) -> tuple[bytes, int, int, int]:
        """A buffer view: its buffer, offset, length and stride (0: packed)."""
        view = self.tree["bufferViews"][index]
        start, length = view.get("byteOffset", 0), view["byteLength"]
        buffer = self.buffers[view["buffer"]]
        if start + length > len(buffer):
            raise ValueError("a buffer ends early")
        return buffer, start, length, view.get("byteStride", 0)

    def picture_bytes(self, index: int) -> tuple[bytes, str]:
        """The encoded bytes of an image, and its name for people."""
        image = self.tree["images"][index]
        if "uri" in image:
            uri = image["uri"]
            name = f"{index}" if uri.startswith("data:") else unquote(uri)
            return _uri_bytes(self.path, uri, "missing_texture", "texture"), name
        buffer, start, length, _ = self.view(image["bufferView"])
        return buffer[start : start + length], image.get("name") or f"{index}"

    def accessor(self, index: int) -> NDArray[Any]:
        """The values (n, columns); normalised integers as floats."""
        accessor = self.tree["accessors"][index]
        dtype = np.dtype(_DTYPES[accessor["componentType"]])
        count, columns = accessor["count"], _COLUMNS[accessor["type"]]
        if "sparse" in accessor:
            raise ValueError("a sparse accessor; export the scene without sparse accessors")
        if "bufferView" not in accessor:
            return np.zeros((count, columns), dtype)
        buffer, start, length, stride = self.view(accessor["bufferView"])
        first, row = accessor.get("byteOffset", 0), columns * dtype.itemsize
        stride = stride or row
        if count and first + (count - 1) * stride + row > length:
            raise ValueError("an accessor reads past its buffer view")
        values: NDArray[Any] = np.ndarray(
            (count, columns), dtype, buffer, start + first, (stride, dtype.itemsize)
        )
        if accessor.get("normalized"):
            return np.maximum(values / np.iinfo(dtype).max, -1.0)
        return values

    def piece(
        self, primitive: Tree, to_world: NDArray[np.float64], looks: list[Look]
    ) -> Piece | None:
        """The triangles of a primitive; None where it is points or lines."""
        attributes = primitive["attributes"]
        mode = primitive.get("mode", _TRIANGLES)
        if mode not in (_TRIANGLES, _STRIP, _FAN) or "POSITION" not in attributes:
            return None
        position = self.accessor(attributes["POSITION"]).astype(np.float64)
        indices = np.arange(len(position))
        if "indices" in primitive:
            indices = self.accessor(primitive["indices"])[:, 0].astype(np.int64)
        if len(indices) and indices.max() >= len(position):
            raise ValueError("a face names a vertex that is not there")
        faces = _faces(indices, mode)
        world = position @ to_world[:3, :3].T + to_world[:3, 3]
        number = primitive.get("material", len(looks) - 1)
        look, uv, colours = looks[number], None, None
        if (texcoord := f"TEXCOORD_{look.texcoord}") in attributes:
            uv = look.moved(self.accessor(attributes[texcoord]).astype(np.float64))[faces]
        if "COLOR_0" in attributes:
            linear = self.accessor(attributes["COLOR_0"])[:, :3]
            if linear.dtype.kind == "u":  # written without the flag that the format asks for
                linear = linear / np.iinfo(linear.dtype).max
            colours = np.rint(to_srgb(linear) * 255).astype(np.uint8)[faces]
        return Piece(world[faces], number, uv, colours)


def _faces(indices: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """Vertex numbers (F, 3) of triangles, of a strip or of a fan."""
    if mode == _TRIANGLES:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    if mode == _FAN:
        first = np.broadcast_to(indices[:1], indices[2:].shape)
        return np.stack([first, indices[1:-1], indices[2:]], axis=1)
    return np.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)


def _chunks(path: Path, data: bytes) -> tuple[Tree, bytes]:
    """The JSON and the binary chunk of a GLB file."""
    magic, version, length = struct.unpack_from("<III", data)
    if magic != _GLB_MAGIC or version != 2:
        raise ValueError("not a GLB file of version 2")
    if length > len(data):
        raise SourceError(
            "unreadable",
            f"{path}: the file ends early ({len(data)} of {length} bytes); copy it again",
        )
    chunks: dict[int, bytes] = {}
    position = 12
    while position + 8 <= length:
        size, kind = struct.unpack_from("<II", data, position)
        chunks.setdefault(kind, data[position + 8 : position + 8 + size])
        position += 8 + size
    return _json(chunks[_JSON_CHUNK]), chunks.get(_BINARY_CHUNK, b"")


def _json(data: bytes) -> Tree:
    tree = json.loads(data.decode("utf-8-sig"))
    if not isinstance(tree, dict):
        raise TypeError("the JSON is no glTF document")
    return tree


def _refuse_compressed(path: Path, tree: Tree) -> None:
    primitives = [p for mesh in tree.get("meshes", []) for p in mesh["primitives"]]
    holders = [*primitives, *tree.get("bufferViews", [])]
    named = {name for holder in holders for name in holder.get("extensions", {})}
    for extension in sorted(named & _UNREADABLE_GEOMETRY.keys()):
        what = _UNREADABLE_GEOMETRY[extension]
        raise SourceError(
            "compressed", f"{path}: its geometry is {what}-compressed; {NEEDS_HABITAT}"
        )


def _uri_bytes(path: Path, uri: str, reason: str, what: str) -> bytes:
    """What a URI holds: data in it, or a file beside the scene's."""
    if uri.startswith("data:"):
        head, _, body = uri.partition(",")
        return base64.b64decode(body) if head.endswith(";base64") else unquote_to_bytes(body)
    file = path.parent / unquote(uri)
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError(
            reason,
            f"{path}: its {what} file {file} cannot be read; put it where the scene names it",
        ) from error
