"""The exact patch correspondence of two views under a homography (MIMIC section 8.2).

For each patch of view 1 all its pixel centres are mapped; its target is the patch of view 2 that
receives most of them, ties to the lowest index. Patches are scanned in raster order and a target is
given away once. Only whole patches take part; what lands beyond them is outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.geometry.homography import oriented
from mimic.types import Directed, Matrix

Size = tuple[int, int]
Pairs = NDArray[np.int32]

_PIXELS_AT_ONCE = 1 << 15
"""Pixels mapped at a time, in bands of rows: they stay in the cache, and memory is not churned."""
_VOTES_AT_ONCE = 1 << 20
"""Counters held at a time, in bands of patch rows (at least one)."""


@dataclass(frozen=True, slots=True)
class Landing:
    """Where the pixel centres of a view of ``size`` land in another view of ``size_other``.

    ``column``, ``row`` (h, w) int32: the pixel that receives each; valid where ``inside`` (h, w).
    """

    column: NDArray[np.int32]
    row: NDArray[np.int32]
    inside: NDArray[np.bool_]
    size_other: Size


def land(homography: Matrix, size: Size, size_other: Size) -> Landing:
    """Map all pixel centres of a view; the matrix must be oriented (w > 0 in front).

    What lies on or behind the horizon lands outside.
    """
    width, height = size
    column, row = np.empty((2, height, width), dtype=np.int32)
    inside = np.empty((height, width), dtype=bool)
    # The map is affine before the division: one outer sum a coordinate. Bands stay in the cache.
    x = (homography[:, :1] * (np.arange(width) + 0.5))[:, None, :]
    y = (homography[:, 1:2] * (np.arange(height) + 0.5) + homography[:, 2:])[:, :, None]
    horizon = x[2].min() + y[2].min() <= 0  # w is affine: least at a corner
    rows = min(max(1, _PIXELS_AT_ONCE // width), height)
    mapped = np.empty((3, rows, width))
    for top in range(0, height, rows):
        band = slice(top, top + rows)
        u, v, w = np.add(x, y[:, band], out=mapped[:, : height - top])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            u /= w
            v /= w
            column[band], row[band] = u, v
        within = np.greater_equal(u, 0, out=inside[band])
        within &= u < size_other[0]
        within &= v >= 0
        within &= v < size_other[1]
        if horizon:
            within &= w > 0
    return Landing(column, row, inside, size_other)


def grid(size: Size, patch_size: int) -> tuple[int, int]:
    """(columns, rows) of whole patches."""
    return size[0] // patch_size, size[1] // patch_size


def assign(landing: Landing, patch_size: int, outside_votes: bool) -> Pairs:
    """Patches of a view and their targets, (N, 2) int32, one-to-one, in raster order of the first.

    ``outside_votes``: "outside" is one more candidate of the vote (after all patches, so it loses
    ties); a patch that it wins has no target, as in MIMIC's code. Otherwise a single pixel inside
    is enough for a target.
    """
    height, width = landing.inside.shape
    targets = _winners(landing, (width, height), patch_size, outside_votes)
    sources = np.flatnonzero(targets >= 0)
    _, first = np.unique(targets[sources], return_index=True)
    kept = sources[np.sort(first)]
    return np.column_stack([kept, targets[kept]]).astype(np.int32)


def _winners(
    landing: Landing, size: Size, patch_size: int, outside_votes: bool
) -> NDArray[np.int64]:
    """The target of each patch in raster order, -1 where it has none."""
    columns, rows = grid(size, patch_size)
    columns_other, rows_other = grid(landing.size_other, patch_size)
    outside = columns_other * rows_other
    if columns * rows == 0 or outside == 0:
        return np.full(columns * rows, -1)
    band = max(1, _VOTES_AT_ONCE // (columns * (outside + 1)))
    winners = []
    for top in range(0, rows, band):
        count = min(band, rows - top)
        window = np.s_[top * patch_size : (top + count) * patch_size, : columns * patch_size]
        votes = _votes(landing, window, (columns, count), patch_size)
        winner = votes[:, : outside + outside_votes].argmax(axis=1)
        unseen = votes[np.arange(len(votes)), winner] == 0
        winners.append(np.where(unseen | (winner == outside), -1, winner))
    return np.concatenate(winners)


def _votes(
    landing: Landing, window: tuple[slice, slice], shape: tuple[int, int], patch_size: int
) -> NDArray[np.int64]:
    """Pixels that each patch of a band sends to each patch of the other view, the last: outside."""
    columns, rows = shape
    columns_other, rows_other = grid(landing.size_other, patch_size)
    outside = columns_other * rows_other
    column, row = landing.column[window] // patch_size, landing.row[window] // patch_size
    inside = landing.inside[window]
    if columns_other * patch_size < landing.size_other[0]:
        inside = inside & (column < columns_other)
    if rows_other * patch_size < landing.size_other[1]:
        inside = inside & (row < rows_other)
    row *= columns_other
    row += column
    np.copyto(row, outside, where=~inside)
    patch_row = np.repeat(np.arange(rows) * columns, patch_size)[:, None] * (outside + 1)
    ballots = patch_row + np.repeat(np.arange(columns), patch_size) * (outside + 1) + row
    counters = columns * rows * (outside + 1)
    votes = np.bincount(ballots.ravel(), minlength=counters)
    return votes.reshape(columns * rows, outside + 1)


@dataclass(frozen=True, slots=True)
class PatchMap:
    """Patch overlap in both directions and the one-to-one map of the smaller direction.

    ``pairs`` (N, 2) int32: patch of view 1, patch of view 2, by rising patch of view 1.
    """

    overlap: Directed
    pairs: Pairs


def patch_map(
    forward: Landing, backward: Landing, patch_size: int, outside_votes: bool
) -> PatchMap:
    """Patch correspondence from both landings; the map is of 2 -> 1 when both are equal."""
    there = assign(forward, patch_size, outside_votes)
    back = assign(backward, patch_size, outside_votes)
    size_1, size_2 = backward.size_other, forward.size_other
    overlap = Directed(_share(there, size_1, patch_size), _share(back, size_2, patch_size))
    if overlap.forward < overlap.backward:
        return PatchMap(overlap, there)
    inverted = back[:, ::-1]
    return PatchMap(overlap, np.ascontiguousarray(inverted[np.argsort(inverted[:, 0])]))


def _share(pairs: Pairs, size: Size, patch_size: int) -> float:
    columns, rows = grid(size, patch_size)
    return len(pairs) / (columns * rows) if columns * rows else 0.0


def landings(homography: Matrix, size_1: Size, size_2: Size) -> tuple[Landing, Landing] | None:
    """Both directions, 1 -> 2 and 2 -> 1 by the inverse; None for a matrix that has no inverse.

    The inverse of an oriented matrix is oriented: w is positive exactly at the images of points
    in front.
    """
    matrix = oriented(homography, size_1)
    if matrix is None:
        return None
    return land(matrix, size_1, size_2), land(np.asarray(np.linalg.inv(matrix)), size_2, size_1)


def corr(
    homography: Matrix, size_1: Size, size_2: Size, patch_size: int, outside_votes: bool
) -> Pairs:
    """The stored correspondence: (N, 2) int32, patch of view 1 and patch of view 2, one-to-one.

    Args:
        homography: 3x3, view 1 to view 2, stored pixels.
        size_1: (width, height) of view 1.
        size_2: (width, height) of view 2.
        patch_size: side of a patch in pixels; patches are numbered row by row from the top left.
        outside_votes: see :func:`assign`.

    Returns:
        The map of the direction with the smaller overlap (of 2 -> 1 when equal), by rising patch of
        view 1; empty for a matrix that has no inverse.
    """
    both = landings(homography, size_1, size_2)
    if both is None:
        return np.zeros((0, 2), dtype=np.int32)
    return patch_map(*both, patch_size, outside_votes).pairs
