"""Walks: where cameras stand and look, on a room whose depth is known, and on a real floor map."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mimic.config import SceneConfig
from mimic.geometry.covisibility import PosedDepth, covisible
from mimic.geometry.poses import about, back_projected, look, look_at
from mimic.ids import generator_of
from mimic.sampling.walks import (
    VIEWS,
    Pose,
    croco_pair,
    mimic_walk,
    sample_count,
    walk,
)
from mimic.simulators.base import Camera

CONFIG = SceneConfig()
CROCO = SceneConfig(walk="croco")
CAMERA = Camera.pinhole((256, 256), 60.0)


@dataclasses.dataclass
class Hall:
    """An empty hall from (0, 0, 0) to ``size``, ``holes`` of whose directions show nothing."""

    size: tuple[float, float, float] = (6.0, 3.0, 5.0)
    floor_y: float = 0.0
    holes: bool = False
    radius_m: float = 3.0
    depths: int = 0

    @property
    def navigable_area_m2(self) -> float:
        return self.size[0] * self.size[2]

    def random_point(self, rng):
        x, z = rng.random(2)
        return np.array([x * self.size[0], self.floor_y, z * self.size[2]])

    def island_radius_m(self, point):
        return self.radius_m

    def snap(self, point):
        inside = np.clip(point, 0, self.size)
        if np.abs(inside - point)[[0, 2]].max() > 2:
            return None
        return np.array([inside[0], self.floor_y, inside[2]])

    def step(self, start, end, *, slide):
        assert slide
        return np.array([np.clip(end[0], 0, self.size[0]), self.floor_y,
                         np.clip(end[2], 0, self.size[2])])  # fmt: skip

    def depth(self, camera, cam_to_world):
        self.depths += 1
        width, height = camera.size
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        rays = np.linalg.inv(camera.intrinsics) @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
        rays = cam_to_world[:3, :3] @ rays
        eye = cam_to_world[:3, 3:]
        with np.errstate(divide="ignore"):
            sides = np.where(rays > 0, (np.array(self.size)[:, None] - eye) / rays, -eye / rays)
        depth = sides.min(axis=0).reshape(height, width)
        if self.holes:
            depth[:, width // 2 :] = 0
        return depth.astype(np.float32)

    def render(self, camera, cam_to_world, *, normals=False):
        raise AssertionError("a walk needs no pictures")

    def close(self):
        pass


class Crumbs(Hall):
    """Whatever way one looks, something hangs 1 cm before the lens: nothing is seen twice."""

    def depth(self, camera, cam_to_world):
        return np.full(camera.size[::-1], np.float32(0.01))


def yaw_of(pose: Pose) -> float:
    forward = pose.cam_to_world[:3, 2]
    return float(np.degrees(np.arctan2(-forward[0], -forward[2])))


def turned(from_deg: float, to_deg: float) -> float:
    return (to_deg - from_deg) % 360


def angles_between(pose, wanted):
    """Angles (deg) about the camera's x, y and z axes that lead from one rotation to another."""
    delta = wanted[:3, :3].T @ pose[:3, :3]
    pan = np.degrees(np.arctan2(delta[0, 2], delta[2, 2]))
    tilt = np.degrees(np.arcsin(-delta[1, 2]))
    roll = np.degrees(np.arctan2(delta[1, 0], delta[1, 1]))
    return pan, tilt, roll


# -- poses


def test_look_is_a_rotation_with_opencv_axes():
    pose = look(np.array([1.0, 2.0, 3.0]), 0.0)
    assert pose[:3, :3] == pytest.approx(np.diag([1.0, -1.0, -1.0]))  # right +x, down -y, along -z
    assert pose[:3, 3] == pytest.approx([1, 2, 3])
    assert look(np.zeros(3), 90.0)[:3, 2] == pytest.approx([-1, 0, 0])
    assert look(np.zeros(3), 0.0, 30.0)[1, 2] == pytest.approx(0.5)  # up
    assert look(np.zeros(3), 40.0, 30.0, 20.0)[:3, 2] == pytest.approx(
        look(np.zeros(3), 40.0, 30.0)[:3, 2]
    )
    leaning = look(np.zeros(3), 0.0, 0.0, 20.0)  # to its left: its right side goes up
    assert leaning[1, 0] == pytest.approx(np.sin(np.radians(20)))
    for pose in (look(np.zeros(3), 123.0, 45.0, 67.0), look_at(np.zeros(3), np.ones(3))):
        assert pose[:3, :3] @ pose[:3, :3].T == pytest.approx(np.eye(3))
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


def test_look_at_and_look_agree():
    eye, target = np.array([1.0, 1.5, 2.0]), np.array([-2.0, 0.3, 5.0])
    ahead = target - eye
    yaw = np.degrees(np.arctan2(-ahead[0], -ahead[2]))
    pitch = np.degrees(np.arcsin(ahead[1] / np.linalg.norm(ahead)))
    assert look_at(eye, target) == pytest.approx(look(eye, yaw, pitch), abs=1e-12)
    in_camera = np.linalg.inv(look_at(eye, target)) @ [*target, 1]
    assert in_camera[:2] == pytest.approx([0, 0], abs=1e-12)
    with pytest.raises(ValueError, match="no upright camera"):
        look_at(eye, eye + np.array([0.0, 1.0, 0.0]))


def test_about_turns_counter_clockwise():
    assert about(0, 90) @ [0, 1, 0] == pytest.approx([0, 0, 1])
    assert about(1, 90) @ [0, 0, 1] == pytest.approx([1, 0, 0])
    assert about(2, 90) @ [1, 0, 0] == pytest.approx([0, 1, 0])


def test_back_projected_points_lie_on_the_walls():
    hall, pose = Hall(), look(np.array([2.0, 1.5, 2.0]), 33.0, 5.0, 7.0)
    points = back_projected(hall.depth(CAMERA, pose), CAMERA.intrinsics, pose)
    on_side = np.minimum(np.abs(points), np.abs(points - hall.size)).min(axis=1)
    assert len(points) == 256 * 256
    assert on_side.max() < 1e-5


# -- how many


def test_the_number_of_samples_follows_the_floor():
    config = SceneConfig(samples_per_m2=10, max_samples=100)
    assert [sample_count(area, config) for area in (0.0, 0.01, 2.51, 9.99, 50.0)] == [
        0, 1, 26, 100, 100,
    ]  # fmt: skip


# -- walk mimic


@pytest.mark.parametrize("seed", range(20))
def test_mimic_walk_geometry(seed):
    hall = Hall(size=(100.0, 3.0, 100.0), floor_y=0.25)
    poses = mimic_walk(hall, np.random.default_rng(seed), CONFIG)
    assert [pose.name for pose in poses] == [f"{name}{i}" for name in "ABC" for i in range(8)]
    assert VIEWS["mimic"] == (len(poses), 8)
    yaws = np.array([yaw_of(pose) for pose in poses]).reshape(3, 8)
    assert turned(yaws[:, :-1], yaws[:, 1:]) == pytest.approx(45.0)
    for before, after in ((0, 1), (1, 2)):
        turn = turned(yaws[before, 0], yaws[after, 0])
        assert min(abs(turn - wanted) for wanted in (60, 120, 240, 300)) < 1e-6
    eyes = np.array([pose.cam_to_world[:3, 3] for pose in poses]).reshape(3, 8, 3)
    assert (eyes == eyes[:, :1]).all()
    assert 1.2 <= eyes[0, 0, 1] - 0.25 <= 1.8
    assert np.ptp(eyes[..., 1]) == 0  # one height a sample
    for before, after in ((0, 1), (1, 2)):
        moved = eyes[after, 0] - eyes[before, 0]
        if (eyes[after, 0, [0, 2]] > 0).all() and (eyes[after, 0, [0, 2]] < 100).all():
            assert 0.5 <= np.linalg.norm(moved) <= 1.0
            ahead = poses[8 * after].cam_to_world[:3, 2]  # its first view looks where it went
            assert moved / np.linalg.norm(moved) == pytest.approx(ahead)
    for pose in poses:
        assert pose.cam_to_world[1, :3] == pytest.approx([0, -1, 0])  # level


def test_mimic_walks_draw_all_turns_and_the_whole_ranges():
    hall = Hall(size=(1000.0, 3.0, 1000.0))
    turns, heights, steps = [], [], []
    for seed in range(300):
        poses = mimic_walk(hall, np.random.default_rng(seed), CONFIG)
        eyes = [pose.cam_to_world[:3, 3] for pose in poses]
        turns += [round(turned(yaw_of(poses[a]), yaw_of(poses[a + 8]))) for a in (0, 8)]
        heights.append(eyes[0][1])
        steps += [np.linalg.norm(eyes[a + 8] - eyes[a]) for a in (0, 8)]
    assert set(turns) == {60, 120, 240, 300}
    assert min(turns.count(turn) for turn in set(turns)) > 110
    assert (min(heights), max(heights)) == pytest.approx((1.2, 1.8), abs=0.02)
    assert (min(steps), max(steps)) == pytest.approx((0.5, 1.0), abs=0.02)
    assert np.mean(steps) == pytest.approx(0.75, abs=0.02)


def test_a_small_island_gives_no_walk():
    config = SceneConfig(min_island_m=6.0)
    assert mimic_walk(Hall(radius_m=5.9), np.random.default_rng(0), config) == ()
    assert len(mimic_walk(Hall(radius_m=6.0), np.random.default_rng(0), config)) == 24
    assert croco_pair(Hall(radius_m=5.9), np.random.default_rng(0), CAMERA, config) == ()


# -- walk croco


@pytest.mark.parametrize("seed", range(20))
def test_croco_pair_looks_at_what_the_first_one_saw(seed):
    hall = Hall(floor_y=0.1)
    poses = croco_pair(hall, np.random.default_rng(seed), CAMERA, CROCO)
    assert [pose.name for pose in poses] == ["A0", "B0"]
    assert VIEWS["croco"] == (len(poses), 1)
    first, second = (pose.cam_to_world for pose in poses)
    for pose in (first, second):
        assert 1.2 <= pose[1, 3] - 0.1 <= 1.8
    full = [PosedDepth(hall.depth(CAMERA, p), CAMERA.intrinsics, p) for p in (first, second)]
    assert covisible(*full).smaller >= 0.5 - 0.02  # found at 64 pixels, measured at 256
    target = back_projected(full[0].depth_m, CAMERA.intrinsics, first).mean(axis=0)
    pan, tilt, roll = angles_between(second, look_at(second[:3, 3], target))
    assert abs(pan) <= 3.2  # the target is found at 64 pixels, too
    assert abs(tilt) <= 10.2
    assert abs(roll) <= 5.2


def test_croco_noise_fills_its_ranges():
    found = []
    for seed in range(150):
        poses = croco_pair(Hall(), np.random.default_rng(seed), CAMERA, SceneConfig(min_covis=0))
        first = poses[0].cam_to_world
        yaw = yaw_of(poses[0])
        _, tilt, roll = angles_between(first, look(first[:3, 3], yaw))
        found.append((tilt, roll))
    tilt, roll = np.abs(found).max(axis=0)
    assert 9 < tilt <= 10.1
    assert 4 < roll <= 5.6
    assert np.abs(np.mean(found, axis=0)).max() < 1.5


def test_croco_refuses_holes_and_gives_up():
    holes = Hall(holes=True)
    assert croco_pair(holes, np.random.default_rng(0), CAMERA, CROCO) == ()
    assert holes.depths == 20  # references; no second view is tried
    apart = Crumbs()
    assert croco_pair(apart, np.random.default_rng(0), CAMERA, CROCO) == ()
    few = Hall()
    config = SceneConfig(walk="croco", attempts=3, min_covis=1.0)
    assert croco_pair(few, np.random.default_rng(0), CAMERA, config) == ()
    assert few.depths == 20 * (1 + 3)


def test_croco_probes_small_pictures():
    sizes = []

    class Watched(Hall):
        def depth(self, camera, cam_to_world):
            sizes.append(camera.size)
            return super().depth(camera, cam_to_world)

    for size in ((256, 256), (640, 480), (32, 24)):
        camera = Camera.pinhole(size, 60.0)
        croco_pair(Watched(), np.random.default_rng(1), camera, CROCO)
    assert set(sizes) == {(64, 64), (64, 48), (32, 24)}


# -- a sample


@pytest.mark.parametrize("config", [CONFIG, CROCO])
def test_a_sample_is_a_function_of_item_seed_walk_and_index(config):
    def poses(item="a", seed=0, sample=0):
        return np.array([p.cam_to_world for p in walk(Hall(), item, seed, sample, config)])

    assert np.array_equal(poses(), poses())
    others = [poses(item="b"), poses(seed=1), poses(sample=1)]
    assert not any(np.array_equal(poses(), other) for other in others)


def test_a_sample_draws_from_its_own_generator():
    rng = generator_of("item", "walk", "mimic", 3, 7)
    by_hand = mimic_walk(Hall(), rng, CONFIG)
    found = walk(Hall(), "item", 3, 7, CONFIG)
    assert all(
        np.array_equal(a.cam_to_world, b.cam_to_world) for a, b in zip(found, by_hand, strict=True)
    )


# -- on the floor of a mesh


class OnMesh(Hall):
    """The hall's depth, walked on by the floor map of a mesh."""

    def __init__(self) -> None:
        super().__init__()
        from mimic.simulators.raycast.floor import FloorMap

        corners = np.array([[i, 0.0, k] for i in (0, 6) for k in (0, 5)])
        floor = corners[[[0, 1, 3], [0, 3, 2]]]
        up = np.array([0, 3.0, 0])
        walls = [
            np.array([[a, b, b + up], [a, b + up, a + up]])
            for a, b in ((corners[i], corners[j]) for i, j in ((0, 1), (1, 3), (3, 2), (2, 0)))
        ]
        self.map = FloorMap.of(np.concatenate([floor, *walls]), 0.1, 1.5)

    def random_point(self, rng):
        return self.map.random_point(rng)

    def island_radius_m(self, point):
        return self.map.island_radius_m(point)

    def snap(self, point):
        return self.map.snap(point)

    def step(self, start, end, *, slide):
        return self.map.step(start, end, slide=slide)


@pytest.mark.parametrize("config", [CONFIG, CROCO])
def test_walks_stay_on_the_floor_of_a_mesh(config):
    hall = OnMesh()
    for sample in range(30):
        poses = walk(hall, "item", 0, sample, config)
        assert len(poses) == VIEWS[config.walk][0]
        for pose in poses:
            x, y, z = pose.cam_to_world[:3, 3]
            snapped = hall.map.snap(np.array([x, 0.0, z]))
            assert snapped == pytest.approx([x, 0.0, z], abs=1e-5)
            assert 1.2 <= y <= 1.8
