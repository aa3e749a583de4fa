"""Where an agent can stand in a mesh: cells of floor, joined into islands.

In the order of the functions: a surface with head-room is a place; small gaps between places are
bridged (scans have holes); places too near to an obstacle go; what is left is joined where a step
is low enough; islands that are no floors (furniture, wall tops, roofs, backs of ceilings) go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.simulators.raycast.floor_columns import (
    MILLIMETRES,
    Columns,
    Floats,
    Grid,
    Keys,
    any_between,
    columns_of,
    distinct,
    nearest,
)

CLIMB_M = 0.2  # the highest step, and the lowest obstacle
GAP_M = 0.3  # a gap in the floor up to this is a hole in the scan
# An island is a floor where it has room to turn around and is no inside of a thing: small, unless
# there is nothing larger. It is no furniture: smaller than the largest tables and beds, and next to
# a larger floor that is lower than it by less than a storey.
FLOOR_WIDTH_M = 0.6
FLOOR_M2 = 1.0
INSIDE_M2 = 4.0
FURNITURE_M2 = 8.0
BESIDE_M = 0.5
STOREY_M = 2.0
# It is no back of a ceiling, nor the bottom of a hollow block: so much more of it facing down than
# up. Where nothing faces up, the file is inside out, and this does not count.
BACK_SHARE = 0.6
_FACING_M = 0.01

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Agent:
    """Who walks: clearance around it, and head-room."""

    radius_m: float
    height_m: float


@dataclass(frozen=True, slots=True)
class FloorCells:
    """Cells (N,) that can be stood on, sorted by column, then height.

    ``column`` indexes the grid, ``height_m`` is in the world, ``island`` counts from 0.
    """

    grid: Grid
    column: Ints
    height_m: Floats
    island: Ints


def floor_cells(triangles: Floats, agent: Agent, cell_m: float, scene: str) -> FloorCells:
    """The floor of (F, 3, 3) triangles; SourceError where the scene is too large for a map."""
    grid = Grid.over(triangles, cell_m, scene)
    columns = columns_of(triangles, grid, scene)
    body = _Body(grid, columns.solid, _mm(CLIMB_M), max(_mm(agent.height_m), _mm(CLIMB_M) + 1))
    places = _standing(columns.level, body)
    for stride in (grid.aside(1, 0), grid.aside(0, 1)):
        places = _bridged(places, body, stride, round(GAP_M / cell_m))
    places = places[_clear(places, body, agent.radius_m / cell_m)]
    links = _links(places, body)
    island = _joined(links)
    keep = _floors(places, links, island, body, _facing(places, columns))
    _, island = np.unique(island[keep], return_inverse=True)
    column, height = np.divmod(places[keep], grid.span)
    return FloorCells(grid, column, grid.corner[1] + height / MILLIMETRES, island)


def _mm(metres: float) -> int:
    return round(metres * MILLIMETRES)


@dataclass(frozen=True, slots=True)
class _Body:
    """What is in the way of an agent: anything ``solid`` between a step and its head."""

    grid: Grid
    solid: Keys
    climb: int
    height: int

    def hits(self, places: Keys) -> Mask:
        return any_between(self.solid, places + self.climb + 1, places + self.height)


def _standing(level: Keys, body: _Body) -> Keys:
    """Level surfaces with head-room; of several within a step, the highest."""
    highest = np.diff(level, append=np.iinfo(np.int64).max) > body.climb
    places = level[highest]
    return places[~body.hits(places)]


def _bridged(places: Keys, body: _Body, stride: int, reach: int) -> Keys:
    """``places`` and straight bridges along one axis, over gaps of up to ``reach`` cells.

    A gap is a gap only where no other floor is seen below or above. (An obstacle in it is found
    when clearance is.)
    """
    edge = places[nearest(places, places + stride, body.climb) < 0]
    bridges = [places]
    for cells in range(1, reach + 2):
        ahead = edge + cells * stride
        found = nearest(places, ahead, body.climb)
        rise = np.where(found >= 0, places[found] - ahead, 0)
        for k in range(1, cells):
            step = edge + k * stride + np.rint(rise * k / cells).astype(np.int64)
            bridges.append(step[found >= 0])
        other = any_between(places, ahead - body.height, ahead + body.height)
        edge = edge[(found < 0) & ~other]
    return distinct(*bridges)


def _clear(places: Keys, body: _Body, radius_cells: float) -> Mask:
    """Whether nothing stands in the way within the radius, from cell centre to cell centre."""
    clear = ~body.hits(places)
    reach = int(radius_cells + 1e-9)
    for x in range(-reach, reach + 1):
        for z in range(-reach, reach + 1):
            if 0 < x * x + z * z <= radius_cells**2 + 1e-9:
                clear[clear] = ~body.hits(places[clear] + body.grid.aside(x, z))
    return clear


def _links(places: Keys, body: _Body) -> Ints:
    """(N, 4) indices of the places a step away in each direction, -1 where there is none."""
    strides = [body.grid.aside(*way) for way in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    return np.stack([nearest(places, places + s, body.climb) for s in strides], axis=1)


def _joined(links: Ints) -> Ints:
    """A label (N,) a connected island: the lowest index in it."""
    count = len(links)
    neighbours = np.where(links < 0, np.arange(count)[:, None], links)
    label = np.arange(count)
    while True:
        lower = label[neighbours].min(axis=1, initial=count)
        root = label.copy()
        np.minimum.at(root, label, lower)  # what one member learns, its label learns
        while not np.array_equal(root, root[root]):
            root = root[root]
        if np.array_equal(root[label], label):
            return label
        label = root[label]


def _facing(places: Keys, columns: Columns) -> Ints:
    """1 for places that face up, -1 for down, 0 for neither or both (N,)."""
    near = _mm(_FACING_M)
    up, down = (any_between(k, places - near, places + near) for k in (columns.up, columns.down))
    return up.astype(np.int64) - down


def _floors(places: Keys, links: Ints, island: Ints, body: _Body, facing: Ints) -> Mask:
    """Which places belong to islands that are floors."""
    cell_m = body.grid.cell_m
    cells = np.bincount(island, minlength=len(places))
    area: Floats = cells * np.float64(cell_m**2)
    roomy = np.zeros(len(places), dtype=bool)
    roomy[island[_inner(links, round(FLOOR_WIDTH_M / 2 / cell_m))]] = True
    furniture = _beside_larger(places, links, island, area, body)
    floors = roomy & ~furniture & ~_mostly_roof(places, island, cells, body)
    fronts = floors & (np.bincount(island, facing, minlength=len(places)) >= -BACK_SHARE * cells)
    if fronts.any():
        floors = fronts
    least = min(INSIDE_M2, area[floors].max(initial=FLOOR_M2))
    return np.asarray((floors & (area >= least))[island])


def _inner(links: Ints, steps: int) -> Mask:
    """Places from which one can go this many steps in any directions and still stand."""
    inner = np.ones(len(links) + 1, dtype=bool)
    inner[-1] = False  # what link -1 reads
    for _ in range(steps):
        inner[:-1] &= inner[links].all(axis=1)
    return inner[:-1]


def _beside_larger(places: Keys, links: Ints, island: Ints, area: Floats, body: _Body) -> Mask:
    """Per label: small, with a larger island beside it that is lower by less than a storey."""
    beside = np.zeros(len(places), dtype=bool)
    rim = np.flatnonzero((links < 0).any(axis=1) & (area[island] < FURNITURE_M2))
    low, high = _mm(STOREY_M), body.climb + 1
    for cells in range(1, round(BESIDE_M / body.grid.cell_m) + 1):
        for x, z in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            middle = places[rim] + body.grid.aside(x * cells, z * cells) - (low + high) // 2
            found = nearest(places, middle, (low - high) // 2)
            larger = (found >= 0) & (area[island[found]] > area[island[rim]])
            beside[island[rim[larger]]] = True
    return beside


def _mostly_roof(places: Keys, island: Ints, cells: Ints, body: _Body) -> Mask:
    """Per label: whether most of it has sky above and another floor below: a ceiling's back."""
    top = (places // body.grid.span + 1) * body.grid.span - 1
    bottom = places // body.grid.span * body.grid.span
    sky = ~any_between(body.solid, places + body.climb + 1, top)
    over = any_between(places, bottom, places - _mm(STOREY_M))
    return np.bincount(island, sky & over, minlength=len(places)) > cells / 2
