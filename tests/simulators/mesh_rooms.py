"""Triangles of rooms whose floor is known. World: metres, +y up; each function (F, 3, 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Triangles = NDArray[np.float64]


def rectangle(x: tuple[float, float], z: tuple[float, float], y: float = 0.0) -> Triangles:
    """Level, at height y, facing up."""
    a, b, c, d = (
        [px, y, pz] for px, pz in ((x[0], z[0]), (x[0], z[1]), (x[1], z[1]), (x[1], z[0]))
    )
    return np.array([[a, b, c], [a, c, d]], dtype=float)


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Triangles:
    """All six sides of a block, facing outwards."""
    corners = np.array([[i, j, k] for i in x for j in y for k in z], dtype=float)
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return np.array([corners[[s[0], s[i], s[i + 1]]] for s in sides for i in (1, 2)])


def wall(start: tuple[float, float], end: tuple[float, float], height: float = 2.5) -> Triangles:
    """An upright sheet without thickness over a line (x, z) to (x, z)."""
    a, b = (np.array([p[0], 0.0, p[1]]) for p in (start, end))
    up = np.array([0.0, height, 0.0])
    return np.array([[a, b, b + up], [a, b + up, a + up]])


def walls(x: tuple[float, float], z: tuple[float, float], height: float = 2.5) -> Triangles:
    """Four sheets around a room."""
    corners = [(x[0], z[0]), (x[1], z[0]), (x[1], z[1]), (x[0], z[1])]
    return np.concatenate([wall(corners[i], corners[(i + 1) % 4], height) for i in range(4)])


def room(width: float, depth: float, height: float = 2.5) -> Triangles:
    """A closed room from (0, 0, 0) on: floor, walls, ceiling, facing inwards."""
    return box((0.0, width), (0.0, height), (0.0, depth))[:, ::-1]
