"""The floor map against meshes whose floor is known, and on real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_rooms import Triangles, box, rectangle, room, wall, walls

from mimic.errors import SourceError
from mimic.simulators.raycast.floor import FloorMap

RADIUS, HEIGHT, CELL = 0.1, 1.5, 0.05


def floor_of(*parts: Triangles, radius: float = RADIUS, height: float = HEIGHT) -> FloorMap:
    return FloorMap.of(np.concatenate(parts), radius, height, CELL)


def at(x: float, z: float, y: float = 0.0):
    return np.array([x, y, z])


def navigable(floor: FloorMap, point) -> bool:
    """Whether the point is its own nearest floor."""
    snapped = floor.snap(point)
    return snapped is not None and float(np.abs(snapped - point).max()) < 1e-5


def islands(floor: FloorMap) -> int:
    return len(floor.radius_m)


def many_points(floor: FloorMap, count: int = 500, seed: int = 0):
    rng = np.random.default_rng(seed)
    return np.array([floor.random_point(rng) for _ in range(count)])


# -- what is floor


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(1.5, 3.0), z=st.floats(1.5, 3.0), width=st.floats(0.3, 1.5),
    depth=st.floats(0.3, 1.5), top=st.floats(0.3, 3.0), radius=st.sampled_from([0.05, 0.1, 0.3]),
)  # fmt: skip
def test_an_obstacle_takes_its_place_and_the_radius_around_it(x, z, width, depth, top, radius):
    """Area = floor - the obstacle dilated by the radius, within a cell along its border."""
    block = box((x, x + width), (0.0, top), (z, z + depth))
    floor = floor_of(rectangle((0, 6), (0, 6)), block, radius=radius)
    perimeter = 2 * (width + depth)
    dilated = width * depth + perimeter * radius + np.pi * radius**2
    allowed = CELL * (perimeter + 2 * np.pi * radius) + 4 * 6 * CELL
    assert abs(36 - dilated - floor.area_m2) < allowed
    points = many_points(floor, 200)
    aside = np.maximum(x - points[:, 0], points[:, 0] - x - width).clip(min=0)
    beyond = np.maximum(z - points[:, 2], points[:, 2] - z - depth).clip(min=0)
    assert np.hypot(aside, beyond).min() > radius - 1.5 * CELL


def test_what_can_be_stepped_over_is_no_obstacle():
    low = floor_of(rectangle((0, 4), (0, 4)), box((1, 2), (0, 0.15), (1, 2)))
    high = floor_of(rectangle((0, 4), (0, 4)), box((1, 2), (0, 0.25), (1, 2)))
    assert low.area_m2 == pytest.approx(16, abs=0.5)
    assert high.area_m2 == pytest.approx(16 - 1.2**2, abs=0.5)
    assert low.snap(at(1.5, 1.5))[1] == pytest.approx(0.15, abs=1e-3)


@pytest.mark.parametrize("height", [0.45, 0.75, 1.1, 1.9])
def test_nobody_walks_on_furniture(height):
    table = rectangle((2, 4), (1.5, 4.2), height)
    legs = [box((x, x + 0.05), (0, height), (z, z + 0.05)) for x in (2, 3.95) for z in (1.5, 4.15)]
    floor = floor_of(room(6, 6), table, *legs)
    assert islands(floor) == 1
    assert many_points(floor)[:, 1].max() < 0.01
    # Under a table top that is higher than a head one may walk, between its legs.
    assert navigable(floor, at(3.0, 2.6)) == (height > HEIGHT)


def test_nobody_walks_on_walls_or_on_the_ceiling():
    """A house of thick walls, with its ceiling: seen from above both are level and free."""
    outer = [
        box((-0.3, 6.3), (0, 2.5), (-0.3, 0.0)),
        box((-0.3, 6.3), (0, 2.5), (5.0, 5.3)),
        box((-0.3, 0.0), (0, 2.5), (0.0, 5.0)),
        box((6.0, 6.3), (0, 2.5), (0.0, 5.0)),
    ]
    ground = rectangle((0, 6), (0, 5))
    for house in ([ground, *outer], [ground, *outer, rectangle((-0.3, 6.3), (-0.3, 5.3), 2.5)]):
        floor = floor_of(*house)
        assert many_points(floor)[:, 1].max() < 0.01
        assert floor.area_m2 == pytest.approx(5.8 * 4.8, rel=0.04)


def test_nobody_walks_inside_of_things_or_between_ceiling_and_roof():
    """A hollow block and the back of a ceiling under a roof: known by the way they face."""
    ground, roof = rectangle((0, 8), (0, 6)), rectangle((0, 8), (0, 6), 5.0)
    ceiling = rectangle((0, 8), (0, 6), 2.5)[:, ::-1]
    block = box((1, 5), (0.05, 2.0), (1, 4))
    floor = floor_of(ground, roof, ceiling, block)
    assert islands(floor) == 1
    assert many_points(floor)[:, 1].max() < 0.01
    assert not navigable(floor, at(3, 2.5, 0.05))


def test_a_cupboard_is_no_room_but_the_only_room_is():
    hall, cupboard = room(6, 5), room(1.6, 1.4, 2.2) + np.array([2.0, 0.0, 2.0])
    assert islands(floor_of(hall, cupboard)) == 1
    alone = floor_of(cupboard)
    assert navigable(alone, at(2.8, 2.7))
    assert alone.area_m2 == pytest.approx(1.4 * 1.2, rel=0.1)


def test_head_room_under_a_low_ceiling():
    """A ceiling that slopes from 1 m to 3 m: floor only where it is higher than a head."""
    a, b, c, d = ([0, 1, 0], [8, 3, 0], [8, 3, 4], [0, 1, 4])
    floor = floor_of(rectangle((0, 8), (0, 4)), np.array([[a, b, c], [a, c, d]], float))
    assert many_points(floor)[:, 0].min() == pytest.approx(2.0 + RADIUS, abs=2 * CELL)
    assert floor.area_m2 == pytest.approx(5.9 * 4, rel=0.03)


def test_the_way_a_triangle_faces_does_not_matter():
    parts = room(5, 4)
    assert floor_of(parts).area_m2 == floor_of(parts[:, ::-1]).area_m2 > 17


def test_a_doorway_joins_and_a_wall_parts():
    parts = [rectangle((0, 10), (0, 4)), walls((0, 10), (0, 4)), wall((5, 0), (5, 1.5))]
    lintel = box((4.9, 5.1), (2.0, 2.5), (1.5, 2.4))
    joined = floor_of(*parts, wall((5, 2.4), (5, 4)), lintel)
    parted = floor_of(*parts, wall((5, 1.5), (5, 4)))
    assert (islands(joined), islands(parted)) == (1, 2)
    assert joined.island_radius_m(at(1, 2)) == pytest.approx(np.hypot(4.85, 1.85), rel=0.02)
    assert parted.island_radius_m(at(1, 2)) == pytest.approx(np.hypot(2.35, 1.85), rel=0.02)
    through = joined.step(at(4, 1.95), at(6, 1.95), slide=False)
    assert through == pytest.approx(at(6, 1.95))
    assert parted.step(at(4, 1.95), at(6, 1.95), slide=False)[0] < 5 - RADIUS + CELL


def test_a_door_too_narrow_for_the_agent_parts():
    parts = [rectangle((0, 10), (0, 4)), walls((0, 10), (0, 4)), wall((5, 0), (5, 1.5))]
    narrow = [*parts, wall((5, 2.0), (5, 4))]
    assert islands(floor_of(*narrow, radius=0.1)) == 1
    assert islands(floor_of(*narrow, radius=0.35)) == 2


def test_small_holes_are_bridged_and_large_ones_are_not():
    ground = [
        rectangle((0, 6), (0, 2)),
        rectangle((0, 6), (2.2, 4)),  # a slit of 0.2 m along x
        rectangle((0, 6), (5, 7)),  # then one of 1 m
    ]
    floor = floor_of(*ground)
    assert islands(floor) == 2
    assert navigable(floor, at(3, 2.1))
    assert not navigable(floor, at(3, 4.5))
    assert floor.area_m2 == pytest.approx(6 * 4 + 6 * 2, rel=0.03)


def test_a_bridge_does_not_cross_a_ditch_or_a_wall():
    ditch = rectangle((0, 6), (2, 2.2), -0.5)
    banks = [rectangle((0, 6), (0, 2)), rectangle((0, 6), (2.2, 4))]
    assert islands(floor_of(*banks, box((0, 6), (0, 1), (2, 2.2)))) == 2
    deep = floor_of(*banks, ditch)
    assert not navigable(deep, at(3, 2.1))


def test_two_storeys():
    ground, upper = room(5, 4), room(5, 4) + np.array([0.0, 2.8, 0.0])
    floor = floor_of(ground, upper)
    heights = many_points(floor)[:, 1]
    assert islands(floor) == 2
    assert np.unique(heights.round(2)).tolist() == [0.0, 2.8]
    assert (heights > 1).mean() == pytest.approx(0.5, abs=0.1)
    assert floor.step(at(1, 1, 2.8), at(3, 2, 2.8), slide=True) == pytest.approx(at(3, 2, 2.8))
    assert floor.snap(at(2, 2, 2.5))[1] == pytest.approx(2.8)
    assert floor.snap(at(2, 2, 0.9))[1] == pytest.approx(0.0)


def test_stairs_are_climbed():
    steps = [box((3 + 0.3 * i, 3.3 + 0.3 * i), (0, 0.18 * (i + 1)), (0, 2)) for i in range(10)]
    landing = box((6, 9), (0, 1.8), (0, 2))
    floor = floor_of(rectangle((0, 3), (0, 2)), *steps, landing)
    assert islands(floor) == 1
    assert floor.step(at(1, 1), at(8, 1), slide=False) == pytest.approx(at(8, 1, 1.8), abs=1e-3)


def test_a_slope_is_floor_below_45_degrees():
    def ramp(degrees: float) -> FloorMap:
        rise = 6 * np.tan(np.radians(degrees))
        a, b, c, d = ([0, 0, 0], [6, rise, 0], [6, rise, 4], [0, 0, 4])
        return floor_of(np.array([[a, b, c], [a, c, d]], float))

    assert ramp(40).area_m2 == pytest.approx(24, rel=0.03)
    assert ramp(50).area_m2 == 0


def test_file_axes_are_not_its_business_but_up_matters():
    """A Z-up room read as Y-up has other, smaller floors; turned as on loading it is right."""
    upright = room(6, 4, 2.5)
    z_up = np.stack([upright[..., 0], -upright[..., 2], upright[..., 1]], axis=-1)
    turned = np.stack([z_up[..., 0], z_up[..., 2], -z_up[..., 1]], axis=-1)
    assert floor_of(turned).area_m2 == floor_of(upright).area_m2
    assert floor_of(z_up).area_m2 == pytest.approx(5.8 * 2.3, rel=0.06)


def test_no_floor_is_said():
    floor = FloorMap.of(walls((0, 4), (0, 4)), RADIUS, HEIGHT, scene="hall.glb")
    assert floor.area_m2 == 0
    assert floor.snap(at(1, 1)) is None
    with pytest.raises(
        SourceError, match=r"^hall.glb has no floor to stand on: check its"
    ) as raised:
        floor.random_point(np.random.default_rng(0))
    assert raised.value.reason == "no_floor"


def test_no_triangles_is_said():
    with pytest.raises(SourceError, match="has no triangles") as raised:
        FloorMap.of(np.empty((0, 3, 3)), RADIUS, HEIGHT)
    assert raised.value.reason == "empty_scene"
    not_a_number = np.full((3, 3, 3), np.nan)
    assert FloorMap.of(np.concatenate([room(4, 4), not_a_number]), RADIUS, HEIGHT).area_m2 > 13


@pytest.mark.parametrize("size", [3_000.0, 1e7])
def test_a_scene_in_millimetres_is_said_before_memory_is_spent(size):
    with pytest.raises(SourceError, match="scale it if its unit is not the metre") as raised:
        floor_of(rectangle((0, size), (0, size)))
    assert raised.value.reason == "too_large"


def test_degenerate_triangles_and_slivers_do_no_harm():
    sliver = np.array([[[0, 0, 0], [5, 0, 0], [5, 1e-9, 1e-9]], [[1, 0, 1], [1, 0, 1], [1, 0, 1]]])
    assert floor_of(room(5, 4), sliver).area_m2 == floor_of(room(5, 4)).area_m2


# -- points


def test_random_points_are_uniform():
    """Chi-square over 5 x 4 squares of an L-shaped floor: 14 of them have floor."""
    floor = floor_of(rectangle((0, 5), (0, 2)), rectangle((0, 2), (2, 4)))
    points = many_points(floor, 7000)
    counts = np.histogram2d(points[:, 0], points[:, 2], bins=[range(6), range(5)])[0]
    inside = np.zeros((5, 4), bool)
    inside[:, :2] = inside[:2] = True
    assert counts[~inside].sum() < 0.03 * 7000  # cells of the border
    expected = counts[inside].mean()
    assert ((counts[inside] - expected) ** 2 / expected).sum() < 60  # 13 degrees, and border cells
    jitter = points[:, 0] / CELL % 1
    assert np.histogram(jitter, bins=4, range=(0, 1))[0].min() > 1500


def test_points_are_navigable_and_repeat():
    floor = floor_of(room(5, 4), box((1, 2), (0, 1), (1, 2)))
    points = many_points(floor)
    assert all(navigable(floor, point) for point in points)
    assert np.array_equal(points, many_points(floor))
    assert not np.array_equal(points, many_points(floor, seed=1))


def test_snap_finds_the_nearest_within_reach():
    floor = floor_of(room(5, 4))
    assert floor.snap(at(2, 2)) == pytest.approx(at(2, 2), abs=1e-5)
    assert floor.snap(at(2, 2, 1.0)) == pytest.approx(at(2, 2), abs=1e-5)
    assert floor.snap(at(-1, 2)) == pytest.approx(at(RADIUS, 2), abs=1.5 * CELL)
    assert floor.snap(at(6, 5)) == pytest.approx(at(5 - RADIUS, 4 - RADIUS), abs=1.5 * CELL)
    assert floor.snap(at(-2.5, 2)) is None
    assert floor.snap(at(2, 2, 5.0)) is None
    assert floor.snap(at(1e6, 2)) is None
    assert floor.snap(at(-1e6, 2)) is None


def test_asking_off_the_floor_is_a_mistake():
    with pytest.raises(ValueError, match="not on the floor"):
        floor_of(room(5, 4)).island_radius_m(at(50, 2))


# -- steps


def test_a_free_step_arrives():
    floor = floor_of(room(5, 4))
    for slide in (False, True):
        end = floor.step(at(1.01, 1.02), at(3.97, 2.51), slide=slide)
        assert end == pytest.approx(at(3.97, 2.51), abs=1e-9)
        assert np.array_equal(floor.step(at(1, 1), at(1, 1), slide=slide), at(1, 1))


def test_a_blocked_step_stops_and_a_slid_one_goes_along():
    """Towards a wall at x = 5 from (4, 1), with the end behind it at (6, 2)."""
    floor = floor_of(room(5, 4))
    edge = 5 - RADIUS
    blocked = floor.step(at(4, 1), at(6, 2), slide=False)
    assert blocked[0] == pytest.approx(edge, abs=1.5 * CELL)
    assert blocked[2] == pytest.approx(1 + (blocked[0] - 4) / 2, abs=1e-6)  # still on the line
    slid = floor.step(at(4, 1), at(6, 2), slide=True)
    assert slid[0] == pytest.approx(edge, abs=1.5 * CELL)
    assert slid[2] == pytest.approx(2.0, abs=1e-6)  # as far along the wall as the end


def test_a_slide_goes_on_where_the_obstacle_ends():
    floor = floor_of(rectangle((0, 6), (0, 6)), box((2, 4), (0, 1), (2, 2.3)))
    end = floor.step(at(3.5, 1.5), at(4.6, 4), slide=True)
    assert end == pytest.approx(at(4.6, 4), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), slide=st.booleans())
def test_steps_stay_on_the_floor_and_never_run_past(seed, slide):
    floor = CLUTTERED
    rng = np.random.default_rng(seed)
    here = floor.random_point(rng)
    for _ in range(5):
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2)
        wanted = here + length * np.array([np.cos(angle), 0, np.sin(angle)])
        there = floor.step(here, wanted, slide=slide)
        assert navigable(floor, there)
        assert np.linalg.norm(wanted - there) <= np.linalg.norm(wanted - here) + 1e-9
        assert floor.island_radius_m(there) == floor.island_radius_m(here)
        assert np.array_equal(there, floor.step(here, wanted, slide=slide))
        here = there


CLUTTERED = floor_of(
    room(6, 5), wall((3, 0), (3, 3)), box((1, 1.5), (0, 1), (1, 3)), box((4, 5), (0, 0.5), (3, 4))
)


# -- real scans


def scene_triangles(path: Path, up: str = "y") -> Triangles:
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.load_scene(path).to_geometry()
    triangles = np.asarray(mesh.triangles, dtype=float)
    if up == "z":
        triangles = np.stack([triangles[..., 0], triangles[..., 2], -triangles[..., 1]], axis=-1)
    return triangles


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "up", "area_m2", "heights"),
    [
        ("hololens_scan.glb", "y", 22.1, (-0.05, 0.2)),
        ("hololens_fused.ply", "y", 22.1, (-0.05, 0.2)),
        ("vr_gallery.glb", "y", 92.5, (-0.01, 0.05)),
        ("habitat_test_assets/simple_room.glb", "z", 106.7, (0.1, 0.2)),
        ("habitat_test_assets/stage_floor1.glb", "y", 400.0, (-0.8, 1.1)),
    ],
)
def test_real_scenes(real_data, file, up, area_m2, heights):
    """The areas were looked at on drawn maps; one island each, and nobody on the tables."""
    floor = FloorMap.of(scene_triangles(real_data / "scenes" / file, up), RADIUS, HEIGHT)
    assert floor.area_m2 == pytest.approx(area_m2, rel=0.02)
    assert islands(floor) == 1
    assert heights[0] < floor.cells.height_m.min() <= floor.cells.height_m.max() < heights[1]
