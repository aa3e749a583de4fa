"""Small scenes written by hand, with every option of the formats within reach."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimic import opencv
from mimic.simulators.base import Camera
from mimic.simulators.raycast.materials import Material, Picture
from mimic.simulators.raycast.scene_mesh import SceneMesh

QUAD = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float64)
QUAD_UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float64)
QUAD_FACES = np.array([[0, 1, 2], [0, 2, 3]])

_COMPONENTS = {"float32": 5126, "uint8": 5121, "uint16": 5123, "uint32": 5125, "int16": 5122}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


@dataclass(frozen=True)
class Primitive:
    """Arrays of one primitive; attributes by their glTF name."""

    attributes: dict[str, NDArray[Any]]
    faces: NDArray[Any] | None = None
    material: int | None = None
    mode: int | None = None


def quad(
    uv: NDArray[np.float64] = QUAD_UV,
    *,
    material: int | None = 0,
    z: float = 0.0,
    size: float = 1.0,
    **attributes: NDArray[Any],
) -> Primitive:
    """A square of side 2 * size in the plane z, seen from +z; ``uv`` of its four corners."""
    named = {"POSITION": (QUAD * size + [0, 0, z]).astype(np.float32)}
    named["TEXCOORD_0"] = uv.astype(np.float32)
    return Primitive({**named, **attributes}, QUAD_FACES, material)


def write_gltf(
    path: Path,
    primitives: list[Primitive],
    *,
    pictures: tuple[NDArray[np.uint8], ...] = (),
    **tree: Any,
) -> Path:
    """Write ``.glb``, or ``.gltf`` with ``scene.bin`` and ``picture<i>.png`` beside it.

    Each picture becomes an image and a texture; ``tree`` overrides whole keys of the JSON.
    """
    binary, views, accessors = bytearray(), [], []

    def view(data: bytes) -> int:
        binary.extend(b"\0" * (-len(binary) % 4))
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        binary.extend(data)
        return len(views) - 1

    def accessor(values: NDArray[Any], normalized: bool) -> int:
        values = np.ascontiguousarray(values)
        columns = 1 if values.ndim == 1 else values.shape[1]
        entry = {
            "bufferView": view(values.tobytes()),
            "componentType": _COMPONENTS[values.dtype.name],
            "count": len(values),
            "type": _TYPES[columns],
        }
        accessors.append(entry | ({"normalized": True} if normalized else {}))
        return len(accessors) - 1

    written = []
    for primitive in primitives:
        entry: dict[str, Any] = {
            "attributes": {
                name: accessor(values, values.dtype.kind in "iu")
                for name, values in primitive.attributes.items()
            }
        }
        if primitive.faces is not None:
            entry["indices"] = accessor(primitive.faces.astype(np.uint16).ravel(), False)
        entry |= {} if primitive.material is None else {"material": primitive.material}
        entry |= {} if primitive.mode is None else {"mode": primitive.mode}
        written.append(entry)
    images = []
    for index, picture in enumerate(pictures):
        data = opencv.encode_png(picture) if picture.shape[2] == 3 else _rgba_png(picture)
        if path.suffix == ".glb":
            images.append({"bufferView": view(data), "mimeType": "image/png"})
        else:
            (path.parent / f"picture{index}.png").write_bytes(data)
            images.append({"uri": f"picture{index}.png"})
    document: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "meshes": [{"primitives": written}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
        "images": images,
        "textures": [{"source": index} for index in range(len(images))],
        "materials": [
            {"pbrMetallicRoughness": {"baseColorTexture": {"index": index}}}
            for index in range(len(images))
        ],
    } | tree
    if path.suffix == ".gltf":
        document["buffers"][0]["uri"] = "scene.bin"
        (path.parent / "scene.bin").write_bytes(binary)
        path.write_text(json.dumps(document))
        return path
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary.extend(b"\0" * (-len(binary) % 4))
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(binary), 0x004E4942) + bytes(binary)
    path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks)
    return path


def _rgba_png(picture: NDArray[np.uint8]) -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


def noise(size: tuple[int, int], seed: int = 0, *, cell: int = 1) -> NDArray[np.uint8]:
    """A picture (h, w, 3) of random squares of ``cell`` texels."""
    width, height = size
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // cell), -(-width // cell), 3), dtype=np.uint8)
    return coarse.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]


def mesh_of(
    triangles: NDArray[Any],
    uv: NDArray[Any] | None = None,
    picture: NDArray[np.uint8] | None = None,
) -> SceneMesh:
    """A mesh of one material, without a file."""
    faces = np.asarray(triangles, np.float32)
    rgba = None
    if picture is not None:
        rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    return SceneMesh(
        triangles=faces,
        material=np.zeros(len(faces), np.int32),
        uv=np.zeros((len(faces), 3, 2), np.float32) if uv is None else np.asarray(uv, np.float32),
        colours=None,
        materials=(Material(None if rgba is None else Picture(rgba)),),
        textured=picture is not None,
    )


def quad_mesh(picture: NDArray[np.uint8], corners: NDArray[Any] = QUAD) -> SceneMesh:
    """A quadrilateral with a picture on it."""
    return mesh_of(corners[QUAD_FACES], QUAD_UV[QUAD_FACES], picture)


def looking(eye: Any, target: Any, up: Any = (0, 1, 0)) -> NDArray[np.float64]:
    """Camera-to-world (4, 4), OpenCV axes, of a camera at ``eye`` that looks at ``target``."""
    eye, target = np.asarray(eye, np.float64), np.asarray(target, np.float64)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def facing(pixels: int, half_side: float = 1.0) -> tuple[Camera, NDArray[np.float64]]:
    """A camera one metre in front of the quad that it fills exactly."""
    intrinsics = np.array(
        [
            [pixels / 2 / half_side, 0, pixels / 2],
            [0, pixels / 2 / half_side, pixels / 2],
            [0, 0, 1],
        ]
    )
    return Camera((pixels, pixels), intrinsics), looking((0, 0, 1), (0, 0, 0))


def shifted(camera: Camera, dx: float, dy: float) -> Camera:
    """The camera with its picture moved by (dx, dy) pixels."""
    intrinsics = camera.intrinsics.copy()
    intrinsics[:2, 2] += dx, dy
    return Camera(camera.size, intrinsics)


def rays(camera: Camera, cam_to_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """World directions (h, w, 3) of the pixel centres, of unit camera z."""
    width, height = camera.size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1)
    return np.asarray(pixels @ np.linalg.inv(camera.intrinsics).T @ cam_to_world[:3, :3].T)
