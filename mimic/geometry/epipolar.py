"""Epipolar residuals and parallax, in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimic.geometry import homography as homographies
from mimic.types import Matrix

Points = NDArray[np.float64]


def _lines(fundamental: Matrix, xy_1: Points, xy_2: Points) -> tuple[Points, Points, Points]:
    one = np.ones((len(xy_1), 1))
    x_1, x_2 = np.hstack([xy_1, one]), np.hstack([xy_2, one])
    lines_2, lines_1 = x_1 @ fundamental.T, x_2 @ fundamental
    return lines_1, lines_2, np.einsum("ni,ni->n", x_2, lines_2)


def sampson_px(fundamental: Matrix, xy_1: Points, xy_2: Points) -> NDArray[np.float64]:
    """Sampson distance (N,) of correspondences, in pixels: the first-order geometric error.

    NaN where both epipolar lines are undefined (a point at both epipoles). Source: Hartley and
    Zisserman, Multiple View Geometry, 2nd ed., eq. 11.9.
    """
    lines_1, lines_2, product = _lines(fundamental, xy_1, xy_2)
    gradient = (lines_1[:, :2] ** 2).sum(1) + (lines_2[:, :2] ** 2).sum(1)
    return np.abs(product) / np.sqrt(np.where(gradient > 0, gradient, np.nan))


def symmetric_px(fundamental: Matrix, xy_1: Points, xy_2: Points) -> NDArray[np.float64]:
    """Larger of a correspondence's distances (N,) to its two epipolar lines, in pixels."""
    lines_1, lines_2, product = _lines(fundamental, xy_1, xy_2)
    norms = [np.hypot(lines[:, 0], lines[:, 1]) for lines in (lines_1, lines_2)]
    smaller = np.minimum(*norms)
    return np.abs(product) / np.where(smaller > 0, smaller, np.nan)


def parallax_px(homography: Matrix, xy_1: Points, xy_2: Points) -> float | None:
    """How far correspondences lie from where a homography puts them: the median, in pixels.

    Points behind its horizon count as infinitely far; None without correspondences or where more
    than half lie there. The matrix must be oriented (w > 0 at the centre of view 1).
    """
    if len(xy_1) == 0:
        return None
    error = np.linalg.norm(homographies.apply(homography, xy_1) - xy_2, axis=1)
    median = float(np.median(np.where(np.isnan(error), np.inf, error)))
    return median if np.isfinite(median) else None
