"""The demo room as a scene file, like one that was scanned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mimic.demo.glb import Quad, glb_of
from mimic.demo.scene import FACE_AXES, FURNISHED_ROOM, Box

_JPEG_QUALITY = 95


def write_room(path: Path, seed: int = 0) -> Path:
    """Write the furnished room to ``path`` (a ``.glb``; its folder is made if absent).

    The same seed gives the same bytes. Four seconds of one core, most of them for the paint.
    """
    return write_boxes(path, FURNISHED_ROOM, seed)


def write_boxes(path: Path, boxes: Sequence[Box], seed: int) -> Path:
    """Write boxes as a scene: the first is a room, seen from inside, the others from outside.

    Triangles 2 f and 2 f + 1 of the file are face f % 6 of box f // 6.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_bytes(glb_of(list(_quads(boxes, seed))))
    return unfinished.replace(path)


def _quads(boxes: Sequence[Box], seed: int) -> Iterator[Quad]:
    from mimic.opencv import encode_jpeg

    for number, box in enumerate(boxes):
        ends = np.array([box.low, box.high])
        for face in range(6):
            axis, is_high = face // 2, face % 2
            columns, rows = FACE_AXES[axis]
            corners = np.empty((4, 3))
            corners[:, axis] = ends[is_high, axis]
            corners[:, columns] = ends[[0, 1, 1, 0], columns]
            corners[:, rows] = ends[[1, 1, 0, 0], rows]
            facing = np.zeros(3)
            facing[axis] = 1 if bool(is_high) != (number == 0) else -1
            yield Quad(corners, facing, encode_jpeg(box.painted(face, seed), _JPEG_QUALITY))
