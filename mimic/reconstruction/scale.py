"""How long a reconstruction's unit is, by learned depth at its sparse points.

Structure from motion knows no scale, and a learned depth has one that is a little wrong and differs
from frame to frame. The median over frames is the best guess of the unit, and how far the frames
lie apart tells what it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.errors import MimicError
from mimic.reconstruction.base import SeenPoints

MIN_POINTS = 20
"""A frame with fewer points that have a depth does not vote."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The unit in metres, and how far to trust it.

    ``frames``: each frame's own ratio as a share of ``metres_per_unit``, None where it has too few
    points. ``spread``: half the range from their lower to their upper quartile.
    """

    metres_per_unit: float
    frames: tuple[float | None, ...]
    spread: float


def frame_ratio(depth_m: NDArray[np.float32], points: SeenPoints) -> float | None:
    """Median ratio of predicted depth (h, w) to the depth of a frame's points; None for too few."""
    column, row = np.floor(points.xy.T).astype(np.int64)
    predicted = depth_m[row, column]
    known = predicted > 0
    if known.sum() < MIN_POINTS:
        return None
    return float(np.median(predicted[known] / points.depth[known]))


def scale_of(ratios: Sequence[float | None]) -> Scale:
    """The scale that frames of these ratios (:func:`frame_ratio`) agree on.

    Raises:
        MimicError: none of them has enough points with a depth.
    """
    known = np.array([ratio for ratio in ratios if ratio is not None])
    if not len(known):
        raise MimicError(
            f"no frame has {MIN_POINTS} points with a predicted depth, so the scale is not known: "
            "use another --depth-model, or none"
        )
    unit = float(np.median(known))
    low, high = np.quantile(known / unit, (0.25, 0.75))
    frames = tuple(None if ratio is None else ratio / unit for ratio in ratios)
    return Scale(unit, frames, float(high - low) / 2)
