"""Patch correspondences in another grid, after views have been cut, resized and mirrored.

The rule: patches (a, b) correspond where the centre of a lands in b and the centre of b lands in a.
So the map is one-to-one, treats both views alike and drops what a cut has taken away. Points go
from view to view by the homography where the pair has one; else each stored pair of patches is a
shift, by which the points in the one go into the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from train.data.sample import Corr, Matrix, Size

Points = NDArray[np.float64]
"""(N, 2) pixels, NaN where there is none."""
PointMap = Callable[[Points], Points]


def grid(size: Size, patch_size: int) -> Size:
    """(columns, rows) of whole patches."""
    return size[0] // patch_size, size[1] // patch_size


def centres(size: Size, patch_size: int) -> Points:
    """Centres of all whole patches of a view, row by row."""
    columns, rows = grid(size, patch_size)
    row, column = np.divmod(np.arange(columns * rows), max(1, columns))
    return (np.column_stack([column, row]) + 0.5) * patch_size


def patch_at(points: Points, size: Size, patch_size: int) -> NDArray[np.int64]:
    """The whole patch that each point lies in, -1 where in none."""
    columns, rows = grid(size, patch_size)
    with np.errstate(invalid="ignore"):
        cell = np.floor(points / patch_size)
        inside = (cell >= 0).all(1) & (cell[:, 0] < columns) & (cell[:, 1] < rows)
    column, row = np.where(inside[:, None], cell, 0).astype(np.int64).T
    return np.where(inside, row * columns + column, -1)


def mutual(forward: PointMap, backward: PointMap, size: Size, patch_size: int) -> Corr:
    """The pairs of patches each of whose centres lands in the other, by rising patch of view 1."""
    middles = centres(size, patch_size)
    there = patch_at(forward(middles), size, patch_size)
    back = patch_at(backward(middles), size, patch_size)
    patch = np.arange(len(there))
    kept = patch[there >= 0]
    kept = kept[back[there[kept]] == kept]
    return np.column_stack([kept, there[kept]]).astype(np.int64)


def by_matrix(matrix: Matrix) -> PointMap:
    """Points through a homography with w > 0 in front; those on or behind its horizon are lost."""

    def move(points: Points) -> Points:
        moved = points @ matrix[:, :2].T + matrix[:, 2]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(moved[:, :2] / np.where(moved[:, 2:] > 0, moved[:, 2:], np.nan))

    return move


def by_patches(corr: Corr, sizes: tuple[Size, Size], patch_size: int) -> PointMap:
    """Points moved as the middle of the patch is that they lie in; others are lost."""
    middles_1, middles_2 = (centres(size, patch_size) for size in sizes)
    shift = np.full((len(middles_1) + 1, 2), np.nan)  # the last: of points in no patch
    shift[corr[:, 0]] = middles_2[corr[:, 1]] - middles_1[corr[:, 0]]
    return lambda points: points + shift[patch_at(points, sizes[0], patch_size)]


def carried(
    corr: Corr,
    homography: Matrix,
    stored: tuple[Size, Size],
    matrices: tuple[Matrix, Matrix],
    size: Size,
    patch_sizes: tuple[int, int],
) -> Corr:
    """The correspondences after both views have been moved.

    Args:
        corr: those of the stored views.
        homography: stored view 1 to stored view 2; NaN where there is none.
        stored: sizes of the stored views.
        matrices: for each view, stored pixels to pixels of what it has become.
        size: of both, now.
        patch_sizes: of the stored grid, and of the new one.
    """
    there, back = _ways(corr, homography, stored, patch_sizes[0])
    one, two = matrices
    from_1, from_2 = unmoved(one), unmoved(two)
    return mutual(
        lambda points: _affine(two, there(_affine(from_1, points))),
        lambda points: _affine(one, back(_affine(from_2, points))),
        size,
        patch_sizes[1],
    )


def _ways(
    corr: Corr, homography: Matrix, stored: tuple[Size, Size], patch_size: int
) -> tuple[PointMap, PointMap]:
    """Points of stored view 1 to stored view 2, and back."""
    width, height = stored[0]
    w_middle = homography[2] @ (width / 2, height / 2, 1.0)
    if np.isfinite(homography).all() and w_middle * np.linalg.det(homography) != 0:
        in_front = homography / w_middle  # and so is its inverse
        return by_matrix(in_front), by_matrix(np.linalg.inv(in_front))
    return (
        by_patches(corr, stored, patch_size),
        by_patches(corr[:, ::-1], (stored[1], stored[0]), patch_size),
    )


def unmoved(matrix: Matrix) -> Matrix:
    """The inverse of a matrix that but scales, shifts and mirrors: much faster than any other's."""
    (x, _, left), (_, y, top), _ = matrix.tolist()
    return np.array([[1 / x, 0, -left / x], [0, 1 / y, -top / y], [0, 0, 1]])


def _affine(matrix: Matrix, points: Points) -> Points:
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])
