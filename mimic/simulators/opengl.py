"""Camera poses between OpenCV axes (ours) and OpenGL axes (habitat-sim's), as pure functions.

OpenCV: x right, y down, z forward. OpenGL: x right, y up, z backward, so a camera looks along its
-z. The world (metres, +y up) is the same for both: only the camera's own axes are named anew.
Quaternions are (w, x, y, z), of unit length, with w >= 0, so that a rotation has one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimic.types import Matrix

Vector = NDArray[np.float64]

_OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0])
_TOLERANCE = 1e-6


def agent_pose(cam_to_world: Matrix) -> tuple[Vector, Vector]:
    """Position (3,) in the world and quaternion (4,) of a camera given by its (4, 4) OpenCV pose.

    Raises:
        ValueError: the matrix is not a rotation and a translation.
    """
    rotation = cam_to_world[:3, :3]
    rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=_TOLERANCE)
    if not rigid or np.linalg.det(rotation) < 0 or not np.isfinite(cam_to_world).all():
        raise ValueError(f"cam_to_world is not a rigid motion: {cam_to_world.tolist()}")
    return cam_to_world[:3, 3].astype(np.float64), quaternion_of(rotation @ _OPENCV_TO_OPENGL)


def cam_to_world_of(position: Vector, quaternion: Vector) -> Matrix:
    """The (4, 4) OpenCV pose of an OpenGL camera; the inverse of :func:`agent_pose`."""
    pose = np.eye(4)
    pose[:3, :3] = rotation_of(quaternion) @ _OPENCV_TO_OPENGL
    pose[:3, 3] = position
    return pose


def rotation_of(quaternion: Vector) -> Matrix:
    """The (3, 3) rotation of a quaternion, which is normalised first."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_of(rotation: Matrix) -> Vector:
    """The quaternion of a (3, 3) rotation.

    4 q q^T is linear in the rotation's entries; its longest row is the best conditioned multiple of
    q (Shepperd, "Quaternion from rotation matrix", 1978), so half turns lose no digits.
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    products = np.array(
        [
            [1 + a + e + i, h - f, c - g, d - b],
            [h - f, 1 + a - e - i, b + d, c + g],
            [c - g, b + d, 1 - a + e - i, f + h],
            [d - b, c + g, f + h, 1 - a - e + i],
        ]
    )
    row = products[np.argmax(np.diag(products))]
    quaternion: Vector = row / np.linalg.norm(row)
    return -quaternion if quaternion[0] < 0 else quaternion
