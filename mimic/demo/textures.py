"""Procedural paint for the demo room: much detail at all scales, none of it repeated.

A painter takes a size in texels and a generator; it returns ``(height, width, 3)`` in 0..255.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Texture = NDArray[np.float64]
Painter = Callable[[int, int, np.random.Generator], Texture]


def noise(width: int, height: int, cell: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth value noise in -1..1: random values every ``cell`` texels, linear between them."""
    rows = _weights(height, cell)
    columns = _weights(width, cell)
    grid = rng.uniform(-1.0, 1.0, (rows.shape[1], columns.shape[1]))
    return np.asarray(rows @ grid @ columns.T)


def _weights(length: int, cell: float) -> NDArray[np.float64]:
    position = np.arange(length) / cell
    index = position.astype(int)
    weights = np.zeros((length, int(index[-1]) + 2))
    weights[np.arange(length), index] = 1.0 - (position - index)
    weights[np.arange(length), index + 1] = position - index
    return weights


def _grain(width: int, height: int, rng: np.random.Generator, strength: float) -> Texture:
    """Four octaves of grey noise, the finest of a few texels."""
    total = np.zeros((height, width))
    for octave, cell in enumerate((97.0, 37.0, 13.0, 5.0)):
        total += noise(width, height, cell, rng) * (0.5 + 0.25 * octave)
    return (strength * total)[:, :, None]


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour that is neither black nor white."""
    return rng.uniform(25, 230, 3)


def _stamp(canvas: Texture, rng: np.random.Generator, largest: int) -> None:
    """Paint one random shape (rotated rectangle, disc, ring or stroke) at a random place."""
    height, width = canvas.shape[:2]
    radius = max(3.0, largest * rng.uniform(0.15, 1.0) ** 2)
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    angle, shape, squeeze = rng.uniform(0, np.pi), rng.integers(4), rng.uniform(0.25, 1.0)
    colour = _colour(rng)
    x0, x1 = max(0, int(x - radius)), min(width, int(x + radius) + 1)
    y0, y1 = max(0, int(y - radius)), min(height, int(y + radius) + 1)
    if x0 >= x1 or y0 >= y1:
        return
    dx, dy = np.arange(x0, x1) + 0.5 - x, (np.arange(y0, y1) + 0.5 - y)[:, None]
    along = np.cos(angle) * dx + np.sin(angle) * dy
    across = np.cos(angle) * dy - np.sin(angle) * dx
    if shape == 0:
        inside = np.maximum(np.abs(along), np.abs(across) / squeeze) < radius * 0.7
    elif shape == 1:
        inside = along**2 + (across / squeeze) ** 2 < radius**2
    elif shape == 2:
        distance = np.hypot(along, across)
        inside = (distance < radius) & (distance > radius * squeeze * 0.8)
    else:
        inside = (np.abs(across) < radius * 0.12) & (np.abs(along) < radius)
    canvas[y0:y1, x0:x1][inside] = colour


def collage(width: int, height: int, rng: np.random.Generator) -> Texture:
    """Shapes of all sizes over each other: pictures, fabric, posters."""
    canvas = np.broadcast_to(_colour(rng), (height, width, 3)).copy()
    largest = max(8, min(width, height) // 3)
    for _ in range(int(np.clip(width * height / 500, 40, 500))):
        _stamp(canvas, rng, largest)
    return canvas + _grain(width, height, rng, 8.0)


def plaster(width: int, height: int, rng: np.random.Generator) -> Texture:
    """A painted wall: soft stains, scratches and a scatter of small marks."""
    canvas = np.broadcast_to(rng.uniform(150, 215, 3), (height, width, 3)).copy()
    canvas += _grain(width, height, rng, 16.0)
    canvas += noise(width, height, 260.0, rng)[:, :, None] * rng.uniform(-30, 30, 3)
    for _ in range(width * height // 2200):
        _stamp(canvas, rng, 22)
    return canvas


def planks(width: int, height: int, rng: np.random.Generator) -> Texture:
    """A wooden floor: boards of random tint and length, with grain along them and dark joints."""
    canvas = np.empty((height, width, 3))
    board = 27
    for top in range(0, height, board):
        left = -int(rng.integers(0, 200))
        while left < width:
            right = left + int(rng.integers(90, 320))
            tint = np.array([165.0, 115.0, 70.0]) * rng.uniform(0.6, 1.25) + rng.uniform(-15, 15, 3)
            piece = canvas[top : top + board, max(left, 0) : right]
            if piece.size:
                streaks = noise(1, piece.shape[0], 2.5, rng) * 22 + noise(
                    piece.shape[1], piece.shape[0], 9.0, rng
                )
                piece[:] = tint + streaks[:, :, None]
                piece[:2] *= 0.45
                piece[:, -2:] *= 0.45
            left = right
    for _ in range(width * height // 4000):
        _stamp(canvas, rng, 14)
    return canvas + _grain(width, height, rng, 9.0)


def bricks(width: int, height: int, rng: np.random.Generator) -> Texture:
    """A brick wall: every brick has its own colour, courses are shifted at random."""
    canvas = np.full((height, width, 3), 185.0)
    for top in range(0, height, 17):
        left = -int(rng.integers(0, 40))
        while left < width:
            right = left + int(rng.integers(30, 52))
            tint = np.array([160.0, 85.0, 65.0]) * rng.uniform(0.5, 1.35) + rng.uniform(-22, 22, 3)
            canvas[top : top + 14, max(left, 0) : max(right - 3, 0)] = tint
            left = right
    return canvas + _grain(width, height, rng, 13.0)


def books(width: int, height: int, rng: np.random.Generator) -> Texture:
    """Shelves of books: spines of random width, height, colour and bands of lettering."""
    canvas = np.full((height, width, 3), 45.0)
    shelf = max(40, min(70, height))
    for top in range(0, height, shelf):
        bottom = min(height, top + shelf) - 5
        canvas[bottom : bottom + 5] = [140, 100, 60]
        left = 2
        while left < width - 4:
            right = min(width - 2, left + int(rng.integers(5, 17)))
            start = min(top + int(rng.integers(3, 22)), bottom - 4)
            canvas[start:bottom, left:right] = _colour(rng)
            for _ in range(int(rng.integers(1, 5))):
                line = int(rng.integers(start, bottom))
                canvas[line : line + int(rng.integers(1, 5)), left + 1 : right - 1] = _colour(rng)
            left = right + 1
    return canvas + _grain(width, height, rng, 6.0)


def wood(width: int, height: int, rng: np.random.Generator) -> Texture:
    """Furniture: wavy grain, knots and stickers."""
    wave = noise(width, height, 70.0, rng) * 9 + noise(width, height, 23.0, rng) * 3
    rows = np.arange(height)[:, None] * 0.45
    tint = np.array([150.0, 105.0, 65.0]) * rng.uniform(0.7, 1.3)
    canvas: Texture = (
        tint + (26 * np.sin(rows + wave))[:, :, None] + _grain(width, height, rng, 10.0)
    )
    for _ in range(max(6, width * height // 1600)):
        _stamp(canvas, rng, 16)
    return canvas


def panels(width: int, height: int, rng: np.random.Generator) -> Texture:
    """A ceiling of tiles, each a little different, some of them lamps."""
    canvas = np.empty((height, width, 3))
    for top in range(0, height, 96):
        for left in range(0, width, 96):
            tile = canvas[top : top + 96, left : left + 96]
            tile[:] = rng.uniform(165, 205) + rng.uniform(-8, 8, 3)
            tile[:3], tile[:, :3] = 95, 95
    for _ in range(width * height // 900):
        _stamp(canvas, rng, 9)
    return canvas + _grain(width, height, rng, 12.0)


PAINTERS: dict[str, Painter] = {
    painter.__name__: painter for painter in (collage, plaster, planks, bricks, books, wood, panels)
}
"""Painters by the word that a box's faces name."""
