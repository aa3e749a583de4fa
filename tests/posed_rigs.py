"""Rigs of cameras before surfaces whose depth is known in closed form."""

from __future__ import annotations

import numpy as np

from mimic.geometry.coarse import CoarseView
from mimic.geometry.posed_depth import PosedDepth, Tolerance
from mimic.geometry.poses import look_at

SIZE, FOCAL = 48, 40.0
K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1.0]])
TOLERANCE = Tolerance(0.05, 0.02)


def rays(cam_to_world):
    """World directions (3, h, w) of the pixel centres, of unit depth."""
    at = np.arange(SIZE) + 0.5
    x, y = np.meshgrid(at, at)
    local = np.stack([(x - SIZE / 2) / FOCAL, (y - SIZE / 2) / FOCAL, np.ones_like(x)])
    return np.einsum("ij,jhw->ihw", cam_to_world[:3, :3], local)


def coarse(depth, cam_to_world):
    depth = np.where(np.isfinite(depth), depth, 0).astype(np.float32)
    return CoarseView.of(PosedDepth(depth, K, cam_to_world), TOLERANCE)


def ring(count, distance=4.0, radius=1.0, turn_deg=360.0):
    """Cameras around a pillar, all looking at it: those behind it see another side."""
    views = []
    for turn in np.radians(np.arange(count) * turn_deg / count):
        eye = np.array([distance * np.sin(turn), 0.0, distance * np.cos(turn)])
        pose = look_at(eye, np.zeros(3))
        direction = rays(pose)[[0, 2]]
        a = (direction**2).sum(axis=0)
        b = (direction * eye[[0, 2], None, None]).sum(axis=0)
        root = b**2 - a * (distance**2 - radius**2)
        with np.errstate(invalid="ignore"):
            depth = (-b - np.sqrt(root)) / a
        views.append(coarse(depth, pose))
    return views


def corridor(count, step_m=0.5, far_m=10.0):
    """Cameras that go along a corridor of 2 x 2 m, looking ahead; depth ends at ``far_m``."""
    views = []
    for i in range(count):
        pose = np.eye(4)
        pose[2, 3] = i * step_m
        direction = rays(pose)
        depth = 1 / np.maximum(np.abs(direction[0]), np.abs(direction[1]))
        views.append(coarse(np.where(depth < far_m, depth, np.inf), pose))
    return views


def walls(count, step_m, distance_m=2.0):
    """Cameras that face an endless wall, side by side: the share they see falls linearly."""
    views = []
    for i in range(count):
        pose = np.eye(4)
        pose[0, 3] = i * step_m
        views.append(coarse(np.full((SIZE, SIZE), distance_m), pose))
    return views


def blind():
    """A camera without any depth."""
    return coarse(np.zeros((SIZE, SIZE)), np.eye(4))
