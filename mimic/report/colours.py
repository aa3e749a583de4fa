"""Colours of patches: a patch of view 1 and its partner in view 2 wear the same one.

The hue runs with the column and the lightness with the row of view 1, so that neighbours are alike,
and a map that is torn or folded is seen at a glance (MIMIC figures 7 and 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.shards.covis import CLASSES
from mimic.types import UInt8Image

Grid = tuple[int, int]
"""(columns, rows) of whole patches."""

Colours = NDArray[np.uint8]
"""(rows, columns, 4) RGBA, one colour a patch."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Colours to lay over a picture, each over a square of ``side`` stored pixels.

    ``on_grey``: the picture loses its own colours, for the layer's to be read.
    """

    colours: Colours
    side: int
    on_grey: bool = False


PATCH_ALPHA, DIM_ALPHA = 120, 150
_DIM = (10, 12, 16, DIM_ALPHA)
_HUES_DEG = (20.0, 330.0)
_LIGHTNESS = (0.85, 0.5)
_CHROMA = 0.13

LABEL_COLOURS = {
    "co-visible": (40, 167, 69),
    "occluded": (240, 90, 30),
    "outside": (40, 105, 225),
    "unknown": (150, 150, 150),
}
_LABEL_ALPHA = 115


def patch_colours(grid_1: Grid, grid_2: Grid, corr: NDArray[np.int32]) -> tuple[Colours, Colours]:
    """The colour of every patch of both views; patches without a partner are dark.

    ``corr`` (N, 2): patch of view 1, patch of view 2, row-major from the top left.

    Raises:
        ValueError: ``corr`` names a patch that a grid does not have.
    """
    (columns_1, rows_1), (columns_2, rows_2) = grid_1, grid_2
    patches = np.array([columns_1 * rows_1, columns_2 * rows_2])
    if len(corr) and (corr.min() < 0 or (corr.max(axis=0) >= patches).any()):
        raise ValueError(f"corr names patches beyond grids of {grid_1} and {grid_2}")
    palette = _palette(columns_1, rows_1)
    first = np.full((patches[0], 4), _DIM, np.uint8)
    second = np.full((patches[1], 4), _DIM, np.uint8)
    first[corr[:, 0]] = second[corr[:, 1]] = palette[corr[:, 0]]
    return first.reshape(rows_1, columns_1, 4), second.reshape(rows_2, columns_2, 4)


def grey(rgb: UInt8Image) -> UInt8Image:
    """The picture without its colours, still (h, w, 3)."""
    luma = np.round(rgb @ np.array([0.299, 0.587, 0.114]))
    return np.asarray(luma[..., None].repeat(3, axis=2), dtype=np.uint8)


def tinted(rgb: UInt8Image, colours: Colours, patch_size: int) -> UInt8Image:
    """The picture with its patches' colours laid over it; what lies beyond the grid is dimmed."""
    height, width = rgb.shape[:2]
    layer = np.full((height, width, 4), _DIM, np.float64)
    large = colours.repeat(patch_size, axis=0).repeat(patch_size, axis=1)
    layer[: large.shape[0], : large.shape[1]] = large
    alpha = layer[..., 3:] / 255
    mixed = rgb * (1 - alpha) + layer[..., :3] * alpha
    return np.round(mixed).astype(np.uint8)


def label_colours(labels: NDArray[np.uint8]) -> Colours:
    """A colour for every pixel of a label map (h, w), as in Alligat0R's figures."""
    table = np.zeros((256, 4), np.uint8)
    for name, value in CLASSES.items():
        table[value] = (*LABEL_COLOURS[name], _LABEL_ALPHA)
    return table[labels]


def _palette(columns: int, rows: int) -> NDArray[np.uint8]:
    """(rows * columns, 4) RGBA, even steps of OKLCh hue and lightness."""
    hue = np.deg2rad(np.linspace(*_HUES_DEG, max(columns, 1)))[None, :]
    lightness = np.linspace(*_LIGHTNESS, max(rows, 1))[:, None]
    rgb = _oklch_to_srgb(*np.broadcast_arrays(lightness, np.float64(_CHROMA), hue))
    alpha = np.full((*rgb.shape[:2], 1), PATCH_ALPHA, np.uint8)
    return np.concatenate([rgb, alpha], axis=2).reshape(-1, 4)[: rows * columns]


def _oklch_to_srgb(
    lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """OKLCh (Ottosson 2020) to 8-bit sRGB; what lies outside the gamut is clipped."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cone = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=-1,
    )
    linear = (cone**3) @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rgb: NDArray[np.uint8] = np.round(255 * encoded).astype(np.uint8)
    return rgb
