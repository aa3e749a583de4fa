"""The demo room is ground truth for later tests: what is seen of its file is what its boxes are.

A ray's way through boxes is computed here anew, in closed form, so that nothing is compared with
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mimic.demo import FURNISHED_ROOM, Box, orbit, stand_turn_cut, walk, write_boxes
from mimic.geometry.poses import look_at
from mimic.simulators.base import Camera, Rendering
from mimic.simulators.raycast import Raycaster, load_scene

SIZE = (192, 144)
CAMERA = Camera.pinhole(SIZE, 68.0)
PATHS = (walk, orbit, stand_turn_cut)
PLAIN = (
    Box("room", (0.0, 0.0, 0.0), (4.0, 2.0, 4.0), ("plaster",)),
    Box("cube", (1.8, 0.8, 1.8), (2.2, 1.2, 2.2), ("collage",)),
)
"""A 4 x 2 x 4 m room with one cube of 0.4 m in its middle, on the axis of the camera."""


@dataclass(frozen=True)
class Truth:
    """What rays through pixel centres meet: ``depth_m``, ``face`` (h, w); 6 b + f of box b."""

    depth_m: np.ndarray
    face: np.ndarray

    def settled(self) -> np.ndarray:
        """Pixels (h, w) away from the border of the picture and of the visible faces."""
        inner = np.zeros(self.face.shape, bool)
        inner[1:-1, 1:-1] = True
        for axis in (0, 1):
            for step in (1, -1):
                inner &= self.face == np.roll(self.face, step, axis)
        return inner


def _truth(boxes: tuple[Box, ...], camera: Camera, pose: np.ndarray) -> Truth:
    """Slab tests: where a ray leaves the room, or enters a piece of furniture before."""
    width, height = camera.size
    direction = pose[:3, :3] @ np.linalg.inv(camera.intrinsics) @ _pixel_centres(camera.size)
    direction[direction == 0] = 1e-12
    depth, face = np.full(width * height, np.inf), np.zeros(width * height, int)
    for number, box in enumerate(boxes):
        to_low, to_high = (
            (np.array(end) - pose[:3, 3])[:, None] / direction for end in (box.low, box.high)
        )
        near, far = np.minimum(to_low, to_high), np.maximum(to_low, to_high)
        if number == 0:
            reached, axis, is_high = far.min(axis=0), far.argmin(axis=0), direction > 0
            met = np.ones(width * height, bool)
        else:
            reached, axis, is_high = near.max(axis=0), near.argmax(axis=0), direction < 0
            met = (reached > 0) & (reached < far.min(axis=0)) & (reached < depth)
        side = np.take_along_axis(is_high, axis[None], axis=0)[0]
        depth[met], face[met] = reached[met], (6 * number + 2 * axis + side)[met]
    return Truth(depth.reshape(height, width), face.reshape(height, width))


def _pixel_centres(size: tuple[int, int]) -> np.ndarray:
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    return np.stack([x.ravel(), y.ravel(), np.ones(x.size)])


@pytest.fixture(scope="module")
def room(room_file: Path) -> Raycaster:
    return Raycaster(load_scene(room_file))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Raycaster:
    path = tmp_path_factory.mktemp("plain") / "plain.glb"
    return Raycaster(load_scene(write_boxes(path, PLAIN, seed=1)))


def test_depth_and_position_are_the_ones_computed_by_hand(plain: Raycaster) -> None:
    eye = np.array([2.0, 1.0, 0.5])
    pose = look_at(eye, eye + np.array([0, 0, 1.0]))
    seen = plain.render(Camera.pinhole((200, 100), 90.0), pose, normals=True)
    cube = np.abs(seen.depth_m - 1.3) < 1e-4  # its near face at z = 1.8
    assert seen.normals is not None
    np.testing.assert_allclose(seen.normals[cube], np.tile([0, 0, -1.0], (cube.sum(), 1)))
    rows, columns = np.nonzero(cube)  # focal 100 px: the face spans 0.4 / 1.3 * 100 = 30.8 px
    assert (columns.min(), columns.max()) == (85, 114)
    assert (rows.min(), rows.max()) == (35, 64)
    assert len(rows) == 30 * 30
    assert seen.depth_m[50, 195] == pytest.approx(2.0 / 0.955, rel=1e-4)  # the side wall, x = 0
    np.testing.assert_allclose(seen.normals[0, 100], [0, -1, 0], atol=1e-6)  # up is the ceiling


def test_right_in_the_picture_is_right_of_the_camera(plain: Raycaster) -> None:
    eye = np.array([2.0, 1.0, 0.5])
    pose = look_at(eye, eye + np.array([0, 0, 1.0]))
    np.testing.assert_allclose(pose[:3, :3], [[-1, 0, 0], [0, -1, 0], [0, 0, 1]], atol=1e-12)
    seen = plain.render(Camera.pinhole((200, 100), 90.0), pose, normals=True)
    assert seen.normals is not None  # facing +z with +y up, low x is on the right
    np.testing.assert_allclose(seen.normals[50, [0, 199], 0], [-1, 1], atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_depth_and_normals_are_those_of_the_boxes(path, room: Raycaster) -> None:
    for pose in path(60)[10::23]:
        seen, truth = room.render(CAMERA, pose, normals=True), _truth(FURNISHED_ROOM, CAMERA, pose)
        settled = truth.settled()
        assert settled.mean() > 0.7
        np.testing.assert_allclose(seen.depth_m[settled], truth.depth_m[settled], rtol=1e-4)
        same = np.isclose(seen.depth_m, truth.depth_m, rtol=1e-4)
        assert same.mean() > 0.999  # at an edge, rounding decides which side a ray passes
        normal = np.eye(3)[truth.face // 2 % 3]
        assert seen.normals is not None
        assert (np.abs((seen.normals * normal).sum(axis=2))[settled] > 1 - 1e-5).all()


def test_points_keep_their_colour_between_views(room: Raycaster) -> None:
    poses = orbit(60)
    one, two = (room.render(CAMERA, poses[i]) for i in (20, 24))
    truth_1, truth_2 = (_truth(FURNISHED_ROOM, CAMERA, poses[i]) for i in (20, 24))
    column, row = np.floor(_moved(one, poses[20], poses[24])).astype(int)
    inside = (column >= 0) & (row >= 0) & (column < SIZE[0]) & (row < SIZE[1])
    column, row = column[inside], row[inside]
    same = truth_2.face[row, column] == truth_1.face.ravel()[inside]
    before = one.rgb.reshape(-1, 3)[inside][same].astype(float)
    after = two.rgb[row, column][same].astype(float)
    difference = np.abs(before - after).mean()
    unrelated = np.abs(before - np.roll(after, len(after) // 2, axis=0)).mean()
    assert same.sum() > 10_000
    assert difference < 0.12 * unrelated


def _moved(one: Rendering, pose_1: np.ndarray, pose_2: np.ndarray) -> np.ndarray:
    """Pixel centres of view 1 as view 2 sees them, by the depth: xy (2, N)."""
    seen = np.linalg.inv(CAMERA.intrinsics) @ _pixel_centres(SIZE) * one.depth_m.ravel()
    world = pose_1 @ np.vstack([seen, np.ones(seen.shape[1])])
    projected = CAMERA.intrinsics @ (np.linalg.inv(pose_2) @ world)[:3]
    return projected[:2] / projected[2]


@pytest.mark.parametrize("path", PATHS)
def test_cameras_stay_in_the_room_and_out_of_the_furniture(path) -> None:
    low, high = (np.array([getattr(box, end) for box in FURNISHED_ROOM]) for end in ("low", "high"))
    for pose in path(90):
        rotation, place = pose[:3, :3], pose[:3, 3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert rotation[1, 1] < -0.7  # upright: the picture's down is the world's down
        inside = (place > low - 0.1) & (place < high + 0.1)
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
