"""What a depth image says between its pixel centres: each pixel is a small plane.

On a plane inverse depth is linear in the pixel, whatever the slant. So each pixel carries its own
inverse depth and its slopes along x and y, each the gentler of those to the two neighbours (none
where they run against each other). That is exact on planes, it keeps to the pixel's own surface
beside an edge or a hole, and it costs one look-up a point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mimic.geometry.posed_depth import DEFAULT_TOLERANCE, Floats
from mimic.types import Matrix

Bools = NDArray[np.bool_]
Cells = NDArray[np.intp]
_T = TypeVar("_T", bound=np.generic)
_BORDERED = np.array([[1.0, 0, 1], [0, 1, 1], [0, 0, 1]])
"""From pixels to those of the image with a border."""
_REACH = 2
"""Pixels over which a slope is taken that must not be wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Inverse depth as a plane a pixel: ``offset + slope_x * x + slope_y * y``, 1 / metres.

    Three ((h + 2) * (w + 2),) float32, the image with a border of one pixel; ``x`` and ``y`` are
    continuous pixels of that larger image. ``offset`` is NaN where there is no depth, or one that
    mixes two surfaces, and -inf on the border. ``inverse`` is the inverse depth itself, NaN on the
    border too. ``size``: (w, h).
    """

    inverse: Floats
    offset: Floats
    slope_x: Floats
    slope_y: Floats
    size: tuple[int, int]

    @property
    def known(self) -> Bools:
        """Where there is a surface, (h, w)."""
        return ~np.isnan(inner(self.offset, self.size))

    def inverse_depth(self, cell: Cells, x: Floats, y: Floats) -> Floats:
        """Of the planes of some cells at some pixels of the larger image, as a new array."""
        inverse = self.slope_x.take(cell)
        inverse *= x
        inverse += self.slope_y.take(cell) * y
        inverse += self.offset.take(cell)
        return inverse


def surface_of(depth_m: Floats, smooth: float = np.inf) -> Surface:
    """The planes of an (h, w) depth image in metres; 0, infinite or NaN is no depth.

    ``smooth``: see :class:`~mimic.geometry.posed_depth.Tolerance`; infinite to trust every pixel.
    """
    height, width = depth_m.shape
    # NaN is what neither a slope nor a comparison takes for a depth. One row after the other, with
    # a border between: neighbours are a fixed number of cells apart.
    image = np.full((height + 2, width + 2), np.nan, dtype=np.float32)
    image[1:-1, 1:-1] = depth_m
    inverse = image.ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        valid = ((inverse > 0) & (inverse < np.inf)).view(np.uint8).astype(np.float32)
        inverse *= valid
        np.divide(valid, inverse, out=inverse)
        slope_x, mixed_x = _slopes(inverse, 1, smooth)
        slope_y, mixed_y = _slopes(inverse, width + 2, smooth)
    inverse[mixed_x] = np.nan
    inverse[mixed_y] = np.nan
    offset = image - slope_x.reshape(image.shape) * _centres(width + 2)
    offset -= slope_y.reshape(image.shape) * _centres(height + 2)[:, None]
    offset[[0, -1]] = -np.inf
    offset[:, [0, -1]] = -np.inf
    return Surface(inverse, offset.ravel(), slope_x, slope_y, (width, height))


def inner(bordered: NDArray[_T], size: tuple[int, int]) -> NDArray[_T]:
    """The image (h, w) without its border."""
    return bordered.reshape(size[1] + 2, size[0] + 2)[1:-1, 1:-1]


def behind(surface: Surface, intrinsics: Matrix, point: NDArray[np.float64]) -> Bools:
    """Of each pixel (h, w), whether a point lies behind the surface; ``point`` (3,), camera axes.

    The slopes to both sides must say so, each taken over some pixels: depth comes in steps where it
    was enlarged, and beside an edge one of the slopes is none of the surface.
    """
    at_x, at_y, at_1 = (_BORDERED @ intrinsics @ point).astype(np.float32)
    width, height = surface.size
    image = surface.inverse.reshape(height + 2, width + 2)
    arm_x = at_x - at_1 * _centres(width + 2)
    arm_y = at_y - at_1 * _centres(height + 2)[:, None]
    with np.errstate(invalid="ignore"):
        # Relative to the plane n . X = 1 of each pixel: a point beyond it has more, the camera 0.
        side = image * at_1
        side += _least_rise(image, 1, arm_x / _REACH)
        side += _least_rise(image, width + 2, arm_y / _REACH)
        beyond: Bools = (side > 1)[1:-1, 1:-1]
    return beyond


def _least_rise(image: Floats, apart: int, arm: Floats) -> Floats:
    """The lesser of the rises along an arm, by the steps to ``_REACH`` cells before and after."""
    count, reach = image.size, _REACH * apart
    steps = np.full(count + reach, np.nan, dtype=np.float32)
    np.subtract(image.ravel()[reach:], image.ravel()[:-reach], out=steps[reach:count])
    before, after = (part.reshape(image.shape) for part in (steps[:count], steps[reach:]))
    least: Floats = np.minimum(before * arm, after * arm)
    return least


def normals_from_depth(
    depth_m: Floats, intrinsics: Matrix, smooth: float = DEFAULT_TOLERANCE.smooth
) -> Floats:
    """Unit normals (h, w, 3) float32 in camera axes, towards the camera; 0 where not known.

    Args:
        depth_m: (h, w) metres along the optical axis, 0 where unknown.
        intrinsics: (3, 3), of the same pixels.
        smooth: see :class:`~mimic.geometry.posed_depth.Tolerance`.
    """
    surface = surface_of(depth_m, smooth)
    planes = np.stack([surface.slope_x, surface.slope_y, surface.offset])
    with np.errstate(invalid="ignore"):
        # A plane is n . X = 1, with n away from the camera: 1 / z = (pixel, 1) . K^-T n.
        away = -(_BORDERED @ intrinsics).T.astype(np.float32) @ planes
        away /= np.linalg.norm(away, axis=0)
    normals = [inner(np.nan_to_num(axis), surface.size) for axis in away]
    return np.stack(normals, axis=2)


def _centres(count: int) -> Floats:
    return np.arange(count, dtype=np.float32) + np.float32(0.5)


def _slopes(inverse: Floats, apart: int, smooth: float) -> tuple[Floats, Cells]:
    """The slope of each cell to those ``apart`` from it, and which cells mix two surfaces there."""
    steps = inverse[apart:] - inverse[:-apart]
    slopes = np.zeros_like(inverse)
    before, after = steps[:-apart], steps[apart:]
    # The gentler of two that run the same way, else none; the only one beside a hole.
    inside = slopes[apart:-apart]
    np.fmax(np.fmin(before, after), 0, out=inside)
    inside += np.fmin(np.fmax(before, after), 0)
    return slopes, _mixed(inverse, slopes, steps, apart, smooth)


def _mixed(inverse: Floats, slopes: Floats, steps: Floats, apart: int, smooth: float) -> Cells:
    """Cells between two steps that do not go on as a plane would, on either side."""
    cell: Cells = np.flatnonzero(np.abs(slopes) > np.float32(smooth) * inverse)
    before, after = steps[cell - apart], steps[cell]
    ahead = steps[np.minimum(cell + apart, len(steps) - 1)]
    behind = steps[np.maximum(cell - 2 * apart, 0)]
    goes_on = np.abs(behind - before) < np.abs(before) / 2
    goes_on |= np.abs(ahead - after) < np.abs(after) / 2
    goes_on |= np.isnan(before) | np.isnan(after)
    mixed: Cells = cell[~goes_on]
    return mixed
