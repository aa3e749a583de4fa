"""Camera poses: camera-to-world, OpenCV axes (x right, y down, z forward), world +y up, metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimic.types import Matrix

_LEVEL = np.diag([1.0, -1.0, -1.0])  # the camera that looks along -z of the world, upright


def look_at(position: NDArray[np.float64], target: NDArray[np.float64]) -> Matrix:
    """The pose at ``position`` that sees ``target`` in its middle, upright.

    ValueError where the target is straight above, straight below, or there: no way is up then.
    """
    forward = target - position
    if not np.hypot(forward[0], forward[2]) > 0:
        raise ValueError(f"from {position}, no upright camera looks at {target}")
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(forward, right), forward
    pose[:3, 3] = position
    return pose


def look(
    position: NDArray[np.float64], yaw_deg: float, pitch_deg: float = 0.0, roll_deg: float = 0.0
) -> Matrix:
    """The pose at ``position`` that looks along -z of the world, turned.

    ``yaw_deg``: to the left about +y, so that 90 looks along -x. ``pitch_deg``: upwards.
    ``roll_deg``: the camera leans to its left.
    """
    pose = np.eye(4)
    pose[:3, :3] = about(1, yaw_deg) @ about(0, pitch_deg) @ about(2, roll_deg) @ _LEVEL
    pose[:3, 3] = position
    return pose


def about(axis: int, angle_deg: float) -> Matrix:
    """The (3, 3) rotation about axis 0, 1 or 2, counter-clockwise seen from its end."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    rotation = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation[i, i] = rotation[j, j] = cosine
    rotation[i, j], rotation[j, i] = -sine, sine
    return rotation


def heading(yaw_deg: float) -> NDArray[np.float64]:
    """The level direction (3,) in which :func:`look` looks at this yaw."""
    return np.array([-np.sin(np.radians(yaw_deg)), 0.0, -np.cos(np.radians(yaw_deg))])


def back_projected(
    depth_m: NDArray[np.float32], intrinsics: Matrix, cam_to_world: Matrix
) -> NDArray[np.float64]:
    """World points (N, 3) of the pixels of an (h, w) depth image that have a depth."""
    row, column = np.nonzero(depth_m > 0)
    pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
    rays = np.linalg.inv(intrinsics) @ pixels * depth_m[row, column]
    return np.asarray((cam_to_world[:3, :3] @ rays).T + cam_to_world[:3, 3])
