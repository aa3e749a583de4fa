"""The demo room: axis-aligned boxes in an axis-aligned room, each face with its own texture.

World: metres, +y up, the floor at y = 0. Everything follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.demo.textures import PAINTERS, Texture
from mimic.ids import generator_of

TEXELS_PER_M = 192.0
LEVELS = 7
FACE_AXES = ((2, 1), (0, 2), (0, 1))
"""Axes along a texture's columns and rows, by the axis of the face's normal."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box, ``low`` and ``high`` corners in metres; ``paint`` a painter a face.

    Faces are ordered low x, high x, low y, high y, low z, high z; one word paints all.
    """

    name: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    paint: tuple[str, ...]

    def face_paint(self, face: int) -> str:
        """The painter of one of the six faces."""
        return self.paint[face if len(self.paint) == 6 else 0]


@dataclass(frozen=True, slots=True)
class Atlas:
    """All mip levels of all faces in one table, so that a frame is shaded in a few gathers.

    ``texels``: (T,) uint32 holding RGBX bytes. ``offset``, ``width``, ``height``: (faces, levels).
    """

    texels: NDArray[np.uint32]
    offset: NDArray[np.int32]
    width: NDArray[np.int32]
    height: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Scene:
    """Box 0 is the room, seen from inside; the others are seen from outside.

    ``low``, ``high``: (boxes, 3) corners in metres. Face f of box b has the index ``6 b + f``.
    """

    boxes: tuple[Box, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    atlas: Atlas


def furnished_room(seed: int = 0) -> Scene:
    """An 8 x 6 x 2.8 m living room; the seed changes its paint, never its shape."""
    return build_scene(_ROOM, seed)


def build_scene(boxes: tuple[Box, ...], seed: int) -> Scene:
    """Paint the faces of ``boxes`` (box 0 is the room) and make their mip levels."""
    low = np.array([box.low for box in boxes])
    high = np.array([box.high for box in boxes])
    faces = [_paint(box, face, seed) for box in boxes for face in range(6)]
    return Scene(boxes, low, high, _atlas(faces))


def _paint(box: Box, face: int, seed: int) -> Texture:
    columns, rows = FACE_AXES[face // 2]
    extent = np.subtract(box.high, box.low)
    width = max(1, round(extent[columns] * TEXELS_PER_M))
    height = max(1, round(extent[rows] * TEXELS_PER_M))
    rng = generator_of(f"demo room {seed}", box.name, face)
    light = (0.93, 0.85, 0.7, 1.0, 0.8, 0.97)[face]
    return np.clip(PAINTERS[box.face_paint(face)](width, height, rng) * light, 0, 255)


def _atlas(faces: list[Texture]) -> Atlas:
    shape = (len(faces), LEVELS)
    offset, width, height = (np.zeros(shape, np.int32) for _ in range(3))
    pieces: list[NDArray[np.uint32]] = []
    total = 0
    for face, texture in enumerate(faces):
        level_texture = texture
        for level in range(LEVELS):
            rows, columns = level_texture.shape[:2]
            offset[face, level], width[face, level], height[face, level] = total, columns, rows
            pieces.append(_packed(level_texture))
            total += rows * columns
            level_texture = _halved(level_texture)
    return Atlas(np.concatenate(pieces), offset, width, height)


def _packed(texture: Texture) -> NDArray[np.uint32]:
    rgbx = np.zeros((*texture.shape[:2], 4), np.uint8)
    rgbx[:, :, :3] = np.rint(texture)
    return rgbx.reshape(-1, 4).view(np.uint32)[:, 0]


def _halved(texture: Texture) -> Texture:
    """Half the size by averaging 2 x 2; an odd edge is repeated."""
    rows, columns = texture.shape[:2]
    even = np.pad(texture, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")
    return (even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]) / 4


def _picture(name: str, wall: str, left: float, bottom: float, width: float, height: float) -> Box:
    """A framed picture, 3 cm thick, on a wall (``x0``, ``x1``, ``z0`` or ``z1``)."""
    axis, far = wall[0], wall[1] == "1"
    size = _ROOM_SIZE[0] if axis == "x" else _ROOM_SIZE[2]
    depth = (size - 0.03, size) if far else (0.0, 0.03)
    along, up = (left, left + width), (bottom, bottom + height)
    x, z = (depth, along) if axis == "x" else (along, depth)
    return Box(name, (x[0], up[0], z[0]), (x[1], up[1], z[1]), ("collage",))


def _solid(name: str, low: tuple[float, float, float], high: tuple[float, float, float]) -> Box:
    return Box(name, low, high, ("wood",))


_ROOM_SIZE = (8.0, 2.8, 6.0)
_ROOM: tuple[Box, ...] = (
    Box(
        "room",
        (0.0, 0.0, 0.0),
        _ROOM_SIZE,
        ("bricks", "plaster", "planks", "panels", "plaster", "plaster"),
    ),
    Box("rug", (2.6, 0.0, 1.7), (5.6, 0.02, 4.1), ("collage",)),
    _solid("table top", (3.4, 0.68, 2.4), (4.8, 0.74, 3.3)),
    _solid("table leg 1", (3.45, 0.0, 2.45), (3.53, 0.68, 2.53)),
    _solid("table leg 2", (4.67, 0.0, 2.45), (4.75, 0.68, 2.53)),
    _solid("table leg 3", (3.45, 0.0, 3.17), (3.53, 0.68, 3.25)),
    _solid("table leg 4", (4.67, 0.0, 3.17), (4.75, 0.68, 3.25)),
    Box("box on table", (3.7, 0.74, 2.6), (4.05, 1.0, 2.85), ("collage",)),
    Box("books on table", (4.25, 0.74, 2.7), (4.55, 0.92, 3.1), ("books",)),
    Box("sofa seat", (3.0, 0.0, 5.05), (5.2, 0.42, 5.95), ("collage",)),
    Box("sofa back", (3.0, 0.42, 5.7), (5.2, 0.9, 5.95), ("collage",)),
    Box("sofa arm 1", (2.8, 0.0, 5.05), (3.0, 0.62, 5.95), ("collage",)),
    Box("sofa arm 2", (5.2, 0.0, 5.05), (5.4, 0.62, 5.95), ("collage",)),
    Box("bookcase", (7.6, 0.0, 1.0), (8.0, 2.1, 2.9), ("books",)),
    Box("low bookcase", (7.55, 0.0, 3.4), (8.0, 0.95, 5.0), ("books",)),
    Box("vase", (7.65, 0.95, 3.9), (7.85, 1.35, 4.1), ("collage",)),
    _solid("cupboard", (0.0, 0.0, 3.6), (0.55, 1.9, 4.8)),
    _solid("desk top", (0.6, 0.72, 0.05), (2.2, 0.77, 0.75)),
    _solid("desk side 1", (0.6, 0.0, 0.05), (0.66, 0.72, 0.75)),
    _solid("desk side 2", (2.14, 0.0, 0.05), (2.2, 0.72, 0.75)),
    Box("screen", (1.1, 0.85, 0.2), (1.75, 1.25, 0.25), ("collage",)),
    Box("crate 1", (0.15, 0.0, 5.2), (0.75, 0.5, 5.8), ("bricks",)),
    Box("crate 2", (0.25, 0.5, 5.3), (0.65, 0.85, 5.7), ("collage",)),
    Box("stool", (5.6, 0.0, 1.3), (6.0, 0.46, 1.7), ("collage",)),
    _solid("lamp foot", (6.7, 0.0, 0.5), (6.78, 1.5, 0.58)),
    Box("lamp shade", (6.5, 1.5, 0.3), (6.98, 1.9, 0.78), ("collage",)),
    _picture("picture 1", "z0", 2.7, 1.1, 1.3, 0.95),
    _picture("picture 2", "z0", 4.4, 1.3, 0.8, 1.0),
    _picture("picture 3", "z0", 5.5, 1.0, 0.7, 0.6),
    _picture("picture 4", "z1", 1.2, 1.2, 1.2, 0.9),
    _picture("picture 5", "z1", 3.3, 1.35, 1.6, 0.8),
    _picture("picture 6", "z1", 6.0, 1.0, 1.1, 1.3),
    _picture("picture 7", "x0", 0.9, 1.1, 0.9, 1.1),
    _picture("picture 8", "x0", 2.2, 1.4, 1.1, 0.7),
    _picture("picture 9", "x1", 5.15, 1.2, 0.7, 0.9),
)
