"""What thumbnails alone tell of a pair, before any feature is detected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimic.types import EdgeMeasures, UInt8Image, View

UNCHANGED_LEVELS = 3
"""A thumbnail pixel did not change when it differs by at most this many grey levels."""


def thumb_measures(view_1: View, view_2: View, interval_s: float | None = None) -> EdgeMeasures:
    """Edge measures with ``thumb_difference`` and ``static_share``; None for unlike shapes."""
    difference = _difference(view_1.thumb, view_2.thumb)
    if difference is None:
        return EdgeMeasures(interval_s=interval_s)
    return EdgeMeasures(
        interval_s=interval_s,
        thumb_difference=float(difference.mean()),
        static_share=float((difference <= UNCHANGED_LEVELS).mean()),
    )


def _difference(thumb_1: UInt8Image, thumb_2: UInt8Image) -> NDArray[np.int16] | None:
    if thumb_1.shape != thumb_2.shape:
        return None
    return np.asarray(np.abs(thumb_1.astype(np.int16) - thumb_2))
