"""What scene files say of themselves, read from their headers: GLB, glTF, PLY, OBJ.

Nothing here decodes a mesh or a picture. Each reader raises :class:`SourceError` in one sentence
for what cannot be a whole scene.
"""

from __future__ import annotations

import json
import posixpath
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote

from mimic.errors import SourceError
from mimic.sources.base import File

_PLY_HEADER_BYTES = 64 << 10
_OBJ_WHOLE_BYTES = 8 << 20
"""Larger OBJ files are looked at from both ends only, and their triangles are not counted."""
_BASIS_EXTENSIONS = {"KHR_texture_basisu", "GOOGLE_texture_basis", "MOZ_HUBS_texture_basis"}
_PLY_BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """Another file that a scene file names, relative to it."""

    kind: Literal["buffer", "texture", "material"]
    name: str


@dataclass(frozen=True, slots=True)
class SceneContent:
    """What a header tells.

    ``triangles`` is an estimate (faces of a PLY may be quads), None where counting would mean
    reading all of a large file.
    """

    triangles: int | None
    references: tuple[Reference, ...] = ()
    extensions: frozenset[str] = frozenset()
    basis: bool = False


def read_header(file: File) -> SceneContent:
    """What a file holds, by its suffix.

    Raises:
        SourceError: ``not_a_scene``, ``truncated``, ``empty``, ``no_faces``, or a file that a
            material library names is needed and missing (``missing_material``).
        StorageError: the file cannot be read.
    """
    readers: dict[str, Callable[[File], SceneContent]] = {
        ".glb": _glb,
        ".gltf": _gltf,
        ".ply": _ply,
        ".obj": _obj,
    }
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix not in readers:
        raise SourceError(
            "not_a_scene", f"{file.name}: is no scene file; scenes are {', '.join(readers)}"
        )
    if file.size == 0:
        raise SourceError("empty", f"{file.name}: the file is empty")
    content = readers[suffix](file)
    if content.triangles == 0:
        raise SourceError("empty", f"{file.name}: holds no triangles")
    return content


def beside(file: File, reference: str) -> File:
    """The file that a relative reference in ``file`` names; its size is not known (-1)."""
    folder = file.uri.rpartition("/")[0]
    name = posixpath.normpath(posixpath.join(posixpath.dirname(file.name), reference))
    return File.at(name, f"{folder}/{reference}", -1)


def _glb(file: File) -> SceneContent:
    head = file.storage.read_range(file.basename, 0, 20)
    if head[:4] != b"glTF":
        raise _no_scene(file, "GLB (it does not begin with glTF)")
    if len(head) < 20:
        raise _truncated(file, "20 bytes of header")
    version, length, json_size, chunk = struct.unpack("<III4s", head[4:])
    if version != 2 or chunk != b"JSON":
        raise _no_scene(file, f"glTF 2.0 (version {version})")
    if max(length, 20 + json_size) > file.size:
        raise _truncated(file, f"{max(length, 20 + json_size)} bytes")
    gltf = _json(file, file.storage.read_range(file.basename, 20, json_size))
    embedded = _listed(gltf, "buffers")
    if embedded and "uri" not in embedded[0]:
        start = 20 + json_size
        chunk_head = file.storage.read_range(file.basename, start, 8)
        size = struct.unpack("<I", chunk_head[:4])[0] if len(chunk_head) == 8 else 0
        if min(size, file.size - start - 8) < int(embedded[0].get("byteLength", 0)):
            raise _truncated(file, f"{embedded[0]['byteLength']} bytes of geometry and pictures")
    return _gltf_content(gltf)


def _gltf(file: File) -> SceneContent:
    return _gltf_content(_json(file, file.storage.read(file.basename)))


def _json(file: File, data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except ValueError:
        raise _no_scene(file, "glTF (its JSON is broken)") from None
    if not isinstance(values, dict) or "asset" not in values:
        raise _no_scene(file, "glTF (its JSON has no asset)")
    return values


def _gltf_content(gltf: dict[str, Any]) -> SceneContent:
    images = _listed(gltf, "images")
    extensions = frozenset(map(str, gltf.get("extensionsUsed") or ()))
    return SceneContent(
        triangles=_gltf_triangles(gltf),
        references=(
            *_uris(_listed(gltf, "buffers"), "buffer"),
            *_uris(images, "texture"),
        ),
        extensions=extensions,
        basis=bool(extensions & _BASIS_EXTENSIONS) or any(map(_is_basis, images)),
    )


def _gltf_triangles(gltf: dict[str, Any]) -> int:
    """Triangles of all meshes, each as often as a node places it."""
    accessors, meshes = _listed(gltf, "accessors"), _listed(gltf, "meshes")

    def of(primitive: dict[str, Any]) -> int:
        index = primitive.get("indices", primitive.get("attributes", {}).get("POSITION"))
        if not isinstance(index, int) or not 0 <= index < len(accessors):
            return 0
        count = int(accessors[index].get("count", 0))
        return {4: count // 3, 5: max(0, count - 2), 6: max(0, count - 2)}.get(
            primitive.get("mode", 4), 0
        )

    sizes = [sum(map(of, _listed(mesh, "primitives"))) for mesh in meshes]
    placed = (node.get("mesh") for node in _listed(gltf, "nodes"))
    return sum(sizes[mesh] for mesh in placed if isinstance(mesh, int) and 0 <= mesh < len(sizes))


def _listed(values: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = values.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _uris(entries: list[dict[str, Any]], kind: Literal["buffer", "texture"]) -> Iterator[Reference]:
    for entry in entries:
        uri = entry.get("uri")
        if isinstance(uri, str) and not uri.startswith("data:"):
            yield Reference(kind, unquote(uri))


def _is_basis(image: dict[str, Any]) -> bool:
    kind = str(image.get("mimeType", ""))
    uri = str(image.get("uri", "")).lower()
    return "ktx2" in kind or "basis" in kind or uri.endswith((".ktx2", ".basis"))


def _ply(file: File) -> SceneContent:
    head = file.storage.read_range(file.basename, 0, _PLY_HEADER_BYTES)
    if not head.startswith(b"ply"):
        raise _no_scene(file, "PLY (it does not begin with ply)")
    end = re.search(rb"(?m)^end_header\r?\n", head)
    if end is None:
        raise _truncated(file, "a whole header")
    lines = [line.split() for line in head[: end.start()].decode("latin-1").splitlines()]
    elements, binary = _ply_elements(file, lines)
    faces = sum(count for name, count, _ in elements if name in ("face", "tristrips"))
    if not faces:
        raise SourceError(
            "no_faces",
            f"{file.name}: holds points but no faces; a scene needs a mesh, not a point cloud",
        )
    needed = end.end() + sum(count * size for _, count, size in elements)
    if file.size < needed - (0 if binary else 1):
        raise _truncated(file, f"{needed} bytes at least")
    textures = (line[2:] for line in lines if line[:2] == ["comment", "TextureFile"])
    return SceneContent(faces, tuple(Reference("texture", " ".join(name)) for name in textures))


def _ply_elements(file: File, lines: list[list[str]]) -> tuple[list[tuple[str, int, int]], bool]:
    """(name, count, bytes at least of one) of each element, and whether the body is binary."""
    elements: list[tuple[str, int, int]] = []
    binary = True
    try:
        for line in lines:
            match line:
                case ["format", form, *_]:
                    binary = form != "ascii"
                case ["element", name, count]:
                    elements.append((name, int(count), 0))
                case ["property", *kinds, _]:
                    name, total, size = elements[-1]
                    size += _ply_size(kinds) if binary else _ply_text_size(kinds)
                    elements[-1] = (name, total, size)
    except (ValueError, KeyError, IndexError):
        raise _no_scene(file, "PLY (its header is broken)") from None
    return elements, binary


def _ply_size(kinds: list[str]) -> int:
    if kinds[0] != "list":
        return _PLY_BYTES[kinds[0]]
    least = (
        3 if kinds[-1] in ("int", "uint", "int32", "uint32") else 0
    )  # texture lists may be empty
    return _PLY_BYTES[kinds[1]] + least * _PLY_BYTES[kinds[2]]


def _ply_text_size(kinds: list[str]) -> int:
    """A digit and a blank for a number; a list has its length, and three if it is a face's."""
    return 8 if kinds[0] == "list" and kinds[-1] in ("int", "uint", "int32", "uint32") else 2


def _obj(file: File) -> SceneContent:
    half = _OBJ_WHOLE_BYTES // 2
    storage, name = file.storage, file.basename
    whole = file.size <= _OBJ_WHOLE_BYTES
    parts = (
        [storage.read(name)]
        if whole
        else [storage.read_range(name, 0, half), storage.read_range(name, file.size - half, half)]
    )
    if b"\0" in parts[0]:
        raise _no_scene(file, "OBJ (it is not text)")
    lines = [line.split() for part in parts for line in part.decode("latin-1").splitlines()]
    triangles = sum(max(0, len(line) - 3) for line in lines if line[:1] == ["f"])
    if not triangles and not any(line[:1] == ["v"] for line in lines):
        raise _no_scene(file, "OBJ (it has neither vertices nor faces)")
    libraries = dict.fromkeys(
        " ".join(line[1:]).replace("\\", "/") for line in lines if line[:1] == ["mtllib"]
    )
    references = [ref for library in libraries for ref in _mtl(file, library)]
    return SceneContent(triangles if whole or not triangles else None, tuple(references))


def _mtl(file: File, library: str) -> Iterator[Reference]:
    """A material library and the colour textures that it names."""
    yield Reference("material", library)
    place = beside(file, library)
    if not place.storage.exists(place.basename):
        return
    folder = posixpath.dirname(library)
    seen = set()
    for line in place.storage.read(place.basename).decode("latin-1").splitlines():
        words = line.split()
        if words[:1] and words[0].lower() == "map_kd" and len(words) > 1:
            texture = _without_options(words[1:]).replace("\\", "/")
            if texture not in seen:
                seen.add(texture)
                yield Reference("texture", posixpath.join(folder, texture))


def _without_options(words: list[str]) -> str:
    """The file name of a texture map: what follows options like ``-s 1 1 1`` or ``-clamp on``."""
    at = 0
    while at < len(words) - 1 and words[at].startswith("-"):
        at += 1
        while at < len(words) - 1 and re.fullmatch(r"on|off|[rgbmlz]|-?[\d.]+", words[at]):
            at += 1
    return " ".join(words[at:])


def _no_scene(file: File, what: str) -> SourceError:
    return SourceError("not_a_scene", f"{file.name}: is not {what}; export the scene anew")


def _truncated(file: File, needed: str) -> SourceError:
    return SourceError(
        "truncated",
        f"{file.name}: is truncated ({file.size} bytes, but {needed} are announced); copy it anew",
    )
