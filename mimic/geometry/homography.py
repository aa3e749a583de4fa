"""Homographies: 3x3 matrices that map pixels (x, y, 1) of view 1 to view 2, up to scale.

A point whose third coordinate w is not positive lies on or behind the horizon and has no image.
The sign of a matrix is fixed by :func:`oriented`: w is positive at the centre of view 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mimic.types import Matrix

Size = tuple[int, int]
Points = NDArray[np.float64]

MIN_SANITY = 0.1
"""A sane homography nowhere stretches or squeezes by more than 10 in any direction, as far as both
views see the same."""
_SANITY_POINTS = 9
"""Points along each side of the grid on which that is asked."""


def oriented(homography: Matrix, size: Size) -> Matrix | None:
    """The matrix scaled so that w is 1 at the centre of a view of this size; None if it cannot be.

    It cannot where an entry is not finite, the matrix is singular, or w vanishes at the centre.
    """
    if not np.isfinite(homography).all():
        return None
    w_centre = float(homography[2] @ (size[0] / 2, size[1] / 2, 1.0))
    if w_centre == 0.0 or not np.isfinite(homography / w_centre).all():
        return None
    scaled = homography / w_centre
    return scaled if np.linalg.det(scaled) != 0.0 else None


def apply(homography: Matrix, xy: Points) -> Points:
    """Map points (N, 2); those on or behind the horizon become NaN."""
    mapped = xy @ homography[:, :2].T + homography[:, 2]
    w = np.where(mapped[:, 2:] > 0, mapped[:, 2:], np.nan)
    return np.asarray(mapped[:, :2] / w)


def refined(
    homography: Matrix, xy_1: Points, xy_2: Points, scale_px: float, rounds: int = 10
) -> Matrix | None:
    """The matrix moved towards all correspondences, the less the farther they lie from it.

    A normalised direct linear transform, reweighted by Geman-McClure's function of the transfer
    error in view 2 at ``scale_px``. With a wide scale it follows the mean of the visible depths and
    depends less on which sample a random search happened to like. None where it degenerates.
    """
    to_1, to_2 = _normalising(xy_1), _normalising(xy_2)
    from_2 = np.linalg.inv(to_2)
    x_1, x_2 = _homogeneous(xy_1), _homogeneous(xy_2)
    a, b = to_1 @ x_1, to_2 @ x_2
    products = np.einsum("in,jn->ijn", a, a).reshape(9, -1)
    b[2] = b[0] ** 2 + b[1] ** 2
    for _ in range(rounds):
        x, y, w = homography @ x_1
        with np.errstate(divide="ignore", invalid="ignore"):
            miss_px2 = (x / w - x_2[0]) ** 2 + (y / w - x_2[1]) ** 2
        trust = np.where(w > 0, 1 / (1 + miss_px2 / scale_px**2), 0.0)
        depth = np.maximum(np.abs(w) / max(_median(np.abs(w)), 1e-12), 0.05)
        weight = (trust / depth) ** 2
        # einsum, not a BLAS product: its sums do not depend on the number of threads.
        moments = np.einsum("in,jn->ij", np.vstack([weight, weight * b]), products)
        smallest = np.linalg.eigh(_normal_matrix(moments.reshape(4, 3, 3)))[1][:, 0]
        homography = from_2 @ smallest.reshape(3, 3) @ to_1
        homography = homography * np.sign(_median(homography[2] @ x_1))
    size = float(np.linalg.norm(homography))
    fine = np.isfinite(size) and size > 0 and np.linalg.det(homography / size) != 0
    return homography / size if fine else None


def _normal_matrix(moments: NDArray[np.float64]) -> Matrix:
    """The 9x9 matrix of a direct linear transform a -> b, its unknowns row by row.

    ``moments`` (4, 3, 3): weighted sums of a a^T times 1, b_x, b_y and b_x^2 + b_y^2.
    """
    one, x, y, squared = moments
    normal = np.zeros((9, 9))
    normal[:3, :3] = normal[3:6, 3:6] = one
    normal[:3, 6:] = normal[6:, :3] = -x
    normal[3:6, 6:] = normal[6:, 3:6] = -y
    normal[6:, 6:] = squared
    return normal


def _homogeneous(xy: Points) -> NDArray[np.float64]:
    """Points (N, 2) as columns (3, N)."""
    return np.vstack([xy.T, np.ones(len(xy))])


def _median(values: NDArray[np.float64]) -> float:
    """``np.median``, ten times faster for a few hundred values."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _normalising(xy: Points) -> Matrix:
    """The similarity that puts points at mean distance sqrt(2) from the origin (Hartley 1997)."""
    centre = xy.mean(axis=0)
    spread = float(np.linalg.norm(xy - centre, axis=1).mean())
    scale = math.sqrt(2) / max(spread, 1e-9)
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def in_other_pixels(homography: Matrix, pixels_1: Matrix, pixels_2: Matrix) -> Matrix:
    """The same map between other pixel frames.

    ``pixels_1`` and ``pixels_2`` (3x3) take the old pixels of each view to the new ones.
    """
    return np.asarray(pixels_2 @ homography @ np.linalg.inv(pixels_1))


def jacobian(homography: Matrix, x: float, y: float) -> Matrix:
    """The 2x2 derivative of the map at a point in front of the horizon."""
    return np.asarray(_jacobians(homography, np.array([[x, y]]))[0])


def _jacobians(homography: Matrix, xy: Points) -> NDArray[np.float64]:
    """The same at points (N, 2): (N, 2, 2)."""
    mapped = xy @ homography[:, :2].T + homography[:, 2]
    uv, w = mapped[:, :2] / mapped[:, 2:], mapped[:, 2]
    linear = homography[:2, :2] - uv[:, :, None] * homography[2, :2]
    return np.asarray(linear / w[:, None, None])


def corners(size: Size) -> Points:
    """The outer corners of a view, (4, 2), clockwise from the top left."""
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)


def sanity(homography: Matrix, size_1: Size, size_2: Size) -> float:
    """How well-behaved the map is where both views see the same: 0 (impossible) to 1 (rigid).

    The worst stretch over a grid of points of view 1 that land in view 2: the smallest of s_min and
    1 / s_max over the singular values of the derivative; 0 where the view is mirrored or nothing of
    it lands there. What lies outside view 2 is not asked: a camera that only turns by 45 degrees
    sends parts of the view behind the horizon. Lengths are relative to the views' short sides, so
    that pictures stored at different sizes compare.
    """
    matrix = oriented(homography, size_1)
    if matrix is None or np.linalg.det(matrix) <= 0:
        return 0.0
    x, y = (np.linspace(0, side, _SANITY_POINTS) for side in size_1)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    image = apply(matrix, points)
    with np.errstate(invalid="ignore"):  # NaN lies behind the horizon: not inside
        shared = ((image >= 0) & (image <= size_2)).all(axis=1)
    if not shared.any():
        return 0.0
    relative = min(size_1) / min(size_2)
    derivatives = _jacobians(matrix, points[shared]) * relative
    stretch = np.linalg.svd(derivatives, compute_uv=False)
    return float(min(stretch.min(), 1 / stretch.max()))


def scale_ratio(homography: Matrix, size: Size) -> float | None:
    """The zoom between the views at the centre of view 1, >= 1; None where there is none."""
    matrix = oriented(homography, size)
    if matrix is None:
        return None
    area = abs(float(np.linalg.det(jacobian(matrix, size[0] / 2, size[1] / 2))))
    return max(math.sqrt(area), 1 / math.sqrt(area)) if area > 0 else None


def rotation_deg(homography: Matrix, size: Size) -> float | None:
    """In-plane rotation at the centre of view 1, (-180, 180], positive from x to y (clockwise)."""
    matrix = oriented(homography, size)
    if matrix is None:
        return None
    j = jacobian(matrix, size[0] / 2, size[1] / 2)
    angle = math.degrees(math.atan2(j[1, 0] - j[0, 1], j[0, 0] + j[1, 1]))
    return 180.0 if angle == -180.0 else angle
