"""Scenes whose depth and visibility are known in closed form: planes, screens, boxes, spheres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mimic.geometry.covisibility import (
    COVISIBLE,
    DEFAULT_TOLERANCE,
    OCCLUDED,
    OUTSIDE,
    UNKNOWN,
    PosedDepth,
)

SIZE = 128
FOCAL = 110.0
K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1.0]])

# From an origin (3,) and directions (3, n), the distance in units of the direction; inf if missed.
Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]


def plane(normal, offset) -> Surface:
    """``normal . p = offset``."""
    normal = np.asarray(normal, float)

    def cast(origin, towards):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (offset - normal @ origin) / (normal @ towards)
        return np.where(t > 0, t, np.inf)

    return cast


def box(low, high) -> Surface:
    """An axis-parallel box (its outside), by slabs; a flat one is a screen."""
    low, high = (np.asarray(corner, float)[:, None] for corner in (low, high))

    def cast(origin, towards):
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = (np.stack([low, high]) - origin[:, None]) / towards
        enter, leave = np.nanmin(ends, axis=0).max(axis=0), np.nanmax(ends, axis=0).min(axis=0)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)

    return cast


def sphere(centre, radius) -> Surface:
    """A ball, seen from outside."""
    centre = np.asarray(centre, float)

    def cast(origin, towards):
        to_centre = centre - origin
        a, b = (towards**2).sum(axis=0), to_centre @ towards
        root = b**2 - a * (to_centre @ to_centre - radius**2)
        t = (b - np.sqrt(np.maximum(root, 0))) / a
        return np.where((root > 0) & (t > 0), t, np.inf)

    return cast


@dataclass(frozen=True)
class Scene:
    """Some surfaces."""

    surfaces: tuple[Surface, ...]

    def cast(self, origin, towards):
        """Distances of the nearest surface along directions (3, n)."""
        return np.minimum.reduce([surface(origin, towards) for surface in self.surfaces])

    def view(self, cam_to_world) -> PosedDepth:
        """What a camera sees."""
        depth = self.cast(cam_to_world[:3, 3], cam_to_world[:3, :3] @ pixel_rays())
        depth = np.where(np.isfinite(depth), depth, 0).reshape(SIZE, SIZE)
        return PosedDepth(depth.astype(np.float32), K, cam_to_world)

    def truth(self, camera, other, tolerance=DEFAULT_TOLERANCE):
        """Labels (SIZE, SIZE) of exact rays, and where exact pixels land: x, y (SIZE, SIZE)."""
        rays = camera[:3, :3] @ pixel_rays()
        depth = self.cast(camera[:3, 3], rays)
        known = np.isfinite(depth)
        points = camera[:3, 3:] + rays * np.where(known, depth, 1)
        local = other[:3, :3].T @ (points - other[:3, 3:])
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = (K @ local)[:2] / local[2]
        z = local[2]
        inside = (z > 0) & (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
        nearest = np.full(SIZE * SIZE, np.inf)
        away = (points - other[:3, 3:])[:, inside]
        nearest[inside] = self.cast(other[:3, 3], away / z[inside])
        slack = tolerance.relative * nearest + tolerance.absolute_m
        labels = np.where(inside, np.where(z > nearest + slack, OCCLUDED, COVISIBLE), OUTSIDE)
        labels = np.where(known, labels, UNKNOWN).astype(np.uint8)
        return tuple(values.reshape(SIZE, SIZE) for values in (labels, x, y))


def pixel_rays():
    """Camera directions (3, n) of all pixel centres, one unit along the optical axis."""
    at = np.arange(SIZE) + 0.5
    x, y = (side.ravel() for side in np.meshgrid(at, at))
    return np.stack([(x - SIZE / 2) / FOCAL, (y - SIZE / 2) / FOCAL, np.ones_like(x)])


def beside_an_edge(view: PosedDepth, x, y):
    """Where pixels land within one and a half pixels of where a view's depth jumps, or ends."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.pad(1 / view.depth_m.astype(float), 1, constant_values=np.inf)
        bent = np.zeros(inverse.shape, bool)
        for axis in (0, 1):  # a plane is linear, however steep
            ends = np.roll(inverse, 1, axis) + np.roll(inverse, -1, axis)
            bent |= ~(np.abs(ends - 2 * inverse) < 0.03 * inverse)
    jumps = bent[1:-1, 1:-1]
    column, row = (
        np.clip(v, 0, SIZE - 1).astype(int) for v in (np.nan_to_num(x), np.nan_to_num(y))
    )
    return _widened(jumps)[row, column]


def at_a_boundary(labels):
    """Pixels next to one of another label."""
    differs = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        step = np.diff(labels.astype(int), axis=axis) != 0
        for side in ((1, 0), (0, 1)):
            differs |= np.pad(step, [side if a == axis else (0, 0) for a in (0, 1)])
    return differs


def _widened(flags):
    padded, wide = np.pad(flags, 1), np.zeros(flags.shape, bool)
    for down in range(3):
        for right in range(3):
            wide |= padded[down : down + SIZE, right : right + SIZE]
    return wide
