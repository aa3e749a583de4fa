"""From the pictures of a lens to those of a pinhole, and depth by the pixels of a colour picture.

Depth is never interpolated: each pixel takes the one depth pixel that its ray falls into. Where
depth has a camera of its own, that camera is assumed to stand at the colour camera's centre and to
look the same way: what lies between the two (2.5 cm in a first Kinect) is neglected.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimic.sources.rgbd.listed import Lens
from mimic.types import Matrix, UInt8Image

MAX_ASPECT_DIFFERENCE = 0.02
"""Depth of a known field of view must have the colour's proportions (1296 x 968 and 640 x 480)."""

CENTRE = (0.35, 0.65)
"""Where the principal point must lie as a share of each side: intrinsics of pictures of another
size (a common mistake), or of a turned one, put it elsewhere."""

Floats = NDArray[np.float64]


class Grid(NamedTuple):
    """Pixels of a picture: (n,) continuous ``x`` of its columns and (m,) ``y`` of its rows."""

    x: Floats
    y: Floats


def full_grid(size: tuple[int, int]) -> Grid:
    """The centres of all pixels."""
    return Grid(_centres(0, size[0]), _centres(0, size[1]))


def _centres(start: int, end: int, step: int = 1) -> Floats:
    return np.arange(start, end, step).astype(np.float64) + 0.5


def coarse_grid(lens: Lens, long_side: int) -> tuple[Grid, Matrix]:
    """The centres of every n-th pixel, at most ``long_side`` a side, and their intrinsics."""
    width, height = size_of(lens)
    step = -(-max(width, height) // long_side)
    start = step // 2
    grid = Grid(_centres(start, width, step), _centres(start, height, step))
    intrinsics = lens.intrinsics.copy()
    intrinsics[:2, 2] -= start + 0.5
    intrinsics[:2] /= step
    intrinsics[:2, 2] += 0.5
    return grid, intrinsics


def size_of(lens: Lens) -> tuple[int, int]:
    """Its picture's size, which must be known by now."""
    if lens.size is None:
        raise AssertionError("the size of a lens is not known yet")
    return lens.size


def fits(lens: Lens) -> bool:
    """Whether these may be the intrinsics of pictures of this size."""
    k = lens.intrinsics
    if lens.size is None or not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
        return False
    x, y = k[0, 2] / lens.size[0], k[1, 2] / lens.size[1]
    return bool(CENTRE[0] <= x <= CENTRE[1] and CENTRE[0] <= y <= CENTRE[1])


def straightened(lens: Lens) -> Lens:
    """The pinhole that pictures of a lens are turned into; a pinhole is itself.

    Its focal lengths are the lens's; it is cropped to what the lens saw everywhere.
    """
    if lens.distortion is None:
        return lens
    left, top, right, bottom = _seen(_key(lens), size_of(lens), lens.distortion)
    intrinsics = lens.intrinsics.copy()
    intrinsics[:2, 2] -= (left, top)
    return replace(lens, intrinsics=intrinsics, size=(right - left, bottom - top), distortion=None)


def straight_picture(rgb: UInt8Image, lens: Lens) -> UInt8Image:
    """A picture (h, w, 3) of a lens as its pinhole sees it, interpolated linearly."""
    if lens.distortion is None:
        return rgb
    pinhole = straightened(lens)
    x, y = _source_pixels(full_grid(size_of(pinhole)), pinhole.intrinsics, lens)
    left = np.clip((x - 0.5).astype(np.int64), 0, rgb.shape[1] - 2)
    top = np.clip((y - 0.5).astype(np.int64), 0, rgb.shape[0] - 2)
    right = np.clip(x - 0.5 - left, 0, 1)[..., None]
    down = np.clip(y - 0.5 - top, 0, 1)[..., None]
    upper = rgb[top, left] * (1 - right) + rgb[top, left + 1] * right
    lower = rgb[top + 1, left] * (1 - right) + rgb[top + 1, left + 1] * right
    return np.asarray(np.rint(upper * (1 - down) + lower * down), dtype=np.uint8)


def depth_at(
    grid: Grid, lens: Lens, depth_m: NDArray[np.float32], depth_lens: Lens | None
) -> NDArray[np.float32]:
    """Depth (m, n) at the pixels of a straightened lens; 0 where the depth camera does not look.

    Raises:
        ValueError: the depth has other proportions than the picture, or than its own camera.
    """
    source = _depth_lens(lens, depth_m.shape[::-1], depth_lens)
    pinhole = straightened(lens)
    height, width = depth_m.shape
    if source.distortion is None and not pinhole.intrinsics[0, 1] and not source.intrinsics[0, 1]:
        x, y = _scaled_axes(grid, pinhole.intrinsics, source.intrinsics)
        columns, rows = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        across = (columns >= 0) & (columns < width)
        along = (rows >= 0) & (rows < height)
        found = np.zeros((len(rows), len(columns)), dtype=np.float32)
        found[np.ix_(along, across)] = depth_m[np.ix_(rows[along], columns[across])]
        return found
    x, y = _source_pixels(grid, pinhole.intrinsics, source)
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    seen = depth_m[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.where(inside, seen, np.float32(0))


def scaled(lens: Lens, size: tuple[int, int]) -> Lens:
    """The same camera with pictures of another size."""
    width, height = size_of(lens)
    factors = np.diag([size[0] / width, size[1] / height, 1.0])
    return replace(lens, intrinsics=factors @ lens.intrinsics, size=size)


def _depth_lens(lens: Lens, size: tuple[int, int], own: Lens | None) -> Lens:
    """The camera that a depth image of this size was taken by."""
    known = own or lens
    expected = known.size or size
    if size == expected:
        source = replace(known, size=size)
        if not fits(source):
            raise ValueError(f"depth of {size[0]} x {size[1]} pixels does not fit its intrinsics")
        return source
    aspect = (size[0] / size[1]) / (expected[0] / expected[1])
    if abs(aspect - 1) > MAX_ASPECT_DIFFERENCE:
        raise ValueError(
            f"depth of {size[0]} x {size[1]} pixels does not fit {expected[0]} x {expected[1]}"
        )
    return scaled(replace(known, size=expected), size)


def _scaled_axes(grid: Grid, pinhole: Matrix, source: Matrix) -> tuple[Floats, Floats]:
    x = (grid.x - pinhole[0, 2]) * (source[0, 0] / pinhole[0, 0]) + source[0, 2]
    y = (grid.y - pinhole[1, 2]) * (source[1, 1] / pinhole[1, 1]) + source[1, 2]
    # A pixel centre that stays one must not fall off it by rounding.
    return np.round(x, 9), np.round(y, 9)


def _source_pixels(grid: Grid, pinhole: Matrix, source: Lens) -> tuple[Floats, Floats]:
    """Where the pixels (m, n) of a pinhole lie in the picture of a lens."""
    v, u = np.meshgrid(grid.y, grid.x, indexing="ij")
    y = (v - pinhole[1, 2]) / pinhole[1, 1]
    x = (u - pinhole[0, 2] - pinhole[0, 1] * y) / pinhole[0, 0]
    if source.distortion is not None:
        x, y = _distorted(x, y, source.distortion)
    k = source.intrinsics
    return np.round(k[0, 0] * x + k[0, 1] * y + k[0, 2], 9), np.round(k[1, 1] * y + k[1, 2], 9)


def _distorted(
    x: Floats, y: Floats, distortion: tuple[float, float, float, float, float]
) -> tuple[Floats, Floats]:
    """Brown's model, as OpenCV writes it."""
    k1, k2, p1, p2, k3 = distortion
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def _key(lens: Lens) -> tuple[float, ...]:
    return tuple(float(value) for value in lens.intrinsics.ravel())


@lru_cache(maxsize=16)
def _seen(
    intrinsics: tuple[float, ...],
    size: tuple[int, int],
    distortion: tuple[float, float, float, float, float],
) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a part of the pinhole's picture that the lens saw whole."""
    k = np.array(intrinsics).reshape(3, 3)
    x, y = _source_pixels(full_grid(size), k, Lens(k, size, distortion=distortion))
    inside = (x >= 0) & (x <= size[0]) & (y >= 0) & (y <= size[1])
    left, top, right, bottom = 0, 0, size[0], size[1]
    while not inside[top:bottom, left:right].all():
        part = inside[top:bottom, left:right]
        shares = [part[0].mean(), part[-1].mean(), part[:, 0].mean(), part[:, -1].mean()]
        side = int(np.argmin(shares))
        top, bottom = top + (side == 0), bottom - (side == 1)
        left, right = left + (side == 2), right - (side == 3)
    return left, top, right, bottom
