"""Rendered views of a textured plane with a known homography between them."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from mimic.types import Frame

CANVAS = 1600
HALF = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])


@functools.cache
def canvas(seed=0):
    """A picture with detail at every scale: blots of many sizes on a soft ground."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((CANVAS, CANVAS, 3))
    for cells in (8, 25, 80, 250):
        noise = rng.uniform(0, 255, (cells, cells, 3))
        picture += cv2.resize(noise, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC) / 4
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(1500):
        centre = tuple(int(v) for v in rng.integers(0, CANVAS, 2))
        axes = tuple(int(v) for v in rng.integers(5, 30, 2))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    return cv2.GaussianBlur(picture, (0, 0), 1.0)


def render(canvas_to_view, size=(224, 224), seed=0):
    """The canvas through a 3x3 map (continuous pixels), four samples a pixel side, averaged."""
    fine = 4
    to_fine = np.diag([fine, fine, 1.0]) @ canvas_to_view
    flags = cv2.INTER_LINEAR
    matrix = np.linalg.inv(HALF) @ to_fine @ HALF  # OpenCV puts pixel centres at integers
    big = cv2.warpPerspective(canvas(seed), matrix, (size[0] * fine, size[1] * fine), flags=flags)
    return cv2.resize(big, size, interpolation=cv2.INTER_AREA)


def looking_at(x, y, zoom=1.0, degrees=0.0, tilt=(0.0, 0.0), size=(224, 224)):
    """Canvas to view: the canvas point (x, y) at the view's centre, canvas pixels / 2 at zoom 1."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    to_centre = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
    turned = (
        np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([zoom / 2, zoom / 2, 1]) @ to_centre
    )
    tilted = np.array([[1, 0, 0], [0, 1, 0], [*tilt, 1.0]]) @ turned
    return np.array([[1, 0, size[0] / 2], [0, 1, size[1] / 2], [0, 0, 1.0]]) @ tilted


def pair(view_1, view_2, size=(224, 224), seed=0):
    """Two rendered frames and the true homography from the first to the second."""
    frames = tuple(
        frame(render(view, size, seed), slot) for slot, view in enumerate((view_1, view_2))
    )
    return frames, view_2 @ np.linalg.inv(view_1)


def frame(rgb, slot=0, shot=0):
    """A frame of nowhere in particular."""
    return Frame(frame_id=f"f{slot}", slot=slot, label=str(slot), pts_s=None, shot=shot, rgb=rgb)
