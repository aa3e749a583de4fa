"""Reads PLY and OBJ: geometry by trimesh, pictures here, so that a missing one has a name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimic.errors import SourceError
from mimic.simulators.raycast.materials import Factor, Material, Picture, decoded, to_linear
from mimic.simulators.raycast.pieces import Piece

_HEADER_BYTES = 65536
_MAP_OPTION = re.compile(
    r"-(?:blendu|blendv|cc|clamp|imfchan|boost|texres|bm|mm\s+\S+|[ost](?:\s+-?[\d.e+-]+){0,2})"
    r"\s+\S+\s+",
    re.IGNORECASE,
)


def read_ply(path: Path) -> tuple[list[Piece], tuple[Material, ...]]:
    """The triangles of a PLY file with vertex colours, or a texture named in its header."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES).partition(b"end_header")[0]
    named = re.search(rb"^comment\s+TextureFile\s+(.+?)\s*$", header, re.IGNORECASE | re.MULTILINE)
    picture = None if named is None else _picture(path, path, named[1].decode())
    pieces = [_piece(mesh, 0) for mesh in _meshes(path)]
    return pieces, (Material(picture),)


def read_obj(path: Path) -> tuple[list[Piece], tuple[Material, ...]]:
    """The triangles of an OBJ file and the materials of its MTL files."""
    text = path.read_text(encoding="utf-8", errors="replace")
    by_name: dict[str, Material] = {}
    for line in re.findall(r"^\s*mtllib\s+(.+?)\s*$", text, re.MULTILINE):
        by_name.update(_mtl(path, line))
    order = {name: index for index, name in enumerate(by_name)}
    pieces = [_piece(mesh, order.get(_material_name(mesh), len(order))) for mesh in _meshes(path)]
    return pieces, (*by_name.values(), Material())


def _meshes(path: Path) -> Iterator[Any]:
    """The meshes that trimesh finds in a file, its scene graph applied."""
    import trimesh

    scene = trimesh.load_scene(path, process=False, group_material=True)
    for node in scene.graph.nodes_geometry:
        to_world, name = scene.graph[node]
        mesh = scene.geometry[name]
        if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces):
            yield mesh.copy().apply_transform(to_world)


def _material_name(mesh: Any) -> str:
    return str(getattr(getattr(mesh.visual, "material", None), "name", ""))


def _piece(mesh: Any, material: int) -> Piece:
    faces = np.asarray(mesh.faces)
    uv = getattr(mesh.visual, "uv", None)
    coordinates = None
    if uv is not None and len(uv) == len(mesh.vertices):
        coordinates = np.asarray(uv, np.float64)[faces][..., :2] * [1, -1] + [0, 1]
    return Piece(np.asarray(mesh.vertices)[faces], material, coordinates, _corner_colours(mesh))


def _corner_colours(mesh: Any) -> NDArray[np.uint8] | None:
    kind = mesh.visual.kind
    if kind == "face":
        return np.repeat(np.asarray(mesh.visual.face_colors)[:, None, :3], 3, axis=1)
    if kind == "vertex":
        of_corners: NDArray[np.uint8] = mesh.visual.vertex_colors[mesh.faces][..., :3]
        return np.asarray(of_corners)
    return None


def _mtl(path: Path, name: str) -> dict[str, Material]:
    """Materials by name. Kd is a colour only where there is no picture, as exporters mean it."""
    file = path.parent / name
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        message = (
            f"{path}: its material file {file} cannot be read; put it where the scene names it"
        )
        raise SourceError("missing_texture", message) from error
    colours: dict[str, Factor] = {}
    pictures: dict[str, Picture] = {}
    current = ""
    for line in lines:
        key, _, value = line.strip().partition(" ")
        if key == "newmtl":
            current = value.strip()
            colours[current] = (1.0, 1.0, 1.0, 1.0)
        elif key == "Kd":
            red, green, blue = to_linear(np.array(value.split()[:3], np.float64)).tolist()
            colours[current] = (red, green, blue, 1.0)
        elif key.lower() == "map_kd":
            pictures[current] = _picture(path, file, value.strip())
    return {
        name: Material(pictures[name]) if name in pictures else Material(None, colour)
        for name, colour in colours.items()
    }


def _picture(scene: Path, beside: Path, value: str) -> Picture:
    """The picture that a line names, after its options."""
    clamp = re.search(r"-clamp\s+on\b", value, re.IGNORECASE) is not None
    name = value
    while (option := _MAP_OPTION.match(name)) is not None:
        name = name[option.end() :]
    file = beside.parent / name.strip().replace("\\", "/")
    try:
        data = file.read_bytes()
    except OSError as error:
        message = (
            f"{scene}: its texture file {file} cannot be read; put it where the scene names it"
        )
        raise SourceError("missing_texture", message) from error
    wrap: Any = ("clamp", "clamp") if clamp else ("repeat", "repeat")
    return Picture(decoded(data, name, str(scene)), wrap)
