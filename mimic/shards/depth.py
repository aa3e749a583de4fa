"""Depth as bytes: a PNG of 16 bits a pixel, millimetres along the optical axis, 0 for none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimic.shards.png import decode_grey

Millimetres = NDArray[np.uint16]
"""(h, w), 0 where there is no depth."""
Depth = NDArray[np.float32]
"""(h, w) metres along the optical axis, 0 where there is none."""

_GREY_16 = frozenset({"I;16", "I;16B", "I"})
"""Pillow's words for 16 bits of grey; the last is that of its earlier releases."""


def decode_depth(data: bytes) -> Millimetres:
    """The stored values (ValueError for anything but a whole PNG of 16 bits of grey)."""
    return decode_grey(data, _GREY_16, "16 bits of grey").astype(np.uint16)


def depth_m(data: bytes) -> Depth:
    """Stored depth in metres."""
    return decode_depth(data).astype(np.float32) / np.float32(1000)
