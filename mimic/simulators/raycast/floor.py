"""Navigability from the mesh itself: a floor map to draw places from, and to walk on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.errors import SourceError
from mimic.simulators.base import Point
from mimic.simulators.raycast.floor_cells import CLIMB_M, Agent, FloorCells, floor_cells

SNAP_M = 2.0  # as habitat-sim: within 2 m along x and z, and 4 m in height
SNAP_HEIGHT_M = 4.0
# Columns within the first are looked at, and no more if a place lies within the second.
_REACHES_M = ((0.1, 0.1), (0.5, 0.5), (SNAP_M, np.inf))
_STRIDES_A_CELL = 4
_INSIDE_M = 1e-6  # a snapped point lies this far inside its cell


@dataclass(frozen=True, slots=True)
class FloorMap:
    """The floor of a scene as square cells, on as many storeys as there are. Metres, +y up.

    What is a floor is told in :mod:`mimic.simulators.raycast.floor_cells`. A point is navigable
    where a cell holds it; its height is the cell's. ``first`` (columns + 1,): the cells of a
    column are ``first[column]`` up to ``first[column + 1]``. ``radius_m``: of each island.
    """

    cells: FloorCells
    first: NDArray[np.int64]
    radius_m: NDArray[np.float64]
    scene: str

    @classmethod
    def of(
        cls,
        triangles: NDArray[np.floating],
        agent_radius_m: float,
        agent_height_m: float,
        cell_m: float = 0.05,
        *,
        scene: str = "the scene",
    ) -> FloorMap:
        """The floor of (F, 3, 3) triangles in the world, of which normals do not matter.

        Raises:
            SourceError: the scene has no triangles, or is too large for a map; the message starts
                with ``scene``.
        """
        finite = np.asarray(triangles, dtype=np.float64)
        finite = finite[np.isfinite(finite).all(axis=(1, 2))]
        if len(finite) == 0:
            raise SourceError("empty_scene", f"{scene} has no triangles: there is nothing to see")
        cells = floor_cells(finite, Agent(agent_radius_m, agent_height_m), cell_m, scene)
        columns = cells.grid.width * cells.grid.depth
        first = np.searchsorted(cells.column, np.arange(columns + 1))
        return cls(cells, first, _radii(cells), scene)

    @property
    def area_m2(self) -> float:
        """Floor that can be stood on."""
        return len(self.cells.column) * self.cells.grid.cell_m**2

    def random_point(self, rng: np.random.Generator) -> Point:
        """A navigable point, uniform over the floor; SourceError where there is no floor."""
        if len(self.cells.column) == 0:
            raise SourceError(
                "no_floor",
                f"{self.scene} has no floor to stand on: check its upward axis "
                "(source.scene.up) and that its unit is the metre",
            )
        index = int(rng.integers(len(self.cells.column)))
        x, z = self._corner(index) + rng.random(2) * self.cells.grid.cell_m
        return np.array([x, self.cells.height_m[index], z])

    def island_radius_m(self, point: Point) -> float:
        """How far the floor connected with a navigable point reaches from its mean (habitat's)."""
        return float(self.radius_m[self.cells.island[self._standing(point)]])

    def snap(self, point: Point) -> Point | None:
        """The nearest navigable point within 2 m along x and z and 4 m in height, or None."""
        limits = [SNAP_M, SNAP_M, SNAP_HEIGHT_M]
        for reach, enough in _REACHES_M:
            index = self._around(point, reach)
            ground = np.clip(point[[0, 2]], *self._inside(index))
            away = np.column_stack([ground - point[[0, 2]], self.cells.height_m[index] - point[1]])
            distance = np.linalg.norm(away, axis=1)
            allowed = np.flatnonzero((np.abs(away) <= limits).all(axis=1) & (distance <= enough))
            if len(allowed):
                best = allowed[np.argmin(distance[allowed])]
                return np.array(
                    [ground[best, 0], self.cells.height_m[index[best]], ground[best, 1]]
                )
        return None

    def step(self, start: Point, end: Point, *, slide: bool) -> Point:
        """Where one gets from a navigable point straight towards ``end``, over steps of 0.2 m.

        Obstacles stop it at the last navigable place. With ``slide`` it goes on along x or z as
        long as that brings it nearer to ``end`` on that axis, and straight again where it can: it
        ends where sliding gets nearest, as habitat's does.
        """
        here = self._standing(start)
        ground, goal = start[[0, 2]].astype(np.float64), end[[0, 2]].astype(np.float64)
        stride = self.cells.grid.cell_m / _STRIDES_A_CELL
        moved = True
        while moved:
            moved = False
            for trial in _trials(goal - ground, stride, slide):
                there = self._linked(here, ground + trial)
                if there >= 0:
                    here, ground, moved = there, ground + trial, True
                    break
        return np.array([ground[0], self.cells.height_m[here], ground[1]])

    def _column(self, point: Point) -> tuple[int, int]:
        grid = self.cells.grid
        x, z = np.floor((point[[0, 2]] - grid.corner[[0, 2]]) / grid.cell_m)
        return int(x), int(z)

    def _corner(self, index: int | NDArray[np.int64]) -> NDArray[np.float64]:
        """(..., 2) lowest x and z of cells."""
        grid = self.cells.grid
        x, z = np.divmod(self.cells.column[index], grid.depth)
        return grid.corner[[0, 2]] + np.stack([x, z], axis=-1) * grid.cell_m

    def _around(self, point: Point, reach_m: float) -> NDArray[np.int64]:
        """Cells in the columns within a reach along x and z."""
        grid, aside = self.cells.grid, np.array([reach_m, 0.0, reach_m])
        low, high = self._column(point - aside), self._column(point + aside)
        rows = np.arange(max(low[0], 0), min(high[0] + 1, grid.width)) * grid.depth
        z_low, z_high = max(low[1], 0), min(high[1] + 1, grid.depth)
        if z_low >= z_high or len(rows) == 0:
            return np.empty(0, dtype=np.int64)
        starts, stops = self.first[rows + z_low], self.first[rows + z_high]
        return np.concatenate([np.arange(*ends) for ends in zip(starts, stops, strict=True)])

    def _inside(self, index: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, 2) lowest and highest x and z that are safely inside of cells."""
        corner = self._corner(index)
        return corner + _INSIDE_M, corner + (self.cells.grid.cell_m - _INSIDE_M)

    def _cell(self, point: Point) -> int:
        """The cell that holds a point (y within a step), -1 where none does."""
        grid = self.cells.grid
        x, z = self._column(point)
        if not (0 <= x < grid.width and 0 <= z < grid.depth):
            return -1
        start, stop = self.first[x * grid.depth + z : x * grid.depth + z + 2]
        if start == stop:
            return -1
        rise = np.abs(self.cells.height_m[start:stop] - point[1])
        return int(start + np.argmin(rise)) if rise.min() <= CLIMB_M + 1e-9 else -1

    def _standing(self, point: Point) -> int:
        index = self._cell(point)
        if index < 0:
            raise ValueError(f"{point} is not on the floor: snap it first")
        return index

    def _linked(self, here: int, ground: NDArray[np.float64]) -> int:
        """The cell at ``ground`` (x, z) if one can step there from cell ``here``, else -1."""
        there = self._cell(np.array([ground[0], self.cells.height_m[here], ground[1]]))
        return there if there >= 0 and self.cells.island[there] == self.cells.island[here] else -1


def _trials(ahead: NDArray[np.float64], stride: float, slide: bool) -> list[NDArray[np.float64]]:
    """Small moves to try: straight on, then along the axis with more to go, then the other."""
    distance = float(np.hypot(*ahead))
    if distance < _INSIDE_M:
        return []
    straight = ahead * min(1.0, stride / distance)
    if not slide:
        return [straight]
    along = np.diag(np.clip(ahead, -stride, stride))
    axes = np.argsort(-np.abs(ahead), kind="stable")
    return [straight, *(along[axis] for axis in axes if abs(ahead[axis]) > _INSIDE_M)]


def _radii(cells: FloorCells) -> NDArray[np.float64]:
    """The largest distance of an island's cells from their mean, an island."""
    grid = cells.grid
    x, z = np.divmod(cells.column, grid.depth)
    places = np.column_stack([x * grid.cell_m, cells.height_m, z * grid.cell_m])
    count = np.bincount(cells.island)
    mean = np.stack([np.bincount(cells.island, axis) for axis in places.T], axis=1) / count[:, None]
    away = np.linalg.norm(places - mean[cells.island], axis=1)
    radius = np.zeros(len(count))
    np.maximum.at(radius, cells.island, away)
    return radius
