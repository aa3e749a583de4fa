"""The habitat simulator with habitat-sim itself: runs wherever it imports, in software.

A context that cannot be made ends the process, so ask for it: MIMIC_TEST_HABITAT_GPU=-1 (software)
or a CUDA device.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mimic.simulators.base import Camera
from mimic.simulators.habitat import HabitatSimulator
from mimic.simulators.opengl import cam_to_world_of

pytest.importorskip("habitat_sim")

CAMERA = Camera.pinhole((128, 96), 90.0)
GPU = int(os.environ.get("MIMIC_TEST_HABITAT_GPU", "-1"))


@pytest.fixture(scope="module")
def scan(real_data: Path) -> Path:
    """A scanned office: Y-up, metres, the floor near y = 0, a GLB without any config."""
    return real_data / "scenes" / "hololens_scan.glb"


@pytest.fixture
def office(scan: Path) -> Iterator[HabitatSimulator]:
    simulator = HabitatSimulator(scan, scan.name, "y", gpu_device_id=GPU)
    yield simulator
    simulator.close()


def test_a_bare_y_up_file_stands_upright(office: HabitatSimulator) -> None:
    """Habitat takes any bare GLB for Z-up; an office of 11 x 10 m has more floor than wall."""
    assert office.navigable_area_m2 > 10
    heights = [office.random_point(np.random.default_rng(i))[1] for i in range(20)]
    assert abs(np.median(heights)) < 0.4


def test_points_are_functions_of_the_generator(office: HabitatSimulator) -> None:
    points = [office.random_point(np.random.default_rng(seed)) for seed in (1, 2, 1)]
    np.testing.assert_array_equal(points[0], points[2])
    assert (points[0] != points[1]).any()


def test_snap_and_steps_stay_on_the_floor(office: HabitatSimulator) -> None:
    start = office.random_point(np.random.default_rng(0))
    for slide in (True, False):
        end = office.step(start, start + np.array([30.0, 0, 0]), slide=slide)
        assert np.linalg.norm(end - start) < 12
        np.testing.assert_allclose(office.snap(end), end, atol=0.05)
    assert office.snap(np.array([0.0, 500.0, 0.0])) is None
    assert office.island_radius_m(start) > 0


def test_looking_straight_down_measures_the_height(office: HabitatSimulator) -> None:
    """Depth is along the axis, in metres; the middle of the picture is the floor below."""
    start = office.random_point(np.random.default_rng(0))
    down = np.array([np.sqrt(0.5), -np.sqrt(0.5), 0, 0])
    seen = office.render(CAMERA, cam_to_world_of(start + np.array([0, 1.5, 0]), down))
    assert seen.rgb.shape == (96, 128, 3)
    middle = seen.depth_m[40:56, 56:72]
    assert np.median(middle[middle > 0]) == pytest.approx(1.5, abs=0.2)


def test_two_views_agree_where_the_first_one_looked(office: HabitatSimulator) -> None:
    """Points of one view, moved into another by our poses, have its depth: the axes are right."""
    start = office.random_point(np.random.default_rng(3)) + np.array([0, 1.4, 0])
    poses = [
        cam_to_world_of(start, np.array([np.cos(a), 0, np.sin(a), 0])) for a in (0.3, 0.36)
    ]  # fmt: skip
    first, second = (office.depth(CAMERA, pose) for pose in poses)
    v, u = np.nonzero(first)
    rays = np.linalg.inv(CAMERA.intrinsics) @ [u + 0.5, v + 0.5, np.ones(len(u))]
    points = np.vstack([rays * first[v, u], np.ones(len(u))])
    moved = np.linalg.inv(poses[1]) @ poses[0] @ points
    x, y, z = CAMERA.intrinsics @ moved[:3]
    inside = (z > 0) & (x / z >= 0) & (x / z < 128) & (y / z >= 0) & (y / z < 96)
    seen = second[(y / z)[inside].astype(int), (x / z)[inside].astype(int)]
    error = np.abs(seen - z[inside]) / z[inside]
    assert inside.mean() > 0.5
    assert np.median(error) < 0.01


def test_a_second_scene_takes_the_place_of_the_first(scan: Path, office: HabitatSimulator) -> None:
    other = HabitatSimulator(scan, scan.name, "z", gpu_device_id=GPU)
    assert other.depth(CAMERA, np.eye(4)).shape == (96, 128)
    with pytest.raises(RuntimeError, match="closed"):
        office.depth(CAMERA, np.eye(4))
    other.close()
