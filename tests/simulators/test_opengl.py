"""Camera axes: what habitat-sim calls a pose, and what we do. Needs no habitat-sim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimic.simulators.opengl import agent_pose, cam_to_world_of, quaternion_of, rotation_of

UP = np.array([0.0, 1.0, 0.0])


def looking(forward: list[float], down: list[float], position: tuple[float, ...] = (0, 0, 0)):
    """An OpenCV pose from where the camera looks and what is down in its picture."""
    pose = np.eye(4)
    pose[:3, 2], pose[:3, 1] = forward, down
    pose[:3, 0] = np.cross(pose[:3, 1], pose[:3, 2])
    pose[:3, 3] = position
    return pose


numbers = st.floats(-1, 1, allow_nan=False)
quaternions = (
    st.tuples(numbers, numbers, numbers, numbers)
    .map(np.array)
    .filter(lambda q: np.linalg.norm(q) > 1e-3)
    .map(lambda q: q / np.linalg.norm(q))
)


def test_habitats_rest_pose_is_an_upright_camera_that_looks_along_minus_z() -> None:
    position, quaternion = agent_pose(looking([0, 0, -1], [0, -1, 0], (1, 2, 3)))
    np.testing.assert_allclose(quaternion, [1, 0, 0, 0], atol=1e-12)
    np.testing.assert_array_equal(position, [1, 2, 3])


@pytest.mark.parametrize(
    ("forward", "yaw_deg"), [([-1, 0, 0], 90), ([0, 0, 1], 180), ([1, 0, 0], -90)]
)
def test_a_turn_to_the_left_is_a_positive_one_around_up(forward: list[float], yaw_deg: int) -> None:
    _, quaternion = agent_pose(looking(forward, [0, -1, 0]))
    half = np.radians(yaw_deg) / 2
    expected = np.array([np.cos(half), *(np.sin(half) * UP)])
    np.testing.assert_allclose(quaternion, expected, atol=1e-12)


def test_looking_down_keeps_left_and_right() -> None:
    """At the floor, with -z of the world at the picture's top."""
    pose = looking([0, -1, 0], [0, 0, 1])
    np.testing.assert_allclose(pose[:3, 0], [1, 0, 0])
    _, quaternion = agent_pose(pose)
    np.testing.assert_allclose(quaternion, [np.sqrt(0.5), -np.sqrt(0.5), 0, 0], atol=1e-12)


def test_a_point_is_seen_where_opengl_sees_it() -> None:
    """(x, y, z) of an OpenCV camera is (x, -y, -z) of habitat's."""
    rng = np.random.default_rng(3)
    pose = cam_to_world_of(rng.normal(size=3), quaternion_of(rotation_of(rng.normal(size=4))))
    position, quaternion = agent_pose(pose)
    seen = rng.normal(size=3)
    world = position + rotation_of(quaternion) @ (seen * [1, -1, -1])
    np.testing.assert_allclose(world, (pose @ [*seen, 1])[:3], atol=1e-12)


@given(quaternions, st.tuples(numbers, numbers, numbers).map(np.array))
def test_poses_round_trip(quaternion, position) -> None:
    pose = cam_to_world_of(position, quaternion)
    there, turned = agent_pose(pose)
    np.testing.assert_allclose(cam_to_world_of(there, turned), pose, atol=1e-12)
    assert turned[0] >= 0
    np.testing.assert_allclose(abs(turned @ quaternion), 1, atol=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_lose_no_digits(axis: int) -> None:
    quaternion = np.zeros(4)
    quaternion[1 + axis] = 1.0
    np.testing.assert_allclose(quaternion_of(rotation_of(quaternion)), quaternion, atol=1e-15)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pose: pose.__setitem__((0, 0), 2.0),
        lambda pose: pose.__setitem__((slice(3), 0), -pose[:3, 0]),
        lambda pose: pose.__setitem__((1, 3), np.nan),
    ],
    ids=["scaled", "mirrored", "nan"],
)
def test_what_is_no_rigid_motion_is_refused(spoil) -> None:
    pose = looking([0, 0, -1], [0, -1, 0])
    spoil(pose)
    with pytest.raises(ValueError, match="rigid"):
        agent_pose(pose)
