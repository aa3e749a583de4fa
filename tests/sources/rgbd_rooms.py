"""A room whose depth and colour are known in closed form, and cameras in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimic import opencv
from mimic.geometry.poses import look

HALF_M = np.array([2.5, 1.5, 3.0])
"""The room reaches so far from the origin in each direction."""

POSES = [
    look(np.array([0.1 * i - 0.2, 0.05 * i, 0.15 * i]), yaw_deg=20.0 + 7 * i, pitch_deg=4.0 * i)
    for i in range(4)
]


@dataclass(frozen=True)
class Camera:
    """``k`` is (fx, fy, cx, cy), the centre of the first pixel at (0, 0)."""

    k: tuple[float, float, float, float]
    size: tuple[int, int]

    @property
    def continuous(self) -> np.ndarray:
        fx, fy, cx, cy = self.k
        return np.array([[fx, 0, cx + 0.5], [0, fy, cy + 0.5], [0, 0, 1.0]])


SMALL = Camera((52.0, 50.0, 30.5, 24.0), (64, 48))


def pixel_rays(camera: Camera) -> np.ndarray:
    """Camera-frame rays (h, w, 3) of unit depth through the pixel centres."""
    fx, fy, cx, cy = camera.k
    x, y = np.meshgrid(np.arange(camera.size[0]), np.arange(camera.size[1]))
    return np.stack([(x - cx) / fx, (y - cy) / fy, np.ones(x.shape)], axis=-1)


def depth_along(rays: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Depth (h, w) of the walls along rays of unit depth."""
    direction = rays @ pose[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = (np.sign(direction) * HALF_M - pose[:3, 3]) / direction
    return np.min(np.where(np.isfinite(reach), reach, np.inf), axis=-1)


def colour_of(points: np.ndarray) -> np.ndarray:
    """What the walls look like (..., 3): smooth, and different everywhere."""
    waves = np.stack([points @ [3.0, 2.0, 1.0], points @ [-1.0, 3.0, 2.0], points @ [2, -1, 3.0]])
    return np.moveaxis(127 + 120 * np.sin(waves), 0, -1)


def render(camera: Camera, pose: np.ndarray, rays: np.ndarray | None = None):
    """Colour (h, w, 3) uint8 and depth (h, w) in metres."""
    rays = pixel_rays(camera) if rays is None else rays
    depth = depth_along(rays, pose)
    points = (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]
    return np.rint(colour_of(points)).astype(np.uint8), depth


def write_colour(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lossy = path.suffix == ".jpg"
    path.write_bytes(opencv.encode_jpeg(rgb, 98) if lossy else opencv.encode_png(rgb))


def write_depth(path: Path, depth: np.ndarray, per_metre: float = 1000.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, depth.astype(np.float32))
    else:
        path.write_bytes(opencv.encode_png(np.rint(depth * per_metre).astype(np.uint16)))


def text_of(matrix: np.ndarray) -> str:
    return "\n".join(" ".join(f"{value:.9g}" for value in row) for row in matrix) + "\n"


def quaternion_of(rotation: np.ndarray) -> list[float]:
    """x, y, z, w (Bar-Itzhack: the main eigenvector of a symmetric matrix)."""
    r = rotation
    symmetric = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    return list(np.linalg.eigh(symmetric)[1][:, -1])


def rotation_vector_of(rotation: np.ndarray) -> np.ndarray:
    x, y, z, w = quaternion_of(rotation)
    x, y, z, w = (np.sign(w) or 1.0) * np.array([x, y, z, w])
    half = np.arccos(np.clip(w, -1, 1))
    return np.array([x, y, z]) / np.sin(half) * 2 * half if half > 1e-9 else np.zeros(3)
