"""A map of two cameras, for a person to look at."""

from __future__ import annotations

import torch
from torch import Tensor

_WHITE, _GREEN, _RED = (1.0, 1.0, 1.0), (0.2, 0.9, 0.3), (0.95, 0.25, 0.2)
_BACKGROUND = 0.08
_REACH = 0.7
"""How far from the middle camera 1 is drawn, as a share of the way to the edge."""


def from_above(truth: Tensor, predicted: Tensor, size: tuple[int, int]) -> Tensor:
    """Where camera 1 stands and where it is said to, in camera 2's plane of x (right) and z (up).

    Args:
        truth: translations [B, 3] in metres.
        predicted: the same; what lies outside is drawn at the edge.
        size: (H, W) of the maps.

    Returns:
        [B, 3, H, W] in [0, 1]; each map has its own scale.
    """
    height, width = size
    maps = torch.full((len(truth), 3, height, width), _BACKGROUND, device=truth.device)
    half = torch.tensor([width / 2, height / 2], dtype=truth.dtype, device=truth.device)
    far = truth[:, [0, 2]].norm(dim=1, keepdim=True).clamp(min=1e-3)
    for places, colour in ((torch.zeros_like(truth), _WHITE), (truth, _GREEN), (predicted, _RED)):
        onto = places[:, [0, 2]] * places.new_tensor([1.0, -1.0]) / far * _REACH * half.min() + half
        _dots(maps, onto, colour)
    return maps


def _dots(maps: Tensor, places: Tensor, colour: tuple[float, float, float]) -> None:
    """A square of three pixels at a place (x, y) of each map [B, 3, H, W], in it in any case."""
    height, width = maps.shape[-2:]
    columns = places[:, 0].round().long().clamp(1, width - 2)
    rows = places[:, 1].round().long().clamp(1, height - 2)
    paint = maps.new_tensor(colour)[:, None, None]
    for number, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        maps[number, :, row - 1 : row + 2, column - 1 : column + 2] = paint
