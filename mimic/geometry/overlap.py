"""Area, coverage and support: overlap as a share of a view, 0 to 1 (docs/overlap.md)."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from mimic.geometry import homography as homographies
from mimic.geometry.patches import Landing
from mimic.types import Matrix

Size = tuple[int, int]
Points = NDArray[np.float64]
Cells = NDArray[np.float64]

GRID = (36, 24)
"""Cells along the long and the short side of a view."""
COVERAGE_REACH = 2
"""A cell is covered if an inlier lies at most this many cells away in both directions."""
SUPPORT_RADIUS = 0.12
"""Share of the long side within which a match lies of where the homography puts it, or it is no
supporter: parallax goes so far, a homography that has nothing to do with the match farther."""
CELL_SIGMA = 2.0
"""Gaussian, in cells, that gathers the points around a cell."""
MIN_EXPECTED = 2.0
"""A cell can be contradicted only where at least this many supporters are expected."""
CONTRADICTED = 0.25
"""... and fewer than this share of them are found."""


def area(landing: Landing) -> float:
    """The exact share of the pixel centres of a view that land inside the other."""
    return float(np.count_nonzero(landing.inside)) / landing.inside.size


def coverage(inliers: Points, size: Size) -> float:
    """The share of the cells of a grid over a view that lie within two cells of an epipolar inlier.

    Args:
        inliers: (N, 2) keypoints of this view whose match the epipolar geometry explains.
        size: (width, height) of this view.
    """
    columns, rows = _grid(size)
    hit = np.zeros((rows + 2 * COVERAGE_REACH, columns + 2 * COVERAGE_REACH), dtype=bool)
    row, column = _cells_of(inliers, size)
    hit[row + COVERAGE_REACH, column + COVERAGE_REACH] = True
    reach = range(2 * COVERAGE_REACH + 1)
    near = np.logical_or.reduce([hit[down : down + rows] for down in reach])
    near = np.logical_or.reduce([near[:, right : right + columns] for right in reach])
    return float(near.mean())


def support(
    homography: Matrix, supporters: Points, keypoints: Points, size: Size, size_other: Size
) -> float:
    """The share of a view that lands inside the other and is not contradicted by its keypoints.

    A homography does not know what is hidden or lies at another depth; keypoints tell. Around each
    cell of a grid, the keypoints, times the rate at which keypoints that should be visible in the
    other view found a supporter, promise a number of supporters. Where at least ``MIN_EXPECTED``
    are promised and fewer than ``CONTRADICTED`` of them are there, the cell is not seen.

    Args:
        homography: this view to the other, oriented (w > 0 in front).
        supporters: (N, 2) keypoints of this view whose neighbour agrees with the geometry.
        keypoints: (M, 2) all keypoints of this view.
        size: (width, height) of this view.
        size_other: (width, height) of the other view.
    """
    columns, rows = _grid(size)
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    centres = np.column_stack([x.ravel() * size[0] / columns, y.ravel() * size[1] / rows])
    lands = _inside(homographies.apply(homography, centres), size_other).reshape(rows, columns)
    visible = int(_inside(homographies.apply(homography, keypoints), size_other).sum())
    rate = len(supporters) / max(visible, len(supporters), 1)
    expected = _points_around(keypoints, size) * rate
    found = _points_around(supporters, size)
    contradicted = (expected >= MIN_EXPECTED) & (found < CONTRADICTED * expected)
    return float((lands & ~contradicted).mean())


def _grid(size: Size) -> tuple[int, int]:
    return GRID if size[0] >= size[1] else (GRID[1], GRID[0])


def _cells_of(xy: Points, size: Size) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The (row, column) of the cell each point (N, 2) lies in."""
    columns, rows = _grid(size)
    column = np.clip((xy[:, 0] * columns / size[0]).astype(np.intp), 0, columns - 1)
    row = np.clip((xy[:, 1] * rows / size[1]).astype(np.intp), 0, rows - 1)
    return row, column


def _inside(xy: Points, size: Size) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # NaN lies behind the horizon: not inside
        return np.asarray(((xy >= 0) & (xy < size)).all(axis=1))


def _points_around(xy: Points, size: Size) -> Cells:
    """Points near each cell (rows, columns): a Gaussian count that reads as 'within two sigmas'."""
    columns, rows = _grid(size)
    row, column = _cells_of(xy, size)
    counts = np.bincount(row * columns + column, minlength=rows * columns).reshape(rows, columns)
    # Integer weights: the sums are exact in any order, so no thread count can flip a cell.
    gathered = _weights(rows) @ counts @ _weights(columns)
    unit = _weights(2 * _reach() + 1)[_reach()].sum()
    return np.asarray(gathered * (4 * math.pi * CELL_SIGMA**2 / unit**2))


def _reach() -> int:
    return math.ceil(4 * CELL_SIGMA)


@functools.cache
def _weights(cells: int) -> Cells:
    """Gaussian weights between cells of one axis, (cells, cells), as integers up to 4096."""
    place = np.arange(cells)
    distance = place[:, None] - place[None, :]
    weights = np.rint(4096 * np.exp(-0.5 * (distance / CELL_SIGMA) ** 2))
    return np.where(np.abs(distance) <= _reach(), weights, 0.0)
