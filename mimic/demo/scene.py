"""The demo room: axis-aligned boxes in an axis-aligned room, each face with its own paint.

World: metres, +y up, the floor at y = 0. The shape is always the same; the paint follows from the
seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimic.demo.textures import PAINTERS
from mimic.ids import generator_of
from mimic.types import UInt8Image

TEXELS_PER_M = 192.0
FACE_AXES = ((2, 1), (0, 2), (0, 1))
"""Axes along a texture's columns and rows, by the axis of the face's normal."""
_LIGHT = (0.93, 0.85, 0.7, 1.0, 0.8, 0.97)  # as if it came from above and one side


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box, ``low`` and ``high`` corners in metres; ``paint`` a painter a face.

    Faces are ordered low x, high x, low y, high y, low z, high z; one word paints all.
    """

    name: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    paint: tuple[str, ...]

    def painted(self, face: int, seed: int) -> UInt8Image:
        """The picture (h, w, 3) of one of the six faces: columns and rows by ``FACE_AXES``.

        Columns go up the axis, rows down, so that what is painted stands upright.
        """
        columns, rows = FACE_AXES[face // 2]
        extent = np.subtract(self.high, self.low)
        width = max(1, round(extent[columns] * TEXELS_PER_M))
        height = max(1, round(extent[rows] * TEXELS_PER_M))
        rng = generator_of(f"demo room {seed}", self.name, face)
        painter = PAINTERS[self.paint[face if len(self.paint) == 6 else 0]]
        picture = painter(width, height, rng) * _LIGHT[face]
        return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


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
FURNISHED_ROOM: tuple[Box, ...] = (
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
"""An 8 x 6 x 2.8 m living room. Box 0 is the room, seen from inside; the others are furniture."""
