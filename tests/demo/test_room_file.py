"""The room is a real scene: it is read and walked on as any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mimic.demo import FURNISHED_ROOM, Box, write_boxes, write_room
from mimic.simulators.raycast import RaycastSimulator, load_scene

RADIUS_M, HEIGHT_M, CLIMB_M = 0.1, 1.5, 0.2
CUPBOARD = (
    Box("room", (0.0, 0.0, 0.0), (2.0, 2.0, 2.0), ("plaster",)),
    Box("cupboard", (0.5, 0.0, 0.5), (1.0, 1.5, 0.75), ("wood",)),
)


def test_the_same_seed_gives_the_same_bytes_and_another_only_other_paint(tmp_path: Path) -> None:
    first, again, other = (
        write_boxes(tmp_path / str(number) / "room.glb", CUPBOARD, seed)
        for number, seed in enumerate((0, 0, 1))
    )
    assert first.read_bytes() == again.read_bytes()
    one, two = load_scene(first), load_scene(other)
    np.testing.assert_array_equal(one.triangles, two.triangles)
    floors = [scene.materials[2].picture.rgba[:, :, :3].astype(int) for scene in (one, two)]
    assert np.abs(floors[0] - floors[1]).mean() > 5


def test_the_furnished_room_is_written_the_same_twice(room_file: Path, tmp_path: Path) -> None:
    assert write_room(tmp_path / "new" / "again.glb").read_bytes() == room_file.read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["again.glb"]
    assert room_file.stat().st_size < 15e6


def test_every_face_is_there_with_its_own_picture_and_seen_from_its_side(room_file: Path) -> None:
    scene = load_scene(room_file)
    faces = 6 * len(FURNISHED_ROOM)
    assert scene.textured
    assert len(scene.triangles) == 2 * faces
    np.testing.assert_array_equal(scene.material, np.repeat(np.arange(faces), 2))
    corners = scene.triangles.astype(float)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = np.repeat([np.add(b.low, b.high) / 2 for b in FURNISHED_ROOM], 12, axis=0)
    outward = np.einsum("fa,fa->f", across, corners.mean(axis=1) - middle) > 0
    assert not outward[:12].any()
    assert outward[12:].all()


def test_pictures_are_what_was_painted_and_lie_the_right_way_round(tmp_path: Path) -> None:
    scene = load_scene(write_boxes(tmp_path / "room.glb", CUPBOARD, seed=3))
    front = 6 + 5  # the cupboard's high z face: columns along x, rows down y
    picture = scene.materials[front].picture
    assert picture.wrap == ("clamp", "clamp")
    painted = CUPBOARD[1].painted(5, seed=3)
    assert picture.rgba.shape == (*painted.shape[:2], 4) == (288, 96, 4)
    assert np.abs(picture.rgba[:, :, :3].astype(int) - painted).mean() < 8
    at = {
        tuple(corner): tuple(uv)
        for corner, uv in zip(
            scene.triangles[2 * front : 2 * front + 2].reshape(-1, 3).tolist(),
            scene.uv[2 * front : 2 * front + 2].reshape(-1, 2).tolist(),
            strict=True,
        )
    }
    assert at == {
        (0.5, 1.5, 0.75): (0, 0),
        (1.0, 1.5, 0.75): (1, 0),
        (1.0, 0.0, 0.75): (1, 1),
        (0.5, 0.0, 0.75): (0, 1),
    }


def test_its_floor_is_what_the_furniture_leaves_free(room_file: Path) -> None:
    room = RaycastSimulator(
        room_file, "room.glb", "y", agent_radius_m=RADIUS_M, agent_height_m=HEIGHT_M
    )
    assert room.navigable_area_m2 == pytest.approx(_free_m2(), rel=0.05)
    rng = np.random.default_rng(0)
    points = np.array([room.random_point(rng) for _ in range(200)])
    assert set(np.round(points[:, 1], 3)) == {0.0, 0.02}  # the floor and the rug, no table
    assert room.island_radius_m(points[0]) > 2


def _free_m2() -> float:
    """Floor out of reach of walls and of what stands in the way, counted at every centimetre."""
    walls, *furniture = FURNISHED_ROOM
    x, z = np.meshgrid(np.arange(0.005, walls.high[0], 0.01), np.arange(0.005, walls.high[2], 0.01))
    free = (x > RADIUS_M) & (x < walls.high[0] - RADIUS_M)
    free &= (z > RADIUS_M) & (z < walls.high[2] - RADIUS_M)
    for box in furniture:
        if box.low[1] < HEIGHT_M and box.high[1] > CLIMB_M:
            inside = (x > box.low[0] - RADIUS_M) & (x < box.high[0] + RADIUS_M)
            free &= ~(inside & (z > box.low[2] - RADIUS_M) & (z < box.high[2] + RADIUS_M))
    return float(free.sum()) * 1e-4
