"""The demo room is ground truth for later tests, so its geometry is tested against itself."""

from __future__ import annotations

import numpy as np
import pytest

from mimic.demo import (
    Box,
    Rendering,
    Scene,
    build_scene,
    furnished_room,
    look_at,
    orbit,
    pinhole,
    render,
    stand_turn_cut,
    walk,
)

SIZE = (192, 144)
PATHS = (walk, orbit, stand_turn_cut)


@pytest.fixture(scope="module")
def room() -> Scene:
    return furnished_room()


@pytest.fixture(scope="module")
def plain() -> Scene:
    """A 4 x 2 x 4 m room with one cube of 0.4 m in its middle, on the axis of the camera."""
    room = Box("room", (0.0, 0.0, 0.0), (4.0, 2.0, 4.0), ("plaster",))
    cube = Box("cube", (1.8, 0.8, 1.8), (2.2, 1.2, 2.2), ("collage",))
    return build_scene((room, cube), seed=1)


def _pixel_centres(size: tuple[int, int]) -> np.ndarray:
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    return np.stack([x.ravel(), y.ravel(), np.ones(x.size)])


def _moved(one: Rendering, two: Rendering) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres of view 1 as view 2 sees them: xy (2, N) and depth (N,)."""
    size = one.depth_m.shape[::-1]
    camera = np.linalg.inv(one.intrinsics) @ _pixel_centres(size) * one.depth_m.ravel()
    world = one.cam_to_world @ np.vstack([camera, np.ones(camera.shape[1])])
    there = (np.linalg.inv(two.cam_to_world) @ world)[:3]
    projected = two.intrinsics @ there
    return projected[:2] / projected[2], there[2]


def _two_views(room: Scene) -> tuple[Rendering, Rendering]:
    poses = orbit(60)
    intrinsics = pinhole(SIZE, 68.0)
    one, two = (render(room, intrinsics, poses[i], SIZE) for i in (20, 24))
    return one, two


def test_depth_and_position_are_the_ones_computed_by_hand(plain: Scene) -> None:
    eye = np.array([2.0, 1.0, 0.5])
    seen = render(
        plain, pinhole((200, 100), 90.0), look_at(eye, eye + np.array([0, 0, 1.0])), (200, 100)
    )
    cube = seen.face // 6 == 1
    assert set(seen.face[cube]) == {6 + 4}  # the low z face of the second box
    np.testing.assert_allclose(seen.depth_m[cube], 1.3, atol=1e-12)  # its near face at z = 1.8
    rows, columns = np.nonzero(cube)  # focal 100 px: the face spans 0.4 / 1.3 * 100 = 30.8 px
    assert (columns.min(), columns.max()) == (85, 114)
    assert (rows.min(), rows.max()) == (35, 64)
    assert seen.depth_m[50, 195] == pytest.approx(2.0 / 0.955, rel=1e-9)  # the side wall, x = 0
    assert seen.face[0, 100] // 2 * 2 + 1 == 3  # up in the picture is the ceiling (high y)


def test_right_in_the_picture_is_right_of_the_camera(plain: Scene) -> None:
    eye = np.array([2.0, 1.0, 0.5])
    pose = look_at(eye, eye + np.array([0, 0, 1.0]))
    np.testing.assert_allclose(pose[:3, :3], [[-1, 0, 0], [0, -1, 0], [0, 0, 1]], atol=1e-12)
    seen = render(plain, pinhole((200, 100), 90.0), pose, (200, 100))
    assert seen.face[50, 199] == 0  # facing +z with +y up, low x is on the right
    assert seen.face[50, 0] == 1


def test_points_moved_by_depth_and_pose_land_on_the_depth_of_the_other_view(room: Scene) -> None:
    one, two = _two_views(room)
    xy, depth = _moved(one, two)
    left, top = np.floor(xy - 0.5).astype(int)
    inside = (left >= 0) & (top >= 0) & (left < SIZE[0] - 1) & (top < SIZE[1] - 1) & (depth > 0)
    left, top, faces = left[inside], top[inside], one.face.ravel()[inside]
    corners = [(top + j, left + i) for j in (0, 1) for i in (0, 1)]
    same = np.logical_and.reduce([two.face[c] == faces for c in corners])
    fx, fy = (xy[:, inside] - 0.5) - [left, top]
    weights = [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy]
    # the inverse of depth is linear in the pixel on a plane, so its interpolation is exact
    inverse = np.sum([w / two.depth_m[c] for w, c in zip(weights, corners, strict=True)], axis=0)
    assert same.mean() > 0.6
    np.testing.assert_allclose(1 / inverse[same], depth[inside][same], rtol=1e-9)
    nearest = np.minimum.reduce([two.depth_m[c] for c in corners])
    assert (nearest < depth[inside] + 0.2).all()  # nothing is seen through a surface


def test_points_keep_their_colour_between_views(room: Scene) -> None:
    one, two = _two_views(room)
    xy, _ = _moved(one, two)
    column, row = np.floor(xy).astype(int)
    inside = (column >= 0) & (row >= 0) & (column < SIZE[0]) & (row < SIZE[1])
    column, row = column[inside], row[inside]
    same = two.face[row, column] == one.face.ravel()[inside]
    before = one.rgb.reshape(-1, 3)[inside][same].astype(float)
    after = two.rgb[row, column][same].astype(float)
    difference = np.abs(before - after).mean()
    unrelated = np.abs(before - np.roll(after, len(after) // 2, axis=0)).mean()
    assert difference < 0.12 * unrelated


def test_the_seed_changes_the_paint_and_not_the_shape(room: Scene) -> None:
    intrinsics, pose = pinhole(SIZE, 68.0), walk(10)[3]
    first, again, other = (
        render(scene, intrinsics, pose, SIZE)
        for scene in (room, furnished_room(0), furnished_room(1))
    )
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.depth_m, other.depth_m)
    assert np.abs(first.rgb.astype(int) - other.rgb).mean() > 10


@pytest.mark.parametrize("path", PATHS)
def test_cameras_stay_in_the_room_and_out_of_the_furniture(path, room: Scene) -> None:
    for pose in path(90):
        rotation, place = pose[:3, :3], pose[:3, 3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert rotation[1, 1] < -0.7  # upright: the picture's down is the world's down
        inside = (place > room.low - 0.1) & (place < room.high + 0.1)
        assert inside[0].all()
        assert not inside[1:].all(axis=1).any()


@pytest.mark.parametrize("path", [walk, orbit])
def test_paths_are_smooth(path) -> None:
    places = np.array([pose[:3, 3] for pose in path(135)])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps.max() < 0.12
    assert np.linalg.norm(np.diff(places, n=2, axis=0), axis=1).max() < 0.02


def test_the_third_path_stands_still_turns_and_cuts() -> None:
    poses = stand_turn_cut(120)
    places = np.array([pose[:3, 3] for pose in poses])
    assert all(pose is poses[0] for pose in poses[:30])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps[:89].max() == 0
    assert steps[89] > 3.0
