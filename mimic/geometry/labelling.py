"""The label of a pixel: where it lands in another view, and what surface is seen there.

What is compared are depths along the other view's ray through the landing point, so every array is
touched a few times only, and nothing is searched. Masked writes and gathers of rows would cost more
than all the rest, hence the arithmetic on flags.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mimic.geometry.posed_depth import Floats, PosedDepth, Tolerance
from mimic.geometry.surface import Bools, Cells, Surface, behind, surface_of

COVISIBLE, OCCLUDED, OUTSIDE, UNKNOWN = 0, 1, 2, 255

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Projected:
    """Where the pixels of a view lie in another one: each (h, w) float32.

    ``x``, ``y`` are continuous pixels of the other view and ``z_m`` the depth there, not finite or
    not positive where a pixel has no depth or lies behind. ``known`` (h, w): it has a depth.
    """

    x: Floats
    y: Floats
    z_m: Floats
    known: Bools


def project(view: PosedDepth, other: PosedDepth, step: int = 1) -> Projected:
    """Project the pixel centres of each ``step``-th row and column of ``view`` into ``other``."""
    start = step // 2
    depth = view.depth_m[start::step, start::step]
    height, width = view.depth_m.shape
    columns = (np.arange(start, width, step) + 0.5).astype(np.float32)
    rows = (np.arange(start, height, step) + 0.5).astype(np.float32)
    to_other = np.linalg.inv(other.cam_to_world) @ view.cam_to_world
    turn = (other.intrinsics @ to_other[:3, :3] @ np.linalg.inv(view.intrinsics)).astype(np.float32)
    shift = (other.intrinsics @ to_other[:3, 3]).astype(np.float32)
    x, y, z = landed = np.empty((3, *depth.shape), dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Linear in the pixel before it is scaled by depth: one outer sum a coordinate.
        for i, coordinate in enumerate(landed):
            line = turn[i, 1] * rows + turn[i, 2]
            np.add(turn[i, 0] * columns, line[:, None], out=coordinate)
            coordinate *= depth
            coordinate += shift[i]
        x /= z
        y /= z
    return Projected(x, y, z, (depth > 0) & (depth < np.inf))


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A view and its surface, for as many pairs as it is in."""

    view: PosedDepth
    surface: Surface

    @classmethod
    def of(cls, view: PosedDepth, tolerance: Tolerance) -> Prepared:
        """Prepare a view."""
        return cls(view, surface_of(view.depth_m, tolerance.smooth))


def labelled(
    view: Prepared, other: Prepared, tolerance: Tolerance, step: int = 1
) -> tuple[Projected, Labels]:
    """Where each ``step``-th pixel of a view lies in the other one, and its label."""
    start = step // 2
    projected = replace(
        project(view.view, other.view, step), known=view.surface.known[start::step, start::step]
    )
    landed = _Landed.of(projected, other.surface)
    backs = None
    if tolerance.normals:
        backs = _seen_from_behind(view, other)[start::step, start::step]
    return projected, _judged(projected, landed, other.surface, tolerance, backs)


def labelled_projected(projected: Projected, other: PosedDepth, tolerance: Tolerance) -> Labels:
    """The labels of pixels that are projected already; their normals are not asked for."""
    surface = surface_of(other.depth_m, tolerance.smooth)
    return _judged(projected, _Landed.of(projected, surface), surface, tolerance, None)


@dataclass(frozen=True, slots=True, eq=False)
class _Landed:
    """The cells of the other view's bordered image that receive pixels, and where in it."""

    cell: Cells
    x: Floats
    y: Floats

    @classmethod
    def of(cls, projected: Projected, surface: Surface) -> _Landed:
        """What lands outside lands on the border."""
        width, height = surface.size
        x = np.fmin(np.fmax(projected.x + 1, 0), width + 1)
        y = np.fmin(np.fmax(projected.y + 1, 0), height + 1)
        cell = y.astype(np.int32)
        cell *= np.int32(width + 2)
        cell += x.astype(np.int32)
        return cls(cell.astype(np.intp), x, y)


def _judged(
    projected: Projected,
    landed: _Landed,
    surface: Surface,
    tolerance: Tolerance,
    backs: Bools | None,
) -> Labels:
    """The labels of pixels that land on a surface; ``backs``: where from behind."""
    with np.errstate(invalid="ignore", over="ignore"):
        inverse = surface.inverse_depth(landed.cell, landed.x, landed.y)
        outside = inverse == -np.inf
        outside |= projected.z_m <= 0
        beyond, slack = _beyond(projected.z_m, inverse, tolerance)
        occluded = (beyond > slack) > outside
        seen = np.abs(beyond) <= slack
        in_front = np.flatnonzero((beyond < -slack) > outside)
        seen.ravel()[in_front] = _seen_beside(projected, landed, surface, tolerance, in_front)
    if backs is not None:
        occluded |= seen & backs
    told = seen
    told |= occluded
    told |= outside
    told &= projected.known
    # Masked writes would cost more than all the rest. 255 is all ones: what is not told is 0 - 1.
    found: Labels = occluded.view(np.uint8)
    found += outside
    found += outside
    found |= told.view(np.uint8) - np.uint8(1)
    return found


def _beyond(z_m: Floats, inverse: Floats, tolerance: Tolerance) -> tuple[Floats, Floats]:
    """How far depths lie beyond surfaces of these inverse depths, and how far they may: shares."""
    beyond = z_m * inverse
    beyond -= 1
    inverse *= np.float32(tolerance.absolute_m)
    inverse += np.float32(tolerance.relative)
    return beyond, inverse


def _seen_beside(
    projected: Projected, landed: _Landed, surface: Surface, tolerance: Tolerance, which: Cells
) -> Bools:
    """Whether points lie on the surface of a neighbour of the cell they land in.

    Where two surfaces meet within a pixel, its depth is that of one. A point in front of it is not
    hidden; if it continues the surface next to it, it is seen.
    """
    cell, x, y = landed.cell.ravel()[which], landed.x.ravel()[which], landed.y.ravel()[which]
    z_m = projected.z_m.ravel()[which]
    aside = np.where(x % 1 < 0.5, -1, 1)
    above = np.where(y % 1 < 0.5, -1, 1) * (surface.size[0] + 2)
    seen = np.zeros(len(which), dtype=bool)
    for neighbour in (cell + aside, cell + above, cell + aside + above):
        beyond, slack = _beyond(z_m, surface.inverse_depth(neighbour, x, y), tolerance)
        seen |= np.abs(beyond) <= slack
    return seen


def _seen_from_behind(view: Prepared, other: Prepared) -> Bools:
    """The pixels (h, w) whose surface has the other camera behind it."""
    apart = other.view.cam_to_world[:3, 3] - view.view.cam_to_world[:3, 3]
    camera = view.view.cam_to_world[:3, :3].T @ apart
    return behind(view.surface, view.view.intrinsics, camera)
