"""What the readers of scene files hand over."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Triangles of one material, in the file's axes, the scene graph applied.

    ``triangles`` (F, 3, 3) floats: corner, axis; ``material`` an index; ``uv`` (F, 3, 2) floats, v
    down the picture; ``colours`` (F, 3, 3) uint8 of the corners, sRGB.
    """

    triangles: NDArray[np.floating]
    material: int
    uv: NDArray[np.floating] | None = None
    colours: NDArray[np.uint8] | None = None

    def only(self, faces: NDArray[np.bool_]) -> Piece:
        """The piece with some of its faces."""
        return replace(
            self,
            triangles=self.triangles[faces],
            uv=None if self.uv is None else self.uv[faces],
            colours=None if self.colours is None else self.colours[faces],
        )
