"""Smooth camera paths through the demo room, as camera-to-world poses (OpenCV axes, metres)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimic.geometry.poses import look_at
from mimic.types import Matrix

_EYE_M = 1.45
_CENTRE = np.array([4.1, 0.75, 2.85])


def walk(frames: int) -> list[Matrix]:
    """Along the room and round the table, looking some way ahead, with the sway of steps."""
    knots = np.array(
        [[0.9, 1.9], [2.4, 1.5], [4.4, 1.2], [6.3, 1.9], [6.6, 3.5], [5.6, 4.6], [3.6, 4.4]]
    )
    ahead = np.array(
        [[4.5, 1.0], [5.5, 1.2], [7.4, 1.8], [7.6, 3.6], [6.6, 5.4], [3.4, 5.3], [0.6, 4.0]]
    )
    poses = []
    for t in _eased(frames):
        place, target = _along(knots, t), _along(ahead, t)
        sway = 0.02 * np.sin(t * 60)
        poses.append(
            look_at(
                np.array([place[0], _EYE_M + sway, place[1]]), np.array([target[0], 1.2, target[1]])
            )
        )
    return poses


def orbit(frames: int) -> list[Matrix]:
    """Two thirds of a circle round the table, rising a little."""
    poses = []
    for t in _eased(frames):
        angle = np.radians(200 + 230 * t)
        offset = np.array([2.3 * np.cos(angle), 0.75 + 0.35 * t, 1.75 * np.sin(angle)])
        poses.append(look_at(_CENTRE + offset, _CENTRE + np.array([0.0, 0.15, 0.0])))
    return poses


def stand_turn_cut(frames: int) -> list[Matrix]:
    """Stand still for a quarter, turn on the spot for half, then a cut to a slow step aside."""
    still, turning = frames // 4, frames // 2
    poses = [_turned(20.0)] * still
    poses += [_turned(20.0 + 150.0 * t) for t in _eased(turning)]
    for t in _eased(frames - still - turning):
        position = np.array([1.3 + 0.9 * t, 1.3, 5.0 - 0.4 * t])
        poses.append(look_at(position, np.array([3.4 + 0.6 * t, 1.05, 0.4])))
    return poses


def _turned(azimuth_deg: float) -> Matrix:
    position = np.array([6.1, _EYE_M, 4.2])
    azimuth = np.radians(azimuth_deg)
    return look_at(position, position + np.array([np.cos(azimuth), -0.12, -np.sin(azimuth)]))


def _eased(frames: int) -> NDArray[np.float64]:
    """0..1 with a soft start and end."""
    t = np.linspace(0, 1, frames)
    return np.asarray(0.7 * t + 0.3 * t * t * (3 - 2 * t))


def _along(knots: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    """A point on the Catmull-Rom curve through ``knots`` (K, D), ``t`` in 0..1."""
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    position = t * (len(knots) - 1)
    i = min(int(position), len(knots) - 2)
    s = position - i
    a, b, c, d = padded[i : i + 4]
    return np.asarray(
        b + 0.5 * s * (c - a + s * (2 * a - 5 * b + 4 * c - d + s * (3 * (b - c) + d - a)))
    )
