"""The similarity that lays one set of camera centres on another."""

from __future__ import annotations

import numpy as np


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift from (N, 3) points to (N, 3) points (Umeyama, PAMI 1991)."""
    centred, aimed = source - source.mean(0), target - target.mean(0)
    u, stretch, vt = np.linalg.svd(aimed.T @ centred)
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * flip) @ vt
    scale = float((stretch * flip).sum() / (centred**2).sum())
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


def angle_deg(rotation: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
