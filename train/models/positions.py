"""Where a patch stands: fixed sine-cosine embeddings, and rotary embeddings of queries and keys.

Shapes: B batch, N tokens, D width. Patches are counted row by row from the top left.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rotation(NamedTuple):
    """Cosines and sines by which a head's channels are turned, [B or 1, 1, N, head width] each."""

    cos: Tensor
    sin: Tensor


def patch_positions(rows: int, cols: int, device: torch.device | None = None) -> Tensor:
    """Row and column (y, x) of each patch of a grid, int64 [rows * cols, 2]."""
    y = torch.arange(rows, device=device)
    x = torch.arange(cols, device=device)
    return torch.cartesian_prod(y, x)


def cosine_embedding(rows: int, cols: int, width: int) -> Tensor:
    """The fixed 2D sine-cosine embedding of a grid, float32 [rows * cols, width].

    The first half of the channels holds x and the second y, as in MAE's code (whose variable names
    say otherwise); each half holds the sines and then the cosines of position / 10000^(4i / width),
    i < width / 4. ``width`` is a multiple of 4.
    """
    positions = patch_positions(rows, cols).double()
    quarter = width // 4
    frequencies = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles_y, angles_x = (positions[:, axis, None] * frequencies for axis in (0, 1))
    parts = [angles_x.sin(), angles_x.cos(), angles_y.sin(), angles_y.cos()]
    return torch.cat(parts, dim=1).float()


def rotation(positions: Tensor, head_width: int, base: float) -> Rotation:
    """RoPE2D at integer positions (y, x), int64 [B or 1, N, 2].

    The first half of a head's channels is turned by y and the second by x, each at the frequencies
    base^(-2i / (head_width/2)) (CroCo v2, base 100). ``head_width`` is a multiple of 4. Angles are
    float32 whatever the network computes in: bfloat16 cannot tell large positions apart.
    """
    half = head_width // 2
    exponents = torch.arange(0, half, 2, device=positions.device, dtype=torch.float32) / half
    angles = positions[..., None].float() * base**-exponents  # [B, N, 2, half / 2]
    angles = torch.cat([angles, angles], dim=-1).flatten(-2)[:, None]
    return Rotation(angles.cos(), angles.sin())


def rotate(tokens: Tensor, by: Rotation) -> Tensor:
    """Queries or keys [B, heads, N, head width] turned; of the type that they came in.

    Channel i of a half is paired with channel i + head_width/4 (rotate-half, not interleaved).
    """
    y1, y2, x1, x2 = tokens.chunk(4, dim=-1)
    quarter_turn = torch.cat([-y2, y1, -x2, x1], dim=-1)
    return (tokens * by.cos + quarter_turn * by.sin).to(tokens.dtype)
