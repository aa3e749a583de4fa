"""A rectangle of whole pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from train.data.sample import Matrix, Size


@dataclass(frozen=True, slots=True)
class Window:
    """Whole pixels of a stored view: ``left``, ``top``, ``width``, ``height``."""

    left: int
    top: int
    width: int
    height: int

    def matrix(self, size: Size) -> Matrix:
        """Stored pixels to pixels of the window, resized to ``size``."""
        x, y = size[0] / self.width, size[1] / self.height
        return np.array([[x, 0, -self.left * x], [0, y, -self.top * y], [0, 0, 1.0]])

    def covers(self, size: Size) -> bool:
        """Whether it is all of a view of this size."""
        return (self.left, self.top, self.width, self.height) == (0, 0, *size)

    def of(self, pixels: Tensor) -> Tensor:
        """The window of (..., H, W), without a copy."""
        rows = slice(self.top, self.top + self.height)
        return pixels[..., rows, self.left : self.left + self.width]
