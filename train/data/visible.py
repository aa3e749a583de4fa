"""Co-visibility labels after the other view has been cut: what left the frame is outside of it.

Labels say what *all* of the other view sees. A pixel that was co-visible or occluded lies, by its
depth and both cameras, at a point of the other view; where the cut has taken that point away, the
pixel is outside. What was outside stays so.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from train.data.decode import UNKNOWN
from train.data.sample import Matrix
from train.data.window import Window

OUTSIDE = 2


def relabelled(
    labels: Tensor, depth: Tensor, to_other: tuple[Matrix, Matrix], own: Window, other: Window
) -> Tensor:
    """The labels of a view's window where of the other view only a window is left.

    Args:
        labels: uint8 (H, W) of the stored view.
        depth: float32 (H, W) of it, metres along the optical axis, 0 where there is none.
        to_other: (3, 3) and (3,): a stored pixel (u, v, 1) at depth z lies at z A (u, v, 1) + b in
            homogeneous pixels of the other stored view.
        own: window of this view.
        other: window of the other.

    Returns:
        uint8 (h, w), of ``own``. Unknown where a pixel that was seen has no stored depth.
    """
    cut, z = own.of(labels), own.of(depth)
    x, y, w = _seen_from_there(z, to_other, own)
    inside = (w > 0) & (x >= other.left * w) & (x < (other.left + other.width) * w)
    inside &= (y >= other.top * w) & (y < (other.top + other.height) * w)
    there = torch.where(inside, cut, OUTSIDE)
    there = torch.where(z > 0, there, UNKNOWN)
    return torch.where(cut < OUTSIDE, there, cut).to(torch.uint8)


def to_other(
    intrinsics: tuple[Matrix, Matrix], cam_to_world: tuple[Matrix, Matrix]
) -> tuple[Matrix, Matrix]:
    """(A, b) of :func:`relabelled`, from this view and the other: K2 R K1^-1 and K2 t."""
    moved = np.linalg.inv(cam_to_world[1]) @ cam_to_world[0]
    linear = intrinsics[1] @ moved[:3, :3] @ np.linalg.inv(intrinsics[0])
    return linear, intrinsics[1] @ moved[:3, 3]


def _seen_from_there(z: Tensor, to_other: tuple[Matrix, Matrix], own: Window) -> list[Tensor]:
    """Homogeneous pixels (x, y, w) of the other view, each (h, w)."""
    linear, shift = to_other
    u = torch.arange(own.width, dtype=torch.float32) + (own.left + 0.5)
    v = (torch.arange(own.height, dtype=torch.float32) + (own.top + 0.5))[:, None]
    return [
        (float(row[0]) * u + (float(row[1]) * v + float(row[2]))) * z + float(offset)
        for row, offset in zip(linear, shift, strict=True)
    ]
