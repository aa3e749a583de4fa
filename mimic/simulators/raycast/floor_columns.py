"""A mesh as columns of heights: points scattered densely over its triangles, by grid cell.

A height is whole millimetres and packed with its column into one integer, so that a set of points
is a sorted array and every question about them is a binary search. World: metres, +y up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.errors import SourceError

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]

MILLIMETRES = 1000
# Columns around the mesh, and millimetres below and above it, so that no look aside leaves the
# grid: further than any that is asked for (see floor_cells).
MARGIN_CELLS = 16
MARGIN_MM = 4000
_SPACING_CELLS = 0.7  # any square of one cell then holds a point of a square lattice
_LIMIT_POINTS = 300_000_000
_LIMIT_COLUMNS = 100_000_000
_CHUNK_POINTS = 1_000_000
_SLOPE_COSINE = np.cos(np.radians(45.0))


@dataclass(frozen=True, slots=True)
class Grid:
    """Square columns over the ground: ``index = x_cell * depth + z_cell``.

    ``corner`` (3,): the world position of the grid's lowest corner; ``width`` and ``depth`` count
    cells along x and z. A key is ``index * span + millimetres above the corner``.
    """

    corner: Floats
    cell_m: float
    width: int
    depth: int
    span: int

    @classmethod
    def over(cls, triangles: Floats, cell_m: float, scene: str) -> Grid:
        """The grid over (F, 3, 3) triangles; SourceError where it would not fit in memory."""
        low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
        margin = np.array([MARGIN_CELLS * cell_m, MARGIN_MM / MILLIMETRES, MARGIN_CELLS * cell_m])
        cells = np.ceil((high - low) / cell_m) + 2 * MARGIN_CELLS + 1
        if cells[0] * cells[2] > _LIMIT_COLUMNS:
            raise _too_large(scene, float((high - low).max()))
        span = int(np.ceil((high - low)[1] * MILLIMETRES)) + 2 * MARGIN_MM + 2
        corner = low - margin
        corner[1] = np.floor(corner[1] * MILLIMETRES) / MILLIMETRES
        return cls(corner, cell_m, int(cells[0]), int(cells[2]), span)

    def keys(self, points: Floats) -> Keys:
        """(P,) keys of (P, 3) points."""
        cells = ((points[:, [0, 2]] - self.corner[[0, 2]]) / self.cell_m).astype(np.int64)
        height = (points[:, 1] - self.corner[1]) * MILLIMETRES
        columns = cells[:, 0] * self.depth + cells[:, 1]
        return np.asarray(columns * self.span + np.rint(height).astype(np.int64))

    def aside(self, x_cells: int, z_cells: int) -> int:
        """What to add to a key for the same height in another column."""
        return (x_cells * self.depth + z_cells) * self.span


def distinct(*parts: Keys) -> Keys:
    """All keys, sorted, each once (np.unique hashes, which is ten times slower on these)."""
    runs = [np.sort(part) for part in parts]
    keys = np.sort(np.concatenate([np.empty(0, np.int64), *runs]), kind="stable")  # merges runs
    return keys[np.diff(keys, prepend=-1) > 0]


def any_between(keys: Keys, low: Keys, high: Keys) -> NDArray[np.bool_]:
    """Whether sorted ``keys`` hold one in [low, high], for each of (Q,) pairs of bounds."""
    if len(keys) == 0:
        return np.zeros(len(low), dtype=bool)
    at = np.searchsorted(keys, low)
    found = keys[np.minimum(at, len(keys) - 1)]
    return np.asarray((found >= low) & (found <= high))


def nearest(keys: Keys, wanted: Keys, reach: int) -> NDArray[np.int64]:
    """Index of the key nearest to each of (Q,) wanted ones, -1 where none is within ``reach``."""
    if len(keys) == 0:
        return np.full(len(wanted), -1)
    above = np.searchsorted(keys, wanted)
    below = np.maximum(above - 1, 0)
    above = np.minimum(above, len(keys) - 1)
    far_above, far_below = np.abs(keys[above] - wanted), np.abs(keys[below] - wanted)
    found = np.where(far_below < far_above, below, above)
    return np.where(np.minimum(far_above, far_below) <= reach, found, -1)


@dataclass(frozen=True, slots=True)
class Columns:
    """Sorted keys of a mesh: of all its surfaces, and of those that slope less than 45 degrees.

    ``up`` and ``down``: the level ones by the way they face. Where scans are careless with that,
    both may hold a floor.
    """

    solid: Keys
    level: Keys
    up: Keys
    down: Keys


def columns_of(triangles: Floats, grid: Grid, scene: str) -> Columns:
    """The columns of (F, 3, 3) triangles."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normals, axis=1)
    rise = np.divide(normals[:, 1], length, out=np.zeros_like(length), where=length > 0)
    up, down, steep = (
        distinct(*(grid.keys(points) for points in _scattered(triangles[those], grid, scene)))
        for those in (
            rise > _SLOPE_COSINE,
            rise < -_SLOPE_COSINE,
            (np.abs(rise) <= _SLOPE_COSINE) & (length > 0),
        )
    )
    level = distinct(up, down)
    return Columns(distinct(level, steep), level, up, down)


def _scattered(triangles: Floats, grid: Grid, scene: str) -> Iterator[Floats]:
    """Points (P, 3) over (F, 3, 3) triangles, no further apart than the spacing."""
    spacing = _SPACING_CELLS * grid.cell_m
    sides = np.linalg.norm(np.roll(triangles, -1, axis=1) - triangles, axis=2)
    first = np.argmax(sides, axis=1)  # rows of points run along the longest side
    order = (first[:, None] + np.arange(3)) % 3
    corners = np.take_along_axis(triangles, order[:, :, None], axis=1)
    base = sides.max(axis=1, initial=0)
    double_area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    along = np.ceil(base / spacing)
    rows = np.ceil(double_area / np.maximum(base, 1e-12) / spacing)
    count = (along + 1) * (rows + 1)
    if count.sum() > _LIMIT_POINTS:
        raise _too_large(scene, float(np.ptp(triangles, axis=(0, 1)).max()))
    ends = np.searchsorted(
        np.cumsum(count), np.arange(_CHUNK_POINTS, count.sum() + _CHUNK_POINTS, _CHUNK_POINTS)
    )
    start = 0
    for end in np.unique(np.minimum(ends + 1, len(triangles))):
        yield _lattice(corners[start:end], along[start:end], rows[start:end])
        start = end


def _lattice(corners: Floats, along: Floats, rows: Floats) -> Floats:
    """Rows of points parallel to each triangle's first side, fewer towards its third corner."""
    up, owner = _fractions(rows.astype(np.int64) + 1)
    start = corners[owner, 0] + up[:, None] * (corners[owner, 2] - corners[owner, 0])
    side = (1 - up)[:, None] * (corners[owner, 1] - corners[owner, 0])
    across, row = _fractions(np.ceil(along[owner] * (1 - up)).astype(np.int64) + 1)
    return np.asarray(start[row] + across[:, None] * side[row])


def _fractions(counts: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """For each of (N,) counts: that many fractions from 0 to 1, and the index of the count."""
    owner = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return within / np.maximum(counts[owner] - 1, 1), owner


def _too_large(scene: str, metres: float) -> SourceError:
    return SourceError(
        "too_large",
        f"{scene} is {metres:.0f} m across, too much for a floor map: scale it if its unit is not "
        "the metre, or cut it",
    )
