"""Rotations as matrices and as unit quaternions (w, x, y, z); q and -q are the same one.

Shape legend: B batch. All functions keep the type of what they are given.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def quaternions(matrices: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] as unit quaternions [..., 4]; the largest part is positive.

    Four formulas, each of which divides by another part of the quaternion; of them the one whose
    divisor is the largest (at least 1/2) is exact for every rotation, half turns too (Shepperd,
    Quaternion from rotation matrix, 1978).
    """
    m = matrices
    x, y, z = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = torch.stack([1 + x + y + z, 1 + x - y - z, 1 - x + y - z, 1 - x - y + z], dim=-1)
    wx, wy, wz = (m[..., i, j] - m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    rows = [(squares[..., 0], wx, wy, wz), (wx, squares[..., 1], xy, xz)]
    rows += [(wy, xy, squares[..., 2], yz), (wz, xz, yz, squares[..., 3])]
    products = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)  # 4 q q^T
    best = squares.argmax(dim=-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    return functional.normalize(products.gather(-2, best)[..., 0, :], dim=-1)


def matrices(unit_quaternions: Tensor) -> Tensor:
    """Unit quaternions [..., 4] as rotation matrices [..., 3, 3]."""
    w, x, y, z = unit_quaternions.unbind(-1)
    entries = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    entries += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    entries += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(entries, dim=-1).reshape(*unit_quaternions.shape[:-1], 3, 3)


def nearer(of: Tensor, to: Tensor) -> Tensor:
    """Of q and -q [..., 4] the one that lies nearer to another quaternion [..., 4]."""
    return torch.where((of * to).sum(dim=-1, keepdim=True) < 0, -of, of)


def mean_quaternion(unit_quaternions: Tensor) -> Tensor:
    """The mean of rotations (N, 4) -> (4,), whatever the signs of their quaternions.

    The eigenvector of the sum of q q^T with the largest eigenvalue: the sum of squared distances
    between rotation matrices is the least (Markley et al., Averaging quaternions, 2007).
    """
    vectors: Tensor = torch.linalg.eigh(unit_quaternions.T @ unit_quaternions).eigenvectors
    return vectors[:, -1]
